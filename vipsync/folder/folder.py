"""SessionFolder: what lies where in a session folder, its id, its lock, its requests."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from msgspec import Struct
from msgspec.structs import asdict

from vipsync.disk.files import disk_error, make_folder, share, unreadable, write_atomic
from vipsync.errors import FolderAbsent, FolderCopied, FolderHeld, NotASession
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


class Identity(Struct, frozen=True):
    """What `.vipsync/session.json` says: the session's random id, and where it was last."""

    id: str
    path: str
    host: str


def new_id() -> str:
    """Return a random id: 10 letters that cannot be mistaken for each other, 50 bits."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(10))


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
        self._id_file = self.hidden / "session.json"
        self.lock = self.hidden / "lock"
        self._lock = FileLock(self.lock)

    def __repr__(self) -> str:
        return f"SessionFolder({str(self.root)!r})"

    # the id

    def identity(self) -> Identity | None:
        """Return the id that lies in the folder, None where it has none yet."""
        try:
            return Identity(**json.loads(self._id_file.read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(self._id_file, error) from error
        except (ValueError, TypeError) as error:
            raise FolderAbsent(
                f"{self._id_file} cannot be read: {error}.", "Is the disk there and healthy?"
            ) from error

    def claim(self, session_id: str) -> Identity:
        """Write the id down, with the place where the folder is now."""
        mine = Identity(session_id, str(self.root), socket.gethostname())
        for folder in (self.hidden, self.requests, self.transfers):
            make_folder(folder)
        write_atomic(self._id_file, json.dumps(asdict(mine), indent=2).encode())
        return mine

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
        old = SessionFolder(Path(mine.path))
        with suppress(FolderAbsent):
            there = old.identity()
            if there and there.id == mine.id and not _same_file(old.root, self.root):
                raise FolderCopied(
                    f"{self.root} is a copy of {mine.path}: both carry the session {mine.id}.",
                    f"Make a session of its own of it with `vipsync init --fresh {shell_word(self.root)}`.",
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
            self._lock.acquire(timeout=patience, poll_interval=0.02)
        except Timeout as error:
            raise FolderHeld(
                f"Another vipsync already works in {self.root}.",
                "It will see what you changed; `vipsync status DIR` shows what it does.",
            ) from error
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
            return _is_locked(self.lock)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_error(self.lock, error) from error

    def clear_leftovers(self, keep: Collection[str] = ()) -> None:
        """Delete what a killed process left half done, but not what is to be kept to go on with.

        Only for the process that holds the folder. What cannot be deleted waits for the next time.
        """
        for path in self.transfers.iterdir() if self.transfers.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in keep:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    # requests

    def ask(self, request: Request) -> None:
        """Leave a request for the process that holds the folder."""
        document = json.dumps(asdict(request), indent=2).encode()
        write_atomic(self.requests / f"{request.id}.json", document)

    def asked(self) -> tuple[Request, ...]:
        """Return the requests, oldest first; what is no request is left alone."""
        found = []
        for path in sorted(self.requests.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                found.append(_request(path))
        return tuple(found)

    def answered(self, request_id: str) -> None:
        """Take a request away that is in the ledger as carried out. Raise DiskError."""
        path = self.requests / f"{request_id}.json"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(path, error) from error


def _request(path: Path) -> Request:
    """Read a request, which others can write too: its name is its id, whatever it says of itself."""
    document = json.loads(path.read_bytes())
    return Request(
        path.stem,
        Command(document["command"]),
        tuple(map(str, document.get("cases", ()))),
        {str(name): str(value) for name, value in document.get("options", {}).items()},
    )


def is_station(root: Path) -> bool:
    """Tell whether a folder is a station, which makes sessions of its own."""
    return (root / STATION_SETTINGS).is_file()


def find_stations(directory: Path) -> list[Path]:
    """Return the station that `directory` is, or those directly inside it; none where it is not there."""
    root = SessionFolder(directory).root
    if is_station(root):
        return [root]
    try:
        return sorted(path for path in root.iterdir() if is_station(path))
    except OSError:
        return []


def find_sessions(directory: Path, *, of_stations: bool = True) -> list[SessionFolder]:
    """Return the session that `directory` is, or those directly inside it and in stations there.

    Raise NotASession where it is not there.
    """
    here = SessionFolder(directory)
    try:
        if is_station(here.root):
            return _sessions_of(here.root) if of_stations else []
        if here.is_session():
            return [here]
        inside = sorted(p for p in here.root.iterdir() if p.is_dir())
        stations = [p for p in inside if is_station(p)] if of_stations else []
        own = [s for s in map(SessionFolder, inside) if s.is_session()]
        return [*own, *(s for station in stations for s in _sessions_of(station))]
    except OSError as error:
        raise NotASession(
            f"{directory} is not there.", "`vipsync init DIR` makes a session folder."
        ) from error


def _sessions_of(station: Path) -> list[SessionFolder]:
    try:
        inside = sorted(p for p in (station / SESSIONS).iterdir() if p.is_dir())
    except FileNotFoundError:
        return []
    return [s for s in map(SessionFolder, inside) if s.is_session() and s.root.name[0] != "."]


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
