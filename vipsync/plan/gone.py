"""Results that were here and were deleted on this machine: VIP still has them, or nobody. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vipsync.model import replace
from vipsync.names import few, shell_word
from vipsync.plan.case_results import cases_of
from vipsync.plan.draft import Draft, Level, decide
from vipsync.plan.results import is_mirrored
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import LaunchStatus, Result, ResultStatus, Row

_LASTING = (LaunchStatus.INTENDED, LaunchStatus.STARTED)
_SHOWN = 3


def gone(snapshot: Snapshot) -> list[Result]:
    """Return the results that nothing brings back, but for those whose cases were run again since."""
    lost = [r for r, is_on_vip in _deleted(snapshot) if not is_on_vip]
    return [r for r in lost if not was_made_again(r, snapshot)] if lost else []


def to_come_again(snapshot: Snapshot) -> list[Result]:
    """Return the results that were deleted here and that VIP still has: they are fetched again."""
    return [r for r, is_on_vip in _deleted(snapshot) if is_on_vip]


def _deleted(snapshot: Snapshot) -> Iterator[tuple[Result, bool]]:
    """Yield the results that were here and are not, each with whether VIP may still have it."""
    executions = snapshot.state.executions
    for result in snapshot.state.results.values():
        if result.status is ResultStatus.HERE and result.local not in snapshot.outputs:
            execution = executions.get(result.execution_id)
            if execution is None or is_mirrored(result, execution, snapshot):
                yield result, execution is not None and not execution.removed


def was_made_again(result: Result, snapshot: Snapshot) -> bool:
    """Tell whether each case that this may be a result of was launched once more."""
    state = snapshot.state
    launches = [x for x in state.launches.values() if x.status in _LASTING]
    launch = next((x for x in launches if x.execution_id == result.execution_id), None)
    execution = state.executions.get(result.execution_id)
    if launch is None or execution is None:
        return False
    cases = cases_of(result, snapshot)
    later = {c.id for x in launches if x.at > launch.at for c in x.cases}
    return cases <= later


def say_gone(draft: Draft) -> None:
    """Name what is neither here nor on VIP any more, until a person says that it may be."""
    lost = gone(draft.s)
    if not lost:
        return
    names = few([f"outputs/{r.local}" for r in lost], _SHOWN)
    was, has = ("result was", "it") if len(lost) == 1 else ("results were", "them")
    draft.notice(
        Level.PERSON,
        "outputs",
        f"{len(lost):,} {was} deleted on this machine, and VIP no longer has {has}: {names}.",
        f"Put {has} back from a copy{_run_again(lost, draft.s)} "
        f"If you need {has} no more: `vipsync forget DIR`.",
    )


def _run_again(lost: Sequence[Result], snapshot: Snapshot) -> str:
    """Return the command for the cases that can run again, and which cannot, since their files are gone."""
    cases = sorted({case for r in lost for case in cases_of(r, snapshot)}) or ["CASE"]
    here = {case.id for case in snapshot.cases.cases if not case.waits_for}
    unknown = bool(snapshot.settings_error) or snapshot.descriptor is None
    able = [case for case in cases if unknown or case in here or case == "CASE"]
    lacking = [case for case in cases if case not in able]
    them = "the case" if len(able) == 1 else "the cases"
    words = " ".join(map(shell_word, able[:_SHOWN])) + (" …" if len(able) > _SHOWN else "")
    again = f", or run {them} again: `vipsync rerun DIR {words}`." if able else "."
    cannot = f" {few(lacking, _SHOWN)} cannot run again: not all files are in inputs/ any more."
    return again + (cannot if lacking else "")


def forgotten(snapshot: Snapshot, names: tuple[str, ...]) -> list[Row]:
    """Return what a person no longer misses: all that is gone, or what is called so."""
    return [
        replace(r, status=ResultStatus.LET_GO)
        for r in gone(snapshot)
        if not names or is_called(r, names)
    ]


def put_back(snapshot: Snapshot) -> list[Row]:
    """Return what a person no longer missed and has put back since: it counts as here again."""
    executions = snapshot.state.executions
    forgotten = (
        r
        for r in snapshot.state.results.values()
        if r.status is ResultStatus.LET_GO and r.stamp and r.local in snapshot.outputs
    )
    return [
        replace(r, status=ResultStatus.HERE)
        for r in forgotten
        if (execution := executions.get(r.execution_id)) is None or execution.removed
    ]


def plan_put_back(draft: Draft) -> None:
    """Take what was put back for here."""
    if rows := put_back(draft.s):
        decide(draft, "what was forgotten is here again", *rows)


def is_called(result: Result, names: tuple[str, ...]) -> bool:
    """Tell whether a person may mean this result: by its place below outputs/, or the end of it."""
    known = [name.removeprefix("outputs/").rstrip("/") for name in names]
    return any(result.local == name or result.local.endswith(f"/{name}") for name in known)
