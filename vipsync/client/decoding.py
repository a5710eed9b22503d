"""The bytes of an answer as VIP sent them: a proxy may have compressed them on the way, unasked.

They are unpacked in small pieces, so that a few bytes cannot become more than anybody waits for.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain

from vipsync.client.http import httpx
from vipsync.errors import BadAnswer
from vipsync.model import BLOCK

_RAW_DEFLATE = -15
_CODINGS: dict[str, int] = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content codings of HTTP (RFC 9110, 8.4.1) with zlib's window bits."""


def coding(response: httpx.Response) -> str:
    """Return how an answer is said to be encoded, "" where it is not."""
    said: str = response.headers.get("content-encoding", "")
    names = said.lower().replace(" ", "").split(",")
    return ", ".join(name for name in names if name not in ("", "identity"))


def plain(response: httpx.Response) -> Iterator[bytes]:
    """Yield the bytes of an answer, unpacked where it says that they are not; raise BadAnswer if that cannot be."""
    found = coding(response)
    return decoded(response.iter_raw(), found) if found else response.iter_bytes()


def decoded(blocks: Iterator[bytes], found: str) -> Iterator[bytes]:
    """Yield what was encoded in this way; raise BadAnswer for what is damaged, cut, or encoded otherwise."""
    if found not in _CODINGS:
        raise BadAnswer(f"The answer came compressed by {found[:40]!r}, unasked.")
    return _unpacked(blocks, _CODINGS[found])


def _unpacked(blocks: Iterator[bytes], bits: int) -> Iterator[bytes]:
    codec = zlib.decompressobj(bits)
    begun, room = False, 2 * BLOCK
    for block in blocks:
        room -= len(block)
        if room < 0:  # what is packed is hardly longer than what it holds
            raise BadAnswer("The answer came compressed, with nothing in it.")
        while block:
            if codec.eof:
                return  # what follows is padding
            try:
                piece = codec.decompress(block, BLOCK)
            except zlib.error as error:
                if begun or bits != _CODINGS["deflate"]:
                    raise BadAnswer("The answer came compressed, and damaged.") from error
                # some servers leave zlib's frame out
                yield from _unpacked(chain((block,), blocks), _RAW_DEFLATE)
                return
            begun = True
            block = codec.unconsumed_tail
            room += len(piece) + len(piece) // 64
            if piece:
                yield piece
    if not codec.eof:
        raise BadAnswer("The answer came compressed, and cut short.")
