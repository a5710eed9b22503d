"""A session's way to VIP: a client, the portal where its data are, and whose key opens it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct

from vipsync.client.vip_client import VipClient
from vipsync.errors import VipsyncError
from vipsync.model import Settings
from vipsync.plan.memory import PATIENCE, TRIES, Attempt, Memory
from vipsync.rows import Phase, Session

Connect = Callable[[Settings, str, str], tuple[VipClient, str]]
"""Give a client for settings, portal and session id, with the print of its key, which tells keys
apart and is none. Raise KeyMissing."""

KEY_RETRY = 60.0
KEY_TROUBLE = 4


class Access(Struct):
    """What was found last; `client` is None where there is no key."""

    connect: Connect
    client: VipClient | None = None
    portal: str = ""
    key_print: str = ""
    _named: str = ""

    @property
    def account(self) -> tuple[str, str]:
        """Return what tells accounts apart: portal and print of the key."""
        return self.portal, self.key_print

    def renew(self, settings: Settings, session: Session, memory: Memory, now: float) -> None:
        """Have a client; a missing key holds back what needs VIP, and nothing else.

        While data are on VIP, the portal is the one where they are. What was seen with one key says
        nothing about another one. `now`: monotonic s.
        """
        portal = settings.portal
        if session.phase is not Phase.CLOSED and session.portal:
            portal = session.portal
        refused = memory.trouble is not None and memory.trouble.error.exit_code == KEY_TROUBLE
        wanted = (portal, settings.api_key)
        if self.client and (self.portal, self._named) == wanted and not refused:
            return
        if memory.trouble and memory.trouble.not_before > now:
            return
        before = self.account
        try:
            self.client, self.key_print = self.connect(settings, portal, session.id)
        except VipsyncError as error:
            self.client = None
            memory.trouble = Attempt(TRIES, error, now + KEY_RETRY, at=PATIENCE)
            return
        self.portal, self._named = wanted
        if self.account != before:
            memory.forget_account()


class Pacer:
    """Let launches start one second apart at least, over all folders (house 7.2)."""

    def __init__(self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]):
        self._seconds, self._clock, self._sleep = seconds, clock, sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Return when the next launch may start."""
        with self._lock:
            self._sleep(max(0.0, self._next - self._clock()))
            self._next = self._clock() + self._seconds
