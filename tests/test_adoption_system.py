"""A folder that comes from vip-client, on the whole system: followed, mirrored, and never run twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from vipsync.folder.folder import SessionFolder
from vipsync.local import DEFAULT_KEY, running
from vipsync.record.ledger import Ledger
from vipsync.rows import Phase, Session
from vipsync.status.publish import Publisher


@contextmanager
def official_client(url: str, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the official client's session class, and close its connections."""
    from vip_client.classes.VipSession import VipSession
    from vip_client.utils import vip

    patch.setattr(VipSession, "_AVAILABLE_PIPELINES", [])  # it keeps what it was told, in the class
    VipSession.init(api_key=DEFAULT_KEY, vip_portal_url=url, verbose=False)
    try:
        yield VipSession
    finally:
        for connection in (vip.SESSION, vip.SESSION_NO_RETRY):
            connection.close()


def test_a_folder_of_the_official_client_goes_on_here(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its execution is mirrored and not launched again; the official client still opens the folder."""
    bench = make_bench(startup_delay=0.0)
    bench.job_seconds = lambda _job: 0.0
    study = bench.study("official", a="one", b="two")
    monkeypatch.chdir(study.root)
    with running(bench.world) as url, official_client(url, monkeypatch) as session_class:
        official = session_class(
            session_name="official",
            input_dir=str(study.root / "inputs"),
            output_dir=str(study.root / "outputs"),
            pipeline_id="spectrum/1",
            input_settings={"signal": [str(p) for p in (study.root / "inputs").iterdir()]},
        )
        official.upload_inputs().launch_pipeline().monitor_workflows(refresh_time=1)
        workflows = set(official.workflows)
        assert study.outputs() == {}

        bench.rest()
        assert len(bench.executions()) == 1
        assert sorted(study.outputs()) == ["1/a.mrui.tgz/a.txt", "1/b.mrui.tgz/b.txt"]
        assert study.marker.exists()
        study.drop(c="three")
        bench.rest()
        assert bench.executions()[1:] == [["c.mrui"]]
        assert "a.mrui" in bench.vip_inputs("official")

        Publisher().publish(study.session)
        again = session_class(output_dir=str(study.root / "outputs"))
        assert workflows < set(again.workflows)
        assert len(again.workflows) == 2
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert len(study.outputs()) == 3


def backup(study: Study, **changes: object) -> None:
    """Write a session_data.json as vip-client does."""
    home = "/vip/Home/API/study"
    document = {
        "session_name": "study",
        "pipeline_id": "spectrum/1",
        "local_input_dir": str(study.root / "inputs"),
        "local_output_dir": str(study.root / "outputs"),
        "vip_input_dir": f"{home}/INPUTS",
        "vip_output_dir": f"{home}/OUTPUTS",
        "input_settings": {},
        "workflows": {},
        **changes,
    }
    study.write({"session_data.json": json.dumps(document)}, below="outputs")


def vip_session(bench: Bench) -> None:
    """Put the data of a session without an id on VIP."""
    for name in ("INPUTS", "OUTPUTS"):
        (bench.home / "study" / name).mkdir(parents=True)
    (bench.home / "study" / "INPUTS" / "a.mrui").write_text("one")


def test_a_backup_without_a_marker_is_not_a_deleted_marker(bench: Bench) -> None:
    """vip-client knows no marker: the folder is given one, and nothing is removed."""
    study = bench.study(a="one")
    vip_session(bench)
    backup(study)
    bench.rest()
    bench.run(600)
    assert bench.sessions_on_vip() == ["study"]
    assert study.phase() is Phase.OPEN
    assert study.marker.exists()
    assert bench.executions() == []


def test_a_folder_whose_first_process_was_killed_at_once_is_adopted_by_the_next(
    bench: Bench,
) -> None:
    """The ledger is there, but nobody has written into it yet what the backup tells."""
    study = bench.study(a="one")
    vip_session(bench)
    backup(study)
    folder = SessionFolder(study.root)
    folder.claim("s1")
    Ledger(folder.ledger, Session("s1")).close()
    bench.rest()
    assert study.phase() is Phase.OPEN
    assert bench.executions() == []


def test_a_session_that_no_backup_names_is_not_adopted(bench: Bench) -> None:
    """A marker alone, without our id on VIP, proves nothing: somebody's data are left alone."""
    study = bench.study(a="one")
    vip_session(bench)
    before = bench.vip_files()
    study.marker.write_text("a marker from somewhere else\n")
    bench.rest()
    bench.run(120)
    study.marker.unlink()
    bench.run(600)
    assert bench.vip_files() == before
    assert bench.changes() == []


def test_a_backup_never_names_more_than_one_session(bench: Bench) -> None:
    """Folders of a backup that share a parent with other sessions: the others stay."""
    other = bench.study("other", a="other")
    bench.rest()
    on_vip = bench.vip_files()
    study = bench.study(a="one")
    backup(study, vip_input_dir="/vip/Home/API/in", vip_output_dir="/vip/Home/API/out")
    bench.rest()
    study.marker.unlink(missing_ok=True)
    bench.run(600)
    assert {n: c for n, c in bench.vip_files().items() if n.startswith("other/")} == on_vip
    assert other.marker.exists()


def test_inputs_of_another_session_are_used_by_vip_client_only(bench: Bench) -> None:
    """A backup may name another session's inputs: nothing of ours goes there."""
    bench.study("other", a="other")
    bench.rest()
    on_vip = bench.vip_inputs("other")
    study = bench.study(a="one")
    vip_session(bench)
    backup(study, vip_input_dir="/vip/Home/API/other/INPUTS")
    bench.rest()
    study.drop(b="two")
    bench.rest()
    assert bench.vip_inputs("other") == on_vip
    assert bench.vip_inputs()["b.mrui"] == b"two"


def test_a_backup_of_a_finished_session_launches_nothing_again(bench: Bench) -> None:
    """Everything was removed long ago: what is complete counts as launched, new files do not."""
    study = bench.study(a="one")
    backup(study, workflows={"workflow-abc123": {"status": "Removed", "start": None}})
    bench.rest()
    assert bench.changes() == []
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["b.mrui"]]
    assert bench.vip_inputs() == {"b.mrui": b"two"}


def test_the_backup_of_a_session_whose_ledger_was_lost_is_enough(bench: Bench) -> None:
    """`.vipsync` is gone, marker and session_data.json are there: it goes on as before."""
    study = bench.study(a="one")
    bench.rest()
    Publisher().publish(study.session)
    bench.stop()
    shutil.rmtree(study.root / ".vipsync")
    bench.rest()
    assert study.notices == []
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert len(study.outputs()) == 2


def test_a_backup_that_cannot_be_read_is_left_alone(bench: Bench) -> None:
    """It is no reason to stop, and it is nobody's proof."""
    study = bench.study(a="one")
    study.write({"session_data.json": "{ half"}, below="outputs")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert Path(study.root / "outputs" / "session_data.json").read_text() == "{ half"


def test_a_lost_ledger_and_marker_touch_nothing(bench: Bench) -> None:
    """Neither says whose the data on VIP are: the name is taken, and nothing is removed."""
    study = bench.study(settings=SETTINGS, a="one")
    bench.rest()
    before = bench.vip_files()
    bench.stop()
    shutil.rmtree(study.root / ".vipsync")
    study.marker.unlink()
    bench.rest()
    bench.run(120)
    assert bench.vip_files() == before
    assert study.says("The name is taken")


def test_a_workflow_that_vip_does_not_describe_is_let_go_by_name(bench: Bench) -> None:
    """It blocks the end until a person says that it is gone (facts 5.7)."""
    study = bench.study()
    told: dict[str, object] = {"status": "Finished", "start": None, "outputs": []}
    backup(study, workflows={"workflow-zzzzzz": told})
    (bench.home / "study" / "INPUTS").mkdir(parents=True)
    bench.run(600)
    study.marker.unlink()
    bench.run(6000)
    assert study.phase() is Phase.FINISHING
    assert study.says("VIP does not describe workflow-zzzzzz")
    study.ask("finish", "workflow-zzzzzz")
    bench.run(2000)
    assert (study.phase(), bench.sessions_on_vip()) == (Phase.CLOSED, [])


def somebody_elses(bench: Bench, kind: str) -> str:
    """Let another machine have a session of the same name; return the path of what it put there."""
    path = {
        "results": "OUTPUTS/from-another-machine/b.tgz",
        "an input": "INPUTS/theirs.mrui",
        "a file": "notes.txt",
        "a folder": "raw/scan1.dcm",
        "an input in a folder": "INPUTS/sub-07/scan.mrui",
    }[kind]
    place = bench.home / "study" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("theirs")
    return path


@pytest.mark.parametrize(
    "kind", ["results", "an input", "a file", "a folder", "an input in a folder"]
)
def test_what_nobody_here_can_account_for_keeps_the_session_on_vip(bench: Bench, kind: str) -> None:
    """Two machines had a session of one name: what is the other's goes by a person's word only."""
    study = bench.study(a="one")
    vip_session(bench)
    theirs = somebody_elses(bench, kind)
    backup(study)
    bench.rest()
    study.marker.unlink()
    bench.run(3000)
    assert f"study/{theirs}" in bench.vip_files()
    assert study.phase() is Phase.FINISHING
    assert study.says("nobody here knows whose these are")
    named = next(n for n in study.notices if "nobody here knows" in n.text).remedy
    study.ask("finish", named.partition("--without ")[2].strip("`."))
    bench.run(2000)
    assert (study.phase(), bench.sessions_on_vip()) == (Phase.CLOSED, [])


def test_an_id_that_another_folder_has_is_not_taken(bench: Bench) -> None:
    """It was copied from that folder's files, with its name: the other one's data stay on VIP."""
    study = bench.study(a="one")
    bench.rest()
    thief = bench.study("thief", settings='session_name = "study"\n' + SETTINGS)
    shutil.copy(study.marker, thief.marker)
    bench.until(lambda: thief.trouble())
    assert thief.says("is a copy of")
    thief.marker.unlink()
    bench.run(2000)
    assert bench.sessions_on_vip() == ["study"]
    assert study.trouble() is None


def test_an_id_written_into_another_folder_is_not_taken(bench: Bench) -> None:
    """Also where session.json itself says that the id belongs there."""
    study = bench.study(a="one")
    bench.rest()
    thief = bench.study("thief", settings='session_name = "study"\n' + SETTINGS)
    mine = json.loads((study.root / ".vipsync" / "session.json").read_text())
    (thief.root / ".vipsync").mkdir()
    (thief.root / ".vipsync" / "session.json").write_text(
        json.dumps(mine | {"path": str(thief.root)})
    )
    shutil.copy(study.marker, thief.marker)
    bench.until(lambda: thief.trouble())
    assert thief.says("is a copy of")
    thief.marker.unlink()
    bench.run(2000)
    assert bench.sessions_on_vip() == ["study"]


def test_a_folder_that_is_not_on_vip_holds_nothing_strange(bench: Bench) -> None:
    """It is looked for once, and not again and again."""
    study = bench.study(settings=f"{SETTINGS}\n[finish]\nkeep_input = true\n", a="one")
    vip_session(bench)
    shutil.rmtree(bench.home / "study" / "OUTPUTS")
    backup(study)
    bench.rest()
    study.marker.unlink()
    before = len(bench.world.requests)
    bench.run(2000)
    assert len(bench.world.requests) - before < 200
    assert not study.says("nobody here knows")
