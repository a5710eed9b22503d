"""A plan while it is being made, and the plan that comes of it.

PURE: no I/O, no clock, no randomness; equal snapshots give equal plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from vipsync import actions as do
from vipsync.errors import DiskError, Unreachable
from vipsync.plan.memory import Attempt
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Changes, Row

NEVER = float("inf")
"""When a file will be quiet that cannot be read."""


NAME_TAKEN, NOT_SEEN = "session_name", "session"
"""Subjects of the notices that say why a session may not touch its folder on VIP."""


class Level(StrEnum):
    """How much a notice asks of a person."""

    INFO = "info"
    WAIT = "wait"
    PERSON = "person"
    ERROR = "error"


class Notice(Struct, frozen=True):
    """One thing that is not in sync, why, and what a person can do about it."""

    level: Level
    subject: str
    text: str
    remedy: str = ""
    exit_code: int = 3

    @property
    def asks(self) -> bool:
        """Tell whether a person has to do something."""
        return self.level in (Level.PERSON, Level.ERROR)


class Plan(Struct, frozen=True):
    """What is to be done now, in order, and when to look again at the latest.

    `conditions` are named facts whose age matters to the next plan. `due` is the monotonic time at
    which to plan again. `at_rest`: nothing can advance without a person or a new file.
    """

    actions: tuple[do.Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    conditions: frozenset[str] = frozenset()
    due: float | None = None
    at_rest: bool = True


class Draft(Struct):
    """Collect actions, and hold back those that are under way, too early or without a server."""

    s: Snapshot
    actions: list[do.Action] = []
    notices: dict[Notice, None] = {}
    conditions: set[str] = set()
    keys: set[do.Key] = set()
    due: float | None = None
    advances: bool = False

    def add(self, action: do.Action) -> bool:
        """Add an action unless it must wait; True when it is under way or will be."""
        memory, key = self.s.memory, do.key(action)
        if key in memory.under_way or key in self.keys:
            return True
        trouble = None if isinstance(action, do.LOCAL) else memory.account.trouble
        for attempt in filter(None, (trouble, memory.attempts.get(key))):
            if attempt is not trouble:
                self._say_failing(key, attempt)
            if attempt.not_before > self.s.now:
                self.wait(attempt.not_before, lasting=attempt.lasts)
                return False
        self.actions.append(action)
        self.keys.add(key)
        return True

    def _say_failing(self, key: do.Key, attempt: Attempt) -> None:
        """Say what fails for good; that VIP is out of order is said once, whatever was asked of it."""
        error = attempt.error
        if isinstance(error, DiskError):  # a person can mend it now, and one line is enough
            self.notice(Level.PERSON, "disk", error.message, error.remedy, error.exit_code)
        elif attempt.outage:
            if not any(n.subject == "VIP" for n in self.notices):
                self.notice(Level.ERROR, "VIP", error.message, error.remedy, Unreachable.exit_code)
        elif attempt.lasts:
            self.notice(Level.PERSON, key.subject, error.message, error.remedy, error.exit_code)

    def _outage(self) -> Iterator[Notice]:
        """Say that nothing can be asked of VIP; a single failure that may pass is not worth a word."""
        trouble = self.s.memory.account.trouble
        if trouble is None:
            return
        error = trouble.error
        if not error.transient or trouble.lasts:
            yield Notice(Level.ERROR, "VIP", error.message, error.remedy, error.exit_code)
        elif trouble.count > 1:
            yield Notice(Level.WAIT, "VIP", error.message, "It is tried again.")

    def failing(self, action: do.Action) -> bool:
        """Tell whether this action failed and waits for its next attempt."""
        attempts = self.s.memory.attempts
        attempt = attempts.get(do.key(action)) if attempts else None
        return attempt is not None and attempt.not_before > self.s.now

    def hopeless(self, action: do.Action) -> bool:
        """Tell whether this action failed so often that nothing should wait for it."""
        attempt = self.s.memory.attempts.get(do.key(action))
        return attempt is not None and attempt.lasts

    def since(self, condition: str) -> float:
        """Seconds for which a condition has held over the last plans; 0 when it is new."""
        self.conditions.add(condition)
        return self.s.now - self.s.memory.since.get(condition, self.s.now)

    def wait(self, until: float, *, lasting: bool = False) -> None:
        """Look again at `until`; `lasting`: though nothing is expected to advance by then.

        What waits for ever, such as a file that cannot be read, advances nothing and is not waited for.
        """
        if until == NEVER:
            return
        self.due = until if self.due is None else min(self.due, until)
        self.advances = self.advances or not lasting

    def wait_for(self, condition: str, seconds: float) -> bool:
        """Tell whether `condition` has held for `seconds`; until then look again in time."""
        self.conditions.add(condition)
        until = self.s.memory.since.get(condition, self.s.now) + seconds
        if self.s.now >= until:
            return True
        self.wait(until)
        return False

    def notice(
        self, level: Level, subject: str, text: str, remedy: str = "", exit_code: int = 3
    ) -> None:
        """Say what is not in sync; a name that VIP gives may have several lines."""
        subject = "?".join(subject.splitlines())
        self.notices[Notice(level, subject, text, remedy, exit_code)] = None

    def finished(self) -> Plan:
        """Return the plan."""
        actions = tuple(_up_to_decision(self.actions))
        return Plan(
            actions,
            (*self._outage(), *self.notices),
            frozenset(self.conditions),
            self.due,
            at_rest=not (actions or self.advances or self.s.memory.under_way),
        )


def _up_to_decision(actions: Iterable[do.Action]) -> Iterator[do.Action]:
    """Leave out what follows a decision: it was planned from a state that the decision changes.

    Writing the marker changes that state too; only the request that asked for it may follow.
    """
    marking = False
    for action in actions:
        if marking and isinstance(action, do.Decide) and not action.requests:
            return
        yield action
        if isinstance(action, (do.Decide, do.Open)):
            return
        marking = marking or isinstance(action, do.WriteMarker)


def decide(draft: Draft, why: str, *put: Row) -> None:
    """Add a decision: rows to write, and no effect."""
    draft.add(do.Decide(why, Changes(put=put)))
