"""Hold the ledger itself, and notice a lock or a ledger that was taken away or replaced.

A lock keeps others out for as long as it lies where they look for it: whoever may write in the folder
can remove it, and then a second process would launch everything once more.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from vipsync.disk.files import disk_error
from vipsync.errors import DiskError, FolderAbsent, FolderHeld
from vipsync.names import shell_word

if sys.platform != "win32":
    import fcntl

PATIENCE = 0.3
"""Seconds to wait: who looks whether the ledger is held keeps it for a moment."""

Number = tuple[int, int]


@contextmanager
def only_writer(ledger: Path) -> Iterator[None]:
    """Keep every other writer from the ledger, whatever becomes of the lock; raise FolderHeld.

    Enter this before SQLite opens the file, and leave it after: closing any descriptor of a file gives
    SQLite's own locks on it up. Not for network disks, where both kinds of locks are one.
    """
    if sys.platform == "win32":  # what is open cannot be removed there
        yield
        return
    try:
        handle = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise disk_error(ledger, error) from error
    try:
        _refuse_second_name(handle, ledger)
        _lock(handle, ledger)
        yield
    finally:
        os.close(handle)


def _refuse_second_name(handle: int, ledger: Path) -> None:
    """Raise DiskError for a file that lies elsewhere too: SQLite would write a journal of here into it."""
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        raise DiskError(
            f"{ledger} is not vipsync's alone: the same file has another name.",
            "Put a copy of it in its place; nothing is done until then.",
        )


def _lock(handle: int, ledger: Path) -> None:
    for attempt in range(15):
        if attempt:
            time.sleep(PATIENCE / 15)
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
    raise held_by_another(ledger.parent.parent, ", though its lock is gone")


def held_by_another(root: Path, though: str = "") -> FolderHeld:
    """Return the error for a folder in which another process works."""
    return FolderHeld(
        f"Another vipsync already works in {root}{though}.",
        f"It will see what you changed; `vipsync status {shell_word(root)}` shows what it does.",
    )


def has_writer(ledger: Path) -> bool:
    """Tell whether a process holds the ledger; for one that does not hold the folder itself."""
    if sys.platform == "win32":
        return False
    try:
        handle = os.open(ledger, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def numbers(paths: Iterable[Path]) -> dict[Path, Number]:
    """Return what tells each of these files from any other at its place."""
    return {path: _number(path) for path in paths}


def _number(path: Path) -> Number:
    try:
        info = path.lstat()
    except OSError:
        return (0, 0)
    return (info.st_dev, info.st_ino)


def refuse_replaced(held: Mapping[Path, Number]) -> None:
    """Raise FolderAbsent where another file, or none, now lies where one is held."""
    for path, number in held.items():
        if _number(path) != number:
            raise FolderAbsent(
                f"{path} was removed or replaced while vipsync worked there.",
                "The folder is let go and looked at anew; nothing in .vipsync is to be touched.",
            )
