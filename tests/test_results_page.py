"""outputs/index.html: what people see of the results, with nothing in it that acts or reaches out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.lab.bench import Bench, Study
from tests.lab.browser import chromium, serious
from tests.lab.findings import findings
from vipsync.model import ExecutionStatus, RelPath
from vipsync.results.facts import Description, Facts, File, Piece, Run, Shown
from vipsync.results.page import FULL, Seen, page
from vipsync.results.tables import Table
from vipsync.rows import Followed

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;"


class Elements(HTMLParser):
    """The elements of a page, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        """Return an attribute of all elements of a kind."""
        return [attrs[attribute] for name, attrs in self.found if name == tag]


def shown(title: str = "a", *files: str, state: str = "done", **more: Any) -> tuple[Shown, Seen]:
    """Return a case with one result that holds these files, and what is seen of it."""
    piece = Piece(RelPath("run/a.tgz"), "stamp", unpacked=True)
    found = Description(tuple(File(f"run/a.tgz/{name}", 10, "0" * 64) for name in files))
    case = Shown(title, state, folder="run", execution="e1", pieces=(piece,), **more)
    return case, Seen(written=0.0, described={piece: found})


def parsed(*cases: Shown, seen: Seen) -> Elements:
    """Return the page of some cases."""
    return Elements(page(Facts("study", "https://vip.test", cases), seen))


def test_every_name_and_every_word_from_outside_is_text() -> None:
    """Whatever a case, a file, a table, a log or a pipeline is called."""
    case, seen = shown(HOSTILE, f"{HOSTILE}.png", f"{HOSTILE}.txt", state="failed", reason=HOSTILE)
    piece = case.pieces[0]
    told = Description(
        seen.described[piece].files,
        ((f"run/{HOSTILE}.csv", Table((HOSTILE, "b"), ((HOSTILE, ""),))),),
    )
    log = RelPath(f"run/logs/{HOSTILE}")
    hostile = Shown(
        HOSTILE,
        "failed",
        HOSTILE,
        HOSTILE,
        HOSTILE,
        0.0,
        (piece,),
        (log,),
        ((RelPath(HOSTILE), HOSTILE),),
    )
    run = Run(Followed(HOSTILE, HOSTILE, HOSTILE, ExecutionStatus.RUNNING), HOSTILE)
    facts = Facts(HOSTILE, "https://vip.test", (hostile, *[hostile] * FULL), (run,))
    said = Seen(
        0.0, {piece: told}, logs={f"{log}.stdout.txt": HOSTILE}, tables=(HOSTILE,), hint=HOSTILE
    )
    found = Elements(page(facts, said))
    tags = {tag for tag, _ in found.found}
    assert "script" not in tags
    assert all(not name.startswith("on") for _, attrs in found.found for name in attrs)
    assert found.text.count("<script>alert(1)</script>") > 10


@pytest.mark.parametrize(
    "name",
    ["javascript:alert(1)//.png", "//evil.test/x.png", "a?b#c.png", "été%20.png", "x\\y.png"],
)
def test_every_address_is_a_file_below_the_page(name: str) -> None:
    """Whatever a file is called."""
    case, seen = shown("a", name)
    found = parsed(case, seen=seen)
    (image,) = found.all("img", "src")
    assert unquote(image) == f"./run/a.tgz/{name}"
    assert image.startswith("./")
    assert not {"?", "#", "\\", " "} & set(image)
    assert all(a.startswith("./") for a in found.all("a", "href"))


def test_letters_that_turn_the_direction_of_a_text_are_seen() -> None:
    """`gpj.exe` is not shown as `exe.jpg`."""
    case, seen = shown("a\u202egpj.exe\x07")
    assert "\u202e" not in page(Facts("s", "p", (case,)), seen)


def test_the_page_may_do_nothing_but_show_pictures() -> None:
    """Its policy allows no script, no frame, no form, no font, no request, and one style by its hash."""
    case, seen = shown("a")
    text = page(Facts("s", "p", (case,)), seen)
    policy = re.search(r'content="(default-src [^"]*)"', text)
    assert policy is not None
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' file: data:"
    assert rules["style-src"].startswith("'sha256-")
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert "http" not in text.replace("http-equiv", "")


def test_pictures_are_shown_and_documents_are_linked() -> None:
    """An SVG as a picture only: nothing in it runs there."""
    case, seen = shown("a", "s.svg", "p.PNG", "fit.pdf", "x.html", "data.bin")
    found = parsed(case, seen=seen)
    assert [s.rpartition("/")[2] for s in found.all("img", "src")] == ["s.svg", "p.PNG"]
    linked = [a.rpartition("/")[2] for a in found.all("a", "href") if a.count("/") == 3]
    assert linked[2:] == ["", "fit.pdf", "data.bin", "p.PNG", "s.svg", "x.html"]
    assert {tag for tag, _ in found.found}.isdisjoint({"object", "embed", "iframe", "svg"})


def test_a_picture_that_is_too_large_is_a_link() -> None:
    """A page of a thousand of them must open."""
    case, _ = shown("a", "s.png")
    (piece,) = case.pieces
    large = Description((File("run/a.tgz/s.png", 30_000_000, "0" * 64),))
    found = parsed(case, seen=Seen(0.0, {piece: large}))
    assert found.all("img", "src") == []
    assert "./run/a.tgz/s.png" in found.all("a", "href")


def test_a_picture_is_called_by_its_case_and_its_file() -> None:
    """Also for who cannot see it, and once where a result has no case but itself."""
    case, seen = shown("sub-01.mrui", "fit/s.svg")
    found = parsed(case, seen=seen)
    assert "sub-01.mrui fit/s.svg" in found.text
    assert found.all("img", "alt") == ["sub-01.mrui: fit/s.svg"]
    piece = Piece(RelPath("run/s.svg"), "stamp")
    alone = Description((File("run/s.svg", 10, "0" * 64),))
    found = parsed(Shown("s.svg", pieces=(piece,)), seen=Seen(0.0, {piece: alone}))
    assert found.all("img", "alt") == ["s.svg"]


def test_a_volume_without_a_picture_is_named() -> None:
    """With the reason, and a link."""
    case, _ = shown("a")
    (piece,) = case.pieces
    found = Description((File("run/a.tgz/<b>.nii", 10, "0" * 64),), undrawn=("run/a.tgz/<b>.nii",))
    page_ = parsed(case, seen=Seen(0.0, {piece: found}))
    assert "<b>.nii: no picture, as it holds neither slices nor a spectrum" in page_.text


def test_what_a_folder_with_the_name_of_an_archive_is_stands_there_once() -> None:
    """And not at all where there is none."""
    case, seen = shown("a", "s.svg")
    words = "Folders named after an archive, like sub-01.tgz/, are its contents, already unpacked."
    assert parsed(case, case, seen=seen).text.count(words) == 1
    piece = Piece(RelPath("run/s.svg"), "stamp")
    assert words not in parsed(Shown("s.svg", pieces=(piece,)), seen=Seen(0.0)).text


def test_what_a_person_changed_and_what_is_not_looked_at_yet_is_said() -> None:
    """Neither is shown as a result."""
    case, _ = shown("a", "s.png")
    changed = parsed(case, seen=Seen(0.0))
    assert "a.tgz is not as it came: it was changed on this machine" in changed.text
    late = parsed(case, seen=Seen(0.0, pending=frozenset(case.pieces)))
    assert "a.tgz is shown here soon" in late.text


def test_thousands_of_cases_are_a_list_after_the_first() -> None:
    """With a link to the folder of each."""
    case, seen = shown("a", "s.png")
    found = parsed(*[case] * 10_000, seen=seen)
    assert len(found.all("img", "src")) == FULL
    assert "9,800 more" in found.text
    assert found.all("a", "href").count("./run/") == 9_800


# in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a real browser."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Return a session with spectra, PDFs, tables, volumes, and two jobs that failed; it is only looked at."""
    with closing(Bench(tmp_path_factory.mktemp("results") / "world")) as bench:
        made = findings(bench)
        bench.rest()
        yield made


def opened(browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> tuple[Any, Any]:
    """Open a page from disk; return it, and what it asked for and complained of."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    seen: dict[str, list[str]] = {"requests": [], "complaints": []}
    tab.on("request", lambda request: seen["requests"].append(request.url))
    tab.on("console", lambda message: seen["complaints"].append(message.text))
    tab.goto(path.as_uri())
    tab.evaluate("for (const image of document.images) image.loading = 'eager'")
    tab.wait_for_function("[...document.images].every(i => i.complete)")
    return tab, seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_every_picture_and_asks_nobody(
    browser: Any, study: Study, width: int, scheme: str
) -> None:
    """From disk, on a screen and on a phone: three spectra, three volumes, nothing cut at the side."""
    outputs = study.root / "outputs"
    tab, seen = opened(browser, outputs / "index.html", width, scheme)
    sizes = tab.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(sizes) == 6
    assert all(sizes)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert seen["complaints"] == []
    assert tab.get_by_text("already unpacked").count() == 1
    assert all(url.startswith(study.root.as_uri()) for url in seen["requests"])
    heads = [head.inner_text() for head in tab.query_selector_all("article h2")]
    assert heads[:2] == ["sub-05.mrui failed", "sub-06.mrui failed"]
    assert heads[2].startswith("Failed jobs of workflow-")
    assert heads[3:] == ["sub-01.mrui done", "sub-02.mrui done", "été 1.mrui done"]
    text = tab.inner_text("body")
    for words in ("exit code 50", "NAA", "GPC+PCh", "été 1.mrui → ete_1.mrui", "3 done, 2 failed"):
        assert words in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Any, study: Study, scheme: str) -> None:
    """Axe-core finds nothing serious: contrast, names of pictures, tables, what a keyboard reaches."""
    tab, _ = opened(browser, study.root / "outputs" / "index.html", scheme=scheme)
    assert serious(tab) == []


TRAP = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="document.title='acted'">
<script>parent.document.title = 'acted'; fetch('http://127.0.0.1:9/x')</script>
<image href="http://127.0.0.1:9/x.png" width="9" height="9"/><circle cx="4" cy="4" r="3"/></svg>"""


def test_a_picture_that_would_act_does_nothing(browser: Any, tmp_path: Path) -> None:
    """An SVG with scripts and addresses of its own is a picture, and asks nobody."""
    case, seen = shown("a", "trap.svg")
    (tmp_path / "run" / "a.tgz").mkdir(parents=True)
    (tmp_path / "run" / "a.tgz" / "trap.svg").write_bytes(TRAP)
    path = tmp_path / "index.html"
    path.write_text(page(Facts("study", "https://vip.test", (case,)), seen), "utf-8")
    tab, noted = opened(browser, path)
    assert tab.evaluate("document.images[0].naturalWidth") > 0
    assert tab.title() == "study: results"
    assert all(url.startswith("file:") for url in noted["requests"])


def test_every_link_leads_to_a_file_that_is_there(browser: Any, study: Study) -> None:
    """To results, tables, logs and crates."""
    tab, _ = opened(browser, study.root / "outputs" / "index.html")
    links = tab.evaluate("[...document.links].map(a => a.href)")
    assert len(links) > 20
    for link in links:
        assert Path(unquote(link.removeprefix("file://"))).exists(), link


def test_letters_stand_out_from_what_is_behind_them(browser: Any, study: Study) -> None:
    """By 4.5 to 1 at least, in light and in dark."""
    for scheme in ("light", "dark"):
        tab, _ = opened(browser, study.root / "outputs" / "index.html", scheme=scheme)
        colours = tab.evaluate(_COLOURS)
        assert len(colours) >= 5
        for ink, paper in colours:
            assert contrast(ink, paper) >= 4.5, (scheme, ink, paper)


_COLOURS = """[...new Set([...document.querySelectorAll('body *')].filter(e => e.innerText).map(e => {
  let behind = e;
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  return getComputedStyle(e).color + '|' + getComputedStyle(behind).backgroundColor;
}))].map(pair => pair.split('|'))"""


def contrast(ink: str, paper: str) -> float:
    """Return the contrast of two colours as CSS writes them."""
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Return how light a colour is, as WCAG has it."""
    parts = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
