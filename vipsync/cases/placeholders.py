"""What the names of a pattern stand for in one path: every reading, in few steps.

Pure: no os, time, random, httpx, sqlite3 or logging. A path is matched part by part between its
slashes, so that no part is tried again for the sake of another. One with three names or wildcards
or more is read from its end, place by place: a name that was made to be slow is not. What a name
with several places stands for is settled first, from all of them: of many readings some are kept,
and the one that agrees with another place may not be among those.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod

from msgspec import Struct

_MOST = 32
"""Readings of one part that are kept; a file that has so many is refused all the same."""

_TRIED = 64
"""Texts that are tried for a name that has several places."""

_FEW_WAYS = 10_000
"""Ways to cut a path that a regular expression may try."""

_STAR, _NAME = "[^/]*", "[^/]+"
_ANY_FOLDERS, _ALL_BELOW = "(?:.*/)?", ".+"

Slots = tuple[str, ...]
"""What each place of a name stands for, from left to right; the same name may have several."""

Bound = Mapping[str, str]
"""What names with several places stand for."""

_Move = int | Callable[[int], int]
"""How a piece goes on from a place: to the one end that is returned, -1 for none; or by so many or more."""


class Piece(Struct, frozen=True):
    """A part of a pattern: a literal, a name, or a wildcard with its regular expression."""

    text: str
    name: str = ""
    wild: str = ""

    @property
    def varies(self) -> bool:
        """Tell whether it stands for texts of any length."""
        return bool(self.name) or self.wild == _STAR

    def source(self, lazy: str = "") -> str:
        """Return its regular expression, that of a name as a group; `lazy`: "?" for as little as may be."""
        if self.name:
            return f"({_NAME}{lazy})"
        if self.wild == _STAR:
            return f"{_STAR}{lazy}"
        return self.wild or f"(?i:{re.escape(self.text)})"


class Part:
    """What stands between two slashes of a pattern."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = tuple(pieces)
        self.names = [piece.name for piece in pieces if piece.name]
        self.varying = sum(piece.varies for piece in pieces)
        self._longest = re.compile("".join(piece.source() for piece in pieces))
        self._shortest = re.compile("".join(piece.source("?") for piece in pieces))
        self._fixed = [None if p.varies else re.compile(p.source()) for p in pieces]

    @property
    def only_names(self) -> bool:
        """Tell whether nothing but names decides how a text is cut."""
        return self.varying <= 1 or all(piece.name for piece in self._pieces if piece.varies)

    @property
    def between(self) -> Sequence[str]:
        """Return what stands between its names, "" for a wildcard: where they can be cut."""
        if self.varying <= 1:
            return ()
        return [piece.text.lower() * (not piece.wild) for piece in self._pieces if not piece.varies]

    def readings(self, text: str, bound: Bound) -> Sequence[Slots]:
        """Return what its names may stand for in a text; nothing where it does not match.

        Of two pieces that vary, the longest and the shortest match differ where there is a choice.
        """
        if self.varying > 2:
            return self._each(text, bound)
        longest = self._longest.fullmatch(text)
        if longest is None:
            return ()
        shortest = self._shortest.fullmatch(text) if self.varying == 2 else longest
        if shortest is None or shortest.groups() != longest.groups():
            return self._each(text, bound)
        slots = longest.groups()
        fits = all(bound.get(n, t) == t for n, t in zip(self.names, slots, strict=True))
        return (slots,) if fits else ()

    def texts(self, text: str, name: str, bound: Bound) -> Iterator[set[str]]:
        """Yield what each place of a name can stand for in a text, whatever the others do."""
        moves = [self._move(i, text, bound) for i in range(len(self._pieces))]
        places = _places(moves, len(text))
        for piece, starts, ends in zip(self._pieces, places, places[1:], strict=False):
            if piece.name == name:
                yield {text[at:end] for at in starts for end in ends if at < end}

    def _move(self, index: int, text: str, bound: Bound) -> _Move:
        name, fixed = self._pieces[index].name, self._fixed[index]
        if name in bound:
            known = bound[name]
            return lambda at: at + len(known) if text.startswith(known, at) else -1
        if fixed is not None:
            return lambda at: found.end() if (found := fixed.match(text, at)) else -1
        return int(bool(name))

    def _each(self, text: str, bound: Bound) -> Sequence[Slots]:
        """Return every reading, worked out from the last piece and for each place in the text."""
        size = len(text)
        after: list[Sequence[Slots]] = [()] * size + [((),)]
        for index in reversed(range(len(self._pieces))):
            name, move = self._pieces[index].name, self._move(index, text, bound)
            now: list[Sequence[Slots]] = [()] * (size + 1)
            for at in range(size, -1, -1):
                if not isinstance(move, int):
                    end = move(at)
                    own = (text[at:end],) if name else ()
                    now[at] = tuple(own + rest for rest in after[end]) if end >= 0 else ()
                elif name:
                    now[at] = _few(
                        (text[at:end], *rest)
                        for end in range(at + 1, size + 1)
                        for rest in after[end]
                    )
                else:
                    now[at] = _few((*after[at], *(now[at + 1] if at < size else ())))
            after = now
        return after[0]


class _Folders:
    """`**/`: any folders, or none."""


class _Below:
    """`**` at the end: everything below."""


Step = Part | _Folders | _Below


class Path:
    """A whole pattern: its parts, and where any folders may stand between them.

    Most patterns are read by one regular expression, in any case and fast: where a path can be cut in
    few ways only, and by names alone, which are then the same in the longest and the shortest match.
    """

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self._pieces = pieces
        self._places = [piece.name for piece in pieces if piece.name]
        self._repeated = [name for name, times in Counter(self._places).items() if times > 1]
        self._steps = list(_steps(pieces))
        self._longest, self._shortest = _whole(pieces, ""), _whole(pieces, "?")
        parts = [step for step in self._steps if isinstance(step, Part)]
        self._between = [text for part in parts for text in part.between]
        free = sum(not isinstance(step, Part) for step in self._steps)
        self._by_names = free <= 1 and all(part.only_names for part in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and self._pieces == other._pieces

    def __hash__(self) -> int:
        return hash(self._pieces)

    def readings(self, path: str) -> Sequence[Slots]:
        """Return what the names may stand for in a path; nothing where it does not match."""
        if self._by_names and self._ways(path) <= _FEW_WAYS:
            longest = self._longest.fullmatch(path)
            if longest is None:
                return ()
            shortest = self._shortest.fullmatch(path) if self._between else longest
            if shortest and shortest.groups() == longest.groups():
                return (longest.groups(),)
        parts = path.split("/")
        return _few(
            tuple(dict(zip(self._places, slots, strict=True)).values())
            for bound in islice(self._bindings(parts, {}), _TRIED)
            for slots in self._each(parts, bound)
        )

    def _bindings(self, parts: Sequence[str], bound: Bound) -> Iterator[Bound]:
        """Yield what the names with several places may stand for together."""
        name = next((name for name in self._repeated if name not in bound), "")
        if not name:
            yield bound
            return
        for text in self._texts(parts, name, bound):
            yield from self._bindings(parts, {**bound, name: text})

    def _texts(self, parts: Sequence[str], name: str, bound: Bound) -> Sequence[str]:
        """Return what a name can stand for at all of its places, the shortest first."""
        places = _places([_step_move(step, parts, bound) for step in self._steps], len(parts))
        found: list[set[str]] = []
        for step, starts in zip(self._steps, places, strict=False):
            if isinstance(step, Part) and name in step.names:
                each = [step.texts(parts[at], name, bound) for at in starts]
                found += [set().union(*texts) for texts in zip(*each, strict=True)]
        everywhere = set.intersection(*found) if found else set()
        return sorted(everywhere, key=lambda text: (len(text), text))[:_TRIED]

    def _ways(self, path: str) -> int:
        """Return in how many ways a path can be cut at most."""
        lowered = path.lower()
        return prod(lowered.count(text) + 1 for text in self._between)

    def _each(self, parts: Sequence[str], bound: Bound) -> Sequence[Slots]:
        size = len(parts)
        after: list[Sequence[Slots]] = [()] * size + [((),)]
        for step in reversed(self._steps):
            now: list[Sequence[Slots]] = [()] * (size + 1)
            for at in range(size, -1, -1):
                if isinstance(step, _Folders):
                    now[at] = _few((*after[at], *(now[at + 1] if at < size else ())))
                elif isinstance(step, _Below):
                    now[at] = ((),) if at < size else ()
                elif at < size and after[at + 1]:
                    here = step.readings(parts[at], bound)
                    now[at] = _few(one + rest for one, rest in product(here, after[at + 1]))
            after = now
        return after[0]


def _step_move(step: Step, parts: Sequence[str], bound: Bound) -> _Move:
    if isinstance(step, Part):
        fits = [bool(step.readings(part, bound)) for part in parts] + [False]
        return lambda at: at + 1 if fits[at] else -1
    return int(isinstance(step, _Below))


def _places(moves: Sequence[_Move], size: int) -> list[set[int]]:
    """Return where each piece can begin in a whole match, and where the last one ends."""
    places = [{0}]
    for move in moves:
        if isinstance(move, int):
            places.append(set(range(min(places[-1], default=size + 1) + move, size + 1)))
        else:
            places.append({end for end in map(move, places[-1]) if end >= 0})
    places[-1] &= {size}
    for index, move in reversed(list(enumerate(moves))):
        ends = places[index + 1]
        if isinstance(move, int):
            last = max(ends, default=-1) - move
            places[index] = {at for at in places[index] if at <= last}
        else:
            places[index] = {at for at in places[index] if move(at) in ends}
    return places


def _whole(pieces: Iterable[Piece], lazy: str) -> re.Pattern[str]:
    """Return the regular expression of all pieces, a group for each name; raise re.error."""
    numbers: dict[str, int] = {}
    sources = []
    for piece in pieces:
        if piece.name in numbers:
            sources.append(f"(?:\\{numbers[piece.name]})")
        else:
            sources.append(piece.source(lazy))
            if piece.name:
                numbers[piece.name] = len(numbers) + 1
    return re.compile("".join(sources))


def _few(slots: Iterable[Slots]) -> Sequence[Slots]:
    """Return those that differ, in their order, as many as are kept."""
    found: dict[Slots, None] = {}
    for one in slots:
        found[one] = None
        if len(found) == _MOST:
            break
    return tuple(found)


def _steps(pieces: Iterable[Piece]) -> Iterator[Step]:
    here: list[Piece] = []
    for piece in pieces:
        if piece.wild == _ANY_FOLDERS:
            yield _Folders()
        elif piece.wild == _ALL_BELOW:
            yield _Below()
            return
        elif piece.name or piece.wild:
            here.append(piece)
        else:
            *whole, last = piece.text.split("/")
            for text in whole:
                yield Part([*here, *([Piece(text)] if text else [])])
                here = []
            here += [Piece(last)] if last else []
    yield Part(here)
