"""Where packing a folder would save time, and which line would use a file. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

from msgspec import Struct

from vipsync.cases.values import ON_VIP
from vipsync.model import (
    Case,
    Descriptor,
    InputFile,
    InputFolder,
    PackKind,
    Parameter,
    RelPath,
    Settings,
)

SECONDS_EACH = 2.0
"""Seconds that VIP needs for a transfer, whatever its size (facts 3.5)."""

AT_ONCE = 8
"""Transfers that are under way together at most (house 6.6)."""

WORTH_SECONDS = 30.0
"""What packing must save to be worth a word."""

_ARCHIVES = (
    (PackKind.TGZ, re.compile(r"\b(tgz|tar\.gz)\b")),
    (PackKind.ZIP, re.compile(r"zip|archive")),
    (PackKind.TAR, re.compile(r"\btar\b")),
)


class PackingAdvice(Struct, frozen=True):
    """A parameter whose folders go up file by file; `setting` is what packs them."""

    parameter: str
    setting: str
    files: int
    archives: int


def transfer_seconds(count: int) -> float:
    """Return how long VIP needs for so many small transfers."""
    return SECONDS_EACH * -(-count // AT_ONCE)


def packing_advice(
    cases: Collection[Case],
    to_send: Collection[RelPath],
    settings: Settings,
    descriptor: Descriptor,
) -> Iterator[PackingAdvice]:
    """Yield where a parameter that takes an archive is given folders of many files."""
    for parameter in descriptor.parameters:
        kind, text = _archive_kind(parameter), settings.input_settings.get(parameter.name)
        if kind is None or not isinstance(text, str):
            continue
        values = (case.values.get(parameter.name) for case in cases)
        folders = {value for value in values if isinstance(value, InputFolder)}
        files = len({path for folder in folders for path in folder.members if path in to_send})
        if transfer_seconds(files) - transfer_seconds(len(folders)) >= WORTH_SECONDS:
            setting = f'{parameter.name} = {{ {kind} = "{text}" }}'
            yield PackingAdvice(parameter.name, setting, files, len(folders))


def _archive_kind(parameter: Parameter) -> PackKind | None:
    """Return the archive that a parameter takes, by the words of its description."""
    if not parameter.takes_files:
        return None
    words = f"{parameter.name} {parameter.label} {parameter.description}".lower()
    return next((kind for kind, pattern in _ARCHIVES if pattern.search(words)), None)


def line_for(paths: Sequence[RelPath], settings: Settings, cases: Collection[Case] = ()) -> str:
    """Return the line of [input_settings] that would use most of these files; empty where none is sure.

    It uses those as well that these cases have.
    """
    keys = [key for key, value in settings.input_settings.items() if _takes_pattern(value)]
    if len(keys) != 1 or not paths:
        return ""
    used = [v.path for case in cases if isinstance(v := case.values.get(keys[0]), InputFile)]
    shapes = Counter(_shape(PurePosixPath(path)) for path in paths)
    wanted = {shapes.most_common(1)[0][0], *(_shape(PurePosixPath(path)) for path in used)}
    names = {PurePosixPath(shape).name for shape in wanted}
    if len(wanted) > 1 and len(names) > 1:
        return ""
    return f'{keys[0]} = "{wanted.pop() if len(wanted) == 1 else f"**/{names.pop()}"}"'


def _takes_pattern(value: object) -> bool:
    return isinstance(value, str) and "*" in value and not value.startswith(ON_VIP)


def _shape(path: PurePosixPath) -> str:
    return str(path.with_name(f"*{path.suffix}"))


def starts_at_inputs(settings: Settings, files: Collection[RelPath]) -> str:
    """Name the first setting that begins with inputs/, where there is no such folder inside inputs/."""
    if any(path.startswith("inputs/") for path in files):
        return ""
    for key, value in settings.input_settings.items():
        if isinstance(value, str) and value.startswith("inputs/"):
            return (
                f"{key} begins with inputs/, but paths start inside inputs/: "
                f'write {key} = "{value.removeprefix("inputs/")}".'
            )
    return ""
