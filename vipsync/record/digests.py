"""What identifies a content in the ledger: short texts made of names, states and hashes.

PURE: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from msgspec.structs import astuple

from vipsync.model import FileState, RelPath
from vipsync.names import inside

STATES = "states "
"""What the digest of an archive begins with as long as its members were not read."""


def states_digest(members: Iterable[tuple[RelPath, FileState]], bare: RelPath | None = None) -> str:
    """Return what an archive is to be known by until its members were read.

    `bare` is the folder of an archive whose members are named from it on: it is another archive than
    the one of the same files with its name.
    """
    return STATES + _of_words(f"{_named(path, bare)}\0{astuple(state)}" for path, state in members)


def members_digest(
    hashes: Iterable[tuple[RelPath, str | None]], bare: RelPath | None = None
) -> str:
    """Return what identifies an archive: the names and contents of its members."""
    return _of_words(f"{_named(path, bare)}\0{sha256}" for path, sha256 in hashes)


def _named(path: RelPath, bare: RelPath | None) -> str:
    return path if bare is None else f"./{path.removeprefix(inside(bare))}"


@lru_cache(maxsize=64)
def names_digest(names: tuple[str, ...]) -> str:
    """Return what tells one set of names from another: one text for all files of a session."""
    return _of_words(names)[:24]


def _of_words(words: Iterable[str]) -> str:
    return hashlib.sha256("\0\0".join(sorted(words)).encode()).hexdigest()


_TEXT = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def digest(value: object) -> str:
    """Return a short hash of a value made of lists, tuples, texts and numbers."""
    return hashlib.sha256(_TEXT(value).encode()).hexdigest()[:24]


cached_digest = lru_cache(maxsize=1 << 18)(digest)
"""The digest of a value made of tuples: those of all cases are asked for by every plan."""
