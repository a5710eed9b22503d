"""The demo: the main job from end to end, by the command that people type first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vipsync.commands import demo
from vipsync.errors import FolderError, VipsyncError
from vipsync.report.reporter import Reporter


def test_the_demo_ends_with_its_results(tmp_path: Path) -> None:
    """Three spectra are here, VIP was emptied, and the last line is the path of a picture."""
    done = subprocess.run(
        [sys.executable, "-m", "vipsync", "demo"],
        cwd=tmp_path,
        env={**os.environ, "VIP_API_KEY": "", "VIP_PORTAL_URL": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    study = tmp_path / "vipsync-demo"
    pictures = sorted(study.glob("outputs/*/*/spectrum.svg"))
    assert len(pictures) == 3
    assert len({picture.parent.parent for picture in pictures}) == 2
    assert Path(done.stdout.splitlines()[-1]) == pictures[0]
    assert "VIP is empty" in done.stdout
    assert not (study / "ON_VIP.txt").exists()
    assert len(list((study / "inputs").iterdir())) == 3


def test_the_demo_never_overwrites_a_folder(tmp_path: Path) -> None:
    """A folder that is there stays as it is."""
    with pytest.raises(FolderError, match="nothing was changed"):
        demo.demo(Reporter(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_command_to_install_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing package of the embedded VIP is no traceback."""
    for name in [n for n in sys.modules if n.startswith("vipsync.local")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flask", None)
    with pytest.raises(VipsyncError, match=r"pip install 'vipsync\[local\]'"):
        demo.demo(Reporter(), tmp_path / "demo")
