"""An inputs folder outside the session's own: a scanner's export, a disk that comes and goes.

It is pinned by device and inode. Another folder in its place is taken for it only where files known
from before lie in it, as after a network disk was mounted anew; an empty one, never.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from vipsync.disk.scan import Scan
from vipsync.errors import FolderAbsent
from vipsync.rows import State

NAMED = "The folder that [inputs] directory in settings.toml names"
"""How an export is called: its path may hold the name of a patient."""


def lies_outside(inputs: Path, root: Path) -> bool:
    """Tell whether other programs write into this inputs folder: it is no part of the session's."""
    return not inputs.is_relative_to(root.resolve())


def pin_of(inputs: Path, seen: Scan, state: State) -> str:
    """Return what pins this folder; raise FolderAbsent where it is not the one of before."""
    place = hashlib.sha256(str(inputs).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    pin = f"{seen.identity.device}:{seen.identity.inode}:{place}"
    before = state.session.pinned or ""
    if not before.endswith(place):
        return pin
    if state.known and not seen.files:
        raise FolderAbsent(
            f"{NAMED} is empty, and files were in it.",
            "Is its disk connected? Nothing is done until they, or others, are there.",
        )
    if pin != before and state.known and not _any_known(seen, state):
        raise FolderAbsent(
            f"{NAMED} is another one than before: none of the files known from there is in it.",
            "Bring the disk of before back. If the change is meant, name the folder by another path, "
            "or make another session.",
        )
    return pin


def _any_known(seen: Scan, state: State) -> bool:
    return any(
        path in seen.files and seen.files[path].size == row.state.size
        for path, row in state.known.items()
    )


def nameless(error: FolderAbsent, inputs: Path, name: str = NAMED) -> FolderAbsent:
    """Return an error about an export without its path."""
    return FolderAbsent(error.message.replace(str(inputs), name), error.remedy)
