"""Progress and words for people, on a terminal or in a pipe: the only module that prints.

A terminal gets a picture that stays in its place; anything else gets plain lines, one for each
change. Results go to stdout, errors and warnings to stderr. What draws, `screen` and rich, is loaded
for the first picture: that takes longer than most commands take to run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync import actions as do
from vipsync.errors import DiskError, VipsyncError
from vipsync.report.news import News, notice_text
from vipsync.report.progress import Progress, has_arrived, left_to_transfer
from vipsync.report.stream import Stream
from vipsync.report.text import paragraph, printable
from vipsync.run import logs
from vipsync.status.status import Status
from vipsync.status.words import details

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from vipsync.model import Descriptor
    from vipsync.plan.draft import Notice
    from vipsync.run.reconciler import Reconciler
    from vipsync.status.status import Finding

_FRAMES = 4
"""Pictures per second on a terminal."""


class Reporter:
    """Tell a person what goes on."""

    def __init__(
        self,
        out: Console | None = None,
        errors: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.out = Stream(out)
        self.errors = Stream(errors, stderr=True)
        self._clock, self._wall = clock, wall
        self._progress = Progress(clock)
        self._statuses: dict[Path, Status] = {}
        self._news: dict[Path, News] = {}
        self._live: Live | None = None
        self._silent_since: float | None = None
        self.several = False

    # words

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line on stdout; above the picture while there is one."""
        self.out.line(paragraph(text), style)

    def finding(self, found: Finding) -> None:
        """Print one thing that was looked at."""
        from vipsync.report import screen

        self.out.draw(screen.finding(found))

    def notice(self, notice: Notice) -> None:
        """Print what is not in sync."""
        from vipsync.report import screen

        self.out.draw(screen.notice_lines(notice))

    def pipeline(self, found: Descriptor) -> None:
        """Print the full description of a pipeline."""
        from vipsync.report import screen

        self.out.draw(screen.pipeline(found))

    def document(self, text: str) -> None:
        """Print a document for programs, as it is; raise DiskError where it does not come out whole."""
        self.out.line(text)
        if self.out.lost and not self.out.left:
            raise DiskError(f"stdout cannot be written: {self.out.lost}.")

    def failed(self, error: VipsyncError) -> None:
        """Print what went wrong, and what to do about it, on stderr."""
        for number, line in enumerate(error.message.splitlines() or [""]):
            self.errors.line(printable(line), "red" if number else "bold red")
        if error.remedy:
            self.errors.line(printable(error.remedy))

    def warn(self, text: str) -> None:
        """Print a line on stderr."""
        self.errors.line(printable(text), "yellow")

    def status(self, status: Status, note: str = "") -> None:
        """Print the line that answers the question, then the details."""
        self.say(f"{printable(status.session)}: {paragraph(status.sentence, '  ')}", "bold")
        if note:
            self.say(f"  {note}", "dim")
        for notice in status.notices:
            self.notice(notice)
        for line in details(status):
            self.say(f"  {printable(line)}" if line else "")

    # folders at work

    def moved(self, key: do.Key, now: int, size: int) -> None:
        """Take in how far a transfer is; may be called in any thread."""
        self._progress.moved(key, now, size)

    def update(self, session: Reconciler, status: Status | None) -> None:
        """Take in what a look at a folder has shown."""
        if status is None:
            return
        root, ended = session.folder.root, []
        self._statuses[root] = status
        if session.is_open and not session.trouble:
            left = left_to_transfer(session)
            ended = self._progress.expect(root, left, has_arrived(session))
        if self._live is None or self.out.lost:
            self._say_outage()
            news = self._news.setdefault(root, News())
            batches = self._progress.batches(root)
            for line in news.lines(status, batches, ended, self._clock()):
                self._line(status, line)

    def watch(self, folder: Path, status: Status) -> None:
        """Take in the state of a folder in which another process works."""
        self._statuses[folder] = status
        if self._live is None or self.out.lost:
            for line in self._news.setdefault(folder, News()).lines(status, [], [], self._clock()):
                self._line(status, line)

    def _say_outage(self) -> None:
        """Say once for all folders that VIP is out of order, and when it answers again."""
        notices = (n for status in self._statuses.values() for n in status.notices)
        outage = next((n for n in notices if n.subject == "VIP"), None)
        now = self._clock()
        if outage and self._silent_since is None:
            self._silent_since = now
            for line in notice_text(outage):
                self._dated(line)
        elif not outage and self._silent_since is not None:
            self._dated(f"VIP answers again, after {now - self._silent_since:.0f} s.")
            self._silent_since = None

    def settle(self) -> None:
        """Print what was held back because only its numbers had changed, or by a picture that was lost."""
        for root, status in self._statuses.items():
            news = self._news.get(root) or (News() if self.out.lost else None)
            with logs.about(root):
                for line in news.lines(status, [], [], float("inf")) if news else ():
                    self._line(status, line)

    def _line(self, status: Status, line: str) -> None:
        name = f"{printable(status.session)}: " if self.several or len(self._statuses) > 1 else ""
        self._dated(f"{name}{line}")

    def _dated(self, line: str) -> None:
        now = datetime.fromtimestamp(self._wall()).astimezone()
        self.say(f"{now:%Y-%m-%d %H:%M:%S}  {line}")

    @contextmanager
    def live(self, *, stays: bool = True) -> Iterator[None]:
        """Keep a picture of all folders on the terminal; without one, lines are printed instead.

        `stays`: its last state stays there at the end.
        """
        if not self.out.is_interactive or self._live:
            yield
            return
        from rich.live import Live

        with Live(
            get_renderable=self._picture,
            console=self.out.console,
            refresh_per_second=_FRAMES,
            vertical_overflow="ellipsis",
            transient=not stays,
        ) as self._live:
            try:
                yield
            finally:
                self._live.refresh()
                self._live = None

    def _picture(self) -> RenderableType:
        from vipsync.report import screen

        found = [(s, self._progress.batches(root)) for root, s in list(self._statuses.items())]
        return screen.folders(found, self._wall())

    def restore(self) -> None:
        """Give the terminal its cursor back, where a program ends in the middle of a picture."""
        if self.out.is_interactive:
            self.out.console.show_cursor()


class Warnings(logging.Handler):
    """Show log records on stderr, whatever else is on the terminal."""

    def __init__(self, reporter: Reporter, level: int) -> None:
        super().__init__(level)
        self._reporter = reporter
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record; never its traceback."""
        plain = copy(record)
        plain.exc_info = plain.exc_text = None
        root, text = logs.folder(), printable(self.format(plain))
        self._reporter.errors.show(f"{printable(root.name)}: {text}" if root else text, "yellow")
