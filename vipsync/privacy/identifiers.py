"""The value of a field in other places: in the spellings that people and programs give it.

Pure: no os, time, random, httpx, sqlite3 or logging.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
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
_DIGITS_OF_DATE = 8
_PARTED = re.compile(r"name|physician|operator", re.IGNORECASE)
_SIGNS = rb"(?:[\s^_.,=/-]\0?)*"
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "æ": "ae", "œ": "oe"}
)
"""Letters that no accent can be taken from."""
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
"""How people write them where a keyboard or a program has no such letters."""
_ROWS = {1: 3, 2: 6, 4: 6, 5: 7}  # of ASCII, and of the second byte of Cyrillic letters in UTF-16
_CYRILLIC = 0xD1, 0xD0  # with which its letters begin in UTF-8


def _fold(byte: int) -> int:
    if byte < 0x80:
        return _ROWS.get(byte >> 4, byte >> 4) << 4 | byte & 0xF
    return 0x80 | (_CYRILLIC[1] if byte == _CYRILLIC[0] else byte) & 0x1F


_FOLDS = bytes(map(_fold, range(256)))
_SHORTEST_SIGN, _LONGEST_SIGN = 4, 24  # bytes; what is shorter is everywhere
_MOST_PARTS = 12  # of a name; what has more is no name


class Needle(NamedTuple):
    """Bytes in small letters of which one is there wherever the value is, and what decides then.

    `bytes.find` is the fastest search there is, a pattern takes ten times as long.
    """

    cores: tuple[bytes, ...]
    pattern: bytes = b""

    def may_be_in(self, folded: bytes) -> bool:
        """Return whether folded bytes hold a part of some core."""
        return any(sign in folded for sign in signs(self.cores))

    def is_in(self, small: bytes) -> bool:
        """Return whether bytes in small letters hold it."""
        if not any(core in small for core in self.cores):
            return False
        return not self.pattern or re.search(self.pattern, small) is not None


@lru_cache(maxsize=1 << 12)
def signs(cores: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return folded bytes of which one is part of each core: few before long ones.

    Folded, most spellings of a name share some letters.
    """
    left, found = {folded(core)[:_LONGEST_SIGN] for core in cores}, []
    while left:
        shared = Counter(part for core in left for part in _parts(core))
        found.append(max(shared, key=lambda part: (shared[part], len(part), part)))
        left = {core for core in left if found[-1] not in core}
    return tuple(found)


def folded(raw: bytes) -> bytes:
    """Return bytes so that capitals and UTF-16 look as small letters do, and some others, too."""
    return raw.translate(_FOLDS, b"\0")


def _parts(core: bytes) -> set[bytes]:
    sizes = range(min(_SHORTEST_SIGN, len(core)), len(core) + 1)
    return {core[at : at + size] for size in sizes for at in range(len(core) - size + 1)}


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value that names a person, by the field it was found in.

    `squeezed` are its spellings in names of files, where blanks, accents and signs come and go.
    """

    field: str
    value: str = kept(repr=False)
    needles: tuple[Needle, ...] = kept(repr=False)
    squeezed: tuple[str, ...] = kept(repr=False)

    def is_in_name(self, name: str, tight: str) -> bool:
        """Return whether a name holds it that is `tight` when it is squeezed."""
        return any(
            part in tight and (not part.isdecimal() or _stands_alone(part, name))
            for part in self.squeezed
        )


def _stands_alone(digits: str, name: str) -> bool:
    """Return whether a number is none within a longer one: names of images are numbers of 40 digits."""
    signs = r"[\W_]{0,3}" if len(digits) == _DIGITS_OF_DATE else r"(?:[^\w.]|_){0,3}"
    pattern = rf"(?<!\d){signs.join(digits)}(?!\d)"
    return re.search(pattern, unicodedata.normalize("NFKC", name)) is not None


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
        seen, small = folded(text), b""
        found = []
        for one in known:
            if likely := [needle for needle in one.needles if needle.may_be_in(seen)]:
                small = small or text.lower()
                found += [one] if any(needle.is_in(small) for needle in likely) else []
        return tuple(found)
    tight = squeeze(text)
    return tuple(one for one in known if one.is_in_name(text, tight))


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
    needles = dict.fromkeys((*map(_literal, long), *(_pair(*pair) for pair in short)))
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
    return sorted({raw for one in spelled for raw in (*_raw(one), *_of_its_script(one))})


def _raw(text: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeEncodeError):
            yield text.encode(encoding).lower().strip(b"\0")


_SCRIPTS = {
    "LATIN": "iso8859-2 iso8859-3 iso8859-4 iso8859-9 iso8859-15 cp1250 mac-roman",
    "CYRILLIC": "iso8859-5 cp1251 koi8-u mac-cyrillic",
    "GREEK": "iso8859-7 cp1253",
    "ARABIC": "iso8859-6 cp1256",
    "HEBREW": "iso8859-8",
    "THAI": "tis-620",
    "HIRAGANA": "shift-jis euc-jp iso2022-jp-1",
    "KATAKANA": "shift-jis euc-jp iso2022-jp-1",
    "HALFWIDTH": "shift-jis",
    "CJK": "shift-jis euc-jp iso2022-jp-1 gb18030 big5 cp949",
    "HANGUL": "cp949",
}
"""What each script is written in: what DICOM has for it, and what Windows and the Mac had before UTF-8.

Those of Korea and China are in DICOM as they are, behind signs that choose them.
"""
_END_OF_JAPANESE = b"\x1b(B"


def _of_its_script(text: str) -> Iterator[bytes]:
    """Yield a text in encodings that are used for its letters, where that is long enough to say something."""
    letters = [letter for letter in text if not letter.isascii()]
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}
    for encoding in {name for script in scripts for name in _SCRIPTS.get(script, "").split()}:
        with suppress(UnicodeEncodeError):
            raw = text.encode(encoding).removesuffix(_END_OF_JAPANESE).lower()
            if len(raw) >= LEAST:
                yield raw
