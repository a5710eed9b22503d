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
from typing import BinaryIO

from vipsync.disk.files import unnamed_file

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
    volume: BinaryIO,
    place: Path,
    seconds: float = SECONDS,
    stop: Callable[[], None] = lambda: None,
) -> bytes:
    """Draw slices of a volume, and return the picture, b"" where there is none; `stop` raises to end it.

    `place` is a folder on whose disk it is drawn, under no name that others could take.
    """
    if os.fstat(volume.fileno()).st_size > _LARGEST:
        return b""
    with unnamed_file(place) as picture:
        drawn = _is_drawn(volume, picture, seconds, stop)
        picture.seek(0)
        return picture.read() if drawn else b""


def _is_drawn(
    volume: BinaryIO, picture: BinaryIO, seconds: float, stop: Callable[[], None]
) -> bool:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "vipsync.results.mosaic"],
        env={name: os.environ[name] for name in HANDED_ON if name in os.environ},
        stdin=volume,
        stdout=picture,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return _ended(process, seconds, stop)
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
