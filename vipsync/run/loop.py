"""Keep any number of session folders in step, in one process, until it is told to stop.

One thread owns all ledgers; transfers and questions to VIP run in others, shared fairly over the
folders. Nothing here decides what to do.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from vipsync import actions as do
from vipsync.act.perform import Stopped
from vipsync.disk.scan import ChangedPaths
from vipsync.disk.watch import Watcher
from vipsync.errors import FolderAbsent, FolderHeld, NotASession, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.folder.search import find_roots, find_stations
from vipsync.model import UNLIMITED
from vipsync.observe.data_set import Local
from vipsync.run.account import Accounts, Connect
from vipsync.run.dispatch import Dispatch, Executor, Lanes, Wake, Workers, fault
from vipsync.run.logs import about
from vipsync.run.reconciler import Reconciler, Work
from vipsync.run.timing import Timing
from vipsync.run.transfer_limits import TransferLimits
from vipsync.run.watching import Watching

logger = logging.getLogger(__name__)

FIND_FOLDERS_EVERY = 5.0
"""Seconds between searches for session folders; more where a search is costly, at rest it must cost nothing."""

_SEARCH_SHARE = 1 / 300
_LONGEST_SEARCH_PAUSE = 300.0
LONGEST_WAIT = 5.0
TROUBLE_PAUSE = 5.0

SLEPT = 30.0
"""Seconds by which wall clock and monotonic clock part when a machine sleeps, or a clock is set."""

NUMEROUS = (do.SendFile, do.FetchResult, *do.READS, do.MakeFolder, do.LookAtFolder)
"""Actions that come in numbers: the end of one is no reason to plan anew while others are queued."""


class Keeper(Protocol):
    """Makes sessions of a folder of its own, and says which of them are at work.

    `due` is when it wants its next turn (monotonic s), `exports` are folders in which an event asks for
    one.
    """

    root: Path

    @property
    def due(self) -> float:
        """When its next turn is due."""

    @property
    def working(self) -> frozenset[Path]:
        """The session folders that are to be kept in step now."""

    @property
    def exports(self) -> tuple[Path, ...]:
        """The folders that it looks into."""

    @property
    def at_rest(self) -> bool:
        """Tell whether nothing can advance without a person or a new file."""

    @property
    def trouble(self) -> VipsyncError | None:
        """Return what stops it."""

    def turn(
        self,
        sessions: Mapping[Path, Reconciler],
        hints: Mapping[int, ChangedPaths],
        *,
        healthy: bool,
    ) -> None:
        """Look, plan and do."""

    def close(self) -> None:
        """Let its folder go."""


NewKeeper = Callable[[Path, Timing, Callable[[], None], Callable[[], None]], Keeper]
"""Make the keeper of a station: its root, clock, what tells the loop of news, what raises at its end."""


class Loop:
    """Run the cycle of every session below some directories."""

    def __init__(
        self,
        directories: Iterable[Path],
        connect: Connect,
        *,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        timing: Timing | None = None,
        executor: Executor | None = None,
        watch: bool = True,
        publish: Callable[[Reconciler], object] = lambda _session: None,
        moved: Callable[[do.Key, int, int], None] = lambda _key, _now, _all: None,
        gone: Callable[[Path], object] = lambda _root: None,
        over: Callable[[Path], object] = lambda _root: None,
        renamed: Callable[[], Iterable[Path] | None] = lambda: None,
        looked: Callable[[], object] = lambda: None,
        pace: Callable[[], None] | None = None,
        new_keeper: NewKeeper | None = None,
        told: Callable[[Keeper], object] = lambda _keeper: None,
        is_made: Callable[[Path], bool] = lambda _root: True,
        transfer_limits: TransferLimits | None = None,
    ) -> None:
        self.keepers: dict[Path, Keeper] = {}
        self._new_keeper, self._told, self._is_made = new_keeper, told, is_made
        self.directories = list(directories)
        self.sessions: dict[Path, Reconciler] = {}
        self.timing = timing or Timing()
        self._accounts = Accounts(connect, self.timing, pace)
        self._overrides, self._environ = overrides, environ
        self._publish, self._moved, self._gone, self._over = publish, moved, gone, over
        self._renamed, self._looked = renamed, looked
        self._wake = Wake()
        self._stopping = threading.Event()
        self.transfer_limits = transfer_limits or TransferLimits(UNLIMITED, self.timing)
        self._dispatch = Dispatch(
            executor or Workers(),
            self.timing.clock,
            self._wake,
            Lanes(self.transfer_limits.settings),
        )
        clock = self.timing.clock
        self._watching = Watching(Watcher(self._wake.set), clock) if watch else None
        self._due: dict[Path, float] = {}
        self._let_go: list[Reconciler] = []
        self._stands: dict[Path, object] = {}
        self._rested = 0.0
        self._search_at: float | None = None
        self._apart: float | None = None

    # from outside

    def stop(self) -> None:
        """End soon: transfers stop at their next block. May be called from a signal handler."""
        self._stopping.set()
        self._wake.set()

    def notice(self, root: Path) -> None:
        """Look at a session soon. May be called in any thread."""
        self._due[root] = 0.0
        self._wake.set()

    @property
    def stopping(self) -> bool:
        """Tell whether the end was asked for."""
        return self._stopping.is_set()

    def run(self, until: Callable[[], bool], *, for_good: bool = True) -> None:
        """Look at all folders, and cycle until `until` says so, or until `stop`.

        `for_good`: then let all folders go. An interruption lets transfers end at their next block.
        """
        self._due.clear()
        try:
            while not self.stopping:
                self.turn()
                if until():
                    break
                self._wait(self.pause())
        except BaseException:
            self._stopping.set()
            raise
        finally:
            if for_good:
                self._stopping.set()
            self._dispatch.drain(self._settle_all)
            if for_good:
                self.close()

    def _wait(self, seconds: float) -> None:
        """Wait for an event or an outcome; where none can come, for the clock alone."""
        if self._watching or not self.idle:
            self._wake.wait(seconds)
            self._wake.clear()
        elif seconds:
            self.timing.sleep(max(seconds, 0.001))

    @property
    def idle(self) -> bool:
        """Tell whether no work is under way."""
        return self._dispatch.idle

    def close(self) -> None:
        """Let all folders go."""
        for session in self.sessions.values():
            session.close()
        for keeper in self.keepers.values():
            keeper.close()
        if self._watching:
            self._watching.stop()

    def at_rest(self) -> bool:
        """Tell whether nothing can advance in any folder without a person or a new file."""
        there = bool(self.sessions or self.keepers)
        kept = all(k.at_rest and k.due > 0.0 for k in self.keepers.values())
        return (
            there
            and kept
            and all(
                s.trouble is not None or (s.at_rest and self._due.get(root, 0.0) > 0.0)
                for root, s in self.sessions.items()
            )
        )

    # one turn

    def turn(self) -> None:
        """Take outcomes in, look where something is due, hand out work."""
        self._notice_sleep()
        self._find_sessions()
        self._settle_all(self._dispatch.take())
        now = self.timing.clock()
        if all(now < self._due.get(root, now) for root in self.sessions):
            self._hand_out()  # events ask for no haste: transfers need not wait for the look
        looked = self._look_around(now)
        self._keep({session.folder.root for session in looked})
        self._hand_out()
        let_go, self._let_go = self._let_go, []
        for session in dict.fromkeys([*looked, *let_go]):  # words can wait, what is to be sent not
            self._tell(session)
        self._forget(session.folder.root for session in let_go)
        if self._watching:
            self._watching.say_limit()  # now each folder has its log
        if looked:
            self._rest_after(self.timing.clock() - now)

    def _forget(self, let_go: Iterable[Path]) -> None:
        """Keep nothing of sessions that were told for the last time: a station has more every day."""
        for root in let_go:
            if root not in self.sessions:
                self._stands.pop(root, None)
                self._over(root)

    def _tell(self, session: Reconciler) -> None:
        """Publish how a session is; a fault in its words keeps nobody from working."""
        with about(session.folder.root):
            try:
                self._publish(session)
            except Exception:
                logger.exception("what is true now could not be told")

    def _look_around(self, now: float) -> list[Reconciler]:
        """Look at the sessions where something happened or is due; return them."""
        looked = []
        rested = now >= self._rested
        hints = self._watching.take(self.sessions) if self._watching and rested else {}
        for root, session in self.sessions.items():
            mine = hints.get(root, {})
            if mine or now >= self._due.get(root, now) or self._turn_came(session):
                self._look(session, mine)
                looked.append(session)
        return looked

    # stations

    def _keep(self, looked: Collection[Path]) -> None:
        """Give each station its turn where it is due, or one of its sessions was looked at."""
        for root, keeper in self.keepers.items():
            hints = self._watching.exports(root) if self._watching else {}
            mine = any(keeper.root in path.parents and self._moved_on(path) for path in looked)
            if not (hints or mine or self.timing.clock() >= keeper.due):
                continue
            with about(root):
                healthy = self._watching is not None and self._watching.exports_healthy(root)
                keeper.turn(self.sessions, hints, healthy=healthy)
                self._told(keeper)
            if self._watching:
                self._watching.follow_exports(root, keeper.exports)
            self._take_working(keeper)

    def _moved_on(self, root: Path) -> bool:
        """Tell whether a session's plan or ledger is another one than when this was last asked."""
        session = self.sessions[root]
        version = session.ledger.state.version if session.is_open else 0
        now = (version, id(session.plan), session.at_rest, session.trouble)
        before, self._stands[root] = self._stands.get(root), now
        return now != before

    def _take_working(self, keeper: Keeper) -> None:
        """Take in the sessions that are to be kept, and let those go that are over."""
        for root in sorted(keeper.working - self.sessions.keys()):
            self.add(SessionFolder(root))
            self._due[root] = 0.0
        mine = [root for root in self.sessions if keeper.root in root.parents]
        for root in mine:
            session = self.sessions[root]
            if root in keeper.working or session.memory.under_way or keeper.trouble:
                continue
            self._tell(session)  # what is made of its results can be begun only while it is open
            if session.is_open and not self._is_made(root):
                continue
            session.close()
            del self.sessions[root]
            self._due.pop(root, None)
            self._let_go.append(session)
            if self._watching:
                self._watching.forget(root)

    def _rest_after(self, looked: float) -> None:
        """Leave events for later after a costly look: results that come are events, hundreds of them."""
        now = self.timing.clock()
        self._rested = max(self._rested, now + 4 * looked)

    def _notice_sleep(self) -> None:
        """Look everywhere after the machine was asleep: events of that time are lost."""
        apart = self.timing.wall() - self.timing.clock()
        if self._apart is not None and abs(apart - self._apart) > SLEPT:
            for root, session in self.sessions.items():
                self._due[root] = 0.0
                if session.observer:
                    session.observer.look_everywhere()
        self._apart = apart

    def _look(self, session: Reconciler, hints: Mapping[str, ChangedPaths]) -> None:
        root, started = session.folder.root, self.timing.clock()
        with about(root):
            try:
                session.look(
                    inputs=hints.get("inputs", frozenset()),
                    outputs=hints.get("outputs", frozenset()),
                    healthy=self.healthy(root),
                )
            except Exception as error:  # one folder's fault must not stop the others
                logger.exception("a look failed unexpectedly")
                session.trouble = fault(error)
        if self._watching:
            self._watching.follow(session)
        now = self.timing.clock()
        self._due[root] = self._next_due(session, now, now - started)
        self._looked()

    def healthy(self, root: Path) -> bool:
        """Tell whether events say all that happens in a session's places."""
        return self._watching is not None and self._watching.healthy(root)

    def _next_due(self, session: Reconciler, now: float, cost: float) -> float:
        """Return when to look again. A look that is costly must not fill the day.

        Its share of the time stays below a fifth, and below a half where a file becomes quiet.
        """
        observer, due = session.observer, now + TROUBLE_PAUSE
        quiet = float("inf")
        if observer and not session.trouble:
            due, quiet = float("inf"), observer.next_look
            if not self.healthy(session.folder.root):
                due = now + LONGEST_WAIT  # the marker and requests cost one look each
            if session.plan and session.plan.due is not None:
                due = min(due, session.plan.due)
        return min(max(due, now + 4 * cost), max(quiet, now + cost))

    def _hand_out(self) -> None:
        """Start work while there is room, one action of each folder in turn."""
        waiting = deque(s for s in self.sessions.values() if s.queue)
        accounts = {s.account for s in self.sessions.values() if s.account} if waiting else set()
        while waiting:
            session = waiting.popleft()
            closed = self._dispatch.closed(session.account, accounts)
            if not session.has_work(but=closed):
                continue
            with self._alone(session):
                handed = self._dispatch.hand_out(session, closed)
                if handed and session.queue:
                    waiting.append(session)
                elif not handed and not session.queue:
                    self._due[session.folder.root] = 0.0

    @contextmanager
    def _alone(self, session: Reconciler) -> Iterator[None]:
        """Let a session go whose ledger cannot be written, or that meets a fault of ours.

        What it holds on disk is what is true. The others work on, and it is tried again in a while.
        """
        with about(session.folder.root):
            try:
                yield
            except VipsyncError as error:
                self._give_up(session, error)
            except Exception as error:
                logger.exception("a step failed unexpectedly")
                self._give_up(session, fault(error))

    def _give_up(self, session: Reconciler, error: VipsyncError) -> None:
        session.close()
        session.trouble = error
        self._due[session.folder.root] = self.timing.clock() + TROUBLE_PAUSE
        self._let_go.append(session)

    def _settle_all(self, ended: Iterable[tuple[Work, do.Outcome]]) -> None:
        """Record what has ended, what belongs to one session at once: each flush of the disk takes long."""
        by_session: defaultdict[Reconciler, list[tuple[do.Action, do.Outcome]]] = defaultdict(list)
        for work, outcome in ended:
            by_session[work.session].append((work.action, outcome))
        for session, outcomes in by_session.items():
            self._settle(session, outcomes)

    def _settle(
        self, session: Reconciler, outcomes: Sequence[tuple[do.Action, do.Outcome]]
    ) -> None:
        root, shared = session.folder.root, session.memory.account
        before = shared.version
        with self._alone(session):
            session.settle_all(outcomes)
        plain = all(isinstance(a, NUMEROUS) and not isinstance(o, do.Failed) for a, o in outcomes)
        if session.is_open and not (plain and session.queue):
            self._due[root] = 0.0
        if shared.version != before:  # what was learned of the account concerns all its folders
            for other, sharing in self.sessions.items():
                if sharing.memory.account is shared:
                    self._due[other] = 0.0

    @staticmethod
    def _turn_came(session: Reconciler) -> bool:
        snapshot = session.snapshot
        queued = snapshot is not None and not snapshot.first_in_queue
        return queued and session.waits and session.first_in_queue

    def pause(self) -> float:
        """Return the seconds until something is due; none while outcomes wait."""
        if self._dispatch.waiting:
            return 0.0
        now = self.timing.clock()
        kept = (keeper.due for keeper in self.keepers.values())
        due = (self._due.get(root, now) for root in self.sessions)
        soonest = min((*due, *kept), default=now + 1.0)
        if self._watching and now < self._rested:
            soonest = min(soonest, self._rested)
        return min(max(0.0, soonest - now), LONGEST_WAIT)

    def _check_stop(self) -> None:
        if self.stopping:
            raise Stopped

    # which folders

    def _find_sessions(self) -> None:
        """Take in session folders that were made meanwhile; one that was seen once stays.

        One that was moved is the same session in another place.
        """
        began = self.timing.clock()
        if self._search_at is not None and began < self._search_at:
            return
        self._search()
        cost = self.timing.clock() - began
        pause = max(FIND_FOLDERS_EVERY, min(cost / _SEARCH_SHARE, _LONGEST_SEARCH_PAUSE))
        self._search_at = began + pause

    def _search(self) -> None:
        if (directories := self._renamed()) is not None:
            self._keep_to(directories)
        for directory in self.directories:
            try:
                found = find_roots(directory, of_stations=self._new_keeper is None)
            except NotASession:
                if not self.sessions and not self.keepers:
                    raise
                continue
            self._find_stations(directory)
            for root in found:
                if root not in self.sessions:
                    folder = SessionFolder(root)
                    self._let_place_before_go(folder)
                    self.add(folder)

    def _find_stations(self, directory: Path) -> None:
        for root in find_stations(directory) if self._new_keeper else ():
            if self._new_keeper and root not in self.keepers:
                keeper = self._new_keeper(root, self.timing, self._wake.set, self._check_stop)
                self.keepers[root] = keeper

    def _let_place_before_go(self, folder: SessionFolder) -> None:
        """Let go of the place that a session was moved from: a path that nothing is at any more."""
        for root, session in self.sessions.items():
            if session.id and not os.path.lexists(root) and session.id == _id_of(folder):
                self._let_place_go(root)
                with about(folder.root):
                    logger.info("moved here from %s", root)
                return

    def _keep_to(self, directories: Iterable[Path]) -> None:
        """Keep what these directories are or hold from now on, and nothing else."""
        self.directories = list(directories)
        tops = [SessionFolder(directory).root for directory in self.directories]
        for root in list(self.sessions):
            if not any(root.is_relative_to(top) for top in tops):
                self._let_place_go(root)

    def _let_place_go(self, root: Path) -> None:
        """Let a session go for good; what is under way for it is settled by whoever takes it next."""
        self.sessions.pop(root).close()
        self._gone(root)
        if self._watching:
            self._watching.forget(root)
        self._due.pop(root, None)

    def add(
        self,
        folder: SessionFolder,
        data_set: Local | None = None,
    ) -> Reconciler:
        """Take in a session folder, or one of a script, and return its session."""
        self.sessions[folder.root] = Reconciler(
            folder,
            self._accounts,
            overrides=self._overrides,
            environ=self._environ,
            timing=self.timing,
            stop=self._check_stop,
            moved=self._moved,
            data_set=data_set,
            transfer_limits=self.transfer_limits,
        )
        return self.sessions[folder.root]

    def held_elsewhere(self) -> list[Path]:
        """Return the folders in which another process works."""
        return [r for r, s in self.sessions.items() if isinstance(s.trouble, FolderHeld)]


def _id_of(folder: SessionFolder) -> str:
    with suppress(FolderAbsent):
        identity = folder.identity()
        return identity.id if identity else ""
    return ""
