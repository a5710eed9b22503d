"""A station by the command line: made, checked, run, asked; nobody's name is told but on a terminal."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.dicom import series
from tests.lab.served import KEY, Caller, Served, serve
from vipsync.errors import SettingsError
from vipsync.station.folder import StationFolder
from vipsync.station.settings import load

TEMPLATE = """\
pipeline_id = "mrs-spectrum/1.0"

[input_settings]
signal = { zip = "./", as = "study.zip" }

[inputs]
settle = "100ms"

[privacy]
plain = ["*"]

[monitor]
refresh_time = "200ms"
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve an embedded VIP, with a place for private tables."""
    with serve(tmp_path, key=KEY) as served:
        served.environ["VIPSYNC_DATA"] = str(tmp_path / "private")
        yield served


@pytest.fixture
def call(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Caller:
    """Return the command line."""
    return Caller(served, monkeypatch, capsys)


@pytest.fixture
def scanner(served: Served, call: Caller) -> Path:
    """Make a station whose export has one study."""
    export = served.root / "export"
    (export / "SMITH_JOHN").mkdir(parents=True)
    (export / "SMITH_JOHN" / "1.rda").write_text("one")
    root = served.root / "scanner"
    assert call("init", root, "--station", export).code == 0
    (root / "template" / "settings.toml").write_text(TEMPLATE)
    return root


def everything(root: Path) -> list[str]:
    """Return all that lies in a folder."""
    return sorted(str(path) for path in root.rglob("*"))


def test_a_new_station_is_valid_and_explains_itself(scanner: Path, call: Caller) -> None:
    """Each setting stands there as a comment, and the file can be read as it is."""
    assert load(scanner).exports == (str(scanner.parent / "export"),)
    text = (scanner / "station.toml").read_text()
    for key in ("by", "study", "accept", "since", "name", "take", "prepare", "quiet", "require"):
        assert f"# {key} " in text
    again = call("init", scanner, "--station", scanner.parent / "export")
    assert (again.code, "nothing was changed" in again.err) == (1, True)


def test_check_says_what_would_become_of_each_study_and_writes_nothing(
    scanner: Path, call: Caller
) -> None:
    """Neither in the station, nor in the export, nor in the table of names."""
    with (scanner / "station.toml").open("a") as file:
        file.write("")
    text = (scanner / "station.toml").read_text()
    (scanner / "station.toml").write_text(text.replace('# since    = "all" ', 'since = "all" #'))
    before = everything(scanner.parent)
    said = call("check", scanner)
    assert said.code == 0
    assert "1 would become sessions: S0001" in said.out
    assert "SMITH" not in said.out
    assert everything(scanner.parent) == before
    assert call("plan", scanner).out == said.out


def test_check_before_the_first_run_gives_no_names_to_places(scanner: Path, call: Caller) -> None:
    """They would be others each time; what a person can do with one is told once it has its name."""
    said = call("check", scanner)
    assert 'place 1: there before (it lies there already: with since = "now" it is' in said.out
    assert "first run" not in said.out
    assert call("check", scanner).out == said.out
    assert call("run", "--once", scanner).code == 0
    (document,) = json.loads(call("status", "--json", scanner).out)
    (name,) = (study["name"] for study in document["studies"])
    again = call("check", scanner).out
    assert f"{name}: there before (it lay there at the first run" in " ".join(again.split())


def test_run_once_and_status_tell_of_each_study(scanner: Path, call: Caller) -> None:
    """What lay there before is listed; the exit code says that nobody is needed."""
    assert call("run", "--once", scanner).code == 0
    said = call("status", scanner)
    assert (said.code, "there before" in said.out) == (0, True)
    assert "it lay there at the first run of the station" in said.out
    (document,) = json.loads(call("status", "--json", scanner).out)
    assert [study["state"] for study in document["studies"]] == ["there before"]
    (remedy,) = [study["remedy"] for study in document["studies"]]
    assert remedy.startswith(f"`vipsync station complete {scanner} ")
    table = (scanner / "station.csv").read_text()
    assert table.splitlines()[0] == "study,state,reason,session,since"
    assert "SMITH" not in said.out + table + (scanner / "STATION.txt").read_text()


def test_a_station_that_never_ran_has_no_table(scanner: Path, call: Caller) -> None:
    """What to ask stands there, and no heading without lines."""
    said = call("status", scanner)
    assert "This station has not run yet." in said.out
    assert "reason" not in said.out


def test_what_a_station_asks_has_one_date(scanner: Path, call: Caller) -> None:
    """A line for each thing that it asks, as every other line of a run."""
    with (scanner / "station.toml").open("a") as file:
        file.write('[lte]\nseries = "hold"\n')
    said = call("run", "--once", scanner)
    assert said.code == 1
    (line,) = (line for line in (said.out + said.err).splitlines() if "Stopped" in line)
    assert re.fullmatch(r"\S+ \S+  scanner: Stopped: .*", line)


def test_what_a_person_says_needs_a_study_that_is_known(scanner: Path, call: Caller) -> None:
    """Another name is refused with the nearest; a handle of the table is taken."""
    assert call("run", "--once", scanner).code == 0
    wrong = call("station", "skip", scanner, "S9999")
    assert (wrong.code, "There is no study S9999" in wrong.err) == (1, True)
    handle = (scanner / "station.csv").read_text().splitlines()[1].partition(",")[0]
    assert call("station", "skip", scanner, handle).code == 0
    assert call("run", "--once", scanner).code == 0
    assert "skipped" in call("status", scanner).out


def test_names_are_shown_on_a_terminal_only(
    scanner: Path, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table that has them is its owner's alone."""
    assert call("run", "--once", scanner).code == 0
    said = call("station", "who", scanner)
    assert (said.code, "SMITH" in said.out + said.err) == (1, False)
    (table,) = (scanner.parent / "private" / "stations").iterdir()
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _self: True, raising=False)
    shown = call("station", "who", scanner)
    assert (shown.code, "SMITH_JOHN" in shown.out) == (0, True)


def test_why_tells_of_a_path_in_the_export(
    scanner: Path, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From inside the station."""
    assert call("run", "--once", scanner).code == 0
    monkeypatch.chdir(scanner)
    said = call("why", scanner.parent / "export" / "SMITH_JOHN" / "1.rda")
    assert (said.code, "there before" in said.out) == (0, True)


@pytest.mark.parametrize("name", ["SMITH_JOHN/1.rda", "beside.txt", "SMITH_JOHN/none.rda", "NEVER"])
def test_why_tells_of_the_export_from_anywhere(
    scanner: Path, call: Caller, tmp_path: Path, name: str
) -> None:
    """The station of vipsync.toml is asked whose study it is; what is none of a study, and what is not there."""
    (scanner.parent / "export" / "beside.txt").write_text("no study")
    assert call("run", "--once", scanner).code == 0
    (tmp_path / "vipsync.toml").write_text(f"folders = ['{scanner}']\n")
    said = call("--config", tmp_path / "vipsync.toml", "why", scanner.parent / "export" / name)
    assert said.code == 0
    inside = name.startswith("SMITH")
    assert ("there before" in said.out) is inside
    assert ("is known there. `vipsync check" in said.out) is not inside


def test_why_names_no_folder_of_the_export(scanner: Path, call: Caller) -> None:
    """Not even where what is asked for is no file of the study."""
    study = scanner.parent / "export" / "SMITH_JOHN"
    session = scanner / "sessions" / "S0001"
    (session / "inputs").mkdir(parents=True)
    (session / "outputs").mkdir()
    (session / "settings.toml").write_text(
        TEMPLATE.replace("[inputs]", f"[inputs]\ndirectory = '{study}'")
    )
    said = call("why", session / "inputs" / "1.rda")
    assert (said.code, "SMITH" in said.out + said.err) == (1, False)
    assert "its study in the export" in said.err


def test_a_folder_with_stations_alone_is_run_and_looked_at(scanner: Path, call: Caller) -> None:
    """DIR may hold stations, as it may hold sessions."""
    home = scanner.parent / "home"
    home.mkdir()
    scanner.rename(home / "scanner")
    assert call("run", "--once", home).code == 0
    assert "there before" in call("status", home).out
    assert call("check", home).code == 0


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("exports = []", "must be a list of folders"),
        ('exports = ["export"]', "must be a whole path"),
        ("exports = ['/e']\nname = 'S{PatientName}'", "only {n} and {subject_n} may stand"),
        ("exports = ['/e']\nname = 'S{n}{date}'", "only {n} and {subject_n} may stand"),
        ("exports = ['/e']\nname = 'study'", "needs {n}"),
        ("exports = ['/e']\nby = 'StudyInstanceUID'", '"point" cannot be with by'),
        ("exports = ['/e']\nstudy = '{file}.7'", '"point" needs a folder for each study'),
        ("exports = ['/e']\nstudy = '**/'", "says nothing of where a study begins"),
        ("exports = ['/e']\nsince = 'tomorrow'", 'is "now", "all" or a date'),
        ("exports = ['/e']\ntake = 'link'", "is no choice"),
        ("exports = ['/e']\ntak = 'copy'", 'Did you mean "take"?'),
        (
            "exports = ['/e']\nquiet = '90s'",
            "station.quiet: unknown here: quiet belongs under [complete]",
        ),
        ("exports = ['/e']\n[station.late]\nseries = 'hold'", "write [late] on a line of its own"),
        ("exports = ['/e']\n[complete]\ninstances = 'yes'", "must be true or false"),
        ("exports = ['/e']\n[late]\nserie = 'hold'", 'Did you mean "series"?'),
        ("exports = ['/e']\n[complete]\nquiet = '30s'", "must be 60s at least"),
        ("exports = ['/e']\n[complte]\nquiet = '90s'", 'Did you mean "complete"?'),
        ("exports = ['/e']\nprepare = ['deface', '{study}']", "needs {inputs}"),
        ("exports = ['ROOT/sessions']", "lie in one another"),
        ("exports = ['/']", "lie in one another"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, lines: str, words: str) -> None:
    """Each with its key, and with what is right."""
    text = lines.replace("ROOT", str(tmp_path))
    (tmp_path / "station.toml").write_text(f"[station]\n{text}\n")
    with pytest.raises(SettingsError) as refused:
        load(tmp_path)
    assert words in str(refused.value)


@pytest.mark.parametrize("open_one", ["station.toml", "."])
@pytest.mark.parametrize(
    ("mode", "owner", "who"),
    [
        (0o775, 0, "the group "),
        (0o757, 0, "everybody"),
        (0o755, 65534, ", whose it is,"),
        (0o755, 0, ""),
    ],
    ids=["group", "everybody", "another account", "nobody"],
)
@pytest.mark.skipif(os.name != "posix", reason="rights are lists there")
def test_a_command_that_others_could_write_is_refused(
    tmp_path: Path, open_one: str, mode: int, owner: int, who: str
) -> None:
    """It would be run with the rights of this account; without a command the folder may be shared."""
    if owner and os.geteuid():
        pytest.skip("only root can give a file away")
    lines = "[station]\nexports = ['/e']\n"
    source = tmp_path / "station.toml"
    for prepare in ("", "prepare = ['deface', '{study}', '{inputs}']\n"):
        source.write_text(lines + prepare)
        (tmp_path / open_one).chmod(mode)
        if owner:
            os.chown(tmp_path / open_one, owner, -1)
        if prepare and who:
            with pytest.raises(SettingsError, match=f"line 3: station.prepare: .*{who}.*can write"):
                load(tmp_path)
        else:
            assert load(tmp_path).exports == ("/e",)


def test_files_for_each_session_need_a_copy(tmp_path: Path) -> None:
    """A session that looks into the export has no place for them; an empty folder asks for nothing."""
    (tmp_path / "station.toml").write_text("[station]\nexports = ['/e']\n")
    shared = tmp_path / "template" / "inputs"
    shared.mkdir(parents=True)
    assert load(tmp_path).take == "point"
    (shared / "basis.set").touch()
    with pytest.raises(
        SettingsError, match='template/inputs would be missing there: write take = "copy"'
    ):
        load(tmp_path)


def test_two_stations_on_one_export_are_refused_unless_they_part_it(
    scanner: Path, call: Caller
) -> None:
    """Each study must be one station's."""
    assert call("run", "--once", scanner).code == 0
    other = scanner.parent / "other"
    assert call("init", other, "--station", scanner.parent / "export").code == 0
    (other / "template" / "settings.toml").write_text(TEMPLATE)
    said = call("run", "--once", other)
    assert said.code == 1
    assert "is a station of" in said.out + said.err
    for root, wanted in ((scanner, "*svs*"), (other, "*t1*")):
        text = (root / "station.toml").read_text()
        (root / "station.toml").write_text(
            text.replace('# accept   = ["*svs*"]', f'accept = ["{wanted}"] #')
        )
    assert call("run", "--once", scanner).code == 0
    assert call("run", "--once", other).code == 0


@pytest.mark.parametrize("word", ["log", "privacy"])
def test_a_station_is_taken_for_no_empty_folder(scanner: Path, call: Caller, word: str) -> None:
    """What looks into sessions says that it is a station, and never to make a session of it."""
    said = call(word, scanner)
    assert said.code == 1
    assert "init" not in said.err
    assert f"{scanner} is a station" in said.err


def test_privacy_names_the_sessions_of_a_station(scanner: Path, call: Caller) -> None:
    """It looks into one of them at a time."""
    session = scanner / "sessions" / "S0001"
    (session / "inputs").mkdir(parents=True)
    (session / "settings.toml").write_text(TEMPLATE)
    said = call("privacy", scanner)
    assert (said.code, str(session) in said.err) == (1, True)
    assert call("log", scanner).code == 0


def test_a_station_without_a_key_says_so_before_all_else(
    scanner: Path, call: Caller, served: Served
) -> None:
    """`check` and `status` end as they do in a session without one, before there is any session."""
    assert "key: " in call("check", scanner).out
    assert call("run", "--once", scanner).code == 0
    del served.environ["VIP_API_KEY"]
    said = call("check", scanner)
    assert (said.code, "No API key" in said.out + said.err) == (4, True)
    said = call("status", scanner)
    assert (said.code, said.out.startswith("scanner: No API key")) == (4, True)


def test_check_looks_for_the_pipeline_of_new_sessions(scanner: Path, call: Caller) -> None:
    """One that VIP does not know is told before the first study comes."""
    template = scanner / "template" / "settings.toml"
    assert "mrs-spectrum/1.0 (" in call("check", scanner).out
    template.write_text(TEMPLATE.replace("mrs-spectrum/1.0", "mrs-spectrum/9.9"))
    said = call("check", scanner)
    assert (said.code != 0, "mrs-spectrum/9.9" in said.out + said.err) == (True, True)


def rows(scanner: Path, call: Caller) -> list[dict[str, str]]:
    """Return the studies as `status --json` has them."""
    (document,) = json.loads(call("status", "--json", scanner).out)
    studies: list[dict[str, str]] = document["studies"]
    return studies


@pytest.mark.parametrize("word", ["merge", "take-late"])
def test_a_word_that_changes_nothing_is_refused_at_once(
    scanner: Path, call: Caller, word: str
) -> None:
    """With what would help; nothing is left for the process that holds the station."""
    assert call("run", "--once", scanner).code == 0
    (study,) = rows(scanner, call)
    said = call("station", word, scanner, study["name"])
    assert (said.code, f"{word} changes nothing" in said.err) == (1, True)
    assert f"`vipsync station complete {scanner} {study['name']}`" in said.err
    assert call("station", "complete", scanner, study["name"]).code == 0


def test_status_names_the_command_that_helps(scanner: Path, call: Caller) -> None:
    """With the path of the station, ready to be pasted."""
    assert call("run", "--once", scanner).code == 0
    report = scanner / ".vipsync" / "station.json"
    (study,) = rows(scanner, call)
    told = json.loads(report.read_text())
    remedy = f"`vipsync station complete {scanner} {study['name']}` starts it as it is."
    told["studies"][0] |= {"state": "incomplete", "remedy": remedy}
    report.write_text(json.dumps(told))
    assert remedy in " ".join(call("status", scanner).out.split())


@pytest.mark.parametrize("state", ["held", "needs you", "incomplete", "done"])
def test_each_study_that_asks_stands_below_the_table(
    scanner: Path, call: Caller, state: str
) -> None:
    """With the reason where nothing better can be advised; one that is done does not."""
    assert call("run", "--once", scanner).code == 0
    report = scanner / ".vipsync" / "station.json"
    told = json.loads(report.read_text())
    asks = {"state": state, "reason": "the disk is full", "remedy": "", "asks": state != "done"}
    told["studies"][0] |= asks
    report.write_text(json.dumps(told))
    below = f"{told['studies'][0]['name']}: {state}: the disk is full"
    assert (below in " ".join(call("status", scanner).out.split())) is (state != "done")


@pytest.mark.parametrize(("needs_you", "code"), [("0s", 3), ("24h", 0)])
def test_check_asks_for_a_study_that_waits_too_long(
    scanner: Path, call: Caller, needs_you: str, code: int
) -> None:
    """What is incomplete asks for somebody after a while, as in `status`."""
    text = (scanner / "station.toml").read_text().replace('# since    = "all" ', 'since = "all" #')
    text = text.replace('# needs_you = "24h"', f'needs_you = "{needs_you}"')
    (scanner / "station.toml").write_text(text.replace("# require ", "require "))
    for name in ("check", "plan"):
        said = call(name, scanner)
        told = " ".join(said.out.split())
        assert (said.code, "did not come" in told) == (code, True)
        assert (f"`vipsync station complete {scanner}" in told) is (code == 3)


def test_sessions_of_a_station_that_runs_are_not_called_idle(scanner: Path, call: Caller) -> None:
    """The station lets a session go that is over, and still brings it forward."""
    for name in ("S0001", "S0002"):
        session = scanner / "sessions" / name
        (session / "inputs").mkdir(parents=True)
        (session / "settings.toml").write_text(TEMPLATE)
    assert "not running" in call("status", scanner / "sessions").out
    folder = StationFolder(scanner)
    folder.claim()
    with folder.own.held():
        assert "not running" not in call("status", scanner / "sessions").out


def test_check_names_the_command_that_helps(scanner: Path, call: Caller) -> None:
    """Two studies of one person and hour are held; before the first run neither has a name that lasts."""
    pytest.importorskip("pydicom")
    text = (scanner / "station.toml").read_text()
    (scanner / "station.toml").write_text(text.replace('# since    = "all" ', 'since = "all" #'))
    export = scanner.parent / "export"
    series(export / "A", 1, 1)
    series(export / "B", 2, 1)
    said = " ".join(call("check", scanner).out.split())
    assert f"`vipsync station merge {scanner} STUDY`" in said
    assert "place 1 is another study of the same person" in said
    assert " DIR " not in said
