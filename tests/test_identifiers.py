"""Tests of the cross-check: a value is found in the spellings that people and programs give it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import pytest

from vipsync.privacy.findings import Finding, Inspection, Layer
from vipsync.privacy.identifiers import Identifier, folded, found_in, identifiers, signs

FIELDS = {
    "PatientName": "SMITH^JOHN",
    "PatientBirthDate": "19700131",
    "PatientID": "1234567",
    "OperatorsName": "Doe^Jane",
    "ReferringPhysicianName": "Müller^Änne",
    "ImageComments": "call the sister",
}


def known(fields: Mapping[str, str] = FIELDS) -> tuple[Identifier, ...]:
    findings = tuple(Finding(Layer.FIELD, *item) for item in fields.items())
    return identifiers(Inspection("", findings))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("SMITH_2024.dat", "PatientName"),
        ("/opt/data/smith-j/1", "PatientName"),
        ("JohnSmith", "PatientName"),
        ("born 1970-01-31", "PatientBirthDate"),
        ("born 31.01.1970", "PatientBirthDate"),
        ("born 31/01/1970", "PatientBirthDate"),
        ("01311970", "PatientBirthDate"),
        ("id=1234567;", "PatientID"),
        ("DOE_JANE.SPAR", "OperatorsName"),
        ("Jane Doe", "OperatorsName"),
        ("doe, jane", "OperatorsName"),
        ("Dr MÜLLER", "ReferringPhysicianName"),
        ("Call the Sister", "ImageComments"),
    ],
)
def test_other_spellings(text: str, field: str) -> None:
    """Case, order, signs and the encoding do not hide a value, neither in bytes nor in a name."""
    for form in ("NFC", "NFD"):
        assert found_in(known(), unicodedata.normalize(form, text)) == (field,)
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        assert found_in(known(), b"\xff\0" + text.encode(encoding) + b"\0") == (field,), encoding


@pytest.mark.parametrize("text", ["Muller", "MULLER_A"])
def test_a_name_without_its_accents(text: str) -> None:
    """Accents go where a name becomes the name of a file."""
    assert found_in(known(), text) == ("ReferringPhysicianName",)
    assert found_in(known(), text.encode()) == ("ReferringPhysicianName",)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Müller^Jo", "muellerjo"),
        ("Sørensen^Bo", "soerensen"),
        ("Sørensen^Bo", "SORENSEN"),
        ("Łukaszewski^A", "lukaszewski"),
        ("Yıldız^Ay", "yildiz"),
        ("Åkesson^Bo", "aakesson"),
        ("Æbelø^Ib", "aebelo"),
        ("MU\u0308LLER^J", "mueller"),
    ],
    ids=lambda text: text if text.isascii() else "",
)
def test_a_name_in_letters_that_every_keyboard_has(value: str, text: str) -> None:
    """So a folder is called by hand, where a scanner keeps the letters themselves."""
    assert found_in(known({"PatientName": value}), text) == ("PatientName",)
    assert found_in(known({"PatientName": value}), f"{text}/1") == ("PatientName",)


@pytest.mark.parametrize("text", ["smith.nii", "JONES", "smithjones", "Smith-Jones"])
def test_each_part_of_a_double_name_is_one(text: str) -> None:
    """People go by one of them."""
    assert found_in(known({"PatientName": "Smith-Jones^Al"}), text) == ("PatientName",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Özdemir", "Иванов", "ИВАНОВ", "иванов"])
def test_a_name_as_it_is_written(text: str, encoding: str) -> None:
    """Capitals of other letters than A to Z are no others in bytes."""
    ids = known({"PatientName": f"{text}^Al"})
    for form in (text, text.capitalize(), text.upper()):
        assert found_in(ids, b"x\0" + form.encode(encoding) + b"\0x") == ("PatientName",)


@pytest.mark.parametrize(
    "text", ["smi th", "1970", "doe", "jane", "sister", "91234567890", "john", "1970-13-01", ""]
)
def test_what_is_not_the_value(text: str) -> None:
    """Short parts, a number within a longer one, and single words of a comment say nothing."""
    assert found_in(known(), text.encode()) == ()


def test_a_number_is_found_in_utf_16_at_its_own_borders_only() -> None:
    """Digits around it make another number, also where each takes two bytes."""
    assert found_in(known(), "x1234567y".encode("utf-16-le")) == ("PatientID",)
    assert found_in(known(), "0x91234567".encode("utf-16-le")) == ()
    assert found_in(known(), "12345678".encode("utf-16-le")) == ()


@pytest.mark.parametrize("value", ["", "ANONYMOUS", "00010101", "ID1", "^^", "Li^Wu"])
def test_what_says_too_little_is_not_searched_for(value: str) -> None:
    """A dummy or a short value would be found everywhere."""
    assert known({"PatientName": value}) == ()


def test_only_fields_that_name_somebody_are_searched_for() -> None:
    """An institution stands in many places, and is told once."""
    told = Finding(Layer.TOLD, "InstitutionName", "General Hospital")
    assert identifiers(Inspection("", (told,))) == ()


def test_no_value_is_in_what_is_printed() -> None:
    """An identifier keeps its value to itself."""
    assert "SMITH" not in repr(known())
    assert "smith" not in repr(known())


def test_another_script() -> None:
    """Names in other scripts are found as they are written."""
    ids = known({"PatientName": "Yamada^Tarou=山田^太郎"})
    assert found_in(ids, "山田".encode()) == ("PatientName",)
    assert found_in(ids, "/data/山田/1") == ("PatientName",)


UID = "1.2.840.113619.2.176.{}.99.1234"


@pytest.mark.parametrize(
    ("value", "name", "there"),
    [
        ("20240", "scan_2024-01-02.nii", False),
        ("12345", f"{UID.format('9123456')}.dcm", False),
        ("12345", f"{UID.format('12.345')}.dcm", False),
        ("113619", "IM1136190.dcm", False),
        ("12345", f"{UID.format('12345')}.dcm", True),
        ("12345", "P12345.7", True),
        ("12345", "p_123-45_t1.nii", True),
        ("12345", "ID １２３４５", True),
        ("007", "007_T1w.dcm", False),
        ("1234", "study 1234/1234.dcm", False),
    ],
)
def test_a_number_is_found_in_a_name_at_its_own_borders_only(
    value: str, name: str, there: bool
) -> None:
    """Names of images are numbers of forty digits, and many hold a date; short numbers say nothing."""
    assert (found_in(known({"PatientID": value}), name) == ("PatientID",)) is there


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("1970-01-31", True),
        ("31.01.1970.dcm", True),
        ("x19700131y", True),
        (UID.format("119700131"), False),
    ],
)
def test_a_date_is_found_in_a_name_at_its_own_borders_only(name: str, there: bool) -> None:
    """However it is written."""
    assert bool(found_in(known({"PatientBirthDate": "19700131"}), name)) is there


ENCODED = {
    "Иванов": "iso8859-5 cp1251 koi8-r koi8-u mac-cyrillic",
    "Шевченкові": "cp1251 koi8-u",
    "Dvořák": "iso8859-2 cp1250",
    "Ġużeppi": "iso8859-3",
    "Ķēniņš": "iso8859-4",
    "Yıldız": "iso8859-9 cp1254",
    "Müller": "mac-roman cp1252 iso8859-15",
    "Παπαδόπουλος": "iso8859-7 cp1253",
    "قباني": "iso8859-6 cp1256",
    "דבורה": "iso8859-8 cp1255",
    "สมชาย": "tis-620 cp874",
    "ﾔﾏﾀﾞﾀﾛｳ": "shift-jis",
    "やまだ": "shift-jis euc-jp iso2022-jp",
    "山田太郎": "shift-jis cp932 euc-jp iso2022-jp gbk gb18030 big5",
    "王小东": "gb2312 gbk gb18030",
    "洪吉洞": "euc-kr gb18030",
    "홍길동": "euc-kr cp949",
}
"""Names, and in what they are written where nobody writes UTF-8: DICOM's sets, Windows, the Mac."""


@pytest.mark.parametrize(
    ("name", "encoding"), [(n, e) for n, some in ENCODED.items() for e in some.split()]
)
def test_a_name_in_the_encoding_of_its_letters(name: str, encoding: str) -> None:
    """Headers of vendors, names in archives and texts of other programs do not say what they are in."""
    ids = known({"PatientName": f"{name}^Al"})
    for form in {name, name.lower(), name.upper()}:
        raw = form.encode(encoding, "ignore")
        if raw.decode(encoding) == form:  # else that set has no such letter
            assert found_in(ids, b"x\n" + raw + b"\n") == ("PatientName",)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("Иванов", "gb18030"), ("Иванов", "shift-jis"), ("Иванов", "euc-kr"), ("Müller", "gb18030")],
)
def test_a_name_is_not_searched_in_the_encodings_of_other_letters(name: str, encoding: str) -> None:
    """Nobody writes it so, and each way to write it takes time."""
    assert found_in(known({"PatientName": f"{name}^Al"}), name.encode(encoding)) == ()


def test_a_word_of_few_bytes_is_not_searched_in_them() -> None:
    """Four bytes are found by chance in each file of some gigabytes."""
    ids = known({"PatientName": "小东^Al"})
    assert found_in(ids, "小东".encode()) == ("PatientName",)
    assert found_in(ids, "小东".encode("gb18030")) == ()


@pytest.mark.parametrize(
    ("name", "most"),
    [*((name, 12) for name in ENCODED), ("Иванов", 5), ("Müller", 1), ("Smith", 1), ("x" * 200, 1)],
)
def test_what_is_searched_first_is_part_of_each_spelling(name: str, most: int) -> None:
    """And it is little: each sign takes half a nanosecond for a byte."""
    for one in known({"PatientName": f"{name}^Al"}):
        for needle in one.needles:
            assert all(needle.may_be_in(folded(b"\0" + core)) for core in needle.cores)
            assert len(signs(needle.cores)) <= most
