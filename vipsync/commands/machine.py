"""Look whether vipsync.toml is in order, and whether it was changed; changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from vipsync.alerts.receivers import receivers
from vipsync.commands.check import worst
from vipsync.commands.context import Context, machine_folders
from vipsync.disk.files import looks
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.folder.holding import is_worked_in
from vipsync.folder.search import find_sessions
from vipsync.model import FileState, MachineSettings, replace
from vipsync.names import shell_word
from vipsync.plan.transfer_limits import MACHINE, OUTDATED
from vipsync.status.publish import read_status
from vipsync.status.status import Finding, count

logger = logging.getLogger(__name__)


class Renaming:
    """The folders of vipsync.toml, whenever a person has changed it."""

    def __init__(self, context: Context) -> None:
        self._context, self._seen = context, _looks(context)

    def __call__(self) -> list[Path] | None:
        """Return the folders where the file is another one; None where it is not, or has a mistake."""
        seen = _looks(self._context)
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            return machine_folders(self._context)
        except VipsyncError as error:
            logger.warning("%s What it said before still counts.", error.message)
            return None


class SinceStart:
    """Whether vipsync.toml says something else than when this process read it.

    `whole`: that process goes by all of it, of which it reads the folders anew (`Renaming`); else it goes by the
    limits of transfers alone.
    """

    def __init__(self, context: Context, *, whole: bool) -> None:
        self._context, self._whole = context, whole
        self._seen = _looks(context)
        self._now = self._read = self._say()

    def __call__(self) -> bool:
        """Tell whether it does; a mistake changes nothing."""
        seen = _looks(self._context)
        if seen != self._seen:
            self._seen = seen
            with suppress(VipsyncError):
                self._now = self._say()
        return self._now != self._read

    def _say(self) -> MachineSettings:
        said = self._context.machine()
        return (
            replace(said, folders=()) if self._whole else MachineSettings(transfers=said.transfers)
        )


def runs_with_older(folder: SessionFolder) -> bool:
    """Tell whether the process that works in a folder says that it started with another vipsync.toml."""
    told = read_status(folder)
    says = told is not None and any(notice.subject == MACHINE for notice in told.notices)
    return says and bool(is_worked_in(folder))


def _looks(context: Context) -> FileState | None:
    return looks(context.machine_file) if context.machine_file else None


def check_machine(context: Context) -> int:
    """Say whether vipsync.toml can be read, and whether what it names is there."""
    findings = list(_checked(context))
    context.reporter.say(str(context.machine_file or MachineSettings.SOURCE), "bold")
    for finding in findings:
        context.reporter.finding(finding)
    return worst(finding.exit_code for finding in findings)


def _checked(context: Context) -> Iterator[Finding]:
    try:
        folders = machine_folders(context)
    except VipsyncError as error:
        yield Finding("settings", error.message, error.remedy, error.exit_code)
        return
    yield Finding("settings", f"{context.machine_file} can be read.")
    for folder in folders:
        yield _found(folder)
    yield from _outdated(folders)
    yield from _alerts(context)


def _outdated(folders: Iterable[Path]) -> Iterator[Finding]:
    """Say, once, that what works in these folders does not go by the file as it is now."""
    for folder in folders:
        with suppress(VipsyncError):  # said already of this folder
            if any(map(runs_with_older, find_sessions(folder))):
                yield Finding("settings", OUTDATED, note=True)
                return


def _alerts(context: Context) -> Iterator[Finding]:
    """Say where alerts go, by kind alone."""
    try:
        to = receivers(context.machine(), context.environ)
    except VipsyncError as error:
        yield Finding("notify", error.message, error.remedy, 1)
        return
    if to:
        names = ", ".join(receiver.name for receiver in to)
        yield Finding("notify", f"alerts go to {names}.", "`vipsync notify --test` sends one.")


def _found(folder: Path) -> Finding:
    """Say how many session folders one of the named folders stands for."""
    try:
        sessions = find_sessions(folder)
    except VipsyncError as error:
        return Finding(str(folder), error.message, "Is its disk mounted?", error.exit_code)
    remedy = (
        ""
        if sessions
        else f"`vipsync init {shell_word(folder / 'my-study')}` makes one; it is found by itself."
    )
    words = f"{count(len(sessions), 'session folder')}; `vipsync check {shell_word(folder)}` looks at them."
    return Finding(str(folder), words if sessions else "holds no session folder yet.", remedy)
