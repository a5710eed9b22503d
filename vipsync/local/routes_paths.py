"""`/rest/path`: files and folders (facts 3)."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import flask

from vipsync.local.answers import ANY_VERB, as_json, current_user, nothing, parsed
from vipsync.local.faults import Kind
from vipsync.local.ranges import Unmet, asked_spans
from vipsync.local.refusals import Refusal, misread, refused
from vipsync.local.storage import Properties, blocks
from vipsync.local.submission import as_fields
from vipsync.local.world import World

_ROUTE = "/rest/path"
_OF_NOTHING = "h"
"""What VIP takes for the path of an address that ends with `/rest/path`: it cuts too much off."""
_CARMIN = "application/carmin+json"
_BYTES = "application/octet-stream"
_BOUNDARY = "Sf8aVxn2mQ4d_embedded-vip_Kc7pRw3tLz"


class PathRoutes:
    """The routes of files and folders."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, app: flask.Flask) -> None:
        """Add the routes to an application."""
        app.add_url_rule(_ROUTE, view_func=self.any, methods=ANY_VERB)
        app.add_url_rule(f"{_ROUTE}/<tail:rest>", view_func=self.any, methods=ANY_VERB)

    def any(self, rest: str | None = None) -> flask.Response:
        """Answer an action, whatever the verb; without one store or remove (facts 3.10)."""
        path = _OF_NOTHING if rest is None else f"/{rest}"
        match flask.request.args.get("action"), flask.request.method:
            case "exists", _:
                return self._exists(path)
            case "properties", _:
                return self._properties(path)
            case "list", _:
                return self._list(path)
            case "content", _:
                return self._content(path)
            case "md5", _:
                raise refused()
            case _, "PUT":
                return self._put(path)
            case _, "DELETE":
                return self._delete(path)
            case _:
                raise misread()

    def _put(self, path: str) -> flask.Response:
        self._world.settle()
        user = current_user()
        if flask.request.mimetype == _CARMIN:
            fields = _carmin_fields(parsed(flask.request.get_data(cache=False)))
            self._world.transfers.upload_file(user, path, lambda: _carmin_content(fields))
        else:
            body = cast(BinaryIO, flask.request.environ["wsgi.input"])
            self._world.transfers.upload(user, path, body)
        return nothing(201)

    def _delete(self, path: str) -> flask.Response:
        with self._world.settled():
            self._world.transfers.remove(current_user(), path)
            return nothing(204)

    def _exists(self, path: str) -> flask.Response:
        with self._world.settled():
            return as_json({"exists": self._world.storage.exists(current_user(), path)})

    def _properties(self, path: str) -> flask.Response:
        with self._world.settled():
            found = self._world.storage.properties(current_user(), path)
        return as_json(self._seen(found))

    def _list(self, path: str) -> flask.Response:
        with self._world.settled():
            entries = self._world.storage.entries(current_user(), path)
        return as_json([self._seen(entry) for entry in entries])

    def _seen(self, entry: Properties) -> dict[str, object]:
        """Return a path's properties, or wrong ones where that is armed."""
        fault = self._world.faults.strike(entry.path, Kind.LISTING_WRONG_SIZE)
        if fault is None or entry.size is None:
            return entry.as_json()
        return entry.as_json() | {"size": entry.size + 1 if fault.size is None else fault.size}

    def _content(self, path: str) -> flask.Response:
        self._world.settle()
        source = self._world.transfers.download(current_user(), path)
        try:
            return self._stream(path, source)
        except Refusal:
            source.close()
            raise

    def _stream(self, path: str, source: BinaryIO) -> flask.Response:
        size = source.seek(0, os.SEEK_END)
        part = _asked_part(size)
        sent = part.spans
        if fault := self._world.faults.strike(path, Kind.DOWNLOAD_CUT):
            sent = _cut(part.spans, fault.size)
        response = flask.Response(part.body(source, sent), part.status)
        response.call_on_close(source.close)
        response.headers.update({"Accept-Ranges": "bytes"} | part.headers())
        return response


@dataclass(frozen=True)
class _Part:
    """What of a file is sent: a status, and the first byte and the one after the last of each span."""

    status: int
    size: int
    spans: list[tuple[int, int]]

    def headers(self) -> dict[str, str]:
        if self.status == 206 and len(self.spans) != 1:
            return {"Content-Type": f"multipart/byteranges; boundary={_BOUNDARY}"}
        start, stop = self.spans[0]
        headers = {"Content-Type": _BYTES, "Content-Length": str(stop - start)}
        told = {206: f"bytes {start}-{stop - 1}/{self.size}", 416: f"bytes */{self.size}"}
        return headers | ({"Content-Range": told[self.status]} if self.status in told else {})

    def body(self, source: BinaryIO, sent: list[tuple[int, int]]) -> Iterator[bytes]:
        """Yield what the spans that are sent hold, each with a head of its own where there are several."""
        if self.status != 206 or len(self.spans) == 1:
            for start, stop in sent:
                yield from blocks(source, start, stop)
            return
        for start, stop in sent:
            span = f"Content-Range: bytes {start}-{stop - 1}/{self.size}"
            yield f"\r\n--{_BOUNDARY}\r\nContent-Type: {_BYTES}\r\n{span}\r\n\r\n".encode()
            yield from blocks(source, start, stop)
        yield f"\r\n--{_BOUNDARY}--".encode()


def _asked_part(size: int) -> _Part:
    """Return the part that is asked for; of one that cannot be met the whole (facts 3.8)."""
    header = flask.request.headers.get("Range")
    if header is None:
        return _Part(200, size, [(0, size)])
    try:
        return _Part(206, size, asked_spans(header, size))
    except Unmet:
        return _Part(416, size, [(0, size)])


def _cut(spans: list[tuple[int, int]], size: int | None) -> list[tuple[int, int]]:
    start, stop = spans[0]
    return [(start, start + ((stop - start) // 2 if size is None else size))]


def _carmin_fields(body: object) -> dict[str, Any]:
    """Return what a JSON upload says; raises 400/8000 for a type that is none (facts 3.6)."""
    fields = as_fields(body)
    kind = fields.get("type")
    if kind is not None and str(kind).lower() not in {"file", "archive"}:
        raise misread()
    return fields


def _carmin_content(fields: dict[str, Any]) -> BinaryIO:
    """Return the bytes of a JSON upload, once it is clear where they may go."""
    encoded, kind = fields.get("base64Content"), fields.get("type")
    if kind is not None and str(kind).lower() == "archive":
        raise refused()
    if encoded is None or kind is None:
        raise refused(status=500)
    try:
        return io.BytesIO(base64.b64decode(_padded(str(encoded)), validate=True))
    except ValueError as error:
        raise refused() from error


def _padded(encoded: str) -> str:
    """Return base64 with the padding that Java does without."""
    return encoded if "=" in encoded else encoded + "=" * (-len(encoded) % 4)
