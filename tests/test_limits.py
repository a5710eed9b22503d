"""The limits of vipsync.toml over all folders: ceilings, streams, hours, free disk, shares of accounts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.lab.bench import Bench, Study
from tests.lab.mounts import small_disk
from tests.lab.served import SETTINGS as STUDY
from tests.lab.served import Caller, Served
from tests.lab.statuses import status
from tests.test_dispatch import AtOnce
from vipsync import actions as do
from vipsync.act.bandwidth import Ceiling
from vipsync.act.perform import Stopped
from vipsync.local import ManualClock
from vipsync.model import (
    BLOCK,
    MOST_TRANSFERS,
    UNLIMITED,
    FileState,
    RelPath,
    TransfersSettings,
    VipPath,
)
from vipsync.run.dispatch import AHEAD, QUESTIONS, Done, Lanes, Serial, Workers, has_share
from vipsync.run.reconciler import Work
from vipsync.run.timing import Timing
from vipsync.run.transfer_limits import Disk, TransferLimits, disk_of

MINE, OTHER, THIRD = object(), object(), object()


def _go_on() -> None:
    pass


def _timing(clock: ManualClock) -> Timing:
    return Timing(clock.now, clock.now, lambda: 0.5, clock.sleep)


# ceilings


@pytest.mark.parametrize("rate", [10e3, 200e3, 5e6, 300e6])
def test_a_ceiling_holds_over_half_a_minute(rate: float) -> None:
    """Pieces pass at the rate that was set, within five per cent, however slow it is."""
    clock, passed = ManualClock(), 0
    ceiling, began = Ceiling(rate, clock.now, clock.sleep), clock.now()
    while clock.now() < began + 30.0:
        ceiling(ceiling.piece, _go_on)
        passed += ceiling.piece
    assert passed == pytest.approx(30 * rate, rel=0.05)


def test_no_connection_looks_dead_below_a_slow_ceiling() -> None:
    """A piece passes in less than a second; without a ceiling, blocks are as large as ever."""
    assert Ceiling(10e3).piece / 10e3 < 1.0
    assert Ceiling(5e6).piece < 100_000
    assert Ceiling().piece == BLOCK == Ceiling(1e9).piece


def test_what_was_not_used_is_made_up_for_a_second_at_most() -> None:
    """An hour of silence is no right to a burst."""
    clock = ManualClock()
    ceiling = Ceiling(1e6, clock.now, clock.sleep)
    clock.sleep(3600.0)
    began = clock.now()
    for _ in range(10):
        ceiling(1_000_000, _go_on)
    assert clock.now() - began == pytest.approx(9.0)


def test_a_stop_ends_a_transfer_that_waits() -> None:
    """It does not wait for its turn."""
    clock = ManualClock()
    ceiling, began = Ceiling(1e3, clock.now, clock.sleep), clock.now()

    def stop() -> None:
        if clock.now() > began + 1.0:
            raise Stopped

    with pytest.raises(Stopped):
        ceiling(1_000_000, stop)
    assert clock.now() < began + 2.0


def test_pieces_pass_in_the_order_of_asking() -> None:
    """Whoever asks gets its turn after those that asked before, and not after what they ask next."""
    clock = ManualClock()
    ceiling, began = Ceiling(1e6, clock.now, clock.sleep), clock.now()

    def stop() -> None:
        raise Stopped

    for _ in range(3):
        with pytest.raises(Stopped):
            ceiling(100_000, stop)
    ceiling(100_000, _go_on)
    assert clock.now() - began == pytest.approx(0.4, abs=0.01)


# lanes and shares


SEND = do.SendFile(VipPath("/vip/Home/a"), RelPath("a"), FileState(1, 1, 1, 1))
FETCH = do.FetchResult(VipPath("/vip/Home/b"), 1, RelPath("b"), True, False)


@pytest.mark.parametrize(
    ("settings", "up", "down", "both"),
    [
        (UNLIMITED, MOST_TRANSFERS + AHEAD, MOST_TRANSFERS + AHEAD, MOST_TRANSFERS + AHEAD),
        (TransfersSettings(streams=3), 3, 3, 3),
        (TransfersSettings(upload=5e6), 6, 8, 8),
        (TransfersSettings(upload=100e3), 3, 8, 8),
        (TransfersSettings(upload=10e3, download=10e3), 1, 1, 2),
        (TransfersSettings(streams=2, upload=5e6), 1, 2, 2),
        (TransfersSettings(streams=1, upload=5e6), 1, 1, 1),
    ],
)
def test_what_is_slow_leaves_room_for_the_other_direction(
    settings: TransfersSettings, up: int, down: int, both: int
) -> None:
    """Few transfers share a slow ceiling, and never all streams while there is more than one."""
    lanes = Lanes(settings)

    def most(*turn: do.Action) -> int:
        under_way: list[do.Action] = []
        while fits := [a for a in turn if not isinstance(a, lanes.closed(under_way))]:
            under_way.append(fits[0])
        return len(under_way)

    assert (most(SEND), most(FETCH), most(SEND, FETCH)) == (up, down, both)


@pytest.mark.parametrize(
    ("others", "most", "gets"),
    [
        ([], 10, 10),
        ([OTHER], 10, 8),
        ([OTHER, THIRD], 10, 8),
        ([OTHER], 8, 6),
        ([OTHER], 2, 1),
        ([OTHER], 1, 1),
        ([object() for _ in range(20)], 8, 1),
    ],
)
def test_an_account_leaves_each_other_one_its_share(
    others: list[object], most: int, gets: int
) -> None:
    """However much it has to do: alone it has everything, with many others one thing at least."""
    under_way: list[object] = []
    while len(under_way) < most and has_share(MINE, [MINE, *others], under_way, most):  # type: ignore[list-item, arg-type]
        under_way.append(MINE)
    assert len(under_way) == gets


class _Dripping:
    """An executor in which transfers of a kind never end for one folder."""

    def __init__(self, drips: str, *kinds: type) -> None:
        self.drips, self.kinds, self.held = drips, kinds, list[Work]()
        self._inner = AtOnce()

    def submit(self, work: Work, done: Done) -> None:
        """Hold such work for ever; carry all other out."""
        if work.session.folder.root.name == self.drips and isinstance(work.action, self.kinds):
            self.held.append(work)
        else:
            self._inner.submit(work, done)
            self._inner.carry_out()


AT = 'pipeline_id = "spectrum/1"\nportal = "https://PORTAL.test"\n[input_settings]\nsignal = "*.mrui"\n'


def test_a_portal_that_drips_keeps_nobody_else_waiting(bench: Bench) -> None:
    """While none of its transfers ends, another portal's folder comes to its results."""
    bench.executor = dripping = _Dripping("slow", *do.TRANSFERS)
    signals = {f"s{number:02}": "x" for number in range(30)}
    for name in ("slow", "well"):
        bench.study(name, AT.replace("PORTAL", name), **signals)
    slow, well = bench.studies
    bench.until(lambda: len(well.outputs()) >= len(signals))
    assert len(dripping.held) == MOST_TRANSFERS - MOST_TRANSFERS // 4
    assert not slow.outputs()


def test_slow_files_on_their_way_up_keep_no_result_waiting(bench: Bench) -> None:
    """Below a ceiling, as many files as there are streams never leave nothing for what comes down."""
    bench.executor = dripping = _Dripping("big", *do.SENDS)
    bench.transfers = TransfersSettings(upload=5e6, free=0.0)
    runs = bench.study("runs", a="x")
    bench.until(lambda: runs.state.executions)
    bench.study("big", **{f"s{number:02}": "x" for number in range(30)})
    bench.until(runs.outputs)
    assert len(dripping.held) == 6


@pytest.mark.parametrize("upload", [0.0, 5e6])
def test_small_files_need_not_wait_for_all_big_ones(bench: Bench, upload: float) -> None:
    """Of four that are on their way up one is small, below a ceiling too."""
    bench.executor = dripping = _Dripping("study", *do.SENDS)
    bench.transfers = TransfersSettings(upload=upload, free=0.0)
    bench.study(**{f"s{number:02}": "x" * number for number in range(1, 31)})
    bench.until(lambda: len(dripping.held) >= 6)
    sizes = [w.action.state.size for w in dripping.held if isinstance(w.action, do.SENDS)]
    assert (30 in sizes, 1 in sizes) == (True, True)


def test_nothing_overtakes_a_decision(bench: Bench) -> None:
    """What cannot begin yet keeps back what was planned to follow a decision behind it."""
    study = bench.study(a="x")
    bench.rest()
    session, planned = study.session, (FETCH, do.WriteMarker(), do.Poll("workflow"))
    session.queue.extend(planned)
    assert session.next_work(but=do.TRANSFERS) is None
    assert tuple(session.queue) == planned
    assert session.next_work(from_end=True, but=(do.Poll, *do.TRANSFERS)) is None
    assert tuple(session.queue) == planned


def test_eight_transfers_run_at_once_and_questions_beside_them() -> None:
    """Threads that all move files would leave nobody to ask how an execution is."""
    workers, moving, release = Workers(), threading.Semaphore(0), threading.Event()
    ended: list[str] = []
    asked = threading.Event()

    def work(action: do.Action, run: object) -> Work:
        return _Work(action, run)  # type: ignore[return-value]

    def move() -> do.Outcome:
        moving.release()
        release.wait(30)
        return do.Done()

    for _ in range(MOST_TRANSFERS + AHEAD):
        workers.submit(work(SEND, move), lambda _work, _outcome: ended.append("moved"))
    for _ in range(MOST_TRANSFERS):
        assert moving.acquire(timeout=30)
    for _ in range(QUESTIONS):
        workers.submit(work(do.Poll("e"), do.Done), lambda _work, _outcome: asked.set())
    assert asked.wait(30)
    assert not moving.acquire(blocking=False)
    release.set()
    for _ in range(AHEAD):
        assert moving.acquire(timeout=30)


class _Work:
    def __init__(self, action: do.Action, run: object) -> None:
        self.action, self.run = action, run
        self.session = self
        self.folder = self
        self.root = Path("study")


# hours


def _at(hours: tuple[int, int] | None, hour: int, minute: int = 0) -> TransferLimits:
    local = time.struct_time((2024, 1, 1, hour, minute, 0, 0, 1, 0))
    settings = TransfersSettings(hours=hours, free=0.0)
    return TransferLimits(settings, Timing(lambda: 1000.0), lambda _wall: local)


@pytest.mark.parametrize(
    ("hour", "sending"), [(18, False), (19, True), (23, True), (6, True), (7, False), (12, False)]
)
def test_hours_may_pass_midnight(hour: int, sending: bool) -> None:
    """They begin with their first minute, and are over with their last."""
    transfer_limits = _at((19 * 60, 7 * 60), hour)
    assert transfer_limits.look(Path()).sending is sending
    assert transfer_limits.take("x", SEND, Path()) is sending
    assert transfer_limits.take("y", FETCH, Path())


def test_the_end_of_the_hours_is_looked_for_in_time() -> None:
    """A plan that was made within them is made anew when they end."""
    limits = _at((19 * 60, 7 * 60), 6, 55).look(Path())
    assert limits.changes_at == pytest.approx(1300.0)


def test_nothing_is_sent_outside_the_hours_while_results_come(bench: Bench) -> None:
    """What runs is followed, and its results come; new files wait, and it is said until when."""
    study = bench.study(**{f"s{number:02}": "x" for number in range(3)})
    bench.until(lambda: len(study.state.executions) == 1)
    begin = _minute(bench, hours=1)
    bench.transfers = TransfersSettings(hours=(begin, begin + 60), free=0.0)
    bench.restart()
    study.drop(late="a new signal")
    sent = bench.count("PUT /path")
    bench.rest()
    assert len(study.outputs()) == 3
    assert bench.count("PUT /path") == sent
    assert study.says(f"Files wait until {begin // 60:02}:{begin % 60:02} to be sent")
    assert status(study).exit_code == 0
    assert "wait" in status(study).sentence
    bench.run(1.1 * 3600)
    assert len(study.outputs()) == 4
    assert not study.says("Files wait")


def test_no_transfer_begins_after_the_hours(bench: Bench) -> None:
    """The plan that was made within them ends with them, whatever is left of it."""
    bench.executor = executor = AtOnce()
    end = _minute(bench) + 10
    bench.transfers = TransfersSettings(hours=(0, end % 1440), free=0.0)
    study = bench.study(**{f"s{number:02}": "x" for number in range(30)})

    def some_left() -> bool:
        executor.carry_out()
        return len(bench.vip_inputs()) > 5

    bench.until(some_left)
    bench.clock.sleep(600.0)
    executor.carry_out()
    begun = len(bench.vip_inputs())
    assert begun < 30
    bench.run(1000.0)
    executor.carry_out()
    assert len(bench.vip_inputs()) == begun
    assert study.says("Files wait")


def _minute(bench: Bench, hours: int = 0) -> int:
    now = time.gmtime(bench.clock.now() + hours * 3600)
    return now.tm_hour * 60 + now.tm_min


# free disk


def test_a_disk_is_shared_by_all_folders() -> None:
    """What is coming for one folder is no room for another on the same disk, until it has come."""
    where = {"a": Disk(1, 1000, 200), "b": Disk(1, 1000, 200), "c": Disk(2, 1000, 200)}
    transfer_limits = TransferLimits(
        TransfersSettings(free=0.1), Timing(), disk=lambda path: where[path.name]
    )
    big = do.FetchResult(VipPath("/vip/Home/b"), 70, RelPath("b"), True, False)
    assert transfer_limits.take("one", big, Path("a"))
    assert not transfer_limits.take("two", big, Path("b"))
    assert transfer_limits.take("three", big, Path("c"))
    assert transfer_limits.look(Path("b")).room == 30
    transfer_limits.came("one", 20)
    where["a"] = where["b"] = Disk(1, 1000, 150)
    assert transfer_limits.look(Path("b")).room == 30, "what came is no longer to come"
    transfer_limits.ended("one")
    assert transfer_limits.look(Path("b")).room == 50


def test_the_disk_of_a_folder_that_is_not_there_yet_is_known(tmp_path: Path) -> None:
    """It is the one on which outputs/ would lie; one that cannot be asked sets no limit."""
    assert disk_of(tmp_path / "not" / "yet").device == tmp_path.stat().st_dev

    def broken(_path: Path) -> Disk:
        raise OSError

    assert TransferLimits(TransfersSettings(), Timing(), disk=broken).look(tmp_path).room == float(
        "inf"
    )


def test_below_five_per_cent_results_wait_and_come_when_there_is_room(bench: Bench) -> None:
    """Two folders on one disk: it is said in both, sending goes on, and nothing is lost."""
    full = Disk(1, 1_000_000, 49_000)
    now = [full]
    bench.disk, bench.transfers = (lambda _path: now[0]), TransfersSettings()
    one, two = (bench.study(name, a="x", b="y") for name in ("one", "two"))
    bench.rest()
    for study in (one, two):
        assert study.state.executions
        assert not study.outputs()
        assert study.says("5 % of the disk of outputs/ stay free")
        assert status(study).exit_code == 3
    now[0] = Disk(1, 1_000_000, 500_000)
    bench.run(60.0)
    bench.rest()
    for study in (one, two):
        assert len(study.outputs()) == 2
        assert not study.says("stay free")
        assert status(study).exit_code == 0


def test_without_a_file_nothing_is_held_back(tmp_path: Path) -> None:
    """No hours, no ceiling, no share of the disk."""
    limits = TransferLimits(UNLIMITED, Timing()).look(tmp_path)
    assert (limits.sending, limits.room, limits.changes_at) == (True, float("inf"), None)


# two folders, the commands, and a VIP on a real port


CONFIG = 'folders = ["{root}/share"]\n[transfers]\nfree = "{free}"\n'


def _two(served: Served, free: str = "0%") -> tuple[list[Path], Path]:
    """Make two folders, and the vipsync.toml that names them."""
    names = ("one", "two")
    studies = [
        served.study(f"share/{name}", STUDY.replace("{name}", name), a="x") for name in names
    ]
    config = served.root / "vipsync.toml"
    config.write_text(CONFIG.format(root=served.root, free=free))
    return studies, config


def _said(studies: Iterable[Path], words: str) -> list[bool]:
    return [words in (study / "STATUS.txt").read_text() for study in studies]


def _results(studies: Iterable[Path]) -> list[int]:
    found = (study.glob("outputs/*/*") for study in studies)
    return [sum(path.suffix != ".json" for path in paths) for paths in found]


def test_the_hours_of_vipsync_toml_hold_for_all_its_folders(served: Served, call: Caller) -> None:
    """Outside them nothing goes up, and STATUS.txt says when; without them it all goes."""
    studies, config = _two(served)
    begin = (time.localtime().tm_hour + 3) % 24
    without = config.read_text()
    config.write_text(f'{without}hours = "{begin:02}:00-{begin:02}:59"\n')
    assert call("--config", config, "run", "--once").code == 0
    assert served.launches() == 0
    assert _said(studies, f"Files wait until {begin:02}:00 to be sent") == [True, True]
    for command in ("status", "plan", "check"):
        said = call("--config", config, command, studies[0]).out
        assert f"iles wait until {begin:02}:00 to be sent" in said
    config.write_text(without)
    assert call("--config", config, "run", "--once").code == 0
    assert served.launches() == 2
    assert _said(studies, "Files wait") == [False, False]


def test_before_the_first_run_it_is_said_what_waits_and_for_what(
    served: Served, call: Caller
) -> None:
    """Folders with files are not at rest: they wait to be started, and for the hour."""
    studies, config = _two(served)
    begin = (time.localtime().tm_hour + 3) % 24
    config.write_text(f'{config.read_text()}hours = "{begin:02}:00-{begin:02}:59"\n')
    for command in ("status", "plan", "check"):
        said = " ".join(call("--config", config, command, studies[0]).out.split())
        assert f"Files wait until {begin:02}:00 to be sent" in said
    said = call("--config", config, "status").out
    assert said.count("Not started yet: 1 file in inputs/; `vipsync check ") == 2
    assert "2 folders: 2 waiting." in said


def test_on_a_disk_that_is_nearly_full_results_wait_for_room(served: Served, call: Caller) -> None:
    """A real disk at 3 % free: two folders' results stay on VIP, and come when it has room."""
    disk = served.root / "share"
    disk.mkdir()
    with small_disk(disk, "128m"):
        studies, config = _two(served, "5%")
        filler = disk / "filler"
        usage = disk_of(disk)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, int(usage.free - 0.03 * usage.size))
        assert call("--config", config, "run", "--once").code == 3
        assert served.launches() == 2
        assert _results(studies) == [0, 0]
        assert _said(studies, "5 % of the disk of outputs/ stay free") == [True, True]
        filler.unlink()
        assert call("--config", config, "run", "--once").code == 0
        assert min(_results(studies)) > 0
        assert _said(studies, "stay free") == [False, False]


class _Noting(Serial):
    """Carries out work at once, and notes when files were on their way."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.sent = clock, list[tuple[float, float]]()

    def submit(self, work: Work, done: Done) -> None:
        """Carry one piece of work out."""
        began = self.clock.now()
        super().submit(work, done)
        if isinstance(work.action, do.SENDS):
            self.sent.append((began, self.clock.now()))


def test_two_folders_share_one_ceiling(tmp_path: Path) -> None:
    """What both send over more than half a minute is the ceiling's, within five per cent."""
    bench = Bench(tmp_path, transfer_poll=0.0)
    bench.executor = noting = _Noting(bench.clock)
    bench.transfers = TransfersSettings(upload=100e3, free=0.0)
    for name in ("one", "two"):
        bench.study(name, **{f"s{number}": f"{number}" * 200_000 for number in range(10)})
    bench.until(lambda: len(noting.sent) == 20)
    (began, _), (_, ended) = noting.sent[0], noting.sent[-1]
    assert ended - began == pytest.approx(20 * 200_000 / 100e3, rel=0.05)
    bench.close()


# what is said


def test_what_slows_transfers_down_is_said_with_how_long_it_takes(bench: Bench) -> None:
    """A ceiling and a number of streams, each with its place."""
    bench.executor = AtOnce()
    bench.transfers = TransfersSettings(streams=2, upload=10e3, free=0.0)
    study = bench.study(**{f"s{number:02}": "x" * 150_000 for number in range(10)})
    bench.until(lambda: _carried(bench, study, "send at most 10 kB/s (upload in vipsync.toml)"))
    assert study.says("takes 2 min or more") or study.says("min or more")
    assert study.says("At most 2 files are on the way at once")
    assert status(study).exit_code == 0


def _carried(bench: Bench, study: Study, words: str) -> bool:
    assert isinstance(bench.executor, AtOnce)
    if study.session.plan and study.says(words):
        return True
    bench.executor.carry_out()
    return False
