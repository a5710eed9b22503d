"""What a person asked for by a command, turned into decisions. PURE: no I/O, no clock."""

from __future__ import annotations

from dataclasses import replace

from vipsync import actions as do
from vipsync.draft import Draft, Level
from vipsync.finishing import let_go
from vipsync.launching import Sorted
from vipsync.snapshot import Request
from vipsync.state import Changes, DoneRequest, Judged, Phase, Row, Verdict


def plan_requests(draft: Draft, found: Sorted) -> None:
    """Turn each request that was not carried out yet into a decision."""
    for request in draft.s.requests:
        if request.id in draft.s.state.requests:
            continue
        rows = _rows(draft, request, found)
        if rows is None:
            draft.notice(Level.WAIT, request.command, f"`{request.command}` waits for its files.")
            continue
        changes = Changes(put=(*rows, DoneRequest(request.id)))
        draft.add(do.Decide(f"{request.command} {request.id}", changes, (request.id,)))


def _rows(draft: Draft, request: Request, found: Sorted) -> list[Row] | None:
    """Return what a request changes; None while that cannot be known."""
    session = draft.s.state.session
    match request.command:
        case "pause" | "resume":
            return [replace(session, paused=request.command == "pause")]
        case "finish":
            return _finish(draft, request)
        case "finish --cancel":
            if session.phase is Phase.FINISHING:
                draft.add(do.WriteMarker())
                return [replace(session, phase=Phase.OPEN, kill=False)]
            return []
        case "launch":
            if found.settling or found.unknown:
                return None
            return _judge(request, found, Verdict.GO)
        case "rerun":
            if found.settling or found.unknown:
                return None
            return _judge(request, found, Verdict.AGAIN)
        case _:
            return []


def _finish(draft: Draft, request: Request) -> list[Row]:
    s, session = draft.s, draft.s.state.session
    rows: list[Row] = list(let_go(s.state.results, request.cases))
    if session.phase in (Phase.OPEN, Phase.FINISHING):
        draft.add(do.DeleteMarker())
        kill = session.kill or request.options.get("kill") == "yes"
        aside = session.set_aside and session.phase is Phase.FINISHING
        rows.append(replace(session, phase=Phase.FINISHING, kill=kill, set_aside=aside))
    return rows


def _judge(request: Request, found: Sorted, verdict: Verdict) -> list[Row]:
    return [
        Judged(content, case_id, verdict, request.id)
        for case_id, content in sorted(found.content.items())
        if not request.cases or case_id in request.cases
    ]
