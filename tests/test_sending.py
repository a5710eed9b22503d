"""Where values lie on VIP: files, folders and archives, and inputs that another session lends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.builders import (
    FINISHING,
    HOME,
    INPUTS,
    NOW,
    OPEN,
    known,
    memory,
    sent,
    settings,
    sha256,
    snapshot,
    state_of,
    there,
)
from vipsync import actions as do
from vipsync.model import (
    InputFile,
    InputFolder,
    Lender,
    Lent,
    PackedFolder,
    PackKind,
    RelPath,
    Text,
    VipPath,
    replace,
)
from vipsync.plan.draft import Draft
from vipsync.plan.memory import Listing
from vipsync.plan.sending import InputPlaces, plan_sending, set_aside, to_upload
from vipsync.record.digests import members_digest, states_digest
from vipsync.rows import Row, SendStatus, Sent

FILES = {"s/a.nii": "one", "s/b.nii": "three"}
MEMBERS = (RelPath("s/a.nii"), RelPath("s/b.nii"))
FOLDER = InputFolder(RelPath("s"), MEMBERS)
PACK = PackedFolder(RelPath("s"), PackKind.ZIP, MEMBERS)
ARCHIVE = VipPath(f"{INPUTS}/s.zip")
BOTH: list[Row] = [*there("s/a.nii", "one"), *there("s/b.nii", "three")]
HASHES = [(RelPath(p), sha256(c)) for p, c in FILES.items()]
STATES = tuple((RelPath(p), state_of(c)) for p, c in FILES.items())


ALMOST = {VipPath(f"{INPUTS}/s"): Listing(0, {VipPath(f"{INPUTS}/s/a.nii"): 3}, NOW)}


def places(*rows: Row, **changes: Any) -> InputPlaces:
    """Return the places of a folder with two files and these rows, in a process that looked at both."""
    sizes = {VipPath(f"{INPUTS}/{path}"): len(content) for path, content in FILES.items()}
    known_there = {f: Listing(0, {}, NOW) for f in (INPUTS, VipPath(f"{INPUTS}/s"))}
    if rows:
        known_there[VipPath(f"{INPUTS}/s")] = Listing(0, sizes, NOW)
    looked = memory(listings=known_there)
    moment: dict[str, Any] = {"session": OPEN, "files": FILES, "memory": looked, **changes}
    return InputPlaces(snapshot(*rows, **moment))


def archived(status: SendStatus, digest: str) -> Sent:
    """Return the row of the archive."""
    return Sent(ARCHIVE, RelPath("s"), state_of("archive"), status, digest)


def lent(files: dict[str, str]) -> Lender:
    """Return another session that has these files on VIP."""
    rows = {
        RelPath(p): Lent(VipPath(f"/vip/Home/API/other/INPUTS/{p}"), sha256(c))
        for p, c in files.items()
    }
    return Lender("/data/other", rows)


def test_a_text_goes_as_it_stands() -> None:
    """A number, a word, a path that is on VIP already."""
    assert places().place(Text("/vip/x")).vip == "/vip/x"


def test_a_file_under_another_name_goes_to_that_name() -> None:
    """`as = ...`."""
    (send,) = places().place(InputFile(RelPath("s/a.nii"), "sub-1.nii")).todo
    assert isinstance(send, do.SendFile)
    assert (send.vip, send.path) == (f"{INPUTS}/sub-1.nii", "s/a.nii")


def test_a_folder_is_there_when_each_of_its_files_is() -> None:
    """Its place is that of the folder; one file missing is one file to send."""
    assert places(*BOTH).place(FOLDER).vip == f"{INPUTS}/s"
    made = places(*BOTH[:2], memory=memory(listings=ALMOST)).place(FOLDER)
    assert (made.vip, [str(do.key(a)) for a in made.todo]) == (None, [f"SendFile {INPUTS}/s/b.nii"])


def test_a_folder_with_another_content_goes_to_the_next_version_whole() -> None:
    """Old and new files never lie in one folder."""
    other = [*BOTH[:2], known("s/b.nii", "three"), sent("s/b.nii", "what it was")]
    made = places(*other).place(FOLDER)
    assert [str(do.key(a)) for a in made.todo] == [
        f"SendFile {INPUTS}/_v2/s/a.nii",
        f"SendFile {INPUTS}/_v2/s/b.nii",
    ]


def test_a_folder_that_lost_a_file_goes_to_the_next_version_whole() -> None:
    """A job gets everything that lies in the folder on VIP: no file may be in it that is gone here."""
    fewer = places(*BOTH, files={"s/a.nii": "one"})
    made = fewer.place(InputFolder(RelPath("s"), MEMBERS[:1]))
    assert [str(do.key(a)) for a in made.todo] == [f"SendFile {INPUTS}/_v2/s/a.nii"]


@pytest.mark.parametrize(
    "row",
    [
        sent("s", "what it was"),
        sent("x.nii", "one", SendStatus.TRYING, at="s"),
        sent("s/a.nii", "one", SendStatus.TRYING, at="s"),
    ],
)
@pytest.mark.parametrize(
    ("value", "goes_to"),
    [
        (InputFile(MEMBERS[0]), ["_v2/s/a.nii"]),
        (FOLDER, ["_v2/s/a.nii", "_v2/s/b.nii"]),
        (InputFile(MEMBERS[0], "s/t/u.nii"), ["_v2/s/t/u.nii"]),
    ],
)
def test_nothing_goes_below_a_file(
    row: Sent, value: InputFile | InputFolder, goes_to: list[str]
) -> None:
    """Where a file lies, or may lie, there is no folder: the next version has one."""
    todo = places(row, memory=memory()).place(value).todo
    assert [str(do.key(a)) for a in todo] == [f"SendFile {INPUTS}/{place}" for place in goes_to]


@pytest.mark.parametrize("rows", [[], [archived(SendStatus.TRYING, states_digest(STATES))]])
def test_an_archive_does_not_go_where_a_folder_lies(rows: list[Row]) -> None:
    """Nor is it tried again there: the next version has its place."""
    looked = memory(folders={INPUTS, ARCHIVE})
    (send,) = places(*rows, memory=looked).place(PACK).todo
    assert str(do.key(send)) == f"SendPack {INPUTS}/_v2/s.zip"


def test_what_is_not_sure_is_read_before_anything_is_sent() -> None:
    """The hash decides for which version the others are."""
    made = places(*BOTH[:2], sent("s/b.nii", "three"), touched=["s/b.nii"]).place(FOLDER)
    assert [str(do.key(a)) for a in made.todo] == ["HashFile s/b.nii"]


def test_a_packed_folder_is_sent_as_one_archive() -> None:
    """With its members in the states that it is made of."""
    (send,) = places().place(PACK).todo
    assert send == do.SendPack(ARCHIVE, RelPath("s"), PackKind.ZIP, STATES)


def test_an_archive_that_is_there_is_known_by_its_members() -> None:
    """Equal names and hashes; other ones go to the next version."""
    whole = archived(SendStatus.SENT, members_digest(HASHES))
    assert places(*BOTH, whole).place(PACK).vip == ARCHIVE
    other = archived(SendStatus.SENT, members_digest(HASHES[:1]))
    (send,) = places(*BOTH, other).place(PACK).todo
    assert isinstance(send, do.SendPack)
    assert send.vip == f"{INPUTS}/_v2/s.zip"


def test_an_archive_in_doubt_is_sent_again_from_the_same_states() -> None:
    """Its bytes are the same; from other states it goes elsewhere."""
    doubted = archived(SendStatus.TRYING, states_digest(STATES))
    (again,) = places(doubted).place(PACK).todo
    assert isinstance(again, do.SendPack)
    assert again.vip == ARCHIVE
    other = archived(SendStatus.TRYING, states_digest(STATES[:1]))
    (elsewhere,) = places(other).place(PACK).todo
    assert isinstance(elsewhere, do.SendPack)
    assert elsewhere.vip == f"{INPUTS}/_v2/s.zip"


def test_an_archive_is_looked_for_where_nobody_has_looked() -> None:
    """As files are: somebody may have deleted it on VIP."""
    whole = archived(SendStatus.SENT, members_digest(HASHES))
    (look,) = places(*BOTH, whole, memory=memory(listings={})).place(PACK).todo
    assert look == do.LookAtFolder(INPUTS)


def test_an_archive_that_vanished_is_sent_to_its_place_again() -> None:
    """The place belongs to these members for ever."""
    vanished = archived(SendStatus.TRYING, members_digest(HASHES))
    assert places(*BOTH, vanished).place(PACK).todo == (
        do.SendPack(ARCHIVE, RelPath("s"), PackKind.ZIP, STATES),
    )


def test_a_touched_file_that_vanished_is_sent_as_it_is_now() -> None:
    """In the state in which it was sent before, it can never be sent again."""
    lost = (known("s/a.nii", "one"), replace(sent("s/a.nii", "one"), status=SendStatus.TRYING))
    touched = replace(lost[0], state=state_of("one", touched=True))
    nothing = {VipPath(f"{INPUTS}/s"): Listing(0, {}, NOW)}
    moved = places(touched, lost[1], touched=["s/a.nii"], memory=memory(listings=nothing))
    (again,) = moved.place(InputFile(RelPath("s/a.nii"))).todo
    assert isinstance(again, do.SendFile)
    assert again.state == state_of("one", touched=True)


def test_a_file_that_was_edited_before_the_end_is_set_aside() -> None:
    """Else the session would open again for it as soon as it is closed."""
    everything = settings(inputs={"upload": "all"})
    edited = snapshot(
        *there("a.dat", "one"), session=FINISHING, files={"a.dat": "three"}, settings=everything
    )
    (row,) = set_aside(edited, InputPlaces(edited))
    assert (row.vip, row.status) == (f"{INPUTS}/_v2/a.dat", SendStatus.REMOVED)
    after = snapshot(*there("a.dat", "one"), row, files={"a.dat": "three"}, settings=everything)
    assert to_upload(after, InputPlaces(after)) == []


def test_members_that_nobody_read_are_read_first() -> None:
    """Only their hashes tell whether the archive is theirs."""
    whole = archived(SendStatus.SENT, members_digest(HASHES))
    assert [str(do.key(a)) for a in places(whole).place(PACK).todo] == [
        "HashFile s/a.nii",
        "HashFile s/b.nii",
    ]


def test_lent_files_are_used_where_they_lie() -> None:
    """Nothing is ever sent from here; what the lender lacks is waited for."""
    value, other = InputFile(RelPath("s/a.nii")), InputFile(RelPath("s/b.nii"))
    borrower = places(lender=lent({"s/a.nii": "one"}))
    assert borrower.place(value).vip == "/vip/Home/API/other/INPUTS/s/a.nii"
    assert borrower.place(other) == replace(borrower.place(value), vip=None)
    assert (borrower.blocked([value]), borrower.blocked([value, other])) == (False, True)


def planned(*todo: do.Action, **remembered: Any) -> list[str]:
    """Return what becomes of these wishes, as words."""
    draft = Draft(snapshot(session=OPEN, files=FILES, memory=memory(None, **remembered)))
    plan_sending(draft, todo)
    return [str(do.key(a)).replace(HOME, "~") for a in draft.actions]


def send(name: str, content: str = "one") -> do.SendFile:
    """Return a transfer to a place below INPUTS."""
    return do.SendFile(VipPath(f"{INPUTS}/{name}"), RelPath(name), state_of(content))


def test_folders_come_from_the_top_down() -> None:
    """The missing one whose parent is there is made first."""
    missing = {VipPath(f"{INPUTS}/a"), VipPath(f"{INPUTS}/a/b")}
    assert planned(send("a/b/x"), missing=missing) == ["MakeFolder ~/INPUTS/a"]


def test_a_folder_is_made_once_for_all_its_files() -> None:
    """And nothing is sent into it in the same plan."""
    wishes = [send("a/x"), send("a/y"), send("z")]
    made = planned(*wishes, missing={VipPath(f"{INPUTS}/a")})
    assert made == ["MakeFolder ~/INPUTS/a", "SendFile ~/INPUTS/z"]


def test_nobody_looks_into_a_folder_while_it_is_filled() -> None:
    """The list would miss what is on its way."""
    assert planned(send("x"), do.LookAtFolder(INPUTS)) == ["SendFile ~/INPUTS/x"]
    assert planned(do.LookAtFolder(INPUTS)) == ["LookAtFolder ~/INPUTS"]


def test_nothing_is_sent_into_a_folder_that_is_being_listed() -> None:
    """Else the list would read as "not there"."""
    assert planned(send("x"), under_way={do.key(do.LookAtFolder(INPUTS))}) == []
