"""What lies where in a session folder: its id, its lock, its requests; and files that are whole or not there."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from vipsync.disk.files import make_folder, write_atomic
from vipsync.errors import (
    DiskError,
    FolderAbsent,
    FolderCopied,
    FolderHeld,
    HeldElsewhere,
    NotASession,
)
from vipsync.folder.folder import SessionFolder, new_id
from vipsync.folder.holding import HostLease
from vipsync.folder.search import find_sessions
from vipsync.model import Command, Request


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    """Return a session folder with the id s1."""
    root = tmp_path / "study"
    root.mkdir()
    made = SessionFolder(root)
    made.settings.write_text("")
    made.claim("s1")
    return made


# files of our own


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The new content is there, and nothing is left beside it."""
    path = tmp_path / "STATUS.txt"
    for content in (b"first", b"second"):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_of_a_file_goes_with_the_next_write(tmp_path: Path) -> None:
    """Only what was to become this very file; the work of others stays."""
    (tmp_path / ".STATUS.txt.x1.tmp").write_bytes(b"ha")
    others = [tmp_path / ".settings.toml.x1.tmp", tmp_path / ".STATUS.txt.swp"]
    for other in others:
        other.touch()
    write_atomic(tmp_path / "STATUS.txt", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "STATUS.txt"])


@pytest.mark.parametrize(
    ("umask", "folder", "file", "made"),
    [
        (0o022, 0o755, 0o644, 0o755),
        (0o022, 0o775, 0o644, 0o755),
        (0o022, 0o2775, 0o664, 0o2775),
        (0o027, 0o2770, 0o660, 0o2770),
        (0o002, 0o2755, 0o664, 0o2775),
        (0o077, 0o2777, 0o600, 0o2700),
    ],
)
def test_what_is_made_has_the_rights_of_its_folder(
    tmp_path: Path, umask: int, folder: int, file: int, made: int
) -> None:
    """Those that umask leaves, and those of the group where the folder hands its group down."""
    tmp_path.chmod(folder)
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "file", b"x")
        make_folder(tmp_path / "one" / "two")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == file
    assert stat.S_IMODE((tmp_path / "one" / "two").stat().st_mode) == made


def test_a_file_that_cannot_be_replaced_leaves_nothing(tmp_path: Path) -> None:
    """A folder in its place is an error that names it, and the temporary file goes."""
    path = tmp_path / "STATUS.txt"
    path.mkdir()
    (path / "x").write_text("")
    with pytest.raises(DiskError, match=r"STATUS\.txt cannot be written"):
        write_atomic(path, b"x")
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_a_disk_error(tmp_path: Path) -> None:
    """Nothing is made on the way."""
    with pytest.raises(DiskError):
        write_atomic(tmp_path / "missing" / "x", b"x")
    assert list(tmp_path.iterdir()) == []


# the id


def test_ids_are_random_and_readable() -> None:
    """Ten letters without those that look alike; no two of a thousand are equal."""
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(one) for one in made} == {10}
    assert not set("".join(made)) & set("ilou")


def test_a_folder_without_an_id_has_none(tmp_path: Path) -> None:
    """It is a new one."""
    assert SessionFolder(tmp_path).identity() is None


def test_a_claimed_folder_knows_its_id_and_place(folder: SessionFolder) -> None:
    """Id, path and host are written down."""
    mine = folder.identity()
    assert mine
    assert (mine.id, mine.path) == ("s1", str(folder.root))


def test_an_id_that_cannot_be_read_is_not_a_missing_one(folder: SessionFolder) -> None:
    """A torn file is never taken for a new folder."""
    (folder.hidden / "session.json").write_text('{"id": "s1"')
    with pytest.raises(FolderAbsent, match="cannot be read"):
        folder.identity()


def test_a_moved_folder_goes_on(folder: SessionFolder) -> None:
    """Nothing lies at the old place: the new one is written down."""
    moved = SessionFolder(folder.root.rename(folder.root.with_name("elsewhere")))
    moved.check_place()
    mine = moved.identity()
    assert mine
    assert (mine.id, mine.path) == ("s1", str(moved.root))


def test_a_copied_folder_is_refused(folder: SessionFolder) -> None:
    """Two folders with one id would send and remove each other's data."""
    copy = SessionFolder(Path(shutil.copytree(folder.root, folder.root.with_name("copy"))))
    with pytest.raises(FolderCopied, match="copy of") as caught:
        copy.check_place()
    assert "--fresh" in caught.value.remedy
    folder.check_place()


def test_a_folder_reached_by_another_name_is_no_copy(folder: SessionFolder) -> None:
    """A link to it, or another mount, is the same folder."""
    link = folder.root.with_name("link")
    link.symlink_to(folder.root)
    SessionFolder(link).check_place()


def test_a_folder_whose_old_place_has_another_id_goes_on(folder: SessionFolder) -> None:
    """Something else was put there meanwhile."""
    copy = SessionFolder(Path(shutil.copytree(folder.root, folder.root.with_name("copy"))))
    folder.claim("s2")
    copy.check_place()


@pytest.mark.parametrize("left", ["nothing", "another id", "torn id"])
def test_a_folder_that_is_not_ours_any_more_is_absent(folder: SessionFolder, left: str) -> None:
    """Unmounted, emptied, replaced: never "the marker was deleted"."""
    folder.require("s1")
    if left == "nothing":
        shutil.rmtree(folder.hidden)
    elif left == "another id":
        folder.claim("s2")
    else:
        (folder.hidden / "session.json").write_text("")
    with pytest.raises(FolderAbsent):
        folder.require("s1")


def test_a_folder_is_found_by_its_settings_or_its_ledger(folder: SessionFolder) -> None:
    """One that lost its settings.toml stays a session."""
    assert folder.is_session()
    folder.settings.unlink()
    assert folder.is_session()
    shutil.rmtree(folder.hidden)
    assert not folder.is_session()


def test_a_directory_stands_for_the_sessions_inside_it(folder: SessionFolder) -> None:
    """Sorted by path, down to four levels; a session's own folders and hidden ones hold none."""
    above = folder.root.parent
    for deep in ("b/c/d/e", "b/c/d/e/f", "b/1/2/3/4", ".hidden/one"):
        (above / deep).mkdir(parents=True)
        (above / deep / "settings.toml").write_text("")
    (above / "empty").mkdir()
    other = above / "a-study"
    other.mkdir()
    (other / "settings.toml").write_text("")
    found = [s.root for s in find_sessions(above)]
    assert found == [other, above / "b/c/d/e", folder.root]
    assert [s.root for s in find_sessions(folder.root)] == [folder.root]


def test_a_session_is_found_once_whatever_links_lead_to_it(tmp_path: Path) -> None:
    """A link out of a named folder is followed, as one to a disk; one back into it, or to what is above, is not."""
    share, disk = tmp_path / "share", tmp_path / "disk"
    for root in (share / "group/one", disk / "two"):
        root.mkdir(parents=True)
        (root / "settings.toml").touch()
    (share / "disk").symlink_to(disk)
    (share / "again").symlink_to(share / "group")
    (share / "group" / "up").symlink_to(tmp_path)
    (share / "up").symlink_to(tmp_path)
    found = [s.root for s in find_sessions(share)]
    assert found == [share / "disk/two", share / "group/one"]


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The remedy names the command that makes one."""
    with pytest.raises(NotASession) as caught:
        find_sessions(tmp_path / "missing")
    assert "init" in caught.value.remedy


# the lock


def _hold(root: Path, held: multiprocessing.synchronize.Event) -> None:
    with SessionFolder(root).held():
        held.set()
        multiprocessing.Event().wait(60)


def test_one_process_works_in_a_folder(folder: SessionFolder) -> None:
    """Another one is told so at once; when the first dies, however, the folder is free."""
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=_hold, args=(folder.root, held), daemon=True)
    process.start()
    try:
        assert held.wait(10)
        assert folder.is_held()
        with pytest.raises(FolderHeld, match="Another vipsync"), folder.held():
            pass
    finally:
        process.kill()
        process.join()
    assert not folder.is_held()
    with folder.held():
        pass


def test_a_lock_is_let_go_after_an_error(folder: SessionFolder) -> None:
    """Whatever happens inside."""
    with pytest.raises(RuntimeError), folder.held():
        raise RuntimeError
    assert not folder.is_held()


def test_a_folder_without_a_session_is_not_held(tmp_path: Path) -> None:
    """Asking makes nothing."""
    assert not SessionFolder(tmp_path).is_held()
    assert list(tmp_path.iterdir()) == []


# requests


def test_another_host_is_kept_out_while_its_lease_counts(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network disk: five minutes after the last word of the other host the folder is free."""
    now = 1000.0
    here = HostLease(folder, lambda: now)
    with here.held(), HostLease(folder, lambda: now).held():
        pass  # the same host: its lock tells its processes apart
    HostLease(folder, lambda: now).renew()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    there = HostLease(folder, lambda: now)
    now += HostLease.COUNTS_FOR - 1
    with pytest.raises(HeldElsewhere, match="already works in"), there.held():
        pass
    now += 2
    with there.held():
        assert "elsewhere" in (folder.hidden / "host.json").read_text()


@pytest.mark.parametrize("host", ["elsewhere", socket.gethostname()], ids=["other", "same name"])
@pytest.mark.parametrize("slept", [HostLease.COUNTS_FOR + 1, 86_400.0, -86_400.0])
def test_a_host_that_slept_sees_that_another_has_taken_over(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch, slept: float, host: str
) -> None:
    """It lets the folder go before it does anything, and leaves the other one's lease alone."""
    now = 1_000_000.0
    first = HostLease(folder, lambda: now)
    with first.held():
        now += slept
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        second = HostLease(folder, lambda: now)
        with second.held():
            now += HostLease.EVERY
            with pytest.raises(FolderAbsent, match=f"{host} has taken"):
                first.renew()
            second.renew()
    assert not (folder.hidden / "host.json").exists()


def test_of_two_hosts_that_come_in_the_same_moment_one_stays(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw a free folder; who wrote last has it, and the other one's end does not free it."""
    now = 1000.0
    first = HostLease(folder, lambda: now)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    second = HostLease(folder, lambda: now)
    with ExitStack() as later:
        with first.held():
            monkeypatch.setattr(second, "other", str)
            later.enter_context(second.held())
        assert "elsewhere" in (folder.hidden / "host.json").read_text()
        now += HostLease.EVERY
        with pytest.raises(FolderAbsent, match="elsewhere has taken"):
            first.renew()
        second.renew()


def test_requests_come_in_their_order_and_go_when_answered(folder: SessionFolder) -> None:
    """Their ids sort by time."""
    requests = [
        Request("2-b", Command.PAUSE),
        Request("1-a", Command.RERUN, ("x", "y"), {"which": "failed"}),
    ]
    for request in requests:
        folder.ask(request)
    assert folder.asked() == (requests[1], requests[0])
    folder.answered("1-a")
    folder.answered("1-a")
    assert folder.asked() == (requests[0],)


def test_what_is_no_request_is_left_alone(folder: SessionFolder) -> None:
    """A torn file, another shape, another name: neither an error nor deleted."""
    for name, text in {"a.json": "{", "b.json": json.dumps({"x": 1}), "c.txt": "x"}.items():
        (folder.requests / name).write_text(text)
    assert folder.asked() == ()
    assert len(list(folder.requests.iterdir())) == 3


@pytest.mark.parametrize(
    "document",
    [
        {"command": "explode"},
        {"command": ["pause"]},
        {"command": "launch", "cases": 3},
        {"command": "launch", "options": ["which"]},
        ["pause"],
        "pause",
        None,
    ],
    ids=str,
)
def test_what_nobody_can_ask_for_is_no_request(folder: SessionFolder, document: object) -> None:
    """Whoever may write into the folder: a command that is none, or words of another shape."""
    (folder.requests / "1-a.json").write_text(json.dumps(document))
    assert folder.look_at_requests() == ((), ("1-a.json",))


@pytest.mark.parametrize("id_", ["../session", "/etc/passwd", "2-b", 7, ""])
def test_a_request_is_known_by_its_file_alone(folder: SessionFolder, id_: object) -> None:
    """It may call itself what it likes: what is taken away when it was answered is that file."""
    path = folder.requests / "1-a.json"
    path.write_text(json.dumps({"id": id_, "command": "pause"}))
    (request,) = folder.asked()
    folder.answered(request.id)
    assert not path.exists()
    assert folder.identity() is not None


def test_a_folder_without_requests_has_none(tmp_path: Path) -> None:
    """Not even a place for them."""
    assert SessionFolder(tmp_path).asked() == ()
