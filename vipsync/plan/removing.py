"""From finishing to closed: executions and results are waited for, the data removed, the removal confirmed.

Nothing is removed from VIP before its results are here, while something may still be written
there, or while others run with it; and never data of another session. PURE: no I/O, no clock.
"""

from __future__ import annotations

from vipsync import actions as do
from vipsync.model import ExecutionStatus, VipPath, replace
from vipsync.names import last, shell_word
from vipsync.plan.accounting import accounted
from vipsync.plan.draft import Draft, Level, decide
from vipsync.plan.results import LATE_WRITERS, cannot_come, kill, open_results, wanted
from vipsync.plan.snapshot import Snapshot
from vipsync.record.lifecycle import Event, step
from vipsync.rows import (
    Changes,
    Followed,
    Launch,
    LaunchStatus,
    Result,
    ResultStatus,
    Row,
    SendStatus,
    Session,
    Stage,
    State,
)

ASK_AGAIN = 600.0
"""Seconds after which a removal that did not happen is asked for again (facts 3.7)."""

OLD_LEASE = 86400.0
"""Seconds after which a lease that was not renewed is reported."""

LAST_LOOK = "a last look"
"""The condition of a removal that only lists are waited for."""

LOST = "it was removed from VIP before it was fetched"

LOOK_AGAIN = 2.0
"""Seconds between looks whether a removal has happened: it mostly takes a few (facts 3.7)."""

LOOK_LESS = 2
"""What part of the time that has passed since it was asked for goes by until the next look."""


def plan_removal(draft: Draft) -> None:
    """Take a finishing session on: wait for executions and results, then remove, then close."""
    session = draft.s.state.session
    match session.stage:
        case Stage.DRAINING:
            _kill(draft)
            _say_silent(draft)
            coming = _coming_back(draft)
            if not missing(draft.s) and not coming and not _doubts(draft) and not _leased(draft):
                _begin(draft, session)
        case Stage.REMOVING if missing(draft.s):
            # Another process decided on the removal; since then VIP has shown something new.
            decide(draft, "something is missing", step(session, Event.MISSING))
        case Stage.REMOVING | Stage.ASKED:
            _remove(draft)
        case _:
            pass


def _begin(draft: Draft, session: Session) -> None:
    if _looked_again(draft) and accounted(draft, removal_targets(draft.s)):
        decide(draft, "remove", _ready(session))


def _ready(session: Session) -> Session:
    """Return a session whose data may go now; VIP may have been asked before it showed something new."""
    ready = step(session, Event.ALL_HERE)
    return ready if session.removal_asked_at is None else step(ready, Event.REMOVAL_ASKED)


def _kill(draft: Draft) -> None:
    s = draft.s
    if not s.state.session.kill and s.settings.finish.running != "kill":
        return
    for execution in s.state.executions.values():
        kill(draft, execution)


def _silent(execution: Followed, snapshot: Snapshot) -> bool:
    """Tell whether VIP neither describes an execution nor lists its results (facts 5.7, 3.3)."""
    memory = snapshot.memory
    if execution.over:
        return not execution.gone and do.key(do.ListResults(execution)) in memory.attempts
    asked = do.key(do.Poll(execution.id)) in memory.attempts
    return asked and execution.id not in memory.polled_at


def _say_silent(draft: Draft) -> None:
    """Say how an execution can be let go of which VIP says nothing."""
    for execution in draft.s.state.executions.values():
        asked = do.ListResults(execution) if execution.over else do.Poll(execution.id)
        if _silent(execution, draft.s) and draft.hopeless(asked):
            what = "list the results of" if execution.over else "describe"
            draft.notice(
                Level.PERSON,
                execution.id,
                f"VIP does not {what} {execution.id}: what is there is not known.",
                f"To finish without it: `vipsync finish DIR --without {shell_word(execution.id)}`.",
            )


def missing(snapshot: Snapshot) -> list[str]:
    """Name what is not here yet and blocks the removal: executions, results."""
    executions = [e for e in snapshot.state.executions.values() if not e.removed]
    running = [e.id for e in executions if not e.over]
    ended = [e for e in executions if e.over and (e.results_folder or not e.gone)]
    unlisted = [e.id for e in ended if not e.listed and wanted(e, snapshot)]
    return [*running, *unlisted, *(r.vip for r in open_results(snapshot))]


def _coming_back(draft: Draft) -> bool:
    """Tell whether a result is fetched that was here and was deleted: a try is waited for, no more."""
    return any(key.kind is do.FetchResult for key in {*draft.s.memory.under_way, *draft.keys})


def _looked_again(draft: Draft) -> bool:
    """Tell whether all that goes was listed since nothing else holds the removal; list what was not.

    A result may have been written anew since it was listed.
    """
    draft.conditions.add(LAST_LOOK)
    memory = draft.s.memory
    since = memory.since.get(LAST_LOOK, draft.s.now)
    goes = tuple(f"{target}/" for target in removal_targets(draft.s))
    looks = [
        look
        for e in draft.s.state.executions.values()
        if e.results_folder and e.results_folder.startswith(goes)
        if not e.removed and wanted(e, draft.s)
        if memory.listed_at.get(e.id, float("-inf")) < since
        if not (draft.hopeless(look := do.ListResults(e)) and e.gone)
    ]
    for look in looks:
        draft.add(look)
    return not looks


def _leased(draft: Draft) -> bool:
    """Tell whether other sessions still run with our inputs, and say who."""
    if draft.s.settings.finish.keep_input:
        return False
    for lease in draft.s.leases:
        age = draft.s.wall - lease.at
        text = f"{lease.folder} (on {lease.host}) runs executions with these inputs."
        remedy = "The removal waits for them."
        if age > OLD_LEASE:
            text += f" It has not said so for {age / 3600:.0f} h."
            remedy = (
                "If that session is gone: "
                f"`vipsync finish DIR --without {shell_word(last(lease.folder.rstrip('/')))}`."
            )
        draft.notice(Level.PERSON if age > OLD_LEASE else Level.WAIT, "share", text, remedy)
        draft.wait(draft.s.now + draft.s.settings.monitor.refresh_time, lasting=age > OLD_LEASE)
    return bool(draft.s.leases)


def _doubts(draft: Draft) -> bool:
    """Tell whether a transfer or a launch may still have an effect on VIP (house 2.4)."""
    state, memory = draft.s.state, draft.s.memory
    if any(x.status is LaunchStatus.INTENDED for x in state.launches.values()):
        return True
    if any(key.kind in do.SENDS for key in memory.under_way):
        return True
    trying = [r for r in state.sent.values() if r.status is SendStatus.TRYING]
    killed = [
        f"killed {e.id}"
        for e in state.executions.values()
        if e.status is ExecutionStatus.KILLED and not (e.gone or e.removed)
        if not e.listed or draft.s.wall - (e.ended_at or draft.s.wall) < LATE_WRITERS
    ]
    late = [*killed, *(["late transfers"] if trying else [])]
    waiting = bool([c for c in late if not draft.wait_for(c, LATE_WRITERS)])
    if memory.unanswered_at is not None and draft.s.now < memory.unanswered_at + LATE_WRITERS:
        # with its place free again, a transfer of this round would pass for one of the next
        draft.wait(memory.unanswered_at + LATE_WRITERS)
        waiting = True
    if waiting:
        say_late_writers(draft)
    return waiting


def say_late_writers(draft: Draft) -> None:
    """Say what a removal waits for."""
    draft.notice(
        Level.WAIT,
        "finish",
        "A transfer that got no answer, or a stopped job, may still write to VIP.",
        "The removal waits for it, two minutes at most.",
    )


def removal_targets(snapshot: Snapshot) -> tuple[VipPath, ...]:
    """Return the folders on VIP that go when the session is finished: never outside its own."""
    session, finish = snapshot.state.session, snapshot.settings.finish
    if not finish.keep_input and not finish.keep_output:
        return (session.home,)
    kept = [
        (finish.keep_input, session.vip_input_dir),
        (finish.keep_output, session.vip_output_dir),
    ]
    return tuple(p for keep, p in kept if not keep and p.startswith(f"{session.home}/"))


def _comes_anew(draft: Draft) -> bool:
    """Tell whether a result is on its way again that was here when VIP was first asked."""
    attempts = draft.s.memory.attempts
    open_ = (r for r in open_results(draft.s) if r.status is ResultStatus.WANTED)
    keys = [do.Key(do.FetchResult, result.vip) for result in open_]
    return any(key not in attempts or not attempts[key].lasts for key in keys)


def _remove(draft: Draft) -> None:
    """Ask for each removal, look until it has happened, ask again after ten minutes."""
    s, memory, session = draft.s, draft.s.memory, draft.s.state.session
    targets = [t for t in removal_targets(s) if t not in memory.removed]
    if not targets:
        draft.add(do.Decide("close", removed(s)))
        return
    for target in targets:
        asked = removal_asked(s, target)
        if asked is None or s.now >= asked + ASK_AGAIN:
            if session.stage is Stage.ASKED and _comes_anew(draft):
                continue  # a list has shown another size than the one that is here
            if s.marker:
                if session.stage is Stage.ASKED:
                    _say_marked(draft)
                continue
            ids = memory.home.ids if s.by_name and memory.home else None
            before = session.removal_asked_at
            draft.add(do.RemoveTree(target, session.home, session.id_folder, before, ids))
            continue
        overdue = s.now - asked >= s.settings.finish.timeout
        if overdue:
            draft.notice(
                Level.PERSON,
                target,
                "VIP has not removed it yet.",
                "vipsync goes on looking and asks again; tell VIP's support if it lasts.",
            )
        looked = max(asked, memory.removal_looked.get(target, 0.0))
        rarely = max(LOOK_AGAIN, (looked - asked) / LOOK_LESS)
        due = min(looked + rarely, asked + ASK_AGAIN)
        if s.now >= due:
            draft.add(do.CheckRemoved(target))
        else:
            draft.wait(due, lasting=overdue and target not in memory.removal_unsure)


def removal_asked(snapshot: Snapshot, target: VipPath) -> float | None:
    """Return when a removal was last asked for (monotonic s), by this process or the one before."""
    memory = snapshot.memory
    asked, before = memory.removal_asked.get(target), memory.asked_before
    if asked is None and before is not None and snapshot.state.session.removal_asked_at is not None:
        return before if snapshot.now < before + ASK_AGAIN else None
    return asked


def _say_marked(draft: Draft) -> None:
    """Ask for no removal beside a marker: a backup, or a person, has put it there."""
    draft.notice(
        Level.PERSON,
        "ON_VIP.txt",
        "The marker is back, though the removal from VIP had begun: it is not asked for.",
        "Delete the marker, and the removal goes on.",
    )


def removed(snapshot: Snapshot) -> Changes:
    """Return what is true once what was to go from VIP has gone; what is kept there stays in the session."""
    finish, state = snapshot.settings.finish, snapshot.state
    if not finish.keep_input and not finish.keep_output:
        return closed(snapshot, Event.SEEN_GONE)
    results = () if finish.keep_output else _results_gone(snapshot)
    inputs = () if finish.keep_input else _inputs_gone(state)
    opened = step(state.session, Event.SEEN_GONE, kept=True, opened_at=snapshot.wall)
    return Changes(put=(opened, *results, *inputs, *runs_given_up(state)))


def closed(snapshot: Snapshot, why: Event) -> Changes:
    """Return what is true once nothing of the session is on VIP any more."""
    state = snapshot.state
    gone = (*_results_gone(snapshot), *_inputs_gone(state))
    return Changes(put=(step(state.session, why), *gone, *runs_given_up(state)))


def _results_gone(snapshot: Snapshot) -> list[Row]:
    last_shown = [
        replace(r, status=ResultStatus.HERE)
        if r.stamp  # it was here before VIP told another size
        else replace(r, status=ResultStatus.REFUSED, reason=LOST)
        for r in open_results(snapshot)
        if r.status is ResultStatus.WANTED
    ]
    state = snapshot.state
    gone = (e for e in state.executions.values() if not e.removed and _went(e, state))
    return [*last_shown, *(replace(e, removed=True) for e in gone)]


def _went(execution: Followed, state: State) -> bool:
    """Tell whether the results of an execution went with the session's folder: a script may put them elsewhere."""
    folder = execution.results_folder
    return folder is None or folder.startswith(f"{state.session.home}/")


def _inputs_gone(state: State) -> list[Row]:
    inside = f"{state.session.home}/"
    sent = (row for row in state.sent.values() if row.vip.startswith(inside))
    return [replace(row, status=SendStatus.REMOVED) for row in sent]


def leaves_something_to_remove(snapshot: Snapshot) -> bool:
    """Tell whether anything would go from VIP if the session were finished now."""
    state, targets = snapshot.state, removal_targets(snapshot)
    if state.session.home in targets:
        return True
    there = [r.vip for r in state.sent.values() if r.status is not SendStatus.REMOVED]
    results = [e.results_folder for e in state.executions.values() if not e.removed]
    paths = [*there, *(folder for folder in results if folder)]
    return any(path.startswith(f"{target}/") for path in paths for target in targets)


def runs_given_up(state: State) -> list[Launch]:
    """Return the launches of which further runs were to come: what they would need has gone."""
    return [replace(x, runs=x.run) for x in state.launches.values() if x.run < x.runs]


def let_go(snapshot: Snapshot, names: tuple[str, ...]) -> list[Row]:
    """Return what a person lets go: executions by id, results by the end of their path on VIP.

    Only what cannot come: another one of that name may just be on its way.
    """
    silent = [
        replace(e, gone=True, listed=True)
        for e in snapshot.state.executions.values()
        if e.id in names and _silent(e, snapshot)
    ]
    results = [
        replace(r, status=ResultStatus.LET_GO)
        for r in snapshot.state.results.values()
        if _is_called(r, names) and cannot_come(r, snapshot)
    ]
    return [*silent, *results]


def may_still_come(snapshot: Snapshot, names: tuple[str, ...]) -> bool:
    """Tell whether something of these names was not tried yet in this process: it may come after all."""
    executions, blocking = snapshot.state.executions, {*missing(snapshot)} & {*names}
    named = [e for e in executions.values() if e.id in blocking]
    untold = [e for e in named if not _silent(e, snapshot)]
    coming = [
        r for r in open_results(snapshot) if _is_called(r, names) and not cannot_come(r, snapshot)
    ]
    polled = snapshot.memory.polled_at
    return bool(coming) or any(e.over or e.id not in polled for e in untold)


def _is_called(result: Result, names: tuple[str, ...]) -> bool:
    return any(result.vip == name or result.vip.endswith(f"/{name}") for name in names)
