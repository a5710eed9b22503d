"""How fast bytes may pass in one direction, over all transfers of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vipsync.model import BLOCK

BURST = 1.0
"""Seconds of a ceiling that may be made up for, after nothing passed: 3 % of half a minute."""

STOPS_WITHIN = 0.1
"""Seconds after which a transfer that waits sees that the program is to end."""

_PIECES = 64
_SMALLEST = 4096

_SHORTEST = 0.001
"""Seconds for which nobody waits; what a clock cannot show would be waited for without end."""


class Ceiling:
    """A token bucket: each transfer asks for one piece at a time, in turn, so that all get the same.

    `rate` is in bytes per second, 0 sets no ceiling. `piece`: bytes that are to be asked for at once, few
    enough for no connection to look dead between two of them.
    """

    def __init__(
        self,
        rate: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.piece = int(min(BLOCK, max(_SMALLEST, rate / _PIECES))) if rate else BLOCK
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._next = clock()
        self._lock = threading.Lock()

    def __call__(self, size: int, stop: Callable[[], None]) -> None:
        """Return when so many bytes may pass; `stop` raises where they are not to pass at all."""
        if not self._rate:
            return
        with self._lock:
            mine = max(self._next, self._clock() - BURST) + size / self._rate
            self._next = mine
        while (left := mine - self._clock()) > _SHORTEST:
            stop()
            self._sleep(min(left, STOPS_WITHIN))
