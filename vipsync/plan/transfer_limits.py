"""What the limits of this machine hold back, and the words for it. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vipsync import actions as do
from vipsync.model import MOST_TRANSFERS, MachineSettings
from vipsync.plan.draft import Draft, Level, Notice
from vipsync.plan.snapshot import Limits

LOOK_AT_DISK = 30.0
"""Seconds after which is looked again whether results have room."""

HOURS, DISK = "hours", "disk"
"""Subjects of what waits for the hour, and for room."""

MACHINE = MachineSettings.SOURCE
"""Subject of what waits for the next start of the process: most of vipsync.toml is read once."""

OUTDATED = f"{MACHINE} was changed after this run started: start it again."

_FROM = f"in {MACHINE}"


def may_send(draft: Draft) -> bool:
    """Tell whether it is the hour for sending; say so where it is not, and plan anew when that changes."""
    limits = draft.s.limits
    if limits.changes_at is not None:
        draft.wait(limits.changes_at, lasting=True)
    draft.notices.update(dict.fromkeys(waits_for_the_hour(limits)))
    return limits.sending


def waits_for_the_hour(limits: Limits) -> Iterator[Notice]:
    """Say until when files wait to be sent, where they may not be sent now."""
    if at := opening(limits):
        text = f"Files wait until {at} to be sent ([transfers] hours {_FROM})."
        yield Notice(Level.WAIT, HOURS, text, exit_code=0)


def opening(limits: Limits) -> str:
    """Return the time of day from which on files may be sent; empty where they may now."""
    if limits.sending or not limits.settings.hours:
        return ""
    hour, minute = divmod(limits.settings.hours[0], 60)
    return f"{hour:02}:{minute:02}"


def with_room(draft: Draft, fetches: Iterable[do.FetchResult]) -> Iterator[do.FetchResult]:
    """Yield the results that have room on their disk, or are on their way; say that the others wait."""
    room, waits = draft.s.limits.room, False
    for fetch in fetches:
        under_way = do.key(fetch) in draft.s.memory.under_way
        if under_way or fetch.size <= room:
            room -= 0 if under_way else fetch.size
            yield fetch
        else:
            waits = True
    if waits:
        draft.wait(draft.s.now + LOOK_AT_DISK, lasting=True)
        share = f"{100 * draft.s.limits.settings.free:g} %"
        text = f"Results wait on VIP: {share} of the disk of outputs/ stay free (free {_FROM})."
        draft.notice(Level.PERSON, DISK, text, "Make room there: they come by themselves then.")


def say_outdated_limits(draft: Draft) -> None:
    """Say that the limits in force are not those of vipsync.toml any more."""
    if draft.s.limits.outdated:
        draft.notice(Level.WAIT, MACHINE, OUTDATED, exit_code=0)


def say_pace(draft: Draft) -> None:
    """Say which limits slow down what is to be moved, and how long that takes at least."""
    settings = draft.s.limits.settings
    up = sum(a.state.size for a in draft.actions if isinstance(a, do.SENDS))
    down = sum(a.size for a in draft.actions if isinstance(a, do.FetchResult))
    _say_ceiling(draft, "upload", settings.upload, up, "send")
    _say_ceiling(draft, "download", settings.download, down, "fetch")
    moving = sum(isinstance(a, do.TRANSFERS) for a in draft.actions)
    if settings.streams < min(MOST_TRANSFERS, moving):
        files = "1 file is" if settings.streams == 1 else f"{settings.streams} files are"
        text = f"At most {files} on the way at once, over all folders (streams {_FROM})."
        draft.notice(Level.WAIT, "streams", text, exit_code=0)


def _say_ceiling(draft: Draft, name: str, rate: float, size: int, verb: str) -> None:
    if rate and size:
        text = f"All folders together {verb} at most {_speed(rate)} ({name} {_FROM})"
        seconds = size / rate
        lasts = (
            f": what waits here takes {hours_or_minutes(seconds)} or more."
            if seconds >= 60
            else "."
        )
        draft.notice(Level.WAIT, name, text + lasts, exit_code=0)


def hours_or_minutes(seconds: float) -> str:
    """Return a span of time in hours, below two of them in minutes."""
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"


def _speed(rate: float) -> str:
    unit, power = next(u for u in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if rate >= u[1])
    return f"{rate / power:g} {unit}/s"
