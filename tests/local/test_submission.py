"""What a POST is refused for, in which order, and what becomes of its values (facts 5.2, 5.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.local.conftest import CQUEST, Vip, code
from vipsync.local import User
from vipsync.local.catalogue import Catalogue, Pipeline
from vipsync.local.submission import Submission, java_text, read_submission, split_values

MakeVip = Callable[..., Vip]
GOOD = {"parameters": "/vip/Home/p.txt", "data": "/vip/Home/a.mrui"}

REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "no name": ({"name": None}, 8009),
    "no inputs": ({"inputValues": None}, 8009),
    "bad name": ({"name": "a/b"}, 8019),
    "empty name": ({"name": ""}, 8019),
    "bad character": ({"inputValues": {"data": "a#b"}}, 8009),
    "accent": ({"inputValues": {"data": "é"}}, 8009),
    "empty value": ({"inputValues": {"data": ""}}, 8009),
    "object": ({"inputValues": {"data": {"a": 1}}}, 8009),
    "bad item": ({"inputValues": {"data": ["a", "b;c"]}}, 8009),
    "values before name": ({"name": "a/b", "inputValues": {"data": "#"}}, 8009),
    "name before pipeline": ({"name": "a/b", "pipelineIdentifier": "x"}, 8019),
    "no slash": ({"pipelineIdentifier": "x"}, 8005),
    "unknown pipeline": ({"pipelineIdentifier": "x/1"}, 8007),
    "missing input": ({"inputValues": {"data": "a"}}, 8018),
    "nothing left after splitting": ({"inputValues": GOOD | {"data": "@@"}}, 8018),
    "a type that cannot be read": ({"name": ["x"]}, 8000),
    "a number as text": ({"timeout": "soon"}, 8000),
    "a status that is none": ({"status": "running"}, 8000),
    "another's folder": ({"inputValues": GOOD | {"data": "/vip/Users/x/a"}}, 8000),
    "another's group": ({"resultsLocation": "/vip/Secret (group)/x"}, 8000),
    "unknown storage": ({"inputValues": GOOD | {"data": "girder:/x"}}, 8000),
}


@pytest.mark.parametrize(("changes", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_submission_is_refused_with_its_code(
    vip: Vip, changes: dict[str, Any], expected: int
) -> None:
    """The first check that fails decides, and nothing is launched."""
    assert code(vip.post(**changes)) == (400, expected)
    assert vip.client.get("/rest/executions").json() == []


@pytest.mark.parametrize("value", [None, ["a", None]])
def test_a_null_value_is_a_crash(vip: Vip, value: object) -> None:
    """The server answers 500."""
    assert code(vip.post(inputValues={"data": value})) == (500, 8000)


@pytest.mark.parametrize("content", ["", "[]", "{", '"x"', '{"name":"x","inputValues":3}'])
def test_what_is_no_submission_is_refused(vip: Vip, content: str) -> None:
    """Malformed JSON is 400/8000; a missing field is 8009 before its neighbours' types matter."""
    headers = {"Content-Type": "application/json"}
    answer = vip.client.post("/rest/executions", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errorCode"] in {8000, 8009}


def test_the_users_quota_is_refused_until_a_place_is_free(make_vip: MakeVip) -> None:
    """2001 tells how many run; a finished one frees its place."""
    vip = make_vip(quota_user=1)
    vip.launch()
    answer = vip.post()
    assert code(answer) == (400, 2001)
    assert "already have 1 running" in answer.json()["errorMessage"]
    vip.clock.sleep(60)
    vip.launch()


def test_the_platforms_quota_counts_everybody(make_vip: MakeVip) -> None:
    """2000 comes before 2001."""
    users = {key: User(key, key) for key in ("local", "other")}
    vip = make_vip(users=users, quota_platform=1, quota_user=1)
    vip.launch()
    vip.client.headers["apikey"] = "other"
    assert code(vip.post()) == (400, 2000)


SPLIT = {
    "a": ("a",),
    " a ": ("a",),
    "": ("",),
    "a@@b": ("a", "b"),
    "a@@": ("a",),
    "@@a": ("", "a"),
    "@@": (),
    "a@@@b": ("a", "@b"),
}


@pytest.mark.parametrize(("text", "values"), SPLIT.items())
def test_values_are_split_as_java_splits(text: str, values: tuple[str, ...]) -> None:
    """Every example of facts 5.3."""
    assert split_values(text) == values


TEXTS: list[tuple[object, str]] = [
    (1, "1"),
    (1.0, "1.0"),
    (True, "true"),
    (1e-7, "1.0E-7"),
    (12345678.5, "1.23456785E7"),
    (0.001, "0.001"),
    (["a", 1], "[a, 1]"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_json_values_become_the_text_java_prints(value: object, text: str) -> None:
    """Numbers keep their point and their exponent."""
    assert java_text(value) == text


def submitted(descriptor: dict[str, Any], **changes: Any) -> Submission:
    catalogue = Catalogue([Pipeline(descriptor)])
    identifier = f"{descriptor['name']}/{descriptor['tool-version']}"
    body = {"name": "run", "pipelineIdentifier": identifier, "inputValues": GOOD}
    return read_submission(body | changes, lambda name: catalogue.get(name, User()))


def test_a_list_gives_several_values_and_an_empty_one_a_single_empty_value() -> None:
    """An empty list is not even checked."""
    values = submitted(CQUEST, inputValues=GOOD | {"data": ["a", "b"], "rounds": []}).values
    assert values["data"] == ("a", "b")
    assert values["rounds"] == ("",)


def test_where_results_go_is_told_in_two_ways() -> None:
    """ResultsLocation wins over the input; without both it is the home."""
    inputs = GOOD | {"results-directory": "/vip/Home/one"}
    assert submitted(CQUEST).results_directory == "/vip/Home"
    assert submitted(CQUEST, inputValues=inputs).results_directory == "/vip/Home/one"
    both = submitted(CQUEST, inputValues=inputs, resultsLocation="/vip/Home/two")
    assert both.results_directory == "/vip/Home/two"


def test_hidden_inputs_take_the_value_of_another() -> None:
    """The descriptor says whose."""
    descriptor = CQUEST | {"custom": {"vip:overriddenInputs": {"rounds": "data"}}}
    assert submitted(descriptor).values["rounds"] == ("/vip/Home/a.mrui",)


def test_defaults_are_filled_in_as_text(vip: Vip) -> None:
    """Inputs with a default are never missing."""
    pipeline = vip.world.pipelines.get("mrs-spectrum/1.0", User())
    values = submitted(dict(pipeline.descriptor), inputValues={"signal": "s"}).values
    assert values == {
        "signal": ("s",),
        "zero_fill": ("2",),
        "line_broadening": ("0",),
        "peaks": ("5",),
    }
