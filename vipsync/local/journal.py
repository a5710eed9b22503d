"""What a server that starts again still knows of its executions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vipsync.local.catalogue import Pipeline
from vipsync.local.execution import Execution, Status, Task, TaskStatus
from vipsync.local.options import User
from vipsync.local.runner import JobResult
from vipsync.local.submission import Submission

Record = dict[str, Any]


class Journal:
    """One small file per execution, beside the folder where its jobs work and leave their logs."""

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        self._work = work
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, execution: Execution) -> None:
        """Remember an execution as it is now."""
        file = self._folder / f"{execution.identifier}.json"
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(_as_record(execution)), encoding="utf-8")
        partial.replace(file)

    def read(self, users: Iterable[User]) -> Iterator[Execution]:
        """Yield the executions of these users, oldest first.

        What was running is Killed: its engine died with the server. Its jobs' folders are removed.
        """
        for left in self._work.glob("*/*/"):
            shutil.rmtree(left, ignore_errors=True)
        owners = {user.folder: user for user in users}
        files = self._folder.glob("*.json")
        records: list[Record] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        for record in sorted(records, key=lambda r: float(r["launched"])):
            if record["owner"] in owners:
                yield self._as_execution(record, owners[record["owner"]])

    def _as_execution(self, record: Record, owner: User) -> Execution:
        name, version = record["pipeline"]
        pipeline = Pipeline({"name": name, "tool-version": version, "inputs": []})
        status = Status(record["status"])
        return Execution(
            record["identifier"],
            record["name"],
            owner,
            Submission(record["name"], pipeline, {}, record["results"]),
            record["launched"],
            Status.KILLED if status is Status.RUNNING else status,
            begun=True,
            deleted=record["deleted"],
            results=record["results"],
            input_values=record["inputs"],
            tasks={n: self._as_task(record["identifier"], n, *task) for n, task in _tasks(record)},
        )

    def _as_task(
        self, identifier: str, number: int, status: str, exit_code: int, outputs: dict[str, str]
    ) -> Task:
        folder = self._work / identifier / str(number)
        result = _logged(folder, exit_code)
        return Task(number, _Gone(), folder, TaskStatus(status), exit_code, result, outputs)


@dataclass(frozen=True)
class _Gone:
    """The handle of a job that an earlier server ran."""

    started: bool = True

    def poll(self) -> JobResult | None:
        return None

    def kill(self) -> None:
        return


def _as_record(execution: Execution) -> Record:
    descriptor = execution.submission.pipeline.descriptor
    return {
        "identifier": execution.identifier,
        "name": execution.name,
        "owner": execution.owner.folder,
        "pipeline": [descriptor["name"], descriptor["tool-version"]],
        "launched": execution.launched,
        "status": execution.status,
        "deleted": execution.deleted,
        "results": execution.results,
        "inputs": dict(execution.input_values),
        "tasks": {
            number: [task.status, task.exit_code, task.outputs]
            for number, task in execution.tasks.items()
        },
    }


def _tasks(record: Record) -> Iterator[tuple[int, list[Any]]]:
    for number, task in record["tasks"].items():
        yield int(number), task


def _logged(folder: Path, exit_code: int) -> JobResult | None:
    """Return a job's end with the logs it left, if it left any."""
    out, err = (folder.with_name(f"{folder.name}.{kind}") for kind in ("out", "err"))
    return JobResult(exit_code, 0.0, (), out, err) if out.exists() and err.exists() else None
