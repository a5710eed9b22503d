"""What a person asked for by a command, turned into decisions. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import assert_never

from vipsync import actions as do
from vipsync.model import Case, Command, Request, replace
from vipsync.names import last
from vipsync.plan.case_index import CaseIndex, outdated, to_read
from vipsync.plan.draft import Draft, Level
from vipsync.plan.gone import forgotten
from vipsync.plan.removing import let_go, may_still_come
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import BAD_ENDS, case_reports
from vipsync.record.lifecycle import Event, can, step
from vipsync.rows import Changes, DoneRequest, Judged, LaunchStatus, Phase, Row, Stage, Verdict

ABOUT_CASES = (Command.LAUNCH, Command.RERUN, Command.CANCEL)


def plan_requests(draft: Draft, index: CaseIndex) -> list[do.Action]:
    """Turn the first request that can be carried out into a decision, with those that ask the same.

    Return the hashes without which it is not known which cases a request is about.
    """
    todo: list[do.Action] = []
    done = tuple(r.id for r in draft.s.requests if r.id in draft.s.state.requests)
    if done:  # the process died before it took them away
        draft.add(do.Decide(f"answered {done[0]}", Changes(), done))
        return todo
    for _, same in groupby(draft.s.requests, key=_asked):
        *others, request = same
        if request.command in ABOUT_CASES and _knows_no_cases(draft.s):
            text = f"`{request.command}` waits until it is known which cases there are."
            draft.notice(Level.WAIT, request.command, text)
            continue
        unread, settling = _unsure(request, index)
        if unread or settling:
            text = f"`{request.command}` waits until its files were read."
            draft.notice(Level.WAIT, request.command, text)
            todo += unread
            continue
        if _in_doubt(request, index):
            text = "`cancel` waits until it is known whether VIP took the launch."
            draft.notice(Level.WAIT, request.command, text)
            continue
        if request.command is Command.FINISH and may_still_come(draft.s, request.cases):
            text = "`finish --without` waits until it is known whether that can come."
            draft.notice(Level.WAIT, "finish", text)
            continue
        if not all(draft.add(action) for action in _effects(draft, request)):
            continue  # one of them failed and waits: until it is done, nothing says that it is
        rows = _rows(draft, request, index)
        ids = (*(other.id for other in others), request.id)
        changes = Changes(put=(*rows, *map(DoneRequest, ids)))
        draft.add(do.Decide(f"{request.command} {request.id}", changes, ids))
        break  # what the others ask for rests on what this one changes
    return todo


def _asked(request: Request) -> tuple[object, ...]:
    return request.command, request.cases, request.options


def _knows_no_cases(s: Snapshot) -> bool:
    """Tell whether there are no cases yet that may be: an error in the settings, a pipeline not read."""
    in_the_way = s.settings_error or (s.settings.pipeline_id and s.descriptor is None)
    return s.may_have_cases and bool(in_the_way) and not s.cases.cases


def _unsure(request: Request, index: CaseIndex) -> tuple[list[do.Action], list[Case]]:
    """Return what must be read or become quiet before it is clear which cases a request is about."""
    if request.command not in ABOUT_CASES:
        return [], []
    about = replace(index, unknown=[c for c in index.unknown if _names(request, c.id)])
    return to_read(about), [c for c in index.settling if _names(request, c.id)]


def _in_doubt(request: Request, index: CaseIndex) -> bool:
    """Tell whether something is to be stopped of which nobody knows yet whether it runs."""
    cases = _chosen(request, index) if request.command is Command.CANCEL else ()
    launches = (x for case_id in cases for x in index.launches.get(index.content[case_id], ()))
    return any(launch.status is LaunchStatus.INTENDED for launch in launches)


def _names(request: Request, case_id: str) -> bool:
    return not request.cases or case_id in request.cases


def _rows(draft: Draft, request: Request, index: CaseIndex) -> list[Row]:
    """Return what a request changes."""
    session = draft.s.state.session
    match request.command:
        case Command.PAUSE | Command.RESUME:
            return [replace(session, paused=request.command is Command.PAUSE)]
        case Command.FINISH:
            return _finish(draft, request)
        case Command.LAUNCH:
            which = _chosen(request, index) if request.cases else _waiting(draft, index)
            aside = [c for c in which if _is_aside(draft, index.content[c])]
            first = _judge(which, index, Verdict.GO, request.id, launched=False)
            again = _judge(aside, index, Verdict.AGAIN, request.id, launched=True)
            return [*first, *again, *_forgiven(which, index, draft)]
        case Command.RERUN:
            which = _to_rerun(request, index)
            named = [case_id for case_id in which if case_id in request.cases]
            first = _judge(named, index, Verdict.GO, request.id, launched=False)
            return [*first, *_judge(which, index, Verdict.AGAIN, request.id, launched=True)]
        case Command.CANCEL:
            return _cancel(request, index, draft)
        case Command.KEEP:
            return []
        case Command.FORGET:
            return forgotten(draft.s, request.cases)
        case _:
            assert_never(request.command)


def _effects(draft: Draft, request: Request) -> list[do.Action]:
    """Return what is to be done before a request counts as carried out."""
    session = draft.s.state.session
    on_vip = session.stage not in (Stage.CLOSED, Stage.ASKED)
    match request.command:
        case Command.FINISH:
            let_go_of = [
                lease.session_id
                for lease in draft.s.leases
                if last(lease.folder.rstrip("/")) in request.cases
            ]
            marker = [do.DeleteMarker()] if on_vip else []
            return [*map(do.DropLease, let_go_of), *marker]
        case Command.KEEP if on_vip:
            return [do.WriteMarker()]  # the next plan sees it, and goes on
        case _:
            return []


def _finish(draft: Draft, request: Request) -> list[Row]:
    s, session = draft.s, draft.s.state.session
    rows = let_go(s, request.cases)
    if session.phase in (Phase.OPEN, Phase.FINISHING):
        kill = session.kill or request.options.get("kill") == "yes"
        leaving = can(session, Event.FINISH_ASKED)
        after = step(session, Event.FINISH_ASKED) if leaving else session
        waived = [name for name in request.cases if name.startswith(f"{session.home}/")]
        rows.append(replace(after, kill=kill, waived=(*(session.waived or ()), *waived) or None))
    return rows


def _chosen(request: Request, index: CaseIndex) -> list[str]:
    """Return the complete cases that a request names; without names, all of them."""
    return [c for c in sorted(index.content) if _names(request, c)]


def _waiting(draft: Draft, index: CaseIndex) -> list[str]:
    """Return the cases that wait for `launch`: not those that ran before, or that a person dropped."""
    judged, over = draft.s.state.judged, (Verdict.BEFORE, Verdict.DROPPED)
    return [
        case_id
        for case_id, content in sorted(index.content.items())
        if content not in judged or judged[content].verdict not in over
    ]


def _is_aside(draft: Draft, content: str) -> bool:
    judged = draft.s.state.judged.get(content)
    return judged is not None and judged.verdict is Verdict.ASIDE


def _to_rerun(request: Request, index: CaseIndex) -> list[str]:
    match request.options.get("which"):
        case "outdated":
            return outdated(index)
        case "failed":
            return [r.id for r in case_reports(index.places.s, index) if r.state in BAD_ENDS]
        case _:
            return _chosen(request, index)


def _judge(
    cases: Iterable[str], index: CaseIndex, verdict: Verdict, request: str, *, launched: bool
) -> list[Row]:
    """Return verdicts on those cases that were launched before, or on those that were not."""
    return [
        Judged(index.content[case_id], case_id, verdict, request)
        for case_id in cases
        if (index.content[case_id] in index.launches) is launched
    ]


def _forgiven(cases: Iterable[str], index: CaseIndex, draft: Draft) -> list[Row]:
    """Return the launches of these cases that VIP has refused for the moment, to be tried again now."""
    contents = {index.content[case_id] for case_id in cases}
    return [
        replace(launch, refusals=None)
        for launch in draft.s.state.launches.values()
        if launch.status is LaunchStatus.WITHDRAWN and launch.refusals
        if not contents.isdisjoint(case.content for case in launch.cases)
    ]


def _cancel(request: Request, index: CaseIndex, draft: Draft) -> list[Row]:
    """Drop cases that are queued, and runs that are to come; stop the executions of those that run."""
    chosen, due = _chosen(request, index), {case.id for case in (*index.new, *index.denied)}
    rows = _judge(chosen, index, Verdict.DROPPED, request.id, launched=False)
    again = [case_id for case_id in chosen if case_id in due]
    rows += _judge(again, index, Verdict.DROPPED, request.id, launched=True)
    running: dict[str, Row] = {}
    for case_id in chosen:
        for launch in index.launches.get(index.content[case_id], []):
            if launch.run < launch.runs:
                rows.append(replace(launch, runs=launch.run))
            execution = draft.s.state.executions.get(launch.execution_id)
            if execution and not execution.over:
                running[execution.id] = replace(execution, kill_wanted=True)
    return [*rows, *running.values()]
