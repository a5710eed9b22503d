"""What runs the jobs of an execution again with bosh: descriptor and invocations. PURE: no I/O, no clock.

Files are called by the names that they have on VIP, as a job finds them: beside the descriptor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from vipsync.cases.descriptor import parse_descriptor
from vipsync.errors import BadAnswer
from vipsync.model import MAX_JOBS_ON_VIP, Descriptor, Parameter, ParameterType
from vipsync.names import last
from vipsync.rows import Launch, LaunchedCase

Values = Mapping[str, str]
_Given = str | int | float | bool


def descriptor_of(raw: str, pipeline_id: str) -> Descriptor | None:
    """Return the descriptor that VIP gave; None where it is none."""
    try:
        document = json.loads(raw)
        return parse_descriptor(document, pipeline_id) if isinstance(document, dict) else None
    except (ValueError, RecursionError, BadAnswer):
        return None


def runnable(raw: str) -> str:
    """Return a descriptor as its schema has it: VIP writes empty lists and nulls for what is not given."""
    return json.dumps(_given(json.loads(raw)), indent=1, ensure_ascii=False) + "\n"


def _given(value: Any, key: str = "") -> Any:
    match value:
        case dict() if key == "custom":
            return value
        case dict():
            kept = {k: _given(v, k) for k, v in value.items()}
            return {k: v for k, v in kept.items() if v is not None and v not in ([], {})}
        case list():
            return [_given(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def values_of(launch: Launch, case: LaunchedCase | None, descriptor: Descriptor) -> list[Values]:
    """Return the values of each job of a case, or of a whole launch: pairs and products as VIP makes them."""
    lists = {name: (v,) for name, v in case.values.items()} if case else {}
    full = {**launch.values, **lists}
    for name, source in descriptor.overridden.items():
        full.setdefault(name, full.get(source, ()))
    expanded = {name: _counted(name, values, descriptor) for name, values in full.items()}
    return list(islice(_combined(expanded, descriptor), MAX_JOBS_ON_VIP))


def _counted(name: str, values: Sequence[str], descriptor: Descriptor) -> Sequence[str]:
    """Return the numbers that an iterator stands for (facts 5.4)."""
    if name in descriptor.int_iterators and len(values) == 1 and values[0].isdecimal():
        return [str(number) for number in range(min(int(values[0]), MAX_JOBS_ON_VIP))]
    return values


def _combined(values: Mapping[str, Sequence[str]], descriptor: Descriptor) -> Iterator[Values]:
    paired = {name: some for name, some in values.items() if name in descriptor.dot}
    crossed = {name: some for name, some in values.items() if some and name not in paired}
    for row in zip(*paired.values(), strict=False) if paired else [()]:
        for choice in product(*crossed.values()):
            yield {**dict(zip(paired, row, strict=True)), **dict(zip(crossed, choice, strict=True))}


def invocation(values: Values, descriptor: Descriptor) -> str:
    """Return what `bosh exec launch` is given for one job; what the pipeline does not know is left out."""
    known = {p.name: p for p in (*descriptor.parameters, *descriptor.hidden)}
    given = {n: _typed(known[n], v) for n, v in sorted(values.items()) if n in known}
    return json.dumps(given, indent=1, ensure_ascii=False) + "\n"


def _typed(parameter: Parameter, text: str) -> _Given | list[_Given]:
    value = _one(parameter.value_type, text)
    return [value] if parameter.element else value


def _one(kind: ParameterType, text: str) -> _Given:
    try:
        match kind:
            case ParameterType.FILE:
                return last(text.rstrip("/"))
            case ParameterType.BOOLEAN:
                return text.lower() == "true"
            case ParameterType.INTEGER:
                return int(text)
            case ParameterType.DOUBLE:
                return float(text)
            case _:
                return text
    except ValueError:
        return text
