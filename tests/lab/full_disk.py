"""A disk below one folder that refuses writes: any one of them, or all from one on, with any errno."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NEED_NO_SPACE = ("unlink", "rmdir", "utime")
_READS = ("SELECT", "PRAGMA journal", "PRAGMA synch", "PRAGMA page_count", "ROLLBACK")


class Disk:
    """Count the writes below `root`; refuse those that `refuses` says, by their number from 1.

    Its parts stand for the system's calls: names made, renamed and linked, bytes written and
    flushed, statements that change a database.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.paths: list[str] = []
        self.refused: list[str] = []
        self.refuses: Callable[[int], bool] = lambda _number: False
        self.errno = errno.ENOSPC

    def write(self, path: object) -> None:
        """Count one write; raise OSError where it is refused."""
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        where = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        if not f"{where}/".startswith(f"{self.root}/"):
            return
        self.paths.append(where.removeprefix(self.root))
        if self.refuses(len(self.paths)):
            self.refused.append(self.paths[-1])
            raise OSError(self.errno, os.strerror(self.errno), where)


@contextmanager
def refusing_disk(root: Path) -> Iterator[Disk]:
    """Put a disk that can refuse below every write of this process."""
    disk = Disk(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "write", "mkdir", *_NEED_NO_SPACE):
            patch.setattr(os, name, _checked(disk, name, 0))
        for name in ("rename", "replace", "link", "symlink"):
            patch.setattr(os, name, _checked(disk, name, 1))
        patch.setattr(os, "open", _os_open(disk))
        opened = _opened(disk)
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        patch.setattr(sqlite3, "connect", _connect(disk))
        yield disk


def _checked(disk: Disk, name: str, at: int) -> Callable[..., Any]:
    really = getattr(os, name)

    def call(*arguments: Any, **options: Any) -> Any:
        there = name == "mkdir" and Path(arguments[0]).is_dir()  # said before the disk is asked
        if not there and (disk.errno != errno.ENOSPC or name not in _NEED_NO_SPACE):
            folder = options.get("dir_fd")
            path = arguments[at]
            disk.write(path if folder is None else f"/proc/self/fd/{folder}/{path}")
        return really(*arguments, **options)

    return call


def _os_open(disk: Disk) -> Callable[..., int]:
    really = os.open

    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            disk.write(path)
        return really(path, flags, *arguments, **options)

    return call


class _Raw(io.FileIO):
    """A file whose bytes are counted where they leave the process."""

    disk: Disk

    def write(self, block: Any, /) -> int:
        self.disk.write(self.fileno())
        return super().write(block)


def _opened(disk: Disk) -> Callable[..., Any]:
    really = io.open

    def call(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+"):
            return really(file, mode, *arguments, **options)
        if not isinstance(file, int):
            disk.write(file)
        bare = mode.replace("b", "").replace("t", "")
        raw = _Raw(file, bare, options.get("closefd", True), options.get("opener"))
        raw.disk = disk
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffer
        keep = {k: v for k, v in options.items() if k in ("encoding", "errors", "newline")}
        return io.TextIOWrapper(buffer, **keep)

    return call


def _connect(disk: Disk) -> Callable[..., sqlite3.Connection]:
    really = sqlite3.connect

    class Database(sqlite3.Connection):
        path = ""

        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            if not statement.startswith(_READS):
                self.check()
            return super().execute(statement, *arguments)

        def executemany(self, statement: str, rows: Any) -> sqlite3.Cursor:
            self.check()
            return super().executemany(statement, rows)

        def check(self) -> None:
            try:
                disk.write(self.path)
            except OSError as error:
                words = {errno.ENOSPC: "database or disk is full"}
                text = words.get(disk.errno, "attempt to write a readonly database")
                raise sqlite3.OperationalError(text) from error

    def call(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        made = really(path, *arguments, factory=Database, **options)
        made.path = path
        return made

    return call
