"""Which folder of this machine has which id: another one cannot have it too, whatever it says of itself.

Kept with this account's own data, where nobody else writes: what lies in a folder proves nothing, since
an id can be copied from another folder's files.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from platformdirs import user_state_path

from vipsync.disk.files import make_folder, read_document, write_atomic
from vipsync.errors import DiskError
from vipsync.folder.folder import SessionFolder, is_id


class _Claim(Struct, frozen=True):
    path: str


def refuse_claimed(folder: SessionFolder, session_id: str) -> None:
    """Raise FolderCopied where another folder of this machine carries this id."""
    claim = _read(session_id)
    if claim and claim.path != str(folder.root):
        folder.refuse_twin(claim.path, session_id)


def note_claim(folder: SessionFolder, session_id: str) -> None:
    """Write down that this folder has this id; raise FolderCopied where another one has it."""
    refuse_claimed(folder, session_id)
    take_claim(folder, session_id)


def take_claim(folder: SessionFolder, session_id: str) -> None:
    """Write down that this folder has this id, by a person's word, whoever had it before."""
    claim = _Claim(str(folder.root))
    if _read(session_id) != claim:
        with suppress(DiskError):  # a home that cannot be written keeps nobody from working
            make_folder(_file(session_id).parent)
            write_atomic(_file(session_id), json.dumps({"path": claim.path}).encode())


def claimed() -> dict[str, Path]:
    """Return the folders of this machine by the ids that were written down for them, there or not."""
    with suppress(OSError):
        ids = [p.stem for p in _file("x").parent.glob("*.json") if is_id(p.stem)]
        return {one: Path(claim.path) for one in ids if (claim := _read(one))}
    return {}


def _file(session_id: str) -> Path:
    return user_state_path("vipsync") / "sessions" / f"{session_id}.json"


def _read(session_id: str) -> _Claim | None:
    with suppress(OSError, ValueError):
        return read_document(_file(session_id), _Claim)
    return None
