"""The loop: observe → plan → act → record, for one session; nothing happens outside these phases.

Intents are committed before an action is handed out, outcomes when they come back; both in the
thread that calls, so that the ledger has one writer.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from msgspec import Struct

from vipsync import actions as do
from vipsync.act.perform import Tools, act
from vipsync.act.results import part_name
from vipsync.disk.files import unreadable
from vipsync.disk.scan import ChangedPaths, Identity, identity, same_folder
from vipsync.disk.walk import printable
from vipsync.errors import FolderAbsent, FolderCopied, FolderHeld, VipsyncError
from vipsync.folder.adoption import rows_to_adopt
from vipsync.folder.folder import SessionFolder
from vipsync.folder.holding import Hold, take
from vipsync.model import UNLIMITED, Settings, replace
from vipsync.observe.data_set import Local
from vipsync.observe.observer import Observer
from vipsync.plan.draft import Level, Plan
from vipsync.plan.memory import SLOT, Memory
from vipsync.plan.plan import plan
from vipsync.plan.privacy import Gate
from vipsync.plan.snapshot import Snapshot
from vipsync.record.ledger import Ledger
from vipsync.record.outcomes import intent, record
from vipsync.rows import (
    Changes,
    LastSettings,
    Launch,
    LaunchStatus,
    Phase,
    ResultStatus,
    Row,
    State,
)
from vipsync.run.account import Access, Account, Accounts
from vipsync.run.timing import Timing
from vipsync.run.transfer_limits import TransferLimits

logger = logging.getLogger(__name__)


class Work(Struct, frozen=True):
    """One action on its way: carry it out with `run`, give what comes of it to `settle`."""

    session: Reconciler
    action: do.Action
    tools: Tools

    def run(self) -> do.Outcome:
        """Carry the action out; may be called in any thread."""
        return act(self.action, self.tools)


class Reconciler:
    """Keep one session folder and its data on VIP in step."""

    def __init__(
        self,
        folder: SessionFolder,
        accounts: Accounts,
        *,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        timing: Timing | None = None,
        planner: Callable[[Snapshot], Plan] = plan,
        data_set: Local | None = None,
        stop: Callable[[], None] = lambda: None,
        moved: Callable[[do.Key, int, int], None] = lambda _key, _now, _all: None,
        transfer_limits: TransferLimits | None = None,
    ) -> None:
        self.folder = folder
        self.timing = timing or Timing()
        self.memory = Memory()
        self.queue: deque[do.Action] = deque()
        self._left: Counter[type] = Counter()
        self.snapshot: Snapshot | None = None
        self.plan: Plan | None = None
        self.trouble: VipsyncError | None = None
        self.confirmed: float | None = None
        self._access = Access(accounts)
        self._new = False
        self._basis: object = None
        self._id = ""
        self._root: Identity | None = None
        self._cleared: Path | None = None
        self.planner = planner
        self._overrides, self._environ, self._data_set = overrides, environ, data_set
        self._stop, self._moved = stop, moved
        self._transfer_limits = transfer_limits or TransferLimits(UNLIMITED, self.timing)
        self._doubts: tuple[Launch, ...] = ()
        self._hold: Hold | None = None
        self.observer: Observer | None = None

    # being there

    @property
    def ledger(self) -> Ledger:
        """The open ledger."""
        if self._hold is None:
            raise AssertionError("the session is not open")
        return self._hold.ledger

    def open(self) -> None:
        """Take the folder, and begin anew with what its ledger says.

        Raise FolderCopied, FolderHeld, FolderAbsent or DiskError.
        """
        if self._hold:
            return
        timing = self.timing
        observer = Observer(
            self.folder,
            self._overrides,
            self._environ,
            timing.clock,
            timing.wall,
            self._data_set,
        )
        self._hold, self.observer = take(self.folder, self._id, self.timing.wall), observer
        self._id, self._new = self._hold.id, self.ledger.state.is_new
        self._root, self._cleared = identity(self.folder.root), None
        before = self.memory  # threads may still be at work
        if not before.under_way:
            self.folder.clear_leftovers(keep=_unfinished(self.ledger.state))
        session = self.ledger.state.session
        self.memory = Memory(
            unanswered_at=self._by_this_clock(session.unanswered_at),
            asked_before=self._by_this_clock(session.removal_asked_at),
            under_way=before.under_way,
            was_absent=before.was_absent,
            was_finishing=session.phase in (Phase.FINISHING, Phase.REMOVING),
            opened_at=timing.clock(),
        )

    def _by_this_clock(self, at: float | None) -> float | None:
        """Return when something was, on the monotonic clock: now, where the wall clock was set back since."""
        return None if at is None else self.timing.clock() - max(0.0, self.timing.wall() - at)

    def close(self) -> None:
        """Let the folder go; what is under way is settled by the next start."""
        if self._hold:
            launches = self._hold.ledger.state.launches.values()
            self._doubts = tuple(x for x in launches if x.status is LaunchStatus.INTENDED)
            self._hold.release()
        self._hold = self.observer = None
        self.queue.clear()
        self._queue_up(None)

    # the cycle

    @property
    def is_open(self) -> bool:
        """Tell whether this process holds the folder."""
        return self._hold is not None

    @property
    def id(self) -> str:
        """The id of the session that was held here; empty where none was yet."""
        return self._id

    @property
    def is_there(self) -> bool:
        """Tell whether the folder itself is the one that was held, whatever is missing in it."""
        if self._root is None or isinstance(self.trouble, (FolderHeld, FolderCopied)):
            return False
        with suppress(FolderAbsent):
            self.folder.require(self._id)
            return same_folder(self.folder.root, self._root)
        return False

    @property
    def account(self) -> Account | None:
        """The account that this session runs with, None while it has no key."""
        return self._access.account

    @property
    def waits(self) -> bool:
        """Tell whether this session could start an execution, and stands in its account's queue."""
        return self.account is not None and self in self.account.queue

    @property
    def first_in_queue(self) -> bool:
        """Tell whether no other session of this account has waited longer for a slot."""
        return self.account is None or self.account.first(self)

    def _queue_up(self, since: float | None) -> None:
        if self.account and since is not None:
            self.account.queue[self] = since
        elif self.account:
            self.account.queue.pop(self, None)

    @property
    def at_rest(self) -> bool:
        """Tell whether nothing can advance without a person or a new file."""
        idle = not self.queue and not self.memory.under_way
        return idle and self.plan is not None and self.plan.at_rest

    def look(
        self,
        *,
        inputs: ChangedPaths = frozenset(),
        outputs: ChangedPaths = frozenset(),
        healthy: bool = False,
    ) -> None:
        """Observe and plan; what is to be done is then in `queue`, in order.

        What stops the whole session is kept in `trouble`, and the folder is let go where it is
        no longer there.
        """
        before, trouble = self._basis, self.trouble
        self.trouble = None
        try:
            self.open()
            if self._hold is None or self.observer is None:
                raise AssertionError("an open session has an observer")
            self._hold.renew()
            seen = self.observer.look(
                self.ledger.state, self.memory, inputs=inputs, outputs=outputs, healthy=healthy
            )
            self._clear_beside(self.observer.outputs)
            limits = self._transfer_limits.look(self.observer.outputs)
            self.snapshot = replace(seen, first_in_queue=self.first_in_queue, limits=limits)
            if self.snapshot.marker:
                self.memory.was_absent = False
            self._adopt(self.snapshot.settings)
            self._keep_doubts()
            self._keep_pin()
            self._keep_settings()  # from here on the ledger is not new, also after a kill
            session, now = self.ledger.state.session, self.timing.clock()
            account = self.account
            self._access.renew(self.snapshot.settings, session, self.memory, now)
            if account and account is not self.account:
                account.queue.pop(self, None)
        except FolderAbsent as error:
            self._halt(error)
            return
        except VipsyncError as error:
            self.trouble = error
            self.queue.clear()
            self._queue_up(None)
            return
        except OSError as error:  # what cannot be read is not known to be gone
            self._halt(unreadable(self.folder.root, error))
            return
        self._basis = _basis(self.snapshot)
        due = self.plan.due if self.plan else None
        in_time = due is None or self.snapshot.now < due
        if self._basis == before and not trouble and in_time:
            self._confirm()
            return  # the last plan still holds, with what is left of it in the queue
        self.queue.clear()
        self.plan = self.planner(self.snapshot)
        self.memory.keep_conditions(self.plan.conditions, self.snapshot.now)
        self._queue_up(self.memory.since.get(SLOT))
        self.queue.extend(self.plan.actions)
        self._left = Counter(map(type, self.queue))
        self._confirm()

    def _clear_beside(self, outputs: Path) -> None:
        """Delete once what a killed process left half done on another disk, where outputs/ may lie."""
        if self._cleared != outputs and not self.memory.under_way:
            self._cleared = outputs
            self.folder.clear_beside(outputs, keep=_unfinished(self.ledger.state))

    def _halt(self, error: FolderAbsent) -> None:
        """Let the folder go until it is there again."""
        self.trouble = error
        self.memory.was_absent = True
        self.close()

    def _confirm(self) -> None:
        """Note when everything was last seen to be equal."""
        if not self.plan or not self.snapshot or not self.plan.at_rest:
            return
        if all(n.level is Level.INFO for n in self.plan.notices):
            self.confirmed = self.snapshot.wall

    def has_work(self, *, but: tuple[type, ...] = ()) -> bool:
        """Tell whether the queue holds an action that is of none of these kinds."""
        kinds = self._left.items() if self.queue else ()
        return any(n and not issubclass(kind, but) for kind, n in kinds)

    def next_work(self, *, from_end: bool = False, but: tuple[type, ...] = ()) -> Work | None:
        """Write the intent of the next action down and return it, None where nothing may begin.

        Decisions and the marker are done at once: what follows was planned without them. `from_end`:
        the last action comes next, unless it is one of these; the others have no order. What is of a
        kind in `but` stays in the queue.
        """
        while (action := self._next(but, from_end=from_end)) is not None:
            if do.key(action) in self.memory.under_way:
                continue
            if not self._allow(action):
                return None
            self.ledger.commit(intent(action, self.ledger.state, self.timing.wall()))
            self.memory.under_way.add(do.key(action))
            work = Work(self, action, self._tools())
            if not isinstance(action, do.INLINE):
                return work
            outcome = work.run()
            self.settle(action, outcome)
            if isinstance(outcome, do.Failed):
                self.queue.clear()  # the rest was planned as if this had been done
        return None

    def _next(self, but: tuple[type, ...], *, from_end: bool) -> do.Action | None:
        """Take the next action that is of none of these kinds; none overtakes a decision."""
        last = from_end and self.queue and not isinstance(self.queue[-1], do.INLINE)
        for number, action in enumerate(reversed(self.queue) if last else self.queue):
            if isinstance(action, do.INLINE) and number:
                return None
            if not isinstance(action, but):
                del self.queue[-1 - number if last else number]
                self._left[type(action)] -= 1
                return action
        return None

    def _allow(self, action: do.Action) -> bool:
        """Tell whether limits allow an action still; else plan anew from what they are now."""
        if self.observer and self._transfer_limits.take(
            (self, do.key(action)), action, self.observer.outputs
        ):
            return True
        self.queue.clear()
        self._basis = None
        return False

    def _note_moved(self, key: do.Key, now: int, size: int) -> None:
        self._transfer_limits.came((self, key), size - now)
        self._moved(key, now, size)

    def decide(self) -> None:
        """Carry out the decisions of the last look, and nothing that reaches VIP."""
        self.queue = deque(a for a in self.queue if isinstance(a, do.INLINE))
        self._left = Counter(map(type, self.queue))
        self.next_work()

    def settle_all(self, outcomes: Sequence[tuple[do.Action, do.Outcome]]) -> None:
        """Record what came of several actions in one transaction, or of none where one meets a fault.

        A decision is not among them: files are deleted by what it has written down.
        """
        try:
            with self.ledger.together() if self.is_open else nullcontext():
                for action, outcome in outcomes:
                    self.settle(action, outcome)
        except BaseException:
            keys = {do.key(action) for action, _ in outcomes}
            self.memory.under_way -= keys
            for key in keys:
                self._transfer_limits.ended((self, key))
            raise

    def settle(self, action: do.Action, outcome: do.Outcome) -> None:
        """Record what came of an action."""
        self._transfer_limits.ended((self, do.key(action)))
        other_key = isinstance(outcome, do.HomeSeen) and outcome.key_print != self._access.key_print
        if not self.is_open or other_key:
            # The folder went away meanwhile, or another account is asked now: the next look tells.
            self.memory.under_way.discard(do.key(action))
            return
        try:
            rows = record(action, outcome, self.ledger.state, self.timing.wall())
            self.ledger.commit(rows)
        except Exception:
            self.memory.under_way.discard(do.key(action))  # it is over, though nobody wrote it down
            raise
        self.memory.note(action, outcome, self.timing.clock(), self.timing.spread)
        if isinstance(outcome, do.Failed) and self._is_news(action):
            logger.info("%s: %s", self._named(do.key(action)), type(outcome.error).__name__)
        if isinstance(action, do.Decide):
            self._after_decision(action)

    def _is_news(self, action: do.Action) -> bool:
        """Tell whether a failure is to be logged: the first of a row, and no part of an outage."""
        attempt = self.memory.attempts.get(do.key(action))
        return not self.memory.account.trouble and (attempt is None or attempt.count == 1)

    def _named(self, key: do.Key) -> str:
        """Return what a log may say: no name that the privacy gate found to be somebody's."""
        text = str(key)
        return printable(Gate(self.snapshot).masked(text) if self.snapshot else text)

    def _after_decision(self, action: do.Decide) -> None:
        if self.ledger.state.session.phase is Phase.CLOSED and not self.memory.under_way:
            self.folder.clear_leftovers()
            self._cleared = None
        for request in action.requests:
            self.folder.answered(request)

    def _keep_settings(self) -> None:
        observer = self.observer
        if observer and not observer.settings_error:
            text = observer.settings_text
            if text != self.ledger.state.last_settings:
                self.ledger.commit(Changes(put=(LastSettings("text", text),)))

    def _keep_pin(self) -> None:
        """Write down which folder outside the session's own the inputs lie in."""
        session, pin = self.ledger.state.session, self.observer.pin if self.observer else None
        if pin and pin != session.pinned:
            self.ledger.commit(Changes(put=(replace(session, pinned=pin),)))

    # VIP

    def plan_by(self, planner: Callable[[Snapshot], Plan]) -> None:
        """Plan otherwise from the next look on."""
        self.planner, self.plan, self._basis = planner, None, None
        self.queue.clear()

    def take_over(self, rows: Iterable[Row]) -> None:
        """Write down what another program left, in place of adopting it."""
        self._new = False
        self.ledger.commit(Changes(put=tuple(rows)))

    def _adopt(self, settings: Settings) -> None:
        """Take over what a folder without a ledger says of data on VIP: a marker, a backup."""
        if not self._new or self.observer is None:
            return
        self._new = False
        session, wall = self.ledger.state.session, self.timing.wall()
        if rows := rows_to_adopt(self.folder, session, settings, self.observer.outputs, wall):
            self.ledger.commit(Changes(put=rows))

    def _keep_doubts(self) -> None:
        """Write down again which launches were in doubt when the folder was let go.

        Another ledger may lie there now, and VIP shows a launch only a while after it was asked for.
        """
        lost = [x for x in self._doubts if x.name not in self.ledger.state.launches]
        self.ledger.commit(Changes(put=tuple(lost)))
        self._doubts = ()

    def _tools(self) -> Tools:
        observer, account = self.observer, self.account
        if observer is None:
            raise AssertionError("an open session has an observer")
        tools = Tools(
            folder=self.folder,
            inputs=observer.inputs,
            outputs=observer.outputs,
            client=account.client if account else None,
            seen=observer.seen,
            key_print=self._access.key_print,
            stop=self._stop,
            moved=self._note_moved,
            up=self._transfer_limits.up,
            down=self._transfer_limits.down,
        )
        if account is None:
            return tools
        return replace(tools, executions=account.executions, pace=account.pace)


def _basis(s: Snapshot) -> tuple[object, ...]:
    """Return what a plan rests on besides the time; what is large is compared by identity."""
    return (
        id(s.files),
        id(s.cases),
        id(s.settings),
        id(s.descriptor),
        s.settings_error,
        s.unsettled,
        s.unreadable,
        s.conflict_copies,
        s.marker,
        s.outputs,
        s.changing,
        s.requests,
        s.odd_requests,
        s.lender,
        s.leases,
        s.first_in_queue,
        s.limits.sending,
        s.limits.outdated,
        s.state.version,
        s.memory.version,
        s.memory.account.version,
    )


def _unfinished(state: State) -> set[str]:
    """Return the names of the downloads that can be gone on with."""
    if state.session.phase is Phase.CLOSED:
        return set()
    results = state.results.values()
    return {part_name(r.vip, r.size) for r in results if r.status is ResultStatus.WANTED}
