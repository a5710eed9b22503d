"""PURE: which bytes a `Range` asks for, read as VIP's framework reads it (facts 3.8)."""

from __future__ import annotations

import re

_UNIT = "bytes="
_SPAN = re.compile(r"(\d*)-(\d*)", re.ASCII)
_MOST = 100


class Unmet(Exception):
    """A range that cannot be met: 416, and the whole file comes."""


def asked_spans(header: str, size: int) -> list[tuple[int, int]]:
    """Return first byte and the one after the last of each range; raises Unmet."""
    if not header.startswith(_UNIT):
        raise Unmet(header)
    words = [word.strip() for word in header.removeprefix(_UNIT).split(",")]
    spans = [_span(word, size) for word in words if word]
    if len(spans) > _MOST or (len(spans) > 1 and sum(b - a for a, b in spans) >= size):
        raise Unmet(header)
    return spans


def _span(word: str, size: int) -> tuple[int, int]:
    found = _SPAN.fullmatch(word)
    if not found or word == "-":
        raise Unmet(word)
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    if start >= size or (first and last and int(last) < int(first)):
        raise Unmet(word)
    return start, stop
