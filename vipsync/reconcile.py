"""The loop: observe → plan → act → record, for one session; nothing happens outside these phases.

Intents are committed before an action is handed out, outcomes when they come back; both in the
thread that calls, so that the ledger has one writer.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from vipsync import actions as do
from vipsync.act import Tools, act
from vipsync.adoption import adopted_rows, marked_id, take_script_session
from vipsync.backup import read_backup
from vipsync.client.vip_client import VipClient
from vipsync.disk.scan import Hints, network_file_system
from vipsync.disk.walk import printable
from vipsync.errors import FolderAbsent, VipsyncError
from vipsync.fetching import part_name
from vipsync.folder import HostLease, SessionFolder, new_id, unreadable
from vipsync.ledger import Ledger
from vipsync.model import Settings
from vipsync.observe import Observer, Observing
from vipsync.plan.cycle import plan
from vipsync.plan.draft import PATIENCE, Level, Plan
from vipsync.plan.snapshot import SLOT, Attempt, Memory, Snapshot
from vipsync.record import intent, record
from vipsync.state import Changes, LastSettings, Phase, ResultStatus, Row, Session, State

logger = logging.getLogger(__name__)

KEY_RETRY = 60.0
KEY_TROUBLE = 4


Connect = Callable[[Settings, str, str], tuple[VipClient, str]]
"""Give a client for settings, portal and session id, with the print of its key, which tells keys
apart and is none. Raise KeyMissing."""


@dataclass(frozen=True, slots=True)
class Work:
    """One action on its way: carry it out with `run`, give what comes of it to `settle`."""

    session: Reconciler
    action: do.Action
    tools: Tools

    def run(self) -> do.Outcome:
        """Carry the action out; may be called in any thread."""
        return act(self.action, self.tools)


@dataclass(slots=True)
class Timing:
    """Clock and chance, handed in so that a run can be repeated exactly."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    spread: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep


class Reconciler:
    """Keep one session folder and its data on VIP in step."""

    def __init__(
        self,
        folder: SessionFolder,
        connect: Connect,
        *,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        timing: Timing | None = None,
        planner: Callable[[Snapshot], Plan] = plan,
        observer: Callable[[SessionFolder], Observing] | None = None,
        stop: Callable[[], None] = lambda: None,
        pace: Callable[[], None] = lambda: None,
        first: Callable[[Reconciler], bool] = lambda _session: True,
        moved: Callable[[str, int, int], None] = lambda _key, _now, _all: None,
    ) -> None:
        self.folder = folder
        self.timing = timing or Timing()
        self.memory = Memory()
        self.queue: deque[do.Action] = deque()
        self.snapshot: Snapshot | None = None
        self.plan: Plan | None = None
        self.trouble: VipsyncError | None = None
        self.confirmed: float | None = None
        self._connect = connect
        self._client: VipClient | None = None
        self._key_print = self._portal = ""
        self._new = False
        self._basis: object = None
        self._lease: HostLease | None = None
        self._id = ""
        self.planner = planner
        self._new_observer = observer or self._folder_observer
        self._overrides, self._environ = overrides, environ
        self._stop, self._pace, self._moved = stop, pace, moved
        self._first = first
        self._open: ExitStack | None = None
        self._ledger: Ledger | None = None
        self.observer: Observing | None = None

    # being there

    @property
    def ledger(self) -> Ledger:
        """The open ledger."""
        if self._ledger is None:
            raise AssertionError("the session is not open")
        return self._ledger

    def open(self) -> None:
        """Take the folder: its place, its lock, its ledger; give it an id where it has none.

        Raise FolderCopied, FolderHeld, FolderAbsent or DiskError.
        """
        if self._open:
            return
        if self._id:
            self.folder.require(self._id)  # an empty mount point must never become a new session
        take_script_session(self.folder)
        self.folder.check_place()
        mine = self.folder.identity() or self.folder.claim(marked_id(self.folder) or new_id())
        with ExitStack() as stack:
            stack.enter_context(self.folder.held())
            network = network_file_system(self.folder.hidden)
            if network:
                self._lease = HostLease(self.folder.hidden, self.timing.wall)
                stack.enter_context(self._lease.held())
            self._ledger = Ledger(self.folder.ledger, Session(mine.id), network_disk=network)
            stack.callback(self._ledger.close)
            self._new = self._ledger.state.is_new
            self.observer = self._new_observer(self.folder)
            self._open = stack.pop_all()
        self._id = mine.id
        self.folder.clear_leftovers(keep=_unfinished(self.ledger.state))
        before = self.memory  # threads may still be at work
        self.memory = Memory(
            under_way=before.under_way,
            was_absent=before.was_absent,
            was_finishing=self.ledger.state.session.phase in (Phase.FINISHING, Phase.REMOVING),
        )

    def _beat(self) -> None:
        """Tell other hosts that this one is still at work in the folder."""
        if self._lease:
            self._lease.renew()

    def _folder_observer(self, folder: SessionFolder) -> Observer:
        timing = self.timing
        return Observer(folder, self._overrides, self._environ, timing.clock, timing.wall)

    def close(self) -> None:
        """Let the folder go; what is under way is settled by the next start."""
        if self._open:
            self._open.close()
        self._open = self._ledger = self.observer = None
        self.queue.clear()

    # the cycle

    @property
    def is_open(self) -> bool:
        """Tell whether this process holds the folder."""
        return self._open is not None

    @property
    def portal(self) -> str:
        """Return the portal that this session talks to, empty while it has no client."""
        return self._portal

    @property
    def account(self) -> tuple[str, str]:
        """Return what tells accounts apart: portal and print of the key."""
        return self._portal, self._key_print

    @property
    def waits_since(self) -> float | None:
        """Return since when this session could start an execution (monotonic s), None where not."""
        return None if self.trouble else self.memory.since.get(SLOT)

    @property
    def at_rest(self) -> bool:
        """Tell whether nothing can advance without a person or a new file."""
        idle = not self.queue and not self.memory.under_way
        return idle and self.plan is not None and self.plan.at_rest

    def look(
        self, *, inputs: Hints = frozenset(), outputs: Hints = frozenset(), healthy: bool = False
    ) -> None:
        """Observe and plan; what is to be done is then in `queue`, in order.

        What stops the whole session is kept in `trouble`, and the folder is let go where it is
        no longer there.
        """
        before, trouble = self._basis, self.trouble
        self.trouble = None
        try:
            self.open()
            self._beat()
            if self.observer is None:
                raise AssertionError("an open session has an observer")
            seen = self.observer.look(
                self.ledger.state, self.memory, inputs=inputs, outputs=outputs, healthy=healthy
            )
            self.snapshot = replace(seen, first_in_queue=self._first(self))
            if self.snapshot.marker:
                self.memory.was_absent = False
            self._adopt(self.snapshot.settings)
            self._keep_settings()  # from here on the ledger is not new, also after a kill
            self._find_client(self.snapshot.settings)
        except FolderAbsent as error:
            self._halt(error)
            return
        except VipsyncError as error:
            self.trouble = error
            self.queue.clear()
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
        self.queue.extend(self.plan.actions)
        self._confirm()

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

    def next_work(self, *, from_end: bool = False) -> Work | None:
        """Write the intent of the next action down and return it, None where nothing is left.

        Decisions and the marker are done at once: what follows was planned without them. `from_end`:
        the last action comes next, unless it is one of these; the others have no order.
        """
        while self.queue:
            last = from_end and not isinstance(self.queue[-1], do.INLINE)
            action = self.queue.pop() if last else self.queue.popleft()
            if do.key(action) in self.memory.under_way:
                continue
            self.ledger.commit(intent(action, self.ledger.state, self.timing.wall()))
            self.memory.under_way.add(do.key(action))
            work = Work(self, action, self._tools())
            if not isinstance(action, do.INLINE):
                return work
            self.settle(action, work.run())
        return None

    def decide(self) -> None:
        """Carry out the decisions of the last look, and nothing that reaches VIP."""
        self.queue = deque(a for a in self.queue if isinstance(a, do.INLINE))
        self.next_work()

    def settle(self, action: do.Action, outcome: do.Outcome) -> None:
        """Record what came of an action."""
        if self._ledger is None:
            # The folder went away meanwhile: the next start looks before it acts.
            self.memory.under_way.discard(do.key(action))
            return
        try:
            rows = record(action, outcome, self._ledger.state, self.timing.wall())
            self._ledger.commit(rows)
        except VipsyncError:
            self.memory.under_way.discard(do.key(action))  # it is over, though nobody wrote it down
            raise
        self.memory.note(action, outcome, self.timing.clock(), self.timing.spread)
        if isinstance(outcome, do.Failed):
            logger.info("%s: %s", printable(do.key(action)), type(outcome.error).__name__)
        if isinstance(action, do.Decide):
            self._after_decision(action)

    def _after_decision(self, action: do.Decide) -> None:
        if self.ledger.state.session.phase is Phase.CLOSED:
            self.memory.forget_home()
            if not self.memory.under_way:
                self.folder.clear_leftovers()
        for request in action.requests:
            self.folder.answered(request)

    def _keep_settings(self) -> None:
        observer = self.observer
        if observer and not observer.settings_error:
            text = observer.settings_text
            if text != self.ledger.state.last_settings:
                self.ledger.commit(Changes(put=(LastSettings("text", text),)))

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
        backup = read_backup(self.observer.outputs)
        marked = self.folder.marker.exists()
        if backup or marked:
            session, wall = self.ledger.state.session, self.timing.wall()
            rows = adopted_rows(session, backup, settings, wall, marked=marked)
            self.ledger.commit(Changes(put=rows))

    def _find_client(self, settings: Settings) -> None:
        """Have a client; a missing key holds back what needs VIP, and nothing else.

        While data are on VIP, the portal is the one where they are.
        """
        memory, now, session = self.memory, self.timing.clock(), self.ledger.state.session
        portal = settings.portal
        if session.phase is not Phase.CLOSED and session.portal:
            portal = session.portal
        refused = memory.trouble is not None and memory.trouble.error.exit_code == KEY_TROUBLE
        if self._client and self._portal == portal and not refused:
            return
        if memory.trouble and memory.trouble.not_before > now:
            return
        try:
            self._client, self._key_print = self._connect(settings, portal, session.id)
            self._portal = portal
        except VipsyncError as error:
            self._client = None
            memory.trouble = Attempt(PATIENCE, error, now + KEY_RETRY)

    def _tools(self) -> Tools:
        observer = self.observer
        if observer is None:
            raise AssertionError("an open session has an observer")
        return Tools(
            folder=self.folder,
            inputs=observer.inputs,
            outputs=observer.outputs,
            client=self._client,
            seen=observer.seen,
            key_print=self._key_print,
            stop=self._stop,
            pace=self._pace,
            moved=self._moved,
        )


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
        s.marker,
        s.outputs,
        s.requests,
        s.lender,
        s.leases,
        s.first_in_queue,
        s.state.version,
        s.memory.version,
    )


def _unfinished(state: State) -> set[str]:
    """Return the names of the downloads that can be gone on with."""
    if state.session.phase is Phase.CLOSED:
        return set()
    results = state.results.values()
    return {part_name(r.vip, r.size) for r in results if r.status is ResultStatus.WANTED}
