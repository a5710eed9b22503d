"""The ledger: what was observed and what was intended, in SQLite, with one writer.

Each row class of `state` is a table (`record/tables.py`). A commit is one transaction, on disk when
it returns (house 6.7, 6.9).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from vipsync.errors import FolderError
from vipsync.model import FileState, RelPath
from vipsync.record.tables import (
    SharedMemory,
    Table,
    connect,
    disk_errors,
    how_to_read,
    make_file,
    reading,
)
from vipsync.rows import Changes, Found, Known, Row, Session, State

VERSION = 1
"""Raised when an earlier vipsync must no longer write here. A new column alone does it no harm."""

_ROWS: tuple[type[Row], ...] = get_args(Row)
_BEFORE = {
    "stage": """CASE phase
        WHEN 'closed' THEN 'closed'
        WHEN 'open' THEN CASE owned WHEN 1 THEN 'open' ELSE 'claiming' END
        WHEN 'finishing' THEN CASE set_aside WHEN 1 THEN 'draining' ELSE 'ending' END
        ELSE CASE WHEN removal_asked_at IS NULL THEN 'removing' ELSE 'asked' END
    END"""
}
"""What a column is made of where an earlier vipsync wrote the row; others are NULL there."""


_SHARED = {
    "path": RelPath,
    "state": FileState,
    "sha256": str,
    "gate": str,
    "called": str,
    "found": Found,
}
"""Columns that have the values of other rows, above all of what is known of the same file: none is ever changed."""


class Ledger:
    """The ledger of one session folder. `state` always equals what is on disk."""

    def __init__(self, path: Path, session: Session, *, network_disk: bool = False) -> None:
        """Open or make the ledger at `path`; `session` is its first row where it is new."""
        self.path = path
        make_file(path)
        with disk_errors(path):
            self._db = connect(path, network_disk=network_disk)
            self._prepare()
            self.state = _load(self._db, session)
            self._memory = SharedMemory(path)
            new = not self._db.execute("SELECT 1 FROM Session").fetchone()
            self._forget_pages()
        if new:
            self.commit(Changes(put=(session,)))

    def commit(self, changes: Changes) -> None:
        """Write rows, all or none, and let `state` follow."""
        if not changes:
            return
        self._memory.mend()
        with disk_errors(self.path), nullcontext() if self._db.in_transaction else self._db:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._write(changes)
        self.state.apply(changes)
        if not self._db.in_transaction:
            self._forget_pages()

    def _forget_pages(self) -> None:
        """Keep no page of the file in memory: none is read again, and 200 folders add up."""
        self._db.execute("PRAGMA shrink_memory")

    def _write(self, changes: Changes) -> None:
        for row in changes.drop:
            table = _TABLES[type(row)]
            self._db.execute(table.delete, (table.key(row),))
        for kind, rows in groupby(changes.put, key=type):
            table = _TABLES[kind]
            self._db.executemany(table.put, map(table.values, rows))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of the commits inside: none is on disk before the end, nor if it fails.

        `state` is ahead meanwhile, and worth nothing after a failure.
        """
        self._memory.mend()
        with disk_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self._memory.mend()
        with disk_errors(self.path):
            self._db.commit()
        self._forget_pages()

    def close(self) -> None:
        """Release the file."""
        self._memory.mend()
        self._db.close()
        self._memory.close()

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise FolderError(
                f"{self.path} was written by a newer vipsync.", "Update vipsync on this machine."
            )
        with self._db:
            for table in _TABLES.values():
                self._db.execute(table.create)
                table.complete(self._db)
            self._db.execute(f"PRAGMA user_version = {VERSION}")


def read_state(path: Path) -> State:
    """Read a ledger that another process may be writing; writes nothing beside it.

    Where SQLite would have to write to read, as after a power cut, a copy is read.
    """
    with disk_errors(path):
        try:
            return _read(path, how_to_read(path))
        except sqlite3.DatabaseError:
            from tempfile import TemporaryDirectory  # seldom needed

            with TemporaryDirectory(prefix="vipsync-") as place, suppress(OSError):
                return _read(_copied(path, Path(place)), "mode=rw")
            raise


def read_session(path: Path) -> Session:
    """Read the one row about the session itself; writes nothing beside the ledger."""
    with disk_errors(path), closing(reading(path)) as db:
        state, table = State(Session("")), _TABLES[Session]
        state.put(table.row(values, {}, {}) for values in db.execute(table.select(db)))
        return state.session


def _copied(path: Path, place: Path) -> Path:
    for suffix in ("", "-wal", "-journal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{suffix}", place / f"{path.name}{suffix}")
    return place / path.name


def _read(path: Path, how: str) -> State:
    with closing(reading(path, how)) as db:
        return _load(db, Session(""))


def _load(db: sqlite3.Connection, session: Session) -> State:
    state, same = State(session), dict[Any, Any]()
    for table in _TABLES.values():
        state.put(table.row(values, same, state.known) for values in db.execute(table.select(db)))
    return state


_TABLES: dict[type[Row], Table[Row]] = {
    kind: Table(kind, _BEFORE, {} if kind is Known else _SHARED) for kind in _ROWS
}
