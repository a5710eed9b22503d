"""The language of patterns."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vipsync.cases.patterns import Pattern, compile_pattern, compile_template, several_readings
from vipsync.cases.placeholders import Piece
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
    (found,) = compiled.readings(path)
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
    assert compile_pattern(pattern).readings(path) == ()


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
    assert pattern.readings("a/DICOM") == (("a",),)
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


# several readings


@pytest.mark.parametrize(
    ("pattern", "path", "readings"),
    [
        (
            "{sub}_{ses}_T1w.nii.gz",
            "sub-02_ses-1_acq-x_T1w.nii.gz",
            {("sub-02", "ses-1_acq-x"), ("sub-02_ses-1", "acq-x")},
        ),
        ("{a}-{b}.dat", "p-q-r.dat", {("p", "q-r"), ("p-q", "r")}),
        ("{a}_*.dat", "p_q_r.dat", {("p",), ("p_q",)}),
        ("*{a}.dat", "pq.dat", {("q",), ("pq",)}),
        ("{a}_*_{b}", "p_q_q_r", {("p", "r"), ("p", "q_r"), ("p_q", "r")}),
        ("**/{a}/**/{b}", "p/q/r", {("p", "r"), ("q", "r")}),
        ("**/{a}/**", "p/q/r", {("p",), ("q",)}),
        ("**/{a}_{b}/**", "1_2/3_4/x", {("1", "2"), ("3", "4")}),
        ("**{a}.nii", "pq.nii", {("pq",), ("q",)}),
        ("{a}/**{b}", "x/pq", {("x", "pq"), ("x", "q")}),
        ("**_{a}", "p_q_r", {("q_r",), ("r",)}),
        ("{a}/{b}-{c}/", "x/1-2-3", {("x", "1", "2-3"), ("x", "1-2", "3")}),
        ("{a}_{b}_{c}", "1_2_3_4", {("1", "2", "3_4"), ("1", "2_3", "4"), ("1_2", "3", "4")}),
    ],
)
def test_each_way_in_which_a_path_fits_is_found(
    pattern: str, path: str, readings: set[tuple[str, ...]]
) -> None:
    """Two names in one part, a name beside a star, folders of any depth on both sides of a name."""
    assert set(compile_pattern(pattern).readings(path)) == readings


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("{s}_{t}/{s}.nii", "a_b_c/a_b.nii", ("a_b", "c")),
        ("{s}/{s}_{t}_x.nii", "a_b/a_b_c_x.nii", ("a_b", "c")),
        ("{s}-{t}/**/{t}.nii", "a-b-c/q/b-c.nii", ("a", "b-c")),
        ("sub-{s}_ses-{t}_T1w.nii", "sub-1_ses-2_acq-x_T1w.nii", ("1", "2_acq-x")),
        ("{s}/*{s}*.dcm", "sub-01/IM_sub-01_0001.dcm", ("sub-01",)),
        ("*{s}*/{s}.nii", "study_sub-01_baseline/sub-01.nii", ("sub-01",)),
        ("{s}/**/*{s}*", "P07/" + "raw/" * 40 + "MR_P07_0123", ("P07",)),
        ("{s}/{t}/*{t}*_*{s}*", "P07/ses-12/a_ses-12_b_P07_x_long_tail", ("P07", "ses-12")),
    ],
)
def test_what_one_part_leaves_open_another_decides(
    pattern: str, path: str, names: tuple[str, ...]
) -> None:
    """A name is the same text wherever it stands."""
    assert compile_pattern(pattern).readings(path) == (names,)


@given(
    st.lists(
        st.sampled_from(["{a}", "{b}", "{a}", "*", "**", "_", "x", "?", "/", "/**", "**/", "[xy]"]),
        max_size=7,
    ),
    st.text("xy_/", max_size=9),
)
def test_placeholders_are_those_of_trying_everything(parts: list[str], path: str) -> None:
    """Whatever the pattern: the same as by cutting the path in every possible way."""
    try:
        pattern = compile_pattern("".join(parts))
    except SettingsError:
        assume(False)
    if "//" in path or path.startswith("/") or path.endswith("/") or not path:
        return
    assert set(pattern.readings(path)) == set(_tried(pattern, list(pattern.pieces), path, {}))


def _tried(
    pattern: Pattern, pieces: list[Piece], rest: str, names: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    """Give each piece every beginning of what is left."""
    if not pieces:
        if not rest:
            yield tuple(names[name] for name in pattern.names)
        return
    piece, *others = pieces
    for end in range(len(rest) + 1):
        text = rest[:end]
        if piece.name:
            fits = text != "" and "/" not in text and names.get(piece.name, text) == text
            bound = {**names, piece.name: text}
        else:
            source = piece.wild or f"(?i:{re.escape(piece.text)})"
            fits, bound = re.fullmatch(source, text) is not None, names
        if fits:
            yield from _tried(pattern, others, rest[end:], bound)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*{a}*", "one_two_three_four"),
        ("*{a}*/*{a}*", "one_two_three/four_three_two"),
        ("*{a}*{a}*", "one_two_three_four_five_six"),
        ("**/*{a}*_*{b}*", "one/two_three_four"),
    ],
)
def test_of_many_readings_more_than_one_is_kept(pattern: str, path: str) -> None:
    """However many there are, the file is seen to fit in several ways."""
    compiled = compile_pattern(pattern)
    every = set(_tried(compiled, list(compiled.pieces), path, {}))
    kept = compiled.readings(path)
    assert len(kept) > 1
    assert every.issuperset(kept)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 20 + "b", "a" * 255),
        ("{n}_" * 1 + "*_" * 20 + "x", "_" * 255),
        ("{a}x{b}x{c}x{d}x{e}x{f}y", "x" * 255),
        ("**/" * 10 + "{a}/z", "a/" * 100 + "a"),
        ("{a}_{a}_{a}_{a}_{a}_b", "_".join("q" * 100)),
        ("?*" * 30 + "z", "y" * 255),
        ("*{a}*/*{a}*-{a}.z", "ab" * 60 + "/" + "ba" * 60),
        ("*{a}x{a}*{b}*y{b}z", "abx" * 70),
        ("{s}/**/*{s}*{t}*{t}z", "q/" * 60 + "qx" * 60),
    ],
)
def test_no_name_makes_a_pattern_slow(
    pattern: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places of the text that are looked at grow with its length, not with the ways to read it."""
    compiled = compile_pattern(pattern)
    calls = 0

    def count(frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        compiled.readings(path)
    finally:
        sys.setprofile(None)
    assert calls < 60 * len(path) * len(compiled.pieces)


@pytest.mark.parametrize(
    ("pattern", "path", "better"),
    [
        ("{sub}_{ses}_T1w.nii", "sub-02_ses-1_acq-x_T1w.nii", "sub-{sub}_ses-{ses}_T1w.nii"),
        ("{a}_{b}.mrui", "x_y_z.mrui", "{a}_{more}_{b}.mrui"),
        ("{a}-{b}/", "x-y-z", "{a}-{more}-{b}/"),
    ],
)
def test_a_sharper_pattern_is_named(pattern: str, path: str, better: str) -> None:
    """With both readings, and one that reads this path in one way only."""
    compiled = compile_pattern(pattern)
    text = several_readings(compiled, path, compiled.readings(path))
    assert f"write {better}, for one" in text
    assert len(compile_pattern(better).readings(path)) == 1
    for reading in compiled.readings(path):
        assert ", ".join(map(" = ".join, zip(compiled.names, reading, strict=True))) in text
