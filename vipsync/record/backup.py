"""session_data.json: the session in vip-client's own format, to open in either tool.

Always the eight keys of vip-client 0.1.10; an export, never a source once there is a ledger. Keys
that other programs keep in it stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, convert, field, to_builtins
from msgspec.json import decode

from vipsync.disk.files import LARGE, read_small
from vipsync.model import ExecutionStatus, VipPath, moment, replace
from vipsync.names import BACKUP
from vipsync.rows import Followed, LaunchStatus, Result, State

REMOVED = "Removed"
START = "%Y/%m/%d %H:%M:%S"

_OTHERS = "keys of others"
"""What `others` is called before it is spread out: a name that no file has."""


class Workflow(Struct, frozen=True):
    """One execution as vip-client writes it; `start` is in local time, `others` are unknown keys."""

    status: str
    start: str | None = None
    outputs: list[dict[str, object]] = []
    others: dict[str, object] = field(default_factory=dict, name=_OTHERS)

    @classmethod
    def of(cls, document: Any) -> Workflow:
        """Return the workflow that a document tells of; raise ValidationError."""
        return replace(convert(document, cls), others=_others(document, cls))

    def document(self) -> dict[str, Any]:
        """Return it as it is written."""
        return _spread(to_builtins(self))


class Backup(Struct, frozen=True):
    """The eight keys, and any that are not ours."""

    session_name: str
    pipeline_id: str | None = None
    local_input_dir: str | None = None
    local_output_dir: str | None = None
    vip_input_dir: str | None = None
    vip_output_dir: str | None = None
    input_settings: dict[str, object] | None = None
    workflows: dict[str, Workflow] = {}
    others: dict[str, object] = field(default_factory=dict, name=_OTHERS)

    @classmethod
    def of(cls, document: Any) -> Backup:
        """Return the backup that a document is; raise ValidationError."""
        found = convert(document, cls)
        workflows = {id_: Workflow.of(document["workflows"][id_]) for id_ in found.workflows}
        return replace(found, workflows=workflows, others=_others(document, cls))

    def document(self) -> dict[str, Any]:
        """Return it as it is written."""
        workflows = {id_: workflow.document() for id_, workflow in self.workflows.items()}
        return {**_spread(to_builtins(self)), "workflows": workflows}


def _others(document: Mapping[str, Any], kind: type[Struct]) -> dict[str, Any]:
    return {k: v for k, v in document.items() if k not in kind.__struct_encode_fields__}


def _spread(table: dict[str, Any]) -> dict[str, Any]:
    others = table.pop(_OTHERS)
    return {**table, **others}


def read_backup(outputs: Path) -> Backup | None:
    """Return the backup that lies in outputs/, None where there is none that can be read."""
    try:
        return backup_in(read_small(outputs / BACKUP, LARGE))
    except (OSError, ValueError):
        return None


def backup_in(content: bytes) -> Backup:
    """Return the backup that a text is; raise ValueError, for JSON of another shape ValidationError."""
    try:
        return Backup.of(decode(content))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def text_of(backup: Backup) -> str:
    """Return the text of a backup, as vip-client writes it."""
    document = backup.document()
    try:
        return msgspec.json.format(json.dumps(document), indent=4) + "\n"
    except (
        msgspec.DecodeError
    ):  # a path that is no text; for all others this took ten times as long
        return json.dumps(document, indent=4) + "\n"


def with_unknown_keys(backup: Backup, before: Backup | None) -> Backup:
    """Return a backup with what the one before it holds of the same session under keys of others."""
    if before is None or before.session_name != backup.session_name:
        return backup
    workflows = kept_in_workflows(backup.workflows, before.workflows)
    return replace(backup, workflows=workflows, others=before.others | backup.others)


def kept_in_workflows(
    workflows: Mapping[str, Workflow], before: Mapping[str, Workflow]
) -> dict[str, Workflow]:
    """Return an inventory with what the one before it holds of others, and of outputs that have gone."""
    return {id_: _kept(w, before[id_]) if id_ in before else w for id_, w in workflows.items()}


def _kept(workflow: Workflow, before: Workflow) -> Workflow:
    told = {str(output.get("path")): output for output in before.outputs}
    outputs = [{**told.get(str(output.get("path")), {}), **output} for output in workflow.outputs]
    return replace(workflow, outputs=outputs, others=workflow.others | before.others)


class Places(Struct, frozen=True):
    """Where inputs and outputs lie on this machine."""

    inputs: Path
    outputs: Path
    session_name: str
    pipeline_id: str | None = None


def exported(state: State, places: Places) -> Backup:
    """Return the backup for what the ledger knows."""
    session = state.session
    return Backup(
        session_name=session.session_name or places.session_name,
        pipeline_id=places.pipeline_id,
        local_input_dir=str(places.inputs),
        local_output_dir=str(places.outputs),
        vip_input_dir=session.vip_input_dir or None,
        vip_output_dir=session.vip_output_dir or None,
        input_settings=_last_values(state),
        workflows=workflows_of(state),
    )


def _last_values(state: State) -> dict[str, object]:
    started = [x for x in state.launches.values() if x.status is LaunchStatus.STARTED]
    if not started:
        return {}
    values = max(started, key=lambda launch: launch.at).values
    return {name: v[0] if len(v) == 1 else list(v) for name, v in values.items()}


def followed(id_: str, workflow: Workflow, name: str, pipeline_id: str, wall: float) -> Followed:
    """Return an execution that a backup names; VIP must be asked about it, unless its results are gone."""
    removed = workflow.status == REMOVED
    paths = [str(output["path"]) for output in workflow.outputs if "path" in output]
    return Followed(
        id_,
        name,
        pipeline_id,
        ExecutionStatus.FINISHED if removed else ExecutionStatus.UNKNOWN,
        started=_seconds(workflow.start),
        returned=tuple(map(VipPath, paths)),
        changed_at=wall,
        removed=removed,
    )


def _seconds(start: str | None) -> float | None:
    """Read a time as vip-client writes it: local, without a zone."""
    try:
        return datetime.strptime(start or "", START).astimezone().timestamp()
    except ValueError:
        return None


def workflows_of(state: State) -> dict[str, Workflow]:
    """Return the executions as the backup tells of them."""
    results: dict[str, list[Result]] = {}
    for result in state.results.values():
        results.setdefault(result.execution_id, []).append(result)
    return {
        e.id: _workflow(e, results.get(e.id, []))
        for e in sorted(state.executions.values(), key=lambda e: (e.started or 0, e.id))
    }


def _workflow(execution: Followed, results: list[Result]) -> Workflow:
    """Return one execution; its outputs have no size before its results folder was listed."""
    start = execution.started or execution.changed_at
    listed = {r.vip for r in results}
    return Workflow(
        status=REMOVED if execution.removed else str(execution.status),
        start=moment(start).strftime(START),
        outputs=[
            {"path": r.vip, "isDirectory": False, "size": r.size, "exists": True}
            for r in sorted(results, key=lambda r: r.vip)
        ]
        + [{"path": path} for path in execution.returned if path not in listed],
    )
