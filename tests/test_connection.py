"""The key's only place, redirects, and answers that are not read further than they are of use."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from vipsync.client.connection import MAX_ANSWER, MAX_REFUSAL, portal_address, usable_key
from vipsync.client.vip_client import VipClient
from vipsync.errors import BadAnswer, KeyMissing, KeyRefused, SettingsError, VipsyncError
from vipsync.local import Options, User, World, running
from vipsync.model import BLOCK, Secret

KEY = "7b2q9dk4m1s8v0t3u6e5r2a9c1"
PORTAL = "https://vip.test"


class Endless(httpx.SyncByteStream):
    """A body of `count` blocks that remembers how many were read and whether it was closed."""

    def __init__(self, count: int, block: bytes = b"x" * 65536) -> None:
        self.count, self.block, self.read, self.closed = count, block, 0, False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.count):
            self.read += 1
            yield self.block

    def close(self) -> None:
        self.closed = True


def client(*answers: httpx.Response, seen: list[httpx.Request] | None = None) -> VipClient:
    waiting = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return next(waiting)

    return VipClient(PORTAL, KEY, httpx.MockTransport(answer))


def test_key_and_accept_are_sent() -> None:
    """Every request carries the key in its header, and accepts anything but compression."""
    seen: list[httpx.Request] = []
    client(httpx.Response(200, json={"exists": True}), seen=seen).check_key()
    assert seen[0].headers["apikey"] == KEY
    assert seen[0].headers["accept"] == "*/*"
    assert seen[0].headers["accept-encoding"] == "identity"
    assert str(seen[0].url) == f"{PORTAL}/rest/path/vip?action=exists"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, text=f"<pre>GET / apikey: {KEY}</pre>"),
        httpx.Response(400, json={"errorCode": 8009, "errorMessage": f"not {KEY}"}),
        httpx.Response(401, json={"errorCode": 8002, "errorMessage": f"not {KEY}"}),
        httpx.Response(302, headers={"location": f"https://other.test/{KEY}/rest/path/vip"}),
        httpx.Response(200, text=KEY),
    ],
)
def test_echoed_key_stays_out_of_errors_and_logs(
    answer: httpx.Response, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that sends the key back does not get it into an error, a traceback or a log."""
    caplog.set_level(logging.DEBUG)
    vip = client(answer)
    with pytest.raises(VipsyncError) as caught:
        vip.check_key()
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown + str(caught.value) + repr(caught.value) + caught.value.remedy
    assert KEY not in caplog.text
    assert KEY not in repr(vip) + repr(vars(vip))


def test_key_stays_out_of_logs_of_a_good_request(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor a path is in the log of a request."""
    caplog.set_level(logging.DEBUG)
    client(httpx.Response(200, json={"exists": True})).exists("/vip/Home/Jane_Doe.mrui")
    assert KEY not in caplog.text
    assert "Jane" not in caplog.text


def test_key_stays_out_of_logs_over_sockets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even the lowest level of the HTTP libraries logs the key or a path."""
    caplog.set_level(logging.DEBUG)
    world = World(tmp_path, Options(users={KEY: User()}))
    with running(world) as portal, VipClient(portal, KEY) as vip:
        assert not vip.exists("/vip/Home/Jane_Doe.mrui")
    assert "httpcore" in caplog.text
    assert KEY not in caplog.text
    assert "Jane" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """A redirect ends in an error that says where it leads, and advises nobody to go there with a key."""
    seen: list[httpx.Request] = []
    moved = httpx.Response(
        status, headers={"location": "https://evil.test:8443/new/rest/path/vip?action=exists&a=b"}
    )
    with pytest.raises(BadAnswer, match=r"https://evil\.test:8443/new;") as caught:
        client(moved, seen=seen).check_key()
    assert [request.url.host for request in seen] == ["vip.test"]
    assert "evil" not in caught.value.remedy
    assert "login" in caught.value.remedy


@pytest.mark.parametrize(
    "location",
    [
        "",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "mailto:x",
        "http://xn--/",
        "//xn--a/",
        f"http://{'a' * 64}.de",
    ],
)
def test_redirect_to_nowhere(location: str) -> None:
    """A redirect to what is no portal names no address to use."""
    with pytest.raises(BadAnswer) as caught:
        client(httpx.Response(302, headers={"location": location})).check_key()
    assert "portal =" not in caught.value.remedy


def test_redirect_on_the_same_host() -> None:
    """A relative redirect names the portal's own address, without the rest."""
    with pytest.raises(BadAnswer, match=r"to https://vip\.test;"):
        client(httpx.Response(302, headers={"location": "/login?next=x"})).check_key()


def test_long_refusal_is_not_read_whole() -> None:
    """Of an error page of 10 MB only the beginning is read, and less is shown."""
    page = Endless(160)
    with pytest.raises(BadAnswer) as caught:
        client(httpx.Response(500, stream=page)).check_key()
    assert page.read <= 1 + MAX_REFUSAL // len(page.block)
    assert page.closed
    assert len(str(caught.value)) < 1000


def test_endless_answer_is_given_up() -> None:
    """An answer that does not end is given up at the limit, and closed."""
    body = Endless(10**6, b"x" * BLOCK)
    with pytest.raises(BadAnswer, match="longer than"):
        client(httpx.Response(200, stream=body)).executions()
    assert body.read <= 1 + MAX_ANSWER // BLOCK
    assert body.closed


def test_broken_refusal_still_counts() -> None:
    """A refusal whose text breaks off is judged by what came."""

    def broken() -> Iterator[bytes]:
        yield b"<html>"
        raise httpx.ReadError("reset")

    with pytest.raises(KeyRefused):
        client(httpx.Response(401, content=broken())).check_key()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip"])
def test_an_unknown_compression_is_refused_unread(coding: str) -> None:
    """It was not asked for; gzip in gzip makes a huge body of a small one."""
    body = Endless(1)
    answer = httpx.Response(200, headers={"content-encoding": coding}, stream=body)
    with pytest.raises(BadAnswer, match="compressed"):
        client(answer).executions()
    assert body.read == 0


@pytest.mark.parametrize("key", ["", "  \n"])
def test_empty_key_is_missing(key: str) -> None:
    """No request is made without a key."""
    with pytest.raises(KeyMissing):
        usable_key(key, PORTAL)


@pytest.mark.parametrize("key", ["abc\ndefgh", "abc defgh", "clé", "“abc”", "abc\0d"])
def test_unsendable_key_is_refused_without_showing_it(key: str) -> None:
    """A key that cannot be a header is refused before the HTTP library could quote it."""
    with pytest.raises(KeyRefused) as caught:
        usable_key(Secret(key), PORTAL)
    assert key not in str(caught.value)


def test_newline_behind_a_key_is_dropped() -> None:
    """A key read from a file may end with a newline."""
    assert usable_key(f"{KEY}\n", PORTAL).reveal() == KEY


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vip.test",
        "ftp://vip.test",
        "https://",
        "https://user:secret@vip.test",
        "https://vip.test/?a=b",
        "https://vip.test/#home",
        "https://vip.test:port",
        "https://[::1",
        "https://xn--",
        "https://xn--a.test",
        f"https://{'a' * 64}.test",
    ],
)
def test_portal_that_is_none(address: str) -> None:
    """An address that cannot be a portal is refused, without showing what may be a password."""
    with pytest.raises(SettingsError) as caught:
        portal_address(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "portal"),
    [
        (" https://vip.test/portal/ ", "https://vip.test/portal"),
        ("https://vip.test/rest", "https://vip.test"),
        ("https://vip.test/rest/", "https://vip.test"),
        ("https://vip.test/portal//rest", "https://vip.test/portal"),
        ("https://vip.test:8443/home.html", "https://vip.test:8443"),
        ("https://rest/interest", "https://rest/interest"),
    ],
)
def test_portal_with_what_is_copied_along(address: str, portal: str) -> None:
    """A trailing slash and VIP's own pages do not matter, and a portal may live below a path."""
    assert portal_address(address) == portal


@pytest.mark.parametrize(
    "ask",
    [
        VipClient.check_key,
        VipClient.pipelines,
        VipClient.executions,
        lambda vip: vip.exists("/vip/Home/x"),
        lambda vip: vip.descriptor("x/1"),
    ],
)
@pytest.mark.parametrize("page", ["<html>Welcome to the hotel</html>", "", "OK"])
def test_a_page_of_the_network_is_no_answer(ask: Callable[[VipClient], object], page: str) -> None:
    """A network that wants a login answers in VIP's place: nothing is concluded from that."""
    with pytest.raises(BadAnswer) as caught:
        ask(client(httpx.Response(200, headers={"content-type": "text/html"}, text=page)))
    assert "login" in caught.value.remedy
    assert caught.value.transient


def test_no_cookie_is_kept() -> None:
    """Else each answer could add to what is held, and to each request until none is taken any more."""
    seen: list[httpx.Request] = []
    pairs = [("set-cookie", f"c{n}={'x' * 3000}; Path=/") for n in range(20)]
    answer = httpx.Response(200, json={"exists": True}, headers=pairs)
    vip = client(answer, answer, seen=seen)
    vip.check_key()
    vip.check_key()
    assert "cookie" not in seen[1].headers
