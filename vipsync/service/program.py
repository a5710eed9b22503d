"""What a service runs, and what it needs to reach. PURE: no I/O, no clock."""

from __future__ import annotations

from msgspec import Struct

from vipsync.errors import SettingsError

NAME = "vipsync"
ABOUT = "vipsync: keeps folders in step with VIP"


class Program(Struct, frozen=True):
    """`vipsync run` as a service starts it.

    `command` runs vipsync, `options` stand before `run`; `folders` are what it works in, `code` where its
    program lies, `portal` the one that a person has named for it.
    """

    command: tuple[str, ...]
    options: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    portal: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Return the command line."""
        return (*self.command, *self.options, "run")

    def check(self) -> None:
        """Raise SettingsError for a path that a file of the system cannot name on one line."""
        for text in (*self.words, *self.folders, *self.code, self.portal):
            if not text.isprintable():
                shown = "".join(c if c.isprintable() else "?" for c in text)
                raise SettingsError(
                    f"{shown} holds a character that no service can have in its path.",
                    "Rename the folder.",
                )
