"""A process that is killed at any point, then started again, reaches the same end as one that was not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from vipsync import actions as do
from vipsync.act.results import part_name
from vipsync.local import Kind
from vipsync.plan.standing import CaseState, outcome
from vipsync.record.ledger import Ledger, read_state
from vipsync.rows import Changes
from vipsync.run.dispatch import Done, Serial
from vipsync.run.reconciler import Work

End = tuple[list[str], dict[str, bytes], dict[str, bytes], list[list[str]]]


class Killed(BaseException):
    """The process ends here, without another instruction."""


@contextmanager
def killed_at_commit(number: int, *, before: bool, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process end before or after its n-th write to the ledger."""
    commit, calls = Ledger.commit, count(1)

    def commit_or_die(self: Ledger, changes: Changes) -> None:
        now = bool(changes) and next(calls) == number
        if now and before:
            raise Killed
        commit(self, changes)
        if now:
            raise Killed

    with patch.context() as patched:
        patched.setattr(Ledger, "commit", commit_or_die)
        yield


class Dying(Serial):
    """Carries actions out until one of a kind was carried out, then ends the process."""

    def __init__(self, kind: type[do.Action]) -> None:
        self.kind = kind

    def submit(self, work: Work, done: Done) -> None:
        """Carry it out; of the fatal one, nobody hears what came of it."""
        if isinstance(work.action, self.kind):
            work.run()
            raise Killed
        super().submit(work, done)


def new_world(make_bench: Callable[..., Bench], name: str, runs: int = 1) -> tuple[Bench, Study]:
    """Return a world with a folder of two signals."""
    bench = make_bench(name)
    settings = f"{SETTINGS}\n[launch]\nnb_runs = {runs}\n"
    return bench, bench.study(settings=settings, a="one", b="two")


def first_half(bench: Bench, study: Study, runs: int = 1) -> None:
    """Run until every result is here."""
    bench.until(lambda: len(study.outputs()) == 2 * runs and bench.loop.at_rest())


def second_half(bench: Bench, study: Study) -> None:
    """Delete the marker, and run until VIP is empty."""
    study.marker.unlink()
    bench.until(lambda: study.phase() == "closed" and bench.loop.at_rest())


def end(bench: Bench, study: Study) -> End:
    """Return what there is in the end, here and on VIP."""
    return sorted(bench.vip_files()), bench.vip_inputs(), study.outputs(), bench.executions()


@pytest.mark.parametrize(("before", "runs"), [(True, 2), (False, 1)], ids=["before", "after"])
def test_a_first_run_killed_at_any_write_comes_to_the_same_end(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, before: bool, runs: int
) -> None:
    """Whatever was written last: the same files on VIP, the same results, exactly nb_runs launches."""
    bench, study = new_world(make_bench, "whole", runs)
    first_half(bench, study, runs)
    wanted = end(bench, study)
    for number in count(1):
        bench, study = new_world(make_bench, f"{number}", runs)
        with killed_at_commit(number, before=before, patch=monkeypatch):
            try:
                first_half(bench, study, runs)
            except Killed:
                pass
            else:
                break
        bench.restart()
        first_half(bench, study, runs)
        assert end(bench, study) == wanted, f"killed at write {number}"
        assert list((study.root / ".vipsync" / "transfers").iterdir()) == []
    assert number > 15


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_an_end_killed_at_any_write_leaves_vip_empty_and_results_whole(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    """From the deleted marker to the closed session: nothing is lost, nothing is left."""
    for number in count(1):
        bench, study = new_world(make_bench, f"{number}")
        first_half(bench, study)
        results = study.outputs()
        with killed_at_commit(number, before=before, patch=monkeypatch):
            try:
                second_half(bench, study)
            except Killed:
                pass
            else:
                break
        bench.restart()
        bench.until(lambda: study.phase() == "closed" and bench.loop.at_rest())  # noqa: B023
        assert bench.sessions_on_vip() == []
        assert study.outputs() == results
    assert number > 2


@pytest.mark.parametrize(
    "kind",
    [
        do.MakeFolder,
        do.SendFile,
        do.StartExecution,
        do.FindExecutions,
        do.Poll,
        do.ListResults,
        do.FetchResult,
    ],
)
def test_an_action_of_which_nobody_heard_is_not_done_twice(
    make_bench: Callable[..., Bench], kind: type[do.Action]
) -> None:
    """The effect was there, its outcome was lost with the process: the next one looks first."""
    bench, study = new_world(make_bench, "whole")
    first_half(bench, study)
    wanted = end(bench, study)
    bench, study = new_world(make_bench, "killed")
    bench.executor = Dying(kind)
    with pytest.raises(Killed):
        first_half(bench, study)
    bench.restart()
    bench.executor = Serial()
    first_half(bench, study)
    assert end(bench, study) == wanted


def test_a_kill_of_which_nobody_heard_is_known_to_be_ours(
    make_bench: Callable[..., Bench],
) -> None:
    """An execution without jobs that this folder stopped is not said to have failed by itself."""
    bench, study = new_world(make_bench, "killed")
    bench.world.faults.arm(Kind.ENGINE_STUCK, "*")
    bench.until(lambda: any(e.results_folder for e in study.state.executions.values()))
    bench.executor = Dying(do.Kill)
    bench.restart()
    study.ask("cancel")
    with pytest.raises(Killed):
        bench.run(60)
    bench.executor = Serial()
    bench.restart()
    bench.run(300)
    (launch,) = study.state.launches.values()
    followed = study.state.executions[launch.execution_id]
    assert {outcome(case, launch, followed).state for case in launch.cases} == {CaseState.STOPPED}


def test_a_request_whose_answer_was_written_down_is_taken_away(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ended between the decision and the end of the request's file."""
    bench, study = new_world(make_bench, "asked")
    bench.rest()
    study.ask("pause")
    with killed_at_commit(1, before=False, patch=monkeypatch), pytest.raises(Killed):
        bench.run(10)
    requests = study.root / ".vipsync" / "requests"
    assert any(requests.iterdir())
    bench.restart()
    bench.run(10)
    assert study.state.session.paused
    assert not any(requests.iterdir())


def test_a_process_that_dies_again_and_again_gets_there(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process manages three writes to the ledger, as many as a transfer after a death needs."""
    bench, study = new_world(make_bench, "whole")
    first_half(bench, study)
    wanted = end(bench, study)
    bench, study = new_world(make_bench, "dying")
    for _ in range(100):
        with killed_at_commit(4, before=True, patch=monkeypatch):
            try:
                first_half(bench, study)
            except Killed:
                bench.restart()
            else:
                break
    assert end(bench, study) == wanted


def test_a_download_of_what_is_here_by_now_is_not_kept(make_bench: Callable[..., Bench]) -> None:
    """A result came back, and the process died before it took its part away: the next one does."""
    bench, study = new_world(make_bench, "whole")
    first_half(bench, study)
    bench.stop()
    transfers = study.root / ".vipsync" / "transfers"
    for result in read_state(study.root / ".vipsync" / "ledger.sqlite").results.values():
        (transfers / part_name(result.vip, result.size)).write_bytes(b"whole")
    first_half(bench, study)
    assert list(transfers.iterdir()) == []
