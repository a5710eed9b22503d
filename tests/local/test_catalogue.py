"""Pipelines as the API shows them (facts 4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.local.conftest import CQUEST, Vip, code
from vipsync.local import ManualClock, Options, User, World
from vipsync.local.bosh import without_empty_lists

HIDDEN = {
    **CQUEST,
    "name": "A B+C",
    "tool-version": "1",
    "custom": {"vip:overriddenInputs": {"rounds": "data"}},
    "unknown-key": 1,
}


def test_the_list_shows_no_parameters(vip: Vip) -> None:
    """Descriptions come with the single form only; the shipped pipeline is there."""
    listed = {entry["identifier"]: entry for entry in vip.client.get("/rest/pipelines").json()}
    assert set(listed) == {"cquest/0.6", "mrs-spectrum/1.0"}
    assert listed["cquest/0.6"]["parameters"] == []
    assert listed["cquest/0.6"]["description"] is None


def test_one_pipeline_shows_its_inputs_by_id(vip: Vip) -> None:
    """Types follow Boutiques, defaults are raw JSON, outputs are not told."""
    shown = vip.client.get("/rest/pipelines/mrs-spectrum/1.0").json()
    parameters = {entry["name"]: entry for entry in shown["parameters"]}
    types = {name: entry["type"] for name, entry in parameters.items()}
    assert types == {
        "signal": "File",
        "zero_fill": "Int64",
        "line_broadening": "Double",
        "peaks": "Int64",
    }
    assert parameters["signal"]["defaultValue"] is None
    assert parameters["zero_fill"]["defaultValue"] == 2
    assert parameters["zero_fill"]["isOptional"] is True


def test_an_id_is_decoded_twice(vip: Vip) -> None:
    """A plus is a space after the second time; a real one needs %252B."""
    vip.world.pipelines.add(HIDDEN)
    assert vip.client.get("/rest/pipelines/A%20B%252BC/1").status_code == 200
    for written in ("A%20B+C", "A%20B%2BC"):
        assert code(vip.client.get(f"/rest/pipelines/{written}/1")) == (400, 8007)
    assert vip.client.get("/rest/pipelines", params={"pipelineId": "A B%2BC/1"}).status_code == 200


def test_bad_ids_have_codes_of_their_own(vip: Vip) -> None:
    """Without a slash 8005, unknown 8007."""
    assert code(vip.client.get("/rest/pipelines/cquest")) == (400, 8005)
    assert code(vip.client.get("/rest/pipelines/cquest/9")) == (400, 8007)


@pytest.mark.parametrize("written", ["CQUEST/0.6", "cquest/0.6 ", "Cqu\u00e9st/0.6"])
def test_ids_are_compared_as_a_database_does(vip: Vip, written: str) -> None:
    """Case, accents and spaces at an end make no difference; the id is told as it was asked for."""
    shown = vip.client.get(f"/rest/pipelines/{quote(written, safe='/')}").json()
    assert (shown["identifier"], shown["name"]) == (written, "cquest")
    found = vip.execution(vip.launch(pipelineIdentifier=written))
    assert found["pipelineIdentifier"] == written


@pytest.mark.parametrize("written", ["a%25zz/1", "a%25/1", "%25C/1"])
def test_an_id_that_cannot_be_decoded_twice_is_a_crash(vip: Vip, written: str) -> None:
    """In a path as in a query."""
    assert code(vip.client.get(f"/rest/pipelines/{written}")) == (500, 8000)
    asked = f"/rest/pipelines?pipelineId={written}"
    assert code(vip.client.get(asked)) == (500, 8000)


RIGHTS = {"MR": ("cquest/0.6",), "Tools": ("a b+c/1",)}


@pytest.mark.parametrize(
    ("groups", "cquest", "other"),
    [(("MR",), 200, 8008), (("Tools", "MR"), 200, 200), ((), 8008, 8008)],
)
def test_a_group_has_its_pipelines(
    make_vip: Callable[..., Vip], groups: tuple[str, ...], cquest: int, other: int
) -> None:
    """Those of other groups are 8008, one that no group has is 8007, and anybody may know of all others."""
    vip = make_vip(users={"local": User(groups=groups)}, groups=tuple(RIGHTS), rights=RIGHTS)
    vip.world.pipelines.add(HIDDEN)
    for identifier, expected in (("cquest/0.6", cquest), ("A%20B%252BC/1", other)):
        answer = vip.client.get(f"/rest/pipelines/{identifier}").json()
        assert answer.get("errorCode", 200) == expected
    assert code(vip.client.get("/rest/pipelines/mrs-spectrum/1.0")) == (400, 8007)
    public = vip.client.get("/rest/pipelines?public").json()
    assert [entry["identifier"] for entry in public] == ["A B+C/1", "cquest/0.6"]
    usable = vip.client.get("/rest/pipelines").json()
    assert len(usable) == [cquest, other].count(200)
    assert (vip.post().json().get("errorCode", 200) == 8008) is (cquest == 8008)


def test_overridden_inputs_are_hidden(vip: Vip) -> None:
    """People never see what another input fills in."""
    vip.world.pipelines.add(HIDDEN)
    shown = vip.client.get("/rest/pipelines/A%20B%252BC/1").json()
    assert [entry["name"] for entry in shown["parameters"]] == ["parameters", "data"]


def test_the_descriptor_comes_back_with_empty_lists_and_without_unknown_keys(vip: Vip) -> None:
    """Stripped of empty lists it is what the schema accepts."""
    vip.world.pipelines.add(HIDDEN)
    given = vip.client.get("/rest/pipelines/A%20B%252BC/1?format=boutiques").json()
    assert given["groups"] == []
    assert given["inputs"][0]["value-choices"] == []
    assert "unknown-key" not in given
    known = {key: value for key, value in HIDDEN.items() if key != "unknown-key"}
    assert without_empty_lists(given) == known


def test_a_folder_of_descriptors_is_read(tmp_path: Path) -> None:
    """A file that is no descriptor is named."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(CQUEST))
    options = Options(pipelines=(folder,))
    world = World(tmp_path / "vip", options, ManualClock())
    assert world.pipelines.get("cquest/0.6", User()).folder == folder
    (folder / "b.json").write_text("{}")
    with pytest.raises(ValueError, match=r"b\.json"):
        World(tmp_path / "vip", options, ManualClock())
