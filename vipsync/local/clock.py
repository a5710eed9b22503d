"""The two clocks: the machine's, and one that tests set."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the embedded VIP asks of a clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Let seconds pass."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let seconds really pass."""
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when it is told to; sleeping moves it at once."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return seconds since the epoch, as set."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move forward without waiting."""
        self._now += max(0.0, seconds)
