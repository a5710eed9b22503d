"""One life of a story: a world on one clock, people who do what the story says, and the end of it.

Whatever goes wrong on the way is written down at once in `wrongs`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.lab.bench import Bench
from tests.lab.pipelines import SPECTRUM
from tests.lab.served import KEY
from tests.soak.ending import End, archive, right_end
from tests.soak.player import Condition, Player
from tests.soak.story import OF_ENGINES, Fate, Story, invent
from tests.soak.watching import Mortal, Watch, Watched, commits, words
from tests.soak.weather import Killed, Weather
from vipsync.local import DEFAULT_KEY, Job, Kind, User

MOST_DEATHS = 300

_FAULTS = {
    Fate.FAILS: Kind.JOB_FAILS,
    Fate.EMPTY: Kind.OUTPUT_MISSING,
    Fate.HELD: Kind.JOB_HELD,
    Fate.CRASHES: Kind.ENGINE_CRASHES,
    Fate.STUCK: Kind.ENGINE_STUCK,
}


class Life:
    """A story on its way from the first file to the closed session."""

    def __init__(self, root: Path, story: Story, *, calm: bool) -> None:
        self.story = story
        users = MappingProxyType({DEFAULT_KEY: User(), KEY: User()})
        slow = {"removal_delay": story.removal_delay, "output_lag": story.output_lag}
        self.bench = Bench(root, users=users, quota_user=story.quota, **slow)
        paired = {"name": "paired", "custom": {"vip:dot": ["signal"]}}
        self.bench.world.pipelines.add(SPECTRUM | paired)
        self.bench.key = KEY
        self.bench.runner.work = fit
        self.bench.job_seconds = self._seconds
        self.weather = Weather(story.seed, self.bench.world, calm=calm)
        self.watch = Watch(root, self.bench.clock, self.weather.pass_point)
        self.bench.executor = Mortal(self.watch)
        self.bench.transport = Watched(self.bench.transport, self.watch, self.noted)
        self.posted: dict[str, list[str]] = {}
        self.wrongs: list[str] = []
        self.deaths = 0
        self.players = [Player(self, folder) for folder in story.folders]

    def live(self) -> End:
        """Live the story; raise AssertionError where it goes wrong on the way or at its end."""
        with words(self.wrongs), commits(self.watch):
            conditions = {play: next(play) for play in [p.play() for p in self.players]}
            while conditions:
                self._until(lambda: any(holds() for holds in conditions.values()))
                for play in [play for play, holds in conditions.items() if holds()]:
                    self._look_around()
                    if following := next(play, None):
                        conditions[play] = following
                    else:
                        del conditions[play]
            self._rest()
            self._look_around()
            return self._end()

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
                return self.bench.until(lambda: self._passes(condition))
            except Killed:
                self.deaths += 1
                self.watch.note("died")
                assert self.deaths < MOST_DEATHS, "the process died too often"
                self.bench.die()
                self._look_around()

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
        assert not any(KEY in line for line in self.watch.lines), "the key is in an outcome"
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
        if (text := _text(job)) in self.story.fates:
            return self.story.seconds(text)
        self.wrongs.append(f"{job.subject} began without its file")
        return 0.0

    def _note_launch(self, body: dict[str, object]) -> None:
        name, values = str(body["name"]), body["inputValues"]
        assert isinstance(values, dict)
        signals = values["signal"]
        paths = signals if isinstance(signals, list) else [signals]
        files = [self.bench.home / path.removeprefix("/vip/Home/API/") for path in paths]
        if name in self.posted:
            return
        if not all(f.is_file() for f in files):
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


def _text(job: Job) -> str:
    signal = job.files["signal"]
    return signal.read_text() if signal and signal.is_file() else ""


def fit(job: Job) -> dict[str, bytes]:
    """Return what a job writes: an archive with the text of its signal."""
    return {"fit": archive(_text(job))}


@dataclass(frozen=True)
class Told:
    """How a seed went: a hash of its trace, what was wrong, how much there was of what."""

    seed: int
    trace: str
    wrong: str
    figures: Counter[str]


def live_seed(seed: int, *, calm: bool = False) -> Told:
    """Live the story of a seed in a folder of its own; in calm, nothing goes wrong."""
    story = invent(seed)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # flushing costs nothing there
    with tempfile.TemporaryDirectory(prefix="vipsync-soak-", dir=memory) as root:
        os.environ["XDG_STATE_HOME"] = f"{root}/state"  # a story begins without what others left
        life = Life(Path(root), story, calm=calm)
        try:
            wrong = life.live().difference(right_end(story))
        except Exception as error:  # one bad seed must not end the others
            wrong = f"{type(error).__name__}: {error}"
        finally:
            life.bench.close()
        requests, jobs = len(life.bench.world.requests), sum(map(len, life.started().values()))
        figures = Counter(requests=requests, jobs=jobs, deaths=life.deaths)
        return Told(seed, life.watch.digest(), wrong, figures)
