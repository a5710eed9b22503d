"""An execution's life as a client sees it (facts 5.5-5.13, 6, 8.1)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest

from tests.local.conftest import CQUEST, Vip, code
from vipsync.local import Job, Kind, User

MakeVip = Callable[..., Vip]
BOTH = {"parameters": "/vip/Home/p.txt", "data": ["/vip/Home/a.mrui", "/vip/Home/b.mrui"]}


def finished(vip: Vip, **changes: Any) -> dict[str, Any]:
    """Launch an execution and return it once its time has passed."""
    identifier = vip.launch(**changes)
    for _ in range(4):
        vip.execution(identifier)
        vip.clock.sleep(30)
    return vip.execution(identifier)


def statuses(execution: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {n: (job["status"], job["exitCode"]) for n, job in execution["jobs"].items()}


def test_the_answer_of_a_launch_knows_nothing_yet(vip: Vip) -> None:
    """Inputs, outputs and jobs come with the engine."""
    answer = vip.post().json()
    assert answer == {
        "identifier": answer["identifier"],
        "name": "run",
        "pipelineIdentifier": "cquest/0.6",
        "timeout": 0,
        "status": "Running",
        "inputValues": {},
        "returnedFiles": None,
        "studyIdentifier": None,
        "errorCode": None,
        "startDate": int(vip.clock.now() * 1000),
        "endDate": None,
        "resultsLocation": None,
        "jobs": {},
    }
    assert answer["identifier"].startswith("workflow-")


def test_everything_comes_one_after_the_other(make_vip: MakeVip) -> None:
    """Inputs at the start of the engine, then jobs, their ends, their outputs, the end."""
    vip = make_vip(job_poll=20.0, output_lag=10.0, zone=UTC)
    for name in ("p.txt", "a.mrui"):
        vip.put(f"/vip/Home/{name}", b"data")
    identifier = vip.launch()
    vip.clock.sleep(5)
    running = vip.execution(identifier)
    assert running["inputValues"] == {
        "parameters": "/vip/Home/p.txt",
        "data": "/vip/Home/a.mrui",
        "results-directory": "/vip/Home/out/2026-01-01_000005",
    }
    assert running["jobs"]["1"] == {
        "status": "RUNNING",
        "exitCode": -1,
        "exitMessage": "Exit code not known",
    }
    vip.clock.sleep(19)
    assert vip.execution(identifier)["jobs"]["1"]["status"] == "RUNNING"
    vip.clock.sleep(1)
    ended = vip.execution(identifier)
    assert (ended["status"], statuses(ended)) == ("Running", {"1": ("COMPLETED", 0)})
    assert ended["returnedFiles"] is None
    vip.clock.sleep(10)
    done = vip.execution(identifier)
    assert done["status"] == "Finished"
    path = "/vip/Home/out/2026-01-01_000005/a.mrui--p.txt.tgz"
    assert done["returnedFiles"] == {"fit": [path]}
    content = vip.path(path, "content").content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["a.txt"]


def test_several_values_are_several_jobs_in_one_folder(vip: Vip) -> None:
    """Only one value of each input is shown."""
    done = finished(vip, inputValues=BOTH)
    assert statuses(done) == {"1": ("COMPLETED", 0), "2": ("COMPLETED", 0)}
    assert done["inputValues"]["data"] == "/vip/Home/b.mrui"
    folder = done["inputValues"]["results-directory"]
    assert vip.names(folder) == ["a.mrui--p.txt.tgz", "b.mrui--p.txt.tgz"]


def test_partial_failure_is_finished(vip: Vip) -> None:
    """A job whose input is absent ends with 40, the other one well."""
    values = BOTH | {"data": ["/vip/Home/a.mrui", "/vip/Home/absent.mrui", "no-path"]}
    done = finished(vip, inputValues=values)
    assert done["status"] == "Finished"
    assert statuses(done) == {"1": ("COMPLETED", 0), "2": ("ERROR", 40), "3": ("ERROR", 40)}
    assert done["jobs"]["2"]["exitMessage"] == "Download error"


def test_no_success_is_execution_failed(vip: Vip) -> None:
    """Its outputs are null, and it cannot be deleted before it is killed."""
    vip.runner.work = lambda job: 50
    done = finished(vip)
    assert (done["status"], done["returnedFiles"]) == ("ExecutionFailed", None)
    route = f"/rest/executions/{done['identifier']}"
    body = {"deleteFiles": False}
    assert code(vip.client.put(f"{route}/delete", json=body)) == (400, 8000)
    assert vip.client.put(f"{route}/kill").status_code == 204
    assert vip.client.put(f"{route}/delete", json=body).status_code == 204


SAME = CQUEST | {
    "name": "same",
    "output-files": [{"id": "fit", "name": "f", "path-template": "result.txt"}],
}


@pytest.mark.parametrize(
    ("overwrite", "second"), [(False, ("ERROR", 32)), (True, ("COMPLETED", 0))]
)
def test_two_outputs_of_one_name_clash(
    make_vip: MakeVip, overwrite: bool, second: tuple[str, int]
) -> None:
    """The later job fails with 32, or silently overwrites where the grid does."""
    vip = make_vip(overwrite_outputs=overwrite)
    for name in ("p.txt", "a.mrui", "b.mrui"):
        vip.put(f"/vip/Home/{name}", b"data")
    vip.world.pipelines.add(SAME)
    done = finished(vip, pipelineIdentifier="same/0.6", inputValues=BOTH)
    assert statuses(done) == {"1": ("COMPLETED", 0), "2": second}


def test_the_job_that_ends_first_wins_the_name(vip: Vip) -> None:
    """Not the one with the lower number."""
    vip.world.pipelines.add(SAME)
    vip.runner.seconds = lambda job: 20.0 if job.subject.endswith("/1") else 10.0
    identifier = vip.launch(pipelineIdentifier="same/0.6", inputValues=BOTH)
    vip.clock.sleep(5)
    vip.execution(identifier)
    vip.clock.sleep(60)
    done = vip.execution(identifier)
    assert statuses(done) == {"1": ("ERROR", 32), "2": ("COMPLETED", 0)}


def test_a_missing_output_does_not_fail_a_job(vip: Vip) -> None:
    """Finished implies nothing about outputs: the map is empty, not null."""
    vip.runner.work = lambda job: {}
    done = finished(vip)
    assert (done["status"], done["returnedFiles"]) == ("Finished", {})


def test_outputs_may_lie_in_folders_below_the_results(vip: Vip) -> None:
    """A template with a slash makes them; one that climbs is cut to its name."""
    for template, kept in (("sub/x.txt", "sub/x.txt"), ("../../x.txt", "x.txt")):
        output = {"id": "fit", "name": "f", "path-template": template}
        vip.world.pipelines.add(CQUEST | {"output-files": [output]})
        done = finished(vip)
        folder = done["inputValues"]["results-directory"]
        assert done["returnedFiles"] == {"fit": [f"{folder}/{kept}"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"inputValues": BOTH | {"unknown": "1"}},
        {"inputValues": BOTH | {"data": ["x"] * 1001}},
    ],
)
def test_an_engine_that_dies_leaves_killed_without_jobs(vip: Vip, changes: Any) -> None:
    """The client gets 200 and no message."""
    done = finished(vip, **changes)
    assert (done["status"], done["jobs"], done["returnedFiles"]) == ("Killed", {}, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"inputValues": BOTH | {"data": "/vip/Home/a b.mrui"}},
        {"inputValues": BOTH | {"rounds": "1.0"}},
        {"resultsLocation": "/vip/Home/my results"},
    ],
)
def test_a_stuck_engine_runs_for_ever_until_it_is_killed(vip: Vip, changes: Any) -> None:
    """It counts in the quota meanwhile; its inputs are known."""
    stuck = finished(vip, **changes)
    assert (stuck["status"], stuck["jobs"]) == ("Running", {})
    assert stuck["inputValues"]["parameters"] == "/vip/Home/p.txt"
    vip.client.put(f"/rest/executions/{stuck['identifier']}/kill")
    assert vip.execution(stuck["identifier"])["status"] == "Killed"


def test_delete_by_verb_answers_200_and_does_nothing(vip: Vip) -> None:
    """Any verb without a mapping of its own does what GET does."""
    identifier = vip.launch()
    answer = vip.client.delete(f"/rest/executions/{identifier}?deleteFiles=true")
    assert (answer.status_code, answer.json()["status"]) == (200, "Running")
    assert vip.execution(identifier)["status"] == "Running"


def test_kill_stops_jobs_and_keeps_what_was_returned(vip: Vip) -> None:
    """Jobs that had ended stay as they are, the others run for ever."""
    vip.runner.seconds = lambda job: 10.0 if job.subject.endswith("/1") else 100.0
    identifier = vip.launch(inputValues=BOTH)
    vip.clock.sleep(5)
    vip.execution(identifier)
    vip.clock.sleep(50)
    assert vip.client.put(f"/rest/executions/{identifier}/kill").status_code == 204
    vip.clock.sleep(100)
    killed = vip.execution(identifier)
    assert killed["status"] == "Killed"
    assert statuses(killed) == {"1": ("COMPLETED", 0), "2": ("RUNNING", -1)}
    assert len(killed["returnedFiles"]["fit"]) == 1


def test_kill_turns_a_finished_execution_into_a_killed_one(vip: Vip) -> None:
    """For good."""
    done = finished(vip)
    vip.client.put(f"/rest/executions/{done['identifier']}/kill")
    assert vip.execution(done["identifier"])["status"] == "Killed"


def test_a_deleted_execution_is_gone_and_its_outputs_with_it(vip: Vip) -> None:
    """8015 from then on, out of list and count; the results folder stays."""
    done = finished(vip)
    route = f"/rest/executions/{done['identifier']}"
    assert code(vip.client.put(f"{route}/delete")) == (400, 8000)
    assert code(vip.client.put(f"{route}/delete", json={})) == (400, 8009)
    assert vip.client.put(f"{route}/delete", json={"deleteFiles": True}).status_code == 204
    assert code(vip.client.get(route)) == (400, 8015)
    assert vip.client.get("/rest/executions/count").text == "0"
    assert vip.names(done["inputValues"]["results-directory"]) == []


def test_what_is_left_of_a_deleted_execution(vip: Vip) -> None:
    """Its log, its name, and a kill that brings it back, without what it was given and gave."""
    done = finished(vip)
    route = f"/rest/executions/{done['identifier']}"
    vip.client.put(f"{route}/delete", json={"deleteFiles": False})
    assert vip.client.get(f"{route}/results").json() == []
    assert vip.client.get(f"{route}/stdout").text == "done\n"
    assert code(vip.client.put(f"{route}/delete", json={"deleteFiles": True})) == (400, 8000)
    renamed = {"name": "again", "pipelineIdentifier": "cquest/0.6"}
    assert code(vip.client.put(route, json=renamed)) == (400, 8015)
    assert vip.client.put(f"{route}/kill").status_code == 204
    back = vip.execution(done["identifier"])
    assert (back["name"], back["status"]) == ("again", "Killed")
    assert (back["inputValues"], back["returnedFiles"]) == ({}, {})
    assert statuses(back) == {"1": ("COMPLETED", 0)}


def test_results_tell_of_removed_files_too(vip: Vip) -> None:
    """They are listed with exists false."""
    done = finished(vip)
    route = f"/rest/executions/{done['identifier']}/results"
    [path] = done["returnedFiles"]["fit"]
    assert vip.client.get(route).json()[0]["size"] > 0
    vip.client.delete(f"/rest/path{path}")
    assert vip.client.get(route).json()[0]["exists"] is False


def test_lists_are_short_and_newest_first(vip: Vip) -> None:
    """They never show inputs, outputs or jobs."""
    first, second = finished(vip)["identifier"], vip.launch()
    listed = vip.client.get("/rest/executions").json()
    assert [entry["identifier"] for entry in listed] == [second, first]
    assert {str(entry[key]) for entry in listed for key in ("inputValues", "jobs")} == {"{}"}
    assert len(vip.client.get("/rest/executions?limit=0").json()) == 1
    assert vip.client.get("/rest/executions/count").text == "2"


@pytest.mark.parametrize("query", ["limit=501", "offset=0", "studyIdentifier=x", "limit=x"])
def test_other_ways_to_page_are_refused(vip: Vip, query: str) -> None:
    """400/8000."""
    assert code(vip.client.get(f"/rest/executions?{query}")) == (400, 8000)


def test_an_execution_can_be_renamed_only(vip: Vip) -> None:
    """Both fields are needed; a timeout is refused."""
    identifier = vip.launch()
    route = f"/rest/executions/{identifier}"
    body: dict[str, Any] = {"name": "other", "pipelineIdentifier": "cquest/0.6"}
    assert vip.client.put(route, json=body).json()["name"] == "other"
    assert code(vip.client.put(route, json={"name": "x"})) == (400, 8009)
    assert code(vip.client.put(route, json=body | {"timeout": 5})) == (400, 8000)
    assert code(vip.client.put(f"{route}/play")) == (400, 8001)


def test_logs_answer_200_even_when_there_is_none(vip: Vip) -> None:
    """Three sentences stand for a log; a running job gives 400."""
    identifier = vip.launch(inputValues=BOTH)
    route = f"/rest/executions/{identifier}"
    assert vip.client.get(f"{route}/stdout").text == "no log found"
    vip.clock.sleep(5)
    alone = vip.client.get(f"{route}/stderr").text
    assert alone == "jobId is required when multiple tasks exist"
    assert code(vip.client.get(f"{route}/jobs/1/stdout")) == (400, 8000)
    assert vip.client.get(f"{route}/jobs/9/stdout").text == "no log found for job 9"
    vip.clock.sleep(60)
    assert vip.client.get(f"{route}/jobs/1/stdout").text == "done\n"


def test_anothers_execution_is_unknown(make_vip: MakeVip) -> None:
    """Nobody sees or touches it."""
    vip = make_vip(users={key: User(key, key) for key in ("local", "other")})
    identifier = vip.launch()
    vip.client.headers["apikey"] = "other"
    assert code(vip.client.get(f"/rest/executions/{identifier}")) == (400, 8000)
    assert vip.client.get("/rest/executions").json() == []


def test_a_thousand_jobs_are_cheap(vip: Vip) -> None:
    """All of them run and return something."""

    def one_file(job: Job) -> dict[str, bytes]:
        return {"fit": b"x"}

    names = [f"/vip/Home/{number}.mrui" for number in range(1000)]
    for name in names:
        (vip.world.storage.users / "local_user" / name.removeprefix("/vip/Home/")).touch()
    vip.runner.work = one_file
    done = finished(vip, inputValues=BOTH | {"data": names})
    assert len(done["returnedFiles"]["fit"]) == 1000


def test_two_executions_of_one_second_share_their_folder(vip: Vip) -> None:
    """The second's job finds its name taken."""
    first, second = vip.launch(), vip.launch()
    vip.clock.sleep(5)
    vip.execution(first)
    vip.clock.sleep(60)
    assert vip.execution(first)["status"] == "Finished"
    assert vip.execution(second)["jobs"]["1"]["exitCode"] == 32


def test_a_kill_may_flicker(vip: Vip) -> None:
    """Killed, Running while the engine shuts down, then Killed for good."""
    identifier = vip.launch()
    vip.world.faults.arm(Kind.KILL_FLAPS, "run")
    vip.client.put(f"/rest/executions/{identifier}/kill")
    seen = [vip.execution(identifier)["status"] for _ in range(4)]
    assert seen == ["Killed", "Running", "Killed", "Killed"]


@pytest.mark.parametrize(
    ("route", "status"),
    [
        ("?limit=", 200),
        ("?limit=%2B1", 200),
        ("?limit=1.5", 400),
        ("?offset=", 200),
        ("?studyIdentifier=", 400),
        ("/count?studyIdentifier=x", 400),
        ("/{}/jobs/one/stdout", 400),
        ("/{}/jobs/-1/stdout", 200),
        ("/{}/jobs/1/nothing", 404),
        ("/{}/summary", 403),
        ("/summary", 400),
    ],
)
def test_numbers_and_routes_at_the_edge(vip: Vip, route: str, status: int) -> None:
    """An empty number is none; what is no number cannot be read; a summary is not for users."""
    identifier = finished(vip)["identifier"]
    asked = vip.client.get(f"/rest/executions{route.format(identifier)}")
    assert asked.status_code == status


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("true", 204),
        ("FALSE", 204),
        (1, 204),
        (False, 204),
        ("", 8009),
        ("yes", 8000),
        ([], 8000),
        (0.5, 8000),
    ],
)
def test_a_truth_is_read_as_java_reads_it(vip: Vip, told: object, expected: int) -> None:
    """Texts and whole numbers will do; nothing else, and nothing at all, does."""
    route = f"/rest/executions/{finished(vip)['identifier']}/delete"
    answer = vip.client.put(route, json={"deleteFiles": told})
    assert (204 if answer.status_code == 204 else code(answer)[1]) == expected
