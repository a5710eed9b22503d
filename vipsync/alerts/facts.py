"""What of a folder is worth an alert, gathered into one message, and nothing told twice.

PURE: no I/O, no clock. What is told has names of folders and counts, never a name of a file or a case.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b

from msgspec import Struct

from vipsync.model import NotifyEvent
from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.status.overview import Need, need_of
from vipsync.status.status import Status, count

FORGOTTEN_AFTER = 86_400.0
"""Seconds for which something must be over before it is another thing when it comes again."""

MOST_LINES = 20
"""Folders that one message names."""

SERVICE = ""
"""The owner of what concerns vipsync itself."""

_FAILED = (CaseState.FAILED, CaseState.INCOMPLETE)
_UNDER_WAY = (CaseState.SETTLING, CaseState.QUEUED, CaseState.RUNNING)
_PASSING: tuple[NotifyEvent, ...] = ("person", "stopped")
_NUMBER = re.compile(r"\d[\d.,]*")

Told = dict[str, dict[str, float | None]]
"""What was told, by owner; with the time since when it is over (UTC s), None while it is not."""


class Fact(Struct, frozen=True):
    """One thing that may be told, known by a digest; `number` of cases that it stands for."""

    event: NotifyEvent
    key: str
    number: int = 1


class Message(Struct, frozen=True):
    """What is sent."""

    title: str
    text: str


def facts_of(status: Status) -> frozenset[Fact]:
    """Return what is true of a folder now, and may be told."""
    return frozenset((*_noticed(status), *_failed(status), *_done(status)))


def came_back(times: int) -> frozenset[Fact]:
    """Return that vipsync itself stopped without having been told to, so many times by now."""
    return frozenset({_fact("stopped", "vipsync", str(times))} if times else ())


def _noticed(status: Status) -> Iterator[Fact]:
    failed = {failure.cases[0] for failure in status.failures if failure.state in _FAILED}
    for notice in status.notices:
        if notice.level is Level.ERROR:
            yield _fact("stopped", notice.subject, _NUMBER.sub("#", notice.text))
        elif notice.level is Level.PERSON and notice.subject not in failed:
            yield _fact("person", notice.subject, _NUMBER.sub("#", notice.text))
    if status.exit_code and not status.notices:  # it cannot be looked at
        yield _fact("stopped", str(status.exit_code), _NUMBER.sub("#", status.sentence))


def _failed(status: Status) -> Iterator[Fact]:
    for case in status.cases:
        if case.state in _FAILED:
            yield _fact("failed", case.id, case.execution)


def _done(status: Status) -> Iterator[Fact]:
    """Return what is done, where nothing is under way: a message at each case would be too many."""
    if need_of(status) is Need.RUNNING or any(status.counts.get(s) for s in _UNDER_WAY):
        return
    done = Counter(case.execution for case in status.cases if case.state is CaseState.DONE)
    for execution, number in done.items():
        yield _fact("done", execution, number=number)


def _fact(event: NotifyEvent, *what: str, number: int = 1) -> Fact:
    digest = blake2b("\0".join(what).encode(errors="replace"), digest_size=8).hexdigest()
    return Fact(event, f"{event}-{digest}", number)


class Gathering:
    """What one receiver is to be told: one message for all that is new within `quiet` seconds."""

    def __init__(self, on: Collection[NotifyEvent], quiet: float, told: Told) -> None:
        self._on, self._quiet, self.told = on, quiet, told
        self._now: dict[str, tuple[str, frozenset[Fact]]] = {}
        self._since: float | None = None

    def see(self, owner: str, name: str, facts: frozenset[Fact], wall: float) -> None:
        """Take in what is true of a folder; of one that is new here, what was done is no news."""
        if owner not in self.told:
            old = (fact.key for fact in facts if fact.event == "done")
            self.told[owner] = dict.fromkeys(old)
        self._now[owner] = (name, facts)
        self._forget_over(owner, facts, wall)
        self._wait_for_more(wall)

    def _forget_over(self, owner: str, facts: frozenset[Fact], wall: float) -> None:
        """Note what is over, and forget what has been for long. What failed or is done stays so."""
        true, told = {fact.key for fact in facts}, self.told[owner]
        for key, over in list(told.items()):
            if key in true or not key.startswith(_PASSING):
                told[key] = None
            elif over is None:
                told[key] = wall
            elif wall - over > FORGOTTEN_AFTER:
                del told[key]

    def _wait_for_more(self, wall: float) -> None:
        if not any(self._untold()):
            self._since = None
        elif self._since is None:
            self._since = wall

    def leave(self, owner: str) -> None:
        """Say nothing more of a folder that was let go."""
        self._now.pop(owner, None)

    def due(self) -> float | None:
        """Return when a message is to be sent (UTC s); None where there is nothing to tell."""
        return None if self._since is None else self._since + self._quiet

    def untold(self) -> dict[str, tuple[str, frozenset[Fact]]]:
        """Return what is true and was not told yet, by owner with its name."""
        return {owner: (name, facts) for owner, name, facts in self._untold()}

    def _untold(self) -> Iterator[tuple[str, str, frozenset[Fact]]]:
        for owner, (name, facts) in self._now.items():
            new = frozenset(
                f for f in facts if f.event in self._on and f.key not in self.told[owner]
            )
            if new:
                yield owner, name, new

    def was_told(self, sent: Mapping[str, tuple[str, frozenset[Fact]]], wall: float) -> None:
        """Never tell this again."""
        for owner, (_, facts) in sent.items():
            self.told[owner].update(dict.fromkeys(fact.key for fact in facts))
        self._since = None
        self._wait_for_more(wall)


def message(new: Mapping[str, tuple[str, frozenset[Fact]]], host: str) -> Message:
    """Return one message of all that is new: names of folders and counts."""
    every = [fact for _, facts in new.values() for fact in facts]
    own = [facts for owner, (_, facts) in new.items() if owner == SERVICE]
    lines = ["vipsync itself had stopped without being told to, and runs again."] if own else []
    named = sorted((name, facts) for owner, (name, facts) in new.items() if owner != SERVICE)
    lines += [f"{name}: {_words(facts)}" for name, facts in named[:MOST_LINES]]
    if len(named) > MOST_LINES:
        lines.append(f"and {count(len(named) - MOST_LINES, 'more folder')}")
    return Message(f"vipsync on {host}: {_words(every)}", "\n".join((*lines, "", _REMEDY)))


_REMEDY = "`vipsync status` says more."


def _words(facts: Iterable[Fact]) -> str:
    numbers: Counter[NotifyEvent] = Counter()
    for fact in facts:
        numbers[fact.event] += fact.number
    words = {
        "stopped": "stopped",
        "person": f"{count(numbers['person'], 'thing')} to decide",
        "failed": f"{count(numbers['failed'], 'case')} failed",
        "done": f"{count(numbers['done'], 'case')} done",
    }
    return ", ".join(text for event, text in words.items() if numbers[event])  # type: ignore[index]
