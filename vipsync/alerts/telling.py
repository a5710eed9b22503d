"""Send alerts from a thread of its own, and remember through restarts what was told."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, Self

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct
from platformdirs import user_state_path

from vipsync.alerts.facts import (
    SERVICE,
    Fact,
    Gathering,
    Message,
    Told,
    came_back,
    facts_of,
    message,
)
from vipsync.disk.files import make_folder, read_document, write_atomic
from vipsync.errors import DiskError
from vipsync.model import NotifySettings
from vipsync.status.status import Status

logger = logging.getLogger(__name__)

AGAIN, SELDOM = 60.0, 3600.0
"""Seconds after which a receiver that is down is tried again, at first and at last."""

_PATIENCE = 5.0
"""Seconds that the end waits for a message that is on its way."""


class Memory(Struct):
    """What outlives a process: what each receiver was told, and whether the last one ended well."""

    running: bool = False
    crashes: int = 0
    told: list[Told] = []


class To(Protocol):
    """Where a message goes."""

    def send(self, message: Message) -> bool:
        """Send; tell whether it was taken."""


class Post:
    """One receiver: what it is still to be told, and when to try again."""

    def __init__(self, to: To, gathering: Gathering) -> None:
        self.to, self.gathering = to, gathering
        self.not_before, self.failed = 0.0, 0

    def due(self) -> float | None:
        """Return when to send; None where there is nothing to tell."""
        due = self.gathering.due()
        return None if due is None else max(due, self.not_before)


class Alerts:
    """Tell receivers what is new in folders. `see` never waits; whatever waits is in the thread."""

    def __init__(
        self,
        settings: NotifySettings,
        to: Sequence[To],
        memory: Path,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._to, self._path, self._wall = settings, to, memory, wall
        self._lock, self._news = threading.Lock(), threading.Event()
        self._seen: dict[str, tuple[object, ...]] = {}
        self._owners: dict[Path, str] = {}
        self._posts: list[Post] = []
        self._memory = Memory()
        self._held = FileLock(memory.with_suffix(".lock"))
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._stopping = self._active = False

    def __enter__(self) -> Self:
        """Begin, unless another process of this account tells already."""
        if self._to and self._take():
            self.begin()
            self._thread.start()
        return self

    def _take(self) -> bool:
        try:
            make_folder(self._path.parent)
            self._held.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, DiskError):
            logger.warning("No alerts are sent: %s cannot be written.", self._path.parent)
            return False
        return True

    def begin(self) -> None:
        """Remember what was told; a process that did not say that it ended has crashed."""
        with suppress(OSError, ValueError, RecursionError):
            self._memory = read_document(self._path, Memory)
        self._memory.crashes += self._memory.running
        self._memory.running = self._active = True
        told = self._memory.told
        told += ({} for _ in range(len(self._to) - len(told)))
        on, quiet = self._settings.on, self._settings.quiet
        self._posts = [Post(to, Gathering(on, quiet, told[n])) for n, to in enumerate(self._to)]
        for post in self._posts:
            post.gathering.see(SERVICE, "vipsync", came_back(self._memory.crashes), self._wall())
        self._keep()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End; what was not sent is found again at the next start."""
        if not self._active:
            return
        self._stopping = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._active = False
        with self._lock:
            self._memory.running = kind is not None and not issubclass(kind, KeyboardInterrupt)
            self._keep()
        self._held.release()

    def see(self, root: Path, status: Status, name: str) -> None:
        """Take in how a folder is now; returns at once."""
        if not self._active:
            return
        owner = status.id or blake2b(str(root).encode(errors="replace"), digest_size=8).hexdigest()
        lasting = (status.cases, status.notices, status.sentence, status.fetching, name)
        if self._seen.get(owner) == lasting:
            return
        self._seen[owner], self._owners[root] = lasting, owner
        facts = facts_of(status)
        with self._lock:
            for post in self._posts:
                post.gathering.see(owner, name, facts, self._wall())
        self._news.set()

    def leave(self, root: Path) -> None:
        """Say nothing more of a folder that was let go."""
        owner = self._owners.pop(root, "")
        if owner and self._seen.pop(owner, None):
            with self._lock:
                for post in self._posts:
                    post.gathering.leave(owner)

    def _work(self) -> None:
        while not self._stopping:
            due = self.turn()
            wait = None if due is None else min(max(due - self._wall(), 0.1), SELDOM)
            self._news.wait(wait)
            self._news.clear()

    def turn(self, *, at_once: bool = False) -> float | None:
        """Send what is due, or all that there is `at_once`; return when something is due next."""
        for post in self._posts:
            with self._lock:
                due, new = post.due(), post.gathering.untold()
            if due is not None and (at_once or due <= self._wall()):
                self._send(post, new)
        dues = [due for post in self._posts if (due := post.due()) is not None]
        return min(dues, default=None)

    def _send(self, post: Post, new: dict[str, tuple[str, frozenset[Fact]]]) -> None:
        taken = post.to.send(message(new, socket.gethostname()))
        with self._lock:
            if taken:
                post.gathering.was_told(new, self._wall())
                self._keep()
        if taken and post.failed:
            logger.info("Alerts can be sent again.")
        if not taken and not post.failed:
            logger.warning("An alert could not be sent; it is tried again.")
        post.failed = 0 if taken else post.failed + 1
        post.not_before = 0.0 if taken else self._wall() + _pause(post.failed)

    def flush(self) -> None:
        """Send all that there is, for a run that ends now; a receiver that is down is left."""
        if self._active:
            self._stopping = True
            self._news.set()
            self._thread.join(_PATIENCE)
            if not self._thread.is_alive():
                self.turn(at_once=True)

    def _keep(self) -> None:
        with suppress(OSError, DiskError):  # worst of all, something is told twice
            write_atomic(self._path, msgspec.json.encode(self._memory))


def _pause(failed: int) -> float:
    return min(AGAIN * 2 ** min(failed - 1, 10), SELDOM)


def memory_file(config: Path | None) -> Path:
    """Return where it is kept what was told of the folders of one vipsync.toml."""
    which = blake2b(str(config).encode(errors="replace"), digest_size=8).hexdigest()
    return user_state_path("vipsync") / "alerts" / f"{which}.json"
