"""Find session folders and stations: a directory stands for those in it, down to four levels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vipsync.errors import NotASession
from vipsync.folder.folder import SESSIONS, SessionFolder, is_station

MOST_LEVELS = 4
"""Levels below a named folder on which sessions are looked for."""


def find_stations(directory: Path) -> list[Path]:
    """Return the station that `directory` is, or those inside it; none where it is not there."""
    root = SessionFolder(directory).root
    if is_station(root):
        return [root]
    with suppress(OSError):
        return [path for path in _inside(root, root, MOST_LEVELS) if is_station(path)]
    return []


def find_sessions(directory: Path, *, of_stations: bool = True) -> list[SessionFolder]:
    """Return the session that `directory` is, or those inside it, sorted by path; none lies in another.

    `of_stations`: those of stations too. Raise NotASession where the directory cannot be read.
    """
    here = SessionFolder(directory)
    try:
        if is_station(here.root):
            return _sessions_of(here.root) if of_stations else []
        if here.is_session():
            return [here]
        inside = list(_inside(here.root, here.root, MOST_LEVELS))
    except OSError as error:
        raise NotASession(
            f"{directory} is not there.", "`vipsync init DIR` makes a session folder."
        ) from error
    own = [SessionFolder(path) for path in inside if not is_station(path)]
    stations = [path for path in inside if is_station(path)] if of_stations else []
    return [*own, *(session for station in stations for session in _sessions_of(station))]


def _sessions_of(station: Path) -> list[SessionFolder]:
    try:
        inside = sorted(p for p in (station / SESSIONS).iterdir() if p.is_dir())
    except FileNotFoundError:
        return []
    return [s for s in map(SessionFolder, inside) if s.is_session() and s.root.name[0] != "."]


def _inside(folder: Path, top: Path, levels: int) -> Iterator[Path]:
    """Yield the sessions and stations below a folder; one that cannot be read holds none for this account."""
    for path in _folders_in(folder, top):
        with suppress(OSError):
            if is_station(path) or SessionFolder(path).is_session():
                yield path
            elif levels > 1:
                yield from _inside(path, top, levels - 1)


def _folders_in(folder: Path, top: Path) -> list[Path]:
    """Return the folders in one, sorted; of links those of `top` alone, and only where they lead out of it."""
    with os.scandir(folder) as entries:
        found = [Path(e.path) for e in entries if not e.name.startswith(".") and _is_own(e, top)]
    return sorted(found)


def _is_own(entry: os.DirEntry[str], top: Path) -> bool:
    if not entry.is_symlink():
        return entry.is_dir()
    path = Path(entry.path)
    return path.parent == top and entry.is_dir() and not _lies_in(path, top)


def _lies_in(path: Path, top: Path) -> bool:
    """Tell whether a link leads to a place that is found without it, or that contains it."""
    real, above = path.resolve(), top.resolve()
    return real.is_relative_to(above) or above.is_relative_to(real)
