"""[input_settings], read against the pipeline's parameters. Pure: no os, time, random, httpx, sqlite3 or logging.

Every problem of the settings is found here, before a file is looked at, and all are told at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches

from msgspec import Struct

from vipsync.cases.patterns import (
    Pattern,
    Template,
    compile_pattern,
    compile_template,
    everything,
)
from vipsync.cases.values import ON_VIP, text_of, text_problem
from vipsync.errors import SettingsError
from vipsync.model import (
    Descriptor,
    FileSetting,
    InputSetting,
    PackKind,
    PackSetting,
    Parameter,
    Scalar,
    Settings,
)

RESULTS_DIRECTORY = "results-directory"
"""The parameter that vipsync sets itself."""

_NEAR = 0.5
"""How much like a known word one must be to be taken for it."""

_Item = Scalar | FileSetting | PackSetting


class FileItem(Struct, frozen=True):
    """A setting, or one item of a list, that names files or folders of inputs/."""

    pattern: Pattern
    as_name: Template | None = None
    pack: PackKind | None = None


class Source(Struct, frozen=True):
    """Where the values of one parameter come from. `paired`: VIP pairs its list with others."""

    parameter: Parameter
    items: tuple[FileItem | Template, ...]
    is_list: bool
    paired: bool

    @property
    def files(self) -> tuple[FileItem, ...]:
        """Return the items that name files of inputs/."""
        return tuple(item for item in self.items if isinstance(item, FileItem))

    @property
    def texts(self) -> tuple[Template, ...]:
        """Return the items that go to VIP as they stand."""
        return tuple(item for item in self.items if isinstance(item, Template))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that its patterns find out."""
        return tuple(dict.fromkeys(name for item in self.files for name in item.pattern.names))

    @property
    def is_wild(self) -> bool:
        """True when one of its patterns varies without a name."""
        return any(item.pattern.is_wild for item in self.files)


class Recipe(Struct, frozen=True):
    """What settings.toml asks for: the sources in its order, and the file that says "complete"."""

    sources: tuple[Source, ...]
    ready: Pattern | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names in order of their first appearance."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.names))


def read_sources(
    settings: Settings, descriptor: Descriptor, unread: Collection[str] = ()
) -> Recipe:
    """Return what the settings ask for; raise SettingsError with every problem in them.

    `unread` are parameters of which it was said already that their values cannot be.
    """
    problems: list[str] = []
    sources, meant = [], set(unread)
    for key, setting in settings.input_settings.items():
        name = _meant(key, settings, descriptor)
        meant.add(name)
        if descriptor.parameter(key) is None:
            problems.append(f"[input_settings] {key}: {_unknown(key, descriptor)}")
        if (parameter := descriptor.parameter(name)) is None:
            continue
        try:
            sources.append(_source(parameter, setting, paired=name in descriptor.dot))
        except SettingsError as error:
            problems.append(f"[input_settings] {key}: {error.message}")
    problems.extend(_missing(meant, descriptor))
    recipe = Recipe(tuple(sources), _ready(settings.inputs.ready, problems))
    problems.extend(_pairing_problems([source for source in sources if source.paired]))
    if len(sources) == len(settings.input_settings) and not unread:  # else a name may stand there
        problems.extend(_name_problems(recipe))
    if problems:
        raise SettingsError(_told(problems))
    return recipe


def _meant(key: str, settings: Settings, descriptor: Descriptor) -> str:
    """Return the parameter that a key is for: of one that VIP does not know, the nearest that is not set."""
    known = {p.name.lower(): p.name for p in descriptor.parameters}
    if descriptor.parameter(key) or key in descriptor.overridden or key == RESULTS_DIRECTORY:
        return key
    free = [low for low, name in known.items() if name not in settings.input_settings]
    near = get_close_matches(key.lower(), known, n=1, cutoff=_NEAR)
    return known[near[0]] if near and near[0] in free else key


def _sentence(text: str) -> str:
    return text if text.endswith(("?", ".", "!")) else f"{text}."


def _told(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return _sentence(f"{Settings.SOURCE}, {problems[0]}")
    return "\n  ".join([f"{Settings.SOURCE} has {len(problems)} problems:", *problems])


def _source(parameter: Parameter, setting: InputSetting, *, paired: bool) -> Source:
    is_list = isinstance(setting, tuple)
    raw: tuple[_Item, ...] = setting if isinstance(setting, tuple) else (setting,)
    items = tuple(_item(parameter, item) for item in raw)
    if not items:
        raise SettingsError("the list is empty: leave the key out instead")
    lone_pattern = len(items) == 1 and isinstance(items[0], FileItem) and items[0].pattern.is_wild
    source = Source(parameter, items, is_list and not lone_pattern, paired)
    if source.files and any(set(_names(item)) != set(source.names) for item in items):
        raise SettingsError("each item of the list must use the same {names}")
    return source


def _unknown(key: str, descriptor: Descriptor) -> str:
    if key == RESULTS_DIRECTORY:
        return "vipsync chooses the folder of the results itself: take the line out"
    if key in descriptor.overridden:
        return f"VIP fills this in itself, from {descriptor.overridden[key]}: take the line out"
    known = [parameter.name for parameter in descriptor.parameters]
    return f"{descriptor.pipeline_id} has no such parameter{nearest(key, known)}"


def nearest(word: str, known: Sequence[str]) -> str:
    """Return a hint to the known word that comes nearest; the known ones where none is near."""
    lowered = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), lowered, n=1, cutoff=_NEAR)
    if found:
        return f"; did you mean {lowered[found[0]]}?"
    return f"; there are {', '.join(known)}" if known else ""


def _item(parameter: Parameter, item: _Item) -> FileItem | Template:
    if not parameter.takes_files:
        return _text(parameter, item)
    match item:
        case FileSetting():
            return _renamed(item)
        case PackSetting():
            return _packed(item)
        case str() if item.strip().startswith(ON_VIP):
            return _text(parameter, item)
        case str():
            return FileItem(_local_pattern(item))
        case _:
            raise SettingsError(f"{text_of(item)} is no file: write a path in quotes")


def _local_pattern(text: str) -> Pattern:
    if text.startswith(ON_VIP):
        raise SettingsError(f"{text!r} is already on VIP: give it as plain text")
    return compile_pattern(text)


def _text(parameter: Parameter, item: _Item) -> Template:
    if isinstance(item, FileSetting | PackSetting):
        raise SettingsError(f"it takes {parameter.value_type}, not a file")
    text = text_of(item)
    template = compile_template(text)
    problem = "" if template.names else text_problem(parameter, template.fill({}))
    if problem:
        raise SettingsError(problem)
    return template


def _packed(setting: PackSetting) -> FileItem:
    folder = setting.folder.strip().removesuffix("/") + "/"
    itself = folder == "./"
    pattern = everything() if itself else _local_pattern(folder)
    if not setting.as_name and itself:
        raise SettingsError(f'"./" has no name of its own: add as = "study.{setting.kind}"')
    as_name = _as_name(setting.as_name, pattern, folder) if setting.as_name else None
    if as_name and not setting.as_name.endswith(f".{setting.kind}"):
        raise SettingsError(f"as = {setting.as_name!r}: end it with .{setting.kind}")
    return FileItem(pattern, as_name=as_name, pack=setting.kind)


def _renamed(setting: FileSetting) -> FileItem:
    pattern = _local_pattern(setting.file)
    if pattern.is_folder:
        raise SettingsError(
            "'as' gives another name to a file, or to a folder that is packed, as in "
            '{ zip = "folder/", as = "…" }'
        )
    return FileItem(pattern, as_name=_as_name(setting.as_name, pattern, setting.file))


def _as_name(text: str, pattern: Pattern, source: str) -> Template:
    as_name = compile_template(text)
    if any(mark in text for mark in "*?[]"):
        raise SettingsError(f"as = {text!r}: only {{names}} can stand in it, no * ? [ ]")
    compile_pattern(as_name.fill({}).rstrip("/") + "/" * text.endswith("/"))
    if text.endswith("/"):
        raise SettingsError(f"as = {text!r}: end it with the file's name")
    unknown = [name for name in as_name.names if name not in pattern.names]
    if unknown:
        raise SettingsError(
            f"as = {text!r}: {{{unknown[0]}}} does not stand in {source!r}"
            f"{nearest(unknown[0], pattern.names)}"
        )
    return as_name


def _names(item: FileItem | Template) -> tuple[str, ...]:
    return item.pattern.names if isinstance(item, FileItem) else item.names


def _missing(named: Collection[str], descriptor: Descriptor) -> Iterator[str]:
    for parameter in descriptor.parameters:
        if parameter.required and parameter.name not in named:
            yield (
                f"[input_settings] {parameter.name} is missing: "
                f"{descriptor.pipeline_id} needs it ({parameter.type})"
            )


def _ready(text: str, problems: list[str]) -> Pattern | None:
    if not text:
        return None
    try:
        pattern = compile_pattern(text)
        if pattern.is_folder:
            raise SettingsError(f"{text!r} is a folder: name a file in it")
    except SettingsError as error:
        problems.append(f"[inputs] ready: {error.message}")
        return None
    return pattern


def _pairing_problems(paired: Sequence[Source]) -> Iterator[str]:
    """Find lists that VIP could not pair one by one (vip:dot, facts 5.4)."""
    lists = [source for source in paired if source.is_list]
    lengths = {source.parameter.name: len(source.items) for source in lists}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        yield (
            "[input_settings] VIP pairs the items of these lists one by one (vip:dot), "
            f"so they must be equally long: {counts}"
        )
    elif len(set(zip(*(source.items for source in lists), strict=True))) < max(
        lengths.values(), default=0
    ):
        yield f"[input_settings] {', '.join(lengths)}: two items of these lists are the same"
    wild = [source for source in paired if source.is_wild]
    if len({source.parameter.name for source in wild + lists}) > 1 and wild:
        names = ", ".join(dict.fromkeys(source.parameter.name for source in wild + lists))
        yield (
            f"[input_settings] {names}: VIP pairs their values one by one (vip:dot), and nothing "
            "says which belong together: write {name} where they vary, as in "
            f"{wild[0].parameter.name} = {_as_named(wild[0])!r}"
        )


def _as_named(source: Source) -> str:
    return source.files[0].pattern.text.replace("**", "*").replace("*", "{name}", 1)


def _name_problems(recipe: Recipe) -> Iterator[str]:
    """Find names that no pattern finds out."""
    for source in recipe.sources:
        used = (name for item in source.texts for name in item.names)
        yield from _unbound(f"[input_settings] {source.parameter.name}", used, recipe.names)
    if recipe.ready:
        yield from _unbound("[inputs] ready", recipe.ready.names, recipe.names)


def _unbound(where: str, used: Iterable[str], bound: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(used):
        if name not in bound:
            hint = nearest(name, bound) if bound else ": no file's pattern has a {name}"
            yield f"{where}: nothing says what {{{name}}} stands for{hint}"
