"""A limit to how long one exchange with VIP may take in all: httpx limits each wait for a byte alone.

A server that lets a byte drip every half second would otherwise hold a thread for days.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore

from vipsync.client.http import httpx

EXCHANGE = 120.0
"""Seconds for one exchange: a PUT answers after up to 45 s, and 63 s were seen (facts 3.5, 11)."""

SLOWEST = 4096
"""Bytes of a file that give its transfer a second more: eight share a line of 256 kbit/s."""

SLOWEST_WORDS = 64 * 1024
"""The same for bytes of any other answer: it keeps others waiting."""

CRUMB, CRUMBS = 64, 50_000
"""Bytes below which a piece of an answer is tiny, and how many such pieces may come in a row."""

_PIECE = 256 * 1024
"""Bytes that pass at once: many, since each piece has its cost; they add no more seconds than an exchange has."""

Options = Iterable[httpcore.SOCKET_OPTION]


class Deadlines(httpcore.NetworkBackend):
    """Open connections on which no exchange lasts for ever."""

    def __init__(
        self, inner: httpcore.NetworkBackend, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._inner, self._seconds, self._clock = inner, seconds, clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host."""
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return Timed(stream, self._seconds, self._clock)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._inner.sleep(seconds)


class Timed(httpcore.NetworkStream):
    """One connection: what is written after an answer begins the next exchange."""

    def __init__(
        self, inner: httpcore.NetworkStream, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._inner, self._seconds, self._clock = inner, seconds, clock
        self._answering, self._end, self._credit = False, clock() + seconds, 0.0

    def body_follows(self, slowest: int) -> None:
        """Give a second more for so many bytes that come; a head that goes on for ever gets none."""
        self._credit = 1 / slowest

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come."""
        self._answering = True
        most = _PIECE if self._credit else max_bytes
        came = self._inner.read(most, self._left(timeout, httpcore.ReadTimeout))
        self._end += len(came) * self._credit
        return came

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        if self._answering:
            self._answering, self._end = False, self._clock() + self._seconds
            self._credit = 0.0
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            left = self._left(timeout, httpcore.WriteTimeout)
            self._inner.write(piece, left)  # type: ignore[arg-type]  # a socket takes any buffer
            self._end += len(piece) / SLOWEST

    def _left(self, timeout: float | None, late: type[Exception]) -> float:
        left = self._end - self._clock()
        if left <= 0:
            raise late("the whole exchange takes too long")
        return left if timeout is None else min(timeout, left)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Go on encrypted."""
        inner = self._inner.start_tls(ssl_context, server_hostname, timeout)
        return Timed(inner, self._seconds, self._clock)

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._inner.get_extra_info(info)


def limited(
    transport: httpx.HTTPTransport,
    seconds: float = EXCHANGE,
    clock: Callable[[], float] = time.monotonic,
) -> httpx.HTTPTransport:
    """Let no exchange over this transport take longer than `seconds`, and what its bytes add.

    httpx hands httpcore no backend, so this sets it where httpcore keeps it.
    """
    pool = transport._pool
    pool._network_backend = Deadlines(pool._network_backend, seconds, clock)
    return transport


def body_follows(response: httpx.Response, slowest: int) -> None:
    """Let an exchange go on while so many bytes of its answer's body come in a second."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, Timed):
        stream.body_follows(slowest)
        response.stream = _NoCrumbs(response.stream)


class _NoCrumbs(httpx.SyncByteStream):
    """A body that ends where it comes in countless tiny pieces: each costs time in which others wait."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        left = CRUMBS
        for piece in self._inner:
            left += min(len(piece) // CRUMB, CRUMBS - left) - 1
            if left < 0:
                raise httpx.ReadError("the answer comes in pieces that are too small")
            yield piece

    def close(self) -> None:
        """Close the body."""
        self._inner.close()
