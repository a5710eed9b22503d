"""`vipsync privacy`: what names somebody, by field; its values on a terminal alone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.scans import dicom, rda
from tests.lab.served import ROOT, Caller, Served, serve
from vipsync.settings.reading import parse

UPLOAD = 'session_name = "{name}"\n[inputs]\nsettle = "100ms"\n'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture
def call(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Caller:
    return Caller(served, monkeypatch, capsys)


@pytest.fixture
def study(served: Served, request: pytest.FixtureRequest) -> Path:
    """Make a folder that uploads two files which name somebody, and one that nobody knows."""
    made = served.study(f"s-{abs(hash(request.node.name))}", settings=UPLOAD)
    (made / "inputs" / "a").mkdir()
    (made / "inputs" / "a" / "1.dcm").write_bytes(dicom(PatientName="Smith^[J]ohn"))
    (made / "inputs" / "2.rda").write_bytes(rda(PatientName="Dupont^Zoé", PatientID="4711-0815"))
    (made / "inputs" / "notes.txt").write_text("x")
    return made


def on_a_terminal(*words: object, columns: int = 400) -> str:
    """Return what the command says on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "vipsync", "privacy", *map(str, words)],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": f"{columns}"},
    ):
        os.close(theirs)
        said = b""
        with open(ours, "rb", buffering=0) as out:  # noqa: PTH123  # a number, no path
            try:
                while some := out.read(1 << 16):
                    said += some
            except OSError:  # the other side is closed
                pass
    return said.decode()


def test_fields_are_counted_and_no_value_is_shown(call: Caller, study: Path) -> None:
    """What goes into a file, a log or an e-mail of cron holds none."""
    said = call("privacy", study, environ={"FORCE_COLOR": "1"})
    assert said.code == 3
    assert "Looked into 3 files: 1 DICOM, 1 Siemens rda." in said.out
    assert "PatientName: 2 times" in said.out
    assert "The values are shown on a terminal only." in said.out
    assert "its format is not known: 1 file" in said.out
    assert "Not checked: faces, pixels, the meaning of free text." in said.out
    assert not [value for value in ("smith", "dupont", "4711") if value in said.out.lower()]


def test_what_must_be_read_is_named_where_it_could_not_be(call: Caller, study: Path) -> None:
    """Each line that counts files or values says of what: a file that was read is counted by its fields alone."""
    settings = study / "settings.toml"
    settings.write_text(f"{settings.read_text()}\n[privacy]\nmust_read = true\n")
    said = call("privacy", study)
    refused = said.out.partition("Not sent:\n")[2].partition("\nFilled")[0]
    names = [line.partition(":")[0].strip() for line in refused.splitlines()[:3]]
    assert names == ["PatientID", "PatientName", "its format is not known"]


def test_values_are_shown_on_a_terminal(study: Path) -> None:
    """With the files in which each is."""
    said = on_a_terminal(study)
    assert "'Smith^[J]ohn' (1)" in said
    assert "'Dupont^Zoé' (1)" in said


def test_what_is_to_be_pasted_lets_everything_through(call: Caller, study: Path) -> None:
    """The lines are valid, fit these values alone, and nothing is refused with them."""
    said = on_a_terminal(study).replace("\r\n", "\n")
    lines = said[said.index("[privacy]") :]
    assert "PatientName" in tomllib.loads(lines)["privacy"]["accept"]
    settings = study / "settings.toml"
    settings.write_text(f"{settings.read_text()}\n{lines}")
    assert call("privacy", study).code == 0


HEADS = {
    "a bare head, as a new folder has": "[privacy]\n",
    "values accepted before": '[privacy]\naccept = { PatientName = ["SUB *"] }\nstrict = false\n',
    "a table of their own": '[privacy]\n[privacy.accept]\nPatientName = ["SUB *"]\n',
}


@pytest.mark.parametrize("head", HEADS)
def test_what_is_to_be_pasted_fits_the_settings_there_are(
    call: Caller, study: Path, head: str
) -> None:
    """No second [privacy], what was accepted stays accepted, and no line is folded on 80 columns."""
    settings = study / "settings.toml"
    settings.write_text(f"{settings.read_text()}\n{HEADS[head]}")
    said = on_a_terminal(study, columns=80).replace("\r\n", "\n")
    words = " ".join(said[said.index("Where these are") :].split())
    assert "write this under [privacy] in settings.toml" in words
    assert ("in place of what it says of accept:" in words) == ("SUB" in HEADS[head])
    (line,) = [line for line in said.splitlines() if line.startswith("accept = ")]
    assert len(line) > 80
    assert ("SUB *" in line) == ("SUB" in HEADS[head])
    kept = [x for x in settings.read_text().splitlines() if "accept" not in x and "SUB" not in x]
    settings.write_text("\n".join([*kept, line, ""]))
    assert call("privacy", study).code == 0


def test_a_field_that_may_go_needs_its_reason(call: Caller, study: Path) -> None:
    """Where no pattern can be given, the line asks for a reason before it counts."""
    said = call("privacy", study).out
    lines = said[said.index("[privacy]") :]
    with pytest.raises(ValueError, match="needs a reason"):
        parse(lines.encode(), "x")


@pytest.mark.parametrize("path", ["a", "inputs/a", "a/1.dcm"])
def test_one_file_or_folder_can_be_named(call: Caller, study: Path, path: str) -> None:
    """By its path below inputs/, below the folder, or as the shell completes it."""
    assert "Looked into 1 file: 1 DICOM." in call("privacy", study, path).out


def test_what_lies_elsewhere_is_not_looked_into(call: Caller, study: Path) -> None:
    """Only inputs go to VIP."""
    said = call("privacy", study, "settings.toml")
    assert said.code == 1
    assert "Name a file or folder inside inputs/." in said.err


def test_nothing_is_changed_or_asked(call: Caller, served: Served, study: Path) -> None:
    """No ledger, no lock, no word to VIP."""
    before, asked = sorted(study.rglob("*")), len(served.world.requests)
    call("privacy", study)
    assert (sorted(study.rglob("*")), len(served.world.requests)) == (before, asked)


@pytest.mark.parametrize("command", ["check", "plan", "status"])
def test_other_commands_tell_fields_and_numbers(call: Caller, served: Served, command: str) -> None:
    """No value, also where a file is called by one; the exit code says that a person is needed."""
    study = served.study(f"t-{command}")
    (study / "inputs" / "1.mrui").write_bytes(rda(PatientName="Smith^John"))
    (study / "inputs" / "SMITH_JOHN.mrui").write_text("x")
    (study / "inputs" / "clear.mrui").write_text("y")
    if command == "status":
        assert call("run", "--once", study).code == 3
    said = call(command, study)
    assert said.code == 3
    assert (
        "2 files are not sent: PatientName in 1 file; a part of PatientName in a path." in said.out
    )
    assert "smith" not in said.out.lower().replace(str(study).lower(), "")
    assert "1 file of unknown kind" in said.out or command == "plan"
