"""What lies in a folder, and for how long each file has been quiet.

The scan tells the truth; events only say where to look first. Three rules hold here:
an error blocks only its own subtree, and what was known there is kept; absence is believed only
after a complete listing of a folder that stayed the same one; a file is quiet by what was observed
on the monotonic clock, never by its own times.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from vipsync.disk.walk import (
    Ignored,
    Listing,
    Rules,
    Tree,
    Walk,
    absent,
    asked_for,
    holds,
    printable,
    renewed_tree,
    under,
    why,
)
from vipsync.errors import FolderAbsent
from vipsync.model import FileState, RelPath

ChangedPaths = frozenset[str] | None
"""Paths below the root, as on disk, to look at with all that lies in them. None: everything."""

HEALTHY_INTERVAL = 300.0
"""Seconds between full scans while events arrive."""

_NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "gfs2", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2",
        "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs", "vmhgfs",
    }
)  # fmt: skip


def scan_interval(last_scan: float, *, healthy: bool) -> float:
    """Return the seconds to the next full scan, from the seconds that the last one took."""
    return HEALTHY_INTERVAL if healthy else max(10.0, 20 * last_scan)


class Identity(NamedTuple):
    """Which folder this is, within one process: both change at each mount of a network disk."""

    device: int
    inode: int


def identity(folder: Path) -> Identity:
    """Tell which folder lies at this path now. Raise FolderAbsent when none does."""
    try:
        found = folder.stat()
    except OSError as error:
        raise absent(folder, why(error)) from error
    if not stat.S_ISDIR(found.st_mode):
        raise absent(folder, "it is not a folder")
    return Identity(found.st_dev, found.st_ino)


def same_folder(folder: Path, before: Identity) -> bool:
    """Tell whether the folder at this path is the one of a moment ago."""
    try:
        return identity(folder) == before
    except FolderAbsent:
        return False


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Tell whether other hosts may write here without an event. False where that cannot be known."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # macOS has no such file, and Python no call that names the file system
        return False
    real = os.path.realpath(path)
    found = [(point, kind) for point, kind in map(_mount, lines) if holds(point, real)]
    longest = max((len(point) for point, _ in found), default=0)
    kinds = [kind for point, kind in found if len(point) == longest]
    return bool(kinds) and (kinds[-1] in _NETWORK or kinds[-1].startswith("fuse."))


def _mount(line: str) -> tuple[str, str]:
    """Read the mount point and the type from a line of mountinfo (man 5 proc)."""
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4])
    return point, after.split(" ")[0]


class Quiet(NamedTuple):
    """Clock times of a file that changed lately: after its last difference, before its last reading."""

    changed_at: float
    read_at: float


class Scan(Struct, frozen=True):
    """What a look found; the mappings are never changed afterwards.

    `hidden` are ignored files that were asked for all the same. `unreadable` says why for files and
    folders; what was known below them is kept in `files`. `vanished` are the files that went lately,
    with the clock time at which that was seen. `next_due` is the clock time at which a look can find
    another file quiet, `longest` the most seconds that `settled` can be asked for.
    """

    files: Mapping[RelPath, FileState]
    hidden: Mapping[RelPath, FileState]
    unreadable: Mapping[str, str]
    moving: Mapping[RelPath, Quiet]
    vanished: Mapping[RelPath, float]
    disk: Mapping[RelPath, str]
    identity: Identity
    longest: float
    next_due: float | None

    def disk_path(self, path: RelPath) -> str:
        """Return the path as the disk spells it, which need not be NFC."""
        return self.disk.get(path, path)

    def stale(self, path: RelPath) -> bool:
        """Tell whether the file could not be looked at, so that its state is an earlier one."""
        return bool(self.unreadable) and under(path, self.unreadable)

    def quiet(self, path: RelPath) -> float:
        """Return for how many seconds the file has been seen unchanged."""
        times = self.moving.get(path)
        return times.read_at - times.changed_at if times else math.inf

    def settled(self, path: RelPath, seconds: float) -> bool:
        """Tell whether the file is there and was seen unchanged for so long."""
        self._require_counted(seconds)
        here = path in self.files or path in self.hidden
        times = self.moving.get(path)
        quiet = times is None or times.changed_at + seconds <= times.read_at
        return here and quiet and not self.stale(path)

    def unsettled(self, seconds: float) -> dict[RelPath, float]:
        """Return the files that were not seen unchanged for so long, each with when it may be."""
        self._require_counted(seconds)
        quiet = {t for t in set(self.moving.values()) if t.changed_at + seconds <= t.read_at}
        moving = self.moving.items()
        found = {path: t.changed_at + seconds for path, t in moving if t not in quiet}
        if self.unreadable:
            found |= {p: t.changed_at + seconds for p, t in moving if under(p, self.unreadable)}
        return found

    def _require_counted(self, seconds: float) -> None:
        if seconds > self.longest:
            raise ValueError(f"{seconds} s is longer than this scanner keeps count of")


class Scanner:
    """Look at one folder again and again, and remember what was last seen.

    `known` are states that were settled when they were recorded: a file still equal to its own is
    quiet at once. `always` are paths, with `*` and `{name}` for any text within a part, that are
    seen although they are ignored; `noted` is a regular expression of names that are, too. `quiet_times` are the seconds that will be asked of
    `Scan.settled`. `anywhere`: links are followed out of the folder, too. When any of these changes,
    make another scanner.
    """

    def __init__(
        self,
        root: Path,
        ignored: Ignored,
        *,
        always: Collection[str] = (),
        noted: str = "",
        known: Mapping[RelPath, FileState] | None = None,
        quiet_times: Collection[float] = (5.0, 60.0),
        clock: Callable[[], float] = time.monotonic,
        listing: Listing = os.scandir,
        anywhere: bool = False,
    ) -> None:
        self.last_duration = 0.0
        self._root = root
        self._rules = Rules(ignored, *asked_for(always, noted))
        self._quiet_times = sorted(quiet_times)
        self._clock = clock
        self._listing = listing
        self._anywhere = anywhere
        self._tree = self._rules.tree_of(known or {})
        self._moving: dict[RelPath, Quiet] = {}
        self._vanished: dict[RelPath, float] = {}

    def overlooks(self, path: str) -> bool:
        """Tell whether a look would leave this path out; a folder's path ends in `/`."""
        return self._rules.overlooks(path)

    def look(self, hints: ChangedPaths = None) -> Scan:
        """Look at the hints and at what may have become quiet; the first look is at everything.

        Raise FolderAbsent when the root is missing or unreadable, or was replaced meanwhile.
        """
        started = self._clock()
        which = identity(self._root)
        scope = self._scope(hints, started)
        walk = Walk(self._root, self._rules, self._tree, self._listing, anywhere=self._anywhere)
        walk.run(scope)
        if not same_folder(self._root, which):
            raise absent(self._root, "another folder took its place during the scan")
        ended = self._clock()
        before = self._tree
        self._tree = renewed_tree(before, walk.found, scope)
        self._vanished = self._still_missed(before, ended)
        self._moving = self._still_moving(walk, started, ended)
        if scope is None:
            self.last_duration = ended - started
        return self._seen(which)

    def _scope(self, hints: ChangedPaths, now: float) -> frozenset[str] | None:
        if hints is None or "" not in self._tree.folders:
            return None
        scope = frozenset(self._tree.nearest(hint) for hint in hints | self._due(now))
        return None if "" in scope else scope

    def _due(self, now: float) -> set[str]:
        """Return the files, as on disk, that this look can find quiet."""
        ripe = {times for times in set(self._moving.values()) if self._next_due(times) <= now}
        disk = self._tree.disk
        return {disk.get(path, path) for path, times in self._moving.items() if times in ripe}

    def _next_due(self, times: Quiet) -> float:
        """Return the clock time at which a reading is worth more than the last; inf: never."""
        marks = (times.changed_at + seconds for seconds in self._quiet_times)
        return next((mark for mark in marks if mark > times.read_at), math.inf)

    def _still_moving(self, walk: Walk, started: float, ended: float) -> dict[RelPath, Quiet]:
        """Restart the clock of what changed; drop what is gone or has been quiet for long enough.

        A difference counts from the end of a look and a reading from its start, so that a slow
        scan never makes a file look quiet for longer than it was.
        """
        read = {old: Quiet(old.changed_at, started) for old in set(self._moving.values())}
        open_ended = {new for new in read.values() if self._next_due(new) < math.inf}
        seen, hidden, files, asked = (
            walk.found.files, walk.found.hidden, self._tree.files, self._tree.hidden,
        )  # fmt: skip
        moving = {}
        for path, old in self._moving.items():
            new = read[old] if path in seen or path in hidden else old
            if (path in files or path in asked) and (new is old or new in open_ended):
                moving[path] = new
        moving.update(dict.fromkeys(walk.changed, Quiet(ended, ended)))
        return moving

    def _still_missed(self, before: Tree, now: float) -> dict[RelPath, float]:
        """Add what has gone since the last look; forget what came back, or went long ago.

        What the first look misses went while nobody looked.
        """
        files, longest = self._tree.files, self._quiet_times[-1]
        same = files is before.files or not before.folders
        gone = {} if same else dict.fromkeys(before.files.keys() - files.keys(), now)
        kept = {p: at for p, at in self._vanished.items() if p not in files and now < at + longest}
        return kept | gone

    def _seen(self, which: Identity) -> Scan:
        tree, moving = self._tree, self._moving
        blocked = tree.unreadable
        waiting = {moving[path] for path in moving if not (blocked and under(path, blocked))}
        missed = (at + self._quiet_times[-1] for at in self._vanished.values())
        next_due = min((*map(self._next_due, waiting), *missed), default=math.inf)
        return Scan(
            files=tree.files,
            hidden=tree.hidden,
            unreadable={printable(path): reason for path, reason in blocked.items()},
            moving=moving,
            vanished=self._vanished,
            disk=tree.disk,
            identity=which,
            longest=self._quiet_times[-1],
            next_due=next_due if next_due < math.inf else None,
        )
