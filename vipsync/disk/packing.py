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

from vipsync.disk.tarstream import nothing, opened, read
from vipsync.errors import LocalFileError
from vipsync.model import FileState

Kind = Literal["zip", "tar", "tgz"]
_Add = Callable[[str, int, Iterator[bytes]], None]

_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can hold
_EPOCH_SECONDS = 315_532_800
_LEVEL = 6  # part of the promise of the same bytes


class PackMember(Struct, frozen=True):
    """Name a file by its POSIX path inside the folder, with the state in which it was seen.

    `place` is where it lies, if the disk spells that path in another way (NFD).
    """

    name: str
    state: FileState
    place: Path | None = None


def pack(
    folder: Path,
    members: Sequence[PackMember],
    kind: Kind,
    out: BinaryIO,
    *,
    root: str = "",
    stop: Callable[[], None] = nothing,
) -> dict[str, str]:
    """Pack files of `folder`; return the sha256 of each by its name.

    Names inside begin with `root`, as `zip -r root.zip root/` would give. A zip is stored, not
    compressed, and needs an `out` that can seek. `stop` is called between blocks, and may raise.
    Raise LocalFileError for a member that changed, OSError where `out` cannot be written.
    """
    hashes = {}
    with _FORMATS[kind](out) as add:
        for member in sorted(members, key=lambda member: member.name):
            sha256 = hashlib.sha256()
            place = member.place or folder / member.name
            blocks = _unchanged_blocks(place, member, sha256.update, stop)
            add(f"{root}/{member.name}" if root else member.name, member.state.size, blocks)
            hashes[member.name] = sha256.hexdigest()
    return hashes


def _unchanged_blocks(
    path: Path, member: PackMember, see: Callable[[bytes], None], stop: Callable[[], None]
) -> Iterator[bytes]:
    """Yield the content of the very file that was seen, in that state before and after."""
    with opened(path, follow=True) as file:
        _require(member, file)
        left = member.state.size
        while left and (block := read(file, min(left, _BLOCK))):
            stop()
            see(block)
            left -= len(block)
            yield block
        _require(member, file)


def _require(member: PackMember, file: FileIO) -> None:
    if FileState.of(os.fstat(file.fileno())) != member.state:
        raise LocalFileError(f"{member.name} changed while it was packed.", "It is tried again.")


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
