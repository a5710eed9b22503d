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
from vipsync.plan.removing import ASK_AGAIN
from vipsync.record.ledger import read_state
from vipsync.rows import Phase

# A process that dies closes nothing: what it had open goes with it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

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


KINDS = {
    "plain": "",
    "twice": "\n[launch]\nnb_runs = 2\n",
    "kept": "\n[outputs]\nkeep_archive = true\n",
}


class Folder:
    """One session folder, and what must come of it."""

    def __init__(self, served: Served, kind: str, signals: dict[str, str]) -> None:
        self.name, self.runs, self.keeps = kind, 1 + (kind == "twice"), kind == "kept"
        settings = SETTINGS.replace("mrs-spectrum/1.0", "spectrum/1").replace("{name}", kind)
        self.root = served.study(f"all/{kind}", settings + KINDS[kind])
        self.signals, self.dropped, self.finished = signals, 0, False

    def drop(self, number: int) -> None:
        """Let so many more signals arrive."""
        self.dropped += number
        for name, text in list(self.signals.items())[: self.dropped]:
            path = self.root / "inputs" / f"{name}.mrui"
            if not path.exists():
                path.write_text(text)

    def results(self) -> list[Path]:
        """Return the unpacked results."""
        return list((self.root / "outputs").glob("*/*.tgz/fit.txt"))

    def finish(self) -> None:
        """Delete the marker, when there is nothing that would be set aside."""
        self.finished = True
        every = min(self.dropped, len(self.signals)) * self.runs
        wait_until(lambda: len(self.results()) == every, PATIENCE)
        wait_until((self.root / "ON_VIP.txt").exists, PATIENCE)
        (self.root / "ON_VIP.txt").unlink()

    def is_closed(self) -> bool:
        """Tell whether nothing of the session is on VIP."""
        return read_state(self.root / ".vipsync" / "ledger.sqlite").session.phase is Phase.CLOSED

    def check(self) -> None:
        """Fail unless everything has come to its end, once."""
        there = list(self.signals.items())[: self.dropped]
        expected = Counter(text for _, text in there for _ in range(self.runs))
        texts = Counter(p.read_text() for p in self.results())
        assert texts == expected, f"{self.name}: a result is missing, or there too often"
        kept = list((self.root / "outputs" / ".archives").rglob("*.tgz"))
        assert len(kept) == self.keeps * len(self.results()), kept
        left = [*(self.root / ".vipsync" / "transfers").iterdir(), *self.root.rglob(".*.tmp")]
        assert left == [], f"something half is left: {left}"
        here = {p.stem: p.read_text() for p in (self.root / "inputs").iterdir()}
        assert here == dict(there), "an input was changed"


def live_for_real(root: Path, seed: int, kinds: Sequence[str] = ("plain",), kills: int = 2) -> None:
    """Run sessions with faults and kills to their end; raise AssertionError where that is wrong.

    At every eighth kill one of several is being finished.
    """
    chance = random.Random(seed)
    with serve(root, fit, KEY, seconds=0.3, transfer_timeout=0.5) as served:
        served.world.pipelines.add(SPECTRUM)
        numbers = range(3 * kills + 2)
        folders = [
            Folder(served, kind, {f"s{n:02}": f"{kind} {n} {chance.random()}\n" for n in numbers})
            for kind in kinds
        ]
        _arm(chance, served.world)
        growing, said = list(folders), []
        for kill in range(1, kills + 1):
            for folder in growing:
                folder.drop(3)
            finishing = growing.pop(0) if kill % 8 == 0 and len(growing) > 1 else None
            said.append(_run_and_kill(served, chance.uniform(0.3, 2.5), finishing))
        for folder in growing:
            folder.drop(2)
        said.append(_run_to_the_end(served, folders))
        _check(served, folders)
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


def _run_and_kill(served: Served, seconds: float, finishing: Folder | None) -> str:
    """Let a process work for a while, kill it, return what it said."""
    with served.process("run", served.root / "all", module="tests.lab.short_waits") as process:
        if finishing:
            finishing.finish()
        time.sleep(seconds)  # the moment of death is what is tried here
        assert KEY not in _command_line(process.pid)
        process.kill()
        return "".join(process.communicate())


def _run_to_the_end(served: Served, folders: Sequence[Folder]) -> str:
    with served.process("run", served.root / "all", module="tests.lab.short_waits") as process:
        for folder in [folder for folder in folders if not folder.finished]:
            folder.finish()
        # A removal that was asked for by a process that was killed is asked for again in ten minutes.
        wait_until(lambda: all(folder.is_closed() for folder in folders), ASK_AGAIN + 300)
        process.terminate()
        return "".join(process.communicate(timeout=PATIENCE))


def _check(served: Served, folders: Sequence[Folder]) -> None:
    for folder in folders:
        folder.check()
    executions = served.world.executions.all()
    names = [e.name for e in executions]
    assert len(names) == len(set(names)), "an execution was started twice"
    jobs = sum(min(f.dropped, len(f.signals)) * f.runs for f in folders)
    assert sum(len(e.tasks) for e in executions) == jobs
    assert served.on_vip() == [], "something is left on VIP"
    for file in _files_outside(served):
        assert KEY.encode() not in file.read_bytes(), f"the key is in {file}"


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
@pytest.mark.timeout(3600)
def test_a_process_that_keeps_three_folders_is_killed_many_times(tmp_path: Path) -> None:
    """Cases run twice, archives are kept, one session after another is finished; 25 deaths."""
    live_for_real(tmp_path, 0, tuple(KINDS), kills=25)


@pytest.mark.nightly
@pytest.mark.timeout(6 * 3600)
def test_ten_thousand_stories_come_to_their_right_end() -> None:
    """The same as with the first seeds, for a night."""
    assert ", 0 bad, " in soak(10_000, "--jobs", "2")
