"""The page as a WSGI application: what is asked for, what is shown, what is left as a request."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, make_response, redirect, render_template, request, url_for
from flask import send_file as flask_send_file
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from vipsync.disk.files import make_inside
from vipsync.errors import VipsyncError
from vipsync.folder.folder import new_id, new_request
from vipsync.names import few, last, shell_word
from vipsync.page import security, studies, views
from vipsync.page.looking import Folders, Seen, SeenStation, Watched
from vipsync.page.results import Shown, opened, results_in
from vipsync.report.text import batch_text, paragraph, printable
from vipsync.station.model import Asked
from vipsync.station.steps import StudyReport
from vipsync.status import words
from vipsync.status.overview import Need, need_of
from vipsync.status.status import ExecutionReport, count

PICTURES = 24
"""Pictures on a folder's page."""

LONGEST_WAIT = 25.0
"""Seconds for which a page may wait for a change."""

_GONE = "There is no such folder any more."
_LATE = "This is not to be done any more: the folder has changed meanwhile."
_NEWEST = 8
_BODY = 64 * 1024
_INLINE = ("image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "application/pdf")


def create_app(folders: Folders, access: security.Access) -> Flask:
    """Return the page of these folders."""
    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = _BODY
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.finalize = _shown
    app.jinja_env.filters.update(
        size=words.size, when=_when, iso=_iso, slug=_slug, coded=_coded, without=_without
    )
    app.jinja_env.globals.update(v=views, st=studies, count=count, few=few, moved=batch_text)
    app.jinja_env.globals.update(
        tally=_tally, is_station=_is_station, need_of=_need_of, printer=access.printer
    )
    page = _Page(folders, access)
    app.wsgi_app = _Room(app.wsgi_app, access.room)  # type: ignore[assignment,method-assign]
    app.before_request(page.guard)
    app.after_request(_with_headers)
    app.register_error_handler(HTTPException, page.refused)
    rules: tuple[tuple[str, Callable[..., Any], str], ...] = (
        ("/", page.overview, "GET"),
        ("/folder/<key>", page.folder, "GET"),
        ("/folder/<key>/execution/<id_>", page.execution, "GET"),
        ("/folder/<key>/file/<path:path>", page.file, "GET"),
        ("/folder/<key>/ask", page.ask, "POST"),
        ("/station/<key>", page.station, "GET"),
        ("/station/<key>/ask", page.say, "POST"),
    )
    for rule, view, method in rules:
        app.add_url_rule(rule, view.__name__, view, methods=[method])
    return app


class _Room:
    """Serve the page below a second path too, to which a cookie is bound."""

    def __init__(self, app: Callable[..., Iterable[bytes]], room: str) -> None:
        self._app, self._room = app, room

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(f"{self._room}/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + self._room
            environ["PATH_INFO"] = path.removeprefix(self._room)
        return self._app(environ, start)


def _is_station(seen: Seen | SeenStation) -> bool:
    return isinstance(seen, SeenStation)


def _need_of(seen: Seen | SeenStation) -> Need:
    if isinstance(seen, SeenStation):
        return studies.need_of(seen.status)
    return need_of(seen.status)


def _tally(seen: Seen | SeenStation) -> tuple[views.Tally, ...]:
    if isinstance(seen, SeenStation):
        return studies.tally(seen.status)
    return views.tally(seen.status)


def _shown(value: object) -> object:
    """Let no name or log move what stands beside it; markup is escaped after this."""
    return printable(value) if type(value) is str else value


def _when(seconds: float) -> str:
    with suppress(ValueError, OverflowError, OSError):  # a status of others' making
        return words.when(seconds)
    return ""


def _iso(seconds: float) -> str:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return ""


def _without(sentence: str, need: Need) -> str:
    """Return a sentence without the words that stand above it."""
    return sentence.removeprefix(f"{need.capitalize()}: ")


def _coded(text: str, root: Path | str) -> Markup:
    """Return a text whose commands are set apart, and name this folder, so that they can be copied."""
    parts = [escape(paragraph(part)) for part in text.split("`")]
    for number in range(1, len(parts) - 1, 2):
        command = re.sub(
            r"\bDIR\b", lambda _: str(escape(shell_word(root))), parts[number], count=1
        )
        parts[number] = Markup("<code>{}</code>").format(Markup(command))  # noqa: S704
    return Markup("").join(parts)


def _slug(text: str) -> str:
    """Return an id for an element: names are anything."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def _with_headers(response: Response) -> Response:
    for name, value in security.HEADERS.items():
        response.headers.setdefault(name, value)
    return response


class _Page:
    def __init__(self, folders: Folders, access: security.Access) -> None:
        self._folders, self._access = folders, access

    # who asks

    def guard(self) -> Any:
        """Refuse what no person at a browser of this page would send."""
        access = self._access
        if not access.is_called(request.host):
            abort(421, "This page does not go by that name.")
        if security.embedded_elsewhere(request.headers):
            abort(403, "Another page may not use this one.")
        if (token := request.args.get("token")) is not None:
            return self._let_in(token)
        if not access.private and not self._known() and request.endpoint != "static":
            abort(403, f"Open the page with the link that `{access.printer}` has printed.")
        return None

    def _let_in(self, token: str) -> Any:
        """Take the token out of the address at once, and remember who brought it."""
        if not self._access.is_token(token):
            abort(403, f"{_OLD_LINK} {self._access.to_look}".rstrip())
        room = self._access.room
        response = redirect(f"{room}/", 303)
        response.set_cookie(self._access.cookie, token, httponly=True, samesite="Strict", path=room)
        return response

    def _known(self) -> bool:
        return self._access.is_token(request.cookies.get(self._access.cookie))

    def refused(self, error: HTTPException) -> Any:
        """Say what was refused."""
        text = error.description or error.name
        return render_template("refused.html", text=text, code=error.code), error.code

    # what is shown

    def overview(self) -> Any:
        """Show all folders, those that need a person first."""
        return self._unless_known(lambda: [s.version for s in self._folders.seen()], self._overview)

    def _overview(self) -> str:
        seen = self._folders.seen()
        groups: dict[Need, list[Seen | SeenStation]] = {need: [] for need in Need}
        places = {s.watched.key: self._folders.group_of(s.watched.root) for s in seen}
        for found in sorted(seen, key=lambda s: _order(s, places)):
            groups[_need_of(found)].append(found)
        return self._rendered(
            "overview.html",
            groups=groups,
            stations=any(map(_is_station, seen)),
            several=len(seen),
            places=places,
        )

    def folder(self, key: str) -> Any:
        """Show one folder."""
        return self._unless_known(lambda: self._session(key).version, partial(self._folder, key))

    def _folder(self, key: str) -> str:
        seen, choice = self._session(key), _choice()
        newest = seen.status.executions[::-1]
        return self._rendered(
            "folder.html",
            seen=seen,
            status=seen.status,
            plain=seen.watched.plain,
            choice=choice,
            cases=views.chosen_cases(seen.status, choice),
            executions=newest,
            pictures=_pictures(seen.watched, newest[:_NEWEST]),
        )

    def station(self, key: str) -> Any:
        """Show one station with its studies."""
        return self._unless_known(lambda: self._station(key).version, partial(self._studies, key))

    def _studies(self, key: str) -> str:
        seen, choice = self._station(key), _choice()
        return self._rendered(
            "station.html",
            seen=seen,
            status=seen.status,
            plain=seen.watched.plain,
            choice=choice,
            studies=studies.chosen(seen.status, choice),
        )

    def execution(self, key: str, id_: str) -> Any:
        """Show the results of one execution."""
        seen = self._session(key)
        found = next((e for e in seen.status.executions if e.id == id_), None) or abort(404)
        files, more = results_in(seen.watched.outputs, found.folder)
        return self._rendered("execution.html", seen=seen, execution=found, files=files, more=more)

    def file(self, key: str, path: str) -> Any:
        """Give a result out: as what it is where that can do no harm, else to be kept."""
        file, kind, size = opened(self._session(key).watched.outputs, path) or abort(404)
        response = flask_send_file(
            file,
            mimetype=kind,
            as_attachment=kind not in _INLINE,
            download_name=last(path),
            conditional=False,  # a part would hold a thread for as long as a slow reader takes
            etag=False,
        )
        response.content_length = size
        response.headers["Content-Type"] = (
            f"{kind}; charset=utf-8" if kind == "text/plain" else kind
        )
        response.headers["Content-Security-Policy"] = security.FILE_POLICY
        return response

    def _session(self, key: str) -> Seen:
        seen = self._folders.one(key)
        return seen if isinstance(seen, Seen) else abort(404, _GONE)

    def _station(self, key: str) -> SeenStation:
        seen = self._folders.one(key)
        return seen if isinstance(seen, SeenStation) else abort(404, _GONE)

    def _rendered(self, name: str, **found: Any) -> str:
        return render_template(
            name, may_ask=self._known(), form_word=self._access.form_word, **found
        )

    def _unless_known(self, version: Callable[[], object], show: Callable[[], str]) -> Any:
        """Show a page; to one that has it, only when it is another, as soon as it is."""
        self._folders.seen(now=not request.if_none_match)
        shown = version()
        if request.if_none_match.contains(self._tag(shown)):
            gone = request.environ.get("waitress.client_disconnected", _never)
            at_once = self._folders.wait(lambda: version() == shown, _patience(), gone)
            if version() == shown:
                return Response(status=304, headers={"Retry-After": "0" if at_once else "3"})
            shown = version()
        response = make_response(show())
        response.set_etag(self._tag(shown))
        return response

    def _tag(self, version: object) -> str:
        told = repr((version, self._known(), request.full_path, self._access.form_word))
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:20]

    # what is asked

    def ask(self, key: str) -> Any:
        """Leave a request in a folder, as a command does."""
        self._refuse_others()
        seen = self._session(key)
        name = request.form.get("wish", "")
        wish = next((w for w in views.wishes(seen.status) if w.name == name), None)
        if wish is None:
            abort(409, _LATE)
        with _told():
            _leave(seen.watched, wish)
        self._folders.seen(now=True)
        return redirect(url_for("folder", key=key), 303)

    def say(self, key: str) -> Any:
        """Leave what a person says of a study, as `vipsync station` does."""
        self._refuse_others()
        seen = self._station(key)
        word, _, name = request.form.get("wish", "").partition(" ")
        report = next((r for r in seen.status.studies if r.name == name), None)
        if report is None or word not in report.can:
            abort(409, _LATE)
        with _told():
            _say(seen, word, report)
        self._folders.seen(now=True)
        return redirect(url_for("station", key=key), 303)

    def _refuse_others(self) -> None:
        if not self._may_ask():
            link = f"the link that `{self._access.printer}` printed"
            abort(403, f"To ask for this, open the page with {link}.")

    def _may_ask(self) -> bool:
        own = request.host_url.rstrip("/")
        return (
            self._known()
            and self._access.is_form_word(request.form.get("word"))
            and not security.from_elsewhere(request.headers, own)
        )


_OLD_LINK = (
    "This link is of an earlier start of the page: the newest one was printed when it started."
)


def _order(seen: Seen | SeenStation, places: Mapping[str, str]) -> tuple[str, str, str]:
    """Put folders that lie together beside one another."""
    key = seen.watched.key
    return (places[key].casefold(), seen.name.casefold(), key)


def _patience() -> float:
    """Return the seconds for which a browser will wait for a change (RFC 7240)."""
    asked = re.search(r"\bwait=(\d{1,3})\b", request.headers.get("Prefer", ""))
    return min(float(asked[1]), LONGEST_WAIT) if asked else 0.0


def _never() -> bool:
    return False


def _leave(watched: Watched, wish: views.Wish) -> None:
    """Leave a request; one that stands already is enough."""
    folder, options = watched.folder, dict(wish.options)
    if any((r.command, dict(r.options)) == (wish.command, options) for r in folder.asked()):
        return
    make_inside(folder.requests, folder.root)
    folder.ask(new_request(wish.command, (), options))


def _say(seen: SeenStation, word: str, report: StudyReport) -> None:
    """Leave a word; one that stands already is enough."""
    folder = seen.watched.folder
    if not any((a.word, a.study) == (word, report.name) for a in folder.asked()):
        folder.ask(Asked(f"{time.time():.6f}-{new_id()}", word, report.name))


@contextmanager
def _told() -> Iterator[None]:
    """Say to who has asked why a request cannot be left."""
    try:
        yield
    except VipsyncError as error:
        abort(500, f"{error.message} {error.remedy}")


def _pictures(watched: Watched, executions: Iterable[ExecutionReport]) -> list[Shown]:
    """Return pictures of the newest executions, looking no further than for what is shown."""
    found: list[Shown] = []
    for execution in executions:
        if len(found) < PICTURES and execution.folder:
            shown, _ = results_in(watched.outputs, execution.folder)
            found += (one for one in shown if one.is_picture)
    return found[:PICTURES]


def _choice() -> views.Choice:
    """Return what a person wants to see of the cases."""
    given = request.args
    page = given.get("page", "1")
    return views.Choice(
        words=given.get("words", "")[:200],
        state=given.get("state", "")[:100],
        sort=given.get("sort", "state")[:20],
        down=given.get("down") == "1",
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )
