"""Look at session folders and stations for the page: cheaply, again and again, from several threads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock

from msgspec import Struct
from msgspec.json import Decoder

from vipsync.disk.files import looks, read_small
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.folder.holding import is_worked_in
from vipsync.folder.search import find_sessions, find_stations
from vipsync.model import FileState, Request
from vipsync.report.progress import Batch
from vipsync.settings.reading import load, places
from vipsync.station import settings as station_settings
from vipsync.station.folder import StationFolder
from vipsync.station.model import Asked
from vipsync.station.publish import read_report
from vipsync.station.steps import StationStatus
from vipsync.status.overview import name_below
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
_HIDDEN_EXPORT = "[the export]"

Stamp = FileState | None


class Seen(Struct, frozen=True):
    """What lies in a session folder: its last status, who works there, what was asked.

    `held`: whether a vipsync works there, None where that is hidden; only then `transfers` are on their way.
    Equal versions are equal.
    """

    watched: Watched
    status: Status
    held: bool | None
    asked: tuple[Request, ...]
    transfers: tuple[Batch, ...]
    ever: bool
    version: tuple[object, ...]

    @property
    def name(self) -> str:
        """Return what people call it."""
        return self.status.session


class SeenStation(Struct, frozen=True):
    """What lies in a station's folder, as `Seen` says it of a session's."""

    watched: WatchedStation
    status: StationStatus
    held: bool | None
    asked: tuple[Asked, ...]
    ever: bool
    version: tuple[object, ...]

    @property
    def name(self) -> str:
        """Return what people call it."""
        return self.status.station

    def session(self, name: str) -> str:
        """Return what stands for the session of a study in an address."""
        return key_of(self.watched.root / name)


def key_of(root: Path) -> str:
    """Return what stands for a folder in an address: it tells nothing of where it lies."""
    return hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Watched:
    """One session folder; its status is read anew when it was written anew. `station` is the one that has made it."""

    def __init__(self, folder: SessionFolder, station: WatchedStation | None = None) -> None:
        self.folder, self.key, self.station = folder, key_of(folder.root), station
        self.root = folder.root
        self._stamp: Stamp = None
        self._status: Status | None = None
        self._requests: Stamp = None
        self._asked: tuple[Request, ...] = ()
        self._held: bool | None = None
        self._moves = False
        self._places: tuple[Stamp, tuple[Path, Path]] | None = None

    def look(self, *, whole: bool) -> Seen:
        """Return what lies there now; `whole`: also whether a process works there."""
        stamp = looks(self.folder.report)
        if stamp != self._stamp:
            self._status, self._stamp = _told(self.folder, stamp) or self._status, stamp
        requests = looks(self.folder.requests)
        if requests != self._requests or whole:
            self._requests, self._asked = requests, self.folder.asked() if requests else ()
        if whole:
            self._held = is_worked_in(self.folder)
            self._moves = bool(self._held)
            if (
                self.station and not self._held
            ):  # it takes this one up when something is asked of it
                self._held = is_worked_in(self.station.folder.own)
        status, ever = self._status or _unheard(self.folder), self._status is not None
        moving = _moving(self.folder) if self._moves else ()
        version = (self.key, stamp, self._held, tuple(r.id for r in self._asked), moving)
        return Seen(self, status, self._held, self._asked, moving, ever, version)

    @property
    def runs_by(self) -> Path:
        """The folder that `vipsync run` must name for something to be done here."""
        return self.station.root if self.station else self.root

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
        stamp, root = looks(self.folder.settings), self.folder.root
        if self._places is None or self._places[0] != stamp:
            before = self._places[1] if self._places else (root / "inputs", root / "outputs")
            self._places = (stamp, before)
            with suppress(VipsyncError):
                if self.folder.settings.is_file():
                    self._places = (stamp, places(root, load(root)))
        return self._places[1]


class WatchedStation:
    """One station; its status is read anew when it was written anew."""

    station = None

    @property
    def name(self) -> str:
        """Return what people call it."""
        return self.root.name

    def __init__(self, folder: StationFolder) -> None:
        self.folder, self.key, self.root = folder, key_of(folder.root), folder.root
        self._stamp: Stamp = None
        self._status: StationStatus | None = None
        self._held: bool | None = None
        self._exports: tuple[Stamp, tuple[str, ...]] | None = None

    def look(self, *, whole: bool) -> SeenStation:
        """Return what lies there now; `whole`: also whether a process works there."""
        stamp = looks(self.folder.report)
        if stamp != self._stamp:
            self._status, self._stamp = read_report(self.folder) or self._status, stamp
        if whole:
            self._held = is_worked_in(self.folder.own)
        asked, ever = self.folder.asked(), self._status is not None
        status = self._status or StationStatus(str(self.root), self.root.name, _UNHEARD)
        version = (self.key, stamp, self._held, tuple(a.id for a in asked))
        return SeenStation(self, status, self._held, asked, ever, version)

    def plain(self, text: str) -> str:
        """Return text without the paths of its exports."""
        for export in self._where():
            text = text.replace(export, _HIDDEN_EXPORT)
        return text

    def _where(self) -> tuple[str, ...]:
        """Return where its exports lie; while settings are broken, where they were."""
        stamp = looks(self.folder.settings)
        if self._exports is None or self._exports[0] != stamp:
            before = self._exports[1] if self._exports else ()
            self._exports = (stamp, before)
            with suppress(VipsyncError):
                found = station_settings.load(self.folder.root).exports
                self._exports = (stamp, tuple(sorted(found, key=len, reverse=True)))
        return self._exports[1]


class Folders:
    """The session folders and stations that directories are or hold; those made later are found.

    Sessions of stations may be hundreds: they are looked at while somebody has their page open.
    """

    def __init__(
        self, directories: Sequence[Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directories, self._clock = directories, clock
        self._watched: dict[str, Watched | WatchedStation] = {}
        self._wanted: set[str] = set()
        self._found_at = self._looked_at = self._whole_at = float("-inf")
        self._seen: dict[str, Seen | SeenStation] = {}
        self._lock, self._ended = Lock(), Event()
        self._waiting = BoundedSemaphore(WAITING)

    def group_of(self, root: Path) -> str:
        """Return where a folder lies below those that were named; "" directly in the only one."""
        tops = [str(SessionFolder(directory).root) for directory in self._directories]
        return name_below(str(root), tops).rpartition("/")[0]

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

    def seen(self, *, now: bool = False) -> list[Seen | SeenStation]:
        """Return what lies in all stations, and in all folders but theirs; `now`: not what was seen a moment ago."""
        with self._lock:
            self._look(now=now)
            return [seen for seen in self._seen.values() if seen.watched.station is None]

    def one(self, key: str) -> Seen | SeenStation | None:
        """Return one folder or station, those of stations too."""
        with self._lock:
            self._look()
            self._wanted.add(key)
            if key not in self._watched and (watched := self._of_a_station(key)):
                self._watched[key], self._seen[key] = watched, watched.look(whole=True)
            return self._seen.get(key)

    def _look(self, *, now: bool = False) -> None:
        at = self._clock()
        if now or at - self._looked_at >= FRESH:
            whole = self._find(at) or now or at - self._whole_at >= WHOLE
            found = self._watched.items()
            self._seen = {key: watched.look(whole=whole) for key, watched in found}
            self._looked_at, self._whole_at = at, at if whole else self._whole_at

    def _find(self, at: float) -> bool:
        """Look for folders that came or went, once in a while; tell whether that was done now."""
        if at - self._found_at < _FIND_EVERY:
            return False
        self._found_at = at
        found = {w.key: self._watched.get(w.key) or w for w in self._all()}
        still = {k: w for k, w in self._watched.items() if w.station and k in self._wanted}
        self._wanted.clear()
        there = {k: w for k, w in still.items() if w.root.is_dir()}
        self._watched = {**found, **there}
        return True

    def _all(self) -> Iterator[Watched | WatchedStation]:
        """Return all stations, and all folders but theirs."""
        for directory in self._directories:
            with suppress(VipsyncError):
                yield from map(Watched, find_sessions(directory, of_stations=False))
            yield from (WatchedStation(StationFolder(root)) for root in find_stations(directory))

    def _of_a_station(self, key: str) -> Watched | None:
        """Return the session of a station that goes by a key."""
        for station in [w for w in self._watched.values() if isinstance(w, WatchedStation)]:
            with suppress(VipsyncError):
                for folder in find_sessions(station.root):
                    if key_of(folder.root) == key:
                        return Watched(folder, station)
        return None


def _told(folder: SessionFolder, stamp: Stamp) -> Status | None:
    whole = stamp and stamp.size <= LARGEST and folder.report.is_file()
    return read_status(folder) if whole else None


def _moving(folder: SessionFolder) -> tuple[Batch, ...]:
    """Return what the process that works there last said of its transfers."""
    try:
        return _BATCHES.decode(read_small(folder.progress, _LARGEST_PROGRESS))
    except (OSError, ValueError, RecursionError):
        return ()


_UNHEARD = "vipsync has not run here yet: `vipsync run DIR` starts it."


def _unheard(folder: SessionFolder) -> Status:
    name = folder.root.name
    return Status(folder=str(folder.root), session=name, id="", phase="", sentence=_UNHEARD)
