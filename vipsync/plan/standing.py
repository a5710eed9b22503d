"""Where each case stands, and why. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from vipsync.model import Case, ExecutionStatus, Job, JobState, VipPath
from vipsync.plan.case_index import CaseIndex
from vipsync.plan.results import results_name
from vipsync.plan.sending import InputPlaces
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Followed, Launch, LaunchedCase, LaunchStatus, Verdict


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


class CaseReport(Struct, frozen=True):
    """One case: why it is where it is, and where its results and logs lie below outputs/."""

    id: str
    state: CaseState
    reason: str = ""
    execution: str = ""
    folder: str = ""


_TELLING = (
    CaseState.HELD,
    CaseState.FAILED,
    CaseState.INCOMPLETE,
    CaseState.RUNNING,
    CaseState.QUEUED,
    CaseState.STOPPED,
    CaseState.DONE,
)


def case_reports(snapshot: Snapshot, index: CaseIndex) -> tuple[CaseReport, ...]:
    """Return where each case stands."""
    index.places = InputPlaces(snapshot)
    return tuple(_case(case, index) for case in snapshot.cases.cases)


def _case(case: Case, index: CaseIndex) -> CaseReport:
    snapshot = index.places.s
    if case.error:
        return CaseReport(case.id, CaseState.REFUSED, case.error)
    if case.waits_for:
        return CaseReport(case.id, CaseState.WAITING, f"waits for {', '.join(case.waits_for)}")
    if any(p in snapshot.unsettled for p in (*case.own, *case.shared)):
        return CaseReport(case.id, CaseState.SETTLING, "its files still change")
    content = index.content.get(case.id, "")
    launches = index.launches.get(content, [])
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
            state, reason = outcome(mine, launch, execution, folder)
            reports.append(CaseReport(case.id, state, reason, launch.execution_id, folder))
    return min(reversed(reports), key=lambda report: _TELLING.index(report.state))


def outcome(
    mine: LaunchedCase, launch: Launch, execution: Followed | None, folder: str = ""
) -> tuple[CaseState, str]:
    """Tell what became of a case in one launch, and why; `folder` below outputs/ holds its logs.

    Finished is never taken for success (facts 5.8, 7.5).
    """
    if launch.status is LaunchStatus.INTENDED or execution is None:
        return CaseState.QUEUED, "VIP's answer is awaited"
    came = _names(execution.returned)
    wanted = {
        e.name.rsplit("/", 1)[-1] for e in mine.expected if e.name is not None and not e.optional
    }
    if wanted and wanted <= came:
        return CaseState.DONE, ""
    if execution.gone:
        return CaseState.STOPPED, "the execution was deleted on VIP"
    jobs = [job for job in execution.jobs if mine.job in (0, job.number)]
    exact = mine.job != 0 or len(launch.cases) == 1
    if execution.over:
        return _end(execution, jobs, sorted(wanted - came), folder, exact=exact)
    return _so_far(jobs, folder, exact=exact)


@lru_cache(maxsize=64)  # the same paths are asked for once for each case of an execution
def _names(paths: tuple[VipPath, ...]) -> frozenset[str]:
    return frozenset(path.rsplit("/", 1)[-1] for path in paths)


def _so_far(jobs: list[Job], folder: str, *, exact: bool) -> tuple[CaseState, str]:
    """Tell where a case stands whose execution has not ended."""
    found = {job.state for job in jobs}
    if not jobs or found & {JobState.QUEUED, JobState.RUNNING}:
        return CaseState.RUNNING, ""
    if JobState.HELD in found:
        return CaseState.HELD, "VIP gave up on it; its support can release it"
    if JobState.FAILED in found and exact:
        return CaseState.FAILED, _failure(jobs, folder, exact=exact)
    return CaseState.RUNNING, ""


def _end(
    execution: Followed, jobs: list[Job], lacking: list[str], folder: str, *, exact: bool
) -> tuple[CaseState, str]:
    """Tell how a case ended of which not every expected output came."""
    if execution.status is ExecutionStatus.KILLED:
        if execution.jobs or execution.killed_by_us or execution.kill_wanted:
            return CaseState.STOPPED, "the execution was stopped"
        by = "by a person, or by VIP's engine, which could not work with the values"
        return CaseState.FAILED, f"the execution was stopped before any job began: {by}"
    if any(job.state is JobState.FAILED for job in jobs):
        return CaseState.FAILED, _failure(jobs, folder, exact=exact)
    if lacking:
        return CaseState.INCOMPLETE, f"{', '.join(lacking)} did not come"
    if execution.status is ExecutionStatus.FINISHED:
        return CaseState.DONE, ""
    return CaseState.FAILED, f"the execution ended as {execution.status}"


def _failure(jobs: list[Job], folder: str, *, exact: bool) -> str:
    """Say why jobs failed and where their logs lie; of several, one may be the case's own.

    A job that wrote nothing to a stream has no log of it: the reason may be in either.
    """
    failed = [job for job in jobs if job.state is JobState.FAILED]
    whys: defaultdict[str, list[str]] = defaultdict(list)
    for job in failed:
        logs = [f"outputs/{folder}/logs/job-{job.number}.*.txt"] if job.left_logs else []
        whys[f"exit code {job.exit_code}: {job.exit_message}"] += logs
    found = "; ".join(f"{why} ({_some(logs)})" if logs else why for why, logs in whys.items())
    return found if exact or len(failed) == 1 else f"one of these: {found}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
