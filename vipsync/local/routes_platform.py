"""`/rest/platform`, `/rest/authenticate` and `/rest/pipelines` (facts 1.5, 1.6, 4)."""

from __future__ import annotations

import hmac

import flask

from vipsync.local.answers import ANY_VERB, as_json, current_user, json_body
from vipsync.local.catalogue import Pipeline, decoded_again
from vipsync.local.refusals import BAD_CREDENTIALS, MESSAGES, misread, refused
from vipsync.local.submission import as_fields, not_null
from vipsync.local.world import World


class PlatformRoutes:
    """What the platform is, who somebody is, and what can be run."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, app: flask.Flask) -> None:
        """Add the routes to an application."""
        app.add_url_rule("/rest/platform", view_func=self.platform, methods=ANY_VERB)
        app.add_url_rule("/rest/authenticate", view_func=self.authenticate, methods=["POST"])
        app.add_url_rule("/rest/pipelines", view_func=self.pipelines, methods=ANY_VERB)
        app.add_url_rule(
            "/rest/pipelines/<path:identifier>", view_func=self.pipeline, methods=ANY_VERB
        )

    def platform(self) -> flask.Response:
        """Describe the platform."""
        options = self._world.options
        errors = [{"errorCode": code, "errorMessage": text} for code, text in MESSAGES.items()]
        return as_json(
            {
                "platformName": "VIP (embedded in vipsync)",
                "supportedTransferProtocols": ["https"],
                "supportedModules": ["Processing", "Data"],
                "defaultLimitListExecutions": options.list_limit,
                "email": "vip-support@localhost",
                "platformDescription": "A stand-in for VIP, served from a folder on this machine",
                "minAuthorizedExecutionTimeout": None,
                "maxAuthorizedExecutionTimeout": None,
                "defaultStudy": None,
                "unsupportedMethods": ["playExecution"],
                "maxSizeDirectTransfer": options.max_direct_transfer,
                "supportedAPIVersion": "0.3",
                "oidcLoginProviders": [],
                "apierrorCodesAndMessages": errors,
                "APIErrorCodesAndMessages": errors,
            }
        )

    def authenticate(self) -> flask.Response:
        """Give a user's key for an address and a password."""
        fields = as_fields(json_body())
        for key in ("username", "password"):
            if fields.get(key) is None:
                raise not_null(key)
        for key, user in self._world.options.users.items():
            same = hmac.compare_digest(user.password.encode(), str(fields["password"]).encode())
            if user.email == fields["username"] and same:
                return as_json({"httpHeader": "apikey", "httpHeaderValue": key})
        raise refused(BAD_CREDENTIALS, status=401)

    def pipelines(self) -> flask.Response:
        """List the pipelines, or show the one that the query names."""
        asked = flask.request.args.get("pipelineId")
        if asked is not None:
            return as_json(self._found(asked).details(decoded_again(asked)))
        known = self._world.pipelines
        public = "public" in flask.request.args
        shown = known.public() if public else known.usable(current_user())
        return as_json([pipeline.summary() for pipeline in shown])

    def pipeline(self, identifier: str) -> flask.Response:
        """Show one pipeline, or its descriptor."""
        identifier = identifier.rstrip("/")
        if identifier.count("/") > 1:
            raise misread(404)
        pipeline = self._found(identifier)
        if flask.request.args.get("format") == "boutiques":
            return as_json(pipeline.reserialised())
        return as_json(pipeline.details(decoded_again(identifier)))

    def _found(self, identifier: str) -> Pipeline:
        return self._world.pipelines.get(decoded_again(identifier), current_user())
