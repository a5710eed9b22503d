"""What a station does next, and how each study stands. PURE: equal views give equal plans.

Rows come first: whatever is done rests on what is written down. A plan with rows has no actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from vipsync.model import replace
from vipsync.station.completeness import Places, Standing
from vipsync.station.model import (
    Answered,
    Asked,
    Place,
    Row,
    Seen,
    SessionSeen,
    Stage,
    Study,
    View,
    beyond,
    together,
)
from vipsync.station.steps import Act, Action, StationPlan, StudyReport, StudyState
from vipsync.status.status import count

WAITING_FOR_VIP = 1
"""Sessions that were asked to start and have no execution yet: one more would overtake the oldest."""


def plan_station(view: View) -> StationPlan:
    """Return what to do now."""
    rows = tuple(_noted(view)) or tuple(_answered(view))
    if rows:
        return StationPlan(rows=rows, at_rest=False)
    return _Draft(view).plan()


# bookkeeping


def _noted(view: View) -> Iterator[Row]:
    """Write down which places there are, and when they changed."""
    station, known = view.state.station, view.state.places
    for name, seen in view.places.items():
        row = known.get(name)
        if row is None:
            before = seen.files if not station.began and _is_old(view, seen) else None
            fresh = Place(name, view.wall, view.wall, before=before, newest=seen.newest)
            yield _as_seen(fresh, seen)
        elif row.print != seen.print and not seen.problem:
            yield _as_seen(replace(row, changed_at=view.wall), seen)
    if not station.began:
        yield replace(station, began=True, since=view.wall)


def _as_seen(place: Place, seen: Seen) -> Place:
    return replace(
        place,
        print=seen.print,
        first_study=seen.study or place.first_study,
        first_person=seen.person or place.first_person,
    )


def _is_old(view: View, seen: Seen) -> bool:
    match view.settings.since:
        case "now":
            return True
        case "all":
            return False
        case text:
            midnight = datetime.combine(date.fromisoformat(text), datetime.min.time())
            return seen.newest < midnight.timestamp()


def _answered(view: View) -> Iterator[Row]:
    """Turn what a person asked for into rows; what names nothing is answered, too."""
    for asked in view.asked:
        if asked.id not in view.state.answered:
            yield from _said(view, asked)
        yield Answered(asked.id)


def _said(view: View, asked: Asked) -> Iterator[Row]:
    for study in view.state.studies.values():
        if study.name == asked.study:
            moved_up = asked.word == "first"
            yield replace(study, first=view.wall) if moved_up else replace(study, word=asked.word)
            return
    for place in view.state.places.values():
        if place.handle == asked.study:
            yield from _said_of_place(view, place, asked.word)


def _said_of_place(view: View, place: Place, word: str) -> Iterator[Row]:
    if word != "merge":
        yield replace(place, word=word)
    elif twin := Places(view).twin(place):
        yield replace(place, joined=twin.study, word=word)
    elif len(place.contents.studies) > 1:
        yield replace(place, joined=place.contents.studies[0], word=word)


# the plan


class _Draft:
    """Collect rows, actions and reports; each place and each study is looked at once."""

    def __init__(self, view: View) -> None:
        self.view, self.settings, self.places = view, view.settings, Places(view)
        self.rows: list[Row] = []
        self.actions: list[Action] = []
        self.reports: list[StudyReport] = []
        self.working: set[str] = set()
        self.due: list[float] = []
        self.look: set[str] = set()
        self.waits = False
        self.ahead = 0  # studies that start before the one that is looked at

    def plan(self) -> StationPlan:
        """Go through all places, then through all studies with a session, the oldest first."""
        there = [p for p in self.places.ordered if p.id in self.view.places]
        for place in there:
            self._read(place)
        for place in self.places.ordered:
            if place.study not in self.view.state.studies:
                self._place(place)
        studies = sorted(self.view.state.studies.values(), key=_turn)
        self.ahead = max(0, sum(map(self._waits_for_vip, studies)) - WAITING_FOR_VIP + 1)
        for study in studies:
            self._study(study)
            self.ahead += self._can_start(study)
        if self.rows:
            return StationPlan(rows=tuple(self.rows), at_rest=False)
        return StationPlan(
            actions=tuple(a for a in self.actions if a.key not in self.view.busy),
            reports=tuple(self.reports),
            working=frozenset(self.working),
            due=min(self.due, default=None),
            look=frozenset(self.look),
            at_rest=not (self.actions or self.view.busy or self.waits),
        )

    def _act(self, action: Action) -> bool:
        """Do something, unless it failed: then a person is told, and it is done again in a while."""
        if action.key in self.view.failed:
            return False
        self.actions.append(action)
        return True

    # places

    def _read(self, place: Place) -> None:
        """Have a place read that is quiet, and was not read as it is."""
        seen, quiet = self.places.seen(place), self.places.quiet_for(place)
        known = place.read == seen.print or place.word == "skip"
        if seen.problem or known or self.places.is_before(place):
            return
        if seen.quiet < quiet:
            self.due.append(seen.changed_at + quiet)
            self.look.add(place.id)
            self.waits = True
        else:
            self._act(Action(Act.READ, place.id))

    def _place(self, place: Place) -> None:
        """Say how a place stands whose study has no session, and give it one where it is complete."""
        if place.id not in self.view.places:
            gone = Standing(StudyState.GONE, "it left the export before it became a session")
            self._report_place(place, gone, asks=False)
            return
        standing = self.places.standing(place)
        if standing is None:
            self._name(place)
            return
        same = self.places.same(place) if standing.state is StudyState.SAME else None
        if same and same.home not in self.view.places:  # its folder has another name now
            self.rows.append(replace(place, joined=same.key))
        self._report_place(place, standing, asks=self._asks(place, standing.state))

    def _asks(self, place: Place, state: StudyState) -> bool:
        """Tell whether a place asks for a person: what is incomplete does so after a while only."""
        if state is not StudyState.INCOMPLETE:
            return state is StudyState.HELD
        left = place.changed_at + self.settings.complete.needs_you - self.view.wall
        if left > 0:
            self.due.append(self.view.now + left)
        return left <= 0

    def _report_place(self, place: Place, how: Standing, *, asks: bool) -> None:
        self.reports.append(
            StudyReport(
                place.handle,
                how.state,
                how.reason,
                how.remedy,
                since=place.changed_at,
                asks=asks,
                can=how.can,
            )
        )

    def _name(self, place: Place) -> None:
        """Give a study its name: the row first, then the folder; all its places must have been read."""
        new = [row for row in self.rows if isinstance(row, Study)]
        if any(row.key == place.study for row in new):
            return
        if self.places.moving(place.study):
            arriving = Standing(StudyState.ARRIVING, "more of it arrives in another folder")
            self._report_place(place, arriving, asks=False)
            self.waits = True
            return
        known = [*self.view.state.studies.values(), *new]
        same = [s.subject for s in known if place.person and s.person == place.person]
        subject = same[0] if same else max((s.subject for s in known), default=0) + 1
        number, name = self._free_name(max((s.number for s in known), default=0) + 1, subject)
        first = self.view.wall if place.word == "first" else None
        self.rows.append(
            Study(
                key=place.study,
                name=name,
                number=number,
                subject=subject,
                person=place.person,
                found_at=place.found_at,
                home=place.id,
                first=first,
            )
        )

    def _free_name(self, number: int, subject: int) -> tuple[int, str]:
        """Return the first number from this one on whose name is not taken in sessions/."""
        while True:
            name = self.settings.name.format(n=number, subject_n=subject)
            if name not in self.view.taken_names:
                return number, name
            number += 1

    # studies

    def _study(self, study: Study) -> None:
        session = self.view.sessions.get(study.name, SessionSeen())
        places = self.places.of(study.key)
        content = together(place.contents.hashes for place in places)
        moving = self.places.moving(study.key)
        match study.stage:
            case _ if study.word == "skip" and not study.ran:
                self._skip(study, session)
            case Stage.NAMED:
                self._do(study, Action(Act.MAKE, study.key))
            case Stage.MADE if moving:
                self._report(study, StudyState.ARRIVING, "more data come")
            case Stage.MADE if self.settings.copies:
                self._do(study, Action(Act.FILL, study.key, places=tuple(p.id for p in places)))
            case Stage.MADE:
                self.rows.append(replace(study, stage=study.after_filling))
            case Stage.FILLED | Stage.ASKED | Stage.STARTED if self._has_moved(study, places):
                self.working.add(study.name)
                self._do(study, Action(Act.POINT, study.key, places=(places[0].id,)))
            case Stage.FILLED:
                self._queue(study, content, moving=moving, there=bool(places))
            case Stage.ASKED:
                self._asked(study, session, content, moving=moving)
            case Stage.STARTED | Stage.ENDED:
                self._started(study, session, content, moving=moving)

    def _skip(self, study: Study, session: SessionSeen) -> None:
        """Leave a study; what was asked of its session is taken back, and VIP is left clean."""
        if study.stage is Stage.ASKED:
            for word in ("cancel", "finish"):
                request = f"{study.request}-skip-{word}"
                if request not in session.answered | session.heard:
                    self._act(Action(Act.TELL, study.key, request, word))
            if not (session.over and f"{study.request}-skip-finish" in session.answered):
                self.working.add(study.name)
        self._report(study, StudyState.SKIPPED, "by a person")

    def _do(self, study: Study, action: Action) -> None:
        if self._act(action):
            self._report(study, StudyState.QUEUED, "its session is being made")
        else:
            again = "It is tried again every minute."
            self._report(study, StudyState.HELD, self.view.failed[action.key], again, asks=True)

    def _has_moved(self, study: Study, places: Sequence[Place]) -> bool:
        """Tell whether the folder that a session looks into is gone, and its study is in another one."""
        ids = {place.id for place in places}
        return bool(ids) and not self.settings.copies and study.home not in ids

    def _queue(self, study: Study, content: str, *, moving: bool, there: bool) -> None:
        """Ask for the launch where nobody else waits to start; a study of which more came waits again."""
        copies = self.settings.copies
        if not there and not copies:
            remedy = f"Bring it back there, or leave it: `vipsync station skip DIR {study.name}`."
            gone = "it is no longer in the export"
            self._report(study, StudyState.HELD, gone, remedy, asks=True)
        elif moving:
            self._report(study, StudyState.ARRIVING, "more data come")
        elif copies and beyond(content, study.filled):
            self.rows.append(replace(study, stage=Stage.MADE))
        elif self.ahead:
            self._report(study, StudyState.QUEUED, f"{self.ahead} to start before it")
            self.waits = True
        else:
            taken = study.filled if copies else content
            asked = replace(study, stage=Stage.ASKED, asked=study.asked + 1, content=taken)
            self.rows.append(replace(asked, asked_at=self.view.wall, word=""))

    def _can_start(self, study: Study) -> bool:
        """Tell whether a study starts as soon as it is its turn."""
        if study.stage is not Stage.FILLED or study.word == "skip":
            return False
        there = self.settings.copies or self.places.of(study.key)
        return bool(there) and not self.places.moving(study.key)

    def _waits_for_vip(self, study: Study) -> bool:
        """Tell whether a study was asked to start, has not started, and nothing keeps it from that."""
        session = self.view.sessions.get(study.name, SessionSeen())
        requests = {request for request, _ in _launches(study)}
        stuck = session.over and requests <= session.answered
        asked = study.stage is Stage.ASKED and study.word != "skip" and not stuck
        return asked and not requests & session.started and not study.waits

    def _asked(self, study: Study, session: SessionSeen, content: str, *, moving: bool) -> None:
        """Follow a launch that was asked for, until VIP has an execution of it; its places are looked at until then."""
        self.look |= {place.id for place in self.places.of(study.key)}
        self.working.add(study.name)
        requests = {request for request, _ in _launches(study)}
        carried_out = requests <= session.answered
        nothing_new = study.ran and carried_out and session.over and not session.code
        if requests & session.started or nothing_new:
            self.rows.append(replace(study, stage=Stage.STARTED, ran=study.asked))
            return
        whole = not moving and not beyond(content, study.content)
        if study.waits is whole:  # more came before it started: it waits until that is whole, too
            self.rows.append(replace(study, pauses=study.pauses + 1))
            return
        self._tell(study, session)
        if moving:
            self._report(study, StudyState.ARRIVING, "more data come")
        elif not whole and (lacking := self.places.lacking(self.places.of(study.key))):
            self._report(study, StudyState.INCOMPLETE, lacking, asks=True)
        elif not whole and self.settings.copies:
            self.rows.append(replace(study, stage=Stage.MADE))
        elif not whole:
            self.rows.append(replace(study, content=content))
        elif session.over and (carried_out or session.code):
            self._report(study, StudyState.NEEDS, session.words, asks=True)
        else:
            self.waits = self.waits or not session.over
            self._report(study, StudyState.SENDING, session.words)

    def _tell(self, study: Study, session: SessionSeen) -> None:
        """Leave the requests that a session does not know yet; the same ones after a crash."""
        known = session.answered | session.heard
        if study.asked > study.ran:
            for request, word in _launches(study):
                if request not in known:
                    self._act(Action(Act.TELL, study.key, request, word))
        if study.pauses and study.pause_request not in known:
            word = "pause" if study.waits else "resume"
            self._act(Action(Act.TELL, study.key, study.pause_request, word))

    def _started(self, study: Study, session: SessionSeen, content: str, *, moving: bool) -> None:
        """Follow an execution to its end; what comes after the launch waits for a word, or a setting."""
        late = set[str]() if moving else beyond(content, study.content)
        places = self.places.of(study.key)
        by_itself = self.settings.late.series == "rerun" and not self.places.lacking(places)
        taken = by_itself or study.word == "take-late"
        if late and taken:
            stage = Stage.MADE if self.settings.copies else Stage.FILLED
            self.rows.append(replace(study, stage=stage))
            return
        by_hand = study.name in self.view.by_hand
        if study.stage is Stage.ENDED and by_hand:
            self.rows.append(replace(study, stage=Stage.STARTED))
            return
        if study.stage is Stage.STARTED:
            self.working.add(study.name)
            self._tell(study, session)
            if session.over and not session.code and not by_hand:
                ended = replace(study, stage=Stage.ENDED, ended_at=self.view.wall)
                self.rows.append(replace(ended, outcome=session.words))
                return
        self._report_started(study, session, len(late))

    def _report_started(self, study: Study, session: SessionSeen, late: int) -> None:
        if late:
            words = f"{count(late, 'file')} came after the launch"
            remedy = f"`vipsync station take-late DIR {study.name}` runs it again with them."
            self._report(study, StudyState.HELD, words, remedy, asks=True, can=("take-late",))
        elif study.stage is Stage.ENDED:
            self._report_ended(study)
        elif session.over or session.code:
            self._report(study, StudyState.NEEDS, session.words, asks=True)
        else:
            self.waits = True
            self._report(study, StudyState.RUNNING, session.words)

    def _report_ended(self, study: Study) -> None:
        """Say how the session of a study is that is let go: a person may have worked in it since."""
        last = self.view.last.get(study.name, SessionSeen(words=study.outcome))
        if last.code:
            look = f"`vipsync status DIR/sessions/{study.name}` says what is to be done."
            self._report(study, StudyState.NEEDS, "its session needs a person", look, asks=True)
        else:
            self._report(study, StudyState.DONE, last.words)

    def _report(
        self,
        study: Study,
        state: StudyState,
        reason: str,
        remedy: str = "",
        *,
        asks: bool = False,
        can: tuple[str, ...] = (),
    ) -> None:
        since = study.ended_at or study.asked_at or study.found_at
        name, can = f"sessions/{study.name}", can or _can(study, state)
        self.reports.append(StudyReport(study.name, state, reason, remedy, name, since, asks, can))


def _can(study: Study, state: StudyState) -> tuple[str, ...]:
    """Return what a person may say of a study that has not run: what has is left to its session."""
    if study.ran or study.stage in (Stage.STARTED, Stage.ENDED) or study.word == "skip":
        return ()
    return ("first", "skip") if state is StudyState.QUEUED else ("skip",)


def _launches(study: Study) -> tuple[tuple[str, str], ...]:
    """Return the requests for a launch: of what is new, and after the first one of what has other files."""
    new = (study.request, "launch")
    return (new, (f"{study.request}-again", "rerun")) if study.ran else (new,)


def _turn(study: Study) -> tuple[float, int]:
    """Order studies: what a person moved up comes first, the last one moved before others."""
    return (-(study.first or 0.0), study.number)
