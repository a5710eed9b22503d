"""Hand to the alerts what is true of the folders and stations of a run, each thing by one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync.alerts.facts import facts_of, facts_of_station, stopped_by
from vipsync.alerts.telling import Alerts
from vipsync.disk.walk import printable
from vipsync.errors import FolderHeld, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.plan.privacy import Gate
from vipsync.run.reconciler import Reconciler
from vipsync.station.steps import StudyReport, StudyState
from vipsync.status.status import Status

if TYPE_CHECKING:
    from vipsync.station.keeper import Keeper

HIDDEN = "…"
"""What a folder is called that is named after somebody."""


class FolderAlerts:
    """Alerts about places; `name` gives the name of one, and who works elsewhere is left to tell."""

    def __init__(self, alerts: Alerts, name: Callable[[Path], str]) -> None:
        self._alerts, self._name = alerts, name
        self._studies: dict[Path, Status] = {}
        self._missing: set[Path] = set()

    def missing(self, directory: Path, error: VipsyncError) -> None:
        """Take in that a folder that was named is not there, until a session is seen in it."""
        root = SessionFolder(directory).root
        self._missing.add(root)
        self._alerts.see(root, self._called(root), stopped_by(str(error)))

    def stop(self) -> None:
        """Say that the end was asked for. May be called from a signal handler."""
        self._alerts.stop()

    def session(self, session: Reconciler, status: Status, station: Keeper | None) -> None:
        """Take in how a session is, one of a `station` or not."""
        root, snapshot = session.folder.root, session.snapshot
        if isinstance(session.trouble, FolderHeld):
            return
        self._found(root)
        named = (
            snapshot and snapshot.state.suspect and Gate(snapshot).names_somebody(status.session)
        )
        facts = facts_of(status, of_station=station is not None)
        self._alerts.see(root, HIDDEN if named else self._called(root), facts, status.id)
        if station:
            self._studies[root] = status
            self.station(station)

    def _found(self, root: Path) -> None:
        for top in [top for top in self._missing if root.is_relative_to(top)]:
            self._missing.remove(top)
            self._alerts.see(top, self._called(top), frozenset())

    def station(self, keeper: Keeper) -> None:
        """Take in what a station needs of a person."""
        if keeper.status is None or isinstance(keeper.trouble, FolderHeld):
            return
        studies = keeper.status.studies
        told = frozenset(study.name for study in studies if self._tells(keeper, study))
        facts = facts_of_station(studies, str(keeper.trouble or ""), told)
        self._alerts.see(keeper.root, self._called(keeper.root), facts)

    def _tells(self, keeper: Keeper, study: StudyReport) -> bool:
        """Tell whether the session of a study says by itself why it does not go on."""
        status = self._studies.get(keeper.folder.session(study.name).root)
        if status is None or study.state is not StudyState.NEEDS:
            return False
        return any(fact.event in ("failed", "stopped") for fact in facts_of(status))

    def forget(self, root: Path) -> None:
        """Say nothing more of a place that was let go."""
        self._studies.pop(root, None)
        self._alerts.leave(root)

    def _called(self, root: Path) -> str:
        """Return what a place is called elsewhere: never a whole path, which tells of persons."""
        name = self._name(root)
        return printable(root.name) if Path(name).is_absolute() else name
