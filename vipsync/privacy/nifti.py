"""NIfTI-1, NIfTI-2 and Analyze: texts in the header, and extensions."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from vipsync.privacy import dicom, sidecars
from vipsync.privacy.content import Content, NotUnderstood, Part
from vipsync.privacy.findings import Layer
from vipsync.privacy.reading import EVERYTHING, Reading
from vipsync.privacy.texts import strings

_FLAG = 4  # bytes after the header that say whether extensions follow
_MOST_EXTENSION = 1 << 24
_MOST_EXTENSIONS = 1000
_DICOM, _COMMENT, _MRS = 2, 6, 44
_TOOLS = re.compile(
    r"(FSL|FreeSurfer|SPM|AFNI|ANTs|ITK|nibabel|dcm2nii|mrtrix|mri_convert|TE=|Time=|phase=|5\.0|6\.0"
    r"|mrs_v\d|Conn(Dense|Parcels?)|NIFTI)[ -~]*|none|v[\d.]+ NIfTI-1 Single file format",
    re.IGNORECASE,
)
"""What programs write into these fields by themselves."""


class _Layout(NamedTuple):
    """A header: `data`, `dims` and `bits` are format and place of where the data begin, and how many there are."""

    name: str
    size: int
    data: tuple[str, int]
    dims: tuple[str, int]
    bits: int
    texts: tuple[tuple[str, int, int], ...]


_COMMON = (("db_name", 14, 18), ("descrip", 148, 80), ("aux_file", 228, 24))
_SMALL = ("8h", 40), 72
_ONE = _Layout("NIfTI-1", 348, ("f", 108), *_SMALL, (*_COMMON, ("intent_name", 328, 16)))
_TWO = _Layout(
    "NIfTI-2",
    540,
    ("q", 168),
    ("8q", 16),
    14,
    (("descrip", 240, 80), ("aux_file", 320, 24), ("intent_name", 508, 16)),
)
_ANALYZE = _Layout(
    "Analyze", 348, ("f", 108), *_SMALL,
    (*_COMMON, ("generated", 263, 10), ("scannum", 273, 10), ("PatientID", 283, 10)),
)  # fmt: skip


def recognise(content: Content) -> bool:
    """Return whether the content begins with one of these headers."""
    return _layout(content) is not None


def _layout(content: Content) -> tuple[str, _Layout] | None:
    head = content.at(0, 348)
    if len(head) < 348:
        return None
    for order in "<>":
        (size,) = struct.unpack(f"{order}i", head[:4])
        if size == 540 and head[4:8] in (b"n+2\0", b"ni2\0"):
            return order, _TWO
        if size == 348 and head[344:348] in (b"n+1\0", b"ni1\0"):
            return order, _ONE
        if size == 348 and (
            head[38:39] == b"r" or struct.unpack(f"{order}i", head[32:36]) == (16384,)
        ):
            return order, _ANALYZE
    return None


def read(content: Content, reading: Reading) -> None:
    """Write down the texts of the header and what the extensions say."""
    found = _layout(content)
    if not found:
        raise NotUnderstood("the NIfTI header is damaged")
    order, layout = found
    reading.format, reading.not_checked = layout.name, ("pixels", "faces")
    for name, place, length in layout.texts:
        for value in strings(content.at(place, length)):
            if _TOOLS.fullmatch(value):
                reading.told(name, value)
            elif any(c.isalnum() for c in value):
                reading.add(Layer.FIELD, name, value, (place, place + length))
    start = _begin_of_data(content, order, layout)
    end = start + _bytes_of_data(content, order, layout) if start else 0
    if start:
        reading.own.append((start, end))
    at = layout.size
    if layout is not _ANALYZE:
        at = _extensions(content, reading, order, layout.size, start)
    content.require_padding(at, start or EVERYTHING, _BETWEEN)
    if start:
        content.skip(end)
        content.require_padding(end, EVERYTHING, "something follows the voxels of the image")


_BETWEEN = "something follows the header of the image, and is none of its extensions"


def _begin_of_data(content: Content, order: str, layout: _Layout) -> int:
    """Return where the voxels begin; 0 where they lie in a file of their own."""
    (said,) = _numbers(content, order, *layout.data)
    data = int(said) if 0 <= said < EVERYTHING else 0
    together = content.at(4 if layout is _TWO else 344, 4)[1:2] == b"+" and layout is not _ANALYZE
    return max(data, layout.size + _FLAG) if together else 0


def _bytes_of_data(content: Content, order: str, layout: _Layout) -> int:
    number, *dims = _numbers(content, order, *layout.dims)
    (bits,) = _numbers(content, order, "h", layout.bits)
    size: int = math.prod(max(1, size) for size in dims[: max(0, number)]) * max(0, bits) // 8
    return size


def _numbers(content: Content, order: str, kind: str, place: int) -> tuple[Any, ...]:
    return struct.unpack(order + kind, content.at(place, struct.calcsize(order + kind)))


def _extensions(content: Content, reading: Reading, order: str, at: int, data: int) -> int:
    """Read the extensions; return where the last one ends."""
    places, unread = _extension_places(content, order, at, data), set()
    at += len(content.at(at, _FLAG))
    for kind, start, length in places:
        at, part, before = start + length, Part(content, start, length), len(reading.own)
        if kind == _MRS:
            sidecars.read_json(part, reading)
        elif kind == _DICOM and dicom.recognise(part):
            dicom.read(part, reading)
        elif kind in (_DICOM, _COMMENT):
            for value in strings(part.at(0, length)):
                reading.add(Layer.FIELD, "NIfTIComment", value, (0, length))
        else:
            unread.add(kind)
        reading.own[before:] = [(begin + start, end + start) for begin, end in reading.own[before:]]
    if unread:
        raise NotUnderstood(
            f"NIfTI extensions of kind {', '.join(map(str, sorted(unread)))} are not read"
        )
    return at


def _extension_places(
    content: Content, order: str, at: int, end: int
) -> Iterator[tuple[int, int, int]]:
    """Yield kind, start and length of each extension."""
    flag = content.at(at, _FLAG)
    at += _FLAG
    left = _MOST_EXTENSIONS
    while flag[:1] not in (b"", b"\0") and (not end or at + 8 <= end):
        head = content.at(at, 8)
        if (len(head) < 8 and not end) or not head.strip(b"\0"):
            return  # what is left is filled up
        size, kind = struct.unpack(f"{order}ii", head.ljust(8, b"\0"))
        left -= 1
        if not 8 <= size <= _MOST_EXTENSION or (end and at + size > end) or not left:
            raise NotUnderstood("an extension of the NIfTI file has no true length")
        yield kind, at + 8, size - 8
        at += size
