"""Options into choices: what goes together. Pure: no os, time, random, httpx, sqlite3 or logging.

A choice takes one option of each parameter such that a name means the same text everywhere. A file
that finds no partner still makes a choice, one that lacks something: that is an incomplete case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import prod

from msgspec import Struct

from vipsync.cases.matching import Option, Relation
from vipsync.errors import SettingsError
from vipsync.model import Settings

MAX_CASES = 200_000
"""Choices above which the settings are taken for a mistake."""


class Choice(Struct):
    """What each variable stands for, and the option of each parameter that has one."""

    bound: dict[str, str]
    options: dict[str, Option]


def join(relations: Sequence[Relation]) -> list[Choice]:
    """Return every choice, complete or not; none where no file that varies is there.

    Raise SettingsError where there would be more than MAX_CASES.
    """
    parts = [_outer_join(part) for part in _connected(relations)]
    _refuse_too_many(prod(map(len, parts)))
    choices = [Choice({}, {})]
    for part in parts:
        choices = [
            Choice({**one.bound, **other.bound}, {**one.options, **other.options})
            for one in choices
            for other in part
        ]
    varying = [r for r in relations if r.variables and r.source.files]
    if not varying:
        return choices
    return [one for one in choices if any(r.source.parameter.name in one.options for r in varying)]


def _refuse_too_many(count: int) -> None:
    if count > MAX_CASES:
        raise SettingsError(
            f"{Settings.SOURCE}, [input_settings]: together they make {count} cases, more than "
            f"{MAX_CASES}. Write the same {{name}} in the settings whose files belong together."
        )


def _connected(relations: Iterable[Relation]) -> list[list[Relation]]:
    """Part the relations into those that share variables, directly or through others."""
    parts: list[tuple[set[str], list[Relation]]] = []
    for relation in relations:
        variables = set(relation.variables)
        members = [relation]
        apart = []
        for known, others in parts:
            if known.isdisjoint(variables):
                apart.append((known, others))
            else:
                variables |= known
                members = others + members
        parts = [*apart, (variables, members)]
    return [members for _, members in parts]


def _outer_join(relations: Sequence[Relation]) -> list[Choice]:
    """Join relations that share variables, the most specific first; keep what has no partner."""
    rows: list[Choice] = []
    known: set[str] = set()
    for relation in sorted(relations, key=lambda r: -len(r.variables)):
        rows = _attach(rows, relation, known) if known else _first(relation)
        known.update(relation.variables)
        _refuse_too_many(len(rows))
    return rows or [Choice({}, {})]


def _first(relation: Relation) -> list[Choice]:
    name = relation.source.parameter.name
    return [
        Choice(dict(zip(relation.variables, key, strict=True)), {name: option})
        for key, option in relation.options.items()
    ]


def _attach(rows: list[Choice], relation: Relation, known: set[str]) -> list[Choice]:
    """Give each row its options of one more relation; options without a row become rows."""
    shared = [variable for variable in relation.variables if variable in known]
    places = [relation.variables.index(variable) for variable in shared]
    by_shared: defaultdict[tuple[str, ...], list[Choice]] = defaultdict(list)
    for choice, key in zip(_first(relation), relation.options, strict=True):
        by_shared[tuple(key[place] for place in places)].append(choice)
    joined, partnered = [], set()
    for row in rows:
        key = tuple(row.bound.get(variable, "") for variable in shared)
        partners = by_shared.get(key)
        if partners is None:
            joined.append(row)
            continue
        partnered.add(key)
        joined.extend(_both(row, partner) for partner in partners)
    alone = [c for key, choices in by_shared.items() if key not in partnered for c in choices]
    return joined + alone


def _both(row: Choice, partner: Choice) -> Choice:
    return Choice(row.bound | partner.bound, row.options | partner.options)
