"""What can be found wrong with a session before anything is sent: all this does is look at files.

The errors are those that vip-client raises for the same mistakes, and say more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from vipsync.cases.values import refused_signs, text_of, text_problem
from vipsync.disk.scan import Scan
from vipsync.disk.walk import CYCLE, why
from vipsync.errors import (
    InputsMissing,
    InputsUnreadable,
    InvalidInput,
    NameRefused,
    PropertyMissing,
    PropertyTypeError,
    PropertyValueError,
)
from vipsync.model import Descriptor, Parameter, ParameterType, RelPath, Scalar
from vipsync.names import clashes, vip_relpath
from vipsync.script.inputs import (
    Dataset,
    Given,
    Item,
    LocalText,
    given_settings,
    items,
    path_in,
    takes_files,
)

_NAME = re.compile(r"[0-9A-Za-z_-]+")


def session_name(value: object) -> str:
    """Return a session's name, in signs that VIP takes."""
    text = _text("session_name", value)
    if not _NAME.fullmatch(text):
        raise PropertyValueError(
            "Session name must contain only alphanumeric characters and hyphens '-', '_'."
        )
    return text


TELL, REFUSE = "tell", "refuse"
"""What a session does with inputs that name somebody."""


def privacy(value: object) -> str:
    """Return what becomes of inputs that name somebody."""
    if value not in (TELL, REFUSE):
        raise PropertyValueError(f"`privacy` is {TELL!r} or {REFUSE!r}.")
    return str(value)


def pipeline_id(value: object) -> str:
    """Return a pipeline's identifier; whether it exists is asked elsewhere."""
    return _text("pipeline_id", value)


def vip_dir(value: object) -> str:
    """Return a folder on VIP."""
    text = _text("a folder on VIP", os.fspath(value) if isinstance(value, os.PathLike) else value)
    if signs := refused_signs(text):
        raise PropertyValueError(f"{text!r} has invalid character(s) for VIP: {' '.join(signs)}")
    return text.rstrip("/")


def local_dir(value: object) -> str:
    """Return a folder on this machine, as it is written in the backup."""
    if not isinstance(value, (str, os.PathLike)):
        raise PropertyTypeError("A local folder should be a string or os.PathLike object.")
    return Path(value).as_posix()


def input_settings(value: object, data: Dataset) -> Given:
    """Return what a script gives as settings; refuse at once what VIP takes for no parameter at all."""
    given = given_settings(value)
    if empty := [name for name, item in given.items() if _is_empty(item)]:
        raise PropertyValueError(
            f"Missing input value(s) for parameter(s): {', '.join(sorted(empty))}"
        )
    for name, item in items(given):
        # A TypeError, as with vip-client: it stumbles over its own message there.
        if signs := _refused_signs(item, data):
            raise PropertyTypeError(
                f"Invalid character(s) in input value(s) for parameter(s): {name}: {' '.join(signs)}",
                "VIP refuses them in every value.",
            )
    return given


def _is_empty(value: Item | tuple[Item, ...]) -> bool:
    if isinstance(value, tuple):
        return not value or any(map(_is_empty, value))
    text = value.text if isinstance(value, LocalText) else value
    return text is not None and not text_of(text)


def _refused_signs(item: Item, data: Dataset) -> list[str]:
    """Return the signs of a text that VIP refuses; a file of this machine gets a name that it takes."""
    if isinstance(item, LocalText):
        away = data.local is not None and not data.local.is_dir()
        is_path = item.is_path or os.path.lexists(item.full) or (away and data.place(item))
        return [] if is_path else [s for s in refused_signs(item.text) if s != os.sep]
    return refused_signs(item) if isinstance(item, str) else []


def workflows(value: object) -> dict[str, dict[str, object]]:
    """Return an inventory of workflows."""
    if not isinstance(value, Mapping) or not all(isinstance(w, Mapping) for w in value.values()):
        raise PropertyTypeError("`workflows` should be a dictionary.")
    return {str(id_): dict(workflow) for id_, workflow in value.items()}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise PropertyTypeError(f"`{name}` should be a string.")
    return value


def check_pipeline(pipeline: str, known: Mapping[str, object]) -> None:
    """Raise PropertyValueError unless this account may run the pipeline; `known` are those that it may."""
    if pipeline in known:
        return
    nearest = get_close_matches(pipeline, known, n=1, cutoff=0.5)
    raise PropertyValueError(
        f"{pipeline!r} is not a valid pipeline identifier."
        + (f" Did you mean {nearest[0]!r}?" if nearest else ""),
        "Run VipSession.show_pipeline() to show available pipelines. "
        "A pipeline of a group that this account has not joined is not among them.",
    )


def check_settings(given: Given, descriptor: Descriptor, data: Dataset) -> None:
    """Raise where parameters are missing (PropertyMissing) or unknown, or VIP could not use a value."""
    missing = [p.name for p in descriptor.parameters if p.required and p.name not in given]
    if missing:
        raise PropertyMissing(
            f"Missing input parameter(s): {', '.join(sorted(missing))}.",
            " ".join(_misspelt(missing, given, descriptor)),
        )
    for name, item in items(given):
        parameter = descriptor.parameter(name)
        if parameter is None:
            raise _unknown(name, descriptor)
        if item is None:
            continue
        if parameter.takes_files and not isinstance(item, (str, LocalText)):
            raise InvalidInput(f"input_settings: {name}: {item!r} is no path of a file.")
        if problem := _problem(parameter, item, data):
            raise PropertyValueError(f"input_settings: {name}: {problem}.")
    _check_pairs(given, descriptor)


def _misspelt(missing: Iterable[str], given: Given, descriptor: Descriptor) -> Iterator[str]:
    """Name what was given in place of missing parameters by names that the pipeline does not have."""
    unknown = [name for name in given if descriptor.parameter(name) is None]
    for name in sorted(missing):
        if nearest := get_close_matches(name, unknown, n=1, cutoff=0.5):
            yield f"{nearest[0]!r} is none of the pipeline's; did you mean {name!r}?"


def _unknown(name: str, descriptor: Descriptor) -> PropertyValueError:
    names = [p.name for p in descriptor.parameters]
    nearest = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    return PropertyValueError(
        f"{descriptor.pipeline_id} has no parameter {name!r}{hint}",
        f"It has: {', '.join(names)}. On VIP, an unknown one would stop the execution.",
    )


def _problem(parameter: Parameter, item: Scalar | LocalText, data: Dataset) -> str:
    """Say why VIP could not work with a value; a file of the data set gets a name that it can."""
    if parameter.value_type is ParameterType.BOOLEAN:
        text = item.text if isinstance(item, LocalText) else item
        return "" if text in ("true", "false") else f"{text!r} is neither 'true' nor 'false'"
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
        raise PropertyValueError(f"These lists go together by index and differ in length: {found}.")


def check_files(given: Given, descriptor: Descriptor | None, data: Dataset) -> None:
    """Raise InputsMissing for local files that are not there, InvalidInput for those outside the data set."""
    if data.local is None or not data.local.is_dir():
        return
    missing, outside = [], []
    for name, item in items(given):
        if not isinstance(item, LocalText) or not takes_files(name, descriptor):
            continue
        place = data.place(item)
        if place is None:
            outside.append(item.text)
        elif not os.path.exists(place.full):  # noqa: PTH110 (a text, not a Path)
            missing.append(item.text)
    if missing:
        raise InputsMissing(f"Missing file(s) for parameter(s): {', '.join(missing)}.")
    if outside:
        raise InvalidInput(
            f"Missing file(s) for parameter(s): {', '.join(outside)}: not inside {data.local}.",
            "Only `input_dir` is uploaded: put them there, or choose another `input_dir`.",
        )


def check_given(given: Given) -> None:
    """Raise InvalidInput, in VIP's stead, where a value is still to come."""
    for name, item in items(given):
        if item is None:
            raise InvalidInput(f"input_settings: {name}: None is no value for a parameter.")


def check_paths(given: Given, descriptor: Descriptor | None, data: Dataset) -> None:
    """Raise InvalidInput where a file of this machine would be launched that is never on VIP."""
    left = [
        item.text
        for name, item in items(given)
        if isinstance(item, LocalText)
        and takes_files(name, descriptor)
        and path_in(name, item, data, descriptor) is None
    ]
    if left:
        raise InvalidInput(
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


def check_readable(seen: Scan, data: Dataset, paths: Iterable[str]) -> None:
    """Raise InputsUnreadable for what cannot be read in the data set, and for these files of it."""
    found = {path: reason for path, reason in seen.unreadable.items() if reason != CYCLE}
    for path in paths:
        if data.local and (reason := _reading_problem(data.local / seen.disk_path(RelPath(path)))):
            found[path] = reason
    if found:
        named = "".join(f"\n- {path}: {reason}" for path, reason in sorted(found.items())[:_NAMED])
        more = f"\n- and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise InputsUnreadable(
            f"Nothing was sent, since these in {data.local} cannot be read:{named}{more}\n",
            "Mend them, or take them out of the data set.",
        )


_NAMED = 20


def _reading_problem(path: Path) -> str:
    try:
        path.open("rb").close()
    except OSError as error:
        return why(error)
    return ""


def cycles(seen: Scan) -> list[str]:
    """Name the folders in the data set that lead back to one that holds them."""
    return sorted(path for path, reason in seen.unreadable.items() if reason == CYCLE)


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
