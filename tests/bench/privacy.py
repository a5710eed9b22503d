"""The rows about inspection: many DICOM files, and the search through what is no picture.

`python -m tests.bench.privacy hash|inspect FOLDER` reads what lies there, in a process of its own.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.measured import ROOT, command
from tests.bench.rows import ROUNDS, Row
from vipsync.privacy.inspecting import inspect

PERSON: dict[str, Any] = {
    "PatientName": "Smith^John",
    "PatientID": "A123456",
    "PatientBirthDate": "19700131",
}
KINDS = 100


def headers(root: Path, count: int) -> Row:
    """Row: files as a scanner writes them, with 300 elements, a private header and a picture."""
    row, folder = (
        Row(f"inspect {count:,} DICOM files", "≤ 60 s, ≤ 2 ms each, ≤ 150 MB"),
        root / "dcm",
    )
    folder.mkdir()
    for number in range(KINDS):
        (folder / f"{number}.dcm").write_bytes(_image(number))
    for number in range(KINDS, count):
        os.link(folder / f"{number % KINDS}.dcm", folder / f"{number}.dcm")
    _measure(row, folder)
    row.note = f"{row.measures['vipsync'].seconds / count * 1000:.2f} ms each, with its hash"
    return row


def _image(number: int) -> bytes:
    from tests.lab import scans  # numpy would count in the memory of what is started from here

    inner = scans.dataset(
        ReferencedImageSequence=[
            scans.dataset(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID=f"1.2.{n}")
            for n in range(40)
        ]
    )
    block = inner.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", os.urandom(20_000))
    for element in range(0x20, 0xB0):
        block.add_new(element, "LO", f"value {element}")
    return scans.dicom(
        inner, PixelData=os.urandom(128 * 128 * 2), InstanceNumber=str(number),
        InstitutionName="Hospital", StudyDate="20240102", SeriesDescription="t1", **PERSON,
    )  # fmt: skip


def searching(root: Path, size: int = 2**30) -> Row:
    """Row: raw data, of which each byte is searched for three values in each spelling."""
    from tests.lab import scans

    row, folder = Row(f"search {size >> 20:,} MiB for a person", "≥ 150 MB/s"), root / "raw"
    folder.mkdir()
    with (folder / "meas.dat").open("wb") as file:
        file.write(scans.twix(**PERSON))
        for _ in range(size >> 20):
            file.write(os.urandom(2**20))
    _measure(row, folder)
    row.note = f"{size / 1e6 / row.measures['vipsync'].seconds:.0f} MB/s, with its hash"
    return row


def _measure(row: Row, folder: Path) -> None:
    for _ in range(ROUNDS):
        for name, work in (("limit", "hash"), ("vipsync", "inspect")):
            words = [sys.executable, "-m", "tests.bench.privacy", work, str(folder)]
            row.add(name, command(words, ROOT))


def _hash(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _inspect(path: Path) -> None:
    assert inspect(path, path.name, see=hashlib.sha256().update).findings


WORKS: dict[str, Callable[[Path], None]] = {"hash": _hash, "inspect": _inspect}

if __name__ == "__main__":
    for found in sorted(Path(sys.argv[2]).iterdir()):
        WORKS[sys.argv[1]](found)
