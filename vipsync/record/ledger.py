"""The ledger: what was observed and what was intended, in SQLite, with one writer.

Each row class of `state` is a table with the fields of the class as columns; the first field is
the key. Plain values are stored as they are, everything else as JSON. A commit is one transaction,
on disk when it returns (house 6.7, 6.9). A field that is added to a class allows None: that is
what it holds where an earlier vipsync wrote the row.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from vipsync.disk.files import entered, open_own, require_file, share
from vipsync.errors import DiskError, FolderError
from vipsync.model import FileState, RelPath
from vipsync.rows import Changes, Found, Row, Session, State

VERSION = 1
"""Raised when an earlier vipsync must no longer write here. A new column alone does it no harm."""

_ROWS: tuple[type[Row], ...] = get_args(Row)
_PLAIN = (str, int, float, type(None))
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
"""Columns that hold the same values many times: none of them is ever changed."""


class Ledger:
    """The ledger of one session folder. `state` always equals what is on disk."""

    def __init__(self, path: Path, session: Session, *, network_disk: bool = False) -> None:
        """Open or make the ledger at `path`; `session` is its first row where it is new."""
        self.path = path
        _require_ordinary(path)
        _make_file(path)
        with _disk_errors(path):
            self._db = _connect(path, network_disk=network_disk)
            self._prepare()
            self.state = _load(self._db, session)
            self._db.execute("PRAGMA shrink_memory")  # nothing is read again: 200 folders add up
            if not self._db.execute("SELECT 1 FROM Session").fetchone():
                self.commit(Changes(put=(session,)))

    def commit(self, changes: Changes) -> None:
        """Write rows, all or none, and let `state` follow."""
        if not changes:
            return
        with _disk_errors(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for row in changes.drop:
                table = _TABLES[type(row)]
                self._db.execute(table.delete, (table.key(row),))
            for kind, rows in groupby(changes.put, key=type):
                table = _TABLES[kind]
                self._db.executemany(table.put, map(table.values, rows))
        self.state.apply(changes)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise FolderError(
                f"{self.path} was written by a newer vipsync.", "Update vipsync on this machine."
            )
        with self._db:
            for table in _TABLES.values():
                self._db.execute(table.create)
                for column in table.missing(self._db):
                    before = _BEFORE.get(column, "NULL")
                    self._db.execute(f'ALTER TABLE {table.name} ADD COLUMN "{column}"')
                    self._db.execute(f'UPDATE {table.name} SET "{column}" = {before}')  # noqa: S608
            self._db.execute(f"PRAGMA user_version = {VERSION}")


def read_state(path: Path) -> State:
    """Read a ledger that another process may be writing; writes nothing beside it.

    Where SQLite would have to write to read, as after a power cut, a copy is read.
    """
    with _disk_errors(path):
        _require_ordinary(path)
        try:
            return _read(path, _how_to_read(path))
        except sqlite3.DatabaseError:
            from tempfile import TemporaryDirectory  # seldom needed

            with TemporaryDirectory(prefix="vipsync-") as place, suppress(OSError):
                return _read(_copied(path, Path(place)), "mode=rw")
            raise


def _how_to_read(path: Path) -> str:
    """Tell SQLite what is true: where there is no journal, nobody writes."""
    journals = (path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal"))
    return "mode=ro&readonly_shm=1" if any(map(Path.exists, journals)) else "immutable=1"


def _copied(path: Path, place: Path) -> Path:
    for suffix in ("", "-wal", "-journal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{suffix}", place / f"{path.name}{suffix}")
    return place / path.name


def _read(path: Path, how: str) -> State:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=5)) as db:
        _require_plain(db)
        return _load(db, Session(""))


def _require_ordinary(path: Path) -> None:
    """Refuse links and the like in place of a ledger: SQLite follows them."""
    with suppress(FileNotFoundError), entered(path.parent, path.parent.parent):
        for kind in ("", "-wal", "-shm", "-journal"):
            require_file(path.with_name(f"{path.name}{kind}"))


def _make_file(path: Path) -> None:
    """Make an empty ledger with the rights of its folder: SQLite gives them to what it puts beside."""
    with suppress(OSError):  # SQLite says what is wrong
        open_own(path, "ab").close()
    share(path)


_SCHEMA = re.compile(r'CREATE TABLE "?\w+"? \([\w", ]*PRIMARY KEY \("\w+"\)[\w", ]*\)')
"""What the tables of a ledger are made with: names, but nothing that SQLite would compute."""


def _require_plain(db: sqlite3.Connection) -> None:
    """Refuse a ledger in which others have put what runs by itself: views, triggers, expressions."""
    for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if not _SCHEMA.fullmatch(sql):
            raise ValueError(f"it has {name}, which no vipsync has made")


def _connect(path: Path, *, network_disk: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    # WAL needs memory that two processes share, which no network file system has.
    db.execute(f"PRAGMA journal_mode = {'TRUNCATE' if network_disk else 'WAL'}")
    db.execute("PRAGMA synchronous = FULL")
    _require_plain(db)
    return db


def _load(db: sqlite3.Connection, session: Session) -> State:
    state, same = State(session), dict[Any, Any]()
    for table in _TABLES.values():
        state.put(table.row(values, same) for values in db.execute(table.select(db)))
    return state


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.OperationalError as error:
        raise DiskError(
            f"{path} cannot be written or read: {error}.",
            "Make room on the disk, or give this account the right to write there.",
        ) from error
    except (sqlite3.DatabaseError, ValueError, TypeError, RecursionError) as error:
        raise FolderError(
            f"{path} is damaged: {error}.",
            "Put it back from a backup, or rename the .vipsync folder: "
            "the session is then adopted anew, and nothing is launched twice.",
        ) from error


class _Column(Struct, frozen=True):
    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]
    shared: bool


class _Table:
    """How one row class lies in SQLite."""

    def __init__(self, kind: type[Row]) -> None:
        hints = get_type_hints(kind)
        self.kind: Callable[..., Row] = kind
        self.columns = [_column(name, hints[name]) for name in kind.__struct_fields__]
        self.name = kind.__name__
        names = ", ".join(f'"{c.name}"' for c in self.columns)
        marks = ", ".join("?" for _ in self.columns)
        name, key = self.name, self.columns[0].name
        # The names are those of our own classes: no text from outside reaches these statements.
        self.create = f'CREATE TABLE IF NOT EXISTS {name} ({names}, PRIMARY KEY ("{key}"))'
        # An update keeps a row's place, as a dict does: the order of rows survives a restart.
        update = ", ".join(f'"{c.name}" = excluded."{c.name}"' for c in self.columns)
        insert = f"INSERT INTO {name} ({names}) VALUES ({marks})"  # noqa: S608
        self.put = f'{insert} ON CONFLICT ("{key}") DO UPDATE SET {update}'
        self.delete = f'DELETE FROM {name} WHERE "{key}" = ?'  # noqa: S608

    def missing(self, db: sqlite3.Connection) -> list[str]:
        """Name the columns that an earlier vipsync did not write."""
        there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({self.name})")}
        return [c.name for c in self.columns if c.name not in there]

    def select(self, db: sqlite3.Connection) -> str:
        missing = self.missing(db)
        there = (
            _BEFORE.get(c.name, "NULL") if c.name in missing else f'"{c.name}"'
            for c in self.columns
        )
        columns = ", ".join(there)
        return f"SELECT {columns} FROM {self.name} ORDER BY rowid"  # noqa: S608

    def values(self, row: Row) -> tuple[object, ...]:
        return tuple(c.encode(getattr(row, c.name)) for c in self.columns)

    def key(self, row: Row) -> object:
        return getattr(row, self.columns[0].name)

    def row(self, values: Iterable[object], same: dict[Any, Any]) -> Row:
        """Return a row; equal paths, states and hashes are one object, kept in `same`."""
        found = []
        for column, value in zip(self.columns, values, strict=True):
            decoded = column.decode(value)
            found.append(same.setdefault(decoded, decoded) if column.shared else decoded)
        return self.kind(*found)


def _column(name: str, hint: Any) -> _Column:
    shared = _SHARED.get(name) is hint
    union = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    plain = {getattr(t, "__supertype__", t) for t in union}
    if plain <= {bool}:
        return _Column(name, int, _checked({int}, bool), shared)
    if plain <= set(_PLAIN):
        return _Column(
            name, lambda v: v, _checked(plain | {int} if float in plain else plain), shared
        )
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _Column(name, str, hint, shared)
    decoder = msgspec.json.Decoder[object](hint)

    def encoded(value: Any) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def decoded(value: Any) -> object:
        return None if value is None else decoder.decode(value)

    return _Column(name, encoded, decoded, shared)


def _checked(
    kinds: set[type], make: Callable[[Any], object] = lambda v: v
) -> Callable[[Any], object]:
    """Return a decoder that refuses a value of another type: others can write a ledger too."""

    def decoded(value: Any) -> object:
        if type(value) not in kinds:
            raise TypeError(f"{type(value).__name__} in place of {', '.join(map(str, kinds))}")
        return make(value)

    return decoded


_TABLES: dict[type[Row], _Table] = {kind: _Table(kind) for kind in _ROWS}
