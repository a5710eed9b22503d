"""One life of a story: a world on one clock, people who do what the story says, and the end of it.

Whatever goes wrong on the way is written down at once in `wrongs`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest

from tests.harness import SPECTRUM, Bench, Study
from tests.soak.ending import DONE, MY_WORDS, NOT_DONE, End, archive
from tests.soak.story import (
    KILLED,
    OF_ENGINES,
    Cancel,
    Drop,
    Edit,
    Event,
    Fate,
    Finish,
    Folder,
    Hesitate,
    Lose,
    Rest,
    Signal,
    Story,
)
from tests.soak.trace import Trace
from tests.soak.weather import Calm, Killed, Weather
from vipsync import actions as do
from vipsync.dispatch import Done, carry_out
from vipsync.folder import ID_LETTERS, SessionFolder
from vipsync.ledger import Ledger
from vipsync.local import DEFAULT_KEY, Job, Kind, User
from vipsync.model import ExecutionStatus, JobState, VipPath
from vipsync.plan.standing import CaseState, outcome
from vipsync.reconcile import Work
from vipsync.state import Changes, Followed, LaunchStatus, Phase, Result, ResultStatus

KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
"""A key of the real form, so that a leak can be seen."""

MOST_DEATHS = 300
NOTES = "notes.txt"
Condition = Callable[[], bool]

_FAULTS = {
    Fate.FAILS: Kind.JOB_FAILS,
    Fate.EMPTY: Kind.OUTPUT_MISSING,
    Fate.HELD: Kind.JOB_HELD,
    Fate.CRASHES: Kind.ENGINE_CRASHES,
    Fate.STUCK: Kind.ENGINE_STUCK,
}
_STATES = {
    Fate.WELL: CaseState.DONE,
    Fate.FAILS: CaseState.FAILED,
    Fate.EMPTY: CaseState.INCOMPLETE,
    Fate.CRASHES: CaseState.FAILED,
    Fate.LONG: CaseState.STOPPED,
    Fate.HELD: CaseState.STOPPED,
    Fate.STUCK: CaseState.STOPPED,
}


class Life:
    """A story on its way from the first file to the closed session."""

    def __init__(self, root: Path, story: Story, *, calm: bool = False) -> None:
        self.story, self.trace = story, Trace(root)
        self.bench = Bench(
            root,
            users=MappingProxyType({DEFAULT_KEY: User(), KEY: User()}),
            quota_user=story.quota,
            removal_delay=story.removal_delay,
            output_lag=story.output_lag,
        )
        self.bench.world.pipelines.add(
            SPECTRUM | {"name": "paired", "custom": {"vip:dot": ["signal"]}}
        )
        self.bench.key = KEY
        self.bench.runner.work = fit
        self.bench.job_seconds = self._seconds
        weather = Weather.of(story.seed, self.bench.world)
        self.weather = Calm(self.bench.world, weather.chance, 0.0) if calm else weather
        self.bench.executor = _Mortal(self)
        self.bench.transport = _Watched(self)
        self.posted: dict[str, list[str]] = {}
        self.wrongs: list[str] = []
        self.deaths = 0
        self.players = [_Player(self, folder) for folder in story.folders]

    def live(self) -> End:
        """Live the story; raise AssertionError where it goes wrong on the way or at its end."""
        with _heard(self), _written(self):
            waiting = {player: player.play() for player in self.players}
            conditions = {player: next(play) for player, play in waiting.items()}
            while conditions:
                self._until(lambda: any(holds() for holds in conditions.values()))
                for player in [p for p, holds in conditions.items() if holds()]:
                    self._look_around()
                    following = next(waiting[player], None)
                    if following is None:
                        del conditions[player]
                    else:
                        conditions[player] = following
            self._rest()
            self._look_around()
            return self._end()

    def close(self) -> None:
        """Let go of everything."""
        self.bench.close()

    def started(self) -> dict[str, list[tuple[str, int]]]:
        """Return for each text the executions it was started in, with the number of its job."""
        found: dict[str, list[tuple[str, int]]] = {}
        for execution in self.bench.world.executions.all():
            for number, text in enumerate(self.posted[execution.name], start=1):
                found.setdefault(text, []).append((execution.identifier, number))
        return found

    def _until(self, condition: Condition) -> None:
        while True:
            try:
                self.bench.until(lambda: self._passes(condition))
            except Killed:
                self.deaths += 1
                self.trace.add(self.bench.clock.now(), "died")
                assert self.deaths < MOST_DEATHS, "the process died too often"
                self.bench.die()
                self._look_around()
            else:
                return

    def _passes(self, condition: Condition) -> bool:
        assert not self.wrongs, self.wrongs[0]
        self.weather.pass_point()
        return condition()

    def _rest(self) -> None:
        """Restart in calm weather: nothing is left to be done on VIP."""
        self.weather.clear()
        self.bench.restart()
        changes = len(self.bench.changes())
        self.bench.run(30)
        self.bench.until(self.bench.loop.at_rest)
        more = self.bench.changes()[changes:]
        assert more == [], f"there was something left to do: {more[:3]}"

    def _look_around(self) -> None:
        """Check what must hold at every moment."""
        assert not self.wrongs, self.wrongs[0]
        for player in self.players:
            player.look_around()

    def _end(self) -> End:
        self.bench.world.settle()
        names = Counter(e.name for e in self.bench.world.executions.all())
        assert max(names.values(), default=1) == 1, f"an execution was started twice: {names}"
        for player in self.players:
            player.check_end()
        assert not any(KEY in line for line in self.trace.lines), "the key is in an outcome"
        return End(
            started=Counter({text: len(found) for text, found in self.started().items()}),
            cases=sum((p.cases() for p in self.players), Counter()),
            outputs=sum((p.outputs() for p in self.players), Counter()),
            kept=sum((p.kept() for p in self.players), Counter()),
        )

    def noted(self, request: httpx.Request) -> None:
        """Note what is about to reach VIP: a launch's texts and fates, whether a removal is due."""
        if request.method == "POST" and request.url.path == "/rest/executions":
            self._note_launch(json.loads(request.content))
        if request.method == "DELETE":
            for player in self.players:
                player.check_removal(request.url.path)

    def _seconds(self, job: Job) -> float:
        text = _text(job)
        if text not in self.story.fates:
            self.wrongs.append(f"{job.subject} began without its file")
            return 0.0
        return self.story.seconds(text)

    def _note_launch(self, body: dict[str, object]) -> None:
        name, values = str(body["name"]), body["inputValues"]
        assert isinstance(values, dict)
        signals = values["signal"]
        paths = signals if isinstance(signals, list) else [signals]
        files = [self.bench.home / path.removeprefix("/vip/Home/API/") for path in paths]
        if name in self.posted or not all(f.is_file() for f in files):
            if name not in self.posted:
                self.wrongs.append(f"{name} was posted without its files")
            return
        self.posted[name] = [f.read_text() for f in files]
        for number, text in enumerate(self.posted[name], start=1):
            fate = self.story.fates.get(text)
            if fate is None:
                self.wrongs.append(f"{name} was posted with a file that is not whole: {text!r}")
            elif fate in _FAULTS:
                subject = name if fate in OF_ENGINES else f"{name}/{number}"
                self.bench.world.faults.arm(_FAULTS[fate], subject)


class _Player:
    """One folder, and who does in it what the story says."""

    def __init__(self, life: Life, folder: Folder) -> None:
        self.life, self.folder, self.settings = life, folder, folder.settings
        self.study: Study = life.bench.study(folder.name, folder.settings.toml())
        letters = random.Random(f"{life.story.seed} {folder.name}").choices(ID_LETTERS, k=10)
        SessionFolder(self.study.root).claim("".join(letters))
        self.inputs: dict[str, str] = {}
        self.told: list[Signal] = []
        self.closed_before = False
        self.stopped: set[str] = set()
        self.edited: dict[Path, bytes] = {}
        self.leaving = folder.settings.after == "download"
        if folder.settings.upload == "all":
            self._write(NOTES, f"notes of {folder.name}")

    # what people do

    def play(self) -> Iterator[Condition]:
        """Do one thing after another; yield what must be true before the next."""
        for event in self.folder.events:
            self.life.weather.change()
            self.life.trace.add(self.life.bench.clock.now(), "story", event)
            yield from self._do(event)

    def _do(self, event: Event) -> Iterator[Condition]:
        match event:
            case Drop():
                self._drop(event.signals)
                yield self.calm
            case Rest():
                yield from self._rest(event.signals)
            case Lose():
                lost = self._result(event.signal)
                shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
                yield lambda: lost.exists() and self.calm()
            case Edit():
                self._edit(event.signal)
                yield lambda: self.study.says("was changed on this machine")
            case Hesitate():
                yield from self._hesitate(event.seconds)
            case Cancel():
                self._stop(event.signals)
                self.study.ask("cancel", *(f"{s.name}.mrui" for s in event.signals))
                yield self.calm
            case Finish():
                yield from self._finish(event)

    def _write(self, name: str, text: str) -> None:
        self.inputs[name] = text
        self.study.write({name: text})

    def _drop(self, signals: tuple[Signal, ...]) -> None:
        for signal in signals:
            self._write(f"{signal.name}.mrui", signal.text)
        self.told += signals

    def _rest(self, signals: tuple[Signal, ...]) -> Iterator[Condition]:
        self.study.ask("pause")
        yield self._after(20.0)
        self._drop(signals)
        yield self._after(40.0)
        self.study.ask("resume")
        yield self.calm

    def _after(self, seconds: float) -> Condition:
        clock = self.life.bench.clock
        end = clock.now() + seconds
        return lambda: clock.now() >= end

    def _edit(self, signal: Signal) -> None:
        result = self._result(signal)
        path = result / "fit.txt" if result.is_dir() else result
        path.write_bytes(MY_WORDS)
        self.edited[path] = MY_WORDS

    def _hesitate(self, seconds: float) -> Iterator[Condition]:
        text = self.study.marker.read_text()
        self.study.marker.unlink()
        yield self._after(seconds)
        self.study.marker.write_text(text)
        yield self.calm

    def _stop(self, signals: tuple[Signal, ...]) -> None:
        self.stopped |= {s.text for s in signals}

    def _finish(self, event: Finish) -> Iterator[Condition]:
        if self._closes_by_itself():
            return
        if event.command == "finish --kill" or self.settings.running == "kill":
            self._stop(tuple(s for s in self.told if s.fate in KILLED))
        self.leaving = True
        if event.command == "marker":
            self.study.marker.unlink()
        else:
            kill = {"kill": "yes"} if event.command == "finish --kill" else {}
            self.study.ask("finish", **kill)
        if event.late:
            yield self._on_its_way_out
            self.closed_before = True
            self._drop(event.late)
            yield self.calm
            self.study.marker.unlink()
        yield self._closed

    # what comes of it

    def calm(self) -> bool:
        """Tell whether everything that can come is here, and nothing is in trouble."""
        session = self.study.session
        if not session.is_open or session.trouble or session.memory.trouble:
            return False
        started = self.life.started()
        return (
            self._stands_right()
            and not self.study.state.session.paused
            and not any((self.study.root / ".vipsync" / "requests").iterdir())
            and all(self._came(signal, started.get(signal.text, [])) for signal in self.told)
        )

    def _stands_right(self) -> bool:
        if self._closes_by_itself():
            return self.study.phase() is Phase.CLOSED
        open_ = self.study.phase() is Phase.OPEN and self.study.marker.exists()
        return open_ and (self.closed_before or self._notes_are_there())

    def _closes_by_itself(self) -> bool:
        well = all(s.fate is Fate.WELL for s in self.told)
        return self.settings.after == "download" and well

    def _notes_are_there(self) -> bool:
        if self.settings.upload != "all" or self.settings.after == "download":
            return True
        there = (self.life.bench.home / self.folder.name / "INPUTS").rglob(NOTES)
        return any(path.read_text() == self.inputs[NOTES] for path in there)

    def _came(self, signal: Signal, started: list[tuple[str, int]]) -> bool:
        """Tell whether a signal has come to where its fate leads."""
        assert len(started) <= self.settings.runs, f"{signal.text[:40]} was started too often"
        executions = self.study.state.executions
        return len(started) == self.settings.runs and all(
            (execution := executions.get(id_)) is not None
            and (execution.removed or self._at_its_end(signal, execution, number))
            and (execution.over or self._is_held_up(execution))
            for id_, number in started
        )

    def _is_held_up(self, execution: Followed) -> bool:
        """Tell whether an execution has a job that only a kill ends."""
        fates = [self.life.story.fates[text] for text in self.life.posted[execution.name]]
        return any(fate in KILLED for fate in fates)

    def _at_its_end(self, signal: Signal, execution: Followed, number: int) -> bool:
        killed = execution.status is ExecutionStatus.KILLED and execution.listed
        if signal.text in self.stopped:
            return killed
        job = next((j.state for j in execution.jobs if j.number == number), None)
        match signal.fate:
            case Fate.WELL:
                return self._is_here(signal, execution.id)
            case Fate.FAILS:
                return job is JobState.FAILED and number in execution.logs
            case Fate.EMPTY:
                return job is JobState.DONE
            case Fate.LONG:
                return job is JobState.RUNNING
            case Fate.HELD:
                return job is JobState.HELD
            case Fate.CRASHES:
                return killed
            case Fate.STUCK:
                return execution.results_folder is not None

    def _is_here(self, signal: Signal, execution_id: str) -> bool:
        return any(
            r.execution_id == execution_id and r.vip.endswith(f"/{signal.name}.mrui.tgz")
            for r in self._results()
        )

    def _results(self) -> list[Result]:
        results = self.study.state.results.values()
        return [r for r in results if r.status is ResultStatus.HERE]

    def _result(self, signal: Signal) -> Path:
        """Return where the first result of a signal lies."""
        mine = {id_ for id_, _ in self.life.started()[signal.text]}
        name = f"/{signal.name}.mrui.tgz"
        found = [r for r in self._results() if r.execution_id in mine and r.vip.endswith(name)]
        return self.study.root / "outputs" / min(r.local for r in found)

    def _on_its_way_out(self) -> bool:
        session = self.study.session
        if not session.is_open or session.trouble:
            return False
        now = self.study.state.session
        return now.phase in (Phase.REMOVING, Phase.CLOSED) or now.set_aside

    def _closed(self) -> bool:
        session = self.study.session
        return session.is_open and not session.trouble and self.study.phase() is Phase.CLOSED

    # what must hold

    def look_around(self) -> None:
        """Check that inputs are untouched and results whole."""
        inputs = {p.name: p.read_text() for p in (self.study.root / "inputs").iterdir()}
        assert inputs == self.inputs, "an input was changed"
        whole = {archive(s.text) for s in self.told} | {s.text.encode() for s in self.told}
        for path in self._output_files():
            if "logs" not in path.parts:
                content = path.read_bytes()
                assert content == self.edited.get(path) or content in whole, f"{path} is not whole"
        for path in self.edited:
            assert path.exists(), f"{path}, which a person edited, is gone"

    def check_removal(self, path: str) -> None:
        """Note where a removal from VIP comes before its time."""
        home = f"/rest/path/vip/Home/API/{self.folder.name}"
        if path != home and not path.startswith(f"{home}/"):
            return
        if not self.leaving or self.study.marker.exists():
            self.life.wrongs.append("a removal that nobody asked for")
        there = self.life.bench.home / self.folder.name / "OUTPUTS"
        local = {r.vip: self.study.root / "outputs" / r.local for r in self._results()}
        for file in [p for p in there.rglob("*") if p.is_file()]:
            vip = VipPath(f"/vip/Home/API/{file.relative_to(self.life.bench.home).as_posix()}")
            if vip not in local or not local[vip].exists():
                self.life.wrongs.append(f"a removal before {vip} was here")

    def check_end(self) -> None:
        """Check what is true at the end of each life."""
        hidden = self.study.root / ".vipsync"
        left = [path.name for path in (hidden / "transfers").iterdir()]
        assert left == [], f"something half is left: {left}"
        assert list((hidden / "requests").iterdir()) == [], "a request was not answered"
        for path in [p for p in self.study.root.rglob("*") if p.is_file()]:
            assert KEY.encode() not in path.read_bytes(), f"the key is in {path}"
        assert self.study.phase() is Phase.CLOSED

    def cases(self) -> Counter[tuple[str, str]]:
        """Return what is said of each case and run; exact where VIP tells its job from others."""
        state, found = self.study.state, Counter[tuple[str, str]]()
        by_hash = {hashlib.sha256(s.text.encode()).hexdigest(): s for s in self.told}
        for launch in state.launches.values():
            if launch.status is not LaunchStatus.STARTED:
                assert launch.status is not LaunchStatus.INTENDED, "a launch is still in doubt"
                continue
            for case in launch.cases:
                signal = by_hash[case.own[0][1]]
                said, _ = outcome(case, launch, state.executions[launch.execution_id])
                if len(launch.cases) == 1:
                    assert said is _STATES[signal.fate], f"{signal.fate} is said to be {said}"
                done = DONE if said is CaseState.DONE else NOT_DONE
                found[signal.text, done] += 1
        return found

    def outputs(self) -> Counter[tuple[str, bytes]]:
        """Return what lies in outputs/, whatever its folder is called."""
        root = self.study.root / "outputs"
        return Counter(
            (f"{self.folder.name}/{_timeless(p.relative_to(root))}", p.read_bytes())
            for p in self._output_files()
            if not self._is_copy_of_edited(p)
        )

    def _is_copy_of_edited(self, path: Path) -> bool:
        """Tell whether this came beside what a person edited, after VIP had told a wrong size."""
        beside = {p.parent if p.name == "fit.txt" else p for p in self.edited}
        return any(f"{b}.vip" in (str(path), str(path.parent)) for b in beside)

    def kept(self) -> Counter[tuple[str, bytes]]:
        """Return what was to be kept on VIP; check that nothing else lies there."""
        home = self.life.bench.home / self.folder.name
        if not (self.settings.keep_input or self.settings.keep_output):
            assert not home.exists(), "something is left on VIP"
            return Counter()
        files = [p for p in home.rglob("*") if p.is_file()]
        tops = {p.relative_to(home).parts[0] for p in files}
        kept = {"INPUTS": self.settings.keep_input, "OUTPUTS": self.settings.keep_output}
        assert tops <= {name for name, stays in kept.items() if stays}, tops
        if self.settings.keep_input:
            there = {p.read_text() for p in files if "INPUTS" in p.parts}
            assert {s.text for s in self.told} <= there, "an input to be kept is gone"
        return Counter(
            (_timeless(p.relative_to(home)), p.read_bytes())
            for p in files
            if "OUTPUTS" in p.relative_to(home).parts
        )

    def _output_files(self) -> list[Path]:
        root = self.study.root / "outputs"
        own = {"session_data.json", "results.csv"}
        return [p for p in root.rglob("*") if p.is_file() and p.name not in own]


class _Mortal:
    """Carries work out at once; the process may die before, inside or after."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def submit(self, work: Work, done: Done) -> None:
        """Carry work out, and write down what came of it."""
        told: list[do.Outcome | None] = []
        self._life.weather.pass_point()
        carry_out(work, lambda _work, came: told.append(came))
        self._life.trace.add(self._life.bench.clock.now(), do.key(work.action), told[0])
        self._life.weather.pass_point()
        done(work, told[0])


class _Watched(httpx.BaseTransport):
    """Passes requests on; the process may die before and after each."""

    def __init__(self, life: Life) -> None:
        self._life, self._inner = life, life.bench.transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, and write down how it was answered."""
        life = self._life
        life.weather.pass_point()
        life.noted(request)
        asked = f"{request.method} {request.url.raw_path.decode()}"
        try:
            response = self._inner.handle_request(request)
        except httpx.TransportError as error:
            life.trace.add(life.bench.clock.now(), asked, type(error).__name__)
            raise
        life.trace.add(life.bench.clock.now(), asked, response.status_code)
        life.weather.pass_point()
        return response


@dataclass
class _written:  # noqa: N801  # a context manager reads as a word
    """Write each commit down; the process may die before and after it."""

    life: Life
    patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)

    def __enter__(self) -> None:
        commit, life = Ledger.commit, self.life

        def commit_or_die(ledger: Ledger, changes: Changes) -> None:
            life.weather.pass_point()
            commit(ledger, changes)
            life.trace.add(life.bench.clock.now(), changes)
            life.weather.pass_point()

        self.patch.setattr(Ledger, "commit", commit_or_die)
        # Nobody waits here: looks that find nothing may be rarer, which only saves time.
        self.patch.setattr("vipsync.loop.LONGEST_WAIT", 20.0)

    def __exit__(self, *_error: object) -> None:
        self.patch.undo()


class _heard(logging.Handler):  # noqa: N801  # a context manager reads as a word
    """Hear what is logged: a fault of vipsync is a wrong, and so is the key."""

    def __init__(self, life: Life) -> None:
        super().__init__(logging.DEBUG)
        self._life, self._logger = life, logging.getLogger("vipsync")

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if KEY in text:
            self._life.wrongs.append("the key was logged")
        if record.levelno >= logging.ERROR:
            self._life.wrongs.append(text)

    def __enter__(self) -> None:
        self._logger.addHandler(self)
        self._logger.propagate = False

    def __exit__(self, *_error: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True


def _text(job: Job) -> str:
    signal = job.files["signal"]
    return signal.read_text() if signal and signal.is_file() else ""


def fit(job: Job) -> dict[str, bytes]:
    """Return what a job writes: an archive with the text of its signal."""
    return {"fit": archive(_text(job))}


def _timeless(path: Path) -> str:
    """Return a path below outputs/ without what differs from life to life: times, job numbers."""
    text = re.sub(r"\d{4}-\d\d-\d\d_\d{6}", "TIME", path.as_posix())
    return re.sub(r"logs/job-\d+", "logs/job", text)
