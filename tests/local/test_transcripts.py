"""What the real VIP answered, asked again of the embedded one (tests/local/README.md)."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.local.test_bosh import ended
from vipsync.local import (
    InProcess,
    Job,
    JobHandle,
    JobResult,
    JobRunner,
    ManualClock,
    Options,
    World,
    read_world,
    running,
)
from vipsync.local.bosh import BoshRunner

HERE = Path(__file__).parent / "transcripts"
FILES = (
    "platform-pipelines",
    "paths",
    "paths-encoded",
    "paths-reading",
    "executions-refused",
)
"""In the order in which they were recorded: each goes on from what the one before left."""

KEYS = {"user": "user-key-0123456789abcdef", "other": "other-key-0123456789abcde"}
MASKS = (
    (re.compile(r"workflow-[a-z0-9]{6}"), "WORKFLOW"),
    (re.compile(r"\d{4}-\d\d-\d\d_\d{6}"), "STAMP"),
    (re.compile(r"(?<=--)[\w-]{30,}?(?=--$|\r\n)|(?<=boundary=)[\w-]{30,}"), "BOUNDARY"),
    (re.compile(KEYS["user"]), "USER-KEY"),
    (re.compile(r"\[ (INFO|ERROR) - [^]]+ \]"), r"[ \1 - DATE ]"),
    (re.compile(r"slow_tool-\d+|two_files-\d+"), "JOB"),
    (re.compile(r"Execution time: \d+"), "Execution time: N"),
)
UNHEEDED = {"startDate", "lastModificationDate", "platformName", "platformDescription", "email"}


@dataclass(frozen=True)
class Answer:
    """What counts of an answer: status, headers that a client may read, content."""

    status: int
    headers: dict[str, str]
    content: object


@dataclass(frozen=True)
class Exchange:
    """One request, and what the real VIP answered."""

    file: str
    number: int
    what: str
    method: str
    path: str
    key: str | None
    headers: dict[str, str]
    body: bytes | None
    answer: Answer

    @property
    def place(self) -> tuple[str, int]:
        return self.file, self.number


def exchanges(file: str) -> Iterator[Exchange]:
    """Read one file of recorded exchanges."""
    for block in (HERE / f"{file}.txt").read_text("utf-8").strip().split("\n\n"):
        title, request, *rest = block.splitlines()
        number, what = title.removeprefix("# ").split(" ", 1)
        line, _, key = request.partition(" as ")
        method, path = line.split(" ", 1)
        cut = next(n for n, text in enumerate(rest) if text.startswith("= "))
        headers, content = _message(rest[:cut])
        body = None if content is None else _as_text(content).encode()
        if content and "json" in content:
            headers["Content-Type"] = "application/json"
        answer = _recorded(rest[cut:])
        yield Exchange(file, int(number), what, method, path, key or None, headers, body, answer)


def _message(lines: list[str]) -> tuple[dict[str, str], dict[str, Any] | None]:
    content = [json.loads(line[2:]) for line in lines if line[0] in "<>"]
    headers = dict(line.split(": ", 1) for line in lines if line[0] not in "<>")
    return headers, content[0] if content else None


def _as_text(content: dict[str, Any]) -> str:
    return str(content["text"]) if "text" in content else json.dumps(content["json"])


def _recorded(lines: list[str]) -> Answer:
    status, _, kind = lines[0].removeprefix("= ").partition(" ")
    headers, content = _message(lines[1:])
    seen = kind or (None if content is None else next(iter(content.values())))
    return Answer(int(status), masked(headers), masked(seen))


def masked(value: Any) -> Any:
    """Return a value without what differs from one time to the next; lists in one order."""
    if isinstance(value, dict):
        return {k: "" if k in UNHEEDED and v is not None else masked(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted(map(masked, value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, str):
        for pattern, word in MASKS:
            value = pattern.sub(word, value)
    return value


def ask(connection: http.client.HTTPConnection, exchange: Exchange) -> Answer:
    """Send a request as it was recorded, byte for byte."""
    connection.putrequest(exchange.method, f"/rest{exchange.path}", skip_accept_encoding=True)
    headers = {"Accept": "*/*", "Content-Length": str(len(exchange.body or b""))}
    if exchange.key:
        headers["apikey"] = KEYS.get(exchange.key, exchange.key)
    for name, value in (headers | exchange.headers).items():
        connection.putheader(name, value)
    connection.endheaders(exchange.body or None)
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, masked(found), masked(_content(found, response.read())))


def _content(headers: dict[str, str], raw: bytes) -> object:
    kind = headers.get("content-type", "")
    if not raw:
        return None
    if kind.startswith("application/json"):
        return json.loads(raw)
    if kind.startswith("text/html"):
        return "html"
    return raw.decode("latin-1") if len(raw) <= 300 else hashlib.sha256(raw).hexdigest()


def counted(answer: Answer, recorded: Answer) -> Answer:
    """Return what counts: headers that were recorded, and some that must not come without that."""
    names = recorded.headers.keys() | {"www-authenticate", "content-range"}
    return replace(answer, headers={n: v for n, v in answer.headers.items() if n in names})


RECORDED = [exchange for file in FILES for exchange in exchanges(file)]


def made_pipelines(root: Path) -> Path:
    """Make a folder of descriptors: those recorded, a strange group's and one that is in no group."""
    folder = root / "pipelines"
    shutil.copytree(HERE / "pipelines", folder)
    slow = json.loads((folder / "slow.json").read_text())
    for name, version in (("secret app", "1.0"), ("slow tool", "0.9-hidden")):
        made = slow | {"name": name, "tool-version": version}
        (folder / f"{name}.json").write_text(json.dumps(made))
    return folder


def fill(root: Path) -> Path:
    """Put the files there that were there; return Ada's home, which held eleven things."""
    home = root / "users/ada_tester"
    (root / "groups/MR/basis.zip").write_bytes(bytes(586047))
    (home / "001.mrui").write_bytes(bytes(4000))
    (home / "in1.txt").write_text("one\n")
    (home / "in2.txt").write_text("two\n")
    for number in range(8):
        (home / f"other{number}").mkdir()
    return home


def without_semicolons(home: Path) -> None:
    for file in (home / "cmp").glob("*;*"):
        file.unlink()


def with_bytes(home: Path) -> None:
    (home / "cmp/r.bin").write_bytes(bytes(range(256)) * 4)


BEFORE = {("paths-reading", 2): without_semicolons, ("paths-reading", 17): with_bytes}
"""What was done on the disk before a request."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Answer]:
    """Ask everything in turn over a socket, on a clock that lets nobody wait."""
    root = tmp_path_factory.mktemp("vip")
    with running(recorded_world(root, ManualClock())) as url:
        return replayed(url, root, RECORDED)


def recorded_world(root: Path, clock: ManualClock, runner: JobRunner | None = None) -> World:
    options = read_world(HERE / "world.toml", Options.faithful())
    return World(root, replace(options, pipelines=(made_pipelines(root),)), clock, runner=runner)


def replayed(url: str, root: Path, recorded: list[Exchange]) -> dict[tuple[str, int], Answer]:
    """Ask what was recorded; `root` is where the server has its files."""
    home, answers = fill(root), {}
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for exchange in recorded:
        BEFORE.get(exchange.place, Path.exists)(home)
        answers[exchange.place] = counted(ask(connection, exchange), exchange.answer)
    connection.close()
    return answers


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda e: f"{e.file}-{e.number}-{e.what}")
def test_answers_are_those_of_the_real_vip(
    given: dict[tuple[str, int], Answer], exchange: Exchange
) -> None:
    """Each request gets the recorded answer."""
    assert given[exchange.place] == exchange.answer


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve in real time, by the command that people use."""
    root.mkdir()
    command = [sys.executable, "-m", "vipsync", "local", "--world", str(HERE / "world.toml")]
    command += ["--pipelines", str(made_pipelines(root)), "--root", str(root), "--faithful"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rpartition(" ")[2].strip()
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.parametrize(
    "files", [FILES[:1], pytest.param(FILES, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])]
)
def test_the_command_answers_alike(tmp_path: Path, files: tuple[str, ...]) -> None:
    """Its first line tells its address; with every file it takes the real waiting times, 4 minutes."""
    root, asked = tmp_path / "root", [exchange for exchange in RECORDED if exchange.file in files]
    with served(root) as url:
        given = replayed(url, root, asked)
    assert given == {exchange.place: exchange.answer for exchange in asked}


class RealJobs:
    """Runs jobs with bosh, each for as long on the clock of the test as it sleeps."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock, self._bosh = clock, BoshRunner(clock, slots=4)

    def submit(self, job: Job) -> JobHandle:
        seconds = float(job.invocation.get("sleep", 1)) + (job.subject in LATER)
        return Timed(self._bosh.submit(job), self._clock, job.submitted + seconds)

    def close(self) -> None:
        self._bosh.close()


@dataclass
class Timed:
    """A job that runs in real time and ends in that of the test."""

    handle: JobHandle
    clock: ManualClock
    due: float
    started: bool = True

    def poll(self) -> JobResult | None:
        if self.clock.now() < self.due:
            return None
        return replace(ended(self.handle), ended=self.due)

    def kill(self) -> None:
        self.handle.kill()


LATER = {"t Nab/1"}
"""The job that lost a race when it was recorded."""

LIVES: list[dict[str, Any]] = json.loads((HERE / "lives.json").read_text("utf-8"))
UNSEEN = {
    ("C fail", 1): "inputs are stored one by one within a second, here all at once",
    ("O1 list one", 2): "a job is queued for less than a second, here not at all",
}
"""States of a moment that the embedded VIP leaves out on purpose, and why."""


@dataclass
class Alive:
    """A world with real jobs, a clock for them, and Ada's client."""

    clock: ManualClock
    client: httpx.Client

    def get(self, identifier: str, what: str = "") -> Any:
        answer = self.client.get(f"/rest/executions/{identifier}{what}")
        assert answer.status_code == 200
        kind = answer.headers["Content-Type"]
        return masked(answer.json() if kind == "application/json" else answer.text)

    def post(self, **submission: Any) -> str:
        answer = self.client.post("/rest/executions", json=submission)
        return str(answer.json()["identifier"])


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alive]:
    """Serve what was there when executions were recorded."""
    root, clock = tmp_path_factory.mktemp("vip"), ManualClock()
    world = recorded_world(root, clock, RealJobs(clock))
    home = fill(root)
    (home / "cmp").mkdir()
    (home / "cmp/zero.txt").touch()
    headers = {"apikey": KEYS["user"]}
    with httpx.Client(transport=InProcess(world), base_url="http://vip", headers=headers) as client:
        yield Alive(clock, client)
    world.close()


@pytest.fixture(scope="module")
def lived(alive: Alive) -> dict[str, tuple[list[Any], dict[str, Any]]]:
    """Post all lives at once, look at them every two seconds, and ask each at its end."""
    posted = {life["what"]: alive.post(**life["post"]) for life in LIVES}
    seen: dict[str, list[Any]] = {what: [] for what in posted}
    for _ in range(25):
        for what, identifier in posted.items():
            state = state_of(alive.get(identifier))
            if seen[what][-1:] != [state]:
                seen[what].append(state)
        alive.clock.sleep(2)
    asked = {
        life["what"]: {key: alive.get(posted[life["what"]], f"/{key}") for key in life["then"]}
        for life in LIVES
    }
    return {what: (seen[what], asked[what]) for what in posted}


def state_of(execution: dict[str, Any]) -> Any:
    return masked({k: execution[k] for k in ("status", "jobs", "returnedFiles", "inputValues")})


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life["what"])
def test_executions_live_as_on_the_real_vip(
    lived: dict[str, tuple[list[Any], dict[str, Any]]], life: dict[str, Any]
) -> None:
    """Each goes through the recorded states, but for some of a moment, to the recorded end and logs."""
    seen, asked = lived[life["what"]]
    recorded = [state_of(state) for state in life["seen"]]
    unseen = {number for what, number in UNSEEN if what == life["what"]}
    assert seen == [state for n, state in enumerate(recorded) if n not in unseen]
    assert not unseen or seen != recorded
    assert asked == masked(life["then"])


KILLED = list(exchanges("kill-delete"))


def test_a_kill_and_a_removal_answer_as_on_the_real_vip(alive: Alive) -> None:
    """Killed while its jobs run, renamed, deleted, and brought back by a second kill."""
    identifier = alive.post(
        name="k",
        pipelineIdentifier="slow tool/1.0",
        inputValues={"text": ["ka", "kb"], "sleep": 40},
        resultsLocation="/vip/Home/outK",
    )
    for _ in range(6):
        alive.clock.sleep(2)
        alive.get(identifier)
    for exchange in KILLED:
        route = f"/rest{exchange.path.replace('WORKFLOW', identifier)}"
        answer = alive.client.request(
            exchange.method, route, content=exchange.body, headers=exchange.headers
        )
        given = Answer(
            answer.status_code, {}, masked(_content(dict(answer.headers), answer.content))
        )
        assert given == exchange.answer, exchange.what
