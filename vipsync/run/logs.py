"""Which session folder a line of the log is about: one process serves many, each has its own log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def about(root: Path) -> Iterator[None]:
    """Let what this thread logs meanwhile be about one folder."""
    token = _folder.set(root)
    try:
        yield
    finally:
        _folder.reset(token)


def folder() -> Path | None:
    """Return the folder that this thread is at work for; None where a line concerns all."""
    return _folder.get()
