"""The commands that come before the work: init, login, pipelines."""

from __future__ import annotations

from pathlib import Path

from vipsync.act.pipeline import nearest
from vipsync.client.connection import portal_address
from vipsync.client.vip_client import VipClient
from vipsync.commands import init as commands_init
from vipsync.commands.check import is_ours
from vipsync.commands.context import Context
from vipsync.errors import KeyMissing, PipelineUnavailable, StillOnVip, Unreachable
from vipsync.folder.folder import SessionFolder
from vipsync.model import Descriptor, Secret
from vipsync.names import shell_word
from vipsync.record.backup import Backup
from vipsync.report.text import printable
from vipsync.settings.keys import KEY_VARIABLE, Keys, keep_api_key
from vipsync.settings.reading import load


def init(context: Context, root: Path, pipeline_id: str | None, mode: str) -> int:
    """Make a session folder, or make one of what is there."""
    if mode == "fresh":
        _refuse_to_leave_data(context, SessionFolder(root))
        made = commands_init.refresh(root)
    elif mode == "adopt":
        backup = commands_init.backup_to_adopt(SessionFolder(root))
        made = commands_init.adopt(
            root, _adopted_pipeline(context, pipeline_id, backup), context.portal_here
        )
    else:
        commands_init.refuse_settings(SessionFolder(root))
        client = context.client() if pipeline_id else None
        descriptor = commands_init.describe(client, pipeline_id) if client and pipeline_id else None
        made = commands_init.create(root, descriptor, context.portal_here, client)
    return made.tell(context.reporter)


def _refuse_to_leave_data(context: Context, folder: SessionFolder) -> None:
    """Raise StillOnVip where VIP has data of a session that nobody could remove any more."""
    session = commands_init.session_on_vip(folder)
    if session is None:
        return
    portal = session.portal or context.portal_here
    client, _ = context.connect(load(folder.root, context.overrides), portal, session.id)
    if client.exists(session.home) and is_ours(client, session.home, session.id):
        raise StillOnVip(
            f"{folder.root} is no copy, and {session.home} on VIP holds its data; nothing was changed.",
            f"`vipsync finish {shell_word(folder.root)}` brings the results here and removes them; then call it again.",
        )


def _adopted_pipeline(
    context: Context, pipeline_id: str | None, backup: Backup | None
) -> Descriptor | None:
    """Return the pipeline of an adopted session; only its name where VIP cannot be asked."""
    wanted = pipeline_id or (backup.pipeline_id if backup else None)
    if not wanted:
        return None
    try:
        return commands_init.describe(context.client(), wanted)
    except (KeyMissing, Unreachable, PipelineUnavailable) as error:
        context.reporter.warn(f"{error.message} Only the name of the pipeline is filled in.")
        return commands_init.bare_descriptor(wanted)


def login(context: Context, key: Secret, named: str | None = None) -> int:
    """Check a key, and keep it for its portal; so a person says that keys may go there."""
    portal = portal_address(named) if named else context.portal_here
    with VipClient(portal, key) as client:
        client.check_key()
    kept = keep_api_key(key, portal)
    context.reporter.say(f"{portal} knows this key. It is kept in {kept}, which only you can read.")
    if context.environ.get(KEY_VARIABLE) and Keys(context.environ, None, context.portal).names(
        portal
    ):
        context.reporter.warn(f"{KEY_VARIABLE} is set in the environment, and goes before it.")
    return 0


def pipelines(context: Context, pattern: str) -> int:
    """List the pipelines, or describe the one that matches."""
    client = context.client()
    every = client.pipelines()
    exact = [p for p in every if p.pipeline_id == pattern]
    part = pattern.lower()
    found = exact or [p for p in every if part in f"{p.pipeline_id} {p.name}".lower()]
    if not found:
        near = nearest(pattern, (p.pipeline_id for p in every))
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise PipelineUnavailable(
            f"No pipeline of this account matches {pattern}.",
            f"{hint}`vipsync pipelines` lists them; others need a group, which you join on the portal.",
        )
    if len(found) == 1:
        context.reporter.pipeline(commands_init.describe(client, found[0].pipeline_id))
    else:
        for pipeline in sorted(found, key=lambda p: p.pipeline_id):
            context.reporter.say(printable(pipeline.pipeline_id))
    return 0
