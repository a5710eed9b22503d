"""Lines of text in an encoding that nobody tells. Pure: no os, time, random, httpx or logging."""

from __future__ import annotations

from collections.abc import Iterator


def lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its place; a value never goes on in the next line."""
    start = 0
    for line in raw.splitlines(keepends=True):
        yield start, line.rstrip(b"\r\n")
        start += len(line)


def text(raw: bytes) -> str:
    """Return bytes as text: UTF-8, else Latin-1, which reads everything as something."""
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()
