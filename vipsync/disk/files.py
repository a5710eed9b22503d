"""Write files of our own, and say what a disk refused."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from vipsync.errors import DiskError, FolderAbsent


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file of our own: whole or not at all, on disk when this returns."""
    try:
        _clear_unfinished(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(0o644)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)
    except OSError as error:
        raise disk_error(path, error) from error


def _clear_unfinished(path: Path) -> None:
    """Delete what processes that were killed left of the same file."""
    for left in path.parent.iterdir():
        if left.name.startswith(f".{path.name}.") and left.suffix == ".tmp":
            left.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make names in a folder last; where folders cannot be flushed, nothing more can be done."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def disk_error(path: Path, error: OSError) -> DiskError:
    """Say what this machine refused, and what to do."""
    reason = error.strerror or str(error)
    return DiskError(
        f"{path} cannot be written: {reason}.",
        "Make room on the disk, or give this account the right to write there.",
    )


def no_folder(path: Path) -> FolderAbsent:
    """Say that a folder is not there, or that a file is in its place."""
    for place in (path, *path.parents):
        if place.is_file():
            return FolderAbsent(
                f"{place} is a file, and should be a folder.",
                "Move the file to another place. Nothing is done until then.",
            )
    return FolderAbsent(
        f"{path} is not there.", "Is its disk connected? Nothing is done until then."
    )


def unreadable(path: Path, error: OSError) -> FolderAbsent:
    """Say what cannot be looked at; nothing is concluded from that."""
    if isinstance(error, NotADirectoryError):
        return no_folder(Path(error.filename or path))
    reason = error.strerror or str(error)
    return FolderAbsent(
        f"{error.filename or path} cannot be read: {reason}.",
        "Is the disk there and healthy, and may this account read it? Nothing is done until then.",
    )
