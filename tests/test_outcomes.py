"""What an intent and an outcome become in the ledger: one table of named cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.builders import (
    ASKED,
    HOME,
    INPUTS,
    OPEN,
    OUTPUTS,
    REMOVING,
    WALL,
    execution,
    folder_of,
    in_doubt,
    known,
    launched,
    result,
    sent,
    sha256,
    state_of,
    told,
)
from vipsync import actions as do
from vipsync.errors import (
    GenericVipError,
    InvalidInput,
    NameTaken,
    PathForbidden,
    PipelineUnavailable,
    SlotsFull,
    TooLarge,
    TransferMismatch,
    Unreachable,
)
from vipsync.model import (
    ExecutionStatus,
    Job,
    PrivacySettings,
    RelPath,
    RemoteEntry,
    VipPath,
    replace,
)
from vipsync.record.digests import names_digest
from vipsync.record.outcomes import NOTHING, intent, record
from vipsync.rows import (
    CachedPipeline,
    Changes,
    Checked,
    Found,
    LaunchStatus,
    Result,
    ResultStatus,
    Row,
    SendStatus,
    Session,
    Stage,
    State,
)

RUNNING, FINISHED, KILLED = (
    ExecutionStatus.RUNNING,
    ExecutionStatus.FINISHED,
    ExecutionStatus.KILLED,
)
A, VIP_A = RelPath("a.dat"), VipPath(f"{INPUTS}/a.dat")
SEND = do.SendFile(VIP_A, A, state_of("one"))
HASH = do.HashFile(A, state_of("one"))
FOUND = Found(refused=(("PatientName", 1),))
INSPECT = do.Inspect(A, state_of("one"), "1 p", PrivacySettings(), ("study",))
VERDICT = Checked(A, sha256("one"), "1 p", names_digest(("study",)), FOUND)
LOOK = do.LookAtFolder(INPUTS)
START = do.StartExecution(in_doubt("a.dat", "one"))
FIND = do.FindExecutions("vipsync-s1", 0.0)
RESULT = VipPath(f"{folder_of('e1')}/a.dat.tgz")
FETCH = do.FetchResult(RESULT, 10, RelPath("e1/a.dat.tgz"), unpack=True, keep_archive=False)
TRYING = sent("a.dat", "one", SendStatus.TRYING)
ANSWERED = sent("a.dat", "one", SendStatus.ANSWERED)
SENT = sent("a.dat", "one")
OURS = told("e1", name=in_doubt("a.dat", "one").name)


@dataclass(frozen=True)
class Case:
    """What the ledger holds, what happened, and the rows that are put."""

    name: str
    before: Sequence[Row]
    action: do.Action
    outcome: do.Outcome
    after: Sequence[Row]


def seen(*sizes: tuple[str, int]) -> do.FolderSeen:
    """Return a folder of inputs with these files."""
    return do.FolderSeen(tuple(RemoteEntry(VipPath(f"{INPUTS}/{n}"), False, s) for n, s in sizes))


def listed(*names: str, size: int = 10) -> do.ResultsListed:
    """Return a results folder with these files."""
    paths = (VipPath(f"{folder_of('e1')}/{name}") for name in names)
    return do.ResultsListed(tuple(RemoteEntry(p, False, size) for p in paths))


def failure(error: Exception) -> do.Failed:
    """Return an outcome that is an error."""
    return do.Failed(error)  # type: ignore[arg-type]


CASES = [
    Case(
        "a pipeline is kept",
        [],
        do.FetchPipeline("One/1"),
        do.PipelineFetched("{}"),
        [CachedPipeline("One/1", "{}")],
    ),
    Case("opened", [], do.Open(OPEN), do.Done(), [OPEN]),
    Case("a marker that was written", [], do.WriteMarker(), do.Done(), [OPEN]),
    Case("read", [], HASH, do.FileHashed(sha256("one")), [known("a.dat", "one")]),
    Case(
        "read, after a transfer of this state whose end nobody knows",
        [TRYING],
        HASH,
        do.FileHashed(sha256("one")),
        [known("a.dat", "one"), replace(TRYING, sha256=sha256("one"))],
    ),
    Case(
        "read, after it was seen there in its size: sent",
        [replace(ANSWERED, sha256="")],
        HASH,
        do.FileHashed(sha256("one")),
        [known("a.dat", "one"), SENT],
    ),
    Case(
        "read, in another state than it was sent in: that row stays",
        [replace(TRYING, state=state_of("older"))],
        HASH,
        do.FileHashed(sha256("one")),
        [known("a.dat", "one")],
    ),
    Case(
        "judged and read at once: known, with the verdict",
        [],
        INSPECT,
        do.FileInspected(sha256("one"), FOUND),
        [known("a.dat", "one"), VERDICT],
    ),
    Case(
        "judged, and read before: the verdict alone",
        [known("a.dat", "one")],
        replace(INSPECT, sha256=sha256("one")),
        do.FileInspected(sha256("one"), FOUND),
        [VERDICT],
    ),
    Case(
        "VIP took it: known, and to be looked at",
        [TRYING],
        SEND,
        do.FileSent(sha256("one")),
        [known("a.dat", "one"), ANSWERED],
    ),
    Case(
        "a transfer that failed stays in doubt",
        [TRYING],
        SEND,
        failure(TransferMismatch("x")),
        [replace(OPEN, unanswered_at=WALL)],
    ),
    Case("there in its size: sent", [ANSWERED], LOOK, seen(("a.dat", 3)), [SENT]),
    Case("nothing new to say", [SENT], LOOK, seen(("a.dat", 3)), []),
    Case(
        "there in its size, content not known: only answered",
        [TRYING],
        LOOK,
        seen(("a.dat", 3)),
        [replace(ANSWERED, sha256="")],
    ),
    Case(
        "there in another size: never used again",
        [ANSWERED],
        LOOK,
        seen(("a.dat", 2)),
        [replace(SENT, status=SendStatus.WRONG)],
    ),
    Case(
        "not there: to be tried again",
        [SENT],
        LOOK,
        seen(),
        [replace(SENT, status=SendStatus.TRYING)],
    ),
    Case(
        "the folder is not there",
        [SENT],
        LOOK,
        do.FolderSeen(None),
        [replace(SENT, status=SendStatus.TRYING)],
    ),
    Case("a file deeper down is not judged", [sent("b/a.dat", "one")], LOOK, seen(), []),
    Case(
        "wrong stays wrong", [replace(SENT, status=SendStatus.WRONG)], LOOK, seen(("a.dat", 3)), []
    ),
    Case("removed stays removed", [replace(SENT, status=SendStatus.REMOVED)], LOOK, seen(), []),
    Case(
        "started",
        [in_doubt("a.dat", "one")],
        START,
        do.Started(OURS),
        [
            launched("a.dat", "one"),
            execution("e1", RUNNING, name=OURS.name, results_folder=None),
        ],
    ),
    Case("no answer: in doubt", [in_doubt("a.dat", "one")], START, failure(Unreachable("x")), []),
    Case(
        "8000: in doubt, and its words are kept",
        [replace(in_doubt("a.dat", "one"), refusals=2)],
        START,
        failure(GenericVipError("x", "y")),
        [replace(in_doubt("a.dat", "one"), refusals=2, reason="x")],
    ),
    Case(
        "slots full: it did not start",
        [in_doubt("a.dat", "one")],
        START,
        failure(SlotsFull("full")),
        [replace(in_doubt("a.dat", "one"), status=LaunchStatus.WITHDRAWN)],
    ),
    *(
        Case(
            f"{error.__name__}: refused for good",
            [in_doubt("a.dat", "one")],
            START,
            failure(error("no")),
            [replace(in_doubt("a.dat", "one"), status=LaunchStatus.REFUSED, reason="no")],
        )
        for error in (InvalidInput, PathForbidden, PipelineUnavailable)
    ),
    *(
        Case(
            f"found by its name, {before}: started",
            [replace(in_doubt("a.dat", "one"), status=before)],
            FIND,
            do.ExecutionsSeen((OURS,), whole=True, at=0.0),
            [
                launched("a.dat", "one"),
                execution("e1", RUNNING, name=OURS.name, results_folder=None),
            ],
        )
        for before in (LaunchStatus.INTENDED, LaunchStatus.WITHDRAWN)
    ),
    Case(
        "found, and known already: nothing new",
        [launched("a.dat", "one"), execution("e1", RUNNING)],
        FIND,
        do.ExecutionsSeen((OURS,), whole=True, at=0.0),
        [],
    ),
    Case(
        "an execution of ours that the ledger never knew: adopted with what is complete now",
        [],
        FIND,
        do.ExecutionsSeen((told("e9"),), whole=True, at=0.0),
        [execution("e9", RUNNING, results_folder=None), replace(OPEN, adopting=True)],
    ),
    Case(
        "polled: its folder and its jobs are told",
        [execution("e1", RUNNING, results_folder=None)],
        do.Poll("e1"),
        do.Polled(
            told(
                jobs=(Job(1, "RUNNING"),), input_values={"results-directory": f"{folder_of('e1')}/"}
            )
        ),
        [
            execution(
                "e1",
                RUNNING,
                jobs=(Job(1, "RUNNING"),),
                input_values={"results-directory": f"{folder_of('e1')}/"},
            )
        ],
    ),
    Case(
        "polled, and forgotten by VIP",
        [execution("e1", RUNNING)],
        do.Poll("e1"),
        do.Polled(None),
        [execution("e1", RUNNING, gone=True)],
    ),
    Case(
        "polled, nothing changed: the time of the last change stays",
        [execution("e1", RUNNING, changed_at=1.0)],
        do.Poll("e1"),
        do.Polled(told()),
        [],
    ),
    Case(
        "killed",
        [execution("e1", RUNNING)],
        do.Kill("e1"),
        do.Done(),
        [execution("e1", RUNNING, killed_by_us=True)],
    ),
    Case(
        "not killed, for it has ended meanwhile",
        [execution("e1", RUNNING)],
        do.Kill("e1"),
        do.Polled(told(status=FINISHED)),
        [execution("e1", FINISHED, jobs=(), listed=False)],
    ),
    Case(
        "a kill that may not have arrived is asked for again",
        [execution("e1", RUNNING)],
        do.Kill("e1"),
        failure(Unreachable("x")),
        [],
    ),
    Case(
        "listed while it runs: only what a job has returned is wanted",
        [execution("e1", RUNNING, returned=(RESULT,))],
        do.ListResults(execution("e1", RUNNING, returned=(RESULT,))),
        listed("a.dat.tgz", "unfinished.tgz"),
        [Result(RESULT, "e1", 10)],
    ),
    Case(
        "listed at the end: everything is wanted",
        [execution(listed=False)],
        do.ListResults(execution(listed=False)),
        listed("a.dat.tgz", "b.pdf"),
        [
            Result(RESULT, "e1", 10),
            Result(VipPath(f"{folder_of('e1')}/b.pdf"), "e1", 10),
            execution(),
        ],
    ),
    Case(
        "listed, but its status has changed meanwhile: to be listed again",
        [execution("e1", RUNNING)],
        do.ListResults(execution("e1", KILLED)),
        listed(),
        [],
    ),
    Case(
        "another size on VIP of what is here: wanted, beside it",
        [execution(), result()],
        do.ListResults(execution()),
        listed("a.dat.tgz", size=20),
        [result(size=20, status=ResultStatus.WANTED, local=RelPath("e1/a.dat.tgz"), stamp="ok")],
    ),
    Case(
        "what was let go stays so",
        [execution(), result(status=ResultStatus.LET_GO)],
        do.ListResults(execution()),
        listed("a.dat.tgz", size=20),
        [],
    ),
    Case(
        "here",
        [execution(), result(status=ResultStatus.WANTED)],
        FETCH,
        do.ResultHere(RelPath("e1/a.dat.tgz.vip"), True, "stamp", "why"),
        [
            result(
                local=RelPath("e1/a.dat.tgz.vip"),
                unpacked=True,
                stamp="stamp",
                reason="why",
                at=WALL,
            )
        ],
    ),
    Case(
        "too large: refused, with the reason",
        [execution(), result(status=ResultStatus.WANTED)],
        FETCH,
        failure(TooLarge("too large")),
        [result(status=ResultStatus.REFUSED, reason="too large")],
    ),
    Case(
        "too large, but here once: it counts as here",
        [execution(), result()],
        FETCH,
        failure(TooLarge("too large")),
        [],
    ),
    Case(
        "cut off: still wanted",
        [execution(), result(status=ResultStatus.WANTED)],
        FETCH,
        failure(TransferMismatch("cut")),
        [],
    ),
    Case(
        "logs are here",
        [execution(logs=(3,))],
        do.FetchLogs("e1", 1, RelPath("e1/logs")),
        do.Done(),
        [execution(logs=(1, 3))],
    ),
    Case(
        "a removal changes no row by itself", [], do.CheckRemoved(OUTPUTS), do.RemovalSeen(True), []
    ),
]


def ledger(rows: Sequence[Row], session: Session = OPEN) -> State:
    """Return a state with these rows."""
    state = State(session)
    state.put(rows)
    return state


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_true_after(case: Case) -> None:
    """Each row of the table says what it shows."""
    put = record(case.action, case.outcome, ledger(case.before), WALL).put
    assert put == tuple(case.after)


def test_the_intent_of_a_transfer_comes_before_it() -> None:
    """The place is taken, in doubt, and without a hash that nobody has computed."""
    assert intent(SEND, ledger([]), WALL).put == (TRYING,)


def test_a_transfer_tried_again_keeps_the_hash_of_the_same_state() -> None:
    """What was read once in this state is not read again after a crash."""
    before = replace(TRYING, sha256=sha256("one"))
    assert intent(SEND, ledger([before]), WALL).put == (before,)


def test_a_transfer_of_another_state_forgets_the_hash() -> None:
    """A hash belongs to one state of a file."""
    before = replace(TRYING, state=state_of("older"), sha256=sha256("older"))
    assert intent(SEND, ledger([before]), WALL).put == (TRYING,)


def test_the_intent_of_a_launch_comes_before_it() -> None:
    """A launch that was withdrawn is intended again, under its name."""
    withdrawn = replace(in_doubt("a.dat", "one"), status=LaunchStatus.WITHDRAWN, at=1.0)
    action = do.StartExecution(withdrawn)
    assert intent(action, ledger([]), WALL).put == (in_doubt("a.dat", "one"),)


@pytest.mark.parametrize(
    ("changes", "refusals"),
    [({}, 2), ({"values": {"data": ("/vip/x",)}}, None), ({"pipeline_id": "One/2"}, None)],
)
def test_refusals_are_counted_for_the_same_values(
    changes: dict[str, Any], refusals: int | None
) -> None:
    """The name of a launch says which cases it has, not what VIP is given."""
    launch = in_doubt("a.dat", "one")
    before = replace(launch, status=LaunchStatus.WITHDRAWN, refusals=2, reason="no", **changes)
    (row,) = intent(do.StartExecution(launch), ledger([before]), WALL).put
    assert row == replace(launch, refusals=refusals)


def test_a_removal_is_written_down_before_it_is_asked_for() -> None:
    """Another process then looks, in place of asking again; what was asked for is never forgotten."""
    asked = intent(do.RemoveTree(HOME, HOME, HOME), ledger([], REMOVING), WALL).put
    assert asked == (replace(ASKED, removal_asked_at=WALL),)
    taken = failure(NameTaken("another id"))
    for earlier, stage in ((None, Stage.REMOVING), (WALL - 600, Stage.ASKED)):
        again = do.RemoveTree(HOME, HOME, HOME, earlier)
        now = replace(OPEN, stage=stage, removal_asked_at=earlier)
        assert record(again, taken, ledger(asked), WALL).put == (now,)
    for place in (HOME, OUTPUTS):
        gone = record(do.CheckRemoved(place), do.RemovalSeen(gone=True), ledger(asked), WALL)
        assert gone == NOTHING


def test_a_decision_is_its_own_intent() -> None:
    """Its rows are written before anything else happens, and once."""
    decision = do.Decide("x", Changes(put=(OPEN,)))
    assert intent(decision, ledger([]), WALL) == decision.changes
    assert record(decision, do.Done(), ledger([]), WALL) == NOTHING
