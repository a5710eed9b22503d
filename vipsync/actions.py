"""Everything that `act` can do, and everything that it can report: two closed unions.

Each action holds what it expects to find; `act` looks again before it touches. PURE: values only.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, get_args

from msgspec import Struct

from vipsync.errors import VipsyncError
from vipsync.model import (
    Execution,
    FileState,
    PackKind,
    Platform,
    PrivacySettings,
    RelPath,
    RemoteEntry,
    VipPath,
)
from vipsync.rows import Changes, Followed, Found, Launch, Session


class Decide(Struct, frozen=True):
    """Write a decision down; nothing else happens. `requests` are carried out by it."""

    why: str
    changes: Changes
    requests: tuple[str, ...] = ()


class FetchPipeline(Struct, frozen=True):
    """Read the pipeline's descriptor."""

    pipeline_id: str


class LookAtHome(Struct, frozen=True):
    """Look whether the session's folder is on VIP, and whose id it carries; `platform`: where that is known."""

    home: VipPath
    platform: Platform | None = None


class Open(Struct, frozen=True):
    """Write the marker, before the first effect on VIP; the intent is the opened session."""

    session: Session


class WriteMarker(Struct, frozen=True):
    """Put the marker (back) in its place."""


class DeleteMarker(Struct, frozen=True):
    """Delete the marker, where a person asked for `finish` in words instead."""


class TakeLease(Struct, frozen=True):
    """Tell the session folder that lends its inputs that they are in use."""

    lender: str
    wall: float


class ReturnLease(Struct, frozen=True):
    """Tell the session folder that lent its inputs that they are no longer in use."""

    lender: str


class DropLease(Struct, frozen=True):
    """Forget that another session uses our inputs: a person knows better."""

    session_id: str


class MakeFolder(Struct, frozen=True):
    """Make one folder on VIP; its parent is there."""

    path: VipPath


class ClaimHome(Struct, frozen=True):
    """Put our id into the session's folder, in which nothing lies that could be somebody else's.

    `named`: a session_data.json says that what lies there is ours.
    """

    home: VipPath
    path: VipPath
    named: bool = False


class HashFile(Struct, frozen=True):
    """Read a local file to learn whether its content is another one."""

    path: RelPath
    state: FileState


class Inspect(Struct, frozen=True):
    """Judge whether a local file that is in `state` may go to VIP, by what is in it and by its names.

    `names` are those under which VIP would know it, beside its path; `gate` tells gate and policy from others.
    `sha256`: its hash, where that is known for this very state. `beside`: files in which somebody was found.
    """

    path: RelPath
    state: FileState
    gate: str
    policy: PrivacySettings
    names: tuple[str, ...] = ()
    sha256: str = ""
    beside: tuple[RelPath, ...] = ()


class SendFile(Struct, frozen=True):
    """Send a local file that is in `state` to a place on VIP that nothing has used.

    `sha256`: the content that may go there, and no other; "" where nobody has judged it.
    """

    vip: VipPath
    path: RelPath
    state: FileState
    sha256: str = ""


class SendPack(Struct, frozen=True):
    """Pack a local folder and send the archive; `members` are its files in the states expected.

    `bare`: they are named from the folder on, without its own name.

    The same members give the same bytes, so that a doubtful attempt is settled by trying again:
    what lies there in the right size came from this very intent. `digest`: the contents of the members that may
    go there, and no others; "" where nobody has judged them.
    """

    vip: VipPath
    folder: RelPath
    kind: PackKind
    members: tuple[tuple[RelPath, FileState], ...]
    digest: str = ""
    bare: bool = False

    @property
    def state(self) -> FileState:
        """The members taken together as one file; its size is that before packing."""
        return FileState(sum(state.size for _, state in self.members), 0, 0, 0)


class LookAtFolder(Struct, frozen=True):
    """List a folder of inputs on VIP, to see whether the files are there in their size."""

    path: VipPath


class LookForFiles(Struct, frozen=True):
    """List a folder on VIP of somebody else's, to see whether `paths` in it are there."""

    folder: VipPath
    paths: tuple[VipPath, ...]


class StartExecution(Struct, frozen=True):
    """Post an execution once; the intent is its `Launch` row."""

    launch: Launch


class FindExecutions(Struct, frozen=True):
    """List the account's executions to find those with this session's mark in their name.

    A list will do that VIP was asked for after `since` (monotonic s).
    """

    mark: str
    since: float


class Poll(Struct, frozen=True):
    """Read one execution with its jobs."""

    execution_id: str


class ListResults(Struct, frozen=True):
    """List everything in the results folder of an execution that is over."""

    execution: Followed


class FetchResult(Struct, frozen=True):
    """Bring a file of the results to outputs/, whole or not at all; unpack it where it is a tar."""

    vip: VipPath
    size: int
    local: RelPath
    unpack: bool
    keep_archive: bool


class FetchLogs(Struct, frozen=True):
    """Bring the logs of a failed job to outputs/."""

    execution_id: str
    job: int
    folder: RelPath


class Kill(Struct, frozen=True):
    """Ask VIP to stop an execution, after it was seen running there once more."""

    execution_id: str


class RemoveTree(Struct, frozen=True):
    """Remove a folder of this session from VIP, after its id was seen there once more.

    `asked`: when a removal was last asked for before this one (UTC s). `ids` are those that must be
    seen there instead, where a person said by its name that the folder may go.
    """

    path: VipPath
    home: VipPath
    id_folder: VipPath
    asked: float | None = None
    ids: tuple[str, ...] | None = None


class CheckRemoved(Struct, frozen=True):
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
    | Inspect
    | SendFile
    | SendPack
    | LookAtFolder
    | LookForFiles
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

READS = (HashFile, Inspect)
"""Actions that only read a file of this machine."""

LOCAL = (*INLINE, *READS)
"""Actions that need no answer from VIP."""

SENDS = (SendFile, SendPack)
"""Actions that send what is in files."""

TRANSFERS = (*SENDS, FetchResult)
"""Actions that move files in either direction."""

ENGINE = (FetchPipeline, StartExecution, FindExecutions, Poll, Kill)
"""Actions that VIP's engine answers; the others need its storage. Each may be down alone."""


class Key(NamedTuple):
    """What is to be done, and with what: a place, an id or a name.

    Equal whenever it is the same thing, whatever is expected of it. Attempts and what is under way
    are kept by it, apart from the plan.
    """

    kind: type[Action]
    subject: str

    def __str__(self) -> str:
        return f"{self.kind.__name__} {self.subject}"


def key(action: Action) -> Key:
    """Return what is to be done, without what is expected of it."""
    kind = type(action)
    return Key(kind, _SUBJECT[kind](action))


_SUBJECT: dict[type[Action], Callable[[Any], str]] = {
    **{k: attrgetter(k.__struct_fields__[0]) for k in get_args(Action) if k.__struct_fields__},
    **dict.fromkeys((Open, WriteMarker, DeleteMarker), lambda _: ""),
    StartExecution: attrgetter("launch.name"),
    ListResults: attrgetter("execution.id"),
    FetchLogs: lambda action: f"{action.execution_id} {action.job}",
}


class Done(Struct, frozen=True):
    """It was done, and there is nothing more to say. `sure`: VIP has said so."""

    sure: bool = True


class Failed(Struct, frozen=True):
    """It was not done, or nobody knows: `error` says which."""

    error: VipsyncError


class PipelineFetched(Struct, frozen=True):
    """The descriptor, as JSON text."""

    raw: str


class HomeSeen(Struct, frozen=True):
    """Whose ids lie in the session's folder; `exists` is False where the folder is not there.

    `empty`: nothing lies in it but ids. `folders`: those of its path that are there.
    """

    exists: bool
    ids: tuple[str, ...]
    empty: bool
    folders: tuple[VipPath, ...]
    platform: Platform
    key_print: str


class FileHashed(Struct, frozen=True):
    """The content of a local file in the state that was expected."""

    sha256: str


class FileInspected(Struct, frozen=True):
    """What the privacy gate found in a file whose content has this hash."""

    sha256: str
    found: Found


class FileSent(Struct, frozen=True):
    """VIP took the whole file; `sha256` is what was sent."""

    sha256: str


class PackSent(Struct, frozen=True):
    """The archive lies on VIP in its `size`, in bytes; `hashes` are those of its members."""

    size: int
    hashes: tuple[tuple[RelPath, str], ...]


class FolderSeen(Struct, frozen=True):
    """What lies in a folder on VIP; None where the folder is not there."""

    entries: tuple[RemoteEntry, ...] | None


class FilesSeen(Struct, frozen=True):
    """What lies in a folder that was asked for, or in `folder`, the deepest above it that is there."""

    folder: VipPath
    entries: tuple[VipPath, ...]


class Started(Struct, frozen=True):
    """VIP answered the POST with an execution."""

    execution: Execution


class ExecutionsSeen(Struct, frozen=True):
    """The account's executions whose name bears this session's id, newest first.

    `whole` is False where the list was cut at VIP's limit, and so proves no absence. `at` is when VIP
    was asked (monotonic s).
    """

    executions: tuple[Execution, ...]
    whole: bool
    at: float


class Polled(Struct, frozen=True):
    """What VIP tells of an execution; None where it was deleted there."""

    execution: Execution | None


class ResultsListed(Struct, frozen=True):
    """Every file below the results folder, with its size."""

    entries: tuple[RemoteEntry, ...]


class ResultHere(Struct, frozen=True):
    """A result is complete in outputs/. `reason`: why an archive was left packed."""

    local: RelPath
    unpacked: bool
    stamp: str
    reason: str = ""


class LogsHere(Struct, frozen=True):
    """The logs of a failed job are in outputs/, and what the job said last.

    `files`: those that VIP has, the one with these words first.
    """

    files: tuple[RelPath, ...] = ()
    reason: str = ""
    said: tuple[str, ...] = ()


class RemovalSeen(Struct, frozen=True):
    """Whether the folder has gone."""

    gone: bool


Outcome = (
    Done
    | Failed
    | PipelineFetched
    | HomeSeen
    | FileHashed
    | FileInspected
    | FileSent
    | PackSent
    | FolderSeen
    | FilesSeen
    | Started
    | ExecutionsSeen
    | Polled
    | ResultsListed
    | ResultHere
    | LogsHere
    | RemovalSeen
)
