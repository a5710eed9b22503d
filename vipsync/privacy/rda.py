"""Siemens .rda: a header of `Name: value` lines, then doubles."""

from __future__ import annotations

import math
import re

from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.reading import EVERYTHING, Reading
from vipsync.privacy.texts import fields

_BEGIN, _END = b">>> Begin of header <<<", b">>> End of header <<<"
_SIZE = re.compile(
    rb"^(?:VectorSize|CSIMatrixSize\[\d\])[ \t]{0,8}:[ \t]{0,8}(\d{1,6})[ \t]{0,8}\r?$", re.M
)
_POINT = 16  # bytes
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
    sizes = _SIZE.findall(head)
    start = len(head) + len(_END)
    start += 2 if content.at(start, 2) == b"\r\n" else 1
    points = start + _POINT * math.prod(max(1, int(size)) for size in sizes)
    reading.own.append((start, points))
    if not sizes:
        raise NotUnderstood("the rda file does not say how many points it has")
    content.skip(points)
    content.require_padding(points, EVERYTHING, "something follows the points of the rda file")
