"""Siemens twix (meas*.dat): headers in XProtocol before the raw data, one for each measurement.

VB has one header at the start. VD and VE begin with a table of up to 64 measurements, and the table
itself has the patient's name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import strings, text

_MOST_SCANS = 64
_MOST_BUFFERS = 64
_MOST_HEADER = 1 << 24
_ENTRY = struct.Struct("<IIQQ64s64s")
_NAME = re.compile(rb"[A-Za-z][\w]{1,46}\0")
_PARAMETER = re.compile(
    rb'<Param(?:String|Long|Double)\."([^"\n]{0,100})">\s{0,40}\{([^{}]{0,4096})\}'
)
_QUOTED = re.compile(rb'"([^"]*)"')


def recognise(content: Content) -> bool:
    """Return whether a header begins at the start, or where the table says."""
    return _is_header(content, 0) or any(_is_header(content, at) for at, _ in _table(content))


def read(content: Content, reading: Reading) -> None:
    """Write down the fields of all headers, and of the table."""
    reading.format, reading.not_checked = "Siemens twix", ("raw data",)
    if _is_header(content, 0):
        return _header(content, 0, reading)
    for number, (at, patient) in enumerate(_table(content)):
        start = 8 + number * _ENTRY.size + 24
        for name in strings(patient):
            reading.named("PatientName", name, (start, start + 64))
        if not _is_header(content, at):
            raise NotUnderstood("a measurement of the twix file has no header")
        _header(content, at, reading)
    return None


def _table(content: Content) -> Iterator[tuple[int, bytes]]:
    """Yield where each measurement begins, and the patient's name beside it."""
    head = content.at(0, 8)
    size, count = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
    if size >= 10_000 or not 0 < count <= _MOST_SCANS:
        return
    table = content.at(8, count * _ENTRY.size)
    for _, _, at, _, patient, _ in _ENTRY.iter_unpack(
        table[: len(table) // _ENTRY.size * _ENTRY.size]
    ):
        yield at, patient


def _is_header(content: Content, at: int) -> bool:
    head = content.at(at, 64) if 0 <= at < 1 << 60 else b""
    if len(head) < 64:
        return False
    size, count = struct.unpack("<II", head[:8])
    return 64 <= size <= _MOST_HEADER and 0 < count <= _MOST_BUFFERS and bool(_NAME.match(head, 8))


def _header(content: Content, start: int, reading: Reading) -> None:
    size, count = struct.unpack("<II", content.at(start, 8))
    at, end = start + 8, start + size
    for _ in range(count):
        name = _NAME.match(content.at(at, 64))
        if not name or at >= end:
            raise NotUnderstood("the header of the twix file is damaged")
        at += name.end()
        (length,) = struct.unpack("<I", content.at(at, 4).ljust(4, b"\0"))
        at += 4
        raw = content.at(at, min(length, _MOST_HEADER))
        if len(raw) < length:
            raise NotUnderstood("the header of the twix file is cut short")
        _parameters(raw, at, reading)
        at += length


def _parameters(raw: bytes, start: int, reading: Reading) -> None:
    for found in _PARAMETER.finditer(raw):
        quoted = _QUOTED.search(found[2])
        value = quoted[1] if quoted else found[2].split(b">")[-1]
        begin = start + found.start(2)
        reading.named(text(found[1]), text(value), (begin, start + found.end(2)))
