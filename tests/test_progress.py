"""Transfers, counted from the plan and from the bytes that pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from vipsync import actions as do
from vipsync.report.progress import Progress, Transfer, left_to_transfer
from vipsync.run.dispatch import Done, Serial
from vipsync.run.reconciler import Work

HERE = Path("/study")
UP, UP2 = do.Key(do.SendFile, "/vip/a"), do.Key(do.SendFile, "/vip/b")
DOWN = do.Key(do.FetchResult, "/vip/c")


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def none(_key: do.Key) -> bool:
    """Say that nothing has arrived."""
    return False


def only(*keys: do.Key) -> Callable[[do.Key], bool]:
    """Say which transfers have arrived."""
    return lambda key: key in keys


def test_a_batch_counts_bytes_as_they_pass() -> None:
    """Files, bytes and speed, without waiting for the next look."""
    clock = Clock()
    progress = Progress(clock)
    progress.expect(HERE, {UP: 100, UP2: 300}, none)
    progress.batches(HERE)
    clock.now = 2.0
    progress.moved(UP, 100, 100)
    progress.moved(UP2, 100, 300)
    [batch] = progress.batches(HERE)
    assert (batch.files, batch.of, batch.moved, batch.size) == (1, 2, 200, 400)
    assert batch.speed == 100.0
    assert batch.share == 0.5
    clock.now = 4.0
    [batch] = progress.batches(HERE)
    assert batch.slow == (Transfer("a", 100, 100), Transfer("b", 100, 300))


def test_a_batch_ends_when_nothing_is_left() -> None:
    """What arrived is counted, what failed is not."""
    clock = Clock()
    progress = Progress(clock)
    assert progress.expect(HERE, {UP: 100, UP2: 300}, none) == []
    assert progress.expect(HERE, {UP2: None}, only(UP)) == []
    clock.now = 3.0
    [ended] = progress.expect(HERE, {}, only(UP))
    assert (ended.files, ended.of, ended.size, ended.seconds) == (1, 1, 100, 3.0)
    assert progress.batches(HERE) == []


@pytest.mark.parametrize("between", [{}, {UP2: 300}, {UP2: None}, {DOWN: 7}])
def test_what_arrives_after_it_failed_is_counted_then(between: dict[do.Key, int | None]) -> None:
    """VIP may have taken a file that it refused: each counts once, as soon as that is known."""
    progress = Progress(Clock())
    progress.expect(HERE, {UP: 100, UP2: 300}, none)
    ended = [*progress.expect(HERE, {}, only(UP)), *progress.expect(HERE, {}, only(UP))]
    assert [(batch.files, batch.size) for batch in ended] == [(1, 100)]
    assert progress.batches(HERE) == []
    ended = progress.expect(HERE, between, only(UP))
    for _ in range(2):
        ended += progress.expect(HERE, {}, only(UP, UP2))
    assert [(batch.files, batch.size) for batch in ended if batch.upload] == [(1, 300)]


def test_both_directions_and_other_folders_are_apart() -> None:
    """Each folder has its own batches, one up and one down."""
    progress = Progress(Clock())
    progress.expect(HERE, {UP: 1, DOWN: 2, do.Key(do.Poll, "x"): None}, none)
    progress.expect(Path("/other"), {UP2: 5}, none)
    assert [(b.upload, b.size) for b in progress.batches(HERE)] == [(True, 1), (False, 2)]
    assert [b.size for b in progress.batches(Path("/other"))] == [5]


def test_what_nobody_expects_is_overlooked() -> None:
    """A thread that is late with its last block disturbs nothing."""
    progress = Progress(Clock())
    progress.moved(UP, 5, 10)
    assert progress.batches(HERE) == []


def test_a_transfer_that_begins_again_counts_from_zero() -> None:
    """Bytes of a failed attempt are not counted twice."""
    progress = Progress(Clock())
    progress.expect(HERE, {UP: 100}, none)
    progress.moved(UP, 80, 100)
    progress.expect(HERE, {UP: 100}, none)
    progress.moved(UP, 10, 100)
    assert progress.batches(HERE)[0].moved == 10


class Held(Serial):
    """Carries out everything but transfers, which never end."""

    def submit(self, work: Work, done: Done) -> None:
        if not isinstance(work.action, do.SendFile):
            super().submit(work, done)


def test_what_is_under_way_keeps_its_size(bench: Bench) -> None:
    """A transfer that was handed out before anybody asked counts with its bytes."""
    study, bench.executor = bench.study(a="signal"), Held()
    bench.until(lambda: any(left_to_transfer(study.session).values()))
    assert not study.session.queue
    assert list(left_to_transfer(study.session).values()) == [len("signal")]
