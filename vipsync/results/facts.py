"""What there is to show: each case with its results, each execution with its. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from vipsync.model import RelPath
from vipsync.names import last
from vipsync.plan.case_results import cleaned_names, results_of
from vipsync.plan.results import results_name
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import CaseState, outcome
from vipsync.results.tables import Table
from vipsync.rows import (
    UNREADABLE,
    Followed,
    JobLog,
    Launch,
    LaunchedCase,
    LaunchStatus,
    Result,
    ResultStatus,
    State,
    log_key,
)

NOT_WELL = frozenset({CaseState.FAILED, CaseState.HELD, CaseState.INCOMPLETE, CaseState.STOPPED})


class Piece(Struct, frozen=True):
    """One result that is here: a file, or the folder that an archive has become.

    `stamp` is what it looked like when it came, empty where a person has changed it. `output` is
    the pipeline's name for it, empty where that is not known.
    """

    local: RelPath
    stamp: str
    unpacked: bool = False
    output: str = ""


class File(Struct, frozen=True):
    """One file of a result, by its path below outputs/."""

    path: str
    size: int
    sha256: str


class Description(Struct, frozen=True):
    """What is in one result. `mosaics` are pictures of volumes, by the names of their files.

    `undrawn` are those of which no picture could be made.
    """

    files: tuple[File, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    mosaics: tuple[tuple[str, str], ...] = ()
    volumes: int = 0
    undrawn: tuple[str, ...] = ()


class Shown(Struct, frozen=True):
    """One case of a launch with what became of it, or results that belong to no case."""

    title: str
    state: str = ""
    reason: str = ""
    execution: str = ""
    folder: str = ""
    at: float = 0.0
    pieces: tuple[Piece, ...] = ()
    logs: tuple[RelPath, ...] = ()
    sent_as: tuple[tuple[RelPath, str], ...] = ()
    case: str = ""

    @property
    def went_wrong(self) -> bool:
        """Tell whether a person is to look at it first."""
        return self.state in NOT_WELL or bool(self.logs)


class Run(Struct, frozen=True):
    """One execution: how it was launched, how it is, what of it is here.

    `whole`: nothing more of it is expected here. `of_cases` are the results of each launched case,
    in their order. `launch` is None for one that another program has started. `said`: what its failed
    jobs said, by `log_key`.
    """

    execution: Followed
    folder: str
    launch: Launch | None = None
    descriptor: str = ""
    pieces: tuple[Piece, ...] = ()
    of_cases: tuple[tuple[Piece, ...], ...] = ()
    logs: tuple[RelPath, ...] = ()
    whole: bool = False
    said: Mapping[str, JobLog] = {}


class Facts(Struct, frozen=True):
    """All that the page, the tables and the provenance of one session tell. `gate`: version of the privacy gate."""

    session: str
    portal: str
    shown: tuple[Shown, ...] = ()
    runs: tuple[Run, ...] = ()
    sent: Mapping[str, str] = {}
    gate: str = ""


def facts_of(snapshot: Snapshot) -> Facts:
    """Return what there is to show at one moment; nothing in it changes afterwards."""
    state, session = snapshot.state, snapshot.state.session
    runs = tuple(_runs(snapshot))
    return Facts(
        session=session.session_name or snapshot.settings.session_name,
        portal=session.portal or snapshot.settings.portal,
        shown=tuple(_in_order(_shown(runs, _last_requests(state)))),
        runs=runs,
        gate=snapshot.gate,
        sent={row.vip: row.sha256 for row in state.sent.values() if row.sha256},
    )


# executions


def _runs(snapshot: Snapshot) -> Iterable[Run]:
    state = snapshot.state
    launches = {x.execution_id: x for x in state.launches.values() if x.execution_id}
    results: defaultdict[str, list[Result]] = defaultdict(list)
    for result in state.results.values():
        results[result.execution_id].append(result)
    for execution in sorted(state.executions.values(), key=lambda e: (e.started or 0.0, e.id)):
        mine = sorted(results[execution.id], key=lambda r: r.vip)
        yield _run(execution, launches.get(execution.id), mine, snapshot)


def _run(
    execution: Followed, launch: Launch | None, results: list[Result], snapshot: Snapshot
) -> Run:
    folder = results_name(execution, snapshot)
    cases = launch.cases if launch else ()
    here = {r.vip: r for r in results}
    outputs = {last(e.name): e.output for c in cases for e in c.expected if e.name}
    cached = snapshot.state.pipelines.get(execution.pipeline_id)
    return Run(
        execution,
        folder,
        launch,
        descriptor=cached.raw if cached else "",
        pieces=_pieces(results, outputs, snapshot),
        of_cases=tuple(
            _pieces(results_of(case, execution, here), outputs, snapshot) for case in cases
        ),
        logs=tuple(RelPath(f"{folder}/logs/job-{job}") for job in execution.logs),
        whole=_is_whole(execution, results),
        said=_said(execution, snapshot.state),
    )


def _said(execution: Followed, state: State) -> Mapping[str, JobLog]:
    """Return what the failed jobs of an execution said."""
    keys = (log_key(execution.id, job.number) for job in execution.jobs)
    return {key: state.logs[key] for key in keys if key in state.logs}


def _pieces(
    results: Iterable[Result], outputs: Mapping[str, str], snapshot: Snapshot
) -> tuple[Piece, ...]:
    """Return what lies here of these results now."""
    looks = snapshot.outputs
    return tuple(
        Piece(
            r.local,
            r.stamp if looks[r.local] == r.stamp else "",
            r.unpacked,
            outputs.get(last(r.vip), ""),
        )
        for r in results
        if r.status is ResultStatus.HERE and looks.get(r.local, UNREADABLE) != UNREADABLE
    )


def _is_whole(execution: Followed, results: Iterable[Result]) -> bool:
    """Tell whether an execution is over, and each of its results is here or will never be."""
    known = execution.listed or execution.removed or execution.gone
    return execution.over and known and all(r.status is not ResultStatus.WANTED for r in results)


# cases


def _last_requests(state: State) -> Mapping[str, tuple[str, str]]:
    """Return, for each case, the content and the request with which it was launched last."""
    started = (x for x in state.launches.values() if x.status is LaunchStatus.STARTED)
    ordered = sorted(started, key=lambda x: (x.at, x.name))
    return {case.id: (case.content, x.request) for x in ordered for case in x.cases}


def _shown(runs: Iterable[Run], latest: Mapping[str, tuple[str, str]]) -> Iterable[Shown]:
    for run in runs:
        if run.launch is None or not run.launch.cases:
            yield from _without_case(run, run.pieces, run.logs)
            continue
        logs = _logs_of(run, run.launch)
        shown = [
            _case(case, pieces, logs.get(case.id, ()), run)
            for case, pieces in zip(run.launch.cases, run.of_cases, strict=True)
            if latest.get(case.id) == (case.content, run.launch.request)
        ]
        yield from shown
        if shown:
            yield from _left_over(run, shown)


def _logs_of(run: Run, launch: Launch) -> Mapping[str, tuple[RelPath, ...]]:
    """Return the logs of the failed jobs of each case, as far as it is sure whose job it was."""
    if len(launch.cases) == 1:
        return {launch.cases[0].id: run.logs}
    ends = ((case, outcome(case, launch, run.execution).state) for case in launch.cases)
    failed = [case for case, end in ends if end is CaseState.FAILED]
    if len(failed) == len(run.logs) == 1:
        return {failed[0].id: run.logs}
    by_job = {int(log.rpartition("-")[2]): log for log in run.logs}
    return {case.id: (by_job[case.job],) for case in launch.cases if case.job in by_job}


def _case(
    mine: LaunchedCase, pieces: tuple[Piece, ...], logs: tuple[RelPath, ...], run: Run
) -> Shown:
    launch = run.launch
    if launch is None:
        raise AssertionError("a case was launched")
    came = outcome(mine, launch, run.execution, run.said)
    return Shown(
        title=f"{mine.id} (run {launch.run})" if launch.runs > 1 else mine.id,
        state=str(came.state),
        reason=came.reason,
        execution=run.execution.id,
        folder=run.folder,
        at=launch.at,
        pieces=run.pieces if len(launch.cases) == 1 else pieces,
        logs=logs,
        sent_as=cleaned_names(mine, launch),
        case=mine.id,
    )


def _left_over(run: Run, shown: Iterable[Shown]) -> Iterable[Shown]:
    """Return what of an execution belongs to no case of it: results, and logs of jobs that may be anyone's."""
    taken = {piece.local for shown in shown for piece in shown.pieces}
    taken |= {piece.local for pieces in run.of_cases for piece in pieces}
    told = {log for s in shown for log in s.logs}
    pieces = tuple(piece for piece in run.pieces if piece.local not in taken)
    return _without_case(run, pieces, tuple(log for log in run.logs if log not in told))


def _without_case(
    run: Run, pieces: tuple[Piece, ...], logs: tuple[RelPath, ...]
) -> Iterable[Shown]:
    id_, at = run.execution.id, run.execution.started or run.execution.changed_at
    for piece in pieces:
        yield Shown(last(piece.local), "", "", id_, run.folder, at, (piece,))
    if logs:
        title = f"Failed jobs of {id_}"
        yield Shown(title, execution=id_, folder=run.folder, at=at, logs=logs)


def _in_order(shown: Iterable[Shown]) -> list[Shown]:
    """Put what went wrong first, then the newest."""
    return sorted(shown, key=lambda s: (not s.went_wrong, -s.at, s.title))
