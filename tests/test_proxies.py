"""Proxies that change what passes through: results come whole all the same, or are asked for again."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.acting import Acting
from tests.lab.memory import traced
from vipsync import actions as do
from vipsync.act.perform import Stopped
from vipsync.client.vip_client import VipClient
from vipsync.errors import BadAnswer, TransferMismatch, VipsyncError
from vipsync.model import RelPath, VipPath
from vipsync.script.backup import vip_backup

TEXT = b"a,b\n1,2\n" * 40_000
ARCHIVE = gzip.compress(random.Random(1).randbytes(300_000), mtime=0)
KEY = "local-key-of-26-characters"

Answer = Callable[[int], tuple[str, bytes]]
"""Gives the head and the body of an answer to a request for bytes from some place on."""


@dataclass
class Server:
    """Answers each connection once, with whatever bytes it is told to, and closes it."""

    answer: Answer
    asked_from: list[int] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (more := connection.recv(65536)):
                    head += more
                offset = 0
                for line in head.decode("latin-1").splitlines():
                    if line.lower().startswith("range: bytes="):
                        offset = int(line.partition("=")[2].rstrip("-"))
                self.asked_from.append(offset)
                lines, body = self.answer(offset)
                connection.sendall(
                    f"{lines}\r\n\r\n".replace("\n", "\r\n").replace("\r\r", "\r").encode() + body
                )


@contextmanager
def behind(answer: Answer) -> Iterator[tuple[VipClient, Server]]:
    """Give a client whose every answer passes through such a proxy."""
    server = Server(answer)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.serve, args=(listening,), daemon=True)
        thread.start()
        with VipClient(f"http://127.0.0.1:{listening.getsockname()[1]}", KEY) as client:
            yield client, server
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Acting]:
    made = Acting(tmp_path)
    yield made
    made.vip.close()


def fetched(bench: Acting, client: VipClient, name: str, size: int) -> bytes:
    """Return a result that was fetched; nothing else is left. Raise what went wrong."""
    action = do.FetchResult(VipPath(f"/vip/Home/{name}"), size, RelPath(name), False, False)
    outcome = bench.act(action, client=client)
    if isinstance(outcome, do.Failed):
        assert bench.here() == {}
        raise outcome.error
    assert bench.left() == []
    return bench.here()[name]


def closing(version: str, body: bytes, *headers: str) -> tuple[str, bytes]:
    return "\n".join([f"HTTP/{version} 200 OK", *headers, "Connection: close"]), body


def chunked(body: bytes, *headers: str) -> tuple[str, bytes]:
    pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    return closing("1.1", framed, "Transfer-Encoding: chunked", *headers)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


GZIP = "Content-Encoding: gzip"
PACKED = gzip.compress(TEXT)
TWICE = gzip.compress(ARCHIVE)

BZIP2, XZ = bz2.compress(TEXT), lzma.compress(TEXT)
SHORT = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklm"
assert len(SHORT) == len(gzip.compress(SHORT))

PROXIES: dict[str, tuple[str, bytes, tuple[str, bytes]]] = {
    "no length, closes": ("a.csv", TEXT, closing("1.1", TEXT)),
    "HTTP/1.0, closes": ("a.csv", TEXT, closing("1.0", TEXT)),
    "chunked": ("a.csv", TEXT, chunked(TEXT)),
    "gzip": ("a.csv", TEXT, closing("1.1", PACKED, GZIP, f"Content-Length: {len(PACKED)}")),
    "gzip, chunked": ("a.csv", TEXT, chunked(PACKED, "Content-Encoding: x-gzip")),
    "gzip, closes": ("a.csv", TEXT, closing("1.0", PACKED, GZIP)),
    "deflate": ("a.csv", TEXT, chunked(zlib.compress(TEXT), "Content-Encoding: deflate")),
    "raw deflate": ("a.csv", TEXT, closing("1.1", raw_deflate(TEXT), "Content-Encoding: deflate")),
    ".tgz called encoded": ("a.tgz", ARCHIVE, closing("1.1", ARCHIVE, GZIP, f"Content-Length: {len(ARCHIVE)}")),
    ".tgz called encoded, closes": ("a.tgz", ARCHIVE, closing("1.1", ARCHIVE, GZIP)),
    ".nii.gz called encoded, chunked": ("a.nii.gz", ARCHIVE, chunked(ARCHIVE, GZIP)),
    ".tgz compressed once more": ("a.tgz", ARCHIVE, closing("1.1", TWICE, GZIP, f"Content-Length: {len(TWICE)}")),
    ".tgz compressed once more, closes": ("A.TGZ", ARCHIVE, chunked(TWICE, GZIP)),
    "empty": ("a.csv", b"", closing("1.1", b"")),
    "empty, gzip": ("a.csv", b"", closing("1.1", gzip.compress(b""), GZIP)),
    ".tgz that is none, gzip": ("a.tgz", TEXT, closing("1.1", PACKED, GZIP, f"Content-Length: {len(PACKED)}")),
    ".tgz that is none, gzip, closes": ("a.tgz", TEXT, closing("1.0", PACKED, GZIP)),
    ".mgz called encoded, closes": ("a.mgz", ARCHIVE, closing("1.1", ARCHIVE, GZIP)),
    "gzip in gzip called encoded": ("a.gz.gz", TWICE, chunked(TWICE, GZIP)),
    ".tar.bz2 called encoded": ("a.tar.bz2", BZIP2, closing("1.1", BZIP2, "Content-Encoding: x-bzip2", f"Content-Length: {len(BZIP2)}")),
    ".tar.xz called encoded, chunked": ("a.tar.xz", XZ, chunked(XZ, "Content-Encoding: xz")),
    "called encoded, and is not": ("a.csv", TEXT, closing("1.1", TEXT, GZIP)),
    "as long when compressed": ("a.csv", SHORT, closing("1.1", gzip.compress(SHORT), GZIP, f"Content-Length: {len(SHORT)}")),
    "as long when compressed, chunked": ("a.gz", SHORT, chunked(gzip.compress(SHORT), GZIP)),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "answer"), PROXIES.values(), ids=PROXIES)
def test_a_file_comes_as_vip_has_it(
    bench: Acting, name: str, content: bytes, answer: tuple[str, bytes]
) -> None:
    """Its size is known from VIP's list, and tells whether what came is to be unpacked."""
    with behind(lambda _: answer) as (client, _):
        assert fetched(bench, client, name, len(content)) == content


CUT: dict[str, tuple[str, bytes]] = {
    "no length": closing("1.1", TEXT[:-1]),
    "HTTP/1.0": closing("1.0", TEXT[:1000]),
    "chunked": (chunked(TEXT)[0], chunked(TEXT)[1][:-3000]),
    "gzip": closing("1.1", PACKED[:-30], GZIP),
    "gzip, without its last bytes": closing("1.0", PACKED[:-4], GZIP),
    "too long": closing("1.1", TEXT + b"x"),
    "gzip, too long": closing("1.1", gzip.compress(TEXT + b"x"), GZIP),
    "gzip, too short": chunked(gzip.compress(TEXT[:-1]), GZIP),
    "gzip, cut by its own length": closing(
        "1.1", PACKED[:-30], GZIP, f"Content-Length: {len(PACKED)}"
    ),
    "gzip, wrong sum": closing("1.1", PACKED[:-8] + b"12345678", GZIP),
    "too long to be it": closing(
        "1.1", random.Random(2).randbytes(3 * 2**20), "Content-Encoding: br"
    ),
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_what_is_cut_or_too_long_is_not_taken_for_whole(
    bench: Acting, answer: tuple[str, bytes]
) -> None:
    """A connection that is closed says nothing about the end of a file."""
    with behind(lambda _: answer) as (client, _), pytest.raises((TransferMismatch, BadAnswer)):
        fetched(bench, client, "a.csv", len(TEXT))


@pytest.mark.parametrize(
    "answer",
    [closing("1.1", b"no gzip", GZIP), chunked(PACKED, "Content-Encoding: gzip, gzip"),
     closing("1.1", TEXT[1:], "Content-Encoding: br")],
    ids=["damaged", "twice", "brotli"],
)  # fmt: skip
def test_what_cannot_be_unpacked_is_told(bench: Acting, answer: tuple[str, bytes]) -> None:
    """It is asked for again in a while, as whatever a proxy spoils."""
    with behind(lambda _: answer) as (client, _), pytest.raises(BadAnswer, match="compressed"):
        fetched(bench, client, "a.csv", len(TEXT))


def part(at: str, body: bytes, *headers: str) -> tuple[str, bytes]:
    lines = ["HTTP/1.1 206 Partial Content", *([f"Content-Range: bytes {at}"] if at else [])]
    return "\n".join([*lines, *headers, "Connection: close"]), body


SIZE, LAST = len(TEXT), len(TEXT) - 1
RESUMED: dict[str, tuple[list[int], tuple[str, bytes]]] = {
    "the rest": ([0, 1000], part(f"1000-{LAST}/{SIZE}", TEXT[1000:])),
    "the rest of what is unsaid": ([0, 1000], part(f"1000-{LAST}/*", TEXT[1000:])),
    "all of it": ([0, 1000], closing("1.1", TEXT)),
    "all of it, gzip": ([0, 1000], chunked(PACKED, GZIP)),
    "the rest, without saying so": ([0, 1000, 0], part("", TEXT[1000:])),
    "another part": ([0, 1000, 0], part(f"10-{LAST}/{SIZE}", TEXT[10:])),
    "the rest, gzip": ([0, 1000, 0], part(f"1000-{LAST}/{SIZE}", gzip.compress(TEXT[1000:]), GZIP)),
    "a part of the gzip": ([0, 1000, 0], part(f"1000-{len(PACKED)}/{len(PACKED)}", PACKED[:9], GZIP)),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "second"), RESUMED.values(), ids=RESUMED)
def test_a_cut_download_goes_on_or_begins_anew(
    bench: Acting, asked: list[int], second: tuple[str, bytes]
) -> None:
    """Whatever a proxy makes of a request for the rest, the third time it is all here."""
    answers = [closing("1.1", TEXT[:1000]), second, closing("1.1", TEXT)]
    with behind(lambda _: answers[len(server.asked_from) - 1]) as (client, server):
        for _ in range(len(asked) - 1):
            with pytest.raises(TransferMismatch):
                fetched(bench, client, "a.csv", SIZE)
            if len(server.asked_from) == len(asked) - 1:
                break
        assert fetched(bench, client, "a.csv", SIZE) == TEXT
    assert server.asked_from == asked


@pytest.mark.parametrize("first", [PACKED[:200], gzip.compress(TEXT[:-9])], ids=["cut", "whole"])
@pytest.mark.parametrize("name", ["a.tgz", "a.gz", "a.nii.gz"])
def test_nothing_is_added_to_what_a_proxy_encoded(bench: Acting, name: str, first: bytes) -> None:
    """The rest of the file would give it the right size, behind bytes that are none of it."""
    answers = [closing("1.1", first, GZIP), closing("1.1", TEXT)]
    with behind(lambda _: answers[len(server.asked_from) - 1]) as (client, server):
        with pytest.raises(VipsyncError):
            fetched(bench, client, name, SIZE)
        assert fetched(bench, client, name, SIZE) == TEXT
    assert server.asked_from == [0, 0]


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_stop_between_what_came_and_what_is_in_it(bench: Acting, blocks: int) -> None:
    """The next start begins anew, also where it gets the file as it is."""
    size, packed = 3 * 2**20, gzip.compress(bytes(3 * 2**20))
    answers = [closing("1.1", packed, GZIP), closing("1.1", bytes(size))]
    left = iter(range(blocks))

    def stop() -> None:
        if next(left, None) is None:
            raise Stopped

    action = do.FetchResult(VipPath("/vip/Home/a.gz"), size, RelPath("a.gz"), False, False)
    with behind(lambda _: answers[len(server.asked_from) - 1]) as (client, server):
        with pytest.raises(Stopped):
            bench.act(action, client=client, stop=stop)
        assert bench.here() == {}
        assert fetched(bench, client, "a.gz", size) == bytes(size)
    assert server.asked_from == [0, 0]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_stays_small(bench: Acting, layers: int) -> None:
    """Whatever it claims, no more than the file's own size is unpacked."""
    bomb = bytes(2**26)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    answer = closing("1.1", bomb, ", ".join(["Content-Encoding: gzip", *["gzip"] * (layers - 1)]))
    with behind(lambda _: answer) as (client, _), traced() as peak:
        with pytest.raises(VipsyncError):
            fetched(bench, client, "a.csv", 1000)
        assert peak() < 2**23
    assert sum(p.stat().st_size for p in bench.tools.folder.transfers.iterdir()) < 2**21


JSON = b'[{"identifier":"A/1","name":"A","version":"1","canExecute":true}]'


@pytest.mark.parametrize(
    "answer",
    [
        closing("1.1", JSON, "Content-Type: application/json"),
        closing("1.0", gzip.compress(JSON), "Content-Type: application/json", GZIP),
        chunked(zlib.compress(JSON), "Content-Type: application/json", "Content-Encoding: deflate"),
    ],
    ids=["closes", "gzip", "deflate"],
)
def test_answers_pass_too(answer: tuple[str, bytes]) -> None:
    """Compressed unasked, or without a length."""
    with behind(lambda _: answer) as (client, _):
        assert [pipeline.pipeline_id for pipeline in client.pipelines()] == ["A/1"]


def test_an_answer_that_is_cut_is_none() -> None:
    """Half a list is not a shorter list."""
    with behind(lambda _: closing("1.1", JSON[:-5])) as (client, _), pytest.raises(BadAnswer):
        client.pipelines()


BACKUP = b'{"session_name": "study", "workflows": {}}'


@pytest.mark.parametrize(
    "answer",
    [closing("1.0", BACKUP), chunked(BACKUP), closing("1.1", gzip.compress(BACKUP), GZIP)],
    ids=["closes", "chunked", "gzip"],
)
def test_a_backup_comes_as_other_files_do(answer: tuple[str, bytes]) -> None:
    """A script finds its session again: VIP says how long its backup is."""
    found = f'{{"exists":true,"isDirectory":false,"size":{len(BACKUP)}}}'.encode()
    answers = [closing("1.1", found), answer]
    with behind(lambda _: answers[len(server.asked_from) - 1]) as (client, server):
        backup = vip_backup(client, "/vip/Home/API/study/OUTPUTS")
    assert backup is not None
    assert backup.session_name == "study"
