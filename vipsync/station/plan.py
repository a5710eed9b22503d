"""What a station does next, and how each study stands. PURE: equal views give equal plans.

Rows come first: whatever is done rests on what is written down. A plan with rows has no actions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from msgspec import Struct

from vipsync.model import replace
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
    split,
    together,
)

TWINS = 3600.0
"""Seconds within which two studies of one person are taken for one: the console was rebooted."""

SURE = 60.0
"""Seconds for which a study must be quiet also where a person says that it is complete."""

WAITING_FOR_VIP = 1
"""Sessions that were asked to start and have no execution yet: one more would overtake the oldest."""


class Act(StrEnum):
    """What can be done."""

    READ = "read"
    MAKE = "make"
    FILL = "fill"
    TELL = "tell"
    POINT = "point"


class Action(Struct, frozen=True):
    """One thing to do for a place or a study. `request` and `word` are those that a session is told."""

    act: Act
    subject: str
    request: str = ""
    word: str = ""
    places: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What is to be done, to tell whether it is under way or has failed."""
        return f"{self.act} {self.subject} {self.request}".rstrip()


class StudyState(StrEnum):
    """How a study stands, for people."""

    ARRIVING = "arriving"
    INCOMPLETE = "incomplete"
    HELD = "held"
    QUEUED = "queued"
    SENDING = "being sent"
    RUNNING = "running"
    DONE = "done"
    NEEDS = "needs you"
    SAME = "the same study"
    BEFORE = "there before"
    GONE = "gone"
    NOT_OURS = "not ours"
    SKIPPED = "skipped"


ASKING = (StudyState.HELD, StudyState.NEEDS)
"""States that ask something of a person."""


class StudyReport(Struct, frozen=True):
    """One study or place: its name, or the handle of one that has none yet. `since` in UTC seconds."""

    name: str
    state: StudyState
    reason: str = ""
    remedy: str = ""
    session: str = ""
    since: float = 0.0
    asks: bool = False


class StationPlan(Struct, frozen=True):
    """Rows to write, or else what to do; how each study stands; when to look again (monotonic s)."""

    rows: tuple[Row, ...] = ()
    actions: tuple[Action, ...] = ()
    reports: tuple[StudyReport, ...] = ()
    working: frozenset[str] = frozenset()
    due: float | None = None
    look: frozenset[str] = frozenset()
    at_rest: bool = True


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
            yield Place(
                name,
                view.wall,
                view.wall,
                seen.print,
                before=before,
                newest=seen.newest,
                first_study=seen.study,
                first_person=seen.person,
            )
        elif row.print != seen.print and not seen.problem:
            yield replace(
                row,
                print=seen.print,
                changed_at=view.wall,
                first_study=seen.study or row.first_study,
                first_person=seen.person or row.first_person,
            )
    if not station.began:
        yield replace(station, began=True, since=view.wall)


def _is_old(view: View, seen: Seen) -> bool:
    match view.settings.since:
        case "now":
            return True
        case "all":
            return False
        case text:
            return (
                seen.newest
                < datetime.combine(date.fromisoformat(text), datetime.min.time()).timestamp()
            )


def _answered(view: View) -> Iterator[Row]:
    """Turn what a person asked for into rows; what names nothing is answered, too."""
    for asked in view.asked:
        if asked.id not in view.state.answered:
            yield from _said(view, asked)
        yield Answered(asked.id)


def _said(view: View, asked: Asked) -> Iterator[Row]:
    for study in view.state.studies.values():
        if study.name == asked.study:
            first = view.wall if asked.word == "first" else study.first
            yield replace(
                study, first=first, word=asked.word if asked.word != "first" else study.word
            )
            return
    for place in view.state.places.values():
        if place.handle == asked.study:
            yield from _said_of_place(view, place, asked)


def _said_of_place(view: View, place: Place, asked: Asked) -> Iterator[Row]:
    if asked.word != "merge":
        yield replace(place, word=asked.word)
    elif twin := _twin(view, place):
        yield replace(place, joined=twin.study, word="merge")
    elif len(place.contents.studies) > 1:
        yield replace(place, joined=place.contents.studies[0], word="merge")


def _twin(view: View, place: Place) -> Place | None:
    """Return the place of another study of the same person that came at the same time, the first one."""
    others = (
        other
        for other in view.state.places.values()
        if place.person
        and other.person == place.person
        and other.study != place.study
        and other.before is None
        and abs(other.found_at - place.found_at) < TWINS
        and abs(other.newest - place.newest) < TWINS
    )
    return min(others, key=lambda other: other.age, default=None)


# the plan


class _Draft:
    def __init__(self, view: View) -> None:
        self.view = view
        self.settings = view.settings
        self.rows: list[Row] = []
        self.actions: list[Action] = []
        self.reports: list[StudyReport] = []
        self.working: set[str] = set()
        self.due: list[float] = []
        self.look: set[str] = set()
        self.waits = False
        self.by_study: dict[str, list[Place]] = defaultdict(list)
        self.ordered = sorted(view.state.places.values(), key=lambda place: place.age)
        for place in self.ordered:
            if place.study and place.id in view.places:
                self.by_study[place.study].append(place)

    def plan(self) -> StationPlan:
        """Go through all places, then through all studies with a session, the oldest first."""
        for place in self.ordered:
            if place.id in self.view.places:
                self._read(place, self.view.places[place.id])
        for place in self.ordered:
            if place.study in self.view.state.studies:
                continue
            if place.id in self.view.places:
                self._place(place)
            else:
                gone = StudyState.GONE, "it left the export without a session"
                self.reports.append(StudyReport(place.handle, *gone, since=place.changed_at))
        for study in sorted(self.view.state.studies.values(), key=_turn):
            self._study(study)
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

    # places

    def _read(self, place: Place, seen: Seen) -> None:
        """Have a place read that is quiet, and was not read as it is."""
        known = place.read == seen.print or place.word == "skip"
        if seen.problem or known or self._is_before(place, seen):
            return
        quiet = self._quiet(place)
        if seen.quiet < quiet:
            self.due.append(seen.changed_at + quiet)
            self.look.add(place.id)
            self.waits = True
        else:
            self._act(Action(Act.READ, place.id))

    def _quiet(self, place: Place) -> float:
        return SURE if place.word == "complete" else self.settings.complete.quiet

    @staticmethod
    def _is_before(place: Place, seen: Seen) -> bool:
        return place.before is not None and seen.files <= place.before and not place.word

    def _act(self, action: Action) -> bool:
        """Do something, unless it failed: then a person is told, and it is done when things changed."""
        if action.key in self.view.failed:
            return False
        self.actions.append(action)
        return True

    def _place(self, place: Place) -> None:
        """Say how a place stands whose study has no session, and give it one where it is complete."""
        seen = self.view.places[place.id]
        state, reason, remedy = self._standing(place, seen)
        if state is None:
            self._name(place)
            return
        asks = state is StudyState.HELD
        if state is StudyState.INCOMPLETE:
            asks = self.view.wall - place.changed_at >= self.settings.complete.needs_you
            if not asks:
                left = place.changed_at + self.settings.complete.needs_you - self.view.wall
                self.due.append(self.view.now + left)
        since = place.changed_at
        self.reports.append(
            StudyReport(place.handle, state, reason, remedy, since=since, asks=asks)
        )

    def _standing(self, place: Place, seen: Seen) -> tuple[StudyState | None, str, str]:
        """Return how a place stands, why, and what a person can do; no state where it is complete."""
        quiet = seen.quiet >= self._quiet(place)
        failed = self.view.failed.get(Action(Act.READ, place.id).key, "") if quiet else ""
        found = place.contents
        if place.word == "skip":
            return StudyState.SKIPPED, "by a person", ""
        if seen.problem or failed:
            return StudyState.HELD, f"it cannot be read: {seen.problem or failed}", ""
        if self._is_before(place, seen):
            return StudyState.BEFORE, "it lay there when the station was made", ""
        if place.read != seen.print:
            return StudyState.ARRIVING, f"{seen.files} files so far", ""
        if self.settings.accept and not _matches(found.words, self.settings.accept):
            return StudyState.NOT_OURS, f"nothing in it matches {_listed(self.settings.accept)}", ""
        if found.problem:
            return StudyState.HELD, found.problem, ""
        if same := self._same(place):
            if same.home not in self.view.places:  # its folder has another name now
                self.rows.append(replace(place, joined=same.key))
            return StudyState.SAME, f"as {same.name}: it was exported again", ""
        if place.word == "complete":
            return (None, "", "") if not self._split(place) else self._held_split()
        return self._complete(place)

    def _complete(self, place: Place) -> tuple[StudyState | None, str, str]:
        found, complete = place.contents, self.settings.complete
        lacks = [r for r in complete.require if not _matches(found.words, r.split("|"))]
        if complete.ready and not _matches(found.words, [complete.ready]):
            lacks.append(complete.ready)
        say = f"`vipsync station complete DIR {place.handle}` starts it as it is."
        if lacks:
            return StudyState.INCOMPLETE, f"{_listed(lacks)} did not come", say
        if complete.instances and found.gaps:
            return StudyState.INCOMPLETE, found.gaps, say
        if len(found.studies) > 1 and not place.joined:
            words = f"{len(found.studies)} studies lie in it"
            merge = f"`vipsync station merge DIR {place.handle}` takes them for one."
            return StudyState.HELD, words, merge
        twin = None if place.joined else _twin(self.view, place)
        if twin:
            other = self.view.state.studies.get(twin.study)
            name = other.name if other else twin.handle
            words = f"{name} is another study of the same person, of the same hour"
            remedy = (
                f"`vipsync station merge DIR {place.handle}` joins them, "
                f"`vipsync station complete DIR {place.handle}` keeps them apart."
            )
            return StudyState.HELD, words, remedy
        return self._held_split() if self._split(place) else (None, "", "")

    def _split(self, place: Place) -> bool:
        """Tell whether a study lies in several places, and its session can look into one only."""
        return len(self._places(place.study)) > 1 and not self.settings.copies

    @staticmethod
    def _held_split() -> tuple[StudyState, str, str]:
        return StudyState.HELD, "it lies in several folders", 'Write take = "copy" in station.toml.'

    def _same(self, place: Place) -> Study | None:
        """Return the study that has just the contents of a place which has no id of its own."""
        hashes = place.contents.hashes
        if place.study != place.id or not hashes:
            return None
        for study in self.view.state.studies.values():
            home = self.view.state.places.get(study.home)
            read = home.contents.hashes if home and home.id != place.id else ""
            if hashes in (study.content, study.filled, read):
                return study
        return None

    def _places(self, key: str) -> list[Place]:
        """Return the places of a study that a person has not set aside."""
        return [p for p in self.by_study[key] if p.word != "skip"]

    def _name(self, place: Place) -> None:
        """Give a study its name: the row first, then the folder; all its places must be complete."""
        if any(row.key == place.study for row in self.rows if isinstance(row, Study)):
            return
        if any(self.view.places[p.id].print != p.read for p in self._places(place.study)):
            self.reports.append(StudyReport(place.handle, StudyState.ARRIVING, "in another folder"))
            self.waits = True
            return
        known = [*self.view.state.studies.values(), *(r for r in self.rows if isinstance(r, Study))]
        person = place.person
        same = [s.subject for s in known if person and s.person == person]
        subject = same[0] if same else max((s.subject for s in known), default=0) + 1
        number = max((s.number for s in known), default=0) + 1
        while (
            name := self.settings.name.format(n=number, subject_n=subject)
        ) in self.view.taken_names:
            number += 1
        self.rows.append(
            Study(place.study, name, number, subject, person, place.found_at, home=place.id)
        )

    # studies

    def _study(self, study: Study) -> None:
        session = self.view.sessions.get(study.name, SessionSeen())
        if study.word == "skip" and not study.launched:
            self._report(study, StudyState.SKIPPED, "by a person")
            return
        places = self._places(study.key)
        moving = [p for p in places if self.view.places[p.id].print != p.read]
        content = together(p.contents.hashes for p in places)
        match study.stage:
            case Stage.NAMED:
                self._do(study, Action(Act.MAKE, study.key))
            case Stage.MADE if moving:
                self._report(study, StudyState.ARRIVING, "more data come")
            case Stage.MADE if self.settings.copies:
                self._do(study, Action(Act.FILL, study.key, places=tuple(p.id for p in places)))
            case Stage.MADE:
                self.rows.append(replace(study, stage=study.after_filling))
            case Stage.FILLED:
                self._queue(study, places, moving, content)
            case Stage.ASKED | Stage.STARTED if self._has_moved(study, places):
                self._do(study, Action(Act.POINT, study.key, places=(places[0].id,)))
                self.working.add(study.name)
            case Stage.ASKED:
                self._asked(study, session, moving, content)
            case Stage.STARTED | Stage.ENDED:
                self._started(study, session, moving, content)

    def _do(self, study: Study, action: Action) -> None:
        if self._act(action):
            self._report(study, StudyState.QUEUED, "its session is being made")
        else:
            self._report(study, StudyState.HELD, self.view.failed[action.key], asks=True)

    def _queue(
        self, study: Study, places: Sequence[Place], moving: Sequence[Place], content: str
    ) -> None:
        """Ask for the launch where nobody else waits to start; a study of which more came waits again."""
        if not places:
            self._report(study, StudyState.HELD, "it is no longer in the export", asks=True)
        elif moving:
            self._report(study, StudyState.ARRIVING, "more data come")
        elif self.settings.copies and content != study.filled:
            self.rows.append(replace(study, stage=Stage.MADE))
        elif self._has_moved(study, places):
            self._do(study, Action(Act.POINT, study.key, places=(places[0].id,)))
        elif self._ahead(study):
            self._report(study, StudyState.QUEUED, f"{len(self._ahead(study))} before it")
            self.waits = True
        else:
            asked = replace(study, stage=Stage.ASKED, asked=study.asked + 1, content=content)
            self.rows.append(replace(asked, asked_at=self.view.wall, word=""))

    def _has_moved(self, study: Study, places: Sequence[Place]) -> bool:
        """Tell whether the folder that a session looks into is gone, and its study is in another one."""
        ids = {place.id for place in places}
        return bool(ids) and not self.settings.copies and study.home not in ids

    def _ahead(self, study: Study) -> list[Study]:
        """Return the studies that start before this one."""
        others = [s for s in self.view.state.studies.values() if s.key != study.key]
        waiting = [s for s in others if self._waits_for_vip(s)]
        ready = [s for s in others if s.stage is Stage.FILLED and _turn(s) < _turn(study)]
        ready = [s for s in ready if self._places(s.key) and s.word != "skip"]
        return waiting[: max(0, len(waiting) - WAITING_FOR_VIP + 1)] + [
            s for s in ready if not self._moving(s)
        ]

    def _moving(self, study: Study) -> bool:
        return any(self.view.places[p.id].print != p.read for p in self._places(study.key))

    def _waits_for_vip(self, study: Study) -> bool:
        session = self.view.sessions.get(study.name, SessionSeen())
        asked = study.stage is Stage.ASKED and study.request not in session.started
        stuck = session.over and study.request in session.answered
        return asked and not stuck and not study.pauses % 2

    def _asked(
        self, study: Study, session: SessionSeen, moving: Sequence[Place], content: str
    ) -> None:
        """Follow a launch that was asked for, until VIP has an execution of it."""
        self.working.add(study.name)
        requests = {request for request, _ in _launches(study)}
        carried_out = requests <= session.answered
        nothing_new = study.ran and carried_out and session.over and not session.code
        if requests & session.started or nothing_new:
            self.rows.append(replace(study, stage=Stage.STARTED, ran=study.asked))
            return
        fresh = not moving and split(content) <= split(study.content)
        if study.pauses % 2 == int(
            fresh
        ):  # more came before it started: it waits until that is whole
            self.rows.append(replace(study, pauses=study.pauses + 1))
            return
        self._tell(study, session)
        if moving:
            self._report(study, StudyState.ARRIVING, "more data come")
        elif not fresh and self.settings.copies:
            self.rows.append(replace(study, stage=Stage.MADE))
        elif not fresh:
            self.rows.append(replace(study, content=content))
        elif session.over and carried_out:
            self._report(study, StudyState.NEEDS, session.words, asks=True)
        else:
            self.waits = self.waits or not session.over
            self._report(study, StudyState.SENDING, session.words)

    def _tell(self, study: Study, session: SessionSeen) -> None:
        """Leave the requests that a session has not carried out yet; the same ones after a crash."""
        if study.asked > study.ran:
            for request, word in _launches(study):
                if request not in session.answered:
                    self._act(Action(Act.TELL, study.key, request, word))
        if study.pauses and study.pause_request not in session.answered:
            word = "pause" if study.pauses % 2 else "resume"
            self._act(Action(Act.TELL, study.key, study.pause_request, word))

    def _started(
        self, study: Study, session: SessionSeen, moving: Sequence[Place], content: str
    ) -> None:
        """Follow an execution to its end; what comes after the launch waits for a word, or a setting."""
        late = split(content) - split(study.content)
        if (
            late
            and not moving
            and (self.settings.late.series == "rerun" or study.word == "take-late")
        ):
            stage = Stage.MADE if self.settings.copies else Stage.FILLED
            self.rows.append(replace(study, stage=stage))
            return
        if study.stage is Stage.STARTED:
            self.working.add(study.name)
            self._tell(study, session)
            if session.over and not session.code:
                ended = replace(study, stage=Stage.ENDED, ended_at=self.view.wall)
                self.rows.append(replace(ended, outcome=session.words))
                return
        if late and not moving:
            words = f"{len(late)} files came after the launch"
            remedy = f"`vipsync station take-late DIR {study.name}` runs it again with them."
            self._report(study, StudyState.HELD, words, remedy, asks=True)
        elif study.stage is Stage.ENDED:
            self._report(study, StudyState.DONE, study.outcome)
        elif session.over or session.code:
            self._report(study, StudyState.NEEDS, session.words, asks=True)
        else:
            self.waits = True
            self._report(study, StudyState.RUNNING, session.words)

    def _report(
        self, study: Study, state: StudyState, reason: str, remedy: str = "", *, asks: bool = False
    ) -> None:
        since = study.ended_at or study.asked_at or study.found_at
        name = f"sessions/{study.name}"
        self.reports.append(StudyReport(study.name, state, reason, remedy, name, since, asks))


def _launches(study: Study) -> tuple[tuple[str, str], ...]:
    """Return the requests for a launch: of what is new, and after the first one of what has other files."""
    new = (study.request, "launch")
    return (new, (f"{study.request}-again", "rerun")) if study.ran else (new,)


def _turn(study: Study) -> tuple[float, int]:
    """Order studies: what a person moved up comes first, the last one moved before others."""
    return (-(study.first or 0.0), study.number)


def _matches(words: Iterable[str], patterns: Iterable[str]) -> bool:
    """Tell whether a path, a name in it or a description fits one of some patterns, in any case."""
    wanted = [pattern.strip().casefold() for pattern in patterns]
    return any(
        fnmatchcase(part, pattern)
        for word in words
        for part in (word.casefold(), word.casefold().rpartition("/")[2])
        for pattern in wanted
    )


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)
