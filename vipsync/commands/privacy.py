"""Show what in the files of a folder names somebody: the values too, here alone and on a terminal alone."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vipsync.commands.context import Context, the_session
from vipsync.errors import FolderError, SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import RelPath
from vipsync.observe.observer import Observer
from vipsync.plan.memory import Memory
from vipsync.plan.privacy import Gate
from vipsync.plan.snapshot import Snapshot
from vipsync.privacy.findings import Finding, Inspection, Layer
from vipsync.privacy.inspecting import inspect
from vipsync.privacy.judging import Verdict, judge
from vipsync.report.text import printable
from vipsync.status.preview import known_state
from vipsync.status.status import count

SHOWN = 10
"""Values of one field that are shown, and patterns that a line to paste has at most."""


WRITE = "Where these are pseudonyms, or may go for a reason, "


@dataclass
class Seen:
    """What was found so far: by field the values, and by value the files."""

    files: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    unchecked: set[str] = field(default_factory=set)
    refused: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    told: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    kinds: dict[str, tuple[Layer, str]] = field(default_factory=dict)

    def add(
        self, inspection: Inspection, verdict: Verdict, refuses: Callable[[Finding], bool]
    ) -> None:
        """Take one file in."""
        self.files += 1
        if inspection.format:
            self.formats[inspection.format] += 1
        if verdict.reason:
            self.unknown[verdict.reason] += 1
        if verdict.refuse_unread and not verdict.understood:
            self.refused[verdict.reason][""] += 1
        self.unchecked.update(verdict.not_checked)
        told = {one.field for one in verdict.told}
        for one in inspection.findings:
            if refuses(one):
                self.refused[one.field][one.value] += 1
                self.kinds[one.field] = one.layer, one.of
            elif one.field in told:
                self.told[one.field][one.value] += 1


def show(context: Context, directory: Path, path: Path | None) -> int:
    """Look into the files that go to VIP, or into those at a path, and say what names somebody."""
    folder = the_session(directory)
    observer = Observer(folder, context.overrides)
    snapshot = observer.look(known_state(folder), Memory(), check_place=False)
    if snapshot.settings_error:
        raise SettingsError(snapshot.settings_error)
    gate, seen = Gate(snapshot), Seen()
    chosen = _below(path, folder, observer) if path else ""
    for rel in _used(snapshot):
        if rel == chosen or rel.startswith(f"{chosen}/") or not chosen:
            _look(rel, observer, gate, seen, context)
    values = sys.stdout.isatty()
    for line in _lines(seen, snapshot, values=values):
        context.reporter.say(printable(line))
    if lines := _to_paste(seen, snapshot, values=values):
        context.reporter.say(f"\n{WRITE}{_where(lines, observer.settings_text)}:")
        context.reporter.to_copy("\n".join(lines))
    return 3 if seen.refused else 0


def _below(path: Path, folder: SessionFolder, observer: Observer) -> str:
    """Return a path below inputs/, as it is written or as it lies in the folder of now."""
    for start in (Path.cwd(), folder.root, observer.inputs):
        real = (start / path).resolve()
        if real.exists() and real.is_relative_to(observer.inputs):
            return real.relative_to(observer.inputs).as_posix().removeprefix(".")
    raise FolderError(
        f"{path} is not in {observer.inputs}.", "Name a file or folder inside inputs/."
    )


def _used(snapshot: Snapshot) -> list[RelPath]:
    """Return the files that settings use; all where they cannot be told apart yet."""
    every = snapshot.settings.inputs.upload == "all" or snapshot.descriptor is None
    cases = snapshot.cases.cases
    used = {path for case in cases for path in (*case.own, *case.shared)}
    return sorted(path for path in snapshot.files if every or path in used)


def _look(rel: RelPath, observer: Observer, gate: Gate, seen: Seen, context: Context) -> None:
    policy = gate.s.settings.privacy
    place = observer.inputs / (observer.seen.disk_path(rel) if observer.seen else rel)
    try:
        inspection = inspect(place, rel, names=gate.names)
    except (VipsyncError, OSError):
        context.reporter.warn(f"inputs/{rel} cannot be read.")
        return

    def refuses(one: Finding) -> bool:
        alone = Inspection(inspection.format, (one,))
        return bool(judge(alone, policy, rel).refused)

    seen.add(inspection, judge(inspection, policy, rel), refuses)


# words


def _lines(seen: Seen, snapshot: Snapshot, *, values: bool) -> Iterator[str]:
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(seen.formats.items()))
    yield f"Looked into {count(seen.files, 'file')}{f': {kinds}' if kinds else ''}."
    yield from _fields("Not sent:", seen.refused, values=values)
    yield from _fields("Filled, and sent all the same:", seen.told, values=values)
    if seen.refused and not values:
        yield "The values are shown on a terminal only."
    if seen.unknown:
        yield "Not understood:"
        yield from (f"  {reason}: {count(n, 'file')}" for reason, n in sorted(seen.unknown.items()))
    always = {"pixels", "faces", "the meaning of free text"}
    yield f"Not checked: {', '.join(sorted(always | seen.unchecked))}."


def _fields(title: str, found: dict[str, Counter[str]], *, values: bool) -> Iterator[str]:
    if found:
        yield title
    for name, some in sorted(found.items()):
        yield f"  {name}: {count(some.total(), 'time')}{_values(some) if values else ''}"


def _values(some: Counter[str]) -> str:
    shown = [f"{value!r} ({number:,})" for value, number in some.most_common(SHOWN) if value]
    more = f" and {len(some) - SHOWN:,} more" if len(some) > SHOWN else ""
    return f": {', '.join(shown)}{more}" if shown else ""


def _to_paste(seen: Seen, snapshot: Snapshot, *, values: bool) -> list[str]:
    """Return the lines of settings.toml that let through what is refused."""
    settings = snapshot.settings.privacy
    accept, allow = {k: [*v] for k, v in settings.accept}, dict(settings.allow)
    for name, some in sorted(seen.refused.items()):
        layer, of = seen.kinds.get(name, (Layer.RISK, ""))
        if layer is Layer.FIELD and values and len(some) <= SHOWN:
            accept[name] = [*accept.get(name, []), *map(_literal, sorted(some))]
        elif of not in seen.refused and name not in seen.unknown:
            allow.setdefault(name, "")
    tables: dict[str, dict[str, Any]] = {"accept": accept, "allow": allow}
    return [
        f"{key} = {{ {', '.join(_pairs(table.items()))} }}"
        for key, table in tables.items()
        if table and seen.refused
    ]


def _where(lines: list[str], text: str) -> str:
    """Say where these lines belong; put the head of their table above them where there is none."""
    there = tomllib.loads(text).get("privacy")
    if there is None:
        lines.insert(0, "[privacy]")
        return "write that into settings.toml"
    keys = [key for key in ("accept", "allow") if key in there]
    instead = f", in place of what it says of {' and '.join(keys)}" if keys else ""
    return f"write this under [privacy] in settings.toml{instead}"


def _literal(value: str) -> str:
    """Return the pattern that fits this very value."""
    return re.sub(r"([*?\[])", r"[\1]", value)


def _pairs(items: Iterable[tuple[str, object]]) -> Iterator[str]:
    for name, value in items:
        key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
