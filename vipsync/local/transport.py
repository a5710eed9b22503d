"""Call a world in process: an httpx transport that fails the way a socket does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import httpx

from vipsync.local.app import create_app
from vipsync.local.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class InProcess(httpx.BaseTransport):
    """Answers from a world without a socket.

    A dropped connection is httpx.ReadError, a cut body httpx.RemoteProtocolError, as over a network.
    """

    def __init__(self, world: World) -> None:
        self._app = create_app(world)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Serve one request."""
        wsgi = httpx.WSGITransport(_with_address(self._app, request.url.raw_path))
        try:
            response = wsgi.handle_request(request)
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error), request=request) from error
        expected = response.headers.get("Content-Length")
        if expected is None or request.method == "HEAD":
            return response
        stream = _Whole(response.stream, int(expected))
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


def _with_address(app: WSGIApplication, address: bytes) -> WSGIApplication:
    """Give the application its path as WSGI wants it, which httpx leaves undecoded, and as it was sent."""

    def call(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = environ["PATH_INFO"].encode("utf-8").decode("latin-1")
        environ["REQUEST_URI"] = address.decode("latin-1")
        return app(environ, start)

    return call


class _Whole(httpx.SyncByteStream):
    def __init__(self, stream: object, expected: int) -> None:
        assert isinstance(stream, httpx.SyncByteStream)  # noqa: S101
        self._stream = stream
        self._expected = expected

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for block in self._stream:
            received += len(block)
            yield block
        if received < self._expected:
            raise httpx.RemoteProtocolError("the body ended before its announced length")

    def close(self) -> None:
        self._stream.close()
