"""How many transfers a server is given at once, and which come first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.lab.bench import Bench
from tests.lab.builders import state_of
from vipsync import actions as do
from vipsync.errors import (
    DiskError,
    GenericVipError,
    PathForbidden,
    SlotsFull,
    Unreachable,
    VipsyncError,
)
from vipsync.local import FOR_EVER, Kind
from vipsync.model import MOST_TRANSFERS, RelPath, VipPath
from vipsync.run.account import Window
from vipsync.run.dispatch import AHEAD, LATE, MOST_READS, SMALL, Done, carry_out, strained
from vipsync.run.reconciler import Work

SEND = do.SendFile(VipPath("/vip/Home/a"), RelPath("a"), state_of("small"))


class AtOnce:
    """Carries out what was handed out together, and notes it, only when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Work, Done]] = []
        self.together: list[list[do.Action]] = []

    def submit(self, work: Work, done: Done) -> None:
        """Keep one piece of work."""
        self.waiting.append((work, done))

    def carry_out(self) -> None:
        """Carry out everything that is under way."""
        work, self.waiting = self.waiting, []
        if work:
            self.together.append([one.action for one, _ in work])
        for one, done in work:
            carry_out(one, done)

    def sends(self) -> Iterator[list[int]]:
        """Yield the sizes of the files that were under way together."""
        for actions in self.together:
            if sizes := [a.state.size for a in actions if isinstance(a, do.SendFile)]:
                yield sizes


@pytest.fixture
def executor(bench: Bench) -> AtOnce:
    """Let the loop's work wait until it is carried out together."""
    bench.executor = found = AtOnce()
    return found


def everything_runs(bench: Bench, executor: AtOnce) -> bool:
    """Carry out what is under way; tell whether an execution was started."""
    executor.carry_out()
    return bench.count("POST /executions") > 0


def test_big_files_go_first_and_small_ones_in_between(bench: Bench, executor: AtOnce) -> None:
    """The first six are the biggest that are left, then come the smallest."""
    bench.study(**{f"s{number:02}": "x" * number for number in range(1, 31)})
    bench.until(lambda: everything_runs(bench, executor))
    sends = list(executor.sends())
    assert sends[0] == [30, 29, 28, 27, 26, 25, 1, 2, 3, 4]
    assert max(map(len, sends)) == MOST_TRANSFERS + AHEAD
    assert sorted(size for sizes in sends for size in sizes) == list(range(1, 31))


def test_a_server_that_refuses_is_given_less_and_then_more_again(
    bench: Bench, executor: AtOnce
) -> None:
    """While transfers are refused they become fewer; when they go well again, one more each round."""
    bench.study(**{f"s{number:03}": f"signal {number}" for number in range(100)})
    bench.world.faults.arm(Kind.REFUSED, "PUT *.mrui", times=40)
    bench.until(lambda: everything_runs(bench, executor))
    widths = [len(sizes) for sizes in executor.sends()]
    assert widths[0] == MOST_TRANSFERS + AHEAD
    assert min(widths) == 1
    after = widths[len(widths) - widths[::-1].index(1) :]
    assert max(after) == MOST_TRANSFERS + AHEAD, "it never recovered"
    below = [width for width in after if width < MOST_TRANSFERS]
    assert all(new <= old + 1 for old, new in itertools.pairwise(below))


def test_one_portal_in_trouble_does_not_slow_another(bench: Bench, executor: AtOnce) -> None:
    """Each portal has a window of its own; eight is the most over all."""
    one, two = (
        bench.study(name, SETTINGS_AT.replace("PORTAL", name), **dict.fromkeys("abcdefghij", "x"))
        for name in ("one", "two")
    )
    bench.world.faults.arm(Kind.REFUSED, "PUT */one/INPUTS/*.mrui", times=FOR_EVER)

    def started() -> bool:
        executor.carry_out()
        return [study for study in (one, two) if study.state.launches] == [two]

    bench.until(started)
    mine = [
        sum(isinstance(a, do.SendFile) and "/two/" in a.vip for a in actions)
        for actions in executor.together
    ]
    assert all(
        len(actions) <= MOST_TRANSFERS + AHEAD or all(isinstance(a, do.READS) for a in actions)
        for actions in executor.together
    )
    assert min(filter(None, mine[:-1])) >= 2, mine


def sends(executor: AtOnce) -> bool:
    """Carry out what is under way; tell whether a file was sent."""
    executor.carry_out()
    return any(executor.sends())


@pytest.mark.parametrize(
    ("size", "most"), [(1, MOST_READS), (SMALL // 16, 16), (SMALL // 4, MOST_TRANSFERS + AHEAD)]
)
def test_many_small_files_are_read_at_once(
    bench: Bench, executor: AtOnce, size: int, most: int
) -> None:
    """One flush of the ledger takes in many of them; behind big ones nothing is to wait."""
    bench.study(**{f"s{number:02}": "x" * size for number in range(70)})
    bench.until(lambda: sends(executor))
    reads = [
        len(actions)
        for actions in executor.together
        if all(isinstance(action, do.READS) for action in actions)
    ]
    assert max(reads) == most, reads


SETTINGS_AT = """\
pipeline_id = "spectrum/1"
portal = "https://PORTAL.test"

[input_settings]
signal = "*.mrui"
"""


def test_a_window_is_halved_once_for_what_began_together() -> None:
    """Eight refusals of one bad hour are one sign, not eight."""
    window = Window()
    for _ in range(8):
        window.note(0, strained=True)
    assert window.size == 4
    window.note(1, strained=True)
    window.note(2, strained=True)
    window.note(3, strained=True)
    assert window.size == 1, "something always goes on"


def test_a_window_grows_by_one_in_a_round_and_never_above_its_most() -> None:
    """As many good transfers as are under way together make one more."""
    window = Window(4)
    window.note(0, strained=True)
    sizes = []
    for _ in range(12):
        window.note(1, strained=False)
        sizes.append(window.size)
    assert sizes == [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("outcome", "seconds", "said"),
    [
        (do.FileSent(""), 2.0, False),
        (do.FileSent(""), LATE + 1, True),
        (do.Failed(GenericVipError("no")), 2.0, True),
        (do.Failed(Unreachable("no answer")), 90.0, True),
        (do.Failed(SlotsFull("wait", retry_after=5.0)), 0.1, True),
        (do.Failed(PathForbidden("no")), 0.1, None),
        (do.Failed(DiskError("full")), 0.1, None),
        (do.Failed(VipsyncError("a fault")), 0.1, None),
    ],
)
def test_what_a_transfer_says_of_the_server(
    outcome: do.Outcome, seconds: float, said: bool | None
) -> None:
    """Refused, unanswered or late: it has too much to do. What this machine refused says nothing."""
    assert strained(SEND, outcome, seconds) is said


def test_what_takes_long_because_it_is_big_is_not_late() -> None:
    """The time of a big file is that of the line."""
    fetch = do.FetchResult(VipPath("/vip/Home/b"), SMALL + 1, RelPath("b"), True, False)
    assert strained(fetch, do.ResultHere(fetch.local, False, "1"), 3600.0) is False
    assert strained(do.Poll("workflow-1"), do.Failed(GenericVipError("no")), 1.0) is None
