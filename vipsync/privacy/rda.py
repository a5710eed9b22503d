"""Siemens .rda: a header of `Name: value` lines, then doubles."""

from __future__ import annotations

from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import lines, text

_BEGIN, _END = b">>> Begin of header <<<", b">>> End of header <<<"
_MOST = 1 << 18  # bytes of a header; real ones have some thousand


def recognise(content: Content) -> bool:
    """Return whether the content begins as an .rda does."""
    return content.at(0, len(_BEGIN)) == _BEGIN


def read(content: Content, reading: Reading) -> None:
    """Write down the fields of the header."""
    reading.format = "Siemens rda"
    head = content.at(0, _MOST)
    end = head.find(_END)
    for start, line in lines(head if end < 0 else head[:end]):
        name, sign, value = line.partition(b":")
        if sign:
            at = start + len(name) + 1
            reading.named(text(name), text(value), (at, at + len(value)))
    if end < 0:
        raise NotUnderstood("the header of the rda file has no end")
    reading.own.append((end + len(_END), content.size))
