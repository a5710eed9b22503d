"""What a script's session says of inputs that name somebody, and how it refuses them."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.lab.pipelines import written
from tests.lab.scans import rda
from tests.lab.scripts import Scripts
from vipsync import VipSession
from vipsync.errors import InputsMissing, InputsRefused
from vipsync.record.backup import Backup
from vipsync.script.backup import PRIVACY, save_here

NAMED = rda(PatientName="Smith^John", PatientID="4711-0815")


def told(scripts: Scripts) -> list[str]:
    """Return what was said of privacy."""
    return [text for text in scripts.said if "name somebody" in text]


@pytest.fixture
def named(scripts: Scripts) -> Path:
    """Put a file into the data set that names somebody."""
    path = scripts.data / "a.mrui"
    path.write_bytes(NAMED)
    return path


def test_inputs_that_name_somebody_are_told_in_one_line_and_go(
    scripts: Scripts, named: Path
) -> None:
    """Fields and numbers, no value; the script goes on as it did with vip-client."""
    scripts.ready().upload_inputs()
    assert told(scripts) == [
        "(!) 1 file may name somebody: PatientID, PatientName in 1 file. "
        "It is a.mrui, and is sent all the same. VIP's terms ask for inputs that name nobody."
    ]
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]


def test_the_first_three_are_named_and_no_more(scripts: Scripts) -> None:
    """One that is called as somebody is named by its place alone."""
    (scripts.data / "smith_john").mkdir()
    for name in ("1", "2", "3", "smith_john/0"):
        (scripts.data / f"{name}.mrui").write_bytes(NAMED)
    scripts.ready().upload_inputs()
    (text,) = told(scripts)
    assert "They are 1.mrui, 2.mrui, 3.mrui and 1 more, and are sent all the same." in text


def test_a_silent_session_warns_of_them(
    scripts: Scripts, named: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody would know otherwise; Python shows it on stderr where nobody listens."""
    scripts.ready(verbose=False).upload_inputs()
    (record,) = caplog.records
    assert "1 file may name somebody: PatientID, PatientName in 1 file" in record.getMessage()
    assert scripts.said == []


def test_inputs_that_name_nobody_are_not_worth_a_word(scripts: Scripts) -> None:
    """And nothing is said of what nobody understands."""
    scripts.ready().upload_inputs()
    assert told(scripts) == []


def test_what_is_there_is_not_told_again(scripts: Scripts, named: Path) -> None:
    """Only what goes up is looked at."""
    session = scripts.ready().upload_inputs()
    scripts.said.clear()
    session.upload_inputs()
    assert told(scripts) == []


def test_a_strict_session_raises_before_anything_is_sent(scripts: Scripts, named: Path) -> None:
    """With fields and files; VIP does not even hear of the session, and has no file of it."""
    session = scripts.ready(privacy="refuse")
    with pytest.raises(InputsRefused, match=r"PatientName in 1 file.*It is a\.mrui\.") as caught:
        session.run_session()
    assert isinstance(caught.value, ValueError)
    assert "b.mrui" not in str(caught.value)
    assert scripts.changes() == []
    assert scripts.on_vip() == []


def test_no_value_is_in_the_error_also_where_it_is_a_name(scripts: Scripts) -> None:
    """A file that is called as somebody is named by its place alone."""
    (scripts.data / "smith_john").mkdir()
    (scripts.data / "smith_john" / "a.mrui").write_bytes(NAMED)
    with pytest.raises(InputsRefused) as caught:
        scripts.ready(privacy="refuse").upload_inputs()
    assert "a part of PatientName in a path" in str(caught.value)
    assert "…/a.mrui" in str(caught.value)
    assert "smith" not in str(caught.value).lower()


def test_a_strict_session_sends_what_names_nobody(scripts: Scripts) -> None:
    """Once the values are out of it, everything runs."""
    (scripts.data / "a.mrui").write_bytes(rda())
    scripts.ready(privacy="refuse").run_session()
    assert len(scripts.started()) == 1


def test_another_word_for_privacy_is_refused(scripts: Scripts) -> None:
    """It would be taken for a protection that is none."""
    with pytest.raises(ValueError, match="'tell' or 'refuse'"):
        scripts.session(privacy="strict")


def test_a_strict_session_stays_strict_for_the_script_that_resumes_it(
    scripts: Scripts, named: Path
) -> None:
    """Its backup says so; whoever opens it by name alone has not to say it again."""
    with pytest.raises(InputsRefused):
        scripts.ready(privacy="refuse").upload_inputs()
    for _ in range(2):
        resumed = scripts.session()
        with pytest.raises(InputsRefused):
            resumed.upload_inputs()
    assert scripts.on_vip() == []


def test_only_a_script_that_says_so_makes_a_strict_session_tell(
    scripts: Scripts, named: Path
) -> None:
    """And then that is what is kept."""
    with pytest.raises(InputsRefused):
        scripts.ready(privacy="refuse").upload_inputs()
    scripts.session(privacy="tell").upload_inputs()
    assert scripts.on_vip() == ["study/INPUTS/a.mrui", "study/INPUTS/b.mrui"]
    assert scripts.session().privacy == "tell"


def test_a_strict_session_whose_backup_lies_on_vip_stays_strict(
    scripts: Scripts, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second place of backups holds it as well."""
    monkeypatch.setattr(VipSession, "_BACKUP_LOCATION", "vip")
    named.write_bytes(rda())
    scripts.ready(privacy="refuse").upload_inputs()
    named.write_bytes(NAMED)
    shutil.rmtree(scripts.root / "vip_outputs")
    with pytest.raises(InputsRefused):
        scripts.session().upload_inputs()


@pytest.mark.parametrize("word", ["refuse", "strict", None, ["tell"]])
def test_a_backup_with_another_word_for_privacy_is_strict(scripts: Scripts, word: object) -> None:
    """It says that names matter, in whatever words."""
    backup = Backup("study", others={PRIVACY: word})
    save_here(scripts.root / "vip_outputs" / "study", backup)
    assert scripts.session().privacy == "refuse"


# what a script sends beside its files

BESIDE = written("model", "signal:File subject:String? number:String?", "fit=[signal].tgz")
NAMING: dict[str, dict[str, Any]] = {
    "input_settings['subject']": {"subject": "SmithJohn"},
    "input_settings['number']": {"number": 47110815},
    "input_settings['signal']": {"signal": ["data/b.mrui", "/vip/Home/smith_john.mrui"]},
    "session_name": {"name": "smith-2026"},
    "vip_output_dir": {"vip_output_dir": "/vip/Home/API/smith_john/OUTPUTS"},
}
PLACES = ("name", "vip_output_dir")


def modelling(scripts: Scripts, privacy: str = "tell", **values: Any) -> VipSession:
    """Return a session of a pipeline that takes texts."""
    scripts.world.pipelines.add(BESIDE)
    places = {name: values.pop(name) for name in PLACES if name in values}
    values.setdefault("signal", ["data/b.mrui"])
    return scripts.session(
        places.pop("name", "study"),
        input_dir="data",
        pipeline_id="model/1",
        input_settings=values,
        privacy=privacy,
        **places,
    )


@pytest.mark.parametrize("where", NAMING)
def test_what_goes_beside_files_is_compared_with_whom_they_name(
    scripts: Scripts, named: Path, where: str
) -> None:
    """One line, when it is first known, with the field, the place and the file; no value."""
    session = modelling(scripts, **NAMING[where])
    session.upload_inputs()
    before = len(scripts.said)
    said = [text for text in scripts.said if "goes to VIP" in text]
    field = "PatientID" if "number" in where else "PatientName"
    assert said == [
        f"(!) What goes to VIP may name somebody: a part of {field} in {where}, as in a.mrui. "
        "It is sent all the same. VIP's terms ask for inputs that name nobody."
    ]
    with suppress(InputsMissing):
        session.launch_pipeline()
    assert not [text for text in scripts.said[before:] if "goes to VIP" in text]


@pytest.mark.parametrize("where", NAMING)
@pytest.mark.parametrize("known", [True, False])
def test_a_strict_session_starts_nothing_with_a_text_that_names_somebody(
    scripts: Scripts, named: Path, where: str, known: bool
) -> None:
    """Whatever lies on VIP already, and whoever sent it; fields and files are named, no value."""
    modelling(scripts, **NAMING[where]).upload_inputs()
    if not known:  # as when another tool sent the files
        for hidden in (scripts.root / "vip_outputs").glob("*/.vipsync"):
            shutil.rmtree(hidden)
    before = scripts.changes()
    with pytest.raises(InputsRefused, match=re.escape(f"in {where}, as in a.mrui")) as caught:
        modelling(scripts, "refuse", **NAMING[where]).launch_pipeline()
    assert "smith" not in str(caught.value).lower()
    assert scripts.started() == []
    assert scripts.changes() == before


def test_a_text_of_a_launch_alone_is_compared_too(scripts: Scripts, named: Path) -> None:
    """It was not known when the files went up."""
    session = modelling(scripts).upload_inputs()
    assert not scripts.says("goes to VIP")
    del session.input_settings
    settings = {"signal": ["data/b.mrui"], "subject": ["x1", "John SMITH"]}
    session.launch_pipeline(input_settings=settings)
    assert scripts.says("a part of PatientName in input_settings['subject'], as in a.mrui")
    assert len(scripts.started()) == 1


@pytest.mark.parametrize("subject", ["sub-0001", "Smi", "press", "30"])
def test_a_text_that_names_nobody_is_not_worth_a_word(
    scripts: Scripts, named: Path, subject: str
) -> None:
    """Neither a pseudonym nor a word that is too short to say anything."""
    modelling(scripts, subject=subject).upload_inputs().launch_pipeline()
    assert not scripts.says("goes to VIP")
