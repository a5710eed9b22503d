"""A station and the privacy gate: whoever the scanner names reaches neither VIP, nor a name, nor a log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench import Bench
from tests.lab.dicom import series
from tests.lab.stations import TEMPLATE, Station, station
from vipsync import VipSession
from vipsync.record.backup import read_backup
from vipsync.station.steps import StudyState
from vipsync.status.publish import Publisher

GATED = TEMPLATE.partition("\n[privacy]")[0]
NAMES = ("smith", "john", "doe", "jane")

CLEAN = """
import sys, pathlib, pydicom
study, inputs = map(pathlib.Path, sys.argv[1:3])
for number, path in enumerate(sorted(p for p in study.rglob("*") if p.is_file())):
    image = pydicom.dcmread(path)
    for tag in ("PatientName", "PatientID", "PatientBirthDate"):
        setattr(image, tag, "")
    image.ImageComments = {comment}
    image.save_as(inputs / f"{number:04}.dcm")
"""


@pytest.fixture(autouse=True)
def _private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPSYNC_DATA", str(tmp_path / "private"))


def everything_told(made: Station, bench: Bench, log: str) -> list[str]:
    """Return what others can see: on VIP, in names of the station, in its words and its sessions'."""
    words = [
        path.read_bytes().decode("utf-8", "replace")
        for path in made.root.rglob("*")
        if path.is_file() and path.suffix in (".txt", ".csv", ".json", ".log")
    ]
    names = [str(path.relative_to(made.root)) for path in made.root.rglob("*")]
    on_vip = [f"{name} {content!r}" for name, content in bench.vip_files().items()]
    asked = [str(request.path) for request in bench.world.requests]
    started = [str(execution.submission) for execution in bench.started()]
    return [*words, *names, *on_vip, *asked, *started, log, made.reasons()]


def leaks(told: list[str]) -> list[str]:
    """Return what names somebody."""
    return [text[:200] for text in told if any(name in text.lower() for name in NAMES)]


@pytest.mark.parametrize("take", ['"point"', '"copy"'])
def test_a_study_that_names_somebody_is_not_sent(bench: Bench, caplog: Any, take: str) -> None:
    """Its state says which fields, and nobody's name is told anywhere."""
    caplog.set_level("INFO", "vipsync")
    made = station(bench, template=GATED, take=take)
    series(made.export / "SMITH_JOHN", 1, 1)
    series(made.export / "DOE_JANE", 2, 1, person="DOE^JANE")
    bench.rest()
    assert set(made.states().values()) == {StudyState.NEEDS}
    assert "PatientName" in made.reasons()
    assert made.exit_code() == 3
    assert made.started() == []
    assert leaks(everything_told(made, bench, caplog.text)) == []


@pytest.mark.parametrize("take", ['"point"', '"copy"'])
def test_results_that_are_handed_on_name_no_folder_of_the_export(bench: Bench, take: str) -> None:
    """session_data.json names the session's own inputs/, which a script can take up."""
    bench.publish = Publisher().publish
    made = station(bench, take=take)
    made.write("SMITH_JOHN", {"1.rda": "one"})
    bench.rest()
    assert made.states() == {"S0001": StudyState.DONE}
    assert leaks(everything_told(made, bench, "")) == []
    session = made.session("S0001").settings.parent
    backup = read_backup(session / "outputs")
    assert backup is not None
    assert backup.local_input_dir == str(session / "inputs")
    assert VipSession(output_dir=session / "outputs").local_input_dir == str(session / "inputs")


def test_what_nobody_can_read_is_not_sent_until_a_person_says_what_it_is(bench: Bench) -> None:
    """In a session of one's own it would only be told."""
    made = station(bench, template=GATED)
    made.write("EXAM1", {"raw.job0": "\x00\x01 of some scanner"})
    bench.rest()
    assert made.states() == {"S0001": StudyState.NEEDS}
    assert made.started() == []
    settings = made.session("S0001").settings
    read = "must_read = true\n"
    settings.write_text(settings.read_text().replace(read, f'{read}plain = ["*.job0"]\n'))
    bench.run(120)
    bench.rest()
    assert made.started() == ["S0001"]


def test_what_a_sites_own_tool_has_cleaned_is_sent(
    bench: Bench, caplog: Any, tmp_path: Path
) -> None:
    """Under names of its own; nobody is named in what goes to VIP."""
    caplog.set_level("INFO", "vipsync")
    script = tmp_path / "clean.py"
    script.write_text(CLEAN.replace("{comment}", "''"))
    command = f'["{sys.executable}", "{script}", "{{study}}", "{{inputs}}"]'
    made = station(bench, template=GATED, prepare=command)
    series(made.export / "SMITH_JOHN", 1, 1)
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.states() == {"S0001": StudyState.DONE}
    assert leaks(everything_told(made, bench, caplog.text)) == []


def test_a_tool_that_leaves_a_name_is_found_out(bench: Bench, caplog: Any, tmp_path: Path) -> None:
    """It empties the fields of the name, and a comment still has it: nothing of it is sent."""
    caplog.set_level("INFO", "vipsync")
    script = tmp_path / "clean.py"
    script.write_text(CLEAN.replace("{comment}", "'John Smith was nervous'"))
    command = f'["{sys.executable}", "{script}", "{{study}}", "{{inputs}}"]'
    made = station(bench, template=GATED, prepare=command)
    series(made.export / "SMITH_JOHN", 1, 1)
    bench.run(900)
    assert made.states() == {"S0001": StudyState.HELD}
    assert "PatientName" in made.reasons()
    assert made.started() == []
    assert leaks(everything_told(made, bench, caplog.text)) == []
