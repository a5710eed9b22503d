"""`vipsync run` under a supervisor, and from cron: what it tells, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.served import Caller, Served, wait_until
from vipsync.folder.folder import SessionFolder
from vipsync.local import Kind
from vipsync.report.stream import Stream
from vipsync.run.supervision import Supervision, version_in


class Systemd:
    """The socket on which systemd is told how a service is."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.environ = {"NOTIFY_SOCKET": str(path)}
        self.told: list[str] = []

    def hear(self) -> list[str]:
        """Return everything that was told so far."""
        while True:
            try:
                self.told += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.told


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """Return one that listens."""
    made = Systemd(tmp_path / "notify")
    yield made
    made.socket.close()


def test_systemd_is_told_when_a_service_is_ready_and_ends(systemd: Systemd, served: Served) -> None:
    """Ready once it holds its folders and has looked at them; SIGTERM is a good end, and said to be one."""
    study = served.study(a="one")
    served.environ |= {**systemd.environ, "WATCHDOG_USEC": "2000000"}
    with served.process("run", study) as process:
        wait_until(lambda: "READY=1" in systemd.hear())
        assert SessionFolder(study).is_held()
        wait_until(lambda: any("1 of 1 case done" in line for line in systemd.hear()))
        wait_until(lambda: systemd.hear().count("WATCHDOG=1") > 2)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert systemd.hear()[-1] == "STOPPING=1"
    assert systemd.hear().count("READY=1") == 1
    assert not [line for line in systemd.told if "mrui" in line]


def test_without_systemd_a_signal_is_an_interruption(served: Served) -> None:
    """Whoever waits for it learns that it was not at its end."""
    study = served.study(a="one")
    with served.process("run", study) as process:
        wait_until(lambda: (study / "STATUS.txt").exists())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130


def test_a_watchdog_is_fed_by_finished_turns_alone(systemd: Systemd) -> None:
    """No turn, no sign of life; many turns, a few."""
    now = 0.0
    environ = {**systemd.environ, "WATCHDOG_USEC": "40000000", "WATCHDOG_PID": str(os.getpid())}
    supervision = Supervision(environ, lambda: now)
    for _ in range(40):
        supervision.turned("at work")
        now += 1
    assert systemd.hear() == ["READY=1", "WATCHDOG=1", "STATUS=at work", *["WATCHDOG=1"] * 3]


def test_a_long_turn_over_many_folders_is_alive(systemd: Systemd) -> None:
    """Each look that is finished is a sign of life; before the service is ready there is none to give."""
    now = 0.0
    supervision = Supervision({**systemd.environ, "WATCHDOG_USEC": "40000000"}, lambda: now)
    supervision.looked()
    assert systemd.hear() == []
    supervision.turned("at work")
    for _ in range(40):
        supervision.looked()
        now += 1
    assert systemd.hear()[3:] == ["WATCHDOG=1"] * 3


def test_the_version_that_runs_is_told_and_read_back(systemd: Systemd) -> None:
    """After an update the one that still runs is another than the one that is installed."""
    Supervision(systemd.environ, lambda: 0.0).turned("1 folder: 1 at rest.", "0.1.0")
    assert systemd.hear()[-1] == "STATUS=1 folder: 1 at rest. (vipsync 0.1.0)"
    assert version_in("1 folder: 1 at rest. (vipsync 0.1.0)") == "0.1.0"
    assert version_in("1 folder: 1 at rest.") == ""


def test_a_watchdog_of_another_process_is_not_fed(systemd: Systemd) -> None:
    """The variable is handed down to children."""
    environ = {**systemd.environ, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    Supervision(environ, lambda: 0.0).turned("at work")
    assert systemd.hear() == ["READY=1", "STATUS=at work"]


def test_where_nobody_listens_nothing_is_told() -> None:
    """A socket that is gone ends no work."""
    Supervision({}, lambda: 0.0).turned("at work")
    Supervision({"NOTIFY_SOCKET": "/not/there"}, lambda: 0.0).turned("at work")


# cron


def test_at_rest_a_run_from_cron_says_nothing(call: Caller, served: Served) -> None:
    """What is new is said once; what a person asks for with --verbose is said again."""
    study = served.study(a="one")
    assert "Everything is here" in call("run", "--once", study).out
    said = call("run", "--once", study)
    assert (said.code, said.out, said.err) == (0, "", "")
    assert "Everything is here" in call("--verbose", "run", "--once", study).out
    (study / "inputs" / "b.mrui").write_text("two")
    assert "2 cases done" in call("run", "--once", study).out


def test_what_needs_a_person_is_said_once_to_cron(call: Caller, served: Served) -> None:
    """The exit code tells each time; the mail comes when it is new, and when it is over."""
    study = served.study(a="one")
    served.world.faults.arm(Kind.JOB_FAILS)
    said = call("run", "--once", study)
    assert (said.code, "needs you: a.mrui" in said.out) == (3, True)
    said = call("run", "--once", study)
    assert (said.code, said.out) == (3, "")
    assert call("rerun", "--yes", study, "--failed").code == 0
    assert call("run", "--once", study).out == ""


# without a systemd of one's own


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
def test_where_no_systemd_answers_nothing_is_written(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under su or in a container: it is said what to do instead."""
    for variable in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    config = served.root / "config" / "vipsync" / "vipsync.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'folders = ["{served.root}"]\n')
    said = call("--config", config, "service", "install")
    assert said.code == 1
    assert "`systemctl --user daemon-reload` failed: " in said.err
    assert "service install --system" in said.err
    assert not (served.root / "config" / "systemd").exists()
    said = call("service")
    assert (said.code, "No service is installed" in said.out) == (3, True)


ALERTS = [
    ("~/alerts", "sudo install -D -m 0600 -o vipsync /dev/stdin /etc/vipsync/alerts\n"),
    ("MY_ALERTS", "the service does not see MY_ALERTS."),
    ("/etc/vipsync/mine", "sudo chown vipsync /etc/vipsync/mine && "),
]


@pytest.mark.parametrize(("urls", "said"), ALERTS)
def test_a_facility_is_told_how_its_alerts_arrive(
    call: Caller, served: Served, urls: str, said: str
) -> None:
    """The service sees neither a variable of a shell nor a file of somebody's home."""
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{served.root}"]\n[notify]\nurls = "{urls}"\n')
    assert said in call("--config", config, "service", "install", "--system").out


def test_what_a_facility_is_to_copy_is_whole(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell takes it as it stands, the unit included, however narrow the terminal is."""
    monkeypatch.setattr(Stream, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "40")
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{served.root}"]\n')
    said = call("--config", config, "service", "install", "--system").out
    subprocess.run(["bash", "-n"], input=said, text=True, check=True)
    lines = said.splitlines()
    assert "# Alerts" not in said
    assert next(line for line in lines if line.startswith("sudo usermod -aG ")).endswith(" vipsync")
    begin, end = lines.index("[Unit]"), lines.index("END_OF_UNIT")
    assert all(
        "=" in line or line in ("", "[Unit]", "[Service]", "[Install]") for line in lines[begin:end]
    )


@pytest.mark.parametrize("of", ["session", "station", "another", "stranger"])
def test_a_facilitys_own_portal_is_named_in_its_unit(call: Caller, served: Served, of: str) -> None:
    """Else the key would be meant for no portal but VIP's own; a portal that nobody confirmed is not."""
    folder, mine = served.root / "site", "https://vip.site.test"
    root = folder / ("scanner/template" if of == "station" else "study")
    root.mkdir(parents=True)
    (root / "settings.toml").write_text(f'portal = "{mine}"\n')
    if of == "station":
        (root.parent / "station.toml").write_text('[station]\nexports = ["/export"]\n')
    if of == "another":
        (folder / "other").mkdir()
        (folder / "other" / "settings.toml").write_text('portal = "https://vip.other.test"\n')
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{folder}"]\n')
    environ = {} if of == "stranger" else {"VIP_PORTAL_URL": f"{mine}/"}
    said = call("--config", config, "service", "install", "--system", environ=environ).out
    named = of in ("session", "station")
    assert (f"Environment=VIP_PORTAL_URL={mine}\n" in said) is named


def test_a_unit_is_printed_for_folders_of_another_machine(call: Caller, served: Served) -> None:
    """What is not there yet, or is broken, keeps nobody from looking at the unit."""
    broken = served.root / "site" / "scanner"
    broken.mkdir(parents=True)
    (broken / "station.toml").write_text("no TOML")
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["/srv/of-another-machine", "{broken.parent}"]\n')
    said = call("--config", config, "service", "install", "--system").out
    assert "[Unit]" in said
    assert "VIP_PORTAL_URL" not in said


def test_a_facility_names_whole_paths(call: Caller, served: Served) -> None:
    """`~` is another folder for the account of the service."""
    config = served.root / "vipsync.toml"
    config.write_text('folders = ["~/studies"]\n')
    said = call("--config", config, "service", "install", "--system")
    assert said.code == 1
    assert "Write whole paths" in said.err
    assert call("service", "start", "--system").code == 2
