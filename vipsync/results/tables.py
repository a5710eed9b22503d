"""Tables in results: the first rows of each, and those of all cases in one. PURE: no I/O, no clock.

What a spreadsheet would take for a formula gets an apostrophe: cells and names come from outside.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from msgspec import Struct

ENDINGS = (".csv", ".tsv", ".table")
ROWS = 20
"""Rows of a table that are shown."""

MOST_ROWS = 1_000_000
"""Rows of a joined table, below what a spreadsheet holds."""

_COLUMNS = 40
_CELL = 200
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


class Table(Struct, frozen=True):
    """The columns and rows of a table, `more` where there are more rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: bool = False


def is_table(path: str) -> bool:
    """Tell whether a file is a table by its name."""
    return path.lower().endswith(ENDINGS)


def beginning(path: str, text: str) -> Table | None:
    """Return the first rows of a table; None where it is none."""
    found = _parsed(path, text.splitlines())
    first = next(found, None)
    if first is None or len(first) < 2:
        return None
    rows = [row for _, row in zip(range(ROWS + 1), found, strict=False)]
    shown = tuple(tuple(cell[:_CELL] for cell in row[:_COLUMNS]) for row in rows[:ROWS])
    return Table(tuple(c[:_CELL] for c in first[:_COLUMNS]), shown, len(rows) > ROWS)


def whole(path: str, text: str) -> Table | None:
    """Return a table with all its rows; None where it is none, or its rows have unequal lengths."""
    columns, *rows = [*_parsed(path, text.splitlines())] or [()]
    if len(columns) < 2 or any(len(row) != len(columns) for row in rows):
        return None
    return Table(columns, tuple(rows))


def _parsed(path: str, lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table, that of its columns first; nothing after what cannot be read."""
    if path.lower().endswith(".table"):
        yield from _lcmodel(lines)
        return
    delimiter = "\t" if path.lower().endswith(".tsv") else _delimiter(lines[:1])
    try:
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
            if row:
                yield tuple(cell.strip() for cell in row)
    except csv.Error:
        return


def _delimiter(head: Sequence[str]) -> str:
    counts = {mark: line.count(mark) for line in head for mark in ",;\t"}
    return max(counts, key=lambda mark: counts[mark], default=",")


def _lcmodel(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the concentrations of LCModel's .table: the lines after $$CONC, up to an empty one."""
    heads = (i for i, line in enumerate(lines) if line.lstrip().startswith("$$CONC"))
    start = next(heads, len(lines))
    for line in lines[start + 1 :]:
        words = line.split()
        if not words or words[0].startswith("$$"):
            return
        yield tuple(_four(words))


def _four(words: list[str]) -> list[str]:
    """Return concentration, deviation, ratio and metabolite: a sum is written onto the ratio before it."""
    if len(words) == 3 and (
        glued := re.fullmatch(r"([\d.]+(?:E[+-]\d+)?)([+-]?[A-Za-z].*)", words[2])
    ):
        return [*words[:2], glued[1], glued[2].removeprefix("+")]
    return words


# one table for all cases


def shared_name(path: str, names: Iterable[str]) -> str:
    """Return what the tables of all cases have in common in their paths: a case's own name taken out."""
    path = str(PurePosixPath(path).with_suffix(""))
    for name in sorted(names, key=len, reverse=True):
        if name:
            path = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "", path)
    parts = (part.strip("-_. ") for part in PurePosixPath(path).parts)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(part for part in parts if part)).strip("-._")


def joined(tables: Mapping[str, Table]) -> str | None:
    """Return the table of all cases with the case in the first column; None where they do not fit together."""
    if len({table.columns for table in tables.values()}) != 1 or not all(
        table.columns for table in tables.values()
    ):
        return None
    if sum(len(table.rows) for table in tables.values()) > MOST_ROWS:
        return None
    columns = next(iter(tables.values())).columns
    lines = [_line(("case", *columns))]
    lines += [_line((case, *row)) for case, table in tables.items() for row in table.rows]
    return "".join(lines)


def _line(cells: Iterable[str]) -> str:
    return ",".join(_quoted(harmless(cell)) for cell in cells) + "\n"


def _quoted(cell: str) -> str:
    if any(mark in cell for mark in ',"\r\n') or cell != cell.strip():
        doubled = cell.replace('"', '""')
        return f'"{doubled}"'
    return cell


def harmless(cell: str) -> str:
    """Return a cell that a spreadsheet does not take for a formula."""
    if cell[:1] in ("=", "@", "\t", "\r") or (cell[:1] in ("+", "-") and not _is_number(cell)):
        return f"'{cell}"
    return cell


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None or cell[1:].lower() in ("inf", "nan", "infinity", "")
