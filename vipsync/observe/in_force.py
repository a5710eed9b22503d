"""The settings in force: what settings.toml and .vipsyncignore say, and what follows from that alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vipsync.disk.files import looks, read_small
from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules, may_hold_rules
from vipsync.errors import SettingsError, VipsyncError
from vipsync.folder.folder import IGNORED, SessionFolder
from vipsync.folder.sharing import lending_folder, shared_inputs
from vipsync.model import Environment, FileState, Settings, replace
from vipsync.settings.reading import load, parse, places
from vipsync.settings.toml_text import decoded

IGNORE_FILES = (IGNORED, f"{IGNORED}.txt")
"""Files of ignore rules; an editor of Windows adds the second ending."""

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

    states: Mapping[Path, FileState | None]
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
        """Read both files if they have changed and are quiet now, and each time while there is an error.

        What is wrong may lie beside them: a link in the place of outputs/, a folder that is not there.
        `last_valid` is the settings.toml that counts where one of them has an error from the start.
        """
        there = {path: looks(path) for path in (self._folder.settings, *self._ignore_files())}
        if self._reading is None or self._reading.states != there:
            pause = QUIET if self._reading else 0.0
            self._reading = _Reading(there, self._clock() + pause)
        if self._clock() >= self._reading.due and (self.error or not self._reading.taken):
            self._reading = replace(self._reading, taken=True)
            before = self._inputs
            self._take(last_valid)
            if self._inputs != before:  # rules lie there too, and are seen before they are read
                self._reading = None
                self.read(last_valid)

    @property
    def _inputs(self) -> Path | None:
        return self.in_force.inputs if self.in_force else None

    def _ignore_files(self) -> list[Path]:
        """Return where ignore rules may lie: beside settings.toml, and in the inputs folder."""
        inside = [self._inputs / name for name in IGNORE_FILES] if self._inputs else []
        return [*_rule_files(self._folder.root), *inside]

    def _take(self, last_valid: str) -> None:
        patterns = ""
        try:
            _refuse_without_effect(self._folder.root)
            patterns = _patterns(self._folder.root)
            self._use(load(self._folder.root, self._overrides, self._environ), patterns)
            self.text = decoded(read_small(self._folder.settings), Settings.SOURCE)
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
            environ=Environment(os.environ if self._environ is None else self._environ),
        )

    def _use(self, settings: Settings, patterns: str) -> None:
        now = self.in_force
        inputs, outputs = places(self._folder.root, settings)
        lending = lending_folder(self._folder, settings)
        inputs = shared_inputs(lending) if lending else inputs
        if inputs != self._folder.root.resolve():
            patterns = f"{patterns}\n{_patterns(inputs)}"
        if now and (settings, patterns) == (now.settings, now.patterns):
            return
        ignored = IgnoreRules(BUILT_IN_IGNORE, settings.inputs.ignore, patterns, inputs.as_posix())
        self.in_force = InForce(settings, patterns, ignored, inputs, outputs, lending)


def _patterns(folder: Path) -> str:
    """Return the ignore rules that lie in a folder; raise SettingsError where they cannot be read."""
    return "\n".join(_text(folder / name) for name in IGNORE_FILES)


def _text(path: Path) -> str:
    try:
        return decoded(read_small(path), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None


def _rule_files(folder: Path) -> list[Path]:
    """Return what lies in a folder and may be a file of ignore rules."""
    try:
        return sorted(path for path in folder.iterdir() if may_hold_rules(path.name))
    except OSError:
        return []


def _refuse_without_effect(folder: Path) -> None:
    """Raise SettingsError for a file of ignore rules that nobody would read."""
    for path in _rule_files(folder):
        if path.name not in IGNORE_FILES:
            raise without_effect(path)


def without_effect(path: Path) -> SettingsError:
    """Return what is said of a file of ignore rules under another name, or in another place."""
    return SettingsError(
        f"{path} protects nothing: ignore rules are read from {IGNORED} beside settings.toml, or in "
        "the inputs folder itself.",
        "Move its rules there.",
    )
