"""From VIP's refusals to errors."""

from __future__ import annotations

import json

import httpx
import pytest

from vipsync.client.refusals import Refusal, retry_after, unreachable
from vipsync.errors import (
    BadAnswer,
    ExecutionGone,
    GenericVipError,
    InvalidInput,
    KeyMissing,
    KeyRefused,
    PathForbidden,
    PipelineUnavailable,
    SlotsFull,
    Unreachable,
    VipError,
    VipsyncError,
)

PORTAL = "https://vip.test"


def refused(status: int, code: int | None = None, text: str = "", **more: object) -> VipsyncError:
    body = text if code is None else json.dumps({"errorCode": code, "errorMessage": text})
    given = {"location": "", "retry_after": None, **more}
    return Refusal("launch it", PORTAL, status, body.encode(), **given).error()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 2000, SlotsFull),
        (400, 2001, SlotsFull),
        (401, 8002, KeyRefused),
        (400, 8002, KeyRefused),
        (401, 8003, KeyMissing),
        (401, 8004, KeyRefused),
        (401, 40101, KeyRefused),
        (400, 8005, PipelineUnavailable),
        (400, 8007, PipelineUnavailable),
        (400, 8008, PipelineUnavailable),
        (400, 8009, InvalidInput),
        (400, 8018, InvalidInput),
        (400, 8019, InvalidInput),
        (400, 8013, PathForbidden),
        (400, 8015, ExecutionGone),
        (400, 8000, GenericVipError),
        (404, 8000, GenericVipError),
        (500, 8000, GenericVipError),
        (503, 8000, GenericVipError),
        (400, 8001, GenericVipError),
        (400, 2003, GenericVipError),
    ],
)
def test_code_becomes_a_class(status: int, code: int, kind: type[VipError]) -> None:
    """VIP's code decides the class, and both numbers stay on the error."""
    error = refused(status, code, "words")
    assert type(error) is kind
    assert isinstance(error, VipError)
    assert (error.code, error.status) == (code, status)
    assert error.remedy


def test_generic_refusal_reports_the_request() -> None:
    """VIP's text for 8000 says nothing, so what was asked is said instead."""
    error = refused(400, 8000, "An error has been encountered on the VIP API (Error code 8000)")
    assert "launch it" in str(error)
    assert "encountered" not in str(error)


def test_reason_is_passed_on_shortened() -> None:
    """A reason that VIP gives is shown: one line, 200 characters at most, nothing that controls."""
    error = refused(400, 8009, "Input field\n'x'\x1b[31m " + "y" * 10_000)
    assert "Input field 'x'[31m" in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (8002, "vipsync login"),
        (8003, "vipsync login"),
        (8007, "https://vip.test/home.html"),
        (8008, "Join the group"),
    ],
)
def test_remedy_says_where_to_go(code: int, hint: str) -> None:
    """A person is told what to do, on which page."""
    assert hint in refused(400, code).remedy


def test_unauthorized_without_json() -> None:
    """A 401 without VIP's body still means the key."""
    assert type(refused(401, None, "<html>")) is KeyRefused


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_gateway_is_unreachable(status: int) -> None:
    """What a front server says in VIP's place passes; it may say for how long."""
    error = refused(status, None, "<html>Bad Gateway</html>", retry_after=7.0)
    assert type(error) is Unreachable
    assert error.transient
    assert error.retry_after == 7.0


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
def test_foreign_page_is_a_bad_answer(status: int) -> None:
    """A page of another kind of server is named as such, with its beginning only."""
    error = refused(status, None, "<html>Hospital proxy" + "x" * 10_000)
    assert type(error) is BadAnswer
    assert "Hospital proxy" in str(error)
    assert len(error.message) < 400


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirect_advises_nobody_to_send_a_key_there(status: int) -> None:
    """Where it leads is told; whether that is a portal, only a person can know."""
    error = refused(status, None, "", location="https://new.vip.test")
    assert type(error) is BadAnswer
    assert "https://new.vip.test" in error.message
    assert "https://" not in error.remedy


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        (
            {
                "retry-after": "Fri, 31 Jan 2026 12:00:30 GMT",
                "date": "Fri, 31 Jan 2026 12:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Fri, 31 Jan 2026 11:00:00 GMT",
                "date": "Fri, 31 Jan 2026 12:00:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Fri, 31 Jan 2026 12:00:30 GMT"}, None),
        (
            {
                "retry-after": "Fri, 31 Jan 2026 12:00:30 +99999999999999",
                "date": "Fri, 31 Jan 2026 12:00:00 GMT",
            },
            None,
        ),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359", "date": "99 99 99"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds and dates are read; nonsense counts as nothing said."""
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (httpx.ConnectError("[Errno -2] Name or service not known"), "typo"),
        (httpx.ConnectTimeout("timed out"), "VPN"),
        (httpx.ReadTimeout("timed out"), "may have done"),
        (httpx.PoolTimeout("timed out"), "transfers"),
        (httpx.ProxyError("407"), "HTTPS_PROXY"),
        (httpx.ReadError("reset"), "may have done"),
        (httpx.RemoteProtocolError("closed"), "may have done"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "SSL_CERT_FILE"),
    ],
)
def test_unreachable_says_what_to_check(failure: httpx.TransportError, hint: str) -> None:
    """Each way of not getting an answer has a remedy, and the portal is named."""
    error = unreachable(failure, "list it", PORTAL)
    assert PORTAL in error.message
    assert hint in error.remedy
    assert isinstance(error, ConnectionError)


def test_failed_connection_gives_its_reason() -> None:
    """What the system says of an address that does not answer is passed on."""
    error = unreachable(httpx.ConnectError("Name or service not known"), "list it", PORTAL)
    assert "Name or service not known" in error.message
