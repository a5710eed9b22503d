"""Both tools on one embedded VIP: what the tests of conformance run, and what they compare.

Each tool has an account of its own, so that both use the same names; where a session changes hands,
both use that of vip-client.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.lab.bench import files_below, is_own
from tests.lab.pipelines import SPECTRUM, written
from vipsync import VipSession
from vipsync.local import DEFAULT_KEY, FastRunner, Options, SystemClock, User, World, running

PIPELINE = "spectrum/1"
OURS_KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
A, B = "data/signals/a.mrui", "data/signals/b.mrui"
SETTINGS = {"signal": [A, B]}
ONE = {"signal": A}
SWITCH = "switch/1"
_SWITCH = written("switch", "on:Flag", "log=log.txt")


@dataclass
class Side:
    """One tool: its session class, its key, and the folder in which its scripts run."""

    session: Any
    key: str
    root: Path
    user: str
    world: World
    runner: FastRunner
    url: str

    def init(self, **properties: Any) -> Any:
        """Shake hands; nothing is printed unless it is asked for."""
        return self.session.init(
            api_key=self.key, vip_portal_url=self.url, **{"verbose": False, **properties}
        )

    def ready(self, name: str, **properties: Any) -> Any:
        """Return a session with all properties set."""
        given = {"input_dir": "data", "pipeline_id": PIPELINE, "input_settings": ONE}
        return self.session(name, **{**given, **properties})

    # what is left

    def on_vip(self) -> list[str]:
        """Return every file below the account's home, the names of results folders taken out."""
        self.world.settle()
        home = self.world.storage.users / self.user
        files = (p for p in home.rglob("*") if p.is_file())
        return sorted(_plain(p.relative_to(home).as_posix()) for p in files)


def backups(root: Path) -> dict[str, Any]:
    """Return every backup by its session, ids and times taken out."""
    found = sorted(root.rglob("session_data.json"))
    return {p.parent.name: _plain_backup(json.loads(p.read_text())) for p in found}


def outputs(root: Path) -> dict[str, str]:
    """Return every result by its path, the names of results folders taken out."""
    return {
        _plain(f"{session.name}/{path}"): content.decode()
        for session in sorted((root / "vip_outputs").glob("*"))
        for path, content in files_below(session, ".vipsync").items()
        if not is_own(path)
    }


def _plain(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d_\d{6}", "STAMP", text)


def _plain_backup(document: dict[str, Any]) -> dict[str, Any]:
    workflows = document["workflows"].values()
    for workflow in workflows:
        assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", workflow.pop("start"))
        for output in workflow["outputs"]:
            output["path"] = _plain(output["path"])
        if workflow["status"] == "Removed":
            # what else is said of them depends on the second in which the next run begins
            workflow["outputs"] = [{"path": output["path"]} for output in workflow["outputs"]]
    document["workflows"] = list(workflows)
    document.pop("own_vip_input_dir", None)  # a key of ours, which vip-client leaves alone
    return document


def left_by(script: Callable[[Side], Any], side: Side, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a script in a folder of its own; return what it returned, and what is left of it."""
    root = side.root / script.__name__
    shutil.copytree(side.root / "data", root / "data")
    monkeypatch.chdir(root)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # the real portal is never reached
    side.init()
    before = side.on_vip()
    returned = script(side)
    left = [path for path in side.on_vip() if path not in before]
    return returned, outputs(root), left, backups(root)


@contextmanager
def both_tools(root: Path) -> Iterator[tuple[Side, Side]]:
    """Give vip-client and vipsync, each with an account on one VIP below `root`."""
    clock = SystemClock()
    users = {DEFAULT_KEY: User(), OURS_KEY: User(name="Other", folder="other")}
    options = Options(startup_delay=0.0, overwrite_outputs=True, users=MappingProxyType(users))
    runner = FastRunner(clock)
    world = World(root / "vip", options, clock, runner=runner)
    for pipeline in (SPECTRUM, _SWITCH):
        world.pipelines.add(pipeline)
    with running(world) as url, official() as theirs, as_before(*_OURS):
        made = []
        for name, session, key in (
            ("official", theirs, DEFAULT_KEY),
            ("ours", VipSession, OURS_KEY),
        ):
            made.append(Side(session, key, root / name, users[key].folder, world, runner, url))
            _data_set(root / name)
        yield made[0], made[1]


_OURS = [cls for cls in VipSession.__mro__ if cls is not object]


def _data_set(root: Path) -> None:
    for signal in (A, B):
        (root / signal).parent.mkdir(parents=True, exist_ok=True)
        (root / signal).write_text(f"content of {signal}")


@contextmanager
def official() -> Iterator[Any]:
    """Give the official client's session class, and close its connections."""
    from vip_client.classes.VipLauncher import VipLauncher
    from vip_client.classes.VipSession import VipSession as Official
    from vip_client.utils import vip

    try:
        with as_before(Official, VipLauncher):
            yield Official
    finally:
        for connection in (vip.SESSION, vip.SESSION_NO_RETRY):
            connection.close()


@contextmanager
def as_before(*classes: type) -> Iterator[None]:
    """Take back what a handshake leaves in these classes for the whole process."""
    before = [(cls, dict(vars(cls))) for cls in classes]
    try:
        yield
    finally:
        for cls, attributes in before:
            for name, value in dict(vars(cls)).items():
                if name not in attributes:
                    delattr(cls, name)
                elif value is not attributes[name] and not name.startswith("__"):
                    setattr(cls, name, attributes[name])
