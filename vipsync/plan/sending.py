"""Which local files must go where on VIP, and which are surely there.

Nothing on VIP is ever replaced: a place belongs to one content for ever, and a file with other
content goes to the next version folder. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum, auto
from itertools import count
from pathlib import PurePosixPath

from msgspec import Struct

from vipsync import actions as do
from vipsync.cases.values import files_on_vip, vip_rel
from vipsync.errors import NameRefused
from vipsync.model import (
    Case,
    InputFile,
    InputFolder,
    InputValue,
    Lender,
    PackedFolder,
    RelPath,
    Text,
    VipPath,
)
from vipsync.names import parent, version_of, version_path, vip_relpath
from vipsync.plan.draft import Draft, Level
from vipsync.plan.memory import FIRST_PAUSE, LIST_AGAIN, LONGEST_PAUSE
from vipsync.plan.privacy import Gate, Send, holds_up
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.transfer_limits import may_send
from vipsync.record.digests import STATES, members_digest, states_digest
from vipsync.rows import SendStatus, Sent

MOST_WRONG = 5
"""Times that VIP stores a file in a wrong size after which a person is told."""

MOST_VERSIONS = 10
"""Contents of one file that lie on VIP, after which a person is asked."""


class _Fit(Enum):
    """What lies at a place, seen from the file that is to lie there."""

    FREE = auto()
    OURS = auto()
    UNSURE = auto()  # the file was touched since: only its hash can tell
    TAKEN = auto()


class Placement(Struct, frozen=True):
    """Where a value is on VIP (`vip`, once it is surely there), or what must be done first."""

    vip: str | None
    todo: tuple[do.Action, ...] = ()

    @property
    def blocked(self) -> bool:
        """Tell whether a value may not go, or waits for another session to send it."""
        return self.vip is None and not self.todo


class InputPlaces:
    """Find the place of every input value of one snapshot; remembers what it found.

    `tells`: what the privacy gate would refuse goes all the same.
    """

    def __init__(self, snapshot: Snapshot, *, tells: bool = False) -> None:
        self.s = snapshot
        self.gate = Gate(snapshot, tells=tells)
        self._found: dict[InputValue, Placement] = {}
        self._below: defaultdict[VipPath, set[VipPath]] | None = None
        self._in_a_file: dict[VipPath, bool] = {}

    def place(self, value: InputValue) -> Placement:
        """Say where a value is, or what brings it there."""
        if isinstance(value, Text):
            return Placement(None if self.gate.names_somebody(value.text) else value.text)
        found = self._found.get(value)
        if found is None:
            lender = self.s.lender
            found = self._borrow(value, lender) if lender else self._judged(self._place(value))
            self._found[value] = found
        return found

    def named(self, case: Case) -> tuple[VipPath, ...]:
        """Return the files and folders that a case takes from where they lie on VIP already."""
        return files_on_vip(case, self.s.descriptor) if self.s.descriptor else ()

    def unseen(self, case: Case) -> bool:
        """Tell whether nobody has looked yet for something that a case takes from VIP."""
        return any(parent(path) not in self.s.memory.files_seen for path in self.named(case))

    def absent(self, case: Case) -> list[VipPath]:
        """Return what a case takes from VIP and was not found there."""
        seen = self.s.memory.files_seen
        places = ((path, seen.get(parent(path))) for path in self.named(case))
        return [path for path, there in places if there and path not in there[1].entries]

    def blocked(self, values: Iterable[InputValue]) -> bool:
        """Tell whether one of these values may not go, or waits for another session to send it."""
        return any(self.place(value).blocked for value in values)

    def refused(self, case: Case) -> str:
        """Say why the privacy gate keeps a case from VIP, "" where it does not."""
        why = self.gate.why_not(case)
        return why if why and self.blocked(case.values.values()) else ""

    def sha256(self, path: RelPath) -> str | None:
        """Return the hash of a local file as it is now, or None where nobody knows it."""
        known = self.s.state.known.get(path)
        if known and known.state == self.s.files.get(path):
            return known.sha256
        lender = self.s.lender
        if lender is None:
            return None
        lent = lender.files.get(path)
        return lent.sha256 if lent else lender.hashes.get(path)

    def _judged(self, placed: Placement) -> Placement:
        """Put what judges a file before its transfer; leave out what may not go, and what goes with it."""
        if not self.gate.kept or not any(isinstance(a, do.SENDS) for a in placed.todo):
            return placed
        steps = [self.gate.before(a) if isinstance(a, do.SENDS) else (a,) for a in placed.todo]
        todo = _each_once([action for step in steps for action in step])
        if () in steps or any(isinstance(a, do.Inspect) for a in todo):
            todo = tuple(a for a in todo if not isinstance(a, do.SENDS))
        return Placement(None, todo)

    def _borrow(self, value: InputFile | InputFolder | PackedFolder, lender: Lender) -> Placement:
        """Return where the lender has a value on VIP; nothing is ever sent from here."""
        match value:
            case InputFile():
                lent = lender.files.get(value.path)
                fits = lent is not None and lent.vip.endswith(f"/{vip_rel(value)}")
                return Placement(lent.vip if lent and fits else None)
            case PackedFolder():
                hashes = ((path, self.sha256(path)) for path in value.members)
                digest = members_digest(hashes, value.path if value.bare else None)
                return Placement(lender.packs.get((digest, value.kind)))
            case InputFolder():
                return Placement(_common_root(value, lender))

    def _place(self, value: InputFile | InputFolder | PackedFolder) -> Placement:
        for version in count(1):
            if isinstance(value, PackedFolder):
                placed = self._place_packed(value, self._root(value, version))
            elif isinstance(value, InputFolder) and self._holds_more(value, version):
                continue
            else:
                placed = self._place_version(_members(value), version)
            if placed is None:
                continue
            vip = None if placed else self._there(self._root(value, version))
            return Placement(vip, _each_once(placed))
        raise AssertionError("versions never end")

    def _there(self, vip: VipPath) -> VipPath:
        """Return a place as the ledger has it: one text in memory, not two."""
        row = self.s.state.sent.get(vip)
        return row.vip if row else vip

    def _holds_more(self, value: InputFolder, version: int) -> bool:
        """Tell whether this version of a folder has files on VIP that are no longer in it here."""
        root = self.s.state.session.vip_input_dir
        mine = {version_path(root, version, rel) for _, rel in _members(value)}
        return not self._sent_below(self._root(value, version)) <= mine

    def _sent_below(self, folder: VipPath) -> set[VipPath]:
        """Return the places below a folder on VIP to which something was sent."""
        if self._below is None:
            self._below = defaultdict(set)
            for row in self.s.state.sent.values():
                above = (
                    PurePosixPath(row.vip).parents if row.status is not SendStatus.REMOVED else ()
                )
                for one in above:
                    self._below[VipPath(str(one))].add(row.vip)
        return self._below.get(folder, set())

    def _place_packed(self, value: PackedFolder, vip: VipPath) -> list[do.Action] | None:
        """Return what is left to do for an archive at this place; None where another one lies there."""
        members = tuple((path, self.s.files[path]) for path in value.members)
        send = do.SendPack(vip, value.path, value.kind, members, bare=value.bare)
        bare = value.path if value.bare else None
        row = self.s.state.sent.get(vip)
        if self._cannot_be(vip, row):
            return None
        if row is None or row.status is SendStatus.REMOVED:
            return None if self._is_listed(vip) else [send]
        if row.status is SendStatus.TRYING and row.sha256.startswith(STATES):
            return [send] if row.sha256 == states_digest(members, bare) else None
        hashes = [(path, self.sha256(path)) for path in value.members]
        unread = [do.HashFile(path, self.s.files[path]) for path, sha256 in hashes if not sha256]
        if unread:
            return [*unread]
        if row.sha256 != members_digest(hashes, bare):
            return None
        if row.status is SendStatus.SENT:
            return self._still_there(parent(vip))
        return [send] if row.status is SendStatus.TRYING else None  # it vanished from there

    def _still_there(self, folder: VipPath) -> list[do.Action]:
        """Return the look without which it is not sure that what was sent to a folder is there."""
        listing = self.s.memory.listings.get(folder)
        recent = listing is not None and listing.at + LIST_AGAIN > self.s.now
        return [] if recent else [do.LookAtFolder(folder)]

    def _place_version(
        self, members: Sequence[tuple[RelPath, str]], version: int
    ) -> list[do.Action] | None:
        """Return what is left to do for this version; None where something else lies there."""
        todo: list[do.Action] = []
        for path, rel in members:
            vip = version_path(self.s.state.session.vip_input_dir, version, rel)
            match self._fit(path, vip):
                case _Fit.TAKEN:
                    return None
                case _Fit.FREE:
                    todo.append(do.SendFile(vip, path, self.s.files[path]))
                case _Fit.UNSURE:
                    todo.append(do.HashFile(path, self.s.files[path]))
                case _Fit.OURS:
                    todo.extend(self._confirm(self.s.state.sent[vip], path))
        unsure: list[do.Action] = [a for a in todo if isinstance(a, do.HashFile)]
        return unsure or todo

    def _fit(self, path: RelPath, vip: VipPath) -> _Fit:
        row, state = self.s.state.sent.get(vip), self.s.files[path]
        if self._cannot_be(vip, row):
            return _Fit.TAKEN
        if row is None or row.status is SendStatus.REMOVED:
            return _Fit.TAKEN if self._is_listed(vip) else _Fit.FREE
        if row.status is SendStatus.WRONG:
            return _Fit.TAKEN
        if row.path == path and row.state == state:
            return _Fit.OURS
        if not row.sha256 or row.size != state.size:
            return _Fit.TAKEN
        sha256 = self.sha256(path)
        if sha256 is None:
            return _Fit.UNSURE
        return _Fit.OURS if sha256 == row.sha256 else _Fit.TAKEN

    def _cannot_be(self, vip: VipPath, row: Sent | None) -> bool:
        """Tell whether a folder lies at this place, or a file where a folder above it should be."""
        if row and row.status is SendStatus.SENT:
            return False
        return vip in self.s.memory.folders or self._is_in_a_file(parent(vip))

    def _is_in_a_file(self, folder: VipPath) -> bool:
        """Tell whether a folder cannot be made, since a file lies there or above."""
        if len(folder) <= len(self.s.state.session.vip_input_dir) + 1:
            return False
        if folder not in self._in_a_file:
            row = self.s.state.sent.get(folder)
            there = row is not None and row.status is not SendStatus.REMOVED
            is_file = there or self._is_listed(folder)
            self._in_a_file[folder] = is_file or self._is_in_a_file(parent(folder))
        return self._in_a_file[folder]

    def _is_listed(self, vip: VipPath) -> bool:
        """Tell whether a file was seen at this place."""
        listing = self.s.memory.listings.get(parent(vip))
        return listing is not None and vip in listing.sizes

    def _confirm(self, row: Sent, path: RelPath) -> list[do.Action]:
        """Return what makes sure that a file which we sent, or tried to, lies there."""
        send, folder = do.SendFile(row.vip, path, self.s.files[path]), parent(row.vip)
        listing = self.s.memory.listings.get(folder)
        if row.status is SendStatus.SENT:
            return self._still_there(folder)
        attempt = self.s.memory.attempts.get(do.key(send))
        if attempt and attempt.not_before > self.s.now:
            return [send]
        if folder not in self.s.memory.missing and (
            listing is None
            or listing.order <= self.s.memory.touched.get(folder, -1)
            # A transfer that failed may still have completed meanwhile (facts 3.5).
            or (attempt is not None and listing.at < attempt.not_before)
        ):
            return [do.LookAtFolder(folder)]
        if listing and row.vip in listing.sizes and not row.sha256:
            return [do.HashFile(path, self.s.files[path])]
        return [send]

    def _root(self, value: InputFile | InputFolder | PackedFolder, version: int) -> VipPath:
        return version_path(self.s.state.session.vip_input_dir, version, vip_rel(value))


def _each_once(actions: Sequence[do.Action]) -> tuple[do.Action, ...]:
    return tuple(dict.fromkeys(actions) if len(actions) > 1 else actions)


def _members(value: InputFile | InputFolder) -> list[tuple[RelPath, str]]:
    if isinstance(value, InputFile):
        return [(value.path, vip_rel(value))]
    return [(member, vip_relpath(member)) for member in value.members]


def _common_root(value: InputFolder, lender: Lender) -> VipPath | None:
    """Return the folder on VIP where the lender has all members of a folder together."""
    root, roots = vip_rel(value), set()
    for member in value.members:
        lent, rel = lender.files.get(member), vip_relpath(member)
        if lent is None or not lent.vip.endswith(f"/{rel}"):
            return None
        roots.add(lent.vip.removesuffix(rel))
    return VipPath(roots.pop() + root) if len(roots) == 1 else None


def to_upload(snapshot: Snapshot, places: InputPlaces) -> list[RelPath]:
    """Return the settled files that go up although no case needs them, in a content never sent."""
    used_only = snapshot.settings.inputs.upload != "all" and snapshot.settings.pipeline_id
    if used_only or snapshot.lender:
        return []
    files = snapshot.files
    went = {
        row.path
        for row in snapshot.state.sent.values()
        if row.status in (SendStatus.SENT, SendStatus.REMOVED)
        and row.path in files
        and (row.state == files[row.path] or row.sha256 == places.sha256(row.path))
    }
    return [
        path
        for path in files
        if path not in went and path not in snapshot.unsettled and path not in snapshot.named
    ]


def to_read_again(paths: Iterable[RelPath], places: InputPlaces) -> list[do.HashFile]:
    """Return the hashes of files that were touched since they were known: only these can tell."""
    known, files = places.s.state.known, places.s.files
    return [
        do.HashFile(path, files[path])
        for path in paths
        if path in known and places.sha256(path) is None
    ]


def set_aside(snapshot: Snapshot, places: InputPlaces) -> list[Sent]:
    """Return rows by which files that were not sent before the end count as sent, and removed."""
    rows = []
    for path in to_upload(snapshot, places):
        with suppress(NameRefused):
            vip = _unused_place(path, snapshot)
            state = snapshot.files[path]
            rows.append(Sent(vip, path, state, SendStatus.REMOVED, at=snapshot.wall))
    return rows


def _unused_place(path: RelPath, snapshot: Snapshot) -> VipPath:
    """Return the first place of a file to which nothing was ever sent."""
    root, sent = snapshot.state.session.vip_input_dir, snapshot.state.sent
    places = (version_path(root, version, vip_relpath(path)) for version in count(1))
    return next(place for place in places if place not in sent)


def plan_sending(draft: Draft, todo: Iterable[do.Action]) -> None:
    """Add hashes, folders, looks and transfers in the order in which they are possible.

    The biggest files go first, so that no long tail remains.
    """
    wanted = list(dict.fromkeys(todo))
    sends = [a for a in wanted if isinstance(a, do.SENDS)]
    busy = {parent(a.vip) for a in sends if not draft.failing(a)}
    judging = False
    for action in wanted:
        match action:
            case do.HashFile():
                draft.add(action)
            case do.Inspect():
                judging = draft.add(action) or judging
            case do.LookAtFolder() if action.path not in busy and _quiet(draft, action.path):
                draft.add(action)
            case _:
                pass
    if holds_up(draft, judging=judging) or (sends and not may_send(draft)):
        return
    spent = {_local(send): None for send in sends if _too_many(draft, send)}
    _say_spent(draft, list(spent))
    ready = _with_folders(draft, [send for send in sends if _local(send) not in spent])
    for send in sorted(ready, key=lambda a: (-a.state.size, a.vip)):
        if not _too_soon(draft, send):
            draft.add(send)


def held_back(draft: Draft, action: do.Action) -> bool:
    """Tell whether an action waits because of what became of it, or of copies sent before it."""
    if isinstance(action, do.SENDS) and (
        not draft.s.limits.sending or _too_many(draft, action) or _too_soon(draft, action)
    ):
        return True
    return draft.failing(action)


def _local(send: Send) -> RelPath:
    return send.path if isinstance(send, do.SendFile) else send.folder


def _wrong(draft: Draft, send: Send) -> int:
    """Return how often VIP has stored a file in a wrong size."""
    return sum(r.status is SendStatus.WRONG for r in draft.s.state.sent_from(_local(send)))


def _too_many(draft: Draft, send: Send) -> bool:
    """Tell whether as many contents of a file lie on VIP as go there unasked."""
    version = version_of(draft.s.state.session.vip_input_dir, send.vip)
    return version > MOST_VERSIONS and version - _wrong(draft, send) > MOST_VERSIONS


def _say_spent(draft: Draft, spent: Sequence[RelPath]) -> None:
    if spent:
        more = f", and as many of {len(spent) - 1} more" if len(spent) > 1 else ""
        text = f"{MOST_VERSIONS} versions of it{more} are on VIP: no other is sent unasked."
        remedy = "Give the new content another name, or finish the session: it then begins anew."
        draft.notice(Level.PERSON, spent[0], text, remedy)


def _too_soon(draft: Draft, send: Send) -> bool:
    """Tell whether VIP has stored a file in a wrong size so often that the next copy must wait."""
    wrong = _wrong(draft, send)
    if wrong < 2:
        return False
    pause, lasting = (
        min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(wrong, 10))),
        wrong >= MOST_WRONG,
    )
    age = draft.since(f"wrong size {send.vip}")
    if lasting:
        text = f"VIP has stored it {wrong} times in another size than was sent."
        draft.notice(
            Level.PERSON, send.vip, text, "It is sent again; tell VIP's support if it lasts."
        )
    if age < pause:
        draft.wait(draft.s.now + pause - age, lasting=lasting)
    return age < pause


def _quiet(draft: Draft, folder: VipPath) -> bool:
    """Tell whether no transfer into the folder is under way: a list would miss its end."""
    return not any(
        key.kind in do.SENDS and parent(VipPath(key.subject)) == folder
        for key in draft.s.memory.under_way
    )


def _with_folders(draft: Draft, sends: Sequence[Send]) -> list[Send]:
    """Return the transfers whose folder is on VIP; add what brings the other folders there."""
    by_folder: defaultdict[VipPath, list[Send]] = defaultdict(list)
    for send in sends:
        by_folder[parent(send.vip)].append(send)
    ready: list[Send] = []
    looking = draft.keys | draft.s.memory.under_way
    for folder in sorted(by_folder):
        # A list that is under way would miss what is sent meanwhile, and read as "not there".
        if _bring_folder(draft, folder) and do.key(do.LookAtFolder(folder)) not in looking:
            ready += by_folder[folder]
    return ready


def _bring_folder(draft: Draft, folder: VipPath) -> bool:
    """Tell whether a folder is on VIP and was looked into; else add the next step towards it."""
    memory = draft.s.memory
    if folder in memory.folders and (memory.fresh or folder in memory.listings):
        return True
    if folder in memory.missing or memory.fresh:
        if parent(folder) in memory.folders or _bring_folder(draft, parent(folder)):
            draft.add(do.MakeFolder(folder))
        return False
    draft.add(do.LookAtFolder(folder))
    return False


def settled(files: Iterable[RelPath], snapshot: Snapshot) -> bool:
    """Tell whether none of these files still changes."""
    return not any(f in snapshot.unsettled for f in files)
