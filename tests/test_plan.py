"""The planner's specification: one table of named moments, then what a table can't show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.builders import (
    ASKED,
    CLOSED,
    FINISHING,
    HOME,
    ID,
    ID_FOLDER,
    INPUTS,
    NOW,
    OPEN,
    OPENED,
    OUTPUTS,
    REMOVING,
    SET_ASIDE,
    UPLOAD_ONLY,
    WALL,
    attempt,
    execution,
    folder_of,
    in_doubt,
    judged,
    known,
    launched,
    memory,
    newcomer,
    polled,
    result,
    seen_home,
    sent,
    settings,
    snapshot,
    there,
)
from tests.lab.pipelines import pipeline
from vipsync import actions as do
from vipsync.errors import (
    DiskError,
    KeyMissing,
    KeyRefused,
    LocalFileError,
    TransferMismatch,
    Unreachable,
    VipsyncError,
)
from vipsync.model import CaseSet, Command, ExecutionStatus, Job, RelPath, Request, VipPath, replace
from vipsync.plan.draft import Plan
from vipsync.plan.launching import next_run
from vipsync.plan.memory import Attempt, Listing, Memory
from vipsync.plan.plan import plan
from vipsync.plan.removing import LAST_LOOK, LOST
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import (
    DoneRequest,
    Followed,
    JobLog,
    Judged,
    Launch,
    LaunchStatus,
    Phase,
    Result,
    ResultStatus,
    SendStatus,
    Sent,
    Session,
    Verdict,
)

RUNNING, FINISHED, KILLED = (
    ExecutionStatus.RUNNING,
    ExecutionStatus.FINISHED,
    ExecutionStatus.KILLED,
)
A = {"a.dat": "one"}
AB = {"a.dat": "one", "b.dat": "three"}
TWO = pipeline("One", "data:File table:File", "out=[data].tgz")
TABLE = settings(input_settings={"data": "*.dat", "table": "table.txt"})
SLOW = {"data/x.dat": "one"}


@dataclass(frozen=True)
class Row:
    """A moment; the actions in order, notices as `level subject`, and whether all is at rest then.

    The session's folder on VIP is written as ~. `due` is when to look again, in seconds from now.
    """

    name: str
    moment: Snapshot
    acts: list[str]
    says: list[str]
    rest: bool = False
    due: float | None = None
    check: Callable[[Plan], object] | None = None


def words(action: do.Action) -> str:
    """Write an action in the way of the table."""
    match action:
        case do.StartExecution(launch=launch):
            again = f" run {launch.run}" if launch.run > 1 else ""
            return f"StartExecution {' '.join(c.id for c in launch.cases)}{again}"
        case do.FetchResult():
            return f"FetchResult {action.local}"
        case _:
            return str(do.key(action)).replace(HOME, "~").rstrip()


def put(made: Plan, kind: type) -> list[object]:
    """Return the rows of one kind that the plan's decision puts."""
    decisions = [a for a in made.actions if isinstance(a, do.Decide)]
    return [row for d in decisions for row in d.changes.put if isinstance(row, kind)]


def session_after(made: Plan) -> Session:
    """Return the session as the plan's decision leaves it."""
    (session,) = put(made, Session)
    assert isinstance(session, Session)
    return session


def start(made: Plan) -> Launch:
    """Return the one launch of a plan."""
    (launch,) = [a.launch for a in made.actions if isinstance(a, do.StartExecution)]
    return launch


def key_of(text: str) -> do.Key:
    """Return the key of an action from its words, as in `Poll e1`."""
    kind, _, subject = text.partition(" ")
    return do.Key(getattr(do, kind), subject)


def failed(
    name: str, error: VipsyncError, count: int = 1, pause: float = 5.0
) -> dict[do.Key, Attempt]:
    """Return the memory of an action that failed `count` times and waits."""
    return {key_of(name): attempt(error, count, pause)}


def asked(command: str, *cases: str, **options: str) -> tuple[Request, ...]:
    """Return one request."""
    return (Request("r1", Command(command), cases, options),)


SEND_A = f"SendFile {INPUTS}/a.dat"
READY = there("a.dat", "one")
READY_B = there("b.dat", "three")
ENDED = (launched("a.dat", "one"), execution())
RUNS = (launched("a.dat", "one"), execution(status=RUNNING))
A_RESULT = f"{folder_of('e1')}/a.dat.tgz"
HERE = {"e1/a.dat.tgz": "ok"}
LOOKED_AGAIN = memory(listed_at={"e1": NOW})


def versions(path: str, number: int, wrong: int = 0) -> list[Sent]:
    """Return what `number` other contents of a file have become on VIP, the first ones in a wrong size."""
    statuses = [SendStatus.WRONG] * wrong + [SendStatus.SENT] * (number - wrong)
    places = [path, *(f"_v{n}/{path}" for n in range(2, number + 1))]
    return [sent(path, f"it was {at}", s, at) for at, s in zip(places, statuses, strict=True)]


def looked_into(*folders: str, **changes: Any) -> Memory:
    """Return the memory of a process that has found these folders below INPUTS, and nothing in them."""
    found = [INPUTS, *(VipPath(f"{INPUTS}/{folder}") for folder in folders)]
    return memory(
        folders={VipPath("/vip/Home/API"), HOME, *found},
        listings={folder: Listing(0, {}, NOW) for folder in found},
        **changes,
    )


OPENING = [
    Row("closed with nothing: at rest", snapshot(), [], [], rest=True),
    Row(
        "a first file: the pipeline is read before anything",
        snapshot(files=A, memory=newcomer(pipeline_at=None), descriptor=None),
        ["FetchPipeline One/1"],
        [],
    ),
    Row(
        "a new case: look whose the session's folder is",
        snapshot(files=A),
        ["LookAtHome ~"],
        [],
    ),
    Row(
        "nobody's folder: open, with everything pinned",
        snapshot(files=A, memory=newcomer(home=seen_home(exists=False), home_at=NOW)),
        ["Open"],
        [],
        check=lambda made: made.actions[0] == do.Open(replace(OPENED, opened_at=WALL, marked=True)),
    ),
    Row(
        "our folder, from a removal that left a part: open",
        snapshot(files=A, memory=newcomer(home=seen_home(ID), home_at=NOW)),
        ["Open"],
        [],
        check=lambda made: made.actions[0] == do.Open(replace(OPEN, opened_at=WALL, marked=True)),
    ),
    Row(
        "somebody's folder: the name is taken, nothing is sent",
        snapshot(files=A, memory=newcomer(home=seen_home("other"), home_at=NOW)),
        [],
        ["person session_name"],
        rest=True,
        due=60,
    ),
    Row(
        "a folder with our id and another one: taken",
        snapshot(files=A, memory=newcomer(home=seen_home(ID, "other"), home_at=NOW)),
        [],
        ["person session_name"],
        rest=True,
    ),
    Row(
        "a folder without any id: taken, it is not ours",
        snapshot(files=A, memory=newcomer(home=seen_home(), home_at=NOW)),
        [],
        ["person session_name"],
        rest=True,
    ),
    Row(
        "a taken name is looked at again after a minute",
        snapshot(files=A, memory=newcomer(home=seen_home("other"), home_at=NOW - 60)),
        ["LookAtHome ~"],
        ["person session_name"],
    ),
    Row(
        "another session_name since the look: look anew",
        snapshot(
            files=A,
            memory=newcomer(
                home=seen_home(exists=False), home_path=VipPath("/vip/Home/API/before")
            ),
        ),
        ["LookAtHome ~"],
        [],
    ),
    Row(
        "nobody's folder a while ago: look again before it is opened",
        snapshot(files=A, memory=newcomer(home=seen_home(exists=False), home_at=NOW - 11)),
        ["LookAtHome ~"],
        [],
    ),
    Row(
        "open, and somebody was there before our id: it was never ours",
        snapshot(
            session=OPENED,
            files=A,
            memory=newcomer(home=seen_home(empty=False), home_at=NOW),
        ),
        ["Decide the name was taken meanwhile"],
        ["person session_name"],
        check=lambda made: session_after(made).phase is Phase.CLOSED,
    ),
    Row(
        "open, nothing there yet: the folder above comes first",
        snapshot(
            session=OPENED,
            files=A,
            memory=newcomer(home=seen_home(exists=False), folders={VipPath("/vip/Home")}),
        ),
        ["MakeFolder /vip/Home/API"],
        [],
    ),
    Row(
        "open, the folder is made: our id goes into it",
        snapshot(
            session=OPENED,
            files=A,
            memory=newcomer(home=seen_home(exists=False), folders={VipPath("/vip/Home/API"), HOME}),
        ),
        ["ClaimHome ~"],
        [],
    ),
    Row(
        "open, and another id lies beside ours: nothing is sent",
        snapshot(session=OPEN, files=A, memory=memory(home=seen_home(ID, "other"), home_at=NOW)),
        [],
        ["person session_name"],
        rest=True,
    ),
    Row(
        "our id was made: look again whose folder it is, send nothing before",
        snapshot(
            session=OPENED,
            files=A,
            memory=newcomer(
                home=seen_home(exists=False), folders={VipPath("/vip/Home/API"), HOME, ID_FOLDER}
            ),
        ),
        ["LookAtHome ~"],
        [],
    ),
    Row(
        "our id is seen: the session owns its folder, nothing else in this plan",
        snapshot(session=OPENED, files=A, memory=memory()),
        ["Decide ours"],
        [],
        check=lambda made: session_after(made).owned,
    ),
    Row(
        "a file still changes: wait for it, open nothing",
        snapshot(files=A, unsettled={"a.dat": NOW + 3}),
        [],
        [],
        due=3,
    ),
    Row(
        "an incomplete case opens nothing",
        snapshot(files=A, settings=TABLE, descriptor=TWO),
        [],
        [],
        rest=True,
    ),
    Row(
        "manual: nothing opens by itself, nothing is read",
        snapshot(files=A, settings=settings(launch={"when": "manual"})),
        [],
        [],
        rest=True,
    ),
    Row(
        "manual and read: at rest",
        snapshot(known("a.dat", "one"), files=A, settings=settings(launch={"when": "manual"})),
        [],
        [],
        rest=True,
    ),
    Row(
        "paused before the first case: nothing opens",
        snapshot(session=replace(CLOSED, paused=True), files=A),
        [],
        ["info paused"],
        rest=True,
    ),
    Row(
        "a case launched in an earlier opening stays launched",
        snapshot(known("a.dat", "one"), launched("a.dat", "one"), files=A),
        [],
        [],
        rest=True,
    ),
    Row(
        "an old file that was touched is read, nothing opens for it",
        snapshot(known("a.dat", "one"), launched("a.dat", "one"), files=A, touched=["a.dat"]),
        ["HashFile a.dat"],
        [],
    ),
]

SENDING = [
    Row(
        "in a fresh session the folder of inputs is made",
        snapshot(
            session=OPEN,
            files=A,
            memory=memory(fresh=True, folders={VipPath("/vip/Home/API"), HOME}, listings={}),
        ),
        ["MakeFolder ~/INPUTS"],
        [],
    ),
    Row(
        "after a restart the folder of inputs is looked into first",
        snapshot(
            session=OPEN,
            files=A,
            memory=memory(folders={VipPath("/vip/Home/API"), HOME}, listings={}),
        ),
        ["LookAtFolder ~/INPUTS"],
        [],
    ),
    Row(
        "no folder of inputs there: it is made",
        snapshot(
            session=OPEN,
            files=A,
            memory=memory(folders={VipPath("/vip/Home/API"), HOME}, missing={INPUTS}, listings={}),
        ),
        ["MakeFolder ~/INPUTS"],
        [],
    ),
    Row(
        "files go up, the biggest first",
        snapshot(session=OPEN, files=AB, memory=memory()),
        ["SendFile ~/INPUTS/b.dat", "SendFile ~/INPUTS/a.dat"],
        [],
    ),
    Row(
        "a folder below INPUTS is looked for before its file is sent",
        snapshot(
            session=OPEN,
            files=SLOW,
            settings=settings(input_settings={"data": "data/*.dat"}),
            memory=memory(),
        ),
        ["LookAtFolder ~/INPUTS/data"],
        [],
    ),
    Row(
        "shared files of a case go up too",
        snapshot(
            session=OPEN,
            files={**A, "table.txt": "t"},
            settings=TABLE,
            descriptor=TWO,
            memory=memory(),
        ),
        ["SendFile ~/INPUTS/a.dat", "SendFile ~/INPUTS/table.txt"],
        [],
    ),
    Row(
        "a file that no case uses stays here",
        snapshot(*READY, *ENDED, session=OPEN, files={**A, "notes.txt": "n"}, memory=memory()),
        [],
        [],
        rest=True,
    ),
    Row(
        'upload = "all": it goes up as well',
        snapshot(
            *READY,
            *ENDED,
            session=OPEN,
            files={**A, "notes.txt": "n"},
            settings=settings(inputs={"upload": "all"}),
            memory=memory(),
        ),
        ["SendFile ~/INPUTS/notes.txt"],
        [],
    ),
    Row(
        "without a pipeline the folder only uploads",
        snapshot(session=OPEN, files=A, settings=UPLOAD_ONLY, memory=memory()),
        ["SendFile ~/INPUTS/a.dat"],
        [],
    ),
    Row(
        "a touched file opens nothing before it was read",
        snapshot(
            known("a.dat", "one"),
            replace(sent("a.dat", "one"), status=SendStatus.REMOVED),
            files=A,
            touched=["a.dat"],
            settings=UPLOAD_ONLY,
        ),
        ["HashFile a.dat"],
        [],
    ),
    Row(
        "without a pipeline a closed session opens for a file",
        snapshot(files=A, settings=UPLOAD_ONLY),
        ["LookAtHome ~"],
        [],
    ),
    Row(
        "without a pipeline a file that was there once opens nothing again",
        snapshot(
            known("a.dat", "one"),
            sent("a.dat", "one", SendStatus.REMOVED),
            files=A,
            settings=UPLOAD_ONLY,
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        "kept inputs open nothing again either",
        snapshot(*READY, files=A, settings=UPLOAD_ONLY),
        [],
        [],
        rest=True,
    ),
    Row(
        "a name that VIP cannot hold is reported, the others go up",
        snapshot(
            session=OPEN, files={**A, "_v2/b.dat": "b"}, settings=UPLOAD_ONLY, memory=memory()
        ),
        ["SendFile ~/INPUTS/a.dat"],
        ["person _v2/b.dat"],
    ),
    Row(
        "VIP answered: look whether the size is right before anything starts",
        snapshot(
            known("a.dat", "one"),
            sent("a.dat", "one", SendStatus.ANSWERED),
            session=OPEN,
            files=A,
            memory=memory(touched={INPUTS: 1}),
        ),
        ["LookAtFolder ~/INPUTS"],
        [],
    ),
    Row(
        "while another transfer into the folder is under way nobody looks",
        snapshot(
            known("a.dat", "one"),
            sent("a.dat", "one", SendStatus.ANSWERED),
            sent("b.dat", "three", SendStatus.TRYING),
            session=OPEN,
            files=AB,
            memory=memory(touched={INPUTS: 1}, under_way={key_of(f"SendFile {INPUTS}/b.dat")}),
        ),
        [],
        [],
    ),
    Row(
        "trying, after a crash: look first",
        snapshot(
            sent("a.dat", "one", SendStatus.TRYING),
            session=OPEN,
            files=A,
            memory=memory(touched={INPUTS: 1}),
        ),
        ["LookAtFolder ~/INPUTS"],
        [],
    ),
    Row(
        "trying, and it is not there: send it",
        snapshot(sent("a.dat", "one", SendStatus.TRYING), session=OPEN, files=A, memory=memory()),
        ["SendFile ~/INPUTS/a.dat"],
        [],
    ),
    Row(
        "trying, and it is there in its size: read it, so that its hash is known",
        snapshot(
            replace(sent("a.dat", "one", SendStatus.ANSWERED), sha256=""),
            session=OPEN,
            files=A,
            memory=memory({"a.dat": 3}),
        ),
        ["HashFile a.dat"],
        [],
    ),
    Row(
        "a wrong size lies there: the next version",
        snapshot(
            known("a.dat", "one"),
            sent("a.dat", "one", SendStatus.WRONG),
            session=OPEN,
            files=A,
            memory=memory({"a.dat": 1}),
        ),
        ["LookAtFolder ~/INPUTS/_v2"],
        [],
    ),
    Row(
        "something that nobody sent lies there: the next version",
        snapshot(session=OPEN, files=A, memory=memory({"a.dat": 3})),
        ["LookAtFolder ~/INPUTS/_v2"],
        [],
    ),
    Row(
        "nine contents of a file are on VIP: one more goes there",
        snapshot(
            *versions("a.dat", 9),
            known("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=looked_into("_v10"),
        ),
        ["SendFile ~/INPUTS/_v10/a.dat"],
        [],
    ),
    Row(
        "ten contents of a file are on VIP: a person is asked, the others go on",
        snapshot(
            *versions("a.dat", 10),
            known("a.dat", "one"),
            *READY_B,
            session=OPEN,
            files=AB,
            memory=looked_into("_v11"),
        ),
        ["StartExecution b.dat"],
        ["person a.dat"],
    ),
    Row(
        "ten contents of a file that no case needs: nothing is sent, all is at rest",
        snapshot(
            *versions("a.dat", 10),
            known("a.dat", "one"),
            session=OPEN,
            settings=UPLOAD_ONLY,
            files=A,
            memory=looked_into("_v11"),
        ),
        [],
        ["person a.dat"],
        rest=True,
    ),
    Row(
        "a size that VIP got wrong is none of the ten contents",
        snapshot(
            *versions("a.dat", 10, wrong=1),
            known("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=looked_into("_v11"),
        ),
        ["SendFile ~/INPUTS/_v11/a.dat"],
        [],
    ),
    Row(
        "a touched file is read, not sent again",
        snapshot(*READY, session=OPEN, files=A, touched=["a.dat"], memory=memory()),
        ["HashFile a.dat"],
        [],
    ),
    Row(
        "another size is another content: the next version at once",
        snapshot(
            *READY,
            launched("a.dat", "one"),
            execution(),
            session=OPEN,
            files={"a.dat": "longer"},
            memory=memory(
                folders={VipPath("/vip/Home/API"), HOME, INPUTS, VipPath(f"{INPUTS}/_v2")},
                listings={VipPath(f"{INPUTS}/_v2"): Listing(0, {}, NOW)},
            ),
        ),
        ["HashFile a.dat"],
        [],
    ),
    Row(
        "other content, read: it goes to _v2",
        snapshot(
            known("a.dat", "longer"),
            sent("a.dat", "one"),
            *ENDED,
            session=OPEN,
            files={"a.dat": "longer"},
            memory=memory(
                folders={VipPath("/vip/Home/API"), HOME, INPUTS, VipPath(f"{INPUTS}/_v2")},
                listings={VipPath(f"{INPUTS}/_v2"): Listing(0, {}, NOW)},
            ),
        ),
        ["SendFile ~/INPUTS/_v2/a.dat"],
        [],
    ),
    Row(
        "a transfer that failed waits for its time",
        snapshot(
            sent("a.dat", "one", SendStatus.TRYING),
            session=OPEN,
            files=A,
            memory=memory(attempts=failed(SEND_A, TransferMismatch("cut"))),
        ),
        [],
        [],
        due=5,
    ),
    Row(
        "a transfer that failed five times is told to a person",
        snapshot(
            sent("a.dat", "one", SendStatus.TRYING),
            session=OPEN,
            files=A,
            memory=memory(attempts=failed(SEND_A, TransferMismatch("cut"), count=5)),
        ),
        [],
        ["person ~/INPUTS/a.dat"],
        rest=True,
        due=5,
    ),
    Row(
        "paused: nothing goes up",
        snapshot(session=replace(OPEN, paused=True), files=A, memory=memory()),
        [],
        ["info paused"],
        rest=True,
    ),
    Row(
        "the marker is missing: nothing more goes up",
        snapshot(
            session=OPEN, files=A, memory=memory(since={"marker gone": NOW - 1}), marker=False
        ),
        [],
        ["wait ON_VIP.txt"],
        due=0.5,
    ),
]

LAUNCHING = [
    Row(
        "all is there: find executions of ours once, before the first launch of a process",
        snapshot(*READY, session=OPEN, files=A, memory=memory(ours=None)),
        ["FindExecutions vipsync-s1"],
        [],
    ),
    Row(
        "all is there: start, with its place and its results location",
        snapshot(*READY, session=OPEN, files=A, memory=memory()),
        ["StartExecution a.dat"],
        [],
        check=lambda made: (
            (start(made).values, start(made).results_location, start(made).jobs)
            == ({"data": (f"{INPUTS}/a.dat",)}, OUTPUTS, 1)
        ),
    ),
    Row(
        "files that are there together start together",
        snapshot(*READY, *READY_B, session=OPEN, files=AB, memory=memory()),
        ["StartExecution a.dat b.dat"],
        [],
        check=lambda made: start(made).jobs == 2,
    ),
    Row(
        "a case waits for its company on the way",
        snapshot(*READY, session=OPEN, files=AB, memory=memory()),
        ["SendFile ~/INPUTS/b.dat"],
        [],
    ),
    Row(
        "a case waits for company that still changes",
        snapshot(*READY, session=OPEN, files=AB, unsettled={"b.dat": NOW + 4}, memory=memory()),
        [],
        [],
        due=4,
    ),
    Row(
        "after a minute it waits no more",
        snapshot(
            *READY,
            session=OPEN,
            files=AB,
            unsettled={"b.dat": NOW + 4},
            memory=memory(since={"case a.dat": NOW - 61}),
        ),
        ["StartExecution a.dat"],
        [],
    ),
    Row(
        "company that came later than a minute is not waited for",
        snapshot(*READY, session=OPEN, files=AB, memory=memory(since={"case a.dat": NOW - 61})),
        ["StartExecution a.dat", "SendFile ~/INPUTS/b.dat"],
        [],
    ),
    Row(
        "company whose transfer fails is not waited for",
        snapshot(
            *READY,
            session=OPEN,
            files=AB,
            memory=memory(attempts=failed(f"SendFile {INPUTS}/b.dat", TransferMismatch("cut"))),
        ),
        ["StartExecution a.dat"],
        [],
    ),
    Row(
        "a launched case is not launched again",
        snapshot(*READY, *ENDED, session=OPEN, files=A, memory=memory()),
        [],
        [],
        rest=True,
    ),
    Row(
        "a second file is a second execution",
        snapshot(*READY, *READY_B, *ENDED, session=OPEN, files=AB, memory=memory()),
        ["StartExecution b.dat"],
        [],
    ),
    Row(
        "max_jobs splits: one launch at a time",
        snapshot(
            *READY,
            *READY_B,
            session=OPEN,
            files=AB,
            settings=settings(launch={"max_jobs": 1}),
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        [],
    ),
    Row(
        "above confirm_above a person must agree",
        snapshot(
            *READY,
            *READY_B,
            session=OPEN,
            files=AB,
            settings=settings(launch={"confirm_above": 1}),
            memory=memory(),
        ),
        [],
        ["person launch"],
        rest=True,
    ),
    Row(
        "nb_runs count for confirm_above",
        snapshot(
            *READY,
            session=OPEN,
            files=A,
            settings=settings(launch={"confirm_above": 1, "nb_runs": 2}),
            memory=memory(),
        ),
        [],
        ["person launch"],
        rest=True,
    ),
    Row(
        "a person agreed: it starts",
        snapshot(
            *READY,
            judged("a.dat", "one", Verdict.GO, "r1"),
            session=OPEN,
            files=A,
            settings=settings(launch={"confirm_above": 0}),
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        [],
    ),
    Row(
        "manual: a case that a person wants starts",
        snapshot(
            *READY,
            judged("a.dat", "one", Verdict.GO, "r1"),
            session=OPEN,
            files=A,
            settings=settings(launch={"when": "manual"}),
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        [],
    ),
    Row(
        "manual: the others are neither sent nor started",
        snapshot(
            known("a.dat", "one"),
            session=OPEN,
            files=A,
            settings=settings(launch={"when": "manual"}),
            memory=memory(),
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        "rerun: launched once more, under another name",
        snapshot(
            *READY,
            *ENDED,
            judged("a.dat", "one", Verdict.AGAIN, "r1"),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        [],
        check=lambda made: (
            start(made).request == "r1" and start(made).name != launched("a.dat", "one").name
        ),
    ),
    Row(
        "rerun: only once",
        snapshot(
            *READY,
            *ENDED,
            launched("a.dat", "one", request="r1", execution_id="e2"),
            judged("a.dat", "one", Verdict.AGAIN, "r1"),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        "nb_runs = 2: the second run follows the first",
        snapshot(
            *READY,
            launched("a.dat", "one", runs=2),
            execution(),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        ["StartExecution a.dat run 2"],
        [],
    ),
    Row(
        "nb_runs = 2: an input that vanished from VIP goes up again before the second run",
        snapshot(
            known("a.dat", "one"),
            replace(sent("a.dat", "one"), status=SendStatus.TRYING),
            launched("a.dat", "one", runs=2),
            execution(),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        ["SendFile ~/INPUTS/a.dat"],
        [],
    ),
    Row(
        "nb_runs = 2: the second run takes its input from where it is now",
        snapshot(
            known("a.dat", "one"),
            sent("a.dat", "other", SendStatus.WRONG),
            sent("a.dat", "one", at="_v2/a.dat"),
            launched("a.dat", "one", runs=2),
            execution(),
            session=OPEN,
            files=A,
            memory=memory(
                listings={
                    INPUTS: Listing(0, {}, NOW),
                    VipPath(f"{INPUTS}/_v2"): Listing(0, {}, NOW),
                }
            ),
        ),
        ["StartExecution a.dat run 2"],
        [],
        check=lambda made: start(made).values["data"] == (f"{INPUTS}/_v2/a.dat",),
    ),
    Row(
        "nb_runs = 2: both were started, all is done",
        snapshot(
            *READY,
            launched("a.dat", "one", runs=2),
            replace(next_run(launched("a.dat", "one", runs=2)), status=LaunchStatus.STARTED),
            execution(),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        "one second lies between two launches",
        snapshot(
            *READY, *READY_B, *ENDED, session=OPEN, files=AB, memory=memory(started_at=NOW - 0.25)
        ),
        [],
        [],
        due=0.75,
    ),
    Row(
        "the next launch waits until the last results folder is known",
        snapshot(
            *READY,
            *READY_B,
            launched("a.dat", "one"),
            execution(status=RUNNING, results_folder=None),
            session=OPEN,
            files=AB,
            memory=polled("e1"),
        ),
        [],
        [],
        due=4,
    ),
    Row(
        "after two minutes of silence it starts all the same",
        snapshot(
            *READY,
            *READY_B,
            launched("a.dat", "one"),
            execution(status=RUNNING, results_folder=None),
            session=OPEN,
            files=AB,
            memory=polled("e1", since={"silent e1": NOW - 120}),
        ),
        ["StartExecution b.dat"],
        [],
    ),
    Row(
        "slots full: queued, and tried again after refresh_time",
        snapshot(*READY, session=OPEN, files=A, memory=memory(slots_full_at=NOW - 10)),
        [],
        ["wait queue"],
        due=20,
    ),
    Row(
        "slots full for long enough: tried again",
        snapshot(*READY, session=OPEN, files=A, memory=memory(slots_full_at=NOW - 30)),
        ["StartExecution a.dat"],
        ["wait queue"],
    ),
    Row(
        "refused by VIP: told to a person, not tried again",
        snapshot(
            *READY,
            launched("a.dat", "one", status=LaunchStatus.REFUSED, reason="bad value"),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        [],
        ["person a.dat"],
        rest=True,
    ),
    Row(
        "refused with other settings: tried again",
        snapshot(
            *READY,
            replace(
                launched("a.dat", "one", status=LaunchStatus.REFUSED),
                cases=(replace(launched("a.dat", "one").cases[0], settings="older"),),
            ),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        ["person a.dat"],
    ),
    Row(
        "refused, and a person wants it: tried once more",
        snapshot(
            *READY,
            launched("a.dat", "one", status=LaunchStatus.REFUSED),
            judged("a.dat", "one", Verdict.GO, "r1"),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        ["person a.dat"],
    ),
    Row(
        "refused to the person's request too: not tried for ever",
        snapshot(
            *READY,
            launched("a.dat", "one", status=LaunchStatus.REFUSED),
            launched("a.dat", "one", status=LaunchStatus.REFUSED, request="r1"),
            judged("a.dat", "one", Verdict.GO, "r1"),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        [],
        ["person a.dat"],
        rest=True,
    ),
]

DOUBT = [
    Row(
        "a launch in doubt is looked for by its name, nothing else starts",
        snapshot(
            *READY,
            *READY_B,
            in_doubt("a.dat", "one"),
            session=OPEN,
            files=AB,
            memory=memory(),
        ),
        ["FindExecutions vipsync-s1"],
        [f"wait {in_doubt('a.dat', 'one').name}"],
    ),
    Row(
        "not found: looked for again after 10 s",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=memory(found_at=NOW - 4, found_whole=True),
        ),
        [],
        [f"wait {in_doubt('a.dat', 'one').name}"],
        due=6,
    ),
    Row(
        "not found for 120 s, by a whole and recent list: withdrawn, and new again",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=memory(
                found_at=NOW - 1,
                found_whole=True,
                since={f"doubt {in_doubt('a.dat', 'one').name} None": NOW - 120},
            ),
        ),
        [f"Decide withdraw {in_doubt('a.dat', 'one').name}"],
        [],
    ),
    Row(
        "a list that was cut settles nothing",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=memory(
                found_at=NOW - 1,
                found_whole=False,
                since={f"doubt {in_doubt('a.dat', 'one').name} None": NOW - 500},
            ),
        ),
        [],
        [f"person {in_doubt('a.dat', 'one').name}"],
        rest=True,
        due=9,
    ),
    Row(
        "a list of long ago settles nothing",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=memory(
                found_at=NOW - 30,
                found_whole=True,
                since={f"doubt {in_doubt('a.dat', 'one').name} None": NOW - 500},
            ),
        ),
        ["FindExecutions vipsync-s1"],
        [f"wait {in_doubt('a.dat', 'one').name}"],
    ),
    Row(
        "while it is being posted nobody doubts",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=memory(under_way={key_of(f"StartExecution {in_doubt('a.dat', 'one').name}")}),
        ),
        [],
        [],
    ),
    Row(
        "withdrawn, for want of a slot: it is new again",
        snapshot(
            *READY,
            launched("a.dat", "one", status=LaunchStatus.WITHDRAWN, execution_id=""),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        ["StartExecution a.dat"],
        [],
    ),
    Row(
        "finishing: a launch that did not arrive is withdrawn",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=SET_ASIDE,
            files=A,
            memory=memory(
                found_at=NOW - 1,
                found_whole=True,
                since={f"doubt {in_doubt('a.dat', 'one').name} None": NOW - 120},
            ),
        ),
        [f"Decide withdraw {in_doubt('a.dat', 'one').name}"],
        [],
    ),
    Row(
        "finishing: nothing is removed while a launch is in doubt",
        snapshot(*READY, in_doubt("a.dat", "one"), session=SET_ASIDE, files=A, memory=memory()),
        ["FindExecutions vipsync-s1"],
        [f"wait {in_doubt('a.dat', 'one').name}"],
    ),
    Row(
        "paused: a launch in doubt is looked for all the same",
        snapshot(
            *READY,
            in_doubt("a.dat", "one"),
            session=replace(OPEN, paused=True),
            files=A,
            memory=memory(),
        ),
        ["FindExecutions vipsync-s1"],
        ["info paused", f"wait {in_doubt('a.dat', 'one').name}"],
    ),
]

FOLLOWING = [
    Row(
        "a running execution is polled",
        snapshot(*READY, *RUNS, session=OPEN, files=A, memory=memory()),
        ["Poll e1"],
        [],
    ),
    Row(
        "polled a moment ago: wait for refresh_time",
        snapshot(*READY, *RUNS, session=OPEN, files=A, memory=polled("e1", ago=12)),
        [],
        [],
        due=18,
    ),
    Row(
        "paused: following goes on",
        snapshot(*READY, *RUNS, session=replace(OPEN, paused=True), files=A, memory=memory()),
        ["Poll e1"],
        ["info paused"],
    ),
    Row(
        "settings with an error: following goes on, nothing is sent or started",
        snapshot(
            *RUNS, session=OPEN, files=AB, memory=memory(), settings_error="line 3: no such key"
        ),
        ["Poll e1"],
        ["error settings"],
    ),
    Row(
        "another key that does not see our id: nothing is concluded from absence",
        snapshot(
            *RUNS,
            session=OPEN,
            files=A,
            memory=memory(home=seen_home(exists=False, key="other"), home_at=NOW),
        ),
        [],
        ["person session"],
        rest=True,
        due=60,
    ),
    Row(
        "another key that sees our id is taken",
        snapshot(*RUNS, session=OPEN, files=A, memory=memory(home=seen_home(ID, key="other"))),
        ["Decide ours"],
        [],
        check=lambda made: session_after(made).key_print == "other",
    ),
    Row(
        "the same key, and the folder is gone: somebody removed it",
        snapshot(
            *RUNS, session=OPEN, files=A, memory=memory(home=seen_home(exists=False), home_at=NOW)
        ),
        [],
        ["person session"],
        rest=True,
    ),
    Row(
        "returned while it runs: listed at once",
        snapshot(
            *RUNS[:1],
            execution(status=RUNNING, returned=(VipPath(f"{OUTPUTS}/e1/a.dat.tgz"),)),
            session=OPEN,
            memory=polled("e1"),
        ),
        ["ListResults e1"],
        [],
    ),
    Row(
        "it has ended: everything in its folder is listed",
        snapshot(launched("a.dat", "one"), execution(listed=False), session=OPEN, memory=memory()),
        ["ListResults e1"],
        [],
    ),
    Row(
        "killed: late writers have two minutes",
        snapshot(
            launched("a.dat", "one"),
            execution(status=KILLED),
            session=OPEN,
            memory=polled("e1"),
        ),
        [],
        [],
        due=120,
    ),
    Row(
        "killed two minutes ago: polled once more",
        snapshot(
            launched("a.dat", "one"),
            execution(status=KILLED),
            session=OPEN,
            memory=polled("e1", ago=125, since={"killed e1": NOW - 121}),
        ),
        ["Poll e1"],
        [],
    ),
    Row(
        "killed for good: listed",
        snapshot(
            launched("a.dat", "one"),
            execution(status=KILLED),
            session=OPEN,
            memory=polled("e1", since={"killed e1": NOW - 125}),
        ),
        ["ListResults e1"],
        [],
    ),
    Row(
        "held jobs and none that goes on: a person is needed, and all is at rest",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, jobs=(Job(1, "COMPLETED", 0), Job(2, "ERROR_HELD"))),
            session=OPEN,
            memory=polled("e1"),
        ),
        [],
        ["person e1"],
        rest=True,
        due=29,
    ),
    Row(
        "held jobs beside one that runs: a person is told, and it goes on",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, jobs=(Job(1, "RUNNING"), Job(2, "ERROR_HELD"))),
            session=OPEN,
            memory=polled("e1"),
        ),
        [],
        ["person e1"],
    ),
    Row(
        "no change for stall_after: a person is needed",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, changed_at=WALL - 90_000),
            session=OPEN,
            memory=polled("e1"),
        ),
        [],
        ["person e1"],
        rest=True,
    ),
    Row(
        "stall_after = 0: never stalled",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, changed_at=WALL - 900_000),
            session=OPEN,
            settings=settings(monitor={"stall_after": 0.0}),
            memory=polled("e1"),
        ),
        [],
        [],
    ),
    Row(
        "the logs of failed jobs come",
        snapshot(
            launched("a.dat", "one"),
            execution(
                jobs=(Job(1, "COMPLETED", 0), Job(2, "ERROR", 50), Job(3, "ERROR", 50)), logs=(2,)
            ),
            JobLog("e1 2"),
            session=OPEN,
            memory=memory(),
        ),
        ["FetchLogs e1 3"],
        [],
    ),
    Row(
        "logs of which an earlier vipsync kept no words come once more",
        snapshot(
            launched("a.dat", "one"),
            execution(jobs=(Job(1, "ERROR", 50),), logs=(1,)),
            session=OPEN,
            memory=memory(),
        ),
        ["FetchLogs e1 1"],
        [],
    ),
    Row(
        "an execution that VIP forgot: what stayed of it is listed",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, gone=True),
            session=OPEN,
            memory=memory(),
        ),
        ["ListResults e1"],
        [],
    ),
    Row(
        "an execution that VIP forgot is followed no more",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, gone=True, listed=True),
            session=OPEN,
            memory=memory(),
        ),
        [],
        [],
        rest=True,
    ),
]

MIRRORING = [
    Row(
        "a wanted result comes",
        snapshot(*ENDED, result(status=ResultStatus.WANTED), session=OPEN, memory=memory()),
        ["FetchResult e1/a.dat.tgz"],
        [],
        check=lambda made: (
            made.actions[0]
            == do.FetchResult(
                VipPath(f"{OUTPUTS}/e1/a.dat.tgz"), 10, RelPath("e1/a.dat.tgz"), True, False
            )
        ),
    ),
    Row(
        "a result that is here and as it was: nothing",
        snapshot(*ENDED, result(), session=OPEN, memory=memory(), outputs=HERE),
        [],
        [],
        rest=True,
    ),
    Row(
        "a result that is missing as a whole comes back",
        snapshot(*ENDED, result(), session=OPEN, memory=memory()),
        ["FetchResult e1/a.dat.tgz"],
        [],
    ),
    Row(
        "a result that a person changed is theirs",
        snapshot(
            *ENDED, result(), session=OPEN, memory=memory(), outputs={"e1/a.dat.tgz": "edited"}
        ),
        [],
        ["info e1/a.dat.tgz"],
        rest=True,
    ),
    Row(
        "above the server's limit: told, not tried",
        snapshot(
            *ENDED, result(status=ResultStatus.WANTED, size=1001), session=OPEN, memory=memory()
        ),
        [],
        ["person ~/OUTPUTS/e1/a.dat.tgz"],
        rest=True,
    ),
    Row(
        "a refused result is told for as long as it lasts",
        snapshot(*ENDED, result(status=ResultStatus.REFUSED), session=OPEN, memory=memory()),
        [],
        ["person ~/OUTPUTS/e1/a.dat.tgz"],
        rest=True,
    ),
    Row(
        "a name that has no place here is told, the others come",
        snapshot(
            *ENDED,
            result("a\\b", ResultStatus.WANTED),
            result("c.tgz", ResultStatus.WANTED),
            session=OPEN,
            memory=memory(),
        ),
        ["FetchResult e1/c.tgz"],
        ["person ~/OUTPUTS/e1/a\\b"],
    ),
    Row(
        "a result elsewhere on VIP goes below its execution's id",
        snapshot(
            *ENDED,
            Result(VipPath("/vip/EGI (group)/x.nii"), "e1", 10),
            session=OPEN,
            memory=memory(),
        ),
        ["FetchResult e1/x.nii"],
        [],
    ),
    Row(
        "get_status: results of other ends stay on VIP",
        snapshot(
            launched("a.dat", "one"),
            execution(status=ExecutionStatus.EXECUTION_FAILED),
            result(status=ResultStatus.WANTED),
            session=OPEN,
            settings=settings(outputs={"get_status": (FINISHED,)}),
            memory=memory(),
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        "closed: what was removed with the session is not asked for",
        snapshot(launched("a.dat", "one"), execution(removed=True), result(), memory=newcomer()),
        [],
        ["person outputs"],
        rest=True,
    ),
    Row(
        "forget: what was deleted here and removed on VIP is let go",
        snapshot(
            launched("a.dat", "one"),
            execution(removed=True),
            result(),
            requests=asked("forget"),
            memory=newcomer(),
        ),
        ["Decide forget r1"],
        ["person outputs"],
        check=lambda made: (
            [getattr(r, "status", "") for r in put(made, Result)] == [ResultStatus.LET_GO]
        ),
    ),
    Row(
        "forget: only what is named",
        snapshot(
            launched("a.dat", "one"),
            execution(removed=True),
            result(),
            requests=asked("forget", "b.dat.tgz"),
            memory=newcomer(),
        ),
        ["Decide forget r1"],
        ["person outputs"],
        check=lambda made: put(made, Result) == [],
    ),
    Row(
        "trouble with VIP: nothing is asked until its time",
        snapshot(
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=OPEN,
            memory=memory(trouble=attempt(Unreachable("no answer"), 1, 7)),
        ),
        [],
        [],
        due=7,
    ),
    Row(
        "trouble that came back, and may pass: it is said",
        snapshot(
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=OPEN,
            memory=memory(trouble=attempt(Unreachable("no answer"), 2, 7)),
        ),
        [],
        ["wait VIP"],
        due=7,
    ),
    Row(
        "a key that VIP does not know: a person hears of it at once",
        snapshot(
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=OPEN,
            memory=memory(trouble=attempt(KeyRefused("unknown key"), 1, 7)),
        ),
        [],
        ["error VIP"],
        due=7,
    ),
    Row(
        "trouble that lasts is no reason to wait for",
        snapshot(
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=OPEN,
            memory=memory(trouble=attempt(Unreachable("no answer"), 5, 7)),
        ),
        [],
        ["error VIP"],
        rest=True,
        due=7,
    ),
    Row(
        "no key: what needs none goes on",
        snapshot(
            known("a.dat", "one"),
            *ENDED,
            session=OPEN,
            files=A,
            touched=["a.dat"],
            memory=memory(trouble=attempt(KeyMissing("no key"), 5, 60)),
        ),
        ["HashFile a.dat"],
        ["error VIP"],
    ),
]

FINISHING_ROWS = [
    Row(
        "the marker is gone: the clock starts",
        snapshot(session=OPEN, memory=memory(), marker=False),
        [],
        ["wait ON_VIP.txt"],
        due=0.5,
    ),
    Row(
        "the marker is gone, not for the grace yet",
        snapshot(session=OPEN, memory=memory(since={"marker gone": NOW - 6}), marker=False),
        [],
        ["wait ON_VIP.txt"],
        due=0.5,
    ),
    Row(
        "the marker is gone for the grace: finish",
        snapshot(session=OPEN, memory=memory(since={"marker gone": NOW - 10}), marker=False),
        ["Decide finish"],
        ["wait ON_VIP.txt"],
        check=lambda made: session_after(made).phase is Phase.FINISHING,
    ),
    Row(
        "no grace: two looks must agree all the same",
        snapshot(
            session=OPEN, memory=memory(), marker=False, settings=settings(finish={"grace": 0.0})
        ),
        [],
        ["wait ON_VIP.txt"],
        due=0.0,
    ),
    Row(
        "a marker that was never written is written, its absence means nothing",
        snapshot(session=replace(OPEN, marked=False), memory=memory(), marker=False),
        ["WriteMarker"],
        [],
    ),
    Row(
        "the marker is back: go on",
        snapshot(session=FINISHING, memory=memory(), marker=True),
        ["Decide go on"],
        [],
        check=lambda made: session_after(made).phase is Phase.OPEN,
    ),
    Row(
        "finishing: complete cases that were not launched are set aside",
        snapshot(known("a.dat", "one"), session=FINISHING, files=A, memory=memory()),
        ["Decide set aside"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.ASIDE)],
    ),
    Row(
        "finishing: those that nobody read are read first",
        snapshot(session=FINISHING, files=A, memory=memory()),
        ["HashFile a.dat"],
        [],
    ),
    Row(
        "finishing, after a restart: files that may be old are looked at for as long as it takes",
        snapshot(session=FINISHING, files=A, unsettled={"a.dat": NOW + 5}, memory=memory()),
        [],
        [],
        due=5,
    ),
    Row(
        "finishing: what still changes after that is new",
        snapshot(
            session=FINISHING,
            files=A,
            unsettled={"a.dat": NOW + 4},
            memory=memory(since={"setting aside": NOW - 5}),
        ),
        ["Decide set aside"],
        [],
        check=lambda made: not put(made, Judged),
    ),
    Row(
        "finishing: a file that cannot be read does not hold it up",
        snapshot(
            session=FINISHING,
            files=A,
            memory=memory(attempts=failed("HashFile a.dat", LocalFileError("no right"), count=5)),
        ),
        ["Decide set aside"],
        ["person a.dat"],
    ),
    Row(
        "finishing: a running execution is waited for",
        snapshot(*RUNS, session=SET_ASIDE, memory=polled("e1")),
        [],
        [],
        due=29,
    ),
    Row(
        'finishing, running = "kill": it is killed',
        snapshot(
            *RUNS,
            session=SET_ASIDE,
            settings=settings(finish={"running": "kill"}),
            memory=polled("e1"),
        ),
        ["Kill e1"],
        [],
    ),
    Row(
        "finishing: a transfer that got no answer may still arrive, though a later one has",
        snapshot(*READY, session=SET_ASIDE, memory=memory(unanswered_at=NOW - 119)),
        [],
        ["wait finish"],
        due=1,
    ),
    Row(
        "finishing: after two minutes it no longer does",
        snapshot(*READY, session=SET_ASIDE, memory=memory(unanswered_at=NOW - 120)),
        ["Decide remove"],
        [],
    ),
    Row(
        "finishing: a result that went with the last round holds up nothing",
        snapshot(
            *ENDED[:-1],
            replace(ENDED[-1], removed=True),
            result(status=ResultStatus.WANTED, stamp="s"),
            session=SET_ASIDE,
            memory=memory(),
        ),
        ["Decide remove"],
        [],
    ),
    Row(
        "finish --kill: it is killed",
        snapshot(*RUNS, session=replace(SET_ASIDE, kill=True), memory=polled("e1")),
        ["Kill e1"],
        [],
    ),
    Row(
        "finish --kill: what this process did not look at yet is looked at, not killed",
        snapshot(*RUNS, session=replace(SET_ASIDE, kill=True), memory=memory()),
        ["Poll e1"],
        [],
    ),
    Row(
        "finish --kill: only once",
        snapshot(
            launched("a.dat", "one"),
            execution(status=RUNNING, killed_by_us=True),
            session=replace(SET_ASIDE, kill=True),
            memory=polled("e1"),
        ),
        [],
        [],
    ),
    Row(
        "finishing: a result that is not here comes first",
        snapshot(*ENDED, result(status=ResultStatus.WANTED), session=SET_ASIDE, memory=memory()),
        ["FetchResult e1/a.dat.tgz"],
        [],
    ),
    Row(
        "finishing: a result that failed to come is waited for",
        snapshot(
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=SET_ASIDE,
            memory=memory(attempts=failed(f"FetchResult {A_RESULT}", TransferMismatch("cut"))),
        ),
        [],
        [],
    ),
    Row(
        "finishing: an execution that was not listed is listed first",
        snapshot(
            launched("a.dat", "one"), execution(listed=False), session=SET_ASIDE, memory=memory()
        ),
        ["ListResults e1"],
        [],
    ),
    Row(
        "finishing: a refused result blocks the removal",
        snapshot(*ENDED, result(status=ResultStatus.REFUSED), session=SET_ASIDE, memory=memory()),
        [],
        ["person ~/OUTPUTS/e1/a.dat.tgz"],
        rest=True,
    ),
    Row(
        "finishing: a result that was let go does not block",
        snapshot(
            *ENDED, result(status=ResultStatus.LET_GO), session=SET_ASIDE, memory=LOOKED_AGAIN
        ),
        ["Decide remove"],
        [],
    ),
    Row(
        "finishing: a result that was here once does not block, whatever became of it",
        snapshot(
            *ENDED,
            result(),
            session=SET_ASIDE,
            memory=LOOKED_AGAIN,
            outputs={"e1/a.dat.tgz": "edited"},
        ),
        ["Decide remove"],
        ["info e1/a.dat.tgz"],
    ),
    Row(
        "finishing: a result that was deleted here is fetched once more",
        snapshot(*ENDED, result(), session=SET_ASIDE, memory=memory()),
        ["FetchResult e1/a.dat.tgz"],
        [],
    ),
    Row(
        "finishing: one that is on its way again is waited for",
        snapshot(
            *ENDED,
            result(),
            session=SET_ASIDE,
            memory=memory(under_way={key_of(f"FetchResult {A_RESULT}")}),
        ),
        [],
        [],
    ),
    Row(
        "finishing: one that does not come back does not block",
        snapshot(
            *ENDED,
            result(),
            session=SET_ASIDE,
            memory=memory(
                listed_at={"e1": NOW},
                attempts=failed(f"FetchResult {A_RESULT}", TransferMismatch("cut")),
            ),
        ),
        ["Decide remove"],
        [],
    ),
    Row(
        "finishing: what get_status leaves out does not block",
        snapshot(
            launched("a.dat", "one"),
            execution(status=ExecutionStatus.EXECUTION_FAILED),
            result(status=ResultStatus.WANTED),
            session=SET_ASIDE,
            settings=settings(outputs={"get_status": (FINISHED,)}),
            memory=memory(),
        ),
        ["Decide remove"],
        [],
    ),
    Row(
        "finishing: the late writers of a killed execution are waited for, wanted or not",
        snapshot(
            launched("a.dat", "one"),
            execution(status=KILLED),
            session=SET_ASIDE,
            settings=settings(outputs={"get_status": (FINISHED,)}),
            memory=memory(),
        ),
        [],
        ["wait finish"],
        due=120,
    ),
    Row(
        "finishing: a transfer in doubt is waited for",
        snapshot(sent("a.dat", "one", SendStatus.TRYING), session=SET_ASIDE, memory=memory()),
        [],
        ["wait finish"],
        due=120,
    ),
    Row(
        "finishing: a transfer under way is waited for",
        snapshot(session=SET_ASIDE, memory=memory(under_way={key_of(SEND_A)})),
        [],
        [],
    ),
    Row(
        "finishing: everything is here: it is listed once more",
        snapshot(*ENDED, result(), session=SET_ASIDE, memory=memory(), outputs=HERE),
        ["ListResults e1"],
        [],
    ),
    Row(
        "finishing: everything is here, but was listed before something else held it",
        snapshot(
            *ENDED,
            result(),
            session=SET_ASIDE,
            memory=memory(listed_at={"e1": NOW - 2}, since={LAST_LOOK: NOW - 1}),
            outputs=HERE,
        ),
        ["ListResults e1"],
        [],
    ),
    Row(
        "finishing: everything is here: remove",
        snapshot(*ENDED, result(), session=SET_ASIDE, memory=LOOKED_AGAIN, outputs=HERE),
        ["Decide remove"],
        [],
        check=lambda made: session_after(made).phase is Phase.REMOVING,
    ),
    Row(
        "set aside: a launch that proved not to have arrived is set aside too",
        snapshot(
            *READY,
            launched("a.dat", "one", status=LaunchStatus.WITHDRAWN, execution_id=""),
            session=SET_ASIDE,
            files=A,
            memory=memory(),
        ),
        ["Decide set aside"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.ASIDE)],
    ),
    Row(
        "finishing, settings with an error: nothing is removed before cases are set aside",
        snapshot(session=FINISHING, memory=memory(), settings_error="line 3"),
        [],
        ["error settings"],
        rest=True,
    ),
    Row(
        "finishing: new files wait",
        snapshot(known("b.dat", "three"), *RUNS, session=SET_ASIDE, files=AB, memory=polled("e1")),
        [],
        [],
    ),
    Row(
        "removing: asked for, with the id that must lie there",
        snapshot(session=REMOVING, memory=memory()),
        ["RemoveTree ~"],
        [],
        check=lambda made: made.actions[0] == do.RemoveTree(HOME, HOME, ID_FOLDER),
    ),
    Row(
        "removing, decided by a process before: what VIP shows anew is fetched first",
        snapshot(
            *READY,
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=REMOVING,
            memory=memory(),
        ),
        ["FetchResult e1/a.dat.tgz", "Decide something is missing"],
        [],
        check=lambda made: session_after(made).phase is Phase.FINISHING,
    ),
    Row(
        "removing, asked for by a process before: the removal cannot be taken back",
        snapshot(
            *READY,
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=ASKED,
            memory=memory(asked_before=NOW - 1),
        ),
        ["FetchResult e1/a.dat.tgz"],
        [],
        due=1,
    ),
    Row(
        "removed, and what VIP showed meanwhile never came: closed, and said for as long as it lasts",
        snapshot(
            *READY,
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=ASKED,
            memory=memory(removed={HOME}, asked_before=NOW - 1),
        ),
        ["FetchResult e1/a.dat.tgz", "Decide close"],
        [],
        check=lambda made: put(made, Result) == [result(status=ResultStatus.REFUSED, reason=LOST)],
    ),
    Row(
        "removed, and what VIP showed meanwhile was here before, in another size: closed",
        snapshot(
            *READY,
            *ENDED,
            result(status=ResultStatus.WANTED, stamp="s"),
            session=ASKED,
            memory=memory(removed={HOME}, asked_before=NOW - 1),
        ),
        ["FetchResult e1/a.dat.tgz", "Decide close"],
        [],
        check=lambda made: put(made, Result) == [result(local=RelPath(""), stamp="s")],
    ),
    Row(
        "removing: looked at after two seconds",
        snapshot(session=REMOVING, memory=memory(removal_asked={HOME: NOW - 1})),
        [],
        [],
        due=1,
    ),
    Row(
        "removing: is it gone?",
        snapshot(session=REMOVING, memory=memory(removal_asked={HOME: NOW - 2})),
        ["CheckRemoved ~"],
        [],
    ),
    Row(
        "removing: asked again after ten minutes, not before",
        snapshot(
            session=REMOVING,
            memory=memory(removal_asked={HOME: NOW - 599}, removal_looked={HOME: NOW - 1}),
        ),
        [],
        ["person ~"],
        rest=True,
    ),
    Row(
        "removing: ten minutes are over, asked again",
        snapshot(
            session=REMOVING,
            memory=memory(removal_asked={HOME: NOW - 600}, removal_looked={HOME: NOW - 1}),
        ),
        ["RemoveTree ~"],
        [],
    ),
    Row(
        "removing, after a restart: a folder that is gone is gone",
        snapshot(session=REMOVING, memory=memory(home=seen_home(exists=False), removed={HOME})),
        ["Decide close"],
        [],
    ),
    Row(
        "removing with another key: a folder that it does not see is not gone",
        snapshot(
            session=REMOVING,
            memory=memory(home=seen_home(exists=False, key="other"), home_at=NOW),
        ),
        [],
        ["person session"],
        rest=True,
    ),
    Row(
        "removed: closed, and every row knows",
        snapshot(*READY, *ENDED, session=REMOVING, memory=memory(removed={HOME})),
        ["Decide close"],
        [],
        check=lambda made: (
            session_after(made).phase is Phase.CLOSED
            and [s.status for s in put(made, Sent) if isinstance(s, Sent)] == [SendStatus.REMOVED]
        ),
    ),
    Row(
        "removed: runs that did not start will not start later",
        snapshot(
            launched("a.dat", "one", runs=2),
            execution(),
            session=REMOVING,
            memory=memory(removed={HOME}),
        ),
        ["Decide close"],
        [],
        check=lambda made: put(made, Launch) == [launched("a.dat", "one")],
    ),
    Row(
        "keep_input: only the outputs are removed",
        snapshot(session=REMOVING, memory=memory(), settings=settings(finish={"keep_input": True})),
        ["RemoveTree ~/OUTPUTS"],
        [],
    ),
    Row(
        "keep_output: only the inputs are removed",
        snapshot(
            session=REMOVING, memory=memory(), settings=settings(finish={"keep_output": True})
        ),
        ["RemoveTree ~/INPUTS"],
        [],
    ),
    Row(
        "both kept: closed at once",
        snapshot(
            session=REMOVING,
            memory=memory(),
            settings=settings(finish={"keep_input": True, "keep_output": True}),
        ),
        ["Decide close"],
        [],
    ),
    Row(
        "an output folder outside the session's is never removed",
        snapshot(
            session=replace(REMOVING, vip_output_dir=VipPath("/vip/Home/elsewhere")),
            memory=memory(),
            settings=settings(finish={"keep_input": True}),
        ),
        ["Decide close"],
        [],
    ),
    Row(
        "new files after a removal open the session again",
        snapshot(
            known("a.dat", "one"),
            sent("a.dat", "one", SendStatus.REMOVED),
            launched("a.dat", "one"),
            execution(removed=True),
            files=AB,
        ),
        ["LookAtHome ~"],
        [],
    ),
    Row(
        "cases that were set aside open nothing",
        snapshot(known("a.dat", "one"), judged("a.dat", "one", Verdict.ASIDE), files=A),
        [],
        [],
        rest=True,
    ),
    Row(
        'after = "download": every result is here, finish',
        snapshot(
            *READY,
            *ENDED,
            result(),
            session=OPEN,
            files=A,
            memory=memory(),
            outputs=HERE,
            settings=settings(finish={"after": "download"}),
        ),
        ["DeleteMarker", "Decide finish after download"],
        [],
    ),
    Row(
        'after = "download": a failed job keeps it open',
        snapshot(
            launched("a.dat", "one"),
            execution(jobs=(Job(1, "COMPLETED", 0), Job(2, "ERROR", 50)), logs=(2,)),
            JobLog("e1 2"),
            session=OPEN,
            memory=memory(),
            settings=settings(finish={"after": "download"}),
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        'after = "download": an execution that failed without jobs keeps it open',
        snapshot(
            launched("a.dat", "one"),
            execution(status=ExecutionStatus.EXECUTION_FAILED, listed=True),
            session=OPEN,
            memory=memory(),
            settings=settings(finish={"after": "download"}),
        ),
        [],
        [],
        rest=True,
    ),
    Row(
        'after = "download": a refused launch keeps it open',
        snapshot(
            *READY,
            *READY_B,
            *ENDED,
            launched("b.dat", "three", status=LaunchStatus.REFUSED),
            session=OPEN,
            files=AB,
            memory=memory(),
            settings=settings(finish={"after": "download"}),
        ),
        [],
        ["person b.dat"],
        rest=True,
    ),
    Row(
        'after = "download": a run that is still to come keeps it open',
        snapshot(
            *READY,
            launched("a.dat", "one", runs=2),
            execution(),
            session=OPEN,
            files=A,
            memory=memory(slots_full_at=NOW),
            settings=settings(finish={"after": "download"}),
        ),
        [],
        ["wait queue"],
    ),
    Row(
        'after = "download", manual: a case that waits for a person keeps it open',
        snapshot(
            *READY,
            *ENDED,
            known("b.dat", "three"),
            session=OPEN,
            files=AB,
            memory=memory(),
            settings=settings(finish={"after": "download"}, launch={"when": "manual"}),
        ),
        [],
        [],
        rest=True,
    ),
]

ADOPTED = replace(OPENED, named=True, adopting=True, key_print="", marked=True)
UNMARKED = replace(ADOPTED, adopting=False, marked=False)
ADOPTION = [
    Row(
        "adopting: the pipeline is read, and it is looked whose folder it is",
        snapshot(session=ADOPTED, files=A, descriptor=None, memory=newcomer(pipeline_at=None)),
        ["FetchPipeline One/1", "LookAtHome ~"],
        [],
    ),
    Row(
        "adopting: what is complete now is read",
        snapshot(session=ADOPTED, files=A, marker=True, memory=newcomer()),
        ["LookAtHome ~", "HashFile a.dat"],
        [],
    ),
    Row(
        "adopting: and counts as launched before",
        snapshot(
            known("a.dat", "one"),
            session=ADOPTED,
            files=A,
            marker=True,
            memory=memory(home=seen_home()),
        ),
        ["Decide adopt"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.BEFORE)],
    ),
    Row(
        "adopting: files that change are waited for",
        snapshot(
            session=replace(OPEN, adopting=True),
            files=A,
            unsettled={"a.dat": NOW + 2},
            memory=memory(),
        ),
        [],
        [],
        due=2,
    ),
    Row(
        "adopted without a marker: it is written before the first effect on VIP",
        snapshot(
            session=UNMARKED,
            marker=False,
            memory=memory(home=seen_home()),
        ),
        ["WriteMarker", "ClaimHome ~"],
        [],
    ),
    Row(
        "adopted without a marker: none is written for somebody's folder",
        snapshot(
            session=UNMARKED,
            marker=False,
            memory=memory(home=seen_home("other"), home_at=NOW),
        ),
        [],
        ["person session_name"],
        rest=True,
    ),
    Row(
        "adopted, and killed after the marker was written: that it lies there is written down",
        snapshot(session=UNMARKED, marker=True, memory=memory(home=seen_home())),
        ["Decide marked"],
        [],
        check=lambda made: session_after(made).marked,
    ),
    Row(
        "adopted: our id goes into the folder that the backup names",
        snapshot(
            session=replace(ADOPTED, adopting=False),
            memory=memory(home=seen_home()),
        ),
        ["ClaimHome ~"],
        [],
    ),
    Row(
        "adopted: nothing of it is on VIP any more: closed",
        snapshot(
            session=replace(ADOPTED, marked=False),
            files=A,
            unsettled={"a.dat": NOW + 2},
            marker=False,
            memory=newcomer(home=seen_home(exists=False)),
        ),
        ["Decide nothing on VIP"],
        [],
        check=lambda made: session_after(made).phase is Phase.CLOSED,
    ),
    Row(
        "adopted with executions, and its folder is not seen: the key is in doubt, nothing closes",
        snapshot(
            execution("e0"),
            session=replace(ADOPTED, marked=False),
            marker=False,
            memory=newcomer(home=seen_home(exists=False), home_at=NOW),
        ),
        [],
        ["person session"],
        rest=True,
        due=60,
    ),
    Row(
        "adopted and closed: files that change are waited for, nothing is asked of VIP",
        snapshot(session=replace(CLOSED, adopting=True), files=A, unsettled={"a.dat": NOW + 2}),
        [],
        [],
        due=2,
    ),
    Row(
        "cases from before are not launched",
        snapshot(
            *READY,
            judged("a.dat", "one", Verdict.BEFORE),
            execution("e0"),
            session=OPEN,
            files=A,
            memory=memory(),
        ),
        [],
        [],
        rest=True,
    ),
]

REQUESTS = [
    Row(
        "pause, in the midst of work: nothing else in this plan",
        snapshot(*READY, session=OPEN, files=A, memory=memory(), requests=asked("pause")),
        ["Decide pause r1"],
        [],
        check=lambda made: session_after(made).paused,
    ),
    Row(
        "pause, while opening: the session is not opened over it",
        snapshot(
            files=A,
            memory=newcomer(home=seen_home(exists=False)),
            requests=asked("pause"),
        ),
        ["Decide pause r1"],
        [],
    ),
    Row(
        "resume",
        snapshot(session=replace(OPEN, paused=True), memory=memory(), requests=asked("resume")),
        ["Decide resume r1"],
        ["info paused"],
        check=lambda made: not session_after(made).paused,
    ),
    Row(
        "two requests: one decision per plan",
        snapshot(
            session=OPEN,
            memory=memory(),
            requests=(Request("r1", Command.PAUSE), Request("r2", Command.RESUME)),
        ),
        ["Decide pause r1"],
        [],
    ),
    Row(
        "a request that was carried out is not carried out again, but taken away",
        snapshot(DoneRequest("r1"), session=OPEN, memory=memory(), requests=asked("pause")),
        ["Decide answered r1"],
        [],
        check=lambda made: not put(made, Session),
    ),
    Row(
        "finish: the marker goes first",
        snapshot(*RUNS, session=OPEN, memory=polled("e1"), requests=asked("finish", kill="yes")),
        ["DeleteMarker", "Decide finish r1"],
        [],
        check=lambda made: (
            (session_after(made).phase, session_after(made).kill) == (Phase.FINISHING, True)
        ),
    ),
    Row(
        "finish: a marker that could not be deleted is tried again before anything is decided",
        snapshot(
            *RUNS,
            session=OPEN,
            memory=replace(polled("e1"), attempts=failed("DeleteMarker ", DiskError("full"))),
            requests=asked("finish"),
        ),
        [],
        ["person disk"],
        due=5,
    ),
    Row(
        'after = "download": a marker that could not be deleted is tried again first',
        snapshot(
            *READY,
            *ENDED,
            result(),
            session=OPEN,
            files=A,
            memory=memory(attempts=failed("DeleteMarker ", DiskError("full"))),
            outputs=HERE,
            settings=settings(finish={"after": "download"}),
        ),
        [],
        ["person disk"],
        due=5,
    ),
    Row(
        "finish --without: a result is let go",
        snapshot(
            *ENDED,
            result(status=ResultStatus.REFUSED),
            session=SET_ASIDE,
            memory=memory(),
            requests=asked("finish", "a.dat.tgz"),
        ),
        ["DeleteMarker", "Decide finish r1"],
        ["person ~/OUTPUTS/e1/a.dat.tgz"],
        check=lambda made: put(made, Result) == [result(status=ResultStatus.LET_GO)],
    ),
    Row(
        "finish --without: a result of that name that is on its way is waited for",
        snapshot(
            *ENDED,
            result(status=ResultStatus.WANTED),
            session=SET_ASIDE,
            memory=memory(),
            requests=asked("finish", "a.dat.tgz"),
        ),
        ["FetchResult e1/a.dat.tgz"],
        ["wait finish"],
    ),
    Row(
        "finish of a closed session changes nothing",
        snapshot(requests=asked("finish")),
        ["Decide finish r1"],
        [],
        check=lambda made: put(made, Session) == [],
    ),
    Row(
        "finish --cancel: the marker is back first",
        snapshot(*RUNS, session=SET_ASIDE, memory=polled("e1"), requests=asked("finish --cancel")),
        ["WriteMarker", "Decide finish --cancel r1"],
        [],
        check=lambda made: put(made, Session) == [],
    ),
    Row(
        "finish --cancel before the removal was asked for: the marker is back first",
        snapshot(
            session=REMOVING, marker=False, memory=memory(), requests=asked("finish --cancel")
        ),
        ["WriteMarker", "Decide finish --cancel r1"],
        [],
    ),
    Row(
        "removing, nothing was asked of VIP yet, and the marker is back: go on",
        snapshot(session=REMOVING, marker=True, memory=memory()),
        ["Decide go on"],
        [],
        check=lambda made: session_after(made).phase is Phase.OPEN,
    ),
    Row(
        "settings with an error: an end that was under way waits too",
        snapshot(session=SET_ASIDE, memory=memory(), settings_error="line 3"),
        [],
        ["error settings"],
        rest=True,
    ),
    Row(
        "finish --cancel once the removal was asked for: too late",
        snapshot(
            session=ASKED,
            memory=memory(),
            requests=asked("finish --cancel"),
        ),
        ["Decide finish --cancel r1"],
        [],
        check=lambda made: put(made, Session) == [],
    ),
    Row(
        "launch: a case that was set aside goes",
        snapshot(
            known("a.dat", "one"),
            judged("a.dat", "one", Verdict.ASIDE),
            files=A,
            requests=asked("launch"),
        ),
        ["Decide launch r1"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.GO, "r1")],
    ),
    Row(
        "launch, manual: what it is about is read first",
        snapshot(files=A, settings=settings(launch={"when": "manual"}), requests=asked("launch")),
        ["HashFile a.dat"],
        ["wait launch"],
    ),
    Row(
        "launch: waits for files that still change",
        snapshot(files=A, unsettled={"a.dat": NOW + 2}, requests=asked("launch")),
        [],
        ["wait launch"],
        due=2,
    ),
    Row(
        "launch of one case does not wait for another",
        snapshot(
            known("a.dat", "one"),
            files=AB,
            unsettled={"b.dat": NOW + 2},
            settings=settings(launch={"when": "manual"}),
            requests=asked("launch", "a.dat"),
        ),
        ["Decide launch r1"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.GO, "r1")],
    ),
    Row(
        "rerun: the request names the new launch",
        snapshot(
            *READY, *ENDED, session=OPEN, files=A, memory=memory(), requests=asked("rerun", "a.dat")
        ),
        ["Decide rerun r1"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.AGAIN, "r1")],
    ),
    Row(
        "cancel: a case that was not launched is dropped",
        snapshot(
            known("a.dat", "one"),
            session=OPEN,
            files=A,
            memory=memory(),
            requests=asked("cancel", "a.dat"),
        ),
        ["Decide cancel r1"],
        [],
        check=lambda made: put(made, Judged) == [judged("a.dat", "one", Verdict.DROPPED, "r1")],
    ),
    Row(
        "cancel: a running execution is to be killed",
        snapshot(
            *READY,
            *RUNS,
            session=OPEN,
            files=A,
            memory=polled("e1"),
            requests=asked("cancel", "a.dat"),
        ),
        ["Decide cancel r1"],
        [],
        check=lambda made: put(made, Followed) == [execution(status=RUNNING, kill_wanted=True)],
    ),
    Row(
        "an execution that a person wants stopped is killed, only once",
        snapshot(
            launched("a.dat", "one"),
            execution("e1", RUNNING, kill_wanted=True),
            execution("e2", RUNNING, kill_wanted=True, killed_by_us=True),
            session=OPEN,
            memory=polled("e1", "e2"),
        ),
        ["Kill e1"],
        [],
    ),
    Row(
        "cancel: runs that are to come do not",
        snapshot(
            *READY,
            launched("a.dat", "one", runs=2),
            execution(),
            session=OPEN,
            files=A,
            memory=memory(),
            requests=asked("cancel", "a.dat"),
        ),
        ["Decide cancel r1"],
        [],
        check=lambda made: put(made, Launch) == [launched("a.dat", "one")],
    ),
    Row(
        "cancel: what has ended is left alone",
        snapshot(*READY, *ENDED, session=OPEN, files=A, memory=memory(), requests=asked("cancel")),
        ["Decide cancel r1"],
        [],
    ),
    Row(
        "settings with an error: a request for a pause is heard",
        snapshot(session=OPEN, memory=memory(), requests=asked("pause"), settings_error="line 3"),
        ["Decide pause r1"],
        ["error settings"],
    ),
    Row(
        "settings with an error that leaves no cases: a request about cases waits",
        snapshot(
            *RUNS,
            session=OPEN,
            files=A,
            cases=CaseSet(),
            memory=polled("e1"),
            requests=asked("cancel"),
            settings_error="line 3",
        ),
        [],
        ["error settings", "wait cancel"],
        due=29,
    ),
    Row(
        "the pipeline is not known yet: a request about cases waits",
        snapshot(
            files=A,
            descriptor=None,
            cases=CaseSet(),
            memory=memory(pipeline_at=None),
            requests=asked("cancel"),
        ),
        ["FetchPipeline One/1"],
        ["wait cancel"],
    ),
    Row(
        "the pipeline is not known yet, and there are no files: a request about cases is about none",
        snapshot(descriptor=None, memory=memory(pipeline_at=None), requests=asked("launch")),
        ["Decide launch r1"],
        [],
    ),
    Row(
        "a local trouble with one file stops only that",
        snapshot(
            session=FINISHING,
            files=AB,
            memory=memory(attempts=failed("HashFile a.dat", DiskError("unreadable"), count=5)),
        ),
        ["HashFile b.dat"],
        ["person disk"],
    ),
]

ROWS = [
    *OPENING,
    *SENDING,
    *LAUNCHING,
    *DOUBT,
    *FOLLOWING,
    *MIRRORING,
    *FINISHING_ROWS,
    *ADOPTION,
    *REQUESTS,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_plan_of(row: Row) -> None:
    """Each row of the table says what it shows."""
    made = plan(row.moment)
    assert [words(a) for a in made.actions] == row.acts
    assert [f"{n.level} {n.subject}".replace(HOME, "~") for n in made.notices] == row.says
    assert not any(n.subject.startswith("/vip/") and n.subject in n.text for n in made.notices)
    assert made.at_rest == row.rest
    if row.due is not None:
        assert made.due == pytest.approx(NOW + row.due)
    if row.check:
        assert row.check(made)
