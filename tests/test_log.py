"""`vipsync log`: the logs of folders in the order of time, and what comes to them."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.lab.served import Caller, Served, wait_until
from vipsync.commands.log import Tail, in_order


def test_what_happened_is_told_with_time_offset_and_folder(call: Caller, served: Served) -> None:
    """Of two folders in one order; what concerns all is told once."""
    one, two = served.study("one", a="1"), served.study("two", a="2")
    assert call("run", "--once", one, two).code == 0
    lines = call("log", one, two).out.splitlines()
    assert len(lines) > 6
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d  (one|two): \S", line)
    assert lines == sorted(lines, key=lambda line: line[:25])
    assert {line[27:30] for line in lines} == {"one", "two"}
    assert any("Everything is here: 1 case done" in line for line in lines)
    assert call("log", one).out.splitlines() == [line for line in lines if line[27:30] == "one"]


def test_lines_of_all_are_told_once_and_tracebacks_stay_with_their_line() -> None:
    """Times are compared as moments, not as letters."""
    winter = "2026-10-25 02:30:00+01:00  "
    one = [
        "2026-10-25 02:50:00+02:00  one: before",
        f"{winter}VIP answers again.",
        f"{winter}one: c",
    ]
    two = [
        f"{winter}VIP answers again.",
        f"{winter}two: fault",
        "  Traceback",
        "2026-10-25 02:40:00+01:00  two: d",
    ]
    assert list(in_order([iter(one), iter(two)])) == [
        one[0],
        one[1],
        one[2],
        *two[1:],
    ]


def test_a_log_that_was_put_aside_is_followed_into_the_new_one(tmp_path: Path) -> None:
    """Whole lines alone are shown."""
    path = tmp_path / "vipsync.log"
    path.write_text("before\n")
    tail = Tail(path)
    with path.open("a") as file:
        file.write("one\nhal")
    assert list(tail.new()) == ["one"]
    with path.open("a") as file:
        file.write("f\n")
    assert list(tail.new()) == ["half"]
    path.rename(tmp_path / "vipsync.log.1")
    assert list(tail.new()) == []
    path.write_text("new\n")
    assert list(tail.new()) == ["new"]


def test_what_comes_is_shown_as_it_comes(served: Served) -> None:
    """`-f` goes on until it is told to stop."""
    study = served.study(a="one")
    with served.process("run", "--once", study) as process:
        process.wait(60)
    with served.process("log", "-f", study) as following:
        assert following.stdout
        while "Everything is here: 1 case done" not in following.stdout.readline():
            pass
        (study / "inputs" / "b.mrui").write_text("two")
        with served.process("run", "--once", study) as process:
            while "Everything is here: 2 cases done" not in following.stdout.readline():
                pass
            process.wait(60)
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130
    wait_until(lambda: following.returncode is not None)


def test_a_log_is_put_aside_before_it_grows_large(
    served: Served, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two older ones are kept; all three are shown, oldest first."""
    monkeypatch.setattr("vipsync.run.folder_logs._LOG_SIZE", 400)
    study = served.study(a="one")
    study.chmod(0o2775)
    assert call("run", "--once", study).code == 0
    kept = sorted(path.name for path in (study / ".vipsync").glob("vipsync.log*"))
    assert kept == ["vipsync.log", "vipsync.log.1", "vipsync.log.2"]
    modes = {(study / ".vipsync" / name).stat().st_mode & 0o777 for name in kept}
    assert modes == {0o664}  # whoever else is in the group of this folder goes on with them
    lines = call("log", study).out.splitlines()
    assert lines == sorted(lines, key=lambda line: line[:25])
    assert "Everything is here" in lines[-1]
