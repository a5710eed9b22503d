"""From findings and policy to a verdict. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from vipsync.model import PrivacySettings, replace
from vipsync.privacy.findings import Finding, Inspection, Layer

_WORD = re.compile(r"[^\W_]+")
_DUMMY = re.compile(r"anonym.*|0+|00010101", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\d{1,4}")


class FieldCount(Struct, frozen=True):
    """Name a field, and how many times it was filled."""

    field: str
    count: int = 1


class Verdict(Struct, frozen=True):
    """What a policy says of one file: names of fields and counts, never a value.

    `accepted` would be refused, were it not for what the settings accept or allow.
    `reason` is why the file is not understood. With `refuse_unread`, that is refused as well.
    """

    refused: tuple[FieldCount, ...] = ()
    told: tuple[FieldCount, ...] = ()
    understood: bool = True
    reason: str = ""
    not_checked: tuple[str, ...] = ()
    refuse_unread: bool = False
    accepted: tuple[FieldCount, ...] = ()

    @property
    def clear(self) -> bool:
        """True when nothing keeps the file from being sent."""
        return not self.refused and (self.understood or not self.refuse_unread)


def judge(inspection: Inspection, policy: PrivacySettings, path: str) -> Verdict:
    """Return what becomes of a file at `path`."""
    refused, told, accepted = [], [], []
    alone = replace(policy, accept=(), allow=())
    for finding in inspection.findings:
        if _is_refused(finding, policy):
            refused.append(finding)
            continue
        if _is_refused(finding, alone):
            accepted.append(finding)
        if not is_dummy(finding.value) and not _is_pseudonym(finding, policy):
            told.append(finding)
    plain = any(fnmatchcase(path, pattern) for pattern in policy.plain)
    unread = "" if plain else inspection.not_understood
    return Verdict(
        refused=_counted(refused),
        told=_counted(told),
        understood=not unread,
        reason=unread,
        not_checked=inspection.not_checked,
        refuse_unread=(policy.must_read or inspection.refuse_unread) and not policy.off,
        accepted=_counted(accepted),
    )


def is_dummy(value: str) -> bool:
    """Return whether a value is what de-identifiers write: ANONYM…, the first day, zeros, signs."""
    words = _WORD.findall(value)
    if words[:1] and words[0].casefold().startswith("anonym") and _NUMBER.fullmatch(words[-1]):
        words.pop()
    return all(map(_DUMMY.fullmatch, words))


def _is_refused(finding: Finding, policy: PrivacySettings) -> bool:
    if policy.off or dict(policy.allow).get(finding.field):
        return False
    if finding.layer is Layer.TOLD and not policy.strict:
        return False
    return finding.layer is Layer.RISK or not (
        is_dummy(finding.value) or _is_pseudonym(finding, policy)
    )


def _is_pseudonym(finding: Finding, policy: PrivacySettings) -> bool:
    patterns = dict(policy.accept).get(finding.of or finding.field, ())
    return any(fnmatchcase(finding.value, pattern) for pattern in patterns)


def _counted(findings: Iterable[Finding]) -> tuple[FieldCount, ...]:
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.field] += finding.count
    return tuple(FieldCount(name, counts[name]) for name in sorted(counts))
