"""station.toml → StationSettings; all mistakes are told at once, each with its key and the nearest right word."""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import starmap
from pathlib import Path

from msgspec import Struct

from vipsync.cases.patterns import compile_pattern
from vipsync.disk.files import SMALL, opened_file, read_small
from vipsync.errors import SettingsError
from vipsync.model import Settings, replace
from vipsync.settings import toml_text
from vipsync.settings.reading import Problem, Schema, parse
from vipsync.settings.values import seconds, session_name_of, shown
from vipsync.station.model import (
    CompleteSettings,
    KeepSettings,
    LateSettings,
    StationSettings,
)

SOURCE = "station.toml"
LEAST_QUIET = 60.0


class _File(Struct, frozen=True):
    """The sections of station.toml."""

    station: StationSettings = StationSettings()
    complete: CompleteSettings = CompleteSettings()
    late: LateSettings = LateSettings()
    keep: KeepSettings = KeepSettings()

    @property
    def settings(self) -> StationSettings:
        return replace(self.station, complete=self.complete, late=self.late, keep=self.keep)


def load(root: Path) -> StationSettings:
    """Read the settings of a station; raise SettingsError with every mistake in them."""
    source = root / SOURCE
    try:
        with opened_file(source) as file:
            data, info = file.read(SMALL + 1), os.fstat(file.fileno())
        if len(data) > SMALL:
            raise OSError(errno.EFBIG, f"it has more than {SMALL:,} bytes")
    except OSError as error:
        raise SettingsError(f"{source}: cannot be read: {error.strerror}.") from None

    def whole(made: _File) -> Iterator[Problem]:
        problems = list(_contradictions(root, made.settings))
        if made.station.prepare:
            problems += _open_to_others({source: info, root: root.stat()})
        return starmap(Problem, problems)

    return _SCHEMA.parse(data, SOURCE, whole).settings


def _exports(value: object) -> object:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise ValueError('must be a list of folders, as ["/mnt/export"]')
    paths = [Path(text).expanduser() for text in texts]
    if wrong := next((path for path in paths if not path.is_absolute()), None):
        raise ValueError(f"{shown(str(wrong))} must be a whole path, from / on")
    return [str(path) for path in paths]


def _study(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('must be a pattern, as "{exam}/"')  # noqa: TRY004
    pattern = compile_pattern(value)
    if "**" in pattern.text:
        raise ValueError("** says nothing of where a study begins: write each folder, as {a}/{b}/")
    return value


def _name(value: object) -> object:
    text = str(value)
    holes = re.findall(r"\{(.*?)\}", text)
    if any(not re.fullmatch(r"(n|subject_n)(:0\d)?", hole) for hole in holes):
        raise ValueError(
            "only {n} and {subject_n} may stand in it, as S{n:04}: no date, and nothing of a header"
        )
    if not any(hole.startswith("n") for hole in holes):
        raise ValueError("needs {n}, or studies would share a name")
    sample = text.format(n=1, subject_n=1)
    if session_name_of(sample) != sample:
        raise ValueError("may only have letters, digits, - and _ beside its numbers")
    return text


def _since(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if value not in ("now", "all"):
        try:
            date.fromisoformat(str(value))
        except ValueError:
            raise ValueError('is "now", "all" or a date, as "2026-12-01"') from None
    return value


def _quiet(value: object) -> float:
    time = seconds(value)
    if time < LEAST_QUIET:
        raise ValueError("must be 60s at least: scanners pause in the middle of a study")
    return time


def _command(value: object) -> object:
    return shlex.split(value) if isinstance(value, str) else value


_CHECKS: Mapping[str, Callable[[object], object]] = {
    "station.exports": _exports,
    "station.study": _study,
    "station.name": _name,
    "station.since": _since,
    "station.prepare": _command,
    "complete.quiet": _quiet,
    "complete.needs_you": seconds,
}
_MISSING = 'is missing: write exports = ["/path/of/the/export"]'
_SCHEMA = Schema(_File, _CHECKS, required={"station.exports": _MISSING})


def _contradictions(root: Path, settings: StationSettings) -> Iterator[tuple[str, str]]:
    own = root.resolve()
    for export in settings.exports:
        there = Path(export).resolve()
        if there == own or there in own.parents or own in there.parents:
            yield "station.exports", f"{export} and the station lie in one another"
    if settings.prepare and not any("{inputs}" in word for word in settings.prepare):
        yield "station.prepare", "needs {inputs}, the folder that it is to fill"
    if settings.copies:
        return
    if settings.by != "folder":
        yield "station.take", f'"point" cannot be with by = "{settings.by}": write take = "copy"'
    elif not settings.study.endswith("/"):
        yield "station.take", '"point" needs a folder for each study: write take = "copy"'
    shared = root / settings.template / "inputs"
    if shared.is_dir() and any(shared.iterdir()):
        words = f"so the files of {settings.template}/inputs would be missing there"
        yield (
            "station.take",
            f'with "point" a session has the export\'s files alone, {words}: write take = "copy"',
        )


def _open_to_others(found: Mapping[Path, os.stat_result]) -> Iterator[tuple[str, str]]:
    """Refuse a command that others could write: it is run with the rights of this account (house 9)."""
    for path, info in found.items():
        if who := other_writers(info):
            yield (
                "station.prepare",
                f"{who} can write {path}, and so have anything run as this account. Let it belong to "
                "this account or root, and `chmod go-w` it",
            )


def other_writers(info: os.stat_result) -> str:
    """Return who beside this account and root can write a file or a folder, empty for nobody."""
    if os.name != "posix":
        return ""  # there, rights are lists that stat does not show
    if info.st_mode & stat.S_IWOTH:
        return "everybody"
    if info.st_mode & stat.S_IWGRP:
        return f"the group {_named(info.st_gid, group=True)}"
    mine = info.st_uid in (0, os.geteuid())
    return "" if mine else f"{_named(info.st_uid, group=False)}, whose it is,"


def _named(number: int, *, group: bool) -> str:
    import grp
    import pwd

    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def template_of(root: Path, settings: StationSettings) -> dict[str, object]:
    """Return what the template's settings.toml says; raise SettingsError where it is not valid."""
    source = root / settings.template / Settings.SOURCE
    try:
        data = read_small(source)
    except OSError as error:
        raise SettingsError(f"{source}: cannot be read: {error.strerror}.") from None
    parse(data, "template", str(source))
    return toml_text.table(toml_text.decoded(data, str(source)), str(source))
