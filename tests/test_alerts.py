"""Alerts: one message for what happens within a while, nothing twice, no names, no receiver waited for."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.lab import scans
from tests.lab.bench import Bench
from tests.lab.served import Caller, Served, wait_until
from tests.lab.stations import TEMPLATE, station
from tests.lab.statuses import status as status_now
from vipsync.alerts import receivers as going_out
from vipsync.alerts import telling
from vipsync.alerts.facts import FORGOTTEN_AFTER, SETTLES, Fact, Message, facts_of, message
from vipsync.alerts.folders import FolderAlerts
from vipsync.alerts.receivers import Receiver, receivers
from vipsync.alerts.telling import AGAIN, Alerts
from vipsync.errors import NotASession, SettingsError
from vipsync.model import MachineSettings, NotifyEvent, NotifySettings, Secret, replace
from vipsync.plan.draft import Level, Notice
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.status.status import Status

QUIET = NotifySettings(quiet=900.0)
REST = Status("/s/one", "one", "id-one", "open", "Everything is here.")


def cases(state: CaseState, *names: str, execution: str = "w-1") -> Status:
    reports = tuple(CaseReport(name, state, execution=execution) for name in names)
    return replace(REST, cases=reports, counts={str(state): len(names)})


FAILED = cases(CaseState.FAILED, "smith^john")
STOPPED = replace(REST, notices=(Notice(Level.ERROR, "VIP", "Nothing for 75 s."),))


class Told:
    """A receiver in memory that can be down; `meanwhile` happens while it takes a message."""

    name = "1 (told)"

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.down = False
        self.meanwhile: Callable[[], object] = lambda: None

    def send(self, message: Message, _give_up: Callable[[], bool]) -> str:
        if self.down:
            return "down."
        self.messages.append(message)
        self.meanwhile()
        return ""

    @property
    def titles(self) -> list[str]:
        return [message.title.partition(": ")[2] for message in self.messages]


class Teller:
    """Alerts with a clock of their own, and no thread."""

    def __init__(self, tmp_path: Path, *to: Any, settings: NotifySettings = QUIET) -> None:
        self.now, self.memory, self.to = 1e9, tmp_path / "alerts.json", to
        self.settings = settings
        self.start()

    def start(self) -> None:
        """Begin as a new process does."""
        self.alerts = Alerts(self.settings, self.to, self.memory, lambda: self.now)
        self.alerts.begin()

    def end(self) -> None:
        """End as a service does."""
        self.alerts.stop()
        self.alerts.__exit__(None)

    def see(self, status: Status, name: str = "one") -> None:
        self.alerts.see(Path(status.folder), name, facts_of(status), status.id)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.alerts.turn()


class Http(HTTPServer):
    """What apprise's json:// posts to; `answer` is what it says, or does instead."""

    bodies: list[dict[str, str]]
    paths: list[str]
    answer: Callable[[BaseHTTPRequestHandler], object]


class _Handler(BaseHTTPRequestHandler):
    server: Http

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.server.bodies.append(json.loads(body))
        self.server.answer(self)

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        fine(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def fine(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the end wait for good receivers on a machine that is busy with tests."""
    monkeypatch.setattr(telling, "PATIENCE", 60.0)


@pytest.fixture
def http() -> Iterator[Http]:
    """Return a receiver on a port of this machine."""
    with Http(("127.0.0.1", 0), _Handler) as server:
        server.bodies, server.paths, server.answer = [], [], fine
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(http: Http, path: str = "") -> str:
    return f"json://127.0.0.1:{http.server_port}{path}"


def receiver(http: Http) -> Receiver:
    return Receiver(Secret(address(http)), 1)


# real receivers


def test_thirty_failures_are_one_message_at_a_real_receiver(tmp_path: Path, http: Http) -> None:
    """It has names of folders and counts, and comes when things were gathered for long enough."""
    teller = Teller(tmp_path, receiver(http))
    for number in range(30):
        status = replace(FAILED, id=f"id-{number}", folder=f"/s/{number}")
        teller.see(status, f"study-{number:02}")
        teller.after(10)
    assert http.bodies == []
    teller.after(600)
    teller.after(9000)
    (body,) = http.bodies
    assert body["title"].endswith(": 30 cases failed")
    assert body["type"] == "failure"
    assert "study-00: 1 case failed" in body["message"]
    assert "and 10 more folders" in body["message"]
    assert "smith" not in json.dumps(body) + teller.memory.read_text()


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (["person"], "warning"),
        (["done"], "success"),
        (["done", "person"], "warning"),
        (["person", "stopped"], "failure"),
    ],
)
def test_an_alert_says_how_much_it_asks(events: list[NotifyEvent], kind: str) -> None:
    """A receiver that sorts by urgency puts a decision before what is done, and a failure before both."""
    facts = frozenset(Fact(event, event) for event in events)
    assert message({"id": ("study", facts)}, "host").kind == kind


class Box(Controller):
    """A mail server on a port that was free."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        super().__init__(self, hostname="127.0.0.1", port=self._socket.getsockname()[1])

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._socket)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope.content.decode())
        return "250 OK"


def test_a_real_mail_arrives(tmp_path: Path) -> None:
    """By SMTP, one mail."""
    box = Box()
    box.start()
    try:
        url = f"mailto://127.0.0.1:{box.port}?from=v@example.org&to=ada@example.org&mode=insecure"
        teller = Teller(tmp_path, Receiver(Secret(url), 1))
        teller.see(FAILED)
        teller.after(900)
        teller.after(9000)
    finally:
        box.stop()
    (mail,) = box.mails
    assert "To: ada@example.org" in mail
    assert "1 case failed" in mail


def redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(307)
    handler.send_header("Location", "/elsewhere")
    handler.end_headers()


def nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff not HTTP at all\r\n")


@pytest.mark.parametrize("answer", [redirect, nonsense])
def test_what_a_receiver_answers_does_nothing(
    http: Http,
    answer: Callable[[BaseHTTPRequestHandler], object],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is led nowhere else, prints nothing, and the answer counts as a message that was not taken."""
    http.answer = answer
    assert receiver(http).send(Message("a", "b")) == "it could not be reached, or did not take it."
    assert len(http.bodies) == 1
    assert "/elsewhere" not in http.paths
    assert capfd.readouterr() == ("", "")


def test_an_answer_without_an_end_is_given_up(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that dribbles holds neither this process nor its memory."""

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        fine(handler)
        try:
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.05)  # the receiver's own pace
        except OSError:
            return

    http.answer = dribble
    monkeypatch.setattr(going_out, "SECONDS", 2.0)
    assert receiver(http).send(Message("a", "b")) == "it did not answer."


def test_the_process_that_sends_has_no_key_and_no_address_in_its_environment(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor on its command line, which everybody on the machine can read."""
    monkeypatch.setenv("VIP_API_KEY", "a-key-of-vip")
    monkeypatch.setenv("VIPSYNC_NOTIFY", address(http, "/hidden"))
    seen: list[bytes] = []

    def look(handler: BaseHTTPRequestHandler) -> None:
        for process in Path("/proc").glob("[1-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes()
                mine = b"PPid:\t%d\n" % os.getpid() in (process / "status").read_bytes()
                if mine and b"vipsync.alerts" in words:
                    seen.append(words + (process / "environ").read_bytes())
        fine(handler)

    if not Path("/proc/self/environ").exists():
        pytest.skip("this system does not show what a process was given")
    http.answer = look
    to = Receiver(Secret(address(http, "/hidden")), 1)
    assert to.send(Message("a", "b")) == ""
    (shown,) = seen
    assert b"hidden" not in shown
    assert b"a-key-of-vip" not in shown


@pytest.mark.parametrize("url", ["http://Tigers99@[::1", "Tigers-99://x", "json://Tigers99\udcff"])
def test_an_address_with_a_mistake_is_shown_nowhere(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It holds a password all the same."""
    to = Receiver(Secret(url), 1)
    trouble = to.send(Message("a", "b"))
    assert trouble
    assert "igers" not in trouble + to.name + repr(to) + caplog.text


# nothing twice


def test_nothing_is_told_twice_through_restarts(tmp_path: Path) -> None:
    """What was told stays told; a run again that fails again is something else."""
    to = Told()
    teller = Teller(tmp_path, to)
    teller.see(FAILED)
    teller.after(900)
    teller.end()
    teller.start()
    teller.see(FAILED)
    teller.after(9000)
    assert len(to.messages) == 1
    teller.see(cases(CaseState.FAILED, "smith^john", execution="w-2"))
    teller.after(900)
    assert to.titles == ["1 case failed"] * 2


def test_of_what_goes_on_only_the_rest_is_told(tmp_path: Path) -> None:
    """One execution fails case by case, for hours."""
    to = Told()
    teller = Teller(tmp_path, to)
    for number in (1, 3, 3):
        teller.see(cases(CaseState.FAILED, *map(str, range(number))))
        teller.after(900)
    assert to.titles == ["1 case failed", "2 cases failed"]


def test_what_was_on_its_way_in_a_crash_is_not_sent_again(tmp_path: Path) -> None:
    """Nobody knows whether it has arrived: that is said, once."""
    to = Told()
    teller = Teller(tmp_path, to)
    teller.see(FAILED)
    disk: list[bytes] = []
    to.meanwhile = lambda: disk.append(teller.memory.read_bytes())
    teller.after(900)
    teller.memory.write_bytes(disk[0])  # as if the process had died there
    to.meanwhile = lambda: None
    for _ in range(2):
        teller.start()
        teller.see(FAILED)
        teller.after(9000)
        teller.end()
    assert to.titles == ["1 case failed", "vipsync itself"]
    assert "an alert, which may be lost" in to.messages[1].text
    assert "stopped without having been told to" in to.messages[1].text


def test_a_crash_is_told_once(tmp_path: Path) -> None:
    """A process that did not say that it ended has crashed; after a good end nothing is said."""
    to = Told()
    teller = Teller(tmp_path, to)
    teller.start()
    teller.after(900)
    teller.end()
    teller.start()
    teller.after(9000)
    assert to.titles == ["vipsync itself"]
    assert "may be lost" not in to.messages[0].text


def test_one_that_crashes_again_and_again_is_heard(tmp_path: Path) -> None:
    """What is gathered is gathered over restarts: none of them lives for long."""
    to = Told()
    teller = Teller(tmp_path, to)
    for _ in range(5):
        teller.start()
        teller.see(FAILED)
        teller.after(SETTLES)
        teller.after(300)
    assert len(to.messages) == 1
    assert to.titles == ["vipsync itself, 1 case failed"]


@pytest.mark.parametrize(
    ("error", "told"), [(NotASession("x"), []), (KeyboardInterrupt(), []), (ValueError(), 1)]
)
def test_a_fault_of_ours_is_told_before_the_end(
    tmp_path: Path, error: BaseException, told: object
) -> None:
    """Nobody may ever start it again; what ends it with words, or by a person's hand, is none."""
    to = Told()

    def work() -> None:
        with Alerts(QUIET, (to,), tmp_path / "alerts.json"):
            raise error

    with pytest.raises(type(error)):
        work()
    assert to.titles == (["vipsync itself"] if told else [])
    again = Teller(tmp_path, to)
    again.after(9000)
    assert len(to.messages) == bool(told)


def test_a_folder_that_was_moved_or_is_away_for_a_while_is_the_same(tmp_path: Path) -> None:
    """It is known by its id; one that nobody can look into, by where it was."""
    to = Told()
    teller = Teller(tmp_path, to)
    away = replace(REST, sentence="The folder is not there.", exit_code=1)
    teller.see(away)
    teller.after(900)
    teller.end()
    teller.start()
    teller.see(replace(away, id=""))
    teller.after(9000)
    teller.see(replace(away, folder="/s/moved"), "moved")
    teller.after(9000)
    assert to.titles == ["stopped"]


def test_a_new_folder_without_an_id_is_the_same_once_it_has_one(tmp_path: Path) -> None:
    """A mistake in its settings comes before its id."""
    to = Told()
    teller = Teller(tmp_path, to)
    for known in ("", "id-one"):
        teller.see(replace(STOPPED, id=known))
        teller.after(9000)
    assert to.titles == ["stopped"]


def test_a_clock_that_is_set_back_delays_nothing(tmp_path: Path) -> None:
    """It may be by years, on a machine whose battery is empty."""
    to = Told()
    to.down = True
    teller = Teller(tmp_path, to)
    teller.see(FAILED)
    teller.after(900)
    teller.after(-1e8)
    teller.after(60)
    to.down = False
    teller.after(3600)
    assert to.titles == ["1 case failed"]


def test_what_is_over_before_a_receiver_is_back_is_not_told(tmp_path: Path) -> None:
    """Nobody is to look for what is gone."""
    to = Told()
    to.down = True
    teller = Teller(tmp_path, to)
    teller.see(STOPPED)
    teller.after(900)
    teller.see(REST)
    teller.see(replace(FAILED, id="id-two", folder="/s/two"), "two")
    to.down = False
    teller.after(9000)
    assert [message.text for message in to.messages] == [
        f"two: 1 case failed\n\n`vipsync status` on {socket.gethostname()} says more."
    ]


# what is worth it


def test_what_passes_is_not_told_and_what_comes_again_soon_is_the_same(tmp_path: Path) -> None:
    """A person is called for what lasts, and again only after a day without it."""
    to = Told()
    teller = Teller(tmp_path, to)
    for status in (STOPPED, REST):
        teller.see(status)
        teller.after(600)
    assert to.messages == []
    for _ in range(2):
        teller.see(STOPPED)
        teller.after(900)
        teller.see(REST)
        teller.after(900)
    assert to.titles == ["stopped"]
    teller.after(FORGOTTEN_AFTER)
    teller.see(STOPPED)
    teller.after(900)
    assert to.titles == ["stopped"] * 2


def test_what_is_done_is_told_at_rest_and_old_news_never(tmp_path: Path) -> None:
    """What was done before anybody listened is no news, also where something goes on."""
    to = Told()
    teller = Teller(tmp_path, to)
    old, new = cases(CaseState.DONE, "old"), cases(CaseState.DONE, "old", "new")
    for status in (old, new):
        teller.see(replace(status, counts={str(CaseState.RUNNING): 1}))
        teller.after(9000)
    assert to.messages == []
    teller.see(new)
    teller.after(900)
    assert to.titles == ["1 case done"]


def test_only_what_is_asked_for_is_told(tmp_path: Path) -> None:
    """`on` chooses."""
    to = Told()
    teller = Teller(tmp_path, to, settings=NotifySettings(on=("done", "stopped"), quiet=60.0))
    asking = Notice(Level.PERSON, "smith^john", "what is it?")
    teller.see(replace(FAILED, notices=(asking,)))
    teller.see(replace(STOPPED, id="id-two"), "two")
    teller.after(60)
    assert to.titles == ["stopped"]
    assert "two: stopped" in to.messages[0].text
    assert "one" not in to.messages[0].text


def test_what_a_station_needs_is_told_once_by_the_one_who_knows(
    tmp_path: Path, bench: Bench
) -> None:
    """A study that failed is a failure of its session; one that is held is told by the station."""
    bench.runner.work = lambda _job: 50
    signal = TEMPLATE.replace('{ zip = "./", as = "study.zip" }', '"*.mrui"')
    made = station(bench, template=signal)
    made.write("SMITH_EXAM1", {"SMITH.mrui": "1"})
    bench.rest()
    to = Told()
    teller = Teller(tmp_path, to)
    folders = FolderAlerts(teller.alerts, lambda root: f"/whole/path/{root.name}")
    folders.station(made.keeper)
    folders.session(made.session("S0001").session, status_now(made.session("S0001")), made.keeper)
    teller.after(900)
    assert to.titles == ["1 case failed"]
    assert "S0001: 1 case failed" in to.messages[0].text
    made.write("SMITH_EXAM1", {"late.mrui": "2"})
    bench.rest()
    folders.station(made.keeper)
    teller.after(900)
    assert to.titles == ["1 case failed", "1 thing to decide"]
    assert f"{made.root.name}: 1 thing to decide" in to.messages[1].text
    sent = "".join(message.text for message in to.messages)
    assert "SMITH" not in sent
    assert "/whole" not in sent


def test_a_folder_that_is_called_as_a_patient_is_not_named(tmp_path: Path, bench: Bench) -> None:
    """What the gate knows of a person leaves this machine by no way."""
    study = bench.study("SMITH JOHN 1970")
    study.write({"1.mrui": scans.rda(PatientName="Smith^John")})
    bench.rest()
    to = Told()
    teller = Teller(tmp_path, to)
    folders = FolderAlerts(teller.alerts, lambda root: f"group/{root.name}")
    folders.session(study.session, status_now(study), None)
    teller.after(900)
    (message,) = to.messages
    assert message.text.startswith("…: 2 things to decide")
    assert "smith" not in message.text.casefold()


# receivers that are down or slow


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
    teller.after(900)
    down.down = False
    teller.after(9000)
    assert down.titles == ["2 cases failed"]
    assert up.titles == ["1 case failed"] * 2
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


@contextmanager
def deaf() -> Iterator[str]:
    """Return the address of a receiver that takes a call and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"json://127.0.0.1:{server.getsockname()[1]}"


def test_a_receiver_that_says_nothing_holds_neither_the_others_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end waits for a little while; what was on its way may be lost, which is said at the next start."""
    monkeypatch.setattr(telling, "PATIENCE", 0.5)
    up = Told()
    memory = tmp_path / "alerts.json"
    with deaf() as url, Alerts(QUIET, (Receiver(Secret(url), 1), up), memory) as alerts:
        alerts.see(Path("/s/one"), "one", facts_of(FAILED), "id-one")
    assert up.titles == ["1 case failed"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("alert")]
    again = Told()
    teller = Teller(tmp_path, again, up)
    teller.now = time.time()
    teller.after(9000)
    assert again.titles == ["vipsync itself"]
    assert len(up.messages) == 1


def test_a_fault_in_one_alert_ends_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it is: it is ours, and is logged."""

    class Broken(Told):
        def send(self, _message: Message, _give_up: Callable[[], bool]) -> str:
            raise RuntimeError

    up = Told()
    with Alerts(QUIET, (Broken(), up), tmp_path / "alerts.json") as alerts:
        alerts.see(Path("/s/one"), "one", facts_of(FAILED), "id-one")
    assert up.titles == ["1 case failed"]
    assert "an alert failed unexpectedly" in caplog.text


def test_a_disk_that_comes_soon_is_not_told(tmp_path: Path, bench: Bench) -> None:
    """At a start a share may be mounted a little later; one that is away again a day after is new."""
    to = Told()
    teller = Teller(tmp_path, to)
    folders = FolderAlerts(teller.alerts, lambda root: root.name)
    folders.missing(bench.root, NotASession("It is not there."))
    study = bench.study(a="one")
    bench.rest()
    folders.session(study.session, status_now(study), None)
    teller.after(900)
    assert to.titles == []
    for _ in range(2):
        folders.missing(bench.root, NotASession("It is not there."))
        teller.after(900)
        teller.end()
        teller.start()
        folders = FolderAlerts(teller.alerts, lambda root: root.name)
        teller.now += FORGOTTEN_AFTER + 1
    assert to.titles == ["stopped"] * 2


# the command line


@pytest.mark.usefixtures("patient")
def test_a_disk_that_is_not_there_is_told_once_however_often_it_is_looked_for(
    call: Caller, served: Served, http: Http
) -> None:
    """A service that finds none of its folders is started again and again."""
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{served.root}/not/there"]\n')
    served.environ["VIPSYNC_NOTIFY"] = address(http)
    for _ in range(2):
        assert call("--config", config, "run").code == 1
    (body,) = http.bodies
    assert body["message"].startswith("there: stopped\n")


def test_a_file_of_addresses_is_read_only_where_it_is_private(tmp_path: Path) -> None:
    """An address can hold a password."""
    file = tmp_path / "urls"
    file.write_text("# mine\njson://127.0.0.1:1\n")
    machine = MachineSettings(notify=NotifySettings(urls=str(file)))
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="not yours alone"):
        receivers(machine, {})
    file.chmod(0o600)
    assert [receiver.name for receiver in receivers(machine, {})] == ["1 (json)"]
    file.write_text("# none\n")
    with pytest.raises(SettingsError, match="holds no address"):
        receivers(machine, {})


@pytest.mark.usefixtures("patient")
def test_run_tells_of_the_folders_of_the_machine(call: Caller, served: Served, http: Http) -> None:
    """`run --once` sends what it found before it ends; `notify --test` says by kind where that goes."""
    served.study("one", a="one")
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{served.root / "one"}"]\n[notify]\non = ["done"]\n')
    said = call("--config", config, "check")
    assert (said.code, "VIPSYNC_NOTIFY holds no address" in said.out) == (1, True)
    assert "No alerts are sent" in call("--config", config, "run", "--once").err
    served.study("two", a="one")
    config.write_text(config.read_text().replace("]", f', "{served.root / "two"}"]', 1))
    served.environ["VIPSYNC_NOTIFY"] = f"{address(http)} {address(http, '/hidden')}"
    for _ in range(2):
        assert call("--config", config, "run", "--once").code == 0
        assert len(http.bodies) == 2
    assert http.bodies[0]["message"].startswith("two: 1 case done\n")
    assert "1 (json), 2 (json)" in call("--config", config, "check").out
    said = call("--config", config, "notify", "--test")
    assert (said.code, said.out) == (0, "1 (json): sent.\n2 (json): sent.\n")
    assert "a test" in http.bodies[-1]["title"]
    assert "hidden" not in call("--config", config, "notify").out


@pytest.mark.nightly
def test_a_service_that_was_killed_says_so_when_it_is_back(served: Served, http: Http) -> None:
    """One that is told to stop, even twice, says nothing when it starts again."""
    root = served.study("one", a="one")
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{root}"]\n[notify]\non = ["stopped"]\nquiet = "1s"\n')
    served.environ["VIPSYNC_NOTIFY"] = address(http)
    ends = ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT], [signal.SIGKILL], [signal.SIGTERM])
    for number, end in enumerate(ends):
        (root / "STATUS.txt").unlink(missing_ok=True)
        with served.process("--config", config, "run") as process:
            wait_until((root / "STATUS.txt").exists)
            if number == len(ends) - 1:
                assert http.bodies == []
                wait_until(lambda: bool(http.bodies))
            for one in end:
                process.send_signal(one)
                time.sleep(0.3)  # a person's pace
            process.wait(30)
    (body,) = http.bodies
    assert "stopped without having been told to" in body["message"]
