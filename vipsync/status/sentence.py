"""The one line that says how a folder is. PURE: no I/O, no clock."""

from __future__ import annotations

from vipsync.names import shell_word
from vipsync.plan.draft import Level, Notice
from vipsync.plan.gone import to_come_again, was_made_again
from vipsync.plan.results import wanted
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import CaseState
from vipsync.plan.transfer_limits import HOURS, opening
from vipsync.rows import Phase, Result, ResultStatus, SendStatus, Sent
from vipsync.status.status import Status, count, when

FORGOTTEN = "forgotten"
"""Subject of results that were here, and that a person no longer misses."""

WISHED = frozenset({str(CaseState.STOPPED), str(CaseState.DROPPED), str(ResultStatus.LET_GO)})
"""Subjects of what is not here because a person wished so."""


MEND, STOPPED, NEEDS = "Waiting for settings.toml to be mended", "Stopped", "Needs you"
"""How a sentence begins that says what is wrong."""


def sentence_of(status: Status, snapshot: Snapshot) -> str:
    """Say what is wrong, else what goes on, else what is here and what is not."""
    errors = [n for n in status.notices if n.level is Level.ERROR]
    persons = [n for n in status.notices if n.level is Level.PERSON]
    if errors:
        until = MEND if _is_settings(errors[0]) else STOPPED
        return f"{until}: {_one_line(errors[0].text)}"
    work = _work(status, snapshot)
    if persons:
        more = f" and {len(persons) - 1} more" if len(persons) > 1 else ""
        asked = f"{NEEDS}: {persons[0].subject}: {persons[0].text}{more}"
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
    here = len(_here(snapshot))
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
    changed = sum(s.outputs[r.local] != r.stamp and r.local not in s.changing for r in _here(s))
    if changed:
        found.append(f"{count(changed, 'result')} changed on this machine")
    ran = {path for x in s.state.launches.values() for case in x.cases for path, _ in case.own}
    if away := sum(path not in s.files for path in ran):
        found.append(f"{count(away, 'input')} no longer in inputs/")
    return found


def _here(snapshot: Snapshot) -> list[Result]:
    """Return the results that came, and are in outputs/ now."""
    came = (r for r in snapshot.state.results.values() if r.status is ResultStatus.HERE)
    return [r for r in came if r.local in snapshot.outputs]


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
    sent = {row.path for row in on_vip(snapshot)}
    number, every = sum(path in sent for path in snapshot.files), len(snapshot.files)
    there = "all" if number == every else f"{number:,}" if number else "none"
    return f"{count(every, 'file')} in inputs/, {there} of them on VIP."


def on_vip(snapshot: Snapshot) -> list[Sent]:
    """Return what was sent and lies on VIP."""
    there = (SendStatus.SENT, SendStatus.ANSWERED)
    return [row for row in snapshot.state.sent.values() if row.status in there]
