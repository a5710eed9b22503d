"""vipsync.toml → MachineSettings: the folders of this machine, and what holds for all of them.

Read by the same schema as settings.toml (`reading.py`), with the same words for its mistakes. It holds
no secrets: where alerts go stands in a variable, or in a file of its own.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_path

from vipsync.disk.files import read_small
from vipsync.errors import SettingsError
from vipsync.model import MachineSettings
from vipsync.settings.keys import is_variable
from vipsync.settings.reading import Schema, contains
from vipsync.settings.values import MACHINE_CHECKS

_SCHEMA = Schema(MachineSettings, MACHINE_CHECKS)


def machine_file() -> Path | None:
    """Return where this account's vipsync.toml lies or would lie; None where it has no home."""
    with suppress(RuntimeError):
        if (folder := user_config_path("vipsync")).is_absolute():
            return folder / MachineSettings.SOURCE
    return None


def load_machine(path: Path) -> MachineSettings:
    """Read a vipsync.toml; raise SettingsError where it is not there, or has mistakes."""
    try:
        data = read_small(path.resolve())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None
    machine = parse_machine(data, str(path))
    _refuse_urls_inside(machine, str(path))
    return machine


def parse_machine(text: bytes, source: str = MachineSettings.SOURCE) -> MachineSettings:
    """Make settings of the text of vipsync.toml; all its mistakes are told at once."""
    return _SCHEMA.parse(text, source)


def folders_of(machine: MachineSettings) -> list[Path]:
    """Return the folders, each once, `~` replaced by this account's home."""
    return list(dict.fromkeys(_path(folder) for folder in machine.folders))


def urls_file(machine: MachineSettings) -> Path | None:
    """Return the file that holds where alerts go; None where that is a variable."""
    return None if is_variable(machine.notify.urls) else _path(machine.notify.urls)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{text}: no home folder is known for this ~.") from None


def _refuse_urls_inside(machine: MachineSettings, source: str) -> None:
    file = urls_file(machine)
    folders = folders_of(machine)
    if file and any(contains(folder.resolve(), file.resolve()) for folder in folders):
        raise SettingsError(
            f"{source}: notify.urls: the file lies inside a folder that is kept in sync.",
            "Move it elsewhere, for instance beside this file.",
        )
