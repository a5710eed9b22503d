"""What the privacy gate lets go to VIP: plans and words, by the verdicts that the ledger holds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.builders import (
    GATE,
    INPUTS,
    NOW,
    ONE,
    OPEN,
    UPLOAD_ONLY,
    attempt,
    checked,
    known,
    memory,
    newcomer,
    seen_home,
    sent,
    settings,
    sha256,
    snapshot,
    state_of,
    there,
)
from tests.lab.pipelines import pipeline
from vipsync import actions as do
from vipsync.errors import LocalFileError
from vipsync.model import (
    PackKind,
    PackSetting,
    PrivacySettings,
    RelPath,
    Settings,
    VipPath,
    replace,
)
from vipsync.plan.draft import Level, Notice
from vipsync.plan.plan import plan
from vipsync.plan.privacy import Gate
from vipsync.plan.snapshot import Snapshot
from vipsync.record.digests import members_digest
from vipsync.rows import Checked, Row, Session
from vipsync.status.privacy import privacy_lines
from vipsync.status.summary import status_of
from vipsync.status.words import status_text

ARCHIVE_SETTINGS = Settings(
    "study", ONE.pipeline_id, input_settings={"data": PackSetting(PackKind.ZIP, "{s}/")}
)


JUDGED_THERE = replace(OPEN, gate=Gate(snapshot(gate=GATE)).key)
NAMED: dict[str, Any] = {"refused": (("PatientName", 1), ("PatientBirthDate", 2))}
IN_A_PATH: dict[str, Any] = {"names": (("smith_john", "PatientName"),), **NAMED}


def moment(*rows: Row, session: Session = JUDGED_THERE, **changes: Any) -> Snapshot:
    """Return a moment with the gate kept, and two files unless others are given.

    All that lies on VIP was judged by this gate and policy.
    """
    made = {"files": {"a.dat": "one", "b.dat": "two"}, "memory": memory(), "gate": GATE}
    seen = snapshot(*rows, session=session, **{**made, **changes})
    if session is JUDGED_THERE:
        seen.state.session = replace(session, gate=Gate(seen).key)
    return seen


def planned(*rows: Row, **changes: Any) -> list[str]:
    """Return the keys of what is planned."""
    return [str(do.key(a)) for a in plan(moment(*rows, **changes)).actions]


def said(*rows: Row, **changes: Any) -> list[Notice]:
    """Return what is said of privacy."""
    return [n for n in plan(moment(*rows, **changes)).notices if n.subject == "privacy"]


def judged(path: str, content: str, **found: Any) -> tuple[Row, Row]:
    """Return the rows of a file that was read and judged."""
    return known(path, content), checked(path, content, **found)


CLEAR = (*judged("a.dat", "one"), *judged("b.dat", "two"))


def test_nothing_is_sent_before_it_was_judged() -> None:
    """Nobody knows what is in it."""
    assert planned() == ["Inspect a.dat", "Inspect b.dat"]


def test_nothing_is_sent_while_another_file_is_judged() -> None:
    """What one file holds may be in the name of another."""
    assert planned(*judged("a.dat", "one")) == ["Inspect b.dat"]


def test_a_steady_stream_of_new_files_holds_nothing_up_for_ever() -> None:
    """After some minutes what was judged goes, whatever is still to be judged."""
    long = memory(since={"files are judged": NOW - 301})
    assert planned(*judged("a.dat", "one"), memory=long) == [
        "Inspect b.dat",
        f"SendFile {INPUTS}/a.dat",
    ]


def test_a_file_that_cannot_be_judged_holds_up_no_other() -> None:
    """It is tried again in its time."""
    key = do.Key(do.Inspect, "b.dat")
    failing = memory(attempts={key: attempt(LocalFileError("unreadable"))})
    assert planned(*judged("a.dat", "one"), memory=failing) == [f"SendFile {INPUTS}/a.dat"]


def test_what_is_clear_is_sent_bound_to_its_content() -> None:
    """The transfer names the hash that was judged."""
    sends = [a for a in plan(moment(*CLEAR)).actions if isinstance(a, do.SendFile)]
    assert {a.path: a.sha256 for a in sends} == {"a.dat": sha256("one"), "b.dat": sha256("two")}


def test_a_file_that_is_known_is_judged_without_being_hashed() -> None:
    """Folders made before the gate: their digests count."""
    first, second = plan(moment(known("a.dat", "one"))).actions
    assert isinstance(first, do.Inspect)
    assert isinstance(second, do.Inspect)
    assert (first.sha256, second.sha256) == (sha256("one"), "")


def test_what_is_refused_stays_here_and_the_rest_goes() -> None:
    """Fields and numbers are said, with what to do; it is for a person, so the exit code is 3."""
    rows = (*judged("a.dat", "one", **NAMED), *judged("b.dat", "two"))
    assert planned(*rows) == [f"SendFile {INPUTS}/b.dat"]
    (notice,) = said(*rows)
    assert notice == Notice(
        Level.PERSON,
        "privacy",
        "1 file is not sent: PatientBirthDate, PatientName in 1 file.",
        "See the values, and the lines that accept them: `vipsync privacy DIR`. "
        "Or mend the file, or move it out of inputs/.",
    )


def test_what_is_refused_is_not_launched_and_nothing_waits_for_it() -> None:
    """Its case says why; everything is at rest."""
    rows = (*judged("a.dat", "one", **NAMED), *judged("b.dat", "two", **NAMED))
    made = plan(moment(*rows))
    assert (made.actions, made.at_rest) == ((), True)
    reports = status_of(moment(*rows), made, "study").cases
    reason = "not sent: PatientBirthDate, PatientName in 1 file"
    assert [(r.state, r.reason) for r in reports] == [("cannot be launched", reason)] * 2


WHO = pipeline("Who", "data:File who:String", "out=[data].tgz")
TEXTS: dict[str, Any] = {
    "settings": settings(input_settings={"data": "*.dat", "who": "Smith_John 2026"}),
    "descriptor": WHO,
}


@pytest.mark.parametrize(
    "changes",
    [{"gate": "2"}, {"settings": settings(privacy={"strict": True})}, TEXTS],
    ids=["gate", "policy", "names"],
)
def test_a_verdict_is_by_one_gate_policy_and_names(changes: dict[str, Any]) -> None:
    """Whatever is another one, the file is judged anew before it is sent."""
    rows = judged("a.dat", "one", told=(("InstitutionName", 1),))
    one: dict[str, Any] = {"files": {"a.dat": "one"}}
    assert planned(*rows, **one) == [f"SendFile {INPUTS}/a.dat"]
    assert planned(*rows, **one, **changes)[0] == "Inspect a.dat"


@pytest.mark.parametrize(
    ("value", "names"), [(47110815, ("47110815",)), (4711.0815, ("4711.0815",)), (12, ())]
)
def test_a_number_of_the_settings_is_a_name_under_which_vip_would_know_somebody(
    value: float, names: tuple[str, ...]
) -> None:
    """Many identifiers of patients are numbers, and a short one says nothing."""
    chosen = settings(input_settings={"data": "*", "who": value})
    seen = moment(settings=chosen, descriptor=WHO)
    assert Gate(seen).names == (chosen.session_name, *names)


def test_a_verdict_is_on_one_content() -> None:
    """Neither on what is there now, nor on what was read since."""
    rows, path = judged("a.dat", "one"), RelPath("a.dat")
    assert Gate(moment(*rows)).lets(path)
    assert not Gate(moment(*rows, files={"a.dat": "other"})).lets(path)
    now = moment(*rows, known("a.dat", "other"), files={"a.dat": "other"})
    assert not Gate(now).lets(path)


def test_a_file_without_any_field_is_judged_again_by_another_gate() -> None:
    """One that knows more formats may find some."""
    assert planned(*CLEAR, gate="2")[:2] == ["Inspect a.dat", "Inspect b.dat"]


def test_a_file_without_any_field_is_not_read_again_for_another_policy() -> None:
    """There is nothing in it of which a policy could speak."""
    strict = settings(privacy={"strict": True})
    assert "Inspect a.dat" not in planned(*CLEAR, settings=strict)


def test_a_name_found_in_one_file_keeps_others_from_going_under_it() -> None:
    """In whatever folder, in small letters or in capitals."""
    files = {"a.dat": "one", "SMITH_JOHN.dat": "x", "c.dat": "y"}
    rows = (
        *judged("a.dat", "one", **IN_A_PATH),
        *judged("SMITH_JOHN.dat", "x"),
        *judged("c.dat", "y"),
    )
    assert planned(*rows, files=files) == [f"SendFile {INPUTS}/c.dat"]
    (notice,) = said(*rows, files=files)
    words = "2 files are not sent: PatientBirthDate, PatientName in 1 file; a part of PatientName in a path."
    assert notice.text == words


def test_a_name_that_a_parameter_holds_keeps_every_case_that_has_it() -> None:
    """A text goes to VIP as well; the file itself may go."""
    rows = (*judged("a.dat", "one", **IN_A_PATH), *judged("b.dat", "two"))
    seen = moment(*_for(TEXTS["settings"], rows), **TEXTS)
    assert plan(seen).actions == ()
    reports = status_of(seen, plan(seen), "study").cases
    assert "a part of PatientName in a parameter" in reports[1].reason


def closed(*rows: Row, **changes: Any) -> Snapshot:
    """Return a moment in which nothing is on VIP and nobody has asked for anything."""
    return moment(*rows, session=Session("s1"), marker=False, **{"memory": newcomer(), **changes})


def test_vip_hears_of_a_session_only_once_its_files_were_judged() -> None:
    """Its name tells VIP something, too."""
    made = plan(closed())
    assert [str(do.key(a)) for a in made.actions] == ["Inspect a.dat", "Inspect b.dat"]
    made = plan(closed(*CLEAR))
    assert [type(a) for a in made.actions] == [do.LookAtHome]
    some = plan(closed(*judged("a.dat", "one")))
    assert [str(do.key(a)) for a in some.actions] == ["Inspect b.dat"]


def test_a_session_in_which_everything_is_refused_is_never_opened() -> None:
    """Not a word goes to VIP."""
    rows = (*judged("a.dat", "one", **NAMED), *judged("b.dat", "two", **NAMED))
    made = plan(closed(*rows))
    assert made.actions == ()
    assert [n.subject for n in made.notices] == ["privacy"]


@pytest.mark.parametrize("opened", [False, True])
def test_nothing_goes_up_under_a_session_name_that_names_somebody(opened: bool) -> None:
    """Neither a file nor a launch, and a person is told to choose another."""
    rows = (
        *judged("a.dat", "one", names=(("study", "PatientName"),), **NAMED),
        *judged("b.dat", "two"),
    )
    made = plan(moment(*rows) if opened else closed(*rows))
    assert made.actions == ()
    first = made.notices[0]
    assert first.text == "Nothing is sent: a part of PatientName in the name of the session."
    assert first.remedy == "Write another session_name in settings.toml."


def test_a_session_opens_with_the_gate_that_judges_all_that_will_lie_there() -> None:
    """So nothing is judged a second time."""
    looked = newcomer(home=seen_home(exists=False), home_at=1000.0)
    (opening,) = plan(closed(*CLEAR, memory=looked)).actions
    assert isinstance(opening, do.Open)
    assert opening.session.gate == JUDGED_THERE.gate


def test_an_archive_goes_when_all_its_members_may() -> None:
    """It is bound to their contents, and one that is refused keeps it here."""
    files = {"s/1.dcm": "one", "s/2.dcm": "two"}
    packed: dict[str, Any] = {"files": files, "settings": ARCHIVE_SETTINGS}
    clear = (*judged("s/1.dcm", "one"), *judged("s/2.dcm", "two"))
    assert planned(**packed) == ["Inspect s/1.dcm", "Inspect s/2.dcm"]
    (send,) = plan(moment(*_for(ARCHIVE_SETTINGS, clear), **packed)).actions
    assert isinstance(send, do.SendPack)
    hashes = [(RelPath(path), sha256(content)) for path, content in files.items()]
    assert send.digest == members_digest(hashes)
    refused = (*judged("s/1.dcm", "one", **NAMED), *judged("s/2.dcm", "two"))
    assert planned(*_for(ARCHIVE_SETTINGS, refused), **packed) == []


def _for(chosen: Settings, rows: tuple[Row, ...]) -> list[Row]:
    """Return rows with the policy and the names that these settings have."""
    now = checked("x", "x", chosen)
    return [
        replace(row, called=now.called, gate=now.gate) if isinstance(row, Checked) else row
        for row in rows
    ]


def test_files_that_no_case_needs_are_judged_too() -> None:
    """`upload = "all"`, or a folder that only uploads."""
    upload: dict[str, Any] = {"settings": UPLOAD_ONLY}
    assert planned(**upload) == ["Inspect a.dat", "Inspect b.dat"]
    rows = _for(UPLOAD_ONLY, (*judged("a.dat", "one", **NAMED), *judged("b.dat", "two")))
    assert planned(*rows, **upload) == [f"SendFile {INPUTS}/b.dat"]


# what went up before


def test_what_lies_on_vip_is_judged_once_and_reported() -> None:
    """Nothing is removed, and what runs with it goes on."""
    before = (*there("a.dat", "one"), *there("b.dat", "two"))
    first = plan(moment(*before, session=OPEN, memory=memory({"a.dat": 3, "b.dat": 3})))
    assert [str(do.key(a)) for a in first.actions if isinstance(a, do.Inspect)] == [
        "Inspect a.dat",
        "Inspect b.dat",
    ]
    rows = (*before, checked("a.dat", "one", **NAMED), checked("b.dat", "two"))
    (decided,) = (a for a in plan(moment(*rows, session=OPEN)).actions if isinstance(a, do.Decide))
    assert decided.changes.put == (JUDGED_THERE,)
    (notice,) = said(*rows)
    assert notice.text == (
        "1 file is on VIP, and would not be sent now: PatientBirthDate, PatientName in 1 file."
    )
    assert "Nothing is removed without your word" in notice.remedy


def test_members_of_archives_on_vip_are_judged_too() -> None:
    """An archive is known by its folder."""
    row = replace(sent("s", "x", at="s.zip"), path=RelPath("s"), vip=VipPath(f"{INPUTS}/s.zip"))
    files = {"s/1.dcm": "one"}
    old = moment(row, known("s/1.dcm", "one"), files=files, session=OPEN, settings=ARCHIVE_SETTINGS)
    assert "Inspect s/1.dcm" in [str(do.key(a)) for a in plan(old).actions]


# words


def test_without_a_gate_nothing_is_judged() -> None:
    """`off` with its reason: files go as they are, and it is said."""
    off = settings(privacy={"off": "phantoms only"})
    made = moment(settings=off, gate="")
    assert [str(do.key(a)) for a in plan(made).actions] == [
        f"SendFile {INPUTS}/a.dat",
        f"SendFile {INPUTS}/b.dat",
    ]
    assert list(privacy_lines(made)) == ["Nothing is looked at, by settings.toml: phantoms only."]


def test_what_was_not_checked_is_always_said() -> None:
    """Never "anonymous": which fields are empty, what was told only, and what a person lets through."""
    policy = PrivacySettings(
        accept=(("PatientName", ("sub-*",)),), allow=(("StationName", "ethics 7"),)
    )
    chosen = settings(privacy=policy)
    rows = [
        *judged("a.dat", "one", told=(("InstitutionName", 3),), unchecked=("overlays",)),
        *judged("b.dat", "two", unknown="its format is not known"),
    ]
    ours = _for(chosen, tuple(rows))
    assert list(privacy_lines(moment(*ours, settings=chosen))) == [
        "Checked 1 file: no field that may name a person is filled; not checked: pixels, faces, "
        "the meaning of free text, overlays, 1 file of unknown kind.",
        "Filled, and sent all the same: InstitutionName in 1 file.",
        "By settings.toml: accept PatientName; allow StationName: ethics 7.",
    ]


def test_no_name_that_was_found_stands_in_a_status() -> None:
    """Neither as a case nor in a notice."""
    files = {"a.dat": "one", "SMITH_JOHN.dat": "x"}
    seen = moment(*judged("a.dat", "one", **IN_A_PATH), *judged("SMITH_JOHN.dat", "x"), files=files)
    status = status_of(seen, plan(seen), "study")
    assert "smith" not in status_text(status, "here").lower()
    assert "smith" not in repr(status).lower()
    assert status.exit_code == 3


def test_a_touched_file_is_known_by_its_content_and_not_judged_again() -> None:
    """The verdict is on the content."""
    touched = moment(*CLEAR, touched=["a.dat"])
    assert next(str(do.key(a)) for a in plan(touched).actions) == "HashFile a.dat"
    now = replace(known("a.dat", "one"), state=state_of("one", touched=1))
    again = plan(moment(*CLEAR, now, touched=["a.dat"]))
    assert f"SendFile {INPUTS}/a.dat" in [str(do.key(a)) for a in again.actions]
