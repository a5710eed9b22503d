"""What a failed job said last is told from what VIP's wrapper and bosh say around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vipsync.record.job_log import LINES, Words, words_of

LIVES = json.loads((Path(__file__).parent / "local" / "transcripts" / "lives.json").read_text())
HEAD = "[ INFO - Fri Nov 27 10:00:00 UTC 2026 ] Running bosh: /opt/bin/bosh exec launch …\n"
SUMMARY = """\
Shell command
sh -c 'fit a.mrui'
Container location

Container command

Exit code
{code}
Error message

Output files
Missing files
\t- fit.txt (fit, Required)

[ INFO - Fri Nov 27 10:00:03 UTC 2026 ] Execution time: 3 seconds
"""
FAILED = (
    "[ ERROR - Fri Nov 27 10:00:03 UTC 2026 ] EXECUTION_FAILED - execution was not successful\n"
)


def said(text: str, code: int = 1) -> Words:
    """Return what is understood of a log in which the application said this."""
    return words_of(HEAD + text + SUMMARY.format(code=code), FAILED)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (0, "on stderr"),
        (8, "'p' is not of type 'array'"),
        (13, "-1.0 is less than the minimum of 0"),
    ],
)
def test_real_logs_give_the_words_of_the_application(number: int, reason: str) -> None:
    """As VIP's own wrapper and bosh wrote them around it."""
    then = LIVES[number]["then"]
    words = words_of(then["stdout"], then["stderr"])
    assert (words.reason, words.stream) == (reason, "stdout")
    assert not any("bosh" in line or "Container" in line for line in words.said)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("reading a.mrui\nno water peak found\n", "no water peak found"),
        ("Traceback (most recent call last):\n  x\nValueError: no peak\n", "ValueError: no peak"),
        ("KeyError: 'echo'\ncleaning up\n", "KeyError: 'echo'"),
        ("[ERROR] no basis set\nbye\n", "no basis set"),
        ("ERROR: no basis set\nbye\n", "ERROR: no basis set"),
        ("Fatal error: no licence\n\n\n", "Fatal error: no licence"),
        ("errors so far: none\nlicence has expired\n", "licence has expired"),
        ("10 %\r50 %\r100 %\r\nno space left\r\n", "no space left"),
        ("\x1b[31mno \x1b[1mpeak\x1b[0m\x07\n", "no peak"),
        ("Shell command\nis what I run\n", "is what I run"),
    ],
)
def test_the_reason_is_the_last_line_or_the_last_that_calls_itself_an_error(
    text: str, reason: str
) -> None:
    """Without colours, bars that move, and what comes after it."""
    assert said(text).reason == reason


def test_the_last_lines_are_kept_and_no_more() -> None:
    """However long a log is, and its lines."""
    words = said("".join(f"{n} {'x' * 1000}\n" for n in range(1000)))
    assert len(words.said) == LINES
    assert words.said[-1].startswith("999 ")
    assert all(len(line) < 310 for line in words.said)


def test_an_application_that_said_nothing_has_its_exit_code() -> None:
    """Bosh knows it, though VIP's own code is always 50."""
    assert said("", code=137) == Words("it ended with exit code 137 and said nothing")


def test_where_only_the_wrapper_spoke_its_words_count() -> None:
    """What it says of every failure does not."""
    error = "[ ERROR - Fri Nov 27 10:00:03 UTC 2026 ] Failed to download lfn:/vip/a.mrui\n"
    assert words_of("", error + FAILED).reason == "Failed to download lfn:/vip/a.mrui"
    assert words_of("", FAILED) == Words()


def test_words_on_stderr_count_where_stdout_has_none() -> None:
    """The log that has them is the one to look at."""
    assert words_of(HEAD, "no peak\n") == Words("no peak", ("no peak",), "stderr")


def test_nothing_that_moves_a_cursor_is_kept() -> None:
    """A log is written by others, and its words come onto terminals."""
    words = said("\x1b]0;title\x07a\x1b[2Jb\x00\x9bc\u202ed\n")
    assert all(line.isprintable() for line in (words.reason, *words.said))
