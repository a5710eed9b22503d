"""The people of an embedded VIP, from a TOML file: users with keys, levels and groups (facts 10.1)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vipsync.local.options import Level, Options, User

MANY = 100
"""How many executions may run at once of a user who is no beginner and has no `limit`."""

_FOLDER = re.compile(r"\w[\w.-]*", re.ASCII)
_KEYS = {
    "group": ("name", "pipelines"),
    "user": ("key", "name", "folder", "level", "groups", "email", "password", "limit"),
}


def read_world(file: Path, options: Options) -> Options:
    """Return options with the users and groups of a file; raises ValueError, in plain words."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ValueError(f"{file} is not TOML: {error}.") from error
    try:
        return _with_people(tables, options)
    except _Mistake as mistake:
        raise ValueError(f"{file}: {mistake}") from mistake


class _Mistake(Exception):
    """One sentence on what is wrong in the file."""


@dataclass(frozen=True)
class _Table:
    """One [[group]] or [[user]], and how it is named in a sentence."""

    name: str
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise _Mistake(f'{self.name} needs a text for "{key}".')
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _Mistake(f'"{key}" of {self.name} is no list of texts.')
        return tuple(value)

    def limit(self) -> int | None:
        value = self.values.get("limit")
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise _Mistake(f'"limit" of {self.name} is no whole number above 0.')
        return value


def _with_people(tables: Mapping[str, Any], options: Options) -> Options:
    for name in tables:
        if name not in _KEYS:
            raise _Mistake(f'"{name}" means nothing here; there are [[group]] and [[user]].')
    rights = {name: table.texts("pipelines") for name, table in _groups(tables)}
    users = dict(_user(table, rights) for table in _tables(tables, "user"))
    if not users:
        raise _Mistake("there is no [[user]], so nobody could come in.")
    return replace(
        options,
        users=MappingProxyType(users),
        groups=tuple(rights),
        rights=MappingProxyType(rights),
    )


def _tables(tables: Mapping[str, Any], kind: str) -> list[_Table]:
    """Return the tables of one kind, each with known keys only and with what makes it unlike others."""
    found = tables.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise _Mistake(f'each {kind} begins with "[[{kind}]]", in double brackets.')
    named = [_Table(f"{kind} {number}", table) for number, table in enumerate(found, start=1)]
    for table in named:
        for key in table.values.keys() - set(_KEYS[kind]):
            raise _Mistake(f'{table.name} has "{key}"; known are {", ".join(_KEYS[kind])}.')
    for key in ("key", "folder", "email") if kind == "user" else ("name",):
        _refuse_twins(kind, key, (table.text(key) for table in named))
    return named


def _refuse_twins(kind: str, key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for number, value in enumerate(values, start=1):
        if value in seen:
            raise _Mistake(f'{kind} {number} has the same "{key}" as one before it.')
        seen.add(value)


def _groups(tables: Mapping[str, Any]) -> Iterator[tuple[str, _Table]]:
    for table in _tables(tables, "group"):
        name = table.text("name")
        if "/" in name or name.startswith("."):
            raise _Mistake(f'"{name}" cannot name a folder: a group needs a name without a slash.')
        yield name, table


def _user(table: _Table, groups: Iterable[str]) -> tuple[str, User]:
    folder, member_of = table.text("folder"), table.texts("groups")
    if not _FOLDER.fullmatch(folder):
        raise _Mistake(f'"folder" of {table.name} takes letters, digits and ". _ -" only.')
    if unknown := [name for name in member_of if name not in groups]:
        raise _Mistake(f'{table.name} is in "{unknown[0]}", and there is no such [[group]].')
    level = _level(table)
    limit = table.limit() or (None if level is Level.BEGINNER else MANY)
    name, email = table.text("name"), table.text("email")
    user = User(name, folder, member_of, email, table.text("password"), level, limit)
    return table.text("key"), user


def _level(table: _Table) -> Level:
    try:
        return Level(table.text("level"))
    except ValueError as error:
        known = ", ".join(Level)
        raise _Mistake(f'"level" of {table.name} is one of {known}.') from error
