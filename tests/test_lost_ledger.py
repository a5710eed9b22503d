"""The ledger goes, shrinks or grows old, while vipsync works and between: nothing is launched twice or lost."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

from tests.lab.bench import Bench, Study
from tests.lab.builders import CLOSED, known
from vipsync.errors import FolderError
from vipsync.local import FOR_EVER, Kind
from vipsync.record.ledger import Ledger, read_state
from vipsync.rows import Changes, Verdict
from vipsync.status.publish import Publisher
from vipsync.status.summary import status_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")

Attack = Callable[[Path], None]
"""What somebody does to `.vipsync`."""


def ledger(hidden: Path) -> Path:
    return hidden / "ledger.sqlite"


def emptied(hidden: Path) -> None:
    os.truncate(ledger(hidden), 0)


def halved(hidden: Path) -> None:
    os.truncate(ledger(hidden), ledger(hidden).stat().st_size // 2)


def all_emptied(hidden: Path) -> None:
    for path in hidden.glob("ledger.sqlite*"):
        os.truncate(path, 0)


def removed(hidden: Path) -> None:
    ledger(hidden).unlink()


def all_removed(hidden: Path) -> None:
    for path in hidden.glob("ledger.sqlite*"):
        path.unlink()


def folder_removed(hidden: Path) -> None:
    shutil.rmtree(hidden)


def older(hidden: Path) -> None:
    """Put the ledger of before in its place."""
    all_removed(hidden)
    for path in hidden.parent.with_name("old").glob("ledger.sqlite*"):
        shutil.copy(path, hidden / path.name)


def older_within(hidden: Path) -> None:
    """Write the ledger of before into the file that is there."""
    content = (hidden.parent.with_name("old") / "ledger.sqlite").read_bytes()
    ledger(hidden).write_bytes(content)


def older_folder(hidden: Path) -> None:
    shutil.rmtree(hidden)
    shutil.copytree(hidden.parent.with_name("old"), hidden)


ATTACKS = (
    emptied,
    halved,
    all_emptied,
    removed,
    all_removed,
    folder_removed,
    older,
    older_within,
    older_folder,
)


def uploading(bench: Bench, _study: Study) -> None:
    """Send its file, and no more."""
    bench.until(lambda: bench.count("PUT /path/vip/Home/API/study/INPUTS/a.mrui"))


def starting(bench: Bench, _study: Study) -> None:
    """Ask VIP for the launch."""
    bench.until(lambda: bench.count("POST"))


def running(bench: Bench, study: Study) -> None:
    """Let its execution run."""
    starting(bench, study)
    bench.run(30)


def ended(bench: Bench, _study: Study) -> None:
    """Wait for its result."""
    bench.rest()


def closed(bench: Bench, study: Study) -> None:
    """Delete the marker, and see VIP emptied."""
    bench.rest()
    study.marker.unlink()
    bench.rest()


MOMENTS = (uploading, starting, running, ended, closed)


def names(case: object) -> str:
    return getattr(case, "__name__", str(case)).strip("_")


@pytest.fixture
def study(bench: Bench) -> Study:
    """Return a session with a case, beside a copy of its `.vipsync` that knows nothing of it."""
    bench.job_seconds = lambda _job: 120.0
    bench.publish = Publisher().publish
    study = bench.study()
    bench.rest()
    bench.stop()
    shutil.copytree(study.root / ".vipsync", study.root.with_name("old"))
    bench.run(15)
    study.drop(a="one")
    return study


def follow_advice(bench: Bench, study: Study) -> None:
    """Do what a person is told to do with a session that is halted."""
    for number in range(2):
        if study.says("rename the .vipsync folder"):
            (study.root / ".vipsync").rename(study.root / f"damaged-{number}")
        bench.restart()
        bench.run(600)
    bench.rest()
    assert study.trouble() is None


def check(bench: Bench, study: Study, removed: int) -> None:
    """Require one launch of the case, or that it counts as launched; nothing removed from VIP, or lost."""
    launched = Counter(signal for some in bench.executions() for signal in some)
    before = any(row.verdict is Verdict.BEFORE for row in study.state.judged.values())
    assert launched["a.mrui"] == 1 or (before and not launched)
    assert bench.count("DELETE") == removed
    assert len(study.outputs()) == launched["a.mrui"]
    study.drop(b="two")
    bench.run(600)
    bench.rest()
    launched = Counter(signal for some in bench.executions() for signal in some)
    assert launched["b.mrui"] == 1
    assert launched["a.mrui"] <= 1
    assert len(study.outputs()) == launched.total()


OFTEN = (
    (starting, older, "meanwhile"),
    (running, all_emptied, "meanwhile"),
    (ended, folder_removed, "meanwhile"),
    (closed, halved, "between"),
)
EVERY = [
    pytest.param(*one, marks=() if one in OFTEN else pytest.mark.nightly)
    for one in product(MOMENTS, ATTACKS, ("meanwhile", "between"))
]


@pytest.mark.parametrize(("moment", "attack", "when"), EVERY, ids=names)
def test_a_ledger_that_goes_costs_nothing(
    bench: Bench,
    study: Study,
    moment: Callable[[Bench, Study], None],
    attack: Attack,
    when: str,
) -> None:
    """No case is launched twice, nothing is removed from VIP, each result comes."""
    moment(bench, study)
    removed = bench.count("DELETE")
    if when == "between":
        bench.stop()
    attack(study.root / ".vipsync")
    bench.run(600)
    follow_advice(bench, study)
    check(bench, study, removed)


def test_a_launch_in_doubt_is_not_forgotten_with_the_ledger(bench: Bench, study: Study) -> None:
    """VIP shows it only later: it is looked for by its name, as with the ledger that knew it."""
    bench.world.faults.arm(Kind.ANSWER_LOST, "POST /rest/executions")
    starting(bench, study)
    bench.world.faults.arm(Kind.REFUSED, "GET /rest/executions", times=FOR_EVER)
    bench.run(5)
    older(study.root / ".vipsync")
    bench.run(20)
    assert study.says("not known yet whether VIP took this launch")
    bench.world.faults.clear()
    bench.run(600)
    check(bench, study, 0)


@pytest.mark.parametrize("more", [False, True])
def test_a_ledger_lost_before_anything_was_on_vip_leaves_a_way_on(
    bench: Bench, study: Study, *, more: bool
) -> None:
    """Only the marker was written: what to do is said, and doing it starts the cases."""
    bench.until(study.marker.exists)
    bench.die()
    for path in (study.root / ".vipsync").glob("ledger*"):
        path.unlink()
    if more:
        study.drop(z="last")
    bench.rest()
    assert study.says("delete ON_VIP.txt; then `vipsync launch DIR CASE` starts what did not run")
    assert bench.executions() == []
    study.marker.unlink()
    bench.run(60)
    bench.rest()
    plan, snapshot = study.session.plan, study.session.snapshot
    assert plan
    assert snapshot
    assert (
        "before this folder was adopted; `vipsync launch"
        in status_of(snapshot, plan, "/s").sentence
    )
    study.ask("launch", "a.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


def _commit_without_memory(path: Path) -> None:
    ledger = Ledger(path, CLOSED)
    for number in range(3):
        os.truncate(f"{path}-shm", 0)
        ledger.commit(Changes(put=(known(f"{number}.dat", "one"),)))
    os.truncate(f"{path}-shm", 0)
    with ledger.together():
        ledger.commit(Changes(put=(known("3.dat", "one"),)))
    os.truncate(f"{path}-shm", 0)
    ledger.close()


def _lose_memory_in_a_transaction(path: Path) -> None:
    ledger = Ledger(path, CLOSED)
    ledger.commit(Changes(put=(known("0.dat", "one"),)))
    with suppress(FolderError), ledger.together():
        os.truncate(f"{path}-shm", 0)
        ledger.commit(Changes(put=(known("1.dat", "one"),)))
        os.truncate(f"{path}-shm", 0)
    ledger.close()


@pytest.mark.parametrize(
    ("work", "kept"), [(_commit_without_memory, 4), (_lose_memory_in_a_transaction, 1)]
)
def test_memory_that_is_cut_off_ends_no_process(
    tmp_path: Path, work: Callable[[Path], None], kept: int
) -> None:
    """A copy that is put over a ledger cuts its shared memory off: what was committed stays, all goes on."""
    path = tmp_path / "ledger.sqlite"
    process = multiprocessing.get_context("fork").Process(target=work, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert len(read_state(path).known) >= kept
