"""What a terminal shows of folders, as rich renderables: built here, printed by `report`. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, OverflowMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vipsync.model import Descriptor, Parameter, ParameterType
from vipsync.plan.draft import Level, Notice
from vipsync.report.progress import Batch, Transfer
from vipsync.report.text import (
    batch_text,
    execution_text,
    paragraph,
    printable,
)
from vipsync.settings.template import bounds, without_html
from vipsync.status.overview import Need, Row, totals
from vipsync.status.status import GONE, GOOD_END, ExecutionReport, Finding, Status, is_over
from vipsync.status.words import duration, in_step, size

if TYPE_CHECKING:
    from vipsync.station.steps import StationStatus

_BAR = 24
_INDENT = " " * 6
_ENDED_SHOWN = 3
_NOTICES_SHOWN = 6
_COLOURS = {Level.ERROR: "red", Level.PERSON: "yellow", Level.WAIT: "cyan", Level.INFO: "dim"}
_MARKS = {Level.ERROR: "✗", Level.PERSON: "!", Level.WAIT: "…", Level.INFO: "·"}


def folders(found: Iterable[tuple[Status, list[Batch]]], wall: float) -> RenderableType:
    """Return all folders, one below the other."""
    parts: list[RenderableType] = []
    for status, batches in found:
        if parts:
            parts.append(Text())
        parts.extend(_folder(status, batches, wall))
    return Group(*parts)


def with_stations(
    stations: Sequence[StationStatus], below: RenderableType | None
) -> RenderableType:
    """Return a line for each station above what is `below`, or that nothing was looked at yet."""
    lines = [Text(printable(f"{told.station}: {told.sentence}"), style="bold") for told in stations]
    if below:
        return Group(*lines, below) if lines else below
    return Group(*lines) if lines else Text("Looking …", style="dim")


def _folder(status: Status, batches: list[Batch], wall: float) -> Iterator[RenderableType]:
    yield _headline(status, batches, wall)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=3, justify="right")
    grid.add_column(max_width=34, no_wrap=True, overflow="ellipsis")
    grid.add_column(width=_BAR)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for batch in batches:
        _add_batch(grid, batch)
    for execution in _worth_showing(status.executions):
        _add_execution(grid, execution)
    if grid.row_count:
        yield grid
    yield from _notices(status.notices)


def _headline(status: Status, batches: list[Batch], wall: float) -> Text:
    colour = _colour(status, bool(batches))
    line = Text("● ", style=colour, overflow="fold")
    line.append(f"{printable(status.session)}  ", style="bold")
    line.append(paragraph(status.sentence, "    "), style="default")
    if (confirmed := in_step(status)) is not None:
        line.append(f"  agreed with VIP {_ago(wall - confirmed)}", style="dim")
    return line


def _ago(seconds: float) -> str:
    """Say how long ago something was, in words that stay on one line."""
    return "now" if seconds < 1 else f"{duration(seconds)} ago".replace(" ", "\N{NO-BREAK SPACE}")


def _colour(status: Status, moving: bool) -> str:
    levels = {n.level for n in status.notices}
    if Level.ERROR in levels or (status.exit_code and not status.notices):
        return "red"
    if Level.PERSON in levels:
        return "yellow"
    busy = moving or any(not is_over(e) for e in status.executions)
    return "cyan" if busy else "green"


# many folders

_NEEDS = {
    Need.YOU: ("!", "yellow"),
    Need.RUNNING: ("▸", "cyan"),
    Need.PAUSED: ("‖", "yellow"),
    Need.WAITING: ("…", "dim"),
    Need.REST: ("✓", "green"),
}
_NAME_WIDTH = 40
_NARROW = 90
_FRAME = 3
"""Lines around the rows: the head, what is hidden, the totals."""


def overview(rows: Sequence[Row]) -> RenderableType:
    """Return a row for each folder, whole, and the totals."""
    table = _table("fold", _NAME_WIDTH, dated=True)
    for row in rows:
        _add_row(table, row, row.name, _sentence(row), dated=True)
    return Group(table, Text(totals(rows), style="bold"))


def live_overview(
    rows: Sequence[Row], moving: Mapping[str, list[Batch]], width: int, height: int
) -> RenderableType:
    """Return what fits on a terminal: one line for each folder, those that ask for most first.

    `moving`: the transfers by the name of the row.
    """
    room, dated = max(1, height - _FRAME), width >= _NARROW
    shown = rows if len(rows) <= room + 1 else rows[:room]
    most = min(_NAME_WIDTH, width // 3)
    table = _table("ellipsis", most, dated=dated)
    for row in shown:
        words = _sentence(row, moving.get(row.name, []))
        _add_row(table, row, _end_of(row.name, most), words, dated=dated)
    parts: list[RenderableType] = [table]
    if hidden := rows[len(shown) :]:
        more = ", ".join(f"{n} {need}" for need, n in Counter(r.need for r in hidden).items())
        parts.append(Text(f"… and {more}", style="dim"))
    end = Text(totals(rows), style="bold", no_wrap=True, overflow="ellipsis")
    return Group(*parts, end)


def _table(overflow: OverflowMethod, most: int, *, dated: bool) -> Table:
    cut = overflow == "ellipsis"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=cut)
    table.add_column()
    table.add_column("folder", max_width=most, overflow=overflow, no_wrap=cut)
    table.add_column("cases", justify="right", no_wrap=True)
    if dated:
        table.add_column("on VIP since", no_wrap=True)
    table.add_column(ratio=1 if cut else None, overflow=overflow, no_wrap=cut)
    return table


def _add_row(table: Table, row: Row, name: str, words: Text, *, dated: bool) -> None:
    mark, colour = _NEEDS[row.need]
    day = [row.day] if dated else []
    table.add_row(Text(mark, style=colour), printable(name), row.progress, *day, words)


def _sentence(row: Row, batches: Iterable[Batch] = ()) -> Text:
    words = Text(style="default")
    for batch in batches:
        words.append(f"{'↑' if batch.upload else '↓'} {batch_text(batch)}  ", style="cyan")
    return words.append(printable(row.sentence))


def _end_of(name: str, most: int) -> str:
    """Return a name that fits: its end tells folders apart."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


# transfers


def _add_batch(grid: Table, batch: Batch) -> None:
    arrow = Text("↑" if batch.upload else "↓", style="cyan")
    several = batch.of > 1
    if several or not batch.slow:
        words = Text(f"{batch.files} of {batch.of} files", style="default")
        grid.add_row(arrow, words, _bar(batch.share), batch_text(batch))
    for transfer in batch.slow:
        mark = Text() if several else arrow
        text = f"{size(transfer.moved)} of {size(transfer.size)}"
        if not several:
            text = batch_text(batch)
        grid.add_row(mark, printable(transfer.name), _bar(_share(transfer)), text)


def _share(transfer: Transfer) -> float:
    return transfer.moved / transfer.size if transfer.size else 1.0


def _bar(share: float, style: str = "cyan") -> ProgressBar:
    return ProgressBar(
        total=1.0, completed=share, width=_BAR, complete_style=style, finished_style=style
    )


# executions


def _worth_showing(executions: tuple[ExecutionReport, ...]) -> list[ExecutionReport]:
    """Return what goes on, and the last of what has ended."""
    ended = [e for e in executions if is_over(e) and e.status not in GONE]
    going = [e for e in executions if not is_over(e)]
    return ended[-_ENDED_SHOWN:] + going


def _add_execution(grid: Table, execution: ExecutionReport) -> None:
    bad = execution.jobs.get("failed", 0) + execution.jobs.get("held", 0)
    over = is_over(execution)
    good = execution.status in GOOD_END and not bad
    colour = "green" if good else "yellow" if over or bad else "cyan"
    mark = Text("✓" if good else "!" if over else "▸", style=colour)
    every = sum(execution.jobs.values())
    done = execution.jobs.get("done", 0) + execution.jobs.get("failed", 0)
    grid.add_row(
        mark,
        printable(execution.folder or execution.id),
        _bar(done / every if every else float(over), colour),
        execution_text(execution),
    )


# notices


def _notices(notices: tuple[Notice, ...]) -> Iterator[Text]:
    order = list(Level)
    shown = sorted(notices, key=lambda n: -order.index(n.level))
    for notice in shown[:_NOTICES_SHOWN]:
        yield notice_lines(notice)
    if len(shown) > _NOTICES_SHOWN:
        more = len(shown) - _NOTICES_SHOWN
        yield Text(f"    … and {more} more in STATUS.txt", style="dim")


def notice_lines(notice: Notice) -> Text:
    """Return what is not in sync, and what a person can do."""
    text = Text(f"  {_MARKS[notice.level]} ", style=_COLOURS[notice.level])
    text.append(f"{printable(notice.subject)}: ", style="bold")
    text.append(paragraph(notice.text, _INDENT), style="default")
    if notice.remedy:
        text.append(f"\n{_INDENT}{printable(notice.remedy)}", style="italic")
    return text


# findings


_NOTED = ("·", "yellow")
"""The mark of what is only to be known: neither right nor wrong."""


def finding(found: Finding) -> Text:
    """Return one thing that was looked at, with what is behind it."""
    mark, colour = ("✗", "red") if found.exit_code else _NOTED if found.note else ("✓", "green")
    text = Text(f"  {mark} ", style=colour)
    text.append(f"{printable(found.subject)}: ", style="bold")
    text.append(paragraph(found.text, _INDENT), style="default")
    for line in found.details:
        text.append(f"\n{_INDENT}{printable(line)}", style="default")
    if found.remedy:
        text.append(f"\n{_INDENT}{printable(found.remedy)}", style="italic")
    return text


# pipelines


def pipeline(found: Descriptor) -> RenderableType:
    """Return the full description of a pipeline."""
    head = Text(printable(found.pipeline_id), style="bold")
    if found.description:
        words = " ".join(without_html(found.description).split())
        head.append(f"\n{printable(words)}", style="default")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("parameter", "type", "", "description"):
        table.add_column(name, overflow="fold")
    for parameter in found.parameters:
        table.add_row(*_parameter(parameter))
    parts: list[RenderableType] = [head, Text(), table]
    if found.dot:
        parts.append(Text(f"\nPaired by index: {printable(', '.join(sorted(found.dot)))}."))
    if found.outputs:
        parts.append(Text("\noutputs", style="dim"))
        parts += [Text(f"{printable(o.id)}: {printable(o.path_template)}") for o in found.outputs]
    return Group(*parts)


def _parameter(found: Parameter) -> tuple[Text, ...]:
    need = "required" if found.required else "optional"
    kind = (
        f"{found.value_type}"
        + (" list" if found.type is ParameterType.LIST else "")
        + bounds(found)
    )
    words = [" ".join(without_html(found.description).split())]
    if found.default is not None:
        words.append(f"Default: {found.default}")
    if found.choices:
        words.append(f"One of {', '.join(map(str, found.choices))}")
    return (
        Text(printable(found.name), style="bold"),
        Text(printable(kind)),
        Text(need),
        Text(". ".join(printable(word.rstrip(".")) for word in words if word)),
    )
