"""[input_settings], read against the pipeline; `test_cases` has a row for each refusal."""

from __future__ import annotations

import pytest

from tests.lab.pipelines import pipeline
from vipsync.cases.sources import FileItem, Recipe, Source, nearest, read_sources
from vipsync.errors import SettingsError
from vipsync.model import FileSetting, InputSetting, InputsSettings, PackKind, PackSetting, Settings

APP = pipeline("App", "a:File b:Files? w:String? n:Int?", dot=["a", "w"])


def read(given: dict[str, InputSetting], ready: str = "") -> Recipe:
    settings = Settings("s", "App/1", input_settings=given, inputs=InputsSettings(ready=ready))
    return read_sources(settings, APP)


def source(given: InputSetting) -> Source:
    return read({"a": given}).sources[0]


def test_a_text_is_a_pattern_only_where_files_are_meant() -> None:
    """What looks like a pattern is one in parameters that take files, and nowhere else."""
    files, listed, word = read({"a": "*.nii", "b": "{s}", "w": "a?"}).sources
    assert [bool(each.files) for each in (files, listed, word)] == [True, True, False]
    assert word.texts[0].text == "a?"


def test_a_path_on_vip_is_a_text() -> None:
    """What is on VIP already is not looked for on this machine."""
    assert [text.text for text in source("/vip/Home/x").texts] == ["/vip/Home/x"]


def test_settings_for_files_keep_what_they_say() -> None:
    """Another name and a kind of archive stay with their pattern."""
    renamed, packed = source((FileSetting("x", "y"), PackSetting(PackKind.TAR, "d"))).files
    assert renamed.as_name is not None
    assert (renamed.as_name.text, renamed.pack) == ("y", None)
    assert (packed.pack, packed.pattern.is_folder) == (PackKind.TAR, True)


@pytest.mark.parametrize(
    ("given", "is_list", "is_wild"),
    [
        ("x", False, False),
        ("*", False, True),
        (("x",), True, False),
        (("*",), False, True),
        (("*", "x"), True, True),
    ],
)
def test_a_list_of_one_pattern_is_no_list(
    given: InputSetting, is_list: bool, is_wild: bool
) -> None:
    """A list of one pattern means the pattern; a list of one file is a list."""
    assert (source(given).is_list, source(given).is_wild) == (is_list, is_wild)


def test_pairing_comes_from_the_descriptor() -> None:
    """What `vip:dot` names is paired, the rest is crossed."""
    assert [each.paired for each in read({"a": "x", "b": "y", "w": "z"}).sources] == [
        True,
        False,
        True,
    ]


def test_names_are_in_order_of_first_appearance() -> None:
    """The order of names is that of settings.toml, each name once."""
    assert read({"a": "{y}/{x}", "b": "{x}/{z}"}).names == ("y", "x", "z")


def test_a_ready_file_is_read_with_the_settings() -> None:
    """The ready file is a pattern whose names must be those of the settings."""
    ready = read({"a": "{s}/x"}, ready="{s}/.done").ready
    assert ready is not None
    assert ready.names == ("s",)


def test_every_problem_is_told_at_once() -> None:
    """One message names the file, and each key with its problem."""
    with pytest.raises(SettingsError) as error:
        read({"b": "../x", "n": "x", "q": 1}, ready="/r")
    lines = str(error.value).splitlines()
    assert lines[0] == "settings.toml has 5 problems:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "[input_settings] b",
        "[input_settings] n",
        "[input_settings] q",
        "[input_settings] a is missing",
        "[inputs] ready",
    ]


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("subjet", ["subject", "session"], "; did you mean subject?"),
        ("SUBJECT", ["subject"], "; did you mean subject?"),
        ("zz", ["subject", "session"], "; there are subject, session"),
        ("zz", [], ""),
    ],
)
def test_the_nearest_word_is_offered(word: str, known: list[str], hint: str) -> None:
    """A typing error is met with the word that was probably meant."""
    assert nearest(word, known) == hint


def test_items_are_compared_by_what_they_say() -> None:
    """Two settings that say the same are equal, so that a list can be searched for repetitions."""
    first, second = source("*.nii").items[0], source("*.nii").items[0]
    assert isinstance(first, FileItem)
    assert first == second
