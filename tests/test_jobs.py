"""Jobs of a case, and what they write."""

from __future__ import annotations

import pytest

from tests.lab.pipelines import CQUEST, FREESURFER, GATE, LCMODEL, SIMUBLOCH, pipeline
from vipsync.cases.descriptor import parse_descriptor
from vipsync.cases.jobs import (
    OutputNames,
    Values,
    folder_matches,
    is_one_job,
    jobs_of,
    jobs_problem,
    with_defaults,
)
from vipsync.model import Descriptor, ExpectedOutput, InputFile, InputFolder, RelPath, Text


def file(path: str, as_name: str = "") -> InputFile:
    return InputFile(RelPath(path), as_name)


def folder(path: str, *members: str) -> InputFolder:
    return InputFolder(RelPath(path), tuple(RelPath(f"{path}/{member}") for member in members))


SCANS = folder("1", "a b.nii", "b.nii.gz", "c.txt", "sub/d.nii")

GATE_10: Values = {
    "gateInput": file("in.zip"),
    "numberOfJobs": Text("10"),
    "macfileName": Text("main.mac"),
}

FOLDERS = pipeline(
    "Folders",
    "data:File n:Int",
    "out=[data]-[n].tgz",
    directoryInputs={"data": {"patterns": ["*.nii"]}},
)

PAIRED_FOLDERS = pipeline(
    "PairedFolders",
    "a:File b:File",
    "out=[a]-[b].tgz",
    dot=["a", "b"],
    directoryInputs={"a": {"patterns": ["*"]}, "b": {"patterns": ["*"]}},
)
PAIRED_SCANS: Values = {"a": folder("1", "x", "y"), "b": folder("2", "x", "z")}

COUNTED = pipeline("Counted", "n:Int word:String?", "out=[n].tgz", intIteratorInputs=["n"])


def names(values: Values, descriptor: Descriptor) -> list[str | None]:
    return [one.name for one in OutputNames(descriptor).of(values)]


@pytest.mark.parametrize(
    ("descriptor", "values", "jobs"),
    [
        (CQUEST, {"data_file": file("a")}, 1),
        (GATE, GATE_10, 10),
        (FREESURFER, {"nifti": file("a.nii"), "subjid": Text("a")}, 1),
        (FREESURFER, {"nifti": SCANS}, 2),
        (FOLDERS, {"data": SCANS, "n": Text("3")}, 1),
        (FOLDERS, {"data": folder("1", "a.nii", "b.nii"), "n": Text("3")}, 2),
        (PAIRED_FOLDERS, PAIRED_SCANS, 2),
        (COUNTED, {"n": Text("7")}, 7),
        (COUNTED, {"n": Text("0")}, 0),
        (COUNTED, {"word": Text("a")}, 1),
    ],
)
def test_the_number_of_jobs_is_the_engines(
    descriptor: Descriptor, values: Values, jobs: int
) -> None:
    """Folders and iterators multiply, everything else is one job."""
    assert jobs_of(values, descriptor) == jobs


@pytest.mark.parametrize(
    ("descriptor", "values", "hint"),
    [
        (CQUEST, {"data_file": file("a")}, ""),
        (GATE, GATE_10, ""),
        (COUNTED, {"n": Text("0")}, "n is a number of jobs and must be above 0"),
        (COUNTED, {"n": Text("1001")}, "1001 jobs in one execution, VIP takes 1000"),
        (COUNTED, {"n": Text("1000")}, ""),
        (FOLDERS, {"data": folder("1", "c.txt"), "n": Text("3")}, "right inside 1/ fits *.nii"),
        (FREESURFER, {"nifti": SCANS, "subjid": Text("a")}, "unequal numbers of values"),
        (FREESURFER, {"nifti": folder("1", "a.nii"), "subjid": Text("a")}, ""),
        (
            pipeline("Same", "n:Int", "out=x.tgz", intIteratorInputs=["n"]),
            {"n": Text("2")},
            "several of its jobs would write the same x.tgz",
        ),
        (
            pipeline("Wild", "n:Int", "out=*.tgz", intIteratorInputs=["n"]),
            {"n": Text("2")},
            "",
        ),
    ],
)
def test_what_the_engine_could_not_do_is_told(
    descriptor: Descriptor, values: Values, hint: str
) -> None:
    """A case that would crash the engine, or overwrite itself, is found beforehand."""
    problem = jobs_problem(values, descriptor)
    assert hint in problem
    assert bool(problem) == bool(hint)


def test_a_folder_gives_the_files_right_inside_it() -> None:
    """VIP takes the files of a folder by pattern, under their names on VIP, not recursively."""
    assert folder_matches(SCANS, ("*.nii", "*.nii.gz")) == ("a_b.nii", "b.nii.gz")


def test_a_folder_is_one_job_where_vip_does_not_expand_it() -> None:
    """Only an input with patterns in the descriptor is expanded."""
    assert is_one_job({"data_file": SCANS}, CQUEST)
    assert names({"data_file": SCANS, "parameter_file": file("p.txt")}, CQUEST) == ["1--p.txt.tgz"]


def test_the_engine_sees_defaults_and_hidden_inputs() -> None:
    """VIP fills in defaults, and copies values into hidden inputs."""
    assert with_defaults({}, FREESURFER) == {"directives": Text("-all")}
    assert with_defaults(GATE_10, GATE)["jobNumber"] == Text("10")


@pytest.mark.parametrize(
    ("descriptor", "values", "expected"),
    [
        (
            CQUEST,
            {"data_file": file("s/001.mrui"), "parameter_file": file("p/été 1.txt")},
            ["001.mrui--ete_1.txt.tgz"],
        ),
        (
            LCMODEL,
            {"signal_file": file("a.RAW", "x/b.RAW"), "control_file": Text("/vip/M (group)/f.c")},
            ["b.RAW--f.c.tgz", "b.RAW--f.c.pdf"],
        ),
        (
            SIMUBLOCH,
            {"T1": file("1/T1.nii"), "TR": Text("500"), "TE": Text("20")},
            ["T1.nii-500-20-simu.nii.gz"],
        ),
        (FREESURFER, {"subjid": Text("sub-01")}, ["sub-01.tgz"]),
        (GATE, GATE_10, [f"output-{n}.tar.gz" for n in range(10)]),
        (
            FOLDERS,
            {"data": folder("1", "a.nii", "b.nii"), "n": Text("+03")},
            ["a.nii-3.tgz", "b.nii-3.tgz"],
        ),
        (PAIRED_FOLDERS, PAIRED_SCANS, ["x-x.tgz", "y-z.tgz"]),
        (pipeline("A", "x:String?", "o=a-[x].tgz"), {}, ["a-[x].tgz"]),
        (pipeline("A", "x:Flag y:Double", "o=[x]-[y]"), {"x": Text("true"), "y": Text("2")}, ["True-2.0"]),
        (pipeline("A", "x:String", "o=sub/dir/[x].tgz"), {"x": Text("1")}, ["sub/dir/1.tgz"]),
        (pipeline("A", "x:String", "o=./[x].tgz"), {"x": Text("1")}, ["1.tgz"]),
        (pipeline("A", "x:String", "o=../up/[x].tgz"), {"x": Text("1")}, ["1.tgz"]),
        (pipeline("A", "x:String", "o=out/*.nii"), {"x": Text("1")}, [None]),
        (pipeline("A", "x:String", "o=[x]?.nii"), {"x": Text("1")}, [None]),
        (pipeline("A", "x:String", ""), {"x": Text("1")}, []),
    ],
)  # fmt: skip
def test_the_names_of_outputs_are_worked_out(
    descriptor: Descriptor, values: Values, expected: list[str | None]
) -> None:
    """Templates are filled in as the job does it; what only the job can know is None."""
    assert names(values, descriptor) == expected


def described(**output: object) -> Descriptor:
    return parse_descriptor(
        {
            "name": "A",
            "inputs": [
                {"id": "f", "type": "File", "value-key": "[F]"},
                {"id": "d", "type": "String", "value-key": "[D]", "default-value": "std"},
            ],
            "output-files": [
                {"id": "log", "path-template": "[D].log", "value-key": "[LOG]", "optional": True},
                {"id": "o", **output},
            ],
        },
        "A/1",
    )


@pytest.mark.parametrize(
    ("output", "name"),
    [
        (
            {
                "path-template": "[F]_[D].tgz",
                "path-template-stripped-extensions": [".nii.gz", ".nii"],
            },
            "brain_std.tgz",
        ),
        ({"conditional-path-template": [{"default": "x"}]}, None),
        ({"path-template": "[LOG].gz"}, None),
    ],
)
def test_extensions_conditions_and_defaults(output: dict[str, object], name: str | None) -> None:
    """Extensions are stripped, defaults stand in, conditions and names of outputs are unknown."""
    assert OutputNames(described(**output)).of({"f": file("brain.nii.gz")}) == (
        ExpectedOutput("log", "std.log", optional=True),
        ExpectedOutput("o", name),
    )


def test_a_default_that_makes_no_sense_does_not_stop_vipsync() -> None:
    """A descriptor's odd default is the pipeline's matter: the name is still worked out."""
    odd = parse_descriptor(
        {
            "name": "A",
            "inputs": [
                {
                    "id": "n",
                    "type": "Number",
                    "integer": True,
                    "value-key": "[N]",
                    "default-value": "x",
                }
            ],
            "output-files": [{"id": "o", "path-template": "[N].tgz"}],
        },
        "A/1",
    )
    assert names({}, odd) == ["x.tgz"]
