"""The page in a real Chromium: live, by keyboard, without JavaScript, narrow and wide, light and dark."""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.browser import chromium, serious
from tests.lab.pages import asked, case, open_pages, report, tell, tell_station
from tests.lab.served import SETTINGS, serve, wait_until
from vipsync.local import Job, JobResult
from vipsync.local.pipelines.mrs_spectrum import main
from vipsync.local.signals import SUBJECTS, as_mrui, signal_of
from vipsync.model import RelPath, replace
from vipsync.page.looking import key_of
from vipsync.page.security import Access
from vipsync.page.server import running
from vipsync.plan.draft import Level, Notice
from vipsync.plan.standing import CaseState
from vipsync.station.folder import StationFolder
from vipsync.station.steps import StationStatus, StudyReport, StudyState
from vipsync.status.failures import Failure
from vipsync.status.status import ExecutionReport

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
LONG = "a-rather-long-name_" * 6


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a window; what its page complains of is a failure."""
    complaints: list[str] = []
    contexts = []

    def opened(width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    gone = "net::ERR_CONNECTION_"  # the server of a test may end before its windows
    assert [text for text in complaints if gone not in text] == []


@pytest.fixture
def rich(tmp_path: Path) -> Iterator[Access]:
    """Serve folders that show all there is to show, names long and short."""
    told = tmp_path / "needs-a-person"
    log = RelPath("T1/logs/job-2.stdout.txt")
    failure = Failure(
        CaseState.FAILED,
        f"{LONG}: no water peak found",
        ("sub-02.mrui", LONG),
        (log,),
        (*(f"{n}: reading {LONG}" for n in range(20)), "no water peak found"),
        "Mend the inputs, and they run by themselves; `vipsync rerun DIR --failed` runs the same again.",
    )
    cases = [
        *(case(f"sub-{n:02}.mrui") for n in range(40)),
        *(case(f"{LONG}{n}", state, reason=f"because {LONG}") for n, state in enumerate(CaseState)),
        case("failed", CaseState.FAILED, reason="no water peak found", logs=(log,)),
    ]
    jobs = {"done": 3, "failed": 1, "running": 2, "queued": 5}
    executions = (
        ExecutionReport("workflow-1", "Finished", 1.8e9, {"done": 1, "failed": 1}, "T1"),
        ExecutionReport("workflow-2", "Running", 1.8e9, jobs, LONG),
    )
    notices = (
        Notice(Level.PERSON, "disk", f"/{LONG} cannot be written.", "Make room on `/data`."),
        Notice(Level.INFO, "settings", "Mixed: 2 with spectrum/1, 1 with spectrum/2."),
    )
    status = report(
        told,
        cases,
        executions=executions,
        notices=notices,
        failures=(failure,),
        unused=(("left.txt", "*.mrui"),),
        exit_code=3,
        files=12,
        size=123456789,
        since=1.8e9,
        where="/vip/Home/API/needs-a-person",
        sentence=f"Needs you: {LONG}: failed: no water peak found and 1 more",
    )
    tell(told, status)
    pictures = told / "outputs" / "T1"
    pictures.mkdir(parents=True)
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5"><rect width="9" height="5"/></svg>'
    for name in ("sub-01.svg", f"{LONG}.svg"):
        (pictures / name).write_text(svg)
    for name, state in (
        ("runs", CaseState.RUNNING),
        ("waits", CaseState.WAITING),
        (LONG, CaseState.DONE),
    ):
        tell(tmp_path / name, report(tmp_path / name, [case("a", state), case("b")]))
    studies = [
        StudyReport(
            f"{number:06x}",
            state,
            f"because {LONG}",
            f"Do {LONG}.",
            since=1.8e9,
            can=("complete", "skip"),
        )
        for number, state in enumerate(StudyState)
    ]
    late = StudyReport(
        "S0001", StudyState.HELD, "1 file came", "", "sessions/S0001", 1.8e9, asks=True
    )
    odd = (replace(late, can=("take-late", "merge")), *studies)
    sentence = "Needs you: S0001: held: 1 file came"
    tell_station(
        tmp_path / "scanner",
        StationStatus(str(tmp_path / "scanner"), "scanner", sentence, odd, 1.8e9, 3),
    )
    with running([tmp_path], "127.0.0.1:0") as access:
        yield access


def enter(page: Page, access: Access) -> None:
    """Come with the link that was printed, and wait until the page is live."""
    page.goto(access.link)
    page.get_by_text("live", exact=True).wait_for()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_and_everybody_can_read_it(
    open_page: Callable[..., Page], rich: Access, width: int, scheme: str
) -> None:
    """On a wide window and on a phone, by day and by night: axe-core finds nothing serious."""
    page = open_page(width, color_scheme=scheme)
    enter(page, rich)
    found = [*_faults(page, "overview")]
    page.get_by_role("link", name="needs-a-person").click()
    page.get_by_role("heading", name="What you should do").wait_for()
    page.locator("summary", has_text="Finish").click()
    found += _faults(page, "folder")
    page.get_by_role("link", name="T1", exact=True).first.click()
    page.get_by_role("heading", name="Files").wait_for()
    found += _faults(page, "execution")
    page.get_by_role("link", name="vipsync", exact=True).click()
    page.get_by_role("link", name="scanner", exact=True).click()
    page.get_by_role("heading", name="Studies").wait_for()
    page.locator("summary", has_text="Skip").first.click()
    found += _faults(page, "station")
    assert found == []


def _faults(page: Page, name: str) -> list[str]:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    cut = page.evaluate(wide)
    found = [f"{name}: {cut} pixels wider than the window"] if cut else []
    return [*found, *_overlapping(page), *(f"{name}: {fault}" for fault in serious(page))]


def _overlapping(page: Page) -> list[str]:
    """Return what lies on top of something beside it, or has no room."""
    found: list[str] = page.evaluate(
        """() => {
        const all = [...document.querySelectorAll("main section:not([hidden]), .card, button, .button, figure, .notice, h1, h2")];
        const seen = all.filter((e) => e.checkVisibility()).map((e) => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width && r.height);
        const found = [];
        for (const [a, p] of seen) for (const [b, q] of seen) {
          if (a === b || a.contains(b) || b.contains(a)) continue;
          const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
          const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
          if (wide > 1 && high > 1)
            found.push(`${a.outerHTML.slice(0, 80)} on ${b.outerHTML.slice(0, 80)}`);
        }
        for (const part of document.querySelectorAll("p, h3, th, td, figcaption, li, pre")) {
          const r = part.getBoundingClientRect();
          if (part.checkVisibility() && r.width && r.width < 60 && r.height > 150) found.push(`squeezed: ${part.outerHTML.slice(0, 80)}`);
        }
        return found;
        }"""
    )
    return found


def test_everything_works_by_keyboard(
    open_page: Callable[..., Page], rich: Access, tmp_path: Path
) -> None:
    """From the overview to a folder, to its buttons, to what asks twice."""
    page = open_page()
    enter(page, rich)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "To the content"
    _tab_to(page, "needs-a-person")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What you should do").wait_for()
    _tab_to(page, "Pause")
    page.keyboard.press("Enter")
    page.get_by_text("Asked: pause.").wait_for()
    _tab_to(page, "Finish …")
    page.keyboard.press("Enter")
    _tab_to(page, "Finish this session")
    page.keyboard.press("Space")
    page.get_by_text("Asked: finish.").wait_for()
    root = tmp_path / "needs-a-person"
    assert [str(request.command) for request in asked(root)] == ["pause", "finish"]


def test_a_study_is_started_and_skipped_by_keyboard(
    open_page: Callable[..., Page], rich: Access, tmp_path: Path
) -> None:
    """What cannot be taken back asks twice; the row says what was asked, at once."""
    page = open_page()
    enter(page, rich)
    _tab_to(page, "scanner")
    page.keyboard.press("Enter")
    page.get_by_text("live", exact=True).wait_for()
    _tab_to(page, "Start as it is")
    page.keyboard.press("Enter")
    page.get_by_text("Asked: start as it is 000000.").wait_for()
    assert "000000" in page.locator(":focus").inner_text()
    _tab_to(page, "Skip …")
    page.keyboard.press("Enter")
    _tab_to(page, "Skip 000003")
    page.keyboard.press("Space")
    page.get_by_text("Asked: skip 000003.").wait_for()
    assert "000003" in page.locator(":focus").inner_text()
    said = StationFolder(tmp_path / "scanner").asked()
    assert [(one.word, one.study) for one in said] == [("complete", "000000"), ("skip", "000003")]


def _tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(":focus").inner_text().strip() == text:
            return
    raise AssertionError(f"no key leads to {text}")


def test_without_javascript_the_same_is_there_by_reloading(
    open_page: Callable[..., Page], rich: Access, tmp_path: Path
) -> None:
    """Pages, filters, and what can be asked."""
    page = open_page(390, java_script_enabled=False)
    page.goto(rich.link)
    page.get_by_role("link", name="needs-a-person").click()
    page.locator("select[name=state]").select_option("failed")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("2 cases", exact=False).first.wait_for()
    page.get_by_role("button", name="Run failed again").click()
    page.get_by_text("Asked: rerun failed cases.").wait_for()
    root = tmp_path / "needs-a-person"
    assert [str(request.command) for request in asked(root)] == ["rerun"]
    tell(root, report(root, sentence="All is well."))
    page.reload()
    page.get_by_text("All is well.").wait_for()


def test_a_change_keeps_what_a_person_has_opened_and_where_the_keyboard_is(
    open_page: Callable[..., Page], rich: Access, tmp_path: Path
) -> None:
    """The page is live while somebody works on it."""
    page = open_page()
    enter(page, rich)
    page.get_by_role("link", name="needs-a-person").click()
    page.get_by_text("live", exact=True).wait_for()
    page.locator("summary", has_text="Finish").click()
    page.get_by_label("Words").fill("sub")
    page.locator("#b-pause").focus()
    root = tmp_path / "needs-a-person"
    tell(root, report(root, [case("new")], sentence="All is well.", exit_code=3))
    page.locator("#head").get_by_text("All is well.").wait_for()
    assert page.get_by_role("button", name="Finish this session").is_visible()
    assert page.get_by_label("Words").input_value() == "sub"
    assert page.evaluate("document.activeElement.id") == "b-pause"
    assert page.locator("#news").inner_text() == "All is well."


def test_a_result_that_is_hostile_does_nothing(
    open_page: Callable[..., Page], rich: Access, tmp_path: Path
) -> None:
    """A script in a picture or in a text is neither run on the page nor where it is opened."""
    script = "<script>fetch('/stolen')</script>"
    here = tmp_path / "needs-a-person" / "outputs" / "T1"
    (here / "evil.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" onload="fetch(\'/stolen\')">{script}</svg>'
    )
    (here / "evil.txt").write_text(f"<html>{script}</html>")
    page = open_page()
    paths: list[str] = []
    page.on("request", lambda request: paths.append(request.url))
    enter(page, rich)
    page.get_by_role("link", name="needs-a-person").click()
    page.locator('img[alt="evil.svg: T1/evil.svg"]').scroll_into_view_if_needed()
    page.get_by_role("link", name="T1", exact=True).first.click()
    page.get_by_role("link", name="T1/evil.txt").click()
    page.get_by_text("fetch").wait_for()
    assert any(path.endswith("evil.svg") for path in paths)
    assert not any("stolen" in path for path in paths)
    origin = rich.link.partition("/?")[0]
    assert all(path.startswith(origin) for path in paths)


_HEAD = "[ INFO - Fri Nov 27 10:00:00 UTC 2026 ] Running bosh: /opt/bin/bosh exec launch --stream\n"
_SUMMARY = "Shell command\n{name}\nContainer location\n\nContainer command\n\nExit code\n{code}\n"
_FAILED = (
    "[ ERROR - Fri Nov 27 10:00:03 UTC 2026 ] EXECUTION_FAILED - execution was not successful\n"
)


def _spectra(job: Job) -> Mapping[str, bytes | Path] | JobResult:
    """Do the work of mrs-spectrum; a failure leaves the log that VIP would have."""
    name = str(job.invocation["signal"])
    signal = job.files["signal"]
    assert signal is not None
    job.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(signal, job.folder / name)
    result = job.folder / f"{name}.tgz"
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main([str(job.folder / name), str(result)])
    if not code:
        return {"result": result}
    log = f"{_HEAD}{said.getvalue()}{_SUMMARY.format(name='mrs_spectrum', code=code)}"
    return JobResult(50, job.submitted, stdout=log.encode(), stderr=_FAILED.encode())


def _signal(number: int = 0) -> bytes:
    """Return the signal of one of the simulated subjects."""
    subject = SUBJECTS[number % len(SUBJECTS)]
    return as_mrui(subject, signal_of(subject))


@pytest.mark.timeout(200)
def test_a_day_at_the_page(open_page: Callable[..., Page], tmp_path: Path) -> None:
    """Thirty folders, one failing: its reason, a spectrum, run again, finished; nothing is reloaded."""
    broken = {"sub-02.mrui"}

    def work(job: Job) -> Mapping[str, bytes | Path] | JobResult:
        if str(job.invocation["signal"]) in broken:
            return JobResult(50, job.submitted, stdout=b"reading\nno water peak found\n")
        return _spectra(job)

    with serve(tmp_path, work, KEY, seconds=1.0) as served:
        for number in range(29):
            name = f"quiet-{number:02}"
            served.study(f"studies/{name}", SETTINGS.replace("{name}", name))
        study = served.study("studies/press", SETTINGS.replace("{name}", "press"))
        for number in range(3):
            (study / "inputs" / f"sub-0{number + 1}.mrui").write_bytes(_signal(number))
        with (
            served.process("run", tmp_path / "studies"),
            running([tmp_path / "studies"], "127.0.0.1:0") as access,
        ):
            page = open_page()
            enter(page, access)
            page.get_by_text("1 needs you").wait_for(timeout=120_000)
            assert page.locator(".card").count() == 30
            page.get_by_role("link", name="press").click()
            page.evaluate("window.never_reloaded = true")
            page.get_by_role("heading", name="no water peak found").wait_for()
            page.get_by_text("job-2.stdout.txt").first.wait_for()
            spectrum = page.locator('img[alt$="sub-01.mrui.tgz/spectrum.svg"]')
            spectrum.wait_for()
            assert spectrum.evaluate("picture => picture.decode().then(() => picture.naturalWidth)")
            broken.clear()
            page.get_by_role("button", name="Run failed again (1)").click()
            page.get_by_text("Running", exact=True).first.wait_for(timeout=60_000)
            page.locator("#head").get_by_text("3 cases done").wait_for(timeout=60_000)
            page.locator("summary", has_text="Finish").click()
            page.get_by_role("button", name="Finish this session").click()
            page.get_by_text("Nothing of this session is on VIP.").wait_for(timeout=60_000)
            assert page.evaluate("window.never_reloaded")
            wait_until(lambda: served.on_vip() == [])


def _ten_thousand(root: Path) -> Path:
    found = [
        case(f"sub-{n:05}.mrui", CaseState.FAILED if n % 100 == 3 else CaseState.DONE)
        for n in range(10_000)
    ]
    return tell(root, report(root, found))


@pytest.mark.nightly
def test_ten_thousand_cases_are_shown_within_a_second(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    """From the click until they are laid out: in pages, sorted and filtered by the server."""
    root = _ten_thousand(tmp_path / "big")
    with running([root], "127.0.0.1:0") as access:
        page = open_page()
        enter(page, access)
        for query in ("", "?sort=case&down=1", "?state=failed", "?words=sub-09"):
            page.goto(f"{access.link.partition('/?')[0]}/folder/{key_of(root)}{query}")
            assert page.locator(".cases tbody tr").count() == 100
            timing = "performance.getEntriesByType('navigation')[0].domComplete"
            assert page.evaluate(timing) < 1000


@pytest.mark.nightly
def test_a_change_is_on_the_page_within_a_second(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    """Twenty times, with thirty folders."""
    roots = [tmp_path / f"study-{n:02}" for n in range(30)]
    for root in roots:
        tell(root, report(root, [case("a")]))
    with running([tmp_path], "127.0.0.1:0") as access:
        page = open_page()
        enter(page, access)
        took = []
        for number in range(20):
            words = f"Change number {number}."
            began = time.monotonic()
            tell(roots[number], report(roots[number], sentence=words))
            page.get_by_text(words).wait_for()
            took.append(time.monotonic() - began)
    assert max(took) < 1.0


@pytest.mark.nightly
def test_five_viewers_at_rest_cost_less_than_a_hundredth_of_a_core(tmp_path: Path) -> None:
    """Thirty folders, twenty seconds."""
    for number in range(30):
        root = tmp_path / f"study-{number:02}"
        tell(root, report(root, [case("a")]))
    with running([tmp_path], "127.0.0.1:0") as access:
        pages = open_pages(access, "/", 5)
        for connection in pages:
            answer = connection.getresponse()
            answer.read()
            cookie = f"{access.cookie}={access.token}"
            headers = {
                "If-None-Match": answer.headers["ETag"],
                "Prefer": "wait=25",
                "Cookie": cookie,
            }
            connection.request("GET", "/", headers=headers)
        time.sleep(1)
        before = time.process_time()
        time.sleep(20)
        assert time.process_time() - before < 0.2
        for connection in pages:
            connection.close()
