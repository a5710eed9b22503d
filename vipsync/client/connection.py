"""One shared HTTP connection pool to a portal: the key's only place, and where failures are read.

The key is added to a request as it leaves, never follows a redirect, and is taken out of foreign
texts. Answers are read no further than they are of use; nothing is ever sent twice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

from msgspec import Struct

from vipsync.client.deadline import SLOWEST_WORDS, body_follows
from vipsync.client.decoding import plain
from vipsync.client.environment import transport_to
from vipsync.client.http import BAD_ADDRESS, httpx, read_address
from vipsync.client.refusals import Refusal, remedy, retry_after, unreachable
from vipsync.errors import BadAnswer, KeyMissing, KeyRefused, SettingsError, VipsyncError
from vipsync.model import BLOCK, Secret
from vipsync.settings.values import is_loopback

logger = logging.getLogger(__name__)

# httpx logs every URL at INFO, and a path can hold a patient's name.
logging.getLogger("httpx").setLevel(logging.WARNING)

KEY_HEADER = "apikey"
MAX_CONNECTIONS = 16
MAX_ANSWER = 160 * BLOCK
"""Bytes of JSON above which an answer is not read on: a list of 400,000 results has 100 MB."""
MAX_DONE = BLOCK
"""The same where an answer says no more than that something was done."""
MAX_REFUSAL = 64 * 1024
"""Bytes of a refusal that are read."""
MAX_LOG = BLOCK
"""Bytes of a log that are kept: its last ones."""
MAX_LOG_READ = 256 * BLOCK
"""Bytes of a log after which its end is not waited for."""

_PAGE = re.compile(r"/+(rest|home\.html)$")
"""What people copy along with the address of a portal."""

# A PUT answers after up to 45 s (facts 3.5), and a free connection may be as far away.
_TIMEOUT = httpx.Timeout(90.0, connect=10.0)
_LIMITS = httpx.Limits(max_connections=MAX_CONNECTIONS)
_SHORTEST_SECRET = 12


class Ask(Struct, frozen=True):
    """One request, and the words that name it in an error."""

    words: str
    method: str
    route: str
    params: Mapping[str, str | int] = {}
    headers: Mapping[str, str] = {}
    content: bytes | Iterator[bytes] | None = None
    json: object = None
    slowest: int = SLOWEST_WORDS


class Connection:
    """The shared httpx client: sends, reads no more than it must, translates every failure."""

    def __init__(self, portal: str, key: Secret, transport: httpx.BaseTransport | None) -> None:
        self._portal = portal
        self._key = key
        self._http = httpx.Client(
            auth=_KeyHeader(key),
            headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "vipsync"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # VIP needs none
            transport=transport or transport_to(httpx.URL(portal), _LIMITS),
            trust_env=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    @contextmanager
    def answer(self, ask: Ask, *expected: int) -> Iterator[httpx.Response]:
        """Send a request and yield its answer, not read yet; raise on any status not expected."""
        request = self._http.build_request(
            ask.method,
            f"{self._portal}/rest/{ask.route}",
            params=ask.params or None,
            headers=ask.headers,
            content=ask.content,
            json=ask.json,
        )
        with self._translated(ask.words):
            response = self._http.send(request, stream=True)
        body_follows(response, ask.slowest)
        try:
            if response.status_code not in expected:
                raise self._refusal(response, ask.words)
            yield response
        finally:
            response.close()

    def body(self, response: httpx.Response, words: str, most: int = MAX_ANSWER) -> bytearray:
        """Return the whole answer."""
        body = bytearray()
        with self._translated(words):
            for chunk in plain(response):
                body += chunk
                if len(body) > most:
                    raise BadAnswer(f"The answer to '{words}' is longer than {most} bytes.")
        return body

    def tail(self, response: httpx.Response, words: str) -> str:
        """Return the end of a text."""
        end, came = bytearray(), 0
        with self._translated(words):
            for chunk in plain(response):
                end += chunk
                del end[:-MAX_LOG]
                came += len(chunk)
                if came > MAX_LOG_READ:
                    break
        latin = (response.charset_encoding or "").lower() == "iso-8859-1"
        return end.decode("latin-1" if latin else "utf-8", errors="replace")

    def _refusal(self, response: httpx.Response, words: str) -> VipsyncError:
        return Refusal(
            asked=words,
            portal=self._portal,
            status=response.status_code,
            body=self._redacted(_beginning(response)),
            location=self._redacted(_moved_to(response).encode()).decode(),
            retry_after=retry_after(response.headers),
            key_from=self._key.origin,
            instead=self._key.instead,
        ).error()

    def _redacted(self, text: bytes) -> bytes:
        """Take the key out of a foreign text: a proxy's page may echo the whole request."""
        if len(self._key.reveal()) < _SHORTEST_SECRET:
            return text
        return text.replace(self._key.reveal().encode(), b"[key]")

    @contextmanager
    def _translated(self, words: str) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            _forget_frames(error)
            raise unreachable(error, words, self._portal) from error
        except BAD_ADDRESS as error:
            # httpx reads the target of a redirect even when it does not follow it.
            raise BadAnswer(f"{self._portal} did not {words}, but redirects to nowhere.") from error


class _KeyHeader(httpx.Auth):
    """Add the key to a request as it leaves, so that nothing else ever holds it."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[KEY_HEADER] = self._key.reveal()
        yield request


def portal_address(address: str) -> str:
    """Return the address of a portal without a trailing slash, or raise SettingsError."""
    url = read_address(_PAGE.sub("", address.strip().rstrip("/")))
    if (
        url.scheme not in {"http", "https"}
        or not url.host
        or url.userinfo
        or url.query
        or url.fragment
    ):
        raise SettingsError(
            "The portal's address cannot be used.",
            "It reads like https://vip.creatis.insa-lyon.fr, with nothing behind.",
        )
    if url.scheme == "http" and not is_loopback(url.host):
        raise SettingsError(
            f"{url.host} is asked for without encryption: the key could be read on the way.",
            "Write https:// in front.",
        )
    return str(url).rstrip("/")


def usable_key(api_key: str | Secret, portal: str) -> Secret:
    """Check that the key can be a header: else h11 would show it in its error."""
    if not isinstance(api_key, Secret):
        api_key = Secret(api_key)  # no text of it lies in a variable, which a traceback could show
    key = Secret(api_key.reveal().strip(), api_key.origin, api_key.instead)
    if not key.reveal():
        raise KeyMissing("There is no API key.", remedy(KeyMissing, portal))
    if not (key.reveal().isascii() and key.reveal().isprintable()) or " " in key.reveal():
        raise KeyRefused(
            "The API key holds characters that no key has.", remedy(KeyRefused, portal)
        )
    return key


def _forget_frames(error: BaseException) -> None:
    """Take the frames out of an error of httpx and all it comes from: h11's hold the head with the key."""
    found: BaseException | None = error
    while found is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__


def _beginning(response: httpx.Response) -> bytes:
    """Return the first bytes of a refusal; those that came, where the connection breaks."""
    body = bytearray()
    try:
        for chunk in plain(response):
            body += chunk
            if len(body) >= MAX_REFUSAL:
                break
    except (httpx.HTTPError, BadAnswer):
        logger.debug("the body of a refusal could not be read to its end")
    return bytes(body[:MAX_REFUSAL])


def _moved_to(response: httpx.Response) -> str:
    """Return the portal address that a redirect leads to, without anything secret or foreign."""
    location = response.headers.get("location", "")
    try:
        url = read_address(str(response.request.url.join(location)) if location else "")
    except BAD_ADDRESS:
        return ""
    if url.scheme not in {"http", "https"} or not url.host:
        return ""
    port = f":{url.port}" if url.port else ""
    before, rest, _ = url.path.partition("/rest/")
    return f"{url.scheme}://{url.host}{port}{before if rest else ''}"
