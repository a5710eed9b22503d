"""Serve a world to people and programs, on this machine only."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import waitress.server
from waitress import wasyncore

from vipsync.local.app import create_app
from vipsync.local.options import Options
from vipsync.local.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = "127.0.0.1"
_THREADS = 32
_LARGEST_BODY = 2**40
_WAKE_SECONDS = 1.0


class Server:
    """A waitress server in a thread of its own, which opens and closes every socket."""

    def __init__(self, world: World, host: str = LOOPBACK, port: int = 0) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} can be reached from elsewhere; use {LOOPBACK}")
        app = _Here(create_app(world))
        listening = socket.create_server((host, port), family=_family(host))
        self._sockets: dict[int, Any] = {}
        self._waitress = waitress.server.create_server(
            app,
            map=self._sockets,
            sockets=[listening],
            threads=_THREADS,
            ident="vip-local",
            connection_limit=500,
            channel_timeout=300,
            max_request_body_size=_LARGEST_BODY,
            recv_bytes=256 * 1024,
            log_socket_errors=False,
        )
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{listening.getsockname()[1]}"
        self._stopping = threading.Event()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="vip-local", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
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
            wasyncore.close_all(self._sockets, ignore_all=True)


class _Here:
    """Answer only to who asks for this machine by its own name.

    A page can have its own name lead to this machine, and then asks with what it knows. One that asks
    from elsewhere is refused by the application.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if is_here(environ.get("HTTP_HOST", "")):
            return self._app(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"This server answers to the names of this machine only, as 127.0.0.1."]


def is_here(host: str) -> bool:
    """Tell whether the Host of a request is a name that only this machine has for itself."""
    name = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:\d+)?", host)
    if name is None:
        return False
    try:
        return ipaddress.ip_address(name[1].strip("[]")).is_loopback
    except ValueError:
        return name[1].lower() == "localhost"


@contextmanager
def running(world: World, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serve a world in a thread; yield its base URL. Port 0 takes a free one."""
    server = Server(world, host, port)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
        world.close()


def serve_forever(
    root: Path,
    options: Options,
    host: str = LOOPBACK,
    port: int = 0,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a folder until interrupted; ready is told the URL first."""
    with running(World(root, options), host, port) as url, suppress(KeyboardInterrupt):
        ready(url)
        threading.Event().wait()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
