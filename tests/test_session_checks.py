"""What is found wrong with a session before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.pipelines import pipeline
from vipsync.errors import (
    InputsMissing,
    InvalidInput,
    NameRefused,
    PropertyError,
    PropertyTypeError,
    PropertyValueError,
)
from vipsync.model import RelPath, VipPath, replace
from vipsync.script import checks
from vipsync.script.inputs import Dataset, given_settings

VIP = VipPath("/vip/Home/API/study/INPUTS")
NOWHERE = Dataset(None, VIP)
TWO = pipeline("Two", "image:File number:Int? word:String?", "out=[image].tgz")
PAIRED = replace(TWO, dot=frozenset({"image", "word"}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"word": "x"}, "Missing input parameter.*image"),
        (
            {"imgae": "/vip/Home/a"},
            "'imgae' is none of the pipeline's; did you mean 'image'[?]$",
        ),
        ({"image": "/vip/Home/a", "wrod": "x"}, "did you mean 'word'[?] It has: image,"),
        ({"image": "/vip/Home/a", "zzz": "x"}, "'zzz'[.] It has: image,"),
        ({"image": "/vip/Home/a", "number": "three"}, "number"),
        ({"image": "/vip/Home/a", "word": "naïve"}, "VIP refuses"),
        ({"image": "/vip/Home/a", "word": "a@@b"}, "cut it"),
        ({"image": "/vip/Home/a b"}, "never start"),
    ],
    ids=str,
)
def test_settings_that_vip_could_not_use_are_refused(
    settings: dict[str, object], words: str
) -> None:
    """Each error names the parameter, and the nearest right word where there is one."""
    with pytest.raises(PropertyError, match=words):
        checks.check_settings(given_settings(settings), TWO, NOWHERE)


@pytest.mark.parametrize("value", [3, True, ["/vip/Home/a", 2.5]], ids=str)
def test_a_file_is_named_by_a_path(value: object) -> None:
    """A number for a file is what VIP would refuse."""
    with pytest.raises(InvalidInput, match="no path"):
        checks.check_settings(given_settings({"image": value}), TWO, NOWHERE)


@pytest.mark.parametrize(
    "value", [True, False, "True", "FALSE", "yes", 1, ["true", "True"]], ids=str
)
def test_a_boolean_is_true_or_false_in_these_letters(value: object) -> None:
    """Nothing else, as with vip-client; a list of them starts several jobs."""
    flag = pipeline("Flags", "flag:Flag word:String?", "out=a.tgz")
    with pytest.raises(PropertyValueError, match="neither 'true' nor 'false'"):
        checks.check_settings(given_settings({"flag": value}), flag, NOWHERE)
    for good in ("true", "false", ["true", "false"]):
        checks.check_settings(given_settings({"flag": good, "word": True}), flag, NOWHERE)


@pytest.mark.parametrize("value", ["", [], ["a", ""], "  ", ("",)], ids=str)
def test_an_empty_value_is_refused_before_any_pipeline_is_known(value: object) -> None:
    """VIP takes it for no parameter; all of them are named."""
    with pytest.raises(PropertyValueError, match=r"Missing input value\(s\).*: b, z"):
        checks.input_settings({"z": value, "a": "full", "b": value}, NOWHERE)


@pytest.mark.parametrize("value", ["naïve", "/vip/Home/a#b", ["ok", "a;b"], "girder:/a|b"], ids=str)
def test_a_bad_character_is_refused_before_any_pipeline_is_known(value: object) -> None:
    """VIP takes it for no parameter."""
    with pytest.raises(PropertyTypeError, match=r"Invalid character\(s\).*: word"):
        checks.input_settings({"number": 3, "word": value}, NOWHERE)


def test_a_file_of_this_machine_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent under a name that VIP takes: whether it is there, comes later, or is on VIP alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "été.nii").write_text("x")
    checks.input_settings({"text": "été.nii", "path": Path("later/é.nii")}, NOWHERE)
    there = Dataset(tmp_path / "data", VIP)
    checks.input_settings({"text": "data/é.nii"}, there)
    with pytest.raises(PropertyTypeError):
        checks.input_settings({"text": "other/é.nii"}, there)
    (tmp_path / "data").mkdir()
    with pytest.raises(PropertyTypeError):
        checks.input_settings({"text": "data/é.nii"}, there)


def test_lists_that_go_together_must_have_one_length() -> None:
    """VIP's engine would crash on them."""
    good = given_settings({"image": ["/vip/a", "/vip/b"], "word": ["x", "y"]})
    checks.check_settings(good, PAIRED, NOWHERE)
    bad = given_settings({"image": ["/vip/a", "/vip/b"], "word": "x"})
    with pytest.raises(PropertyError, match="image: 2, word: 1"):
        checks.check_settings(bad, PAIRED, NOWHERE)


def test_the_number_of_jobs_follows_the_pipeline() -> None:
    """Lists multiply, unless the pipeline pairs them."""
    given = given_settings({"image": ["/vip/a", "/vip/b"], "word": ["x", "y"], "number": [1, 2, 3]})
    assert checks.jobs(given, TWO) == 12
    assert checks.jobs(given, PAIRED) == 6


def test_files_that_are_not_in_the_data_set_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they are not there, or lie elsewhere; without a data set, nobody can tell."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "outside").write_text("x")
    data = Dataset(tmp_path / "data", VIP)
    with pytest.raises(InputsMissing, match="data/none"):
        checks.check_files(given_settings({"image": "data/none"}), TWO, data)
    with pytest.raises(InvalidInput, match="not inside"):
        checks.check_files(given_settings({"image": "outside"}), TWO, data)
    checks.check_files(given_settings({"image": "outside", "word": "no path"}), TWO, NOWHERE)
    with pytest.raises(InvalidInput, match="input_dir"):
        checks.check_paths(given_settings({"image": "outside"}), TWO, NOWHERE)


def test_names_that_vip_cannot_hold_are_refused() -> None:
    """Two files would share one, or one would keep none."""
    checks.check_names([RelPath("a b"), RelPath("c")])
    with pytest.raises(NameRefused, match="a b, a_b"):
        checks.check_names([RelPath("a b"), RelPath("a_b")])
    with pytest.raises(NameRefused):
        checks.check_names([RelPath("日本")])


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a.b"])
def test_a_session_name_has_letters_digits_and_hyphens(name: str) -> None:
    """Anything else would be another name on VIP."""
    with pytest.raises(ValueError, match="alphanumeric"):
        checks.session_name(name)
    assert checks.session_name("Study-1_b") == "Study-1_b"


def test_an_unknown_pipeline_gets_the_nearest_one_named() -> None:
    """Joining a group may be what is missing."""
    with pytest.raises(PropertyError, match=r"Did you mean 'CQUEST/0\.6'"):
        checks.check_pipeline("CQUEST/0.5", {"CQUEST/0.6": None})
    checks.check_pipeline("CQUEST/0.6", {"CQUEST/0.6": None})
