"""jMRUI: .mrui (64 big-endian doubles, the points, then a text), and the text file."""

from __future__ import annotations

import math
import struct

from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.findings import Layer
from vipsync.privacy.meanings import meaning
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import lines, text

_TEXT = b"jMRUI Data Textfile"
_HEADER = struct.Struct(">64d")
_MOST_POINTS = 1 << 24
_MOST_TEXT = 1 << 22


def recognise(content: Content) -> bool:
    """Return whether the content is one of the two."""
    return content.at(0, len(_TEXT)) == _TEXT or _points(content) is not None


def read(content: Content, reading: Reading) -> None:
    """Write down what the text says."""
    reading.format = "jMRUI"
    points = _points(content)
    start = 0 if points is None else _HEADER.size + points * 16
    if points is not None:
        reading.own.append((0, start))
    _text(content.at(start, _MOST_TEXT), start, reading, trailer=points is not None)
    if points is not None and content.size < start:
        raise NotUnderstood("the jMRUI file is cut short")
    content.require_at_most(start + _MOST_TEXT, "the jMRUI file is")


def _points(content: Content) -> int | None:
    """Return how many points the binary file says it has; None where it is no such file."""
    head = content.at(0, _HEADER.size)
    if len(head) < _HEADER.size:
        return None
    kind, points, dwell, *_, frequency = (header := _HEADER.unpack(head))[:6]
    signals = header[13]
    plain = all(math.isfinite(number) for number in header)
    if not plain or kind not in range(8) or not 1 <= points <= _MOST_POINTS or points % 1:
        return None
    if not (0 < dwell < 1e4 and 1e5 < frequency < 1e12 and 0 <= signals <= 1e6):
        return None
    frames = int(signals) or (content.size - _HEADER.size) // (int(points) * 16)
    return int(points) * max(1, frames)


def _text(raw: bytes, start: int, reading: Reading, *, trailer: bool) -> None:
    """Write down named lines; what follows the points may have a name without saying so."""
    for at, line in lines(raw):
        name, sign, value = line.partition(b":")
        begin = start + at
        if sign and (meaning(text(name)) or not trailer):
            reading.named(text(name), text(value), (begin + len(name) + 1, begin + len(line)))
        elif trailer:
            said = text(line.replace(b"\0", b" "))
            reading.add(Layer.FIELD, "TextAfterPoints", said, (begin, begin + len(line)))
