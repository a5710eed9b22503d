"""Tests of what others put where a station writes, and of whose word it runs a program by."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from vipsync.errors import DiskError, SettingsError
from vipsync.model import replace
from vipsync.station.folder import StationFolder
from vipsync.station.making import fill, make_session
from vipsync.station.model import StationSettings, Study
from vipsync.station.settings import load

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and rights of POSIX")
COPY = StationSettings(exports=("/export",), take="copy")
PREPARE = replace(COPY, prepare=("sh", "-c", "echo made; cp $0/* $1", "{study}", "{inputs}"))
STUDY = Study("k", "S0001", 1, 1, "", 0.0)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Make a folder of somebody else, with a file of theirs."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "letter.txt").write_text("mine")
    return tmp_path / "outside"


def plant(place: Path, target: Path, kind: str) -> None:
    """Put another name of a file, or a link, where a station writes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.hardlink_to(target) if kind == "second name" else place.symlink_to(target)


@pytest.mark.parametrize("settings", [COPY, PREPARE], ids=["copy", "prepare"])
@pytest.mark.parametrize("kind", ["link", "second name", "link to nothing"])
@pytest.mark.parametrize("place", [".S0001.part", "S0001/.inputs.part", "S0001/.study.part",
    "S0001/.inputs.old", "S0001/inputs", "S0001/.vipsync", "S0001/.vipsync/prepare.log"])  # fmt: skip
def test_a_station_writes_through_no_link(
    tmp_path: Path, outside: Path, place: str, kind: str, settings: StationSettings
) -> None:
    """Neither a study nor what a tool says of it comes out of the session."""
    station, export = StationFolder(tmp_path / "station"), tmp_path / "export"
    export.mkdir()
    station.sessions.mkdir(parents=True)
    (export / "1.rda").write_text("a spectrum")
    file = kind == "second name" or place.endswith(".log")
    target = outside / ("new" if kind == "link to nothing" else "letter.txt" if file else "")
    with suppress(DiskError):
        if place == ".S0001.part":
            plant(station.sessions / place, target, kind)
        make_session(station, STUDY, "# settings")
        if place != ".S0001.part":
            plant(station.sessions / place, target, kind)
        sources = [(export, [("1.rda", export / "1.rda")])]
        fill(station, settings, STUDY, sources, lambda: None)
        session = station.session("S0001").root
        assert (session / "inputs" / "1.rda").read_text() == "a spectrum"
        assert not session.is_symlink()
        assert not (session / "inputs").is_symlink()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"letter.txt": "mine"}


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_program_is_run_by_the_word_of_this_account_only(tmp_path: Path, mode: int) -> None:
    """Who else could write station.toml would run what they like, with this account's key."""
    (tmp_path / "template").mkdir()
    path = tmp_path / "station.toml"
    path.write_text('[station]\nexports = ["/e"]\nprepare = ["sh", "{inputs}"]\n')
    path.chmod(mode)
    with pytest.raises(SettingsError, match="prepare"):
        load(tmp_path)
    path.chmod(0o644)
    assert load(tmp_path).prepare == ("sh", "{inputs}")
    path.write_text('[station]\nexports = ["/e"]\n')
    path.chmod(mode)
    assert load(tmp_path).prepare == ()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to give a file away"
)
def test_a_program_that_somebody_else_names_is_not_run(tmp_path: Path) -> None:
    """A station that a colleague leaves among the folders of a service is theirs."""
    path = tmp_path / "station.toml"
    path.write_text('[station]\nexports = ["/e"]\nprepare = ["sh", "{inputs}"]\n')
    os.chown(path, 12345, 12345)
    with pytest.raises(SettingsError, match="prepare"):
        load(tmp_path)
