"""What the environment says of the way to VIP: it is followed, or the variable is named."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.lab.served import KEY, SETTINGS, Answer, Caller, Served, serve
from vipsync.client.environment import proxy_for
from vipsync.client.vip_client import VipClient
from vipsync.errors import SettingsError, Unreachable

VARIABLES = re.compile(r"(?i).*_proxy|ssl_cert_(file|dir)|sslkeylogfile")


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of this machine's own environment count."""
    for name in list(os.environ):
        if VARIABLES.fullmatch(name):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HTTPS_PROXY", "socks5://secret@127.0.0.1:9", "HTTPS_PROXY names a socks5 proxy"),
        ("https_proxy", "socks4a://secret", "https_proxy names a socks4a proxy"),
        ("ALL_PROXY", "ftp://secret", "ALL_PROXY names a ftp proxy"),
        ("HTTPS_PROXY", "http://secret:port", "HTTPS_PROXY is no address"),
        ("HTTPS_PROXY", "secret:3128x", "HTTPS_PROXY is no address"),
        ("all_proxy", "http://secret:0", "all_proxy is no address"),
        ("HTTPS_PROXY", "http://secret:65536", "HTTPS_PROXY is no address"),
        ("HTTPS_PROXY", "http://[::secret", "HTTPS_PROXY is no address"),
        ("HTTPS_PROXY", "://secret", "HTTPS_PROXY is no address"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY is no address"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its value, which may hold a password; no request is made."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=words) as caught:
        VipClient("https://vip.test", KEY)
    assert "secret" not in str(caught.value)
    assert "NO_PROXY name vip.test" in caught.value.remedy


@pytest.mark.parametrize(
    ("portal", "environ", "proxy"),
    [
        ("https://vip.test", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://vip.test", {"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ("https://vip.test", {"HTTP_PROXY": "socks5://p:1"}, None),
        ("https://vip.test", {"HTTPS_PROXY": "https://p", "all_proxy": "x://"}, "https://p"),
        ("https://vip.test", {"HTTP_PROXY": "http://p", "ALL_PROXY": "http://q"}, "http://q"),
        ("https://vip.test", {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
        ("https://vip.test", {"HTTPS_PROXY": "http://p", "no_proxy": "fe80::/10,.test"}, None),
        ("https://vip.test", {"HTTPS_PROXY": "http://p", "NO_PROXY": "::1,fe80::/10"}, "http://p"),
        ("https://vip.test", {"HTTPS_PROXY": "http://p", "NO_PROXY": "[::1]:1, a b:c"}, "http://p"),
        ("https://[2001:db8::1]", {"ALL_PROXY": "http://p", "NO_PROXY": "x,2001:db8::1"}, None),
        ("https://[2001:db8::1]", {"ALL_PROXY": "http://p", "NO_PROXY": "[2001:db8::1]"}, None),
        ("https://[2001:db8::2]", {"ALL_PROXY": "http://p", "NO_PROXY": "2001:db8::1"}, "http://p"),
        ("https://[::1]:8443", {"ALL_PROXY": "http://p"}, None),
        ("https://127.0.0.2", {"ALL_PROXY": "http://p"}, None),
    ],
)
def test_the_proxy_of_the_environment_is_used(
    portal: str, environ: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it is not to be used for goes straight, names and numbers alike."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    VipClient(portal, KEY).close()
    found = proxy_for(httpx.URL(portal))
    assert (str(found.url) if found else None) == proxy


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
@pytest.mark.parametrize("place", ["not/there", "other"])
def test_certificates_that_cannot_be_read_are_told_by_their_variable(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing, and a folder in the place of a file or the reverse."""
    path = tmp_path / place
    if place == "other":
        path.write_text("") if name == "SSL_CERT_DIR" else path.mkdir()
    monkeypatch.setenv(name, str(path))
    with pytest.raises(SettingsError, match=f"{name} names {path}") as caught:
        VipClient("https://vip.test", KEY)
    assert name in caught.value.remedy


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
def test_a_file_without_certificates_is_told(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would refuse everybody, and nobody would know why."""
    (tmp_path / "own.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    with pytest.raises(SettingsError, match="no certificates can be read there"):
        VipClient("https://vip.test", KEY)


def test_a_portal_without_tls_needs_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not used is not looked at."""
    monkeypatch.setenv("SSL_CERT_FILE", "/not-there.pem")
    with VipClient("http://127.0.0.1:1", KEY) as vip, pytest.raises(Unreachable):
        vip.check_key()


def test_each_command_says_it_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run, a check and a list of pipelines end with 1, and none of them with a fault."""
    with serve(tmp_path) as served:
        said = _said_by_all(Caller(served, monkeypatch, capsys), served)
    for answer in said:
        assert answer.code == 1
        assert "HTTPS_PROXY names a socks5 proxy" in answer.out + answer.err
        assert "fault" not in answer.out + answer.err


def _said_by_all(call: Caller, served: Served) -> list[Answer]:
    study = served.study(settings=SETTINGS, a="one")
    environ = {"VIP_PORTAL_URL": "https://vip.test", "HTTPS_PROXY": "socks5://x"}
    commands = (("run", "--once", study), ("check", study), ("pipelines",))
    return [call(*command, environ=environ) for command in commands]
