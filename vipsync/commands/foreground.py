"""Run the loop in the foreground: signals, logs, progress, and the code with which it ends."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

import msgspec

from vipsync import actions as do
from vipsync.commands.check import worst
from vipsync.disk.files import entered, open_own, share
from vipsync.errors import DiskError, FolderHeld, NotASession
from vipsync.folder.folder import SessionFolder
from vipsync.model import TransfersSettings
from vipsync.report.progress import Batch
from vipsync.report.reporter import Reporter
from vipsync.results.gallery import Gallery
from vipsync.run import logs
from vipsync.run.account import Connect
from vipsync.run.limits import UNLIMITED
from vipsync.run.loop import Loop
from vipsync.run.reconciler import Reconciler
from vipsync.run.supervision import Supervision
from vipsync.run.timing import Timing
from vipsync.station.backroom import Backroom
from vipsync.station.keeper import Keeper
from vipsync.status.overview import overview, totals
from vipsync.status.publish import Publisher, read_status
from vipsync.status.status import Status

_LOG_SIZE = 1_000_000
_LOGS_KEPT = 2
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Run:
    """Keep session folders in step until something is reached, or a signal says stop."""

    def __init__(
        self,
        directories: Sequence[Path],
        connect: Connect,
        reporter: Reporter,
        overrides: Mapping[str, object] | None = None,
        renamed: Callable[[], Sequence[Path] | None] = lambda: None,
        transfers: TransfersSettings | None = None,
    ) -> None:
        self._named_now = renamed
        self.loop = Loop(
            directories,
            connect,
            overrides=overrides,
            publish=self._publish,
            moved=self._moved,
            new_keeper=_keeper,
            told=self._told,
            gone=self._forget,
            renamed=self._renamed,
            transfers=transfers or UNLIMITED,
        )
        self.statuses: dict[Path, Status] = {}
        self._directories = directories
        self._reporter = reporter
        reporter.named(SessionFolder(directory).root for directory in directories)
        self._publishers: dict[Path, Publisher] = {}
        self._logs = FolderLogs(reporter.name)
        self._transfers = TransferFiles(reporter.batches)
        self._supervision = Supervision(os.environ, time.monotonic)
        self._version = version("vipsync") if self._supervision.is_there else ""
        self._signalled = self._ended_by_service = False
        self._recalls = False
        self._galleries: dict[Path, Gallery] = {}
        self._making = ThreadPoolExecutor(1, thread_name_prefix="results")

    def until(self, done: Callable[[], bool]) -> None:
        """Run until `done` says so; raise KeyboardInterrupt where a signal came first.

        What stops a service is how a service ends, and no interruption.
        """
        with self._signals(), self._logs.kept(), self._making:
            with self._reporter.live():
                self.loop.run(lambda: self._turned(done))
            self._reporter.settle()
        if self._signalled and not self._ended_by_service:
            raise KeyboardInterrupt

    def _turned(self, done: Callable[[], bool]) -> bool:
        """Take in that a turn is finished; tell whether it was the last."""
        if self._supervision.is_there:
            self._supervision.turned(totals(overview(self.statuses.values())), self._version)
        return (done() or self._nothing_to_do()) and self._is_made()

    def for_ever(self) -> None:
        """Run until a signal says stop; raise FolderHeld where others work in all folders."""
        self.until(lambda: False)
        if not self._ended_by_service:
            raise self._held()[0]

    def once(self, *, verbose: bool = False) -> int:
        """Run until all folders are at rest; return the code that says how they are.

        Only what is new since the last run is told, so that cron sends no mail at rest; `verbose`: all.
        """
        self._recalls = not verbose
        self.until(self._at_rest)
        sessions = self.loop.sessions
        return worst(
            [
                status.exit_code
                for root, status in self.statuses.items()
                if root in sessions and not isinstance(sessions[root].trouble, FolderHeld)
            ]
            + [
                keeper.status.exit_code
                for keeper in self._keepers()
                if keeper.status and not isinstance(keeper.trouble, FolderHeld)
            ]
        )

    def _keepers(self) -> list[Keeper]:
        return [k for k in self.loop.keepers.values() if isinstance(k, Keeper)]

    def _told(self, keeper: object) -> None:
        """Say what a station asks of a person."""
        if isinstance(keeper, Keeper) and keeper.status:
            self._reporter.station(keeper.status)

    def _at_rest(self) -> bool:
        if not self.loop.sessions and not self.loop.keepers:
            where = ", ".join(map(str, self._directories))
            raise NotASession(
                f"No session folder in {where}.", "`vipsync init DIR` makes a session folder."
            )
        return self.loop.at_rest()

    def _is_made(self) -> bool:
        """Tell whether every page of results is made."""
        return all(gallery.is_done for gallery in self._galleries.values())

    def _nothing_to_do(self) -> bool:
        places = len(self.loop.sessions) + len(self.loop.keepers)
        return bool(places) and len(self._held()) == places

    def _held(self) -> list[FolderHeld]:
        troubles = [
            *(session.trouble for session in self.loop.sessions.values()),
            *(keeper.trouble for keeper in self.loop.keepers.values()),
        ]
        return [trouble for trouble in troubles if isinstance(trouble, FolderHeld)]

    def _publish(self, session: Reconciler) -> None:
        root = session.folder.root
        if self._recalls and root not in self._publishers:
            self._reporter.recall(root, read_status(session.folder))
        status = self._publisher(root).publish(session)
        self._logs.follow(session)
        if status:
            self.statuses[root] = status
            self._reporter.update(session, status)
        self._transfers.follow(session.folder, held=session.is_open)

    def _moved(self, key: do.Key, now: int, size: int) -> None:
        """Take in how far a transfer is; called in any thread."""
        self._reporter.moved(key, now, size)
        self._transfers.tell()

    def _renamed(self) -> Sequence[Path] | None:
        """Return which folders are named now; None where they are as before."""
        directories = self._named_now()
        if directories is not None:
            self._reporter.named(SessionFolder(directory).root for directory in directories)
        return directories

    def _forget(self, root: Path) -> None:
        """Say nothing more of a place that was let go."""
        self.statuses.pop(root, None)
        self._publishers.pop(root, None)
        self._galleries.pop(root, None)
        self._logs.end(root)
        self._reporter.forget(root)

    def _publisher(self, root: Path) -> Publisher:
        """Return who keeps the words about a folder; its results are made in a thread of their own."""
        if root not in self._publishers:
            self._galleries[root] = Gallery(
                self._making.submit, lambda: self.loop.notice(root), lambda: self.loop.stopping
            )
            self._publishers[root] = Publisher(self._galleries[root])
        return self._publishers[root]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop softly on the first signal, at once on the second; what `nohup` ignores stays so."""
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        before = {n: signal.getsignal(n) for n in numbers}
        mine = [n for n, handler in before.items() if handler is not signal.SIG_IGN]
        for number in mine:
            signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number in mine:
                signal.signal(number, before[number])

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._signalled:
            self._reporter.restore()
            os._exit(INTERRUPTED)
        self._signalled = True
        self._ended_by_service = number == signal.SIGTERM and self._supervision.is_there
        self._supervision.stopping()
        self.loop.stop()


class _OwnLog(RotatingFileHandler):
    """A log that follows no link, and with which the group of its folder can go on."""

    def _open(self) -> TextIOWrapper:
        file = TextIOWrapper(open_own(Path(self.baseFilename), "ab"), encoding=self.encoding)
        share(Path(self.baseFilename))
        return file


def _keeper(
    root: Path, timing: Timing, news: Callable[[], None], stop: Callable[[], None]
) -> Keeper:
    return Keeper(root, timing, Backroom(news), stop=stop)


class TransferFiles:
    """Write down for a page how far the transfers of each folder are: once a second, while there are any.

    Nothing is lost with it, so it is not flushed, and a disk that does not take it is not complained of.
    """

    EVERY = 1.0

    def __init__(
        self, batches: Callable[[Path], list[Batch]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._batches, self._clock = batches, clock
        self._folders: dict[Path, SessionFolder] = {}
        self._told_at = float("-inf")
        self._lock = threading.Lock()

    def follow(self, folder: SessionFolder, *, held: bool) -> None:
        """Tell of a folder from now on, or no more; what is over is told no longer."""
        with self._lock:
            if held:
                self._folders[folder.root] = folder
            else:
                self._folders.pop(folder.root, None)
            if held and not self._batches(folder.root):
                with suppress(DiskError):
                    folder.remove(folder.progress)

    def tell(self) -> None:
        """Write how far all are; in the thread of a transfer, which waits for nobody."""
        now = self._clock()
        if now - self._told_at < self.EVERY or not self._lock.acquire(blocking=False):
            return
        try:
            self._told_at = now
            for root, folder in self._folders.items():
                if batches := self._batches(root):
                    _write(folder, msgspec.json.encode(batches))
        finally:
            self._lock.release()


def _write(folder: SessionFolder, content: bytes) -> None:
    with suppress(OSError), entered(folder.hidden, folder.root) as place:
        fresh = place / f".{folder.progress.name}.tmp"
        with open_own(fresh, "wb") as file:
            file.write(content)
        share(fresh)
        fresh.replace(place / folder.progress.name)


class FolderLogs:
    """Write a small log into each folder that this process holds: of what is its own, and of all."""

    def __init__(self, name: Callable[[Path], str]) -> None:
        self._name = name
        self._handlers: dict[Path, logging.Handler] = {}
        self._logger = logging.getLogger("vipsync")

    def follow(self, session: Reconciler) -> None:
        """Begin the log of a folder that was taken, end that of one that was let go."""
        root = session.folder.root
        if not session.is_open:
            self.end(root)
        elif root not in self._handlers:
            with suppress(OSError, DiskError):
                self._begin(root, session.folder.log)

    def _begin(self, root: Path, log: Path) -> None:
        handler = _OwnLog(log, maxBytes=_LOG_SIZE, backupCount=_LOGS_KEPT, encoding="utf-8")
        handler.setLevel(logging.INFO)
        handler.addFilter(lambda _record: logs.folder() in (None, root))
        handler.setFormatter(logs.Lines(self._name))
        self._logger.addHandler(handler)
        self._handlers[root] = handler

    def end(self, root: Path) -> None:
        """End the log of a folder, if it has one."""
        handler = self._handlers.pop(root, None)
        if handler:
            self._logger.removeHandler(handler)
            with suppress(OSError):  # a full disk takes no last line
                handler.close()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """End all logs at the end."""
        try:
            yield
        finally:
            for root in list(self._handlers):
                self.end(root)


INTERRUPTED = 130
"""Exit code of what a signal has ended."""
