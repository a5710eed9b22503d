"""What a station would make of what lies in its exports now: looks, and writes nothing anywhere."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vipsync.errors import VipsyncError
from vipsync.model import replace
from vipsync.station.folder import StationFolder
from vipsync.station.ledger import read_station
from vipsync.station.model import Stage, State, Station, StationSettings, View
from vipsync.station.plan import plan_station
from vipsync.station.private import read_table
from vipsync.station.reading import first_words, read_place
from vipsync.station.settings import load
from vipsync.station.steps import Act, Action, StationPlan, StudyReport, StudyState
from vipsync.station.survey import Survey

_ROUNDS = 10_000


class Outlook:
    """A dry run from the ledger as it is: what is read is read in memory, what would be made is told."""

    def __init__(self, root: Path) -> None:
        self.folder = StationFolder(root)
        self.settings: StationSettings = load(self.folder.root)
        ledger = self.folder.ledger
        self.state = read_station(ledger) if ledger.exists() else State(Station(""))
        self._has_run = self.state.station.began
        table = read_table(self.folder.identity())
        self.secret = table.secret if table else secrets.token_bytes(32)
        self.survey = Survey(self.settings, self.secret, time.monotonic, first_words)

    def plan(self) -> StationPlan:
        """Return the plan as if every study were quiet; the rows of new studies are in `state`."""
        self.survey.look()
        quiet = {n: replace(s, changed_at=float("-inf")) for n, s in self.survey.seen.items()}
        failed: dict[str, str] = {}
        for _ in range(_ROUNDS):
            view = View(
                time.monotonic(),
                time.time(),
                self.settings,
                self.state,
                quiet,
                taken_names=self.folder.names(),
                failed=failed,
            )
            plan = plan_station(view)
            self.state.put(plan.rows)
            reads = [action for action in plan.actions if action.act is Act.READ]
            for action in reads:
                self._read(action, failed)
            if not plan.rows and not reads:
                return (
                    plan if self._has_run else replace(plan, reports=self._nameless(plan.reports))
                )
        raise AssertionError("a station never comes to an end of its plan")

    def _nameless(self, reports: Sequence[StudyReport]) -> tuple[StudyReport, ...]:
        """Return reports of a station that never ran: a place gets the name by which it is called at the first run."""
        named = {study.name for study in self.state.studies.values()}
        places = [report.name for report in reports if report.name not in named]
        calls = {name: f"place {number}" for number, name in enumerate(places, 1)}
        return tuple(
            self._called(report, calls) if report.name in calls else report for report in reports
        )

    def _called(self, report: StudyReport, calls: Mapping[str, str]) -> StudyReport:
        reason, remedy = report.reason, report.remedy
        for name, word in calls.items():
            reason, remedy = reason.replace(name, word), remedy.replace(name, "STUDY")
        if report.state is StudyState.BEFORE:
            reason = f'it lies there already: with since = "{self.settings.since}" it is left alone'
        return replace(report, name=calls[report.name], reason=reason, remedy=remedy)

    def _read(self, action: Action, failed: dict[str, str]) -> None:
        name, lone = action.subject, self.survey.lone
        try:
            found, _ = read_place(self.survey.files(name), name, self.secret, lone=lone)
        except VipsyncError as error:
            failed[action.key] = str(error)
            return
        place, seen = self.state.places[name], self.survey.seen[name]
        self.state.put([replace(place, read=seen.print, contents=found)])

    @property
    def new(self) -> list[str]:
        """Return the names of the sessions that would be made."""
        return [s.name for s in self.state.studies.values() if s.stage is Stage.NAMED]
