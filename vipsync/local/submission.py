"""PURE: what a POST of an execution says, checked in the server's order (facts 5.2, 5.3)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from vipsync.local.catalogue import Pipeline
from vipsync.local.refusals import (
    INPUT_FIELD_MISSING,
    INPUT_FIELD_NOT_VALID,
    INVALID_EXECUTION_NAME,
    misread,
    refused,
)

RESULTS_DIRECTORY = "results-directory"
_DEFAULT_RESULTS = "/vip/Home"
_SEPARATOR = "@@"
_VALUE = re.compile(r"[0-9A-Za-z.,\-+@/_(): \[\]?&=]+")
_INTEGER = re.compile(r"([+-]?[0-9]+)?")
_NAME = re.compile(r"[0-9A-Za-z\-_ ]+")
_VALUE_CAUSE = r"Authorized characters are 0-9.,A-Za-z-+@/_(): \[\]?&="
_NAME_CAUSE = "Authorized characters are 0-9A-Za-z-_ "
_TEXTS = ("identifier", "name", "pipelineIdentifier", "studyIdentifier", "resultsLocation")
_NUMBERS = ("timeout", "errorCode", "startDate", "endDate")
_OBJECTS = ("inputValues", "returnedFiles", "jobs")
_STATUSES = (
    "Initializing",
    "Ready",
    "Running",
    "Finished",
    "InitializationFailed",
    "ExecutionFailed",
    "Unknown",
    "Killed",
)


@dataclass(frozen=True)
class Submission:
    """What is to be run: texts only, each input with all its values."""

    name: str
    pipeline: Pipeline
    values: Mapping[str, tuple[str, ...]]
    results_directory: str
    identifier: str = ""
    """The pipeline's, as it was asked for."""


def read_submission(body: object, pipeline_of: Callable[[str], Pipeline]) -> Submission:
    """Check a request as the server does, up to its required inputs; raises the first refusal.

    `pipeline_of` finds a pipeline by its identifier, or raises a refusal.
    """
    fields = read_execution(body)
    values = {key: split_values(_text(key, value)) for key, value in fields["inputValues"].items()}
    name, identifier = checked_name(str(fields["name"])), str(fields["pipelineIdentifier"])
    pipeline = pipeline_of(identifier)
    given = {key: items for key, items in values.items() if items}
    location = fields.get("resultsLocation")
    asked = given.pop(RESULTS_DIRECTORY, (_DEFAULT_RESULTS,))[-1]
    results = str(location) if location is not None else asked
    return Submission(name, pipeline, _completed(pipeline, given), results, identifier)


def read_execution(body: object) -> dict[str, Any]:
    """Return the fields of an execution; raises 8000 for a wrong type, 8009 for one that is needed."""
    fields = {"inputValues": {}} | as_fields(body)
    if not all(_is_readable(key, value) for key, value in fields.items() if value is not None):
        raise misread()
    for key in ("pipelineIdentifier", "name", "inputValues"):
        if fields.get(key) is None:
            raise not_null(key)
    return fields


def _is_readable(key: str, value: object) -> bool:
    """Say whether the server can read a field; it turns one simple type into another."""
    if key in _OBJECTS:
        return isinstance(value, dict)
    if key in _TEXTS:
        return not isinstance(value, (dict, list))
    if key in _NUMBERS:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number or (isinstance(value, str) and bool(_INTEGER.fullmatch(value.strip())))
    return key != "status" or value in _STATUSES


def not_null(key: str) -> Exception:
    """Make the refusal of a field that is absent or null."""
    return refused(INPUT_FIELD_NOT_VALID, key, "must not be null")


def checked_name(name: str) -> str:
    """Return an execution's name; raises 8019."""
    if not _NAME.fullmatch(name):
        raise refused(INVALID_EXECUTION_NAME, _NAME_CAUSE)
    return name


def split_values(text: str) -> tuple[str, ...]:
    """Return the values that a text stands for; trailing empty ones vanish, as in Java (facts 5.3)."""
    if _SEPARATOR not in text:
        return (text.strip(),)
    parts = text.split(_SEPARATOR)
    while parts and not parts[-1]:
        parts.pop()
    return tuple(part.strip() for part in parts)


def java_text(value: object) -> str:
    """Return a JSON value as Java prints it."""
    match value:
        case None:
            raise refused(status=500)
        case bool():
            return "true" if value else "false"
        case float():
            return _java_double(value)
        case list():
            return f"[{', '.join(java_text(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{k}={java_text(v)}" for k, v in value.items()) + "}"
        case _:
            return str(value)


def _java_double(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e7 or not math.isfinite(value):
        return repr(value)
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


def _text(key: str, value: object) -> str:
    """Return the text of one input, its list joined as the server joins it; raises 8009 and 500."""
    items = value if isinstance(value, list) else [value]
    texts = [java_text(item) for item in items]
    for text in texts:
        if not _VALUE.fullmatch(text):
            raise refused(INPUT_FIELD_NOT_VALID, key, _VALUE_CAUSE)
    return _SEPARATOR.join(texts)


def _completed(
    pipeline: Pipeline, values: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Fill in defaults and hidden inputs; raises 8018 for what is missing."""
    completed = dict(values)
    for name, entry in pipeline.inputs.items():
        if name in completed or name in pipeline.overridden:
            continue
        if entry.get("default-value") is not None:
            completed[name] = (java_text(entry["default-value"]),)
        elif not entry.get("optional", False):
            raise refused(INPUT_FIELD_MISSING, name)
    return completed | _copied(pipeline, completed)


def _copied(
    pipeline: Pipeline, values: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    for source in pipeline.overridden.values():
        if source not in values:
            raise refused(INPUT_FIELD_MISSING, source)
    return {hidden: values[source] for hidden, source in pipeline.overridden.items()}


def as_fields(body: object) -> dict[str, Any]:
    """Return a JSON object; raises 400/8000 for any other JSON."""
    if not isinstance(body, dict):
        raise misread()
    return body


def as_truth(value: object) -> bool | None:
    """Return a JSON value as Java reads a Boolean; raises 400/8000 for what stands for none."""
    match value:
        case None | bool():
            return value
        case int():
            return value != 0
        case "true" | "True" | "TRUE" | "false" | "False" | "FALSE":
            return value.lower() == "true"
        case "":
            return None
        case _:
            raise misread()
