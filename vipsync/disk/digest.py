"""The sha256 of what passes by, worked out beside it: hashing takes as long as the transfer itself."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

SMALL = 2**16
"""Bytes that are hashed sooner than a thread has taken them over."""


class Digest:
    """Hash blocks in a thread of its own, one at a time; hashlib lets other threads run meanwhile.

    A block must not change once it was given. No more than two are held.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()

    def update(self, block: bytes) -> None:
        """Take in a block, once the one before it is hashed."""
        self._wait()
        if len(block) > SMALL:
            self._last = self._thread.submit(self._sha256.update, block)
        else:
            self._sha256.update(block)

    def hexdigest(self) -> str:
        """Return the hash of everything that was given."""
        self._wait()
        return self._sha256.hexdigest()

    def _wait(self) -> None:
        if self._last:
            self._last.result()
