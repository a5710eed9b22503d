"""What a folder's state is, as data."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from datetime import UTC
from pathlib import Path

import pytest

from tests.lab import builders
from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.builders import (
    CLOSED,
    NOW,
    OPEN,
    UPLOAD_ONLY,
    execution,
    known,
    launched,
    memory,
    snapshot,
    there,
)
from vipsync import actions as do
from vipsync.errors import DiskError, Unreachable
from vipsync.folder.folder import SessionFolder
from vipsync.model import ExecutionStatus, Job, LaunchSettings, RelPath, moment, replace
from vipsync.plan.draft import Level, Notice
from vipsync.plan.plan import plan
from vipsync.report.news import News
from vipsync.rows import Changes, JobLog, Row, Session
from vipsync.status.publish import status_json, troubled
from vipsync.status.status import Status, at_place
from vipsync.status.summary import status_of
from vipsync.status.words import status_text, when

AB = {"a.dat": "one", "b.dat": "three"}
MANUAL = replace(snapshot().settings, launch=LaunchSettings("manual"))
READY, READY_B = there("a.dat", "one"), there("b.dat", "three")
JOBS = (Job(1, "COMPLETED", 0), Job(2, "RUNNING"), Job(3, "QUEUED"), Job(4, "RUNNING"))


@pytest.mark.parametrize(
    ("status", "jobs"),
    [
        (ExecutionStatus.RUNNING, {"done": 1, "running": 2, "queued": 1}),
        (ExecutionStatus.UNKNOWN, {"done": 1, "running": 2, "queued": 1}),
        (ExecutionStatus.KILLED, {"done": 1, "stopped": 3}),
        (ExecutionStatus.EXECUTION_FAILED, {"done": 1, "stopped": 3}),
    ],
)
def test_an_execution_that_has_ended_shows_no_running_jobs(
    status: ExecutionStatus, jobs: dict[str, int]
) -> None:
    """VIP tells of those of a stopped one for good that they run."""
    moment = snapshot(execution("e1", status, jobs=JOBS), session=OPEN, memory=memory())
    (report,) = status_of(moment, plan(moment), "/s").executions
    assert dict(report.jobs) == jobs


@pytest.mark.parametrize(
    ("number", "shown", "jobs", "so_far"),
    [
        (2, JOBS[:1], {"done": 1, "queued": 1}, "1 of 2"),
        (5, JOBS, {"done": 1, "running": 2, "queued": 2}, "1 of 5"),
        (2, (), {"queued": 2}, "0 of 2"),
        (1, JOBS[:2], {"done": 1, "running": 1}, "1 of 2"),
    ],
)
def test_every_job_that_was_launched_counts(
    number: int, shown: tuple[Job, ...], jobs: dict[str, int], so_far: str
) -> None:
    """VIP shows the second job later than the first; both were asked for at once."""
    running = execution("e1", ExecutionStatus.RUNNING, jobs=shown)
    moment = snapshot(launched("a.dat", "one", jobs=number), running, session=OPEN, memory=memory())
    status = status_of(moment, plan(moment), "/s")
    assert dict(status.executions[0].jobs) == jobs
    assert f"1 execution running, {so_far} jobs done" in status.sentence


def test_what_no_job_of_has_begun_is_queued_and_has_no_folder_yet(bench: Bench) -> None:
    """Until VIP says where the results go there is no place to name, and no job runs."""
    bench.job_seconds = lambda _job: 600.0
    study = bench.study(a="one")
    seen: list[tuple[str, str]] = []

    def over() -> bool:
        found = told(study)
        seen.extend((c.reason, e.folder) for c in found.cases for e in found.executions)
        for line in status_text(found, "host").splitlines():
            assert not line.endswith("→ outputs/")
            assert "→ outputs/workflow-" not in line
        return found.counts == {"done": 1}

    bench.until(over)
    assert ("queued on VIP", "") in seen
    assert [reason for reason, folder in seen if folder][-2:] == ["", ""]


@pytest.mark.parametrize(
    ("session", "rows", "files", "sentence"),
    [
        (OPEN, [*READY, *READY_B], AB, "2 files in inputs/, all of them on VIP."),
        (CLOSED, [], AB, "2 files in inputs/, none of them on VIP."),
        (replace(OPEN, paused=True), READY, AB, "2 files in inputs/, 1 of them on VIP."),
        (OPEN, [], {}, "Waiting for files in inputs/."),
    ],
)
def test_a_folder_whose_files_are_only_sent_says_how_many_are_on_vip(
    session: Session, rows: list[Row], files: dict[str, str], sentence: str
) -> None:
    """It waits for nothing where they are there."""
    moment = snapshot(
        *rows, session=session, files=files, settings=UPLOAD_ONLY, memory=memory({"a.dat": 3})
    )
    assert status_of(moment, plan(moment), "/s").sentence.endswith(sentence)


def told(study: Study) -> Status:
    """Return what is said of a folder now."""
    session = study.session
    assert session.snapshot
    assert session.plan
    return status_of(session.snapshot, session.plan, str(study.root))


def test_a_mistake_in_the_settings_is_waited_for(bench: Bench) -> None:
    """Nothing has stopped: once it is mended, what runs goes on by itself."""
    study = bench.study(a="one")
    bench.rest()
    text = (study.root / "settings.toml").read_text()
    (study.root / "settings.toml").write_text(f"no such line\n{text}")
    study.notice()
    bench.rest()
    assert told(study).sentence.startswith("Waiting for settings.toml to be mended: ")
    for wrong, first, second in (
        (f'sesion_name = "x"\nportl = "y"\n{text}', "sesion_name", "portl"),
        (f'{text}foo = "x"\nbar = "y"\n', "foo", "bar"),
    ):
        (study.root / "settings.toml").write_text(wrong)
        study.notice()
        bench.rest()
        sentence = told(study).sentence
        assert re.search(rf"\b{first}: .*; .*\b{second}: ", sentence), sentence
    (study.root / "settings.toml").write_text(text)
    study.notice()
    bench.rest()
    assert told(study).sentence.startswith("Everything is here: ")


def test_everything_is_never_here_beside_what_is_not_in_order(bench: Bench) -> None:
    """Files that no setting uses, results that were changed, inputs that went: each is said."""
    study = bench.study(a="one", b="two")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    assert told(study).sentence == "Everything is here: 2 cases done, 2 results; VIP is clean."
    study.write({"notes.txt": "x"})
    (study.root / "inputs/b.mrui").unlink()
    study.result("a.txt").write_text("my own words")
    study.notice()
    bench.rest()
    assert told(study).sentence == (
        "1 case done, 2 results; no setting uses 1 file in inputs/; 1 result changed on this "
        "machine; 1 input no longer in inputs/; VIP is clean."
    )


def test_a_clean_vip_is_said_beside_what_is_asked(bench: Bench) -> None:
    """The headline and the lines say it once, also where a case has failed or waits for a file."""
    bench.runner.work = lambda job: (
        50 if "bad" in str(job.invocation["signal"]) else {"fit": b"good"}
    )
    study, news = bench.study(a="one", bad="two"), News()
    bench.rest()
    assert "VIP is clean" not in told(study).sentence
    assert "VIP is clean." not in list(news.lines(told(study), [], [], 0.0))
    study.marker.unlink()
    bench.rest()
    assert told(study).sentence.startswith("Needs you: bad.mrui: failed")
    assert told(study).sentence.endswith("; VIP is clean.")
    assert list(news.lines(told(study), [], [], 1.0)).count("VIP is clean.") == 1
    assert "VIP is clean." not in list(news.lines(told(study), [], [], 100.0))


def test_data_where_nobody_looks_for_them_are_named_with_their_place(bench: Bench) -> None:
    """Beside inputs/ and in outputs/; not notes, hidden names, our own files, or what is told to be left out."""
    study = bench.study(a="one")
    study.write({"b.mrui": "x", "raw/c.mrui": "x", "d.mrui": "x", "own.mrui": "x"}, ".")
    study.write({"README.md": "x", "fit.py": "x", ".hidden": "x", "other/settings.toml": ""}, ".")
    study.write({"e.mrui": "x", ".f": "x", "all-fits.csv": "x"}, "outputs")
    study.write({".vipsyncignore": "own.mrui\n"}, ".")
    (study.root / "link").symlink_to(study.root / "raw")
    bench.rest()
    status = told(study)
    assert status.sentence == (
        "1 case done, 1 result; 4 items beside inputs/ not used; 1 file in outputs/ not written by "
        "vipsync; the data are still on VIP."
    )
    assert (
        "Only what lies in inputs/ is used; beside it: b.mrui, d.mrui, link, raw/.\n"
        "In outputs/, but not written by vipsync: e.mrui.\n"
        "Move into inputs/ what the pipeline needs; a name in .vipsyncignore is not mentioned.\n"
    ) in status_text(status, "pc")
    assert not any("d.mrui" in n.text for n in status.notices)  # which the log repeats
    assert status.exit_code == 0
    assert status_text(status, "pc").count("d.mrui") == 1
    for path in ("b.mrui", "d.mrui", "link", "outputs/e.mrui"):
        (study.root / path).unlink()
    (study.root / "raw").rename(study.root / "inputs/raw")
    study.notice()
    bench.rest()
    assert told(study).sentence.startswith(
        "1 case done, 1 result; no setting uses 1 file in inputs/;"
    )


@pytest.mark.parametrize("directory", ["data/in", "./data/in", "data"])
def test_the_folders_that_settings_name_lie_beside_nothing(bench: Bench, directory: str) -> None:
    """Whatever inputs/ is called, and however deep it lies."""
    settings = f'{SETTINGS}\n[inputs]\ndirectory = "{directory}"\n'
    study = bench.study(settings=settings)
    study.write({"a.mrui": "one"}, directory)
    bench.rest()
    assert told(study).sentence.startswith("Everything is here: 1 case done")


@pytest.mark.parametrize(
    ("pattern", "files", "words"),
    [
        ("*.dat", ["sub/a.mrui", "sub/b.mrui", "x.log"], 'signal = "sub/*.mrui"'),
        (
            "inputs/*.mrui",
            ["a.mrui"],
            'begins with inputs/, but paths start inside inputs/: write signal = "*.mrui".',
        ),
    ],
)
def test_files_that_no_setting_uses_get_the_line_that_would(
    bench: Bench, pattern: str, files: list[str], words: str
) -> None:
    """What is to be written can be copied."""
    study = bench.study(settings=SETTINGS.replace("*.mrui", pattern))
    study.write(dict.fromkeys(files, "x"))
    bench.rest()
    (notice,) = [n for n in study.notices if n.subject == "inputs"]
    assert notice.remedy.endswith(words)


def test_the_marker_has_one_answer(bench: Bench) -> None:
    """It may go at any time; where it is gone, what goes on is said, not that it is to be deleted."""
    study = bench.study(a="one")
    bench.rest()
    assert "You may delete ON_VIP.txt at any time" in status_text(told(study), "host")
    study.marker.unlink()
    study.notice()
    bench.until(lambda: "ON_VIP.txt" in {n.subject for n in study.notices})
    text = status_text(told(study), "host")
    assert f"ON_VIP.txt is gone: while `vipsync run {study.root}` runs," in text
    assert "delete ON_VIP.txt" not in text


def test_files_of_an_earlier_run_do_not_change_at_a_start() -> None:
    """They are looked at a second time, and nothing is said of that; a new one is still changing."""
    moment = snapshot(
        known("a.dat", "one"),
        files=AB,
        unsettled={RelPath("a.dat"): NOW + 1, RelPath("b.dat"): NOW + 1},
        memory=memory({"a.dat": 3}),
    )
    assert "1 file still changing" in status_of(moment, plan(moment), "/s").sentence
    alone = replace(moment, files={RelPath("a.dat"): moment.files[RelPath("a.dat")]})
    quiet = replace(alone, unsettled={RelPath("a.dat"): NOW + 1})
    assert "still changing" not in status_of(quiet, plan(quiet), "/s").sentence


@pytest.mark.parametrize("folder", ["/data/my study", "/data/it's"])
def test_advice_is_a_command_to_copy(folder: str) -> None:
    """It names the folder, as a shell reads it, wherever it is given."""
    moment = snapshot(files={"a.dat": "one"}, settings=MANUAL, memory=memory({"a.dat": 3}))
    status = status_of(moment, plan(moment), folder)
    command = f"`vipsync launch {shlex.quote(folder)}`"
    assert command in status.sentence
    assert [case.reason for case in status.cases] == [f"{command} starts it"]
    told = Notice(Level.PERSON, "outputs", "See `vipsync why PATH`.", "`vipsync forget DIR`, DIR")
    placed = at_place(told, folder)
    assert placed.remedy == f"`vipsync forget {shlex.quote(folder)}`, DIR"
    assert placed.text == told.text


@pytest.mark.parametrize(("full_at", "starting"), [(None, 1), (NOW - 31, 0), (NOW - 3600, 0)])
def test_a_launch_that_asks_again_for_a_slot_is_queued(
    full_at: float | None, starting: int
) -> None:
    """It says nothing new each time that VIP has none."""
    remembered = memory({"a.dat": 3}, slots_full_at=full_at)
    moment = snapshot(
        *there("a.dat", "one"), session=OPEN, files={"a.dat": "one"}, memory=remembered
    )
    made = plan(moment)
    assert [type(action).__name__ for action in made.actions] == ["StartExecution"]
    status = status_of(moment, made, "/s")
    assert status.starting == starting
    assert ("Starting" in status.sentence) is bool(starting)
    assert ("queued" in status.sentence) is not bool(starting)


def test_what_failed_is_told_with_its_log_where_that_is_on_its_way() -> None:
    """Not twice, and not for longer than it is fetched: before and after, it asks for a person."""
    failed = execution("e1", ExecutionStatus.EXECUTION_FAILED, jobs=(Job(1, "ERROR", 50),))
    rows = (launched("a.dat", "one", execution_id="e1"), failed)
    moment = snapshot(*READY, *rows, session=OPEN, files={"a.dat": "one"}, memory=memory())
    before = status_of(moment, plan(moment), "/s")
    assert (len(before.failures), before.exit_code) == (1, 3)
    moment.memory.under_way.add(do.Key(do.FetchLogs, "e1 1"))
    on_its_way = status_of(moment, plan(moment), "/s")
    assert (on_its_way.failures, on_its_way.exit_code, on_its_way.hearing) == ((), 0, 1)
    assert on_its_way.sentence == "Fetching the logs of 1 failed job."
    moment.memory.under_way.clear()
    log = JobLog("e1 1", (RelPath("e1/logs/job-1.stdout.txt"),), "no peak", ("reading", "no peak"))
    moment.state.put([log])
    (after,) = status_of(moment, plan(moment), "/s").failures
    assert (after.reason, after.said) == ("no peak", ("reading", "no peak"))


def test_an_outage_is_told_since_when() -> None:
    """By the clock of this machine: a person knows whom to ask, and about what."""
    trouble = builders.attempt(Unreachable("No answer."), 2, since=builders.NOW - 600)
    moment = snapshot(session=OPEN, memory=memory(trouble=trouble))
    sentence = status_of(moment, plan(moment), "/s").sentence
    assert f"VIP does not answer since {when(moment.wall - 600)}, and is asked again" in sentence


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (1e300, "9999-12-31"),
        (float("inf"), "9999-12-31"),
        (2.6e11, "9999-12-31"),
        (-1e300, "1970-01-01"),
        (float("nan"), "1970-01-01"),
    ],
)
def test_a_time_that_no_calendar_has_is_told_as_near_as_can_be(seconds: float, told: str) -> None:
    """Others can write in a ledger: the status of all other folders is told beside this one."""
    assert moment(seconds, UTC).isoformat().startswith(told)
    assert when(seconds)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system takes no zone from TZ")
def test_a_zone_that_no_day_has_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment may say anything."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-167:59:59")
        time.tzset()
        told = when(0.0)
    time.tzset()
    assert told == "1970-01-01 00:00 UTC"


def test_a_ledger_with_an_impossible_time_stops_no_status(bench: Bench) -> None:
    """One folder of many: its text, its data and its table are made all the same."""
    study = bench.study(a="1")
    bench.rest()
    session = replace(study.state.session, opened_at=1e300)
    study.session.ledger.commit(Changes(put=(session,)))
    bench.rest()
    assert "since 9999-12-31" in status_text(told(study), "pc")


@pytest.mark.parametrize("changes", [False, True])
def test_saved_settings_make_no_case_undone(bench: Bench, *, changes: bool) -> None:
    """While they become quiet each file is looked at once more; only one that has changed is changing."""
    study = bench.study(a="one")
    bench.rest()
    study.settings.write_text(f"{SETTINGS}\n")
    if changes:
        study.drop(a="other")
    bench.loop.timing.sleep(10)
    bench.loop.turn()
    assert study.session.snapshot
    assert study.session.plan
    assert study.session.snapshot.unsettled
    status = status_of(study.session.snapshot, study.session.plan, "/s")
    assert dict(status.counts) == ({"settling": 1} if changes else {"done": 1})


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", b"a\nb\xc3"])
def test_a_folder_whose_name_is_no_text_is_told_as_text(tmp_path: Path, name: bytes) -> None:
    """Its fault names it, and goes into a document of UTF-8."""
    folder = SessionFolder(tmp_path / os.fsdecode(name))
    told = troubled(folder, DiskError(f"{folder.root / 'x'} cannot be read.", "Look there."), 0.0)
    (read,) = json.loads(status_json([told]).encode())
    assert "cannot be read." in read["sentence"]
