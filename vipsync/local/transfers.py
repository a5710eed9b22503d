"""Uploads, downloads and removals, with the time they take (facts 3.5-3.8)."""

from __future__ import annotations

import heapq
import logging
import math
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import RLock
from typing import BinaryIO, NoReturn

from vipsync.local.clock import Clock
from vipsync.local.faults import Faults, Kind
from vipsync.local.options import Options, User
from vipsync.local.refusals import Refusal, refused
from vipsync.local.storage import Storage

logger = logging.getLogger(__name__)

Effect = Callable[[], None]


class Agenda:
    """Effects that happen when their time has come, seen at the next request."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Effect]] = []
        self._order = count()

    def add(self, due: float, effect: Effect) -> None:
        """Let effect happen at due."""
        heapq.heappush(self._due, (due, next(self._order), effect))

    def run(self, now: float) -> None:
        """Let everything happen that is due, oldest first; a late failure is nobody's answer."""
        while self._due and self._due[0][0] <= now:
            _, _, effect = heapq.heappop(self._due)
            try:
                effect()
            except (Refusal, OSError):
                logger.info("a late transfer or removal failed")


class Transfers:
    """What moves bytes, or makes them vanish.

    The lock is held while the disk changes, never while bytes are copied or time passes.
    """

    def __init__(
        self, storage: Storage, options: Options, clock: Clock, faults: Faults, lock: RLock
    ) -> None:
        self._storage = storage
        self._options = options
        self._clock = clock
        self._faults = faults
        self._lock = lock
        self._agenda = Agenda()

    def settle(self) -> None:
        """Let everything happen that is due."""
        with self._lock:
            self._agenda.run(self._clock.now())

    def upload(self, user: User, path: str, body: BinaryIO) -> None:
        """Store a body under path; an empty one makes a folder (facts 3.5)."""
        target = self._storage.upload_target(user, path)
        staged = self._storage.stage(body)
        if staged.stat().st_size:
            self._store(path, staged, target)
            return
        staged.unlink()
        with self._lock:
            self._storage.make_folder(target)

    def upload_file(self, user: User, path: str, body: Callable[[], BinaryIO]) -> None:
        """Store a body, opened once path may have it, as a file, even when it is empty (facts 3.6)."""
        target = self._storage.upload_target(user, path)
        self._store(path, self._storage.stage(body()), target)

    def download(self, user: User, path: str) -> BinaryIO:
        """Return an open file, once its transfer has taken its time (facts 3.8)."""
        file = self._storage.readable_file(user, path)
        if file.stat().st_size > self._options.max_direct_transfer:
            raise refused()
        self._perform(lambda: None)
        try:
            return file.open("rb")
        except OSError as error:
            raise refused() from error

    def remove(self, user: User, path: str) -> None:
        """Queue the removal of a file or a tree (facts 3.7); nothing says when it is done."""
        target = self._storage.find(user, path, write=True)
        if not self._storage.exists(user, path):
            raise refused()
        if self._faults.strike(path, Kind.REMOVAL_NEVER):
            return
        late = self._faults.strike(path, Kind.REMOVAL_LATE)
        self._later(
            late.seconds if late else self._options.removal_delay,
            lambda: self._storage.remove(target),
        )

    def _store(self, path: str, staged: Path, target: Path) -> None:
        self._shorten(path, staged)

        def keep() -> None:
            try:
                self._storage.keep(staged, target)
            finally:
                staged.unlink(missing_ok=True)

        if self._faults.strike(path, Kind.UPLOAD_VANISHES):
            self._time_out(0.0, staged.unlink)
        if late := self._faults.strike(path, Kind.UPLOAD_TIMES_OUT):
            self._time_out(late.seconds, keep)
        self._perform(keep)

    def _shorten(self, path: str, staged: Path) -> None:
        if fault := self._faults.strike(path, Kind.UPLOAD_WRONG_SIZE):
            size = staged.stat().st_size
            os.truncate(staged, size // 2 if fault.size is None else fault.size)

    def _perform(self, effect: Effect) -> None:
        """Wait for a transfer; one that takes too long goes on after the refusal."""
        seconds, timeout = self._options.transfer_delay, self._options.transfer_timeout
        if seconds > timeout:
            self._time_out(seconds - timeout, effect)
        self._clock.sleep(_at_next(seconds, self._options.transfer_poll))
        with self._lock:
            self._agenda.run(self._clock.now())
            effect()

    def _time_out(self, seconds: float, effect: Effect) -> NoReturn:
        timeout = self._options.transfer_timeout
        self._later(timeout + seconds, effect)
        self._clock.sleep(timeout)
        raise refused()

    def _later(self, seconds: float, effect: Effect) -> None:
        with self._lock:
            self._agenda.add(self._clock.now() + seconds, effect)


def _at_next(seconds: float, poll: float) -> float:
    """Return when a look every `poll` seconds first sees something that took `seconds`."""
    return max(poll, math.ceil(seconds / poll) * poll) if poll else seconds
