"""Start one execution after another, each exactly once, and settle what is in doubt.

PURE: no I/O, no clock.
"""

from __future__ import annotations

from vipsync import actions as do
from vipsync.model import VipPath, replace
from vipsync.plan.draft import Draft, Level
from vipsync.plan.memory import SLOT
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Changes, Launch, LaunchStatus, Session, State

DOUBT = 120.0
"""Seconds for which a launch whose answer was lost is looked for by its name."""


MOST_REFUSALS = 3
"""Times that VIP refuses a launch for no final reason after which a person is told."""

ASK_AGAIN = 3600.0
"""Seconds after which a launch that VIP has refused so often is tried again."""

FRESH = 10.0
"""Seconds for which a list of the account's executions can prove that something is not in it."""

BETWEEN_LAUNCHES = 1.0
"""Seconds between two launches (house 7.2)."""


def mark(session: Session) -> str:
    """Return the words that every execution of this session has in its name."""
    return f"vipsync-{session.id}"


def is_refused(launch: Launch, wall: float) -> bool:
    """Tell whether VIP has said no to a launch, for good or so often that it is left alone now."""
    if launch.status is LaunchStatus.WITHDRAWN:
        often = (launch.refusals or 0) >= MOST_REFUSALS
        return often and 0 <= wall - launch.at < ASK_AGAIN
    return launch.status is LaunchStatus.REFUSED


def say_refused(draft: Draft, launch: Launch) -> None:
    """Say to what VIP has said no, in its words."""
    names = ", ".join(case.id for case in launch.cases[:3]) or launch.name
    if launch.status is LaunchStatus.REFUSED:
        draft.notice(Level.PERSON, names, f"VIP refused the launch: {launch.reason}")
        return
    draft.wait(draft.s.now + launch.at + ASK_AGAIN - draft.s.wall, lasting=True)
    draft.notice(
        Level.PERSON,
        names,
        f"VIP refused the launch {launch.refusals} times: {launch.reason}",
        "Ask the portal's support. It is tried again every hour, and with `vipsync launch DIR`.",
    )


def find_executions(draft: Draft) -> None:
    """Look for executions of this session in a list that is recent, and newer than what we know."""
    memory = draft.s.memory
    times = (draft.s.now - FRESH, memory.opened_at, memory.started_at, memory.found_at)
    since = max(at for at in times if at is not None)
    draft.add(do.FindExecutions(mark(draft.s.state.session), since))


def start(draft: Draft, launch: Launch) -> None:
    """Add one POST, when VIP has a slot and the last results folder is known."""
    memory = draft.s.memory
    lender = draft.s.lender
    if lender and lender.leased_at is None:
        draft.add(do.TakeLease(lender.folder, draft.s.wall))
        return
    if memory.ours is None:
        find_executions(draft)
        return
    if _last_folder_unknown(draft):
        return
    if memory.started_at is not None and draft.s.now < memory.started_at + BETWEEN_LAUNCHES:
        draft.wait(memory.started_at + BETWEEN_LAUNCHES)
    elif _must_queue(draft) or draft.add(do.StartExecution(launch)):
        draft.since(SLOT)


def _must_queue(draft: Draft) -> bool:
    """Tell whether VIP has no slot, or another folder of this run has waited longer for one."""
    s, full_at = draft.s, draft.s.memory.account.slots_full_at
    if full_at is None and s.first_in_queue:
        return False
    if full_at is None:
        text = "Queued: other folders have waited longer for a free slot on VIP."
    else:
        text = "Queued: VIP runs as many executions as this account may have."
    draft.notice(Level.WAIT, "queue", text)
    since = full_at if full_at is not None and s.first_in_queue else s.now
    again = since + s.settings.monitor.refresh_time
    if s.now >= again:
        return False
    draft.wait(again)
    return True


def _last_folder_unknown(draft: Draft) -> bool:
    """Tell whether an execution has yet to say where its results go.

    Two that start in one second would share a folder (facts 6.1). Polling is planned elsewhere.
    """
    silent = [e for e in draft.s.state.executions.values() if not e.over and not e.results_folder]
    return any(not draft.wait_for(f"silent {e.id}", DOUBT) for e in silent)


def settle_doubts(draft: Draft) -> bool:
    """Settle the first launch in doubt, if any; one that did not arrive is withdrawn.

    What is still to be launched then starts anew, with a look at its inputs.
    """
    for launch in draft.s.state.launches.values():
        if launch.status is LaunchStatus.INTENDED:
            _settle(draft, launch)
            return True
    return False


def plan_launch(draft: Draft, launch: Launch) -> None:
    """Bring one request of a script to its end: settle what is in doubt, then start what is to come."""
    state = draft.s.state
    if settle_doubts(draft):
        return
    there = state.launches.get(launch.name)
    if there is None or (
        there.status is LaunchStatus.WITHDRAWN and not is_refused(there, draft.s.wall)
    ):
        start(draft, launch)
        return
    for following in runs_due(draft.s):
        if following.request == launch.request:
            start(draft, following)
            return


def runs_to_come(state: State) -> list[Launch]:
    """Return the intents for the next runs of launches of which only the first ones were started."""
    found = []
    for launch in state.launches.values():
        if launch.status is not LaunchStatus.STARTED or launch.run >= launch.runs:
            continue
        following = next_run(launch)
        there = state.launches.get(following.name)
        if there is None or there.status is LaunchStatus.WITHDRAWN:
            found.append(following)
    return found


def runs_due(snapshot: Snapshot) -> list[Launch]:
    """Return the runs to come that VIP has not refused so often that they are left alone now."""
    there, wall = snapshot.state.launches, snapshot.wall
    runs = runs_to_come(snapshot.state)
    return [x for x in runs if x.name not in there or not is_refused(there[x.name], wall)]


def next_run(launch: Launch) -> Launch:
    """Return the intent for the run after this one."""
    base = launch.name.removesuffix(f" run {launch.run}")
    run = launch.run + 1
    return replace(
        launch,
        name=f"{base} run {run}",
        results_location=_of_its_own(launch, run),
        run=run,
        status=LaunchStatus.INTENDED,
        execution_id="",
        reason="",
    )


def _of_its_own(launch: Launch, run: int) -> VipPath:
    """Return where another run puts its results: beside those of the first where that is fixed."""
    location, key = launch.results_location, launch.name.split(" run ")[0].rsplit(" ", 1)[-1]
    head, _, last = location.rpartition("/")
    return VipPath(f"{head}/{key}-{run}") if last.partition("-")[0] == key else location


def _settle(draft: Draft, launch: Launch) -> None:
    """Look for a launch in doubt by its name; withdraw it only when it surely did not arrive."""
    if do.key(do.StartExecution(launch)) in draft.s.memory.under_way:
        return
    memory = draft.s.memory
    doubted = draft.since(f"doubt {launch.name} {memory.started_at}")
    looked = memory.found_at
    if doubted >= DOUBT and looked is not None and memory.found_whole and _fresh(draft, looked):
        refusals = (launch.refusals or 0) + 1 if launch.reason else launch.refusals
        row = replace(launch, status=LaunchStatus.WITHDRAWN, refusals=refusals)
        withdrawn = Changes(put=(row,))
        draft.add(do.Decide(f"withdraw {launch.name}", withdrawn))
        return
    text = f"{launch.reason} It is not known yet whether VIP took this launch.".lstrip()
    proves_nothing = doubted >= DOUBT and looked is not None and not memory.found_whole
    if proves_nothing:
        text += " VIP lists its newest 500 executions only, and it is not among them."
        remedy = "Delete old executions on the portal: then the list can tell."
        draft.notice(Level.PERSON, launch.name, text, remedy)
    else:
        draft.notice(Level.WAIT, launch.name, text)
    if looked is None or not _fresh(draft, looked) or draft.s.now >= looked + FRESH:
        find_executions(draft)
    else:
        draft.wait(looked + FRESH, lasting=proves_nothing)


def _fresh(draft: Draft, looked: float) -> bool:
    """Tell whether a list is recent enough to prove that something is not in it."""
    return draft.s.now - looked <= FRESH
