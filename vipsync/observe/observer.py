"""Look at one session folder. A folder that is not there, or not ours, raises FolderAbsent.

Absence is never taken for deletion.
"""

from __future__ import annotations

import os
import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TypeVar

from vipsync.disk.files import looks, no_folder
from vipsync.disk.ignoring import NOTED, is_conflict_copy, is_told, may_hold_rules
from vipsync.disk.scan import (
    ChangedPaths,
    Identity,
    Scan,
    Scanner,
    identity,
    network_file_system,
    same_folder,
    scan_interval,
)
from vipsync.disk.walk import asked_for, every_path
from vipsync.errors import FolderAbsent, SettingsError
from vipsync.folder.folder import SessionFolder, station_of
from vipsync.folder.sharing import leased_at, leases, lender
from vipsync.model import (
    CaseSet,
    FileState,
    InputFolder,
    Lender,
    PackedFolder,
    PackSetting,
    RelPath,
    Settings,
    replace,
)
from vipsync.names import folders_above
from vipsync.observe.beside import files_among_results, names_beside, seen_beside
from vipsync.observe.cases import Sorting
from vipsync.observe.data_set import Local, outputs_among
from vipsync.observe.export import lies_outside, nameless, pin_of
from vipsync.observe.in_force import (
    IGNORE_FILES,
    FixedSettings,
    InForce,
    SavedSettings,
    without_effect,
)
from vipsync.observe.result_stamps import Stamps
from vipsync.plan.memory import Memory
from vipsync.plan.snapshot import Snapshot
from vipsync.privacy.policy import GATE_VERSION
from vipsync.rows import State

_K = TypeVar("_K")
_V = TypeVar("_V")

LOCAL_SETTLE = 5.0
NETWORK_SETTLE = 60.0
OUTSIDE_SETTLE = 60.0
FOLDER_SETTLE = 60.0
STATION_SETTLE = 15.0

LOOK_AGAIN = 1.0
"""Seconds after which a script's data set is looked at again in which a file could not be sent."""


class Observer:
    """Look at one session folder again and again.

    With the `data_set` of a script, at that: once for a step, following links wherever they lead.
    """

    def __init__(
        self,
        folder: SessionFolder,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        data_set: Local | None = None,
    ) -> None:
        self.folder = folder
        self._of_station = station_of(folder.root) is not None
        self.settings: Settings | None = None
        self.settings_error = ""
        self.settings_text = ""
        self.inputs: Path = folder.root
        self.outputs: Path = folder.root
        self.seen: Scan | None = None
        self.pin: str | None = None
        self._clock, self._wall = clock, wall
        self._data_set, self._failing = data_set, False
        self._saved: SavedSettings | FixedSettings = (
            FixedSettings(data_set.in_force)
            if data_set
            else SavedSettings(folder, overrides or {}, environ, clock)
        )
        self._in_force: InForce | None = None
        self._lent: tuple[object, Lender] | None = None
        self._both: tuple[object, object, Mapping[RelPath, FileState]] | None = None
        self._split: (
            tuple[object, Settings, Mapping[RelPath, FileState], Sequence[RelPath]] | None
        ) = None
        self._healthy = False
        self._root: Identity | None = None
        self._scanner: Scanner | None = None
        self._scanned_at = 0.0
        self._beside_at = -1.0
        self._beside: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._sorting = Sorting()
        self._stamps = Stamps(clock)

    def look(
        self,
        state: State,
        memory: Memory,
        *,
        inputs: ChangedPaths = frozenset(),
        outputs: ChangedPaths = frozenset(),
        healthy: bool = False,
        check_place: bool = True,
    ) -> Snapshot:
        """Return what is there now. The hints name what to look at; None means everything."""
        if check_place:
            self._require_place(state)
        self.read_settings(state)
        rules = self._in_force
        if rules is None:
            raise SettingsError(self.settings_error)
        settings = rules.settings
        self._failing = bool(memory.attempts)
        self._scan(rules, state, inputs, healthy=healthy)
        seen = self.seen
        files: Mapping[RelPath, FileState] = seen.files if seen else {}
        named, noted = self._asked_and_noted(settings)
        pipeline = state.pipelines.get(settings.pipeline_id or "")
        descriptor, trouble = self._sorting.described(pipeline)
        asked = self.folder.look_at_requests()
        beside, among_results = self._look_beside(rules, state)
        cases, case_trouble = self._sorting.cases(seen, named, settings, descriptor)
        settle = self.settle(settings)
        return Snapshot(
            now=self._clock(),
            wall=self._wall(),
            settings=settings,
            state=state,
            memory=memory,
            descriptor=descriptor,
            settings_error=self.settings_error or self._misplaced(noted) or trouble or case_trouble,
            files=self._together(files, named),
            named=frozenset(named),
            unsettled=self._unsettled(settle, cases, named),
            unreadable={RelPath(p): why for p, why in (seen.unreadable if seen else {}).items()},
            cases=cases,
            conflict_copies=tuple(sorted(filter(is_conflict_copy, noted))),
            marker=os.path.lexists(self.folder.marker),
            outputs=self._stamps.look(
                self.outputs, state.results.values(), outputs, healthy=healthy
            ),
            changing=self._stamps.unsettled(settle),
            requests=asked.requests,
            odd_requests=asked.odd,
            beside=beside,
            among_results=among_results,
            settle=settle,
            windows=os.name == "nt",
            lender=self._lender(rules.lending, state),
            leases=leases(self.folder),
            gate="" if settings.privacy.off else gate_version(),
            texts=self._data_set.texts if self._data_set else (),
        )

    def look_everywhere(self) -> None:
        """Let the next look be a full one."""
        self._scanned_at = float("-inf")
        self._stamps.look_everywhere()

    def overlooks(self, path: str) -> bool:
        """Tell whether a path below inputs/ makes no difference."""
        return self._scanner is not None and self._scanner.overlooks(path)

    def ignored_by(self, path: str) -> str:
        """Return the ignore rule that leaves a path below inputs/ out; "" where none does."""
        return self._in_force.ignored.rule(path) if self._in_force else ""

    def idle_rules(self) -> list[str]:
        """Return the ignore rules of a person that leave nothing out."""
        if self._in_force is None:
            return []
        beside = names_beside(self.folder.root, _places(self._in_force.settings))
        return self._in_force.ignored.idle(chain(every_path(self.inputs), beside))

    def _look_beside(self, rules: InForce, state: State) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what lies beside inputs/ and among the results; looked for once for each full look."""
        if rules.inputs and not self._data_set and self._beside_at != self._scanned_at:
            beside = seen_beside(
                names_beside(self.folder.root, _places(rules.settings)), rules.ignored
            )
            others = seen_beside(files_among_results(self.outputs, state), rules.ignored)
            self._beside_at, self._beside = self._scanned_at, (beside, others)
        return self._beside

    def _asked_and_noted(
        self, settings: Settings
    ) -> tuple[Mapping[RelPath, FileState], Sequence[RelPath]]:
        """Tell ignored files that a setting names from those that are only told about."""
        hidden: Mapping[RelPath, FileState] = self.seen.hidden if self.seen else {}
        if not (self._split and self._split[0] is hidden and self._split[1] is settings):
            names = named_files(settings)
            asked, _ = asked_for(names)
            named = {
                path: state
                for path, state in hidden.items()
                if asked.fullmatch(path) and (path in names or not is_told(path))
            }
            noted = [path for path in hidden if path not in named]
            self._split = (hidden, settings, hidden if not noted else named, noted)
        return self._split[2:]

    def _misplaced(self, noted: Iterable[RelPath]) -> str:
        """Say which file of ignore rules lies where nobody reads it; "" where none does."""
        wrong = (p for p in noted if may_hold_rules(p) and p not in IGNORE_FILES)
        first = min(wrong, default=None)
        return str(without_effect(self.inputs / first)) if first else ""

    def _together(
        self, files: Mapping[RelPath, FileState], hidden: Mapping[RelPath, FileState]
    ) -> Mapping[RelPath, FileState]:
        """Return both as one mapping; the same one as long as both are the same."""
        if not hidden:
            return files
        if not (self._both and self._both[0] is files and self._both[1] is hidden):
            self._both = (files, hidden, ChainMap(dict(files), dict(hidden)))
        return self._both[2]

    def _lender(self, lending: SessionFolder | None, state: State) -> Lender | None:
        """Return what the other folder lends; its ledger is read again when it was written to."""
        if lending is None or self.seen is None:
            return None
        ledger = lending.ledger
        written = tuple(looks(p) for p in (ledger, ledger.with_name(f"{ledger.name}-wal")))
        now = (written, self.seen.files, leased_at(lending, state.session.id))
        if self._lent is None or self._lent[0] != now:
            self._lent = (now, lender(lending, self.seen, state.session.id))
        return self._lent[1]

    @property
    def next_look(self) -> float:
        """Return the monotonic time at which something can be seen that gives no event."""
        return min(self.next_scan, self._next_quiet, self._saved.due)

    @property
    def next_scan(self) -> float:
        """Return the monotonic time of the next full scan where no event comes before."""
        if self._data_set:
            again = self._failing and self._scanner is not None
            return self._scanned_at + LOOK_AGAIN if again else float("inf")
        last = self._scanner.last_duration if self._scanner else 0.0
        return self._scanned_at + scan_interval(last, healthy=self._healthy)

    @property
    def _next_quiet(self) -> float:
        """Return the monotonic time at which a file may be quiet that still changes."""
        due = self.seen.next_due if self.seen and not self._data_set else None
        return float("inf") if due is None else due

    def settle(self, settings: Settings) -> float:
        """Return for how many seconds a file must be quiet."""
        if self._data_set:
            return 0.0
        if settings.inputs.settle is not None:
            return settings.inputs.settle
        if self._of_station:  # it has seen that all is quiet, and goes on looking until the start
            return STATION_SETTLE
        if self._outside:
            return OUTSIDE_SETTLE
        return NETWORK_SETTLE if network_file_system(self.inputs) else LOCAL_SETTLE

    def _whole(self, settle: float) -> float:
        """Return for how many seconds a folder must be quiet."""
        return settle if self._of_station else max(settle, FOLDER_SETTLE)

    @property
    def _outside(self) -> bool:
        """Tell whether the inputs lie outside the session's folder, and are not those that another lends."""
        lent = self._in_force is not None and self._in_force.lending is not None
        return not self._data_set and not lent and lies_outside(self.inputs, self.folder.root)

    def _require_place(self, state: State) -> None:
        if self._root is None:
            self._root = identity(self.folder.root)
        elif not same_folder(self.folder.root, self._root):
            raise FolderAbsent(
                f"{self.folder.root} is not the folder that it was a moment ago.",
                "Is its disk connected? Nothing is done until it is back. If it was deleted: "
                "`vipsync sessions` shows what is left of it on VIP.",
            )
        self.folder.require(state.session.id)

    def read_settings(self, state: State) -> None:
        """Take the settings in force; at the start they may be what the ledger has kept of valid ones."""
        self._saved.read(state.last_settings)
        self.settings_error, self.settings_text = self._saved.error, self._saved.text
        now = self._saved.in_force
        if now and now is not self._in_force:
            self._in_force, self._scanner = now, None
            self.settings, self.outputs = now.settings, now.outputs
            self.inputs = now.inputs or now.outputs

    # files

    def _scan(self, rules: InForce, state: State, hints: ChangedPaths, *, healthy: bool) -> None:
        self._healthy = healthy
        if rules.inputs is None:
            return
        if not self._outside:
            self._scan_files(rules, state, hints)
            return
        try:
            self._scan_files(rules, state, hints)
        except FolderAbsent as error:
            raise nameless(error, self.inputs) from None
        if self.seen:
            self.pin = pin_of(self.inputs, self.seen, state)

    def _scan_files(self, rules: InForce, state: State, hints: ChangedPaths) -> None:
        if not self.inputs.is_dir():
            raise no_folder(self.inputs)
        if self._scanner is None:
            self._scanner = self._new_scanner(rules, state)
            hints = None
        now = self._clock()
        if now >= self.next_scan:
            hints = None
        if hints or hints is None or now >= self._next_quiet:
            seen = self._scanner.look(hints)
            if self._data_set and outputs_among(seen.files):
                rules = replace(rules, ignored=self._data_set.ignored(seen.files))
                self._scanner = self._new_scanner(rules, state)
                seen = self._scanner.look(None)
            self.seen = _same_where_equal(seen, self.seen)
            if hints is None:
                self._scanned_at = self._clock()

    def _new_scanner(self, rules: InForce, state: State) -> Scanner:
        return Scanner(
            self.inputs,
            rules.ignored,
            always=named_files(rules.settings),
            noted="" if self._data_set else NOTED,
            known={path: row.state for path, row in state.known.items()},
            quiet_times=self._quiet_times(rules.settings),
            clock=self._clock,
            anywhere=self._data_set is not None,
        )

    def _quiet_times(self, settings: Settings) -> set[float]:
        settle = self.settle(settings)
        return {settle, self._whole(settle)} if _sends_folders(settings) else {settle}

    def _unsettled(
        self, settle: float, cases: CaseSet, named: Iterable[RelPath]
    ) -> dict[RelPath, float]:
        """Return when each file that still changes may be quiet; folders need a minute at least, but in a station.

        While rules or settings were just saved, that is any file: it may be one that is to stay here.
        """
        seen = self.seen
        if seen is None:
            return {}
        if self._saved.due < float("inf"):
            return dict.fromkeys((*seen.files, *named), self._saved.due)
        folders = _folders(cases) if seen.moving or seen.vanished else frozenset()
        found, whole = seen.unsettled(settle), self._whole(settle)
        if folders:
            inside = frozenset(member for folder in folders for member in folder.members)
            moving = seen.unsettled(whole)
            found.update({path: due for path, due in moving.items() if path in inside})
        emptied = _emptied(seen.vanished) if folders else {}
        for folder in folders:
            due = emptied.get(folder.path, -whole) + whole
            if self._clock() < due:
                found.update(dict.fromkeys(folder.members, due))
        if seen.unreadable:
            stale = (p for p in (*seen.files, *seen.hidden) if seen.stale(p))
            found.update(dict.fromkeys(stale, float("inf")))
        return found


@lru_cache(maxsize=1)
def gate_version() -> str:
    """Return what tells this version of the privacy gate, and what it can read, from others."""
    return f"{GATE_VERSION}{'+dicom' if find_spec('pydicom') else ''}"


def _folders(cases: CaseSet) -> frozenset[InputFolder | PackedFolder]:
    """Return the folders that are sent: each is quiet as a whole or not at all."""
    return frozenset(
        value
        for case in cases.cases
        for value in case.values.values()
        if isinstance(value, InputFolder | PackedFolder)
    )


def _emptied(vanished: Mapping[RelPath, float]) -> dict[str, float]:
    """Return the folders that lost files lately, at any depth, with when the last one was missed."""
    found: dict[str, float] = {}
    for path, at in vanished.items():
        for folder in (*folders_above(path), ""):
            found[folder] = max(at, found.get(folder, at))
    return found


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


def _places(settings: Settings) -> tuple[str, ...]:
    """Return the paths that may lie in the session folder because the settings say so."""
    return settings.inputs.directory, settings.outputs.directory, settings.api_key


def _same_where_equal(now: Scan, before: Scan | None) -> Scan:
    """Keep the very mappings that say the same as before, so that what they led to still holds."""
    if before is None:
        return now
    files = _first_if_equal(before.files, now.files)
    hidden = _first_if_equal(before.hidden, now.hidden)
    return replace(now, files=files, hidden=hidden)


def _first_if_equal(before: Mapping[_K, _V], now: Mapping[_K, _V]) -> Mapping[_K, _V]:
    return before if now is before or now == before else now


def named_files(settings: Settings) -> list[str]:
    """Return the paths that settings name in full, and the ready file: seen although ignored."""
    found = [settings.inputs.ready] if settings.inputs.ready else []
    texts = (text for _, text in _items(settings) if isinstance(text, str))
    return found + [text for text in texts if not text.startswith("/") and "*" not in text]
