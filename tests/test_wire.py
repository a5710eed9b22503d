"""Addresses and answers: what goes over the wire."""

from __future__ import annotations

import json

import msgspec
import pytest

from vipsync.client import wire
from vipsync.errors import (
    BadAnswer,
    ExecutionGone,
    ForeignPath,
    PipelineUnavailable,
    TransferMismatch,
)
from vipsync.model import ExecutionStatus, Odd, ParameterType, RemoteEntry, VipPath


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/vip", "path/vip"),
        ("/vip/Home/a b.txt", "path/vip/Home/a%20b.txt"),
        ("/vip/Home/100%.txt", "path/vip/Home/100%25.txt"),
        ("/vip/Home/%41.txt", "path/vip/Home/%2541.txt"),
        ("/vip/Home/a+b?c#d", "path/vip/Home/a%2Bb%3Fc%23d"),
        ("/vip/Home/été", "path/vip/Home/%C3%A9t%C3%A9"),
        ("/vip/MR (group)/x/", "path/vip/MR%20%28group%29/x"),
    ],
)
def test_path_is_encoded_once(path: str, route: str) -> None:
    """A path is percent-encoded exactly once, without its trailing slash."""
    assert wire.path_route(path) == route


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "vip/Home/x",
        "/etc/passwd",
        "/vip/Home/API/study/..",
        "/vip/Home/./x",
        "/vip//Home",
        "/vip/Home/a\nb",
        "/vip/Home/a\0b",
        "/vip/Home/\ud800",
        "girder:/vip/Home/x",
    ],
)
def test_path_that_would_strike_elsewhere_is_refused(path: str) -> None:
    """No request is made of a path that could mean another place than it says."""
    with pytest.raises(ForeignPath):
        wire.path_route(path)


@pytest.mark.parametrize(
    ("pipeline_id", "route"),
    [
        ("CQUEST/0.6", "pipelines/CQUEST/0.6"),
        ("Recon-all+segmentHA/7.3", "pipelines/Recon-all%252BsegmentHA/7.3"),
        ("50%/1", "pipelines/50%2525/1"),
        ("my app/1", "pipelines/my%2520app/1"),
    ],
)
def test_pipeline_is_encoded_twice(pipeline_id: str, route: str) -> None:
    """VIP decodes the identifier of a pipeline twice, so it is encoded twice."""
    assert wire.pipeline_route(pipeline_id) == route


@pytest.mark.parametrize("pipeline_id", ["", "CQUEST", "a/b/c", "../platform", "a/", "a/.."])
def test_pipeline_without_version_is_refused(pipeline_id: str) -> None:
    """What is not application/version is not asked for."""
    with pytest.raises(PipelineUnavailable, match="application/version"):
        wire.pipeline_route(pipeline_id)


@pytest.mark.parametrize("execution_id", ["", "..", "a/b", "x?y", "w\n", "é"])
def test_execution_id_that_is_none_is_refused(execution_id: str) -> None:
    """A kill or a deletion never goes to a route made of an odd identifier."""
    with pytest.raises(ExecutionGone):
        wire.execution_route(execution_id)


def execution(**fields: object) -> wire.ExecutionAnswer:
    body = json.dumps({"identifier": "workflow-a1b2c3", **fields}).encode()
    return wire.parsed(wire.EXECUTION, body, "test")


def test_execution_with_everything() -> None:
    """Milliseconds become seconds, jobs are sorted by number, VIP's words become ours."""
    found = execution(
        name="study-1",
        pipelineIdentifier="CQUEST/0.6",
        timeout=0,
        status="Finished",
        startDate=1769865725500,
        inputValues={"results-directory": "/vip/Home/out/2026-01-31_142205", "n": 3, "flag": True},
        returnedFiles={"output_file": ["/vip/Home/out/a.tgz"]},
        jobs={
            "10": {"status": "COMPLETED", "exitCode": 0, "exitMessage": "Successfully executed"},
            "2": {"status": "QUEUED", "exitCode": None, "exitMessage": None},
        },
    ).execution()
    assert found.started == 1769865725.5
    assert found.status is ExecutionStatus.FINISHED
    assert found.results_folder == "/vip/Home/out/2026-01-31_142205"
    assert found.input_values["n"] == "3"
    assert found.input_values["flag"] == "true"
    assert found.returned_files == {"output_file": ("/vip/Home/out/a.tgz",)}
    assert [(job.number, job.exit_code) for job in found.jobs] == [(2, -1), (10, 0)]


def test_execution_with_nulls() -> None:
    """Nulls are absences: no name, no results, no jobs, no date."""
    found = execution(
        name=None,
        status=None,
        startDate=None,
        inputValues=None,
        returnedFiles=None,
        jobs=None,
        errorCode=None,
    ).execution()
    assert found.name == "workflow-a1b2c3"
    assert found.status is ExecutionStatus.UNKNOWN
    assert found.started is None
    assert found.returned_files == {}
    assert found.jobs == ()


def test_execution_status_of_a_newer_server() -> None:
    """A status that is not known is Unknown: evaluated again at the next look."""
    assert execution(status="Hibernating").execution().status is ExecutionStatus.UNKNOWN


def test_returned_files_with_holes() -> None:
    """An output without files, or with a null among them, is what remains of it."""
    found = execution(returnedFiles={"a": None, "b": [None, "/vip/Home/x"]}).execution()
    assert found.returned_files == {"a": (), "b": ("/vip/Home/x",)}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"identifier":null}',
        b'{"identifier":""}',
        b'{"identifier":"w","name":5}',
        b'{"identifier":"w","startDate":Infinity}',
        b'{"identifier":"w","name":"\\ud800"}',
        b'{"identifier":"w","name":"\xff"}',
        b'{"identifier":"w","x":' + b"[" * 100_000,
    ],
)
def test_answer_of_another_shape(body: bytes) -> None:
    """What is not an execution is a BadAnswer that names what was asked."""
    with pytest.raises(BadAnswer, match="describe it"):
        wire.parsed(wire.EXECUTION, body, "describe it")


def test_answer_of_another_shape_is_not_shown() -> None:
    """Contents of an answer never get into an error: they may be a patient's."""
    body = json.dumps({"identifier": ["Jane Doe"] * 1000}).encode()
    with pytest.raises(BadAnswer) as caught:
        wire.parsed(wire.EXECUTION, body, "describe it")
    assert "Jane" not in str(caught.value)
    assert "identifier" in str(caught.value)
    assert "Jane" not in str(caught.value.__context__)


def entry(**fields: object) -> wire.EntryAnswer:
    return msgspec.convert(fields, wire.EntryAnswer)


def test_child_with_a_doubled_slash() -> None:
    """A listing asked for with a trailing slash names its entries with two."""
    found = entry(path="/vip/Home//a b.txt", isDirectory=False, size=3).child_of("/vip/Home")
    assert found is not None
    assert (found.path, found.size, found.is_folder) == ("/vip/Home/a b.txt", 3, False)


def test_folder_without_a_size() -> None:
    """The size of a folder may be null, and means nothing."""
    found = entry(path="/vip/Home", isDirectory=True, size=None).child_of("/vip")
    assert found is not None
    assert found.is_folder


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "x",
        "/vip/Home",
        "/vip/Home/",
        "/vip/Home/..",
        "/vip/Home/.",
        "/vip/Home/sub/x",
        "/vip/Other/x",
        "/vip/Home2/x",
        "/vip/Home/../x",
        "/vip/Home/a\nb",
        "/vip/Home/a\0b",
        "/vip/Home/a\x9bb",
    ],
)
def test_child_that_is_none(path: str | None) -> None:
    """An entry that does not lie directly in the folder, by a plain name, is no child."""
    child = entry(path=path, isDirectory=False, size=1).child_of("/vip/Home")
    assert child.odd in (Odd.NAME, Odd.ELSEWHERE)


@pytest.mark.parametrize("size", [None, -1])
def test_file_without_a_size(size: int | None) -> None:
    """A file whose size is not known cannot be verified, so it is odd."""
    child = entry(path="/vip/Home/x", isDirectory=False, size=size).child_of("/vip/Home")
    assert child == RemoteEntry(VipPath("/vip/Home/x"), is_folder=False, odd=Odd.SIZE)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("File", ParameterType.FILE),
        ("Int64", ParameterType.INTEGER),
        ("List", ParameterType.LIST),
        ("URI", ParameterType.STRING),
        (None, ParameterType.STRING),
    ],
)
def test_type_of_a_parameter(word: str | None, kind: ParameterType) -> None:
    """A type that is not known counts as a string."""
    answer = msgspec.convert({"name": "p", "type": word}, wire.ParameterAnswer)
    assert answer.parameter().type is kind


@pytest.mark.parametrize(
    ("given", "default"),
    [
        (None, None),
        ("$input.getDefaultValue()", None),
        ("No_value_provided", None),
        ("8", "8"),
        (8, 8),
        (0.5, 0.5),
        (False, False),
        (["a", 1], '["a", 1]'),
    ],
)
def test_default_of_a_parameter(given: object, default: object) -> None:
    """Old servers write three words for no default; any other default keeps its type."""
    answer = msgspec.convert({"name": "p", "defaultValue": given}, wire.ParameterAnswer)
    found = answer.parameter().default
    assert (found, type(found)) == (default, type(default))


def test_platform_without_a_limit() -> None:
    """No limit, or a senseless one, is None."""
    found = wire.parsed(wire.PLATFORM, b'{"maxSizeDirectTransfer":0,"email":null}', "t").platform()
    assert (found.name, found.max_download, found.email) == ("VIP", None, "")


@pytest.mark.parametrize(
    ("text", "is_log"),
    [
        ("no log found\n", False),
        ("no log found for job 12", False),
        ("jobId is required when multiple tasks exist", False),
        ("no log found in my program", True),
        ("", True),
        ("done\n", True),
    ],
)
def test_sentences_in_place_of_a_log(text: str, is_log: bool) -> None:
    """VIP says in three sentences that there is no log; anything else is one."""
    assert wire.is_log(text) is is_log


@pytest.mark.parametrize(
    ("status", "headers", "offset", "expected"),
    [
        (200, {"content-length": "10"}, 0, wire.Span(0, 10)),
        (200, {"content-length": "0"}, 0, wire.Span(0, 0)),
        (200, {"content-length": "10"}, 4, wire.Span(0, 10)),
        (206, {"content-range": "bytes 4-9/10"}, 4, wire.Span(4, 10)),
        (206, {"content-range": "bytes 4-6/10"}, 4, wire.Span(4, 10)),
        (206, {"content-range": "bytes 4-9/*"}, 4, wire.Span(4, 10)),
        (200, {}, 4, wire.Span(0, 10)),
        (416, {"content-range": "bytes */10"}, 10, wire.Span(10, 10)),
    ],
)
def test_span(status: int, headers: dict[str, str], offset: int, expected: wire.Span) -> None:
    """An answer says where its bytes begin and how many the file has, which VIP's list says, too."""
    assert wire.span(status, headers, offset, "send x", 10) == expected


@pytest.mark.parametrize(
    ("status", "headers", "offset", "error"),
    [
        (200, {}, 0, BadAnswer),
        (200, {"content-length": "-1"}, 0, BadAnswer),
        (200, {"content-length": "3"}, 4, TransferMismatch),
        (206, {}, 4, TransferMismatch),
        (206, {"content-range": "bytes 4-9/*"}, 4, TransferMismatch),
        (206, {"content-range": "bytes 5-9/10"}, 4, TransferMismatch),
        (206, {"content-range": "bytes 0-9/10"}, 4, TransferMismatch),
        (206, {"content-range": "bytes 4-9/" + "9" * 5000}, 4, TransferMismatch),
        (416, {}, 4, TransferMismatch),
        (416, {"content-range": "bytes */3"}, 4, TransferMismatch),
        (416, {"content-range": "bytes */30"}, 4, TransferMismatch),
    ],
)
def test_span_that_does_not_fit(
    status: int, headers: dict[str, str], offset: int, error: type[Exception]
) -> None:
    """Bytes of another place than the one asked for are never taken."""
    with pytest.raises(error, match="send x"):
        wire.span(status, headers, offset, "send x")
