"""The settings in force: what settings.toml and .vipsyncignore say, and what follows from that alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.errors import SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.folder.sharing import lending_folder, shared_inputs
from vipsync.model import FileState, Settings, replace
from vipsync.settings.reading import load, parse, places
from vipsync.settings.toml_text import decoded

QUIET = 1.0
"""Seconds for which both files must be unchanged before they are read again."""


class InForce(Struct, frozen=True):
    """Valid settings; where the files that they speak of lie, and which make no difference.

    `inputs` is None where no file is looked at.
    """

    settings: Settings
    patterns: str
    ignored: IgnoreRules
    inputs: Path | None
    outputs: Path
    lending: SessionFolder | None = None


class _Reading(Struct, frozen=True):
    """What both files look like, and when they will have been quiet for long enough."""

    states: tuple[FileState | None, ...]
    due: float
    taken: bool = False


class FixedSettings:
    """What a script has set: it does not change while a step of its session runs."""

    error = ""
    due = float("inf")

    def __init__(self, in_force: InForce) -> None:
        self.in_force: InForce | None = in_force
        self.text = ""

    def read(self, last_valid: str) -> None:
        """Leave what the ledger says of settings.toml as it is."""
        self.text = last_valid


class SavedSettings:
    """Read both files when they were saved; keep what was valid while one of them has an error.

    `text` is what settings.toml held when both were last valid; `error` is empty unless one is not.
    """

    def __init__(
        self,
        folder: SessionFolder,
        overrides: Mapping[str, object],
        environ: Mapping[str, str] | None,
        clock: Callable[[], float],
    ) -> None:
        self.in_force: InForce | None = None
        self.text = ""
        self.error = ""
        self._folder, self._overrides, self._environ = folder, overrides, environ
        self._clock = clock
        self._reading: _Reading | None = None

    @property
    def due(self) -> float:
        """Return the monotonic time at which what was saved will be read."""
        reading = self._reading
        return reading.due if reading and not reading.taken else float("inf")

    def read(self, last_valid: str) -> None:
        """Read both files if they have changed and are quiet now.

        `last_valid` is the settings.toml that counts where one of them has an error from the start.
        """
        there = (_looks(self._folder.ignored), _looks(self._folder.settings))
        if self._reading is None or self._reading.states != there:
            pause = QUIET if self._reading else 0.0
            self._reading = _Reading(there, self._clock() + pause)
        if not self._reading.taken and self._clock() >= self._reading.due:
            self._reading = replace(self._reading, taken=True)
            self._take(last_valid)

    def _take(self, last_valid: str) -> None:
        patterns = ""
        try:
            patterns = _patterns(self._folder.ignored)
            self._use(load(self._folder.root, self._overrides, self._environ), patterns)
            self.text = decoded(self._folder.settings.read_bytes(), Settings.SOURCE)
            self.error = ""
        except VipsyncError as error:
            self.error = str(error)
            if self.in_force is None and last_valid:
                self._fall_back(last_valid, patterns)

    def _fall_back(self, last_valid: str, patterns: str) -> None:
        """Use what counted last: while a file has an error nothing is sent, and executions are followed."""
        for known in (patterns, ""):
            with suppress(VipsyncError):
                self._use(self._parsed(last_valid), known)
                return

    def _parsed(self, text: str) -> Settings:
        return parse(
            text.encode(),
            self._folder.root.name,
            overrides=self._overrides,
            environ=self._environ,
        )

    def _use(self, settings: Settings, patterns: str) -> None:
        now = self.in_force
        if now and (settings, patterns) == (now.settings, now.patterns):
            return
        ignored = IgnoreRules(BUILT_IN_IGNORE, settings.inputs.ignore, patterns)
        inputs, outputs = places(self._folder.root, settings)
        lending = lending_folder(self._folder, settings)
        inputs = shared_inputs(lending) if lending else inputs
        self.in_force = InForce(settings, patterns, ignored, inputs, outputs, lending)


def _looks(path: Path) -> FileState | None:
    try:
        return FileState.of(path.stat())
    except OSError:
        return None


def _patterns(path: Path) -> str:
    """Return the text of .vipsyncignore; raise SettingsError where it cannot be read."""
    try:
        return decoded(path.read_bytes(), str(path))
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None
