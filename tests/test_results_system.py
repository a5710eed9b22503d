"""Results, on the whole system: outputs/ never loses anything, and says what did not come."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from tests.lab.archives import tgz
from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.statuses import cases, status, table
from tests.test_archive import Member, link, packed
from tests.test_hostile_system import Liar
from vipsync.folder.folder import SessionFolder
from vipsync.local import DEFAULT_KEY, FOR_EVER, Job, Kind
from vipsync.plan.draft import Level
from vipsync.rows import Phase, ResultStatus
from vipsync.status.preview import preview
from vipsync.status.summary import status_of
from vipsync.status.words import status_text

OUTSIDE = tgz({"../up.txt": b"out"})


def finished(bench: Bench, study: Study) -> bool:
    """Delete the marker, run, and tell whether the session came to its end."""
    study.marker.unlink()
    bench.rest()
    return study.phase() is Phase.CLOSED and bench.sessions_on_vip() == []


def test_a_deleted_result_comes_back(bench: Bench) -> None:
    """A result that is missing as a whole is fetched again while it is on VIP."""
    study = bench.study(a="one", b="two")
    bench.rest()
    whole = study.outputs()
    (study.result("a.txt")).unlink()
    study.result("a.mrui.tgz").rmdir()
    assert study.outputs() != whole
    bench.rest()
    assert study.outputs() == whole


def test_an_edited_result_is_left_alone_and_reported(bench: Bench) -> None:
    """What a person changed is theirs; it is no reason to stop, and none to download again."""
    study = bench.study(a="one")
    bench.rest()
    study.result("a.txt").write_text("my own words")
    before = len(bench.world.requests)
    bench.rest()
    assert list(study.outputs().values()) == [b"my own words"]
    assert study.says("a.mrui.tgz was changed on this machine")
    assert len(bench.world.requests) == before
    assert finished(bench, study)
    assert list(study.outputs().values()) == [b"my own words"]


def test_a_result_that_lacks_a_file_comes_whole_where_it_is_moved_away(bench: Bench) -> None:
    """A part that was deleted may be meant; it is said how to have it again, while VIP has it."""
    study = bench.study(a="one")
    bench.rest()
    whole = study.outputs()
    (study.result("a.mrui.tgz") / "more.txt").write_text("mine")
    study.result("a.txt").unlink()
    bench.rest()
    assert study.says("or a part of it deleted: it is left alone")
    assert study.says("move all of it away; VIP still has it")
    study.result("a.mrui.tgz").rename(study.root / "aside")
    bench.rest()
    assert study.outputs() == whole
    study.result("a.txt").write_text("my own words")
    assert finished(bench, study)
    assert study.says("or a part of it deleted")
    assert study.says(
        "VIP no longer has it; to have it again as it came: `vipsync rerun DIR a.mrui`."
    )


def test_what_is_being_deleted_is_told_once_it_is_settled(bench: Bench) -> None:
    """While a removal is under way nothing is said of it; what is gone as a whole comes again."""
    study = bench.study(a="one", b="two")
    bench.rest()
    whole = study.outputs()
    folder = study.result("a.mrui.tgz")
    (folder / "more.txt").write_text("mine")
    study.notice()
    bench.until(lambda: study.session.snapshot and study.session.snapshot.changing)
    assert not study.says("was changed on this machine")
    shutil.rmtree(folder)
    study.notice()
    seen: list[str] = []

    def back() -> bool:
        seen.append(status(study).sentence)
        return study.outputs() == whole

    bench.until(back)
    bench.rest()
    assert any("1 result that was deleted here will be fetched again" in text for text in seen)
    assert not study.says("was changed on this machine")
    (study.result("b.mrui.tgz") / "more.txt").write_text("mine")
    study.notice()
    bench.rest()
    assert study.says("was changed on this machine")


def asking(study: Study) -> list[str]:
    """Return what a person is asked about."""
    return [n.text for n in study.notices if n.level in (Level.PERSON, Level.ERROR)]


@pytest.mark.parametrize("whole", [True, False], ids=["deleted", "emptied"])
def test_a_result_deleted_after_the_end_is_named_until_it_is_forgotten(
    bench: Bench, whole: bool
) -> None:
    """VIP no longer has it, so a person decides: it comes back from a copy, or is forgotten."""
    study = bench.study(a="one")
    bench.rest()
    assert finished(bench, study)
    before = len(bench.world.requests)
    study.result("a.txt").unlink()
    if whole:
        study.result("a.mrui.tgz").rmdir()
    bench.rest()
    assert study.outputs() == {}
    (told,) = asking(study)
    assert told.startswith("1 result was deleted on this machine, and VIP no longer has it: ")
    assert study.says("run the case again: `vipsync rerun DIR a.mrui`.")
    assert [row["status"] for row in table(study)] == ["done, result deleted here"]
    assert len(bench.world.requests) == before
    assert cases(study)["a.mrui"].reason == "a result was deleted here"
    assert cases(study)["a.mrui"].results == ()
    study.ask("forget")
    bench.rest()
    assert asking(study) == []
    assert [r.status for r in study.state.results.values()] == [ResultStatus.LET_GO]
    assert cases(study)["a.mrui"].reason == "a result was deleted here and forgotten"
    assert "a.mrui: done (a result was deleted here and forgotten)" in (
        status_text(status(study), "host")
    )
    assert (
        status(study).sentence == "Everything else is here: 1 case done, 0 results; VIP is clean."
    )
    study.ask("rerun", "a.mrui")
    bench.rest()
    assert status(study).sentence.startswith("Everything is here: 1 case done, 1 result; ")
    assert cases(study)["a.mrui"].reason == ""
    assert "1 result deleted here and forgotten: a.mrui.tgz." in status_text(status(study), "host")


@pytest.mark.parametrize(
    ("without", "advice"),
    [
        ("a", "run the case again: `vipsync rerun DIR b.mrui`. a.mrui cannot run again: "),
        ("b", "run the case again: `vipsync rerun DIR a.mrui`. b.mrui cannot run again: "),
        ("", "run the cases again: `vipsync rerun DIR a.mrui b.mrui`. If you need"),
        ("ab", "from a copy. a.mrui, b.mrui cannot run again: not all files are in inputs/"),
    ],
)
def test_who_lost_results_is_told_which_cases_can_run_again(
    bench: Bench, without: str, advice: str
) -> None:
    """A case whose input has gone too has no other way than a copy."""
    study = bench.study(a="one", b="two")
    bench.rest()
    assert finished(bench, study)
    for name in "ab":
        study.result(f"{name}.txt").unlink()
    for name in without:
        (study.root / "inputs" / f"{name}.mrui").unlink()
    bench.rest()
    assert study.says(advice)


@pytest.mark.parametrize("touched", [False, True], ids=["as it came", "a copy of its own time"])
@pytest.mark.parametrize("runs", [True, False], ids=["in a run", "at once"])
def test_what_was_forgotten_and_put_back_is_here(
    bench: Bench, *, runs: bool, touched: bool
) -> None:
    """No sentence says that there is no result where it lies."""
    study = bench.study(a="one", b="two")
    bench.rest()
    assert finished(bench, study)
    whole = study.result("a.mrui.tgz")
    place = whole.parent / whole.name
    whole.rename(study.root / "aside")
    bench.rest()
    study.ask("forget")
    bench.rest()
    assert "2 cases done, 1 result; " in status(study).sentence
    if touched:
        shutil.copytree(study.root / "aside", place, copy_function=shutil.copyfile)
    else:
        (study.root / "aside").rename(place)
    if runs:
        study.notice()
        bench.rest()
        told = status(study)
    else:
        looked = preview(SessionFolder(study.root), None, environ={})
        told = status_of(looked.snapshot, looked.plan, "/s")
    assert "2 cases done, 2 results" in told.sentence
    assert "forgotten" not in {n.subject for n in told.notices}
    assert [c.results != () for c in told.cases] == [True, True]


def test_results_that_came_back_or_were_made_again_are_missed_no_more(bench: Bench) -> None:
    """A copy put back serves, and so does another run of the case; the other result stays named."""
    study = bench.study(a="one", b="two")
    bench.rest()
    assert finished(bench, study)
    kept = study.result("a.mrui.tgz").rename(study.root / "aside")
    study.result("b.txt").unlink()
    bench.rest()
    assert asking(study)[0].startswith("2 results were deleted on this machine")
    study.ask("rerun", "b.mrui")
    bench.rest()
    assert asking(study)[0].startswith("1 result was deleted on this machine")
    gone = min((study.root / "outputs").glob("2*")) / "a.mrui.tgz"
    kept.rename(gone)
    study.notice()
    bench.rest()
    assert asking(study) == []


def test_a_deleted_result_counts_nowhere_though_its_case_ran_again(bench: Bench) -> None:
    """The sentence counts what is in outputs/, and the table says which run a later one took over."""
    study = bench.study(a="one", b="two", c="three")
    bench.rest()
    assert finished(bench, study)
    for name in "ab":
        study.result(f"{name}.txt").unlink()
    bench.rest()
    study.ask("rerun", "b.mrui")
    bench.rest()
    study.ask("forget")
    bench.rest()
    assert "3 cases done, 2 results" in status(study).sentence
    assert [(row["case"], row["status"]) for row in table(study)] == [
        ("a.mrui", "done, result let go"),
        ("b.mrui", "done, result deleted here (run again since)"),
        ("c.mrui", "done"),
        ("b.mrui", "done"),
    ]


def test_what_vip_still_has_is_not_forgotten(bench: Bench) -> None:
    """It comes back, whatever was asked: a finish waits for it."""
    study = bench.study(a="one")
    bench.rest()
    whole = study.outputs()
    study.result("a.txt").unlink()
    study.result("a.mrui.tgz").rmdir()
    study.ask("forget")
    bench.rest()
    assert study.outputs() == whole
    assert asking(study) == []


def test_an_emptied_result_folder_is_filled_again_while_vip_has_it(bench: Bench) -> None:
    """What is left of a result that was deleted is its folder alone."""
    study = bench.study(a="one")
    bench.rest()
    whole = study.outputs()
    study.result("a.txt").unlink()
    bench.rest()
    assert study.outputs() == whole


def test_something_in_a_results_way_is_kept_and_the_result_comes_beside_it(bench: Bench) -> None:
    """Nothing here is replaced: the new one is called `<name>.vip`."""
    bench.job_seconds = lambda _job: 300.0
    study = bench.study(a="one")
    bench.until(lambda: any(e.results_folder for e in study.state.executions.values()))
    (execution,) = study.state.executions.values()
    assert execution.results_folder is not None
    folder = study.root / "outputs" / Path(execution.results_folder).name
    folder.mkdir(parents=True)
    (folder / "a.mrui.tgz").write_text("mine")
    bench.rest()
    assert study.outputs()["1/a.mrui.tgz"] == b"mine"
    assert "1/a.mrui.tgz.vip/a.txt" in study.outputs()


def test_another_size_on_vip_later_comes_beside_what_is_here(bench: Bench) -> None:
    """The result that is here stays as it is; a newer one is put beside it."""
    study = bench.study(a="one")
    bench.rest()
    (on_vip,) = bench.home.glob("study/OUTPUTS/*/a.mrui.tgz")
    on_vip.write_bytes(tgz({"new.txt": b"new", "more.txt": b"more" * 99}))
    bench.restart()
    bench.rest()
    assert sorted(study.outputs()) == [
        "1/a.mrui.tgz.vip/more.txt",
        "1/a.mrui.tgz.vip/new.txt",
        "1/a.mrui.tgz/a.txt",
    ]


def test_a_result_that_vanishes_from_vip_stays_here(bench: Bench) -> None:
    """Only its copy there is gone."""
    study = bench.study(a="one")
    bench.rest()
    (on_vip,) = bench.home.glob("study/OUTPUTS/*/a.mrui.tgz")
    on_vip.unlink()
    bench.restart()
    bench.rest()
    assert "1/a.mrui.tgz/a.txt" in study.outputs()
    assert finished(bench, study)


def test_results_of_an_execution_that_vip_forgot_come_before_the_end(bench: Bench) -> None:
    """A person removed it from VIP's list and left its files (facts 5.12), while nobody looked."""
    bench.job_seconds = lambda _job: 100.0
    study = bench.study(a="one")
    bench.until(lambda: any(e.results_folder for e in study.state.executions.values()))
    bench.stop()
    bench.clock.sleep(600)
    bench.world.settle()
    (ended,) = bench.world.executions.all()
    with httpx.Client(transport=bench.transport, base_url="https://vip.test") as portal:
        route = f"/rest/executions/{ended.identifier}/delete"
        portal.put(route, json={"deleteFiles": False}, headers={"apikey": DEFAULT_KEY})
    bench.rest()
    study.marker.unlink()
    bench.rest()
    assert study.phase() is Phase.CLOSED
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]


def test_what_cannot_come_is_let_go_without_a_running_process(
    make_bench: Callable[..., Bench],
) -> None:
    """The request waits until VIP has said what cannot come: a process that just began knows nothing."""
    bench = make_bench(max_direct_transfer=5)
    study = bench.study(a="one")
    bench.rest()
    bench.stop()
    study.ask("finish", "a.mrui.tgz")
    bench.rest()
    assert (study.phase(), study.outputs()) == (Phase.CLOSED, {})


def test_results_that_vip_cannot_list_are_let_go_by_their_execution(bench: Bench) -> None:
    """A name in the folder may break VIP's list for good (facts 3.3)."""
    study = bench.study(a="one")
    bench.until(lambda: any(e.results_folder for e in study.state.executions.values()))
    (execution,) = study.state.executions.values()
    listing = f"GET /rest/path{execution.results_folder}*"
    bench.world.faults.arm(Kind.REFUSED, listing, times=FOR_EVER)
    bench.rest()
    study.marker.unlink()
    bench.run(3000)
    assert study.says(f"VIP does not list the results of {execution.id}")
    study.ask("finish", execution.id)
    bench.run(2000)
    assert study.phase() is Phase.CLOSED


def test_a_result_above_the_limit_blocks_the_end_until_it_is_let_go(
    make_bench: Callable[..., Bench],
) -> None:
    """It is named with its size and the limit; `finish --without` lets it go, and the rest comes."""
    bench = make_bench(max_direct_transfer=1000)
    big = tgz({"big.bin": bytes(range(256)) * 4 + b"".join(bytes([n]) for n in range(99))})
    bench.runner.work = lambda job: {"fit": big if "b" in str(job.invocation["signal"]) else b"ok"}
    study = bench.study(a="one", b="two")
    big = big + b"x" * 2000
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz"]
    assert study.says(f"{len(big):,} bytes; VIP lets through 1,000 at most")
    assert not finished(bench, study)
    assert bench.count("DELETE") == 0
    assert study.phase() is Phase.FINISHING
    study.ask("finish", "b.mrui.tgz")
    bench.rest()
    assert bench.sessions_on_vip() == []
    assert list(study.outputs()) == ["1/a.mrui.tgz"]


@pytest.mark.parametrize(
    "content",
    [tgz({"a.txt": random.Random(1).randbytes(4000)})[:-30], bytes(33_280), OUTSIDE],
    ids=["cut", "zeros", "outside"],
)
def test_a_broken_archive_is_kept_packed(bench: Bench, content: bytes) -> None:
    """It lies in outputs/ as it came, which is said, and it does not block the end."""
    bench.runner.work = lambda _job: {"fit": content}
    study = bench.study(a="one")
    bench.rest()
    assert study.outputs() == {"1/a.mrui.tgz": content}
    assert study.says("a.mrui.tgz is here, but packed")
    assert finished(bench, study)
    assert study.outputs() == {"1/a.mrui.tgz": content}


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (link("fsaverage", "/usr/local/fs/fsaverage"), "fsaverage (a link to a place outside"),
        (link("sub/T1.nii", "../.git/annex/x"), "sub/T1.nii (a link to nothing"),
        (Member("r\udce9sum\udce9.txt", b"text"), r"r\xe9sum\xe9.txt (a name that is no UTF-8"),
    ],
    ids=["elsewhere", "nothing", "Latin-1"],
)
def test_an_archive_is_unpacked_without_what_is_odd(bench: Bench, odd: Member, said: str) -> None:
    """That is said as long as it lasts, the archive is kept, and it does not block the end."""
    content = packed([Member("a.txt", b"text"), odd], "gz")
    bench.runner.work = lambda _job: {"fit": content}
    study = bench.study(a="one")
    bench.rest()
    assert study.says(f"a.mrui.tgz is here, but without {said}")
    assert finished(bench, study)
    found = {Path(name).name: content for name, content in study.outputs().items()}
    assert said.split(" (")[0] in found.pop("UNPACKED-WITHOUT.txt").decode()
    assert found == {"a.txt": b"text", "a.mrui.tgz": content}


def squeezed(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
    """Answer as a proxy that compresses unasked, and knows no lengths."""
    if request.method != "GET" or answer.status_code not in (200, 206):
        return None
    headers = {"Content-Encoding": "gzip", "Content-Type": answer.headers["Content-Type"]}
    return httpx.Response(200, headers=headers, content=iter([gzip.compress(answer.read())]))


def test_a_session_lives_behind_a_proxy_that_compresses(bench: Bench) -> None:
    """Lists, executions, results and logs come as without it."""
    bench.transport = liar = Liar(bench.transport)
    liar.lie = squeezed
    study = bench.study(a="one", b="two")
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt", "1/b.mrui.tgz/b.txt"]
    assert finished(bench, study)


def test_without_unzip_archives_stay_as_they_are(bench: Bench) -> None:
    """`unzip = false`: the archive is the result."""
    bench.runner.work = lambda _job: {"fit": tgz({"a.txt": b"text"})}
    study = bench.study(settings=SETTINGS + "\n[outputs]\nunzip = false\n", a="one")
    bench.rest()
    assert study.outputs() == {"1/a.mrui.tgz": tgz({"a.txt": b"text"})}


def test_keep_archive_keeps_both(bench: Bench) -> None:
    """The archive lies below outputs/.archives at the same path."""
    bench.runner.work = lambda _job: {"fit": tgz({"a.txt": b"text"})}
    study = bench.study(settings=SETTINGS + "\n[outputs]\nkeep_archive = true\n", a="one")
    bench.rest()
    assert study.result("a.txt").read_bytes() == b"text"
    (kept,) = (study.root / "outputs" / ".archives").rglob("a.mrui.tgz")
    assert kept.read_bytes() == tgz({"a.txt": b"text"})


def test_results_come_while_others_still_run(bench: Bench) -> None:
    """What a job has returned is fetched before its execution has ended."""
    bench.job_seconds = lambda job: 3600.0 if "b" in str(job.invocation["signal"]) else 10.0
    study = bench.study(a="one", b="two")
    bench.until(bench.executions)
    bench.run(120)
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    bench.rest()
    assert len(study.outputs()) == 2


def test_an_execution_with_failed_jobs_brings_results_and_logs(bench: Bench) -> None:
    """Finished with a failed job: the good result comes, and the logs of the other lie beside it."""

    def work(job: Job) -> Mapping[str, bytes | Path] | int:
        return 50 if "b" in str(job.invocation["signal"]) else {"fit": b"good"}

    bench.runner.work = work
    study = bench.study(a="one", b="two")
    bench.rest()
    assert study.outputs() == {
        "1/a.mrui.tgz": b"good",
        "1/logs/job-2.stderr.txt": b"exit code 50\n",
    }
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert finished(bench, study)


def test_an_execution_that_failed_is_not_launched_again_by_itself(bench: Bench) -> None:
    """ExecutionFailed: the logs come, nothing else happens, and the session can end."""
    bench.runner.work = lambda _job: 50
    study = bench.study(a="one")
    bench.rest()
    bench.run(1800)
    assert bench.executions() == [["a.mrui"]]
    assert list(study.outputs()) == ["1/logs/job-1.stderr.txt"]
    assert finished(bench, study)


def test_an_execution_that_was_killed_on_the_portal_is_not_launched_again(bench: Bench) -> None:
    """A person stopped it; what it had returned by then is here."""
    bench.job_seconds = lambda job: 1e6 if "b" in str(job.invocation["signal"]) else 10.0
    study = bench.study(a="one", b="two")
    bench.until(bench.executions)
    bench.run(120)
    (execution,) = bench.world.executions.all()
    bench.world.faults.arm(Kind.KILL_FLAPS)
    bench.world.executions.kill(execution.owner, execution.identifier)
    bench.rest()
    assert "1/a.mrui.tgz/a.txt" in study.outputs()
    assert len(bench.executions()) == 1
    assert finished(bench, study)


def test_an_execution_that_crashed_without_jobs_is_said_to_be_over(bench: Bench) -> None:
    """Killed without jobs: no results folder, nothing to list, the session can end."""
    bench.world.faults.arm(Kind.ENGINE_CRASHES)
    study = bench.study(a="one")
    bench.rest()
    assert study.outputs() == {}
    assert finished(bench, study)


def test_held_jobs_need_a_person(bench: Bench) -> None:
    """The other results come, and what is held is named; `run --once` does not wait for ever."""
    bench.world.faults.arm(Kind.JOB_HELD, "*/2")
    study = bench.study(a="one", b="two")
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert study.says("1 held: VIP gave up on job 2")
    study.marker.unlink()
    bench.run(3600)
    assert bench.sessions_on_vip() == ["study"]
    study.ask("finish", kill="yes")
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_an_execution_without_a_change_for_long_needs_a_person(bench: Bench) -> None:
    """stall_after: it is still followed, and said to be quiet for too long."""
    bench.world.faults.arm(Kind.ENGINE_STUCK)
    study = bench.study(settings=SETTINGS + '\n[monitor]\nstall_after = "1h"\n', a="one")
    bench.until(bench.executions)
    bench.run(3600)
    bench.rest()
    assert study.says("Nothing has changed for")


def test_a_job_that_ends_well_without_its_output_leaves_nothing_to_wait_for(bench: Bench) -> None:
    """Finished without returned files: the session can end."""
    bench.world.faults.arm(Kind.OUTPUT_MISSING, times=FOR_EVER)
    study = bench.study(a="one")
    bench.rest()
    assert study.outputs() == {}
    assert finished(bench, study)


def test_statuses_that_are_not_wanted_do_not_block_the_end(bench: Bench) -> None:
    """`get_status = ["Finished"]`: a failed execution is not mirrored and not waited for."""
    bench.world.faults.arm(Kind.KILL_FLAPS)
    bench.job_seconds = lambda job: 1e6 if "b" in str(job.invocation["signal"]) else 10.0
    study = bench.study(
        settings=SETTINGS + '\n[outputs]\nget_status = ["Finished"]\n', a="one", b="two"
    )
    bench.until(bench.executions)
    bench.run(30)
    study.ask("finish", kill="yes")
    bench.rest()
    assert bench.sessions_on_vip() == []


def test_a_result_that_changes_on_vip_is_noticed_within_an_hour(bench: Bench) -> None:
    """Trees are listed once an hour: the new size comes beside what is here."""
    bench.runner.work = lambda _job: {"fit": b"first"}
    study = bench.study(a="one")
    bench.rest()
    (on_vip,) = bench.home.glob("study/OUTPUTS/*/a.mrui.tgz")
    on_vip.write_bytes(b"a later one")
    bench.run(3700)
    assert study.outputs() == {"1/a.mrui.tgz": b"first", "1/a.mrui.tgz.vip": b"a later one"}
    before = len(bench.world.requests)
    bench.run(3000)
    assert len(bench.world.requests) == before
