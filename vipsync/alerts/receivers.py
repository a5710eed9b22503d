"""Where alerts go: addresses for apprise, from a variable or a private file; shown nowhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from vipsync.alerts.facts import Message
from vipsync.alerts.sending import NOT_UNDERSTOOD, TAKEN, Letter
from vipsync.disk.files import opened_file
from vipsync.errors import SettingsError, VipsyncError
from vipsync.model import MachineSettings, NotifySettings, Secret
from vipsync.results.previews import HANDED_ON
from vipsync.settings.machine import urls_file

SECONDS = 60.0
"""Seconds after which a message that was not taken is given up."""

_LOOK = 0.1
_LONGEST = 65_536
_KIND = re.compile(r"[a-z][a-z0-9]{0,19}(?=://)")
_WAY_OUT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_ENVIRON = (*HANDED_ON, *_WAY_OUT, *map(str.lower, _WAY_OUT[:3]), "REQUESTS_CA_BUNDLE")
_TROUBLES = {
    TAKEN: "",
    NOT_UNDERSTOOD: "this is no address that apprise understands.",
    None: "it did not answer.",
}
_PROGRAM = (sys.executable, "-P", "-m", "vipsync.alerts.sending")


class Receiver:
    """One address; nothing that is raised or logged says which. It is sent to by a process of its own."""

    def __init__(self, url: Secret, number: int) -> None:
        self._url, self._number = url, number

    @property
    def name(self) -> str:
        """Say which one it is by its place in the list and its kind: no more of it may be shown."""
        kind = _KIND.match(self._url.reveal().lower())
        return f"{self._number} ({kind[0] if kind else '?'})"

    def send(self, message: Message, give_up: Callable[[], bool] = lambda: False) -> str:
        """Send; return why that was not possible, empty where the message was taken."""
        try:
            code = self._ended(message, give_up)
        except (
            OSError,
            ValueError,
        ):  # no process to be had, or bytes that are no text: say neither
            return "it could not be sent to from this machine."
        return _TROUBLES.get(code, "it could not be reached, or did not take it.")

    def _ended(self, message: Message, give_up: Callable[[], bool]) -> int | None:
        """Return the exit code of the process that sends; None where it does not end in time."""
        letter = Letter(self._url.reveal(), message.title, message.text, message.kind)
        with subprocess.Popen(  # noqa: S603 - our own words; the address goes through a pipe
            _PROGRAM,
            env={name: os.environ[name] for name in _ENVIRON if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        ) as process:
            try:
                _hand_over(process, msgspec.json.encode(letter))
                return _code(process, give_up)
            finally:
                process.kill()


def _hand_over(process: subprocess.Popen[bytes], letter: bytes) -> None:
    with suppress(BrokenPipeError):  # it ended already: its exit code says so
        if process.stdin:
            process.stdin.write(letter)
            process.stdin.close()


def _code(process: subprocess.Popen[bytes], give_up: Callable[[], bool]) -> int | None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not give_up():
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK)
    return None


def receivers(machine: MachineSettings, environ: Mapping[str, str]) -> list[Receiver]:
    """Return where alerts go; none where nobody asked for alerts. Raise VipsyncError."""
    file = urls_file(machine)
    text = _read(file) if file else Secret(environ.get(machine.notify.urls, ""))
    lines = [line for line in text.reveal().splitlines() if not line.strip().startswith("#")]
    urls = [Secret(word) for line in lines for word in line.split()]
    if not urls and machine.notify != NotifySettings():
        raise SettingsError(
            f"notify.urls: {file or machine.notify.urls} holds no address for alerts.",
            "Put one apprise address on each line of it.",
        )
    if urls:
        _require_apprise()
    return [Receiver(url, number) for number, url in enumerate(urls, 1)]


def _require_apprise() -> None:
    if importlib.util.find_spec("apprise") is None:
        raise VipsyncError(
            "Alerts cannot be sent: apprise is missing.",
            "Install it with: pip install 'vipsync[notify]'",
        )


def _read(path: Path) -> Secret:
    """Read a file of this account's own that nobody else may read."""
    try:
        with opened_file(path) as file:
            info = os.fstat(file.fileno())
            text = Secret(file.read(_LONGEST).decode("utf-8-sig", "replace"))
    except OSError as error:
        raise SettingsError(
            f"notify.urls: {path} cannot be read: {error.strerror}.", "Make it, or mend its name."
        ) from None
    if os.name == "posix" and (info.st_mode & 0o077 or info.st_uid != os.geteuid()):
        raise SettingsError(
            f"notify.urls: {path} is not yours alone, and is not used.", f"chmod 600 '{path}'"
        )
    return text
