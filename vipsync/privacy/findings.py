"""What was found in a file. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as kept
from enum import StrEnum


class Layer(StrEnum):
    """What kind of thing was found, and with it what becomes of the file."""

    FIELD = "field"
    """A field that names a person, or is meant to."""
    CROSS = "cross"
    """The value of such a field in another place: a path, the file's other bytes."""
    RISK = "risk"
    """A kind of image or document that often shows a name."""
    TOLD = "told"
    """Something that narrows down who it was; told, and refused where the policy is strict."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One filled field. `count` is how many times this value was met, in an archive for example.

    `of` names, for CROSS, the field that the value was first found in. Values and names of members
    are no part of the repr: they must not reach a log.
    """

    layer: Layer
    field: str
    value: str = kept(repr=False)
    member: str = kept(default="", repr=False)
    count: int = 1
    of: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one file holds. `format` is "" where nothing knew it; `not_understood` says why.

    What was found before the reading failed is kept. With `refuse_unread`, the file is known to be
    one that can hold a name, and only something missing here keeps it from being read.
    """

    format: str
    findings: tuple[Finding, ...] = ()
    not_understood: str = ""
    not_checked: tuple[str, ...] = ()
    refuse_unread: bool = False
