"""The session's way from open to finishing and back: the marker, the grace, what is set aside.

Nothing is concluded without a marker that was really seen and really is gone. PURE: no I/O, no clock.
"""

from __future__ import annotations

from vipsync import actions as do
from vipsync.model import Case, ExecutionStatus, InputFolder, PackedFolder, replace
from vipsync.plan.case_index import CaseIndex, to_read
from vipsync.plan.draft import Draft, Level, decide
from vipsync.plan.launching import runs_to_come
from vipsync.plan.removing import leaves_something_to_remove, missing
from vipsync.plan.sending import set_aside
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import CaseState, outcome
from vipsync.record.lifecycle import Event, can, step
from vipsync.rows import Changes, Judged, LaunchStatus, Phase, SendStatus, State, Verdict


def plan_marker(draft: Draft) -> None:
    """Follow the marker: gone for the whole grace time means finish, back again means go on."""
    session = draft.s.state.session
    if session.phase is Phase.OPEN and not draft.s.marker and not session.marked:
        home = draft.s.memory.home
        if home and home.exists and set(home.ids) <= {session.id}:
            draft.add(do.WriteMarker())
    elif session.phase is Phase.OPEN and draft.s.marker and not session.marked:
        decide(draft, "marked", replace(session, marked=True))
    elif session.phase is Phase.OPEN and not draft.s.marker and draft.s.memory.was_absent:
        draft.notice(
            Level.PERSON,
            "ON_VIP.txt",
            "The folder was away and came back without ON_VIP.txt: that alone removes nothing.",
            "If the data on VIP may be removed, say so with `vipsync finish DIR`.",
        )
    elif session.phase is Phase.OPEN and not draft.s.marker:
        grace = draft.s.settings.finish.grace
        draft.notice(
            Level.WAIT,
            "ON_VIP.txt",
            f"ON_VIP.txt is gone: vipsync finishes once it has seen it missing for {grace:g} s.",
        )
        # The first plan that sees it gone starts the clock, so at least two looks agree.
        seen_gone = draft.since("marker gone") > 0 and draft.wait_for("marker gone", grace)
        if seen_gone and can(session, Event.MARKER_GONE):
            decide(draft, "finish", step(session, Event.MARKER_GONE))
        elif not seen_gone:
            draft.wait(draft.s.now + min(grace, 0.5))
    elif draft.s.marker and can(session, Event.MARKER_BACK):
        draft.add(do.Decide("go on", gone_on(draft.s.state)))


def plan_older_ledger(draft: Draft) -> None:
    """Take back an end that was decided before executions were started which the ledger never knew.

    A ledger from a backup says nothing about the marker of today: a new one must be deleted.
    """
    s, session = draft.s, draft.s.state.session
    if session.phase is Phase.FINISHING and session.adopting and s.memory.was_finishing:
        decide(draft, "older ledger", step(session, Event.OLDER_LEDGER, marked=s.marker))


def gone_on(state: State) -> Changes:
    """Return what is true when finishing is taken back: nothing of this round is set aside any more."""
    since = state.session.opened_at or 0.0
    aside = [
        row
        for row in state.judged.values()
        if row.verdict is Verdict.ASIDE and row.at is not None and row.at >= since
    ]
    unsent = [
        row
        for row in state.sent.values()
        if row.status is SendStatus.REMOVED and not row.sha256 and row.at >= since
    ]
    session = step(state.session, Event.MARKER_BACK)
    asked = [_asked_for(row, state) for row in aside if row.request]
    freed = [row for row in aside if not row.request]
    return Changes(put=(session, *asked), drop=(*freed, *unsent))


def _asked_for(aside: Judged, state: State) -> Judged:
    """Return the verdict of a person that a case had before it was set aside."""
    launched = any(c.content == aside.content for x in state.launches.values() for c in x.cases)
    return replace(aside, verdict=Verdict.AGAIN if launched else Verdict.GO, at=None)


def plan_after_download(draft: Draft, index: CaseIndex) -> None:
    """Finish by itself where `after = "download"`: every case ended well, every result here."""
    s = draft.s
    if s.settings.finish.after != "download" or not can(s.state.session, Event.ALL_DONE):
        return
    if not leaves_something_to_remove(s):
        return
    busy = index.settling or s.unsettled or runs_to_come(s.state)
    done = all(_is_done(case, index, s) for case in s.cases.cases)
    if busy or not done or not s.state.executions or not _all_ended_well(s):
        return
    if not missing(s) and draft.add(do.DeleteMarker()):
        decide(draft, "finish after download", step(s.state.session, Event.ALL_DONE))


def _is_done(case: Case, index: CaseIndex, snapshot: Snapshot) -> bool:
    """Tell whether a case was launched, or will not be by a person's own decision."""
    content = index.content.get(case.id, "")
    judged = index.judged(case)
    if judged and judged.verdict is Verdict.AGAIN:
        return case not in index.new
    return content in index.launches or (judged is not None and judged.verdict is not Verdict.GO)


def _all_ended_well(snapshot: Snapshot) -> bool:
    state = snapshot.state
    executions = {e.id: e for e in state.executions.values() if not e.removed}
    finished = all(
        e.status is ExecutionStatus.FINISHED and all(j.exit_code == 0 for j in e.jobs)
        for e in executions.values()
    )
    in_doubt = any(x.status is LaunchStatus.INTENDED for x in state.launches.values())
    done = all(  # Finished says nothing of the outputs (facts 7.5)
        outcome(case, launch, executions[launch.execution_id]).state is CaseState.DONE
        for launch in state.launches.values()
        if launch.execution_id in executions
        for case in launch.cases
    )
    return finished and done and not in_doubt


def plan_set_aside(draft: Draft, index: CaseIndex) -> list[do.Action]:
    """Set aside the complete cases that were not launched; return the hashes this needs.

    Files that come later are not among them: they open the session again. A process that was just
    started cannot tell which ones those are before it has looked for as long as files must be quiet.
    """
    s, session = draft.s, draft.s.state.session
    if session.phase is not Phase.FINISHING:
        return []
    if not can(session, Event.SET_ASIDE):
        _set_aside_withdrawn(draft, index)
        return []
    if s.settings.pipeline_id and s.descriptor is None and s.may_have_cases:
        return []  # nobody knows yet which cases there are
    if index.settling and not draft.wait_for("setting aside", _quiet_time(index, s)):
        return []
    judged = [*_judge(index, s, Verdict.ASIDE), *_asked_aside(index, s)]
    unread = _readable(draft, to_read(index))
    if not unread:
        files = set_aside(s, index.places)
        decide(draft, "set aside", step(session, Event.SET_ASIDE), *judged, *files)
    return unread


def _asked_aside(index: CaseIndex, snapshot: Snapshot) -> list[Judged]:
    """Set aside the launches that a person asked for, and that no longer came to it."""
    due = (*index.new, *index.denied)
    asked = (snapshot.state.judged.get(index.content[case.id]) for case in due)
    return [replace(row, verdict=Verdict.ASIDE, at=snapshot.wall) for row in asked if row]


def _set_aside_withdrawn(draft: Draft, index: CaseIndex) -> None:
    """Set aside what was in doubt when the others were, and proved not to have been launched."""
    withdrawn = {
        case.content
        for launch in draft.s.state.launches.values()
        if launch.status is LaunchStatus.WITHDRAWN
        for case in launch.cases
    }
    judged = [*_judge(index, draft.s, Verdict.ASIDE), *_asked_aside(index, draft.s)]
    late = [x for x in judged if x.content in withdrawn]
    if late:
        decide(draft, "set aside", *late)


def _quiet_time(index: CaseIndex, snapshot: Snapshot) -> float:
    """Return for how long the cases that still change must be quiet; folders need a minute at least."""
    values = (value for case in index.settling for value in case.values.values())
    folders = any(isinstance(value, InputFolder | PackedFolder) for value in values)
    return max(snapshot.settle, 60.0) if folders else snapshot.settle


def plan_adoption(draft: Draft, index: CaseIndex) -> list[do.Action]:
    """Count the cases of an adopted folder as launched before; return the hashes this needs."""
    s, session = draft.s, draft.s.state.session
    if not session.adopting or (s.settings.pipeline_id and s.descriptor is None):
        return []
    unread = _readable(draft, to_read(index))
    if session.phase is not Phase.CLOSED and s.memory.ours is None:
        return unread  # what VIP knows of this session comes first
    if index.settling or s.unsettled:
        draft.wait(min(s.unsettled.values()))
    elif not unread:
        before = _judge(index, s, Verdict.BEFORE)
        decide(draft, "adopt", replace(session, adopting=False), *before)
    return unread


def _readable(draft: Draft, unread: list[do.Action]) -> list[do.Action]:
    """Leave out files that cannot be read: they must not hold up the others for ever."""
    for action in unread:
        if draft.hopeless(action):
            draft.add(action)  # tried again in its time, and said
    return [action for action in unread if not draft.hopeless(action)]


def _judge(index: CaseIndex, snapshot: Snapshot, verdict: Verdict) -> list[Judged]:
    at = snapshot.wall if verdict is Verdict.ASIDE else None
    return [
        Judged(content, case_id, verdict, at=at)
        for case_id, content in sorted(index.content.items())
        if content not in index.launches and content not in snapshot.state.judged
    ]
