"""What holds an action back, and when to look again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.builders import CLOSED, HOME, NOW, OPEN, attempt, memory, snapshot, state_of
from vipsync import actions as do
from vipsync.errors import GenericVipError, InvalidInput, TransferMismatch, Unreachable
from vipsync.model import RelPath, replace
from vipsync.plan.draft import Draft, Level, Notice
from vipsync.rows import Changes

POLL, KILL = do.Poll("e1"), do.Kill("e1")
HASH = do.HashFile(RelPath("a.dat"), state_of("one"))
DECIDE = do.Decide("x", Changes(put=(OPEN,)))


def draft(**remembered: Any) -> Draft:
    """Return an empty draft for a process that remembers this."""
    return Draft(snapshot(session=OPEN, memory=memory(**remembered)))


def test_an_empty_draft_is_at_rest() -> None:
    """Nothing to do, nothing to wait for."""
    made = draft().finished()
    assert (made.actions, made.due, made.at_rest) == ((), None, True)


def test_an_action_is_added_once() -> None:
    """The same thing wanted twice is done once."""
    made = draft()
    assert made.add(POLL)
    assert made.add(POLL)
    assert made.finished().actions == (POLL,)
    assert not made.finished().at_rest


def test_what_is_under_way_is_not_added_and_keeps_from_rest() -> None:
    """Its end is a reason to plan again."""
    made = draft(under_way={do.key(POLL)})
    assert made.add(POLL)
    assert made.finished().actions == ()
    assert not made.finished().at_rest


def test_what_failed_waits_for_its_time() -> None:
    """The plan is due then; until then it is not added."""
    made = draft(attempts={do.key(POLL): attempt(TransferMismatch("cut"))})
    assert not made.add(POLL)
    assert made.failing(POLL)
    assert (made.finished().due, made.finished().at_rest) == (NOW + 5, False)


def test_after_its_time_it_is_tried_again() -> None:
    """The attempt stays known, for the length of the next pause."""
    made = draft(attempts={do.key(POLL): attempt(TransferMismatch("cut"), pause=0)})
    assert made.add(POLL)
    assert not made.failing(POLL)


def test_lasting_failures_are_told_and_not_waited_for() -> None:
    """A person is told after two minutes of failures, after two where trying again cannot help."""
    for error, count in ((TransferMismatch("cut"), 5), (InvalidInput("bad"), 2)):
        early = draft(attempts={do.key(POLL): attempt(error, count - 1)})
        early.add(POLL)
        late = draft(attempts={do.key(POLL): attempt(error, count)})
        late.add(POLL)
        assert (early.finished().notices, early.finished().at_rest) == ((), False)
        assert [n.level for n in late.finished().notices] == [Level.PERSON]
        assert late.finished().at_rest


@pytest.mark.parametrize(
    ("count", "seconds", "lasts"),
    [(1, 0.0, False), (9, 119.0, False), (2, 600.0, False), (3, 120.0, True), (7, 121.0, True)],
)
def test_patience_is_counted_in_time(count: int, seconds: float, lasts: bool) -> None:
    """Many quick failures are not more than few, and one try may take longer than anybody waits."""
    made = attempt(GenericVipError("no reason"), count, since=NOW - seconds)
    assert made.lasts is lasts


def test_vip_out_of_order_asks_nothing_of_a_person() -> None:
    """It is said once, whatever was asked of it, with the code of a VIP that cannot be reached."""
    keys = [do.key(POLL), do.key(KILL)]
    made = draft(attempts={k: attempt(GenericVipError(str(k)), 5, silent=True) for k in keys})
    for action in (POLL, KILL):
        made.add(action)
    (notice,) = made.finished().notices
    assert (notice.level, notice.subject, notice.exit_code) == (Level.ERROR, "VIP", 5)
    assert made.finished().at_rest


def test_one_thing_that_fails_beside_others_that_work_needs_a_person() -> None:
    """VIP answers, so that it is this very thing that does not go."""
    made = draft(attempts={do.key(POLL): attempt(GenericVipError("no reason"), 5)})
    made.add(POLL)
    assert [n.level for n in made.finished().notices] == [Level.PERSON]


def test_trouble_holds_back_what_needs_vip_and_nothing_else() -> None:
    """Files are still read while the network is gone."""
    made = draft(trouble=attempt(Unreachable("x")))
    assert not made.add(POLL)
    assert made.add(HASH)
    assert made.finished().actions == (HASH,)


def test_nothing_follows_a_decision() -> None:
    """It changes the state that the rest was planned from; what comes before it stays."""
    made = draft()
    for action in (POLL, DECIDE, KILL, do.Decide("y", Changes())):
        made.add(action)
    assert made.finished().actions == (POLL, DECIDE)


def test_opening_is_a_decision() -> None:
    """The opened session is a row that another decision would overwrite."""
    made = draft()
    for action in (DECIDE, do.Open(CLOSED)):
        made.add(action)
    assert made.finished().actions == (DECIDE,)


def test_the_earliest_time_counts() -> None:
    """The plan is due at the first thing that is worth a look; one that advances keeps from rest."""
    made = draft()
    made.wait(NOW + 9)
    made.wait(NOW + 3, lasting=True)
    assert (made.finished().due, made.finished().at_rest) == (NOW + 3, False)


def test_waiting_without_hope_is_rest() -> None:
    """A look at something that only a person can mend keeps nobody waiting."""
    made = draft()
    made.wait(NOW + 3, lasting=True)
    assert (made.finished().due, made.finished().at_rest) == (NOW + 3, True)


def test_a_condition_is_waited_for_by_its_age() -> None:
    """New conditions start at this plan; known ones go on."""
    made = draft(since={"old": NOW - 7})
    assert not made.wait_for("old", 10)
    assert made.finished().due == NOW + 3
    assert not made.wait_for("new", 2)
    assert made.finished().due == NOW + 2
    assert made.wait_for("old", 7)
    assert made.finished().conditions == {"old", "new"}


def test_a_notice_is_said_once() -> None:
    """Equal words from two rules are one notice; their order is that of the rules."""
    made = draft()
    made.notice(Level.INFO, HOME, "b")
    made.notice(Level.INFO, HOME, "a")
    made.notice(Level.INFO, HOME, "b")
    notices = made.finished().notices
    assert notices == (Notice(Level.INFO, HOME, "b"), Notice(Level.INFO, HOME, "a"))


def test_a_wait_has_passed_when_it_says_so() -> None:
    """However the clock rounds: who looks again at the time that was named must not wait on."""
    waiting = draft(since={"gone": 951.9118100429483})
    assert not waiting.wait_for("gone", 120.0)
    due = waiting.finished().due
    assert due is not None
    assert Draft(replace(waiting.s, now=due)).wait_for("gone", 120.0)
