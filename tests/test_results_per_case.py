"""What became of each case, on the whole system: nothing that went wrong is hidden behind Finished."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.pipelines import SPECTRUM
from tests.lab.statuses import cases, states, status, table
from vipsync.local import Job, JobResult, Kind
from vipsync.model import RelPath
from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.record.digests import members_digest
from vipsync.status.publish import status_json
from vipsync.status.words import status_text


def failing(*names: str) -> Callable[[Job], Mapping[str, bytes | Path] | int]:
    """Return the work of jobs that fail for these signals."""

    def work(job: Job) -> Mapping[str, bytes | Path] | int:
        return 50 if str(job.invocation["signal"]).partition(".")[0] in names else {"fit": b"good"}

    return work


def paired(bench: Bench) -> str:
    """Let the pipeline pair signals with words; return settings for it."""
    word = {"id": "word", "name": "w", "type": "String", "value-key": "[WORD]"}
    descriptor: dict[str, Any] = {
        **SPECTRUM,
        "inputs": [*SPECTRUM["inputs"], word],
        "custom": {"vip:dot": ["signal", "word"]},
    }
    bench.world.pipelines.add(descriptor)
    return SETTINGS.replace('"*.mrui"', '"{name}.mrui"') + 'word = "{name}"\n'


def log(study: Study, job: int, stream: str = "stderr") -> str:
    """Return where a log of the only execution lies below outputs/."""
    (folder,) = {case.folder for case in cases(study).values()}
    return f"{folder}/logs/job-{job}.{stream}.txt"


def asked(study: Study) -> list[str]:
    """Return what a person is asked to look at."""
    notices = status(study).notices
    return [n.subject for n in notices if n.level in (Level.PERSON, Level.ERROR)]


# on the way


def test_an_incomplete_case_says_what_it_waits_for(bench: Bench) -> None:
    """The missing file is named, which is no fault: the exit code stays 0."""
    settings = SETTINGS.replace("*.mrui", "{sub}/press.mrui") + 'parameters = "{sub}/mask.nii"\n'
    study = bench.study(settings=settings)
    study.write({"sub-03/press.mrui": "3"})
    bench.rest()
    assert cases(study)["sub-03"].state is CaseState.WAITING
    assert cases(study)["sub-03"].reason == "waits for sub-03/mask.nii"
    assert status(study).sentence == "Waiting for files: 1 case incomplete."
    assert status(study).exit_code == 0


def test_a_case_is_queued_then_running_then_done(bench: Bench) -> None:
    """Each state is seen on the way, in this order."""
    study = bench.study(a="one")
    seen: list[CaseState] = []

    def done() -> bool:
        found = states(study).get("a.mrui")
        if found and found not in seen:
            seen.append(found)
        return found is CaseState.DONE

    bench.until(done)
    assert seen == [CaseState.SETTLING, CaseState.QUEUED, CaseState.RUNNING, CaseState.DONE]


# what went wrong


def test_finished_with_a_failed_job_says_which_case_failed_and_why(bench: Bench) -> None:
    """The exit code, its message and the log are told; the other case is done."""
    bench.runner.work = failing("b")
    study = bench.study(a="1", b="2", c="3")
    bench.rest()
    found = cases(study)
    assert found["b.mrui"].state is CaseState.FAILED
    assert (found["b.mrui"].reason, *found["b.mrui"].logs) == ("exit code 50", log(study, 2))
    assert (study.root / "outputs" / log(study, 2)).read_text() == "exit code 50\n"
    assert (found["a.mrui"].state, found["c.mrui"].state) == (CaseState.DONE, CaseState.DONE)
    assert asked(study) == ["b.mrui"]
    assert status(study).exit_code == 3
    assert status(study).sentence.startswith(
        f"Needs you: b.mrui: failed: exit code 50 (outputs/{log(study, 2)})"
    )


def test_the_logs_that_are_named_are_there_whichever_stream_the_job_wrote(bench: Bench) -> None:
    """A job that has written to stdout alone has no other log, and its reason leads to that one."""
    bench.world.faults.arm(Kind.JOB_FAILS, "*", times=1)
    study = bench.study(a="one")
    bench.rest()
    assert cases(study)["a.mrui"].logs == (log(study, 1, "stdout"),)
    assert (study.root / "outputs" / log(study, 1, "stdout")).is_file()


def test_where_vip_does_not_say_which_job_is_whose_every_log_is_named(bench: Bench) -> None:
    """Jobs of a cross product come in no order: two failed cases share their two logs."""
    bench.runner.work = failing("b", "c")
    study = bench.study(a="1", b="2", c="3")
    bench.rest()
    for name in ("b.mrui", "c.mrui"):
        assert cases(study)[name].reason == "exit code 50"
        assert cases(study)[name].logs == (log(study, 2), log(study, 3))


def test_where_lists_are_paired_each_case_has_its_own_job(bench: Bench) -> None:
    """VIP keeps the order of paired lists: a case that failed is told at once, with its own log."""
    bench.job_seconds = lambda job: 900.0 if "a" in str(job.invocation["signal"]) else 10.0
    bench.runner.work = failing("b", "d")
    study = bench.study(settings=paired(bench), a="1", b="2", c="3", d="4")
    bench.until(bench.executions)
    bench.run(120)
    assert list(states(study).values()) == [
        CaseState.RUNNING,
        CaseState.FAILED,
        CaseState.DONE,
        CaseState.FAILED,
    ]
    assert cases(study)["b"].logs == (log(study, 2),)
    assert cases(study)["d"].logs == (log(study, 4),)
    bench.rest()
    assert cases(study)["a"].state is CaseState.DONE


def test_an_output_that_did_not_come_is_missed_although_the_job_ended_well(bench: Bench) -> None:
    """VIP says Finished and COMPLETED, and the case says which file is missing (facts 7.5)."""
    bench.world.faults.arm(Kind.OUTPUT_MISSING, "*/2")
    study = bench.study(a="1", b="2")
    bench.rest()
    found = cases(study)
    assert found["b.mrui"].state is CaseState.INCOMPLETE
    assert found["b.mrui"].reason == "b.mrui.tgz did not come"
    assert found["a.mrui"].state is CaseState.DONE
    assert asked(study) == ["b.mrui"]


def test_a_failed_case_and_a_missing_output_are_told_apart_where_jobs_are_known(
    bench: Bench,
) -> None:
    """Paired lists: one job failed, another left nothing."""
    bench.runner.work = failing("b")
    bench.world.faults.arm(Kind.OUTPUT_MISSING, "*/3")
    study = bench.study(settings=paired(bench), a="1", b="2", c="3")
    bench.rest()
    assert list(states(study).values()) == [
        CaseState.DONE,
        CaseState.FAILED,
        CaseState.INCOMPLETE,
    ]


def test_a_held_job_needs_a_person_and_the_others_go_on(bench: Bench) -> None:
    """It is told while other jobs still run; the case is held once it is clear which one it is."""
    bench.job_seconds = lambda job: 900.0 if "c" in str(job.invocation["signal"]) else 10.0
    bench.world.faults.arm(Kind.JOB_HELD, "*/2")
    study = bench.study(a="1", b="2", c="3")
    bench.until(bench.executions)
    bench.run(300)
    assert study.says("VIP gave up on job 2")
    assert study.says("`vipsync cancel DIR CASE`; `vipsync status DIR` lists the cases.")
    assert states(study)["a.mrui"] is CaseState.DONE
    assert "1/a.mrui.tgz/a.txt" in study.outputs()
    bench.rest()
    assert states(study) == {
        "a.mrui": CaseState.DONE,
        "b.mrui": CaseState.HELD,
        "c.mrui": CaseState.DONE,
    }
    assert status(study).exit_code == 3


def test_an_execution_that_was_stopped_on_the_portal_is_stopped(bench: Bench) -> None:
    """What it had returned is done, the rest is stopped, and nothing needs a person."""
    bench.job_seconds = lambda job: 1e6 if "b" in str(job.invocation["signal"]) else 10.0
    study = bench.study(a="1", b="2")
    bench.until(bench.executions)
    bench.run(120)
    (running,) = bench.world.executions.all()
    bench.world.executions.kill(running.owner, running.identifier)
    bench.rest()
    assert states(study) == {"a.mrui": CaseState.DONE, "b.mrui": CaseState.STOPPED}
    assert asked(study) == []


def test_what_a_person_stopped_is_not_said_to_be_here(bench: Bench) -> None:
    """The sentence counts it and names the command that starts it; it is no fault, so the code is 0."""
    bench.job_seconds = lambda job: 10.0 if "a" in str(job.invocation["signal"]) else 9000.0
    study = bench.study(a="one", b="two", c="three")
    bench.until(study.outputs)
    study.ask("cancel", "b.mrui")
    bench.rest()
    assert status(study).sentence == (
        "2 cases were stopped: b.mrui, c.mrui. "
        f"`vipsync rerun {study.root} --failed` starts such cases again. "
        "Everything else is here: 1 case done, 1 result; the data are still on VIP."
    )
    assert status(study).exit_code == 0
    bench.job_seconds = lambda _job: 10.0
    study.ask("rerun", which="failed")
    bench.rest()
    assert status(study).sentence.startswith("Everything is here: 3 cases done, 3 results")


def test_where_all_was_stopped_nothing_is_waited_for(bench: Bench) -> None:
    """Cases that ran and were stopped at the end of the session are told once VIP is clean."""
    bench.job_seconds = lambda _job: 9000.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    bench.run(60)
    study.ask("finish", kill="yes")
    bench.rest()
    assert status(study).sentence == (
        f"1 case was stopped: a.mrui. `vipsync rerun {study.root} --failed` starts such cases again. "
        "VIP is clean."
    )
    assert status(study).exit_code == 0


def test_a_case_that_was_dropped_from_the_queue_is_told(make_bench: Callable[..., Bench]) -> None:
    """`launch` starts it, as the sentence says."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 900.0
    study = bench.study(a="one")
    bench.until(bench.executions)
    study.drop(b="two")
    bench.run(120)
    study.ask("cancel", "b.mrui")
    bench.rest()
    assert status(study).sentence.startswith(
        f"1 case was cancelled: b.mrui. `vipsync launch {study.root} b.mrui` starts it. "
        "Everything else is here: "
    )
    study.ask("launch", "b.mrui")
    bench.rest()
    assert status(study).sentence.startswith("Everything is here: 2 cases done")


def test_a_result_that_was_let_go_is_not_said_to_be_here(make_bench: Callable[..., Bench]) -> None:
    """It is named and counted apart from those that are here."""
    bench = make_bench(max_direct_transfer=1000)
    bench.runner.work = lambda job: {
        "fit": b"x" * (3000 if "b" in str(job.invocation["signal"]) else 10)
    }
    study = bench.study(a="one", b="two")
    bench.rest()
    study.ask("finish", "b.mrui.tgz")
    bench.rest()
    assert status(study).sentence == (
        "1 result let go, and not on this machine: b.mrui.tgz. "
        "Everything else is here: 2 cases done, 1 result; VIP is clean."
    )
    assert {row["case"]: row["status"] for row in table(study)} == {
        "a.mrui": "done",
        "b.mrui": "done, result let go",
    }
    assert status(study).exit_code == 0


def test_an_engine_that_dies_on_its_values_is_a_failure(bench: Bench) -> None:
    """Killed without a job was not, or not surely, stopped by a person (facts 5.5): it is asked for."""
    bench.world.faults.arm(Kind.ENGINE_CRASHES)
    study = bench.study(a="1")
    bench.rest()
    assert states(study) == {"a.mrui": CaseState.FAILED}
    assert "before any job began" in cases(study)["a.mrui"].reason


def test_an_execution_without_a_change_is_reported_and_the_others_go_on(bench: Bench) -> None:
    """After stall_after a person is asked, `run --once` no longer waits; a new case still runs."""
    bench.world.faults.arm(Kind.ENGINE_STUCK)
    study = bench.study(settings=SETTINGS + '\n[monitor]\nstall_after = "30m"\n', a="1")
    bench.until(bench.executions)
    bench.run(1500)
    assert asked(study) == []
    bench.rest()
    (execution,) = asked(study)
    assert execution == cases(study)["a.mrui"].execution
    assert study.says("Nothing has changed for 30 min")
    study.drop(b="2")
    bench.rest()
    assert states(study)["b.mrui"] is CaseState.DONE


def test_no_stall_is_reported_where_it_is_switched_off(bench: Bench) -> None:
    """With `stall_after = 0` a long job is nobody's concern."""
    bench.world.faults.arm(Kind.ENGINE_STUCK)
    study = bench.study(settings=SETTINGS + "\n[monitor]\nstall_after = 0\n", a="1")
    bench.until(bench.executions)
    bench.run(3600)
    assert asked(study) == []


def test_of_several_runs_the_one_that_went_wrong_is_told(bench: Bench) -> None:
    """Two runs of a case, the first one fails: the case is failed, although the last one is done."""
    bench.world.faults.arm(Kind.JOB_FAILS, "*/1")
    study = bench.study(settings=SETTINGS + "\n[launch]\nnb_runs = 2\n", a="1")
    bench.rest()
    assert len(bench.executions()) == 2
    assert states(study) == {"a.mrui": CaseState.FAILED}
    assert [row["status"] for row in table(study)] == ["failed", "done"]
    assert [row["latest"] for row in table(study)] == ["yes", "yes"]


# the table and the document


def test_results_csv_says_what_came_from_what(bench: Bench) -> None:
    """One row per case and run: inputs with hashes, values, dates, state, folder, latest or not."""
    study = bench.study(settings=SETTINGS + 'parameters = "p.txt"\n', a="one", b="two")
    study.write({"p.txt": "width 1"})
    bench.rest()
    study.drop(a="uno")
    bench.rest()
    rows = table(study)
    assert [(r["case"], r["status"], r["latest"]) for r in rows] == [
        ("a.mrui", "done", "no"),
        ("b.mrui", "done", "yes"),
        ("a.mrui", "done", "yes"),
    ]

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    assert rows[0]["inputs"] == f"a.mrui={sha('one')}; p.txt={sha('width 1')}"
    assert rows[2]["inputs"] == f"a.mrui={sha('uno')}; p.txt={sha('width 1')}"
    home = "/vip/Home/API/study/INPUTS"
    assert rows[1]["parameters"] == f"parameters={home}/p.txt; signal={home}/b.mrui"
    assert rows[2]["parameters"] == f"parameters={home}/p.txt; signal={home}/_v2/a.mrui"
    assert {r["pipeline"] for r in rows} == {"spectrum/1"}
    assert [r["execution"] for r in rows] == [*[rows[0]["execution"]] * 2, rows[2]["execution"]]
    for row in rows:
        assert row["launched"] < row["ended"]
        assert (study.root / "outputs" / row["folder"] / f"{row['case']}.tgz").is_dir()


def test_many_files_have_one_digest_per_folder_in_the_table(bench: Bench) -> None:
    """A cell of a spreadsheet has an end: 300 slices are a line, made of their names and hashes."""
    study = bench.study(settings=SETTINGS.replace('"*.mrui"', '{ zip = "{s}/" }'))
    study.write({f"a/dicom/{n:03}.dcm": str(n) for n in range(300)} | {"a/notes.txt": "x"})
    bench.rest()
    (row,) = table(study)
    folders = dict(word.split("=") for word in row["inputs"].split("; "))
    assert list(folders) == ["a/ (1 files)", "a/dicom/ (300 files)"]
    hashes = [
        (RelPath(f"a/dicom/{n:03}.dcm"), hashlib.sha256(str(n).encode()).hexdigest())
        for n in range(300)
    ]
    assert folders["a/dicom/ (300 files)"] == members_digest(hashes)


def test_status_json_carries_the_same(bench: Bench) -> None:
    """The document has each case with its state, reason, execution and folder."""
    bench.runner.work = failing("b")
    study = bench.study(a="1", b="2")
    bench.rest()
    text = status_json([status(study)])
    assert '"state": "failed"' in text
    assert '"reason": "exit code 50"' in text
    assert f'"{log(study, 2)}"' in text
    assert f'"folder": "{cases(study)["b.mrui"].folder}"' in text


def test_what_failed_for_one_reason_is_said_once_with_its_last_lines(bench: Bench) -> None:
    """The application's words, a log that is there, what to do; the others are counted."""
    bench.runner.work = failing("b", "c", "d")
    study = bench.study(settings=paired(bench), a="1", b="2", c="3", d="4")
    bench.rest()
    (failure,) = status(study).failures
    assert (failure.reason, failure.cases) == ("exit code 50", ("b", "c", "d"))
    assert failure.said == ("exit code 50",)
    text = status_text(status(study), "host")
    assert f"- b: failed with 2 others: exit code 50 (outputs/{failure.logs[0]})\n" in text
    assert f"they run by themselves; `vipsync rerun {study.root} --failed` runs the same" in text
    assert f"Last lines of outputs/{failure.logs[0]} (b, c, d):\n  | exit code 50\n" in text
    assert all((study.root / "outputs" / log).is_file() for log in failure.logs)
    assert f"  d: failed (exit code 50; outputs/{failure.logs[2]})" in text
    assert asked(study) == ["b"]


def test_reasons_that_name_their_own_case_are_one(bench: Bench) -> None:
    """It is said in the words of the first."""

    def work(job: Job) -> JobResult:
        said = f"{job.invocation['signal']}: no water peak found\n"
        return JobResult(50, job.submitted, stdout=said.encode())

    bench.runner.work = work
    study = bench.study(settings=paired(bench), a="1", b="2")
    bench.rest()
    (failure,) = status(study).failures
    assert failure.cases == ("a", "b")
    assert failure.reason == "a.mrui: no water peak found"


def test_a_failed_case_has_the_reason_that_names_its_own_file(bench: Bench) -> None:
    """Where VIP does not say which job is whose, the application does; its log goes with it."""

    def work(job: Job) -> JobResult | dict[str, bytes]:
        name = str(job.invocation["signal"])
        if name == "good.mrui":
            return {"fit": b"good"}
        whats = {"broken.mrui": "not a readable file", "empty.mrui": "it has only 0 bytes"}
        return JobResult(50, job.submitted, stdout=f"{name}: {whats[name]}\n".encode())

    bench.runner.work = work
    study = bench.study(good="1", broken="2", empty="3")
    bench.rest()
    found = cases(study)
    assert found["good.mrui"].state is CaseState.DONE
    assert found["broken.mrui"].reason == "broken.mrui: not a readable file"
    assert found["empty.mrui"].reason == "empty.mrui: it has only 0 bytes"
    text = status_text(status(study), "host")
    for name, log in ((name, found[f"{name}.mrui"].logs[0]) for name in ("broken", "empty")):
        assert f"Last lines of outputs/{log} ({name}.mrui):\n  | {name}.mrui: " in text


def test_logs_of_which_nobody_knows_the_case_are_all_shown_without_one(bench: Bench) -> None:
    """What names the file of another case is not this one's."""

    def work(job: Job) -> JobResult:
        name = str(job.invocation["signal"])
        words = {"a.mrui": "a.mrui: no peak", "b.mrui": "out of memory", "c.mrui": "disk full"}
        return JobResult(50, job.submitted, stdout=f"{words[name]}\n".encode())

    bench.runner.work = work
    study = bench.study(a="1", b="2", c="3")
    bench.rest()
    found = cases(study)
    assert found["a.mrui"].reason == "a.mrui: no peak"
    assert found["b.mrui"].reason.startswith("one of these: ")
    assert "no peak" not in found["b.mrui"].reason
    text = status_text(status(study), "host")
    for log, words in zip(found["b.mrui"].logs, ("out of memory", "disk full"), strict=True):
        assert f"Last lines of outputs/{log}:\n  | {words}\n" in text


def test_what_to_do_about_a_failure_is_what_helps_in_this_folder(bench: Bench) -> None:
    """Where nothing starts by itself, a mended input does not either."""
    bench.runner.work = failing("a_b")
    study = bench.study(settings=SETTINGS + '\n[launch]\nwhen = "manual"\n', **{"a b": "1"})
    bench.rest()
    study.ask("launch")
    bench.rest()
    (failure,) = status(study).failures
    assert failure.remedy == (
        f"Mend the input and call `vipsync launch {study.root}`; "
        f"`vipsync rerun {study.root} 'a b.mrui'` runs the same again."
    )


def test_a_change_of_the_pipelines_version_is_said_to_be_mixed(bench: Bench) -> None:
    """New cases run with the new version, old ones do not, and both numbers are told."""
    bench.world.pipelines.add({**SPECTRUM, "tool-version": "2"})
    study = bench.study(a="1", b="2")
    bench.rest()
    study.settings.write_text(SETTINGS.replace("spectrum/1", "spectrum/2"))
    bench.run(10)
    study.drop(c="3")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"], ["c.mrui"]]
    assert study.says("Mixed: 2 with spectrum/1, 1 with spectrum/2")
    assert study.says("2 of 3 cases ran with older settings")
    assert status(study).exit_code == 0


# which result is whose


def test_each_case_names_its_result_and_the_name_that_vip_gave_its_file(bench: Bench) -> None:
    """A name that VIP cannot hold is shown beside the one that it has there."""
    study = bench.study(a="one")
    study.write({"été 1.mrui": "two"})
    bench.rest()
    found = cases(study)
    assert {id_: [r.rpartition("/")[2] for r in c.results] for id_, c in found.items()} == {
        "a.mrui": ["a.mrui.tgz"],
        "été 1.mrui": ["ete_1.mrui.tgz"],
    }
    assert found["a.mrui"].sent_as == ()
    assert found["été 1.mrui"].sent_as == (("été 1.mrui", "ete_1.mrui"),)
    (line,) = (x for x in status_text(status(study), "here").splitlines() if "  été 1" in x)
    folder = found["été 1.mrui"].folder
    assert "outputs; open index.html there to look at them." in status_text(status(study), "here")
    assert status_text(status(study), "here").count("named after an archive") == 1
    assert line == (
        f"  été 1.mrui: done → outputs/{folder}/ete_1.mrui.tgz  [on VIP: été 1.mrui → ete_1.mrui]"
    )


def test_the_result_of_a_case_is_that_of_its_last_run(bench: Bench) -> None:
    """What an earlier run has left stays where it is, and is not named as the result."""
    study = bench.study(a="one")
    bench.rest()
    (before,) = cases(study)["a.mrui"].results
    study.ask("rerun", "a.mrui")
    bench.rest()
    (now,) = cases(study)["a.mrui"].results
    assert now != before
    assert (study.root / "outputs" / before).exists()


def test_a_case_that_failed_has_no_result(bench: Bench) -> None:
    """Its neighbour of the same execution has one."""
    bench.runner.work = failing("b")
    study = bench.study(a="one", b="two")
    bench.rest()
    assert [len(case.results) for case in cases(study).values()] == [1, 0]
