"""How the sessions of a station are: of those at work the loop tells, of those let go what they said last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vipsync.errors import KeyMissing
from vipsync.folder.folder import SessionFolder
from vipsync.model import FileState
from vipsync.names import shell_word
from vipsync.plan.draft import Notice
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import LaunchStatus
from vipsync.run.reconciler import Reconciler
from vipsync.station.folder import StationFolder
from vipsync.station.model import SessionSeen, Stage, Study
from vipsync.status.publish import read_status
from vipsync.status.summary import status_of

NEEDS_PERSON = 3
"""The exit code of a folder that asks something of a person."""


class _Look(Struct):
    """How a session was when it was last looked at: what tells one look from the next, and what came of it."""

    now: tuple[int, bool, bool]
    plan: object
    seen: SessionSeen


class Last(Struct, frozen=True):
    """What a session that is let go said last and when (UTC s), and how the file of that was."""

    file: FileState | None = None
    seen: SessionSeen = SessionSeen()
    at: float = -1.0


class Sessions:
    """What a station knows of its sessions, each by its name.

    `known` are those at work at the last look, `ended` those that are let go and have said how they
    are; of `by_hand`, which are let go too, a person asks something.
    """

    def __init__(self, folder: StationFolder) -> None:
        self.known: dict[str, SessionSeen] = {}
        self.ended: dict[str, SessionSeen] = {}
        self.by_hand: frozenset[str] = frozenset()
        self._folder = folder
        self._looks: dict[Path, _Look] = {}
        self._last: dict[str, Last] = {}
        self._hear_at = 0.0

    @property
    def keyless(self) -> str:
        """What a session at work without a key says, "" where each has one."""
        missing = KeyMissing.exit_code
        return next((s.words for s in self.known.values() if s.code == missing), "")

    def look(self, sessions: Mapping[Path, Reconciler]) -> None:
        """Look at those of the loop that are this station's."""
        self.known = self.seen(sessions)

    def seen(self, sessions: Mapping[Path, Reconciler]) -> dict[str, SessionSeen]:
        """Return how those of the loop are that are this station's."""
        mine = {r: s for r, s in sessions.items() if r.parent == self._folder.sessions}
        self._looks = {root: self._look_of(root, session) for root, session in mine.items()}
        return {root.name: look.seen for root, look in self._looks.items()}

    def _look_of(self, root: Path, session: Reconciler) -> _Look:
        """Return how a session is; what was made of its last look serves for as long as that is the last."""
        before, trouble = self._looks.get(root), session.trouble
        version = session.ledger.state.version if session.is_open else -1
        now = (version, session.is_open, session.at_rest)
        if before and before.now == now and before.plan is session.plan and not trouble:
            return before
        return _Look(now, session.plan if not trouble else None, session_seen(session))

    def hear(self, studies: Iterable[Study], now: float, pause: float) -> None:
        """Learn how those are that are let go, once in `pause`, and at each look of which a person asks something."""
        names = self.by_hand
        if now >= self._hear_at:
            self._hear_at = now + pause
            since = {s.name: s.ended_at or 0.0 for s in studies if s.stage is Stage.ENDED}
            names = frozenset(since)
            self._last = {n: last_of(self._folder.session(n), self._last.get(n)) for n in names}
            self.ended = {n: s.seen for n, s in self._last.items() if s.at >= since[n]}
        for name in self.known:  # the loop knows it better
            self.ended.pop(name, None)
        self.by_hand = frozenset(n for n in names if self._folder.session(n).asked())


def session_seen(session: Reconciler) -> SessionSeen:
    """Return how the session of a study is, as far as its station must know."""
    if session.trouble:
        return SessionSeen(over=True, code=session.trouble.exit_code, words=str(session.trouble))
    if not session.is_open or session.snapshot is None or session.plan is None:
        return SessionSeen()
    state = session.ledger.state
    status = status_of(session.snapshot, session.plan, str(session.folder.root))
    asking = [n for n in status.notices if n.asks]
    words = _asked(asking[0]) if asking else status.sentence
    words = _without_files(words, session.snapshot) if asking else words
    started = {x.request for x in state.launches.values() if x.status is LaunchStatus.STARTED}
    return SessionSeen(
        frozenset(state.requests),
        frozenset(started),
        session.at_rest,
        status.exit_code,
        words,
        frozenset(request.id for request in session.snapshot.requests),
    )


def last_of(session: SessionFolder, before: Last | None) -> Last:
    """Return what a session said last; what it asks of a person may name files, and stays there."""
    with suppress(OSError):
        file = FileState.of(session.report.stat())
        if before and before.file == file:
            return before
        told = read_status(session)
        if told:
            asks = told.exit_code == NEEDS_PERSON
            words = "" if asks else told.sentence
            seen = SessionSeen(over=True, code=NEEDS_PERSON * asks, words=words)
            return Last(file, seen, told.written)
    return before or Last()


def _asked(notice: Notice) -> str:
    text = notice.text if notice.text.endswith((".", "?", "!")) else f"{notice.text}."
    return f"{notice.subject}: {text} {notice.remedy}".rstrip()


def _without_files(words: str, snapshot: Snapshot) -> str:
    """Return words without names of files: scanners give them the names of patients.

    A case of all files is called as its session. A command that names another one means all that failed.
    """
    paths = {name for path in snapshot.files for name in (path, path.rpartition("/")[2])}
    cases = {case.id for case in snapshot.cases.cases} - {snapshot.settings.session_name}
    for case in sorted(cases, key=len, reverse=True):
        words = re.sub(
            rf"(`vipsync rerun [^`]+) {re.escape(shell_word(case))}`", r"\1 --failed`", words
        )
    for name in sorted(paths | cases, key=len, reverse=True):
        words = words.replace(name, "…")
    return words
