"""Serve an embedded VIP in a process of its own, and count what is asked of it."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit
from wsgiref.handlers import SimpleHandler
from wsgiref.types import WSGIApplication

from tests.lab.pipelines import written
from vipsync.local import DEFAULT_KEY, FastRunner, Options, SystemClock, User, World, create_app
from vipsync.local.runner import Job

KEY = DEFAULT_KEY
HOME = Path("users", "local_user")
FILES = "/rest/path/vip/Home"
BLOCK = 2**20

RESULTS = "results/1"
_DESCRIPTOR = written(RESULTS, "signal:String basis:File", "result=[signal].bin")
"""One result of 200 kB for each signal."""


@dataclass(frozen=True)
class Conditions:
    """How slow the server is: seconds for each transfer, and for each request; how many jobs end at once.

    Those after them never end.
    """

    transfer: float = 0.0
    latency: float = 0.0
    jobs: float = math.inf


class Handler(BaseHTTPRequestHandler):
    """Move the bytes of files straight between socket and disk; the embedded VIP answers the rest.

    What is measured are clients: a server that copies each body twice would be measured with them.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    conditions: Conditions
    home: Path
    app: WSGIApplication
    counts: Counter[str]
    arrived: dict[str, float]
    raw_requestline: bytes
    began: float = 0.0
    ended: float = 0.0

    def handle_one_request(self) -> None:
        """Note when the last answer was given."""
        super().handle_one_request()
        if self.raw_requestline:
            Handler.ended = time.monotonic()

    def do_PUT(self) -> None:
        """Store a file, or ask the embedded VIP."""
        self.arrived[self._path] = time.monotonic()
        size = int(self.headers.get("Content-Length", 0))
        if not (size and self._path.startswith(f"{FILES}/")):
            self._ask()
            return
        self._count()
        buffer, left = memoryview(bytearray(min(size, BLOCK))), size
        with self._file.open("wb", buffering=0) as file:
            while left:
                came = self.rfile.readinto(buffer[: min(left, BLOCK)])
                if not came:
                    return
                file.write(buffer[:came])
                left -= came
        time.sleep(self.conditions.transfer)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Send a file, or ask the embedded VIP."""
        if "action=content" not in self.path:
            self._ask()
            return
        self._count()
        time.sleep(self.conditions.transfer)
        with self._file.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.connection.sendfile(file)

    def _ask(self) -> None:
        self._count()
        size = int(self.headers.get("Content-Length", 0))
        environ = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": self._path.encode().decode("latin-1"),
            "QUERY_STRING": urlsplit(self.path).query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(size),
            "SERVER_PROTOCOL": self.protocol_version,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            **{f"HTTP_{n.upper().replace('-', '_')}": v for n, v in self.headers.items()},
        }
        handler = SimpleHandler(
            BytesIO(self.rfile.read(size)), cast(IO[bytes], self.wfile), sys.stderr, environ
        )
        handler.http_version = "1.1"
        handler.run(self.app)

    do_POST = do_DELETE = _ask  # noqa: N815

    def _count(self) -> None:
        Handler.began = Handler.began or time.monotonic()
        time.sleep(self.conditions.latency)
        self.counts[f"{self.command} {self._path.split('/')[2]}"] += 1

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    @property
    def _file(self) -> Path:
        return self.home / self._path.removeprefix(FILES).lstrip("/")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _results(_job: Job) -> dict[str, bytes]:
    return {"result": os.urandom(200_000)}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


def serve(root: Path, conditions: Conditions) -> None:
    """Serve until standard input ends; the address is the first line of output, then counts."""
    users = MappingProxyType({KEY: User()})
    pipelines = root / "pipelines"
    pipelines.mkdir(parents=True)
    (pipelines / "results.json").write_text(json.dumps(_DESCRIPTOR))
    options = Options(users=users, pipelines=(pipelines,), startup_delay=0.0, quota_user=1000)
    clock = SystemClock()
    runner = FastRunner(clock, _results)
    runner.seconds = lambda _: 0.0 if len(runner.submitted) <= conditions.jobs else math.inf
    world = World(root, options, clock, random.Random(1), runner)
    Handler.conditions, Handler.counts, Handler.arrived = conditions, Counter(), {}
    Handler.home, Handler.app = root / HOME, staticmethod(create_app(world))
    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    for line in sys.stdin:
        if line.strip() == "count":
            print(json.dumps(Handler.counts), flush=True)
            Handler.counts = Counter()
        elif line.strip() == "span":
            print(json.dumps(Handler.ended - Handler.began), flush=True)
            Handler.began = 0.0
        elif line.strip() == "arrivals":
            print(json.dumps(dict(Handler.arrived)), flush=True)


class Server:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], url: str, root: Path) -> None:
        self._process, self.url, self.root = process, url, root

    @property
    def environ(self) -> dict[str, str]:
        """What lets the key go to this portal."""
        return {"VIP_API_KEY": KEY, "VIP_PORTAL_URL": self.url}

    @property
    def home(self) -> Path:
        """/vip/Home on the server's disk."""
        return self.root / HOME

    def count(self) -> Counter[str]:
        """Return the requests since the last count, by method and kind."""
        return Counter(self._ask("count"))

    def span(self) -> float:
        """Return the seconds from the first request since the last span to the last answer."""
        found: float = self._ask("span")
        return found

    def arrivals(self) -> dict[str, float]:
        """Return when the last upload of each path came (monotonic s, the same in all processes)."""
        found: dict[str, float] = self._ask("arrivals")
        return found

    def _ask(self, question: str) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def served(root: Path, conditions: Conditions) -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    words = json.dumps({"root": str(root), **asdict(conditions)})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.server", words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield Server(process, process.stdout.readline().strip(), root)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    serve(Path(asked.pop("root")), Conditions(**asked))
