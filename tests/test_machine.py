"""vipsync.toml: what is read, the words for what is wrong with it, and which folders a command means."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vipsync.cli import exit_code
from vipsync.commands.context import Context
from vipsync.commands.machine import SinceStart
from vipsync.errors import SettingsError
from vipsync.model import MachineSettings
from vipsync.report.reporter import Reporter
from vipsync.settings.machine import folders_of, load_machine, parse_machine, urls_file

WHOLE = """
folders = ["/data/studies", "~/pilot", "/data/studies"]
[transfers]
streams  = 3
upload   = "20 MB/s"
download = "1.5GB/s"
hours    = "19:00-7:30"
free     = "2.5 %"
[notify]
urls  = "/etc/vipsync/alerts"
on    = ["failed"]
quiet = "1m"
[page]
address = "[::1]:8484"
"""


def test_every_key_is_read() -> None:
    """Speeds become bytes per second, hours minutes of the day, shares numbers below one."""
    machine, default = parse_machine(WHOLE.encode()), MachineSettings()
    for section in ("transfers", "notify", "page"):
        ours, theirs = getattr(machine, section), getattr(default, section)
        for name in ours.__struct_fields__:
            assert getattr(ours, name) != getattr(theirs, name), name
    assert (machine.transfers.upload, machine.transfers.download) == (20e6, 1.5e9)
    assert machine.transfers.hours == (19 * 60, 7 * 60 + 30)
    assert machine.transfers.free == 0.025
    assert (machine.notify.on, machine.notify.quiet) == (("failed",), 60.0)


def test_folders_are_named_once_and_home_is_this_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home of whoever runs, so that one file serves a person and their service."""
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")
    assert folders_of(parse_machine(WHOLE.encode())) == [
        Path("/data/studies"),
        Path("/home/ada/pilot"),
    ]


def test_alerts_go_where_a_variable_or_a_file_says() -> None:
    """A name without a slash is a variable's."""
    assert urls_file(MachineSettings()) is None
    assert urls_file(parse_machine(WHOLE.encode())) == Path("/etc/vipsync/alerts")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('folders = "/data"', r'line 1: folders: "/data" must be a list'),
        ('folders = ["studies"]', r'folders: "studies" must be a whole path, from / or ~ on'),
        ("folders = [3]", r"folders: 3 must be text in quotes"),
        ('settle = "5s"', r"settle: unknown: there are folders, transfers, notify, page"),
        ('folder = ["/data"]', r'folder: unknown\. Did you mean "folders"\?'),
        ('upload = "1 MB/s"', r"upload: unknown here: upload belongs under \[transfers\]"),
        ("transfers = 3", r"transfers: is a section"),
        ("[transfers]\nstreams = 9", r"line 2: transfers.streams: 9 must .* from 1 to 8"),
        ('[transfers]\nupload = "20Mb/s"', r'upload: "20Mb/s" is no speed: write "500 kB/s"'),
        ('[transfers]\nupload = "0 MB/s"', r'upload: "0 MB/s" is no speed'),
        (
            '[transfers]\nupload = "9 kB/s"',
            r'upload: "9 kB/s" is so slow that VIP gives up: at least "10 kB/s"',
        ),
        ("[transfers]\ndownload = 5", r"download: 5 is no speed"),
        ('[transfers]\nhours = "24:00-07:00"', r'hours: .* write "19:00-07:00"'),
        ('[transfers]\nhours = "7:00-07:00"', r"hours: .* begin when they end"),
        ("[transfers]\nhours = 19:00", r"line 2.*not TOML"),
        ('[transfers]\nfree = "60%"', r'free: "60%" must be a share up to 50 %'),
        ("[transfers]\nfree = 5", r"free: 5 must be a share"),
        ('[notify]\non = ["persons"]', r'on: "persons" is no event\. Did you mean "person"\?'),
        ('[notify]\nquiet = "soon"', r'quiet: "soon" is not a duration'),
        ('[page]\naddress = "8484"', r'address: "8484" must be HOST:PORT'),
        ('[page]\naddress = "localhost:70000"', r"address: .* must be HOST:PORT"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_the_right_word(text: str, words: str) -> None:
    """Each message names the file, the line, the key and what to write instead."""
    with pytest.raises(SettingsError) as caught:
        parse_machine(text.encode())
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "vipsync.toml" in str(caught.value)


def test_an_address_of_alerts_is_refused_and_never_repeated() -> None:
    """It can hold a password."""
    with pytest.raises(SettingsError) as caught:
        parse_machine(b'[notify]\nurls = "mailto://ada:Tigers99@example.org"')
    assert "notify.urls" in str(caught.value)
    assert "Tigers99" not in str(caught.value)


def test_a_file_of_addresses_inside_a_folder_is_refused(tmp_path: Path) -> None:
    """It would be copied with the folder, and sent with its inputs."""
    folder = (tmp_path / "study").as_posix()
    file = tmp_path / "vipsync.toml"
    file.write_text(f'folders = ["{folder}"]\n[notify]\nurls = "{folder}/inputs/alerts"\n')
    with pytest.raises(SettingsError, match=r"notify\.urls: the file lies inside"):
        load_machine(file)


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that runs a command in a folder, and returns its code and what it said."""

    def run(cwd: Path, *words: str | Path) -> tuple[int, str]:
        monkeypatch.chdir(cwd)
        code = exit_code([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return this account's vipsync.toml, which is not there yet."""
    monkeypatch.setattr("vipsync.settings.machine.user_config_path", lambda _name: tmp_path)
    return tmp_path / "vipsync.toml"


def session(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "settings.toml").touch()
    return folder


def test_check_without_dir_looks_at_the_file_of_the_machine(
    call: Call, machine: Path, tmp_path: Path
) -> None:
    """It says what each folder stands for, and which is not there."""
    session(tmp_path / "share" / "study")
    machine.write_text(f'folders = ["{(tmp_path / "share").as_posix()}", "/not/there"]\n')
    code, said = call(tmp_path, "check")
    assert code == 1
    assert "vipsync.toml can be read" in said
    assert "1 session folder" in said
    assert "/not/there is not there" in said


def test_check_inside_a_session_folder_means_that_one(
    call: Call, machine: Path, tmp_path: Path
) -> None:
    """Also from within its inputs; a file that is named goes before where one is."""
    inputs = session(tmp_path / "study") / "inputs"
    inputs.mkdir()
    machine.write_text('folders = ["/not/there"]\n')
    code, said = call(inputs, "check")
    assert "/not/there" not in said
    assert "settings.toml can be read" in said
    code, said = call(inputs, "--config", machine, "check")
    assert (code, "/not/there is not there" in said) == (1, True)


def test_without_any_folder_the_way_out_is_said(call: Call, machine: Path, tmp_path: Path) -> None:
    """Nothing named, no session folder around, no file: it says where a file would lie."""
    code, said = call(tmp_path, "check")
    assert code == 2
    assert str(machine) in said
    machine.write_text("[transfers]\nstreams = 4\n")
    code, said = call(tmp_path, "check")
    assert (code, "names no folders" in said) == (1, True)


def test_a_file_that_is_named_must_be_there(call: Call, tmp_path: Path) -> None:
    """A default may be missing; what a person names may not."""
    code, said = call(tmp_path, "--config", tmp_path / "nowhere.toml", "check")
    assert code == 1
    assert "nowhere.toml: cannot be read" in said


@pytest.mark.parametrize(
    ("text", "whole", "folders_alone"),
    [
        ("folders = ['/data']\n# another word\n", False, False),
        ("folders = ['/data', '/more']\n", False, False),
        ("folders = ['/data']\n[transfers]\nstreams = 2\n", True, True),
        ("folders = ['/data']\n[page]\naddress = '127.0.0.1:8484'\n", True, False),
        ("folders = 3\n", False, False),
    ],
)
def test_what_a_run_reads_once_is_told_from_what_it_reads_anew(
    tmp_path: Path, text: str, whole: bool, folders_alone: bool
) -> None:
    """Folders are read anew and a mistake waits; a run of named folders goes by the limits alone."""
    file = tmp_path / "vipsync.toml"
    file.write_text("folders = ['/data']\n")
    context = Context(Reporter(), {}, config=file)
    of_all, of_named = SinceStart(context, whole=True), SinceStart(context, whole=False)
    assert not of_all()
    file.write_text(text)
    assert (of_all(), of_named()) == (whole, folders_alone)
