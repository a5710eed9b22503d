"""Tests of the formats: what each field says is found, and an empty one says nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.lab import scans
from tests.lab.archives import tar, tgz
from vipsync.privacy.findings import Inspection, Layer
from vipsync.privacy.inspecting import inspect

NAME = "Müller-O'Brien^Zoë Anne"
PERSON: dict[str, Any] = {
    "PatientName": NAME,
    "PatientID": "A123456",
    "PatientBirthDate": "19700131",
}


def looked_at(content: bytes) -> Inspection:
    return inspect(io.BytesIO(content), "a")


def layer(inspection: Inspection, *layers: Layer) -> dict[str, str]:
    """Return the values of some layers, by field."""
    return {f.field: f.value for f in inspection.findings if f.layer in layers}


def fields(content: bytes) -> dict[str, str]:
    return layer(looked_at(content), Layer.FIELD)


Maker = Callable[..., bytes]

PERSONS: dict[str, tuple[Maker, int]] = {
    "DICOM": (scans.dicom, 3),
    "Siemens rda": (scans.rda, 3),
    "Siemens twix": (scans.twix, 3),
    "Siemens twix VD": (lambda **f: scans.twix(2, **f), 3),
    "Philips SPAR": (scans.spar, 2),
    "Philips PAR": (scans.par, 1),
    "Philips XML": (scans.philips_xml, 2),
    "GE P-file": (scans.pfile, 3),
    "Bruker": (scans.bruker, 3),
    "jMRUI text": (scans.mrui_text, 1),
    "jMRUI": (lambda **f: scans.mrui(f"NameOfPatient: {f.get('PatientName', '')}\n"), 1),
    "JSON": (scans.sidecar, 3),
    "NIfTI-1": (lambda **f: scans.nifti(extensions=((44, scans.sidecar(**f)),)), 3),
    "NIfTI-2": (lambda **f: scans.nifti(2, extensions=((44, scans.sidecar(**f)),)), 3),
}
"""A maker of each format, and how many of the three fields it has."""


@pytest.mark.parametrize(("name", "maker", "count"), [(n, *m) for n, m in PERSONS.items()])
def test_a_person_is_found_in(name: str, maker: Maker, count: int) -> None:
    """Names keep accents, apostrophes and second parts; nothing else is taken for a field."""
    person = {
        k: PERSON[k] for k in PERSON if count != 2 or name != "Philips SPAR" or k != "PatientID"
    }
    person = dict(list(person.items())[:count])
    inspection = looked_at(maker(**person))
    assert inspection.format == name.removesuffix(" VD").removesuffix(" text")
    assert inspection.not_understood == ""
    assert layer(inspection, Layer.FIELD, Layer.RISK) == person
    assert layer(inspection, Layer.CROSS) == {}


@pytest.mark.parametrize("maker", [maker for maker, _ in PERSONS.values()], ids=PERSONS.keys())
def test_nobody_is_found_where_fields_are_empty(maker: Maker) -> None:
    """The next line or element is never the value of an empty field."""
    inspection = looked_at(maker())
    assert inspection.not_understood == ""
    assert layer(inspection, Layer.FIELD, Layer.RISK, Layer.CROSS) == {}


@pytest.mark.parametrize("content", [scans.par(), scans.spar(), scans.twix(1), scans.bruker()])
def test_what_only_narrows_down_is_told(content: bytes) -> None:
    """A date or an institution refuses no file."""
    assert layer(looked_at(content), Layer.TOLD)


# Philips


@pytest.mark.parametrize("maker", [scans.spar, scans.par])
def test_the_name_of_an_examination_is_a_field(maker: Maker) -> None:
    """At the console it is often the patient's."""
    assert fields(maker(examination_name="Smith")) == {"examination_name": "Smith"}


# Siemens raw data


def test_the_table_of_measurements_has_a_name_of_its_own() -> None:
    """What cleans the protocols may forget it."""
    assert fields(scans.twix(3, table=NAME)) == {"PatientName": NAME}


def test_a_measurement_without_its_header_is_not_understood() -> None:
    """A table that points into nothing is damaged."""
    cut = scans.twix(2, table=NAME)[:12_000]
    inspection = looked_at(cut)
    assert "twix" in inspection.not_understood
    assert layer(inspection, Layer.FIELD) == {"PatientName": NAME}


# GE


@pytest.mark.parametrize(
    "revision", [7.0, 9.0, 11.0, 16.0, 20.006, 20.007, 21.0, 24.0, 26.002, 28.003, 31.0]
)
def test_a_pfile_is_read_by_its_revision(revision: float) -> None:
    """The header moved ten times; before 11, the bytes were the other way round."""
    person = PERSON | {"PatientName": "Müller^Zoë"}
    assert fields(scans.pfile(revision, **person)) == person


@pytest.mark.parametrize("revision", [6.0, 13.5, 19.0, 30.7, 32.0, 99.0, float("nan")])
def test_a_pfile_of_an_unknown_revision_is_not_understood(revision: float) -> None:
    """Fields read from wrong places would call it clean."""
    inspection = looked_at(scans.pfile(revision))
    assert inspection.format == "GE P-file"
    assert "revision" in inspection.not_understood


def test_a_pfile_has_physicians_and_a_history() -> None:
    """Beside the patient, others and a free text stand there."""
    content = bytearray(scans.pfile(26.002))
    for place, said in ((194460, b"has a sister"), (194717, b"Dr Jones"), (194847, b"kim")):
        content[place : place + len(said)] = said
    assert fields(bytes(content)) == {
        "ExamHistoryComment": "has a sister",
        "ReferringPhysicianName": "Dr Jones",
        "OperatorsName": "kim",
    }


def test_a_pfile_that_is_cut_short_is_not_understood() -> None:
    """The header's end is missing."""
    assert "cut short" in looked_at(scans.pfile(26.002)[:150_000]).not_understood


# Bruker


def test_who_saved_a_file_and_where_are_fields() -> None:
    """A person's account and a study's folder stand in each file of parameters."""
    content = scans.bruker(
        "zoe.smith", path="/opt/PV6.0.1/data/nmr/20240102_Smith_Zoe_1_1/1/method"
    )
    assert fields(content) == {
        "OperatorsName": "zoe.smith",
        "BrukerPath": "/opt/PV6.0.1/data/nmr/20240102_Smith_Zoe_1_1/1/method",
    }


def test_a_value_of_bruker_goes_on_until_the_next_record() -> None:
    """A structure and a long text take several lines."""
    text = b"##TITLE=x\n##$SUBJECT_name=(<Smith>, \n<Zoe>)\n##$SUBJECT_remarks=( 100 )\n<line 1\nline 2>\n##END="
    assert fields(text) == {"PatientName": "Smith Zoe", "SUBJECT_remarks": "line 1\nline 2"}


# jMRUI, LCModel


@pytest.mark.parametrize("signals", [1, 3])
def test_lines_after_the_points_may_be_a_name(signals: int) -> None:
    """A name that stands there without saying so is refused as well."""
    assert fields(scans.mrui("Zoë Smith\0", signals)) == {"TextAfterPoints": "Zoë Smith"}
    assert fields(scans.mrui("", signals)) == {}


def test_old_jmrui_files_do_not_say_how_many_signals_they_hold() -> None:
    """Points are no text."""
    content = bytearray(scans.mrui(signals=3))
    content[13 * 8 : 14 * 8] = bytes(8)
    assert fields(bytes(content)) == {}
    assert fields(bytes(content) + b"Zoe Smith") == {"TextAfterPoints": "Zoe Smith"}


def test_titles_of_lcmodel_are_fields() -> None:
    """A title is printed on each page of the results."""
    assert fields(scans.lcmodel("Smith''s", "A1")) == {
        "LCModelTitle": "Smith's",
        "LCModelID": "A1",
    }
    control = b" $LCMODL\n title= 'Zoe Smith\n 1970'\n filraw='/data/x.RAW'\n $END\n"
    assert fields(control) == {"LCModelTitle": "Zoe Smith\n 1970"}


# NIfTI


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["descrip", "aux_file", "intent_name", "db_name"])
def test_texts_of_a_header_are_fields(version: int, name: str) -> None:
    """Converters write a comment or a name there."""
    if version == 1 or name != "db_name":
        assert fields(scans.nifti(version, texts={name: "Smith, Zoe"})) == {name: "Smith, Zoe"}


@pytest.mark.parametrize(
    "text",
    ["FSL5.0", "TE=30;Time=115929.500", "mrs_v0_9", "spm - realigned", "Unaliased MB6/PE3/LB"],
)
def test_what_programs_write_there_is_told_only(text: str) -> None:
    """It names the program."""
    assert fields(scans.nifti(texts={"descrip": text})) == {}


@pytest.mark.parametrize(
    "text", ["Smith", "TE=30 Smith\x01", "5th of May"], ids=["name", "program and name", "date"]
)
def test_what_programs_do_not_write_there_is_a_field(text: str) -> None:
    """Only the whole text of a known program passes."""
    assert fields(scans.nifti(texts={"descrip": text})) == {"descrip": text}


def test_extensions_are_read_or_named() -> None:
    """Comments and DICOM are fields; what is not read is said."""
    assert fields(scans.nifti(extensions=((6, b"Zoe Smith"),))) == {"NIfTIComment": "Zoe Smith"}
    inside = scans.dicom(PatientName="Smith^Zoe")
    assert fields(scans.nifti(extensions=((2, inside),))) == {"PatientName": "Smith^Zoe"}
    unread = looked_at(scans.nifti(extensions=((4, b"<AFNI/>"),)))
    assert "kind 4" in unread.not_understood


def test_a_name_elsewhere_in_an_extension_is_found() -> None:
    """The field is one place, a description another one."""
    said = scans.sidecar(PatientName="Smith^Zoe", SeriesDescription="smith's head")
    found = layer(looked_at(scans.nifti(extensions=((44, said),))), Layer.CROSS)
    assert list(found) == ["a part of PatientName in the file's other bytes"]


def test_private_keys_of_nifti_mrs_are_fields() -> None:
    """Its standard marks them, and the name of the original file, as not to be passed on."""
    said = scans.sidecar(OriginalFile=["Smith.SPAR"], private_note="x")
    assert fields(said) == {"OriginalFile": "Smith.SPAR", "private_note": "x"}


# what follows what a format declares

DEFLATED = scans.dicom(syntax=DeflatedExplicitVRLittleEndian)
WHOLE = scans.nifti()
PAIR = WHOLE[:108] + bytes(4) + WHOLE[112:344] + b"ni1" + bytes(5)  # its voxels lie in another file
BEHIND: dict[str, bytes] = {
    "rda": scans.rda(),
    "deflated DICOM": DEFLATED,
    "NIfTI-1": WHOLE,
    "NIfTI-2": scans.nifti(2, extensions=((44, scans.sidecar()),)),
    "NIfTI-1 header": PAIR,
    "NIfTI-1, big-endian": scans.nifti(order=">"),
    "gzip": gzip.compress(scans.nifti()),
    "bzip2": bz2.compress(scans.rda()),
    "gzip of raw data": gzip.compress(scans.twix() + bytes(1 << 22)),
    "gzip of more": gzip.compress(scans.nifti() + b"a text"),
}


def gap(version: int, between: bytes) -> bytes:
    """Return an image with bytes between its header and its voxels."""
    image, size = scans.nifti(version), 352 if version == 1 else 544
    kind, place = ("<f", 108) if version == 1 else ("<q", 168)
    said = struct.pack(kind, size + len(between))
    head = image[:place] + said + image[place + len(said) : size]
    return head + between + image[size:]


@pytest.mark.parametrize("form", BEHIND)
@pytest.mark.parametrize("more", [b"John Smith", scans.dicom(), b"\0" * 600 + b"born 1970"])
def test_what_follows_the_end_of_a_file_is_not_called_clean(form: str, more: bytes) -> None:
    """A copy onto a longer file leaves its rest, and programs append what they please."""
    assert looked_at(BEHIND[form] + more).not_understood


@pytest.mark.parametrize("form", [form for form in BEHIND if form != "gzip of more"])
@pytest.mark.parametrize("zeros", [0, 1, 512, 100_000])
def test_a_file_that_is_filled_up_with_zeros_is_understood(form: str, zeros: int) -> None:
    """So writers of whole blocks do."""
    assert looked_at(BEHIND[form] + bytes(zeros)).not_understood == ""


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("between", "read"),
    [(b"", True), (bytes(160), True), (b"x" * 16, False), (bytes(30) + b"Smith\0", False)],
)
def test_what_lies_between_header_and_voxels_is_zeros(
    version: int, between: bytes, read: bool
) -> None:
    """Whatever else is there, no field says."""
    assert (looked_at(gap(version, between)).not_understood == "") is read


def test_zeros_may_follow_the_last_extension() -> None:
    """Some programs begin the voxels at a round place."""
    image = scans.nifti(extensions=((44, scans.sidecar()),))
    (begin,) = struct.unpack("<f", image[108:112])
    moved = image[:108] + struct.pack("<f", begin + 64) + image[112 : int(begin)]
    assert looked_at(moved + bytes(64) + image[int(begin) :]).not_understood == ""
    assert looked_at(moved + bytes(40) + b"Smith" + bytes(19) + image[int(begin) :]).not_understood


LONG = b"\n" + b"1.0 2.0\n" * (1 << 22)


@pytest.mark.parametrize(
    "head", [scans.spar(), scans.par(), scans.lcmodel(), scans.mrui_text(), scans.philips_xml()]
)
def test_a_text_that_is_too_long_is_not_called_clean(head: bytes) -> None:
    """What nobody has looked at is not."""
    assert looked_at(head).not_understood == ""
    assert "longer than" in looked_at(head + LONG).not_understood


def _in_field(content: bytes, place: int, text: bytes) -> bytes:
    return content[:place] + text + content[place + len(text) :]


LEFT: dict[str, bytes] = {
    "NIfTI-1": _in_field(scans.nifti(), 148, b"FSL5.0\0hn Smith\0"),
    "NIfTI-2": _in_field(scans.nifti(2), 240, b"FSL5.0\0hn Smith\0"),
    "NIfTI comment": scans.nifti(extensions=((6, b"5.0\0hn Smith\0\0\0"),)),
    "P-file": _in_field(scans.pfile(), 194717 + 467, b"X\0hn Smith\0"),
    "twix": scans.twix(1, table="0\0hn Smith"),
}


@pytest.mark.parametrize("form", LEFT)
def test_what_a_longer_text_has_left_behind_a_shorter_one_is_a_field(form: str) -> None:
    """Programs write a new text over the old one, and a zero; nothing shows what is behind it."""
    found = looked_at(LEFT[form]).findings
    assert "hn Smith" in [f.value for f in found if f.layer is Layer.FIELD]


def test_what_no_text_has_left_is_no_field() -> None:
    """There may be numbers, or the rest of a word."""
    for left in (b"\1\2\3\4\5", b"ab", b"12.50", bytes(range(1, 30))):
        assert fields(_in_field(scans.nifti(), 148, b"FSL5.0\0" + left)) == {}


@pytest.mark.parametrize(
    "more",
    ["sub-02\tA2\tx\ty\n", "seen by Dr Who\n", "sub-02\n", "sub-02\tA2\tx\tfor\tJohn\tSmith\n"],
)
def test_a_line_below_a_table_that_has_other_columns_is_not_called_clean(more: str) -> None:
    """People put remarks there; empty lines say nothing."""
    table = "participant_id\tgroup\tsite\n" + "sub-01\tA\tx\n" * 6
    assert looked_at(table.encode() + b"\n").not_understood == ""
    assert looked_at((table + more).encode()).not_understood


def test_a_known_value_is_found_in_each_column_of_a_table() -> None:
    """Also in one whose title says nothing of anybody, and in another line."""
    rows = "participant_id\tname\tgroup\nsub-01\tSmith\tA\nsub-02\tJones\twith smith\n"
    cross = "a part of PatientName in the file's other bytes"
    found = [f.value for f in looked_at(rows.encode()).findings if f.field == cross]
    assert found == ["Smith"]


def test_a_known_value_is_found_behind_the_end_of_a_file() -> None:
    """Also where the voxels before it are not searched."""
    more = b"x" * 2_000_000 + b"for MUELLER"
    for content in (scans.nifti(extensions=((44, scans.sidecar(**PERSON)),)), scans.rda(**PERSON)):
        for found in (looked_at(content + more), looked_at(gzip.compress(content + more))):
            assert "a part of PatientName in the file's other bytes" in layer(found, Layer.CROSS)


def test_the_checksum_behind_a_deflated_data_set_is_part_of_it() -> None:
    """Some writers end it as gzip does; another checksum is something else."""
    (meta,) = struct.unpack("<L", DEFLATED[140:144])
    codec = zlib.decompressobj(wbits=-15)
    unpacked = codec.decompress(DEFLATED[144 + meta :])
    stream = DEFLATED[: len(DEFLATED) - len(codec.unused_data)]
    ends = [struct.pack("<LL", zlib.crc32(unpacked) + n, len(unpacked)) for n in range(2)]
    assert [not looked_at(stream + end).not_understood for end in ends] == [True, False]


# sidecars


def test_fields_of_json_are_found_at_every_depth() -> None:
    """In lists, in objects, twice in one object, and as parts of a name."""
    deep = b'[{"a": {"b": [{"PatientID": 7}, {"PatientID": "8", "PatientID": "9"}]}}]'
    found = [f.value for f in looked_at(deep).findings]
    assert sorted(found) == ["7", "8", "9"]
    assert fields(b'{"PatientName": {"given": "Zoe"}}') == {"PatientName": "Zoe"}


@pytest.mark.parametrize(
    ("comment", "told"), [("Unaliased MB3/PE3/LB SENSE1", True), ("MB3 Zoe", False)]
)
def test_a_comment_that_a_sequence_writes_is_told_only(comment: str, told: bool) -> None:
    """It goes from the image into what converters make of it."""
    for content in (scans.sidecar(ImageComments=comment), scans.dicom(ImageComments=comment)):
        found = {f.field: f.layer for f in looked_at(content).findings}
        assert found["ImageComments"] is (Layer.TOLD if told else Layer.FIELD)


def test_dicom_as_json_is_read_by_its_tags() -> None:
    """A tag is a field's name as well."""
    model = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Smith^Zoe"}]},
        "00100020": {"vr": "LO", "Value": ["A1"]},
        "00091002": {"vr": "PN", "Value": [{"Alphabetic": "Jones"}]},
        "00080016": {"vr": "UI", "Value": ["1.2"]},
    }
    found = [(f.field, f.value) for f in looked_at(json.dumps(model).encode()).findings]
    assert {("PatientName", "Smith^Zoe"), ("PatientID", "A1"), ("PatientName", "Jones")} <= set(
        found
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("sign", ["\t", ",", ";"])
def test_columns_of_tables_are_fields(encoding: str, sign: str) -> None:
    """Whatever the sign between them and the encoding are."""
    rows = ["participant_id|age|name|dob", "sub-01|40|Zoë Smith|1970-01-31", "sub-02|41||"]
    content = "\n".join(rows).replace("|", sign).encode(encoding)
    assert fields(content) == {"PatientName": "Zoë Smith", "PatientBirthDate": "1970-01-31"}


@pytest.mark.parametrize("titles", ["index\tname", "name\ttype\tunits", "id\tfirst\tlast"])
def test_a_name_in_a_table_of_things_is_no_persons(titles: str) -> None:
    """Regions and channels have names too."""
    assert fields(f"{titles}\n{titles.replace('name', 'Amygdala')}\n".encode()) == {}


def test_a_participant_has_a_label() -> None:
    """What is no label may be a name."""
    assert fields(b"participant_id\tsex\nsub-smith01\tF\n01\tM\n") == {}
    assert fields(b"id\tsex\nZoe Smith\tF\n") == {"PatientID": "Zoe Smith"}
    assert fields(b"participant_id\tsex\nZoe Smith\tF\n") == {"PatientID": "Zoe Smith"}


@pytest.mark.parametrize(
    "content",
    [
        b"1.0\t2.0\n3.0\t4.0\n",
        b"Dear Zoe, hello\nyours, Anne",
        "Just a letter, to Zoë.\nIt has lines".encode(),
        b"a = 1\nb = 2\n",
    ],
    ids=["numbers", "a short letter", "a letter", "settings"],
)
def test_text_that_is_no_table_is_not_understood(content: bytes) -> None:
    """Free text is not called clean."""
    assert looked_at(content).not_understood


def test_words_of_programs_are_no_fields() -> None:
    """A pipeline's own JSON has many words that look like a person's."""
    said = {
        "preferred": "x",
        "microphone": "y",
        "Name": "My study",
        "update": "z",
        "operator_type": "+",
    }
    assert looked_at(json.dumps(said).encode()).findings == ()


# archives


SMALL = scans.rda(**PERSON)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zip": lambda content: scans.zipped({"d/a.rda": content}),
    "stored zip": lambda content: scans.zipped({"d/a.rda": content}, 0),
    "tar": lambda content: tar({"d/a.rda": content}),
    "tgz": lambda content: tgz({"d/a.rda": content}),
    "txz": lambda content: lzma.compress(tar({"d/a.rda": content})),
    "gz": gzip.compress,
}


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", ["", *PACKERS])
def test_members_are_read_as_files_are(outer: str, inner: str) -> None:
    """Two archives deep, and what is compressed in them."""
    content = PACKERS[inner](SMALL) if inner else SMALL
    inspection = looked_at(PACKERS[outer](content))
    assert inspection.not_understood == ""
    assert layer(inspection, Layer.FIELD) == PERSON


def test_a_member_says_where_it_lies() -> None:
    """A person must find it."""
    deep = scans.zipped({"x/b.tgz": PACKERS["tgz"](SMALL)})
    assert {f.member for f in looked_at(deep).findings} == {"x/b.tgz/d/a.rda"}


def test_what_differs_in_each_image_is_told_once() -> None:
    """Thousands of images in one archive have thousands of identifiers and times."""
    images = {f"{n}.dcm": scans.dicom(ContentTime=f"10{n:02}00") for n in range(60)}
    told = [f for f in looked_at(scans.zipped(images)).findings if f.layer is Layer.TOLD]
    assert {f.field for f in told} == {"UIDs", "dates"}
    assert len(told) == 2


def test_archives_too_deep_in_each_other_are_not_understood() -> None:
    """Each level takes time and space."""
    content = scans.zipped({"c.zip": scans.zipped({"b.zip": scans.zipped({"a.rda": SMALL})})})
    inspection = looked_at(content)
    assert "too deep" in inspection.not_understood
    assert layer(inspection, Layer.FIELD) == {}


@pytest.mark.parametrize("packed", [scans.zipped, tar, tgz], ids=["zip", "tar", "tgz"])
def test_what_one_member_says_is_searched_for_in_the_others(
    packed: Callable[[dict[str, bytes]], bytes],
) -> None:
    """Also in those that come before it, and in names of members."""
    members = {"1.txt": b"born 31.01.1970", "muller-obrien/2.rda": SMALL}
    found = layer(looked_at(packed(members)), Layer.CROSS)
    assert found.keys() == {
        "a part of PatientBirthDate in the file's other bytes",
        "a part of PatientName in a path",
    }


def test_the_name_that_gzip_keeps_is_searched() -> None:
    """It is the name of the file before it was compressed."""
    out = io.BytesIO()
    with gzip.GzipFile("Zoe-Anne-MULLER-OBRIEN.rda", "wb", fileobj=out) as packed:
        packed.write(SMALL)
    assert "a part of PatientName in a path" in layer(looked_at(out.getvalue()), Layer.CROSS)


def test_a_member_nobody_knows_makes_the_archive_not_understood() -> None:
    """What the others say is kept."""
    inspection = looked_at(scans.zipped({"a.rda": SMALL, "b.bin": b"\1\2\3"}))
    assert "not all members" in inspection.not_understood
    assert layer(inspection, Layer.FIELD) == PERSON


CLEAN = scans.zipped({"a.rda": scans.rda()})


def _before_the_table(content: bytes) -> bytes:
    at = CLEAN.index(b"PK\1\2")
    return CLEAN[:at] + content + CLEAN[at:-6] + struct.pack("<LH", at + len(content), 0)


def _in_a_folder(content: bytes) -> bytes:
    return scans.zipped({"d/": content})


def _called_otherwise(content: bytes) -> bytes:
    return scans.zipped({"aaaaa": scans.rda()}).replace(b"aaaaa", content[:5], 1)


def _behind_a_stream(content: bytes) -> bytes:
    """Return a zip whose member is longer than what it unpacks to."""
    name, packed = b"a.rda", (codec := zlib.compressobj(wbits=-15)).compress(scans.rda())
    packed += codec.flush() + content
    made = zipfile.ZipInfo("a.rda")
    made.compress_type, made.compress_size = zipfile.ZIP_DEFLATED, len(packed)
    made.CRC, made.file_size = zlib.crc32(scans.rda()), len(scans.rda())
    table = CLEAN.index(b"PK\1\2")
    entry = CLEAN[table : table + 20] + struct.pack("<L", len(packed)) + CLEAN[table + 24 : -22]
    end = CLEAN[-22:-6] + struct.pack("<LH", 30 + len(name) + len(packed), 0)
    return made.FileHeader() + packed + entry + end


def _in_the_padding(content: bytes) -> bytes:
    packed = tar({"a.rda": scans.rda()})
    at = 512 + len(scans.rda())
    return packed[:at] + content[:200] + packed[at + 200 :]


HIDING: dict[str, Callable[[bytes], bytes]] = {
    "before a zip": lambda c: scans.zipped({"b.rda": c}).partition(b"PK\1\2")[0] + CLEAN,
    "before its table": _before_the_table,
    "behind its end": lambda c: CLEAN + b"\0" * 8 + c[:200],
    "in a folder of it": _in_a_folder,
    "under another name": _called_otherwise,
    "behind the stream of a member": _behind_a_stream,
    "in the padding of a tar": _in_the_padding,
}


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
def test_what_is_in_no_member_is_not_called_clean(hide: Callable[[bytes], bytes]) -> None:
    """Programs that take a member out, or add one, leave bytes of it behind."""
    assert looked_at(hide(SMALL)).not_understood


@pytest.mark.parametrize("broken", ["deflated", "called otherwise"])
def test_a_member_that_is_damaged_does_not_hide_the_others(broken: str) -> None:
    """They can be read, and are."""
    packed = scans.zipped({"aaaaa": b"A" * 99, "b.rda": SMALL})
    at = packed.index(b"aaaaa") + (5 if broken == "deflated" else 0)
    inspection = looked_at(packed[:at] + b"\xff" + packed[at + 1 :])
    assert inspection.not_understood
    assert layer(inspection, Layer.FIELD) == PERSON


class _Stream(io.RawIOBase):
    """What cannot seek, as a pipe: sizes are told behind each member."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self.content += bytes(block)
        return len(block)


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_that_was_written_into_a_pipe_is_understood(how: int, zip64: bool) -> None:
    """So are members without a byte, and folders."""
    stream = _Stream()
    with zipfile.ZipFile(stream, "w", how) as archive:
        archive.writestr("d/", b"")
        for name in ("d/ä.rda", "b.rda"):
            with archive.open(name, "w", force_zip64=zip64) as member:
                member.write(scans.rda())
    assert not looked_at(stream.content).not_understood


COMMENTED: dict[str, Callable[[str], bytes]] = {
    "zip": lambda text: _commented_zip(text, ""),
    "a member of it": lambda text: _commented_zip("", text),
    "tar": lambda text: _commented_tar(text),
    "gz": lambda text: (
        b"\x1f\x8b\x08\x10" + bytes(6) + text.encode() + b"\0" + gzip.compress(SMALL)[10:]
    ),
}


def _commented_zip(text: str, of_member: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("a.rda")
        info.comment, archive.comment = of_member.encode(), text.encode()
        archive.writestr(info, SMALL)
    return out.getvalue()


def _commented_tar(text: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.rda")
        info.size, info.pax_headers = len(SMALL), {"comment": text}
        archive.addfile(info, io.BytesIO(SMALL))
    return out.getvalue()


@pytest.mark.parametrize("outer", COMMENTED)
def test_a_comment_of_an_archive_is_a_field(outer: str) -> None:
    """What is known of a person is looked for in it; the name of a commit, as git writes it, is told."""
    inspection = looked_at(COMMENTED[outer]("for 31.01.1970"))
    assert layer(inspection, Layer.FIELD)["ArchiveComment"] == "for 31.01.1970"
    assert "a part of PatientBirthDate in the file's other bytes" in layer(inspection, Layer.CROSS)
    assert "ArchiveComment" in layer(looked_at(COMMENTED[outer]("0a" * 20)), Layer.TOLD)


def test_whose_a_tar_is_and_what_else_it_says_is_searched() -> None:
    """Attributes of files go along with them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.rda")
        info.size, info.pax_headers = len(SMALL), {"SCHILY.xattr.user.a": "born 31.01.1970"}
        info.uname = "zmueller"
        archive.addfile(info, io.BytesIO(SMALL))
    assert layer(looked_at(out.getvalue()), Layer.CROSS).keys() == {
        "a part of PatientName in the file's other bytes",
        "a part of PatientBirthDate in the file's other bytes",
    }


@pytest.mark.parametrize("outer", PACKERS)
def test_a_damaged_archive_is_not_understood(outer: str) -> None:
    """Half of it is not the whole."""
    packed = PACKERS[outer](SMALL + bytes(range(256)) * 40)
    assert looked_at(packed[: len(packed) // 2]).not_understood
