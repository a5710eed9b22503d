"""One folder, its process and a small VIP on one clock, with the promises held at every step.

What a promise is judged by is what really happened: what a person did, and what VIP was given.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, product

from tests.lab import builders
from tests.lab.builders import CLOSED, HOME, ID, INPUTS, ONE, OUTPUTS, WALL, leaves, sha256
from tests.lab.fake_vip import API, RESULT_SIZE, Blob, FakeVip, Parts, is_below
from tests.lab.pipelines import pipeline
from vipsync import actions as do
from vipsync import errors, model
from vipsync.cases.finding import find_cases
from vipsync.model import CaseSet, FileState, RelPath, Request, Settings, VipPath
from vipsync.names import last, parent
from vipsync.plan.draft import Plan
from vipsync.plan.memory import LONGEST_PAUSE, Attempt, Memory
from vipsync.plan.plan import plan
from vipsync.plan.snapshot import Snapshot
from vipsync.record.digests import members_digest
from vipsync.record.outcomes import intent, record
from vipsync.rows import Found, Phase, ResultStatus, Session, State

MOST_ROUNDS = 50
"""Plans after the last disturbance by which everything is at rest."""

SETTLE = 5.0

INTO_HOME = (do.MakeFolder, do.ClaimHome, do.SendFile, do.SendPack, do.StartExecution)
"""Actions that need the session's folder on VIP."""

NAMED = "named"
"""The content of a file that may not go: it names somebody."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A pipeline with its settings, the files that may come, and the cases that they make."""

    descriptor: model.Descriptor | None
    inputs: dict[str, model.InputSetting]
    names: tuple[str, ...]
    own: tuple[str, ...]
    cases: Callable[[dict[str, str]], Iterable[Iterable[str]]]
    """From files to the own files of each complete case: the oracle, in its simplest words."""

    @property
    def settings(self) -> Settings:
        id_ = self.descriptor.pipeline_id if self.descriptor else None
        return Settings("study", id_, input_settings=self.inputs)


def _ending(files: dict[str, str], end: str) -> list[str]:
    return [path for path in files if path.endswith(end)]


_TWO = pipeline("Two", "data:File ref:File", "out=[data].tgz")

SHAPES = {
    "each": Shape(
        ONE,
        {"data": "*.dat"},
        ("a.dat", "b.dat", "c.dat"),
        ("data",),
        lambda files: [[path] for path in _ending(files, ".dat")],
    ),
    "shared": Shape(
        _TWO,
        {"data": "*.dat", "ref": "ref.txt"},
        ("a.dat", "b.dat", "ref.txt"),
        ("data",),
        lambda files: [[path] for path in _ending(files, ".dat") if "ref.txt" in files],
    ),
    "pairs": Shape(
        pipeline("Pairs", "one:File two:File", "out=[one].tgz", dot=["one", "two"]),
        {"one": "{s}.one", "two": "{s}.two"},
        ("a.one", "a.two", "b.one", "b.two"),
        ("one", "two"),
        lambda files: [
            [f"{s}.one", f"{s}.two"] for s in "ab" if {f"{s}.one", f"{s}.two"} <= files.keys()
        ],
    ),
    "crossed": Shape(
        _TWO,
        {"data": "*.dat", "ref": "*.ref"},
        ("a.dat", "b.dat", "y.ref", "z.ref"),
        ("data", "ref"),
        lambda files: product(_ending(files, ".dat"), _ending(files, ".ref")),
    ),
    "packed": Shape(
        ONE,
        {"data": model.PackSetting(model.PackKind.ZIP, "{s}/")},
        ("a/1.dcm", "a/2.dcm", "b/1.dcm"),
        ("data",),
        lambda files: [list(some) for _, some in groupby(sorted(files), lambda path: path[0])],
    ),
    "upload only": Shape(None, {}, ("a.dat", "b.dat", "sub/c.dat"), (), lambda _files: []),
}


@cache
def _find(shape: Shape, upload: str, files: frozenset[RelPath]) -> CaseSet:
    chosen = builders.settings(shape.settings, inputs={"upload": upload})
    return find_cases(files, files, chosen, shape.descriptor)


def _members(action: do.SendFile | do.SendPack) -> tuple[tuple[RelPath, FileState], ...]:
    """Return the files that an upload takes, in the states expected."""
    return action.members if isinstance(action, do.SendPack) else ((action.path, action.state),)


@dataclass(repr=False)
class Simulation:
    """One folder, its ledger, its process, and VIP; what a person did, and so what may happen."""

    settings: Settings
    chance: random.Random
    fates: Iterator[str]
    shape: str = "each"
    planner: Callable[[Snapshot], Plan] = plan
    looks_twice: float = 0.0
    vip: FakeVip = field(init=False)
    state: State = field(default_factory=lambda: State(CLOSED))
    memory: Memory = field(default_factory=Memory)
    now: float = 1000.0
    rounds: int = 0
    waited: bool = False
    content: dict[str, str] = field(default_factory=dict)
    here: dict[RelPath, FileState] = field(default_factory=dict)
    quiet_at: dict[RelPath, float] = field(default_factory=dict)
    writes: int = 0
    written: bool = True
    """A file was written, or became quiet, since the others were set aside."""
    marker: bool = False
    stray_marker: bool = False
    """The process died between the marker and the row that says so."""
    outputs: dict[RelPath, str] = field(default_factory=dict)
    theirs: dict[RelPath, str] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    asked: int = 0
    may_finish: bool = False
    """A person deleted the marker, or asked for it, and has not taken it back."""
    may_kill: bool = False
    came: set[tuple[VipPath, int]] = field(default_factory=set)
    let_go: set[str] = field(default_factory=set)
    by_hand: set[Parts] = field(default_factory=set)
    reruns: Counter[Parts] = field(default_factory=Counter)
    cancelled: set[Parts] = field(default_factory=set)
    setting_aside: set[Parts] = field(default_factory=set)
    excused: set[Parts] = field(default_factory=set)
    """Cases that may stay without all their launches: set aside, cancelled, refused by VIP."""
    unsent: set[tuple[str, str]] = field(default_factory=set)
    """Files that may stay here alone: they were there when the session was finished."""
    posted: set[str] = field(default_factory=set)
    """Names of launches that reached VIP."""
    ended_before: set[str] = field(default_factory=set)
    """Executions of earlier times, whose results are no longer on VIP."""
    held_back: bool = False
    taken: bool = False
    vanished: bool = False
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        shape = SHAPES[self.shape]
        dot = shape.descriptor.dot if shape.descriptor else frozenset()
        self.vip = FakeVip(self.chance, dot, shape.own)

    # what a person does

    def write(self, path: str, content: str) -> None:
        """Write, or touch, a file; it is quiet after a while."""
        name = RelPath(path)
        self.writes += 1
        self.written = True
        self.content[name] = content
        self.here = {**self.here, name: FileState(len(content), self.writes, self.writes, 7)}
        self.quiet_at[name] = self.now + SETTLE

    def delete(self, path: str) -> None:
        """Delete a file."""
        name = RelPath(path)
        del self.content[name]
        self.here = {p: s for p, s in self.here.items() if p != name}
        self.quiet_at.pop(name, None)

    def delete_marker(self) -> None:
        """Delete the marker: the data on VIP may go."""
        self.may_finish = self.may_finish or self.marker
        self.marker = False

    def put_marker(self) -> None:
        """Put the marker back: the data on VIP are to stay, unless their removal has begun."""
        self.marker = True
        if self.state.session.phase is not Phase.REMOVING:
            self.may_finish = self.may_kill = False

    def ask(self, command: str, *cases: str, **options: str) -> None:
        """Leave a request for the process."""
        self.asked += 1
        id_ = f"r{self.asked}"
        self.requests[id_] = Request(id_, model.Command(command), cases, options)

    def note_cancelled(self) -> None:
        """Expect no more launches of the cases there are: a person has cancelled them."""
        self.cancelled |= self.complete() | self.vip.launches().keys()
        self.excused |= self.cancelled

    def edit_result(self, local: RelPath) -> None:
        """Change a result on this machine: it is theirs from now on."""
        self.outputs[local] = self.theirs[local] = f"edited {self.now}"

    def delete_result(self, local: RelPath) -> None:
        """Delete a result on this machine."""
        del self.outputs[local]
        self.theirs.pop(local, None)

    # the cycle

    def look(self) -> Snapshot:
        """Return this moment."""
        shape = SHAPES[self.shape]
        described = shape.descriptor if self.state.pipelines else None
        cases = CaseSet()
        if described:
            cases = _find(shape, self.settings.inputs.upload, frozenset(self.here))
        return Snapshot(
            self.now,
            WALL + self.now,
            self.settings,
            self.state,
            self.memory,
            described,
            files=self.here,
            unsettled={p: due for p, due in self.quiet_at.items() if due > self.now},
            cases=cases,
            marker=self.marker,
            outputs=self.outputs,
            requests=tuple(self.requests.values()),
            gate=builders.GATE,
        )

    def rest(self) -> None:
        """Plan and act until nothing can advance, and nothing that failed is to be tried again.

        To wait for what is due is no round, but must not follow on itself without end.
        """
        self.rounds = waits = 0
        while not self.step():
            waits = waits + 1 if self.waited else 0
            self.rounds += not self.waited
            if max(self.rounds, waits) > MOST_ROUNDS:
                raise AssertionError(f"no rest after {MOST_ROUNDS} rounds: {self.look_and_plan()}")

    def step(self) -> bool:
        """Live one round: one plan, carried out; True when everything is at rest."""
        self._land()
        made = self.look_and_plan()
        self.check(made)
        self.memory.keep_conditions(made.conditions, self.now)
        if made.at_rest and not self.later and self._nothing_comes(made):
            self.held_back = any(notice.subject == "launch" for notice in made.notices)
            return True
        self.waited = not made.actions
        if self.waited:
            ends = [x for x in (made.due, *(at for at, _ in self.later)) if x is not None]
            assert ends, "nothing to do, nothing to wait for, and not at rest"
            assert min(ends) > self.now, "the time to look again has passed, and nothing was done"
            self.now = min(ends)
            return False
        self.act(made)
        self.now += 0.25
        return False

    def look_and_plan(self) -> Plan:
        """Return the plan of this moment; now and then make sure that only the moment decides it."""
        moment = self.look()
        if self.looks_twice and self.chance.random() < self.looks_twice:
            failures = [attempt.error for attempt in self._attempts()]  # equal only to themselves
            before = copy.deepcopy(moment, {id(error): error for error in failures})
            made = self.planner(moment)
            assert moment == before, "the planner changed what it was given"
            assert self.planner(before) == made, "an equal moment gave another plan"
            return made
        return self.planner(moment)

    def _nothing_comes(self, made: Plan) -> bool:
        """Tell whether what is still to come is a regular look, not another try."""
        if made.due is not None and self.state.session.phase is Phase.REMOVING:
            return False  # it is asked for again
        if made.due is None or made.due > self.now + LONGEST_PAUSE or self.vanished:
            return True
        return not any(attempt.not_before > self.now for attempt in self._attempts())

    def _attempts(self) -> list[Attempt]:
        """Return what failed and is to be tried again."""
        trouble = self.memory.account.trouble
        return [*self.memory.attempts.values(), *([trouble] if trouble else [])]

    def _land(self) -> None:
        """Let happen what VIP does late."""
        for one in [one for one in self.later if one[0] <= self.now]:
            self.later.remove(one)
            self.rounds = 0
            one[1]()

    def act(self, made: Plan) -> None:
        """Carry a plan out: decisions in their order, between them everything in any order."""
        waiting: list[do.Action] = []
        for action in made.actions:
            if not isinstance(action, do.INLINE):
                waiting.append(action)
                continue
            if not self.carry_out(waiting) or not self.carry_out([action]):
                return
            waiting = []
        self.carry_out(waiting)

    def carry_out(self, actions: list[do.Action]) -> bool:
        """Carry out in any order what is unordered; False where the process died of it."""
        for action in actions:
            self.begin(action)
        for action in self.chance.sample(actions, len(actions)) if len(actions) > 1 else actions:
            fate = next(self.fates, "ok")
            if fate != "ok":
                self.rounds = 0
            if not self._meet(action, fate):
                self.die()
                return False
        return True

    def die(self) -> None:
        """Let the process die, and another one take its place."""
        self.rounds = 0
        session = self.state.session
        moments = (session.unanswered_at, session.removal_asked_at)
        unanswered, asked = (None if at is None else at - WALL for at in moments)
        self.memory = Memory(unanswered_at=unanswered, asked_before=asked)

    def _meet(self, action: do.Action, fate: str) -> bool:
        """Carry one action out as fate has it; False where the process dies."""
        if isinstance(action, do.LOCAL) and not fate.startswith("crash"):
            fate = "ok"
        if isinstance(action, do.StartExecution) and fate not in ("ok", "lost", "crash"):
            self.posted.add(action.launch.name)
        match fate:
            case "crash before":
                return False
            case "crash":
                self.effect(action)
                return False
            case "refused":
                self.end(action, do.Failed(errors.GenericVipError("no")))
            case "lost":
                if not isinstance(action, do.FetchResult):
                    self.effect(action)
                self.end(action, do.Failed(errors.Unreachable("no answer")))
            case "late":
                self._comes_late(action)
            case "final":
                self.end(action, self._final(action))
            case _:
                self.end(action, self.effect(action))
        return True

    def _comes_late(self, action: do.Action) -> None:
        """Let VIP answer with a failure, and do it a moment later all the same."""
        if isinstance(action, (do.SendFile, do.SendPack)):
            blob = self.blob(action)
            self.later.append((self.now + 0.5, lambda: self._store_late(action.vip, blob)))
        elif isinstance(action, do.StartExecution):
            later = self.now + self.chance.choice([0.5, 60])
            self.later.append((later, lambda: self.effect(action)))
        self.end(action, do.Failed(errors.Unreachable("no answer")))

    def _store_late(self, vip: VipPath, blob: Blob) -> None:
        if parent(vip) in self.vip.folders and vip not in self.vip.files:
            self.vip.store(vip, blob)

    def _final(self, action: do.Action) -> do.Outcome:
        """Refuse in words that say why, where VIP has such words."""
        if isinstance(action, do.StartExecution):
            error = self.chance.choice([errors.SlotsFull("full"), errors.InvalidInput("no value")])
            if isinstance(error, errors.InvalidInput):
                self.excused.update(map(self.vip.parts_of, self.vip.jobs_of(action.launch)))
            return do.Failed(error)
        large = isinstance(action, do.FetchResult)
        return do.Failed(errors.TooLarge("no") if large else errors.Unreachable("no answer"))

    def begin(self, action: do.Action) -> None:
        """Write the intent down."""
        before = self.state.session
        self.state.apply(intent(action, self.state, WALL + self.now))
        self.memory.under_way.add(do.key(action))
        if isinstance(action, do.Decide):
            self.check_decision(before)

    def end(self, action: do.Action, outcome: do.Outcome) -> None:
        """Write down what came of it."""
        self.state.apply(record(action, outcome, self.state, WALL + self.now))
        self.memory.note(action, outcome, self.now, self.chance.random)
        if isinstance(action, do.Open):
            self.stray_marker = False
        if isinstance(action, do.Decide):
            for id_ in action.requests:
                if self.requests.pop(id_).command == "cancel":
                    self.note_cancelled()

    # what actions do

    def effect(self, action: do.Action) -> do.Outcome:
        """Do to this little world what the action does to the real one."""
        vip = self.vip
        match action:
            case do.FetchPipeline():
                return do.PipelineFetched("{}")
            case do.LookAtHome():
                above = {VipPath("/vip/Home"), parent(action.home), action.home} & vip.folders
                look = action.home in above, vip.ids(action.home), not vip.others(action.home)
                return do.HomeSeen(*look, tuple(sorted(above)), builders.PLATFORM, builders.KEY)
            case do.Open():
                self.check_opening()
                self.marker, self.stray_marker, self.may_finish = True, True, False
            case do.WriteMarker():
                self.marker, self.may_finish, self.may_kill = True, False, False
            case do.DeleteMarker():
                self.marker = False
                asked = [r for r in self.requests.values() if r.command == "finish"]
                self.may_finish = self.may_finish or bool(asked)
                self.may_kill = self.may_kill or any(r.options["kill"] == "yes" for r in asked)
            case _ if self.vanished and isinstance(action, INTO_HOME):
                return do.Failed(errors.GenericVipError("it is no longer there"))
            case do.MakeFolder():
                assert parent(action.path) in vip.folders
                vip.folders.add(action.path)
            case do.ClaimHome():
                assert action.named or not vip.others(action.home), "somebody's folder was taken"
                vip.folders.add(action.path)
            case do.HashFile() | do.Inspect() if self.here.get(action.path) != action.state:
                return do.Failed(errors.LocalFileError("it changed"))
            case do.HashFile():
                return do.FileHashed(sha256(self.content[action.path]))
            case do.Inspect():
                content = self.content[action.path]
                named = Found(refused=(("PatientName", 1),))
                told = named if content == NAMED else Found(bare=True)
                return do.FileInspected(sha256(content), told)
            case do.SendFile() | do.SendPack():
                return self.send(action)
            case do.LookAtFolder():
                there = action.path in vip.folders
                return do.FolderSeen(vip.entries(action.path) if there else None)
            case do.StartExecution():
                self.check_launch(action)
                return do.Started(vip.start(action.launch))
            case do.FindExecutions():
                ours = [e for e in vip.executions.values() if action.mark in e.name.split(" ")]
                return do.ExecutionsSeen(tuple(ours), whole=True, at=self.now)
            case do.Poll():
                assert action.execution_id in vip.jobs, "polled an execution of somebody else"
                return do.Polled(vip.poll(action.execution_id))
            case do.Kill():
                kills = self.may_finish and self.settings.finish.running == "kill"
                cancelled = self.cancelled.intersection(vip.jobs.get(action.execution_id, ()))
                assert self.may_kill or kills or cancelled, "killed what nobody wants killed"
                assert action.execution_id in vip.jobs, "killed an execution of somebody else"
                seen = vip.poll(action.execution_id)
                if seen.status.ended:
                    return do.Polled(seen)
                vip.kill(action.execution_id)
            case do.ListResults():
                return do.ResultsListed(vip.entries(action.execution.results_folder or VipPath("")))
            case do.FetchResult():
                return self.fetch(action)
            case do.FetchLogs():
                return do.LogsHere()
            case do.RemoveTree():
                return self.remove(action)
            case do.CheckRemoved():
                return do.RemovalSeen(gone=not vip.exists(action.path))
            case _:
                pass
        return do.Done()

    def blob(self, action: do.SendFile | do.SendPack) -> Blob:
        """Return what an upload puts on VIP."""
        parts = tuple((path, self.content[path]) for path, _ in sorted(_members(action)))
        more = 100 if isinstance(action, do.SendPack) else 0
        return Blob(parts, more + sum(len(content) for _, content in parts))

    def send(self, action: do.SendFile | do.SendPack) -> do.Outcome:
        """Store a file, or the archive of a folder."""
        if any(self.here.get(path) != state for path, state in _members(action)):
            return do.Failed(errors.LocalFileError("it changed"))
        blob, there = self.blob(action), action.vip in self.vip.files
        assert not any(content == NAMED for _, content in blob.parts), "sent what names somebody"
        hashes = tuple((RelPath(path), sha256(content)) for path, content in blob.parts)
        if isinstance(action, do.SendFile):
            assert action.sha256 == hashes[0][1], "sent what nobody has judged"
        else:
            assert action.digest == members_digest(hashes), "sent what nobody has judged"
        if not there:
            self.vip.store(action.vip, blob)
        assert self.vip.files[action.vip] == blob, "something else lies there"
        if isinstance(action, do.SendPack):
            return do.PackSent(blob.size, hashes)
        if there:  # it came late, after all (facts 3.5)
            return do.Failed(errors.GenericVipError("there is a file of that name"))
        return do.FileSent(hashes[0][1])

    def fetch(self, action: do.FetchResult) -> do.Outcome:
        """Bring a result; what is in its way stays, and the new one comes beside it."""
        if action.vip not in self.vip.files:
            return do.Failed(errors.GenericVipError("it is no longer there"))
        local = action.local
        if (action.vip, action.size) not in self.came or self.outputs.get(local, "ok") != "ok":
            while local in self.outputs:
                local = RelPath(f"{local}.vip")
        self.outputs[local] = "ok"
        self.came.add((action.vip, action.size))
        return do.ResultHere(local, False, "ok")

    def remove(self, action: do.RemoveTree) -> do.Outcome:
        """Remove a tree at once or after a while, as VIP does, if it bears our id alone."""
        if not self.vip.exists(action.path):
            return do.RemovalSeen(gone=True)
        if self.vip.ids(action.home) != (ID,):
            return do.Failed(errors.NameTaken("it is not ours alone"))
        self.check_removal(action)
        if self.chance.random() < 0.3:
            self.later.append((self.now + 3.0, lambda: self.vip.remove(action.path)))
        else:
            self.vip.remove(action.path)
        return do.Done()

    # the promises, held against every step

    def check(self, made: Plan) -> None:
        """Hold what must be true of every action of a plan, whatever comes of it."""
        session = self.state.session
        decided = [a for a in made.actions if isinstance(a, (do.Decide, do.Open))]
        assert len(decided) <= 1, "a plan goes on after a decision"
        for action in made.actions:
            match action:
                case do.SendFile() | do.SendPack() | do.StartExecution():
                    assert session.owned, "an effect on VIP before our id was seen there"
                    assert session.phase is Phase.OPEN, "work while it is not open"
                    assert self.marker, "work without a marker"
                    assert not session.paused, "work while paused"
                case do.Poll() | do.Kill():
                    assert session.phase is not Phase.CLOSED
                case do.MakeFolder() | do.ClaimHome():
                    assert self.marker or session.phase is not Phase.CLOSED
                    assert is_below(action.path, HOME) or action.path == API
                case do.FetchResult():
                    row = self.state.results[action.vip]
                    changed = row.status is ResultStatus.HERE and row.local in self.outputs
                    assert not changed, "fetched what is here"
                case _:
                    pass

    def check_opening(self) -> None:
        """Hold that nothing opens again for what was set aside, or had its launches before."""
        already = self.vip.launches()
        due = {p for p in self.cases(settled=True) if already[p] < self.wanted(p)}
        asked = self.by_hand | self.reruns.keys() | self.cancelled
        assert self.written or due - (self.excused - asked), "opened for nothing new"

    def check_launch(self, action: do.StartExecution) -> None:
        """Hold that no case is launched more often than was asked for."""
        jobs = self.vip.jobs_of(action.launch)
        if action.launch.name not in self.posted and action.launch.run == 1:
            lacking = {p for job in jobs for p in job.values()} - self.vip.files.keys()
            assert not lacking, f"launched without {sorted(lacking)}"
        self.posted.add(action.launch.name)
        parts = [self.vip.parts_of(job) for job in jobs]
        already = self.vip.launches()
        often = [p for p in parts if already[p] >= self.wanted(p)]
        assert not often, f"launched too often: {often}"
        assert action.launch.jobs == len(parts), "another number of jobs than was said"
        many = len(parts) * action.launch.runs > self.settings.launch.confirm_above
        agreed = self.by_hand | self.reruns.keys()
        assert not many or agreed.issuperset(parts), "more jobs than a person has agreed to"

    def wanted(self, parts: Parts) -> int:
        """Return how often a case is to be launched."""
        first = self.settings.launch.when == "new" or parts in self.by_hand
        return self.settings.launch.nb_runs * (first + self.reruns[parts])

    def check_decision(self, before: Session) -> None:
        """Hold that nothing is finished, and nothing goes from VIP, unless a person wants it."""
        now = self.state.session
        if now.phase is not before.phase:
            match now.phase:
                case Phase.OPEN if before.phase is Phase.REMOVING and not self.marker:
                    assert self.kept(), "goes on without a marker"
                    self._check_gone()
                    self._note_end()
                case Phase.OPEN:
                    assert self.marker, "goes on without a marker"
                    self.setting_aside = set()
                case Phase.FINISHING:
                    assert self.may_finish or self._ended_well(), "finishes, and nobody wants it"
                case Phase.REMOVING:
                    assert not self.marker, "removes beside a marker"
                    assert not self.missing(), f"removes before {self.missing()} came"
                case Phase.CLOSED:
                    self._note_end()
        if leaves(now) and not leaves(before):
            already, here = self.vip.launches(), self.complete(settled=True)
            some = {p for p, n in already.items() if n < self.wanted(p)}
            self.unsent |= self.content.items()
            self.written = any(at > self.now for at in self.quiet_at.values())
            self.setting_aside = some | {p for p in here if already[p] < self.wanted(p)}

    def _note_end(self) -> None:
        self.excused |= self.setting_aside
        self.may_finish = self.may_kill = False
        if not self.settings.finish.keep_output:
            self.ended_before = set(self.vip.jobs)

    def _ended_well(self) -> bool:
        """Tell whether the settings allow the session to finish by itself now."""
        mine = [self.vip.executions[id_] for id_ in self.vip.jobs.keys() - self.ended_before]
        ended = all(e.status is model.ExecutionStatus.FINISHED for e in mine)
        return self.settings.finish.after == "download" and ended and not self.missing()

    def check_removal(self, action: do.RemoveTree) -> None:
        """Hold what must be true at the moment when data go from VIP."""
        session = self.state.session
        assert session.phase is Phase.REMOVING, "removed while it is not being removed"
        wanted = self.may_finish or self.settings.finish.after == "download"
        assert wanted, "nobody wants it removed"
        assert is_below(action.path, HOME), "removed outside the session's folder"
        kept = [folder for folder in self.kept() if is_below(folder, action.path)]
        assert not kept, f"removed {kept}, which was to stay"
        assert not self.missing(), f"removed before {self.missing()} came"

    def kept(self) -> list[VipPath]:
        """Return the folders that are to stay on VIP after the end."""
        finish = self.settings.finish
        return [INPUTS] * finish.keep_input + [OUTPUTS] * finish.keep_output

    def missing(self) -> list[VipPath]:
        """Return the results on VIP that never were complete here, and were not let go."""
        vip, statuses = self.vip, self.settings.outputs.get_status
        ids = [i for i in vip.writes if not statuses or vip.executions[i].status in statuses]
        told = {path for id_ in ids for path in vip.writes[id_] if last(path) not in self.let_go}
        there = told & vip.files.keys()
        return [path for path in there if (path, vip.files[path].size) not in self.came]

    def refused(self) -> set[VipPath]:
        """Return the results that VIP would not let through."""
        rows = self.state.results.values()
        return {r.vip for r in rows if r.status is ResultStatus.REFUSED}

    def complete(self, *, settled: bool = False) -> set[Parts]:
        """Return the complete cases, of which a person decides; `settled`: of files that are quiet."""
        noisy = {p for p, at in self.quiet_at.items() if settled and at > self.now}
        files = {p: c for p, c in self.content.items() if p not in noisy}
        found = SHAPES[self.shape].cases(files)
        return {tuple(sorted((path, files[path]) for path in own)) for own in found}

    def cases(self, *, settled: bool = False) -> set[Parts]:
        """Return the complete cases that may go to VIP."""
        found = self.complete(settled=settled) if self.content.get("ref.txt") != NAMED else set()
        return {parts for parts in found if all(content != NAMED for _, content in parts)}

    def check_rest(self) -> None:
        """Hold what must be true when nothing can advance without a person or a new file."""
        phase, session = self.state.session.phase, self.state.session
        for local, stamp in self.theirs.items():
            assert self.outputs.get(local) == stamp, f"outputs/{local} is no longer theirs"
        if self.taken:
            assert phase is Phase.CLOSED, "opened what belongs to another one"
            assert not self.marker
            assert self.vip.ids(HOME) == ("other",)
            return
        if self.vanished:
            return
        if phase in (Phase.FINISHING, Phase.REMOVING):
            assert self.missing() or self.refused(), f"{phase}, though nothing is missing"
            return
        ignored = self.may_finish and phase is Phase.OPEN
        assert not ignored, "the marker is gone, and nothing comes of it"
        if phase is Phase.CLOSED:
            self._check_gone()
            assert not self.marker or self.stray_marker, "closed beside a marker"
        else:
            assert self.marker, "open without a marker"
        if phase is Phase.OPEN and not session.paused:
            self._check_mirror()
        if not session.paused:
            self._check_launches()

    def _check_gone(self) -> None:
        """Hold that an end left nothing on VIP but what was to stay."""
        left = [p for p in (*self.vip.folders, *self.vip.files) if is_below(p, HOME)]
        if kept := self.kept():
            left = [
                p for p in left if p not in (HOME, builders.ID_FOLDER) and not is_below(p, *kept)
            ]
        assert not left, f"left on VIP: {left}"

    def _check_mirror(self) -> None:
        """Hold that every result is here, and every file there that was to be sent."""
        refused = self.refused()
        lacking = set(self.missing()) - refused
        assert not lacking, f"{lacking} did not come"
        now = self.vip.jobs.keys() - self.ended_before
        came = {p for i in now for p in self.vip.writes[i] if (p, RESULT_SIZE) in self.came}
        there = came & self.vip.files.keys() - refused
        gone = [p for p in there if p.removeprefix(f"{OUTPUTS}/") not in self.outputs]
        assert not gone, f"{gone} did not come back"
        if self.settings.inputs.upload == "all" or not SHAPES[self.shape].descriptor:
            unsent = self.content.items() - self.vip.ever - self.unsent
            unsent = {(path, content) for path, content in unsent if content != NAMED}
            assert not unsent, f"{unsent} did not go up"

    def _check_launches(self) -> None:
        """Hold that each complete case has exactly its launches."""
        already = self.vip.launches()
        few = {p for p in self.cases() if already[p] < self.wanted(p)}
        if self.held_back:
            jobs = sum(self.wanted(p) - already[p] for p in few)
            assert jobs > self.settings.launch.confirm_above, "held back without a reason"
        else:
            assert few <= self.excused, f"not launched: {few - self.excused}"
