"""What the page shows of a folder, in which order. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from vipsync.model import Command, Request
from vipsync.names import folders_above
from vipsync.plan.draft import Notice
from vipsync.plan.standing import BAD_ENDS, CaseReport, CaseState
from vipsync.rows import Phase
from vipsync.status.status import ExecutionReport, Status

ROWS = 100
"""Cases or studies on one page: 10,000 rows take a browser 6 s, and 4 s at each change, 100 take 0.3 s."""


class Tone(StrEnum):
    """What a state means at a glance."""

    BAD = "bad"
    BUSY = "busy"
    IDLE = "idle"
    GOOD = "good"


_TONES: dict[str, Tone] = {
    CaseState.FAILED: Tone.BAD,
    CaseState.HELD: Tone.BAD,
    CaseState.INCOMPLETE: Tone.BAD,
    CaseState.REFUSED: Tone.BAD,
    CaseState.RUNNING: Tone.BUSY,
    CaseState.QUEUED: Tone.BUSY,
    CaseState.SETTLING: Tone.BUSY,
    CaseState.DONE: Tone.GOOD,
}
_JOB_TONES = {"done": Tone.GOOD, "failed": Tone.BAD, "held": Tone.BAD, "running": Tone.BUSY}
_BY_HAND = (CaseState.MANUAL, CaseState.ASIDE)
_ORDER = {
    state: number
    for number, state in enumerate(
        sorted(CaseState, key=lambda s: list(Tone).index(_TONES.get(s, Tone.IDLE)))
    )
}
"""Where the states stand in a list: what went wrong first, what went well last."""


def tone_of(state: str) -> Tone:
    """Return what the state of a case means."""
    return _TONES.get(state, Tone.IDLE)


class Tally(Struct, frozen=True):
    """How many cases or studies are in a state."""

    state: str
    number: int
    tone: Tone


def tally(status: Status) -> tuple[Tally, ...]:
    """Return how the cases of a folder stand."""
    return tuple(Tally(s, n, tone_of(s)) for s, n in sorted(status.counts.items()) if n)


class Piece(Struct, frozen=True):
    """One part of a bar, in hundredths."""

    start: float
    width: float
    tone: Tone


def bar(counts: Iterable[tuple[Tone, int]]) -> tuple[Piece, ...]:
    """Return the parts of a bar, what went well first; none where there is nothing to count."""
    found = [(tone, n) for tone, n in counts if n]
    every, at, pieces = sum(n for _, n in found), 0.0, []
    for tone in (Tone.GOOD, Tone.BAD, Tone.BUSY, Tone.IDLE):
        width = 100 * sum(n for t, n in found if t is tone) / every if every else 0.0
        if width:
            pieces.append(Piece(round(at, 2), round(width, 2), tone))
        at += width
    return tuple(pieces)


def tally_bar(found: Iterable[Tally]) -> tuple[Piece, ...]:
    """Return how cases or studies stand, as a bar."""
    return bar((one.tone, one.number) for one in found)


def job_bar(execution: ExecutionReport) -> tuple[Piece, ...]:
    """Return how the jobs of an execution stand, as a bar."""
    return bar((_JOB_TONES.get(state, Tone.IDLE), n) for state, n in execution.jobs.items())


def owners_of(status: Status, paths: Iterable[str]) -> dict[str, str]:
    """Return the case of each file of results, by its path below outputs/."""
    cases: dict[str, str] = {str(path): case.id for case in status.cases for path in case.results}
    places = ((path, place) for path in paths for place in (path, *folders_above(path)))
    return {path: cases[place] for path, place in places if place in cases}


def asking(status: Status) -> list[Notice]:
    """Return what a person is asked to do, but for failed cases, which are told with their logs."""
    told = {(f.cases[0], f.text) for f in status.failures}
    return [n for n in status.notices if n.asks and (n.subject, n.text) not in told]


def others(status: Status) -> list[Notice]:
    """Return what else is not in sync."""
    return [n for n in status.notices if not n.asks]


# what can be asked


class Wish(Struct, frozen=True):
    """Something that a person can ask of a folder by a button."""

    name: str
    label: str
    command: Command
    options: tuple[tuple[str, str], ...] = ()
    warning: str = ""


def wishes(status: Status) -> tuple[Wish, ...]:
    """Return what can be asked of a folder now: nothing where nothing ever ran."""
    if not status.id:
        return ()
    found = []
    if failed := _count(status, BAD_ENDS):
        label = f"Run failed again ({failed:,})"
        found.append(Wish("rerun", label, Command.RERUN, (("which", "failed"),)))
    if by_hand := _count(status, _BY_HAND):
        found.append(Wish("launch", f"Launch ({by_hand:,})", Command.LAUNCH))
    if status.paused:
        found.append(Wish("resume", "Resume", Command.RESUME))
    else:
        found.append(Wish("pause", "Pause", Command.PAUSE))
    if status.phase == Phase.OPEN:
        found.append(Wish("finish", "Finish", Command.FINISH, warning=_FINISH))
    elif status.phase == Phase.FINISHING:
        found.append(Wish("stay", "Do not finish", Command.KEEP))
    return tuple(found)


_FINISH = (
    "Every result is brought here, then the data of this session are removed from VIP. "
    "Inputs and results on this machine stay."
)


def _count(status: Status, states: Iterable[CaseState]) -> int:
    return sum(status.counts.get(state, 0) for state in states)


def asked_words(request: Request) -> str:
    """Return a request in words."""
    failed = request.options.get("which") == "failed"
    return f"{request.command}{' failed cases' if failed else ''}"


# cases


class Choice(Struct, frozen=True):
    """Which cases or studies are shown, and in which order."""

    words: str = ""
    state: str = ""
    sort: str = "state"
    down: bool = False
    page: int = 1

    def takes(self, state: str, text: str) -> bool:
        """Tell whether a case or study in this state, of which this is told, is to be shown."""
        words = self.words.casefold().split()
        text = text.casefold() if words else ""
        return self.state in ("", state) and all(word in text for word in words)


Row = TypeVar("Row")


class Rows(Struct, Generic[Row], frozen=True):
    """The cases or studies on one page, of so many that fit."""

    rows: Sequence[Row]
    fitting: int
    page: int
    pages: int


def rows_of(found: Sequence[Row], page: int) -> Rows[Row]:
    """Return those of a page; of the last one where there are not so many."""
    pages = max(1, -(-len(found) // ROWS))
    page = min(max(1, page), pages)
    return Rows(found[(page - 1) * ROWS : page * ROWS], len(found), page, pages)


def chosen_cases(status: Status, choice: Choice) -> Rows[CaseReport]:
    """Return the cases that a person wants to see."""
    found = [c for c in status.cases if choice.takes(c.state, f"{c.id} {c.reason} {c.folder}")]
    keys = {
        "state": lambda c: (_ORDER[c.state], c.id),
        "execution": lambda c: (c.folder, c.id),
    }
    found.sort(key=keys.get(choice.sort, lambda c: c.id), reverse=choice.down)
    return rows_of(found, choice.page)
