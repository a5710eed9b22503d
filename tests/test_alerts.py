"""Alerts: one message for what happens within a while, nothing twice, no names, no receiver waited for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.lab.served import Caller, Served, wait_until
from vipsync.alerts.facts import FORGOTTEN_AFTER, Message
from vipsync.alerts.receivers import Receiver, receivers
from vipsync.alerts.telling import AGAIN, Alerts
from vipsync.errors import SettingsError
from vipsync.model import MachineSettings, NotifySettings, Secret, replace
from vipsync.plan.draft import Level, Notice
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.status.status import Status

QUIET = NotifySettings(quiet=900.0)
REST = Status("/s/one", "one", "id-one", "open", "Everything is here.")


def cases(state: CaseState, *names: str) -> Status:
    reports = tuple(CaseReport(name, state, execution="w-1") for name in names)
    return replace(REST, cases=reports, counts={state: len(names)})


FAILED = cases(CaseState.FAILED, "smith^john")


class Told:
    """A receiver in memory that can be down."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.down = False

    def send(self, message: Message) -> bool:
        if not self.down:
            self.messages.append(message)
        return not self.down


class Teller:
    """Alerts with a clock of their own, and no thread."""

    def __init__(self, tmp_path: Path, *to: Any) -> None:
        self.now, self.memory, self.to = 1e9, tmp_path / "alerts.json", to
        self.start()

    def start(self) -> None:
        self.alerts = Alerts(QUIET, self.to, self.memory, lambda: self.now)
        self.alerts.begin()

    def see(self, status: Status, name: str = "one") -> None:
        self.alerts.see(Path(status.folder), status, name)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.alerts.turn()


class Http(HTTPServer):
    """What apprise's json:// posts to."""

    bodies: list[dict[str, str]]


class _Handler(BaseHTTPRequestHandler):
    server: Http

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def http() -> Iterator[Http]:
    """Return a receiver on a port of this machine."""
    with Http(("127.0.0.1", 0), _Handler) as server:
        server.bodies = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(http: Http) -> str:
    return f"json://127.0.0.1:{http.server_port}"


def test_thirty_failures_are_one_message_at_a_real_receiver(tmp_path: Path, http: Http) -> None:
    """It has names of folders and counts, and comes when it has been quiet for long enough."""
    teller = Teller(tmp_path, Receiver(Secret(address(http))))
    for number in range(30):
        status = replace(FAILED, id=f"id-{number}", folder=f"/s/{number}")
        teller.see(status, f"study-{number:02}")
        teller.after(10)
    assert http.bodies == []
    teller.after(600)
    teller.after(9000)
    (body,) = http.bodies
    assert "30 cases failed" in body["title"]
    assert "study-00: 1 case failed" in body["message"]
    assert "and 10 more folders" in body["message"]
    assert "smith" not in json.dumps(body) + teller.memory.read_text()


def test_a_real_mail_arrives(tmp_path: Path) -> None:
    """By SMTP, one mail."""
    mails: list[str] = []

    class Box:
        async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
            mails.append(envelope.content.decode())
            return "250 OK"

    box = Controller(Box(), hostname="127.0.0.1", port=0)
    box.start()
    try:
        port = box.server.sockets[0].getsockname()[1] if box.server else 0
        url = f"mailto://127.0.0.1:{port}?from=vipsync@example.org&to=ada@example.org&mode=insecure"
        teller = Teller(tmp_path, Receiver(Secret(url)))
        teller.see(FAILED)
        teller.after(900)
    finally:
        box.stop()
    (mail,) = mails
    assert "To: ada@example.org" in mail


def test_nothing_is_told_twice_through_restarts(tmp_path: Path) -> None:
    """What was told stays told; a run again that fails again is something else."""
    to = Told()
    teller = Teller(tmp_path, to)
    teller.see(FAILED)
    teller.after(900)
    teller.alerts.__exit__(None)
    teller.start()
    teller.see(FAILED)
    teller.after(9000)
    assert len(to.messages) == 1
    again = replace(FAILED.cases[0], execution="w-2")
    teller.see(replace(FAILED, cases=(again,)))
    teller.after(900)
    assert len(to.messages) == 2


def test_a_crash_is_told_once(tmp_path: Path) -> None:
    """A process that did not say that it ended has crashed; after a good end nothing is said."""
    to = Told()
    teller = Teller(tmp_path, to)
    teller.start()
    teller.after(900)
    teller.alerts.__exit__(None)
    teller.start()
    teller.after(9000)
    (message,) = to.messages
    assert "vipsync itself had stopped" in message.text


def test_a_receiver_that_is_down_is_tried_again_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is back it gets one message of all; the other receiver has had its own."""
    down, up = Told(), Told()
    down.down = True
    teller = Teller(tmp_path, down, up)
    teller.see(FAILED)
    teller.after(900)
    for _ in range(5):
        teller.after(AGAIN)
    teller.see(cases(CaseState.FAILED, "smith^john", "other"))
    down.down = False
    teller.after(9000)
    assert [m.title.partition(": ")[2] for m in down.messages] == ["2 cases failed"]
    assert len(up.messages) == 2
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


def test_what_passes_is_not_told_and_what_comes_again_soon_is_the_same(tmp_path: Path) -> None:
    """A person is called for what lasts, and again only after a day without it."""
    to = Told()
    teller = Teller(tmp_path, to)
    stopped = replace(REST, notices=(Notice(Level.ERROR, "VIP", "Nothing for 75 s."),))
    for status in (stopped, REST):
        teller.see(status)
        teller.after(600)
    assert to.messages == []
    for _ in range(2):
        teller.see(stopped)
        teller.after(900)
        teller.see(REST)
        teller.after(900)
    assert len(to.messages) == 1
    teller.after(FORGOTTEN_AFTER)
    teller.see(replace(REST, sentence="At rest."))
    teller.see(stopped)
    teller.after(900)
    assert len(to.messages) == 2


def test_what_is_done_is_told_at_rest_and_old_news_never(tmp_path: Path) -> None:
    """What was done before anybody listened is no news."""
    to = Told()
    teller = Teller(tmp_path, to)
    teller.see(cases(CaseState.DONE, "old"))
    teller.after(9000)
    new = (*cases(CaseState.DONE, "old").cases, CaseReport("new", CaseState.DONE, execution="w-2"))
    teller.see(replace(REST, cases=new, counts={CaseState.RUNNING: 1}))
    teller.after(9000)
    assert to.messages == []
    teller.see(replace(REST, cases=new))
    teller.after(900)
    assert [m.title.partition(": ")[2] for m in to.messages] == ["1 case done"]


def test_a_file_of_addresses_is_read_only_where_it_is_private(tmp_path: Path) -> None:
    """An address can hold a password."""
    file = tmp_path / "urls"
    file.write_text("# mine\njson://127.0.0.1:1\n")
    machine = MachineSettings(notify=NotifySettings(urls=str(file)))
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="not yours alone"):
        receivers(machine, {})
    file.chmod(0o600)
    assert [receiver.kind for receiver in receivers(machine, {})] == ["json"]


def test_run_tells_of_the_folders_of_the_machine(call: Caller, served: Served, http: Http) -> None:
    """`run --once` sends what it found before it ends; `notify --test` says by kind where that goes."""
    served.study("one", a="one")
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{served.root / "one"}"]\n')
    served.environ["VIPSYNC_NOTIFY"] = address(http)
    assert call("--config", config, "run", "--once").code == 0
    wait_until(lambda: len(http.bodies) == 1)
    assert "one: 1 case done" in http.bodies[0]["message"]
    assert call("--config", config, "run", "--once").code == 0
    assert len(http.bodies) == 1
    said = call("--config", config, "notify", "--test")
    assert (said.code, said.out) == (0, "1 (json): sent\n")
    assert "a test" in http.bodies[1]["title"]
