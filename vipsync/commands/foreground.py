"""Run the loop in the foreground: signals, logs, progress, and the code with which it ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

from vipsync import actions as do
from vipsync.alerts.folders import FolderAlerts
from vipsync.commands.check import worst
from vipsync.errors import FolderHeld, MachineTooSmall, NotASession, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import UNLIMITED, TransfersSettings
from vipsync.names import shell_word
from vipsync.plan.transfer_limits import OUTDATED
from vipsync.report.reporter import Reporter
from vipsync.report.transfer_files import TransferFiles
from vipsync.results.gallery import Gallery
from vipsync.run.account import Connect
from vipsync.run.folder_logs import FolderLogs
from vipsync.run.loop import Loop
from vipsync.run.reconciler import Reconciler
from vipsync.run.supervision import Supervision
from vipsync.run.timing import Timing
from vipsync.run.transfer_limits import TransferLimits
from vipsync.status.overview import overview, totals
from vipsync.status.publish import Publisher, read_status
from vipsync.status.status import Status

if TYPE_CHECKING:
    from vipsync.station.keeper import Keeper

logger = logging.getLogger(__name__)

INTERRUPTED = 130
"""Exit code of what a signal has ended."""

FILES, FILES_OF_FOLDER = 32, 8
"""Files that are open at once: for transfers and threads, and for each folder, whose ledger has six."""

PLENTY = 8192
"""Files that a process is allowed where the system lets it: folders may be found later."""

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Run:
    """Keep session folders in step until something is reached, or a signal says stop.

    `shows_held`: that another process works in a folder is told like what is not in order there.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        connect: Connect,
        reporter: Reporter,
        overrides: Mapping[str, object] | None = None,
        renamed: Callable[[], Sequence[Path] | None] = lambda: None,
        alerts: FolderAlerts | None = None,
        transfers: TransfersSettings = UNLIMITED,
        timing: Timing | None = None,
        *,
        shows_held: bool = True,
        is_outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self._named_now, timing = renamed, timing or Timing()
        self._is_outdated = is_outdated
        self._supervision = Supervision(os.environ, time.monotonic)
        self.loop = Loop(
            directories,
            connect,
            overrides=overrides,
            publish=self._publish,
            moved=self._moved,
            new_keeper=_keeper,
            told=self._told,
            gone=self._forget,
            over=self._leave,
            is_made=self._is_made_of,
            renamed=self._renamed,
            looked=self._supervision.looked,
            timing=timing,
            transfer_limits=TransferLimits(transfers, timing),
        )
        self.statuses: dict[Path, Status] = {}
        self._directories = directories
        self._reporter = reporter
        reporter.named(SessionFolder(directory).root for directory in directories)
        self._publishers: dict[Path, Publisher] = {}
        self._logs = FolderLogs(reporter.name)
        self._alerts = alerts
        self._transfers = TransferFiles(reporter.batches)
        self._version = _version() if self._supervision.is_there else ""
        self._signalled = self._ended_by_service = False
        self._recalls, self._shows_held = False, shows_held
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
        self._recalls, self._shows_held = not verbose, verbose
        self.until(self._at_rest)
        if (held := self._held()) and not verbose and self._reporter.out.is_terminal:
            others = f"Another vipsync already works in {len(held):,} of these folders."
            self._reporter.say(held[0].message if len(held) == 1 else others, "dim")
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
        return cast("list[Keeper]", list(self.loop.keepers.values()))

    def _told(self, keeper: object) -> None:
        """Say what a station asks of a person."""
        station = cast("Keeper", keeper)
        if station.status and not self._is_others(station.trouble):
            self._reporter.station(station.status)
            if self._alerts:
                self._alerts.station(station)

    def _at_rest(self) -> bool:
        if not self.loop.sessions and not self.loop.keepers:
            where = ", ".join(map(str, self._directories))
            raise NotASession(
                f"No session folder in {where}.",
                f"`vipsync init {shell_word(Path(self._directories[0]) / 'my-study')}` makes one.",
            )
        return self.loop.at_rest()

    def _is_made(self) -> bool:
        """Tell whether every page of results is made."""
        return all(gallery.is_done for gallery in self._galleries.values())

    def _is_made_of(self, root: Path) -> bool:
        """Tell whether the page of one folder's results is made."""
        return root not in self._galleries or self._galleries[root].is_done

    def _nothing_to_do(self) -> bool:
        places = len(self.loop.sessions) + len(self.loop.keepers)
        return bool(places) and len(self._held()) == places

    def _held(self) -> list[FolderHeld]:
        troubles = [
            *(session.trouble for session in self.loop.sessions.values()),
            *(keeper.trouble for keeper in self.loop.keepers.values()),
        ]
        return [trouble for trouble in troubles if isinstance(trouble, FolderHeld)]

    def _is_others(self, trouble: VipsyncError | None) -> bool:
        """Tell whether another process works in a place, which tells how it is there."""
        return not self._shows_held and isinstance(trouble, FolderHeld)

    def _publish(self, session: Reconciler) -> None:
        root = session.folder.root
        if self._is_others(session.trouble):
            return
        if self._recalls and root not in self._publishers:
            self._reporter.recall(root, read_status(session.folder))
        status = self._publisher(root).publish(session)
        self._logs.follow(session)
        if status:
            self.statuses[root] = status
            self._reporter.update(session, status)
            if self._alerts:
                station = next((k for k in self._keepers() if k.root in root.parents), None)
                self._alerts.session(session, status, station)
        self._transfers.follow(session.folder, held=session.is_open)

    def _moved(self, key: do.Key, now: int, size: int) -> None:
        """Take in how far a transfer is; called in any thread."""
        self._reporter.moved(key, now, size)
        self._transfers.tell()

    def _renamed(self) -> Sequence[Path] | None:
        """Return which folders are named now; None where they are as before."""
        self._say_outdated()
        directories = self._named_now()
        if directories is not None:
            self._reporter.named(SessionFolder(directory).root for directory in directories)
        return directories

    def _say_outdated(self) -> None:
        """Say, in each folder and once in all logs, where vipsync.toml was changed since the start."""
        limits = self.loop.transfer_limits
        before, limits.outdated = limits.outdated, self._is_outdated()
        if limits.outdated == before:
            return
        if limits.outdated:
            logger.warning(OUTDATED)
        for root in self.loop.sessions:
            self.loop.notice(root)

    def _forget(self, root: Path) -> None:
        """Say nothing more of a place that was let go."""
        self.statuses.pop(root, None)
        self._leave(root)
        if self._alerts:
            self._alerts.forget(root)
        self._logs.end(root)
        self._reporter.forget(root)

    def _leave(self, root: Path) -> None:
        """Let go what keeps the words and pages of a session up to date: it is over, for now."""
        self._publishers.pop(root, None)
        self._galleries.pop(root, None)

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
        if self._alerts:
            self._alerts.stop()
        self._ended_by_service = number == signal.SIGTERM and self._supervision.is_there
        self._supervision.stopping()
        self.loop.stop()


def allow_open_files(folders: int) -> None:
    """Let this process open as many files as it may; raise MachineTooSmall where that is too few."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES + FILES_OF_FOLDER * folders
    plenty = max(needed, PLENTY)
    if hard != resource.RLIM_INFINITY:
        plenty = min(plenty, hard)
    if soft != resource.RLIM_INFINITY and soft < plenty:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (plenty, hard))
            soft = plenty
    if soft != resource.RLIM_INFINITY and soft < needed:
        raise MachineTooSmall(
            f"vipsync may open {soft:,} files at once here; {needed:,} are needed.",
            f"Raise the limit: `ulimit -n {needed}`, or LimitNOFILE={needed} for a service.",
        )


def _keeper(
    root: Path, timing: Timing, news: Callable[[], None], stop: Callable[[], None]
) -> Keeper:
    from vipsync.station.backroom import Backroom
    from vipsync.station.keeper import Keeper

    return Keeper(root, timing, Backroom(news), stop=stop)


def _version() -> str:
    from importlib.metadata import version

    return version("vipsync")
