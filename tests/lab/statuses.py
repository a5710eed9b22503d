"""What a study in a test's world tells of itself: its status, and where its cases stand."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.lab.bench import Bench, Study
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.status.results_table import results_table
from vipsync.status.status import Status
from vipsync.status.summary import status_of

PIPELINES = Path(__file__).parents[2] / "examples" / "pipelines"
"""Real pipelines, with command lines that need no container."""


def status(study: Study) -> Status:
    """Return what STATUS.txt and `status --json` would say now."""
    session = study.session
    assert session.snapshot is not None
    assert session.plan is not None
    return status_of(session.snapshot, session.plan, str(study.root), session.confirmed)


def cases(study: Study) -> dict[str, CaseReport]:
    """Return where each case stands, by its id."""
    return {case.id: case for case in status(study).cases}


def states(study: Study) -> dict[str, CaseState]:
    """Return the state of each case."""
    return {case_id: case.state for case_id, case in cases(study).items()}


def table(study: Study) -> list[dict[str, str]]:
    """Return the rows of results.csv."""
    assert study.session.snapshot is not None
    text = results_table(study.state, status(study), study.session.snapshot.outputs)
    return list(csv.DictReader(text.splitlines()))


def started(bench: Bench) -> list[float]:
    """Return when each execution was posted, oldest first."""
    return [e.launched for e in reversed(bench.world.executions.all())]
