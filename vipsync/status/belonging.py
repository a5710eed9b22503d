"""Which folder of this machine a session on VIP belongs to: by the ids that lie there, or by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import Execution, RemoteEntry, VipPath
from vipsync.names import home_of
from vipsync.record.ledger import read_session
from vipsync.rows import Session, Stage
from vipsync.settings.reading import load


class Place(StrEnum):
    """Where the folder of a session is."""

    HERE = "here"
    LOST = "lost"  # it was on this machine
    ELSEWHERE = "elsewhere"  # on another machine, which was at work with it lately
    UNKNOWN = "unknown"  # on another machine, or nowhere


LATELY = 30 * 86_400.0
"""Seconds for which a session that has started an execution is taken for one that is in use."""

_MARK = re.compile(r"\bvipsync-(\S+)")


class Owner(Struct, frozen=True):
    """The folder that a session belongs to. `since`: when the session began (UTC s), where that is known.

    `started`: when an execution of it began last (UTC s), where its folder is not known.
    """

    place: Place
    folder: str = ""
    since: float | None = None
    started: float | None = None


class Local(Struct, frozen=True):
    """A folder of this machine: its id, and the place on VIP that is its by its ledger or its settings."""

    root: Path
    id: str
    home: VipPath
    since: float | None = None


def ids_in(entries: Iterable[RemoteEntry]) -> tuple[str, ...]:
    """Return the ids of sessions that lie in a session's folder on VIP."""
    names = (e.path.rpartition("/")[2] for e in entries if e.is_folder and not e.odd)
    return tuple(sorted(n.removeprefix("vipsync-") for n in names if n.startswith("vipsync-")))


def last_starts(executions: Iterable[Execution], now: float) -> dict[str, float]:
    """Return when each session started an execution last, by id; one that is not over counts as new."""
    starts: dict[str, float] = {}
    for one in executions:
        at = (one.started or 0.0) if one.status.ended else now
        for found in _MARK.findall(one.name):
            starts[found] = max(at, starts.get(found, 0.0))
    return starts


def owner(
    home: VipPath,
    ids: tuple[str, ...],
    folders: Iterable[Local],
    claims: Mapping[str, Path],
    starts: Mapping[str, float],
    now: float,
) -> Owner:
    """Judge whose a session is; what may belong to a folder that is there, belongs to it."""
    for one in folders:
        if one.id in ids or (not ids and one.home == home):
            return Owner(Place.HERE, str(one.root), one.since if one.home == home else None)
    lost = [str(claims[one]) for one in ids if one in claims]
    if lost:
        return Owner(Place.LOST, lost[0])
    started = max((starts[one] for one in ids if one in starts), default=None)
    recent = started is not None and now - started < LATELY
    return Owner(Place.ELSEWHERE if recent else Place.UNKNOWN, started=started)


def local(root: Path, portal: str, claimed_id: str = "") -> Local | None:
    """Look at a folder, None where no session is there; one that cannot be read keeps the id it is known by."""
    folder = SessionFolder(root)
    try:
        mine = folder.identity()
    except VipsyncError:
        return Local(folder.root, claimed_id, VipPath(""))
    if mine is None and not folder.settings.exists():
        return None
    known = mine.id if mine else claimed_id
    session = _session(folder)
    if session and session.stage is not Stage.CLOSED:
        here = not session.portal or session.portal == portal
        home = session.home if here else VipPath("")
        return Local(folder.root, known, home, session.opened_at)
    return Local(folder.root, known, _home_by_name(folder))


def _session(folder: SessionFolder) -> Session | None:
    try:
        return read_session(folder.ledger) if folder.ledger.exists() else None
    except (VipsyncError, OSError):
        return None


def _home_by_name(folder: SessionFolder) -> VipPath:
    try:
        return home_of(load(folder.root).session_name)
    except VipsyncError:
        return VipPath("")
