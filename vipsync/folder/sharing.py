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

from vipsync.disk.files import make_folder, write_atomic
from vipsync.disk.scan import Scan
from vipsync.errors import SettingsError
from vipsync.folder.folder import SessionFolder
from vipsync.model import Lease, Lender, Lent, Settings
from vipsync.record.ledger import read_state
from vipsync.rows import Phase, SendStatus, Sent, State
from vipsync.settings.reading import load, places


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
    make_folder(path.parent)
    lease = Lease(session_id, str(mine.root), socket.gethostname(), wall)
    write_atomic(path, json.dumps(asdict(lease), indent=2).encode())


def return_lease(other: SessionFolder, session_id: str) -> None:
    """Tell the other folder that its inputs are no longer in use here."""
    _lease_file(other, session_id).unlink(missing_ok=True)


def leases(folder: SessionFolder) -> tuple[Lease, ...]:
    """Return who uses the inputs of this folder."""
    found = map(_read, sorted((folder.hidden / "leases").glob("*.json")))
    return tuple(lease for lease in found if lease)


def _read(path: Path) -> Lease | None:
    with suppress(OSError, ValueError, TypeError):
        return Lease(**json.loads(path.read_bytes()))
    return None
