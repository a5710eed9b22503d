"""One look over many folders: what needs a person first, a line for each, the totals. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.rows import Phase
from vipsync.status.sentence import MEND, NEEDS, STOPPED
from vipsync.status.status import Status, count, is_over
from vipsync.status.words import size, when


class Need(StrEnum):
    """How much a folder asks for, the most first."""

    YOU = "needs you"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    REST = "at rest"


class Row(Struct, frozen=True):
    """One folder in the table. `since`: its data are on VIP, in UTC seconds; `size` of them in bytes.

    `unsent`: its place on VIP is taken, and nothing lies there yet.
    """

    need: Need
    name: str
    sentence: str
    done: int
    cases: int
    since: float | None = None
    size: int = 0
    unsent: bool = False

    @property
    def progress(self) -> str:
        """Return how many of the cases are done; empty where there are none."""
        return f"{self.done:,}/{self.cases:,}" if self.cases else ""

    @property
    def day(self) -> str:
        """Return the day since when data are on VIP; empty where none are."""
        return when(self.since).partition(" ")[0] if self.since else ""


def overview(statuses: Iterable[Status], tops: Sequence[str] = ()) -> list[Row]:
    """Return a row for each folder, sorted by need and name; `tops` are the folders that were named."""
    rows = [_row(status, name_below(status.folder, tops)) for status in statuses]
    order = list(Need)
    return sorted(rows, key=lambda row: (order.index(row.need), row.name))


def _row(status: Status, name: str) -> Row:
    opened = status.phase not in ("", Phase.CLOSED)
    on_vip = opened and bool(status.files or status.held)
    return Row(
        need=need_of(status),
        name=name,
        sentence=_in_a_row(status),
        done=status.counts.get(CaseState.DONE, 0),
        cases=len(status.cases),
        since=status.since if on_vip else None,
        size=status.held if on_vip else 0,
        unsent=opened and not on_vip,
    )


def _in_a_row(status: Status) -> str:
    """Return the sentence with the fault first: the row has the folder, and that it needs a person."""
    words = status.sentence.partition("\n")[0]
    for beginning in (MEND, STOPPED, NEEDS):
        words = words.removeprefix(f"{beginning}: ")
    told, tick, command = words.partition("`")  # a command is copied, and needs the whole path
    for separator in "/\\":
        told = told.replace(f"{status.folder}{separator}", "")
    return f"{told}{tick}{command}"


_TO_COME = (
    CaseState.WAITING,
    CaseState.SETTLING,
    CaseState.QUEUED,
    CaseState.MANUAL,
    CaseState.ASIDE,
)


def need_of(status: Status) -> Need:
    """Return how much a folder asks for."""
    if status.exit_code or any(n.asks for n in status.notices):
        return Need.YOU
    runs = status.counts.get(CaseState.RUNNING) or not all(map(is_over, status.executions))
    ending = status.phase in (Phase.FINISHING, Phase.REMOVING)
    if status.sending or status.fetching or status.starting or runs or ending:
        return Need.RUNNING
    if status.paused:
        return Need.PAUSED
    waits = status.to_read or any(n.level is Level.WAIT for n in status.notices)
    if waits or any(status.counts.get(state) for state in _TO_COME):
        return Need.WAITING
    return Need.REST


def name_below(folder: str, tops: Sequence[str]) -> str:
    """Return the path of a folder below the one that was named, so that equal names are told apart."""
    top = max((t for t in tops if _is_inside(folder, t)), key=len, default="")
    if not top:
        return _last(folder)
    if [_last(other) for other in tops].count(_last(top)) > 1:
        return folder
    rest = folder[len(top) :].strip("/\\")
    return "/".join(
        part for part in (_last(top) if len(tops) > 1 or not rest else "", rest) if part
    )


def _is_inside(folder: str, top: str) -> bool:
    return folder == top or folder[: len(top) + 1].rstrip("/\\") == top.rstrip("/\\")


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def totals(rows: Sequence[Row]) -> str:
    """Return the last line: folders by need, cases, and what is on VIP."""
    needs = Counter(row.need for row in rows)
    words = {
        **{need: str(need) for need in Need},
        Need.YOU: "need you" if needs[Need.YOU] != 1 else str(Need.YOU),
    }
    parts = [f"{needs[need]} {words[need]}" for need in Need if needs[need]]
    text = f"{count(len(rows), 'folder')}: {', '.join(parts)}."
    cases, done = sum(row.cases for row in rows), sum(row.done for row in rows)
    text += f" {done:,} of {count(cases, 'case')} done." if cases else ""
    on_vip = [row for row in rows if row.since]
    held = sum(row.size for row in on_vip)
    if on_vip:
        text += f" {count(len(on_vip), 'folder')} on VIP with {size(held)}."
    unsent = sum(row.unsent for row in rows)
    return text + (f" {count(unsent, 'folder')} with nothing sent yet." if unsent else "")


def table_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Return the table as lines that a pipe can take, one for each folder, the sentence last."""
    heads = ("", "folder", "cases", "on VIP since", "")
    cells = [heads, *((row.need, row.name, row.progress, row.day, row.sentence) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (str(cell).ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()
