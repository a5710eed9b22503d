"""Files against patterns."""

from __future__ import annotations

import pytest

from tests.lab.pipelines import pipeline
from vipsync.cases.matching import PAIRED, Relation, Tree, refuse_clashes, relate
from vipsync.cases.patterns import compile_pattern
from vipsync.cases.sources import read_sources
from vipsync.model import (
    FileSetting,
    InputFile,
    InputSetting,
    PackKind,
    PackSetting,
    RelPath,
    Settings,
    Text,
)

APP = pipeline("App", "a:File b:File? w:String?", dot=["b", "w"])

PACKED = PackSetting(PackKind.ZIP, "{s}/")


def paths(*texts: str) -> tuple[RelPath, ...]:
    return tuple(map(RelPath, texts))


def relation(given: InputSetting, *files: str, parameter: str = "a") -> Relation:
    settings = Settings("s", "App/1", input_settings={"a": "x"} | {parameter: given})
    sources = read_sources(settings, APP).sources
    source = next(one for one in sources if one.parameter.name == parameter)
    return relate(source, Tree(paths(*files), ()), 30)


def test_the_members_of_a_folder_are_found() -> None:
    """Only what lies below a folder is in it, not what merely begins like it."""
    tree = Tree(paths("d/b", "d/a/c", "d", "d-x/a", "d0/a", "e"), ())
    assert tree.members(RelPath("d")) == ("d/a/c", "d/b")


def test_a_folder_is_matched_at_any_depth() -> None:
    """Each folder above a file exists, whether or not it holds files itself."""
    tree = Tree(paths("a/b/c"), ())
    assert [path for path, _ in tree.matches(compile_pattern("**/"))] == ["a", "a/b"]


def test_a_file_in_full_is_found_among_all_files() -> None:
    """A file named in full is seen though ignored; a pattern sees what is not ignored."""
    tree = Tree(paths("a"), paths("a", "b.tmp"))
    assert [path for path, _ in tree.matches(compile_pattern("B.tmp"))] == ["b.tmp"]
    assert [path for path, _ in tree.matches(compile_pattern("*"))] == ["a"]


def test_a_name_is_a_variable() -> None:
    """Options lie under what the names stand for."""
    found = relation("{s}/{t}", "1/2", "3/4", "x")
    assert found.variables == ("s", "t")
    assert list(found.options) == [("1", "2"), ("3", "4")]


def test_a_star_varies_by_its_path() -> None:
    """What varies without a name is a variable of its parameter alone."""
    found = relation("{s}/*", "1/2")
    assert (found.variables, list(found.options)) == (("s", "*a"), [("1", "1/2")])


def test_paired_lists_vary_by_index() -> None:
    """Lists under `vip:dot` share one variable, the index."""
    found = relation(("x", "y"), "x", parameter="w")
    assert (found.variables, list(found.options)) == ((PAIRED,), [("0",), ("1",)])
    assert found.options["1",].value == Text("y")


def test_what_does_not_vary_has_one_option() -> None:
    """A file named in full is one option, there or missing."""
    assert relation("x", "x").options[()].value == InputFile(RelPath("x"))
    assert relation("x").options[()].missing == "x"


def test_what_is_wanted_is_told() -> None:
    """A relation names what a choice lacks: by its names, or by its place in a list."""
    assert relation("{s}/x").wanted({"s": "1"}) == "1/x"
    assert relation(("x", "y"), parameter="b").wanted({PAIRED: "1"}) == "y"


def test_without_a_clash_nothing_changes() -> None:
    """Options are left as they are where every name on VIP is its own."""
    before = [relation("*", "1", "2")]
    assert refuse_clashes(before, ()) == before


def test_a_clash_is_told_by_every_option_in_it() -> None:
    """Both files of a clash are named with each of them, a third is left alone."""
    (after,) = refuse_clashes([relation("*", "a b", "a_b", "c")], ())
    assert [bool(option.problem) for option in after.options.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("files", "others", "told"),
    [
        (["SUB 01/a", "SUB_01/b"], [], ["SUB 01", "SUB_01"]),
        (["é/a", "e/b", "c/a"], [], ["e", "é"]),
        (["s/ses 1/a", "s/ses_1/b", "t/ses 1/a"], [], ["s"]),
        (["SUB 01/a"], ["SUB_01/notes.txt", "日本/x"], ["SUB 01"]),
        (["SUB 01/a", "SUB-01/a"], ["SUB_01.txt"], []),
    ],
)
def test_folders_that_are_one_on_vip_are_a_clash(
    files: list[str], others: list[str], told: list[str]
) -> None:
    """A job would get the files of both, wherever in its folder they lie."""
    (after,) = refuse_clashes([relation("{s}/", *files)], paths(*others))
    found = sorted(path for (path,), option in after.options.items() if option.problem)
    assert found == told
    assert all(
        f"{path}/" in option.problem for (path,), option in after.options.items() if option.problem
    )


@pytest.mark.parametrize("given", ["{s}/{t}", FileSetting("{s}/{t}", "{s}.{t}"), PACKED])
def test_files_and_archives_share_folders_on_vip_without_a_clash(given: InputSetting) -> None:
    """A value that is no folder is not touched by what lies beside it."""
    (after,) = refuse_clashes([relation(given, "SUB 01/a", "SUB_02/b")], paths("SUB_01/c"))
    assert not any(option.problem for option in after.options.values())


def test_a_file_that_vip_cannot_hold_is_no_clash() -> None:
    """Among files that go up though no setting uses them, a refused name concerns nobody else."""
    (after,) = refuse_clashes([relation("*", "a")], paths("日本", "b"))
    assert [option.problem for option in after.options.values()] == [""]


def test_a_file_that_fits_in_two_ways_is_refused() -> None:
    """Nobody can tell which case it belongs to; one that fits in one way is not."""
    found = relation("{s}_{t}.dat", "a_b_c.dat", "x_y.dat")
    problems = {option.files: option.problem for option in found.options.values()}
    assert problems[paths("x_y.dat")] == ""
    assert "in more than one way" in problems[paths("a_b_c.dat")]
