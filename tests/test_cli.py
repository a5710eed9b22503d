"""The command line: what it says, what it changes, and the code with which it ends."""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pytest

from tests.lab.pipelines import written
from tests.lab.scans import rda
from tests.lab.served import KEY, SETTINGS, Caller, Served, serve, wait_until
from vipsync.cli import station, vipsync
from vipsync.commands import account
from vipsync.commands import status as commands_status
from vipsync.commands.demo import last_port
from vipsync.folder.folder import SessionFolder
from vipsync.local import Job, Kind
from vipsync.record.ledger import Ledger, read_state
from vipsync.report.stream import Stream
from vipsync.rows import Phase, Session
from vipsync.settings.reading import load


def tree(root: Path) -> dict[str, bytes | None]:
    """Return everything below a folder."""
    return {
        str(p.relative_to(root)): p.read_bytes() if p.is_file() else None
        for p in sorted(root.rglob("*"))
    }


def results(study: Path) -> list[str]:
    """Return the unpacked results of a session."""
    return sorted(p.name for p in (study / "outputs").glob("*/*.tgz/*"))


# help and usage


def test_help_shows_purpose_commands_example_and_exit_codes(call: Caller) -> None:
    """`vipsync --help` names every command of the contract and every exit code; each option says what it does."""
    said = call("--help").out
    for name in vipsync.commands:
        assert f"\n  {name} " in said
    assert len(vipsync.commands) == 25
    commands = {**vipsync.commands, **station.commands}
    assert [n for n, c in commands.items() if c.get_short_help_str(63)[-3:] == "..."] == []
    bare = [
        (name, option.name)
        for name, command in {**commands, "vipsync": vipsync}.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert bare == []
    assert "Example:" in said
    assert "\n    130 " in said


@pytest.mark.parametrize("command", ["init", "run", "status", "finish"])
def test_each_command_shows_an_example(call: Caller, command: str) -> None:
    """`--help` of a command ends with a line to copy."""
    said = call(command, "--help")
    assert said.code == 0
    assert f"Example:\n    vipsync {command}" in said.out


def test_wrong_usage_ends_with_2(call: Caller) -> None:
    """An option that does not exist is told on stderr."""
    said = call("run", "--twice", "x")
    assert said.code == 2
    assert "--twice" in said.err


def test_the_version_is_shown(call: Caller) -> None:
    """`--version` names vipsync's version, Python's, and where settings lie."""
    first, second = call("--version").out.splitlines()
    assert first.startswith("vipsync, version 0.")
    assert first.endswith(f"with Python {platform.python_version()}")
    assert re.fullmatch(r"Your settings lie in /.+/vipsync", second)


# init


def test_init_makes_a_folder_that_check_finds_in_order(call: Caller, served: Served) -> None:
    """The settings are filled in from the pipeline, and the next steps are told in three lines."""
    study = served.root / "new study"
    said = call("init", study, "--pipeline", "mrs-spectrum/1.0")
    assert said.code == 0
    assert len(said.out.splitlines()) == 4
    assert 'signal = "*"' in (study / "settings.toml").read_text()
    assert '\n# session_name = "my-study" ' in (study / "settings.toml").read_text()
    said = call("check", study)
    assert said.code == 0
    assert "There are none in inputs/ yet." in said.out
    assert "used by a setting" not in said.out


def test_a_pipeline_is_described_in_sentences(call: Caller) -> None:
    """What it is for, its default and its choices are not one run of words."""
    said = " ".join(call("pipelines", "mrs-spectrum").out.split())
    assert "1, 2 or 4. Default: 2. One of" in said


def test_init_takes_a_name_that_is_free_on_vip(call: Caller, served: Served) -> None:
    """A folder of the same name elsewhere may have a session already; VIP is not told this name."""
    (served.world.root / "users/local_user/API/study").mkdir(parents=True)
    (served.world.root / "users/local_user/API/study-2").mkdir()
    study = served.root / "elsewhere" / "study"
    assert call("init", study, "--pipeline", "mrs-spectrum/1.0").code == 0
    assert '\nsession_name = "study-3"\n' in (study / "settings.toml").read_text()
    (study / "settings.toml").write_text(
        (study / "settings.toml").read_text().replace("study-3", "study-2")
    )
    assert 'session_name = "study-2-2" in settings.toml is free' in call("check", study).out


def test_init_never_overwrites_settings(call: Caller, served: Served) -> None:
    """A settings.toml that is there stays as it is."""
    study = served.study(settings="mine")
    assert call("init", study).code == 1
    assert (study / "settings.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("environ", "code"), [({"VIP_API_KEY": ""}, 4), ({"VIP_PORTAL_URL": "http://127.0.0.1:9"}, 5)]
)
def test_init_makes_nothing_where_vip_cannot_be_asked(
    call: Caller, served: Served, environ: dict[str, str], code: int
) -> None:
    """Without key or network there is no half-made folder."""
    study = served.root / "deep" / "study"
    said = call("init", study, "--pipeline", "mrs-spectrum/1.0", environ=environ)
    assert said.code == code
    assert not study.parent.exists()


def test_a_copied_folder_becomes_a_session_of_its_own(call: Caller, served: Served) -> None:
    """`init --fresh` moves what belongs to the old session aside, and the copy launches anew."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    copy = served.root / "copy"
    shutil.copytree(study, copy)
    assert call("run", "--once", copy).code == 3
    said = call("init", "--fresh", copy)
    assert said.code == 0
    assert not (copy / "ON_VIP.txt").exists()
    assert (copy / ".vipsync" / "old-1" / "ledger.sqlite").exists()
    assert (copy / ".vipsync" / "old-1" / "session_data.json").exists()
    assert (study / "ON_VIP.txt").exists()
    assert call("run", "--once", copy).code == 3  # its settings name the session of the original
    (copy / "settings.toml").write_text(SETTINGS.replace("{name}", "copy"))
    assert call("run", "--once", copy).code == 0
    assert served.on_vip() == ["copy", "study"]
    assert served.launches() == 2


def test_a_session_with_data_on_vip_is_not_made_fresh(call: Caller, served: Served) -> None:
    """Nobody else knows of them: they are to be removed first. Once they are gone, it may be."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    before = SessionFolder(study).identity()
    said = call("init", "--fresh", study)
    assert said.code == 3
    assert f"vipsync finish {study}" in said.err
    assert SessionFolder(study).identity() == before
    assert (study / "ON_VIP.txt").exists()
    moved = study.rename(study.with_name("moved"))
    assert call("init", "--fresh", moved).code == 3
    moved.rename(study)
    shutil.rmtree(served.world.root / "users/local_user/API/study")
    assert call("init", "--fresh", study).code == 0
    assert call("run", "--once", study).code == 0
    assert call("finish", study).code == 0
    assert call("init", "--fresh", study).code == 0


def test_a_copied_folder_is_said_to_be_one(call: Caller, served: Served) -> None:
    """Who looks at it is not told of the data and the marker of the original; nothing is changed."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    copy = served.root / "copy"
    shutil.copytree(study, copy)
    before = tree(copy)
    for command in ("status", "plan", "check"):
        said = call(command, copy)
        assert said.code == 3
        assert f"{copy} is a copy of {study}" in said.out + said.err
        assert f"`vipsync init --fresh {copy}`" in said.out + said.err
        assert "delete ON_VIP.txt" not in said.out
    assert tree(copy) == before
    assert call("status", study).code == 0


def test_a_session_of_vip_client_is_adopted_with_its_values(call: Caller, served: Served) -> None:
    """`init --adopt` writes them as settings, so that nothing else counts as launched before."""
    study, home = served.root / "old", "/vip/Home/API/their-session"
    (study / "outputs").mkdir(parents=True)
    backup = {
        "session_name": "their-session",
        "pipeline_id": "mrs-spectrum/1.0",
        "local_input_dir": "data",
        "local_output_dir": "out",
        "vip_input_dir": f"{home}/INPUTS",
        "vip_output_dir": f"{home}/OUTPUTS",
        "input_settings": {"signal": [f"{home}/INPUTS/a.mrui", f"{home}/INPUTS/_v2/b.mrui"]},
        "workflows": {},
    }
    (study / "outputs" / "session_data.json").write_text(json.dumps(backup))
    assert call("init", "--adopt", study).code == 0
    text = (study / "settings.toml").read_text()
    assert 'session_name = "their-session"' in text
    assert 'pipeline_id = "mrs-spectrum/1.0"' in text
    assert load(study, environ={}).input_settings["signal"] == ("a.mrui", "b.mrui")
    for name in ("a", "b", "never"):
        (study / "inputs" / f"{name}.mrui").write_text(name)
    assert "never.mrui: used by no setting" in call("check", study).out


@pytest.mark.parametrize("status", ["Finished", "Removed"])
def test_what_is_adopted_is_its_own_before_the_first_run(
    call: Caller, served: Served, status: str
) -> None:
    """No look at it says that its place on VIP is another's, or that it would start anything anew."""
    study = served.study("old", a="one")
    (study / "outputs").mkdir(exist_ok=True)
    backup = {
        "session_name": "old",
        "pipeline_id": "mrs-spectrum/1.0",
        "workflows": {"workflow-1": {"status": status, "start": None, "outputs": []}},
    }
    (study / "outputs" / "session_data.json").write_text(json.dumps(backup))
    (served.world.root / "users" / "local_user" / "API" / "old" / "INPUTS").mkdir(parents=True)
    before = tree(study)
    for command in ("check", "plan"):
        said = call(command, study)
        assert "another session" not in said.out
        assert not re.search("1 execution(,| with)", said.out)  # what runs there is told
        assert said.code == 0
    assert tree(study) == before


def test_nothing_to_adopt_is_an_error(call: Caller, served: Served) -> None:
    """Without marker and backup, `--adopt` makes nothing."""
    said = call("init", "--adopt", served.root / "none")
    assert said.code == 1
    assert not (served.root / "none").exists()


# the key


def test_login_checks_and_keeps_a_key_from_a_pipe(call: Caller, served: Served) -> None:
    """The key is never an argument; the file is for its owner alone, and serves from then on."""
    without = {"VIP_API_KEY": ""}
    said = call("login", environ=without, typed=f"{served.key}\n")
    assert said.code == 0
    kept = next((served.root / "config" / "vipsync").iterdir())
    assert kept.read_text() == f"{served.key}\n"
    assert kept.stat().st_mode & 0o077 == 0
    assert call("pipelines", environ=without).code == 0


def test_login_keeps_no_key_that_vip_refuses(call: Caller, served: Served) -> None:
    """A wrong key ends with 4, is not kept and not shown."""
    said = call("login", typed=f"{KEY}\n")
    assert said.code == 4
    assert KEY not in said.out + said.err
    assert not (served.root / "config").exists()


def test_an_empty_pipe_gives_no_key(call: Caller) -> None:
    """Without a line there is nothing to check."""
    assert call("login", typed="").code == 4


def test_a_key_from_a_file_goes_before_the_environment(call: Caller, served: Served) -> None:
    """`--api-key-file` names the file that holds the key."""
    file = served.root / "key"
    file.write_text(f"{served.key}\n")
    file.chmod(0o600)
    wrong = {"VIP_API_KEY": KEY}
    assert call("pipelines", environ=wrong).code == 4
    assert call("--api-key-file", file, "pipelines", environ=wrong).code == 0


# check, plan, why


def test_check_changes_nothing(call: Caller, served: Served) -> None:
    """Before and after, the folder is the same byte for byte, and VIP is empty."""
    study = served.study(a="one", b="two")
    before = tree(study)
    for command in ("check", "plan", "status"):
        assert call(command, study).code == 0
    assert tree(study) == before
    assert served.on_vip() == []


@pytest.mark.parametrize("whole", [True, False], ids=["deleted", "emptied"])
def test_status_never_calls_a_result_here_that_was_deleted(
    call: Caller, served: Served, whole: bool
) -> None:
    """While VIP has it, it comes again with the next run; until then it is not here."""
    study = served.study(a="one", b="two")
    assert call("run", "--once", study).code == 0
    assert "Everything is here: 2 cases done" in call("status", study).out
    (gone,) = (study / "outputs").glob("2*/a.mrui.tgz")
    (gone / "a.txt").unlink()
    if whole:
        gone.rmdir()
    said = call("status", study).out
    assert "Everything is here" not in said
    assert "1 result" in said.splitlines()[0]
    assert call("run", "--once", study).code == 0
    assert "Everything is here: 2 cases done" in call("status", study).out


def test_check_says_what_would_start_and_what_is_unused(call: Caller, served: Served) -> None:
    """Files, cases, executions and jobs are counted; an unused file is named."""
    study = served.study(a="one", b="two")
    (study / "inputs" / "notes.docx").write_text("not for VIP")
    said = call("check", study).out
    assert "3 in inputs/, 1 of them used by no setting" in said
    assert "notes.docx" in said
    assert "2 of 2 complete" in said
    assert "1 execution with 2 jobs would start; 2 files, 6 bytes, would be sent" in said
    assert "queued" not in said  # nothing was sent yet


def test_check_names_what_is_needed_where_no_file_is_used(call: Caller, served: Served) -> None:
    """Files that are there but used by nothing need a person: 3."""
    study = served.study()
    (study / "inputs" / "a.mriu").write_text("one")
    assert call("check", study).code == 3


def test_a_typo_in_the_settings_is_told_with_the_right_word(call: Caller, served: Served) -> None:
    """Check and run name the file, the line and the nearest word, and end with 1."""
    study = served.study(settings=SETTINGS.replace("settle", "setle"), a="one")
    for command in (("check", study), ("run", "--once", study)):
        said = call(*command)
        assert said.code == 1
        assert "setle" in said.out
        assert '"settle"' in said.out
    assert served.on_vip() == []


def test_an_unknown_parameter_is_found_by_check(call: Caller, served: Served) -> None:
    """What the pipeline does not know is an error of the settings; which files they use is not said then."""
    study = served.study(settings=SETTINGS.replace("signal =", "signals ="), a="one")
    said = call("check", study)
    assert said.code == 1
    assert "signals" in said.out
    assert "files: 1 in inputs/.\n" in said.out


@pytest.mark.parametrize("wrong", ["peeks = 5", 'zerofill = "7"'])
def test_check_says_of_files_what_settings_that_hold_make_of_them(
    call: Caller, served: Served, wrong: str
) -> None:
    """While a setting is wrong nobody knows which files are used."""
    settings = f'pipeline_id = "mrs-spectrum/1.0"\n[input_settings]\nsignal = "*.mrui"\n{wrong}\n'
    study = served.study(settings=settings, a="one")
    (study / "inputs" / "day2").mkdir()
    (study / "inputs" / "day2" / "b.mrui").write_text("two")
    said = call("check", study).out
    assert "2 in inputs/." in said
    assert "used by" not in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("signal = { zip = 3 }\n[launch]\nnb_run = 2", ["launch.nb_run: unknown", "signal: 3 must be text"]),
        ("signal = { file = '*', as = 'a*' }\n[launch]\nnb_run = 2", ["nb_run", "signal: as = 'a*'"]),
        ("zero_fill = 3\nsignal = '*'\n[launch]\nnb_run = 2", ["nb_run", "zero_fill: '3' is not one of"]),
        ("signals = { file = '*', as = 'a*' }", ["did you mean signal?", "signals: as = 'a*'"]),
        ("signal = '*.mrui'\nzerofill = 7", ["did you mean", "zerofill: '7' is not one of"]),
        ("signal = ''\nzero_filling = '{who}'\n[launch]\nnb_run = 2", ["nb_run", "signal: is still empty"]),
    ],
)  # fmt: skip
def test_check_tells_all_that_is_wrong_at_once(
    call: Caller, served: Served, line: str, words: list[str]
) -> None:
    """Keys that are typing errors hide no value: of the file, of the pipeline, of the key that was meant."""
    settings = f'pipeline_id = "mrs-spectrum/1.0"\n[input_settings]\n{line}\n'
    said = call("check", served.study(settings=settings))
    assert said.code == 1
    assert [word for word in words if word not in said.out] == []
    assert "is missing" not in said.out


@pytest.mark.parametrize("wrong", ["", "peeks = 5", 'zero_fill = "7"'])
def test_what_was_never_started_is_not_said_to_start(
    call: Caller, served: Served, wrong: str
) -> None:
    """Before VIP was asked only `check` knows; and it, which cannot ask with a bad key, sends nobody to itself."""
    settings = f'pipeline_id = "mrs-spectrum/1.0"\n[input_settings]\nsignal = "*.mrui"\n{wrong}\n'
    study = served.study(settings=settings, a="one")
    said = " ".join(call("status", study).out.split())
    assert f"Not started yet: 1 file in inputs/; `vipsync check {study}` says whether" in said
    assert "vipsync check" not in call("check", study, environ={"VIP_API_KEY": "x" * 20}).out


@pytest.mark.parametrize("key", ['portal = "example"', 'pipeline_id = "what"', "api_key = 3"])
def test_check_asks_no_portal_by_settings_that_cannot_be(
    call: Caller, served: Served, key: str
) -> None:
    """What says where to ask, and as whom, must be right before anything is asked."""
    before = len(served.world.requests)
    said = call("check", served.study(settings=f"{key}\n[input_settings]\nsignal = 1\n"))
    assert said.code == 1
    assert len(served.world.requests) == before


@pytest.mark.parametrize(("key", "code"), [("directory", 3), ("share", 1)])
def test_check_names_the_setting_whose_folder_is_missing(
    call: Caller, served: Served, key: str, code: int
) -> None:
    """Inputs that are not there are no fault of the pipeline."""
    elsewhere = SETTINGS.replace("[inputs]", f'[inputs]\n{key} = "../absent"')
    said = call("check", served.study(settings=elsewhere, a="one"))
    assert said.code == code
    subject = r"inputs\b.*\[inputs\] directory" if key == "directory" else r"share\b.*absent"
    assert re.search(rf"^\W*{subject}", said.out, re.MULTILINE)
    assert "pipeline" not in said.out


def test_no_key_ends_with_4_and_says_how_to_get_one(call: Caller, served: Served) -> None:
    """Check and run name `vipsync login`."""
    study = served.study(a="one")
    for command in (("check", study), ("run", "--once", study)):
        said = call(*command, environ={"VIP_API_KEY": ""})
        assert said.code == 4
        assert "vipsync login" in said.out


def test_a_portal_that_cannot_be_reached_ends_with_5(call: Caller, served: Served) -> None:
    """Nobody listens there."""
    study = served.study(a="one")
    assert call("--portal", "http://127.0.0.1:9", "check", study).code == 5


def test_check_ticks_no_pipeline_of_which_vip_was_not_asked(call: Caller, served: Served) -> None:
    """What is known of it is from before."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    found = call("check", study).out
    assert "✓ pipeline: " in found, found
    said = call("--portal", "http://127.0.0.1:9", "check", study).out
    assert "· pipeline: " in said
    assert "what VIP said last time" in " ".join(said.split())


def test_a_name_that_is_taken_ends_with_3(call: Caller, served: Served) -> None:
    """Somebody else's folder on VIP is left alone, by check and by run."""
    study = served.study(a="one")
    theirs = served.world.root / "users" / "local_user" / "API" / "study"
    theirs.mkdir(parents=True)
    for command in (("check", study), ("run", "--once", study)):
        said = call(*command)
        assert said.code == 3
        assert "belongs to another session" in said.out
    assert list(theirs.iterdir()) == []


def test_plan_lists_what_would_be_sent_and_started(call: Caller, served: Served) -> None:
    """Each file with its place on VIP, each execution with its cases."""
    study = served.study(a="one", b="two")
    said = call("plan", study).out
    assert "a.mrui → /vip/Home/API/study/INPUTS/a.mrui (3 bytes)" in said
    assert "2 jobs: a.mrui, b.mrui" in said


def test_plan_lists_what_goes_up_without_a_pipeline(call: Caller, served: Served) -> None:
    """A folder that only uploads has files to send too, which `check` counts; sent ones are left out."""
    study = served.study(settings='session_name = "study"\n[inputs]\nsettle = "100ms"\n', a="one")
    said = call("plan", study).out
    assert "a.mrui → /vip/Home/API/study/INPUTS/a.mrui (3 bytes)" in said
    assert "1 file, 3 bytes, would be sent" in call("check", study).out
    assert call("run", "--once", study).code == 0
    assert "send: Nothing." in call("plan", study).out


def test_plan_lists_what_goes_up_though_no_case_needs_it(call: Caller, served: Served) -> None:
    """`upload = "all"`: every other file is named too, once."""
    everything = SETTINGS.replace("[inputs]", '[inputs]\nupload = "all"')
    study = served.study(settings=everything, a="one")
    (study / "inputs/notes.txt").write_text("n")
    said = call("plan", study).out
    assert "2 files, 4 bytes, would be sent" in said
    assert "notes.txt → /vip/Home/API/study/INPUTS/notes.txt (1 byte" in said


def test_plan_names_a_file_whose_content_may_be_new(call: Caller, served: Served) -> None:
    """Of the same size as what was sent: only reading it tells whether it goes up again."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    (study / "inputs/a.mrui").write_text("uno")
    said = call("plan", study).out
    assert "0 files, 0 bytes, would be sent; 1 more if its content is new." in said
    assert "a.mrui: its time changed; it is sent if its content is new" in said
    assert "sent if its content is new" in call("why", study / "inputs/a.mrui").out


def test_plan_says_how_much_packing_would_help(call: Caller, served: Served) -> None:
    """Many files for a parameter that takes an archive: the line that packs them, and what it saves."""
    served.world.pipelines.add(ARCHIVE)
    study = served.study(settings=FOLDERS)
    for number in range(300):
        file = study / "inputs" / f"s{number % 2}" / "dicom" / f"{number}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"slice {number}")
    said = call("plan", study).out
    assert (
        "series: 300 files take VIP about 1 min; packed they would be 2 archives, about 2 s" in said
    )
    setting = 'series = { zip = "{subject}/dicom/" }'
    assert f"Write {setting}" in said
    (study / "settings.toml").write_text(FOLDERS.replace('series = "{subject}/dicom/"', setting))
    packed = call("plan", study).out
    assert "2 files" in packed
    assert "s0/dicom/ → /vip/Home/API/study/INPUTS/" in packed
    assert "packing" not in packed


ARCHIVE = written(
    "archives", "series:File", "out=[series].tgz", {"series": {"name": "Zipped series"}}
)

FOLDERS = """\
pipeline_id = "archives/1"
session_name = "study"

[input_settings]
series = "{subject}/dicom/"
"""


@pytest.mark.parametrize("name", ["", "inputs", "outputs/"])
def test_why_of_a_whole_folder_says_what_to_name(call: Caller, served: Served, name: str) -> None:
    """The session itself and its two folders are no files: a person is told what to ask for."""
    study = served.study(a="one")
    said = call("why", f"{study}/{name}")
    assert said.code == 1
    assert "Name a file inside inputs/ or outputs/." in said.err


@pytest.mark.parametrize("name", ["a\\b", "\\\\server\\b", "e\u0301 \\"])
def test_why_tells_of_every_file_that_can_be_sent(call: Caller, served: Served, name: str) -> None:
    """What its name holds is no obstacle: it was none when the file was sent."""
    study = served.study(**{name: "one"})
    assert call("run", "--once", study).code == 0
    asked = call("why", study / "inputs" / f"{name}.mrui")
    assert (asked.code, asked.err) == (0, "")
    assert "(signal): done in" in asked.out
    assert "to /vip/Home/API/study/INPUTS/" in asked.out


def test_why_tells_the_story_of_a_file(call: Caller, served: Served) -> None:
    """An input names its case and its place on VIP, a result the execution it came from."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    asked = call("why", study / "inputs" / "a.mrui").out
    assert "Case a.mrui (signal): done" in asked
    assert re.search(r"Sent 2\d{3}-.* [A-Z]+ to /vip/Home/API/study/INPUTS/a\.mrui\.", asked)
    result = next((study / "outputs").glob("*/*.tgz/*"))
    assert "OUTPUTS" in call("why", result).out
    assert call("why", served.root / "elsewhere").code == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("inputs/sub-1.mrul", "inputs/sub-1.mrui"),
        ("sub-2.mrui", "inputs/sub-2.mrui"),
        ("inputs/gone.mrui", ""),
        ("inputs/quite-another", ""),
        ("outputs/*/sub-1.mrui.tgs", "outputs/*/sub-1.mrui.tgz"),
    ],
)
def test_why_names_the_file_that_may_be_meant(
    call: Caller, served: Served, name: str, meant: str
) -> None:
    """One that was sent and is here no more is told of, and is no typing error."""
    study = served.study(**{"sub-1": "one", "sub-2": "two", "gone": "three"})
    assert call("run", "--once", study).code == 0
    (study / "inputs" / "gone.mrui").unlink()
    stamp = next((study / "outputs").glob("2*")).name
    said = call("why", study / name.replace("*", stamp))
    told = said.out + said.err
    assert ("Did you mean" in told) is bool(meant)
    assert meant.replace("*", stamp) in told
    assert ("Sent 2" in told) is ("gone" in name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("settings.toml", "The settings of this session: vipsync reads them"),
        ("STATUS.txt", "vipsync writes it"),
        ("ON_VIP.txt", "delete it, and they are removed"),
        (".vipsync/ledger.sqlite", "Leave it as it is"),
        ("outputs/results.csv", "A table of the cases"),
        ("outputs/index.html", "A page that shows the results"),
    ],
)
def test_why_tells_what_the_files_of_a_session_are(
    call: Caller, served: Served, name: str, words: str
) -> None:
    """They are neither inputs nor results, and vipsync looks at them all the same."""
    study = served.study(a="one")
    said = call("why", study / name)
    assert (said.code, said.err) == (0, "")
    assert words in said.out
    assert "neither" not in said.out
    assert "neither" in call("why", study / "notes.txt").err


# run


def test_run_once_brings_results_and_ends_with_0(call: Caller, served: Served) -> None:
    """Everything is sent, run and fetched; the second time nothing is left to do."""
    study = served.study(a="one", b="two")
    said = call("run", "--once", study)
    assert (said.code, said.err) == (0, "")
    assert results(study) == ["a.txt", "b.txt"]
    assert "Everything is here: 2 cases done, 2 results" in said.out
    again = call("run", "--once", study)
    assert again.code == 0
    assert "workflow" not in again.out
    assert served.launches() == 1


def test_a_directory_stands_for_the_sessions_in_it(call: Caller, served: Served) -> None:
    """Both sessions run; lines bear their names."""
    served.study("studies/one", a="1")
    served.study("studies/two", a="2")
    for name in ("one", "two"):
        (served.root / "studies" / name / "settings.toml").write_text(
            SETTINGS.replace("{name}", name)
        )
    said = call("run", "--once", served.root / "studies")
    assert said.code == 0
    assert "one: Everything is here" in said.out
    assert "two: Everything is here" in said.out


def test_run_once_without_a_session_ends_with_1(call: Caller, served: Served) -> None:
    """An empty folder, or none at all, is an error that names `vipsync init`."""
    (served.root / "empty").mkdir()
    for name in ("empty", "none"):
        said = call("run", "--once", served.root / name)
        assert said.code == 1
        assert "vipsync init" in said.err


def test_a_folder_that_is_not_there_keeps_no_other_from_running(
    call: Caller, served: Served
) -> None:
    """It is told on stderr and by the code; the others are brought to rest."""
    study = served.study(a="one")
    said = call("run", "--once", served.root / "none", study)
    assert said.code == 1
    assert "none is not there" in said.err
    assert results(study) == ["a.txt"]
    found = json.loads(call("status", "--json", served.root / "none", study).out)
    assert [status["exit_code"] for status in found] == [1, 0]


def test_failed_jobs_need_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The case is named with its exit code, and the command ends with 3."""
    with serve(tmp_path, work=lambda _job: 50) as served:
        call = Caller(served, monkeypatch, capsys)
        study = served.study(a="one")
        said = call("run", "--once", study)
        assert said.code == 3
        assert "needs you: a.mrui: failed: exit code 50" in said.out
        assert call("status", study).code == 3
        again = call("rerun", study, "--failed")
        assert "1 case, 1 job" in again.out
        assert served.launches() == 2


def test_files_that_no_setting_uses_are_told_with_the_line_to_write(
    call: Caller, served: Served
) -> None:
    """What to do comes before the line, which stands whole at the end; one file is no files."""
    study = served.study()
    inputs = study / "inputs"
    (inputs / "a.txt").write_text("x")
    said = call("run", "--once", study).out
    assert "1 file is in inputs/, a.txt, and no setting uses it. Mend [input_settings]" in said
    assert '. This line would use it: signal = "*.txt"\n' in said
    (inputs / "b.txt").write_text("x")
    said = call("run", "--once", study).out
    assert "2 files are in inputs/, such as a.txt, and no setting uses any of them." in said
    checked = call("check", study)
    assert checked.code == 3
    words = " ".join(checked.out.split())
    assert words.count("would use them: signal") == 1
    assert "✗ files: 2 files are in inputs/, such as a.txt, and no setting uses any" in words
    assert words.count("no setting uses") == 1


def test_another_run_on_the_same_folder(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held: 1, and 0 with --once, without a word to cron; a person gets one line for all folders."""
    study = served.study(a="one")
    folder = SessionFolder(study)
    folder.claim("abc")
    with folder.held():
        said = call("run", study)
        assert (said.code, "already works" in said.err) == (1, True)
        said = call("run", "--once", study)
        assert (said.code, said.out, said.err) == (0, "", "")
        second = SessionFolder(served.study("second", a="one"))
        second.claim("def")
        monkeypatch.setattr(Stream, "is_terminal", True)
        with second.held():
            said = call("run", "--once", study, second.root)
        assert (said.code, said.err) == (0, "")
        assert said.out == "Another vipsync already works in 2 of these folders.\n"


def test_the_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in what is said, not in a log, not in a file of the folder, whatever goes wrong."""
    with serve(tmp_path, key=KEY) as served:
        call = Caller(served, monkeypatch, capsys)
        study = served.study(a="one")
        said = [call("-v", "run", "--once", study), call("-v", "check", study)]
        said += [call("status", "--json", study), call("--portal", "x", "check", study)]
        monkeypatch.setattr(commands_status, "status", lambda *_args, **_kw: int(KEY))
        said.append(call("status", study))
    assert [a.code for a in said] == [0, 0, 0, 1, 1]
    assert all(KEY not in a.out + a.err for a in said)
    for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
        assert KEY.encode() not in path.read_bytes(), path


def test_a_fault_is_one_line_with_its_log(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception ends with 1; its traceback is in the log alone."""
    monkeypatch.setattr(account, "pipelines", lambda *_args: 1 // 0)
    said = call("pipelines")
    assert said.code == 1
    assert "ZeroDivisionError in test_cli.py" in said.err
    assert "Traceback" not in said.out + said.err
    log = next((served.root / "state").rglob("fault-*.log"))
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("missing", ["home", "folder", "place"])
def test_a_fault_is_told_whatever_is_missing(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """No home folder, the current one deleted, nowhere to write: the line comes all the same."""
    monkeypatch.setattr(account, "pipelines", lambda *_args: 1 // 0)
    environ = {"XDG_STATE_HOME": "/dev/null" if missing == "place" else ""}
    gone = served.root / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    if missing == "home":
        environ["HOME"] = ""
        monkeypatch.setattr(pwd, "getpwuid", _nobody)
    if missing == "folder":
        gone.rmdir()
    said = call("pipelines", environ=environ)
    assert said.code == 1
    assert "ZeroDivisionError in test_cli.py" in said.err
    assert missing == "folder" or list(gone.iterdir()) == []
    Path(said.err.split("log: ")[1].splitlines()[0]).unlink()


def _nobody(user: int) -> None:
    raise KeyError(user)


@pytest.mark.parametrize("environ", [{}, {"XDG_CONFIG_HOME": "config"}])
def test_no_key_is_kept_where_one_happens_to_be(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    """Without a home folder there is no place for it; that is said, and no fault."""
    monkeypatch.setattr(pwd, "getpwuid", _nobody)
    monkeypatch.chdir(served.study(a="one"))
    nowhere = {"HOME": "", "XDG_CONFIG_HOME": "", "VIP_API_KEY": ""}
    for command in (("login",), ("pipelines",), ("check", ".")):
        said = call(*command, typed=f"{served.key}\n", environ=nowhere | environ)
        assert said.code == 4
        assert "no home folder" in said.out + said.err
    assert {p.name for p in Path().iterdir()} == {"inputs", "settings.toml"}


@pytest.mark.parametrize("command", ["check", "why", "init", "status", "plan", "run"])
def test_a_folder_that_is_gone_is_said(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """One cannot speak of what is beside oneself, and that is no fault."""
    (served.root / "gone").mkdir()
    monkeypatch.chdir(served.root / "gone")
    (served.root / "gone").rmdir()
    said = call(command, "x")
    assert said.code == 3
    assert "The folder that you are in is gone" in said.err


@pytest.mark.parametrize("way", ["..", "../../study", "../inputs/.."])
def test_a_folder_is_known_by_the_way_back(
    call: Caller, served: Served, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Its name is the session's where settings.toml has none, however it was called."""
    study = served.study(settings=SETTINGS.replace('session_name = "{name}"', ""), a="one")
    monkeypatch.chdir(study / "inputs")
    assert call("check", way).code == 0
    assert call("run", "--once", way).code == 0
    assert call("status", way).out.startswith("study: Everything is here")
    assert served.on_vip() == ["study"]


@pytest.mark.parametrize("name", ["my study", "it's", "$HOME & co"])
def test_a_suggested_command_can_be_copied(call: Caller, served: Served, name: str) -> None:
    """A shell reads the folder's name as one word."""
    study = served.root / name
    said = [call("init", study).out, call("init", study).err]
    (study / "settings.toml").unlink()
    said.append(call("check", study).err)
    found = [text for words in said for text in re.findall(r"`(vipsync [^`]*/[^`]*)`", words)]
    assert len(found) >= 3
    assert all(shlex.split(command)[-1] == str(study) for command in found)


def test_the_folder_has_a_log(call: Caller, served: Served) -> None:
    """`run` writes it below .vipsync, and none into a folder that it does not hold."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    assert (study / ".vipsync" / "vipsync.log").exists()


# status


def test_status_is_one_json_document(call: Caller, served: Served) -> None:
    """A list of folders with the sentence and every case."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    found = json.loads(call("status", "--json", study).out)
    assert [c["state"] for c in found[0]["cases"]] == ["done"]
    assert found[0]["sentence"].startswith("Everything is here")


@pytest.mark.parametrize(
    "plant",
    [lambda p: p.symlink_to("/etc/passwd"), os.mkfifo, lambda p: p.write_text("["), Path.mkdir],
    ids=["link", "pipe", "broken", "folder"],
)
def test_a_folder_whose_id_cannot_be_read_hides_no_other(
    call: Caller, served: Served, plant: Callable[[Path], object]
) -> None:
    """Whoever may write in one folder does not end what is said of all."""
    good, bad = served.study("good", a="one"), served.study("bad", a="one")
    (bad / ".vipsync").mkdir()
    plant(bad / ".vipsync" / "session.json")
    said = call("status", good, bad)
    assert "good" in said.out
    assert "cannot be read" in said.out
    assert call("sessions", "--json").code == 0


def no_key(_served: Served, _study: Path) -> dict[str, str]:
    """Give a key that VIP does not know."""
    return {"VIP_API_KEY": KEY}


def name_taken(served: Served, _study: Path) -> dict[str, str]:
    """Put somebody else's folder in the session's place."""
    (served.world.root / "users" / "local_user" / "API" / "study").mkdir(parents=True)
    return {}


@pytest.mark.parametrize(("in_the_way", "code"), [(no_key, 4), (name_taken, 3)])
def test_status_goes_on_saying_why_the_last_run_stopped(
    call: Caller,
    served: Served,
    in_the_way: Callable[[Served, Path], dict[str, str]],
    code: int,
) -> None:
    """No look at the folder can see it: it is told with its time, until a run has met it no more."""
    study = served.study(a="one")
    environ = in_the_way(served, study)
    assert call("run", "--once", study, environ=environ).code == code
    told = {
        n["text"] for n in json.loads((study / ".vipsync" / "status.json").read_text())["notices"]
    }
    for _ in range(2):
        said = call("status", study)
        assert said.code == code
        assert any(f"{text.removesuffix('.')} (at the last run, 2" in said.out for text in told)
    (study / "settings.toml").write_text(SETTINGS.replace("{name}", "other"))
    assert call("run", "--once", study).code == 0
    assert call("status", study).code == 0
    assert "at the last run" not in call("status", study).out


@pytest.mark.parametrize(("age", "runs"), [(0, True), (200, True), (400, False)])
def test_status_sees_a_run_on_another_host(
    call: Caller, served: Served, age: float, *, runs: bool
) -> None:
    """Its lock may not reach over the network; the name that it leaves does."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    lease = {"host": "elsewhere", "at": time.time() - age}
    (study / ".vipsync" / "host.json").write_text(json.dumps(lease))
    said = call("status", study).out
    assert ("vipsync runs here" in said) == runs
    assert ("is not running" in said) == (not runs)


def test_status_forgets_what_the_folder_shows_to_be_mended(call: Caller, served: Served) -> None:
    """A typo and a name that were corrected since the last run are judged anew."""
    study = served.study(settings=SETTINGS.replace("settle", "setle"), a="one")
    assert call("run", "--once", study).code == 1
    (study / "settings.toml").write_text(SETTINGS.replace("{name}", "study"))
    assert call("status", study).code == 0
    name_taken(served, study)
    assert call("run", "--once", study).code == 3
    (study / "settings.toml").write_text(SETTINGS.replace("{name}", "other"))
    assert call("status", study).code == 0


def test_status_goes_on_saying_what_is_wrong_with_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is above the server's limit, which needs a person; another was changed here, and is packed."""
    with serve(tmp_path, work=one_large, max_direct_transfer=1000) as served:
        call = Caller(served, monkeypatch, capsys)
        study = served.study(a="one", b="two")
        assert call("run", "--once", study).code == 3
        (result,) = (study / "outputs").glob("*/a.mrui.tgz")
        result.write_text("mine")
        assert call("run", "--once", study).code == 3
        said = call("status", study)
        assert said.code == 3
        assert "VIP lets through 1,000 at most (at the last run, 2" in said.out
        assert "a.mrui.tgz was changed on this machine" in said.out
        assert "a.mrui.tgz is here, but packed" in said.out


def one_large(job: Job) -> Mapping[str, bytes]:
    """Return a large result for the signal b, and no real archive for any."""
    return {"result": b"x" * (2000 if "b" in str(job.invocation["signal"]) else 10)}


def test_status_says_nothing_of_vip_that_is_not_known(call: Caller, served: Served) -> None:
    """A folder that never ran, or is not there, has no data there and no marker to delete."""
    study = served.study(settings="no toml", a="one")
    for directory in (study, served.root / "none"):
        said = call("status", directory).out
        assert "ON_VIP.txt" not in said
        assert "On VIP" not in said


def test_a_session_that_lost_its_settings_gets_them_back(call: Caller, served: Served) -> None:
    """No new session is made of it: what lies on VIP is told, and `init` writes them as they were."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    settings = study / "settings.toml"
    before = settings.read_bytes()
    settings.unlink()
    said = call("status", study)
    assert said.code == 1
    assert f"{study} has lost its settings.toml. Put it back." in said.out
    assert "1 file sent, 3 bytes, in /vip/Home/API/study" in said.out
    assert f"`vipsync init {study}` writes the one that was last valid" in said.out
    assert call("init", study).code == 0
    assert settings.read_bytes() == before
    assert call("run", "--once", study).code == 0
    assert served.launches() == 1


def test_the_outputs_of_a_script_are_called_so(call: Caller, served: Served) -> None:
    """They never had a settings.toml, and `init` puts no empty session into them."""
    outputs = served.root / "vip_outputs" / "study"
    folder = SessionFolder(outputs)
    outputs.mkdir(parents=True)
    folder.claim("s1")
    Ledger(folder.ledger, Session("s1")).close()
    (outputs / "session_data.json").write_text('{"session_name": "study"}')
    before = tree(outputs)
    for command in (("status", outputs), ("check", outputs), ("init", outputs)):
        said = call(*command)
        assert said.code == 1
        text = said.out + said.err
        assert "holds the outputs of a script's session" in text
        assert "vipsync init NEW --adopt" in text
        assert "lost" not in text
    assert tree(outputs) == before


def test_settings_in_another_encoding_are_kept_as_text(call: Caller, served: Served) -> None:
    """An editor wrote UTF-16: what is written back says the same."""
    study = served.study(a="one")
    settings = study / "settings.toml"
    text = settings.read_text()
    settings.write_text(text, encoding="utf-16")
    assert call("run", "--once", study).code == 0
    settings.unlink()
    assert call("init", study).code == 0
    assert settings.read_text() == text


def test_status_of_a_broken_folder_is_still_json(call: Caller, served: Served) -> None:
    """What cannot be read is told in the sentence, and by the exit code."""
    study = served.study(settings="no toml", a="one")
    said = call("status", "--json", study)
    assert said.code == 1
    assert json.loads(said.out)[0]["exit_code"] == 1


# requests


def test_pause_and_resume_where_nobody_runs(call: Caller, served: Served) -> None:
    """The folder is paused without a connection to VIP, and goes on after resume."""
    study = served.study(a="one")
    assert call("pause", study, environ={"VIP_API_KEY": ""}).code == 0
    assert call("run", "--once", study).code == 0
    words = (study / "STATUS.txt").read_text()
    assert words.count("nothing is sent or started") == 1
    assert re.search(r"paused: `vipsync resume \S+` ends the pause\.\n", words)
    assert served.launches() == 0
    assert "Paused" in call("status", study).out
    assert call("resume", study).code == 0
    assert call("run", "--once", study).code == 0
    assert served.launches() == 1


def unused(served: Served) -> Path:
    study = served.study(a="one")
    (study / "inputs" / "notes.txt").write_text("x")
    return study


def by_hand(served: Served) -> Path:
    return served.study(settings=f'{SETTINGS}\n[launch]\nwhen = "manual"\n', a="one")


def failing(served: Served) -> Path:
    served.world.faults.arm(Kind.JOB_FAILS, "*/1", times=1)
    return served.study(a="one", b="two")


def refused(served: Served) -> Path:
    study = served.study(a="one")
    (study / "inputs" / "b.mrui").write_bytes(rda(PatientName="Smith^John"))
    return study


def nothing(_study: Path) -> None:
    pass


def deleted_input(study: Path) -> None:
    (study / "inputs" / "a.mrui").unlink()


def deleted_result(study: Path) -> None:
    shutil.rmtree(next((study / "outputs").glob("*/a*.tgz")))


def deleted_refused(study: Path) -> None:
    (study / "inputs" / "b.mrui").unlink()


@pytest.mark.parametrize(
    ("made", "then", "words"),
    [
        (unused, nothing, "no setting uses 1 file in inputs/"),
        (by_hand, nothing, "Waiting for `vipsync launch"),
        (failing, nothing, "a.mrui: failed"),
        (refused, nothing, "1 file is not sent: PatientName in 1 file"),
        (refused, deleted_refused, "Everything is here: 1 case done"),
        (unused, deleted_input, "1 file is in inputs/, notes.txt, and no setting uses it"),
        (failing, deleted_input, "1 input no longer in inputs/"),
        (unused, deleted_result, "1 result that was deleted here will be fetched again"),
    ],
)
def test_status_check_and_plan_agree(
    call: Caller,
    served: Served,
    made: Callable[[Served], Path],
    then: Callable[[Path], None],
    words: str,
) -> None:
    """In their codes, and in their words about one folder."""
    study = made(served)
    call("run", "--once", study)
    then(study)
    said = {name: call(name, study) for name in ("status", "check", "plan")}
    told = {name: " ".join((answer.out + answer.err).split()) for name, answer in said.items()}
    assert [name for name, text in told.items() if words not in text] == []
    assert len({answer.code for answer in said.values()}) == 1


def test_status_txt_says_what_a_command_decided(call: Caller, served: Served) -> None:
    """Though no run has written it since; `status`, STATUS.txt and status.json say the same."""
    study = served.study(a="one", b="two")
    assert call("run", "--once", study).code == 0

    def sentence() -> str:
        text = (study / "STATUS.txt").read_text()
        told = json.loads((study / ".vipsync" / "status.json").read_text())["sentence"]
        assert text.startswith(f"{told}\n")
        assert told in " ".join(call("status", study).out.split())
        return str(told)

    call("pause", study)
    assert sentence().startswith("Paused: ")
    call("resume", study)
    assert sentence().startswith("Everything is here: 2 cases done")
    call("finish", "--yes", study)
    shutil.rmtree(next((study / "outputs").glob("*/a*.tgz")))
    call("forget", "--yes", study)
    assert sentence() == "Everything else is here: 2 cases done, 1 result; VIP is clean."


@pytest.mark.parametrize("pipeline", [True, False], ids=["a pipeline", "files alone"])
def test_plan_and_check_of_a_paused_folder_say_so(
    call: Caller, served: Served, *, pipeline: bool
) -> None:
    """They name what comes after it goes on, and how it goes on."""
    alone = 'session_name = "study"\n[inputs]\nsettle = "100ms"\n'
    study = served.study(settings=SETTINGS if pipeline else alone, a="one")
    first = f"Paused; after `vipsync resume {study}`: 1 "
    assert "Paused" not in call("plan", study).out + call("check", study).out
    assert call("pause", study).code == 0
    for command in ("check", "plan"):
        said = " ".join(call(command, study).out.split())
        assert said.count(first) == (2 if command == "plan" and pipeline else 1)
    assert call("resume", study).code == 0
    assert "Paused" not in call("plan", study).out + call("check", study).out


def test_finish_removes_the_data_and_keeps_the_results(call: Caller, served: Served) -> None:
    """It waits until nothing of the session is on VIP."""
    study = served.study(a="one")
    assert call("run", "--once", study).code == 0
    said = call("finish", study)
    assert said.code == 0
    assert "Nothing of this session is on VIP" in said.out
    assert served.on_vip() == []
    assert results(study) == ["a.txt"]
    assert not (study / "ON_VIP.txt").exists()
    assert read_state(SessionFolder(study).ledger).session.phase is Phase.CLOSED


def test_manual_cases_start_on_launch(call: Caller, served: Served) -> None:
    """Nothing starts by itself; `launch` names a case, and only that one runs."""
    study = served.study(settings=SETTINGS + '\n[launch]\nwhen = "manual"\n', a="one", b="two")
    assert call("run", "--once", study).code == 0
    assert served.launches() == 0
    said = call("launch", study, "b.mriu")
    assert said.code == 1
    assert "Did you mean b.mrui?" in said.err
    assert call("launch", study, "b.mrui").code == 0
    assert results(study) == ["b.txt"]


def test_launch_starts_a_case_on_vip_in_a_folder_that_never_ran(
    call: Caller, served: Served
) -> None:
    """`launch` reads the pipeline where nobody did yet: without it there are no cases to start."""
    on_vip = SETTINGS.replace('"*.mrui"', '"/vip/Home/a.mrui"')
    study = served.study(settings=on_vip + '\n[launch]\nwhen = "manual"\n')
    home = served.world.root / "users/local_user"
    home.mkdir(parents=True, exist_ok=True)
    (home / "a.mrui").write_text("one")
    assert call("launch", study).code == 0
    assert results(study) == ["a.txt"]


def test_a_command_that_has_nothing_to_do_says_so(call: Caller, served: Served) -> None:
    """Done cases are neither launched nor cancelled, and nothing is left behind for later."""
    study = served.study(a="one", b="two")
    assert call("run", "--once", study).code == 0
    for command in (("launch", study, "a.mrui"), ("launch", study), ("cancel", study, "--all")):
        said = call(*command)
        assert said.code == 0
        assert f"There is nothing to {command[0]}: " in said.out
        assert " done." in said.out
    assert SessionFolder(study).asked() == ()
    (study / "inputs/c.mrui").write_text("three")
    said = call("cancel", study, "--all")
    assert "nothing" not in said.out
    assert call("run", "--once", study).code == 0
    assert served.launches() == 1
    assert call("launch", study, "c.mrui").code == 0
    assert served.launches() == 2


def test_cancel_stops_what_runs_and_says_who_shares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other case of the execution is named; the command ends once VIP has stopped it."""
    with serve(tmp_path, seconds=3600.0) as served:
        call = Caller(served, monkeypatch, capsys)
        study = served.study(a="one", b="two")
        with served.process("run", study) as process:
            wait_until(lambda: "2 running" in call("status", study).out)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        said = call("cancel", study, "a.mrui")
        assert "also runs b.mrui" in said.out
        assert "Killed" in call("status", study).out


def test_a_request_is_left_for_the_process_that_holds_the_folder(served: Served) -> None:
    """`pause` waits until the running process has taken it, and changes nothing itself."""
    study = served.study(a="one")
    with served.process("run", study) as running:
        wait_until(lambda: results(study) == ["a.txt"])
        with served.process("pause", study) as pause:
            assert pause.wait(60) == 0
        assert read_state(SessionFolder(study).ledger).session.paused
        with served.process("finish", study) as finish:
            assert finish.wait(60) == 0
        assert served.on_vip() == []
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 130


# signals


def test_a_signal_stops_a_slow_upload_within_ten_seconds(tmp_path: Path) -> None:
    """SIGTERM ends with 130 and everything consistent; the next run sends and launches once."""
    with serve(tmp_path, transfer_timeout=6.0) as served:
        served.world.faults.arm(Kind.UPLOAD_TIMES_OUT, "*/a.mrui")
        study = served.study(a="one")
        with served.process("run", study) as process:
            wait_until(lambda: any(r.path.endswith("a.mrui") for r in list(served.world.requests)))
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "Interrupted" in err
        with served.process("run", "--once", study) as process:
            _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert served.launches() == 1
        assert results(study) == ["a.txt"]


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """Nobody waits for what is under way."""
    with serve(tmp_path, transfer_delay=30.0) as served:
        study = served.study(a="one")
        with served.process("run", study) as process:
            wait_until(lambda: any(r.path.endswith("a.mrui") for r in list(served.world.requests)))

            def ended() -> bool:
                process.send_signal(signal.SIGINT)
                time.sleep(0.2)  # signals that come together count as one
                return process.poll() is not None

            wait_until(ended)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, "")


# pipelines, local


def test_pipelines_describes_the_one_that_matches(call: Caller) -> None:
    """Parameters with type, need and bounds, and the outputs; upper and lower case are one."""
    said = call("pipelines", "MRS-spec")
    assert said.code == 0
    for word in ("zero_fill", "required", "One of 1, 2, 4", "[SIGNAL].tgz"):
        assert word in said.out
    assert call("pipelines", "nothing-like-it").code == 1


def test_local_serves_and_says_how_to_use_it(served: Served) -> None:
    """The lines to export work; Ctrl-C ends it."""
    with served.process("local", "--root", served.root / "mine") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        assert all(line.startswith("  export VIP_") for line in lines[2:])
        url = lines[2].partition("=")[2].strip()
        assert f"`vipsync login --portal {url}`" in process.stdout.readline()
        served.environ |= dict(line.split()[1].split("=") for line in lines[2:])
        with served.process("pipelines") as asked:
            assert asked.wait(60) == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_what_local_serves_is_ones_own(served: Served) -> None:
    """Its folder is closed to others; its key is random, it and the port are the same when it is served again."""
    keys, ports = [], []
    root = served.root / "mine"
    root.mkdir(mode=0o755)
    for _ in range(2):
        with served.process("local", "--root", root) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(4)]
            keys.append(lines[3].split("VIP_API_KEY=")[1].strip())
            ports.append(int(lines[2].rpartition(":")[2]))
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
    assert keys[0] == keys[1] == (root / "key").read_text().strip()
    assert ports[0] == ports[1] == last_port(root / "port", "127.0.0.1")
    with socket.create_server(("127.0.0.1", ports[0])):
        assert last_port(root / "port", "127.0.0.1") == 0
    for odd in ("", "http", "-1", "1" * 9, "1" * 9999):
        (root / "port").write_text(odd)
        assert last_port(root / "port", "127.0.0.1") == 0
    assert len(keys[0]) == 32
    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "key").stat().st_mode & 0o777 == 0o600


WORLD = """
[[group]]
name = "MR"
pipelines = ["mrs-spectrum/1.0"]
[[user]]
key = "a-key-of-ada"
name = "Ada"
folder = "ada"
level = "Beginner"
groups = ["MR"]
email = "ada@example.org"
password = "secret"
"""


@pytest.mark.parametrize(
    ("key", "code"), [("a-key-of-ada", 0), ("local", 4), ("a-key-of-bob", 4)], ids=str
)
def test_local_serves_the_people_of_a_file(served: Served, key: str, code: int) -> None:
    """The first line has the address, and only their keys are let in."""
    world = served.root / "world.toml"
    world.write_text(WORLD)
    with served.process("local", "--root", served.root / "mine", "--world", world) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        served.environ |= {"VIP_PORTAL_URL": url, "VIP_API_KEY": key}
        with served.process("pipelines") as asked:
            assert asked.wait(60) == code
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WORLD.replace("Beginner", "Novice"), '"level" of user 1 is one of Beginner'),
        (WORLD.replace("[[group]]", "[[group]"), "is not TOML"),
        ("", "there is no [[user]]"),
    ],
)
def test_a_mistake_in_the_file_of_people_is_said(
    call: Caller, served: Served, text: str, words: str
) -> None:
    """In one sentence that names the file; nothing is served."""
    world = served.root / "world.toml"
    world.write_text(text)
    said = call("local", "--root", served.root / "mine", "--world", world)
    assert said.code == 1
    assert f"{world}" in said.err.replace("\n", "")
    assert words in said.err
    assert not (served.root / "mine").exists()


def test_local_serves_this_machine_only(call: Caller, served: Served) -> None:
    """Another address is refused, and so is a port that is taken."""
    root = served.root / "mine"
    assert call("local", "--root", root, "--host", "192.0.2.1").code == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = call("local", "--root", root, "--port", taken.getsockname()[1])
    assert said.code == 1
    assert "port" in said.err


def test_a_case_that_is_not_there_leads_to_the_list_of_this_folder(
    call: Caller, served: Served
) -> None:
    """The command to copy names the folder, wherever one stands."""
    study = served.study(a="one")
    call("run", "--once", study)
    said = call("rerun", study, "quite-another", "--yes")
    assert "There is no case quite-another." in said.err
    assert f"`vipsync status {study}` lists the cases." in said.err
