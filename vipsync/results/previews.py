"""Pictures of volumes, drawn in a process of their own: a file from outside may be a trap.

That process has no key in its environment, and limits on time, memory and size.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from vipsync.disk.files import share

VOLUMES = (".nii", ".nii.gz")
INSTALL = "pip install 'vipsync[preview]'"
SECONDS = 30.0
_LOOK = 0.2
"""Seconds after which it is asked whether to stop."""

_LARGEST = 2 * 1024**3
HANDED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


def is_volume(name: str) -> bool:
    """Tell whether a file is a volume by its name."""
    return name.lower().endswith(VOLUMES)


@cache
def possible() -> bool:
    """Tell whether what draws is installed; nothing of it is loaded."""
    return all(importlib.util.find_spec(name) for name in ("nibabel", "numpy", "PIL"))


def mosaic(
    volume: Path,
    target: Path,
    seconds: float = SECONDS,
    stop: Callable[[], None] = lambda: None,
) -> bool:
    """Draw slices of a volume, and tell whether there is a picture now; `stop` raises to end it."""
    if volume.stat().st_size > _LARGEST:
        return False
    fresh = target.with_name(f".{target.stem}.tmp.png")
    fresh.unlink(missing_ok=True)
    try:
        drawn = _drawn(volume, fresh, seconds, stop)
        if drawn:
            share(fresh)
            fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return drawn


def _drawn(volume: Path, fresh: Path, seconds: float, stop: Callable[[], None]) -> bool:
    program = [sys.executable, "-P", "-m", "vipsync.results.mosaic"]
    with subprocess.Popen(  # noqa: S603
        [*program, str(volume.absolute()), str(fresh.absolute())],
        cwd=fresh.parent,
        env={name: os.environ[name] for name in HANDED_ON if name in os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return _ended(process, seconds, stop) and fresh.is_file()
        finally:
            process.kill()


def _ended(process: subprocess.Popen[bytes], seconds: float, stop: Callable[[], None]) -> bool:
    """Wait for a process, and tell whether it ended well and in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stop()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK) == 0
    return False
