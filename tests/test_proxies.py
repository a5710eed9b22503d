"""Proxies that change what passes through: results come whole all the same, or are asked for again."""

from __future__ import annotations

import gzip
import random
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from vipsync.client.vip_client import VipClient
from vipsync.errors import BadAnswer, TransferMismatch, VipsyncError

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


def fetched(client: VipClient, path: str, size: int, offset: int = 0) -> bytes:
    with client.download(f"/vip/Home/{path}", offset, size) as download:
        return b"".join(download.blocks)


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
}  # fmt: skip


@pytest.mark.parametrize(("path", "content", "answer"), PROXIES.values(), ids=PROXIES)
def test_a_file_comes_as_vip_has_it(path: str, content: bytes, answer: tuple[str, bytes]) -> None:
    """Its size is known from VIP's list."""
    with behind(lambda _: answer) as (client, _):
        assert fetched(client, path, len(content)) == content


CUT: dict[str, tuple[str, bytes]] = {
    "no length": closing("1.1", TEXT[:-1]),
    "HTTP/1.0": closing("1.0", TEXT[:1000]),
    "chunked": (chunked(TEXT)[0], chunked(TEXT)[1][:-3000]),
    "gzip": closing("1.1", PACKED[:-30], GZIP),
    "gzip, without its last bytes": closing("1.0", PACKED[:-4], GZIP),
    "too long": closing("1.1", TEXT + b"x"),
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_what_is_cut_or_too_long_is_not_taken_for_whole(answer: tuple[str, bytes]) -> None:
    """A connection that is closed says nothing about the end of a file."""
    with behind(lambda _: answer) as (client, _), pytest.raises(TransferMismatch):
        fetched(client, "a.csv", len(TEXT))


@pytest.mark.parametrize(
    "answer",
    [closing("1.1", b"no gzip", GZIP), chunked(PACKED, "Content-Encoding: gzip, gzip"),
     closing("1.1", TEXT, "Content-Encoding: br")],
    ids=["damaged", "twice", "brotli"],
)  # fmt: skip
def test_what_cannot_be_unpacked_is_told(answer: tuple[str, bytes]) -> None:
    """It is asked for again in a while, as whatever a proxy spoils."""
    with behind(lambda _: answer) as (client, _), pytest.raises(BadAnswer, match="compressed"):
        fetched(client, "a.csv", len(TEXT))


def test_what_a_proxy_encodes_cannot_be_gone_on_with() -> None:
    """A part of what it made of the file is no part of the file."""
    part = ("HTTP/1.1 206 Partial Content\nContent-Range: bytes 10-99/100\n" + GZIP, PACKED)
    with behind(lambda _: part) as (client, _), pytest.raises(TransferMismatch, match="beginning"):
        fetched(client, "a.csv", len(TEXT), 10)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_stays_small(layers: int) -> None:
    """Whatever it claims, no more than the file's own size is unpacked."""
    bomb = bytes(2**26)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    answer = closing("1.1", bomb, ", ".join(["Content-Encoding: gzip", *["gzip"] * (layers - 1)]))
    with behind(lambda _: answer) as (client, _), pytest.raises(VipsyncError):
        fetched(client, "a.csv", 1000)


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
