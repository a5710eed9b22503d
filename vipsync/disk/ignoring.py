"""Ignore rules: gitignore patterns, and which of them leaves a path out."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from vipsync.disk.globs import ignore_spec
from vipsync.errors import SettingsError

LEFT_OVER = (
    ".*", "~$*", "*.tmp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.lock",
    ".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir", r"\#recycle", ".Trash*", ".smbdelete*",
    ".~lock*", "__MACOSX", ".nfs*", "Icon[\r]", "*vipsyncignore*", "*vipsync-ignore*",
)  # fmt: skip
"""Names of files that are not finished, or that systems leave behind."""


def _of_computer(kind: str, length: int) -> Iterator[str]:
    """Yield rules for names with that of a computer, which has a digit: words are brought back."""
    for again, letter in (("", "[0-9a-z]"), ("!", "[a-z]")):
        yield from (f"{again}*-{kind}-{letter * length}{end}" for end in ("", "[.-]*"))


CONFLICT_COPIES = (
    *_of_computer("desktop", 7), *_of_computer("laptop", 8),  # OneDrive adds the computer's name
    "*.sync-conflict-[0-9]*",  # Syncthing
    "* (*conflicted copy*)*", "* (*case conflict*)*", "* (*selective sync conflict*)*",  # Dropbox
    "* (*encoding conflict*)*", "* (*copie en conflit*)*", "* (*konfliktkopie*)*",
    "* (*in konflikt stehende kopie*)*", "* (*copia en conflicto*)*", "* (*copia in conflitto*)*",
    "*_conflict-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[0-9]*",  # ownCloud, Nextcloud
    "* (sfconflict *)*", "*.conflict.*", r"*\[conflicted\]*",  # Seafile, Resilio, pCloud
)  # fmt: skip
"""Names under which sync tools keep another version of a file that was changed in two places."""

BUILT_IN_IGNORE = (*CONFLICT_COPIES, *LEFT_OVER)  # in this order: exceptions hold for copies alone

_RULES = (
    r"(?!\.?#|[^/]*(?:~|\.sw[a-z]|\.tmp)(?![^/]))"  # what editors keep beside a file
    r"[^/]*vipsync-?ignore[^/]*"
)
"""A regular expression of names that a person may give to a file of ignore rules."""

NOTED = (
    r"[^/]*(?:sync-conflict|conflicted|conflict\b|conflit|konflikt|conflicto|conflitto|_conflict-|"
    rf"-(?:desktop|laptop)-)[^/]*|{_RULES}"
)
"""A regular expression of names that are looked at although they are left out: they are told."""

_COPIES = ignore_spec(CONFLICT_COPIES)
_MAY_HOLD_RULES = re.compile(rf"(?:.*/)?{_RULES}(?:/.*)?", re.IGNORECASE)

BUILT_IN = "built in"

_MOST_RULES, _LONGEST_RULE = 2000, 1000


def is_conflict_copy(path: str) -> bool:
    """Tell whether a sync tool keeps another version of a file under this name."""
    return _COPIES.match_file(path.lower())


def may_hold_rules(path: str) -> bool:
    """Tell whether a person may take a file of this name for one of ignore rules."""
    return _MAY_HOLD_RULES.fullmatch(path) is not None


def is_told(path: str) -> bool:
    """Tell whether a person hears of a file that is left out."""
    return is_conflict_copy(path) or may_hold_rules(path)


class IgnoreRules:
    """Three lists of patterns; later ones win over earlier ones. A folder's path ends in `/`.

    Letters match in any case, as they do in the patterns of settings: a name that another system
    writes in capitals is the same name. A rule that begins with the path or the name of the inputs
    folder is meant from inside it, too.
    """

    def __init__(
        self,
        builtin: Sequence[str],
        extra: Sequence[str],
        vipsyncignore: str,
        inputs: str = "inputs",
    ) -> None:
        _refuse_too_much([*extra, *vipsyncignore.splitlines()])
        self._rules = [
            (pattern, place, meant)
            for place, patterns in (
                (BUILT_IN, builtin),
                ("settings.toml, [inputs] ignore", extra),
                (".vipsyncignore", vipsyncignore.splitlines()),
            )
            for pattern in patterns
            for meant in ([pattern] if place == BUILT_IN else _meant(pattern, inputs))
        ]
        try:
            self._spec = ignore_spec(meant.lower() for _, _, meant in self._rules)
        except ValueError as error:
            raise SettingsError(
                f"An ignore pattern cannot be read: {error}",
                "Mend it in settings.toml, [inputs] ignore, or in .vipsyncignore.",
            ) from error

    def __call__(self, path: str) -> bool:
        """Tell whether a path is left out."""
        return self._spec.match_file(path.lower())

    def rule(self, path: str) -> str:
        """Return the pattern that leaves a path or a folder above it out, and where it stands; else ""."""
        parts = path.rstrip("/").split("/")
        above = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
        for place in (*above, path):
            found = self._spec.check_file(place.lower())
            if found.include and found.index is not None:
                return "{} ({})".format(*self._rules[found.index])
        return ""

    def idle(self, paths: Iterable[str]) -> list[str]:
        """Return the rules of a person that leave out none of these paths; those of folders end in `/`."""
        variants: defaultdict[str, list[str]] = defaultdict(list)
        for pattern, place, meant in self._rules:
            if place != BUILT_IN and not pattern.startswith(("#", "!")):
                variants[f"{pattern} ({place})"].append(meant.lower())
        idle = {rule: ignore_spec(meant) for rule, meant in variants.items()}
        for path in paths:
            if not idle:
                break
            idle = {rule: spec for rule, spec in idle.items() if not spec.match_file(path.lower())}
        return list(idle)


def _refuse_too_much(rules: Sequence[str]) -> None:
    """Raise SettingsError for more rules, or longer ones, than each path can be held against."""
    longest = max(map(len, rules), default=0)
    if len(rules) > _MOST_RULES or longest > _LONGEST_RULE:
        many = f"{len(rules):,} ignore rules" if len(rules) > _MOST_RULES else "an ignore rule"
        raise SettingsError(
            f"Found {many}, the longest of {longest:,} characters: that is too much.",
            f"At most {_MOST_RULES:,} lines of {_LONGEST_RULE:,} characters can be used.",
        )


def _meant(pattern: str, inputs: str) -> Iterator[str]:
    """Yield what a rule means, as gitignore writes it; nothing for an empty one or a comment."""
    if not pattern.strip() or pattern.startswith("#"):
        return
    again, rest = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
    _refuse_without_effect(pattern, rest)
    here = re.match(r"(?:\.?/)+", rest)
    if here:
        rest = "/" + rest[here.end() :]
    names = "|".join(re.escape(place.strip("/")) for place in (inputs, posixpath.basename(inputs)))
    inside = re.fullmatch(rf"/?(?:{names})/(.+)", rest, re.IGNORECASE)
    if inside and again:
        raise SettingsError(
            f"The ignore rule {pattern} begins with the inputs folder, and paths start inside it.",
            f"Write !/{inside[1]}",
        )
    yield again + rest
    if inside:
        yield f"/{inside[1]}"


def _refuse_without_effect(pattern: str, rest: str) -> None:
    """Raise SettingsError for a rule that no path can match."""
    wrong = (
        "a backslash" if re.search(r"\\\w", rest) else "a '..'" if ".." in rest.split("/") else ""
    )
    if wrong:
        raise SettingsError(
            f"The ignore rule {pattern} has {wrong}, and protects nothing.",
            "Paths start inside the inputs folder, with / between folders: write lists/patients.csv.",
        )
