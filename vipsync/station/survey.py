"""What lies in the exports: places with all their files, looked at and never touched.

A pass keeps a digest for each place, not a row for each file: exports hold millions. Links are not
followed. A place changes with the name, size, times or inode of any file in it (house 6.1).
"""

from __future__ import annotations

import hmac
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from vipsync.cases.patterns import Pattern, compile_pattern
from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.disk.scan import Identity, identity
from vipsync.disk.walk import nfc, why
from vipsync.errors import FolderAbsent
from vipsync.model import replace
from vipsync.observe.export import nameless
from vipsync.station.model import Seen, StationSettings

Header = Callable[[Path], tuple[str, str]]
"""Return the study's id and the person that a file names, empty where it names none."""

_PEEKED = 5
"""Files of a place whose headers are looked at to know its study while it grows."""

_UNREADABLE = "unreadable"


class Spot(Struct, frozen=True):
    """Where a place lies: an export, and a path in it that is "" for what is spread over all of it."""

    export: Path
    path: str

    @property
    def whole(self) -> Path:
        """The folder or the file."""
        return self.export / self.path


_State = tuple[int, int, int, int]
"""Size, time of content, time of change (ns), inode."""


class _File(Struct, frozen=True):
    state: _State
    place: str


def hidden_name(secret: bytes, *words: str) -> str:
    """Return what stands for words of the export: the same on this machine, and telling nothing."""
    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return hmac.new(secret, text, "sha256").hexdigest()


def study_key(secret: bytes, uid: str) -> str:
    """Return what a study with an id of its own is known by."""
    return hidden_name(secret, "study", uid)


def person_key(secret: bytes, *persons: str) -> str:
    """Return what a person is known by, empty for nobody."""
    return hidden_name(secret, "person", *persons) if any(persons) else ""


class Survey:
    """Look at the exports of a station again and again."""

    def __init__(
        self,
        settings: StationSettings,
        secret: bytes,
        clock: Callable[[], float],
        header: Header,
    ) -> None:
        self.exports = [Path(path) for path in settings.exports]
        self.seen: dict[str, Seen] = {}
        self.spots: dict[str, Spot] = {}
        self.others = 0
        self.last_duration = 0.0
        self._secret, self._clock, self._header = secret, clock, header
        self._pattern = compile_pattern(settings.study) if settings.by == "folder" else None
        self._ignored = IgnoreRules(BUILT_IN_IGNORE, (), "", "")
        self._files: dict[Path, _File] = {}
        self._members: dict[str, list[Path]] = {}
        self._known: dict[str, tuple[str, str]] = {}
        self._tried: dict[str, str] = {}

    # looking

    def look(self, only: Collection[str] | None = None) -> None:
        """Look at everything, or at some known places; raise FolderAbsent where an export cannot be listed."""
        started = self._clock()
        if self._pattern is None:
            found = self._sorted_by_uid()
        elif only is None:
            found = dict(self._folders(self._pattern))
        else:
            found = {name: self.spots[name] for name in only if name in self.spots}
        prints = {name: self._print(name, spot) for name, spot in found.items()}
        self.spots |= {name: spot for name, spot in found.items() if prints[name].files}
        self._take_in(prints, started, whole=only is None or self._pattern is None)
        if only is None:
            self.last_duration = self._clock() - started

    def _take_in(self, prints: Mapping[str, Seen], started: float, *, whole: bool) -> None:
        now, before = self._clock(), self.seen
        kept = {} if whole else {n: s for n, s in before.items() if n not in prints}
        for name, fresh in prints.items():
            if not fresh.files and not fresh.problem:
                continue
            old = before.get(name)
            same = old is not None and old.print == fresh.print and not fresh.problem
            changed = old.changed_at if same and old else now
            looked = started if same else now
            study, person = self._first_words(name, fresh.print)
            kept[name] = replace(
                fresh, changed_at=changed, looked_at=looked, study=study, person=person
            )
        self.seen = kept

    def _first_words(self, name: str, print_: str) -> tuple[str, str]:
        """Return the study and the person that the first headers of a place name, as far as they do."""
        untried = self._tried.get(name) != print_
        if name not in self._known and name in self.spots and untried:
            self._tried[name] = print_
            for _, path in self.files(name)[:_PEEKED]:
                study, person = self._header(path)
                if study:
                    self._known[name] = (
                        study_key(self._secret, study),
                        person_key(self._secret, person),
                    )
                    break
        return self._known.get(name, ("", ""))

    def _print(self, name: str, spot: Spot) -> Seen:
        try:
            if self._pattern is None:
                states = [(str(p), self._files[p].state) for p in self._members[name]]
                return fingerprint([("", states)])
            if self._pattern.is_folder:
                return fingerprint(folders_below(spot.whole))
            return fingerprint([("", [(spot.whole.name, _state(spot.whole.lstat()))])])
        except OSError as error:
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            return Seen(_UNREADABLE, 0, 0, 0.0, 0.0, "" if gone else why(error))

    # which places there are

    def _folders(self, pattern: Pattern) -> Iterator[tuple[str, Spot]]:
        """Yield the folders, or lone files, that the pattern names."""
        depth = pattern.text.count("/") + 1
        for export in self.exports:
            which = _identity(export)
            for path in _below(export, "", depth, folders=pattern.is_folder):
                if pattern.readings(nfc(path)):
                    yield self._place(export, path), Spot(export, path)
            if _identity(export) != which:
                raise FolderAbsent(
                    "The export was exchanged during a look.", "It is looked at again."
                )

    def _place(self, export: Path, path: str) -> str:
        return hidden_name(self._secret, "path", str(export), path)

    def _sorted_by_uid(self) -> dict[str, Spot]:
        """Sort all files by the study that their header names; only new content is read."""
        files: dict[Path, _File] = {}
        spots: dict[str, Spot] = {}
        for export in self.exports:
            _identity(export)
            for path, info in walk(export):
                whole = export / path
                state = _state(info)
                known = self._files.get(whole)
                if known is None or known.state != state:
                    uid, _ = self._header(whole)
                    known = _File(state, hidden_name(self._secret, "uid", uid) if uid else "")
                files[whole] = known
                if known.place:
                    spots[known.place] = Spot(export, "")
        self._files = files
        members = defaultdict[str, list[Path]](list)
        for whole in sorted(files):
            members[files[whole].place].append(whole)
        self._members = dict(members)
        self.others = sum(not file.place for file in files.values())
        return spots

    def pins(self) -> tuple[str, ...]:
        """Return device and inode of each export; raise FolderAbsent where one is not there."""
        return tuple(f"{at.device}:{at.inode}" for at in map(_identity, self.exports))

    # for those who read or copy

    def hinted(self, export: int, hints: Collection[str] | None) -> set[str] | None:
        """Return the places in which paths of an export lie; None: everything must be looked at."""
        if hints is None or self._pattern is None:
            return None
        root, depth, found = self.exports[export], self._pattern.text.count("/") + 1, set[str]()
        for hint in hints:
            path = "/".join(hint.split("/")[:depth])
            if path.count("/") + 1 < depth:
                return None  # a folder of places came or went
            name = self._place(root, path)
            if name not in self.spots and not self._is_place(root / path, path):
                continue
            self.spots.setdefault(name, Spot(root, path))
            found.add(name)
        return found

    def _is_place(self, whole: Path, path: str) -> bool:
        """Tell whether a path that is new in an export is a place."""
        pattern = self._pattern
        if pattern is None or whole.is_symlink() or not pattern.readings(nfc(path)):
            return False
        return whole.is_dir() if pattern.is_folder else whole.is_file()

    def files(self, name: str) -> list[tuple[str, Path]]:
        """Return the files of a place by their path in it, but for what half-done copies leave."""
        spot = self.spots[name]
        if self._pattern is None:
            return [(self._plain_name(path), path) for path in self._members[name]]
        if self._pattern.is_folder:
            found = [(path, spot.whole / path) for path, _ in walk(spot.whole)]
        else:
            found = [(spot.whole.name, spot.whole)]
        return sorted((path, whole) for path, whole in found if not self._ignored(path))

    def _plain_name(self, path: Path) -> str:
        """Return how a file of a dump is called in a session: its folders there are anybody's."""
        return f"{hidden_name(self._secret, 'file', str(path))[:16]}.dcm"

    @property
    def lone(self) -> bool:
        """Tell whether each file is a study."""
        return self._pattern is not None and not self._pattern.is_folder


def _identity(export: Path) -> Identity:
    """Tell which folder an export is; raise FolderAbsent, without a path, where it is none."""
    try:
        return identity(export)
    except FolderAbsent as error:
        raise nameless(error, export, "The export") from None


def _state(info: os.stat_result) -> _State:
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


def fingerprint(folders: Iterable[tuple[str, list[tuple[str, _State]]]]) -> Seen:
    """Return what changes with any file in some folders, each with its names and states."""
    digest, files, size, newest = blake2b(digest_size=16), 0, 0, 0
    for folder, states in folders:
        if not states:
            continue
        states.sort()
        digest.update(repr((folder, states)).encode("utf-8", "surrogateescape"))
        files += len(states)
        for _, (length, modified, _, _) in states:
            size += length
            newest = max(newest, modified)
    return Seen(digest.hexdigest(), files, size, 0.0, 0.0, newest=newest / 1e9)


def folders_below(root: Path) -> Iterator[tuple[str, list[tuple[str, _State]]]]:
    """Yield each folder below a folder with the files in it, in a fixed order; raise OSError."""
    base = str(root)
    pending = [base]
    while pending:
        folder = pending.pop()
        states, below = list[tuple[str, _State]](), list[str]()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    try:
                        info = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # it went meanwhile, which the next look tells
                    state = (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
                    states.append((entry.name, state))
                elif entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
        below.sort(reverse=True)
        pending += below
        yield folder[len(base) :], states


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files below a folder by their path in it, in a fixed order; raise OSError."""
    pending = [""]
    while pending:
        base = pending.pop()
        with os.scandir(f"{root}/{base}") as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{base}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield f"{base}{entry.name}", entry.stat(follow_symlinks=False)


def _below(root: Path, base: str, depth: int, *, folders: bool) -> Iterator[str]:
    """Yield the folders, or files, at one depth."""
    try:
        with os.scandir(f"{root}/{base}") as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if base:
            return
        raise FolderAbsent(
            f"The export cannot be read: {why(error)}.",
            "Is its disk there? Nothing is done until it is.",
        ) from error
    for entry in listed:
        path = f"{base}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if depth > 1 and is_folder:
            yield from _below(root, f"{path}/", depth - 1, folders=folders)
        elif depth == 1 and is_folder is folders and not entry.is_symlink():
            yield path
