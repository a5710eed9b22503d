"""The plan: what to do next, and why, from one snapshot.

PURE: no I/O, no clock, no randomness; equal snapshots give equal plans. What cannot be done is in
the plan too, as a notice with its reason.
"""

from __future__ import annotations

from collections import Counter

from vipsync import actions as do
from vipsync.cases.advice import line_for, starts_at_inputs
from vipsync.errors import NameRefused
from vipsync.model import InputFile
from vipsync.names import vip_relpath
from vipsync.plan.batches import plan_cases, plan_lease
from vipsync.plan.case_index import CaseIndex, index_cases, outdated, to_learn
from vipsync.plan.draft import Draft, Level, Plan
from vipsync.plan.finishing import (
    plan_adoption,
    plan_after_download,
    plan_marker,
    plan_older_ledger,
    plan_set_aside,
)
from vipsync.plan.gone import plan_put_back, say_gone
from vipsync.plan.launching import (
    find_executions,
    is_refused,
    runs_to_come,
    say_refused,
    settle_doubts,
)
from vipsync.plan.named_files import plan_looks
from vipsync.plan.privacy import holds_up, plan_judging_the_rest, say_barred
from vipsync.plan.remote_folder import doubt_closed, open_session, proven
from vipsync.plan.removing import plan_removal
from vipsync.plan.requests import plan_requests
from vipsync.plan.results import plan_following, plan_results
from vipsync.plan.sending import InputPlaces, plan_sending, to_read_again, to_upload
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.transfer_limits import say_outdated_limits, say_pace
from vipsync.rows import LaunchStatus, Phase


def plan(snapshot: Snapshot) -> Plan:
    """Return what is to be done now, in order."""
    draft = Draft(snapshot)
    index = index_cases(snapshot)
    _say_troubles(draft, index)
    say_outdated_limits(draft)
    say_gone(draft)
    plan_put_back(draft)
    todo = plan_requests(draft, index)
    plan_older_ledger(draft)
    if snapshot.settings_error:
        _follow(draft)
        say_pace(draft)
        return draft.finished()
    _say_outdated(draft, index)
    plan_lease(draft, index)
    plan_looks(draft, index)
    plan_marker(draft)
    plan_after_download(draft, index)
    todo += [*plan_set_aside(draft, index), *plan_adoption(draft, index)]
    phase = snapshot.state.session.phase
    leaving = phase is Phase.FINISHING or (phase is Phase.OPEN and not snapshot.marker)
    if _fetch_pipeline(draft) and phase in (Phase.CLOSED, Phase.OPEN) and not leaving:
        todo += _plan_work(draft, index)
    elif leaving:
        settle_doubts(draft)
    _follow(draft)
    plan_sending(draft, todo)
    say_pace(draft)
    say_barred(draft, index.places.gate)
    return draft.finished()


def _say_troubles(draft: Draft, index: CaseIndex) -> None:
    s = draft.s
    if s.settings_error:
        draft.notice(Level.ERROR, "settings", s.settings_error, exit_code=1)
    for path, reason in sorted(s.unreadable.items()):
        draft.notice(Level.PERSON, path, f"inputs/{path} cannot be read: {reason}")
    if not s.settings_error:  # else it may be mended there already
        _say_troubles_of_settings(draft, index)
    if copies := s.conflict_copies:
        were = (
            "1 conflict copy of a sync tool is"
            if len(copies) == 1
            else f"{len(copies)} conflict copies of a sync tool are"
        )
        named = ", ".join(copies[:3]) + (" …" if len(copies) > 3 else "")
        remedy = 'Keep the right one under its plain name; `ignore = ["!NAME"]` sends a copy too.'
        draft.notice(Level.INFO, "inputs", f"{were} left out: {named}.", remedy, 0)
    if odd := s.odd_requests:
        named = ", ".join(odd[:3]) + (" …" if len(odd) > 3 else "")
        text = f".vipsync/requests holds what no vipsync command has left there: {named}."
        draft.notice(Level.INFO, "requests", text, "It is left alone; you may delete it.", 0)
    if s.unsettled:
        draft.wait(min(s.unsettled.values()))


def _say_troubles_of_settings(draft: Draft, index: CaseIndex) -> None:
    """Say what is wrong with what the settings make of the files."""
    s = draft.s
    for case in s.cases.cases:
        if case.error:
            draft.notice(Level.PERSON, case.id, case.error)
    _say_refused(draft, index)
    if s.cases.unused and not s.cases.cases:
        first = s.cases.unused[0]
        nearest = f" The nearest pattern is {first.nearest}." if first.nearest else ""
        number = len(s.cases.unused)
        text = (
            f"1 file is in inputs/, {first.path}, and no setting uses it."
            if number == 1
            else f"{number:,} files are in inputs/, such as {first.path}, and no setting uses any of them."
        )
        remedy = f"Mend [input_settings] in settings.toml{_line_to_write(s) or f'.{nearest}'}"
        draft.notice(Level.PERSON, "inputs", text, remedy)


def _line_to_write(s: Snapshot) -> str:
    """Return the line that would use files which no setting uses; empty where none is sure."""
    if wrong := starts_at_inputs(s.settings, s.files):
        return f": {wrong}"
    line = line_for([unused.path for unused in s.cases.unused], s.settings)
    them = "it" if len(s.cases.unused) == 1 else "them"
    return f". This line would use {them}: {line}" if line else ""


def _say_refused(draft: Draft, index: CaseIndex) -> None:
    """Say to which launches VIP has said no, unless they were started later, or are no longer due."""
    s = draft.s
    denied = {index.content[case.id] for case in index.denied}
    runs = {launch.name for launch in runs_to_come(s.state)}
    for launch in s.state.launches.values():
        if not is_refused(launch, s.wall):
            continue
        contents = [case.content for case in launch.cases]
        due = launch.name in runs or not denied.isdisjoint(contents)
        later = any(x.at > launch.at for c in contents for x in index.launches.get(c, ()))
        if due or (launch.status is LaunchStatus.REFUSED and not later):
            say_refused(draft, launch)


def _say_outdated(draft: Draft, index: CaseIndex) -> None:
    """Report cases that ran with other settings, or with another version of the pipeline."""
    old = outdated(index)
    launched = [c for c in index.content.values() if c in index.launches]
    if old:
        text = f"{len(old)} of {len(launched)} cases ran with older settings or shared files."
        draft.notice(
            Level.INFO, "settings", text, "`vipsync rerun DIR --outdated` runs them again.", 0
        )
    versions = Counter([index.launches[content][-1].pipeline_id for content in launched])
    if len(versions) > 1:
        mixed = ", ".join(f"{n} with {pipeline}" for pipeline, n in sorted(versions.items()))
        draft.notice(Level.INFO, "pipeline", f"Mixed: {mixed}.", exit_code=0)


def _follow(draft: Draft) -> None:
    """Follow and mirror, which goes on whatever else is wrong."""
    session = draft.s.state.session
    if session.phase is Phase.CLOSED:
        plan_results(draft)
        return
    if not proven(draft):
        return
    plan_following(draft)
    plan_results(draft)
    _ask_another_way(draft)
    if draft.s.memory.ours is None:  # an older ledger does not know all of its executions
        find_executions(draft)
    elif not draft.s.settings_error:  # what is to stay on VIP may stand in what is broken
        plan_removal(draft)


def _ask_another_way(draft: Draft) -> None:
    """Tell a part of VIP that is down from one thing that it cannot do: ask it for something else."""
    memory = draft.s.memory
    for key, attempt in memory.attempts.items():
        engine = key.kind in do.ENGINE
        answered = memory.account.heard_at.get(engine, 0.0) > attempt.at
        if answered or not attempt.silent or attempt.count == 1:
            continue
        if engine:
            find_executions(draft)
        else:
            draft.add(do.LookAtHome(draft.s.state.session.home))


def _fetch_pipeline(draft: Draft) -> bool:
    """Tell whether the pipeline's definition is known; ask for it once in a process, and when new."""
    s = draft.s
    pipeline_id = s.settings.pipeline_id
    if not pipeline_id:
        return True
    wanted = s.state.session.phase is not Phase.CLOSED or s.may_have_cases or s.marker
    if wanted and (s.memory.pipeline_at is None or s.descriptor is None):
        draft.add(do.FetchPipeline(pipeline_id))
        return False
    return s.descriptor is not None


def _plan_work(draft: Draft, index: CaseIndex) -> list[do.Action]:
    """Plan launches and what they need; open the session before its first effect on VIP."""
    s, session = draft.s, draft.s.state.session
    if session.adopting:
        return []
    if session.paused:
        text = "`vipsync resume DIR` ends the pause."
        draft.notice(Level.INFO, "paused", text, exit_code=0)
        settle_doubts(draft)
        return []
    if session.phase is Phase.CLOSED:
        return _plan_opening(draft, index)
    if not proven(draft) or not session.owned:
        return []
    if index.places.gate.names_somebody(session.session_name):
        settle_doubts(draft)
        return []
    plan_judging_the_rest(draft, index.places.gate)
    todo: list[do.Action] = []
    if s.descriptor:
        todo += plan_cases(draft, index, s.descriptor)
    return todo + _rest_of_inputs(draft, index.places)


def _plan_opening(draft: Draft, index: CaseIndex) -> list[do.Action]:
    """Open the session for what may go to VIP; return what must be read to know whether anything may.

    Its name tells VIP something too: so nothing is asked of VIP before the files were judged.
    """
    s, gate = draft.s, index.places.gate
    learn, uploads = to_learn(index), to_upload(s, index.places)
    due = [c for c in index.wanted() if c.id not in learn and not index.places.unseen(c)]
    unread = to_read_again(uploads, index.places)
    alone = set(uploads) - {action.path for action in unread}
    judging = gate.unread((*(p for c in due for p in (*c.own, *c.shared)), *sorted(alone)))
    wanted = [*filter(gate.lets_case, due), *filter(gate.lets, sorted(alone))]
    waits = any(not draft.failing(a) for a in judging)
    if holds_up(draft, judging=waits) or gate.names_somebody(s.settings.session_name):
        pass
    elif wanted:
        open_session(draft)
    elif s.marker:
        doubt_closed(draft)
    return [*learn.values(), *unread, *judging]


def _rest_of_inputs(draft: Draft, places: InputPlaces) -> list[do.Action]:
    todo: list[do.Action] = []
    for path in to_upload(draft.s, places):
        try:
            vip_relpath(path)
        except NameRefused as error:
            draft.notice(Level.PERSON, path, error.message, error.remedy)
        else:
            todo += places.place(InputFile(path)).todo
    return todo
