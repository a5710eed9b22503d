"""Fold an intent, or an outcome, into ledger rows: what is now true. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from vipsync import actions as do
from vipsync.errors import (
    GenericVipError,
    InvalidInput,
    PathForbidden,
    PipelineUnavailable,
    SlotsFull,
    TooLarge,
    TransferMismatch,
    VipsyncError,
)
from vipsync.model import FileState, Odd, RelPath, RemoteEntry, VipPath, replace
from vipsync.record.digests import members_digest, names_digest, states_digest
from vipsync.record.lifecycle import Event, can, step
from vipsync.rows import (
    CachedPipeline,
    Changes,
    Checked,
    Fields,
    Followed,
    Found,
    JobLog,
    Known,
    Launch,
    LaunchStatus,
    Result,
    ResultStatus,
    Row,
    SendStatus,
    Sent,
    State,
    follow,
    log_key,
    member_mark,
)

NOTHING = Changes()

PACKED = FileState(-1, 0, 0, 0)
"""The state of an archive of our own making, as long as its size is not known."""


def intent(action: do.Action, state: State, wall: float) -> Changes:
    """Return what must be on disk before the action is tried."""
    match action:
        case do.Decide():
            return action.changes
        case do.SendFile():
            before = state.sent.get(action.vip)
            retried = before is not None and before.state == action.state
            sha256 = before.sha256 if before and retried else ""
            filled = _filled(((action.path, action.sha256),), state)
            trying = Sent(
                action.vip, action.path, action.state, sha256=sha256, at=wall, filled=filled
            )
            return Changes(put=(trying,))
        case do.SendPack():
            digest = states_digest(action.members, _bare(action))
            known = ((p, state.known[p].sha256) for p, _ in action.members if p in state.known)
            filled = _filled(known, state)
            trying = Sent(action.vip, action.folder, PACKED, sha256=digest, at=wall, filled=filled)
            return Changes(put=(trying,))
        case do.StartExecution():
            return Changes(put=(_intended(action.launch, state, wall),))
        case do.Kill():
            wanted = replace(state.executions[action.execution_id], kill_wanted=True)
            return Changes(put=(wanted,))
        case do.RemoveTree():
            asked = step(state.session, Event.REMOVAL_ASKED, removal_asked_at=wall)
            return Changes(put=(asked,))
        case _:
            return NOTHING


def record(action: do.Action, outcome: do.Outcome, state: State, wall: float) -> Changes:
    """Return what is true now that the action has come to this outcome."""
    if isinstance(outcome, do.Failed):
        return _failed(action, outcome.error, state, wall)
    match action, outcome:
        case do.FetchPipeline(), do.PipelineFetched():
            return Changes(put=(CachedPipeline(action.pipeline_id, outcome.raw),))
        case do.Open(), _:
            return Changes(put=(action.session,))
        case do.HashFile(), do.FileHashed():
            return Changes(put=tuple(_hashed(action, outcome.sha256, state)))
        case do.Inspect(), do.FileInspected():
            return Changes(put=tuple(_inspected(action, outcome, state)))
        case do.SendFile(), do.FileSent():
            return Changes(put=tuple(_sent(action, outcome.sha256, state, wall)))
        case do.SendPack(), do.PackSent():
            return Changes(put=tuple(_pack_sent(action, outcome, state, wall)))
        case do.LookAtFolder(), do.FolderSeen():
            return Changes(put=tuple(_folder_seen(action.path, outcome.entries, state)))
        case do.StartExecution(), do.Started():
            id_ = outcome.execution.id
            started = replace(action.launch, status=LaunchStatus.STARTED, execution_id=id_, at=wall)
            return Changes(
                put=(started, follow(outcome.execution, state.executions.get(id_), wall))
            )
        case do.FindExecutions(), do.ExecutionsSeen():
            return Changes(put=tuple(_found(outcome, state, wall)))
        case ((do.Poll() | do.Kill()), do.Polled()):
            return Changes(put=tuple(_polled(action.execution_id, outcome, state, wall)))
        case do.ListResults(), do.ResultsListed():
            return _listed(action.execution, outcome, state, wall)
        case do.FetchResult(), do.ResultHere():
            return Changes(put=(_here(state.results[action.vip], outcome, wall),))
        case do.Kill(), _:
            killed = replace(state.executions[action.execution_id], killed_by_us=True)
            return Changes(put=(killed,))
        case do.WriteMarker(), _:
            return Changes(put=(replace(state.session, marked=True),))
        case do.FetchLogs(), do.LogsHere():
            return Changes(put=tuple(_logs_here(action, outcome, state)))
        case _:
            return NOTHING


def _intended(launch: Launch, state: State, wall: float) -> Launch:
    """Return the intent to start an execution; what VIP said to others of its name is not forgotten."""
    before = state.launches.get(launch.name)
    same = before and (before.pipeline_id, before.values) == (launch.pipeline_id, launch.values)
    refusals = before.refusals if before and same else None
    return replace(launch, status=LaunchStatus.INTENDED, at=wall, refusals=refusals)


def _failed(action: do.Action, error: VipsyncError, state: State, wall: float) -> Changes:
    """Say which failures are final; every other leaves the intent standing, in doubt."""
    session = state.session
    match action:
        case do.StartExecution(launch=launch) if isinstance(error, SlotsFull):
            return Changes(put=(replace(launch, status=LaunchStatus.WITHDRAWN),))
        case do.StartExecution(launch=launch) if isinstance(
            error, (InvalidInput, PathForbidden, PipelineUnavailable)
        ):
            refused = replace(launch, status=LaunchStatus.REFUSED, reason=str(error))
            return Changes(put=(refused,))
        case do.StartExecution(launch=launch) if isinstance(error, GenericVipError):
            there = state.launches.get(launch.name, launch)
            return Changes(put=(replace(there, reason=error.message),))
        case do.SendPack() if isinstance(error, TransferMismatch):
            wrong = replace(state.sent[action.vip], status=SendStatus.WRONG)
            return Changes(put=(replace(session, unanswered_at=wall), wrong))
        case do.SendFile() | do.SendPack():
            return Changes(put=(replace(session, unanswered_at=wall),))
        case do.RemoveTree():  # it failed while looking: this time nothing was asked for
            if action.asked is None:
                return Changes(put=(step(session, Event.NEVER_ASKED, removal_asked_at=None),))
            return Changes(put=(replace(session, removal_asked_at=action.asked),))
        case do.FetchResult() if isinstance(error, TooLarge):
            result = state.results[action.vip]
            if result.status is ResultStatus.HERE:
                return NOTHING  # it was here once: it holds up nothing
            refused_result = replace(result, status=ResultStatus.REFUSED, reason=str(error))
            return Changes(put=(refused_result,))
        case _:
            return NOTHING


def _inspected(action: do.Inspect, outcome: do.FileInspected, state: State) -> Iterable[Row]:
    if outcome.sha256 != action.sha256:
        yield from _hashed(action, outcome.sha256, state)
    called, found = names_digest(action.names), _shared(outcome.found)
    yield Checked(action.path, outcome.sha256, action.gate, called, found)
    filled = tuple(sorted({*found.refused, *found.accepted}))
    for row in state.sent_from(action.path) if found.refused else ():
        if row.sha256 == outcome.sha256 and row.filled != filled:
            yield replace(row, filled=filled)


def _filled(contents: Iterable[tuple[RelPath, str]], state: State) -> Fields | None:
    """Return what the settings let through in these contents, by the verdicts on them."""
    fields: Counter[str] = Counter()
    for path, sha256 in contents:
        row = state.checked.get(path)
        if row and row.sha256 == sha256 and row.found.accepted:
            fields.update(dict(row.found.accepted))
    return tuple(sorted(fields.items())) or None


@lru_cache(maxsize=1024)
def _shared(found: Found) -> Found:
    """Return equal findings as one object: most files of a session have the same."""
    return found


def _hashed(action: do.HashFile | do.Inspect, sha256: str, state: State) -> Iterable[Row]:
    """Know the content; a transfer of this very state whose end was unknown has it too."""
    yield Known(action.path, action.state, sha256)
    for row in state.sent_from(action.path):
        if row.state == action.state and not row.sha256:
            # Answered without a hash means: it was seen there in its size after a crash.
            seen = row.status is SendStatus.ANSWERED
            yield replace(row, sha256=sha256, status=SendStatus.SENT if seen else row.status)


def _sent(action: do.SendFile, sha256: str, state: State, wall: float) -> Iterable[Row]:
    sha256 = action.sha256 if action.sha256 == sha256 else sha256  # one text in memory, not two
    yield Known(action.path, action.state, sha256)
    filled = _filled(((action.path, sha256),), state)
    yield Sent(action.vip, action.path, action.state, SendStatus.ANSWERED, sha256, wall, filled)


def _pack_sent(
    action: do.SendPack, outcome: do.PackSent, state: State, wall: float
) -> Iterable[Row]:
    states = dict(action.members)
    for path, sha256 in outcome.hashes:
        yield Known(path, states[path], sha256)
    size = replace(PACKED, size=outcome.size)
    digest = members_digest(outcome.hashes, _bare(action))
    filled = _filled(outcome.hashes, state)
    members = " ".join(sorted({member_mark(sha256) for _, sha256 in outcome.hashes}))
    yield Sent(action.vip, action.folder, size, SendStatus.SENT, digest, wall, filled, members)


def _bare(action: do.SendPack) -> RelPath | None:
    return action.folder if action.bare else None


def _folder_seen(
    folder: VipPath, entries: tuple[RemoteEntry, ...] | None, state: State
) -> Iterable[Row]:
    """Judge every file that was sent to this folder by what lies there now.

    The equal size counts as sent only together with our own intent, and with a known hash.
    """
    sizes = {e.path: e.size for e in entries or () if not e.is_folder}
    for row in state.sent_to(folder):
        if row.status in (SendStatus.WRONG, SendStatus.REMOVED):
            continue
        if row.state == PACKED:
            continue  # nobody knows its size yet
        size = sizes.get(row.vip)
        if size is None:
            status = SendStatus.TRYING
        elif size != row.size:
            status = SendStatus.WRONG
        else:
            status = SendStatus.SENT if row.sha256 else SendStatus.ANSWERED
        if status is not row.status:
            yield replace(row, status=status)


def _found(outcome: do.ExecutionsSeen, state: State, wall: float) -> Iterable[Row]:
    """Recognise our launches by name; executions of ours that the ledger never knew are adopted.

    They mean that this ledger is an older copy: what is complete now counts as launched before.
    """
    foreign = False
    for execution in outcome.executions:
        launch = state.launches.get(execution.name)
        if launch and launch.status in (LaunchStatus.INTENDED, LaunchStatus.WITHDRAWN):
            yield replace(launch, status=LaunchStatus.STARTED, execution_id=execution.id, reason="")
        foreign = foreign or (launch is None and execution.id not in state.executions)
        if execution.id not in state.executions:
            yield follow(execution, None, wall)
    if foreign:
        session = state.session
        if can(session, Event.FOREIGN_FOUND):  # their results are not here yet
            session = step(session, Event.FOREIGN_FOUND)
        yield replace(session, adopting=True)


def _polled(execution_id: str, outcome: do.Polled, state: State, wall: float) -> Iterable[Row]:
    before = state.executions[execution_id]
    if outcome.execution is None:
        yield replace(before, gone=True, changed_at=wall)
        return
    now = follow(outcome.execution, before, wall)
    if now is not before:
        yield now


LATE_LISTS = 120.0
"""Seconds after the end of an execution for which its results may be missing in a list."""


def _listed(seen: Followed, outcome: do.ResultsListed, state: State, wall: float) -> Changes:
    """Want every file that a job has returned; after the end, every file in the results folder.

    What VIP lists oddly is refused for as long as it does. A list that lacks what was returned is not
    believed in the first two minutes: lists may be late.
    """
    execution = state.executions[seen.id]
    returned = set(execution.returned)
    put: list[Row] = []
    for entry in outcome.entries:
        if seen.over or entry.path in returned:
            odd = entry.odd
            put += (
                _refused(entry, odd, execution, state) if odd else _wanted(entry, execution, state)
            )
    there = {entry.path for entry in outcome.entries}
    late = abs(wall - (execution.ended_at or 0.0)) >= LATE_LISTS
    whole = late or all(path in there or path in state.results for path in returned)
    if seen.over and execution.status == seen.status and whole and not execution.listed:
        put.append(replace(execution, listed=True))
    odd_ones = (r for r in state.results.values() if r.odd and r.execution_id == execution.id)
    gone = (r for r in odd_ones if r.vip not in there)
    return Changes(put=tuple(put), drop=tuple(gone) if seen.over else ())


def _refused(entry: RemoteEntry, odd: Odd, execution: Followed, state: State) -> Iterable[Row]:
    before = state.results.get(entry.path)
    if before is None or (before.odd and before.reason != odd):
        refused = ResultStatus.REFUSED
        yield Result(entry.path, execution.id, 0, status=refused, reason=odd.value)


def _wanted(entry: RemoteEntry, execution: Followed, state: State) -> Iterable[Row]:
    before = state.results.get(entry.path)
    changed = before is not None and before.size != entry.size
    if before is None or (before.status is ResultStatus.WANTED and changed) or before.odd:
        yield Result(entry.path, execution.id, entry.size)
    elif before.status is ResultStatus.HERE and changed:
        # Another size on VIP: what is here stays, the new one comes beside it.
        yield replace(before, size=entry.size, status=ResultStatus.WANTED)


def _logs_here(action: do.FetchLogs, outcome: do.LogsHere, state: State) -> Iterable[Row]:
    """Know what a job said last, and that its logs need not be asked for again."""
    key = log_key(action.execution_id, action.job)
    yield JobLog(key, outcome.files, outcome.reason, outcome.said)
    execution = state.executions[action.execution_id]
    yield replace(execution, logs=tuple(sorted({*execution.logs, action.job})))


def _here(result: Result, outcome: do.ResultHere, wall: float) -> Result:
    return replace(
        result,
        local=outcome.local,
        status=ResultStatus.HERE,
        unpacked=outcome.unpacked,
        stamp=outcome.stamp,
        reason=outcome.reason,
        at=wall,
    )
