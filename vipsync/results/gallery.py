"""Keep what people get of the results up to date: index.html, joined tables, provenance.

Made from a moment's facts, which the thread of the ledger takes; hashing and drawing take long, and
may be done in another. Nothing here is read back, but what is kept of each result.
"""

from __future__ import annotations

import base64
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vipsync.act.perform import Stopped
from vipsync.disk.files import LARGE, read_small
from vipsync.disk.own_files import OwnFiles
from vipsync.errors import VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import RelPath, replace
from vipsync.plan.case_results import last
from vipsync.plan.standing import CaseState
from vipsync.record.digests import digest
from vipsync.results import previews
from vipsync.results.crate import DESCRIPTOR, METADATA, crate
from vipsync.results.descriptions import Descriptions, tail
from vipsync.results.facts import Description, Facts, File, Piece, Run, Shown, facts_of
from vipsync.results.page import FULL, Seen, page
from vipsync.results.tables import Table, is_table, joined, shared_name, whole
from vipsync.run.reconciler import Reconciler

logger = logging.getLogger(__name__)

PAGE = RelPath("index.html")
EVERY = 10.0
"""Seconds between two makings while something is going on."""

PATIENCE = 20.0
"""Seconds after which a page is written although not every result was looked at."""

LOG_LINES = 20
_LARGEST_TABLE = 5_000_000
_LARGEST_SUM = 64_000_000

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
        self._basis: object = None
        self._at: float | None = None
        self._made: dict[str, tuple[Run, ...]] = {}
        self._tables: dict[Piece, tuple[File, ...]] = {}
        self._unfinished = False
        self._busy = False

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
        basis = (snapshot.state.version, snapshot.outputs, own.root, own.foreign)
        whole = all(os.path.lexists(own.root / path) for path in (PAGE, *own.foreign))
        if basis == self._basis and whole and not self._unfinished:
            return
        early = self._at is not None and now < self._at + EVERY
        if early and not (session.at_rest or self._unfinished):
            return
        self._basis, self._at, self._busy = basis, now, True
        id_, wall = snapshot.state.session.id, session.timing.wall()
        order = Order(facts_of(snapshot), own, session.folder, id_, wall, session.timing.clock)
        self._later(lambda: self._carry_out(order))

    def _carry_out(self, order: Order) -> None:
        """Make all that an order is about; what goes wrong with it stops nothing else."""
        try:
            self._unfinished = not self._make(order)
        except Stopped:
            self._unfinished = False
        except (VipsyncError, OSError) as error:
            self._unfinished = False
            logger.warning("the page of results could not be written: %s", type(error).__name__)
        except Exception:
            self._unfinished = False
            logger.exception("the page of results could not be made")
        finally:
            self._busy = False
            self._ended()

    def _stop(self) -> None:
        if self._stopping():
            raise Stopped

    # one making

    def _make(self, order: Order) -> bool:
        """Write everything; tell whether every result was looked at."""
        facts, own = order.facts, order.own
        if not facts.shown and not (own.root / PAGE).exists():
            return True
        self._stop()
        kept = Descriptions(own.root, order.folder.previews, self._stop)
        pending = self._describe(order, kept)
        order.folder.require(order.id)
        if not pending:
            kept.forget_others(_pieces(facts))
            self._forget_tables(facts)
        tables = self._join(order) if not pending else _joined_before(own)
        crates = frozenset(self._crates(order, kept, pending))
        seen = replace(_seen(order, kept, pending), tables=tables, crates=crates)
        own.write(PAGE, page(facts, seen).encode("utf-8", "replace"))
        return not pending

    def _describe(self, order: Order, kept: Descriptions) -> frozenset[Piece]:
        """Look at each result once; return those for which there was no time."""
        until = order.clock() + PATIENCE
        left = [piece for piece in _pieces(order.facts) if piece not in self._tables]
        for number, piece in enumerate(left):
            if order.clock() > until:
                return frozenset(left[number:])
            self._stop()
            found = kept.of(piece) or Description()
            self._tables[piece] = tuple(f for f in found.files if is_table(f.path))
        return frozenset()

    def _forget_tables(self, facts: Facts) -> None:
        there = set(_pieces(facts))
        self._tables = {piece: files for piece, files in self._tables.items() if piece in there}

    # one table for all cases

    def _join(self, order: Order) -> tuple[str, ...]:
        """Write the tables that all cases which ended well have in common; take others away."""
        written: list[str] = []
        for name, files in sorted(self._alike(order.facts.shown).items()):
            path = RelPath(f"all-{name}.csv")
            basis = digest(sorted((case, file.sha256) for case, file in files.items()))
            self._stop()
            current = order.own.is_current(path, basis)
            text = None if current else joined(dict(_read(order.own.root, files)))
            if current or (text and order.own.write(path, text.encode(), basis)):
                written.append(path)
        for before in set(_joined_before(order.own)) - {*written}:
            order.own.withdraw(RelPath(before))
        return tuple(written)

    def _alike(self, shown: Iterable[Shown]) -> dict[str, dict[str, File]]:
        """Return, by their common name, the tables that every case has which ended well."""
        good = [one for one in shown if one.state == CaseState.DONE]
        found: defaultdict[str, dict[str, File]] = defaultdict(dict)
        for one in good:
            for name, file in self._named(one):
                found[name][one.title] = file
        return {
            name: files
            for name, files in found.items()
            if len(files) == len({one.title for one in good}) > 1
            and sum(file.size for file in files.values()) <= _LARGEST_SUM
        }

    def _named(self, shown: Shown) -> Iterator[tuple[str, File]]:
        """Yield the tables of a case by what they share with those of others, if that is one alone."""
        names = set(_names(shown))
        tables: defaultdict[str, list[File]] = defaultdict(list)
        for piece in shown.pieces:
            for file in self._tables.get(piece, ()):
                inside = file.path.removeprefix(f"{piece.local}/")
                plain = inside if inside != file.path else last(file.path)
                name = shared_name(plain, names) or shared_name(piece.output, ())
                if name and file.size <= _LARGEST_TABLE:
                    tables[name].append(file)
        yield from ((name, files[0]) for name, files in tables.items() if len(files) == 1)

    # where results came from

    def _crates(self, order: Order, kept: Descriptions, pending: frozenset[Piece]) -> Iterator[str]:
        """Write a crate into each results folder of which everything is here; yield those that have one."""
        folders: defaultdict[str, list[Run]] = defaultdict(list)
        for run in order.facts.runs:
            folders[run.folder].append(run)
        for folder, runs in folders.items():
            path = RelPath(f"{folder}/{METADATA}")
            there = (order.own.root / path).is_file()
            whole = all(run.whole and not pending.intersection(run.pieces) for run in runs)
            if whole and not (there and self._made.get(folder) == tuple(runs)):
                self._stop()
                there = self._crate(order, folder, runs, kept)
                self._made[folder] = tuple(runs)
            if there:
                yield folder

    def _crate(self, order: Order, folder: str, runs: list[Run], kept: Descriptions) -> bool:
        own, target = order.own, RelPath(f"{folder}/{METADATA}")
        pieces = [piece for run in runs for piece in run.pieces]
        if not (own.root / folder).is_dir() or any(piece.local == target for piece in pieces):
            return False
        described = {piece: d for piece in pieces if (d := kept.of(piece))}
        made = crate(order.facts, runs, described)
        taken = {n for n, t in made.others.items() if not own.is_free(RelPath(f"{folder}/{n}"), t)}
        if taken:
            made = crate(order.facts, runs, described, frozenset(taken))
        for name, text in made.others.items():
            _write_beside(own, RelPath(f"{folder}/{name}"), text)
        return own.write(target, made.metadata.encode())


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
        logs=dict(_log_ends(order.own.root, shown)),
        thumbnails={name: _reached(order, name) for name in names},
        hint=f"{previews.INSTALL} shows slices of NIfTI files here." if unseen else "",
    )


def _pieces(facts: Facts) -> Iterator[Piece]:
    """Yield each result, those that are shown first before the others."""
    shown = (piece for one in facts.shown for piece in one.pieces)
    yield from dict.fromkeys([*shown, *(piece for run in facts.runs for piece in run.pieces)])


def _names(shown: Shown) -> Iterator[str]:
    """Yield how a case may be called in the names of its results."""
    for text in (*shown.case.split("/"), *(last(sent) for _, sent in shown.sent_as)):
        yield text
        yield text.partition(".")[0]


def _joined_before(own: OwnFiles) -> tuple[str, ...]:
    names = (p for p in own.written() if p.startswith("all-") and p.endswith(".csv"))
    return tuple(sorted(names))


def _read(outputs: Path, files: Mapping[str, File]) -> Iterator[tuple[str, Table]]:
    for case, file in files.items():
        text = read_small(outputs / file.path, _LARGEST_TABLE).decode("utf-8-sig", "replace")
        yield case, whole(file.path, text) or Table((), ())


def _log_ends(outputs: Path, shown: Iterable[Shown]) -> Iterator[tuple[str, str]]:
    for one in shown:
        for log in one.logs:
            for path in (f"{log}.stdout.txt", f"{log}.stderr.txt"):
                yield path, tail(outputs / path, LOG_LINES)


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


def _write_beside(own: OwnFiles, path: RelPath, text: str) -> None:
    """Write a file of a crate; of invocations, which come in hundreds and stay as they are, no record is kept."""
    if last(path) == DESCRIPTOR:
        own.write(path, text.encode())
    elif not (own.root / path).exists():
        own.write_new(path, text.encode())
