"""Judge one open file by what is in it and by its names; no value of it leaves this module."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from vipsync import actions as do
from vipsync.errors import VipsyncError
from vipsync.model import FileState, PrivacySettings, RelPath, replace
from vipsync.privacy.findings import Inspection
from vipsync.privacy.identifiers import Identifier, identifiers, squeeze
from vipsync.privacy.inspecting import inspect
from vipsync.privacy.judging import FieldCount, Verdict, judge
from vipsync.rows import Found

MOST_NAMES = 50
"""Names that a verdict holds: each file is compared with whom others name, too."""


class Beside(Struct, frozen=True, eq=False):
    """The files of a folder, by whose names an identity may be told, and where one of them lies."""

    files: Mapping[RelPath, FileState]
    local: Callable[[RelPath], Path]


def inspected(
    action: do.Inspect, file: BinaryIO, beside: Beside, see: Callable[[bytes], object] | None
) -> Found:
    """Return what was found; `see` is given the bytes that were looked at, all and in order."""
    inspection = inspect(file, action.path, names=action.names, see=see)
    policy = action.policy
    verdict = judge(inspection, policy, action.path)
    persons = _persons(inspection, policy, action.path)
    own = _Names((*action.names, *action.path.split("/")))
    here = (*own.of(persons), *_names_of(beside.files).of(persons)) if persons else ()
    theirs = _Names(action.path.split("/")).of(_others(action, beside, policy))
    return Found(
        refused=_refused(verdict, theirs),
        told=_counts(verdict.told),
        accepted=_counts(verdict.accepted),
        unknown=verdict.reason,
        format=inspection.format,
        unchecked=verdict.not_checked,
        names=tuple(dict.fromkeys((*here, *theirs)))[:MOST_NAMES],
        bare=not inspection.findings and not inspection.not_understood and not theirs,
    )


def _refused(verdict: Verdict, named: Iterable[tuple[str, str]]) -> tuple[tuple[str, int], ...]:
    unread = () if verdict.clear or verdict.refused else ((verdict.reason, 1),)
    in_path = {f"a part of {field} in a path": 1 for _, field in named}
    return tuple({**dict(_counts(verdict.refused)), **dict(unread), **in_path}.items())


def _counts(counts: Iterable[FieldCount]) -> tuple[tuple[str, int], ...]:
    return tuple((one.field, one.count) for one in counts)


def _persons(inspection: Inspection, policy: PrivacySettings, path: str) -> tuple[Identifier, ...]:
    """Return what names somebody: pseudonyms do not; what may be in a header may still be in no name."""
    every = replace(policy, allow=())
    alone = ((f, replace(inspection, findings=(f,))) for f in inspection.findings)
    named = tuple(f for f, one in alone if judge(one, every, path).refused)
    found = identifiers(replace(inspection, findings=named))
    allowed = dict(policy.allow)
    return tuple(one for one in found if not allowed.get(f"a part of {one.field} in a path"))


class _Names:
    """Names in which identities are looked for, all at once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(set(names), key=lambda name: (len(name), name))
        tight = [squeeze(name) for name in self._names]
        self._text = "\n".join(tight)
        self._starts = [0, *accumulate(len(one) + 1 for one in tight)]

    def of(self, persons: Iterable[Identifier]) -> tuple[tuple[str, str], ...]:
        """Return the names that hold an identity, each with the field that it stands in; the first ones."""
        found: dict[str, str] = {}
        for one in persons:
            for sign in one.squeezed:
                named = (n for n in self._with(sign) if one.is_in_name(n, squeeze(n)))
                found.update((name, one.field) for name in named)
        return tuple(found.items())

    def _with(self, sign: str) -> Iterator[str]:
        at = self._text.find(sign)
        for _ in range(MOST_NAMES):
            if at < 0:
                return
            number = bisect_right(self._starts, at) - 1
            yield self._names[number]
            at = self._text.find(sign, self._starts[number + 1])


_here: tuple[object, _Names] = (None, _Names(()))
_there: tuple[object, object, frozenset[Identifier]] = (None, None, frozenset())
# Threads may set these at once: each answer is right, and serves while what it was made of is the same.


def _names_of(files: Mapping[RelPath, object]) -> _Names:
    """Return the names of all files and folders that lie here."""
    global _here
    if _here[0] is not files:
        _here = (files, _Names(part for one in files for part in one.split("/")))
    return _here[1]


def _others(action: do.Inspect, beside: Beside, policy: PrivacySettings) -> frozenset[Identifier]:
    """Return whom those files here name in which somebody was found."""
    global _there
    if not action.beside:
        return frozenset()
    if _there[0] is not action.beside or _there[1] is not beside.files:
        files = beside.files
        places = [(beside.local(path), files[path]) for path in action.beside if path in files]
        found = (one for place, state in places for one in _persons_in(place, state, policy))
        _there = (action.beside, beside.files, frozenset(found))
    return _there[2]


@lru_cache(maxsize=1 << 14)
def _persons_in(place: Path, state: FileState, policy: PrivacySettings) -> tuple[Identifier, ...]:
    """Return whom a file names that is in this state; it is read once in a process."""
    try:
        return _persons(inspect(place, place.name), policy, place.name)
    except (VipsyncError, OSError):
        return ()
