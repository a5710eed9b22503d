"""What runs a job: the protocol, and a quick runner for tests that calls a function."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from vipsync.local.catalogue import Pipeline
from vipsync.local.clock import Clock
from vipsync.local.iteration import InvocationValue

OK = 0
APPLICATION_FAILED = 50
INPUT_MISSING = 40

Content = bytes | Path


@dataclass(frozen=True)
class Job:
    """One run of a pipeline: what bosh is told, where its files come from, since when it is due."""

    subject: str
    pipeline: Pipeline
    invocation: Mapping[str, InvocationValue]
    files: Mapping[str, Path | None]
    folder: Path
    submitted: float

    def missing(self) -> bool:
        """Say whether an input file is not there."""
        return any(file is None or not file.exists() for file in self.files.values())


@dataclass(frozen=True)
class Output:
    """One file a job produced; name may hold sub-directories."""

    output_id: str
    name: str
    content: Content


@dataclass(frozen=True)
class JobResult:
    """How a job ended, in VIP's exit codes (facts 5.9), and when."""

    exit_code: int
    ended: float
    outputs: tuple[Output, ...] = ()
    stdout: Content = b""
    stderr: Content = b""


class JobHandle(Protocol):
    """A job that was handed to a runner."""

    @property
    def started(self) -> bool:
        """Say whether the job left the queue."""

    def poll(self) -> JobResult | None:
        """Return the result once there is one."""

    def kill(self) -> None:
        """Stop the job; it needs no result any more."""


class JobRunner(Protocol):
    """What runs jobs."""

    def submit(self, job: Job) -> JobHandle:
        """Queue a job."""

    def close(self) -> None:
        """Stop everything that still runs."""


Work = Callable[[Job], Mapping[str, Content] | int | JobResult]


def output_names(job: Job) -> dict[str, str]:
    """Return each output's path, its template filled in (facts 7.5); no conditional templates."""
    return {
        name: _filled(str(entry.get("path-template", name)), job, entry)
        for name, entry in job.pipeline.outputs.items()
    }


def sample_outputs(job: Job) -> Mapping[str, Content]:
    """Produce every output: a real archive where the name says so, else a line of text."""
    text = f"{job.pipeline.identifier} {dict(job.invocation)}\n".encode()
    return {name: _sample(file, text) for name, file in output_names(job).items()}


@dataclass
class FastRunner:
    """Run a function for each job, `seconds` of the clock after it was submitted.

    The function returns the content of outputs by id, an exit code of VIP (50: the application failed),
    or all that came of the job.
    """

    clock: Clock
    work: Work = sample_outputs
    seconds: float | Callable[[Job], float] = 0.0
    submitted: list[Job] = field(default_factory=list)

    def submit(self, job: Job) -> JobHandle:
        """Queue a job; it starts at once."""
        self.submitted.append(job)
        seconds = self.seconds(job) if callable(self.seconds) else self.seconds
        return _FastHandle(job, self.work, self.clock, job.submitted + seconds)

    def close(self) -> None:
        """Do nothing: nothing runs between two calls."""


@dataclass
class _FastHandle:
    job: Job
    work: Work
    clock: Clock
    due: float
    result: JobResult | None = None

    @property
    def started(self) -> bool:
        return True

    def poll(self) -> JobResult | None:
        if self.result is None and self.clock.now() >= self.due:
            self.result = self._run()
        return self.result

    def kill(self) -> None:
        self.due = float("inf")

    def _run(self) -> JobResult:
        if self.job.missing():
            return JobResult(INPUT_MISSING, self.due)
        produced = self.work(self.job)
        if isinstance(produced, JobResult):
            return produced
        if isinstance(produced, int):
            return JobResult(produced, self.due, stderr=f"exit code {produced}\n".encode())
        names = output_names(self.job)
        outputs = tuple(Output(key, names[key], content) for key, content in produced.items())
        return JobResult(OK, self.due, outputs, stdout=b"done\n")


def _filled(template: str, job: Job, entry: Mapping[str, object]) -> str:
    extensions = entry.get("path-template-stripped-extensions") or ()
    for name, value in job.invocation.items():
        described = job.pipeline.inputs[name]
        text = str(value)
        if described["type"] == "File" and isinstance(extensions, (list, tuple)):
            for extension in extensions:
                text = text.replace(str(extension), "")
        template = template.replace(described.get("value-key", "\0"), text)
    return template


def _sample(name: str, text: bytes) -> bytes:
    member = PurePosixPath(name).name.partition(".")[0] + ".txt"
    if name.endswith((".tgz", ".tar.gz", ".tar")):
        return _tar(member, text, "w" if name.endswith(".tar") else "w:gz")
    return _zip(member, text) if name.endswith(".zip") else text


def _tar(member: str, text: bytes, mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo(member)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def _zip(member: str, text: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, text)
    return buffer.getvalue()
