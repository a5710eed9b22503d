"""The planner against a small VIP that loses answers, fails and crashes: it must come to rest, and keep its promises."""

from __future__ import annotations

import copy
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import settings as sample
from hypothesis import strategies as st

from tests.worlds import (
    CLOSED,
    ID,
    KEY,
    ONE,
    PLATFORM,
    SETTINGS,
    WALL,
    settings,
    sha256,
    state_of,
)
from vipsync import actions as do
from vipsync.cases.finding import find_cases
from vipsync.errors import GenericVipError, Unreachable
from vipsync.model import Execution, ExecutionStatus, RelPath, RemoteEntry, Settings, VipPath
from vipsync.plan.cycle import plan
from vipsync.plan.draft import Plan
from vipsync.plan.snapshot import LONGEST_PAUSE, Memory, Request, Snapshot, parent
from vipsync.record import intent, record
from vipsync.state import Phase, ResultStatus, State

EXAMPLES = int(os.environ.get("VIPSYNC_EXAMPLES", "25"))
"""Worlds for each property; a night's run takes thousands."""

MOST_ROUNDS = 400
RESULT_SIZE = 5


@dataclass(repr=False)
class Vip:
    """What lies on VIP: folders, files with their sizes, executions with the polls they still need."""

    folders: set[VipPath] = field(default_factory=lambda: {VipPath("/vip/Home")})
    files: dict[VipPath, int] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)

    def exists(self, path: VipPath) -> bool:
        """Tell whether there is anything."""
        return path in self.folders or path in self.files

    def entries(self, folder: VipPath) -> tuple[RemoteEntry, ...]:
        """Return what lies directly in a folder."""
        files = [RemoteEntry(p, False, s) for p, s in self.files.items() if parent(p) == folder]
        folders = [RemoteEntry(p, True) for p in self.folders if parent(p) == folder]
        return tuple(sorted([*files, *folders], key=lambda entry: entry.path))

    def start(self, action: do.StartExecution) -> Execution:
        """Start an execution whose inputs must all be there."""
        launch = action.launch
        paths = [VipPath(v) for values in launch.values.values() for v in values]
        assert all(path in self.files for path in paths), "launched without its inputs"
        id_ = f"e{len(self.executions) + 1}"
        self.executions[id_] = Execution(
            id_, launch.name, launch.pipeline_id, ExecutionStatus.RUNNING
        )
        self.inputs[id_] = tuple(paths)
        self.left[id_] = 2
        return self.executions[id_]

    def poll(self, id_: str) -> Execution:
        """Let an execution advance by one step: its folder, then its results."""
        now = self.executions[id_]
        if now.status.ended:
            return now
        number = id_.removeprefix("e").zfill(3)
        folder = VipPath(f"/vip/Home/API/study/OUTPUTS/{number}")
        now = replace(now, input_values={"results-directory": folder})
        self.left[id_] -= 1
        if self.left[id_] <= 0:
            self.folders |= {folder, parent(folder)}
            made = [VipPath(f"{folder}/{PurePosixPath(p).name}.out") for p in self.inputs[id_]]
            self.files |= dict.fromkeys(made, RESULT_SIZE)
            now = replace(now, status=ExecutionStatus.FINISHED, returned_files={"out": tuple(made)})
        self.executions[id_] = now
        return now

    def remove(self, path: VipPath) -> None:
        """Remove a folder and everything in it."""
        inside = f"{path}/"
        self.folders = {f for f in self.folders if f != path and not f.startswith(inside)}
        self.files = {f: s for f, s in self.files.items() if not f.startswith(inside)}


@dataclass(repr=False)
class Rig:
    """One folder, its ledger, its process, and VIP, on one clock."""

    files: dict[str, str]
    settings: Settings
    chance: random.Random
    fates: Iterator[str]
    vip: Vip = field(default_factory=Vip)
    state: State = field(default_factory=lambda: State(CLOSED))
    memory: Memory = field(default_factory=Memory)
    marker: bool = False
    outputs: dict[RelPath, str] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()
    now: float = 1000.0

    def look(self) -> Snapshot:
        """Return this moment."""
        here = {RelPath(p): state_of(c) for p, c in self.files.items()}
        described = ONE if self.state.pipelines else None
        return Snapshot(
            self.now,
            WALL + self.now,
            self.settings,
            self.state,
            self.memory,
            described,
            files=here,
            cases=find_cases(here.keys(), here.keys(), self.settings, described),
            marker=self.marker,
            outputs=dict(self.outputs),
            requests=self.requests,
        )

    def rest(self) -> None:
        """Plan and act until nothing can advance, and nothing that failed is to be tried again."""
        for _ in range(MOST_ROUNDS):
            moment = self.look()
            made = plan(moment)
            assert plan(copy.deepcopy(moment)) == made
            self.check(made)
            self.memory.keep_conditions(made.conditions, self.now)
            if made.at_rest and (made.due is None or made.due > self.now + LONGEST_PAUSE):
                return  # what comes later is the hourly look
            if not made.actions:
                assert made.due is not None
                assert made.due > self.now
                self.now = made.due
            self.act(made)
            self.now += 0.25
        raise AssertionError(f"no rest: {plan(self.look())}")

    def act(self, made: Plan) -> None:
        """Carry a plan out: decisions in their order, between them everything in any order."""
        waiting: list[do.Action] = []
        for action in made.actions:
            if isinstance(action, do.INLINE):
                if not self.carry_out(waiting):
                    return
                waiting = []
                self.begin(action)
                self.end(action, self.effect(action))
            else:
                waiting.append(action)
        self.carry_out(waiting)

    def carry_out(self, actions: list[do.Action]) -> bool:
        """Carry out in any order what is unordered; False where the process died of it."""
        for action in actions:
            self.begin(action)
        for action in self.chance.sample(actions, len(actions)):
            match next(self.fates, "ok"):
                case "refused":
                    self.end(action, do.Failed(GenericVipError("no")))
                case "lost":
                    self.effect(action)
                    self.end(action, do.Failed(Unreachable("no answer")))
                case "crash":
                    self.effect(action)
                    self.memory = Memory()
                    return False
                case "crash before":
                    self.memory = Memory()
                    return False
                case _:
                    self.end(action, self.effect(action))
        return True

    def begin(self, action: do.Action) -> None:
        self.state.apply(intent(action, self.state, WALL + self.now))
        self.memory.under_way.add(do.key(action))

    def end(self, action: do.Action, outcome: do.Outcome) -> None:
        self.state.apply(record(action, outcome, self.state, WALL + self.now))
        self.memory.note(action, outcome, self.now, lambda: 0.5)
        if isinstance(action, do.Decide) and self.state.session.phase is Phase.CLOSED:
            self.memory.forget_home()

    def effect(self, action: do.Action) -> do.Outcome:
        """Do to this little world what the action does to the real one."""
        vip = self.vip
        match action:
            case do.FetchPipeline():
                return do.PipelineFetched("{}")
            case do.LookAtHome():
                ids = [p for p in vip.folders if p.startswith(f"{action.home}/vipsync-")]
                above = {VipPath("/vip/Home"), parent(action.home), action.home} & vip.folders
                found = tuple(p.rsplit("-", 1)[1] for p in ids)
                exists = vip.exists(action.home)
                return do.HomeSeen(exists, found, tuple(sorted(above)), PLATFORM, KEY)
            case do.Open() | do.WriteMarker():
                self.marker = True
            case do.DeleteMarker():
                self.marker = False
            case do.MakeFolder():
                assert parent(action.path) in vip.folders
                vip.folders.add(action.path)
            case do.HashFile():
                return do.FileHashed(sha256(self.files[action.path]))
            case do.SendFile():
                return self.send(action)
            case do.LookAtFolder():
                there = action.path in vip.folders
                return do.FolderSeen(vip.entries(action.path) if there else None)
            case do.StartExecution():
                return do.Started(vip.start(action))
            case do.FindExecutions():
                return do.ExecutionsSeen(tuple(vip.executions.values()), whole=True)
            case do.Poll():
                return do.Polled(vip.poll(action.execution_id))
            case do.ListResults():
                return do.ResultsListed(vip.entries(action.execution.results_folder or VipPath("")))
            case do.FetchResult():
                assert vip.files[action.vip] == action.size
                self.outputs.setdefault(action.local, "ok")
                return do.ResultHere(action.local, False, "ok")
            case do.RemoveTree():
                if not vip.exists(action.path):
                    return do.RemovalSeen(gone=True)
                assert action.id_folder in vip.folders, "removed what does not bear our id"
                vip.remove(action.path)
            case do.CheckRemoved():
                return do.RemovalSeen(gone=not vip.exists(action.path))
            case _:
                pass
        return do.Done()

    def send(self, action: do.SendFile) -> do.Outcome:
        """Store a file; what is there is never replaced (facts 3.6)."""
        assert parent(action.vip) in self.vip.folders
        assert action.vip not in self.vip.files, "sent to where something lies"
        self.vip.files[action.vip] = action.state.size
        return do.FileSent(sha256(self.files[action.path]))

    def check(self, made: Plan) -> None:
        """Hold the promises against every action of a plan."""
        session = self.state.session
        decided = [a for a in made.actions if isinstance(a, (do.Decide, do.Open))]
        assert len(decided) <= 1
        for action in made.actions:
            match action:
                case do.SendFile() | do.StartExecution() | do.Poll() | do.Kill():
                    assert session.owned
                    assert session.phase is not Phase.CLOSED
                case do.MakeFolder():
                    assert self.marker or session.phase is not Phase.CLOSED
                case do.RemoveTree():
                    assert session.phase is Phase.REMOVING
                    assert not self.marker
                    assert f"{action.path}/".startswith("/vip/Home/API/study/")
                    assert self.nothing_missing()
                case _:
                    pass
            if isinstance(action, (do.SendFile, do.StartExecution)):
                assert session.phase is Phase.OPEN
                assert self.marker

    def nothing_missing(self) -> bool:
        """Tell whether every result on VIP was complete here once."""
        done = (ResultStatus.HERE, ResultStatus.LET_GO)
        rows = self.state.results
        made = [p for p in self.vip.files if p.startswith("/vip/Home/API/study/OUTPUTS/")]
        return all(p in rows and rows[p].status in done for p in made)

    def launches(self) -> Counter[str]:
        """Count how often each file was given to an execution."""
        paths = [p for paths in self.vip.inputs.values() for p in paths]
        return Counter(PurePosixPath(p).name for p in paths)


FATES = st.lists(
    st.sampled_from(["ok", "ok", "refused", "lost", "crash", "crash before"]), max_size=30
)
FILES = st.dictionaries(
    st.sampled_from(["a.dat", "b.dat", "c.dat"]), st.sampled_from(["one", "three"]), min_size=1
)


@st.composite
def rigs(draw: st.DrawFn) -> Rig:
    """Draw a folder with some files, settings, and the fates of what it will try."""
    chosen = settings(
        SETTINGS,
        launch={"nb_runs": draw(st.integers(1, 2)), "max_jobs": draw(st.sampled_from([1, 200]))},
        inputs={"upload": draw(st.sampled_from(["used", "all"]))},
    )
    chance = random.Random(draw(st.integers(0, 1000)))
    return Rig(draw(FILES), chosen, chance, iter(draw(FATES)))


@sample(max_examples=EXAMPLES, deadline=None)
@given(rigs())
def test_every_case_is_launched_exactly_so_often(rig: Rig) -> None:
    """Whatever answers are lost and whenever the process dies, each case has its nb_runs executions."""
    before = dict(rig.files)
    rig.rest()
    assert rig.state.session.phase is Phase.OPEN
    assert rig.launches() == dict.fromkeys(rig.files, rig.settings.launch.nb_runs)
    assert rig.nothing_missing()
    assert rig.files == before


@sample(max_examples=EXAMPLES, deadline=None)
@given(rigs(), FATES)
def test_a_deleted_marker_empties_vip_after_everything_came(rig: Rig, fates: list[str]) -> None:
    """The session's folder goes, nothing else does, and every result was here before."""
    rig.vip.folders |= {VipPath("/vip/Home/API"), VipPath("/vip/Home/API/other")}
    rig.rest()
    rig.marker = False
    rig.fates = iter(fates)
    rig.rest()
    assert rig.state.session.phase is Phase.CLOSED
    assert rig.vip.folders == {VipPath(f"/vip/Home{p}") for p in ("", "/API", "/API/other")}
    assert rig.vip.files == {}
    assert not rig.marker
    made = len(rig.files) * rig.settings.launch.nb_runs
    assert len(rig.outputs) == made


@sample(max_examples=EXAMPLES, deadline=None)
@given(rigs(), st.integers(0, 40), FATES)
def test_a_marker_deleted_at_any_time_loses_no_result(
    rig: Rig, rounds: int, fates: list[str]
) -> None:
    """Whenever it goes: what was launched is fetched, VIP is emptied, and nothing starts again."""
    rig.settings = settings(rig.settings, inputs={"upload": "used"})
    for _ in range(rounds):
        made = plan(rig.look())
        rig.memory.keep_conditions(made.conditions, rig.now)
        rig.act(made)
        rig.now = max(rig.now + 0.25, made.due if made.due and not made.actions else 0.0)
    opened = rig.marker
    rig.marker = False
    rig.fates = iter(fates)
    rig.rest()
    if opened:
        assert rig.state.session.phase is Phase.CLOSED
        assert not [p for p in rig.vip.folders if p.startswith("/vip/Home/API/study")]
    assert len(rig.outputs) == sum(len(paths) for paths in rig.vip.inputs.values())
    assert max(rig.launches().values(), default=0) <= rig.settings.launch.nb_runs


@sample(max_examples=EXAMPLES, deadline=None)
@given(rigs(), st.data())
def test_a_disturbed_session_comes_to_rest_without_a_second_launch(
    rig: Rig, data: st.DataObject
) -> None:
    """Inputs removed on VIP, results edited or deleted here, a restart: no case starts again."""
    rig.rest()
    for path in data.draw(st.sets(st.sampled_from(sorted(rig.vip.files)))):
        if "/INPUTS/" in path:
            del rig.vip.files[path]
    edited = data.draw(st.sets(st.sampled_from(sorted(rig.outputs))))
    deleted = data.draw(st.sets(st.sampled_from(sorted(rig.outputs))))
    rig.outputs |= dict.fromkeys(edited, "edited")
    for local in deleted:
        del rig.outputs[local]
    rig.memory = Memory()
    started = rig.launches()
    rig.rest()
    assert rig.launches() == started
    wanted = {p: "edited" if p in edited - deleted else "ok" for p in rig.outputs}
    assert rig.outputs == wanted
    assert deleted <= rig.outputs.keys()


@sample(max_examples=EXAMPLES, deadline=None)
@given(rigs(), st.sampled_from(["a.dat", "d.dat"]))
def test_a_new_file_starts_only_its_own_case(rig: Rig, name: str) -> None:
    """Another content, or another file, is one more case; the others stay as they are."""
    rig.rest()
    before = rig.launches()
    known = name in rig.files
    rig.files[name] = "other content"
    rig.rest()
    more = rig.launches() - before
    assert more == {name: rig.settings.launch.nb_runs}
    assert known == (before[name] > 0)
    assert ID in str(rig.state.session.id_folder)
