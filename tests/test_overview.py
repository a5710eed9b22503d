"""One look over many folders: who comes first, what they are called, the totals, the picture of `run`."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields
from rich.console import Console

from tests.lab.served import SETTINGS, Caller, Served
from vipsync.local import Kind
from vipsync.plan.draft import Level, Notice
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.report.reporter import Reporter
from vipsync.status.overview import Need, name_below, need_of, overview, table_lines, totals
from vipsync.status.status import ExecutionReport, Status
from vipsync.status.words import details

DOCUMENT = Path(__file__).parents[1] / "examples" / "status-json.md"


def made(folder: str = "/s/one", **values: Any) -> Status:
    return Status(
        **{"folder": folder, "session": "x", "id": "", "phase": "", "sentence": ""} | values
    )


def notice(level: Level) -> tuple[Notice, ...]:
    return (Notice(level, "a.mrui", "text", exit_code=0),)


@pytest.mark.parametrize(
    ("need", "values"),
    [
        (Need.YOU, {"exit_code": 4}),
        (Need.YOU, {"notices": notice(Level.PERSON), "sending": 3}),
        (Need.YOU, {"notices": notice(Level.ERROR)}),
        (Need.RUNNING, {"sending": 1}),
        (Need.RUNNING, {"fetching": 1, "notices": notice(Level.WAIT)}),
        (Need.RUNNING, {"starting": 2}),
        (Need.RUNNING, {"executions": (ExecutionReport("w", "Running", 1.0, {}, ""),)}),
        (Need.RUNNING, {"phase": "removing"}),
        (Need.WAITING, {"notices": notice(Level.WAIT)}),
        (Need.WAITING, {"counts": {"waiting": 1, "done": 3}}),
        (Need.WAITING, {"counts": {"queued": 1}}),
        (Need.WAITING, {"counts": {"to be launched by hand": 1}}),
        (Need.PAUSED, {"paused": True}),
        (Need.PAUSED, {"paused": True, "counts": {"queued": 1}}),
        (Need.RUNNING, {"paused": True, "fetching": 1}),
        (Need.YOU, {"paused": True, "notices": notice(Level.PERSON)}),
        (Need.REST, {"notices": notice(Level.INFO), "counts": {"done": 3}, "phase": "open"}),
        (Need.REST, {"executions": (ExecutionReport("w", "Finished", 1.0, {}, ""),)}),
        (Need.REST, {}),
    ],
)
def test_how_much_a_folder_asks_for(need: Need, values: dict[str, Any]) -> None:
    """A person before work before waiting; what is only told asks for nothing."""
    assert need_of(made(**values)) is need


@pytest.mark.parametrize(
    ("folder", "tops", "name"),
    [
        ("/share/a/study", ("/share",), "a/study"),
        ("/share/a/study", ("/share/a/study",), "study"),
        ("/share/a/study", ("/share", "/other"), "share/a/study"),
        ("/share/a/study", ("/share", "/other/share"), "/share/a/study"),
        ("/share/a/study", ("/share", "/share/a"), "a/study"),
        ("/shared/study", ("/share",), "study"),
        ("/share/a/study", (), "study"),
        ("/study", ("/",), "study"),
        ("C:\\share\\study", ("C:\\share",), "study"),
    ],
)
def test_a_folder_is_called_by_its_path_below_the_named_one(
    folder: str, tops: tuple[str, ...], name: str
) -> None:
    """Equal names in other groups are told apart; where the named ones are alike, the whole path is said."""
    assert name_below(folder, tops) == name


def case(state: CaseState) -> CaseReport:
    return CaseReport("a", state)


MANY = [
    made(
        "/s/g2/rest", sentence="Everything is here.", phase="open", since=86400.0 * 365, held=2000
    ),
    made("/s/g1/rest", sentence="VIP is clean.", phase="closed", since=86400.0),
    made("/s/g1/run", sentence="Sending 2 files.", sending=2),
    made(
        "/s/g2/you",
        sentence="Needs you: b: failed\nsecond line",
        exit_code=3,
        cases=(case(CaseState.DONE), case(CaseState.FAILED)),
        counts={"done": 1, "failed": 1},
    ),
]


def test_the_table_begins_with_what_needs_a_person_and_ends_with_totals() -> None:
    """One line for each folder: need, name, cases, since when on VIP, sentence."""
    rows = overview(MANY, ("/s",))
    assert [line.split(maxsplit=2)[:2] for line in table_lines(rows)] == [
        ["folder", "cases"],
        ["needs", "you"],
        ["running", "g1/run"],
        ["at", "rest"],
        ["at", "rest"],
    ]
    lines = list(table_lines(rows))
    assert lines[1] == "needs you  g2/you   1/2                  b: failed"
    assert lines[4] == "at rest    g2/rest         1971-01-01    Everything is here."
    assert totals(rows) == (
        "4 folders: 1 needs you, 1 running, 2 at rest. 1 of 2 cases done. 1 folder on VIP with 2.0 kB."
    )


def test_a_folder_of_which_nothing_was_sent_is_on_vip_since_no_day() -> None:
    """Its place there is taken, and that is all; an empty file is a file."""
    opened: dict[str, Any] = {"phase": "open", "since": 86400.0}
    rows = overview([made("/s/a", **opened), made("/s/b", files=1, **opened)])
    assert [row.day for row in rows] == ["", "1970-01-02"]
    assert totals(rows) == (
        "2 folders: 2 at rest. 1 folder on VIP with 0 bytes. 1 folder with nothing sent yet."
    )
    told = "\n".join(details(made(**opened, where="/vip/Home/API/x")))
    assert "On VIP: nothing sent yet, in /vip/Home/API/x" in told


def picture(statuses: list[Status], height: int, width: int = 100) -> list[str]:
    """Return what `run` shows on a terminal of this size."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, height=height, color_system=None)
    reporter = Reporter(console)
    reporter.named([Path("/s")])
    with reporter.live():
        for status in statuses:
            reporter.watch(Path(status.folder), status)
    drawn = file.getvalue().rpartition("\x1b[2K")[2]
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d?]*\w|\r", "", drawn).splitlines() if line]


def test_a_low_terminal_shows_those_that_ask_for_most() -> None:
    """What is cut is at rest before it waits, and waits before it runs; the totals are always there."""
    many = [made(f"/s/rest{n:02}", sentence="Everything is here.") for n in range(30)]
    lines = picture([*many, *MANY[2:]], height=10)
    assert len(lines) <= 10
    assert lines[1].split()[:2] == ["!", "g2/you"]
    assert lines[2].split()[:2] == ["▸", "g1/run"]
    assert lines[-2] == "… and 25 at rest"
    assert lines[-1].startswith("32 folders: 1 needs you, 1 running, 30 at rest.")


def test_a_row_stays_on_one_line_of_a_narrow_terminal() -> None:
    """Of a long name the end is shown, which tells folders apart; a long sentence is cut."""
    name = "group/" * 20 + "study-a"
    lines = picture([made(f"/s/{name}", sentence="word " * 50), *MANY], height=20, width=72)
    assert len(lines) == 7
    assert max(map(len, lines)) <= 72
    assert any("group/study-a" in line for line in lines)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        (
            "Waiting for settings.toml to be mended: /s/st07/settings.toml, line 26, column 3: this is not TOML",
            "settings.toml, line 26, column 3: this",
        ),
        ("Stopped: /s/st07/outputs is a link.", "outputs is a link."),
        (
            "Needs you: a: failed; `vipsync why /s/st07/inputs/a`",
            "a: failed; `vipsync why /s/st07/in",
        ),
        ("Needs you: b: /s/st070/x is not there.", "b: /s/st070/x is not there."),
    ],
)
def test_a_row_begins_with_the_fault(sentence: str, shown: str) -> None:
    """What else the row says takes no room from it, on the narrowest terminal that is common."""
    wrong = made("/s/st07", sentence=sentence, exit_code=1)
    lines = picture([wrong, *MANY], height=20, width=80)
    (row,) = [line for line in lines if "st07 " in line]
    assert row.startswith(f"!  st07            {shown}"), row


def test_every_key_of_the_document_for_programs_is_told() -> None:
    """examples/status-json.md has each key of a folder, a case, an execution and a notice, and no other."""
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", DOCUMENT.read_text("utf-8"), re.M)
    keys = [key for cell, _ in rows for key in re.findall(r"`(\w+)`", cell)]
    assert sorted(keys) == sorted(field.name for field in fields(Status))
    told = dict(rows)
    for key, kind in (("cases", CaseReport), ("executions", ExecutionReport), ("notices", Notice)):
        words = set(re.findall(r"`(\w+)`", told[f"`{key}`"]))
        assert {field.name for field in fields(kind)} <= words, key


def test_thirty_folders_of_ten_groups_are_one_table(call: Caller, served: Served) -> None:
    """Ten have the same name, and are told apart; --all has each of them in full, --json a version."""
    for group in range(10):
        for name in ("study-a", "study-b", "study-c"):
            root = served.study(f"share/group{group}/{name}", a=f"{group}{name}")
            text = SETTINGS.replace("{name}", f"g{group}-{name}")
            (root / "settings.toml").write_text(text)
    served.world.faults.arm(Kind.JOB_FAILS)
    share = served.root / "share"
    assert call("pause", "--yes", share).code == 0
    assert call("resume", share / "group3" / "study-a").code == 0
    assert call("run", "--once", share / "group3" / "study-a").code == 3
    said = call("status", share)
    assert said.code == 3
    lines = said.out.splitlines()
    assert lines[1].startswith("needs you  group3/study-a  0/1")
    assert sum(bool(re.search(r"group\d/study-a ", line)) for line in lines) == 10
    assert len(lines) == 33
    assert lines[31].startswith("30 folders: 1 needs you, 29 paused.")
    assert lines[32].startswith("vipsync is not running in group0/study-a, ")
    assert lines[32].endswith(" and 25 more.")
    full = call("status", "--all", share).out
    assert full.count("Nothing of this session is on VIP.") == 29
    document = json.loads(call("status", "--json", share).out)
    assert [found["version"] for found in document] == [1] * 30
