"""From files to cases. Pure: no os, time, random, httpx, sqlite3 or logging.

settings.toml says what each parameter may be given (`sources`), the files say what there is
(`matching`), names say what goes together (`joining`); here each choice becomes a case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from vipsync.cases.jobs import jobs_problem
from vipsync.cases.joining import Choice, join
from vipsync.cases.matching import PAIRED, Option, Relation, Tree, refuse_clashes, relate
from vipsync.cases.patterns import Pattern, Template
from vipsync.cases.sources import FileItem, Recipe, Source, read_sources
from vipsync.cases.values import base_name, text_problem
from vipsync.model import (
    Case,
    CaseSet,
    Descriptor,
    InputFile,
    InputFolder,
    InputValue,
    PackedFolder,
    Parameter,
    RelPath,
    Settings,
    Text,
    Unused,
)
from vipsync.names import folder_words, inputs_root

_SHAPES = 300
"""Kinds of unused files that are compared with the patterns; more would cost seconds."""


def find_cases(
    files: Collection[RelPath],
    named: Collection[RelPath],
    settings: Settings,
    descriptor: Descriptor | None,
) -> CaseSet:
    """Return every case that the files make, complete or not, and the files that belong to none.

    `files` are those after the ignore rules, `named` all of them: a file named in full, and a
    ready file, is always seen. Without a pipeline there are no cases. Raises SettingsError with
    every problem of the settings; the trouble of a file is told by its cases.
    """
    if descriptor is None:
        return CaseSet()
    recipe = read_sources(settings, descriptor)
    ready = _Ready(recipe.ready, named)
    tree = Tree((path for path in files if path not in ready.files), named)
    root_length = len(inputs_root(settings.session_name))
    relations = [relate(source, tree, root_length) for source in recipe.sources]
    unused = _unused(tree.files, relations)
    everything = settings.inputs.upload == "all"
    relations = refuse_clashes(relations, unused if everything else ())
    builder = _Builder(recipe, relations, ready, descriptor, settings.session_name)
    cases = sorted(map(builder.case, join(relations)), key=lambda case: case.id)
    return CaseSet(
        cases=tuple(cases),
        unused=() if everything else tuple(_with_nearest(unused, recipe)),
        warnings=tuple(_warnings(relations, tree)),
    )


class _Ready:
    """The files whose presence says that a case is complete."""

    def __init__(self, pattern: Pattern | None, named: Collection[RelPath]) -> None:
        self._pattern = pattern
        self.files: set[RelPath] = set()
        self._found: set[tuple[str, ...]] = set()
        for path in named if pattern else ():
            readings = pattern.readings(path) if pattern else ()
            self.files.update([path] if readings else [])
            self._found.update(readings if len(readings) == 1 else [])

    def waits_for(self, bound: Mapping[str, str]) -> Iterator[str]:
        """Yield the ready file that a case still lacks."""
        if self._pattern is None:
            return
        if tuple(bound.get(name, "") for name in self._pattern.names) not in self._found:
            yield self._pattern.wanted(bound)


class _Builder:
    """Make cases of choices; what is the same for all of them is worked out once."""

    def __init__(
        self,
        recipe: Recipe,
        relations: Sequence[Relation],
        ready: _Ready,
        descriptor: Descriptor,
        session: str,
    ) -> None:
        self._names = recipe.names
        self._relations = relations
        self._ready = ready
        self._descriptor = descriptor
        self._label = _Labels(recipe, relations, session)
        self._problems: dict[tuple[str, str], str] = {}
        constant = [option for r in relations if not r.variables for option in r.options.values()]
        self._shared = tuple(sorted({path for option in constant for path in option.files}))

    def case(self, choice: Choice) -> Case:
        """Return the case that a choice makes."""
        values: dict[str, InputValue] = {}
        waits: list[str] = []
        problems: list[str] = []
        for relation in self._relations:
            parameter = relation.source.parameter
            option = choice.options.get(parameter.name)
            if option is None or option.value is None:
                waits.extend(_missing(relation, option, choice.bound))
                continue
            value = self._value(option, choice.bound)
            if value is not None:
                values[parameter.name] = value
                problem = option.problem or self._text_problem(parameter, option, value)
                problems.extend([f"{parameter.name}: {problem}"] if problem else [])
        waits.extend(self._ready.waits_for(choice.bound))
        if not waits and not problems:
            problems.extend(_values_problems(values, self._descriptor))
        return Case(
            id=self._label.of(choice.bound),
            values=values,
            own=self._own(choice),
            shared=self._shared,
            names={name: choice.bound[name] for name in self._names if name in choice.bound},
            waits_for=tuple(dict.fromkeys(waits)),
            error="; ".join(problems),
        )

    def _value(self, option: Option, bound: Mapping[str, str]) -> InputValue | None:
        """Return the value of an option; None for a text whose names are not all known."""
        value = option.value
        if not isinstance(value, Template):
            return value
        return Text(value.fill(bound).strip()) if bound.keys() >= set(value.names) else None

    def _text_problem(self, parameter: Parameter, option: Option, value: InputValue) -> str:
        """Say why a text that names decided can't be sent; other texts were looked at before."""
        if not isinstance(option.value, Template) or not isinstance(value, Text):
            return ""
        key = (parameter.name, value.text)
        if key not in self._problems:
            self._problems[key] = text_problem(parameter, value.text)
        return self._problems[key]

    def _own(self, choice: Choice) -> tuple[RelPath, ...]:
        files = [
            choice.options[relation.source.parameter.name].files
            for relation in self._relations
            if relation.variables and relation.source.parameter.name in choice.options
        ]
        found = [paths for paths in files if paths]
        return found[0] if len(found) == 1 else tuple(sorted({p for paths in found for p in paths}))


def _missing(relation: Relation, option: Option | None, bound: Mapping[str, str]) -> Iterator[str]:
    """Yield the file that a case lacks; words of a list wait for the files they are paired with."""
    if option is not None:
        yield option.missing
    elif relation.source.files:
        yield relation.wanted(bound)


def _values_problems(values: Mapping[str, InputValue], descriptor: Descriptor) -> Iterator[str]:
    """Find what would go wrong inside a job, or in making jobs of the values."""
    if collision := _same_base_name(values, descriptor):
        yield collision
    elif problem := jobs_problem(values, descriptor):
        yield problem


def _same_base_name(values: Mapping[str, InputValue], descriptor: Descriptor) -> str:
    """Say which two inputs would overwrite each other in the job's folder (facts 7.3)."""
    found: dict[str, tuple[str, InputValue]] = {}
    for parameter in descriptor.parameters:
        value = values.get(parameter.name)
        if value is None or not parameter.takes_files:
            continue
        name = base_name(value)
        other, before = found.setdefault(name, (parameter.name, value))
        if before != value:
            return (
                f"{other} ({_origin(before)}) and {parameter.name} ({_origin(value)}) would both "
                f"be {name} in the job's folder: give one of them another name with as ="
            )
    return ""


def _origin(value: InputValue) -> str:
    match value:
        case Text(text=text):
            return text
        case InputFile(path=path):
            return path
        case InputFolder(path=path) | PackedFolder(path=path):
            return folder_words(path)


class _Labels:
    """Name cases by what varies: names joined with /, else the path, else the words of a list.

    Where all of inputs/ is one case, that has no path of its own: it is called as the session.
    """

    def __init__(self, recipe: Recipe, relations: Sequence[Relation], session: str) -> None:
        self._names = recipe.names
        self._own = [r for r in relations if f"*{r.source.parameter.name}" in r.variables]
        paired = [r.source for r in relations if PAIRED in r.variables]
        self._paired = _telling(paired)
        fixed = next((_item_text(f, {}) for s in recipe.sources for f in s.files), "all")
        self._fixed = session if fixed == folder_words(RelPath("")) else fixed
        self._path_tells_names = any(
            r.source.files and set(r.source.names) == set(self._names) for r in self._own
        )

    def of(self, bound: Mapping[str, str]) -> str:
        """Return the id of a case: unique, and independent of what else there is."""
        parts = []
        if self._names and not self._path_tells_names:
            parts.append("/".join(bound.get(name, f"{{{name}}}") for name in self._names))
        if self._paired and PAIRED in bound:
            index = int(bound[PAIRED])
            parts.extend(_item_text(source.items[index], bound) for source in self._paired)
        for relation in self._own:
            own = bound.get(f"*{relation.source.parameter.name}")
            parts.append(own or relation.wanted(bound))
        return " + ".join(parts) or self._fixed


def _item_text(item: FileItem | Template, bound: Mapping[str, str]) -> str:
    return item.pattern.wanted(bound) if isinstance(item, FileItem) else item.fill(bound)


def _telling(paired: Sequence[Source]) -> Sequence[Source]:
    """Return the paired list that tells its items apart alone, a list of files first, else all."""
    for source in sorted(paired, key=lambda source: not source.files):
        if len({_item_text(item, {}) for item in source.items}) == len(source.items):
            return [source]
    return paired


def _unused(files: Sequence[RelPath], relations: Sequence[Relation]) -> list[RelPath]:
    used = {
        p for relation in relations for option in relation.options.values() for p in option.files
    }
    return [path for path in files if path not in used]


def _with_nearest(unused: Sequence[RelPath], recipe: Recipe) -> Iterator[Unused]:
    """Name beside each unused file the pattern that comes nearest; files alike are compared once."""
    patterns = list(
        dict.fromkeys(item.pattern.wanted({}) for source in recipe.sources for item in source.files)
    )
    nearest: dict[str, str] = {}
    for path in unused:
        shape = re.sub(r"[0-9]+", "0", path)
        if shape not in nearest and len(nearest) < _SHAPES:
            nearest[shape] = next(iter(get_close_matches(path, patterns, n=1, cutoff=0.4)), "")
        yield Unused(path, nearest.get(shape, ""))


def _warnings(relations: Sequence[Relation], tree: Tree) -> Iterator[str]:
    """Say which settings find nothing, and which name a folder as if it were a file."""
    for relation in relations:
        where = f"[input_settings] {relation.source.parameter.name}"
        if not relation.options:
            yield f"{where}: no file matches {relation.wanted({})}"
        for option in relation.options.values():
            if option.missing and tree.members(RelPath(option.missing)):
                yield f"{where}: {option.missing} is a folder, write {option.missing}/ to give it whole"
