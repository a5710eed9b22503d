"""Lines of the log: one for each event, with the time, its offset, and the folder that it is about.

One process serves many folders, and each has a log of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from vipsync.model import moment

NEWS = "vipsync.news"
"""The logger of what people are told anyway, on stdout."""

STAMP = len("2026-01-31 14:22:05+01:00")
"""Letters of the time that a line begins with."""

GAP = "  "

_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def about(root: Path | None) -> Iterator[None]:
    """Let what this thread logs meanwhile be about one folder; None: about all of them."""
    token = _folder.set(root)
    try:
        yield
    finally:
        _folder.reset(token)


def folder() -> Path | None:
    """Return the folder that this thread is at work for; None where a line concerns all."""
    return _folder.get()


def stamp(wall: float) -> str:
    """Return a time of this machine with its offset: 2026-01-31 14:22:05+01:00."""
    return moment(wall).isoformat(" ", "seconds")


class Lines(logging.Formatter):
    """The time, the folder, how bad it is, the text: on one line, but for a traceback below it.

    `name` gives the name of a folder; without `dated`, whoever takes the line knows the time.
    """

    def __init__(self, name: Callable[[Path], str], *, dated: bool = True) -> None:
        super().__init__()
        self._name, self._dated = name, dated

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the first line."""
        root = folder()
        time = f"{stamp(record.created)}{GAP}" if self._dated else ""
        who = f"{self._name(root)}: " if root else ""
        bad = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        for_people = bad or record.name == NEWS
        place = "" if for_people else f" ({record.name})"
        words = " ".join(record.getMessage().split("\n"))
        return time + "".join(c if c.isprintable() else "?" for c in f"{who}{bad}{words}{place}")
