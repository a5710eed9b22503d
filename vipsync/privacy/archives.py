"""Archives and compressed files: their members, one by one, as contents of their own.

Zip, tar and what gzip, bzip2 and xz make of one file. Nothing is written but what one member needs to
be read, to a temporary file without a name.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import NamedTuple

from vipsync.disk.archive import DEFAULT_LIMITS
from vipsync.disk.tarstream import TarReader, expanded
from vipsync.model import BLOCK
from vipsync.privacy.content import Content, NotUnderstood, Unpacked

MOST_MEMBERS = 50_000
_MOST_DIRECTORY = 1 << 25  # bytes of the table of a zip
_ZIP = (b"PK\3\4", b"PK\5\6")
_PACKED = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0")
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_NAMED, _EXTRA = 8, 4  # flags of gzip


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
    """A member by its name; a file that was only compressed has the name that the packer kept."""

    name: str
    content: Content | None  # None: a folder or a link


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
            yield Member(_name_in_gzip(content), unpacked)


def _name_in_gzip(content: Content) -> str:
    head = content.at(0, 1 << 12)
    flags, at = (head[3], 10) if head.startswith(_PACKED[0]) and len(head) > 12 else (0, 0)
    if flags & _EXTRA:
        at += 2 + struct.unpack("<H", head[at : at + 2])[0]
    return head[at:].partition(b"\0")[0].decode("latin-1") if flags & _NAMED else ""


def _plain_tar(content: Content, allowance: Allowance) -> Iterator[Member]:
    return _tar(content.blocks(), allowance)


def _tar(blocks: Iterator[bytes], allowance: Allowance) -> Iterator[Member]:
    reader = TarReader.of(allowance.through(blocks))
    for member in reader.members():
        if not member.isreg():
            yield Member(f"{member.name} {member.linkname}".strip(), None)
            continue
        with closing(Unpacked(map(bytes, reader.body(member)))) as unpacked:
            yield Member(member.name, unpacked)
            unpacked.drain()


def _zip(content: Content, allowance: Allowance) -> Iterator[Member]:
    if _directory_size(content) > _MOST_DIRECTORY:
        raise NotUnderstood(f"the archive has more than {MOST_MEMBERS:,} members")
    with zipfile.ZipFile(content.file()) as archive:
        if len(archive.infolist()) > MOST_MEMBERS:
            raise NotUnderstood(f"the archive has more than {MOST_MEMBERS:,} members")
        for info in archive.infolist():
            if info.is_dir():
                yield Member(info.filename, None)
                continue
            if info.flag_bits & 1:
                raise NotUnderstood("a member of the archive is encrypted")
            if info.compress_type not in _READ:
                raise NotUnderstood("a member of the archive is packed in a way that is not read")
            with closing(Unpacked(allowance.through(_blocks(archive, info)))) as unpacked:
                yield Member(info.filename, unpacked)


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as file:
        while block := file.read(BLOCK):
            yield block


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
