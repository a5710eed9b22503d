"""A word for `status` that needs no room on the disk: written over a file that was made while there was some."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

import msgspec
from msgspec import Struct

from vipsync.disk.files import read_small
from vipsync.folder.folder import SessionFolder

_SIZE = 4096
_BLANK = b" " * _SIZE
_OVER = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Word(Struct, frozen=True):
    """What stands in the way of writing the state; `at` in UTC seconds."""

    at: float
    text: str


class Reserve:
    """The place of that word in one folder, for the process that writes its state."""

    def __init__(self) -> None:
        self._blank = False

    def clear(self, folder: SessionFolder) -> None:
        """Take the word back, and have room for the next one. Raise DiskError."""
        if self._blank:
            return
        with suppress(OSError):
            self._blank = read_small(folder.reserve) == _BLANK
        if not self._blank:
            folder.write(folder.reserve, _BLANK)
            self._blank = True

    def say(self, folder: SessionFolder, word: Word) -> None:
        """Write a word in the room that was kept for it; where there is none, nothing can be said."""
        text = msgspec.json.encode(Word(word.at, word.text[:500]))
        with suppress(OSError):
            handle = os.open(folder.reserve, _OVER)
            try:
                info = os.fstat(handle)
                own = stat.S_ISREG(info.st_mode) and info.st_nlink == 1
                if own and info.st_size == _SIZE and len(text) <= _SIZE:
                    os.write(handle, text.ljust(_SIZE))
                    os.fsync(handle)
                    self._blank = False
            finally:
                os.close(handle)


def spoken(folder: SessionFolder) -> Word | None:
    """Return the word that stands there; None while the state can be written."""
    try:
        return msgspec.json.decode(read_small(folder.reserve), type=Word)
    except (OSError, ValueError, RecursionError):
        return None
