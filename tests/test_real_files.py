"""Tests of inspection with files that nobody here wrote, and with what de-identifiers make of them.

They come with packages from the registry. Some are no part of the development environment
(`pip install --no-deps heudiconv nmrglue`); those of suspect lie in its repository alone, and are
read where VIPSYNC_SUSPECT names a checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import nibabel
import pydicom
import pytest

from tests.lab import scans
from vipsync.model import PrivacySettings
from vipsync.privacy.findings import Inspection, Layer
from vipsync.privacy.identifiers import identifiers
from vipsync.privacy.inspecting import inspect
from vipsync.privacy.judging import judge

DICOM = Path(pydicom.__file__).parent / "data"


def package(name: str) -> Path:
    """Return where a package lies that need not be installed."""
    spec = find_spec(name)
    return Path(spec.origin or "").parent if spec else Path("no such package")


PLACES = {
    "pydicom": DICOM,
    "nibabel": Path(nibabel.__file__).parent,
    "heudiconv": package("heudiconv"),
    "nmrglue": package("nmrglue"),
    "suspect": Path(os.environ.get("VIPSYNC_SUSPECT", "no checkout")) / "tests/test_data",
}


class Row(NamedTuple):
    """What one file is, whether it was read to its end, and what of it is refused."""

    file: str
    format: str
    read: str
    refused: str

    @property
    def path(self) -> Path:
        package, _, name = self.file.partition("/")
        return PLACES[package] / name


TABLE = Path(__file__).with_name("real_files.tsv").read_text("utf-8").splitlines()
ROWS = [Row(*line.split("\t")) for line in TABLE if not line.startswith("#")]
HERE = [row for row in ROWS if row.path.exists()]


@pytest.mark.parametrize("package", PLACES)
def test_the_files_of(package: str) -> None:
    """Those of the table are there."""
    of_it = [row for row in ROWS if row.file.startswith(f"{package}/")]
    if not PLACES[package].exists():
        pytest.skip(f"{package} is not here, with {len(of_it)} files to look at")
    assert len([row for row in of_it if row in HERE]) >= 0.9 * len(of_it), "a new release?"


@pytest.mark.parametrize("row", HERE, ids=[row.file for row in HERE])
def test_the_verdict_on(row: Row) -> None:
    """The verdict on each file is the one that a person came to."""
    inspection = inspect(row.path, "")
    verdict = judge(inspection, PrivacySettings(), "")
    fields = [count.field for count in verdict.refused if " " not in count.field]
    assert inspection.format == row.format
    assert (verdict.reason or "read") == row.read
    assert " ".join(fields) == row.refused
    assert verdict.clear is not bool(row.refused)


# what de-identifiers leave

SAMPLES = [
    "CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "reportsi.dcm", "rtplan.dcm",
    "waveform_ecg.dcm", "SC_rgb_gdcm_KY.dcm",
]  # fmt: skip


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Return a folder with copies of files that name somebody."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in SAMPLES:
        shutil.copy(DICOM / "test_files" / name, folder)
    return folder


def run(*words: object) -> None:
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def refused(inspection: Inspection) -> set[str]:
    return {count.field for count in judge(inspection, PrivacySettings(), "").refused}


def left_of(original: Path, made: Path) -> set[str]:
    """Return the fields of a file whose values are in what was made of it."""
    known = identifiers(inspect(original, ""))
    values = {one.value for one in known}
    found = inspect(made, "", known=known).findings
    return {f.of for f in found if f.layer is Layer.CROSS and f.value in values}


@pytest.mark.filterwarnings("ignore")
def test_what_dicom_anonymizer_writes_is_clear(samples: Path, tmp_path: Path) -> None:
    """Its dummies are known; what may show a name in its pixels is refused all the same."""
    out = tmp_path / "out"
    out.mkdir()
    run("-m", "dicomanonymizer.anonymizer", samples, out)
    kept = {path.name: refused(inspect(path, "")) for path in sorted(out.iterdir())}
    risky = {"SC_rgb_gdcm_KY.dcm": {"SecondaryCapture"}, "reportsi.dcm": {"StructuredReport"}}
    assert kept == {name: risky.get(name, set()) for name in sorted(SAMPLES)}
    assert set().union(*(left_of(samples / name, out / name) for name in SAMPLES)) == set()


def test_what_dicognito_writes_is_refused(samples: Path, tmp_path: Path) -> None:
    """It invents names that look like real ones, and leaves comments as they were."""
    out = tmp_path / "out"
    shutil.copytree(samples, out)
    run("-m", "dicognito", "--in-place", "--quiet", "--seed", "1", out)
    for name in SAMPLES:
        assert {"PatientName", "PatientID"} <= refused(inspect(out / name, "")), name
    assert "ImageComments" in refused(inspect(out / "CT_small.dcm", ""))
    assert left_of(samples / "CT_small.dcm", out / "CT_small.dcm") == {"ImageComments"}


def test_names_that_dicognito_invents_can_be_accepted(samples: Path, tmp_path: Path) -> None:
    """A prefix makes its identifiers known; names are accepted as a person decides."""
    run("-m", "dicognito", "--in-place", "--quiet", "--id-prefix", "QQ", samples)
    found = inspect(samples / "rtplan.dcm", "")
    names = PrivacySettings(
        accept=(("PatientID", ("QQ*",)), ("AccessionNumber", ("QQ*",))),
        allow=(("PatientName", "invented"), ("OperatorsName", "invented")),
    )
    assert judge(found, names, "").clear


SPEC2NII = shutil.which("spec2nii", path=str(Path(sys.executable).parent)) or shutil.which(
    "spec2nii"
)
needs_spec2nii = pytest.mark.skipif(not SPEC2NII, reason="spec2nii is not installed")


@needs_spec2nii
def test_what_spec2nii_writes(tmp_path: Path) -> None:
    """Names go into the extension, `anon` takes them out again, but not what a comment says."""

    def convert(kind: str, content: bytes, name: str) -> tuple[set[str], set[str]]:
        (tmp_path / name).write_bytes(content)
        for words in ((kind, "-f", "a", "-o", tmp_path, tmp_path / name),
                      ("anon", "-f", "b", "-o", tmp_path, tmp_path / "a.nii.gz")):  # fmt: skip
            subprocess.run([str(SPEC2NII), *map(str, words)], check=True, capture_output=True)
        before, after = (inspect(tmp_path / f"{one}.nii.gz", "") for one in "ab")
        assert before.format == after.format == "NIfTI-2, packed"
        return refused(before), refused(after)

    text = "NameOfPatient: Smith\n"
    left = {"AdditionalInformation"}
    assert convert("jmrui", scans.mrui(text), "j.mrui") == (left | {"OriginalFile"}, left)
    assert convert("jmrui", scans.mrui(), "k.mrui") == ({"OriginalFile"}, set())


def test_no_value_is_in_what_is_printed_of_a_real_file() -> None:
    """Neither of what was found nor of the verdict."""
    inspection = inspect(DICOM / "test_files/rtplan.dcm", "")
    said = repr(inspection) + repr(judge(inspection, PrivacySettings(), ""))
    values = {f.value for f in inspection.findings if f.layer is Layer.FIELD}
    assert values
    assert not [value for value in values if value in said]
