"""The engine: what an execution has come to by now (facts 5.4, 5.5, 6, 7).

State is a function of the clock and of what the runner has finished; nothing here runs by itself.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from vipsync.local.clock import Clock
from vipsync.local.execution import (
    OUTPUT_EXISTS,
    UPLOAD_FAILED,
    Execution,
    Status,
    Task,
    TaskStatus,
)
from vipsync.local.faults import Faults, Kind
from vipsync.local.iteration import (
    EngineCrash,
    EngineStuck,
    combinations,
    invocation,
    refuse_unsafe,
    results_folder,
    stored_inputs,
)
from vipsync.local.options import Options, User
from vipsync.local.refusals import Refusal
from vipsync.local.runner import APPLICATION_FAILED, OK, Content, Job, JobResult, JobRunner, Output
from vipsync.local.storage import Storage, is_present


class Engine:
    """Turns executions into jobs, and jobs' ends into results."""

    def __init__(
        self,
        work: Path,
        storage: Storage,
        runner: JobRunner,
        options: Options,
        clock: Clock,
        faults: Faults,
    ) -> None:
        self._work = work
        self._storage = storage
        self._runner = runner
        self._options = options
        self._clock = clock
        self._faults = faults

    def advance(self, execution: Execution) -> None:
        """Bring a running execution to where it is by now."""
        now = self._clock.now()
        if not execution.begun and now >= self._begins(execution):
            execution.begun = True
            self._attempt(execution, self._read_inputs)
        if execution.waiting and now >= self._submits(execution):
            self._attempt(execution, self._submit_jobs)
        if execution.open:
            self._observe(execution, now)
        self._conclude(execution, now)

    def kill(self, execution: Execution) -> None:
        """Stop what runs; a finished execution becomes Killed too.

        Jobs that have not ended are never heard of again (facts 5.11).
        """
        execution.status = Status.KILLED
        if self._faults.strike(execution.name, Kind.KILL_FLAPS):
            execution.shown = [Status.KILLED, Status.RUNNING]
        for task in execution.open:
            task.handle.kill()
        execution.open, execution.waiting = [], []

    def _begins(self, execution: Execution) -> float:
        return execution.launched + self._options.startup_delay

    def _submits(self, execution: Execution) -> float:
        return self._begins(execution) + self._options.submit_delay

    def _attempt(self, execution: Execution, step: Callable[[Execution], None]) -> None:
        try:
            step(execution)
        except EngineCrash:
            execution.status = Status.KILLED
        except EngineStuck:
            execution.stuck = True

    def _read_inputs(self, execution: Execution) -> None:
        """Store the inputs, up to one that the engine dies of, and work out the values of each job."""
        if self._faults.strike(execution.name, Kind.ENGINE_CRASHES):
            raise EngineCrash("armed")
        submission = execution.submission
        local = datetime.fromtimestamp(self._begins(execution), UTC).astimezone(self._options.zone)
        execution.results = results_folder(submission, local)
        execution.input_values = dict(stored_inputs(submission, execution.results))

        def listing(path: str) -> list[str] | None:
            return self._file_names(execution.owner, path)

        execution.waiting = combinations(submission, listing, self._options.max_jobs)

    def _submit_jobs(self, execution: Execution) -> None:
        combined, execution.waiting = execution.waiting, []
        refuse_unsafe(execution.results)
        if self._faults.strike(execution.name, Kind.ENGINE_STUCK):
            raise EngineStuck("armed")
        for number, values in enumerate(combined, start=1):
            job = self._job(execution, number, values)
            task = Task(number, self._runner.submit(job), job.folder)
            execution.tasks[number] = task
            execution.open.append(task)

    def _job(self, execution: Execution, number: int, values: dict[str, str]) -> Job:
        pipeline = execution.submission.pipeline
        told = invocation(pipeline, values)
        files = {
            name: self._input(execution.owner, values[name])
            for name in told
            if pipeline.is_file(name)
        }
        folder = self._work / execution.identifier / str(number)
        subject = f"{execution.name}/{number}"
        return Job(subject, pipeline, told, files, folder, self._submits(execution))

    def _observe(self, execution: Execution, now: float) -> None:
        ended = [task for task in execution.open if self._has_ended(execution, task, now)]
        for task in sorted(ended, key=lambda t: (t.result.ended if t.result else 0.0, t.number)):
            self._end(execution, task)
        still_open = {TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.ERROR_HELD}
        execution.open = [task for task in execution.open if task.status in still_open]

    def _has_ended(self, execution: Execution, task: Task, now: float) -> bool:
        """Look at a job; its end is seen at the next poll of the engine."""
        if task.status is TaskStatus.ERROR_HELD:
            return False
        task.result = task.result or task.handle.poll()
        if task.result is None:
            task.status = TaskStatus.RUNNING if task.handle.started else TaskStatus.QUEUED
            return False
        task.status = TaskStatus.RUNNING
        return now >= self._seen_at(execution, task.result)

    def _seen_at(self, execution: Execution, result: JobResult) -> float:
        """Return when the engine, which looks every `job_poll` seconds, sees a job's end."""
        begun, poll = self._submits(execution), self._options.job_poll
        return begun + math.ceil((result.ended - begun) / poll) * poll if poll else result.ended

    def _end(self, execution: Execution, task: Task) -> None:
        subject = f"{execution.name}/{task.number}"
        result = task.result
        assert result is not None  # noqa: S101
        if self._faults.strike(subject, Kind.JOB_HELD):
            task.status, task.exit_code = TaskStatus.ERROR_HELD, APPLICATION_FAILED
            return
        task.exit_code = self._outcome(execution, task, subject, result)
        task.status = TaskStatus.COMPLETED if task.exit_code == OK else TaskStatus.ERROR
        task.listed_at = self._seen_at(execution, result) + self._options.output_lag
        shutil.rmtree(task.folder, ignore_errors=True)

    def _outcome(self, execution: Execution, task: Task, subject: str, result: JobResult) -> int:
        if self._faults.strike(subject, Kind.JOB_FAILS):
            return APPLICATION_FAILED
        if result.exit_code != OK or self._faults.strike(subject, Kind.OUTPUT_MISSING):
            return result.exit_code
        for output in result.outputs:
            if code := self._store(execution, task, output):
                return code
        return OK

    def _store(self, execution: Execution, task: Task, output: Output) -> int:
        """Move one output to the results folder; return a job's exit code (facts 6.2)."""
        path = f"{execution.results}/{_kept_name(output.name)}"
        target = self._real(execution.owner, path)
        if target is None:
            return UPLOAD_FAILED
        if is_present(target) and not self._options.overwrite_outputs:
            return OUTPUT_EXISTS
        target.parent.mkdir(parents=True, exist_ok=True)
        _place(output.content, target)
        task.outputs[output.output_id] = path
        return OK

    def _conclude(self, execution: Execution, now: float) -> None:
        waiting = execution.open or execution.waiting or execution.stuck or not execution.begun
        if waiting or execution.status is not Status.RUNNING:
            return
        tasks = execution.tasks.values()
        if all(task.listed_at <= now for task in tasks):
            good = any(task.status is TaskStatus.COMPLETED for task in tasks)
            execution.status = Status.FINISHED if good else Status.EXECUTION_FAILED

    def _input(self, user: User, path: str) -> Path | None:
        """Return an input file; None for one whose name has a `?`, which cannot be fetched."""
        return None if "?" in path else self._real(user, path)

    def _real(self, user: User, path: str) -> Path | None:
        try:
            return self._storage.find(user, path)
        except Refusal:
            return None

    def _file_names(self, user: User, path: str) -> list[str] | None:
        real = self._real(user, path)
        if real is None or not real.is_dir():
            return None
        return sorted(entry.name for entry in real.iterdir() if entry.is_file())


def _kept_name(name: str) -> str:
    """Return an output's path below the results folder, never outside it."""
    path = PurePosixPath(name)
    return path.name if path.is_absolute() or ".." in path.parts else str(path)


def _place(content: Content, target: Path) -> None:
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        shutil.move(content, target)
