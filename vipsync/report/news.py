"""What has changed in a folder, as plain lines for a pipe, cron or a journal: nothing twice, no spam.

No I/O and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from vipsync.plan.draft import Level, Notice
from vipsync.report.progress import Batch
from vipsync.report.text import batch_text, execution_text, printable
from vipsync.rows import Phase
from vipsync.status.sentence import CLEAN
from vipsync.status.status import Status, is_over
from vipsync.status.words import size

PATIENCE = 10.0
"""Seconds for which a line is not said again when only its numbers have changed."""

_OUTAGE = "VIP"
"""The subject of what is said once for all folders."""

_NUMBER = re.compile(r"\d[\d.,]*")


class News(Struct):
    """The lines about one folder; it remembers what it has said."""

    _said: dict[str, tuple[float, str]] = {}
    _notices: dict[Notice, None] = {}
    _paused: bool = False

    def lines(
        self, status: Status, batches: list[Batch], ended: list[Batch], now: float
    ) -> Iterator[str]:
        """Return what is new at `now` (monotonic s). `ended`: transfers that are over."""
        for batch in ended:
            verb = _verb(batch)
            files = f"{batch.files} file{'' if batch.files == 1 else 's'}"
            yield f"{verb} {files}, {size(batch.size)} in {batch.seconds:.0f} s"
            self._said.pop(verb, None)
        for batch in batches:
            yield from self._moving(batch, now)
        if self._paused and not status.paused:
            yield "Resumed: files are sent and cases are started again."
        self._paused = status.paused
        asking = [n for n in status.notices if n.asks or n.subject == _OUTAGE]
        told_by_notice = any(_is_in(n, status.sentence) or n.subject == _OUTAGE for n in asking)
        if not told_by_notice and not status.starting:  # VIP may yet refuse what only starts
            yield from self._changed("", status.sentence, now)
        if status.phase != Phase.CLOSED:
            self._said.pop(CLEAN, None)
        elif told_by_notice and CLEAN in status.sentence:
            yield from self._changed(CLEAN, f"{CLEAN}.", now)
        for execution in status.executions:
            text = f"{execution.id}: {execution_text(execution)}"
            if is_over(execution) and execution.id not in self._said:
                self._said[execution.id] = (now, text)  # it ended before anybody listened
            yield from self._changed(execution.id, text, now)
        yield from self._noticed(status)

    def _moving(self, batch: Batch, now: float) -> Iterator[str]:
        """Say how far a batch is, but not at its start: the sentence says that it begins."""
        verb = _verb(batch)
        at, _ = self._said.setdefault(verb, (now, ""))
        if now - at >= PATIENCE:
            text = f"{batch.share:.0%}, {batch.files} of {batch.of} files, {batch_text(batch)}"
            self._said[verb] = (now, text)
            yield f"{verb} {text}"

    def _changed(self, subject: str, text: str, now: float) -> Iterator[str]:
        """Return a text that differs by more than its numbers, or that was not said for a while."""
        at, before = self._said.get(subject, (float("-inf"), ""))
        if text == before:
            return
        if _NUMBER.sub("#", text) != _NUMBER.sub("#", before) or now - at >= PATIENCE:
            self._said[subject] = (now, text)
            yield _one_line(text)

    def _noticed(self, status: Status) -> Iterator[str]:
        for notice in status.notices:
            known = notice in self._notices or notice.subject == _OUTAGE
            if not known and notice.level is not Level.WAIT:
                yield notice_text(notice)
        for notice in self._notices:
            if notice.asks and notice.subject not in {
                _OUTAGE,
                *(n.subject for n in status.notices),
            }:
                yield f"settled: {printable(notice.subject)}: {_first(notice.text)}"
        self._notices = dict.fromkeys(status.notices)


def _is_in(notice: Notice, sentence: str) -> bool:
    """Tell whether a sentence says what a notice says, which may be a list of problems."""
    return all(line.strip(" :") in sentence for line in notice.text.splitlines())


def _verb(batch: Batch) -> str:
    return "sent" if batch.upload else "fetched"


def notice_text(notice: Notice) -> str:
    """Return what is not in sync on one line, the remedy last."""
    mark = {Level.ERROR: "stopped: ", Level.PERSON: "needs you: "}.get(notice.level, "")
    return _one_line(f"{mark}{notice.subject}: {notice.text} {notice.remedy}")


def _one_line(text: str) -> str:
    return " ".join(printable(line.strip()) for line in text.splitlines()).strip()


def _first(text: str) -> str:
    return printable(text.splitlines()[0].rstrip(":")) if text else ""
