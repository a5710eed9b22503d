"""Files of our own where others may write: read within bounds, written through no link."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import endless
from vipsync.disk.files import (
    clear,
    entered,
    make_inside,
    open_own,
    private_folder,
    read_document,
    read_small,
    share,
    write_atomic,
)
from vipsync.errors import DiskError


def large(path: Path) -> None:
    """Make a file of 10 GiB without a byte in it."""
    with path.open("wb") as file:
        file.truncate(10 << 30)


def link(path: Path) -> None:
    """Make a link to a small file."""
    path.with_name("small").write_text("{}")
    path.symlink_to("small")


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a pipe"),
    "folder": (Path.mkdir, "a folder"),
    "link": (link, "a link"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "a link"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "a link"),
    "large": (large, "more than"),
}


@pytest.mark.parametrize(("make", "said"), ODD.values(), ids=ODD)
def test_only_a_regular_file_of_its_size_is_read(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    """Whatever else has its name: it is told what it is, at once."""
    make(tmp_path / "odd")
    with pytest.raises(OSError, match=said) as caught:
        read_small(tmp_path / "odd")
    assert caught.value.filename == str(tmp_path / "odd")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "3"])
def test_what_is_no_document_is_a_value_error(tmp_path: Path, text: str) -> None:
    """Never another error, so that each reader knows what it may meet."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError):
        read_document(tmp_path / "a.json", dict)


def test_a_document_may_hold_names_that_are_no_text(tmp_path: Path) -> None:
    """As those of folders on a disk from elsewhere."""
    (tmp_path / "a.json").write_text('{"path": "caf\\udce9"}')
    assert read_document(tmp_path / "a.json", dict) == {"path": "caf\udce9"}


@pytest.mark.parametrize("where", ["above", "itself"])
def test_nothing_is_written_through_a_link(tmp_path: Path, where: str) -> None:
    """Not into a folder that a link leads to; a link that has the file's name is replaced."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    for folder in (outside, root):
        folder.mkdir()
    (outside / "file").write_text("theirs")
    if where == "above":
        (root / "sub").symlink_to(outside)
        with pytest.raises(DiskError, match="is a link"):
            write_atomic(root / "sub" / "file", b"ours", root)
        with pytest.raises(DiskError, match="is a link"):
            make_inside(root / "sub" / "more", root)
    else:
        (root / "file").symlink_to(outside / "file")
        write_atomic(root / "file", b"ours", root)
        assert (root / "file").read_bytes() == b"ours"
    assert [p.name for p in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "theirs"


def test_a_folder_stays_the_one_that_was_opened(tmp_path: Path) -> None:
    """A link that takes its name in the middle of the work leads nothing elsewhere."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    with entered(tmp_path / "root" / "sub", tmp_path / "root") as place:
        (tmp_path / "root" / "sub").rename(tmp_path / "root" / "away")
        (tmp_path / "root" / "sub").symlink_to(tmp_path / "outside")
        (place / "file").write_text("ours")
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "root" / "away" / "file").read_text() == "ours"


@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "folder"])
def test_what_is_not_ours_alone_is_not_written_to(tmp_path: Path, kind: str) -> None:
    """A log or a download that is gone on with could be somebody else's file."""
    theirs, path = tmp_path / "theirs", tmp_path / "log"
    theirs.write_text("theirs")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to(theirs),
        "second name": lambda: path.hardlink_to(theirs),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()
    with pytest.raises(DiskError):
        open_own(path, "ab")
    assert theirs.read_text() == "theirs"


def test_only_what_lies_there_is_cleared(tmp_path: Path) -> None:
    """A link goes, what it leads to stays, and nothing is no error."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("a", "b", "none"):
        clear(tmp_path / name)
    assert [p.name for p in tmp_path.rglob("*")] == ["outside", "file"]


def test_errors_name_the_folder_as_people_know_it(tmp_path: Path) -> None:
    """Not by the number of a handle."""
    (tmp_path / "sub").mkdir()
    with (
        pytest.raises(FileNotFoundError) as caught,
        entered(tmp_path / "sub", tmp_path) as place,
    ):
        (place / "none").read_bytes()
    assert caught.value.filename == str(tmp_path / "sub" / "none")


def test_only_what_was_made_is_given_to_the_group(tmp_path: Path) -> None:
    """A link that came in its place changes no rights of what it leads to; a file and a folder get theirs."""
    tmp_path.chmod(0o2775)
    private, mine, folder = tmp_path / "private", tmp_path / "mine", tmp_path / "folder"
    private.write_text("x")
    mine.write_text("x")
    folder.mkdir()
    for path, mode in ((private, 0o644), (mine, 0o644), (folder, 0o2755)):
        path.chmod(mode)
    (tmp_path / "link").symlink_to(private)
    assert [share(path) for path in (tmp_path / "link", mine, folder)] == [False, True, True]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (private, mine, folder)]
    assert modes == [0o644, 0o664, 0o2775]


def test_a_private_folder_gives_its_rights_to_nothing_else(tmp_path: Path) -> None:
    """A link that came in its place meanwhile."""
    private = tmp_path / "private"
    private.write_text("x")
    private.chmod(0o600)

    def swapped() -> None:
        with private_folder(tmp_path / "made") as made:
            made.rmdir()
            made.symlink_to(private)

    with pytest.raises(OSError, match="it is a link"):
        swapped()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    """What cannot be deleted is an error of the disk, not one of ours."""
    endless(tmp_path / "top")
    with contextlib.suppress(OSError):  # from Python 3.13 on it can be
        clear(tmp_path / "top")
    subprocess.run(["rm", "-rf", tmp_path / "top"], check=True)
