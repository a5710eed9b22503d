"""The cases of one moment by what is to be done with them, and where their inputs are on VIP.

A case is launched once for the content of its own files. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct

from vipsync import actions as do
from vipsync.model import (
    Case,
    InputFile,
    InputFolder,
    PackedFolder,
    RelPath,
    Text,
)
from vipsync.plan.launching import is_refused
from vipsync.plan.sending import InputPlaces
from vipsync.plan.snapshot import Snapshot
from vipsync.record.digests import cached_digest
from vipsync.rows import Judged, Launch, LaunchedCase, LaunchStatus, Verdict


def case_content(case: Case, places: InputPlaces) -> str | None:
    """Return what identifies a case: the content of its own files, its names and varying texts.

    Which parameter has which file counts too: x on y is not y on x. None while a file's hash is not
    known. The text of its pattern does not count.
    """
    hashes = tuple(map(places.sha256, case.own))
    if None in hashes:
        return None
    varying = places.s.settings.input_settings
    texts = tuple(
        (name, value.text)
        for name, value in sorted(case.values.items())
        if isinstance(value, Text) and isinstance(varying.get(name), tuple)
    )
    own = tuple(zip(case.own, hashes, strict=True))
    names = tuple(sorted(case.names.values()))
    parameters = _by_parameter(case)
    return cached_digest((own, names, texts, parameters) if parameters else (own, names, texts))


def _by_parameter(case: Case) -> tuple[str, ...]:
    """Return which own file or folder each parameter has, in their order; nothing where one has all."""
    if len(case.own) < 2:
        return ()
    own = frozenset(case.own)
    found = tuple(
        value.path
        for _, value in sorted(case.values.items())
        if not isinstance(value, Text) and not own.isdisjoint(_files(value))
    )
    return found if len(found) > 1 else ()


def _files(value: InputFile | InputFolder | PackedFolder) -> tuple[RelPath, ...]:
    return (value.path,) if isinstance(value, InputFile) else value.members


def settings_digest(case: Case, places: InputPlaces) -> str:
    """Return what else a case ran with: pipeline, shared files and the values of all cases."""
    fixed = tuple(
        (name, value.text) for name, value in sorted(case.values.items()) if isinstance(value, Text)
    )
    shared = tuple((path, places.sha256(path)) for path in case.shared)
    return cached_digest((places.s.settings.pipeline_id, fixed, shared))


class CaseIndex(Struct):
    """The complete cases of a snapshot by what is to be done with them.

    `content` is by the case's id; `launches`, and `refused` with what VIP said no to, are by content.
    `unknown` have no hash yet: their files are sent first, or read. `denied` would be new, but VIP has
    said no to just these.
    """

    places: InputPlaces
    new: list[Case] = []
    denied: list[Case] = []
    unknown: list[Case] = []
    settling: list[Case] = []
    content: dict[str, str] = {}
    launches: dict[str, list[Launch]] = {}
    refused: dict[str, list[Launch]] = {}

    def wanted(self) -> list[Case]:
        """Return the cases that are to be launched, or may be once their files were read.

        Those whose files another session has yet to send are left out, and those whose files were to
        be on VIP and were not found there.
        """
        by_itself = self.places.s.settings.launch.when == "new"
        cases = [*self.new, *self.unknown] if by_itself else self.new
        cases = [case for case in cases if not self.places.absent(case)]
        if self.places.s.lender is None:
            return cases
        return [case for case in cases if not self.places.blocked(case.values.values())]

    def judged(self, case: Case) -> Judged | None:
        """Return what was decided of a case before it is launched, or instead."""
        return self.places.s.state.judged.get(self.content.get(case.id, ""))

    def request(self, case: Case) -> str:
        """Return the request that asked for this launch, empty where it is the ordinary one."""
        judged = self.judged(case)
        asked = judged is not None and judged.verdict in (Verdict.GO, Verdict.AGAIN)
        return judged.request if judged and asked else ""


def index_cases(snapshot: Snapshot) -> CaseIndex:
    """Tell new cases from those that were launched or judged, and from those that still change."""
    launches = snapshot.state.launches.values()
    took = (LaunchStatus.INTENDED, LaunchStatus.STARTED)
    index = CaseIndex(
        InputPlaces(snapshot),
        launches=_by_content(x for x in launches if x.status in took),
        refused=_by_content(x for x in launches if is_refused(x, snapshot.wall)),
    )
    for case in snapshot.cases.cases:
        if not case.complete:
            continue
        if snapshot.unsettled and any(p in snapshot.unsettled for p in (*case.own, *case.shared)):
            index.settling.append(case)
            continue
        content = case_content(case, index.places)
        if content is None:
            index.unknown.append(case)
            continue
        index.content[case.id] = content
        if _is_due(case, index):
            (index.denied if _still_refused(case, index) else index.new).append(case)
    return index


def _still_refused(case: Case, index: CaseIndex) -> bool:
    """Tell whether VIP refused this very case with these very settings, for the same request."""
    content = index.content[case.id]
    if content not in index.refused:
        return False
    now, request = settings_digest(case, index.places), index.request(case)
    return any(
        c.content == content and c.settings == now
        for launch in index.refused[content]
        if launch.request == request
        for c in launch.cases
    )


def _by_content(launches: Iterable[Launch]) -> dict[str, list[Launch]]:
    found: defaultdict[str, list[Launch]] = defaultdict(list)
    for launch in sorted(launches, key=lambda launch: (launch.at, launch.run)):
        for case in launch.cases:
            found[case.content].append(launch)
    return dict(found)


def _is_due(case: Case, index: CaseIndex) -> bool:
    launches = index.launches.get(index.content[case.id], ())
    judged = index.judged(case)
    match judged.verdict if judged else None:
        case Verdict.AGAIN:
            return judged is not None and all(x.request != judged.request for x in launches)
        case Verdict.GO:
            return not launches
        case None:
            return not launches and index.places.s.settings.launch.when == "new"
        case _:
            return False


def to_learn(index: CaseIndex) -> dict[str, do.Action]:
    """Return, by case, a hash without which nobody knows whether the case is new.

    A file that was never known is not read twice: it is hashed while it is sent.
    """
    known = index.places.s.state.known
    return {
        case.id: do.HashFile(path, index.places.s.files[path])
        for case in index.unknown
        for path in case.own
        if index.places.sha256(path) is None and path in known
    }


def to_read(index: CaseIndex) -> list[do.Action]:
    """Return every hash that is needed to know the content of all complete cases."""
    return [
        do.HashFile(path, index.places.s.files[path])
        for case in index.unknown
        for path in case.own
        if index.places.sha256(path) is None
    ]


def outdated(index: CaseIndex) -> list[str]:
    """Return the cases whose last launch had other shared files or settings than there are now."""
    if not index.launches:
        return []
    cases = {case.id: case for case in index.places.s.cases.cases}
    old = []
    for case_id, content in sorted(index.content.items()):
        launches = index.launches.get(content)
        if not launches:
            continue
        then = next(c.settings for c in launches[-1].cases if c.content == content)
        if then != settings_digest(cases[case_id], index.places):
            old.append(case_id)
    return old


def changed_since(ids: Iterable[str], index: CaseIndex) -> dict[str, tuple[Launch, LaunchedCase]]:
    """Return the last launch of these cases with other content than now, but for what a person runs again."""
    judged = index.places.s.state.judged
    again = {content for content, j in judged.items() if j.verdict is Verdict.AGAIN}
    known = {id_: index.content[id_] for id_ in ids if id_ in index.content}
    now = {id_: content for id_, content in known.items() if content not in again}
    found: dict[str, tuple[Launch, LaunchedCase]] = {}
    ran: set[str] = set()
    for launch, case in _in_order(index) if now else ():
        if case.content == now.get(case.id):
            ran.add(case.id)
        elif case.id in now and case.id not in ran:
            found[case.id] = launch, case
    return found


def _in_order(index: CaseIndex) -> Iterator[tuple[Launch, LaunchedCase]]:
    """Yield each case of each launch that VIP took, the oldest first."""
    launches = {launch.name: launch for found in index.launches.values() for launch in found}
    for launch in sorted(launches.values(), key=lambda launch: (launch.at, launch.run)):
        yield from ((launch, case) for case in launch.cases)
