"""Read and write files of our own where others may write too, and say what a disk refused.

Whoever may write in a session folder can put a pipe, a device, a huge file or a link where vipsync
reads or writes. A pipe or a device would keep it waiting, a link would lead its writes and
removals elsewhere. So files are opened here without waiting and without following, and folders as
such: what is done in them is done there, whatever takes their names meanwhile.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from msgspec import convert

from vipsync.errors import DiskError, FolderAbsent, InTheWay, VipsyncError
from vipsync.model import FileState

T = TypeVar("T")

HELD = Path("/proc/self/fd")
"""Where Linux gives each folder that this process has open a path of its own."""


SMALL = 1 << 20
"""Bytes of a file that a person or a command writes: settings, rules, requests."""

LARGE = 1 << 28
"""Bytes of a file that grows with the number of cases: status.json, session_data.json."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | _NO_LINK


def read_small(path: Path, limit: int = SMALL) -> bytes:
    """Return what a regular file holds, at most `limit` bytes.

    Raise OSError, also for a link, a pipe, a device, a folder and what is larger.
    """
    handle = _opened(path)
    try:
        _require_regular(handle, path)
        return _read(handle, path, limit)
    finally:
        os.close(handle)


def at_once(path: str, flags: int) -> int:
    """Open a file for whoever hands this to `open`, and wait for nobody: a pipe would wait for its writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def looks(path: Path) -> FileState | None:
    """Return how a file looks from outside; None where it cannot be seen."""
    with suppress(OSError):
        return FileState.of(path.stat())
    return None


@contextmanager
def opened_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file of any size for reading, as `read_small` does. Raise OSError."""
    handle = _opened(path)
    with os.fdopen(handle, "rb") as file:
        _require_regular(handle, path)
        yield file


def read_document(path: Path, kind: type[T]) -> T:
    """Return what a JSON file of our own says. Raise OSError, or ValueError where it says another thing.

    Texts may hold what only names of files on this machine do: bytes that are no UTF-8.
    """
    try:
        return convert(json.loads(read_small(path)), kind)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _opened(path: Path) -> int:
    try:
        return os.open(path, _FILE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            error.strerror = "it is a link"
        raise


def _require_regular(handle: int, path: Path) -> None:
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_what(mode)}", str(path))


def _read(handle: int, path: Path, limit: int) -> bytes:
    blocks, left = [], limit + 1
    while left and (block := os.read(handle, min(left, SMALL))):
        blocks.append(block)
        left -= len(block)
    if not left:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return b"".join(blocks)


def require_file(path: Path) -> None:
    """Raise DiskError where something else than a regular file has the name of a file of ours."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # whoever opens it says what is wrong
    if not stat.S_ISREG(mode):
        raise _in_the_way(path, mode)


def open_own(path: Path, mode: str) -> BinaryIO:
    """Open a file of our own for writing: one that is there must be regular, and have no other name."""
    require_file(path)
    file = cast(BinaryIO, open(path, mode, opener=_without_following))  # noqa: SIM115
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        file.close()
        raise DiskError(
            f"{as_named(path)} is not vipsync's alone: the same file has another name.",
            "Delete it; what was in it is fetched again.",
        )
    if "w" in mode:
        file.truncate()
    return file


def _without_following(path: str, flags: int) -> int:
    kept = flags & ~os.O_TRUNC  # until it is known whose it is
    return os.open(path, kept | _NO_LINK | getattr(os, "O_NONBLOCK", 0), 0o666)


@contextmanager
def unnamed_file(folder: Path) -> Iterator[BinaryIO]:
    """Open a file on the disk of a folder that nobody else can come to, and that goes at the end. Raise OSError."""
    from tempfile import TemporaryFile  # seldom needed

    with TemporaryFile(dir=folder) as file:
        yield cast(BinaryIO, file)


def names_in(folder: Path, ending: str, most: int) -> list[str]:
    """Return the first names in a folder that end so, in order. Raise OSError."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.endswith(ending))[:most]


def clear(path: Path) -> None:
    """Delete a file, a link or a folder with all in it; nothing that a link leads to. Raise OSError."""
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if is_folder:
        _clear_folder(path)
    else:
        path.unlink(missing_ok=True)


def _clear_folder(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except RecursionError as error:
        raise OSError(errno.ENAMETOOLONG, "folders lie in one another without end", path) from error


def holder(place: Path, root: Path) -> Path:
    """Return the folder from which a place is entered: the session folder around it, else its parent."""
    own = root.resolve()
    return own if place != own and place.is_relative_to(own) else place.parent


@contextmanager
def entered(folder: Path, below: Path, *, make: bool = False) -> Iterator[Path]:
    """Open a folder that is `below`, or lies below it, and give a path that stays in it.

    Links lead to `below`, but no further: raise DiskError for one, OSError for what is not there.
    `make`: what is missing is made. On Linux the path holds on to what was opened; elsewhere links
    are refused, but one that comes in the next moment is followed.
    """
    names = folder.relative_to(below).parts
    if not HELD.is_dir():
        _check(below, names, make=make)
        yield folder
        return
    with ExitStack() as handles:
        handle, here = os.open(below, _FOLDER & ~_NO_LINK), below
        handles.callback(os.close, handle)
        for name in names:
            here /= name
            handle = _deeper(handle, here, make=make)
            handles.callback(os.close, handle)
        with _named(HELD / str(handle), folder):
            yield HELD / str(handle)


def _check(folder: Path, names: Sequence[str], *, make: bool) -> None:
    for name in names:
        folder /= name
        if make:
            _make(folder)
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            raise _in_the_way(folder, mode)


def _deeper(handle: int, folder: Path, *, make: bool) -> int:
    """Open a folder by its name in one that is open."""
    place = HELD / str(handle) / folder.name
    try:
        if make:
            _make(place)
        return os.open(place, _FOLDER)
    except OSError as error:
        error.filename = str(folder)
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _in_the_way(folder, place.lstat().st_mode) from error
        raise


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir()
        share(folder)


def _in_the_way(path: Path, mode: int) -> InTheWay:
    return InTheWay(
        f"{as_named(path)} is {_what(mode)}, and vipsync neither follows nor replaces it.",
        "Move it away. To keep results on another disk, name that folder in settings.toml: "
        'directory = "…" under [outputs].',
    )


def _what(mode: int) -> str:
    return _WHAT.get(stat.S_IFMT(mode), "neither a file nor a folder")


_WHAT = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def _named(place: Path, folder: Path) -> Iterator[None]:
    """Let errors name the folder as people know it."""
    try:
        yield
    except OSError as error:
        for name in ("filename", "filename2"):
            path = getattr(error, name)
            if isinstance(path, str) and path.startswith(f"{place}/"):
                setattr(error, name, f"{folder}{path[len(str(place)) :]}")
        raise


def write_atomic(path: Path, content: bytes, below: Path | None = None) -> None:
    """Replace a file of our own: whole or not at all, on disk when this returns.

    `below` is the folder from which on no link is followed; without it, the file's own.
    """
    try:
        with entered(path.parent, below or path.parent) as place:
            _replace(place / path.name, content)
    except OSError as error:
        raise disk_error(path, error) from error


def write_private(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace a file that only this account may read by what `write` writes; make its folder. Raise OSError."""
    from tempfile import mkstemp

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600 from the start
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _replace(path: Path, content: bytes) -> None:
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


@contextmanager
def private_folder(place: Path) -> Iterator[Path]:
    """Make a folder anew that nobody else can enter; at the end it has the rights of the one around it.

    Whatever had its name is deleted, and no link followed. Raise OSError.
    """
    clear(place)
    place.mkdir(0o700)
    yield place
    with _itself(place) as made:
        made.chmod(stat.S_IMODE(place.parent.stat().st_mode))
    for folder, names, files in os.walk(place):
        for name in (*names, *files):
            share(Path(folder, name))


def make_inside(folder: Path, below: Path) -> None:
    """Make a folder and those above it, through no link from `below` on; raise DiskError."""
    make_folder(below)
    try:
        with entered(folder, below, make=True):
            pass
    except OSError as error:
        raise disk_error(folder, error) from error


def share(path: Path) -> bool:
    """Let a group work on what was made in a folder of its own, one that hands its group down.

    The system has applied umask and default rights: what they keep from the group stays private.
    Tell whether anything was to be changed.
    """
    return is_shared(path.parent) and give_to_group(path)


def is_shared(folder: Path) -> bool:
    """Tell whether a group may work in a folder, and has what is made there."""
    with suppress(OSError):
        mode = folder.stat().st_mode
        return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)
    return False


def give_to_group(path: Path) -> bool:
    """Let the group write what it may read; tell whether anything was to be changed.

    Another may have put a link in its place since it was made: what that leads to keeps its rights.
    """
    with suppress(OSError), _itself(path) as place:  # or it is somebody else's, or has no rights
        mode = place.stat().st_mode
        more = stat.S_IWGRP | (stat.S_IXGRP if stat.S_ISDIR(mode) else 0)
        if mode & stat.S_IRGRP and mode | more != mode:
            place.chmod(stat.S_IMODE(mode | more))
            return True
    return False


@contextmanager
def _itself(path: Path) -> Iterator[Path]:
    """Give a path to what has this name now, whatever takes it meanwhile. Raise OSError for a link."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link", str(path))
    if not HELD.is_dir():
        yield path
        return
    handle = os.open(path, os.O_PATH | _NO_LINK)  # one that holds no lock that would end with it
    try:
        yield HELD / str(handle)
    finally:
        os.close(handle)


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
        f"{as_named(path)} cannot be written: {reason}.",
        "Make room on the disk, or give this account the right to write there.",
    )


def disk_words(error: VipsyncError | OSError) -> str:
    """Return what kept a file from being written, for people."""
    if isinstance(error, VipsyncError):
        return error.message
    return f"{error.strerror or 'the disk refuses it'}."


def as_named(path: Path) -> Path:
    """Return a path as people know it, also where it leads through a folder that is held open."""
    if path.is_relative_to(HELD) and path != HELD:
        handle, *names = path.relative_to(HELD).parts
        with suppress(OSError):
            return (HELD / handle).readlink().joinpath(*names)
    return path


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
