"""VIP is away during a step of a script: two minutes are waited out, more is raised, nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.lab.outages import Away, Outage, answers_500, refuses
from tests.lab.scripts import PIPELINE, Scripts
from vipsync import VipSession
from vipsync.errors import VipsyncError
from vipsync.local import InProcess

STEPS: Mapping[str, Mapping[str, Any]] = {
    "upload_inputs": {"input_dir": "data"},
    "launch_pipeline": {
        "pipeline_id": PIPELINE,
        "input_settings": {"signal": ["data/a.mrui", "data/b.mrui"]},
    },
    "monitor_workflows": {},
    "download_outputs": {},
    "finish": {},
}
WORK = {
    "upload_inputs": "PUT /rest/path/*.mrui*",
    "launch_pipeline": "POST /rest/executions*",
    "monitor_workflows": "GET /rest/executions/*",
    "download_outputs": "GET /rest/path/*.tgz?action=content",
    "finish": "DELETE /rest/path/*",
}
"""The request that each step is there for."""

PATIENCE = 120.0
AWAY = {"500": answers_500, "refused": refuses}


@dataclass(frozen=True)
class Moment:
    """When in a step VIP goes away, and how."""

    step: str
    away: Away
    match: str = "*"
    done: bool = False

    def __str__(self) -> str:
        when = "answer-lost" if self.done else "start" if self.match == "*" else "work"
        return f"{self.step}-{when}-{'500' if self.away is answers_500 else 'refused'}"

    def outage(self, scripts: Scripts, seconds: float) -> Outage:
        """Return VIP as it is reached through such an outage."""
        transport = InProcess(scripts.world)
        return Outage(transport, scripts.clock, self.away, seconds, self.match, self.done)


PATIENT = "monitor_workflows"
"""The step that waits for as long as it takes: jobs run for days, and networks drop meanwhile."""

MOMENTS = [
    moment
    for step, away in product(STEPS, AWAY.values())
    for moment in (
        Moment(step, away),
        Moment(step, away, WORK[step]),
        Moment(step, away, WORK[step], done=True),
    )
]


@dataclass(frozen=True)
class End:
    """What is left of a script."""

    outputs: Mapping[str, str]
    on_vip: list[str]
    statuses: list[object]
    launched: int

    @classmethod
    def of(cls, scripts: Scripts) -> End:
        """Look at what is left."""
        workflows = scripts.session("study").workflows.values()
        statuses = [w["status"] for w in workflows]
        return cls(scripts.outputs(), scripts.on_vip(), statuses, scripts.count("POST /executions"))


@pytest.fixture
def make_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Scripts]]:
    """Return a function that makes a world with a script's working folder."""
    made: list[Scripts] = []

    def make() -> Scripts:
        made.append(Scripts(tmp_path / str(len(made))))
        monkeypatch.chdir(made[-1].root)
        return made[-1]

    yield make
    for scripts in made:
        scripts.close()


@pytest.fixture
def scripts(make_scripts: Callable[[], Scripts]) -> Scripts:
    """Return a world with a script's working folder."""
    return make_scripts()


def take(session: VipSession, *steps: str) -> None:
    """Take these steps, or all."""
    for step in steps or STEPS:
        getattr(session, step)(**STEPS[step])


def until(session: VipSession, step: str) -> None:
    """Take all steps before this one."""
    before = list(STEPS)[: list(STEPS).index(step)]
    if before:
        take(session, *before)


def onwards(step: str) -> list[str]:
    """Return this step and those after it."""
    return list(STEPS)[list(STEPS).index(step) :]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> End:
    """Return the end of the script where VIP always answers."""
    with pytest.MonkeyPatch.context() as patch:
        scripts = Scripts(tmp_path_factory.mktemp("undisturbed"))
        patch.chdir(scripts.root)
        take(scripts.session("study"))
        end = End.of(scripts)
        scripts.close()
    assert len(end.outputs) == 2
    assert (end.on_vip, end.statuses, end.launched) == ([], ["Removed"], 1)
    return end


@pytest.mark.parametrize("seconds", [30.0, 100.0])
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_an_outage_within_the_patience_changes_nothing(
    moment: Moment, seconds: float, scripts: Scripts, undisturbed: End
) -> None:
    """The script comes to the same end as without it, and has launched once."""
    outage = moment.outage(scripts, seconds)
    session = scripts.session("study", account=scripts.account(transport=outage))
    until(session, moment.step)
    outage.begin()
    take(session, *onwards(moment.step))
    assert outage.lost
    assert End.of(scripts) == undisturbed


def skip_the_upload(scripts: Scripts, outage: Outage) -> object:
    """Ask whether there are inputs, and send none."""
    scripts.session("study").upload_inputs("data")
    session = scripts.session("study", account=scripts.account(transport=outage))
    outage.begin()
    session.upload_inputs(update_files=False)
    return scripts.count("PUT /path/vip/Home/API/study/INPUTS/a.mrui")


def share_inputs(scripts: Scripts, outage: Outage) -> object:
    """Ask for the inputs of two sessions."""
    lender = scripts.session("study").upload_inputs("data")
    session = scripts.session("taker", account=scripts.account(transport=outage))
    outage.begin()
    return session.get_inputs(lender).vip_input_dir


def resume_elsewhere(scripts: Scripts, outage: Outage) -> object:
    """Ask which id the session has on VIP, where only its backup was copied."""
    take(scripts.session("study"), "upload_inputs", "launch_pipeline", "monitor_workflows")
    shutil.rmtree(scripts.root / "vip_outputs/study/.vipsync")
    session = scripts.session("study", account=scripts.account(transport=outage))
    outage.begin()
    session.download_outputs().finish()
    return sorted(scripts.outputs()), scripts.on_vip()


QUESTIONS = (skip_the_upload, share_inputs, resume_elsewhere)


@pytest.mark.parametrize("seconds", [30.0, 100.0])
@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__)
def test_a_single_question_is_as_patient_as_a_step(
    ask: Callable[[Scripts, Outage], object],
    away: str,
    seconds: float,
    make_scripts: Callable[[], Scripts],
) -> None:
    """What is asked beside the steps has the same answer as without the outage."""
    found = []
    for lasting in (0.0, seconds):
        scripts = make_scripts()
        outage = Outage(InProcess(scripts.world), scripts.clock, AWAY[away], lasting)
        found.append(ask(scripts, outage))
        assert bool(outage.lost) == bool(lasting)
    assert found[0] == found[1]


@pytest.mark.parametrize("moment", [m for m in MOMENTS if m.step == PATIENT], ids=str)
def test_monitoring_waits_for_as_long_as_it_takes(
    moment: Moment, scripts: Scripts, undisturbed: End
) -> None:
    """An hour without VIP, while jobs run there, ends no script."""
    outage = moment.outage(scripts, 3600.0)
    session = scripts.session("study", account=scripts.account(transport=outage))
    until(session, PATIENT)
    outage.begin()
    take(session, *onwards(PATIENT))
    assert outage.lost
    assert End.of(scripts) == undisturbed


LIMITED = [moment for moment in MOMENTS if moment.step != PATIENT]


@pytest.mark.parametrize("moment", LIMITED, ids=str)
def test_a_longer_outage_is_raised_and_removes_nothing(
    moment: Moment, scripts: Scripts, undisturbed: End
) -> None:
    """The step raises what helps: try again. Then another process carries the script on to its end."""
    outage = moment.outage(scripts, 600.0)
    session = scripts.session("study", account=scripts.account(transport=outage))
    until(session, moment.step)
    before = scripts.on_vip()
    outage.begin()
    with pytest.raises(VipsyncError) as caught:
        take(session, *onwards(moment.step))
    assert (caught.value.transient, caught.value.exit_code) == (True, 5)
    assert outage.began is not None
    assert PATIENCE <= scripts.clock.now() - outage.began < 600
    if not (moment.step == "finish" and moment.done):
        assert set(before) <= set(scripts.on_vip())
    scripts.clock.sleep(600)
    take(scripts.session("study"), *onwards(moment.step))
    assert End.of(scripts) == undisturbed


@pytest.mark.parametrize("moment", LIMITED, ids=str)
def test_a_script_that_an_outage_ended_runs_again_from_its_start(
    moment: Moment, scripts: Scripts, undisturbed: End
) -> None:
    """Every step is taken again: a launch that had begun is carried on, one that was done is repeated."""
    outage = moment.outage(scripts, 600.0)
    session = scripts.session("study", account=scripts.account(transport=outage))
    until(session, moment.step)
    outage.begin()
    with pytest.raises(VipsyncError):
        take(session, *onwards(moment.step))
    scripts.clock.sleep(600)
    take(scripts.session("study"))
    end = End.of(scripts)
    launches = 1 if moment.step in ("upload_inputs", "launch_pipeline") else 2
    assert set(end.statuses) == {"Removed"}
    assert (end.on_vip, end.launched, len(end.outputs)) == ([], launches, 2 * launches)
    assert set(end.outputs.values()) == set(undisturbed.outputs.values())
