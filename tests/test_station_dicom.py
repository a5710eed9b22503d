"""DICOM studies as scanners and dcmtk write them: one session per study in each layout."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from tests.lab.dicom import image, series
from tests.lab.memory import traced
from tests.lab.stations import QUIET, TEMPLATE, Station
from tests.lab.stations import station as any_station
from vipsync.errors import FolderAbsent
from vipsync.local import Job
from vipsync.station.reading import content_of, first_words, is_cut
from vipsync.station.steps import StudyState

NOBODY = TEMPLATE.replace('plain = ["*"]', 'off = "nobody is called so"')


def require_dcmtk() -> None:
    """Skip where dcmtk, or a network of one's own, is not to be had."""
    if not shutil.which("storescp") or not shutil.which("unshare"):
        pytest.skip("needs dcmtk: apt-get install dcmtk")
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("a network namespace is not permitted here")


_SEND = """
ip link set lo up
storescp $3 -od "$2" 11112 >/dev/null 2>&1 &
receiver=$!
for try in $(seq 200); do echoscu 127.0.0.1 11112 >/dev/null 2>&1 && break; done
storescu --scan-directories 127.0.0.1 11112 "$1"
code=$?
kill $receiver; wait $receiver 2>/dev/null
exit $code
"""


def send(images: Path, export: Path, *layout: str) -> None:
    """Send images with storescu to a storescp that writes into an export, in one association."""
    command = ["unshare", "-n", "sh", "-c", _SEND, "sh", images, export, " ".join(layout)]
    subprocess.run([*map(str, command)], check=True, timeout=60, stdin=subprocess.DEVNULL)


def station(bench: Bench, extra: str = "", **settings: str) -> Station:
    """Make a station whose patients are made up, so that the gate has nothing to say."""
    return any_station(bench, extra, NOBODY, **settings)


UID = {"by": '"StudyInstanceUID"', "take": '"copy"'}
COPY = {"take": '"copy"'}


@pytest.fixture(autouse=True)
def _private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPSYNC_DATA", str(tmp_path / "private"))


def inputs(made: Station, name: str) -> list[str]:
    """Return the files of a session's own copy."""
    return sorted(made.session(name).inputs())


def archived(bench: Bench) -> list[int]:
    """Let jobs count the members of the archives that they get, in their order."""
    counts: list[int] = []

    def work(job: Job) -> Mapping[str, bytes | Path]:
        path = job.files["signal"]
        assert path is not None
        with zipfile.ZipFile(path) as archive:
            counts.append(len(archive.namelist()))
        return {"fit": b"good"}

    bench.runner.work = work
    return counts


# headers that lie


def _of(syntax: bytes, content: bytes) -> bytes:
    """Return a DICOM file without more in its own header than how it is written."""
    body = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(body)) + body + content


def _deflated(size: int) -> bytes:
    packed = zlib.compressobj(9, wbits=-15)
    head = struct.pack("<HH2sHL", 9, 0x1001, b"OB", 0, size)
    content = packed.compress(head + bytes(size)) + packed.flush()
    return _of(b"1.2.840.10008.1.2.1.99", content)


def _one_value(size: int) -> bytes:
    return _of(b"1.2.840.10008.1.2\0", struct.pack("<HHL", 0x10, 0x10, size) + bytes(size))


@pytest.mark.parametrize("name", ["a.dcm", "subject"])
@pytest.mark.parametrize(
    "content", [_deflated(1 << 26), _one_value(1 << 26), b"##$SUB" * (1 << 23)]
)
def test_a_header_without_end_takes_little_memory(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """A megabyte may unpack to a thousand; a scanner's file is looked at in its head."""
    path = tmp_path / name
    path.write_bytes(content)
    with traced() as peak:
        assert first_words(path)[0] == ""
        assert peak() < 2e7


@pytest.mark.parametrize("value", [b"P\x1b", b"P\xff", b"L\x5c"])
def test_a_damaged_value_is_none_and_stops_nothing(
    bench: Bench, recwarn: pytest.WarningsRecorder, value: bytes
) -> None:
    """The others are read, and no warning quotes one."""
    made = station(bench)
    series(made.export / "one", 1, 1, (1,))
    path = next((made.export / "one").iterdir())
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00" + value))
    series(made.export / "two", 2, 1)
    bench.rest()
    assert "S0002" in made.started()
    assert first_words(path)[0]
    assert not [w for w in recwarn if "SMITH" in str(w.message)]


@pytest.mark.parametrize("name", ["a.dcm", "subject"])
@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_became_no_file_is_not_read(tmp_path: Path, name: str, kind: str) -> None:
    """Neither waited for, nor followed: it may lead out of the export."""
    path, secret = tmp_path / name, tmp_path / "secret"
    secret.write_text("##$SUBJECT_study_instance_uid=( 64 ) <1.2.3>")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to(secret)
    assert first_words(path) == ("", "")
    with pytest.raises(FolderAbsent):
        content_of(path, name)


def _written(path: Path, syntax: str) -> bytes:
    """Return an image in a transfer syntax."""
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    image(path, 1, 1, 1)
    made = dcmread(path)
    made.file_meta.TransferSyntaxUID = UID(syntax)
    if UID(syntax).is_encapsulated:
        made.PixelData = encapsulate([b"compressed"])
    made.save_as(path, enforce_file_format=True)
    return path.read_bytes()


SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "JPEG": "1.2.840.10008.1.2.4.90",
    "deflated": "1.2.840.10008.1.2.1.99",
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_image_that_breaks_off_anywhere_is_seen_to(tmp_path: Path, syntax: str) -> None:
    """Behind its size and before its last byte; whole it is whole."""
    path = tmp_path / "image"
    content = _written(path, SYNTAXES[syntax])
    assert not is_cut(path)
    rows = content.find(b"\x28\0\x10\0")
    first = len(content) - 200 if syntax == "deflated" else rows + 12
    for size in range(first, len(content)):
        path.write_bytes(content[:size])
        assert is_cut(path), (size, len(content))


def test_late_data_that_broke_off_do_not_run_by_themselves(bench: Bench) -> None:
    """Also where the settings let others run; they do once they were sent again."""
    made = station(bench, '[late]\nseries = "rerun"\n')
    series(made.export / "SMITH", 1, 1)
    bench.rest()
    late = made.export / "SMITH" / "1-2-1.dcm"
    image(late, 1, 2, 1)
    whole = late.read_bytes()
    late.write_bytes(whole[:-20])
    bench.rest()
    assert (made.started(), made.states()) == (["S0001"], {"S0001": StudyState.HELD})
    late.write_bytes(whole)
    bench.rest()
    assert made.started() == ["S0001", "S0001"]


def test_data_that_broke_off_before_the_start_hold_it(make_bench: Callable[..., Bench]) -> None:
    """The study was asked to start and waits for a slot; its last file comes in part, then whole."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 900.0
    made = station(bench)
    made.write("FIRST", {"1.rda": "zero"})
    series(made.export / "SMITH", 1, 1)
    bench.until(lambda: made.states().get("S0002") is StudyState.SENDING)
    bench.run(200)
    late = made.export / "SMITH" / "1-1-4.dcm"
    image(late, 1, 1, 4)
    whole = late.read_bytes()
    late.write_bytes(whole[:-20])
    bench.rest()
    assert (made.started(), made.states()["S0002"]) == (["S0001"], StudyState.INCOMPLETE)
    late.write_bytes(whole)
    bench.rest()
    assert made.started() == ["S0001", "S0002"]
    assert set(made.states().values()) == {StudyState.DONE}


def test_a_mixed_dump_is_sorted_by_study(bench: Bench) -> None:
    """Files of all studies lie in one folder; their headers tell them apart."""
    made = station(bench, **UID)
    counts = archived(bench)
    series(made.export, 1, 1)
    series(made.export, 2, 1, person="DOE^JANE")
    (made.export / "notes.txt").write_text("no image")
    bench.rest()
    assert made.started() == ["S0001", "S0002"]
    assert counts == [3, 3]
    assert not [name for name in inputs(made, "S0001") if "SMITH" in name]
    assert set(made.states().values()) == {StudyState.DONE}


def test_a_series_of_a_dump_that_comes_late_is_held(bench: Bench) -> None:
    """And one that is sent again is silent."""
    made = station(bench, **UID)
    series(made.export, 1, 1)
    bench.rest()
    series(made.export, 1, 1)
    bench.rest()
    assert made.states() == {"S0001": StudyState.DONE}
    series(made.export, 1, 2)
    bench.rest()
    assert made.states() == {"S0001": StudyState.HELD}
    assert made.started() == ["S0001"]


def test_a_gap_in_a_series_holds_the_study(bench: Bench) -> None:
    """The second image of three did not come; when it comes, the study is whole."""
    made = station(bench)
    series(made.export / "SMITH", 1, 1, images=(1, 3))
    bench.rest()
    assert list(made.states().values()) == [StudyState.INCOMPLETE]
    assert "1 of its instances" in made.reasons()
    series(made.export / "SMITH", 1, 1, images=(2,))
    bench.rest()
    assert made.started() == ["S0001"]


def test_required_series_are_known_by_their_description(bench: Bench) -> None:
    """Their files are called by numbers."""
    made = station(bench, '[complete]\nrequire = ["*svs*", "*T1* | *mprage*"]\n')
    series(made.export / "SMITH", 1, 1)
    bench.rest()
    assert made.started() == []
    series(made.export / "SMITH", 1, 2, text="t1_mprage_sag")
    bench.rest()
    assert made.started() == ["S0001"]


def test_a_renamed_study_and_one_exported_again_are_the_same(bench: Bench) -> None:
    """The id in their headers tells."""
    made = station(bench)
    series(made.export / "SMITH", 1, 1)
    bench.rest()
    made.rename("SMITH", "JOHN")
    bench.rest()
    series(made.export / "SMITH_AGAIN", 1, 1)
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.states() == {"S0001": StudyState.DONE}


def test_two_studies_in_one_folder_are_held_until_a_person_joins_them(bench: Bench) -> None:
    """Nobody else can know whether they are one."""
    made = station(bench)
    series(made.export / "SMITH", 1, 1)
    series(made.export / "SMITH", 2, 1)
    bench.rest()
    assert "2 studies lie in it" in made.reasons()
    assert made.exit_code() == 3
    (handle,) = made.states()
    made.ask("merge", handle)
    bench.rest()
    assert made.started() == ["S0001"]


@pytest.mark.parametrize("word", ["merge", "complete"])
def test_one_person_twice_in_an_hour_is_held(bench: Bench, word: str) -> None:
    """The console was started anew in the middle of an exam, or the person was called in twice."""
    made = station(bench, **COPY)
    counts = archived(bench)
    series(made.export / "SMITH_1", 1, 1)
    bench.run(300)
    series(made.export / "SMITH_2", 2, 1)
    series(made.export / "DOE", 3, 1, person="DOE^JANE")
    bench.rest()
    assert made.started() == ["S0001"]
    held = [name for name, state in made.states().items() if state is StudyState.HELD]
    assert len(held) == 2
    made.ask(word, held[1])
    bench.rest()
    if word == "merge":
        assert counts == [3, 6]
    else:
        assert len(made.started()) == 2


def test_a_study_in_several_folders_is_one_where_it_is_copied(bench: Bench) -> None:
    """A receiver began a new folder at a pause; what is in both comes once."""
    made = station(bench, **COPY)
    counts = archived(bench)
    series(made.export / "SMITH_1015", 1, 1)
    bench.run(300)
    series(made.export / "SMITH_1020", 1, 2)
    series(made.export / "SMITH_1020", 1, 1, images=(1,))
    bench.rest()
    assert made.started() == ["S0001"]
    assert counts == [6]


def test_what_is_required_may_lie_in_any_folder_of_a_study(bench: Bench) -> None:
    """Nor is a series incomplete that came in two parts."""
    made = station(bench, '[complete]\nrequire = ["*svs*", "*t1*"]\n', **COPY)
    counts = archived(bench)
    series(made.export / "SMITH_1015", 1, 1, images=(1, 3))
    series(made.export / "SMITH_1020", 1, 1, images=(2,))
    series(made.export / "SMITH_1020", 1, 2, text="t1")
    bench.rest()
    assert made.started() == ["S0001"]
    assert counts == [6]


def test_a_study_in_several_folders_is_held_where_a_session_looks_into_one(bench: Bench) -> None:
    """It would miss the rest."""
    made = station(bench)
    series(made.export / "SMITH_1015", 1, 1)
    series(made.export / "SMITH_1020", 1, 2)
    bench.rest()
    assert made.started() == []
    assert "several folders" in made.reasons()


def test_without_pydicom_dicom_is_held_with_the_line_that_installs_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could tell which study it is."""
    made = station(bench)
    series(made.export / "SMITH", 1, 1)
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    bench.rest()
    assert made.started() == []
    assert "pip install 'vipsync[dicom]'" in made.reasons()


# with dcmtk's own programs

LAYOUTS = {
    "none": ([], UID),
    "by study": (["-su", "ST"], {}),
    "by association": (["-ss", "SC"], COPY),
    "by patient": (["-sp"], COPY),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_studies_sent_with_dcmtk_are_one_session_each(
    bench: Bench, tmp_path: Path, layout: str
) -> None:
    """In parts with a pause, then sent again, then with a late series: none half, none twice."""
    require_dcmtk()
    options, settings = LAYOUTS[layout]
    made = station(bench, **settings)
    counts = archived(bench)
    first, second, other, late = (tmp_path / name for name in ("a", "b", "c", "d"))
    series(first, 1, 1)
    series(second, 1, 2, text="t1")
    series(other, 2, 1, person="DOE^JANE")
    series(late, 1, 3, text="late")
    send(first, made.export, *options)
    bench.run(QUIET - 60)
    send(second, made.export, *options)
    send(other, made.export, *options)
    bench.run(QUIET - 60)
    assert made.sessions() == []
    bench.rest()
    assert made.started() == ["S0001", "S0002"]
    assert counts == [6, 3]
    send(first, made.export, *options)
    bench.rest()
    assert set(made.states().values()) == {StudyState.DONE}
    send(late, made.export, *options)
    bench.rest()
    assert made.states() == {"S0001": StudyState.HELD, "S0002": StudyState.DONE}
    assert made.started() == ["S0001", "S0002"]
    assert "SMITH" not in made.reasons()
