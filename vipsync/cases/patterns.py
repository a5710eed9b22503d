"""The language of patterns in settings.toml. Pure: no os, time, random, httpx, sqlite3 or logging.

    *        any text without /               ?       one character that is no /
    [abc]    one of these, [a-z] a range      [!abc]  one character that is none of these
    **/      any folders, or none             **      at the end: everything below
    {name}   any text without /, the same text wherever the same name stands
    a/       a folder, as one value
    [[] [*]  a bracket, a star itself         {{ }}   a brace itself

Literal parts ignore upper and lower case; what a name or a wildcard stands for does not.
Everything is compared in NFC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from vipsync.cases.placeholders import Path, Piece
from vipsync.errors import SettingsError

_TOKEN = re.compile(
    r"""(?P<brace>\{\{|\}\}) | \{(?P<name>[^{}/]*)\}
      | (?P<folders>(?:(?<=/)|^)\*\*/) | (?P<below>(?:(?<=/)|^)\*\*$)
      | (?P<star>\*+) | (?P<one>\?)
      | \[(?P<negated>[!^]?)(?P<chosen>\]?[^]/]*)\]
      | (?P<open>[{[]) | (?P<literal>[^{}[*?]+|\})""",
    re.VERBOSE,
)
_KEY = re.compile(r"[A-Za-z]{2,}-")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WILD = {"folders": "(?:.*/)?", "below": ".+", "star": "[^/]*", "one": "[^/]"}


class Template(Struct, frozen=True):
    """Text with `{names}` in it; it matches nothing, it is filled in."""

    text: str
    pieces: tuple[Piece, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return its names, each once, in order."""
        return tuple(dict.fromkeys(piece.name for piece in self.pieces if piece.name))

    def fill(self, names: Mapping[str, str]) -> str:
        """Return the text with each known name replaced; an unknown one stays in its braces."""
        return "".join(
            names.get(piece.name, piece.text) if piece.name else piece.text for piece in self.pieces
        )


class Pattern(Template, frozen=True):
    """A pattern of paths inside inputs/. Its text has no trailing slash where it is a folder."""

    path: Path
    is_folder: bool

    @property
    def is_wild(self) -> bool:
        """True when it has a part that varies without a name."""
        return any(piece.wild for piece in self.pieces)

    @property
    def is_literal(self) -> bool:
        """True when it names one path in full."""
        return not any(piece.wild or piece.name for piece in self.pieces)

    @property
    def is_root(self) -> bool:
        """True when it stands for the inputs folder itself."""
        return self.text == "."

    def wanted(self, names: Mapping[str, str]) -> str:
        """Return the path that would match, as far as `names` tell."""
        return self.fill(names) + "/" * self.is_folder

    def readings(self, path: str) -> Sequence[tuple[str, ...]]:
        """Return what each of its names may stand for in `path`; nothing where it does not match.

        More than one where the path fits in several ways.
        """
        return self.path.readings(path)


def compile_pattern(text: str) -> Pattern:
    """Read a pattern of paths; raise SettingsError where it cannot be one."""
    normal = unicodedata.normalize("NFC", text)
    _refuse_foreign(normal)
    folder = normal.endswith("/")
    pieces = _merged(_pieces(normal.removesuffix("/")))
    _refuse_neighbours(pieces)
    try:
        path = Path(pieces)
    except re.error as error:
        raise SettingsError(f"{text!r} is no pattern: {error.msg}.") from error
    return Pattern(normal.removesuffix("/"), pieces, path, folder)


def everything() -> Pattern:
    """Return the pattern of the inputs folder itself, `./`."""
    itself = (Piece("."),)
    return Pattern(".", itself, Path(itself), is_folder=True)


def compile_template(text: str) -> Template:
    """Read a text in which only `{names}` mean something; raise SettingsError on a lone brace."""
    pieces = (
        piece if piece.name or not piece.wild else Piece(piece.text) for piece in _pieces(text, "{")
    )
    return Template(text, _merged(pieces))


def several_readings(pattern: Pattern, path: str, readings: Sequence[tuple[str, ...]]) -> str:
    """Say in which ways a path fits a pattern, and which pattern would tell them apart."""
    one, other = (
        ", ".join(f"{name} = {text}" for name, text in zip(pattern.names, reading, strict=True))
        for reading in readings[:2]
    )
    better = next(
        (text for text in _sharper(pattern, readings) if _reads_once(text, path)),
        "",
    )
    advice = f"write {better}, for one" if better else "put what differs into folders of its own"
    return f"{path} fits {pattern.text} in more than one way, {one} or {other}: {advice}"


def _reads_once(text: str, path: str) -> bool:
    try:
        return len(compile_pattern(text).readings(path)) == 1
    except SettingsError:
        return False


def _sharper(pattern: Pattern, readings: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield patterns that say more: what each name begins with (BIDS: sub-…, ses-…), or one name more."""
    for reading in readings:
        keys = map(_KEY.match, reading)
        begin = {name: key[0] for name, key in zip(pattern.names, keys, strict=True) if key}
        yield _written(pattern, {name: f"{key}{{{name}}}" for name, key in begin.items()})
    for name in pattern.names:
        for mark in "_-.":
            yield _written(pattern, {name: f"{{{name}}}{mark}{{more}}"})


def _written(pattern: Pattern, names: Mapping[str, str]) -> str:
    pieces = (names.get(p.name, p.text) if p.name else p.text for p in pattern.pieces)
    return "".join(pieces) + "/" * pattern.is_folder


def _refuse_foreign(text: str) -> None:
    if "\\" in text:
        raise SettingsError(f"{text!r} has a backslash: write / between folders, as in a/b.txt.")
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:/", text):
        raise SettingsError(
            f"{text!r} is an absolute path: name files by their path inside the inputs folder, "
            "or start with /vip/ for a file that is already on VIP."
        )
    parts = text.removesuffix("/").split("/")
    if ".." in parts:
        raise SettingsError(f"{text!r} leaves the inputs folder: use a path without '..'.")
    if "" in parts or "." in parts:
        raise SettingsError(f"{text!r} has an empty part or a '.': write it as a/b.txt.")


def _pieces(text: str, special: str = "") -> Iterator[Piece]:
    for found in _TOKEN.finditer(text):
        kind, whole = found.lastgroup, found[0]
        if kind == "brace":
            yield Piece(whole[0])
        elif kind == "name":
            yield Piece(whole, name=_checked_name(found["name"], text))
        elif special and whole != "{":
            yield Piece(whole)
        elif kind == "chosen":
            yield _class_piece(found["negated"], found["chosen"], whole, text)
        elif kind == "open":
            itself = "{{" if whole == "{" else "[[]"
            raise SettingsError(
                f"{text!r} has a {whole!r} that is never closed: write {itself} for the character."
            )
        else:
            yield Piece(whole, wild=_WILD.get(kind or "", ""))


def _checked_name(name: str, text: str) -> str:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{text!r}: {{{name}}} is no name; use letters, digits, _ and -, or {{{{ for a brace itself."
        )
    return name


def _class_piece(negated: str, chosen: str, whole: str, text: str) -> Piece:
    if not chosen:
        raise SettingsError(f"{text!r} has empty brackets: write [[] for a bracket itself.")
    if len(chosen) == 1 and not negated:
        return Piece(chosen)
    escaped = re.sub(r"[^\w-]", lambda mark: "\\" + mark[0], chosen)
    return Piece(whole, wild=f"(?!/)(?i:[{'^' * bool(negated)}{escaped}])")


def _merged(pieces: Iterator[Piece]) -> tuple[Piece, ...]:
    """Join literals that stand side by side."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and not (last.name or last.wild or piece.name or piece.wild):
            merged[-1] = Piece(last.text + piece.text)
        else:
            merged.append(piece)
    return tuple(merged)


def _refuse_neighbours(pieces: tuple[Piece, ...]) -> None:
    for left, right in pairwise(pieces):
        if left.name and right.name:
            raise SettingsError(
                f"{left.text}{right.text}: nothing stands between the names, so that nobody can tell "
                "where the first ends; put a character or a / between them."
            )
