"""What a failed job said last, without what VIP's wrapper and bosh put around it (facts 5.10).

PURE: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Stream = Literal["stdout", "stderr"]

LINES = 20
"""Lines of a log that are kept."""

_LONGEST = 300
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_WRAPPER = re.compile(r"\[ (?P<level>[A-Z]+) - [^\]]+ \] (?P<text>.*)")
_NOTHING = "EXECUTION_FAILED - execution was not successful"
_SUMMARY = re.compile(r"^Shell command\n.*\nContainer location\n", re.MULTILINE)
_CODE = re.compile(r"^Exit code\n(?P<code>-?\d+)$", re.MULTILINE)
_TELLING = re.compile(
    r"\[ ?(?:fatal|error|critical) ?\]:? *(?P<text>.+)"
    r"|(?P<whole>(?:[\w ]*\b)?(?:fatal|error|critical)\b[^:]{0,40}:.+|[\w.]*(?:Error|Exception)\b:?.*)",
    re.IGNORECASE,
)


class Words(Struct, frozen=True):
    """The last lines of the application, the one of them that says why, and where they stood."""

    reason: str = ""
    said: tuple[str, ...] = ()
    stream: Stream = "stdout"


def words_of(stdout: str, stderr: str) -> Words:
    """Return what the application said last; the wrapper's own words where it said nothing."""
    streams: dict[Stream, str] = {"stdout": stdout, "stderr": stderr}
    for stream, text in streams.items():
        if said := _said(text):
            return Words(_reason(said), said, stream)
    errors = [error for text in streams.values() for error in _wrapper_errors(text)]
    if errors:
        return Words(errors[-1], stream="stderr")
    return Words(_silent(stdout))


def _said(text: str) -> tuple[str, ...]:
    """Return the last lines of the application: what is not the wrapper's, up to bosh's summary."""
    text = text.replace("\r\n", "\n")
    ends = [found.start() for found in _SUMMARY.finditer(text)]
    lines = (_clean(line) for line in (text[: ends[-1]] if ends else text).split("\n"))
    own = [line for line in lines if line and not _WRAPPER.match(line)]
    return tuple(own[-LINES:])


def _clean(line: str) -> str:
    """Return a line as it stood on a terminal at its end, with nothing that could move a cursor."""
    last = _ESCAPES.sub("", line).rstrip().rpartition("\r")[2]
    plain = "".join(c if c.isprintable() else " " for c in last.expandtabs(4)).rstrip()
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"


def _reason(said: tuple[str, ...]) -> str:
    """Return the last line that calls itself an error, else the last line."""
    for line in reversed(said):
        if found := _TELLING.match(line):
            return found["text"] or found["whole"]
    return said[-1].strip()


def _wrapper_errors(text: str) -> Iterator[str]:
    for line in text.splitlines():
        found = _WRAPPER.match(line)
        if found and found["level"] == "ERROR" and found["text"] != _NOTHING:
            yield _clean(found["text"])


def _silent(stdout: str) -> str:
    """Return what bosh tells of an application that said nothing."""
    codes = _CODE.findall(stdout)
    return f"it ended with exit code {codes[-1]} and said nothing" if codes else ""
