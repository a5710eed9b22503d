"""Who may see the page, and who may ask something by it.

The page is for the people of this machine, and a browser is open to everybody: so the name that was
called is checked (rebinding), a change needs the link that was printed, its cookie, a word of the
form and the own origin, and nothing on the page is loaded or run from elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from functools import cache
from typing import Protocol

from msgspec import Struct, field

from vipsync.settings.values import is_loopback


class Headers(Protocol):
    """What a browser says beside its request."""

    def get(self, key: str, /) -> str | None:
        """Return one header."""


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""What a result may do that is looked at: nothing."""


class Access(Struct, frozen=True):
    """What lets people in. `token` is in the link that `printer` prints; it lives as long as the process."""

    host: str
    port: int
    printer: str = "vipsync page"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def private(self) -> bool:
        """True where only programs of this machine can call."""
        return is_loopback(self.host.strip("[]"))

    @property
    def cookie(self) -> str:
        """The name of the cookie: browsers give one to every port of a machine."""
        return f"vipsync-{self.port}"

    @property
    def room(self) -> str:
        """The path below which the cookie counts: a server at another port is never sent it."""
        word = hmac.new(self.token.encode(), b"room", hashlib.sha256).hexdigest()
        return f"/with/{word[:32]}"

    @property
    def form_word(self) -> str:
        """What a form must hold; it tells nothing of the token."""
        return hmac.new(self.token.encode(), b"form", hashlib.sha256).hexdigest()

    @property
    def address(self) -> str:
        """The address that stays the same at each start."""
        everywhere = _is_address(self.host) and ipaddress.ip_address(self.host).is_unspecified
        host = socket.gethostname() if everywhere else self.host
        return f"{address_of(host, self.port)}/"

    @property
    def link(self) -> str:
        """The address with which a person may see everything, and ask."""
        return f"{self.address}?token={self.token}"

    @property
    def to_look(self) -> str:
        """Say what can be bookmarked: a link that lasted would be a key that lasts. "" where nothing can."""
        return f"To look only, bookmark {self.address}" if self.private else ""

    def is_token(self, text: str | None) -> bool:
        """Tell whether this is the token, in the same time whatever it is."""
        return hmac.compare_digest((text or "").encode(), self.token.encode())

    def is_form_word(self, text: str | None) -> bool:
        """Tell whether a form is one of ours."""
        return hmac.compare_digest((text or "").encode(), self.form_word.encode())

    def is_called(self, host: str) -> bool:
        """Tell whether this page was called by a name of this machine, and not by one led here."""
        name, port = _split(host)
        if port != self.port:
            return False
        if self.private:
            return is_loopback(name.strip("[]"))
        return _is_address(name) or name in {*_own_names(), self.host.lower()}


def from_elsewhere(headers: Headers, own: str) -> bool:
    """Tell whether another site's page asks, by what browsers say and pages cannot change."""
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin is not None:
        return origin != own
    return site not in (None, "same-origin", "none")


def embedded_elsewhere(headers: Headers) -> bool:
    """Tell whether another site's page wants to show or read this inside itself."""
    foreign = headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    return foreign and headers.get("Sec-Fetch-Mode") != "navigate"


def address_of(host: str, port: int) -> str:
    """Return the address of a page."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


@cache  # to ask for them may take seconds
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def _split(host: str) -> tuple[str, int]:
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
        return host.lower(), 80
    return name, int(port)
