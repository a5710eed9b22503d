"""What happened in a life, line by line: requests, ledger rows, outcomes, each at its virtual time.

What no clock and no seed can rule is left out: inodes, the disk's own times, where the folder lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from vipsync.model import FileState


@dataclass
class Trace:
    """The lines so far; `root` is where the life lies on this disk."""

    root: Path
    lines: list[str] = field(default_factory=list)

    def add(self, now: float, *words: object) -> None:
        """Write a line down."""
        text = " ".join(map(_plain, words)).replace(str(self.root), "ROOT")
        self.lines.append(f"{now:.3f} {text}")

    def digest(self) -> str:
        """Return a hash of all lines."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]


def _plain(value: object) -> str:
    """Return a value as text that depends on nothing but the story."""
    if isinstance(value, str):
        return value
    if isinstance(value, FileState):
        return f"{value.size} bytes"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}({value})"
    if isinstance(value, Struct):
        told = (f"{name}={_field(name, part)}" for name, part in asdict(value).items())
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_plain(k)}: {_plain(v)}' for k, v in value.items())}}}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_plain, value))})"
    return repr(value)


def _field(name: str, value: object) -> str:
    """Return a field; of a file's stamp only its size, for its time is the disk's own."""
    return str(value).split(" ", 1)[0] if name == "stamp" else _plain(value)
