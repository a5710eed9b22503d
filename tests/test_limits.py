"""The limits of vipsync.toml over all folders: ceilings, hours, free disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from vipsync.model import TransfersSettings
from vipsync.run.limits import UNLIMITED, Allowance, Ceiling
from vipsync.run.timing import Timing


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def timing(self) -> Timing:
        return Timing(clock=lambda: self.now, wall=lambda: self.now, sleep=self.sleep)


def _go_on() -> None:
    pass


def test_a_ceiling_holds_over_half_a_minute() -> None:
    """Blocks pass at the rate that was set, within five per cent."""
    clock, passed = _Clock(), 0
    ceiling = Ceiling(5e6, clock.timing)
    while clock.now < 1030.0:
        ceiling(2**20, _go_on)
        passed += 2**20
    assert passed == pytest.approx(150e6, rel=0.05)


def test_what_was_not_used_is_made_up_for_a_second_at_most() -> None:
    """An hour of silence is no right to a burst."""
    clock = _Clock()
    ceiling = Ceiling(1e6, clock.timing)
    clock.sleep(3600.0)
    began = clock.now
    for _ in range(10):
        ceiling(1_000_000, _go_on)
    assert clock.now - began == pytest.approx(9.0)


def test_a_stop_ends_a_transfer_that_waits() -> None:
    """It does not wait for its turn."""
    clock = _Clock()
    ceiling = Ceiling(1e3, clock.timing)

    def stop() -> None:
        if clock.now > 1001.0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ceiling(1_000_000, stop)
    assert clock.now < 1002.0


def test_transfers_share_a_ceiling_alike() -> None:
    """Each gets one block in turn, whichever thread asks."""
    ceiling, passed = Ceiling(4e6, Timing()), [0, 0, 0, 0]
    done = threading.Event()

    def stop() -> None:
        if done.is_set():
            raise InterruptedError

    def transfer(number: int) -> None:
        while sum(passed) < 40:
            try:
                ceiling(50_000, stop)
            except InterruptedError:
                return
            passed[number] += 1
        done.set()

    threads = [threading.Thread(target=transfer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(passed) - min(passed) <= 2


def _at(hours: tuple[int, int] | None, hour: int, minute: int = 0) -> Allowance:
    local = time.struct_time((2024, 1, 1, hour, minute, 0, 0, 1, 0))
    settings = TransfersSettings(hours=hours, free=0.0)
    return Allowance(settings, _Clock().timing, lambda _wall: local)


@pytest.mark.parametrize(
    ("hour", "sending"), [(18, False), (19, True), (23, True), (6, True), (7, False), (12, False)]
)
def test_hours_may_pass_midnight(hour: int, sending: bool) -> None:
    """They begin with their first minute, and are over with their last."""
    assert _at((19 * 60, 7 * 60), hour).look(Path()).sending is sending


def test_the_end_of_the_hours_is_looked_for_in_time() -> None:
    """A plan that was made within them is made anew when they end."""
    limits = _at((19 * 60, 7 * 60), 6, 55).look(Path())
    assert limits.changes_at == pytest.approx(1300.0)


def test_a_disk_that_is_nearly_full_has_no_room(tmp_path: Path) -> None:
    """What is to stay free is taken off."""
    settings = TransfersSettings(free=0.05)
    nearly = Allowance(settings, _Clock().timing, usage=lambda _path: (1000, 49))
    assert nearly.look(tmp_path).room < 0
    assert Allowance(settings, _Clock().timing).look(tmp_path / "not yet").room < float("inf")


def test_without_a_file_nothing_is_held_back(tmp_path: Path) -> None:
    """No hours, no ceiling, no share of the disk."""
    limits = Allowance(UNLIMITED, _Clock().timing).look(tmp_path)
    assert limits.sending
    assert limits.room == float("inf")
    assert not limits.upload
