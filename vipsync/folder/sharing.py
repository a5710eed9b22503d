"""Use the inputs that another session folder has on VIP, and tell it so by a lease.

A lease is a file in the lender's `.vipsync/leases/`. It is written before a launch that uses the
lender's inputs, and the lender's phase is read again after it: so a lender that is being finished
either sees the lease, or is seen.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path

from msgspec.structs import asdict

from vipsync.disk.files import entered, make_inside, names_in, read_document
from vipsync.disk.scan import Scan
from vipsync.errors import DiskError, SettingsError
from vipsync.folder.folder import SessionFolder
from vipsync.model import Lease, Lender, Lent, Settings
from vipsync.record.ledger import read_state
from vipsync.rows import Phase, SendStatus, Sent, State
from vipsync.settings.reading import load, places

_MOST = 1000
"""Leases that count; others can write them too."""


def lending_folder(folder: SessionFolder, settings: Settings) -> SessionFolder | None:
    """Return the folder that `share` names; raise SettingsError where there is no session."""
    if not settings.inputs.share:
        return None
    other = SessionFolder((folder.root / settings.inputs.share).resolve())
    if other.root == folder.root or not other.settings.is_file():
        raise SettingsError(
            f"settings.toml: inputs.share: {other.root} is not another session folder.",
            "Give the path of a folder with a settings.toml, from this folder on.",
        )
    return other


def shared_inputs(other: SessionFolder) -> Path:
    """Return where the inputs of the other folder lie."""
    return places(other.root, load(other.root))[0]


def lender(other: SessionFolder, seen: Scan, session_id: str) -> Lender:
    """Return what the other session has on VIP and has not changed since."""
    state = read_state(other.ledger) if other.ledger.exists() else None
    told = leased_at(other, session_id)
    known = state.known.values() if state else ()
    hashes = {row.path: row.sha256 for row in known if row.state == seen.files.get(row.path)}
    if state is None or state.session.phase is not Phase.OPEN:
        return Lender(str(other.root), hashes=hashes, leased_at=told)
    sent = [row for row in state.sent.values() if row.status is SendStatus.SENT]
    return Lender(
        str(other.root),
        {row.path: Lent(row.vip, row.sha256) for row in sent if _unchanged(row, state, seen)},
        {(row.sha256, row.vip.rpartition(".")[2]): row.vip for row in sent},
        hashes,
        told,
    )


def _unchanged(row: Sent, state: State, seen: Scan) -> bool:
    now, known = seen.files.get(row.path), state.known.get(row.path)
    if now is None:
        return False
    return row.state == now or bool(known and known.state == now and known.sha256 == row.sha256)


def _lease_file(other: SessionFolder, session_id: str) -> Path:
    return other.hidden / "leases" / f"{session_id}.json"


def leased_at(other: SessionFolder, session_id: str) -> float | None:
    """Return when this session last told the other one that it uses its inputs."""
    lease = _read(_lease_file(other, session_id))
    return lease.at if lease else None


def take_lease(other: SessionFolder, mine: SessionFolder, session_id: str, wall: float) -> None:
    """Tell the other folder that its inputs on VIP are in use."""
    path = _lease_file(other, session_id)
    lease = Lease(session_id, str(mine.root), socket.gethostname(), wall)
    make_inside(path.parent, other.root)
    other.write(path, json.dumps(asdict(lease), indent=2).encode())


def return_lease(other: SessionFolder, session_id: str) -> None:
    """Tell the other folder that its inputs are no longer in use here."""
    other.remove(_lease_file(other, session_id))


def leases(folder: SessionFolder) -> tuple[Lease, ...]:
    """Return who uses the inputs of this folder."""
    with suppress(OSError, DiskError), entered(folder.hidden / "leases", folder.root) as place:
        return tuple(
            filter(None, (_read(place / name) for name in names_in(place, ".json", _MOST)))
        )
    return ()


def _read(path: Path) -> Lease | None:
    """Read a lease, None for what is none: its name is the session's id, whatever it says of itself."""
    with suppress(OSError, ValueError, RecursionError):
        lease = read_document(path, Lease)
        return lease if lease.session_id == path.stem else None
    return None
