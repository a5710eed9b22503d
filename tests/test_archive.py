"""Tests of unpacking: everything of an archive arrives, or nothing, and never anywhere else."""

import bz2
import errno
import gzip
import io
import lzma
import os
import random
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.full_disk import refusing_disk
from vipsync.disk import archive
from vipsync.disk.archive import Limits, Unpacked, disk_refuses, unpack
from vipsync.errors import ArchiveRefused, DiskError, LocalFileError, Unreachable

FORMATS = ["tar", "gz", "bz2", "xz"]
FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
NFC, NFD = (unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD"))


@dataclass(frozen=True)
class Member:
    """Describe one member of a test archive."""

    name: str
    data: bytes = b""
    kind: bytes = FILE
    target: str = ""
    mode: int = 0o600
    mtime: float = 1_700_000_000


def folder(name: str) -> Member:
    return Member(name, kind=FOLDER)


def link(name: str, target: str) -> Member:
    return Member(name, kind=LINK, target=target)


def hard(name: str, target: str) -> Member:
    return Member(name, kind=HARD, target=target)


def packed(members: Sequence[Member], form: str = "tar") -> bytes:
    """Return an archive with exactly these members, however wrong they are."""
    out = io.BytesIO()
    mode = "w:" if form == "tar" else f"w:{form}"
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.size = member.kind, member.target, len(member.data)
            info.mode, info.mtime = member.mode, member.mtime
            tar.addfile(info, io.BytesIO(member.data))
    return out.getvalue()


def squeezed(content: bytes, form: str) -> bytes:
    """Return any bytes in one of the compressions, or as they are."""
    how: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    return how.get(form, bytes)(content)


class Place:
    """Unpack into one folder, and look at everything that is there afterwards."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.staging = top / "staging"
        self.archive = top / "result.bin"
        self.target = top / "result"
        self.staging.mkdir()

    def unpack(
        self,
        content: bytes,
        limits: Limits = archive.DEFAULT_LIMITS,
        stop: Callable[[], None] = lambda: None,
    ) -> Unpacked:
        self.archive.write_bytes(content)
        try:
            return unpack(self.archive, self.target, self.staging, limits, stop)
        finally:
            self.archive.unlink()
            assert list(self.staging.iterdir()) == []
            assert {path.name for path in self.top.iterdir()} <= {"staging", "result"}

    def refuse(self, content: bytes, limits: Limits = archive.DEFAULT_LIMITS) -> str:
        """Return why the archive was refused; nothing of it is there."""
        with pytest.raises(ArchiveRefused) as refusal:
            self.unpack(content, limits)
        assert not os.path.lexists(self.target)
        assert refusal.value.remedy
        return refusal.value.message

    def tree(self) -> dict[str, bytes | None]:
        """Return each path with its content, None for folders."""
        return {
            str(path.relative_to(self.target)): None if path.is_dir() else path.read_bytes()
            for path in self.target.rglob("*")
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


GOOD = [
    folder("./"),
    Member("./a/one.txt", b"one" * 1000, mode=0o400),
    folder("./empty"),
    Member("./a/b/run.sh", b"#!/bin/sh\n", mode=0o4777),
    Member("./été " + "x" * 120, b"long name"),
    link("./a/b/first", "../one.txt"),
    link("./again", "./a/b/../b/first"),
    hard("./a/copy", "./a/b/run.sh"),
    Member("./zero"),
]
GOOD_TREE = {
    "a": None,
    "a/b": None,
    "a/b/first": b"one" * 1000,
    "a/b/run.sh": b"#!/bin/sh\n",
    "a/copy": b"#!/bin/sh\n",
    "a/one.txt": b"one" * 1000,
    "again": b"one" * 1000,
    "empty": None,
    "zero": b"",
    "été " + "x" * 120: b"long name",
}


@pytest.mark.parametrize("form", FORMATS)
def test_whole(place: Place, form: str) -> None:
    """Files, folders and inner links of every format arrive under any name of the archive."""
    assert place.unpack(packed(GOOD, form)) == Unpacked(7, 3000 + 10 + 9 + 10)
    assert place.tree() == GOOD_TREE


def test_modes_and_times(place: Place) -> None:
    """Only the right to execute and a sane time are taken over from the archive."""
    old_and_new = [Member("old", mtime=-5.0), Member("new", mtime=9e12), Member("odd", mtime=1.5)]
    place.unpack(packed([*GOOD, *old_and_new]))
    modes = {name: (place.target / name).stat().st_mode & 0o7777 for name in place.tree()}
    executable = {"a", "a/b", "empty", "a/b/run.sh", "a/copy"}
    assert modes == {name: 0o755 if name in executable else 0o644 for name in modes}
    times = {name: (place.target / name).stat().st_mtime for name in ("old", "odd", "new", "zero")}
    assert times == {"old": 0, "odd": 1.5, "new": 4_102_444_800, "zero": 1_700_000_000}
    assert place.target.stat().st_mode & 0o7777 == 0o755


def test_freesurfer_link(place: Place) -> None:
    """A link between two surfaces becomes a relative link, and still leads there when moved."""
    surfaces = [link("s1/surf/lh.pial", "lh.pial.T1"), Member("s1/surf/lh.pial.T1", b"surface")]
    place.unpack(packed(surfaces, "gz"))
    assert (place.target / "s1/surf/lh.pial").readlink() == Path("lh.pial.T1")
    moved = place.target.rename(place.staging / "moved")
    assert (moved / "s1/surf/lh.pial").read_bytes() == b"surface"


def test_no_symlinks_on_this_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk knows no links, each becomes a copy."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    assert place.unpack(packed(GOOD)).size == 3000 + 10 + 9 + 10 + 2 * 3000
    assert place.tree() == GOOD_TREE
    assert not any(path.is_symlink() for path in place.target.rglob("*"))


def test_hard_link_is_a_copy(place: Place) -> None:
    """A hard link to a member, even a later one, becomes a file of its own."""
    place.unpack(packed([hard("early", "file"), Member("file", b"x"), hard("late", "./file")]))
    inodes = {path.lstat().st_ino for path in place.target.iterdir()}
    assert len(inodes) == 3
    assert place.tree() == {"early": b"x", "file": b"x", "late": b"x"}


def test_repeated_folder(place: Place) -> None:
    """A folder may be named before, after and between its files."""
    place.unpack(packed([Member("a/x"), folder("a"), folder("a/"), Member("a/y")]))
    assert place.tree() == {"a": None, "a/x": b"", "a/y": b""}


HOSTILE: dict[str, tuple[list[Member], str]] = {
    "absolute": ([Member("/etc/x")], "absolute"),
    "absolute folder": ([folder("/")], "absolute"),
    "no name": ([Member("")], "absolute name, or none"),
    "only the top": ([Member("./.")], "named like a folder"),
    "folder's name": ([Member("file/")], "named like a folder"),
    "up": ([Member("../../x")], "'../../x' leads out"),
    "up and down": ([Member("a/../../x")], "leads out"),
    "up inside": ([Member("a/../x")], "leads out"),
    "folder up": ([folder("..")], "leads out"),
    "character device": ([Member("null", kind=tarfile.CHRTYPE)], "'null' is a device"),
    "block device": ([Member("sda", kind=tarfile.BLKTYPE)], "device"),
    "fifo": ([Member("pipe", kind=tarfile.FIFOTYPE)], "named pipe"),
    "unknown kind": ([Member("x", kind=b"Z")], "unknown kind"),
    "twice": ([Member("a"), Member("./a")], "'a' is there twice"),
    "file then folder": ([Member("a"), folder("a")], "twice"),
    "folder then file": ([folder("a"), Member("a")], "twice"),
    "file as parent": ([Member("a"), Member("a/b")], "twice"),
    "parent as file": ([Member("a/b"), Member("a")], "twice"),
    "link as parent": ([folder("d"), link("l", "d"), Member("l/x")], "twice"),
    "link as parent to outside": ([link("l", "/tmp"), Member("l/x")], "twice"),
    "file over a link": ([link("a", "/etc/passwd"), Member("a")], "twice"),
    "case": ([Member("Scan.nii"), Member("scan.nii")], "'Scan.nii' only in case"),
    "case of a folder": ([Member("A/x"), Member("a/y")], "only in case"),
    "sharp s": ([Member("straße"), Member("STRASSE")], "only in case"),
    "normal form": ([Member(NFC), Member(NFD)], "way of writing"),
    "order of marks": ([Member("α\u0345\u0301"), Member("α\u0301\u0345")], "way of writing"),
    "newline": ([Member("a\nb")], "cannot hold"),
    "escape": ([Member("a\x1b[2Jb")], "cannot hold"),
    "long part": ([Member("a/" + "x" * 256)], "cannot hold"),
    "long part in bytes": ([Member("é" * 128)], "cannot hold"),
    "deep": ([Member("d/" * 64 + "x")], "64 folders deep"),
    "link out": ([link("l", "../x")], "'l' is a link that leads out"),
    "link out and in": ([Member("x"), link("d/l", "../../result/x")], "leads out"),
    "link over nothing and out": ([link("l", "absent/../../x")], "leads out"),
    "link to a link out": ([link("a", "b"), link("b", "../x")], "'b' is a link that leads out"),
    "hard link out": ([hard("h", "../x")], "leads out"),
    "hard link out of a folder": ([hard("d/h", "../d/x")], "leads out"),
    "absolute hard link": ([hard("h", "/etc/passwd")], "leads out"),
    "hard link to a link out": ([link("s", "../x"), hard("h", "s")], "leads out"),
    "link, then a hard link to itself": ([link("a", "../x"), hard("a", "a")], "leads out"),
    "link twice, to other places": ([link("a", "good/file"), link("a", "b")], "twice"),
    "hard link to itself, then a file": ([hard("a", "a"), Member("a")], "twice"),
    "device, not UTF-8": ([Member("n\udce9", kind=tarfile.CHRTYPE)], "device"),
    "fifo below a folder, not UTF-8": ([Member("\udce9/p", kind=tarfile.FIFOTYPE)], "named pipe"),
    "link out, not UTF-8": ([link("\udce9", "../x")], "leads out"),
    "hard link out, not UTF-8": ([hard("\udce9", "/etc/passwd")], "leads out"),
    "up, not UTF-8": ([Member("\udce9/../../x")], "leads out"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("members", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile(place: Place, members: list[Member], reason: str, form: str) -> None:
    """One member that must not be refuses the whole archive, and the reason is told."""
    assert reason in place.refuse(packed([Member("good/file", b"good"), *members], form))


ELSEWHERE = "/usr/local/freesurfer/subjects/fsaverage"

ODD: dict[str, tuple[list[Member], str, str]] = {
    "not UTF-8": ([Member("caf\udce9", b"x" * 5000)], r"caf\xe9", "no UTF-8"),
    "folder, not UTF-8": ([folder("\udce9t\udce9")], r"\xe9t\xe9", "no UTF-8"),
    "link, not UTF-8": ([link("\udce9", "good/file")], r"\xe9", "no UTF-8"),
    "below a folder, not UTF-8": ([Member("\udce9t/x.nii", b"y")], r"\xe9t/x.nii", "no UTF-8"),
    "absolute link to nowhere": ([link("fsaverage", ELSEWHERE)], "fsaverage", "outside"),
    "absolute link to a folder that is here": ([link("subjects", "/usr")], "subjects", "outside"),
    "absolute link to a file that is here": ([link("d/l", "/etc/passwd")], "d/l", "outside"),
    "link to an absolute link": (
        [link("l", "fsaverage"), link("fsaverage", ELSEWHERE)], "l", "outside",
    ),
    "link to nothing": ([link("l", "absent")], "l", "nothing"),
    "empty link": ([link("l", "")], "l", "nothing"),
    "link to the top": ([link("d/l", "..")], "d/l", "nothing"),
    "link to its own folder": ([Member("d/x"), link("d/l", ".")], "d/l", "nothing"),
    "link to a file as folder": ([Member("f"), link("l", "f/")], "l", "nothing"),
    "link in other case": ([Member("f"), link("l", "F")], "l", "nothing"),
    "link over nothing": ([Member("f"), link("l", "absent/../f")], "l", "nothing"),
    "link through a folder link": (
        [Member("d/f"), link("d2", "d"), link("l", "d2/f")], "l", "nothing",
    ),
    "link to itself": ([link("l", "l")], "l", "no end"),
    "loop": ([link("a", "b"), link("b", "c"), link("c", "a")], "a", "no end"),
    "hard link to nothing": ([hard("h", "absent")], "h", "nothing"),
    "hard link to a folder": ([folder("d"), hard("h", "d")], "h", "nothing"),
    "hard link to itself alone": ([hard("h", "h")], "h", "no end"),
    "hard link to what is left out": ([link("s", ELSEWHERE), hard("h", "s")], "h", "outside"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("members", "name", "what"), ODD.values(), ids=ODD)
def test_an_odd_member_is_left_out_and_named(
    place: Place, members: list[Member], name: str, what: str, form: str
) -> None:
    """The rest is unpacked, whatever comes before or after it."""
    made = place.unpack(
        packed([Member("good/file", b"good"), *members, Member("last", b"end")], form)
    )
    assert what in dict(made.without)[name]
    tree = place.tree()
    assert (tree["good/file"], tree["last"]) == (b"good", b"end")
    assert not os.path.lexists(place.target / name)


@pytest.mark.skipif(sys.platform != "linux", reason="only GNU tar links what it was given twice")
@pytest.mark.parametrize(
    "names",
    [["a", "./a", "a"], ["link", "link", "a"], ["latest", "./latest", "d"], ["a", "also", "d", "also"],
     ["d", "d/b", "./d"]],
    ids=["file", "link", "link to a folder", "hard link", "folder"],
)  # fmt: skip
def test_what_was_named_twice_is_there_once(place: Place, names: list[str]) -> None:
    """GNU tar writes a hard link to itself, or the same link again: nothing is left out."""
    source = place.top / "source"
    (source / "d").mkdir(parents=True)
    for name in ("a", "d/b"):
        (source / name).write_bytes(b"x")
    (source / "link").symlink_to("a")
    (source / "latest").symlink_to("d")
    (source / "also").hardlink_to(source / "a")
    tar = subprocess.run(["tar", "-cC", source, *names], check=True, capture_output=True)
    shutil.rmtree(source)
    assert place.unpack(tar.stdout).without == ()
    there = {str(PurePosixPath(name)) for name in names}
    assert there <= set(place.tree()) <= there | {"d/b"}


def test_names_that_are_left_out_can_be_told_apart(place: Place) -> None:
    """Each byte that is no UTF-8 is shown as what it is."""
    made = place.unpack(packed([Member("good"), Member("\udce9"), Member("\udce8")]))
    assert [name for name, _ in made.without] == [r"\xe9", r"\xe8"]


def test_links_look_at_nothing_outside(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive unpacks in the same way everywhere, and no name in it mounts or wakes anything."""
    seen: list[str] = []
    really = os.lstat

    def lstat(path: str | Path, **more: Any) -> os.stat_result:
        seen.append(str(path))
        return really(path, **more)

    monkeypatch.setattr(os, "lstat", lstat)
    made = place.unpack(packed([Member("good"), link("l", "/net/host/x"), link("m", "/usr")]))
    assert [what for _, what in made.without] == ["a link to a place outside the archive"] * 2
    assert seen
    assert all(path.startswith(str(place.top)) for path in seen)


@pytest.mark.parametrize("to", ["run1", "run1/", "./run1", "x/../run1"])
def test_a_link_to_a_folder_of_the_archive(place: Place, to: str) -> None:
    """As `latest`, whether the folder comes before or after it."""
    made = place.unpack(packed([link("latest", to), Member("run1/a", b"a"), folder("x")]))
    assert (place.target / "latest").readlink() == Path("run1")
    assert (place.target / "latest" / "a").read_bytes() == b"a"
    assert (made.files, made.without) == (1, ())


def test_nothing_but_odd_members(place: Place) -> None:
    """An empty folder would look like a result."""
    assert "no file" in place.refuse(packed([link("l", ELSEWHERE), folder("d")]))


def test_many_odd_members(place: Place) -> None:
    """What is odd in most of it is no result."""
    members = [link(f"l{n}", "absent") for n in range(1001)]
    assert "1000" in place.refuse(packed([Member("good"), *members]))


def test_what_is_left_out_counts(place: Place) -> None:
    """A bomb is one under any name."""
    content = packed([Member("good"), Member("\udce9", bytes(2**21))], "gz")
    limits = Limits(spared=2**20, ratio=1)
    assert "too many to trust" in place.refuse(content, limits)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["CON", "aux.txt", "a:b", "a.", "a|b", "what?"])
def test_names_that_windows_reserves(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    """They are good names here, and keep the archive packed where the disk would refuse them."""
    content = packed([Member("good"), Member(f"d/{name}")], form)
    monkeypatch.setattr(archive, "disk_refuses", lambda part: disk_refuses(part, windows=True))
    assert "cannot hold" in place.refuse(content)
    monkeypatch.undo()
    assert place.unpack(content).files == 2


@pytest.mark.parametrize("form", FORMATS)
def test_a_name_behind_a_zero_is_not_seen(place: Place, form: str) -> None:
    """A NUL ends a name in a plain header, and refuses one in an extended header."""
    place.unpack(packed([Member("a\0/../../b", b"1")], form))
    assert place.tree() == {"a": b"1"}
    other = Place(place.staging)
    assert "cannot hold" in other.refuse(packed([Member("é\0/b", b"1")], form))


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_inside(place: Place, form: str) -> None:
    """An archive without members is not unpacked."""
    assert "empty" in place.refuse(packed([], form))


@pytest.mark.parametrize("form", FORMATS)
def test_only_zeros(place: Place, form: str) -> None:
    """33,280 zero bytes, an empty signal, are no archive, compressed or not."""
    place.refuse(squeezed(bytes(33_280), form))


def test_only_an_empty_folder(place: Place) -> None:
    """An archive of an empty folder becomes one."""
    assert place.unpack(packed([folder("./")])) == Unpacked(0, 0)
    assert place.tree() == {}


def test_chain_of_links(place: Place) -> None:
    """Links may follow each other as often as the kernel allows, no further."""
    chain = [Member("0", b"end"), *(link(str(n), str(n - 1)) for n in range(1, 41))]
    place.unpack(packed(chain))
    assert (place.target / "40").readlink() == Path("0")
    longer = place.top / "longer"
    longer.mkdir()
    made = Place(longer).unpack(packed([*chain, link("41", "40")]))
    assert made.without == (("41", "a link that leads to no end"),)


@pytest.mark.parametrize("form", FORMATS[1:])
def test_bomb(place: Place, form: str) -> None:
    """What unpacks to 1000 times its size is refused before it is written."""
    content = packed([Member("zeros", bytes(2**24))], form)
    assert "too many to trust" in place.refuse(content, Limits(spared=2**20))


def test_bomb_of_copies(place: Place) -> None:
    """Hard links count with what they copy."""
    copies = [hard(str(number), "file") for number in range(100)]
    content = packed([Member("file", random.Random(1).randbytes(100_000)), *copies], "gz")
    assert "too many to trust" in place.refuse(content, Limits(spared=1_000_000, ratio=5))


def test_size_limit(place: Place) -> None:
    """Not one byte more than the limit is unpacked."""
    content = packed([Member("a", b"x" * 600), Member("b", b"y" * 400)])
    assert "'b'" in place.refuse(content, Limits(size=999))
    assert place.unpack(content, Limits(size=1000)).size == 1000


def test_entries_limit(place: Place) -> None:
    """Folders that are only part of a name count too."""
    content = packed([Member("a/b/c"), Member("d")])
    assert "limit of 3" in place.refuse(content, Limits(entries=3))
    assert place.unpack(content, Limits(entries=4)).files == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only GNU tar stores holes in these ways")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("way", ["oldgnu", "gnu", "posix"])
def test_sparse(
    place: Place, tmp_path_factory: pytest.TempPathFactory, way: str, form: str
) -> None:
    """A sparse file is left out, whatever size it claims, also named twice; what follows it is not."""
    source = tmp_path_factory.mktemp("source")
    with (source / "holes").open("wb") as file:
        file.truncate(10 * 2**20)
        file.write(b"x")
    (source / "last").write_bytes(b"end")
    tar = subprocess.run(["tar", f"--format={way}", "-S", "-cC", source, "holes", "holes", "last"], check=True, capture_output=True)  # fmt: skip
    assert len(tar.stdout) < 2**20
    made = place.unpack(squeezed(tar.stdout, form))
    assert [what for _, what in made.without] == ["a sparse file"]
    assert place.tree() == {"last": b"end"}


@pytest.mark.parametrize("obstacle", ["file", "folder", "empty folder", "dangling link"])
def test_target_in_the_way(place: Place, obstacle: str) -> None:
    """Whatever lies at the target stays as it is."""
    if obstacle == "file":
        place.target.write_text("mine")
    elif obstacle == "dangling link":
        place.target.symlink_to("absent")
    else:
        place.target.mkdir()
        if obstacle == "folder":
            (place.target / "mine").touch()
    before = place.target.lstat()
    with pytest.raises(FileExistsError):
        place.unpack(packed(GOOD))
    assert place.target.lstat() == before


@pytest.mark.parametrize(
    "make", [Path.touch, Path.mkdir, lambda path: (path / "x").mkdir(parents=True)]
)
def test_target_appears_meanwhile(place: Place, make: Callable[[Path], None]) -> None:
    """What appears at the target while unpacking is not replaced."""
    with pytest.raises(FileExistsError):
        place.unpack(packed(GOOD), stop=lambda: None if place.target.exists() else make(place.target))  # fmt: skip
    assert place.target.is_file() or {path.name for path in place.target.iterdir()} <= {"x"}


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "share"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "not permitted"),
        (errno.EIO, "Input/output"),
    ],
)
def test_disk_errors(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    """A disk that takes no more is an error of the disk, with a remedy, and leaves nothing."""
    blocks = iter(range(2))
    really = archive._write_all

    def fail(descriptor: int, block: memoryview) -> None:
        if next(blocks, None) is None:
            raise OSError(number, os.strerror(number))
        really(descriptor, block)

    monkeypatch.setattr(archive, "_write_all", fail)
    with pytest.raises(DiskError, match=reason) as error:
        place.unpack(packed(GOOD))
    assert "Work goes on" in error.value.remedy
    assert not place.target.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks up paths in /proc/self/fd")
def test_a_disk_that_permits_neither_writing_nor_deleting(tmp_path: Path) -> None:
    """What is in the way is said; the empty folder that cannot be deleted is a leftover."""
    source, staging = tmp_path / "a.tgz", tmp_path / "staging"
    source.write_bytes(packed(GOOD))
    staging.mkdir()
    with refusing_disk(staging) as disk:
        disk.errno, disk.refuses = errno.EACCES, lambda number: number > 1
        with pytest.raises(DiskError, match="not permitted"):
            unpack(source, tmp_path / "result", staging)
    assert [path.name[:7] for path in staging.iterdir()] == ["unpack-"]
    assert not (tmp_path / "result").exists()


def test_real_limit_of_the_disk(place: Place) -> None:
    """A limit that the system sets on files leaves nothing half behind."""
    content = packed([Member("small"), Member("large", bytes(200_000))], "gz")
    soft, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        with pytest.raises(DiskError, match="so large"):
            place.unpack(content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, most))
    assert not place.target.exists()


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EEXIST, "the same as"), (errno.EILSEQ, "cannot hold")]
)
def test_disk_with_rules_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    """A name that only this disk refuses keeps the archive packed."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(archive, "_write_all", refuse)
    assert reason in place.refuse(packed(GOOD))


def test_names_of_windows() -> None:
    """On Windows, names that it reserves or reads as another drive are refused."""
    bad = ["c:evil", "a\\b", "nul", "COM1.txt", "dot.", "space ", "a?"]
    assert [disk_refuses(name, windows=True) for name in bad] == [True] * len(bad)
    assert not any(disk_refuses(name, windows=False) for name in bad)
    assert not any(disk_refuses(name, windows=True) for name in ("lh.pial", "null", "été 1"))


def test_archive_is_gone(place: Place) -> None:
    """An archive that cannot be read is an error of that file."""
    with pytest.raises(LocalFileError, match="absent"):
        unpack(place.top / "absent", place.target, place.staging)


def test_staging_is_gone(place: Place) -> None:
    """A staging folder that is missing is an error of the disk."""
    with pytest.raises(DiskError, match="nowhere"):
        unpack(place.staging, place.target, place.top / "nowhere")


@pytest.mark.parametrize("calls", [0, 1, 3, 6])
def test_stop(place: Place, calls: int) -> None:
    """What `stop` raises ends the work at any moment, unchanged, and nothing is left."""
    left = iter(range(calls))

    def stop() -> None:
        if next(left, None) is None:
            raise Unreachable("enough")

    with pytest.raises(Unreachable):
        place.unpack(packed(GOOD, "gz"), stop=stop)
    assert not place.target.exists()


def test_a_tree_that_lost_files_meanwhile_is_not_placed(place: Place) -> None:
    """Whoever tidies up where it is written must not make half a result of it."""
    calls = iter(range(1000))

    def stop() -> None:
        if next(calls) == 2:
            first = next(p for p in place.staging.glob("*/tree/**/*") if p.is_file())
            first.unlink()

    members = [Member(name, b"content") for name in "abcd"]
    with pytest.raises(DiskError, match="1 files went"):
        place.unpack(packed(members), stop=stop)
    assert not place.target.exists()


@pytest.mark.parametrize("many", [False, True])
def test_flushed_before_visible(place: Place, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    """Every file and folder is on the disk before the target is there, then its own name is."""
    flushed: dict[int, bool] = {}
    really = os.fsync

    def record(descriptor: int) -> None:
        flushed[os.fstat(descriptor).st_ino] = place.target.exists()
        really(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(archive, "_flushed_disk_of", lambda _: False)
    more = [Member(f"n{number}") for number in range(40 if many else 0)]
    place.unpack(packed([*GOOD, *more]))
    made = [path for path in place.target.rglob("*") if not path.is_symlink()]
    assert all(flushed[path.stat().st_ino] is False for path in [place.target, *made])
    assert flushed[place.top.stat().st_ino] is True


def test_many_files_are_flushed_together(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system can flush a whole disk, it is asked once, before the target is there."""
    asked = []
    really = archive._flushed_disk_of

    def record(root: Path) -> bool:
        asked.append((place.target.exists(), len(list(root.iterdir()))))
        return really(root)

    monkeypatch.setattr(archive, "_flushed_disk_of", record)
    place.unpack(packed([Member(f"n{number}") for number in range(40)]))
    assert asked == [(False, 40)]


# Random archives, against a model that asks the kernel where links lead

PARTS = st.sampled_from(["d", "f", "l", "F", "é.txt", NFD, "..", "."])
WILD_PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TAME_PATHS = st.tuples(st.sampled_from(["", "d/", "e/", "d/e/"]), st.sampled_from("fghlm")).map(
    "".join
)
WILD = st.one_of(
    st.builds(Member, WILD_PATHS, st.binary(max_size=3)),
    st.builds(folder, WILD_PATHS),
    st.builds(link, TAME_PATHS, WILD_PATHS | st.just("/etc/passwd")),
    st.builds(hard, TAME_PATHS, WILD_PATHS),
)


@st.composite
def archives(draw: st.DrawFn) -> list[Member]:
    """Draw files, folders and links to them in any order, and sometimes what may be hostile."""
    first, *names = draw(st.lists(TAME_PATHS, min_size=1, max_size=5, unique=True))
    members = [Member(first, b"first")]
    for name in names:
        target = draw(st.sampled_from([first, first, *names]))
        upwards = os.path.relpath(f"/{target}", f"/{PurePosixPath(name).parent}")
        usual = [Member(name, name.encode()), link(name, upwards), hard(name, target), folder("d")]
        members.append(draw(st.sampled_from(usual)))
    wild = draw(st.lists(WILD, max_size=2)) if draw(st.booleans()) else []
    return draw(st.permutations(members + wild))


def model(members: Sequence[Member], top: Path) -> dict[str, bytes | None] | None:
    """Build what an archive means with real links, and return it, None for one to be refused."""
    kinds: dict[str, bytes] = {}
    members = said_once(members)
    for member in members:
        path = PurePosixPath(member.name)
        if ".." in path.parts or (str(path) == "." and member.kind != FOLDER):
            return None
        entries = [(path, member.kind), *((parent, FOLDER) for parent in path.parents)]
        for entry, kind in entries:
            before = kinds.setdefault(str(entry), kind)
            if before != kind or (entry == path and kind != FOLDER and (top / path).exists()):
                return None
        if member.kind == FILE:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(top / path):
                return None
            (top / path).write_bytes(member.data)
        elif member.kind == FOLDER:
            (top / path).mkdir(parents=True, exist_ok=True)
    if len({unicodedata.normalize("NFC", name).lower() for name in kinds}) != len(kinds):
        return None
    return with_links(members, top)


def said_once(members: Sequence[Member]) -> list[Member]:
    """Leave out links that say again what came before them."""
    there: dict[str, Member] = {}
    return [m for m in members if not is_again(m, there.setdefault(os.path.normpath(m.name), m))]


def is_again(member: Member, before: Member) -> bool:
    itself = os.path.normpath(member.target) == os.path.normpath(member.name)
    if member is before or member.kind not in (LINK, HARD) or before.kind == FOLDER:
        return False
    return (member.kind == HARD and itself) or (member.kind, member.target) == (
        before.kind,
        before.target,
    )


def with_links(members: Sequence[Member], top: Path) -> dict[str, bytes | None] | None:
    """Make the links; None where one leads out. Those that lead nowhere have no content."""
    links = [member for member in members if member.kind in (LINK, HARD)]
    for member in links:
        path = top / member.name
        up = "../" * (len(PurePosixPath(member.name).parts) - 1) if member.kind == HARD else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            return None
        path.symlink_to(up + member.target)
    if any(not _inside(top / member.name, top) for member in links):
        return None
    return {
        str(p.relative_to(top)): p.read_bytes() if p.is_file() else None for p in top.rglob("*")
    }


def _inside(link: Path, top: Path) -> bool:
    """Tell whether a link leads out of the folder at no step of its way, as far as it can be gone."""
    at = link
    for _ in range(45):
        if not at.is_symlink():
            break
        here = at.parent
        for part in at.readlink().parts:
            here = here / part
            if not Path(os.path.normpath(here)).is_relative_to(top):
                return False
            if not here.exists():
                return True
        at = Path(os.path.normpath(here))
    return True


@settings(max_examples=150, deadline=None)
@given(archives(), st.sampled_from(FORMATS))
def test_equals_the_model(members: list[Member], form: str) -> None:
    """Any archive gives what it means, or is refused; what is left out are links that lead to no file."""
    with tempfile.TemporaryDirectory() as top, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        (Path(top) / "model").mkdir()
        expected = model(members, Path(top) / "model")
        (Path(top) / "real").mkdir()
        place = Place(Path(top) / "real")
        try:
            made = place.unpack(packed(members, form))
        except ArchiveRefused:
            assert expected is None or any(m.kind in (LINK, HARD) for m in members)
            return
        assert expected is not None or made.without
        if expected is None:
            return
        without = {name for name, _ in made.without}
        tree = place.tree()
        assert tree == {name: expected[name] for name in tree}
        assert set(tree) | without >= set(expected)
        assert not any(
            expected[name] for name in without - {m.name for m in members if m.kind == LINK}
        )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * 512), st.integers(0, 255)), max_size=12), st.booleans()
)
def test_any_header(changes: list[tuple[int, int]], repaired: bool) -> None:
    """Headers with any bytes, even under a right checksum, are read or refused, nothing else."""
    content = bytearray(packed([Member("x" * 120, b"data"), link("l", "x" * 120)]))
    for position, value in changes:
        content[position] = value
    if repaired:
        for start in range(0, 3 * 512, 512):
            block = content[start : start + 512]
            total = sum(block[:148]) + 8 * 32 + sum(block[156:])
            content[start + 148 : start + 156] = b"%06o\0 " % total
    with tempfile.TemporaryDirectory() as top, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        with suppress(ArchiveRefused):
            Place(Path(top)).unpack(bytes(content))


MILLION = """
import resource, sys
from pathlib import Path
from vipsync.disk.archive import Limits, unpack
top = Path(sys.argv[1])
unpacked = unpack(top / "many.tar", top / "result", top / "staging", Limits(entries=1_001_001))
print(unpacked.files, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_million_members(place: Place) -> None:
    """A million files unpack in less than 400 MB of memory."""
    with (place.top / "many.tar").open("wb") as file:
        for number in range(1_000_000):
            info = tarfile.TarInfo(f"study/sub-{number % 1000:04}/slice-{number:07}.dcm")
            file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1024))
    command = [sys.executable, "-c", MILLION, str(place.top)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    files, megabytes = map(int, done.stdout.split())
    assert files == 1_000_000
    assert megabytes < 400
