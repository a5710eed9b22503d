"""What every route needs: bodies read, answers written, the verbs a mapping takes (facts 2, 5.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus

import flask
from werkzeug.datastructures import MIMEAccept

from vipsync.local.options import User
from vipsync.local.refusals import misread, no_key

ANY_VERB = ["GET", "POST", "PUT", "DELETE", "PATCH"]
_WHOLE = re.compile(r"[+-]?[0-9]{1,10}")
View = Callable[..., flask.Response]


def current_user() -> User:
    """Return who asks."""
    user = flask.g.user
    if not isinstance(user, User):
        raise no_key()
    return user


def as_json(value: object) -> flask.Response:
    """Answer 200 with JSON; raises 406 for a client that does not take it."""
    if not takes_json():
        raise misread(406)
    return flask.Response(json.dumps(value, ensure_ascii=False), mimetype="application/json")


def as_text(text: str) -> flask.Response:
    """Answer 200 with plain text."""
    return flask.Response(text, mimetype="text/plain")


def page(status: int) -> flask.Response:
    """Answer with the web server's own page."""
    name = f"HTTP Status {status} \N{EN DASH} {HTTPStatus(status).phrase}"
    html = f'<!doctype html><html lang="en"><head><title>{name}</title></head><body><h1>{name}</h1></body></html>'
    return flask.Response(html, status, mimetype="text/html")


def takes_json() -> bool:
    """Say whether the client takes JSON."""
    return _accepted("application/json")


def takes_text() -> bool:
    """Say whether the client takes plain text."""
    return _accepted("text/plain")


def nothing(status: int) -> flask.Response:
    """Answer without a body."""
    response = flask.Response(status=status)
    del response.headers["Content-Type"]
    return response


def json_body() -> object:
    """Return the request's JSON; raises 415 for another type, 400/8000 for nothing or no JSON."""
    raw = flask.request.get_data(cache=False)
    if not flask.request.is_json and (raw or flask.request.mimetype):
        raise misread(415)
    return parsed(raw)


def whole_number(text: str | None) -> int | None:
    """Return the number in a part of an address, None where there is none; raises 400/8000."""
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise misread()
    return int(text)


def parsed(raw: bytes) -> object:
    """Return JSON as Python values; raises 400/8000."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise misread() from error


def _accepted(mime_type: str) -> bool:
    accepted: MIMEAccept = flask.request.accept_mimetypes
    return not accepted or accepted.quality(mime_type) > 0
