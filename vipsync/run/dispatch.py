"""Hand work to threads, and take back what came of it in the thread that owns the ledgers.

At most eight transfers run over all folders (house 6.6), fewer for a server that refuses them or
answers late, and fewer below a ceiling. Nothing here decides what to do.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol, get_args

from msgspec import Struct

from vipsync import actions as do
from vipsync.act.perform import Stopped
from vipsync.errors import BadAnswer, GenericVipError, Unreachable, VipsyncError
from vipsync.model import MOST_TRANSFERS, UNLIMITED, TransfersSettings, replace
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

QUESTIONS = 2
"""Pieces of other work that have room beside transfers, which may each take hours."""

MOST_READS = 64
"""Small files that are read or wait for it, so that one flush of the ledger takes in many of them."""

SLOWEST_LANE = 32_000
"""Bytes per second that a transfer gets below a ceiling: fewer, and somebody on the way gives up on it."""

EVERYTHING = (object,)
ALL_BUT_READS = tuple(kind for kind in get_args(do.Action) if kind not in do.READS)

Done = Callable[[Work, do.Outcome | None], None]


class Executor(Protocol):
    """Carries out work; `done` is told what came of it, None where the program is stopping."""

    def submit(self, work: Work, done: Done) -> None:
        """Take one piece of work."""


class Workers:
    """Threads that carry out work, so many transfers at once; they never keep the program from ending."""

    def __init__(self, transfers: int = MOST_TRANSFERS, others: int = QUESTIONS) -> None:
        self._transfers: deque[tuple[Work, Done]] = deque()
        self._others: deque[tuple[Work, Done]] = deque()
        self._free = transfers
        self._news = threading.Condition()
        for number in range(transfers + others):
            threading.Thread(target=self._serve, name=f"transfer-{number}", daemon=True).start()

    def submit(self, work: Work, done: Done) -> None:
        """Take one piece of work."""
        moves = isinstance(work.action, do.TRANSFERS)
        with self._news:
            (self._transfers if moves else self._others).append((work, done))
            self._news.notify()

    def _serve(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._others or (self._free and self._transfers))
                moves = not self._others
                self._free -= moves
                work, done = (self._transfers if moves else self._others).popleft()
            carry_out(work, done)
            if moves:
                with self._news:
                    self._free += 1
                    self._news.notify()


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
    if not isinstance(action, do.TRANSFERS):
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


class Lanes:
    """How many transfers may be under way in this process: in all, and where a ceiling makes them slow.

    What is slow leaves room for the other direction.
    """

    def __init__(self, settings: TransfersSettings = UNLIMITED) -> None:
        limited = replace(settings, free=UNLIMITED.free) != UNLIMITED
        self.most = settings.streams if limited else MOST_TRANSFERS + AHEAD
        self.up, self.down = (self._lane(rate) for rate in (settings.upload, settings.download))
        self._settings = settings

    def _lane(self, rate: float) -> int:
        most = max(1, self.most - max(1, self.most // 4))
        return max(1, min(most, int(rate // SLOWEST_LANE))) if rate else self.most

    def closed(self, actions: Iterable[do.Action]) -> tuple[type, ...]:
        """Return the kinds of transfers that may not begin beside those that are under way."""
        up = down = 0
        for action in actions:
            up += isinstance(action, do.SENDS)
            down += isinstance(action, do.FetchResult)
        if up + down >= self.most:
            return do.TRANSFERS
        return (do.SENDS if up >= self.up else ()) + (
            (do.FetchResult,) if down >= self.down else ()
        )

    def biggest_next(self, firsts: Sequence[do.Action], closed: tuple[type, ...]) -> bool:
        """Tell whether the next comes from the beginning, as these did: three of four, and of each direction."""
        lanes = ((do.TRANSFERS, self.most), (do.SENDS, self.up), ((do.FetchResult,), self.down))
        return all(
            4 * sum(isinstance(action, kinds) for action in firsts) < 3 * min(MOST_TRANSFERS, lane)
            for kinds, lane in lanes
            if lane > 3 and not set(closed).issuperset(kinds)
        )

    def slow(self, action: do.Action) -> bool:
        """Tell whether a ceiling sets the pace of this transfer, and not the server."""
        sends = isinstance(action, do.SENDS)
        return bool(self._settings.upload if sends else self._settings.download)


def has_share(
    account: Account | None,
    accounts: Collection[Account],
    under_way: Sequence[Account | None],
    most: int,
) -> bool:
    """Tell whether an account may have one more of `most`: each other one is left its least share.

    So no server that lets everything drip keeps all threads from the folders of another one.
    """
    least = max(1, most // (2 * max(1, len(accounts))))
    owed = sum(max(least, under_way.count(other)) for other in accounts if other is not account)
    return under_way.count(account) < max(1, most - owed)


class Wake:
    """What ends a wait. A handler of signals may set it: an Event would wait for a lock that its own thread holds."""

    def __init__(self) -> None:
        self._set = SimpleQueue[None]()

    def set(self) -> None:
        """End the wait of now, or the next one."""
        self._set.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until it is set, and so many seconds at most."""
        with suppress(Empty):
            self._set.get(timeout=max(seconds, 0.0))

    def clear(self) -> None:
        """Forget that it was set."""
        with suppress(Empty):
            while True:
                self._set.get_nowait()


class Dispatch:
    """What is under way, for the one thread that hands it out; `news` is set when something ends."""

    def __init__(
        self,
        executor: Executor,
        clock: Callable[[], float],
        news: Wake,
        lanes: Lanes | None = None,
    ) -> None:
        self.news = news
        self._lanes = lanes or Lanes()
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

    def closed(self, account: Account | None, accounts: Collection[Account]) -> tuple[type, ...]:
        """Return the kinds of actions that may not begin now for one of the accounts of this process."""
        transfers = [e for e in self._under_way if isinstance(e.work.action, do.TRANSFERS)]
        whose = [errand.account for errand in self._under_way]
        full = len(whose) >= MOST_TRANSFERS + AHEAD
        if full and len(whose) - len(transfers) >= QUESTIONS:
            return ALL_BUT_READS if self._reads_on() else EVERYTHING
        if account and whose.count(account) >= account.room < MOST_TRANSFERS:
            return EVERYTHING
        if len(accounts) > 1 and not has_share(
            account, accounts, whose, MOST_TRANSFERS + QUESTIONS
        ):
            return EVERYTHING
        moving, most = (
            [errand.account for errand in transfers],
            min(MOST_TRANSFERS, self._lanes.most),
        )
        if full or (len(accounts) > 1 and not has_share(account, accounts, moving, most)):
            return do.TRANSFERS
        return self._lanes.closed(errand.work.action for errand in transfers)

    def _reads_on(self) -> bool:
        """Tell whether one more file may be read: what waits behind it waits for a moment only."""
        actions = [errand.work.action for errand in self._under_way]
        sizes = [action.state.size for action in actions if isinstance(action, do.READS)]
        return len(sizes) == len(actions) < MOST_READS and sum(sizes) < SMALL

    def hand_out(self, session: Reconciler, closed: tuple[type, ...] = ()) -> bool:
        """Start the next work of a session, of no closed kind; False where none may begin.

        Of four, three come from the beginning of the queue, where the biggest transfers are, so that
        no long tail remains; one from its end, so that small ones need not wait for all big ones.
        """
        firsts = [errand.work.action for errand in self._under_way if errand.first]
        first = self._lanes.biggest_next(firsts, closed)
        work = session.next_work(from_end=not first, but=closed)
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
            taken = 0.0 if self._lanes.slow(errand.work.action) else ended - errand.began
            strain = strained(errand.work.action, outcome, taken)
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
