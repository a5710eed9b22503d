"""What VIP takes as a value, and what it would break. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

import re
import struct
from difflib import get_close_matches
from posixpath import normpath

from vipsync.model import (
    Case,
    Descriptor,
    InputFile,
    InputFolder,
    InputValue,
    PackedFolder,
    Parameter,
    ParameterType,
    Scalar,
    Text,
    VipPath,
)
from vipsync.names import HOME, last, vip_relpath

MAX_VALUE = 255
"""Characters that VIP stores of one value (facts 5.5)."""

ON_VIP = "/vip/"
"""How a value starts that names a file which is already on VIP."""

_REFUSED = re.compile(r"[^0-9A-Za-z.,\-+@/_(): \[\]?&=]")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUP = re.compile(r"/vip/[^/]* \(group\)(?=/|$)")
_BREAKS_AN_ADDRESS = re.compile(r"[ \[\]?]")
_MAX_INT = 2**31 - 1
_MAX_SINGLE = 3.4028234663852886e38


def text_of(value: Scalar) -> str:
    """Return a value of settings.toml as VIP gets it: text, trimmed as VIP trims it (facts 5.3)."""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def refused_signs(text: str) -> list[str]:
    """Return the characters that VIP takes in no value (facts 5.2)."""
    return sorted(set(_REFUSED.findall(text)))


def text_problem(parameter: Parameter, text: str) -> str:
    """Say why VIP could not work with `text` for this parameter; "" where it can."""
    return (
        _writing_problem(text)
        or _type_problem(parameter.value_type, text)
        or _choice_problem(parameter, text)
        or _bounds_problem(parameter, text)
    )


def _writing_problem(text: str) -> str:
    """Say which rule for all values is broken (facts 5.2, 5.3)."""
    if not text:
        return "is empty, which VIP refuses: leave the key out instead"
    if refused := refused_signs(text):
        return f"{text!r} has {' '.join(map(repr, refused))}, which VIP refuses in a value"
    if "@@" in text or text.endswith("@"):
        return f"{text!r}: VIP would cut it at '@@', its mark between the items of a list"
    if len(text) > MAX_VALUE:
        return f"{text[:40]!r}… has {len(text)} characters, VIP stores {MAX_VALUE}"
    return ""


def _type_problem(kind: ParameterType, text: str) -> str:
    match kind:
        case ParameterType.BOOLEAN if text.lower() not in ("true", "false"):
            return f"{text!r} is neither true nor false"
        case ParameterType.INTEGER if not _INTEGER.fullmatch(text):
            return f"{text!r} is not a whole number"
        case ParameterType.INTEGER if not -_MAX_INT - 1 <= int(text) <= _MAX_INT:
            return f"{text} is above {_MAX_INT}, where VIP's whole numbers end"
        case ParameterType.DOUBLE if not _NUMBER.fullmatch(text):
            return f"{text!r} is not a number"
        case ParameterType.DOUBLE if abs(float(text)) > _MAX_SINGLE:
            return f"{text} is above 3.4e38, where VIP's numbers end"
        case ParameterType.FILE:
            return _address_problem(text)
        case _:
            return ""


def _address_problem(text: str) -> str:
    """Say why VIP would never find the file: such a job would run for ever (facts 5.5)."""
    rest = _GROUP.sub("", text)
    if found := _BREAKS_AN_ADDRESS.search(rest):
        return f"{text!r}: with {found[0]!r} in the path of a file its job would never start on VIP"
    if HOME in text[1:]:
        return f"{text!r} repeats {HOME}, which VIP would mangle"
    return ""


def _choice_problem(parameter: Parameter, text: str) -> str:
    if not parameter.choices:
        return ""
    number = parameter.value_type in (ParameterType.INTEGER, ParameterType.DOUBLE)
    known = [text_of(choice) for choice in parameter.choices]
    if text in known or (number and float(text) in map(_number, known)):
        return ""
    nearest = get_close_matches(text, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"{text!r} is not one of {', '.join(known)}{hint}"


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _bounds_problem(parameter: Parameter, text: str) -> str:
    if parameter.value_type not in (ParameterType.INTEGER, ParameterType.DOUBLE):
        return ""
    number, low, high = float(text), parameter.minimum, parameter.maximum
    if low is not None and (number < low or (parameter.exclusive_minimum and number == low)):
        return f"{text} must be {'above' if parameter.exclusive_minimum else 'at least'} {low:g}"
    if high is not None and (number > high or (parameter.exclusive_maximum and number == high)):
        return f"{text} must be {'below' if parameter.exclusive_maximum else 'at most'} {high:g}"
    return ""


def files_on_vip(case: Case, descriptor: Descriptor) -> tuple[VipPath, ...]:
    """Return the files and folders that a case takes from where they lie on VIP already."""
    return tuple(
        VipPath(normpath(value.text))
        for name, value in case.values.items()
        if isinstance(value, Text) and value.text.startswith(ON_VIP)
        if (parameter := descriptor.parameter(name)) and parameter.takes_files
    )


def vip_rel(value: InputFile | InputFolder | PackedFolder) -> str:
    """Return where a value's file or folder lies below INPUTS; raise NameRefused where nowhere."""
    match value:
        case InputFile():
            return vip_relpath(value.as_name or value.path)
        case InputFolder():
            return vip_relpath(value.path)
        case PackedFolder():
            return vip_relpath(packed_name(value))


def packed_name(value: PackedFolder) -> str:
    """Return the archive's name: the one it was given, or of the folder's path: `sub-01-dicom.zip`."""
    return value.as_name or f"{value.path.replace('/', '-')}.{value.kind}"


def base_name(value: InputValue) -> str:
    """Return the name under which a job finds the value in its working folder (facts 7.3)."""
    path = value.text if isinstance(value, Text) else vip_rel(value)
    return last(path.rstrip("/"))


def text_in_job(kind: ParameterType, text: str) -> str:
    """Return what a text has become when the job puts it into a name (facts 5.5, 7.3)."""
    match kind:
        case ParameterType.BOOLEAN:
            return str(text.lower() == "true")
        case ParameterType.INTEGER if _INTEGER.fullmatch(text):
            return str(int(text))
        case ParameterType.DOUBLE if _NUMBER.fullmatch(text):
            return _single(float(text))
        case _:
            return text


def count_of(text: str) -> int:
    """Return the number that an integer iterator runs to; 0 where it is none."""
    return max(0, int(text)) if _INTEGER.fullmatch(text) else 0


def _single(number: float) -> str:
    """Return a number after its way through 32 bits: the shortest text that stands for it there."""
    single: float = struct.unpack("f", _packed(number))[0]
    texts = (f"{single:.{digits}g}" for digits in range(1, 10))
    return str(float(next(text for text in texts if _packed(float(text)) == _packed(single))))


def _packed(number: float) -> bytes:
    return struct.pack("f", number)
