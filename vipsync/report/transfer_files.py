"""How far the transfers of each folder are, written down for a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from vipsync.disk.files import entered, open_own, share
from vipsync.errors import DiskError
from vipsync.folder.folder import SessionFolder
from vipsync.report.progress import Batch


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
