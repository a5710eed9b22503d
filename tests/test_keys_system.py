"""A settings.toml from a stranger: no command sends a key to a portal that only it names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lab.served import SETTINGS, Caller, Served

SECRETS = {
    "VIP_API_KEY": "0123456789abcdefghijklmnop",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-of-somebody",
    "VIP_LAB_KEY": "zyxwvutsrqponmlkjihgfedcba",
}


class Stranger(ThreadingHTTPServer):
    """Keeps all that comes in."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        super().__init__(("127.0.0.1", 0), _Listener)


class _Listener(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        """Note everything, and answer as an empty VIP would."""
        self.server.heard.append(f"{self.path}\n{self.headers}")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # as http.server calls them

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("source", ["", "VIP_LAB_KEY", "AWS_SECRET_ACCESS_KEY", "a private file"])
@pytest.mark.parametrize("command", ["check", "plan", "run --once", "status", "finish", "launch"])
def test_no_secret_goes_to_a_portal_that_settings_name(
    served: Served, call: Caller, stranger: Stranger, tmp_path: Path, source: str, command: str
) -> None:
    """Neither the key of the environment, nor another variable, nor the content of a file."""
    secret = tmp_path / "id_rsa"
    secret.write_text("first-line-of-a-private-file\n")
    secret.chmod(0o600)
    named = f'api_key = "{secret if source == "a private file" else source}"\n' if source else ""
    url = f"http://127.0.0.1:{stranger.server_port}"
    study = served.study("study", f'portal = "{url}"\n{named}{SETTINGS}', a="one")
    said = call(*command.split(), study, environ=SECRETS)
    everything = "\n".join([*stranger.heard, said.out, said.err])
    for value in (*SECRETS.values(), "first-line-of-a-private-file"):
        assert value not in everything
    if command in ("check", "run --once"):
        assert said.code == 4
        assert f"vipsync login --portal {url}" in said.out + said.err


def test_a_login_for_the_portal_is_the_word_of_a_person(served: Served, call: Caller) -> None:
    """Then its key goes there, and the session works."""
    served.environ["VIP_PORTAL_URL"] = ""
    study = served.study("study", f'portal = "{served.url}"\n{SETTINGS}', a="one")
    assert call("check", study).code == 4
    said = call("login", "--portal", served.url, typed=f"{served.key}\n")
    assert said.code == 0
    assert "goes before it" not in said.err  # the environment's key is not for this portal
    assert call("check", study, environ={"VIP_API_KEY": "another-key-of-somebody"}).code == 0


@pytest.mark.parametrize("command", ["sessions", "pipelines"])
def test_without_a_key_it_is_said_which_portals_have_one(
    served: Served, call: Caller, command: str
) -> None:
    """Who has logged in elsewhere is told how to ask there."""
    served.environ |= {"VIP_PORTAL_URL": "", "VIP_API_KEY": ""}
    bare = call(command)
    assert (bare.code, "--portal" in bare.err) == (4, False)
    assert call("login", "--portal", served.url, typed=f"{served.key}\n").code == 0
    said = call(command)
    assert said.code == 4
    assert "Kept here are keys for: 127.0.0.1" in " ".join(said.err.split())
    assert "`vipsync --portal URL …`" in said.err
    assert call("--portal", served.url, command).code == 0


@pytest.mark.parametrize("source", ["file", "variable", "VIP_API_KEY"])
def test_a_wrong_key_beside_a_login_leads_to_that_login_first(
    served: Served, call: Caller, tmp_path: Path, source: str
) -> None:
    """What is named in settings.toml or set is taken out; without a login a new key is made."""
    file = tmp_path / "key"
    file.write_text("wrong1v2m9k4s8t3q7p1r5n0a2\n")
    file.chmod(0o600)
    named = {"file": f'api_key = "{file}"\n', "variable": 'api_key = "VIP_OTHER"\n'}.get(source, "")
    study = served.study("study", f"{named}{SETTINGS}", a="one")
    wrong = {"VIP_API_KEY": "", source if source.isupper() else "VIP_OTHER": file.read_text()}
    first = (
        f"{'Remove api_key from settings.toml' if named else 'Unset VIP_API_KEY'} to use the key"
    )
    said = " ".join(call("check", study, environ=wrong).out.split())
    assert ("Make a new key" in said, first in said) == (True, False)
    typed = call("login", "--portal", served.url, typed=f"{served.key}\n", environ=wrong)
    assert typed.code == 0
    said = " ".join(call("check", study, environ=wrong).out.split())
    assert f"{first} of `vipsync login`. Or: make a new key" in said
    (study / "settings.toml").write_text(SETTINGS.replace("{name}", "study"))
    assert call("check", study, environ={**wrong, "VIP_API_KEY": ""}).code == 0


def test_a_login_for_a_portal_of_this_machine_serves_every_terminal(
    served: Served, call: Caller
) -> None:
    """Without the lines that `vipsync local` prints: login and init name the portal, and then all works."""
    served.environ |= {"VIP_PORTAL_URL": "", "VIP_API_KEY": ""}
    root = served.root / "own"
    assert call("login", "--portal", served.url, typed=f"{served.key}\n").code == 0
    made = call("--portal", served.url, "init", root, "--pipeline", "mrs-spectrum/1.0")
    assert made.code == 0
    assert f"key: {served.url} knows it." in call("check", root).out
