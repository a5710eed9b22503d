"""Keep one table of all cases beside the page: outputs/all-<name>.csv, where every case has one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from vipsync.disk.own_files import OwnFiles
from vipsync.model import RelPath
from vipsync.names import last
from vipsync.plan.standing import CaseState
from vipsync.record.digests import digest
from vipsync.results.facts import Description, File, Piece, Shown
from vipsync.results.tables import Table, is_table, joined, shared_name, whole

MOST = 20
"""Joined tables of one session: more are of no use to anybody."""

_LARGEST = 5_000_000
_LARGEST_SUM = 64_000_000


class JoinedTables:
    """The tables in the results of one session, by what the results looked like."""

    def __init__(self) -> None:
        self._tables: dict[Piece, tuple[File, ...]] = {}

    def knows(self, piece: Piece) -> bool:
        """Tell whether a result was looked at."""
        return piece in self._tables

    def learn(self, piece: Piece, found: Description) -> None:
        """Take in which tables are in a result."""
        self._tables[piece] = tuple(file for file in found.files if is_table(file.path))

    def forget_others(self, pieces: Iterable[Piece]) -> None:
        """Forget what is no longer there."""
        there = set(pieces)
        self._tables = {piece: files for piece, files in self._tables.items() if piece in there}

    def write(
        self, shown: Iterable[Shown], own: OwnFiles, stop: Callable[[], None]
    ) -> tuple[str, ...]:
        """Write the tables that all cases which ended well have in common, and take others away."""
        written: list[str] = []
        for name, files in sorted(self._alike(shown).items())[:MOST]:
            stop()
            path = RelPath(f"all-{name}.csv")
            if _is_written(path, files, own):
                written.append(path)
        for before in set(written_before(own)) - {*written}:
            own.withdraw(RelPath(before))
        return tuple(written)

    def _alike(self, shown: Iterable[Shown]) -> dict[str, dict[str, File]]:
        """Return, by their common name, the tables that every case has which ended well."""
        good = [one for one in shown if one.state == CaseState.DONE]
        found: defaultdict[str, dict[str, File]] = defaultdict(dict)
        for one in good:
            for name, file in self._named(one):
                found[name][one.title] = file
        cases = {one.title for one in good}
        return {
            name: files
            for name, files in found.items()
            if len(files) == len(cases) > 1
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
                if name and file.size <= _LARGEST:
                    tables[name].append(file)
        yield from ((name, files[0]) for name, files in tables.items() if len(files) == 1)


def written_before(own: OwnFiles) -> tuple[str, ...]:
    """Return the joined tables that are there."""
    return tuple(sorted(p for p in own.written() if "/" not in p and fnmatchcase(p, "all-*.csv")))


def _is_written(path: RelPath, files: Mapping[str, File], own: OwnFiles) -> bool:
    """Write a joined table where it is not there yet; tell whether there is one."""
    basis = digest(sorted((case, file.sha256) for case, file in files.items()))
    if own.is_current(path, basis):
        return True
    text = joined(dict(_read(own, files)))
    return text is not None and own.write(path, text.encode(), basis)


def _read(own: OwnFiles, files: Mapping[str, File]) -> Iterator[tuple[str, Table]]:
    for case, file in files.items():
        text = own.read(RelPath(file.path)).decode("utf-8-sig", "replace")
        yield case, whole(file.path, text) or Table((), ())


def _names(shown: Shown) -> Iterator[str]:
    """Yield how a case may be called in the names of its results."""
    for text in (*shown.case.split("/"), *(last(sent) for _, sent in shown.sent_as)):
        yield text
        yield text.partition(".")[0]
