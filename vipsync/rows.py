"""What the ledger holds: observations and intents, one frozen row for each fact.

A row's first field is its key. Nothing here is a to-do list: what is to be done is worked out anew
from these rows and from what is seen. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from vipsync.model import (
    Execution,
    ExecutionStatus,
    ExpectedOutput,
    FileState,
    Job,
    Odd,
    RelPath,
    VipPath,
    replace,
)


class Phase(StrEnum):
    """Where a session stands, as people are told (house 3)."""

    CLOSED = "closed"
    OPEN = "open"
    FINISHING = "finishing"
    REMOVING = "removing"


class Stage(StrEnum):
    """Where a session stands. `lifecycle` has the ways from one stage to the next."""

    CLOSED = "closed"
    CLAIMING = "claiming"  # its folder on VIP is being made, and not yet seen to be ours
    OPEN = "open"
    ENDING = "ending"  # cases that were not launched are being set aside
    DRAINING = "draining"  # executions, results and doubts are waited for
    REMOVING = "removing"  # VIP is about to be asked to remove the data
    ASKED = "asked"  # VIP may have been asked: there is no way back


_PHASES = {
    Stage.CLOSED: Phase.CLOSED,
    Stage.CLAIMING: Phase.OPEN,
    Stage.OPEN: Phase.OPEN,
    Stage.ENDING: Phase.FINISHING,
    Stage.DRAINING: Phase.FINISHING,
    Stage.REMOVING: Phase.REMOVING,
    Stage.ASKED: Phase.REMOVING,
}


class Session(Struct, frozen=True):
    """The one row about the session itself.

    While it is not closed, name, portal and the places on VIP are pinned. `key_print` tells keys
    apart without holding one. `named`: a session_data.json says that `home` is this folder's. `adopting`: cases that are complete at the
    first full look count as launched before. `marked`: the marker was written, so that its absence
    means something. `removal_asked_at`: VIP was asked to remove the data, and they were not seen
    gone since (UTC s). `unanswered_at`: when a transfer last ended without a clear answer; VIP may go
    on with it (facts 3.5), even where a later one has succeeded (UTC s). `asked_for`: the statuses of
    executions whose results a script wants here, joined by commas. `adopted`: another program, or a
    ledger that was lost, has put data there. `waived`: paths on VIP that may go with it, by a person's
    word, though nobody knows whose they are. `gate`: the gate that has judged all that
    lies on VIP. `pinned`: device, inode and path of
    an inputs folder that lies outside the session's, as far as they tell one from another.
    """

    id: str
    stage: Stage = Stage.CLOSED
    session_name: str = ""
    portal: str = ""
    key_print: str = ""
    home: VipPath = VipPath("")
    vip_input_dir: VipPath = VipPath("")
    vip_output_dir: VipPath = VipPath("")
    named: bool = False
    adopting: bool = False
    marked: bool = False
    paused: bool = False
    opened_at: float | None = None
    kill: bool = False
    removal_asked_at: float | None = None
    unanswered_at: float | None = None
    asked_for: str | None = None
    adopted: bool | None = None
    waived: tuple[str, ...] | None = None
    gate: str | None = None
    pinned: str | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands, as people are told."""
        return _PHASES[self.stage]

    @property
    def owned(self) -> bool:
        """True once our id was seen in its folder on VIP."""
        return self.stage not in (Stage.CLOSED, Stage.CLAIMING)

    @property
    def id_folder(self) -> VipPath:
        """Where the session's id lies on VIP."""
        return VipPath(f"{self.home}/vipsync-{self.id}")


class Known(Struct, frozen=True, gc=False):
    """A local file whose content is known: its hash belongs to this very state."""

    path: RelPath
    state: FileState
    sha256: str


Fields = tuple[tuple[str, int], ...]
"""Fields that are filled, and how many times; never a value."""


class Found(Struct, frozen=True, gc=False):
    """What the privacy gate found in one content under one policy: fields and counts, never a value.

    `refused` may not go to VIP, `told` may; `accepted` may because settings say so, and for no other reason. `unknown` is why the content was not understood, "" where it was.
    `names` are parts of paths, or other names, that hold an identity found inside, each with its field. `bare`:
    no field is filled at all, whatever the policy.
    """

    refused: Fields = ()
    told: Fields = ()
    unknown: str = ""
    format: str = ""
    unchecked: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    bare: bool = False
    accepted: Fields = ()


class Checked(Struct, frozen=True, gc=False):
    """The verdict of the privacy gate on the file of this path with this very content.

    `gate` tells versions of the gate and policies apart, `called` the names that were compared with the content.
    """

    path: RelPath
    sha256: str
    gate: str
    called: str
    found: Found


class SendStatus(StrEnum):
    """How sure it is that a file lies on VIP as it was sent."""

    TRYING = "trying"  # the intent, or a transfer whose end is not known
    ANSWERED = "answered"  # VIP said 201; its size was not looked at yet
    SENT = "sent"
    WRONG = "wrong"  # another size lies there: this path is never used again
    REMOVED = "removed"  # it went from VIP when the session was finished


def member_mark(sha256: str) -> str:
    """Return what tells a file of an archive from its others."""
    return sha256[:12]


class Sent(Struct, frozen=True, gc=False):
    """One file at one place on VIP, written down before the first byte left.

    A place belongs to one content for ever: other content gets another place. `sha256` is empty
    until the content was read to its end. `filled`: what names somebody in it, let through by the settings of that
    time, or refused since. `members`: of an archive, what the hashes of its files begin with; None where an
    earlier vipsync has packed it.
    """

    vip: VipPath
    path: RelPath
    state: FileState
    status: SendStatus = SendStatus.TRYING
    sha256: str = ""
    at: float = 0.0
    filled: Fields | None = None
    members: str | None = None

    def may_hold(self, sha256: str) -> bool:
        """Tell whether a file of this content may be in an archive."""
        return self.members is None or member_mark(sha256) in self.members.split()

    @property
    def size(self) -> int:
        """Bytes that must lie there."""
        return self.state.size


class LaunchStatus(StrEnum):
    """How sure it is that an execution was started."""

    INTENDED = "intended"  # written before the POST: after any doubt, look for the name
    STARTED = "started"
    REFUSED = "refused"  # VIP said no, for good
    WITHDRAWN = "withdrawn"  # never sent, or proven not to have arrived


class LaunchedCase(Struct, frozen=True):
    """A case as it was launched.

    `content` is the hash of its own files and names, `settings` that of everything else.
    `expected` is what its jobs are to write. `job` is the number of its only job, 0 where VIP does
    not say which one that is (facts 5.4). `values` are its own where the launch has several.
    """

    id: str
    content: str
    own: tuple[tuple[RelPath, str], ...] = ()
    expected: tuple[ExpectedOutput, ...] = ()
    settings: str = ""
    job: int = 0
    values: Mapping[str, str] = {}


class Launch(Struct, frozen=True):
    """One execution that was to be started, written down before it was tried.

    `name` is made from the session, the contents of the cases, the request and the run, so that
    another process recognises it on VIP. `values` is what is posted. `run` counts from 1 to `runs`.
    `shared` are the files that all cases use, with their hashes. `refusals`: how often in a row VIP
    said no to these values for the moment (8000), and was proven not to have started it. `privacy`: what a person let
    through the privacy gate by then, with the reasons.
    """

    name: str
    cases: tuple[LaunchedCase, ...]
    pipeline_id: str
    values: Mapping[str, tuple[str, ...]]
    results_location: VipPath
    jobs: int
    request: str = ""
    run: int = 1
    runs: int = 1
    status: LaunchStatus = LaunchStatus.INTENDED
    execution_id: str = ""
    at: float = 0.0
    reason: str = ""
    shared: tuple[tuple[RelPath, str], ...] = ()
    refusals: int | None = None
    privacy: str | None = None


class Followed(Struct, frozen=True):
    """One execution of the session as VIP last told it. Times in seconds since the epoch.

    `kill_wanted`: it is to be stopped, or was by a process that died. `listed`: after its end, everything in its results folder became a `Result`.
    `logs`: the jobs whose logs are here. `gone`: VIP no longer knows it. `removed`: its results
    were removed from VIP with the session's folder.
    """

    id: str
    name: str
    pipeline_id: str
    status: ExecutionStatus
    started: float | None = None
    input_values: Mapping[str, str] = {}
    results_folder: VipPath | None = None
    returned: tuple[VipPath, ...] = ()
    jobs: tuple[Job, ...] = ()
    changed_at: float = 0.0
    ended_at: float | None = None
    killed_by_us: bool = False
    kill_wanted: bool = False
    listed: bool = False
    logs: tuple[int, ...] = ()
    gone: bool = False
    removed: bool = False

    @property
    def over(self) -> bool:
        """True when nothing more can come from its jobs."""
        return self.gone or self.status.ended


class ResultStatus(StrEnum):
    """What became of one file of the results."""

    WANTED = "wanted"
    HERE = "here"
    REFUSED = "refused"  # it cannot come; `reason` says why
    LET_GO = "let go"  # a person said that it is not needed


UNREADABLE = "unreadable"
"""What a result looks like that lies here where this account cannot look."""


class Result(Struct, frozen=True):
    """One file of the results on VIP and what it is here.

    `local` is the file or unpacked folder below outputs/, `stamp` what it looked like when it was
    complete and verified. `reason` also says why an archive that is here was not
    unpacked, or what was left out of it.
    """

    vip: VipPath
    execution_id: str
    size: int
    local: RelPath = RelPath("")
    status: ResultStatus = ResultStatus.WANTED
    unpacked: bool = False
    stamp: str = ""
    reason: str = ""
    at: float = 0.0

    @property
    def odd(self) -> bool:
        """True while VIP lists it in a way in which nobody can ask for it."""
        return self.status is ResultStatus.REFUSED and self.reason in _ODD


_ODD = frozenset(Odd)


def was_here(result: Result) -> bool:
    """Tell whether a result came, though a person may miss it no more."""
    return result.status is ResultStatus.HERE or (
        result.status is ResultStatus.LET_GO and bool(result.stamp)
    )


class JobLog(Struct, frozen=True):
    """What a failed job said last. `key`: its execution and its number.

    `files` are its logs below outputs/, the one with these words first; none where VIP has none.
    `said` are the last lines of the application itself, `reason` the one that says why.
    """

    key: str
    files: tuple[RelPath, ...] = ()
    reason: str = ""
    said: tuple[str, ...] = ()


def log_key(execution_id: str, job: int) -> str:
    """Return the key of what a job said."""
    return f"{execution_id} {job}"


class Verdict(StrEnum):
    """What was decided for a case beyond the rule "launch it once"."""

    ASIDE = "aside"  # not launched: the session was being finished
    BEFORE = "before"  # not launched: it was complete when the folder was adopted
    DROPPED = "dropped"  # not launched: a person cancelled it
    GO = "go"  # a person wants it launched now
    AGAIN = "again"  # a person wants it launched once more


class Judged(Struct, frozen=True):
    """The verdict on a case with this content; `request` is the one that asked for its launch.

    `at`: when it was set aside (UTC s).
    """

    content: str
    case_id: str
    verdict: Verdict
    request: str = ""
    at: float | None = None


class CachedPipeline(Struct, frozen=True):
    """The descriptor of a pipeline as VIP gave it (JSON text)."""

    pipeline_id: str
    raw: str


class LastSettings(Struct, frozen=True):
    """The last valid settings.toml, for following and mirroring while it is broken (key: "text")."""

    key: str
    text: str


class DoneRequest(Struct, frozen=True):
    """A request that was carried out; its file may be deleted."""

    id: str


Row = (
    Session
    | Known
    | Checked
    | Sent
    | Launch
    | Followed
    | Result
    | Judged
    | CachedPipeline
    | LastSettings
    | DoneRequest
    | JobLog
)


class Changes(Struct, frozen=True):
    """Rows to put and rows to drop, in one transaction."""

    put: tuple[Row, ...] = ()
    drop: tuple[Row, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


class SentIndex(Struct):
    """Where the files of one path, and those of one folder on VIP, are among what was sent.

    Made when it is first asked for: a session at rest, one of hundreds, never does.
    """

    by_path: dict[RelPath, tuple[VipPath, ...]] = {}
    by_folder: dict[str, dict[VipPath, None]] = {}

    def put(self, row: Sent, before: Sent | None) -> None:
        """Take a row in, in place of the one before at the same place."""
        if before is not None and before.path != row.path:
            self._forget(before)
        places = self.by_path.get(row.path, ())
        if row.vip not in places:
            self.by_path[row.path] = (*places, row.vip)
        self.by_folder.setdefault(_folder(row.vip), {})[row.vip] = None

    def drop(self, row: Sent) -> None:
        """Forget a row."""
        self._forget(row)
        del self.by_folder[_folder(row.vip)][row.vip]

    def _forget(self, row: Sent) -> None:
        """Take a place out of those of its path: few, one for each content that the file ever had."""
        self.by_path[row.path] = tuple(vip for vip in self.by_path[row.path] if vip != row.vip)


def _folder(vip: VipPath) -> str:
    return vip.rpartition("/")[0]


@dataclass(slots=True)
class State:
    """All rows of a ledger, by key. Only the ledger changes it; everybody else reads.

    `version` counts the changes: equal versions of one state are equal. `suspect` are the verdicts of `checked`
    by which something may not go to VIP, `filled` the rows of `sent` in whose content something names somebody.
    """

    session: Session
    known: dict[RelPath, Known] = field(default_factory=dict)
    checked: dict[RelPath, Checked] = field(default_factory=dict)
    suspect: dict[RelPath, Checked] = field(default_factory=dict)
    sent: dict[VipPath, Sent] = field(default_factory=dict)
    filled: dict[VipPath, Sent] = field(default_factory=dict)
    launches: dict[str, Launch] = field(default_factory=dict)
    executions: dict[str, Followed] = field(default_factory=dict)
    results: dict[VipPath, Result] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    pipelines: dict[str, CachedPipeline] = field(default_factory=dict)
    last_settings: str = ""
    requests: set[str] = field(default_factory=set)
    logs: dict[str, JobLog] = field(default_factory=dict)
    version: int = 0
    _index: SentIndex | None = field(init=False, compare=False, repr=False, default=None)

    def frozen(self) -> State:
        """Return the rows of this moment, which no later change reaches: another thread may read them."""
        rows = {f.name: copy(getattr(self, f.name)) for f in fields(self) if f.init}
        return State(**rows)

    def sent_from(self, path: RelPath) -> list[Sent]:
        """Return what was sent of one file or folder of this machine."""
        return [self.sent[vip] for vip in self._indexed().by_path.get(path, ())]

    def sent_to(self, folder: VipPath) -> list[Sent]:
        """Return what was sent right into one folder on VIP."""
        return [self.sent[vip] for vip in self._indexed().by_folder.get(folder, ())]

    def _indexed(self) -> SentIndex:
        if self._index is None:
            self._index = SentIndex()
            for row in self.sent.values():
                self._index.put(row, None)
        return self._index

    @property
    def is_new(self) -> bool:
        """Tell whether nothing was ever written down but the session's first row."""
        rows = (self.known, self.sent, self.launches, self.executions, self.results)
        others = (self.judged, self.pipelines, self.last_settings, self.requests)
        closed = self.session.phase is Phase.CLOSED and not self.session.adopting
        return closed and not any((*rows, *others))

    def holds(self, row: Row) -> bool:
        """Tell whether a row is there just so."""
        match row:
            case Session():
                return self.session == row
            case Sent():
                return self.sent.get(row.vip) == row
            case Launch():
                return self.launches.get(row.name) == row
            case Followed():
                return self.executions.get(row.id) == row
            case Result():
                return self.results.get(row.vip) == row
            case _:
                return False

    def apply(self, changes: Changes) -> None:
        """Fold changes in, in the same way as the tables do."""
        self.version += 1
        for row in changes.drop:
            self._drop(row)
        self.put(changes.put)

    def put(self, rows: Iterable[Row]) -> None:
        """Put rows in place."""
        for row in rows:
            match row:
                case Session():
                    self.session = row
                case Known():
                    self.known[row.path] = row
                case Checked():
                    self.checked[row.path] = row
                    self.suspect.pop(row.path, None)
                    if row.found.refused or row.found.names:
                        self.suspect[row.path] = row
                case Sent():
                    if self._index:
                        self._index.put(row, self.sent.get(row.vip))
                    self.sent[row.vip] = row
                    self.filled.pop(row.vip, None)
                    if row.filled:
                        self.filled[row.vip] = row
                case Launch():
                    self.launches[row.name] = row
                case Followed():
                    self.executions[row.id] = row
                case Result():
                    self.results[row.vip] = row
                case Judged():
                    self.judged[row.content] = row
                case CachedPipeline():
                    self.pipelines[row.pipeline_id] = row
                case LastSettings():
                    self.last_settings = row.text
                case DoneRequest():
                    self.requests.add(row.id)
                case JobLog():
                    self.logs[row.key] = row
                case _:
                    assert_never(row)

    def _drop(self, row: Row) -> None:
        match row:
            case Known():
                self.known.pop(row.path, None)
            case Checked():
                self.checked.pop(row.path, None)
                self.suspect.pop(row.path, None)
            case Sent():
                gone = self.sent.pop(row.vip, None)
                self.filled.pop(row.vip, None)
                if self._index and gone:
                    self._index.drop(gone)
            case Judged():
                self.judged.pop(row.content, None)
            case Result():
                self.results.pop(row.vip, None)
            case DoneRequest():
                self.requests.discard(row.id)
            case _:
                raise ValueError(f"a {type(row).__name__} row is never dropped")


def follow(execution: Execution, before: Followed | None, wall: float) -> Followed:
    """Fold what VIP tells of an execution into what was known of it.

    VIP forgets: a list or a summary has no values, jobs or files (facts 5.7), so what was told
    once stays until it is told otherwise.
    """
    old = before or Followed(
        execution.id, execution.name, execution.pipeline_id, execution.status, changed_at=wall
    )
    returned = tuple(sorted({p for paths in execution.returned_files.values() for p in paths}))
    new = replace(
        old,
        name=execution.name or old.name,
        pipeline_id=execution.pipeline_id or old.pipeline_id,
        status=execution.status,
        started=execution.started or old.started,
        input_values=dict(execution.input_values) or old.input_values,
        results_folder=execution.results_folder or old.results_folder,
        returned=returned or old.returned,
        jobs=execution.jobs or old.jobs,
        ended_at=(old.ended_at or wall) if execution.status.ended else None,
        listed=old.listed and execution.status == old.status,
        gone=False,
    )
    return old if new == old else replace(new, changed_at=wall)
