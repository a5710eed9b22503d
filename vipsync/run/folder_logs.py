"""The log in each session folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from vipsync.disk.files import open_own, share
from vipsync.errors import DiskError
from vipsync.run import logs
from vipsync.run.reconciler import Reconciler

_LOG_SIZE = 1_000_000
_LOGS_KEPT = 2


class FolderLogs:
    """Write a small log into each folder that this process holds: of what is its own, and of all."""

    def __init__(self, name: Callable[[Path], str]) -> None:
        self._name = name
        self._handlers: dict[Path, logging.Handler] = {}
        self._logger = logging.getLogger("vipsync")

    def follow(self, session: Reconciler) -> None:
        """Begin the log of a folder that was taken, end that of one that was let go."""
        root = session.folder.root
        if not session.is_open:
            self.end(root)
        elif root not in self._handlers:
            with suppress(OSError, DiskError):
                self._begin(root, session.folder.log)

    def _begin(self, root: Path, log: Path) -> None:
        handler = _OwnLog(log, maxBytes=_LOG_SIZE, backupCount=_LOGS_KEPT, encoding="utf-8")
        handler.setLevel(logging.INFO)
        handler.addFilter(lambda _record: logs.folder() in (None, root))
        handler.setFormatter(logs.Lines(self._name))
        self._logger.addHandler(handler)
        self._handlers[root] = handler

    def end(self, root: Path) -> None:
        """End the log of a folder, if it has one."""
        handler = self._handlers.pop(root, None)
        if handler:
            self._logger.removeHandler(handler)
            with suppress(OSError):  # a full disk takes no last line
                handler.close()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """End all logs at the end."""
        try:
            yield
        finally:
            for root in list(self._handlers):
                self.end(root)


class _OwnLog(RotatingFileHandler):
    """A log that follows no link, and with which the group of its folder can go on."""

    def _open(self) -> TextIOWrapper:
        file = TextIOWrapper(open_own(Path(self.baseFilename), "ab"), encoding=self.encoding)
        share(Path(self.baseFilename))
        return file
