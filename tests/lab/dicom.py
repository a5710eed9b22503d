"""DICOM files as scanners make them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install 'vipsync[dicom]'")

ROOT_UID = "1.2.826.0.1.3680043.10.9999"
MR = "1.2.840.10008.5.1.4.1.1.4"
LITTLE = "1.2.840.10008.1.2.1"


def image(
    path: Path, study: int, series: int, number: int, person: str = "SMITH^JOHN", text: str = "svs"
) -> None:
    """Write one MR image of a study of a person."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID

    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(MR)
    meta.MediaStorageSOPInstanceUID = UID(f"{ROOT_UID}.{study}.{series}.{number}")
    meta.TransferSyntaxUID = UID(LITTLE)
    made = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = MR, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID = f"{ROOT_UID}.{study}"
    made.SeriesInstanceUID = f"{ROOT_UID}.{study}.{series}"
    made.PatientName, made.PatientID = person, f"ID-{person.partition('^')[0]}"
    made.PatientBirthDate, made.StudyDate, made.StudyTime = "19700101", "20261128", "101500"
    made.StudyID, made.SeriesNumber, made.InstanceNumber = str(study), series, number
    made.Modality, made.SeriesDescription = "MR", text
    made.Rows = made.Columns = 4
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.SamplesPerPixel, made.PixelRepresentation = 15, 1, 0
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = bytes([number % 256] * 32)
    made.save_as(path, enforce_file_format=True)


def series(
    folder: Path, study: int, number: int, images: Iterable[int] = (1, 2, 3), **more: str
) -> None:
    """Write the images of one series."""
    for one in images:
        image(folder / f"{study}-{number}-{one}.dcm", study, number, one, **more)
