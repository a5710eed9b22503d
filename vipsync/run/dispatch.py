"""Hand work to threads, and take back what came of it in the thread that owns the ledgers.

At most eight threads work over all folders (house 6.6), fewer for a server that refuses
transfers or answers late. Nothing here decides what to do.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from msgspec import Struct

from vipsync import actions as do
from vipsync.act.perform import Stopped
from vipsync.errors import BadAnswer, GenericVipError, Unreachable, VipsyncError
from vipsync.model import MOST_TRANSFERS
from vipsync.run.account import Account
from vipsync.run.logs import about
from vipsync.run.reconciler import Reconciler, Work

logger = logging.getLogger(__name__)

AHEAD = 2
"""Pieces of work that are ready for the next free thread, so that none waits for the ledger."""

STOP_GRACE = 5.0

LATE = 20.0
"""Seconds after which a small transfer is late: VIP needs two, and gives up after 45 (facts 3.5)."""

SMALL = 2**20
"""Bytes up to which the time of a transfer is the server's, not that of the line."""

TRANSFERS = (do.SendFile, do.SendPack, do.FetchResult)

Done = Callable[[Work, do.Outcome | None], None]


class Executor(Protocol):
    """Carries out work; `done` is told what came of it, None where the program is stopping."""

    def submit(self, work: Work, done: Done) -> None:
        """Take one piece of work."""


class Workers:
    """Threads that carry out work; they never keep the program from ending."""

    def __init__(self, count: int = MOST_TRANSFERS) -> None:
        self._queue: queue.SimpleQueue[tuple[Work, Done]] = queue.SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._serve, name=f"transfer-{number}", daemon=True).start()

    def submit(self, work: Work, done: Done) -> None:
        """Take one piece of work."""
        self._queue.put((work, done))

    def _serve(self) -> None:
        while True:
            work, done = self._queue.get()
            carry_out(work, done)


class Serial:
    """Carries out work at once, in the caller's thread: whole runs repeat exactly."""

    def submit(self, work: Work, done: Done) -> None:
        """Carry one piece of work out."""
        carry_out(work, done)


def carry_out(work: Work, done: Done) -> None:
    """Carry out work and tell; a fault of ours is told too, so that nothing waits for ever."""
    with about(work.session.folder.root):
        try:
            done(work, work.run())
        except Stopped:
            done(work, None)
        except Exception as error:
            logger.exception("%s failed unexpectedly", type(work.action).__name__)
            done(work, do.Failed(fault(error)))


def fault(error: Exception) -> VipsyncError:
    """Return what a person is told of a mistake in vipsync itself; its log has the rest."""
    return VipsyncError(f"A fault in vipsync: {type(error).__name__}.", "Please report it.")


def strained(action: do.Action, outcome: do.Outcome, seconds: float) -> bool | None:
    """Tell whether a transfer shows that the server has too much to do; None where it shows nothing."""
    if not isinstance(action, TRANSFERS):
        return None
    if isinstance(outcome, do.Failed):
        asked_less = outcome.error.retry_after is not None
        overdone = isinstance(outcome.error, (GenericVipError, BadAnswer, Unreachable))
        return True if asked_less or overdone else None
    size = action.state.size if not isinstance(action, do.FetchResult) else action.size
    return size <= SMALL and seconds > LATE


class _Errand(Struct, frozen=True, eq=False):
    """Work that is under way. `first`: it was taken from the beginning of its queue."""

    work: Work
    account: Account | None
    round: int
    first: bool
    began: float


class Dispatch:
    """What is under way, for the one thread that hands it out; `news` is set when something ends."""

    def __init__(
        self, executor: Executor, clock: Callable[[], float], news: threading.Event
    ) -> None:
        self.news = news
        self._executor, self._clock = executor, clock
        self._under_way: set[_Errand] = set()
        self._ended: queue.SimpleQueue[tuple[_Errand, do.Outcome | None, float]]
        self._ended = queue.SimpleQueue()

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way."""
        return not self._under_way

    @property
    def waiting(self) -> bool:
        """Tell whether outcomes wait to be taken."""
        return not self._ended.empty()

    def has_room(self, session: Reconciler) -> bool:
        """Tell whether one more piece of work of this session may be under way."""
        if len(self._under_way) >= MOST_TRANSFERS + AHEAD:
            return False
        account = session.account
        if account is None or account.room >= MOST_TRANSFERS:
            return True
        return sum(errand.account is account for errand in self._under_way) < account.room

    def hand_out(self, session: Reconciler) -> bool:
        """Start the next work of a session; False where it has none.

        Of four, three come from the beginning of the queue, where the biggest transfers are, so that
        no long tail remains; one from its end, so that small ones need not wait for all big ones.
        """
        first = 4 * sum(errand.first for errand in self._under_way) < 3 * MOST_TRANSFERS
        work = session.next_work(from_end=not first)
        if work is None:
            return False
        account = session.account
        began_in = account.window.round if account else 0
        errand = _Errand(work, account, began_in, first, self._clock())
        self._under_way.add(errand)
        self._executor.submit(work, lambda _work, outcome: self._end(errand, outcome))
        return True

    def _end(self, errand: _Errand, outcome: do.Outcome | None) -> None:
        self._ended.put((errand, outcome, self._clock()))
        self.news.set()

    def take(self) -> Iterator[tuple[Work, do.Outcome]]:
        """Yield what has ended since; what was stopped by the end of the program tells nothing."""
        while True:
            try:
                errand, outcome, ended = self._ended.get_nowait()
            except queue.Empty:
                return
            self._under_way.remove(errand)
            if outcome is None:
                continue
            strain = strained(errand.work.action, outcome, ended - errand.began)
            if strain is not None and errand.account:
                errand.account.window.note(errand.round, strained=strain)
            yield errand.work, outcome

    def drain(self, settle: Callable[[Iterable[tuple[Work, do.Outcome]]], None]) -> None:
        """Give what is under way a moment to end, so that its outcome is known."""
        deadline = time.monotonic() + STOP_GRACE
        while self._under_way and time.monotonic() < deadline:
            self.news.wait(0.05)
            self.news.clear()
            settle(self.take())
