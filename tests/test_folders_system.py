"""Whose data are these? Names, copies, moves, lost and older ledgers, foreign keys, on the whole system."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.pipelines import written
from tests.lab.statuses import status
from vipsync.actions import LookAtHome, Outcome
from vipsync.errors import FolderAbsent, FolderCopied
from vipsync.local import DEFAULT_KEY, Kind, User
from vipsync.local.faults import FOR_EVER
from vipsync.rows import Phase
from vipsync.run.dispatch import Done
from vipsync.run.folder_logs import FolderLogs
from vipsync.run.reconciler import Work
from vipsync.status.publish import Publisher
from vipsync.status.words import status_text

SAME = 'session_name = "same"\n' + SETTINGS


def moved(study: Study, name: str) -> Study:
    """Rename the folder while nothing runs."""
    bench = study.bench
    bench.stop()
    bench.studies.remove(study)
    return bench.take(study.root.rename(study.root.with_name(name)))


def test_the_second_folder_with_a_name_touches_nothing(bench: Bench) -> None:
    """The name is taken: said, with exit code 3, and no request that changes anything."""
    first = bench.study("one", SAME, a="one")
    bench.rest()
    before, on_vip = bench.changes(), bench.vip_files()
    second = bench.study("two", SAME, a="other")
    bench.rest()
    assert second.says("The name is taken")
    assert {n.exit_code for n in second.notices} == {3}
    assert bench.changes() == before
    assert bench.vip_files() == on_vip
    assert not second.marker.exists()
    assert first.notices == []


def test_a_name_that_becomes_free_is_used(bench: Bench) -> None:
    """When the other session has been finished, the second folder goes on by itself."""
    first = bench.study("one", SAME, a="one")
    bench.rest()
    second = bench.study("two", SAME, b="two")
    bench.rest()
    first.marker.unlink()
    bench.run(300)
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert len(second.outputs()) == 1


def test_two_folders_that_open_at_the_same_moment_do_not_share(bench: Bench) -> None:
    """Both saw the name free; whoever finds two ids touches nothing more, and says so."""
    one, two = bench.study("one", SAME, a="one"), bench.study("two", SAME, b="two")
    bench.rest()
    launched = [signal for signals in bench.executions() for signal in signals]
    assert launched in ([], ["a.mrui"], ["b.mrui"])
    assert one.says("The name is taken") or two.says("The name is taken")
    assert bench.count("DELETE") == 0


def test_a_folder_that_is_moved_at_work_goes_on_in_its_new_place(bench: Bench) -> None:
    """Two levels further down it is the same session: nothing is launched again, the old path is let go."""
    study = bench.study("group/one", a="one")
    bench.loop.directories = [bench.root]
    bench.rest()
    new = bench.root / "group" / "2026" / "one"
    new.parent.mkdir()
    study.root.rename(new)
    bench.until(lambda: list(bench.loop.sessions) == [new])
    again = Study(bench, new)
    again.drop(b="two")
    bench.rest()
    assert again.trouble() is None
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert bench.sessions_on_vip() == ["one"]


def test_a_copy_that_appears_at_work_takes_nothing_over(bench: Bench) -> None:
    """The place of before is still there: the copy is refused, the session goes on where it was."""
    study = bench.study("group/one", a="one")
    bench.loop.directories = [bench.root]
    bench.rest()
    session, copy = study.session, bench.root / "group" / "copy"
    shutil.copytree(study.root, copy)
    bench.until(lambda: copy in bench.loop.sessions)
    bench.rest()
    assert isinstance(Study(bench, copy).trouble(), FolderCopied)
    assert study.session is session  # never let go meanwhile
    assert session.is_open
    assert study.trouble() is None


def test_a_folder_that_only_vanished_stays_and_is_said_to(bench: Bench) -> None:
    """Nothing with its id turned up elsewhere: its disk may be gone, and somebody must know."""
    study = bench.study("group/one", a="one")
    bench.study("group/two", b="two")
    bench.loop.directories = [bench.root]
    bench.rest()
    study.root.rename(bench.root.parent / "out of sight")
    bench.run(60)
    assert isinstance(study.trouble(), FolderAbsent)


def test_another_name_or_portal_counts_after_the_end_and_is_said_to(bench: Bench) -> None:
    """While the session is open both stay as they were, which is no fault; then the new ones count."""
    study = bench.study(a="one")
    bench.rest()
    text = study.settings.read_text()
    study.settings.write_text(
        f'session_name = "other"\n{text}'.replace("https://vip.test", "https://new.test")
    )
    bench.run(60)
    bench.rest()
    assert [n.text for n in status(study).notices] == [
        'session_name = "other" takes effect once this session is finished; until then it is study.',
        'portal = "https://new.test" takes effect once this session is finished; '
        "until then it is https://vip.test.",
    ]
    assert status(study).exit_code == 0
    study.drop(b="two")
    bench.rest()
    assert bench.sessions_on_vip() == ["study"]
    study.ask("finish")
    bench.rest()
    assert status(study).notices == ()
    study.drop(c="three")
    bench.rest()
    assert bench.sessions_on_vip() == ["other"]


def test_a_copied_folder_does_nothing(bench: Bench) -> None:
    """The copy is refused with both paths; the original goes on."""
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    before = bench.changes()
    copy = bench.take(shutil.copytree(study.root, study.root.with_name("copy")))
    copy.drop(c="three")
    bench.rest()
    assert isinstance(copy.trouble(), FolderCopied)
    assert str(study.root) in str(copy.trouble())
    assert bench.changes() == before
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def test_a_copy_whose_marker_is_deleted_removes_nothing(bench: Bench) -> None:
    """A person tidies up the copy: the data on VIP belong to the original."""
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    copy = bench.take(shutil.copytree(study.root, study.root.with_name("copy")))
    copy.marker.unlink()
    bench.rest()
    bench.run(60)
    assert bench.sessions_on_vip() == ["study"]


def test_a_renamed_folder_goes_on_where_it_was(bench: Bench) -> None:
    """The session's name on VIP stays while it is open; nothing is sent or launched again."""
    study = bench.study(a="one")
    bench.rest()
    study = moved(study, "renamed")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    study.drop(b="two")
    bench.rest()
    assert bench.vip_inputs("study") == {"a.mrui": b"one", "b.mrui": b"two"}
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_a_folder_that_is_moved_twice_goes_on(bench: Bench) -> None:
    """Back at its first place it is no copy of itself."""
    study = bench.study(a="one")
    bench.rest()
    study = moved(study, "away")
    bench.rest()
    study = moved(study, "study")
    bench.rest()
    assert study.trouble() is None
    assert study.notices == []


def test_a_folder_that_lost_its_ledger_is_adopted(bench: Bench) -> None:
    """The marker carries the id: nothing is launched twice, and new cases go on."""
    study = bench.study(a="one", b="two")
    bench.rest()
    bench.stop()
    shutil.rmtree(study.root / ".vipsync")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert bench.sessions_on_vip() == ["study"]
    assert study.phase() is Phase.OPEN
    study.drop(c="three")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"], ["c.mrui"]]
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_an_adopted_folder_follows_what_runs(bench: Bench) -> None:
    """Results of executions that the lost ledger knew come, and come before any removal."""
    bench.job_seconds = lambda _job: 600.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.run(60)
    bench.stop()
    shutil.rmtree(study.root / ".vipsync")
    bench.rest()
    assert len(study.outputs()) == 1
    assert bench.executions() == [["a.mrui"]]


def test_an_adopted_folder_fetches_what_ended_meanwhile(bench: Bench) -> None:
    """A list names no results folder: each execution is read before its results are listed."""
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.stop()
    bench.clock.sleep(600)
    bench.world.settle()
    shutil.rmtree(study.root / ".vipsync")
    bench.rest()
    assert len(study.outputs()) == 1


def test_an_adopted_folder_does_not_fetch_what_is_here(bench: Bench) -> None:
    """Results that lie in outputs/ from before are recognised, not put beside themselves."""
    study = bench.study(a="one")
    bench.rest()
    results = study.outputs()
    bench.stop()
    shutil.rmtree(study.root / ".vipsync")
    bench.rest()
    assert study.outputs() == results


def test_an_older_ledger_launches_nothing_a_second_time(bench: Bench) -> None:
    """A backup of .vipsync is put back: what the newer one had launched is found by its name."""
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    hidden = study.root / ".vipsync"
    older = shutil.copytree(hidden, study.root.with_name("older"))
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    bench.stop()
    shutil.rmtree(hidden)
    shutil.copytree(older, hidden)
    bench.rest()
    bench.run(600)
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    study.drop(c="three")
    bench.rest()
    assert bench.executions()[2:] == [["c.mrui"]]


def test_an_older_ledger_removes_no_results_that_it_does_not_know(bench: Bench) -> None:
    """The marker goes under an older ledger: executions it never knew are fetched first."""
    bench.job_seconds = lambda _job: 300.0
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    hidden = study.root / ".vipsync"
    older = shutil.copytree(hidden, study.root.with_name("older"))
    study.drop(b="two")
    bench.until(lambda: len(bench.executions()) == 2)
    bench.stop()
    shutil.rmtree(hidden)
    shutil.copytree(older, hidden)
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert len(study.outputs()) == 2


def somebodys_data(bench: Bench) -> Path:
    """Put a session of that name on VIP, as vip-client makes it: without an id."""
    data = bench.home / "study" / "INPUTS" / "precious.dat"
    data.parent.mkdir(parents=True)
    data.write_text("months of work")
    return data


@pytest.mark.parametrize("again", [False, True], ids=["one process", "started again"])
def test_a_folder_that_somebody_makes_before_us_is_not_taken(bench: Bench, again: bool) -> None:
    """Nobody's when it was looked at, somebody's when VIP can be reached again: it stays theirs."""
    study = bench.study(a="one")
    bench.world.faults.arm(Kind.REQUEST_LOST, "PUT *", times=FOR_EVER)
    bench.until(lambda: study.phase() is Phase.OPEN)
    bench.run(30)
    bench.world.faults.clear()
    if again:
        bench.stop()
    data = somebodys_data(bench)
    bench.run(600)
    assert study.says("The name is taken")
    assert (study.phase(), bench.sessions_on_vip()) == (Phase.CLOSED, ["study"])
    study.marker.unlink()
    bench.run(600)
    assert data.read_text() == "months of work"
    study.settings.write_text(SAME)
    bench.run(600)
    assert bench.executions() == [["a.mrui"]]
    assert set(bench.vip_inputs("same")) == {"a.mrui"}


def test_what_was_looked_at_long_ago_is_looked_at_again(bench: Bench) -> None:
    """A marker that came back made it look once; the session opens much later."""
    study = bench.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    study.marker.write_text("put back by a backup")
    bench.run(60)
    somebodys_data(bench)
    bench.run(3600)
    study.drop(b="two")
    bench.run(600)
    assert study.says("The name is taken")
    assert [p.name for p in (bench.home / "study").iterdir()] == ["INPUTS"]


@pytest.fixture
def two_accounts(make_bench: Callable[..., Bench]) -> Bench:
    """Serve two accounts; `key` is that of the first."""
    other = User("Other", "other", email="other@localhost")
    users = MappingProxyType({DEFAULT_KEY: User(), "another-key": other})
    return make_bench(users=users, quota_user=1)


def refuse_once(study: Study) -> None:
    """Let VIP refuse the key of now, so that it is read again."""
    study.bench.world.faults.arm(Kind.UNAUTHORIZED, "*")
    study.bench.until(lambda: study.session.memory.account.trouble is not None)


def test_a_key_that_changes_while_finishing_proves_nothing(two_accounts: Bench) -> None:
    """That the next account does not have the folder is no removal."""
    bench, study = two_accounts, two_accounts.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.FINISHING)
    refuse_once(study)
    bench.key = "another-key"
    bench.run(600)
    assert study.says("This key does not see the session")
    assert (study.phase() is Phase.CLOSED, bench.sessions_on_vip()) == (False, ["study"])


def test_a_key_that_changes_between_two_runs_starts_nothing(two_accounts: Bench) -> None:
    """What was sent to one account is not launched in another."""
    bench = two_accounts
    bench.job_seconds = lambda _job: 300.0
    study = bench.study(settings=f"{SETTINGS}\n[launch]\nnb_runs = 2\n", a="one")
    bench.until(lambda: study.session.memory.account.slots_full_at is not None)
    refuse_once(study)
    bench.key = "another-key"
    bench.run(2000)
    assert study.says("This key does not see the session")
    assert len(bench.executions()) == 1
    bench.key = DEFAULT_KEY
    bench.restart()
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["a.mrui"]]


@dataclass
class LateLooks:
    """Carries out work at once; looks at the session's folder are answered when they are let go."""

    hold: bool = False
    held: list[tuple[Work, Done, Outcome]] = field(default_factory=list)

    def submit(self, work: Work, done: Done) -> None:
        outcome = work.run()
        if self.hold and isinstance(work.action, LookAtHome):
            self.held.append((work, done, outcome))
        else:
            done(work, outcome)


def test_an_answer_to_the_key_of_before_proves_nothing(two_accounts: Bench) -> None:
    """It was on its way when the key changed: what it shows is the other account's."""
    bench = two_accounts
    bench.key = "another-key"
    theirs = bench.study("elsewhere", SAME, x="x")
    bench.rest()
    bench.stop()
    bench.studies.remove(theirs)
    bench.key = DEFAULT_KEY
    study = bench.study("study", SAME, a="one")
    bench.rest()
    looks = LateLooks()
    bench.executor = looks
    bench.restart()
    looks.hold = True
    study.drop(b="two")
    bench.run(20)
    bench.key = "another-key"
    study.settings.write_text(f'api_key = "OTHER_KEY"\n{SAME}')
    bench.run(10)
    looks.hold = False
    assert looks.held
    for work, done, outcome in looks.held:
        done(work, outcome)
    bench.run(300)
    assert study.says("belongs to another session")
    assert not list((bench.world.root / "users" / "other").rglob("b.mrui"))


def test_another_key_in_the_settings_is_taken_at_once(two_accounts: Bench) -> None:
    """Without a restart; what belongs to the account before stays there."""
    bench, study = two_accounts, two_accounts.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    bench.key = "another-key"
    study.settings.write_text(f'api_key = "OTHER_KEY"\n{SETTINGS}')
    bench.run(60)
    study.drop(b="two")
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert {e.owner.name for e in bench.world.executions.all()} == {User().name, "Other"}


def test_the_key_of_another_account_removes_nothing(make_bench: Callable[..., Bench]) -> None:
    """It does not see the session on VIP: said, and never taken for a removal."""
    other = User("Other", "other", email="other@localhost")
    users = MappingProxyType({DEFAULT_KEY: User(), "another-key": other})
    bench = make_bench(users=users)
    study = bench.study(a="one")
    bench.rest()
    before = bench.changes()
    bench.stop()
    bench.key = "another-key"
    study.drop(b="two")
    study.marker.unlink()
    bench.rest()
    bench.run(120)
    assert study.says("This key does not see the session")
    assert bench.changes() == before
    assert study.phase() is not Phase.CLOSED
    bench.stop()
    bench.key = DEFAULT_KEY
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert len(study.outputs()) == 1


def test_the_key_is_nowhere_in_the_folder_or_the_log(
    make_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """After a whole life with troubles, no file and no line of the log holds it."""
    key = "7q2hk0v9c3m1e8s5t4u6n0bdfg"
    bench = make_bench(users=MappingProxyType({key: User()}))
    bench.key = key
    caplog.set_level(logging.DEBUG)
    study = bench.study(a="one")
    bench.world.faults.arm(Kind.UNAUTHORIZED, "GET /rest/path*", times=2)
    bench.run(600)
    Publisher().publish(study.session)
    study.marker.unlink()
    bench.rest()
    assert len(study.outputs()) == 1
    files = [path.read_bytes() for path in study.root.rglob("*") if path.is_file()]
    assert files
    assert not [content for content in files if key.encode() in content]
    assert key not in caplog.text


def test_another_key_of_the_same_account_goes_on(make_bench: Callable[..., Bench]) -> None:
    """A renewed key sees our id on VIP, and is accepted."""
    user = User()
    bench = make_bench(users=MappingProxyType({DEFAULT_KEY: user, "renewed-key": user}))
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    bench.key = "renewed-key"
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert study.notices == []


def test_a_session_that_was_removed_on_the_portal_is_said_to_be_gone(bench: Bench) -> None:
    """Somebody removed the folder on VIP: nothing is made anew in its place by itself."""
    study = bench.study(a="one")
    bench.rest()
    shutil.rmtree(bench.home / "study")
    study.drop(b="two")
    bench.restart()
    bench.rest()
    assert study.says("is no longer on VIP")
    assert bench.sessions_on_vip() == []


def test_data_that_became_somebody_elses_are_not_removed(bench: Bench) -> None:
    """The id is looked for once more right before the removal: another one there stops it."""
    study = bench.study(a="one")
    bench.rest()
    (mine,) = (bench.home / "study").glob("vipsync-*")
    mine.rename(mine.with_name("vipsync-somebodyelse"))
    study.marker.unlink()
    bench.rest()
    bench.run(1200)
    assert bench.count("DELETE") == 0
    assert study.says("does not carry the id of this session alone")
    assert study.phase() is not Phase.CLOSED


def test_a_second_process_does_not_enter_the_folder(bench: Bench) -> None:
    """Two loops on one folder: the second one is told who holds it, and does nothing."""
    study = bench.study(a="one")
    bench.rest()
    before = len(bench.world.requests)
    first, bench._loop = bench.loop, None
    bench.rest()
    assert bench.loop.held_elsewhere() == [study.root]
    assert len(bench.world.requests) == before
    bench.stop()
    first.close()


def test_two_sessions_do_not_disturb_each_other(bench: Bench) -> None:
    """Ending one leaves the other's data on VIP alone."""
    one, two = bench.study("one", a="one"), bench.study("two", b="two")
    bench.rest()
    one.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == ["two"]
    assert two.phase() is Phase.OPEN
    assert (len(one.outputs()), len(two.outputs())) == (1, 1)
    assert not isinstance(two.trouble(), FolderAbsent)


def test_each_log_is_about_its_own_folder(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """What fails in one folder is told in its log alone; what concerns all is told in each."""
    caplog.set_level(logging.INFO, "vipsync")
    folder_logs = FolderLogs(lambda root: root.name)
    bench.publish = folder_logs.follow
    bench.world.faults.arm(Kind.REFUSED, "PUT *a.mrui*")
    one, two = bench.study("one", a="one"), bench.study("two", b="two")
    bench.run(1)
    with folder_logs.kept():
        bench.rest()
        logging.getLogger("vipsync").warning("a limit of this machine")
    told = [(s.root / ".vipsync/vipsync.log").read_text() for s in (one, two)]
    assert ["INPUTS/a.mrui: GenericVipError" in text for text in told] == [True, False]
    assert ["a limit of this machine" in text for text in told] == [True, True]


@pytest.mark.parametrize(
    ("mistake", "old"),
    [
        ('pipeline_id = "spectrum/1"\n[input_settings]\nsignal = "*.mriu"', "*.mriu"),
        (
            'pipeline_id = "modes/1"\n[input_settings]\nsignal = "{who}.mrui"\nmode = "-{who}"',
            "-b",
        ),
    ],
    ids=["a pattern", "a value"],
)
def test_while_the_settings_cannot_be_read_nothing_is_said_of_what_they_were(
    bench: Bench, mistake: str, old: str
) -> None:
    """What was wrong before may be mended in the file that has another error now."""
    chosen = {"mode": {"value-choices": ["-a"]}}
    bench.world.pipelines.add(written("modes", "signal:File mode:String", also=chosen))
    mistaken = f'portal = "https://vip.test"\n{mistake}\n'
    study = bench.study(settings=mistaken, a="one", b="two")
    bench.rest()
    assert old in status_text(status(study), "host")
    study.settings.write_text(f"{SETTINGS}x = [\n")
    bench.run(60)
    bench.rest()
    (told,) = (n for n in status(study).notices if n.asks)
    assert "this is not TOML" in told.text
    assert old not in status_text(status(study), "host")
