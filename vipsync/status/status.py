"""What a folder's state is, as data and in words. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from vipsync import actions as do
from vipsync.model import Job, JobState, VipPath, moment, replace
from vipsync.names import few, last, placed, shell_word
from vipsync.plan.case_index import CaseIndex, changed_since, index_cases
from vipsync.plan.draft import Level, Notice, Plan
from vipsync.plan.gone import to_come_again, was_made_again
from vipsync.plan.privacy import Gate, session_name
from vipsync.plan.results import results_name, wanted
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import CaseReport, CaseState, case_reports
from vipsync.plan.transfer_limits import HOURS, opening
from vipsync.rows import Followed, Phase, Result, ResultStatus, SendStatus, Sent, State
from vipsync.status.failures import Failure, failure_notices, failures
from vipsync.status.privacy import privacy_lines


class ExecutionReport(Struct, frozen=True):
    """One execution with its jobs by state. `started` in seconds since the epoch.

    `folder` is that of its results below outputs/, "" until VIP has said where they go.
    """

    id: str
    status: str
    started: float | None
    jobs: Mapping[str, int]
    folder: str


GONE = frozenset({"Removed", "Deleted"})
GOOD_END = frozenset({"Finished", "Removed"})
_BAD_END = frozenset({"ExecutionFailed", "InitializationFailed", "Killed"})


def is_over(execution: ExecutionReport) -> bool:
    """Tell whether nothing more can come from an execution."""
    return execution.status in GONE | GOOD_END | _BAD_END


class Status(Struct, frozen=True):
    """Everything that STATUS.txt, the terminal and `status --json` tell. Times are UTC seconds.

    `version` is that of this shape: it grows where a key goes or means something else.
    `to_read` are the files in inputs/ while the pipeline was not read that says what they are.
    `confirmed` is when nothing was left to do for the last time; `starting` are the jobs of the
    launch that comes next; `hearing`: failed jobs whose words are on their way; `files` and `size` (bytes) are what lies on VIP for this session, since
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
    failures: tuple[Failure, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    beside: tuple[str, ...] = ()
    among_results: tuple[str, ...] = ()
    starting: int = 0
    sending: int = 0
    fetching: int = 0
    hearing: int = 0
    files: int = 0
    size: int = 0
    held: int = 0
    since: float | None = None
    where: str = ""
    confirmed: float | None = None
    written: float = 0.0
    minutes_left: float | None = None
    exit_code: int = 0
    counts: Mapping[str, int] = {}
    privacy: tuple[str, ...] = ()
    paused: bool = False
    to_read: int = 0
    version: int = 1


_AGAIN = {
    CaseState.STOPPED: "`vipsync rerun DIR --failed` starts such cases again.",
    CaseState.DROPPED: "`vipsync launch DIR CASE` starts it.",
}
"""How cases are started after all that a person has stopped, or dropped from the queue."""

FORGOTTEN = "forgotten"
"""Subject of results that were here, and that a person no longer misses."""

WISHED = frozenset({*map(str, _AGAIN), str(ResultStatus.LET_GO)})
"""Subjects of what is not here because a person wished so."""


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
    on_vip = _on_vip(snapshot)
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
        unused=tuple((u.path, u.nearest) for u in snapshot.cases.unused),
        beside=snapshot.beside,
        among_results=snapshot.among_results,
        starting=_starting(plan, snapshot),
        sending=sum(key.kind in (do.SendFile, do.SendPack) for key in keys),
        fetching=len(_fetching(keys) | {result.vip for result in to_come_again(snapshot)}),
        hearing=len(hearing),
        files=len(on_vip),
        size=sum(r.size for r in on_vip),
        held=sum(r.size for r in on_vip) + _results_size(state),
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
    sentence = placed(_sentence(shown, snapshot), folder)
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


def at_place(notice: Notice, folder: object) -> Notice:
    """Return a notice whose advice names the folder."""
    text, remedy = placed(notice.text, folder), placed(notice.remedy, folder)
    return replace(notice, text=text, remedy=remedy)


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


def _starting(plan: Plan, snapshot: Snapshot) -> int:
    """Return the jobs of the launch that comes next; one that only asks again for a slot starts nothing yet."""
    if snapshot.memory.account.slots_full_at is not None:
        return 0
    return sum(a.launch.jobs for a in plan.actions if isinstance(a, do.StartExecution))


def exit_code(notices: Iterable[Notice]) -> int:
    """Return the code for what is not in order: no key before no VIP before settings before a person."""
    codes = {n.exit_code for n in notices if n.asks}
    return next((code for code in (4, 5, 1, 3) if code in codes), 0)


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


def _sentence(status: Status, snapshot: Snapshot) -> str:
    errors = [n for n in status.notices if n.level is Level.ERROR]
    persons = [n for n in status.notices if n.level is Level.PERSON]
    if errors:
        until = "Waiting for settings.toml to be mended" if _is_settings(errors[0]) else "Stopped"
        return f"{until}: {_one_line(errors[0].text)}"
    work = _work(status, snapshot)
    if persons:
        more = f" and {len(persons) - 1} more" if len(persons) > 1 else ""
        asked = f"Needs you: {persons[0].subject}: {persons[0].text}{more}"
        return asked if work else _and_clean(asked, snapshot)
    text = work or _and_clean(_rest(status, snapshot), snapshot)
    return f"Paused: nothing is sent or started. {text}" if snapshot.state.session.paused else text


CLEAN = "VIP is clean"


def _and_clean(text: str, snapshot: Snapshot) -> str:
    """Return a sentence that says, too, where all that was on VIP is known to be removed."""
    state = snapshot.state
    if CLEAN in text or state.session.phase is not Phase.CLOSED:
        return text
    sent = any(row.status is SendStatus.REMOVED for row in state.sent.values())
    removed = sent or any(e.removed for e in state.executions.values())
    return f"{text.rstrip('.')}; {CLEAN}." if removed else text


def _one_line(text: str) -> str:
    """Return a list of problems with one behind the other."""
    return "; ".join(line.strip() for line in text.splitlines()).replace(":; ", ": ", 1)


def _is_settings(error: Notice) -> bool:
    """Tell whether mending settings.toml is enough: what runs sees it, and goes on by itself."""
    return error.subject == "settings" and error.exit_code == 1


def _work(status: Status, snapshot: Snapshot) -> str:
    """Say what goes on, empty where nothing does."""
    running = [e for e in status.executions if e.status in ("Running", "Unknown", "Ready")]
    done = sum(e.jobs.get("done", 0) for e in running)
    jobs = sum(sum(e.jobs.values()) for e in running)
    parts = []
    waiting = {n.subject for n in status.notices if n.level is Level.WAIT}
    if "VIP" in waiting:
        parts.append(f"VIP does not answer{_since(snapshot)}, and is asked again")
    if status.phase == Phase.OPEN and "ON_VIP.txt" in waiting:
        parts.append("ON_VIP.txt is gone: results are awaited, then the data are removed from VIP")
    if status.phase == Phase.REMOVING:
        parts.append("the data are being removed from VIP")
    elif status.phase == Phase.FINISHING:
        parts.append(
            "finishing: what runs and its results are awaited, then the data are removed from VIP"
        )
    if status.starting:
        parts.append(f"starting 1 execution with {count(status.starting, 'job')}")
    if status.sending:
        parts.append(f"sending {count(status.sending, 'file')}")
    if HOURS in waiting and snapshot.state.session.id:
        parts.append(f"files wait until {opening(snapshot.limits)} to be sent")
    if running:
        so_far = f", {done} of {jobs} jobs done" if jobs else ""
        parts.append(f"{count(len(running), 'execution')} running{so_far}")
    again = len(to_come_again(snapshot))
    if status.fetching > again:
        parts.append(f"fetching {count(status.fetching - again, 'result')}")
    if again:
        come = (
            "was deleted here will be fetched again"
            if again == 1
            else "were deleted here will be fetched again"
        )
        parts.append(f"{count(again, 'result')} that {come}")
    if status.hearing:
        parts.append(f"fetching the logs of {count(status.hearing, 'failed job')}")
    elif not status.fetching and _results_to_come(snapshot):
        parts.append("results are still to come")
    queued = status.counts.get(CaseState.QUEUED, 0)
    if queued and not (status.sending or status.starting):
        parts.append(f"{count(queued, 'case')} queued")
    if changing := _changing(snapshot):
        parts.append(f"{count(changing, 'file')} still changing")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _since(snapshot: Snapshot) -> str:
    """Say since when nothing could be asked of VIP."""
    trouble = snapshot.memory.account.trouble
    return f" since {when(snapshot.wall - (snapshot.now - trouble.since))}" if trouble else " now"


def _changing(snapshot: Snapshot) -> int:
    """Count the files that may be written to now: not those of an earlier run, only looked at once more."""
    known = snapshot.state.known
    return sum(
        path not in known or known[path].state != snapshot.files.get(path)
        for path in snapshot.unsettled
    )


def _results_to_come(snapshot: Snapshot) -> bool:
    """Tell whether results of executions that are over are not here yet, and may still come."""
    state = snapshot.state
    over = (e for e in state.executions.values() if e.over and not e.gone and not e.removed)
    unlisted = any(not e.listed and wanted(e, snapshot) for e in over)
    return unlisted or any(r.status is ResultStatus.WANTED for r in state.results.values())


def _rest(status: Status, snapshot: Snapshot) -> str:
    """Say what is here and what is not where nothing goes on."""
    wished = _by_wish(status)
    rest = bool(wished) or _is_forgotten(snapshot)
    return f"{wished} {_else(status, snapshot, rest=rest)}".strip()


def _is_forgotten(snapshot: Snapshot) -> bool:
    """Tell whether a result is missed by nobody, and was not made again."""
    let_go = (r for r in snapshot.state.results.values() if r.status is ResultStatus.LET_GO)
    return any(r.stamp and not was_made_again(r, snapshot) for r in let_go)


def _by_wish(status: Status) -> str:
    """Say what is not here because a person wished so, empty where nothing is."""
    found = [n for n in status.notices if n.subject in WISHED]
    return " ".join(f"{n.text} {n.remedy}".strip() for n in found)


def _else(status: Status, snapshot: Snapshot, *, rest: bool) -> str:
    waiting = status.counts.get(CaseState.WAITING, 0)
    here = sum(r.status is ResultStatus.HERE for r in snapshot.state.results.values())
    done = status.counts.get(CaseState.DONE, 0)
    if waiting:
        return f"Waiting for files: {count(waiting, 'case')} incomplete."
    by_hand = status.counts.get(CaseState.MANUAL, 0) + status.counts.get(CaseState.ASIDE, 0)
    if by_hand:
        return f"Waiting for `vipsync launch DIR`: {count(by_hand, 'case')}."
    on_vip = "the data are still on VIP" if status.phase == Phase.OPEN else CLEAN
    if done or here:
        came = f"{count(done, 'case')} done, {count(here, 'result')}"
        if but := _but(status, snapshot):
            return f"{came}; {'; '.join(but)}; {on_vip}."
        every = "Everything else" if rest else "Everything"
        return f"{every} is here: {came}; {on_vip}."
    if before := [case.id for case in status.cases if case.state is CaseState.BEFORE]:
        first = f"`vipsync launch DIR {shell_word(before[0])}` starts"
        them = ("counts", f"{first} it") if len(before) == 1 else ("count", f"{first} the first")
        were = f"{count(len(before), 'case')} {them[0]} as run before this folder was adopted"
        return f"{were}; {them[1]}; {on_vip}."
    if rest:
        return f"{on_vip[:1].upper()}{on_vip[1:]}."
    if not snapshot.files:
        return "Waiting for files in inputs/."
    if not snapshot.settings.pipeline_id:
        return _uploaded(snapshot)
    return "Waiting for files in inputs/." if snapshot.descriptor else _unread(snapshot)


def _but(status: Status, snapshot: Snapshot) -> list[str]:
    """Say what stands against it that everything is here, though nobody need do anything."""
    s, found = snapshot, []
    if status.unused:
        found.append(f"no setting uses {count(len(status.unused), 'file')} in inputs/")
    if s.beside:
        found.append(f"{count(len(s.beside), 'item')} beside inputs/ not used")
    if s.among_results:
        found.append(f"{count(len(s.among_results), 'file')} in outputs/ not written by vipsync")
    changed = sum(
        r.status is ResultStatus.HERE
        and s.outputs.get(r.local, r.stamp) != r.stamp
        and r.local not in s.changing
        for r in s.state.results.values()
    )
    if changed:
        found.append(f"{count(changed, 'result')} changed on this machine")
    ran = {path for x in s.state.launches.values() for case in x.cases for path, _ in case.own}
    if away := sum(path not in s.files for path in ran):
        found.append(f"{count(away, 'input')} no longer in inputs/")
    return found


def is_unread(snapshot: Snapshot) -> bool:
    """Tell whether the pipeline that says what the files are was not read yet."""
    return snapshot.descriptor is None and bool(snapshot.settings.pipeline_id)


def _unread(snapshot: Snapshot) -> str:
    """Say that there are files, and nobody knows yet which cases they make."""
    there = f"{count(len(snapshot.files), 'file')} in inputs/"
    if not snapshot.state.session.id:
        return f"Not started yet: {there}; `vipsync run DIR` starts."
    return f"Nothing is started yet: {there}; the pipeline's definition is still to be read."


def _uploaded(snapshot: Snapshot) -> str:
    """Say how many of the files are on VIP, where they are only to be sent."""
    sent = {row.path for row in _on_vip(snapshot)}
    number, every = sum(path in sent for path in snapshot.files), len(snapshot.files)
    there = "all" if number == every else f"{number:,}" if number else "none"
    return f"{count(every, 'file')} in inputs/, {there} of them on VIP."


def _on_vip(snapshot: Snapshot) -> list[Sent]:
    """Return what was sent and lies on VIP."""
    there = (SendStatus.SENT, SendStatus.ANSWERED)
    return [row for row in snapshot.state.sent.values() if row.status in there]


def _results_size(state: State) -> int:
    """Return the bytes of the results that were seen on VIP and were not removed since."""
    there = {e.id for e in state.executions.values() if not e.removed and not e.gone}
    return sum(r.size for r in state.results.values() if r.execution_id in there)


def when(seconds: float) -> str:
    """Return a time for people: that of this machine, with its zone."""
    return moment(seconds).strftime("%Y-%m-%d %H:%M %Z")


def count(number: int, thing: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class Finding(Struct, frozen=True):
    """One thing that was looked at. What asks for something has an exit code, a `note` was not tested."""

    subject: str
    text: str
    remedy: str = ""
    exit_code: int = 0
    details: tuple[str, ...] = ()
    note: bool = False
