"""What blocks a removal, what is removed, and what is true after it; the way there is in test_plan."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.builders import (
    ASKED,
    HOME,
    INPUTS,
    OUTPUTS,
    REMOVING,
    SET_ASIDE,
    execution,
    folder_of,
    launched,
    memory,
    result,
    sent,
    settings,
    snapshot,
)
from vipsync import actions as do
from vipsync.errors import Unreachable
from vipsync.model import ExecutionStatus, VipPath, replace
from vipsync.plan.memory import Attempt
from vipsync.plan.removing import (
    closed,
    leaves_something_to_remove,
    let_go,
    missing,
    removal_targets,
    removed,
)
from vipsync.plan.snapshot import Snapshot
from vipsync.record.lifecycle import Event
from vipsync.rows import Followed, Phase, ResultStatus, Row, SendStatus, Sent, Session, Stage, State

RUNNING, FINISHED, FAILED = (
    ExecutionStatus.RUNNING,
    ExecutionStatus.FINISHED,
    ExecutionStatus.EXECUTION_FAILED,
)


def finishing(*rows: Row, **sections: Any) -> Snapshot:
    """Return a session that is being finished."""
    return snapshot(*rows, session=SET_ASIDE, memory=memory(), settings=settings(**sections))


def leaving(*rows: Row, **sections: Any) -> Snapshot:
    """Return a session whose data are going from VIP."""
    return snapshot(*rows, session=ASKED, memory=memory(), settings=settings(**sections))


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([], []),
        ([execution()], []),
        ([execution("e1", RUNNING)], ["e1"]),
        ([execution("e1", RUNNING, gone=True)], ["e1"]),
        ([execution("e1", RUNNING, gone=True, listed=True)], []),
        ([execution("e1", RUNNING, gone=True, results_folder=None)], []),
        ([execution("e1", RUNNING, removed=True)], []),
        ([execution("e1", ExecutionStatus.UNKNOWN)], ["e1"]),
        ([execution("e1", FAILED)], ["e1"]),
        ([execution(), result(status=ResultStatus.WANTED)], [f"{folder_of('e1')}/a.dat.tgz"]),
        ([execution(), result(status=ResultStatus.REFUSED)], [f"{folder_of('e1')}/a.dat.tgz"]),
        ([execution(), result(status=ResultStatus.LET_GO)], []),
        ([execution(), result()], []),
    ],
)
def test_what_is_not_here_blocks(rows: list[Row], names: list[str]) -> None:
    """Executions that run or were not listed, and results that were never complete here."""
    assert missing(finishing(*rows)) == names


def test_what_get_status_leaves_out_does_not_block() -> None:
    """Neither its list nor its results."""
    rows = (execution("e1", FAILED), result(status=ResultStatus.WANTED))
    assert missing(finishing(*rows, outputs={"get_status": (FINISHED,)})) == []


@pytest.mark.parametrize(
    ("kept", "targets"),
    [
        ({}, (HOME,)),
        ({"keep_input": True}, (OUTPUTS,)),
        ({"keep_output": True}, (INPUTS,)),
        ({"keep_input": True, "keep_output": True}, ()),
    ],
)
def test_only_the_session_s_own_is_removed(
    kept: dict[str, bool], targets: tuple[VipPath, ...]
) -> None:
    """Its folder, or the part of it that is not kept."""
    assert removal_targets(finishing(finish=kept)) == targets


@pytest.mark.parametrize(
    "elsewhere", ["/vip/EGI (group)/out", "/vip/Home/API/study2/OUTPUTS", "/vip"]
)
def test_nothing_outside_its_folder_is_removed(elsewhere: str) -> None:
    """Whatever an adopted session calls its outputs."""
    session = replace(REMOVING, vip_output_dir=VipPath(elsewhere))
    moment = snapshot(session=session, settings=settings(finish={"keep_input": True}))
    assert removal_targets(moment) == ()


def rows_after(moment: Snapshot) -> State:
    """Return the state after the session was closed."""
    state = State(moment.state.session)
    state.put(closed(moment, Event.SEEN_GONE).put)
    return state


def test_a_closed_session_is_as_new_but_for_what_it_launched() -> None:
    """Its id stays; nothing on VIP is its own any more, and no marker is expected."""
    rows: list[Row] = [sent("a.dat", "one"), launched("a.dat", "one"), execution(), result()]
    after = rows_after(leaving(*rows))
    assert after.session == replace(SET_ASIDE, stage=Stage.CLOSED, marked=False, opened_at=None)
    assert [row.status for row in after.sent.values()] == [SendStatus.REMOVED]
    assert [row.removed for row in after.executions.values()] == [True]


def test_kept_inputs_stay_as_they_were_sent() -> None:
    """The next opening finds them there."""
    after = removed(leaving(sent("a.dat", "one"), execution(), finish={"keep_input": True})).put
    assert [type(row) for row in after] == [Session, Followed]
    assert not any(isinstance(row, Sent) for row in after)


@pytest.mark.parametrize(
    ("finish", "phase", "results", "inputs"),
    [
        ({}, Phase.CLOSED, [True], [SendStatus.REMOVED]),
        ({"keep_input": True}, Phase.OPEN, [True], [SendStatus.SENT]),
        ({"keep_output": True}, Phase.OPEN, [False], [SendStatus.REMOVED]),
        ({"keep_input": True, "keep_output": True}, Phase.OPEN, [False], [SendStatus.SENT]),
    ],
)
def test_what_is_kept_on_vip_stays_in_the_session(
    finish: dict[str, object], phase: Phase, results: list[bool], inputs: list[SendStatus]
) -> None:
    """It is open, and gets a new marker, for as long as something of it is there."""
    moment = leaving(sent("a.dat", "one"), execution(), finish=finish)
    after = moment.state
    after.apply(removed(moment))
    assert (after.session.phase, after.session.marked) == (phase, False)
    assert [e.removed for e in after.executions.values()] == results
    assert [row.status for row in after.sent.values()] == inputs


@pytest.mark.parametrize(
    ("finish", "rows", "something"),
    [
        ({}, (), True),
        ({"keep_input": True}, (sent("a.dat", "one"),), False),
        ({"keep_input": True}, (execution(),), True),
        ({"keep_input": True}, (execution(removed=True),), False),
        ({"keep_output": True}, (execution(), sent("a.dat", "one")), True),
        ({"keep_output": True}, (execution(),), False),
        ({"keep_output": True, "keep_input": True}, (execution(), sent("a.dat", "one")), False),
    ],
)
def test_where_everything_left_is_kept_nothing_can_be_removed(
    finish: dict[str, object], rows: tuple[Row, ...], something: bool
) -> None:
    """Then the session does not finish by itself over and over."""
    assert leaves_something_to_remove(finishing(*rows, finish=finish)) is something


def test_results_are_let_go_by_name_or_path() -> None:
    """Those that cannot come; one that is here or on its way cannot be let go."""
    coming = result("a.tgz", ResultStatus.WANTED)
    failing = result("f/a.tgz", ResultStatus.WANTED)
    refused = result("b.tgz", ResultStatus.REFUSED)
    here = result("c.tgz")
    found = finishing(execution(), coming, failing, refused, here)
    found.memory.attempts[do.Key(do.FetchResult, failing.vip)] = Attempt(1, Unreachable("cut"), 0.0)
    gone = let_go(found, ("a.tgz", refused.vip, "c.tgz", "tgz", "d.tgz"))
    assert gone == [
        replace(failing, status=ResultStatus.LET_GO),
        replace(refused, status=ResultStatus.LET_GO),
    ]
    assert let_go(found, ()) == []
