"""Rows of the ledger, and how VIP's forgetful answers are folded into them."""

from __future__ import annotations

import pytest

from tests.lab.builders import (
    ID,
    INPUTS,
    OPEN,
    OUTPUTS,
    WALL,
    execution,
    folder_of,
    in_doubt,
    judged,
    known,
    launched,
    result,
    sent,
    told,
)
from vipsync.model import ExecutionStatus, Job, RelPath, VipPath, replace
from vipsync.rows import (
    CachedPipeline,
    Changes,
    DoneRequest,
    LastSettings,
    Row,
    Session,
    State,
    Verdict,
    follow,
)

RUNNING, FINISHED, KILLED = (
    ExecutionStatus.RUNNING,
    ExecutionStatus.FINISHED,
    ExecutionStatus.KILLED,
)
DROPPED: list[Row] = [
    known("a.dat", "one"),
    sent("a.dat", "one"),
    judged("a.dat", "one", Verdict.ASIDE),
    result(),
    DoneRequest("r1"),
]
KEPT: list[Row] = [
    OPEN,
    launched("a.dat", "one"),
    execution(),
    CachedPipeline("One/1", "{}"),
    LastSettings("text", "x"),
]


def test_each_row_has_its_place() -> None:
    """Every kind of row is found under its key."""
    state = State(Session(ID))
    state.apply(Changes(put=(*DROPPED, *KEPT)))
    assert state.session == OPEN
    assert [*state.known, *state.sent.values()] == ["a.dat", sent("a.dat", "one")]
    assert [*state.launches.values(), *state.executions.values()] == [
        launched("a.dat", "one"),
        execution(),
    ]
    assert [*state.results, *state.judged] == [
        result().vip,
        judged("a.dat", "one", Verdict.GO).content,
    ]
    assert (state.pipelines["One/1"].raw, state.last_settings, state.requests) == (
        "{}",
        "x",
        {"r1"},
    )


def test_a_later_row_takes_the_place_of_an_earlier_one() -> None:
    """One row for each key."""
    state = State(OPEN)
    state.put([launched("a.dat", "one"), in_doubt("a.dat", "one")])
    assert list(state.launches.values()) == [in_doubt("a.dat", "one")]


def test_frozen_rows_are_those_of_one_moment() -> None:
    """What is put or dropped afterwards does not reach them."""
    state = State(Session(ID))
    state.put([*DROPPED, *KEPT])
    before, frozen = state.frozen(), state.frozen()
    state.apply(Changes(put=(sent("b.dat", "three"), known("b.dat", "three")), drop=(result(),)))
    state.put([DoneRequest("r2"), LastSettings("text", "y")])
    assert frozen == before != state
    assert frozen.sent_from(RelPath("b.dat")) == []


def test_what_was_sent_is_found_by_its_file_and_by_its_folder() -> None:
    """Whatever was put before, and what was dropped since."""
    first, second = sent("s/a.dat", "one"), sent("s/a.dat", "three", at="_v2/s/a.dat")
    state = State(OPEN)
    state.put([first, second, sent("s/b.dat", "one")])
    assert state.sent_from(first.path) == [first, second]
    assert state.sent_to(VipPath(f"{INPUTS}/s")) == [first, sent("s/b.dat", "one")]
    moved = replace(first, path=RelPath("c.dat"))
    state.apply(Changes(put=(moved,), drop=(sent("s/b.dat", "one"),)))
    assert (state.sent_from(first.path), state.sent_from(moved.path)) == ([second], [moved])
    assert state.sent_to(VipPath(f"{INPUTS}/s")) == [moved]


@pytest.mark.parametrize("row", DROPPED, ids=lambda row: type(row).__name__)
def test_a_row_that_may_go_is_dropped(row: Row) -> None:
    """Dropping leaves what there was before, and dropping twice changes nothing."""
    state = State(OPEN)
    state.put([row])
    state.apply(Changes(drop=(row, row)))
    assert state == State(OPEN, version=state.version)


@pytest.mark.parametrize("row", KEPT, ids=lambda row: type(row).__name__)
def test_what_was_launched_is_never_forgotten(row: Row) -> None:
    """Rows that exactly-once rests on cannot be dropped."""
    with pytest.raises(ValueError, match="never dropped"):
        State(OPEN).apply(Changes(drop=(row,)))


def test_no_changes_are_false() -> None:
    """Nothing to write is seen at a glance."""
    assert not Changes()
    assert Changes(put=(OPEN,))
    assert Changes(drop=(known("a.dat", "one"),))


def test_a_new_execution_is_followed_from_now() -> None:
    """Its last change is now, and it has not ended."""
    made = follow(told("e1"), None, WALL)
    assert (made.changed_at, made.ended_at, made.over) == (WALL, None, False)


def test_what_vip_forgets_stays() -> None:
    """A list has no values, jobs and files (facts 5.7): what was told once is kept."""
    before = execution("e1", RUNNING, jobs=(Job(1, "RUNNING"),), returned=(VipPath("/vip/x"),))
    assert follow(told("e1"), before, WALL + 5) is before


def test_the_folder_is_taken_from_the_values() -> None:
    """The results directory is told some seconds after the start, with a slash or without."""
    values = {"results-directory": f"{OUTPUTS}/e1/"}
    made = follow(told("e1", input_values=values), None, WALL)
    assert made.results_folder == folder_of("e1")


def test_returned_files_are_one_sorted_list() -> None:
    """Files of several outputs, each once."""
    x, y = VipPath("/vip/x"), VipPath("/vip/y")
    made = follow(told("e1", returned_files={"pdf": (y,), "tgz": (x, y)}), None, WALL)
    assert made.returned == (x, y)


def test_the_end_has_the_time_at_which_it_was_seen_first() -> None:
    """Later looks do not move it."""
    ended = follow(told("e1", FINISHED), execution("e1", RUNNING), WALL + 5)
    assert ended.ended_at == WALL + 5
    assert follow(told("e1", FINISHED), ended, WALL + 9) is ended


def test_a_killed_execution_that_runs_again_has_not_ended() -> None:
    """Reads show Killed, Running, Killed while the engine stops (facts 5.11): list it anew."""
    killed = execution("e1", KILLED, listed=True, ended_at=WALL)
    again = follow(told("e1"), killed, WALL + 5)
    assert (again.over, again.ended_at, again.listed) == (False, None, False)


def test_an_execution_that_is_seen_again_is_not_gone() -> None:
    """A lost answer was no proof."""
    assert not follow(told("e1"), execution("e1", RUNNING, gone=True), WALL).gone


def test_nothing_more_comes_from_what_is_gone_or_ended() -> None:
    """Both are over; an unknown status is not."""
    assert execution("e1", RUNNING, gone=True).over
    assert execution("e1", KILLED).over
    assert not execution("e1", ExecutionStatus.UNKNOWN).over
