"""What all commands share: `Context`, and the session folders that a person names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync.client.connecting import Connector
from vipsync.errors import NotASession
from vipsync.folder.folder import SessionFolder, find_sessions
from vipsync.model import PORTAL, Settings
from vipsync.names import shell_word
from vipsync.report.reporter import Reporter
from vipsync.settings.keys import PORTAL_VARIABLE

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient


@dataclass(frozen=True)
class Context:
    """What all commands share: where to print, how to reach VIP, what options override."""

    reporter: Reporter
    environ: Mapping[str, str]
    portal: str | None = None
    key_file: Path | None = None
    agree: Callable[[], bool] = lambda: True
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
    def portal_here(self) -> str:
        """Return the portal where no settings.toml says another."""
        from vipsync.client.connection import portal_address

        return portal_address(self.portal or self.environ.get(PORTAL_VARIABLE) or PORTAL)

    def client(self) -> VipClient:
        """Return a client for a command that belongs to no folder; raise KeyMissing."""
        portal = self.portal_here
        return self.connect(Settings(session_name="", portal=portal), portal, "")[0]


def sessions_of(directories: Sequence[Path]) -> list[SessionFolder]:
    """Return the sessions that directories are or hold; raise NotASession where one has none."""
    found: dict[Path, SessionFolder] = {}
    for directory in directories:
        inside = find_sessions(directory)
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
        raise NotASession(
            f"{folder.root} is no session folder.", "Name the folder with settings.toml."
        )
    return folder
