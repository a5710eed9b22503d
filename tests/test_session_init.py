"""The handshake of a script, on a real port: its arguments, its portal and its key."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from vipsync import VipSession
from vipsync.errors import KeyMissing, KeyRefused, Unreachable
from vipsync.local import DEFAULT_KEY, Options, World, running
from vipsync.model import Secret
from vipsync.script.account import Account, found_key
from vipsync.settings.keys import keep_api_key

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve an embedded VIP to a process that has neither key nor portal, and return its address."""
    for name in ("account_of_all", "verbose_by_default", "_BACKUP_LOCATION"):
        monkeypatch.setattr(VipSession, name, getattr(VipSession, name))
    for variable in ("VIP_API_KEY", "VIP_PORTAL_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    with running(World(tmp_path / "vip", Options())) as address:
        yield address


WRONG = "0123456789abcdef01234567"


def portal() -> str:
    """Return the portal of the sessions that follow."""
    assert VipSession.account_of_all
    return VipSession.account_of_all.portal


def test_arguments_have_the_order_of_vip_client(url: str) -> None:
    """Key, verbose and backup_location by their places; the portal only by its name."""
    session = VipSession.init(DEFAULT_KEY, False, None, vip_portal_url=url, session_name="study")
    assert (session.session_name, session.verbose) == ("study", False)
    session.get_inputs(session)
    assert not Path("vip_outputs").exists()
    with pytest.raises(TypeError):
        VipSession.init(DEFAULT_KEY, False, None, url)  # type: ignore[call-arg]


@pytest.mark.parametrize("again", [{}, {"vip_portal_url": None}, {"vip_portal_url": ""}], ids=str)
def test_a_second_handshake_keeps_the_portal(
    url: str, again: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says meanwhile; another portal must be named."""
    VipSession.init(DEFAULT_KEY, verbose=False, vip_portal_url=url)
    monkeypatch.setenv("VIP_PORTAL_URL", NOWHERE)
    VipSession.init(DEFAULT_KEY, verbose=False, **again)
    assert portal() == url
    with pytest.raises(Unreachable):
        VipSession.init(DEFAULT_KEY, verbose=False, vip_portal_url=NOWHERE)
    assert portal() == url


@pytest.mark.parametrize("key", [{}, {"api_key": "VIP_API_KEY"}], ids=str)
def test_the_key_is_the_one_that_the_command_line_uses(
    url: str, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in VIP_API_KEY, then the one that `vipsync login` keeps for this portal and no other."""
    with pytest.raises(KeyMissing, match="vipsync login"):
        VipSession.init(verbose=False, vip_portal_url=url, **key)
    keep_api_key(Secret(DEFAULT_KEY), url)
    VipSession.init(verbose=False, vip_portal_url=f"{url}/", **key)
    assert Account(vip_portal_url=url).portal == url
    with pytest.raises(KeyMissing, match=NOWHERE):
        VipSession.init(verbose=False, vip_portal_url=NOWHERE, **key)
    monkeypatch.setenv("VIP_API_KEY", "")
    VipSession.init(verbose=False, vip_portal_url=url, **key)
    monkeypatch.setenv("VIP_API_KEY", "another")
    with pytest.raises(KeyRefused):
        VipSession.init(verbose=False, vip_portal_url=url, **key)


def test_a_wrong_key_is_changed_where_it_stands(url: str, tmp_path: Path) -> None:
    """`vipsync login` changes no key that a script has, itself or in a file."""
    kept = tmp_path / "key.txt"
    kept.write_text(WRONG)
    for key, where in ((WRONG, "the script"), (str(kept), str(kept))):
        with pytest.raises(KeyRefused, match="`vipsync login` does not change") as refused:
            VipSession.init(key, verbose=False, vip_portal_url=url)
        assert f"the API key from {where}: " in refused.value.message
        assert WRONG not in str(refused.value)


def test_the_kept_key_is_for_the_portal_of_the_environment_too(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script without any argument runs where `vipsync login` was called."""
    keep_api_key(Secret(DEFAULT_KEY), url)
    monkeypatch.setenv("VIP_PORTAL_URL", url)
    VipSession.init(verbose=False)
    assert portal() == url


def test_another_variable_that_is_not_set_is_not_replaced_by_the_kept_key(url: str) -> None:
    """It could be that of another account."""
    keep_api_key(Secret(DEFAULT_KEY), url)
    with pytest.raises(KeyMissing, match="LAB_KEY is not set"):
        VipSession.init("LAB_KEY", verbose=False, vip_portal_url=url)


METHODS = [name for name in vars(VipSession) if not name.startswith("_")]


@pytest.mark.parametrize("name", ["VipSession", *METHODS])
def test_every_argument_is_described(name: str) -> None:
    """By its name and its default, and by its unit where it is a time."""
    described = VipSession if name == "VipSession" else getattr(VipSession, name)
    words = " ".join(str(described.__doc__).replace('"', "'").split())
    for argument, parameter in inspect.signature(described).parameters.items():
        if argument == "self":
            continue
        told = words.partition(f"`{argument}`: ")[2].partition("`: ")[0]
        assert told, argument
        optional = parameter.default is not parameter.empty
        assert not optional or f"(default: {parameter.default!r}" in told, argument
        assert "time" not in argument or "seconds" in told, argument


@pytest.mark.parametrize(
    "path",
    ["mykey.txt", "keys/mine", "~/vip_key", "C:\\keys\\mine", ".key", Path("mykey")],
    ids=str,
)
def test_the_path_of_a_file_that_is_not_there_is_never_sent_as_a_key(
    path: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No portal hears of it, and the error says where it was looked for, but not for what."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyMissing, match="no such file in") as caught:
        VipSession.init(api_key=path, vip_portal_url=NOWHERE)
    assert str(path) not in str(caught.value)


def test_what_reads_like_no_path_is_a_key() -> None:
    """VIP says whether it knows it."""
    for key in ("7q3v1k9u2m5t8s4r6p0o1n2l3j", "abc.defghijkl.mnopqrstuvw"):
        assert found_key(key, {}).reveal() == key
