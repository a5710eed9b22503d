"""Which paths are left out, and by which pattern."""

from __future__ import annotations

import pytest

from vipsync.disk.ignoring import BUILT_IN_IGNORE, NOTED, IgnoreRules, is_conflict_copy
from vipsync.disk.walk import asked_for
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


# conflict copies


COPIES = [
    "a.sync-conflict-20240101-120000-ABCDEFG.mrui",
    "a (Anna's conflicted copy 2024-01-01).mrui",
    "a (conflicted copy 2024-01-01 120000).mrui",
    "a (Case Conflict 1).mrui",
    "a_conflict-20240101-120000.mrui",
    "a-DESKTOP-A1B2C3D.mrui",
    "a-LAPTOP-9KQ6VO8J.mrui",
    "a-DESKTOP-7QK2M5P",
    "a-DESKTOP-7QK2M5P-2.nii.gz",
    "a (Unicode Encoding Conflict).mrui",
    "a (SFConflict anna@example.org 2024-01-01-12-00-00).mrui",
    "a.Conflict.mrui",
    "a [conflicted].mrui",
    "a (Copie en conflit de Anna 2024-01-01).mrui",
    "a (Annas Konfliktkopie 2024-01-01).mrui",
]


@pytest.mark.parametrize("name", COPIES)
def test_conflict_copies_of_sync_tools_are_left_out_and_noted(name: str) -> None:
    """Each is another version of a file that is there under its own name."""
    asked, _ = asked_for([], NOTED)
    for path in (name, f"sub/{name}"):
        assert RULES(path)
        assert is_conflict_copy(path)
        assert asked.fullmatch(path)


@pytest.mark.parametrize(
    "name",
    [
        "a-post.mrui",
        "a (1).mrui",
        "a (copy).mrui",
        "conflict.mrui",
        "a-LAB12.mrui",
        "desktop-1.mrui",
        "task-desktop-control.nii",
        "rec-laptop-sessions.nii.gz",
        "sub-desktop-healthy/a.mrui",
    ],
)
def test_names_that_may_be_data_are_no_conflict_copies(name: str) -> None:
    """A second acquisition has such a name, too."""
    assert not RULES(name)
    assert not is_conflict_copy(name)


@pytest.mark.parametrize("name", COPIES)
def test_a_word_in_place_of_a_computers_name_lets_no_copy_in(name: str) -> None:
    """Nor anything that is left out for another reason."""
    assert RULES(f"sub-desktop-healthy/{name}")
    assert RULES("task-desktop-control.tmp")
    assert RULES("a-desktop-control.sync-conflict-20240101-120000-ABCDEFG.mrui")


# what a person means


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("inputs/patients.csv", "patients.csv"),
        ("./patients.csv", "patients.csv"),
        ("./inputs/patients.csv", "patients.csv"),
        ("/inputs/lists/*.CSV", "lists/a.csv"),
        ("INPUTS/raw/", "raw/a.dat"),
        ("inputs/patients.csv", "inputs/patients.csv"),
        ("././patients.csv", "patients.csv"),
        (".//Inputs/patients.csv", "patients.csv"),
        ("/home/Anna/study/inputs/Patients.csv", "patients.csv"),
        ("/home/Anna/study/inputs/lists/", "lists/a.csv"),
    ],
)
def test_a_rule_from_outside_of_inputs_is_meant_from_inside(rule: str, path: str) -> None:
    """Who protects a file means that file, from wherever its path was written."""
    rules = IgnoreRules([], [rule], "", "/home/Anna/study/inputs")
    assert rules(path)
    assert rule in rules.rule(path)
    assert not rules("other.csv")
    assert rules.idle([path]) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("inputs\\patients.csv", "backslash"),
        (".\\patients.csv", "backslash"),
        ("lists\\*\\Anna.csv", "backslash"),
        ("../inputs/patients.csv", "'..'"),
        ("lists/../patients.csv", "'..'"),
        ("!../inputs/patients.csv", "'..'"),
    ],
)
def test_a_rule_that_can_match_nothing_is_an_error(rule: str, words: str) -> None:
    """It is shown as it was written, wherever it stands."""
    for extra, text in (([rule], ""), ([], f"*.log\n{rule}\n")):
        with pytest.raises(SettingsError, match=words) as error:
            IgnoreRules([], extra, text)
        assert rule in str(error.value)


@pytest.mark.parametrize(
    "rule", [r"\#recycle", r"a\[1\].csv", r"*\.csv", r"# C:\data\..", "a..b", "\\!x"]
)
def test_a_backslash_before_a_mark_is_as_gitignore_has_it(rule: str) -> None:
    """So are dots that are no folder, and comments."""
    IgnoreRules([], [], rule)


def test_an_exception_from_outside_of_inputs_is_an_error() -> None:
    """It would let something out that was to stay."""
    with pytest.raises(SettingsError, match="paths start inside it"):
        IgnoreRules([], ["*.csv", "!inputs/a.csv"], "")


def test_rules_without_effect_are_named() -> None:
    """Not the built-in ones, not comments; with the place where they stand."""
    rules = IgnoreRules(BUILT_IN_IGNORE, ["*.CSV", "patient.txt"], "# x\nraw/\n!a.csv\ndata/raw\n")
    assert rules.idle(["a.csv", "b/", "b/raw/", "b/raw/x"]) == [
        "patient.txt (settings.toml, [inputs] ignore)",
        "data/raw (.vipsyncignore)",
    ]
