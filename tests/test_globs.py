"""Patterns with wildcards: they match what git's and a shell's do, in a time that grows with the name alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from vipsync.disk.globs import ignore_spec
from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.disk.walk import asked_for
from vipsync.errors import SettingsError
from vipsync.plan.results import _patterns

SEGMENT = st.lists(
    st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[b-c]", "*a", "*?", r"\*", r"\[", "]"]),
    min_size=1,
    max_size=5,
).map("".join)
RULE = st.builds(
    lambda start, parts, end: start + "/".join(parts) + end,
    st.sampled_from(["", "", "!", "/"]),
    st.lists(SEGMENT | st.just("**"), min_size=1, max_size=5),
    st.sampled_from(["", "", "/"]),
)
PATH = st.builds(
    lambda parts, end: "/".join(parts) + end,
    st.lists(st.text("aabbc.*[", min_size=1, max_size=6), min_size=1, max_size=5),
    st.sampled_from(["", "/"]),
)


@given(st.lists(RULE, min_size=1, max_size=3), st.lists(PATH, min_size=1, max_size=8))
def test_rules_match_as_pathspec_has_them(rules: list[str], paths: list[str]) -> None:
    """The same rule decides about the same path, folders that may lie anywhere included."""
    try:
        theirs = GitIgnoreSpec.from_lines(rules)
    except ValueError:
        return
    ours = ignore_spec(rules)
    for path in paths:
        one, other = ours.check_file(path), theirs.check_file(path)
        assert (one.include, one.index) == (other.include, other.index), path


@pytest.mark.parametrize("path", ["x/b", "x/b/c", "a/x/b"])
def test_what_is_not_a_letter_is_no_slash_either(path: str) -> None:
    """As with git, a bracket never takes the place of a slash."""
    assert not ignore_spec(["x[!a]b", "/a/x[^y]b"]).match_file(path)


STUBBORN = {
    "*a" * 60 + "b": "a" * 250,
    "*?" * 60 + "b": "a" * 255,
    "a*" * 100 + "b": "a" * 255,
    "*[ab]" * 60 + "c": "ab" * 120,
    "*ab" * 40 + "c": "ab" * 120,
    "/**/".join(["*a*"] * 12) + "/z": "/".join(["ba"] * 1300),
    "**/" + "a*/**/" * 10 + "b": "/".join(["aa"] * 1300),
    "x/" + "**/*/" * 12 + "y": "x/" + "/".join(["a"] * 2000),
}


@pytest.mark.parametrize("rule", STUBBORN)
def test_a_rule_does_not_try_a_name_in_ever_more_ways(rule: str) -> None:
    """It ends at once, in `.vipsyncignore`, in settings.toml and for results."""
    path = STUBBORN[rule]
    assert not IgnoreRules((), (), rule)(path)
    assert not IgnoreRules((), (rule,), "").rule(path)
    assert not _patterns((rule,)).match_file(path)


@pytest.mark.parametrize(
    "pattern",
    ["{a}x" * 30 + "y", "*x" * 60 + "y", "{a}{b}{c}*{d}" * 10 + "y", "{a}xx*" * 20 + "y"],
    ids=["names", "stars", "side by side", "mixed"],
)
def test_what_is_asked_for_is_looked_for_at_once(pattern: str) -> None:
    """A setting with many names in one part, and a file made for it."""
    asked, _ = asked_for([f"sub/{pattern}"])
    assert not asked.fullmatch("sub/" + "x" * 255)
    assert asked.fullmatch("sub/" + "xx" * 120 + "y")


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        ("{a}_{b}.nii", "s_1_t.nii", "s_.nii"),
        ("{a}{b}", "xy", "x"),
        ("*{a}*", "x", ""),
        ("a*b*c", "abbcbc", "abcb"),
        ("a.b", "a.b", "axb"),
        ("*/x", "d/x", ".d/x"),
    ],
)
def test_what_is_asked_for(pattern: str, right: str, wrong: str) -> None:
    """A name stands for a letter at least, a star for none too."""
    asked, _ = asked_for([pattern])
    assert asked.fullmatch(right)
    assert not asked.fullmatch(wrong)


@pytest.mark.parametrize(
    "rules", [["*.tmp"] * 2001, ["x" * 1001], ["a"] * 10**6], ids=["many", "long", "a million"]
)
def test_rules_without_end_are_refused(rules: list[str]) -> None:
    """Each path is held against each of them."""
    with pytest.raises(SettingsError, match="too much"):
        IgnoreRules(BUILT_IN_IGNORE, (), "\n".join(rules))
    with pytest.raises(SettingsError, match="too much"):
        IgnoreRules(BUILT_IN_IGNORE, rules, "")
