"""Session folders come to be whole or not at all, and nothing that was there is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.pipelines import CQUEST, pipeline
from vipsync.commands import init
from vipsync.disk.own_files import OwnFiles
from vipsync.errors import DiskError, FolderError, NotASession, SettingsError
from vipsync.folder.folder import SessionFolder
from vipsync.model import PORTAL, RelPath, VipPath
from vipsync.record.ledger import Ledger
from vipsync.rows import Session, Stage
from vipsync.settings.reading import load


def session(root: Path, settings: str = "") -> SessionFolder:
    """Make a session folder that has an id."""
    folder = SessionFolder(root)
    (root / "inputs").mkdir(parents=True)
    (root / "outputs").mkdir()
    folder.settings.write_text(settings)
    folder.claim("first")
    return folder


def test_a_new_folder_says_what_is_to_be_filled_in(tmp_path: Path) -> None:
    """The steps name the parameters that stand empty."""
    made = init.create(tmp_path / "study", CQUEST, PORTAL)
    assert "parameter_file, data_file, zipped_folder" in made.next_steps[0]
    assert len(made.next_steps) == 3
    assert (tmp_path / "study" / "inputs").is_dir()


def test_a_folder_without_a_pipeline_only_uploads(tmp_path: Path) -> None:
    """Its settings are valid as they are."""
    init.create(tmp_path / "my study", None, PORTAL)
    settings = load(tmp_path / "my study", environ={})
    assert (settings.session_name, settings.pipeline_id) == ("my-study", None)


def test_data_beside_inputs_are_told_where_they_belong(tmp_path: Path) -> None:
    """A folder that is full of data becomes a session folder that has none: the first step says so."""
    for name in ("a.mrui", "b.mrui", "c.mrui", "d.mrui", ".hidden"):
        (tmp_path / name).write_text("one")
    made = init.create(tmp_path, None, PORTAL)
    assert made.next_steps[0] == (
        f"Only what lies in {tmp_path / 'inputs'} is used. Move there what the pipeline needs of "
        "what is here now: a.mrui, b.mrui, c.mrui and 1 more."
    )
    assert "Only what" not in init.create(tmp_path / "new", None, PORTAL).next_steps[0]


def test_what_lies_in_the_folder_stays(tmp_path: Path) -> None:
    """A folder with data becomes a session folder around them."""
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "a.mrui").write_text("one")
    init.create(tmp_path, None, PORTAL)
    assert (tmp_path / "inputs" / "a.mrui").read_text() == "one"


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    """A file in the way of outputs/: the folders made before it go again."""
    study = tmp_path / "study"
    study.mkdir()
    (study / "outputs").write_text("a file")
    with pytest.raises(DiskError):
        init.create(study, None, PORTAL)
    assert [p.name for p in study.iterdir()] == ["outputs"]


def test_fresh_moves_and_deletes_nothing(tmp_path: Path) -> None:
    """Marker, backup and ledger are in old-1; results and inputs stay in their place."""
    folder = session(tmp_path / "study")
    exports = ("session_data.json", "results.csv", "index.html", "all-peaks.csv")
    names = ("ON_VIP.txt", "STATUS.txt", *(f"outputs/{name}" for name in exports))
    for name in names:
        (folder.root / name).write_text(name)
    own = OwnFiles(folder.root / "outputs", folder.own_files, folder.root)
    own.write(RelPath("all-peaks.csv"), b"outputs/all-peaks.csv")
    (folder.root / "outputs" / "all-mine.csv").write_text("somebody's")
    (folder.root / "outputs" / "1").mkdir()
    made = init.refresh(folder.root)
    aside = folder.hidden / "old-1"
    for name in names:
        assert not (folder.root / name).exists()
        assert (aside / Path(name).name).read_text() == name
    assert (aside / "session.json").exists()
    assert (folder.root / "outputs" / "1").is_dir()
    assert (folder.root / "outputs" / "all-mine.csv").exists()
    fresh = folder.identity()
    assert fresh is not None
    assert fresh.id != "first"
    assert fresh.id in made.text


def test_fresh_again_goes_into_the_next_folder(tmp_path: Path) -> None:
    """What an earlier one set aside stays where it is."""
    folder = session(tmp_path / "study")
    init.refresh(folder.root)
    init.refresh(folder.root)
    assert (folder.hidden / "old-1" / "session.json").exists()
    assert (folder.hidden / "old-2" / "session.json").exists()
    assert not (folder.hidden / "old-2" / "old-1").exists()


def test_fresh_says_which_data_nobody_will_remove(tmp_path: Path) -> None:
    """A folder that is no copy is the only one that knows of its data on VIP."""
    folder = session(tmp_path / "study")
    home = VipPath("/vip/Home/API/study")
    Ledger(folder.ledger, Session("first", stage=Stage.OPEN, home=home)).close()
    made = init.refresh(folder.root)
    assert "/vip/Home/API/study on VIP nobody removes" in made.next_steps[0]


def test_fresh_leaves_results_that_lie_elsewhere_to_their_session(tmp_path: Path) -> None:
    """Outputs outside of the copy belong to the original too: another folder must be chosen."""
    results = tmp_path / "results"
    results.mkdir()
    (results / "session_data.json").write_text("{}")
    folder = session(tmp_path / "study", f'[outputs]\ndirectory = "{results}"\n')
    with pytest.raises(SettingsError, match="lies outside"):
        init.refresh(folder.root)
    assert (results / "session_data.json").exists()
    assert folder.identity() is not None


def test_fresh_needs_a_session(tmp_path: Path) -> None:
    """A folder without an id has nothing to be told apart from."""
    with pytest.raises(NotASession):
        init.refresh(tmp_path)


def test_a_marker_alone_can_be_adopted(tmp_path: Path) -> None:
    """Settings and .vipsync were lost: the marker still tells of a session."""
    (tmp_path / "ON_VIP.txt").write_text("session id: abc\n")
    made = init.adopt(tmp_path, init.bare_descriptor("CQUEST/0.6"), PORTAL)
    assert "a marker" in made.text
    assert load(tmp_path, environ={}).pipeline_id == "CQUEST/0.6"
    assert (tmp_path / "ON_VIP.txt").exists()


def test_an_output_folder_of_vip_client_is_told_where_to_go(tmp_path: Path) -> None:
    """It is no session folder itself, but the outputs of one."""
    (tmp_path / "session_data.json").write_text('{"session_name": "s"}')
    with pytest.raises(FolderError, match="holds the outputs") as error:
        init.adopt(tmp_path, None, PORTAL)
    assert f"mv {tmp_path} NEW/outputs && vipsync init NEW --adopt" in error.value.remedy
    with pytest.raises(FolderError, match="holds the outputs"):
        init.create(tmp_path, None, PORTAL)
    assert [path.name for path in tmp_path.iterdir()] == ["session_data.json"]


@pytest.mark.parametrize(
    "value", [[], "", [""], None, {}, [["x"]], "data/a.mrui", ["/tmp/a"]], ids=str
)
def test_a_value_that_settings_cannot_hold_stays_a_comment(tmp_path: Path, value: object) -> None:
    """A backup may say anything, and a file that never was on VIP is none of this session."""
    (tmp_path / "outputs").mkdir()
    document = {"session_name": "s", "workflows": {}, "input_settings": {"signal": value}}
    (tmp_path / "outputs" / "session_data.json").write_text(json.dumps(document))
    init.adopt(tmp_path, pipeline("Spectrum", "signal:File", "out=a.tgz"), PORTAL)
    assert load(tmp_path, environ={}).input_settings == {"signal": "*"}
