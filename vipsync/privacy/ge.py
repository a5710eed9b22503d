"""GE P-files: a header whose layout goes by its revision.

The places are those of the header of the exam in the revisions from 7 to 31; between two revisions it
moved when something before it grew.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import strings

_LOGOS = (b"GE_MED_NMR", b"INVALIDNMR")
_LOGO_PLACES = (34, 110)  # until revision 25, and since


class _Layout(NamedTuple):
    """Where the fields of the exam lie, counted from `exam`: name, place, length."""

    since: float
    below: float
    exam: int
    fields: tuple[tuple[str, int, int], ...]


_OLD = (
    ("HospitalName", 0, 33), ("PatientID", 78, 13), ("PatientName", 91, 25), ("ExamComment", 128, 61),
    ("AccessionNumber", 189, 13), ("ReferringPhysicianName", 206, 33), ("Radiologist", 239, 33),
    ("OperatorsName", 272, 4), ("StudyDescription", 276, 23), ("PatientName", 574, 65),
    ("PatientID", 639, 65), ("AccessionNumber", 704, 17), ("PatientBirthDate", 721, 9),
)  # fmt: skip
_MIDDLE = (
    ("AccessionNumber", 0, 13), ("ReferringPhysicianName", 13, 33), ("Radiologist", 46, 33),
    ("OperatorsName", 79, 4), ("StudyDescription", 83, 65), ("HospitalName", 174, 33),
    ("PatientID", 207, 13), ("PatientName", 220, 25), ("PatientName", 385, 65), ("PatientID", 450, 65),
    ("AccessionNumber", 515, 17), ("PatientBirthDate", 532, 9),
)  # fmt: skip
_NEW = (
    ("ExamHistoryComment", -257, 257), ("ReferringPhysicianName", 0, 65), ("Radiologist", 65, 65),
    ("OperatorsName", 130, 65), ("StudyDescription", 195, 65),
)  # fmt: skip


def _newer(hospital: int, patient: int) -> tuple[tuple[str, int, int], ...]:
    rest = (
        ("HospitalName", hospital, 33), ("PatientName", patient, 65), ("PatientID", patient + 65, 65),
        ("AccessionNumber", patient + 130, 17), ("PatientBirthDate", patient + 147, 9),
    )  # fmt: skip
    return _NEW + rest


_LAYOUTS = (
    _Layout(7, 9, 36882, _OLD),
    _Layout(9, 11, 57362, _OLD),
    _Layout(11, 13, 61677, _MIDDLE),
    _Layout(14, 17, 141161, _MIDDLE),
    _Layout(20, 20.0065, 143877, _newer(286, 459)),
    _Layout(20.0065, 21, 143877, _newer(294, 467)),
    _Layout(21, 23, 144425, _newer(286, 459) + _newer(294, 467)),  # which of the two is not told
    _Layout(23, 26, 143877, _newer(294, 467)),
    _Layout(26, 27.0005, 194717, _newer(294, 467)),
    _Layout(27.0005, 30.5, 202909, _newer(294, 467)),
    _Layout(31, 31.05, 203213, _newer(294, 467)),
)


def recognise(content: Content) -> bool:
    """Return whether GE's mark stands where a P-file has it."""
    return any(content.at(place, 10) in _LOGOS for place in _LOGO_PLACES)


def read(content: Content, reading: Reading) -> None:
    """Write down the fields of the exam."""
    reading.format = "GE P-file"
    reading.not_checked = ("the rest of the P-file's header", "raw data")
    revision = _revision(content)
    layout = next((one for one in _LAYOUTS if one.since <= revision < one.below), None)
    if not layout:
        raise NotUnderstood(f"revision {revision:.6g} of GE's P-files is not known")
    for name, place, length in layout.fields:
        start = layout.exam + place
        raw = content.at(start, length)
        if len(raw) < length:
            raise NotUnderstood("the header of the P-file is cut short")
        for value in strings(raw):
            reading.named(name, value, (start, start + length))


def _revision(content: Content) -> float:
    """Return the revision; the first ones are of machines with the other order of bytes."""
    little, big = (struct.unpack(order + "f", content.at(0, 4))[0] for order in "<>")
    found: float = big if 7 <= big < 11 else little
    return found
