"""The WSGI application: who may come in, how answers look, and what can go wrong on the way."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from vipsync.local.answers import page, takes_json
from vipsync.local.faults import Kind
from vipsync.local.refusals import (
    Misread,
    NotLetIn,
    Refusal,
    misread,
    no_key,
    refused,
    wrong_key,
)
from vipsync.local.routes_executions import ExecutionRoutes
from vipsync.local.routes_paths import PathRoutes
from vipsync.local.routes_platform import PlatformRoutes
from vipsync.local.webserver import page_instead
from vipsync.local.world import Request, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

_Answers = dict[Kind, Callable[[], Refusal]]
_PREFIX = "/rest"
_OPEN = frozenset(
    f"{_PREFIX}/{name}"
    for name in (
        "platform",
        "authenticate",
        "session",
        "register",
        "reset-password",
        "publications",
    )
)
_FOREIGN = flask.Response("Invalid CORS request", 403, mimetype="text/plain")
_LOST = "the connection was dropped on purpose"
# werkzeug parses a piece of Python for each route, which Python 3.11 cannot do in two threads at once
# (CPython issue 106905: "AST constructor recursion depth mismatch").
_BUILDING = threading.Lock()


class _Tail(BaseConverter):
    """The rest of a URL, slashes, empty parts, line ends and all."""

    regex = "(?s:.*?)"
    part_isolating = False


def create_app(world: World) -> WSGIApplication:
    """Return VIP's REST API over a world.

    An armed loss of the connection leaves the application as ConnectionResetError.
    """
    app = flask.Flask("vipsync.local", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.url_map.converters["tail"] = _Tail
    app.before_request(_Gate(world).check)
    app.register_error_handler(Refusal, _answer_refusal)
    app.register_error_handler(HTTPException, _answer_unmapped)
    app.register_error_handler(Exception, _answer_crash)
    with _BUILDING:
        for routes in (PlatformRoutes(world), PathRoutes(world), ExecutionRoutes(world)):
            routes.register(app)
    return _WithFaults(app, world)


class _Gate:
    """Finds out who asks, before any route does (facts 1.2, 1.3)."""

    def __init__(self, world: World) -> None:
        self._users = world.options.users

    def check(self) -> None:
        """Let a request pass; raises the refusals of a wrong or missing key."""
        key = flask.request.headers.get("apikey")
        if key is not None and key not in self._users:
            raise wrong_key()
        if key is None and not _is_open(flask.request):
            raise no_key()
        flask.g.user = self._users[key] if key is not None else None


def _is_open(request: flask.Request) -> bool:
    """Say whether a route needs no key; a slash at its end makes it another one."""
    public = request.method == "GET" and request.query_string == b"public"
    return request.path in _OPEN or (public and request.path == f"{_PREFIX}/pipelines")


class _WithFaults:
    """Records requests, and lets armed faults strike before or after the work."""

    def __init__(self, app: flask.Flask, world: World) -> None:
        self._app = app
        self._world = world

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Serve one request; raises ConnectionResetError where a loss is armed."""
        # The server ends the body itself, also where no Content-Length tells its size.
        environ["wsgi.input_terminated"] = True
        method, path = environ["REQUEST_METHOD"], _text(environ.get("PATH_INFO", ""))
        self._world.requests.append(Request(method, path.removeprefix(_PREFIX)))
        if status := page_instead(environ.get("REQUEST_URI") or quote(path)):
            return page(status)(environ, start)
        if _is_foreign_script(environ):
            return _FOREIGN(environ, start)
        subject = f"{method} {path}"
        if instead := self._struck(subject, _INSTEAD):
            return _refusal_response(instead())(environ, start)
        if afterwards := self._struck(subject, _AFTER):
            flask.Response.from_app(self._app, environ, buffered=True).close()
            return _refusal_response(afterwards())(environ, start)
        return self._app(environ, start)

    def _struck(self, subject: str, answers: _Answers) -> Callable[[], Refusal] | None:
        fault = self._world.faults.strike(subject, *answers)
        return answers[fault.kind] if fault else None


def _drop() -> Refusal:
    raise ConnectionResetError(_LOST)


_INSTEAD: _Answers = {
    Kind.REFUSED: refused,
    Kind.SERVER_ERROR: lambda: refused(status=500),
    Kind.NOT_FOUND: lambda: misread(404),
    Kind.UNAUTHORIZED: wrong_key,
    Kind.REQUEST_LOST: _drop,
}
_AFTER: _Answers = {
    Kind.ANSWER_REFUSED: refused,
    Kind.ANSWER_ERROR: lambda: refused(status=500),
    Kind.ANSWER_LOST: _drop,
}


def _is_foreign_script(environ: WSGIEnvironment) -> bool:
    """Say whether a page of another site asks, which no account of VIP's settings allows."""
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and origin.partition("://")[2] != environ.get("HTTP_HOST")


def _text(wsgi: str) -> str:
    return wsgi.encode("latin-1", "replace").decode("utf-8", "replace")


def _refusal_response(refusal: Refusal) -> flask.Response:
    body = json.dumps(refusal.body(), ensure_ascii=False)
    response = flask.Response(body, refusal.status, mimetype="application/json")
    if isinstance(refusal, NotLetIn):
        response.headers["WWW-Authenticate"] = "header; header-name=apikey"
    return response


def _answer_refusal(refusal: Refusal) -> flask.Response:
    """Answer in JSON; to a client that takes none with a page, as if the server had crashed."""
    if isinstance(refusal, NotLetIn) or takes_json():
        return _refusal_response(refusal)
    return page(refusal.status if isinstance(refusal, Misread) else 500)


def _answer_unmapped(error: HTTPException) -> flask.Response:
    return _answer_refusal(misread(error.code or 400))


def _answer_crash(error: Exception) -> flask.Response:
    logger.error("a request failed", exc_info=error)
    return _refusal_response(refused(status=500))
