"""Lost answers and other troubles of VIP, on the whole system: look first, then decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study, touch
from vipsync.local import FOR_EVER, Job, Kind
from vipsync.rows import LaunchStatus, Phase

POST = "POST /rest/executions"
SENDING = "/vip/Home/API/study/INPUTS/*"


def posts(bench: Bench) -> int:
    """Count the launches that were asked for."""
    return bench.count("POST /executions")


# launches


@pytest.mark.parametrize("kind", [Kind.ANSWER_REFUSED, Kind.ANSWER_ERROR, Kind.ANSWER_LOST])
def test_a_launch_whose_answer_was_lost_is_found_by_its_name(bench: Bench, kind: Kind) -> None:
    """VIP started it and said otherwise: it is followed, and not launched again."""
    bench.world.faults.arm(kind, POST)
    study = bench.study(a="one")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert posts(bench) == 1
    assert len(study.outputs()) == 1


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.SERVER_ERROR, Kind.REQUEST_LOST])
def test_a_launch_that_was_lost_is_made_after_two_minutes_of_doubt(
    bench: Bench, kind: Kind
) -> None:
    """It is looked for by its name for 120 s, then posted once more."""
    bench.world.faults.arm(kind, POST)
    study = bench.study(a="one")
    bench.until(lambda: posts(bench) == 1)
    doubted_at = bench.clock.now()
    bench.run(5)
    assert study.says("not known yet whether VIP took this launch")
    bench.until(lambda: posts(bench) == 2)
    assert 120 <= bench.clock.now() - doubted_at < 180
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


def test_a_doubtful_launch_survives_a_restart(bench: Bench) -> None:
    """Another process finds the intent, looks for the name, and does not launch again."""
    bench.world.faults.arm(Kind.ANSWER_LOST, POST)
    study = bench.study(a="one")
    bench.until(lambda: posts(bench) == 1)
    bench.restart()
    bench.rest()
    assert posts(bench) == 1
    assert len(study.outputs()) == 1


def test_a_list_that_fails_settles_no_doubt(bench: Bench) -> None:
    """While the executions cannot be listed, nothing is posted, however long it takes."""
    bench.world.faults.arm(Kind.ANSWER_LOST, POST)
    bench.study(a="one")
    bench.until(lambda: posts(bench) == 1)
    bench.world.faults.arm(Kind.REFUSED, "GET /rest/executions", times=FOR_EVER)
    bench.run(1200)
    assert posts(bench) == 1
    bench.world.faults.clear()
    bench.until(lambda: bench.world.executions.all()[0].status == "Finished")
    bench.rest()
    assert posts(bench) == 1


def test_a_full_list_settles_no_doubt(make_bench: Callable[..., Bench]) -> None:
    """500 executions of the account: a name that is not among them may still be there."""
    bench = make_bench(quota_user=10_000, quota_platform=10_000)
    study = bench.study(a="one")
    bench.world.faults.arm(Kind.ANSWER_LOST, POST)
    bench.until(lambda: posts(bench) == 1)
    (mine,) = bench.world.executions.all()
    bench.stop()
    for _ in range(500):
        bench.world.executions.launch(mine.owner, mine.submission)
    for foreign in bench.world.executions.all():
        if foreign is not mine:
            bench.world.executions.rename(mine.owner, foreign.identifier, "somebody else's")
    bench.run(600)
    assert posts(bench) == 1
    assert {x.status for x in study.state.launches.values()} == {LaunchStatus.INTENDED}


def test_a_marker_deleted_during_the_doubt_waits_for_its_end(bench: Bench) -> None:
    """The execution that VIP took all the same is found, followed and mirrored before the removal."""
    bench.world.faults.arm(Kind.ANSWER_LOST, POST)
    study = bench.study(a="one")
    bench.until(lambda: posts(bench) == 1)
    bench.world.faults.arm(Kind.REFUSED, "GET /rest/executions", times=20)
    study.marker.unlink()
    bench.run(60)
    assert bench.count("DELETE") == 0
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert len(study.outputs()) == 1
    assert bench.sessions_on_vip() == []


def test_a_launch_lost_during_the_end_is_withdrawn(bench: Bench) -> None:
    """While finishing nothing is started: a launch that surely did not arrive is given up."""
    bench.world.faults.arm(Kind.REQUEST_LOST, POST)
    study = bench.study(a="one")
    bench.until(lambda: posts(bench) == 1)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert posts(bench) == 1
    assert bench.sessions_on_vip() == []
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


@pytest.mark.parametrize(("user", "platform"), [(1, 35), (10, 1)], ids=["2001", "2000"])
def test_a_full_quota_is_a_queue(
    make_bench: Callable[..., Bench], user: int, platform: int
) -> None:
    """The second session's launch waits without an error, and starts when there is a slot."""
    bench = make_bench(quota_user=user, quota_platform=platform)
    bench.job_seconds = lambda _job: 300.0
    one, two = bench.study("one", a="one"), bench.study("two", b="two")
    bench.until(lambda: len(bench.executions()) == 1)
    bench.run(60)
    assert len(bench.executions()) == 1
    assert one.says("Queued: ") or two.says("Queued: ")
    bench.rest()
    assert sorted(bench.executions()) == [["a.mrui"], ["b.mrui"]]
    assert (len(one.outputs()), len(two.outputs())) == (1, 1)


def test_a_pipeline_that_is_not_visible_is_named(bench: Bench) -> None:
    """8007: which pipeline, and how to come to it; nothing is sent."""
    study = bench.study(settings=SETTINGS.replace("spectrum/1", "secret/1"), a="one")
    bench.rest()
    assert study.says("This account has no pipeline secret/1 on VIP (VIP's error 8007).")
    assert bench.changes() == []


@pytest.mark.parametrize("typo", ["spectrm/1", "Spectrum/1.0", "SPECTRUM/2"])
def test_a_typo_in_a_pipelines_name_is_answered_with_the_nearest_one(
    bench: Bench, typo: str
) -> None:
    """Another version, other letters: what this account may use is known."""
    study = bench.study(settings=SETTINGS.replace("spectrum/1", typo), a="one")
    bench.rest()
    assert study.says("Did you mean spectrum/1? If not: join the group")


# uploads


def test_an_upload_that_times_out_and_completes_later_is_not_sent_twice(bench: Bench) -> None:
    """400 after 45 s, and the file appears all the same: it is looked for before it is sent again."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, SENDING, seconds=1.0)
    bench.study(a="one", b="two")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one", "b.mrui": b"two"}
    assert bench.count("PUT /path/vip/Home/API/study/INPUTS/") == 2
    assert sorted(bench.executions()) == [["a.mrui"], ["b.mrui"]]


def test_an_upload_that_completes_after_it_was_sent_again_does_no_harm(bench: Bench) -> None:
    """Both transfers carry the same content to the same place: one of them is refused by VIP."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, SENDING, seconds=30.0)
    bench.study(a="one")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one"}
    assert bench.executions() == [["a.mrui"]]


def test_an_upload_that_vanished_is_sent_again(bench: Bench) -> None:
    """The file never appears: it goes to the same place once more."""
    bench.world.faults.arm(Kind.UPLOAD_VANISHES, SENDING)
    bench.study(a="one")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one"}
    assert bench.executions() == [["a.mrui"]]


def test_an_upload_that_was_stored_in_another_size_goes_beside_itself(bench: Bench) -> None:
    """201, but half of the file lies there: nothing is replaced, `_v2` is used."""
    bench.world.faults.arm(Kind.UPLOAD_WRONG_SIZE, SENDING)
    bench.study(a="signal one")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"signa", "_v2/a.mrui": b"signal one"}
    (execution,) = bench.world.executions.all()
    assert execution.submission.values["signal"] == ("/vip/Home/API/study/INPUTS/_v2/a.mrui",)


def test_a_file_that_lay_there_before_is_never_taken_for_ours(bench: Bench) -> None:
    """Equal size is no proof without our own intent: the file goes to the next version folder."""
    study = bench.study(a="one")
    bench.rest()
    (bench.home / "study" / "INPUTS" / "b.mrui").write_text("foe")
    bench.restart()
    study.drop(b="two")
    bench.rest()
    assert bench.vip_inputs()["b.mrui"] == b"foe"
    assert bench.vip_inputs()["_v2/b.mrui"] == b"two"


def test_an_input_that_somebody_removed_on_vip_is_sent_again(bench: Bench) -> None:
    """A launch never builds on what lay there long ago: it looks, and sends what is missing."""
    study = bench.study(a="one")
    bench.rest()
    (bench.home / "study" / "INPUTS" / "a.mrui").unlink()
    bench.restart()
    study.ask("rerun")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one"}
    assert len(study.outputs()) == 2


def test_a_file_that_changes_while_it_is_sent_is_sent_again(
    make_bench: Callable[..., Bench],
) -> None:
    """What was launched is what lies in the folder in the end."""
    bench = make_bench()
    study = bench.study(a="one")
    bench.until(lambda: bench.count("PUT /path/vip/Home/API/study/INPUTS") > 0)
    study.drop(a="other")
    bench.rest()
    ran = [e.submission.values["signal"] for e in bench.world.executions.all()]
    used = [Path(value).relative_to("/vip/Home/API/study/INPUTS") for (value,) in ran]
    assert bench.vip_inputs()[used[0].as_posix()] == b"other"


def test_a_file_that_is_touched_while_it_is_on_its_way_is_not_sent_twice(bench: Bench) -> None:
    """The content is the same: its hash says so."""
    bench.world.faults.arm(Kind.ANSWER_LOST, "PUT */INPUTS/a.mrui")
    study = bench.study(a="one")
    bench.until(lambda: bench.count("PUT /path/vip/Home/API/study/INPUTS/a") > 0)
    touch(study.root / "inputs" / "a.mrui")
    bench.rest()
    assert set(bench.vip_inputs().values()) == {b"one"}
    assert len(bench.executions()) == 1


# downloads and looks


def test_a_download_that_was_cut_goes_on_from_where_it_was(bench: Bench) -> None:
    """The second request asks for the rest only; nothing half is ever seen in outputs/."""
    content = bytes(range(256)) * 40
    bench.runner.work = lambda _job: {"fit": content}
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, "*/OUTPUTS/*")
    study = bench.study(a="one")
    bench.until(lambda: study.outputs() != {})
    assert study.outputs() == {"1/a.mrui.tgz": content}
    assert bench.count("GET /path/vip/Home/API/study/OUTPUTS") > 3


def test_a_cut_download_goes_on_in_another_process(bench: Bench) -> None:
    """What had come is in .vipsync, and counts."""
    content = bytes(range(256)) * 40
    bench.runner.work = lambda _job: {"fit": content}
    bench.world.faults.arm(Kind.DOWNLOAD_CUT, "*/OUTPUTS/*")
    study = bench.study(a="one")
    parts = study.root / ".vipsync" / "transfers"
    bench.until(lambda: parts.is_dir() and list(parts.glob("*.part")))
    bench.restart()
    bench.rest()
    assert study.outputs() == {"1/a.mrui.tgz": content}
    assert list(parts.iterdir()) == []


def test_a_size_that_was_told_wrongly_is_asked_again(bench: Bench) -> None:
    """A listing names another size than what comes: the result counts only when both agree."""
    bench.runner.work = lambda _job: {"fit": b"result"}
    bench.world.faults.arm(Kind.LISTING_WRONG_SIZE, "*/OUTPUTS/*/a.mrui.tgz", times=1)
    study = bench.study(a="one")
    bench.rest()
    assert study.outputs() == {"1/a.mrui.tgz": b"result"}
    assert list((study.root / ".vipsync" / "transfers").iterdir()) == []


@pytest.mark.parametrize(
    "pattern",
    ["GET /rest/executions/*", "GET /rest/path*", "GET /rest/pipelines*", "GET /rest/platform"],
)
@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.SERVER_ERROR, Kind.REQUEST_LOST])
def test_reads_that_fail_for_a_while_are_tried_again(
    bench: Bench, pattern: str, kind: Kind
) -> None:
    """VIP's 8000 on a read is transient: the end is the same, later."""
    bench.world.faults.arm(kind, pattern, times=6)
    study = bench.study(a="one", b="two")
    bench.until(lambda: len(study.outputs()) == 2)
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert study.notices == []


def test_a_server_that_is_away_for_hours_is_waited_for(bench: Bench) -> None:
    """Said with exit code 5 for as long as it lasts; then everything goes on by itself."""
    study = bench.study(a="one")
    bench.world.faults.arm(Kind.REQUEST_LOST, times=FOR_EVER)
    bench.run(3600)
    assert 5 in {n.exit_code for n in study.notices}
    assert bench.loop.at_rest()
    asked = len(bench.world.requests)
    bench.run(600)
    assert len(bench.world.requests) - asked < 10
    bench.world.faults.clear()
    bench.run(600)
    assert len(study.outputs()) == 1
    assert study.notices == []


def test_a_key_that_is_refused_in_the_middle_is_said_and_tried_again(bench: Bench) -> None:
    """401: exit code 4, nothing is lost, and a good key goes on."""
    bench.job_seconds = lambda _job: 300.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.world.faults.arm(Kind.UNAUTHORIZED, times=FOR_EVER)
    bench.run(300)
    assert 4 in {n.exit_code for n in study.notices}
    assert not any(bench.key in n.text.split() for n in study.notices)
    bench.world.faults.clear()
    bench.run(1200)
    assert len(study.outputs()) == 1
    assert study.notices == []


def test_answers_that_are_no_json_are_said_to_be(bench: Bench) -> None:
    """A 404 page or a proxy's words stop nothing for good."""
    study = bench.study(a="one")
    bench.world.faults.arm(Kind.NOT_FOUND, "GET /rest/path*", times=8)
    bench.until(lambda: len(study.outputs()) == 1)
    bench.rest()
    assert study.notices == []


def test_a_removal_whose_answer_was_lost_is_confirmed_by_looking(bench: Bench) -> None:
    """The folder has gone: nothing more is asked for."""
    study = bench.study(a="one")
    bench.rest()
    bench.world.faults.arm(Kind.ANSWER_LOST, "DELETE *")
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert study.phase() is Phase.CLOSED
    assert bench.count("DELETE") == 1


def test_a_late_upload_is_waited_for_before_the_removal(bench: Bench) -> None:
    """A transfer in doubt may still write: the removal starts only when it no longer can."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, "*/INPUTS/a.mrui", seconds=60.0)
    study = bench.study(a="one")
    bench.until(lambda: bench.count("PUT /path/vip/Home/API/study/INPUTS/a"))
    sent_at = bench.clock.now()
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    assert bench.clock.now() - sent_at >= 60
    bench.rest()
    assert bench.sessions_on_vip() == []


@pytest.mark.parametrize("tries", [1, 2], ids=["before the next try", "after it"])
def test_a_late_upload_is_waited_for_by_the_next_process_too(bench: Bench, tries: int) -> None:
    """Also where a later one has arrived: that the first got no answer is written down."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, "*/INPUTS/a.mrui", seconds=100.0)
    study = bench.study(a="one")
    bench.until(lambda: bench.count("PUT /path/vip/Home/API/study/INPUTS/a") == tries)
    ended_at = bench.clock.now()
    for _ in range(2):
        bench.restart()
        bench.until(lambda: bool(study.outputs()))
    assert bench.clock.now() - ended_at < 100
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    assert bench.clock.now() - ended_at > 100
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_a_clock_that_was_set_back_makes_this_wait_two_minutes_long_at_most(bench: Bench) -> None:
    """The next process starts ten years before the transfer got no answer."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, "*/INPUTS/a.mrui", seconds=10.0)
    study = bench.study(a="one")
    bench.until(lambda: bool(study.outputs()))
    bench.restart()
    bench.loop.timing.wall = lambda: bench.clock.now() - 10 * 365 * 86400.0
    started_at = bench.clock.now()
    bench.run(1)
    study.marker.unlink()
    bench.until(lambda: bench.count("DELETE"))
    assert 120 <= bench.clock.now() - started_at < 150


def test_one_case_that_vip_refuses_does_not_stop_the_others(bench: Bench) -> None:
    """A job's failure is its own: the rest of the folder goes on."""

    def work(job: Job) -> int | dict[str, bytes]:
        return 50 if "a" in str(job.invocation["signal"]) else {"fit": b"ok"}

    bench.runner.work = work
    study: Study = bench.study(a="one")
    bench.rest()
    study.drop(b="two")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert b"ok" in study.outputs().values()


# launches that VIP refuses each time


def always_refused(bench: Bench, settings: str = SETTINGS, kind: Kind = Kind.REFUSED) -> Study:
    """Return a folder at rest, whose launch VIP has refused as often as it is asked at once."""
    bench.world.faults.arm(kind, POST, times=FOR_EVER)
    study = bench.study(a="one", settings=settings)
    bench.rest()
    return study


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.SERVER_ERROR, Kind.NOT_FOUND])
@pytest.mark.parametrize("runs", [1, 2])
def test_a_launch_that_vip_always_refuses_is_left_to_a_person(
    bench: Bench, kind: Kind, runs: int
) -> None:
    """After three tries that were looked at VIP's words are told; an hour later it is tried again."""
    study = always_refused(bench, f"{SETTINGS}\n[launch]\nnb_runs = {runs}\n", kind)
    assert posts(bench) == 3
    assert study.says("VIP refused the launch 3 times: VIP could not launch spectrum/1")
    bench.run(3000)
    assert posts(bench) == 3
    bench.restart()
    bench.run(900)
    assert posts(bench) == 4
    bench.rest()
    assert study.says("VIP refused the launch 4 times")
    bench.world.faults.clear()
    bench.run(3700)
    bench.rest()
    assert bench.executions() == [["a.mrui"]] * runs
    assert not study.says("refused")


def test_a_second_run_that_vip_always_refuses_holds_up_no_other_case(bench: Bench) -> None:
    """It is left to a person like a first one, and what comes meanwhile is launched."""
    study = bench.study(a="one", settings=f"{SETTINGS}\n[launch]\nnb_runs = 2\n")
    bench.until(bench.executions)
    bench.world.faults.arm(Kind.REFUSED, POST, times=3)
    bench.rest()
    assert study.says("VIP refused the launch 3 times")
    study.drop(b="three")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"], ["b.mrui"]]
    study.ask("launch")
    bench.rest()
    assert bench.executions()[3:] == [["a.mrui"]]
    assert not study.says("refused")


@pytest.mark.parametrize("names", [[], ["a.mrui"]])
def test_a_person_can_have_a_refused_launch_tried_at_once(bench: Bench, names: list[str]) -> None:
    """`vipsync launch` does not wait for the hour to pass, whether the case is named or not."""
    study = always_refused(bench)
    study.ask("launch", *names)
    bench.rest()
    assert posts(bench) == 6
    bench.world.faults.clear()
    study.ask("launch", *names)
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert not study.says("refused")


def test_other_settings_are_tried_at_once(bench: Bench) -> None:
    """What VIP refused were the values of before: a person may just have mended them."""
    study = always_refused(bench, SETTINGS + 'parameters = "a.mrui"\n')
    bench.world.faults.clear()
    study.settings.write_text(SETTINGS)
    bench.run(60)
    assert posts(bench) == 4
    assert bench.executions() == [["a.mrui"]]


@pytest.mark.parametrize("request_", ["finish", "cancel"])
def test_a_refused_launch_that_nobody_wants_is_not_tried_again(bench: Bench, request_: str) -> None:
    """It is set aside, or dropped, like any other that was not launched."""
    study = always_refused(bench)
    study.ask(request_)
    bench.rest()
    bench.run(8000)
    assert posts(bench) == 3
    assert not study.says("refused")
