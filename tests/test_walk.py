"""One pass over a folder: names, links, ignored and unreadable things; seen through a scanner."""

from __future__ import annotations

import errno
import os
import socket
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.disk.scan import Scan, Scanner
from vipsync.disk.walk import CYCLE
from vipsync.model import RelPath

NFD = unicodedata.normalize("NFD", "é")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


def scanner_of(root: Path, *, always: Collection[str] = ()) -> Scanner:
    return Scanner(root, IgnoreRules(BUILT_IN_IGNORE, [], ""), always=always)


def look(root: Path, *, always: Collection[str] = ()) -> Scan:
    return scanner_of(root, always=always).look()


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("data")


class Broken:
    """List folders, but fail for those in `bad`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bad: set[str] = set()
        self.listed: list[str] = []

    def __call__(self, path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        below = os.path.relpath(path, self.root)
        self.listed.append(below)
        if below in self.bad:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return os.scandir(path)


def test_unreadable_folder_keeps_what_was_known(root: Path) -> None:
    """An unreadable folder blocks its subtree alone: its files stay known, and are not settled."""
    write(root / "a" / "b" / "1")
    write(root / "c" / "2")
    listing, now = Broken(root), [0.0]
    scanner = Scanner(root, lambda _: False, clock=lambda: now[0], listing=listing)
    scanner.look()
    listing.bad, now[0] = {"a"}, 100.0
    (root / "c" / "2").unlink()
    seen = scanner.look()
    path = RelPath("a/b/1")
    assert set(seen.files) == {path}
    assert seen.unreadable == {"a": "Permission denied"}
    assert seen.stale(path)
    assert not seen.settled(path, 5.0)
    assert seen.next_due == 160.0  # for the folder of c/2, which went
    listing.bad = set()
    seen = scanner.look(frozenset({"a/b"}))
    assert not seen.unreadable
    assert seen.settled(path, 5.0)


def test_ignored_folders_are_not_entered(root: Path) -> None:
    """An ignored folder costs nothing: it is not listed."""
    write(root / ".cache" / "deep" / "a")
    write(root / "kept")
    listing = Broken(root)
    rules = IgnoreRules(BUILT_IN_IGNORE, [], "")
    assert set(Scanner(root, rules, listing=listing).look().files) == {"kept"}
    assert listing.listed == ["."]


def test_temporary_name_then_final(root: Path) -> None:
    """A file under a temporary name is not seen; its final rename is."""
    scanner = scanner_of(root)
    write(root / "a.nii.part")
    assert not scanner.look().files
    (root / "a.nii.part").rename(root / "a.nii")
    assert set(scanner.look(frozenset({"a.nii.part", "a.nii"})).files) == {"a.nii"}


def test_always_seen(root: Path) -> None:
    """An ignored file that a setting names is seen, apart from the others, on every look."""
    for path in ("s1/.done", "s1/.other", "s1/x/.done", ".private/T1.nii", ".private/no", "a"):
        write(root / path)
    scanner = scanner_of(root, always=["{subject}/.done", ".private/t1.nii"])
    for hints in (None, None, frozenset({".private", "s1/.done", ".private/no"})):
        seen = scanner.look(hints)
        assert set(seen.hidden) == {"s1/.done", ".private/T1.nii"}
        assert set(seen.files) == {"a"}
    assert scanner.overlooks("s1/.other")
    assert scanner.overlooks(".cache/")
    assert not scanner.overlooks("s1/.done")
    assert not scanner.overlooks(".private/")


def test_hidden_file_settles_too(root: Path) -> None:
    """An ignored file that a setting names waits until it is quiet, like any other."""
    write(root / ".basis")
    now = [0.0]
    rules = IgnoreRules(BUILT_IN_IGNORE, [], "")
    scanner = Scanner(root, rules, always=[".basis"], clock=lambda: now[0])
    assert not scanner.look().settled(RelPath(".basis"), 5.0)
    now[0] = 5.0
    assert scanner.look(frozenset()).settled(RelPath(".basis"), 5.0)


def test_links_inside(root: Path) -> None:
    """A link to a file or a folder inside the root is followed, under its own name."""
    write(root / "real" / "a")
    (root / "file").symlink_to(root / "real" / "a")
    (root / "folder").symlink_to("real")
    assert set(look(root).files) == {"real/a", "file", "folder/a"}


def test_links_out(root: Path, tmp_path: Path) -> None:
    """A link that leads out of the folder is not followed, and is named."""
    write(tmp_path / "secret" / "a")
    (root / "file").symlink_to(tmp_path / "secret" / "a")
    (root / "folder").symlink_to(tmp_path / "secret")
    (root / "near").symlink_to("../inputs-other")
    write(tmp_path / "inputs-other")
    seen = look(root)
    assert not seen.files
    assert set(seen.unreadable) == {"file", "folder", "near"}
    assert all("leads out" in reason for reason in seen.unreadable.values())


def test_link_loops(root: Path) -> None:
    """Links that lead back, directly or by a detour, end; the real files are seen."""
    write(root / "a" / "1")
    write(root / "b" / "2")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "b").symlink_to(root / "b")
    (root / "b" / "a").symlink_to(root / "a")
    (root / "self").symlink_to("self")
    seen = look(root)
    assert set(seen.files) == {"a/1", "b/2", "a/b/2", "b/a/1"}
    assert set(seen.unreadable) == {"a/up", "a/b/a", "b/a/b", "b/a/up", "self"}


def test_links_are_followed_anywhere_on_demand(root: Path, tmp_path: Path) -> None:
    """Files and folders outside are seen under the names of the links, as often as links lead there."""
    write(tmp_path / "store" / "deep" / "a")
    write(tmp_path / "single")
    (tmp_path / "store" / "onward").symlink_to(tmp_path / "single")
    (root / "file").symlink_to("../single")
    (root / "one").symlink_to(tmp_path / "store")
    (root / "two").symlink_to(root / "one")
    (root / "lost").symlink_to(tmp_path / "nowhere")
    (root / "self").symlink_to("self")
    scanner = Scanner(root, lambda _: False, anywhere=True)
    for hints in (None, frozenset({"one", "two/deep/a"}), None):
        seen = scanner.look(hints)
        below = {f"{top}/{name}" for top in ("one", "two") for name in ("deep/a", "onward")}
        assert set(seen.files) == {"file", *below}
        assert set(seen.unreadable) == {"lost", "self"}


def test_no_folder_is_entered_within_itself(root: Path, tmp_path: Path) -> None:
    """Whichever way leads back, directly, by a detour or by what lies outside; each end is named."""
    write(root / "a" / "1")
    write(root / "b" / "2")
    write(tmp_path / "store" / "3")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "b").symlink_to(root / "b")
    (root / "b" / "a").symlink_to(root / "a")
    (root / "store").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(root / "b")
    (tmp_path / "store" / "above").symlink_to(tmp_path)
    seen = Scanner(root, lambda _: False, anywhere=True).look()
    assert {"a/1", "b/2", "a/b/2", "b/a/1", "store/3", "store/back/2"} <= set(seen.files)
    assert "store/above/inputs" in seen.unreadable
    assert "store/above/store" in seen.unreadable
    assert {"a/up", "b/a/up", "a/b/a", "b/a/b"} <= set(seen.unreadable)
    assert set(seen.unreadable.values()) == {CYCLE}
    assert len(seen.files) < 20


def test_dangling_link(root: Path) -> None:
    """A link to nothing is named; an ignored one (an editor's lock) is not."""
    (root / "lost").symlink_to("nowhere")
    (root / ".#lock").symlink_to("me@host:123")
    assert list(look(root).unreadable) == ["lost"]


def test_linked_root(root: Path) -> None:
    """The folder itself may be a link: what it leads to is inside."""
    write(root / "a")
    (root / "b").symlink_to("a")
    link = root.with_name("link")
    link.symlink_to(root)
    assert set(look(link).files) == {"a", "b"}


def test_only_regular_files(root: Path) -> None:
    """A pipe and a socket are never opened, and it is said why they do not count, unless ignored."""
    os.mkfifo(root / "pipe")
    os.mkfifo(root / ".pipe.tmp")
    (root / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        seen = look(root)
    assert not seen.files
    assert seen.unreadable == {
        "pipe": "neither a file nor a folder: a named pipe",
        "link": "neither a file nor a folder: a named pipe",
        "socket": "neither a file nor a folder: a socket",
    }


def test_nfd_names(root: Path) -> None:
    """A decomposed name is known by its NFC form, and the disk's own spelling is kept."""
    write(root / f"{NFD}tude" / f"{NFD}.nii")
    write(root / f"{NFD}tude" / "plain")
    write(root / "é.nii")
    scanner = scanner_of(root)
    for hints in (None, frozenset({f"{NFD}tude/{NFD}.nii"}), frozenset({"é.nii"})):
        seen = scanner.look(hints)
        assert set(seen.files) == {"étude/é.nii", "étude/plain", "é.nii"}
        assert seen.disk_path(RelPath("étude/é.nii")) == f"{NFD}tude/{NFD}.nii"
        assert seen.disk_path(RelPath("étude/plain")) == f"{NFD}tude/plain"
        assert seen.disk_path(RelPath("é.nii")) == "é.nii"


def test_two_spellings_of_one_name(root: Path) -> None:
    """Two names that are equal once composed are both refused, until one is gone."""
    write(root / "é")
    scanner = scanner_of(root)
    scanner.look()
    write(root / NFD)
    seen = scanner.look(frozenset({NFD}))
    assert seen.stale(RelPath("é"))
    assert list(seen.unreadable) == ["é"]
    (root / "é").unlink()
    seen = scanner.look(frozenset({"é"}))
    assert not seen.unreadable
    assert seen.disk_path(RelPath("é")) == NFD


@pytest.mark.parametrize(
    "name", [b"two\nlines", b"bad\xff", "line\u2028break".encode(), b"\x1b[2J"]
)
def test_names_that_are_no_text(root: Path, name: bytes) -> None:
    """A name that cannot be shown is refused, with a spelling that can be; the others go on."""
    (root / os.fsdecode(name)).write_text("data")
    write(root / "good")
    seen = look(root)
    assert set(seen.files) == {"good"}
    [shown] = seen.unreadable
    assert shown.isprintable()
    assert shown.encode()


def test_names_that_people_use(root: Path) -> None:
    """Spaces, dashes, emoji and other scripts are names like any other."""
    names = {" a b", "-x", "雪.nii", "😀", "100%", "a'b\"c"}
    for name in names:
        write(root / name)
    assert set(look(root).files) == names
