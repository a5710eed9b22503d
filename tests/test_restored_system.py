"""A folder put back from an old backup: its ledger knows less than VIP, and nothing is lost by that."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from vipsync.rows import Phase

Step = Callable[[Bench, Study], None]

UPLOAD_ONLY = 'portal = "https://vip.test"\n'


# when the backup was made


def closed(bench: Bench, _study: Study) -> None:
    """Let nothing happen yet."""
    bench.rest()


def open_(bench: Bench, study: Study) -> None:
    """Bring one case to its end."""
    study.drop(a="one")
    bench.rest()


def running(bench: Bench, study: Study) -> None:
    """Start an execution of ten minutes."""
    bench.job_seconds = lambda _job: 600.0
    study.drop(a="one")
    bench.until(bench.executions)
    bench.run(20)


def finishing(bench: Bench, study: Study) -> None:
    """Delete the marker while the execution runs."""
    running(bench, study)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.FINISHING)


def removing(bench: Bench, study: Study) -> None:
    """Ask VIP for the removal, which takes its time."""
    open_(bench, study)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.REMOVING)


def closed_again(bench: Bench, study: Study) -> None:
    """Bring a first round to its end."""
    open_(bench, study)
    finish(bench, study)


# what happened between the backup and its return


def more(bench: Bench, study: Study) -> None:
    """Bring another case to its end; what a process finds at its start was there before the end."""
    bench.run(30)
    study.drop(b="two")
    bench.until(lambda: ["b.mrui"] in bench.executions())
    bench.rest()


def more_running(bench: Bench, study: Study) -> None:
    """Start another case, which runs on."""
    bench.job_seconds = lambda _job: 1200.0
    bench.run(30)
    study.drop(b="two")
    bench.until(lambda: ["b.mrui"] in bench.executions())
    bench.run(60)


def finish(bench: Bench, study: Study) -> None:
    """Delete the marker, and let VIP be emptied."""
    bench.rest()
    study.marker.unlink(missing_ok=True)
    bench.rest()


def more_and_finish(bench: Bench, study: Study) -> None:
    """Bring another case to its end, then empty VIP."""
    more(bench, study)
    finish(bench, study)


def finish_and_more(bench: Bench, study: Study) -> None:
    """Empty VIP; another case opens the session again."""
    finish(bench, study)
    more(bench, study)


# how it is put back


def over(study: Study, old: Path) -> None:
    """Copy it over the folder: what is newer and has another name stays."""
    for newer in (study.root / ".vipsync").glob("ledger.sqlite-*"):
        newer.unlink()
    shutil.copytree(old, study.root, dirs_exist_ok=True)


def instead(study: Study, old: Path) -> None:
    """Put it in the folder's place, as after the loss of a disk."""
    shutil.rmtree(study.root)
    shutil.copytree(old, study.root)


def ledger_only(study: Study, old: Path) -> None:
    """Put only `.vipsync` back."""
    shutil.rmtree(study.root / ".vipsync")
    shutil.copytree(old / ".vipsync", study.root / ".vipsync")


MOMENTS = (closed, open_, running, finishing, removing, closed_again)
STORIES = (more, more_running, finish, more_and_finish, finish_and_more)
WAYS = (over, instead, ledger_only)
EVERYTHING = list(product(MOMENTS, STORIES, WAYS))


def put_back(
    bench: Bench, before: Step, meanwhile: Step, way: Callable[[Study, Path], None]
) -> Study:
    """Live until the backup, then on, then put it back; let a new process work for an hour."""
    study = bench.study()
    before(bench, study)
    bench.stop()
    old = shutil.copytree(study.root, bench.root / "old")
    meanwhile(bench, study)
    bench.stop()
    # What was asked for as long as the marker was really gone may still take effect.
    on_vip, asked = bench.vip_files(), bench.count("DELETE")
    way(study, old)
    no_marker = not study.marker.exists() and meanwhile in (finish, more_and_finish)
    bench.run(3600)
    bench.rest()
    assert bench.count("DELETE") == asked or no_marker
    assert set(bench.vip_files()) >= set(on_vip)
    return study


def check(bench: Bench, study: Study) -> None:
    """Nothing was launched twice; once the marker is really deleted, VIP is emptied after the rest."""
    launched = Counter(signal for signals in bench.executions() for signal in signals)
    assert set(launched.values()) <= {1}
    there = {Path(name).name for name in bench.vip_files() if "/OUTPUTS/" in name}
    if study.phase() is Phase.OPEN and study.marker.exists() and bench.sessions_on_vip():
        assert {p.name for p in study.root.glob("outputs/*/*.tgz")} >= there
        study.marker.unlink()
        bench.until(lambda: study.phase() is Phase.CLOSED)
        assert bench.sessions_on_vip() == []


def names(case: object) -> str:
    return getattr(case, "__name__", str(case)).strip("_")


@pytest.mark.parametrize(
    ("before", "meanwhile", "way"),
    [
        (closed, more_running, over),
        (open_, finish_and_more, instead),
        (running, more_and_finish, over),
        (finishing, more, instead),
        (finishing, finish_and_more, over),
        (removing, finish_and_more, instead),
        (removing, more_running, ledger_only),
        (closed_again, more, instead),
    ],
    ids=names,
)
def test_an_old_backup_removes_and_launches_nothing(
    make_bench: Callable[..., Bench],
    before: Step,
    meanwhile: Step,
    way: Callable[[Study, Path], None],
) -> None:
    """Whatever the ledger no longer knows, VIP is asked first: executions are found by their name."""
    bench = make_bench(removal_delay=30.0)
    check(bench, put_back(bench, before, meanwhile, way))


@pytest.mark.nightly
@pytest.mark.parametrize(("before", "meanwhile", "way"), EVERYTHING, ids=names)
def test_any_old_backup_removes_and_launches_nothing(
    make_bench: Callable[..., Bench],
    before: Step,
    meanwhile: Step,
    way: Callable[[Study, Path], None],
) -> None:
    """The same for every moment of a session, every story after it and every way back."""
    bench = make_bench(removal_delay=30.0)
    check(bench, put_back(bench, before, meanwhile, way))


def test_an_end_that_the_backup_remembers_is_taken_back(bench: Bench) -> None:
    """The ledger says "finishing", but knows not all executions: a new marker is written."""
    study = put_back(bench, finishing, more, instead)
    assert study.phase() is Phase.OPEN
    assert study.marker.exists()
    assert bench.vip_files()["study/INPUTS/b.mrui"] == b"two"  # the last copy there is
    assert list(study.outputs()) == ["1/b.mrui.tgz/b.txt"]
    study.marker.unlink()
    bench.rest()
    assert study.phase() is Phase.CLOSED


def test_a_marker_that_came_back_after_the_end_is_said_to_mean_nothing(bench: Bench) -> None:
    """Nothing is made or removed on VIP; the status says that the file may be deleted."""
    study = bench.study(a="one")
    bench.rest()
    content = study.marker.read_bytes()
    study.marker.unlink()
    bench.rest()
    before = bench.changes()
    study.marker.write_bytes(content)
    bench.rest()
    bench.run(60)
    assert study.says("nothing of this session is on VIP. It may be deleted")
    assert study.phase() is Phase.CLOSED
    study.marker.unlink()
    bench.rest()
    assert study.notices == []
    assert bench.changes() == before


def test_a_closed_ledger_beside_a_marker_is_opened(bench: Bench) -> None:
    """A case was run again after the backup: its execution is followed, and the marker means it."""
    study = bench.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    bench.stop()
    old = shutil.copytree(study.root, bench.root / "old")
    bench.job_seconds = lambda _job: 300.0
    study.ask("rerun")
    bench.until(lambda: len(bench.executions()) == 2)
    bench.stop()
    ledger_only(study, old)
    bench.rest()
    assert study.phase() is Phase.OPEN
    assert len(study.outputs()) == 2
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert bench.executions() == [["a.mrui"], ["a.mrui"]]


def test_a_removal_that_the_backup_remembers_is_not_asked_for_beside_a_marker(
    make_bench: Callable[..., Bench],
) -> None:
    """Without executions only the marker tells: it is there, so nothing is removed, which is said."""
    bench = make_bench(removal_delay=30.0)
    study = bench.study(settings=UPLOAD_ONLY, a="one")
    bench.rest()
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    bench.stop()
    old = shutil.copytree(study.root, bench.root / "old")
    bench.rest()
    study.drop(b="two")
    bench.rest()
    bench.stop()
    before = bench.vip_files()
    ledger_only(study, old)
    bench.rest()
    bench.run(1200)
    assert study.says("The marker is back")
    assert bench.vip_files() == before
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert bench.sessions_on_vip() == []


def test_older_settings_start_nothing_again(bench: Bench) -> None:
    """settings.toml comes back from a backup: what ran stays, the difference is reported."""
    study = bench.study(a="one")
    study.write({"p.txt": "1"})
    bench.rest()
    study.settings.write_text(SETTINGS + 'parameters = "p.txt"\n')
    study.drop(b="two")
    bench.rest()
    before = bench.changes()
    study.settings.write_text(SETTINGS)
    bench.rest()
    bench.run(60)
    assert bench.changes() == before
    assert study.says("1 of 2 cases ran with older settings")
