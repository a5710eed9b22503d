"""A world with a clock that tests move, jobs that are functions, and a client in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.lab.bench import Embedded
from tests.lab.pipelines import written
from vipsync.local import DEFAULT_KEY, InProcess

CQUEST = written(
    "cquest/0.6", "parameters:File data:File rounds:Int?", "fit=[data]--[parameters].tgz"
)


class Vip(Embedded):
    """A world, its clock, its runner and a client that has the key."""

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, CQUEST, **{"startup_delay": 5.0, **options})
        transport, headers = InProcess(self.world), {"apikey": DEFAULT_KEY}
        self.client = httpx.Client(transport=transport, base_url="http://vip", headers=headers)

    def path(self, path: str, action: str) -> httpx.Response:
        return self.client.get(f"/rest/path{path}?action={action}")

    def exists(self, path: str) -> bool:
        return bool(self.path(path, "exists").json()["exists"])

    def names(self, path: str) -> list[str]:
        return [entry["path"].rpartition("/")[2] for entry in self.path(path, "list").json()]

    def put(self, path: str, content: bytes = b"") -> httpx.Response:
        return self.client.put(f"/rest/path{path}", content=content)

    def post(self, **changes: Any) -> httpx.Response:
        body: dict[str, Any] = {
            "name": "run",
            "pipelineIdentifier": "cquest/0.6",
            "inputValues": {"parameters": "/vip/Home/p.txt", "data": "/vip/Home/a.mrui"},
            "resultsLocation": "/vip/Home/out",
        }
        return self.client.post("/rest/executions", json=body | changes)

    def launch(self, **changes: Any) -> str:
        answer = self.post(**changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["identifier"])

    def execution(self, identifier: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/rest/executions/{identifier}").json()
        return found


@pytest.fixture
def make_vip(tmp_path: Path) -> Iterator[Callable[..., Vip]]:
    """Return a function that makes a world with other options."""
    with ExitStack() as made:

        def make(**options: Any) -> Vip:
            vip = Vip(tmp_path, **options)
            made.enter_context(vip.client)
            return vip

        yield make


@pytest.fixture
def vip(make_vip: Callable[..., Vip]) -> Vip:
    """Return a world that holds the files most tests run on."""
    made = make_vip()
    for name in ("p.txt", "a.mrui", "b.mrui"):
        assert made.put(f"/vip/Home/{name}", b"data").status_code == 201
    return made


def code(answer: httpx.Response) -> tuple[int, int]:
    """Return the HTTP status and VIP's own code of a refusal."""
    return answer.status_code, answer.json()["errorCode"]
