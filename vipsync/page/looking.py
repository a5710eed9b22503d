"""Look at session folders for the page: cheaply, again and again, from several threads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock

from msgspec import Struct
from msgspec.json import Decoder

from vipsync.disk.files import read_small
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.folder.holding import is_worked_in
from vipsync.folder.search import find_sessions
from vipsync.model import Request
from vipsync.report.progress import Batch
from vipsync.settings.reading import load, places
from vipsync.status.publish import read_status
from vipsync.status.status import Status

WAITING = 40
"""Pages that are told of a change at once; more than that ask every few seconds."""

FRESH = 0.2
"""Seconds for which what was seen of all folders is believed."""

WHOLE = 1.0
"""Seconds for which it is believed whether a process works in a folder."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a status that are read; what is larger was not written by vipsync."""

_BATCHES = Decoder(tuple[Batch, ...])
_LARGEST_PROGRESS = 1024 * 1024
_FIND_EVERY = 5.0
_HIDDEN_PLACE = "[the inputs folder]"

Stamp = tuple[int, int, int] | None


class Seen(Struct, frozen=True):
    """What lies in a session folder: its last status, who works there, what was asked.

    `held`: whether a vipsync works there, None where that is hidden; only then `transfers` are on their way.
    Equal versions are equal.
    """

    key: str
    folder: SessionFolder
    status: Status
    held: bool | None
    asked: tuple[Request, ...]
    transfers: tuple[Batch, ...]
    ever: bool
    version: tuple[object, ...]


def key_of(root: Path) -> str:
    """Return what stands for a folder in an address: it tells nothing of where it lies."""
    return hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Watched:
    """One session folder; its status is read anew when it was written anew."""

    def __init__(self, folder: SessionFolder) -> None:
        self.folder, self.key = folder, key_of(folder.root)
        self._stamp: Stamp = None
        self._status: Status | None = None
        self._requests: Stamp = None
        self._asked: tuple[Request, ...] = ()
        self._held: bool | None = None
        self._places: tuple[Stamp, tuple[Path, Path]] | None = None

    def look(self, *, whole: bool) -> Seen:
        """Return what lies there now; `whole`: also whether a process works there."""
        stamp = _stamp(self.folder.report)
        if stamp != self._stamp:
            self._status, self._stamp = _told(self.folder, stamp) or self._status, stamp
        requests = _stamp(self.folder.requests)
        if requests != self._requests or whole:
            self._requests, self._asked = requests, self.folder.asked() if requests else ()
        if whole:
            self._held = is_worked_in(self.folder)
        status, ever = self._status or _unheard(self.folder), self._status is not None
        moving = _moving(self.folder) if self._held else ()
        version = (self.key, stamp, self._held, tuple(r.id for r in self._asked), moving)
        return Seen(self.key, self.folder, status, self._held, self._asked, moving, ever, version)

    @property
    def outputs(self) -> Path:
        """The folder of the results."""
        return self._where()[1]

    def plain(self, text: str) -> str:
        """Return text without the path of an export: who sees the page need not know where that is."""
        inputs = self._where()[0]
        outside = not inputs.is_relative_to(self.folder.root.resolve())
        return text.replace(str(inputs), _HIDDEN_PLACE) if outside else text

    def _where(self) -> tuple[Path, Path]:
        """Return where inputs and outputs lie; while settings are broken, where they were."""
        stamp, root = _stamp(self.folder.settings), self.folder.root
        if self._places is None or self._places[0] != stamp:
            before = self._places[1] if self._places else (root / "inputs", root / "outputs")
            self._places = (stamp, before)
            with suppress(VipsyncError):
                if self.folder.settings.is_file():
                    self._places = (stamp, places(root, load(root)))
        return self._places[1]


class Folders:
    """The session folders that directories are or hold; those made later are found."""

    def __init__(
        self, directories: Sequence[Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directories, self._clock = directories, clock
        self._watched: dict[str, Watched] = {}
        self._found_at = self._looked_at = self._whole_at = float("-inf")
        self._seen: dict[str, Seen] = {}
        self._lock, self._ended = Lock(), Event()
        self._waiting = BoundedSemaphore(WAITING)

    def end(self) -> None:
        """Let nobody wait any more."""
        self._ended.set()

    def wait(self, is_known: Callable[[], bool], seconds: float, gone: Callable[[], bool]) -> bool:
        """Wait until what is seen is not known any more, at most so long; False where too many wait.

        `gone`: who asked has hung up.
        """
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            end = self._clock() + seconds
            while is_known() and not gone() and self._clock() < end:
                if self._ended.wait(FRESH):
                    break
        finally:
            self._waiting.release()
        return True

    def seen(self, *, now: bool = False) -> dict[str, Seen]:
        """Return what lies in all folders, by key; `now`: not what was seen a moment ago."""
        with self._lock:
            at = self._clock()
            if now or at - self._looked_at >= FRESH:
                whole = self._find(at) or now or at - self._whole_at >= WHOLE
                found = self._watched.items()
                self._seen = {key: watched.look(whole=whole) for key, watched in found}
                self._looked_at, self._whole_at = at, at if whole else self._whole_at
            return self._seen

    def watched(self, key: str) -> Watched | None:
        """Return one folder."""
        self.seen()
        return self._watched.get(key)

    def _find(self, at: float) -> bool:
        """Look for folders that came or went, once in a while; tell whether that was done now."""
        if at - self._found_at < _FIND_EVERY:
            return False
        self._found_at = at
        found = {key_of(f.root): f for f in _sessions(self._directories)}
        self._watched = {k: self._watched.get(k) or Watched(f) for k, f in found.items()}
        return True


def _sessions(directories: Iterable[Path]) -> Iterable[SessionFolder]:
    for directory in directories:
        with suppress(VipsyncError):
            yield from find_sessions(directory)


def _stamp(path: Path) -> Stamp:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino


def _told(folder: SessionFolder, stamp: Stamp) -> Status | None:
    whole = stamp and stamp[1] <= LARGEST and folder.report.is_file()
    return read_status(folder) if whole else None


def _moving(folder: SessionFolder) -> tuple[Batch, ...]:
    """Return what the process that works there last said of its transfers."""
    try:
        return _BATCHES.decode(read_small(folder.progress, _LARGEST_PROGRESS))
    except (OSError, ValueError, RecursionError):
        return ()


def _unheard(folder: SessionFolder) -> Status:
    name, sentence = folder.root.name, "vipsync has not run here yet: `vipsync run DIR` starts it."
    return Status(folder=str(folder.root), session=name, id="", phase="", sentence=sentence)
