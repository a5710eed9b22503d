"""Philips: SPAR beside a spectrum, PAR beside an image (text or XML), list beside raw data."""

from __future__ import annotations

import html
import re

from vipsync.privacy.content import Content
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import fields, text

_MOST = 1 << 22  # bytes; ten thousand slices take three million
_SPAR = re.compile(
    rb"^[ \t]{0,8}(examination_name|patient_name|scan_id|synthesizer_frequency)\s*:", re.M
)
_PAR = b"# === DATA DESCRIPTION FILE"
_XML = re.compile(rb"<PRIDE_V\d")
_ATTRIBUTE = re.compile(
    rb'<Attribute\s[^<>]{0,500}?Name="([^"<>]*)"[^<>]{0,500}>([^<]*)</Attribute>'
)


def recognise(content: Content) -> bool:
    """Return whether the content begins as one of these does."""
    head = content.at(0, 1 << 13)
    return head.startswith(_PAR) or bool(_XML.search(head) or _SPAR.search(head))


def read(content: Content, reading: Reading) -> None:
    """Write down the fields of the header."""
    _fields(content.at(0, _MOST), reading)
    content.require_at_most(_MOST, "the text is")


def _fields(head: bytes, reading: Reading) -> None:
    if _XML.search(head[: 1 << 13]):
        reading.format = "Philips XML"
        for found in _ATTRIBUTE.finditer(head):
            reading.named(text(found[1]), html.unescape(text(found[2])), found.span(2))
        return
    reading.format = "Philips PAR" if head.startswith(_PAR) else "Philips SPAR"
    for field in fields(head, marks=b"#.! "):
        reading.named(*field)
