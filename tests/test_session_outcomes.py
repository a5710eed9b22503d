"""What a script is told of its executions and jobs, from rows of the ledger."""

from __future__ import annotations

import pytest

from tests.lab.builders import OPEN, execution
from vipsync.model import ExecutionStatus, Job, VipPath
from vipsync.rows import Followed, JobLog, Launch, State, log_key
from vipsync.script.outcomes import failed_jobs, how_they_ended, jobs_so_far

WELL = Job(1, "COMPLETED", 0, "Successfully executed")
BAD = Job(2, "ERROR", 50, "Execution was not successful")
HELD = Job(3, "ERROR_HELD", 6, "Execution failed")
RUNS, QUEUED = Job(4, "RUNNING"), Job(5, "QUEUED")
FOLDERS = {"e1": "out/T1", "e2": "out/T2"}


def told(*executions: Followed, **values: tuple[str, ...]) -> str:
    """Return what is said of executions whose launch had these values."""
    state = State(OPEN)
    launch = Launch("n", (), "One/1", values, VipPath("/vip/Home/x"), 1, execution_id="e1")
    state.put([*executions, launch])
    workflows = {
        e.id: {"status": "Removed" if e.removed else str(e.status), "start": "then"}
        for e in executions
    }
    return "\n".join([*how_they_ended(state, workflows), *failed_jobs(state, FOLDERS)])


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ((), "All executions (1) ended with success."),
        ((WELL,), "All executions (1) ended with success."),
        ((WELL, BAD), "All executions (1) ended, but with failed jobs."),
        ((BAD,), "All executions (1) ended, but with failed jobs."),
        ((WELL, HELD), "All executions (1) ended, but with failed jobs."),
    ],
)
def test_an_execution_with_a_failed_job_is_no_success(jobs: tuple[Job, ...], words: str) -> None:
    """VIP calls it finished where a single job went well."""
    assert told(execution("e1", jobs=jobs)).splitlines()[0] == words


def test_each_failed_job_is_named_with_its_reason_and_its_logs() -> None:
    """Those that went well are not."""
    said = told(execution("e1", jobs=(WELL, BAD, HELD), logs=(2,)))
    assert "(!) e1: 2 of 3 jobs failed:" in said
    assert "job 2: exit code 50: Execution was not successful" in said
    assert "job 3: exit code 6: Execution failed" in said
    assert "job 1" not in said
    assert "out/T1/logs" in said


@pytest.mark.parametrize("status", [ExecutionStatus.FINISHED, ExecutionStatus.EXECUTION_FAILED])
def test_logs_that_are_not_here_have_a_call_that_brings_them(status: ExecutionStatus) -> None:
    """Those of failed executions come only where they are asked for."""
    assert f'get_status=["{status}"]' in told(execution("e1", status, jobs=(BAD,)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"a": ("/vip/x", "/vip/y"), "b": ("/vip/p", "/vip/q")}, "job 2 (y, q): "),
        ({"a": ("/vip/x", "/vip/y"), "b": ("/vip/p",)}, "job 2 (one of x, y): "),
        ({"a": ("/vip/x", "/vip/y"), "b": ("1", "2", "3")}, "job 2: "),
        ({"a": ("/vip/x",)}, "job 2: "),
        ({"a": tuple(f"/vip/{n}" for n in range(7))}, "job 2 (one of 0, 1, 2, 3, 4, …): "),
    ],
)
def test_a_jobs_inputs_are_said_as_far_as_vip_tells(
    values: dict[str, tuple[str, ...]], words: str
) -> None:
    """Lists that it pairs keep their order; of others nobody knows which job has which."""
    assert words in told(execution("e1", jobs=(WELL, BAD)), **values)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("y.mrui: not readable", "job 2 (y.mrui): y.mrui: not readable"),
        ("out of memory", "job 2 (one of y.mrui, z.mrui): out of memory"),
    ],
)
def test_a_job_that_failed_has_no_input_whose_result_is_here(reason: str, words: str) -> None:
    """Of several inputs, the one that the application names; none that went well."""
    state = State(OPEN)
    values = {"a": ("/vip/x.mrui", "/vip/y.mrui", "/vip/z.mrui")}
    failed = execution("e1", jobs=(WELL, BAD), returned=(VipPath("/vip/out/x.mrui.tgz"),))
    launch = Launch("n", (), "One/1", values, VipPath("/vip/Home/x"), 3, execution_id="e1")
    state.put([failed, launch, JobLog(log_key("e1", 2), (), reason)])
    assert words in "\n".join(failed_jobs(state, FOLDERS))


def test_executions_of_several_ends_are_told_apart() -> None:
    """What was removed is over, whatever its jobs were."""
    said = told(execution("e1", jobs=(BAD,), removed=True), execution("e2", jobs=(WELL,)))
    assert said.splitlines() == [
        "Executions (1) were removed from VIP.",
        "\te1, started on: then",
        "Executions (1) ended with success.",
        "\te2, started on: then",
    ]


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ((), ""),
        ((QUEUED,), "1 job: 1 queued"),
        ((QUEUED, RUNS, WELL, BAD, HELD), "5 jobs: 1 queued, 1 running, 1 done, 1 failed, 1 held"),
    ],
)
def test_jobs_are_counted_while_an_execution_runs(jobs: tuple[Job, ...], words: str) -> None:
    """Those of executions that are over no longer count."""
    running = execution("e1", ExecutionStatus.RUNNING, jobs=jobs)
    assert jobs_so_far([running, execution("e2", jobs=(WELL,))]) == words
