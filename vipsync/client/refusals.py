"""VIP's refusals → errors: one table of VIP's codes, one of what can happen to a connection.

Pure. A message reports the request, since VIP's own seldom says more than "an error" (facts 2.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Struct

from vipsync.client.http import httpx
from vipsync.client.wire import NETWORK, Answer, excerpt
from vipsync.errors import (
    BadAnswer,
    ExecutionGone,
    GenericVipError,
    InvalidInput,
    KeyMissing,
    KeyRefused,
    NeverSent,
    PathForbidden,
    PipelineUnavailable,
    SlotsFull,
    Unreachable,
    VipError,
    VipsyncError,
)


class ProblemAnswer(Answer, frozen=True):
    """Body of every refusal (facts 2.1)."""

    error_code: int
    error_message: str | None = None


_CLASSES: Mapping[int, type[VipError]] = {
    2000: SlotsFull,
    2001: SlotsFull,
    8002: KeyRefused,
    8003: KeyMissing,
    8004: KeyRefused,
    8005: PipelineUnavailable,
    8007: PipelineUnavailable,
    8008: PipelineUnavailable,
    8009: InvalidInput,
    8013: PathForbidden,
    8015: ExecutionGone,
    8018: InvalidInput,
    8019: InvalidInput,
}

_REMEDIES: Mapping[type[VipError], str] = {
    KeyMissing: "Make a key on the portal's account page ({portal}/home.html), then run `vipsync login`.",
    KeyRefused: "Make a new key on the portal's account page ({portal}/home.html), then run `vipsync login`.",
    PipelineUnavailable: (
        "Join the group of the application on the portal ({portal}/home.html, 'My account', groups); "
        "`vipsync pipelines` shows what this account may use."
    ),
    SlotsFull: "It must wait until another execution has ended; the portal's support can raise the limit.",
    InvalidInput: "Correct this value in settings.toml.",
    PathForbidden: "Use a path below /vip/Home, or below a group that this account has joined.",
    ExecutionGone: "It was deleted on VIP; `vipsync rerun DIR CASE` starts its cases again.",
    GenericVipError: "Try again in some minutes; if it stays so, write to the portal's support.",
}

_LOGIN = "`vipsync login`"
_ANOTHER = (
    "Make a new key on the portal's account page ({portal}/home.html), then put it in place of this "
    "one, which `vipsync login` does not change."
)

_GATEWAY = frozenset({429, 502, 503, 504})


def remedy(kind: type[VipError], portal: str) -> str:
    """Say what a person can do about an error of this kind on this portal."""
    return _REMEDIES.get(kind, "").format(portal=portal)


class Refusal(Struct, frozen=True):
    """An answer other than the one that was hoped for: all that its error is made of."""

    asked: str
    portal: str
    status: int
    body: bytes
    location: str = ""
    retry_after: float | None = None
    key_from: str = ""
    instead: str = ""

    def error(self) -> VipsyncError:
        """Translate it: VIP's own code first, then the HTTP status."""
        problem = self._problem()
        if self.status == 401:
            return self._unauthorized(problem)
        if problem is not None:
            kind = _CLASSES.get(problem.error_code, GenericVipError)
            return self._vip_error(kind, problem)
        if 300 <= self.status < 400:
            return self._moved()
        if self.status in _GATEWAY:
            return self._gateway()
        return self._foreign()

    def _problem(self) -> ProblemAnswer | None:
        try:
            return msgspec.json.decode(self.body, type=ProblemAnswer, strict=False)
        except (ValueError, RecursionError):
            return None

    def _unauthorized(self, problem: ProblemAnswer | None) -> VipError:
        problem = problem or ProblemAnswer(error_code=0)
        kind = KeyMissing if problem.error_code == 8003 else KeyRefused
        return self._vip_error(kind, problem)

    def _vip_error(self, kind: type[VipError], problem: ProblemAnswer) -> VipError:
        own = (
            issubclass(kind, KeyRefused) and self.key_from and not self.key_from.startswith(_LOGIN)
        )
        return kind(
            self._message(problem),
            self._another_key() if own else remedy(kind, self.portal),
            code=problem.error_code,
            status=self.status,
            retry_after=self.retry_after,
        )

    def _another_key(self) -> str:
        """Say how a key that no login has kept is replaced; first what needs no new one."""
        anew = _ANOTHER.format(portal=self.portal)
        return f"{self.instead} Or: {anew[:1].lower()}{anew[1:]}" if self.instead else anew

    def _message(self, problem: ProblemAnswer) -> str:
        """Report the request: VIP's text for 8000 says nothing (facts 2.1)."""
        said = excerpt(problem.error_message or "")
        if self.status == 401:
            which = f" from {self.key_from}" if self.key_from else ""
            return f"{self.portal} does not accept the API key{which}: {said or 'HTTP 401'}."
        if problem.error_code == 8000 or not said:
            codes = f"HTTP {self.status}, code {problem.error_code}"
            return f"VIP could not {self.asked}, and gives no reason ({codes})."
        return f"VIP did not {self.asked}: {said}."

    def _moved(self) -> BadAnswer:
        target = excerpt(self.location) or "an address that it does not name"
        return BadAnswer(
            f"{self.portal} sends requests on to {target}; the key was not sent there.",
            NETWORK,
            status=self.status,
        )

    def _gateway(self) -> Unreachable:
        return Unreachable(
            f"{self.portal} is not ready to {self.asked} (HTTP {self.status}).",
            "The server is down or overloaded for the moment; try again later.",
            retry_after=self.retry_after,
        )

    def _foreign(self) -> BadAnswer:
        text = excerpt(self.body.decode(errors="replace"))
        return BadAnswer(
            f"The answer to '{self.asked}' is not VIP's (HTTP {self.status}): {text or 'no text'}",
            f"Check the portal's address ({self.portal}) and whether a proxy stands between.",
            status=self.status,
            retry_after=self.retry_after,
        )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` as seconds; a date counts from the answer's own `Date`."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError, OverflowError):  # a year or a zone that no calendar has
        return None


_FAILURES: Mapping[type[Exception], tuple[str, str]] = {
    httpx.ConnectTimeout: (
        "no connection in time",
        "Check the network (is a VPN needed?) and the portal's address.",
    ),
    httpx.PoolTimeout: (
        "all connections were busy for too long",
        "Try again when the transfers on their way have ended.",
    ),
    httpx.TimeoutException: (
        "no answer in time",
        "The server is slow or the network loses packets; it may have done what was asked.",
    ),
    httpx.ProxyError: (
        "the proxy refused",
        "Check HTTPS_PROXY and NO_PROXY in the environment.",
    ),
    httpx.ConnectError: (
        "no connection",
        "Check the network (VPN, HTTPS_PROXY) and the portal's address for a typo.",
    ),
    httpx.TransportError: (
        "the connection broke",
        "Check the network; the server may have done what was asked.",
    ),
}

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What happens before there is a connection to send anything on."""

_UNTRUSTED = "Where a proxy inspects traffic, let SSL_CERT_FILE name a file with its certificate."


def unreachable(error: httpx.TransportError, asked: str, portal: str) -> Unreachable:
    """Translate what happened to a connection; the nearest class in the table speaks."""
    kind = next(kind for kind in type(error).__mro__ if kind in _FAILURES)
    failure = NeverSent if isinstance(error, _UNSENT) else Unreachable
    reason, advice = _FAILURES[kind]
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        reason = f"{reason}: {excerpt(str(error))}"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        advice = _UNTRUSTED
    return failure(f"{portal} did not {asked}: {reason}.", advice)
