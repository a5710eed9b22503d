"""The demo: the main job from end to end, by the command that people type first."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vipsync.commands import demo
from vipsync.errors import FolderError, VipsyncError
from vipsync.report.reporter import Reporter


def test_the_demo_ends_with_its_results(tmp_path: Path) -> None:
    """Spectra of a session and of a station are here, VIP was emptied, and the last line is the page.

    The page is what a browser is asked to show.
    """
    began = int(time.time())
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/shown\n')
    browser.chmod(0o755)
    nobody = {"VIP_API_KEY": "", "VIP_PORTAL_URL": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "vipsync", "demo", "--open"],
        cwd=tmp_path,
        env={**os.environ, **nobody, "BROWSER": f"{browser} %s"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    study, station = (tmp_path / "vipsync-demo" / name for name in ("my-study", "scanner"))
    pictures = sorted(study.glob("outputs/*/*/spectrum.svg"))
    assert len(pictures) == 3
    assert len({picture.parent.parent for picture in pictures}) == 2
    assert len(list(station.glob("sessions/S0001/outputs/*/*/spectrum.svg"))) == 1
    assert all(began <= path.stat().st_mtime <= time.time() for path in tmp_path.rglob("*"))
    assert not list(tmp_path.rglob("stations/*.json"))
    lines = done.stdout.splitlines()
    assert Path(lines[-1]) == study / "outputs" / "index.html"
    assert Path(lines[-1]).is_file()
    assert (tmp_path / "shown").read_text().strip() == Path(lines[-1]).as_uri()
    assert len(lines) <= 25
    assert all(len(line) <= 100 for line in lines[:-1])
    assert "VIP is clean" in done.stdout
    assert not (study / "ON_VIP.txt").exists()
    assert len(list((study / "inputs").iterdir())) == 3


def test_a_spectrum_is_drawn_in_blocks(tmp_path: Path) -> None:
    """The highest line reaches the top, at its place between 4.2 and 0.2 ppm; what lies outside is left out."""
    table = tmp_path / "spectrum.csv"
    table.write_text("ppm,magnitude\n4.7,100\n2.2,8\n3.2,4\n1.2,0\n")
    drawn = demo._drawn(table)
    assert [len(line) for line in drawn] == [64] * 6
    assert (drawn[0].index("█"), drawn[-1].index("█")) == (32, 16)
    assert demo._has_blocks("utf-8")
    assert not demo._has_blocks("latin-1")


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
