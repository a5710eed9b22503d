"""What people see: a picture on a terminal, plain lines elsewhere, errors on stderr."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO, cast

import pytest
from rich.console import Console
from rich.text import Text

from vipsync.errors import KeyMissing, VipsyncError
from vipsync.model import replace
from vipsync.plan.draft import Level, Notice
from vipsync.report import screen
from vipsync.report.progress import Batch, Transfer
from vipsync.report.reporter import Reporter, Warnings
from vipsync.report.stream import Stream, folded
from vipsync.report.text import paragraph
from vipsync.run.logs import STAMP, Lines, about
from vipsync.station.steps import StationStatus
from vipsync.status.status import ExecutionReport, Finding, Status
from vipsync.status.words import duration, status_text, when

if TYPE_CHECKING:
    from vipsync.run.reconciler import Reconciler

STATUS = Status(
    "/s",
    "study",
    "id",
    "open",
    "Sending 2 files; 1 execution running, 2 of 4 jobs done.",
    executions=(
        ExecutionReport("w-0", "Finished", 1.0, {"done": 2}, "2026-01-31_142205"),
        ExecutionReport("w-1", "Running", 2.0, {"done": 2, "running": 1, "failed": 1}, "w-1"),
    ),
    notices=(Notice(Level.PERSON, "a.mrui", "failed: exit code 50", "See its log."),),
    confirmed=100.0,
    exit_code=3,
)
BATCH = Batch(
    upload=True,
    files=1,
    of=2,
    moved=500_000,
    size=2_000_000,
    speed=250_000.0,
    seconds=2.0,
    slow=(Transfer("scan.dat", 400_000, 1_900_000),),
)


def drawn(status: Status, *batches: Batch, width: int = 100) -> str:
    """Return the picture of a folder as text."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(screen.folders([(status, list(batches))], wall=112.0))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_picture_shows_transfers_executions_and_notices() -> None:
    """Size and speed, jobs by state, what needs a person, and the age of the last equal state."""
    picture = drawn(STATUS, BATCH)
    assert "agreed with VIP" not in picture
    calm = drawn(replace(STATUS, notices=()))
    assert "agreed with VIP 12\N{NO-BREAK SPACE}s\N{NO-BREAK SPACE}ago" in calm
    assert "1 of 2 files" in picture
    assert "500.0 kB of 2.0 MB, 250.0 kB/s" in picture
    assert "scan.dat" in picture
    assert "400.0 kB of 1.9 MB" in picture
    assert "Running, 2 done, 1 failed, 1 running" in picture
    assert "! a.mrui: failed: exit code 50" in picture
    assert "See its log." in picture


def test_status_txt_keeps_notices_apart_from_the_time_it_was_written() -> None:
    """First what a person should do, then what else is to be known with its remedy, each with a gap."""
    told = Notice(Level.INFO, "settings", "2 of 3 ran with older ones.", "Run them again.", 0)
    lines = status_text(replace(STATUS, notices=(*STATUS.notices, told)), "host").splitlines()
    assert lines[2:9] == [
        "What you should do:",
        "- a.mrui: failed: exit code 50",
        "    See its log.",
        "",
        "settings: 2 of 3 ran with older ones. Run them again.",
        "",
        f"Written {when(STATUS.written)} by vipsync on host.",
    ]


@pytest.mark.parametrize(
    ("zone", "shown"), [("Europe/Paris", "2026-07-01 14:00 CEST"), ("UTC", "2026-07-01 12:00 UTC")]
)
def test_times_are_those_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, zone: str, shown: str
) -> None:
    """With their zone, so that a colleague elsewhere is not misled."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        noon = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
        text = status_text(replace(STATUS, written=noon), "host")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert f"Written {shown} by vipsync on host." in text


@pytest.mark.parametrize(
    "begun", [{"sending": 1}, {"fetching": 1}, {"since": 101.0}], ids=["sends", "fetches", "opened"]
)
def test_what_was_begun_since_is_not_said_to_agree_with_vip(begun: dict[str, Any]) -> None:
    """What was confirmed is never older than what it speaks of."""
    agreed = replace(STATUS, executions=(), notices=(), sending=0, fetching=0, since=None)
    assert "agreed with VIP" in status_text(agreed, "host")
    assert "agreed with VIP" not in status_text(replace(agreed, **begun), "host")


def test_the_picture_stays_within_a_narrow_terminal() -> None:
    """Long names are cut, lines are folded."""
    long = replace(STATUS, sentence="word " * 40)
    assert max(map(len, drawn(long, BATCH, width=60).splitlines())) <= 60


def test_only_the_last_ended_executions_are_drawn() -> None:
    """A folder with many executions stays readable."""
    many = tuple(
        ExecutionReport(f"w-{n}", "Finished", float(n), {"done": 1}, f"r-{n:03}") for n in range(50)
    )
    picture = drawn(replace(STATUS, executions=many))
    assert "r-049" in picture
    assert "r-046" not in picture


def test_names_with_brackets_and_control_characters_are_shown_plainly() -> None:
    """Nothing in a name is markup or moves the cursor."""
    notice = Notice(Level.PERSON, "[red]x\x1b[2J", "text")
    assert "[red]x?[2J" in drawn(replace(STATUS, notices=(notice,)))


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h"), (2e5, "2 d")]
)
def test_ages_are_told_in_one_unit(seconds: float, words: str) -> None:
    """The largest unit that fits."""
    assert duration(seconds) == words


def test_an_error_is_told_on_stderr_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """What goes to stdout stays for results."""
    Reporter().failed(KeyMissing("No key.", "Run `vipsync login`."))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "No key.\nRun `vipsync login`.\n")


def test_long_lines_are_not_broken_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A path can be copied from a line."""
    path = "/" + "x" * 300
    reporter = Reporter()
    reporter.say(path)
    reporter.finding(Finding("file", path))
    assert capsys.readouterr().out == f"{path}\n  ✓ file: {path}\n"


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("style", ["", "bold", "dim", "yellow", "bold red", "bold green"])
@pytest.mark.parametrize(
    "environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "unknown"}], ids=str
)
def test_a_line_looks_as_rich_would_write_it(
    style: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bold letters and colours on a terminal that knows them; rich is not loaded for that."""
    for name, value in {"TERM": "xterm", **environ}.items():
        monkeypatch.setenv(name, value)
    text = "/" + "x" * 300 + " [red]ü"
    monkeypatch.setattr(sys, "stdout", Terminal())
    Stream().line(text, style)
    by_rich = Console(file=Terminal(), highlight=False, markup=False, emoji=False)
    by_rich.print(Text(text, style=style), soft_wrap=True)
    assert isinstance(sys.stdout, Terminal)
    assert isinstance(by_rich.file, Terminal)
    assert sys.stdout.getvalue() == by_rich.file.getvalue()


def _closed() -> io.StringIO:
    file = io.StringIO()
    file.close()
    return file


@pytest.mark.parametrize(
    "make",
    [_closed, lambda: None, Path("/dev/full").open, partial(Path("/dev/full").open, "w")],
    ids=["closed", "none", "read only", "full"],
)
@pytest.mark.parametrize("stderr", [False, True])
def test_a_line_that_cannot_be_written_is_logged(
    stderr: bool,
    make: Callable[[], TextIO | None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is raised; that stdout is lost is said once."""
    caplog.set_level(logging.INFO, "vipsync")
    file = make()
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", file)
    stream = Stream(stderr=stderr)
    for line in ("one", "two"):
        stream.line(line)
    stream.draw(Text("a picture"))
    told = [r.getMessage() for r in caplog.records]
    assert [line for line in told if "the work goes on" not in line] == ["one", "two"]
    assert len(told) == 2 + (not stderr)
    if file:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno()) if not file.closed else None
        file.close()


@pytest.mark.parametrize("text", ["grün", "日本", "\udce9 of a name that is no UTF-8"])
def test_letters_that_stdout_has_no_bytes_for_become_question_marks(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name must not end the work."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", file)
    Stream().line(text)
    file.seek(0)
    assert file.read() == "".join(c if c.isascii() else "?" for c in text) + "\n"


def test_without_a_terminal_lines_carry_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Each change is one line, with the folder that it is about."""
    reporter = Reporter(wall=lambda: 0.0)
    with reporter.live():
        reporter.watch(Path("/s"), Status("/s", "one", "", "", "At work."))
        reporter.watch(Path("/s"), Status("/s", "one", "", "", "At work."))
        reporter.watch(Path("/t"), Status("/t", "two", "", "", "Resting."))
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("  s: At work.")
    assert first[:10] in ("1970-01-01", "1969-12-31")
    assert second.endswith("  t: Resting.")


def test_numbers_that_were_held_back_are_told_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last line is the truth, even when only its numbers are new."""
    reporter = Reporter()
    for number in (1, 2, 3):
        reporter.watch(Path("/s"), Status("/s", "one", "", "", f"{number} done."))
    reporter.settle()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["s: 1 done.", "s: 3 done."]


def test_on_a_terminal_there_is_a_picture_and_no_lines() -> None:
    """The last state stays when the picture ends; said lines stand above it."""
    out = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    reporter = Reporter(out)
    with reporter.live():
        reporter.watch(Path("/s"), STATUS)
        reporter.say("a line above")
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()
    assert "a line above" in text
    assert text.rindex("study") > text.rindex("a line above")


@pytest.mark.parametrize("how", ["warn", "failed", "logged"])
@pytest.mark.parametrize("folders", [1, 3])
def test_an_error_stands_above_the_picture(
    monkeypatch: pytest.MonkeyPatch, how: str, folders: int
) -> None:
    """It takes no line of it: what was drawn is taken away first, and drawn again below."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    reporter = Reporter(Console(file=screen, force_terminal=True, width=80))
    with reporter.live():
        for number in range(folders):
            reporter.watch(Path(f"/s{number}"), replace(STATUS, folder=f"/s{number}"))
        reporter._live.refresh()  # type: ignore[union-attr]
        before = len(screen.getvalue())
        if how == "logged":
            record = logging.LogRecord("v", logging.WARNING, "", 0, "careful", None, None)
            Warnings(reporter, logging.WARNING).emit(record)
        elif how == "warn":
            reporter.warn("careful")
        else:
            reporter.failed(VipsyncError("careful"))
        new = screen.getvalue()[before:]
    erased, _, below = new.partition("careful")
    assert "\x1b[2K" in erased
    assert "jobs" in below or "folders" in below


def test_the_picture_of_a_station_shows_its_studies_before_the_first_session() -> None:
    """Who starts one sees that studies arrive, and goes on seeing it above the sessions."""
    out = io.StringIO()
    reporter = Reporter(Console(file=out, force_terminal=True, width=80, height=20))
    told = StationStatus("/scanner", "scanner", "2 studies: 1 arriving, 1 held.")
    with reporter.live():
        reporter.station(told)
    assert "scanner: 2 studies: 1 arriving, 1 held." in out.getvalue()
    assert "Looking …" not in out.getvalue().rpartition("scanner")[2]
    with reporter.live():
        reporter.watch(Path("/scanner/sessions/S0001"), STATUS)
    last = out.getvalue().rpartition("scanner: 2 studies")[2]
    assert "2 of 4 jobs" in last
    reporter.forget(Path("/scanner"))
    with reporter.live():
        pass
    assert "scanner: " not in out.getvalue().rpartition("2 of 4 jobs done")[2]


def test_a_second_run_draws_no_lines_above_its_picture() -> None:
    """What was held back until something began is in the picture."""
    out = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    reporter, folder = Reporter(out), Path("/s")
    before = Status("/s", "one", "", "", "Resting.")
    reporter.recall(folder, before)
    session = cast(
        "Reconciler", SimpleNamespace(folder=SimpleNamespace(root=folder), is_open=False)
    )
    with reporter.live():
        reporter.update(session, replace(before, sentence="2 files still changing."))
        reporter.update(session, replace(before, sentence="Sending 1 file.", sending=1))
    reporter.settle()
    assert isinstance(out.file, io.StringIO)
    assert "s: 2 files still changing." not in out.file.getvalue()
    assert "Sending 1 file." in out.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80])
def test_words_are_broken_at_words(width: int) -> None:
    """A narrow terminal gets what is said whole; a command is never cut, a line that fits stays as it is."""
    command = f"`vipsync check '{'/data/x y' * 9}'`"
    text = f"  Ask {command}, then start it all:\n  as it is"
    lines = folded(text, width).split("\n")
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert all(len(line) <= width or line.strip() == f"{command}," for line in lines)
    assert lines[-1] == "  as it is"


def test_a_command_in_advice_is_never_broken() -> None:
    """What is found and what is not in sync is broken at words, and can be copied all the same."""
    out = Console(file=io.StringIO(), force_terminal=True, width=40, color_system=None)
    command = f"`vipsync run '/data/{'my study ' * 6}'`"
    advice = f"Look at the settings first, all of them, then {command} starts it again."
    reporter = Reporter(out)
    reporter.notice(Notice(Level.PERSON, "settings", "the pipeline is not there:\n  a: b", advice))
    reporter.finding(Finding("settings", "not in order", advice, 1, ("a detail",)))
    assert isinstance(out.file, io.StringIO)
    said = out.file.getvalue()
    assert said.count(command) == 2
    assert all(len(line) <= 40 or line.strip() == command for line in said.splitlines())
    whole = " ".join(said.split())
    assert whole.count(" ".join(advice.split())) == 2
    assert "not there: a: b Look" in whole


def test_a_picture_that_does_not_stay_leaves_nothing_behind() -> None:
    """A script's terminal keeps the lines, and no transfers that ended long ago."""
    out = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    reporter = Reporter(out)
    with reporter.live(stays=False):
        reporter.watch(Path("/s"), STATUS)
        reporter.say("a line above")
    assert isinstance(out.file, io.StringIO)
    drawn, _, last = out.file.getvalue().rpartition("study")
    assert "a line above" in drawn
    assert last.endswith("\x1b[1A\x1b[2K")  # up one line, which is emptied


def test_a_warning_of_the_log_has_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Other handlers still get it."""
    record = logging.LogRecord("vipsync.x", logging.WARNING, "x.py", 1, "careful", None, None)
    try:
        raise ValueError("secret")
    except ValueError:
        record.exc_info = sys.exc_info()
    Warnings(Reporter(), logging.WARNING).handle(record)
    assert capsys.readouterr().err[25:] == "  warning: careful\n"
    assert record.exc_info is not None


def test_a_warning_names_the_folder_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    """One command works in many folders."""
    record = logging.LogRecord("vipsync.x", logging.WARNING, "x.py", 1, "careful", None, None)
    with about(Path("studies/one")):
        Warnings(Reporter(), logging.WARNING).handle(record)
    assert capsys.readouterr().err[25:] == "  one: warning: careful\n"


def test_the_journal_is_given_no_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its own; any other file that stdout was led to gets them."""
    with (tmp_path / "out").open("w+") as out:
        info = os.fstat(out.fileno())
        monkeypatch.setattr(sys, "stdout", out)
        for journal in (f"{info.st_dev}:{info.st_ino}", f"{info.st_dev}:1", ""):
            monkeypatch.setenv("JOURNAL_STREAM", journal)
            reporter = Reporter(wall=lambda: 0.0)
            reporter.watch(Path("/s"), Status("/s", "one", "", "", "At work."))
        out.seek(0)
        first, second, third = out.read().splitlines()
    assert first == "s: At work."
    assert second == third
    assert second.endswith("  s: At work.")


def test_a_log_line_has_time_offset_and_folder_and_is_one_line() -> None:
    """Whatever is in a name: a line cannot be made up."""
    record = logging.LogRecord("vipsync.news", logging.INFO, "", 1, "a\nb\x1b[2J", None, None)
    record.created = 0.0
    with about(Path("/s/one")):
        line = Lines(lambda root: root.name).format(record)
        plain = Lines(lambda root: root.name, dated=False).format(record)
    assert line[25:] == "  one: a b?[2J"
    assert plain == "one: a b?[2J"
    assert datetime.fromisoformat(line[:STAMP]).timestamp() == 0.0


def test_tabs_of_a_script_are_spaces() -> None:
    """They indent, and are no control characters that somebody smuggled in."""
    assert paragraph("These failed:\n\tjob 1\x1b[2J\ta") == "These failed:\n    job 1?[2J   a"
