"""Which paths are left out, and by which pattern."""

from __future__ import annotations

import pytest

from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.errors import SettingsError

RULES = IgnoreRules(BUILT_IN_IGNORE, [], "")


@pytest.mark.parametrize(
    "name",
    [".hidden", "~$report.docx", "a.tmp", "a.part", "a.partial", "a.filepart", "a.crdownload",
     "a.lock", ".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir/a", "#recycle/a", ".Trash-1000/a",
     ".smbdeleteAAA", ".~lock.a#", "__MACOSX/a", ".nfs0001", "sub/.git/config"],
)  # fmt: skip
def test_built_in_rules(name: str) -> None:
    """Each kind of unfinished or left-over file is ignored by default."""
    assert RULES(name)
    assert RULES(f"patient/{name}")


@pytest.mark.parametrize(
    "name",
    ["SCAN02.TMP", "THUMBS.DB", "Desktop.ini", "X.RAW.Part", "S.CRDOWNLOAD", "@EADIR/a", "Icon\r"],
    ids=repr,
)
def test_built_in_rules_hold_in_any_case(name: str) -> None:
    """A scanner or a share may write the same name in capitals."""
    assert RULES(name)
    assert RULES(f"Patient/{name}")


@pytest.mark.parametrize("name", ["Icon", "icons.dat", "a.tmpx", "partial.dat", "thumbs.db.raw"])
def test_built_in_rules_leave_other_names_alone(name: str) -> None:
    """What only looks like one of them is data."""
    assert not RULES(name)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.CSV", "patients.csv"),
        ("[A-C]*.dat", "b1.dat"),
        ("RAW/", "raw/a.dat"),
        ("été*", "ÉTÉ.dat"),
    ],
)
def test_a_persons_rules_hold_in_any_case_too(pattern: str, path: str) -> None:
    """Who protects a file means that file; it is named as it was written."""
    rules = IgnoreRules([], [pattern], "")
    assert rules(path)
    assert rules.rule(path).startswith(f"{pattern} (")


def test_later_rules_win() -> None:
    """.vipsyncignore comes after the settings, which come after the built-in patterns."""
    rules = IgnoreRules(BUILT_IN_IGNORE, ["*.log"], "# kept on purpose\n!keep.log\n!*.lock\n")
    assert [rules(name) for name in ("a.log", "keep.log", "a.lock", "a.tmp")] == [
        True,
        False,
        False,
        True,
    ]


def test_pattern_that_is_none() -> None:
    """An ignore pattern that cannot be read is a settings error that says where to look."""
    with pytest.raises(SettingsError, match="vipsyncignore"):
        IgnoreRules([], ["!"], "")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("a.tmp", "*.tmp (built in)"),
        ("sub/@eaDir/a.dat", "@eaDir (built in)"),
        ("a.log", "*.log (settings.toml, [inputs] ignore)"),
        ("raw/deep/a.dat", "raw/ (.vipsyncignore)"),
        ("raw/keep.dat", "raw/ (.vipsyncignore)"),
        ("keep.log", ""),
        ("a.dat", ""),
    ],
)
def test_the_pattern_that_leaves_a_path_out_is_named(path: str, rule: str) -> None:
    """Also one of a folder above it, which no later exception brings back (as with git)."""
    rules = IgnoreRules(
        BUILT_IN_IGNORE, ["", "*.log"], "# kept on purpose\n\n!keep.log\nraw/\n!keep.dat\n"
    )
    assert rules.rule(path) == rule
