"""A whole world on one clock: the embedded VIP in process, session folders, and the loop over them.

Nothing here waits: the clock moves to what is due next, so that a run of days takes no time and
repeats exactly.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

import httpx

from tests.lab.pipelines import SPECTRUM, Raw
from vipsync.client.connecting import key_print
from vipsync.client.vip_client import VipClient
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.local import DEFAULT_KEY, FastRunner, InProcess, Job, ManualClock, Options, World
from vipsync.local.execution import Execution
from vipsync.model import UNLIMITED, Command, Request, Secret, Settings, replace
from vipsync.plan.draft import Notice
from vipsync.rows import Phase, State
from vipsync.run.dispatch import Executor, Serial
from vipsync.run.loop import Loop, NewKeeper
from vipsync.run.reconciler import Reconciler
from vipsync.run.timing import Timing
from vipsync.run.transfer_limits import Disk, TransferLimits, disk_of

MOST_TURNS = 20_000
"""Turns after which a run that never comes to rest is a failure, not a hanging test."""

SCAN = 10.0
"""Seconds between full scans without a watcher."""

STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d{6}")
"""The name of a results folder, the time of its execution."""

SETTINGS = """\
pipeline_id = "spectrum/1"
portal = "https://vip.test"

[input_settings]
signal = "*.mrui"
"""


class _Ticking(httpx.BaseTransport):
    """Let each request take a little time, so that no two things happen at once."""

    def __init__(self, world: World, clock: ManualClock) -> None:
        self._inner, self._clock = InProcess(world), clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._clock.sleep(0.01)
        return self._inner.handle_request(request)


class Embedded:
    """An embedded VIP in process, on a clock that the test moves, and what tests look at in it."""

    def __init__(self, root: Path, *pipelines: Raw, seconds: float = 10.0, **options: Any) -> None:
        self.clock = ManualClock()
        self.job_seconds: Callable[[Job], float] = lambda _job: seconds
        self.runner = FastRunner(self.clock, seconds=lambda job: self.job_seconds(job))
        chosen, chance = replace(Options(), **options), random.Random(1)
        self.world = World(root / "vip", chosen, self.clock, chance, self.runner)
        for pipeline in pipelines:
            self.world.pipelines.add(pipeline)
        self._chance, self._began = random.Random(2), self.clock.now() - 1000.0

    @property
    def timing(self) -> Timing:
        """This clock, with a monotonic time that is not the time of day, and a chance that repeats."""
        return Timing(self.now, self.clock.now, self._chance.random, self.clock.sleep)

    def now(self) -> float:
        """Return the monotonic time."""
        return self.clock.now() - self._began

    @property
    def home(self) -> Path:
        """Where the account's /vip/Home/API lies on this disk."""
        return self.home_of(DEFAULT_KEY)

    def home_of(self, key: str) -> Path:
        """Return where /vip/Home/API of a key lies on this disk."""
        return self.world.storage.users / self.world.options.users[key].folder / "API"

    def sessions_on_vip(self) -> list[str]:
        """Return the names of the sessions' folders on VIP."""
        self.world.settle()
        return sorted(path.name for path in self.home.iterdir()) if self.home.is_dir() else []

    def started(self) -> list[Execution]:
        """Return the executions so far, oldest first."""
        self.world.settle()
        return self.world.executions.all()[::-1]

    def changes(self) -> list[str]:
        """Return the requests so far that were to change something on VIP."""
        return [f"{r.method} {r.path}" for r in self.world.requests if r.method != "GET"]

    def count(self, start: str) -> int:
        """Count the requests so far that begin so, as in `POST /executions`."""
        return sum(f"{r.method} {r.path}".startswith(start) for r in self.world.requests)


def endless(top: Path, name: str = "a", depth: int = 1500) -> None:
    """Make folders in one another, deeper than Python or a path can go down, with a file at the end."""
    top.mkdir()
    inner = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=inner)
        outer, inner = inner, os.open(name, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(os.open("end", os.O_CREAT, dir_fd=inner))
    os.close(inner)


def files_below(root: Path, *but: str) -> dict[str, bytes]:
    """Return the files in a folder by path, but for some that lie directly in it."""
    paths = {p.relative_to(root): p for p in sorted(root.rglob("*")) if p.is_file()}
    return {n.as_posix(): p.read_bytes() for n, p in paths.items() if n.parts[0] not in but}


def is_own(path: str) -> bool:
    """Tell whether vipsync itself writes this path below outputs/: a page, a table, a crate."""
    crate = ("ro-crate-metadata.json", "descriptor.json", "invocation.json")
    at_the_top = path in ("session_data.json", "results.csv", "index.html")
    return at_the_top or path.endswith(crate) or "/invocations/" in path


def results_below(root: Path, *but: str) -> dict[str, bytes]:
    """Return the results in outputs/ by path, each results folder called by its number."""
    found = numbered(files_below(root, *but))
    return {path: content for path, content in found.items() if not is_own(path)}


def put(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def numbered(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Call each results folder by its number, where its name is a time."""
    stamps = sorted({stamp for name in files for stamp in STAMP.findall(name)})
    return {
        STAMP.sub(lambda found: str(stamps.index(found[0]) + 1), name): content
        for name, content in files.items()
    }


class Study:
    """One session folder, and what tests look at in it."""

    def __init__(self, bench: Bench, root: Path) -> None:
        self.bench = bench
        self.root = root  # another one after a move

    @property
    def marker(self) -> Path:
        """ON_VIP.txt."""
        return self.root / "ON_VIP.txt"

    @property
    def settings(self) -> Path:
        """settings.toml."""
        return self.root / "settings.toml"

    def drop(self, **files: str) -> None:
        """Put files named `<key>.mrui` into inputs/."""
        self.write({f"{name}.mrui": text for name, text in files.items()})

    def write(self, files: Mapping[str, str | bytes], below: str = "inputs") -> None:
        """Put files below inputs/."""
        put(self.root / below, files)

    def outputs(self) -> dict[str, bytes]:
        """Return the results in outputs/ by path, each results folder called by its number."""
        return results_below(self.root / "outputs")

    def result(self, name: str) -> Path:
        """Return the one path in outputs/ that ends so."""
        (found,) = (self.root / "outputs").glob(f"**/{name}")
        return found

    def inputs(self) -> dict[str, bytes]:
        """Return the files in inputs/ by path."""
        return files_below(self.root / "inputs")

    @property
    def session(self) -> Reconciler:
        """The session in the running loop."""
        return self.bench.loop.sessions[self.root]

    @property
    def state(self) -> State:
        """What the ledger holds."""
        return self.session.ledger.state

    def phase(self) -> Phase:
        """Tell where the session stands."""
        return self.state.session.phase

    def trouble(self) -> VipsyncError | None:
        """Return what stops the whole session."""
        return self.session.trouble

    @property
    def notices(self) -> list[Notice]:
        """What the last plan says."""
        plan = self.session.plan
        return list(plan.notices) if plan else []

    def says(self, words: str) -> bool:
        """Tell whether some notice or trouble has these words."""
        said = [f"{n.subject} {n.text} {n.remedy}" for n in self.notices]
        return any(words in text for text in [*said, str(self.trouble() or "")])

    def notice(self) -> None:
        """Let the next look be a full one, as after an event."""
        if self.session.observer:
            self.session.observer.look_everywhere()

    def ask(self, command: str, *cases: str, **options: str) -> None:
        """Leave a request, as a command does."""
        folder = SessionFolder(self.root)
        request_id = f"{self.bench.clock.now():.3f}-{command.replace(' ', '')}"
        folder.ask(Request(request_id, Command(command), cases, options))


class Bench(Embedded):
    """The embedded VIP and the loop, on one clock that moves by itself from due time to due time.

    A bench that is made anew on the same session folders stands for another process.
    """

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, SPECTRUM, **{"startup_delay": 5.0, **options})
        self.root = root / "studies"
        self.key = DEFAULT_KEY
        self.studies: list[Study] = []
        self.executor: Executor = Serial()
        self.watch = False
        self.transport: httpx.BaseTransport = _Ticking(self.world, self.clock)
        self.publish: Callable[[Reconciler], object] = lambda _session: None
        self.new_keeper: NewKeeper | None = None
        self.is_made: Callable[[Path], bool] = lambda _root: True
        self.transfers = UNLIMITED
        self.disk: Callable[[Path], Disk] = disk_of
        self._clients: dict[tuple[str, str], VipClient] = {}
        self._loop: Loop | None = None

    # folders

    def study(self, name: str = "study", settings: str = SETTINGS, **files: str) -> Study:
        """Make a session folder with some signals in it."""
        made = Study(self, self.root / name)
        (made.root / "inputs").mkdir(parents=True)
        made.settings.write_text(settings)
        made.drop(**files)
        return self.take(made.root)

    def take(self, root: Path) -> Study:
        """Let the next process keep this folder too."""
        study = Study(self, root)
        self.studies.append(study)
        self.stop()
        return study

    # the loop

    @property
    def loop(self) -> Loop:
        """The loop of the process that runs now."""
        if self._loop is None:
            self._loop = Loop(
                [study.root for study in self.studies],
                self._connect,
                environ={},
                timing=self.timing,
                executor=self.executor,
                watch=self.watch,
                publish=lambda session: self.publish(session),
                new_keeper=self.new_keeper,
                is_made=lambda root: self.is_made(root),
                transfer_limits=TransferLimits(self.transfers, self.timing, time.gmtime, self.disk),
            )
        return self._loop

    def stop(self) -> None:
        """End the process: locks and files are let go, nothing else happens."""
        if self._loop:
            self._loop.close()
        self._loop = None

    def die(self) -> None:
        """End the process as a kill does: nothing is told to anybody, only its locks go."""
        if self._loop:
            for session in self._loop.sessions.values():
                session.close()
            for keeper in self._loop.keepers.values():
                keeper.close()
        self._loop = None

    def restart(self) -> None:
        """End the process; another one begins with the next run."""
        self.stop()

    def close(self) -> None:
        """End everything."""
        self.stop()
        for client in self._clients.values():
            client.close()

    def until(self, condition: Callable[[], object], end: float = inf) -> None:
        """Turn, and move the clock to what is due but not past `end`, until the condition holds."""
        for _ in range(MOST_TURNS):
            self.loop.turn()
            if condition():
                return
            seconds = min(self.loop.pause(), end - self.clock.now())
            self.clock.sleep(max(seconds, 0.001) if seconds else 0.0)  # what a clock can show
        plans = [s.session.plan for s in self.studies]
        raise AssertionError(f"after {MOST_TURNS} turns it has not happened: {plans}")

    def rest(self) -> None:
        """Run until nothing can advance; what changed before is seen by a full scan."""
        self.clock.sleep(SCAN)
        self.until(self.loop.at_rest)

    def run(self, seconds: float) -> None:
        """Run for some time."""
        end = self.clock.now() + seconds
        self.until(lambda: self.clock.now() >= end, end)

    def _connect(self, _settings: Settings, portal: str, session: str) -> tuple[VipClient, str]:
        place = (portal, self.key)
        if place not in self._clients:
            self._clients[place] = VipClient(portal, self.key, self.transport)
        return self._clients[place], key_print(Secret(self.key), session)

    # VIP

    def vip_files(self) -> dict[str, bytes]:
        """Return the files below /vip/Home/API, each results folder called by its number."""
        self.world.settle()
        return numbered(files_below(self.home))

    def vip_inputs(self, session: str = "study") -> dict[str, bytes]:
        """Return what was uploaded for a session, by its path below INPUTS."""
        self.world.settle()
        return files_below(self.home / session / "INPUTS")

    def executions(self, parameter: str = "signal") -> list[list[str]]:
        """Return the signals of each execution, oldest first."""
        values = (e.submission.values[parameter] for e in self.started())
        return [[Path(value).name for value in some] for some in values]

    def jobs(self) -> list[int]:
        """Return the number of jobs of each execution, oldest first."""
        return [len(e.tasks) for e in self.started()]


def touch(path: Path, seconds: float = 3600.0) -> None:
    """Give a file another time, and leave its content alone."""
    info = path.stat()
    os.utime(path, (info.st_atime + seconds, info.st_mtime + seconds))
