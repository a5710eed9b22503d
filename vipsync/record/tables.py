"""Rows in SQLite: each row class is a table with the fields of the class as columns.

The first field is the key. Plain values are stored as they are, everything else as JSON. A field that
is added to a class allows None: that is what it holds where an earlier vipsync wrote the row.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from vipsync.disk.files import entered, open_own, require_file, share
from vipsync.errors import DiskError, FolderError

R = TypeVar("R", bound=Struct)

_ITSELF = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

_PLAIN = (str, int, float, type(None))

STATEMENTS = 8
"""Statements that stay compiled, at 4 kB each: as many as a file that is sent needs."""


def make_file(path: Path) -> None:
    """Make an empty ledger with the rights of its folder: SQLite gives them to what it puts beside."""
    _require_ordinary(path)
    with suppress(OSError):  # SQLite says what is wrong
        open_own(path, "ab").close()
    share(path)


def _require_ordinary(path: Path) -> None:
    """Refuse links and the like in place of a database: SQLite follows them."""
    with suppress(FileNotFoundError), entered(path.parent, path.parent.parent):
        for kind in ("", "-wal", "-shm", "-journal"):
            require_file(path.with_name(f"{path.name}{kind}"))


_SCHEMA = re.compile(r'CREATE TABLE "?\w+"? \([\w", ]*PRIMARY KEY \("\w+"\)[\w", ]*\)')
"""What our tables are made with: names, but nothing that SQLite would compute."""


def _require_plain(db: sqlite3.Connection) -> None:
    """Refuse a database in which others have put what runs by itself: views, triggers, expressions."""
    for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if not _SCHEMA.fullmatch(sql):
            raise ValueError(f"it has {name}, which no vipsync has made")


def _require_here(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a database elsewhere: SQLite follows a link that came after the check, and says where to.

    It opens what it found then without following any other. On Windows it follows none.
    """
    db.text_factory = bytes  # a path need not be text
    opened = db.execute("PRAGMA database_list").fetchone()[2]
    db.text_factory = str
    if os.name == "posix" and opened != os.fsencode(path.parent.resolve() / path.name):
        raise FolderError(
            f"{path} was replaced while it was opened.",
            "Look who else writes in this folder, then start again.",
        )


def connect(path: Path, *, network_disk: bool) -> sqlite3.Connection:
    """Open a database whose commits are on disk when they return."""
    db = sqlite3.connect(
        path,
        timeout=10,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    try:
        _require_here(db, path)
        # WAL needs memory that two processes share, which no network file system has.
        db.execute(f"PRAGMA journal_mode = {'TRUNCATE' if network_disk else 'WAL'}")
        db.execute("PRAGMA synchronous = FULL")
        _require_plain(db)
    except BaseException:
        db.close()
        raise
    return db


class SharedMemory:
    """The file that SQLite maps into memory beside a database in WAL mode.

    Who cuts it off, as a copy that is put over it does, ends each process that touches what is missing
    (SIGBUS). So it gets its size back before it is touched; SQLite fills it anew from the WAL.
    """

    def __init__(self, path: Path) -> None:
        """Hold the file, if there is one: to close it would give SQLite's locks on it up."""
        self._handle, self._size = -1, 0
        with suppress(OSError):
            self._handle = os.open(f"{path}-shm", os.O_RDWR | _ITSELF)
            self._size = os.fstat(self._handle).st_size

    def mend(self) -> None:
        """Give the file the size back that it had."""
        if self._handle >= 0:
            size = os.fstat(self._handle).st_size
            if size < self._size:
                with suppress(OSError):
                    os.ftruncate(self._handle, self._size)
            self._size = max(self._size, size)

    def close(self) -> None:
        """Let the file go, after SQLite did."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1


def reading(path: Path, how: str = "") -> sqlite3.Connection:
    """Open a database that another process may be writing; write nothing beside it."""
    _require_ordinary(path)
    address = f"{path.absolute().as_uri()}?{how or how_to_read(path)}"
    db = sqlite3.connect(address, uri=True, timeout=5)
    try:
        _require_here(db, path)
        _require_plain(db)
    except BaseException:
        db.close()
        raise
    return db


def how_to_read(path: Path) -> str:
    """Tell SQLite what is true: where there is no journal, nobody writes."""
    journals = (path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal"))
    return "mode=ro&readonly_shm=1" if any(map(Path.exists, journals)) else "immutable=1"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say in plain words what is wrong with a database."""
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


class Column(Struct, frozen=True):
    """How one field is stored."""

    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]


class Table(Generic[R]):
    """How one row class lies in SQLite.

    `before`: what a column is made of where an earlier vipsync wrote the row; others are NULL there.
    `shared`: columns, with their type, whose values other rows have, too.
    """

    def __init__(
        self,
        kind: type[R],
        before: Mapping[str, str] | None = None,
        shared: Mapping[str, object] | None = None,
    ) -> None:
        self.before = before or {}
        hints = get_type_hints(kind)
        same = shared or {}
        self.shared = [name for name in kind.__struct_fields__ if same.get(name) is hints[name]]
        self.kind: Callable[..., R] = kind
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

    def complete(self, db: sqlite3.Connection) -> None:
        """Add the columns that an earlier vipsync did not write."""
        for column in self.missing(db):
            before = self.before.get(column, "NULL")
            db.execute(f'ALTER TABLE {self.name} ADD COLUMN "{column}"')
            db.execute(f'UPDATE {self.name} SET "{column}" = {before}')  # noqa: S608

    def select(self, db: sqlite3.Connection) -> str:
        """Return the statement that reads all rows, in the order in which they were first put."""
        missing = self.missing(db)
        there = (
            self.before.get(c.name, "NULL") if c.name in missing else f'"{c.name}"'
            for c in self.columns
        )
        columns = ", ".join(there)
        return f"SELECT {columns} FROM {self.name} ORDER BY rowid"  # noqa: S608

    def values(self, row: R) -> tuple[object, ...]:
        """Return a row as SQLite takes it."""
        return tuple(c.encode(getattr(row, c.name)) for c in self.columns)

    def key(self, row: R) -> object:
        """Return what tells a row from the others."""
        return getattr(row, self.columns[0].name)

    def row(self, values: Iterable[object], same: dict[Any, Any], twins: Mapping[Any, object]) -> R:
        """Return a row; what its twin, which has the same path, or any other row has too is one object."""
        found = {c.name: c.decode(v) for c, v in zip(self.columns, values, strict=True)}
        twin = twins.get(found.get("path"))
        for name in self.shared:
            value, other = found[name], getattr(twin, name, None)
            found[name] = other if other == value else same.setdefault(value, value)
        return self.kind(*found.values())


def _column(name: str, hint: Any) -> Column:
    union = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    plain = {getattr(t, "__supertype__", t) for t in union}
    if plain <= {bool}:
        return Column(name, int, _checked({int}, bool))
    if plain <= set(_PLAIN):
        kinds = plain | {int} if float in plain else plain
        return Column(name, lambda v: v, _checked(kinds))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Column(name, str, hint)
    decoder = msgspec.json.Decoder[object](hint)

    def encoded(value: Any) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def decoded(value: Any) -> object:
        return None if value is None else decoder.decode(value)

    return Column(name, encoded, decoded)


def _checked(
    kinds: set[type], make: Callable[[Any], object] = lambda v: v
) -> Callable[[Any], object]:
    """Return a decoder that refuses a value of another type: others can write a ledger too."""

    def decoded(value: Any) -> object:
        if type(value) not in kinds:
            raise TypeError(f"{type(value).__name__} in place of {', '.join(map(str, kinds))}")
        return make(value)

    return decoded
