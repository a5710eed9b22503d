"""What the privacy gate lets go to VIP, by the verdicts that the ledger holds.

Nothing goes up without a verdict on these very bytes, nothing that was refused, and nothing whose
name holds an identity that was found in a file. PURE: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from vipsync import actions as do
from vipsync.cases.values import text_of
from vipsync.model import (
    Case,
    FileSetting,
    PackSetting,
    RelPath,
    Settings,
    Text,
    replace,
)
from vipsync.names import folders_above
from vipsync.plan.draft import Draft, Level, decide
from vipsync.plan.snapshot import Snapshot
from vipsync.privacy.policy import fingerprint
from vipsync.record.digests import members_digest, names_digest
from vipsync.rows import Checked, Fields, Found, Phase, SendStatus, Sent

Send = do.SendFile | do.SendPack

JUDGING = "files are judged"
"""The condition of a session in which files are being judged."""

LONGEST_HOLD = 300.0
"""Seconds for which files wait until all others are judged: a steady stream of new ones never ends."""

FEW = 200
"""Names up to which each is looked for in every other, at whatever place."""

SHORTEST = 5
"""Letters and digits from which on a text of the settings can name somebody."""


class Gate:
    """Say of the files of one moment whether they may go to VIP, and what must be read to know.

    `barred` are those that were asked about and may not, with why. `tells`: what would be refused
    goes all the same, and is only told.
    """

    def __init__(self, snapshot: Snapshot, *, tells: bool = False) -> None:
        self.s, self.tells = snapshot, tells
        self.kept = bool(snapshot.gate) and snapshot.lender is None
        self.barred: dict[RelPath, Found] = {}

    @cached_property
    def key(self) -> str:
        """What tells this gate and this policy from every other."""
        return f"{self.s.gate} {fingerprint(self.s.settings.privacy)[:24]}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names under which VIP would know a file, beside its path."""
        return (session_name(self.s), *_texts(self.s.settings), *telling(self.s.texts))

    @cached_property
    def _called(self) -> str:
        return names_digest(self.names)

    @cached_property
    def _found_names(self) -> Mapping[str, str]:
        """The names that hold an identity found in some file that is here, each with its field."""
        rows = (row for path, row in self.s.state.suspect.items() if self.holds(path, row))
        return {name.casefold(): field for row in rows for name, field in row.found.names}

    def found(self, path: RelPath) -> Found | None:
        """Return what was found in a file as it is now, None where nobody has looked."""
        row = self.s.state.checked.get(path)
        if row is None or row.called != self._called or not self.holds(path, row):
            return None
        return row.found

    def holds(self, path: RelPath, row: Checked) -> bool:
        """Tell whether a verdict is on the content of now, by this gate and policy; whatever the names."""
        known = self.s.state.known.get(path)
        if known is None or known.sha256 != row.sha256 or known.state != self.s.files.get(path):
            return False
        bare = row.found.bare and row.gate.partition(" ")[0] == self.s.gate
        return bare or row.gate == self.key

    def clear(self) -> Iterator[Found]:
        """Yield what was found in each file that may go as it is now, in the quickest way there is."""
        files, known, same = self.s.files, self.s.state.known, self.key
        for path, row in self.s.state.checked.items() if self.kept else ():
            if row.gate != same and not self.holds(path, row):
                continue
            now = known.get(path)
            if now is None or now.sha256 != row.sha256 or now.state != files.get(path):
                continue
            if not row.found.refused and not self.names_somebody(path):
                yield row.found

    def inspect(self, path: RelPath) -> do.Inspect:
        """Return the action that judges a file."""
        state, known = self.s.files[path], self.s.state.known.get(path)
        sha256 = known.sha256 if known and known.state == state else ""
        policy, beside = self.s.settings.privacy, self._suspects
        return do.Inspect(path, state, self.key, policy, self.names, sha256, beside)

    @cached_property
    def _suspects(self) -> tuple[RelPath, ...]:
        """The files that are here and in which somebody was found."""
        return tuple(p for p, row in self.s.state.suspect.items() if self.holds(p, row))

    def unread(self, paths: Iterable[RelPath]) -> list[do.Inspect]:
        """Return what judges those of these files that nobody has judged."""
        if not self.kept:
            return []
        return [self.inspect(path) for path in dict.fromkeys(paths) if self.found(path) is None]

    def lets(self, *paths: RelPath) -> bool:
        """Tell whether all of these files were judged, and may go; remember those that may not."""
        if not self.kept:
            return True
        looked = [(path, self.found(path)) for path in paths]
        return not [path for path, found in looked if found is None or self._bars(path, found)]

    def lets_case(self, case: Case) -> bool:
        """Tell whether all files and all texts of a case may go."""
        texts = (value.text for value in case.values.values() if isinstance(value, Text))
        return self.lets(*case.own, *case.shared) and not any(map(self.names_somebody, texts))

    def why_not(self, case: Case) -> str:
        """Say which fields keep a case from VIP, "" where none does or nobody has looked yet."""
        if not self.kept or not self.s.state.suspect:
            return ""
        files = (*case.own, *case.shared)
        self.lets(*files)
        found = [self.barred[path].refused for path in files if path in self.barred]
        texts = (value.text for value in case.values.values() if isinstance(value, Text))
        fields = filter(None, map(self.names_somebody, texts))
        found += [((part_of(field, "a parameter"), 1),) for field in fields]
        return f"not sent: {fields_text(found)}" if found else ""

    def names_somebody(self, name: str) -> str:
        """Return the field whose value stands in a name or a path, "" where none does."""
        if not self.kept or self.tells or not self._found_names:
            return ""
        small, names = name.casefold(), self._found_names
        for part in (small, *small.split("/")):
            if part in names:
                return names[part]
        few = names.items() if len(names) <= FEW else ()
        return next((field for found, field in few if found in small), "")

    def masked(self, text: str) -> str:
        """Return a text with a sign in place of each name that holds an identity."""
        if not self.kept or not self._found_names:
            return text
        return self._naming.sub(
            lambda found: "…" if found[0].casefold() in self._found_names else found[0], text
        )

    @cached_property
    def _naming(self) -> re.Pattern[str]:
        """What finds such names in a text; of very many, those alone that stand between blanks or signs."""
        longest_first = sorted(self._found_names, key=len, reverse=True)
        few = "|".join(map(re.escape, longest_first))
        return re.compile(few if len(longest_first) <= FEW else r"[^/\s,;:()]+", re.IGNORECASE)

    def _bars(self, path: RelPath, found: Found) -> bool:
        field = self.names_somebody(path)
        if field:
            found = replace(
                found, refused=tuple({**dict(found.refused), part_of(field, "a path"): 1}.items())
            )
        if found.refused:
            self.barred[path] = found
        return bool(found.refused) and not self.tells

    def before(self, send: Send) -> tuple[do.Action, ...]:
        """Return a transfer bound to the content that may go, or what must be read before it.

        Nothing where it may not go.
        """
        paths = [send.path] if isinstance(send, do.SendFile) else [p for p, _ in send.members]
        if unread := self.unread(paths):
            return tuple(unread)
        return (self._bound(send),) if self.lets(*paths) else ()

    def _bound(self, send: Send) -> Send:
        sha256 = {path: row.sha256 for path, row in self._rows(send)}
        if isinstance(send, do.SendFile):
            return replace(send, sha256=sha256[send.path])
        return replace(send, digest=members_digest(sha256.items()))

    def _rows(self, send: Send) -> Iterator[tuple[RelPath, Checked]]:
        paths = [send.path] if isinstance(send, do.SendFile) else [p for p, _ in send.members]
        return ((path, self.s.state.checked[path]) for path in paths)


def holds_up(draft: Draft, *, judging: bool) -> bool:
    """Tell whether the rest waits: what is found in one file may be in the name of another."""
    return judging and draft.since(JUDGING) < LONGEST_HOLD


def session_name(snapshot: Snapshot) -> str:
    """Return the name of the session on VIP: the one it was opened with, else that of the settings."""
    session = snapshot.state.session
    pinned = session.session_name if session.phase is not Phase.CLOSED else ""
    return pinned or snapshot.settings.session_name


def _texts(settings: Settings) -> list[str]:
    """Return the texts of [input_settings] that can name somebody: words, numbers, names of files, `as`."""
    found: set[str] = set()
    for setting in settings.input_settings.values():
        for item in setting if isinstance(setting, tuple) else (setting,):
            match item:
                case FileSetting():
                    found |= {item.file, item.as_name}
                case PackSetting():
                    found.add(item.as_name or item.folder)
                case _:
                    found.add(text_of(item))
    return telling(found)


def telling(texts: Iterable[str]) -> list[str]:
    """Return those texts that are long enough to name somebody."""
    return sorted({text for text in texts if sum(c.isalnum() for c in text) >= SHORTEST})


# what was sent before it was judged


def plan_judging_the_rest(draft: Draft, gate: Gate) -> None:
    """Judge what lies on VIP already, once for each gate and policy: it is reported, never removed."""
    s, session = draft.s, draft.s.state.session
    if not gate.kept or session.gate == gate.key:
        return
    rows = ((path, s.state.checked.get(path)) for path in on_vip(s))
    paths = [path for path, row in rows if row is None or not gate.holds(path, row)]
    unread = [action for action in map(gate.inspect, paths) if not draft.hopeless(action)]
    for action in unread:
        draft.add(action)
    if not unread:
        decide(draft, "what is on VIP was looked at", replace(session, gate=gate.key))


_THERE = (SendStatus.SENT, SendStatus.ANSWERED)


def on_vip(s: Snapshot, paths: Iterable[RelPath] | None = None) -> list[RelPath]:
    """Return those of these files, of all by default, whose content lies on VIP, alone or packed."""
    sent: dict[str, list[Sent]] = {}
    for row in s.state.sent.values():
        if row.status in _THERE:
            sent.setdefault(row.path, []).append(row)
    return [path for path in (s.files if paths is None else paths) if _lies_in(sent, path, s)]


def _lies_in(sent: Mapping[str, list[Sent]], path: RelPath, s: Snapshot) -> bool:
    known = s.state.known.get(path)
    if known is None or known.state != s.files.get(path):
        return False
    alone = any(row.sha256 == known.sha256 for row in sent.get(path, ()))
    packed = (row for folder in (*folders_above(path), "") for row in sent.get(folder, ()))
    return alone or any(row.may_hold(known.sha256) for row in packed)


def _refused_there(gate: Gate) -> dict[RelPath, Fields]:
    """Return what names somebody in what lies on VIP, would not be sent now, and may be here no more."""
    found = dict[RelPath, Fields]()
    for row in gate.s.state.filled.values():
        if row.status in _THERE and (fields := _unlet(row, gate)):
            found[row.path] = tuple(sorted({*found.get(row.path, ()), *fields}))
    return found


def _unlet(row: Sent, gate: Gate) -> Fields:
    """Return what the settings of now do not let through, by the last verdict, else by what they name."""
    last = gate.s.state.checked.get(row.path)
    if last and (last.sha256, last.gate) == (row.sha256, gate.key):
        return last.found.refused
    privacy = gate.s.settings.privacy
    names = {name for name, _ in (*privacy.accept, *privacy.allow)}
    parts = tuple(part_of(name, "") for name in names)
    filled = row.filled or ()
    return tuple(one for one in filled if one[0] not in names and not one[0].startswith(parts))


# words


def part_of(field: str, where: str) -> str:
    """Say that a part of a field's value is in a name that VIP would get."""
    return f"a part of {field} in {where}"


def fields_text(found: Iterable[tuple[tuple[str, int], ...]]) -> str:
    """Say which fields are filled in how many files: names and numbers, no value."""
    files = Counter(field for one in found for field in dict.fromkeys(f for f, _ in one))
    by_number: dict[int, list[str]] = {}
    for field, number in sorted(files.items(), key=lambda item: (-item[1], item[0])):
        by_number.setdefault(0 if " " in field else number, []).append(field)
    elsewhere = by_number.pop(0, [])
    fields = [f"{', '.join(some)} in {files_text(number)}" for number, some in by_number.items()]
    return "; ".join((*fields, *elsewhere))


def files_text(number: int) -> str:
    """Return a number of files in words."""
    return f"{number:,} file{'' if number == 1 else 's'}"


PRIVACY = "privacy"
"""Subject of what the gate says."""


def say_barred(draft: Draft, gate: Gate) -> None:
    """Say what is not sent, and what would not be sent today and lies on VIP."""
    s = draft.s
    if not gate.kept or gate.tells or s.state.session.phase in (Phase.FINISHING, Phase.REMOVING):
        return
    if field := gate.names_somebody(session_name(s)):
        text = f"Nothing is sent: {part_of(field, 'the name of the session')}."
        remedy = "Write another session_name in settings.toml."
        draft.notice(Level.PERSON, PRIVACY, text, remedy)
    there = set(on_vip(s, s.state.suspect)) if s.state.suspect else set()
    refused = _refused(gate)
    stays = {path: found for path, found in refused.items() if path not in there}
    if stays:
        text = f"{_files(stays)} not sent: {_fields(stays)}."
        it = "the file, or move it" if len(stays) == 1 else "the files, or move them"
        remedy = f"{SEE} Or mend {it} out of inputs/."
        draft.notice(Level.PERSON, PRIVACY, text, remedy)
    alone = {path: found.refused for path, found in refused.items() if path in there}
    packed = {folder for path in alone for folder in (*folders_above(path), "")}
    went = alone | {p: f for p, f in _refused_there(gate).items() if p not in {*alone, *packed}}
    if went:
        text = f"{_files(went)} on VIP, and would not be sent now: {fields_text(went.values())}."
        remedy = (
            f"Nothing is removed without your word; `vipsync finish DIR` removes everything. {SEE}"
        )
        draft.notice(Level.PERSON, PRIVACY, text, remedy)


SEE = "See the values, and the lines that accept them: `vipsync privacy DIR`."


def _refused(gate: Gate) -> dict[RelPath, Found]:
    """Return what was refused of the files that settings use."""
    state, used = gate.s.state, _used(gate.s)
    if not state.suspect:
        return {}
    gate.lets(*used)
    found = {p: row.found for p, row in state.suspect.items() if p in used and gate.holds(p, row)}
    return {path: one for path, one in found.items() if one.refused} | gate.barred


def _used(s: Snapshot) -> frozenset[RelPath]:
    """Return the files that go to VIP, or went there, by the settings."""
    if not s.state.suspect:
        return frozenset()
    if s.settings.inputs.upload == "all" or not s.settings.pipeline_id:
        return frozenset(s.files)
    return frozenset(path for case in s.cases.cases for path in (*case.own, *case.shared))


def _files(found: Mapping[RelPath, object]) -> str:
    return "1 file is" if len(found) == 1 else f"{len(found):,} files are"


def _fields(found: Mapping[RelPath, Found]) -> str:
    return fields_text(one.refused for one in found.values())
