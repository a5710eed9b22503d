"""From cases to executions: a table, then properties that hold for anything."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.pipelines import CQUEST, FIVE, FREESURFER, GATE, LCMODEL, SIMUBLOCH, pipeline
from vipsync.cases.batches import group_cases, grouping_warnings
from vipsync.cases.finding import find_cases
from vipsync.cases.jobs import jobs_of
from vipsync.errors import SettingsError
from vipsync.model import (
    Case,
    Descriptor,
    FileSetting,
    Group,
    InputSetting,
    InputValue,
    RelPath,
    Settings,
    Text,
)

CROSSED = pipeline("Crossed", "a:File b:File n:Int?", "out=[a]-[b]-[n].tgz")
BY_A = pipeline("ByA", "a:File n:Int?", "out=[a].tgz")
PAIRED = pipeline("Paired", "a:File b:File n:Int?", "out=[a]-[b]-[n].tgz", dot=["a", "b"])
UNKNOWN = pipeline("Unknown", "a:File", "out=*.tgz")
FOLDERS = pipeline("Folders", "a:File", "out=[a].tgz", directoryInputs={"a": {"patterns": ["*"]}})
COPIED = pipeline("Copied", "a:File", "out=[a].tgz", overriddenInputs={"h": "a"})
FIXED = pipeline("Fixed", "a:File", "out=same.tgz")
SCAN_FILES = ("acqp", "fid", "method", "rawjob0", "refscan")


@dataclass(frozen=True)
class Row:
    """`jobs` are the jobs of each execution, in order."""

    name: str
    app: Descriptor
    settings: Mapping[str, InputSetting]
    files: list[str]
    jobs: list[int]
    max_jobs: int = 200


def numbered(pattern: str, count: int) -> list[str]:
    return [pattern.format(f"{n:03}") for n in range(count)]


# fmt: off
ROWS = [
    Row("no case, no execution", BY_A, {"a": "*"}, [], []),
    Row("one case", BY_A, {"a": "x"}, ["x"], [1]),
    Row("CQUEST: one execution with a job per signal", CQUEST, {"parameter_file": "p", "zipped_folder": "z", "data_file": "s/*"}, ["p", "z", "s/1", "s/2"], [2]),
    Row("LCModel: files on VIP are shared", LCMODEL, {"signal_file": "*.RAW", "control_file": "/vip/Home/c", "makebasis_file": "/vip/Home/m", "zipped_folder": "/vip/Home/z"}, ["1.RAW", "2.raw", "3.Raw"], [3]),
    Row("FreeSurfer: 450 subjects, three executions", FREESURFER, {"license": "l", "nifti": "{s}/{scan}_T1w.nii.gz", "subjid": "{scan}"}, ["l", *numbered("{0}/sub-{0}_T1w.nii.gz", 450)], [200, 200, 50]),
    Row("SimuBloch: paired files are one execution, an incomplete case is none", SIMUBLOCH, {"T1": "{s}.T1", "T2": "{s}.T2", "M0": "{s}.M0", "TR": 1, "TE": 2}, ["1.T1", "1.T2", "1.M0", "2.T1", "2.T2", "2.M0", "3.T1"], [2]),
    Row("SimuBloch: one name in all folders parts the executions", SIMUBLOCH, {"T1": "{s}/T1", "T2": "{s}/T2", "M0": "{s}/M0", "TR": 1, "TE": 2}, ["1/T1", "1/T2", "1/M0", "2/T1", "2/T2", "2/M0"], [1, 1]),
    Row("five inputs without vip:dot: one execution per scan", FIVE, {n: f"{{scan}}/{n}" for n in SCAN_FILES} | {"outname": "{scan}"}, [f"{s}/{n}" for s in "123" for n in SCAN_FILES], [1, 1, 1]),
    Row("GATE: a job per number, more than the limit in one execution", GATE, {"gateInput": "in.zip", "numberOfJobs": 500, "macfileName": "m"}, ["in.zip"], [500]),
    Row("GATE: an iterator takes no list", GATE, {"gateInput": "in.zip", "numberOfJobs": (1, 10), "macfileName": "m"}, ["in.zip"], [1, 10]),
    Row("GATE: archives would write the same names", GATE, {"gateInput": "*.zip", "numberOfJobs": 10, "macfileName": "m"}, ["1.zip", "2.zip"], [10, 10]),
    Row("a full product is one execution", CROSSED, {"a": "*.a", "b": "*.b", "n": (1, 2)}, ["1.a", "2.a", "1.b", "2.b", "3.b"], [12]),
    Row("a product with a hole is cut into products", CROSSED, {"a": "{x}/{y}.a", "b": "{y}.b"}, ["1/1.a", "1/2.a", "2/1.a", "1.b", "2.b"], [1, 1, 1]),
    Row("what varies together without vip:dot stays apart", CROSSED, {"a": "{s}.a", "b": "{s}.b"}, ["1.a", "1.b", "2.a", "2.b"], [1, 1]),
    Row("what varies together under vip:dot goes together", PAIRED, {"a": "{s}.a", "b": "{s}.b"}, ["1.a", "1.b", "2.a", "2.b"], [2]),
    Row("pairs crossed with a list are one execution", PAIRED, {"a": "{s}.a", "b": "{s}.b", "n": (1, 2)}, ["1.a", "1.b", "2.a", "2.b"], [4]),
    Row("paired with what does not vary", PAIRED, {"a": "{s}.a", "b": "b"}, ["1.a", "2.a", "b"], [2]),
    Row("equal names are parted along the list that names do not tell", BY_A, {"a": "*.a", "n": (1, 2, 3)}, ["1.a", "2.a"], [2, 2, 2]),
    Row("equal base names are parted", BY_A, {"a": "{s}/x.a"}, ["1/x.a", "2/x.a", "3/x.a"], [1, 1, 1]),
    Row("only as many executions as one name has jobs", BY_A, {"a": "{s}/{t}.a"}, ["1/x.a", "1/y.a", "2/x.a", "2/z.a"], [3, 1]),
    Row("as makes one execution of them", BY_A, {"a": FileSetting("{s}/x.a", "{s}.a")}, ["1/x.a", "2/x.a", "3/x.a"], [3]),
    Row("one fixed name: an execution per case", FIXED, {"a": "*"}, ["1", "2"], [1, 1]),
    Row("unknown names go together", UNKNOWN, {"a": "*"}, ["1", "2"], [2]),
    Row("folders that VIP expands count as many jobs", FOLDERS, {"a": "{s}/"}, ["1/a", "1/b", "2/c", "3/d", "3/e"], [3, 2], max_jobs=3),
    Row("what VIP copies into another input takes no list", COPIED, {"a": "*"}, ["1", "2"], [1, 1]),
    Row("a limit of one", BY_A, {"a": "*"}, ["1", "2", "3"], [1, 1, 1], max_jobs=1),
    Row("a product is cut into products within the limit", CROSSED, {"a": "*.a", "b": "*.b"}, [*numbered("{}.a", 30), *numbered("{}.b", 30)], [180, 180, 180, 180, 180]),
    Row("a product is cut twice where one side is not enough", CROSSED, {"a": "*.a", "b": "*.b"}, ["1.a", "2.a", "1.b", "2.b"], [1, 1, 1, 1], max_jobs=1),
    Row("no execution is above VIP's own limit", BY_A, {"a": "*"}, [*numbered("{}", 999), "x", "y"], [1000, 1], max_jobs=5000),
]
# fmt: on


def complete(app: Descriptor, given: Mapping[str, InputSetting], files: list[str]) -> list[Case]:
    paths = [RelPath(path) for path in files]
    found = find_cases(paths, paths, Settings("s", app.pipeline_id, input_settings=given), app)
    cases = [case for case in found.cases if case.complete]
    assert all(case.values.keys() == given.keys() for case in cases)
    return cases


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_cases_become_these_executions(row: Row) -> None:
    """Cases become as few executions as VIP can express."""
    cases = complete(row.app, row.settings, row.files)
    groups = group_cases(cases, row.app, row.max_jobs)
    assert [group.jobs for group in groups] == row.jobs
    check(groups, cases, row.app, row.max_jobs)


Combination = frozenset[tuple[str, InputValue]]


def as_vip_does(group: Group, descriptor: Descriptor) -> Counter[Combination]:
    """Pair and cross the lists of an execution as the engine does, without asking the grouping."""
    paired = {name: values for name, values in group.values.items() if name in descriptor.dot}
    lengths = {len(values) for values in paired.values()}
    assert len(lengths) <= 1
    rows = [
        [(name, values[index]) for name, values in paired.items()]
        for index in range(max(lengths, default=1))
    ]
    crossed = [
        [(name, value) for value in values]
        for name, values in group.values.items()
        if name not in descriptor.dot
    ]
    return Counter(frozenset([*row, *choice]) for row in rows for choice in product(*crossed))


def check(
    groups: tuple[Group, ...], cases: list[Case], descriptor: Descriptor, max_jobs: int
) -> None:
    """Hold groups against everything that is promised of them."""
    assert Counter(case.id for group in groups for case in group.cases) == Counter(
        case.id for case in cases
    )
    for group in groups:
        wanted = Counter(frozenset(case.values.items()) for case in group.cases)
        assert as_vip_does(group, descriptor) == wanted
        assert group.jobs == sum(jobs_of(case.values, descriptor) for case in group.cases)
        assert group.jobs <= max_jobs or len(group.cases) == 1
        assert set(group.expected) == {case.id for case in group.cases}
        written = [
            name
            for outputs in group.expected.values()
            for name in {one.name for one in outputs}
            if name is not None
        ]
        assert len(written) == len(set(written))


# random trees, settings and descriptors

PATHS = [f"{s}/{f}" for s in ("s1", "s2", "S2") for f in ("a", "b", "t/a", "t/b", "u/a", "a b")]
PATTERNS: list[InputSetting] = [
    "{s}/a",
    "{s}/b",
    "{s}/{t}/a",
    "{s}/{t}/b",
    "*/a",
    "**/b",
    "s1/a",
    "s1/",
    "{s}/t/",
    "{s}/",
    ("s1/a", "s2/b"),
    ("{s}/a", "{s}/b"),
    FileSetting("{s}/a", "{s}.a"),
    FileSetting("{s}/{t}/b", "{t}-{s}"),
    "/vip/Home/x",
    ("/vip/Home/x", "/vip/Home/y"),
]
WORDS: list[InputSetting] = ["w", "{s}", "{t}-{s}", ("1", "2"), ("1", "2", "3")]
TREES = st.lists(st.sampled_from(PATHS), unique=True, min_size=9)
TEMPLATES = ["[a].tgz", "[a]-[b]", "[w]", "[a]-[b]-[w]-[c]", "fixed", "*.x", "[n]-[a]"]


@st.composite
def pipelines(draw: st.DrawFn) -> Descriptor:
    inputs = "a:File b:File c:File? w:String? n:Int?"
    outputs = draw(st.lists(st.sampled_from(TEMPLATES), max_size=2))
    custom: dict[str, object] = {"dot": draw(st.lists(st.sampled_from("abcwn"), unique=True))}
    if draw(st.booleans()):
        custom["directoryInputs"] = {"a": {"patterns": ["*a*"]}}
    if draw(st.booleans()):
        custom["intIteratorInputs"] = ["n"]
    named = " ".join(f"o{n}={template}" for n, template in enumerate(outputs))
    return pipeline("Random", inputs, named, **custom)


@st.composite
def chosen(draw: st.DrawFn) -> dict[str, InputSetting]:
    given = {name: draw(st.sampled_from(PATTERNS)) for name in "ab"}
    optional: dict[str, st.SearchStrategy[InputSetting]] = {
        "c": st.sampled_from(PATTERNS),
        "w": st.sampled_from(WORDS),
        "n": st.sampled_from([1, 2, (1, 3)]),
    }
    return given | {n: draw(values) for n, values in optional.items() if draw(st.booleans())}


@settings(max_examples=250, deadline=None)
@given(
    app=pipelines(),
    given_settings=chosen(),
    files=TREES,
    max_jobs=st.integers(1, 6),
    seed=st.integers(),
)
def test_whatever_comes_each_case_runs_once(
    app: Descriptor,
    given_settings: dict[str, InputSetting],
    files: list[str],
    max_jobs: int,
    seed: int,
) -> None:
    """Every complete case is in one group, no group writes a name twice, order changes nothing."""
    try:
        cases = complete(app, given_settings, files)
    except SettingsError:
        return
    groups = group_cases(cases, app, max_jobs)
    check(groups, cases, app, max_jobs)
    mixer = random.Random(seed)
    mixer.shuffle(files)
    again = complete(app, given_settings, files)
    assert again == cases
    mixer.shuffle(again)
    assert group_cases(again, app, max_jobs) == groups


@settings(max_examples=100, deadline=None)
@given(given_settings=chosen(), files=TREES, app=pipelines())
def test_ids_tell_cases_apart(
    given_settings: dict[str, InputSetting], files: list[str], app: Descriptor
) -> None:
    """No two cases share an id, and a case keeps its id when other files come."""
    paths = [RelPath(path) for path in files]
    asked = Settings("s", app.pipeline_id, input_settings=given_settings)
    try:
        cases = find_cases(paths, paths, asked, app).cases
    except SettingsError:
        return
    assert len({case.id for case in cases}) == len(cases)
    more = find_cases([*paths, RelPath("zz/a")], [], asked, app).cases
    kept = {case.id: case.values for case in more}
    assert all(kept.get(case.id) == case.values for case in cases if case.complete)


def test_cases_of_other_parameters_stay_apart() -> None:
    """A case that gives one parameter more can't share an execution with one that doesn't."""
    (first,) = complete(BY_A, {"a": "1"}, ["1"])
    (second,) = complete(BY_A, {"a": "2", "n": 1}, ["2"])
    assert [group.jobs for group in group_cases([first, second], BY_A, 10)] == [1, 1]


def test_paired_values_keep_their_order() -> None:
    """Paired lists have one entry per case, equal ones too, each at the place of its partner."""
    cases = complete(PAIRED, {"a": "{s}.a", "b": "b", "n": 1}, ["2.a", "1.a", "b"])
    (group,) = group_cases(cases, PAIRED, 10)
    files = {name: [getattr(v, "path", v) for v in values] for name, values in group.values.items()}
    assert files == {"a": ["1.a", "2.a"], "b": ["b", "b"], "n": [Text("1")]}


def test_executions_that_equal_names_cost_are_told() -> None:
    """`check` says how many executions could be one, why, and what mends it."""
    cases = complete(BY_A, {"a": "{s}/x.a"}, ["1/x.a", "2/x.a", "3/x.a"])
    (warning,) = grouping_warnings(cases, BY_A)
    assert warning.startswith("3 executions instead of 1, because jobs")
    assert "x.a.tgz" in warning
    assert "as =" in warning


def test_names_that_nobody_knows_are_told() -> None:
    """Where several jobs may write the same unknown name, `check` says so."""
    (warning,) = grouping_warnings(complete(UNKNOWN, {"a": "*"}, ["1", "2"]), UNKNOWN)
    assert warning.startswith("the names of out can't be known")


@pytest.mark.parametrize("files", [[], ["1"], ["1", "2"]])
def test_nothing_is_told_where_all_is_well(files: list[str]) -> None:
    """One execution with known names needs no warning."""
    assert grouping_warnings(complete(BY_A, {"a": "*"}, files), BY_A) == ()
