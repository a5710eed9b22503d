"""outputs/results.csv: one row per case and run, what came from what, with which settings.

PURE: no I/O, no clock.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

from vipsync.state import Followed, Launch, LaunchedCase, LaunchStatus, State
from vipsync.status import Status

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
)


def results_table(state: State, status: Status) -> str:
    """Return the text of results.csv."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(state, status))
    return out.getvalue()


def _rows(state: State, status: Status) -> Iterator[tuple[str, ...]]:
    said = {case.id: str(case.state) for case in status.cases}
    folders = {e.id: e.folder for e in status.executions}
    started = [x for x in state.launches.values() if x.status is LaunchStatus.STARTED]
    latest = {case.id: launch.name for launch in _by_time(started) for case in launch.cases}
    for launch in _by_time(started):
        execution = state.executions.get(launch.execution_id)
        for case in launch.cases:
            last = latest[case.id] == launch.name
            words = said.get(case.id, "") if last else _ended(execution)
            yield _row(case, launch, execution, words, folders, last=last)


def _by_time(launches: list[Launch]) -> list[Launch]:
    return sorted(launches, key=lambda launch: (launch.at, launch.name))


def _row(
    case: LaunchedCase,
    launch: Launch,
    execution: Followed | None,
    words: str,
    folders: dict[str, str],
    *,
    last: bool,
) -> tuple[str, ...]:
    return (
        case.id,
        " ".join(f"{path}={sha256}" for path, sha256 in case.own),
        launch.pipeline_id,
        "; ".join(f"{name}={'|'.join(values)}" for name, values in sorted(launch.values.items())),
        launch.execution_id,
        _time(launch.at),
        _time(execution.ended_at if execution else None),
        words,
        folders.get(launch.execution_id, ""),
        "yes" if last else "no",
    )


def _ended(execution: Followed | None) -> str:
    return str(execution.status) if execution else ""


def _time(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""
