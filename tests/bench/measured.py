"""What a command takes: one that runs to its end, and one that lives for as long as a block lasts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.bench.server import Server


@dataclass(frozen=True)
class Measure:
    """Seconds, peak memory in bytes, and seconds of processor time, of one run."""

    seconds: float
    memory: int = 0
    cpu: float = 0.0


def command(
    words: Sequence[str], cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Measure:
    """Run a command to its end; raise where it fails. Python may keep what it compiles, as pip does."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-S", LAUNCHER, *words],
        cwd=cwd,
        env={**kept, **(environ or {})},
        capture_output=True,
        check=True,
    )
    seconds, worked, peak, code = done.stdout.split()
    if int(code):
        said = done.stderr[-500:]
        raise RuntimeError(f"{' '.join(words)[:300]} ended with {int(code)}: {said!r}")
    return Measure(float(seconds), int(peak) * KILOBYTE, float(worked))


def alone(*words: object) -> Sequence[str]:
    """Return the command of a work that has a process of its own."""
    return [sys.executable, "-m", "tests.bench.alone", *map(str, words)]


def call(work: Callable[[], object]) -> Measure:
    """Measure a call in this process; its memory is not known apart."""
    began, worked = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - began
    return Measure(seconds, cpu=time.process_time() - worked)


def median(measures: Sequence[Measure]) -> Measure:
    """Return the median of the seconds, wall and processor, and the most memory."""
    return Measure(
        statistics.median(m.seconds for m in measures),
        max(m.memory for m in measures),
        statistics.median(m.cpu for m in measures),
    )


ROOT = Path(__file__).parents[2]
LAUNCHER = Path(__file__).with_name("launcher.py")
KILOBYTE = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit in which the system tells the peak memory."""
_TICK = os.sysconf("SC_CLK_TCK")


class Living:
    """A process, as /proc tells of it."""

    def __init__(self, pid: int | Literal["self"]) -> None:
        self._proc = Path(f"/proc/{pid}")

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    @property
    def memory(self) -> int:
        """Bytes at the most, so far."""
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def keeping(folder: Path, server: Server, *options: str, **environ: str) -> Iterator[Living]:
    """Keep a session folder, or those inside a directory, in step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vipsync", *options, "run", str(folder)],
        env={**os.environ, **server.environ, **environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield Living(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
