"""Make session folders: new ones, copies that become sessions of their own, and adopted ones.

Nothing that is there is overwritten or deleted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from vipsync.act.pipeline import definition
from vipsync.cases.descriptor import parse_descriptor
from vipsync.cases.values import ON_VIP
from vipsync.commands.check import free_name
from vipsync.disk.files import disk_error, make_folder, write_atomic
from vipsync.disk.own_files import OwnFiles
from vipsync.disk.walk import printable
from vipsync.errors import FolderCopied, FolderError, NotASession, SettingsError, VipsyncError
from vipsync.folder.folder import STATUS, SessionFolder, new_id
from vipsync.model import Descriptor
from vipsync.names import BACKUP, few, shell_word
from vipsync.observe.beside import names_beside
from vipsync.record.backup import Backup, read_backup
from vipsync.record.ledger import read_state
from vipsync.rows import Phase, Session
from vipsync.settings.reading import load, places, script_folder
from vipsync.settings.template import Value, settings_text, shown_parameters, to_fill_in
from vipsync.settings.values import session_name_of
from vipsync.status.publish import TABLE
from vipsync.status.status import count

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient
    from vipsync.report.reporter import Reporter

_KEPT_BY_FRESH = frozenset({"lock"})


class Made(Struct, frozen=True):
    """What was made, and what a person does next, line by line."""

    text: str
    next_steps: tuple[str, ...]

    def tell(self, reporter: Reporter) -> int:
        """Say it; return the exit code."""
        reporter.say(self.text, "bold")
        for step in self.next_steps:
            reporter.say(f"  {step}")
        return 0


def describe(client: VipClient, pipeline_id: str) -> Descriptor:
    """Return a pipeline's definition as VIP gives it."""
    return parse_descriptor(definition(client, pipeline_id), pipeline_id)


def create(
    root: Path, descriptor: Descriptor | None, portal: str, client: VipClient | None = None
) -> Made:
    """Make a session folder with its settings.toml, all or nothing.

    With a client, it gets a name that is free on VIP; else that of the folder. A session that lost its settings.toml gets back the one that was last valid.
    """
    folder = SessionFolder(root)
    refuse_settings(folder)
    if (folder.root / BACKUP).exists():
        raise script_folder(folder.root)
    if descriptor is None and (kept := _kept_settings(folder)):
        write_atomic(folder.settings, kept.encode())
        return Made(
            f"{folder.settings} is back as it was when it was last valid.",
            (f"Look at it, then run `vipsync check {shell_word(folder.root)}`.",),
        )
    beside = names_beside(folder.root)
    _write_folder(folder, settings_text(descriptor, _free_name(folder, client), portal))
    steps = (*_beside(folder, beside), *_steps(folder, descriptor))
    return Made(f"{folder.root} is a session folder now.", steps)


def _free_name(folder: SessionFolder, client: VipClient | None) -> str:
    """Return the name to write down, empty where that of the folder serves."""
    name = session_name_of(folder.root.name)
    if not client:
        return "" if name else "session"
    free = free_name(client, name or "session")
    return "" if free == name else free


def _beside(folder: SessionFolder, names: list[str]) -> Iterator[str]:
    if names:
        shown = few([printable(name) for name in names])
        yield (
            f"Only what lies in {folder.root / 'inputs'} is used. Move there what the pipeline "
            f"needs of what is here now: {shown}."
        )


def _kept_settings(folder: SessionFolder) -> str:
    """Return the last valid settings.toml that the ledger keeps, empty where there is none."""
    return read_state(folder.ledger).last_settings if folder.ledger.exists() else ""


def _steps(folder: SessionFolder, descriptor: Descriptor | None) -> Iterator[str]:
    if descriptor is None:
        yield f"Say in {folder.settings} which pipeline to run; without one, files only go up."
    elif empty := to_fill_in(descriptor):
        names = ", ".join(p.name for p in empty)
        yield f"Fill in what stands empty in {folder.settings}: {names}."
    else:
        yield f"Look at {folder.settings}: what it says is enough to run."
    yield f"Put files into {folder.root / 'inputs'}."
    yield _and_run(folder)


def _and_run(folder: SessionFolder) -> str:
    root = shell_word(folder.root)
    return f"Ask `vipsync check {root}`, then start `vipsync run {root}`."


def _name(folder: SessionFolder) -> str:
    return session_name_of(folder.root.name) or "session"


def refuse_settings(folder: SessionFolder) -> None:
    """Raise FolderError where there is a settings.toml: it is never overwritten."""
    if os.path.lexists(folder.settings):
        raise FolderError(
            f"{folder.settings} is there already; nothing was changed.",
            f"Edit it, and ask `vipsync check {shell_word(folder.root)}`. "
            f"For a copied folder: `vipsync init --fresh {shell_word(folder.root)}`.",
        )


def _write_folder(folder: SessionFolder, text: str) -> None:
    """Make the folders and write the settings; take back what was made where this fails."""
    made: list[Path] = []
    try:
        for path in (folder.root, folder.root / "inputs", folder.root / "outputs"):
            made += _make(path)
        write_atomic(folder.settings, text.encode())
    except (OSError, VipsyncError) as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, VipsyncError):
            raise
        raise disk_error(folder.root, error) from error


def _make(path: Path) -> list[Path]:
    """Make a folder and those above it; return the ones that were not there."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    make_folder(path)
    return missing[::-1]


# a copy that becomes a session of its own


def refresh(root: Path) -> Made:
    """Give a folder an id of its own; what belongs to the old session moves to .vipsync/old-<n>/.

    The marker and the backup go too: they speak of data on VIP that are another session's.
    """
    folder = SessionFolder(root)
    before = folder.identity()
    if before is None or not folder.settings.exists():
        raise NotASession(
            f"{folder.root} is no session folder yet, or has no settings.toml.",
            f"`vipsync init {shell_word(folder.root)}` makes one of it.",
        )
    with folder.held():
        outputs = _outputs_inside(folder)
        left = session_on_vip(folder)
        aside = _set_aside(folder, outputs)
        fresh = folder.claim(new_id())
    return Made(
        f"{folder.root} is a session of its own now, {fresh.id}; nothing was deleted.",
        (
            *(
                [
                    f"What may be left of {left.home} on VIP nobody removes; `vipsync sessions` shows it."
                ]
                if left
                else []
            ),
            f"What belonged to session {before.id} lies in {aside}.",
            f"Give it a session_name of its own in {folder.settings}, where it names one: "
            "a name on VIP belongs to one session.",
            f"Then start `vipsync run {shell_word(folder.root)}`: its complete cases are launched anew.",
        ),
    )


def _outputs_inside(folder: SessionFolder) -> Path:
    try:
        _, outputs = places(folder.root, load(folder.root))
    except SettingsError:
        return folder.root / "outputs"
    inside = folder.root.resolve() in outputs.parents
    if not inside and (outputs / BACKUP).exists():
        raise SettingsError(
            f"{folder.settings}: outputs.directory: {outputs} lies outside, and holds the results "
            "of the other session.",
            "Choose another folder for the results of this one.",
        )
    return outputs


def session_on_vip(folder: SessionFolder) -> Session | None:
    """Return the open session of which this folder is the only one, None for a copy and a closed one."""
    try:
        folder.refuse_copy()
    except FolderCopied:
        return None
    if folder.identity() is None or not folder.ledger.exists():
        return None
    session = read_state(folder.ledger).session
    return None if session.phase is Phase.CLOSED else session


def _set_aside(folder: SessionFolder, outputs: Path) -> Path:
    taken = {path.name for path in folder.hidden.glob("old-*")}
    number = next(n for n in range(1, len(taken) + 2) if f"old-{n}" not in taken)
    aside = folder.hidden / f"old-{number}"
    mine = [p for p in folder.hidden.iterdir() if p.name not in _KEPT_BY_FRESH | taken]
    from vipsync.results.gallery import PAGE  # what is seldom needed loads much
    from vipsync.results.joining import written_before

    tables = written_before(OwnFiles(outputs, folder.own_files, folder.root))
    exports = [outputs / name for name in (BACKUP, TABLE, PAGE, *tables)]
    others = (folder.marker, folder.root / STATUS, *exports)
    try:
        make_folder(aside)
        # The marker goes last: a marker that is gone while the ledger knows of it means finish.
        for path in (*mine, *others):
            if path.exists():
                path.rename(aside / path.name)
    except OSError as error:
        raise disk_error(aside, error) from error
    return aside


# a session of vip-client, or one whose .vipsync was lost


def adopt(root: Path, descriptor: Descriptor | None, portal: str) -> Made:
    """Write a settings.toml for data on VIP that a marker or a session_data.json tells of."""
    folder = SessionFolder(root)
    refuse_settings(folder)
    backup = backup_to_adopt(folder)
    name = backup.session_name if backup else _name(folder)
    known = _known_values(backup, descriptor)
    text = settings_text(descriptor, name, portal, known) + "".join(_hints(backup, known))
    _write_folder(folder, text)
    found = f"session {name}, {count(len(backup.workflows), 'execution')}" if backup else "a marker"
    return Made(
        f"{folder.root} can be adopted: {found}.",
        (
            f"Look through {folder.settings}: the values that it ran with stand there, or at its end.",
            f"Put its inputs into {folder.root / 'inputs'}: those that are there at the first "
            "`vipsync run` count as launched before.",
            _and_run(folder),
        ),
    )


def backup_to_adopt(folder: SessionFolder) -> Backup | None:
    """Return the backup below outputs/, None where only the marker tells of a session."""
    backup = read_backup(folder.root / "outputs")
    if backup or folder.marker.exists():
        return backup
    if (folder.root / BACKUP).exists():
        raise script_folder(folder.root)
    raise FolderError(
        f"{folder.root} has neither ON_VIP.txt nor outputs/{BACKUP}: there is nothing to adopt.",
        f"`vipsync init {shell_word(folder.root)}` makes a new session.",
    )


def bare_descriptor(pipeline_id: str) -> Descriptor:
    """Return a descriptor of which only the name is known."""
    name, _, version = pipeline_id.partition("/")
    return Descriptor(pipeline_id, name, version)


def _known_values(backup: Backup | None, descriptor: Descriptor | None) -> dict[str, Value]:
    """Return the values that a session ran with and that settings can hold."""
    if backup is None or descriptor is None:
        return {}
    given = backup.input_settings or {}
    return {
        p.name: cast("Value", _without(_base(backup), given[p.name]))
        for p in shown_parameters(descriptor)
        if p.name in given and _can_be_set(given[p.name], files=p.takes_files)
    }


def _can_be_set(given: object, *, files: bool) -> bool:
    """Tell whether settings can hold what a backup says: plain values, and files that are on VIP."""
    values = given if isinstance(given, list) else [given]
    plain = all(isinstance(v, str | int | float) and v != "" for v in values)
    return bool(values) and plain and (not files or all(map(_is_on_vip, values)))


def _is_on_vip(value: object) -> bool:
    return isinstance(value, str) and value.startswith(ON_VIP)


def _base(backup: Backup) -> str:
    return f"{backup.vip_input_dir}/" if backup.vip_input_dir else ""


def _hints(backup: Backup | None, known: Collection[str]) -> Iterator[str]:
    """Tell of what the session ran with, as comments where it is not among the settings."""
    if backup is None:
        return
    yield f"\n# --- What this session ran with, from {BACKUP} ---\n"
    if backup.local_input_dir:
        yield f"# inputs: {_one_line(backup.local_input_dir)}\n"
    others = {k: v for k, v in (backup.input_settings or {}).items() if k not in known}
    for key, value in others.items():
        yield f"# {key if key.isidentifier() else _one_line(key)} = {_one_line(_without(_base(backup), value))}\n"


def _without(base: str, value: object) -> object:
    """Take the session's own folder on VIP away: settings name files inside inputs/."""
    if isinstance(value, list):
        return [_without(base, item) for item in value]
    if not (isinstance(value, str) and base and value.startswith(base)):
        return value
    return _LATER.sub("", value.removeprefix(base), count=1)


_LATER = re.compile(r"^_v[0-9]+/")
"""Where a later content of a file lies on VIP."""


def _one_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
