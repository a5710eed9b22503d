"""The marker, on the whole system: nothing leaves VIP without it, and never before its results are here."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.lab import statuses
from tests.lab.bench import SETTINGS, Bench, Study
from vipsync.folder.folder import SessionFolder
from vipsync.local import FOR_EVER, Kind
from vipsync.model import replace
from vipsync.plan.standing import CaseState
from vipsync.record.ledger import Ledger
from vipsync.rows import Changes, Phase, Session, Verdict
from vipsync.status.publish import Publisher


def removals(bench: Bench) -> int:
    """Count the removals that were asked for."""
    return bench.count("DELETE")


def running(bench: Bench, seconds: float = 600.0) -> Study:
    """Return a session with one execution that runs for a while."""
    bench.job_seconds = lambda _job: seconds
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.run(60)
    return study


def test_deleting_the_marker_empties_vip_and_keeps_everything_here(bench: Bench) -> None:
    """After the grace the session's folder goes from VIP; inputs and outputs stay whole."""
    study = bench.study(a="one", b="two")
    bench.rest()
    inputs, outputs = study.inputs(), study.outputs()
    study.marker.unlink()
    bench.run(9)
    assert removals(bench) == 0
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert (study.inputs(), study.outputs()) == (inputs, outputs)
    assert study.phase() is Phase.CLOSED
    assert not study.marker.exists()


def test_the_removal_is_confirmed_before_the_session_is_closed(bench: Bench) -> None:
    """VIP answers 204 at once; the session stays open until the folder is really gone."""
    study = bench.study(a="one")
    bench.rest()
    bench.world.faults.arm(Kind.REMOVAL_LATE, seconds=200)
    study.marker.unlink()
    bench.until(lambda: removals(bench))
    bench.run(150)
    assert study.phase() is Phase.REMOVING
    bench.rest()
    assert study.phase() is Phase.CLOSED
    assert removals(bench) == 1


def test_a_running_execution_is_waited_for(bench: Bench) -> None:
    """Results that come ten minutes after the marker went are fetched, then VIP is emptied."""
    study = running(bench)
    study.marker.unlink()
    bench.run(300)
    assert bench.sessions_on_vip() == ["study"]
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]


def test_a_marker_put_back_within_the_grace_changes_nothing(bench: Bench) -> None:
    """Nothing is removed, and the session goes on."""
    study = bench.study(a="one")
    bench.rest()
    content = study.marker.read_bytes()
    study.marker.unlink()
    bench.run(8)
    assert study.says("ON_VIP.txt is gone")
    study.marker.write_bytes(content)
    bench.rest()
    assert study.phase() is Phase.OPEN
    assert removals(bench) == 0


def test_a_marker_put_back_while_finishing_cancels(bench: Bench) -> None:
    """Before the removal starts a person may think again, and new cases start as before."""
    study = running(bench)
    study.marker.unlink()
    bench.run(30)
    assert study.phase() is Phase.FINISHING
    study.marker.touch()
    study.drop(b="two")
    bench.rest()
    assert study.phase() is Phase.OPEN
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert removals(bench) == 0


def test_finish_cancel_puts_the_marker_back(bench: Bench) -> None:
    """The request does the same as the hand that puts the file back."""
    study = running(bench)
    study.ask("finish")
    bench.run(30)
    assert not study.marker.exists()
    study.ask("finish --cancel")
    bench.rest()
    assert study.marker.exists()
    assert study.phase() is Phase.OPEN
    assert bench.sessions_on_vip() == ["study"]


def test_a_marker_deleted_while_nothing_ran_counts(bench: Bench) -> None:
    """The ledger knows that it was written, so its absence means what it says."""
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    study.marker.unlink()
    bench.clock.sleep(86400)
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert len(study.outputs()) == 1


def test_a_marker_deleted_during_uploads_lets_them_end_and_launches_nothing(
    make_bench: Callable[..., Bench],
) -> None:
    """What was on its way when the marker went is removed with the rest, and not sent again."""
    bench = make_bench(transfer_delay=30.0)
    study = bench.study(a="one", b="two")
    bench.until(lambda: bench.sessions_on_vip() and bench.vip_inputs())
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert bench.executions() == []
    assert {j.verdict for j in study.state.judged.values()} == {Verdict.ASIDE}
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]


def test_cases_that_were_not_launched_are_set_aside(bench: Bench) -> None:
    """A complete case that waits while the marker goes is not started by itself later on."""
    study = bench.study(settings=SETTINGS + '\n[launch]\nwhen = "manual"\n', a="one", b="two")
    bench.rest()
    study.ask("launch", "a.mrui")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    study.settings.write_text(SETTINGS)
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    aside = [j.case_id for j in study.state.judged.values() if j.verdict is Verdict.ASIDE]
    assert aside == ["b.mrui"]
    Publisher().publish(study.session)
    words = (study.root / "STATUS.txt").read_text()
    assert [line for line in words.splitlines() if "b.mrui" in line and "set aside" in line]
    study.ask("launch", "b.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def test_a_new_file_after_the_end_opens_the_session_again(bench: Bench) -> None:
    """Only what the new case needs goes up; old files are not sent again."""
    study = bench.study(a="one", b="two")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    bench.rest()
    assert bench.sessions_on_vip() == []
    study.drop(c="three")
    bench.rest()
    assert study.marker.exists()
    assert bench.vip_inputs() == {"c.mrui": b"three"}
    assert bench.executions() == [["a.mrui", "b.mrui"], ["c.mrui"]]
    assert len(study.outputs()) == 3


def test_the_marker_can_be_deleted_twice(bench: Bench) -> None:
    """Two rounds of one folder: each ends with nothing on VIP and all results here."""
    study = bench.study(a="one")
    for n, name in enumerate(("b", "c"), start=2):
        bench.rest()
        study.marker.unlink()
        bench.rest()
        assert bench.sessions_on_vip() == []
        study.drop(**{name: name})
        bench.rest()
        assert len(study.outputs()) == n
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert bench.executions() == [["a.mrui"], ["b.mrui"], ["c.mrui"]]


def test_files_that_arrive_while_finishing_wait_and_open_it_again(bench: Bench) -> None:
    """The removal comes first; then the new file starts a new round by itself."""
    study = running(bench)
    study.marker.unlink()
    bench.run(60)
    study.drop(b="two")
    bench.run(120)
    assert bench.executions() == [["a.mrui"]]
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert bench.vip_inputs() == {"b.mrui": b"two"}
    assert study.marker.exists()


def test_a_removal_that_never_happens_is_reported_and_asked_for_again(bench: Bench) -> None:
    """VIP said 204 and did nothing: ten minutes later it is asked again, not sooner."""
    study = bench.study(a="one")
    bench.rest()
    bench.world.faults.arm(Kind.REMOVAL_NEVER, times=1)
    study.marker.unlink()
    bench.until(lambda: removals(bench))
    bench.run(590)
    assert removals(bench) == 1
    assert study.says("/vip/Home/API/study")
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert removals(bench) == 2
    assert bench.sessions_on_vip() == []


def test_run_once_does_not_wait_for_a_removal_that_does_not_happen(bench: Bench) -> None:
    """After the time-out of a pass the folder is at rest, with the removal still reported."""
    study = bench.study(a="one")
    bench.rest()
    bench.world.faults.arm(Kind.REMOVAL_NEVER, times=FOR_EVER)
    study.marker.unlink()
    bench.rest()
    assert study.phase() is Phase.REMOVING
    assert study.notices != []


def test_killed_jobs_may_still_write_for_two_minutes(bench: Bench) -> None:
    """`running = "kill"`: the removal starts no sooner than 120 s after the kill."""
    study = running(bench, seconds=1e6)
    study.settings.write_text(SETTINGS + '\n[finish]\nrunning = "kill"\n')
    bench.run(5)
    study.marker.unlink()
    bench.until(lambda: bench.count("PUT /executions/"))
    killed_at = bench.clock.now()
    bench.until(lambda: removals(bench))
    assert bench.clock.now() - killed_at >= 120
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_finish_kill_stops_what_runs(bench: Bench) -> None:
    """The request with --kill ends a session whose execution would run for days."""
    study = running(bench, seconds=1e6)
    study.ask("finish", kill="yes")
    bench.rest()
    assert bench.count("PUT /executions/") == 1
    assert bench.sessions_on_vip() == []
    assert study.phase() is Phase.CLOSED


def test_after_download_finishes_by_itself(bench: Bench) -> None:
    """`after = "download"`: when every case has ended well and every result is here."""
    study = bench.study(settings=SETTINGS + '\n[finish]\nafter = "download"\n', a="one", b="two")
    bench.rest()
    assert len(study.outputs()) == 2
    assert bench.sessions_on_vip() == []
    assert not study.marker.exists()
    study.drop(c="three")
    bench.rest()
    assert len(study.outputs()) == 3
    assert bench.sessions_on_vip() == []


def test_after_download_keeps_a_session_with_failed_jobs(bench: Bench) -> None:
    """A failed job is a reason to look, not to remove."""
    bench.world.faults.arm(Kind.JOB_FAILS, "*/2")
    study = bench.study(settings=SETTINGS + '\n[finish]\nafter = "download"\n', a="one", b="two")
    bench.rest()
    assert bench.sessions_on_vip() == ["study"]
    assert study.marker.exists()


def test_after_download_keeps_a_session_whose_job_wrote_nothing(bench: Bench) -> None:
    """An output that was expected and did not come has not ended well, whatever the exit code is."""
    bench.world.faults.arm(Kind.OUTPUT_MISSING, "*/2")
    study = bench.study(settings=SETTINGS + '\n[finish]\nafter = "download"\n', a="one", b="two")
    bench.rest()
    assert bench.sessions_on_vip() == ["study"]
    assert study.marker.exists()


@pytest.mark.parametrize("dies", [False, True], ids=["same process", "another process"])
@pytest.mark.parametrize("kind", [Kind.ANSWER_LOST, Kind.ANSWER_ERROR])
def test_a_removal_in_doubt_is_not_asked_for_twice(bench: Bench, kind: Kind, *, dies: bool) -> None:
    """A second one could happen so late that it hits what was sent to the same place since."""
    bench.world.faults.arm(kind, "DELETE *")
    bench.world.faults.arm(Kind.REMOVAL_LATE, seconds=20.0)
    bench.world.faults.arm(Kind.REMOVAL_LATE, seconds=90.0)
    study = bench.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    if dies:
        bench.die()
    bench.until(lambda: study.session.is_open and study.phase() is Phase.CLOSED)
    assert bench.count("DELETE") == 1
    study.drop(b="two")
    bench.run(300)
    assert len(study.outputs()) == 2


def test_a_removal_that_never_happened_is_asked_for_again_after_ten_minutes(bench: Bench) -> None:
    """Also by another process, which knows from the ledger when the first one was asked for."""
    bench.world.faults.arm(Kind.REMOVAL_NEVER)
    study = bench.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    asked_at = bench.clock.now()
    bench.restart()
    bench.until(lambda: bench.count("DELETE") == 2)
    assert 600 <= bench.clock.now() - asked_at < 660
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_a_marker_that_is_back_before_anything_was_asked_takes_the_end_back(bench: Bench) -> None:
    """Decided on is not begun: VIP could not be reached until then."""
    study = bench.study(a="one")
    bench.rest()
    looks = "GET /rest/path/vip/Home/API/study"
    bench.world.faults.arm(Kind.REFUSED, looks, times=FOR_EVER)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.REMOVING)
    bench.run(100)
    study.marker.touch()
    bench.world.faults.clear()
    study.drop(b="two")
    bench.run(1000)
    assert study.phase() is Phase.OPEN
    assert bench.count("DELETE") == 0
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def test_a_removal_that_was_asked_for_is_not_forgotten(bench: Bench) -> None:
    """Asking again failed; a marker that is put back then does not open what is still to go."""
    study = bench.study(a="one")
    bench.rest()
    bench.world.faults.arm(Kind.REMOVAL_LATE, seconds=900)
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    bench.run(590)
    looks = "GET /rest/path/vip/Home/API/study*"
    bench.world.faults.arm(Kind.REFUSED, looks, times=FOR_EVER)
    bench.run(60)
    study.marker.touch()
    bench.world.faults.clear()
    study.drop(b="two")
    bench.run(200)
    assert (study.phase(), bench.executions()) == (Phase.REMOVING, [["a.mrui"]])
    study.marker.unlink()
    bench.run(3000)
    assert len(study.outputs()) == 2


def test_a_removal_of_a_part_is_not_taken_back(make_bench: Callable[..., Bench]) -> None:
    """With the inputs kept, the results go all the same once that was asked for."""
    bench = make_bench(removal_delay=20.0)
    study = bench.study(settings=f"{SETTINGS}\n[finish]\nkeep_input = true\n", a="one")
    bench.rest()
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    study.marker.touch()
    bench.run(60)
    study.drop(b="two")
    bench.run(300)
    study.marker.unlink(missing_ok=True)
    bench.run(600)
    assert [name for name in bench.vip_files() if "OUTPUTS" in name] == []


def test_an_end_waits_until_it_is_known_which_cases_there_are(bench: Bench) -> None:
    """With a typo in pipeline_id nothing could be set aside, and old files would start later."""
    study = bench.study(a="one")
    bench.rest()
    study.settings.write_text(SETTINGS.replace("spectrum/1", "spectrum/l"))
    study.drop(b="two")
    bench.run(100)
    study.marker.unlink()
    bench.run(100)
    assert study.phase() is Phase.FINISHING
    study.settings.write_text(SETTINGS)
    bench.run(600)
    assert (study.phase(), bench.executions()) == (Phase.CLOSED, [["a.mrui"]])
    assert statuses.states(study)["b.mrui"] is CaseState.ASIDE


def test_an_end_waits_while_the_settings_have_an_error(bench: Bench) -> None:
    """What is being typed may be what is to stay on VIP."""
    bench.job_seconds = lambda _job: 600.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.FINISHING)
    study.settings.write_text(f"{SETTINGS}\n[finish]\nkeep_output = ture\n")
    bench.run(2000)
    assert (bench.count("DELETE"), len(study.outputs())) == (0, 1)
    study.settings.write_text(f"{SETTINGS}\n[finish]\nkeep_output = true\n")
    bench.run(2000)
    assert study.phase() is Phase.OPEN
    assert [name for name in bench.vip_files() if "OUTPUTS" in name]


def test_a_clock_that_was_set_back_asks_for_no_removal_again(bench: Bench) -> None:
    """The wall clock says that the removal will be asked for tomorrow: it was."""
    bench.world.faults.arm(Kind.REMOVAL_LATE, seconds=500)
    study = bench.study(a="one")
    bench.rest()
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    bench.stop()
    with closing(Ledger(SessionFolder(study.root).ledger, Session(""))) as ledger:
        ahead = replace(ledger.state.session, removal_asked_at=bench.clock.now() + 86_400)
        ledger.commit(Changes(put=(ahead,)))
    bench.until(lambda: study.session.is_open and study.phase() is Phase.CLOSED)
    assert bench.count("DELETE") == 1


def test_the_marker_is_said_to_be_gone_only_when_it_is(bench: Bench) -> None:
    """The words of an opening session know no deleted marker; those of one that is deleted do."""
    study, said = bench.study(a="one"), list[str]()
    bench.publish = lambda session: (
        said.append(statuses.status(study).sentence) if session.plan else 0
    )
    bench.rest()
    assert said
    assert not [words for words in said if "ON_VIP.txt is gone" in words]
    study.marker.unlink()
    bench.rest()
    assert [words for words in said if "ON_VIP.txt is gone" in words]


def test_a_closed_session_keeps_no_part_of_a_download(bench: Bench) -> None:
    """A result that was let go has left a part of it: nothing will ever go on with that."""
    study = bench.study(settings=SETTINGS + "\n[outputs]\nunzip = false\n", a="one")
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, "*.tgz", times=FOR_EVER, size=3)
    transfers = study.root / ".vipsync" / "transfers"
    bench.until(lambda: transfers.is_dir() and list(transfers.iterdir()))
    study.ask("finish", "a.mrui.tgz")
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert list(transfers.iterdir()) == []


def test_keep_input_removes_only_the_results(bench: Bench) -> None:
    """What is kept stays known: a file that lies there is not sent again."""
    study = bench.study(settings=SETTINGS + "\n[finish]\nkeep_input = true\n", a="one")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    assert list(bench.vip_files()) == ["study/INPUTS/a.mrui"]
    study.drop(b="two")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one", "b.mrui": b"two"}
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


@pytest.mark.parametrize("kept", ["keep_input", "keep_output"])
@pytest.mark.parametrize("after", ["marker", "download"])
def test_what_is_kept_is_told_for_as_long_as_it_is_on_vip(
    bench: Bench, kept: str, after: str
) -> None:
    """A new marker stands for it; it goes with the next end at which nothing is to be kept."""
    finish = f'{SETTINGS}\n[finish]\nafter = "{after}"\n'
    study = bench.study(settings=f"{finish}{kept} = true\n", a="one")
    bench.publish = Publisher().publish
    bench.rest()
    study.marker.unlink(missing_ok=after == "download")
    bench.rest()
    there = bench.count("DELETE")
    assert (study.marker.exists(), study.phase(), there) == (True, Phase.OPEN, 1)
    backup = json.loads((study.root / "outputs/session_data.json").read_text())
    removed = [w["status"] == "Removed" for w in backup["workflows"].values()]
    assert removed == [kept == "keep_input"]
    status = (study.root / "STATUS.txt").read_text()
    assert "VIP is clean" not in status
    assert f"{kept} = true" in status
    study.settings.write_text(finish)
    bench.rest()
    study.marker.unlink(missing_ok=after == "download")
    bench.rest()
    assert (study.phase(), bench.sessions_on_vip(), study.marker.exists()) == (
        Phase.CLOSED,
        [],
        False,
    )


def test_a_session_of_which_nothing_is_on_vip_yet_closes_quietly(bench: Bench) -> None:
    """The marker is deleted before the first request: nothing is removed, nothing is left."""
    study = bench.study(a="one")
    bench.until(study.marker.exists)
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert study.phase() is Phase.CLOSED


UPLOAD_ONLY = 'portal = "https://vip.test"\n'


def test_files_that_were_not_sent_do_not_open_an_upload_only_session_again(bench: Bench) -> None:
    """The marker, deleted amid an upload, means the end for what lay there; a new file opens again."""
    study = bench.study(settings=UPLOAD_ONLY, a="one", b="two")
    bench.until(lambda: study.marker.exists())
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    bench.run(600)
    assert bench.sessions_on_vip() == []
    study.drop(c="three")
    bench.rest()
    assert bench.vip_inputs() == {"c.mrui": b"three"}


def test_a_cancelled_finish_sets_nothing_aside(bench: Bench) -> None:
    """Cases that waited when the marker was deleted are launched once it is back."""
    bench.job_seconds = lambda _job: 900.0
    study = bench.study(a="one")
    bench.run(60)
    study.marker.unlink()
    study.drop(b="two")
    bench.run(60)
    study.ask("finish --cancel")
    bench.run(120)
    assert study.marker.exists()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def test_results_that_are_left_out_block_nothing(bench: Bench) -> None:
    """`ignore` of [outputs] keeps a result on VIP, and its removal waits for nothing."""
    settings = SETTINGS + '[outputs]\nignore = ["b.*"]\n'
    study = bench.study(settings=settings, a="one", b="two")
    bench.rest()
    assert [p.name for p in (study.root / "outputs").glob("*/*.tgz")] == ["a.mrui.tgz"]
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
