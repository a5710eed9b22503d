"""Keep one station: observe its exports, plan, do, write down; its sessions are kept by the loop.

One thread calls `turn`; what takes long is done in a thread of the station's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from vipsync.disk.files import unreadable
from vipsync.disk.scan import ChangedPaths, network_file_system, scan_interval
from vipsync.errors import FolderAbsent, VipsyncError
from vipsync.model import FileState, replace
from vipsync.run.dispatch import fault
from vipsync.run.reconciler import Reconciler
from vipsync.run.timing import Timing
from vipsync.station.backroom import Backroom
from vipsync.station.folder import StationFolder
from vipsync.station.ledger import StationLedger
from vipsync.station.making import (
    fill,
    make_session,
    point,
    session_settings,
    tell,
    words_of,
)
from vipsync.station.model import (
    Contents,
    Stage,
    StationSettings,
    Study,
    View,
    together,
)
from vipsync.station.plan import plan_station
from vipsync.station.private import Table, open_table, refuse_rivals
from vipsync.station.publish import publish, station_status, troubled
from vipsync.station.reading import Whose, first_words, read_place
from vipsync.station.sessions import Sessions
from vipsync.station.settings import load
from vipsync.station.steps import Act, Action, StationPlan, StationStatus
from vipsync.station.survey import Survey

logger = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds after which what failed is tried again."""

TROUBLE_PAUSE = 5.0
REQUESTS_EVERY = 5.0
"""Seconds between looks for what a person asked, where events do not say it."""

_MOST_STEPS = 10_000


class _Opened(NamedTuple):
    """What serves for as long as station.toml says the same: how its file is, and what follows from it."""

    file: FileState
    settings: StationSettings
    private: Table
    survey: Survey


class Keeper:
    """One station in a running process."""

    def __init__(
        self,
        root: Path,
        timing: Timing,
        backroom: Backroom,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = StationFolder(root)
        self.root = self.folder.root
        self.trouble: VipsyncError | None = None
        self.working: frozenset[Path] = frozenset()
        self.status: StationStatus | None = None
        self._due = 0.0
        self.plan: StationPlan | None = None
        self._timing, self._backroom, self._stop = timing, backroom, stop
        self._held: ExitStack | None = None
        self._ledger: StationLedger | None = None
        self._opened: _Opened | None = None
        self._actions: dict[str, Action] = {}
        self._failed: dict[str, tuple[str, float]] = {}
        self._scan_at = 0.0
        self._rested = 0.0
        self._healthy = False
        self._sessions = Sessions(self.folder)

    # being there

    @property
    def exports(self) -> tuple[Path, ...]:
        """Return the folders in which an event asks for a look."""
        return tuple(map(Path, self._opened.settings.exports)) if self._opened else ()

    @property
    def due(self) -> float:
        """Return when its next turn is due: at once where work has ended and can be taken in."""
        return 0.0 if self._backroom.has_news and not self.trouble else self._due

    @property
    def at_rest(self) -> bool:
        """Tell whether nothing can advance without a person or a new file."""
        return self.trouble is not None or (self.plan is not None and self.plan.at_rest)

    @property
    def ledger(self) -> StationLedger:
        """The open ledger."""
        if self._ledger is None:
            raise AssertionError("the station is not open")
        return self._ledger

    @property
    def opened(self) -> _Opened:
        """What the settings in force say, and what was made by them."""
        if self._opened is None:
            raise AssertionError("the station is not open")
        return self._opened

    def _open(self) -> None:
        """Hold the folder, by the settings in force: they are read anew where their file was saved."""
        try:
            file = FileState.of(self.folder.settings.stat())
        except OSError as error:
            raise unreadable(self.folder.settings, error) from error
        before = self._opened
        settings = before.settings if before and before.file == file else load(self.root)
        if self._ledger is None:
            self._hold()
        if before and before.settings == settings:
            self._opened = before._replace(file=file)
            return
        table = open_table(self.ledger.state.station.id, used=self.ledger.state.station.began)
        table.station, table.exports = str(self.root), settings.exports
        table.accept = settings.accept
        refuse_rivals(table, self.root)
        table.keep()
        survey = Survey(settings, table.secret, self._timing.clock, first_words)
        self._opened = _Opened(file, settings, table, survey)
        self._scan_at = 0.0

    def _hold(self) -> None:
        with ExitStack() as stack:
            station_id = self.folder.claim()
            stack.enter_context(self.folder.own.held())
            network = network_file_system(self.folder.own.hidden)
            self._ledger = StationLedger(self.folder.ledger, station_id, network_disk=network)
            stack.callback(self._ledger.close)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Let the station go."""
        if self._held:
            self._held.close()
        self._held = self._ledger = None

    # a turn

    def turn(
        self,
        sessions: Mapping[Path, Reconciler],
        hints: Mapping[int, ChangedPaths],
        *,
        healthy: bool = False,
    ) -> None:
        """Look, plan and do; what stops the whole station is kept in `trouble`."""
        now = self._timing.clock()
        if not hints and healthy is self._healthy and self._is_as_before(sessions, now):
            return
        try:
            self._open()
            self._take_outcomes()
            self._look(hints, healthy=healthy)
            studies = self.ledger.state.studies.values()
            self._sessions.hear(studies, self._timing.clock(), self._pause)
            self.trouble = None
            self._steps(sessions)
        except VipsyncError as error:
            self._halt(error, now)
        except OSError as error:  # what cannot be read is not known to be gone
            self._halt(unreadable(self.root, error), now)
        except Exception as error:  # one station's fault must not stop the others
            logger.exception("a turn failed unexpectedly")
            self._halt(fault(error), now)
        self._publish()

    def _is_as_before(self, sessions: Mapping[Path, Reconciler], now: float) -> bool:
        """Tell whether sessions were looked at, and nothing came of it that this station must know."""
        waits = self.plan is not None and not self.trouble and now < self.due
        return waits and self._sessions.seen(sessions) == self._sessions.known

    def _halt(self, error: VipsyncError, now: float) -> None:
        self.trouble = error
        self._due = now + TROUBLE_PAUSE

    def _steps(self, sessions: Mapping[Path, Reconciler]) -> None:
        """Plan until there is nothing more to do at once."""
        for _ in range(_MOST_STEPS):
            view = self._view(sessions)
            plan = plan_station(view)
            if plan.rows:
                self.ledger.commit(plan.rows)
                self._drop_answered(view)
                continue
            todo = [a for a in plan.actions if a.key not in self._backroom.busy]
            moved = [self._do(action) for action in todo]
            if not self._take_outcomes() and not any(moved):
                break
        else:
            raise AssertionError("a station never comes to an end of its plan")
        self.plan = plan
        self.working = frozenset(self.folder.sessions / name for name in plan.working)
        self._set_due()

    @property
    def _pause(self) -> float:
        return REQUESTS_EVERY if not self._healthy else 60.0

    def _set_due(self) -> None:
        now = self._timing.clock()
        times = [self._scan_at, now + self._pause]
        if self.plan and self.plan.due is not None:
            times.append(max(self.plan.due, now + 0.05))
        times += [at for _, at in self._failed.values()]
        self._due = min(times)

    def _view(self, sessions: Mapping[Path, Reconciler]) -> View:
        now = self._timing.clock()
        self._failed = {k: v for k, v in self._failed.items() if v[1] > now}
        self._sessions.look(sessions)
        return View(
            now,
            self._timing.wall(),
            self.opened.settings,
            self.ledger.state,
            self.opened.survey.seen,
            self._sessions.known,
            self.folder.asked(),
            self.folder.names(),
            frozenset(self._backroom.busy),
            {key: words for key, (words, _) in self._failed.items()},
            self._sessions.ended,
            self._sessions.by_hand,
        )

    def _drop_answered(self, view: View) -> None:
        for asked in view.asked:
            if asked.id in self.ledger.state.answered:
                self.folder.own.answered(asked.id)

    # looking

    def _look(self, hints: Mapping[int, ChangedPaths], *, healthy: bool) -> None:
        survey, private = self.opened.survey, self.opened.private
        self._healthy = healthy
        now = self._timing.clock()
        only: set[str] | None = set(self.plan.look) if self.plan else None
        if survey.pins() != self.ledger.state.station.pins:
            only = None
        for export, changed in hints.items():
            if export < 0:  # its own folder: settings and requests are read anyway
                continue
            places = survey.hinted(export, changed)
            only = None if only is None or places is None else only | places
        if only is None and now < self._rested:  # it was costly, and is asked for often
            self._scan_at = min(self._scan_at, self._rested)
            return
        if now >= self._scan_at:
            only = None
        if only is not None and not only:
            return
        survey.look(only)
        if only is None:
            self._require_exports(survey)
            now, cost = self._timing.clock(), survey.last_duration
            self._scan_at, self._rested = now + scan_interval(cost, healthy=healthy), now + 4 * cost
        if any(name not in private.places for name in survey.spots):
            private.places |= {n: str(spot.whole) for n, spot in survey.spots.items()}
            private.keep()

    def _require_exports(self, survey: Survey) -> None:
        """Raise FolderAbsent where an export is empty, or another one than before (S6)."""
        state = self.ledger.state
        pins = survey.pins()
        known = list(state.places.values())
        there = [p for p in known if p.id in survey.seen]
        empty = [e for e in survey.exports if not any(e.iterdir())]
        if known and empty and not there:
            raise FolderAbsent(
                "The export is empty, and studies were in it.",
                "Is its disk connected? Nothing new is started until they, or others, are there.",
            )
        before = state.station.pins
        if before and pins != before and len(before) == len(pins) and known and not there:
            raise FolderAbsent(
                "The export is another folder than before: no study known from there is in it.",
                "Bring the disk of before back. If the change is meant, name it by another path.",
            )
        if pins != before:
            self.ledger.commit([replace(state.station, pins=pins)])

    # doing

    def _do(self, action: Action) -> bool:
        """Do something, or have it done; tell whether it has changed what is known."""
        state = self.ledger.state
        self._actions[action.key] = action
        if action.act is Act.READ:
            self._backroom.put(action.key, self._reading(action.subject))
        elif action.act is Act.FILL:
            study = state.studies[action.subject]
            self._backroom.put(action.key, self._filling(study, action.places))
        else:
            try:
                self._at_once(action, state.studies[action.subject])
            except (VipsyncError, OSError) as error:
                self._fail(action.key, error)
                return True
            return action.act is not Act.TELL
        return False

    def _at_once(self, action: Action, study: Study) -> None:
        match action.act:
            case Act.MAKE:
                make_session(self.folder, study, self._text(study, study.home))
                self.ledger.commit([replace(study, stage=Stage.MADE)])
            case Act.POINT:
                home = action.places[0]
                point(self.folder, study, self._text(study, home))
                self.ledger.commit([replace(study, home=home)])
            case _:
                tell(self.folder, study, action.request, action.word)

    def _text(self, study: Study, home: str) -> str:
        settings, survey = self.opened.settings, self.opened.survey
        spot = None if settings.copies else survey.spots[home].whole
        return session_settings(self.folder, settings, study.name, spot)

    def _reading(self, name: str) -> Callable[[], object]:
        survey, secret = self.opened.survey, self.opened.private.secret
        seen, files = survey.seen[name], survey.files(name)

        def read() -> object:
            found, whose = read_place(files, name, secret, lone=survey.lone, stop=self._stop)
            return name, seen.print, found, whose

        return read

    def _filling(self, study: Study, places: Collection[str]) -> Callable[[], object]:
        settings, survey = self.opened.settings, self.opened.survey
        sources = [(survey.spots[p].whole, survey.files(p)) for p in places]
        rows = [self.ledger.state.places[p] for p in places]
        content = together(row.contents.hashes for row in rows)

        def work() -> object:
            fill(self.folder, settings, study, sources, self._stop)
            return study.key, content

        return work

    def _take_outcomes(self) -> bool:
        """Write down what has ended; tell whether anything has."""
        ended = self._backroom.take()
        for key, outcome in ended:
            action = self._actions.pop(key, None)
            if isinstance(outcome, Exception):
                self._fail(key, outcome)
            elif action and action.act is Act.READ:
                self._was_read(outcome)
            elif action:
                self._was_filled(outcome)
        return bool(ended)

    def _was_read(self, outcome: object) -> None:
        match outcome:
            case (str(name), str(seen), Contents() as found, Whose() as whose):
                place = self.ledger.state.places[name]
                self.ledger.commit([replace(place, read=seen, contents=found)])
                if whose.persons:
                    persons = sorted(whose.persons)
                    for study in found.studies:
                        self.opened.private.people[study] = persons
                    self.opened.private.keep()
            case _:
                raise AssertionError(outcome)

    def _was_filled(self, outcome: object) -> None:
        match outcome:
            case (str(key), str(content)):
                study = self.ledger.state.studies[key]
                asked = replace(study, content=content) if study.asked > study.ran else study
                self.ledger.commit([replace(asked, stage=study.after_filling, filled=content)])
            case _:
                raise AssertionError(outcome)

    def _fail(self, key: str, error: Exception) -> None:
        logger.info("%s: %s", key.partition(" ")[0], type(error).__name__)
        self._failed[key] = (words_of(error), self._timing.clock() + AGAIN)

    # words

    def _publish(self) -> None:
        before = self.status
        if self.trouble:
            self.status = troubled(self.folder, self.trouble, self._timing.wall(), before)
        elif self.plan and self._ledger:
            wall = self._timing.wall()
            self.status = station_status(self.folder, self.plan, wall, self._sessions.keyless)
        if self._ledger and self.status:
            publish(self.folder, self.status, before)
