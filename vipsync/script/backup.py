"""The backup of a script's session: session_data.json beside its outputs, or on VIP.

vip-client opens it and goes on, and the other way round: what it has launched or removed meanwhile
is taken over from here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import ValidationError

from vipsync.client.decoding import decoded
from vipsync.client.vip_client import VipClient
from vipsync.disk.files import LARGE, make_folder, read_small, write_atomic
from vipsync.errors import DiskError, PropertyTypeError, PropertyValueError, VipsyncError
from vipsync.model import replace
from vipsync.names import API_HOME, BACKUP, home_of
from vipsync.record.backup import (
    REMOVED,
    Backup,
    Workflow,
    backup_in,
    followed,
    read_backup,
    text_of,
    with_unknown_keys,
)
from vipsync.rows import Row, State
from vipsync.run.timing import Timing
from vipsync.script import checks

REMOVAL_WAIT = 30.0
"""Seconds for which the old backup on VIP may take to go: nothing there can be replaced."""


def local_backup(outputs: Path) -> Backup | None:
    """Return the backup beside the outputs, None where there is none.

    Raise PropertyValueError for another text of this name, PropertyTypeError where keys are missing,
    DiskError where it cannot be read: it would be overwritten.
    """
    path = outputs / BACKUP
    try:
        return backup_in(read_small(path, LARGE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error.strerror}.", _MEND) from error
    except ValueError as error:
        is_json = isinstance(error, ValidationError)
        kind = PropertyTypeError if is_json else PropertyValueError
        raise kind(f"{path} is no backup of a session.", _MEND) from error


_MEND = "Mend it or move it away, or choose another output_dir."


OWN_INPUTS = "own_vip_input_dir"
"""Key of a backup whose session puts its inputs in the place of another one, as its script says.

The eight keys do not tell that from get_inputs(). Without this one, inputs in another session's
place count as that session's, and nothing is put there: so it is with a backup that only vip-client
has written, until the script sets its `vip_input_dir` again. vip-client keeps the key.
"""


PRIVACY = "privacy"
"""Key of a backup whose script said what becomes of inputs that name somebody."""


def refuses_names(backup: Backup) -> bool:
    """Tell whether a session is strict: a word that nobody knows is no leave to send."""
    return backup.others.get(PRIVACY, checks.TELL) != checks.TELL


def owns_inputs(backup: Backup) -> bool:
    """Tell whether the inputs on VIP are the session's own."""
    place, home = backup.vip_input_dir or "", home_of(backup.session_name)
    others = place.startswith(f"{API_HOME}/") and not f"{place}/".startswith(f"{home}/")
    return not others or backup.others.get(OWN_INPUTS) == place


def vip_backup(client: VipClient, folder: str) -> Backup | None:
    """Return the backup in a folder on VIP, None where there is none that can be read."""
    path = f"{folder}/{BACKUP}"
    there = client.properties(path)
    if there is None:
        return None
    with client.download(path, size=there.size) as download:
        blocks = download.blocks
        content = b"".join(decoded(blocks, download.coding) if download.coding else blocks)
    try:
        return backup_in(content)
    except ValueError:
        return None


def save_here(outputs: Path, backup: Backup) -> Path:
    """Write the backup beside the outputs; return where."""
    path = outputs / BACKUP
    text = text_of(with_unknown_keys(backup, read_backup(outputs)))
    make_folder(outputs)
    write_atomic(path, text.encode())
    return path


def save_on_vip(client: VipClient, folder: str, backup: Backup, timing: Timing) -> str:
    """Put the backup into a folder on VIP in place of the last one; return where."""
    path = f"{folder}/{BACKUP}"
    content = text_of(with_unknown_keys(backup, vip_backup(client, folder))).encode()
    with suppress(VipsyncError):
        client.make_folder(folder)
    if client.exists(path):
        client.delete(path)
        deadline = timing.clock() + REMOVAL_WAIT
        while client.exists(path) and timing.clock() < deadline:
            timing.sleep(1.0)
    client.upload(path, io.BytesIO(content), len(content))
    return path


def inventory(workflows: Mapping[str, Workflow]) -> dict[str, dict[str, object]]:
    """Return the property `workflows`."""
    return {id_: workflow.document() for id_, workflow in workflows.items()}


def workflows_in(found: Mapping[str, Mapping[str, object]]) -> dict[str, Workflow]:
    """Read an inventory; raise PropertyTypeError where it is none."""
    try:
        return {id_: Workflow.of(workflow) for id_, workflow in found.items()}
    except ValidationError as error:
        raise PropertyTypeError("`workflows` should be an inventory of workflows.") from error


def news(state: State, workflows: Mapping[str, Workflow]) -> bool:
    """Tell whether an inventory names data on VIP of which the ledger knows nothing."""
    return any(
        id_ not in state.executions and workflow.status != REMOVED
        for id_, workflow in workflows.items()
    )


def taken_over(
    state: State, workflows: Mapping[str, Workflow], pipeline_id: str, wall: float
) -> list[Row]:
    """Return what another program did meanwhile: executions that it launched, results that it removed."""
    rows: list[Row] = []
    for id_, workflow in sorted(workflows.items()):
        known, removed = state.executions.get(id_), workflow.status == REMOVED
        if known is None:
            rows.append(followed(id_, workflow, "", pipeline_id, wall))
        elif removed and not known.removed:
            rows.append(replace(known, removed=True))
    return rows
