"""The queue for VIP's slots, on the whole system: first come, first launched, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.pipelines import SPECTRUM
from tests.lab.statuses import cases, started, states, status
from vipsync.actions import StartExecution
from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.run.dispatch import Done, Serial
from vipsync.run.reconciler import Work
from vipsync.status.summary import status_of

ALONE = "\n[launch]\nmax_jobs = 1\n"
"""Each case in an execution of its own."""


def order(bench: Bench) -> list[str]:
    """Return the first letters of the signals as they were launched."""
    return [signals[0][0] for signals in bench.executions()]


def says_queued(study: Study) -> bool:
    """Tell whether the study says that it waits for a slot, and asks nothing of a person."""
    asked = [n for n in study.notices if n.level in (Level.PERSON, Level.ERROR)]
    return study.says("Queued: VIP runs as many executions as this account may have") and not asked


@pytest.mark.parametrize("quota", ["quota_user", "quota_platform"])
def test_a_full_account_is_a_queue_and_no_error(
    make_bench: Callable[..., Bench], quota: str
) -> None:
    """With one slot, 2001 and 2000 mean waiting: shown as such, and every case runs once."""
    bench = make_bench(**{quota: 1})
    bench.job_seconds = lambda _job: 600.0
    study = bench.study(settings=SETTINGS + ALONE, a="1", b="2", c="3")
    bench.until(lambda: says_queued(study))
    assert sorted(states(study).values()) == [
        CaseState.QUEUED,
        CaseState.QUEUED,
        CaseState.RUNNING,
    ]
    assert "2 cases queued" in status(study).sentence
    assert status(study).exit_code == 0
    bench.rest()
    assert order(bench) == ["a", "b", "c"]
    assert set(states(study).values()) == {CaseState.DONE}


def test_a_slot_is_used_when_an_execution_of_ours_ends(make_bench: Callable[..., Bench]) -> None:
    """The end is seen by a poll, and the next execution is posted at once, not a refresh later."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 595.0
    study = bench.study(
        settings=SETTINGS + ALONE + "[monitor]\nrefresh_time = '10m'\n", a="1", b="2"
    )
    bench.until(lambda: says_queued(study))
    bench.until(lambda: len(bench.executions()) == 2)
    first, second = started(bench)
    polls = 600.0
    assert second - first <= polls + 10


def test_a_slot_that_others_free_is_found_by_time(make_bench: Callable[..., Bench]) -> None:
    """Where no execution of ours runs, the launch is tried again after each refresh_time."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 1e6
    bench.study("other", a="1")
    bench.until(bench.executions)
    bench.stop()
    del bench.studies[:]
    study = bench.study(b="2")
    bench.run(300)
    assert says_queued(study)
    tries = bench.count("POST /executions")
    assert 8 <= tries <= 13
    (running,) = bench.world.executions.all()
    bench.world.executions.kill(running.owner, running.identifier)
    bench.run(60)
    assert len(bench.executions()) == 2
    assert bench.count("POST /executions") == tries + 1


# several folders of one run


def folders(bench: Bench, *names: str, signals: int) -> list[Study]:
    """Make folders with signals called after them, each signal an execution of its own."""
    return [
        bench.study(name, SETTINGS + ALONE, **{f"{name}{n}": str(n) for n in range(signals)})
        for name in names
    ]


def test_the_folders_of_one_run_take_turns(make_bench: Callable[..., Bench]) -> None:
    """With one slot for three folders, none gets a second execution before each had its first."""
    bench = make_bench(quota_user=1)
    folders(bench, "a", "b", "c", signals=3)
    bench.rest()
    launched = order(bench)
    assert len(launched) == 9
    rounds = [set(launched[n : n + 3]) for n in (0, 3, 6)]
    assert rounds == [set("abc")] * 3


def test_who_waited_longest_goes_first(make_bench: Callable[..., Bench]) -> None:
    """A folder that comes later stands behind those that wait already."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 600.0
    first, second = folders(bench, "a", "b", signals=1)
    late = bench.study("c", SETTINGS)
    bench.until(lambda: says_queued(second) or says_queued(first))
    bench.run(60)
    late.drop(c="late")
    first.drop(a9="one more")
    bench.rest()
    assert sorted(order(bench)[:2]) == ["a", "b"]
    assert sorted(order(bench)[2:]) == ["a", "c"]


def test_a_folder_that_cannot_go_on_holds_no_place_in_the_queue(
    make_bench: Callable[..., Bench],
) -> None:
    """Its disk goes away while it is the first in the queue: the others take the slots."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 600.0
    first, second, third = folders(bench, "a", "b", "c", signals=1)
    bench.until(lambda: bool(bench.executions()) and all(map(waits, (second, third))))
    second.root.rename(second.root.with_name("gone"))
    bench.run(2000)
    assert order(bench) == ["a", "c"]
    second.root.with_name("gone").rename(second.root)
    bench.rest()
    assert order(bench) == ["a", "c", "b"]
    assert first.trouble() is None
    assert third.notices == []


def waits(study: Study) -> bool:
    """Tell whether a study stands in the queue."""
    return study.session.waits


def test_one_second_lies_between_two_launches(bench: Bench) -> None:
    """Over all folders of a run, whatever the number of slots."""
    folders(bench, "a", "b", "c", signals=3)
    bench.rest()
    times = started(bench)
    assert len(times) == 9
    assert min(after - before for before, after in pairwise(times)) >= 1.0


# where results go


def results_folders(bench: Bench) -> list[str]:
    """Return the results folder of each execution."""
    return [e.results for e in bench.world.executions.all()]


def test_executions_never_share_a_results_folder(make_bench: Callable[..., Bench]) -> None:
    """The engine names folders by the second: the next launch waits until the last one is known."""
    bench = make_bench(startup_delay=20.0)
    bench.study(settings=SETTINGS + "\n[launch]\nmax_jobs = 1\nnb_runs = 2\n", a="1", b="2", c="3")
    bench.rest()
    assert len(set(results_folders(bench))) == 6


@pytest.mark.parametrize("suffix", ["fixed", ""])
def test_a_fixed_results_folder_is_made_the_executions_own(bench: Bench, suffix: str) -> None:
    """Where the pipeline fixes the last part of the folder, vipsync varies what is before it."""
    fixed: dict[str, Any] = {**SPECTRUM, "custom": {"vip:resultsDirectorySuffix": suffix}}
    bench.world.pipelines.add(fixed)
    settings = SETTINGS + "\n[launch]\nmax_jobs = 1\nnb_runs = 2\n"
    study = bench.study(settings=settings, a="1", b="2")
    bench.rest()
    assert len(set(results_folders(bench))) == 4
    assert len(study.outputs()) == 4
    assert set(states(study).values()) == {CaseState.DONE}


# how much at once


def counted(bench: Bench, *custom: str) -> None:
    """Let the pipeline take a number too, as one of these custom keys says."""
    number = {"id": "n", "name": "n", "type": "Number", "integer": True, "value-key": "[N]"}
    descriptor: dict[str, Any] = {
        **SPECTRUM,
        "inputs": [*SPECTRUM["inputs"], number],
        "output-files": [{"id": "fit", "name": "f", "path-template": "[signal]-[N].tgz"}],
        "custom": {key: ["n"] for key in custom},
    }
    bench.world.pipelines.add(descriptor)


def test_cases_above_a_thousand_are_split(bench: Bench) -> None:
    """1200 cases with max_jobs = 1000: two executions, none of which VIP's engine refuses."""
    counted(bench)
    bench.runner.work = lambda _job: {}
    launch = "\n[launch]\nmax_jobs = 1000\nconfirm_above = 2000\n"
    bench.study(settings=f"{SETTINGS}n = {list(range(1200))}\n{launch}", a="1")
    bench.rest()
    assert bench.jobs() == [1000, 200]


def test_a_case_of_more_than_a_thousand_jobs_is_refused(bench: Bench) -> None:
    """Nothing is sent for it; the case says why, and the others run."""
    counted(bench, "vip:intIteratorInputs")
    study = bench.study(settings=SETTINGS + "n = [3, 1001]\n", a="1")
    bench.rest()
    assert bench.jobs() == [3]
    (refused,) = (c for c in cases(study).values() if c.state is CaseState.REFUSED)
    assert "1001 jobs in one execution, VIP takes 1000" in refused.reason


def test_confirm_above_counts_every_run_and_a_named_case_starts_alone(bench: Bench) -> None:
    """Three cases, twice each, are six jobs; `launch` of one starts that one, the rest still waits."""
    settings = SETTINGS + "\n[launch]\nconfirm_above = 3\nnb_runs = 2\n"
    study = bench.study(settings=settings, a="1", b="2", c="3")
    bench.rest()
    assert bench.executions() == []
    assert study.says("6 jobs are ready to start, more than confirm_above = 3")
    assert status(study).exit_code == 3
    study.ask("launch", "b.mrui")
    bench.rest()
    assert bench.executions() == [["b.mrui"]] * 2
    assert study.says("4 jobs are ready to start")
    study.ask("launch")
    bench.rest()
    assert bench.executions()[2:] == [["a.mrui", "c.mrui"]] * 2


def test_who_came_first_is_launched_first_in_one_folder_too(
    make_bench: Callable[..., Bench],
) -> None:
    """Cases that wait for a slot go in the order in which they came, not in that of their names."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 600.0
    study = bench.study(settings=SETTINGS + ALONE, m="0")
    bench.until(bench.executions)
    for name in "zka":
        study.drop(**{name: name})
        bench.run(90)
    bench.rest()
    assert order(bench) == ["m", "z", "k", "a"]


class Overheard(Serial):
    """Carries out work, and keeps what was said of a session before each launch."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def submit(self, work: Work, done: Done) -> None:
        """Carry one piece of work out."""
        snapshot, plan = work.session.snapshot, work.session.plan
        if isinstance(work.action, StartExecution) and snapshot and plan:
            self.said.append(status_of(snapshot, plan, "").sentence)
        super().submit(work, done)


def test_the_number_of_jobs_is_shown_before_they_start(bench: Bench) -> None:
    """The last words before a POST say how many jobs it starts."""
    bench.executor = overheard = Overheard()
    study = bench.study(a="1", b="2", c="3")
    bench.rest()
    study.drop(d="4")
    bench.rest()
    assert bench.jobs() == [3, 1]
    assert overheard.said == [
        "Starting 1 execution with 3 jobs.",
        "Starting 1 execution with 1 job.",
    ]
