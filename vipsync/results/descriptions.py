"""What is in each result that is here: its files with their hashes, first rows of tables, thumbnails.

It is worked out once for what a result looks like, and kept in `.vipsync/previews`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from vipsync.disk.files import (
    LARGE,
    clear,
    entered,
    holder,
    make_inside,
    opened_file,
    read_small,
    write_atomic,
)
from vipsync.disk.mirror import stamp
from vipsync.disk.walk import nfc
from vipsync.errors import DiskError
from vipsync.model import BLOCK, RelPath
from vipsync.results import previews
from vipsync.results.facts import Description, File, Piece
from vipsync.results.tables import beginning, is_table

MOST_TABLES = 6
MOST_MOSAICS = 6
_HEAD = 256 * 1024
"""Bytes of a table of which its first rows are taken."""

_FORM = "2"
"""Changes when a description of before would lack something."""


class Descriptions:
    """The descriptions of one session's results."""

    def __init__(self, outputs: Path, kept: Path, stop: Callable[[], None] = lambda: None) -> None:
        self._outputs, self._kept, self._stop = outputs, kept, stop
        self._below_kept = kept.parent.parent
        self._below = holder(outputs, self._below_kept)
        self._pictures = previews.possible()

    def of(self, piece: Piece) -> Description | None:
        """Return what is in a result; None where it is not, or no longer, what came."""
        path = self._kept / f"{self._key(piece)}.json"
        with suppress(OSError, ValueError, RecursionError):
            kept = msgspec.json.decode(read_small(path, LARGE), type=Description)
            if _is_of(kept, piece, self._key(piece)):
                return kept
        made = self._made(piece)
        if made:
            make_inside(self._kept, self._below_kept)
            write_atomic(path, msgspec.json.encode(made), self._below_kept)
        return made

    def tail(self, path: RelPath, lines: int) -> str:
        """Return the last lines of a text in outputs/, empty where it cannot be read."""
        with suppress(OSError, DiskError), self._opened(self._outputs / path) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * lines))
            text = file.read(400 * lines).decode("utf-8", "replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def forget_others(self, pieces: Iterable[Piece]) -> None:
        """Delete what is kept of results that are no longer there, or were made anew."""
        keys = {self._key(piece) for piece in pieces}
        with suppress(FileNotFoundError), entered(self._kept, self._below_kept) as kept:
            for path in kept.iterdir():
                if path.name[:_KEY] not in keys:
                    clear(path)

    def _key(self, piece: Piece) -> str:
        about = "\0".join((_FORM, str(self._pictures), piece.local, piece.stamp))
        return hashlib.sha256(about.encode("utf-8", "surrogateescape")).hexdigest()[:_KEY]

    def _made(self, piece: Piece) -> Description | None:
        place = self._outputs / piece.local
        if stamp(place) != piece.stamp:
            return None
        found = sorted(_files(place))
        files = tuple(self._file(path) for path in found)
        tables = [p for p in found if is_table(p.name)][:MOST_TABLES]
        volumes = [p for p in found if previews.is_volume(p.name)]
        drawn = tuple(self._mosaics(volumes[:MOST_MOSAICS], self._key(piece)))
        tried = [self._path(p) for p in volumes[:MOST_MOSAICS]] if self._pictures else []
        made = Description(
            files,
            tuple((self._path(p), t) for p in tables if (t := beginning(p.name, self._head(p)))),
            drawn,
            len(volumes),
            tuple(path for path in tried if path not in dict(drawn)),
        )
        return made if stamp(place) == piece.stamp else None

    def _file(self, path: Path) -> File:
        digest, size = hashlib.sha256(), 0
        with self._opened(path) as file:
            while block := file.read(BLOCK):
                self._stop()
                digest.update(block)
                size += len(block)
        return File(self._path(path), size, digest.hexdigest())

    @contextmanager
    def _opened(self, path: Path) -> Iterator[BinaryIO]:
        """Open a file of a result, through no link on the way to it."""
        with entered(path.parent, self._below) as folder, opened_file(folder / path.name) as file:
            yield file

    def _mosaics(self, volumes: Iterable[Path], key: str) -> Iterator[tuple[str, str]]:
        if not self._pictures:
            return
        make_inside(self._kept, self._below_kept)
        for number, volume in enumerate(volumes, 1):
            self._stop()
            name = f"{key}-{number}.png"
            with self._opened(volume) as file, entered(self._kept, self._below_kept) as kept:
                picture = previews.mosaic(file, kept, stop=self._stop)
            if picture:
                write_atomic(self._kept / name, picture, self._below_kept)
                yield self._path(volume), name

    def _head(self, path: Path) -> str:
        """Return the beginning of a text; a line that is cut is left out."""
        with self._opened(path) as file:
            text = file.read(_HEAD).decode("utf-8-sig", "replace")
            whole = os.fstat(file.fileno()).st_size <= _HEAD
        return text if whole else text.rpartition("\n")[0]

    def _path(self, path: Path) -> str:
        return path.relative_to(self._outputs).as_posix()


_KEY = 24


def _files(place: Path) -> Iterator[Path]:
    """Yield the files of a result; links in it show others of them."""
    if place.is_symlink():
        return
    if not place.is_dir():
        yield place
        return
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and _can_be_told(name):
                yield path


def _can_be_told(name: str) -> bool:
    """Tell whether a name can be written as UTF-8."""
    try:
        nfc(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_of(kept: Description, piece: Piece, key: str) -> bool:
    """Tell whether what is kept names nothing but this result, and its own pictures: others can write it."""
    pictures = [name for _, name in kept.mosaics]
    files = [file.path for file in kept.files]
    named = [path for path, _ in (*kept.tables, *kept.mosaics)]
    paths = [*files, *named, *kept.undrawn]
    inside = all(f"{path}/".startswith(f"{piece.local}/") for path in paths)
    return (
        inside
        and not any(".." in path.split("/") for path in paths)
        and all(re.fullmatch(rf"{key}-\d+\.png", name) for name in pictures)
    )
