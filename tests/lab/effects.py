"""The effects of a process that last, counted in order; before or after one of them it is killed.

An effect is a commit to the ledger, a flush, a new name on the disk or one less, a request that
leaves, an answer that is heard. Only for a process that ends with this: nothing is put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from vipsync.disk import archive
from vipsync.record import ledger
from vipsync.record.ledger import Ledger
from vipsync.station.ledger import StationLedger


@dataclass(frozen=True)
class Fatal:
    """The effect, by its number in a story from 0 on, before or after which the process is killed."""

    number: int
    before: bool


class Effects:
    """Count the effects of this process; call `kill`, which does not return, at the fatal one."""

    def __init__(self, first: int, fatal: Fatal | None, kill: Callable[[str], None]) -> None:
        self.kinds: list[str] = []
        self._first, self._fatal, self._kill = first, fatal, kill

    @contextmanager
    def effect(self, kind: str) -> Iterator[None]:
        """Let what is done in the context be one effect."""
        fatal = self._fatal is not None and self._fatal.number == self._first + len(self.kinds)
        self.kinds.append(kind)
        if fatal and self._fatal and self._fatal.before:
            self._kill(kind)
        try:
            yield
        finally:
            if fatal:
                self._kill(kind)

    def watch(self) -> None:
        """Count what is done to the disk from now on."""
        for kind, names in ON_DISK.items():
            for name in names:
                self._count(os, name, kind)
        self._count(archive, "_flushed_disk_of", "flush")
        self._count(ledger, "connect", "ledger")
        self._count(Ledger, "_prepare", "ledger")
        self._count(Ledger, "commit", "commit")
        self._count(StationLedger, "commit", "commit")

    def _count(self, owner: object, name: str, kind: str) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            if not _lasts(name, args, kwargs):
                return function(*args, **kwargs)
            with self.effect(kind):
                return function(*args, **kwargs)

        setattr(owner, name, counted)


ON_DISK = {
    "flush": ("fsync",),
    "rename": ("rename", "replace", "link", "symlink"),
    "removal": ("unlink", "remove", "rmdir"),
    "folder": ("mkdir",),
}
"""The functions of `os` that everything on the disk goes through, by the kind of their effect."""


def _lasts(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether a call changes anything: not so an empty commit, or what is there already."""
    if name == "commit":
        return bool(args[1])
    if name == "mkdir":
        return not os.path.lexists(args[0])
    if name in ("unlink", "remove"):
        return kwargs.get("dir_fd") is not None or os.path.lexists(args[0])
    return True
