"""What the page shows of a station, in which order, and what can be said of its studies. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from vipsync.page.views import Choice, Rows, Tally, Tone, rows_of
from vipsync.station.model import Asked
from vipsync.station.steps import StationStatus, StudyReport, StudyState
from vipsync.status.overview import Need

_TONES = {
    StudyState.ARRIVING: Tone.BUSY,
    StudyState.QUEUED: Tone.BUSY,
    StudyState.SENDING: Tone.BUSY,
    StudyState.RUNNING: Tone.BUSY,
    StudyState.DONE: Tone.GOOD,
}


def tone_of(report: StudyReport) -> Tone:
    """Return what the state of a study means: nothing is wrong with one that does not ask for a person."""
    return Tone.BAD if report.asks else _TONES.get(report.state, Tone.IDLE)


def need_of(status: StationStatus) -> Need:
    """Return how much a station needs a person."""
    tones = {tone_of(report) for report in status.studies}
    if status.exit_code or Tone.BAD in tones:
        return Need.YOU
    if Tone.BUSY in tones:
        return Need.RUNNING
    incomplete = any(r.state is StudyState.INCOMPLETE for r in status.studies)
    return Need.WAITING if incomplete or not status.studies else Need.REST


def tally(status: StationStatus) -> tuple[Tally, ...]:
    """Return how the studies of a station stand."""
    found = Counter((str(report.state), tone_of(report)) for report in status.studies)
    return tuple(Tally(state, n, tone) for (state, tone), n in sorted(found.items()))


def chosen(status: StationStatus, choice: Choice) -> Rows[StudyReport]:
    """Return the studies that a person wants to see: those that ask first, those that are over last."""
    found = [r for r in status.studies if choice.takes(r.state, f"{r.name} {r.reason} {r.remedy}")]
    order, states = list(Tone), list(StudyState)
    match choice.sort:
        case "study":
            found.sort(key=lambda r: r.name, reverse=choice.down)
        case "since":
            found.sort(key=lambda r: (r.since, r.name), reverse=choice.down)
        case _:
            found.sort(key=lambda r: (-r.since, r.name))
            found.sort(
                key=lambda r: (order.index(tone_of(r)), states.index(r.state)),
                reverse=choice.down,
            )
    return rows_of(found, choice.page)


# what can be said


class Saying(Struct, frozen=True):
    """Something that a person can say of a study by a button."""

    word: str
    label: str
    warning: str = ""


def sayings(report: StudyReport) -> tuple[Saying, ...]:
    """Return what can be said of a study now."""
    return tuple(_saying(word, report) for word in report.can if word in _LABELS)


def _saying(word: str, report: StudyReport) -> Saying:
    over = report.state in (StudyState.BEFORE, StudyState.SKIPPED)
    label = "Take it up" if word == "first" and over else _LABELS[word]
    return Saying(word, label, _WARNINGS.get(word, ""))


def advice(report: StudyReport, *, may_ask: bool) -> str:
    """Return what to do about a study, but for commands that stand beside it as buttons."""
    return "" if may_ask and "`vipsync station " in report.remedy else report.remedy


def asked_words(asked: Asked) -> str:
    """Return a request in words."""
    return f"{_LABELS.get(asked.word, asked.word).lower()} {asked.study}"


_LABELS = {
    "complete": "Start as it is",
    "take-late": "Run with late files",
    "merge": "Take for one",
    "first": "Move up",
    "skip": "Skip",
}
_WARNINGS = {
    "skip": "It is never sent. What was asked of VIP for it is taken back.",
    "merge": "Its files become one study with those of the other, and that cannot be undone here.",
}
