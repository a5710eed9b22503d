"""Pack files of an input folder: the same members with the same contents give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import Struct

from vipsync.disk.archive import disk_errors
from vipsync.disk.tarstream import nothing, opened, read
from vipsync.errors import LocalFileError

Kind = Literal["zip", "tar", "tgz"]
_Add = Callable[[str, int, Iterator[bytes]], None]

_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can hold
_EPOCH_SECONDS = 315_532_800
_LEVEL = 6  # part of the promise of the same bytes


class PackMember(Struct, frozen=True):
    """Name a file by its POSIX path inside the folder, with the bytes it had when it was seen.

    `place` is where it lies, if the disk spells that path in another way (NFD).
    """

    name: str
    size: int
    place: Path | None = None


def pack(
    folder: Path,
    members: Sequence[PackMember],
    kind: Kind,
    out: BinaryIO | Path,
    *,
    root: str = "",
    stop: Callable[[], None] = nothing,
) -> dict[str, str]:
    """Pack files of `folder`; return the sha256 of each by its name.

    Names inside begin with `root`, as `zip -r root.zip root/` would give. A zip is stored, not
    compressed, and needs an `out` that can seek. A path as `out` must not exist; it is complete
    and flushed afterwards, or absent. `stop` is called between blocks, and may raise.
    Raise LocalFileError for a member that changed, DiskError where a path cannot be written.
    """
    if isinstance(out, Path):
        with _new_file(out) as file:
            return pack(folder, members, kind, file, root=root, stop=stop)
    hashes = {}
    with _FORMATS[kind](out) as add:
        for member in sorted(members, key=lambda member: member.name):
            sha256 = hashlib.sha256()
            place = member.place or folder / member.name
            blocks = _unchanged_blocks(place, member, sha256.update, stop)
            add(f"{root}/{member.name}" if root else member.name, member.size, blocks)
            hashes[member.name] = sha256.hexdigest()
    return hashes


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    with disk_errors(path.parent):
        file = path.open("xb", buffering=_BLOCK)  # closed before it is removed
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise


def _unchanged_blocks(
    path: Path, member: PackMember, see: Callable[[bytes], None], stop: Callable[[], None]
) -> Iterator[bytes]:
    """Yield the content of a file that has, before and after, the size it was seen with."""
    with opened(path) as file:
        before = _state(file)
        left = member.size
        while left and (block := read(file, min(left, _BLOCK))):
            stop()
            see(block)
            left -= len(block)
            yield block
        if left or before != _state(file) or before[0] != member.size:
            raise LocalFileError(
                f"{member.name} changed while it was packed.", "It is tried again."
            )


def _state(file: FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


@contextmanager
def _zip(out: BinaryIO) -> Iterator[_Add]:
    if not out.seekable():  # the sizes would follow the data, which many readers refuse
        raise ValueError("A zip needs an output that can seek.")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, size: int, blocks: Iterator[bytes]) -> None:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, wherever this runs
            info.external_attr = 0o100644 << 16
            info.file_size = size
            with archive.open(info, "w") as member:
                for block in blocks:
                    member.write(block)

        yield add


@contextmanager
def _tar(out: BinaryIO) -> Iterator[_Add]:
    def add(name: str, size: int, blocks: Iterator[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, _EPOCH_SECONDS, 0o644
        out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        for block in blocks:
            out.write(block)
        out.write(bytes(-size % tarfile.BLOCKSIZE))

    yield add
    out.write(bytes(2 * tarfile.BLOCKSIZE))


@contextmanager
def _tgz(out: BinaryIO) -> Iterator[_Add]:
    with (
        gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed,
        _tar(packed) as add,  # type: ignore[arg-type]  # all that is needed is write
    ):
        yield add


_FORMATS: dict[Kind, Callable[[BinaryIO], AbstractContextManager[_Add]]] = {
    "zip": _zip,
    "tar": _tar,
    "tgz": _tgz,
}
