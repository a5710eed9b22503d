"""Watch the places of each session: its folder, the requests left in it, its inputs and outputs.

An event asks for a look at its session; where events cannot be relied on, looks are timed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from vipsync.disk.files import holder, make_inside
from vipsync.disk.ignoring import may_hold_rules
from vipsync.disk.scan import ChangedPaths
from vipsync.disk.watch import Watcher
from vipsync.errors import DiskError
from vipsync.folder.folder import HIDDEN, REQUESTS
from vipsync.run.reconciler import Reconciler

logger = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds after which a place is watched anew that was gone, or for which there was no watch left."""

KINDS = ("folder", "requests", "inputs", "outputs")


class Watching:
    """The events of all sessions; the watcher calls from another thread when there is one."""

    def __init__(self, watcher: Watcher, clock: Callable[[], float]) -> None:
        self._watcher, self._clock = watcher, clock
        self._watched: dict[Path, tuple[tuple[Path, Path], float]] = {}
        self._limited = False
        self._exports: dict[Path, tuple[tuple[tuple[Path, bool], ...], float]] = {}
        self._hints: dict[Path, dict[int, ChangedPaths]] = {}

    def take(self, roots: Iterable[Path]) -> dict[Path, dict[str, ChangedPaths]]:
        """Return what changed in each session since the last call, by kind of place."""
        hints = self._watcher.take()
        for key, changed in hints.items():
            match key:
                case (Path() as root, int(number)):
                    of_root = self._hints.setdefault(root, {})
                    before = of_root.get(number, frozenset())
                    both = None if before is None or changed is None else before | changed
                    of_root[number] = both
                case _:
                    pass
        return {
            root: {kind: hints[root, kind] for kind in KINDS if (root, kind) in hints}
            for root in roots
        }

    def follow(self, session: Reconciler) -> None:
        """Watch a session's places, where they now are; watching them anew asks for a full look."""
        observer, root, now = session.observer, session.folder.root, self._clock()
        if observer is None or observer.settings is None:
            return
        places = (observer.inputs, observer.outputs)
        before, since = self._watched.get(root, (None, now))
        mendable = any(self._watcher.mendable((root, kind)) for kind in KINDS)
        as_before = before == places and not (mendable and now >= since + AGAIN)
        if as_before or not observer.inputs.is_dir():
            return
        with suppress(DiskError):  # what is in the way of results is said where they are written
            make_inside(observer.outputs, holder(observer.outputs, root))
        self._watched[root] = (places, now)
        self._watcher.watch((root, "folder"), root, recursive=False, overlooked=_own_files)
        self._watcher.watch((root, "requests"), session.folder.requests, recursive=False)
        self._watcher.watch((root, "inputs"), observer.inputs, overlooked=observer.overlooks)
        self._watcher.watch((root, "outputs"), observer.outputs, overlooked=_own_files)
        observer.look_everywhere()

    # what stations look into

    def exports(self, root: Path) -> dict[int, ChangedPaths]:
        """Return what changed in each export of a station since the last call, by its number.

        Those of its own folder are below zero.
        """
        return self._hints.pop(root, {})

    def follow_exports(self, root: Path, exports: tuple[Path, ...]) -> None:
        """Watch the exports of a station; watching them anew asks for a full look."""
        there = tuple((export, export.is_dir()) for export in exports)
        before, since = self._exports.get(root, ((), 0.0))
        now, numbers = self._clock(), range(len(exports))
        mendable = any(self._watcher.mendable((root, number)) for number in numbers)
        if before == there and not (mendable and now >= since + AGAIN):
            return
        self._exports[root] = (there, now)
        for number, (export, is_there) in enumerate(there):
            if is_there:
                self._watcher.watch((root, number), export)
        for number, own in ((-1, root), (-2, root / HIDDEN / REQUESTS)):
            if own.is_dir():
                self._watcher.watch((root, number), own, recursive=False, overlooked=_own_files)
        self._hints[root] = dict.fromkeys(numbers)

    def exports_healthy(self, root: Path) -> bool:
        """Tell whether events of all exports of a station can be relied on."""
        exports, _ = self._exports.get(root, ((), 0.0))
        return bool(exports) and all(self._watcher.healthy((root, n)) for n in range(len(exports)))

    def forget(self, root: Path) -> None:
        """Watch a session's places no longer."""
        self._watched.pop(root, None)
        for kind in KINDS:
            self._watcher.unwatch((root, kind))

    def healthy(self, root: Path) -> bool:
        """Tell whether events of all places of a session can be relied on."""
        return all(self._watcher.healthy((root, kind)) for kind in KINDS)

    def say_limit(self) -> None:
        """Say once, for all sessions, that events cannot be had for each, and what mends it."""
        limit = self._watcher.limit()
        if limit and not self._limited:
            logger.warning("%s", limit)
            self._limited = True

    def stop(self) -> None:
        """Stop watching."""
        self._watcher.stop()


def _own_files(path: str) -> bool:
    """Overlook what vipsync writes itself: its words about the state are no news to it."""
    name = path.rstrip("/").rsplit("/", 1)[-1]
    if may_hold_rules(name):
        return False
    return name.startswith(".") or name in _OWN or fnmatchcase(name, "all-*.csv")


_OWN = frozenset(
    {
        "STATUS.txt",
        "STATION.txt",
        "station.csv",
        "session_data.json",
        "results.csv",
        "index.html",
        "ro-crate-metadata.json",
        "descriptor.json",
        "invocation.json",
        "invocations",
    }
)
