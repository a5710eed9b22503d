"""The files by which systems start vipsync: each is read by what reads it there, or by its rules."""

from __future__ import annotations

import plistlib
import shlex
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lxml import etree

from vipsync.errors import SettingsError
from vipsync.service import launchd, systemd, windows
from vipsync.service.program import Program

ODD = '/srv/it\'s 100% "odd" $HOME \\ ü'
PROGRAM = Program(
    ("/opt/vip sync/bin/python", "-P", "-m", "vipsync"),
    ("--config", ODD),
    ("/srv/share", ODD),
    ("/opt/vip sync", "/usr"),
)


def test_the_unit_of_a_person_is_in_order(tmp_path: Path) -> None:
    """Systemd itself finds nothing to say against it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "py thon"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / systemd.UNIT
    unit.write_text(systemd.user_unit(Program((str(program), "-P"), ("--config", ODD))))
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def lines(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)


def test_nothing_in_a_path_stands_for_something_else_in_a_unit() -> None:
    """`%` and `$` are doubled where systemd would replace them, quotes and backslashes escaped."""
    unit = lines(systemd.system_unit(PROGRAM))
    words = shlex.split(unit["ExecStart"])
    odd = ODD.replace("%", "%%")
    assert words == [
        *PROGRAM.command,
        "--config",
        odd.replace("$", "$$"),
        "--api-key-file",
        "%d/api_key",
        "run",
    ]
    assert shlex.split(unit["ReadWritePaths"]) == ["/srv/share", odd]
    assert shlex.split(unit["RequiresMountsFor"]) == ["/srv/share", odd]


@pytest.mark.parametrize(
    ("folders", "code", "found"),
    [
        (("/srv/a",), ("/opt/v",), ("yes", None, None)),
        (("/home/ada/a",), ("/opt/v",), ("tmpfs", None, "/home/ada/a")),
        (("/srv/a",), ("/home/ada/v", "/usr"), ("tmpfs", "/home/ada/v", None)),
        (("/homely/a",), ("/roots",), ("yes", None, None)),
    ],
)
def test_of_homes_only_what_is_needed_is_seen(
    folders: tuple[str, ...], code: tuple[str, ...], found: tuple[str | None, ...]
) -> None:
    """The program read only, the folders to work in; where neither lies there, nothing at all."""
    unit = lines(systemd.system_unit(Program(("/usr/bin/python3",), (), folders, code)))
    assert tuple(unit.get(k) for k in ("ProtectHome", "BindReadOnlyPaths", "BindPaths")) == found


@pytest.mark.parametrize("text", ["/srv/a\nExecStartPre=/bin/evil", "/srv/a\x1b[2J"])
def test_a_path_that_could_add_a_line_is_refused(text: str) -> None:
    """Others can name folders; the file is read with the rights of whoever installs it."""
    for program in (Program(("vipsync",), (), (text,)), Program(("vipsync",), ("--config", text))):
        for make in (
            systemd.user_unit,
            systemd.system_unit,
            lambda p: launchd.agent(p, "/e"),
            lambda p: windows.task(p, "A"),
        ):
            with pytest.raises(SettingsError):
                make(program)


def test_the_agent_of_macos_is_a_property_list_of_known_keys() -> None:
    """Each key has the type that launchd.plist(5) gives it."""
    found = plistlib.loads(launchd.agent(PROGRAM, "/Users/ada/Library/Logs/vipsync/service.log"))
    assert found["ProgramArguments"] == list(PROGRAM.words)
    assert {key: type(value) for key, value in found.items()} == {
        "Label": str,
        "ProgramArguments": list,
        "RunAtLoad": bool,
        "KeepAlive": bool,
        "ThrottleInterval": int,
        "ProcessType": str,
        "StandardOutPath": str,
        "StandardErrorPath": str,
    }
    assert found["KeepAlive"] is True


NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
SCHEMAS = Path(__file__).parent / "schemas"


@pytest.mark.parametrize("words", [PROGRAM, Program(("/usr/bin/vipsync",))], ids=["odd", "plain"])
def test_the_agent_of_macos_fits_the_definition_of_property_lists(words: Program) -> None:
    """What launchd reads is an XML property list, of which the order of keys and values is fixed."""
    with (SCHEMAS / "plist.dtd").open() as rules:
        definition = etree.DTD(rules)
    found = etree.fromstring(launchd.agent(words, "/Users/ada & co/service.log"))
    assert definition.validate(found), definition.error_log
    key = found.find(".//key")
    key.getparent().remove(key)
    assert not definition.validate(found)


@pytest.mark.parametrize("words", [PROGRAM, Program(("/usr/bin/vipsync",))], ids=["odd", "plain"])
def test_the_task_of_windows_fits_the_schema_of_task_scheduler(words: Program) -> None:
    """Every value is one that the schema knows: a task that does not fit is refused by `schtasks`."""
    schema = etree.XMLSchema(etree.parse(SCHEMAS / "task.xsd"))
    found = etree.fromstring(windows.task(words, "LAB\\Ada & Co"))
    assert schema.validate(found), schema.error_log
    count = found.find(f".//{NAMESPACE}RestartOnFailure/{NAMESPACE}Count")
    count.text = "256"
    assert not schema.validate(found)


def test_the_task_of_windows_says_what_is_started_and_for_whom() -> None:
    """UTF-16 with its mark; the arguments come back as the words that went in."""
    task = windows.task(PROGRAM, "LAB\\Ada & Co")
    assert task.startswith(b"\xff\xfe")
    root = ET.fromstring(task)
    texts = {e.tag.removeprefix(NAMESPACE): e.text for e in root.iter()}
    assert texts["Command"] == PROGRAM.command[0]
    assert texts["Arguments"] == subprocess.list2cmdline(PROGRAM.words[1:])
    assert texts["UserId"] == "LAB\\Ada & Co"
    assert (texts["ExecutionTimeLimit"], texts["LogonType"]) == ("PT0S", "S4U")
