"""What identifies a content in the ledger: short texts made of names, states and hashes.

PURE: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from vipsync.model import FileState, RelPath

STATES = "states "
"""What the digest of an archive begins with as long as its members were not read."""


def states_digest(members: Iterable[tuple[RelPath, FileState]]) -> str:
    """Return what an archive is to be known by until its members were read."""
    return STATES + _of_words(f"{path}\0{tuple(state)}" for path, state in members)


def members_digest(hashes: Iterable[tuple[RelPath, str | None]]) -> str:
    """Return what identifies an archive: the names and contents of its members."""
    return _of_words(f"{path}\0{sha256}" for path, sha256 in hashes)


def names_digest(names: Iterable[str]) -> str:
    """Return what tells one set of names from another."""
    return _of_words(names)[:24]


def _of_words(words: Iterable[str]) -> str:
    return hashlib.sha256("\0\0".join(sorted(words)).encode()).hexdigest()


_TEXT = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def digest(value: object) -> str:
    """Return a short hash of a value made of lists, tuples, texts and numbers."""
    return hashlib.sha256(_TEXT(value).encode()).hexdigest()[:24]


cached_digest = lru_cache(maxsize=1 << 18)(digest)
"""The digest of a value made of tuples: those of all cases are asked for by every plan."""
