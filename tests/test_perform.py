"""Every action against the embedded VIP: what it does, and what it refuses because the world has changed."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.lab import scans
from tests.lab.acting import Acting
from tests.lab.builders import (
    API,
    CLOSED,
    HOME,
    ID,
    ID_FOLDER,
    INPUTS,
    KEY,
    OPEN,
    OUTPUTS,
    execution,
    folder_of,
    launched,
)
from vipsync import actions as do
from vipsync.act.perform import Stopped
from vipsync.client.wire import NAMELESS
from vipsync.disk.ignoring import IgnoreRules
from vipsync.disk.scan import Scanner
from vipsync.errors import (
    DiskError,
    GenericVipError,
    InvalidInput,
    KeyRefused,
    LocalFileError,
    NameTaken,
    SlotsFull,
    Unreachable,
    VipsyncError,
)
from vipsync.local import Kind
from vipsync.model import (
    BLOCK,
    Execution,
    ExecutionStatus,
    FileState,
    PackKind,
    PrivacySettings,
    RelPath,
    RemoteEntry,
    VipPath,
    replace,
)
from vipsync.record.digests import members_digest
from vipsync.rows import Changes, Launch

LAUNCH = replace(launched("a.dat", "one"), pipeline_id="Echo/1")
REMOVE = do.RemoveTree(HOME, HOME, ID_FOLDER)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Acting]:
    made = Acting(tmp_path)
    yield made
    made.vip.close()


def error(bench: Acting, action: do.Action, **tools: Any) -> VipsyncError:
    """Carry an action out that must fail."""
    outcome = bench.act(action, **tools)
    assert isinstance(outcome, do.Failed), outcome
    return outcome.error


def started(bench: Acting, launch: Launch = LAUNCH) -> Execution:
    """Send a.dat and start an execution with it."""
    bench.act(bench.send("a.dat", bench.input("a.dat")))
    outcome = bench.act(do.StartExecution(launch))
    assert isinstance(outcome, do.Started), outcome
    return outcome.execution


# the session


def test_a_decision_does_nothing(bench: Acting) -> None:
    """Its rows are all there is to it."""
    before = len(bench.world.requests)
    assert bench.act(do.Decide("x", Changes())) == do.Done()
    assert len(bench.world.requests) == before


def test_the_marker_names_the_session_and_says_what_it_is_for(bench: Acting) -> None:
    """Opening writes it; so does putting it back; deleting it twice is no error."""
    marker = bench.tools.folder.marker
    for action in (do.Open(OPEN), do.WriteMarker()):
        assert bench.act(action) == do.Done()
        assert f"session id: {ID}" in marker.read_text()
        assert "Delete this file" in marker.read_text()
        assert bench.act(do.DeleteMarker()) == do.Done()
        assert bench.act(do.DeleteMarker()) == do.Done()
        assert not marker.exists()


def test_a_marker_that_cannot_be_written_is_an_outcome(bench: Acting) -> None:
    """A folder in its place: an error of this disk, with a remedy."""
    (bench.tools.folder.marker / "x").mkdir(parents=True)
    found = error(bench, do.Open(OPEN))
    assert isinstance(found, DiskError)
    assert found.remedy


def test_the_home_of_a_session_is_seen_with_its_ids(bench: Acting) -> None:
    """Ours and others', the folders above it, the platform and the key."""
    bench.vip.make_folder(f"{HOME}/vipsync-other")
    seen = bench.act(do.LookAtHome(HOME))
    assert isinstance(seen, do.HomeSeen)
    assert (seen.exists, seen.ids, seen.key_print) == (True, ("other", ID), KEY)
    assert set(seen.folders) == {"/vip/Home", API, HOME}
    assert seen.platform.max_download == bench.world.options.max_direct_transfer


def test_a_file_named_like_an_id_is_none(bench: Acting) -> None:
    """Only a folder is an id."""
    bench.vip.upload_empty(f"{HOME}/vipsync-file")
    seen = bench.act(do.LookAtHome(HOME))
    assert isinstance(seen, do.HomeSeen)
    assert seen.ids == (ID,)


@pytest.mark.parametrize("home", [f"{API}/missing", "/vip/Home/MISSING/study"])
def test_a_missing_home_is_seen_as_missing(bench: Acting, home: str) -> None:
    """With those of its folders that are there."""
    seen = bench.act(do.LookAtHome(VipPath(home)))
    assert isinstance(seen, do.HomeSeen)
    assert (seen.exists, seen.ids) == (False, ())
    assert set(seen.folders) == {"/vip/Home"} | ({API} & {home.rsplit("/", 1)[0]})


def test_a_wrong_key_sees_nothing(bench: Acting) -> None:
    """A failure, never "it is not there"."""
    bench.world.faults.arm(Kind.UNAUTHORIZED)
    assert isinstance(error(bench, do.LookAtHome(HOME)), KeyRefused)


def test_an_answer_that_is_lost_is_an_outcome(bench: Acting) -> None:
    """As is every error on purpose."""
    bench.world.faults.arm(Kind.REQUEST_LOST)
    assert isinstance(error(bench, do.FetchPipeline("Echo/1")), Unreachable)


def test_a_pipeline_comes_as_text(bench: Acting) -> None:
    """JSON, as the ledger keeps it."""
    outcome = bench.act(do.FetchPipeline("Echo/1"))
    assert isinstance(outcome, do.PipelineFetched)
    assert '"name": "Echo"' in outcome.raw


# inputs


def test_a_folder_is_made_and_looked_into(bench: Acting) -> None:
    """Empty, then with a file; and one that is not there is told apart from an empty one."""
    sub = VipPath(f"{INPUTS}/sub")
    assert bench.act(do.LookAtFolder(sub)) == do.FolderSeen(None)
    assert bench.act(do.MakeFolder(sub)) == do.Done()
    assert bench.act(do.LookAtFolder(sub)) == do.FolderSeen(())
    bench.act(bench.send("sub/a.dat", bench.input("sub/a.dat")))
    there = RemoteEntry(VipPath(f"{sub}/a.dat"), False, 3)
    assert bench.act(do.LookAtFolder(sub)) == do.FolderSeen((there,))


def test_a_file_is_read_in_its_state(bench: Acting) -> None:
    """Its hash is that of the whole content."""
    content = os.urandom(2 * BLOCK + 5)
    action = do.HashFile(RelPath("a.dat"), bench.input("a.dat", content))
    assert bench.act(action) == do.FileHashed(hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "content", [b"one", os.urandom(2 * BLOCK), b""], ids=["small", "big", "empty"]
)
def test_a_file_is_sent_as_it_is(bench: Acting, content: bytes) -> None:
    """Every byte, also none; its hash is that of what left; progress is told."""
    told: list[int] = []
    action = bench.send("a.dat", bench.input("a.dat", content))
    outcome = bench.act(action, moved=lambda _name, now, _size: told.append(now))
    assert outcome == do.FileSent(hashlib.sha256(content).hexdigest())
    (there,) = bench.vip.list_folder(INPUTS)
    assert (there.size, there.is_folder) == (len(content), False)
    assert told[-1:] == ([len(content)] if content else [])


def test_a_file_in_another_state_is_not_sent(bench: Acting) -> None:
    """It changed after the plan: nothing leaves."""
    action = bench.send("a.dat", bench.input("a.dat"))
    bench.input("a.dat", b"other")
    assert isinstance(error(bench, action), LocalFileError)
    assert bench.vip.list_folder(INPUTS) == ()


def test_a_file_that_changes_while_it_is_sent_was_not_sent(bench: Acting) -> None:
    """Stat again after the last byte: another state is a failure."""
    content = os.urandom(3 * BLOCK)
    action = bench.send("a.dat", bench.input("a.dat", content))

    def touch(_name: str, now: int, _size: int) -> None:
        if now == BLOCK:
            os.utime(bench.tools.inputs / "a.dat", (1, 1))

    outcome = bench.act(action, moved=touch)
    assert isinstance(outcome, do.Failed)
    assert isinstance(outcome.error, LocalFileError)


CONTENT = random.Random(7).randbytes(3 * BLOCK + 5)
JUDGED = hashlib.sha256(CONTENT).hexdigest()


def overwrite(path: Path, at: int) -> None:
    """Change one byte of a file in place, and leave it its size and its time."""
    info = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize("before", range(4))
def test_what_was_not_judged_is_never_usable_on_vip(bench: Acting, before: int) -> None:
    """Whenever a file changes after its verdict, VIP keeps nothing of what nobody has judged."""
    path, blocks = bench.tools.inputs / "a.dat", iter(range(5))
    action = replace(bench.send("a.dat", bench.input("a.dat", CONTENT)), sha256=JUDGED)
    if before == 0:
        overwrite(path, 0)

    def change() -> None:
        if next(blocks) + 1 == before:
            overwrite(path, before * BLOCK)

    failed = bench.act(action, stop=change)
    assert isinstance(failed, do.Failed)
    assert isinstance(failed.error, LocalFileError)
    assert bench.vip.list_folder(INPUTS) == ()


def test_another_content_in_the_same_state_is_not_sent(bench: Acting) -> None:
    """The hash of what leaves decides, not what the file system shows."""
    action = replace(bench.send("a.dat", bench.input("a.dat", CONTENT)), sha256="another")
    assert isinstance(error(bench, action), LocalFileError)
    assert bench.vip.list_folder(INPUTS) == ()


def test_what_was_judged_is_sent(bench: Acting) -> None:
    """The very bytes of the verdict arrive."""
    action = replace(bench.send("a.dat", bench.input("a.dat", CONTENT)), sha256=JUDGED)
    assert bench.act(action) == do.FileSent(JUDGED)


def pack_of(bench: Acting, judged: bytes) -> do.SendPack:
    """Return the action that packs raw/1.dcm, of which a content was judged."""
    digest = members_digest([(RelPath("raw/1.dcm"), hashlib.sha256(judged).hexdigest())])
    member = (RelPath("raw/1.dcm"), bench.input("raw/1.dcm", b"one"))
    place = VipPath(f"{INPUTS}/raw.zip")
    return do.SendPack(place, RelPath("raw"), PackKind.ZIP, (member,), digest=digest)


def test_an_archive_of_other_members_than_were_judged_is_not_sent(bench: Acting) -> None:
    """Nothing of it leaves, and nothing of it stays here."""
    assert isinstance(error(bench, pack_of(bench, b"two")), LocalFileError)
    assert bench.vip.list_folder(INPUTS) == ()
    assert bench.left() == []
    assert isinstance(bench.act(pack_of(bench, b"one")), do.PackSent)


INSPECT = do.Inspect(RelPath("a.rda"), FileState(0, 0, 0, 0), "1 p", PrivacySettings(), ("study",))


def test_a_file_is_judged_and_hashed_in_one_read(bench: Acting) -> None:
    """Fields are named and counted; no value is in the outcome, and names with one are."""
    content = scans.rda(PatientName="Smith^John", PatientBirthDate="19700131")
    bench.input("smith_john/x.txt")
    seen = Scanner(bench.tools.inputs, IgnoreRules([], [], "")).look()
    action = replace(INSPECT, state=bench.input("a.rda", content))
    outcome = bench.act(action, seen=seen)
    assert isinstance(outcome, do.FileInspected)
    assert outcome.sha256 == hashlib.sha256(content).hexdigest()
    assert dict(outcome.found.refused) == {"PatientBirthDate": 1, "PatientName": 1}
    assert outcome.found.names == (("smith_john", "PatientName"),)
    assert not outcome.found.bare
    assert "1970" not in repr(outcome)


def test_pseudonyms_may_stand_in_names(bench: Acting) -> None:
    """What the settings accept is refused nowhere, and nobody is named by it."""
    content = scans.rda(PatientName="sub-0001")
    policy = PrivacySettings(accept=(("PatientName", ("sub-*",)),))
    action = replace(INSPECT, state=bench.input("a.rda", content), policy=policy)
    outcome = bench.act(replace(action, names=("sub-0001",)))
    assert isinstance(outcome, do.FileInspected)
    assert (outcome.found.refused, outcome.found.names) == ((), ())


def test_a_path_is_compared_with_whom_other_files_name(bench: Acting) -> None:
    """Also of a file that came later, and holds nothing itself."""
    bench.input("a.rda", scans.rda(PatientName="Smith^John"))
    state = bench.input("SMITH_JOHN/b.txt", b"x")
    action = replace(INSPECT, path=RelPath("SMITH_JOHN/b.txt"), state=state)
    seen = Scanner(bench.tools.inputs, IgnoreRules([], [], "")).look()
    clear, named = (
        bench.act(replace(action, beside=beside), seen=seen) for beside in ((), (RelPath("a.rda"),))
    )
    assert isinstance(clear, do.FileInspected)
    assert isinstance(named, do.FileInspected)
    assert clear.found.refused == ()
    assert named.found.refused == (("a part of PatientName in a path", 1),)
    assert named.found.names == (("SMITH_JOHN", "PatientName"),)


def test_what_may_be_in_a_header_may_be_in_no_name(bench: Acting) -> None:
    """A reason to allow a field is none to call files by its value; that needs another one."""
    action = replace(INSPECT, state=bench.input("a.rda", scans.rda(PatientName="Smith^John")))
    named = replace(action, names=("smith_john",))
    for allowed, names in (
        ({"PatientName": "consent"}, (("smith_john", "PatientName"),)),
        ({"PatientName": "consent", "a part of PatientName in a path": "consent"}, ()),
    ):
        outcome = bench.act(replace(named, policy=PrivacySettings(allow=tuple(allowed.items()))))
        assert isinstance(outcome, do.FileInspected)
        assert outcome.found.names == names


def test_a_file_that_is_known_is_not_hashed_again(bench: Acting) -> None:
    """Its hash belongs to this very state."""
    action = replace(INSPECT, state=bench.input("a.rda", b"one"), sha256="known")
    outcome = bench.act(action)
    assert outcome == do.FileInspected("known", outcome.found)  # type: ignore[union-attr]


def test_a_file_replaced_while_it_is_read_has_no_hash(bench: Acting) -> None:
    """The path shows another file than the one that was open."""
    action = do.HashFile(RelPath("a.dat"), bench.input("a.dat", os.urandom(BLOCK)))
    new = bench.tools.inputs / "new"
    new.write_bytes(b"new")

    def replaced() -> None:
        new.replace(bench.tools.inputs / "a.dat")

    outcome = bench.act(action, stop=replaced)
    assert isinstance(outcome, do.Failed)
    assert isinstance(outcome.error, LocalFileError)


@pytest.mark.parametrize("kind", [do.HashFile, do.SendFile])
def test_a_file_that_is_gone_is_an_outcome(bench: Acting, kind: type) -> None:
    """Of this file only."""
    state = bench.input("a.dat")
    (bench.tools.inputs / "a.dat").unlink()
    send = bench.send("a.dat", state)
    action = send if kind is do.SendFile else do.HashFile(send.path, state)
    assert isinstance(error(bench, action), LocalFileError)


def test_nothing_on_vip_is_replaced(bench: Acting) -> None:
    """A second file to the same place is refused, the first one stays (facts 3.6)."""
    bench.act(bench.send("a.dat", bench.input("a.dat")))
    assert isinstance(
        error(bench, bench.send("a.dat", bench.input("a.dat", b"other"))), GenericVipError
    )
    (there,) = bench.vip.list_folder(INPUTS)
    assert there.size == 3


def test_a_folder_whose_member_was_replaced_is_not_sent(bench: Acting) -> None:
    """Another file of the same size and time is another content: the archive would be of nothing seen."""
    state = bench.input("raw/1.dcm", b"one")
    pack = do.SendPack(
        VipPath(f"{INPUTS}/raw.zip"),
        RelPath("raw"),
        PackKind.ZIP,
        ((RelPath("raw/1.dcm"), state),),
    )
    member = bench.tools.inputs / "raw" / "1.dcm"
    fresh = member.with_name("fresh")
    fresh.write_bytes(b"two")
    os.utime(fresh, ns=(state.mtime_ns, state.mtime_ns))
    fresh.replace(member)
    assert isinstance(error(bench, pack), LocalFileError)
    assert not bench.vip.exists(pack.vip)
    assert bench.left() == []


def test_a_folder_of_which_a_file_changes_once_it_is_packed_is_not_sent(bench: Acting) -> None:
    """The archive would hold the file as it was; the ledger would say that it is there as it is."""
    states = {name: bench.input(f"raw/{name}", b"one") for name in ("1.dcm", "2.dcm")}
    members = tuple((RelPath(f"raw/{name}"), state) for name, state in states.items())
    pack = do.SendPack(VipPath(f"{INPUTS}/raw.zip"), RelPath("raw"), PackKind.ZIP, members)
    calls = count()

    def stop() -> None:
        if next(calls) == 1:  # the first file is in the archive
            (bench.tools.inputs / "raw" / "1.dcm").write_bytes(b"other")

    failure = error(bench, pack, stop=stop)
    assert isinstance(failure, LocalFileError)
    assert "changed while it was packed" in failure.message
    assert not bench.vip.exists(pack.vip)


@pytest.mark.parametrize("put", [Path.symlink_to, Path.hardlink_to, None])
def test_nobody_can_put_another_file_in_place_of_an_archive(
    bench: Acting, put: Callable[[Path, Path], None] | None, tmp_path: Path
) -> None:
    """Whoever may write among the transfers has no private file sent, nor one that nobody judged."""
    private = tmp_path / "private"
    private.write_bytes(b"PRIVATE")

    def swap() -> None:
        for path in bench.tools.folder.transfers.iterdir():
            path.unlink()
            put(path, private) if put else path.write_bytes(b"PRIVATE")

    action = pack_of(bench, b"one")
    assert isinstance(bench.act(action, stop=swap), do.PackSent)
    (sent,) = bench.world.root.rglob("raw.zip")
    assert sent.read_bytes().startswith(b"PK")
    assert bench.left() == []


def test_the_end_of_the_program_stops_a_transfer(bench: Acting) -> None:
    """At the next block; that is no outcome."""

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        bench.act(bench.send("a.dat", bench.input("a.dat", bytes(2 * BLOCK))), stop=stop)


# executions


def test_an_execution_is_started_with_what_was_intended(bench: Acting) -> None:
    """Name, pipeline, values and results location; the pace is kept before."""
    paced: list[bool] = []
    bench.act(bench.send("a.dat", bench.input("a.dat")))
    outcome = bench.act(do.StartExecution(LAUNCH), pace=lambda: paced.append(True))
    assert isinstance(outcome, do.Started)
    assert (outcome.execution.name, paced) == (LAUNCH.name, [True])
    (there,) = bench.world.executions.all()
    assert there.submission.values["data"] == (f"{INPUTS}/a.dat",)


def test_several_values_are_several_jobs(bench: Acting) -> None:
    """A list stays a list."""
    bench.act(bench.send("b.dat", bench.input("b.dat")))
    started(bench, replace(LAUNCH, values={"data": (f"{INPUTS}/a.dat", f"{INPUTS}/b.dat")}))
    (there,) = bench.world.executions.all()
    assert there.submission.values["data"] == (f"{INPUTS}/a.dat", f"{INPUTS}/b.dat")


def test_full_slots_and_refused_values_are_told_apart(bench: Acting) -> None:
    """One waits, the other is final."""
    wrong = replace(LAUNCH, values={"data": ("a;b",)})
    assert isinstance(error(bench, do.StartExecution(wrong)), InvalidInput)
    made = Acting(bench.root / "full", quota_user=0)
    made.act(made.send("a.dat", made.input("a.dat")))
    assert isinstance(error(made, do.StartExecution(LAUNCH)), SlotsFull)


def test_our_executions_are_found_by_their_mark(bench: Acting) -> None:
    """As a word of their name: another session whose id begins in the same way is not ours."""
    started(bench)
    for name in ("study vipsync-s12 x", "vipsync-s1x", "other"):
        bench.act(do.StartExecution(replace(LAUNCH, name=name)))
    seen = bench.act(do.FindExecutions(f"vipsync-{ID}", 0.0))
    assert isinstance(seen, do.ExecutionsSeen)
    assert [e.name for e in seen.executions] == [LAUNCH.name]
    assert seen.whole


def test_a_list_at_its_limit_is_not_whole(bench: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in it may be behind its end (facts 5.1)."""
    monkeypatch.setattr("vipsync.act.perform.LIST_LIMIT", 1)
    started(bench)
    seen = bench.act(do.FindExecutions(f"vipsync-{ID}", 0.0))
    assert isinstance(seen, do.ExecutionsSeen)
    assert not seen.whole


def test_a_list_with_a_nameless_execution_is_not_whole(bench: Acting) -> None:
    """It may be the one that is looked for."""
    listed = (0.0, (NAMELESS,))
    seen = bench.act(do.FindExecutions(f"vipsync-{ID}", 0.0), executions=lambda _since: listed)
    assert seen == do.ExecutionsSeen((), whole=False, at=0.0)


def test_an_execution_is_polled_killed_and_forgotten(bench: Acting) -> None:
    """Each as VIP tells it; one that was deleted there is no error."""
    bench.runner.seconds = 60.0
    id_ = started(bench).id
    seen = bench.act(do.Poll(id_))
    assert isinstance(seen, do.Polled)
    assert seen.execution
    assert seen.execution.id == id_
    assert bench.act(do.Kill(id_)) == do.Done()
    after = bench.act(do.Poll(id_))
    assert isinstance(after, do.Polled)
    assert after.execution
    assert after.execution.status is ExecutionStatus.KILLED
    bench.started()[-1].deleted = True
    assert bench.act(do.Poll(id_)) == do.Polled(None)


def test_an_execution_that_has_ended_is_not_killed(bench: Acting) -> None:
    """It would count as killed ever after (facts 5.11); what became of it is told instead."""
    bench.runner.seconds = 60.0
    id_ = started(bench).id
    bench.clock.sleep(60)
    seen = bench.act(do.Kill(id_))
    assert isinstance(seen, do.Polled)
    assert seen.execution
    assert seen.execution.status is ExecutionStatus.FINISHED
    assert bench.act(do.Poll(id_)) == seen
    bench.started()[-1].deleted = True
    assert bench.act(do.Kill(id_)) == do.Polled(None)


def test_results_are_listed_to_their_depth(bench: Acting) -> None:
    """Files in sub-folders too, sorted; folders are none."""
    bench.result("b.csv", b"b")
    bench.vip.make_folder(f"{folder_of('e1')}/a")
    bench.result("a/deep.csv", b"deep")
    seen = bench.act(do.ListResults(execution()))
    assert isinstance(seen, do.ResultsListed)
    names = [(e.path.removeprefix(f"{OUTPUTS}/"), e.size) for e in seen.entries]
    assert names == [("e1/a/deep.csv", 4), ("e1/b.csv", 1)]


def test_returned_files_elsewhere_are_listed_too(bench: Acting) -> None:
    """Those that are there; one that was deleted is left out."""
    bench.act(bench.send("x.nii", bench.input("x.nii")))
    elsewhere = (VipPath(f"{INPUTS}/x.nii"), VipPath(f"{INPUTS}/gone.nii"))
    seen = bench.act(do.ListResults(execution(returned=elsewhere)))
    assert seen == do.ResultsListed((RemoteEntry(elsewhere[0], False, 3),))


@pytest.mark.parametrize("folder", [None, VipPath(f"{OUTPUTS}/missing")])
def test_no_results_folder_is_an_empty_list(bench: Acting, folder: VipPath | None) -> None:
    """An execution that ended without any result."""
    outcome = bench.act(do.ListResults(execution(results_folder=folder)))
    assert outcome == do.ResultsListed(())


# the removal


def test_our_own_folder_is_removed(bench: Acting) -> None:
    """It is asked for, and seen to be gone; asked again, it is gone already."""
    assert bench.act(REMOVE) == do.Done()
    assert bench.act(do.CheckRemoved(HOME)) == do.RemovalSeen(gone=True)
    assert bench.act(REMOVE) == do.RemovalSeen(gone=True)


def test_a_removal_that_takes_its_time_is_not_gone(bench: Acting) -> None:
    """204 is not the end (facts 3.7)."""
    bench.world.faults.arm(Kind.REMOVAL_LATE, seconds=60)
    assert bench.act(REMOVE) == do.Done()
    assert bench.act(do.CheckRemoved(HOME)) == do.RemovalSeen(gone=False)
    bench.clock.sleep(60)
    assert bench.act(do.CheckRemoved(HOME)) == do.RemovalSeen(gone=True)


@pytest.mark.parametrize("ids", [[], ["other"], [ID, "other"]], ids=["none", "other", "both"])
def test_a_folder_that_is_not_ours_alone_is_never_removed(bench: Acting, ids: list[str]) -> None:
    """Our id missing, another one there, or both: nothing is asked for."""
    home = VipPath(f"{API}/theirs")
    for path in (home, *(f"{home}/vipsync-{one}" for one in ids)):
        bench.vip.make_folder(path)
    action = do.RemoveTree(home, home, VipPath(f"{home}/vipsync-{ID}"))
    assert isinstance(error(bench, action), NameTaken)
    assert not any(r.method == "DELETE" for r in bench.world.requests)


def test_a_part_of_the_folder_is_removed_alone(bench: Acting) -> None:
    """`keep_output`: the inputs go, our id and the outputs stay."""
    assert bench.act(do.RemoveTree(INPUTS, HOME, ID_FOLDER)) == do.Done()
    assert {e.path for e in bench.vip.list_folder(HOME)} == {ID_FOLDER, OUTPUTS}


def test_a_removal_without_a_sight_of_the_folder_is_not_asked_for(bench: Acting) -> None:
    """An error while looking is no proof of anything."""
    bench.world.faults.arm(Kind.SERVER_ERROR, "GET *", times=-1)
    assert isinstance(error(bench, REMOVE), GenericVipError)
    assert not any(r.method == "DELETE" for r in bench.world.requests)


def test_a_session_that_is_not_open_has_no_client_to_act_with(bench: Acting) -> None:
    """An action for VIP without one is a fault of the plan, not of the world."""
    with pytest.raises(AssertionError):
        bench.act(do.Poll("e1"), client=None)
    assert bench.act(do.Open(CLOSED), client=None) == do.Done()
