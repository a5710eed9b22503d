"""What can be found wrong with a session's properties before anything is sent. PURE but for `exists`.

The errors are those that vip-client raises for the same mistakes, and say more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from vipsync.cases.values import text_of, text_problem
from vipsync.errors import InputsMissing, NameRefused, PropertyError
from vipsync.model import Descriptor, Parameter, RelPath
from vipsync.names import clashes, vip_relpath
from vipsync.session.values import Dataset, Given, Item, LocalText, items, path_in, takes_files

_NAME = re.compile(r"[0-9A-Za-z_-]+")


def session_name(value: object) -> str:
    """Return a session's name, in signs that VIP takes."""
    text = _text("session_name", value)
    if not _NAME.fullmatch(text):
        raise PropertyError(
            "Session name must contain only alphanumeric characters and hyphens '-', '_'."
        )
    return text


def pipeline_id(value: object) -> str:
    """Return a pipeline's identifier; whether it exists is asked elsewhere."""
    return _text("pipeline_id", value)


def vip_dir(value: object) -> str:
    """Return a folder on VIP."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    return _text("a folder on VIP", text).rstrip("/")


def local_dir(value: object) -> str:
    """Return a folder on this machine, as it is written in the backup."""
    if not isinstance(value, (str, os.PathLike)):
        raise PropertyError("A local folder should be a string or os.PathLike object.")
    return Path(value).as_posix()


def workflows(value: object) -> dict[str, dict[str, object]]:
    """Return an inventory of workflows."""
    if not isinstance(value, Mapping) or not all(isinstance(w, Mapping) for w in value.values()):
        raise PropertyError("`workflows` should be a dictionary.")
    return {str(id_): dict(workflow) for id_, workflow in value.items()}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise PropertyError(f"`{name}` should be a string.")
    return value


def check_pipeline(pipeline: str, known: Mapping[str, object]) -> None:
    """Raise PropertyError unless this account may run the pipeline; `known` are those that it may."""
    if pipeline in known:
        return
    nearest = get_close_matches(pipeline, known, n=1, cutoff=0.5)
    raise PropertyError(
        f"{pipeline!r} is not a valid pipeline identifier."
        + (f" Did you mean {nearest[0]!r}?" if nearest else ""),
        "Run VipSession.show_pipeline() to show available pipelines. "
        "A pipeline of a group that this account has not joined is not among them.",
    )


def check_settings(given: Given, descriptor: Descriptor, data: Dataset) -> None:
    """Raise PropertyError where parameters are missing or unknown, or VIP could not use a value."""
    missing = [p.name for p in descriptor.parameters if p.required and p.name not in given]
    if missing:
        raise PropertyError(f"Missing input parameter(s): {', '.join(missing)}.")
    for name, item in items(given):
        parameter = descriptor.parameter(name)
        if parameter is None:
            raise _unknown(name, descriptor)
        if problem := _problem(parameter, item, data):
            raise PropertyError(f"input_settings: {name}: {problem}.")
    _check_pairs(given, descriptor)


def _unknown(name: str, descriptor: Descriptor) -> PropertyError:
    names = [p.name for p in descriptor.parameters]
    nearest = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return PropertyError(
        f"{descriptor.pipeline_id} has no parameter {name!r}{hint}.",
        f"It has: {', '.join(names)}. On VIP, an unknown one would stop the execution.",
    )


def _problem(parameter: Parameter, item: Item, data: Dataset) -> str:
    """Say why VIP could not work with a value; a file of the data set gets a name that it can."""
    if parameter.takes_files and not isinstance(item, (str, LocalText)):
        return f"{item!r} is no path of a file"
    if isinstance(item, LocalText):
        if parameter.takes_files and item.text:
            return ""
        return text_problem(parameter, text_of(item.text))
    if isinstance(item, str) and data.holds(item):
        return ""
    return text_problem(parameter, text_of(item))


def _check_pairs(given: Given, descriptor: Descriptor) -> None:
    """Refuse lists of different lengths that the pipeline pairs by index: VIP would crash (facts 5.4)."""
    values = {name: given[name] for name in sorted(descriptor.dot) if name in given}
    lengths = {name: len(v) if isinstance(v, tuple) else 1 for name, v in values.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise PropertyError(f"These lists go together by index and differ in length: {found}.")


def check_files(given: Given, descriptor: Descriptor | None, data: Dataset) -> None:
    """Raise InputsMissing for local files that are not there, or not in the data set."""
    if data.local is None or not data.local.is_dir():
        return
    missing, outside = [], []
    for name, item in items(given):
        if not isinstance(item, LocalText) or not takes_files(name, descriptor):
            continue
        if path_in(name, item, data, descriptor) is None:
            outside.append(item.text)
        elif not os.path.exists(item.full):  # noqa: PTH110 (a text, not a Path)
            missing.append(item.text)
    if missing:
        raise InputsMissing(f"Missing file(s) for parameter(s): {', '.join(missing)}.")
    if outside:
        raise InputsMissing(
            f"Missing file(s) for parameter(s): {', '.join(outside)}: not inside {data.local}.",
            "Only `input_dir` is uploaded: put them there, or choose another `input_dir`.",
        )


def check_paths(given: Given, descriptor: Descriptor | None, data: Dataset) -> None:
    """Raise InputsMissing where a file would be launched that is not on VIP."""
    left = [
        item.text
        for name, item in items(given)
        if isinstance(item, LocalText)
        and takes_files(name, descriptor)
        and path_in(name, item, data, descriptor) is None
    ]
    if left:
        raise InputsMissing(
            f"Missing file(s) for parameter(s): {', '.join(left)}: not on VIP.",
            "Set `input_dir` to the folder that holds them, and call upload_inputs().",
        )


def check_names(paths: Collection[RelPath]) -> None:
    """Raise NameRefused for files that VIP cannot hold, or that would share a name there."""
    for path in paths:
        vip_relpath(path)
    shared = sorted(clashes(paths).items())
    if shared:
        name, sharing = shared[0]
        raise NameRefused(
            f"{', '.join(sharing)} would all be {name} on VIP.", "Rename all of them but one."
        )


def jobs(given: Given, descriptor: Descriptor | None) -> int:
    """Return how many jobs VIP will make of these values (facts 5.4)."""
    dot = descriptor.dot if descriptor else frozenset()
    number, paired = 1, 1
    for name, value in given.items():
        length = len(value) if isinstance(value, tuple) else 1
        if name in dot:
            paired = length
        else:
            number *= length
    return number * paired
