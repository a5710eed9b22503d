"""The whole engine under faults and sudden deaths, by seeds: each story comes to its right end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.pipelines import SPECTRUM
from tests.lab.served import KEY, ROOT, SETTINGS, Served, serve, wait_until
from tests.soak.life import Told, fit, live_seed
from vipsync.local import Kind, World
from vipsync.record.ledger import read_state
from vipsync.rows import Phase

SEEDS = 60
CALM = 10
TRACED = 5


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


# The same with real sockets, processes and kills: `vipsync run` against a VIP that fails now and then.
# Only faults after which vipsync tries again within seconds: nobody can wait two minutes for a
# doubtful launch here. The others are tried on the virtual clock.

PATIENCE = 120.0

_LOOKS = ("GET *", "GET */path/*", "GET */executions/*")
_SILENT = (Kind.ANSWER_REFUSED, Kind.ANSWER_ERROR, Kind.ANSWER_LOST)
_ON_LOOKS = (*_SILENT, Kind.REFUSED, Kind.SERVER_ERROR, Kind.REQUEST_LOST, Kind.NOT_FOUND)
_ON_EFFECTS = ("PUT *", "POST *", "DELETE *")
_ON_PATHS = (
    Kind.UPLOAD_TIMES_OUT,
    Kind.UPLOAD_VANISHES,
    Kind.UPLOAD_WRONG_SIZE,
    Kind.DOWNLOAD_CUT,
    Kind.LISTING_WRONG_SIZE,
    Kind.REMOVAL_LATE,
)


def live_for_real(root: Path, seed: int) -> None:
    """Run a session with faults and kills to its end; raise AssertionError where that is wrong."""
    chance = random.Random(seed)
    signals = {f"s{n:02}": f"signal {n} {chance.random()}\n" for n in range(8)}
    with serve(root, fit, KEY, seconds=0.3, transfer_timeout=0.5) as served:
        served.world.pipelines.add(SPECTRUM)
        study = served.study(settings=SETTINGS.replace("mrs-spectrum/1.0", "spectrum/1"))
        _arm(chance, served.world)
        said = []
        for part in (list(signals)[:3], list(signals)[3:6]):
            _drop(study, {name: signals[name] for name in part})
            said.append(_run_and_kill(served, study, chance.uniform(0.3, 2.5)))
        _drop(study, signals)
        _arm(chance, served.world)
        said.append(_run_to_the_end(served, study, signals))
        _check(served, study, signals)
        assert KEY not in "".join(said), "the key was said"


def _arm(chance: random.Random, world: World) -> None:
    for _ in range(chance.randint(1, 4)):
        drawn, times = chance.random(), chance.choice([1, 1, 2])
        if drawn < 0.3:
            world.faults.arm(chance.choice(_ON_LOOKS), chance.choice(_LOOKS), times=times)
        elif drawn < 0.6:
            world.faults.arm(chance.choice(_SILENT), chance.choice(_ON_EFFECTS), times=times)
        elif drawn < 0.7:
            world.faults.arm(Kind.UNAUTHORIZED, "GET *")
        else:
            world.faults.arm(chance.choice(_ON_PATHS), seconds=1.0)


def _drop(study: Path, signals: dict[str, str]) -> None:
    for name, text in signals.items():
        path = study / "inputs" / f"{name}.mrui"
        if not path.exists():
            path.write_text(text)


def _run_and_kill(served: Served, study: Path, seconds: float) -> str:
    """Let a process work for a while, kill it, return what it said."""
    with served.process("run", study, module="tests.lab.short_waits") as process:
        time.sleep(seconds)  # the moment of death is what is tried here
        assert KEY not in _command_line(process.pid)
        process.kill()
        return "".join(process.communicate())


def _run_to_the_end(served: Served, study: Path, signals: dict[str, str]) -> str:
    with served.process("run", study, module="tests.lab.short_waits") as process:
        wait_until(lambda: len(_results(study)) == len(signals), PATIENCE)
        wait_until((study / "ON_VIP.txt").exists, PATIENCE)
        (study / "ON_VIP.txt").unlink()
        wait_until(lambda: _phase(study) is Phase.CLOSED, PATIENCE)
        process.terminate()
        return "".join(process.communicate(timeout=PATIENCE))


def _check(served: Served, study: Path, signals: dict[str, str]) -> None:
    texts = Counter(p.read_text() for p in _results(study))
    assert texts == Counter(signals.values()), "a result is missing, or there twice"
    names = [e.name for e in served.world.executions.all()]
    assert len(names) == len(set(names)), "an execution was started twice"
    assert sum(len(e.tasks) for e in served.world.executions.all()) == len(signals)
    assert served.on_vip() == [], "something is left on VIP"
    left = [p.name for p in (study / ".vipsync" / "transfers").iterdir()]
    assert left == [], f"something half is left: {left}"
    here = {p.stem: p.read_text() for p in (study / "inputs").iterdir()}
    assert here == signals, "an input was changed"
    for file in _files_outside(served):
        assert KEY.encode() not in file.read_bytes(), f"the key is in {file}"


def _results(study: Path) -> list[Path]:
    return list((study / "outputs").glob("*/*.tgz/fit.txt"))


def _phase(study: Path) -> Phase:
    return read_state(study / ".vipsync" / "ledger.sqlite").session.phase


def _files_outside(served: Served) -> list[Path]:
    """Return every file that vipsync may have written, anywhere."""
    found = served.root.rglob("*")
    return [p for p in found if p.is_file() and not p.is_relative_to(served.world.root)]


def _command_line(pid: int) -> str:
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_text() if path.exists() else ""


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
    """The same as with the first seeds, for a night."""
    assert ", 0 bad, " in soak(10_000, "--jobs", "2")
