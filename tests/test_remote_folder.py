"""Whose the session's folder on VIP is, from what was seen there."""

from __future__ import annotations

import pytest

from tests.lab.builders import CLOSED, ID, OPEN, OPENED, REMOVING, seen_home
from vipsync.actions import HomeSeen
from vipsync.model import replace
from vipsync.plan.remote_folder import Whose, whose
from vipsync.rows import Session

NAMED = replace(CLOSED, named=True)
NOTHING, NOBODYS, EMPTY = seen_home(exists=False), seen_home(empty=False), seen_home(empty=True)
OTHER_KEY = seen_home(exists=False, key="k2")


@pytest.mark.parametrize(
    ("session", "seen", "expected"),
    [
        # an id is a proof
        (CLOSED, seen_home(ID), Whose.OURS),
        (OPENED, seen_home(ID), Whose.OURS),
        (OPEN, seen_home(ID, key="k2"), Whose.OURS),
        (REMOVING, seen_home(ID), Whose.OURS),
        (CLOSED, seen_home("other"), Whose.THEIRS),
        (NAMED, seen_home("other"), Whose.THEIRS),
        (OPEN, seen_home("other"), Whose.THEIRS),
        (OPEN, seen_home(ID, "other"), Whose.THEIRS),
        (OPEN, seen_home("a", "b"), Whose.THEIRS),
        # without one it is ours to take, where nobody was there before
        (CLOSED, NOTHING, Whose.FREE),
        (CLOSED, EMPTY, Whose.THEIRS),
        (CLOSED, NOBODYS, Whose.THEIRS),
        (OPENED, NOTHING, Whose.FREE),
        (OPENED, EMPTY, Whose.FREE),
        (OPENED, NOBODYS, Whose.THEIRS),
        (NAMED, NOBODYS, Whose.FREE),
        (replace(OPENED, named=True), NOBODYS, Whose.FREE),
        # what was ours has gone, or this key does not see it
        (OPEN, NOTHING, Whose.GONE),
        (OPEN, NOBODYS, Whose.GONE),
        (REMOVING, NOTHING, Whose.GONE),
        (OPEN, OTHER_KEY, Whose.UNSEEN),
        (REMOVING, OTHER_KEY, Whose.UNSEEN),
    ],
)
def test_whose_the_folder_is(session: Session, seen: HomeSeen, expected: Whose) -> None:
    """One judgement, for folders and scripts."""
    assert whose(session, seen) is expected
