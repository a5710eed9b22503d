"""Have the system start vipsync at boot: install, uninstall, start, stop, status, log."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from vipsync.commands.context import Context, machine_folders
from vipsync.disk.files import make_folder, write_atomic
from vipsync.errors import SettingsError, VipsyncError
from vipsync.folder.search import find_roots, find_stations
from vipsync.model import PORTAL, NotifySettings, replace
from vipsync.names import shell_word
from vipsync.report.text import printable
from vipsync.run.supervision import version_in
from vipsync.service import launchd, systemd, windows
from vipsync.service.program import NAME, Program
from vipsync.settings.keys import KEY_VARIABLE, Keys, is_variable, kept_path
from vipsync.settings.reading import load
from vipsync.station.settings import load as load_station


def service(context: Context, action: str, *, follow: bool) -> int:
    """Do what is asked with the service of this account."""
    return _of_this_system(context).do(action, follow=follow)


def print_system(context: Context) -> int:
    """Print the unit of a facility, and what a person with root's rights does; change nothing."""
    settings, folders = context.machine_file, machine_folders(context)
    if any(folder.startswith("~") for folder in context.machine().folders):
        raise SettingsError(
            f"{settings}: a folder begins with ~, which is another one for a service.",
            "Write whole paths, from / on.",
        )
    program = _program(context, systemd.SETTINGS, folders)
    unit = systemd.system_unit(replace(program, portal=_portal(context, folders)))
    steps = systemd.STEPS.format(
        settings=shell_word(settings),
        groups=_groups(folders),
        alerts=_alerts(context.machine().notify, context.environ),
        unit=unit,
    )
    context.reporter.to_copy(steps.rstrip())
    return 0


def _portal(context: Context, folders: Sequence[Path]) -> str:
    """Return the portal of all folders, "" for VIP's own, for several, and where this account has no key for it."""
    found = set(_portals(context, folders))
    if len(found) != 1 or found == {PORTAL}:
        return ""
    (portal,) = found
    known = Keys(context.environ, portal=context.portal).names(portal)
    return portal if known or kept_path(portal).exists() else ""


def _portals(context: Context, folders: Sequence[Path]) -> Iterator[str]:
    """Yield the portal of each session, and of the template of each station."""
    for folder in filter(Path.is_dir, folders):  # the unit may be for another machine
        stations = set(find_stations(folder))
        for root in (*find_roots(folder, of_stations=False), *stations):
            with suppress(VipsyncError):  # `check` says what is wrong there
                made = root / load_station(root).template if root in stations else root
                yield load(made, context.overrides, context.environ).portal


def _groups(folders: Sequence[Path]) -> str:
    """Return the groups of folders; a word in their stead where that is unknown, or root's."""
    names: list[str] = []
    for folder in folders:
        with suppress(OSError, KeyError, NotImplementedError):
            names.append(folder.group())
    known = dict.fromkeys(shell_word(name) for name in names if name != "root")
    return ",".join(known) or "GROUP"


def _alerts(notify: NotifySettings, environ: Mapping[str, str]) -> str:
    """Say how alerts reach their receivers from the account of the service; empty where none are sent."""
    if notify == NotifySettings() and not environ.get(notify.urls):
        return ""
    urls = printable(notify.urls)
    if is_variable(notify.urls) or notify.urls.startswith("~"):
        return systemd.OTHER_ALERTS.format(urls=urls)
    return systemd.OWN_ALERTS.format(urls=urls, file=shell_word(notify.urls))


def _program(context: Context, config: str, folders: Sequence[Path]) -> Program:
    options = [*(("--config", config) if config else ())]
    options += ("--portal", context.portal) if context.portal else ()
    code = {sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[2])}
    command = (sys.executable, "-P", "-m", "vipsync")  # -P: no module of the folder one starts in
    return Program(command, tuple(options), tuple(map(str, folders)), tuple(sorted(code)))


def _own_program(context: Context) -> Program:
    """Return the program for this account's own service; raise where vipsync.toml is not in order."""
    folders = machine_folders(context)
    config = str(context.config.absolute()) if context.config else ""
    if context.environ.get(KEY_VARIABLE):
        context.reporter.warn(
            f"A service does not see {KEY_VARIABLE} of this shell: `vipsync login` keeps a key for it."
        )
    return _program(context, config, folders)


class Manager:
    """What starts programs on a system: one method for each action."""

    note = ""

    def __init__(self, context: Context) -> None:
        self._context = context

    def do(self, action: str, *, follow: bool) -> int:
        """Do one thing."""
        match action:
            case "install":
                return self._install(_own_program(self._context))
            case "uninstall":
                return self._uninstall()
            case "start":
                return self._start()
            case "stop":
                return self._stop()
            case "log":
                return self._log(follow=follow)
            case _:
                return self._status()

    def _install(self, program: Program) -> int:
        """Write the file, and have the system start it now and at boot."""
        raise NotImplementedError

    def _uninstall(self) -> int:
        """Stop it, and take the file away."""
        raise NotImplementedError

    def _start(self) -> int:
        """Start it now."""
        raise NotImplementedError

    def _stop(self) -> int:
        """Stop it now."""
        raise NotImplementedError

    def _status(self) -> int:
        """Say whether it runs."""
        raise NotImplementedError

    def _log(self, *, follow: bool) -> int:
        """Show what it said, which is in the logs of its folders."""
        from vipsync.commands.log import show

        return show(self._context, machine_folders(self._context), follow=follow)

    def _say(self, text: str) -> int:
        self._context.reporter.say(text)
        return 0


def call(*words: str, remedy: str = "") -> str:
    """Call a program of the system; raise VipsyncError with what it said where it failed."""
    done = ask(*words)
    if done.returncode:
        said = printable(" ".join((done.stderr or done.stdout).split()))
        line = " ".join(map(shell_word, words))
        raise VipsyncError(f"`{line}` failed: {said.rstrip('.') or done.returncode}.", remedy)
    return done.stdout


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    """Call a program of the system, whatever comes of it."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    except OSError as error:
        raise VipsyncError(
            f"{words[0]} cannot be called: {error.strerror}.",
            f"`{NAME} run` needs no service; a facility's unit is printed by `{NAME} service install --system`.",
        ) from None


class Systemd(Manager):
    """A unit of this account's own systemd."""

    @property
    def _unit(self) -> Path:
        home = self._context.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(home) / "systemd" / "user" / systemd.UNIT

    def _install(self, program: Program) -> int:
        _systemctl("daemon-reload")  # where there is none, nothing is written
        make_folder(self._unit.parent)
        write_atomic(self._unit, systemd.user_unit(program).encode())
        _systemctl("daemon-reload")
        _systemctl("enable", systemd.UNIT)
        _systemctl("restart", systemd.UNIT)
        self._say(f"{self._unit} is written, and vipsync runs now.")
        if _lingers():
            self._say("It starts again whenever this machine does.")
        else:
            self._say(
                "It stops when you log out, and starts when you log in. To let it run from boot on:"
            )
            self._context.reporter.to_copy("  loginctl enable-linger")
        return 0

    def _uninstall(self) -> int:
        if not self._unit.exists():
            return self._say("No service is installed for this account.")
        ask("systemctl", "--user", "disable", "--now", systemd.UNIT)
        wanted = self._unit.parent / "default.target.wants" / systemd.UNIT
        for path in (wanted, self._unit):  # also where no systemd runs that could do it
            path.unlink(missing_ok=True)
        ask("systemctl", "--user", "daemon-reload")
        return self._say(
            "Stopped, and will not start any more. Folders and settings are as they were."
        )

    def _start(self) -> int:
        _systemctl("start", systemd.UNIT)
        return self._status()

    def _stop(self) -> int:
        _systemctl("stop", systemd.UNIT)
        return self._say(
            "Stopped; it starts again when this machine does, or when you log in; or by "
            "`vipsync service start`."
        )

    def _status(self) -> int:
        if self._unit.exists():
            return self._tell(_properties("--user"), "`vipsync service stop`, then `start`")
        found = _properties("--system")
        if found.get("LoadState") == "loaded":
            self._say("The service of this machine, for all accounts:")
            return self._tell(found, f"`sudo systemctl restart {NAME}`")
        self._say("No service is installed for this account: `vipsync service install`.")
        return 3

    def _tell(self, found: Mapping[str, str], again: str) -> int:
        """Say how a service is, and how it starts again where an older version still runs."""
        self._say(_state(found))
        running, installed = version_in(found.get("StatusText", "")), version(NAME)
        if running and running != installed:
            self._say(f"It runs as version {running}, and {installed} is installed: {again}.")
        return 0 if found.get("ActiveState") in _UP else 3

    def _log(self, *, follow: bool) -> int:
        words = ["journalctl", "--user", "--unit", systemd.UNIT, "--no-pager"]
        return subprocess.run([*words, *(["--follow"] if follow else [])], check=False).returncode  # noqa: S603 - our own words


_UP = ("active", "activating")
_ASKED = "LoadState,ActiveState,Result,StatusText"


def _properties(whose: str) -> dict[str, str]:
    """Return what a systemd knows of the service; nothing where it cannot be asked."""
    said = ask("systemctl", whose, "show", systemd.UNIT, "--property", _ASKED).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def _state(found: Mapping[str, str]) -> str:
    state, said = found.get("ActiveState", "unknown"), found.get("StatusText", "")
    if state in _UP:
        return f"Running. {printable(said)}".rstrip()
    if state == "failed":
        return f"It failed ({found.get('Result', '')}): `vipsync service log` says why."
    return "Not running: `vipsync service start`."


def _systemctl(*words: str) -> str:
    remedy = (
        "Your systemd is there once you have logged in as yourself, not by su or sudo; "
        f"a machine that nobody logs in to takes `{NAME} service install --system`."
    )
    return call("systemctl", "--user", *words, remedy=remedy)


def _lingers() -> bool:
    done = ask("loginctl", "show-user", getpass.getuser(), "--property", "Linger", "--value")
    return done.stdout.strip() == "yes"


class Launchd(Manager):
    """An agent of this account on macOS."""

    @property
    def _plist(self) -> Path:
        return Path.home() / "Library" / "LaunchAgents" / launchd.PLIST

    @property
    def _domain(self) -> str:
        return f"gui/{os.getuid()}"

    def _install(self, program: Program) -> int:
        from platformdirs import user_log_path

        errors = user_log_path(NAME) / "service.log"
        make_folder(errors.parent)
        make_folder(self._plist.parent)
        write_atomic(self._plist, launchd.agent(program, str(errors)))
        ask("launchctl", "bootout", f"{self._domain}/{launchd.LABEL}")
        call("launchctl", "bootstrap", self._domain, str(self._plist))
        return self._say(
            f"{self._plist} is written, and vipsync runs now; it starts again when you log in."
        )

    def _uninstall(self) -> int:
        ask("launchctl", "bootout", f"{self._domain}/{launchd.LABEL}")
        self._plist.unlink(missing_ok=True)
        return self._say(
            "Stopped, and will not start any more. Folders and settings are as they were."
        )

    def _start(self) -> int:
        ask("launchctl", "bootstrap", self._domain, str(self._plist))
        call("launchctl", "kickstart", f"{self._domain}/{launchd.LABEL}")
        return self._say("Started.")

    def _stop(self) -> int:
        call("launchctl", "bootout", f"{self._domain}/{launchd.LABEL}")
        return self._say("Stopped; it starts again when you log in, or by `vipsync service start`.")

    def _status(self) -> int:
        done = ask("launchctl", "print", f"{self._domain}/{launchd.LABEL}")
        running = "state = running" in done.stdout
        self._say("Running." if running else "Not running: `vipsync service start`.")
        return 0 if running else 3


class TaskScheduler(Manager):
    """A task of this account on Windows."""

    note = "The authors have not tried this on Windows yet: please tell them how it went."

    def _install(self, program: Program) -> int:
        user = f"{os.environ.get('USERDOMAIN', '.')}\\{getpass.getuser()}"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "task.xml"
            file.write_bytes(windows.task(program, user))
            call("schtasks", "/Create", "/F", "/TN", windows.TASK, "/XML", str(file))
        call("schtasks", "/Run", "/TN", windows.TASK)
        self._say(
            "The task `vipsync` is made, and runs now; it starts again when this machine does."
        )
        return self._say(self.note)

    def _uninstall(self) -> int:
        ask("schtasks", "/End", "/TN", windows.TASK)
        call("schtasks", "/Delete", "/F", "/TN", windows.TASK)
        return self._say(
            "Stopped, and will not start any more. Folders and settings are as they were."
        )

    def _start(self) -> int:
        call("schtasks", "/Run", "/TN", windows.TASK)
        return self._say("Started.")

    def _stop(self) -> int:
        call("schtasks", "/End", "/TN", windows.TASK)
        return self._say(
            "Stopped; it starts again when this machine does, or by `vipsync service start`."
        )

    def _status(self) -> int:
        return self._say(call("schtasks", "/Query", "/TN", windows.TASK, "/FO", "LIST").strip())


def _of_this_system(context: Context) -> Manager:
    if sys.platform == "win32":
        return TaskScheduler(context)
    if sys.platform == "darwin":
        return Launchd(context)
    if shutil.which("systemctl") is None:
        raise VipsyncError(
            "This system has no systemd, and no other service is known here.",
            "A line of cron does as well: see `In the background` in the README.",
        )
    return Systemd(context)
