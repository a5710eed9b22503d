"""A server that lies, on the whole system: nothing outside the folder, nothing twice, and on once it is well."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.lab.bench import Bench
from tests.lab.memory import traced
from tests.lab.served import KEY, Served
from vipsync import cli
from vipsync.act import listing as act_listing
from vipsync.local import FOR_EVER, Kind
from vipsync.rows import Phase
from vipsync.run.reconciler import Reconciler
from vipsync.status.publish import Publisher

Lie = Callable[[httpx.Request, httpx.Response], httpx.Response | None]
"""Give another answer in place of the true one; None leaves that one."""

HOME = "/vip/Home/API/study"
PAGE = "<!DOCTYPE html><html><body>Please log in</body></html>"
ELSEWHERE = (
    "/etc/passwd",
    "/vip/Home/API/other/INPUTS/x",
    f"{HOME}/OUTPUTS/../../other/x",
    f"{HOME}/OUTPUTS/../../../../../../tmp/x",
    f"{HOME}/OUTPUTS/.",
    f"{HOME}/OUTPUTS/a\nb",
    f"{HOME}/OUTPUTS/a\0b",
    f"{HOME}/OUTPUTS/a\x1b[2Jb",
    f"{HOME}/OUTPUTS/" + "x" * 300,
    f"{HOME}/OUTPUTS//",
    "relative/x",
    "",
)
SHAPES = (
    "null",
    "[]",
    "{}",
    "5",
    '"text"',
    "[[]]",
    "[null]",
    '{"exists":"perhaps"}',
    "",
    "[" * 5000,
)


class Liar(httpx.BaseTransport):
    """Hand requests on, and give other answers as long as a lie is set."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.lie: Lie | None = None
        self.told = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, truly or not."""
        answer = self._inner.handle_request(request)
        other = self.lie(request, answer) if self.lie else None
        self.told += other is not None
        return other or answer


# lies


def listing(change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Lie:
    """Change each entry of each listing."""

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.url.params.get("action") != "list" or answer.status_code != 200:
            return None
        entries = [new for entry in json.loads(answer.read()) for new in change(entry)]
        return httpx.Response(200, json=entries)

    return lie


def with_path(path: str) -> Lie:
    """Put an entry with this path beside each entry of a listing."""
    return listing(lambda entry: [entry, {**entry, "path": path}])


def with_size(size: object) -> Lie:
    """Give every file in a listing this size."""
    return listing(lambda entry: [entry if entry["isDirectory"] else {**entry, "size": size}])


def returning(path: str) -> Lie:
    """Let executions have returned a file at this path, and have their results there."""

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.method != "GET" or "/executions/workflow-" not in request.url.path:
            return None
        found = json.loads(answer.read())
        found["returnedFiles"] = {"fit": [path]}
        return httpx.Response(200, json=found)

    return lie


def everywhere(make: Callable[[], httpx.Response]) -> Lie:
    """Answer every request the same way."""
    return lambda _request, _answer: make()


def shaped(body: str) -> Lie:
    """Answer each reading request with this JSON."""

    def lie(request: httpx.Request, _answer: httpx.Response) -> httpx.Response | None:
        if request.method != "GET":
            return None
        return httpx.Response(200, text=body, headers={"Content-Type": "application/json"})

    return lie


class Endless(httpx.SyncByteStream):
    """A body that does not end."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" " * 65536


LIES: dict[str, Lie] = {
    **{f"listed {path[-20:]!r}": with_path(path) for path in ELSEWHERE},
    **{f"size {size!r}": with_size(size) for size in (0, 1, 10**6, -1, 2**70, "7", "x", None, 1.5)},
    **{f"returned {path[-20:]!r}": returning(path) for path in ELSEWHERE},
    **{f"shape {body[:20]!r}": shaped(body) for body in SHAPES},
    "page": everywhere(lambda: httpx.Response(200, html=PAGE)),
    "redirect": everywhere(lambda: httpx.Response(302, headers={"Location": "https://evil.test/"})),
    "long refusal": everywhere(lambda: httpx.Response(400, content=b"x" * 10**7)),
    "long page": everywhere(lambda: httpx.Response(200, html=PAGE + "x" * 10**7)),
    "endless": everywhere(lambda: httpx.Response(200, stream=Endless())),
    "endless refusal": everywhere(lambda: httpx.Response(500, stream=Endless())),
    "encoded": everywhere(
        lambda: httpx.Response(200, stream=Endless(), headers={"Content-Encoding": "br"})
    ),
    "for years": everywhere(lambda: httpx.Response(503, headers={"Retry-After": "999999999"})),
}

SOME = (
    "listed 'PI/study/OUTPUTS/a\\x00b'",
    "size 0",
    "size -1",
    "size 1000000",
    "size 1180591620717411303424",
    "returned '/etc/passwd'",
    "shape '{}'",
    "page",
    "redirect",
    "long refusal",
    "for years",
)


def start(_bench: Bench) -> None:
    """Lie from the first request on."""


def running(bench: Bench) -> None:
    """Lie while the execution runs."""
    bench.until(bench.executions)
    bench.run(20)


def rest(bench: Bench) -> None:
    """Lie to the next process, when everything is here."""
    bench.rest()
    bench.stop()


def live(bench: Bench, lie: Lie, until: Callable[[Bench], None]) -> None:
    """Be lied to for ten minutes; then all must come to its usual end."""
    liar = Liar(bench.transport)
    bench.transport = liar
    bench.job_seconds = lambda _job: 200.0
    study = bench.study(a="one", b="two")
    until(bench)
    said, around = hear(bench), outside(bench)
    liar.lie = lie
    bench.run(700)
    liar.lie = None
    assert not [words for words in said if "fault in vipsync" in words]
    assert said or liar.told < 20
    assert (outside(bench), bench.count("DELETE")) == (around, 0)
    bench.run(4000)
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt", "1/b.mrui.tgz/b.txt"]
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert bench.sessions_on_vip() == []


def hear(bench: Bench) -> set[str]:
    """Return what a person is told from now on."""
    said: set[str] = set()

    def publish(session: Reconciler) -> None:
        said.update([str(session.trouble)] if session.trouble else [])
        said.update(notice.text for notice in (session.plan.notices if session.plan else ()))

    bench.publish = publish
    return said


def outside(bench: Bench) -> set[Path]:
    """Return what lies beside the session folder and the embedded VIP."""
    above = bench.root.parent
    inside = (bench.root / "study", above / "vip")
    return {p for p in above.rglob("*") if not any(p.is_relative_to(i) for i in inside)}


@pytest.mark.parametrize("name", SOME)
def test_a_server_that_lies_for_a_while_does_no_harm(bench: Bench, name: str) -> None:
    """It is said, and the end is the usual one once the server is well."""
    live(bench, LIES[name], running)


@pytest.mark.nightly
def test_an_answer_without_end_takes_little_memory(bench: Bench) -> None:
    """It is given up at 64 MB of JSON."""
    with traced() as peak:
        live(bench, LIES["endless"], running)
        assert peak() < 250 * 2**20


@pytest.mark.nightly
@pytest.mark.parametrize("until", [start, running, rest])
@pytest.mark.parametrize("name", LIES)
def test_any_lie_at_any_time_does_no_harm(
    bench: Bench, name: str, until: Callable[[Bench], None]
) -> None:
    """The same for every lie, from the first request on, while jobs run, and at rest."""
    live(bench, LIES[name], until)


def test_results_without_a_size_are_not_removed(bench: Bench) -> None:
    """What cannot be asked for cannot be fetched: the removal waits until it can, and says so."""
    liar = Liar(bench.transport)
    bench.transport = liar
    study = bench.study(a="one")
    bench.until(bench.executions)
    liar.lie = with_size(None)
    bench.run(60)
    study.marker.unlink()
    bench.run(600)
    assert study.says("does not say how many bytes it has")
    assert bench.count("DELETE") == 0
    liar.lie = None
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]


# one odd thing among many


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 300, "cannot hold a name"),
        ("é" * 130, "cannot hold a name"),
        ("x" * 254 + ".t", "cannot hold a name"),
        ("x" * 2000, "too long"),
        ("a\x1b[2Jb", "a line break"),
        ("a\nb", "a line break"),
        ("a\x9bb", "a line break"),
    ],
)
def test_a_name_that_cannot_be_is_the_fault_of_that_result(
    bench: Bench, name: str, words: str
) -> None:
    """It is told with the way to let it go, all others come, and the session can end without it."""
    liar = Liar(bench.transport)
    bench.transport = liar
    study = bench.study(a="one", b="two")
    bench.until(bench.executions)
    liar.lie = listing(_renaming("b.mrui.tgz", name))
    bench.rest()
    bench.run(1200)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert study.says(words)
    assert not study.trouble()
    study.marker.unlink()
    bench.run(1200)
    assert bench.count("DELETE") == 0
    study.ask("finish", "b.mrui.tgz", name)
    bench.until(lambda: study.phase() is Phase.CLOSED)


def _renaming(end: str, name: str) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Have one result called otherwise, and there in its bytes."""

    def change(entry: dict[str, Any]) -> list[dict[str, Any]]:
        if not entry["path"].endswith(end):
            return [entry]
        return [{**entry, "path": entry["path"].removesuffix(end) + name}]

    return change


@pytest.mark.parametrize(
    "odd",
    [
        {"size": "many"},
        {"size": 1.5},
        {"size": [1]},
        {"size": 10**400},
        {"path": None},
        {"path": 5},
    ],
)
def test_an_odd_entry_is_the_fault_of_that_entry(bench: Bench, odd: dict[str, object]) -> None:
    """Whatever VIP says of one result, the others come; the odd one comes once VIP is well."""
    liar = Liar(bench.transport)
    bench.transport = liar
    study = bench.study(a="one", b="two")
    bench.until(bench.executions)
    liar.lie = listing(
        lambda entry: [{**entry, **odd} if entry["path"].endswith("b.mrui.tgz") else entry]
    )
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert study.says("It cannot come")
    liar.lie = None
    bench.run(4000)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt", "1/b.mrui.tgz/b.txt"]
    assert not study.says("It cannot come")


def growing(folders: int) -> Lie:
    """Have so many folders in each folder of results, without end."""

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        path = request.url.path.partition("/rest/path")[2]
        if request.url.params.get("action") != "list" or "/OUTPUTS/" not in path:
            return None
        entries = json.loads(answer.read()) if answer.status_code == 200 else []
        below = ({"path": f"{path}/{n}", "isDirectory": True, "size": 0} for n in range(folders))
        return httpx.Response(200, json=[*entries, *below])

    return lie


@pytest.mark.parametrize(("folders", "words"), [(1, "lie in one another"), (3, "in so many")])
def test_results_without_end_are_not_listed_without_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, folders: int, words: str
) -> None:
    """What is near comes, a person is told what is not looked at, and nothing of it is removed."""
    monkeypatch.setattr(act_listing, "MOST_FOLDERS", 100)
    liar = Liar(bench.transport)
    bench.transport = liar
    study = bench.study(a="one")
    bench.until(bench.executions)
    liar.lie = growing(folders)
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert study.says(words)
    assert liar.told <= 100
    study.marker.unlink()
    bench.run(1200)
    assert (study.phase(), bench.count("DELETE")) == (Phase.FINISHING, 0)
    liar.lie = None
    bench.until(lambda: study.phase() is Phase.CLOSED)


@pytest.mark.parametrize("start", [10**18, -(10**18), 1e300, 253_402_300_800_000, "soon", None])
def test_an_odd_start_stops_nobody(bench: Bench, start: object) -> None:
    """All is published of this folder and of the others, and everything comes."""
    liar = Liar(bench.transport)
    bench.transport = liar
    studies = [bench.study(name, a="one") for name in ("study", "other")]
    publishers: defaultdict[Path, Publisher] = defaultdict(Publisher)
    bench.publish = lambda session: publishers[session.folder.root].publish(session)
    liar.lie = _started(start)
    bench.run(600)
    for study in studies:
        assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
        assert "fault" not in (study.root / "STATUS.txt").read_text()


def _started(start: object) -> Lie:
    """Have the executions of one session begin then."""

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.method != "GET" or "/executions" not in request.url.path:
            return None
        found = json.loads(answer.read())
        for execution in found if isinstance(found, list) else [found]:
            if execution.get("name", "").startswith("study"):
                execution["startDate"] = start
        return httpx.Response(answer.status_code, json=found)

    return lie


@pytest.mark.parametrize("error", [OverflowError, KeyError, UnicodeEncodeError("x", "", 0, 1, "")])
def test_words_that_fail_stop_nobody(bench: Bench, error: Exception | type[Exception]) -> None:
    """A fault of ours in what is said of one folder leaves all of them at work."""
    studies = [bench.study(name, a="one") for name in ("study", "other")]

    def publish(session: Reconciler) -> None:
        if session.folder.root.name == "study":
            raise error

    bench.publish = publish
    bench.rest()
    assert [list(study.outputs()) for study in studies] == [["1/a.mrui.tgz/a.txt"]] * 2


# a server that does not what it says


def test_a_vip_that_stores_nothing_is_not_sent_copies_without_end(bench: Bench) -> None:
    """Every upload is stored empty, as on a full disk: pauses grow, a person is told, and it goes on."""
    study = bench.study(a="one")
    bench.world.faults.arm(Kind.UPLOAD_WRONG_SIZE, "*", times=FOR_EVER, size=1)
    bench.run(600)
    assert study.says("times in another size than was sent")
    bench.world.faults.clear()
    assert bench.count("PUT /path/vip/Home/API/study/INPUTS") < 40
    bench.run(3600)
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


def test_a_redirect_takes_the_key_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over real sockets: the other host hears nothing, and the command says where it was sent."""
    heard: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(str(self.headers))
            self.send_error(404)

        do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Portal(Other):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{other.server_port}{self.path}")
            self.end_headers()

        do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    other = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    portal = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    for server in (other, portal):
        Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{portal.server_port}"
    try:
        served = Served(tmp_path, url, None, KEY)  # type: ignore[arg-type]
        study = served.study(a="one")
        for name, value in served.environ.items():
            monkeypatch.setenv(name, value)
        assert cli.exit_code(["check", str(study)])
    finally:
        for server in (other, portal):
            server.shutdown()
            server.server_close()
    assert heard == []
    said = capsys.readouterr()
    assert "the key was not sent there" in " ".join((said.out + said.err).split())
