"""A part of a folder that cannot be looked at, on the whole system: its case waits and says why."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench
from tests.lab.statuses import states
from tests.test_packing_system import scan, settings
from vipsync.plan.standing import CaseState

FOLDER = SETTINGS.replace('"*.mrui"', '"{sub}/dicom/"')


def no_text(folder: Path) -> Path:
    """Put a slice there whose name is no UTF-8."""
    path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.dcm"))
    path.write_text("slice")
    return path


def dangling(folder: Path) -> Path:
    """Put a link there without its content, as git-annex leaves it."""
    path = folder / "z.dcm"
    path.symlink_to(".git/annex/objects/z")
    return path


def leading_out(folder: Path) -> Path:
    """Put a link there that leads out of inputs/."""
    path = folder / "z.dcm"
    path.symlink_to("/etc/hostname")
    return path


def pipe(folder: Path) -> Path:
    """Put a pipe there."""
    path = folder / "z.dcm"
    os.mkfifo(path)
    return path


def plug(folder: Path) -> Path:
    """Put a socket there, one folder deeper."""
    path = folder / "deep" / "s"
    path.parent.mkdir()
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s")
    finally:
        os.chdir(here)
    return path


def line_break(folder: Path) -> Path:
    """Put a slice there whose name has two lines."""
    path = folder / "a\nb.dcm"
    path.write_text("slice")
    return path


KINDS = (no_text, dangling, leading_out, pipe, plug, line_break)


@pytest.mark.parametrize(
    "text", [settings("zip"), settings("tgz"), FOLDER], ids=["zip", "tgz", "folder"]
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_case_waits_for_a_part_that_cannot_be_looked_at(
    bench: Bench, text: str, kind: Callable[[Path], Path]
) -> None:
    """It is not launched without the part; it is once that is mended. Others go on."""
    study = bench.study(settings=text)
    scan(study, "sub-01", a="1", b="2")
    scan(study, "sub-02", a="3")
    part = kind(study.root / "inputs/sub-01/dicom")
    bench.rest()
    assert states(study)["sub-01"] is CaseState.WAITING
    assert states(study)["sub-02"] is CaseState.DONE
    assert len(bench.executions()) == 1
    assert not any("sub-01" in name for name in bench.vip_inputs())
    part.unlink()
    bench.run(200)
    bench.rest()
    assert states(study)["sub-01"] is CaseState.DONE


def test_files_beside_a_folder_keep_no_case_waiting(bench: Bench) -> None:
    """Only what is a part of it counts, however alike the names are."""
    study = bench.study(settings=settings("zip"))
    scan(study, "sub-01", a="1")
    dangling(study.root / "inputs/sub-01")
    (study.root / "inputs/sub-01/dicom-old").mkdir()
    pipe(study.root / "inputs/sub-01/dicom-old")
    bench.rest()
    assert states(study)["sub-01"] is CaseState.DONE
