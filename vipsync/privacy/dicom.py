"""DICOM: every element at every depth, by its own walk along tags and lengths.

pydicom knows what the tags mean. Its reader is not used: it warns and logs with values, holds each
value in memory, takes a file that is cut short for a whole one, and calls itself for each item.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from vipsync.model import BLOCK
from vipsync.privacy.content import Content, NotUnderstood, Unpacked
from vipsync.privacy.findings import Layer
from vipsync.privacy.profile import PROFILE
from vipsync.privacy.reading import EVERYTHING, Reading


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


INSTALL = "pip install 'vipsync[dicom]'"

_DEEPEST = 64
_MOST_ELEMENTS = 1_000_000
_MOST_TEXT = 1 << 14
_TRAILER = struct.Struct("<LL")
_UNPACK = {order: struct.Struct(f"{order}HHL").unpack_from for order in "<>"}
_MOST_INFLATED = 1 << 30
_NO_ELEMENT = "the DICOM file holds zeros where an element should be"
_AFTER_PACKED = "something follows what is packed in the DICOM file"
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SHORT = _words("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US")
_LONG = _words("OB OD OF OL OV OW SQ SV UC UN UR UT UV")
_TEXT = _words("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT")
_DEFLATED, _BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_CHARSET, _SYNTAX, _SOP_CLASS, _IMAGE_TYPE = 0x00080005, 0x00020010, 0x00080016, 0x00080008
_BURNED_IN, _DOCUMENT = 0x00280301, 0x00420011
_PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010, 0x56000020, 0x54001010}

_FIELDS = _words("""
    PatientID OtherPatientIDs PatientBirthDate PatientBirthTime PatientBirthDateInAlternativeCalendar
    PatientAddress PatientTelephoneNumbers PatientTelecomInformation MedicalRecordLocator
    AccessionNumber AdmissionID ServiceEpisodeID
    ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers PersonAddress PersonTelephoneNumbers
    PersonTelecomInformation IssuerOfPatientID AdditionalPatientHistory PhysicianApprovingInterpretation
    PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
    PlacerOrderNumberProcedure FillerOrderNumberProcedure OrderCallbackPhoneNumber
    OrderCallbackTelecomInformation RequestingPhysician ReferringPhysicianName IdentifyingComments
""")
_TELLING = re.compile(r"Institution|Station|SerialNumber|Description|ProtocolName|^Patient")
_KINDS = (
    (r"\.5\.1\.4\.1\.1\.7(\.|$)", "SecondaryCapture"),
    (r"\.5\.1\.4\.1\.1\.(3|3\.1|6|6\.1|6\.2|6\.3)$", "Ultrasound"),
    (r"\.5\.1\.4\.1\.1\.104\.", "EncapsulatedDocument"),
    (r"\.5\.1\.4\.1\.1\.88\.", "StructuredReport"),
)
"""SOP classes below 1.2.840.10008 whose pixels or texts often hold a name."""


def recognise(content: Content) -> bool:
    """Return whether the content is DICOM, with or without its preamble."""
    return content.at(128, 4) == b"DICM" or _begins_with_an_element(content.at(0, 12))


def _begins_with_an_element(head: bytes) -> bool:
    if len(head) < 12:
        return False
    vr = head[4:6].decode("latin-1")
    if head[:2] in (b"\x08\0", b"\x02\0", b"\0\x08") and vr in _SHORT | _LONG:
        return True
    group, element, length = struct.unpack("<HHL", head[:8])
    return group == 8 and element in (0, 1, 5, 8, 0x12, 0x16, 0x18) and 0 < length <= 256


def read(content: Content, reading: Reading) -> None:
    """Write down every element that says whose data these are."""
    reading.format = "DICOM"
    reading.not_checked = ("pixels", "faces", "the meaning of free text")
    require_pydicom(reading)
    _Walk(content, reading).file()


def require_pydicom(reading: Reading) -> None:
    """Let a file be refused, with the line that installs what reads it, where that is missing."""
    try:
        import pydicom  # noqa: F401  # optional
    except ImportError:
        reading.refuse_unread = True
        raise NotUnderstood(f"DICOM is read only with pydicom: {INSTALL}") from None


class _Element(NamedTuple):
    tag: int
    vr: str
    start: int  # of the value
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


class _Walk:
    """Go through the elements of one file."""

    def __init__(self, content: Content, reading: Reading) -> None:
        self._content, self._reading = content, reading
        self._order = "<"
        self._charset = "latin-1"
        self._creators: dict[int, str] = {}
        self._count = 0
        self._private = 0

    def file(self) -> None:
        """Read preamble, file meta information and data set."""
        start, syntax = 0, ""
        if self._content.at(128, 4) == b"DICM":
            self._preamble(self._content.at(0, 128))
            start = 132
        start, syntax = self._meta(start)
        if syntax == _DEFLATED:
            self._inflated(start)
        else:
            self._data(start, syntax)
        if self._private:
            self._reading.told("private elements", str(self._private))

    def _preamble(self, preamble: bytes) -> None:
        text = " ".join(t.decode() for t in re.findall(rb"[ -~]{5,}", preamble))
        if any(c.isalpha() for c in text):
            self._reading.add(Layer.FIELD, "preamble", text, (0, 128))
        elif preamble.strip(b"\0"):
            self._reading.told("preamble")

    def _meta(self, at: int) -> tuple[int, str]:
        syntax = ""
        while self._content.at(at, 2) == b"\x02\0":
            element = self._element(at, self._is_explicit(at))
            if element.tag == _SYNTAX:
                syntax = self._text(element)
            self._leaf(element)
            at = element.end
        return at, syntax

    def _data(self, start: int, syntax: str) -> None:
        head = self._content.at(start, 2)
        if syntax == _BIG_ENDIAN or (not syntax and head[:1] == b"\0" and head[1:] != b"\0"):
            self._order = ">"
        self._elements(start, self._content.size, self._is_explicit(start), 0)

    def _inflated(self, start: int) -> None:
        inner = Unpacked(_inflate(self._content, start))
        try:
            walk = _Walk(inner, self._reading)
            walk._data(0, "")
            self._private += walk._private
        finally:
            inner.close()
            self._reading.own.clear()  # places in another stream
            self._reading.not_checked += ("other places in what is deflated",)

    def _is_explicit(self, at: int) -> bool:
        vr = self._content.at(at + 4, 2)
        return len(vr) == 2 and all(0x40 < c < 0x5B for c in vr)

    def _elements(self, at: int, end: int, explicit: bool, depth: int) -> int:
        """Read elements up to `end`, or to the mark that ends an item; return where that is."""
        while at < end:
            if not self._content.at(at, 8).strip(b"\0"):
                self._content.require_padding(at, end, _NO_ELEMENT)
                return end
            element = self._element(at, explicit)
            if element.tag == _ITEM_END:
                return element.start
            if element.tag == _SEQUENCE_END:
                return at  # an item without its mark
            at = self._value(element, end, explicit, depth)
        return at

    def _element(self, at: int, explicit: bool) -> _Element:
        self._count += 1
        head = self._content.at(at, 12)
        if len(head) < 8:
            raise NotUnderstood("the DICOM file is cut short")
        if self._count > _MOST_ELEMENTS:
            raise NotUnderstood(f"the DICOM file has more than {_MOST_ELEMENTS:,} elements")
        group, number, length = _UNPACK[self._order](head)
        tag, vr, start = group << 16 | number, "", at + 8
        if explicit and group != 0xFFFE and head[4:6].isupper() and head[4:6].isalpha():
            vr = head[4:6].decode()
            if vr in _LONG and len(head) == 12:
                (length,), start = struct.unpack(f"{self._order}L", head[8:]), at + 12
            else:
                (length,) = struct.unpack(f"{self._order}H", head[6:8])
        if vr in ("", "UN"):
            vr = self._private_vr(tag) if group % 2 else _usual_vr(tag) or vr
        return _Element(tag, vr, start, length)

    def _private_vr(self, tag: int) -> str:
        """Return what kind of value a private element has, by the vendor who reserved its block."""
        creator = self._creators.get(tag >> 8, "")
        return (
            _vendors_vr(creator, tag) if creator else "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
        )

    def _value(self, element: _Element, end: int, explicit: bool, depth: int) -> int:
        if element.tag in PROFILE and element.vr == "SQ" and element.length:
            self._reading.told(_title(element.tag))
        if element.length == _UNDEFINED:
            if element.tag in _PIXELS or element.vr in ("OB", "OW"):
                return self._fragments(element.start, end)
            return self._items(element.start, end, explicit, depth + 1)
        if element.end > end:
            raise NotUnderstood("a length in the DICOM file points beyond its end")
        if element.vr == "SQ":
            self._items(element.start, element.end, explicit, depth + 1)
        else:
            if self._holds_items(element):
                with suppress(NotUnderstood):  # bytes that begin as a sequence does, by chance
                    self._items(element.start, element.end, explicit, depth + 1)
            self._leaf(element)
        return element.end

    def _holds_items(self, element: _Element) -> bool:
        item = struct.pack(f"{self._order}HH", 0xFFFE, 0xE000)
        return (
            element.vr in ("UN", "", "OB")
            and element.length >= 8
            and element.tag not in _PIXELS
            and self._content.at(element.start, 4) == item
        )

    def _items(self, at: int, end: int, explicit: bool, depth: int) -> int:
        """Read the items of a sequence up to `end`, or to the mark that ends it; return where that is."""
        if depth > _DEEPEST:
            raise NotUnderstood(f"sequences in the DICOM file are nested more than {_DEEPEST} deep")
        while at < end:
            item = self._element(at, explicit=False)
            if item.tag == _SEQUENCE_END:
                return item.start
            if item.tag != _ITEM:
                raise NotUnderstood("a sequence in the DICOM file holds something that is no item")
            open_ended = item.length == _UNDEFINED
            if not open_ended and item.end > end:
                raise NotUnderstood("a length in the DICOM file points beyond its end")
            charset = self._charset
            at = self._elements(item.start, end if open_ended else item.end, explicit, depth)
            self._charset = charset
        return at

    def _fragments(self, start: int, end: int) -> int:
        at = start
        while at < end:
            item = self._element(at, explicit=False)
            if item.tag == _SEQUENCE_END:
                self._reading.own.append((start, at))
                return item.start
            if item.tag != _ITEM or item.end > end:
                break
            at = item.end
        raise NotUnderstood("the pixels of the DICOM file have no end")

    def _leaf(self, element: _Element) -> None:
        tag, group = element.tag, element.tag >> 16
        if tag in _PIXELS:
            self._reading.own.append((element.start, element.end))
        elif tag == _CHARSET:
            self._charset = _encoding(self._text(element))
        elif tag in (_SOP_CLASS, _IMAGE_TYPE, _BURNED_IN, _DOCUMENT) or 0x6000 <= group <= 0x60FF:
            self._risks(element)
        if "PN" in (element.vr, _usual_vr(tag)) or (is_direct(tag) and element.vr != "SQ"):
            self._field(element)
        elif group % 2:
            self._private += 1
            if 0x10 <= tag & 0xFFFF <= 0xFF:
                self._creators[group << 8 | tag & 0xFF] = self._text(element)
        elif element.length and is_told(tag):
            self._reading.told(_told_as(element), self._text(element))

    def _field(self, element: _Element) -> None:
        raw = self._content.at(element.start, min(element.length, _MOST_TEXT))
        value, place = _decoded(raw, self._charset), (element.start, element.end)
        self._reading.add(Layer.FIELD, _title(element.tag), value, place)

    def _risks(self, element: _Element) -> None:
        tag, text = element.tag, self._text(element).upper()
        if tag == _SOP_CLASS:
            for pattern, kind in _KINDS:
                if re.search(pattern, text):
                    self._reading.risk(kind)
        elif tag == _IMAGE_TYPE and {"SAVE", "SCREEN", "SCREEN SAVE"} & set(text.split("\\")):
            self._reading.risk("ScreenSave")
        elif tag == _BURNED_IN and text.startswith("YES"):
            self._reading.risk("BurnedInAnnotation")
        elif tag == _DOCUMENT and element.length:
            self._reading.risk("EncapsulatedDocument")
        elif tag & 0xFF00FFFF == 0x60003000 and element.length:
            self._reading.risk("Overlay")

    def _text(self, element: _Element) -> str:
        if element.vr not in _TEXT:
            return "filled"
        raw = self._content.at(element.start, min(element.length, _MOST_TEXT))
        return _decoded(raw, self._charset).strip("\0 ")


def _inflate(content: Content, start: int) -> Iterator[bytes]:
    """Yield what a deflated data set unpacks to, in blocks."""
    codec, size, checksum = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
    while not codec.eof:
        packed = codec.unconsumed_tail or content.at(start, 1 << 16)
        start += 0 if codec.unconsumed_tail else len(packed)
        try:
            block = codec.decompress(packed, BLOCK)
        except zlib.error as exc:
            raise NotUnderstood("the DICOM file is damaged") from exc
        size, checksum = size + len(block), zlib.crc32(block, checksum)
        if size > _MOST_INFLATED:
            raise NotUnderstood(f"the DICOM file unpacks to more than {_MOST_INFLATED:,} bytes")
        if block:
            yield block
        elif not packed:
            raise NotUnderstood("the DICOM file is cut short")
    end = start - len(codec.unused_data)
    if content.at(end, _TRAILER.size) == _TRAILER.pack(checksum, size):  # as gzip ends
        end += _TRAILER.size
    content.require_padding(end, EVERYTHING, _AFTER_PACKED)


def _decoded(raw: bytes, charset: str) -> str:
    """Return text, whose escapes (ISO 2022) may change its encoding on the way."""
    if b"\x1b" in raw:
        korean_or_chinese = re.sub(rb"\x1b\$\)[AC]", b"", raw)
        for text, encoding in ((raw, "iso2022_jp_2"), (korean_or_chinese, "euc_kr")):
            with suppress(UnicodeDecodeError):
                return text.decode(encoding)
    return raw.decode(charset, "replace")


def _encoding(terms: str) -> str:
    """Return Python's name for what (0008,0005) says; Latin-1 reads everything else as something."""
    from pydicom.charset import python_encoding

    named = [python_encoding.get(term.strip()) for term in terms.split("\\")]
    return next((name for name in reversed(named) if name), "latin-1")


@lru_cache(maxsize=1 << 14)
def _entry(tag: int) -> tuple[str, str]:
    from pydicom.datadict import get_entry

    try:
        vr, _, _, _, name = get_entry(tag)
    except KeyError:
        return "", ""
    return vr.split(" or ")[0], name


def _usual_vr(tag: int) -> str:
    return _entry(tag)[0]


def keyword(tag: int) -> str:
    """Return the standard's word for a tag, "" where it has none."""
    return _entry(tag)[1]


@lru_cache(maxsize=1 << 14)
def is_direct(tag: int) -> bool:
    """Return whether a tag identifies a person by itself."""
    return keyword(tag) in _FIELDS or "Comments" in keyword(tag)


def _title(tag: int) -> str:
    return keyword(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@lru_cache(maxsize=1 << 14)
def is_told(tag: int) -> bool:
    """Return whether a tag narrows down who, where or when it was."""
    return tag in PROFILE or _TELLING.search(keyword(tag)) is not None


def _told_as(element: _Element) -> str:
    """Return one name for all dates and for all identifiers of objects: there are many of them."""
    groups = {"DA": "dates", "DT": "dates", "TM": "dates", "UI": "UIDs"}
    return groups.get(element.vr) or _title(element.tag)


@lru_cache(maxsize=1 << 14)
def _vendors_vr(creator: str, tag: int) -> str:
    from pydicom.datadict import private_dictionary_VR

    try:
        return private_dictionary_VR(tag, creator).split(" or ")[0]
    except KeyError:
        return "UN"
