"""Files that are on VIP already and that settings name there: looked for before anything is launched with them.

PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches

from vipsync import actions as do
from vipsync.model import Case, VipPath
from vipsync.names import last, parent
from vipsync.plan.case_index import CaseIndex
from vipsync.plan.draft import Draft, Level
from vipsync.rows import Phase

LOOK_AGAIN = 300.0
"""Seconds after which a file that was not on VIP is looked for again."""


def looks(index: CaseIndex, *, again: Iterable[VipPath] = ()) -> list[do.LookForFiles]:
    """Return the looks at VIP without which nobody knows whether what cases name is there."""
    found: defaultdict[VipPath, dict[VipPath, None]] = defaultdict(dict)
    for case in _due(index):
        for path in index.places.named(case):
            found[parent(path)][path] = None
    seen = index.places.s.memory.files_seen.keys() - set(again)
    return [do.LookForFiles(f, tuple(paths)) for f, paths in found.items() if f not in seen]


def plan_looks(draft: Draft, index: CaseIndex) -> None:
    """Look for the files that cases name on VIP; say which are not there, and look for them again."""
    s = draft.s
    if s.state.session.phase not in (Phase.CLOSED, Phase.OPEN) or s.state.session.paused:
        return
    absent = {path: None for case in _due(index) for path in index.places.absent(case)}
    by_folder: defaultdict[VipPath, list[VipPath]] = defaultdict(list)
    for path in absent:
        by_folder[parent(path)].append(path)
    again = []
    for folder, paths in by_folder.items():
        at, seen = s.memory.files_seen[folder]
        _say_absent(draft, paths, nearest(paths[0], seen))
        if s.now >= at + LOOK_AGAIN:
            again.append(folder)
        else:
            draft.wait(at + LOOK_AGAIN, lasting=True)
    for look in looks(index, again=again):
        draft.add(look)


def _due(index: CaseIndex) -> Iterable[Case]:
    return (*index.new, *index.unknown)


def _say_absent(draft: Draft, paths: list[VipPath], meant: str) -> None:
    more = f" and {len(paths) - 1} more beside it" if len(paths) > 1 else ""
    hint = f" Did you mean {meant}?" if meant else ""
    draft.notice(
        Level.PERSON,
        paths[0],
        f"It{more} cannot be found on VIP, or this account may not read it.{hint}",
        "Correct settings.toml, or put it there: it is looked for every five minutes.",
    )


def nearest(path: VipPath, seen: do.FilesSeen) -> str:
    """Return the path that was probably meant: as it is, with the next name as it is spelt on VIP."""
    name, slash, rest = path.removeprefix(f"{seen.folder}/").partition("/")
    there = sorted(map(last, seen.entries))
    if name in there:
        return ""
    names, bare = {_bare(n): n for n in there}, _bare(name)
    found = [n for n in names if n.casefold() == bare.casefold()]
    found += get_close_matches(bare, names, n=1)
    return f"{seen.folder}/{names[found[0]]}{slash}{rest}" if found else ""


def _bare(name: str) -> str:
    return name.removesuffix(" (group)")
