"""What one action needs: a session folder, and an embedded VIP called in process, on a clock that stands."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from tests.lab.bench import Embedded, files_below, put
from tests.lab.builders import API, HOME, ID, ID_FOLDER, INPUTS, KEY, OUTPUTS, folder_of
from tests.lab.pipelines import written
from vipsync import actions as do
from vipsync.act.perform import Tools, act
from vipsync.client.vip_client import VipClient
from vipsync.folder.folder import SessionFolder
from vipsync.local import DEFAULT_KEY, InProcess
from vipsync.model import FileState, RelPath, VipPath, replace

ECHO = written("Echo", "data:File", "out=[data].out")


class Acting(Embedded):
    """The tools of one folder with an id, and a hand in its VIP, where the session's folders are."""

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, ECHO, seconds=0.0, **{"startup_delay": 0.0, **options})
        self.root = root
        folder = SessionFolder(root / "study")
        inputs, outputs = folder.root / "inputs", folder.root / "outputs"
        for place in (inputs, outputs):
            place.mkdir(parents=True)
        folder.claim(ID)
        client = VipClient("https://vip.test", DEFAULT_KEY, InProcess(self.world))
        seen = lambda _since: (0.0, client.executions(500))  # noqa: E731
        self.tools = Tools(folder, inputs, outputs, client, None, key_print=KEY, executions=seen)
        for path in (API, HOME, ID_FOLDER, INPUTS, OUTPUTS, folder_of("e1")):
            client.make_folder(path)

    def act(self, action: do.Action, **tools: Any) -> do.Outcome:
        """Carry one action out."""
        return act(action, replace(self.tools, **tools))

    @property
    def vip(self) -> VipClient:
        """The client, for looking."""
        return self.tools.vip

    def input(self, path: str, content: bytes = b"one") -> FileState:
        """Put a file into inputs/, and return its state."""
        put(self.tools.inputs, {path: content})
        return FileState.of((self.tools.inputs / path).stat())

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
        return files_below(self.tools.outputs)

    def left(self) -> list[str]:
        """Return what lies among the unfinished transfers."""
        return sorted(p.name for p in self.tools.folder.transfers.iterdir())
