"""Things that go wrong on request: what a test arms happens as often as it says, then stops."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from threading import Lock

FOR_EVER = -1


class Kind(StrEnum):
    """What can go wrong, and (in brackets) what its pattern is matched against."""

    # [METHOD /rest/...] instead of the work
    REFUSED = "400/8000, nothing done"
    SERVER_ERROR = "500/8000, nothing done"
    NOT_FOUND = "404/8000, nothing done"
    UNAUTHORIZED = "401/8002, nothing done"
    REQUEST_LOST = "connection dropped, nothing done"
    # [METHOD /rest/...] after the work
    ANSWER_REFUSED = "400/8000 although done"
    ANSWER_ERROR = "500/8000 although done"
    ANSWER_LOST = "connection dropped although done"
    # [virtual path]
    UPLOAD_TIMES_OUT = "400/8000 after the timeout; done `seconds` after that"
    UPLOAD_VANISHES = "400/8000 after the timeout; never done"
    UPLOAD_WRONG_SIZE = "201, but only `size` bytes stored (default: half)"
    REMOVAL_NEVER = "204, and nothing ever happens"
    REMOVAL_LATE = "204, removed `seconds` later"
    DOWNLOAD_CUT = "connection closed after `size` bytes (default: half)"
    LISTING_WRONG_SIZE = "list and properties say `size` bytes (default: one more)"
    # [execution name]
    ENGINE_CRASHES = "Killed, without jobs"
    ENGINE_STUCK = "Running for ever, without jobs"
    KILL_FLAPS = "after a kill: reads show Killed, then Running, then Killed"
    # [execution name/job number]
    JOB_FAILS = "ERROR, exit code 50"
    JOB_HELD = "ERROR_HELD for ever"
    OUTPUT_MISSING = "the job ends well, without its outputs"


@dataclass(frozen=True)
class Fault:
    """One armed fault: it strikes the next `times` subjects that match."""

    kind: Kind
    match: str = "*"
    times: int = 1
    seconds: float = 0.0
    size: int | None = None


class Faults:
    """The armed faults, oldest first."""

    def __init__(self) -> None:
        self._armed: list[tuple[Fault, int]] = []
        self._lock = Lock()

    def arm(
        self,
        kind: Kind,
        match: str = "*",
        *,
        times: int = 1,
        seconds: float = 0.0,
        size: int | None = None,
    ) -> Fault:
        """Let kind strike `times` (FOR_EVER: always) where match, a shell pattern, fits."""
        fault = Fault(kind, match, times, seconds, size)
        with self._lock:
            self._armed.append((fault, times))
        return fault

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Fault]:
        """Return what has not struck often enough yet."""
        with self._lock:
            return [fault for fault, _ in self._armed]

    def strike(self, subject: str, *kinds: Kind) -> Fault | None:
        """Return the fault that hits subject now, used up by one, if any."""
        with self._lock:
            for index, (fault, left) in enumerate(self._armed):
                if fault.kind in kinds and fnmatchcase(subject, fault.match):
                    self._use_up(index, fault, left)
                    return fault
        return None

    def _use_up(self, index: int, fault: Fault, left: int) -> None:
        if left == 1:
            del self._armed[index]
        elif left > 1:
            self._armed[index] = (fault, left - 1)
