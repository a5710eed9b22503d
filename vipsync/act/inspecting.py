"""Judge one open file by what is in it and by its names; no value of it leaves this module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import BinaryIO

from vipsync import actions as do
from vipsync.model import RelPath
from vipsync.privacy.findings import Inspection
from vipsync.privacy.identifiers import Identifier, hits, identifiers
from vipsync.privacy.inspecting import inspect
from vipsync.privacy.judging import FieldCount, Verdict, judge
from vipsync.privacy.policy import PrivacyPolicy
from vipsync.rows import Found
from vipsync.settings.policy import policy_of

_Files = Mapping[RelPath, object]


def inspected(
    action: do.Inspect, file: BinaryIO, files: _Files, see: Callable[[bytes], object] | None
) -> Found:
    """Return what was found; `files` lie beside it, and their names may tell who it is.

    `see` is given the bytes that were looked at, all and in order.
    """
    inspection = inspect(file, action.path, names=action.names, see=see)
    policy = policy_of(action.policy)
    verdict = judge(inspection, policy, action.path)
    persons = _persons(inspection, policy, action.path)
    return Found(
        refused=_refused(verdict),
        told=_counts(verdict.told),
        unknown=verdict.reason,
        format=inspection.format,
        unchecked=verdict.not_checked,
        names=_naming(persons, {*action.names, *_parts(action.path, files)}) if persons else (),
        bare=not inspection.findings and not inspection.not_understood,
    )


def _refused(verdict: Verdict) -> tuple[tuple[str, int], ...]:
    unread = () if verdict.clear or verdict.refused else ((verdict.reason, 1),)
    return (*_counts(verdict.refused), *unread)


def _counts(counts: Iterable[FieldCount]) -> tuple[tuple[str, int], ...]:
    return tuple((one.field, one.count) for one in counts)


def _persons(inspection: Inspection, policy: PrivacyPolicy, path: str) -> tuple[Identifier, ...]:
    """Return what names somebody: pseudonyms do not; what may be in a header may still be in no name."""
    every = replace(policy, allow=())
    alone = ((f, replace(inspection, findings=(f,))) for f in inspection.findings)
    named = tuple(f for f, one in alone if judge(one, every, path).refused)
    found = identifiers(replace(inspection, findings=named))
    return tuple(one for one in found if not policy.reason(f"a part of {one.field} in a path"))


def _naming(persons: tuple[Identifier, ...], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the names that hold an identity, each with the field that it stands in."""
    found = ((name, one.field) for name in sorted(names) for one in hits(persons, name)[:1])
    return tuple(found)


_last: tuple[_Files, frozenset[str]] = ({}, frozenset())


def _parts(path: RelPath, files: _Files) -> frozenset[str]:
    """Return the names of all files and folders here; the last answer serves while they are the same."""
    global _last  # threads may set it at once: each answer is right
    if _last[0] is not files:
        _last = (files, frozenset(part for one in files for part in one.split("/")))
    return _last[1] | set(path.split("/"))
