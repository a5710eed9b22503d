"""Every endpoint, against answers written by hand and against the embedded VIP."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.lab.memory import traced
from vipsync.client.connection import MAX_LOG
from vipsync.client.vip_client import Download, VipClient
from vipsync.errors import (
    BadAnswer,
    ExecutionGone,
    ForeignPath,
    GenericVipError,
    InvalidInput,
    KeyRefused,
    LocalFileError,
    PathForbidden,
    PipelineUnavailable,
    SlotsFull,
    TransferMismatch,
    Unreachable,
)
from vipsync.local import (
    DEFAULT_KEY,
    FastRunner,
    InProcess,
    Kind,
    ManualClock,
    Options,
    World,
    running,
)
from vipsync.model import BLOCK, Execution, ExecutionStatus, ParameterType

PORTAL = "https://vip.test"
HOME = "/vip/Home"
DESCRIPTOR = {
    "name": "shout+echo",
    "tool-version": "1.0",
    "description": "Repeat a text",
    "schema-version": "0.5",
    "command-line": "cp [TEXT] [TEXT].out",
    "inputs": [
        {"id": "text", "name": "Text", "type": "File", "value-key": "[TEXT]"},
        {
            "id": "times",
            "name": "Times",
            "type": "Number",
            "integer": True,
            "optional": True,
            "default-value": 2,
        },
    ],
    "output-files": [{"id": "out", "name": "Out", "path-template": "[TEXT].out"}],
}
PIPELINE = "shout+echo/1.0"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> World:
    """Make an embedded VIP with one small pipeline, on a clock that stands."""
    options = Options(startup_delay=0, quota_user=1)
    rng = random.Random(1)
    made = World(tmp_path / "vip", options, clock=clock, rng=rng, runner=FastRunner(clock))
    made.pipelines.add(DESCRIPTOR)
    return made


@pytest.fixture
def vip(world: World) -> Iterator[VipClient]:
    with VipClient("https://vip.test", DEFAULT_KEY, InProcess(world)) as client:
        yield client


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> VipClient:
    return VipClient(PORTAL, "a-key-of-the-test", httpx.MockTransport(answer))


def given(body: object, status: int = 200) -> VipClient:
    return answering(lambda _: httpx.Response(status, json=body))


def store(vip: VipClient, path: str, content: bytes) -> None:
    vip.upload(path, io.BytesIO(content), len(content))


def drained(blocks: Iterator[bytes], into: bytearray) -> None:
    for block in blocks:
        into += block


def fetch(vip: VipClient, path: str, offset: int = 0) -> bytes:
    with vip.download(path, offset) as download:
        return b"".join(download.blocks)


# the platform


def test_check_key(vip: VipClient) -> None:
    """A good key passes."""
    vip.check_key()


def test_check_key_that_nobody_has(world: World) -> None:
    """A wrong key is refused, and the way to a new one is told."""
    with (
        VipClient("https://vip.test", "nobodys-key-at-all", InProcess(world)) as stranger,
        pytest.raises(KeyRefused, match="vipsync login"),
    ):
        stranger.check_key()


def test_check_key_wants_vips_own_answer() -> None:
    """A login page of a hotel is not a proof that the key is good."""
    with pytest.raises(BadAnswer):
        answering(lambda _: httpx.Response(200, text="<html>Welcome</html>")).check_key()


def test_platform(vip: VipClient, world: World) -> None:
    """The platform says how large a download may be."""
    assert vip.platform().max_download == world.options.max_direct_transfer


def test_repr_shows_the_portal_only() -> None:
    """A client in a notebook shows its portal and nothing else."""
    assert repr(VipClient(PORTAL, "a-key-of-the-test")) == f"VipClient('{PORTAL}')"


# paths


def test_file_goes_up_and_comes_back(vip: VipClient) -> None:
    """What was uploaded is there, has its size, and comes back byte by byte."""
    content = random.Random(1).randbytes(3 * BLOCK + 17)
    seen = sha256()
    vip.upload(f"{HOME}/a.bin", io.BytesIO(content), len(content), seen.update)
    assert seen.digest() == sha256(content).digest()
    found = vip.properties(f"{HOME}/a.bin")
    assert found is not None
    assert (found.path, found.size, found.is_folder) == (f"{HOME}/a.bin", len(content), False)
    assert fetch(vip, f"{HOME}/a.bin") == content


def test_absent_path(vip: VipClient) -> None:
    """What is not there has no properties."""
    assert not vip.exists(f"{HOME}/nothing")
    assert vip.properties(f"{HOME}/nothing") is None


@pytest.mark.parametrize(
    "name", ["50% off.txt", "a+b.txt", "%41.txt", "q?x=1#y.txt", "it's (1).txt"]
)
def test_odd_names_arrive_as_they_are(vip: VipClient, name: str) -> None:
    """Each character of a name survives the way there and back, but for spaces (facts 3.4)."""
    store(vip, f"{HOME}/{name}", b"x")
    stored = f"{HOME}/{name.replace(' ', '_')}"
    assert vip.exists(stored)
    assert [entry.path for entry in vip.list_folder(HOME)] == [stored]


def test_unicode_in_a_path(vip: VipClient, world: World) -> None:
    """A path is sent as UTF-8: VIP finds a folder with an accent where there is one."""
    store(vip, f"{HOME}/été.txt", b"x")
    assert vip.exists(f"{HOME}/ete.txt")
    assert world.requests[0].path == "/path/vip/Home/été.txt"


def test_folders(vip: VipClient) -> None:
    """A folder is made, listed with what is in it, and may be made again."""
    vip.make_folder(f"{HOME}/study")
    vip.make_folder(f"{HOME}/study")
    store(vip, f"{HOME}/study/1.txt", b"one")
    vip.make_folder(f"{HOME}/study/sub")
    found = {
        entry.path: (entry.is_folder, entry.size) for entry in vip.list_folder(f"{HOME}/study/")
    }
    assert found == {f"{HOME}/study/1.txt": (False, 3), f"{HOME}/study/sub": (True, 0)}


def test_empty_file_is_a_file(vip: VipClient) -> None:
    """A file of zero bytes becomes a file, not a folder, and comes back."""
    vip.upload_empty(f"{HOME}/empty.txt")
    found = vip.properties(f"{HOME}/empty.txt")
    assert found is not None
    assert (found.is_folder, found.size) == (False, 0)
    with vip.download(f"{HOME}/empty.txt") as download:
        assert (download.size, list(download.blocks)) == (0, [])


def test_empty_upload_is_refused(vip: VipClient, world: World) -> None:
    """An upload of zero bytes would make a folder, so it is not even tried."""
    with pytest.raises(ValueError, match="upload_empty"):
        vip.upload(f"{HOME}/x", io.BytesIO(), 0)
    assert not world.requests


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_upload_of_a_file_that_changes_stops(vip: VipClient, size: int) -> None:
    """A file with more or fewer bytes than announced never arrives, and is worth another try."""
    with pytest.raises(LocalFileError, match="changed") as caught:
        vip.upload(f"{HOME}/x", io.BytesIO(b"x" * BLOCK), size)
    assert caught.value.transient
    assert not vip.exists(f"{HOME}/x")


def test_upload_of_an_unreadable_file(vip: VipClient) -> None:
    """A disk that fails while reading concerns this file only."""

    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(LocalFileError, match="Input/output error"):
        vip.upload(f"{HOME}/x", io.BufferedReader(Failing()), 10)


def test_upload_never_replaces(vip: VipClient) -> None:
    """A second upload to the same path is refused, with the request in the message."""
    store(vip, f"{HOME}/x", b"one")
    with pytest.raises(GenericVipError, match="store /vip/Home/x"):
        store(vip, f"{HOME}/x", b"two")
    assert fetch(vip, f"{HOME}/x") == b"one"


@pytest.mark.parametrize("status", [200, 202, 204])
def test_upload_needs_the_right_answer(status: int) -> None:
    """Only 201 means stored: another success is somebody else's."""
    with pytest.raises(BadAnswer):
        store(given({}, status), f"{HOME}/x", b"x")


def test_delete(vip: VipClient) -> None:
    """A removal takes the whole tree; one of what is not there is refused."""
    vip.make_folder(f"{HOME}/study")
    store(vip, f"{HOME}/study/1.txt", b"one")
    vip.delete(f"{HOME}/study")
    assert not vip.exists(f"{HOME}/study")
    with pytest.raises(GenericVipError, match="remove /vip/Home/study"):
        vip.delete(f"{HOME}/study")


def test_delete_of_a_parent_by_dots_is_not_sent(vip: VipClient, world: World) -> None:
    """`study/..` would be Home itself."""
    with pytest.raises(ForeignPath):
        vip.delete(f"{HOME}/API/study/..")
    assert not world.requests


def test_forbidden_path(vip: VipClient) -> None:
    """A path outside the account's reach is told apart from a failure."""
    with pytest.raises(PathForbidden, match="below a group"):
        vip.exists("/vip/Somebody (group)/x")


def test_malformed_entries_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A listing keeps its good entries, and says how many it left out, without their names."""
    names = ["good", "..", "Jane\nDoe", "a\0b", "sub/deep", ""]
    body = [{"path": f"{HOME}/{name}", "isDirectory": False, "size": 1} for name in names]
    body.append({"path": "/vip/Other/x", "isDirectory": False, "size": 1})
    vip = given(body)
    with caplog.at_level(logging.WARNING):
        assert [entry.path for entry in vip.list_folder(HOME)] == [f"{HOME}/good"]
    assert "left out 6" in caplog.text
    assert "Jane" not in caplog.text
    with pytest.raises(ForeignPath, match="6 entries"):
        vip.list_folder(HOME, whole=True)


def test_listing_of_a_file_is_refused(vip: VipClient) -> None:
    """What is no folder cannot be listed: an error, never an empty folder."""
    store(vip, f"{HOME}/x", b"x")
    with pytest.raises(GenericVipError):
        vip.list_folder(f"{HOME}/x")


def test_properties_without_a_size() -> None:
    """A file without a size cannot be verified."""
    with pytest.raises(BadAnswer, match="size"):
        given({"path": f"{HOME}/x", "exists": True, "isDirectory": False}).properties(f"{HOME}/x")


# downloads


@pytest.mark.parametrize("offset", [1, BLOCK, 3 * BLOCK - 1])
def test_download_resumes(vip: VipClient, offset: int) -> None:
    """A download goes on where it was told to, and knows the size of the whole."""
    content = random.Random(2).randbytes(3 * BLOCK)
    store(vip, f"{HOME}/x", content)
    with vip.download(f"{HOME}/x", offset) as download:
        assert download.size == len(content)
        assert b"".join(download.blocks) == content[offset:]


def test_download_resumes_on_a_server_without_ranges() -> None:
    """A server that sends everything all the same is listened to from the offset on."""
    content = bytes(range(256)) * 8192
    vip = answering(lambda _: httpx.Response(200, content=content))
    assert fetch(vip, f"{HOME}/x", BLOCK + 5) == content[BLOCK + 5 :]


def test_download_with_nothing_left() -> None:
    """A file that is already whole needs no more blocks."""
    answer = httpx.Response(416, headers={"content-range": "bytes */10"}, text="no such range")
    with answering(lambda _: answer).download(f"{HOME}/x", 10) as download:
        assert (download.size, list(download.blocks)) == (10, [])


def test_download_of_a_file_that_became_shorter() -> None:
    """A file with fewer bytes than are here must begin anew."""
    answer = httpx.Response(416, headers={"content-range": "bytes */3"})
    with (
        pytest.raises(TransferMismatch, match="from its beginning"),
        answering(lambda _: answer).download(f"{HOME}/x", 10),
    ):
        pass


def test_cut_download_goes_on(vip: VipClient, world: World) -> None:
    """A connection that ends early is noticed, and the rest comes with the next request."""
    content = random.Random(3).randbytes(4 * BLOCK)
    store(vip, f"{HOME}/x", content)
    world.faults.arm(Kind.DOWNLOAD_CUT, f"{HOME}/x", size=2 * BLOCK + 7)
    came = bytearray()
    with vip.download(f"{HOME}/x") as download, pytest.raises(TransferMismatch):
        drained(download.blocks, came)
    assert 0 < len(came) <= 2 * BLOCK + 7
    assert bytes(came) + fetch(vip, f"{HOME}/x", len(came)) == content


@pytest.mark.parametrize("length", [9, 11])
def test_download_of_another_length(length: int) -> None:
    """Fewer or more bytes than announced are an error, and none beyond are handed on."""
    headers = {"content-length": "10"}
    vip = answering(lambda _: httpx.Response(200, headers=headers, content=iter([b"x" * length])))
    came = bytearray()
    with vip.download(f"{HOME}/x") as download, pytest.raises(TransferMismatch):
        drained(download.blocks, came)
    assert len(came) <= 10


def test_web_page_is_no_result() -> None:
    """The page of a proxy is never taken for a result."""
    with (
        pytest.raises(BadAnswer, match="proxy"),
        answering(lambda _: httpx.Response(200, html="<html>")).download(f"{HOME}/x"),
    ):
        pass


def test_error_of_the_reader_stays_its_own(vip: VipClient) -> None:
    """An error while a block is written is not taken for one of the transfer."""
    store(vip, f"{HOME}/x", b"x")

    def write(download: Download) -> None:
        for _ in download.blocks:
            raise httpx.ReadError("of another connection")

    with pytest.raises(httpx.ReadError), vip.download(f"{HOME}/x") as download:
        write(download)


# pipelines


def test_pipelines(vip: VipClient) -> None:
    """The pipelines of the account come with their names."""
    assert PIPELINE in [pipeline.pipeline_id for pipeline in vip.pipelines()]


def test_no_pipelines_at_all() -> None:
    """An empty list means that no group was joined yet."""
    with pytest.raises(PipelineUnavailable, match=r"Join the group.*vip\.test/home\.html"):
        given([]).pipelines()


def test_pipeline_with_a_plus(vip: VipClient) -> None:
    """A pipeline with a plus in its name is found, with the types of its parameters."""
    found = vip.pipeline(PIPELINE)
    assert (found.pipeline_id, found.version) == (PIPELINE, "1.0")
    assert [(p.name, p.type, p.default, p.required) for p in found.parameters] == [
        ("text", ParameterType.FILE, None, True),
        ("times", ParameterType.INTEGER, 2, False),
    ]


def test_descriptor(vip: VipClient) -> None:
    """The Boutiques descriptor has the outputs too."""
    outputs = vip.descriptor(PIPELINE)["output-files"]
    assert isinstance(outputs, list)
    assert outputs[0]["path-template"] == "[TEXT].out"


def test_descriptor_without_inputs() -> None:
    """An object that is no descriptor is a bad answer."""
    with pytest.raises(BadAnswer, match="inputs"):
        given({"name": "x"}).descriptor(PIPELINE)


@pytest.mark.parametrize("depth", [150, 500, 900])
def test_descriptor_that_is_nested_too_deeply(depth: int) -> None:
    """What could be read, but not be walked through any more, is a bad answer."""
    with pytest.raises(BadAnswer, match="nested too deeply"):
        given({"name": "x", "inputs": [], "more": nested(depth)}).descriptor(PIPELINE)


@pytest.mark.parametrize("depth", [150, 500, 900])
def test_value_that_is_nested_too_deeply(depth: int) -> None:
    """An odd value of one execution hides no other."""
    odd = {"identifier": "w", "inputValues": {"a": "one", "b": nested(depth)}}
    (found,) = given([odd]).executions()
    assert found.input_values == {"a": "one", "b": "…"}


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


def test_unknown_pipeline(vip: VipClient) -> None:
    """A pipeline that is not there, or not for this account, tells which group to join."""
    with pytest.raises(PipelineUnavailable, match="Join the group"):
        vip.pipeline("nothing/1.0")


# executions


def launch(vip: VipClient, name: str = "study-1", **values: str | int | list[str]) -> Execution:
    return vip.launch(name, PIPELINE, values, f"{HOME}/out")


def test_execution_from_launch_to_deletion(
    vip: VipClient, world: World, clock: ManualClock
) -> None:
    """An execution starts empty, ends with its results and logs, and can be forgotten."""
    for name in ("1.txt", "2.txt"):
        store(vip, f"{HOME}/{name}", name.encode())
    started = launch(vip, text=[f"{HOME}/1.txt", f"{HOME}/2.txt"], times=3)
    assert (started.name, started.pipeline_id) == ("study-1", PIPELINE)
    assert started.started == pytest.approx(clock.now(), abs=60)
    clock.sleep(120)
    ended = vip.execution(started.id)
    assert ended.status is ExecutionStatus.FINISHED
    assert [(job.number, job.exit_code) for job in ended.jobs] == [(1, 0), (2, 0)]
    results = ended.returned_files["out"]
    assert {path.rpartition("/")[2] for path in results} == {"1.txt.out", "2.txt.out"}
    assert ended.results_folder == results[0].rpartition("/")[0]
    assert [execution.id for execution in vip.executions()] == [started.id]
    assert vip.job_log(started.id, 1, "stdout") == "done\n"
    assert vip.job_log(started.id, 7, "stdout") is None
    world.executions.all()[0].deleted = True
    with pytest.raises(ExecutionGone):
        vip.execution(started.id)
    assert not vip.executions()


def test_launch_beyond_the_limit_and_kill(vip: VipClient, world: World) -> None:
    """The account's limit is an error of its own; killing makes room."""
    world.faults.arm(Kind.ENGINE_STUCK, "*")
    store(vip, f"{HOME}/1.txt", b"1")
    stuck = launch(vip, text=f"{HOME}/1.txt")
    with pytest.raises(SlotsFull) as caught:
        launch(vip, "study-2", text=f"{HOME}/1.txt")
    assert caught.value.transient
    vip.kill(stuck.id)
    assert vip.execution(stuck.id).status is ExecutionStatus.KILLED


@pytest.mark.parametrize(
    ("name", "values"), [("na!me", {"text": f"{HOME}/1.txt"}), ("a", {"text": "é"}), ("a", {})]
)
def test_launch_with_bad_values(vip: VipClient, name: str, values: dict[str, str]) -> None:
    """A value, a name or a gap that VIP refuses concerns this launch only."""
    with pytest.raises(InvalidInput):
        launch(vip, name, **values)


def test_unknown_execution(vip: VipClient) -> None:
    """An unknown identifier gives the error without a reason, with the request in it."""
    with pytest.raises(GenericVipError, match="workflow-zzzzzz"):
        vip.execution("workflow-zzzzzz")


def test_limit_of_the_list() -> None:
    """The number of executions asked for is passed on."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    assert answering(answer).executions(limit=20) == ()
    assert seen[0].url.params["limit"] == "20"


@pytest.mark.parametrize(
    "odd",
    [
        {"name": "x"},
        {"identifier": "", "name": "x"},
        {"identifier": 5},
        {"identifier": "x" * 300},
        None,
        "workflow-a1b2c3",
        [],
    ],
)
def test_an_execution_that_is_not_named_has_no_id(odd: object) -> None:
    """The others of the list are known, and that it is not whole: half a list proves no absence."""
    found = given([{"identifier": "workflow-a1b2c3"}, odd]).executions()
    assert [execution.id for execution in found] == ["workflow-a1b2c3", ""]


@pytest.mark.parametrize(
    "odd",
    [
        {"startDate": "soon"},
        {"startDate": [1]},
        {"status": 5},
        {"jobs": "none"},
        {"jobs": {"one": {}}},
        {"returnedFiles": [1]},
        {"pipelineIdentifier": {}},
    ],
)
def test_an_execution_with_an_odd_value_keeps_its_name(odd: dict[str, object]) -> None:
    """A list that holds it is whole: which one it is, VIP says."""
    (found,) = given([{"identifier": "workflow-a1b2c3", "name": "mine", **odd}]).executions()
    assert (found.id, found.name) == ("workflow-a1b2c3", "mine")
    assert not found.status.ended


@pytest.mark.parametrize("odd", [10**18, -1, 0, 10**300, 4.2e15, None])
def test_a_start_that_no_calendar_has_is_not_known(odd: object) -> None:
    """Whatever VIP says of the start, the rest of the execution is what it is."""
    found = given({"identifier": "workflow-a1b2c3", "startDate": odd}).execution("workflow-a1b2c3")
    assert found.started is None


@pytest.mark.parametrize("odd", [{str(10**30): {}}, {"1": {"exitCode": 2**80}}])
def test_numbers_of_jobs_that_cannot_be_written_down(odd: object) -> None:
    """A number that no ledger holds is left out, or not known."""
    found = given({"identifier": "workflow-a1b2c3", "jobs": odd}).execution("workflow-a1b2c3")
    assert [job.exit_code for job in found.jobs] in ([], [-1])


def test_long_log_keeps_its_end() -> None:
    """Of a log the last mebibyte is kept, whatever its encoding."""
    log = "début\n" + "x" * MAX_LOG + "\nfin é"
    vip = answering(lambda _: httpx.Response(200, text=log))
    end = vip.job_log("workflow-a1b2c3", 1, "stderr")
    assert end is not None
    assert len(end.encode()) == MAX_LOG
    assert end.endswith("\nfin é")


def test_log_in_latin_1() -> None:
    """A log that says it is ISO-8859-1 is read so; broken text never raises."""
    headers = {"content-type": "text/plain;charset=ISO-8859-1"}
    latin = answering(lambda _: httpx.Response(200, headers=headers, content=b"caf\xe9"))
    assert latin.job_log("workflow-a1b2c3", 1, "stdout") == "café"
    utf8 = answering(lambda _: httpx.Response(200, content=b"caf\xe9"))
    assert utf8.job_log("workflow-a1b2c3", 1, "stdout") == "caf\ufffd"


# the network


@pytest.mark.parametrize("kind", [Kind.REQUEST_LOST, Kind.ANSWER_LOST])
def test_lost_connection(vip: VipClient, world: World, kind: Kind) -> None:
    """A connection that drops is Unreachable, and nothing is sent a second time."""
    world.faults.arm(kind, "PUT *")
    with pytest.raises(Unreachable, match="may have done"):
        store(vip, f"{HOME}/x", b"x")
    assert len(world.requests) == 1
    assert vip.exists(f"{HOME}/x") is (kind is Kind.ANSWER_LOST)


def test_portal_without_a_server() -> None:
    """Nobody at the address is Unreachable, with the address in the message."""
    with VipClient("http://127.0.0.1:1", "key") as vip, pytest.raises(Unreachable, match=":1 "):
        vip.check_key()


def test_proxy_of_the_environment_is_not_asked_for_this_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedded VIP can be reached where all else goes through a proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with running(world) as portal, VipClient(portal, DEFAULT_KEY) as vip:
        vip.check_key()


def test_eight_threads_over_sockets(world: World) -> None:
    """One client serves eight threads at once."""
    with running(world) as portal, VipClient(portal, DEFAULT_KEY) as shared:

        def there_and_back(number: int) -> bool:
            content = random.Random(number).randbytes(1000 + number)
            store(shared, f"{HOME}/{number}", content)
            return fetch(shared, f"{HOME}/{number}") == content

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(there_and_back, range(64)))
        assert len(shared.list_folder(HOME)) == 64


def test_file_that_grows_never_arrives_over_sockets(world: World) -> None:
    """The last block of a file that grew is held back, so that the server drops the rest."""
    with running(world) as portal, VipClient(portal, DEFAULT_KEY) as vip:
        with pytest.raises(LocalFileError):
            vip.upload(f"{HOME}/x", io.BytesIO(b"x" * 1001), 1000)
        assert not vip.exists(f"{HOME}/x")


def test_connection_is_used_again(world: World) -> None:
    """Uploads, refusals and downloads one after the other need one connection."""
    opened: list[str] = []

    class Counting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            def trace(name: str, _: object) -> None:
                if name == "connection.connect_tcp.complete":
                    opened.append(name)

            request.extensions["trace"] = trace
            return super().handle_request(request)

    with running(world) as portal, VipClient(portal, DEFAULT_KEY, Counting()) as vip:
        store(vip, f"{HOME}/x", b"x")
        assert fetch(vip, f"{HOME}/x") == b"x"
        with pytest.raises(GenericVipError):
            store(vip, f"{HOME}/x", b"x")
        vip.make_folder(f"{HOME}/sub")
        assert vip.exists(f"{HOME}/sub")
    assert len(opened) == 1


def test_large_file_takes_little_memory(tmp_path: Path) -> None:
    """A file of 200 MB passes there and back in blocks: client and server stay below a tenth."""
    size = 200 * BLOCK
    sparse = tmp_path / "sparse.bin"
    with sparse.open("wb") as file:
        file.truncate(size)
    world = World(tmp_path / "vip", Options())
    with running(world) as portal, VipClient(portal, DEFAULT_KEY) as vip, traced() as peak:
        with sparse.open("rb") as source:
            vip.upload(f"{HOME}/big.bin", source, size)
        with vip.download(f"{HOME}/big.bin") as download:
            assert sum(map(len, download.blocks)) == size
        assert peak() < size / 10
        vip.delete(f"{HOME}/big.bin")
        assert not vip.exists(f"{HOME}/big.bin")
