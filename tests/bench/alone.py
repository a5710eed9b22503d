"""What is measured in a process of its own: `python -m tests.bench.alone fetch|cycle|plan|station ...`."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measured import Living
from tests.lab.builders import ID, KEY, NOW, OPEN, PLATFORM, WALL, settings
from tests.lab.pipelines import pipeline
from vipsync import actions as do
from vipsync.act.perform import Tools, act
from vipsync.cases.finding import find_cases
from vipsync.cli import GARBAGE
from vipsync.client.vip_client import VipClient
from vipsync.errors import KeyMissing
from vipsync.folder.folder import SessionFolder
from vipsync.model import (
    Execution,
    ExecutionStatus,
    FileState,
    RelPath,
    RemoteEntry,
    Settings,
    VipPath,
    replace,
)
from vipsync.names import parent
from vipsync.observe.in_force import QUIET
from vipsync.plan.memory import Memory
from vipsync.plan.plan import plan as plan_of
from vipsync.plan.snapshot import Snapshot
from vipsync.record.outcomes import intent, record
from vipsync.rows import Found, State
from vipsync.run.loop import Loop
from vipsync.run.timing import Timing
from vipsync.station.backroom import Backroom
from vipsync.station.keeper import Keeper
from vipsync.station.model import Contents, Row, Stage, Study
from vipsync.station.steps import StudyState
from vipsync.status.publish import Publisher


def fetch(portal: str, key: str, path: str, size: str, root: str) -> None:
    """Fetch a result: whole, verified, flushed and in its place."""
    folder = SessionFolder(Path(root))
    folder.transfers.mkdir(parents=True)
    vip = VipClient(portal, key)
    tools = Tools(folder, folder.root, folder.root / "outputs", vip, None)
    action = do.FetchResult(VipPath(path), int(size), RelPath("got"), True, False)
    assert isinstance(act(action, tools), do.ResultHere)


def cycle(study: str) -> None:
    """Print the seconds of a walk and of a whole cycle over known inputs, and the most memory."""
    root, publisher = Path(study), Publisher()
    loop = Loop([root], _no_key, publish=publisher.publish)
    for _ in range(3):  # what the settings and ignore rules are is quiet only after a while
        loop._due.clear()
        loop.turn()
        time.sleep(QUIET + 0.1)
    (session,) = loop.sessions.values()
    limits, cycles = [], []
    for _ in range(5):
        began = time.perf_counter()
        walk(root / "inputs")
        limits.append(time.perf_counter() - began)
        assert session.observer
        session.observer.look_everywhere()
        loop._due.clear()
        began = time.perf_counter()
        loop.turn()
        cycles.append(time.perf_counter() - began)
        assert session.snapshot
        assert not session.queue, session.plan
        assert not session.snapshot.unsettled, session.plan
    print(json.dumps([sorted(limits)[2], sorted(cycles)[2], Living("self").memory]))
    loop.close()


def _no_key(*_: object) -> tuple[VipClient, str]:
    raise KeyMissing("Nothing is to be sent.")


def walk(folder: Path | str) -> int:
    """Return the size of all files in a folder, looked at in the quickest way there is."""
    with os.scandir(folder) as entries:
        return sum(walk(e.path) if e.is_dir() else e.stat().st_size for e in entries)


PER_CASE = 10
NAMES = [f"d{n}" for n in range(PER_CASE)]
PIPELINE = pipeline("Ten", " ".join(f"{n}:File" for n in NAMES), "out=[d0].tgz", dot=NAMES)
SETTINGS = settings(
    Settings(
        "study",
        PIPELINE.pipeline_id,
        input_settings={name: f"{{subject}}/{name}-{{subject}}.dat" for name in NAMES},
    ),
    launch={"confirm_above": 10**9},
)


class Session:
    """An open session with many inputs, ten to a case; VIP does at once what it is asked for.

    All that a session does but the transfers: files are found, planned, recorded as sent and seen on
    VIP, and a first execution is started.
    """

    def __init__(self, count: int) -> None:
        paths = (
            f"s{n // PER_CASE:06}/d{n % PER_CASE}-s{n // PER_CASE:06}.dat" for n in range(count)
        )
        self.files = {RelPath(p): FileState(1000 + n, n, n, n) for n, p in enumerate(paths)}
        self.state = State(OPEN)
        home = do.HomeSeen(
            True, (ID,), False, (VipPath("/vip/Home"), parent(OPEN.home), OPEN.home), PLATFORM, KEY
        )
        self.memory = Memory(pipeline_at=NOW, ours=())
        self.memory.note(do.LookAtHome(OPEN.home), home, NOW, lambda: 0.5)
        self.memory.fresh = True
        self.seconds: dict[str, float] = {}

    def live(self) -> None:
        """Go on until the first execution was started."""
        began = time.perf_counter()
        cases = find_cases(self.files.keys(), self.files.keys(), SETTINGS, PIPELINE)
        self._took("find", began)
        while not self.state.launches:
            began = time.perf_counter()
            made = plan_of(
                Snapshot(
                    NOW, WALL, SETTINGS, self.state, self.memory, PIPELINE,
                    files=self.files, cases=cases, marker=True, gate="1",
                )
            )  # fmt: skip
            self._took("plan", began)
            self.memory.keep_conditions(made.conditions, NOW)
            began = time.perf_counter()
            for action in made.actions:
                self.state.apply(intent(action, self.state, WALL))
                outcome = self._outcome(action)
                self.state.apply(record(action, outcome, self.state, WALL))
                self.memory.note(action, outcome, NOW, lambda: 0.5)
            self._took("record", began)

    def _took(self, work: str, began: float) -> None:
        self.seconds[work] = self.seconds.get(work, 0.0) + time.perf_counter() - began

    def _outcome(self, action: do.Action) -> do.Outcome:
        match action:
            case do.Inspect():
                return do.FileInspected(f"{action.state.inode:064x}", Found(bare=True))
            case do.SendFile():
                return do.FileSent(f"{action.state.inode:064x}")
            case do.LookAtFolder():
                rows = self.state.sent_to(action.path)
                return do.FolderSeen(tuple(RemoteEntry(r.vip, False, r.size) for r in rows))
            case do.StartExecution():
                launch = action.launch
                return do.Started(
                    Execution("e1", launch.name, launch.pipeline_id, ExecutionStatus.RUNNING)
                )
            case _:
                return do.Done()


def plan(count: str) -> None:
    """Print the seconds that planning and recording take without I/O."""
    session = Session(int(count))
    session.live()
    print(json.dumps({work: round(took, 2) for work, took in session.seconds.items()}))


def station(place: str) -> None:
    """Print the seconds of a walk, of a whole look and of a turn without one, and the most memory."""
    root, keeper = Path(place) / "export", known_station(Path(place) / "station")
    limits, looks, rests = list[float](), list[float](), list[float]()
    for _ in range(3):
        began = time.perf_counter()
        walk(root)
        limits.append(time.perf_counter() - began)
        keeper._scan_at = keeper._rested = 0.0
        for taken in (looks, rests):
            began = time.perf_counter()
            keeper.turn({}, {}, healthy=True)
            taken.append(time.perf_counter() - began)
        assert keeper.trouble is None, keeper.trouble
        assert keeper.status
        assert {report.state for report in keeper.status.studies} == {StudyState.DONE}
    print(
        json.dumps([sorted(limits)[1], sorted(looks)[1], Living("self").memory, sorted(rests)[1]])
    )


def known_station(root: Path) -> Keeper:
    """Return a station each of whose studies has run: what was found in them is made up, not read."""
    keeper = Keeper(root, Timing(), Backroom(lambda: None))
    keeper.turn({}, {}, healthy=True)
    rows: list[Row] = []
    for number, found in enumerate(keeper.ledger.state.places.values()):
        files = int(keeper.opened.survey.seen[found.id].files)
        hashes = "".join(f"{number:08x}{at:08x}" for at in range(files))
        words = tuple(f"{at % 2}/{at:06}.dat" for at in range(files))
        read = Contents((found.id,), "", hashes, words)
        rows.append(replace(found, before=None, read=found.print, contents=read))
        done = Study(found.id, f"S{number:04}", number, number, "", found.found_at, Stage.ENDED)
        rows.append(replace(done, home=found.id, content=hashes, asked=1, ran=1))
    keeper.ledger.commit(rows)
    keeper.close()
    return Keeper(root, Timing(), Backroom(lambda: None))


WORKS: dict[str, Callable[..., None]] = {
    "fetch": fetch,
    "cycle": cycle,
    "plan": plan,
    "station": station,
}

if __name__ == "__main__":
    gc.set_threshold(GARBAGE)  # as the command does
    WORKS[sys.argv[1]](*sys.argv[2:])
