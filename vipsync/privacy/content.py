"""The bytes of a file or of an archive's member, by place; no more is read than is asked for."""

from __future__ import annotations

import io
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vipsync.disk.archive import disk_errors
from vipsync.errors import LocalFileError
from vipsync.model import BLOCK
from vipsync.privacy.reading import EVERYTHING

MOST_PADDING = 1 << 20
"""Zeros that a writer may fill up its last block with."""

_WINDOW = 1 << 16
_IN_MEMORY = 1 << 24


class NotUnderstood(Exception):
    """A file that is not read to its end; the text says why, in words that hold no value."""


class Content(ABC):
    """Bytes that can be asked for by place, and passed by in order."""

    def __init__(self) -> None:
        self._start = 0
        self._window = b""

    def at(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes from `start` on, fewer only at the end."""
        here = start - self._start
        if here < 0 or here + size > len(self._window):
            self._window = self._read(start, max(size, _WINDOW))
            self._start, here = start, 0
        return self._window[here : here + size]

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes in order."""
        start = 0
        while block := self.block(start):
            yield block
            start += len(block)

    def block(self, start: int) -> bytes:
        """Return the bytes from `start` on, as many as are handled at a time; none at the end."""
        return self._read(start, BLOCK)

    def require_padding(self, start: int, end: int, what: str) -> None:
        """Hold that only zeros lie there, and few of them; raise NotUnderstood, which says what, else."""
        size = min(end - start, MOST_PADDING + 1)
        here = self.at(start, size) if size > 0 else b""
        if len(here) > MOST_PADDING or here.strip(b"\0"):
            raise NotUnderstood(what)

    def require_at_most(self, most: int, what: str) -> None:
        """Raise NotUnderstood where there is more than that, of which nobody has looked at the rest."""
        if self.at(most, 1):
            raise NotUnderstood(f"{what} longer than {most:,} bytes")

    def skip(self, end: int) -> None:  # noqa: B027  # a file has nothing to pass over
        """Pass over everything up to `end`, which nobody asks for again."""

    @abstractmethod
    def file(self) -> BinaryIO:
        """Return a file that can seek, with all bytes in it."""

    @abstractmethod
    def _read(self, start: int, size: int) -> bytes: ...

    @property
    @abstractmethod
    def size(self) -> int:
        """How many bytes there are; what is packed is unpacked to its end for that."""


class FileContent(Content):
    """An open file."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._size = file.seek(0, os.SEEK_END)

    def file(self) -> BinaryIO:
        """Return the file."""
        return self._file

    def _read(self, start: int, size: int) -> bytes:
        try:
            self._file.seek(start)
            return self._file.read(max(0, min(size, self._size - start)))
        except OSError as exc:
            raise LocalFileError(f"The file cannot be read: {exc.strerror}.") from exc

    @property
    def size(self) -> int:
        """How many bytes there were at the start."""
        return self._size


class Unpacked(Content):
    """What comes out of an archive, in order; what has come is kept, in memory while it is little."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._kept = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed by `close`
        self._size = 0

    def close(self) -> None:
        """Let go of what was kept."""
        self._kept.close()

    def drain(self) -> None:
        """Pass over what nobody asked for, and keep none of it."""
        for _ in self._blocks:
            pass

    def skip(self, end: int) -> None:
        """Pass over everything up to `end`: where nothing was kept, zeros are."""
        self._kept.rollover()  # a hole takes no room on a disk
        while self._size < end and (block := next(self._blocks, b"")):
            self._size += len(block)
            if self._size > end:
                self._keep(block, self._size - len(block))

    def file(self) -> BinaryIO:
        """Return a file with everything in it."""
        self._unpack(EVERYTHING)
        return self._kept  # type: ignore[return-value]  # it reads and seeks

    def _read(self, start: int, size: int) -> bytes:
        self._unpack(start + size)
        self._kept.seek(start)
        return self._kept.read(size)

    def _unpack(self, size: int) -> None:
        while self._size < size and (block := next(self._blocks, b"")):
            self._keep(block, self._size)
            self._size += len(block)

    def _keep(self, block: bytes, start: int) -> None:
        with disk_errors(Path(tempfile.gettempdir())):
            self._kept.seek(start)
            self._kept.write(block)

    @property
    def size(self) -> int:
        """How many bytes there are: everything is unpacked."""
        self._unpack(EVERYTHING)
        return self._size


class Part(Content):
    """A part of another content, as if it were a file of its own."""

    def __init__(self, whole: Content, start: int, length: int) -> None:
        super().__init__()
        self._whole, self._begin, self._length = whole, start, length

    def file(self) -> BinaryIO:
        """Return a file in memory."""
        return io.BytesIO(self._read(0, self._length))

    def _read(self, start: int, size: int) -> bytes:
        return self._whole.at(self._begin + start, max(0, min(size, self._length - start)))

    @property
    def size(self) -> int:
        """How many bytes the part has."""
        return self._length
