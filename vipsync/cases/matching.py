"""Files against patterns: what each parameter could be given. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile

from msgspec import Struct

from vipsync.cases.patterns import Pattern, Template, several_readings
from vipsync.cases.sources import FileItem, Source
from vipsync.cases.values import MAX_VALUE, vip_rel
from vipsync.errors import NameRefused
from vipsync.model import (
    InputFile,
    InputFolder,
    InputValue,
    PackedFolder,
    RelPath,
    Text,
    replace,
)
from vipsync.names import clashes, folder_words, folders_above, vip_relpath

PAIRED = "*"
"""The variable of all lists under `vip:dot`: the index of their item."""

_LATER_VERSION = len("_v99/")


class Option(Struct, frozen=True):
    """One value that a parameter could have: with the files it needs, or with what is missing.

    `value` is a Template where names decide the text, None where the file is missing.
    """

    value: InputValue | Template | None
    files: tuple[RelPath, ...] = ()
    missing: str = ""
    problem: str = ""


class Relation(Struct, frozen=True):
    """The options of one parameter, by what its variables stand for.

    Variables are `{names}`; `*` for the index of paired lists; `*parameter` for what varies in
    this parameter alone.
    """

    source: Source
    variables: tuple[str, ...]
    options: Mapping[tuple[str, ...], Option]

    def wanted(self, bound: Mapping[str, str]) -> str:
        """Return the path, or else the pattern, that a case lacks here; it must take files."""
        item: FileItem | Template = self.source.files[0]
        if PAIRED in self.variables and PAIRED in bound:
            item = self.source.items[int(bound[PAIRED])]
        return item.pattern.wanted(bound) if isinstance(item, FileItem) else item.fill(bound)


class Tree:
    """The files of inputs/, found by pattern, by name in full, or by folder."""

    def __init__(self, files: Iterable[RelPath], named: Iterable[RelPath]) -> None:
        self.files = tuple(sorted(set(files)))
        self._named = frozenset(named).union(self.files)

    @cached_property
    def _any_case(self) -> Mapping[str, list[RelPath]]:
        found: defaultdict[str, list[RelPath]] = defaultdict(list)
        for path in sorted(self._named):
            found[path.casefold()].append(path)
        return found

    @cached_property
    def _folders(self) -> tuple[RelPath, ...]:
        seen: set[str] = set()
        for path in self.files:
            seen.update(takewhile(lambda folder: folder not in seen, folders_above(path)))
        return tuple(map(RelPath, sorted(seen)))

    def members(self, folder: RelPath) -> tuple[RelPath, ...]:
        """Return the files below a folder, sorted; all of them for inputs/ itself."""
        if not folder:
            return self.files
        first = bisect_left(self.files, RelPath(f"{folder}/"))
        end = bisect_left(self.files, RelPath(f"{folder}0"), lo=first)  # 0 comes right after /
        return self.files[first:end]

    def matches(self, pattern: Pattern) -> Iterator[tuple[RelPath, Sequence[tuple[str, ...]]]]:
        """Yield each path that matches, with what the names of the pattern may stand for."""
        if pattern.is_root:
            yield from [(RelPath(""), ((),))] * bool(self.files)
            return
        if pattern.is_literal and not pattern.is_folder:
            yield from ((path, ((),)) for path in self._by_name(pattern.fill({})))
            return
        for path in self._folders if pattern.is_folder else self.files:
            if readings := pattern.readings(path):
                yield path, readings

    def _by_name(self, name: str) -> Iterable[RelPath]:
        """Find a file named in full, ignored or not: as written, else in any case."""
        exact = RelPath(name)
        return (exact,) if exact in self._named else self._any_case.get(name.casefold(), ())


def relate(source: Source, tree: Tree, root_length: int) -> Relation:
    """Work out what one parameter could be given. `root_length`: that of the inputs' root on VIP."""
    varies_alone = source.is_wild or (source.is_list and not source.paired)
    own = f"*{source.parameter.name}"
    variables = (
        *source.names,
        *([PAIRED] if source.is_list and source.paired else []),
        *([own] if varies_alone else []),
    )
    options: dict[tuple[str, ...], Option] = {}
    for index, item in enumerate(source.items):
        for names, path, option, wanted in _options(item, tree, root_length):
            bound = {**names, PAIRED: str(index), own: path}
            key = tuple(bound[variable] for variable in variables)
            options[key] = _preferred(options.get(key), option, wanted)
    return Relation(source, variables, options)


_Found = tuple[Mapping[str, str], str, Option, str]


def _options(item: FileItem | Template, tree: Tree, root_length: int) -> Iterator[_Found]:
    """Yield, for each option of an item: its names, its own text, itself, the exact path meant."""
    if isinstance(item, Template):
        value = item if item.names else Text(item.fill({}))
        yield {}, item.text, Option(value), ""
        return
    pattern = item.pattern
    found = False
    for path, readings in tree.matches(pattern):
        found = True
        names = dict(zip(pattern.names, readings[0], strict=True))
        option = _option(item, names, path, tree, root_length)
        if len(readings) > 1:
            option = replace(option, problem=several_readings(pattern, path, readings))
        yield names, path, option, pattern.fill(names)
    if pattern.is_literal and not found:
        missing = pattern.wanted({})
        yield {}, missing, Option(None, missing=missing), ""


def _preferred(before: Option | None, option: Option, wanted: str) -> Option:
    """Choose between two files that differ only in upper and lower case: the one as written."""
    if before is None or before.value == option.value:
        return option
    exact = [one for one in (before, option) if _path(one) == wanted]
    if exact:
        return exact[0]
    both = " and ".join(sorted((_path(before), _path(option))))
    return replace(before, problem=f"{both} both match, and differ only in upper and lower case")


def _path(option: Option) -> str:
    match option.value:
        case InputFile(path=path) | InputFolder(path=path) | PackedFolder(path=path):
            return path
        case _:
            return ""


def _option(
    item: FileItem, names: Mapping[str, str], path: RelPath, tree: Tree, root_length: int
) -> Option:
    value: InputFile | InputFolder | PackedFolder
    if not item.pattern.is_folder:
        value = InputFile(path, item.as_name.fill(names) if item.as_name else "")
        return Option(value, (path,), problem=_name_problem(value, (), root_length))
    members, as_name = tree.members(path), item.as_name.fill(names) if item.as_name else ""
    if item.pack:
        value = PackedFolder(path, item.pack, members, as_name)
    else:
        value = InputFolder(path, members)
    sent = () if item.pack else members
    return Option(value, members, problem=_name_problem(value, sent, root_length))


def _name_problem(
    value: InputFile | InputFolder | PackedFolder, members: Collection[RelPath], root_length: int
) -> str:
    """Say why VIP cannot hold this name, or the name of a member; "" where it can."""
    try:
        rel = vip_rel(value)
        for member in members:
            vip_relpath(member)
    except NameRefused as error:
        return str(error).rstrip(".")
    length = root_length + 1 + _LATER_VERSION + len(rel)
    if length > MAX_VALUE:
        return f"{value.path}: its path on VIP has {length} characters, VIP takes {MAX_VALUE}"
    return ""


def refuse_clashes(relations: Iterable[Relation], others: Iterable[RelPath]) -> list[Relation]:
    """Return the relations, with a problem on each option whose name on VIP another one has too.

    `others` are files that go to VIP though no setting uses them.
    """
    relations = list(relations)
    owners = _owners(relations, others)
    clashing = dict(_clashes(owners))
    if any(isinstance(o.value, InputFolder) for r in relations for o in r.options.values()):
        clashing |= _folder_clashes(owners)
    if not clashing:
        return relations
    return [
        replace(
            relation,
            options={key: _told(option, clashing) for key, option in relation.options.items()},
        )
        for relation in relations
    ]


def _owners(relations: Iterable[Relation], others: Iterable[RelPath]) -> Mapping[str, set[str]]:
    """Map each path on VIP to what would be sent there."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for relation in relations:
        for option in relation.options.values():
            if not option.problem:
                for rel, origin in _sent(option):
                    owners[rel].add(origin)
    for path in others:
        try:
            owners[vip_relpath(path)].add(path)
        except NameRefused:
            continue
    return owners


def _sent(option: Option) -> Iterator[tuple[str, str]]:
    """Yield what an option puts on VIP: the path there, and what it comes from."""
    match option.value:
        case InputFile(path=path) as value:
            yield vip_rel(value), path
        case PackedFolder(path=path) as value:
            yield vip_rel(value), folder_words(path)
        case InputFolder(members=members):
            yield from ((vip_relpath(member), member) for member in members)
        case _:
            return


def _clashes(owners: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield each origin that shares its path on VIP, with the words that say so."""
    for rel, origins in owners.items():
        if len(origins) > 1:
            both = " and ".join(sorted(origins))
            for origin in origins:
                yield origin, f"{both} would both be {rel} on VIP: rename one of them"
        for folder in folders_above(rel):
            for above in sorted(owners.get(folder, ())):
                words = f"{min(origins)} needs a folder {folder} on VIP, which {above} would be"
                yield from (
                    (origin, f"{words}: rename one of them") for origin in {*origins, above}
                )


def _folder_clashes(owners: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield each folder that shares its path on VIP: a job would get the files of both."""
    paths = {o for rel, origins in owners.items() for o in origins if _keeps_its_name(o, rel)}
    for rel, folders in clashes(RelPath(f) for path in paths for f in folders_above(path)).items():
        both = " and ".join(f"{folder}/" for folder in folders)
        for folder in folders:
            yield folder, f"{both} would both be {rel}/ on VIP: rename one of them"


def _keeps_its_name(origin: str, rel: str) -> bool:
    """Tell whether this is a file that is sent below its own folders: no archive, not `as` another."""
    try:
        return not origin.endswith("/") and vip_relpath(origin) == rel
    except NameRefused:
        return False


def _told(option: Option, clashing: Mapping[str, str]) -> Option:
    if option.problem:
        return option
    problems = (clashing[origin] for origin in _origins(option) if origin in clashing)
    return replace(option, problem=next(problems, ""))


def _origins(option: Option) -> Iterator[str]:
    """Yield what an option is made of here: files, and a folder with those in it."""
    if isinstance(option.value, InputFolder):
        path, members = option.value.path, option.value.members
        folders = {folder for member in members for folder in folders_above(member)}
        yield from sorted(f for f in folders if f"{f}/".startswith(f"{path}/"))
    yield from (origin for _, origin in _sent(option))
