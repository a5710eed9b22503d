"""The whole engine under faults and sudden deaths, by seeds: each story comes to its right end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.served import ROOT
from tests.soak.real import live_for_real
from tests.soak.seeds import Told, live_seed

SEEDS = 200
CALM = 20
TRACED = 10


def soak(count: int, *options: str, **environ: str) -> str:
    """Return what the command says of the first seeds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", str(count), *options],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def bad(found: Sequence[Told]) -> list[str]:
    """Return a line for each seed that ended badly."""
    return [f"seed {told.seed}: {told.wrong}" for told in found if told.wrong]


@pytest.mark.timeout(1200)
def test_each_story_comes_to_its_right_end_through_faults_and_deaths() -> None:
    """Each case launched exactly nb_runs times, every result here and whole, VIP clean, no key told."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(live_seed, range(SEEDS), chunksize=5))
    assert bad(found) == []
    assert sum(told.figures["deaths"] for told in found) > SEEDS


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(1539, id="a wrong size of a result that is being edited"),
        pytest.param(2346, id="a wrong size while the removal that was asked for happens"),
        pytest.param(8154, id="the same, and another round after it"),
        pytest.param(9401, id="a transfer without an answer that arrives in the next round"),
    ],
)
def test_a_story_that_once_ended_badly_comes_to_its_right_end(seed: int) -> None:
    """What a long run found is lived again in each short one."""
    assert live_seed(seed).wrong == ""


def test_the_right_end_is_that_of_the_story_without_faults() -> None:
    """What the stories are held against is what comes of them when nothing goes wrong."""
    found = [live_seed(seed, calm=True) for seed in range(CALM)]
    assert bad(found) == []
    assert not any(told.figures["deaths"] for told in found)


def test_the_same_seed_gives_the_same_trace_twice() -> None:
    """Every request, ledger row and outcome at its time, also where hashes are salted otherwise."""
    with ThreadPoolExecutor(2) as pool:
        once, again = pool.map(
            lambda salt: soak(TRACED, "--traces", PYTHONHASHSEED=salt), ("1", "2")
        )
    traces = [line for line in once.splitlines() if line.startswith("seed ")]
    assert len(set(traces)) == TRACED
    assert [line for line in again.splitlines() if line.startswith("seed ")] == traces


def live_some(root: Path, seeds: range) -> None:
    """Live some seeds for real, side by side: most of their time they wait."""
    with ThreadPoolExecutor(len(seeds)) as pool:
        for _ in pool.map(lambda seed: live_for_real(root / str(seed), seed), seeds):
            pass


def test_processes_that_are_killed_over_real_sockets_come_to_the_right_end(tmp_path: Path) -> None:
    """`vipsync run`, killed twice, with faults on the way; its words and files hold no key."""
    live_some(tmp_path, range(3))


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 20, 4))
def test_more_processes_come_to_the_right_end(tmp_path: Path, first: int) -> None:
    """Twenty seeds over real sockets and processes."""
    live_some(tmp_path, range(first, first + 4))


@pytest.mark.nightly
@pytest.mark.timeout(6 * 3600)
def test_ten_thousand_stories_come_to_their_right_end() -> None:
    """The same as with 200 seeds, for a night."""
    assert ", 0 bad, " in soak(10_000, "--jobs", "2")
