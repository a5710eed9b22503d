"""A folder's state in plain words: STATUS.txt and the lines of a terminal. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vipsync.names import ARCHIVE_NAMES, few, placed
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.rows import Phase
from vipsync.status.status import Status, count
from vipsync.status.status import when as when

STALE = 600.0
"""Seconds after which STATUS.txt no longer speaks of a running vipsync."""

UNLESS_OLD = f"If that is more than {STALE / 60:.0f} minutes ago, vipsync is not running."

CITE = (
    "If you publish results, cite VIP: T. Glatard et al., A Virtual Imaging Platform for\n"
    "multi-modality medical image simulation, IEEE Transactions on Medical Imaging 32 (2013),\n"
    "110-118, and acknowledge the EGI biomed virtual organisation.\n"
)

_CASES_SHOWN = 200
_FAILURES_SHOWN = 20
_LINES_SHOWN = 8


def size(number: float) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            whole = f"{number:.0f} byte" if number == 1 else f"{number:.0f} bytes"
            return whole if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def duration(seconds: float) -> str:
    """Return a span of time for people."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def status_text(status: Status, host: str, station: str = "") -> str:
    """Return STATUS.txt: one sentence, what to do, when this was written, then the details.

    `station`: the one that looks after this session, and lets go of it while it is at rest.
    """
    return plain("\n".join(_lines(status, host, station)) + "\n")


def plain(text: str) -> str:
    """Return text that only says what it shows: names from outside can turn or hide what stands beside them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _lines(status: Status, host: str, station: str) -> Iterator[str]:
    yield status.sentence
    yield ""
    yield from to_do(status)
    yield f"Written {when(status.written)} by vipsync on {host}."
    yield _whether_it_runs(station)
    if (confirmed := in_step(status)) is not None:
        yield f"Inputs and results here agreed with VIP {when(confirmed)}: nothing was left to do."
    yield ""
    yield from details(status)
    shown = (
        "; open index.html there to look at them" if any(c.results for c in status.cases) else ""
    )
    yield f"Results are in {status.folder}/outputs{shown}."
    if any(path.lower().endswith(ARCHIVE_NAMES) for case in status.cases for path in case.results):
        yield "Folders there named after an archive, like sub-01.tgz, are its contents, already unpacked."
    yield ""
    yield from CITE.splitlines()


def _whether_it_runs(station: str) -> str:
    """Say how people see whether vipsync runs: nothing is written in a station's session at rest."""
    if station:
        return f"Nothing new is written here while nothing changes; {station}/STATION.txt says whether vipsync runs."
    return UNLESS_OLD


def in_step(status: Status) -> float | None:
    """Return when nothing was left to do for the last time; None where something was begun since, or is asked."""
    begun = (e.started for e in status.executions if e.started is not None)
    latest = max((*begun, status.since or 0.0), default=0.0)
    at_work = status.sending or status.fetching or status.starting or status.hearing
    asked = any(notice.asks for notice in status.notices)
    if status.confirmed is None or at_work or asked or status.confirmed < latest:
        return None
    return status.confirmed


def details(status: Status) -> Iterator[str]:
    """Return the lines about cases, executions, files and what is on VIP."""
    yield from _failures(status)
    yield from _cases(status)
    yield from _executions(status)
    yield from _misplaced(status)
    yield from _others(status)
    yield from _privacy(status)
    yield from _on_vip(status)


def to_do(status: Status) -> Iterator[str]:
    """Return the lines that ask something of a person, then what else is not in sync, and why."""
    asking = [n for n in status.notices if n.asks]
    if asking:
        yield "What you should do:"
        for notice in asking:
            lines = notice.text.splitlines() or [""]
            yield f"- {notice.subject}: {lines[0]}"
            yield from (f"    {line}" for line in lines[1:])
            if notice.remedy:
                yield f"    {notice.remedy}"
        yield ""
    others = [n for n in status.notices if n not in asking]
    for notice in others:
        yield f"{notice.subject}: {notice.text} {notice.remedy}".rstrip()
    if others:
        yield ""


def _failures(status: Status) -> Iterator[str]:
    """Return the last words of what failed, once for each reason."""
    told = dict(_last_lines(status))
    for log, (whose, said) in [*told.items()][:_FAILURES_SHOWN]:
        yield f"Last lines of outputs/{log}{whose}:"
        yield from (f"  | {line}" for line in said[-_LINES_SHOWN:])
        yield ""
    if len(told) > _FAILURES_SHOWN:
        yield f"… and {len(told) - _FAILURES_SHOWN} more logs, of the failed cases below."
        yield ""


def _last_lines(status: Status) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Return logs, each with the cases that it is of, where that is known, and its last lines."""
    for failure in status.failures:
        whose = "" if failure.either else f" ({few(failure.cases, 5)})"
        yield from ((log, (whose, said)) for log, said in failure.last_lines if said)


def _cases(status: Status) -> Iterator[str]:
    if not status.cases:
        return
    yield "Cases: " + ", ".join(f"{n} {state}" for state, n in sorted(status.counts.items()))
    order = list(CaseState)
    shown = sorted(status.cases, key=lambda c: (c.state is CaseState.DONE, order.index(c.state)))
    for case in shown[:_CASES_SHOWN]:
        why = "; ".join(filter(None, (case.reason, *(f"outputs/{log}" for log in case.logs))))
        words = f"  {case.id}: {case.state} ({why})" if why else f"  {case.id}: {case.state}"
        yield f"{words}{results_text(case)}"
    if len(shown) > _CASES_SHOWN:
        yield f"  … and {len(shown) - _CASES_SHOWN} more: `vipsync status --json`"
    yield ""


def results_text(case: CaseReport) -> str:
    """Return where the results of a case are, and the names that VIP gave its files."""
    places = few([f"outputs/{path}" for path in case.results])
    where = f" → {places}" if places else ""
    names = ", ".join(f"{path} → {sent}" for path, sent in case.sent_as[:3])
    return f"{where}  [on VIP: {names}]" if names else where


def jobs_text(jobs: dict[str, int]) -> str:
    """Return the jobs of an execution by state."""
    return ", ".join(f"{n} {state}" for state, n in sorted(jobs.items())) or "no jobs yet"


def _executions(status: Status) -> Iterator[str]:
    if not status.executions:
        return
    yield "Executions:"
    for execution in status.executions:
        jobs = jobs_text(dict(execution.jobs))
        place = f" → outputs/{execution.folder}" if execution.folder else ""
        yield f"  {execution.id}: {execution.status}, {jobs}{place}"
    if status.minutes_left is not None:
        yield f"  At this pace about {status.minutes_left:.0f} min more."
    yield ""


MOVE = "Move into inputs/ what the pipeline needs; a name in .vipsyncignore is not mentioned."


def misplaced(beside: Sequence[str], among_results: Sequence[str]) -> Iterator[str]:
    """Say what lies where vipsync does not look for data; where it should lie says MOVE."""
    if beside:
        yield f"Only what lies in inputs/ is used; beside it: {few(beside, 5)}."
    if among_results:
        yield f"In outputs/, but not written by vipsync: {few(among_results, 5)}."


def _misplaced(status: Status) -> Iterator[str]:
    if lines := list(misplaced(status.beside, status.among_results)):
        yield from (*lines, MOVE, "")


def _others(status: Status) -> Iterator[str]:
    if not status.unused:
        return
    yield "Files in inputs/ that no setting uses:"
    for path, nearest in status.unused[:50]:
        yield f"  inputs/{path}" + (f"   (nearest: {nearest})" if nearest else "")
    if len(status.unused) > 50:
        yield f"  … and {len(status.unused) - 50} more"
    yield ""


def _privacy(status: Status) -> Iterator[str]:
    if status.privacy:
        yield "Privacy:"
        yield from (f"  {line}" for line in status.privacy)
        yield ""


def _about_marker(status: Status) -> str:
    """Answer whether the marker may be deleted; where it is gone, say what is waited for."""
    gone = status.phase != Phase.OPEN or any(n.subject == "ON_VIP.txt" for n in status.notices)
    if not gone:
        return "You may delete ON_VIP.txt at any time; vipsync waits for the results first."
    command = placed("`vipsync run DIR`", status.folder)
    return f"ON_VIP.txt is gone: while {command} runs, results come here, then the data are removed from VIP."


def _on_vip(status: Status) -> Iterator[str]:
    if not status.phase:
        return
    if status.phase == Phase.CLOSED:
        yield "Nothing of this session is on VIP."
    else:
        sent, since = "nothing sent yet", ""
        if status.files or status.held:
            since = f" since {when(status.since)}" if status.since else ""
            sent = f"{count(status.files, 'file')} sent, {size(status.size)}"
        yield f"On VIP{since}: {sent}, in {status.where}"
        yield _about_marker(status)
    yield ""
