"""An embedded VIP on a real port, and session folders for the command line to work in."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from vipsync import cli
from vipsync.local import DEFAULT_KEY, FastRunner, Options, SystemClock, User, World, running
from vipsync.local.runner import Work, sample_outputs

ROOT = Path(__file__).parents[2]

KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
"""A key of the real form, so that a leak can be seen."""

SETTINGS = """\
pipeline_id = "mrs-spectrum/1.0"
session_name = "{name}"

[input_settings]
signal = "*.mrui"

[inputs]
settle = "100ms"

[monitor]
refresh_time = "200ms"

[finish]
grace = "100ms"
"""


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


class Served:
    """An embedded VIP with one account, and the environment of a person who uses it."""

    def __init__(self, tmp_path: Path, url: str, world: World, key: str) -> None:
        self.root, self.url, self.world, self.key = tmp_path, url, world, key
        self.environ = {
            "VIP_API_KEY": key,
            "VIP_PORTAL_URL": url,
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "NO_COLOR": "1",
        }

    def study(self, name: str = "study", settings: str = SETTINGS, **signals: str) -> Path:
        """Make a session folder with `<key>.mrui` in its inputs."""
        root = self.root / name
        (root / "inputs").mkdir(parents=True)
        (root / "settings.toml").write_text(settings.replace("{name}", name))
        for key, text in signals.items():
            (root / "inputs" / f"{key}.mrui").write_text(text)
        return root

    def launches(self) -> int:
        """Return how many executions were posted."""
        asked = [(request.method, request.path) for request in list(self.world.requests)]
        return asked.count(("POST", "/executions"))

    def on_vip(self) -> list[str]:
        """Return the names of all sessions on VIP."""
        home = self.world.root / "users" / "local_user" / "API"
        return sorted(p.name for p in home.iterdir()) if home.exists() else []

    @contextmanager
    def process(
        self, *arguments: object, within: Sequence[str] = (), module: str = "vipsync"
    ) -> Iterator[subprocess.Popen[str]]:
        """Run the command in a process of its own; it is killed at the end."""
        with subprocess.Popen(
            [*within, sys.executable, "-m", module, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def serve(
    tmp_path: Path,
    work: Work = sample_outputs,
    key: str = DEFAULT_KEY,
    seconds: float = 0.0,
    **knobs: float,
) -> Iterator[Served]:
    """Serve an embedded VIP whose jobs take `seconds`."""
    options = Options(users={key: User()}, startup_delay=0.0, **knobs)  # type: ignore[arg-type]
    world = World(tmp_path / "vip", options, runner=FastRunner(SystemClock(), work, seconds))
    with running(world) as url:
        yield Served(tmp_path, url, world, key)


@dataclass
class Caller:
    """Call the command line in this process."""

    served: Served
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(
        self, *arguments: object, environ: Mapping[str, str] | None = None, typed: str = ""
    ) -> Answer:
        """Return what a command says; `typed` comes from a pipe."""
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(typed))
            for name, value in {**self.served.environ, **(environ or {})}.items():
                patch.setenv(name, value)
                if not value:
                    patch.delenv(name)
            code = cli.exit_code([str(argument) for argument in arguments])
        said = self.capsys.readouterr()
        return Answer(code, said.out, said.err)


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for another process; fail where it never comes."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)  # the only clock that two processes share


def without_privileges() -> list[str]:
    """Return what takes from root the right to read everything; nothing for everybody else."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
