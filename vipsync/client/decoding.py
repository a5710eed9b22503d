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

_GZIP = b"\x1f\x8b"
_IDENTITY = ("", "identity")
_CODINGS: dict[str, int] = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content codings of HTTP (RFC 9110, 8.4.1) with zlib's window bits."""


def coding(response: httpx.Response) -> str:
    """Return how an answer is said to be encoded, "" where it is not; raise BadAnswer for a coding of others."""
    said: str = response.headers.get("content-encoding", "")
    found = [name for name in said.lower().replace(" ", "").split(",") if name not in _IDENTITY]
    if not found:
        return ""
    if len(found) > 1 or found[0] not in _CODINGS:
        raise BadAnswer(f"The answer came compressed by {', '.join(found)[:40]!r}, unasked.")
    return found[0]


def plain(response: httpx.Response) -> Iterator[bytes]:
    """Yield the bytes of an answer, unpacked where it says that they are not; raise BadAnswer for damaged ones."""
    found = coding(response)
    return _unpacked(response.iter_raw(), _CODINGS[found]) if found else response.iter_bytes()


def content(response: httpx.Response, path: str, size: int | None) -> Iterator[bytes]:
    """Yield the bytes of a file, which VIP's list says to be `size` bytes long.

    Some servers call a .tgz "encoded" by its own compression: then it is left as it is. Its length tells,
    or, where that is not said, what comes out of it: a .tgz that was compressed once more is a .tgz.
    """
    found = coding(response)
    if not found:
        return response.iter_bytes()
    blocks = response.iter_raw()
    if size is not None and response.headers.get("content-length") == str(size):
        return blocks
    if not path.lower().endswith((".gz", ".tgz")):
        return _unpacked(blocks, _CODINGS[found])
    beginning = b""
    for block in blocks:
        beginning += block
        if len(beginning) >= 512:
            break
    whole = chain((beginning,), blocks)
    inside = next(_unpacked(iter((beginning,)), _CODINGS[found], cut=True), b"")
    return _unpacked(whole, _CODINGS[found]) if inside.startswith(_GZIP) else whole


def _unpacked(blocks: Iterator[bytes], bits: int, *, cut: bool = False) -> Iterator[bytes]:
    """Yield what a compressed stream holds; `cut`: it need not come to its end."""
    codec = zlib.decompressobj(bits)
    begun = False
    for block in blocks:
        while block:
            if codec.eof:
                return  # what follows is padding
            try:
                piece = codec.decompress(block, BLOCK)
            except zlib.error as error:
                if begun or bits < 0 or bits == 31:
                    raise BadAnswer("The answer came compressed, and damaged.") from error
                yield from _unpacked(
                    chain((block,), blocks), -15
                )  # some servers leave zlib's frame out
                return
            begun = True
            block = codec.unconsumed_tail
            if piece:
                yield piece
    if not codec.eof and not cut:
        raise httpx.ReadError("the compressed answer was cut short")
