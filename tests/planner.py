"""The planner in random worlds, by seeds: `python -m tests.planner 1000` lives seeds 0 to 999.

Each seed draws a folder, its settings and a story: files come, change and go, results are edited or
deleted, the marker is deleted and put back, data vanish on VIP, the process dies, answers are lost
or refused, jobs fail. At every step the promises hold, and at the end everything is at rest.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.lab.builders import HOME, ID, settings
from tests.lab.fake_vip import Blob
from tests.lab.simulation import NAMED, SHAPES, Simulation
from vipsync.model import Execution, ExecutionStatus, RelPath, Settings, VipPath
from vipsync.names import parent
from vipsync.plan.draft import Plan
from vipsync.plan.plan import plan
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Phase, ResultStatus

Planner = Callable[[Snapshot], Plan]

CONTENTS = ("one", "two", "three", "one", "two", "three", NAMED)
FATES = ("refused", "lost", "late", "final", "crash", "crash before")
LOOKS_TWICE = 0.005
CHUNK = 250


def fates(chance: random.Random, budget: int, odds: float) -> Iterator[str]:
    """Yield what happens to one action after the other, until enough has gone wrong."""
    while budget:
        if chance.random() < odds:
            budget -= 1
            yield chance.choice(FATES)
        else:
            yield "ok"


def drawn_settings(chance: random.Random, shape: str) -> Settings:
    """Return settings as people write them."""
    runs = chance.choice([1, 1, 1, 2])
    return settings(
        SHAPES[shape].settings,
        launch={
            "nb_runs": runs,
            "max_jobs": chance.choice([1, 2, 200]) if runs == 1 else 200,
            "when": chance.choice(["new"] * 6 + ["manual"]),
            "confirm_above": chance.choice([500] * 6 + [1]),
        },
        inputs={"upload": chance.choice(["used", "all"])},
        outputs={"get_status": chance.choice([(), (), (), (ExecutionStatus.FINISHED,)])},
        finish={
            "after": chance.choice(["marker"] * 5 + ["download"]),
            "grace": chance.choice([1.0, 1.0, 2.0]),
            "running": chance.choice(["wait", "wait", "wait", "kill"]),
            "keep_input": chance.random() < 0.1,
            "keep_output": chance.random() < 0.1,
        },
    )


def world(seed: int) -> Simulation:
    """Draw a folder with some files, beside a session of somebody else."""
    chance = random.Random(seed)
    shape = chance.choice([*SHAPES, "each", "each", "each"])
    odds = chance.choice([0.0, 0.02, 0.1, 0.4])
    sim = Simulation(
        drawn_settings(chance, shape),
        chance,
        fates(chance, chance.randrange(1, 6), odds) if odds else iter(()),
        shape,
        looks_twice=LOOKS_TWICE,
    )
    few = sim.settings.launch.nb_runs == 1 and sim.settings.launch.max_jobs > 1
    sim.vip.polls = (1, 1, 1, 2, 3) if few and not odds else (1, 1, 1, 1, 2)
    sim.vip.slow = 1 if odds else 9  # a launch in doubt takes half of the rounds there are
    sim.vip.may_fail = chance.random() < 0.2
    for path in chance.sample(SHAPES[shape].names, chance.randint(1, len(SHAPES[shape].names))):
        sim.write(path, chance.choice(CONTENTS))
    if chance.random() < 0.5:
        sim.quiet_at.clear()  # they have been there for long
    if chance.random() < 0.5:
        sim.vip.folders |= NEIGHBOURS
        sim.vip.files[THEIR_FILE] = Blob((), 3)
        sim.vip.executions[THEIRS.id] = THEIRS
    if chance.random() < 0.02:
        sim.taken = True
        sim.vip.folders |= {VipPath("/vip/Home/API"), HOME, VipPath(f"{HOME}/vipsync-other")}
    return sim


_THEIR_FOLDERS = ("", "/other", "/study-2", "/study-2/vipsync-s2")
NEIGHBOURS = {VipPath(f"/vip/Home/API{folder}") for folder in _THEIR_FOLDERS}
THEIR_FILE = VipPath("/vip/Home/API/study-2/a.dat")
THEIRS = Execution("x1", f"study-2 vipsync-{ID}2 0", "One/1", ExecutionStatus.RUNNING)


class RandomRun:
    """What happens to one world."""

    def __init__(self, seed: int, planner: Planner = plan) -> None:
        self.sim = world(seed)
        self.sim.planner = planner
        self.chance = self.sim.chance
        self.neighbours = THEIRS.id in self.sim.vip.executions

    def live(self) -> None:
        """Live the story to its end; raise AssertionError where a promise is broken."""
        sim, chance = self.sim, self.chance
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            self._until_something_happens()
            chance.choice(self.HAPPENS)(self)
        sim.fates = iter(())
        self._rest()
        if chance.random() < 0.5:
            self._end()
        assert not self.neighbours or (
            THEIR_FILE in sim.vip.files
            and sim.vip.folders >= NEIGHBOURS
            and sim.vip.executions[THEIRS.id] is THEIRS
        ), "something of another session has gone"

    def _until_something_happens(self) -> None:
        if self.chance.random() < 0.4:
            self.sim.rest()
            return
        for _ in range(self.chance.randrange(16)):
            if self.sim.step():
                return

    def _rest(self) -> None:
        self.sim.rest()
        self.sim.check_rest()

    def _end(self) -> None:
        """Delete the marker, and let go what cannot come."""
        sim = self.sim
        sim.delete_marker()
        self._rest()
        stuck = [r for r in sim.state.results.values() if r.status is ResultStatus.REFUSED]
        if stuck and sim.state.session.phase is not Phase.CLOSED:
            names = [r.vip.rsplit("/", 1)[-1] for r in stuck]
            sim.let_go.update(names)
            sim.ask("finish", *names, kill="no")
            self._rest()
            assert sim.vanished or sim.state.session.phase is not Phase.FINISHING

    # what happens

    def _write(self) -> None:
        for _ in range(self.chance.choice([1, 1, 2])):
            name = self.chance.choice(SHAPES[self.sim.shape].names)
            self.sim.write(name, self.chance.choice(CONTENTS))

    def _touch(self) -> None:
        for path, content in list(self.sim.content.items()):
            self.sim.write(path, content)

    def _delete(self) -> None:
        if self.sim.content:
            self.sim.delete(self.chance.choice(sorted(self.sim.content)))

    def _edit_result(self) -> None:
        for local in self._some(self.sim.outputs):
            self.sim.edit_result(local)

    def _delete_result(self) -> None:
        for local in self._some(self.sim.outputs):
            self.sim.delete_result(local)

    def _some(self, paths: Iterable[RelPath]) -> list[RelPath]:
        known = sorted(paths)
        return self.chance.sample(known, self.chance.randint(0, len(known)))

    def _delete_marker(self) -> None:
        self.sim.delete_marker()

    def _marker_to_and_fro(self) -> None:
        sim = self.sim
        for _ in range(self.chance.choice([1, 1, 2])):
            sim.delete_marker()
            self._until_something_happens()
            if sim.state.session.phase in (Phase.OPEN, Phase.FINISHING):
                sim.put_marker()
                self._until_something_happens()

    def _finish(self) -> None:
        sim, kill = self.sim, self.chance.random() < 0.3
        if sim.state.session.phase is Phase.OPEN:
            sim.ask("finish", kill="yes" if kill else "no")

    def _finish_and_cancel(self) -> None:
        self._finish()
        self._until_something_happens()
        if self.sim.state.session.phase in (Phase.OPEN, Phase.FINISHING):
            self.sim.ask("finish --cancel")

    def _launch(self) -> None:
        self._quietly()
        if self.sim.state.session.phase in (Phase.OPEN, Phase.CLOSED):
            self.sim.by_hand |= self.sim.complete()
            self.sim.ask("launch")
            self._rest()

    def _rerun(self) -> None:
        self._quietly()
        if self.sim.state.session.phase is Phase.OPEN:
            self.sim.reruns.update(self.sim.complete() & self.sim.vip.launches().keys())
            self.sim.ask("rerun")
            self._rest()

    def _cancel(self) -> None:
        self.sim.note_cancelled()
        self.sim.ask("cancel")

    def _pause(self) -> None:
        self.sim.ask("pause")
        self._until_something_happens()
        self._write()
        self._until_something_happens()
        self.sim.ask("resume")

    def _die(self) -> None:
        self.sim.die()

    def _vanish(self) -> None:
        """Lose inputs on VIP; the next process finds out."""
        sim = self.sim
        there = sorted(p for p in sim.vip.files if p.startswith(f"{HOME}/INPUTS/"))
        for path in self.chance.sample(there, self.chance.randint(0, len(there))):
            sim.vip.lose(path)
        if not self.chance.randrange(4):
            sim.vip.remove(VipPath(f"{HOME}/INPUTS"))
        sim.die()

    def _intrude(self) -> None:
        """Put somebody's file where ours would go; the next process finds out."""
        sim = self.sim
        place = VipPath(f"{HOME}/INPUTS/{self.chance.choice(SHAPES[sim.shape].names)}")
        if parent(place) in sim.vip.folders and place not in sim.vip.files:
            sim.vip.files[place] = Blob((), 77)
            sim.die()

    def _vanish_whole(self) -> None:
        """Remove the session's folder as somebody can on the portal."""
        if self.sim.vip.exists(HOME) and not self.sim.taken and not self.chance.randrange(4):
            self.sim.vanished = True
            self.sim.vip.remove(HOME)
            self.sim.die()

    def _away(self) -> None:
        """Let the folder go away and come back without its marker: that proves nothing."""
        sim = self.sim
        self._quietly()
        if sim.state.session.phase is Phase.OPEN and sim.marker:
            sim.marker, sim.memory.was_absent = False, True
            sim.rest()
            assert sim.state.session.phase is Phase.OPEN, "a marker that was lost is not deleted"
            sim.put_marker()
            sim.memory.was_absent = False

    def _quietly(self) -> None:
        """Come to rest, and let nothing more go wrong: what follows is exact."""
        self.sim.fates = iter(())
        self.sim.rest()

    HAPPENS = (
        *[_write] * 4, _touch, _delete, _edit_result, _delete_result,
        *[_delete_marker] * 2, *[_marker_to_and_fro] * 2, _finish, _finish_and_cancel,
        _launch, _rerun, _cancel, _pause, _die, *[_vanish] * 2, _intrude, _vanish_whole, _away,
    )  # fmt: skip


def violation(seed: int, planner: Planner = plan) -> str:
    """Live one seed; return what went against the promises, "" where nothing did."""
    try:
        RandomRun(seed, planner).live()
    except Exception as error:  # whatever it is, it has a seed
        return f"seed {seed}: {type(error).__name__}: {error}".splitlines()[0][:400]
    return ""


def run(seeds: range, jobs: int) -> Iterator[str]:
    """Live many seeds in several processes; yield what went wrong, in the order of the seeds."""
    with ProcessPoolExecutor(jobs) as pool:
        yield from filter(None, pool.map(violation, seeds, chunksize=CHUNK))


def main(arguments: list[str]) -> int:
    """Live seeds; return how many ended badly."""
    parser = argparse.ArgumentParser(prog="python -m tests.planner", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args(arguments)
    bad, began = 0, time.monotonic()
    for found in run(range(asked.first, asked.first + asked.count), asked.jobs):
        bad += 1
        print(found, flush=True)
    print(f"{asked.count} worlds, {bad} bad, {time.monotonic() - began:.0f} s", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
