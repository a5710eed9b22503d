"""VIP is away while a folder is worked on until it is at rest: two minutes are waited out, not more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.harness import Bench, Study
from tests.outages import Away, Outage, answers_500, refuses
from vipsync.plan.draft import Level
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
    assert (run.bench.vip_sessions(), run.bench.count("DELETE")) == ([], 1)
