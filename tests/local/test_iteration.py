"""From values to jobs (facts 5.4, 5.5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from vipsync.local.catalogue import Pipeline
from vipsync.local.iteration import (
    EngineCrash,
    EngineStuck,
    combinations,
    float32,
    invocation,
    refuse_unsafe,
    results_folder,
)
from vipsync.local.submission import Submission

INPUTS = [
    {"id": "a", "type": "File"},
    {"id": "b", "type": "String", "optional": True},
    {"id": "n", "type": "Number", "integer": True},
    {"id": "x", "type": "Number"},
    {"id": "f", "type": "Flag"},
]
FOLDERS = {"/vip/Home/d": ["1.nii", "2.nii.gz", "notes.txt"], "/vip/Home/empty": []}


def pipeline(**custom: Any) -> Pipeline:
    extra = {f"vip:{key}": value for key, value in custom.items()}
    return Pipeline({"name": "t", "tool-version": "1", "inputs": INPUTS, "custom": extra})


def jobs(
    values: dict[str, tuple[str, ...]], most: int = 1000, **custom: Any
) -> list[dict[str, str]]:
    submission = Submission("run", pipeline(**custom), values, "/vip/Home/out")
    return combinations(submission, FOLDERS.get, most)


def test_lists_are_crossed() -> None:
    """Every value meets every other."""
    found = jobs({"a": ("1", "2"), "b": ("x", "y", "z")})
    assert len(found) == 6
    assert {(job["a"], job["b"]) for job in found} == {(a, b) for a in "12" for b in "xyz"}


def test_paired_inputs_go_together_and_are_crossed_with_the_rest() -> None:
    """Order by index is kept."""
    found = jobs({"a": ("1", "2"), "b": ("x", "y"), "f": ("true", "false")}, dot=["a", "b", "n"])
    assert [(job["a"], job["b"]) for job in found] == [
        ("1", "x"),
        ("1", "x"),
        ("2", "y"),
        ("2", "y"),
    ]


def test_a_directory_becomes_its_matching_files() -> None:
    """Files that are named are kept as they are."""
    custom = {"a": {"patterns": ["*.nii", "*.nii.gz"]}}
    found = jobs({"a": ("/vip/Home/d", "/vip/Home/x.nii")}, directoryInputs=custom)
    names = ["/vip/Home/d/1.nii", "/vip/Home/d/2.nii.gz", "/vip/Home/x.nii"]
    assert [job["a"] for job in found] == names


def test_an_iterator_counts_from_zero() -> None:
    """One number becomes that many jobs."""
    assert [job["n"] for job in jobs({"n": ("3",)}, intIteratorInputs=["n"])] == ["0", "1", "2"]


CRASHES: dict[str, dict[str, Any]] = {
    "unknown input": {"values": {"zzz": ("1",)}},
    "unequal pairs": {"values": {"a": ("1", "2"), "b": ("x",)}, "dot": ["a", "b"]},
    "too many": {"values": {"a": ("1", "2"), "b": ("x", "y")}, "most": 3},
    "too long": {"values": {"a": ("x" * 256,)}},
    "empty directory": {"values": {"a": ("/vip/Home/empty",)}, "directoryInputs": {"a": {}}},
    "iterator of text": {"values": {"n": ("x",)}, "intIteratorInputs": ["n"]},
    "iterator of zero": {"values": {"n": ("0",)}, "intIteratorInputs": ["n"]},
    "iterator of two": {"values": {"n": ("1", "2")}, "intIteratorInputs": ["n"]},
}


@pytest.mark.parametrize("case", CRASHES.values(), ids=CRASHES.keys())
def test_the_engine_dies_on_what_it_cannot_combine(case: dict[str, Any]) -> None:
    """The execution will be Killed, without jobs."""
    with pytest.raises(EngineCrash):
        jobs(**case)


def test_exactly_the_limit_of_jobs_is_accepted() -> None:
    """Only more is too many."""
    assert len(jobs({"a": ("1", "2"), "b": ("x", "y")}, most=4)) == 4


def test_an_invocation_has_base_names_and_typed_values() -> None:
    """Absent optional inputs are left out; what follows a question mark is lost."""
    values = {"a": "/vip/Home/d/s.nii?v=1", "b": "No_value_provided", "n": "+7", "x": "0.1"}
    told = invocation(pipeline(), values | {"f": "TRUE"})
    assert told == {"a": "s.nii", "n": 7, "x": 0.1, "f": True}


@pytest.mark.parametrize(
    "values",
    [
        {"a": "/vip/Home/a b.nii"},
        {"a": "/vip/Home/a[1].nii"},
        {"a": ""},
        {"n": "1.0"},
        {"n": "2147483648"},
        {"n": "1_000"},
        {"n": ""},
        {"x": "abc"},
        {"x": "1_000.5"},
    ],
)
def test_the_engine_sticks_at_what_it_cannot_translate(values: dict[str, str]) -> None:
    """The execution stays Running for ever."""
    with pytest.raises(EngineStuck):
        invocation(pipeline(), values)


def test_a_groups_own_spaces_are_harmless() -> None:
    """They become underscores; later ones do not."""
    refuse_unsafe("/vip/MR Lab (group)/basis.zip")
    with pytest.raises(EngineStuck):
        refuse_unsafe("/vip/MR Lab (group)/my basis.zip")


@pytest.mark.parametrize(
    ("text", "value"),
    [("123456789.0", 123456790.0), ("16777217", 16777216.0), ("0.1", 0.1), ("1e-3f", 0.001)],
)
def test_numbers_lose_what_32_bits_cannot_hold(text: str, value: float) -> None:
    """The examples of facts 5.5."""
    assert float32(text) == value


@pytest.mark.parametrize(
    ("custom", "folder"),
    [
        ({}, "/vip/Home/out/2026-01-31_142205"),
        ({"resultsDirectorySuffix": "fixed"}, "/vip/Home/out/fixed"),
        ({"resultsDirectorySuffix": ""}, "/vip/Home/out"),
    ],
)
def test_results_get_a_folder_named_by_the_time(custom: dict[str, str], folder: str) -> None:
    """A descriptor may ask for another suffix, or for none."""
    submission = Submission("run", pipeline(**custom), {}, "/vip/Home/out/")
    assert results_folder(submission, datetime(2026, 1, 31, 14, 22, 5, tzinfo=UTC)) == folder
