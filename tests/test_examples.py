"""The session folders and pipelines in examples/: each runs as it lies there."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from boutiques.bosh import bosh

from tests.lab.bench import Bench, Study
from tests.lab.browser import chromium
from tests.lab.stations import Station, new_keeper
from tests.lab.statuses import PIPELINES, states, status
from vipsync.local import Job
from vipsync.local.pipelines import mrs_spectrum
from vipsync.plan.standing import CaseState

EXAMPLES = PIPELINES.parent


def example(make_bench: Callable[..., Bench], name: str) -> tuple[Bench, Study]:
    """Copy an example with what lies beside it, and serve the pipelines of the examples."""
    bench = make_bench(pipelines=(PIPELINES,))
    shutil.copytree(EXAMPLES / "signals", bench.root / "signals")
    root = shutil.copytree(EXAMPLES / name, bench.root / name)
    return bench, bench.take(root)


def spectrum(job: Job) -> Mapping[str, bytes | Path]:
    """Do what the pipeline mrs-spectrum does, in this process."""
    signal, told = job.files["signal"], job.invocation
    assert signal is not None
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / f"{told['signal']}.tgz"
        options = ["--zero-fill", told["zero_fill"], "--line-broadening", told["line_broadening"]]
        assert mrs_spectrum.main([str(word) for word in (signal, result, *options)]) == 0
        return {"result": result.read_bytes()}


def test_the_example_spectrum_shows_the_peaks_of_each_signal(
    make_bench: Callable[..., Bench],
) -> None:
    """Four signals beside the folder are four jobs of one execution, each with peaks at 2.01 ppm."""
    bench, study = example(make_bench, "spectrum")
    bench.runner.work = spectrum
    bench.rest()
    assert bench.executions() == [[f"sub-0{n}.mrui" for n in (1, 2, 3, 4)]]
    assert set(states(study).values()) == {CaseState.DONE}
    for n in (1, 2, 3, 4):
        folder = study.result(f"sub-0{n}.mrui.tgz")
        assert sorted(path.suffix for path in folder.rglob("*.*")) == [".csv", ".csv", ".svg"]
        (peaks,) = folder.rglob("*peaks.csv")
        found = [float(row["ppm"]) for row in csv.DictReader(peaks.read_text().splitlines())]
        assert min(abs(ppm - 2.01) for ppm in found) < 0.03
    assert status(study).exit_code == 0


def test_the_example_cquest_runs_one_job_for_each_signal(make_bench: Callable[..., Bench]) -> None:
    """Two signals with their parameters and their basis."""
    bench, study = example(make_bench, "cquest")
    bench.rest()
    assert bench.executions("data_file") == [["001.mrui", "002.mrui"]]
    assert bench.executions("zipped_folder") == [["basis.zip"]]
    assert set(states(study).values()) == {CaseState.DONE}
    assert status(study).exit_code == 0


def test_the_example_freesurfer_runs_one_job_for_each_scan(
    make_bench: Callable[..., Bench],
) -> None:
    """Two sessions of one subject and one of another, each under its own name."""
    bench, study = example(make_bench, "freesurfer")
    bench.rest()
    scans = ["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"]
    assert bench.executions("subjid") == [scans]
    assert sorted(study.outputs()) == [f"1/{scan}.tgz/{scan}.txt" for scan in scans]
    assert set(states(study).values()) == {CaseState.DONE}
    assert status(study).exit_code == 0


@pytest.mark.parametrize("name", ["spectrum", "cquest", "freesurfer"])
def test_every_file_of_an_example_is_used(make_bench: Callable[..., Bench], name: str) -> None:
    """Nothing lies there that no setting uses, and no warning is due."""
    bench, study = example(make_bench, name)
    bench.until(lambda: study.root in bench.loop.sessions and study.session.snapshot)
    bench.rest()
    snapshot = study.session.snapshot
    assert snapshot is not None
    assert (snapshot.cases.unused, snapshot.cases.warnings) == ((), ())
    assert study.notices == []


def value_of(entry: Mapping[str, object], folder: Path) -> object:
    """Make up a value for an input of a pipeline; for a file, a file in the folder."""
    match entry["type"]:
        case "File":
            (folder / str(entry["id"])).write_text("content")
            return entry["id"]
        case "Number":
            return 10
        case "Flag":
            return True
        case _:
            return entry.get("default-value", "word")


@pytest.mark.parametrize("file", sorted(PIPELINES.glob("*.json")), ids=lambda file: file.stem)
def test_every_rehearsal_runs_and_writes_its_outputs(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line needs no container, and leaves what the pipeline promises."""
    monkeypatch.chdir(tmp_path)
    descriptor = json.loads(file.read_text())
    told = {entry["id"]: value_of(entry, tmp_path) for entry in descriptor["inputs"]}
    Path("told.json").write_text(json.dumps(told))
    options = ["--no-pull", "--no-automounts", "--skip-data-collection"]
    ended = bosh(["exec", "launch", *options, str(file), "told.json"])
    assert ended.exit_code == 0
    assert ended.missing_files == []
    assert len(ended.output_files) == len(descriptor["output-files"])


def test_the_example_station_makes_a_session_of_each_exam(
    make_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exams with the required signal run, each with its results in a session of its own."""
    monkeypatch.setenv("VIPSYNC_DATA", str(tmp_path / "private"))
    bench = make_bench(pipelines=(PIPELINES,))
    bench.runner.work = spectrum
    bench.new_keeper = new_keeper
    export = tmp_path / "export"
    export.mkdir()
    root = shutil.copytree(EXAMPLES / "station", bench.root / "station")
    text = (root / "station.toml").read_text()
    (root / "station.toml").write_text(text.replace("/mnt/export", str(export)))
    template = root / "template" / "settings.toml"
    template.write_text(f'portal = "https://vip.test"\n{template.read_text()}')
    bench.take(root)
    made = Station(bench, root, export)
    bench.run(10)
    signal = (EXAMPLES / "signals" / "sub-01.mrui").read_bytes()
    made.write("EXAM1", {"press.mrui": signal})
    made.write("EXAM2", {"press.mrui": signal + b" ", "steam.mrui": signal})
    made.write("EXAM3", {"steam.mrui": signal})
    made.write("EXAM4", {"t1.ima": b"anatomy"})
    bench.rest()
    assert sorted(made.states().values()) == ["done", "done", "incomplete", "not ours"]
    assert bench.executions() == [["press.mrui"], ["press.mrui", "steam.mrui"]]
    assert made.session("S0001").result("press.mrui.tgz").is_dir()
    made.write("EXAM1", {"late.mrui": signal + b"  "})
    bench.rest()
    made.ask("take-late", "S0001")
    bench.rest()
    assert bench.executions()[2:] == [["late.mrui"]]
    assert made.states()["S0001"] == "done"


@pytest.mark.timeout(300)
def test_the_pictures_of_the_readme_are_made_by_their_script(tmp_path: Path) -> None:
    """The same ones as those that lie there, in kind and size."""
    with chromium():
        pass  # else it is skipped
    command = [sys.executable, str(EXAMPLES / "make_pictures.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    shown = {path.name: path for path in (EXAMPLES / "pictures").iterdir()}
    made = {path.name: path for path in tmp_path.iterdir()}
    assert made.keys() == shown.keys() == {"page.png", "spectrum.svg"}
    assert made["spectrum.svg"].read_text() == shown["spectrum.svg"].read_text()
    width = slice(16, 20)  # of a PNG's first chunk
    assert made["page.png"].read_bytes()[width] == shown["page.png"].read_bytes()[width]
    readme = (EXAMPLES.parent / "README.md").read_text("utf-8")
    assert all(f"](examples/pictures/{name})" in readme for name in shown)
