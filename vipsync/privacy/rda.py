"""Siemens .rda: a header of `Name: value` lines, then doubles."""

from __future__ import annotations

from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.reading import EVERYTHING, Reading
from vipsync.privacy.texts import fields

_BEGIN, _END = b">>> Begin of header <<<", b">>> End of header <<<"
_MOST = 1 << 18  # bytes of a header; real ones have some thousand


def recognise(content: Content) -> bool:
    """Return whether the content begins as an .rda does."""
    return content.at(0, len(_BEGIN)) == _BEGIN


def read(content: Content, reading: Reading) -> None:
    """Write down the fields of the header."""
    reading.format = "Siemens rda"
    head, end, _ = content.at(0, _MOST).partition(_END)
    for field in fields(head):
        reading.named(*field)
    if not end:
        raise NotUnderstood("the header of the rda file has no end")
    reading.own.append((len(head) + len(_END), EVERYTHING))
