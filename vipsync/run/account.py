"""One key on one portal: what all sessions of a process share that run with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct

from vipsync.client.vip_client import LIST_LIMIT, VipClient
from vipsync.errors import VipsyncError
from vipsync.model import MOST_TRANSFERS, Execution, Settings
from vipsync.plan.memory import PATIENCE, TRIES, AccountMemory, Attempt, Memory
from vipsync.rows import Phase, Session
from vipsync.run.timing import Timing

Connect = Callable[[Settings, str, str], tuple[VipClient, str]]
"""Give a client for settings, portal and session id, with the print of its key, which tells keys
apart and is none; the same client for the same key on the same portal. Raise KeyMissing."""

KEY_RETRY = 60.0
KEY_TROUBLE = 4


class Pacer:
    """Let launches start one second apart at least, over all folders (house 7.2)."""

    def __init__(self, timing: Timing, seconds: float = 1.0) -> None:
        self._timing, self._seconds = timing, seconds
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Return when the next launch may start."""
        with self._lock:
            self._timing.sleep(max(0.0, self._next - self._timing.clock()))
            self._next = self._timing.clock() + self._seconds


class Window:
    """How many pieces of work one server is given at once.

    Half as many after a round in which it refused or was late, one more after a round in which it
    was well: additive increase, multiplicative decrease, as TCP does it (RFC 5681).
    """

    def __init__(self, most: int = MOST_TRANSFERS) -> None:
        self.most = self.size = most
        self.round = 0
        self._well = 0

    def note(self, began_in: int, *, strained: bool) -> None:
        """Take in how a transfer went that began in some round: the same bad hour counts once."""
        if not strained:
            self._well += 1
        elif began_in == self.round:
            self.size, self.round, self._well = max(1, self.size // 2), self.round + 1, 0
        if self._well >= self.size < self.most:
            self.size, self._well = self.size + 1, 0


class Account:
    """A client, the pace of launches, how much VIP takes at once, the queue, and what is remembered.

    `queue`: since when each session could start an execution (monotonic s).
    """

    def __init__(self, client: VipClient, timing: Timing, pace: Callable[[], None] | None = None):
        self.client = client
        self.memory = AccountMemory()
        self.window = Window()
        self.pace = pace or Pacer(timing)
        self.queue: dict[object, float] = {}
        self._clock, self._lock = timing.clock, threading.Lock()
        self._listed: tuple[float, tuple[Execution, ...]] = (float("-inf"), ())

    @property
    def room(self) -> int:
        """How many pieces of work VIP is given at once; one that asks how it is, while it is out of order."""
        return 1 if self.memory.trouble else self.window.size

    def first(self, session: object) -> bool:
        """Tell whether no other session has waited longer for a slot."""
        return not self.queue or min(self.queue, key=self.queue.__getitem__) is session

    def executions(self, since: float) -> tuple[float, tuple[Execution, ...]]:
        """Return the account's newest executions and when they were asked for: after `since`.

        One list serves all sessions. May be called in any thread.
        """
        with self._lock:
            if self._listed[0] <= since:
                now = self._clock()
                self._listed = now, self.client.executions(LIST_LIMIT)
            return self._listed


class Accounts:
    """The accounts of a process. `pace`: where launches of other loops keep the same one."""

    def __init__(
        self, connect: Connect, timing: Timing, pace: Callable[[], None] | None = None
    ) -> None:
        self._connect, self._timing, self._pace = connect, timing, pace
        self._known: dict[VipClient, Account] = {}

    def find(self, settings: Settings, portal: str, session_id: str) -> tuple[Account, str]:
        """Return the account of a session and the print of its key; raise KeyMissing."""
        client, key_print = self._connect(settings, portal, session_id)
        if client not in self._known:
            self._known[client] = Account(client, self._timing, self._pace)
        return self._known[client], key_print


class Access(Struct):
    """A session's way to its account, as it was found last; `account` is None where there is no key."""

    accounts: Accounts
    account: Account | None = None
    portal: str = ""
    key_print: str = ""
    _named: str = ""

    def renew(self, settings: Settings, session: Session, memory: Memory, now: float) -> None:
        """Have an account; a missing key holds back what needs VIP, and nothing else.

        While data are on VIP, the portal is the one where they are. What was seen with one key says
        nothing about another one. `now`: monotonic s.
        """
        portal = settings.portal
        if session.phase is not Phase.CLOSED and session.portal:
            portal = session.portal
        trouble = memory.account.trouble
        refused = trouble is not None and trouble.error.exit_code == KEY_TROUBLE
        wanted = (portal, settings.api_key)
        if self.account and (self.portal, self._named) == wanted and not refused:
            memory.account = self.account.memory
            return
        if trouble and trouble.not_before > now:
            return
        try:
            account, self.key_print = self.accounts.find(settings, portal, session.id)
        except VipsyncError as error:
            if self.account:
                memory.change_account(AccountMemory())
            self.account = None
            memory.account.failed(Attempt(TRIES, error, now + KEY_RETRY, at=PATIENCE))
            return
        self.portal, self._named = wanted
        if memory.account is not account.memory:
            memory.change_account(account.memory)
        self.account = account
