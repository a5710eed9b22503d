"""What goes together."""

from __future__ import annotations

import pytest

from tests.lab.pipelines import pipeline
from vipsync.cases import joining
from vipsync.cases.joining import join
from vipsync.cases.matching import Tree, relate
from vipsync.cases.sources import read_sources
from vipsync.errors import SettingsError
from vipsync.model import InputSetting, RelPath, Settings

APP = pipeline("App", "a:File b:File c:File? w:String?")

Bound = dict[str, str]


def joined(given: dict[str, InputSetting], *files: str) -> list[tuple[Bound, str]]:
    """Return what each choice binds, and the parameters that have an option in it."""
    settings = Settings("s", "App/1", input_settings=given)
    tree = Tree(map(RelPath, files), ())
    relations = [relate(source, tree, 30) for source in read_sources(settings, APP).sources]
    choices = [(choice.bound, "".join(sorted(choice.options))) for choice in join(relations)]
    return sorted(choices, key=lambda choice: sorted(choice[0].items()))


def test_what_shares_a_name_goes_together() -> None:
    """Only files for which a name stands for the same text meet."""
    assert joined({"a": "{s}.a", "b": "{s}.b"}, "1.a", "1.b", "2.a", "2.b") == [
        ({"s": "1"}, "ab"),
        ({"s": "2"}, "ab"),
    ]


def test_what_shares_nothing_is_crossed() -> None:
    """Without a common name, everything meets everything."""
    found = joined({"a": "{s}.a", "b": "{t}.b"}, "1.a", "2.a", "3.b")
    assert found == [({"s": "1", "t": "3"}, "ab"), ({"s": "2", "t": "3"}, "ab")]


def test_what_finds_no_partner_stays() -> None:
    """A file without a partner makes a choice that lacks something, whichever side it is on."""
    found = joined({"a": "{s}.a", "b": "{s}.b", "c": "{s}.c"}, "1.a", "2.b", "3.c", "3.a")
    assert found == [({"s": "1"}, "a"), ({"s": "2"}, "b"), ({"s": "3"}, "ac")]


def test_the_most_specific_pattern_leads() -> None:
    """The order of settings does not matter where one pattern knows more names than another."""
    files = ["1/T1", "1/x/m", "1/y/m", "2/T1"]
    expected = [
        ({"s": "1", "t": "x"}, "ab"),
        ({"s": "1", "t": "y"}, "ab"),
        ({"s": "2"}, "a"),
    ]
    assert joined({"a": "{s}/T1", "b": "{s}/{t}/m"}, *files) == expected


def test_an_incomplete_choice_is_as_specific_as_its_files() -> None:
    """A file that knows all names lends them to its choice, whichever partner is missing."""
    found = joined({"a": "{s}/T1", "b": "{s}/{t}/m", "c": "{s}/{t}/n"}, "1/T1", "1/x/n")
    assert found == [({"s": "1", "t": "x"}, "ac")]


def test_an_empty_side_leaves_the_other_incomplete() -> None:
    """Where one of two crossed patterns finds nothing, the other's files still make choices."""
    assert joined({"a": "{s}.a", "b": "{t}.b"}, "1.a") == [({"s": "1"}, "a")]


def test_without_any_file_that_varies_there_is_no_choice() -> None:
    """A list of words alone makes nothing to wait for."""
    assert joined({"a": "{s}.a", "b": "*.b", "w": ("x", "y")}) == []


def test_without_anything_that_varies_there_is_one_choice() -> None:
    """Files named in full make one choice, there or not."""
    assert joined({"a": "x", "b": "y"}, "x") == [({}, "ab")]


def test_a_product_that_grows_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product beyond any study is refused before it is built, and so is a join on one name."""
    monkeypatch.setattr(joining, "MAX_CASES", 3)
    with pytest.raises(SettingsError, match="4 cases"):
        joined({"a": "{s}.a", "b": "{t}.b"}, "1.a", "2.a", "1.b", "2.b")
    with pytest.raises(SettingsError, match="4 cases"):
        joined({"a": "{s}-{t}.a", "b": "{t}-{u}.b"}, "1-1.a", "2-1.a", "1-1.b", "1-2.b")
