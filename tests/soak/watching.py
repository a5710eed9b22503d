"""What a life is watched with: each request, outcome, commit and word that is logged.

Each is also a point at which the process may die: before it, inside it, after it. The lines that
are written down are the same wherever a story is lived: what no clock and no seed can rule is left
out, as inodes, the disk's own times, where the folder lies.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import asdict

from tests.lab.served import KEY
from vipsync import actions as do
from vipsync.local import ManualClock
from vipsync.model import FileState
from vipsync.record.ledger import Ledger
from vipsync.rows import Changes
from vipsync.run.dispatch import Done, carry_out
from vipsync.run.reconciler import Work


class Watch:
    """Writes down what happens; `root` is where the life lies on this disk."""

    def __init__(self, root: Path, clock: ManualClock, point: Callable[[], None]) -> None:
        self.lines: list[str] = []
        self.point = point
        """Let the process live on, or not."""
        self._root, self._clock = str(root), clock

    def note(self, *words: object) -> None:
        """Write down what happened now."""
        text = " ".join(map(_plain, words)).replace(self._root, "ROOT")
        self.lines.append(f"{self._clock.now():.3f} {text}")

    def digest(self) -> str:
        """Return a hash of all lines."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]


def _plain(value: object) -> str:
    """Return a value as text that depends on nothing but the story."""
    if isinstance(value, str):
        return value
    if isinstance(value, FileState):
        return f"{value.size} bytes"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}({value})"
    if isinstance(value, Struct):
        told = (f"{name}={_field(name, part)}" for name, part in asdict(value).items())
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_plain(k)}: {_plain(v)}' for k, v in value.items())}}}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_plain, value))})"
    return repr(value)


def _field(name: str, value: object) -> str:
    """Return a field; of a file's stamp only its size, for its time is the disk's own."""
    return str(value).split(" ", 1)[0] if name == "stamp" else _plain(value)


class Mortal:
    """Carries work out at once; the process may die before or after."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def submit(self, work: Work, done: Done) -> None:
        """Carry work out, and write down what came of it."""
        told: list[do.Outcome | None] = []
        self._watch.point()
        carry_out(work, lambda _work, came: told.append(came))
        self._watch.note(do.key(work.action), told[0])
        self._watch.point()
        done(work, told[0])


class Watched(httpx.BaseTransport):
    """Passes requests on; the process may die before and after each."""

    def __init__(
        self, inner: httpx.BaseTransport, watch: Watch, tell: Callable[[httpx.Request], None]
    ) -> None:
        self._inner, self._watch, self._tell = inner, watch, tell

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, and write down how it was answered."""
        self._watch.point()
        self._tell(request)
        asked = f"{request.method} {request.url.raw_path.decode()}"
        try:
            response = self._inner.handle_request(request)
        except httpx.TransportError as error:
            self._watch.note(asked, type(error).__name__)
            raise
        self._watch.note(asked, response.status_code)
        self._watch.point()
        return response


@contextmanager
def commits(watch: Watch) -> Iterator[None]:
    """Write each commit down; the process may die before and after it."""
    commit = Ledger.commit

    def commit_or_die(ledger: Ledger, changes: Changes) -> None:
        watch.point()
        commit(ledger, changes)
        watch.note(changes)
        watch.point()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "commit", commit_or_die)
        # Nobody waits here: looks that find nothing may be rarer, which only saves time.
        patch.setattr("vipsync.run.loop.LONGEST_WAIT", 20.0)
        yield


@contextmanager
def words(wrongs: list[str]) -> Iterator[None]:
    """Hear what is logged: a fault of vipsync is a wrong, and so is the key."""
    logger, handler = logging.getLogger("vipsync"), _Listener(wrongs)
    before, logger.propagate = (logger.level, logger.propagate), False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Listener(logging.Handler):
    def __init__(self, wrongs: list[str]) -> None:
        super().__init__()
        self._wrongs = wrongs

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if KEY in text:
            self._wrongs.append("the key was logged")
        if record.levelno >= logging.ERROR:
            self._wrongs.append(text)
