"""The recipes of examples/privacy: each is run as it stands there, and vipsync lets what it leaves go."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import scans
from tests.lab.served import ROOT

PAGE = (ROOT / "examples/privacy/README.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
HERE = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
SIGNS = (b"smith", b"A4711081", b"19700131", b"house")


def block(title: str, language: str) -> str:
    """Return the lines of a recipe in one language, "" where it has none; nothing is installed."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", RECIPES[title], re.M | re.S)
    return "\n".join(line for line in "".join(found).splitlines() if "pip install" not in line)


def export(folder: Path, comment: str = "") -> None:
    """Write what a scanner exports of somebody."""
    folder.mkdir()
    for number in (1, 2):
        image = scans.dicom(
            PatientName="Smith^John",
            PatientID="A4711081",
            PatientBirthDate="19700131",
            ReferringPhysicianName="House^G",
            StudyDate="20240102",
            StudyInstanceUID="1.2.3",
            SeriesInstanceUID="1.2.3.4",
            InstanceNumber=number,
            ImageComments=comment,
        )
        (folder / f"{number}.dcm").write_bytes(image)
    header = {"SpectrometerFrequency": [123.2], "ResonantNucleus": ["1H"]}
    named = json.dumps({**header, "PatientName": "Smith^John", "PatientID": "A4711081"}).encode()
    (folder / "svs.nii").write_bytes(scans.spectrum(named))
    subprocess.run(["gzip", folder / "svs.nii"], check=True)


def run(folder: Path, title: str) -> Path:
    """Run a recipe; return the session folder that it fills."""
    words = {"dicognito": "python"}.get(title, title.split()[0])
    if not shutil.which(words, path=HERE):
        pytest.skip(f"{title} is not installed")
    study = folder / "study"
    (study / "inputs").mkdir(parents=True)
    (study / "settings.toml").write_text(f'session_name = "s"\n{block(title, "toml")}')
    done = subprocess.run(
        ["bash", "-euc", block(title, "sh")],
        cwd=folder,
        env={**os.environ, "PATH": HERE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return study


def looked_into(study: Path) -> subprocess.CompletedProcess[str]:
    """Return what `vipsync privacy` says of a folder."""
    words = [sys.executable, "-m", "vipsync", "privacy", str(study)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("title", RECIPES)
def test_what_a_recipe_leaves_may_go(tmp_path: Path, title: str) -> None:
    """And holds nothing of the person; what was exported is refused."""
    export(tmp_path / "export")
    study = run(tmp_path, title)
    left = [path for path in (study / "inputs").rglob("*") if path.is_file()]
    assert left
    said = looked_into(study)
    assert said.returncode == 0, said.stdout + said.stderr
    assert not [sign for sign in SIGNS for path in left if sign in path.read_bytes().lower()]
    shutil.rmtree(study / "inputs")
    shutil.copytree(tmp_path / "export", study / "inputs")
    assert looked_into(study).returncode == 3


def test_a_comment_that_dicognito_keeps_is_caught(tmp_path: Path) -> None:
    """Whatever may go of what it invents."""
    export(tmp_path / "export", comment="john smith moved")
    said = looked_into(run(tmp_path, "dicognito"))
    assert said.returncode == 3
    assert "ImageComments" in said.stdout
