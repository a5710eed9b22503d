"""What the results that are here look like; looked at anew after events, and now and then."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from vipsync.disk.mirror import EMPTY, stamp
from vipsync.disk.scan import ChangedPaths, scan_interval
from vipsync.disk.walk import under
from vipsync.model import RelPath
from vipsync.rows import UNREADABLE, Result, was_here


class Stamps:
    """A stamp for each result that is here; one that is missing, or whose folder was emptied, has none."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[RelPath, str] = {}
        self._at: float | None = None
        self._changed: dict[RelPath, float] = {}

    def look_everywhere(self) -> None:
        """Let the next look be at all of them."""
        self._at = None

    def look(
        self, outputs: Path, results: Iterable[Result], hints: ChangedPaths, *, healthy: bool
    ) -> Mapping[RelPath, str]:
        """Return the stamps; the hints name what to look at again, None means everything."""
        now = self._clock()
        everything = (
            self._at is None
            or hints is None
            or now - self._at >= scan_interval(0.0, healthy=healthy)
        )
        again = frozenset({*(hints or ()), *self._changed})
        fresh = {} if everything else _untouched(self._known, again)
        for result in results:
            if was_here(result) and result.local not in fresh:
                found = _stamp(f"{outputs}/{result.local}")
                if found is not None and not (found == EMPTY != result.stamp):
                    fresh[result.local] = found
        known = self._known
        self._changed |= {p: now for p, s in fresh.items() if known.get(p, s) != s}
        self._known = fresh  # only now: a look that failed half way has shown nothing
        if everything:
            self._at = now
        return dict(fresh)

    def unsettled(self, settle: float) -> dict[RelPath, float]:
        """Return the results that were seen to change, each with when it may be quiet."""
        now, known = self._clock(), self._known
        due = {p: at + settle for p, at in self._changed.items() if p in known}
        self._changed = {p: at for p, at in self._changed.items() if due.get(p, now) > now}
        return {p: at for p, at in due.items() if at > now}


def _stamp(path: str) -> str | None:
    """Return what a result looks like; who may not look at one thing can look at all others."""
    try:
        return stamp(path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP):
            return UNREADABLE
        raise


def _untouched(known: Mapping[RelPath, str], hints: frozenset[str]) -> dict[RelPath, str]:
    """Return what no hint lies at, in or above."""
    upwards = {top for hint in hints for top in _upwards(hint)}
    return {p: s for p, s in known.items() if p not in upwards and not under(p, hints)}


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
