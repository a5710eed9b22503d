"""Who may come in, and how refusals look (facts 1, 2)."""

from __future__ import annotations

import httpx
import pytest

from tests.local.conftest import Vip, code
from vipsync.local import InProcess, Request
from vipsync.local.webserver import page_instead


@pytest.fixture
def nobody(vip: Vip) -> httpx.Client:
    return httpx.Client(transport=InProcess(vip.world), base_url="http://vip")


OPEN = ["/rest/platform", "/rest/pipelines?public"]
PROTECTED = [
    "/rest/platform/",
    "/rest/pipelines",
    "/rest/pipelines/?public",
    "/rest/pipelines?public=1",
    "/rest/executions",
    "/rest/nowhere",
]


@pytest.mark.parametrize("route", OPEN)
def test_open_routes_need_no_key_but_refuse_a_wrong_one(nobody: httpx.Client, route: str) -> None:
    """A key is checked before the route's own rules."""
    assert nobody.get(route).status_code == 200
    assert code(nobody.get(route, headers={"apikey": "wrong"})) == (401, 8002)


@pytest.mark.parametrize("route", PROTECTED)
def test_other_routes_need_a_key_whether_they_exist_or_not(
    nobody: httpx.Client, route: str
) -> None:
    """No key is 8003, an empty or wrong one 8002, and both name the header."""
    answer = nobody.get(route)
    assert code(answer) == (401, 8003)
    assert answer.headers["WWW-Authenticate"] == "header; header-name=apikey"
    assert code(nobody.get(route, headers={"apikey": ""})) == (401, 8002)


def test_the_soundest_check_of_a_key_answers_true(vip: Vip) -> None:
    """`/vip` always exists for who has a key."""
    assert vip.path("/vip", "exists").json() == {"exists": True}


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [
        ("PUT", "/rest/plateform", 404),
        ("GET", "/rest/pipelines/a/b/c", 404),
        ("POST", "/rest/path/vip/Home/x", 400),
        ("GET", "/rest/executions/x/kill", 405),
        ("POST", "/rest/executions", 400),
        ("PUT", "/rest/executions/x/delete", 400),
        ("GET", "/rest/path/vip/Home", 400),
        ("GET", "/rest/path/vip/Home?action=nonsense", 400),
    ],
)
def test_what_cannot_be_mapped_is_8000_without_a_suffix(
    vip: Vip, method: str, route: str, status: int
) -> None:
    """Unknown routes, verbs, types and parameters give JSON, never HTML."""
    answer = vip.client.request(method, route)
    assert answer.status_code == status
    assert answer.json() == {
        "errorCode": 8000,
        "errorMessage": "An error has been encountered on the VIP API",
    }


def test_a_business_error_ends_with_its_code(vip: Vip) -> None:
    """Clients of older servers look for that text."""
    answer = vip.client.get("/rest/executions/unknown")
    assert answer.json()["errorMessage"].endswith(" (Error code 8000)")


@pytest.mark.parametrize(
    ("route", "status"),
    [("/rest/pipelines", 406), ("/rest/nowhere", 404), ("/rest/executions/workflow-zzzzzz", 500)],
)
def test_a_client_that_takes_no_json_gets_a_page(vip: Vip, route: str, status: int) -> None:
    """A refusal that cannot be written either is a crash of the server."""
    answer = vip.client.get(route, headers={"Accept": "text/plain"})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (status, "text/html")


@pytest.mark.parametrize(
    ("origin", "status"), [("http://x", 403), ("null", 403), ("http://vip", 200)]
)
def test_pages_of_other_sites_may_not_ask(vip: Vip, origin: str, status: int) -> None:
    """Their origin tells."""
    assert vip.client.get("/rest/platform", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/rest/path/vip/Home/a%2Fb?action=exists", 400),
        ("/rest/path/vip/Home/a%2fb?action=exists", 400),
        ("/rest/path/vip/Home/a%5Cb?action=exists", 400),
        ("/rest/path/vip/Home/a\\b?action=exists", 400),
        ("/rest/path/vip/Home/a%00?action=exists", 400),
        ("/rest/path/vip/Home/a%2?action=exists", 400),
        ("/rest/path/vip/Home/%C3%28?action=exists", 400),
        ("/rest/path/vip/Home/[a]?action=exists", 400),
        ("/rest/pipelines/a%2Fb", 400),
        ("/rest/path/vip?action=exists&x={", 400),
        ("/rest/path/../../../x", 400),
        ("/rest/../x", 404),
        ("/elsewhere", 404),
        ("/rest/path/vip/Home/a%252Fb?action=exists", None),
        ("/rest/path/vip/Home/%25?action=exists", None),
        ("/rest/path/vip/Home/a;b/../c+d?action=exists", None),
        ("/rest/path/vip/Home/a%0Ab?action=exists", None),
    ],
)
def test_what_the_web_server_answers_itself(address: str, status: int | None) -> None:
    """Bad escapes, slashes and backslashes in names, and what leads out of the API get its page."""
    assert page_instead(address) == status


def test_logs_are_plain_text_only(vip: Vip) -> None:
    """A client that asks for JSON gets 406, and its count is taken for an execution."""
    headers = {"Accept": "application/json"}
    identifier = vip.launch()
    log = vip.client.get(f"/rest/executions/{identifier}/stdout", headers=headers)
    assert code(log) == (406, 8000)
    assert code(vip.client.get("/rest/executions/count", headers=headers)) == (400, 8000)


def test_platform_takes_any_verb_and_tells_its_limits(vip: Vip) -> None:
    """The official client checks its key with PUT; the list of errors is there twice."""
    answer = vip.client.put("/rest/platform").json()
    assert answer["maxSizeDirectTransfer"] == vip.world.options.max_direct_transfer
    assert answer["apierrorCodesAndMessages"] == answer["APIErrorCodesAndMessages"]
    assert len(answer["APIErrorCodesAndMessages"]) == 24


def test_authenticate_gives_the_key_for_the_password_only(vip: Vip) -> None:
    """A wrong password is 401/8002, a missing one 400/8009."""
    asked = {"username": "local@localhost", "password": "local"}
    route = "/rest/authenticate"
    good = vip.client.post(route, json=asked)
    assert good.json() == {"httpHeader": "apikey", "httpHeaderValue": "local"}
    assert code(vip.client.post(route, json=asked | {"password": "x"})) == (401, 8002)
    assert code(vip.client.post(route, json={"username": "x"})) == (400, 8009)


def test_requests_are_recorded(vip: Vip) -> None:
    """Tests can count what a client asked for."""
    vip.world.requests.clear()
    vip.exists("/vip/Home/été")
    assert list(vip.world.requests) == [Request("GET", "/path/vip/Home/été")]
