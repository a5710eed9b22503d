"""What comments cite, and what the pages for developers name, is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_imports import MODULES, siblings
from vipsync.local import Options

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "vipsync/README.md"
FACTS = ROOT / "vipsync/local/README.md"
PAGES = (ROOT / "README.md", HOUSE, FACTS, ROOT / "tests/README.md")

NUMBER = r"(?:P\d|\d+(?:\.\d+)?)"
CITATION = re.compile(rf"\b(facts|house)\s+({NUMBER}(?:\s*[-,]\s*{NUMBER})*)")
ELSEWHERE = re.compile(r"\b(?:design|users|must-get-right)\s+\d")

THEIRS = {"inputs/", "outputs/", "vipsync.toml"}
"""Files and folders of users, which no path of the repository can be."""


def sections(page: Path) -> set[str]:
    """Return the numbers of a page's headings, and of the promises in its table."""
    text = page.read_text("utf-8")
    return set(re.findall(rf"^(?:#+|\|) ({NUMBER})(?= )", text, re.M))


SECTIONS = {"house": sections(HOUSE), "facts": sections(FACTS)}


def on_one_line(text: str) -> str:
    """Return a text without line ends, nor the signs that begin a comment's next line."""
    return re.sub(r"\s*\n\s*#?\s*", " ", text)


def cited(text: str) -> Iterator[tuple[str, str]]:
    """Yield page and section of each citation; `3.5-3.7` stands for its two ends and what is between."""
    for page, numbers in CITATION.findall(on_one_line(text)):
        for part in re.split(r"\s*,\s*", numbers):
            first, _, last = part.partition("-")
            yield from ((page, number) for number in _between(first, last or first))


def _between(first: str, last: str) -> list[str]:
    chapter, _, start = first.rpartition(".")
    end = last.rpartition(".")[2]
    if first == last or last.rpartition(".")[0] != chapter:
        return sorted({first, last})
    dot = "." if chapter else ""
    return [f"{chapter}{dot}{number}" for number in range(int(start), int(end) + 1)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(facts 3.6)", ["3.6"]),
        ("(facts 5.4, 7.3): lists", ["5.4", "7.3"]),
        ("the knobs of facts 10; times", ["10"]),
        ("(facts 5.8-5.11)", ["5.8", "5.9", "5.10", "5.11"]),
        ("(facts 3-5)", ["3", "4", "5"]),
        ("# so it is (facts\n    # 2.1)", ["2.1"]),
        ("(house P4, 6.2)", ["P4", "6.2"]),
        ("facts = 3", []),
    ],
)
def test_citations_are_read(text: str, found: list[str]) -> None:
    """Lists, ranges and broken lines among them."""
    assert [number for _, number in cited(text)] == found


SOURCES = sorted(p for room in ("vipsync", "tests") for p in (ROOT / room).rglob("*.py"))


def test_what_is_cited_is_there() -> None:
    """A section for every citation of the package and its tests."""
    pages = [(path, cited(path.read_text("utf-8"))) for path in (*SOURCES, *PAGES)]
    dead = {
        (str(path.relative_to(ROOT)), page, number)
        for path, found in pages
        for page, number in found
        if number not in SECTIONS[page]
    }
    assert dead == set()


def test_nothing_else_is_cited() -> None:
    """There are no pages but these two."""
    strange = {
        (str(path.relative_to(ROOT)), match[0])
        for path in SOURCES
        for match in ELSEWHERE.finditer(on_one_line(path.read_text("utf-8")))
    }
    assert strange == set()


NAME = re.compile(
    r"""[\w./-]+\.(?:py|md)         # a file
    | [a-z]\w*(?:/\w+)*/            # a folder
    | (?:vipsync|tests)(?:\.\w+)+   # a module
    | (?:\w+/)*test_\w+             # a file of tests, without its ending
    """,
    re.VERBOSE,
)


def names(text: str) -> Iterator[str]:
    """Yield the files, folders, modules and tests that a page names in its code spans."""
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
        yield from filter(NAME.fullmatch, block.split())
    unfenced = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for _, span in re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", unfenced, re.S):
        yield from (word for word in span.split() if NAME.fullmatch(word) and word not in THEIRS)


def exists(name: str, page: Path) -> bool:
    """Tell whether the repository has what a page names: from the page, from its top, or by module."""
    if name.startswith(("vipsync.", "tests.")):
        name = name.replace(".", "/")
    elif re.fullmatch(r"(?:\w+/)*test_\w+", name):
        return any((ROOT / "tests").rglob(f"{name}.py"))
    places = (page.parent / name, ROOT / name, ROOT / f"{name}.py")
    return any(place.exists() for place in places)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """Files, folders, modules, tests and links."""
    text = page.read_text("utf-8")
    assert {name for name in names(text) if not exists(name, page)} == set()
    links = re.findall(r"\]\(([^):#]+)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


# the drawing of the rooms

DRAWN = re.findall(r"^(\w+)(?:/|\.py) +\w", HOUSE.read_text("utf-8"), re.M)


def room(module: str) -> str:
    """Return the package or module of the top level in which a module lies."""
    return module.partition(".")[0]


def test_the_rooms_are_drawn() -> None:
    """Each one, and no other."""
    assert sorted(DRAWN) == sorted({room(m) for m in MODULES} - {"__init__", "__main__"})


def test_imports_point_downwards_in_the_drawing() -> None:
    """A room uses those that stand below it."""
    floor = {name: number for number, name in enumerate(DRAWN)}
    upwards = {
        (name, other)
        for name in MODULES
        for other in siblings(name)
        if {room(name), room(other)} <= floor.keys() and floor[room(other)] < floor[room(name)]
    }
    assert upwards == set()


def test_the_real_servers_values_are_those_shown() -> None:
    """The table of what can be set, against `Options.faithful()`."""
    shown = re.findall(r"`(\w+)` \| (\d+) \|", FACTS.read_text("utf-8"))
    assert len(shown) > 10
    faithful = Options.faithful()
    assert {name: getattr(faithful, name) for name, _ in shown} == {n: int(v) for n, v in shown}
