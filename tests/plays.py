"""Stories of session folders, played by processes that are really killed.

A process is a fork. It runs the loop over the folders on the disk and asks the world over a pipe;
the world and the person stay here, as a server and a person do. So a kill is a kill: no `finally`
runs, no buffer is written, and locks go with the process.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from tests.effects import Effects, Fatal
from tests.harness import SCAN, Bench
from vipsync.folder.folder import SessionFolder
from vipsync.record.ledger import read_state

_SQLITE = "ledger.sqlite-"


@dataclass(frozen=True)
class Step:
    """What a person does, and what the process must come to then; `anew`: with another process."""

    deed: Callable[[], object]
    end: Callable[[], object]
    anew: bool = False


@dataclass(frozen=True)
class Story:
    """A piece of a folder's life from its start to its end, on a world with options."""

    name: str
    tell: Callable[[Bench], list[Step]]
    options: Mapping[str, Any] = field(default_factory=dict)


# What a process says, with the time on its clock.


@dataclass(frozen=True)
class _Asked:
    """It sent a request."""

    now: float
    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    content: bytes


@dataclass(frozen=True)
class _Reached:
    """It came to the end of a step; it is told whether it goes on with the next one."""

    now: float
    step: int


@dataclass(frozen=True)
class _Died:
    """It is about to be killed, before or after an effect of a kind."""

    now: float
    kind: str


@dataclass(frozen=True)
class _Ended:
    """It ended in an orderly way, after effects of these kinds."""

    now: float
    kinds: list[str]


@dataclass(frozen=True)
class _Failed:
    """It could not come to the end of a step."""

    now: float
    why: str


_Said = _Asked | _Reached | _Died | _Ended | _Failed


class Play:
    """A story on its way: the world, the person, and one process after another."""

    def __init__(self, root: Path, story: Story) -> None:
        self.bench = Bench(root, **story.options)
        self.kinds: list[str] = []
        self.killed_at: str | None = None
        self._steps = story.tell(self.bench)
        self._at = 0

    def play(self, fatal: Fatal | None = None) -> None:
        """Play to the end; a process that is killed at `fatal` is followed by another one."""
        self._steps[0].deed()
        while self._at < len(self._steps):
            self.live(fatal if self.killed_at is None else None)

    def live(self, fatal: Fatal | None) -> None:
        """Let one process live."""
        here, there = Pipe()
        pid = os.fork()
        if pid == 0:
            here.close()
            _Process(self.bench, self._steps, there).live(self._at, len(self.kinds), fatal)
        there.close()
        try:
            ended = self._serve(here)
        finally:
            here.close()
            os.waitpid(pid, 0)
        assert ended or self.killed_at, "a process ended without a word"
        if ended and self._at < len(self._steps):
            self._steps[self._at].deed()

    def _serve(self, pipe: Connection) -> bool:
        """Answer a process until it is no more; tell whether it ended in an orderly way."""
        ended = False
        while True:
            try:
                said: _Said = pipe.recv()
            except (EOFError, ConnectionResetError):
                return ended
            self.bench.clock.sleep(said.now - self.bench.clock.now())
            ended = isinstance(said, _Ended)
            with suppress(BrokenPipeError):
                self._hear(said, pipe)

    def _hear(self, said: _Said, pipe: Connection) -> None:
        match said:
            case _Asked():
                answer = self._answer(said)
                pipe.send((self.bench.clock.now(), answer))
            case _Reached():
                self._at = said.step + 1
                goes_on = self._at < len(self._steps) and not self._steps[self._at].anew
                if goes_on:
                    self._steps[self._at].deed()
                pipe.send(goes_on)
            case _Died():
                self.killed_at = said.kind
            case _Ended():
                self.kinds += said.kinds
            case _Failed():
                raise AssertionError(said.why)

    def _answer(self, asked: _Asked) -> tuple[Any, ...]:
        headers, content = asked.headers, asked.content
        request = httpx.Request(asked.method, asked.url, headers=headers, content=content)
        try:
            response = self.bench.transport.handle_request(request)
            return response.status_code, response.headers.raw, response.read()
        except httpx.TransportError as error:
            return type(error), str(error)

    def end(self) -> dict[str, object]:
        """Return what there is in the end, here and on VIP."""
        bench = self.bench
        found: dict[str, object] = {
            "on VIP": sorted(bench.vip_files()),
            "sessions on VIP": bench.sessions_on_vip(),
            "executions": sorted(map(sorted, bench.executions())),
        }
        for study in bench.studies:
            name, folder = study.root.name, SessionFolder(study.root)
            state = read_state(folder.ledger)
            found |= {
                f"{name}: phase": state.session.phase,
                f"{name}: inputs": study.inputs(),
                f"{name}: sent": bench.vip_inputs(state.session.session_name),
                f"{name}: outputs": study.outputs(),
                f"{name}: files": _others(study.root),
            }
        return found


def _others(root: Path) -> list[str]:
    """Return the files of a session folder that are neither inputs nor results."""
    found = (p.relative_to(root).as_posix() for p in root.rglob("*"))
    return sorted(p for p in found if not (p.startswith(("inputs/", "outputs/")) or _SQLITE in p))


class _Process(httpx.BaseTransport):
    """One process: it comes from step to step, and dies where it must."""

    def __init__(self, bench: Bench, steps: list[Step], pipe: Connection) -> None:
        self._bench, self._steps, self._pipe = bench, steps, pipe
        self._effects = Effects(0, None, self._die)

    def live(self, at: int, first: int, fatal: Fatal | None) -> None:
        """Live, and never return."""
        try:
            self._effects = Effects(first, fatal, self._die)
            self._effects.watch()
            self._bench.transport = self
            self._pipe.send(self._lived(at))
        finally:
            os._exit(0)

    def _lived(self, at: int) -> _Ended | _Failed:
        try:
            goes_on = True
            while goes_on:
                self._bench.clock.sleep(SCAN)
                self._bench.until(self._steps[at].end)
                self._pipe.send(_Reached(self._now, at))
                goes_on, at = self._pipe.recv(), at + 1
            self._bench.stop()
        except BaseException:
            return _Failed(self._now, traceback.format_exc())
        return _Ended(self._now, self._effects.kinds)

    @property
    def _now(self) -> float:
        return self._bench.clock.now()

    def _die(self, kind: str) -> None:
        self._pipe.send(_Died(self._now, kind))
        os.kill(os.getpid(), signal.SIGKILL)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the world; a killed process never hears what it answered."""
        asked = _Asked(
            self._now, request.method, str(request.url), request.headers.raw, request.read()
        )
        with self._effects.effect("request"):
            self._pipe.send(asked)
        with self._effects.effect("answer"):
            now, answer = self._pipe.recv()
        self._bench.clock.sleep(now - self._now)
        if len(answer) == 2:
            failure, text = answer
            raise failure(text, request=request)
        status, headers, body = answer
        download = request.url.params.get("action") == "content"
        content = self._halves(body) if download else body
        return httpx.Response(status, headers=headers, content=content)

    def _halves(self, body: bytes) -> Iterator[bytes]:
        """Yield an answer in two pieces: what came of a download before a kill is a part."""
        half = len(body) // 2
        yield body[:half]
        with self._effects.effect("block"):
            yield body[half:]
