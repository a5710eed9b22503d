"""Progress and words for people, on a terminal or in a pipe: the only module that prints.

A terminal gets a picture that stays in its place; anything else gets plain lines, one for each
change. Results go to stdout, errors and warnings to stderr. What draws, `screen` and rich, is loaded
for the first picture: that takes longer than most commands take to run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync import actions as do
from vipsync.errors import DiskError, KeyMissing, VipsyncError
from vipsync.report.news import News, notice_text
from vipsync.report.progress import Progress, has_arrived, left_to_transfer
from vipsync.report.stream import Stream
from vipsync.report.text import paragraph, printable
from vipsync.run import logs
from vipsync.status.overview import name_below, overview, table_lines, totals
from vipsync.status.status import Status
from vipsync.status.words import details, duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from vipsync.model import Descriptor
    from vipsync.plan.draft import Notice
    from vipsync.report.progress import Batch
    from vipsync.run.reconciler import Reconciler
    from vipsync.station.steps import StationStatus
    from vipsync.status.status import Finding

news_log = logging.getLogger(logs.NEWS)

_OVER = {KeyMissing.exit_code: "There is a key for VIP again"}
"""What is said when nothing is wrong with the account any more, by what was."""

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
        self._asked: dict[str, dict[str, str]] = {}
        self._stations: dict[str, StationStatus] = {}
        self._live: Live | None = None
        self._drew = False
        self._known: dict[Path, Status] = {}
        self._held: dict[Path, list[str]] = {}
        self._silent_since: float | None = None
        self._silent = ""
        self.tops: tuple[str, ...] = ()
        self.titles: dict[Path, str] = {}

    # words

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line on stdout; above the picture while there is one."""
        self.out.words(paragraph(text), style)

    def to_copy(self, text: str) -> None:
        """Print lines that are copied, however narrow the terminal is."""
        self.out.line(paragraph(text))

    def finding(self, found: Finding) -> None:
        """Print one thing that was looked at."""
        from vipsync.report import screen

        self.out.text(screen.finding(found))

    def notice(self, notice: Notice) -> None:
        """Print what is not in sync."""
        from vipsync.report import screen

        self.out.text(screen.notice_lines(notice))

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
            self.aside.words(printable(line), "red" if number else "bold red")
        if error.remedy:
            self.aside.words(printable(error.remedy))

    def warn(self, text: str) -> None:
        """Print a line on stderr."""
        self.aside.words(printable(text), "yellow")

    @property
    def aside(self) -> Stream:
        """Where errors go: stderr, but above the picture where both are on a terminal, not into it."""
        return self.out if self._live and self.errors.is_terminal else self.errors

    def status(self, status: Status, note: str = "") -> None:
        """Print the line that answers the question, then the details."""
        self.say(f"{printable(status.session)}: {paragraph(status.sentence, '  ')}", "bold")
        if note:
            self.say(f"  {note}", "dim")
        for notice in status.notices:
            self.notice(notice)
        for line in details(status):
            self.say(f"  {printable(line)}" if line else "")

    def overview(self, statuses: Sequence[Status]) -> None:
        """Print a table of many folders, those that need a person first, and the totals."""
        rows = overview(statuses, self.tops)
        if self.out.is_interactive:
            from vipsync.report import screen

            self.out.draw(screen.overview(rows))
            return
        for line in table_lines(rows):
            self.say(printable(line))
        self.say(totals(rows))

    # folders at work

    def name(self, folder: Path) -> str:
        """Return what a folder is called: by its title, else its path below the one that was named."""
        if title := self.titles.get(folder):
            return printable(title)
        return name_below(printable(str(folder)), self.tops)

    def named(self, folders: Iterable[Path]) -> None:
        """Call folders by their path below these from now on."""
        self.tops = tuple(dict.fromkeys(printable(str(folder)) for folder in folders))

    def moved(self, key: do.Key, now: int, size: int) -> None:
        """Take in how far a transfer is; may be called in any thread."""
        self._progress.moved(key, now, size)

    def batches(self, root: Path) -> list[Batch]:
        """Return how far the transfers of a folder are; may be called in any thread."""
        return self._progress.batches(root)

    def update(self, session: Reconciler, status: Status | None) -> None:
        """Take in what a look at a folder has shown."""
        if status is None:
            return
        root, ended = session.folder.root, []
        self._statuses[root] = status
        if session.is_open and not session.trouble:
            left = left_to_transfer(session)
            ended = self._progress.expect(root, left, has_arrived(session))
        self._say_outage()
        if root in self._known and _has_begun(status, self._known[root]):
            self._tell_held(root)
        news = self._news.setdefault(root, News())
        for line in news.lines(status, self._progress.batches(root), ended, self._clock()):
            self._line(root, line)

    def recall(self, folder: Path, before: Status | None) -> None:
        """Take what was said of a folder for known: only what is new since then is told.

        Until something begins there, nothing is: what is looked at in the end may be as before.
        """
        if before:
            self._known[folder] = before
            news = self._news[folder] = News()
            for _line in news.lines(before, [], [], float("-inf")):
                pass

    def station(self, told: StationStatus) -> None:
        """Say what a station asks of a person, once, and when that is over."""
        self._stations[told.folder] = told
        name, before = printable(told.station), self._asked.get(told.folder, {})
        asked = {r.name: f"{r.state}: {r.reason}" for r in told.studies if r.asks}
        if told.exit_code and not asked:
            asked = {"": told.sentence}
        for study, words in asked.items():
            if before.get(study) != words:
                self._print(f"{name}: {study and f'{study}: '}{printable(words)}")
        for study in before.keys() - asked.keys():
            self._print(f"{name}: settled: {study or printable(before[study])}")
        self._asked[told.folder] = asked

    def watch(self, folder: Path, status: Status) -> None:
        """Take in the state of a folder in which another process works."""
        self._statuses[folder] = status
        if not self._drawing:
            for line in self._news.setdefault(folder, News()).lines(status, [], [], self._clock()):
                self._print(f"{self.name(folder)}: {line}")

    def forget(self, folder: Path) -> None:
        """Say nothing more of a folder."""
        self._statuses.pop(folder, None)
        self._stations.pop(printable(str(folder)), None)
        self._news.pop(folder, None)

    def _say_outage(self) -> None:
        """Say once for all folders that VIP is out of order, and when it answers again."""
        notices = (n for status in self._statuses.values() for n in status.notices)
        outage = next((n for n in notices if n.subject == "VIP"), None)
        now = self._clock()
        if outage:
            self._silent = _OVER.get(outage.exit_code, "VIP answers again")
        if outage and self._silent_since is None:
            self._silent_since = now
            self._event(notice_text(outage))
        elif not outage and self._silent_since is not None:
            self._event(f"{self._silent}, after {duration(now - self._silent_since)}.")
            self._silent_since = None

    def settle(self) -> None:
        """Print what was held back because only its numbers had changed, or by a picture that was lost."""
        for root, status in self._statuses.items():
            for line in self._news.setdefault(root, News()).lines(status, [], [], float("inf")):
                self._line(root, line)
            before = self._known.get(root)
            if before and _lasting(before) != _lasting(status):
                self._tell_held(root)
        self._drew = False

    def _tell_held(self, folder: Path) -> None:
        """Tell what was held back of a folder, and from now on everything."""
        self._known.pop(folder, None)
        held = self._held.pop(folder, [])
        if not self._drawing:  # else the picture shows it
            for line in held:
                self.out.line(line, logged=True)

    def _line(self, folder: Path, line: str) -> None:
        """Log an event of a folder; print it where there is no picture."""
        with logs.about(folder):
            news_log.info("%s", line)
            if folder in self._known:
                self._held.setdefault(folder, []).append(
                    self._dated(f"{self.name(folder)}: {line}")
                )
            else:
                self._print(f"{self.name(folder)}: {line}")

    def _event(self, line: str) -> None:
        """Log an event that concerns all folders, whichever has shown it; print it where there is no picture."""
        with logs.about(None):
            news_log.info("%s", line)
        self._print(line)

    def _print(self, line: str) -> None:
        if not self._drawing:
            self.out.line(self._dated(line), logged=True)

    def _dated(self, line: str) -> str:
        return line if self.out.is_journal else f"{logs.stamp(self._wall())}{logs.GAP}{line}"

    @property
    def _drawing(self) -> bool:
        """Tell whether a picture stands for the lines."""
        return self._drew and not self.out.lost

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
            self._drew = True
            try:
                yield
            finally:
                self._live.refresh()
                self._live = None

    def _picture(self) -> RenderableType:
        from vipsync.report import screen

        found = [(s, self._progress.batches(root)) for root, s in list(self._statuses.items())]
        stations = list(self._stations.values())
        if len(found) <= 1:
            return screen.with_stations(
                stations, screen.folders(found, self._wall()) if found else None
            )
        rows = overview([status for status, _ in found], self.tops)
        moving = {name_below(status.folder, self.tops): batches for status, batches in found}
        width, height = self.out.console.size
        table = screen.live_overview(rows, moving, width, max(1, height - len(stations)))
        return screen.with_stations(stations, table)

    def restore(self) -> None:
        """Give the terminal its cursor back, where a program ends in the middle of a picture."""
        if self.out.is_interactive:
            self.out.console.show_cursor()


def _has_begun(status: Status, before: Status) -> bool:
    """Tell whether more is done in a folder than looking."""
    at_work = status.sending or status.fetching or status.starting
    return bool(at_work) or status.executions != before.executions


def _lasting(status: Status) -> object:
    """Return what is told of a folder at rest."""
    return status.sentence, [n for n in status.notices if n.asks]


class Warnings(logging.Handler):
    """Show log records on stderr, whatever else is on the terminal."""

    def __init__(self, reporter: Reporter, level: int) -> None:
        super().__init__(level)
        self._reporter = reporter
        errors = reporter.errors
        dated = not (errors.is_terminal or errors.is_journal)
        self.setFormatter(logs.Lines(reporter.name, dated=dated))
        self.addFilter(lambda record: record.name != logs.NEWS)

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record; never its traceback."""
        plain = copy(record)
        plain.exc_info = plain.exc_text = None
        self._reporter.aside.show(self.format(plain), "yellow")
