"""Serve an embedded VIP in a process of its own, and count what is asked of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import waitress

from vipsync.local import DEFAULT_KEY, FastRunner, Options, SystemClock, User, World, create_app

KEY = DEFAULT_KEY


@dataclass(frozen=True)
class Conditions:
    """How slow the server is: seconds for each transfer, and for each request."""

    transfer: float = 0.0
    latency: float = 0.0


def serve(root: Path, conditions: Conditions) -> None:
    """Serve until standard input ends; the address is the first line of output, counts the last."""
    users = MappingProxyType({KEY: User()})
    options = Options(
        users=users, transfer_delay=conditions.transfer, startup_delay=0.0, quota_user=1000
    )
    clock = SystemClock()
    world = World(root, options, clock, random.Random(1), FastRunner(clock, seconds=0.0))
    app = create_app(world)

    def late(environ: Any, start: Any) -> Any:
        time.sleep(conditions.latency)
        return app(environ, start)

    server = waitress.create_server(
        late, host="127.0.0.1", port=0, threads=64, max_request_body_size=2**40, recv_bytes=2**18
    )
    threading.Thread(target=server.run, daemon=True).start()
    print(f"http://127.0.0.1:{server.effective_port}", flush=True)
    for line in sys.stdin:
        if line.strip() == "count":
            counts = Counter(f"{r.method} {_route(r.path)}" for r in world.requests)
            world.requests.clear()
            print(json.dumps(counts), flush=True)


def _route(path: str) -> str:
    return "/".join(path.split("/")[:2])


class Server:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str], url: str, root: Path) -> None:
        self._process, self.url, self.root = process, url, root

    @property
    def home(self) -> Path:
        """/vip/Home on the server's disk."""
        return self.root / "users" / "local_user"

    def count(self) -> Counter[str]:
        """Return the requests since the last count, by method and kind."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return Counter(json.loads(self._process.stdout.readline()))


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
