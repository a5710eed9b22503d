"""Show what happened in folders: their logs, in the order of time, and what comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from pathlib import Path

from vipsync.commands.context import Context, meant, sessions_of
from vipsync.disk.files import opened_file, unreadable
from vipsync.report.text import printable
from vipsync.run.logs import STAMP

_LOOK_EVERY = 0.5
_KEPT = ("vipsync.log.2", "vipsync.log.1", "vipsync.log")


def log(context: Context, named: Sequence[Path], *, follow: bool) -> int:
    """Show the logs of folders."""
    return show(context, meant(context, named), follow=follow)


def show(
    context: Context,
    directories: Sequence[Path],
    *,
    follow: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Show the logs of the sessions that directories are or hold; `follow`: and what comes, for ever."""
    folders = [folder.log.parent for folder in sessions_of(directories)]
    tails = [Tail(folder / _KEPT[-1]) for folder in folders] if follow else []
    said = False
    for line in in_order([_lines(folder) for folder in folders]):
        said = True
        context.reporter.say(line)
    if not said:
        context.reporter.say("There is no log yet: `vipsync run` writes it.", "dim")
    while tails:
        for line in in_order([tail.new() for tail in tails]):
            context.reporter.say(line)
        sleep(_LOOK_EVERY)
    return 0


def in_order(logs: Sequence[Iterator[str]]) -> Iterator[str]:
    """Return lines by their time; one that concerns all folders stands in each log, and is shown once."""
    said: set[str] = set()
    at = ""
    for when, line in merge(*map(_timed, logs), key=lambda pair: pair[0]):
        if when != at:
            at, said = when, set()
        if line not in said:
            said.add(line)
            yield printable(line)


def _timed(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Give each line its time; what follows a line without one, as a traceback, belongs to it."""
    when = ""
    for line in lines:
        if line[:4].isdecimal() and line[STAMP : STAMP + 2] == "  ":
            when = _utc(line[:STAMP])
        yield when, line


def _utc(stamp: str) -> str:
    """Return a time that sorts, whatever the offset in summer and winter."""
    from datetime import UTC, datetime

    try:
        return datetime.fromisoformat(stamp).astimezone(UTC).isoformat()
    except ValueError:
        return stamp


def _lines(folder: Path) -> Iterator[str]:
    for name in _KEPT:
        try:
            with opened_file(folder / name) as file:
                yield from (line.decode("utf-8", "replace").rstrip("\n") for line in file)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unreadable(folder / name, error) from error


class Tail:
    """The lines that come to a file from now on, also where it is put aside and begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._at = self._now()
        self._rest = ""

    def _now(self) -> tuple[int, int]:
        try:
            info = self._path.stat()
        except OSError:
            return 0, 0
        return info.st_ino, info.st_size

    def new(self) -> Iterator[str]:
        """Return the whole lines that came since the last call."""
        inode, size = self._now()
        if inode != self._inode or size < self._at:
            self._inode, self._at, self._rest = inode, 0, ""
        if size == self._at:
            return
        try:
            with opened_file(self._path) as file:
                file.seek(self._at)
                text = self._rest + file.read().decode("utf-8", "replace")
                self._at = file.tell()
        except OSError:
            return
        *lines, self._rest = text.split("\n")
        yield from lines
