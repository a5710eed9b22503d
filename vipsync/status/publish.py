"""Write down for people and other tools what is true now: STATUS.txt, session_data.json, results.csv.

Exports only: nothing here is read back by vipsync, but for `status`, which shows what the process
that holds the folder last said, and for what other programs keep in session_data.json.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from vipsync.disk.files import make_folder, write_atomic
from vipsync.disk.walk import printable
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import replace
from vipsync.record.backup import (
    BACKUP,
    Backup,
    Places,
    exported,
    read_backup,
    text_of,
    with_unknown_keys,
)
from vipsync.status.privacy import privacy_lines
from vipsync.status.results_table import results_table
from vipsync.status.status import Status, status_of
from vipsync.status.words import status_text

if TYPE_CHECKING:
    from vipsync.plan.snapshot import Snapshot
    from vipsync.run.reconciler import Reconciler

logger = logging.getLogger(__name__)

EVERY = 300.0
"""Seconds after which STATUS.txt is written although nothing has changed."""

TABLE = "results.csv"


class Publisher:
    """Keep the words about one session up to date."""

    def __init__(self) -> None:
        self._written: dict[Path, str] = {}
        self._words: tuple[float, object] = (0.0, None)
        self.status: Status | None = None
        self._unwritten = False
        self._judged: tuple[object, ...] = ()
        self._privacy: tuple[str, ...] = ()

    def publish(self, session: Reconciler) -> Status | None:
        """Write what has changed; return the state of the folder, None where it is not there."""
        self.status = self._status(session)
        try:
            self._publish(session)
            self._unwritten = False
        except (VipsyncError, OSError) as error:
            if not self._unwritten:  # said once: it may last as long as the disk is full
                logger.warning("the state could not be written: %s", type(error).__name__)
            self._unwritten = True
        return self.status

    def _status(self, session: Reconciler) -> Status | None:
        if session.trouble:
            known = self.status or (read_status(session.folder) if session.is_there else None)
            return troubled(session.folder, session.trouble, session.timing.wall(), known)
        if session.snapshot is None or session.plan is None:
            return None
        root = printable(str(session.folder.root))
        privacy = self._judged_so_far(session.snapshot)
        return status_of(session.snapshot, session.plan, root, session.confirmed, privacy=privacy)

    def _judged_so_far(self, s: Snapshot) -> tuple[str, ...]:
        """Return what the privacy gate has looked at; the last answer serves while that is the same."""
        now = (s.files, s.settings, s.state, s.state.version)
        same = len(self._judged) == len(now) and all(map(is_, now[:3], self._judged))
        if not same or self._judged[3] != now[3]:
            self._judged, self._privacy = now, tuple(privacy_lines(s))
        return self._privacy

    def _publish(self, session: Reconciler) -> None:
        if self.status is None:
            return
        if session.is_open:
            self._say(session.folder, self.status)
            self._export(session, self.status)
        elif session.is_there:  # something in it is missing, and it was let go
            with session.folder.held():
                self._say(session.folder, self.status)

    def _say(self, folder: SessionFolder, status: Status) -> None:
        now, (before, words) = status.written, self._words
        unchanged = _lasting(status) == words
        if not unchanged or now - before >= EVERY or now < before:
            self._words = (now, _lasting(status))
            write_atomic(folder.status, status_text(status, socket.gethostname()).encode())
            write_atomic(folder.report, _json(status, indent=1).encode())

    def _export(self, session: Reconciler, status: Status) -> None:
        observer = session.observer
        if observer is None or observer.settings is None or not session.ledger.state.executions:
            return
        places = Places(
            observer.inputs,
            observer.outputs,
            observer.settings.session_name,
            observer.settings.pipeline_id,
        )
        backup = exported(session.ledger.state, places)
        self._write(observer.outputs / BACKUP, text_of(backup), lambda: _completed(backup, places))
        self._write(observer.outputs / TABLE, results_table(session.ledger.state, status))

    def _write(self, path: Path, text: str, completed: Callable[[], str] | None = None) -> None:
        """Write an export that has changed, or that is gone; `completed` is looked for only then."""
        if self._written.get(path) != text or not path.exists():
            make_folder(path.parent)
            write_atomic(path, (completed() if completed else text).encode())
            self._written[path] = text


def _completed(backup: Backup, places: Places) -> str:
    return text_of(with_unknown_keys(backup, read_backup(places.outputs)))


def _lasting(status: Status) -> object:
    """Return what of a status is worth writing anew: all but the times that pass by themselves."""
    return (
        status.sentence,
        status.cases,
        status.executions,
        status.notices,
        status.unused,
        status.files,
        status.phase,
        status.privacy,
    )


def troubled(
    folder: SessionFolder, error: VipsyncError, wall: float, before: Status | None = None
) -> Status:
    """Return the state of a folder that cannot be looked at; what was known `before` is kept."""
    root = printable(str(folder.root))
    known = before or Status(folder=root, session=folder.root.name, id="", phase="", sentence="")
    return replace(
        known,
        folder=root,
        sentence=str(error),
        notices=(),
        starting=0,
        sending=0,
        fetching=0,
        minutes_left=None,
        written=wall,
        exit_code=error.exit_code,
    )


def read_status(folder: SessionFolder) -> Status | None:
    """Return what the process that holds the folder last said of it."""
    try:
        return msgspec.json.decode(folder.report.read_bytes(), type=Status)
    except (OSError, ValueError, RecursionError):
        return None


def status_json(statuses: Sequence[Struct]) -> str:
    """Return one JSON document for `status --json`: sessions, and stations with their studies."""
    return _json(statuses, indent=2)


def _json(told: Status | Sequence[Struct], indent: int) -> str:
    return msgspec.json.format(msgspec.json.encode(told).decode(), indent=indent)
