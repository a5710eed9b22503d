"""Run jobs as VIP's job script does: `bosh exec launch` in a folder of their own (facts 7.3, 7.4)."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from vipsync.local.clock import Clock
from vipsync.local.runner import (
    APPLICATION_FAILED,
    INPUT_MISSING,
    OK,
    Job,
    JobHandle,
    JobResult,
    Output,
)

logger = logging.getLogger(__name__)

# bosh takes itself for a command only under this name. Two things of it are chance, and are not here:
# of what matches a wildcard it keeps the first that the file system names, and it loses what an
# application says last when that ends before it was read.
_BOSH = """
import glob, subprocess, sys
found = glob.glob
glob.glob = lambda *args, **options: sorted(found(*args, **options))
class Heard(subprocess.Popen):
    def poll(self):
        return None if self.stdout and self.stdout.peek(1) else super().poll()
subprocess.Popen = Heard
sys.argv[0] = "bosh"
from boutiques.bosh import bosh
sys.exit(bosh())
"""
_SUMMARY = "Shell command\n"
_FAILED = "EXECUTION_FAILED - execution was not successful"
_OUTPUT = re.compile(r"^\t- (?P<name>.+) \((?P<id>\w+), (?:Optional|Required)\)$", re.MULTILINE)
_OPTIONS = ("--stream", "--no-pull", "--no-automounts", "--skip-data-collection")


class BoshRunner:
    """Runs jobs in processes of their own, `slots` at a time."""

    def __init__(self, clock: Clock, slots: int = 2) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="vip-job")
        self._handles: list[_Process] = []

    def submit(self, job: Job) -> JobHandle:
        """Queue a job."""
        handle = _Process(job, self._clock)
        handle.future = self._pool.submit(handle.run)
        self._handles = [kept for kept in self._handles if kept.poll() is None]
        self._handles.append(handle)
        return handle

    def close(self) -> None:
        """Kill what still runs, and wait for it."""
        for handle in self._handles:
            handle.kill()
        self._pool.shutdown(cancel_futures=True)


@dataclass
class _Process:
    job: Job
    clock: Clock
    future: Future[JobResult] | None = None
    started: bool = False
    killed: bool = False
    process: subprocess.Popen[bytes] | None = None
    lock: Lock = field(default_factory=Lock)

    def poll(self) -> JobResult | None:
        if self.future is None or not self.future.done() or self.future.cancelled():
            return None
        return self.future.result()

    def kill(self) -> None:
        with self.lock:
            self.killed = True
            if self.process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGTERM)

    def run(self) -> JobResult:
        self.started = True
        try:
            if self.killed:
                return JobResult(APPLICATION_FAILED, self.clock.now())
            if self.job.missing():
                return JobResult(INPUT_MISSING, self.clock.now())
            fetch_inputs(self.job)
            return self._result(self._launch())
        except OSError:
            logger.exception("a job could not be run")
            return JobResult(APPLICATION_FAILED, self.clock.now())
        finally:
            if self.killed:
                shutil.rmtree(self.job.folder, ignore_errors=True)

    def _launch(self) -> int:
        folder = self.job.folder
        command = [*bosh_command(), "exec", "launch", *_OPTIONS, "descriptor.json"]
        command.append("input_params.json")
        with (
            (folder.parent / f"{folder.name}.out").open("wb") as out,
            (folder.parent / f"{folder.name}.err").open("wb") as err,
        ):
            with self.lock:
                if self.killed:
                    return APPLICATION_FAILED
                self.process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=job_environment(self.job),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            code = self.process.wait()
        with self.lock:
            self.process = None
        return OK if code == 0 else APPLICATION_FAILED

    def _result(self, code: int) -> JobResult:
        """Return how the job ended, its logs as the wrapper of VIP leaves them (facts 5.10)."""
        folder, now = self.job.folder, self.clock.now()
        log = folder.parent / f"{folder.name}.out"
        error_log = folder.parent / f"{folder.name}.err"
        printed = log.read_bytes()
        outputs = self._outputs(printed.decode("utf-8", "replace")) if code == OK else ()
        if code == OK:
            end = b""
            printed = printed.rstrip(b"\n") + b"\n"
        else:
            took = f"Execution time: {now - self.job.submitted:.0f} seconds"
            end = _wrapped("INFO", now, took)
            with error_log.open("ab") as words:
                words.write(_wrapped("ERROR", now, _FAILED))
        log.write_bytes(_heading(self.job, now) + printed + end)
        return JobResult(code, now, outputs, log, error_log)

    def _outputs(self, printed: str) -> tuple[Output, ...]:
        """Return what bosh says it found."""
        summary, declared = printed.rpartition(_SUMMARY)[2], self.job.pipeline.outputs
        found = [(m["id"], m["name"]) for m in _OUTPUT.finditer(summary)]
        return tuple(
            Output(key, _kept(name, declared[key]), self.job.folder / name)
            for key, name in found
            if key in declared and (self.job.folder / name).exists()
        )


def _heading(job: Job, now: float) -> bytes:
    """Return the line in which VIP's wrapper tells how it calls bosh, with the paths of its own host."""
    name = str(job.pipeline.descriptor.get("name", "")).replace(" ", "_")
    place, tag = f"/workflows/{job.folder.parent.name}", f"{name}-{int(job.submitted * 1e9)}"
    told, here = f"../inv/{tag}-invocation.json", f"{place}/{tag}"
    mounts = {
        f"{here}/../cache": f"{here}/../cache",
        f"{here}/tmp-XXXXXX": "/tmp",  # noqa: S108
        f"{here}/{told}": f"{here}/input_params.json",
    }
    call = f'/opt/bin/bosh exec launch --stream --no-automounts --no-pull --provenance {{"jobid":"{tag}"}}'
    options = " ".join(f"-v {outside}:{inside}" for outside, inside in mounts.items())
    return _wrapped("INFO", now, f"Running bosh: {call} {options} ../workflow.json {told}")


def _wrapped(level: str, now: float, text: str) -> bytes:
    date = datetime.fromtimestamp(now, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    return f"[ {level} - {date} ] {text}\n".encode()


def bosh_command() -> list[str]:
    """Return how to call bosh with this interpreter, whatever lies in the job's folder."""
    return [sys.executable, "-P", "-c", _BOSH]


def job_environment(job: Job) -> dict[str, str]:
    """Return a job's environment: this interpreter and the pipeline's folder first, a home of its own."""
    kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "TMPDIR") if key in os.environ}
    tools = [str(job.pipeline.folder)] if job.pipeline.folder else []
    path = [str(Path(sys.executable).parent), *tools, os.environ.get("PATH", os.defpath)]
    own = {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(tools)}
    return kept | own | {"HOME": str(job.folder), "NO_COLOR": "1"}


def fetch_inputs(job: Job) -> None:
    """Fill a job's folder: inputs under their base names, descriptor and invocation for bosh."""
    job.folder.mkdir(parents=True)
    for name, file in job.files.items():
        if file is not None:
            target = job.folder / str(job.invocation[name])
            copy = shutil.copytree if file.is_dir() else shutil.copyfile
            copy(file, target)
    descriptor = without_empty_lists(job.pipeline.descriptor)
    (job.folder / "descriptor.json").write_text(json.dumps(descriptor), encoding="utf-8")
    told = json.dumps(dict(job.invocation))
    (job.folder / "input_params.json").write_text(told, encoding="utf-8")


def without_empty_lists(value: object) -> object:
    """Return a descriptor that its schema accepts: empty lists left out, at any depth (facts 4.1)."""
    if isinstance(value, Mapping):
        return {key: without_empty_lists(item) for key, item in value.items() if item != []}
    if isinstance(value, list):
        return [without_empty_lists(item) for item in value]
    return value


def _kept(name: str, entry: Mapping[str, object]) -> str:
    """Return an output's name below the results folder; a wildcard loses its folder (facts 6.2)."""
    return Path(name).name if "*" in str(entry.get("path-template", "")) else name
