"""What [transfers] of vipsync.toml allows over all folders now: by the clock, and on which disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Hashable
from pathlib import Path

from msgspec import Struct

from vipsync import actions as do
from vipsync.act.bandwidth import Ceiling
from vipsync.model import TransfersSettings, replace
from vipsync.plan.snapshot import Limits
from vipsync.run.timing import Timing

LOOK_AGAIN = 900.0
"""Seconds for which the local clock is believed to run evenly: it is set, and has a summer."""

_DAY = 24 * 60


class Disk(Struct, frozen=True):
    """A file system: which one, its bytes, and those that are free."""

    device: int
    size: int
    free: int


def disk_of(path: Path) -> Disk:
    """Return the file system on which a folder lies, or would lie."""
    there = next(p for p in (path, *path.parents) if p.exists())
    usage = shutil.disk_usage(there)
    return Disk(there.stat().st_dev, usage.total, usage.free)


class TransferLimits:
    """The limits of this process; the loop asks, and transfers tell in their threads how much is to come."""

    def __init__(
        self,
        settings: TransfersSettings,
        timing: Timing,
        local: Callable[[float], time.struct_time] = time.localtime,
        disk: Callable[[Path], Disk] = disk_of,
    ) -> None:
        self.settings, self.outdated = settings, False
        self.up = Ceiling(settings.upload, timing.clock, timing.sleep)
        self.down = Ceiling(settings.download, timing.clock, timing.sleep)
        self._timing, self._local, self._disk = timing, local, disk
        self._to_come: dict[Hashable, tuple[int, int]] = {}

    def look(self, outputs: Path) -> Limits:
        """Return what is allowed now to a folder with these outputs."""
        return replace(self.by_the_clock(), room=self._room(outputs)[1])

    def by_the_clock(self) -> Limits:
        """Return what is allowed now to every folder, whatever disk it is on."""
        return Limits(self.settings, *self._hours(), outdated=self.outdated)

    def take(self, whose: Hashable, action: do.Action, outputs: Path) -> bool:
        """Tell whether an action may begin now; where it does, its bytes are no other's room."""
        if isinstance(action, do.SENDS):
            return self._hours()[0]
        if not (isinstance(action, do.FetchResult) and self.settings.free):
            return True
        disk, room = self._room(outputs)
        if action.size <= room:
            self._to_come[whose] = (disk, action.size)
        return action.size <= room

    def came(self, whose: Hashable, left: int) -> None:
        """Take in how many bytes of a result are still to come. May be called in any thread."""
        if taken := self._to_come.get(whose):
            self._to_come[whose] = (taken[0], left)

    def ended(self, whose: Hashable) -> None:
        """Take in that nothing more comes of it."""
        self._to_come.pop(whose, None)

    def _hours(self) -> tuple[bool, float | None]:
        """Tell whether files may be sent now, and when that is to be looked at again (monotonic s)."""
        if self.settings.hours is None:
            return True, None
        begin, end = self.settings.hours
        now = self._local(self._timing.wall())
        minute = now.tm_hour * 60 + now.tm_min + now.tm_sec / 60
        sending = (minute - begin) % _DAY < (end - begin) % _DAY
        left = ((end if sending else begin) - minute) % _DAY * 60
        return sending, self._timing.clock() + min(left, LOOK_AGAIN)

    def _room(self, outputs: Path) -> tuple[int, float]:
        """Return a disk and the bytes that may come onto it; one that cannot be asked sets no limit."""
        try:
            disk = self._disk(outputs) if self.settings.free else Disk(0, 0, 0)
        except OSError:
            disk = Disk(0, 0, 0)
        if not disk.size:  # what is mounted oddly says so, too
            return disk.device, float("inf")
        coming = sum(left for on, left in self._to_come.copy().values() if on == disk.device)
        return disk.device, disk.free - disk.size * self.settings.free - coming
