"""Read a tar archive once, forwards, to its last byte, in constant memory.

The content says what the file is, never its name. What is damaged, cut short or out of proportion
raises ArchiveRefused: TarFile's own iteration takes a damaged header for the end of the archive,
stops before the checksum of the compressed stream, and remembers every member.
"""

from __future__ import annotations

import bz2
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

from vipsync.disk.files import at_once
from vipsync.errors import ArchiveRefused, LocalFileError

_BLOCK = 2**20  # bytes handled at a time
_PACKED_BLOCK = 2**18
_RECORD = tarfile.BLOCKSIZE
_HEADER_MOST = 2**16  # bytes of one member's headers; long names and attributes need some thousand
_GLOBALS_MOST = 100  # keywords of global headers, which tarfile copies for each member
_PADDING_MOST = 2**24  # zeros after the end mark; tar itself writes up to 10 KiB
_STAYS = "It stays packed."


def nothing() -> None:
    """Do nothing: what is called between blocks unless somebody may want to stop."""


def looks_like_tar(path: Path) -> bool:
    """Return whether the content begins as a tar archive, plain or compressed."""
    with opened(path) as file:
        try:
            block = _Source(_contents(file, nothing)).read(_RECORD)
            tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (ArchiveRefused, tarfile.HeaderError, ValueError):
            return False
    return True


@contextmanager
def opened(path: Path, *, follow: bool = False) -> Iterator[FileIO]:
    """Open a file for reading, unbuffered, and no link; raise LocalFileError if that cannot be."""
    try:
        file = FileIO(path, opener=at_once if follow else _itself_at_once)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    with file:
        yield file


def _itself_at_once(path: str, flags: int) -> int:
    return at_once(path, flags | getattr(os, "O_NOFOLLOW", 0))


def read(file: FileIO, size: int) -> bytes:
    """Return up to `size` bytes, none at the end; raise LocalFileError if that cannot be."""
    try:
        return file.read(size)
    except OSError as exc:
        raise _unreadable(Path(file.name), exc) from exc


def _unreadable(path: Path, exc: OSError) -> LocalFileError:
    return LocalFileError(f"{path.name} cannot be read: {exc.strerror}.")


class TarReader:
    """Give the members of an archive, and the body of the latest one."""

    def __init__(self, file: FileIO, stop: Callable[[], None] = nothing) -> None:
        self.packed_size = os.fstat(file.fileno()).st_size
        self._read_from(_contents(file, stop))

    @classmethod
    def of(cls, blocks: Iterator[bytes]) -> Self:
        """Return a reader of bytes that come in blocks and are not compressed."""
        reader = cls.__new__(cls)
        reader.packed_size = 0
        reader._read_from(blocks)
        return reader

    def _read_from(self, blocks: Iterator[bytes]) -> None:
        self._source = _Source(blocks)
        self._headers = _Headers(self._source)

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Yield each member; at the end, the archive was read to its last byte."""
        while (member := self._headers.following()) is not None:
            yield member
        self._source.finish()

    @property
    def is_tidy(self) -> bool:
        """True while nothing but zeros has filled up the members that were read."""
        return self._source.is_tidy

    def pass_over(self) -> int:
        """Leave the rest of the latest member unread; return how many bytes that is."""
        return self._source.pass_over(self._headers.offset)

    def body(self, member: tarfile.TarInfo) -> Iterator[memoryview]:
        """Yield the content of the latest member, a regular file, in blocks."""
        return self._source.body(member.size)


class _Source:
    """Give an archive's unpacked bytes once, and to tarfile what it needs of a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")
        self._position = 0
        self._header = b""
        self._header_size = self._unread = 0
        self.is_tidy = True

    def take(self, most: int) -> memoryview:
        """Return between 1 and `most` bytes, none at the end."""
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        taken, self._left = self._left[:most], self._left[most:]
        self._position += len(taken)
        return taken

    def body(self, size: int) -> Iterator[memoryview]:
        """Yield exactly `size` bytes."""
        while size:
            block = self.take(size)
            if not block:
                raise _damaged()
            size -= len(block)
            yield block

    def tell(self) -> int:
        """Return how many bytes were taken."""
        return self._position

    def read(self, size: int) -> bytes:
        """Return bytes of a header, fewer only at the end."""
        self._header_size += size
        if not 0 <= size <= self._header_size <= _HEADER_MOST:
            raise ArchiveRefused("A member has too large a header.", _STAYS)
        self._header = bytes(self.take(size))
        while more := self.take(size - len(self._header)):
            self._header += more
        return self._header

    def pass_over(self, offset: int) -> int:
        """Let everything up to where the next header begins go unread."""
        self._unread = max(0, offset - self._position)
        return self._unread

    def begin_header(self, offset: int) -> None:
        """Pass over the padding to where a member's header begins."""
        padding = offset - self._position
        if not 0 <= padding < _RECORD + self._unread:
            raise _damaged()
        self._unread = 0
        for block in self.body(padding):
            self.is_tidy &= not bytes(block).strip(b"\0")
        self._header_size = 0

    def is_at_end_mark(self) -> bool:
        """Return whether the header just read is the block of zeros that ends an archive."""
        return self._header_size == _RECORD and self._header == bytes(_RECORD)

    def finish(self) -> None:
        """Read what follows the end mark: zeros, and the checksum of the compressed stream."""
        room = _PADDING_MOST
        while block := self.take(_BLOCK):
            room -= len(block)
            if room < 0 or bytes(block).strip(b"\0"):
                raise ArchiveRefused("Something follows the end of the archive.", _STAYS)

    def write(self, data: bytes, /) -> None:
        """Refuse: an archive is only read."""
        raise NotImplementedError

    def seek(self, position: int, /) -> None:
        """Refuse: an archive is only read forwards."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the file to who opened it."""


class _Headers(tarfile.TarFile):
    """Hold what `TarInfo.fromtarfile` needs, and no list of members."""

    def __init__(self, source: _Source) -> None:
        self.fileobj = self._source = source
        self.offset = 0
        self.encoding = "utf-8"
        self.errors = "surrogateescape"
        self.pax_headers = {}

    def following(self) -> tarfile.TarInfo | None:
        """Return the next member, None at the end mark."""
        self._source.begin_header(self.offset)
        try:
            member = tarfile.TarInfo.fromtarfile(self)
        except tarfile.TarError as exc:
            if self._source.is_at_end_mark():
                return None
            raise _damaged() from exc
        except (ArithmeticError, LookupError, ValueError, TypeError, RecursionError) as exc:
            raise _damaged() from exc  # what tarfile lets through for absurd headers
        if member.size < 0 or len(self.pax_headers or ()) > _GLOBALS_MOST:
            raise _damaged()
        return member


def _damaged() -> ArchiveRefused:
    return ArchiveRefused("The archive is damaged or cut short.", _STAYS)


def _contents(file: FileIO, stop: Callable[[], None]) -> Iterator[bytes]:
    """Give the bytes of a file, unpacked if they are compressed; no block is empty."""
    magic = read(file, 6)
    file.seek(0)
    for prefix, make in _CODECS.items():
        if magic.startswith(prefix):
            return _expanded(_file_blocks(file, _PACKED_BLOCK), make, stop)
    return _file_blocks(file, _BLOCK, stop)


def _file_blocks(file: FileIO, size: int, stop: Callable[[], None] = nothing) -> Iterator[bytes]:
    while block := read(file, size):
        stop()
        yield block


def expanded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks unpacked if they are compressed; raise ArchiveRefused for what is damaged."""
    first = next(blocks, b"")
    together = chain((first,), blocks)
    for prefix, make in _CODECS.items():
        if first.startswith(prefix):
            return _expanded(together, make, nothing)
    return together


class _Codec(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Inflate:
    """Give zlib's decompressor the face of those of bz2 and lzma."""

    def __init__(self, wbits: int = 31) -> None:
        self._inner = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """True behind the end of the stream."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """What came behind the end of the stream."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most so many bytes; the others come with the next call."""
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(out) < max_length
        return out


def _unxz() -> _Codec:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2**28)  # `xz -9` needs a quarter


_CODECS: dict[bytes, Callable[[], _Codec]] = {
    b"\x1f\x8b\x08": Inflate,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": _unxz,
}


def _expanded(
    blocks: Iterable[bytes], make: Callable[[], _Codec], stop: Callable[[], None]
) -> Iterator[bytes]:
    """Yield what one or more compressed streams hold, at most _BLOCK bytes at a time."""
    codec, begun = make(), False
    for block in blocks:
        data = block if begun else block.lstrip(b"\0")  # zeros may stand between streams
        while data or (begun and not codec.needs_input):
            begun = True
            stop()
            out = _decompressed(codec, data)
            data = b""
            if codec.eof:
                data, codec, begun = codec.unused_data.lstrip(b"\0"), make(), False
            if out:
                yield out
    if begun:
        raise _damaged()


def _decompressed(codec: _Codec, data: bytes) -> bytes:
    try:
        return codec.decompress(data, _BLOCK)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as exc:
        raise _damaged() from exc
