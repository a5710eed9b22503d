"""What the settings accept of what was found. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Self

GATE_VERSION = 4
"""Counts up when files that were inspected must be inspected anew; those who only ask read no formats."""


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    """Say which values are pseudonyms, which fields may be filled, and which files are taken as read.

    `accept` has patterns by field, `allow` a reason by field, `off` the reason for no gate at all;
    `must_read`: what is not understood is refused.
    """

    accept: tuple[tuple[str, tuple[str, ...]], ...] = ()
    allow: tuple[tuple[str, str], ...] = ()
    plain: tuple[str, ...] = ()
    strict: bool = False
    off: str = ""
    must_read: bool = False

    @classmethod
    def of(
        cls,
        accept: Mapping[str, Iterable[str]] | None = None,
        allow: Mapping[str, str] | None = None,
        plain: Iterable[str] = (),
        *,
        strict: bool = False,
        off: str = "",
    ) -> Self:
        """Return the policy that these tables say, in whatever order they stand."""
        patterns = sorted((name, tuple(sorted(some))) for name, some in (accept or {}).items())
        reasons = sorted((allow or {}).items())
        return cls(tuple(patterns), tuple(reasons), tuple(sorted(plain)), strict, off)

    def patterns(self, field: str) -> tuple[str, ...]:
        """Return the patterns of the pseudonyms that a field may hold."""
        return dict(self.accept).get(field, ())

    def reason(self, field: str) -> str:
        """Return why a field may be filled, "" where it may not."""
        return dict(self.allow).get(field, "")

    def fingerprint(self) -> str:
        """Return what tells this policy from every other one."""
        return hashlib.sha256(json.dumps(astuple(self)).encode()).hexdigest()
