"""Something lies in a folder that stops its work: it is named, and the run ends as in good order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.served import Served, without_privileges
from vipsync.folder.folder import SessionFolder
from vipsync.results.gallery import Gallery
from vipsync.rows import Phase
from vipsync.status.publish import Publisher


def asked(study: Study, *commands: str) -> None:
    """Leave requests as if by commands, in this order."""
    requests = study.root / ".vipsync" / "requests"
    requests.mkdir(parents=True, exist_ok=True)
    for number, command in enumerate(commands):
        (requests / f"{number:06d}.json").write_text(json.dumps({"command": command}))


def looks(bench: Bench) -> int:
    """Return after how many looks nothing is left to do."""
    count = 0

    def look(_session: object) -> None:
        nonlocal count
        count += 1

    bench.publish = look
    bench.rest()
    return count


def test_requests_that_ask_the_same_are_answered_at_once(bench: Bench) -> None:
    """Five hundred of them hold nobody up: each look answers all that it has read."""
    study = bench.study()
    bench.rest()
    asked(study, *["pause"] * 500)
    assert looks(bench) < 20
    assert not SessionFolder(study.root).asked()
    assert study.state.session.paused
    assert len(study.state.requests) == 500


def test_requests_are_answered_in_their_order(bench: Bench) -> None:
    """Only those in a row that ask the same are one: what was asked for last is what counts."""
    study = bench.study()
    bench.rest()
    asked(study, "pause", "pause", "resume", "resume", "pause", "resume")
    assert looks(bench) < 20
    assert not study.state.session.paused
    assert len(study.state.requests) == 6


def test_a_rerun_that_was_asked_for_twice_is_one(bench: Bench) -> None:
    """Nothing was launched between the two."""
    study = bench.study(a="one")
    bench.rest()
    asked(study, "rerun", "rerun")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["a.mrui"]]


def test_a_result_that_cannot_be_looked_at_stops_nothing_else(bench: Bench) -> None:
    """A link that leads to itself lies where it was: it is said, not fetched again, and others come."""
    bench.publish = Publisher(Gallery()).publish
    study = bench.study(a="one")
    bench.rest()
    folder = study.result("*.tgz").parent
    folder.rename(study.root / "away")
    folder.symlink_to(folder)
    study.drop(b="two")
    bench.run(60)
    bench.rest()
    assert study.trouble() is None
    assert study.says(f"cannot look at what lies here: outputs/{folder.name}")
    assert [path.name for path in study.root.glob("outputs/*/b.mrui.tgz")] == ["b.mrui.tgz"]
    assert "b.mrui.tgz" in (study.root / "outputs/index.html").read_text()
    folder.unlink()
    (study.root / "away").rename(folder)
    bench.run(60)
    bench.rest()
    assert not study.says("cannot look")
    study.marker.unlink()
    bench.rest()
    assert study.phase() is Phase.CLOSED


def test_a_result_in_a_folder_without_rights_ends_the_run(served: Served) -> None:
    """A folder of mode 000 in its place is named, and the code tells that a person is needed."""
    study = served.study(a="one")
    for code in (0, 3):
        with served.process("run", "--once", study, within=without_privileges()) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == code, out + err
        for folder in study.glob("outputs/2*"):
            folder.chmod(0)
    assert "cannot look at what lies here" in out + err
    for folder in study.glob("outputs/2*"):
        folder.chmod(0o700)


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is a part of util-linux")
@pytest.mark.parametrize(("limit", "code"), [("20", 1), ("20:4096", 0), ("40", 0)])
def test_too_few_open_files_are_told_at_once(served: Served, limit: str, code: int) -> None:
    """What this machine may raise is raised; else one sentence says what to do, and nothing is sent."""
    study = served.study(a="one")
    within = ["prlimit", f"--nofile={limit}"]
    with served.process("run", "--once", study, within=within) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert ("may open 20 files" in err) == (code == 1)
    assert served.launches() == (code == 0)


def file_in_place(outputs: Path) -> None:
    """Put a file where the results belong."""
    outputs.write_text("no folder")


@pytest.mark.parametrize("new", [False, True], ids=["nothing new", "a new case"])
def test_a_file_in_the_place_of_outputs_is_told_when_nothing_else_is_left(
    bench: Bench, *, new: bool
) -> None:
    """It does not go away by itself: a run ends soon, new cases are started, all comes when it is away."""
    study = bench.study(a="one")
    bench.rest()
    outputs = study.root / "outputs"
    outputs.rename(study.root / "before")
    file_in_place(outputs)
    if new:
        study.drop(b="two")
    began = bench.clock.now()
    bench.rest()
    assert bench.clock.now() - began < 90
    assert study.says(f"{outputs} is a file")
    assert bench.executions() == [["a.mrui"], ["b.mrui"]][: 1 + new]
    outputs.unlink()
    bench.run(600)
    assert len(study.outputs()) == 1 + new


def test_a_link_in_the_place_of_outputs_stops_the_folder_until_it_is_away(bench: Bench) -> None:
    """Nobody needs to save settings.toml, or to start vipsync anew, once it is mended."""
    study = bench.study(a="one")
    outputs, before = study.root / "outputs", study.root / "before"
    before.mkdir()
    outputs.symlink_to(before)
    bench.rest()
    assert "is a link to" in str(study.trouble())
    outputs.unlink()
    bench.run(60)
    bench.rest()
    assert study.trouble() is None
    assert len(study.outputs()) == 1


@pytest.mark.parametrize("section", ["inputs", "outputs"])
def test_folders_that_settings_name_are_looked_at_again(bench: Bench, section: str) -> None:
    """A link that leads to itself comes with new settings, while all is at rest; it is mended without them."""
    study = bench.study(a="one")
    bench.rest()
    place = study.root / "data"
    place.symlink_to(place)
    study.settings.write_text(f'{SETTINGS}\n[{section}]\ndirectory = "data"\n')
    bench.run(60)
    assert study.says("cannot be followed")
    place.unlink()
    place.mkdir()
    study.write({"b.mrui": "two"}, "data" if section == "inputs" else "inputs")
    bench.run(60)
    bench.rest()
    assert not study.says("cannot be followed")
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
