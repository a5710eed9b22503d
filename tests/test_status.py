"""What a folder's state is, as data."""

from __future__ import annotations

import pytest

from tests.worlds import OPEN, execution, memory, snapshot
from vipsync.model import ExecutionStatus, Job
from vipsync.plan.plan import plan
from vipsync.status.status import status_of

JOBS = (Job(1, "COMPLETED", 0), Job(2, "RUNNING"), Job(3, "QUEUED"), Job(4, "RUNNING"))


@pytest.mark.parametrize(
    ("status", "jobs"),
    [
        (ExecutionStatus.RUNNING, {"done": 1, "running": 2, "queued": 1}),
        (ExecutionStatus.UNKNOWN, {"done": 1, "running": 2, "queued": 1}),
        (ExecutionStatus.KILLED, {"done": 1, "stopped": 3}),
        (ExecutionStatus.EXECUTION_FAILED, {"done": 1, "stopped": 3}),
    ],
)
def test_an_execution_that_has_ended_shows_no_running_jobs(
    status: ExecutionStatus, jobs: dict[str, int]
) -> None:
    """VIP tells of those of a stopped one for good that they run."""
    moment = snapshot(execution("e1", status, jobs=JOBS), session=OPEN, memory=memory())
    (report,) = status_of(moment, plan(moment), "/s").executions
    assert dict(report.jobs) == jobs
