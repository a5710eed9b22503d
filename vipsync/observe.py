"""Look at the folder: settings, files, marker, results, requests. Everything else follows from this.

An event only says where to look first; what a look finds is the truth. A folder that is not there,
or not ours, raises FolderAbsent: absence is never taken for deletion.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from vipsync.cases.descriptor import parse_descriptor
from vipsync.cases.finding import find_cases
from vipsync.disk.mirror import stamp
from vipsync.disk.scan import (
    BUILT_IN_IGNORE,
    Hints,
    Identity,
    Scanner,
    Seen,
    identity,
    ignore_rules,
    network_file_system,
    same_folder,
    scan_interval,
)
from vipsync.disk.walk import Ignored
from vipsync.errors import FolderAbsent, SettingsError, VipsyncError
from vipsync.folder import SessionFolder, no_folder
from vipsync.model import (
    CaseSet,
    Descriptor,
    FileState,
    InputFolder,
    PackedFolder,
    PackSetting,
    RelPath,
    Settings,
)
from vipsync.plan.snapshot import Lender, Memory, Snapshot
from vipsync.settings.reading import load, parse, places
from vipsync.settings.toml_text import decoded
from vipsync.sharing import leased_at, leases, lender, lending_folder, shared_inputs
from vipsync.state import ResultStatus, State

logger = logging.getLogger(__name__)

_K = TypeVar("_K")
_V = TypeVar("_V")

_Files = Mapping[RelPath, FileState]

SETTINGS_QUIET = 1.0
"""Seconds for which settings.toml and .vipsyncignore must be unchanged before they are read again."""

LOCAL_SETTLE = 5.0
NETWORK_SETTLE = 60.0
FOLDER_SETTLE = 60.0


@dataclass(frozen=True, slots=True)
class _Reading:
    """What settings.toml and .vipsyncignore look like, and when they will have been quiet for long enough."""

    states: tuple[FileState | None, ...]
    due: float
    taken: bool = False


class Observing(Protocol):
    """What the cycle needs of whoever looks at a session."""

    settings: Settings | None
    settings_error: str
    settings_text: str
    inputs: Path
    outputs: Path
    seen: Seen | None

    def look(
        self,
        state: State,
        memory: Memory,
        *,
        inputs: Hints = frozenset(),
        outputs: Hints = frozenset(),
        healthy: bool = False,
        check_place: bool = True,
    ) -> Snapshot:
        """Return what is there now."""

    def look_everywhere(self) -> None:
        """Let the next look be a full one."""

    def overlooks(self, path: str) -> bool:
        """Tell whether a path below inputs/ makes no difference."""

    @property
    def next_look(self) -> float:
        """Return the monotonic time at which something can be seen that gives no event."""


class Observer:
    """Look at one session folder again and again."""

    def __init__(
        self,
        folder: SessionFolder,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.settings: Settings | None = None
        self.settings_error = ""
        self.settings_text = ""
        self.inputs: Path = folder.root
        self.outputs: Path = folder.root
        self.seen: Seen | None = None
        self._overrides, self._environ = overrides or {}, environ
        self._clock, self._wall = clock, wall
        self._reading: _Reading | None = None
        self._patterns = ""
        self._ignored: Ignored = lambda _path: False
        self._lending: SessionFolder | None = None
        self._lent: tuple[object, Lender] | None = None
        self._both: tuple[object, object, Mapping[RelPath, FileState]] | None = None
        self._healthy = False
        self._root: Identity | None = None
        self._scanner: Scanner | None = None
        self._scanned_at = 0.0
        self._cases: tuple[_Files, _Files, Settings, Descriptor | None, CaseSet, str] | None = None
        self._descriptor: tuple[str, Descriptor | None, str] = ("", None, "")
        self._stamps: dict[RelPath, str] = {}
        self._stamped_at: float | None = None

    def look(
        self,
        state: State,
        memory: Memory,
        *,
        inputs: Hints = frozenset(),
        outputs: Hints = frozenset(),
        healthy: bool = False,
        check_place: bool = True,
    ) -> Snapshot:
        """Return what is there now. The hints name what to look at; None means everything."""
        if check_place:
            self._require_place(state)
        self.read_settings(state)
        settings = self.settings
        if settings is None:
            raise SettingsError(self.settings_error)
        self._scan(settings, state, inputs, healthy=healthy)
        seen = self.seen
        files: Mapping[RelPath, FileState] = seen.files if seen else {}
        hidden: Mapping[RelPath, FileState] = seen.hidden if seen else {}
        descriptor, trouble = self._described(settings, state)
        cases, case_trouble = self._sorted_into_cases(settings, descriptor)
        settle = self.settle(settings)
        return Snapshot(
            now=self._clock(),
            wall=self._wall(),
            settings=settings,
            state=state,
            memory=memory,
            descriptor=descriptor,
            settings_error=self.settings_error or trouble or case_trouble,
            files=self._together(files, hidden),
            named=frozenset(hidden),
            unsettled=self._unsettled(settle, cases),
            unreadable={RelPath(p): why for p, why in (seen.unreadable if seen else {}).items()},
            cases=cases,
            marker=self.folder.marker.exists(),
            outputs=self._stamped(state, outputs),
            requests=self.folder.asked(),
            settle=settle,
            windows=os.name == "nt",
            lender=self._lender(state),
            leases=leases(self.folder),
        )

    def look_everywhere(self) -> None:
        """Let the next look be a full one."""
        self._scanned_at, self._stamped_at = float("-inf"), None

    def overlooks(self, path: str) -> bool:
        """Tell whether a path below inputs/ makes no difference."""
        return self._scanner is not None and self._scanner.overlooks(path)

    def _together(
        self, files: Mapping[RelPath, FileState], hidden: Mapping[RelPath, FileState]
    ) -> Mapping[RelPath, FileState]:
        """Return both as one mapping; the same one as long as both are the same."""
        if not hidden:
            return files
        if not (self._both and self._both[0] is files and self._both[1] is hidden):
            self._both = (files, hidden, ChainMap(dict(files), dict(hidden)))
        return self._both[2]

    def _lender(self, state: State) -> Lender | None:
        """Return what the other folder lends; its ledger is read again when it was written to."""
        if self._lending is None or self.seen is None:
            return None
        ledger = self._lending.ledger
        written = tuple(_written(p) for p in (ledger, ledger.with_name(f"{ledger.name}-wal")))
        now = (written, self.seen.files, leased_at(self._lending, state.session.id))
        if self._lent is None or self._lent[0] != now:
            self._lent = (now, lender(self._lending, self.seen, state.session.id))
        return self._lent[1]

    @property
    def next_look(self) -> float:
        """Return the monotonic time at which something can be seen that gives no event."""
        due = self.next_scan
        if self.seen and self.seen.next_due is not None:
            due = min(due, self.seen.next_due)
        if self._reading and not self._reading.taken:
            due = min(due, self._reading.due)
        return due

    @property
    def next_scan(self) -> float:
        """Return the monotonic time of the next full scan where no event comes before."""
        last = self._scanner.last_duration if self._scanner else 0.0
        return self._scanned_at + scan_interval(last, healthy=self._healthy)

    def settle(self, settings: Settings) -> float:
        """Return for how many seconds a file must be quiet."""
        if settings.inputs.settle is not None:
            return settings.inputs.settle
        return NETWORK_SETTLE if network_file_system(self.inputs) else LOCAL_SETTLE

    def _require_place(self, state: State) -> None:
        if self._root is None:
            self._root = identity(self.folder.root)
        elif not same_folder(self.folder.root, self._root):
            raise FolderAbsent(
                f"{self.folder.root} is not the folder that it was a moment ago.",
                "Is the disk still connected? Nothing is done until it is back.",
            )
        self.folder.require(state.session.id)

    # settings

    def read_settings(self, state: State) -> None:
        """Read both files when they are quiet; keep the last valid ones while one has an error."""
        there = (_looks(self.folder.ignored), _looks(self.folder.settings))
        if self._reading is None or self._reading.states != there:
            pause = SETTINGS_QUIET if self._reading else 0.0
            self._reading = _Reading(there, self._clock() + pause)
        if not self._reading.taken and self._clock() >= self._reading.due:
            self._reading = replace(self._reading, taken=True)
            self._take_settings(state)

    def _take_settings(self, state: State) -> None:
        """Use what the files say; where settings.toml has an error, what the ledger last took from it."""
        patterns = None
        try:
            patterns = _patterns(self.folder.ignored)
            self._use(load(self.folder.root, self._overrides, self._environ), patterns)
            self.settings_text = self.folder.settings.read_text("utf-8", "replace")
            self.settings_error = ""
        except VipsyncError as error:
            self.settings_error = str(error)
            if self.settings is None and state.last_settings and patterns is not None:
                with suppress(VipsyncError):
                    self._use(self._last_valid(state), patterns)

    def _last_valid(self, state: State) -> Settings:
        return parse(
            state.last_settings.encode(),
            self.folder.root.name,
            overrides=self._overrides,
            environ=self._environ,
        )

    def _use(self, settings: Settings, patterns: str) -> None:
        if (settings, patterns) == (self.settings, self._patterns):
            return
        ignored = ignore_rules(BUILT_IN_IGNORE, settings.inputs.ignore, patterns)
        inputs, outputs = places(self.folder.root, settings)
        lending = lending_folder(self.folder, settings)
        self.inputs = shared_inputs(lending) if lending else inputs
        self.outputs, self._lending = outputs, lending
        self.settings, self._patterns, self._ignored = settings, patterns, ignored
        self._scanner = None

    # files

    def _scan(self, settings: Settings, state: State, hints: Hints, *, healthy: bool) -> None:
        self._healthy = healthy
        if not self.inputs.is_dir():
            raise no_folder(self.inputs)
        if self._scanner is None:
            self._scanner = self._new_scanner(settings, state)
            hints = None
        now = self._clock()
        if now >= self.next_scan:
            hints = None
        due = self.seen.next_due if self.seen else None
        if hints or hints is None or (due is not None and now >= due):
            self.seen = _same_where_equal(self._scanner.look(hints), self.seen)
            if hints is None:
                self._scanned_at = self._clock()

    def _new_scanner(self, settings: Settings, state: State) -> Scanner:
        return Scanner(
            self.inputs,
            self._ignored,
            always=named_files(settings),
            known={path: row.state for path, row in state.known.items()},
            quiet_times=self._quiet_times(settings),
            clock=self._clock,
        )

    def _quiet_times(self, settings: Settings) -> set[float]:
        settle = self.settle(settings)
        return {settle, max(settle, FOLDER_SETTLE)} if _sends_folders(settings) else {settle}

    def _unsettled(self, settle: float, cases: CaseSet) -> dict[RelPath, float]:
        """Return when each file that still changes may be quiet; folders need a minute at least."""
        seen = self.seen
        if seen is None:
            return {}
        inside = _in_folders(cases) if seen.moving else frozenset()
        found = seen.unsettled(settle)
        if inside:
            for path, due in seen.unsettled(max(settle, FOLDER_SETTLE)).items():
                if path in inside:
                    found[path] = due
        if seen.unreadable:
            stale = (p for p in (*seen.files, *seen.hidden) if seen.stale(p))
            found.update(dict.fromkeys(stale, float("inf")))
        return found

    # what the pipeline makes of them

    def _described(self, settings: Settings, state: State) -> tuple[Descriptor | None, str]:
        row = state.pipelines.get(settings.pipeline_id or "")
        if row is None:
            return None, ""
        if self._descriptor[0] != row.raw:
            try:
                found = parse_descriptor(json.loads(row.raw), row.pipeline_id)
                self._descriptor = (row.raw, found, "")
            except VipsyncError as error:
                self._descriptor = (row.raw, None, str(error))
        return self._descriptor[1:]

    def _sorted_into_cases(
        self, settings: Settings, descriptor: Descriptor | None
    ) -> tuple[CaseSet, str]:
        """Sort files into cases; the last answer serves while nothing it was made of has changed.

        Cases are made of names: what a file holds makes no other cases.
        """
        seen = self.seen
        files, hidden = (seen.files, seen.hidden) if seen else ({}, {})
        made_of = (files, hidden, settings, descriptor)
        if self._cases:
            was_files, was_hidden, *others = self._cases[:4]
            alike = all(a is b for a, b in zip(others, (settings, descriptor), strict=True))
            if alike and _same_names(was_files, files) and _same_names(was_hidden, hidden):
                self._cases = (*made_of, *self._cases[4:])
                return self._cases[4:]
        cases, trouble = CaseSet(), ""
        if seen and (descriptor or not settings.pipeline_id):
            try:
                everything = {*seen.files, *seen.hidden}
                cases = find_cases(seen.files, everything, settings, descriptor)
            except SettingsError as error:
                trouble = str(error)
        self._cases = (*made_of, cases, trouble)
        return cases, trouble

    # results

    def _stamped(self, state: State, hints: Hints) -> Mapping[RelPath, str]:
        """Return a stamp for each result that is here; look anew after events and on a timer."""
        now = self._clock()
        everything = (
            self._stamped_at is None
            or hints is None
            or now - self._stamped_at >= scan_interval(0.0, healthy=self._healthy)
        )
        here = [r for r in state.results.values() if r.status is ResultStatus.HERE]
        if not everything:
            self._stamps = {p: s for p, s in self._stamps.items() if not _touched(p, hints or ())}
        fresh = {} if everything else self._stamps
        for result in here:
            if result.local not in fresh:
                found = stamp(self.outputs / result.local)
                if found is not None:
                    fresh[result.local] = found
        self._stamps = fresh
        if everything:
            self._stamped_at = now
        return dict(fresh)


def _in_folders(cases: CaseSet) -> frozenset[RelPath]:
    """Return the files that are sent as part of a folder, which is quiet as a whole or not at all."""
    folders = {
        value
        for case in cases.cases
        for value in case.values.values()
        if isinstance(value, InputFolder | PackedFolder)
    }
    return frozenset(member for folder in folders for member in folder.members)


def _sends_folders(settings: Settings) -> bool:
    """Tell whether a setting may stand for a folder, which must be quiet for longer than a file."""
    return any(
        isinstance(item, PackSetting) or (isinstance(text, str) and text.strip().endswith("/"))
        for item, text in _items(settings)
    )


def _items(settings: Settings) -> Iterator[tuple[object, object]]:
    """Return each item of the pipeline's settings, and the text that names a file in it."""
    for setting in settings.input_settings.values():
        for item in setting if isinstance(setting, tuple) else (setting,):
            yield item, getattr(item, "file", item)


def _looks(path: Path) -> FileState | None:
    try:
        return FileState.of(path.stat())
    except OSError:
        return None


def _patterns(path: Path) -> str:
    """Return the text of .vipsyncignore; raise SettingsError where it cannot be read."""
    try:
        return decoded(path.read_bytes(), str(path))
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None


def _written(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size


def _same_where_equal(now: Seen, before: Seen | None) -> Seen:
    """Keep the very mappings that say the same as before, so that what they led to still holds."""
    if before is None:
        return now
    files = _first_if_equal(before.files, now.files)
    hidden = _first_if_equal(before.hidden, now.hidden)
    return replace(now, files=files, hidden=hidden)


def _same_names(one: _Files, other: _Files) -> bool:
    return one is other or one.keys() == other.keys()


def _first_if_equal(before: Mapping[_K, _V], now: Mapping[_K, _V]) -> Mapping[_K, _V]:
    return before if now is before or now == before else now


def _touched(path: RelPath, hints: frozenset[str] | tuple[str, ...]) -> bool:
    return any(h == path or h.startswith(f"{path}/") or path.startswith(f"{h}/") for h in hints)


def named_files(settings: Settings) -> list[str]:
    """Return the paths that settings name in full, and the ready file: seen although ignored."""
    found = [settings.inputs.ready] if settings.inputs.ready else []
    texts = (text for _, text in _items(settings) if isinstance(text, str))
    return found + [text for text in texts if not text.startswith("/") and "*" not in text]
