"""session_data.json: what vip-client writes is read, and what is written vip-client opens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.builders import CLOSED, INPUTS, OPEN, OUTPUTS, execution, launched, result
from vipsync.model import ExecutionStatus, replace
from vipsync.names import BACKUP
from vipsync.record.backup import (
    Backup,
    Places,
    exported,
    read_backup,
    text_of,
    with_unknown_keys,
)
from vipsync.rows import LaunchStatus, Row, Session, State

EIGHT = [
    "session_name",
    "pipeline_id",
    "local_input_dir",
    "local_output_dir",
    "vip_input_dir",
    "vip_output_dir",
    "input_settings",
    "workflows",
]
PLACES = Places(Path("/data/in"), Path("/data/out"), "study", "One/1")


def written(*rows: Row, session: Session = OPEN) -> dict[str, object]:
    """Return the document for a ledger with these rows."""
    state = State(session)
    state.put(rows)
    document = json.loads(text_of(exported(state, PLACES)))
    assert isinstance(document, dict)
    return document


def test_there_are_always_the_eight_keys() -> None:
    """In vip-client's order, also before anything happened."""
    assert list(written(session=CLOSED)) == EIGHT
    assert list(written(launched("a.dat", "one"), execution(), result())) == EIGHT


@pytest.mark.parametrize(
    "place", ["/data/out", "/d\u00e9j\u00e0 vu \u2028", "/no text \udcff", '/{"a": [ ]}']
)
def test_the_text_is_as_vip_client_writes_it(place: str) -> None:
    """Whatever the places are called."""
    state = State(OPEN)
    state.put([launched("a.dat", "one"), execution(), result()])
    backup = exported(state, replace(PLACES, outputs=Path(place)))
    assert text_of(backup) == json.dumps(backup.document(), indent=4) + "\n"


def test_places_here_and_there_are_told() -> None:
    """Those of this machine, and the pinned ones on VIP."""
    found = written()
    assert [found[key] for key in EIGHT[:6]] == [
        "study",
        "One/1",
        "/data/in",
        "/data/out",
        INPUTS,
        OUTPUTS,
    ]


def test_an_execution_is_a_workflow_with_its_results() -> None:
    """Status, start in local time, and its files on VIP."""
    found = written(execution(started=0.0), result("b.csv"), result("a.csv"))
    (workflow,) = found["workflows"].values()  # type: ignore[attr-defined]
    assert workflow["status"] == "Finished"
    assert len(workflow["start"]) == len("1970/01/01 00:00:00")
    assert [Path(out["path"]).name for out in workflow["outputs"]] == ["a.csv", "b.csv"]
    assert workflow["outputs"][0] == {
        "path": f"{OUTPUTS}/e1/a.csv",
        "isDirectory": False,
        "size": 10,
        "exists": True,
    }


def test_removed_executions_are_told_in_the_client_s_word() -> None:
    """So that it does not look for them."""
    (workflow,) = written(execution(removed=True))["workflows"].values()  # type: ignore[attr-defined]
    assert workflow["status"] == "Removed"


def test_the_settings_are_those_of_the_last_launch() -> None:
    """One value as itself, several as a list; a launch that did not start does not count."""
    first = launched("a.dat", "one", name="1", at=1.0)
    last = replace(first, name="2", at=2.0, values={"data": ("x", "y"), "table": ("t",)})
    never = replace(last, name="3", at=3.0, values={}, status=LaunchStatus.REFUSED)
    assert written(first, last, never)["input_settings"] == {"data": ["x", "y"], "table": "t"}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """The same values come back."""
    state = State(OPEN)
    state.put([execution(), result()])
    (tmp_path / BACKUP).write_text(text_of(exported(state, PLACES)))
    found = read_backup(tmp_path)
    assert found
    assert found.document() == json.loads(text_of(exported(state, PLACES)))


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"workflows": {}}', '{"session_name": 3}'])
def test_what_is_no_backup_is_none(tmp_path: Path, text: str | None) -> None:
    """Missing, torn, or of another shape."""
    if text is not None:
        (tmp_path / BACKUP).write_text(text)
    assert read_backup(tmp_path) is None


def test_what_the_client_wrote_is_read(tmp_path: Path) -> None:
    """With workflows that have no outputs yet, and keys of later versions."""
    (tmp_path / BACKUP).write_text(
        json.dumps(
            {
                "session_name": "old",
                "pipeline_id": None,
                "workflows": {"w1": {"status": "Running", "start": "2026/01/31 14:22:05"}},
                "another": 1,
            }
        )
    )
    found = read_backup(tmp_path)
    assert found
    assert isinstance(found, Backup)
    assert (found.session_name, found.workflows["w1"].outputs) == ("old", [])


def test_vip_client_opens_it(tmp_path: Path) -> None:
    """The released client restores the session from this very file."""
    client = pytest.importorskip("vip_client.classes.VipSession")
    state = State(OPEN)
    running = execution("e2", ExecutionStatus.RUNNING)
    state.put([launched("a.dat", "one"), execution(), running, result()])
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    outputs.mkdir()
    places = replace(PLACES, inputs=inputs, outputs=outputs)
    (outputs / BACKUP).write_text(text_of(exported(state, places)))
    session = client.VipSession(output_dir=str(outputs), verbose=False)
    assert (session.session_name, session.pipeline_id) == ("study", "One/1")
    assert set(session.workflows) == {"e1", "e2"}
    assert session.input_settings == {"data": f"{INPUTS}/a.dat"}


def other_program(workflows: dict[str, object], name: str = "study", **keys: object) -> Backup:
    """Return a backup as another program left it."""
    return Backup.of({"session_name": name, "workflows": workflows, **keys})


def test_what_others_keep_in_the_backup_stays() -> None:
    """At its top and in each workflow; what is ours is as it is now, and their other workflows go."""
    state = State(OPEN)
    state.put([execution("e1"), execution("e2")])
    before = other_program(
        {"e1": {"status": "Running", "note": ["good"]}, "gone": {"status": "Killed", "note": "x"}},
        pipeline_id="Old/1", lab={"room": 3}, note=None,
    )  # fmt: skip
    found = with_unknown_keys(exported(state, PLACES), before).document()
    assert list(found) == [*EIGHT, "lab", "note"]
    assert (found["pipeline_id"], found["lab"], found["note"]) == ("One/1", {"room": 3}, None)
    assert found["workflows"]["e1"]["status"] == "Finished"
    assert found["workflows"]["e1"]["note"] == ["good"]
    assert found["workflows"].keys() == {"e1", "e2"}
    assert "note" not in found["workflows"]["e2"]


def test_what_is_kept_of_another_session_does_not_come_along() -> None:
    """A folder may have held the outputs of another one before."""
    backup = exported(State(OPEN), PLACES)
    assert with_unknown_keys(backup, other_program({}, "other", lab=1)) == backup
    assert with_unknown_keys(backup, None) == backup
