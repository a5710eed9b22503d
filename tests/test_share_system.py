"""Two folders, one upload: a session that uses the inputs which another one has on VIP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study, touch
from tests.lab.pipelines import SPECTRUM
from tests.lab.statuses import cases, states, status
from vipsync import VipSession
from vipsync.folder.folder import SessionFolder
from vipsync.folder.sharing import leases
from vipsync.local import DEFAULT_KEY, InProcess
from vipsync.plan.draft import Level
from vipsync.plan.standing import CaseState
from vipsync.rows import Phase
from vipsync.run.dispatch import Serial
from vipsync.run.timing import Timing
from vipsync.script.account import Account

BORROW = """\
pipeline_id = "second/1"
portal = "https://vip.test"

[input_settings]
signal = "*.mrui"

[inputs]
share = "../lender"
"""


def pair(bench: Bench, **files: str) -> tuple[Study, Study]:
    """Make a folder that sends its inputs, and one that uses them with another pipeline."""
    bench.world.pipelines.add({**SPECTRUM, "name": "second"})
    lender = bench.study("lender", SETTINGS, **files)
    borrower = bench.study("borrower", BORROW)
    return lender, borrower


def leased(lender: Study) -> list[str]:
    """Return which folders say that they use the lender's inputs."""
    return [Path(lease.folder).name for lease in leases(SessionFolder(lender.root))]


def signals(bench: Bench) -> list[tuple[str, ...]]:
    """Return pipeline and signals of each execution, oldest first."""
    return [
        (e.submission.pipeline.identifier, *e.submission.values["signal"])
        for e in reversed(bench.world.executions.all())
    ]


def asked(study: Study) -> list[str]:
    """Return what a person is asked to do."""
    return [n.text for n in study.notices if n.level in (Level.PERSON, Level.ERROR)]


def test_a_borrower_runs_with_the_lenders_files_and_uploads_nothing(bench: Bench) -> None:
    """Its cases are those of the lender's inputs; results are its own; the lease is given back."""
    lender, borrower = pair(bench, a="1", b="2")
    bench.rest()
    home = "/vip/Home/API/lender/INPUTS"
    assert sorted(signals(bench)) == [
        ("second/1", f"{home}/a.mrui", f"{home}/b.mrui"),
        ("spectrum/1", f"{home}/a.mrui", f"{home}/b.mrui"),
    ]
    assert bench.vip_inputs("borrower") == {}
    assert sum(".mrui" in change for change in bench.changes()) == 2
    assert set(states(borrower).values()) == {CaseState.DONE}
    assert len(borrower.outputs()) == 2
    assert leased(lender) == []


def test_a_borrower_waits_for_files_that_the_lender_has_not_sent(bench: Bench) -> None:
    """It says so, sends nothing itself, and goes on when the lender runs."""
    lender, borrower = pair(bench, a="1")
    bench.rest()
    bench.stop()
    bench.studies.remove(lender)
    lender.drop(b="2")
    bench.rest()
    assert borrower.says("1 cases wait until their files of")
    assert cases(borrower)["b.mrui"].state is CaseState.WAITING
    assert cases(borrower)["b.mrui"].reason == f"waits until {lender.root} has sent its files"
    assert bench.vip_inputs("borrower") == {}
    bench.take(lender.root)
    bench.run(120)
    bench.rest()
    assert states(borrower)["b.mrui"] is CaseState.DONE
    assert len(bench.executions()) == 4


def test_a_borrower_waits_for_files_that_the_lender_has_changed(bench: Bench) -> None:
    """Other content of a file counts once the lender has sent it, at its new place."""
    lender, borrower = pair(bench, a="one")
    bench.rest()
    bench.stop()
    bench.studies.remove(lender)
    lender.drop(a="uno")
    bench.rest()
    assert len(bench.executions()) == 2
    assert borrower.says("wait until their files of")
    bench.take(lender.root)
    bench.run(120)
    bench.rest()
    assert signals(bench)[-1][1] == "/vip/Home/API/lender/INPUTS/_v2/a.mrui"
    assert len(bench.executions()) == 4


def test_touching_the_lenders_files_changes_nothing(bench: Bench) -> None:
    """The lender knows by the hash that they are the same, and so does the borrower."""
    lender, borrower = pair(bench, a="1")
    bench.rest()
    touch(lender.root / "inputs" / "a.mrui")
    bench.rest()
    bench.run(120)
    assert len(bench.executions()) == 2
    assert asked(borrower) == []


def test_further_runs_have_what_the_first_one_had(make_bench: Callable[..., Bench]) -> None:
    """The lender is being finished between two runs: it waits for both, and the second one is whole."""
    bench = make_bench(quota_user=1)
    bench.job_seconds = lambda _job: 300.0
    bench.world.pipelines.add({**SPECTRUM, "name": "second"})
    every = '[launch]\nwhen = "manual"\n[inputs]\nupload = "all"\n'
    lender = bench.study("lender", SETTINGS + every, a="1")
    borrower = bench.study("borrower", f"{BORROW}[launch]\nnb_runs = 2\n")
    bench.until(lambda: signals(bench))
    lender.marker.unlink()
    bench.run(2000)
    assert signals(bench) == [("second/1", "/vip/Home/API/lender/INPUTS/a.mrui")] * 2
    assert states(borrower) == {"a.mrui": CaseState.DONE}
    assert (lender.phase(), leased(lender)) == (Phase.CLOSED, [])


def test_a_script_that_finishes_the_lender_leaves_what_is_lent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said who runs with the inputs; nothing is removed."""
    bench.job_seconds = lambda job: 1800.0 if "second" in job.pipeline.identifier else 10.0
    lender, _ = pair(bench, a="1")
    bench.until(lambda: len(bench.executions()) == 2)
    bench.run(100)
    bench.stop()
    monkeypatch.chdir(lender.root)
    timing = Timing(bench.clock.now, bench.clock.now, lambda: 0.5, bench.clock.sleep)
    transport = InProcess(bench.world)
    account = Account(
        DEFAULT_KEY, "https://vip.test", transport=transport, timing=timing, executor=Serial()
    )
    said: list[str] = []
    VipSession("lender", output_dir="outputs", account=account, say=said.append).finish()
    account.client.close()
    assert [line for line in said if "others run executions with its inputs" in line]
    assert bench.count("DELETE") == 0


def test_finish_of_the_lender_waits_for_the_borrowers_executions(bench: Bench) -> None:
    """Its marker goes while the other one runs: nothing is removed before that has ended."""
    bench.job_seconds = lambda job: 1800.0 if "second" in job.pipeline.identifier else 10.0
    lender, borrower = pair(bench, a="1")
    bench.until(lambda: len(bench.executions()) == 2)
    assert leased(lender) == ["borrower"]
    bench.run(100)
    lender.marker.unlink()
    bench.run(600)
    assert lender.phase() is Phase.FINISHING
    assert lender.says("runs executions with these inputs")
    assert asked(lender) == []
    assert bench.count("DELETE") == 0
    bench.rest()
    assert states(borrower)["a.mrui"] is CaseState.DONE
    assert bench.sessions_on_vip() == ["borrower"]
    assert len(lender.outputs()) == 1


def test_an_old_lease_is_reported_and_overridden_knowingly(bench: Bench) -> None:
    """The borrower's machine is gone for days: a person is asked, and `--without` lets it go."""
    bench.job_seconds = lambda job: 1800.0 if "second" in job.pipeline.identifier else 10.0
    lender, borrower = pair(bench, a="1")
    bench.until(lambda: len(bench.executions()) == 2)
    bench.stop()
    bench.studies.remove(borrower)
    lender.marker.unlink()
    bench.run(300)
    assert lender.phase() is Phase.FINISHING
    assert asked(lender) == []
    bench.clock.sleep(30 * 3600)
    bench.rest()
    (text,) = asked(lender)
    assert "It has not said so for 30 h." in text
    assert status(lender).exit_code == 3
    assert bench.count("DELETE") == 0
    lender.ask("finish", "borrower")
    bench.rest()
    assert bench.sessions_on_vip() == ["borrower"]
    assert leased(lender) == []


def test_finish_of_the_borrower_leaves_the_lenders_data_alone(bench: Bench) -> None:
    """Only its own folder on VIP goes; the lender goes on with its files."""
    lender, borrower = pair(bench, a="1")
    bench.rest()
    before = bench.vip_inputs("lender")
    borrower.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == ["lender"]
    assert bench.vip_inputs("lender") == before
    lender.drop(b="2")
    bench.rest()
    assert sorted(bench.vip_inputs("lender")) == ["a.mrui", "b.mrui"]


def test_nothing_starts_with_inputs_of_a_lender_that_is_being_finished(bench: Bench) -> None:
    """The lender's phase counts: its files are no longer to be relied on."""
    bench.job_seconds = lambda _job: 900.0
    lender, borrower = pair(bench, a="1")
    borrower.settings.write_text(BORROW + '\n[launch]\nwhen = "manual"\n')
    bench.until(bench.executions)
    bench.run(60)
    lender.marker.unlink()
    bench.until(lambda: lender.phase() is Phase.FINISHING)
    borrower.ask("launch")
    bench.rest()
    assert [name for name, *_ in signals(bench)] == ["spectrum/1"]
    assert bench.sessions_on_vip() == []
    assert borrower.says("wait until their files of")


def test_a_lender_that_is_no_session_is_a_settings_error(bench: Bench) -> None:
    """The path is named, and nothing is sent."""
    study = bench.study("borrower", BORROW, a="1")
    bench.rest()
    assert study.says("is not another session folder")
    assert bench.changes() == []


def test_an_archive_of_the_lender_is_used_too(bench: Bench) -> None:
    """Folders that the lender packed are matched by their members; a new slice waits for it."""
    bench.world.pipelines.add({**SPECTRUM, "name": "second"})
    packed = '{ zip = "{sub}/dicom/" }'
    lender = bench.study("lender", SETTINGS.replace('"*.mrui"', packed))
    borrower = bench.study("borrower", BORROW.replace('"*.mrui"', packed))
    lender.write({"s1/dicom/1.dcm": "1", "s1/dicom/2.dcm": "2"})
    bench.rest()
    home = "/vip/Home/API/lender/INPUTS"
    assert signals(bench)[-1] == ("second/1", f"{home}/s1-dicom.zip")
    lender.write({"s1/dicom/3.dcm": "3"})
    bench.rest()
    bench.run(120)
    bench.rest()
    assert signals(bench)[-1] == ("second/1", f"{home}/_v2/s1-dicom.zip")
    assert states(borrower) == {"s1": CaseState.DONE}
    assert bench.vip_inputs("borrower") == {}


def test_a_file_that_the_lender_calls_otherwise_on_vip_is_not_used(bench: Bench) -> None:
    """Results are named after inputs: under another name they would not be those expected."""
    bench.world.pipelines.add({**SPECTRUM, "name": "second"})
    renamed = '{ file = "{sub}/press.mrui", as = "{sub}.mrui" }'
    lender = bench.study("lender", SETTINGS.replace('"*.mrui"', renamed))
    lender.write({"s1/press.mrui": "1"})
    same = bench.study("same", BORROW.replace('"*.mrui"', renamed))
    other = bench.study("other", BORROW.replace('"*.mrui"', '"{sub}/press.mrui"'))
    bench.rest()
    assert states(same) == {"s1": CaseState.DONE}
    assert states(other) == {"s1": CaseState.WAITING}
