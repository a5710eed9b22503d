"""Whose folder a script's session has on VIP: it is made, recognised, or left alone.

PURE: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vipsync import actions as do
from vipsync.model import VipPath
from vipsync.names import API_HOME, home_of
from vipsync.plan.draft import Draft, Level, decide
from vipsync.plan.snapshot import Snapshot
from vipsync.record.lifecycle import Event, step
from vipsync.rows import Phase, Row, SendStatus, Session, Stage


@dataclass(frozen=True, slots=True)
class Site:
    """Where a session is to be on VIP.

    `marked`: it is that of a session folder, which has a marker. `known`: a backup names it, so that
    a folder of its name on VIP without any id is its own. `by_name`: a person said that this folder
    may go, whatever id is in it.
    """

    session_name: str
    portal: str
    vip_input_dir: VipPath
    vip_output_dir: VipPath
    marked: bool = False
    known: bool = False
    by_name: bool = False


def plan_home(draft: Draft, site: Site) -> bool:
    """Tell whether the session's folder is on VIP with our id in it; else add the next step to that."""
    s, session = draft.s, draft.s.state.session
    home = home_at(session, site)
    seen = look_at_home(draft, home)
    if seen is None:
        return False
    ours = session.id in seen.ids
    if len(seen.ids) > ours or (_nobodys(seen) and not _may_take(s, site, seen)):
        _say_taken(draft, home)
        if session.phase is Phase.OPEN and not (session.owned or site.known):
            decide(draft, "the name was taken meanwhile", *_forgotten(s))
    elif not ours and session.owned and seen.key_print != session.key_print:
        say_unseen(draft, home)
    elif not ours and session.owned:
        decide(draft, "it was removed elsewhere", *_forgotten(s))
    elif _opened(session, site, seen, s.wall) != session:
        _open(draft, _opened(session, site, seen, s.wall), marked=site.marked)
    elif not ours:
        _make(draft, session, named=site.known)
    else:
        return True
    return False


def home_at(session: Session, site: Site) -> VipPath:
    """Return the session's folder on VIP: pinned while the session is open."""
    return home_of(site.session_name) if session.phase is Phase.CLOSED else session.home


def look_at_home(draft: Draft, home: VipPath) -> do.HomeSeen | None:
    """Return whose folder it is, as seen in this step; ask where nobody has looked."""
    memory = draft.s.memory
    if memory.home is None or memory.home_path != home:
        draft.add(do.LookAtHome(home))
        return None
    return memory.home


def _nobodys(seen: do.HomeSeen) -> bool:
    return seen.exists and not seen.ids


def _may_take(s: Snapshot, site: Site, seen: do.HomeSeen) -> bool:
    """Tell whether a folder without an id can be ours: we were about to put it there, or a backup says so."""
    session = s.state.session
    making = session.phase is Phase.OPEN and not session.owned and seen.empty
    return site.known or making


def _forgotten(s: Snapshot) -> tuple[Row, ...]:
    """Return what is true when another program removed the session's folder."""
    gone = [replace(row, status=SendStatus.REMOVED) for row in s.state.sent.values()]
    return (step(s.state.session, Event.GONE_ELSEWHERE, named=s.state.session.named), *gone)


def _opened(session: Session, site: Site, seen: do.HomeSeen, wall: float) -> Session:
    """Return the session as it is to be while its data are on VIP."""
    opened = step(session, Event.OPENED) if session.stage is Stage.CLOSED else session
    if session.id in seen.ids and opened.stage is Stage.CLAIMING:
        opened = step(opened, Event.PROVEN_OURS)
    return replace(
        opened,
        session_name=site.session_name,
        portal=site.portal,
        key_print=seen.key_print,
        home=home_at(session, site),
        vip_input_dir=site.vip_input_dir,
        vip_output_dir=site.vip_output_dir,
        marked=session.marked or site.marked,
        opened_at=session.opened_at or wall,
    )


def adopted(session: Session, site: Site, wall: float) -> Session:
    """Return the session of another program as it is to be, before anybody has looked whose it is."""
    if session.phase is not Phase.CLOSED:
        return replace(session, named=True)
    return step(
        session,
        Event.OPENED,
        named=True,
        session_name=site.session_name,
        portal=site.portal,
        home=home_of(site.session_name),
        vip_input_dir=site.vip_input_dir,
        vip_output_dir=site.vip_output_dir,
        opened_at=wall,
    )


def _open(draft: Draft, opened: Session, *, marked: bool) -> None:
    if marked and draft.s.state.session.phase is Phase.CLOSED:
        draft.add(do.Open(opened))
    else:
        decide(draft, "open", opened)


def _make(draft: Draft, session: Session, *, named: bool) -> None:
    """Make the session's folder and our id in it, then look again whose it is."""
    for folder in (VipPath(API_HOME), session.home):
        if folder not in draft.s.memory.folders:
            draft.add(do.MakeFolder(folder))
            return
    if session.id_folder not in draft.s.memory.folders:
        draft.add(do.ClaimHome(session.home, session.id_folder, named))
    else:
        draft.add(do.LookAtHome(session.home))


def _say_taken(draft: Draft, home: VipPath) -> None:
    draft.notice(
        Level.ERROR,
        "session_name",
        f"The name is taken: {home} on VIP belongs to another session.",
        "Choose another session_name, or remove that folder on the portal.",
    )


def say_unseen(draft: Draft, home: VipPath) -> None:
    """Say that this is not the account that started the session."""
    draft.notice(
        Level.ERROR,
        "session",
        f"This key does not see the session: {home} with its id is not there.",
        "Use the key of the account that started it; nothing was changed.",
    )
