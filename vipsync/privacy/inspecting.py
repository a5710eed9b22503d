"""Look into a file for what names a person: bounded reads, and an answer whatever the content is."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import UnsupportedOperation
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vipsync.errors import ArchiveRefused, LocalFileError, VipsyncError
from vipsync.privacy import (
    archives,
    bruker,
    dicom,
    ge,
    jmrui,
    lcmodel,
    nifti,
    philips,
    rda,
    sidecars,
    twix,
)
from vipsync.privacy.content import Content, FileContent, NotUnderstood
from vipsync.privacy.findings import Finding, Inspection, Layer
from vipsync.privacy.identifiers import REACH, Identifier, hits, identifiers
from vipsync.privacy.reading import EVERYTHING, Places, Reading, TooMuch

See = Callable[[bytes], object]


class _Format(NamedTuple):
    recognise: Callable[[Content], bool]
    read: Callable[[Content, Reading], None]


_FORMATS = (
    _Format(dicom.recognise, dicom.read),
    _Format(rda.recognise, rda.read),
    _Format(philips.recognise, philips.read),
    _Format(twix.recognise, twix.read),
    _Format(ge.recognise, ge.read),
    _Format(bruker.recognise, bruker.read),
    _Format(nifti.recognise, nifti.read),
    _Format(jmrui.recognise, jmrui.read),
    _Format(lcmodel.recognise, lcmodel.read),
    _Format(sidecars.recognise_json, sidecars.read_json),
    _Format(sidecars.recognise_table, sidecars.read_table),
)
_COMMENT = "ArchiveComment"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""What git writes as a comment into each archive."""

_MOST_WANTED = 200
_ROOM = 5
_ROOM_OF_ONE_FILE, _ROOM_OF_MANY = 1, 2
"""How deep archives may lie in each other: two of many files, and one that is compressed in them."""


class _Way(NamedTuple):
    """What is searched for on the way through archives, and how far it may go."""

    allowance: archives.Allowance
    wanted: tuple[Identifier, ...] = ()
    room: int = _ROOM


def inspect(
    source: Path | BinaryIO,
    name: str,
    *,
    names: Iterable[str] = (),
    known: Sequence[Identifier] = (),
    see: See | None = None,
) -> Inspection:
    """Return what a file holds, whatever its name and content are.

    What its fields say is searched for in its other bytes, in `name`, its path in the folder, and in
    `names`: whatever else goes to VIP with it. `known` is searched for as well, and in the fields
    themselves. `see` is given all bytes, in blocks and in order, to hash them. Raise LocalFileError where the file cannot be read,
    or has changed meanwhile.
    """
    with _open(source) as file:
        before = _state(file)
        content = FileContent(file)
        reading = _examine(content, _Way(archives.Allowance(content.size)))
        wanted = _few(reading, (*known, *identifiers(_inspection(reading))))
        _compare(reading, known)
        for text in (name, *names):
            where = "a path" if text == name or "/" in text else "a name"
            _cross(reading, hits(wanted, text), where)
        if wanted and reading.is_archive:
            again = _examine(content, _Way(archives.Allowance(content.size), wanted))
            reading.take_all(f for f in again.findings if f.layer is Layer.CROSS)
            wanted = ()
        if wanted or see:
            _search(reading, content, wanted, see)
        if _state(file) != before:
            raise LocalFileError("A file changed while it was inspected.", "It is tried again.")
    return _inspection(reading)


@contextmanager
def _open(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, Path):
        try:
            file = source.open("rb", buffering=0)
        except OSError as exc:  # without the path: it may hold a name
            raise LocalFileError(f"A file cannot be read: {exc.strerror}.") from None
        with file:
            yield file
    else:
        yield source


def _few(reading: Reading, wanted: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    """Return no more values than can be searched for in good time."""
    if len(wanted) > _MOST_WANTED:
        reading.not_checked += (f"other places of all but {_MOST_WANTED} values",)
    return wanted[:_MOST_WANTED]


def _compare(reading: Reading, known: Sequence[Identifier]) -> None:
    """Write down which fields still say what is known of somebody."""
    for finding in reading.findings if known else ():
        if finding.layer is Layer.FIELD:
            _cross(reading, hits(known, finding.value), finding.field, finding.member)


def _state(file: BinaryIO) -> tuple[int, ...]:
    try:
        status = os.fstat(file.fileno())
    except UnsupportedOperation:  # in memory
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _inspection(reading: Reading) -> Inspection:
    return Inspection(
        reading.format,
        reading.findings,
        reading.not_understood,
        reading.not_checked,
        reading.refuse_unread,
    )


def _examine(content: Content, way: _Way) -> Reading:
    """Return what the fields of a file say; whatever goes wrong in it makes it "not understood"."""
    reading = Reading()
    try:
        _read(content, reading, way)
    except NotUnderstood as exc:
        reading.not_understood = str(exc)
    except TooMuch:
        reading.not_understood = "it holds more values than any file should"
    except ArchiveRefused:
        reading.not_understood = "the archive is damaged or cut short"
    except VipsyncError:  # this machine is in the way, not the content
        raise
    except OSError as exc:
        if exc.errno not in (None, errno.EINVAL):  # those are a parser's, of absurd content
            raise LocalFileError(f"A file cannot be read: {exc.strerror}.") from None
        reading.not_understood = "it cannot be read"
    except MemoryError:
        raise LocalFileError("There is not enough memory to inspect a file.") from None
    except Exception as exc:  # a parser's answer to absurd content; its text may hold a value
        reading.not_understood = f"it cannot be read ({type(exc).__name__})"
    return reading


def _read(content: Content, reading: Reading, way: _Way) -> None:
    for form in _FORMATS:
        if form.recognise(content):
            return form.read(content, reading)
    if kind := archives.kind(content):
        return _members(content, reading, way, kind)
    raise NotUnderstood("its format is not known" if content.at(0, 1) else "it is empty")


def _members(content: Content, reading: Reading, way: _Way, kind: str) -> None:
    """Look into each member, and search it for what is wanted."""
    reading.format, reading.is_archive = kind, True
    room = way.room - (_ROOM_OF_ONE_FILE if kind == "packed" else _ROOM_OF_MANY)
    if room < 0:
        raise NotUnderstood("archives lie too deep in each other")
    for member in archives.members(content, way.allowance):
        _cross(reading, hits(way.wanted, member.name), "a path", member.name)
        _said_beside(reading, member, way.wanted)
        if member.content:
            inner = _examine(member.content, way._replace(room=room))
            if way.wanted and not inner.is_archive:
                _search(inner, member.content, way.wanted, None)
            reading.absorb(inner, member.name)
            if kind == "packed":
                reading.format = f"{inner.format}, packed" if inner.format else kind
                if not inner.not_understood:
                    member.content.skip(EVERYTHING)  # what follows the packed bytes is damage


def _said_beside(reading: Reading, member: archives.Member, wanted: tuple[Identifier, ...]) -> None:
    """Write down a comment, and what is wanted of what an archive says beside its members."""
    layer = Layer.TOLD if _COMMIT.fullmatch(member.comment) else Layer.FIELD
    reading.add(layer, _COMMENT, member.comment)
    others = tuple(one for one in wanted if one.field != _COMMENT)
    found = dict.fromkeys((*hits(wanted, member.beside), *hits(others, member.comment)))
    _cross(reading, found, "the file's other bytes", member.name)


def _search(
    reading: Reading, content: Content, wanted: tuple[Identifier, ...], see: See | None
) -> None:
    """Pass all bytes by, and write down which of the values are in them."""
    if wanted and reading.others:
        said = "\n".join(reading.others).encode(errors="replace")
        _cross(reading, hits(wanted, said), "the file's other bytes")
    left, own = list(wanted), Places(reading.own)
    start, tail = 0, b""
    while True:
        if not see and (beyond := own.end_around(start)) > start:
            start, tail = beyond, b""
        if start >= EVERYTHING or not (block := content.block(start)):
            return
        if see:
            see(block)
        if left:
            tail += _without(block, own, start)
            found = hits(left, tail)
            _cross(reading, found, "the file's other bytes")
            left = [one for one in left if one not in found]
            tail = tail[-REACH:]
        start += len(block)


def _without(block: bytes, own: Places, start: int) -> bytes:
    """Return a block with one zero in place of what is not searched."""
    parts, at = [], 0
    for begin, end in own.within(start, start + len(block)):
        parts.append(block[at:begin])
        at = end
    return b"\0".join((*parts, block[at:])) if parts else block


def _cross(reading: Reading, found: Iterable[Identifier], where: str, member: str = "") -> None:
    for one in found:
        title = f"a part of {one.field} in {where}"
        reading.take(Finding(Layer.CROSS, title, one.value, member, of=one.field))
