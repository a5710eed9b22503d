"""Where alerts go: addresses for apprise, from a variable or a private file; shown nowhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from vipsync.alerts.facts import Message
from vipsync.disk.files import opened_file
from vipsync.errors import SettingsError, VipsyncError
from vipsync.model import MachineSettings, NotifySettings, Secret
from vipsync.settings.machine import urls_file

_LONGEST = 65_536
_LOUD = ("apprise", "urllib3", "requests")
"""Loggers whose lines could hold an address."""


class Receiver:
    """One address; nothing that is raised or logged says which."""

    def __init__(self, url: Secret) -> None:
        self._url = url

    @property
    def kind(self) -> str:
        """Return what kind of receiver it is, which is all that may be shown of it."""
        return urlsplit(self._url.reveal()).scheme[:20] or "?"

    def send(self, message: Message) -> bool:
        """Send; tell whether it was taken. Waits for the network."""
        from apprise import Apprise, AppriseAsset, NotifyFormat, PersistentStoreMode

        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        asset = AppriseAsset(
            app_id="vipsync", storage_mode=PersistentStoreMode.MEMORY, async_mode=False
        )
        to = Apprise(asset=asset)
        try:
            return to.add(self._url.reveal()) and bool(
                to.notify(message.text, message.title, body_format=NotifyFormat.TEXT)
            )
        except Exception:  # a plugin of somebody else's: whatever it raises may hold the address
            return False


def receivers(machine: MachineSettings, environ: Mapping[str, str]) -> list[Receiver]:
    """Return where alerts go; none where the default variable is not set. Raise VipsyncError."""
    file, variable = urls_file(machine), machine.notify.urls
    text = _read(file) if file else Secret(environ.get(variable, ""))
    lines = (line.strip() for line in text.reveal().splitlines())
    urls = [Secret(w) for line in lines if not line.startswith("#") for w in line.split()]
    if not urls and variable != NotifySettings().urls:
        raise SettingsError(f"notify.urls: {file or variable} holds no address for alerts.")
    if urls:
        _require_apprise()
    return list(map(Receiver, urls))


def _require_apprise() -> None:
    from importlib.util import find_spec

    if find_spec("apprise") is None:
        raise VipsyncError(
            "Alerts cannot be sent: apprise is missing.",
            "Install it with: pip install 'vipsync[notify]'",
        )


def _read(path: Path) -> Secret:
    """Read a file of this account's own that nobody else may read."""
    try:
        with opened_file(path) as file:
            info = os.fstat(file.fileno())
            if os.name == "posix" and (info.st_mode & 0o077 or info.st_uid != os.geteuid()):
                raise SettingsError(
                    f"notify.urls: {path} is not yours alone, and is not used.",
                    f"chmod 600 '{path}'",
                )
            return Secret(file.read(_LONGEST).decode("utf-8-sig", "replace"))
    except OSError as error:
        raise SettingsError(f"notify.urls: {path} cannot be read: {error.strerror}.") from None
