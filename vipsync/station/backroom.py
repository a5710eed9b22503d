"""What takes long in a station, one thing after another in a thread of its own: reading, copying, preparing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Work = Callable[[], object]


class Backroom:
    """Carries out one piece of work at a time; `news` is called when one has ended."""

    def __init__(self, news: Callable[[], None]) -> None:
        self.busy: set[str] = set()
        self._news = news
        self._todo: queue.SimpleQueue[tuple[str, Work]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, key: str, work: Work) -> None:
        """Take one piece of work, unless it is under way."""
        if key in self.busy:
            return
        self.busy.add(key)
        self._todo.put((key, work))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="station", daemon=True)
            self._thread.start()

    @property
    def has_news(self) -> bool:
        """Tell whether work has ended that was not taken yet."""
        return not self._done.empty()

    def take(self) -> list[tuple[str, object]]:
        """Return what has ended since, each with its outcome or the error that it met."""
        found = []
        while self.has_news:
            key, outcome = self._done.get()
            self.busy.discard(key)
            found.append((key, outcome))
        return found

    def _serve(self) -> None:
        while True:
            key, work = self._todo.get()
            self._done.put((key, _outcome(work)))
            self._news()


class AtOnce(Backroom):
    """Carries work out when it is put, in the caller's thread: whole runs repeat exactly."""

    def put(self, key: str, work: Work) -> None:
        """Carry one piece of work out."""
        if key not in self.busy:
            self.busy.add(key)
            self._done.put((key, _outcome(work)))


def _outcome(work: Work) -> object:
    try:
        return work()
    except Exception as error:  # it is told, and tried again
        return error
