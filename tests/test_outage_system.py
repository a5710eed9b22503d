"""VIP is away while a folder is worked on until it is at rest: two minutes are waited out, not more."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import pytest
from rich.console import Console

from tests.lab.bench import Bench, Study
from tests.lab.outages import Away, Outage, answers_500, refuses
from vipsync.actions import Action
from vipsync.client.vip_client import VipClient
from vipsync.errors import KeyMissing
from vipsync.local import FOR_EVER, Kind
from vipsync.model import Settings
from vipsync.plan.draft import Level
from vipsync.report.reporter import Reporter
from vipsync.run.folder_logs import FolderLogs
from vipsync.run.reconciler import Reconciler
from vipsync.status.publish import Publisher
from vipsync.status.status import Status

PATIENCE = 120.0

AWAY = {"500": answers_500, "refused": refuses}

MOMENTS = {
    "at the first look": "*",
    "at an upload": "PUT /rest/path/*.mrui*",
    "at the launch": "POST /rest/executions*",
    "while jobs run": "GET /rest/executions/*",
    "at a list of results": "GET /rest/path/*OUTPUTS*action=list*",
    "at a result": "GET /rest/path/*action=content*",
}


@dataclass
class Once:
    """One `run --once` on a folder, through an outage that begins with a certain request."""

    bench: Bench
    study: Study
    outage: Outage
    publisher: Publisher

    def run(self) -> Status:
        """Work until the folder is at rest; return what is then said of it."""
        self.bench.rest()
        status = self.publisher.publish(self.study.session)
        assert status is not None
        return status


@pytest.fixture
def once(bench: Bench) -> Callable[..., Once]:
    """Return a function that makes a folder and an outage of so many seconds."""

    def make(away: Away, seconds: float, match: str) -> Once:
        outage = Outage(bench.transport, bench.clock, away, seconds, match)
        outage.begin()
        bench.transport = outage
        return Once(bench, bench.study(a="one", b="two"), outage, Publisher())

    return make


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("seconds", [26.0, 100.0, PATIENCE - 1])
def test_an_outage_of_two_minutes_is_waited_out(
    once: Callable[..., Once], away: str, moment: str, seconds: float
) -> None:
    """Everything is here at the end, and launched once."""
    run = once(AWAY[away], seconds, MOMENTS[moment])
    assert run.run().exit_code == 0
    assert run.outage.lost
    assert len(run.study.outputs()) == 2
    assert run.bench.executions() == [["a.mrui", "b.mrui"]]


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_longer_one_ends_with_the_code_of_a_vip_that_cannot_be_reached(
    once: Callable[..., Once], away: str, moment: str
) -> None:
    """Nobody is asked to do anything; when VIP is there again, the next run goes on."""
    run = once(AWAY[away], 3600.0, MOMENTS[moment])
    status = run.run()
    assert run.outage.began is not None
    assert PATIENCE <= run.bench.clock.now() - run.outage.began < 600
    assert status.exit_code == 5
    assert not status.sentence.startswith("Needs you")
    assert [n.subject for n in status.notices if n.level is Level.ERROR] == ["VIP"]
    assert not [n for n in status.notices if n.level is Level.PERSON]
    run.bench.clock.sleep(3600.0)
    run.bench.restart()
    assert run.run().exit_code == 0
    assert len(run.study.outputs()) == 2
    assert run.bench.executions() == [["a.mrui", "b.mrui"]]


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("seconds", [30.0, 3600.0])
def test_an_outage_at_the_end_removes_nothing_twice(
    once: Callable[..., Once], away: str, seconds: float
) -> None:
    """The removal is asked for when VIP is there again, by this run or by the next."""
    run = once(AWAY[away], seconds, "DELETE*")
    run.run()
    run.study.marker.unlink()
    short = seconds < PATIENCE
    assert (run.run().exit_code == 5) is not short
    run.bench.clock.sleep(3600.0)
    run.bench.restart()
    assert run.run().exit_code == 0
    assert (run.bench.sessions_on_vip(), run.bench.count("DELETE")) == ([], 1)


# a part of VIP


@pytest.mark.parametrize(
    ("match", "moment"),
    [
        ("* /rest/path/*", "at an upload"),
        ("* /rest/path/*", "at a result"),
        ("* /rest/executions*", "while jobs run"),
        ("POST /rest/executions*", "at the launch"),
    ],
)
@pytest.mark.parametrize("seconds", [100.0, 3600.0])
def test_a_part_of_vip_that_is_down_is_an_outage(
    once: Callable[..., Once], match: str, moment: str, seconds: float
) -> None:
    """Its storage or its engine alone: waited out, said once, and nobody is asked to do anything."""
    run = once(answers_500, seconds, MOMENTS[moment])
    run.outage.also = match
    status = run.run()
    asked = [n for n in status.notices if n.level in (Level.PERSON, Level.ERROR)]
    if seconds < PATIENCE:
        assert asked == []
        return
    if moment != "at the launch":  # VIP answers so where a launch is refused, too
        assert [n.subject for n in asked] == ["VIP"]
        assert status.exit_code == 5
    words = {kind.__name__ for kind in get_args(Action)}
    assert not words & set(" ".join(f"{n.subject} {n.text}" for n in status.notices).split())


@pytest.mark.parametrize("name", ["a.mrui", "b.mrui"])
def test_one_result_that_vip_cannot_give_is_no_outage(bench: Bench, name: str) -> None:
    """Its storage gives all else: a person is asked, with the name of the result."""
    bench.world.faults.arm(Kind.SERVER_ERROR, f"GET /rest/path/*OUTPUTS*{name}*", times=FOR_EVER)
    study = bench.study(a="one", b="two")
    bench.rest()
    status = Publisher().publish(study.session)
    assert status is not None
    assert (status.exit_code, len(study.outputs())) == (1, 1)
    assert [name in n.subject for n in status.notices if n.level is Level.PERSON] == [True]


# many folders of one account


@dataclass
class Many:
    """Folders of one account, what is printed about them, and each look's exit codes."""

    bench: Bench
    studies: list[Study]
    printed: io.StringIO
    codes: set[int]

    def lines(self) -> list[str]:
        """Return what was printed, without its date."""
        return [line.split("  ", 1)[1] for line in self.printed.getvalue().splitlines()]


@pytest.fixture
def many(bench: Bench) -> Many:
    """Make ten folders whose jobs run for ten minutes."""
    return made_many(bench, 10)


def made_many(bench: Bench, number: int) -> Many:
    """Make folders, and print what happens to them as into a pipe."""
    bench.job_seconds = lambda _job: 600.0
    studies = [bench.study(f"study{n}", a="one") for n in range(number)]
    made = Many(bench, studies, io.StringIO(), set())
    reporter = Reporter(
        Console(file=made.printed, width=200), clock=bench.clock.now, wall=bench.clock.now
    )
    publishers = {study.root: Publisher() for study in studies}

    def publish(session: Reconciler) -> None:
        status = publishers[session.folder.root].publish(session)
        reporter.update(session, status)
        made.codes |= {status.exit_code} if status else set()

    bench.publish = publish
    return made


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("seconds", [20.0, 75.0, 600.0])
def test_an_outage_is_said_once_for_all_folders(many: Many, away: str, seconds: float) -> None:
    """With its end; while it may pass, no folder is in error, and after it all go on."""
    bench = many.bench
    outage = Outage(bench.transport, bench.clock, AWAY[away], seconds)
    bench.transport = outage
    bench.until(lambda: bench.count("POST /executions") == 10)
    bench.run(100)
    before = len(many.lines())
    outage.begin()
    bench.run(seconds + 400)
    new = many.lines()[before:]
    said = [line for line in new if re.search("(^|: )VIP(:| answers| does)", line)]
    assert len(new) <= 4 or seconds > PATIENCE, new
    assert len(said) == (0 if away == "500" and seconds < PATIENCE else 2), new
    assert (5 in many.codes) is (seconds > PATIENCE)
    many.codes.clear()
    bench.rest()
    assert many.codes == {0}
    assert len(bench.executions()) == 10
    assert all(len(study.outputs()) == 1 for study in many.studies)


def test_a_key_that_comes_is_no_vip_that_answers_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VIP was never silent: what is over is said in its own words."""
    connect, missing = bench._connect, [True]

    def without_key(settings: Settings, portal: str, session: str) -> tuple[VipClient, str]:
        if missing:
            raise KeyMissing(f"No API key for {portal}.", "Call `vipsync login`.")
        return connect(settings, portal, session)

    monkeypatch.setattr(bench, "_connect", without_key)
    many = made_many(bench, 2)
    bench.run(60)
    assert any("No API key" in line for line in many.lines())
    missing.clear()
    bench.run(300)
    assert not any("VIP answers again" in line for line in many.lines())
    assert any("There is a key for VIP again" in line for line in many.lines()), many.lines()


def test_an_outage_makes_four_lines_at_most_for_thirty_folders(bench: Bench) -> None:
    """A minute without VIP: it is said, with its end and how long it was; all go on."""
    many = made_many(bench, 30)
    outage = Outage(bench.transport, bench.clock, refuses, 75.0)
    bench.transport = outage
    bench.until(lambda: bench.count("POST /executions") == 30)
    bench.run(60)
    before = len(many.lines())
    outage.begin()
    bench.run(150)
    new = many.lines()[before:]
    assert len(new) <= 4, new
    assert new[0].startswith("VIP: ")
    assert re.fullmatch(r"VIP answers again, after \d+ (s|min)\.", new[-1])
    assert many.codes == {0}
    bench.rest()
    assert all(len(study.outputs()) == 1 for study in many.studies)


def test_one_folder_asks_for_all_whether_vip_is_there_again(many: Many) -> None:
    """What was under way may still fail; after that, one request at a time, ever more rarely."""
    bench = many.bench
    outage = Outage(bench.transport, bench.clock, refuses, 600.0)
    bench.transport = outage
    bench.until(lambda: bench.count("POST /executions") == 10)
    bench.run(100)
    outage.begin()
    bench.run(600)
    assert len(outage.lost) < 20


def test_one_list_of_executions_serves_all_folders(many: Many) -> None:
    """Each of them looks for its own in it."""
    many.bench.until(lambda: many.bench.count("POST /executions") == 10)
    asked = [r for r in many.bench.world.requests if (r.method, r.path) == ("GET", "/executions")]
    assert 1 <= len(asked) <= 2


@pytest.mark.parametrize("away", AWAY)
def test_each_folders_log_has_the_beginning_and_the_end_of_an_outage(
    bench: Bench, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They stand in all of them, whichever folder was looked at when it showed."""
    caplog.set_level(logging.INFO, "vipsync")
    many = made_many(bench, 3)
    told, logs = bench.publish, FolderLogs(lambda root: root.name)

    def publish(session: Reconciler) -> None:
        logs.follow(session)
        told(session)

    bench.publish = publish
    outage = Outage(bench.transport, bench.clock, AWAY[away], 300.0)
    bench.transport = outage
    bench.run(60)
    outage.begin()
    bench.run(600)
    with logs.kept():
        pass
    for study in many.studies:
        text = (study.root / ".vipsync" / "vipsync.log").read_text()
        ends = re.findall(r"  (?:stopped: )?VIP(:| answers again)", text)
        assert ends == [":", " answers again"], text
