"""What all commands share: `Context`, and the folders that a person names, or means by naming none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync.client.connecting import Connector
from vipsync.errors import KeyMissing, NotASession, SettingsError, Unclear
from vipsync.folder.folder import SessionFolder, is_station
from vipsync.folder.search import find_sessions, find_stations
from vipsync.model import PORTAL, UNLIMITED, MachineSettings, Settings, TransfersSettings
from vipsync.names import shell_word
from vipsync.report.reporter import Reporter
from vipsync.report.text import printable
from vipsync.settings.keys import PORTAL_VARIABLE, portals_kept
from vipsync.settings.machine import folders_of, load_machine, machine_file

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient

_SHOWN = 3
"""Sessions of a station that are named in a refusal."""


@dataclass(frozen=True)
class Context:
    """What all commands share: where to print, how to reach VIP, what options override.

    `config` is a vipsync.toml that was named on the command line; `asks`: there is somebody to ask.
    """

    reporter: Reporter
    environ: Mapping[str, str]
    portal: str | None = None
    key_file: Path | None = None
    agree: Callable[[], bool] = lambda: True
    config: Path | None = None
    asks: bool = True
    verbose: bool = False
    connect: Connector = field(init=False)

    def __post_init__(self) -> None:
        """Make the connector."""
        object.__setattr__(
            self, "connect", Connector(self.environ, self.key_file, portal=self.portal)
        )

    @property
    def overrides(self) -> Mapping[str, object]:
        """Return the options that go before settings.toml."""
        return {"portal": self.portal}

    @property
    def machine_file(self) -> Path | None:
        """Return the vipsync.toml that counts, whether it is there or not; None without a home."""
        return self.config or machine_file()

    def machine(self) -> MachineSettings:
        """Return what vipsync.toml says; its defaults where there is none. Raise SettingsError."""
        file = self.machine_file
        if file is None or not (self.config or file.exists()):
            return MachineSettings()
        return load_machine(file)

    def transfers(self) -> TransfersSettings:
        """Return the limits of vipsync.toml; none where there is no such file. Raise SettingsError."""
        file = self.machine_file
        is_there = file is not None and (self.config or file.exists())
        return self.machine().transfers if is_there else UNLIMITED

    @property
    def portal_here(self) -> str:
        """Return the portal where no settings.toml says another."""
        from vipsync.client.connection import portal_address

        return portal_address(self.portal or self.environ.get(PORTAL_VARIABLE) or PORTAL)

    def client(self) -> VipClient:
        """Return a client for a command that belongs to no folder; raise KeyMissing."""
        portal = self.portal_here
        try:
            return self.connect(Settings(session_name="", portal=portal), portal, "")[0]
        except KeyMissing as error:
            if self.portal or self.key_file or not (kept := portals_kept()):
                raise
            raise KeyMissing(
                error.message,
                f"{error.remedy} Kept here are keys for: {', '.join(map(printable, kept))}; "
                "`vipsync --portal URL …` asks such a portal.",
            ) from None


def meant(context: Context, named: Sequence[Path]) -> list[Path]:
    """Return the folders that a command is about; raise Unclear.

    Those that are named, else the session folder around the current one, else those of vipsync.toml.
    `--config` goes before where one happens to be.
    """
    if named:
        return list(named)
    around = None if context.config else folder_around(Path.cwd())
    return [around] if around else machine_folders(context)


def means_the_machine(context: Context, named: Sequence[Path]) -> bool:
    """Tell whether vipsync.toml says which folders a command is about."""
    return not named and (context.config is not None or session_around(Path.cwd()) is None)


def machine_folders(context: Context) -> list[Path]:
    """Return the folders of vipsync.toml; raise Unclear where it names none, or is not there."""
    file, folders = context.machine_file, folders_of(context.machine())
    if folders:
        return folders
    if file and file.exists():
        raise SettingsError(
            f"{file} names no folders.", 'Write folders = ["/data/studies"] into it.'
        )
    remedy = f", or write a list `folders` into {file}" if file else ""
    raise Unclear("No folder is named, and you are in no session folder.", f"Name one{remedy}.")


def session_around(path: Path) -> SessionFolder | None:
    """Return the session folder that a folder is or lies in."""
    around = map(SessionFolder, (path, *path.parents))
    return next((folder for folder in around if folder.is_session()), None)


def folder_around(path: Path) -> Path | None:
    """Return the session folder or station that a folder is or lies in."""
    around = (SessionFolder(one) for one in (path, *path.parents))
    return next((f.root for f in around if f.is_session() or is_station(f.root)), None)


def sessions_of(directories: Sequence[Path]) -> list[SessionFolder]:
    """Return the sessions that directories are or hold; raise NotASession where one has none."""
    found: dict[Path, SessionFolder] = {}
    for directory in directories:
        inside = find_sessions(directory)
        if not inside and find_stations(directory):
            raise NotASession(
                f"{directory} is a station, and has made no session yet.",
                f"`vipsync status {shell_word(directory)}` says how its studies are.",
            )
        if not inside:
            raise NotASession(
                f"{directory} is no session folder, and has none in it.",
                f"`vipsync init {shell_word(directory)}` makes one.",
            )
        found.update({folder.root: folder for folder in inside})
    return list(found.values())


def the_session(directory: Path) -> SessionFolder:
    """Return the session that a directory is; raise NotASession where it is none."""
    folder = SessionFolder(directory)
    if not folder.is_session():
        if is_station(folder.root):
            raise NotASession(f"{folder.root} is a station.", _one_of(folder.root))
        raise NotASession(
            f"{folder.root} is no session folder.", "Name the folder with settings.toml."
        )
    return folder


def _one_of(station: Path) -> str:
    """Say which sessions of a station can be named."""
    names = sorted((folder.root for folder in find_sessions(station)), reverse=True)
    shown = ", ".join(shell_word(name) for name in names[:_SHOWN])
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Name one of its sessions: {shown}{more}." if names else "It has made no session yet."
