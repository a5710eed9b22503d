"""Hashing beside a transfer."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress

import pytest

from vipsync.disk.digest import SMALL, Digest


@pytest.mark.parametrize("blocks", [[], [b"one"], [os.urandom(SMALL + 1), b"one"] * 50])
def test_the_hash_is_that_of_all_blocks_in_order(blocks: list[bytes]) -> None:
    """What is hashed is what was given, in its order, to the last block."""
    with Digest() as digest:
        for block in blocks:
            digest.update(block)
        assert digest.hexdigest() == hashlib.sha256(b"".join(blocks)).hexdigest()


def test_the_thread_ends_with_the_work() -> None:
    """Nothing is left behind, also where the transfer fails."""
    before = set(threading.enumerate())
    with suppress(OSError), Digest() as digest:
        digest.update(b"one")
        assert set(threading.enumerate()) <= before, "what is small needs none"
        digest.update(bytes(SMALL + 1))
        assert len(set(threading.enumerate()) - before) == 1
        raise OSError("cut")
    assert set(threading.enumerate()) <= before
