"""What a process remembers between two plans, and for how long it leaves alone what failed."""

from __future__ import annotations

import pytest

from tests.lab.builders import (
    HOME,
    ID,
    INPUTS,
    NOW,
    execution,
    in_doubt,
    memory,
    seen_home,
    state_of,
    told,
)
from vipsync import actions as do
from vipsync.errors import (
    DiskError,
    GenericVipError,
    KeyMissing,
    KeyRefused,
    SlotsFull,
    TransferMismatch,
    Unreachable,
    VipsyncError,
)
from vipsync.model import ExecutionStatus, RelPath, RemoteEntry, VipPath, replace
from vipsync.names import parent
from vipsync.plan.memory import LONGEST_PAUSE, PATIENCE, AccountMemory, Listing, Memory

A = VipPath(f"{INPUTS}/a.dat")
SEND = do.SendFile(A, RelPath("a.dat"), state_of("one"))
SEND_B = do.SendFile(VipPath(f"{INPUTS}/b.dat"), RelPath("b.dat"), state_of("three"))
HASH = do.HashFile(RelPath("a.dat"), state_of("one"))
HOME_LOOK = do.LookAtHome(HOME)


def note(
    memory: Memory, action: do.Action, outcome: do.Outcome, now: float = NOW, spread: float = 1.0
) -> Memory:
    """Let the memory take note, and return it."""
    memory.note(action, outcome, now, lambda: spread)
    return memory


def fail(memory: Memory, action: do.Action, error: VipsyncError, times: int = 1) -> Memory:
    """Let an action fail some times in a row."""
    for _ in range(times):
        note(memory, action, do.Failed(error))
    return memory


def test_a_failure_waits_longer_each_time() -> None:
    """2, 4, 8, 16 seconds, one try when patience ends, and never more than five minutes."""
    made, now = Memory(), NOW
    times = []
    for _ in range(12):
        times.append(now - NOW)
        note(made, SEND, do.Failed(TransferMismatch("cut")), now)
        now = made.attempts[do.key(SEND)].not_before
    assert times[:8] == [0, 2, 6, 14, 30, 62, 120, 248]
    assert times[-1] - times[-2] == LONGEST_PAUSE


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_what_passes_within_two_minutes_is_noticed_before_anybody_is_told(spread: float) -> None:
    """Whatever chance does to the pauses, the first failure that counts as lasting comes after them."""
    made, now = Memory(), NOW
    while (name := do.key(SEND)) not in made.attempts or not made.attempts[name].lasts:
        note(made, SEND, do.Failed(GenericVipError("x")), now, spread)
        last, now = now, made.attempts[name].not_before
    assert last - NOW == PATIENCE


def test_an_outage_is_one_while_nothing_else_works() -> None:
    """An answer from VIP in the last minute shows that it is one thing alone that does not go."""
    for heard, outage in ((None, True), (20.0, True), (100.0, False)):
        made = Memory()
        for second in (0.0, 50.0, 130.0):
            if heard is not None and second > heard:
                note(made, HOME_LOOK, seen_home(ID), NOW + heard)
            note(made, SEND, do.Failed(GenericVipError("x")), NOW + second)
        assert made.attempts[do.key(SEND)].outage is outage


def test_pauses_are_spread() -> None:
    """Chance takes up to half of a pause, so that many folders do not come back at once."""
    made = note(Memory(), SEND, do.Failed(TransferMismatch("cut")), spread=0.0)
    assert made.attempts[do.key(SEND)].not_before == NOW + 1


def test_the_server_may_ask_for_a_longer_pause() -> None:
    """Retry-After counts where it is longer than ours."""
    made = fail(Memory(), SEND, GenericVipError("busy", retry_after=40))
    assert made.attempts[do.key(SEND)].not_before == NOW + 40


def test_success_ends_a_row_of_failures() -> None:
    """The next failure counts from one again."""
    made = fail(Memory(), SEND, TransferMismatch("cut"), times=3)
    note(made, SEND, do.FileSent("x"))
    assert made.attempts == {}
    assert fail(made, SEND, TransferMismatch("cut")).attempts[do.key(SEND)].count == 1


def test_the_same_thing_in_another_state_counts_on() -> None:
    """An attempt is known by what is to be done, not by what is expected of it."""
    made = fail(Memory(), SEND, TransferMismatch("cut"))
    fail(made, replace(SEND, state=state_of("other")), TransferMismatch("cut"))
    assert made.attempts[do.key(SEND)].count == 2


@pytest.mark.parametrize("error", [Unreachable("x"), KeyRefused("x"), KeyMissing("x")])
def test_some_failures_stop_everything_on_vip(error: VipsyncError) -> None:
    """No network, no key: every other action would fail in the same way.

    What was on its way when that was found out is no second try.
    """
    made = fail(fail(Memory(), SEND, error), SEND_B, error)
    assert made.account.trouble
    assert made.account.trouble.count == 1
    note(made, SEND_B, do.Failed(error), NOW + 10)
    assert made.attempts == {}
    assert made.account.trouble is not None
    assert (made.account.trouble.count, made.account.trouble.error) == (2, error)


def test_the_first_answer_from_vip_ends_the_trouble() -> None:
    """Whatever it answers to, VIP is there again."""
    made = fail(Memory(), SEND, Unreachable("x"), times=4)
    assert note(made, HOME_LOOK, seen_home(ID)).account.trouble is None


def test_work_on_this_machine_says_nothing_of_vip() -> None:
    """A file that was read ends no trouble with the network."""
    made = fail(Memory(), SEND, Unreachable("x"))
    assert note(made, HASH, do.FileHashed("x")).account.trouble


@pytest.mark.parametrize("action", [HASH, do.WriteMarker(), SEND])
def test_what_this_machine_refuses_is_no_trouble_with_vip(action: do.Action) -> None:
    """A full disk is kept by action, each with its own pause: an answer from VIP mends nothing."""
    made = fail(Memory(), action, DiskError("full"), times=2)
    note(made, HOME_LOOK, seen_home(ID))
    assert made.account.trouble is None
    assert made.attempts[do.key(action)].count == 2


def test_full_slots_are_no_failure() -> None:
    """They are a queue: only their time is kept."""
    start = do.StartExecution(in_doubt("a.dat", "one"))
    made = fail(Memory(), start, SlotsFull("full"), times=3)
    assert (made.attempts, made.account.trouble, made.account.slots_full_at) == ({}, None, NOW)


def test_an_ended_execution_frees_a_slot() -> None:
    """The queue goes on at once; while it runs, nothing is known."""
    made = memory(slots_full_at=NOW - 5)
    note(made, do.Poll("e1"), do.Polled(told()))
    assert made.account.slots_full_at == NOW - 5
    note(made, do.Poll("e1"), do.Polled(told("e1", ExecutionStatus.FINISHED)))
    assert made.account.slots_full_at is None


def test_what_ended_is_no_longer_under_way() -> None:
    """Ended in whatever way."""
    made = memory(under_way={do.key(SEND), do.key(SEND_B)})
    note(made, SEND, do.Failed(TransferMismatch("cut")))
    assert made.under_way == {do.key(SEND_B)}


def test_conditions_have_an_age_while_they_hold() -> None:
    """A condition that is gone for one plan starts anew."""
    made = Memory()
    made.keep_conditions(frozenset({"a", "b"}), 10.0)
    made.keep_conditions(frozenset({"a"}), 20.0)
    made.keep_conditions(frozenset({"a", "b"}), 30.0)
    assert made.since == {"a": 10.0, "b": 30.0}


def test_a_folder_that_was_not_there_at_first_is_fresh() -> None:
    """Whatever is in it later, this process put there; a second look changes nothing of that."""
    made = note(Memory(), HOME_LOOK, seen_home(exists=False))
    assert made.fresh
    assert note(made, HOME_LOOK, seen_home(ID)).fresh
    assert made.folders >= {HOME}


def test_another_folder_is_looked_at_as_if_for_the_first_time() -> None:
    """After a change of session_name, that the old folder was fresh says nothing of the new one."""
    made = note(Memory(), HOME_LOOK, seen_home(exists=False))
    note(made, do.LookAtHome(VipPath("/vip/Home/API/other")), seen_home("s9"))
    assert not made.fresh
    assert made.home_path == "/vip/Home/API/other"


def test_a_listing_replaces_what_was_known_of_a_folder() -> None:
    """Files with their sizes, and folders that need no look of their own."""
    entries = (RemoteEntry(A, False, 3), RemoteEntry(VipPath(f"{INPUTS}/sub"), True))
    made = note(memory(missing={INPUTS}), do.LookAtFolder(INPUTS), do.FolderSeen(entries))
    assert made.listings[INPUTS] == Listing(made.version, {A: 3}, NOW)
    assert f"{INPUTS}/sub" in made.folders
    assert made.missing == set()


def test_a_missing_folder_is_known_as_missing_until_it_is_made() -> None:
    """It is neither listed nor there; making it leaves it there and empty."""
    made = note(memory({"a.dat": 3}), do.LookAtFolder(INPUTS), do.FolderSeen(None))
    assert (INPUTS in made.folders, made.missing, made.listings) == (False, {INPUTS}, {})
    note(made, do.MakeFolder(INPUTS), do.Done())
    assert (INPUTS in made.folders, made.missing) == (True, set())
    assert made.listings == {INPUTS: Listing(made.version, {}, NOW)}


def test_every_end_of_a_transfer_touches_its_folder() -> None:
    """A list of before says nothing any more, not even after a failure."""
    made = note(memory(), SEND, do.Failed(TransferMismatch("cut")))
    assert made.touched[parent(A)] > made.listings[INPUTS].order


def test_after_a_launch_the_list_of_executions_is_old() -> None:
    """Only a list of after it can prove that it did not arrive."""
    made = memory(found_at=NOW - 1, found_whole=True)
    note(made, do.StartExecution(in_doubt("a.dat", "one")), do.Failed(Unreachable("x")))
    assert (made.started_at, made.found_at) == (NOW, None)
    note(
        made,
        do.FindExecutions("x", NOW),
        do.ExecutionsSeen((told(),), whole=False, at=NOW + 3),
        NOW + 5,
    )
    assert (made.ours, made.found_at, made.found_whole) == ((told(),), NOW + 3, False)


def test_listed_results_are_not_listed_again_for_the_same_files() -> None:
    """The number of returned files at the time of the list is kept."""
    ended = execution(returned=(A,))
    made = note(memory(), do.ListResults(ended), do.ResultsListed(()))
    assert made.returned == {"e1": 1}


def test_a_removal_is_asked_looked_at_and_confirmed() -> None:
    """Once it is gone, nothing of what lay in it is known any more; what lies beside it stays."""
    made = memory({"a.dat": 3}, folders={HOME, INPUTS, VipPath(f"{HOME}x")})
    note(made, do.RemoveTree(HOME, HOME, HOME), do.Done())
    assert made.removal_asked == {HOME: NOW}
    note(made, do.CheckRemoved(HOME), do.RemovalSeen(gone=False), NOW + 2)
    assert (made.removal_looked, made.removed) == ({HOME: NOW + 2}, set())
    note(made, do.CheckRemoved(HOME), do.RemovalSeen(gone=True), NOW + 4)
    assert made.removed == {HOME}
    assert (made.folders, made.listings) == ({f"{HOME}x"}, {})


def test_a_closed_session_knows_nothing_of_its_folder() -> None:
    """The next opening looks at everything anew."""
    made = memory({"a.dat": 3}, fresh=True, removed={HOME}, removal_asked={HOME: 1.0})
    made.forget_home()
    assert (made.home, made.fresh, made.folders, made.removed) == (None, False, set(), set())
    assert (made.listings, made.removal_asked) == ({}, {})


def test_another_key_forgets_what_was_seen_and_no_removal() -> None:
    """VIP may still carry out what was asked for with the first one."""
    made = memory(removal_asked={HOME: 7.0}, ours=(), found_whole=True, slots_full_at=3.0)
    made.change_account(AccountMemory())
    assert (made.home, made.ours, made.found_whole) == (None, None, False)
    assert made.account.slots_full_at is None
    assert (made.removal_asked, made.asked_before) == ({}, 7.0)
