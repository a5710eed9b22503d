"""Account for all that lies on VIP in a session that was taken over, before it is removed.

Another machine may have a session of the same name, or somebody may have put the name and id of
another one into a folder: what lies there beside the session's own data would go with it. So what
was taken over is looked at to its depth before it is removed. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vipsync import actions as do
from vipsync.errors import NameRefused
from vipsync.model import VipPath
from vipsync.names import BACKUP, few, folders_above, parent, shell_word, vip_relpath
from vipsync.plan.draft import NAME_TAKEN, Draft, Level
from vipsync.plan.snapshot import Snapshot

LOOKED = 600.0
"""Seconds for which a look at the session's folders on VIP counts."""


def accounted(draft: Draft, targets: Iterable[VipPath]) -> bool:
    """Tell whether all that would go is known; else look at it, or say what is not."""
    s = draft.s
    if not s.state.session.adopted or s.by_name:
        return True
    known = _Known(s)
    looks, strange = [], list[VipPath]()
    pending = list(targets)
    while pending:
        folder = pending.pop()
        if folder in s.memory.missing:
            continue
        listing = s.memory.listings.get(folder)
        if listing is None or s.now - listing.at >= LOOKED:
            looks.append(do.LookAtFolder(folder))
            continue
        strange += [path for path in listing.sizes if not known.file(path)]
        for inside in sorted(f for f in s.memory.folders if parent(f) == folder):
            if known.leads_on(inside):
                pending.append(inside)
            elif not known.folder(inside):
                strange.append(inside)
    if looks:
        for look in looks:
            draft.add(look)
        return False
    if strange:
        _say(draft, sorted(strange))
    return not strange


def _say(draft: Draft, strange: list[VipPath]) -> None:
    session = draft.s.state.session
    whose = f"nobody here knows whose these are in {session.home}: {few(strange)}."
    text = f"Nothing is removed from VIP: {whose}"
    remedy = (
        f"If they may go too: `vipsync finish DIR --without {shell_word(strange[0])}`."
        if session.marked
        else f'If they may go too: VipSession("{session.session_name}").finish(by_name=True).'
    )
    draft.notice(Level.PERSON, NAME_TAKEN, text, remedy)
    draft.wait(draft.s.now + LOOKED, lasting=True)


class _Known:
    """What the ledger and this folder explain of a session's data on VIP."""

    def __init__(self, s: Snapshot) -> None:
        session, state = s.state.session, s.state
        self._waived = session.waived or ()
        self._places = {session.id_folder}
        if not session.marked:  # a script's data set may be elsewhere, and is no result
            self._places.add(session.vip_input_dir)
        executions = (e.results_folder for e in state.executions.values())
        self._results = {folder for folder in executions if folder}
        self._containers = {
            session.home,
            session.vip_input_dir,
            session.vip_output_dir,
        } - self._places
        self._files = {
            *(VipPath(f"{folder}/{BACKUP}") for folder in (session.home, session.vip_output_dir)),
            *(row.vip for row in state.sent.values()),
            *(row.vip for row in state.results.values()),
            *_inputs(s),
        }
        known = (*self._files, *self._results, *self._containers)
        self._above = {folder for path in known for folder in folders_above(path)}
        self._inputs = f"{session.vip_input_dir}/"

    def file(self, path: VipPath) -> bool:
        return path in self._files or self._let_go(path)

    def leads_on(self, folder: VipPath) -> bool:
        """Tell whether a folder holds what is known, and may hold other things as well."""
        if folder in self._results or folder in self._places or self._let_go(folder):
            return False
        return (
            folder in self._containers or folder in self._above or folder.startswith(self._inputs)
        )

    def folder(self, folder: VipPath) -> bool:
        return folder in self._results or folder in self._places or self._let_go(folder)

    def _let_go(self, path: VipPath) -> bool:
        return any(path == name or path.startswith(f"{name}/") for name in self._waived)


def _inputs(s: Snapshot) -> Iterator[VipPath]:
    """Yield where another program has put the files of this folder, under their own names."""
    for path in s.files:
        try:
            yield VipPath(f"{s.state.session.vip_input_dir}/{vip_relpath(path)}")
        except NameRefused:
            continue
