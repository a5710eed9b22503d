"""Real processes and real kills: `python -m tests.kills 200` kills a running `vipsync run` 200 times.

A process keeps three folders at once: files come, jobs run, archives are unpacked, one session
after another is finished. It is killed at random moments and started again. In the end each case
was launched once, or `nb_runs` times, every result is here, and VIP is empty.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.served import SETTINGS, Served, serve, wait_until
from vipsync.plan.removing import ASK_AGAIN

KILLS_EACH = 25
"""Kills in the life of three folders; then others take their place."""

TWICE = SETTINGS + "\n[launch]\nnb_runs = 2\n"
KEPT = SETTINGS + "\n[outputs]\nkeep_archive = true\n"


class Folder:
    """One session folder, and what must come of it."""

    def __init__(self, served: Served, name: str, settings: str) -> None:
        self.name, self.runs, self.keeps = name, 2 if settings is TWICE else 1, settings is KEPT
        self.root = served.study(f"all/{name}", settings.replace("{name}", name))
        self.cases: list[str] = []

    @property
    def marker(self) -> Path:
        """ON_VIP.txt."""
        return self.root / "ON_VIP.txt"

    def drop(self, chance: random.Random) -> None:
        """Let a case arrive."""
        case = f"s{len(self.cases):03}"
        self.cases.append(case)
        content = chance.randbytes(chance.choice([10, 5_000, 300_000]))
        (self.root / "inputs" / f"{case}.mrui").write_bytes(content)

    @property
    def is_complete(self) -> bool:
        """Tell whether there is a result of each run."""
        return len(self.results) == len(self.cases) * self.runs

    @property
    def results(self) -> list[Path]:
        """The unpacked results."""
        return [p for p in (self.root / "outputs").glob("*/*.tgz") if p.is_dir()]

    def check(self, served: Served) -> None:
        """Fail unless everything has come to its end, once."""
        inside = f"/{self.name}/INPUTS/"
        asked = [
            str(value)
            for execution in served.world.executions.all()
            for value in execution.submission.values["signal"]
        ]
        started = Counter(value for value in asked if inside in value)
        assert list(started.values()) == [self.runs] * len(self.cases), (self.name, started)
        assert self.is_complete, (self.name, len(self.results))
        assert all(any(p.iterdir()) for p in self.results), f"{self.name}: an empty result"
        kept = list((self.root / "outputs" / ".archives").rglob("*.tgz"))
        assert len(kept) == self.keeps * len(self.results), kept
        left = [*(self.root / ".vipsync" / "transfers").iterdir(), *self.root.rglob(".*.tmp")]
        assert left == [], left


def live(served: Served, number: int, kills: int, chance: random.Random) -> None:
    """Kill the process of three new folders so often, then let it come to its end."""
    kinds = {"plain": SETTINGS, "twice": TWICE, "kept": KEPT}
    folders = [Folder(served, f"{kind}{number}", kinds[kind]) for kind in kinds]
    growing = list(folders)
    for kill in range(kills):
        for folder in growing:
            folder.drop(chance)
        with _running(served, folders) as process:
            if kill % 8 == 7 and len(growing) > 1:
                _finish(growing.pop(0))
            time.sleep(chance.expovariate(2.0))  # the moment of death is what is tried here
            process.kill()
            process.communicate()
    with _running(served, folders) as process:
        for folder in growing:
            _finish(folder)
        names = {folder.name for folder in folders}
        wait_until(lambda: not names & set(served.on_vip()), seconds=ASK_AGAIN + 300)
        process.terminate()  # this one may end what it writes
        process.communicate(timeout=60)
    for folder in folders:
        folder.check(served)


@contextmanager
def _running(served: Served, folders: list[Folder]) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has begun to work."""
    asked = len(served.world.requests)
    with served.process("run", folders[0].root.parent, module="tests.lab.short_waits") as process:
        wait_until(lambda: len(served.world.requests) > asked)
        yield process


def _finish(folder: Folder) -> None:
    """Delete the marker, when there is nothing that would be set aside."""
    wait_until(lambda: folder.is_complete, seconds=300)
    folder.marker.unlink()


def main(count: int, seed: int = 0) -> None:
    """Kill so often, in as many lives as it takes; raise AssertionError where one ends badly."""
    chance, began, killed = random.Random(seed), time.monotonic(), 0
    with (
        tempfile.TemporaryDirectory(prefix="vipsync-kills-") as root,
        serve(Path(root), seconds=0.3, removal_delay=1.0) as served,
    ):
        while killed < count:
            kills = min(KILLS_EACH, count - killed)
            live(served, killed, kills, chance)
            killed += kills
            print(f"{killed} kills, {time.monotonic() - began:.0f} s", flush=True)
        print(f"{served.launches()} executions, {len(served.world.requests)} requests")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["200"]))
