"""`/rest/path`: files and folders (facts 3)."""

from __future__ import annotations

import base64
import binascii
import io
import os
from typing import BinaryIO, cast

import flask
from werkzeug.http import parse_range_header

from vipsync.local.answers import as_json, current_user, nothing, parsed
from vipsync.local.faults import Kind
from vipsync.local.refusals import Refusal, misread, refused
from vipsync.local.storage import Properties, blocks
from vipsync.local.submission import as_fields
from vipsync.local.world import World

_CARMIN = "application/carmin+json"


class PathRoutes:
    """The routes of files and folders."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, app: flask.Flask) -> None:
        """Add the routes to an application."""
        rule = "/rest/path<tail:path>"
        app.add_url_rule(rule, view_func=self.get, endpoint="path_get", methods=["GET"])
        app.add_url_rule(rule, view_func=self.put, endpoint="path_put", methods=["PUT"])
        app.add_url_rule(rule, view_func=self.delete, endpoint="path_delete", methods=["DELETE"])

    def get(self, path: str) -> flask.Response:
        """Answer one of the actions."""
        match flask.request.args.get("action"):
            case "exists":
                return self._exists(path)
            case "properties":
                return self._properties(path)
            case "list":
                return self._list(path)
            case "content":
                return self._content(path)
            case "md5":
                raise refused()
            case _:
                raise misread()

    def put(self, path: str) -> flask.Response:
        """Store a body, or make a folder when there is none."""
        self._world.settle()
        user = current_user()
        if flask.request.mimetype == _CARMIN:
            content = _carmin_content(parsed(flask.request.get_data(cache=False)))
            self._world.transfers.upload_file(user, path, io.BytesIO(content))
        else:
            body = cast(BinaryIO, flask.request.environ["wsgi.input"])
            self._world.transfers.upload(user, path, body)
        return nothing(201)

    def delete(self, path: str) -> flask.Response:
        """Queue a removal."""
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
        start, stop = part or (0, size)
        sent = stop
        if fault := self._world.faults.strike(path, Kind.DOWNLOAD_CUT):
            sent = start + ((stop - start) // 2 if fault.size is None else fault.size)
        content = blocks(source, start, sent)
        response = flask.Response(content, mimetype="application/octet-stream")
        response.call_on_close(source.close)
        response.headers["Accept-Ranges"] = "bytes"
        response.headers["Content-Length"] = str(stop - start)
        if part:
            response.status_code = 206
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return response


def _asked_part(size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last; None, the whole, also for several ranges."""
    header = flask.request.headers.get("Range")
    if header is None:
        return None
    asked = parse_range_header(header)
    if asked is None or (len(asked.ranges) == 1 and asked.range_for_length(size) is None):
        raise misread(416)
    return asked.range_for_length(size)


def _carmin_content(body: object) -> bytes:
    """Return the bytes of a JSON upload (facts 3.6)."""
    fields = as_fields(body)
    encoded, kind = fields.get("base64Content"), fields.get("type")
    if encoded is None or kind is None:
        raise refused(status=500)
    if str(kind).lower() not in {"file", "archive"}:
        raise misread()
    if str(kind).lower() == "archive":
        raise refused()
    try:
        return base64.b64decode(str(encoded), validate=True)
    except binascii.Error as error:
        raise refused() from error
