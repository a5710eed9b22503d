"""The handshake of a script, on a real port: its arguments, its portal and its key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vipsync import VipSession
from vipsync.errors import Unreachable
from vipsync.local import DEFAULT_KEY, Options, World, running

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
