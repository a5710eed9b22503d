"""Events wake, with real files and real inotify; waiting is on conditions, never on time."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from tests.lab.served import wait_until
from vipsync.client.vip_client import VipClient
from vipsync.disk.scan import Scanner
from vipsync.disk.walk import Ignored
from vipsync.disk.watch import (
    BURST,
    InotifySource,
    InotifyTree,
    ObserverSource,
    Tell,
    Tree,
    Watcher,
)
from vipsync.errors import KeyMissing
from vipsync.local import ManualClock
from vipsync.run.loop import Loop
from vipsync.run.reconciler import Reconciler
from vipsync.run.timing import Timing
from vipsync.run.watching import AGAIN

if sys.platform != "linux":
    pytest.skip("inotify is Linux's", allow_module_level=True)

from watchdog.observers.inotify_c import CallbackId, InotifyFD, Mask, WatchCallback, WatchDescriptor

TIMEOUT = 10.0


class Woken:
    """A watcher, and what it has told so far."""

    def __init__(self, watcher_of: Callable[[Callable[[], None]], Watcher] = Watcher) -> None:
        self.event = threading.Event()
        self.watcher = watcher_of(self.event.set)
        self.told: dict[Hashable, set[str]] = {}
        self.lost: set[Hashable] = set()

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Collect what is told until the condition holds."""
        deadline = time.monotonic() + TIMEOUT
        while not done():
            assert self.event.wait(deadline - time.monotonic()), f"only {self.told} {self.lost}"
            self.event.clear()
            self.collect()

    def collect(self) -> None:
        for key, hints in self.watcher.take().items():
            if hints is None:
                self.lost.add(key)
            else:
                self.told.setdefault(key, set()).update(hints)

    def wait_path(self, *paths: str, key: Hashable = "in") -> None:
        self.wait_for(lambda: set(paths) <= self.told.get(key, set()))


@pytest.fixture
def woken() -> Iterator[Woken]:
    woken = Woken()
    yield woken
    woken.watcher.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


def test_new_file(woken: Woken, root: Path) -> None:
    """A written file is told, as a path below the folder."""
    woken.watcher.watch("in", root)
    (root / "a.mrui").write_text("data")
    woken.wait_path("a.mrui")
    assert woken.watcher.healthy("in")
    assert woken.told == {"in": {"a.mrui"}}


@pytest.mark.parametrize("change", ["rename", "link", "remove", "chmod", "move in", "append"])
def test_kinds_of_change(woken: Woken, root: Path, tmp_path: Path, change: str) -> None:
    """Whatever changes a file tells its path."""
    (root / "old").write_text("data")
    (tmp_path / "other").write_text("data")
    woken.watcher.watch("in", root)
    match change:
        case "rename":
            (root / "old").rename(root / "new")
            woken.wait_path("old", "new")
        case "link":
            (root / "new").hardlink_to(tmp_path / "other")
            woken.wait_path("new")
        case "remove":
            (root / "old").unlink()
            woken.wait_path("old")
        case "chmod":
            (root / "old").chmod(0o600)
            woken.wait_path("old")
        case "move in":
            (tmp_path / "other").rename(root / "new")
            woken.wait_path("new")
        case _:
            with (root / "old").open("a") as file:
                file.write("more")
            woken.wait_path("old")


def test_reading_wakes_nobody(woken: Woken, root: Path) -> None:
    """Our own scans and reads of a file give no event."""
    (root / "sub").mkdir()
    (root / "sub" / "read").write_text("data")
    woken.watcher.watch("in", root)
    (root / "sub" / "read").read_bytes()
    Scanner(root, lambda _: False).look()
    (root / "marker").touch()
    woken.wait_path("marker")
    assert woken.told == {"in": {"marker"}}


def test_overlooked(woken: Woken, root: Path) -> None:
    """What the caller overlooks is neither told nor watched."""
    (root / ".vipsync").mkdir()
    hidden = {".vipsync/", "STATUS.txt", ".vipsync/old", ".vipsync/later/"}
    woken.watcher.watch("in", root, overlooked=hidden.__contains__)
    (root / ".vipsync" / "seen-only-if-watched").touch()
    (root / "STATUS.txt").touch()
    (root / "last").touch()
    woken.wait_path("last")
    assert woken.told == {"in": {"last"}}


def test_not_recursive(woken: Woken, root: Path) -> None:
    """A folder watched for its own entries alone stays silent about deeper ones."""
    (root / "sub").mkdir()
    woken.watcher.watch("in", root, recursive=False)
    (root / "sub" / "deep").touch()
    (root / "ON_VIP.txt").touch()
    woken.wait_path("ON_VIP.txt")
    assert woken.told == {"in": {"ON_VIP.txt"}}


def test_new_folder_is_followed(woken: Woken, root: Path) -> None:
    """A new folder is told, and what is written later below it too."""
    woken.watcher.watch("in", root)
    (root / "a" / "b").mkdir(parents=True)
    woken.wait_path("a")
    (root / "a" / "b" / "late").touch()
    woken.wait_for(lambda: bool(woken.told["in"] & {"a/b", "a/b/late"}))


def test_moved_folder_is_followed(woken: Woken, root: Path, tmp_path: Path) -> None:
    """A folder renamed inside is told under its new name; one that left is told no more."""
    (root / "old" / "sub").mkdir(parents=True)
    woken.watcher.watch("in", root)
    (root / "old").rename(root / "new")
    woken.wait_path("old", "new")
    (root / "new" / "sub" / "a").touch()
    woken.wait_path("new/sub/a")
    (root / "new").rename(tmp_path / "away")
    (tmp_path / "away" / "sub" / "b").touch()
    (root / "last").touch()
    woken.wait_path("last")
    assert not any(path.endswith("b") and "sub/" in path for path in woken.told["in"])


def test_removed_and_made_again(woken: Woken, root: Path) -> None:
    """A sub-folder that was removed and made again is watched again."""
    (root / "sub").mkdir()
    woken.watcher.watch("in", root)
    for number in range(3):
        shutil.rmtree(root / "sub")
        (root / "sub").mkdir()
        (root / f"mark{number}").touch()  # told after all that was done before it
        woken.wait_path("sub", f"mark{number}")
        woken.told.clear()
    (root / "sub" / "a").touch()
    woken.wait_path("sub/a")


def test_burst_is_found_whole(woken: Woken, root: Path) -> None:
    """5,000 files in 50 folders made while being watched: hints and scan find every one."""
    scanner = Scanner(root, lambda _: False)
    scanner.look()
    woken.watcher.watch("in", root)
    for number in range(50):
        (root / f"{number:02}").mkdir()
        for item in range(100):
            os.close(os.open(root / f"{number:02}" / str(item), os.O_CREAT | os.O_WRONLY))
    (root / "last").touch()
    woken.wait_for(lambda: "last" in woken.told.get("in", set()) or "in" in woken.lost)
    hints = None if woken.lost else frozenset(woken.told["in"])
    assert len(scanner.look(hints).files) == 5001


class Spoken:
    """A source, and its one tree, that tell what the test says."""

    trouble = ""

    def tree(self, root: Path, recursive: bool, overlooked: Ignored, tell: Tell) -> Tree:
        self.tell = tell
        return self

    missing = 0

    def renew(self) -> None: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...

    def alive(self) -> bool:
        return True


def test_many_hints_become_one(root: Path) -> None:
    """More paths than a scan is worth are told as "look everywhere", and then it starts anew."""
    source, wakes = Spoken(), []
    watcher = Watcher(lambda: wakes.append(1), lambda: source)
    watcher.watch("in", root)
    for number in range(BURST):
        source.tell(str(number))
    assert len(watcher.take()["in"] or ()) == BURST
    for number in range(BURST + 1):
        source.tell(str(number))
    assert watcher.take() == {"in": None}
    source.tell("a")
    assert watcher.take() == {"in": frozenset({"a"})}
    assert len(wakes) == 3


def test_dead_reader(root: Path) -> None:
    """When the thread that reads events has died, no folder is healthy."""
    source = Spoken()
    watcher = Watcher(lambda: None, lambda: source)
    watcher.watch("in", root)
    assert watcher.healthy("in")
    source.alive = lambda: False  # type: ignore[method-assign]
    assert "stopped" in watcher.trouble("in")


def test_overflow_means_look_everywhere(root: Path) -> None:
    """When the kernel's queue overflows, everything is to be looked at, and watching goes on."""
    first, release = threading.Event(), threading.Event()
    event = threading.Event()

    def wake() -> None:
        event.set()
        first.set()
        release.wait(TIMEOUT)  # the reader stands still, so that the queue fills up

    watcher = Watcher(wake)
    woken = Woken(lambda _: watcher)
    woken.event = event
    watcher.watch("in", root)
    one, two = root / "one", root / "two"
    one.touch()
    two.touch()
    assert first.wait(TIMEOUT)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit // 2 + 10):
        os.utime(one)
        os.utime(two)
    (root / "unseen").mkdir()
    release.set()
    woken.wait_for(lambda: "in" in woken.lost)
    (root / "unseen" / "a").touch()
    woken.wait_path("unseen/a")
    watcher.stop()


class Limited(InotifyFD):
    """An inotify instance with room for a few folders."""

    room = 3

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "inotify watch limit reached")
        self.room -= 1
        return super().add_callback(path, mask, callback, id_)


def test_watch_limit(root: Path) -> None:
    """At the limit the folder is unhealthy, with the line that mends it, and the rest is watched."""
    for number in range(10):
        (root / str(number)).mkdir()
    woken = Woken(lambda wake: Watcher(wake, lambda: InotifySource(Limited())))
    woken.watcher.watch("in", root)
    now = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    trouble = woken.watcher.trouble("in")
    assert not woken.watcher.healthy("in")
    assert f"{now} folders" in trouble
    assert f"{now + 8} are needed" in trouble
    assert int(trouble.rpartition("sudo sysctl -w fs.inotify.max_user_watches=")[2]) >= now + 8
    (root / "a").touch()
    woken.wait_path("a")
    woken.watcher.stop()


def test_limit_of_all_folders(root: Path) -> None:
    """What is missing is counted over all folders, and may be had when one is watched anew."""
    for number in range(3):
        (root / "one" / str(number)).mkdir(parents=True)
        (root / "two" / str(number)).mkdir(parents=True)
    fd = Limited()
    watcher = Watcher(lambda: None, lambda: InotifySource(fd))
    watcher.watch("one", root / "one")
    watcher.watch("two", root / "two")
    now = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert f"{now + 5} are needed" in watcher.limit()
    assert watcher.trouble("one") == watcher.trouble("two") == watcher.limit()
    assert watcher.mendable("one")
    fd.room = 8
    watcher.watch("one", root / "one")
    watcher.watch("two", root / "two")
    assert not watcher.limit()
    assert not watcher.mendable("one")
    watcher.stop()


@pytest.mark.parametrize("late", [False, True], ids=["lost", "late"])
def test_renewal_follows_what_was_renamed_unseen(root: Path, *, late: bool) -> None:
    """A folder is told under its name of now, and its old name is free: events lost or yet to be read."""
    (root / "old").mkdir()
    fd = InotifyFD()
    told: list[str | None] = []
    tree = InotifyTree(fd, str(root), True, lambda _: False, told.append)
    (root / "old").rename(root / "new")
    (root / "old").mkdir()
    if not late:
        fd.read_events()
    tree.stale = True
    tree.renew()
    fd.start()
    if late:
        wait_until(lambda: told == ["old", "new", "old"])
    for name in ("old", "new"):
        (root / name / "a").touch()
    wait_until(lambda: {"old/a", "new/a"} <= set(told))
    fd.stop()
    fd.join()


def test_no_instance_left(root: Path) -> None:
    """Without an inotify instance nothing fails: each folder says what mends it."""

    def refuse() -> InotifySource:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    watcher = Watcher(lambda: None, refuse)
    watcher.watch("in", root)
    assert "sysctl -w fs.inotify.max_user_instances=" in watcher.trouble("in")
    watcher.stop()


def test_folder_that_goes_away(woken: Woken, root: Path) -> None:
    """A folder that is moved or missing is unhealthy until it is watched anew."""
    woken.watcher.watch("in", root)
    root.rename(root.with_name("away"))
    woken.wait_for(lambda: "in" in woken.lost)
    assert "gone" in woken.watcher.trouble("in")
    woken.watcher.watch("in", root)
    assert not woken.watcher.healthy("in")
    root.mkdir()
    woken.watcher.watch("in", root)
    assert woken.watcher.healthy("in")
    (root / "a").touch()
    woken.wait_path("a")
    shutil.rmtree(root)
    woken.wait_for(lambda: not woken.watcher.healthy("in"))


def test_network(root: Path) -> None:
    """A folder on a network file system is watched, but its events are not relied on."""
    woken = Woken(lambda wake: Watcher(wake, network=lambda _: True))
    woken.watcher.watch("in", root)
    assert "network" in woken.watcher.trouble("in")
    (root / "a").touch()
    woken.wait_path("a")
    woken.watcher.stop()


def test_two_names_for_one_folder(woken: Woken, root: Path) -> None:
    """Two sessions that read the same folder are both told, and one may leave."""
    woken.watcher.watch("one", root)
    woken.watcher.watch("two", root)
    (root / "a").touch()
    woken.wait_path("a", key="one")
    woken.wait_path("a", key="two")
    woken.watcher.unwatch("one")
    woken.told.clear()
    (root / "b").touch()
    woken.wait_path("b", key="two")
    assert "one" not in woken.told
    assert not woken.watcher.healthy("one")


def test_stopped(root: Path) -> None:
    """After stop no thread is left, and no folder is healthy."""
    before = set(threading.enumerate())
    watcher = Watcher(lambda: None)
    watcher.watch("in", root)
    assert len(set(threading.enumerate()) - before) == 1
    watcher.stop()
    assert set(threading.enumerate()) <= before
    assert not watcher.healthy("in")


def test_many_folders(woken: Woken, tmp_path: Path) -> None:
    """200 folders of 50 sub-folders are watched by one thread, each under its own name."""
    for number in range(200):
        for item in range(50):
            (tmp_path / str(number) / str(item)).mkdir(parents=True)
        woken.watcher.watch(number, tmp_path / str(number))
    assert all(map(woken.watcher.healthy, range(200)))
    (tmp_path / "199" / "49" / "a").touch()
    woken.wait_path("49/a", key=199)
    assert set(woken.told) == {199}


def test_other_systems(root: Path) -> None:
    """Watchdog's observer, used where there is no inotify, tells the same paths."""
    (root / "sub").mkdir()
    woken = Woken(lambda wake: Watcher(wake, ObserverSource))
    woken.watcher.watch("in", root, overlooked=".hidden".__eq__)
    (root / ".hidden").touch()
    (root / "sub" / "a").write_text("data")
    woken.wait_path("sub/a")
    assert woken.told == {"in": {"sub/a"}}
    assert woken.watcher.healthy("in")
    woken.watcher.watch("none", root / "none")
    assert "cannot be watched" in woken.watcher.trouble("none")
    woken.watcher.stop()
    assert not woken.watcher.healthy("in")


def no_key(*_: object) -> tuple[VipClient, str]:
    """Keep a loop from VIP."""
    raise KeyMissing("There is none.")


@pytest.fixture
def loop(tmp_path: Path, clock: ManualClock) -> Iterator[Loop]:
    """Give a loop that watches one folder, on a clock of its own."""
    (tmp_path / "inputs").mkdir()
    (tmp_path / "settings.toml").touch()
    loop = Loop([tmp_path], no_key, environ={}, timing=Timing(clock.now, clock.now))
    yield loop
    loop.close()


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that the test moves."""
    return ManualClock()


def test_a_loop_watches_again_what_was_gone(loop: Loop, clock: ManualClock, tmp_path: Path) -> None:
    """A folder that went and came back is relied on again after a while."""
    loop.turn()
    clock.sleep(AGAIN)
    (tmp_path / "outputs").rename(tmp_path / "away")
    (tmp_path / "away").rename(tmp_path / "outputs")
    wait_until(lambda: not loop.healthy(tmp_path))
    loop.turn()
    clock.sleep(AGAIN)
    loop.turn()
    assert loop.healthy(tmp_path)


def test_a_file_in_the_place_of_outputs_does_not_end_the_loop(
    loop: Loop, clock: ManualClock, tmp_path: Path
) -> None:
    """Its folder is looked at by the clock; once the file is gone, events are relied on again."""
    loop.turn()
    (tmp_path / "outputs").rmdir()
    (tmp_path / "outputs").write_text("in the way")
    wait_until(lambda: not loop.healthy(tmp_path))
    clock.sleep(AGAIN)
    loop.turn()
    assert not loop.healthy(tmp_path)
    (tmp_path / "outputs").unlink()
    clock.sleep(AGAIN)
    loop.turn()
    assert loop.healthy(tmp_path)


@pytest.mark.parametrize("name", [".vipsyncignore", ".vipsyncignore.txt", ".VipSyncIgnore"])
def test_ignore_patterns_that_are_saved_ask_for_a_look(
    tmp_path: Path, clock: ManualClock, name: str
) -> None:
    """Other names with a dot are what vipsync, or the system, writes for itself."""
    looks: list[Reconciler] = []
    (tmp_path / "inputs").mkdir()
    (tmp_path / "settings.toml").touch()
    timing = Timing(clock.now, clock.now)
    loop = Loop([tmp_path], no_key, environ={}, timing=timing, publish=looks.append)
    loop.turn()
    clock.sleep(1)  # the first look at a folder asks for one more
    loop.turn()
    looks.clear()
    (tmp_path / name).write_text("*.log\n")

    def looked() -> bool:
        loop.turn()
        return bool(looks)

    wait_until(looked)
    loop.close()
