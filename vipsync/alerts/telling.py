"""Send alerts from a thread of its own, and remember through restarts what was told.

What is on its way counts as told, and that is on disk before it leaves: nothing is told twice, whenever
this process dies. What did not arrive is still to be told.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol, Self

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct
from platformdirs import user_state_path

from vipsync.alerts.facts import Facts, Gathering, Kept, Message, News, message
from vipsync.disk.files import LARGE, make_folder, read_small, write_atomic
from vipsync.errors import DiskError, VipsyncError
from vipsync.model import NotifySettings

logger = logging.getLogger(__name__)

AGAIN, SELDOM = 60.0, 3600.0
"""Seconds after which a receiver that is down is tried again, at first and at last."""

PATIENCE = 5.0
"""Seconds that the end waits for messages that are to be sent, or are on their way."""

_LAST_MOMENT = 1.0
"""Seconds in which what is on its way is given up."""


class Memory(Struct):
    """What outlives a process; `running`: it did not say that it ended. `ids`: folders by their paths."""

    running: bool = False
    crashes: int = 0
    ids: dict[str, str] = {}
    receivers: list[Kept] = []


class To(Protocol):
    """Where messages go. `name` may be shown."""

    @property
    def name(self) -> str:
        """Say which one it is, not its address."""

    def send(self, message: Message, give_up: Callable[[], bool]) -> str:
        """Send; return why that was not possible, empty where the message was taken."""


class Post(Struct):
    """One receiver: what it is still to be told, and when to try again (UTC s)."""

    to: To
    gathering: Gathering
    not_before: float = 0.0
    failed: int = 0

    def due(self, wall: float) -> float | None:
        """Return when to send; None where there is nothing to tell."""
        due = self.gathering.due(wall)
        self.not_before = min(self.not_before, wall + SELDOM)  # a clock can be set back
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
        self._lock = threading.Lock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._seen: dict[Path, tuple[str, str, Facts]] = {}
        self._posts: list[Post] = []
        self._memory = Memory()
        self._kept = b""
        self._held = FileLock(memory.with_suffix(".lock"))
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._active = self._ending = self._flushes = self._gave_up = False

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
            self._memory = msgspec.json.decode(read_small(self._path, LARGE), type=Memory)
        memory, settings, wall = self._memory, self._settings, self._wall()
        memory.crashes += memory.running
        memory.running = self._active = True
        memory.receivers += (Kept() for _ in range(len(self._to) - len(memory.receivers)))
        self._posts = [
            Post(to, Gathering(settings.on, settings.quiet, kept, memory.crashes, wall))
            for to, kept in zip(self._to, memory.receivers, strict=False)
        ]
        self._keep()

    def stop(self) -> None:
        """Say that the end was asked for: what is not sent waits for the next start.

        May be called from a signal handler, hence a queue of this kind.
        """
        self._ending = True
        self._wake.put(None)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End soon, whatever receivers do; where nobody asked for the end, what is known is sent."""
        if not self._active:
            return
        self._flushes = not self._ending
        if kind and issubclass(kind, Exception) and not issubclass(kind, VipsyncError):
            self._say_crash()
        self.stop()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
            self._gave_up = True
            self._thread.join(_LAST_MOMENT)
        self._active = self._memory.running = False
        self._keep()
        self._held.release()

    def _say_crash(self) -> None:
        with self._lock:
            self._memory.crashes += 1
            for post in self._posts:
                post.gathering.see_service(self._memory.crashes, self._wall())

    def see(self, root: Path, name: str, facts: Facts, known_id: str = "") -> None:
        """Take in what is true of a folder now; returns at once."""
        path = _digest(root)
        owner = known_id or self._memory.ids.get(path, path)
        seen = (owner, name, facts)
        if not self._active or self._seen.get(root) == seen:
            return
        self._seen[root] = seen
        with self._lock:
            if known_id:
                self._memory.ids[path] = known_id
            for post in self._posts:
                post.gathering.rename(path, owner)
                post.gathering.see(owner, name, facts, self._wall())
        self._wake.put(None)

    def leave(self, root: Path) -> None:
        """Say nothing more of a folder that was let go."""
        if root in self._seen:
            owner, _, _ = self._seen.pop(root)
            with self._lock:
                for post in self._posts:
                    post.gathering.leave(owner)

    def _work(self) -> None:
        while not self._ending:
            self._wait(self._turned())
        if self._flushes:
            self._turned(at_once=True)
        self._memory.running = False
        self._keep()

    def _turned(self, *, at_once: bool = False) -> float | None:
        try:
            return self.turn(at_once=at_once)
        except Exception:  # a fault in one alert must not end all that come after it
            logger.exception("an alert failed unexpectedly")
            return AGAIN

    def _wait(self, seconds: float | None) -> None:
        with suppress(Empty):
            self._wake.get(timeout=seconds)
            while True:
                self._wake.get_nowait()

    def turn(self, *, at_once: bool = False) -> float | None:
        """Send what is due, or all that there is `at_once`; return the seconds until something is."""
        dues = self._dues()
        ready = [post for post, due in dues if at_once or due <= self._wall()]
        if ready:  # one that is slow keeps no other waiting
            with ThreadPoolExecutor(len(ready), "alert") as senders:
                sent = [senders.submit(self._send, post) for post in ready]
            for one in sent:  # each has ended: a fault in one has cancelled no other
                one.result()
            dues = self._dues()
        self._keep()
        return max(min(due for _, due in dues) - self._wall(), 0.1) if dues else None

    def _dues(self) -> list[tuple[Post, float]]:
        with self._lock:
            found = [(post, post.due(self._wall())) for post in self._posts]
        return [(post, due) for post, due in found if due is not None]

    def _send(self, post: Post) -> None:
        with self._lock:
            new = post.gathering.take()
        if not new or self._gave_up:
            return
        self._keep()
        trouble = post.to.send(message(new, socket.gethostname()), lambda: self._gave_up)
        if not self._gave_up:  # else nobody knows whether it has arrived
            self._sent(post, new, trouble)

    def _sent(self, post: Post, new: News, trouble: str) -> None:
        with self._lock:
            if trouble:
                post.gathering.refused(new, self._wall())
            else:
                post.gathering.taken()
        if trouble and not post.failed:
            logger.warning(
                "An alert to receiver %s could not be sent, and is tried again: %s",
                post.to.name,
                trouble,
            )
        if not trouble and post.failed:
            logger.info("Alerts to receiver %s can be sent again.", post.to.name)
        post.failed = post.failed + 1 if trouble else 0
        post.not_before = self._wall() + _pause(post.failed) if trouble else 0.0

    def _keep(self) -> None:
        """Write down what has changed; where that is not possible, something may be told twice."""
        with self._lock, suppress(OSError, DiskError):
            now = msgspec.json.encode(self._memory)
            if now != self._kept:
                write_atomic(self._path, now)
                self._kept = now


def _pause(failed: int) -> float:
    return min(AGAIN * 2.0 ** min(failed - 1, 10), SELDOM)


def _digest(path: Path | None) -> str:
    return blake2b(str(path).encode(errors="replace"), digest_size=8).hexdigest()


def memory_file(config: Path | None) -> Path:
    """Return where it is kept what was told of the folders of one vipsync.toml."""
    return user_state_path("vipsync") / "alerts" / f"{_digest(config)}.json"
