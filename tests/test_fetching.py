"""Results come whole and verified, or not at all: against the embedded VIP."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.acting import Acting
from tests.lab.archives import tar, tgz
from tests.lab.builders import folder_of
from tests.test_archive import Member, link, packed
from vipsync import actions as do
from vipsync.act.perform import Stopped
from vipsync.act.results import fetch_logs
from vipsync.disk.mirror import stamp
from vipsync.errors import ForeignPath, TransferMismatch, VipsyncError
from vipsync.local import Kind
from vipsync.model import BLOCK, RelPath, VipPath, replace

BIG = os.urandom(BLOCK) * 3 + b"end"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Acting]:
    made = Acting(tmp_path)
    yield made
    made.vip.close()


def came(bench: Acting, action: do.FetchResult) -> do.ResultHere:
    """Fetch a result, which must work."""
    outcome = bench.act(action)
    assert isinstance(outcome, do.ResultHere), outcome
    return outcome


def error(bench: Acting, action: do.FetchResult) -> VipsyncError:
    """Fetch a result, which must fail."""
    outcome = bench.act(action)
    assert isinstance(outcome, do.Failed), outcome
    return outcome.error


def test_a_file_comes_whole(bench: Acting) -> None:
    """It lies at its place with the stamp that is told, and nothing is left among the transfers."""
    here = came(bench, bench.result("a.csv", BIG))
    assert bench.here() == {"e1/a.csv": BIG}
    assert here == do.ResultHere(
        RelPath("e1/a.csv"), False, stamp(bench.tools.outputs / "e1/a.csv") or ""
    )
    assert bench.left() == []


def test_an_archive_of_somebody_else_is_not_unpacked(bench: Acting, tmp_path: Path) -> None:
    """Who may write among the transfers puts a link to a private archive there, once its size is right."""
    private = tmp_path / "private.tar"
    private.write_bytes(tar({"diary.txt": b"private"}))

    def swap() -> None:
        for path in bench.tools.folder.transfers.glob("*.part"):
            path.unlink()
            path.symlink_to(private)

    outcome = bench.act(bench.result("a.tar", tar({"a.txt": b"a result"})), stop=swap)
    assert isinstance(outcome, do.Failed)
    assert bench.here() == {}


def test_an_empty_file_comes(bench: Acting) -> None:
    """Zero bytes are a result too."""
    path = VipPath(f"{folder_of('e1')}/empty.txt")
    bench.vip.upload_empty(path)
    action = replace(bench.result("x", b"x"), vip=path, size=0, local=RelPath("e1/empty.txt"))
    assert came(bench, action).stamp.startswith("0 ")
    assert bench.here() == {"e1/empty.txt": b""}


def test_progress_is_told(bench: Acting) -> None:
    """Bytes so far and in all, until all are there."""
    told: list[tuple[do.Key, int, int]] = []
    action = bench.result("a.csv", BIG)
    bench.act(action, moved=lambda *progress: told.append(progress))
    assert {(name, size) for name, _, size in told} == {(do.key(action), len(BIG))}
    assert [now for _, now, _ in told] == sorted({now for _, now, _ in told})
    assert told[-1][1] == len(BIG)


def test_a_cut_download_goes_on_where_it_was_cut(bench: Acting) -> None:
    """Nothing is visible in between, and the second part is asked for from there."""
    action = bench.result("a.csv", BIG)
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, size=2 * BLOCK)
    assert isinstance(error(bench, action), TransferMismatch)
    assert (bench.here(), len(bench.left())) == ({}, 1)
    told: list[int] = []
    bench.act(action, moved=lambda _name, now, _size: told.append(now))
    assert min(told) > 2 * BLOCK
    assert bench.here() == {"e1/a.csv": BIG}
    assert bench.left() == []


def test_a_stopped_download_goes_on_too(bench: Acting) -> None:
    """The end of the program leaves what came."""
    action = bench.result("a.csv", BIG)
    blocks = iter([False, False, True])

    def stop() -> None:
        if next(blocks):
            raise Stopped

    with pytest.raises(Stopped):
        bench.act(action, stop=stop)
    assert (bench.here(), len(bench.left())) == ({}, 1)
    came(bench, action)
    assert bench.here() == {"e1/a.csv": BIG}


def test_a_whole_part_of_before_a_crash_is_not_fetched_again(bench: Acting) -> None:
    """It was complete, only not in its place."""
    action = bench.result("a.csv", BIG)
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, size=2 * BLOCK)
    error(bench, action)
    (name,) = bench.left()
    (bench.tools.folder.transfers / name).write_bytes(BIG)
    before = len(bench.world.requests)
    came(bench, action)
    assert len(bench.world.requests) == before


def test_fewer_bytes_than_listed_are_an_error(bench: Acting) -> None:
    """Nothing is visible; it is asked for again."""
    action = replace(bench.result("a.csv", b"short"), size=9)
    assert isinstance(error(bench, action), TransferMismatch)
    assert bench.here() == {}


def test_more_bytes_than_listed_are_an_error(bench: Acting) -> None:
    """What came is of no use, and goes."""
    action = replace(bench.result("a.csv", b"longer than that"), size=4)
    assert isinstance(error(bench, action), TransferMismatch)
    assert (bench.here(), bench.left()) == ({}, [])


def test_a_part_of_another_content_is_not_gone_on_with(bench: Acting) -> None:
    """A result that has another size meanwhile begins anew: head and tail must be of one file."""
    action = bench.result("a.csv", BIG)
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, size=BLOCK)
    error(bench, action)
    bench.vip.delete(action.vip)
    other = bench.result("a.csv", bytes(len(BIG) + 1))
    came(bench, other)
    assert bench.here() == {"e1/a.csv": bytes(len(BIG) + 1)}


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_becomes_a_folder_with_its_name(
    bench: Acting, packed: Callable[[bytes], bytes]
) -> None:
    """Unpacked as a whole; the archive is not kept."""
    here = came(bench, bench.result("a.tgz", packed(tar({"x.txt": b"x", "sub/y.txt": b"y"}))))
    assert bench.here() == {"e1/a.tgz/x.txt": b"x", "e1/a.tgz/sub/y.txt": b"y"}
    assert (here.unpacked, here.local) == (True, "e1/a.tgz")
    assert here.stamp == stamp(bench.tools.outputs / "e1/a.tgz")
    assert bench.left() == []


def test_an_archive_is_kept_where_it_is_wanted(bench: Acting) -> None:
    """Beside the results, below .archives, with the same path."""
    content = tgz({"x.txt": b"x"})
    came(bench, replace(bench.result("a.tgz", content), keep_archive=True))
    assert bench.here() == {"e1/a.tgz/x.txt": b"x", ".archives/e1/a.tgz": content}


def test_an_archive_stays_packed_where_that_is_wanted(bench: Acting) -> None:
    """`unzip = false`."""
    content = tgz({"x.txt": b"x"})
    here = came(bench, bench.result("a.tgz", content, unpack=False))
    assert bench.here() == {"e1/a.tgz": content}
    assert (here.unpacked, here.reason) == (False, "")


@pytest.mark.parametrize(
    "content",
    [
        tgz({"../x.txt": b"x"}),
        tgz({"/etc/x.txt": b"x"}),
        tar({"x.txt": b"x" * 5000})[:3000],
        tgz({"x.txt": os.urandom(5000)})[:-30],
    ],
    ids=["dots", "absolute", "cut tar", "cut gzip"],
)
def test_an_archive_that_is_refused_is_kept_as_it_is(bench: Acting, content: bytes) -> None:
    """The result is here, packed, with the reason; nothing of it was unpacked anywhere."""
    here = came(bench, bench.result("a.tgz", content))
    assert bench.here() == {"e1/a.tgz": content}
    assert not here.unpacked
    assert here.reason
    assert bench.left() == []
    assert sorted(p.name for p in bench.tools.outputs.rglob("*")) == ["a.tgz", "e1"]


@pytest.mark.parametrize("content", [bytes(33_280), b"<html>sorry</html>"], ids=["zeros", "page"])
def test_what_only_has_the_name_of_an_archive_is_kept_with_a_reason(
    bench: Acting, content: bytes
) -> None:
    """33,280 zero bytes pass for an archive with many (house 6.8)."""
    here = came(bench, bench.result("a.tgz", content))
    assert bench.here() == {"e1/a.tgz": content}
    assert here.reason


def test_a_file_without_the_name_of_an_archive_needs_no_reason(bench: Acting) -> None:
    """It is what it says."""
    assert came(bench, bench.result("a.csv", b"a,b")).reason == ""


def test_what_is_in_the_way_stays(bench: Acting) -> None:
    """The result comes beside it as <name>.vip, and that is where it is told to be."""
    mine = bench.tools.outputs / "e1" / "a.tgz"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    here = came(bench, bench.result("a.tgz", tgz({"x.txt": b"x"})))
    assert here.local == "e1/a.tgz.vip"
    assert bench.here() == {"e1/a.tgz": b"mine", "e1/a.tgz.vip/x.txt": b"x"}


def test_a_result_that_was_placed_before_a_crash_is_found(bench: Acting) -> None:
    """Fetched again, it is the same: no copy beside it."""
    action = bench.result("a.tgz", tgz({"x.txt": b"x"}))
    assert came(bench, action) == came(bench, action)
    assert bench.here() == {"e1/a.tgz/x.txt": b"x"}


def test_what_a_crash_left_half_unpacked_goes(bench: Acting) -> None:
    """A tree among the transfers is made anew."""
    action = bench.result("a.tgz", tgz({"x.txt": b"x"}))
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, size=10)
    error(bench, action)
    (name,) = bench.left()
    tree = (bench.tools.folder.transfers / name).with_suffix(".tree")
    tree.mkdir()
    (tree / "old.txt").write_text("old")
    came(bench, action)
    assert bench.here() == {"e1/a.tgz/x.txt": b"x"}


def test_a_result_that_is_gone_from_vip_is_an_error(bench: Acting) -> None:
    """Nothing is made here."""
    action = bench.result("a.csv", b"x")
    bench.vip.delete(action.vip)
    error(bench, action)
    assert bench.here() == {}


def test_the_logs_of_a_failed_job_come(bench: Acting) -> None:
    """Those that VIP keeps, as text beside the results; a second time changes nothing."""
    bench.world.faults.arm(Kind.JOB_FAILS)
    state = bench.input("a.dat")
    bench.act(bench.send("a.dat", state))
    inputs = {"data": f"{folder_of('e1').rsplit('/', 2)[0]}/INPUTS/a.dat"}
    started = bench.vip.launch("echo", "Echo/1", inputs, folder_of("e1"))
    bench.clock.sleep(60)
    bench.vip.execution(started.id)
    action = do.FetchLogs(started.id, 1, RelPath("e1/logs"))
    told = fetch_logs(action, bench.tools)
    first = bench.here()
    assert first
    assert all(name.startswith("e1/logs/job-1.std") for name in first)
    assert told.files == tuple(first)
    assert told.reason
    assert bench.act(action) == told
    assert bench.here() == first


ODD = packed([Member("stats.csv", b"1,2"), link("fsaverage", "/usr/local/fs/fsaverage")], "gz")


@pytest.mark.parametrize("times", [1, 2])
def test_what_an_archive_is_unpacked_without_is_said_beside_it(bench: Acting, times: int) -> None:
    """Once for each archive, also where the process died before that was written down; it is kept."""
    for name in ("a.tgz", "b.tgz"):
        action = bench.result(name, ODD)
        for _ in range(times):
            here = came(bench, action)
        assert (here.local, here.unpacked) == (f"e1/{name}", True)
        assert here.reason.startswith(
            "fsaverage (a link to a place outside the archive); see UNPACKED-WITHOUT.txt"
        )
    found = bench.here()
    text = found.pop("e1/UNPACKED-WITHOUT.txt").decode()
    assert (
        text.count(
            "a.tgz was unpacked without:\n  fsaverage: a link to a place outside the archive\n"
        )
        == 1
    )
    assert text.count("b.tgz was unpacked without:") == 1
    assert found == {
        "e1/a.tgz/stats.csv": b"1,2",
        "e1/b.tgz/stats.csv": b"1,2",
        ".archives/e1/a.tgz": ODD,
        ".archives/e1/b.tgz": ODD,
    }


def mine(path: Path, content: bytes | None) -> None:
    """Put something of a person's, or another result, to a path: a folder for None."""
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "content", [b"my own list\n", "d\xe9j\xe0".encode("latin-1"), b"", None],
    ids=["text", "Latin-1", "empty", "folder"],
)  # fmt: skip
def test_a_file_of_somebody_that_is_called_like_the_list_stays(
    bench: Acting, content: bytes | None
) -> None:
    """Nothing is added to it: what was left out is said beside it."""
    taken = bench.tools.outputs / "e1" / "UNPACKED-WITHOUT.txt"
    mine(taken, content)
    first, second = (bench.result(name, ODD) for name in ("a.tgz", "b.tgz"))
    for action in (first, second, first):
        here = came(bench, action)
        assert "see UNPACKED-WITHOUT.txt.vip beside it" in here.reason
    assert taken.is_dir() if content is None else taken.read_bytes() == content
    text = bench.here()["e1/UNPACKED-WITHOUT.txt.vip"].decode()
    assert (text.count("a.tgz was"), text.count("b.tgz was")) == (1, 1)


def test_archives_that_come_at_the_same_time_are_all_named(bench: Acting) -> None:
    """Eight transfers write one list."""
    actions = [bench.result(f"{n}.tgz", ODD) for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda action: came(bench, action), actions))
    text = bench.here()["e1/UNPACKED-WITHOUT.txt"].decode()
    assert [text.count(f"\n{n}.tgz was unpacked without:") for n in range(24)] == [1] * 24


@pytest.mark.parametrize(
    "name",
    ["x" * 300, "é" * 200, "x" * 260 + "/a.csv"],
    ids=["long", "of bytes", "of a folder"],
)
def test_a_name_that_no_disk_holds_is_the_fault_of_that_result(bench: Acting, name: str) -> None:
    """It is known before anything comes, and is no trouble of the disk."""
    action = replace(bench.result("a.csv", b"1,2\n"), local=RelPath(f"e1/{name}"))
    asked = len(bench.world.requests)
    refused = error(bench, action)
    assert isinstance(refused, ForeignPath)
    assert "room" not in str(refused)
    assert len(bench.world.requests) == asked


def test_a_file_that_is_longer_than_was_listed_is_not_begun(bench: Acting) -> None:
    """What a server goes on to send must not fill the disk."""
    action = replace(bench.result("a.csv", BIG), size=10)
    assert isinstance(error(bench, action), TransferMismatch)
    assert bench.left() == []
