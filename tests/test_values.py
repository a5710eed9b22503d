"""What VIP takes as a value."""

from __future__ import annotations

import pytest

from tests.lab.pipelines import pipeline
from vipsync.cases.values import (
    base_name,
    count_of,
    files_on_vip,
    text_in_job,
    text_of,
    text_problem,
    vip_rel,
)
from vipsync.model import (
    Case,
    InputFile,
    InputFolder,
    PackedFolder,
    PackKind,
    Parameter,
    ParameterType,
    RelPath,
    Scalar,
    Text,
)

T = ParameterType


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (5, "5"), (1.5, "1.5"), ("a", "a"), (" a b ", "a b")],
)
def test_a_value_is_sent_as_text(value: Scalar, text: str) -> None:
    """Values become the text that VIP would make of them."""
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (T.STRING, "0.9,A-z+@/_(): []?&="),
        (T.STRING, "a" * 255),
        (T.BOOLEAN, "true"),
        (T.BOOLEAN, "FALSE"),
        (T.INTEGER, "-12"),
        (T.INTEGER, "2147483647"),
        (T.INTEGER, "-2147483648"),
        (T.DOUBLE, "3"),
        (T.DOUBLE, "-1.5e-7"),
        (T.DOUBLE, ".5"),
        (T.FILE, "/vip/Home/a/b(1).nii"),
        (T.FILE, "/vip/MR Spectroscopy (group)/INPUT/basis.zip"),
        (T.FILE, "/vip/MR (group)"),
    ],
)
def test_a_good_text_has_no_problem(kind: ParameterType, text: str) -> None:
    """What VIP can work with passes."""
    assert text_problem(Parameter("x", kind), text) == ""


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        (T.STRING, "", "leave the key out"),
        *[(T.STRING, f"a{mark}b", "VIP refuses") for mark in "!\"#$%'*;<>\\^{|}~`\t\né日"],
        (T.STRING, "a@@b", "@@"),
        (T.STRING, "a@", "@@"),
        (T.STRING, "a" * 256, "256 characters"),
        (T.BOOLEAN, "1", "neither true nor false"),
        (T.INTEGER, "1.0", "not a whole number"),
        (T.INTEGER, "true", "not a whole number"),
        (T.INTEGER, "one", "not a whole number"),
        (T.INTEGER, "2147483648", "above 2147483647"),
        (T.DOUBLE, "nan", "not a number"),
        (T.DOUBLE, "1_0", "not a number"),
        (T.DOUBLE, "true", "not a number"),
        (T.DOUBLE, "1e39", "above 3.4e38"),
        (T.FILE, "/vip/Home/a b", "never start"),
        (T.FILE, "/vip/Home/a[1]", "never start"),
        (T.FILE, "/vip/Home/a?b", "never start"),
        (T.FILE, "/vip/MR (group)/a b", "never start"),
        (T.FILE, "/vip/Home/x/vip/Home/y", "mangle"),
    ],
)
def test_a_bad_text_has_its_problem_told(kind: ParameterType, text: str, hint: str) -> None:
    """What VIP would refuse, misread or hang on is found before it is sent."""
    assert hint in text_problem(Parameter("x", kind), text)


@pytest.mark.parametrize(
    ("kind", "choices", "text", "hint"),
    [
        (T.STRING, ("-all", "-autorecon1"), "-all", ""),
        (T.STRING, ("-all", "-autorecon1"), "-autorecon", "did you mean -autorecon1?"),
        (T.STRING, ("a",), "zzz", "not one of a"),
        (T.INTEGER, (1, 10), "10", ""),
        (T.INTEGER, (1, 10), "+10", ""),
        (T.INTEGER, (1, 10), "5", "not one of 1, 10"),
        (T.DOUBLE, (0.5, 1), "1.0", ""),
        (T.INTEGER, ("a", 1), "2", "not one of a, 1"),
    ],
)
def test_choices_are_kept(
    kind: ParameterType, choices: tuple[Scalar, ...], text: str, hint: str
) -> None:
    """A value outside its choices is told with the nearest one."""
    problem = text_problem(Parameter("x", kind, choices=choices), text)
    assert hint in problem
    assert bool(problem) == bool(hint)


@pytest.mark.parametrize(
    ("text", "exclusive", "hint"),
    [
        ("0", False, ""),
        ("10", False, ""),
        ("-1", False, "at least 0"),
        ("10.5", False, "at most 10"),
        ("0", True, "above 0"),
        ("10", True, "below 10"),
        ("5", True, ""),
    ],
)
def test_bounds_are_kept(text: str, exclusive: bool, hint: str) -> None:
    """A number outside its bounds is told with the bound."""
    parameter = Parameter(
        "x",
        T.DOUBLE,
        minimum=0,
        maximum=10,
        exclusive_minimum=exclusive,
        exclusive_maximum=exclusive,
    )
    problem = text_problem(parameter, text)
    assert hint in problem
    assert bool(problem) == bool(hint)


A, B = RelPath("sub 01/a.nii"), RelPath("sub 01/dicom")


@pytest.mark.parametrize(
    ("value", "rel", "base"),
    [
        (InputFile(A), "sub_01/a.nii", "a.nii"),
        (InputFile(A, "x/é.nii"), "x/e.nii", "e.nii"),
        (InputFolder(B, ()), "sub_01/dicom", "dicom"),
        (PackedFolder(B, PackKind.ZIP, ()), "sub_01-dicom.zip", "sub_01-dicom.zip"),
        (PackedFolder(B, PackKind.TGZ, ()), "sub_01-dicom.tgz", "sub_01-dicom.tgz"),
    ],
)
def test_a_value_has_a_place_on_vip(
    value: InputFile | InputFolder | PackedFolder, rel: str, base: str
) -> None:
    """A file, a folder and an archive each have one path below INPUTS."""
    assert (vip_rel(value), base_name(value)) == (rel, base)


def test_a_file_on_vip_has_its_own_name_in_the_job() -> None:
    """What is on VIP already comes into the job under its base name."""
    assert base_name(Text("/vip/MR (group)/basis.zip")) == "basis.zip"
    assert base_name(Text("/vip/Home/dicom/")) == "dicom"


@pytest.mark.parametrize(
    ("kind", "text", "in_job"),
    [
        (T.BOOLEAN, "TRUE", "True"),
        (T.BOOLEAN, "false", "False"),
        (T.INTEGER, "+07", "7"),
        (T.INTEGER, "odd", "odd"),
        (T.DOUBLE, "3", "3.0"),
        (T.DOUBLE, "0.1", "0.1"),
        (T.DOUBLE, "123456789", "123456790.0"),
        (T.DOUBLE, "3e7", "30000000.0"),
        (T.DOUBLE, "-987654321", "-987654340.0"),
        (T.DOUBLE, "16777217", "16777216.0"),
        (T.STRING, "007", "007"),
    ],
)
def test_a_text_changes_on_its_way_into_the_job(
    kind: ParameterType, text: str, in_job: str
) -> None:
    """Flags and numbers come out of the engine in another form, floats after 32 bits."""
    assert text_in_job(kind, text) == in_job


@pytest.mark.parametrize(("text", "count"), [("10", 10), ("0", 0), ("-3", 0), ("x", 0)])
def test_an_iterator_counts_from_a_whole_number(text: str, count: int) -> None:
    """Only a whole number above 0 makes jobs."""
    assert count_of(text) == count


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("f", "/vip/Home/a.nii", ["/vip/Home/a.nii"]),
        ("f", "/vip/Home//x/./a.nii/", ["/vip/Home/x/a.nii"]),
        ("many", "/vip/EGI (group)/a", ["/vip/EGI (group)/a"]),
        ("word", "/vip/Home/a.nii", []),
        ("f", "a.nii", []),
        ("f", "girder:/1", []),
    ],
)
def test_files_on_vip_are_values_of_parameters_that_take_files(
    name: str, text: str, found: list[str]
) -> None:
    """A word may look like a path; the path is as VIP's lists have it."""
    descriptor = pipeline("App", "f:File many:Files word:String")
    assert list(files_on_vip(Case("a", {name: Text(text)}), descriptor)) == found
