"""The whole engine under faults, by seeds: `python -m tests.soak 1000` tries seeds 0 to 999.

Each seed is a story on the embedded VIP in virtual time: files arrive, VIP and the connection fail
in every way they can be made to, the process dies now and then, the marker is deleted. It must end
as the story without faults does: each case launched once, every result here, VIP clean.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.harness import Bench, Study
from vipsync import actions as do
from vipsync.act import Stopped
from vipsync.dispatch import Done, carry_out
from vipsync.local import Kind
from vipsync.reconcile import Work
from vipsync.state import Phase, ResultStatus

ROUTES = ("GET *", "PUT *", "POST *", "DELETE *", "GET */executions*", "GET */path/*")
ON_ROUTES = (
    Kind.REFUSED,
    Kind.SERVER_ERROR,
    Kind.NOT_FOUND,
    Kind.UNAUTHORIZED,
    Kind.REQUEST_LOST,
    Kind.ANSWER_REFUSED,
    Kind.ANSWER_ERROR,
    Kind.ANSWER_LOST,
)
ON_PATHS = (
    Kind.UPLOAD_TIMES_OUT,
    Kind.UPLOAD_VANISHES,
    Kind.UPLOAD_WRONG_SIZE,
    Kind.REMOVAL_NEVER,
    Kind.REMOVAL_LATE,
    Kind.DOWNLOAD_CUT,
)


class Killed(BaseException):
    """The process was killed here."""


class Mortal:
    """Carries work out at once, and now and then kills the process before or after it."""

    def __init__(self, chance: random.Random, odds: float) -> None:
        self._chance, self.odds = chance, odds

    def submit(self, work: Work, done: Done) -> None:
        """Carry work out, unless the process dies first."""
        dies = self._chance.random()
        if dies < self.odds / 2:
            raise Killed
        told: list[do.Outcome | None] = []
        carry_out(work, lambda _work, outcome: told.append(outcome))
        if dies < self.odds:
            raise Killed
        done(work, told[0])


class Story:
    """One seed: a world, its faults, and what must come of it."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bench = Bench(root, transfer_timeout=45.0, removal_delay=self.chance.choice([0, 3]))
        self.bench.job_seconds = lambda _job: self.chance.choice([1.0, 30.0, 400.0])
        self.mortal = Mortal(self.chance, self.chance.choice([0.0, 0.0, 0.02, 0.1]))
        self.bench.executor = self.mortal
        self.study: Study = self.bench.study()
        self.cases: set[str] = set()
        self.deaths = 0

    def tell(self) -> Counter[str]:
        """Live the story to its end; raise AssertionError where it ends badly."""
        self._arm(self.chance.randrange(6))
        for _ in range(self.chance.randint(1, 3)):
            self._drop(self.chance.randint(1, 4))
            self._until(self._all_here)
            self._arm(self.chance.randrange(4))
        self._drop_marker()
        self._until(self._closed)
        self._check()
        return Counter(f"{r.method}" for r in self.bench.world.requests)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            name = f"s{len(self.cases):02}"
            self.cases.add(name)
            self.study.drop(**{name: f"signal {name} {self.chance.random()}"})

    def _drop_marker(self) -> None:
        self.study.marker.unlink()

    def _arm(self, count: int) -> None:
        for _ in range(count):
            times = self.chance.randint(1, 3)
            if self.chance.random() < 0.6:
                kind, route = self.chance.choice(ON_ROUTES), self.chance.choice(ROUTES)
                self.bench.world.faults.arm(kind, route, times=times)
            else:
                kind = self.chance.choice(ON_PATHS)
                seconds = self.chance.choice([1.0, 20.0, 90.0])
                times = 1 if kind is Kind.REMOVAL_NEVER else times  # each costs ten minutes
                self.bench.world.faults.arm(kind, "*", times=times, seconds=seconds)

    def _until(self, condition: Callable[[], bool]) -> None:
        for _ in range(200):
            try:
                self.bench.until(condition)
            except (Killed, Stopped):
                self.deaths += 1
                self.mortal.odds *= 0.7
                self.bench.die()
            else:
                return
        raise AssertionError("the process died too often")

    def _all_here(self) -> bool:
        session = self.study.session
        if session.trouble or not session.is_open or not session.at_rest:
            return False
        here = {
            r.vip.rsplit("/", 1)[-1]
            for r in self.study.state.results.values()
            if r.status is ResultStatus.HERE
        }
        return here >= {f"{name}.mrui.tgz" for name in self.cases}

    def _closed(self) -> bool:
        session = self.study.session
        return session.is_open and self.study.state.session.phase is Phase.CLOSED

    def _check(self) -> None:
        started = Counter(name for names in self.bench.executions() for name in names)
        assert started == Counter({f"{name}.mrui": 1 for name in self.cases}), started
        assert self.bench.vip_sessions() == [], self.bench.vip_sessions()
        folders = [p for p in (self.study.root / "outputs").glob("*/*.tgz") if p.is_dir()]
        assert {p.name for p in folders} == {f"{name}.mrui.tgz" for name in self.cases}
        assert len(folders) == len(self.cases), "a result came twice"
        assert all(any(p.iterdir()) for p in folders), "an empty result"
        leftovers = [p.name for p in (self.study.root / ".vipsync" / "transfers").iterdir()]
        assert leftovers == [], leftovers


def run_seed(seed: int) -> Counter[str]:
    """Live one seed in a folder of its own; return what was asked of VIP, by method."""
    with tempfile.TemporaryDirectory(prefix="vipsync-soak-") as root:
        story = Story(Path(root), seed)
        try:
            return story.tell()
        finally:
            story.bench.close()


def main(count: int, first: int = 0) -> int:
    """Try seeds; return how many ended badly."""
    bad, began = 0, time.monotonic()
    for seed in range(first, first + count):
        try:
            run_seed(seed)
        except AssertionError as error:
            bad += 1
            print(f"seed {seed}: {str(error).splitlines()[0][:300]}")
    print(f"{count} seeds, {bad} bad, {time.monotonic() - began:.0f} s")
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:] or ["200"]))))
