"""What [transfers] of vipsync.toml allows over all folders: ceilings, hours, streams, free disk."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vipsync.model import TransfersSettings
from vipsync.plan.snapshot import Limits
from vipsync.run.timing import Timing

BURST = 1.0
"""Seconds of a ceiling that may be made up for, after nothing was sent: 3 % of half a minute."""

STOPS_WITHIN = 0.1
"""Seconds after which a transfer that waits sees that the program is to end."""

LOOK_AGAIN = 900.0
"""Seconds for which the local clock is believed to run evenly: it is set, and has a summer."""

UNLIMITED = TransfersSettings(free=0.0)
"""What holds where there is no vipsync.toml."""

_DAY = 24 * 60


class Ceiling:
    """A token bucket that all transfers in one direction share, each block in the order of asking.

    A transfer asks for one block at a time, so that all get the same.
    """

    def __init__(self, rate: float, timing: Timing) -> None:
        self._rate, self._timing = rate, timing
        self._next = timing.clock()
        self._lock = threading.Lock()

    def __call__(self, size: int, stop: Callable[[], None]) -> None:
        """Return when so many bytes may pass; `stop` raises where they are not to pass at all."""
        if not self._rate:
            return
        with self._lock:
            oldest = self._timing.clock() - BURST
            self._next = mine = max(self._next, oldest) + size / self._rate
        while (left := mine - self._timing.clock()) > 0:
            stop()
            self._timing.sleep(min(left, STOPS_WITHIN))


class Allowance:
    """What is allowed now, in this process."""

    def __init__(
        self,
        settings: TransfersSettings,
        timing: Timing,
        local: Callable[[float], time.struct_time] = time.localtime,
        usage: Callable[[Path], tuple[int, int]] | None = None,
    ) -> None:
        self.settings = settings
        self.upload = Ceiling(settings.upload, timing)
        self.download = Ceiling(settings.download, timing)
        self._timing, self._local, self._usage = timing, local, usage or disk_usage

    @property
    def streams(self) -> int:
        """How many transfers may run at once."""
        return self.settings.streams

    @property
    def paced(self) -> bool:
        """Tell whether a transfer may be slow for a reason that is not the server's."""
        return bool(self.settings.upload or self.settings.download)

    def look(self, outputs: Path) -> Limits:
        """Return what is allowed now to a folder with these outputs."""
        sending, change = self._sending()
        settings = self.settings
        return Limits(
            sending=sending,
            changes_at=change,
            hours=_hours_text(settings.hours) if settings.hours else "",
            room=self._room(outputs),
            free=settings.free,
            upload=settings.upload,
            download=settings.download,
            streams=settings.streams,
        )

    def _sending(self) -> tuple[bool, float | None]:
        """Tell whether files may be sent now, and when that is to be looked at again (monotonic s)."""
        if self.settings.hours is None:
            return True, None
        begin, end = self.settings.hours
        now = self._local(self._timing.wall())
        minute = now.tm_hour * 60 + now.tm_min + now.tm_sec / 60
        sending = (minute - begin) % _DAY < (end - begin) % _DAY
        left = ((end if sending else begin) - minute) % _DAY * 60
        return sending, self._timing.clock() + min(left, LOOK_AGAIN)

    def _room(self, outputs: Path) -> float:
        """Return the bytes that may come onto the disk of outputs/; what cannot be asked sets no limit."""
        with suppress(OSError):
            if self.settings.free:
                total, free = self._usage(outputs)
                return free - total * self.settings.free
        return float("inf")


def disk_usage(path: Path) -> tuple[int, int]:
    """Return the bytes of a disk, and those free, on which a folder lies or would lie."""
    there = next(p for p in (path, *path.parents) if p.exists())
    usage = shutil.disk_usage(there)
    return usage.total, usage.free


def _hours_text(hours: tuple[int, int]) -> str:
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in hours)
