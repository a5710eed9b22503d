"""The server over real sockets: many at a time, large bodies, lost connections."""

from __future__ import annotations

import gc
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from vipsync.local import DEFAULT_KEY, Kind, ManualClock, Options, World, running
from vipsync.local.app import create_app
from vipsync.local.server import Server

KEY = {"apikey": DEFAULT_KEY}
BLOCK = b"\x5a" * 2**20
SERVE = """
import sys
from pathlib import Path
from vipsync.local import Options, serve_forever
serve_forever(Path(sys.argv[1]), Options(), ready=lambda url: print(url, flush=True))
"""


@contextmanager
def served(root: Path) -> Iterator[tuple[str, int]]:
    """Serve in a process of its own; yield its URL and process id."""
    command = [sys.executable, "-c", SERVE, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def peak_memory(pid: int) -> int:
    """Return the most memory a process ever held, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_large_file_goes_up_and_down_in_blocks(tmp_path: Path) -> None:
    """300 MiB each way leave the server below 150 MB."""
    blocks = 300
    with served(tmp_path) as (url, pid), httpx.Client(base_url=url, headers=KEY) as client:
        path = "/rest/path/vip/Home/large.bin"
        sent = client.put(path, content=(BLOCK for _ in range(blocks)), timeout=60)
        received = 0
        with client.stream("GET", f"{path}?action=content") as answer:
            for block in answer.iter_bytes():
                received += len(block)
        peak = peak_memory(pid)
    assert (sent.status_code, received) == (201, blocks * len(BLOCK))
    assert peak < 150_000_000


class Together(ManualClock):
    """A clock on which nobody sleeps alone: it waits for `sleepers` at once."""

    def __init__(self, sleepers: int) -> None:
        super().__init__()
        self._asleep = threading.Barrier(sleepers)

    def sleep(self, seconds: float) -> None:
        self._asleep.wait(30)


def test_slow_transfers_wait_side_by_side(tmp_path: Path) -> None:
    """Eight transfers are under way at the same time."""
    world = World(tmp_path, Options(transfer_delay=0.3), clock=Together(8))
    with (
        running(world) as url,
        httpx.Client(base_url=url, headers=KEY) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        paths = [f"/rest/path/vip/Home/{number}.txt" for number in range(8)]
        answers = list(pool.map(lambda path: client.put(path, content=b"x"), paths))
    assert {answer.status_code for answer in answers} == {201}


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that take turns at every chance, also while memory is tidied."""

    def nothing(*_: object) -> None:
        pass

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(nothing)
    yield
    gc.callbacks.remove(nothing)
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_many_can_be_made_at_the_same_time(tmp_path: Path) -> None:
    """Each has all its routes."""
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda number: create_app(World(tmp_path / str(number))), range(60)))
    assert len(made) == 60


def test_a_lost_answer_closes_the_connection_after_the_work(tmp_path: Path) -> None:
    """The client gets no answer, yet the folder is there."""
    world = World(tmp_path, clock=ManualClock())
    with running(world) as url, httpx.Client(base_url=url, headers=KEY) as client:
        world.faults.arm(Kind.ANSWER_LOST, "PUT *")
        with pytest.raises(httpx.TransportError):
            client.put("/rest/path/vip/Home/folder")
        found = client.get("/rest/path/vip/Home/folder?action=exists").json()
    assert found == {"exists": True}


def test_a_cut_download_ends_before_its_announced_length(tmp_path: Path) -> None:
    """A client that compares lengths notices, over a socket too."""
    world = World(tmp_path)
    with running(world) as url, httpx.Client(base_url=url, headers=KEY) as client:
        client.put("/rest/path/vip/Home/a.txt", content=b"0123456789")
        world.faults.arm(Kind.DOWNLOAD_CUT, "/vip/Home/a.txt", size=4)
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/rest/path/vip/Home/a.txt?action=content")


def test_only_this_machine_can_reach_it(tmp_path: Path) -> None:
    """An address that others can reach is refused."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1"):
        Server(World(tmp_path), host="0.0.0.0")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("127.8.9.1:{port}", 200),
        ("evil.test:{port}", 403),
        ("evil.test", 403),
        ("127.0.0.1.evil.test:{port}", 403),
        ("localhost.evil.test", 403),
        ("192.0.2.1:{port}", 403),
        ("127.0.0.1:80@evil.test", 403),
        ("0.0.0.0:{port}", 403),
        ("", 403),
    ],
)
def test_only_a_name_of_this_machine_is_answered(tmp_path: Path, host: str, status: int) -> None:
    """A page whose name leads here, whatever key it knows, is told nothing."""
    with running(World(tmp_path)) as url:
        asked = {"Host": host.replace("{port}", url.rpartition(":")[2]), **KEY}
        answer = httpx.get(f"{url}/rest/platform", headers=asked)
    assert answer.status_code == status


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "https://localhost.evil.test", ""])
def test_a_page_of_elsewhere_is_told_nothing(tmp_path: Path, origin: str) -> None:
    """What a browser says of the page counts, before anything is done."""
    with running(World(tmp_path)) as url:
        asked = {"Origin": origin, **KEY}
        answer = httpx.put(f"{url}/rest/path/vip/Home/x", headers=asked, content=b"x")
        assert answer.status_code == 403
        there = httpx.get(f"{url}/rest/path/vip/Home/x?action=exists", headers=KEY).json()
    assert there == {"exists": False}
