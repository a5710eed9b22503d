"""What a script does with a session, on the embedded VIP and a clock that never waits."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.lab.scripts import OTHER_KEY, PIPELINE, Interrupting, Scripts
from tests.lab.served import serve, without_privileges
from vipsync import VipSession
from vipsync import actions as do
from vipsync.errors import (
    FolderHeld,
    InputsMissing,
    InputsThere,
    InputsUnreadable,
    KeyMissing,
    KeyRefused,
    NameTaken,
    PropertyError,
    VipsyncError,
)
from vipsync.folder.folder import SessionFolder
from vipsync.local import FOR_EVER, Kind, User
from vipsync.names import BACKUP
from vipsync.run.reconciler import Work

RESULT = {"1/a.mrui.tgz/a.txt": "spectrum/1 {'signal': 'a.mrui'}\n"}


def statuses(session: VipSession) -> list[object]:
    """Return the statuses of the workflows, oldest first."""
    return [workflow["status"] for workflow in session.workflows.values()]


def saved(name: str = "study") -> dict[str, Any]:
    """Return the backup of a session."""
    document: dict[str, Any] = json.loads(Path(f"vip_outputs/{name}/session_data.json").read_text())
    return document


# the steps


def test_the_basic_steps_bring_results_here_and_leave_nothing_on_vip(scripts: Scripts) -> None:
    """Upload, launch, monitor, download and finish, each with its own arguments."""
    session = scripts.session()
    session.upload_inputs("data")
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]
    session.launch_pipeline(PIPELINE, {"signal": "data/a.mrui"})
    assert statuses(session) == ["Running"]
    session.monitor_workflows()
    assert statuses(session) == ["Finished"]
    session.download_outputs()
    assert scripts.outputs() == RESULT
    session.finish()
    assert statuses(session) == ["Removed"]
    assert scripts.sessions_on_vip() == []
    assert scripts.outputs() == RESULT


def test_everything_holds_in_a_single_chain(scripts: Scripts) -> None:
    """Each step returns the session."""
    session = scripts.ready(None, "a.mrui")
    assert session.run_session().display().finish() is session
    assert scripts.outputs(str(session.session_name)) == RESULT
    assert scripts.sessions_on_vip() == []


def test_two_calls_launch_twice_and_nb_runs_launches_as_often(scripts: Scripts) -> None:
    """Each call is a request of its own, and every workflow has a results folder of its own."""
    session = scripts.ready("study", "a.mrui").upload_inputs()
    session.launch_pipeline().launch_pipeline(nb_runs=2)
    assert len(session.workflows) == len(scripts.executions()) == 3
    session.monitor_workflows().download_outputs()
    assert sorted(scripts.outputs()) == [f"{n}/a.mrui.tgz/a.txt" for n in (1, 2, 3)]


def test_nothing_is_launched_for_no_runs(scripts: Scripts) -> None:
    """`nb_runs=0` starts nothing."""
    session = scripts.ready().upload_inputs().launch_pipeline(nb_runs=0)
    assert session.workflows == {}
    assert scripts.executions() == []


def test_a_finished_session_runs_again_beside_its_old_outputs(scripts: Scripts) -> None:
    """The inputs go up again, and the old results stay."""
    scripts.ready("study", "a.mrui").run_session().finish()
    session = scripts.session().run_session()
    assert sorted(scripts.outputs()) == ["1/a.mrui.tgz/a.txt", "2/a.mrui.tgz/a.txt"]
    assert statuses(session) == ["Removed", "Finished"]
    session.finish()
    assert scripts.sessions_on_vip() == []


def test_results_of_other_statuses_come_on_demand(scripts: Scripts) -> None:
    """By default only those of successful workflows do; unknown statuses match nothing."""
    scripts.world.faults.arm(Kind.JOB_FAILS, "*", times=1)
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline().monitor_workflows()
    assert statuses(session) == ["ExecutionFailed"]
    session.download_outputs().download_outputs(get_status=["Nonsense"])
    assert scripts.outputs() == {}
    session.download_outputs(get_status=["ExecutionFailed"])
    assert list(scripts.outputs()) == ["1/logs/job-1.stdout.txt"]


@pytest.mark.parametrize(
    "chosen", [["Removed"], ("Finished", "Removed"), "Removed", {"Removed": 1}], ids=str
)
def test_results_that_were_removed_cannot_be_asked_for(scripts: Scripts, chosen: Any) -> None:
    """They are on VIP no longer; where nothing was launched, there is nothing to say of it."""
    scripts.session("empty").download_outputs(get_status=chosen)
    session = scripts.ready("study", "a.mrui").run_session().finish()
    with pytest.raises(ValueError, match="cannot download removed data"):
        session.download_outputs(get_status=chosen)


def test_a_path_object_may_lead_from_the_data_set_on(scripts: Scripts) -> None:
    """It is checked, launched and shown as any other file; one that is nowhere is missing."""
    session = scripts.ready(input_settings={"signal": Path("a.mrui")}).run_session()
    assert scripts.executions() == [["study/INPUTS/a.mrui"]]
    del session.input_settings
    with pytest.raises(InputsMissing, match=r"nowhere\.mrui"):
        session.input_settings = {"signal": Path("nowhere.mrui")}


def test_results_of_a_stopped_workflow_come_on_demand(scripts: Scripts) -> None:
    """What its jobs had written before is fetched, once nothing can be written any more."""
    scripts.job_seconds = lambda job: 1000.0 if "b.mrui" in str(job.invocation) else 10.0
    session = scripts.ready().upload_inputs().launch_pipeline()
    scripts.clock.sleep(60)
    scripts.account().client.kill(next(iter(session.workflows)))
    session.monitor_workflows().download_outputs()
    assert statuses(session) == ["Killed"]
    assert scripts.outputs() == {}
    session.download_outputs(get_status=["Finished", "Killed"]).finish()
    assert scripts.outputs()["1/a.mrui.tgz/a.txt"] == RESULT["1/a.mrui.tgz/a.txt"]
    assert scripts.sessions_on_vip() == []


def test_places_on_vip_may_be_chosen_and_are_then_never_removed(scripts: Scripts) -> None:
    """What lies outside the session's own folder is named by finish, and stays."""
    session = scripts.ready("study", "a.mrui")
    for name, place in (("vip_input_dir", "mydata"), ("vip_output_dir", "mine")):
        delattr(session, name)
        setattr(session, name, f"/vip/Home/{place}")
    session.run_session().finish()
    assert scripts.outputs() == RESULT
    assert statuses(session) == ["Finished"]
    assert scripts.says("These results are still on VIP: /vip/Home/mine/")
    client = scripts.account().client
    assert client.exists("/vip/Home/mydata/a.mrui")
    assert not client.exists("/vip/Home/API/study")


def test_archives_stay_packed_on_demand(scripts: Scripts) -> None:
    """With `unzip=False`, the result is the file that VIP has."""
    scripts.ready("study", "a.mrui").run_session(unzip=False)
    packed = next(Path("vip_outputs/study").glob("*/a.mrui.tgz"))
    assert packed.is_file()


def test_a_deleted_result_comes_back_and_a_changed_one_stays(scripts: Scripts) -> None:
    """Downloading again mends what is missing as a whole, and touches nothing else."""
    session = scripts.ready("study").run_session()
    one, two = sorted(Path("vip_outputs/study").glob("*/*.tgz"))
    shutil.rmtree(one)
    (two / "b.txt").write_text("mine")
    session.download_outputs()
    assert scripts.outputs()["1/a.mrui.tgz/a.txt"] == RESULT["1/a.mrui.tgz/a.txt"]
    assert (two / "b.txt").read_text() == "mine"


# uploading


def test_a_changed_file_is_sent_again_and_launched(scripts: Scripts) -> None:
    """Other content goes beside the old one on VIP, and the next launch uses it."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    scripts.write({"a.mrui": "uno"})
    session.upload_inputs().launch_pipeline()
    assert scripts.on_vip()[0] == "study/INPUTS/_v2/a.mrui"
    assert scripts.executions() == [["study/INPUTS/a.mrui"], ["study/INPUTS/_v2/a.mrui"]]
    scripts.session().launch_pipeline()
    assert scripts.executions()[-1] == ["study/INPUTS/_v2/a.mrui"]


def test_what_is_there_is_not_sent_twice(scripts: Scripts) -> None:
    """A second upload, in another process, sends nothing; `update_files=False` does not even look."""
    scripts.ready().upload_inputs()
    sent = scripts.count("PUT")
    scripts.session().upload_inputs()
    assert scripts.count("PUT") == sent
    before = len(scripts.world.requests)
    session = scripts.session()
    asked = len(scripts.world.requests)
    session.upload_inputs(update_files=False)
    assert len(scripts.world.requests) - asked == 1
    assert asked > before


def test_system_files_and_outputs_are_not_sent(scripts: Scripts) -> None:
    """The whole data set goes, but for what systems leave behind and what is output."""
    scripts.write({".hidden": "1", ".DS_Store": "2", "deep/Thumbs.db": "3", "empty.txt": ""})
    scripts.write({"old run/session_data.json": "{}", "old run/result.txt": "4"})
    scripts.ready("study", "a.mrui", output_dir="data/out").run_session()
    scripts.session(None, output_dir="data/out").upload_inputs()
    names = [n.removeprefix("study/INPUTS/") for n in scripts.on_vip() if "INPUTS" in n]
    assert names == [".hidden", "a.mrui", "b.mrui", "empty.txt"]


def test_names_that_vip_cannot_hold_are_launched_under_those_it_can(scripts: Scripts) -> None:
    """The settings, the backup and the launch say the same path, and two that clash are refused."""
    scripts.write({"été 1/c.mrui": "three"})
    session = scripts.ready("study", "été 1/c.mrui").upload_inputs().launch_pipeline()
    assert scripts.executions() == [["study/INPUTS/ete_1/c.mrui"]]
    assert saved()["input_settings"] == {"signal": ["/vip/Home/API/study/INPUTS/ete_1/c.mrui"]}
    scripts.write({"ete_1/c.mrui": "another"})
    with pytest.raises(VipsyncError, match=r"ete_1/c\.mrui"):
        session.upload_inputs()


def test_a_session_without_a_pipeline_uploads_for_others(scripts: Scripts) -> None:
    """Its backup has every key, with null for what is not set."""
    scripts.session().upload_inputs("data")
    assert list(saved()) == [
        "session_name", "pipeline_id", "local_input_dir", "local_output_dir", "vip_input_dir",
        "vip_output_dir", "input_settings", "workflows",
    ]  # fmt: skip
    assert saved()["pipeline_id"] is None


def test_a_file_that_cannot_be_read_holds_up_no_other(scripts: Scripts) -> None:
    """The others are on VIP when the error is raised."""
    scripts.world.faults.arm(Kind.UPLOAD_VANISHES, "*/b.mrui", times=FOR_EVER)
    with pytest.raises(VipsyncError):
        scripts.ready().upload_inputs()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui"]


def test_links_are_followed_wherever_they_lead(scripts: Scripts, tmp_path: Path) -> None:
    """Their files go up under the links' names, and settings name them so."""
    store = tmp_path / "store"
    (store / "deep").mkdir(parents=True)
    (store / "c.mrui").write_text("three")
    (store / "deep/d.mrui").write_text("four")
    (scripts.data / "linked.mrui").symlink_to(store / "c.mrui")
    (scripts.data / "folder").symlink_to("../../store")
    (scripts.data / "again").symlink_to("folder/deep")
    session = scripts.ready("study", "linked.mrui", "folder/deep/d.mrui").run_session()
    names = [n.removeprefix("study/INPUTS/") for n in scripts.on_vip() if "INPUTS" in n]
    assert names == [
        "a.mrui", "again/d.mrui", "b.mrui", "folder/c.mrui", "folder/deep/d.mrui", "linked.mrui",
    ]  # fmt: skip
    assert statuses(session) == ["Finished"]
    (store / "c.mrui").write_text("other content")
    session.upload_inputs()
    assert "study/INPUTS/_v2/linked.mrui" in scripts.on_vip()


def test_a_link_that_leads_back_ends_nothing_and_is_said(scripts: Scripts, tmp_path: Path) -> None:
    """Everything else goes up, once by each way that does not come back."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store/back").symlink_to(scripts.data)
    (scripts.data / "self").symlink_to(".")
    (scripts.data / "store").symlink_to(tmp_path / "store")
    scripts.ready().upload_inputs()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]
    for path in ("self", "store/back"):
        assert scripts.says(f"(!) {path} is left out: it leads back")


def _lost(data: Path) -> None:
    (data / "lost").symlink_to("/nowhere/at/all")


def _lost_in_a_folder(data: Path) -> None:
    (data / "deep").mkdir()
    (data / "deep/annexed.nii").symlink_to("../.git/annex/objects/x")


def _round(data: Path) -> None:
    (data / "one").symlink_to("two")
    (data / "two").symlink_to("one")


def _pipe(data: Path) -> None:
    os.mkfifo(data / "pipe")


def _two_lines(data: Path) -> None:
    (data / "two\nlines").write_text("x")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_lost, ("lost: a link that leads nowhere",)),
        (_lost_in_a_folder, ("deep/annexed.nii: a link that leads nowhere",)),
        (_round, ("one: a link that", "two: a link that")),
        (_pipe, ("pipe: neither a file nor a folder",)),
        (_two_lines, (r"two\nlines: a name with a line break",)),
    ],
)
def test_what_cannot_be_read_is_named_before_anything_is_sent(
    scripts: Scripts, spoil: Callable[[Path], None], named: tuple[str, ...]
) -> None:
    """Nothing of the data set is left out in silence; where it is not uploaded, it does not matter."""
    spoil(scripts.data)
    session = scripts.ready("study", "a.mrui")
    with pytest.raises(InputsUnreadable) as caught:
        session.upload_inputs()
    assert isinstance(caught.value, OSError)
    assert all(f"- {words}" in str(caught.value) for words in named)
    assert scripts.on_vip() == []
    for path in scripts.data.rglob("*"):
        if path.suffix != ".mrui" and not path.is_dir():
            path.unlink()
    session.upload_inputs()
    spoil(scripts.data / "deep" if (scripts.data / "deep").is_dir() else scripts.data)
    session.launch_pipeline()
    assert len(scripts.executions()) == 1


UNREADABLE = """
from vipsync import VipSession
from vipsync.errors import InputsUnreadable
VipSession.init({key!r}, False, vip_portal_url={url!r})
try: VipSession("study").upload_inputs("data")
except InputsUnreadable as error: print(error)
"""


def test_files_and_folders_without_permission_are_named(tmp_path: Path) -> None:
    """As a real process meets them, without root's rights; nothing is sent."""
    with serve(tmp_path) as served:
        data = tmp_path / "data"
        for path in ("open.mrui", "closed.mrui", "locked/in.mrui"):
            (data / path).parent.mkdir(parents=True, exist_ok=True)
            (data / path).write_text("x")
        for name in ("closed.mrui", "locked"):
            (data / name).chmod(0)
        command = [*without_privileges(), sys.executable, "-c"]
        code = UNREADABLE.format(key=served.key, url=served.url)
        try:
            said = subprocess.run([*command, code], cwd=tmp_path, capture_output=True, text=True)
        finally:
            (data / "locked").chmod(0o755)
        assert "- closed.mrui: Permission denied\n- locked: Permission denied\n" in said.stdout
        sent = [r.path for r in served.world.requests if r.method == "PUT" and "INPUTS" in r.path]
        assert sent == []


def test_an_upload_that_is_interrupted_goes_on_where_it_was(scripts: Scripts) -> None:
    """Nothing is half there, and nothing goes up twice."""
    account = scripts.account(executor=Interrupting(do.SendFile, done=True, at=2))
    with pytest.raises(KeyboardInterrupt):
        scripts.ready(account=account).upload_inputs()
    scripts.session().upload_inputs()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]
    assert scripts.count("PUT /path/vip/Home/API/study/INPUTS/") == 2


# launching


@pytest.mark.parametrize("kind", [Kind.ANSWER_LOST, Kind.ANSWER_ERROR, Kind.REQUEST_LOST])
def test_a_lost_answer_launches_once(scripts: Scripts, kind: Kind) -> None:
    """Whether VIP took it or not, one call is one execution."""
    session = scripts.ready("study", "a.mrui").upload_inputs()
    scripts.world.faults.arm(kind, "POST /rest/executions")
    session.launch_pipeline()
    assert len(session.workflows) == len(scripts.executions()) == 1


@pytest.mark.parametrize("arrived", [True, False])
def test_a_script_that_died_while_launching_launches_once_when_it_runs_again(
    scripts: Scripts, arrived: bool
) -> None:
    """The same call in another process carries the interrupted one on."""
    account = scripts.account(executor=Interrupting(do.StartExecution, done=arrived))
    with pytest.raises(KeyboardInterrupt):
        scripts.ready("study", "a.mrui", account=account).upload_inputs().launch_pipeline(nb_runs=2)
    session = scripts.session().launch_pipeline(nb_runs=2)
    assert len(session.workflows) == len(scripts.executions()) == 2


def test_an_open_intent_is_settled_before_another_launch(scripts: Scripts) -> None:
    """What had arrived becomes a workflow of the session; the new call launches its own."""
    account = scripts.account(executor=Interrupting(do.StartExecution, done=True))
    session = scripts.ready("study", "a.mrui", account=account).upload_inputs()
    with pytest.raises(KeyboardInterrupt):
        session.launch_pipeline()
    del session.input_settings
    session.launch_pipeline(input_settings={"signal": "data/b.mrui"})
    assert len(session.workflows) == 2
    assert scripts.executions() == [["study/INPUTS/a.mrui"], ["study/INPUTS/b.mrui"]]


def test_monitoring_finds_an_execution_that_nobody_knew_of(scripts: Scripts) -> None:
    """A crash after the launch costs nothing: the execution is found by its name."""
    account = scripts.account(executor=Interrupting(do.StartExecution, done=True))
    with pytest.raises(KeyboardInterrupt):
        scripts.ready("study", "a.mrui", account=account).upload_inputs().launch_pipeline()
    session = scripts.session().monitor_workflows().download_outputs()
    assert statuses(session) == ["Finished"]
    assert scripts.outputs() == RESULT


def test_a_full_quota_is_waited_for_and_said(make_scripts: Callable[..., Scripts]) -> None:
    """With one slot, the second run starts when the first has ended."""
    scripts = make_scripts(quota_user=1)
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline(nb_runs=2)
    assert len(session.workflows) == 2
    assert scripts.says("as many executions as this account may have")


def test_what_vip_refuses_is_raised(scripts: Scripts) -> None:
    """The error is VIP's own, and the session can go on."""
    session = scripts.ready("study", "a.mrui").upload_inputs()
    scripts.world.faults.arm(Kind.UNAUTHORIZED, "POST /rest/executions")
    with pytest.raises(KeyRefused):
        session.launch_pipeline()
    session.launch_pipeline()
    assert len(scripts.executions()) == 1


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.SERVER_ERROR, Kind.NOT_FOUND])
@pytest.mark.parametrize("first", [0, 1])
def test_a_launch_that_vip_always_refuses_is_raised(
    scripts: Scripts, kind: Kind, first: int
) -> None:
    """After three tries that were looked at; another call tries it anew."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline(nb_runs=first)
    scripts.world.faults.arm(kind, "POST /rest/executions", times=3)
    with pytest.raises(RuntimeError, match="VIP could not launch spectrum/1"):
        session.launch_pipeline(nb_runs=2)
    assert scripts.count("POST /executions") == first + 3
    session.launch_pipeline(nb_runs=2)
    assert len(session.workflows) == len(scripts.executions()) == first + 2


def test_lists_launch_parallel_jobs_in_one_workflow(scripts: Scripts) -> None:
    """Two signals are two jobs of one execution."""
    session = scripts.ready().upload_inputs().launch_pipeline()
    assert scripts.executions() == [["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]]
    assert len(session.workflows) == 1


def test_a_launch_before_the_upload_says_what_to_call(scripts: Scripts) -> None:
    """The files are here, and not on VIP."""
    with pytest.raises(InputsMissing, match=r"call upload_inputs\(\) first"):
        scripts.ready().launch_pipeline()
    assert scripts.executions() == []


def test_a_download_while_executions_run_says_so(scripts: Scripts) -> None:
    """Nothing to download is not all that there is to say."""
    session = scripts.ready().upload_inputs().launch_pipeline().download_outputs()
    assert scripts.says("Not over yet: 1 execution. Call monitor_workflows()")
    scripts.said.clear()
    session.monitor_workflows().download_outputs()
    assert not scripts.says("Not over yet")


def test_an_input_dir_that_is_not_there_is_told_at_once(scripts: Scripts) -> None:
    """As with vip-client, it is no error yet: whoever mounts it later goes on."""
    session = scripts.session(input_dir="nowhere")
    assert scripts.says("(!) `input_dir` does not exist in the local file system: nowhere.")
    scripts.said.clear()
    del session.input_dir
    session.input_dir = "data"
    assert not scripts.says("does not exist")


def test_lines_of_transfers_name_the_session(
    scripts: Scripts, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever its output folder is called."""
    VipSession("study", output_dir="results", account=scripts.account()).upload_inputs("data")
    said = capsys.readouterr().out
    assert "study: sent 2 files" in said
    assert "results: " not in said


def test_paths_that_are_on_vip_stay(scripts: Scripts) -> None:
    """They need no local data set; a missing one is an error before anything is launched."""
    scripts.session("lender").upload_inputs("data")
    there = "/vip/Home/API/lender/INPUTS/a.mrui"
    session = scripts.session(pipeline_id=PIPELINE, input_settings={"signal": there})
    session.launch_pipeline().monitor_workflows().download_outputs()
    assert scripts.outputs() == RESULT
    with pytest.raises(InputsMissing, match=r"nothing\.mrui"):
        scripts.session("other", pipeline_id=PIPELINE).launch_pipeline(
            input_settings={"signal": "/vip/Home/API/lender/INPUTS/nothing.mrui"}
        )
    assert scripts.sessions_on_vip() == ["lender", "study"]


# monitoring


def test_workflows_can_be_updated_without_waiting(scripts: Scripts) -> None:
    """As published scripts do: one question for each that runs, which takes no time and says nothing."""
    scripts.session("empty")._update_workflows()
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline(nb_runs=2)
    said, now = len(scripts.said), scripts.clock.now()
    session._update_workflows(get_exec_results=True, timeout=10)
    assert statuses(session) == ["Running", "Running"]
    assert (len(scripts.said), scripts.clock.now()) == (said, now)
    scripts.clock.sleep(600)
    again = scripts.session()
    again._update_workflows()
    assert statuses(again) == ["Finished", "Finished"]
    assert saved()["workflows"].keys() == again.workflows.keys()
    asked = scripts.count("GET /executions/")
    again._update_workflows()
    assert scripts.count("GET /executions/") == asked


def test_an_update_without_an_answer_is_an_error(scripts: Scripts) -> None:
    """Nothing is taken for news, and the session speaks afterwards as before."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    scripts.world.faults.arm(Kind.SERVER_ERROR, "GET /rest/executions/*", times=FOR_EVER)
    with pytest.raises(VipsyncError):
        session._update_workflows()
    assert statuses(session) == ["Running"]
    assert session.verbose


def test_no_answer_while_monitoring_is_waited_out_and_said(scripts: Scripts) -> None:
    """Ten lost answers end nothing."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    scripts.world.faults.arm(Kind.REQUEST_LOST, "GET /rest/executions/*", times=10)
    session.monitor_workflows(refresh_time=5)
    assert statuses(session) == ["Finished"]
    assert scripts.says("It is tried again.")


def test_no_answer_while_uploading_ends_with_an_error(scripts: Scripts) -> None:
    """After some attempts, the script is told; the next call goes on."""
    session = scripts.ready("study", "a.mrui")
    scripts.world.faults.arm(Kind.REQUEST_LOST, "* /rest/path/*", times=FOR_EVER)
    with pytest.raises(ConnectionError):
        session.upload_inputs()
    scripts.world.faults.clear()
    assert session.upload_inputs().vip_input_dir == "/vip/Home/API/study/INPUTS"


def test_a_refused_key_ends_at_once(scripts: Scripts) -> None:
    """Waiting would mend nothing."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    scripts.world.faults.arm(Kind.UNAUTHORIZED, "GET /rest/executions/*")
    with pytest.raises(KeyRefused):
        session.monitor_workflows()


# finishing


def test_running_workflows_refuse_finish(scripts: Scripts) -> None:
    """Nothing is removed, and the reason is said."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline().finish()
    assert statuses(session) == ["Running"]
    assert scripts.says("might still generate data")
    assert "study" in scripts.sessions_on_vip()


def test_finish_names_the_results_that_are_not_here(scripts: Scripts) -> None:
    """It removes them all the same: it was asked to."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline().monitor_workflows()
    session.finish()
    assert scripts.says("a.mrui.tgz")
    assert scripts.sessions_on_vip() == []


def test_what_is_to_be_kept_stays_on_vip(scripts: Scripts) -> None:
    """`keep_output` leaves the results, `keep_input` the data set; each goes with the next finish."""
    session = scripts.ready("study", "a.mrui").run_session().finish(keep_output=True)
    assert scripts.on_vip() == ["study/OUTPUTS/a.mrui.tgz"]
    assert statuses(session) == ["Finished"]
    session.upload_inputs().finish(keep_input=True)
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]
    assert statuses(session) == ["Removed"]
    session.finish()
    assert scripts.sessions_on_vip() == []


def test_finish_called_again_asks_for_no_second_removal(scripts: Scripts) -> None:
    """It could happen so late that it hits the next data set; only VIP's slowness is waited for."""
    session = scripts.ready().run_session()
    scripts.world.faults.arm(Kind.REMOVAL_LATE, seconds=100)
    scripts.world.faults.arm(Kind.REMOVAL_LATE, seconds=300)
    session.finish(timeout=20)
    session.finish(timeout=20)
    scripts.clock.sleep(90)
    session.finish(timeout=20)
    assert scripts.count("DELETE") == 1
    scripts.ready().upload_inputs()
    there = scripts.on_vip()
    scripts.clock.sleep(300)
    assert scripts.on_vip() == there == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]


def test_a_removal_that_does_not_happen_is_said_after_the_timeout(scripts: Scripts) -> None:
    """The session stays open, and the next finish ends it."""
    session = scripts.ready("study", "a.mrui").run_session()
    scripts.world.faults.arm(Kind.REMOVAL_NEVER, "*")
    session.finish(timeout=20)
    assert scripts.says("There may still be temporary data on VIP")
    assert statuses(session) == ["Finished"]
    session.finish(timeout=700)  # it is not asked for again before ten minutes
    assert statuses(session) == ["Removed"]


def test_finish_waits_for_a_transfer_that_may_still_arrive(scripts: Scripts) -> None:
    """What an interrupted upload still writes would be left behind."""
    account = scripts.account(executor=Interrupting(do.SendFile, done=False))
    with pytest.raises(KeyboardInterrupt):
        scripts.ready(account=account).upload_inputs()
    before = scripts.clock.now()
    scripts.session().finish()
    assert scripts.clock.now() - before >= 120
    assert scripts.sessions_on_vip() == []


def test_finishing_nothing_is_nothing(scripts: Scripts) -> None:
    """A session that was never on VIP is over at once."""
    scripts.session().finish()
    assert scripts.says("is now over")


# other people's data


def test_a_name_that_is_taken_is_refused(scripts: Scripts) -> None:
    """Data of another session are never touched."""
    scripts.session().upload_inputs("data")
    with pytest.raises(NameTaken):
        scripts.session(output_dir="elsewhere").upload_inputs("data")


def test_another_account_does_not_see_the_session(scripts: Scripts) -> None:
    """Absence for another key is no removal: nothing is changed on either side."""
    scripts.ready("study", "a.mrui").run_session()
    other = scripts.account(OTHER_KEY)
    with pytest.raises(NameTaken, match="does not see the session"):
        scripts.session(account=other).upload_inputs()
    with pytest.raises(NameTaken, match="does not see the session"):
        scripts.session(account=other).finish()
    assert scripts.on_vip(OTHER_KEY) == []
    assert statuses(scripts.session()) == ["Finished"]


def test_accounts_work_side_by_side(scripts: Scripts) -> None:
    """Each session runs under the key that it was made with."""
    mine = scripts.ready("mine", "a.mrui")
    theirs = scripts.ready("theirs", "a.mrui", account=scripts.account(OTHER_KEY))
    mine.upload_inputs()
    theirs.upload_inputs()
    assert {n.split("/")[0] for n in scripts.on_vip()} == {"mine"}
    assert {n.split("/")[0] for n in scripts.on_vip(OTHER_KEY)} == {"theirs"}


def test_data_that_were_removed_elsewhere_go_up_again(scripts: Scripts) -> None:
    """A session whose folder on VIP was removed on the portal starts anew with the next upload."""
    session = scripts.ready("study", "a.mrui").upload_inputs()
    scripts.account().client.delete("/vip/Home/API/study")
    session.upload_inputs().launch_pipeline()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]


# sharing inputs


def test_inputs_of_another_session_are_used_and_left_alone(scripts: Scripts) -> None:
    """The borrower sends nothing, and its finish leaves the lender's data."""
    lender = scripts.ready("lender", "a.mrui").upload_inputs()
    sent = scripts.count("PUT /path/vip/Home/API/lender")
    borrower = scripts.session("study").get_inputs(lender, get_pipeline=True, get_settings=True)
    assert borrower.pipeline_id == PIPELINE
    borrower.run_session().finish()
    assert scripts.outputs() == RESULT
    assert scripts.count("PUT /path/vip/Home/API/lender") == sent
    assert scripts.sessions_on_vip() == ["lender"]
    assert scripts.says("They belong to another session")
    lender.run_session().finish()
    assert scripts.sessions_on_vip() == []


def test_three_sessions_share_one_data_set(scripts: Scripts) -> None:
    """Each has its own settings and results, one after another, also when they are resumed."""
    first = scripts.session("first").upload_inputs("data")
    for name, signal in (("second", "a.mrui"), ("third", "b.mrui")):
        session = scripts.session(name, pipeline_id=PIPELINE).get_inputs(first)
        session.input_settings = {"signal": f"data/{signal}"}
        scripts.session(name, pipeline_id=PIPELINE, input_settings=session.input_settings)
        session.run_session(update_files=False).finish()
        assert list(scripts.outputs(name)) == [f"1/{signal}.tgz/{signal[0]}.txt"]
    first.finish()
    assert scripts.sessions_on_vip() == []


def test_inputs_are_not_shared_where_there_are_none_or_too_many(scripts: Scripts) -> None:
    """The other must have inputs on VIP, and this session none of its own."""
    empty = scripts.session("empty")
    with pytest.raises(InputsMissing, match="empty"):
        scripts.session().get_inputs(empty)
    full = scripts.session("full").upload_inputs("data")
    with pytest.raises(InputsThere, match="study"):
        scripts.session().upload_inputs("data").get_inputs(full)
    assert full.get_inputs(full) is full


@pytest.mark.parametrize(
    "place",
    [
        "/vip/Home/API/pool/INPUTS",
        "/vip/Home/API/pool",
        "/vip/Home/API/study",
        "/vip/Home/API/study-2/INPUTS",
        PurePosixPath("/vip/Home/API/pool/deep/er/"),
        "/vip/Home/mine",
    ],
    ids=str,
)
def test_a_script_may_put_its_inputs_anywhere(scripts: Scripts, place: Any) -> None:
    """Also into the place of another session, also when it is resumed; they are never removed there."""
    scripts.ready("study", "a.mrui", vip_input_dir=place).upload_inputs().launch_pipeline()
    there = str(place).rstrip("/")
    sent = scripts.count("PUT")
    scripts.write({"c.mrui": "three"})
    session = scripts.session().upload_inputs()
    assert scripts.count("PUT") > sent
    assert scripts.executions() == [[f"{there}/a.mrui".removeprefix("/vip/Home/API/")]]
    session.monitor_workflows().download_outputs().finish()
    assert scripts.outputs() == RESULT
    if there != "/vip/Home/API/study":
        assert scripts.says(f"still on VIP: {there}. Remove them on the portal")
        client = scripts.account().client
        assert client.exists(f"{there}/c.mrui")
        assert not client.exists("/vip/Home/API/study")


@pytest.mark.parametrize("backup", ["local", "vip"])
def test_inputs_that_were_taken_stay_those_of_the_other_session(
    scripts: Scripts, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put there, also when the session is resumed: until the script says that it is its own."""
    monkeypatch.setattr(VipSession, "_BACKUP_LOCATION", backup)
    lender = scripts.session("lender").upload_inputs("data")
    first = scripts.session().get_inputs(lender)
    first.launch_pipeline(PIPELINE, {"signal": "data/a.mrui"})
    taker = scripts.session("taker").get_inputs(first)
    scripts.write({"c.mrui": "three"})
    sent = scripts.count("PUT /path/vip/Home/API/lender")
    for session in (first, scripts.session(), taker, copy.copy(taker)):
        session.upload_inputs()
    assert scripts.count("PUT /path/vip/Home/API/lender") == sent
    assert scripts.says("Skipped: /vip/Home/API/lender/INPUTS belongs to another session.")
    own = scripts.session(vip_input_dir=lender.vip_input_dir)
    own.upload_inputs()
    assert "lender/INPUTS/c.mrui" in scripts.on_vip()


# the backup


def test_a_session_is_resumed_by_its_name_or_its_folder(scripts: Scripts) -> None:
    """Each step in an interpreter of its own comes to the same end."""
    scripts.session().upload_inputs("data")
    scripts.session().launch_pipeline(PIPELINE, {"signal": "data/a.mrui"})
    scripts.session(None, output_dir="vip_outputs/study").monitor_workflows()
    scripts.session().download_outputs()
    scripts.session().finish()
    assert scripts.outputs() == RESULT
    assert saved()["workflows"].popitem()[1]["status"] == "Removed"


def test_a_backup_of_another_name_is_refused(scripts: Scripts) -> None:
    """The folder of one session is not taken for that of another."""
    scripts.session().upload_inputs("data")
    with pytest.raises(ValueError, match="different session name"):
        scripts.session("other", output_dir="vip_outputs/study")


def test_a_broken_backup_is_not_overwritten(scripts: Scripts) -> None:
    """Something else of this name is an error."""
    Path("vip_outputs/study").mkdir(parents=True)
    Path("vip_outputs/study/session_data.json").write_text("mine")
    with pytest.raises(PropertyError, match="no backup"):
        scripts.session()


def test_a_session_goes_on_where_only_its_backup_was_copied(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, the session is recognised on VIP by its id, and finished there."""
    scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    there = tmp_path / "another" / "vip_outputs" / "study"
    there.mkdir(parents=True)
    shutil.copy("vip_outputs/study/session_data.json", there)
    monkeypatch.chdir(tmp_path / "another")
    session = scripts.session().monitor_workflows().download_outputs().finish()
    assert statuses(session) == ["Removed"]
    assert [p.name for p in there.glob("*/a.mrui.tgz/*")] == ["a.txt"]
    assert scripts.sessions_on_vip() == []


def test_the_backup_can_lie_on_vip_or_nowhere(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With "vip" another folder resumes the session; with None nothing is written but the ledger."""
    monkeypatch.setattr(VipSession, "_BACKUP_LOCATION", "vip")
    scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    assert "study/OUTPUTS" in scripts.on_vip()
    shutil.rmtree("vip_outputs")
    session = scripts.session().monitor_workflows().download_outputs()
    assert scripts.outputs() == RESULT
    session.finish()
    assert scripts.sessions_on_vip() == []
    monkeypatch.setattr(VipSession, "_BACKUP_LOCATION", None)
    scripts.ready("second", "a.mrui").run_session().finish()
    assert not list(Path("vip_outputs").rglob("session_data.json"))


@pytest.mark.parametrize("place", ["local", "vip"])
def test_what_others_keep_in_the_backup_stays(
    scripts: Scripts, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are not ours, at its top or in a workflow, also those that came between two steps."""
    monkeypatch.setattr(VipSession, "_BACKUP_LOCATION", place)
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    home = scripts.world.storage.users / User().folder / "API/study"
    path = next(root for root in (Path("vip_outputs"), home) if list(root.rglob(BACKUP)))
    path = next(path.rglob(BACKUP))
    document = json.loads(path.read_text())
    next(iter(document["workflows"].values()))["judged"] = "good"
    path.write_text(json.dumps({**document, "lab": {"room": 3}}))
    for step in (session.monitor_workflows, scripts.session().download_outputs):
        step()
        found = json.loads(path.read_text())
        (workflow,) = found["workflows"].values()
        assert (found["lab"], workflow["judged"]) == ({"room": 3}, "good")
        assert workflow["status"] == "Finished"


# where it runs


def test_a_working_folder_that_changes_changes_nothing(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are those of the moment at which they were given."""
    session = scripts.ready("study", "a.mrui")
    monkeypatch.chdir(tmp_path)
    session.run_session()
    assert scripts.outputs() == RESULT
    assert not (tmp_path / "vip_outputs").exists()


def test_it_works_in_a_thread(scripts: Scripts) -> None:
    """The whole session may run beside the main program."""
    session = scripts.ready("study", "a.mrui")
    thread = threading.Thread(target=session.run_session)
    thread.start()
    thread.join()
    assert scripts.outputs() == RESULT


def test_a_folder_that_goes_away_is_said_and_not_made_anew(scripts: Scripts) -> None:
    """An unmounted disk is no empty session: nothing is written where it was."""

    class Unmounting:
        def submit(self, work: Work, done: Callable[[Work, Any], None]) -> None:
            if isinstance(work.action, do.SendFile) and not Path("away").exists():
                Path("vip_outputs").rename("away")
            done(work, work.run())

    with pytest.raises(VipsyncError):
        scripts.ready(account=scripts.account(executor=Unmounting())).upload_inputs()
    assert not Path("vip_outputs/study/session_data.json").exists()
    shutil.rmtree("vip_outputs", ignore_errors=True)
    Path("away").rename("vip_outputs")
    scripts.ready().upload_inputs()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]


def test_a_folder_in_which_another_process_works_is_refused(scripts: Scripts) -> None:
    """Two scripts never write one ledger."""
    session = scripts.session().upload_inputs("data")
    with SessionFolder(Path("vip_outputs/study")).held(), pytest.raises(FolderHeld) as caught:
        session.finish()
    assert "Wait until the other script or `vipsync run` has ended" in str(caught.value)
    assert "machine" not in str(caught.value)


def test_a_folder_in_which_another_machine_works_is_refused_as_such(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said which machine that is: waiting here for a process of this one would help nobody."""
    session = scripts.session().upload_inputs("data")
    monkeypatch.setattr("vipsync.folder.holding.network_file_system", lambda _: True)
    lease = {"host": "elsewhere", "at": scripts.timing.wall()}
    Path("vip_outputs/study/.vipsync/host.json").write_text(json.dumps(lease))
    with pytest.raises(FolderHeld) as caught:
        session.finish()
    assert "vipsync on elsewhere already works in" in str(caught.value)
    assert "Stop it there first" in str(caught.value)


def test_nothing_is_printed_without_verbose(
    scripts: Scripts, capsys: pytest.CaptureFixture[str]
) -> None:
    """A silent session says nothing at all; a loud one says where it is."""
    silent = VipSession("silent", account=scripts.account(), verbose=False)
    silent.upload_inputs("data").display().finish()
    assert capsys.readouterr().out == ""
    VipSession("loud", account=scripts.account()).upload_inputs("data")
    assert "Everything is on VIP" in capsys.readouterr().out


def test_the_key_is_never_shown(
    scripts: Scripts, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is in no output, log, file or representation."""
    caplog.set_level(logging.DEBUG)
    account = scripts.account(OTHER_KEY)
    session = VipSession("study", account=account).upload_inputs("data").display()
    printed = capsys.readouterr()
    files = [p.read_bytes() for p in Path("vip_outputs").rglob("*") if p.is_file()]
    texts = [
        repr(account),
        repr(session),
        str(vars(session)),
        printed.out,
        printed.err,
        caplog.text,
    ]
    assert not any(OTHER_KEY in text for text in texts)
    assert not any(OTHER_KEY.encode() in content for content in files)


def test_without_a_handshake_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Properties can be set, steps cannot be taken."""
    monkeypatch.setattr(VipSession, "account_of_all", None)
    session = VipSession("study", verbose=False, input_dir=os.curdir)
    with pytest.raises(KeyMissing, match=r"VipSession\.init"):
        session.upload_inputs()
