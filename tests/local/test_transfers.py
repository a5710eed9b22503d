"""Uploads, downloads and removals, and the time they take (facts 3.5-3.8)."""

from __future__ import annotations

import base64
from collections.abc import Callable

import httpx
import pytest

from tests.local.conftest import Vip, code
from vipsync.local import Kind

MakeVip = Callable[..., Vip]
CARMIN = {"Content-Type": "application/carmin+json"}


def test_an_empty_body_makes_a_folder(vip: Vip) -> None:
    """It is no error when the folder is there; it is when a file has the name."""
    assert vip.put("/vip/Home/empty.txt").status_code == 201
    assert vip.put("/vip/Home/empty.txt").status_code == 201
    assert vip.path("/vip/Home/empty.txt", "properties").json()["isDirectory"] is True
    assert code(vip.put("/vip/Home/a.mrui")) == (400, 8000)


def test_an_upload_never_replaces_a_file(vip: Vip) -> None:
    """The old content stays."""
    assert code(vip.put("/vip/Home/a.mrui", b"other")) == (400, 8000)
    assert vip.path("/vip/Home/a.mrui", "content").content == b"data"


@pytest.mark.parametrize("content", [b"", b"x"])
def test_an_upload_never_makes_parents(vip: Vip, content: bytes) -> None:
    """Neither for a file nor for a folder."""
    assert code(vip.put("/vip/Home/absent/x", content)) == (400, 8000)
    assert not vip.exists("/vip/Home/absent")


def test_json_uploads_make_files_even_empty_ones(vip: Vip) -> None:
    """It is the only way to a file of no bytes."""
    for name, content in (("zero.txt", b""), ("some.txt", b"text")):
        body = {"base64Content": base64.b64encode(content).decode(), "type": "file", "md5": None}
        route = f"/rest/path/vip/Home/{name}"
        assert vip.client.put(route, json=body, headers=CARMIN).status_code == 201
        assert vip.path(f"/vip/Home/{name}", "properties").json()["size"] == len(content)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"base64Content":"","type":"Archive"}', 400),
        ('{"base64Content":"","type":null}', 500),
        ('{"type":"File"}', 500),
        ('{"base64Content":"a\\nb=","type":"File"}', 400),
        ("not json", 400),
    ],
)
def test_bad_json_uploads_are_refused(vip: Vip, body: str, status: int) -> None:
    """Each with the status of facts 3.6, and nothing is stored."""
    answer = vip.client.put("/rest/path/vip/Home/x", content=body, headers=CARMIN)
    assert code(answer) == (status, 8000)
    assert not vip.exists("/vip/Home/x")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/vip/Other (group)/x", '{"base64Content":"!","type":"File"}', (400, 8013)),
        ("/vip/Home/absent/x", '{"type":null}', (400, 8000)),
        ("/vip/Other (group)/x", '{"base64Content":"","type":"Zip"}', (400, 8000)),
    ],
)
def test_where_a_json_upload_goes_comes_before_what_it_holds(
    vip: Vip, path: str, body: str, expected: tuple[int, int]
) -> None:
    """Only what cannot be read at all is refused first."""
    answer = vip.client.put(f"/rest/path{path}", content=body, headers=CARMIN)
    assert code(answer) == expected


def test_every_transfer_lasts_until_the_next_look(make_vip: MakeVip) -> None:
    """The server looks every two seconds, the first time after two; folders are made at once."""
    vip = make_vip(transfer_poll=2.0, transfer_delay=2.5)
    before = vip.clock.now()
    vip.put("/vip/Home/folder")
    assert vip.clock.now() == before
    vip.put("/vip/Home/folder/x", b"x")
    assert vip.clock.now() == before + 4


def test_an_upload_that_takes_too_long_is_refused_and_arrives_later(make_vip: MakeVip) -> None:
    """400 after the timeout, then the file appears by itself."""
    vip = make_vip(transfer_delay=60.0)
    before = vip.clock.now()
    assert code(vip.put("/vip/Home/x.txt", b"x")) == (400, 8000)
    assert vip.clock.now() == before + 45
    assert not vip.exists("/vip/Home/x.txt")
    vip.clock.sleep(15)
    assert vip.exists("/vip/Home/x.txt")


def test_a_late_upload_that_finds_the_name_taken_vanishes(vip: Vip) -> None:
    """The first file stays, nothing is left in the staging folder."""
    vip.world.faults.arm(Kind.UPLOAD_TIMES_OUT, seconds=10)
    vip.put("/vip/Home/x.txt", b"late")
    assert vip.put("/vip/Home/x.txt", b"first").status_code == 201
    vip.clock.sleep(10)
    assert vip.path("/vip/Home/x.txt", "content").content == b"first"
    assert not list((vip.world.root / "staging").iterdir())


def test_a_removal_is_seen_later_and_takes_the_whole_tree(make_vip: MakeVip) -> None:
    """204 comes at once; the path is there until the removal is done."""
    vip = make_vip(removal_delay=3.0)
    vip.put("/vip/Home/folder")
    vip.put("/vip/Home/folder/x.txt", b"x")
    assert vip.client.delete("/rest/path/vip/Home/folder").status_code == 204
    assert vip.exists("/vip/Home/folder/x.txt")
    vip.clock.sleep(3)
    assert not vip.exists("/vip/Home/folder")
    assert vip.names("/vip/Trash") == []


def test_what_is_absent_cannot_be_removed(vip: Vip) -> None:
    """The answer is 400/8000."""
    assert code(vip.client.delete("/rest/path/vip/Home/absent")) == (400, 8000)


def test_large_files_are_not_downloaded(make_vip: MakeVip) -> None:
    """The limit is the one that /rest/platform tells."""
    vip = make_vip(max_direct_transfer=4)
    vip.put("/vip/Home/x", b"12345")
    assert code(vip.path("/vip/Home/x", "content")) == (400, 8000)


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=0-99", 206, b"0123456789"),
        ("bytes= 7-,", 206, b"789"),
        ("bytes=-99", 206, b"0123456789"),
    ],
)
def test_a_range_gives_a_part(vip: Vip, asked: str, status: int, content: bytes) -> None:
    """It may begin or end with the file."""
    answer = ranged(vip, asked)
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert int(answer.headers["Content-Length"]) == len(content)


def ranged(vip: Vip, asked: str) -> httpx.Response:
    vip.put("/vip/Home/x", b"0123456789")
    return vip.client.get("/rest/path/vip/Home/x?action=content", headers={"Range": asked})


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("bytes=0-1,4-5", [(b"0-1/10", b"01"), (b"4-5/10", b"45")]),
        ("bytes=-1,0-0,3-3", [(b"9-9/10", b"9"), (b"0-0/10", b"0"), (b"3-3/10", b"3")]),
        ("bytes=", []),
    ],
)
def test_several_ranges_come_as_parts(
    vip: Vip, asked: str, parts: list[tuple[bytes, bytes]]
) -> None:
    """Each with a head of its own, none of them for a range that is empty."""
    answer = ranged(vip, asked)
    assert answer.status_code == 206
    mark = answer.headers["Content-Type"].removeprefix("multipart/byteranges; boundary=").encode()
    *bodies, end = answer.content.split(b"\r\n--" + mark)[1:]
    heads = [body.partition(b"\r\n\r\n") for body in bodies]
    assert [(head.rpartition(b"bytes ")[2], content) for head, _, content in heads] == parts
    assert end == b"--"


@pytest.mark.parametrize(
    "asked",
    ["bytes=10-", "bytes=x", "nonsense", "bytes=7-3", "bytes=-0", "bytes=-", "bytes=0-9,3-4"],
)
def test_a_range_that_cannot_be_met_is_416_with_the_whole_file(vip: Vip, asked: str) -> None:
    """Nothing lies there, it is no range, or together they are as long as the file."""
    answer = ranged(vip, asked)
    assert (answer.status_code, answer.content) == (416, b"0123456789")
    assert answer.headers["Content-Range"] == "bytes */10"
