"""DICOM files as scanners make them, and dcmtk's programs that send and receive them."""

from __future__ import annotations

import shutil
import subprocess
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
