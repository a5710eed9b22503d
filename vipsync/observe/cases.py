"""What the pipeline makes of the files; the last answer serves while what it was made of is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Struct

from vipsync.cases.descriptor import parse_descriptor
from vipsync.cases.finding import find_cases
from vipsync.disk.scan import Scan
from vipsync.errors import SettingsError, VipsyncError
from vipsync.model import (
    Case,
    CaseSet,
    Descriptor,
    FileState,
    InputFolder,
    PackedFolder,
    RelPath,
    Settings,
    replace,
)
from vipsync.names import inside
from vipsync.rows import CachedPipeline

_Files = Mapping[RelPath, FileState]


class Sorting:
    """Describe the pipeline and sort files into cases; what cannot be done comes with its reason."""

    def __init__(self) -> None:
        self._cases: tuple[_Made, CaseSet, str] | None = None
        self._descriptor: tuple[str, Descriptor | None, str] = ("", None, "")

    def described(self, row: CachedPipeline | None) -> tuple[Descriptor | None, str]:
        """Return the descriptor that the ledger holds, and what is wrong with it."""
        if row is None:
            return None, ""
        if self._descriptor[0] != row.raw:
            try:
                found = parse_descriptor(json.loads(row.raw), row.pipeline_id)
                self._descriptor = (row.raw, found, "")
            except VipsyncError as error:
                self._descriptor = (row.raw, None, str(error))
        return self._descriptor[1:]

    def cases(
        self,
        seen: Scan | None,
        named: _Files,
        settings: Settings,
        descriptor: Descriptor | None,
    ) -> tuple[CaseSet, str]:
        """Return the cases, and what is wrong with the settings they were to be made by.

        `named` are ignored files that a setting asks for. Cases are made of names: what a file holds makes no other cases. One whose folder has a part
        that cannot be looked at waits for it: nobody knows what is missing.
        """
        made_of = _Made(seen, named, settings, descriptor)
        if self._cases and self._cases[0].makes_the_same_as(made_of):
            self._cases = (made_of, *self._cases[1:])
            return self._cases[1:]
        cases, trouble = CaseSet(), ""
        if seen and descriptor:
            everything = {*seen.files, *named}
            try:
                found = find_cases(seen.files, everything, settings, descriptor)
                cases = _waiting_for_parts(found, seen.unreadable)
            except SettingsError as error:
                trouble = str(error)
        self._cases = (made_of, cases, trouble)
        return cases, trouble


class _Made(Struct, frozen=True, eq=False):
    """What cases were made of."""

    seen: Scan | None
    named: _Files
    settings: Settings
    descriptor: Descriptor | None

    def makes_the_same_as(self, now: _Made) -> bool:
        """Tell whether the same names and the very same settings are there."""
        if self.settings is not now.settings or self.descriptor is not now.descriptor:
            return False
        if self.seen is None or now.seen is None:
            return self.seen is now.seen
        return (
            _same_names(self.seen.files, now.seen.files)
            and _same_names(self.named, now.named)
            and self.seen.unreadable == now.seen.unreadable
        )


def _waiting_for_parts(cases: CaseSet, unreadable: Mapping[str, str]) -> CaseSet:
    if not unreadable:
        return cases
    return replace(cases, cases=tuple(_waiting(case, unreadable) for case in cases.cases))


def _waiting(case: Case, unreadable: Mapping[str, str]) -> Case:
    folders = [v.path for v in case.values.values() if isinstance(v, InputFolder | PackedFolder)]
    parts = tuple(
        f"{path} ({reason})"
        for path, reason in sorted(unreadable.items())
        if any(path.startswith(inside(folder)) for folder in folders)
    )
    return replace(case, waits_for=(*case.waits_for, *parts)) if parts else case


def _same_names(one: _Files, other: _Files) -> bool:
    return one is other or one.keys() == other.keys()
