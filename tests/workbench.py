"""What one action needs: a session folder, and an embedded VIP called in process, on a clock that stands."""

from __future__ import annotations

import io
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pipelines import written
from tests.worlds import API, HOME, ID, ID_FOLDER, INPUTS, KEY, OUTPUTS, folder_of
from vipsync import actions as do
from vipsync.act.perform import Tools, act
from vipsync.client.vip_client import VipClient
from vipsync.folder.folder import SessionFolder
from vipsync.local import DEFAULT_KEY, FastRunner, InProcess, ManualClock, Options, World
from vipsync.model import FileState, RelPath, VipPath, replace

ECHO = written("Echo", "data:File", "out=[data].out")


@dataclass
class Bench:
    """The tools of one folder, and a hand in its VIP."""

    root: Path
    world: World
    clock: ManualClock
    runner: FastRunner
    tools: Tools

    def act(self, action: do.Action, **tools: Any) -> do.Outcome:
        """Carry one action out."""
        return act(action, replace(self.tools, **tools))

    @property
    def vip(self) -> VipClient:
        """The client, for looking."""
        return self.tools.vip

    def input(self, path: str, content: bytes = b"one") -> FileState:
        """Put a file into inputs/, and return its state."""
        file = self.tools.inputs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return FileState.of(file.stat())

    def send(self, path: str, state: FileState) -> do.SendFile:
        """Return the action that sends a file to its place."""
        return do.SendFile(VipPath(f"{INPUTS}/{path}"), RelPath(path), state)

    def result(self, name: str, content: bytes, *, unpack: bool = True) -> do.FetchResult:
        """Put a result of e1 on VIP, and return the action that brings it."""
        path = VipPath(f"{folder_of('e1')}/{name}")
        self.vip.upload(path, io.BytesIO(content), len(content))
        return do.FetchResult(path, len(content), RelPath(f"e1/{name}"), unpack, keep_archive=False)

    def here(self) -> dict[str, bytes]:
        """Return the files in outputs/, by path."""
        root = self.tools.outputs
        files = (p for p in root.rglob("*") if p.is_file())
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}

    def left(self) -> list[str]:
        """Return what lies among the unfinished transfers."""
        return sorted(p.name for p in self.tools.folder.transfers.iterdir())


def workbench(root: Path, **options: Any) -> Bench:
    """Make a folder with an id, and a VIP where its folders are there."""
    clock = ManualClock()
    chosen = replace(Options(startup_delay=0.0), **options)
    runner = FastRunner(clock)
    world = World(root / "vip", chosen, clock, random.Random(1), runner)
    world.pipelines.add(ECHO)
    folder = SessionFolder(root / "study")
    for place in ("inputs", "outputs"):
        (folder.root / place).mkdir(parents=True)
    folder.claim(ID)
    client = VipClient("http://vip.test", DEFAULT_KEY, InProcess(world))
    tools = Tools(
        folder,
        folder.root / "inputs",
        folder.root / "outputs",
        client,
        None,
        key_print=KEY,
        executions=lambda _since: (0.0, client.executions(500)),
    )
    for path in (API, HOME, ID_FOLDER, INPUTS, OUTPUTS, folder_of("e1")):
        client.make_folder(path)
    return Bench(root, world, clock, runner, tools)


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """Return an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
