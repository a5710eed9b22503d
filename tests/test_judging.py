"""Tests of judging: findings and a policy give a verdict without any value."""

from __future__ import annotations

import pytest

from vipsync.model import PrivacySettings, replace
from vipsync.privacy.findings import Finding, Inspection, Layer
from vipsync.privacy.judging import FieldCount, Verdict, is_dummy, judge
from vipsync.privacy.policy import fingerprint

NAME = Finding(Layer.FIELD, "PatientName", "SMITH^JOHN")
CODE = Finding(Layer.FIELD, "PatientName", "sub-01")
IN_PATH = Finding(Layer.CROSS, "a part of PatientName in a path", "SMITH^JOHN", of="PatientName")
CODE_IN_PATH = Finding(Layer.CROSS, "a part of PatientName in a path", "sub-01", of="PatientName")
OVERLAY = Finding(Layer.RISK, "Overlay", "Overlay")
HOSPITAL = Finding(Layer.TOLD, "InstitutionName", "Hospital")

CODES = PrivacySettings(accept=(("PatientName", ("sub-*",)),))
REASON = PrivacySettings(allow=(("PatientName", "phantoms"), ("Overlay", "looked at")))
STRICT = PrivacySettings(strict=True)
OFF = PrivacySettings(off="phantoms only")


@pytest.mark.parametrize(
    ("finding", "policy", "refused", "told"),
    [
        pytest.param(NAME, PrivacySettings(), True, False, id="a filled field is refused"),
        pytest.param(
            CODE, PrivacySettings(), True, False, id="a pseudonym nobody accepts is refused"
        ),
        pytest.param(CODE, CODES, False, False, id="an accepted pseudonym is nothing to tell"),
        pytest.param(NAME, CODES, True, False, id="what no pattern takes is refused"),
        pytest.param(NAME, REASON, False, True, id="what is allowed for a reason is told"),
        pytest.param(IN_PATH, PrivacySettings(), True, False, id="a name in a path is refused"),
        pytest.param(IN_PATH, REASON, True, False, id="allowing a field allows no path"),
        pytest.param(CODE_IN_PATH, CODES, False, False, id="a pseudonym may stand in a path"),
        pytest.param(OVERLAY, PrivacySettings(), True, False, id="a risky kind is refused"),
        pytest.param(OVERLAY, REASON, False, True, id="a risky kind is allowed for a reason"),
        pytest.param(HOSPITAL, PrivacySettings(), False, True, id="an institution is told"),
        pytest.param(HOSPITAL, STRICT, True, False, id="strict refuses what is told else"),
        pytest.param(NAME, OFF, False, True, id="with the gate off everything is told"),
        pytest.param(OVERLAY, OFF, False, True, id="with the gate off a risk is told"),
    ],
)
def test_the_verdict_on(
    finding: Finding, policy: PrivacySettings, refused: bool, told: bool
) -> None:
    """Each finding is refused, told, or nothing to speak of."""
    verdict = judge(Inspection("DICOM", (finding,)), policy, "a.dcm")
    counted = (FieldCount(finding.field, 1),)
    by_settings = counted * (not refused and policy in (CODES, REASON))
    assert verdict == Verdict(counted * refused, counted * told, accepted=by_settings)
    assert verdict.clear is not refused


@pytest.mark.parametrize(
    "value",
    [
        "",
        "^^^^",
        "----",
        "ANONYMOUS",
        "Anonymized^^",
        "anonymous^Anonymous",
        "ANONYM_012",
        "00010101",
        "000000",
    ],
)
def test_what_stands_for_nothing_is_not_refused(value: str) -> None:
    """A dummy of a de-identifier names nobody."""
    assert is_dummy(value)
    assert judge(Inspection("", (Finding(Layer.FIELD, "PatientName", value),)), STRICT, "").clear


@pytest.mark.parametrize(
    "value",
    [
        "Anonymous^Smith",
        "Anonym 1 2",
        "1",
        "7 Anonym",
        "0-1234",
        "000 12",
        "19700101",
        "X",
        "O'Brien",
        "Null",
        "王",
    ],
)
def test_what_may_be_a_name_is_no_dummy(value: str) -> None:
    """Only what surely names nobody passes."""
    assert not is_dummy(value)


def test_counts_are_of_values_met() -> None:
    """A field that was met in many members of an archive is counted as often."""
    findings = (
        Finding(Layer.FIELD, "PatientID", "1", count=40),
        Finding(Layer.FIELD, "PatientID", "2"),
    )
    assert judge(Inspection("", findings), PrivacySettings(), "").refused == (
        FieldCount("PatientID", 41),
    )


UNREAD = Inspection("", not_understood="its format is not known")


@pytest.mark.parametrize(
    ("inspection", "plain", "must_read", "understood", "clear"),
    [
        pytest.param(UNREAD, (), False, False, True, id="told only"),
        pytest.param(UNREAD, (), True, False, False, id="refused where everything must be read"),
        pytest.param(UNREAD, ("*.job0",), True, True, True, id="a person's word"),
        pytest.param(UNREAD, ("*.dat",), True, False, False, id="a word on other files"),
        pytest.param(
            Inspection("DICOM", not_understood="pydicom", refuse_unread=True),
            (), False, False, False, id="a reader is missing",
        ),
    ],
)  # fmt: skip
def test_what_is_not_understood(
    inspection: Inspection, plain: tuple[str, ...], must_read: bool, understood: bool, clear: bool
) -> None:
    """It is never called clean; whether it is sent is for the folder to say."""
    policy = PrivacySettings(plain=plain, must_read=must_read)
    verdict = judge(inspection, policy, "7/rawdata.job0")
    assert (verdict.understood, verdict.clear) == (understood, clear)
    assert bool(verdict.reason) is not understood


def test_a_persons_word_on_a_file_does_not_cover_what_was_found_in_it() -> None:
    """`plain` speaks of what cannot be read, not of a name that can."""
    found = Inspection("DICOM", (NAME,), not_understood="cut short")
    assert not judge(found, PrivacySettings(plain=("*",)), "a.dcm").clear


def test_no_value_is_in_a_verdict_or_in_what_is_printed_of_a_finding() -> None:
    """Values stay in memory, even where somebody logs an object."""
    inspection = Inspection("DICOM", (NAME, IN_PATH))
    said = repr(inspection) + repr(judge(inspection, PrivacySettings(), "a.dcm"))
    assert "SMITH" not in said


def test_a_policy_is_known_by_what_it_says() -> None:
    """The order of words in settings.toml changes nothing; each word does."""
    one = PrivacySettings(accept=(("A", ("x", "y")), ("B", ("z",))), plain=("a", "b"))
    assert fingerprint(one) == fingerprint(replace(one, plain=("b", "a")))
    policies = [one, CODES, REASON, STRICT, OFF, PrivacySettings()]
    assert len(set(map(fingerprint, policies))) == len(policies)
