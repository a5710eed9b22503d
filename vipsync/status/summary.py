"""Sum up how a folder is, from its snapshot and its plan. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from vipsync import actions as do
from vipsync.model import Job, JobState, VipPath, replace
from vipsync.names import few, last, placed, shell_word
from vipsync.plan.case_index import CaseIndex, changed_since, index_cases
from vipsync.plan.draft import Level, Notice, Plan
from vipsync.plan.gone import to_come_again
from vipsync.plan.privacy import Gate, session_name
from vipsync.plan.results import results_name
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import CaseReport, CaseState, case_reports
from vipsync.rows import Followed, Phase, Result, ResultStatus, State
from vipsync.status.failures import failure_notices, failures
from vipsync.status.privacy import privacy_lines
from vipsync.status.sentence import FORGOTTEN, is_unread, on_vip, sentence_of
from vipsync.status.status import ExecutionReport, Status, at_place, count, exit_code

_AGAIN = {
    CaseState.STOPPED: "`vipsync rerun DIR --failed` starts such cases again.",
    CaseState.DROPPED: "`vipsync launch DIR CASE` starts it.",
}
"""How cases are started after all that a person has stopped, or dropped from the queue."""


def status_of(
    snapshot: Snapshot,
    plan: Plan,
    folder: str,
    confirmed: float | None = None,
    remembered: Iterable[Notice] = (),
    privacy: tuple[str, ...] | None = None,
) -> Status:
    """Return the state of a folder; `remembered` is what was said of it and this look cannot see.

    `privacy`: what the gate has looked at, where that is known already.
    """
    state = snapshot.state
    index = index_cases(snapshot)
    cases = case_reports(snapshot, index)
    launched = {launch.execution_id: launch.jobs for launch in state.launches.values()}
    executions = tuple(
        _execution(e, launched.get(e.id, 0), snapshot)
        for e in sorted(state.executions.values(), key=lambda e: (e.started or 0.0, e.id))
    )
    by_hand = snapshot.settings.launch.when == "manual"
    under_way = snapshot.memory.under_way
    keys = {*(do.key(a) for a in plan.actions), *under_way}
    hearing = frozenset(key.subject for key in under_way if key.kind is do.FetchLogs)
    failed = failures(cases, state.logs, hearing, by_hand=by_hand)
    notices = (
        *plan.notices,
        *failure_notices(failed),
        *_pinned(snapshot),
        *_kept(snapshot),
        *_changed(cases, index),
        *_wished(cases, state.results),
        *remembered,
    )
    counts = Counter(str(case.state) for case in cases)
    there = on_vip(snapshot)
    status = Status(
        folder=folder,
        session=session_name(snapshot),
        id=state.session.id,
        phase=str(state.session.phase),
        sentence="",
        cases=cases,
        executions=executions,
        notices=notices,
        failures=failed,
        unused=() if snapshot.settings_error else _unused(snapshot),
        beside=snapshot.beside,
        among_results=snapshot.among_results,
        starting=_starting(plan, snapshot),
        sending=sum(key.kind in (do.SendFile, do.SendPack) for key in keys),
        fetching=len(_fetching(keys) | {result.vip for result in to_come_again(snapshot)}),
        hearing=len(hearing),
        files=len(there),
        size=sum(r.size for r in there),
        held=sum(r.size for r in there) + _results_size(state),
        since=state.session.opened_at,
        where=state.session.home,
        confirmed=confirmed,
        written=snapshot.wall,
        minutes_left=_minutes_left(state.executions.values(), snapshot.wall),
        counts=dict(counts),
        privacy=tuple(privacy_lines(snapshot)) if privacy is None else privacy,
        paused=state.session.paused,
        to_read=len(snapshot.files) if is_unread(snapshot) else 0,
    )
    masked = _masked(status, Gate(snapshot)) if snapshot.state.suspect else status
    shown = _placed(masked)
    sentence = placed(sentence_of(shown, snapshot), folder)
    return replace(shown, sentence=sentence, exit_code=exit_code(notices))


def _fetching(keys: Iterable[do.Key]) -> set[str]:
    return {key.subject for key in keys if key.kind is do.FetchResult}


def _placed(status: Status) -> Status:
    """Return a status whose advice names the folder."""
    return replace(
        status,
        notices=tuple(at_place(notice, status.folder) for notice in status.notices),
        failures=tuple(replace(f, remedy=placed(f.remedy, status.folder)) for f in status.failures),
        cases=tuple(
            replace(c, reason=placed(c.reason, status.folder)) if "DIR" in c.reason else c
            for c in status.cases
        ),
    )


def _masked(status: Status, gate: Gate) -> Status:
    """Return a status in which no name of a file or a case names somebody."""
    hidden = {
        case.id
        for case in gate.s.cases.cases
        if any(map(gate.names_somebody, (case.id, *case.own, *case.shared)))
    }

    def masked(text: str) -> str:
        return "…" if text in hidden else gate.masked(text)

    return replace(
        status,
        cases=tuple(replace(c, id=masked(c.id), reason=masked(c.reason)) for c in status.cases),
        notices=tuple(
            replace(n, subject=masked(n.subject), text=masked(n.text), remedy=masked(n.remedy))
            for n in status.notices
        ),
        unused=tuple((masked(path), nearest) for path, nearest in status.unused),
        beside=tuple(map(masked, status.beside)),
        among_results=tuple(map(masked, status.among_results)),
    )


def _unused(snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    return tuple((u.path, u.nearest) for u in snapshot.cases.unused)


def _starting(plan: Plan, snapshot: Snapshot) -> int:
    """Return the jobs of the launch that comes next; one that only asks again for a slot starts nothing yet."""
    if snapshot.memory.account.slots_full_at is not None:
        return 0
    return sum(a.launch.jobs for a in plan.actions if isinstance(a, do.StartExecution))


def _pinned(snapshot: Snapshot) -> Iterator[Notice]:
    """Say which settings do not count yet: name and portal stay while data are on VIP."""
    session, settings = snapshot.state.session, snapshot.settings
    if session.phase is Phase.CLOSED:
        return
    for key, now, pinned in (
        ("session_name", settings.session_name, session.session_name),
        ("portal", settings.portal, session.portal),
    ):
        if pinned and now != pinned:
            text = f'{key} = "{now}" takes effect once this session is finished; until then it is {pinned}.'
            remedy = "To finish it, delete ON_VIP.txt, or call `vipsync finish DIR`."
            yield Notice(Level.INFO, "settings", text, remedy, 0)


def _kept(snapshot: Snapshot) -> Iterator[Notice]:
    """Say what the end of the session leaves on VIP, because the settings say so."""
    finish = snapshot.settings.finish
    if snapshot.state.session.phase is Phase.CLOSED:
        return
    for key, keeps, what in (
        ("keep_input", finish.keep_input, "inputs"),
        ("keep_output", finish.keep_output, "results"),
    ):
        if keeps:
            text = f"{key} = true: the {what} stay on VIP when the session is finished."
            yield Notice(Level.INFO, "finish", text, exit_code=0)


def _changed(cases: Iterable[CaseReport], index: CaseIndex) -> Iterator[Notice]:
    """Say which cases run again because their files changed."""
    going = [c.id for c in cases if c.state in (CaseState.QUEUED, CaseState.RUNNING)]
    if names := list(changed_since(going, index)):
        was = (
            "case changed since it ran, and runs"
            if len(names) == 1
            else "cases changed since they ran, and run"
        )
        text = f"{len(names):,} {was} again: {few(names, 5)}. Older results stay."
        yield Notice(Level.INFO, "changed", text, exit_code=0)


def _wished(cases: Iterable[CaseReport], results: Mapping[VipPath, Result]) -> Iterator[Notice]:
    """Say what is not here because a person wished so, which is no fault."""
    for state, remedy in _AGAIN.items():
        names = [case.id for case in cases if case.state is state]
        if names:
            were = f"{count(len(names), 'case')} {'was' if len(names) == 1 else 'were'}"
            first = shell_word(names[0])
            advice = remedy.replace("CASE", first)
            if len(names) > 1:
                advice = advice.replace("starts it", "starts the first of them")
            yield Notice(Level.INFO, str(state), f"{were} {state}: {few(names, 5)}.", advice, 0)
    let_go = [r for r in results.values() if r.status is ResultStatus.LET_GO]
    if names := [last(r.vip) for r in let_go if r.stamp]:
        text = f"{count(len(names), 'result')} deleted here and forgotten: {few(names, 5)}."
        yield Notice(Level.INFO, FORGOTTEN, text, exit_code=0)
    if names := [last(r.vip) for r in let_go if not r.stamp]:
        text = f"{count(len(names), 'result')} let go, and not on this machine: {few(names, 5)}."
        yield Notice(Level.INFO, str(ResultStatus.LET_GO), text, exit_code=0)


def _execution(execution: Followed, launched: int, snapshot: Snapshot) -> ExecutionReport:
    """Return how an execution is that was started with so many jobs."""
    jobs = Counter(_state(job, execution) for job in execution.jobs)
    if not execution.over and launched > len(execution.jobs):  # VIP shows them one by one
        jobs[str(JobState.QUEUED)] += launched - len(execution.jobs)
    status = "Removed" if execution.removed else "Deleted" if execution.gone else execution.status
    known = execution.results_folder is not None or execution.over
    folder = results_name(execution, snapshot) if known else ""
    return ExecutionReport(execution.id, str(status), execution.started, dict(jobs), folder)


def _state(job: Job, execution: Followed) -> str:
    """Return the state of a job; VIP leaves those of a stopped execution running for good (facts 5.11)."""
    unended = job.state in (JobState.QUEUED, JobState.RUNNING)
    return "stopped" if execution.over and unended else str(job.state)


def _minutes_left(executions: Iterable[Followed], wall: float) -> float | None:
    """Return the minutes left at the pace of the jobs that are done; None where there is no pace."""
    running = [e for e in executions if not e.over and e.jobs and e.started]
    done = sum(j.state is JobState.DONE for e in running for j in e.jobs)
    left = sum(j.state in (JobState.QUEUED, JobState.RUNNING) for e in running for j in e.jobs)
    if not done or not left:
        return None
    elapsed = wall - min(e.started or wall for e in running)
    return max(0.0, elapsed / done * left / 60)


def _results_size(state: State) -> int:
    """Return the bytes of the results that were seen on VIP and were not removed since."""
    there = {e.id for e in state.executions.values() if not e.removed and not e.gone}
    return sum(r.size for r in state.results.values() if r.execution_id in there)
