"""Tests of inspection: whatever the bytes are, there is an answer soon, and a name does not hide."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.lab import scans
from tests.lab.archives import tar, tgz
from tests.lab.memory import traced
from vipsync.model import PrivacySettings
from vipsync.privacy.findings import Inspection, Layer
from vipsync.privacy.inspecting import inspect
from vipsync.privacy.judging import judge

EXAMPLES = int(os.environ.get("VIPSYNC_EXAMPLES", "100"))
PERSON: dict[str, Any] = {
    "PatientName": "Smith^John",
    "PatientID": "A123456",
    "PatientBirthDate": "19700131",
}


def looked_at(content: bytes) -> Inspection:
    return inspect(io.BytesIO(content), "a")


# a name anywhere

SYNTAXES: list[UID] = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
NAMING = [
    "PatientName", "PatientID", "OtherPatientNames", "ReferringPhysicianName", "OperatorsName",
    "PatientBirthName", "PatientAddress", "ImageComments", "AccessionNumber", "RequestingPhysician",
    "PersonName", "PatientComments", "NameOfPhysiciansReadingStudy", "PatientTelephoneNumbers",
    "VerifyingObserverName", "OtherPatientIDs", "IssuerOfPatientID",
]  # fmt: skip
NESTING = ["ReferencedStudySequence", "RequestAttributesSequence", "IconImageSequence", "private"]
CHARSETS = {"ISO_IR 192": "Zoë Müller", "ISO_IR 100": "Jérôme", "ISO_IR 144": "Люкceмбypг"}
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gz": gzip.compress,
    "zip": lambda content: scans.zipped({"d/1.dcm": content}),
    "tgz": lambda content: tgz({"d/1.dcm": content}),
    "zip in tar": lambda content: tar({"a.zip": scans.zipped({"1.dcm": content})}),
    "gz in tgz in zip": lambda content: scans.zipped(
        {"a.tgz": tgz({"1.gz": gzip.compress(content)})}
    ),
    "NIfTI": lambda content: scans.nifti(extensions=((2, content),)),
}


def nested(inner: Dataset, levels: list[str], *, open_ended: bool) -> Dataset:
    """Return a data set with another one at some depth."""
    for level in reversed(levels):
        outer = Dataset()
        if level == "private":
            outer.private_block(0x0009, "VIPSYNC TESTS", create=True).add_new(1, "SQ", [inner])
        else:
            setattr(outer, level, [inner])
        for element in outer:
            element.is_undefined_length = open_ended and element.VR == "SQ"
        inner.is_undefined_length_sequence_item = open_ended
        inner = outer
    return inner


@settings(max_examples=EXAMPLES)
@given(
    field=st.sampled_from(NAMING),
    levels=st.lists(st.sampled_from(NESTING), max_size=8),
    open_ended=st.booleans(),
    charset=st.sampled_from(list(CHARSETS)),
    syntax=st.sampled_from(SYNTAXES),
    container=st.sampled_from(list(CONTAINERS)),
)
def test_a_name_does_not_hide(
    field: str, levels: list[str], open_ended: bool, charset: str, syntax: UID, container: str
) -> None:
    """At any depth, in each field, encoding and container it is found, and refused."""
    needle = CHARSETS[charset]
    inner = scans.dataset(SpecificCharacterSet=charset, **{field: needle})
    content = scans.dicom(
        nested(inner, levels, open_ended=open_ended), syntax=syntax, SpecificCharacterSet=charset
    )
    inspection = looked_at(CONTAINERS[container](content))
    assert inspection.not_understood == ""
    assert (field, needle) in {(f.field, f.value) for f in inspection.findings}
    assert not judge(inspection, PrivacySettings(), "a").clear


MAKERS: dict[str, Callable[[str], bytes]] = {
    "rda": lambda name: scans.rda(PatientName=name),
    "twix": lambda name: scans.twix(PatientName=name),
    "twix VD": lambda name: scans.twix(3, table=name),
    "SPAR": lambda name: scans.spar(PatientName=name),
    "PAR": lambda name: scans.par(PatientName=name),
    "Philips XML": lambda name: scans.philips_xml(PatientName=name),
    "P-file": lambda name: scans.pfile(PatientName=name),
    "Bruker": lambda name: scans.bruker(PatientName=name),
    "mrui": lambda name: scans.mrui(f"NameOfPatient: {name}"),
    "mrui text": lambda name: scans.mrui_text(PatientName=name),
    "JSON": lambda name: scans.sidecar(deep=[{"er": [{"PatientName": name}]}]),
    "table": lambda name: f"participant_id\tname\nsub-01\t{name}\n".encode("utf-16"),
    "NIfTI": lambda name: scans.nifti(2, extensions=((44, scans.sidecar(PatientName=name)),)),
}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZéüñßøÀ"


@settings(max_examples=EXAMPLES * 2)
@given(
    parts=st.lists(st.text(LETTERS, min_size=2, max_size=9), min_size=1, max_size=2),
    sign=st.sampled_from([" ", "^", "-", "'"]),
    maker=st.sampled_from(list(MAKERS)),
    container=st.sampled_from([name for name in CONTAINERS if name != "NIfTI"]),
)
def test_a_name_does_not_hide_in_other_formats(
    parts: list[str], sign: str, maker: str, container: str
) -> None:
    """Whatever letters it has, and whatever it is packed in."""
    name = sign.join(parts)
    inspection = looked_at(CONTAINERS[container](MAKERS[maker](name)))
    assert inspection.not_understood == ""
    assert ("PatientName", name) in {(f.field, f.value) for f in inspection.findings}
    assert not judge(inspection, PrivacySettings(), "a").clear


WHOLE: dict[str, Callable[[str], bytes]] = {
    **MAKERS,
    "DICOM": lambda name: scans.dicom(PatientName=name),
    "deflated DICOM": lambda name: scans.dicom(
        syntax=DeflatedExplicitVRLittleEndian, PatientName=name
    ),
    "LCModel": lambda name: scans.lcmodel(name, name),
    "NIfTI-1": lambda name: scans.nifti(texts={"descrip": name}),
    "NIfTI comment": lambda name: scans.nifti(extensions=((6, name.encode("latin-1")),)),
}
"""A maker of each format that is read."""


@settings(max_examples=EXAMPLES)
@given(
    name=st.sampled_from(["Schneider", "Müllerin", "Jérôme-Dupontel"]),
    maker=st.sampled_from(list(WHOLE)),
    container=st.sampled_from([name for name in CONTAINERS if name != "NIfTI"]),
    between=st.binary(max_size=300),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16-le", "utf-16-be", "cp1250", "mac-roman"]),
    capitals=st.booleans(),
)
def test_a_name_behind_the_end_of_a_file_does_not_hide(
    name: str, maker: str, container: str, between: bytes, encoding: str, capitals: bool
) -> None:
    """It is found there, or the file is not called clean, whatever stands before it."""
    there = (name.upper() if capitals else name).encode(encoding)
    inspection = looked_at(CONTAINERS[container](WHOLE[maker](name) + between + there))
    alone = {(f.field, f.value) for f in looked_at(WHOLE[maker](name)).findings}
    added = {f.layer for f in inspection.findings if (f.field, f.value) not in alone}
    assert {Layer.CROSS, Layer.FIELD} & added or inspection.not_understood


@settings(max_examples=EXAMPLES)
@given(
    maker=st.sampled_from(["rda", "DICOM", "deflated DICOM", "NIfTI-1", "NIfTI", "table"]),
    container=st.sampled_from([name for name in CONTAINERS if name != "NIfTI"]),
    more=st.binary(min_size=1, max_size=300).filter(lambda more: more.strip(b"\0")),
)
def test_what_follows_the_end_of_a_file_is_never_passed_over(
    maker: str, container: str, more: bytes
) -> None:
    """Where a format says how long it is, nothing else may be there."""
    content = WHOLE[maker]("") + more
    assert looked_at(CONTAINERS[container](content)).not_understood


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("vr", ["PN", "UN"])
def test_a_name_in_a_private_element(syntax: UID, vr: str) -> None:
    """By its own kind, or by what the vendor's dictionary says of the block."""
    inner = Dataset()
    block = inner.private_block(0x0033, "MITRA OBJECT UTF8 ATTRIBUTES 1.0", create=True)
    block.add_new(0x02, vr, "Smith^John" if vr == "PN" else b"Smith^John")
    found = looked_at(scans.dicom(inner, syntax=syntax)).findings
    assert ("(0033,1002)", "Smith^John") in {(f.field, f.value) for f in found}


def test_a_sequence_that_says_it_is_unknown() -> None:
    """Some senders write what they do not know as UN; what is in it is implicit."""
    name = struct.pack("<HHL", 0x0010, 0x0010, 10) + b"Smith^John"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(name)) + name
    inner = Dataset()
    inner.add_new(0x00091001, "UN", item)
    found = looked_at(scans.dicom(inner)).findings
    assert ("PatientName", "Smith^John") in {(f.field, f.value) for f in found}


@pytest.mark.parametrize("meta", [True, False])
@pytest.mark.parametrize("syntax", SYNTAXES[:3])
def test_dicom_without_its_preamble(syntax: UID, meta: bool) -> None:
    """Old archives keep the data set alone."""
    content = scans.dicom(syntax=syntax, InstanceCreationDate="20240102", **PERSON)[132:]
    if not meta:
        (length,) = struct.unpack("<L", content[8:12])
        content = content[12 + length :]
    inspection = looked_at(content)
    assert (inspection.format, inspection.not_understood) == ("DICOM", "")
    assert PERSON.items() <= {(f.field, f.value) for f in inspection.findings}


@pytest.mark.parametrize(
    ("preamble", "refused"),
    [(b"Smith^John".ljust(128), True), (b"II*\0\x10\0\0\0".ljust(128, b"\0"), False)],
    ids=["a text", "a TIFF"],
)
def test_the_preamble_may_hold_a_text(preamble: bytes, refused: bool) -> None:
    """A file that is a TIFF as well is told, a text is refused."""
    inspection = looked_at(scans.dicom(preamble=preamble))
    assert "preamble" in {f.field for f in inspection.findings}
    assert judge(inspection, PrivacySettings(), "a").clear is not refused


RISKS: dict[str, dict[str, Any]] = {
    "SecondaryCapture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
    "Ultrasound": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"},
    "EncapsulatedDocument": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"},
    "StructuredReport": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"},
    "ScreenSave": {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
    "BurnedInAnnotation": {"BurnedInAnnotation": "YES"},
    "Overlay": {"OverlayData": b"\1\1"},
}


@pytest.mark.parametrize("risk", RISKS)
def test_images_that_often_show_a_name_are_refused(risk: str) -> None:
    """Whatever they say of themselves: a person looks at them and gives a reason."""
    fields = dict(RISKS[risk])
    inner = Dataset()
    if overlay := fields.pop("OverlayData", None):
        inner.add_new(0x60003000, "OW", overlay)
    inspection = looked_at(scans.dicom(inner, PatientIdentityRemoved="YES", **fields))
    verdict = judge(inspection, PrivacySettings(), "a")
    assert [count.field for count in verdict.refused] == [risk]
    assert judge(inspection, PrivacySettings(allow=((risk, "looked at"),)), "a").clear


@pytest.mark.parametrize("strict", [False, True])
def test_the_table_of_the_profile(strict: bool) -> None:
    """What PS3.15 lists is told, and refused where the settings are strict."""
    content = scans.dicom(
        InstitutionName="Hospital", StudyDate="20240102", PatientSex="F", SeriesDescription="x"
    )
    verdict = judge(looked_at(content), PrivacySettings(strict=strict), "a")
    listed = verdict.refused if strict else verdict.told
    expected = {"InstitutionName", "PatientSex", "SeriesDescription", "UIDs", "dates"}
    assert {count.field for count in listed} == expected


# absurd content

SEEDS: dict[str, bytes] = {
    "DICOM": scans.dicom(scans.dataset(RequestAttributesSequence=[scans.dataset(PatientID="1")])),
    "DICOM implicit": scans.dicom(syntax=ImplicitVRLittleEndian, **PERSON),
    "DICOM deflated": scans.dicom(syntax=DeflatedExplicitVRLittleEndian, **PERSON),
    "rda": scans.rda(**PERSON),
    "twix": scans.twix(**PERSON),
    "twix VD": scans.twix(2, **PERSON),
    "SPAR": scans.spar(**PERSON),
    "PAR": scans.par(**PERSON),
    "XML": scans.philips_xml(**PERSON),
    "P-file": scans.pfile(**PERSON),
    "Bruker": scans.bruker(**PERSON),
    "mrui": scans.mrui("NameOfPatient: x"),
    "mrui text": scans.mrui_text(**PERSON),
    "LCModel": scans.lcmodel("a", "b"),
    "NIfTI-1": scans.nifti(extensions=((44, scans.sidecar(**PERSON)), (2, scans.dicom(**PERSON)))),
    "NIfTI-2": scans.nifti(2, extensions=((6, b"a comment"),)),
    "JSON": scans.sidecar(**PERSON),
    "table": b"participant_id\tname\nsub-01\tZoe\n",
    "zip": scans.zipped({"a/b.rda": scans.rda(**PERSON), "c.dcm": scans.dicom(**PERSON)}),
    "tar": tar({"a": scans.rda(**PERSON), "b": scans.dicom(**PERSON)}),
    "tgz": tgz({"a": scans.rda(**PERSON)}),
    "txz": lzma.compress(tar({"a": scans.rda(**PERSON)})),
}
LENGTHS = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\xfe\xff\xff\xff",
)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a content with some bytes changed, mostly in its head."""
    made = bytearray(content)
    kind = chance.randrange(5)
    for _ in range(chance.choice((1, 1, 2, 5, 30))):
        at = chance.randrange(len(made) if chance.random() < 0.5 else min(len(made), 600))
        match kind:
            case 0:
                made[at] = chance.randrange(256)
            case 1:
                made[at : at + 4] = chance.choice(LENGTHS)
            case 2:
                del made[at + 1 : at + chance.randrange(2, 50)]
            case 3:
                made[at:at] = chance.randbytes(chance.randrange(1, 50))
            case _:
                del made[at + 1 :]
    return bytes(made)


@pytest.mark.parametrize("seed", SEEDS)
def test_damage_does_no_harm(seed: str) -> None:
    """There is an answer, and no word of the file in the reason."""
    for number in range(EXAMPLES):
        inspection = looked_at(damaged(SEEDS[seed], random.Random(number)))
        assert "Smith" not in inspection.not_understood


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_that_is_cut_short(seed: str) -> None:
    """At each of many places, what was found until then is kept, and no field is made up."""
    content = SEEDS[seed]
    whole = {f.field for f in looked_at(content).findings}
    for length in range(0, len(content), max(1, len(content) // 60)):
        found = {
            f.field for f in looked_at(content[:length]).findings if f.layer is not Layer.CROSS
        }
        assert found <= whole | {"TextAfterPoints"}


@settings(max_examples=EXAMPLES)
@given(content=st.binary(max_size=2000))
def test_random_bytes(content: bytes) -> None:
    """What nobody knows is not called clean."""
    inspection = looked_at(content)
    assert inspection.format or inspection.not_understood


@settings(max_examples=EXAMPLES)
@given(
    content=st.text(max_size=300),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-32", "latin-1"]),
)
def test_text_in_any_encoding(content: str, encoding: str) -> None:
    """A letter is no known format."""
    looked_at(content.encode(encoding, "ignore"))


class Counted(io.BytesIO):
    """A file of zeros that holds only its head, and counts what is read of it."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__(head)
        self.end, self.place, self.passed = size, 0, 0

    def seek(self, place: int, whence: int = 0, /) -> int:
        self.place = self.end if whence == os.SEEK_END else place
        return self.place

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = max(0, min(self.end - self.place, self.end if size is None else size))
        head = self.getvalue()[self.place : self.place + wanted]
        self.place += wanted
        self.passed += wanted
        return head.ljust(wanted, b"\0")


def voxels(content: bytes, *sizes: int) -> bytes:
    """Return an image whose header says that it has other sizes."""
    return (
        content[:40]
        + struct.pack("<8h", len(sizes), *sizes, *[1] * (7 - len(sizes)))
        + content[56:]
    )


HUGE = {
    "rda": SEEDS["rda"]
    .replace(b"VectorSize: 4", b"VectorSize: 999999")
    .replace(b"]: 1", b"]: 99999"),
    "NIfTI-1": voxels(SEEDS["NIfTI-1"], 32000, 32000, 32000),
}
"""Files that say themselves how much follows."""


@pytest.mark.parametrize("seed", ["", "rda", "NIfTI-1", "DICOM", "JSON", "zip", "table", "mrui"])
def test_a_huge_file_is_looked_at_in_its_head(seed: str) -> None:
    """Fifty gigabytes of zeros take no more than a few megabytes to be read."""
    file = Counted(HUGE.get(seed) or SEEDS.get(seed, b""), 50 * 2**30)
    with traced() as most:
        inspection = inspect(file, "a")
    assert inspection.not_understood or seed in ("rda", "NIfTI-1")
    assert file.passed < 80 * 2**20
    assert most() < 120 * 2**20


@pytest.mark.parametrize("depth", [10, 64, 100, 5000])
@pytest.mark.parametrize("open_ended", [True, False])
def test_sequences_in_sequences(depth: int, open_ended: bool) -> None:
    """Up to a depth that nobody reaches they are read."""
    inner = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 10) + b"Smith^John"
    for _ in range(depth):
        size = 0xFFFFFFFF if open_ended else len(inner)
        end = (struct.pack("<HHL", 0xFFFE, 0xE00D, 0), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
        item = struct.pack("<HHL", 0xFFFE, 0xE000, size) + inner + (end[0] if open_ended else b"")
        size = 0xFFFFFFFF if open_ended else len(item)
        head = struct.pack("<HH2sHL", 0x0008, 0x1110, b"SQ", 0, size)
        inner = head + item + (end[1] if open_ended else b"")
    inspection = looked_at(scans.dicom() + inner)
    if depth <= 64:
        assert inspection.not_understood == ""
        assert "PatientName" in {f.field for f in inspection.findings}
    else:
        assert "64 deep" in inspection.not_understood


def test_ten_thousand_private_sequences() -> None:
    """Each is gone through, and they are told as one thing."""
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    one = b"".join(
        struct.pack("<HH2sHL", 0x0029, n & 0xFFFF, b"SQ", 0, len(item)) + item
        for n in range(10_000)
    )
    inspection = looked_at(scans.dicom() + one)
    assert inspection.not_understood == ""
    assert len(inspection.findings) < 20


@pytest.mark.parametrize("length", [0xFFFFFFFE, 0x7FFFFFFF, 1_000_000])
def test_lengths_that_lie(length: int) -> None:
    """A length beyond the end is not believed, and nothing of that size is held."""
    tail = struct.pack("<HH2sHL", 0x0029, 0x1010, b"OB", 0, length)
    with traced() as most:
        inspection = looked_at(scans.dicom(**PERSON) + tail)
    assert "beyond its end" in inspection.not_understood
    assert PERSON.items() <= {(f.field, f.value) for f in inspection.findings}
    assert most() < 10 * 2**20


REPEATED = {
    "lines": (b"# === DATA DESCRIPTION FILE", b"\n"),
    "names": (b"# === DATA DESCRIPTION FILE\n", b"patient_name:\n"),
    "attributes": (b"<PRIDE_V5>", b"<Attribute Name="),
    "records": (b"##TITLE=x\n", b"y\n"),
    "strings": (b"##TITLE=x\n##$SUBJECT_id=", b"<"),
    "comments": (b"##TITLE=x\n$$ ", b"a @"),
    "blanks": (b" $NMID ID", b" "),
    "quotes": (b" $NMID ", b"ID='"),
    "parameters": (scans.twix()[:40], b'<ParamString."'),
    "brackets": (b"", b"["),
    "objects": (b"", b'{"a":'),
    "keys": (b'{"', b"patient"),
    "cells": (b"participant_id\tname\n", b'"'),
    "titles": (b"", b"a\t"),
    "dummies": (b'{"PatientName": "', b"anonym"),
    "zeros": (scans.dicom(), b"\0"),
    "elements": (scans.dicom(), struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 0)),
    "extensions": (scans.nifti()[:348] + b"\1\0\0\0", struct.pack("<ii", 8, 6)),
}


@pytest.mark.parametrize("name", REPEATED)
def test_the_same_again_and_again(name: str) -> None:
    """No pattern goes back and forth over it until the test has run out of time."""
    head, body = REPEATED[name]
    with traced() as most:
        inspect(io.BytesIO(head + body * (2**19 // len(body))), "a")
    assert most() < 100 * 2**20


def bomb(size: int) -> bytes:
    """Return zeros, packed."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        for _ in range(size // 2**20):
            packed.write(bytes(2**20))
    return out.getvalue()


def test_a_bomb_in_a_tar_is_not_understood() -> None:
    """What becomes more than five hundred times its size is left alone."""
    info = tar({"a": b""})[:512]
    head = bytearray(info)
    head[124:136] = f"{2**32:011o}\0".encode()
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    content = gzip.compress(bytes(head)) + bomb(200 * 2**20)
    with traced() as most:
        inspection = looked_at(content)
    assert "far more than its own size" in inspection.not_understood
    assert most() < 60 * 2**20


@pytest.mark.parametrize("container", [lambda b: b, lambda b: scans.zipped({"a.gz": b}, 0)])
def test_a_bomb_of_nothing_is_looked_at_in_its_head(container: Callable[[bytes], bytes]) -> None:
    """What is not asked for is not unpacked."""
    with traced() as most:
        assert looked_at(container(bomb(200 * 2**20))).not_understood
    assert most() < 60 * 2**20


def test_a_zip_of_a_hundred_thousand_members_is_not_understood() -> None:
    """It is refused by its table, before one of them is looked at."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(100_000):
            archive.writestr(str(number), b"")
    assert "50,000 members" in looked_at(out.getvalue()).not_understood


@pytest.mark.parametrize("end", [b",}", b"", b', "a": ' + b"[" * 5000])
def test_names_in_damaged_json_are_found(end: bytes) -> None:
    """A comma too many does not hide them."""
    inspection = looked_at(b'{"PatientName": "Smith"' + end)
    assert [(f.field, f.value) for f in inspection.findings] == [("PatientName", "Smith")]
    assert "damaged" in inspection.not_understood


def test_an_encrypted_member_is_not_understood() -> None:
    """Nobody can say what is in it."""
    content = bytearray(scans.zipped({"a.rda": SEEDS["rda"]}, 0))
    content[content.find(b"PK\1\2") + 8] |= 1
    assert "encrypted" in looked_at(bytes(content)).not_understood


def test_more_values_than_any_file_has() -> None:
    """They are not all held."""
    rows = "\n".join(f"sub-01\tname{n}" for n in range(30_000))
    inspection = looked_at(f"participant_id\tname\n{rows}".encode())
    assert "more values" in inspection.not_understood
    assert len(inspection.findings) == 20_000


# what pydicom finds

FILES = sorted((Path(pydicom.__file__).parent / "data/test_files").rglob("*.dcm"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_no_name_is_missed_that_pydicom_reads(path: Path) -> None:
    """Another reader of the same files finds no name that was not found here."""
    names = set()
    for element in pydicom.dcmread(path, force=True).iterall():
        if element.VR == "PN" and str(element.value).strip("^ "):
            names.add(element.keyword or f"({element.tag.group:04X},{element.tag.element:04X})")
    assert names <= {f.field for f in inspect(path, "a").findings}
