"""PURE: from an execution's values to its jobs, as the engine does it (facts 5.4, 5.5, 7.3)."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import product
from pathlib import PurePosixPath
from typing import Any

from vipsync.local.catalogue import Pipeline
from vipsync.local.submission import RESULTS_DIRECTORY, Submission

Values = Mapping[str, tuple[str, ...]]
Listing = Callable[[str], Sequence[str] | None]
InvocationValue = str | int | float | bool

_LONGEST = 255
_ABSENT = "No_value_provided"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?\s*")
_GROUP = re.compile(r"^/vip/[^/]* \(group\)")


class EngineCrash(Exception):
    """The engine dies on these values: Killed, without jobs."""


class EngineStuck(Exception):
    """The engine's submission dies on this job: Running for ever."""


def combinations(submission: Submission, listing: Listing, most: int) -> list[dict[str, str]]:
    """Return the values of each job; raises EngineCrash. listing names a directory's files."""
    pipeline, values = submission.pipeline, submission.values
    _refuse_unreadable(pipeline, values)
    expanded = _iterated(pipeline, _with_files(pipeline, values, listing))
    paired, crossed = _split(pipeline, expanded)
    if _count(paired, crossed) > most:
        raise EngineCrash(f"more than {most} jobs")
    return list(_combine(paired, crossed))


def results_folder(submission: Submission, now: datetime) -> str:
    """Return the folder of an execution's results: asked folder, then its suffix (facts 6.1)."""
    suffix = submission.pipeline.custom("resultsDirectorySuffix", f"{now:%Y-%m-%d_%H%M%S}")
    base = submission.results_directory.rstrip("/")
    return f"{base}/{suffix}" if suffix else base


def stored_inputs(submission: Submission, results: str) -> Iterator[tuple[str, str]]:
    """Yield what the engine tells of its inputs, in its order, up to one that it dies of (facts 5.7).

    Of several values it tells the last in the order of its database, that of the alphabet.
    """
    told = {name: max(items, key=str.casefold) for name, items in submission.values.items()}
    for name, text in in_java_order(told | {RESULTS_DIRECTORY: results}):
        items = submission.values.get(name, (text,))
        known = name == RESULTS_DIRECTORY or name in submission.pipeline.inputs
        if not known or any(len(item) > _LONGEST for item in items):
            return
        yield name, text


def in_java_order(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return items in the order in which Java's HashMap has them."""
    buckets = 16
    while len(values) > buckets * 3 // 4:
        buckets *= 2
    return sorted(values.items(), key=lambda item: _java_hash(item[0]) % buckets)


def _java_hash(text: str) -> int:
    code = 0
    for letter in text:
        code = (31 * code + ord(letter)) & 0xFFFFFFFF
    return code ^ (code >> 16)


def refuse_unsafe(path: str) -> None:
    """Raise EngineStuck for a path that Java cannot make a URI of, once translated (facts 5.5)."""
    if not path or re.search(r"[ \[\]]", _GROUP.sub("/vip/group", path)):
        raise EngineStuck(path)


def invocation(pipeline: Pipeline, values: Mapping[str, str]) -> dict[str, InvocationValue]:
    """Return what bosh is given for one job; raises EngineStuck."""
    shown = {}
    for name, text in values.items():
        entry = pipeline.inputs[name]
        if not (entry.get("optional") and text == _ABSENT):
            shown[name] = _value(entry, text)
    return shown


def without_query(path: str) -> str:
    """Return a File value as its URI's path: what follows `?` is lost (facts 5.5)."""
    return path.partition("?")[0]


def float32(text: str) -> float:
    """Return a number as VIP's 32-bit floats are written, shortest; raises EngineStuck for other text."""
    if not _FLOAT.fullmatch(text):
        raise EngineStuck(text)
    try:
        narrow = struct.pack(">f", float(text.strip().rstrip("fFdD")))
    except OverflowError as error:
        raise EngineStuck(text) from error
    held: float = struct.unpack(">f", narrow)[0]
    shortest = (float(f"{held:.{digits}g}") for digits in range(1, 10))
    return next(written for written in shortest if struct.pack(">f", written) == narrow)


def _value(entry: Mapping[str, Any], text: str) -> InvocationValue:
    match entry["type"]:
        case "File":
            refuse_unsafe(text)
            return PurePosixPath(without_query(text)).name
        case "Number":
            return _integer(text) if entry.get("integer") else float32(text)
        case "Flag":
            return text.lower() == "true"
        case _:
            return text


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**31) <= int(text) < 2**31:
        raise EngineStuck(text)
    return int(text)


def _refuse_unreadable(pipeline: Pipeline, values: Values) -> None:
    for name, items in values.items():
        if name not in pipeline.inputs:
            raise EngineCrash(f"unknown input {name}")
        if any(len(item) > _LONGEST for item in items):
            raise EngineCrash(f"a value of {name} is longer than {_LONGEST}")


def _with_files(pipeline: Pipeline, values: Values, listing: Listing) -> Values:
    directories = pipeline.custom("directoryInputs", {})
    return {
        name: _matching(items, directories[name].get("patterns", ["*"]), listing)
        if name in directories
        else items
        for name, items in values.items()
    }


def _matching(items: tuple[str, ...], patterns: Sequence[str], listing: Listing) -> tuple[str, ...]:
    found: list[str] = []
    for item in items:
        names = listing(item)
        if names is None:
            found.append(item)
            continue
        kept = [n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns)]
        if not kept:
            raise EngineCrash(f"no file in {item} matches {patterns}")
        found += [f"{item.rstrip('/')}/{name}" for name in kept]
    return tuple(found)


def _iterated(pipeline: Pipeline, values: Values) -> Values:
    iterators = pipeline.custom("intIteratorInputs", [])
    return {name: _counted(items) if name in iterators else items for name, items in values.items()}


def _counted(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(items) != 1 or not _INTEGER.fullmatch(items[0]) or int(items[0]) <= 0:
        raise EngineCrash("an iterator needs one integer above 0")
    return tuple(str(number) for number in range(int(items[0])))


def _split(pipeline: Pipeline, values: Values) -> tuple[Values, Values]:
    dot = pipeline.custom("dot", [])
    names = {dot} if isinstance(dot, str) else set(dot)
    paired = {name: items for name, items in values.items() if name in names}
    if len({len(items) for items in paired.values()}) > 1:
        raise EngineCrash("paired inputs have different numbers of values")
    return paired, {name: items for name, items in values.items() if name not in names}


def _count(paired: Values, crossed: Values) -> int:
    number = max((len(items) for items in paired.values()), default=1)
    for items in crossed.values():
        number *= len(items)
    return number


def _combine(paired: Values, crossed: Values) -> Iterator[dict[str, str]]:
    rows = list(zip(*paired.values(), strict=True)) if paired else [()]
    for row in rows:
        for choice in product(*crossed.values()):
            yield dict(zip(paired, row, strict=True)) | dict(zip(crossed, choice, strict=True))
