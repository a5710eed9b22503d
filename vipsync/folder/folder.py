"""SessionFolder: what lies where in a session folder, its id, its lock, its requests."""

from __future__ import annotations

import json
import re
import secrets
import socket
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from filelock import FileLock, Timeout
from msgspec import Meta, Struct
from msgspec.structs import asdict

from vipsync.disk.files import (
    clear,
    disk_error,
    entered,
    holder,
    make_inside,
    names_in,
    read_document,
    require_file,
    share,
    unreadable,
    write_atomic,
)
from vipsync.errors import DiskError, FolderAbsent, FolderCopied
from vipsync.folder.guarding import has_writer, held_by_another
from vipsync.model import Command, Request
from vipsync.names import shell_word

if sys.platform != "win32":
    import fcntl

MARKER = "ON_VIP.txt"
STATUS = "STATUS.txt"
SETTINGS = "settings.toml"
IGNORED = ".vipsyncignore"
HIDDEN = ".vipsync"
REQUESTS = "requests"
STATION_SETTINGS = "station.toml"
SESSIONS = "sessions"
"""The folder in a station that holds its sessions."""
LOCK_PATIENCE = 0.3
"""Seconds to wait for the lock: `is_held` of another process keeps it for a moment."""
ID_LINE = "session id: "
ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
PLACES: Mapping[str, Literal["file", "folder"]] = {
    SETTINGS: "file",
    IGNORED: "file",
    f"{IGNORED}.txt": "file",
    MARKER: "file",
    STATUS: "file",
    HIDDEN: "folder",
    f"{HIDDEN}/session.json": "file",
    f"{HIDDEN}/lock": "file",
    f"{HIDDEN}/host.json": "file",
    f"{HIDDEN}/ledger.sqlite": "file",
    f"{HIDDEN}/ledger.sqlite-wal": "file",
    f"{HIDDEN}/ledger.sqlite-shm": "file",
    f"{HIDDEN}/ledger.sqlite-journal": "file",
    f"{HIDDEN}/status.json": "file",
    f"{HIDDEN}/reserve": "file",
    f"{HIDDEN}/progress.json": "file",
    f"{HIDDEN}/own_files.json": "file",
    f"{HIDDEN}/previews": "folder",
    f"{HIDDEN}/previews/*": "file",
    f"{HIDDEN}/vipsync.log": "file",
    f"{HIDDEN}/vipsync.log.1": "file",
    f"{HIDDEN}/requests": "folder",
    f"{HIDDEN}/requests/*.json": "file",
    f"{HIDDEN}/leases": "folder",
    f"{HIDDEN}/leases/*.json": "file",
    f"{HIDDEN}/transfers": "folder",
    f"{HIDDEN}/transfers/*": "file",
    "inputs": "folder",
    f"inputs/{IGNORED}": "file",
    f"inputs/{IGNORED}.txt": "file",
    "inputs/*": "file",
    "outputs": "folder",
    "outputs/session_data.json": "file",
    "outputs/results.csv": "file",
    "outputs/index.html": "file",
    "outputs/all-*.csv": "file",
    "outputs/.vipsync": "folder",
    "outputs/.archives": "folder",
    "outputs/*": "folder",
}
"""What vipsync reads and writes in a session folder, by pattern, and what each of them must be.

Whoever may write there can put something else in its place.
"""

_ID = "[0-9A-Za-z]{1,64}"
"""An id becomes a part of paths, here and on VIP, and others can write the file that it is read from."""

_REQUEST = re.compile("[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_MOST_FILES, _MOST_REQUESTS = 1000, 100
"""Files among the requests that are read in one look, and requests; the others have their turn after these."""


class Identity(Struct, frozen=True):
    """What `.vipsync/session.json` says: the session's random id, and where it was last."""

    id: Annotated[str, Meta(pattern=f"^{_ID}$")]
    path: str
    host: str


class Asked(NamedTuple):
    """What lies among the requests: what vipsync understands, oldest first, and names of what it does not."""

    requests: tuple[Request, ...] = ()
    odd: tuple[str, ...] = ()


class _Wish(Struct, frozen=True):
    """What a file of a request must hold: others can write one too."""

    command: Command
    cases: tuple[str, ...] = ()
    options: dict[str, str] = {}


def new_id() -> str:
    """Return a random id: 10 letters that cannot be mistaken for each other, 50 bits."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(10))


def is_station(root: Path) -> bool:
    """Tell whether a folder is a station, which makes sessions of its own."""
    return (root / STATION_SETTINGS).is_file()


def station_of(session: Path) -> Path | None:
    """Return the station that made the session of a folder, None for a session of one's own."""
    station = session.parent.parent
    return station if session.parent.name == SESSIONS and is_station(station) else None


def is_id(text: str) -> bool:
    """Tell whether a text can be the id of a session."""
    return re.fullmatch(_ID, text) is not None


def new_request(
    command: str, cases: Iterable[str] = (), options: Mapping[str, str] | None = None
) -> Request:
    """Return a request whose id sorts by time and is nobody else's."""
    now = time.time_ns() // 1_000_000
    return Request(
        f"{now:014d}-{secrets.token_hex(4)}", Command(command), tuple(cases), options or {}
    )


_HALF_DONE = re.compile(
    r"unpack-[0-9a-f]{16}|[0-9a-f]{24}-\d+\.((came|inside)\.)?(part|tree)"
    r"|[\w-]{1,100}-\d+\.(stdout|stderr)",
    re.ASCII,
)
"""What a transfer calls what is not complete yet (`act/results.py`, `disk/archive.py`)."""


class SessionFolder:
    """One session folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve() if ".." in root.parts else root.absolute()
        self.settings = self.root / SETTINGS
        self.ignored = self.root / IGNORED
        self.marker = self.root / MARKER
        self.status = self.root / STATUS
        self.hidden = self.root / HIDDEN
        self.ledger = self.hidden / "ledger.sqlite"
        self.requests = self.hidden / REQUESTS
        self.transfers = self.hidden / "transfers"
        self.log = self.hidden / "vipsync.log"
        self.report = self.hidden / "status.json"
        self.reserve = self.hidden / "reserve"
        self.progress = self.hidden / "progress.json"
        self.own_files = self.hidden / "own_files.json"
        self.previews = self.hidden / "previews"
        self._id_file = self.hidden / "session.json"
        self.lock = self.hidden / "lock"
        self._lock = FileLock(self.lock)

    def __repr__(self) -> str:
        return f"SessionFolder({str(self.root)!r})"

    # the id

    def identity(self) -> Identity | None:
        """Return the id that lies in the folder, None where it has none yet."""
        try:
            return read_document(self._id_file, Identity)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(self._id_file, error) from error
        except (ValueError, RecursionError) as error:
            raise FolderAbsent(
                f"{self._id_file} cannot be read: {error}.", "Is the disk there and healthy?"
            ) from error

    def claim(self, session_id: str) -> Identity:
        """Write the id down, with the place where the folder is now."""
        mine = Identity(session_id, str(self.root), socket.gethostname())
        for folder in (self.requests, self.transfers):
            make_inside(folder, self.root)
        self.write(self._id_file, json.dumps(asdict(mine), indent=2).encode())
        return mine

    def write(self, path: Path, content: bytes) -> None:
        """Replace a file of our own in the folder, through no link. Raise DiskError."""
        write_atomic(path, content, self.root)

    @contextmanager
    def entered_transfers(self) -> Iterator[Path]:
        """Open the folder of what is under way, as what it is."""
        with entered(self.transfers, self.root, make=True) as transfers:
            yield transfers

    def remove(self, path: Path) -> None:
        """Delete a file of our own in the folder, through no link. Raise DiskError."""
        try:
            with suppress(FileNotFoundError), entered(path.parent, self.root) as place:
                (place / path.name).unlink()
        except OSError as error:
            raise disk_error(path, error) from error

    def check_place(self) -> None:
        """Notice a folder that was moved, and refuse one that was copied. Raise FolderCopied."""
        self.refuse_copy()
        mine = self.identity()
        if mine and mine.path != str(self.root):
            self.claim(mine.id)

    def refuse_copy(self) -> None:
        """Raise FolderCopied where the place of before still holds the same id; change nothing."""
        mine = self.identity()
        if mine is None or mine.path == str(self.root):
            return
        self.refuse_twin(mine.path, mine.id)

    def refuse_twin(self, place: str, session_id: str) -> None:
        """Raise FolderCopied where another folder, at this place, carries this id."""
        other = SessionFolder(Path(place))
        with suppress(FolderAbsent):
            there = other.identity()
            if there and there.id == session_id and not _same_file(other.root, self.root):
                raise FolderCopied(
                    f"{self.root} is a copy of {other.root}: both carry the session {session_id}.",
                    "Make a session of its own of it with "
                    f"`vipsync init --fresh {shell_word(self.root)}`.",
                )

    def require(self, session_id: str) -> None:
        """Raise FolderAbsent unless the folder is there and carries this id."""
        mine = self.identity()
        if mine is None or mine.id != session_id:
            found = "another session" if mine else "no session"
            raise FolderAbsent(
                f"{self.root} now holds {found}: it was unmounted, emptied or replaced.",
                "Put the folder back; nothing is done until then, and nothing was removed.",
            )

    def is_session(self) -> bool:
        """Tell whether there are settings, or there were."""
        return self.settings.is_file() or (self.hidden.is_dir() and not is_station(self.root))

    # the lock

    @contextmanager
    def held(self, patience: float = LOCK_PATIENCE) -> Iterator[None]:
        """Keep every other process out of the folder; raise FolderHeld where one is in it."""
        try:
            with entered(self.hidden, self.root):
                require_file(self.lock)
            self._lock.acquire(timeout=patience, poll_interval=0.02)
        except Timeout as error:
            raise held_by_another(self.root) from error
        except OSError as error:
            raise disk_error(self.hidden, error) from error
        share(self.lock)
        try:
            yield
        finally:
            with suppress(OSError):
                self._lock.release()

    def is_held(self) -> bool:
        """Tell whether a process works in the folder now; raise DiskError where that is hidden.

        For those, too, who may only read: nothing is written, and no lock is made.
        """
        try:
            return _is_locked(self.lock) or has_writer(self.ledger)
        except FileNotFoundError:
            return has_writer(self.ledger)
        except OSError as error:
            raise disk_error(self.lock, error) from error

    def clear_leftovers(self, keep: Collection[str] = ()) -> None:
        """Delete what a killed process left half done, but not what is to be kept to go on with.

        Only for the process that holds the folder. What cannot be deleted waits for the next time.
        """
        with suppress(OSError, DiskError), entered(self.transfers, self.root) as transfers:
            for path in transfers.iterdir():
                if path.name not in keep or not path.is_file():
                    with suppress(OSError):
                        clear(path)

    def clear_beside(self, outputs: Path, keep: Collection[str] = ()) -> None:
        """Delete the same on the disk of outputs/, where that is another one; only what has our names."""
        place = outputs / HIDDEN
        with suppress(OSError, DiskError), entered(place, holder(outputs, self.root)) as beside:
            for path in beside.iterdir():
                if _HALF_DONE.fullmatch(path.name) and path.name not in keep:
                    with suppress(OSError):
                        clear(path)

    # requests

    def ask(self, request: Request) -> None:
        """Leave a request for the process that holds the folder."""
        document = json.dumps(asdict(request), indent=2).encode()
        self.write(self.requests / f"{request.id}.json", document)

    def asked(self) -> tuple[Request, ...]:
        """Return the requests, oldest first."""
        return self.look_at_requests().requests

    def look_at_requests(self) -> Asked:
        """Return the requests, and what is none; that is left where it is."""
        found, odd = list[Request](), list[str]()
        with suppress(OSError, DiskError), entered(self.requests, self.root) as place:
            for name in names_in(place, ".json", _MOST_FILES):
                if len(found) == _MOST_REQUESTS:
                    break
                with suppress(FileNotFoundError):
                    request = _request(place / name)
                    odd.append(name) if request is None else found.append(request)
        return Asked(tuple(found), tuple(odd))

    def answered(self, request_id: str) -> None:
        """Take a request away that is in the ledger as carried out. Raise DiskError."""
        self.remove(self.requests / f"{request_id}.json")


def _request(path: Path) -> Request | None:
    """Read a request, None for what is none: its name is its id, whatever it says of itself."""
    try:
        wish = read_document(path, _Wish)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):
        return None
    known = _REQUEST.fullmatch(path.stem)
    return Request(path.stem, wish.command, wish.cases, wish.options) if known else None


def _is_locked(path: Path) -> bool:
    """Tell whether FileLock holds a file; a lock that is shared needs no right to write."""
    with path.open("rb") as file:
        if sys.platform == "win32":
            with suppress(Timeout), FileLock(path, timeout=0):
                return False
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
    return False


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
