"""How a script's session ends: what goes from VIP, what does not, and what is said of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.scripts import Interrupting, Scripts
from tests.test_session import saved, statuses
from vipsync import actions as do
from vipsync.errors import NameTaken, ResultsMissing, Unreachable, VipsyncError
from vipsync.local import FOR_EVER, Kind

# results that did not come


def without_results(scripts: Scripts, requests: str = "GET /rest/path/*OUTPUTS*") -> None:
    """Let VIP answer 500 to all that is asked about results, for longer than anybody waits."""
    scripts.world.faults.arm(Kind.SERVER_ERROR, requests, times=FOR_EVER)


@pytest.mark.parametrize("requests", ["GET /rest/path/*OUTPUTS*", "GET /rest/path/*tgz*"])
def test_results_that_did_not_come_are_never_removed(scripts: Scripts, requests: str) -> None:
    """A download that failed says so, and so does finish(), in this process and in the next one."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline().monitor_workflows()
    without_results(scripts, requests)
    with pytest.raises(Unreachable):
        session.download_outputs()
    scripts.world.faults.clear()
    for again in (session, scripts.session()):
        with pytest.raises(ResultsMissing, match="tgz"):
            again.finish()
    assert any("tgz" in name for name in scripts.on_vip())
    scripts.session().download_outputs().finish()
    assert list(scripts.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert scripts.on_vip() == []


def test_a_person_may_let_go_of_what_did_not_come(scripts: Scripts) -> None:
    """It is named once more before it goes."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline().monitor_workflows()
    without_results(scripts)
    with pytest.raises(VipsyncError):
        session.download_outputs()
    scripts.world.faults.clear()
    session.finish(discard_missing=True)
    assert (scripts.on_vip(), statuses(session)) == ([], ["Removed"])
    assert scripts.says("1 result was never downloaded and is removed from VIP now")


def test_what_nobody_asked_for_goes(scripts: Scripts) -> None:
    """A script that downloads nothing, or only what has finished, wants no more than that."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    session.monitor_workflows().finish()
    scripts.world.faults.arm(Kind.JOB_FAILS, "*")
    failed = scripts.ready("failed", "a.mrui").run_session().finish()
    assert (statuses(session), statuses(failed), scripts.on_vip()) == (["Removed"], ["Removed"], [])


@pytest.mark.parametrize("verbose", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_finish_says_how_many_results_it_removes_that_nobody_has(
    scripts: Scripts, caplog: pytest.LogCaptureFixture, number: int, *, verbose: bool
) -> None:
    """In one sentence with what to call before it, also in a script that is silent; as vip-client, it removes them."""
    names = ["a.mrui", "b.mrui"][:number]
    session = scripts.ready("study", *names, verbose=verbose).upload_inputs().launch_pipeline()
    session.monitor_workflows().finish()
    said = "\n".join([*scripts.said, *caplog.messages])
    assert re.search(rf"{number} results? (was|were) never downloaded and (is|are) removed", said)
    assert "call download_outputs() before finish()." in said
    assert scripts.on_vip() == []


@pytest.mark.parametrize("verbose", [True, False])
def test_finish_while_jobs_run_says_what_to_call(
    scripts: Scripts, caplog: pytest.LogCaptureFixture, *, verbose: bool
) -> None:
    """It removes nothing and returns the session, as vip-client does; once they have ended it does."""
    scripts.job_seconds = lambda _job: 600.0
    session = scripts.ready("study", "a.mrui", verbose=verbose).upload_inputs().launch_pipeline()
    assert session.finish() is session
    said = "\n".join([*scripts.said, *caplog.messages])
    assert "Call monitor_workflows() and download_outputs(), then finish() again." in said
    assert scripts.on_vip()
    session.monitor_workflows().download_outputs().finish()
    assert scripts.on_vip() == []
    assert "never downloaded" not in "\n".join([*scripts.said, *caplog.messages])


def test_what_was_asked_for_once_is_forgotten_with_the_session(scripts: Scripts) -> None:
    """The next time it is on VIP, only a new download can miss anything."""
    session = scripts.ready("study", "a.mrui").run_session().finish()
    session.upload_inputs().launch_pipeline().monitor_workflows().finish()
    assert scripts.on_vip() == []


# whose is it?


@pytest.mark.parametrize("lost", ["vip_outputs/study", "vip_outputs", "elsewhere"])
def test_a_session_that_nothing_proves_to_be_ours_is_not_said_to_be_over(
    scripts: Scripts, lost: str
) -> None:
    """The folder of its outputs is not here: it is left alone, and the line is named that removes it."""
    scripts.ready("study", "a.mrui").run_session()
    there = scripts.on_vip()
    if lost != "elsewhere":
        shutil.rmtree(lost)
    session = scripts.session(output_dir="elsewhere" if lost == "elsewhere" else None)
    with pytest.raises(NameTaken, match="finish\\(by_name=True\\)"):
        session.finish()
    assert scripts.on_vip() == there
    assert not scripts.says("is now over")
    session.finish(by_name=True)
    assert (scripts.on_vip(), scripts.sessions_on_vip()) == ([], [])
    assert scripts.says("is now over")


def test_a_name_that_another_program_uses_again_is_not_ours(scripts: Scripts) -> None:
    """This session was over; what lies there now is somebody else's, with or without an id."""
    session = scripts.ready("study", "a.mrui").run_session().finish()
    other = scripts.ready("study", "a.mrui", output_dir="elsewhere").upload_inputs()
    with pytest.raises(NameTaken):
        session.finish()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]
    other.finish()
    session.finish()


def test_by_name_nothing_is_removed_under_jobs_that_run(scripts: Scripts) -> None:
    """Whoever has started them: their names say to which session they belong."""
    scripts.job_seconds = lambda _job: 600.0
    scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    scripts.ready("study-2", "a.mrui").upload_inputs().launch_pipeline()
    shutil.rmtree("vip_outputs")
    scripts.session("study").finish(by_name=True)
    assert scripts.says("might still generate data")
    assert "study/INPUTS/a.mrui" in scripts.on_vip()
    scripts.clock.sleep(700)
    scripts.session("study").finish(by_name=True)
    assert not any(name.startswith("study/") for name in scripts.on_vip())
    assert "study-2/INPUTS/a.mrui" in scripts.on_vip()


def test_by_name_a_part_can_be_kept(scripts: Scripts) -> None:
    """`keep_output` leaves the results there."""
    scripts.ready("study", "a.mrui").run_session()
    shutil.rmtree("vip_outputs")
    scripts.session("study").finish(by_name=True, keep_output=True)
    assert [name.split("/")[1] for name in scripts.on_vip()] == ["OUTPUTS"]


# how long it is waited for


def test_without_a_timeout_a_removal_is_asked_for_and_not_waited_for(
    make_scripts: Callable[..., Scripts],
) -> None:
    """The next finish() looks whether it has happened."""
    scripts = make_scripts(removal_delay=50.0)
    session = scripts.ready("study", "a.mrui").run_session()
    before = scripts.clock.now()
    session.finish(timeout=0)
    assert scripts.count("DELETE") == 1
    assert scripts.clock.now() - before < 50
    assert not scripts.says("is now over")
    scripts.session().finish()
    assert (scripts.count("DELETE"), scripts.on_vip()) == (1, [])
    assert scripts.says("is now over")


# runs that were to come


@pytest.mark.parametrize("end", ["finish", "keep_output", "", "OUTPUTS"])
def test_an_end_ends_the_runs_that_were_to_come(scripts: Scripts, end: str) -> None:
    """The same call launches all of them anew, and reports none that was removed."""
    runs = Interrupting(do.StartExecution, done=True, at=2)
    session = scripts.ready("study", "a.mrui", account=scripts.account(executor=runs))
    session.upload_inputs()
    with pytest.raises(KeyboardInterrupt):
        session.launch_pipeline(nb_runs=3)
    session = scripts.ready("study", "a.mrui").monitor_workflows()
    before = set(session.workflows)
    if end in ("", "OUTPUTS"):  # another program removed all, or the results alone
        document = saved()
        shutil.rmtree(scripts.world.storage.users / "local_user/API/study" / end)
        for workflow in document["workflows"].values():
            workflow["status"] = "Removed"
        write(document)
        session = scripts.ready("study", "a.mrui")
    else:
        session.finish(keep_output=end == "keep_output")
    session.upload_inputs().launch_pipeline(nb_runs=3)
    assert len(session.workflows.keys() - before) == 3
    started = next(text for text in reversed(scripts.said) if text.startswith("Started workflows"))
    assert not any(id_ in started for id_ in before)


def write(document: dict[str, object]) -> None:
    """Save a backup as another program does."""
    Path("vip_outputs/study/session_data.json").write_text(json.dumps(document))
