"""A world for scripts: the embedded VIP in process on one clock, accounts, and a data set."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.pipelines import SPECTRUM
from vipsync import VipSession
from vipsync.local import DEFAULT_KEY, FastRunner, InProcess, Job, ManualClock, Options, User, World
from vipsync.model import replace
from vipsync.run.dispatch import Executor, Serial
from vipsync.run.reconciler import Work
from vipsync.run.timing import Timing
from vipsync.script.account import Account

OTHER_KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
PORTAL = "https://vip.test"
PIPELINE = "spectrum/1"


class Scripts:
    """What a script sees: a working folder with a data set, and VIP behind an account."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root / "work"
        self.data = self.root / "data"
        self.data.mkdir(parents=True)
        self.clock = ManualClock()
        self.job_seconds: Callable[[Job], float] = lambda _job: 10.0
        self.runner = FastRunner(self.clock, seconds=lambda job: self.job_seconds(job))
        users = {DEFAULT_KEY: User(), OTHER_KEY: User(name="Other", folder="other")}
        options = {"startup_delay": 5.0, "users": MappingProxyType(users), **options}
        self.world = World(
            root / "vip", replace(Options(), **options), self.clock, random.Random(1), self.runner
        )
        self.world.pipelines.add(SPECTRUM)
        self.said: list[str] = []
        self._accounts: list[Account] = []
        self.write({"a.mrui": "one", "b.mrui": "two"})

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into the data set."""
        for name, text in files.items():
            path = self.data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def account(
        self,
        key: str = DEFAULT_KEY,
        executor: Executor | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> Account:
        """Shake hands with VIP."""
        chance = random.Random(2)
        made = Account(
            key,
            PORTAL,
            transport=transport or InProcess(self.world),
            timing=Timing(self.now, self.clock.now, chance.random, self.clock.sleep),
            executor=executor or Serial(),
        )
        self._accounts.append(made)
        return made

    def now(self) -> float:
        """Return a monotonic time that is not the time of day."""
        return self.clock.now() - 1_767_000_000.0

    def session(self, name: str | None = "study", **properties: Any) -> VipSession:
        """Return a session whose words are kept in `said`."""
        properties.setdefault("account", None)
        properties["account"] = properties["account"] or self.account()
        return VipSession(name, say=self.said.append, **properties)

    def ready(self, name: str | None = "study", *signals: str, **properties: Any) -> VipSession:
        """Return a session with a data set, a pipeline, and these signals or all of them."""
        chosen = signals or sorted(p.name for p in self.data.glob("*.mrui"))
        settings = {"signal": [f"data/{signal}" for signal in chosen]}
        given = {"input_dir": "data", "pipeline_id": PIPELINE, "input_settings": settings}
        return self.session(name, **{**given, **properties})

    def close(self) -> None:
        """End everything."""
        for account in self._accounts:
            account.client.close()

    # what came of it

    def says(self, words: str) -> bool:
        """Tell whether something with these words was said."""
        return any(words in text for text in self.said)

    def outputs(self, name: str = "study") -> dict[str, str]:
        """Return the results by path, each results folder called by its number."""
        root = self.root / "vip_outputs" / name
        found = {
            path.relative_to(root).as_posix(): path.read_text()
            for path in sorted(root.rglob("*"))
            if path.is_file() and ".vipsync" not in path.parts and path.name != "session_data.json"
        }
        tops = sorted({n.split("/")[0] for n in found})
        return {
            f"{tops.index(n.split('/')[0]) + 1}/{n.split('/', 1)[1]}": t for n, t in found.items()
        }

    def on_vip(self, key: str = DEFAULT_KEY) -> list[str]:
        """Return what lies below /vip/Home/API but for our ids and the names of results folders."""
        self.world.settle()
        home = self.world.storage.users / self.world.options.users[key].folder / "API"
        files = (p for p in sorted(home.rglob("*")) if p.is_file())
        return sorted(_without_stamp(p.relative_to(home).as_posix()) for p in files)

    def sessions_on_vip(self) -> list[str]:
        """Return the names of the sessions' folders on VIP."""
        self.world.settle()
        home = self.world.storage.users / User().folder / "API"
        return sorted(p.name for p in home.iterdir()) if home.is_dir() else []

    def executions(self) -> list[list[str]]:
        """Return the signals of each execution, oldest first, as paths below API."""
        self.world.settle()
        return [
            [value.removeprefix("/vip/Home/API/") for value in e.submission.values["signal"]]
            for e in reversed(self.world.executions.all())
        ]

    def count(self, start: str) -> int:
        """Count the requests so far that begin so, as in `POST /executions`."""
        return sum(f"{r.method} {r.path}".startswith(start) for r in self.world.requests)


def _without_stamp(path: str) -> str:
    parts = path.split("/")
    return "/".join(p for i, p in enumerate(parts) if not (i == 2 and parts[1] == "OUTPUTS"))


class Interrupting:
    """Carries out work, and is interrupted at one kind of it: before, or after it was done."""

    def __init__(self, kind: type, *, done: bool, at: int = 1) -> None:
        self.kind, self.done, self.left = kind, done, at

    def submit(self, work: Work, done: Callable[[Work, Any], None]) -> None:
        """Carry one piece of work out, unless it is the one."""
        if isinstance(work.action, self.kind):
            self.left -= 1
            if self.left == 0:
                if self.done:
                    work.run()
                done(work, None)
                raise KeyboardInterrupt
        done(work, work.run())
