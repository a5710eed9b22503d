"""File system events → wake-ups.

An event only means "wake up, look here first": nothing is decided from it, and losing one costs
time, never truth. On Linux the tree of watches is kept here, on watchdog's inotify reader, because
its observer hides what must be known: watches that could not be had, and events that were lost. It
also needs a thread per folder, and holds every rename back for half a second.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from vipsync.disk.scan import ChangedPaths, network_file_system
from vipsync.disk.walk import Ignored, holds

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchDescriptor,
    )

log = logging.getLogger(__name__)

BURST = 5000
"""Paths that wait to be looked at, above which looking everywhere is cheaper."""

Tell = Callable[[str | None], None]
"""Takes a path below the root, as on disk; None when events were lost."""

_SILENT = logging.NullHandler()
"""Keeps off the terminal what watchdog says where nobody has set up a log: it is said here."""

_TOLD = frozenset({"created", "deleted", "moved", "modified", "closed", "attrib"})
_LIMITS = Path("/proc/sys/fs/inotify")


def nothing(path: str) -> bool:
    """Overlook nothing, whatever the path."""
    return False


class Tree(Protocol):
    """One watched folder. `missing` counts the folders in it for which the system had no watch left."""

    @property
    def trouble(self) -> str:
        """Say why events of what is watched cannot be relied on; "" while they can."""

    @property
    def missing(self) -> int:
        """Return for how many folders a limit of the system left no watch."""

    def renew(self) -> None:
        """Watch what appeared while events were lost."""

    def close(self) -> None:
        """Stop watching."""


class Source(Protocol):
    """What events come from."""

    def tree(self, root: Path, recursive: bool, overlooked: Ignored, tell: Tell) -> Tree:
        """Watch a folder."""

    def alive(self) -> bool:
        """Tell whether events can still come."""

    def stop(self) -> None:
        """Stop all watching."""


class Watcher:
    """Collect what changed in any number of folders, and call `wake` when there is something new.

    `wake` is called in another thread and must return at once: `threading.Event.set` will do.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        open_source: Callable[[], Source] | None = None,
        network: Callable[[Path], bool] = network_file_system,
    ) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._pending: dict[Hashable, set[str] | None] = {}
        self._trees: dict[Hashable, Tree] = {}
        self._network: set[Hashable] = set()
        self._on_network = network
        self._source: Source | None = None
        self._closed_by = ""
        try:
            best = InotifySource if sys.platform == "linux" else ObserverSource
            self._source = (open_source or best)()
        except OSError as error:
            self._closed_by = _no_source(error)

    def watch(
        self, key: Hashable, root: Path, *, recursive: bool = True, overlooked: Ignored = nothing
    ) -> None:
        """Watch a folder, under a name of the caller's; a second call with it starts anew.

        What changed before this returns may give no event: look everywhere afterwards.
        """
        self.unwatch(key)
        if self._on_network(root):
            self._network.add(key)
        if self._source:
            tell = partial(self._note, key)
            self._trees[key] = self._source.tree(root, recursive, overlooked, tell)

    def unwatch(self, key: Hashable) -> None:
        """Stop watching a folder; what it has still to tell is dropped."""
        self._network.discard(key)
        if tree := self._trees.pop(key, None):
            tree.close()
        with self._lock:
            self._pending.pop(key, None)

    def take(self) -> dict[Hashable, ChangedPaths]:
        """Return what changed since the last call, by name: a scanner's hints."""
        with self._lock:
            pending, self._pending = self._pending, {}
        for key, paths in pending.items():
            if paths is None and key in self._trees:
                self._trees[key].renew()
        return {key: None if paths is None else frozenset(paths) for key, paths in pending.items()}

    def healthy(self, key: Hashable) -> bool:
        """Tell whether events of this folder can be relied on between the scans of a timer."""
        return not self.trouble(key)

    def trouble(self, key: Hashable) -> str:
        """Say why events cannot be relied on, and what mends it; "" when they can."""
        if key in self._network:
            return "This is a network file system: what other hosts change gives no event."
        if self._source is None:
            return self._closed_by
        if not self._source.alive():
            return "Events have stopped; start vipsync again to have them back."
        tree = self._trees.get(key)
        if tree is None:
            return "This folder is not watched."
        return self.limit() if tree.missing else tree.trouble

    def limit(self) -> str:
        """Say which limit of the system keeps events away, and the line that mends it; "" for none."""
        missing = sum(tree.missing for tree in self._trees.values())
        return _limit("max_user_watches", "folders", missing) if missing else self._closed_by

    def mendable(self, key: Hashable) -> bool:
        """Tell whether watching this folder anew may bring its events back."""
        tree = self._trees.get(key)
        return tree is not None and bool(tree.trouble or tree.missing)

    def stop(self) -> None:
        """Stop watching, and wait until no event can come."""
        for key in list(self._trees):
            self.unwatch(key)
        if self._source:
            self._source.stop()

    def _note(self, key: Hashable, path: str | None) -> None:
        with self._lock:
            if key not in self._trees:
                return
            first = not self._pending
            paths = self._pending.setdefault(key, set())
            if path is None or (paths is not None and len(paths) >= BURST):
                self._pending[key] = None
            elif paths is not None:
                paths.add(path)
        if first:
            self._wake()


class InotifySource:
    """One inotify instance and one thread for all folders."""

    def __init__(self, fd: InotifyFD | None = None) -> None:
        from watchdog.observers.inotify_c import InotifyFD

        logging.getLogger(InotifyFD.__module__).addHandler(_SILENT)
        self._fd = fd or InotifyFD()
        self._fd.start()

    def tree(self, root: Path, recursive: bool, overlooked: Ignored, tell: Tell) -> Tree:
        """Watch a folder."""
        return InotifyTree(self._fd, os.path.realpath(root), recursive, overlooked, tell)

    def alive(self) -> bool:
        """Tell whether the reader is at work."""
        return self._fd.is_alive()

    def stop(self) -> None:
        """Close the instance and wait for its reader."""
        self._fd.stop()
        self._fd.join()


def _mask() -> Mask:
    """Return the kinds of events that may mean a change; reading a file is none of them.

    IN_MODIFY is left out: it comes with every write. A file that stays open for long is seen by
    looking again at what is not yet quiet.
    """
    from watchdog.observers.inotify_c import InotifyConstants as In
    from watchdog.observers.inotify_c import Mask

    changes = In.IN_CLOSE_WRITE | In.IN_ATTRIB | In.IN_CREATE | In.IN_DELETE | In.IN_MOVE
    return Mask(changes | In.IN_MOVE_SELF | In.IN_ONLYDIR | In.IN_DONT_FOLLOW | In.IN_EXCL_UNLINK)


_ids = itertools.count()


def _new_id() -> CallbackId:
    """Return what tells apart whom an event is for, and since which renewal."""
    from watchdog.observers.inotify_c import CallbackId

    return CallbackId(next(_ids))


@dataclass(eq=False)
class InotifyTree:
    """A folder under inotify; it follows its sub-folders as they come and go.

    Called by watchdog's reader through `on_event`, `on_watch_deleted` and `on_queue_overflow`.
    """

    fd: InotifyFD
    root: str
    recursive: bool
    overlooked: Ignored
    tell: Tell
    gone: bool = False
    stale: bool = False
    unwatched: set[str] = field(default_factory=set)
    _folders: dict[WatchDescriptor, str] = field(default_factory=dict)
    _watches: dict[str, WatchDescriptor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._mask, self._id = _mask(), _new_id()
        with self._lock:
            self._add("")

    @property
    def trouble(self) -> str:
        """Say why events of what is watched cannot be relied on; "" while they can."""
        gone = f"{self.root} is gone or was moved; it is watched again when it is back."
        return gone if self.gone else ""

    @property
    def missing(self) -> int:
        """Return for how many folders a limit of the system left no watch."""
        return len(self.unwatched)

    def close(self) -> None:
        """Stop watching, and tell no more."""
        with self._lock:
            self._forget("")

    def on_event(self, event: InotifyEvent) -> None:
        """Tell what changed, once its folder is watched."""
        with self._lock:
            folder = self._folders.get(event.wd)
            if folder is None or (not event.name and folder):
                return  # a sub-folder's own event: the folder that holds it tells the same
            self.gone = self.gone or event.is_move_self
            path = folder + os.fsdecode(event.name)
            below = f"{path}/" if event.is_directory and path else path
            if path and self.overlooked(below):
                return
            if event.is_directory and path:
                self._follow(event, below)
        self.tell(path or None)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forget a folder that was removed or unmounted."""
        with self._lock:
            folder = self._folders.pop(wd, None)
            if folder is not None and self._watches.get(folder) == wd:
                del self._watches[folder]
            self.gone = self.gone or folder == ""
        if folder == "":
            self.tell(None)

    def on_queue_overflow(self) -> None:
        """Tell that events were lost; `renew` mends it, once for all that is lost in one burst."""
        self.stale = True
        self.tell(None)

    def renew(self) -> None:
        """Watch what appeared while events were lost."""
        if not self.stale:
            return
        log.info("More happened in %s than inotify could tell; looking everywhere.", self.root)
        with self._lock:
            self.stale = False
            before, self._id = [(wd, self._id) for wd in self._folders], _new_id()
            self._folders, self._watches, self.unwatched = {}, {}, set()
            self._add("")  # a folder that is watched already keeps its watch, under its name of now
            self.fd.remove_callbacks(before)

    def _follow(self, event: InotifyEvent, folder: str) -> None:
        if event.is_moved_from or event.is_delete:
            self._forget(folder)
        elif self.recursive:
            self._add(folder)

    def _add(self, folder: str) -> None:
        """Watch a folder, then what lies in it: what appears in between is not missed."""
        pending = [folder]
        while pending:
            here = pending.pop()
            self._add_one(here)
            if self.recursive:
                pending.extend(self._sub_folders(here))

    def _add_one(self, folder: str) -> None:
        path = f"{self.root}/{folder}"
        if folder in self._watches or (folder and not os.access(path, os.R_OK)):
            return
        try:
            wd = self.fd.add_callback(os.fsencode(path), self._mask, self, self._id)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self.unwatched.add(folder)
            elif not folder:
                self.gone = True
        else:
            self._folders[wd] = folder
            self._watches[folder] = wd

    def _sub_folders(self, folder: str) -> list[str]:
        with suppress(OSError), os.scandir(f"{self.root}/{folder}") as entries:
            paths = [f"{folder}{e.name}/" for e in entries if e.is_dir(follow_symlinks=False)]
            return [path for path in paths if not self.overlooked(path)]
        return []

    def _forget(self, folder: str) -> None:
        below = [path for path in self._watches if path.startswith(folder)]
        watches = [self._watches.pop(path) for path in below]
        for wd in watches:
            del self._folders[wd]
        self.unwatched -= {path for path in self.unwatched if path.startswith(folder)}
        self.fd.remove_callbacks([(wd, self._id) for wd in watches])


class ObserverSource:
    """Watchdog's own observer, for systems without inotify."""

    def __init__(self) -> None:
        from watchdog.observers import Observer

        self._observer: BaseObserver = Observer()
        self._observer.start()

    def tree(self, root: Path, recursive: bool, overlooked: Ignored, tell: Tell) -> Tree:
        """Watch a folder."""
        return ObserverTree(self._observer, os.path.realpath(root), recursive, overlooked, tell)

    def alive(self) -> bool:
        """Tell whether the observer is at work."""
        return self._observer.is_alive()

    def stop(self) -> None:
        """Stop the observer and wait for its threads."""
        self._observer.stop()
        self._observer.join()


class ObserverTree(FileSystemEventHandler):
    """A folder under watchdog's observer."""

    def __init__(
        self,
        observer: BaseObserver,
        root: str,
        recursive: bool,
        overlooked: Ignored,
        tell: Tell,
    ) -> None:
        self.trouble, self.missing = "", 0
        self._root = root
        self._overlooked = overlooked
        self._tell = tell
        self._close: Callable[[], None] = lambda: None
        try:
            watch = observer.schedule(self, root, recursive=recursive)
        except OSError as error:
            self.trouble = f"{root} cannot be watched: {error.strerror or error}."
        else:
            self._close = partial(observer.remove_handler_for_watch, self, watch)

    def renew(self) -> None:
        """Do nothing: this observer hides what it lost."""

    def close(self) -> None:
        """Stop watching, and tell no more."""
        self._close()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Tell what changed; that a folder has other entries is told by the entries."""
        if event.event_type not in _TOLD or (event.is_directory and event.event_type == "modified"):
            return
        for path in filter(None, (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))):
            if holds(self._root, path):
                below = path[len(self._root) + 1 :]
                if not self._overlooked(f"{below}/" if event.is_directory else below):
                    self._tell(below or None)


def _no_source(error: OSError) -> str:
    if error.errno == errno.EMFILE and _LIMITS.is_dir():
        return _limit("max_user_instances", "programs", 1)
    return f"Events cannot be had: {error.strerror or error}."


def _limit(name: str, things: str, missing: int) -> str:
    """Say the limit now, the limit needed, and the line that mends it."""
    now = int((_LIMITS / name).read_text())
    enough = 1 << (now + missing - 1).bit_length()
    return (
        f"inotify watches at most {now} {things} for one user and {now + missing} are needed; "
        f"until then changes are found by scanning. To mend it: sudo sysctl -w fs.inotify.{name}={enough}"
    )
