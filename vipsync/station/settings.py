"""station.toml → StationSettings; all mistakes are told at once, each with its key and the nearest right word."""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct, ValidationError, convert

from vipsync.cases.patterns import compile_pattern
from vipsync.disk.files import SMALL, is_ours_to_write, opened_file, read_small
from vipsync.errors import SettingsError
from vipsync.model import Settings
from vipsync.settings import toml_text
from vipsync.settings.checks import meant, seconds, session_name_of, shown
from vipsync.settings.reading import parse
from vipsync.station.model import (
    CompleteSettings,
    KeepSettings,
    LateSettings,
    StationSettings,
)

SOURCE = "station.toml"
LEAST_QUIET = 60.0
_NOT_OURS = (
    "is a program that others could name here, since they can write this file. It counts once the file "
    "is this account's own, and `chmod go-w` has kept others from writing it"
)
_SECTIONS: Mapping[str, type[Struct]] = {
    "station": StationSettings,
    "complete": CompleteSettings,
    "late": LateSettings,
    "keep": KeepSettings,
}


def load(root: Path) -> StationSettings:
    """Read the settings of a station; raise SettingsError with every mistake in them."""
    source = root / SOURCE
    try:
        with opened_file(source) as file:
            data, ours = file.read(SMALL + 1), is_ours_to_write(file)
        if len(data) > SMALL:
            raise OSError(errno.EFBIG, f"it has more than {SMALL:,} bytes")
        text = toml_text.decoded(data, SOURCE)
    except OSError as error:
        raise SettingsError(f"{source}: cannot be read: {error.strerror}.") from None
    raw = toml_text.table(text, SOURCE)
    problems: list[tuple[str, str]] = []
    made = {name: _section(name, raw.pop(name, {}), problems) for name in _SECTIONS}
    problems.extend((name, f"unknown{meant(name, _SECTIONS)}") for name in raw)
    if not problems:
        settings = convert({**made.pop("station"), **made}, StationSettings)
        problems = list(_contradictions(root, settings))
        if settings.prepare and not ours:
            problems.append(("station.prepare", _NOT_OURS))
        if not problems:
            return settings
    lines = toml_text.line_numbers(text)
    raise SettingsError("\n".join(_told(key, text, lines.get(key, 0)) for key, text in problems))


def _told(key: str, text: str, line: int) -> str:
    place = f"{SOURCE}, line {line}" if line else SOURCE
    return f"{place}: {key}: {text.rstrip('.?')}{'?' if text.endswith('?') else '.'}"


def _section(name: str, table: object, problems: list[tuple[str, str]]) -> dict[str, object]:
    if not isinstance(table, dict):
        problems.append((name, "is a section: write [" + name + "] on a line of its own"))
        return {}
    hints = {k: h for k, h in get_type_hints(_SECTIONS[name]).items() if k not in _SECTIONS}
    values: dict[str, object] = {}
    for key, value in table.items():
        where = f"{name}.{key}"
        if key not in hints:
            problems.append((where, f"unknown{meant(key, hints)}"))
            continue
        try:
            checked = _CHECKS.get(where, _same)(value)
            values[key] = convert(checked, hints[key])
        except ValidationError as error:
            problems.append((where, _misfit(value, hints[key], error)))
        except (ValueError, SettingsError) as error:
            problems.append((where, str(error)))
    if name == "station" and "exports" not in table:
        problems.append(("station.exports", 'is missing: write exports = ["/path/of/the/export"]'))
    return values


def _misfit(value: object, hint: Any, error: ValidationError) -> str:
    if get_origin(hint) is Literal:
        return f"{shown(value)} is no choice{meant(value, get_args(hint))}"
    return str(error)


def _same(value: object) -> object:
    return value


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
    if (root / settings.template / "inputs").is_dir():
        words = f"{settings.template}/inputs has files for each session"
        yield "station.take", f'"point" cannot be where {words}: write take = "copy"'


def template_of(root: Path, settings: StationSettings) -> dict[str, object]:
    """Return what the template's settings.toml says; raise SettingsError where it is not valid."""
    source = root / settings.template / Settings.SOURCE
    try:
        data = read_small(source)
    except OSError as error:
        raise SettingsError(f"{source}: cannot be read: {error.strerror}.") from None
    parse(data, "template", str(source))
    return toml_text.table(toml_text.decoded(data, str(source)), str(source))
