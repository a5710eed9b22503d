"""Receivers that name files as they like, write in place, mix associations or break off: pynetdicom plays them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count, zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench import Bench
from tests.lab.dicom import LITTLE, MR, series
from tests.lab.stations import QUIET, TEMPLATE, Station, station
from vipsync.local import Job
from vipsync.station.steps import StudyState

pynetdicom = pytest.importorskip("pynetdicom", reason="needs pynetdicom: pip install pynetdicom")

NOBODY = TEMPLATE.replace('plain = ["*"]', 'off = "nobody is called so"')
UID = {"by": '"StudyInstanceUID"', "take": '"copy"'}
SUCCESS = 0x0000

Layout = Callable[[Any], str]
"""Where a receiver puts an image, by its header."""


@pytest.fixture(autouse=True)
def _private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPSYNC_DATA", str(tmp_path / "private"))


def by_uid(image: Any) -> str:
    """One flat folder."""
    return str(image.SOPInstanceUID)


def as_it_came() -> Layout:
    """One flat folder, each file under the next number: what is sent again comes under other names."""
    numbers = count()
    return lambda _image: f"IM{next(numbers):06}"


def by_patient(image: Any) -> str:
    """Folders with the names of persons, one for each exam and each series."""
    exam = f"{image.StudyDate} brain {image.StudyID}"
    return f"{image.PatientName}/{exam}/{image.SeriesNumber}_{image.SeriesDescription}/{image.InstanceNumber}"


def by_series(image: Any) -> str:
    """One folder for each series, all exams side by side."""
    return f"{image.SeriesInstanceUID}/{image.InstanceNumber:05}"


LAYOUTS: dict[str, tuple[Layout, Mapping[str, str]]] = {
    "flat, by UID": (by_uid, UID),
    "flat, by number": (as_it_came(), UID),
    "a tree of patients": (by_patient, {"study": '"{patient}/{exam}/"'}),
    "a folder for each series": (by_series, {"take": '"copy"'}),
}


@contextmanager
def receiver(export: Path, layout: Layout, cut: Iterable[str] = ()) -> Iterator[int]:
    """Receive images on a port of loopback, and write each under its last name, piece by piece.

    At an image whose UID is in `cut` the association breaks off, and half of the file is left.
    """
    broken = set(cut)

    def store(event: Any) -> int:
        path = export / layout(event.dataset)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = event.encoded_dataset()
        if event.dataset.SOPInstanceUID in broken:
            path.write_bytes(content[: len(content) - 16])
            event.assoc.abort()
            return SUCCESS
        with path.open("wb") as file:
            for at in range(0, len(content), 256):
                file.write(content[at : at + 256])
                file.flush()
        return SUCCESS

    here = pynetdicom.AE()
    here.add_supported_context(MR, LITTLE)
    handlers = [(pynetdicom.evt.EVT_C_STORE, store)]
    server = here.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def send(port: int, *folders: Path) -> None:
    """Send each folder in an association of its own, one image of each in turn."""
    scanner = pynetdicom.AE()
    scanner.add_requested_context(MR, LITTLE)
    with ExitStack() as stack:
        opened = []
        for _ in folders:
            association = scanner.associate("127.0.0.1", port)
            assert association.is_established
            stack.callback(association.release)
            opened.append(association)
        for images in zip_longest(*(sorted(folder.iterdir()) for folder in folders)):
            for association, image in zip(opened, images, strict=True):
                if image and association.is_established:
                    association.send_c_store(image)


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


def scans(tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """Return four series: two of one study, one of another, and one that the first gets late."""
    first, second, other, late = (tmp_path / name for name in ("a", "b", "c", "d"))
    series(first, 1, 1)
    series(second, 1, 2, text="t1")
    series(other, 2, 1, person="DOE^JANE")
    series(late, 1, 3, text="late")
    return first, second, other, late


def made_for(bench: Bench, settings: Mapping[str, str]) -> tuple[Station, list[int]]:
    """Return a station whose patients are made up, and how much each of its jobs gets."""
    return station(bench, template=NOBODY, **settings), archived(bench)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_study_is_one_session_however_a_receiver_sorts(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    """Two exams come at once, one pauses, is sent again, and gets another series hours later."""
    layout, settings = LAYOUTS[name]
    made, counts = made_for(bench, settings)
    first, second, other, late = scans(tmp_path)
    with receiver(made.export, layout) as port:
        send(port, first, other)
        bench.run(QUIET - 60)
        send(port, second)
        bench.run(QUIET - 60)
        assert (made.started(), counts) == (["S0001"], [3])
        bench.rest()
        assert (made.started(), counts) == (["S0001", "S0002"], [3, 6])
        send(port, first)
        bench.rest()
        assert made.states() == {"S0001": StudyState.DONE, "S0002": StudyState.DONE}
        bench.run(4 * 3600)
        send(port, late)
        bench.rest()
    assert made.states() == {"S0001": StudyState.DONE, "S0002": StudyState.HELD}
    assert made.started() == ["S0001", "S0002"]
    assert "SMITH" not in made.reasons()


@pytest.mark.parametrize("again", [True, False], ids=["sent again", "left so"])
def test_half_a_file_is_never_sent(bench: Bench, tmp_path: Path, *, again: bool) -> None:
    """An association broke off; the scanner sends it again, or a person has to know."""
    made, counts = made_for(bench, UID)
    first, *_ = scans(tmp_path)
    last = "1.2.826.0.1.3680043.10.9999.1.1.3"
    with receiver(made.export, by_uid, [last]) as port:
        send(port, first)
    bench.run(QUIET - 60)
    if again:
        with receiver(made.export, by_uid) as port:
            send(port, first)
    bench.rest()
    assert made.started() == ["S0001"] * again
    assert counts == [3] * again
    if not again:
        assert list(made.states().values()) == [StudyState.INCOMPLETE]
