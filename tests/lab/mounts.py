"""Real disks for tests, where this account may mount them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str = "4m") -> Iterator[None]:
    """Mount an empty disk of its own at a folder; skip the test where that is not permitted."""
    mount(place, size)
    try:
        yield
    finally:
        unmount(place)


def mount(place: Path, size: str = "4m") -> None:
    """Mount an empty disk in memory."""
    mounted("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))


def mounted(*command: str) -> None:
    """Run a command that mounts; skip the test where that is not permitted."""
    if sys.platform != "linux":
        pytest.skip("mounts a disk as Linux does")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    """Take a disk away, also from under those who use it."""
    subprocess.run(["umount", "-l", str(place)], check=True)
