"""Commands about many folders at once, and about those that nobody named."""

from __future__ import annotations

import io
import os
import re
import signal
from pathlib import Path

import pytest
from rich.console import Console

from tests.lab.served import SETTINGS, Caller, Served, wait_until
from vipsync.cli import exit_code
from vipsync.commands.context import Context
from vipsync.commands.run import finish
from vipsync.folder.folder import SessionFolder
from vipsync.record.ledger import read_state
from vipsync.report.reporter import Reporter

MANUAL = SETTINGS + '\n[launch]\nwhen = "manual"\n'


def study(served: Served, path: str, settings: str = SETTINGS) -> Path:
    """Make a session folder somewhere below, with a signal of its own."""
    root = served.root / path
    made = served.study(path, settings, a=path)
    (made / "settings.toml").write_text(settings.replace("{name}", path.replace("/", "-")))
    return root


def paused(root: Path) -> bool:
    return read_state(SessionFolder(root).ledger).session.paused


def results(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "outputs").glob("*/*.tgz/*"))


def of_the_machine(served: Served, *folders: Path) -> None:
    """Write this account's vipsync.toml."""
    file = served.root / "config" / "vipsync" / "vipsync.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"folders = {[folder.as_posix() for folder in folders]}\n")


def test_all_sessions_of_a_folder_change_only_where_that_is_meant(
    call: Caller, served: Served
) -> None:
    """Nobody can be asked here: without --yes nothing is changed, and the folders are named."""
    one, two = study(served, "share/a/one"), study(served, "share/b/two")
    said = call("pause", served.root / "share")
    assert said.code == 2
    assert f"This is about 2 session folders: {one}, {two}." in said.err
    assert "--yes" in said.err
    assert not (one / ".vipsync").exists()
    said = call("pause", "--yes", served.root / "share")
    assert (said.code, said.out[:19]) == (0, "2 folders: Paused: ")
    assert [paused(one), paused(two)] == [True, True]


def test_a_person_is_asked_once(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No is no; the question comes after the names."""
    one = study(served, "share/a/one")
    study(served, "share/b/two")
    monkeypatch.setattr("vipsync.cli._agree", lambda: False)

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("vipsync.cli.sys.stdin", Terminal())
    assert exit_code(["pause", str(served.root / "share")]) == 0
    assert not (one / ".vipsync").exists()


def test_folders_that_are_named_one_by_one_are_meant(call: Caller, served: Served) -> None:
    """Whoever writes down each of them need not be asked again."""
    one, two = study(served, "share/a/one"), study(served, "share/b/two")
    assert call("pause", one, two).code == 0
    assert [paused(one), paused(two)] == [True, True]
    assert call("resume", one, two).code == 0
    assert [paused(one), paused(two)] == [False, False]


def test_one_folder_in_trouble_stops_no_other(call: Caller, served: Served) -> None:
    """What is wrong with it is said, and the code tells."""
    one, two = study(served, "share/a/one"), study(served, "share/b/two")
    (one / "settings.toml").write_text("pipline_id = 3\n")
    said = call("pause", one, two)
    assert said.code == 1
    assert "pipline_id" in said.err
    assert paused(two)


def test_cases_of_many_folders_start_together(call: Caller, served: Served) -> None:
    """One process works for all of them; what one folder has nothing of is said."""
    one, two = study(served, "share/a/one", MANUAL), study(served, "share/b/two", MANUAL)
    assert call("run", "--once", served.root / "share").code == 0
    assert served.launches() == 0
    said = call("launch", "--yes", served.root / "share")
    assert (said.code, served.launches()) == (0, 2)
    assert [results(one), results(two)] == [["a.txt"], ["a.txt"]]
    said = call("launch", one, two)
    assert (said.code, served.launches()) == (0, 2)
    assert said.out.count("There is nothing to launch") == 2
    said = call("finish", "--yes", served.root / "share")
    assert said.code == 0
    assert "2 folders: Nothing of this session is on VIP" in said.out
    assert served.on_vip() == []


def test_cases_are_named_of_one_folder(call: Caller, served: Served) -> None:
    """The same name could be another case in each."""
    one, two = study(served, "share/a/one", MANUAL), study(served, "share/b/two", MANUAL)
    said = call("launch", one, two, "a.mrui")
    assert said.code == 2
    assert "Cases can be named in one folder only" in said.err


def test_a_folder_that_is_named_twice_is_told_once(call: Caller, served: Served) -> None:
    """As itself and as part of another one: it is the same session."""
    one = study(served, "share/a/one")
    study(served, "share/b/two")
    share = served.root / "share"
    assert call("run", "--once", share, one).code == 0
    assert call("status", share, one).out.count("Everything is here") == 2
    assert served.launches() == 2


def test_a_request_reaches_those_that_run_and_those_that_do_not(
    call: Caller, served: Served
) -> None:
    """One of two folders is held by a process, which finishes it; the other is finished here."""
    one, two = study(served, "share/a/one"), study(served, "share/b/two")
    assert call("run", "--once", one, two).code == 0
    with served.process("run", one) as running:
        wait_until(lambda: SessionFolder(one).is_held())
        assert call("finish", one, two).code == 0
        assert served.on_vip() == []
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def test_inside_a_session_folder_no_name_is_needed(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands mean the folder around; the first word may be a case."""
    one = study(served, "one", MANUAL)
    of_the_machine(served, served.root / "elsewhere")
    monkeypatch.chdir(one / "inputs")
    assert call("run", "--once").code == 0
    assert f"Waiting for `vipsync launch {one}`: 1 case." in call("status").out
    assert call("plan").code == 0
    assert call("launch", "a.mrui").code == 0
    assert results(one) == ["a.txt"]
    assert call("pause").code == 0
    assert paused(one)


def test_elsewhere_the_folders_of_the_machine_are_meant(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only looks or works needs no more; what changes all of them wants --yes."""
    one, two = study(served, "share/a/one"), study(served, "share/b/two")
    monkeypatch.chdir(served.root)
    assert call("run", "--once").code == 2
    of_the_machine(served, served.root / "share")
    assert call("run", "--once").code == 0
    assert [results(one), results(two)] == [["a.txt"], ["a.txt"]]
    assert call("status").out.count("Everything is here") == 2
    assert call("pause").code == 2
    assert call("pause", "--yes").code == 0
    assert [paused(one), paused(two)] == [True, True]


def test_a_change_of_the_machines_file_counts_while_it_runs(served: Served) -> None:
    """A folder that is added is taken up, one that is taken out is let go; a mistake changes nothing."""
    one, two = study(served, "share/a/one"), study(served, "elsewhere/two")
    file = served.root / "config" / "vipsync" / "vipsync.toml"
    of_the_machine(served, one.parent)
    with served.process("--config", file, "run") as running:
        wait_until(lambda: results(one) == ["a.txt"])
        of_the_machine(served, one.parent, two.parent)
        wait_until(lambda: results(two) == ["a.txt"])
        of_the_machine(served, two.parent)
        wait_until(lambda: not SessionFolder(one).is_held())
        file.write_text("folders = 3\n")
        wait_until(lambda: "must be a list" in (two / ".vipsync/vipsync.log").read_text())
        (two / "inputs" / "b.mrui").write_text("two")
        wait_until(lambda: results(two) == ["a.txt", "b.txt"])
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def test_a_change_of_what_a_run_reads_once_is_said_by_all_who_look(
    call: Caller, served: Served
) -> None:
    """A run keeps its hours and limits until it is started again: it says so, and so do check, plan and status."""
    one, two = study(served, "share/one"), study(served, "share/two")
    file = served.root / "config" / "vipsync" / "vipsync.toml"
    changed = "vipsync.toml was changed after this run started: start it again."
    of_the_machine(served, one.parent)
    before = file.read_text()
    with served.process("--config", file, "run") as running:
        wait_until(lambda: results(one) == results(two) == ["a.txt"])
        assert changed not in call("--config", file, "check").out
        file.write_text(f'{before}[transfers]\nhours = "03:00-03:01"\n')
        wait_until(lambda: changed in (two / "STATUS.txt").read_text())
        wait_until(lambda: changed in (one / "STATUS.txt").read_text())
        for command in ("check", "status"):
            assert call("--config", file, command).out.count(changed) == 1
        for command in ("check", "plan", "status"):
            assert call("--config", file, command, one).out.count(changed) == 1
        file.write_text(before)
        wait_until(lambda: changed not in (one / "STATUS.txt").read_text())
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    assert (one / ".vipsync/vipsync.log").read_text().count(changed) == 1
    assert changed not in call("status", one).out


def test_resume_names_who_goes_on(call: Caller, served: Served) -> None:
    """Where a run is under way, it does; nobody is told to start another."""
    one, two = study(served, "share/one"), study(served, "share/two")
    by_run = "Resumed: the run that is under way sends files and starts cases again."
    alone = f"Resumed: `vipsync run {two}` sends files and starts cases again."
    with served.process("run", one) as running:
        wait_until(lambda: results(one) == ["a.txt"])
        call("pause", one, two)
        assert call("resume", one).out.strip() == by_run
        assert alone in call("resume", two).out
        call("pause", one, two)
        said = call("resume", one, two).out
        assert said.splitlines() == [f"one: {by_run}", f"two: {alone}"]
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def test_finish_asks_with_sums_and_says_the_end_once(call: Caller, served: Served) -> None:
    """Twenty folders are no twenty lines: how much goes is said before, that it is gone after."""
    roots = [study(served, f"share/{name}") for name in ("one", "two", "three")]
    share = served.root / "share"
    asked = call("finish", share)
    assert (asked.code, "Nothing of them is on VIP. Add --yes" in _flat(asked.err)) == (2, True)
    assert call("run", "--once", share).code == 0
    asked = call("finish", share)
    assert asked.code == 2
    assert re.search(r"3 inputs and all results, \d+ bytes, are removed from VIP\.", asked.err)
    with served.process("run", share) as running:
        wait_until(lambda: all(SessionFolder(root).is_held() for root in roots))
        drawn = _finished(served, share)
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    assert drawn.count(_ONE_PICTURE) == 2  # before it is known who works there, and after
    assert drawn.count("Nothing of this session is on VIP; inputs and outputs are still here.") == 1
    assert "3 folders: Nothing of this session" in drawn
    assert _finished(served, share).count(_ONE_PICTURE) == 1  # nobody else works there


_ONE_PICTURE = "\x1b[?25h"
"""What ends a picture: the cursor comes back."""


def _finished(served: Served, share: Path) -> str:
    """Return what a terminal is sent while folders are finished."""
    terminal = io.StringIO()
    reporter = Reporter(Console(file=terminal, force_terminal=True, width=100))
    context = Context(reporter, {**os.environ, **served.environ}, asks=False)
    assert finish(context, [share], (), kill=False, sure=True) == 0
    return terminal.getvalue()


def _flat(text: str) -> str:
    return " ".join(text.split())
