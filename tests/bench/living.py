"""A `vipsync run` that lives for as long as a block lasts, and what it takes meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.server import KEY

_TICK = os.sysconf("SC_CLK_TCK")


class Living:
    """A process, as /proc tells of it."""

    def __init__(self, pid: int) -> None:
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
def keeping(folder: Path) -> Iterator[Living]:
    """Keep a session folder, or those inside a directory, in step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vipsync", "run", str(folder)],
        env={**os.environ, "VIP_API_KEY": KEY},
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
