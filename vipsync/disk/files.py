"""Write files of our own, and say what a disk refused."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from vipsync.errors import DiskError, FolderAbsent


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file of our own: whole or not at all, on disk when this returns."""
    try:
        _clear_unfinished(path)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            share(fresh)
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


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raise DiskError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error
    share(path)


def share(path: Path) -> bool:
    """Let a group work on what was made in a folder of its own, one that hands its group down.

    The system has applied umask and default rights: what they keep from the group stays private.
    Tell whether anything was to be changed.
    """
    with suppress(OSError):  # it is somebody else's, or this disk knows no rights
        folder, mode = path.parent.stat().st_mode, path.stat().st_mode
        if folder & stat.S_ISGID and folder & stat.S_IWGRP and mode & stat.S_IRGRP:
            more = stat.S_IWGRP | (stat.S_IXGRP if stat.S_ISDIR(mode) else 0)
            if mode | more != mode:
                path.chmod(stat.S_IMODE(mode | more))
                return True
    return False


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
