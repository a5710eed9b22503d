"""Small files as scanners and their tools write them, with fields that a test fills."""

from __future__ import annotations

import io
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

RDA = """>>> Begin of header <<<
PatientName: {PatientName}
PatientID: {PatientID}
PatientSex: M
PatientBirthDate: {PatientBirthDate}
StudyDate: 20240102
InstitutionName: A hospital
ModelName: Prisma
>>> End of header <<<
"""


def dataset(**fields: Any) -> Dataset:
    """Return a data set; a list of data sets is a sequence."""
    made = Dataset()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def dicom(
    inner: Dataset | None = None,
    *,
    syntax: UID = ExplicitVRLittleEndian,
    preamble: bytes = bytes(128),
    **fields: Any,
) -> bytes:
    """Return an MR image of DICOM with these fields beside those of `inner`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = fields.setdefault("SOPClassUID", MRImageStorage)
    meta.MediaStorageSOPInstanceUID = fields.setdefault("SOPInstanceUID", generate_uid())
    base = dataset(Modality="MR", Rows=2, Columns=2, BitsAllocated=16, PixelData=bytes(8))
    base["PixelData"].VR = "OW"
    base.update(inner or {})
    base.update(dataset(**fields))
    out = io.BytesIO()
    made = FileDataset(out, base, file_meta=meta, preamble=preamble)
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def rda(**fields: str) -> bytes:
    """Return a spectrum of Siemens."""
    empty = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate"), "")
    return RDA.format(**empty | fields).replace("\n", "\r\n").encode("latin-1") + bytes(64)
