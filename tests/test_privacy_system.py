"""Nothing that the gate can know of a person reaches VIP: neither in files nor in names, and by no way."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.lab import scans
from tests.lab.archives import tar, tgz
from tests.lab.bench import Bench, Embedded, Study
from tests.lab.pipelines import written
from tests.lab.scripts import Scripts
from tests.lab.served import Caller, serve
from vipsync.errors import InputsRefused
from vipsync.record.ledger import read_state
from vipsync.rows import Phase
from vipsync.status.publish import Publisher

PERSON: dict[str, Any] = {
    "PatientName": "O'Brien^Zoé Müller",
    "PatientID": "PAT-47110815",
    "PatientBirthDate": "19700131",
}
SIGNS = ("brien", "zoe", "müller", "muller", "47110815", "19700131", "31011970", "1970-01-31")
"""What must not be found, in small letters; each way to write it is tried in several encodings."""


def nested() -> Dataset:
    """Return a data set in which a name lies deep, and in a private sequence."""
    inner = scans.dataset(ScheduledPerformingPhysicianName=PERSON["PatientName"])
    block = (made := Dataset()).private_block(0x0029, "A VENDOR", create=True)
    block.add_new(0x10, "SQ", [scans.dataset(RequestAttributesSequence=[inner])])
    return made


FIELDS: dict[str, bytes] = {
    "dicom": scans.dicom(**PERSON),
    "dicom, a name deep in a private sequence": scans.dicom(nested()),
    "dicom, the birth date alone": scans.dicom(PatientBirthDate=PERSON["PatientBirthDate"]),
    "dicom, which says that it was de-identified": scans.dicom(
        PatientIdentityRemoved="YES", PatientBirthDate=PERSON["PatientBirthDate"]
    ),
    "rda": scans.rda(**PERSON),
    "SPAR": scans.spar(**PERSON),
    "PAR": scans.par(**PERSON),
    "PAR as XML": scans.philips_xml(**PERSON),
    "twix VB": scans.twix(**PERSON),
    "twix VD": scans.twix(2, **PERSON),
    "P-file": scans.pfile(**PERSON),
    "Bruker": scans.bruker(**PERSON),
    "jMRUI": scans.mrui_text(**PERSON),
    "sidecar": scans.sidecar(**PERSON),
    "zip": scans.zipped({"a/1.rda": scans.rda(**PERSON)}),
    "tgz": tgz({"a/1.rda": scans.rda(**PERSON)}),
    "tar in a zip": scans.zipped({"a.tar": tar({"1.rda": scans.rda(**PERSON)})}),
    "gz": gzip.compress(scans.rda(**PERSON)),
}
"""A file of each format, as nobody should send it."""

SETTINGS = """\
pipeline_id = "Who/1"
portal = "https://vip.test"

[input_settings]
signal = "**/*.mrui"
"""
ACCEPTED = """
[privacy]
accept = { PatientName = ["O'Brien*"], PatientID = ["PAT-*"], PatientBirthDate = ["1970*"] }
"""


def leaks(world: Embedded, *signs: str) -> list[str]:
    """Return what the embedded VIP holds of a person: files, names, records, requests."""
    world.world.settle()
    files = sorted(world.world.root.rglob("*"))
    held = {str(p.relative_to(world.world.root)): p.read_bytes() for p in files if p.is_file()}
    names = "\n".join(str(p.relative_to(world.world.root)) for p in files)
    asked = "\n".join(repr(request) for request in world.world.requests)
    started = "\n".join(repr(e.submission) for e in world.world.executions.all())
    held |= {"names": names.encode(), "requests": asked.encode(), "executions": started.encode()}
    wanted = [(sign, raw) for sign in signs or SIGNS for raw in _encoded(sign)]
    found = ((sign, name) for name, c in held.items() for sign, raw in wanted if raw in _low(c))
    return sorted({f"{sign} in {name}" for sign, name in found})


def _low(content: bytes) -> bytes:
    return content.lower().replace(b"_", b"-")


def _encoded(sign: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        yield sign.encode(encoding)
    yield unicodedata.normalize("NFD", sign).encode()


def inside(folder: Path, *, but: str) -> str:
    """Return all that vipsync wrote into a folder, as text: state, tables, logs, rows."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and not path.is_relative_to(folder / but)
            and path.name != "settings.toml"
        ):
            texts.append(path.read_bytes().decode("latin-1"))
    with sqlite3.connect(folder / ".vipsync" / "ledger.sqlite") as ledger:
        texts += ledger.iterdump()
    return "\n".join(texts)


@pytest.fixture
def told(bench: Bench) -> Bench:
    """Return a world in which each folder says how it is."""
    publishers: dict[Path, Publisher] = {}
    bench.publish = lambda s: publishers.setdefault(s.folder.root, Publisher()).publish(s)
    bench.world.pipelines.add(written("Who", "signal:File who:String?", "fit=[signal].tgz"))
    return bench


@pytest.mark.parametrize("kind", FIELDS)
def test_no_value_of_a_header_reaches_vip(told: Bench, kind: str) -> None:
    """In each format, whatever the file is called; what names nobody goes, and runs."""
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": FIELDS[kind], "2.mrui": scans.rda()})
    told.rest()
    assert told.vip_inputs() == {"2.mrui": scans.rda()}
    assert told.jobs() == [1]
    assert leaks(told) == []
    assert study.says("1 file is not sent")


@pytest.mark.parametrize("kind", ["dicom", "rda", "zip", "twix VD"])
def test_with_the_policy_that_accepts_them_everything_runs(told: Bench, kind: str) -> None:
    """What a person says to be pseudonyms goes; and this test can find what it looks for."""
    study = told.study(settings=f"{SETTINGS}{ACCEPTED}")
    study.write({"1.mrui": FIELDS[kind]})
    told.rest()
    assert told.jobs() == [1]
    assert kind == "zip" or leaks(told) != []
    assert not study.says("not sent")
    text = (study.root / "STATUS.txt").read_text()
    assert "Checked 1 file: accepted by settings.toml: Patient" in text
    assert "in 1 file; no other field that may name a person is filled" in text


def test_status_agrees_with_vip_only_where_nothing_is_asked(told: Bench) -> None:
    """Something is left to do while a file is not sent; no longer once it lies elsewhere."""
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": FIELDS["rda"], "2.mrui": scans.rda()})
    told.rest()
    status = study.root / "STATUS.txt"
    assert "1 file is not sent" in status.read_text()
    assert "Or mend the file, or move it out of inputs/." in status.read_text()
    assert "nothing was left to do" not in status.read_text()
    (study.root / "inputs/1.mrui").rename(study.root.parent / "1.mrui")
    study.notice()
    told.rest()
    assert "nothing was left to do" in status.read_text()
    assert "Checked 1 file: no field that may name a person is filled" in status.read_text()


PLACES: Mapping[str, dict[str, str | bytes]] = {
    "its own name": {"OBrien_1.mrui": scans.rda(PatientName="OBrien^Zoé")},
    "a folder above it": {"Obrien Zoe/1.mrui": scans.rda(PatientName="OBrien^Zoé")},
    "a file beside it": {
        "1.mrui": scans.rda(PatientName="OBrien^Zoé", PatientID="PAT-47110815"),
        "2.mrui": scans.rda(),
        "pat47110815/OBRIEN.mrui": "a spectrum",
    },
    "the birth date in a folder": {
        "1.mrui": scans.rda(PatientBirthDate="19700131"),
        "1970-01-31/2.mrui": "a spectrum",
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_no_value_of_a_header_reaches_vip_in_a_name(told: Bench, place: str) -> None:
    """What one file says of a person is looked for in the paths of all; no word of it is in the state."""
    study = told.study(settings=SETTINGS)
    study.write({**PLACES[place], "clear.mrui": "x"})
    told.rest()
    assert "clear.mrui" in told.vip_inputs()
    assert leaks(told) == []
    said = (study.root / "STATUS.txt").read_text() + (
        study.root / "outputs/results.csv"
    ).read_text()
    assert not [sign for sign in SIGNS if sign in said.lower()]


def test_a_case_that_is_called_as_a_patient_is_not_named(told: Bench) -> None:
    """Also where the case has only a part of a file's name, and of very many."""
    study = told.study(settings=SETTINGS.replace("**/*.mrui", "{s}_svs.mrui"))
    study.write({"OBrien_Zoe_svs.mrui": scans.rda(PatientName="OBrien^Zoé")})
    study.write({f"b{n:03}-obrien.txt": "x" for n in range(250)})
    told.rest()
    said = (study.root / "STATUS.txt").read_text() + (
        study.root / ".vipsync/status.json"
    ).read_text()
    assert "…: cannot be launched" in said
    assert "zoe" not in said.lower()
    assert leaks(told, "brien") == []


def test_a_folder_that_is_called_as_a_patient_is_not_opened(told: Bench) -> None:
    """VIP does not even hear of the session; the sentence says what to do."""
    study = told.study("ZOE OBRIEN 1970", settings=SETTINGS)
    study.write({"1.mrui": scans.rda(PatientName="OBrien^Zoé"), "2.mrui": "x"})
    told.rest()
    assert leaks(told, "brien", "zoe") == []
    assert told.changes() == []
    assert study.says("Write another session_name in settings.toml.")
    study.settings.write_text(f'session_name = "s1"\n{SETTINGS}')
    told.rest()
    assert list(told.vip_inputs("s1")) == ["2.mrui"]
    assert leaks(told, "brien", "zoe") == []


NAMES = {
    "a parameter": 'who = "Zoe OBrien"',
    "another name on VIP": 'signal = { file = "{s}.mrui", as = "OBrien-{s}.mrui" }',
}


@pytest.mark.parametrize("place", NAMES)
def test_no_value_of_a_header_reaches_vip_by_the_settings(told: Bench, place: str) -> None:
    """Though the header itself is accepted, for whatever reason."""
    line = NAMES[place]
    text = (
        SETTINGS.replace('signal = "**/*.mrui"', line)
        if "signal" in line
        else f"{SETTINGS}{line}\n"
    )
    allowed = '[privacy]\nallow = { PatientName = "consent 7" }\n'
    study = told.study(settings=f"{text}\n{allowed}")
    study.write({"1.mrui": scans.rda(PatientName="OBrien^Zoé")})
    told.rest()
    assert told.jobs() == []
    assert leaks(told, "brien", "zoe") == []


def test_an_archive_is_judged_before_it_is_packed(told: Bench) -> None:
    """By its members, in whatever folder; the others go."""
    packed = SETTINGS.replace('"**/*.mrui"', '{ zip = "{s}/raw/" }')
    study = told.study(settings=packed)
    study.write({"a/raw/1.dcm": FIELDS["dicom"], "a/raw/2.dcm": scans.dicom()})
    study.write({"b/raw/1.dcm": scans.dicom()})
    told.rest()
    assert list(told.vip_inputs()) == ["b-raw.zip"]
    assert leaks(told) == []


def test_no_value_is_in_what_vipsync_writes(told: Bench) -> None:
    """Neither in the state, nor in tables, logs or the ledger."""
    study = told.study(settings=SETTINGS)
    study.write({f"{number}.mrui": content for number, content in enumerate(FIELDS.values())})
    study.write({"clear.mrui": "x"})
    told.rest()
    text = inside(study.root, but="inputs").lower()
    assert "patientname" in text
    assert not [sign for sign in SIGNS if sign in text]
    status = json.loads((study.root / ".vipsync/status.json").read_text())
    assert status["exit_code"] == 3


def test_by_cron(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run --once` sends what names nobody, says what it does not send, and ends with 3."""
    with serve(tmp_path) as served:
        study = served.study()
        for number, content in enumerate(FIELDS.values()):
            (study / "inputs" / f"{number}.mrui").write_bytes(content)
        (study / "inputs" / "clear.mrui").write_text("x")
        said = Caller(served, monkeypatch, capsys)("run", "--once", study)
        assert said.code == 3
        assert f"{len(FIELDS)} files are not sent" in said.out + said.err
        assert not [sign for sign in SIGNS if sign in (said.out + said.err).lower()]
        held = [p.name for p in (served.world.root / "users").rglob("*.mrui")]
        assert held == ["clear.mrui"]
        assert not [sign for sign in SIGNS if sign in inside(study, but="inputs").lower()]


def test_by_a_script(scripts: Scripts) -> None:
    """`privacy="refuse"`: nothing goes, and the script is told."""
    for number, content in enumerate(FIELDS.values()):
        (scripts.data / f"{number}.mrui").write_bytes(content)
    with pytest.raises(InputsRefused):
        scripts.ready(privacy="refuse").run_session()
    assert scripts.on_vip() == []
    assert leaks(scripts) == []


# what was sent before, and what changes


def before_the_gate(bench: Bench, study: Study) -> None:
    """Take from a folder what no earlier vipsync wrote."""
    bench.stop()
    with sqlite3.connect(study.root / ".vipsync" / "ledger.sqlite") as ledger:
        ledger.execute("DROP TABLE Checked")
        ledger.execute("ALTER TABLE Session DROP COLUMN gate")
        ledger.execute("ALTER TABLE Launch DROP COLUMN privacy")


def test_a_folder_made_before_is_judged_once_and_nothing_is_removed(told: Bench) -> None:
    """What lies on VIP and would not be sent today is reported; nothing is hashed, sent or run again."""
    study = told.study(settings=f'{SETTINGS}[privacy]\noff = "before the gate"\n')
    study.write({"1.mrui": FIELDS["rda"], "2.mrui": scans.rda()})
    told.rest()
    assert told.jobs() == [2]
    before_the_gate(told, study)
    study.settings.write_text(SETTINGS)
    sent = told.count("PUT")
    told.rest()
    assert study.says("1 file is on VIP, and would not be sent now: PatientBirthDate")
    assert (told.count("PUT"), told.jobs()) == (sent, [2])
    assert len(study.state.checked) == 2
    told.restart()
    told.rest()
    assert study.says("1 file is on VIP")


ACCEPTS = '[privacy]\naccept = { PatientBirthDate = ["1970*"] }\n'


@pytest.mark.parametrize("folder", ["{s}/raw/", "a/", "./"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_file_that_came_after_its_archive_is_not_on_vip(
    told: Bench, folder: str, *, beside: bool
) -> None:
    """It was refused, and the archive of before does not have it; what does have it is on VIP still."""
    named = ', as = "study.zip"' if folder == "./" else ""
    pack = f'{{ zip = "{folder}"{named} }}'
    text = SETTINGS.replace('"**/*.mrui"', pack)
    study = told.study(settings=f"{text}{ACCEPTS}")
    study.write({"a/raw/1.mrui": scans.rda(PatientBirthDate="19700131")})
    told.rest()
    assert told.jobs() == [1]
    study.write({"a/raw/2.mrui": FIELDS["rda"], **({"a/raw/3.mrui": "x"} if beside else {})})
    if "{" not in folder:
        study.ask("rerun")
    told.rest()
    assert study.says("1 file is not sent: "), study.notices
    assert not study.says("is on VIP")
    study.settings.write_text(text)
    told.rest()
    told.restart()
    told.rest()
    assert study.says("1 file is on VIP, and would not be sent now: PatientBirthDate in 1 file.")
    assert study.says("1 file is not sent: ")


@pytest.mark.parametrize("then", ["deleted", "mended", "before", "packed", "unused"])
def test_what_lies_on_vip_stays_named_until_it_is_removed(told: Bench, then: str) -> None:
    """Whether or not the file is here, or here with another content; also by another process."""
    packed = SETTINGS.replace('"**/*.mrui"', '{ zip = "{s}/raw/" }')
    text = packed if then == "packed" else SETTINGS
    study, name = told.study(settings=f"{text}{ACCEPTS}"), "a/raw/1.mrui"
    study.write({name: scans.rda(PatientBirthDate="19700131"), "b/raw/2.mrui": scans.rda()})
    told.rest()
    assert not study.says("would not be sent now")
    if then != "before":
        study.settings.write_text(text)
        told.rest()
        assert study.says("1 file is on VIP, and would not be sent now: PatientBirthDate")
    if then == "unused":
        text = text.replace("*.mrui", "2.mrui")
    else:
        (study.root / "inputs" / name).unlink()
    study.settings.write_text(text)
    if then == "mended":
        study.write({name: scans.rda()})
    for _ in range(2):
        study.notice()
        told.rest()
        assert study.says("1 file is on VIP, and would not be sent now: PatientBirthDate")
        told.restart()
        told.until(lambda: study.session.plan)
    study.marker.unlink()
    told.rest()
    assert study.phase() is Phase.CLOSED
    assert not study.says("would not be sent now")


def test_what_lies_on_vip_may_be_accepted_again(told: Bench) -> None:
    """Also where the file is gone, and was accepted in other words."""
    study = told.study(settings=f"{SETTINGS}{ACCEPTS}")
    study.write({"1.mrui": scans.rda(PatientBirthDate="19700131")})
    told.rest()
    study.settings.write_text(f"{SETTINGS}{ACCEPTS.replace('1970*', '1980*')}")
    told.rest()
    (study.root / "inputs/1.mrui").unlink()
    study.notice()
    told.rest()
    assert study.says("1 file is on VIP, and would not be sent now: PatientBirthDate")
    study.settings.write_text(f"{SETTINGS}{ACCEPTS}")
    told.run(60)
    assert not study.says("would not be sent now")


def test_a_file_that_changes_after_its_verdict_is_judged_again(told: Bench) -> None:
    """What was clear and names somebody by the time it would leave never reaches VIP."""
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": scans.rda()})
    told.until(lambda: study.state.checked)
    study.write({"1.mrui": FIELDS["rda"]})
    study.notice()
    told.rest()
    assert told.vip_inputs() == {}
    assert leaks(told) == []


def test_a_file_that_comes_later_is_not_called_as_somebody_who_was_found_before(
    told: Bench,
) -> None:
    """In this process, and in one that was started since."""
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": scans.rda(PatientName="OBrien^Zoé")})
    told.rest()
    study.write({"OBRIEN_2.mrui": "x"})
    told.rest()
    told.restart()
    study.write({"zoe-OBRIEN/3.mrui": "y", "clear.mrui": "x"})
    told.rest()
    assert list(told.vip_inputs()) == ["clear.mrui"]
    assert leaks(told) == []


def test_a_mended_file_goes(told: Bench) -> None:
    """What was refused is sent once the values are out of it."""
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": FIELDS["rda"]})
    told.rest()
    assert told.jobs() == []
    study.write({"1.mrui": scans.rda()})
    study.notice()
    told.rest()
    assert told.jobs() == [1]
    assert not study.says("not sent")


def test_reasons_stand_beside_the_results(told: Bench) -> None:
    """In STATUS.txt, and for each launch in results.csv, as they were then."""
    study = told.study(settings=f'{SETTINGS}[privacy]\nallow = {{ PatientName = "consent 7" }}\n')
    study.write({"1.mrui": scans.rda(PatientName="OBrien^Zoé")})
    told.rest()
    assert "allow PatientName: consent 7" in (study.root / "STATUS.txt").read_text()
    study.settings.write_text(SETTINGS)
    told.rest()
    assert "allow PatientName: consent 7" in (study.root / "outputs/results.csv").read_text()


def test_nothing_at_rest_is_read_again(told: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts are looked up by what is known of a file, also by another process."""
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": FIELDS["rda"], "2.mrui": scans.rda()})
    told.rest()
    told.restart()

    def read(*_: object) -> None:
        raise AssertionError("a file was read again")

    monkeypatch.setattr("vipsync.act.perform._inspect", read)
    told.rest()
    assert study.says("1 file is not sent")
    assert len(read_state(study.root / ".vipsync" / "ledger.sqlite").checked) == 2


def test_dicom_that_nothing_here_can_read_is_not_sent(
    told: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pydicom: the line that installs it is said, and once it is there, files are judged anew."""
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setattr("vipsync.observe.observer.gate_version", lambda: "1")
    study = told.study(settings=SETTINGS)
    study.write({"1.mrui": scans.dicom(), "2.mrui": "x"})
    told.rest()
    assert list(told.vip_inputs()) == ["2.mrui"]
    assert study.says("1 file is not sent")
    assert study.says("vipsync[dicom]")
    monkeypatch.undo()
    told.restart()
    told.rest()
    assert list(told.vip_inputs()) == ["1.mrui", "2.mrui"]
