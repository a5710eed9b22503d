"""Results are placed once, beside what is there, and what a person changed is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest

from tests.lab.bench import endless
from vipsync.disk.mirror import place, stamp
from vipsync.model import RelPath, VipPath
from vipsync.observe.result_stamps import Stamps
from vipsync.rows import Result, ResultStatus


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "e1" / "a.tgz"


def fresh(tmp_path: Path, content: str = "new") -> Path:
    """Make a complete file elsewhere on the disk."""
    path = tmp_path / "fresh"
    path.write_text(content)
    return path


def tree(tmp_path: Path, **files: str) -> Path:
    """Make a complete folder elsewhere on the disk; all its files have one time, as unpacked ones do."""
    root = tmp_path / "tree"
    for name, content in files.items():
        path = root / "sub" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (1, 1))
    return root


def test_a_file_is_placed_where_it_belongs(tmp_path: Path, target: Path) -> None:
    """Folders are made on the way, and nothing is left where it came from."""
    assert place(fresh(tmp_path), target, tmp_path) == target
    assert target.read_text() == "new"
    assert not (tmp_path / "fresh").exists()
    assert target.stat().st_nlink == 1


def test_a_folder_is_placed_where_it_belongs(tmp_path: Path, target: Path) -> None:
    """As one rename."""
    assert place(tree(tmp_path, a="x"), target, tmp_path) == target
    assert (target / "sub" / "a.txt").read_text() == "x"


def test_what_is_in_the_way_stays(tmp_path: Path, target: Path) -> None:
    """The new one comes beside it, and the next ones beside that."""
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    names = [place(fresh(tmp_path, f"new {n}"), target, tmp_path).name for n in range(3)]
    assert names == ["a.tgz.vip", "a.tgz.vip2", "a.tgz.vip3"]
    assert target.read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path, target: Path) -> None:
    """It is what is left of a result that was deleted."""
    target.mkdir(parents=True)
    made = tree(tmp_path, a="x")
    looks = stamp(made)
    assert place(made, target, tmp_path) == target
    assert stamp(target) == looks


@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_a_folder_replaces_nothing_either(tmp_path: Path, target: Path, there: str) -> None:
    """Whatever lies there."""
    target.parent.mkdir(parents=True)
    match there:
        case "file":
            target.write_text("mine")
        case "dangling link":
            target.symlink_to("nowhere")
        case _:
            target.mkdir()
            (target / "mine").write_text("mine")
    before = stamp(target)
    assert place(tree(tmp_path, a="x"), target, tmp_path).name == "a.tgz.vip"
    assert stamp(target) == before


def test_the_same_file_was_placed_before_a_crash(tmp_path: Path, target: Path) -> None:
    """The very same content is the result: no second copy."""
    place(fresh(tmp_path), target, tmp_path)
    assert place(fresh(tmp_path), target, tmp_path) == target
    assert [p.name for p in target.parent.iterdir()] == ["a.tgz"]
    assert not (tmp_path / "fresh").exists()


def test_the_same_folder_was_placed_before_a_crash(tmp_path: Path, target: Path) -> None:
    """Equal by names, sizes and times of everything in it."""
    place(tree(tmp_path, a="x", b="y"), target, tmp_path)
    assert place(tree(tmp_path, a="x", b="y"), target, tmp_path) == target
    assert not (tmp_path / "tree").exists()


def test_the_same_folder_with_links_was_placed_before_a_crash(tmp_path: Path, target: Path) -> None:
    """A link is known by where it points: its own time is that of its making."""
    for number in range(2):
        made = tree(tmp_path, a="x")
        link = made / "sub" / "lh.pial"
        link.symlink_to("a.txt")
        os.utime(link, (number, number), follow_symlinks=False)
        assert place(made, target, tmp_path) == target


def test_a_file_is_placed_on_a_disk_without_hard_links(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk has none, a rename does it."""

    def refused(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert place(fresh(tmp_path), target, tmp_path) == target
    assert target.read_text() == "new"


def test_a_stamp_tells_a_changed_file(target: Path) -> None:
    """By its size and its time; None where there is nothing."""
    assert stamp(target) is None
    target.parent.mkdir(parents=True)
    assert stamp(target) is None
    target.write_text("one")
    before = stamp(target)
    assert stamp(target) == before
    os.utime(target, (1, 1))
    assert stamp(target) not in (None, before)


@pytest.mark.parametrize("change", ["edit", "add", "remove", "rename", "point elsewhere"])
def test_a_stamp_tells_a_changed_folder(tmp_path: Path, change: str) -> None:
    """Any file in it that was edited, added, removed, renamed or pointed elsewhere."""
    root = tree(tmp_path, a="x", b="y")
    (root / "sub" / "link").symlink_to("a.txt")
    before = stamp(root)
    one = root / "sub" / "a.txt"
    match change:
        case "edit":
            one.write_text("z")
        case "add":
            (root / "new").write_text("")
        case "remove":
            one.unlink()
        case "rename":
            one.rename(root / "sub" / "c.txt")
        case _:
            (root / "sub" / "link").unlink()
            (root / "sub" / "link").symlink_to("b.txt")
    assert stamp(root) not in (None, before)


def test_below_a_file_there_is_nothing(tmp_path: Path) -> None:
    """A file where a folder was: the result is not there."""
    (tmp_path / "a").write_text("")
    assert stamp(tmp_path / "a" / "b") is None


def test_folders_without_end_are_another_result(tmp_path: Path) -> None:
    """Deeper than a path can be, and than Python can go down: told as changed, as any other change."""
    result = tree(tmp_path, a="1")
    before = stamp(result)
    endless(result / "deep", name="x" * 200)
    endless(result / "deeper")
    assert stamp(result) not in (None, before)
    subprocess.run(["rm", "-rf", result], check=True)


def _here(local: str) -> Result:
    return Result(VipPath(f"/vip/{local}"), "e1", 3, RelPath(local), ResultStatus.HERE)


@pytest.mark.parametrize("hint", ["e1/a", "e1/a/sub/x.txt", "e1"])
def test_only_what_a_hint_touches_is_looked_at_again(tmp_path: Path, hint: str) -> None:
    """What lies at it, in it or above it; a name that only begins like it is another one."""
    results = [_here("e1/a"), _here("e1/ab"), _here("e2/a")]
    files = [tmp_path / "e1" / "a" / "sub" / "x.txt", tmp_path / "e1" / "ab", tmp_path / "e2" / "a"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("one")
    stamps = Stamps(lambda: 0.0)
    before = stamps.look(tmp_path, results, None, healthy=True)
    for file in files:
        file.write_text("other")
    after = stamps.look(tmp_path, results, frozenset({hint}), healthy=True)
    changed = {path for path in before if before[path] != after[path]}
    assert changed == ({"e1/a", "e1/ab"} if hint == "e1" else {"e1/a"})


def test_many_hints_cost_no_more_than_their_number_and_that_of_the_results(tmp_path: Path) -> None:
    """Not the product of both: results that come are hints, hundreds at a time."""
    results = [_here(f"e1/{number}") for number in range(2000)]
    for result in results:
        (tmp_path / result.local).parent.mkdir(exist_ok=True)
        (tmp_path / result.local).touch()
    stamps, calls = Stamps(lambda: 0.0), 0
    stamps.look(tmp_path, results, None, healthy=True)

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        stamps.look(tmp_path, results, frozenset(r.local for r in results[:500]), healthy=True)
    finally:
        sys.setprofile(None)
    assert calls < 30 * len(results)
