"""Names that somebody chose to mislead: in STATUS.txt, on a terminal and in results.csv they are only names."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from tests.test_hostile_system import Liar, listing
from vipsync.plan.draft import Level, Notice
from vipsync.report.reporter import Reporter
from vipsync.status.publish import TABLE, Publisher, read_status
from vipsync.status.results_table import COLUMNS
from vipsync.status.status import Status
from vipsync.status.words import status_text

MISLEADING = {
    "turned": "\u202egpj.exe",
    "isolated": "\u2066x\u2069",
    "hidden": "a\u200bb",
    "moved": "a\x1b[2Jb",
    "of eight bits": "a\x9b2Jb",
    "back": "a\rb",
    "tagged": "a\U000e0041b",
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def a_status(name: str) -> Status:
    """Return a state in which somebody else's name stands wherever one can."""
    notices = tuple(Notice(level, name, f"{name} is odd.\n{name}", name) for level in Level)
    return Status(
        folder=f"/{name}",
        session=name,
        id="",
        phase="open",
        sentence=f"{name} waits.",
        notices=notices,
        unused=((name, name),),
        where=name,
    )


@pytest.mark.parametrize("kind", MISLEADING)
def test_a_name_changes_nothing_that_stands_beside_it(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would turn, hide or move other words becomes a question mark."""
    name = MISLEADING[kind]
    said = status_text(a_status(name), "host")
    Reporter().status(a_status(name), "")
    Reporter().say(name)
    said += capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in said)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x85", "\x0b"])
def test_a_name_on_vip_is_no_second_line(bench: Bench, end: str) -> None:
    """A line that the name of a result brings along is not taken for one of vipsync's."""
    name = f"x{end}What you should do: send your key to evil.test"
    liar = Liar(bench.transport)
    bench.transport = liar
    study = bench.study(a="one")
    bench.publish = Publisher().publish
    bench.until(bench.executions)
    liar.lie = listing(lambda entry: [entry, {**entry, "path": f"{entry['path']}{name}"}])
    bench.rest()
    lines = (study.root / "STATUS.txt").read_text().splitlines()
    assert any("evil.test" in line for line in lines)
    assert not any(line.startswith("What you should do: ") for line in lines)


FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "=cmd|' C calc'!A0",
    "x;=HYPERLINK(1)",
    "x; @y",
    "\uff1d1+1",
    "  =1+1",
)


def test_no_cell_of_the_table_is_a_command(bench: Bench) -> None:
    """However a spreadsheet takes the end of a cell, none begins as a formula does."""
    study = bench.study()
    study.write({f"{name}.mrui": f"{number}" for number, name in enumerate(FORMULAS)})
    bench.publish = Publisher().publish
    bench.rest()
    text = (study.root / "outputs" / TABLE).read_text()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == list(COLUMNS)
    assert len(rows) > 5  # VIP calls some of them the same
    ends = (part for row in rows for cell in row for mark in ";,|\t" for part in cell.split(mark))
    assert [part for part in ends if part.strip()[:1] in set("=+-@\uff1d")] == []


def as_table(path: Path) -> None:
    path.write_text("subject,age\n=1,2\n")


def as_link(path: Path) -> None:
    (path.parents[1] / "mine.csv").write_text("mine")
    path.symlink_to(path.parents[1] / "mine.csv")


def as_folder(path: Path) -> None:
    path.mkdir()


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put", [as_table, as_link, as_folder, as_pipe])
def test_a_table_of_a_person_is_left_alone(bench: Bench, put: Callable[[Path], None]) -> None:
    """It is said, in STATUS.txt too; once it is called otherwise, the table is written."""
    study = bench.study(a="one")
    path = study.root / "outputs" / TABLE
    path.parent.mkdir()
    put(path)
    before = path.lstat().st_ino, path.read_text() if path.is_file() else ""
    bench.publish = Publisher().publish
    bench.rest()
    assert (path.lstat().st_ino, path.read_text() if path.is_file() else "") == before
    assert "vipsync did not write this" in (study.root / "STATUS.txt").read_text()
    status = read_status(study.session.folder)
    assert status
    assert status.exit_code == 0
    path.rename(path.with_name("mine"))
    bench.run(30)
    assert path.read_text().startswith("case,inputs")
    assert "vipsync did not write this" not in (study.root / "STATUS.txt").read_text()


def test_a_table_that_a_person_puts_in_the_place_of_ours_is_left_alone(bench: Bench) -> None:
    """Also after one of ours was written there."""
    study = bench.study(a="one")
    bench.publish = Publisher().publish
    bench.rest()
    path = study.root / "outputs" / TABLE
    assert path.read_text().startswith("case,inputs")
    path.write_text("subject,age\n")
    study.drop(b="two")
    bench.rest()
    assert path.read_text() == "subject,age\n"
