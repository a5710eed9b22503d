"""Tell systemd how this process is, where it asks (sd_notify(3)): ready, alive, what it does, ending.

A watchdog that is fed although nothing turns is none: it is told only of looks and turns that are finished.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

_VERSION = "vipsync "

_BEATS = 4
"""Signs of life within the time after which systemd gives a process up."""


class Supervision:
    """What systemd is told; without it, nothing."""

    def __init__(self, environ: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._every = _seconds_between_beats(environ)
        self._clock, self._beat = clock, float("-inf")
        self._ready, self._said = False, ""

    @property
    def is_there(self) -> bool:
        """Tell whether somebody listens."""
        return bool(self._address)

    def turned(self, sentence: str, program: str = "") -> None:
        """Tell that a turn is finished, what goes on, and which version of the program runs."""
        if not self.is_there:
            return
        sentence = f"{sentence} ({_VERSION}{program})" if program else sentence
        lines = [*([] if self._ready else ["READY=1"]), *self._life()]
        if sentence != self._said:
            lines.append(f"STATUS={sentence}")
        self._ready, self._said = True, sentence
        self._tell(lines)

    def looked(self) -> None:
        """Tell that the look at one folder is finished: a turn over many can take long."""
        if self._ready:
            self._tell(self._life())

    def _life(self) -> list[str]:
        """Return a sign of life where one is due."""
        now = self._clock()
        if not self._every or now < self._beat + self._every:
            return []
        self._beat = now
        return ["WATCHDOG=1"]

    def stopping(self) -> None:
        """Tell that the end has begun."""
        self._tell(["STOPPING=1"])

    def _tell(self, lines: list[str]) -> None:
        if not lines or not self.is_there:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)  # a supervisor that is busy holds nobody up
            to.sendto("\n".join(lines).encode(), address)


def version_in(status: str) -> str:
    """Return the version of the process that said this of itself; empty where it did not."""
    _, found, rest = status.rpartition(f"({_VERSION}")
    return rest.removesuffix(")") if found else ""


def _seconds_between_beats(environ: Mapping[str, str]) -> float:
    """Return how often a sign of life is wanted; 0: never."""
    meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 / _BEATS if meant and text.isdecimal() else 0.0
