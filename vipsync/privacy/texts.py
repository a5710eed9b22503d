"""Lines of text in an encoding that nobody tells. Pure: no os, time, random, httpx or logging."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE = re.compile(rb"[^\r\n]+")
_LEFT, _WORD = re.compile(rb"[ -~\xa0-\xff]{4,}"), re.compile(rb"[A-Za-z]{3}|\d{6}")
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class Field(NamedTuple):
    """A name and its value, with the place (start, end) of the value in the file."""

    name: str
    value: str
    place: tuple[int, int]


def lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not empty, with its place; a value never goes on in the next line."""
    for found in _LINE.finditer(raw):
        yield found.start(), found[0]


def fields(raw: bytes, start: int = 0, sign: bytes = b":", marks: bytes = b"") -> Iterator[Field]:
    """Yield what stands on lines `name: value` of bytes that begin at `start`.

    `marks` are signs that a line may begin with.
    """
    for at, line in lines(raw):
        name, found, value = line.partition(sign)
        if found:
            begin = start + at + len(name) + len(sign)
            place = begin, begin + len(value)
            yield Field(text(name.strip().lstrip(marks)), text(value), place)


def text(raw: bytes) -> str:
    """Return bytes as text, without blanks around it."""
    return decoded(raw).strip()


def decoded(raw: bytes) -> str:
    """Return bytes as text: as its mark says, UTF-8, else Latin-1, which reads everything somehow."""
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def strings(raw: bytes) -> Iterator[str]:
    """Yield what C keeps in a field of fixed length: the text up to a zero, and what a longer one left."""
    first, _, rest = raw.partition(b"\0")
    yield text(first)
    yield from (text(left) for left in _LEFT.findall(rest) if _WORD.search(left))
