"""Real pipelines, on the whole system: from files dropped into inputs/ to the right jobs, once.

Their definitions are those in examples/pipelines: the inputs, the custom keys and the outputs of
the real ones, with a command line that needs no container.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tests.lab.bench import SETTINGS, Bench, Study, touch
from tests.lab.statuses import PIPELINES, cases, states
from vipsync.client.vip_client import VipClient
from vipsync.commands.check import check, planned
from vipsync.folder.folder import SessionFolder
from vipsync.local import InProcess
from vipsync.plan.standing import CaseState
from vipsync.status.preview import Preview, preview

HEAD = """\
pipeline_id = "{}"
portal = "https://vip.test"

[input_settings]
"""

CQUEST = (
    HEAD.format("CQUEST/0.6")
    + """\
parameter_file = "parameters.txt"
zipped_folder = "basis.zip"
data_file = "signals/*.mrui"
"""
)

LCMODEL = (
    HEAD.format("LCModel/0.2")
    + """\
signal_file = "*.RAW"
control_file = "/vip/EGI (group)/lcmodel/fit.control"
makebasis_file = "/vip/EGI (group)/lcmodel/makebasis.in"
zipped_folder = "/vip/EGI (group)/lcmodel/basis.zip"
"""
)

FREESURFER = (
    HEAD.format("FreeSurfer-Recon-all/7.3.1")
    + """\
license = "license.txt"
nifti = "{subject}/{session}/anat/{scan}_T1w.nii.gz"
subjid = "{scan}"
"""
)

SIMUBLOCH = (
    HEAD.format("SimuBloch/0.5")
    + """\
T1 = "{case}/T1_{case}.nii.gz"
T2 = "{case}/T2_{case}.nii.gz"
M0 = "{case}/M0_{case}.nii.gz"
TR = 500
TE = 20
"""
)

BRUKER = (
    HEAD.format("Bruker-preproc/0.6")
    + """\
acqp = "{scan}/acqp"
fid = "{scan}/fid"
method = "{scan}/method"
rawjob0 = "{scan}/rawdata.job0"
refscan = "{scan}/fid.refscan"
outname = "scan-{scan}"
"""
)

GATE = (
    HEAD.format("GATE/9.4.1")
    + """\
gateInput = "{study}.zip"
numberOfJobs = 100
macfileName = "main.mac"
"""
)

RAW_FILES = ("acqp", "fid", "method", "rawdata.job0", "fid.refscan")


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """Return a world with the pipelines of the examples."""
    return make_bench(pipelines=(PIPELINES,))


def cquest(bench: Bench) -> Study:
    """Make a CQUEST study with two signals."""
    study = bench.study(settings=CQUEST)
    signals = {f"signals/00{n}.mrui": f"signal {n}" for n in (1, 2)}
    study.write({"parameters.txt": "width 1", "basis.zip": "basis"} | signals)
    return study


# CQUEST: two shared files, one signal per case


def test_cquest_runs_one_job_for_each_signal_in_one_execution(bench: Bench) -> None:
    """Two signals start together; each result lies in a folder named after its archive."""
    study = cquest(bench)
    bench.rest()
    assert bench.executions("data_file") == [["001.mrui", "002.mrui"]]
    assert bench.jobs() == [2]
    assert sorted(study.outputs()) == [
        "1/001.mrui--parameters.txt.tgz/001.txt",
        "1/002.mrui--parameters.txt.tgz/002.txt",
    ]


def test_a_third_signal_of_cquest_runs_alone(bench: Bench) -> None:
    """A signal that comes later gets an execution of one job, and only it is sent."""
    study = cquest(bench)
    bench.rest()
    sent = bench.count("PUT /path")
    study.write({"signals/003.mrui": "signal 3"})
    bench.rest()
    assert bench.executions("data_file")[1:] == [["003.mrui"]]
    assert bench.jobs() == [2, 1]
    assert bench.count("PUT /path") == sent + 1


def test_edited_parameters_of_cquest_are_reported_and_run_again_on_request(bench: Bench) -> None:
    """Nothing starts by itself; `rerun --outdated` starts one execution with all three jobs."""
    study = cquest(bench)
    bench.rest()
    study.write({"signals/003.mrui": "signal 3"})
    bench.rest()
    study.write({"parameters.txt": "width 2"})
    bench.rest()
    assert bench.jobs() == [2, 1]
    assert study.says("3 of 3 cases ran with older settings")
    study.ask("rerun", which="outdated")
    bench.rest()
    assert bench.jobs() == [2, 1, 3]
    assert bench.vip_inputs()["_v2/parameters.txt"] == b"width 2"
    assert not study.says("older settings")
    bench.restart()
    bench.rest()
    assert bench.jobs() == [2, 1, 3]


# LCModel: reference files that are already on VIP


def test_lcmodel_takes_reference_files_that_are_on_vip(bench: Bench) -> None:
    """Only the signals are sent, matched whatever the case of their extension."""
    there = bench.world.storage.groups / "EGI" / "lcmodel"
    there.mkdir(parents=True)
    for name in ("fit.control", "makebasis.in", "basis.zip"):
        (there / name).write_text(name)
    study = bench.study(settings=LCMODEL)
    study.write({"one.RAW": "1", "two.raw": "2", "Three.Raw": "3"})
    bench.rest()
    assert sorted(bench.vip_inputs()) == ["Three.Raw", "one.RAW", "two.raw"]
    assert bench.executions("signal_file") == [["Three.Raw", "one.RAW", "two.raw"]]
    assert bench.executions("control_file") == [["fit.control"]]
    assert set(states(study).values()) == {CaseState.DONE}
    assert len(study.outputs()) == 6


# FreeSurfer: many subjects, a name that goes with each


def freesurfer(bench: Bench, subjects: int) -> Study:
    """Make a FreeSurfer study in BIDS order."""
    study = bench.study(settings=FREESURFER)
    scans = {f"sub-{n:03}/ses-1/anat/sub-{n:03}_ses-1_T1w.nii.gz": str(n) for n in range(subjects)}
    study.write({"license.txt": "license"} | scans)
    return study


def test_450_subjects_of_freesurfer_become_three_executions(bench: Bench) -> None:
    """At most 200 jobs each, every scan paired with its own name, the license shared by all."""
    study = freesurfer(bench, 450)
    bench.rest()
    assert bench.jobs() == [200, 200, 50]
    scans = [name for names in bench.executions("nifti") for name in names]
    ids = [name for names in bench.executions("subjid") for name in names]
    assert scans == [f"{name}_T1w.nii.gz" for name in ids]
    assert len(set(ids)) == 450
    assert bench.executions("license") == [["license.txt"]] * 3
    assert set(states(study).values()) == {CaseState.DONE}
    changes = bench.changes()
    for path in (study.root / "inputs").rglob("*.*"):
        touch(path)
    bench.rest()
    assert bench.changes() == changes
    assert bench.jobs() == [200, 200, 50]


# SimuBloch: three paired files


def test_simubloch_pairs_three_files_and_waits_for_the_third(bench: Bench) -> None:
    """Complete cases start together as paired lists; the other one says what it waits for."""
    study = bench.study(settings=SIMUBLOCH)
    maps = {f"{c}/{m}_{c}.nii.gz": f"{c} {m}" for c in "abc" for m in ("T1", "T2", "M0")}
    late = {name: maps.pop(name) for name in ["c/M0_c.nii.gz"]}
    study.write(maps)
    bench.rest()
    assert bench.executions("T1") == [["T1_a.nii.gz", "T1_b.nii.gz"]]
    assert bench.executions("M0") == [["M0_a.nii.gz", "M0_b.nii.gz"]]
    assert bench.jobs() == [2]
    assert cases(study)["c"].state is CaseState.WAITING
    assert cases(study)["c"].reason == "waits for c/M0_c.nii.gz"
    assert "c/T1_c.nii.gz" not in bench.vip_inputs()
    study.write(late)
    bench.rest()
    assert bench.jobs() == [2, 1]
    assert bench.executions("T2")[1] == ["T2_c.nii.gz"]


def test_a_case_with_a_ready_file_waits_for_it(bench: Bench) -> None:
    """All its files are there, but the scanner has not said that they are whole; it is never sent."""
    study = bench.study(settings=SIMUBLOCH + '\n[inputs]\nready = "{case}/.done"\n')
    study.write({f"{c}/{m}_{c}.nii.gz": c for c in "ab" for m in ("T1", "T2", "M0")})
    study.write({"a/.done": ""})
    bench.rest()
    assert bench.executions("T1") == [["T1_a.nii.gz"]]
    assert cases(study)["b"].reason == "waits for b/.done"
    study.write({"b/.done": ""})
    bench.rest()
    assert bench.executions("T1") == [["T1_a.nii.gz"], ["T1_b.nii.gz"]]
    assert not any(name.endswith(".done") for name in bench.vip_inputs())


# Bruker: five files per scan, not paired


def test_five_files_per_scan_that_are_not_paired_make_one_job_per_scan(bench: Bench) -> None:
    """Three scans are three executions of one job each, not one of 243."""
    study = bench.study(settings=BRUKER)
    study.write({f"{n}/{name}": f"{n} {name}" for n in (1, 2, 3) for name in RAW_FILES})
    bench.rest()
    assert bench.jobs() == [1, 1, 1]
    assert bench.executions("outname") == [["scan-1"], ["scan-2"], ["scan-3"]]
    assert sorted(study.outputs()) == ["1/scan-1.mrui", "2/scan-2.mrui", "3/scan-3.mrui"]


# GATE: an input that VIP copies into a hidden one, and counts


def test_gate_starts_as_many_jobs_as_its_counter_says(bench: Bench) -> None:
    """A counter of 100 makes 100 jobs for each study, each with an output of its own."""
    study = bench.study(settings=GATE)
    study.write({"liver.zip": "macros", "heart.zip": "other macros"})
    bench.rest()
    assert bench.jobs() == [100, 100]
    assert len(study.outputs()) == 200
    assert set(states(study).values()) == {CaseState.DONE}


# what is known before


@dataclass(frozen=True)
class Row:
    """A folder, and the jobs of the executions that it makes."""

    name: str
    settings: str
    files: Sequence[str]
    jobs: list[int]


ROWS = [
    Row("CQUEST", CQUEST, ["parameters.txt", "basis.zip", "signals/1.mrui", "signals/2.mrui"], [2]),
    Row("LCModel", LCMODEL, ["a.RAW", "b.raw"], [2]),
    Row(
        "FreeSurfer",
        FREESURFER,
        ["license.txt", *(f"s/{n}/anat/{n}_T1w.nii.gz" for n in "abc")],
        [3],
    ),
    Row(
        "SimuBloch",
        SIMUBLOCH,
        [f"{c}/{m}_{c}.nii.gz" for c in "ab" for m in ("T1", "T2", "M0")],
        [2],
    ),
    Row("Bruker", BRUKER, [f"{n}/{name}" for n in (1, 2) for name in RAW_FILES], [1, 1]),
    Row("GATE", GATE.replace("100", "10"), ["liver.zip", "heart.zip"], [10, 10]),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_number_of_jobs_is_known_before_they_start(bench: Bench, row: Row) -> None:
    """What `check` and `plan` count is what VIP's engine then makes of the same folder."""
    study = bench.study(settings=row.settings)
    study.write({name: name for name in row.files})
    on_vip = bench.world.storage.groups / "EGI" / "lcmodel"
    on_vip.mkdir()
    for name in ("fit.control", "makebasis.in", "basis.zip"):
        (on_vip / name).write_text(name)
    before = looked_at(bench, study)
    assert [group.jobs for group in before.groups] == row.jobs
    bench.rest()
    assert bench.jobs() == row.jobs


def looked_at(bench: Bench, study: Study) -> Preview:
    """Return what `check` sees of a folder, with VIP's definition of the pipeline."""
    with VipClient("https://vip.test", bench.key, InProcess(bench.world)) as client:
        return preview(SessionFolder(study.root), client, environ={})


def test_equal_output_names_cost_executions_and_check_says_so(bench: Bench) -> None:
    """Four results of one name: four executions, a warning that says why, and `as` mends it."""
    settings = SETTINGS.replace('"*.mrui"', '"{sub}/press.mrui"')
    study = bench.study(settings=settings)
    study.write({f"{sub}/press.mrui": sub for sub in "abcd"})
    (warning,) = looked_at(bench, study).snapshot.cases.warnings
    assert warning.startswith("4 executions instead of 1, because")
    assert "press.mrui.tgz" in warning
    bench.rest()
    assert bench.jobs() == [1, 1, 1, 1]
    assert set(states(study).values()) == {CaseState.DONE}
    named = '{ file = "{sub}/press.mrui", as = "{sub}.mrui" }'
    mended = bench.study("mended", SETTINGS.replace('"*.mrui"', named))
    mended.write({f"{sub}/press.mrui": sub for sub in "abcd"})
    assert looked_at(bench, mended).snapshot.cases.warnings == ()
    bench.rest()
    assert bench.jobs()[4:] == [4]


@pytest.mark.parametrize(
    ("pattern", "plain", "several"),
    [
        ("{sub}_{ses}_T1w.mrui", "sub-01_ses-1_T1w.mrui", "sub-02_ses-1_acq-x_T1w.mrui"),
        ("{sub}/**/{run}-{day}.mrui", "p1/raw/1-mon.mrui", "p1/raw/1-2-mon.mrui"),
        ("**/{sub}/**", "p1/a.mrui", "p2/raw/b.mrui"),
    ],
)
def test_a_file_that_fits_in_several_ways_waits_alone(
    bench: Bench, pattern: str, plain: str, several: str
) -> None:
    """Its neighbour runs; check, plan and status name the file, and what the names of a case stand for."""
    study = bench.study(settings=SETTINGS.replace("*.mrui", pattern))
    study.write({plain: "1", several: "2"})
    before = looked_at(bench, study)

    def connect(*_: object) -> tuple[VipClient, str]:
        return VipClient("https://vip.test", bench.key, InProcess(bench.world)), ""

    refused = f"{several} fits {pattern} in more than one way"
    folder = SessionFolder(study.root)
    for findings in (check(folder, connect, {}), planned(before, folder)):
        said = [text for found in findings for text in (found.text, *found.details)]
        assert any(refused in text for text in said)
        assert any("sub = " in text and "more than one way" not in text for text in said)
    bench.rest()
    assert bench.executions() == [[plain.rpartition("/")[2]]]
    assert study.says(refused)
