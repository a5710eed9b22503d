"""Keep a crate in each results folder that is whole: where its results came from, and how to repeat them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from vipsync.disk.own_files import OwnFiles
from vipsync.model import RelPath
from vipsync.names import last
from vipsync.results.crate import DESCRIPTOR, METADATA, crate
from vipsync.results.descriptions import Descriptions
from vipsync.results.facts import Facts, Piece, Run


class Crates:
    """The crates of one session, by what they were made of."""

    def __init__(self) -> None:
        self._made: dict[str, list[Run]] = {}

    def write(
        self,
        facts: Facts,
        kept: Descriptions,
        pending: frozenset[Piece],
        own: OwnFiles,
        stop: Callable[[], None],
    ) -> Iterator[str]:
        """Write those of which everything is here; yield the folders that have one."""
        for folder, runs in _by_folder(facts).items():
            there = (own.root / folder / METADATA).is_file()
            whole = all(run.whole and not pending.intersection(run.pieces) for run in runs)
            if whole and not (there and self._made.get(folder) == runs):
                stop()
                there = _written(folder, runs, facts, kept, own)
                self._made[folder] = runs
            if there:
                yield folder


def _by_folder(facts: Facts) -> dict[str, list[Run]]:
    folders: defaultdict[str, list[Run]] = defaultdict(list)
    for run in facts.runs:
        folders[run.folder].append(run)
    return folders


def _written(folder: str, runs: list[Run], facts: Facts, kept: Descriptions, own: OwnFiles) -> bool:
    """Write a crate, and tell whether it is there: not where the results hold one of their own."""
    target = RelPath(f"{folder}/{METADATA}")
    pieces = [piece for run in runs for piece in run.pieces]
    if not (own.root / folder).is_dir() or any(piece.local == target for piece in pieces):
        return False
    described = {piece: found for piece in pieces if (found := kept.of(piece))}
    made = crate(facts, runs, described)
    places = {RelPath(f"{folder}/{name}"): text for name, text in made.others.items()}
    taken = {p.removeprefix(f"{folder}/") for p, text in places.items() if not own.is_free(p, text)}
    if taken:
        made = crate(facts, runs, described, frozenset(taken))
    for name, text in made.others.items():
        _write_beside(own, RelPath(f"{folder}/{name}"), text)
    return own.write(target, made.metadata.encode())


def _write_beside(own: OwnFiles, path: RelPath, text: str) -> None:
    """Write a file of a crate. Invocations come in hundreds and stay as they are: no record is kept of them."""
    if last(path).endswith(DESCRIPTOR):
        own.write(path, text.encode())
    elif not (own.root / path).exists():
        own.write_new(path, text.encode())
