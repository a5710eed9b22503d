"""A station on the whole system: studies arrive in an export, and each is one session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.lab.bench import Bench
from tests.lab.findings import TABLE, fit
from tests.lab.mounts import mount, unmount
from tests.lab.stations import QUIET, TEMPLATE, Station, station
from vipsync.client.vip_client import VipClient
from vipsync.errors import FolderAbsent, KeyMissing, SettingsError
from vipsync.folder.folder import SessionFolder
from vipsync.model import Settings, replace
from vipsync.results.gallery import Gallery
from vipsync.run.reconciler import Reconciler
from vipsync.station.backroom import AtOnce, Work
from vipsync.station.keeper import Keeper
from vipsync.station.steps import StudyState
from vipsync.status.publish import Publisher, read_status


@pytest.fixture(autouse=True)
def _private(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPSYNC_DATA", f"{tmp_path}/private")


def test_each_study_becomes_one_session(bench: Bench) -> None:
    """Named by numbers in the order in which they came; their results are there, and VIP is clean."""
    made = station(bench)
    made.write("SMITH_JOHN", {"svs/1.rda": "one", "t1/2.ima": "two"})
    bench.run(60)
    made.write("DOE_JANE", {"svs/1.rda": "three"})
    bench.rest()
    assert made.states() == {"S0001": StudyState.DONE, "S0002": StudyState.DONE}
    assert made.sessions() == ["S0001", "S0002"]
    assert made.started() == ["S0001", "S0002"]
    assert bench.sessions_on_vip() == []
    (name,) = made.session("S0001").outputs()
    assert "/study.zip.tgz/" in name


SVS = {"svs/1.rda": "one"}


def more(made: Station, study: str = "SMITH") -> None:
    """Let a second series of a study come."""
    made.write(study, {"t1/1.ima": "two"})


class Later(AtOnce):
    """Carries work out when the test says so, as a thread would."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.held: list[tuple[str, Work]] = []

    def put(self, key: str, work: Work) -> None:
        """Take one piece of work, unless it is under way."""
        if key not in self.busy and all(key != held for held, _ in self.held):
            self.held.append((key, work))

    def end_all(self) -> None:
        """Let everything end."""
        held, self.held = self.held, []
        for key, work in held:
            super().put(key, work)


def test_what_has_ended_is_taken_in_at_once(bench: Bench) -> None:
    """A study that was read does not wait for the next look at the export, but in trouble it does."""
    backroom, made = Later(), station(bench)
    bench.new_keeper = lambda root, timing, _, stop: Keeper(root, timing, backroom, stop=stop)
    made.write("SMITH", SVS)
    bench.until(lambda: backroom.held)
    keeper = made.keeper
    assert keeper.due > bench.loop.timing.clock()
    backroom.end_all()
    assert (keeper.due, bench.loop.pause()) == (0.0, 0.0)
    bench.loop.turn()
    assert made.sessions() == ["S0001"]
    keeper.trouble, backroom.held = FolderAbsent("It is away."), [("another", lambda: None)]
    backroom.end_all()
    assert keeper.due > 0.0


def test_sessions_that_show_nothing_new_cost_no_plan(bench: Bench) -> None:
    """Each of those that run is looked at every minute; a thousand studies are not gone through for that."""
    bench.job_seconds = lambda _job: 900.0
    made = station(bench)
    made.write("SMITH", SVS)
    bench.until(lambda: made.states().get("S0001") is StudyState.RUNNING)
    keeper = made.keeper
    keeper.turn(bench.loop.sessions, {0: frozenset()}, healthy=False)
    plan = keeper.plan
    keeper.turn(bench.loop.sessions, {}, healthy=False)
    assert keeper.plan is plan
    keeper.turn({}, {}, healthy=False)
    assert keeper.plan is not plan


@pytest.mark.parametrize(
    ("settle", "least", "most"), [("", 10, 40), ('\n[inputs]\nsettle = "3m"\n', 180, 220)]
)
def test_a_study_that_was_quiet_is_not_waited_for_again(
    bench: Bench, settle: str, least: float, most: float
) -> None:
    """From the moment at which its session is made it is sent within seconds, unless the template says else."""
    made = station(bench, template=TEMPLATE + settle)
    made.write("SMITH", SVS)
    bench.until(made.sessions)
    began = bench.clock.now()
    bench.until(bench.started)
    assert least < bench.clock.now() - began < most


# when a study is whole


def test_nothing_starts_before_a_study_has_been_quiet(bench: Bench) -> None:
    """Each pause of the scanner begins the wait anew."""
    made = station(bench)
    made.write("SMITH", SVS)
    bench.run(QUIET - 30)
    more(made)
    bench.run(QUIET - 30)
    assert made.sessions() == []
    assert list(made.states().values()) == [StudyState.ARRIVING]
    bench.rest()
    assert made.started() == ["S0001"]


def test_a_study_that_lacks_something_waits_and_asks_after_a_day(bench: Bench) -> None:
    """It is never launched by itself; a person says that it is complete."""
    made = station(bench, '[complete]\nrequire = ["*svs*", "*T1* | *mprage*"]\n')
    made.write("SMITH", SVS)
    bench.rest()
    assert "INCOMPLETE" in made.states().popitem()[1].name
    assert "*T1* | *mprage* did not come" in made.reasons()
    assert made.exit_code() == 0
    bench.clock.sleep(90_000)
    bench.rest()
    assert made.exit_code() == 3
    assert made.started() == []
    (handle,) = made.states()
    made.ask("complete", handle)
    bench.rest()
    assert made.started() == ["S0001"]


def test_what_was_required_may_come_later(bench: Bench) -> None:
    """Required names are looked for in paths, in any case of letters."""
    made = station(bench, '[complete]\nrequire = ["*svs*", "t1/*"]\n')
    made.write("SMITH", SVS)
    bench.rest()
    assert made.started() == []
    more(made)
    bench.rest()
    assert made.started() == ["S0001"]


def test_a_ready_file_counts_only_together_with_quiet(bench: Bench) -> None:
    """Some programs write it at the first pause."""
    made = station(bench, '[complete]\nready = "READY"\n')
    made.write("SMITH", SVS | {"READY": ""})
    bench.run(QUIET - 30)
    more(made)
    bench.run(QUIET - 30)
    assert made.sessions() == []
    made.write("DOE", SVS)
    bench.rest()
    assert made.started() == ["S0001"]
    assert "READY did not come" in made.reasons()


def test_what_lay_there_before_is_listed_and_not_started(bench: Bench) -> None:
    """A study that goes on growing is a new one."""
    made = station(bench, since='"now"')
    made.write("OLD", SVS)
    made.write("GROWS", SVS)
    bench.rest()
    assert set(made.states().values()) == {StudyState.BEFORE}
    made.write("NEW", {"svs/1.rda": "new"})
    more(made, "GROWS")
    bench.rest()
    assert sorted(made.started()) == ["S0001", "S0002"]
    assert sorted(made.states().values()) == ["done", "done", "there before"]


def test_what_is_not_ours_is_listed(bench: Bench) -> None:
    """Only studies in which something matches `accept` get a session."""
    made = station(bench, accept='["*svs*"]')
    made.write("SMITH", SVS)
    made.write("DOE", {"t1/1.ima": "x"})
    bench.rest()
    assert sorted(made.states().values()) == ["done", "not ours"]
    assert made.sessions() == ["S0001"]


def test_a_study_is_kept_until_all_is_made_of_its_results(bench: Bench) -> None:
    """Pages and provenance are made in a thread of their own, and take longer than the study's last turn."""
    bench.world.pipelines.add(fit("report=[signal].pdf table=[signal].table"))
    bench.runner.work = lambda job: {"report": b"%PDF-1.4", "table": TABLE.encode()}
    galleries: dict[Path, Gallery] = {}
    pending: list[Callable[[], None]] = []

    def publish(session: Reconciler) -> None:
        later = list(pending)
        pending.clear()
        for make in later:
            make()
        root = session.folder.root
        if root not in galleries:
            galleries[root] = Gallery(pending.append, lambda: bench.loop.notice(root))
        publishers.setdefault(root, Publisher(galleries[root])).publish(session)

    publishers: dict[Path, Publisher] = {}
    bench.publish = publish
    bench.is_made = lambda root: galleries[root].is_done
    made = station(bench, template=TEMPLATE.replace("spectrum/1", "fit/1"))
    made.write("SMITH", SVS)
    bench.rest()
    assert made.states() == {"S0001": StudyState.DONE}
    outputs = made.root / "sessions" / "S0001" / "outputs"
    text = (outputs / "index.html").read_text("utf-8")
    assert "is shown here soon" not in text
    assert "provenance" in text
    assert len([*outputs.glob("*/ro-crate-metadata.json")]) == 1


def test_a_study_that_is_done_says_how_its_session_is_now(bench: Bench) -> None:
    """A person finished its session, with the station or without it, or ran it again."""
    publisher = Publisher()
    bench.publish = publisher.publish
    made = station(bench, '[keep]\nfinish = "marker"\n')
    made.write("SMITH", SVS)
    bench.rest()
    assert "the data are still on VIP" in made.reasons()
    made.session("S0001").ask("rerun")
    bench.until(lambda: made.states()["S0001"] is StudyState.RUNNING)
    bench.run(5)
    bench.restart()  # what was asked for is under way, and nothing asks for it any more
    bench.rest()
    assert made.states() == {"S0001": StudyState.DONE}
    assert len(bench.started()) == 2
    assert "2 results" in made.reasons()
    made.session("S0001").ask("finish")
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert "still on VIP" not in made.reasons()
    bench.restart()
    bench.rest()
    assert "still on VIP" not in made.reasons()


def test_a_study_that_is_done_says_what_another_process_did(bench: Bench) -> None:
    """`vipsync finish` of a session that is let go works by itself; what it asks of a person is not passed on."""
    publisher = Publisher()
    bench.publish = publisher.publish
    made = station(bench, '[keep]\nfinish = "marker"\n')
    made.write("SMITH", SVS)
    bench.rest()
    session = SessionFolder(made.root / "sessions" / "S0001")
    said = read_status(session)
    assert said
    for words, code in (("Done: VIP is clean.", 0), ("Needs you: SMITH.mrui: no", 3)):
        other = replace(said, sentence=words, exit_code=code, written=bench.clock.now())
        session.write(session.report, msgspec.json.encode(other))
        bench.run(60)
        assert (words in made.reasons()) is (code == 0)
        assert made.exit_code() == code
    assert "SMITH" not in made.reasons()
    assert f"`vipsync status {made.root}/sessions/S0001`" in made.reasons()


def test_a_person_can_skip_a_study(bench: Bench) -> None:
    """It is listed as skipped, and has no session."""
    made = station(bench)
    made.write("SMITH", SVS)
    bench.run(60)
    (handle,) = made.states()
    made.ask("skip", handle)
    bench.rest()
    assert list(made.states().values()) == [StudyState.SKIPPED]
    assert made.sessions() == []


def test_a_study_that_is_skipped_before_it_starts_leaves_vip_clean(
    make_bench: Callable[..., Bench],
) -> None:
    """Also where its files are on VIP already, and it waits for a slot."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 300.0
    made = station(bench)
    made.write("FIRST", {"svs/1.rda": "zero"})
    made.write("SMITH", SVS)
    bench.until(lambda: len(bench.sessions_on_vip()) == 2)
    made.ask("skip", "S0002")
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.states() == {"S0001": StudyState.DONE, "S0002": StudyState.SKIPPED}
    assert bench.sessions_on_vip() == []


def test_a_station_whose_sessions_have_no_key_says_that_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes to rest, ends as its sessions do, and is well again when there is a key."""
    connect, missing = bench._connect, [True]

    def without_key(settings: Settings, portal: str, session: str) -> tuple[VipClient, str]:
        if missing:
            raise KeyMissing(f"No API key for {portal}.", "Call `vipsync login`.")
        return connect(settings, portal, session)

    monkeypatch.setattr(bench, "_connect", without_key)
    made = station(bench)
    made.write("EXAM1", SVS)
    bench.rest()
    assert (made.exit_code(), made.states()) == (4, {"S0001": StudyState.NEEDS})
    assert made.keeper.status
    assert "No API key" in made.keeper.status.sentence
    missing.clear()
    bench.run(900)
    bench.rest()
    assert (made.exit_code(), made.states()) == (0, {"S0001": StudyState.DONE})


def test_a_copy_runs_though_its_study_left_the_export(make_bench: Callable[..., Bench]) -> None:
    """The queue may be longer than an export keeps its studies."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 300.0
    made = station(bench, take='"copy"')
    for name in ("ONE", "TWO", "THREE"):
        made.write(name, {"svs/1.rda": name})
    bench.until(lambda: made.states().get("S0003") is StudyState.QUEUED)
    made.drop("THREE")
    bench.rest()
    assert made.started() == ["S0001", "S0002", "S0003"]
    assert set(made.states().values()) == {StudyState.DONE}


# what comes later


@pytest.mark.parametrize("take", ['"point"', '"copy"'])
def test_late_data_are_held_until_a_person_takes_them(bench: Bench, take: str) -> None:
    """Then the study runs again, with all of it."""
    made = station(bench, take=take)
    made.write("SMITH", SVS)
    bench.rest()
    more(made)
    bench.rest()
    assert made.states() == {"S0001": StudyState.HELD}
    assert "1 file came after the launch" in made.reasons()
    assert made.exit_code() == 3
    assert made.started() == ["S0001"]
    made.ask("take-late", "S0001")
    bench.rest()
    assert made.started() == ["S0001", "S0001"]
    assert made.states() == {"S0001": StudyState.DONE}


def test_late_data_run_again_where_the_settings_say_so(bench: Bench) -> None:
    """Once for what came, and not again at rest."""
    made = station(bench, '[late]\nseries = "rerun"\n')
    made.write("SMITH", SVS)
    bench.rest()
    more(made)
    bench.rest()
    bench.restart()
    bench.rest()
    assert made.started() == ["S0001", "S0001"]


@pytest.mark.parametrize("take", ['"point"', '"copy"'])
def test_a_study_exported_again_is_silent(bench: Bench, take: str) -> None:
    """The same content under other times, or in a folder of another name, is the same study."""
    made = station(bench, take=take)
    made.write("SMITH", SVS)
    bench.rest()
    made.write("SMITH", SVS)
    bench.rest()
    made.write("SMITH_2", SVS)
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.states()["S0001"] is StudyState.DONE
    assert sorted(made.states().values()) == ["done", "the same study"]
    assert made.exit_code() == 0


def test_a_renamed_folder_is_the_same_study(bench: Bench) -> None:
    """Its session is not made again."""
    made = station(bench)
    made.write("SMITH", SVS)
    bench.rest()
    made.rename("SMITH", "SMITH_JOHN")
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.sessions() == ["S0001"]


def test_a_folder_that_is_renamed_while_its_study_runs_is_followed(bench: Bench) -> None:
    """The session looks into the folder under its new name, and its results arrive."""
    bench.job_seconds = lambda _job: 600.0
    made = station(bench)
    made.write("SMITH", SVS)
    bench.until(lambda: made.started() == ["S0001"])
    made.rename("SMITH", "SMITH_JOHN")
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.states()["S0001"] is StudyState.DONE
    assert "SMITH_JOHN" in (made.session("S0001").settings).read_text()


@pytest.mark.parametrize("take", ['"point"', '"copy"'])
def test_data_that_come_between_asking_and_the_start_wait(
    make_bench: Callable[..., Bench], take: str
) -> None:
    """The session is told to wait; once the study is whole again it starts, with all of it."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 500.0  # a slot is free before the study is whole
    made = station(bench, take=take)
    made.write("FIRST", {"svs/1.rda": "zero"})
    made.write("SMITH", SVS)
    bench.until(lambda: made.started() == ["S0001"])
    bench.until(lambda: made.states().get("S0002") is StudyState.SENDING)
    bench.run(200)
    more(made)
    bench.until(lambda: made.states()["S0002"] is StudyState.ARRIVING)
    bench.until(lambda: made.states()["S0001"] is StudyState.DONE)
    bench.rest()
    assert made.started() == ["S0001", "S0002"]
    assert made.states() == {"S0001": StudyState.DONE, "S0002": StudyState.DONE}
    assert made.exit_code() == 0


# order


def test_studies_start_oldest_first_and_a_person_moves_one_up(
    make_bench: Callable[..., Bench],
) -> None:
    """With one slot each runs once, and VIP is clean at the end."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 120.0
    made = station(bench)
    for number in range(4):
        made.write(f"EXAM{number}", {"svs/1.rda": str(number)})
        bench.run(5)
    bench.until(lambda: made.states().get("S0004") is StudyState.QUEUED)
    made.ask("first", "S0004")
    bench.rest()
    order = made.started()
    assert sorted(order) == [f"S000{n}" for n in range(1, 5)]
    assert order.index("S0004") <= 2
    order.remove("S0004")
    assert order == sorted(order)
    assert bench.sessions_on_vip() == []


# the export


def test_an_export_that_is_gone_or_empty_or_exchanged_halts(bench: Bench, tmp_path: Path) -> None:
    """Nothing new starts, and which it is is said; it goes on when the one of before is back."""
    made = station(bench)
    made.write("SMITH", SVS)
    bench.rest()
    away = made.export.rename(tmp_path / "away")
    bench.run(60)
    assert "The export" in made.reasons()
    assert made.exit_code() == 3
    made.export.mkdir()
    bench.run(60)
    assert "The export is empty" in made.reasons()
    made.write("OTHER", {"svs/1.rda": "other"})
    bench.run(3600)
    assert "another folder than before" in made.reasons()
    assert made.started() == ["S0001"]
    made.drop("OTHER")
    made.export.rmdir()
    away.rename(made.export)
    made.write("DOE", {"svs/1.rda": "doe"})
    bench.rest()
    assert made.started() == ["S0001", "S0002"]
    assert made.exit_code() == 0


def test_an_emptied_export_halts(bench: Bench) -> None:
    """A server may have lost its disk behind a mount that stays as it is."""
    made = station(bench)
    made.write("SMITH", SVS)
    bench.rest()
    made.drop("SMITH")
    bench.rest()
    assert "The export is empty, and studies were in it" in made.reasons()
    made.write("DOE", {"svs/1.rda": "doe"})
    bench.rest()
    assert made.started() == ["S0001", "S0002"]
    assert made.exit_code() == 0


def test_another_disk_in_the_place_of_the_export_halts(bench: Bench) -> None:
    """A real one, unmounted, and another one mounted in its place."""
    made = station(bench, take='"copy"')
    mount(made.export)
    try:
        made.write("SMITH", SVS)
        bench.rest()
        assert made.started() == ["S0001"]
        mount(made.export)
        try:
            bench.run(60)
            assert "The export is empty" in made.reasons()
            made.write("OTHER", {"svs/1.rda": "other"})
            bench.run(QUIET * 2)
            assert "another folder than before" in made.reasons()
            assert made.started() == ["S0001"]
        finally:
            unmount(made.export)
        made.write("DOE", {"svs/1.rda": "doe"})
        bench.rest()
        assert made.started() == ["S0001", "S0002"]
    finally:
        bench.stop()
        unmount(made.export)


@pytest.mark.parametrize("take", ['"point"', '"copy"'])
def test_an_export_is_only_read(bench: Bench, take: str) -> None:
    """No file of it is changed, made, linked or moved, in either way to take a study."""
    made = station(bench, take=take)
    made.write("SMITH", SVS)

    def there() -> dict[Path, tuple[int, int, int]]:
        infos = {path: os.lstat(path) for path in [made.export, *made.export.rglob("*")]}
        return {p: (i.st_mtime_ns, i.st_ctime_ns, i.st_nlink) for p, i in infos.items()}

    before = there()
    bench.rest()
    assert made.started() == ["S0001"]
    assert there() == before


def test_a_lost_table_halts(bench: Bench, tmp_path: Path) -> None:
    """Without the secret every study would be taken for a new one, and run again."""
    made = station(bench)
    made.write("SMITH", SVS)
    bench.rest()
    bench.stop()
    shutil.rmtree(tmp_path / "private")
    bench.run(3600)
    assert "nobody can tell which studies have run" in made.reasons()
    assert made.started() == ["S0001"]


def test_two_stations_on_one_export_run_no_study_twice(bench: Bench) -> None:
    """One of them works; the other says which has the export, and what would part them."""
    made, other = station(bench), station(bench, name="another")
    made.write("SMITH", SVS)
    bench.rest()
    assert [*made.sessions(), *other.sessions()] == ["S0001"]
    assert len(bench.started()) == 1
    assert sorted([made.exit_code(), other.exit_code()]) == [0, SettingsError.exit_code]
    words = made.reasons() + other.reasons()
    assert "is a station of" in words
    assert "[station] accept" in words


def test_an_export_that_is_refused_stays_so(bench: Bench) -> None:
    """A station that ran well before does not go on, one turn later, by the settings of before."""
    made, elsewhere = station(bench), bench.root.parent / "elsewhere"
    elsewhere.mkdir()
    other = station(bench, name="another", exports=f'["{elsewhere}"]')
    bench.rest()
    assert other.exit_code() == 0
    text = (other.root / "station.toml").read_text()
    (other.root / "station.toml").write_text(text.replace(str(elsewhere), str(made.export)))
    for _ in range(3):
        bench.run(60)
        assert other.exit_code() == SettingsError.exit_code
    (other.root / "station.toml").write_text(text)
    bench.run(60)
    assert other.exit_code() == 0


def test_what_a_session_asks_is_told_without_names_of_files(bench: Bench) -> None:
    """A file may be called as its patient is: the table of studies is for everybody."""
    bench.runner.work = lambda _job: 50
    signal = TEMPLATE.replace('{ zip = "./", as = "study.zip" }', '"*.mrui"')
    made = station(bench, template=signal)
    made.write("EXAM1", {"SMITH.mrui": "1"})
    bench.rest()
    assert made.states() == {"S0001": StudyState.NEEDS}
    assert made.exit_code() == 3
    assert "exit code 50" in made.reasons()
    assert "). Mend the input" in made.reasons()
    assert f"`vipsync rerun {made.root}/sessions/S0001 --failed`" in made.reasons()
    assert "SMITH" not in made.reasons() + (made.root / "STATION.txt").read_text()


def test_a_study_that_is_one_case_is_asked_about_by_its_name(bench: Bench) -> None:
    """All its files are its case, which is called as the session: the command can be pasted."""
    bench.runner.work = lambda _job: 50
    made = station(bench)
    made.write("EXAM1", {"SMITH.mrui": "1"})
    bench.rest()
    assert "scanner-S0001: failed: exit code 50" in made.reasons()
    assert f"`vipsync rerun {made.root}/sessions/S0001 scanner-S0001`" in made.reasons()
    assert "…" not in made.reasons()


# kinds of data


@pytest.mark.parametrize(
    ("files", "signal"),
    [
        (
            {"svs.rda": ">>> Begin of header <<<\nPatientName: ANONYMOUS\n>>> End of header <<<\n"},
            '"*.rda"',
        ),
        (
            {"svs.SPAR": "samples : 2048\n", "svs.SDAT": "\x00\x01"},
            '{ zip = "./", as = "s.zip" }',
        ),
        ({"press.mrui": "signal", "water.mrui": "water"}, '"*.mrui"'),
        ({"P01234.7": "GE"}, '"*.7"'),
    ],
    ids=["Siemens rda", "Philips SPAR and SDAT", "jMRUI", "GE P-file"],
)
def test_each_kind_of_spectroscopy_runs_in_a_folder_of_its_exam(
    bench: Bench, files: dict[str, str], signal: str
) -> None:
    """Each file is a case, or all of them are packed; a second exam with the same names is another study."""
    made = station(bench, template=TEMPLATE.replace('{ zip = "./", as = "study.zip" }', signal))
    made.write("EXAM1", files)
    made.write("EXAM2", {name: f"{text}2" for name, text in files.items()})
    bench.rest()
    assert sorted(made.started()) == ["S0001", "S0002"]
    assert set(made.states().values()) == {StudyState.DONE}


def test_a_lone_p_file_is_known_by_its_content(bench: Bench) -> None:
    """GE uses the same name for the next patient."""
    made = station(bench, study='"{file}.7"', take='"copy"')
    (made.export / "P01234.7").write_text("first patient")
    bench.rest()
    (made.export / "P01234.7").write_text("next patient")
    bench.rest()
    assert made.started() == ["S0001", "S0002"]


def test_a_bruker_study_is_known_by_its_id(bench: Bench) -> None:
    """Its `subject` file names it, whatever its folder is called."""
    made = station(bench)
    subject = "##$SUBJECT_study_instance_uid=( 64 )\n<2.16.756.5.5.100.1>\n"
    made.write("SMITH", {"subject": subject, "5/fid": "x"})
    bench.rest()
    made.rename("SMITH", "DOE")
    made.write("DOE", {"5/fid": "y"})
    bench.rest()
    assert made.started() == ["S0001"]
    assert made.states() == {"S0001": StudyState.HELD}


def test_a_sites_own_tool_prepares_what_is_sent(bench: Bench) -> None:
    """It gets the study and an empty folder; what it fails at is told, and nothing is sent."""
    script = "cp $0/svs/1.rda $1/clean.rda"
    command = f'["sh", "-c", "{script}", "{{study}}", "{{inputs}}"]'
    made = station(bench, prepare=command)
    made.write("SMITH", SVS)
    made.write("DOE", {"t1/1.ima": "nothing that it can take"})
    bench.run(QUIET * 3)
    assert made.started() == ["S0001"] or made.started() == ["S0002"]
    assert sorted(made.states().values()) == ["done", "held"]
    assert "prepare ended with 1" in made.reasons()


@pytest.mark.parametrize("study", ['"{exam}/"', '"{file}.rda"'], ids=["folders", "lone files"])
def test_a_tool_that_changes_what_it_reads_changes_no_export(bench: Bench, study: str) -> None:
    """It has a copy: some tools write in place, others beside what they read."""
    script = "cp -r $0 $1/made; find $0 -type f -exec sh -c 'echo more >> {}' ';'; touch $0.txt"
    command = f'["sh", "-c", """{script}""", "{{study}}", "{{inputs}}"]'
    made = station(bench, prepare=command, study=study)
    made.write("SMITH" if study.endswith('/"') else ".", {"1.rda": "one"})
    bench.rest()
    assert made.started() == ["S0001"]
    (only,) = (path for path in made.export.rglob("*") if path.is_file())
    assert only.read_text() == "one"
    assert not list((made.root / "sessions" / "S0001").glob(".study*"))


# names


def test_no_name_of_the_export_reaches_vip_or_a_log(bench: Bench, caplog: Any) -> None:
    """Nor the names of folders, sessions and executions, nor what people are told."""
    caplog.set_level("INFO", "vipsync")
    made = station(bench)
    made.write("SMITH_JOHN", SVS)
    bench.rest()
    more(made, "SMITH_JOHN")
    bench.rest()
    told = [r.path for r in bench.world.requests]
    names = [str(p.relative_to(made.root)) for p in made.root.rglob("*")]
    words = [(made.root / n).read_text() for n in ("STATION.txt", "station.csv")]
    everything = [*told, *names, *words, caplog.text, made.reasons(), *bench.vip_files()]
    everything += [str(e.submission) for e in bench.started()]
    assert not [text for text in everything if "SMITH" in text or "JOHN" in text]


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_two_hundred_studies_start_once_each_oldest_first(make_bench: Callable[..., Bench]) -> None:
    """With one slot; VIP is clean at the end."""
    bench = make_bench(quota_user=1)
    made = station(bench)
    for number in range(200):
        made.write(f"EXAM{number:03}", {"svs/1.rda": str(number)})
    bench.until(lambda: len(made.started()) > 3)
    made.ask("first", "S0200")
    bench.rest()
    order = made.started()
    assert len(order) == len(set(order)) == 200
    assert order.index("S0200") < 10
    order.remove("S0200")
    assert order == sorted(order)
    assert bench.sessions_on_vip() == []


@pytest.mark.parametrize("finish", ["download", "marker"])
def test_a_session_that_is_let_go_names_who_knows_whether_vipsync_runs(
    bench: Bench, finish: str
) -> None:
    """Nothing is written in it any more, while the station runs on; one that asks for somebody too."""
    bench.publish = Publisher().publish
    made = station(bench, f'[keep]\nfinish = "{finish}"\n')
    made.write("SMITH", SVS)
    bench.rest()
    bench.run(3600)
    told = (made.root / "sessions" / "S0001" / "STATUS.txt").read_text()
    assert "not running" not in told
    assert f"{made.root}/STATION.txt says whether vipsync runs" in told
    assert "ago, vipsync is not running" in (made.root / "STATION.txt").read_text()


@pytest.mark.parametrize("how", ["gone", "taken"])
def test_a_study_that_is_held_has_a_way_on(make_bench: Callable[..., Bench], how: str) -> None:
    """It left the export while it waited, or its session cannot be made."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 3600.0
    made = station(bench)
    made.write("FIRST", {"svs/1.rda": "zero"})
    bench.until(bench.started)
    if how == "taken":
        (made.root / "template" / "settings.toml").unlink()
    made.write("SMITH", SVS)
    made.write("DOE", {"svs/1.rda": "three"})
    bench.until(lambda: "S0003" in made.states() or how == "taken")
    if how == "gone":
        made.drop("DOE")
    bench.run(1200)
    held = [r for r in made.status.studies if r.state is StudyState.HELD]
    assert held
    assert all(r.remedy and r.asks for r in held)
