"""Absence is not deletion: a folder that is gone, emptied or replaced halts everything, on the whole system."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.bench import SCAN, SETTINGS, Bench, Study
from tests.lab.mounts import mount, unmount
from tests.lab.served import serve, without_privileges
from vipsync.actions import FetchResult, Outcome, ResultHere
from vipsync.errors import FolderAbsent
from vipsync.folder.folder import SessionFolder
from vipsync.model import replace
from vipsync.rows import Phase
from vipsync.run.dispatch import Done
from vipsync.run.reconciler import Reconciler, Work
from vipsync.status.publish import Publisher, read_status

Accident = Callable[[Study], Callable[[], None]]
"""Do something to a folder; the function that is returned mends it."""


def unmounted(study: Study) -> Callable[[], None]:
    """Take the whole folder away."""
    away = study.root.with_name("away")
    study.root.rename(away)
    return lambda: _back(away, study.root)


def empty_mount_point(study: Study) -> Callable[[], None]:
    """Leave an empty folder in its place, as an unmounted disk does."""
    away = study.root.with_name("away")
    study.root.rename(away)
    study.root.mkdir()

    def mend() -> None:
        assert list(study.root.iterdir()) == []  # nothing of ours was put into it
        study.root.rmdir()
        away.rename(study.root)

    return mend


def another_session(study: Study) -> Callable[[], None]:
    """Put another session folder in its place."""
    away, other = study.root.with_name("away"), study.root.with_name("other")
    study.root.rename(away)
    other.rename(study.root)

    def mend() -> None:
        study.root.rename(other)
        away.rename(study.root)

    return mend


def lost_hidden_folder(study: Study) -> Callable[[], None]:
    """Take `.vipsync` away, and the marker with it, as a careless clean-up does."""
    hidden, away = study.root / ".vipsync", study.root.with_name("hidden")
    marker = study.marker.read_bytes()
    hidden.rename(away)
    study.marker.unlink()

    def mend() -> None:
        away.rename(hidden)
        study.marker.write_bytes(marker)

    return mend


def emptied(study: Study) -> Callable[[], None]:
    """Take everything out of the folder, which itself stays."""
    away = study.root.with_name("away")
    away.mkdir()
    for entry in list(study.root.iterdir()):
        entry.rename(away / entry.name)

    def mend() -> None:
        for entry in list(away.iterdir()):
            entry.rename(study.root / entry.name)

    return mend


def _back(away: Path, root: Path) -> None:
    away.rename(root)


@dataclass
class Interrupting:
    """Carries out work at once; while the first archive is unpacked, something else happens."""

    meanwhile: Callable[[], None]
    outcomes: list[Outcome] = field(default_factory=list)

    def submit(self, work: Work, done: Done) -> None:
        if not isinstance(work.action, FetchResult):
            done(work, work.run())
            return
        staging, once = work.tools.folder.transfers, iter([self.meanwhile])

        def stop() -> None:
            if any(staging.glob("unpack-*/tree/*")):
                next(once, lambda: None)()

        self.outcomes.append(replace(work, tools=replace(work.tools, stop=stop)).run())
        done(work, self.outcomes[-1])


def test_a_halt_while_an_archive_is_unpacked_leaves_it_whole(bench: Bench) -> None:
    """What a thread still writes is no leftover when the folder is back."""
    study = bench.study(a="one")

    def away_for_a_moment() -> None:
        away = study.root.with_name("away")
        (study.root / "inputs").rename(away)
        bench.clock.sleep(SCAN + 1)
        study.session.look()
        assert isinstance(study.session.trouble, FolderAbsent)
        away.rename(study.root / "inputs")
        bench.clock.sleep(SCAN + 1)
        study.session.look()
        assert study.session.trouble is None

    bench.executor = Interrupting(away_for_a_moment)
    bench.restart()
    bench.rest()
    assert [type(outcome) for outcome in bench.executor.outcomes] == [ResultHere]
    assert len(study.outputs()) == 1


@pytest.mark.parametrize(
    "accident", [unmounted, empty_mount_point, another_session, lost_hidden_folder, emptied]
)
def test_a_folder_that_is_not_there_is_never_a_deleted_marker(
    bench: Bench, accident: Accident
) -> None:
    """Nothing is removed, launched or sent while it lasts; when it is back, everything goes on."""
    other = bench.study("other", a="other")
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    bench.studies.remove(other)
    bench.rest()
    before, on_vip = bench.changes(), bench.vip_files()
    mend = accident(study)
    bench.run(600)
    assert isinstance(study.trouble(), FolderAbsent)
    assert str(study.root) in str(study.trouble())
    assert (bench.changes(), bench.vip_files()) == (before, on_vip)
    mend()
    bench.rest()
    assert study.trouble() is None
    assert study.phase() is Phase.OPEN
    assert bench.changes() == before
    study.drop(b="two")
    bench.rest()
    assert bench.executions()[-1] == ["b.mrui"]
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == ["other"]


def test_a_deleted_inputs_folder_halts(bench: Bench) -> None:
    """Without inputs/ nothing is concluded: it may be a disk of its own."""
    study = bench.study(a="one")
    bench.rest()
    before = bench.changes()
    (study.root / "inputs").rename(study.root / "elsewhere")
    bench.rest()
    bench.run(60)
    assert study.says("inputs is not there")
    assert bench.changes() == before
    (study.root / "elsewhere").rename(study.root / "inputs")
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def exporting(bench: Bench, export: Path) -> Study:
    """Return a session whose inputs are an export folder, with one study that has run."""
    export.mkdir(exist_ok=True)
    (export / "one.mrui").write_text("1")
    study = bench.study(settings=f'{SETTINGS}\n[inputs]\ndirectory = "{export}"\n')
    bench.rest()
    assert bench.executions() == [["one.mrui"]]
    return study


@pytest.mark.parametrize("again", [False, True], ids=["running", "started again"])
@pytest.mark.parametrize("there", [{}, {"two.mrui": "2"}], ids=["empty", "another"])
def test_an_export_that_was_exchanged_halts(
    bench: Bench, tmp_path: Path, there: dict[str, str], *, again: bool
) -> None:
    """Not what lies there now is sent, and no path of it is told, until the one of before is back."""
    export = tmp_path / "SMITH"
    study = exporting(bench, export)
    before = bench.changes()
    away = export.rename(tmp_path / "away")
    export.mkdir()
    for name, text in there.items():
        (export / name).write_text(text)
    if again:
        bench.restart()
    bench.run(600)
    assert isinstance(study.trouble(), FolderAbsent)
    assert "[inputs] directory" in str(study.trouble())
    assert "SMITH" not in str(study.trouble())
    assert bench.changes() == before
    shutil.rmtree(export)
    away.rename(export)
    (export / "three.mrui").write_text("3")
    bench.rest()
    assert bench.executions() == [["one.mrui"], ["three.mrui"]]


def test_an_export_on_a_disk_that_is_mounted_anew_is_the_same(bench: Bench, tmp_path: Path) -> None:
    """A network disk gets another device number each time: files that are known from there tell."""
    export = tmp_path / "export"
    study = exporting(bench, export)
    copy = shutil.copytree(export, tmp_path / "copy")
    shutil.rmtree(export)
    copy.rename(export)
    (export / "two.mrui").write_text("2")
    bench.restart()
    bench.rest()
    assert study.trouble() is None
    assert bench.executions() == [["one.mrui"], ["two.mrui"]]


def test_an_emptied_export_halts_where_it_is_the_same_folder(bench: Bench, tmp_path: Path) -> None:
    """A server may have lost its disk behind a mount that stays as it is."""
    study = exporting(bench, tmp_path / "export")
    (tmp_path / "export" / "one.mrui").unlink()
    bench.run(60)
    assert study.says("is empty, and files were in it")
    (tmp_path / "export" / "two.mrui").write_text("2")
    bench.rest()
    assert bench.executions() == [["one.mrui"], ["two.mrui"]]


def test_a_file_of_an_export_is_quiet_for_a_minute(bench: Bench, tmp_path: Path) -> None:
    """Scanners pause in the middle of a copy for longer than the five seconds of one's own folder."""
    study = exporting(bench, tmp_path / "export")
    (tmp_path / "export" / "two.mrui").write_text("2")
    bench.run(50)
    assert bench.executions() == [["one.mrui"]]
    assert study.session.observer is not None
    bench.rest()
    assert bench.executions() == [["one.mrui"], ["two.mrui"]]


def test_what_is_missing_in_the_folder_is_written_into_it(bench: Bench) -> None:
    """STATUS.txt and `status` say so while it lasts, with what is on VIP; then all is well again."""
    bench.publish = publishing()
    study = bench.study(a="one")
    bench.rest()
    words = study.root / "STATUS.txt"
    assert words.read_text().startswith("Everything is here")
    (study.root / "inputs").rename(study.root / "elsewhere")
    bench.run(60)
    assert words.read_text().startswith(f"{study.root / 'inputs'} is not there.")
    assert "1 file sent, 3 bytes, in /vip/Home/API/study\n" in words.read_text()
    told = read_status(SessionFolder(study.root))
    assert told is not None
    assert (told.exit_code, told.files) == (3, 1)
    (study.root / "elsewhere").rename(study.root / "inputs")
    bench.rest()
    assert words.read_text().startswith("Everything is here")


@pytest.mark.parametrize(
    "accident", [unmounted, empty_mount_point, another_session, lost_hidden_folder, emptied]
)
def test_nothing_is_written_where_the_folder_is_not(bench: Bench, accident: Accident) -> None:
    """What is in its place is left as it is, and so is what was taken away."""
    bench.publish = publishing()
    bench.study("other", a="other")
    bench.rest()
    bench.stop()
    bench.studies.clear()
    study = bench.study(a="one")
    bench.rest()
    mend = accident(study)
    before = everything(bench.root)
    bench.run(600)
    assert everything(bench.root) == before
    mend()
    bench.rest()
    assert study.trouble() is None


def publishing() -> Callable[[Reconciler], object]:
    """Return what writes down for people how each folder is."""
    publishers: defaultdict[Path, Publisher] = defaultdict(Publisher)
    return lambda session: publishers[session.folder.root].publish(session)


def everything(root: Path) -> dict[Path, bytes | None]:
    """Return all files and folders below a folder."""
    return {p: p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


def test_inputs_elsewhere_that_are_not_mounted_are_never_made(bench: Bench, tmp_path: Path) -> None:
    """`directory` points at a scanner's export: absent, it is named; there, it is used."""
    export = tmp_path / "export"
    study = bench.study(settings=SETTINGS + f'\n[inputs]\ndirectory = "{export}"\n')
    bench.rest()
    bench.run(60)
    assert study.says("[inputs] directory")
    assert not export.exists()
    assert bench.changes() == []
    export.mkdir()
    (export / "a.mrui").write_text("one")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


def test_a_deleted_outputs_folder_comes_back_whole(bench: Bench) -> None:
    """Results that are on VIP are fetched again."""
    study = bench.study(a="one", b="two")
    bench.rest()
    whole = study.outputs()
    shutil.rmtree(study.root / "outputs")
    bench.rest()
    assert study.outputs() == whole


def test_a_deleted_settings_file_holds_everything_but_following(bench: Bench) -> None:
    """The last valid settings go on following and mirroring; the marker waits for the file."""
    bench.job_seconds = lambda _job: 120.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    text = study.settings.read_text()
    study.settings.unlink()
    bench.run(30)
    study.drop(b="two")
    study.marker.unlink()
    bench.run(600)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert bench.executions() == [["a.mrui"]]
    assert bench.sessions_on_vip() == ["study"]
    assert study.says("settings.toml")
    study.settings.write_text(text)
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]


@pytest.mark.parametrize("text", ["pipeline_id = ", 'pipline_id = "x/1"\n', SETTINGS + "[input]\n"])
def test_broken_settings_stop_uploads_and_launches_only(bench: Bench, text: str) -> None:
    """A running execution is followed to its end, also by a new process; the marker waits."""
    bench.job_seconds = lambda _job: 120.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.run(20)
    study.settings.write_text(text)
    bench.run(20)
    bench.restart()
    study.drop(b="two")
    bench.run(600)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert bench.executions() == [["a.mrui"]]
    assert study.says("settings.toml")
    study.marker.unlink()
    bench.run(600)
    assert bench.count("DELETE") == 0
    study.settings.write_text(SETTINGS)
    bench.run(60)
    bench.rest()
    assert bench.count("DELETE") == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_in_any_encoding_are_remembered_while_they_are_broken(
    bench: Bench, encoding: str
) -> None:
    """What editors on Windows save is kept as text: another process goes on following by it."""
    bench.job_seconds = lambda _job: 300.0
    study = bench.study(a="one")
    study.settings.write_text(SETTINGS, encoding=encoding)
    bench.until(bench.executions)
    study.settings.write_text("pipeline_id = ")
    bench.restart()
    bench.run(1000)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]


def test_vipsyncignore_counts_from_the_moment_it_is_saved(bench: Bench) -> None:
    """No start anew is needed, neither when it is made nor when it is deleted."""
    study = bench.study(a="one")
    bench.rest()
    ignored = study.root / ".vipsyncignore"
    ignored.write_text("b.*\n")
    study.drop(b="two", c="three")
    bench.run(60)
    assert bench.executions() == [["a.mrui"], ["c.mrui"]]
    ignored.unlink()
    bench.run(60)
    assert bench.executions() == [["a.mrui"], ["c.mrui"], ["b.mrui"]]


@pytest.mark.parametrize("broken", [b"\xff\xfeb\xdc", b"!\n"], ids=["no text", "no pattern"])
def test_a_broken_vipsyncignore_stops_uploads_and_launches_only(
    bench: Bench, broken: bytes
) -> None:
    """What was ignored stays so; what is to be mended is said."""
    study = bench.study()
    ignored = study.root / ".vipsyncignore"
    ignored.write_text("b.*\n")
    study.drop(a="one", b="two")
    bench.rest()
    ignored.write_bytes(broken)
    study.drop(c="three")
    bench.run(120)
    assert bench.executions() == [["a.mrui"]]
    assert study.says(".vipsyncignore")
    ignored.write_text("b.*\n")
    bench.run(60)
    assert bench.executions() == [["a.mrui"], ["c.mrui"]]
    assert study.notices == []


@pytest.mark.parametrize("broken", [b"\xff\xfeb\xdc", b"!\n"], ids=["no text", "no pattern"])
def test_executions_are_followed_though_vipsyncignore_is_broken_from_the_start(
    bench: Bench, broken: bytes
) -> None:
    """Another process starts while they run: results come, and what was ignored is not sent."""
    bench.job_seconds = lambda _job: 300.0
    study = bench.study()
    ignored = study.root / ".vipsyncignore"
    ignored.write_text("b.*\n")
    study.drop(a="one", b="two")
    bench.until(bench.executions)
    ignored.write_bytes(broken)
    bench.restart()
    bench.run(900)
    assert len(study.outputs()) == 1
    assert study.says(".vipsyncignore")
    assert set(bench.vip_inputs()) == {"a.mrui"}
    ignored.write_text("b.*\n")
    bench.run(60)
    assert bench.executions() == [["a.mrui"]]
    assert study.notices == []


def test_settings_that_are_half_saved_are_not_read(bench: Bench) -> None:
    """An editor writes in two steps: nobody hears of the first half."""
    study = bench.study(a="one")
    bench.rest()
    study.settings.write_text("pipeline_id = ")
    bench.loop.turn()
    study.settings.write_text(SETTINGS + "\n[launch]\nnb_runs = 2\n")
    for _ in range(20):
        bench.run(1)
        assert study.notices == []
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"], ["b.mrui"]]


def test_a_folder_that_comes_back_without_its_marker_removes_nothing(bench: Bench) -> None:
    """Absence is not deletion: only a marker that was seen after the return can be deleted."""
    study = bench.study(a="one")
    bench.rest()
    away = study.root.with_name("away")
    study.root.rename(away)
    bench.run(30)
    (away / "ON_VIP.txt").unlink()
    away.rename(study.root)
    bench.run(120)
    assert bench.sessions_on_vip() == ["study"]
    assert study.says("came back without ON_VIP.txt")
    study.ask("finish")
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_a_copy_in_the_folders_place_is_not_the_folder(bench: Bench) -> None:
    """It carries the same id, but it is another disk or a backup: its missing marker means nothing."""
    study = bench.study(a="one")
    bench.rest()
    away = study.root.rename(study.root.with_name("away"))
    shutil.copytree(away, study.root, ignore=shutil.ignore_patterns("ON_VIP.txt"))
    bench.run(120)
    assert bench.sessions_on_vip() == ["study"]
    assert study.says("came back without ON_VIP.txt")


def test_a_disk_that_is_unmounted_and_comes_back_under_another_number(bench: Bench) -> None:
    """A real one: its mount point is empty, then the folder is there again on another device."""
    study = bench.study(a="one")
    bench.rest()
    before, away = bench.changes(), bench.root.with_name("away")
    shutil.copytree(study.root, away)
    bench.stop()
    shutil.rmtree(study.root)
    study.root.mkdir()
    mount(study.root)
    try:
        shutil.copytree(away, study.root, dirs_exist_ok=True)
        bench.rest()
        device = study.root.stat().st_dev
        assert study.trouble() is None
    finally:
        unmount(study.root)
    bench.run(600)
    assert isinstance(study.trouble(), FolderAbsent)
    assert list(study.root.iterdir()) == []
    other = bench.root.with_name("other")
    other.mkdir()
    mount(other)  # takes the number that has become free
    mount(study.root)
    try:
        shutil.copytree(away, study.root, dirs_exist_ok=True)
        assert study.root.stat().st_dev != device
        bench.rest()
        assert study.trouble() is None
        assert bench.changes() == before
        assert study.phase() is Phase.OPEN
        bench.stop()
    finally:
        unmount(study.root)
        unmount(other)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("", errno.EACCES),
        ("", errno.ESTALE),
        ("inputs", errno.EIO),
        ("inputs/sub", errno.EIO),
        ("outputs", errno.EIO),
        (".vipsync", errno.EIO),
    ],
)
def test_a_place_that_cannot_be_read_is_not_empty(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str, code: int
) -> None:
    """Every look into it fails, and the marker's with it: it is said, nothing is concluded."""
    study = bench.study(a="one")
    study.write({"sub/b.mrui": "two"})
    bench.rest()
    before, broken = bench.changes(), study.root / place

    def refusing(name: str) -> None:
        really = getattr(os, name)

        def call(path: object = ".", *arguments: object, **options: object) -> object:
            where = Path(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else None
            if where and (where == broken or broken in where.parents):
                raise OSError(code, os.strerror(code), str(where))
            return really(path, *arguments, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("stat", "lstat", "scandir", "listdir"):
        refusing(name)
    bench.run(600)
    assert bench.changes() == before
    assert not study.says("fault in vipsync")
    monkeypatch.undo()
    bench.run(600)
    bench.rest()
    assert study.trouble() is None
    assert study.phase() is Phase.OPEN
    assert bench.changes() == before


def test_a_clock_that_is_set_back_ten_years_changes_nothing(bench: Bench) -> None:
    """Only the time of day jumps: nothing is removed or launched again, and work goes on."""
    bench.job_seconds = lambda _job: 300.0
    study = bench.study(a="one")
    back = 0.0
    bench.loop.timing.wall = lambda: bench.clock.now() - back
    bench.until(bench.executions)
    back = 10 * 365 * 86400.0
    bench.rest()
    assert len(study.outputs()) == 1
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert bench.count("DELETE") == 0
    study.marker.unlink()
    bench.rest()
    assert study.phase() is Phase.CLOSED


@pytest.mark.parametrize("name", ["inputs", "outputs", ".vipsync"])
def test_a_file_in_the_place_of_a_folder_is_said_to_be_one(bench: Bench, name: str) -> None:
    """Nothing is done until it is moved away."""
    study = bench.study(a="one")
    place, away = study.root / name, study.root / "away"
    if name == "inputs":
        place.rename(away)
    place.write_text("in the way")
    bench.run(60)
    assert study.says(f"{name} is a file, and should be a folder.")
    assert study.says("Move the file to another place.")
    assert place.read_text() == "in the way"
    assert bench.changes() == []
    place.unlink()
    if name == "inputs":
        away.rename(place)
    bench.run(600)
    assert len(study.outputs()) == 1


def test_a_folder_without_permissions_is_said_to_be_unreadable(tmp_path: Path) -> None:
    """`chmod 000`, seen by a real process: nothing is removed or launched, and the words say why."""
    plain = without_privileges()
    with serve(tmp_path) as served:
        study = served.study(a="one")
        command = [*plain, sys.executable, "-m", "vipsync", "run", "--once", str(study)]
        environ = {**os.environ, **served.environ}
        subprocess.run(command, env=environ, check=True, capture_output=True)
        requests = len(served.world.requests)
        (study / "ON_VIP.txt").unlink()
        study.chmod(0)
        try:
            done = subprocess.run(command, env=environ, capture_output=True, text=True)
        finally:
            study.chmod(0o755)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert "fault" not in done.stdout + done.stderr
        assert "study" in done.stdout + done.stderr
        assert len(served.world.requests) == requests


def test_an_input_whose_content_went_away_keeps_nothing_else_waiting(bench: Bench) -> None:
    """A link that leads nowhere, as git-annex leaves it: it is named, others start, and rest comes."""
    study = bench.study(a="one", b="two")
    bench.rest()
    gone = study.root / "inputs/b.mrui"
    gone.unlink()
    gone.symlink_to("/nowhere/b.mrui")
    bench.rest()
    assert study.says("a link that leads nowhere")
    study.drop(c="three")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"], ["c.mrui"]]
