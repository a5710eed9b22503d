"""Files of our own among results: written anew as long as they are ours, never in a person's way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from vipsync.disk.own_files import OwnFiles
from vipsync.model import RelPath
from vipsync.status.publish import Publisher

PAGE = RelPath("index.html")


@pytest.fixture
def own(tmp_path: Path) -> OwnFiles:
    """Files of ours in a folder of results."""
    (tmp_path / "outputs").mkdir()
    (tmp_path / ".vipsync").mkdir()
    return OwnFiles(tmp_path / "outputs", tmp_path / ".vipsync" / "own_files.json", tmp_path)


def again(own: OwnFiles) -> OwnFiles:
    """Return what another process knows of the same folder."""
    return OwnFiles(own.root, own.root.parent / ".vipsync" / "own_files.json", own.root.parent)


def test_what_we_wrote_is_written_anew(own: OwnFiles) -> None:
    """Also by a process that comes later."""
    assert own.write(PAGE, b"one")
    assert again(own).write(PAGE, b"two")
    assert (own.root / PAGE).read_bytes() == b"two"


def test_a_process_that_dies_after_the_record_was_written_leaves_a_file_that_is_known(
    own: OwnFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old content still lies there: it is ours as well."""

    def die(path: Path, _content: bytes, _below: Path | None = None) -> None:
        raise KeyboardInterrupt(path)

    own.write(PAGE, b"one")
    keep = OwnFiles._save

    def kept_then_dead(self: OwnFiles, record: dict[RelPath, object]) -> None:
        keep(self, record)  # type: ignore[arg-type]
        monkeypatch.setattr("vipsync.disk.own_files.write_atomic", die)

    monkeypatch.setattr(OwnFiles, "_save", kept_then_dead)
    with pytest.raises(KeyboardInterrupt):
        own.write(PAGE, b"two")
    monkeypatch.undo()
    assert again(own).write(PAGE, b"three")


def somebodys(path: Path) -> None:
    path.write_bytes(b"somebody's")


def linked(path: Path) -> None:
    path.unlink(missing_ok=True)
    (path.parent / "elsewhere").write_bytes(b"one")
    path.symlink_to("elsewhere")


def foldered(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize("put", [somebodys, linked, foldered])
@pytest.mark.parametrize("wrote", [True, False])
def test_what_is_somebodys_is_left_alone_and_told(
    own: OwnFiles, put: Callable[[Path], None], *, wrote: bool
) -> None:
    """Whether we wrote there before or not; once it has gone, ours is written."""
    if wrote:
        own.write(PAGE, b"one")
    put(own.root / PAGE)
    looks = (own.root / PAGE).lstat()
    assert not own.write(PAGE, b"two")
    own.withdraw(PAGE)
    assert (own.root / PAGE).lstat() == looks
    assert not own.write(PAGE, b"two")
    assert list(own.foreign) == [PAGE]
    (own.root / PAGE).rename(own.root / "mine")
    assert own.write(PAGE, b"two")
    assert not own.foreign


def test_what_no_longer_holds_is_taken_away(own: OwnFiles) -> None:
    """A file of ours goes, and is no longer known."""
    own.write(PAGE, b"one")
    again(own).withdraw(PAGE)
    assert not (own.root / PAGE).exists()
    assert own.written() == frozenset()


def test_a_file_is_current_as_long_as_it_is_there_and_rests_on_the_same(own: OwnFiles) -> None:
    """Nothing needs to be made to know that."""
    own.write(PAGE, b"one", "basis")
    assert again(own).is_current(PAGE, "basis")
    assert not again(own).is_current(PAGE, "other")
    (own.root / PAGE).unlink()
    assert not own.is_current(PAGE, "basis")


def test_a_record_that_cannot_be_read_makes_nothing_ours(own: OwnFiles) -> None:
    """What lies there stays as it is."""
    own.write(PAGE, b"one")
    (own.root.parent / ".vipsync" / "own_files.json").write_bytes(b"[[[")
    assert not again(own).write(PAGE, b"two")


def test_a_table_that_a_person_changed_is_left_alone_and_said(bench: Bench) -> None:
    """Until it has gone; one of a time without a record is ours."""
    publisher = Publisher()
    bench.publish = publisher.publish
    study = bench.study(a="one")
    bench.rest()
    table = study.root / "outputs" / "results.csv"
    (study.root / ".vipsync" / "own_files.json").unlink()
    study.drop(b="two")
    bench.rest()
    assert "b.mrui" in table.read_text()
    table.write_text("my own table")
    study.drop(c="three")
    bench.rest()
    assert table.read_text() == "my own table"
    assert "outputs/results.csv: vipsync did not write this" in (
        study.root / "STATUS.txt"
    ).read_text("utf-8")
    assert publisher.status is not None
    assert publisher.status.exit_code == 0
    table.rename(table.with_name("mine.csv"))
    study.notice()
    bench.rest()
    assert "c.mrui" in table.read_text()
    assert "vipsync did not write" not in (study.root / "STATUS.txt").read_text("utf-8")
