"""A pipeline's Boutiques descriptor, as VIP answers it. Pure: no os, time, random, httpx, sqlite3 or logging.

VIP parses and writes the descriptor anew: unknown keys vanish, empty arrays and nulls stand
everywhere (facts 4.1). Both mean "not given" here.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, ValidationError, convert, field

from vipsync.errors import BadAnswer
from vipsync.model import Descriptor, Output, Parameter, ParameterType, Scalar

_Names = tuple[str, ...] | str


class _Input(Struct, frozen=True, rename="kebab"):
    id: str
    type: str
    name: str = ""
    description: str = ""
    value_key: str = ""
    integer: bool = False
    list: bool = False
    optional: bool = False
    default_value: object = None
    value_choices: tuple[Scalar, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False

    def _element(self) -> ParameterType:
        match self.type:
            case "File":
                return ParameterType.FILE
            case "Flag":
                return ParameterType.BOOLEAN
            case "Number":
                return ParameterType.INTEGER if self.integer else ParameterType.DOUBLE
            case _:
                return ParameterType.STRING

    def parameter(self) -> Parameter:
        return Parameter(
            name=self.id,
            type=ParameterType.LIST if self.list else self._element(),
            element=self._element() if self.list else None,
            optional=self.optional,
            default=self.default_value if isinstance(self.default_value, Scalar) else None,
            description=self.description,
            label=self.name,
            choices=self.value_choices,
            minimum=self.minimum,
            maximum=self.maximum,
            exclusive_minimum=self.exclusive_minimum,
            exclusive_maximum=self.exclusive_maximum,
            value_key=self.value_key,
        )


class _Output(Struct, frozen=True, rename="kebab"):
    id: str
    path_template: str = ""
    path_template_stripped_extensions: tuple[str, ...] = ()
    optional: bool = False
    value_key: str = ""

    def output(self) -> Output:
        return Output(
            id=self.id,
            path_template=self.path_template,
            optional=self.optional,
            stripped_extensions=self.path_template_stripped_extensions,
            conditional=not self.path_template,
            value_key=self.value_key,
        )


class _Patterns(Struct, frozen=True):
    patterns: _Names = ()


class _Custom(Struct, frozen=True):
    dot: _Names = field(default=(), name="vip:dot")
    directories: dict[str, _Patterns] = field(default_factory=dict, name="vip:directoryInputs")
    int_iterators: _Names = field(default=(), name="vip:intIteratorInputs")
    overridden: dict[str, str] = field(default_factory=dict, name="vip:overriddenInputs")
    suffix: str | None = field(default=None, name="vip:resultsDirectorySuffix")


class _Descriptor(Struct, frozen=True, rename="kebab"):
    name: str
    tool_version: str = ""
    version: str = ""
    description: str = ""
    inputs: tuple[_Input, ...] = ()
    output_files: tuple[_Output, ...] = ()
    custom: _Custom = _Custom()


def parse_descriptor(raw: Mapping[str, object], pipeline_id: str) -> Descriptor:
    """Return what vipsync needs of a descriptor; raise BadAnswer where it is none."""
    try:
        wire = convert(_given(raw), _Descriptor, strict=False)
    except ValidationError as error:
        raise BadAnswer(
            f"The description of pipeline {pipeline_id} has another shape than expected: {error}.",
            "Tell the developers of vipsync, with the name of the pipeline.",
        ) from error
    custom = wire.custom
    parameters = [entry.parameter() for entry in wire.inputs]
    return Descriptor(
        pipeline_id=pipeline_id,
        name=wire.name,
        version=wire.tool_version or wire.version,
        description=wire.description,
        parameters=tuple(p for p in parameters if p.name not in custom.overridden),
        hidden=tuple(p for p in parameters if p.name in custom.overridden),
        outputs=tuple(entry.output() for entry in wire.output_files),
        dot=frozenset(_names(custom.dot)),
        directory_patterns={
            id_: _names(found.patterns) for id_, found in custom.directories.items()
        },
        int_iterators=frozenset(_names(custom.int_iterators)),
        overridden=custom.overridden,
        results_suffix=custom.suffix,
    )


def _given(raw: object, depth: int = 4) -> object:
    """Leave out what is not given, as deep as there is something to read."""
    if not depth:
        return raw
    match raw:
        case Mapping():
            kept = {key: value for key, value in raw.items() if value is not None and value != []}
            return {key: _given(value, depth - 1) for key, value in kept.items()}
        case list():
            return [_given(item, depth - 1) for item in raw]
        case _:
            return raw


def _names(found: _Names) -> tuple[str, ...]:
    return (found,) if isinstance(found, str) else found
