"""What people get of the results, on the whole system: made when something changed, in nobody's way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab.bench import Bench, Study
from tests.lab.findings import findings
from tests.lab.full_disk import refusing_disk
from tests.lab.served import Caller, Served
from vipsync.disk.own_files import OwnFiles
from vipsync.local import Job
from vipsync.model import replace
from vipsync.names import BACKUP
from vipsync.plan.snapshot import Snapshot
from vipsync.record.backup import Backup, Places, exported
from vipsync.results import gallery as room
from vipsync.results import previews
from vipsync.results.facts import Facts, facts_of
from vipsync.results.gallery import EVERY, Gallery
from vipsync.rows import Changes, State
from vipsync.status.publish import Publisher


@pytest.fixture
def study(bench: Bench) -> Study:
    """Return a session with results, two of its jobs failed."""
    made = findings(bench, volumes=False)
    bench.rest()
    return made


@pytest.fixture
def drawn(bench: Bench) -> Study:
    """Return a session with volumes among its results."""
    made = findings(bench)
    bench.rest()
    return made


def page_of(study: Study) -> Path:
    """Return where the page of a session lies."""
    return study.root / "outputs" / "index.html"


def again(study: Study, publisher: Publisher | None = None) -> Publisher:
    """Let another process go on."""
    study.bench.restart()
    made = publisher or Publisher(Gallery())
    study.bench.publish = made.publish
    study.bench.rest()
    return made


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Return the moments of which something is made from now on."""
    made: list[Snapshot] = []
    keep = facts_of

    def facts(snapshot: Snapshot) -> Facts:
        made.append(snapshot)
        return keep(snapshot)

    monkeypatch.setattr("vipsync.results.gallery.facts_of", facts)
    return made


def test_our_files_are_no_results(study: Study) -> None:
    """They are neither listed nor counted, and hold nothing up: the session ends with VIP empty."""
    names = {r.local.rpartition("/")[2] for r in study.state.results.values()}
    assert names.isdisjoint({"index.html", "descriptor.json", "ro-crate-metadata.json"})
    study.marker.unlink()
    study.bench.rest()
    assert study.bench.sessions_on_vip() == []
    assert page_of(study).exists()


def test_at_rest_nothing_is_made(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while, nor in the next process where nothing has changed but the time."""
    made = counted(monkeypatch)
    before = page_of(study).read_bytes()
    study.bench.run(2000)
    assert made == []
    assert page_of(study).read_bytes() == before


def test_while_much_goes_on_little_is_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in a while, and at the end."""
    made = counted(monkeypatch)
    study = findings(bench, volumes=False)
    bench.rest()
    times = [snapshot.now for snapshot in made]
    assert all(b - a >= EVERY for a, b in pairwise(times[:-1]))
    assert "3 done, 2 failed" in page_of(study).read_text("utf-8")


def test_what_there_is_to_show_is_worked_out_where_it_is_made(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the moment at which it was ordered, whatever changes after: the loop's thread only orders it."""
    made, later = counted(monkeypatch), list[Callable[[], None]]()
    again(study, Publisher(Gallery(later=later.append)))
    results = dict(study.state.results)
    assert results
    assert made == []
    study.state.apply(Changes(drop=tuple(results.values())))
    later[0]()
    assert [snapshot.state.results for snapshot in made] == [results]


def test_exports_are_made_anew_only_for_what_they_rest_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is as long as the ledger, and every look would make it; one that is gone comes back."""
    publisher, made = again(study), list[State]()

    def export(state: State, places: Places) -> Backup:
        made.append(state)
        return exported(state, places)

    monkeypatch.setattr("vipsync.status.publish.exported", export)
    study.notice()
    study.bench.rest()
    assert made == []
    (study.root / "outputs" / BACKUP).unlink()
    study.notice()
    study.bench.rest()
    assert made != []
    assert (study.root / "outputs" / BACKUP).exists()
    assert publisher.status is not None


def test_a_page_that_was_deleted_comes_back(study: Study) -> None:
    """As results do."""
    page_of(study).unlink()
    study.notice()
    study.bench.rest()
    assert page_of(study).exists()


def test_a_page_of_a_persons_own_stays_until_it_has_gone(bench: Bench) -> None:
    """It is said in STATUS.txt, which asks for nothing."""
    study = findings(bench, volumes=False)
    page_of(study).parent.mkdir()
    page_of(study).write_text("my own page")
    bench.rest()
    assert page_of(study).read_text() == "my own page"
    assert "outputs/index.html: vipsync did not write this" in (
        study.root / "STATUS.txt"
    ).read_text("utf-8")
    page_of(study).unlink()
    study.notice()
    bench.rest()
    assert "<title>study: results</title>" in page_of(study).read_text("utf-8")


def test_what_was_found_out_of_a_result_is_kept(
    drawn: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process draws nothing again, and shows the same."""
    before = page_of(drawn).read_text("utf-8").partition("<footer>")[0]
    made: list[Path] = []
    monkeypatch.setattr(previews, "mosaic", lambda path, *_, **__: made.append(path))
    page_of(drawn).unlink()
    again(drawn)
    assert made == []
    assert page_of(drawn).read_text("utf-8").partition("<footer>")[0] == before


def test_what_is_kept_of_a_result_goes_with_it(drawn: Study) -> None:
    """One that was changed is no longer shown as what came."""
    kept = drawn.root / ".vipsync" / "previews"
    assert len(list(kept.glob("*.png"))) == 3
    drawn.result("sub-01.mrui.nii.gz").write_bytes(b"mine")
    drawn.notice()
    drawn.bench.rest()
    assert len(list(kept.glob("*.png"))) == 2
    assert "changed on this machine" in page_of(drawn).read_text("utf-8")


def test_a_page_is_written_before_everything_was_looked_at(bench: Bench) -> None:
    """Where that takes long: the others are named, and follow."""
    study = findings(bench, volumes=False)
    slow = Gallery(ended=lambda: bench.loop.notice(study.root))
    own: list[str] = []
    keep = slow._make

    def make(order: room.Order) -> bool:
        times = iter(range(0, 10_000, 15))  # each result takes 15 s
        done = keep(replace(order, clock=lambda: float(next(times))))
        own.append(page_of(study).read_text("utf-8"))
        return done

    slow._make = make  # type: ignore[method-assign]
    bench.publish = Publisher(slow).publish
    bench.rest()
    assert any("is shown here soon" in text for text in own)
    assert "is shown here soon" not in own[-1]
    assert len(own) > 3


def test_a_fault_on_the_page_stops_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results come, the session ends, and the log says what went wrong."""

    def fault(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(room, "page", fault)
    study = findings(bench, volumes=False)
    bench.rest()
    assert len(list((study.root / "outputs").glob("*/*.pdf"))) == 3
    study.marker.unlink()
    bench.rest()
    assert study.bench.sessions_on_vip() == []


def test_a_page_that_a_full_disk_refused_is_written_later(bench: Bench) -> None:
    """Once there is room again; until then all else goes on, and nothing is tried without a pause."""
    study = findings(bench, volumes=False)
    with refusing_disk(study.root) as disk:
        disk.refuses = lambda _number: "index.html" in disk.paths[-1]
        bench.rest()
        assert not page_of(study).exists()
        assert len(list((study.root / "outputs").glob("*/*.pdf"))) == 3
        assert 1 <= len(disk.refused) < 10
        disk.refuses = lambda _number: False
        bench.run(2 * EVERY)
        study.notice()
        bench.rest()
    assert page_of(study).exists()


def test_results_that_lie_elsewhere_have_their_volumes_in_the_page(
    bench: Bench, tmp_path: Path
) -> None:
    """No way leads from there to the session folder, and none is told."""
    study = findings(bench)
    elsewhere = tmp_path / "elsewhere"
    study.settings.write_text(
        study.settings.read_text() + f'\n[outputs]\ndirectory = "{elsewhere}"\n'
    )
    bench.rest()
    text = (elsewhere / "index.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert "../" not in text
    assert str(tmp_path) not in text


def test_without_what_draws_volumes_the_page_says_how_to_have_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is there."""
    monkeypatch.setattr(previews, "possible", lambda: False)
    study = findings(bench)
    bench.rest()
    text = page_of(study).read_text("utf-8")
    assert "shows slices of NIfTI files here" in text
    assert "spectrum.svg" in text
    monkeypatch.undo()
    again(study)
    assert "shows slices of NIfTI files here" not in page_of(study).read_text("utf-8")
    assert page_of(study).read_text("utf-8").count("previews/") == 3


# joined tables


def test_a_table_that_every_case_has_becomes_one(study: Study) -> None:
    """With the case in the first column, and of those that failed nothing."""
    lines = (study.root / "outputs" / "all-peaks.csv").read_text("utf-8").splitlines()
    assert lines[0] == "case,ppm,height,usually"
    assert {line.partition(",")[0] for line in lines[1:]} == {
        *("sub-01.mrui", "sub-02.mrui", "été 1.mrui")
    }
    assert (study.root / "outputs" / "all-table.csv").exists()
    assert "all-peaks.csv" in page_of(study).read_text("utf-8")


def test_a_joined_table_goes_where_a_new_case_does_not_fit(study: Study) -> None:
    """A table that lacks a case would be taken for all of them."""
    work = study.bench.runner.work

    def other(job: Job) -> dict[str, bytes]:
        return {**work(job), "table": b"nothing"}  # type: ignore[dict-item]

    study.bench.runner.work = other
    shutil.copy(study.root / "inputs" / "sub-01.mrui", study.root / "inputs" / "sub-09.mrui")
    study.bench.rest()
    assert "sub-09.mrui" in (study.root / "outputs" / "all-peaks.csv").read_text("utf-8")
    assert not (study.root / "outputs" / "all-table.csv").exists()
    assert "all-table.csv" not in page_of(study).read_text("utf-8")


def test_a_joined_table_that_a_person_changed_stays(study: Study) -> None:
    """Also where it no longer holds."""
    table = study.root / "outputs" / "all-peaks.csv"
    table.write_text("my own")
    study.ask("rerun", "sub-01.mrui")
    study.bench.rest()
    assert table.read_text() == "my own"


# in a process of its own


@pytest.mark.parametrize("once", [True, False])
def test_run_makes_the_page(served: Served, call: Caller, *, once: bool) -> None:
    """Once, or for as long as it stays."""
    root = served.study(a="one", b="two")
    page = root / "outputs" / "index.html"
    if once:
        assert call("run", "--once", root).code == 0
        assert "2 done" in page.read_text("utf-8")
        return
    with served.process("run", root):
        wait_for(lambda: page.exists() and "2 done" in page.read_text("utf-8"))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened in another process; the test's own limit ends it."""
    import time

    while not condition():
        time.sleep(0.05)


def test_the_end_of_a_process_waits_for_no_picture(bench: Bench) -> None:
    """What is under way is left, and made by the next one."""
    study = findings(bench, volumes=False)
    gallery = Gallery(stopping=lambda: True)
    bench.publish = Publisher(gallery).publish
    bench.rest()
    assert not page_of(study).exists()
    assert gallery.is_done
    again(study)
    assert page_of(study).exists()


def test_a_folder_that_was_exchanged_is_not_written_into(study: Study) -> None:
    """A making that began before must not end in another session's folder."""
    own = OwnFiles(study.root / "outputs", study.root / ".vipsync" / "own_files.json", study.root)
    later: list[Callable[[], None]] = []
    gallery = Gallery(later.append)
    gallery.publish(study.session, own)
    page_of(study).unlink()
    identity = study.root / ".vipsync" / "session.json"
    identity.write_text(identity.read_text().replace(study.state.session.id, "0123456789"))
    (make,) = later
    make()
    assert not page_of(study).exists()
