"""Files come and go at hundreds a second: what stays is launched within a minute, of what is gone nothing is said."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from vipsync.run.reconciler import Reconciler


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


class Churn:
    """Make files at each look that are gone some seconds later, and hear what is said."""

    def __init__(self, bench: Bench, root: Path, lifetime: float, name: str) -> None:
        self.bench, self.inputs, self.lifetime, self.name = bench, root / "inputs", lifetime, name
        self.there: deque[tuple[float, Path]] = deque()
        self.said: set[str] = set()
        self.made = 0

    def __call__(self, session: Reconciler) -> None:
        now = self.bench.clock.now()
        while self.there and self.there[0][0] <= now - self.lifetime:
            self.there.popleft()[1].unlink()
        for _ in range(100):
            self.made += 1
            path = self.inputs / self.name.format(self.made)
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{self.made}")
            self.there.append((now, path))
        if session.observer:
            session.observer.look_everywhere()
        notices = session.plan.notices if session.plan else ()
        self.said |= {f"{notice.subject}: {notice.text}" for notice in notices}


@pytest.mark.parametrize(
    ("lifetime", "name"),
    [(0.0, "t{}.mrui"), (3.0, "t{}.mrui"), (0.0, "t{}.mrui.x"), (3.0, "t{}/x.mrui")],
)
def test_what_stays_is_launched_within_a_minute(bench: Bench, lifetime: float, name: str) -> None:
    """Whatever else lies beside it for a moment, in the same folder or in others."""
    study = bench.study(keep="x")
    bench.publish = churn = Churn(bench, study.root, lifetime, name)
    began = bench.clock.now()
    bench.until(bench.executions)
    assert bench.executions() == [["keep.mrui"]]
    assert bench.clock.now() - began <= 60
    assert churn.made > 300
    assert not [words for words in churn.said if "t1" in words]
