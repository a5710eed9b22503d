"""Everything that `act` can do, and everything that it can report: two closed unions.

Each action holds what it expects to find; `act` looks again before it touches. PURE: values only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import get_args

from vipsync.errors import VipsyncError
from vipsync.model import (
    Execution,
    FileState,
    PackKind,
    Platform,
    RelPath,
    RemoteEntry,
    VipPath,
)
from vipsync.rows import Changes, Followed, Launch, Session


@dataclass(frozen=True, slots=True)
class Decide:
    """Write a decision down; nothing else happens. `requests` are carried out by it."""

    why: str
    changes: Changes
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FetchPipeline:
    """Read the pipeline's descriptor."""

    pipeline_id: str


@dataclass(frozen=True, slots=True)
class LookAtHome:
    """Look whether the session's folder is on VIP, and whose id it carries."""

    home: VipPath


@dataclass(frozen=True, slots=True)
class Open:
    """Write the marker, before the first effect on VIP; the intent is the opened session."""

    session: Session


@dataclass(frozen=True, slots=True)
class WriteMarker:
    """Put the marker (back) in its place."""


@dataclass(frozen=True, slots=True)
class DeleteMarker:
    """Delete the marker, where a person asked for `finish` in words instead."""


@dataclass(frozen=True, slots=True)
class TakeLease:
    """Tell the session folder that lends its inputs that they are in use."""

    lender: str
    wall: float


@dataclass(frozen=True, slots=True)
class ReturnLease:
    """Tell the session folder that lent its inputs that they are no longer in use."""

    lender: str


@dataclass(frozen=True, slots=True)
class DropLease:
    """Forget that another session uses our inputs: a person knows better."""

    session_id: str


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make one folder on VIP; its parent is there."""

    path: VipPath


@dataclass(frozen=True, slots=True)
class ClaimHome:
    """Put our id into the session's folder, in which nothing lies that could be somebody else's.

    `named`: a session_data.json says that what lies there is ours.
    """

    home: VipPath
    path: VipPath
    named: bool = False


@dataclass(frozen=True, slots=True)
class HashFile:
    """Read a local file to learn whether its content is another one."""

    path: RelPath
    state: FileState


@dataclass(frozen=True, slots=True)
class SendFile:
    """Send a local file that is in `state` to a place on VIP that nothing has used."""

    vip: VipPath
    path: RelPath
    state: FileState


@dataclass(frozen=True, slots=True)
class SendPack:
    """Pack a local folder and send the archive; `members` are its files in the states expected.

    The same members give the same bytes, so that a doubtful attempt is settled by trying again:
    what lies there in the right size came from this very intent.
    """

    vip: VipPath
    folder: RelPath
    kind: PackKind
    members: tuple[tuple[RelPath, FileState], ...]

    @property
    def state(self) -> FileState:
        """The members taken together as one file; its size is that before packing."""
        return FileState(sum(state.size for _, state in self.members), 0, 0, 0)


@dataclass(frozen=True, slots=True)
class LookAtFolder:
    """List a folder of inputs on VIP, to see whether the files are there in their size."""

    path: VipPath


@dataclass(frozen=True, slots=True)
class StartExecution:
    """Post an execution once; the intent is its `Launch` row."""

    launch: Launch


@dataclass(frozen=True, slots=True)
class FindExecutions:
    """List the account's executions to find those with this session's mark in their name."""

    mark: str


@dataclass(frozen=True, slots=True)
class Poll:
    """Read one execution with its jobs."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class ListResults:
    """List everything in the results folder of an execution that is over."""

    execution: Followed


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Bring a file of the results to outputs/, whole or not at all; unpack it where it is a tar."""

    vip: VipPath
    size: int
    local: RelPath
    unpack: bool
    keep_archive: bool


@dataclass(frozen=True, slots=True)
class FetchLogs:
    """Bring the logs of a failed job to outputs/."""

    execution_id: str
    job: int
    folder: RelPath


@dataclass(frozen=True, slots=True)
class Kill:
    """Ask VIP to stop an execution, after it was seen running there once more."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class RemoveTree:
    """Remove a folder of this session from VIP, after its id was seen there once more.

    `asked`: when a removal was last asked for before this one (UTC s). `ids` are those that must be
    seen there instead, where a person said by its name that the folder may go.
    """

    path: VipPath
    home: VipPath
    id_folder: VipPath
    asked: float | None = None
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CheckRemoved:
    """Look whether a folder has gone from VIP."""

    path: VipPath


Action = (
    Decide
    | FetchPipeline
    | LookAtHome
    | Open
    | WriteMarker
    | DeleteMarker
    | TakeLease
    | ReturnLease
    | DropLease
    | MakeFolder
    | ClaimHome
    | HashFile
    | SendFile
    | SendPack
    | LookAtFolder
    | StartExecution
    | FindExecutions
    | Poll
    | ListResults
    | FetchResult
    | FetchLogs
    | Kill
    | RemoveTree
    | CheckRemoved
)

INLINE = (Decide, Open, WriteMarker, DeleteMarker, TakeLease, ReturnLease, DropLease)
"""Actions that are carried out at once, in order: what follows may rest on them."""

LOCAL = (*INLINE, HashFile)
"""Actions that need no answer from VIP."""


def key(action: Action) -> str:
    """Name what is to be done: equal whenever it is the same thing, whatever is expected of it.

    Attempts and what is under way are kept by this name, apart from the plan.
    """
    match action:
        case StartExecution():
            subject = action.launch.name
        case ListResults():
            subject = action.execution.id
        case FetchLogs():
            subject = f"{action.execution_id} {action.job}"
        case Open() | WriteMarker() | DeleteMarker():
            subject = ""
        case _:
            subject = getattr(action, _FIRST_FIELD[type(action)])
    return f"{type(action).__name__} {subject}"


_FIRST_FIELD = {kind: fields(kind)[0].name for kind in get_args(Action) if fields(kind)}


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, and there is nothing more to say. `sure`: VIP has said so."""

    sure: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """It was not done, or nobody knows: `error` says which."""

    error: VipsyncError


@dataclass(frozen=True, slots=True)
class PipelineFetched:
    """The descriptor, as JSON text."""

    raw: str


@dataclass(frozen=True, slots=True)
class HomeSeen:
    """Whose ids lie in the session's folder; `exists` is False where the folder is not there.

    `empty`: nothing lies in it but ids. `folders`: those of its path that are there.
    """

    exists: bool
    ids: tuple[str, ...]
    empty: bool
    folders: tuple[VipPath, ...]
    platform: Platform
    key_print: str


@dataclass(frozen=True, slots=True)
class FileHashed:
    """The content of a local file in the state that was expected."""

    sha256: str


@dataclass(frozen=True, slots=True)
class FileSent:
    """VIP took the whole file; `sha256` is what was sent."""

    sha256: str


@dataclass(frozen=True, slots=True)
class PackSent:
    """The archive lies on VIP in its `size`, in bytes; `hashes` are those of its members."""

    size: int
    hashes: tuple[tuple[RelPath, str], ...]


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """What lies in a folder on VIP; None where the folder is not there."""

    entries: tuple[RemoteEntry, ...] | None


@dataclass(frozen=True, slots=True)
class Started:
    """VIP answered the POST with an execution."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class ExecutionsSeen:
    """The account's executions whose name bears this session's id, newest first.

    `whole` is False where the list was cut at VIP's limit, and so proves no absence.
    """

    executions: tuple[Execution, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Polled:
    """What VIP tells of an execution; None where it was deleted there."""

    execution: Execution | None


@dataclass(frozen=True, slots=True)
class ResultsListed:
    """Every file below the results folder, with its size."""

    entries: tuple[RemoteEntry, ...]


@dataclass(frozen=True, slots=True)
class ResultHere:
    """A result is complete in outputs/. `reason`: why an archive was left packed."""

    local: RelPath
    unpacked: bool
    stamp: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RemovalSeen:
    """Whether the folder has gone."""

    gone: bool


Outcome = (
    Done
    | Failed
    | PipelineFetched
    | HomeSeen
    | FileHashed
    | FileSent
    | PackSent
    | FolderSeen
    | Started
    | ExecutionsSeen
    | Polled
    | ResultsListed
    | ResultHere
    | RemovalSeen
)
