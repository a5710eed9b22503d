"""Run a command, and say how long it took and how much memory it had at most."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measure:
    """Seconds, and peak memory in bytes, of one run."""

    seconds: float
    memory: int = 0


def command(words: Sequence[str], cwd: Path | None = None, **environ: str) -> Measure:
    """Run a command to its end; raise where it fails. Python may keep what it compiles, as pip does."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env={**kept, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(words)[:300]} ended with {process.returncode}: {said[-500:]!r}"
        )
    return Measure(seconds, _bytes(usage))


def call(work: Callable[[], object]) -> Measure:
    """Measure a call in this process; its memory is not known apart."""
    began = time.perf_counter()
    work()
    return Measure(time.perf_counter() - began)


def median(measures: Sequence[Measure]) -> Measure:
    """Return the median of the seconds, and the most memory."""
    return Measure(statistics.median(m.seconds for m in measures), max(m.memory for m in measures))


def _bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
