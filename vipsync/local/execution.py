"""One execution and its jobs: what is remembered, and how the API shows it (facts 5.7-5.9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vipsync.local.options import User
from vipsync.local.runner import JobHandle, JobResult
from vipsync.local.submission import Submission

UNKNOWN_EXIT = -1
UPLOAD_FAILED = 30
OUTPUT_EXISTS = 32

EXIT_MESSAGES = {
    0: "Successfully executed",
    1: "Error downloading a file",
    2: "Error uploading a result file",
    3: "Error: File not found",
    6: "Execution failed",
    7: "Error writing on local disk",
    8: "Error downloading the execution logs",
    9: "Execution canceled",
    10: "Execution stalled",
    20: "Error installing girder client",
    21: "Error installing boutiques",
    22: "Error: Unable to create the execution directory",
    23: "Error: Unable to use the execution directory",
    24: "Error: Execution configuration file not found",
    25: "Error: Import boutiques fails",
    30: "Error uploading a result file to lfn",
    31: "Error while moving a local result file",
    32: "Error : A local result file already exists",
    35: "Error creating a local result directory",
    40: "Download error",
    50: "Execution was not successful",
    51: "Invalid singularity/apptainer image name",
    52: "Error: Singularity/apptainer image not found",
    53: "Invalid container runtime (only docker/singularity)",
}


class Status(StrEnum):
    """What the API says of an execution."""

    RUNNING = "Running"
    FINISHED = "Finished"
    EXECUTION_FAILED = "ExecutionFailed"
    KILLED = "Killed"
    UNKNOWN = "Unknown"


class TaskStatus(StrEnum):
    """What the API says of a job, as far as this server knows."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ERROR_HELD = "ERROR_HELD"


@dataclass
class Task:
    """One job of an execution: its runner's answer, and what is known of it outside."""

    number: int
    handle: JobHandle
    folder: Path
    status: TaskStatus = TaskStatus.QUEUED
    exit_code: int = UNKNOWN_EXIT
    result: JobResult | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    listed_at: float = 0.0

    def as_json(self) -> dict[str, object]:
        """Return a value of the `jobs` map."""
        message = EXIT_MESSAGES.get(self.exit_code, "Exit code not known")
        return {"status": self.status, "exitCode": self.exit_code, "exitMessage": message}


@dataclass
class Execution:
    """One execution; `open` are the jobs that have not ended."""

    identifier: str
    name: str
    owner: User
    submission: Submission
    launched: float
    status: Status = Status.RUNNING
    begun: bool = False
    waiting: list[dict[str, str]] = field(default_factory=list)
    """The values of each job, from when the engine knows them until it submits them."""
    stuck: bool = False
    deleted: bool = False
    results: str = ""
    input_values: Mapping[str, str] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    open: list[Task] = field(default_factory=list)
    shown: list[Status] = field(default_factory=list)

    def forget(self) -> None:
        """Be deleted: inputs and outputs are forgotten for good, jobs and their logs are not."""
        self.deleted, self.input_values = True, {}
        for task in self.tasks.values():
            task.outputs.clear()

    def seen_status(self) -> Status:
        """Return what the next look shows, which may differ for a while after a kill."""
        return self.shown.pop(0) if self.shown else self.status

    def outputs(self, now: float) -> Iterator[tuple[str, str]]:
        """Yield output id and virtual path of what is recorded by now."""
        for task in self.tasks.values():
            if task.listed_at <= now:
                yield from task.outputs.items()

    def summary(self, status: Status | None = None) -> dict[str, object]:
        """Return what lists show."""
        return {
            "identifier": self.identifier,
            "name": self.name,
            "pipelineIdentifier": self.submission.identifier or self.submission.pipeline.identifier,
            "timeout": 0,
            "status": status or self.status,
            "inputValues": {},
            "returnedFiles": {},
            "studyIdentifier": None,
            "errorCode": None,
            "startDate": int(self.launched * 1000),
            "endDate": None,
            "resultsLocation": None,
            "jobs": {},
        }

    def details(self, now: float) -> dict[str, object]:
        """Return what the route of one execution shows."""
        status = self.seen_status()
        jobs = {str(number): task.as_json() for number, task in self.tasks.items()}
        return self.summary(status) | {
            "inputValues": dict(self.input_values),
            "returnedFiles": self._returned(status, now),
            "jobs": jobs,
        }

    def _returned(self, status: Status, now: float) -> dict[str, list[str]] | None:
        returned: dict[str, list[str]] = {}
        for output_id, path in self.outputs(now):
            returned.setdefault(output_id, []).append(path)
        return returned or ({} if status in {Status.FINISHED, Status.KILLED} else None)
