"""Where a session stands, and what leads from one stage to the next: one table, and nothing beside it.

`step` is the only writer of the stage; an edge that the table does not have raises. What is said of
VIP to people follows from the rows of what lies there. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from vipsync.model import replace
from vipsync.rows import Session, Stage


class Event(StrEnum):
    """What happens to a session as a whole."""

    OPENED = "opened"  # it is to be on VIP: nothing has reached VIP yet
    PROVEN_OURS = "proven ours"  # our id was seen in its folder there
    TAKEN = "taken"  # the folder is somebody else's
    MARKER_GONE = "marker gone"
    FINISH_ASKED = "finish asked"  # by a command, or by a script
    ALL_DONE = "all done"  # `after = "download"`
    SET_ASIDE = "set aside"  # nothing is launched any more
    ALL_HERE = "all here"  # no result is missing, nothing is in doubt
    REMOVAL_ASKED = "removal asked"  # written down before VIP is asked
    NEVER_ASKED = "never asked"  # it failed before VIP was asked
    MISSING = "missing"  # VIP has shown something new
    FOREIGN_FOUND = "foreign found"  # executions of which the ledger knew nothing
    MARKER_BACK = "marker back"
    OLDER_LEDGER = "older ledger"  # the end was decided in a copy of the ledger from before
    SEEN_GONE = "seen gone"  # what was to go from VIP has gone
    GONE_ELSEWHERE = "gone elsewhere"  # somebody removed it, or it never was there


TABLE: Mapping[tuple[Stage, Event], Stage] = {
    (Stage.CLOSED, Event.OPENED): Stage.CLAIMING,
    (Stage.CLAIMING, Event.PROVEN_OURS): Stage.OPEN,
    (Stage.CLAIMING, Event.TAKEN): Stage.CLOSED,
    (Stage.OPEN, Event.MARKER_GONE): Stage.ENDING,
    (Stage.OPEN, Event.FINISH_ASKED): Stage.ENDING,
    (Stage.OPEN, Event.ALL_DONE): Stage.ENDING,
    (Stage.ENDING, Event.SET_ASIDE): Stage.DRAINING,
    (Stage.ENDING, Event.MARKER_BACK): Stage.OPEN,
    (Stage.ENDING, Event.OLDER_LEDGER): Stage.OPEN,
    (Stage.DRAINING, Event.ALL_HERE): Stage.REMOVING,
    (Stage.DRAINING, Event.MARKER_BACK): Stage.OPEN,
    (Stage.DRAINING, Event.OLDER_LEDGER): Stage.OPEN,
    (Stage.REMOVING, Event.REMOVAL_ASKED): Stage.ASKED,
    (Stage.REMOVING, Event.MISSING): Stage.DRAINING,
    (Stage.REMOVING, Event.FOREIGN_FOUND): Stage.DRAINING,
    (Stage.REMOVING, Event.MARKER_BACK): Stage.OPEN,
    (Stage.REMOVING, Event.SEEN_GONE): Stage.CLOSED,
    (Stage.ASKED, Event.REMOVAL_ASKED): Stage.ASKED,
    (Stage.ASKED, Event.NEVER_ASKED): Stage.REMOVING,
    (Stage.ASKED, Event.FOREIGN_FOUND): Stage.DRAINING,
    (Stage.ASKED, Event.SEEN_GONE): Stage.CLOSED,
    **{(stage, Event.GONE_ELSEWHERE): Stage.CLOSED for stage in Stage},
}
"""The stage in which an event may happen, and the one to which it leads.

`SEEN_GONE` leads to OPEN where something was to be kept on VIP.
"""


def step(session: Session, event: Event, *, kept: bool = False, **changes: Any) -> Session:
    """Return the session after an event, with other changes that come with it.

    `kept`: something of the session stays on VIP. Raise ValueError where the event cannot happen.
    """
    stage = TABLE.get((session.stage, event))
    if stage is None:
        raise ValueError(f"{event} cannot happen to a session that is {session.stage}")
    if stage is Stage.CLOSED:
        session = (
            _over(session)
            if kept
            else replace(_over(session), named=False, adopted=None, waived=None)
        )
        stage = Stage.OPEN if kept else stage
    elif stage is Stage.OPEN:
        session = replace(session, kill=False)
    return replace(session, stage=stage, **changes)


def can(session: Session, event: Event) -> bool:
    """Tell whether an event may happen to a session now."""
    return (session.stage, event) in TABLE


def _over(session: Session) -> Session:
    """Forget what was true of this time on VIP only."""
    return replace(
        session,
        marked=False,
        kill=False,
        opened_at=None,
        removal_asked_at=None,
        asked_for=None,
    )
