"""The language of patterns."""

from __future__ import annotations

import pytest

from vipsync.cases.patterns import compile_pattern, compile_template
from vipsync.errors import SettingsError


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("signals/*.mrui", "signals/001.mrui", {}),
        ("signals/*.mrui", "Signals/001.MRUI", {}),
        ("signals/*.mrui", "signals/.mrui", {}),
        ("*", "a", {}),
        ("a?c", "abc", {}),
        ("a**c", "abbc", {}),
        ("**/a.nii", "a.nii", {}),
        ("**/a.nii", "x/y/a.nii", {}),
        ("x/**/a.nii", "x/a.nii", {}),
        ("x/**/a.nii", "x/y/z/a.nii", {}),
        ("x/**", "x/y/z", {}),
        ("[abc]x", "bx", {}),
        ("[a-c]x", "Bx", {}),
        ("[!a]x", "bx", {}),
        ("[^a]x", "bx", {}),
        ("[]-]x", "]x", {}),
        ("[]-]x", "-x", {}),
        ("[[]1].nii", "[1].nii", {}),
        ("[*][?][{]", "*?{", {}),
        ("{{a}}", "{a}", {}),
        ("{s}/T1.nii", "sub-01/t1.NII", {"s": "sub-01"}),
        ("{s}/{s}_T1.nii", "a/a_T1.nii", {"s": "a"}),
        ("{subject-id}/{a_1}.nii", "x/y.nii", {"subject-id": "x", "a_1": "y"}),
        ("{{{s}}}", "{a}", {"s": "a"}),
        ("e\u0301/*", "\u00e9/x", {}),
        ("É.txt", "é.txt", {}),
        ("a(b)+.$", "a(b)+.$", {}),
    ],
)
def test_a_path_matches(pattern: str, path: str, names: dict[str, str]) -> None:
    """A path that fits gives what each name stands for."""
    compiled = compile_pattern(pattern)
    found = compiled.match(path)
    assert found is not None
    assert dict(zip(compiled.names, found, strict=True)) == names


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.mrui", "signals/001.mrui"),
        ("a?c", "a/c"),
        ("a[!b]c", "a/c"),
        ("a[+-0]c", "a/c"),
        ("[!a]x", "Ax"),
        ("x/**", "x"),
        ("x**", "x/y"),
        ("{s}.nii", "a/b.nii"),
        ("{s}.nii", ".nii"),
        ("{s}/{s}_T1.nii", "a/b_T1.nii"),
        ("{s}/{s}_T1.nii", "a/A_T1.nii"),
        ("a.nii", "axnii"),
        ("a.nii", "a.nii.gz"),
    ],
)
def test_a_path_does_not_match(pattern: str, path: str) -> None:
    """No wildcard crosses a folder, and a name is the same text, capitals included."""
    assert compile_pattern(pattern).match(path) is None


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("", "empty part"),
        ("/data/a.nii", "absolute"),
        ("~/a.nii", "absolute"),
        ("C:/a.nii", "absolute"),
        ("..", "'..'"),
        ("../a.nii", "'..'"),
        ("a/../b", "'..'"),
        ("./a", "'.'"),
        ("a//b", "empty part"),
        ("a\\b", "write / between"),
        ("a[b", r"write \[\[\]"),
        ("a[]", "empty brackets|never closed"),
        ("a{b", r"write \{\{"),
        ("a{}", "no name"),
        ("a{b c}", "no name"),
        ("{1}", "no name"),
        ("{a}{b}", "nothing stands between"),
        ("[z-a]", "bad character range"),
    ],
)
def test_a_pattern_that_cannot_be_one_is_refused(pattern: str, hint: str) -> None:
    """A pattern that can't be read is refused, and the message says how to write it."""
    with pytest.raises(SettingsError, match=hint):
        compile_pattern(pattern)


def test_a_trailing_slash_means_a_folder() -> None:
    """A folder is one value; its pattern matches the folder's own path."""
    pattern = compile_pattern("{s}/dicom/")
    assert pattern.is_folder
    assert pattern.match("a/DICOM") == ("a",)
    assert pattern.wanted({"s": "a"}) == "a/dicom/"


def test_what_varies_is_known() -> None:
    """A pattern is literal, wild, or varies by its names only."""
    literal, wild, named = map(compile_pattern, ["a[[]b", "a*", "{a}"])
    assert (literal.is_literal, wild.is_literal, named.is_literal) == (True, False, False)
    assert (literal.is_wild, wild.is_wild, named.is_wild) == (False, True, False)


def test_a_path_is_told_as_far_as_the_names_are_known() -> None:
    """What is missing is named in full where the names tell it, else as a pattern."""
    pattern = compile_pattern("{s}/{t}/*.nii")
    assert pattern.wanted({"s": "1"}) == "1/{t}/*.nii"


def test_a_text_takes_names_only() -> None:
    """In a parameter that is no file, wildcards are ordinary characters."""
    template = compile_template("a*[b]?{s}-{{x}}-{s}")
    assert template.names == ("s",)
    assert template.fill({"s": "1"}) == "a*[b]?1-{x}-1"


@pytest.mark.parametrize("text", ["{", "a{b", "{}", "{a b}"])
def test_a_lone_brace_in_a_text_is_refused(text: str) -> None:
    """A brace that opens no name is a mistake in a text, too."""
    with pytest.raises(SettingsError):
        compile_template(text)
