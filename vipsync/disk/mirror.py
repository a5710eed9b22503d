"""Put results into outputs/ without ever replacing anything, and tell what they look like there."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from vipsync.disk.files import clear, entered, flush_folder, share

EMPTY = hashlib.sha256().hexdigest()[:32]
"""What a folder without any file looks like."""


def stamp(path: Path | str) -> str | None:
    """Return what a result looks like, None where it is not there.

    A file by size and time, a folder by the names, sizes and times of all files in it, and by where
    its links point: enough to see that a person changed something.
    """
    try:
        info = os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise
    if not stat.S_ISDIR(info.st_mode):
        return f"{info.st_size} {info.st_mtime_ns}"
    digest = hashlib.sha256()
    for name, looks in sorted(_files(Path(path))):
        digest.update(f"{name}\0{looks}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _files(top: Path) -> Iterator[tuple[str, str]]:
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            entries = list(os.scandir(top / prefix))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            yield prefix, "deeper than any result"  # somebody has made it so
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(name + "/")
            elif entry.is_symlink():
                yield name, str(Path(entry.path).readlink())  # its time is that of its making
            else:
                info = entry.stat(follow_symlinks=False)
                yield name, f"{info.st_size}\0{info.st_mtime_ns}"


def place(fresh: Path, target: Path, below: Path) -> Path:
    """Move a complete file or folder to `target`, or beside it as `<name>.vip` where that is taken.

    What is taken by the very same content was placed before a crash: then that is the result.
    Return where the result is; nothing is replaced. `below` is the folder from which on no link is
    followed.
    """
    with entered(target.parent, below, make=True) as folder:
        for candidate in candidates(folder / target.name):
            if _lies_at(fresh, candidate):
                flush_folder(folder)
                return target.with_name(candidate.name)
    raise AssertionError("names never end")


def _lies_at(fresh: Path, candidate: Path) -> bool:
    """Tell whether it could be moved there, or the very same was there already."""
    if os.path.lexists(candidate) and not (fresh.is_dir() and _is_hull(candidate)):
        same = _same(fresh, candidate)
        if same:
            clear(fresh)
        return same
    try:
        _move(fresh, candidate)
    except FileExistsError:
        return False
    share(candidate)
    return True


def candidates(target: Path) -> Iterator[Path]:
    """Yield the names for what is to lie at `target`, in the order in which they are taken."""
    yield target
    yield target.with_name(f"{target.name}.vip")
    for number in count(2):
        yield target.with_name(f"{target.name}.vip{number}")


def _move(fresh: Path, target: Path) -> None:
    """Rename without replacing: a file by a hard link where the disk has them.

    A folder takes the place of nothing, or of an empty folder, by what rename itself refuses.
    """
    if fresh.is_dir():
        fresh.rename(target)
        return
    try:
        os.link(fresh, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        fresh.rename(target)
    else:
        fresh.unlink()


def _same(fresh: Path, there: Path) -> bool:
    if fresh.is_dir() or _is_folder(there):
        return fresh.is_dir() and _is_folder(there) and stamp(fresh) == stamp(there)
    return stat.S_ISREG(there.lstat().st_mode) and filecmp.cmp(fresh, there, shallow=False)


def _is_hull(path: Path) -> bool:
    """Tell whether this is a folder with nothing in it: what is left where a result was deleted."""
    return _is_folder(path) and next(path.iterdir(), None) is None


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)
