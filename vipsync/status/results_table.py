"""outputs/results.csv: one row per case and run, what came from what, with which settings.

PURE: no I/O, no clock.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC

from vipsync.model import RelPath, moment
from vipsync.names import folder_words
from vipsync.plan.standing import outcome
from vipsync.record.digests import members_digest
from vipsync.rows import Followed, Launch, LaunchedCase, LaunchStatus, Result, ResultStatus, State
from vipsync.status.status import Status
from vipsync.status.words import plain

FILES_NAMED = 20
"""Files of a case that are named one by one, each with its sha256."""

COLUMNS = (
    "case",
    "inputs",
    "pipeline",
    "parameters",
    "execution",
    "launched",
    "ended",
    "status",
    "folder",
    "latest",
    "privacy",
)


def results_table(state: State, status: Status, here: Collection[RelPath]) -> str:
    """Return the text of results.csv; `here` are the results that are in outputs/ now."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(tuple(map(_harmless, row)) for row in _rows(state, status, here))
    return out.getvalue()


def is_results_table(beginning: bytes) -> bool:
    """Tell whether a file that begins so is this table, of whatever version."""
    return not beginning or beginning.startswith(",".join(COLUMNS[:5]).encode())


_RUN = re.compile(r"(^|[;,|\t])(\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])")


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a command, whatever it takes for the end of a cell."""
    return plain(_RUN.sub(r"\1'\2\3", cell))


def _rows(state: State, status: Status, here: Collection[RelPath]) -> Iterator[tuple[str, ...]]:
    folders = {e.id: e.folder for e in status.executions}
    launches = (x for x in state.launches.values() if x.status is LaunchStatus.STARTED)
    started = sorted(launches, key=lambda launch: (launch.at, launch.name))
    without = {
        (r.execution_id, _name(r.vip)): word
        for r in state.results.values()
        if (word := _not_here(r, here))
    }
    latest = {case.id: (case.content, x.request) for x in started for case in x.cases}
    for launch in started:
        execution = state.executions.get(launch.execution_id)
        for case in launch.cases:
            last = latest[case.id] == (case.content, launch.request)
            stands = str(outcome(case, launch, execution).state)
            names = ((launch.execution_id, _name(e.name or "")) for e in case.expected)
            if words := sorted({without[name] for name in names if name in without}):
                stands += f", result {' and '.join(words)}{'' if last else ' (run again since)'}"
            yield _row(case, launch, execution, stands, folders, last=last)


def _not_here(result: Result, here: Collection[RelPath]) -> str:
    """Say why a result is not here that a person did without or deleted; empty for others."""
    if result.status is ResultStatus.HERE and result.local not in here:
        return "deleted here"
    return str(ResultStatus.LET_GO) if result.status is ResultStatus.LET_GO else ""


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _row(
    case: LaunchedCase,
    launch: Launch,
    execution: Followed | None,
    stands: str,
    folders: dict[str, str],
    *,
    last: bool,
) -> tuple[str, ...]:
    return (
        case.id,
        "; ".join(f"{path}={sha256}" for path, sha256 in (*_folded(case.own), *launch.shared)),
        launch.pipeline_id,
        "; ".join(
            f"{name}={case.values.get(name) or '|'.join(values)}"
            for name, values in sorted(launch.values.items())
        ),
        launch.execution_id,
        _time(launch.at),
        _time(execution.ended_at if execution else None),
        stands,
        folders.get(launch.execution_id, ""),
        "yes" if last else "no",
        launch.privacy or "",
    )


def _folded(files: Collection[tuple[RelPath, str]]) -> Iterator[tuple[str, str]]:
    """Return the files of a case; many as one digest per folder: a cell of a spreadsheet holds 32,767 letters."""
    if len(files) <= FILES_NAMED:
        yield from files
        return
    folders = defaultdict[str, list[tuple[RelPath, str]]](list)
    for path, sha256 in files:
        folders[path.rpartition("/")[0]].append((path, sha256))
    for folder, members in sorted(folders.items()):
        yield f"{folder_words(RelPath(folder))} ({len(members)} files)", members_digest(members)


def _time(seconds: float | None) -> str:
    return moment(seconds, UTC).isoformat(timespec="seconds") if seconds else ""
