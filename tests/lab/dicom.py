"""DICOM files as scanners make them, in their places below an export."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install 'vipsync[dicom]'")

MR, LITTLE = pydicom.uid.MRImageStorage, pydicom.uid.ExplicitVRLittleEndian


def image(
    path: Path, study: int, series: int, number: int, person: str = "SMITH^JOHN", text: str = "svs"
) -> None:
    """Write one MR image of a study of a person."""
    from tests.lab import scans

    path.parent.mkdir(parents=True, exist_ok=True)
    root = f"1.2.826.0.1.3680043.10.9999.{study}"
    who = {"PatientName": person, "PatientID": f"ID-{person.partition('^')[0]}"}
    when = {"PatientBirthDate": "19700101", "StudyDate": "20261128", "StudyTime": "101500"}
    uids = {"StudyInstanceUID": root, "SeriesInstanceUID": f"{root}.{series}"}
    numbers = {"StudyID": str(study), "SeriesNumber": series, "InstanceNumber": number}
    uid = pydicom.uid.UID(f"{root}.{series}.{number}")
    fields = {**who, **when, **uids, **numbers, "SOPInstanceUID": uid, "SeriesDescription": text}
    path.write_bytes(scans.dicom(Rows=4, Columns=4, PixelData=bytes([number % 256] * 32), **fields))


def series(
    folder: Path, study: int, number: int, images: Iterable[int] = (1, 2, 3), **more: str
) -> None:
    """Write the images of one series."""
    for one in images:
        image(folder / f"{study}-{number}-{one}.dcm", study, number, one, **more)
