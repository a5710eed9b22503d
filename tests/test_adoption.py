"""Taking over a session that no ledger knows: from its marker, or from vip-client's backup."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.lab.builders import CLOSED, HOME, INPUTS, OUTPUTS, SETTINGS, WALL
from vipsync.folder.adoption import adopted_rows, foreseen, marked_id, take_script_session
from vipsync.folder.folder import SessionFolder
from vipsync.model import ExecutionStatus
from vipsync.record.backup import Backup, Workflow, workflows_of
from vipsync.record.ledger import Ledger, read_state
from vipsync.rows import Followed, Phase, Row, Session, State


def backup(status: str = "Running", **changes: object) -> Backup:
    """Return a backup of vip-client with one workflow."""
    made = Backup(
        session_name="old",
        pipeline_id="Old/2",
        vip_input_dir="/vip/Home/API/old/INPUTS",
        vip_output_dir="/vip/Home/API/old/OUTPUTS",
        workflows={"w1": Workflow(status=status)},
    )
    return msgspec.structs.replace(made, **changes)


def adopted(found: Backup | None, *, marked: bool = False) -> tuple[Session, list[Row]]:
    """Return the session as it is taken over, and its executions."""
    session, *executions = adopted_rows(CLOSED, found, SETTINGS, WALL, marked=marked)
    assert isinstance(session, Session)
    return session, executions


def test_a_marker_alone_stands_for_an_open_session() -> None:
    """Under the name of the settings; its executions are found by their names later."""
    session, executions = adopted(None, marked=True)
    assert (session.phase, session.adopting, session.marked) == (Phase.OPEN, True, True)
    assert (session.home, session.vip_input_dir, session.vip_output_dir) == (HOME, INPUTS, OUTPUTS)
    assert executions == []


def test_a_session_without_a_marker_has_none_to_be_deleted() -> None:
    """That it is not there is no wish to finish."""
    assert not adopted(backup())[0].marked


def test_a_backup_names_the_folder_on_vip_and_the_executions() -> None:
    """Whatever its status was when it was written, VIP is asked again."""
    session, executions = adopted(backup("Finished"))
    assert (session.session_name, session.home) == ("old", "/vip/Home/API/old")
    assert executions == [Followed("w1", "old", "Old/2", ExecutionStatus.UNKNOWN, changed_at=WALL)]


def test_a_session_that_was_removed_is_closed() -> None:
    """All its workflows are Removed: there is nothing to follow, and its cases stay launched."""
    session, executions = adopted(backup("Removed"))
    assert (session.phase, session.adopting) == (Phase.CLOSED, True)
    assert [e.removed for e in executions if isinstance(e, Followed)] == [True]


def test_a_session_without_workflows_is_open() -> None:
    """Its inputs may be on VIP."""
    assert adopted(backup(workflows={}))[0].phase is Phase.OPEN


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/vip/Home/API/old/data/", "/vip/Home/API/old/data"),
        ("/vip/Home/API/old/../other/INPUTS", "/vip/Home/API/old/INPUTS"),
        ("/vip/Home/API/older/INPUTS", "/vip/Home/API/old/INPUTS"),
        ("/vip/EGI (group)/INPUTS", "/vip/Home/API/old/INPUTS"),
        (None, "/vip/Home/API/old/INPUTS"),
    ],
)
def test_inputs_of_another_session_are_not_taken_over(path: str | None, taken: str) -> None:
    """vip-client may use them; here only what lies in the session's own folder is its own."""
    session, _ = adopted(backup(vip_input_dir=path))
    assert (session.home, session.vip_input_dir) == ("/vip/Home/API/old", taken)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Data are on VIP.\n\nsession id: abc123\n", "abc123"),
        ("session id: \n", None),
        ("session id: ../x\n", None),
        ("", None),
        ("deleted by hand\n", None),
    ],
)
def test_a_marker_bears_the_id(tmp_path: Path, text: str, found: str | None) -> None:
    """In a line of its own; what cannot be an id is none."""
    folder = SessionFolder(tmp_path)
    assert marked_id(folder) is None
    folder.marker.write_text(text)
    assert marked_id(folder) == found


def test_a_scripts_ledger_says_that_it_is_adopted_before_it_is_moved(tmp_path: Path) -> None:
    """A kill right after the move must not make the cases of the script launch again."""
    folder = SessionFolder(tmp_path)
    script = SessionFolder(tmp_path / "outputs")
    script.root.mkdir()
    script.claim("s1")
    Ledger(script.ledger, Session("s1")).close()
    take_script_session(folder)
    assert read_state(folder.ledger).session.adopting
    assert not script.hidden.exists()


@pytest.mark.parametrize("status", ["Removed", "Finished", "Killed"])
def test_what_a_backup_tells_of_a_workflow_stays_told(status: str) -> None:
    """When it started and what it returned: of one that was removed, VIP can tell nothing any more."""
    told: dict[str, object] = {"path": "/vip/Home/API/old/OUTPUTS/x/a.tgz"}
    workflow = Workflow(status=status, start="2026/01/31 14:22:05", outputs=[told])
    session, rows = adopted(backup(workflows={"w1": workflow}))
    state = State(session)
    state.put(rows)
    again = workflows_of(state)["w1"]
    assert (again.start, again.outputs) == (workflow.start, [told])
    assert (again.status == "Removed") == (status == "Removed")


def test_a_look_foresees_a_scripts_session_and_moves_nothing(tmp_path: Path) -> None:
    """What the first run will make its own is the folder's for `check` and `plan` already."""
    folder, outputs = SessionFolder(tmp_path), tmp_path / "outputs"
    script = SessionFolder(outputs)
    outputs.mkdir()
    script.claim("s1")
    Ledger(script.ledger, Session("s1")).close()
    session = foreseen(folder, SETTINGS, outputs, WALL).session
    assert (session.id, session.adopting) == ("s1", True)
    assert not read_state(script.ledger).session.adopting
    assert not folder.hidden.exists()


def test_a_look_at_a_folder_with_nothing_to_adopt_foresees_nothing(tmp_path: Path) -> None:
    """It is new."""
    assert foreseen(SessionFolder(tmp_path), SETTINGS, tmp_path / "outputs", WALL).is_new
