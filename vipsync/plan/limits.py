"""What the limits of this machine hold back, and the words for it. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vipsync import actions as do
from vipsync.model import MOST_TRANSFERS
from vipsync.plan.draft import Draft, Level
from vipsync.plan.privacy import SENDS

LOOK_AT_DISK = 30.0
"""Seconds after which is looked again whether results have room."""

LIMITS = "limits"
"""Subject of what is said here."""


def may_send(draft: Draft) -> bool:
    """Tell whether it is the hour for sending; say so where it is not, and plan anew when that changes."""
    limits = draft.s.limits
    if limits.changes_at is not None:
        draft.wait(limits.changes_at, lasting=True)
    if not limits.sending:
        _say(draft, f"Files wait: they are sent {limits.hours}", "hours")
    return limits.sending


def with_room(draft: Draft, fetches: Iterable[do.FetchResult]) -> Iterator[do.FetchResult]:
    """Yield the results that still have room on their disk; say that the others wait."""
    room, waiting = draft.s.limits.room, 0
    for fetch in fetches:
        if fetch.size <= room:
            room -= fetch.size
            yield fetch
        else:
            waiting += 1
    if waiting:
        draft.wait(draft.s.now + LOOK_AT_DISK, lasting=True)
        results = "1 result waits" if waiting == 1 else f"{waiting:,} results wait"
        share = f"{100 * draft.s.limits.free:g} % of the disk of outputs/"
        _say(draft, f"{results} on VIP: {share} is to stay free", "free", "Make room.")


def say_pace(draft: Draft) -> None:
    """Say which ceilings hold for what is on its way."""
    limits, kinds = draft.s.limits, [k.kind for k in draft.keys | draft.s.memory.under_way]
    up = sum(kind in SENDS for kind in kinds)
    down = sum(kind is do.FetchResult for kind in kinds)
    if up and limits.upload:
        _say(draft, f"All folders together send at most {_speed(limits.upload)}", "upload")
    if down and limits.download:
        _say(draft, f"All folders together fetch at most {_speed(limits.download)}", "download")
    if limits.streams < min(MOST_TRANSFERS, up + down):
        files = "1 file is" if limits.streams == 1 else f"{limits.streams} files are"
        _say(draft, f"At most {files} on the way at once, over all folders", "streams")


def _say(draft: Draft, what: str, setting: str, remedy: str = "") -> None:
    waits = setting in ("hours", "free")
    text = f"{what} ({setting} in vipsync.toml)."
    draft.notice(Level.WAIT if waits else Level.INFO, LIMITS, text, remedy, 0)


def _speed(rate: float) -> str:
    for unit, power in (("GB", 1e9), ("MB", 1e6)):
        if rate >= power:
            return f"{rate / power:g} {unit}/s"
    return f"{rate / 1e3:g} kB/s"
