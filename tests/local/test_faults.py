"""Each fault does what it says, as often as it says, and nothing else."""

from __future__ import annotations

import httpx
import pytest

from tests.local.conftest import Vip, code
from vipsync.local import FOR_EVER, Faults, Kind

FILE = "/vip/Home/x.txt"


def test_a_fault_strikes_as_often_as_it_is_armed_for_and_only_where_it_fits() -> None:
    """The pattern is a shell pattern; FOR_EVER never ends."""
    faults = Faults()
    faults.arm(Kind.REMOVAL_NEVER, "/vip/*.txt", times=2)
    assert faults.strike("/vip/a.zip", Kind.REMOVAL_NEVER) is None
    assert faults.strike("/vip/a.txt", Kind.REMOVAL_LATE) is None
    hits = [faults.strike("/vip/a.txt", Kind.REMOVAL_NEVER) is not None for _ in range(3)]
    assert hits == [True, True, False]
    faults.arm(Kind.REMOVAL_NEVER, times=FOR_EVER)
    assert all(faults.strike("x", Kind.REMOVAL_NEVER) for _ in range(5))
    faults.clear()
    assert faults.armed() == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.REFUSED, (400, 8000)),
        (Kind.SERVER_ERROR, (500, 8000)),
        (Kind.NOT_FOUND, (404, 8000)),
        (Kind.UNAUTHORIZED, (401, 8002)),
    ],
)
def test_refusals_strike_before_the_work(vip: Vip, kind: Kind, expected: tuple[int, int]) -> None:
    """Nothing was done; the next try succeeds."""
    vip.world.faults.arm(kind, "PUT /rest/path/vip/Home/*")
    assert code(vip.put(FILE, b"x")) == expected
    assert not vip.exists(FILE)
    assert vip.put(FILE, b"x").status_code == 201


@pytest.mark.parametrize(
    ("kind", "expected"), [(Kind.ANSWER_REFUSED, (400, 8000)), (Kind.ANSWER_ERROR, (500, 8000))]
)
def test_a_launch_may_be_refused_although_it_happened(
    vip: Vip, kind: Kind, expected: tuple[int, int]
) -> None:
    """The list of executions tells the truth."""
    vip.world.faults.arm(kind, "POST /rest/executions")
    assert code(vip.post(name="doubtful")) == expected
    assert [entry["name"] for entry in vip.client.get("/rest/executions").json()] == ["doubtful"]


@pytest.mark.parametrize(("kind", "done"), [(Kind.REQUEST_LOST, False), (Kind.ANSWER_LOST, True)])
def test_a_connection_may_be_lost_before_or_after_the_work(
    vip: Vip, kind: Kind, done: bool
) -> None:
    """In process the client sees a transport error, as over a network."""
    vip.world.faults.arm(kind, "PUT *")
    with pytest.raises(httpx.ReadError):
        vip.put(FILE, b"x")
    assert vip.exists(FILE) is done


def test_an_upload_may_arrive_after_its_refusal(vip: Vip) -> None:
    """400 after the timeout, the file `seconds` later."""
    vip.world.faults.arm(Kind.UPLOAD_TIMES_OUT, FILE, seconds=20)
    before = vip.clock.now()
    assert code(vip.put(FILE, b"x")) == (400, 8000)
    assert vip.clock.now() == before + 45
    vip.clock.sleep(19)
    assert not vip.exists(FILE)
    vip.clock.sleep(1)
    assert vip.exists(FILE)


def test_an_upload_may_never_arrive(vip: Vip) -> None:
    """And nothing is left behind."""
    vip.world.faults.arm(Kind.UPLOAD_VANISHES, FILE)
    assert code(vip.put(FILE, b"x")) == (400, 8000)
    vip.clock.sleep(1000)
    assert not vip.exists(FILE)
    assert not list((vip.world.root / "staging").iterdir())


def test_an_upload_may_be_stored_short(vip: Vip) -> None:
    """201 all the same."""
    vip.world.faults.arm(Kind.UPLOAD_WRONG_SIZE, FILE)
    assert vip.put(FILE, b"123456").status_code == 201
    assert vip.path(FILE, "content").content == b"123"


def test_a_removal_may_be_late_or_never_happen(vip: Vip) -> None:
    """204 both times."""
    for kind, seconds in ((Kind.REMOVAL_NEVER, 0), (Kind.REMOVAL_LATE, 60)):
        vip.world.faults.arm(kind, "/vip/Home/a.mrui", seconds=seconds)
        assert vip.client.delete("/rest/path/vip/Home/a.mrui").status_code == 204
        vip.clock.sleep(59)
        assert vip.exists("/vip/Home/a.mrui")
    vip.clock.sleep(1)
    assert not vip.exists("/vip/Home/a.mrui")


def test_a_download_may_be_cut(vip: Vip) -> None:
    """The announced length is the true one, the bytes are fewer."""
    vip.world.faults.arm(Kind.DOWNLOAD_CUT, "/vip/Home/a.mrui", size=1)
    with pytest.raises(httpx.RemoteProtocolError):
        vip.path("/vip/Home/a.mrui", "content")
    assert vip.path("/vip/Home/a.mrui", "content").content == b"data"


def test_a_listing_may_lie(vip: Vip) -> None:
    """Once, about one file."""
    vip.world.faults.arm(Kind.LISTING_WRONG_SIZE, "/vip/Home/a.mrui", size=99)
    sizes = {e["path"]: e["size"] for e in vip.path("/vip/Home", "list").json()}
    assert sizes["/vip/Home/a.mrui"] == 99
    assert sizes["/vip/Home/b.mrui"] == 4
    assert vip.path("/vip/Home/a.mrui", "properties").json()["size"] == 4


@pytest.mark.parametrize(
    ("kind", "match", "status", "jobs"),
    [
        (Kind.ENGINE_CRASHES, "run", "Killed", {}),
        (Kind.ENGINE_STUCK, "run", "Running", {}),
        (Kind.JOB_FAILS, "run/1", "ExecutionFailed", {"1": "ERROR"}),
        (Kind.JOB_HELD, "run/*", "Running", {"1": "ERROR_HELD"}),
        (Kind.OUTPUT_MISSING, "run/1", "Finished", {"1": "COMPLETED"}),
    ],
)
def test_engines_and_jobs_go_wrong(
    vip: Vip, kind: Kind, match: str, status: str, jobs: dict[str, str]
) -> None:
    """Named by the execution's name and the job's number; nothing is returned."""
    vip.world.faults.arm(kind, match)
    identifier = vip.launch()
    for _ in range(3):
        vip.clock.sleep(3600)
        seen = vip.execution(identifier)
    assert seen["status"] == status
    assert {number: job["status"] for number, job in seen["jobs"].items()} == jobs
    assert not seen["returnedFiles"]
