"""What the pipeline makes of the files; the last answer serves while what it was made of is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vipsync.cases.descriptor import parse_descriptor
from vipsync.cases.finding import find_cases
from vipsync.disk.scan import Seen
from vipsync.errors import SettingsError, VipsyncError
from vipsync.model import CaseSet, Descriptor, FileState, RelPath, Settings
from vipsync.rows import CachedPipeline

_Files = Mapping[RelPath, FileState]


class Sorting:
    """Describe the pipeline and sort files into cases; what cannot be done comes with its reason."""

    def __init__(self) -> None:
        self._cases: tuple[_Files, _Files, Settings, Descriptor | None, CaseSet, str] | None = None
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
        self, seen: Seen | None, settings: Settings, descriptor: Descriptor | None
    ) -> tuple[CaseSet, str]:
        """Return the cases, and what is wrong with the settings they were to be made by.

        Cases are made of names: what a file holds makes no other cases.
        """
        files, hidden = (seen.files, seen.hidden) if seen else ({}, {})
        made_of = (files, hidden, settings, descriptor)
        if self._cases:
            was_files, was_hidden, *others = self._cases[:4]
            alike = all(a is b for a, b in zip(others, (settings, descriptor), strict=True))
            if alike and _same_names(was_files, files) and _same_names(was_hidden, hidden):
                self._cases = (*made_of, *self._cases[4:])
                return self._cases[4:]
        cases, trouble = CaseSet(), ""
        if seen and descriptor:
            everything = {*seen.files, *seen.hidden}
            try:
                cases = find_cases(seen.files, everything, settings, descriptor)
            except SettingsError as error:
                trouble = str(error)
        self._cases = (*made_of, cases, trouble)
        return cases, trouble


def _same_names(one: _Files, other: _Files) -> bool:
    return one is other or one.keys() == other.keys()
