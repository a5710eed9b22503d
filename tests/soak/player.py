"""One session folder in a life: who does in it what the story says, and what must hold there."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.bench import STAMP, Study
from tests.lab.builders import leaves
from tests.lab.served import KEY
from tests.soak import story
from tests.soak.ending import DONE, MY_WORDS, NOT_DONE, archive
from tests.soak.story import KILLED, Event, Fate, Finish, Folder, Signal
from vipsync.folder.folder import ID_LETTERS, SessionFolder
from vipsync.model import ExecutionStatus, JobState, RelPath, VipPath
from vipsync.plan.standing import CaseState, outcome
from vipsync.rows import Followed, LaunchStatus, Phase, Result, ResultStatus, SendStatus

if TYPE_CHECKING:
    from tests.soak.life import Life

NOTES = "notes.txt"
Condition = Callable[[], bool]

_STATES = {
    Fate.WELL: CaseState.DONE,
    Fate.FAILS: CaseState.FAILED,
    Fate.EMPTY: CaseState.INCOMPLETE,
    Fate.CRASHES: CaseState.FAILED,
    **dict.fromkeys(KILLED, CaseState.STOPPED),
}


class Player:
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
            self.life.watch.note("story", event)
            yield from self._do(event)

    def _do(self, event: Event) -> Iterator[Condition]:
        match event:
            case story.Drop():
                self._drop(event.signals)
                yield self.calm
            case story.Rest():
                yield from self._rest(event.signals)
            case story.Lose():
                lost = self._first_result(event.signal)
                shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
                yield lambda: lost.exists() and self.calm()
            case story.Edit():
                self._edit(event.signal)
                yield self._edit_noticed
            case story.Hesitate():
                yield from self._hesitate(event.seconds)
            case story.Cancel():
                self.stopped |= {s.text for s in event.signals}
                self.study.ask("cancel", *(f"{s.name}.mrui" for s in event.signals))
                yield self.calm
            case story.Finish():
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
        result = self._first_result(signal)
        path = result / "fit.txt" if result.is_dir() else result
        path.write_bytes(MY_WORDS)
        self.edited[path] = MY_WORDS

    def _edit_noticed(self) -> bool:
        """Tell whether the edited result is left alone: said, or with the one of VIP beside it."""
        said = self.study.says("was changed on this machine")
        return said or any(map(self._is_copy_of_edited, self._output_files()))

    def _hesitate(self, seconds: float) -> Iterator[Condition]:
        text = self.study.marker.read_text()
        self.study.marker.unlink()
        yield self._after(seconds)
        self.study.marker.write_text(text)
        yield self.calm

    def _finish(self, event: Finish) -> Iterator[Condition]:
        if self._closes_by_itself():
            return
        if event.command == "finish --kill" or self.settings.running == "kill":
            self.stopped |= {s.text for s in self.told if s.fate in KILLED}
        self.leaving = True
        if event.command == "marker":
            self.study.marker.unlink()
        else:
            kill = {"kill": "yes"} if event.command == "finish --kill" else {}
            self.study.ask("finish", **kill)
        if event.signals:
            yield self._on_its_way_out
            self.closed_before = True
            self._drop(event.signals)
            yield self.calm
            self.study.marker.unlink()
        yield self._closed

    # what comes of it

    def calm(self) -> bool:
        """Tell whether everything that can come is here, and nothing is in trouble."""
        if not self._is_well() or self.study.session.memory.account.trouble:
            return False
        started = self.life.started()
        return (
            self._stands_right()
            and not self.study.state.session.paused
            and not self._asked()
            and all(self._came(signal, started.get(signal.text, [])) for signal in self.told)
        )

    def _is_well(self) -> bool:
        return self.study.session.is_open and not self.study.session.trouble

    def _asked(self) -> list[Path]:
        return list((self.study.root / ".vipsync" / "requests").iterdir())

    def _stands_right(self) -> bool:
        if self._closes_by_itself():
            return self._has_ended()
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
                return bool(self._results(signal, [execution.id]))
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

    def _results(self, signal: Signal, ids: Collection[str]) -> list[RelPath]:
        """Return where what executions made of a signal lies below outputs/."""
        mine = [r for r in self._here() if r.execution_id in ids]
        return [r.local for r in mine if r.vip.endswith(f"/{signal.name}.mrui.tgz")]

    def _here(self) -> list[Result]:
        results = self.study.state.results.values()
        return [r for r in results if r.status is ResultStatus.HERE]

    def _first_result(self, signal: Signal) -> Path:
        ids = {id_ for id_, _ in self.life.started()[signal.text]}
        return self.study.root / "outputs" / min(self._results(signal, ids))

    def _on_its_way_out(self) -> bool:
        return self._is_well() and (leaves(self.study.state.session) or self._has_ended())

    def _closed(self) -> bool:
        return self._is_well() and not self._asked() and self._has_ended()

    def _has_ended(self) -> bool:
        """Tell whether all has gone from VIP that was not to stay there."""
        state, settings = self.study.state, self.settings
        if not settings.keep_input and not settings.keep_output:
            return state.session.phase is Phase.CLOSED
        sent = [row for row in state.sent.values() if row.status is not SendStatus.REMOVED]
        there = [e for e in state.executions.values() if not e.removed]
        gone = (settings.keep_input or not sent) and (settings.keep_output or not there)
        return gone and state.session.phase is Phase.OPEN and self.study.marker.exists()

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
        local = {r.vip: self.study.root / "outputs" / r.local for r in self._here()}
        for file in [p for p in there.rglob("*") if p.is_file()]:
            vip = VipPath(f"/vip/Home/API/{file.relative_to(self.life.bench.home).as_posix()}")
            if vip not in local or not local[vip].exists():
                self.life.wrongs.append(f"a removal before {vip} was here")

    def check_end(self) -> None:
        """Check what is true at the end of each life."""
        left = list((self.study.root / ".vipsync" / "transfers").iterdir())
        assert left == [], f"something half is left: {left}"
        assert self._asked() == [], "a request was not answered"
        for path in [p for p in self.study.root.rglob("*") if p.is_file()]:
            assert KEY.encode() not in path.read_bytes(), f"the key is in {path}"
        assert self._has_ended()

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
                said = outcome(case, launch, state.executions[launch.execution_id]).state
                if len(launch.cases) == 1:
                    assert said is _STATES[signal.fate], f"{signal.fate} is said to be {said}"
                done = DONE if said is CaseState.DONE else NOT_DONE
                found[signal.text, done] += 1
        return found

    def outputs(self) -> Counter[tuple[str, bytes]]:
        """Return what lies in outputs/, whatever its folder is called."""
        root = self.study.root / "outputs"
        files = [p for p in self._output_files() if not self._is_copy_of_edited(p)]
        place = f"{self.folder.name}/"
        return Counter((place + _timeless(p.relative_to(root)), p.read_bytes()) for p in files)

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
        results = [p for p in files if "OUTPUTS" in p.relative_to(home).parts]
        return Counter((_timeless(p.relative_to(home)), p.read_bytes()) for p in results)

    def _output_files(self) -> list[Path]:
        root = self.study.root / "outputs"
        own = {"session_data.json", "results.csv"}
        return [p for p in root.rglob("*") if p.is_file() and p.name not in own]


def _timeless(path: Path) -> str:
    """Return a path below outputs/ without what differs from life to life: times, job numbers."""
    return re.sub(r"logs/job-\d+", "logs/job", STAMP.sub("TIME", path.as_posix()))
