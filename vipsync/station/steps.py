"""What a station can do, how a study can stand, and the plan that says both. PURE: values only."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from vipsync.station.model import Row


class Act(StrEnum):
    """What can be done."""

    READ = "read"
    MAKE = "make"
    FILL = "fill"
    TELL = "tell"
    POINT = "point"


class Action(Struct, frozen=True):
    """One thing to do for a place or a study. `request` and `word` are those that a session is told."""

    act: Act
    subject: str
    request: str = ""
    word: str = ""
    places: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What is to be done, to tell whether it is under way or has failed."""
        return f"{self.act} {self.subject} {self.request}".rstrip()


class StudyState(StrEnum):
    """How a study stands, for people."""

    ARRIVING = "arriving"
    INCOMPLETE = "incomplete"
    HELD = "held"
    QUEUED = "queued"
    SENDING = "being sent"
    RUNNING = "running"
    DONE = "done"
    NEEDS = "needs you"
    SAME = "the same study"
    BEFORE = "there before"
    GONE = "gone"
    NOT_OURS = "not ours"
    SKIPPED = "skipped"


ASKING = (StudyState.HELD, StudyState.NEEDS)
"""States that ask something of a person."""


class StudyReport(Struct, frozen=True):
    """One study or place: its name, or the handle of one that has none yet. `since` in UTC seconds.

    `can`: what a person may say of it now, of `WORDS`.
    """

    name: str
    state: StudyState
    reason: str = ""
    remedy: str = ""
    session: str = ""
    since: float = 0.0
    asks: bool = False
    can: tuple[str, ...] = ()


class StationStatus(Struct, frozen=True):
    """Everything that STATION.txt, the terminal and `status --json` tell of a station. Times in UTC s."""

    folder: str
    station: str
    sentence: str
    studies: tuple[StudyReport, ...] = ()
    written: float = 0.0
    exit_code: int = 0


class StationPlan(Struct, frozen=True):
    """Rows to write, or else what to do; how each study stands; when to look again (monotonic s).

    `working` are the sessions that are to be kept in step, `look` the places that may become quiet.
    """

    rows: tuple[Row, ...] = ()
    actions: tuple[Action, ...] = ()
    reports: tuple[StudyReport, ...] = ()
    working: frozenset[str] = frozenset()
    due: float | None = None
    look: frozenset[str] = frozenset()
    at_rest: bool = True
