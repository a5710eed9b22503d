"""A real systemd boots the service that `vipsync service install --system` prints, on this machine's own tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lab.served import KEY, ROOT, SETTINGS, serve

pytestmark = pytest.mark.nightly

ACCOUNT = 987
"""The number of the service's account in the container."""

DRIVER = """\
[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
TimeoutStartSec=180
ExecStart=/bin/sh -eu /given/driver.sh
"""

FASTER = """\
[Service]
RestartSec=1
WatchdogSec=4
TimeoutAbortSec=2
"""
"""What nobody can wait for in a test; all else is as it is printed."""

BEGIN = """\
exec >/out/log 2>&1
say() { echo "$1=$2" >> /out/told; }
property() { systemctl show vipsync --property "$1" --value; }
reach() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -lt 300 ] || { say missed "$1"; exit 1; }; sleep 0.1; done; }
echo "vipsync:x:ACCOUNT:ACCOUNT::/var/lib/vipsync:/usr/sbin/nologin" >> /etc/passwd
echo "vipsync:x:ACCOUNT:" >> /etc/group
"""

FACILITY = """\
install -D -m 0600 /given/key /etc/vipsync/api_key
install -D -m 0644 /given/vipsync.toml /etc/vipsync/vipsync.toml
install -D -m 0644 /given/vipsync.service /etc/systemd/system/vipsync.service
install -D -m 0644 /given/faster.conf /etc/systemd/system/vipsync.service.d/faster.conf
systemctl daemon-reload
systemctl enable --now vipsync.service
say started "$(property ActiveState)"
reach '[ -f /srv/share/group/one/outputs/*/a.mrui.tgz/a.txt ]'
pid=$(property MainPID)
say account "$(stat -c %u /proc/$pid)"
tr '\\0' ' ' < /proc/$pid/cmdline > /out/cmdline
tr '\\0' '\\n' < /proc/$pid/environ > /out/environ
reach 'property StatusText | grep -q "1 of 1 case done"'
say status "$(property StatusText)"
HOME=/root PYTHON -P -m vipsync service > /out/seen
kill -9 $pid
reach '[ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ]'
say killed "$(property Result)"
echo two > /srv/share/group/one/inputs/b.mrui
reach '[ -f /srv/share/group/one/outputs/*/b.mrui.tgz/b.txt ]'
pid=$(property MainPID)
kill -STOP $pid
reach '[ "$(property NRestarts)" = 2 ] && [ "$(property ActiveState)" = active ]'
journalctl -u vipsync -o cat --no-pager > /out/journal
say watchdog "$(grep -c 'Watchdog timeout' /out/journal)"
systemctl stop vipsync.service
say result "$(property Result)"
say code "$(property ExecMainStatus)"
say state "$(property ActiveState)"
journalctl -u vipsync -o cat --no-pager > /out/journal
"""


PERSON = """\
chmod go+x /root
install -d -o vipsync -g vipsync -m 0700 /run/user/ACCOUNT /var/lib/vipsync
install -D -m 0644 /given/manager.service /etc/systemd/system/manager.service
systemctl daemon-reload
systemctl start manager.service
person() { setpriv --reuid ACCOUNT --regid ACCOUNT --clear-groups env -i PATH="$PATH" HOME=/var/lib/vipsync XDG_RUNTIME_DIR=/run/user/ACCOUNT "$@"; }
vipsync() { person PYTHON -P -m vipsync --portal URL "$@"; }
vipsync login < /given/key
install -D -o vipsync -m 0644 /given/vipsync.toml /var/lib/vipsync/.config/vipsync/vipsync.toml
vipsync service > /out/before || true
vipsync service install > /out/install
reach '[ -f /srv/share/group/one/outputs/*/a.mrui.tgz/a.txt ]'
vipsync service > /out/running
person systemctl --user show vipsync --property MainPID --value > /out/pid
say enabled "$(person systemctl --user is-enabled vipsync)"
vipsync service stop
say result "$(person systemctl --user show vipsync --property Result --value)"
code=0; vipsync service > /out/stopped || code=$?
say code $code
vipsync service start
vipsync service uninstall
say left "$(ls /var/lib/vipsync/.config/systemd/user)"
code=0; person systemctl --user is-active vipsync || code=$?
say active $code
"""

MANAGER = """\
[Service]
User=vipsync
Type=notify
Delegate=yes
Environment=XDG_RUNTIME_DIR=/run/user/ACCOUNT HOME=/var/lib/vipsync
ExecStart=/lib/systemd/systemd --user
"""
"""A person's own systemd, as a login would start it."""


def skip_where_nothing_boots() -> None:
    """Skip where this machine cannot boot another systemd."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root on Linux boots a container")
    if Path(sys.prefix).is_relative_to("/tmp") or ROOT.is_relative_to("/tmp"):
        pytest.skip("a service has a /tmp of its own, and this clone lies in /tmp")
    for program in ("systemd-nspawn", "systemd-analyze"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt install systemd-container)")


def printed_unit(tmp_path: Path, url: str) -> str:
    """Return the unit that a facility is given for /srv/share."""
    config = str(tmp_path / "given/vipsync.toml")
    words = [sys.executable, "-m", "vipsync", "--config", config]
    words += ["--portal", url, "service", "install", "--system"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout
    return said[said.index("[Unit]") : said.index("END_OF_UNIT\n#")]


def boot(tmp_path: Path, script: str, **files: str) -> Mapping[str, str]:
    """Boot this machine's own tree, let a script run there with these files; return what it told."""
    given, out = tmp_path / "given", tmp_path / "out"
    out.mkdir()
    files |= {"driver.service": DRIVER, "driver.sh": BEGIN + script, "key": KEY + "\n"}
    for name, text in files.items():
        (given / name).write_text(text.replace("ACCOUNT", str(ACCOUNT)))
    binds = [f"--bind-ro={path}" for path in {sys.base_prefix, sys.prefix, str(ROOT)}]
    binds += [f"--bind-ro={given}:/given", f"--bind={out}:/out"]
    binds += [f"--bind={tmp_path / 'share'}:/srv/share"]
    binds += [f"--bind-ro={given / 'driver.service'}:/etc/systemd/system/driver.service"]
    quiet = ["systemd.firstboot=no", "systemd.unit=driver.service"]
    words = ["systemd-nspawn", "--volatile=yes", "-D", "/", "--register=no", "--keep-unit"]
    with (tmp_path / "console").open("w") as console:
        subprocess.run(
            [*words, *binds, "-b", *quiet],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            timeout=240,
            check=False,
        )
    told = out / "told"
    lines = told.read_text().splitlines() if told.exists() else []
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Make a session folder of the service's account, two levels below what its settings name."""
    skip_where_nothing_boots()
    study = tmp_path / "share" / "group" / "one"
    (study / "inputs").mkdir(parents=True)
    (study / "settings.toml").write_text(SETTINGS.replace("{name}", "one"))
    (study / "inputs" / "a.mrui").write_text("one")
    for path in (tmp_path / "share", *(tmp_path / "share").rglob("*")):
        os.chown(path, ACCOUNT, ACCOUNT)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "vipsync.toml").write_text('folders = ["/srv/share"]\n')
    return study


def spoken(tmp_path: Path) -> str:
    """Return what explains a failure."""
    paths = (tmp_path / "console", tmp_path / "out/log", tmp_path / "out/journal")
    return "".join(f"\n== {path}\n{path.read_text()}" for path in paths if path.exists())


@pytest.mark.timeout(300)
def test_a_real_systemd_starts_watches_and_stops_the_service(tmp_path: Path, study: Path) -> None:
    """Results in seconds; back after a kill; a stopped process is given up; a good end; no key anywhere."""
    with serve(tmp_path / "host", key=KEY) as served:
        unit = {"vipsync.service": printed_unit(tmp_path, served.url), "faster.conf": FASTER}
        told = boot(tmp_path, FACILITY.replace("PYTHON", sys.executable), **unit)
        launches = served.launches()
    assert told.get("result") == "success", f"{told}{spoken(tmp_path)}"
    assert (told["started"], told["state"], told["code"]) == ("active", "inactive", "0")
    assert told["account"] == str(ACCOUNT)
    assert re.fullmatch(r"1 folder: .* 1 of 1 case done\..* \(vipsync [\d.]+\)", told["status"])
    assert "Running. 1 folder: " in (tmp_path / "out/seen").read_text()
    assert int(told["watchdog"]) >= 1
    assert launches == 2
    journal = (tmp_path / "out/journal").read_text()
    assert "one: Everything is here" in journal
    assert not re.search(r"^\d{4}-\d\d-\d\d ", journal, re.M)  # the journal has times of its own
    assert "--api-key-file" in (tmp_path / "out/cmdline").read_text()
    for path in [*(tmp_path / "out").iterdir(), *(tmp_path / "share").rglob("*")]:
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.timeout(300)
def test_a_persons_own_systemd_runs_what_they_install(tmp_path: Path, study: Path) -> None:
    """Install, status, stop, start and uninstall, as they are called; what lingering is for is said."""
    with serve(tmp_path / "host", key=KEY) as served:
        script = PERSON.replace("PYTHON", sys.executable).replace("URL", served.url)
        told = boot(tmp_path, script, **{"manager.service": MANAGER})
    assert told.get("result") == "success", f"{told}{spoken(tmp_path)}"
    said = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert "No service is installed" in said["before"]
    assert "loginctl enable-linger" in said["install"]
    assert said["running"].startswith("Running. 1 folder: ")
    assert said["stopped"] == "Not running: `vipsync service start`.\n"
    assert (told["enabled"], told["code"], told["left"]) == ("enabled", "3", "")
    assert told["active"] != "0"
    assert any((study / "outputs").glob("*/a.mrui.tgz/a.txt"))


def test_the_printed_unit_is_in_order_and_confined(tmp_path: Path) -> None:
    """`systemd-analyze verify` says nothing, `security` finds an exposure of 2.5 at most."""
    skip_where_nothing_boots()
    (tmp_path / "given").mkdir()
    folders = ["/srv/share", "/home/ada/my study"]
    (tmp_path / "given/vipsync.toml").write_text(f"folders = {folders}\n")
    unit = tmp_path / "vipsync.service"
    unit.write_text(printed_unit(tmp_path, "https://vip.creatis.insa-lyon.fr"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for vipsync.service: ([\d.]+)", said.stdout)
    assert found
    assert float(found[1]) <= 2.5
