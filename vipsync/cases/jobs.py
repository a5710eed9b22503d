"""From the values of a case to its jobs and to what they will write. Pure: no os, time, random, httpx, sqlite3 or logging.

Follows VIP's engine (facts 5.4): folders are expanded, then integer iterators, then the lists
under `vip:dot` are paired and the rest is crossed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import product
from math import prod

from vipsync.cases.values import base_name, count_of, text_in_job, text_of
from vipsync.model import (
    MAX_JOBS_ON_VIP,
    Descriptor,
    ExpectedOutput,
    InputFolder,
    InputValue,
    Output,
    Parameter,
    ParameterType,
    Text,
)
from vipsync.names import vip_part

Values = Mapping[str, InputValue]


def with_defaults(values: Values, descriptor: Descriptor) -> dict[str, InputValue]:
    """Return the values that the engine will see: defaults and copied hidden inputs added."""
    full = dict(values)
    for parameter in descriptor.parameters:
        if parameter.name not in full and parameter.default is not None:
            full[parameter.name] = Text(text_of(parameter.default))
    for parameter in descriptor.hidden:
        source = descriptor.overridden[parameter.name]
        if source in full:
            full[parameter.name] = full[source]
    return full


def folder_matches(folder: InputFolder, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names on VIP of the files right inside a folder that fit one of the patterns."""
    start = len(folder.path) + 1
    inside = (path[start:] for path in folder.members if "/" not in path[start:])
    return tuple(
        name
        for name in map(vip_part, inside)
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    )


def width(name: str, value: InputValue, descriptor: Descriptor) -> int:
    """Return how many values the engine makes of one."""
    if name in descriptor.int_iterators and isinstance(value, Text):
        return count_of(value.text)
    patterns = descriptor.directory_patterns.get(name)
    if patterns and isinstance(value, InputFolder):
        return len(folder_matches(value, patterns))
    return 1


def is_one_job(values: Values, descriptor: Descriptor) -> bool:
    """Return True when nothing in a case can become several jobs, or none."""
    folders = (values.get(name) for name in descriptor.directory_patterns)
    return not descriptor.int_iterators and not any(isinstance(v, InputFolder) for v in folders)


def jobs_of(values: Values, descriptor: Descriptor) -> int:
    """Return the number of jobs that VIP starts for the values of one case."""
    if is_one_job(values, descriptor):
        return 1
    widths = _widths(with_defaults(values, descriptor), descriptor)
    paired = [widths.pop(name) for name in descriptor.dot if name in widths]
    return prod(widths.values()) * max(paired, default=1)


def _widths(full: Values, descriptor: Descriptor) -> dict[str, int]:
    return {name: width(name, value, descriptor) for name, value in full.items()}


def jobs_problem(values: Values, descriptor: Descriptor) -> str:
    """Say why the engine could not make jobs of the values of one case; "" where it can."""
    if is_one_job(values, descriptor):
        return ""
    full = with_defaults(values, descriptor)
    widths = _widths(full, descriptor)
    for name, count in widths.items():
        if count == 0:
            return _nothing_to_do(name, full[name], descriptor)
    paired = {name: widths[name] for name in sorted(descriptor.dot) if name in widths}
    if len(set(paired.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in paired.items())
        return (
            f"VIP pairs these inputs one by one, but they have unequal numbers of values: {counts}"
        )
    jobs = jobs_of(values, descriptor)
    if jobs > MAX_JOBS_ON_VIP:
        return f"this would be {jobs} jobs in one execution, VIP takes {MAX_JOBS_ON_VIP}"
    return _same_output(values, descriptor)


def _nothing_to_do(name: str, value: InputValue, descriptor: Descriptor) -> str:
    if isinstance(value, InputFolder):
        patterns = ", ".join(descriptor.directory_patterns[name])
        return f"{name}: no file right inside {value.path}/ fits {patterns}"
    return f"{name} is a number of jobs and must be above 0"


def _same_output(values: Values, descriptor: Descriptor) -> str:
    names = OutputNames(descriptor).job_names(values)
    again = [name for name, count in Counter(names).items() if count > 1]
    return f"several of its jobs would write the same {min(again)}" if again else ""


class OutputNames:
    """Work out the names of a pipeline's outputs, case by case."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._inputs = {p.name: p for p in descriptor.parameters + descriptor.hidden}
        self._defaults = with_defaults({}, descriptor)
        templates = "\n".join(output.path_template for output in descriptor.outputs)
        self._keyed = [p for p in self._inputs.values() if p.value_key and p.value_key in templates]

    def of(self, values: Values) -> tuple[ExpectedOutput, ...]:
        """Return what each job of a case will write, job by job."""
        return tuple(
            ExpectedOutput(output.id, self._name(output, job), output.optional)
            for job in self._jobs(values)
            for output in self._descriptor.outputs
        )

    def job_names(self, values: Values) -> Iterator[str]:
        """Yield the known names, each once per job that writes it."""
        for job in self._jobs(values):
            names = {self._name(output, job) for output in self._descriptor.outputs}
            yield from (name for name in names if name is not None)

    def _jobs(self, values: Values) -> Iterator[Mapping[str, str]]:
        """Yield, for each job, the text of each input that a template names."""
        if is_one_job(values, self._descriptor):
            yield {p.name: _text(p, v) for p in self._keyed if (v := self._value(p, values))}
            return
        full = with_defaults(values, self._descriptor)
        lists = {name: self._expanded(name, value) for name, value in full.items()}
        paired = [name for name in lists if name in self._descriptor.dot]
        crossed = [name for name in lists if name not in self._descriptor.dot]
        rows = list(zip(*(lists[name] for name in paired), strict=False)) if paired else [()]
        for row in rows:
            for choice in product(*(lists[name] for name in crossed)):
                yield dict(zip(paired + crossed, (*row, *choice), strict=True))

    def _value(self, parameter: Parameter, values: Values) -> InputValue | None:
        name = self._descriptor.overridden.get(parameter.name, parameter.name)
        return values.get(name, self._defaults.get(name))

    def _expanded(self, name: str, value: InputValue) -> tuple[str, ...]:
        patterns = self._descriptor.directory_patterns.get(name)
        if patterns and isinstance(value, InputFolder):
            return folder_matches(value, patterns)
        if name in self._descriptor.int_iterators and isinstance(value, Text):
            return tuple(map(str, range(count_of(value.text))))
        return (_text(self._inputs[name], value),)

    def _name(self, output: Output, job: Mapping[str, str]) -> str | None:
        name = output.path_template
        if output.conditional or "*" in name or "?" in name or self._names_an_output(name):
            return None
        for parameter in self._keyed:
            if parameter.name in job:
                text = _stripped(parameter, job[parameter.name], output.stripped_extensions)
                name = name.replace(parameter.value_key, text)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        return parts[-1] if ".." in parts else "/".join(parts)

    def _names_an_output(self, template: str) -> bool:
        keys = (output.value_key for output in self._descriptor.outputs)
        return any(key and key in template for key in keys)


def _text(parameter: Parameter, value: InputValue) -> str:
    if isinstance(value, Text) and not parameter.takes_files:
        return text_in_job(parameter.value_type, value.text)
    return base_name(value)


def _stripped(parameter: Parameter, text: str, extensions: tuple[str, ...]) -> str:
    if parameter.value_type in (ParameterType.FILE, ParameterType.STRING):
        for extension in extensions:
            text = text.replace(extension, "")
    return text
