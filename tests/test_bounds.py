"""Answers without end, and answers that mean nothing: each costs a bounded time and memory, and only its own request."""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.json_values import JSON
from tests.lab.memory import traced
from vipsync.client.connection import MAX_LOG
from vipsync.client.deadline import Deadlines, Timed, limited
from vipsync.client.decoding import decoded
from vipsync.client.vip_client import VipClient
from vipsync.errors import BadAnswer, Unreachable, VipsyncError
from vipsync.local import ManualClock
from vipsync.model import BLOCK

PORTAL = "https://vip.test"
KEY = "a-key-of-the-test"
ID = "workflow-a1b2c3"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> VipClient:
    return VipClient(PORTAL, KEY, httpx.MockTransport(answer))


def streaming(
    blocks: Callable[[], Iterable[bytes]], status: int = 200, **headers: str
) -> VipClient:
    """Return a client that is answered with these blocks."""

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from blocks()

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answering(lambda _: httpx.Response(status, stream=Stream(), headers=named))


# time


@contextmanager
def talking(parts: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """Give the address of a server that reads nothing and says these parts for as long as it is heard."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    for part in parts():
                        connection.sendall(part)
                        if ended.wait(0.02):
                            return

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


DRIPS: dict[str, Callable[[], Iterable[bytes]]] = {
    "body": lambda: chain([HEAD + b"Content-Length: 99999999\r\n\r\n"], repeat(b" ")),
    "head": lambda: chain([HEAD + b"X: "], repeat(b"x")),
    "names of chunks": lambda: chain(
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;"], repeat(b"x")
    ),
    "patience": lambda: repeat(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "nothing": lambda: repeat(b""),
}


@pytest.mark.parametrize("kind", DRIPS)
def test_an_answer_that_drips_is_given_up(kind: str) -> None:
    """However it is spelt, no exchange lasts longer than its time."""
    transport = limited(httpx.HTTPTransport(), seconds=0.3)
    with (
        talking(DRIPS[kind]) as portal,
        VipClient(portal, KEY, transport) as vip,
        pytest.raises(Unreachable, match="no answer in time"),
    ):
        vip.platform()


def test_a_refusal_that_drips_is_a_refusal() -> None:
    """What it says first is enough."""
    drip = lambda: chain([b"HTTP/1.1 400 Bad\r\nContent-Length: 9999\r\n\r\n"], repeat(b"x"))  # noqa: E731
    transport = limited(httpx.HTTPTransport(), seconds=0.3)
    with (
        talking(drip) as portal,
        VipClient(portal, KEY, transport) as vip,
        pytest.raises(BadAnswer, match="HTTP 400"),
    ):
        vip.platform()


def chunks(size: int) -> bytes:
    """Return 10,000 pieces of an answer, each of so many bytes."""
    return (b"%x\r\n%b\r\n" % (size, b" " * size)) * 10_000


@pytest.mark.parametrize("size", [1, 63])
def test_an_answer_in_crumbs_is_given_up(size: int) -> None:
    """Long before its bytes are too many: each piece costs time of the processor, which others need."""
    crumbs = lambda: chain([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(chunks(size)))  # noqa: E731
    with (
        talking(crumbs) as portal,
        VipClient(portal, KEY, limited(httpx.HTTPTransport())) as vip,
        pytest.raises(Unreachable, match="the connection broke"),
    ):
        vip.platform()


@pytest.mark.parametrize("bodies", [[1, 1], [64] * 6, [1, 1, 4096, 1, 1, 1]])
def test_some_crumbs_are_no_fault(bodies: list[int]) -> None:
    """Lines of a log may come one by one, and pieces of the usual size for as long as they like."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = [head, *map(chunks, bodies), b"2\r\n{}\r\n0\r\n\r\n"]
    with (
        talking(lambda: answer) as portal,
        VipClient(portal, KEY, limited(httpx.HTTPTransport())) as vip,
    ):
        assert vip.platform().name == "VIP"


def test_a_client_has_such_a_limit() -> None:
    """What leads to a portal was given it, through a proxy too."""
    with VipClient("http://127.0.0.1:1", KEY) as vip:
        pool = vip._connection._http._transport._pool  # type: ignore[attr-defined]
    assert isinstance(pool._network_backend, Deadlines)


class Line(httpcore.NetworkStream):
    """A connection on which each byte takes half a second."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.waited = clock, 0.0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.clock.sleep(0.5)
        return b"x"

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.clock.sleep(0.5)

    def close(self) -> None:
        pass

    def start_tls(self, ssl_context: ssl.SSLContext, *_: Any, **__: Any) -> httpcore.NetworkStream:
        return Line(self.clock)


def until_late(step: Callable[[], object], clock: ManualClock) -> float:
    """Return how long this can be done again and again."""
    began = clock.now()
    for _ in range(10**6):
        try:
            step()
        except httpcore.TimeoutException:
            return clock.now() - began
    raise AssertionError("it goes on for ever")


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_time_of_one_exchange(encrypted: bool) -> None:
    """Two minutes for all of it; a second more for 64 KiB; the next one has its own."""
    clock = ManualClock()
    line: httpcore.NetworkStream = Timed(Line(clock), 120.0, clock.now)
    if encrypted:
        line = line.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert isinstance(line, Timed)
    for _ in range(2):
        line.write(b"GET")
        assert until_late(lambda: line.read(1), clock) == pytest.approx(119.5, abs=1)
    line.write(b"GET")
    line.body_follows(slowest=4)
    assert until_late(lambda: line.read(1), clock) == pytest.approx(239, abs=2)


def test_a_server_that_takes_nothing_is_given_up() -> None:
    """Sending is a part of the exchange; each piece adds the seconds of its slowest line."""
    clock = ManualClock()
    line = Timed(Line(clock), 120.0, clock.now)
    assert until_late(lambda: line.write(b"x"), clock) == pytest.approx(120, abs=1)


def test_a_slow_line_is_no_fault() -> None:
    """A file of 100 MB comes over a line of 10 kB/s, and goes over one of 5 kB/s; no wait is cut short."""
    clock = ManualClock()

    class Slow(Line):
        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            self.clock.sleep(max_bytes / 10_000)
            return bytes(max_bytes)

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            assert timeout is None or timeout > len(buffer) / 5000
            self.clock.sleep(len(buffer) / 5000)

    line = Timed(Slow(clock), 120.0, clock.now)
    line.write(b"GET")
    line.body_follows(slowest=4096)
    assert sum(len(line.read(65536)) for _ in range(1600)) > 100_000_000
    for _ in range(100):
        line.write(bytes(1_000_000), 90.0)


# bytes


def nothing_packed() -> Iterator[bytes]:
    """Yield blocks of gzip without end in which nothing is."""
    codec = zlib.compressobj(wbits=31)
    yield codec.compress(b"") + codec.flush(zlib.Z_FULL_FLUSH)
    while True:
        yield b"\0\0\0\xff\xff" * 2000


ENDLESS: dict[str, VipClient] = {
    "words": streaming(lambda: repeat(b" " * 65536)),
    "packed nothing": streaming(nothing_packed, content_encoding="gzip"),
    "packed zeros": streaming(
        lambda: [gzip.compress(bytes(300 * BLOCK), 9)], content_encoding="gzip"
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_end_is_not_read_on(kind: str) -> None:
    """It is given up, whether it is packed or not."""
    with pytest.raises(BadAnswer):
        ENDLESS[kind].platform()


@pytest.mark.parametrize("kind", ENDLESS)
def test_that_something_is_done_takes_few_words(kind: str) -> None:
    """An answer that says no more than that is read for a mebibyte, and tells of no doubt."""
    client = ENDLESS[kind]
    stream = client._connection._http._transport.handler  # type: ignore[attr-defined]
    done = answering(lambda request: _with_status(stream(request), 201))
    with traced() as peak, pytest.raises(BadAnswer):
        done.make_folder("/vip/Home/x")
    assert peak() < 8 * BLOCK or kind == "words"


def _with_status(answer: httpx.Response, status: int) -> httpx.Response:
    answer.status_code = status
    return answer


def packed(content: bytes, times: int) -> bytes:
    """Return gzip in gzip."""
    for _ in range(times):
        content = gzip.compress(content, 9, mtime=0)
    return content


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_refusal_is_no_longer_unpacked_than_read(status: int, times: int) -> None:
    """A few bytes that would become gigabytes take a few mebibytes."""
    bomb = packed(bytes(200 * BLOCK), times)
    client = streaming(lambda: [bomb], status, content_encoding="gzip")
    with traced() as peak, pytest.raises(VipsyncError):
        client.platform()
    assert peak() < 8 * BLOCK


def test_a_log_without_end_keeps_what_came() -> None:
    """Its end is not waited for."""
    client = streaming(lambda: repeat(b"line\n" * 13_000))
    log = client.job_log(ID, 1, "stdout")
    assert log is not None
    assert len(log) == MAX_LOG


def test_blocks_that_hold_hardly_anything_are_unpacked() -> None:
    """What cannot be packed is a little longer packed, and comes whole."""
    content = random.Random(1).randbytes(9 * BLOCK)
    came = packed(content, 1)
    blocks = (came[at : at + 1000] for at in range(0, len(came), 1000))
    assert b"".join(decoded(blocks, "gzip")) == content


# shapes


@pytest.mark.parametrize(
    "made",
    [
        lambda: b"[" * 10**6,
        lambda: b'{"a":' * 10**6,
        lambda: b'[{"x":' + b"[" * 10**6,
        lambda: b'{"inputs":[],"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        lambda: b"[" + b"{}," * 6_000_000 + b"{}]",
        lambda: b'{"inputs":[' + b"0," * 6_000_000 + b"0]}",
        lambda: b'{"jobs":{' + b",".join(b'"%d":{}' % i for i in range(3_000_000)) + b"}}",
    ],
    ids=["lists", "tables", "in a field", "descriptor", "entries", "inputs", "jobs"],
)
def test_an_answer_that_is_too_deep_or_too_long_is_refused(made: Callable[[], bytes]) -> None:
    """Before it takes the memory or the stack of the process."""
    body = made()
    client = answering(lambda _: httpx.Response(200, content=body))
    for ask in (client.platform, client.executions, lambda: client.descriptor("a/1")):
        with traced() as peak, pytest.raises(BadAnswer):
            ask()
        assert peak() < 3 * len(body) + 64 * BLOCK


def test_a_list_of_400_000_results_comes() -> None:
    """What a pipeline has left in one folder, with the names that VIP gives it."""
    entry = {
        "path": "/vip/Home/API/a study of a large hospital/OUTPUTS/2026-11-28_101010/{:08}.nii.gz",
        "lastModificationDate": None,
        "isDirectory": False,
        "size": 123456,
        "exists": True,
        "mimeType": "application/octet-stream",
    }
    text = json.dumps(entry)
    body = f"[{','.join(text.replace('{:08}', f'{i:08}') for i in range(400_000))}]".encode()
    client = answering(lambda _: httpx.Response(200, content=body))
    folder = "/vip/Home/API/a study of a large hospital/OUTPUTS/2026-11-28_101010"
    assert len(client.list_folder(folder, whole=True)) == 400_000


# whatever comes

FIELDS = [
    "path",
    "exists",
    "isDirectory",
    "size",
    "platformName",
    "email",
    "maxSizeDirectTransfer",
    "name",
    "type",
    "defaultValue",
    "description",
    "isOptional",
    "identifier",
    "version",
    "parameters",
    "status",
    "exitCode",
    "exitMessage",
    "pipelineIdentifier",
    "startDate",
    "inputValues",
    "returnedFiles",
    "jobs",
    "inputs",
    "errorCode",
    "errorMessage",
]
OBJECT = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6)
ANSWERS = OBJECT | st.lists(OBJECT | JSON, max_size=4) | JSON
BODIES = st.binary(max_size=200) | ANSWERS.map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Encoding",
            "Content-Range",
            "Content-Type",
            "Retry-After",
            "Location",
            "Date",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
    | st.sampled_from(
        ["gzip", "deflate", "br", "bytes 0-1/2", "bytes */9", "http://[", "text/html"]
    ),
    max_size=3,
)


def _fetch(client: VipClient) -> None:
    with client.download("/vip/Home/x", 3, 10) as download:
        for _ in download.blocks:
            pass


ASKS: tuple[Callable[[VipClient], object], ...] = (
    VipClient.check_key,
    VipClient.platform,
    VipClient.pipelines,
    VipClient.executions,
    _fetch,
    lambda c: c.exists("/vip/Home"),
    lambda c: c.properties("/vip/Home/x"),
    lambda c: c.list_folder("/vip/Home"),
    lambda c: c.everything_in("/vip/Home"),
    lambda c: c.make_folder("/vip/Home/x"),
    lambda c: c.upload("/vip/Home/x", io.BytesIO(b"x"), 1),
    lambda c: c.delete("/vip/Home/x"),
    lambda c: c.pipeline("a/1"),
    lambda c: c.descriptor("a/1"),
    lambda c: c.execution(ID),
    lambda c: c.launch("n", "a/1", {}, "/vip/Home"),
    lambda c: c.kill(ID),
    lambda c: c.job_log(ID, 1, "stderr"),
)


@settings(deadline=None)
@given(
    st.sampled_from([200, 201, 204, 206, 301, 400, 401, 404, 416, 429, 500, 503]), BODIES, HEADERS
)
def test_any_answer_is_a_value_or_an_error_of_ours(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    """Whatever bytes come under whatever status: nothing hangs, and no other exception leaves."""
    for ask in ASKS:
        with suppress(VipsyncError):
            ask(answering(lambda _: httpx.Response(status, stream=_Once(body), headers=headers)))


class _Once(httpx.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
