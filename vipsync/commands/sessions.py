"""What this account has on VIP, whose it is, and the way out for what no folder removes any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from vipsync.act.listing import list_tree
from vipsync.client.vip_client import VipClient
from vipsync.commands.context import Context, session_around
from vipsync.errors import (
    BadAnswer,
    GenericVipError,
    NameTaken,
    NeverSent,
    NotASession,
    Unclear,
    Unreachable,
)
from vipsync.folder.claims import claimed
from vipsync.folder.search import find_roots
from vipsync.model import RemoteEntry, VipPath
from vipsync.names import API_HOME, shell_word
from vipsync.plan.removing import ASK_AGAIN, LOOK_AGAIN, LOOK_LESS
from vipsync.report.text import printable
from vipsync.settings.machine import folders_of
from vipsync.status.belonging import Local, Owner, Place, ids_in, last_starts, local, owner
from vipsync.status.status import count
from vipsync.status.words import size, when

NEEDS_PERSON = 3

PATIENCE = 120.0
"""Seconds that a command looks for a removal; it goes on at VIP without it."""


class OnVip(Struct, frozen=True):
    """A session on VIP. `whole`: every folder of it was looked into; `ids`: those that lie in it.

    `version` is that of this shape: it grows where a key goes or means something else.
    """

    path: VipPath
    owner: Owner
    files: int
    size: int
    whole: bool
    ids: tuple[str, ...] = ()
    version: int = 1


def sessions(context: Context, *, as_json: bool) -> int:
    """List what lies on VIP, session by session."""
    client = context.client()
    folders, odd = _homes(client)
    known = Known(context, client)
    found = [_look(client, home, known) for home in folders]
    if as_json:
        context.reporter.document(msgspec.json.encode(found).decode())
        return 0
    for one in found:
        context.reporter.say(f"{printable(one.path)}: {_contents(one)}; {printable(_whose(one))}")
        if one.owner.place is not Place.HERE:
            context.reporter.say(f"  vipsync remove {shell_word(one.path)}", "dim")
    if len(found) > 1:
        context.reporter.say(_sum(found), "bold")
    if odd:
        context.reporter.warn(
            f"{count(odd, 'name')} in {API_HOME} cannot be written in a request to VIP, and so cannot be "
            "looked at here; look on the portal."
        )
    if not found and not odd:
        context.reporter.say(f"This account has no sessions on VIP ({context.portal_here}).")
    return 0


def remove(context: Context, path: str, *, sure: bool) -> int:
    """Remove a session that has no folder here; say what goes, ask, and look until it is gone."""
    home, client = session_path(path), context.client()
    if home not in _homes(client)[0]:
        raise NotASession(f"{home} is not on VIP.", "`vipsync sessions` lists what is there.")
    found = _look(client, home, Known(context, client))
    _refuse_in_use(found)
    _refuse_running(client, home)
    context.reporter.say(f"{printable(home)}: {_contents(found)}; {printable(_whose(found))}")
    elsewhere = found.owner.place is Place.ELSEWHERE
    if elsewhere and not context.asks:
        raise NameTaken(
            f"{printable(home)} seems to be in use on another machine; nothing was removed.",
            "Finish it there. If its folder is lost, call this at a terminal, and confirm it there.",
        )
    sure = sure and not elsewhere
    if not sure and not context.asks:
        raise Unclear("This removes it from VIP for good.", "Add --yes if you are sure.")
    if not sure and not context.agree():
        context.reporter.say("Nothing was changed.")
        return 0
    _refuse_changed(client, found, Known(context, client))
    return _removed(context, client, home)


def session_path(text: str) -> VipPath:
    """Return the path of a session on VIP; raise Unclear for every other one."""
    name = text.removeprefix(f"{API_HOME}/").removesuffix("/")
    if not text.startswith(f"{API_HOME}/") or "/" in name or name in ("", ".", ".."):
        raise Unclear(
            f"{printable(text)} is not the folder of a session on VIP.",
            f"Name {API_HOME}/NAME; `vipsync sessions` lists them.",
        )
    return VipPath(f"{API_HOME}/{name}")


class Known:
    """The folders of this machine that are known: claimed, of vipsync.toml, and around the current one."""

    def __init__(self, context: Context, client: VipClient) -> None:
        """Look at them all."""
        self._now = time.time()
        self._starts = _starts(client, self._now)
        self._claims = claimed()
        around = session_around(Path.cwd())
        others = dict.fromkeys([*_named(context), *([around.root] if around else [])])
        known = [(root, one) for one, root in self._claims.items()]
        known += [(root, "") for root in others if root not in self._claims.values()]
        looked = (local(root, context.portal_here, one) for root, one in known)
        self._folders: list[Local] = [one for one in looked if one]

    def owner(self, home: VipPath, ids: tuple[str, ...]) -> Owner:
        """Return whose a session is."""
        return owner(home, ids, self._folders, self._claims, self._starts, self._now)


def _starts(client: VipClient, now: float) -> dict[str, float]:
    try:
        return last_starts(client.executions(), now)
    except GenericVipError:  # its engine is out of order, its storage need not be
        return {}


def _named(context: Context) -> Iterator[Path]:
    for folder in folders_of(context.machine()):
        try:
            yield from find_roots(folder)
        except NotASession:
            continue  # a disk that is not there: what it holds may be claimed


def _homes(client: VipClient) -> tuple[list[VipPath], int]:
    """Return the folders of sessions on VIP, and the number of entries that cannot be asked for."""
    entries = _entries(client, VipPath(API_HOME))
    return sorted(e.path for e in entries if e.is_folder and not e.odd), sum(
        1 for e in entries if e.odd
    )


def _entries(client: VipClient, folder: VipPath) -> list[RemoteEntry]:
    try:
        return client.everything_in(folder)
    except GenericVipError:
        if client.exists(folder):
            raise
        return []


def _look(client: VipClient, home: VipPath, known: Known) -> OnVip:
    ids = ids_in(_entries(client, home))
    files = list_tree(home, client)
    whole = not any(entry.odd for entry in files)
    number, total = len(files), sum(e.size for e in files if not e.odd)
    return OnVip(home, known.owner(home, ids), number, total, whole, ids)


def _contents(found: OnVip) -> str:
    if not found.files and found.whole:
        return "nothing sent yet" if found.owner.place is Place.HERE else "no files"
    least = "" if found.whole else "at least "
    return f"{least}{count(found.files, 'file')}, {size(found.size)}"


def _sum(found: Sequence[OnVip]) -> str:
    least = "" if all(one.whole for one in found) else "at least "
    files, held = sum(one.files for one in found), sum(one.size for one in found)
    return f"{count(len(found), 'session')}: {least}{count(files, 'file')}, {size(held)}."


def _whose(found: OnVip) -> str:
    whose = found.owner
    if whose.place is Place.HERE:
        day = when(whose.since).partition(" ")[0] if whose.since and found.files else ""
        since = f", on VIP since {day}" if day else ""
        return f"belongs to {whose.folder}{since}"
    if whose.place is Place.LOST:
        return f"its folder {whose.folder} is not there any more, or is not mounted"
    known = "no folder on this machine is known to belong to it"
    if whose.started is None:
        return f"{known}; another machine may use it"
    last = f"its last execution began {when(whose.started)}"
    lately = whose.place is Place.ELSEWHERE
    used = "another machine seems to use it" if lately else "nobody seems to use it now"
    return f"{known}; {used}: {last}"


def _refuse_in_use(found: OnVip) -> None:
    """Raise NameTaken where a folder of this machine has the session."""
    if found.owner.place is Place.HERE:
        raise NameTaken(
            f"{printable(found.path)} belongs to {printable(found.owner.folder)}; nothing was removed.",
            f"`vipsync finish {shell_word(found.owner.folder)}` brings the results here and removes it.",
        )


def _refuse_running(client: VipClient, home: VipPath) -> None:
    """Raise NameTaken where an execution still reads or writes there."""
    for one in client.executions():
        if one.id and not one.status.ended and _touches(client, one.id, home):
            raise NameTaken(
                f"{one.id} may still run with {printable(home)}; nothing was removed.",
                "Wait for its end, or stop it on the portal.",
            )


def _touches(client: VipClient, execution_id: str, home: VipPath) -> bool:
    """Tell whether an execution may; a young one does not say yet what it has (facts 5.7)."""
    values = client.execution(execution_id).input_values.values()
    return not values or any(f"{home}/" in f"{value}/" for value in values)


def _refuse_changed(client: VipClient, found: OnVip, known: Known) -> None:
    """Raise NameTaken unless it is still what was shown: a person may take long to answer."""
    ids = ids_in(_entries(client, found.path))
    _refuse_in_use(msgspec.structs.replace(found, owner=known.owner(found.path, ids)))
    if ids != found.ids:
        raise NameTaken(
            f"{printable(found.path)} is another session now; nothing was removed.",
            "Call the command again, and look at what it shows.",
        )


def _removed(context: Context, client: VipClient, home: VipPath) -> int:
    try:
        client.delete(home)
    except NeverSent:
        raise
    except (BadAnswer, GenericVipError, Unreachable):
        context.reporter.warn("VIP did not confirm the removal; vipsync checks whether it happens.")
    if seen_gone(lambda: not client.exists(home), time.sleep):
        context.reporter.say(f"{printable(home)} is gone from VIP.")
        return 0
    context.reporter.warn(
        f"VIP has not removed {printable(home)} yet. Look with `vipsync sessions`; where it stays, "
        f"ask again after {ASK_AGAIN / 60:.0f} minutes, not before."
    )
    return NEEDS_PERSON


def seen_gone(
    is_gone: Callable[[], bool], wait: Callable[[float], object], patience: float = PATIENCE
) -> bool:
    """Look whether a removal has happened, more and more rarely; raise what the first look raises."""
    return any(_looks(is_gone, wait, patience))


def _looks(
    is_gone: Callable[[], bool], wait: Callable[[float], object], patience: float
) -> Iterable[bool]:
    yield is_gone()
    passed = 0.0
    while passed < patience:
        pause = min(max(LOOK_AGAIN, passed / LOOK_LESS), patience - passed)
        wait(pause)
        passed += pause
        yield is_gone()
