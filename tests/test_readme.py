"""README.md tells the truth: its settings are those there are, with their defaults; its commands exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec import Struct
from msgspec.structs import asdict

from vipsync.cli import vipsync
from vipsync.model import MachineSettings, Settings, replace
from vipsync.observe.observer import LOCAL_SETTLE
from vipsync.settings.machine import parse_machine
from vipsync.settings.reading import parse
from vipsync.station.model import StationSettings
from vipsync.station.settings import load as load_station

ROOT = Path(__file__).parents[1]
CI = ROOT / ".ci" / "run"
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = [
    (language, "\n".join(line.strip() for line in text.splitlines()))
    for language, text in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", README, re.M | re.S)
]
TOML = [text for language, text in BLOCKS if language == "toml"]
(REFERENCE,) = (text for text in TOML if "pipeline_id" in text)
(STATION,) = (text for text in TOML if "[station]" in text)
(MACHINE,) = (text for text in TOML if "[transfers]" in text)
SHOWN = [
    line
    for language, text in BLOCKS
    if not language
    for line in re.findall(r"^(?:\*/10 \* \* \* \*  /\S+/)?vipsync (.*)$", text, re.M)
]
TABLE = re.findall(
    r"`vipsync ([^`]+)`", README.partition("## Commands")[2].partition("\n\nWithout")[0]
)


def test_the_settings_shown_are_the_defaults() -> None:
    """What the reference gives, but for a study's own, is what a folder has without it."""
    shown, default = (parse(text.encode(), "my-study") for text in (REFERENCE, ""))
    default = replace(default, inputs=replace(default.inputs, settle=LOCAL_SETTLE))
    assert replace(shown, pipeline_id=default.pipeline_id, input_settings={}) == default


def test_the_settings_of_a_machine_shown_are_the_defaults() -> None:
    """What vipsync.toml is shown with, but for the folders, is what there is without it."""
    assert replace(parse_machine(MACHINE.encode()), folders=()) == MachineSettings()


def test_what_is_read_first_is_short() -> None:
    """All that stands before the reference tables has 1,500 words at most."""
    before, reference, _ = README.partition("\n## settings.toml\n")
    assert reference
    assert len(before.split()) <= 1500


def test_every_setting_is_shown() -> None:
    """The references have each key that settings.toml or vipsync.toml may have, and no other."""
    assert sorted(_keys(tomllib.loads(MACHINE))) == sorted(_known(MachineSettings()))
    shown = tomllib.loads(REFERENCE)
    del shown["input_settings"]
    assert sorted(_keys(shown)) == sorted(_known(parse(b"", "my-study")))


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        section = isinstance(value, dict) and value
        yield from _keys(value, f"{key}.") if section else [prefix + key]


def _known(settings: Struct, prefix: str = "") -> Iterator[str]:
    for name, value in asdict(settings).items():
        if isinstance(value, Struct):
            yield from _known(value, f"{name}.")
        elif name != "input_settings":
            yield prefix + name


@pytest.mark.parametrize(
    "text", [text for text in TOML if text not in (REFERENCE, STATION, MACHINE)]
)
def test_the_patterns_shown_are_read(text: str) -> None:
    """A piece of [input_settings] is read as it stands."""
    settings = parse(f"[input_settings]\n{text}".encode(), "my-study")
    assert isinstance(settings, Settings)
    assert len(settings.input_settings) == len(tomllib.loads(text))


def test_the_reference_of_stations_has_every_key_with_its_default(tmp_path: Path) -> None:
    """What a station does without any setting is what the page says."""
    (tmp_path / "station.toml").write_text(STATION)
    read = load_station(tmp_path)
    assert read == StationSettings(exports=("/mnt/export",))
    shown = {key for table in tomllib.loads(STATION).values() for key in table}
    tables = ("complete", "late", "keep")
    assert shown == {key.rpartition(".")[2] for key in _known(read, "") if key not in tables}


@pytest.mark.parametrize("line", SHOWN)
def test_the_commands_shown_are_understood(line: str) -> None:
    """Each line that a reader may copy has arguments that its command takes."""
    words = shlex.split(line, comments=True)
    name, *arguments = words[2:] if words[0] == "--config" else words
    with click.Context(vipsync):
        vipsync.commands[name].make_context(name, arguments)


def test_the_table_has_every_command_and_true_options() -> None:
    """No command is missing or invented, and no option that the table names."""
    assert {words.split()[0] for words in TABLE} == set(vipsync.commands)
    for words in TABLE:
        command = vipsync.commands[words.split()[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", words)) <= known, words


def test_the_commands_for_contributors_are_those_of_ci() -> None:
    """A change that passes what the last section names passes CI."""
    table = README.partition("## Contributing")[2]
    run = re.findall(r"^\.venv/bin/.*", CI.read_text("utf-8"), re.M)
    checks = [line for line in run if "pip" not in line]
    assert checks
    assert re.findall(r"^\| `(.+?)` \|", table, re.M) == [
        *checks,
        ".venv/bin/pytest -q -n 4 --dist loadfile",
    ]
