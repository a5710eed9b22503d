"""Plain lines: each change once, numbers at most every ten seconds."""

from __future__ import annotations

import pytest

from vipsync.model import replace
from vipsync.plan.draft import Level, Notice
from vipsync.report.news import News
from vipsync.report.progress import Batch
from vipsync.status.status import ExecutionReport, Status

STATUS = Status("/s", "s", "id", "open", "Sending 3 files.")
BATCH = Batch(upload=True, files=1, of=3, moved=100, size=400, speed=50.0, seconds=2.0)


def said(news: News, status: Status, now: float, **batches: list[Batch]) -> list[str]:
    """Return what is new at a moment."""
    return list(news.lines(status, batches.get("going", []), batches.get("ended", []), now))


def test_nothing_is_said_twice() -> None:
    """An equal state is no news."""
    news = News()
    assert said(news, STATUS, 0) == ["Sending 3 files."]
    assert said(news, STATUS, 100) == []


def test_other_numbers_wait_for_ten_seconds() -> None:
    """Other words are told at once, other numbers seldom."""
    news = News()
    said(news, STATUS, 0)
    assert said(news, replace(STATUS, sentence="Sending 2 files."), 5) == []
    assert said(news, replace(STATUS, sentence="Sending 1 files."), 11) == ["Sending 1 files."]
    assert said(news, replace(STATUS, sentence="Done."), 12) == ["Done."]


def test_a_transfer_is_told_every_ten_seconds_and_at_its_end() -> None:
    """Its start is in the sentence."""
    news = News()
    assert said(news, STATUS, 0, going=[BATCH]) == ["Sending 3 files."]
    assert said(news, STATUS, 9, going=[BATCH]) == []
    assert said(news, STATUS, 10, going=[BATCH]) == [
        "sent 25%, 1 of 3 files, 100 bytes of 400 bytes, 50 bytes/s"
    ]
    done = replace(BATCH, files=3, moved=400, seconds=12.0)
    assert said(news, STATUS, 12, ended=[done]) == ["sent 3 files, 400 bytes in 12 s"]


def test_an_execution_is_told_when_its_jobs_change() -> None:
    """One that was over before is not news."""
    over = ExecutionReport("w-1", "Finished", 0.0, {"done": 2}, "1")
    going = ExecutionReport("w-2", "Running", 0.0, {"running": 2}, "2")
    news = News()
    first = replace(STATUS, executions=(over, going))
    assert said(news, first, 0) == ["Sending 3 files.", "w-2: Running, 2 running"]
    ended = replace(going, status="Finished", jobs={"done": 1, "failed": 1})
    lines = said(news, replace(STATUS, executions=(over, ended)), 1)
    assert lines == ["w-2: Finished, 1 done, 1 failed"]


def test_what_only_starts_is_not_told_as_a_start() -> None:
    """VIP may refuse it for want of a slot, again and again; the execution's own line tells of a start."""
    news = News()
    starting = replace(STATUS, sentence="Starting 1 execution with 2 jobs.", starting=2)
    assert said(news, starting, 0) == []
    assert said(news, replace(STATUS, sentence="2 cases queued."), 1) == ["2 cases queued."]
    assert said(news, starting, 30) == []
    started = ExecutionReport("w-1", "Running", 0.0, {"queued": 2}, "1")
    running = replace(STATUS, sentence="1 execution running.", executions=(started,))
    assert said(news, running, 31) == ["1 execution running.", "w-1: Running, 2 queued"]


def test_a_notice_is_told_with_its_remedy_and_when_it_is_over() -> None:
    """What asks for a person is told until it is mended; waiting is no news."""
    asking = Notice(Level.PERSON, "a.mrui", "it failed\nwith 50", "Run it again.")
    waiting = Notice(Level.WAIT, "marker", "in a moment")
    news = News()
    lines = said(news, replace(STATUS, notices=(asking, waiting)), 0)
    assert lines[1:] == ["needs you: a.mrui: it failed with 50 Run it again."]
    assert said(news, replace(STATUS, notices=(asking,)), 1) == []
    assert said(news, STATUS, 2) == ["settled: a.mrui: it failed"]


def test_a_sentence_that_only_repeats_a_notice_is_not_told() -> None:
    """The notice has the remedy too."""
    notice = Notice(Level.ERROR, "disk", "no room", "Make room.")
    status = replace(STATUS, sentence="Stopped: no room", notices=(notice,))
    assert said(News(), status, 0) == ["stopped: disk: no room Make room."]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "settings.toml has 2 problems:\n  a: b\n  c: d",
            "settings.toml has 2 problems: a: b; c: d",
        ),
        ("x, line 1: a: unknown.\nx, line 2: b.", "x, line 1: a: unknown.; x, line 2: b."),
        ("a\n", "a"),
    ],
)
def test_a_list_of_problems_is_told_once(text: str, sentence: str) -> None:
    """The sentence has all of them on one line, the notice each on its own."""
    notice = Notice(Level.ERROR, "settings", text, exit_code=1)
    status = replace(STATUS, sentence=f"Waiting: {sentence}", notices=(notice,))
    news = News()
    (line,) = said(news, status, 0)
    assert line.startswith("stopped: settings: ")
    assert said(news, STATUS, 1)[-1] == f"settled: settings: {text.splitlines()[0].rstrip(':')}"


def test_the_end_of_a_pause_is_told() -> None:
    """Also where the sentence says the same as before it; to one who comes later it is no news."""
    news = News()
    said(news, STATUS, 0)
    assert said(news, replace(STATUS, paused=True), 1) == []
    assert said(news, STATUS, 2) == ["Resumed: files are sent and cases are started again."]
    assert said(news, STATUS, 3) == []


def test_a_name_cannot_move_the_cursor() -> None:
    """Control characters and undecodable bytes are shown as question marks."""
    lines = said(News(), replace(STATUS, sentence="a\x1b[2Jb\udcff"), 0)
    assert lines == ["a?[2Jb?"]
