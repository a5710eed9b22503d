"""A pipeline's Boutiques descriptor, as VIP answers it. Pure: no os, time, random, httpx, sqlite3 or logging.

VIP parses and writes the descriptor anew: unknown keys vanish, empty arrays and nulls stand
everywhere (facts 4.1). Both mean "not given" here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from vipsync.errors import BadAnswer
from vipsync.model import Descriptor, Output, Parameter, ParameterType, Scalar

_Scalar = StrictBool | StrictInt | StrictFloat | StrictStr


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _scalar_or_none(value: object) -> object:
    return value if isinstance(value, Scalar) else None


_Names = Annotated[tuple[StrictStr, ...], BeforeValidator(_as_tuple)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=lambda name: name.replace("_", "-"))

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, raw: object) -> object:
        if not isinstance(raw, dict):
            return raw
        return {key: value for key, value in raw.items() if value is not None and value != []}


class _Input(_Wire):
    id: StrictStr
    type: StrictStr
    name: str = ""
    description: str = ""
    value_key: str = ""
    integer: bool = False
    list: bool = False
    optional: bool = False
    default_value: Annotated[_Scalar | None, BeforeValidator(_scalar_or_none)] = None
    value_choices: tuple[_Scalar, ...] = ()
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
            default=self.default_value,
            description=self.description,
            label=self.name,
            choices=self.value_choices,
            minimum=self.minimum,
            maximum=self.maximum,
            exclusive_minimum=self.exclusive_minimum,
            exclusive_maximum=self.exclusive_maximum,
            value_key=self.value_key,
        )


class _Output(_Wire):
    id: StrictStr
    path_template: str = ""
    conditional_path_template: object = None
    path_template_stripped_extensions: tuple[StrictStr, ...] = ()
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


class _Patterns(_Wire):
    patterns: _Names = ()


class _Custom(_Wire):
    model_config = ConfigDict(alias_generator=None)

    dot: _Names = Field((), alias="vip:dot")
    directories: dict[str, _Patterns] = Field({}, alias="vip:directoryInputs")
    int_iterators: _Names = Field((), alias="vip:intIteratorInputs")
    overridden: dict[str, StrictStr] = Field({}, alias="vip:overriddenInputs")
    suffix: StrictStr | None = Field(None, alias="vip:resultsDirectorySuffix")


class _Descriptor(_Wire):
    name: StrictStr
    tool_version: str = Field("", validation_alias=AliasChoices("tool-version", "version"))
    description: str = ""
    inputs: tuple[_Input, ...] = ()
    output_files: tuple[_Output, ...] = ()
    custom: _Custom = _Custom()


def parse_descriptor(raw: Mapping[str, object], pipeline_id: str) -> Descriptor:
    """Return what vipsync needs of a descriptor; raise BadAnswer where it is none."""
    try:
        wire = _Descriptor.model_validate(raw)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        raise BadAnswer(
            f"The description of pipeline {pipeline_id} has another shape than expected, at {where}.",
            "Tell the developers of vipsync, with the name of the pipeline.",
        ) from error
    custom = wire.custom
    parameters = [entry.parameter() for entry in wire.inputs]
    return Descriptor(
        pipeline_id=pipeline_id,
        name=wire.name,
        version=wire.tool_version,
        description=wire.description,
        parameters=tuple(p for p in parameters if p.name not in custom.overridden),
        hidden=tuple(p for p in parameters if p.name in custom.overridden),
        outputs=tuple(entry.output() for entry in wire.output_files),
        dot=frozenset(custom.dot),
        directory_patterns={id_: found.patterns for id_, found in custom.directories.items()},
        int_iterators=frozenset(custom.int_iterators),
        overridden=custom.overridden,
        results_suffix=custom.suffix,
    )
