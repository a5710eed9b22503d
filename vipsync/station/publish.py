"""A station's state for people: STATION.txt, station.csv, and a document for other commands. No identities."""

from __future__ import annotations

import csv
import io
import logging
import socket
from collections import Counter
from collections.abc import Iterator

import msgspec

from vipsync.disk.files import LARGE, disk_words, read_small
from vipsync.disk.walk import printable
from vipsync.errors import KeyMissing, VipsyncError
from vipsync.model import replace
from vipsync.names import placed
from vipsync.station.folder import StationFolder
from vipsync.station.steps import StationPlan, StationStatus, StudyReport, StudyState
from vipsync.status.status import count
from vipsync.status.words import UNLESS_OLD, when

logger = logging.getLogger(__name__)

EVERY = 300.0
_SHOWN = 200
COLUMNS = ("study", "state", "reason", "session", "since")
_LAST = (
    StudyState.DONE,
    StudyState.BEFORE,
    StudyState.NOT_OURS,
    StudyState.SKIPPED,
    StudyState.GONE,
)


def station_status(
    folder: StationFolder, plan: StationPlan, wall: float, keyless: str = ""
) -> StationStatus:
    """Return how a station is; `keyless`: why VIP takes nothing from its sessions, which goes first."""
    reports = tuple(_placed(report, folder) for report in plan.reports)
    asking = [report for report in reports if report.asks]
    return StationStatus(
        printable(str(folder.root)),
        folder.root.name,
        keyless or _sentence(plan, asking),
        reports,
        wall,
        KeyMissing.exit_code if keyless else 3 if asking else 0,
    )


def _placed(report: StudyReport, folder: StationFolder) -> StudyReport:
    """Return a report whose advice names the station."""
    reason, remedy = (placed(words, folder.root) for words in (report.reason, report.remedy))
    return replace(report, reason=reason, remedy=remedy)


def troubled(
    folder: StationFolder, error: VipsyncError, wall: float, before: StationStatus | None = None
) -> StationStatus:
    """Return the state of a station that cannot go on; what was known before is kept."""
    root = printable(str(folder.root))
    known = before or StationStatus(root, folder.root.name, "")
    return replace(known, sentence=f"Stopped: {error}", written=wall, exit_code=error.exit_code)


def _sentence(plan: StationPlan, asking: list[StudyReport]) -> str:
    if asking:
        first = asking[0]
        more = f" and {len(asking) - 1} more" if len(asking) > 1 else ""
        return f"Needs you: {first.name}: {first.state}: {first.reason}{more}"
    counts = Counter(str(report.state) for report in plan.reports)
    if not counts:
        return "Waiting for studies in the export."
    return (
        f"{count(counts.total(), 'study').replace('studys', 'studies')}: "
        + ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        + "."
    )


def station_text(status: StationStatus, host: str) -> str:
    """Return STATION.txt."""
    return "\n".join(_lines(status, host)) + "\n"


def _lines(status: StationStatus, host: str) -> Iterator[str]:
    yield status.sentence
    yield ""
    asking = [report for report in status.studies if report.asks]
    if asking:
        yield "What you should do:"
        for report in asking:
            yield f"- {report.name}: {report.state}: {report.reason}"
            if report.remedy:
                yield f"    {report.remedy}"
        yield ""
    yield f"Written {when(status.written)} by vipsync on {host}."
    yield UNLESS_OLD
    yield f"Results of a study are in {status.folder}/SESSION/outputs; SESSION stands in the table."
    yield ""
    yield from table_lines(status)


def table_lines(status: StationStatus) -> Iterator[str]:
    """Return the table of studies, those that still go on first; of many that are over, the last ones."""
    if not status.studies:
        return
    going = [report for report in status.studies if report.state not in _LAST]
    over = [report for report in status.studies if report.state in _LAST]
    reports = [*going, *over[-_SHOWN:]]
    rows = [COLUMNS, *(_row(report) for report in reports)]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1, 3, 4)]
    for study, state, reason, session, since in rows:
        cells = (study, state, session, since)
        aligned = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield f"{aligned}  {reason}".rstrip()
    if len(over) > _SHOWN:
        yield f"… and {len(over) - _SHOWN} more that are over; station.csv lists all"


def _row(report: StudyReport) -> tuple[str, str, str, str, str]:
    since = when(report.since) if report.since else ""
    reason = " ".join(report.reason.split())
    return (report.name, str(report.state), reason, report.session, since)


def station_csv(status: StationStatus) -> str:
    """Return station.csv."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_row, status.studies))
    return out.getvalue()


def publish(folder: StationFolder, status: StationStatus, before: StationStatus | None) -> None:
    """Write down what has changed, and the time now and then."""
    same = before is not None and replace(before, written=status.written) == status
    if same and before and status.written - before.written < EVERY:
        return
    try:
        folder.own.write(folder.text, station_text(status, socket.gethostname()).encode())
        folder.own.write(folder.table, station_csv(status).encode())
        folder.own.write(folder.report, msgspec.json.encode(status))
    except (VipsyncError, OSError) as error:
        logger.warning("STATION.txt could not be written: %s", disk_words(error))


def read_report(folder: StationFolder) -> StationStatus | None:
    """Return what the process that holds the station last said of it."""
    try:
        return msgspec.json.decode(read_small(folder.report, LARGE), type=StationStatus)
    except (OSError, ValueError, RecursionError):
        return None
