"""Stations on the page: their studies without names, and what a person can say of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from tests.lab.pages import Paged, tell_station
from tests.lab.stations import station
from vipsync.page.looking import key_of
from vipsync.station.folder import StationFolder
from vipsync.station.steps import StationStatus, StudyReport, StudyState
from vipsync.status.publish import Publisher

SVS = {"svs/1.rda": "one"}
NAMES = ("smith", "doe", "export")


@pytest.fixture(autouse=True)
def _private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPSYNC_DATA", str(tmp_path / "private"))


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Return a station of which a process said this."""
    root = tmp_path / "scanner"
    reports = (
        StudyReport("S0001", StudyState.DONE, session="sessions/S0001", since=1.8e9),
        StudyReport("3fa2c1", StudyState.INCOMPLETE, "*T1* did not come", can=("complete", "skip")),
        StudyReport("S0002", StudyState.HELD, "late", "Say so.", asks=True, can=("take-late",)),
    )
    return tell_station(
        root, StationStatus(str(root), root.name, "Needs you: S0002.", reports, 1.8e9, 3)
    )


def entered(*roots: Path) -> Paged:
    """Return the page for one who came with the link."""
    page = Paged(*roots)
    page.enter()
    return page


def studies_on(page: Paged, root: Path, query: str = "") -> list[str]:
    """Return the studies of a station in the order in which the page has them."""
    text = page.get(page.of(root, what="station") + query).text
    return re.findall(r'<tr [^>]*><th scope="row">(?:<a [^>]*>)?(\w+)', text)


def buttons(page: Paged, root: Path) -> set[str]:
    """Return what can be said of studies."""
    text = page.get(page.of(root, what="station")).text
    return set(re.findall(r'name="wish" value="([^"]+)"', text))


def test_the_overview_has_a_station_in_place_of_its_sessions(bench: Bench) -> None:
    """As a folder that needs a person, runs or rests; its sessions are a click further."""
    bench.publish = Publisher().publish
    made = station(bench)
    made.write("SMITH", SVS)
    made.write("DOE", {"svs/1.rda": "two"})
    bench.run(30)
    page = Paged(made.root.parent)
    assert "2 arriving" in page.get("/").text
    assert "1 running" in page.get("/").text
    bench.rest()
    text = page.get("/").text
    assert re.findall(r'<h3><a id="[^"]+" href="([^"]+)">(.+?)</a>', text) == [
        (page.of(made.root, what="station"), "scanner")
    ]
    assert "1 at rest" in text
    assert "2 studies: 2 done." in text


def test_a_study_leads_to_its_session_and_the_session_to_its_station(bench: Bench) -> None:
    """Nobody and no path of the export is named there; what is asked of a session at rest, its station does."""
    bench.publish = Publisher().publish
    made = station(bench)
    made.write("SMITH_JOHN", SVS)
    bench.rest()
    page = entered(made.root)
    text = page.get(page.of(made.root, what="station")).text
    session = page.of(made.root / "sessions" / "S0001")
    assert f'<a href="{session}">S0001</a>' in text
    inside = page.get(session).text
    assert f'<a href="{page.of(made.root, what="station")}">scanner</a>' in inside
    assert "1 done" in inside
    for told in (text, inside, page.get("/").text):
        assert not any(name in told.lower() for name in NAMES)
    assert page.ask(made.root / "sessions" / "S0001", "pause").status_code == 303
    assert "Asked: pause.\nvipsync does it next." in page.get(session).text
    bench.stop()
    assert f"<code>vipsync run {made.root}</code> does it" in page.get(session).text


def test_each_state_offers_what_helps(make_bench: Callable[..., Bench]) -> None:
    """By the words of `vipsync station`, and nothing where nothing would come of it."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 5000.0
    extra = '[complete]\nrequire = ["*svs*"]\n'
    made = station(bench, extra, since='"now"', accept='["*.rda"]')
    made.write("OLD", SVS)
    bench.run(60)
    page = entered(made.root)

    def can(state: StudyState) -> set[str]:
        names = [name for name, found in made.states().items() if found is state]
        words = [wish.partition(" ") for wish in buttons(page, made.root)]
        return {word for word, _, name in words if name in names}

    assert can(StudyState.BEFORE) == {"complete", "first"}
    made.write("A", {"svs/1.rda": "a"})
    bench.run(60)
    assert can(StudyState.ARRIVING) == {"complete", "skip"}
    bench.until(lambda: made.states().get("S0001") is StudyState.RUNNING)
    assert can(StudyState.RUNNING) == set()
    made.write("LACKS", {"1.rda": "b"})
    made.write("OTHERS", {"1.ima": "c"})
    for name in ("B", "C", "D"):
        made.write(name, {"svs/1.rda": name})
    bench.until(lambda: StudyState.QUEUED in made.states().values())
    assert can(StudyState.QUEUED) == {"first", "skip"}
    assert can(StudyState.INCOMPLETE) == {"complete", "skip"}
    assert can(StudyState.NOT_OURS) == {"complete"}
    made.write("A", {"t1/1.rda": "late"})
    bench.until(lambda: made.states()["S0001"] is StudyState.HELD)
    assert can(StudyState.HELD) == {"take-late"}


def test_a_button_does_what_its_command_does(bench: Bench) -> None:
    """A study is started as it is, another one is left for ever and can be taken up again."""
    made = station(bench, '[complete]\nrequire = ["*t1*"]\n')
    made.write("SMITH", SVS)
    made.write("DOE", {"svs/1.rda": "two"})
    bench.rest()
    first, second = made.states()
    page = entered(made.root)
    for _ in range(2):
        answer = page.ask(made.root, f"complete {first}", what="station")
        assert (answer.status_code, answer.headers["Location"]) == (
            303,
            page.of(made.root, what="station"),
        )
    assert len(StationFolder(made.root).asked()) == 1
    text = page.get(page.of(made.root, what="station")).text
    assert f"Asked: start as it is {first}. vipsync does it next." in text
    assert f'value="complete {first}"' not in text
    page.ask(made.root, f"skip {second}", what="station")
    bench.rest()
    assert made.states() == {"S0001": StudyState.DONE, second: StudyState.SKIPPED}
    page.ask(made.root, f"first {second}", what="station")
    bench.rest()
    assert made.states()[second] is StudyState.INCOMPLETE


@pytest.mark.parametrize(
    "wish",
    ["skip S0001", "complete S0002", "first 3fa2c1", "skip ../x", "erase 3fa2c1", "skip", ""],
)
def test_what_is_not_offered_is_not_said(told: Path, wish: str) -> None:
    """A study has moved on, is none, or there is no such word."""
    page = entered(told)
    assert page.ask(told, wish, what="station").status_code == 409
    assert StationFolder(told).asked() == ()
    assert list(StationFolder(told).own.requests.glob("*")) == []


def test_who_came_without_the_link_says_nothing_of_a_study(told: Path) -> None:
    """Nor does another site's page; what can be done stands there as commands instead."""
    page = Paged(told)
    assert buttons(page, told) == set()
    assert page.ask(told, "skip 3fa2c1", what="station").status_code == 403
    page.enter()
    evil = "http://evil.example"
    assert page.ask(told, "skip 3fa2c1", what="station", Origin=evil).status_code == 403
    assert page.ask(told, "skip 3fa2c1", {"word": ""}, "station").status_code == 403
    assert StationFolder(told).asked() == ()
    assert buttons(page, told) == {"complete 3fa2c1", "skip 3fa2c1", "take-late S0002"}


def test_studies_are_sorted_and_filtered(told: Path) -> None:
    """Those that ask for a person first, those that are over last."""
    page = Paged(told)
    assert studies_on(page, told) == ["S0002", "3fa2c1", "S0001"]
    assert studies_on(page, told, "?sort=study") == ["3fa2c1", "S0001", "S0002"]
    assert studies_on(page, told, "?sort=since&down=1")[0] == "S0001"
    assert studies_on(page, told, "?state=done") == ["S0001"]
    assert studies_on(page, told, "?words=t1") == ["3fa2c1"]


def test_a_station_that_never_ran_says_so(tmp_path: Path) -> None:
    """One whose settings are broken, too; it can be shown alone."""
    root = tmp_path / "scanner"
    root.mkdir()
    (root / "station.toml").write_text("[")
    page = entered(root)
    assert "vipsync has not run here yet" in page.get("/").text
    text = page.get(page.of(root, what="station")).text
    assert "No study has come yet." in text
    assert f"<code>vipsync run {root}</code> starts it" in text


def test_a_station_and_a_session_are_not_taken_for_each_other(told: Path) -> None:
    """Whatever address is called."""
    page = Paged(told)
    session = told / "sessions" / "S0001"
    session.mkdir()
    (session / "settings.toml").touch()
    assert page.get(page.of(session)).status_code == 200
    assert page.get(page.of(told)).status_code == 404
    assert page.get(page.of(session, what="station")).status_code == 404
    assert page.get(page.of(told, "file/station.toml")).status_code == 404
    assert page.get("/station/0").status_code == 404


@pytest.mark.parametrize("name", ['"><script>alert(1)</script>', "{{ 7771*7 }}", "\u202egnp"])
def test_hostile_words_of_a_station_are_words(tmp_path: Path, name: str) -> None:
    """In names, reasons and remedies; the path of the export is not shown."""
    root = tmp_path / "scanner"
    report = StudyReport(name, StudyState.HELD, name, name, f"sessions/{name}", 1e30, can=(name,))
    sentence = f"Stopped: {tmp_path}/export is not there. {name}"
    tell_station(root, StationStatus(name, name, sentence, (report,)))
    page = entered(root)
    for path in ("/", page.of(root, what="station")):
        text = page.get(path).text
        assert "<script>alert" not in text
        assert "54397" not in text
        assert "\u202e" not in text
        assert not re.search(r'(?:href|src|action)="(?!/|#)', text)
        assert "[the export] is not there." in text


def test_a_session_of_a_station_is_reached_but_not_listed(told: Path) -> None:
    """It is looked at while somebody has its page open."""
    for number in range(20):
        (told / "sessions" / f"S{number:04}" / ".vipsync").mkdir(parents=True)
    page = Paged(told)
    for _ in range(3):
        seen = page.folders.one(key_of(told / "sessions" / "S0007"))
        assert seen is not None
        assert seen.name == "S0007"
        assert [s.name for s in page.folders.seen()] == ["scanner"]
        page.now += 10.0
