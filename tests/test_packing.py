"""Tests of packing: the same members with the same contents give the same bytes."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.memory import traced
from vipsync.disk.archive import unpack
from vipsync.disk.packing import Kind, PackMember, pack
from vipsync.errors import LocalFileError, Unreachable
from vipsync.model import FileState, replace

KINDS: list[Kind] = ["zip", "tar", "tgz"]
CONTENTS = {
    "b.dcm": b"b" * 700,
    "a/été 1.dcm": b"accent",
    "a/" + "long" * 40 + ".dcm": b"long",
    "a/empty": b"",
    "Big.dcm": os.urandom(3 * 2**20 + 1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        path = tmp_path / "dicom" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "dicom"


def seen(folder: Path) -> list[PackMember]:
    """Return the members of a folder as a scan sees them."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [member(path, path.relative_to(folder).as_posix()) for path in paths]


def member(path: Path, name: str) -> PackMember:
    return PackMember(name, FileState.of(path.stat()))


def packed(folder: Path, kind: Kind, root: str = "") -> bytes:
    out = io.BytesIO()
    pack(folder, seen(folder), kind, out, root=root)
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("root", ["", "dicom"])
def test_contents(folder: Path, tmp_path: Path, kind: Kind, root: str) -> None:
    """Other programs find every file again, below the root."""
    target = tmp_path / "other"
    target.mkdir()
    (tmp_path / "packed").write_bytes(packed(folder, kind, root))
    command = {"zip": [shutil.which("unzip") or "", "-q"], "tar": ["tar", "xf"], "tgz": ["tar", "xzf"]}[kind]  # fmt: skip
    if kind == "zip" and not command[0]:
        with zipfile.ZipFile(tmp_path / "packed") as archive:
            archive.extractall(target)
    else:
        subprocess.run([*command, tmp_path / "packed"], cwd=target, check=True)
    found = {p.relative_to(target / root).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}  # fmt: skip
    assert found == CONTENTS


@pytest.mark.parametrize("kind", ["tar", "tgz"])
def test_own_archives_unpack(folder: Path, tmp_path: Path, kind: Kind) -> None:
    """What was packed here can be unpacked here."""
    path = tmp_path / "packed"
    path.write_bytes(packed(folder, kind, root="dicom"))
    assert unpack(path, tmp_path / "result", tmp_path).files == len(CONTENTS)


def test_hashes(folder: Path) -> None:
    """The sha256 of each member is returned, in the order of the names."""
    hashes = pack(folder, seen(folder), "zip", io.BytesIO())
    assert hashes == {name: hashlib.sha256(data).hexdigest() for name, data in CONTENTS.items()}
    assert list(hashes) == sorted(CONTENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_same_bytes(folder: Path, kind: Kind) -> None:
    """Times, modes and the order of listing leave no trace."""
    first = packed(folder, kind)
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (number, number * 1000))
        path.chmod(0o700)
    out = io.BytesIO()
    pack(folder, sorted(seen(folder), key=lambda member: member.state.size), kind, out)
    assert out.getvalue() == first
    (folder / "b.dcm").write_bytes(b"c" * 700)
    assert packed(folder, kind) != first


def test_zip_is_plain(folder: Path) -> None:
    """A zip is stored, dated 1980, without the trailing sizes that many readers refuse."""
    with zipfile.ZipFile(io.BytesIO(packed(folder, "zip", "r"))) as archive:
        infos = archive.infolist()
        assert archive.testzip() is None
    assert [info.filename for info in infos] == [f"r/{name}" for name in sorted(CONTENTS)]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {0o100644}
    assert not any(info.flag_bits & 8 for info in infos)


def test_tar_is_anonymous(folder: Path) -> None:
    """A tar says nothing of who packed it, and when."""
    with tarfile.open(fileobj=io.BytesIO(packed(folder, "tar"))) as archive:
        facts = {(m.uid, m.gid, m.uname, m.gname, m.mode, m.mtime) for m in archive}
    assert facts == {(0, 0, "", "", 0o644, 315_532_800)}


def test_gzip_head(folder: Path) -> None:
    """A tgz holds neither a time nor a name of its own."""
    assert packed(folder, "tgz")[3:8] == bytes(5)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 2**20)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, (1, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [grow, shrink, rewrite, Path.unlink])
def test_changed_before_or_meanwhile(
    folder: Path, kind: Kind, change: Callable[[Path], None]
) -> None:
    """A file that changes after it was seen is refused."""
    members = seen(folder)
    calls = iter(range(2))

    def stop() -> None:
        if next(calls, None) == 1 and change is not Path.unlink:
            change(folder / "Big.dcm")

    if change is Path.unlink:
        change(folder / "Big.dcm")
    with pytest.raises(LocalFileError, match=r"Big\.dcm"):
        pack(folder, members, kind, io.BytesIO(), stop=stop)


@pytest.mark.parametrize("size", [0, 699, 701])
def test_another_size_than_seen(folder: Path, size: int) -> None:
    """A file that has not the size it was seen with is refused."""
    state = replace(FileState.of((folder / "b.dcm").stat()), size=size)
    with pytest.raises(LocalFileError, match=r"b\.dcm changed"):
        pack(folder, [PackMember("b.dcm", state)], "tar", io.BytesIO())


def test_another_file_than_was_seen(folder: Path) -> None:
    """One of the same size and time in its place, for which a link may stand, is not packed."""
    members, there = seen(folder), folder / "b.dcm"
    other = folder.parent / "private"
    other.write_bytes(b"p" * 700)
    os.utime(other, ns=(0, there.stat().st_mtime_ns))
    there.unlink()
    there.symlink_to(other)
    with pytest.raises(LocalFileError, match=r"b\.dcm changed"):
        pack(folder, members, "tar", io.BytesIO())


def test_stop(folder: Path) -> None:
    """What `stop` raises ends the work."""

    def stop() -> None:
        raise Unreachable("enough")

    with pytest.raises(Unreachable):
        pack(folder, seen(folder), "tgz", io.BytesIO(), stop=stop)


def test_zip_needs_to_seek(folder: Path) -> None:
    """A zip into a pipe is refused at once."""
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb"),
        os.fdopen(writing, "wb") as pipe,
        pytest.raises(ValueError, match="seek"),
    ):
        pack(folder, seen(folder), "zip", pipe)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_constant(tmp_path: Path, kind: Kind) -> None:
    """A large file is packed with a few blocks of memory."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**26)
    with traced() as peak, (tmp_path / "packed").open("wb") as out:
        pack(tmp_path, [member(tmp_path / "large", "large")], kind, out)
        assert peak() < 2**23
