"""Write down for people and other tools what is true now: STATUS.txt, session_data.json, results.csv.

Exports only: nothing here is read back by vipsync, but for `status`, which shows what the process
that holds the folder last said, and for what other programs keep in session_data.json.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from vipsync.disk.files import LARGE, disk_words, holder, make_inside, read_small, write_atomic
from vipsync.disk.own_files import OwnFiles
from vipsync.disk.walk import printable
from vipsync.errors import DiskError, VipsyncError
from vipsync.folder.folder import SessionFolder, station_of
from vipsync.model import RelPath, replace
from vipsync.names import BACKUP, few, placed
from vipsync.plan.draft import Level, Notice
from vipsync.record.backup import (
    Backup,
    Places,
    exported,
    read_backup,
    text_of,
    with_unknown_keys,
)
from vipsync.status.privacy import privacy_lines
from vipsync.status.reserve import Reserve, Word, spoken
from vipsync.status.results_table import is_results_table, results_table
from vipsync.status.status import Status
from vipsync.status.summary import status_of
from vipsync.status.words import status_text

if TYPE_CHECKING:
    from vipsync.plan.snapshot import Snapshot
    from vipsync.run.reconciler import Reconciler

logger = logging.getLogger(__name__)

EVERY = 300.0
"""Seconds after which STATUS.txt is written although nothing has changed."""

TABLE = RelPath("results.csv")


class Beside(Protocol):
    """What makes more files of our own out of results."""

    def publish(self, session: Reconciler, own: OwnFiles) -> None:
        """Make what has changed, or have it made."""


class Publisher:
    """Keep the words about one session up to date, and what is made `beside` them."""

    def __init__(self, beside: Beside | None = None) -> None:
        self._beside = beside
        self._written: dict[Path, tuple[object, str]] = {}
        self._own: OwnFiles | None = None
        self._words: tuple[float, object] = (0.0, None)
        self.status: Status | None = None
        self._unwritten = False
        self._reserve = Reserve()
        self._judged: tuple[object, ...] = ()
        self._privacy: tuple[str, ...] = ()

    def publish(self, session: Reconciler) -> Status | None:
        """Write what has changed; return the state of the folder, None where it is not there."""
        self.status = self._status(session)
        try:
            self._publish(session)
            self._unwritten = False
            if session.is_open:
                self._reserve.clear(session.folder)
        except (VipsyncError, OSError) as error:
            if not self._unwritten:  # said once: it may last as long as the disk is full
                logger.warning("STATUS.txt could not be written: %s", disk_words(error))
            self._unwritten = True
            if session.is_open or session.is_there:
                self._reserve.say(session.folder, Word(session.timing.wall(), str(error)))
        return self.status

    def _status(self, session: Reconciler) -> Status | None:
        if session.trouble:
            known = self.status or (read_status(session.folder) if session.is_there else None)
            return troubled(session.folder, session.trouble, session.timing.wall(), known)
        if session.snapshot is None or session.plan is None:
            return None
        root = printable(str(session.folder.root))
        privacy = self._judged_so_far(session.snapshot)
        return status_of(
            session.snapshot,
            session.plan,
            root,
            session.confirmed,
            in_the_way(self._own),
            privacy,
        )

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
            self._say_in_the_way(session)
        elif session.is_there:  # something in it is missing, and it was let go
            with session.folder.held():
                self._say(session.folder, self.status)

    def _say(self, folder: SessionFolder, status: Status) -> None:
        now, (before, words) = status.written, self._words
        unchanged = _lasting(status) == words
        if not unchanged or now - before >= EVERY or now < before:
            write_status(folder, status)
            self._words = (now, _lasting(status))

    def _export(self, session: Reconciler, status: Status) -> None:
        observer = session.observer
        if observer is None or observer.settings is None or not session.ledger.state.executions:
            return
        folder = session.folder
        places = Places(
            # Results are handed on, and the path of a station's export may name a patient (S4).
            folder.root / "inputs" if station_of(folder.root) else observer.inputs,
            observer.outputs,
            observer.settings.session_name,
            observer.settings.pipeline_id,
        )
        state, own = session.ledger.state, self._own_files(session)
        self._write(
            observer.outputs / BACKUP,
            (state.version, places, state),
            lambda: text_of(exported(state, places)),
            lambda _: _write_backup(exported(state, places), places, folder.root),
        )
        here = session.snapshot.outputs if session.snapshot else {}
        self._write(
            observer.outputs / TABLE,
            (state.version, status.executions, here, state),
            lambda: results_table(state, status, here),
            lambda text: own.write(TABLE, text.encode(), mine=is_results_table),
        )
        if self._beside:
            self._beside.publish(session, own)

    def _write(
        self, path: Path, basis: object, make: Callable[[], str], write: Callable[[str], object]
    ) -> None:
        """Write an export that has changed, or that is gone; as long as its basis is the same, it is."""
        before, there = self._written.get(path), path.exists()
        if there and before and before[0] == basis:
            return
        text = make()
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if not (there and before and before[1] == digest):
            write(text)
        self._written[path] = (basis, digest)

    def _own_files(self, session: Reconciler) -> OwnFiles:
        outputs = session.observer.outputs if session.observer else session.folder.root
        if self._own is None or self._own.root != outputs:
            self._own = OwnFiles(outputs, session.folder.own_files, session.folder.root)
        return self._own

    def _say_in_the_way(self, session: Reconciler) -> None:
        """Say at once what lies where a file of ours belongs."""
        status = self._status(session)
        if status and self.status and status.notices != self.status.notices:
            self.status = status
            self._say(session.folder, status)


def write_status(folder: SessionFolder, status: Status) -> None:
    """Write how a folder is, for people and for programs. Raise DiskError."""
    station = printable(str(station_of(folder.root) or ""))
    folder.write(folder.status, status_text(status, socket.gethostname(), station).encode())
    folder.write(folder.report, _json(status, indent=1).encode())


def in_the_way(own: OwnFiles | None) -> tuple[Notice, ...]:
    """Return what is said of files that are not ours where ours belong."""
    places = own.foreign if own else ()
    if not places:
        return ()
    text = f"outputs/{few(places, 1)}: vipsync did not write this as it is now; it is left alone."
    return (Notice(Level.INFO, places[0], text, "Rename or delete it to get a new one.", 0),)


def _write_backup(backup: Backup, places: Places, root: Path) -> None:
    """Write session_data.json, which vip-client writes too: what others keep in it stays."""
    below = holder(places.outputs, root)
    make_inside(places.outputs, below)
    completed = text_of(with_unknown_keys(backup, read_backup(places.outputs)))
    write_atomic(places.outputs / BACKUP, completed.encode(), below)


def _lasting(status: Status) -> object:
    """Return what of a status is worth writing anew: all but the times that pass by themselves."""
    return (
        status.sentence,
        status.cases,
        status.executions,
        status.notices,
        status.unused,
        status.beside,
        status.among_results,
        status.files,
        status.phase,
        status.privacy,
    )


def troubled(
    folder: SessionFolder, error: VipsyncError, wall: float, before: Status | None = None
) -> Status:
    """Return the state of a folder that cannot be looked at; what was known `before` is kept."""
    root = printable(str(folder.root))
    name = printable(folder.root.name)
    known = before or Status(folder=root, session=name, id="", phase="", sentence="")
    return replace(
        known,
        folder=root,
        sentence="\n".join(map(printable, placed(str(error), folder.root).splitlines())),
        notices=(),
        starting=0,
        sending=0,
        fetching=0,
        hearing=0,
        minutes_left=None,
        written=wall,
        exit_code=error.exit_code,
    )


def read_status(folder: SessionFolder) -> Status | None:
    """Return what the process that holds the folder last said of it."""
    told = None
    with suppress(OSError, ValueError, RecursionError):
        told = msgspec.json.decode(read_small(folder.report, LARGE), type=Status)
    word = spoken(folder)
    if word and (told is None or word.at >= told.written):
        return troubled(folder, DiskError(word.text), word.at, told)
    return told


def status_json(statuses: Sequence[Struct]) -> str:
    """Return one JSON document for `status --json`: sessions, and stations with their studies."""
    return _json(statuses, indent=2)


def _json(told: Status | Sequence[Struct], indent: int) -> str:
    return msgspec.json.format(msgspec.json.encode(told).decode(), indent=indent)
