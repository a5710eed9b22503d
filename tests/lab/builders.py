"""Small worlds for the planner: what lies here, what the ledger says, what a process remembers.

A file is its path and its content, both short texts; its state and its hash follow from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from tests.lab.pipelines import pipeline
from vipsync import actions as do
from vipsync import model, rows
from vipsync.cases.finding import find_cases
from vipsync.errors import VipsyncError
from vipsync.model import ExecutionStatus, FileState, RelPath, Settings, VipPath, replace
from vipsync.plan.batches import execution_name
from vipsync.plan.case_index import settings_digest
from vipsync.plan.memory import PATIENCE, AccountMemory, Attempt, Listing, Memory
from vipsync.plan.privacy import Gate
from vipsync.plan.sending import InputPlaces
from vipsync.plan.snapshot import Snapshot
from vipsync.record.digests import digest, names_digest
from vipsync.rows import Changes, LaunchStatus, ResultStatus, Row, SendStatus, Session, Stage, State

NOW, WALL = 1000.0, 1_800_000_000.0
ID, KEY = "s1", "k1"
GATE = "1"
"""The version of the privacy gate, where one is kept."""
API = VipPath("/vip/Home/API")
HOME = VipPath(f"{API}/study")
INPUTS, OUTPUTS = VipPath(f"{HOME}/INPUTS"), VipPath(f"{HOME}/OUTPUTS")
ID_FOLDER = VipPath(f"{HOME}/vipsync-{ID}")
PLATFORM = model.Platform("VIP", 1000)

ONE = pipeline("One", "data:File", "out=[data].tgz")
SETTINGS = Settings("study", ONE.pipeline_id, input_settings={"data": "*.dat"})
UPLOAD_ONLY = Settings("study")

CLOSED = Session(ID)
_PLACES = ("study", SETTINGS.portal, KEY, HOME, INPUTS, OUTPUTS)
OPENED = Session(ID, Stage.CLAIMING, *_PLACES, marked=True, opened_at=WALL - 900)
OPEN = replace(OPENED, stage=Stage.OPEN)
FINISHING = replace(OPEN, stage=Stage.ENDING)
SET_ASIDE = replace(OPEN, stage=Stage.DRAINING)
REMOVING = replace(OPEN, stage=Stage.REMOVING)
ASKED = replace(OPEN, stage=Stage.ASKED, removal_asked_at=WALL - 1)


def leaves(session: Session) -> bool:
    """Tell whether a session is so far on its way to closed that nothing more is launched."""
    return session.stage in (Stage.DRAINING, Stage.REMOVING, Stage.ASKED)


def settings(base: Settings = SETTINGS, **sections: Any) -> Settings:
    """Return settings with some keys of some sections changed: `launch={"when": "manual"}`."""
    changed = {
        name: replace(getattr(base, name), **value)
        if isinstance(value, dict) and name != "input_settings"
        else value
        for name, value in sections.items()
    }
    return replace(base, **changed)


def state_of(content: str, touched: int = 0) -> FileState:
    """Return the state of a file with this content; `touched` changes its times alone."""
    return FileState(len(content), 1 + touched, 1 + touched, 7)


def sha256(content: str) -> str:
    """Return the hash of a file with this content."""
    return hashlib.sha256(content.encode()).hexdigest()


# rows of the ledger


def known(path: str, content: str) -> rows.Known:
    """Return what is known of a file that was read."""
    return rows.Known(RelPath(path), state_of(content), sha256(content))


def checked(path: str, content: str, under: Settings | None = None, **found: Any) -> rows.Checked:
    """Return the verdict of this gate on a file; nothing in it names anybody unless `found` says so."""
    gate = Gate(replace(snapshot(gate=GATE), settings=under or SETTINGS))
    made = rows.Found(**{"bare": not found, **found})
    called = names_digest(gate.names)
    return rows.Checked(RelPath(path), sha256(content), gate.key, called, made)


def sent(path: str, content: str, status: SendStatus = SendStatus.SENT, at: str = "") -> rows.Sent:
    """Return the row of a file that was sent to `at`, by default its own path."""
    hashed = "" if status is SendStatus.TRYING else sha256(content)
    place = VipPath(f"{INPUTS}/{at or path}")
    return rows.Sent(place, RelPath(path), state_of(content), status, hashed, WALL)


def there(path: str, content: str) -> tuple[Row, Row]:
    """Return the rows of a file that is surely on VIP."""
    return known(path, content), sent(path, content)


def content_of(path: str, content: str) -> str:
    """Return what identifies the case that one file makes."""
    return digest([[(path, sha256(content))], [], []])


def launched(path: str, content: str, **changes: Any) -> rows.Launch:
    """Return the launch of the one case that this file makes, started as execution e1."""
    case = model.Case(path, {"data": model.InputFile(RelPath(path))}, (RelPath(path),))
    hashed = settings_digest(case, InputPlaces(snapshot()))
    identity = content_of(path, content)
    own = ((RelPath(path), sha256(content)),)
    made = rows.Launch(
        execution_name(OPEN, [identity], changes.get("request", "")),
        (rows.LaunchedCase(path, identity, own, settings=hashed),),
        ONE.pipeline_id,
        {"data": (f"{INPUTS}/{path}",)},
        OUTPUTS,
        jobs=1,
        status=LaunchStatus.STARTED,
        execution_id="e1",
        at=WALL,
    )
    return replace(made, **changes)


def in_doubt(path: str, content: str) -> rows.Launch:
    """Return a launch whose answer nobody knows."""
    return launched(path, content, status=LaunchStatus.INTENDED, execution_id="")


def folder_of(execution_id: str) -> VipPath:
    """Return where the results of an execution lie."""
    return VipPath(f"{OUTPUTS}/{execution_id}")


def execution(
    id_: str = "e1", status: ExecutionStatus = ExecutionStatus.FINISHED, **changes: Any
) -> rows.Followed:
    """Return an execution as it is followed; one that has ended well was listed too."""
    made = rows.Followed(
        id_,
        f"study vipsync-{ID} x",
        ONE.pipeline_id,
        status,
        results_folder=folder_of(id_),
        changed_at=WALL,
        ended_at=WALL if status.ended else None,
        jobs=(model.Job(1, "COMPLETED", 0),) if status is ExecutionStatus.FINISHED else (),
        listed=status is ExecutionStatus.FINISHED,
    )
    return replace(made, **changes)


def result(
    name: str = "a.dat.tgz", status: ResultStatus = ResultStatus.HERE, **changes: Any
) -> rows.Result:
    """Return a result of e1; one that is here lies at its own place with the stamp `ok`."""
    here = status is ResultStatus.HERE
    local = RelPath(f"e1/{name}") if here else RelPath("")
    made = rows.Result(
        VipPath(f"{folder_of('e1')}/{name}"), "e1", 10, local, status, stamp="ok" if here else ""
    )
    return replace(made, **changes)


def judged(path: str, content: str, verdict: rows.Verdict, request: str = "") -> rows.Judged:
    """Return a verdict of now on the case that this file makes."""
    at = WALL if verdict is rows.Verdict.ASIDE else None
    return rows.Judged(content_of(path, content), path, verdict, request, at)


# what a process remembers


def seen_home(*ids: str, exists: bool = True, key: str = KEY, empty: bool = True) -> do.HomeSeen:
    """Return a look at the session's folder that found these ids, and other things unless `empty`."""
    folders = (VipPath("/vip/Home"), API, HOME) if exists else (VipPath("/vip/Home"),)
    return do.HomeSeen(exists, ids, empty, folders, PLATFORM, key)


def memory(
    listed: Mapping[str, int] | None = None,
    slots_full_at: float | None = None,
    trouble: Attempt | None = None,
    **changes: Any,
) -> Memory:
    """Return what a process remembers that has been at work: our home was seen, INPUTS was listed."""
    sizes = {VipPath(f"{INPUTS}/{name}"): size for name, size in (listed or {}).items()}
    made = Memory(
        home=seen_home(ID),
        home_path=HOME,
        home_at=NOW - 500,
        folders={VipPath("/vip/Home"), API, HOME, INPUTS},
        listings={INPUTS: Listing(0, sizes, NOW - 400)},
        ours=(),
        pipeline_at=NOW - 500,
        account=AccountMemory(slots_full_at=slots_full_at, trouble=trouble),
    )
    return replace(made, **changes)


def newcomer(**changes: Any) -> Memory:
    """Return what a process remembers that has just fetched the pipeline, and nothing else."""
    return replace(Memory(pipeline_at=NOW - 1, home_path=HOME), **changes)


def polled(*ids: str, ago: float = 1.0, **changes: Any) -> Memory:
    """Return the memory of a process that polled these executions a moment ago."""
    return memory(polled_at=dict.fromkeys(ids, NOW - ago), **changes)


# the moment


def snapshot(
    *rows: Row,
    session: Session = CLOSED,
    files: Mapping[str, str] | None = None,
    touched: Iterable[str] = (),
    unsettled: Mapping[str, float] | None = None,
    memory: Memory | None = None,
    settings: Settings = SETTINGS,
    descriptor: model.Descriptor | None = ONE,
    outputs: Mapping[str, str] | None = None,
    marker: bool | None = None,
    **changes: Any,
) -> Snapshot:
    """Return one moment; cases are those that the files make, the marker is there while open."""
    state = State(session)
    state.apply(Changes(put=rows))
    moved, described = set(touched), descriptor if settings.pipeline_id else None
    here = {RelPath(p): state_of(c, touched=p in moved) for p, c in (files or {}).items()}
    made = Snapshot(
        NOW,
        WALL,
        settings,
        state,
        memory or newcomer(),
        described,
        files=here,
        unsettled={RelPath(p): due for p, due in (unsettled or {}).items()},
        cases=find_cases(here.keys(), here.keys(), settings, described),
        marker=session.stage in (Stage.CLAIMING, Stage.OPEN) if marker is None else marker,
        outputs={RelPath(p): stamp for p, stamp in (outputs or {}).items()},
    )
    return replace(made, **changes)


def told(
    id_: str = "e1", status: ExecutionStatus = ExecutionStatus.RUNNING, **changes: Any
) -> model.Execution:
    """Return an execution as VIP tells it."""
    made = model.Execution(id_, f"study vipsync-{ID} x", ONE.pipeline_id, status)
    return replace(made, **changes)


def attempt(error: VipsyncError, count: int = 1, pause: float = 5.0, **others: Any) -> Attempt:
    """Return what has failed `count` times and waits; five times take longer than anybody waits."""
    times = {"since": NOW - (PATIENCE if count >= 5 else 1.0), "at": NOW, **others}
    return Attempt(count, error, NOW + pause, **times)
