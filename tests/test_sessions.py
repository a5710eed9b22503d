"""`vipsync sessions` and `vipsync remove`: what lies on VIP, whose it is, and the way out where nobody has it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.served import Caller, Served, serve, wait_until
from vipsync.client.vip_client import VipClient
from vipsync.commands.context import Context
from vipsync.commands.sessions import remove, seen_gone, session_path
from vipsync.errors import NameTaken, Unclear
from vipsync.folder.folder import SessionFolder
from vipsync.model import Environment, Execution, ExecutionStatus, VipPath
from vipsync.report.reporter import Reporter
from vipsync.status.belonging import LATELY, Local, Owner, Place, last_starts, owner

HOME = "/vip/Home/API/study"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return an embedded VIP that removes at once."""
    with serve(tmp_path, removal_delay=0.0) as found:
        yield found


@pytest.fixture
def study(call: Caller, served: Served) -> Path:
    """Return a session folder whose data are on VIP."""
    made = served.study(a="one")
    assert call("run", "--once", made).code == 0
    return made


def on_vip(served: Served, name: str) -> Path:
    """Put a session of vip-client on VIP: a file, and no id."""
    home = served.world.root / "users/local_user/API" / name
    (home / "INPUTS").mkdir(parents=True)
    (home / "INPUTS" / "a.mrui").write_text("twelve bytes")
    return home


def test_a_session_without_its_folder_is_found_and_removed(
    call: Caller, served: Served, study: Path
) -> None:
    """Its files are counted, the folder that it had is named, and VIP is empty in the end."""
    shutil.rmtree(study)
    said = call("sessions")
    assert said.code == 0
    assert f"its folder {study} is not there any more" in said.out
    assert f"vipsync remove {HOME}" in said.out
    said = call("remove", HOME, "--yes")
    assert (said.code, served.on_vip()) == (0, [])
    assert f"{HOME} is gone from VIP." in said.out
    assert "no sessions on VIP" in call("sessions").out
    assert call("remove", HOME, "--yes").code == 1


@pytest.mark.parametrize("command", ["run", "status", "check", "finish"])
def test_a_session_folder_that_was_deleted_leads_to_what_is_left_on_vip(
    call: Caller, study: Path, command: str
) -> None:
    """Whoever deleted it first learns where its data on VIP are listed."""
    shutil.rmtree(study)
    said = call(command, study)
    told = f"{said.out}{said.err}"
    assert said.code == 1
    assert f"{study} is not there." in told
    assert "If it was deleted, `vipsync sessions` shows what is left of it on VIP." in told


def test_check_names_data_beside_inputs_and_in_outputs(call: Caller, study: Path) -> None:
    """They are no error: the exit code is as without them."""
    before = call("check", study)
    for place in (study, study / "outputs"):
        (place / "forgotten.mrui").write_text("one")
    said = call("check", study)
    assert said.code == before.code
    assert "· note: Only what lies in inputs/ is used; beside it: forgotten.mrui." in said.out
    assert "In outputs/, but not written by vipsync: forgotten.mrui." in said.out


def test_the_table_and_the_list_of_sessions_tell_the_same_size(call: Caller, study: Path) -> None:
    """Inputs and results: but for the two small files in which vipsync keeps its own account there."""
    (listed,) = json.loads(call("sessions", "--json").out)
    held = json.loads(call("status", study, "--json").out)[0]["held"]
    results = sum(len(p.read_bytes()) for p in (study / "outputs").rglob("*.txt"))
    assert results
    assert 3 + results < held <= listed["size"] < held + 4096


def test_each_session_is_a_line_and_all_of_them_a_sum(
    call: Caller, served: Served, study: Path
) -> None:
    """What is to be done about one stands below it; one of which nothing was sent says so."""
    alone = call("sessions").out
    assert len(alone.splitlines()) == 1
    on_vip(served, "other")
    opened = served.study("opened", a="one")
    assert call("run", "--once", opened).code == 0
    shutil.rmtree(served.world.root / "users/local_user/API/opened/INPUTS")
    shutil.rmtree(served.world.root / "users/local_user/API/opened/OUTPUTS")
    lines = call("sessions").out.splitlines()
    assert lines[0] == f"/vip/Home/API/opened: nothing sent yet; belongs to {opened}"
    assert re.match(r"/vip/Home/API/other: 1 file, 12 bytes; no folder ", lines[1])
    assert lines[-3].startswith("  vipsync remove /vip/Home/API/other")
    assert re.match(rf"{HOME}: 2 files, \d+ bytes; belongs to {study}, on VIP since \d", lines[-2])
    assert re.fullmatch(r"3 sessions: 3 files, \d+ bytes\.", lines[-1])


def test_what_a_folder_has_is_not_removed(call: Caller, served: Served, study: Path) -> None:
    """Nor where its ledger, or its id, was lost: settings are still there."""
    (told,) = json.loads(call("sessions", "--json").out)
    assert told["path"] == HOME
    assert told["files"] >= 2
    assert told["whole"]
    assert told["owner"]["place"] == "here"
    assert told["owner"]["folder"] == str(study)
    assert told["owner"]["since"] > 0
    for lost in ("ledger.sqlite", "session.json"):
        said = call("remove", HOME, "--yes")
        assert said.code == 3
        assert f"belongs to {study}" in said.err
        assert f"vipsync finish {study}" in said.err
        (study / ".vipsync" / lost).unlink()
    assert call("remove", HOME, "--yes").code == 3
    assert served.on_vip() == ["study"]


def test_a_folder_of_vipsync_toml_has_its_session_without_a_claim(
    call: Caller, served: Served, study: Path
) -> None:
    """What this account has written down may be lost; a folder that is named is looked into."""
    shutil.rmtree(served.root / "state")
    assert "no folder on this machine" in call("sessions").out
    config = served.root / "vipsync.toml"
    config.write_text(f'folders = ["{study.parent}"]')
    assert f"belongs to {study}" in call("--config", config, "sessions").out
    assert call("--config", config, "remove", HOME, "--yes").code == 3


def test_the_current_folder_has_its_session(
    call: Caller, served: Served, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not be named anywhere."""
    shutil.rmtree(served.root / "state")
    monkeypatch.chdir(study / "inputs")
    assert f"belongs to {study}" in call("sessions").out


def test_what_a_fresh_folder_has_left_may_go(call: Caller, served: Served, study: Path) -> None:
    """Another id in the folder of that name: nobody else would remove it."""
    folder = SessionFolder(study)
    folder.claim("other")
    folder.ledger.unlink()
    assert call("remove", HOME, "--yes").code == 0
    assert served.on_vip() == []


def test_a_session_without_an_id_is_nobodys_here(call: Caller, served: Served) -> None:
    """vip-client leaves none: it goes by a person's word alone, who is told that it may be elsewhere."""
    on_vip(served, "theirs")
    said = call("sessions")
    assert "1 file, 12 bytes; no folder on this machine is known to belong to it" in said.out
    assert call("remove", "/vip/Home/API/theirs").code == 2  # from a pipe nobody is asked
    assert served.on_vip() == ["theirs"]
    assert call("remove", "/vip/Home/API/theirs", "--yes").code == 0
    assert served.on_vip() == []


def test_a_session_without_an_id_may_be_of_a_folder_that_is_to_adopt_it(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that name it are enough."""
    on_vip(served, "study")
    monkeypatch.chdir(served.study())
    assert call("remove", HOME, "--yes").code == 3
    assert served.on_vip() == ["study"]


def test_a_name_with_odd_characters_is_shown_and_removed(call: Caller, served: Served) -> None:
    """The line to copy is one word for a shell."""
    name = "it's $HOME & é"
    on_vip(served, name)
    on_vip(served, "line\nend")
    said = call("sessions")
    assert "vipsync remove '/vip/Home/API/it'\"'\"'s $HOME & é'" in said.out
    assert "look on the portal" in said.err
    assert call("remove", f"/vip/Home/API/{name}", "--yes").code == 0
    assert served.on_vip() == ["line\nend"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "study",
        "/vip/Home",
        "/vip/Home/API",
        "/vip/Home/API/",
        "/vip/Home/API//",
        "/vip/Home/API/a/b",
        "/vip/Home/API/..",
        "/vip/Home/API/./",
        "/vip/Home/API/../Home",
        "/vip/Lab (group)/a",
    ],
)
def test_nothing_but_the_folder_of_a_session_is_removed(path: str) -> None:
    """A path that leads elsewhere is refused before VIP is asked."""
    with pytest.raises(Unclear):
        session_path(path)


def test_what_may_still_be_written_to_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An execution that runs with it is waited for, or stopped by a person; another one's is not."""
    place = tmp_path / "slow"
    place.mkdir()
    with serve(place, seconds=600.0, removal_delay=0.0) as served:
        call = Caller(served, monkeypatch, capsys)
        on_vip(served, "study")
        on_vip(served, "study-2")
        with VipClient(served.url, served.key) as client:
            values = {"signal": f"{HOME}/INPUTS/a.mrui"}
            running = client.launch("one", "mrs-spectrum/1.0", values, f"{HOME}/OUTPUTS")
            said = call("remove", HOME, "--yes")
            assert said.code == 3
            assert f"{running.id} may still run with {HOME}" in said.err
            wait_until(lambda: bool(client.execution(running.id).input_values))
            assert call("remove", HOME, "--yes").code == 3
            assert call("remove", f"{HOME}-2", "--yes").code == 0
            client.kill(running.id)
        assert call("remove", HOME, "--yes").code == 0
        assert served.on_vip() == []


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_person_is_asked_and_what_changed_meanwhile_stays(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Another session may have come to that place since it was shown."""
    home = on_vip(served, "study")

    def agree() -> bool:
        (home / "vipsync-other").mkdir()
        return answer == "y"

    for name, value in served.environ.items():
        monkeypatch.setenv(name, value)
    context = Context(Reporter(), Environment(served.environ), agree=agree)
    with closing(context.connect):
        if answer == "n":
            assert remove(context, HOME, sure=False) == 0
        else:
            with pytest.raises(NameTaken, match="another session now"):
                remove(context, HOME, sure=False)
    assert served.on_vip() == ["study"]


def test_whose_a_session_is() -> None:
    """An id decides; a name does where there is no id."""
    ours = Local(Path("/data/a"), "aaa", VipPath(HOME), 7.0)
    gone, starts, now = {"bbb": Path("/gone")}, {"bbb": 1e9}, 1e9 + LATELY

    def whose(*ids: str, at: str = HOME, claims: Mapping[str, Path] | None = None) -> Owner:
        return owner(VipPath(at), ids, [ours], claims or {}, starts, now - 1)

    assert whose("aaa") == Owner(Place.HERE, "/data/a", 7.0)
    assert whose().place is Place.HERE
    assert whose("bbb") == Owner(Place.ELSEWHERE, started=1e9)
    assert whose("bbb", claims=gone) == Owner(Place.LOST, "/gone")
    assert whose("ccc") == Owner(Place.UNKNOWN)
    assert whose(at=f"{HOME}-2") == Owner(Place.UNKNOWN)
    late = owner(VipPath(HOME), ("bbb",), [ours], {}, starts, now)
    assert late == Owner(Place.UNKNOWN, started=1e9)


def test_an_execution_that_is_not_over_says_that_its_session_is_in_use() -> None:
    """However long ago it began; who started one is known by its name alone."""
    executions = [
        Execution("1", "a vipsync-aaa 12", "p", ExecutionStatus.FINISHED, 5.0),
        Execution("2", "a vipsync-aaa 34", "p", ExecutionStatus.FINISHED, 3.0),
        Execution("3", "b vipsync-bbb 56", "p", ExecutionStatus.RUNNING, 1.0),
        Execution("4", "of somebody else", "p", ExecutionStatus.RUNNING, 1.0),
    ]
    assert last_starts(executions, 9.0) == {"aaa": 5.0, "bbb": 9.0}


def test_what_another_machine_seems_to_use_goes_by_an_answer_alone(
    call: Caller, served: Served, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--yes` of a script is none: what lies there may be somebody's only results."""
    shutil.rmtree(served.root / "state")  # as on a machine that has never seen the folder
    assert "another machine seems to use it: its last execution began" in call("sessions").out
    (told,) = json.loads(call("sessions", "--json").out)
    assert (told["version"], told["owner"]["place"]) == (1, "elsewhere")
    said = call("remove", HOME, "--yes")
    assert said.code == 3
    assert "seems to be in use on another machine" in said.err
    assert served.on_vip() == ["study"]
    for name, value in served.environ.items():
        monkeypatch.setenv(name, value)
    answers = iter([False, True])
    context = Context(Reporter(), Environment(served.environ), agree=lambda: next(answers))
    with closing(context.connect):
        assert remove(context, HOME, sure=True) == 0
        assert served.on_vip() == ["study"]
        assert remove(context, HOME, sure=True) == 0
    assert served.on_vip() == []


def test_a_removal_is_looked_for_more_and_more_rarely() -> None:
    """What is gone ends the looking; what stays ends it when patience does."""
    waits: list[float] = []
    assert not seen_gone(lambda: False, waits.append, 30.0)
    assert sum(waits) == 30.0
    assert waits[:4] == [2.0, 2.0, 2.0, 3.0]
    answers = iter([False, False, True])
    waits.clear()
    assert seen_gone(lambda: next(answers), waits.append)
    assert waits == [2.0, 2.0]
