"""Launch, rerun, cancel: what a person asks for while a process holds the folder, and changed files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import chain

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.builders import leaves
from tests.lab.pipelines import SPECTRUM
from tests.lab.statuses import cases, started, states, status, table
from tests.test_results_per_case import failing
from vipsync.local import Kind
from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.rows import LaunchStatus, Phase, Stage

MANUAL = SETTINGS + '\n[launch]\nwhen = "manual"\n'
SHARED = SETTINGS + 'parameters = "p.txt"\n'


def long(bench: Bench, *names: str) -> None:
    """Let jobs of these signals take a quarter of an hour, of others seconds."""
    bench.job_seconds = lambda job: (
        900.0 if str(job.invocation["signal"]).partition(".")[0] in names else 10.0
    )


# launch


def test_manual_cases_are_queued_until_they_are_named(bench: Bench) -> None:
    """With `when = "manual"` nothing is even sent; `launch` of one case starts that one alone."""
    study = bench.study(settings=MANUAL, a="1", b="2")
    bench.rest()
    assert bench.changes() == []
    assert set(states(study).values()) == {CaseState.MANUAL}
    assert cases(study)["a.mrui"].reason == f"`vipsync launch {study.root}` starts it"
    study.ask("launch", "b.mrui")
    bench.rest()
    assert bench.executions() == [["b.mrui"]]
    assert sorted(bench.vip_inputs()) == ["b.mrui"]
    assert states(study) == {"a.mrui": CaseState.MANUAL, "b.mrui": CaseState.DONE}


def test_launch_starts_no_case_twice(bench: Bench) -> None:
    """What was launched is not launched again by `launch`, however often it is asked for."""
    study = bench.study(settings=MANUAL, a="1")
    bench.rest()
    for _ in range(2):
        study.ask("launch")
        bench.rest()
    assert bench.executions() == [["a.mrui"]]


def test_launch_starts_what_was_set_aside(bench: Bench) -> None:
    """A case that came while the session was being finished waits, and starts when asked for."""
    long(bench, "a")
    study = bench.study(a="1")
    bench.until(bench.executions)
    study.drop(b="2")
    study.marker.unlink()
    bench.rest()
    assert states(study)["b.mrui"] is CaseState.ASIDE
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert states(study)["b.mrui"] is CaseState.DONE


def test_launch_leaves_alone_what_a_person_dropped(bench: Bench) -> None:
    """Without names it starts what waits; a cancelled case starts when it is named."""
    study = bench.study(settings=MANUAL, a="1", b="2")
    bench.rest()
    study.ask("cancel", "b.mrui")
    bench.rest()
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    study.ask("launch", "b.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def test_launch_of_an_adopted_folder_repeats_nothing(bench: Bench) -> None:
    """What counts as launched before is no case that waits."""
    study = bench.study(a="1")
    bench.rest()
    bench.stop()
    shutil.rmtree(study.root / ".vipsync")
    bench.rest()
    assert states(study)["a.mrui"] is not CaseState.MANUAL
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


def held_up(bench: Bench) -> None:
    """Let another session have the only slot of the account for long."""
    long(bench, "z")
    other = bench.study("other", SETTINGS)
    before = len(bench.executions())
    other.drop(z="z")
    bench.until(lambda: len(bench.executions()) > before)


@pytest.mark.parametrize("command", ["rerun", "launch"])
@pytest.mark.parametrize("back", [False, True], ids=["deleted", "put back"])
def test_what_was_asked_for_and_not_started_is_set_aside(
    make_bench: Callable[..., Bench], command: str, back: bool
) -> None:
    """The marker's end is the end of it too; with the marker back it is asked for again."""
    bench = make_bench(quota_user=1)
    study = bench.study(settings=MANUAL, a="1", b="2")
    bench.rest()
    study.ask("launch", "a.mrui")
    bench.rest()
    held_up(bench)
    study.ask(command, "a.mrui" if command == "rerun" else "b.mrui")
    bench.run(60)
    if back:
        long(bench, "a", "b", "z")
        study.marker.unlink()
        bench.until(lambda: study.state.session.stage is Stage.DRAINING)
        study.marker.touch()
        bench.run(3000)
        expected = 3
    else:
        study.marker.unlink()
        bench.until(lambda: study.phase() is Phase.CLOSED)
        bench.run(3000)
        expected = 2
    assert len(bench.executions()) == expected
    assert study.marker.exists() == back


@pytest.mark.parametrize("command", ["rerun", "launch"])
def test_a_launch_in_doubt_that_did_not_arrive_is_set_aside(bench: Bench, command: str) -> None:
    """The session is finished meanwhile, and nothing opens it again; `launch` starts it."""
    study = bench.study(settings=MANUAL, a="1", b="2")
    bench.rest()
    study.ask("launch", "a.mrui")
    bench.rest()
    bench.world.faults.arm(Kind.REQUEST_LOST, "POST /rest/executions")
    study.ask(command, "a.mrui" if command == "rerun" else "b.mrui")
    bench.until(
        lambda: any(x.status is LaunchStatus.INTENDED for x in study.state.launches.values())
    )
    bench.run(20)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.CLOSED)
    bench.rest()
    assert (bench.executions(), study.marker.exists()) == ([["a.mrui"]], False)
    aside = "a.mrui" if command == "rerun" else "b.mrui"
    assert states(study)[aside] is CaseState.ASIDE
    study.ask("launch", aside)
    bench.rest()
    assert bench.executions() == [["a.mrui"], [aside]]


def test_an_end_that_is_taken_back_starts_nothing_of_an_earlier_one(
    make_bench: Callable[..., Bench],
) -> None:
    """What was set aside weeks ago still waits for `launch`."""
    bench = make_bench(quota_user=1)
    long(bench, "a", "b", "c")
    study = bench.study(a="1")
    bench.until(bench.executions)
    study.drop(b="2")
    bench.run(100)
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.CLOSED)
    study.drop(c="3")
    bench.until(lambda: len(bench.executions()) == 2)
    study.marker.unlink()
    bench.until(lambda: leaves(study.state.session))
    study.marker.touch()
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["c.mrui"]]
    assert states(study)["b.mrui"] is CaseState.ASIDE


# rerun


def test_rerun_failed_runs_those_that_failed(bench: Bench) -> None:
    """Failed and incomplete ones only; the new results lie beside the old ones."""
    bench.runner.work = failing("b")
    study = bench.study(a="1", b="2")
    bench.rest()
    bench.runner.work = failing()
    study.ask("rerun", which="failed")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"], ["b.mrui"]]
    assert states(study) == {"a.mrui": CaseState.DONE, "b.mrui": CaseState.DONE}
    assert sorted(study.outputs()) == ["1/a.mrui.tgz", "1/logs/job-2.stderr.txt", "2/b.mrui.tgz"]
    assert [(r["case"], r["status"], r["latest"]) for r in table(study)] == [
        ("a.mrui", "done", "yes"),
        ("b.mrui", "failed", "no"),
        ("b.mrui", "done", "yes"),
    ]


def test_a_rerun_that_fails_is_told_although_the_first_run_was_good(bench: Bench) -> None:
    """The last launch counts."""
    study = bench.study(a="1")
    bench.rest()
    bench.runner.work = failing("a")
    study.ask("rerun", "a.mrui")
    bench.rest()
    assert states(study) == {"a.mrui": CaseState.FAILED}
    study.ask("rerun", which="failed")
    bench.runner.work = failing()
    bench.rest()
    assert len(bench.executions()) == 3
    assert states(study) == {"a.mrui": CaseState.DONE}


def test_rerun_all_runs_every_launched_case_once_more(bench: Bench) -> None:
    """One more execution with all of them, also where they came one by one."""
    study = bench.study(a="1")
    bench.rest()
    study.drop(b="2")
    bench.rest()
    study.ask("rerun")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"], ["a.mrui", "b.mrui"]]
    assert len(study.outputs()) == 4


def test_rerun_outdated_runs_only_those_with_older_settings(bench: Bench) -> None:
    """A new value of a parameter: cases launched before it are outdated, those after are not."""
    study = bench.study(settings=SHARED, a="1")
    study.write({"p.txt": "width 1"})
    bench.rest()
    study.write({"p.txt": "width 2"})
    study.drop(b="2")
    bench.rest()
    assert study.says("1 of 2 cases ran with older settings")
    assert study.says("`vipsync rerun DIR --outdated` runs them again.")
    study.ask("rerun", which="outdated")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"], ["a.mrui"]]
    assert study.notices == []


def test_rerun_of_a_named_case_that_never_ran_runs_it(bench: Bench) -> None:
    """A person who names a case wants it run; `rerun` of all leaves those that never ran alone."""
    study = bench.study(settings=MANUAL, a="1", b="2")
    bench.rest()
    study.ask("rerun")
    bench.rest()
    assert bench.executions() == []
    study.ask("rerun", "a.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


# cancel


def test_cancel_drops_what_is_queued(make_bench: Callable[..., Bench]) -> None:
    """A case that waits for a slot is dropped; the one that runs goes on."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 600.0
    study = bench.study(settings=SETTINGS + "\n[launch]\nmax_jobs = 1\n", a="1", b="2", c="3")
    bench.until(lambda: study.says("Queued: "))
    study.ask("cancel", "b.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["c.mrui"]]
    assert states(study)["b.mrui"] is CaseState.DROPPED
    assert status(study).exit_code == 0
    study.ask("launch", "b.mrui")
    bench.rest()
    assert bench.executions()[2:] == [["b.mrui"]]


def test_cancel_stops_what_runs_and_nothing_starts_again(bench: Bench) -> None:
    """The execution is killed with all its cases; what had come before is done."""
    long(bench, "b", "c")
    study = bench.study(a="1", b="2", c="3")
    bench.until(bench.executions)
    bench.run(120)
    study.ask("cancel", "b.mrui")
    bench.rest()
    assert bench.count("PUT /executions") == 1
    assert states(study) == {
        "a.mrui": CaseState.DONE,
        "b.mrui": CaseState.STOPPED,
        "c.mrui": CaseState.STOPPED,
    }
    assert "1/a.mrui.tgz/a.txt" in study.outputs()
    bench.restart()
    bench.rest()
    assert len(bench.executions()) == 1
    assert [n for n in study.notices if n.level is Level.PERSON] == []


def test_cancel_drops_a_rerun_that_is_queued(make_bench: Callable[..., Bench]) -> None:
    """The case goes back to what its last launch was."""
    bench = make_bench(quota_user=1)
    study = bench.study(settings=SETTINGS + "\n[launch]\nmax_jobs = 1\n", a="1")
    bench.rest()
    long(bench, "b")
    study.drop(b="2")
    bench.until(lambda: len(bench.executions()) == 2)
    study.ask("rerun", "a.mrui")
    bench.until(lambda: study.says("Queued: "))
    assert states(study)["a.mrui"] is CaseState.QUEUED
    study.ask("cancel", "a.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert states(study) == {"a.mrui": CaseState.DONE, "b.mrui": CaseState.DONE}


def test_cancel_of_a_launch_in_doubt_waits_until_it_is_known(bench: Bench) -> None:
    """The answer to the POST was lost, the execution runs: it is found, and then stopped."""
    long(bench, "a")
    bench.world.faults.arm(Kind.ANSWER_LOST, "POST */executions")
    study = bench.study(a="1")
    bench.until(lambda: bench.count("POST /executions"))
    study.ask("cancel")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert states(study) == {"a.mrui": CaseState.STOPPED}


# files that change, files that go


def test_a_file_that_changes_while_its_case_runs_is_launched_beside_it(bench: Bench) -> None:
    """The running execution keeps what it was started with; the new content gets its own."""
    long(bench, "a")
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.run(60)
    study.drop(a="uno")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one", "_v2/a.mrui": b"uno"}
    values = [e.submission.values["signal"] for e in reversed(bench.world.executions.all())]
    home = "/vip/Home/API/study/INPUTS"
    assert values == [(f"{home}/a.mrui",), (f"{home}/_v2/a.mrui",)]
    assert sorted(study.outputs()) == ["1/a.mrui.tgz/a.txt", "2/a.mrui.tgz/a.txt"]
    assert states(study) == {"a.mrui": CaseState.DONE}


def test_a_case_whose_file_is_ignored_leaves_the_status(bench: Bench) -> None:
    """A failed case that nobody wants to see again: ignored, and the exit code is 0."""
    bench.runner.work = failing("b")
    study = bench.study(a="1", b="2")
    bench.rest()
    assert status(study).exit_code == 3
    study.settings.write_text(SETTINGS + '\n[inputs]\nignore = ["b.*"]\n')
    bench.rest()
    bench.rest()
    assert states(study) == {"a.mrui": CaseState.DONE}
    assert status(study).exit_code == 0
    assert len(bench.executions()) == 1


def test_a_file_that_comes_with_a_changed_shared_file_uses_the_new_one(bench: Bench) -> None:
    """Both are settled before anything starts, and the old case is only reported."""
    study = bench.study(settings=SHARED, a="1")
    study.write({"p.txt": "width 1"})
    bench.rest()
    study.write({"p.txt": "width 2"})
    study.drop(b="2")
    bench.rest()
    last = bench.world.executions.all()[0].submission.values
    assert last["parameters"] == ("/vip/Home/API/study/INPUTS/_v2/p.txt",)
    assert len(started(bench)) == 2
    assert says_outdated(study)


def says_outdated(study: Study) -> bool:
    """Tell whether the one older case is reported, as a piece of news and no more."""
    told = [n for n in study.notices if "older settings" in n.text]
    return [n.level for n in told] == [Level.INFO]


PAIRS = {
    **SPECTRUM,
    "name": "register",
    "custom": {"vip:dot": ["signal", "parameters"]},
}


def test_a_list_that_grows_launches_what_is_new_alone(bench: Bench) -> None:
    """A file that then stands in two lists makes no other case of the one it was in."""
    bench.world.pipelines.add(PAIRS)
    text = SETTINGS.replace("spectrum/1", "register/1").replace('"*.mrui"', '["2.mrui"]')
    study = bench.study(settings=f'{text}parameters = ["1.mrui"]\n')
    study.write({f"{n}.mrui": f"{n}" for n in (1, 2, 3)})
    bench.rest()
    text = text.replace('["2.mrui"]', '["2.mrui", "3.mrui"]')
    study.settings.write_text(f'{text}parameters = ["1.mrui", "2.mrui"]\n')
    bench.run(600)
    assert bench.executions() == [["2.mrui"], ["3.mrui"]]


@pytest.mark.parametrize("names", [["SUB 01", "SUB_01"], ["é", "e"], ["a&b", "a_b", "a_b.1"]])
def test_folders_that_are_one_on_vip_are_not_sent(bench: Bench, names: list[str]) -> None:
    """Nobody can say which files belong together there; once a person has renamed one, all run."""
    study = bench.study(settings=SETTINGS.replace("*.mrui", "{subject}/"))
    study.write({f"{name}/{n}.dcm": "x" for n, name in enumerate(names)})
    bench.rest()
    assert study.says(f"/ would both be {names[1]}/ on VIP: rename one of them")
    assert len(bench.vip_inputs()) == len(names) - 2
    (study.root / "inputs" / names[0]).rename(study.root / "inputs" / "other")
    bench.rest()
    assert sorted(chain(*bench.executions())) == sorted(["other", *names[1:]])
    assert len(bench.vip_inputs()) == len(names)


def test_a_person_is_asked_after_ten_contents_of_a_file(bench: Bench) -> None:
    """A file that a program writes again and again does not fill VIP; a new session goes on."""
    study = bench.study(settings='portal = "https://vip.test"\n', a="0")
    for number in range(1, 13):
        bench.rest()
        study.drop(a=f"{number}")
    bench.rest()
    assert len(bench.vip_inputs()) == 10
    assert study.says("a.mrui 10 versions of it are on VIP")
    study.ask("finish")
    bench.rest()
    study.drop(a="thirteen")
    bench.rest()
    assert list(bench.vip_inputs().values()) == [b"thirteen"]


@pytest.mark.parametrize("again", [False, True], ids=["same process", "restarted"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("scan.mrui", "scan.mrui/1.dcm"),
        ("scan.mrui/1.dcm", "scan.mrui"),
        ("s/a.mrui", "s/a.mrui/b/c/1.dcm"),
        ("s/a/b/1.dcm", "s/a"),
        ("s 1/a/1.dcm", "s_1"),
    ],
)
def test_a_file_in_place_of_a_folder_goes_to_the_next_version(
    bench: Bench, before: str, after: str, *, again: bool
) -> None:
    """And a folder in place of a file: whatever lies above or below on VIP takes a place too."""
    study = bench.study(settings='portal = "https://vip.test"\n')
    study.write({before: "one"})
    bench.rest()
    if again:
        bench.restart()
    shutil.rmtree(study.root / "inputs")
    study.write({after: "three"})
    bench.rest()
    clean = before.replace(" ", "_")
    assert bench.vip_inputs() == {clean: b"one", f"_v2/{after}": b"three"}
    assert study.notices == []
