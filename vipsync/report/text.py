"""Words about transfers and executions that a picture and a line share. PURE: no I/O, no clock."""

from __future__ import annotations

from vipsync.report.progress import Batch
from vipsync.status.status import ExecutionReport
from vipsync.status.words import jobs_text, size


def printable(text: str) -> str:
    """Return text of which nothing moves the cursor or cannot be written: names come from outside."""
    return "".join(c if c.isprintable() else "?" for c in text)


def paragraph(text: str, indent: str = "") -> str:
    """Return a text of several lines, printable; tabs are spaces there."""
    return f"\n{indent}".join(printable(line.expandtabs(4)) for line in text.splitlines())


def batch_text(batch: Batch) -> str:
    """Return the size and the speed of a batch."""
    speed = f", {size(batch.speed)}/s" if batch.speed else ""
    return f"{size(batch.moved)} of {size(batch.size)}{speed}"


def execution_text(execution: ExecutionReport) -> str:
    """Return the state of an execution with its jobs."""
    return f"{execution.status}, {jobs_text(dict(execution.jobs))}"
