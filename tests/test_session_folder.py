"""A script and `vipsync run` on the same data: one carries on what the other has begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import Bench, Study
from tests.lab.scans import rda
from vipsync import VipSession
from vipsync.commands.init import adopt
from vipsync.errors import FolderError, FolderHeld
from vipsync.folder.folder import SessionFolder
from vipsync.local import DEFAULT_KEY, InProcess
from vipsync.rows import Phase
from vipsync.run.dispatch import Serial
from vipsync.run.timing import Timing
from vipsync.script.account import Account
from vipsync.status.publish import Publisher

PIPELINE = "spectrum/1"


@pytest.fixture
def script(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[..., VipSession]:
    """Return a function that gives the session of a script in the study's outputs."""
    root = bench.root / "study"
    (root / "inputs").mkdir(parents=True)
    monkeypatch.chdir(root)

    def session(**properties: object) -> VipSession:
        timing = Timing(bench.clock.now, bench.clock.now, lambda: 0.5, bench.clock.sleep)
        account = Account(
            DEFAULT_KEY,
            "https://vip.test",
            transport=InProcess(bench.world),
            timing=timing,
            executor=Serial(),
        )
        return VipSession(
            output_dir="outputs",
            account=account,
            verbose=False,
            **properties,  # type: ignore[arg-type]
        )

    return session


def started(bench: Bench, script: Callable[..., VipSession]) -> Study:
    """Let a script upload two signals and launch them, then make a session folder of it."""
    study = Study(bench, bench.root / "study")
    study.drop(a="one", b="two")
    session = script(session_name="study", input_dir="inputs", pipeline_id=PIPELINE)
    session.upload_inputs()
    session.launch_pipeline(input_settings={"signal": ["inputs/a.mrui", "inputs/b.mrui"]})
    adopt(study.root, None, "https://vip.test")
    text = study.settings.read_text().replace(
        "[input_settings]", '[input_settings]\nsignal = "*.mrui"'
    )
    study.settings.write_text(f'pipeline_id = "{PIPELINE}"\n{text}')
    return bench.take(study.root)


def test_what_a_script_began_goes_on_in_a_folder(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """Nothing goes up or runs twice, the results come, and deleting the marker ends it."""
    study = started(bench, script)
    puts = bench.count("PUT")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert bench.count("PUT") == puts
    assert study.marker.exists()
    assert sorted(study.outputs()) == ["1/a.mrui.tgz/a.txt", "1/b.mrui.tgz/b.txt"]
    assert not (study.root / "outputs" / ".vipsync").exists()
    study.drop(c="three")
    bench.rest()
    assert bench.executions()[1:] == [["c.mrui"]]
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_what_a_folder_began_goes_on_in_a_script(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """The script uses the folder's ledger: it sees its workflows, and ends the session."""
    study = started(bench, script)
    bench.rest()
    bench.stop()
    there = {"signal": "/vip/Home/API/study/INPUTS/a.mrui"}
    session = script(pipeline_id=PIPELINE, input_settings=there).launch_pipeline()
    assert len(session.monitor_workflows().download_outputs().workflows) == 2
    assert study.marker.exists()
    assert not (study.root / "outputs" / ".vipsync").exists()
    session.finish()
    assert bench.sessions_on_vip() == []
    assert not study.marker.exists()
    bench.rest()
    assert study.state.session.phase is Phase.CLOSED
    assert len(bench.executions()) == 2


def test_a_folder_keeps_what_others_keep_in_the_backup(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """Keys that are not ours outlive the run, and the script that comes after it."""
    study = started(bench, script)
    path = study.root / "outputs/session_data.json"
    document = json.loads(path.read_text())
    next(iter(document["workflows"].values()))["judged"] = "good"
    path.write_text(json.dumps({**document, "lab": {"room": 3}}))
    bench.publish = Publisher().publish
    bench.rest()
    bench.stop()
    for _ in ("after the folder", "after the script"):
        found = json.loads(path.read_text())
        (workflow,) = found["workflows"].values()
        assert (found["lab"], workflow["judged"]) == ({"room": 3}, "good")
        assert workflow["status"] == "Finished"
        script().download_outputs()


def test_a_script_that_opens_a_folders_session_writes_the_marker(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """The folder goes on as if it had opened the session itself."""
    study = bench.take(bench.root / "study")
    study.settings.write_text('portal = "https://vip.test"\n')
    bench.rest()
    bench.stop()
    study.drop(a="one")
    script(session_name="study", input_dir="inputs").upload_inputs()
    assert study.marker.exists()
    bench.rest()
    assert study.marker.exists()
    assert bench.vip_inputs() == {"a.mrui": b"one"}


def test_a_folder_that_is_being_finished_takes_no_new_work(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """Uploads and launches of a script are refused until the folder is closed."""
    study = started(bench, script)
    bench.rest()
    bench.job_seconds = lambda _job: 10_000.0
    study.drop(c="three")
    bench.until(lambda: len(bench.executions()) == 2)
    study.marker.unlink()
    bench.until(lambda: study.session.ledger.state.session.phase is Phase.FINISHING)
    bench.stop()
    session = script(input_dir="inputs")
    with pytest.raises(FolderError, match="being finished"):
        session.upload_inputs()
    assert [w["status"] for w in session.workflows.values()] == ["Finished", "Running"]


def test_a_script_and_a_folder_exclude_each_other(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """While a script works, the folder does not take its session over."""
    study = started(bench, script)
    with SessionFolder(study.root / "outputs").held():
        bench.loop.turn()
        assert isinstance(study.session.trouble, FolderHeld)
    bench.rest()
    with pytest.raises(FolderHeld):
        script().finish()
    assert json.loads(Path("outputs/session_data.json").read_text())["session_name"] == "study"


def test_what_a_script_has_sent_is_judged_by_the_folder_that_it_lies_in(
    bench: Bench, script: Callable[..., VipSession]
) -> None:
    """A script goes on where inputs name somebody; a run of the folder says which lie on VIP."""
    study = started(bench, script)
    bench.take(study.root)
    bench.rest()
    assert not study.says("on VIP, and would not be sent now")
    bench.stop()
    study.write({"c.mrui": rda(PatientName="Smith^John")})
    script(session_name="study", input_dir="inputs").upload_inputs()
    bench.rest()
    assert study.says("1 file is on VIP, and would not be sent now: PatientName in 1 file.")
