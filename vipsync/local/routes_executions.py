"""`/rest/executions` (facts 5)."""

from __future__ import annotations

import flask

from vipsync.local.answers import (
    ANY_VERB,
    View,
    as_json,
    as_text,
    current_user,
    json_body,
    nothing,
    page,
    takes_text,
    whole_number,
)
from vipsync.local.refusals import NOT_IMPLEMENTED, misread, refused
from vipsync.local.submission import (
    as_fields,
    as_truth,
    checked_name,
    not_null,
    read_execution,
    read_submission,
)
from vipsync.local.world import World

_ALL = "/rest/executions"
_ONE = f"{_ALL}/<identifier>"


class ExecutionRoutes:
    """The routes of executions; where VIP maps no verb, any verb does what GET does."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, app: flask.Flask) -> None:
        """Add the routes to an application."""
        read = ANY_VERB
        routes: list[tuple[str, View, list[str]]] = [
            (_ALL, self.launch, ["POST"]),
            (_ALL, self.list, [verb for verb in read if verb != "POST"]),
            (f"{_ALL}/count", self.count, read),
            (f"{_ALL}/examples", self.examples, read),
            (_ONE, self.rename, ["PUT"]),
            (_ONE, self.get, [verb for verb in read if verb != "PUT"]),
            (f"{_ONE}/kill", self.kill, ["PUT"]),
            (f"{_ONE}/delete", self.delete, ["PUT"]),
            (f"{_ONE}/play", self.play, ["PUT"]),
            (f"{_ONE}/results", self.results, read),
            (f"{_ONE}/summary", self.summary, read),
            (f"{_ONE}/<any(stdout, stderr):stream>", self.log, read),
            (f"{_ONE}/jobs/<job>/<any(stdout, stderr):stream>", self.log, read),
        ]
        for rule, view, verbs in routes:
            endpoint = f"{rule} {verbs[0]}".replace(".", "-")
            app.add_url_rule(rule, view_func=view, endpoint=endpoint, methods=verbs)

    def launch(self) -> flask.Response:
        """Start an execution."""
        body = json_body()
        with self._world.settled():
            user = current_user()
            submission = read_submission(body, lambda name: self._world.pipelines.get(name, user))
            answer = self._world.executions.launch(user, submission)
            self._world.executions.settle()
        return as_json(answer)

    def list(self) -> flask.Response:
        """Show the newest executions in short."""
        limit = self._asked_limit()
        with self._world.settled():
            found = self._world.executions.of(current_user())[:limit]
            return as_json([execution.summary() for execution in found])

    def count(self) -> flask.Response:
        """Tell how many executions there are."""
        if not takes_text():
            return self.get("count")
        if "studyIdentifier" in flask.request.args:
            raise refused()
        with self._world.settled():
            return as_text(str(len(self._world.executions.of(current_user()))))

    def examples(self) -> flask.Response:
        """Show no examples: there are none here."""
        return as_json([])

    def get(self, identifier: str) -> flask.Response:
        """Show one execution."""
        with self._world.settled():
            return as_json(self._world.executions.details(current_user(), identifier))

    def rename(self, identifier: str) -> flask.Response:
        """Give an execution another name."""
        fields = read_execution(json_body())
        with self._world.settled():
            self._world.executions.owned(current_user(), identifier)
            if float(fields.get("timeout") or 0) > 0:
                raise refused()
            name = checked_name(str(fields["name"]))
            self._world.executions.rename(current_user(), identifier, name)
        return self.get(identifier)

    def kill(self, identifier: str) -> flask.Response:
        """Stop an execution."""
        with self._world.settled():
            self._world.executions.kill(current_user(), identifier)
        return nothing(204)

    def delete(self, identifier: str) -> flask.Response:
        """Forget an execution."""
        files = as_truth(as_fields(json_body()).get("deleteFiles"))
        if files is None:
            raise not_null("deleteFiles")
        with self._world.settled():
            self._world.executions.delete(current_user(), identifier, files=files)
        return nothing(204)

    def play(self, identifier: str) -> flask.Response:
        """Refuse: VIP never implemented it."""
        raise refused(NOT_IMPLEMENTED, "playExecution")

    def summary(self, identifier: str) -> flask.Response:
        """Refuse: it is for other services of the portal only."""
        return page(403)

    def results(self, identifier: str) -> flask.Response:
        """Describe the outputs."""
        with self._world.settled():
            return as_json(self._world.executions.results(current_user(), identifier))

    def log(self, identifier: str, stream: str, job: str | None = None) -> flask.Response:
        """Show what a job printed."""
        if not takes_text():
            raise misread(406)
        user, number = current_user(), whole_number(job)
        with self._world.settled():
            return as_text(self._world.executions.log(user, identifier, stream, number))

    def _asked_limit(self) -> int:
        most = self._world.options.list_limit
        arguments = flask.request.args
        limit, offset = (whole_number(arguments.get(name)) for name in ("limit", "offset"))
        limit = most if limit is None else limit
        if "studyIdentifier" in arguments or offset is not None or limit > most:
            raise refused()
        return max(limit, 1)
