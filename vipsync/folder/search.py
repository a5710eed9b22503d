"""Find session folders and stations: a directory stands for those in it, down to four levels.

Paths are texts here: a process that runs looks again and again, and making Paths takes most of the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vipsync.errors import NotASession
from vipsync.folder.folder import (
    HIDDEN,
    SESSIONS,
    SETTINGS,
    STATION_SETTINGS,
    SessionFolder,
    is_station,
)
from vipsync.names import shell_word

MOST_LEVELS = 4
"""Levels below a named folder on which sessions are looked for."""


def find_stations(directory: Path) -> list[Path]:
    """Return the station that `directory` is, or those inside it; none where it is not there."""
    root = SessionFolder(directory).root
    if is_station(root):
        return [root]
    with suppress(OSError):
        top = str(root)
        return [Path(path) for path in _inside(top, top, MOST_LEVELS) if _is_station(path)]
    return []


def find_sessions(directory: Path, *, of_stations: bool = True) -> list[SessionFolder]:
    """Return the sessions of `find_roots`."""
    return [SessionFolder(root) for root in find_roots(directory, of_stations=of_stations)]


def find_roots(directory: Path, *, of_stations: bool = True) -> list[Path]:
    """Return the session that `directory` is, or those inside it, sorted by path; none lies in another.

    `of_stations`: those of stations too. Raise NotASession where the directory cannot be read.
    """
    here = SessionFolder(directory)
    try:
        if is_station(here.root):
            return list(_sessions_of(str(here.root))) if of_stations else []
        if here.is_session():
            return [here.root]
        top = str(here.root)
        inside = list(_inside(top, top, MOST_LEVELS))
    except OSError as error:
        raise NotASession(
            f"{directory} is not there.",
            f"`vipsync init {shell_word(directory)}` makes a session folder. If it was deleted, "
            "`vipsync sessions` shows what is left of it on VIP.",
        ) from error
    stations = [path for path in inside if _is_station(path)]
    own = [Path(path) for path in inside if path not in stations]
    theirs = stations if of_stations else []
    return [*own, *(root for station in theirs for root in _sessions_of(station))]


def _sessions_of(station: str) -> Iterator[Path]:
    sessions = f"{station}/{SESSIONS}"
    with suppress(FileNotFoundError):
        yield from (Path(path) for path in _folders_in(sessions, sessions) if _is_session(path))


def _inside(folder: str, top: str, levels: int) -> Iterator[str]:
    """Yield the sessions and stations below a folder; one that cannot be read holds none for this account."""
    for path in _folders_in(folder, top):
        if _is_session(path) or _is_station(path):
            yield path
        elif levels > 1:
            with suppress(OSError):
                yield from _inside(path, top, levels - 1)


def _is_station(path: str) -> bool:
    return os.path.isfile(f"{path}/{STATION_SETTINGS}")  # noqa: PTH113


def _is_session(path: str) -> bool:
    there = os.path.isfile(f"{path}/{SETTINGS}")  # noqa: PTH113
    return there or os.path.isdir(f"{path}/{HIDDEN}")  # noqa: PTH112


def _folders_in(folder: str, top: str) -> list[str]:
    """Return the folders in one, sorted; of links those of `top` alone, and only where they lead out of it."""
    with os.scandir(folder) as entries:
        return sorted(e.path for e in entries if not e.name.startswith(".") and _is_own(e, top))


def _is_own(entry: os.DirEntry[str], top: str) -> bool:
    if not entry.is_symlink():
        return entry.is_dir()
    path = Path(entry.path)
    return str(path.parent) == top and entry.is_dir() and not _lies_in(path, Path(top))


def _lies_in(path: Path, top: Path) -> bool:
    """Tell whether a link leads to a place that is found without it, or that contains it."""
    real, above = path.resolve(), top.resolve()
    return real.is_relative_to(above) or above.is_relative_to(real)
