"""Archives and compressed files: their members, one by one, as contents of their own.

Zip, tar and what gzip, bzip2 and xz make of one file. Nothing is written but what one member needs to
be read, to a temporary file without a name.
"""

from __future__ import annotations

import bz2
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import chain
from typing import NamedTuple

from vipsync.disk.archive import DEFAULT_LIMITS
from vipsync.disk.tarstream import Inflate, TarReader, expanded
from vipsync.model import BLOCK
from vipsync.privacy.content import Content, NotUnderstood, Part, Unpacked
from vipsync.privacy.texts import text

MOST_MEMBERS = 50_000
_MOST_DIRECTORY = 1 << 25  # bytes of the table of a zip
_ZIP = (b"PK\3\4", b"PK\5\6")
_PACKED = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0")
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_NAMED, _EXTRA, _COMMENT = 8, 4, 16  # flags of gzip
_ENCRYPTED, _DESCRIBED, _UTF_8 = 1, 8, 0x800  # flags of zip
_LOCAL = struct.Struct("<4s22xHH")  # before each member of a zip: mark, lengths of name and extra
_END = 22  # bytes that end a zip, before its comment
_TAILS = (_END, _END + 76)  # bytes after the table of a zip, the latter in Zip64
_MOST_PADDING = 1 << 17  # after that; the end of a zip is looked for in its last 64 kB
_ELSEWHERE = "the archive holds something that is none of its members"


class Allowance:
    """How many bytes may still come out of an archive and of all archives in it."""

    def __init__(self, packed: int) -> None:
        self._left = DEFAULT_LIMITS.allowance(packed)

    def through(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks while there is some left."""
        for block in blocks:
            self._left -= len(block)
            if self._left < 0:
                raise NotUnderstood("the archive unpacks to far more than its own size")
            yield block


class Member(NamedTuple):
    """A member by its name; a file that was only compressed has the name that the packer kept.

    `comment` is what somebody wrote beside it, `beside` everything else that the archive says of it.
    """

    name: str
    content: Content | None = None  # None: a folder, a link, or the archive itself
    comment: str = ""
    beside: bytes = b""


def kind(content: Content) -> str:
    """Return what kind of archive the content is, "" if it is none."""
    head = content.at(0, 512)
    if head[:4] in _ZIP:
        return "zip"
    if head.startswith(_PACKED):
        return "packed"
    return "tar" if _is_tar(head) else ""


def members(content: Content, allowance: Allowance) -> Iterator[Member]:
    """Yield each member; its content can be read until the next one is asked for."""
    makers = {"zip": _zip, "tar": _plain_tar, "packed": _packed}
    return _counted(makers[kind(content)](content, allowance))


def _counted(found: Iterator[Member]) -> Iterator[Member]:
    for number, member in enumerate(found):
        if number >= MOST_MEMBERS:
            raise NotUnderstood(f"the archive has more than {MOST_MEMBERS:,} members")
        yield member


def _is_tar(head: bytes) -> bool:
    try:
        return bool(tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape").name)
    except (tarfile.HeaderError, ValueError):
        return False


def _packed(content: Content, allowance: Allowance) -> Iterator[Member]:
    """Yield the members of a compressed tar, or the one file that was compressed."""
    blocks = expanded(content.blocks())
    first = next(blocks, b"")
    blocks = chain((first,), blocks)
    if _is_tar(first[:512]):
        yield from _tar(blocks, allowance)
    else:
        with closing(Unpacked(allowance.through(blocks))) as unpacked:
            name, comment = _said_by_gzip(content)
            yield Member(name, unpacked, comment)


def _said_by_gzip(content: Content) -> tuple[str, str]:
    """Return the name and the comment that the packer kept."""
    head = content.at(0, 1 << 12)
    flags, at = (head[3], 10) if head.startswith(_PACKED[0]) and len(head) > 12 else (0, 0)
    if flags & _EXTRA:
        at += 2 + struct.unpack("<H", head[at : at + 2])[0]
    found = []
    for flag in (_NAMED, _COMMENT):
        said, _, rest = head[at:].partition(b"\0") if flags & flag else (b"", b"", head[at:])
        found.append(said.decode("latin-1"))
        head, at = rest, 0
    return found[0], found[1]


def _plain_tar(content: Content, allowance: Allowance) -> Iterator[Member]:
    return _tar(content.blocks(), allowance)


def _tar(blocks: Iterator[bytes], allowance: Allowance) -> Iterator[Member]:
    reader = TarReader.of(allowance.through(blocks))
    for member in reader.members():
        said = {key: str(value) for key, value in member.pax_headers.items()}
        comment = said.pop("comment", "")
        beside = "\n".join((member.uname, member.gname, *said.values())).encode(errors="replace")
        if not member.isreg():
            yield Member(f"{member.name} {member.linkname}".strip(), None, comment, beside)
            continue
        if member.issparse():
            raise NotUnderstood("a member of the archive has holes")
        with closing(Unpacked(map(bytes, reader.body(member)))) as unpacked:
            yield Member(member.name, unpacked, comment, beside)
            unpacked.drain()
    _require(reader.is_tidy)


def _zip(content: Content, allowance: Allowance) -> Iterator[Member]:
    if (length := _directory_size(content)) > _MOST_DIRECTORY:
        raise NotUnderstood(f"the archive has more than {MOST_MEMBERS:,} members")
    with zipfile.ZipFile(content.file()) as archive:
        infos, table, comment = archive.infolist(), archive.start_dir, archive.comment
    if len(infos) > MOST_MEMBERS:
        raise NotUnderstood(f"the archive has more than {MOST_MEMBERS:,} members")
    yield Member("", None, text(comment))
    at, whole = 0, True
    for info in sorted(infos, key=lambda info: info.header_offset):
        extra, start, end = _places(content, info)
        beside = content.at(extra, start - extra) + info.extra
        with closing(Unpacked(allowance.through(_blocks(content, info, start)))) as unpacked:
            inner = None if info.is_dir() else unpacked
            yield Member(info.filename, inner, text(info.comment), beside)
            whole &= info.header_offset == at and _is_whole(info, content, unpacked)
        at = end
    _require(whole and at == table and _ends(content, table + length, len(comment)))


def _ends(content: Content, at: int, comment: int) -> bool:
    """Return whether nothing but zeros follows what follows the table."""
    for size in _TAILS:
        if content.at(at + size - _END, 4) == _ZIP[1]:
            return not content.at(at + size + comment, _MOST_PADDING).strip(b"\0")
    return False


def _is_whole(info: zipfile.ZipInfo, content: Content, unpacked: Unpacked) -> bool:
    """Return whether a member is called by one name and ends where it should; the others are read all the same."""
    mark, length, _ = _LOCAL.unpack(content.at(info.header_offset, _LOCAL.size))
    name = content.at(info.header_offset + _LOCAL.size, length)
    called = name.decode("utf-8" if info.flag_bits & _UTF_8 else "cp437", "replace")
    try:
        unpacked.drain()
    except NotUnderstood:
        return False
    return (
        mark == _ZIP[0] and called == info.orig_filename and not (info.is_dir() and info.file_size)
    )


def _places(content: Content, info: zipfile.ZipInfo) -> tuple[int, int, int]:
    """Return where what stands beside a member begins, its packed bytes, and what belongs to the next."""
    _, name, length = _LOCAL.unpack(content.at(info.header_offset, _LOCAL.size))
    extra = info.header_offset + _LOCAL.size + name
    start = extra + length
    end = start + info.compress_size
    after = content.at(end, 24) if info.flag_bits & _DESCRIBED else b""
    known = (one for one in _descriptors(info) if after.startswith(one))
    return extra, start, end + len(next(known, b""))


def _descriptors(info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the ways in which checksum and sizes may be repeated after a member."""
    for mark in (b"PK\7\10", b""):
        for form in ("<LLL", "<LQQ"):
            with suppress(struct.error):  # it has more bytes than that form can say
                yield mark + struct.pack(form, info.CRC, info.compress_size, info.file_size)


def _blocks(content: Content, info: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    """Yield what a member unpacks to; raise NotUnderstood where that is not all that lies there."""
    if info.flag_bits & _ENCRYPTED:
        raise NotUnderstood("a member of the archive is encrypted")
    if info.compress_type not in _READ:
        raise NotUnderstood("a member of the archive is packed in a way that is not read")
    checksum = size = 0
    for block in _unpacked(Part(content, start, info.compress_size).blocks(), info.compress_type):
        checksum, size = zlib.crc32(block, checksum), size + len(block)
        yield block
    if (checksum, size) != (info.CRC, info.file_size):
        raise NotUnderstood("the archive is damaged or cut short")


def _unpacked(blocks: Iterator[bytes], method: int) -> Iterator[bytes]:
    if method == zipfile.ZIP_STORED:
        yield from blocks
        return
    codec = Inflate(-zlib.MAX_WBITS) if method == zipfile.ZIP_DEFLATED else bz2.BZ2Decompressor()
    for block in blocks:
        _require(not codec.eof)
        yield codec.decompress(block, BLOCK)
        while not codec.eof and not codec.needs_input:
            yield codec.decompress(b"", BLOCK)
    _require(codec.eof and not codec.unused_data)


def _require(is_whole: bool) -> None:
    if not is_whole:
        raise NotUnderstood(_ELSEWHERE)


def _directory_size(content: Content) -> int:
    """Return the bytes of a zip's table, before anything is made of it; those of Zip64 are at its end."""
    size = content.size
    tail = content.at(max(0, size - (1 << 16) - 22), (1 << 16) + 22)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < 22:
        raise NotUnderstood("the archive is damaged or cut short")
    found: int = struct.unpack("<L", tail[at + 12 : at + 16])[0]
    if found == 0xFFFFFFFF:
        end = tail.rfind(b"PK\6\6", 0, at)
        return struct.unpack("<Q", tail[end + 40 : end + 48])[0] if end >= 0 else found
    return found
