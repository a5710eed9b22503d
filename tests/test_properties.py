"""The planner against a small VIP that loses answers, fails and crashes: it must come to rest, and keep its promises."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import settings as sample
from hypothesis import strategies as st

from tests import planner
from tests.lab.builders import SETTINGS, settings
from tests.lab.simulation import Simulation
from vipsync import actions as do
from vipsync.model import VipPath, replace
from vipsync.plan.draft import Plan
from vipsync.plan.memory import Memory
from vipsync.plan.plan import plan
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Changes, Phase, Stage

EXAMPLES = int(os.environ.get("VIPSYNC_EXAMPLES", "25"))
"""Worlds for each property; a night's run takes thousands."""

WORLDS = 4_000
"""Worlds drawn by seeds in every run; `python -m tests.planner` lives a million."""

FATES = st.lists(
    st.sampled_from(["ok", "ok", "refused", "lost", "late", "crash", "crash before"]), max_size=30
)
FILES = st.dictionaries(
    st.sampled_from(["a.dat", "b.dat", "c.dat"]), st.sampled_from(["one", "three"]), min_size=1
)


@st.composite
def simulations(draw: st.DrawFn) -> Simulation:
    """Draw a folder with some files, settings, and the fates of what it will try."""
    runs = draw(st.integers(1, 2))
    chosen = settings(
        SETTINGS,
        launch={"nb_runs": runs, "max_jobs": draw(st.sampled_from([1, 200])) if runs == 1 else 200},
        inputs={"upload": draw(st.sampled_from(["used", "all"]))},
    )
    chance = random.Random(draw(st.integers(0, 1000)))
    sim = Simulation(chosen, chance, iter(draw(FATES)), looks_twice=0.2)
    for path, content in draw(FILES).items():
        sim.write(path, content)
    return sim


@sample(max_examples=EXAMPLES, deadline=None)
@given(simulations())
def test_every_case_is_launched_exactly_so_often(sim: Simulation) -> None:
    """Whatever answers are lost and whenever the process dies, each case has its nb_runs executions."""
    sim.rest()
    assert sim.state.session.phase is Phase.OPEN
    assert sim.vip.launches() == dict.fromkeys(sim.cases(), sim.settings.launch.nb_runs)
    sim.check_rest()


@sample(max_examples=EXAMPLES, deadline=None)
@given(simulations(), FATES)
def test_a_deleted_marker_empties_vip_after_everything_came(
    sim: Simulation, fates: list[str]
) -> None:
    """The session's folder goes, nothing else does, and every result was here before."""
    sim.vip.folders |= {VipPath("/vip/Home/API"), VipPath("/vip/Home/API/other")}
    sim.rest()
    sim.delete_marker()
    sim.fates = iter(fates)
    sim.rest()
    assert sim.state.session.phase is Phase.CLOSED
    assert sim.vip.folders == {VipPath(f"/vip/Home{p}") for p in ("", "/API", "/API/other")}
    assert sim.vip.files == {}
    assert not sim.marker
    assert len(sim.outputs) == sim.vip.launches().total()


@sample(max_examples=EXAMPLES, deadline=None)
@given(simulations(), st.integers(0, 40), FATES)
def test_a_marker_deleted_at_any_time_loses_no_result(
    sim: Simulation, rounds: int, fates: list[str]
) -> None:
    """Whenever it goes: what was launched is fetched, VIP is emptied, and nothing starts again."""
    for _ in range(rounds):
        sim.step()
    opened = sim.marker
    sim.delete_marker()
    sim.fates = iter(fates)
    sim.rest()
    sim.check_rest()
    if opened and sim.state.session.phase is not Phase.CLOSED:
        assert sim.stray_marker  # it was deleted before the ledger knew that it was written
    assert len(sim.outputs) == sim.vip.launches().total()


@sample(max_examples=EXAMPLES, deadline=None)
@given(simulations(), st.data())
def test_a_disturbed_session_comes_to_rest_without_a_second_launch(
    sim: Simulation, data: st.DataObject
) -> None:
    """Inputs removed on VIP, results edited or deleted here, a restart: no case starts again."""
    sim.rest()
    for path in data.draw(st.sets(st.sampled_from(sorted(sim.vip.files)))):
        if "/INPUTS/" in path:
            sim.vip.lose(path)
    edited = data.draw(st.sets(st.sampled_from(sorted(sim.outputs))))
    deleted = data.draw(st.sets(st.sampled_from(sorted(sim.outputs))))
    for local in edited:
        sim.edit_result(local)
    for local in deleted:
        sim.delete_result(local)
    sim.memory = Memory()
    started = sim.vip.launches()
    sim.rest()
    assert sim.vip.launches() == started
    assert sim.theirs.keys() == edited - deleted
    assert deleted <= sim.outputs.keys()
    sim.check_rest()


@sample(max_examples=EXAMPLES, deadline=None)
@given(simulations(), st.sampled_from(["a.dat", "d.dat"]))
def test_a_new_file_starts_only_its_own_case(sim: Simulation, name: str) -> None:
    """Another content, or another file, is one more case; the others stay as they are."""
    sim.rest()
    before = sim.vip.launches()
    sim.write(name, "other content")
    sim.rest()
    more = sim.vip.launches() - before
    assert more == {((name, "other content"),): sim.settings.launch.nb_runs}


@pytest.mark.timeout(1200)
def test_random_worlds_keep_every_promise() -> None:
    """Thousands of stories, disturbed on both sides, each come to rest in at most 50 rounds."""
    found = list(planner.run(range(WORLDS), jobs=os.cpu_count() or 1))
    assert not found, "\n".join(["repeat one with `python -m tests.planner 1 SEED`:", *found])


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(455773, id="four executions in turn after one in doubt, then the end"),
        pytest.param(35604, id="a launch is asked for when there are no files any more"),
        pytest.param(35640, id="what is cancelled waits for a file that may not go"),
        pytest.param(90114, id="what is asked for waits for a file that may not go"),
    ],
)
def test_a_world_that_once_ended_badly_keeps_every_promise(seed: int) -> None:
    """What a long run found is lived again in each short one."""
    assert not planner.violation(seed)


# that the promises can be broken


def without_marker(moment: Snapshot) -> Plan:
    """Plan as if the marker were always gone."""
    return plan(replace(moment, marker=False))


def launching_twice(moment: Snapshot) -> Plan:
    """Plan the launch in doubt once more, without a look."""
    made = plan(moment)
    doubts = [x for x in moment.state.launches.values() if x.status == "intended"]
    again: Iterable[do.Action] = [do.StartExecution(x) for x in doubts if moment.marker]
    return replace(made, actions=(*made.actions, *again)) if doubts else made


def removing_at_once(moment: Snapshot) -> Plan:
    """Remove everything as soon as it is being finished, whatever is not here yet."""
    session = moment.state.session
    if session.phase is not Phase.FINISHING:
        return plan(moment)
    removing = replace(session, stage=Stage.REMOVING)
    return Plan((do.Decide("remove", Changes(put=(removing,))),), at_rest=False)


def removing_the_neighbours(moment: Snapshot) -> Plan:
    """Remove what lies beside the session's folder too."""
    made = plan(moment)
    actions = (
        replace(a, path=VipPath("/vip/Home/API")) if isinstance(a, do.RemoveTree) else a
        for a in made.actions
    )
    return replace(made, actions=tuple(actions))


def fetching_again(moment: Snapshot) -> Plan:
    """Fetch what a person has changed."""
    return plan(replace(moment, outputs={p: s for p, s in moment.outputs.items() if s == "ok"}))


def never_resting(moment: Snapshot) -> Plan:
    """Look once more, always."""
    home = moment.state.session.home
    made = plan(moment)
    return replace(made, actions=(*made.actions, do.LookAtHome(home)), at_rest=False)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (without_marker, "finishes, and nobody wants it"),
        (launching_twice, "launched too often"),
        (removing_at_once, "removes before"),
        (removing_the_neighbours, "outside the session's folder"),
        (fetching_again, "fetched what is here"),
        (never_resting, "no rest after 50 rounds"),
    ],
)
def test_a_broken_planner_is_found_out(broken: Callable[[Snapshot], Plan], words: str) -> None:
    """A planner that breaks a promise does not get through a few hundred worlds."""
    found = (planner.violation(seed, broken) for seed in range(600))
    assert any(words in violation for violation in found)
