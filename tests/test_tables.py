"""Tables in results: their first rows, and one table for all cases."""

from __future__ import annotations

import csv
import io

import pytest

from tests.lab.findings import TABLE
from vipsync.results.tables import Table, beginning, harmless, joined, shared_name, whole


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.csv", "ppm,height\n2.01,12\n3.03,8\n"),
        ("a.CSV", "ppm;height\n2.01;12\n3.03;8\n"),
        ("a.tsv", "ppm\theight\n2.01\t12\n3.03\t8\n"),
        ("a.csv", "ppm, height\r\n2.01, 12\r\n\r\n3.03, 8"),
        ("a.csv", '"ppm","height"\n"2.01","12"\n"3.03","8"\n'),
    ],
)
def test_a_table_is_read_however_it_is_written(path: str, text: str) -> None:
    """With commas, semicolons or tabs, quoted or not, with lines of any system."""
    assert whole(path, text) == Table(("ppm", "height"), (("2.01", "12"), ("3.03", "8")))


def test_the_concentrations_of_lcmodel_are_a_table() -> None:
    """The lines after $$CONC; a metabolite that is written onto the ratio before it is one of its own."""
    found = whole("fit.table", TABLE)
    assert found is not None
    assert found.columns == ("Conc.", "%SD", "/Cr+PCr", "Metabolite")
    assert [row[3] for row in found.rows] == ["Asp", "Cr", "-CrCH2", "NAAG", "GPC+PCh"]
    assert found.rows[3] == ("9.541", "3%", "1.364", "NAAG")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "one column\n1\n2\n"),
        ("a.table", "no concentrations here\n"),
        ("a.csv", '"never closed, 1\n' + "x" * 200_000),
    ],
)
def test_what_is_no_table_is_none(path: str, text: str) -> None:
    """It is left out of the page, and stops nothing."""
    assert beginning(path, text) is None
    assert whole(path, text) is None


def test_of_a_long_table_the_first_rows_are_shown() -> None:
    """And that there are more."""
    found = beginning("a.csv", "a,b\n" + "1,2\n" * 50)
    assert found is not None
    assert (len(found.rows), found.more) == (20, True)
    few = beginning("a.csv", "a,b\n" + "1,2\n" * 20)
    assert few is not None
    assert (len(few.rows), few.more) == (20, False)


def test_a_wide_table_with_long_cells_is_cut() -> None:
    """A page holds thousands of them."""
    line = ",".join(["x" * 1000] * 100)
    found = beginning("a.csv", f"{line}\n{line}\n")
    assert found is not None
    assert (len(found.columns), len(found.rows[0]), len(found.rows[0][0])) == (40, 40, 200)


@pytest.mark.parametrize(
    ("path", "case", "name"),
    [
        ("peaks.csv", "sub-01.mrui", "peaks"),
        ("sub-01_peaks.csv", "sub-01.mrui", "peaks"),
        ("sub-01.mrui_quant.csv", "sub-01.mrui", "quant"),
        ("fit/sub-01/spectrum.csv", "sub-01.mrui", "fit-spectrum"),
        ("001.csv", "001.mrui", ""),
        ("10001.csv", "001.mrui", "10001"),
        ("../=x y?.csv", "a", "x-y"),
    ],
)
def test_tables_of_several_cases_are_called_by_what_they_share(
    path: str, case: str, name: str
) -> None:
    """The case's own name is taken out, where it is a word of its own."""
    assert shared_name(path, {case, case.partition(".")[0]}) == name


A, B = Table(("x", "y"), (("1", "2"),)), Table(("x", "y"), (("3", "4"), ("5", "6")))


def test_the_tables_of_all_cases_become_one() -> None:
    """With the case in the first column."""
    assert joined({"a": A, "b, c": B}) == 'case,x,y\na,1,2\n"b, c",3,4\n"b, c",5,6\n'


@pytest.mark.parametrize(
    "tables",
    [
        {"a": A, "b": Table(("x", "z"), ())},
        {"a": Table((), ()), "b": Table((), ())},
        {"a": A, "b": Table((), ())},
        {"a": Table(("x", "y"), (("1", "2"),) * 1_000_001)},
    ],
)
def test_tables_that_do_not_fit_together_are_not_joined(tables: dict[str, Table]) -> None:
    """Other columns, none at all, or more rows than a spreadsheet holds."""
    assert joined(tables) is None


@pytest.mark.parametrize("cell", ["=cmd|'/c calc'!A0", "@SUM(1)", "+1+cmd", "-CrCH2", "\t=1"])
def test_no_cell_is_taken_for_a_formula(cell: str) -> None:
    """Names of files come from outside, and so do results."""
    text = joined({cell: A, "b": Table(("x", "y"), ((cell, "1"),))})
    assert text is not None
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[1][0] == rows[2][1] == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1.5", "+2", "-1.2E-05", "-", "-inf", "12%", "a=b", ""])
def test_a_number_stays_as_it_is(cell: str) -> None:
    """Programs read the table, too."""
    assert harmless(cell) == cell
