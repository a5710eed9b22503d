"""Which cases a request is about; what each command does is in test_plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worlds import (
    OPEN,
    SET_ASIDE,
    WALL,
    execution,
    judged,
    known,
    launched,
    memory,
    snapshot,
)
from vipsync import actions as do
from vipsync.model import ExecutionStatus, Job
from vipsync.plan.cycle import plan
from vipsync.plan.snapshot import Lease, Request, Snapshot
from vipsync.state import DoneRequest, Judged, Launch, Row, Verdict

FILES = {"bad.dat": "one", "good.dat": "three", "new.dat": "seven", "old.dat": "eleven"}


def started(name: str, number: str, **changes: object) -> Launch:
    """Return the launch of one of the files."""
    made = launched(name, FILES[name], execution_id=number)
    return replace(made, **changes)  # type: ignore[arg-type]


OLD = started("old.dat", "e3")
ROWS: list[Row] = [
    *(known(name, content) for name, content in FILES.items()),
    started("bad.dat", "e1"),
    started("good.dat", "e2"),
    replace(OLD, cases=(replace(OLD.cases[0], settings="older"),)),
    execution("e1", ExecutionStatus.EXECUTION_FAILED, jobs=(Job(1, "ERROR", 50),), logs=(1,)),
    execution("e2"),
    execution("e3"),
]


def moment(command: str, *cases: str, **options: str) -> Snapshot:
    """Return a session with a failed, a good, an outdated and a new case, and one request."""
    request = Request("r1", command, cases, options)
    return snapshot(*ROWS, session=OPEN, files=FILES, memory=memory(), requests=(request,))


def decided(seen: Snapshot) -> do.Decide:
    """Return the one decision of the plan."""
    (decision,) = [a for a in plan(seen).actions if isinstance(a, do.Decide)]
    return decision


def verdicts(seen: Snapshot) -> dict[str, Verdict]:
    """Return the verdicts that the decision puts, by case."""
    rows = decided(seen).changes.put
    return {row.case_id: row.verdict for row in rows if isinstance(row, Judged)}


@pytest.mark.parametrize(
    ("which", "cases"),
    [
        ("failed", {"bad.dat"}),
        ("outdated", {"old.dat"}),
        ("all", {"bad.dat", "good.dat", "old.dat"}),
    ],
)
def test_rerun_is_about_launched_cases(which: str, cases: set[str]) -> None:
    """The failed, the outdated, or all of them; never one that was not launched yet."""
    assert verdicts(moment("rerun", which=which)) == dict.fromkeys(cases, Verdict.AGAIN)


def test_launch_is_about_cases_that_were_not_launched() -> None:
    """All of them, or those that are named."""
    assert verdicts(moment("launch")) == {"new.dat": Verdict.GO}
    assert verdicts(moment("launch", "new.dat", "good.dat")) == {"new.dat": Verdict.GO}
    assert verdicts(moment("launch", "good.dat")) == {}


def test_a_request_that_was_decided_is_named_as_carried_out() -> None:
    """In the ledger and in the action, so that its file may go; an unknown one too."""
    for command in ("pause", "launch", "finish --cancel", "of a later version"):
        decision = decided(moment(command))
        assert decision.requests == ("r1",)
        assert DoneRequest("r1") in decision.changes.put


def test_a_later_verdict_takes_the_place_of_an_earlier_one() -> None:
    """A case that was dropped can be launched."""
    dropped = judged("new.dat", "seven", Verdict.DROPPED, "r0")
    seen = moment("launch", "new.dat")
    seen.state.put([dropped])
    assert verdicts(seen) == {"new.dat": Verdict.GO}


def test_finish_lets_a_borrower_go_by_its_name() -> None:
    """A lease of a folder that is gone does not hold the data for ever."""
    lease = Lease("s9", "/data/other/", "host", WALL)
    request = Request("r1", "finish", ("other",))
    seen = snapshot(session=SET_ASIDE, memory=memory(), requests=(request,), leases=(lease,))
    assert do.DropLease("s9") in plan(seen).actions
