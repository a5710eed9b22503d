"""How far the transfers are, counted from what the loop plans and what its threads move. No I/O."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from msgspec import Struct, field

from vipsync import actions as do
from vipsync.model import VipPath
from vipsync.rows import ResultStatus, SendStatus

if TYPE_CHECKING:
    from vipsync.run.reconciler import Reconciler

LONG = 1.0
"""Seconds after which a transfer is worth a line of its own."""

_SPEED_OVER = 10.0
"""Seconds over which a speed is averaged."""


_KINDS = {True: (do.SendFile, do.SendPack), False: (do.FetchResult,)}


class Transfer(Struct, frozen=True):
    """One file on its way. Sizes in bytes."""

    name: str
    moved: int
    size: int


class Batch(Struct, frozen=True):
    """The files of a folder that go one way together. Sizes in bytes, `speed` in bytes per second.

    `slow` are those that have been on their way for a while, or the only one. `seconds`: since
    the first one began.
    """

    upload: bool
    files: int
    of: int
    moved: int
    size: int
    speed: float
    seconds: float
    slow: tuple[Transfer, ...] = ()

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return self.moved / self.size if self.size else self.files / max(1, self.of)


class _Track(Struct):
    key: do.Key
    size: int
    moved: int = 0
    began: float | None = None
    arrived: bool = False


def _is_slow(track: _Track, now: float) -> bool:
    return track.began is not None and not track.arrived and now - track.began >= LONG


class _Flow(Struct):
    """All transfers of a folder in one direction, from the first until none is left.

    `doubted` have failed: VIP may take a file all the same, and it is not sent again (house 6.5).
    """

    upload: bool
    began: float
    tracks: dict[do.Key, _Track] = {}
    doubted: dict[do.Key, _Track] = {}
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def batch(self, now: float) -> Batch:
        tracks = self.tracks.values()
        moved = sum(t.moved for t in tracks)
        slow = [
            Transfer(PurePosixPath(t.key.subject).name, t.moved, t.size)
            for t in tracks
            if len(tracks) == 1 or _is_slow(t, now)
        ]
        return Batch(
            upload=self.upload,
            files=sum(t.arrived or (t.began is not None and t.moved >= t.size) for t in tracks),
            of=len(tracks),
            moved=moved,
            size=sum(t.size for t in tracks),
            speed=self._speed(now, moved),
            seconds=now - self.began,
            slow=tuple(slow),
        )

    def _speed(self, now: float, moved: int) -> float:
        self.samples.append((now, moved))
        while len(self.samples) > 2 and now - self.samples[0][0] > _SPEED_OVER:
            self.samples.popleft()
        then, before = self.samples[0]
        return max(0.0, (moved - before) / (now - then)) if now > then else 0.0


class Progress:
    """Follow the transfers of all folders; `moved` may be called in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._flows: dict[tuple[Path, bool], _Flow] = {}
        self._tracks: dict[do.Key, _Track] = {}

    def moved(self, key: do.Key, now: int, size: int) -> None:
        """Take in that `now` bytes of `size` have passed."""
        with self._lock:
            track = self._tracks.get(key)
            if track:
                track.moved, track.size = now, size
                track.began = self._clock() if track.began is None else track.began

    def expect(
        self, folder: Path, left: Mapping[do.Key, int | None], arrived: Callable[[do.Key], bool]
    ) -> list[Batch]:
        """Take in what is left to transfer in a folder; return the batches that ended with this.

        `left` gives the size by the key of the action, None where only its key is known.
        """
        with self._lock:
            ended = [self._expect(folder, upload, left, arrived) for upload in (True, False)]
        return [batch for batch in ended if batch]

    def _expect(
        self,
        folder: Path,
        upload: bool,
        left: Mapping[do.Key, int | None],
        arrived: Callable[[do.Key], bool],
    ) -> Batch | None:
        kinds = _KINDS[upload]
        mine = {key: size for key, size in left.items() if key.kind in kinds}
        flow, now = self._flows.get((folder, upload)), self._clock()
        if mine and not (flow and flow.tracks):
            flow = _Flow(upload, now, doubted=flow.doubted if flow else {})
            self._flows[folder, upload] = flow
        if flow is None:
            return None
        for key, size in mine.items():
            again = flow.doubted.pop(key, None)
            if key not in flow.tracks and (again or size is not None):
                flow.tracks[key] = self._tracks[key] = again or _Track(key, size or 0)
        self._settle(flow, mine, arrived)
        if mine:
            return None
        for key in flow.tracks:
            self._tracks.pop(key, None)
        ended = flow.batch(now) if flow.tracks else None
        if ended:
            self._flows[folder, upload] = _Flow(upload, now, doubted=flow.doubted)
        return ended

    def _settle(
        self, flow: _Flow, left: Mapping[do.Key, object], arrived: Callable[[do.Key], bool]
    ) -> None:
        """Count what is no longer left and came through, now or at last; leave out what did not."""
        for key in [key for key in flow.doubted if arrived(key)]:
            flow.tracks[key] = flow.doubted.pop(key)
        for key, track in list(flow.tracks.items()):
            if key in left:
                track.arrived = False
            elif track.arrived or arrived(key):
                track.arrived, track.moved = True, track.size
            else:
                flow.doubted[key] = flow.tracks.pop(key)
                self._tracks.pop(key, None)

    def batches(self, folder: Path) -> list[Batch]:
        """Return how far the transfers of a folder are."""
        with self._lock:
            now = self._clock()
            flows = [self._flows.get((folder, upload)) for upload in (True, False)]
            return [flow.batch(now) for flow in flows if flow and flow.tracks]


def left_to_transfer(session: Reconciler) -> dict[do.Key, int | None]:
    """Return the transfers that a session has before it or under way, with their sizes where known."""
    left: dict[do.Key, int | None] = dict.fromkeys(session.memory.under_way)
    planned = session.plan.actions if session.plan else ()
    handed_out = (action for action in planned if do.key(action) in left)
    for action in (*handed_out, *session.queue):
        match action:
            case do.SendFile() | do.SendPack():
                left[do.key(action)] = action.state.size
            case do.FetchResult():
                left[do.key(action)] = action.size
            case _:
                pass
    return left


def has_arrived(session: Reconciler) -> Callable[[do.Key], bool]:
    """Return a function that tells whether a transfer came through, by what the ledger says."""
    state = session.ledger.state

    def arrived(key: do.Key) -> bool:
        vip = VipPath(key.subject)
        sent, result = state.sent.get(vip), state.results.get(vip)
        good = sent is not None and sent.status in (SendStatus.SENT, SendStatus.ANSWERED)
        return good or (result is not None and result.status is ResultStatus.HERE)

    return arrived
