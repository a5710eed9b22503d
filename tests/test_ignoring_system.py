"""What a person wants to keep here stays here, wherever the rule was written, and is told about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from vipsync.commands.check import check
from vipsync.errors import KeyMissing
from vipsync.folder.folder import SessionFolder
from vipsync.model import Settings
from vipsync.observe.in_force import QUIET, SavedSettings


def with_list(bench: Bench, **rules: str) -> Study:
    """Return a folder that sends everything, with a list of patients, and ignore rules by path."""
    settings = f'{SETTINGS}\n[inputs]\nupload = "all"\n'
    study = bench.study(settings=settings, a="one")
    study.write({"patients.csv": "Anna"})
    for path, text in rules.items():
        place = study.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return study


@pytest.mark.parametrize(
    "path",
    [
        ".vipsyncignore",
        ".vipsyncignore.txt",
        "inputs/.vipsyncignore",
        "inputs/.vipsyncignore.txt",
    ],
)
@pytest.mark.parametrize("rule", ["patients.csv", "*.CSV", "inputs/patients.csv"])
def test_rules_are_kept_wherever_they_lie(bench: Bench, path: str, rule: str) -> None:
    """Beside settings.toml or in inputs/, also where an editor has added .txt."""
    with_list(bench, **{path: f"{rule}\n"})
    bench.rest()
    assert not [name for name in bench.vip_files() if "patients" in name or "ignore" in name]
    assert bench.executions() == [["a.mrui"]]


@pytest.mark.parametrize(
    "path",
    [
        "vipsyncignore",
        ".vipsyncignore.rtf",
        ".VipSyncIgnore",
        ".vipsyncignore copy",
        ".vipsyncignore.txt.txt",
        ".vipsyncignore.sync-conflict-20240101-120000-ABCDEFG",
        "inputs/vipsync-ignore.txt",
        "inputs/lists/.vipsyncignore",
        "inputs/vipsyncignore.txt",
        "inputs/.VipSyncIgnore copy",
    ],
)
def test_rules_that_nobody_would_read_are_an_error(bench: Bench, path: str) -> None:
    """Nothing is sent until the person has moved them."""
    study = with_list(bench, **{path: "patients.csv\n"})
    bench.rest()
    assert study.says("protects nothing")
    assert study.says(Path(path).name)
    assert bench.vip_files() == {}
    (study.root / path).unlink()
    (study.root / ".vipsyncignore").write_text("patients.csv\n")
    bench.run(60)
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert not [name for name in bench.vip_files() if "patients" in name]


@pytest.mark.parametrize("place", ["", "inputs/"])
@pytest.mark.parametrize(
    "name", [".vipsyncignore~", "..vipsyncignore.swp", "#.vipsyncignore#", ".vipsyncignore.tmp"]
)
def test_what_an_editor_leaves_beside_rules_stops_nothing(
    bench: Bench, place: str, name: str
) -> None:
    """The rules themselves hold."""
    with_list(bench, **{f"{place}.vipsyncignore": "patients.csv\n", f"{place}{name}": "*\n"})
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert not [name for name in bench.vip_files() if "patients" in name or "ignore" in name]


def test_the_lock_of_an_editor_stops_nothing(bench: Bench) -> None:
    """Emacs makes a link that leads nowhere."""
    study = with_list(bench, **{"inputs/.vipsyncignore": "patients.csv\n"})
    (study.root / "inputs/.#.vipsyncignore").symlink_to("anna@host.1234:1")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert not study.says("cannot be read")


def test_rules_that_come_later_are_taken(bench: Bench) -> None:
    """In inputs/ too, and they go on to hold after they were changed."""
    study = with_list(bench)
    (study.root / "inputs/patients.csv").unlink()
    bench.rest()
    (study.root / "inputs/.vipsyncignore").write_text("*.csv\n")
    bench.run(60)
    study.write({"patients.csv": "Anna", "other.txt": "x"})
    bench.rest()
    names = [name.rpartition("/")[2] for name in bench.vip_files()]
    assert "other.txt" in names
    assert "patients.csv" not in names


@pytest.mark.parametrize("path", [".vipsyncignore", "inputs/.vipsyncignore", "settings.toml"])
def test_a_start_waits_for_no_rules_and_a_change_for_its_end(bench: Bench, path: str) -> None:
    """What lies there at the start counts at once; what is saved later is read when it is quiet."""
    study, now = with_list(bench, **{"inputs/.vipsyncignore": "patients.csv\n"}), [0.0]
    saved = SavedSettings(SessionFolder(study.root), {}, None, lambda: now[0])
    for _ in range(2):
        saved.read("")
        assert saved.due == float("inf")
    assert saved.in_force
    assert saved.in_force.ignored.rule("patients.csv")
    with (study.root / path).open("a") as file:
        file.write("# more\n")
    saved.read("")
    assert saved.due == now[0] + QUIET


@pytest.mark.parametrize(
    "copy",
    ["a.sync-conflict-20240101-120000-ABCDEFG.mrui", "a (conflicted copy 2024-01-01 120000).mrui"],
)
@pytest.mark.parametrize("pattern", ["*.mrui", "{name}.mrui"])
def test_a_conflict_copy_starts_nothing_and_is_told(bench: Bench, copy: str, pattern: str) -> None:
    """It comes while the session works; taken back by name, it is an input like any other."""
    settings = SETTINGS.replace("*.mrui", pattern)
    study = bench.study(settings=settings, a="one")
    bench.rest()
    study.write({copy: "two"})
    bench.clock.sleep(60)
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert study.says(f"1 conflict copy of a sync tool is left out: {copy}.")
    study.settings.write_text(f'{settings}\n[inputs]\nignore = ["!*conflict*"]\n')
    bench.run(60)
    bench.rest()
    assert len(bench.executions()) == 2
    assert not study.says("conflict copy")


@pytest.mark.parametrize(
    ("copy", "files"),
    [
        ("p1 (Anna's conflicted copy 2024-01-01)", ["s1.dcm"]),
        ("p1 (Case Conflict)", ["s1.dcm", "deep/er/s2.dcm"]),
        ("p1.sync-conflict-20240101-120000-ABCDEFG", ["s1.dcm"]),
    ],
)
def test_a_folder_that_is_a_conflict_copy_is_told_too(
    bench: Bench, copy: str, files: list[str]
) -> None:
    """By the files in it; it starts nothing."""
    study = bench.study(settings=SETTINGS.replace('"*.mrui"', '{ zip = "{s}/" }'))
    study.write({"p1/s1.dcm": "one", **{f"{copy}/{name}": "two" for name in files}})
    bench.rest()
    assert len(bench.executions()) == 1
    assert study.says(f"left out: {copy}/{min(files)}")
    assert study.says("cop" + ("y" if len(files) == 1 else "ies") + " of a sync tool")


def test_check_names_rules_without_effect(bench: Bench) -> None:
    """A rule that leaves nothing out may be one that somebody relies on."""
    study = with_list(bench, **{".vipsyncignore": "patients.csv\npatient.csv\n"})

    def no_key(_settings: Settings, _portal: str, _session: str) -> object:
        raise KeyMissing("no key")

    found = [f for f in check(SessionFolder(study.root), no_key, {}) if f.subject == "ignore"]  # type: ignore[arg-type]
    assert [f.details for f in found] == [("patient.csv (.vipsyncignore)",)]
