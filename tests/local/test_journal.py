"""A server that starts again in the same folder."""

from __future__ import annotations

from collections.abc import Callable

from tests.local.conftest import Vip, code
from vipsync.local import User

MakeVip = Callable[..., Vip]


def test_ended_executions_and_files_are_still_there(vip: Vip, make_vip: MakeVip) -> None:
    """An execution shows the same, newest first; a deleted one stays deleted."""
    identifiers = []
    for name in ("first", "second", "third"):
        identifiers.append(vip.launch(name=name, resultsLocation=f"/vip/Home/{name}"))
        vip.clock.sleep(60)
        vip.execution(identifiers[-1])
    vip.client.put(f"/rest/executions/{identifiers[1]}/delete", json={"deleteFiles": False})
    before = vip.execution(identifiers[0])
    assert before["status"] == "Finished"

    again = make_vip()
    assert again.execution(identifiers[0]) == before
    listed = again.client.get("/rest/executions").json()
    assert [entry["name"] for entry in listed] == ["third", "first"]
    assert code(again.client.get(f"/rest/executions/{identifiers[1]}")) == (400, 8015)
    assert again.exists(before["returnedFiles"]["fit"][0])


def test_what_was_running_was_killed_with_its_engine(vip: Vip, make_vip: MakeVip) -> None:
    """It counts in no quota; its name can be looked for."""
    identifier = vip.launch(name="interrupted")
    vip.clock.sleep(6)
    vip.execution(identifier)
    again = make_vip(quota_user=1)
    assert again.execution(identifier)["status"] == "Killed"
    again.launch()


def test_another_account_does_not_inherit_executions(vip: Vip, make_vip: MakeVip) -> None:
    """They belong to a user's folder, not to the key."""
    identifier = vip.launch()
    again = make_vip(users={"local": User("Else", "else")})
    assert code(again.client.get(f"/rest/executions/{identifier}")) == (400, 8000)
