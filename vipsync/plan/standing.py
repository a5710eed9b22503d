"""Where each case stands, and why. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from vipsync.model import Case, ExecutionStatus, Job, JobState, RelPath, VipPath
from vipsync.names import last, names_in, vip_part
from vipsync.plan.case_index import CaseIndex, case_content
from vipsync.plan.case_results import cleaned_names, results_of
from vipsync.plan.results import results_name
from vipsync.plan.sending import InputPlaces
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import (
    Followed,
    JobLog,
    Launch,
    LaunchedCase,
    LaunchStatus,
    ResultStatus,
    Verdict,
    log_key,
)


class CaseState(StrEnum):
    """Where a case stands."""

    WAITING = "waiting"
    SETTLING = "settling"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    HELD = "held"
    STOPPED = "stopped"
    INCOMPLETE = "done, but an expected output is missing"
    REFUSED = "cannot be launched"
    MANUAL = "to be launched by hand"
    ASIDE = "set aside"
    BEFORE = "launched before"
    DROPPED = "cancelled"


BAD_ENDS = (CaseState.FAILED, CaseState.INCOMPLETE, CaseState.STOPPED)
"""States of cases that `rerun --failed` means."""


DELETED = "a result was deleted here"
"""What is said of a case that is done, and whose results are not all here any more."""


FORGOTTEN = "a result was deleted here and forgotten"
LET_GO = "a result was let go, and is not on this machine"
"""What is said where a person no longer misses them."""


class CaseReport(Struct, frozen=True):
    """One case: why it is where it is, and where its results and logs lie below outputs/.

    `logs`: where the first of its failed jobs said why. `results` are those that are
    here. `sent_as`: files that VIP has under another name than they have here.
    """

    id: str
    state: CaseState
    reason: str = ""
    execution: str = ""
    folder: str = ""
    logs: tuple[RelPath, ...] = ()
    results: tuple[RelPath, ...] = ()
    sent_as: tuple[tuple[RelPath, str], ...] = ()


class Outcome(Struct, frozen=True):
    """What became of a case in one launch, and why; where the first of its failed jobs said so."""

    state: CaseState
    reason: str = ""
    logs: tuple[RelPath, ...] = ()


_TELLING = (
    CaseState.HELD,
    CaseState.FAILED,
    CaseState.INCOMPLETE,
    CaseState.RUNNING,
    CaseState.QUEUED,
    CaseState.STOPPED,
    CaseState.DONE,
)


_IN_QUEUE = "queued on VIP"
"""Where a case stands that was launched, and of which no job has begun."""

_Logs = Mapping[str, JobLog]
_NO_LOGS: _Logs = {}
ONE_OF = "one of these: "
"""How a reason begins where VIP does not say which of several failed jobs is the case's own."""
_UNHEARD = JobLog("")
_SHOWN = 3


def case_reports(snapshot: Snapshot, index: CaseIndex) -> tuple[CaseReport, ...]:
    """Return where each case stands."""
    index.places = InputPlaces(snapshot)
    return tuple(_case(case, index) for case in snapshot.cases.cases)


def _case(case: Case, index: CaseIndex) -> CaseReport:
    snapshot = index.places.s
    if case.error:
        why = "waits until the settings are mended" if snapshot.settings_error else case.error
        return CaseReport(case.id, CaseState.REFUSED, why)
    if case.waits_for:
        return CaseReport(case.id, CaseState.WAITING, f"waits for {', '.join(case.waits_for)}")
    settling = any(p in snapshot.unsettled for p in (*case.own, *case.shared))
    content = index.content.get(case.id) or (settling and case_content(case, index.places)) or ""
    launches = index.launches.get(content, [])
    if settling and not launches:  # else it is only looked at once more
        return CaseReport(case.id, CaseState.SETTLING, "its files still change")
    judged = index.judged(case)
    again = judged is not None and judged.verdict is Verdict.AGAIN
    aside = judged is not None and judged.verdict is Verdict.ASIDE
    if (
        launches
        and not aside
        and (not again or index.request(case) in {x.request for x in launches})
    ):
        return _launched(case, content, launches, snapshot)
    match judged.verdict if judged else None:
        case Verdict.ASIDE:
            words = "`vipsync launch DIR` starts it"
            return CaseReport(case.id, CaseState.ASIDE, words)
        case Verdict.BEFORE:
            return CaseReport(case.id, CaseState.BEFORE, "before this folder was adopted")
        case Verdict.DROPPED:
            return CaseReport(case.id, CaseState.DROPPED)
        case _:
            refused = index.refused.get(content)
            if refused and case not in index.new:
                return CaseReport(case.id, CaseState.REFUSED, refused[-1].reason)
            if snapshot.settings.launch.when == "manual" and judged is None:
                return CaseReport(case.id, CaseState.MANUAL, "`vipsync launch DIR` starts it")
            if absent := index.places.absent(case):
                words = f"waits for {', '.join(absent)}, which cannot be found on VIP"
                return CaseReport(case.id, CaseState.WAITING, words)
            if snapshot.lender and index.places.blocked(case.values.values()):
                words = f"waits until {snapshot.lender.folder} has sent its files"
                return CaseReport(case.id, CaseState.WAITING, words)
            if why := index.places.refused(case):
                return CaseReport(case.id, CaseState.REFUSED, why)
            return CaseReport(case.id, CaseState.QUEUED)


def _launched(case: Case, content: str, launches: list[Launch], snapshot: Snapshot) -> CaseReport:
    """Return how the last launch of a case went; of several runs, the one that tells most."""
    reports = []
    for launch in launches:
        if launch.request == launches[-1].request:
            execution = snapshot.state.executions.get(launch.execution_id)
            mine = next(c for c in launch.cases if c.content == content)
            folder = results_name(execution, snapshot) if execution else ""
            came = outcome(mine, launch, execution, snapshot.state.logs)
            came_once = results_of(mine, execution, snapshot.state.results) if execution else ()
            found = [result.local for result in came_once if result.local in snapshot.outputs]
            missing = ""
            if came.state is CaseState.DONE and execution:
                deleted = DELETED if len(found) < len(came_once) else ""
                missing = deleted or _let_go(mine, execution, snapshot)
            reports.append(
                CaseReport(
                    case.id,
                    came.state,
                    came.reason or missing,
                    launch.execution_id,
                    folder,
                    came.logs,
                    tuple(found),
                    cleaned_names(mine, launch),
                )
            )
    return min(reversed(reports), key=lambda report: _TELLING.index(report.state))


def _let_go(mine: LaunchedCase, execution: Followed, snapshot: Snapshot) -> str:
    """Say of a case which result nobody misses: it was here, or it never came."""
    results = results_of(mine, execution, snapshot.state.results, ResultStatus.LET_GO)
    if any(result.stamp for result in results):
        return FORGOTTEN
    return LET_GO if results else ""


def outcome(
    mine: LaunchedCase,
    launch: Launch,
    execution: Followed | None,
    logs: _Logs = _NO_LOGS,
) -> Outcome:
    """Tell what became of a case in one launch, and why; `logs` have what failed jobs said.

    Finished is never taken for success (facts 5.8, 7.5).
    """
    if launch.status is LaunchStatus.INTENDED or execution is None:
        return Outcome(CaseState.QUEUED, "VIP's answer is awaited")
    came = _names(execution.returned)
    wanted = {last(e.name) for e in mine.expected if e.name is not None and not e.optional}
    if wanted and wanted <= came:
        return Outcome(CaseState.DONE)
    if execution.gone:
        return Outcome(CaseState.STOPPED, "the execution was deleted on VIP")
    jobs = [job for job in execution.jobs if mine.job in (0, job.number)]
    exact = mine.job != 0 or len(launch.cases) == 1
    if execution.over:
        lacking = sorted(wanted - came)
        if exact:
            return _end(execution, jobs, lacking, logs, exact=True)
        own, named = _own_jobs(mine, launch, execution, logs)
        return _end(execution, own if own or lacking else jobs, lacking, logs, exact=named)
    return _so_far(execution, jobs, logs, exact=exact)


def _own_jobs(
    mine: LaunchedCase, launch: Launch, execution: Followed, logs: _Logs
) -> tuple[list[Job], bool]:
    """Return the failed jobs that may be a case's own; True where their words name its files.

    VIP does not say which job is of which case (facts 5.4), but many applications name their input.
    """
    failed = [job for job in execution.jobs if job.state is JobState.FAILED]
    said = {
        job.number: names_in(logs.get(log_key(execution.id, job.number), _UNHEARD).reason)
        for job in failed
    }
    own = _file_names(mine)
    if named := [job for job in failed if said[job.number] & own]:
        return named, True
    others = frozenset[str]().union(*map(_file_names, launch.cases)) - own
    return [job for job in failed if not said[job.number] & others], False


def _file_names(case: LaunchedCase) -> frozenset[str]:
    """Return what an application can call the input of a case."""
    names = {last(case.id), *(last(path) for path, _ in case.own)}
    return frozenset({*names, *map(vip_part, names)})


@lru_cache(maxsize=64)  # the same paths are asked for once for each case of an execution
def _names(paths: tuple[VipPath, ...]) -> frozenset[str]:
    return frozenset(map(last, paths))


def _so_far(execution: Followed, jobs: list[Job], logs: _Logs, *, exact: bool) -> Outcome:
    """Tell where a case stands whose execution has not ended."""
    found = {job.state for job in jobs}
    if found <= {JobState.QUEUED}:
        return Outcome(CaseState.RUNNING, _IN_QUEUE)
    if found & {JobState.QUEUED, JobState.RUNNING}:
        return Outcome(CaseState.RUNNING)
    if JobState.HELD in found:
        return Outcome(CaseState.HELD, "VIP gave up on it; its support can release it")
    if JobState.FAILED in found and exact:
        return _failure(execution, jobs, logs, exact=exact)
    return Outcome(CaseState.RUNNING)


def _end(
    execution: Followed, jobs: list[Job], lacking: list[str], logs: _Logs, *, exact: bool
) -> Outcome:
    """Tell how a case ended of which not every expected output came."""
    if execution.status is ExecutionStatus.KILLED:
        if execution.jobs or execution.killed_by_us or execution.kill_wanted:
            return Outcome(CaseState.STOPPED, "the execution was stopped")
        by = "by a person, or by VIP's engine, which could not work with the values"
        why = f"the execution was stopped before any job began: {by}"
        return Outcome(CaseState.FAILED, why)
    if any(job.state is JobState.FAILED for job in jobs):
        return _failure(execution, jobs, logs, exact=exact)
    if lacking:
        return Outcome(CaseState.INCOMPLETE, f"{', '.join(lacking)} did not come")
    if execution.status is ExecutionStatus.FINISHED:
        return Outcome(CaseState.DONE)
    return Outcome(CaseState.FAILED, f"the execution ended as {execution.status}")


def _failure(execution: Followed, jobs: list[Job], logs: _Logs, *, exact: bool) -> Outcome:
    """Say why jobs failed, in the application's words where they are known; which logs have more.

    Of several, one may be the case's own.
    """
    failed = [job for job in jobs if job.state is JobState.FAILED]
    said = [logs.get(log_key(execution.id, job.number), _UNHEARD) for job in failed]
    whys = dict.fromkeys(
        log.reason or f"exit code {job.exit_code}: {job.exit_message}"
        for log, job in zip(said, failed, strict=True)
    )
    more = f"; and {len(whys) - _SHOWN} more" if len(whys) > _SHOWN else ""
    found = "; ".join([*whys][:_SHOWN]) + more
    files = [log.files[0] for log in said if log.files]
    reason = found if exact or len(whys) == 1 else f"{ONE_OF}{found}"
    return Outcome(CaseState.FAILED, reason, tuple(files[:_SHOWN]))
