"""What planning and recording cost without I/O: `python -m tests.bench.planning COUNT` prints seconds.

Ten files make a case. They are found, planned, recorded as sent and seen on VIP, and a first
execution is started: all that a session does but the transfers.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.bench.measured import command
from tests.bench.rows import Row
from tests.pipelines import pipeline
from tests.worlds import ID, KEY, NOW, OPEN, PLATFORM, WALL, settings
from vipsync import actions as do
from vipsync.cases.finding import find_cases
from vipsync.model import (
    Execution,
    ExecutionStatus,
    FileState,
    RelPath,
    RemoteEntry,
    Settings,
    VipPath,
)
from vipsync.names import parent
from vipsync.plan.memory import Memory
from vipsync.plan.plan import plan
from vipsync.plan.snapshot import Snapshot
from vipsync.record.outcomes import intent, record
from vipsync.rows import Sent, State

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
    """An open session with many inputs; VIP does at once what it is asked for."""

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
            made = plan(
                Snapshot(
                    NOW, WALL, SETTINGS, self.state, self.memory, PIPELINE,
                    files=self.files, cases=cases, marker=True,
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
            case do.SendFile():
                return do.FileSent(f"{action.state.inode:064x}")
            case do.LookAtFolder():
                rows: list[Sent] = self.state.sent_to(action.path)
                return do.FolderSeen(tuple(RemoteEntry(r.vip, False, r.size) for r in rows))
            case do.StartExecution():
                launch = action.launch
                return do.Started(
                    Execution("e1", launch.name, launch.pipeline_id, ExecutionStatus.RUNNING)
                )
            case _:
                return do.Done()


def planning(count: int) -> Row:
    """Row: plan and record many inputs, with cases of ten files each."""
    row = Row(f"plan and record {count:,} inputs", "linear; minutes, not hours")
    words = [sys.executable, "-m", "tests.bench.planning", str(count)]
    row.add("vipsync", command(words, Path(__file__).parents[2]))
    row.note = f"{count // PER_CASE:,} cases, no I/O"
    return row


if __name__ == "__main__":
    session = Session(int(sys.argv[1]))
    session.live()
    print(json.dumps({work: round(took, 2) for work, took in session.seconds.items()}))
