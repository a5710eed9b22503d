"""Take over a session that this folder says is on VIP, but that no ledger knows.

It came from vip-client, or `.vipsync` was lost. Its executions are followed and mirrored, and the
cases that are complete now count as launched before.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from vipsync.disk.files import read_small
from vipsync.disk.scan import network_file_system
from vipsync.errors import VipsyncError
from vipsync.folder.folder import ID_LINE, SessionFolder, is_id
from vipsync.model import Settings, VipPath, replace
from vipsync.names import home_of
from vipsync.record.backup import Backup, followed, read_backup
from vipsync.record.ledger import Ledger, read_state
from vipsync.record.lifecycle import Event, step
from vipsync.rows import Changes, Row, Session, State
from vipsync.settings.reading import load, places
from vipsync.settings.values import session_name_of


def marked_id(folder: SessionFolder) -> str | None:
    """Return the id that the marker bears, for a folder whose `.vipsync` was lost."""
    try:
        lines = read_small(folder.marker).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    ids = [line.removeprefix(ID_LINE).strip() for line in lines if line.startswith(ID_LINE)]
    return ids[0] if ids and is_id(ids[0]) else None


def take_script_session(folder: SessionFolder) -> None:
    """Make the session of a script its own, where one has its outputs in this folder.

    Its ledger comes along: nothing is sent, fetched or launched twice. Raise FolderHeld while the
    script is at work.
    """
    try:
        outputs = places(folder.root, load(folder.root))[1]
    except VipsyncError:
        outputs = folder.root / "outputs"
    script = SessionFolder(outputs)
    if folder.hidden.exists() or script.identity() is None:
        return
    with script.held():
        if script.ledger.exists():
            _say_adopting(script)  # first: once the folder has it, nothing tells whose it was
        script.hidden.rename(folder.hidden)


def _say_adopting(script: SessionFolder) -> None:
    network = network_file_system(script.hidden)
    with closing(Ledger(script.ledger, Session(""), network_disk=network)) as ledger:
        ledger.commit(Changes(put=(replace(ledger.state.session, adopting=True),)))


def foreseen(folder: SessionFolder, settings: Settings, outputs: Path, wall: float) -> State:
    """Return what the first run takes over in a folder that no ledger knows; changes nothing."""
    script = SessionFolder(outputs)
    if script.ledger.exists() and not folder.hidden.exists():
        state = read_state(script.ledger)
        state.put([replace(state.session, adopting=True)])
        return state
    state = State(Session(""))
    state.put(rows_to_adopt(folder, state.session, settings, outputs, wall))
    return state


def rows_to_adopt(
    folder: SessionFolder, session: Session, settings: Settings, outputs: Path, wall: float
) -> tuple[Row, ...]:
    """Return what a folder says of data on VIP: none without a marker and without a backup."""
    backup, marked = read_backup(outputs), os.path.lexists(folder.marker)
    if not (backup or marked):
        return ()
    return adopted_rows(session, backup, settings, wall, marked=marked)


def adopted_rows(
    session: Session, backup: Backup | None, settings: Settings, wall: float, *, marked: bool
) -> tuple[Row, ...]:
    """Return the session as it must be on VIP, and the executions that the backup names.

    `marked`: the marker lies in the folder, so that its absence will mean something.
    """
    executions = []
    if backup:
        pipeline_id = backup.pipeline_id or settings.pipeline_id or ""
        executions = [
            followed(id_, workflow, backup.session_name, pipeline_id, wall)
            for id_, workflow in sorted(backup.workflows.items())
        ]
    over = bool(executions) and all(e.removed for e in executions)
    name = session_name_of(backup.session_name if backup else "") or settings.session_name
    home = home_of(name)
    taken = replace(
        session if over else step(session, Event.OPENED),
        session_name=name,
        portal=settings.portal,
        home=home,
        vip_input_dir=_inside(home, backup.vip_input_dir if backup else None, "INPUTS"),
        vip_output_dir=_inside(home, backup.vip_output_dir if backup else None, "OUTPUTS"),
        named=backup is not None,
        adopting=True,
        adopted=True,
        marked=marked,
        opened_at=wall,
    )
    return (taken, *executions)


def _inside(home: VipPath, path: str | None, name: str) -> VipPath:
    """Return the folder that a backup names, where it is the session's own; else the usual one.

    vip-client lets a session use the inputs of another: nothing is ever put or removed there.
    """
    own = path is not None and path.startswith(f"{home}/") and ".." not in path.split("/")
    return VipPath(path.rstrip("/") if path and own else f"{home}/{name}")
