"""From cases to executions, as few as VIP can express. Pure: no os, time, random, httpx, sqlite3 or logging.

VIP crosses lists, and pairs those under `vip:dot` (facts 5.4). So an execution is a *box*: a set of
values in each dimension, every combination of which is a case; all paired inputs are one dimension.
Cases start as boxes of one; along one dimension after the other, boxes that differ in this one
alone become one, unless two of their jobs would write the same name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from vipsync.cases.jobs import OutputNames, jobs_of
from vipsync.model import (
    MAX_JOBS_ON_VIP,
    Case,
    Descriptor,
    ExpectedOutput,
    Group,
    InputValue,
)

_Point = tuple[InputValue, ...]
"""The values of one dimension's parameters."""


class _Dimension(Struct, frozen=True):
    """Parameters whose values change together: those that VIP pairs, or one alone."""

    parameters: tuple[str, ...]
    splits: bool
    """True when VIP takes only one value of it per execution."""

    def point(self, case: Case) -> _Point:
        return tuple(case.values[name] for name in self.parameters)


class _Box(Struct, frozen=True):
    """Cases that are every combination of the points in `sides`, and what they will write."""

    sides: tuple[frozenset[_Point], ...]
    cases: tuple[Case, ...]
    names: frozenset[str]


def group_cases(cases: Sequence[Case], descriptor: Descriptor, max_jobs: int) -> tuple[Group, ...]:
    """Put complete cases into as few executions as VIP can express, each of at most `max_jobs`.

    A case of more jobs than that stands alone. The order of `cases` changes nothing.
    """
    alike: defaultdict[frozenset[str], list[Case]] = defaultdict(list)
    for case in cases:
        alike[frozenset(case.values)].append(case)
    limit = min(max_jobs, MAX_JOBS_ON_VIP)
    groups = [g for some in alike.values() for g in _Grouping(some, descriptor, limit).groups()]
    return tuple(sorted(groups, key=lambda group: group.cases[0].id))


def grouping_warnings(cases: Sequence[Case], descriptor: Descriptor) -> tuple[str, ...]:
    """Say where equal output names cost executions, or names that nobody knows are a risk."""
    return tuple(_warnings(cases, descriptor))


def _warnings(cases: Sequence[Case], descriptor: Descriptor) -> Iterator[str]:
    if len(cases) < 2:
        return
    grouping = _Grouping(cases, descriptor, MAX_JOBS_ON_VIP)
    apart = len(grouping.groups())
    together = len(_Grouping(cases, descriptor, MAX_JOBS_ON_VIP, blind=True).groups())
    if apart > together:
        yield (
            f"{apart} executions instead of {together}, because jobs of one execution would write "
            f"the same name, as {grouping.shared_name()}: give their files different names on VIP, "
            "with as ="
        )
    unknown = [output.id for output in descriptor.outputs if _is_unknown(grouping, output.id)]
    if unknown and apart < len(cases):
        yield (
            f"the names of {', '.join(unknown)} can't be known beforehand: where two jobs write the "
            "same one, VIP keeps one of them. [launch] max_jobs = 1 avoids that"
        )


def _is_unknown(grouping: _Grouping, output: str) -> bool:
    first = next(iter(grouping.expected.values()))
    return any(one.output == output and one.name is None for one in first)


class _Grouping:
    """One run of the grouping. `blind`: as if no two jobs ever wrote the same name."""

    def __init__(
        self, cases: Sequence[Case], descriptor: Descriptor, limit: int, *, blind: bool = False
    ) -> None:
        self._cases = sorted(cases, key=lambda case: case.id)
        self._descriptor = descriptor
        self._limit = limit
        self._blind = blind
        self._dimensions = _dimensions(self._cases, descriptor)
        outputs = OutputNames(descriptor)
        self.expected: Mapping[str, tuple[ExpectedOutput, ...]] = {
            case.id: outputs.of(case.values) for case in self._cases
        }

    def groups(self) -> tuple[Group, ...]:
        """Return the executions, in no particular order."""
        boxes = self._start()
        for axis, dimension in enumerate(self._dimensions):
            if not dimension.splits:
                boxes = self._merged(boxes, axis)
        pieces = [piece for box in boxes for piece in self._within_limit(box)]
        return tuple(map(self._group, pieces))

    def shared_name(self) -> str:
        """Return an output name that several cases would write."""
        seen: set[str] = set()
        for case in self._cases:
            names = self._names(case)
            if not seen.isdisjoint(names):
                return min(seen & names)
            seen |= names
        return ""

    def _names(self, case: Case) -> frozenset[str]:
        return frozenset(one.name for one in self.expected[case.id] if one.name is not None)

    def _start(self) -> list[_Box]:
        return [
            _Box(
                tuple(frozenset([dimension.point(case)]) for dimension in self._dimensions),
                (case,),
                frozenset() if self._blind else self._names(case),
            )
            for case in self._cases
        ]

    def _merged(self, boxes: Iterable[_Box], axis: int) -> list[_Box]:
        """Join the boxes that differ along one axis alone."""
        alike: defaultdict[tuple[object, ...], list[_Box]] = defaultdict(list)
        for box in boxes:
            alike[box.sides[:axis] + box.sides[axis + 1 :]].append(box)
        return [_joined(layer, axis) for found in alike.values() for layer in _layers(found, axis)]

    def _within_limit(self, box: _Box) -> Iterator[_Box]:
        """Cut a box along its longest side until no piece has more jobs than the limit."""
        axis = max(range(len(box.sides)), key=lambda axis: len(box.sides[axis]), default=0)
        if len(box.cases) == 1 or self._jobs(box) <= self._limit:
            yield box
            return
        for piece in self._cut(box, axis):
            yield from self._within_limit(piece)

    def _cut(self, box: _Box, axis: int) -> Iterator[_Box]:
        """Cut one side into runs of points, each as long as the limit lets it be."""
        by_point: dict[_Point, list[Case]] = defaultdict(list)
        for case in box.cases:
            by_point[self._dimensions[axis].point(case)].append(case)
        run: list[_Point] = []
        jobs = 0
        for point, cases in by_point.items():
            more = sum(jobs_of(case.values, self._descriptor) for case in cases)
            if run and jobs + more > self._limit:
                yield _slab(box, axis, run, by_point)
                run, jobs = [], 0
            run.append(point)
            jobs += more
        yield _slab(box, axis, run, by_point)

    def _jobs(self, box: _Box) -> int:
        return sum(jobs_of(case.values, self._descriptor) for case in box.cases)

    def _group(self, box: _Box) -> Group:
        values: dict[str, tuple[InputValue, ...]] = {}
        for dimension in self._dimensions:
            points = tuple(dict.fromkeys(map(dimension.point, box.cases)))
            for place, name in enumerate(dimension.parameters):
                values[name] = tuple(point[place] for point in points)
        return Group(
            cases=box.cases,
            values={name: values[name] for name in box.cases[0].values},
            jobs=self._jobs(box),
            expected={case.id: self.expected[case.id] for case in box.cases},
        )


def _dimensions(cases: Sequence[Case], descriptor: Descriptor) -> tuple[_Dimension, ...]:
    """Return the dimensions of these cases: the paired inputs first, then each other one."""
    given = list(cases[0].values)
    paired = tuple(name for name in given if name in descriptor.dot)
    alone = [(name,) for name in given if name not in descriptor.dot]
    return tuple(
        _Dimension(names, any(_takes_one_value(name, descriptor) for name in names))
        for names in ([paired] if paired else []) + alone
    )


def _takes_one_value(name: str, descriptor: Descriptor) -> bool:
    """Return True for what VIP iterates over itself, or copies into a hidden input."""
    copies = (hidden for hidden, source in descriptor.overridden.items() if source == name)
    return name in descriptor.int_iterators or any(
        hidden in descriptor.int_iterators or not {hidden, name} <= descriptor.dot
        for hidden in copies
    )


def _layers(boxes: Sequence[_Box], axis: int) -> Iterable[list[_Box]]:
    """Part boxes into layers in which no two would write the same name, nor are the same."""
    layers: defaultdict[int, list[_Box]] = defaultdict(list)
    free: defaultdict[object, int] = defaultdict(int)
    for box in boxes:
        marks = [*box.names, *box.sides[axis]]
        layer = max(free[mark] for mark in marks)
        layers[layer].append(box)
        free.update(dict.fromkeys(marks, layer + 1))
    return layers.values()


def _joined(boxes: Sequence[_Box], axis: int) -> _Box:
    if len(boxes) == 1:
        return boxes[0]
    side = frozenset(point for box in boxes for point in box.sides[axis])
    return _Box(
        (*boxes[0].sides[:axis], side, *boxes[0].sides[axis + 1 :]),
        tuple(sorted((case for box in boxes for case in box.cases), key=lambda case: case.id)),
        frozenset(name for box in boxes for name in box.names),
    )


def _slab(
    box: _Box, axis: int, points: Sequence[_Point], by_point: Mapping[_Point, Sequence[Case]]
) -> _Box:
    cases = (case for point in points for case in by_point[point])
    return _Box(
        (*box.sides[:axis], frozenset(points), *box.sides[axis + 1 :]),
        tuple(sorted(cases, key=lambda case: case.id)),
        box.names,
    )
