"""What happens to some session folders, drawn from a seed. PURE: no I/O, no clock.

A story holds what people do and what becomes of jobs; the weather (faults, deaths) is no part of
it. So the same story has one right end, whatever the weather was.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

import tomli_w
from msgspec import Struct


class Fate(StrEnum):
    """What becomes of the job of a signal."""

    WELL = "its result comes"
    FAILS = "it ends with exit code 50"
    EMPTY = "it ends well, without its output"
    LONG = "it runs for longer than the story"
    HELD = "VIP gives up on it, and says neither yes nor no"
    CRASHES = "the engine dies before any job begins"
    STUCK = "the engine never starts a job, and runs for ever"


KILLED = (Fate.LONG, Fate.HELD, Fate.STUCK)
"""What only a kill ends."""

OF_ENGINES = (Fate.CRASHES, Fate.STUCK)
"""What hits all jobs of an execution."""


class Signal(Struct, frozen=True):
    """One input in one version; its text tells it from all others."""

    name: str
    text: str
    fate: Fate = Fate.WELL


class Drop(Struct, frozen=True):
    """Put files into inputs/, or write over those that are there."""

    signals: tuple[Signal, ...]


class Lose(Struct, frozen=True):
    """Delete a result, which comes back."""

    signal: Signal


class Edit(Struct, frozen=True):
    """Change a result, which is then a person's own."""

    signal: Signal


class Hesitate(Struct, frozen=True):
    """Delete the marker, and put it back while something still runs."""

    seconds: float


class Rest(Struct, frozen=True):
    """Pause, let files come, resume."""

    signals: tuple[Signal, ...]


class Cancel(Struct, frozen=True):
    """Stop the executions of these cases."""

    signals: tuple[Signal, ...]


class Finish(Struct, frozen=True):
    """Say that the data on VIP may go; `signals` come while they go."""

    command: str
    signals: tuple[Signal, ...]


Event = Drop | Lose | Edit | Hesitate | Rest | Cancel | Finish


_OF_FINISH = ("after", "running", "keep_input", "keep_output")


class Settings(Struct, frozen=True):
    """The choices that settings.toml of a folder makes."""

    pipeline: str
    runs: int
    max_jobs: int
    upload: str
    unzip: bool
    keep_archive: bool
    after: str
    running: str
    keep_input: bool
    keep_output: bool

    def toml(self) -> str:
        """Return settings.toml."""
        sections = {
            "inputs": {"settle": "5s", "upload": self.upload},
            "launch": {"nb_runs": self.runs, "max_jobs": self.max_jobs},
            "outputs": {"unzip": self.unzip, "keep_archive": self.keep_archive},
            "finish": {name: getattr(self, name) for name in _OF_FINISH},
        }
        head = {"pipeline_id": self.pipeline, "portal": "https://vip.test"}
        return tomli_w.dumps({**head, "input_settings": {"signal": "*.mrui"}, **sections})


class Folder(Struct, frozen=True):
    """One session folder: its settings, and what happens to it, step by step."""

    name: str
    settings: Settings
    events: tuple[Event, ...]

    @property
    def signals(self) -> list[Signal]:
        """Return every signal that ever lay in inputs/."""
        arrivals = [e for e in self.events if isinstance(e, (Drop, Rest, Finish))]
        return [signal for arrival in arrivals for signal in arrival.signals]


class Story(Struct, frozen=True):
    """What happens, and how slow VIP is."""

    seed: int
    folders: tuple[Folder, ...]
    quota: int
    removal_delay: float
    output_lag: float

    @property
    def fates(self) -> dict[str, Fate]:
        """Return what becomes of each signal, by its text."""
        return {s.text: s.fate for folder in self.folders for s in folder.signals}

    def seconds(self, text: str) -> float:
        """Return how long the job of a signal takes."""
        if self.fates[text] is Fate.LONG:
            return 1e9
        return random.Random(f"{self.seed} {text}").choice([1.0, 20.0, 60.0])


def invent(seed: int) -> Story:
    """Return the story of a seed."""
    chance = random.Random(seed)
    quota = chance.choice([1, 2, 100, 100])
    count = chance.choice([1, 1, 1, 1, 2])
    names = [f"study{n}" for n in range(1, count + 1)]
    folders = tuple(_Writer(chance, name, quota > 2, _settings(chance)).folder() for name in names)
    removal_delay, output_lag = chance.choice([0.0, 3.0]), chance.choice([0.0, 10.0])
    return Story(seed, folders, quota, removal_delay, output_lag)


def _settings(chance: random.Random) -> Settings:
    rare = chance.random
    return Settings(
        pipeline=chance.choice(["spectrum/1", "paired/1"]),
        runs=chance.choice([1, 1, 2, 3]),
        max_jobs=chance.choice([1, 2, 200, 200]),
        upload=chance.choice(["used", "used", "all"]),
        unzip=rare() < 0.75,
        keep_archive=rare() < 0.25,
        after="download" if rare() < 0.2 else "marker",
        running=chance.choice(["wait", "wait", "kill"]),
        keep_input=rare() < 0.1,
        keep_output=rare() < 0.1,
    )


@dataclass
class _Writer:
    """Writes what happens to one folder; knows at each step what lies there and what runs."""

    chance: random.Random
    name: str
    may_block: bool
    settings: Settings
    here: dict[str, Signal] = field(default_factory=dict)
    running: list[Signal] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    versions: int = 0

    def folder(self) -> Folder:
        """Return the folder with its whole story."""
        events: list[Event] = []
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            events += self._chapter()
        return Folder(self.name, self.settings, (*events, *self._end()))

    def _chapter(self) -> list[Event]:
        events: list[Event] = [self._arrival()]
        well = [s for s in self.here.values() if s.fate is Fate.WELL]
        whole = [s for s in well if s.text not in self.edited]
        if self.settings.after == "marker" and whole:
            if self.chance.random() < 0.3:
                events.append(Lose(self.chance.choice(whole)))
            if self.chance.random() < 0.3:
                edited = self.chance.choice(whole)
                self.edited.add(edited.text)
                events.append(Edit(edited))
        if self.running and self.settings.after == "marker":
            if self.settings.running == "wait" and self.chance.random() < 0.4:
                events.append(Hesitate(self.chance.choice([5.0, 20.0, 90.0])))
            elif self.chance.random() < 0.3:
                events.append(self._cancel())
        return events

    def _arrival(self) -> Drop | Rest:
        signals = [self._new() for _ in range(self.chance.choice([1, 1, 2, 4]))]
        old = [s for s in self.here.values() if s.fate not in KILLED and s not in signals]
        if old and self.chance.random() < 0.4:
            signals.append(self._signal(self.chance.choice(old).name))
        return Rest(tuple(signals)) if self.chance.random() < 0.1 else Drop(tuple(signals))

    def _new(self) -> Signal:
        return self._signal(f"s{len(self.here):02}")

    def _signal(self, name: str) -> Signal:
        self.versions += 1
        body = "x" * self.chance.choice([0, 10, 3000])
        text = f"{self.name} {name} version {self.versions} {self.chance.random()} {body}\n"
        signal = Signal(name, text, self._fate())
        self.here[name] = signal
        if signal.fate in KILLED:
            self.running.append(signal)
        return signal

    def _fate(self) -> Fate:
        if self.chance.random() < 0.75:
            return Fate.WELL
        fates = [Fate.FAILS, Fate.EMPTY]
        if self.settings.max_jobs == 1:
            fates.append(Fate.CRASHES)
        if self.may_block:
            fates += [Fate.LONG, Fate.HELD]
            if self.settings.max_jobs == 1:
                fates.append(Fate.STUCK)
        return self.chance.choice(fates)

    def _cancel(self) -> Cancel:
        stopped, self.running = tuple(self.running), []
        return Cancel(stopped)

    def _end(self) -> list[Event]:
        """Return the end: what runs for ever must be stopped by somebody."""
        events, late = list[Event](), list[Signal]()
        command = self.chance.choice(["marker", "marker", "finish"])
        if self.running and self.settings.running == "wait":
            if self.chance.random() < 0.5:
                events.append(self._cancel())
            else:
                command = "finish --kill"
        self.running = []
        if self.settings.after == "marker" and self.chance.random() < 0.3:
            self.may_block = False
            late = [self._new() for _ in range(self.chance.randint(1, 2))]
        return [*events, Finish(command, tuple(late))]
