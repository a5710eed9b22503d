"""The value of a field in other places: in the spellings that people and programs give it.

Pure: no os, time, random, httpx, sqlite3 or logging.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as kept
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from vipsync.privacy.findings import Finding, Inspection, Layer
from vipsync.privacy.judging import is_dummy

LEAST = 5
"""Bytes below which a text is found by chance in too many places."""

REACH = 512
"""Bytes that the longest spelling may take."""

_DATE = re.compile(r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)")
_PARTED = re.compile(r"name|physician|operator", re.IGNORECASE)
_SIGNS = rb"(?:[\s^_.,=/-]\0?)*"
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "æ": "ae", "œ": "oe"}
)
"""Letters that no accent can be taken from."""
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
"""How people write them where a keyboard or a program has no such letters."""
_MOST_PARTS = 12  # of a name; what has more is no name


class Needle(NamedTuple):
    """Bytes in small letters that are there wherever the value is, and what decides then.

    `bytes.find` of a short core is the fastest search there is; a pattern takes ten times as long.
    """

    cores: tuple[bytes, ...]
    pattern: bytes = b""

    def is_in(self, small: bytes) -> bool:
        """Return whether bytes in small letters hold it."""
        if not any(core in small for core in self.cores):
            return False
        return not self.pattern or re.search(self.pattern, small) is not None


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value that names a person, by the field it was found in.

    `squeezed` are its spellings in names of files, where blanks, accents and signs come and go.
    """

    field: str
    value: str = kept(repr=False)
    needles: tuple[Needle, ...] = kept(repr=False)
    squeezed: tuple[str, ...] = kept(repr=False)


def identifiers(inspection: Inspection) -> tuple[Identifier, ...]:
    """Return what the fields of a file say of the person; dummies and short values are left out."""
    found = dict.fromkeys((f.field, f.value) for f in inspection.findings if _names_somebody(f))
    made = (_identifier(*key) for key in found)
    return tuple(one for one in made if one.needles)


def found_in(known: Iterable[Identifier], text: str | bytes) -> tuple[str, ...]:
    """Return the names of the fields whose value, or a part of it, is in a text or in bytes."""
    return tuple(dict.fromkeys(one.field for one in hits(known, text)))


def hits(known: Iterable[Identifier], text: str | bytes) -> tuple[Identifier, ...]:
    """Return the identifiers that are in a text, blanks and accents aside, or in bytes."""
    if isinstance(text, bytes):
        small = text.lower()
        return tuple(one for one in known if any(needle.is_in(small) for needle in one.needles))
    tight = squeeze(text)
    return tuple(one for one in known if any(part in tight for part in one.squeezed))


def squeeze(text: str) -> str:
    """Return the letters and digits of a text, small and without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain.translate(_PLAIN) if letter.isalnum())


def _names_somebody(finding: Finding) -> bool:
    return finding.layer is Layer.FIELD and not is_dummy(finding.value)


@lru_cache(maxsize=1 << 10)  # a study says the same in each of its files
def _identifier(field: str, value: str) -> Identifier:
    if date := _DATE.fullmatch(value):
        orders = _orders(*date.groups())
        return Identifier(field, value, (_date(orders),), tuple(map("".join, orders)))
    pairs = [_texts(field, spelling) for spelling in _spellings(value)]
    long = list(dict.fromkeys(text for texts, _ in pairs for text in texts))
    short = list(dict.fromkeys(pair for _, some in pairs for pair in some))
    needles = [_literal(text) for text in long] + [_pair(*pair) for pair in short]
    squeezed = [squeeze(text) for text in long]
    squeezed += [squeeze(text) for one, two in short for text in (one + two, two + one)]
    return Identifier(field, value, tuple(needles), tuple(squeezed))


def _spellings(value: str) -> tuple[str, ...]:
    """Return a value as it is, and in letters that every keyboard has."""
    spelled = unicodedata.normalize("NFC", value).casefold().translate(_SPELLED)
    return value, spelled.translate(_PLAIN)


def _texts(field: str, value: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the texts that say enough alone, and pairs of those that do so only together."""
    whole = value[: REACH // 4]
    if not _PARTED.search(field):
        return ([whole] if _says_enough(whole) else []), []
    words = [word for word in re.split(r"[\^=,\s_\\]+", whole) if word]
    parts = dict.fromkeys((*words, *(part for word in words for part in word.split("-") if part)))
    long = [part for part in parts if _says_enough(part)]
    short = [part for part in parts if part not in long][:_MOST_PARTS]
    return long, [(one, two) for one, two in combinations(short, 2) if _says_enough(one + two)]


def _says_enough(text: str) -> bool:
    return len(squeeze(text).encode()) >= LEAST


def _orders(year: str, month: str, day: str) -> tuple[tuple[str, str, str], ...]:
    return (year, month, day), (day, month, year), (month, day, year)


def _date(orders: tuple[tuple[str, str, str], ...]) -> Needle:
    year = orders[0][0]
    spelled = (rb"\0?(?:[-./]\0?)?".join(map(_loose, order)) for order in orders)
    return Needle(tuple(_encodings(year)), b"|".join(spelled))


def _literal(text: str) -> Needle:
    if text.isascii() and text.isdigit():  # else it is found within any long number
        pattern = rb"(?<![0-9])(?<![0-9]\0)" + _loose(text) + rb"(?!\0?[0-9])"
        return Needle(tuple(_encodings(text)), pattern)
    return Needle(tuple(_encodings(text)))


def _pair(one: str, two: str) -> Needle:
    first, second = (
        b"(?:" + b"|".join(map(re.escape, _encodings(t))) + rb")\0?" for t in (one, two)
    )
    longer = max(one, two, key=lambda text: len(text.encode()))
    pattern = b"|".join((first + _SIGNS + second, second + _SIGNS + first))
    return Needle(tuple(_encodings(longer)), pattern)


def _loose(digits: str) -> bytes:
    """Return the pattern of ASCII text that may be UTF-16."""
    return b"".join(re.escape(digit.encode()) + rb"\0?" for digit in digits)[:-3]


def _encodings(text: str) -> list[bytes]:
    """Return the bytes of a text with A-Z made small, as `bytes.lower` does with what is searched.

    UTF-16 goes without the zeros at its ends, which may be of what stands beside it.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    cased = {text, text.lower(), text.upper(), text.capitalize()}
    spelled = {unicodedata.normalize(form, one) for one in cased for form in ("NFC", "NFD")}
    if len(squeeze(plain)) >= len(squeeze(text)):
        spelled.add(plain)
    return sorted({raw for one in spelled for raw in _raw(one)})


def _raw(text: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeEncodeError):
            yield text.encode(encoding).lower().strip(b"\0")
