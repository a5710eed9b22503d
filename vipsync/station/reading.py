"""What is in a place that has become quiet: which studies, whose, which series, and the content of each file.

pydicom is imported for the first file that is DICOM by its content. Paths, names and identifiers
leave this module only as digests, but for descriptions of series and paths inside the place.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from vipsync.disk.files import opened_file
from vipsync.errors import FolderAbsent
from vipsync.model import BLOCK
from vipsync.station.model import DIGEST, Contents, Series
from vipsync.station.survey import hidden_name, person_key, study_key

INSTALL = "pip install 'vipsync[dicom]'"
_MAGIC_AT, _MAGIC = 128, b"DICM"
_META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_SUBJECT_UID = re.compile(rb"##\$SUBJECT_study_instance_uid=\([^)]*\)\s*<([^>]+)>")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_HEADER = 1 << 22
"""Bytes of a file, and of what it unpacks to, that are looked at: a small one may hold gigabytes."""
_MAY_SAY_DEFLATED = 1 << 10
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_ROWS = 0x00280010
_UNDEFINED = 0xFFFFFFFF
_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
_TAIL = 1 << 16
"""Bytes at the end of a file in which compressed images end: little may follow them."""
_LAST = 0x0020FFFF
_MOST_SUBJECT = 1 << 16
_TAGS = [
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "PatientID",
    "PatientName",
    "ImagesInAcquisition",
    "NumberOfSeriesRelatedInstances",
]


class NoDicom(Exception):
    """pydicom is not installed, and a file is DICOM."""


class Whose(Struct):
    """What the headers of a place name; never written down, but for the table on this machine."""

    persons: set[str] = set()


class _Series(Struct):
    name: str = ""
    numbers: set[int] = set()
    announced: int = 0
    cut: int = 0
    words: set[str] = field(default_factory=set)


def first_words(path: Path) -> tuple[str, str]:
    """Return the study's id and the person that a file names, empty where it names none, or not yet."""
    if path.name == "subject":
        return _bruker(path), ""
    try:
        header = _header(path)
    except NoDicom:
        return "", ""
    if header is None:
        return "", ""
    return str(header.get("StudyInstanceUID", "")), _person(header)


def read_place(
    files: Iterable[tuple[str, Path]],
    place: str,
    secret: bytes,
    *,
    lone: bool,
    stop: Callable[[], None] = lambda: None,
) -> tuple[Contents, Whose]:
    """Return what a place holds, and whose it is; `lone`: its one file is known by its content."""
    studies, whose = dict[str, None](), Whose()
    series = defaultdict[str, _Series](_Series)
    words, hashes, problem = dict[str, None](), set[str](), ""
    for name, path in files:
        stop()
        words[name] = None
        hashes.add(content_of(path, "" if lone else name))
        try:
            header = _header(path)
        except NoDicom:
            problem = f"It holds DICOM, and pydicom is not installed: {INSTALL}"
            continue
        if header is not None:
            studies[study_key(secret, str(header.get("StudyInstanceUID", "")))] = None
            _take_in(header, series, whose).cut += is_cut(path)
        elif name.rpartition("/")[2] == "subject" and (uid := _bruker(path)):
            studies[study_key(secret, uid)] = None
    found = tuple(studies) or (_by_itself(secret, place, hashes, lone=lone),)
    for one in series.values():
        words.update(dict.fromkeys(one.words))
    contents = Contents(
        found,
        person_key(secret, *sorted(whose.persons)),
        "".join(sorted(hashes)),
        tuple(words),
        tuple(
            Series(
                hidden_name(secret, "series", uid)[:DIGEST],
                s.name,
                tuple(sorted(s.numbers)),
                s.announced,
                s.cut,
            )
            for uid, s in series.items()
        ),
        problem,
    )
    return contents, whose


def _by_itself(secret: bytes, place: str, hashes: set[str], *, lone: bool) -> str:
    """Return what a study without an id of its own is known by: its path, or a lone file its content."""
    return hidden_name(secret, "content", *sorted(hashes)) if lone else place


def content_of(path: Path, name: str) -> str:
    """Return what tells a file from others: its name in the study and its content.

    DICOM is known by its data set alone: a receiver names files, and writes a header of its own.
    """
    try:
        with opened_file(path) as file:
            start = file.read(_MAGIC_AT + 16)
            data_at = _data_at(start)
            file.seek(data_at)
            digest = hashlib.sha256(b"" if data_at else f"{name}\0".encode("utf-8", "replace"))
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise FolderAbsent(f"A file of the export cannot be read: {error.strerror}.") from error
    return digest.hexdigest()[:DIGEST]


def _data_at(start: bytes) -> int:
    """Return where the data set begins: what stands before it names the sender, not the study."""
    meta = _MAGIC_AT + len(_MAGIC)
    if start[_MAGIC_AT:meta] != _MAGIC or start[meta : meta + 8] != _META_LENGTH:
        return 0
    return meta + 12 + int.from_bytes(start[meta + 8 : meta + 12], "little")


def _header(path: Path) -> dict[str, Any] | None:
    """Return what a DICOM file's header says of the study, None for another file."""
    try:
        with opened_file(path) as file:
            start = file.read(_MAGIC_AT + 4)
            if start[_MAGIC_AT:] != _MAGIC:
                return None
            start += file.read(_MOST_HEADER)
    except OSError:
        return None
    try:
        from pydicom import config, filereader
        from pydicom.tag import Tag
    except ImportError as error:
        raise NoDicom from error
    config.settings.reading_validation_mode = config.IGNORE  # its warnings quote values
    tags: list[Any] = [Tag(name) for name in _TAGS]
    try:
        data_at = _data_at(start)
        if _DEFLATED not in start[: data_at or _MAY_SAY_DEFLATED]:
            return _values(filereader.read_partial(BytesIO(start), _is_behind, specific_tags=tags))
        data = BytesIO(
            zlib.decompressobj(-zlib.MAX_WBITS).decompress(start[data_at:], _MOST_HEADER)
        )
        read = filereader.read_dataset(data, False, True, None, _is_behind, specific_tags=tags)
        return _values(read)
    except Exception:  # a parser's answer to absurd content
        return None


def is_cut(path: Path) -> bool:
    """Tell whether a DICOM file ends before its own elements do: an association may break off anywhere."""
    try:
        with opened_file(path) as file:
            start, size = file.read(_MOST_HEADER), file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
        return _ends_early(start, size, tail)
    except (EOFError, struct.error):  # in the middle of an element's own head
        return size <= len(start)
    except Exception:  # what cannot be read is told elsewhere
        return False


def _ends_early(start: bytes, size: int, tail: bytes) -> bool:
    data_at = _data_at(start)
    if _DEFLATED in start[: data_at or _MAY_SAY_DEFLATED]:
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
        unpacking.decompress(start[data_at:], _MOST_HEADER)
        return size <= len(start) and not (unpacking.eof or unpacking.unconsumed_tail)
    reach = _reach(start)
    if reach.pixels == _UNDEFINED:
        return _DELIMITER not in tail
    lacks_pixels = reach.is_image and reach.pixels is None and size <= len(start)
    return reach.end > size or lacks_pixels


class _Reach(Struct):
    """Where the last element of a file ends, as it says; whether that is an image, and how long it is."""

    end: int = 0
    is_image: bool = False
    pixels: int | None = None


def _reach(start: bytes) -> _Reach:
    from pydicom import filereader
    from pydicom.tag import Tag

    found, data = _Reach(), BytesIO(start)

    def passes(tag: int, _vr: str | None, length: int) -> bool:
        found.end = max(found.end, data.tell() + (0 if length == _UNDEFINED else length))
        found.is_image |= tag == _ROWS
        if tag in _PIXELS:
            found.pixels = length
        return tag in _PIXELS

    filereader.read_partial(data, passes, specific_tags=[Tag(_ROWS)])
    return found


def _values(header: Any) -> dict[str, Any]:
    """Return the values that can be read: pydicom reads each when it is asked for."""
    found = {}
    for name in _TAGS:
        with suppress(Exception):
            if (value := header.get(name)) is not None:
                found[name] = value
    return found


def _is_behind(tag: int, _vr: str | None, _length: int) -> bool:
    return tag > _LAST


def _take_in(header: dict[str, Any], series: dict[str, _Series], whose: Whose) -> _Series:
    one = series[str(header.get("SeriesInstanceUID", ""))]
    one.words.update(
        str(text) for tag in ("SeriesDescription", "ProtocolName") if (text := header.get(tag))
    )
    one.name = f"series {_number(header.get('SeriesNumber')) or '?'}"
    if (number := _number(header.get("InstanceNumber"))) is not None:
        one.numbers.add(number)
    for tag in ("NumberOfSeriesRelatedInstances", "ImagesInAcquisition"):
        one.announced = max(one.announced, _number(header.get(tag)) or 0)
    if person := _person(header):
        whose.persons.add(person)
    return one


def _person(header: dict[str, Any]) -> str:
    words = (str(header.get("PatientName", "")), str(header.get("PatientID", "")))
    return " ".join(word for word in words if word)


def _number(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _bruker(path: Path) -> str:
    try:
        with opened_file(path) as file:
            found = _SUBJECT_UID.search(file.read(_MOST_SUBJECT))
    except OSError:
        return ""
    return found[1].decode("ascii", "replace").strip() if found else ""
