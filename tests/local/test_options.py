"""The two sets of defaults: quick ones, and those of the real server (facts 10)."""

from __future__ import annotations

from pathlib import Path

import httpx

from vipsync.local import DEFAULT_KEY, FastRunner, InProcess, ManualClock, Options, World


def test_the_real_servers_values_can_be_had(tmp_path: Path) -> None:
    """Each transfer takes two seconds, a removal some, and 15 MB is the limit."""
    clock = ManualClock()
    world = World(tmp_path, Options.faithful(), clock, runner=FastRunner(clock))
    transport, headers = InProcess(world), {"apikey": DEFAULT_KEY}
    with httpx.Client(transport=transport, base_url="http://vip", headers=headers) as client:
        before = clock.now()
        client.put("/rest/path/vip/Home/x", content=b"x")
        assert clock.now() == before + 2
        client.delete("/rest/path/vip/Home/x")
        assert client.get("/rest/path/vip/Home/x?action=exists").json() == {"exists": True}
        assert client.get("/rest/platform").json()["maxSizeDirectTransfer"] == 15_000_000


def test_keys_and_passwords_are_not_shown() -> None:
    """Neither by the options nor by a user."""
    shown = repr(Options())
    assert "users" not in shown
    assert "password" not in repr(next(iter(Options().users.values())))
