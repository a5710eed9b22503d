"""Whose the session's folder on VIP is, and the way to making it ours: one judgement, for folders and scripts.

Nothing is ever put into a folder, or removed from it, that is not proven to be this session's.
PURE: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

from vipsync import actions as do
from vipsync.model import VipPath, replace
from vipsync.names import API_HOME, home_of
from vipsync.plan.draft import NAME_TAKEN, NOT_SEEN, Draft, Level, decide
from vipsync.plan.privacy import Gate
from vipsync.plan.removing import closed
from vipsync.plan.snapshot import Snapshot
from vipsync.record.lifecycle import Event, step
from vipsync.rows import Session, Stage

LOOKED = 10.0
"""Seconds for which a look at a folder on VIP counts that may be anybody's."""


class Whose(Enum):
    """Whose the folder of a session's name on VIP is."""

    OURS = auto()
    FREE = auto()  # not there, or ours to take
    THEIRS = auto()
    GONE = auto()  # it was ours, and somebody removed it
    UNSEEN = auto()  # this key does not see it: that proves nothing


def whose(session: Session, seen: do.HomeSeen) -> Whose:
    """Judge what was seen. An id in the folder is a proof; that none is there is one for our key only."""
    ours = session.id in seen.ids
    if len(seen.ids) > ours:
        return Whose.THEIRS
    if ours:
        return Whose.OURS
    if session.owned:
        return Whose.GONE if seen.key_print == session.key_print else Whose.UNSEEN
    making = session.stage is Stage.CLAIMING and seen.empty
    if seen.exists and not (session.named or making):
        return Whose.THEIRS
    return Whose.FREE


def look_at(draft: Draft, home: VipPath) -> do.HomeSeen | None:
    """Return whose folder it is, as seen in this process; ask where nobody has looked."""
    memory = draft.s.memory
    if memory.home is None or memory.home_path != home:
        draft.add(do.LookAtHome(home))
        return None
    return memory.home


def make(draft: Draft, session: Session, seen: do.HomeSeen) -> None:
    """Make the session's folder and our id in it, then look again whose it is."""
    for folder in (VipPath(API_HOME), session.home):
        if folder not in draft.s.memory.folders:
            draft.add(do.MakeFolder(folder))
            return
    if session.id_folder not in draft.s.memory.folders:
        draft.add(do.ClaimHome(session.home, session.id_folder, session.named))
    else:
        draft.add(do.LookAtHome(session.home, seen.platform))


def say_not_ours(draft: Draft, found: Whose, home: VipPath) -> None:
    """Say why the session's folder is not to be worked with; a person may mend it on the portal."""
    subject, text, remedy = _NOT_OURS[found]
    s = draft.s
    if found is Whose.UNSEEN and s.state.session.adopting and s.marker and not _expects_data(s):
        remedy += _BEGIN_ANEW
    draft.notice(Level.PERSON, subject, text.format(home=home), remedy)
    if draft.s.now >= (due := draft.s.memory.home_at + 60.0):
        draft.add(do.LookAtHome(home))
    else:
        draft.wait(due, lasting=True)


_BEGIN_ANEW = (
    " If this is that key, nothing of it is on VIP: delete ON_VIP.txt; then `vipsync launch DIR CASE` "
    "starts what did not run."
)
"""What is advised where only the marker speaks of a session: its ledger was lost."""

_NOT_OURS = {
    Whose.THEIRS: (
        NAME_TAKEN,
        "The name is taken: {home} on VIP belongs to another session.",
        "`vipsync check DIR` says which session_name is free; `vipsync sessions` whose the other is.",
    ),
    Whose.UNSEEN: (
        NOT_SEEN,
        "This key does not see the session: {home} with its id is not there.",
        "Use the key of the account that started it; nothing was removed.",
    ),
    Whose.GONE: (
        NOT_SEEN,
        "{home} is no longer on VIP: somebody removed it there.",
        "What was fetched is still here. `vipsync init --fresh DIR` starts a new session.",
    ),
}


# a folder's session


def open_session(draft: Draft) -> None:
    """Look whose the session's folder on VIP is; open when it is nobody's or ours."""
    s, session = draft.s, draft.s.state.session
    home = home_of(s.settings.session_name)
    seen = look_at(draft, home)
    if seen is None:
        return
    if whose(session, seen) is Whose.THEIRS:
        say_not_ours(draft, Whose.THEIRS, home)
    elif s.now > s.memory.home_at + LOOKED:
        draft.add(do.LookAtHome(home))
    else:
        places = VipPath(f"{home}/INPUTS"), VipPath(f"{home}/OUTPUTS")
        target = Target(s.settings.session_name, s.settings.portal, *places)
        opened = _opened(session, target, seen, s.wall, marked=True)
        draft.add(do.Open(replace(opened, gate=Gate(s).key) if s.gate else opened))


def doubt_closed(draft: Draft) -> None:
    """Look what a marker speaks of that the ledger knows nothing of: one of both is an older copy."""
    seen = look_at(draft, home_of(draft.s.settings.session_name))
    if seen and draft.s.state.session.id in seen.ids:
        open_session(draft)
    elif seen:
        text = "ON_VIP.txt is here, but nothing of this session is on VIP."
        draft.notice(Level.INFO, "ON_VIP.txt", text, "It may be deleted.", exit_code=0)


def proven(draft: Draft) -> bool:
    """Tell whether this key sees our session on VIP; only then does absence mean anything."""
    session = draft.s.state.session
    seen = look_at(draft, session.home)
    if seen is None:
        return False
    found = whose(session, seen)
    same_key = seen.key_print == session.key_print
    leaving = session.stage in (Stage.REMOVING, Stage.ASKED)
    if found is Whose.OURS or (found is Whose.GONE and leaving):
        return _owned(draft, session, seen)
    if found is Whose.THEIRS:
        say_not_ours(draft, found, session.home)
        if not (session.owned or session.named or session.adopting):
            decide(draft, "the name was taken meanwhile", *closed(draft.s, Event.TAKEN).put)
    elif found is Whose.FREE and (same_key or seen.exists):
        make(draft, session, seen)
    elif session.adopting and not draft.s.marker and not _expects_data(draft.s):
        decide(draft, "nothing on VIP", *closed(draft.s, Event.GONE_ELSEWHERE).put)
    else:
        not_seen = found if found is Whose.GONE else Whose.UNSEEN
        say_not_ours(draft, not_seen, session.home)
    return False


def _owned(draft: Draft, session: Session, seen: do.HomeSeen) -> bool:
    if session.owned and session.key_print == seen.key_print:
        return True
    proven_ours = session if session.owned else step(session, Event.PROVEN_OURS)
    decide(draft, "ours", replace(proven_ours, key_print=seen.key_print))
    return False


def _expects_data(snapshot: Snapshot) -> bool:
    """Tell whether executions are known whose results were not removed: absence needs a proof then."""
    return any(not (e.removed or e.gone) for e in snapshot.state.executions.values())


# a script's session


class Target(Struct, frozen=True):
    """Where a session is to be on VIP.

    `marked`: it is that of a session folder, which has a marker. `by_name`: a person said that this
    folder may go, whatever id is in it.
    """

    session_name: str
    portal: str
    vip_input_dir: VipPath
    vip_output_dir: VipPath
    marked: bool = False
    by_name: bool = False


def claimed(draft: Draft, target: Target) -> bool:
    """Tell whether the session's folder is on VIP with our id in it; else add the next step to that."""
    s, session = draft.s, draft.s.state.session
    home = home_at(session, target)
    seen = look_at(draft, home)
    if seen is None:
        return False
    match whose(session, seen):
        case Whose.THEIRS:
            say_not_ours(draft, Whose.THEIRS, home)
            if session.stage is Stage.CLAIMING and not session.named:
                decide(draft, "the name was taken meanwhile", step(session, Event.TAKEN))
        case Whose.UNSEEN:
            say_not_ours(draft, Whose.UNSEEN, home)
        case Whose.GONE:  # a script goes on with a session that begins anew
            decide(draft, "it was removed elsewhere", *closed(s, Event.GONE_ELSEWHERE).put)
        case Whose.OURS | Whose.FREE as found:
            opened = _opened(session, target, seen, s.wall, marked=session.marked or target.marked)
            if opened == session and found is Whose.OURS:
                return True
            if opened == session:
                make(draft, session, seen)
            elif session.stage is Stage.CLOSED and target.marked:
                draft.add(do.Open(opened))
            else:
                decide(draft, "open", opened)
    return False


def home_at(session: Session, target: Target) -> VipPath:
    """Return the session's folder on VIP: pinned while the session is open."""
    closed_now = session.stage is Stage.CLOSED
    return home_of(target.session_name) if closed_now else session.home


def named(session: Session, target: Target, wall: float) -> Session:
    """Return a session that a backup, or a person, says is this one's, before anybody has looked."""
    if session.stage is not Stage.CLOSED:
        return replace(session, named=True)
    opened = step(session, Event.OPENED, named=True, adopted=True, opened_at=wall)
    return _at(opened, target, home_at(session, target))


def _opened(
    session: Session, target: Target, seen: do.HomeSeen, wall: float, *, marked: bool
) -> Session:
    """Return the session as it is to be while its data are on VIP."""
    opened = step(session, Event.OPENED) if session.stage is Stage.CLOSED else session
    if session.id in seen.ids and opened.stage is Stage.CLAIMING:
        opened = step(opened, Event.PROVEN_OURS)
    placed = _at(opened, target, home_at(session, target))
    since = session.opened_at or wall
    return replace(placed, key_print=seen.key_print, marked=marked, opened_at=since)


def _at(session: Session, target: Target, home: VipPath) -> Session:
    return replace(
        session,
        session_name=target.session_name,
        portal=target.portal,
        home=home,
        vip_input_dir=target.vip_input_dir,
        vip_output_dir=target.vip_output_dir,
    )
