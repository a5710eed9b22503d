"""What was seen, and when it counts as quiet: real files, a clock that is handed in."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.disk.scan import (
    Scanner,
    identity,
    network_file_system,
    same_folder,
    scan_interval,
)
from vipsync.errors import FolderAbsent
from vipsync.model import FileState, RelPath

RULES = IgnoreRules(BUILT_IN_IGNORE, [], "")
SETTLE = 5.0


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.1

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.fixture
def scanner(root: Path, clock: Clock) -> Scanner:
    return Scanner(root, RULES, clock=clock, quiet_times=(SETTLE, 60.0))


def write(path: Path, text: str = "data") -> RelPath:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return RelPath(path.name)


def hints(*paths: str) -> frozenset[str]:
    return frozenset(paths)


def test_first_sight(scanner: Scanner, root: Path, clock: Clock) -> None:
    """A file is quiet once a reading that long after its first sight equals it, not before."""
    name = write(root / "a.mrui")
    assert not scanner.look().settled(name, SETTLE)
    clock.wait(SETTLE - 0.01)
    assert not scanner.look().settled(name, SETTLE)
    clock.wait(0.01)
    assert scanner.look().settled(name, SETTLE)


def test_old_times_count_for_nothing(scanner: Scanner, root: Path, clock: Clock) -> None:
    """A copy that keeps an old mtime (cp -p, tar, rsync) waits like any other file."""
    name = write(root / "old.dcm")
    os.utime(root / name, (0, 0))
    assert not scanner.look().settled(name, SETTLE)
    clock.wait(SETTLE)
    assert scanner.look().settled(name, SETTLE)


def test_slow_append(scanner: Scanner, root: Path, clock: Clock) -> None:
    """Each difference restarts the clock, for as long as a writer goes on."""
    name = write(root / "raw.dat")
    for _ in range(5):
        scanner.look()
        clock.wait(SETTLE - 1)
        with (root / name).open("a") as file:
            file.write("more")
        assert not scanner.look().settled(name, SETTLE)
    clock.wait(SETTLE)
    assert scanner.look().settled(name, SETTLE)


def test_preallocated(scanner: Scanner, root: Path, clock: Clock) -> None:
    """A file that has its final size from the start is not quiet while its data arrive."""
    name = RelPath("big.dat")
    with (root / name).open("wb") as file:
        file.truncate(1000)
        scanner.look()
        clock.wait(SETTLE)
        file.write(b"x" * 500)
        file.flush()
        os.utime(file.fileno(), ns=(1, 1))
        assert not scanner.look().settled(name, SETTLE)
    assert scanner.look().files[name].size == 1000


def test_same_bytes_and_times_in_another_file(
    scanner: Scanner, root: Path, clock: Clock, tmp_path: Path
) -> None:
    """A file renamed over another of equal size and mtime is a difference: its inode is another."""
    name = write(root / "a.mrui", "one")
    other = tmp_path / "other"
    write(other, "two")
    for path in (root / name, other):
        os.utime(path, ns=(5, 5))
    scanner.look()
    clock.wait(SETTLE)
    other.rename(root / name)
    assert not scanner.look().settled(name, SETTLE)


def test_no_reading_no_quiet(scanner: Scanner, root: Path, clock: Clock) -> None:
    """Time alone does not make a file quiet: it counts up to the last reading of that file."""
    one, two = write(root / "one"), write(root / "two")
    scanner.look()
    clock.wait(SETTLE - 1)
    seen = scanner.look(hints(one))
    assert (seen.quiet(one), seen.quiet(two)) == (SETTLE - 1, 0)


def test_due_files_are_read_without_a_hint(scanner: Scanner, root: Path, clock: Clock) -> None:
    """A look at nothing still reads the files that can be quiet now, and `next_due` says when."""
    name = write(root / "Étude" / "a.mrui")
    path = RelPath(f"Étude/{name}")
    seen = scanner.look()
    assert seen.next_due == clock.now + SETTLE
    clock.wait(SETTLE)
    seen = scanner.look(hints())
    assert seen.settled(path, SETTLE)
    assert not seen.settled(path, 60.0)
    clock.wait(55)
    seen = scanner.look(hints())
    assert seen.settled(path, 60.0)
    assert seen.next_due is None
    assert not seen.moving


def test_slow_scan_counts_against_quiet(root: Path) -> None:
    """A difference counts from the end of a look, a reading from its start."""
    name = write(root / "a")
    times = iter([0.0, 100.0, 102.0, 200.0])
    scanner = Scanner(root, RULES, clock=lambda: next(times), quiet_times=(SETTLE,))
    scanner.look()
    assert scanner.look().quiet(name) == 2.0
    assert scanner.last_duration == 98.0


def test_longer_than_counted(scanner: Scanner, root: Path) -> None:
    """Asking for more seconds than the scanner counts is refused, never answered with yes."""
    name = write(root / "a")
    with pytest.raises(ValueError, match="longer"):
        scanner.look().settled(name, 61.0)


def test_known_files_are_quiet_at_once(scanner: Scanner, root: Path, clock: Clock) -> None:
    """A file equal to its recorded state is quiet at the first look; a changed one is not."""
    same, changed = write(root / "same"), write(root / "changed")
    known = dict(scanner.look().files)
    write(root / "changed", "other data")
    seen = Scanner(root, RULES, clock=clock, known=known).look()
    assert seen.settled(same, SETTLE)
    assert seen.quiet(same) == math.inf
    assert not seen.settled(changed, SETTLE)


def test_known_files_obey_new_rules(root: Path) -> None:
    """A recorded file that is ignored by now is left out."""
    write(root / "a.log")
    known = {RelPath("a.log"): FileState(4, 1, 1, 1)}
    assert Scanner(root, IgnoreRules([], ["*.log"], ""), known=known).look().files == {}


def test_a_file_that_came_back(scanner: Scanner, root: Path, clock: Clock) -> None:
    """A file that was away starts again, and one that is gone is settled for nobody."""
    name = write(root / "a")
    scanner.look()
    clock.wait(100)
    assert scanner.look().settled(name, 60.0)
    (root / name).rename(root / ".away")
    assert not scanner.look(hints(name)).settled(name, SETTLE)
    (root / ".away").rename(root / name)
    assert not scanner.look(hints(name, ".away")).settled(name, SETTLE)


def test_hard_link_is_seen(scanner: Scanner, root: Path, tmp_path: Path) -> None:
    """A file that is linked into the folder, complete at once, is seen and waits too."""
    write(tmp_path / "source")
    scanner.look()
    os.link(tmp_path / "source", root / "linked")
    seen = scanner.look(hints("linked"))
    assert seen.files[RelPath("linked")].size == 4
    assert not seen.settled(RelPath("linked"), SETTLE)


def test_folder_moved_in(scanner: Scanner, root: Path, tmp_path: Path) -> None:
    """The hint of a new folder finds all that lies in it."""
    scanner.look()
    write(tmp_path / "study" / "scans" / "1" / "fid")
    (tmp_path / "study").rename(root / "study")
    assert set(scanner.look(hints("study")).files) == {"study/scans/1/fid"}


def test_hint_below_a_folder_that_is_not_known(scanner: Scanner, root: Path) -> None:
    """A hint deep in a new folder is widened to that folder."""
    scanner.look()
    write(root / "new" / "deep" / "a")
    write(root / "new" / "b")
    assert set(scanner.look(hints("new/deep/a")).files) == {"new/deep/a", "new/b"}


def test_hint_of_what_is_gone(scanner: Scanner, root: Path) -> None:
    """A hint of a removed folder removes what lay in it, and nothing with a similar name."""
    for path in ("a/1", "a/b/2", "ab/3", "a.txt"):
        write(root / path)
    scanner.look()
    shutil.rmtree(root / "a")
    assert set(scanner.look(hints("a")).files) == {"ab/3", "a.txt"}


def test_file_and_folder_change_places(scanner: Scanner, root: Path) -> None:
    """A folder where a file was, and the other way round, leaves nothing behind."""
    write(root / "file")
    write(root / "folder" / "inner")
    scanner.look()
    (root / "file").unlink()
    shutil.rmtree(root / "folder")
    write(root / "file" / "inner")
    write(root / "folder")
    assert set(scanner.look(hints("file", "folder")).files) == {"file/inner", "folder"}


def test_hints_agree_with_a_full_scan(scanner: Scanner, root: Path, clock: Clock) -> None:
    """5,000 new files, found by the hints of their folders, are those that a full scan finds."""
    scanner.look()
    for number in range(50):
        folder = root / f"sub-{number:02}"
        folder.mkdir()
        for item in range(100):
            os.close(os.open(folder / f"{item}.dcm", os.O_CREAT | os.O_WRONLY))
    seen = scanner.look(frozenset(f"sub-{number:02}" for number in range(50)))
    assert len(seen.files) == 5000
    assert seen.files == Scanner(root, RULES, clock=clock).look().files


def test_seen_stays_as_it_was(scanner: Scanner, root: Path) -> None:
    """What a look returned is not changed by a later look."""
    write(root / "a")
    first = scanner.look()
    write(root / "b")
    scanner.look(hints("b"))
    assert set(first.files) == {"a"}


def test_absent_root(scanner: Scanner, root: Path) -> None:
    """A missing root halts; when it is back, what was known is still known."""
    name = write(root / "a")
    scanner.look()
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(FolderAbsent, match="is its disk mounted"):
        scanner.look()
    root.write_text("a file where the folder was")
    with pytest.raises(FolderAbsent, match="not a folder"):
        scanner.look(hints(name))
    root.unlink()
    root.with_name("elsewhere").rename(root)
    assert name in scanner.look(hints()).files


def test_root_replaced_during_the_scan(root: Path, clock: Clock) -> None:
    """A folder that is replaced while it is scanned halts, and is not taken for an emptied one."""
    write(root / "a")
    calls = 0

    def listing(path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        nonlocal calls
        calls += 1
        if calls == 2:
            root.rename(root.with_name("elsewhere"))
            root.mkdir()
        return os.scandir(path)

    scanner = Scanner(root, RULES, clock=clock, listing=listing)
    scanner.look()
    with pytest.raises(FolderAbsent, match="another folder"):
        scanner.look()


def test_identity(root: Path) -> None:
    """A folder is the same one after a change in it, not after it was replaced or removed."""
    before = identity(root)
    write(root / "a")
    assert same_folder(root, before)
    root.rename(root.with_name("elsewhere"))
    assert not same_folder(root, before)
    root.mkdir()
    assert not same_folder(root, before)


def test_scan_interval() -> None:
    """Without events the interval is 10 s, or 20 times the last scan; with them five minutes."""
    assert scan_interval(0.1, healthy=False) == 10
    assert scan_interval(2.0, healthy=False) == 40
    assert scan_interval(2.0, healthy=True) == 300


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/home/me", False),
        ("/data/nas/study", True),
        ("/data/nas2", False),
        ("/mnt/my disk/x", True),
        ("/mnt/usb", False),
        ("/mnt/over", False),
    ],
)
def test_network_file_system(tmp_path: Path, path: str, network: bool) -> None:
    """The longest mount point that holds the path decides, the last one where two are equal."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "30 27 0:40 / /data/nas rw shared:1 - nfs4 server:/x rw\n"
        r"31 27 0:41 / /mnt/my\040disk rw - fuse.sshfs me@host:/ rw" + "\n"
        "32 27 8:1 / /mnt/usb rw - fuseblk /dev/sdb1 rw\n"
        "33 27 0:42 / /mnt/over rw - cifs //server/x rw\n"
        "34 33 8:2 / /mnt/over rw - ext4 /dev/sdb2 rw\n"
    )
    assert network_file_system(Path(path), mounts) is network


def test_no_mount_table(tmp_path: Path) -> None:
    """Where the system has no table of mounts, a disk counts as local."""
    assert not network_file_system(tmp_path, tmp_path / "none")
