"""What lies beside inputs/, or among the results, where vipsync does not look for data."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath

from vipsync.disk.walk import Ignored, printable
from vipsync.folder.folder import HIDDEN, PLACES, SETTINGS, STATION_SETTINGS
from vipsync.rows import State

_OWN = frozenset(Path(place).parts[0] for place in PLACES)
_OWN_RESULTS = tuple(
    place.removeprefix("outputs/") for place, kind in PLACES.items() if kind == "file"
    and place.startswith("outputs/")
)  # fmt: skip
_NO_DATA = (
    "readme*",
    "license*",
    "*.md",
    "*.py",
    "*.ipynb",
    "*.sh",
    "*.toml",
    "*.log",
    "*.bak",
    "*~",
)
"""Notes, scripts and logs, which people keep beside their data on purpose."""
_NOTES = re.compile("|".join(map(fnmatch.translate, _NO_DATA)))
_SESSION = (SETTINGS, HIDDEN, STATION_SETTINGS)


def names_beside(root: Path, used: Iterable[str] = ()) -> list[str]:
    """Return what may be data in a session folder and is none of vipsync's, nor `used`; that of folders ends in `/`."""
    own = _OWN | {_first(root, path) for path in used}
    return sorted(
        name
        for name, entry in _entries(root)
        if entry.name not in own and not _is_no_data(name) and not _is_session(entry)
    )


def files_among_results(outputs: Path, state: State) -> list[str]:
    """Return the files directly in outputs/ that are neither results nor vipsync's own."""
    found = {name for name, _ in _entries(outputs) if not name.endswith("/")}
    strange = {n for n in found if not any(fnmatch.fnmatchcase(n, own) for own in _OWN_RESULTS)}
    if strange:
        strange -= {result.local for result in state.results.values()}
    return sorted(name for name in strange if not _is_no_data(name))


def seen_beside(names: list[str], ignored: Ignored) -> tuple[str, ...]:
    """Return the names that no ignore rule leaves out, as they are shown."""
    return tuple(printable(name) for name in names if not ignored(name))


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what lies in a folder and is not hidden; links are not followed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield f"{entry.name}{'/' * entry.is_dir(follow_symlinks=False)}", entry


def _first(root: Path, directory: str) -> str:
    """Return the part of a setting's path that lies directly in the session folder; "" for none."""
    path = Path(os.path.normpath(root / directory))
    return path.relative_to(root).parts[0] if path != root and path.is_relative_to(root) else ""


def _is_no_data(name: str) -> bool:
    return _NOTES.fullmatch(name.lower()) is not None


def _is_session(entry: os.DirEntry[str]) -> bool:
    """Tell whether a folder is a session or a station of its own."""
    inside = entry.is_dir(follow_symlinks=False)
    return inside and any(os.path.lexists(PurePath(entry.path, name)) for name in _SESSION)
