"""What a format's module writes down while it reads. Pure: no os, time, random, httpx or logging."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from vipsync.privacy.findings import Finding, Layer
from vipsync.privacy.judging import is_dummy
from vipsync.privacy.meanings import meaning

EVERYTHING = 1 << 62
"""A place behind the end of every file."""

_MOST_VALUES = 20_000  # different values of one file or archive
_MANY = {"dates", "UIDs"}  # each image has others, and none of them is worth keeping
_SEQUENCES_SAY = re.compile(r"Unaliased MB\d+/PE\d+(/LB)?( SENSE\d?)?")
"""What multiband sequences write as a comment into each image, and converters into their files."""

_MOST_TEXT = 4096  # characters of a value that are kept


class TooMuch(Exception):
    """More values than any file has."""


@dataclass(slots=True)
class Reading:
    """Findings so far, and where in the file nothing is to be searched for.

    `own` are places (start, end) of the values themselves and of pixels, `others` are texts within
    them that are searched all the same. What was written down stays
    when the reading fails.
    """

    format: str = ""
    not_understood: str = ""
    not_checked: tuple[str, ...] = ()
    refuse_unread: bool = False
    is_archive: bool = False
    own: list[tuple[int, int]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    _found: dict[tuple[Layer, str, str], Finding] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, each value once, with how often it was met."""
        return tuple(self._found.values())

    def add(
        self, layer: Layer, name: str, value: str, place: tuple[int, int] | None = None
    ) -> None:
        """Write down a value and, as (start, end), where it stands; nothing for an empty one."""
        text = value.strip("\0 \t\r\n")[:_MOST_TEXT]
        if name in _MANY and not is_dummy(text):
            text = "filled"
        if not text:
            return
        if _SEQUENCES_SAY.fullmatch(text):
            layer = Layer.TOLD
        self.take(Finding(layer, name, text))
        if place and layer is Layer.FIELD:
            self.own.append(place)

    def told(self, name: str, value: str = "filled") -> None:
        """Write down what is told only."""
        self.add(Layer.TOLD, name, value)

    def risk(self, name: str) -> None:
        """Write down that this is of a kind that often shows a name."""
        self.add(Layer.RISK, name, name)

    def named(self, name: str, value: str, place: tuple[int, int] | None = None) -> None:
        """Write down the value of a field that another format than DICOM calls `name`."""
        if found := meaning(name):
            layer, title = found
            self.add(layer, title, value, place)

    def take(self, finding: Finding) -> None:
        """Write down a finding, or count it once more."""
        key = finding.layer, finding.field, finding.value
        if known := self._found.get(key):
            finding = replace(known, count=known.count + finding.count)
        elif len(self._found) >= _MOST_VALUES and finding.layer is not Layer.CROSS:
            raise TooMuch
        self._found[key] = finding

    def take_all(self, findings: Iterable[Finding]) -> None:
        """Write down findings, or count them once more."""
        for finding in findings:
            self.take(finding)

    def absorb(self, inner: Reading, member: str) -> None:
        """Take in what a member of this archive holds."""
        self.take_all(replace(f, member=f"{member}/{f.member}".strip("/")) for f in inner.findings)
        self.not_checked = tuple(dict.fromkeys((*self.not_checked, *inner.not_checked)))
        self.refuse_unread |= inner.refuse_unread
        if inner.not_understood and not self.not_understood:
            self.not_understood = f"not all members are understood: {inner.not_understood}"


class Places:
    """Places (start, end) in a file; they may overlap."""

    def __init__(self, places: list[tuple[int, int]]) -> None:
        self._joined: list[tuple[int, int]] = []
        for start, end in sorted(places):
            if self._joined and start <= self._joined[-1][1]:
                self._joined[-1] = (self._joined[-1][0], max(end, self._joined[-1][1]))
            else:
                self._joined.append((start, end))

    def end_around(self, place: int) -> int:
        """Return where the one around a place ends; the place itself where there is none."""
        at = bisect_right(self._joined, (place, EVERYTHING)) - 1
        return max(place, self._joined[at][1]) if at >= 0 else place

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of [start, end) that are such places, counted from `start`."""
        first = max(0, bisect_right(self._joined, (start, EVERYTHING)) - 1)
        for number in range(first, len(self._joined)):
            begin, stop = self._joined[number]
            if begin >= end:
                return
            if stop > start:
                yield max(begin, start) - start, min(stop, end) - start
