"""Bruker ParaVision: subject, acqp, method, reco, visu_pars; all are JCAMP-DX.

A record is `##name=value` up to the next one; `$$` begins a comment, and there the software writes who
saved the file, and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vipsync.privacy.content import Content
from vipsync.privacy.findings import Layer
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import lines, text

_MOST = 1 << 24
_MOST_COMMENT = 500
_HEAD = b"##TITLE="
_STRING = re.compile(rb"<([^<>]*)>")
_SIZE = re.compile(rb"^\s*\([\s\d,]*\)")
_SAVED_BY = re.compile(rb"\$\$.*\s([^\s@]+)@\S+")
_SOFTWARE = {b"nmr", b"nmrsu", b"root"}  # accounts that ParaVision itself works with


def recognise(content: Content) -> bool:
    """Return whether the content begins as JCAMP-DX does."""
    return content.at(0, len(_HEAD)).upper() == _HEAD


def read(content: Content, reading: Reading) -> None:
    """Write down the fields and the paths."""
    reading.format = "Bruker"
    raw = content.at(0, _MOST)
    for start, record in _records(raw):
        end = start + len(record)
        if record.startswith(b"$$"):
            _comment(record, (start, end), reading)
            continue
        name, _, value = record.removeprefix(b"##").partition(b"=")
        if name != b"OWNER":
            reading.named(text(name.lstrip(b"$")), _value(value), (start, end))
        elif value.strip() not in _SOFTWARE:
            reading.add(Layer.FIELD, "OperatorsName", text(value), (start, end))
    content.require_at_most(_MOST, "the parameters are")


def _records(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each record and comment with its place; a record goes on until the next one."""
    begun = end = 0
    for start, line in lines(raw):
        if line.startswith((b"##", b"$$")) and start:
            yield begun, raw[begun:end]
            begun = start
        end = start + len(line)
    yield begun, raw[begun:end]


def _comment(record: bytes, place: tuple[int, int], reading: Reading) -> None:
    said = record[2:].strip()
    if said.startswith(b"/") or re.match(rb"[A-Za-z]:[\\/]", said):
        reading.add(Layer.FIELD, "BrukerPath", text(said), place)
    elif (found := _SAVED_BY.search(record[:_MOST_COMMENT])) and found[1] not in _SOFTWARE:
        reading.add(Layer.FIELD, "OperatorsName", text(found[1]), place)


def _value(raw: bytes) -> str:
    if strings := _STRING.findall(raw):
        return " ".join(text(one) for one in strings).strip()
    return text(_SIZE.sub(b"", raw))
