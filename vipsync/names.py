"""Names here and names on VIP. Pure: no os, time, random, httpx, sqlite3 or logging.

A path inside the folder becomes a path below INPUTS in one way only, `vip_relpath`: first the
server's own cleaning (facts 3.4), so that VIP never renames what is sent, then everything that its
line protocol, its shells and its list separator would stumble over (facts 3.3, 5.3) becomes `_`.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from vipsync.errors import ForeignPath, NameRefused
from vipsync.model import RelPath, VipPath

HOME = "/vip/Home"
"""The root of an account's own files (facts 3.2)."""

ARCHIVE_NAMES = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
"""How archives end that are unpacked here, in small letters."""

_SAFE = re.compile(r"[A-Za-z0-9._+=,-]+")
_SAFE_PATH = re.compile(rf"{_SAFE.pattern}(?:/{_SAFE.pattern})*")
_UNSAFE = re.compile(r"@{2,}|@$|[^A-Za-z0-9._+=,@-]")
_VERSION = re.compile(r"_v[0-9]+")
_JAVA_BLANKS = "".join(map(chr, range(0x21)))
_NOT_ON_WINDOWS = re.compile(r'[<>:"?*|\\ \x00-\x1f]')
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)")


def shell_word(text: object) -> str:
    """Return a text as a shell reads it as one word, for a command to copy."""
    word = str(text)
    if word.isprintable():
        return shlex.quote(word)
    odd = word.encode("utf-8", "surrogateescape")
    plain = (chr(b) if chr(b).isprintable() and b < 0x7F else f"\\x{b:02x}" for b in odd)
    return "$'" + "".join(f"\\{c}" if c in "'\\" else c for c in plain) + "'"


_PLACE = re.compile(r"(`vipsync [^`]*?)\bDIR\b")


def placed(text: str, folder: object) -> str:
    """Return advice in which each command to copy names this folder in place of DIR."""
    if "DIR" not in text:
        return text
    word = shell_word(folder)
    return _PLACE.sub(lambda found: found[1] + word, text)


def relpath(text: str) -> RelPath:
    """Return `text` in NFC as a path inside the folder; raise ForeignPath where it is none."""
    path = unicodedata.normalize("NFC", text)
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ForeignPath(f"{text!r} is not a path inside the folder.")
    if any(mark in path for mark in "\0\n\r\\"):
        raise ForeignPath(f"{text!r} holds a backslash, a line break or a zero byte.", "Rename it.")
    return RelPath(path)


@lru_cache(maxsize=1 << 16)
def vip_part(name: str) -> str:
    """Return the name that one part of a path gets on VIP; raise NameRefused where none is left."""
    if _SAFE.fullmatch(name):
        return name
    trimmed = name.strip(_JAVA_BLANKS).replace(" ", "_")
    ascii_only = unicodedata.normalize("NFKD", trimmed).encode("ascii", "ignore").decode()
    safe = _UNSAFE.sub(lambda found: "_" * len(found[0]), ascii_only)
    if safe in ("", ".", "..") or (_says_something(name) and not _says_something(safe)):
        raise NameRefused(
            f"{name!r} has no letter or digit that VIP can hold.",
            "Rename it, with letters a-z or digits.",
        )
    return safe


def _says_something(name: str) -> bool:
    return any(letter.isalnum() for letter in name.partition(".")[0])


@lru_cache(maxsize=1 << 17)
def vip_relpath(rel: str) -> str:
    """Return the path below INPUTS that `rel` gets on VIP; raise NameRefused where it has none."""
    safe = rel if _SAFE_PATH.fullmatch(rel) else "/".join(map(vip_part, rel.split("/")))
    if HOME in f"/{safe}":
        raise NameRefused(
            f"{rel!r}: VIP cannot hold a path that repeats {HOME[1:]!r}.", "Rename a folder in it."
        )
    if _VERSION.fullmatch(safe.partition("/")[0]):
        raise NameRefused(
            f"{rel!r}: names as '_v2' are kept for later contents of a file.", "Rename the folder."
        )
    return rel if safe == rel else safe  # one text in memory, not two


def inside(folder: RelPath) -> str:
    """Return what the paths of all files in a folder begin with; "" for inputs/ itself."""
    return f"{folder}/" if folder else ""


def folder_words(folder: RelPath) -> str:
    """Return a folder as settings write it."""
    return inside(folder) or "./"


def clashes(paths: Iterable[RelPath]) -> dict[str, tuple[RelPath, ...]]:
    """Map each path on VIP that several of `paths` would share to them, sorted.

    A path that VIP cannot hold at all is not counted.
    """
    sharing: defaultdict[str, set[RelPath]] = defaultdict(set)
    for path in paths:
        try:
            sharing[vip_relpath(path)].add(path)
        except NameRefused:
            continue
    return {name: tuple(sorted(found)) for name, found in sharing.items() if len(found) > 1}


def inputs_root(session_name: str) -> VipPath:
    """Return the folder on VIP that holds a session's inputs."""
    return VipPath(f"{HOME}/API/{session_name}/INPUTS")


def version_path(vip_inputs_root: VipPath, version: int, rel: str) -> VipPath:
    """Return where the `version`-th content of `rel`, a path on VIP, lies: nothing is ever replaced."""
    between = "" if version == 1 else f"_v{version}/"
    return VipPath(f"{vip_inputs_root}/{between}{rel}")


def version_of(vip_inputs_root: VipPath, path: VipPath) -> int:
    """Return the version to which a place below the inputs belongs."""
    first = path.removeprefix(f"{vip_inputs_root}/").partition("/")[0]
    return int(first[2:]) if _VERSION.fullmatch(first) else 1


def local_name(part: str, *, windows: bool) -> str:
    """Return the name on this machine of one part of a path from VIP."""
    if not windows:
        return part
    name = _NOT_ON_WINDOWS.sub("-", part)
    name = name.rstrip(".") + "-" * (len(name) - len(name.rstrip(".")))
    return _DEVICE.sub(r"\1-", name, count=1) if _DEVICE.match(name) else name


API_HOME = "/vip/Home/API"
"""Where sessions lie on VIP (house 7.1)."""


def home_of(session_name: str) -> VipPath:
    """Return the folder of a session on VIP."""
    return VipPath(f"{API_HOME}/{session_name}")


BACKUP = "session_data.json"
"""A session in vip-client's own format, beside its outputs here or in its folder on VIP."""


def parent(path: VipPath) -> VipPath:
    """Return the folder on VIP in which `path` lies."""
    return VipPath(path.rpartition("/")[0] or "/")


def last(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


NAMES = re.compile(r"\w(?:[\w.-]*\w)?")


@lru_cache(
    maxsize=4096
)  # of an execution with many failed jobs, each reason is asked for by each case
def names_in(text: str) -> frozenset[str]:
    """Return what can be names of files in a text that an application wrote."""
    return frozenset(NAMES.findall(text))


def few(names: Sequence[str], most: int = 3) -> str:
    """Name the first of these, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def folders_above(path: str) -> Iterator[str]:
    """Yield the folders in which a path lies, the innermost first."""
    while path := path.rpartition("/")[0]:
        yield path
