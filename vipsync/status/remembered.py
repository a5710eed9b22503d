"""What the last run met on VIP and a look at the folder alone cannot see. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vipsync.model import replace
from vipsync.plan.draft import Level, Notice, Plan
from vipsync.plan.privacy import session_name
from vipsync.plan.snapshot import Snapshot
from vipsync.status.sentence import FORGOTTEN, WISHED
from vipsync.status.status import Status
from vipsync.status.words import when

_SEEN_ANEW = frozenset(
    {*WISHED, FORGOTTEN, "settings", "inputs", "pipeline", "paused", "privacy", "outputs"}
)
"""Subjects that the folder and its ledger answer by themselves."""


def remembered(told: Status | None, snapshot: Snapshot, plan: Plan) -> tuple[Notice, ...]:
    """Return what the last run said of key, VIP, name and results, with the time when it did.

    What the folder answers by itself is left to the fresh look, which `plan` comes of.
    """
    if told is None or told.id != snapshot.state.session.id:
        return ()
    anew = {*_SEEN_ANEW, *(c.id for c in told.cases), *(n.subject for n in plan.notices)}
    if session_name(snapshot) != told.session:
        anew.add("session_name")
    if snapshot.settings_error or snapshot.settings.pipeline_id != told.pipeline:
        anew.add(told.pipeline)  # it may be mended, or is
    return tuple(_dated(told.written, (n for n in told.notices if not _is_seen(n, anew))))


def _is_seen(notice: Notice, anew: set[str]) -> bool:
    """Tell whether a fresh look judges this, or it passed with the run that waited for it."""
    about_a_file = notice.text.startswith("inputs/")
    return notice.level is Level.WAIT or notice.subject in anew or about_a_file


def _dated(written: float, notices: Iterable[Notice]) -> Iterator[Notice]:
    for notice in notices:
        text = f"{notice.text.removesuffix('.')} (at the last run, {when(written)})."
        yield replace(notice, text=text)
