"""Tell new cases from those that were launched or judged, and from those that still change.

A case is launched once for the content of its own files. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

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
from vipsync.plan.sending import Placer
from vipsync.plan.snapshot import Snapshot
from vipsync.record.digests import cached_digest
from vipsync.rows import Launch, LaunchStatus, Verdict


def case_content(case: Case, snapshot: Snapshot, placer: Placer) -> str | None:
    """Return what identifies a case: the content of its own files, its names and varying texts.

    Which parameter has which file counts too: x on y is not y on x. None while a file's hash is not
    known. The text of its pattern does not count.
    """
    hashes = tuple(map(placer.sha256, case.own))
    if None in hashes:
        return None
    varying = snapshot.settings.input_settings
    texts = tuple(
        (name, value.text)
        for name, value in sorted(case.values.items())
        if isinstance(value, Text) and isinstance(varying.get(name), tuple)
    )
    own = tuple(zip(case.own, hashes, strict=True))
    names = tuple(sorted(case.names.values()))
    places = _places(case)
    return cached_digest((own, names, texts, places) if places else (own, names, texts))


def _places(case: Case) -> tuple[str, ...]:
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


def settings_digest(case: Case, snapshot: Snapshot, placer: Placer) -> str:
    """Return what else a case ran with: pipeline, shared files and the values of all cases."""
    fixed = tuple(
        (name, value.text) for name, value in sorted(case.values.items()) if isinstance(value, Text)
    )
    shared = tuple((path, placer.sha256(path)) for path in case.shared)
    return cached_digest((snapshot.settings.pipeline_id, fixed, shared))


class Sorted(Struct):
    """The complete cases of a snapshot by what is to be done with them."""

    new: list[Case] = []
    unknown: list[Case] = []  # no hash yet: sent first, or read
    settling: list[Case] = []
    content: dict[str, str] = {}  # case id → content
    launches: dict[str, list[Launch]] = {}  # content → launches
    refused: dict[str, list[Launch]] = {}  # content → what VIP said no to

    def wanted(self, placer: Placer) -> list[Case]:
        """Return the cases that are to be launched, or may be once their files were read.

        Those whose files another session has yet to send are left out.
        """
        by_itself = placer.s.settings.launch.when == "new"
        cases = [*self.new, *self.unknown] if by_itself else self.new
        if placer.s.lender is None:
            return cases
        return [case for case in cases if not placer.blocked(case.values.values())]

    def request(self, case: Case, snapshot: Snapshot) -> str:
        """Return the request that asked for this launch, empty where it is the ordinary one."""
        judged = snapshot.state.judged.get(self.content.get(case.id, ""))
        asked = judged is not None and judged.verdict in (Verdict.GO, Verdict.AGAIN)
        return judged.request if judged and asked else ""


def sort_cases(snapshot: Snapshot, placer: Placer) -> Sorted:
    """Tell new cases from those that were launched or judged, and from those that still change."""
    launches = snapshot.state.launches.values()
    found = Sorted(
        launches=_by_content(launches, LaunchStatus.INTENDED, LaunchStatus.STARTED),
        refused=_by_content(launches, LaunchStatus.REFUSED),
    )
    for case in snapshot.cases.cases:
        if not case.complete:
            continue
        if snapshot.unsettled and any(p in snapshot.unsettled for p in (*case.own, *case.shared)):
            found.settling.append(case)
            continue
        content = case_content(case, snapshot, placer)
        if content is None:
            found.unknown.append(case)
            continue
        found.content[case.id] = content
        if _is_due(content, found, snapshot) and not _still_refused(case, found, placer):
            found.new.append(case)
    return found


def _still_refused(case: Case, found: Sorted, placer: Placer) -> bool:
    """Tell whether VIP refused this very case with these very settings, for the same request."""
    content = found.content[case.id]
    if content not in found.refused:
        return False
    now, request = settings_digest(case, placer.s, placer), found.request(case, placer.s)
    return any(
        c.content == content and c.settings == now
        for launch in found.refused[content]
        if launch.request == request
        for c in launch.cases
    )


def _by_content(launches: Iterable[Launch], *statuses: LaunchStatus) -> dict[str, list[Launch]]:
    found: defaultdict[str, list[Launch]] = defaultdict(list)
    for launch in sorted(launches, key=lambda launch: (launch.at, launch.run)):
        if launch.status in statuses:
            for case in launch.cases:
                found[case.content].append(launch)
    return dict(found)


def _is_due(content: str, found: Sorted, snapshot: Snapshot) -> bool:
    launches = found.launches.get(content, ())
    judged = snapshot.state.judged.get(content)
    match judged.verdict if judged else None:
        case Verdict.AGAIN:
            return judged is not None and all(x.request != judged.request for x in launches)
        case Verdict.GO:
            return not launches
        case None:
            return not launches and snapshot.settings.launch.when == "new"
        case _:
            return False


def to_learn(found: Sorted, placer: Placer) -> dict[str, do.Action]:
    """Return, by case, a hash without which nobody knows whether the case is new.

    A file that was never known is not read twice: it is hashed while it is sent.
    """
    known = placer.s.state.known
    return {
        case.id: do.HashFile(path, placer.s.files[path])
        for case in found.unknown
        for path in case.own
        if placer.sha256(path) is None and path in known
    }


def to_read(found: Sorted, placer: Placer) -> list[do.Action]:
    """Return every hash that is needed to know the content of all complete cases."""
    return [
        do.HashFile(path, placer.s.files[path])
        for case in found.unknown
        for path in case.own
        if placer.sha256(path) is None
    ]


def outdated(found: Sorted, placer: Placer) -> list[str]:
    """Return the cases whose last launch had other shared files or settings than there are now."""
    if not found.launches:
        return []
    cases = {case.id: case for case in placer.s.cases.cases}
    old = []
    for case_id, content in sorted(found.content.items()):
        launches = found.launches.get(content)
        if not launches:
            continue
        then = next(c.settings for c in launches[-1].cases if c.content == content)
        if then != settings_digest(cases[case_id], placer.s, placer):
            old.append(case_id)
    return old
