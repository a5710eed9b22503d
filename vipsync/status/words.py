"""A folder's state in plain words: STATUS.txt and the lines of a terminal. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.rows import Phase
from vipsync.status.status import Status, count

STALE = 600.0
"""Seconds after which STATUS.txt no longer speaks of a running vipsync."""

CITE = (
    "If you publish results, cite VIP: T. Glatard et al., A Virtual Imaging Platform for\n"
    "multi-modality medical image simulation, IEEE Transactions on Medical Imaging 32 (2013),\n"
    "110-118, and acknowledge the EGI biomed virtual organisation.\n"
)

_CASES_SHOWN = 200


def when(seconds: float) -> str:
    """Return a time in UTC for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def size(number: float) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def duration(seconds: float) -> str:
    """Return a span of time for people."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def status_text(status: Status, host: str) -> str:
    """Return STATUS.txt: one sentence, what to do, when this was written, then the details."""
    return "\n".join(_lines(status, host)) + "\n"


def _lines(status: Status, host: str) -> Iterator[str]:
    yield status.sentence
    yield ""
    yield from to_do(status)
    yield f"Written {when(status.written)} by vipsync on {host}."
    yield f"If that is more than {STALE / 60:.0f} minutes ago, vipsync is not running."
    if status.confirmed is not None:
        yield f"Everything was last confirmed equal {when(status.confirmed)}."
    yield ""
    yield from details(status)
    yield f"Results are in {status.folder}/outputs."
    yield ""
    yield from CITE.splitlines()


def details(status: Status) -> Iterator[str]:
    """Return the lines about cases, executions, files and what is on VIP."""
    yield from _cases(status)
    yield from _executions(status)
    yield from _others(status)
    yield from _privacy(status)
    yield from _on_vip(status)


def to_do(status: Status) -> Iterator[str]:
    """Return the lines that ask something of a person, then what else is not in sync, and why."""
    asking = [n for n in status.notices if n.level in (Level.ERROR, Level.PERSON)]
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


def _cases(status: Status) -> Iterator[str]:
    if not status.cases:
        return
    yield "Cases: " + ", ".join(f"{n} {state}" for state, n in sorted(status.counts.items()))
    order = list(CaseState)
    shown = sorted(status.cases, key=lambda c: (c.state is CaseState.DONE, order.index(c.state)))
    for case in shown[:_CASES_SHOWN]:
        words = f"  {case.id}: {case.state}"
        yield f"{words} ({case.reason})" if case.reason else words
    if len(shown) > _CASES_SHOWN:
        yield f"  … and {len(shown) - _CASES_SHOWN} more: `vipsync status --json`"
    yield ""


def jobs_text(jobs: dict[str, int]) -> str:
    """Return the jobs of an execution by state."""
    return ", ".join(f"{n} {state}" for state, n in sorted(jobs.items())) or "no jobs yet"


def _executions(status: Status) -> Iterator[str]:
    if not status.executions:
        return
    yield "Executions:"
    for execution in status.executions:
        jobs = jobs_text(dict(execution.jobs))
        yield f"  {execution.id}: {execution.status}, {jobs} → outputs/{execution.folder}"
    if status.minutes_left is not None:
        yield f"  At this pace about {status.minutes_left:.0f} min more."
    yield ""


def _others(status: Status) -> Iterator[str]:
    if not status.unused:
        return
    yield "Files that no setting uses:"
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


def _on_vip(status: Status) -> Iterator[str]:
    if not status.phase:
        return
    if status.phase == Phase.CLOSED:
        yield "Nothing of this session is on VIP."
    else:
        since = f" since {when(status.since)}" if status.since else ""
        sent = f"{count(status.files, 'file')} sent, {size(status.size)}"
        yield f"On VIP{since}: {sent}, in {status.where}"
        yield "Delete ON_VIP.txt to remove them there, once every result is here."
    yield ""
