"""The stages of a session: what leads from one to the next, and that nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.lab.builders import WALL
from vipsync.record.lifecycle import TABLE, Event, can, step
from vipsync.rows import Phase, Session, Stage


def at(stage: Stage, **changes: object) -> Session:
    """Return a session at a stage, with everything set that a stage may forget."""
    return Session(
        "s1", stage, "study", named=True, marked=True, kill=True, opened_at=WALL,
        removal_asked_at=WALL, asked_for="Finished", paused=True, **changes,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, Event)), ids=str)
def test_an_event_leads_where_the_table_says_or_cannot_happen(stage: Stage, event: Event) -> None:
    """Whatever is not drawn raises."""
    assert can(at(stage), event) is ((stage, event) in TABLE)
    if can(at(stage), event):
        assert step(at(stage), event).stage is TABLE[stage, event]
    else:
        with pytest.raises(ValueError, match="cannot happen"):
            step(at(stage), event)


def test_every_stage_is_reached_and_left() -> None:
    """And from each there is a way to the end."""
    reached, ends = {Stage.CLOSED}, {Stage.CLOSED}
    for _ in Stage:
        reached |= {to for (start, _event), to in TABLE.items() if start in reached}
        ends |= {
            start
            for (start, event), to in TABLE.items()
            if to in ends and event is not Event.GONE_ELSEWHERE
        }
    assert reached == ends == set(Stage)


@pytest.mark.parametrize(
    "event", [e for s, e in TABLE if s is Stage.ASKED and TABLE[s, e] is Stage.CLOSED]
)
def test_a_closed_session_forgets_its_time_on_vip(event: Event) -> None:
    """What a person decided about the folder stays."""
    after = step(at(Stage.ASKED), event)
    assert after == Session("s1", Stage.CLOSED, "study", paused=True)


def test_where_something_is_kept_the_session_stays_open() -> None:
    """Under its name, with a marker to be written."""
    after = step(at(Stage.ASKED), Event.SEEN_GONE, kept=True, opened_at=WALL + 1)
    assert after == Session("s1", Stage.OPEN, "study", named=True, paused=True, opened_at=WALL + 1)


@pytest.mark.parametrize("stage", [Stage.ENDING, Stage.DRAINING, Stage.REMOVING])
def test_a_marker_that_is_back_takes_the_end_back(stage: Stage) -> None:
    """Nothing is stopped any more, and what was true of this time on VIP is."""
    after = step(at(stage), Event.MARKER_BACK)
    assert (after.stage, after.kill, after.opened_at) == (Stage.OPEN, False, WALL)


def test_there_is_no_way_back_once_vip_was_asked() -> None:
    """But for what shows that it was not."""
    ways = {event for stage, event in TABLE if stage is Stage.ASKED}
    assert Event.MARKER_BACK not in ways
    assert step(at(Stage.ASKED), Event.NEVER_ASKED).stage is Stage.REMOVING


@pytest.mark.parametrize(
    ("stage", "phase", "owned"),
    [
        (Stage.CLOSED, Phase.CLOSED, False),
        (Stage.CLAIMING, Phase.OPEN, False),
        (Stage.OPEN, Phase.OPEN, True),
        (Stage.ENDING, Phase.FINISHING, True),
        (Stage.DRAINING, Phase.FINISHING, True),
        (Stage.REMOVING, Phase.REMOVING, True),
        (Stage.ASKED, Phase.REMOVING, True),
    ],
)
def test_people_are_told_four_of_them(stage: Stage, phase: Phase, owned: bool) -> None:
    """The others make no difference to them."""
    assert (at(stage).phase, at(stage).owned) == (phase, owned)


PAGE = Path(__file__).parents[1] / "vipsync" / "README.md"


def drawn() -> Iterator[tuple[str, str, str]]:
    """Yield stage, event and next stage of each edge in the table for people."""
    rows = re.findall(r"^\| ([A-Z]+|any) \| (.+) \| ([A-Z]+) \|$", PAGE.read_text("utf-8"), re.M)
    for stage, events, to in rows:
        for name in [s.name for s in Stage] if stage == "any" else [stage]:
            yield from ((name, event, to) for event in events.split(", "))


def test_the_table_for_people_is_the_one_in_the_code() -> None:
    """Each edge, and no other, once."""
    code = [(stage.name, str(event), to.name) for (stage, event), to in TABLE.items()]
    assert sorted(drawn()) == sorted(code)
