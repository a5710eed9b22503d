"""settings.toml → Settings, validated at the edge. All errors of a file are told at once.

The classes of `model` are the schema: each key is converted to its type by itself, so that one wrong
value hides no other. `CHECKS` holds what a key needs beyond its type. Nothing in a message ever repeats `api_key`.
"""

from __future__ import annotations

import datetime as dt
import errno
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from msgspec import ValidationError, convert

from vipsync.disk.files import read_small
from vipsync.errors import NotASession, SettingsError
from vipsync.model import Environment, InputSetting, Settings, replace
from vipsync.names import BACKUP, shell_word
from vipsync.settings import toml_text
from vipsync.settings.keys import PORTAL_VARIABLE, key_path
from vipsync.settings.values import CHECKS, input_setting, meant, session_name_of, shown

T = TypeVar("T")


class Problem(NamedTuple):
    """What is wrong with one dotted key."""

    key: str
    text: str


class Misread(SettingsError):
    """Some values cannot be; `settings` are what the others say, `keys` are the dotted keys of those."""

    def __init__(self, message: str, settings: Settings, keys: frozenset[str]) -> None:
        super().__init__(message)
        self.settings, self.keys = settings, keys


_LEDGER = ".vipsync/ledger.sqlite"
"""What a session folder has that was run before."""


def load(
    folder: Path,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings of a session folder; `overrides` are options by dotted key, None: not given."""
    path = folder / Settings.SOURCE
    environ = Environment(os.environ if environ is None else environ)
    try:
        data = read_small(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _not_a_session(folder) from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None
    settings = parse(
        data,
        folder.absolute().name,
        str(path),
        overrides=overrides,
        environ=environ,
    )
    _refuse_key_inside(places(folder, settings), folder, settings, str(path))
    return settings


def parse(
    text: bytes,
    folder_name: str,
    source: str = Settings.SOURCE,
    *,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Make Settings of the text of settings.toml: option before file before environment before default."""
    decoded = toml_text.decoded(text, source)
    raw = toml_text.table(decoded, source)
    origins = _merge(raw, overrides or {}, environ or {})
    raw.setdefault("session_name", session_name_of(folder_name))
    settings, problems = _validated(raw)
    if problems:
        told = _message(problems, source, toml_text.line_numbers(decoded), origins)
        raise Misread(told, settings, frozenset(problem.key for problem in problems))
    return settings


def places(folder: Path, settings: Settings) -> tuple[Path, Path]:
    """Return the folders of inputs and outputs, links resolved; SettingsError where they overlap."""
    own = _resolved(folder, ".", "the session folder")
    inputs = _resolved(folder, settings.inputs.directory, "inputs.directory")
    outputs = _resolved(folder, settings.outputs.directory, "outputs.directory")
    _refuse_link("outputs.directory", own, settings.outputs.directory, outputs)
    for key, place in (("inputs.directory", inputs), ("outputs.directory", outputs)):
        if contains(place, own):
            raise SettingsError(f"{key}: {place} is or contains the session folder {own}.")
        if contains(own / ".vipsync", place):
            raise SettingsError(f"{key}: .vipsync is vipsync's own; choose another folder.")
    if contains(inputs, outputs) or contains(outputs, inputs):
        raise SettingsError(
            f"inputs.directory, outputs.directory: {inputs} and {outputs} lie in one another.",
            "Choose two separate folders.",
        )
    return inputs, outputs


def _merge(
    raw: dict[str, object], overrides: Mapping[str, object], environ: Mapping[str, str]
) -> dict[str, str]:
    """Put options over the file and the environment under it; return who set which key."""
    origins: dict[str, str] = {}
    if "portal" not in raw and environ.get(PORTAL_VARIABLE):
        raw["portal"] = environ[PORTAL_VARIABLE]
        origins["portal"] = PORTAL_VARIABLE
    for key, value in overrides.items():
        if value is None:
            continue
        section, dot, name = key.partition(".")
        table = raw.setdefault(section, {}) if dot else raw
        if isinstance(table, dict):
            table[name if dot else key] = value
            origins[key] = "option"
    return origins


# all checks together


def _hints(section: type) -> dict[str, Any]:
    """Return the types of the keys of a section."""
    hints = get_type_hints(section).items()
    return {name: hint for name, hint in hints if get_origin(hint) is not ClassVar}


class Schema(Generic[T]):
    """A kind of settings: its keys and sections, and what each value needs beyond its type.

    `stray` ends what is said of a name that is like none of them; `required` says of a key that must
    be there what to write.
    """

    def __init__(
        self,
        kind: type[T],
        checks: Mapping[str, Callable[[object], object]],
        stray: str = "",
        required: Mapping[str, str] | None = None,
    ):
        top = _hints(kind)
        self.kind, self.checks, self.stray, self.required = kind, checks, stray, required or {}
        self.sections = {n: hint for n, hint in top.items() if hasattr(hint, "__match_args__")}
        inside = (
            f"{name}.{key}" for name, part in self.sections.items() for key in self.inside(part)
        )
        self.keys = (*top, *inside)

    def inside(self, section: type) -> dict[str, Any]:
        """Return the types of the keys of a section; no section stands in another."""
        hints = _hints(section).items()
        return {n: hint for n, hint in hints if hint not in self.sections.values()}

    def parse(
        self, text: bytes, source: str, whole: Callable[[T], Iterable[Problem]] = lambda _made: ()
    ) -> T:
        """Make settings of the text of a file that no option and no variable goes before.

        `whole` finds what is wrong between values that are right each by itself.
        """
        decoded = toml_text.decoded(text, source)
        raw = toml_text.table(decoded, source)
        problems = [Problem(k, words) for k, words in self.required.items() if not _holder(raw, k)]
        _check(raw, self.checks, problems)
        problems += _oddities("", raw)  # but what a check has taken, as a date
        made = _made(self.kind, raw, "", problems, self)
        problems += () if problems else whole(made)
        if problems:
            raise SettingsError(_message(problems, source, toml_text.line_numbers(decoded), {}))
        return made


_SCHEMA = Schema(Settings, CHECKS, "; parameters of the pipeline belong under [input_settings]")


def _validated(raw: dict[str, object]) -> tuple[Settings, list[Problem]]:
    problems = list(_oddities("", raw))
    inputs = _take_input_settings(raw.pop("input_settings", {}), problems)
    _check(raw, CHECKS, problems)
    raw.setdefault("session_name", "")  # it was refused
    settings = _made(Settings, raw, "", problems, _SCHEMA)
    return replace(settings, input_settings=inputs), problems


def _made(
    section: type[T],
    table: Mapping[str, object],
    prefix: str,
    problems: list[Problem],
    schema: Schema[Any],
) -> T:
    """Make a section of what fits; what does not is told."""
    hints = schema.inside(section) if prefix else _hints(section)
    values = dict[str, object]()
    for name, value in table.items():
        key, hint = prefix + name, hints.get(name)
        if hint is None:
            few = len(problems) < _TOLD  # to look for the nearest takes its time
            where = _where_it_belongs(key, schema) if few else ""
            problems.append(Problem(key, f"unknown{where}"))
        elif hint not in schema.sections.values():
            try:
                values[name] = convert(value, hint)
            except ValidationError as error:
                problems.append(Problem(key, _misfit(value, hint, error)))
        elif isinstance(value, dict):
            values[name] = _made(hint, value, f"{key}.", problems, schema)
        else:
            problems.append(Problem(key, _SECTION))
    return section(**values)


def _take_input_settings(table: object, problems: list[Problem]) -> dict[str, InputSetting]:
    if not isinstance(table, dict):
        problems.append(Problem("input_settings", _SECTION))
        return {}
    settings: dict[str, InputSetting] = {}
    for name, value in table.items():
        try:
            settings[name] = input_setting(value)
        except ValueError as error:
            problems.append(Problem(f"input_settings.{name}", str(error)))
    return settings


def _holder(raw: dict[str, object], key: str) -> dict[str, object] | None:
    """Return the table in which a dotted key stands; None where it is not there."""
    section, _, name = key.rpartition(".")
    table = raw.get(section) if section else raw
    return table if isinstance(table, dict) and name in table else None


def _check(
    raw: dict[str, object],
    checks: Mapping[str, Callable[[object], object]],
    problems: list[Problem],
) -> None:
    """Replace each value that has a check by what it returns; a refused one is taken out."""
    for key, check in checks.items():
        table, name = _holder(raw, key), key.rpartition(".")[2]
        if table is None:
            continue
        try:
            table[name] = check(table[name])
        except ValueError as error:
            problems.append(Problem(key, str(error)))
            del table[name]


def _oddities(key: str, value: object) -> Iterator[Problem]:
    """Find values that TOML allows and no setting has."""
    match value:
        case dict():
            for name, item in value.items():
                yield from _oddities(f"{key}.{name}".lstrip("."), item)
        case list() | tuple():
            for item in value:
                yield from _oddities(key, item)
        case str() if any(unicodedata.category(c) == "Cc" for c in value):
            yield Problem(key, _CONTROL)
        case float() if not math.isfinite(value):
            yield Problem(key, "must be a number that is finite")
        case dt.date() | dt.time():
            yield Problem(key, "is a date or a time: write it in quotes")
        case _:
            pass


# words for what does not fit

_CONTROL = (
    "holds a tab, a line end or another control character; "
    'between "…" a backslash makes them: write / instead, or use single quotes'
)
_SECTION = "is a section: write its name in [ ] on a line of its own, and its keys below"
_WORDS: Mapping[type, str] = {
    str: 'must be text in quotes, as "…"',
    bool: "must be true or false, without quotes",
}


def _misfit(value: object, hint: Any, error: ValidationError) -> str:
    if get_origin(hint) is Literal:
        return f"{shown(value)} is no choice{meant(value, get_args(hint))}"
    return _WORDS.get(hint) or str(error)


def _where_it_belongs(key: str, schema: Schema[Any]) -> str:
    section, _, name = key.rpartition(".")
    same = [f"[{k.rpartition('.')[0]}]" for k in schema.keys if k.endswith(f".{name}")]
    if same:
        return f" here: {name} belongs under {' or '.join(same)}"
    if name in schema.sections:
        return f" here: write [{name}] on a line of its own"
    if name in schema.keys:
        return f" here: {name} belongs above the first [section]"
    siblings = [k.rpartition(".")[2] for k in schema.keys if k.rpartition(".")[0] == section]
    if get_close_matches(name.lower(), siblings, 1):
        return meant(name, siblings)
    return f"{schema.stray}{meant(name, siblings)}"


_TOLD, _SHOWN_KEY = 50, 100


def _message(
    problems: Iterable[Problem], source: str, lines: Mapping[str, int], origins: Mapping[str, str]
) -> str:
    first = {problem.key: problem.text for problem in reversed(list(problems))}
    told = []
    for key, text in first.items():
        line = lines.get(key, 0)
        place = origins.get(key) or (f"{source}, line {line}" if line else source)
        told.append(
            (
                line,
                f"{place}: {key[:_SHOWN_KEY]}: {text.rstrip('.?')}{'?' if text.endswith('?') else '.'}",
            )
        )
    more = [f"{source}: {len(told) - _TOLD} more mistakes."] if len(told) > _TOLD else []
    return "\n".join([*(text for _, text in sorted(told)[:_TOLD]), *more])


# where things lie


def _not_a_session(folder: Path) -> NotASession:
    if not folder.is_dir():
        return NotASession(
            f"{folder} is not there.", "Check its name, and that its disk is mounted."
        )
    for name in _names(folder):
        if name.lower() in {"settings.toml.txt", "settings.toml", "settings.txt", "settings"}:
            return NotASession(
                f"{folder} has {name}, but no {Settings.SOURCE}.",
                f"Rename it to {Settings.SOURCE}; Windows hides the ending .txt until asked to show it.",
            )
    if (folder / BACKUP).is_file():
        return script_folder(folder)
    if (folder / _LEDGER).is_file():
        remedy = (
            f"Put it back. `vipsync init {shell_word(folder)}` writes the one that was last valid."
        )
        return NotASession(f"{folder} has lost its {Settings.SOURCE}.", remedy)
    remedy = f"Make a session folder with: vipsync init {shell_word(folder)}"
    return NotASession(f"{folder} has no {Settings.SOURCE}.", remedy)


def script_folder(folder: Path) -> NotASession:
    """Return the error for the outputs of a script's session: a session folder is made around them."""
    old = shell_word(folder)
    return NotASession(
        f"{folder} holds the outputs of a script's session, {BACKUP} among them, and no "
        f"{Settings.SOURCE}; nothing was changed.",
        "The script goes on with it. To make a session folder of it when the script has ended: "
        f"mkdir NEW && mv {old} NEW/outputs && vipsync init NEW --adopt",
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _resolved(folder: Path, directory: str, key: str) -> Path:
    try:
        found = (folder / Path(directory).expanduser()).resolve()
        _refuse_circle(found)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(f"{key}: {directory} cannot be followed: {error}.") from None
    return found


def _refuse_circle(path: Path) -> None:
    """Raise OSError where links lead round: since Python 3.13 `resolve` passes over them."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise


def _refuse_link(key: str, own: Path, directory: str, place: Path) -> None:
    """Refuse to write through a link in the session folder: others may have put it there."""
    written = Path(os.path.normpath(own / Path(directory).expanduser()))
    if written.is_relative_to(own) and written != place:
        raise SettingsError(
            f"{key}: {written} is a link to {place}, and nothing is written through it.",
            f'If that folder is meant, name it in settings.toml: directory = "{place}".',
        )


def contains(outer: Path, inner: Path) -> bool:
    """Tell whether a path is another one or lies below it, by whatever names."""
    return any(_same(outer, part) for part in (inner, *inner.parents))


def _same(one: Path, other: Path) -> bool:
    if one == other:
        return True
    try:
        return one.samefile(other)  # a disk that ignores case, a folder mounted twice
    except OSError:
        return False


def _refuse_key_inside(
    data: tuple[Path, Path], folder: Path, settings: Settings, source: str
) -> None:
    path = key_path(settings)
    if path and any(contains(place.resolve(), path.resolve()) for place in (folder, *data)):
        raise SettingsError(
            f"{source}: api_key: the file lies inside the session, and would be copied with it.",
            "Move it elsewhere, or run `vipsync login` and remove the line.",
        )
