"""Tests of inspection: a file is known by its content, and what it says of a person is found."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import scans
from vipsync.errors import LocalFileError
from vipsync.model import PrivacySettings
from vipsync.privacy.findings import Inspection, Layer
from vipsync.privacy.identifiers import identifiers
from vipsync.privacy.inspecting import inspect
from vipsync.privacy.judging import judge

PERSON: dict[str, Any] = {
    "PatientName": "Smith^John",
    "PatientID": "A123456",
    "PatientBirthDate": "19700131",
}


def looked_at(content: bytes, name: str = "a", *names: str) -> Inspection:
    return inspect(io.BytesIO(content), name, names=names)


def refused(inspection: Inspection) -> dict[str, str]:
    """Return what would be refused by default, by field."""
    return {f.field: f.value for f in inspection.findings if f.layer is not Layer.TOLD}


@pytest.mark.parametrize(
    ("content", "form"),
    [(scans.dicom(**PERSON), "DICOM"), (scans.rda(**PERSON), "Siemens rda")],
)
def test_fields_are_found_whatever_the_name_is(tmp_path: Path, content: bytes, form: str) -> None:
    """The content says what a file is; an extension proves nothing."""
    path = tmp_path / "image.png"
    path.write_bytes(content)
    inspection = inspect(path, "image.png")
    assert inspection.format == form
    assert inspection.not_understood == ""
    assert refused(inspection) == PERSON


@pytest.mark.parametrize(
    "number", ["1", "12", "007", "123", "1234", "S01", "0042", "12345", "2024", "20240"]
)
def test_a_study_with_pseudonyms_raises_no_alarm(number: str) -> None:
    """Its numbers are short or in no other place, though there are many digits and dates around them."""
    chance = random.Random(int(number.strip("S")))
    person: dict[str, Any] = {
        "PatientID": number, "PatientName": "sub-01", "PatientBirthDate": "19000101"
    }  # fmt: skip
    raw = chance.randbytes(300_000)
    digits = "\n".join(f"{chance.random():.6E}" for _ in range(20_000)).encode()
    uids = [f"1.2.840.113619.2.{chance.randrange(10**30)}.20240102" for _ in range(20)]
    images = [scans.dicom(SOPInstanceUID=uid, StudyDate="20240102", **person) for uid in uids]
    study = {
        "meas_MID00123_FID98765.dat": scans.twix(2, **person) + raw,
        "P19001.7": scans.pfile(**person) + raw,
        "1900-02-03_press.PAR": scans.par(**person) + digits,
        "press.rda": scans.rda(**person),
        "t1.json": scans.sidecar(Times=[chance.random() for _ in range(300)], **person),
        "t1.nii": scans.nifti(extensions=((44, scans.sidecar(**person)),)),
        "dicom.zip": scans.zipped(
            {f"{uid}.dcm": one for uid, one in zip(uids, images, strict=True)}
        ),
    }
    accept = (("PatientName", ("sub-*",)), ("PatientBirthDate", ("19000101",)))
    policy = PrivacySettings(accept, (("PatientID", "numbers of the study"),))
    for name, content in study.items():
        inspection = inspect(io.BytesIO(content), name, names=("study-2024-01-02", *uids))
        assert inspection.not_understood == ""
        assert judge(inspection, policy, name).refused == ()


@pytest.mark.parametrize("content", [scans.dicom(), scans.rda()])
def test_nothing_is_found_where_fields_are_empty(content: bytes) -> None:
    """The next line is never taken for the value of an empty field."""
    assert refused(looked_at(content)) == {}


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"hello", bytes(1000), b"{", b">>> Begin", b"PK\3\4"]
)
def test_what_nobody_knows_is_not_called_clean(content: bytes) -> None:
    """An unknown format is said to be one."""
    inspection = looked_at(content)
    assert inspection.not_understood
    assert refused(inspection) == {}


@pytest.mark.parametrize("content", [scans.dicom(**PERSON), scans.rda(**PERSON)])
def test_a_name_in_paths_and_other_names_is_found(content: bytes) -> None:
    """The path in the folder, the session's name and parameters go to VIP as well."""
    found = refused(looked_at(content, "Smith/a.dcm", "study-1970-01-31"))
    assert "a part of PatientName in a path" in found
    assert "a part of PatientBirthDate in a name" in found
    assert len(found) == 5


@pytest.mark.parametrize("place", [5000, 2**20 - 8, 2**20, 3 * 2**20 + 100])
@pytest.mark.parametrize("see", [None, len])
def test_a_name_in_the_other_bytes_is_found(place: int, see: Callable[[bytes], int] | None) -> None:
    """Also where one block ends and the next begins; the field itself is no other place."""
    content = scans.twix(**PERSON).ljust(place, b"\0") + b"born 31.01.1970".ljust(2**20, b"\0")
    found = refused(inspect(io.BytesIO(content), "a", see=see))
    assert found.keys() - PERSON.keys() == {"a part of PatientBirthDate in the file's other bytes"}


def test_pixels_are_not_searched() -> None:
    """By chance they hold any number, and they are named as not checked."""
    pixels = scans.dicom(PixelData=b"A123456." * 4, Rows=4, Columns=4, **PERSON)
    inspection = looked_at(pixels)
    assert refused(inspection) == PERSON
    assert "pixels" in inspection.not_checked


def test_what_another_file_said_is_searched_for() -> None:
    """A prepared file must not hold what its original said."""
    known = identifiers(looked_at(scans.rda(**PERSON)))
    clean = scans.dicom(StudyDescription="spectro john SMITH")
    found = inspect(io.BytesIO(clean), "a.dcm", known=known).findings
    crossed = [f.field for f in found if f.layer is Layer.CROSS]
    assert crossed == ["a part of PatientName in the file's other bytes"]


def test_a_disk_that_fails_is_no_verdict() -> None:
    """What could not be read now is tried again; it is not "not understood"."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if 2**17 < self.tell() < len(self.getvalue()) - 2**17:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    members = {f"{n}.rda": os.urandom(2**16) for n in range(8)}
    for content in (scans.zipped(members), scans.twix().ljust(2**22, b"\0")):
        with pytest.raises(LocalFileError, match="cannot be read"):
            inspect(Failing(content), "a", see=len)


@pytest.mark.parametrize("fields", [{}, PERSON])
def test_the_file_is_hashed_in_the_same_read(fields: dict[str, Any]) -> None:
    """Who asks sees each byte once, in order."""
    content, sha256 = scans.dicom(PixelData=bytes(3 * 2**20), **fields), hashlib.sha256()
    inspect(io.BytesIO(content), "a.dcm", see=sha256.update)
    assert sha256.hexdigest() == hashlib.sha256(content).hexdigest()


def test_a_file_that_changes_meanwhile_has_no_verdict(tmp_path: Path) -> None:
    """What was hashed would not be what was looked at."""
    path = tmp_path / "a.dcm"
    path.write_bytes(scans.dicom(**PERSON))

    def change(_block: bytes) -> None:
        path.write_bytes(scans.dicom())

    with pytest.raises(LocalFileError, match="changed while it was inspected"):
        inspect(path, "a.dcm", see=change)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It is not "not understood"."""
    with pytest.raises(LocalFileError):
        inspect(tmp_path / "a.dcm", "a.dcm")


def test_dicom_without_its_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that installs the reader is said; nothing is told to be clean."""
    monkeypatch.setitem(sys.modules, "pydicom", None)
    inspection = looked_at(scans.dicom())
    assert inspection.refuse_unread
    assert "pip install 'vipsync[dicom]'" in inspection.not_understood
