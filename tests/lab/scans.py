"""Small files as scanners and their tools write them, with fields that a test fills."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

PATIENT = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate"), "")

RDA = """>>> Begin of header <<<
PatientName: {PatientName}
PatientID: {PatientID}
PatientSex: M
PatientBirthDate: {PatientBirthDate}
StudyDate: 20240102
InstitutionName: A hospital
ModelName: Prisma
VectorSize: 4
CSIMatrixSize[0]: 1
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
    kind = {"is_implicit_VR": syntax.is_implicit_VR, "is_little_endian": syntax.is_little_endian}
    made = FileDataset(out, base, preamble, meta, **kind)
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def rda(**fields: str) -> bytes:
    """Return a spectrum of Siemens."""
    return RDA.format(**PATIENT | fields).replace("\n", "\r\n").encode("latin-1") + bytes(64)


def spar(**fields: str) -> bytes:
    """Return what stands beside a spectrum of Philips."""
    text = """!--------------------------------------------------------------------
!      CAUTION - Investigational device.
!--------------------------------------------------------------------
examination_name :{examination_name}
scan_id : press 7
scan_date : 2024.01.02 12:00:00
patient_name : {PatientName}
patient_birth_date : {PatientBirthDate}
patient_position : "head_first"
samples : 1024
synthesizer_frequency : 127760000
"""
    return text.format(**PATIENT | {"examination_name": ""} | fields).encode("latin-1")


def par(**fields: str) -> bytes:
    """Return what stands beside an image of Philips."""
    text = """# === DATA DESCRIPTION FILE ======================================================
#
# Dataset name: E:\\Export\\T1_6_1
#
# CLINICAL TRYOUT             Research image export tool     V4.2
#
.    Patient name                       :   {PatientName}
.    Examination name                   :   {examination_name}
.    Protocol name                      :   T1 SENSE
.    Examination date/time              :   2024.01.02 / 11:27:34
# === IMAGE INFORMATION ==========================================================
  1   1    1  1 0 2     0  16    62   76   76     0.00000   1.29035 4.28404e-003
"""
    return text.format(**PATIENT | {"examination_name": ""} | fields).encode("latin-1")


def philips_xml(**fields: str) -> bytes:
    """Return PAR as XML."""
    text = """<PRIDE_V5>
 <Series_Info>
  <Attribute Name="Patient Name" Tag="0x00100010" Level="Patient" Type="String">{PatientName}</Attribute>
  <Attribute Name="Patient ID" Tag="0x00100020" Level="Patient" Type="String">{PatientID}</Attribute>
  <Attribute Name="Protocol Name" Tag="0x00181030" Type="String">T1</Attribute>
 </Series_Info>
</PRIDE_V5>
"""
    return text.format(**{k: escape(v) for k, v in (PATIENT | fields).items()}).encode()


XPROTOCOL = """<XProtocol>
{{
  <ParamMap."">
  {{
    <ParamString."tPatientName">  {{ "{PatientName}"  }}
    <ParamString."PatientID">  {{ "{PatientID}"  }}
    <ParamString."PatientBirthDay">  {{ "{PatientBirthDate}"  }}
    <ParamString."tReferringPhysician">
    {{
    }}
    <ParamString."InstitutionName">  {{ "A hospital"  }}
    <ParamDouble."flPatientAge">  {{ <Precision> 6  40.0  }}
  }}
}}
"""


def twix(scans: int = 0, *, table: str | None = None, **fields: str) -> bytes:
    """Return raw data of Siemens: VB, or VD with some measurements and a name in their table."""
    protocol = XPROTOCOL.format(**PATIENT | fields).encode("latin-1")
    buffers = b"".join(
        name + b"\0" + struct.pack("<I", len(text)) + text
        for name, text in ((b"Config", protocol), (b"Dicom", protocol), (b"Meas", b"x"))
    )
    header = struct.pack("<II", len(buffers) + 8, 3) + buffers + bytes(1024)
    if not scans:
        return header
    name = (fields.get("PatientName", "") if table is None else table).encode("latin-1")
    start = 10240
    entries = (
        struct.pack("<IIQQ64s64s", n, n, start + n * len(header), len(header), name, b"svs")
        for n in range(scans)
    )
    return (struct.pack("<II", 0, scans) + b"".join(entries)).ljust(start, b"\0") + header * scans


def pfile(revision: float = 26.002, **fields: str) -> bytes:
    """Return raw data of GE, with the places that the revision has."""
    exam, size, places = {
        7.0: (36882, 39936, ((91, 25), (78, 13), (721, 9))),
        9.0: (57362, 60924, ((91, 25), (78, 13), (721, 9))),
        11.0: (61677, 65591, ((220, 25), (207, 13), (532, 9))),
        16.0: (141161, 145397, ((220, 25), (207, 13), (532, 9))),
        20.006: (143877, 149189, ((459, 65), (524, 65), (606, 9))),
        20.007: (143877, 149788, ((467, 65), (532, 65), (614, 9))),
        21.0: (144425, 150336, ((467, 65), (532, 65), (614, 9))),
        24.0: (143877, 149189, ((467, 65), (532, 65), (614, 9))),
        26.002: (194717, 200029, ((467, 65), (532, 65), (614, 9))),
        28.003: (202909, 208221, ((467, 65), (532, 65), (614, 9))),
        31.0: (203213, 208525, ((467, 65), (532, 65), (614, 9))),
    }.get(revision, (0, 200000, ()))
    made = bytearray(size + 1024)
    struct.pack_into(">f" if revision < 11 else "<f", made, 0, revision)
    logo = 110 if revision >= 26 else 34
    made[logo : logo + 10] = b"GE_MED_NMR"
    for name, (place, length) in zip(PATIENT, places, strict=False):
        value = fields.get(name, "").encode("latin-1")[: length - 1]
        made[exam + place : exam + place + len(value)] = value
    return bytes(made)


def bruker(owner: str = "nmrsu", path: str = "", **fields: str) -> bytes:
    """Return a file of parameters of ParaVision."""
    where = f"$$ {path}\n" if path else ""
    text = f"""##TITLE=Parameter List, ParaVision 6.0.1
##JCAMPDX=4.24
##DATATYPE=Parameter Values
##ORIGIN=Bruker BioSpin MRI GmbH
##OWNER={owner}
$$ 2024-01-02 13:35:29.000 +0200  {owner}@scanner
{where}##$SUBJECT_name_string=( 64 )
<{{PatientName}}>
##$SUBJECT_id=( 60 )
<{{PatientID}}>
##$SUBJECT_dbirth=( 20 )
<{{PatientBirthDate}}>
##$SUBJECT_sex=MALE
##$PVM_SpatDimEnum=<1D>
##END=
"""
    return text.format(**PATIENT | fields).encode("latin-1")


def mrui(text: str = "", signals: int = 1, points: int = 64) -> bytes:
    """Return a signal of jMRUI, with a text after its points."""
    header = [0.0] * 64
    header[1], header[2], header[5], header[6], header[13] = points, 0.5, 1.2e8, 3.0, signals
    numbers = [0.25] * (points * 2 * signals)
    return struct.pack(f">{64 + len(numbers)}d", *header, *numbers) + text.encode("latin-1")


def mrui_text(**fields: str) -> bytes:
    """Return jMRUI's text file."""
    text = """jMRUI Data Textfile

Filename: signal.txt

PointsInDataset: 2
DatasetsInFile: 1
SamplingInterval: 5E-1
NameOfPatient: {PatientName}
DateOfExperiment: 20240102
Spectrometer: Prisma
AdditionalInfo:
SignalNames: signal;

Signal 1 out of 1 in file
1.0 0.0 1.0 0.0
"""
    return text.format(**PATIENT | fields).encode("latin-1")


def lcmodel(title: str = "", identifier: str = "") -> bytes:
    """Return a .RAW of LCModel."""
    text = f""" $SEQPAR
 ECHOT = 30.
 SEQ = 'PRESS'
 $END
 $NMID
 ID='{identifier}', FMTDAT='(2E15.6)'
 TITLE = '{title}'
 VOLUME=8.0, TRAMP=1.0
 $END
   1.000000E+00   0.000000E+00
"""
    return text.encode("latin-1")


def nifti(
    version: int = 1,
    *,
    texts: Mapping[str, str] = MappingProxyType({}),
    extensions: Sequence[tuple[int, bytes]] = (),
    order: str = "<",
) -> bytes:
    """Return a small image, with texts in its header and extensions."""
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    blank = kind.header_class(endianness=order)  # type: ignore[no-untyped-call]
    image = kind(np.zeros((2, 2, 2), np.int16), np.eye(4), blank)  # type: ignore[no-untyped-call]
    for name, value in texts.items():
        image.header[name] = value.encode("latin-1")
    for code, content in extensions:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, content))
    written: bytes = image.to_bytes()
    return written


def sidecar(**fields: object) -> bytes:
    """Return the JSON that stands beside an image."""
    return json.dumps({"Modality": "MR", "Manufacturer": "Siemens", **fields}).encode()


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def spectrum(header: bytes) -> bytes:
    """Return a spectrum of NIfTI-MRS with this header extension."""
    image = nib.Nifti2Image(np.ones((1, 1, 1, 8), np.complex64), np.eye(4))  # type: ignore[no-untyped-call]
    image.header["intent_name"] = b"mrs_v0_9"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(44, header))
    written: bytes = image.to_bytes()
    return written
