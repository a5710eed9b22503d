"""What a process remembers about a session while it runs, and when it tries again what failed.

PURE: no I/O, no clock. `Memory` changes only between plans: it holds what is worth remembering
while a process runs and must not outlive it, because it is counted on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from vipsync import actions as do
from vipsync.errors import (
    BadAnswer,
    DiskError,
    GenericVipError,
    Scope,
    SlotsFull,
    TransferMismatch,
    Unreachable,
    VipsyncError,
)
from vipsync.model import Execution, VipPath
from vipsync.names import parent
from vipsync.rows import Changes, Phase, Session

PATIENCE = 120.0
"""Seconds for which failures that may pass are waited out before anybody hears of them as lasting."""

TRIES = 3
"""How often something is tried at least before it counts as lasting: one try may take minutes."""

FIRST_PAUSE = 2.0

LONGEST_PAUSE = 300.0

LONGEST_REST = 3600.0
"""Seconds for which a server may ask for rest (Retry-After): one that asks for more is not well."""

LIST_AGAIN = 3600.0
"""Seconds for which a list of a tree on VIP is believed (house 2.5)."""

SLOT = "a slot on VIP"
"""The condition of a session that could start an execution: its age is its place in the queue."""

OUTAGES = (Unreachable, BadAnswer, GenericVipError)
"""How it shows that VIP, or the way to it, is out of order: any of these may be about one item too."""


class Attempt(Struct, frozen=True):
    """How often something failed in a row, why, and when it may be tried again (monotonic s).

    `since` is when it failed first, `at` when it did last. `silent`: nothing that was asked of the same
    part of VIP succeeded in the second half of that time, so that it is VIP itself that fails.
    """

    count: int
    error: VipsyncError
    not_before: float
    since: float = 0.0
    at: float = 0.0
    silent: bool = False

    @property
    def lasts(self) -> bool:
        """Tell whether nothing should wait for it: it failed for good, or for longer than PATIENCE."""
        if not self.error.transient:
            return self.count > 1
        return self.count >= TRIES and self.at - self.since >= PATIENCE

    @property
    def outage(self) -> bool:
        """Tell whether VIP, or the way to it, has failed for longer than PATIENCE."""
        return self.lasts and self.silent


class Listing(Struct, frozen=True):
    """The files of a folder on VIP with their sizes; `order` is the memory's version at the look.

    `at` is when that was (monotonic s).
    """

    order: int
    sizes: Mapping[VipPath, int]
    at: float = 0.0


class AccountMemory(Struct):
    """What a process remembers about one key on one portal: all its sessions share it.

    `trouble` is why nothing can be asked of VIP, and until when; `heard_at` when its engine (True) and
    its storage (False) last did what they were asked to; `slots_full_at` when VIP last had no slot.
    `version` counts what changes a plan.
    """

    version: int = 0
    trouble: Attempt | None = None
    heard_at: dict[bool, float] = {}
    slots_full_at: float | None = None

    def heard(self, action: do.Action, now: float) -> None:
        """Remember that VIP did what it was asked to."""
        self.heard_at[isinstance(action, do.ENGINE)] = now
        if self.trouble:
            self.trouble, self.version = None, self.version + 1

    def failed(self, attempt: Attempt) -> None:
        """Remember that nothing can be asked of VIP."""
        self.trouble, self.version = attempt, self.version + 1

    def no_slot(self, now: float) -> None:
        """Remember that VIP had no slot for one more execution."""
        self.slots_full_at, self.version = now, self.version + 1

    def slot_freed(self) -> None:
        """Forget that VIP had no slot: an execution has ended."""
        if self.slots_full_at is not None:
            self.slots_full_at, self.version = None, self.version + 1


class Memory(Struct):
    """What a process remembers about one session while it runs. `version` counts what it learned.

    `was_absent`: the folder was away since its marker was last seen. `was_finishing`: so the ledger
    said when it was opened. `unanswered_at`: when a transfer last ended without a clear answer; VIP
    may go on with it (facts 3.5), even where a later one has succeeded. `asked_before`: when a
    removal was asked for by the process before this one, or before what was seen was forgotten.
    Both are by this process' clock, and so is `opened_at`, when the folder was taken: its ledger may
    be older than a list of executions from before.
    `removal_unsure`: it was asked to remove these, and nobody knows whether it took that.
    """

    version: int = 0
    was_absent: bool = False
    was_finishing: bool = False
    unanswered_at: float | None = None
    asked_before: float | None = None
    attempts: dict[do.Key, Attempt] = {}
    under_way: set[do.Key] = set()
    since: dict[str, float] = {}
    account: AccountMemory = field(default_factory=AccountMemory)
    home: do.HomeSeen | None = None
    home_path: VipPath = VipPath("")
    home_at: float = 0.0
    folders: set[VipPath] = set()
    missing: set[VipPath] = set()
    fresh: bool = False
    listings: dict[VipPath, Listing] = {}
    touched: dict[VipPath, int] = {}
    files_seen: dict[VipPath, tuple[float, do.FilesSeen]] = {}
    polled_at: dict[str, float] = {}
    returned: dict[str, int] = {}
    listed_at: dict[str, float] = {}
    ours: tuple[Execution, ...] | None = None
    found_at: float | None = None
    found_whole: bool = False
    started_at: float | None = None
    opened_at: float | None = None
    removal_asked: dict[VipPath, float] = {}
    removal_looked: dict[VipPath, float] = {}
    removal_unsure: set[VipPath] = set()
    removed: set[VipPath] = set()
    pipeline_at: float | None = None

    def keep_conditions(self, conditions: frozenset[str], now: float) -> None:
        """Start the clock of conditions that are new; forget those that no longer hold."""
        self.since = {c: self.since.get(c, now) for c in sorted(conditions)}

    def note(
        self, action: do.Action, outcome: do.Outcome, now: float, spread: Callable[[], float]
    ) -> None:
        """Remember what an action showed. `spread` gives random numbers in [0, 1)."""
        self.version += 1
        name = do.key(action)
        self.under_way.discard(name)
        if isinstance(outcome, do.Failed):
            self._failed(action, outcome.error, now, spread)
            if isinstance(action, (do.SendFile, do.SendPack)):
                self.unanswered_at = now
        else:
            self.attempts.pop(name, None)
            if not isinstance(action, do.LOCAL):
                self.account.heard(action, now)
        self._learn(action, outcome, now)

    def _failed(
        self, action: do.Action, error: VipsyncError, now: float, spread: Callable[[], float]
    ) -> None:
        if isinstance(error, SlotsFull):
            return
        name, everywhere = do.key(action), _stops_everything(action, error)
        before = self.account.trouble if everywhere else self.attempts.get(name)
        if everywhere and before and now < before.not_before:
            return  # it was on its way already when this was found out
        count, since = (before.count + 1, before.since) if before else (1, now)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(count - 1, 10)) * (0.5 + spread() / 2)
        if now < since + PATIENCE:  # one try falls on its end: what has passed by then is noticed
            pause = min(pause, since + PATIENCE - now)
        rest = min(LONGEST_REST, error.retry_after or 0)
        heard_at = self.account.heard_at.get(isinstance(action, do.ENGINE), float("-inf"))
        silent = isinstance(error, OUTAGES) and heard_at < (since + now) / 2
        attempt = Attempt(count, error, now + max(pause, rest), since, now, silent)
        if everywhere:
            self.account.failed(attempt)
        else:
            self.attempts[name] = attempt

    def _learn(self, action: do.Action, outcome: do.Outcome, now: float) -> None:
        match action, outcome:
            case do.Decide(), _:
                self._heed(action.changes)
            case do.LookAtHome(), do.HomeSeen():
                self._see_home(action.home, outcome, now)
            case do.MakeFolder(), do.Done():
                self.folders.add(action.path)
                self.missing.discard(action.path)
                self.listings[action.path] = Listing(self.version, {}, now)
            case do.ClaimHome(), do.Done():
                self.folders.add(action.path)
            case do.ClaimHome(), do.Failed():
                self.home = None  # what was seen of it is no longer true
            case do.LookAtFolder(), do.FolderSeen():
                self._see_folder(action.path, outcome, now)
            case do.LookForFiles(), do.FilesSeen():
                self.files_seen[action.folder] = now, outcome
            case ((do.SendFile() | do.SendPack()), _):
                self.touched[parent(action.vip)] = self.version
            case do.StartExecution(), do.Failed(error=SlotsFull()):
                self.account.no_slot(now)
            case do.StartExecution(), _:
                self.started_at = now
                self.found_at = None
                self.since.pop(SLOT, None)  # the next one waits for its turn again
            case do.FindExecutions(), do.ExecutionsSeen():
                self.ours, self.found_at = outcome.executions, outcome.at
                self.found_whole = outcome.whole
            case ((do.Poll() | do.Kill()), do.Polled()):
                self.polled_at[action.execution_id] = now
                if frees_slot(outcome):
                    self.account.slot_freed()
            case do.ListResults(), do.ResultsListed():
                self.returned[action.execution.id] = len(action.execution.returned)
                self.listed_at[action.execution.id] = now
            case do.FetchResult(), do.Failed(error=TransferMismatch()):
                self.returned.clear()  # the size that was listed is no longer true
            case do.FetchPipeline(), do.PipelineFetched():
                self.pipeline_at = now
            case do.RemoveTree(), do.Done():
                self.removal_asked[action.path] = now
                self.removal_unsure.add(action.path)
                if outcome.sure:
                    self.removal_unsure.discard(action.path)
            case ((do.RemoveTree() | do.CheckRemoved()), do.RemovalSeen()):
                self.removal_looked[action.path] = now
                if outcome.gone:
                    self.removed.add(action.path)
                    self._forget_tree(action.path)
            case _:
                pass

    def _heed(self, decided: Changes) -> None:
        """Look anew at what lies on VIP once a session has ended, or when it begins to end once more."""
        for row in decided.put:
            if isinstance(row, Session) and row.phase is Phase.CLOSED:
                self.forget_home()
            elif isinstance(row, Session) and row.phase is Phase.FINISHING and self.removed:
                self.removed, self.removal_asked, self.removal_looked = set(), {}, {}

    def _see_home(self, path: VipPath, seen: do.HomeSeen, now: float) -> None:
        if not seen.exists:
            self._forget_tree(path)
        if self.home is None or self.home_path != path or not seen.exists:
            self.fresh = not seen.exists
        self.home, self.home_path, self.home_at = seen, path, now
        self.folders.update(seen.folders)

    def _see_folder(self, path: VipPath, seen: do.FolderSeen, now: float) -> None:
        if seen.entries is None:
            self.missing.add(path)
            self.folders.discard(path)
            self.listings.pop(path, None)
            return
        self.folders.add(path)
        self.missing.discard(path)
        self.folders.update(e.path for e in seen.entries if e.is_folder)
        sizes = {e.path: e.size for e in seen.entries if not e.is_folder}
        self.listings[path] = Listing(self.version, sizes, now)

    def _forget_tree(self, path: VipPath) -> None:
        inside = f"{path}/"
        self.folders = {f for f in self.folders if f != path and not f.startswith(inside)}
        self.listings = {f: v for f, v in self.listings.items() if not f.startswith(inside)}
        self.listings.pop(path, None)

    def change_account(self, account: AccountMemory) -> None:
        """Know nothing of what one key showed: another one may open another account."""
        self.account = account
        self.forget_home()
        self.ours, self.found_at, self.found_whole = None, None, False
        self.files_seen = {}
        self.version += 1

    def forget_home(self) -> None:
        """Know nothing of the session's folder on VIP any more, as at the start of a process."""
        self.home, self.fresh = None, False
        self.folders, self.missing, self.removed = set(), set(), set()
        self.listings, self.touched = {}, {}
        if self.removal_asked:
            self.asked_before = max(self.removal_asked.values())
        self.removal_asked, self.removal_looked = {}, {}


def frees_slot(outcome: do.Outcome) -> bool:
    """Tell whether this shows that an execution no longer runs."""
    match outcome:
        case do.Polled(execution=None):
            return True
        case do.Polled(execution=execution) if execution is not None:
            return execution.status.ended
        case _:
            return False


def _stops_everything(action: do.Action, error: VipsyncError) -> bool:
    """Tell whether nothing else that this account asks of VIP can succeed either.

    What this machine refused is kept by action: an answer from VIP would say nothing about it.
    """
    local = isinstance(action, do.LOCAL) or isinstance(error, DiskError)
    return error.scope is Scope.ACCOUNT and not local
