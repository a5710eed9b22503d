"""Serve the page to browsers."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import waitress.server
from waitress import wasyncore

from vipsync.errors import SettingsError
from vipsync.page.app import create_app
from vipsync.page.looking import WAITING, Folders
from vipsync.page.security import Access

ADDRESS = "127.0.0.1:8484"
"""Where the page is served where nobody says otherwise."""

_THREADS = WAITING + 8
_CONNECTIONS = 500
_PATIENCE = 60
_HEADERS = 16 * 1024
_BODY = 64 * 1024
_WAKE_SECONDS = 1.0


@contextmanager
def running(
    directories: Sequence[Path], address: str = ADDRESS, printer: str = "vipsync page"
) -> Iterator[Access]:
    """Serve the page in a thread; yield how to get in. Port 0 takes a free one. Raise SettingsError.

    `printer`: the command that prints the link.
    """
    host, port = parsed(address)
    with _listening(host, port) as listening:
        access = Access(host, listening.getsockname()[1], printer)
        folders = Folders(directories)
        server = _Server(create_app(folders, access), listening)
        try:
            yield access
        finally:
            folders.end()
            server.stop()


def parsed(address: str) -> tuple[str, int]:
    """Return host and port of an address; raise SettingsError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise SettingsError(
            f"{address} is no address for a page.", f"Give host and port, as in {ADDRESS}."
        )
    return host, int(port)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listening = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"The page cannot be served on {host}, port {port}: {reason}.",
            "Choose another one with `--address HOST:PORT`; port 0 takes a free one.",
        ) from error
    with listening:
        yield listening


def _family(host: str) -> socket.AddressFamily:
    with suppress(ValueError):
        return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    return socket.AF_INET


class _Server:
    """A waitress server in a thread of its own, which opens and closes every socket."""

    def __init__(self, app: Any, listening: socket.socket) -> None:
        self._sockets: dict[int, Any] = {}
        self._waitress = waitress.server.create_server(
            app,
            map=self._sockets,
            sockets=[listening],
            threads=_THREADS,
            ident=None,
            connection_limit=_CONNECTIONS,
            channel_timeout=_PATIENCE,
            channel_request_lookahead=1,  # who hangs up is seen to do so
            max_request_body_size=_BODY,
            max_request_header_size=_HEADERS,
            log_socket_errors=False,
            expose_tracebacks=False,
        )
        self._stopping, self._closing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="vipsync-page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, close every connection."""
        self._waitress.task_dispatcher.shutdown(timeout=1)
        self._stopping.set()
        with self._closing:
            if self._sockets:
                self._waitress.pull_trigger()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(_WAKE_SECONDS, use_poll=True, map=self._sockets, count=1)
        with self._closing:
            for channel in list(self._waitress.active_channels.values()):
                channel.handle_close()  # and the file that was not sent to its end
            wasyncore.close_all(self._sockets, ignore_all=True)
