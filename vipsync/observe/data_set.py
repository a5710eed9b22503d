"""Look at the data set of a script and at its results, as the properties of its session say where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct, field

from vipsync.disk.ignoring import IgnoreRules
from vipsync.disk.mirror import stamp
from vipsync.disk.scan import Hints, Scanner, Seen
from vipsync.folder.folder import SessionFolder
from vipsync.folder.sharing import leases
from vipsync.model import FileState, RelPath, Settings
from vipsync.plan.memory import Memory
from vipsync.plan.snapshot import Snapshot
from vipsync.record.backup import BACKUP
from vipsync.rows import ResultStatus, State

NEVER_SENT = (".DS_Store", "Thumbs.db", ".vipsync/", "/vip_outputs/")
LOOK_AGAIN = 1.0
"""Seconds after which a data set is looked at again in which a file could not be sent."""


class Local(Struct, frozen=True):
    """What a step looks at on this machine. `inputs` is None where it needs no data set."""

    outputs: Path
    inputs: Path | None = None
    settings: Settings = field(default_factory=lambda: Settings(""))


class DataSetObserver:
    """Look at the data set and the results of one session, as its properties say where they are."""

    def __init__(
        self,
        folder: SessionFolder,
        local: Local,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.folder = folder
        self.settings: Settings | None = local.settings
        self.settings_error = self.settings_text = ""
        self.inputs, self.outputs = local.inputs or local.outputs, local.outputs
        self.seen: Seen | None = None
        self._local, self._clock, self._wall = local, clock, wall
        self._scanner = self._new_scanner() if local.inputs else None
        self._scanned_at, self._next_scan = float("-inf"), float("inf")
        self._stamps: dict[RelPath, str] = {}

    def _new_scanner(self, others: Iterable[str] = ()) -> Scanner:
        """Leave out what systems leave behind and what is output, of this session or of `others`.

        Links are followed wherever they lead, as with vip-client.
        """
        rules = [*NEVER_SENT, *map(_anchored, others)]
        root, outputs = self.inputs.resolve(), self.outputs.resolve()
        if root in outputs.parents:
            rules.append(_anchored(outputs.relative_to(root).as_posix()))
        ignored = IgnoreRules(rules, (), "")
        return Scanner(self.inputs, ignored, quiet_times=(0.0,), clock=self._clock, anywhere=True)

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
        self.folder.require(state.session.id)
        self.settings_text = state.last_settings
        self._scan(memory)
        return Snapshot(
            now=self._clock(),
            wall=self._wall(),
            settings=self._local.settings,
            state=state,
            memory=memory,
            files=self.seen.files if self.seen else NO_FILES,
            outputs=self._looks(state),
            marker=self.folder.marker.exists(),
            settle=0.0,
            leases=leases(self.folder),
        )

    @property
    def next_look(self) -> float:
        """Return the monotonic time of the next look at the data set, never where it is not needed."""
        return self._next_scan

    def look_everywhere(self) -> None:
        """Let the next look be a full one."""
        self._scanned_at = float("-inf")

    def overlooks(self, path: str) -> bool:
        """Tell whether a path below the data set makes no difference."""
        return self._scanner is not None and self._scanner.overlooks(path)

    def _scan(self, memory: Memory) -> None:
        """Look at the data set once, and again after a file of it could not be sent."""
        now = self._clock()
        failing = self._scanner is not None and bool(memory.attempts)
        again = failing and now >= self._scanned_at + LOOK_AGAIN
        self._next_scan = max(now, self._scanned_at) + LOOK_AGAIN if failing else float("inf")
        if self._scanner is None or not (self.seen is None or again):
            return
        seen = self._scanner.look(None)
        if others := _outputs_among(seen.files):
            self._scanner = self._new_scanner(others)
            seen = self._scanner.look(None)
        self.seen, self._scanned_at = seen, now

    def _looks(self, state: State) -> dict[RelPath, str]:
        """Return what the results look like; only those that were not there are looked at again."""
        for result in state.results.values():
            if result.status is ResultStatus.HERE and result.local not in self._stamps:
                found = stamp(self.outputs / result.local)
                if found is not None:
                    self._stamps[result.local] = found
        return dict(self._stamps)


NO_FILES: Mapping[RelPath, FileState] = MappingProxyType({})


def _outputs_among(files: Iterable[RelPath]) -> list[str]:
    """Return the folders that are outputs of some session: they hold its backup."""
    folders = (path.removesuffix(BACKUP) for path in files if path.endswith(f"/{BACKUP}"))
    return sorted(folder.rstrip("/") for folder in folders)


def _anchored(folder: str) -> str:
    """Return an ignore pattern for this very folder."""
    return "/" + "".join(f"\\{c}" if c in "\\*?[]!# " else c for c in folder) + "/"
