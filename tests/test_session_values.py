"""What a script gives as input_settings, here and on VIP."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath

import pytest

from tests.lab.pipelines import pipeline
from vipsync.errors import InvalidInput, PropertyTypeError
from vipsync.model import VipPath
from vipsync.script.checks import check_given
from vipsync.script.inputs import Dataset, given_settings, launched, shown

VIP = VipPath("/vip/Home/API/study/INPUTS")
ONE = pipeline("One", "image:File word:String?", "out=[image].tgz")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Return a data set with one file, in the working folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.nii").write_text("a")
    monkeypatch.chdir(tmp_path)
    return Dataset(tmp_path / "data", VIP)


@pytest.mark.parametrize(
    ("value", "on_vip"),
    [
        ("data/a.nii", f"{VIP}/a.nii"),
        (Path("data/a.nii"), f"{VIP}/a.nii"),
        ("./data//a.nii", f"{VIP}/a.nii"),
        ("data/été 1.nii", f"{VIP}/ete_1.nii"),
        ("data", VIP),
        ("elsewhere/a.nii", "elsewhere/a.nii"),
        ("/vip/Home/a.nii", "/vip/Home/a.nii"),
        ("girder:/a?id=1", "girder:/a?id=1"),
        (["data/a.nii", "/vip/Home/b"], [f"{VIP}/a.nii", "/vip/Home/b"]),
        (("data/a.nii",), [f"{VIP}/a.nii"]),
    ],
    ids=str,
)
def test_a_file_is_shown_where_it_is_on_vip(data: Dataset, value: object, on_vip: object) -> None:
    """Local paths inside the data set are translated, everything else stays as it is."""
    assert shown(given_settings({"image": value}), data, ONE) == {"image": on_vip}


def test_a_text_that_looks_like_a_path_stays_where_no_file_is_taken(data: Dataset) -> None:
    """VIP fetches nothing for such a parameter."""
    assert shown(given_settings({"word": "data/a.nii"}), data, ONE) == {"word": "data/a.nii"}


def test_without_a_pipeline_a_text_is_a_path_if_something_is_there(data: Dataset) -> None:
    """A number in quotes is none, though the working folder could hold such a file."""
    given = given_settings(
        {"a": "data/a.nii", "b": "data/b.nii", "c": "3", "d": Path("data/b.nii")}
    )
    found = shown(given, data, None)
    assert found == {"a": f"{VIP}/a.nii", "b": "data/b.nii", "c": "3", "d": f"{VIP}/b.nii"}


def test_a_path_is_that_of_its_moment(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working folder that changes later changes nothing."""
    given = given_settings({"image": "data/a.nii"})
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert shown(given, data, ONE) == {"image": f"{VIP}/a.nii"}


def test_a_link_to_the_data_set_leads_into_it(data: Dataset, tmp_path: Path) -> None:
    """A path counts as inside by where it leads, too."""
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert shown(given_settings({"image": "link/a.nii"}), data, ONE) == {"image": f"{VIP}/a.nii"}


@pytest.mark.parametrize(
    ("value", "rel"),
    [
        (Path("a.nii"), "a.nii"),
        (PurePath("deep/../a.nii"), "a.nii"),
        (PurePosixPath("deep/b.nii"), "deep/b.nii"),
        (Path("nothing.nii"), "nothing.nii"),
        (Path("beside.nii"), "beside.nii"),
        (Path("data/a.nii"), "a.nii"),
        (Path("data/nothing.nii"), "nothing.nii"),
    ],
    ids=str,
)
def test_a_relative_path_object_leads_from_here_or_from_the_data_set(
    data: Dataset, tmp_path: Path, value: PurePath, rel: str
) -> None:
    """What lies in the data set, seen from the working folder, comes first; a text is no such path."""
    (tmp_path / "data/deep").mkdir()
    (tmp_path / "data/deep/b.nii").write_text("b")
    (tmp_path / "beside.nii").write_text("not in the data set")
    assert shown(given_settings({"image": value}), data, ONE) == {"image": f"{VIP}/{rel}"}
    if not rel.startswith("nothing") and value.parts[0] != "data":
        text = str(value)
        assert shown(given_settings({"image": text}), data, ONE) == {"image": text}


def test_a_relative_path_object_leads_into_a_data_set_that_is_only_on_vip() -> None:
    """There is nothing on this machine to compare with; what leads out of it stays as it is."""
    given = given_settings({"image": [PurePath("deep/./é.nii"), PurePath("../x"), Path("/x")]})
    found = shown(given, Dataset(None, VIP), ONE)
    assert found == {"image": [f"{VIP}/deep/e.nii", "../x", "/x"]}


def test_the_newest_content_is_shown_for_local_paths_and_for_those_of_a_backup() -> None:
    """Nothing on VIP is replaced, so a file may have moved to a version folder, and back."""
    newest = Dataset(None, VIP, {"a.nii": VipPath(f"{VIP}/_v3/a.nii")})
    for path in ("a.nii", "_v2/a.nii", "_v3/a.nii"):
        given = given_settings({"image": f"{VIP}/{path}"})
        assert shown(given, newest, ONE) == {"image": f"{VIP}/_v3/a.nii"}


def test_vip_gets_texts(data: Dataset) -> None:
    """Booleans are written as VIP reads them, and a list is several values."""
    given = given_settings({"image": ["data/a.nii"], "word": True, "n": 3, "x": [0.5, 2]})
    assert launched(given, data, ONE) == {
        "image": (f"{VIP}/a.nii",), "word": ("true",), "n": ("3",), "x": ("0.5", "2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [3, ["a"], {3: "a"}, {"a": [["b"]]}, {"a": {"b": 1}}, {"a": b"b"}],
    ids=str,
)
def test_what_is_no_setting_is_refused(settings: object) -> None:
    """It would be text that nobody meant."""
    with pytest.raises(PropertyTypeError):
        given_settings(settings)


@pytest.mark.parametrize("value", [None, [None], ["a", None]], ids=str)
def test_none_is_a_value_that_is_still_to_come(value: object) -> None:
    """A session keeps it, as with vip-client; VIP would refuse it, so nothing is launched with it."""
    given = given_settings({"data": value})
    with pytest.raises(InvalidInput, match="None is no value"):
        check_given(given)
