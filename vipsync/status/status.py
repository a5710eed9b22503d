"""What a folder's state is, as data and in words. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from vipsync.model import JobState, moment, replace
from vipsync.names import placed
from vipsync.plan.draft import Notice
from vipsync.plan.standing import CaseReport
from vipsync.status.failures import Failure


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


def jobs_to_come(status: Status) -> int:
    """Return how many jobs of a folder have not ended."""
    going = (e.jobs for e in status.executions if not is_over(e))
    return sum(jobs.get(JobState.QUEUED, 0) + jobs.get(JobState.RUNNING, 0) for jobs in going)


class Status(Struct, frozen=True):
    """Everything that STATUS.txt, the terminal and `status --json` tell. Times are UTC seconds.

    `version` is that of this shape: it grows where a key goes or means something else.
    `to_read` are the files in inputs/ while the pipeline was not read that says what they are;
    `pipeline` is what the settings name.
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
    pipeline: str = ""
    version: int = 1


def at_place(notice: Notice, folder: object) -> Notice:
    """Return a notice whose advice names the folder."""
    text, remedy = placed(notice.text, folder), placed(notice.remedy, folder)
    return replace(notice, text=text, remedy=remedy)


def exit_code(notices: Iterable[Notice]) -> int:
    """Return the code for what is not in order: no key before no VIP before settings before a person."""
    codes = {n.exit_code for n in notices if n.asks}
    return next((code for code in (4, 5, 1, 3) if code in codes), 0)


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
