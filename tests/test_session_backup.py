"""What a session takes over from an inventory that another program wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.builders import WALL, execution, snapshot
from vipsync.errors import DiskError, PropertyError
from vipsync.model import ExecutionStatus
from vipsync.record.backup import Backup, Workflow, read_backup
from vipsync.rows import Followed
from vipsync.script.backup import (
    OWN_INPUTS,
    local_backup,
    news,
    owns_inputs,
    taken_over,
    workflows_in,
)

OLD = {"e1": Workflow(status="Finished", start="2026/01/31 14:22:05", outputs=[{"path": "/vip/x"}])}
REMOVED = {"e1": Workflow(status="Removed", start="nonsense")}


def test_an_unknown_execution_is_followed() -> None:
    """Its state is asked for again, whatever it was; its start and its outputs are known."""
    (row,) = taken_over(snapshot().state, OLD, "One/1", WALL)
    assert isinstance(row, Followed)
    assert (row.id, row.status, row.returned) == ("e1", ExecutionStatus.UNKNOWN, ("/vip/x",))
    assert row.started is not None
    assert news(snapshot().state, OLD)


def test_a_removed_execution_is_over() -> None:
    """Whether the ledger knew it or not."""
    for state in (snapshot().state, snapshot(execution("e1")).state):
        (row,) = taken_over(state, REMOVED, "One/1", WALL)
        assert isinstance(row, Followed)
        assert row.removed
    assert not news(snapshot().state, REMOVED)


def test_what_the_ledger_knows_stays() -> None:
    """A backup is an export: it changes nothing that is known better."""
    assert taken_over(snapshot(execution("e1")).state, OLD, "One/1", WALL) == []


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    """It would be overwritten; where there is none, all is well."""
    assert local_backup(tmp_path) is None
    for text, error in (("[]", TypeError), ('{"workflows": {}}', TypeError), ("mine", ValueError)):
        (tmp_path / "session_data.json").write_text(text)
        assert read_backup(tmp_path) is None
        with pytest.raises(PropertyError, match="no backup") as caught:
            local_backup(tmp_path)
        assert isinstance(caught.value, error)


def test_a_backup_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """A fault of the disk is one."""
    (tmp_path / "session_data.json").mkdir()
    with pytest.raises(DiskError):
        local_backup(tmp_path)


@pytest.mark.parametrize(
    ("place", "key", "own"),
    [
        ("/vip/Home/API/study/INPUTS", None, True),
        ("/vip/Home/API/study", None, True),
        ("/vip/Home/mine", None, True),
        (None, None, True),
        ("/vip/Home/API/other/INPUTS", None, False),
        ("/vip/Home/API/study-2/INPUTS", None, False),
        ("/vip/Home/API/other/INPUTS", "/vip/Home/API/other/INPUTS", True),
        ("/vip/Home/API/other/INPUTS", "/vip/Home/API/third/INPUTS", False),
    ],
)
def test_a_backup_tells_whose_the_inputs_are(place: str | None, key: str | None, own: bool) -> None:
    """Those in another session's place are that session's, unless the script has said otherwise."""
    keys = {"session_name": "study", "vip_input_dir": place, **({OWN_INPUTS: key} if key else {})}
    assert owns_inputs(Backup.of(keys)) is own


def test_an_inventory_has_statuses() -> None:
    """Anything else is no inventory."""
    assert workflows_in({"e1": {"status": "Running"}})["e1"].status == "Running"
    with pytest.raises(PropertyError):
        workflows_in({"e1": {"state": 3}})
