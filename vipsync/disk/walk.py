"""One pass over a folder: which files lie in it, and what could not be looked at.

An error blocks only its own subtree. Links are followed only to files and folders inside the root,
or anywhere where that is asked for, and never in a loop. Nothing here remembers or decides: `scan`
does.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec import Struct

from vipsync.disk import globs
from vipsync.errors import FolderAbsent
from vipsync.model import FileState, RelPath

Ignored = Callable[[str], bool]
"""True for a path that is left out; a folder's path ends in `/`."""

Listing = Callable[[str], AbstractContextManager[Iterator[os.DirEntry[str]]]]

_GONE = (FileNotFoundError, NotADirectoryError)
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
_V = TypeVar("_V")

CYCLE = "it leads back to a folder that it lies in"
"""Reason for which a folder is not entered where links are followed anywhere."""


class Rules(NamedTuple):
    """What is left out, and what is seen all the same."""

    ignored: Ignored
    asked: re.Pattern[str]
    on_the_way: re.Pattern[str]

    def overlooks(self, path: str) -> bool:
        """Tell whether the path is left out; a folder's path ends in `/`."""
        if not self.ignored(path):
            return False
        exception = self.on_the_way if path.endswith("/") else self.asked
        return exception.fullmatch(path.rstrip("/")) is None

    def tree_of(self, known: Mapping[RelPath, FileState]) -> Tree:
        """Sort what was known by the rules of today."""
        tree = Tree()
        for path, state in known.items():
            if not self.ignored(path):
                tree.files[path] = state
            elif self.asked.fullmatch(path):
                tree.hidden[path] = state
        return tree


def asked_for(
    patterns: Collection[str], noted: str = ""
) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compile the paths that are always seen, and the folders on the way to them.

    `noted` is a regular expression of names that are seen in any folder, with all that lies below.
    """
    paths = [tuple(map(_part, nfc(pattern).split("/"))) for pattern in patterns]
    ways = {path[:depth] for path in paths for depth in range(1, len(path))}
    anywhere = [(f"(?:.*/)?(?:{noted})(?:/.*)?",)] if noted else []
    return _any_of([*paths, *anywhere]), _any_of([*ways, *anywhere])


def _part(text: str) -> str:
    """Compile one part of a path; as in a shell, what varies does not begin with a dot."""
    first, *others = re.split(r"(\*|\{[^{}]*\})", text)
    wild = zip(others[::2], others[1::2], strict=True)
    rest = [(0 if mark == "*" else 1, re.escape(behind)) for mark, behind in wild]
    pattern = globs.part(re.escape(first), rest)
    return pattern if first else rf"(?!\.){pattern}"


def _any_of(paths: Collection[tuple[str, ...]]) -> re.Pattern[str]:
    return re.compile("|".join(map("/".join, paths)) or r"(?!)", re.IGNORECASE)


def every_path(root: Path) -> Iterator[str]:
    """Yield every path below a folder, ignored or not; those of folders end in `/`."""
    for folder, folders, files in os.walk(root):
        above = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
        yield from (f"{above}{name}/" for name in folders)
        yield from (f"{above}{name}" for name in files)


class _Place(NamedTuple):
    """A folder that can be listed.

    `disk` and `key` are "" or end in "/". `trail` are the real paths of the folders in which links
    were followed to come here, then its own. `above` are device and inode of the folders that were
    entered to come here and its own, known where links are followed anywhere.
    """

    disk: str
    key: str
    ignored: bool
    trail: tuple[str, ...]
    above: frozenset[tuple[int, int]] = frozenset()


class Tree(Struct, frozen=True):
    """All that was found; every mapping is by path, NFC, and `folders` holds "" for the root."""

    files: dict[RelPath, FileState] = {}
    hidden: dict[RelPath, FileState] = {}
    disk: dict[RelPath, str] = {}
    folders: dict[RelPath, _Place] = {}
    unreadable: dict[RelPath, str] = {}

    def __contains__(self, path: RelPath) -> bool:
        return path in self.files or path in self.hidden

    def nearest(self, hint: str) -> str:
        """Widen a hint until its folder was listed and its name is nobody else's."""
        while hint:
            parent, name = posixpath.split(hint)
            place = self.folders.get(nfc(parent))
            if place and place.disk.rstrip("/") == parent and self._unmistakable(place, name):
                return hint
            hint = parent
        return ""

    def _unmistakable(self, place: _Place, name: str) -> bool:
        key = nfc(place.key + name)
        if key in self.unreadable or not key.endswith(name):
            return False
        folder = self.folders.get(key)
        known = folder.disk.rstrip("/") if folder else self.disk.get(key)
        return known is None or known == place.disk + name


class _Blocked(Exception):
    """An entry that is there, but is not looked at; the message says why."""


class Walk:
    """One pass over a folder or some of its parts; `anywhere`: links are followed out of it, too."""

    def __init__(
        self, root: Path, rules: Rules, before: Tree, listing: Listing, *, anywhere: bool = False
    ) -> None:
        self.found = Tree()
        self.changed: list[RelPath] = []
        self._root = root
        self._base = f"{root}/"
        self._real = os.path.realpath(root)
        self._rules = rules
        self._before = before
        self._listing = listing
        self._anywhere = anywhere
        self._pending: list[_Place] = []

    def run(self, scope: frozenset[str] | None) -> None:
        """Look at these paths, or at everything, and all that lies in them."""
        if scope is None:
            above = frozenset({_number(self._root.stat())}) if self._anywhere else frozenset()
            self._pending.append(_Place("", "", ignored=False, trail=(self._real,), above=above))
        for path in scope or ():
            parent, name = posixpath.split(path)
            self._visit(self._before.folders[nfc(parent)], name)
        while self._pending:
            self._list(self._pending.pop())

    def _list(self, place: _Place) -> None:
        try:
            others = self._regular_files(place)
        except OSError as error:
            if not place.key:
                raise absent(self._root, why(error)) from error
            if not isinstance(error, _GONE):
                self._block(place.key, why(error))
            return
        self.found.folders[RelPath(place.key.rstrip("/"))] = place
        twins = _twins(others)
        for name in others:
            if name in twins:
                self._block(
                    place.key + nfc(name),
                    "two names here differ only in how accents are stored: rename one",
                )
            else:
                self._visit(place, name)

    def _regular_files(self, place: _Place) -> list[str]:
        """Note the files with a plain name, and return all other names."""
        others = []
        prefix, files, before = place.key, self.found.files, self._before.files
        plain = place.disk == prefix
        with self._listing(self._base + place.disk) as entries:
            for entry in entries:
                name = entry.name
                simple = plain and name.isascii() and name.isprintable()
                if not (simple and entry.is_file(follow_symlinks=False)):
                    others.append(name)
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except OSError:
                    others.append(name)
                    continue
                key = RelPath(prefix + name)
                old = before.get(key)
                if (
                    old
                    and old.mtime_ns == info.st_mtime_ns
                    and old.size == info.st_size
                    and old.inode == info.st_ino
                    and old.ctime_ns == info.st_ctime_ns
                ):
                    files[key] = old
                else:
                    self._keep(place, key, info)
        return others

    def _visit(self, place: _Place, name: str) -> None:
        """Look at one entry of a folder, whatever it is."""
        disk, key = place.disk + name, nfc(place.key + name)
        try:
            _check_name(name)
            info = os.lstat(self._base + disk)
            trail = (*place.trail[:-1], f"{place.trail[-1]}/{name}")
            if stat.S_ISLNK(info.st_mode):
                trail = self._followed(disk, place)
                info = os.stat(self._base + disk)  # noqa: PTH116 - disk paths are strings here
        except _GONE:
            return
        except (OSError, _Blocked) as error:
            self._block(key, why(error))
            return
        if stat.S_ISDIR(info.st_mode):
            self._enter(place, key, disk, trail, info)
        elif stat.S_ISREG(info.st_mode):
            self._keep(place, key, info)
            if disk != key:
                self.found.disk[key] = disk
        else:
            kind = _KINDS.get(stat.S_IFMT(info.st_mode), "a device")
            self._block(key, f"neither a file nor a folder: {kind}")

    def _followed(self, disk: str, place: _Place) -> tuple[str, ...]:
        """Return the trail behind a link, which may lead neither outside nor back to where it lies.

        Where links are followed anywhere, it may: a folder is then not entered within itself.
        """
        try:
            target = os.path.realpath(self._base + disk, strict=True)
        except OSError as error:
            raise _Blocked(
                "a link that leads nowhere: remove it or put the file itself here"
            ) from error
        if self._anywhere:
            return (*place.trail, target)
        if not holds(self._real, target):
            raise _Blocked("a link that leads out of the folder: put the file itself here")
        if any(holds(target, passed) for passed in place.trail):
            raise _Blocked("a link to a folder that holds it: remove it")
        return (*place.trail, target)

    def _enter(
        self, place: _Place, key: RelPath, disk: str, trail: tuple[str, ...], info: os.stat_result
    ) -> None:
        known = self._before.folders.get(key)
        ignored = known.ignored if known else place.ignored or self._rules.ignored(key + "/")
        if ignored and not self._rules.on_the_way.fullmatch(key):
            return
        above = place.above
        if self._anywhere:
            if _number(info) in above:
                self._block(key, CYCLE)
                return
            above |= {_number(info)}
        self._pending.append(_Place(disk + "/", key + "/", ignored, trail, above))

    def _keep(self, place: _Place, key: RelPath, info: os.stat_result) -> None:
        state = FileState.of(info)
        before, found = self._before.files, self.found.files
        if place.ignored or (key not in before and self._rules.ignored(key)):
            if not self._rules.asked.fullmatch(key):
                return
            before, found = self._before.hidden, self.found.hidden
        found[key] = state
        if before.get(key) != state:
            self.changed.append(key)

    def _block(self, key: str, reason: str) -> None:
        if not self._rules.overlooks(key):
            self.found.unreadable[RelPath(key.rstrip("/"))] = reason


def _number(info: os.stat_result) -> tuple[int, int]:
    """Return what a folder is by whatever path one comes to it."""
    return info.st_dev, info.st_ino


def _check_name(name: str) -> None:
    """Refuse what cannot be shown on one line or written as UTF-8."""
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name):
        raise _Blocked("a name with a line break or with characters that are no text: rename it")


def _twins(names: list[str]) -> frozenset[str]:
    """Return the names that are equal to another one once both are NFC."""
    if all(map(str.isascii, names)):
        return frozenset()
    holders = Counter(map(nfc, names))
    return frozenset(name for name in names if holders[nfc(name)] > 1)


def renewed_tree(old: Tree, found: Tree, scope: frozenset[str] | None) -> Tree:
    """Replace what lay in the scope by what was found there, except what could not be looked at."""
    keys = None if scope is None else frozenset(map(nfc, scope))
    folders = frozenset() if keys is None else keys & old.folders.keys()

    def renewed(was: dict[RelPath, _V], now: dict[RelPath, _V]) -> dict[RelPath, _V]:
        if keys is None:
            return was if now == was else now  # what shares its texts with others stays
        lost = {path for path in was if under(path, folders)} if folders else set()
        gone = (lost | (keys & was.keys())) - now.keys()
        news = {path: value for path, value in now.items() if was.get(path) != value}
        if not gone and not news:
            return was
        rest = was | news
        for path in gone:
            del rest[path]
        return rest

    def kept(was: dict[RelPath, _V], now: dict[RelPath, _V]) -> dict[RelPath, _V]:
        if not found.unreadable:
            return now
        lost = was.keys() - now.keys()
        return now | {path: was[path] for path in lost if under(path, found.unreadable)}

    return Tree(
        files=kept(old.files, renewed(old.files, found.files)),
        hidden=kept(old.hidden, renewed(old.hidden, found.hidden)),
        disk=kept(old.disk, renewed(old.disk, found.disk)),
        folders=renewed(old.folders, found.folders),
        unreadable=renewed(old.unreadable, found.unreadable),
    )


def under(path: str, tops: Container[str]) -> bool:
    """Tell whether the path or a folder that holds it is among `tops`."""
    while path:
        if path in tops:
            return True
        path = path.rpartition("/")[0]
    return False


def nfc(path: str) -> RelPath:
    """Spell a path as the rest of the program does, whatever the disk does."""
    return RelPath(path if path.isascii() else unicodedata.normalize("NFC", path))


def printable(path: str) -> str:
    """Spell a path so that it fits on one line and can be written as UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def why(error: Exception) -> str:
    """Return the reason alone, without the path that an OSError adds to it."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def holds(folder: str, path: str) -> bool:
    """Tell whether an absolute path is this folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def absent(folder: Path, reason: str) -> FolderAbsent:
    """Make the error that halts: what cannot be seen was not deleted."""
    return FolderAbsent(
        f"{folder} cannot be read: {reason}.",
        "Nothing counts as deleted: bring the folder back (is its disk mounted?) and work goes on.",
    )
