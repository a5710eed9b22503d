"""What a folder's state is, as data and in words. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from vipsync import actions as do
from vipsync.model import Case, ExecutionStatus, Job, JobState
from vipsync.plan.draft import Level, Notice, Plan
from vipsync.plan.launching import Sorted, sort_cases
from vipsync.plan.mirroring import results_name, wanted
from vipsync.plan.sending import Placer
from vipsync.plan.snapshot import Snapshot
from vipsync.state import (
    Followed,
    Launch,
    LaunchedCase,
    LaunchStatus,
    Phase,
    ResultStatus,
    SendStatus,
    Verdict,
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


@dataclass(frozen=True, slots=True)
class CaseReport:
    """One case: why it is where it is, and where its results and logs lie below outputs/."""

    id: str
    state: CaseState
    reason: str = ""
    execution: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """One execution with its jobs by state. `started` in seconds since the epoch."""

    id: str
    status: str
    started: float | None
    jobs: Mapping[str, int]
    folder: str


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that STATUS.txt, the terminal and `status --json` tell. Times are UTC seconds.

    `confirmed` is when nothing was left to do for the last time; `starting` are the jobs of the
    launch that comes next; `files` and `size` (bytes) are what lies on VIP for this session, since
    `since`.
    """

    folder: str
    session: str
    id: str
    phase: str
    sentence: str
    cases: tuple[CaseReport, ...] = ()
    executions: tuple[ExecutionReport, ...] = ()
    notices: tuple[Notice, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    starting: int = 0
    sending: int = 0
    fetching: int = 0
    files: int = 0
    size: int = 0
    since: float | None = None
    where: str = ""
    confirmed: float | None = None
    written: float = 0.0
    minutes_left: float | None = None
    exit_code: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


def status_of(
    snapshot: Snapshot, plan: Plan, folder: str, confirmed: float | None = None
) -> Status:
    """Return the state of a folder."""
    state = snapshot.state
    found = sort_cases(snapshot, Placer(snapshot))
    cases = case_reports(snapshot, found)
    executions = tuple(
        _execution(e, snapshot)
        for e in sorted(state.executions.values(), key=lambda e: (e.started or 0.0, e.id))
    )
    notices = (*plan.notices, *_case_notices(cases))
    counts = Counter(str(case.state) for case in cases)
    on_vip = [r for r in state.sent.values() if r.status in (SendStatus.SENT, SendStatus.ANSWERED)]
    names = {*(do.key(a) for a in plan.actions), *snapshot.memory.under_way}
    status = Status(
        folder=folder,
        session=state.session.session_name or snapshot.settings.session_name,
        id=state.session.id,
        phase=str(state.session.phase),
        sentence="",
        cases=cases,
        executions=executions,
        notices=notices,
        unused=tuple((u.path, u.nearest) for u in snapshot.cases.unused),
        starting=sum(a.launch.jobs for a in plan.actions if isinstance(a, do.StartExecution)),
        sending=sum(n.startswith(("SendFile ", "SendPack ")) for n in names),
        fetching=sum(n.startswith("FetchResult ") for n in names),
        files=len(on_vip),
        size=sum(r.size for r in on_vip),
        since=state.session.opened_at,
        where=state.session.home,
        confirmed=confirmed,
        written=snapshot.wall,
        minutes_left=_minutes_left(state.executions.values(), snapshot.wall),
        counts=dict(counts),
    )
    sentence = _sentence(status, snapshot)
    return replace(status, sentence=sentence, exit_code=exit_code(status.notices))


def exit_code(notices: Iterable[Notice]) -> int:
    """Return the code for what is not in order: no key before no VIP before settings before a person."""
    codes = {n.exit_code for n in notices if n.level in (Level.ERROR, Level.PERSON)}
    return next((code for code in (4, 5, 1, 3) if code in codes), 0)


# cases


def case_reports(snapshot: Snapshot, found: Sorted) -> tuple[CaseReport, ...]:
    """Return where each case stands."""
    placer = Placer(snapshot)
    return tuple(_case(case, found, placer) for case in snapshot.cases.cases)


def _case(case: Case, found: Sorted, placer: Placer) -> CaseReport:
    snapshot = placer.s
    if case.error:
        return CaseReport(case.id, CaseState.REFUSED, case.error)
    if case.waits_for:
        return CaseReport(case.id, CaseState.WAITING, f"waits for {', '.join(case.waits_for)}")
    if any(p in snapshot.unsettled for p in (*case.own, *case.shared)):
        return CaseReport(case.id, CaseState.SETTLING, "its files still change")
    content = found.content.get(case.id, "")
    launches = found.launches.get(content, [])
    judged = snapshot.state.judged.get(content)
    again = judged is not None and judged.verdict is Verdict.AGAIN
    if launches and (not again or found.request(case, snapshot) in {x.request for x in launches}):
        return _launched(case, content, launches, snapshot)
    match judged.verdict if judged else None:
        case Verdict.ASIDE:
            words = "`vipsync launch` starts it"
            return CaseReport(case.id, CaseState.ASIDE, words)
        case Verdict.BEFORE:
            return CaseReport(case.id, CaseState.BEFORE, "before this folder was adopted")
        case Verdict.DROPPED:
            return CaseReport(case.id, CaseState.DROPPED)
        case _:
            refused = found.refused.get(content)
            if refused and case not in found.new:
                return CaseReport(case.id, CaseState.REFUSED, refused[-1].reason)
            if snapshot.settings.launch.when == "manual" and judged is None:
                return CaseReport(case.id, CaseState.MANUAL, "`vipsync launch` starts it")
            if snapshot.lender and placer.blocked(case.values.values()):
                words = f"waits until {snapshot.lender.folder} has sent its files"
                return CaseReport(case.id, CaseState.WAITING, words)
            return CaseReport(case.id, CaseState.QUEUED)


def _launched(case: Case, content: str, launches: list[Launch], snapshot: Snapshot) -> CaseReport:
    """Return how the last launch of a case went; of several runs, the one that tells most."""
    reports = []
    for launch in launches:
        if launch.request == launches[-1].request:
            execution = snapshot.state.executions.get(launch.execution_id)
            mine = next(c for c in launch.cases if c.content == content)
            state, reason = outcome(mine, launch, execution)
            folder = results_name(execution, snapshot) if execution else ""
            reports.append(CaseReport(case.id, state, reason, launch.execution_id, folder))
    return min(reversed(reports), key=lambda report: _TELLING.index(report.state))


_TELLING = (
    CaseState.HELD,
    CaseState.FAILED,
    CaseState.INCOMPLETE,
    CaseState.RUNNING,
    CaseState.QUEUED,
    CaseState.STOPPED,
    CaseState.DONE,
)


def outcome(
    mine: LaunchedCase, launch: Launch, execution: Followed | None
) -> tuple[CaseState, str]:
    """Tell what became of a case in one launch, and why.

    Finished is never taken for success (facts 5.8, 7.5).
    """
    if launch.status is LaunchStatus.INTENDED or execution is None:
        return CaseState.QUEUED, "VIP's answer is awaited"
    came = {path.rsplit("/", 1)[-1] for path in execution.returned}
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
        return _end(execution, jobs, sorted(wanted - came), exact=exact)
    return _so_far(jobs, exact=exact)


def _so_far(jobs: list[Job], *, exact: bool) -> tuple[CaseState, str]:
    """Tell where a case stands whose execution has not ended."""
    found = {job.state for job in jobs}
    if not jobs or found & {JobState.QUEUED, JobState.RUNNING}:
        return CaseState.RUNNING, ""
    if JobState.HELD in found:
        return CaseState.HELD, "VIP gave up on it; its support can release it"
    if JobState.FAILED in found and exact:
        return CaseState.FAILED, _failure(jobs, exact=exact)
    return CaseState.RUNNING, ""


def _end(
    execution: Followed, jobs: list[Job], lacking: list[str], *, exact: bool
) -> tuple[CaseState, str]:
    """Tell how a case ended of which not every expected output came."""
    if execution.status is ExecutionStatus.KILLED:
        if execution.jobs or execution.killed_by_us:
            return CaseState.STOPPED, "the execution was stopped"
        by = "by a person, or by VIP's engine, which could not work with the values"
        return CaseState.FAILED, f"the execution was stopped before any job began: {by}"
    if any(job.state is JobState.FAILED for job in jobs):
        return CaseState.FAILED, _failure(jobs, exact=exact)
    if lacking:
        return CaseState.INCOMPLETE, f"{', '.join(lacking)} did not come"
    if execution.status is ExecutionStatus.FINISHED:
        return CaseState.DONE, ""
    return CaseState.FAILED, f"the execution ended as {execution.status}"


def _failure(jobs: list[Job], *, exact: bool) -> str:
    """Say why jobs failed and where their logs lie; of several, one may be the case's own."""
    failed = [job for job in jobs if job.state is JobState.FAILED]
    whys: defaultdict[str, list[str]] = defaultdict(list)
    for job in failed:
        logs = [f"logs/job-{job.number}.stderr.txt"] if job.left_logs else []
        whys[f"exit code {job.exit_code}: {job.exit_message}"] += logs
    found = "; ".join(f"{why} ({_some(logs)})" if logs else why for why, logs in whys.items())
    return found if exact or len(failed) == 1 else f"one of these: {found}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _case_notices(cases: Iterable[CaseReport]) -> list[Notice]:
    """Return what needs a person: cases that did not end well; nothing for those that may yet."""
    bad = {CaseState.FAILED, CaseState.HELD, CaseState.INCOMPLETE}
    return [
        Notice(Level.PERSON, case.id, f"{case.state}: {case.reason}" if case.reason else case.state)
        for case in cases
        if case.state in bad
    ]


def _execution(execution: Followed, snapshot: Snapshot) -> ExecutionReport:
    jobs = Counter(str(job.state) for job in execution.jobs)
    status = "Removed" if execution.removed else "Deleted" if execution.gone else execution.status
    folder = results_name(execution, snapshot)
    return ExecutionReport(execution.id, str(status), execution.started, dict(jobs), folder)


def _minutes_left(executions: Iterable[Followed], wall: float) -> float | None:
    """Return the minutes left at the pace of the jobs that are done; None where there is no pace."""
    running = [e for e in executions if not e.over and e.jobs and e.started]
    done = sum(j.state is JobState.DONE for e in running for j in e.jobs)
    left = sum(j.state in (JobState.QUEUED, JobState.RUNNING) for e in running for j in e.jobs)
    if not done or not left:
        return None
    elapsed = wall - min(e.started or wall for e in running)
    return max(0.0, elapsed / done * left / 60)


# words


def _sentence(status: Status, snapshot: Snapshot) -> str:
    errors = [n for n in status.notices if n.level is Level.ERROR]
    persons = [n for n in status.notices if n.level is Level.PERSON]
    if errors:
        return f"Stopped: {errors[0].text.splitlines()[0]}"
    work = _work(status, snapshot)
    if persons:
        more = f" and {len(persons) - 1} more" if len(persons) > 1 else ""
        return f"Needs you: {persons[0].subject}: {persons[0].text}{more}"
    text = work or _rest(status, snapshot)
    return f"Paused: nothing is sent or started. {text}" if snapshot.state.session.paused else text


def _work(status: Status, snapshot: Snapshot) -> str:
    """Say what goes on, empty where nothing does."""
    running = [e for e in status.executions if e.status in ("Running", "Unknown", "Ready")]
    done = sum(e.jobs.get("done", 0) for e in running)
    jobs = sum(sum(e.jobs.values()) for e in running)
    parts = []
    if status.phase == Phase.OPEN and not snapshot.marker:
        parts.append("the marker is gone, finishing starts soon")
    if status.phase == Phase.REMOVING:
        parts.append("the data are being removed from VIP")
    elif status.phase == Phase.FINISHING:
        parts.append("finishing")
    if status.starting:
        parts.append(f"starting 1 execution with {count(status.starting, 'job')}")
    if status.sending:
        parts.append(f"sending {count(status.sending, 'file')}")
    if running:
        so_far = f", {done} of {jobs} jobs done" if jobs else ""
        parts.append(f"{count(len(running), 'execution')} running{so_far}")
    if status.fetching:
        parts.append(f"fetching {count(status.fetching, 'result')}")
    elif _results_to_come(snapshot):
        parts.append("results are to come")
    queued = status.counts.get(CaseState.QUEUED, 0)
    if queued and not (status.sending or status.starting):
        parts.append(f"{count(queued, 'case')} queued")
    if snapshot.unsettled:
        parts.append(f"{count(len(snapshot.unsettled), 'file')} still changing")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _results_to_come(snapshot: Snapshot) -> bool:
    """Tell whether results of executions that are over are not here yet, and may still come."""
    state = snapshot.state
    over = (e for e in state.executions.values() if e.over and not e.gone and not e.removed)
    unlisted = any(not e.listed and wanted(e, snapshot) for e in over)
    return unlisted or any(r.status is ResultStatus.WANTED for r in state.results.values())


def _rest(status: Status, snapshot: Snapshot) -> str:
    waiting = status.counts.get(CaseState.WAITING, 0)
    here = sum(r.status is ResultStatus.HERE for r in snapshot.state.results.values())
    done = status.counts.get(CaseState.DONE, 0)
    if waiting:
        return f"Waiting for files: {count(waiting, 'case')} incomplete."
    by_hand = status.counts.get(CaseState.MANUAL, 0) + status.counts.get(CaseState.ASIDE, 0)
    if by_hand:
        return f"Waiting for `vipsync launch`: {count(by_hand, 'case')}."
    if done or here:
        on_vip = "the data are still on VIP" if status.phase == Phase.OPEN else "VIP is clean"
        return f"Everything is here: {count(done, 'case')} done, {count(here, 'result')}; {on_vip}."
    if snapshot.files and snapshot.settings.pipeline_id and not snapshot.descriptor:
        return "The pipeline's definition was not read yet."
    return "Waiting for files in inputs/."


def count(number: int, thing: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
