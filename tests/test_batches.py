"""What identifies a case and an execution, and what comes of several cases at once."""

from __future__ import annotations

import pytest

from tests.lab.builders import (
    CLOSED,
    OPEN,
    OUTPUTS,
    execution,
    in_doubt,
    judged,
    known,
    launched,
    memory,
    settings,
    snapshot,
    there,
)
from tests.lab.pipelines import pipeline
from vipsync import actions as do
from vipsync.model import Settings, replace
from vipsync.plan.batches import execution_name
from vipsync.plan.case_index import (
    case_content,
    index_cases,
    outdated,
    settings_digest,
    to_learn,
    to_read,
)
from vipsync.plan.launching import mark, next_run, runs_to_come
from vipsync.plan.plan import plan
from vipsync.plan.sending import InputPlaces
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Launch, LaunchStatus, Row, State, Verdict

SIGNS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ ")
WITH_TABLE = pipeline("One", "data:File table:File word:String?", "out=[data].tgz")


def table(**inputs: object) -> Settings:
    """Return settings with a shared table, and what else is wanted."""
    return settings(input_settings={"data": "*.dat", "table": "table.txt", **inputs})


def moment(chosen: Settings, data: str = "one", shared: str = "t", name: str = "a.dat") -> Snapshot:
    """Return a folder with one file and a shared table, both read."""
    files = {name: data, "table.txt": shared}
    rows = [known(path, content) for path, content in files.items()]
    return snapshot(*rows, files=files, settings=chosen, descriptor=WITH_TABLE)


def content(seen: Snapshot) -> str | None:
    """Return what identifies its one case."""
    (case,) = seen.cases.cases
    return case_content(case, InputPlaces(seen))


def circumstances(seen: Snapshot) -> str:
    """Return what else its one case runs with."""
    (case,) = seen.cases.cases
    return settings_digest(case, InputPlaces(seen))


BASE = moment(table())


@pytest.mark.parametrize(
    "other",
    [moment(table(), data="two"), moment(table(), name="b.dat")],
    ids=["content", "path"],
)
def test_a_case_is_its_own_files(other: Snapshot) -> None:
    """Another content or another path is another case."""
    assert content(other) != content(BASE)


@pytest.mark.parametrize(
    "other",
    [
        moment(table(), shared="u"),
        moment(table(word="x")),
        moment(replace(table(), pipeline_id="One/2")),
    ],
    ids=["shared file", "parameter", "pipeline"],
)
def test_what_all_cases_share_makes_no_other_case(other: Snapshot) -> None:
    """It is reported as older settings, never launched again by itself."""
    assert content(other) == content(BASE)
    assert circumstances(other) != circumstances(BASE)


def test_the_text_of_a_pattern_does_not_count() -> None:
    """The same file by another pattern is the same case, with the same settings."""
    other = moment(settings(input_settings={"data": "a*.dat", "table": "table.txt"}))
    assert (content(other), circumstances(other)) == (content(BASE), circumstances(BASE))


def test_names_and_listed_words_count() -> None:
    """Two words for one file are two cases."""
    seen = moment(table(word=("x", "y")))
    places = InputPlaces(seen)
    assert len({case_content(case, places) for case in seen.cases.cases}) == 2


REGISTER = pipeline("Register", "fixed:File moving:File", "out=[moving]-on-[fixed].tgz")


@pytest.mark.parametrize(
    ("fixed", "moving"), [("*.nii", "*.nii"), ("{a}.nii", "{b}.nii"), (("x.nii", "y.nii"),) * 2]
)
def test_files_that_change_places_make_another_case(fixed: object, moving: object) -> None:
    """X on y is not y on x, though both are made of the same files."""
    files = {"x.nii": "1", "y.nii": "2"}
    seen = snapshot(
        *(known(path, content) for path, content in files.items()),
        files=files,
        settings=settings(
            pipeline_id=REGISTER.pipeline_id, input_settings={"fixed": fixed, "moving": moving}
        ),
        descriptor=REGISTER,
    )
    assert len(set(index_cases(seen).content.values())) == 4


def test_a_case_that_nobody_read_has_no_content() -> None:
    """Its hash decides, not its size or time."""
    seen = replace(BASE, state=State(CLOSED))
    assert content(seen) is None


# names


def test_a_name_is_made_of_allowed_signs() -> None:
    """Letters, digits, -, _ and blanks (facts 5.2), whatever the request is called."""
    name = execution_name(OPEN, ["c1"], "2026-01-31 rerun ünsafe;")
    assert set(name) <= SIGNS
    assert mark(OPEN) in name.split(" ")
    assert len(execution_name(replace(OPEN, session_name="x" * 200), ["c"], "")) < 100


def test_the_same_launch_has_the_same_name() -> None:
    """Whoever works it out, in whatever order the cases come."""
    assert execution_name(OPEN, ["c1", "c2"], "r") == execution_name(OPEN, ["c2", "c1"], "r")


def test_other_launches_have_other_names() -> None:
    """Another session, other cases, another request."""
    names = {
        execution_name(OPEN, ["c1"], ""),
        execution_name(OPEN, ["c1", "c2"], ""),
        execution_name(OPEN, ["c1"], "r"),
        execution_name(replace(OPEN, id="s2"), ["c1"], ""),
    }
    assert len(names) == 4


def test_runs_are_numbered_from_the_first_name() -> None:
    """A second and a third run of one launch, each a new intent."""
    first = launched("a.dat", "one", runs=3)
    second = next_run(first)
    third = next_run(replace(second, status=LaunchStatus.STARTED, execution_id="e2"))
    assert [second.name, third.name] == [f"{first.name} run 2", f"{first.name} run 3"]
    assert (third.run, third.status, third.execution_id) == (3, LaunchStatus.INTENDED, "")
    assert set(third.name) <= SIGNS


def test_runs_share_a_results_location_where_the_engine_keeps_them_apart() -> None:
    """Where the pipeline has a fixed results folder, each run has one of its own (facts 5.4)."""
    first = launched("a.dat", "one", runs=3)
    assert next_run(first).results_location == OUTPUTS
    seen = snapshot(
        *there("a.dat", "one"),
        session=OPEN,
        files={"a.dat": "one"},
        memory=memory(),
        settings=settings(launch={"nb_runs": 2}),
    )
    assert seen.descriptor
    fixed = replace(seen, descriptor=replace(seen.descriptor, results_suffix=""))
    (action,) = plan(fixed).actions
    assert isinstance(action, do.StartExecution)
    places = [action.launch.results_location, next_run(action.launch).results_location]
    places.append(next_run(next_run(action.launch)).results_location)
    assert len({*places, OUTPUTS}) == 4
    assert all(place.startswith(f"{OUTPUTS}/") for place in places)


def runs(*launches: Launch) -> list[str]:
    """Return the names of the runs that are to come."""
    state = State(OPEN)
    state.put(launches)
    return [launch.name for launch in runs_to_come(state)]


def test_runs_to_come_follow_what_was_started() -> None:
    """Not before the first one was, once each, and again where the slot was taken."""
    first = launched("a.dat", "one", runs=2)
    second = next_run(first)
    assert runs(replace(first, status=LaunchStatus.INTENDED)) == []
    assert runs(first) == [second.name]
    assert runs(first, second) == []
    assert runs(first, replace(second, status=LaunchStatus.WITHDRAWN)) == [second.name]
    assert runs(first, replace(second, status=LaunchStatus.REFUSED)) == []
    assert runs(first, replace(second, status=LaunchStatus.STARTED)) == []


# what is to be done with which case


def sorted_cases(seen: Snapshot) -> list[list[str]]:
    """Return the new, the unknown and the settling cases."""
    found = index_cases(seen)
    return [[case.id for case in cases] for cases in (found.new, found.unknown, found.settling)]


def test_cases_are_sorted_by_what_is_known_of_them() -> None:
    """Read and never launched; never read; still changing; launched ones are none of these."""
    seen = snapshot(
        known("a.dat", "one"),
        known("d.dat", "two"),
        launched("d.dat", "two"),
        files={"a.dat": "one", "b.dat": "x", "c.dat": "y", "d.dat": "two"},
        unsettled={"c.dat": 2000.0},
    )
    assert sorted_cases(seen) == [["a.dat"], ["b.dat"], ["c.dat"]]


@pytest.mark.parametrize(
    ("verdict", "new"),
    [
        (Verdict.ASIDE, []),
        (Verdict.BEFORE, []),
        (Verdict.DROPPED, []),
        (Verdict.GO, ["a.dat"]),
        (Verdict.AGAIN, ["a.dat"]),
    ],
)
def test_a_verdict_decides(verdict: Verdict, new: list[str]) -> None:
    """What a person or the end of a session decided goes before the rule."""
    rows: list[Row] = [known("a.dat", "one"), judged("a.dat", "one", verdict, "r1")]
    for when in ("new", "manual"):
        seen = snapshot(*rows, files={"a.dat": "one"}, settings=settings(launch={"when": when}))
        assert sorted_cases(seen)[0] == new


def test_a_launch_in_doubt_counts_as_launched() -> None:
    """Until it is proven not to have arrived."""
    seen = snapshot(known("a.dat", "one"), in_doubt("a.dat", "one"), files={"a.dat": "one"})
    assert sorted_cases(seen) == [[], [], []]


def test_only_what_was_known_before_is_read_before_it_is_sent() -> None:
    """A new file is hashed on its way; a request about cases needs every hash."""
    seen = snapshot(known("a.dat", "one"), files={"a.dat": "two!", "b.dat": "x"})
    index = index_cases(seen)
    assert list(to_learn(index)) == ["a.dat"]
    assert [str(do.key(action)) for action in to_read(index)] == [
        "HashFile a.dat",
        "HashFile b.dat",
    ]


def test_cases_that_ran_with_other_settings_are_outdated() -> None:
    """By their last launch: one that ran again with those of now is not."""
    now = launched("a.dat", "one")
    then = replace(now, name="then", cases=(replace(now.cases[0], settings="older"),))
    for rows, old in (
        ([now], []),
        ([then], ["a.dat"]),
        ([then, now], []),
        ([now, then], ["a.dat"]),
    ):
        seen = snapshot(known("a.dat", "one"), *rows, execution(), files={"a.dat": "one"})
        assert outdated(index_cases(seen)) == old
