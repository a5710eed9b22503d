"""Descriptors as VIP answers them."""

from __future__ import annotations

import re

import pytest

from vipsync.cases.descriptor import parse_descriptor
from vipsync.errors import BadAnswer
from vipsync.model import Output, Parameter, ParameterType

Raw = dict[str, object]


def raw(*inputs: Raw, outputs: list[Raw] | None = None, **custom: object) -> Raw:
    return {
        "name": "App",
        "tool-version": "1.2",
        "schema-version": "0.5",
        "inputs": list(inputs),
        "output-files": outputs or [],
        "custom": {f"vip:{key}": value for key, value in custom.items()},
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "File"}, ParameterType.FILE),
        ({"type": "String"}, ParameterType.STRING),
        ({"type": "Flag"}, ParameterType.BOOLEAN),
        ({"type": "Number", "integer": True}, ParameterType.INTEGER),
        ({"type": "Number", "integer": False}, ParameterType.DOUBLE),
        ({"type": "Number"}, ParameterType.DOUBLE),
    ],
)
def test_a_type_becomes_the_one_of_the_api(given: Raw, expected: ParameterType) -> None:
    """Boutiques' types become those that VIP's own list of parameters has."""
    (parameter,) = parse_descriptor(raw({"id": "x", **given}), "App/1.2").parameters
    assert (parameter.type, parameter.value_type) == (expected, expected)


def test_a_list_keeps_the_type_of_its_items() -> None:
    """A list is a List, and what its items are still decides whether they may be patterns."""
    (parameter,) = parse_descriptor(
        raw({"id": "x", "type": "File", "list": True}), "A/1"
    ).parameters
    assert parameter.type is ParameterType.LIST
    assert parameter.takes_files


def test_every_field_of_an_input_is_read() -> None:
    """Choices, bounds, default, label and value-key all arrive."""
    given = {
        "id": "n",
        "name": "Label",
        "description": "what it is",
        "type": "Number",
        "integer": True,
        "value-key": "[N]",
        "optional": True,
        "default-value": 4,
        "value-choices": [1, 4, 9],
        "minimum": 0,
        "maximum": 10,
        "exclusive-minimum": True,
        "exclusive-maximum": False,
    }
    (parameter,) = parse_descriptor(raw(given), "App/1.2").parameters
    assert parameter == Parameter(
        name="n",
        type=ParameterType.INTEGER,
        optional=True,
        default=4,
        description="what it is",
        label="Label",
        choices=(1, 4, 9),
        minimum=0,
        maximum=10,
        exclusive_minimum=True,
        value_key="[N]",
    )


@pytest.mark.parametrize("default", [True, 1, 1.5, "-all", False, 0])
def test_a_default_keeps_its_type(default: object) -> None:
    """A default of `1` is not `true`, and one of `false` or `0` is a default all the same."""
    given: Raw = {"id": "x", "type": "String", "default-value": default}
    (parameter,) = parse_descriptor(raw(given), "App/1").parameters
    assert parameter.default == default
    assert type(parameter.default) is type(default)
    assert not parameter.required


def test_nulls_and_empty_arrays_mean_not_given() -> None:
    """VIP writes nulls and empty arrays everywhere: none of them says anything."""
    noisy: Raw = {
        "name": "App",
        "tool-version": None,
        "groups": [],
        "tests": [],
        "inputs": [
            {
                "id": "x",
                "type": "File",
                "description": None,
                "optional": None,
                "value-choices": [],
                "requires-inputs": [],
                "default-value": None,
                "minimum": None,
            }
        ],
        "output-files": [
            {
                "id": "o",
                "path-template": "[X].tgz",
                "conditional-path-template": [],
                "path-template-stripped-extensions": [],
                "optional": None,
            }
        ],
        "custom": {"vip:dot": [], "vip:directoryInputs": None, "other": 1},
    }
    descriptor = parse_descriptor(noisy, "App/0")
    assert descriptor.parameters == (Parameter("x", ParameterType.FILE),)
    assert descriptor.outputs == (Output("o", "[X].tgz"),)
    assert descriptor.version == ""
    assert descriptor.dot == frozenset()


def test_a_descriptor_without_inputs_or_custom_is_read() -> None:
    """Only the name must be there."""
    descriptor = parse_descriptor({"name": "App", "custom": None, "inputs": []}, "App/1")
    assert (descriptor.name, descriptor.parameters, descriptor.outputs) == ("App", (), ())


@pytest.mark.parametrize("dot", ["a", ["a"]])
def test_dot_is_a_word_or_a_list(dot: object) -> None:
    """`vip:dot` may be one id or several."""
    assert parse_descriptor(raw(dot=dot), "App/1").dot == {"a"}


def test_the_custom_keys_of_vip_are_read() -> None:
    """Directory patterns, integer iterators and a fixed suffix change the number of jobs."""
    descriptor = parse_descriptor(
        raw(
            dot=["nifti", "subjid"],
            directoryInputs={"nifti": {"patterns": ["*.nii", "*.nii.gz"]}},
            intIteratorInputs=["n"],
            resultsDirectorySuffix="",
        ),
        "App/1",
    )
    assert descriptor.dot == {"nifti", "subjid"}
    assert descriptor.directory_patterns == {"nifti": ("*.nii", "*.nii.gz")}
    assert descriptor.int_iterators == {"n"}
    assert descriptor.results_suffix == ""


def test_an_overridden_input_is_hidden() -> None:
    """What VIP fills in itself is no parameter for people, but its value-key still counts."""
    descriptor = parse_descriptor(
        raw(
            {"id": "numberOfJobs", "type": "Number", "integer": True},
            {"id": "jobNumber", "type": "Number", "integer": True, "value-key": "[JOBNB]"},
            intIteratorInputs=["jobNumber"],
            overriddenInputs={"jobNumber": "numberOfJobs"},
        ),
        "GATE/9.4.1",
    )
    assert [p.name for p in descriptor.parameters] == ["numberOfJobs"]
    assert [p.value_key for p in descriptor.hidden] == ["[JOBNB]"]
    assert descriptor.overridden == {"jobNumber": "numberOfJobs"}


def test_an_output_says_where_its_name_comes_from() -> None:
    """Templates, stripped extensions, conditional templates and value-keys are kept."""
    outputs: list[Raw] = [
        {
            "id": "a",
            "path-template": "[X].tgz",
            "path-template-stripped-extensions": [".nii"],
            "value-key": "[OUT]",
        },
        {"id": "b", "conditional-path-template": [{"default": "x"}], "optional": True},
    ]
    assert parse_descriptor(raw(outputs=outputs), "App/1").outputs == (
        Output("a", "[X].tgz", stripped_extensions=(".nii",), value_key="[OUT]"),
        Output("b", "", optional=True, conditional=True),
    )


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({}, "field `name`"),
        ({"name": "A", "inputs": {"x": 1}}, "`$.inputs`"),
        ({"name": "A", "inputs": ["x"]}, "`$.inputs[0]`"),
        ({"name": "A", "inputs": [{"id": "x"}]}, "field `type` - at `$.inputs[0]`"),
        (
            {"name": "A", "output-files": [{"path-template": "x"}]},
            "field `id` - at `$.output-files[0]`",
        ),
        ({"name": "A", "custom": {"vip:dot": {"a": 1}}}, "`$.custom.vip:dot`"),
        ({"errorCode": 8000, "errorMessage": "x"}, "field `name`"),
    ],
)
def test_another_shape_is_a_bad_answer(wrong: Raw, where: str) -> None:
    """What is no descriptor is refused, with the place that was wrong."""
    with pytest.raises(BadAnswer, match=rf"App/1 .*{re.escape(where)}\."):
        parse_descriptor(wrong, "App/1")
