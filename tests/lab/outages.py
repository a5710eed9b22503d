"""A VIP that is away for a while: an httpx transport on the clock of the embedded VIP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import httpx

from vipsync.local import Clock

Away = Callable[[httpx.Request], httpx.Response]


def answers_500(request: httpx.Request) -> httpx.Response:
    """Answer as VIP does when a service behind it is down (facts 2.2)."""
    body = {"errorCode": 8000, "errorMessage": "Internal error"}
    return httpx.Response(500, json=body, request=request)


def refuses(request: httpx.Request) -> httpx.Response:
    """Refuse the connection, as where no server listens."""
    raise httpx.ConnectError("[Errno 111] Connection refused", request=request)


@dataclass
class Outage(httpx.BaseTransport):
    """Hands requests on, but for `seconds` from the first one that fits; nothing is done meanwhile.

    `match` is a shell pattern for `METHOD /path`. It is armed by `begin()`, and comes once. `done`: the
    first request is carried out, and only its answer is lost. `also`: which requests fail once it has
    begun, where not all do.
    """

    transport: httpx.BaseTransport
    clock: Clock
    away: Away
    seconds: float
    match: str = "*"
    done: bool = False
    armed: bool = False
    began: float | None = None
    also: str = "*"
    lost: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Let the next request that fits be the first that fails."""
        self.armed = True

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Serve one request, or let it fail."""
        asked = f"{request.method} {request.url.raw_path.decode()}"
        if self.armed and fnmatchcase(asked, self.match):
            self.armed, self.began = False, self.clock.now()
            if self.done:
                self.transport.handle_request(request).read()
        away = self.began is not None and self.clock.now() < self.began + self.seconds
        if away and fnmatchcase(asked, self.also):
            self.lost.append(asked)
            return self.away(request)
        return self.transport.handle_request(request)
