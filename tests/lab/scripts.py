"""A world for scripts: the embedded VIP in process on one clock, accounts, and a data set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.lab.bench import Embedded, files_below, put, results_below
from tests.lab.pipelines import SPECTRUM
from vipsync import VipSession
from vipsync.local import DEFAULT_KEY, InProcess, User
from vipsync.run.dispatch import Executor, Serial
from vipsync.run.reconciler import Work
from vipsync.script.account import Account

OTHER_KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
PORTAL = "https://vip.test"
PIPELINE = "spectrum/1"


class Scripts(Embedded):
    """What a script sees: a working folder with a data set, and VIP behind an account."""

    def __init__(self, root: Path, **options: Any) -> None:
        users = {DEFAULT_KEY: User(), OTHER_KEY: User(name="Other", folder="other")}
        options = {"startup_delay": 5.0, "users": MappingProxyType(users), **options}
        super().__init__(root, SPECTRUM, **options)
        self.root = root / "work"
        self.data = self.root / "data"
        self.data.mkdir(parents=True)
        self.said: list[str] = []
        self._accounts: list[Account] = []
        self.write({"a.mrui": "one", "b.mrui": "two"})

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into the data set."""
        put(self.data, files)

    def account(
        self,
        key: str = DEFAULT_KEY,
        executor: Executor | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> Account:
        """Shake hands with VIP."""
        made = Account(
            key,
            PORTAL,
            transport=transport or InProcess(self.world),
            timing=self.timing,
            executor=executor or Serial(),
        )
        self._accounts.append(made)
        return made

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
        found = results_below(self.root / "vip_outputs" / name, ".vipsync")
        return {path: content.decode() for path, content in found.items()}

    def on_vip(self, key: str = DEFAULT_KEY) -> list[str]:
        """Return what lies below /vip/Home/API but for our ids and the names of results folders."""
        self.world.settle()
        return sorted(_RESULTS.sub(r"\1", path) for path in files_below(self.home_of(key)))

    def executions(self) -> list[list[str]]:
        """Return the signals of each execution, oldest first, as paths below API."""
        values = (e.submission.values["signal"] for e in self.started())
        return [[value.removeprefix("/vip/Home/API/") for value in some] for some in values]


_RESULTS = re.compile("^([^/]*/OUTPUTS)/[^/]*")


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
