"""Keep what people get of the results up to date: index.html, joined tables, provenance.

Made from a moment that no longer changes, which the thread of the ledger takes; working out what to
show, hashing and drawing take long, and may be done in another. Nothing here is read back, but what is kept of each result.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from vipsync.act.perform import Stopped
from vipsync.disk.files import LARGE, read_small
from vipsync.disk.own_files import OwnFiles
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import RelPath, replace
from vipsync.results import previews
from vipsync.results.descriptions import Descriptions
from vipsync.results.facts import Description, Facts, Piece, Shown, facts_of
from vipsync.results.joining import JoinedTables, written_before
from vipsync.results.page import FULL, Seen, page
from vipsync.results.provenance import Crates
from vipsync.rows import State
from vipsync.run.reconciler import Reconciler

logger = logging.getLogger(__name__)

PAGE = RelPath("index.html")
EVERY = 10.0
"""Seconds between two makings while something is going on."""

PATIENCE = 20.0
"""Seconds after which a page is written although not every result was looked at."""

LOG_LINES = 20

_FORM = "2"
"""Changes when pages of before would lack something."""

Later = Callable[[Callable[[], None]], object]


class Order(Struct, frozen=True):
    """What one making works on: facts that no longer change, and where it writes."""

    facts: Facts
    own: OwnFiles
    folder: SessionFolder
    id: str
    wall: float
    clock: Callable[[], float]


class Gallery:
    """The results of one session, as people get them.

    `later` takes a making to carry it out, in another thread or at once; `ended` is called when it
    has ended, and then there may be more to make.
    """

    def __init__(
        self,
        later: Later = lambda make: make(),
        ended: Callable[[], None] = lambda: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._later, self._ended, self._stopping = later, ended, stopping
        self._state: State | None = None
        self._basis: object = None
        self._at: float | None = None
        self._tables, self._crates = JoinedTables(), Crates()
        self._unfinished = self._busy = self._failed = False

    @property
    def is_done(self) -> bool:
        """Tell whether all that was published is made."""
        return not (self._busy or self._unfinished)

    def complete(self, session: Reconciler, own: OwnFiles) -> None:
        """Make everything at once: only for a gallery whose makings are carried out in this thread."""
        self.publish(session, own)
        while self._unfinished:
            self.publish(session, own)

    def publish(self, session: Reconciler, own: OwnFiles) -> None:
        """Make what has changed, or have it made; what is being made now comes first."""
        snapshot, now = session.snapshot, session.timing.clock()
        if self._busy or snapshot is None or not session.is_open:
            return
        if (
            snapshot.state is not self._state
        ):  # the ledger was opened anew: its versions start again
            self._state, self._basis = snapshot.state, None
        basis = (snapshot.state.version, snapshot.outputs, own.root, own.foreign)
        whole = all(os.path.lexists(own.root / path) for path in (PAGE, *own.foreign))
        if basis == self._basis and whole and not self._unfinished:
            return
        early = self._at is not None and now < self._at + EVERY
        at_once = (session.at_rest or self._unfinished) and not self._failed
        if early and not at_once:
            return
        self._basis, self._at, self._busy = basis, now, True
        id_, wall = snapshot.state.session.id, session.timing.wall()
        frozen = replace(snapshot, state=snapshot.state.frozen())
        folder, clock = session.folder, session.timing.clock
        self._later(
            lambda: self._carry_out(lambda: Order(facts_of(frozen), own, folder, id_, wall, clock))
        )

    def _carry_out(self, order: Callable[[], Order]) -> None:
        """Make all that an order is about; what goes wrong with it stops nothing else."""
        failed, self._failed, finished = self._failed, False, True
        try:
            finished = self._make(order())
        except Stopped:
            pass
        except (VipsyncError, OSError) as error:
            self._failed, self._basis = True, None  # it is tried again in a while
            if not failed:
                logger.warning("the page of results cannot be written: %s", type(error).__name__)
        except Exception:
            logger.exception("the page of results could not be made")
        finally:
            self._unfinished, self._busy = not finished, False
            self._ended()

    def _stop(self) -> None:
        if self._stopping():
            raise Stopped

    # one making

    def _make(self, order: Order) -> bool:
        """Write everything; tell whether every result was looked at."""
        facts, own = order.facts, order.own
        basis = _basis(facts)
        shows_nothing = not (facts.shown or (own.root / PAGE).exists())
        if shows_nothing or own.is_current(PAGE, basis):
            return True
        self._stop()
        kept = Descriptions(own.root, order.folder.previews, self._stop)
        pending = self._describe(order, kept)
        order.folder.require(order.id)
        self._write(order, kept, pending, "" if pending else basis)
        if not pending:
            kept.forget_others(_pieces(facts))
            self._tables.forget_others(_pieces(facts))
        return not pending

    def _describe(self, order: Order, kept: Descriptions) -> frozenset[Piece]:
        """Look at each result once; return those for which there was no time."""
        until = order.clock() + PATIENCE
        left = [piece for piece in _pieces(order.facts) if not self._tables.knows(piece)]
        for number, piece in enumerate(left):
            if order.clock() > until:
                return frozenset(left[number:])
            self._stop()
            self._tables.learn(piece, kept.of(piece) or Description())
        return frozenset()

    def _write(
        self, order: Order, kept: Descriptions, pending: frozenset[Piece], basis: str
    ) -> None:
        """Write tables and crates, then the page that leads to them."""
        facts, own = order.facts, order.own
        tables = (
            written_before(own) if pending else self._tables.write(facts.shown, own, self._stop)
        )
        crates = frozenset(self._crates.write(facts, kept, pending, own, self._stop))
        seen = replace(_seen(order, kept, pending), tables=tables, crates=crates)
        own.write(PAGE, page(facts, seen).encode("utf-8", "replace"), basis)


def _basis(facts: Facts) -> str:
    """Return what a page rests on: equal facts give an equal page, but for the time in it."""
    about = (_FORM, previews.possible(), facts)
    return hashlib.sha256(msgspec.json.encode(about)).hexdigest()


def _seen(order: Order, kept: Descriptions, pending: frozenset[Piece]) -> Seen:
    """Return what the page shows of the results that were looked at."""
    shown = order.facts.shown[:FULL]
    pieces = {piece for one in shown for piece in one.pieces} - pending
    described = {piece: d for piece in pieces if (d := kept.of(piece))}
    names = [name for d in described.values() for _, name in d.mosaics]
    unseen = any(d.volumes for d in described.values()) and not previews.possible()
    return Seen(
        written=order.wall,
        described=described,
        pending=pending,
        logs=dict(_log_ends(kept, shown)),
        thumbnails={name: _reached(order, name) for name in names},
        hint=f"{previews.INSTALL} shows slices of NIfTI files here." if unseen else "",
    )


def _pieces(facts: Facts) -> Iterator[Piece]:
    """Yield each result, those that are shown first before the others."""
    shown = (piece for one in facts.shown for piece in one.pieces)
    yield from dict.fromkeys([*shown, *(piece for run in facts.runs for piece in run.pieces)])


def _log_ends(kept: Descriptions, shown: Iterable[Shown]) -> Iterator[tuple[str, str]]:
    for one in shown:
        for log in one.logs:
            for path in (f"{log}.stdout.txt", f"{log}.stderr.txt"):
                yield path, kept.tail(RelPath(path), LOG_LINES)


def _reached(order: Order, name: str) -> str:
    """Return how a thumbnail is reached from the page: it is in it where the way would leave the folder."""
    root, outputs = order.folder.root.resolve(), order.own.root.resolve()
    if outputs == root or root in outputs.parents:
        return (
            f"{Path(os.path.relpath(order.folder.previews.resolve(), outputs)).as_posix()}/{name}"
        )
    with suppress(OSError):
        content = base64.b64encode(read_small(order.folder.previews / name, LARGE)).decode()
        return f"data:image/png;base64,{content}"
    return ""
