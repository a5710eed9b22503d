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
