"""What is in a result is read from that result, whoever else may write in its folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from vipsync.disk.mirror import stamp
from vipsync.disk.own_files import OwnFiles
from vipsync.errors import DiskError
from vipsync.model import RelPath
from vipsync.results.descriptions import Descriptions
from vipsync.results.facts import Description, File, Piece
from vipsync.results.tables import Table

LOCAL = RelPath("e1/r.tgz")


def result(root: Path, text: str = "a,b\n1,2\n") -> Path:
    """Make a result of three files, one of them a table; return its folder."""
    folder = root / LOCAL
    folder.mkdir(parents=True)
    for name in ("1.bin", "2.csv", "3.bin"):
        (folder / name).write_text(text)
    return folder


def described(root: Path, stop: Callable[[], None] = lambda: None) -> Descriptions:
    """Return what knows the results of a session folder."""
    return Descriptions(root / "outputs", root / ".vipsync" / "previews", stop)


def piece_of(root: Path) -> Piece:
    """Return its result, as it looks now."""
    return Piece(LOCAL, stamp(root / "outputs" / LOCAL) or "", unpacked=True)


def test_a_result_that_is_exchanged_while_it_is_read_is_not_described(tmp_path: Path) -> None:
    """A link to a private folder stands in its place for a moment, between two looks at it."""
    folder = result(tmp_path / "study" / "outputs")
    private = result(tmp_path / "private", "secret")
    piece, calls = piece_of(tmp_path / "study"), iter(range(100))

    def swap() -> None:
        number = next(calls)
        if number == 0:
            folder.parent.rename(tmp_path / "aside")
            folder.parent.symlink_to(private.parent)
        if number == 2:
            folder.parent.unlink()
            (tmp_path / "aside").rename(folder.parent)

    with pytest.raises(DiskError, match="is a link"):
        described(tmp_path / "study", swap).of(piece)


FORGED: dict[str, Description] = {
    "picture": Description(mosaics=((f"{LOCAL}/x.nii", "/etc/passwd"),)),
    "picture above": Description(mosaics=((f"{LOCAL}/x.nii", "../../private"),)),
    "table": Description(tables=((f"{LOCAL}/../../../private.csv", Table((), ())),)),
    "file": Description(files=(File(f"{LOCAL}/../../../private.csv", 1, "0"),)),
    "file of the machine": Description(files=(File("/etc/x.csv", 1, "0"),)),
    "file of another result": Description(files=(File(f"{LOCAL}2/x.csv", 1, "0"),)),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_somebody_else_has_written_is_made_anew(tmp_path: Path, forged: Description) -> None:
    """What is kept of a result names that result and its own pictures alone."""
    result(tmp_path / "outputs")
    piece = piece_of(tmp_path)
    true = described(tmp_path).of(piece)
    assert true is not None
    (kept,) = (tmp_path / ".vipsync" / "previews").glob("*.json")
    kept.write_bytes(msgspec.json.encode(forged))
    assert described(tmp_path).of(piece) == true
    assert described(tmp_path).of(piece) == true


@pytest.mark.parametrize("at", ["outputs/e1/logs", "outputs/e1", "outputs"])
def test_no_log_is_shown_through_a_link(tmp_path: Path, at: str) -> None:
    """Another session, which only this account may read, has logs of the same names."""
    log, place = RelPath("e1/logs/job-1.stderr.txt"), tmp_path / "study" / at
    for root, text in (("study", "mine"), ("private", "private")):
        path = tmp_path / root / "outputs" / log
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert described(tmp_path / "study").tail(log, 5) == "mine"
    place.rename(tmp_path / "aside")
    place.symlink_to(tmp_path / "private" / at)
    assert described(tmp_path / "study").tail(log, 5) == ""


def test_no_table_is_joined_through_a_link(tmp_path: Path) -> None:
    """Whatever the table is of, and wherever the link stands."""
    result(tmp_path / "private")
    (tmp_path / "study" / "outputs").mkdir(parents=True)
    (tmp_path / "study" / "outputs" / "e1").symlink_to(tmp_path / "private" / "e1")
    own = OwnFiles(tmp_path / "study" / "outputs", tmp_path / "record", tmp_path / "study")
    with pytest.raises(DiskError, match="is a link"):
        own.read(RelPath(f"{LOCAL}/2.csv"))
