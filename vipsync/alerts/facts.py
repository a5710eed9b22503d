"""What of a folder is worth an alert, gathered into one message, and nothing told twice.

PURE: no I/O, no clock. What is told has names of folders and counts, never a name of a file or a case.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from vipsync.model import NotifyEvent
from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.station.steps import StudyReport
from vipsync.status.overview import Need, need_of
from vipsync.status.status import Status, count

FORGOTTEN_AFTER = 86_400.0
"""Seconds for which something must be over before it is another thing when it comes again."""

SETTLES = 10.0
"""Seconds after a start for which nothing is sent: the folders are looked at first."""

MOST_LINES = 20
"""Folders that one message names."""

SERVICE = ""
"""The owner of what concerns vipsync itself."""

_LONGEST_NAME = 200
_FAILED = (CaseState.FAILED, CaseState.INCOMPLETE)
_UNDER_WAY = (CaseState.SETTLING, CaseState.QUEUED, CaseState.RUNNING)
_PASSING: tuple[NotifyEvent, ...] = ("person", "stopped")
_NUMBER = re.compile(r"\d[\d.,]*")


Kind = Literal["info", "success", "warning", "failure"]
_KINDS: tuple[tuple[NotifyEvent, Kind], ...] = (
    ("stopped", "failure"),
    ("failed", "failure"),
    ("person", "warning"),
    ("done", "success"),
)
"""What a message is: the first that holds of something in it."""


class Fact(Struct, frozen=True):
    """One thing that may be told, known by a digest; `number`: how many it stands for.

    `text` is its line in the message, where it concerns vipsync itself. `early`: more of it is to come.
    """

    event: NotifyEvent
    key: str
    number: int = 1
    text: str = ""
    early: bool = False


Facts = frozenset[Fact]
News = Mapping[str, tuple[str, Facts]]
"""What is to be told, by owner with its name."""


class Known(Struct, array_like=True):
    """How much of one thing was told, and since when it is over (UTC s), None while it is not."""

    number: int
    over: float | None = None


class Kept(Struct):
    """What outlives a process about one receiver: what it was told, by owner and by key.

    `since`: when the first thing was seen that is still to be told (UTC s). `sending`: a message was on
    its way, and what it says counts as told. `doubts`: so many such messages have no known end.
    """

    told: dict[str, dict[str, Known]] = {}
    since: float | None = None
    sending: bool = False
    doubts: int = 0


class Message(Struct, frozen=True):
    """What is sent; `kind` is the word of apprise for how much it asks of a person."""

    title: str
    text: str
    kind: Kind = "info"


def facts_of(status: Status, *, of_station: bool = False) -> Facts:
    """Return what is true of a folder now, and may be told; what a station's asks, its station tells."""
    facts = (*_noticed(status), *_failed(status), *_done(status))
    return frozenset(fact for fact in facts if not (of_station and fact.event == "person"))


def facts_of_station(
    studies: Iterable[StudyReport], trouble: str = "", told: Collection[str] = ()
) -> Facts:
    """Return what a station needs of a person; `told` are studies of which their session says it."""
    if trouble:
        return stopped_by(trouble)
    return frozenset(
        _fact("person", study.name, study.state, _shape(study.reason))
        for study in studies
        if study.asks and study.name not in told
    )


def stopped_by(trouble: str) -> Facts:
    """Return that nothing goes on in a place, and why."""
    return frozenset({_fact("stopped", _shape(trouble))})


def _of_itself(what: str, times: int) -> Facts:
    """Return what happened to vipsync itself, so many times by now."""
    fact = Fact("stopped", f"{what}-{times}", text=_ITSELF[what])
    return frozenset({fact} if times else ())


_ITSELF = {
    "crash": "vipsync itself stopped without having been told to.",
    "doubt": "vipsync ended while it sent an alert, which may be lost.",
}


def _noticed(status: Status) -> Iterator[Fact]:
    failed = {failure.cases[0] for failure in status.failures if failure.state in _FAILED}
    for notice in status.notices:
        if notice.level is Level.ERROR:
            yield _fact("stopped", notice.subject, _shape(notice.text))
        elif notice.level is Level.PERSON and notice.subject not in failed:
            yield _fact("person", notice.subject, _shape(notice.text))
    if status.exit_code and not status.notices:  # it cannot be looked at
        yield _fact("stopped", str(status.exit_code), _shape(status.sentence))


def _failed(status: Status) -> Iterator[Fact]:
    return _counted("failed", (case for case in status.cases if case.state in _FAILED))


def _done(status: Status) -> Iterator[Fact]:
    """Return what is done; a message at each case would be too many, so it is early while more goes on."""
    goes_on = any(status.counts.get(state) for state in _UNDER_WAY)
    done = (case for case in status.cases if case.state is CaseState.DONE)
    return _counted("done", done, early=goes_on or need_of(status) is Need.RUNNING)


def _counted(
    event: NotifyEvent, cases: Iterable[CaseReport], *, early: bool = False
) -> Iterator[Fact]:
    for execution, number in Counter(case.execution for case in cases).items():
        yield Fact(event, _key(event, execution), number, early=early)


def _fact(event: NotifyEvent, *what: str) -> Fact:
    return Fact(event, _key(event, *what))


def _key(event: NotifyEvent, *what: str) -> str:
    digest = blake2b("\0".join(what).encode(errors="replace"), digest_size=8).hexdigest()
    return f"{event}-{digest}"


def _shape(text: str) -> str:
    """Return a text without its numbers: what only counts on is the same thing."""
    return _NUMBER.sub("#", text)


class Gathering:
    """What one receiver is to be told: one message for all that is new within `quiet` seconds."""

    def __init__(
        self, on: Collection[NotifyEvent], quiet: float, kept: Kept, crashes: int, wall: float
    ) -> None:
        self._on, self._quiet, self._kept, self._began = on, quiet, kept, wall
        self._now: dict[str, tuple[str, Facts]] = {}
        self._open: set[str] = set()
        self._inherited = kept.since is not None
        kept.doubts += kept.sending
        kept.sending = False
        self._take_for_over(wall)
        self.see_service(crashes, wall)

    def _take_for_over(self, wall: float) -> None:
        """Take what passes for over until it is seen again: nobody looked meanwhile."""
        for told in self._kept.told.values():
            self._forget_over(told, (), wall)

    def see_service(self, crashes: int, wall: float) -> None:
        """Take in how vipsync itself is."""
        facts = _of_itself("crash", crashes) if "stopped" in self._on else frozenset()
        self.see(SERVICE, "vipsync", facts | _of_itself("doubt", self._kept.doubts), wall)

    def see(self, owner: str, name: str, facts: Facts, wall: float) -> None:
        """Take in what is true of a folder; of one that is new here, what was done is no news."""
        told = self._kept.told
        if owner not in told:
            told[owner] = {fact.key: Known(fact.number) for fact in facts if fact.event == "done"}
        self._forget_over(told[owner], {fact.key for fact in facts}, wall)
        self._now[owner] = (name[:_LONGEST_NAME], facts)
        self._open.discard(owner)
        if self._new(owner, facts):
            self._open.add(owner)
        if self._open:
            self._kept.since = wall if self._kept.since is None else self._kept.since
        elif not self._inherited:
            self._kept.since = None

    def _forget_over(self, told: dict[str, Known], true: Collection[str], wall: float) -> None:
        """Note what is over, and forget what has been for long. What failed or is done stays so."""
        for key, known in list(told.items()):
            if known.over is not None and wall - known.over > FORGOTTEN_AFTER:
                del told[key]
            elif key in true or not key.startswith(_PASSING):
                known.over = None
            elif known.over is None:
                known.over = wall

    def rename(self, before: str, owner: str) -> None:
        """Take what was told of a folder, before it was known which one it is, as told of it."""
        if before != owner:
            self.leave(before)
            if (earlier := self._kept.told.pop(before, None)) is not None:
                self._kept.told.setdefault(owner, earlier)

    def leave(self, owner: str) -> None:
        """Say nothing more of a folder that was let go."""
        self._now.pop(owner, None)
        self._open.discard(owner)

    def due(self, wall: float) -> float | None:
        """Return when a message is to be sent (UTC s); None where there is nothing to tell."""
        if self._kept.since is None:
            return None
        self._kept.since = min(self._kept.since, wall)  # a clock can be set back
        self._began = min(self._began, wall)
        return max(self._kept.since + self._quiet, self._began + SETTLES)

    def untold(self) -> News:
        """Return what is true and was not told yet."""
        now = {owner: self._now[owner] for owner in self._open}
        new = {owner: (name, self._new(owner, facts)) for owner, (name, facts) in now.items()}
        return {owner: told for owner, told in new.items() if told[1]}

    def _new(self, owner: str, facts: Facts) -> Facts:
        told = self._kept.told[owner]
        return frozenset(
            Fact(fact.event, fact.key, more, fact.text)
            for fact in facts
            if (fact.event in self._on or owner == SERVICE)
            and not fact.early
            and (more := fact.number - _number(told.get(fact.key))) > 0
        )

    def take(self) -> News:
        """Return what is to be sent now, which counts as told: who dies meanwhile tells nothing twice."""
        new = self.untold()
        self._mark(new, 1)
        self._open.clear()
        self._kept.since, self._inherited = None, False
        self._kept.sending = bool(new)
        return new

    def taken(self) -> None:
        """Take in that what was sent has arrived."""
        self._kept.sending = False

    def refused(self, new: News, wall: float) -> None:
        """Take in that what was sent has not arrived: it is still to be told."""
        self._mark(new, -1)
        self._open |= new.keys() & self._now.keys()
        self._kept.since, self._kept.sending = wall - self._quiet, False

    def _mark(self, new: News, sign: int) -> None:
        for owner, (_, facts) in new.items():
            told = self._kept.told.setdefault(owner, {})
            for fact in facts:
                number = _number(told.get(fact.key)) + sign * fact.number
                told[fact.key] = Known(max(number, 0))


def _number(known: Known | None) -> int:
    return known.number if known else 0


def message(new: News, host: str) -> Message:
    """Return one message of all that is new: names of folders and counts."""
    own = sorted(fact.text for fact in new.get(SERVICE, ("", ()))[1])
    named = sorted((name, facts) for owner, (name, facts) in new.items() if owner != SERVICE)
    lines = [*own, *(f"{name}: {', '.join(_words(facts))}" for name, facts in named[:MOST_LINES])]
    if len(named) > MOST_LINES:
        lines.append(f"and {count(len(named) - MOST_LINES, 'more folder')}")
    every = _words(fact for _, facts in named for fact in facts)
    title = ", ".join([*(["vipsync itself"] if own else []), *every])
    return Message(
        f"vipsync on {host}: {title}",
        "\n".join((*lines, "", f"`vipsync status` on {host} says more.")),
        _kind(new),
    )


def _kind(new: News) -> Kind:
    events = {fact.event for _, facts in new.values() for fact in facts}
    return next((kind for event, kind in _KINDS if event in events), "info")


def _words(facts: Iterable[Fact]) -> list[str]:
    numbers: Counter[NotifyEvent] = Counter()
    for fact in facts:
        numbers[fact.event] += fact.number
    words: dict[NotifyEvent, str] = {
        "stopped": "stopped",
        "person": f"{count(numbers['person'], 'thing')} to decide",
        "failed": f"{count(numbers['failed'], 'case')} failed",
        "done": f"{count(numbers['done'], 'case')} done",
    }
    return [text for event, text in words.items() if numbers[event]]
