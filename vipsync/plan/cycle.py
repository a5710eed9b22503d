"""The plan: what to do next, and why, from one snapshot.

PURE: no I/O, no clock, no randomness; equal snapshots give equal plans. What cannot be done is in
the plan too, as a notice with its reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from vipsync import actions as do
from vipsync.errors import NameRefused
from vipsync.lifecycle import Event, step
from vipsync.model import InputFile, VipPath
from vipsync.names import vip_relpath
from vipsync.plan.draft import Draft, Level, Plan, decide
from vipsync.plan.finishing import (
    plan_adoption,
    plan_after_download,
    plan_marker,
    plan_older_ledger,
    plan_set_aside,
)
from vipsync.plan.launching import plan_cases, plan_lease
from vipsync.plan.mirroring import plan_following, plan_results
from vipsync.plan.removing import closed, plan_removal
from vipsync.plan.requests import plan_requests
from vipsync.plan.sending import Placer, plan_sending, to_read_again, to_upload
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.sorting import Sorted, outdated, sort_cases, to_learn
from vipsync.plan.starting import mark, settle_doubts
from vipsync.state import LaunchStatus, Phase, Session

API_HOME = "/vip/Home/API"
"""Where sessions lie on VIP (house 7.1)."""

LOOKED = 10.0
"""Seconds for which a look at a folder on VIP counts that may be anybody's."""


def plan(snapshot: Snapshot) -> Plan:
    """Return what is to be done now, in order."""
    draft = Draft(snapshot)
    _say_troubles(draft)
    placer = Placer(snapshot)
    found = sort_cases(snapshot, placer)
    todo = plan_requests(draft, found, placer)
    plan_older_ledger(draft)
    if snapshot.settings_error:
        _follow(draft)
        return draft.finished()
    _say_outdated(draft, found, placer)
    plan_lease(draft, found, placer)
    plan_marker(draft)
    plan_after_download(draft, found)
    todo += [*plan_set_aside(draft, found, placer), *plan_adoption(draft, found, placer)]
    phase = snapshot.state.session.phase
    leaving = phase is Phase.FINISHING or (phase is Phase.OPEN and not snapshot.marker)
    if _fetch_pipeline(draft) and phase in (Phase.CLOSED, Phase.OPEN) and not leaving:
        todo += _plan_work(draft, found, placer)
    elif leaving:
        settle_doubts(draft)
    _follow(draft)
    plan_sending(draft, todo)
    return draft.finished()


def _say_troubles(draft: Draft) -> None:
    s = draft.s
    if s.settings_error:
        draft.notice(Level.ERROR, "settings", s.settings_error, exit_code=1)
    if s.memory.trouble:
        error = s.memory.trouble.error
        draft.notice(Level.ERROR, "VIP", error.message, error.remedy, error.exit_code)
    for path, reason in sorted(s.unreadable.items()):
        draft.notice(Level.PERSON, path, f"inputs/{path} cannot be read: {reason}")
    for case in s.cases.cases:
        if case.error:
            draft.notice(Level.PERSON, case.id, case.error)
    for launch in s.state.launches.values():
        if launch.status is LaunchStatus.REFUSED:
            names = ", ".join(case.id for case in launch.cases[:3])
            draft.notice(Level.PERSON, names, f"VIP refused the launch: {launch.reason}")
    if s.cases.unused and not s.cases.cases:
        first = s.cases.unused[0]
        nearest = f" The nearest pattern is {first.nearest}." if first.nearest else ""
        text = f"{len(s.cases.unused)} files are in inputs/, such as {first.path}, and no setting uses one."
        draft.notice(
            Level.PERSON, "inputs", text + nearest, "Mend [input_settings] in settings.toml."
        )
    if s.unsettled:
        draft.wait(min(s.unsettled.values()))


def _say_outdated(draft: Draft, found: Sorted, placer: Placer) -> None:
    """Report cases that ran with other settings, or with another version of the pipeline."""
    old = outdated(found, placer)
    launched = [c for c in found.content.values() if c in found.launches]
    if old:
        text = f"{len(old)} of {len(launched)} cases ran with older settings or shared files."
        draft.notice(
            Level.INFO, "settings", text, "`vipsync rerun DIR --outdated` runs them again.", 0
        )
    versions = Counter([found.launches[content][-1].pipeline_id for content in launched])
    if len(versions) > 1:
        mixed = ", ".join(f"{n} with {pipeline}" for pipeline, n in sorted(versions.items()))
        draft.notice(Level.INFO, "pipeline", f"Mixed: {mixed}.", exit_code=0)


def _follow(draft: Draft) -> None:
    """Follow and mirror, which goes on whatever else is wrong."""
    session = draft.s.state.session
    if session.phase is Phase.CLOSED:
        plan_results(draft)
        return
    if not _proven(draft):
        return
    plan_following(draft)
    plan_results(draft)
    if draft.s.memory.ours is None:  # an older ledger does not know all of its executions
        draft.add(do.FindExecutions(mark(session)))
    elif not draft.s.settings_error:  # what is to stay on VIP may stand in what is broken
        plan_removal(draft)


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


def _plan_work(draft: Draft, found: Sorted, placer: Placer) -> list[do.Action]:
    """Plan launches and what they need; open the session before its first effect on VIP."""
    s, session = draft.s, draft.s.state.session
    if session.adopting:
        return []
    if session.paused:
        text = "`vipsync resume DIR` lets vipsync send and start again."
        draft.notice(Level.INFO, "paused", text, exit_code=0)
        settle_doubts(draft)
        return []
    if session.phase is Phase.CLOSED:
        learn = to_learn(found, placer)
        due = [case for case in found.wanted(placer) if case.id not in learn]
        uploads = to_upload(s, placer)
        unread = to_read_again(uploads, placer)
        if due or len(uploads) > len(unread):
            _open(draft)
        elif s.marker:
            _doubt_closed(draft)
        return [*learn.values(), *unread]
    if not _proven(draft) or not session.owned:
        return []
    todo: list[do.Action] = []
    if s.descriptor:
        todo += plan_cases(draft, found, placer, s.descriptor)
    return todo + _rest_of_inputs(draft, placer)


def _rest_of_inputs(draft: Draft, placer: Placer) -> list[do.Action]:
    todo: list[do.Action] = []
    for path in to_upload(draft.s, placer):
        try:
            vip_relpath(path)
        except NameRefused as error:
            draft.notice(Level.PERSON, path, error.message, error.remedy)
        else:
            todo += placer.place(InputFile(path)).todo
    return todo


def home_of(session_name: str) -> VipPath:
    """Return the folder of a session on VIP."""
    return VipPath(f"{API_HOME}/{session_name}")


def _open(draft: Draft) -> None:
    """Look whose the session's folder on VIP is; open when it is nobody's or ours."""
    s = draft.s
    home = home_of(s.settings.session_name)
    seen = _look_at(draft, home)
    if seen is None:
        return
    session = s.state.session
    if seen.exists and seen.ids != (session.id,):
        _say_taken(draft, home)
        return
    if s.now > s.memory.home_at + LOOKED:
        draft.add(do.LookAtHome(home))
        return
    opened = step(
        session,
        Event.OPENED,
        session_name=s.settings.session_name,
        portal=s.settings.portal,
        key_print=seen.key_print,
        home=home,
        vip_input_dir=VipPath(f"{home}/INPUTS"),
        vip_output_dir=VipPath(f"{home}/OUTPUTS"),
        opened_at=s.wall,
        marked=True,
    )
    draft.add(do.Open(opened))


def _doubt_closed(draft: Draft) -> None:
    """Look what a marker speaks of that the ledger knows nothing of: one of both is an older copy."""
    home = home_of(draft.s.settings.session_name)
    seen = _look_at(draft, home)
    if seen and draft.s.state.session.id in seen.ids:
        _open(draft)
    elif seen:
        text = "The marker is here, but nothing of this session is on VIP."
        draft.notice(Level.INFO, "ON_VIP.txt", text, "It may be deleted.", exit_code=0)


def _look_at(draft: Draft, home: VipPath) -> do.HomeSeen | None:
    """Return whose folder it is, as seen in this process; ask where nobody has looked."""
    memory = draft.s.memory
    if memory.home is None or memory.home_path != home:
        draft.add(do.LookAtHome(home))
        return None
    return memory.home


def _look_again(draft: Draft, home: VipPath, seconds: float) -> None:
    """Look once more after a while: a person may have mended it on the portal."""
    due = draft.s.memory.home_at + seconds
    if draft.s.now >= due:
        draft.add(do.LookAtHome(home))
    else:
        draft.wait(due, lasting=seconds > 1)


def _say_taken(draft: Draft, home: VipPath) -> None:
    draft.notice(
        Level.PERSON,
        "session_name",
        f"The name is taken: {home} on VIP belongs to another session.",
        "Choose another session_name in settings.toml, or remove that folder on the portal.",
    )
    _look_again(draft, home, 60.0)


def _proven(draft: Draft) -> bool:
    """Tell whether this key sees our session on VIP; only then does absence mean anything."""
    session = draft.s.state.session
    seen = _look_at(draft, session.home)
    if seen is None:
        return False
    ours = session.id in seen.ids
    if len(seen.ids) > ours or not (ours or seen.empty or session.owned or session.named):
        _taken(draft, session)
        return False
    same_key = seen.key_print == session.key_print
    if ours or (session.phase is Phase.REMOVING and same_key):
        return _owned(draft, session, seen)
    if not session.owned and (same_key or (seen.exists and session.named)):
        _make_home(draft, session)
    elif session.adopting and not draft.s.marker and not _expects_data(draft.s):
        decide(draft, "nothing on VIP", *closed(draft.s, Event.GONE_ELSEWHERE).put)
    else:
        _say_unseen(draft, session, same_key=same_key)
        _look_again(draft, session.home, 60.0)
    return False


def _taken(draft: Draft, session: Session) -> None:
    """Leave a folder alone that is somebody's; a session of which nothing lies there was never open."""
    _say_taken(draft, session.home)
    if not (session.owned or session.named or session.adopting):
        decide(draft, "the name was taken meanwhile", *closed(draft.s, Event.TAKEN).put)


def _expects_data(snapshot: Snapshot) -> bool:
    """Tell whether executions are known whose results were not removed: absence needs a proof then."""
    return any(not (e.removed or e.gone) for e in snapshot.state.executions.values())


def _owned(draft: Draft, session: Session, seen: do.HomeSeen) -> bool:
    if session.owned and session.key_print == seen.key_print:
        return True
    proven = session if session.owned else step(session, Event.PROVEN_OURS)
    decide(draft, "ours", replace(proven, key_print=seen.key_print))
    return False


def _make_home(draft: Draft, session: Session) -> None:
    """Make the session's folder and our id in it, then look again whose it is."""
    for folder in (VipPath(API_HOME), session.home):
        if folder not in draft.s.memory.folders:
            draft.add(do.MakeFolder(folder))
            return
    if session.id_folder not in draft.s.memory.folders:
        draft.add(do.ClaimHome(session.home, session.id_folder, session.named))
    else:
        _look_again(draft, session.home, 0.0)


def _say_unseen(draft: Draft, session: Session, *, same_key: bool) -> None:
    if same_key:
        text = f"{session.home} is no longer on VIP: somebody removed it there."
        remedy = "What was fetched is still here. `vipsync init --fresh DIR` starts a new session."
    else:
        text = f"This key does not see the session: {session.home} with its id is not there."
        remedy = "Use the key of the account that started it; nothing was removed."
    draft.notice(Level.PERSON, "session", text, remedy)
