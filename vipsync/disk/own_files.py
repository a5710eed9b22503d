"""Files of our own among results and what people put there: known by what was written, not by name.

What lies at one of our places and is not what we wrote there is somebody's, and left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import msgspec
from msgspec import Struct

from vipsync.disk.files import LARGE, entered, holder, looks, make_inside, read_small, write_atomic
from vipsync.model import RelPath


class Entry(Struct, frozen=True):
    """What was written at one place: the hash of the last content and of the one before, and its basis."""

    hashes: tuple[str, ...]
    basis: str = ""


_Record = dict[RelPath, Entry]


class OwnFiles:
    """The files that we write below one folder, and the record of them; may be used in any thread.

    Only for the process that holds the session folder.
    """

    def __init__(self, root: Path, record: Path, session: Path) -> None:
        """`record` lies in the folder `session`; from that on, and from above `root`, no link is followed."""
        self.root = root
        self._path, self._session, self._below = record, session, holder(root, session)
        self._lock = Lock()
        self._loaded: tuple[object, _Record] = (None, {})
        self._foreign: set[RelPath] = set()

    @property
    def foreign(self) -> tuple[RelPath, ...]:
        """The places at which something lay that is not ours when we last came to write there."""
        with self._lock:
            return tuple(sorted(self._foreign))

    def is_current(self, path: RelPath, basis: str) -> bool:
        """Tell whether what was made of this very basis was written, and still lies there."""
        with self._lock:
            entry = self._record().get(path, Entry(()))
            as_made = bool(entry.hashes) and entry.basis == basis
            return as_made and (self.root / path).is_file()

    def write(
        self,
        path: RelPath,
        content: bytes,
        basis: str = "",
        mine: Callable[[bytes], bool] = lambda _content: False,
    ) -> bool:
        """Write a file of ours, and tell whether its place was free, or held what we wrote there.

        The hash is recorded before the content is there: a process that dies between the two leaves
        a file that is known. `mine` recognises what was written before there was a record.
        """
        with self._lock:
            there, known = _content(self.root / path), self._record().get(path, Entry(()))
            fresh = _hash(content)
            if there is not None and not (_hash(there) in (*known.hashes, fresh) or mine(there)):
                self._foreign.add(path)
                return False
            self._foreign.discard(path)
            before = () if there is None or there == content else (_hash(there),)
            self._keep(path, Entry((fresh, *before), basis))
            if there != content:
                self.write_new(path, content)
            return True

    def read(self, path: RelPath) -> bytes:
        """Return what a file below the folder holds, through no link on the way to it. Raise OSError or DiskError."""
        with entered((self.root / path).parent, self._below) as place:
            return read_small(place / Path(path).name, LARGE)

    def write_new(self, path: RelPath, content: bytes) -> None:
        """Write a file of which no record is kept. Raise DiskError."""
        make_inside((self.root / path).parent, self._below)
        write_atomic(self.root / path, content, self._below)

    def is_free(self, path: RelPath, text: str) -> bool:
        """Tell whether a place is free for a text, or holds it, or something that we wrote."""
        with self._lock:
            there = _content(self.root / path)
            known = self._record().get(path, Entry(()))
            return there in (None, text.encode()) or _hash(there or b"") in known.hashes

    def withdraw(self, path: RelPath) -> None:
        """Take a file of ours away that no longer holds; one that is not ours stays."""
        with self._lock:
            self._foreign.discard(path)
            record = self._record()
            there = _content(self.root / path)
            if path in record:
                if there is not None and _hash(there) in record[path].hashes:
                    with entered((self.root / path).parent, self._below) as place:
                        (place / Path(path).name).unlink()
                self._save({p: entry for p, entry in record.items() if p != path})

    def written(self) -> frozenset[RelPath]:
        """Return the places at which we wrote."""
        with self._lock:
            return frozenset(self._record())

    # the record

    def _keep(self, path: RelPath, entry: Entry) -> None:
        record = self._record()
        if record.get(path) != entry:
            self._save({**record, path: entry})

    def _save(self, record: _Record) -> None:
        write_atomic(self._path, msgspec.json.encode(record), self._session)
        self._loaded = (looks(self._path), record)

    def _record(self) -> _Record:
        """Return the record; another process may have held the folder meanwhile."""
        now = looks(self._path)
        if now != self._loaded[0]:
            self._loaded = (now, _read(self._path))
        return self._loaded[1]


def _read(path: Path) -> _Record:
    """Return what a record says; one that cannot be read knows nothing, so that nothing is ours."""
    try:
        return msgspec.json.decode(read_small(path, LARGE), type=_Record)
    except (OSError, ValueError, RecursionError):
        return {}


def _content(path: Path) -> bytes | None:
    """Return what lies at a place: None for nothing, no bytes that we ever wrote for what is no file."""
    try:
        return read_small(path, LARGE)
    except FileNotFoundError:
        return None
    except OSError:
        return _NO_FILE


_NO_FILE = b"\0 no file of ours"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
