"""What went wrong, once for each reason: whose cases, in which words, and what to do. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from vipsync.model import RelPath
from vipsync.names import NAMES, last, shell_word
from vipsync.plan.draft import Level, Notice
from vipsync.plan.standing import ONE_OF, CaseReport, CaseState
from vipsync.rows import JobLog

_STATES = (CaseState.HELD, CaseState.FAILED, CaseState.INCOMPLETE)


class Failure(Struct, frozen=True):
    """Cases that did not end well for one reason.

    `said` are the last lines of the log of the first, `logs` where such logs lie below outputs/;
    `either`: each log with its last lines, where nobody knows which of them is of these cases.
    """

    state: CaseState
    reason: str
    cases: tuple[str, ...]
    logs: tuple[RelPath, ...] = ()
    said: tuple[str, ...] = ()
    remedy: str = ""
    either: tuple[tuple[RelPath, tuple[str, ...]], ...] = ()

    @property
    def last_lines(self) -> tuple[tuple[RelPath, tuple[str, ...]], ...]:
        """The logs to show, each with its last lines."""
        return self.either or ((self.logs[0], self.said),) if self.logs else ()

    @property
    def text(self) -> str:
        """What happened to the first case and the others, and where the log is, in one line."""
        others = len(self.cases) - 1
        more = f" with {others:,} other{'' if others == 1 else 's'}" if others else ""
        place = f" (outputs/{self.logs[0]})" if self.logs and not self.either else ""
        return f"{self.state}{more}: {self.reason}{place}" if self.reason else f"{self.state}{more}"


def failures(
    cases: Iterable[CaseReport],
    logs: Mapping[str, JobLog],
    hearing: Collection[str] = (),
    *,
    by_hand: bool,
) -> tuple[Failure, ...]:
    """Return what went wrong; `by_hand`: nothing starts by itself in this folder.

    Reasons that differ by the names of their cases only are one. What failed in an execution of which a log is on its way (`hearing`) is told when it is here.
    """
    awaited = {key.rpartition(" ")[0] for key in hearing}
    groups: dict[tuple[CaseState, str], list[CaseReport]] = {}
    for case in cases:
        unheard = case.state is CaseState.FAILED and not case.logs and case.execution in awaited
        if case.state in _STATES and not unheard:
            groups.setdefault((case.state, _alike(case)), []).append(case)
    said = {log.files[0]: log.said for log in logs.values() if log.files}
    return tuple(_failure(found, said, by_hand=by_hand) for found in groups.values())


def _alike(case: CaseReport) -> str:
    """Return a reason without the case's own name, which many applications begin with."""
    name = last(case.id)
    if name not in case.reason:
        return case.reason
    return NAMES.sub(
        lambda found: "…" if f"{found[0]}.".startswith(f"{name}.") else found[0], case.reason
    )


def _failure(
    found: list[CaseReport], said: Mapping[RelPath, tuple[str, ...]], *, by_hand: bool
) -> Failure:
    state, cases = found[0].state, tuple(case.id for case in found)
    logs = tuple(dict.fromkeys(log for case in found for log in case.logs))
    remedy = "" if state is CaseState.HELD else _remedy(cases, by_hand=by_hand)
    words = said.get(logs[0], ()) if logs else ()
    unsure = found[0].reason.startswith(ONE_OF)
    either = tuple((log, said[log]) for log in logs if said.get(log)) if unsure else ()
    return Failure(state, found[0].reason, cases, logs, words, remedy, either)


def _remedy(cases: tuple[str, ...], *, by_hand: bool) -> str:
    """Say how a case runs again: with other content by itself, as it is by a person's word."""
    if by_hand:
        mend = "Mend the input and call `vipsync launch DIR`"
    elif len(cases) == 1:
        mend = "Mend the input, and it runs by itself"
    else:
        mend = "Mend the inputs, and they run by themselves"
    which = shell_word(cases[0]) if len(cases) == 1 else "--failed"
    return f"{mend}; `vipsync rerun DIR {which}` runs the same again."


def failure_notices(found: Iterable[Failure]) -> Iterator[Notice]:
    """Return what asks for a person, once for each reason, under the name of the first case."""
    for failure in found:
        yield Notice(Level.PERSON, failure.cases[0], failure.text, failure.remedy)
