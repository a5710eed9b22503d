"""What each step of a session plans next, from one moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab.builders import (
    API,
    CLOSED,
    HOME,
    ID,
    ID_FOLDER,
    INPUTS,
    NOW,
    OPEN,
    OUTPUTS,
    REMOVING,
    SET_ASIDE,
    SETTINGS,
    WALL,
    execution,
    memory,
    newcomer,
    result,
    seen_home,
    snapshot,
    there,
)
from vipsync import actions as do
from vipsync.model import ExecutionStatus, Lease, VipPath, replace
from vipsync.plan import calls as plans
from vipsync.plan.draft import NAME_TAKEN, NOT_SEEN, Plan
from vipsync.plan.memory import Listing, Memory
from vipsync.plan.remote_folder import Target
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Launch, LaunchStatus, ResultStatus, Row, Session, Stage, State

TARGET = Target("study", SETTINGS.portal, INPUTS, OUTPUTS)
NAMED_SESSION = replace(CLOSED, named=True)
BY_NAME = replace(TARGET, by_name=True)
FILES = {"a.dat": "one"}
MADE = replace(OPEN, stage=Stage.CLAIMING)
RUNNING = execution("e1", ExecutionStatus.RUNNING)


def launch(**changes: object) -> Launch:
    """Return the intent of one call."""
    made = Launch("n", (), "One/1", {"data": (f"{INPUTS}/a.dat",)}, OUTPUTS, 1, request="r")
    return replace(made, **changes)  # type: ignore[arg-type]


def kinds(plan: Plan) -> list[str]:
    """Return what a plan does, by name."""
    return [type(action).__name__ for action in plan.actions]


HOMES: dict[str, tuple[Session, do.HomeSeen | None, Target, list[str]]] = {
    "nobody has looked": (CLOSED, None, TARGET, ["LookAtHome"]),
    "nothing is there": (CLOSED, seen_home(exists=False), TARGET, ["Decide"]),
    "it is somebody's": (CLOSED, seen_home("other"), TARGET, []),
    "it is nobody's": (CLOSED, seen_home(), TARGET, []),
    "a backup names it": (NAMED_SESSION, seen_home(), TARGET, ["Decide"]),
    "a backup names it, and another id is there": (NAMED_SESSION, seen_home("other"), TARGET, []),
    "it is about to be made": (MADE, seen_home(exists=False), TARGET, ["MakeFolder"]),
    "it was made and our id is not there yet": (MADE, seen_home(), TARGET, ["ClaimHome"]),
    "somebody made it meanwhile": (MADE, seen_home(empty=False), TARGET, ["Decide"]),
    "it is there, and a backup names it": (
        replace(MADE, named=True),
        seen_home(empty=False),
        TARGET,
        ["ClaimHome"],
    ),
    "it is ours and another's": (OPEN, seen_home(ID, "other"), TARGET, []),
    "it is ours": (OPEN, seen_home(ID), TARGET, ["LookAtFolder"]),
    "it is ours under another key": (OPEN, seen_home(ID, key="k2"), TARGET, ["Decide"]),
    "it has gone": (OPEN, seen_home(exists=False), TARGET, ["Decide"]),
    "another key does not see it": (OPEN, seen_home(exists=False, key="k2"), TARGET, []),
}


@pytest.mark.parametrize("case", HOMES, ids=str)
def test_nothing_goes_up_before_the_folder_on_vip_is_ours(case: str) -> None:
    """It is made, recognised, or left alone; what is left alone is an error."""
    session, home, target, expected = HOMES[case]
    folders = set(home.folders) if home else set()
    seen = newcomer(home=home, home_path=HOME, home_at=NOW, folders=folders)
    plan = plans.plan_upload(snapshot(session=session, files=FILES, memory=seen), target)
    assert kinds(plan) == expected
    left_alone = not expected or case == "somebody made it meanwhile"
    assert any(n.subject in (NAME_TAKEN, NOT_SEEN) for n in plan.notices) == left_alone


def test_a_session_that_opens_writes_down_where_it_will_be() -> None:
    """Before its first effect on VIP, with the key that it began with."""
    seen = newcomer(home=seen_home(exists=False), home_path=HOME)
    plan = plans.plan_upload(snapshot(files=FILES, memory=seen), TARGET)
    (decision,) = plan.actions
    assert isinstance(decision, do.Decide)
    (row,) = decision.changes.put
    assert row == replace(MADE, marked=False, opened_at=WALL)
    marked = plans.plan_upload(snapshot(files=FILES, memory=seen), replace(TARGET, marked=True))
    assert kinds(marked) == ["Open"]


def test_our_id_is_the_first_thing_in_the_folder() -> None:
    """Folder by folder, then whose it is is looked at again."""
    made: list[object] = []
    folders = {VipPath("/vip/Home")}
    for _ in range(4):
        seen = newcomer(home=seen_home(exists=False), home_path=HOME, folders=set(folders))
        (action,) = plans.plan_upload(
            snapshot(session=MADE, files=FILES, memory=seen), TARGET
        ).actions
        made.append(getattr(action, "path", type(action).__name__))
        folders.add(getattr(action, "path", HOME))
    assert made == [API, HOME, ID_FOLDER, "LookAtHome"]


def test_without_files_nothing_is_opened() -> None:
    """An empty data set leaves no trace on VIP."""
    plan = plans.plan_upload(snapshot(memory=newcomer()), TARGET)
    assert plan.actions == ()
    assert plan.at_rest


def test_files_are_looked_for_before_anything_is_launched() -> None:
    """What is missing is known before the session's folder is made."""
    file = VipPath(f"{INPUTS}/a.dat")
    blank = snapshot(memory=newcomer(), session=CLOSED)
    assert kinds(plans.plan_start(blank, TARGET, launch(), (file,))) == ["LookAtFolder"]
    listed = newcomer(listings={INPUTS: Listing(0, {}, NOW)})
    nothing = snapshot(memory=listed, session=CLOSED)
    assert plans.plan_start(nothing, TARGET, launch(), (file,)).actions == ()
    assert plans.absent(nothing, (file, INPUTS)) == [file]


def test_a_launch_starts_once_its_files_were_seen() -> None:
    """With the folder ours and no other launch in doubt."""
    remembered = memory({"a.dat": 3}, home_path=HOME)
    moment = snapshot(*there("a.dat", "one"), session=OPEN, memory=remembered)
    plan = plans.plan_start(moment, TARGET, launch(), (VipPath(f"{INPUTS}/a.dat"),))
    assert plan.actions == (do.StartExecution(launch()),)


def test_a_launch_of_another_call_is_settled_first() -> None:
    """It is looked for by its name, and never posted again for this call."""
    doubtful = launch(name="old", request="old")
    remembered = memory({"a.dat": 3}, home_path=HOME)
    moment = snapshot(doubtful, session=OPEN, memory=remembered)
    plan = plans.plan_start(moment, TARGET, launch(), (VipPath(f"{INPUTS}/a.dat"),))
    assert kinds(plan) == ["FindExecutions"]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((), False),
        ((launch(status=LaunchStatus.INTENDED),), True),
        ((launch(status=LaunchStatus.STARTED, runs=2),), True),
        ((launch(status=LaunchStatus.STARTED),), False),
        ((launch(status=LaunchStatus.WITHDRAWN),), False),
        ((launch(status=LaunchStatus.REFUSED),), False),
        ((launch(status=LaunchStatus.INTENDED, values={"data": ("/vip/x",)}),), False),
    ],
)
def test_only_an_equal_launch_that_was_left_open_is_carried_on(
    rows: tuple[Launch, ...], found: bool
) -> None:
    """A call that has ended is another request, and so are other values."""
    runs = max((row.runs for row in rows), default=1)
    state = snapshot(*rows).state
    assert (
        plans.interrupted(state, launch(name="new", request="new", runs=runs)) is not None
    ) is found


def test_monitoring_ends_when_nothing_runs_and_nothing_is_in_doubt() -> None:
    """Removed and gone executions are over too."""
    assert plans.all_over(snapshot(execution("e1"), execution("e2", removed=True)).state)
    assert not plans.all_over(snapshot(RUNNING).state)
    assert not plans.all_over(snapshot(launch()).state)
    assert plans.all_over(snapshot(replace(RUNNING, gone=True)).state)


def test_monitoring_asks_only_about_what_runs() -> None:
    """An execution that has ended is not asked about again."""
    plan = plans.plan_monitor(snapshot(RUNNING, execution("e2"), memory=newcomer()))
    assert plan.actions == (do.Poll("e1"),)


DOWNLOADS: dict[str, tuple[tuple[object, ...], Callable[..., object], bool]] = {
    "a result is missing": ((result(status=ResultStatus.WANTED),), newcomer, False),
    "a result is here": ((result(),), newcomer, True),
    "a result cannot come": ((result(status=ResultStatus.REFUSED),), newcomer, True),
}


@pytest.mark.parametrize("case", DOWNLOADS, ids=str)
def test_a_download_is_over_when_nothing_can_come(case: str) -> None:
    """What is refused is not waited for."""
    rows, remembered, over = DOWNLOADS[case]
    here = {"e1/a.dat.tgz": "ok"}
    moment = snapshot(execution(), *rows, session=OPEN, memory=remembered(), outputs=here)  # type: ignore[arg-type]
    assert plans.downloaded(moment) is over


def test_a_result_that_was_deleted_here_is_to_come() -> None:
    """Its row says that it is here, the folder that it is not."""
    moment = snapshot(execution(), result(), session=OPEN, memory=newcomer())
    assert not plans.downloaded(moment)


def test_what_is_not_here_is_named() -> None:
    """Results that were never fetched, and those of which only the path is known."""
    returned = VipPath(f"{OUTPUTS}/e1/b.tgz")
    moment = snapshot(
        execution(returned=(returned,)), result(status=ResultStatus.WANTED), session=OPEN
    )
    assert plans.not_here(moment, plans.on_vip(moment)) == [
        VipPath(f"{OUTPUTS}/e1/a.dat.tgz"), returned,
    ]  # fmt: skip


REMOVALS: dict[str, tuple[Session, do.HomeSeen, Target, list[str]]] = {
    "ours": (OPEN, seen_home(ID), TARGET, ["DeleteMarker", "Decide"]),
    "gone already": (OPEN, seen_home(exists=False), TARGET, ["Decide"]),
    "somebody's": (OPEN, seen_home("other"), TARGET, []),
    "ours and somebody's": (OPEN, seen_home(ID, "other"), TARGET, []),
    "unseen by this key": (OPEN, seen_home(exists=False, key="k2"), TARGET, []),
    "never opened": (CLOSED, seen_home(), TARGET, []),
    "named by a backup": (NAMED_SESSION, seen_home(), TARGET, ["Decide"]),
    "ours, and leaving": (REMOVING, seen_home(ID), TARGET, ["RemoveTree"]),
    "somebody's, and its name was said": (
        OPEN,
        seen_home("other"),
        BY_NAME,
        ["DeleteMarker", "Decide"],
    ),
}


def end(moment: Snapshot, target: Target = TARGET) -> Plan:
    """Plan the end of a session."""
    return plans.plan_end(moment, target, discard=False)


@pytest.mark.parametrize("case", REMOVALS, ids=str)
def test_only_the_sessions_own_folder_is_removed(case: str) -> None:
    """And never one of which the key proves nothing."""
    session, home, target, expected = REMOVALS[case]
    seen = newcomer(home=home, home_path=HOME, home_at=NOW, folders=set(home.folders))
    marker = session.stage is Stage.OPEN
    plan = end(snapshot(session=session, memory=seen, marker=marker), target)
    assert kinds(plan) == expected


def test_what_is_lent_is_not_removed() -> None:
    """Another session runs with it; with the inputs kept, the results may go."""
    lease = Lease("s2", "/data/other", "host", WALL)
    seen = newcomer(home=seen_home(ID), home_path=HOME)
    moment = snapshot(session=OPEN, memory=seen, leases=(lease,), marker=False)
    assert kinds(end(moment)) == []
    kept = replace(SETTINGS, finish=replace(SETTINGS.finish, keep_input=True))
    assert kinds(end(replace(moment, settings=kept))) == ["Decide"]
    draining = replace(moment, state=State(SET_ASIDE))
    assert kinds(end(draining)) == []
    assert kinds(end(replace(draining, settings=kept))) == ["Decide"]


def test_a_removal_waits_for_late_writers() -> None:
    """A transfer without an end, or a stopped job, could still write what would be left behind."""
    seen = newcomer(home=seen_home(ID), home_path=HOME)

    def leaving(*rows: Row, memory: Memory = seen) -> Plan:
        return end(snapshot(*rows, session=SET_ASIDE, memory=memory, marker=False))

    for ended_at in (WALL, WALL + 86_400):  # or the clock was set back since
        killed = execution("e1", ExecutionStatus.KILLED, ended_at=ended_at)
        assert (leaving(killed).actions, leaving(killed).due) == ((), NOW + 120)
    unanswered = replace(seen, unanswered_at=NOW - 20)
    plan = leaving(memory=unanswered)
    assert (plan.actions, plan.due) == ((), NOW + 100)
    past = execution("e1", ExecutionStatus.KILLED, ended_at=WALL - 121, listed=True)
    assert kinds(leaving(past)) == ["Decide"]


@pytest.mark.parametrize(
    ("asked_for", "discard", "goes"),
    [
        (None, False, True),
        ("Killed", False, True),
        ("Finished", False, False),
        ("Finished", True, True),
    ],
)
def test_results_that_a_script_asked_for_hold_up_the_removal(
    asked_for: str | None, discard: bool, goes: bool
) -> None:
    """Until they are here, or a person says that they may go."""
    seen = newcomer(home=seen_home(ID), home_path=HOME)
    session = replace(SET_ASIDE, asked_for=asked_for)
    rows = (execution(), result(status=ResultStatus.WANTED))
    moment = snapshot(*rows, session=session, memory=seen, marker=False)
    assert bool(plans.plan_end(moment, TARGET, discard=discard).actions) is goes
