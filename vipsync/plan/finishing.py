"""The session's way from open to closed: the marker, the grace, the last results, the removal.

Nothing is removed from VIP without a marker that was really seen and really is gone, never before
its results are here, and never data of another session. PURE: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import replace

from vipsync import actions as do
from vipsync.model import Case, ExecutionStatus, InputFolder, PackedFolder, VipPath
from vipsync.plan.draft import Draft, Level
from vipsync.plan.mirroring import LATE_WRITERS, cannot_come, kill, open_results, wanted
from vipsync.plan.sending import SENDS, Placer, set_aside
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.sorting import Sorted, to_read
from vipsync.plan.standing import CaseState, outcome
from vipsync.plan.starting import runs_to_come
from vipsync.state import (
    Changes,
    Followed,
    Judged,
    LaunchStatus,
    Phase,
    ResultStatus,
    Row,
    SendStatus,
    Session,
    State,
    Verdict,
)

ASK_AGAIN = 600.0
"""Seconds after which a removal that did not happen is asked for again (facts 3.7)."""

OLD_LEASE = 86400.0
"""Seconds after which a lease that was not renewed is reported."""

LEAVING = (Phase.FINISHING, Phase.REMOVING)
"""The phases of a session that is on its way to closed."""

LOST = "it was removed from VIP before it was here"

LOOK_AGAIN = 2.0
"""Seconds between looks whether a removal has happened: it mostly takes a few (facts 3.7)."""

LOOK_LESS = 2
"""What part of the time that has passed since it was asked for goes by until the next look."""


def decide(draft: Draft, why: str, *put: Row) -> None:
    """Add a decision: rows to write, and no effect."""
    draft.add(do.Decide(why, Changes(put=put)))


def plan_marker(draft: Draft) -> None:
    """Follow the marker: gone for the whole grace time means finish, back again means go on."""
    session = draft.s.state.session
    if session.phase is Phase.OPEN and not draft.s.marker and not session.marked:
        home = draft.s.memory.home
        if home and home.exists and set(home.ids) <= {session.id}:
            draft.add(do.WriteMarker())
    elif session.phase is Phase.OPEN and draft.s.marker and not session.marked:
        decide(draft, "marked", replace(session, marked=True))
    elif session.phase is Phase.OPEN and not draft.s.marker and draft.s.memory.was_absent:
        draft.notice(
            Level.PERSON,
            "ON_VIP.txt",
            "The folder was away and came back without its marker: nothing is concluded from that.",
            "Where the data on VIP may go, say so with `vipsync finish DIR`.",
        )
    elif session.phase is Phase.OPEN and not draft.s.marker:
        grace = draft.s.settings.finish.grace
        draft.notice(
            Level.WAIT, "ON_VIP.txt", f"The marker is gone: finishing starts after {grace:g} s."
        )
        # The first plan that sees it gone starts the clock, so at least two looks agree.
        if draft.since("marker gone") > 0 and draft.wait_for("marker gone", grace):
            decide(draft, "finish", replace(session, phase=Phase.FINISHING, set_aside=False))
        else:
            draft.wait(draft.s.now + min(grace, 0.5))
    elif draft.s.marker and not removal_began(session) and session.phase in LEAVING:
        draft.add(do.Decide("go on", gone_on(draft.s.state)))


def removal_began(session: Session) -> bool:
    """Tell whether VIP may have been asked to remove something: from then on there is no way back."""
    return session.phase is Phase.REMOVING and session.removal_asked_at is not None


def plan_older_ledger(draft: Draft) -> None:
    """Take back an end that was decided before executions were started which the ledger never knew.

    A ledger from a backup says nothing about the marker of today: a new one must be deleted.
    """
    s, session = draft.s, draft.s.state.session
    if session.phase is Phase.FINISHING and session.adopting and s.memory.was_finishing:
        opened = replace(session, phase=Phase.OPEN, marked=s.marker, kill=False, set_aside=False)
        decide(draft, "older ledger", opened)


def gone_on(state: State) -> Changes:
    """Return what is true when finishing is taken back: nothing of this round is set aside any more."""
    since = state.session.opened_at or 0.0
    aside = [
        row
        for row in state.judged.values()
        if row.verdict is Verdict.ASIDE and row.at is not None and row.at >= since
    ]
    unsent = [
        row
        for row in state.sent.values()
        if row.status is SendStatus.REMOVED and not row.sha256 and row.at >= since
    ]
    session = replace(state.session, phase=Phase.OPEN, kill=False, set_aside=False)
    asked = [_asked_for(row, state) for row in aside if row.request]
    freed = [row for row in aside if not row.request]
    return Changes(put=(session, *asked), drop=(*freed, *unsent))


def _asked_for(aside: Judged, state: State) -> Judged:
    """Return the verdict of a person that a case had before it was set aside."""
    launched = any(c.content == aside.content for x in state.launches.values() for c in x.cases)
    return replace(aside, verdict=Verdict.AGAIN if launched else Verdict.GO, at=None)


def plan_after_download(draft: Draft, found: Sorted) -> None:
    """Finish by itself where `after = "download"`: every case ended well, every result here."""
    s = draft.s
    if s.settings.finish.after != "download" or s.state.session.phase is not Phase.OPEN:
        return
    busy = found.settling or s.unsettled or runs_to_come(s.state)
    done = all(_is_done(case, found, s) for case in s.cases.cases)
    if busy or not done or not s.state.executions or not _all_ended_well(s):
        return
    if not missing(s) and draft.add(do.DeleteMarker()):
        finishing = replace(s.state.session, phase=Phase.FINISHING, set_aside=False)
        decide(draft, "finish after download", finishing)


def _is_done(case: Case, found: Sorted, snapshot: Snapshot) -> bool:
    """Tell whether a case was launched, or will not be by a person's own decision."""
    content = found.content.get(case.id, "")
    judged = snapshot.state.judged.get(content)
    if judged and judged.verdict is Verdict.AGAIN:
        return case not in found.new
    return content in found.launches or (judged is not None and judged.verdict is not Verdict.GO)


def _all_ended_well(snapshot: Snapshot) -> bool:
    state = snapshot.state
    executions = {e.id: e for e in state.executions.values() if not e.removed}
    finished = all(
        e.status is ExecutionStatus.FINISHED and all(j.exit_code == 0 for j in e.jobs)
        for e in executions.values()
    )
    in_doubt = any(x.status is LaunchStatus.INTENDED for x in state.launches.values())
    done = all(  # Finished says nothing of the outputs (facts 7.5)
        outcome(case, launch, executions[launch.execution_id])[0] is CaseState.DONE
        for launch in state.launches.values()
        if launch.execution_id in executions
        for case in launch.cases
    )
    return finished and done and not in_doubt


def plan_set_aside(draft: Draft, found: Sorted, placer: Placer) -> list[do.Action]:
    """Set aside the complete cases that were not launched; return the hashes this needs.

    Files that come later are not among them: they open the session again. A process that was just
    started cannot tell which ones those are before it has looked for as long as files must be quiet.
    """
    s, session = draft.s, draft.s.state.session
    if session.phase is not Phase.FINISHING:
        return []
    if session.set_aside:
        _set_aside_withdrawn(draft, found)
        return []
    if found.settling and not draft.wait_for("setting aside", _quiet_time(found, s)):
        return []
    judged = [*_judge(found, s, Verdict.ASIDE), *_asked_aside(found, s)]
    unread = _readable(draft, to_read(found, placer))
    if not unread:
        files = set_aside(s, placer)
        decide(draft, "set aside", replace(session, set_aside=True), *judged, *files)
    return unread


def _asked_aside(found: Sorted, snapshot: Snapshot) -> list[Judged]:
    """Set aside the launches that a person asked for, and that no longer came to it."""
    asked = (snapshot.state.judged.get(found.content[case.id]) for case in found.new)
    return [replace(row, verdict=Verdict.ASIDE, at=snapshot.wall) for row in asked if row]


def _set_aside_withdrawn(draft: Draft, found: Sorted) -> None:
    """Set aside what was in doubt when the others were, and proved not to have been launched."""
    withdrawn = {
        case.content
        for launch in draft.s.state.launches.values()
        if launch.status is LaunchStatus.WITHDRAWN
        for case in launch.cases
    }
    late = [x for x in _judge(found, draft.s, Verdict.ASIDE) if x.content in withdrawn]
    if late:
        decide(draft, "set aside", *late)


def _quiet_time(found: Sorted, snapshot: Snapshot) -> float:
    """Return for how long the cases that still change must be quiet; folders need a minute at least."""
    values = (value for case in found.settling for value in case.values.values())
    folders = any(isinstance(value, InputFolder | PackedFolder) for value in values)
    return max(snapshot.settle, 60.0) if folders else snapshot.settle


def plan_adoption(draft: Draft, found: Sorted, placer: Placer) -> list[do.Action]:
    """Count the cases of an adopted folder as launched before; return the hashes this needs."""
    s, session = draft.s, draft.s.state.session
    if not session.adopting or (s.settings.pipeline_id and s.descriptor is None):
        return []
    unread = _readable(draft, to_read(found, placer))
    if session.phase is not Phase.CLOSED and s.memory.ours is None:
        return unread  # what VIP knows of this session comes first
    if found.settling or s.unsettled:
        draft.wait(min(s.unsettled.values()))
    elif not unread:
        before = _judge(found, s, Verdict.BEFORE)
        decide(draft, "adopt", replace(session, adopting=False), *before)
    return unread


def _readable(draft: Draft, unread: list[do.Action]) -> list[do.Action]:
    """Leave out files that cannot be read: they must not hold up the others for ever."""
    for action in unread:
        if draft.hopeless(action):
            draft.add(action)  # tried again in its time, and said
    return [action for action in unread if not draft.hopeless(action)]


def _judge(found: Sorted, snapshot: Snapshot, verdict: Verdict) -> list[Judged]:
    at = snapshot.wall if verdict is Verdict.ASIDE else None
    return [
        Judged(content, case_id, verdict, at=at)
        for case_id, content in sorted(found.content.items())
        if content not in found.launches and content not in snapshot.state.judged
    ]


def plan_finishing(draft: Draft) -> None:
    """Take a finishing session on: wait for executions and results, then remove, then close."""
    session = draft.s.state.session
    if session.phase is Phase.FINISHING and session.set_aside:
        _kill(draft)
        _say_unknown(draft)
        if not missing(draft.s) and not _doubts(draft) and not _leased(draft):
            decide(draft, "remove", replace(session, phase=Phase.REMOVING))
    elif session.phase is Phase.REMOVING and session.removal_asked_at is None and missing(draft.s):
        # Another process decided on the removal; since then VIP has shown something new.
        decide(draft, "something is missing", replace(session, phase=Phase.FINISHING))
    elif session.phase is Phase.REMOVING:
        _remove(draft)


def _kill(draft: Draft) -> None:
    s = draft.s
    if not s.state.session.kill and s.settings.finish.running != "kill":
        return
    for execution in s.state.executions.values():
        kill(draft, execution)


def _unknown(execution: Followed, snapshot: Snapshot) -> bool:
    """Tell whether VIP does not describe an execution, and never did in this process (facts 5.7)."""
    memory, asked = snapshot.memory, f"{do.Poll.__name__} {execution.id}"
    return asked in memory.attempts and execution.id not in memory.polled_at and not execution.over


def _say_unknown(draft: Draft) -> None:
    """Say how an execution can be let go that VIP does not describe."""
    for execution in draft.s.state.executions.values():
        if _unknown(execution, draft.s) and draft.hopeless(do.Poll(execution.id)):
            draft.notice(
                Level.PERSON,
                execution.id,
                f"VIP does not describe {execution.id}: nobody knows whether it runs.",
                f"If it is gone: `vipsync finish DIR --without {execution.id}`.",
            )


def missing(snapshot: Snapshot) -> list[str]:
    """Name what is not here yet and blocks the removal: executions, results."""
    executions = [e for e in snapshot.state.executions.values() if not e.removed]
    running = [e.id for e in executions if not e.over]
    ended = [e for e in executions if e.over and (e.results_folder or not e.gone)]
    unlisted = [e.id for e in ended if not e.listed and wanted(e, snapshot)]
    return [*running, *unlisted, *(r.vip for r in open_results(snapshot))]


def _leased(draft: Draft) -> bool:
    """Tell whether other sessions still run with our inputs, and say who."""
    for lease in draft.s.leases:
        age = draft.s.wall - lease.at
        text = f"{lease.folder} (on {lease.host}) runs executions with these inputs."
        remedy = "The removal waits for them."
        if age > OLD_LEASE:
            text += f" It has not said so for {age / 3600:.0f} h."
            remedy = (
                "If that session is gone: "
                f"`vipsync finish DIR --without {lease.folder.rstrip('/').rsplit('/', 1)[-1]}`."
            )
        draft.notice(Level.PERSON if age > OLD_LEASE else Level.WAIT, "share", text, remedy)
        draft.wait(draft.s.now + draft.s.settings.monitor.refresh_time, lasting=age > OLD_LEASE)
    return bool(draft.s.leases)


def _doubts(draft: Draft) -> bool:
    """Tell whether a transfer or a launch may still have an effect on VIP (design 7)."""
    state, memory = draft.s.state, draft.s.memory
    if any(x.status is LaunchStatus.INTENDED for x in state.launches.values()):
        return True
    sends = tuple(f"{kind.__name__} " for kind in SENDS)
    if any(name.startswith(sends) for name in memory.under_way):
        return True
    trying = [r for r in state.sent.values() if r.status is SendStatus.TRYING]
    killed = [
        f"killed {e.id}"
        for e in state.executions.values()
        if e.status is ExecutionStatus.KILLED and not (e.listed or e.gone or e.removed)
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


def _remove(draft: Draft) -> None:
    """Ask for each removal, look until it has happened, ask again after ten minutes."""
    s, memory, session = draft.s, draft.s.memory, draft.s.state.session
    targets = [t for t in removal_targets(s) if t not in memory.removed]
    if not targets:
        draft.add(do.Decide("close", closed(s)))
        return
    for target in targets:
        asked = removal_asked(s, target)
        if asked is None or s.now >= asked + ASK_AGAIN:
            if s.marker:
                if removal_began(session):
                    _say_marked(draft)
                continue
            draft.add(do.RemoveTree(target, session.home, session.id_folder))
            continue
        overdue = s.now - asked >= s.settings.finish.timeout
        if overdue:
            draft.notice(
                Level.PERSON,
                target,
                f"VIP has not removed {target} yet.",
                "vipsync goes on looking and asks again; tell VIP's support if it lasts.",
            )
        looked = max(asked, memory.removal_looked.get(target, 0.0))
        rarely = max(LOOK_AGAIN, (looked - asked) / LOOK_LESS)
        due = min(looked + rarely, asked + ASK_AGAIN)
        if s.now >= due:
            draft.add(do.CheckRemoved(target))
        else:
            draft.wait(due, lasting=overdue)


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


def closed(snapshot: Snapshot) -> Changes:
    """Return what is true once nothing of the session is on VIP any more."""
    state = snapshot.state
    session = replace(
        state.session,
        phase=Phase.CLOSED,
        owned=False,
        named=False,
        marked=False,
        set_aside=False,
        kill=False,
        opened_at=None,
        removal_asked_at=None,
    )
    last_shown = [
        replace(r, status=ResultStatus.HERE)
        if r.stamp  # it was here before VIP told another size
        else replace(r, status=ResultStatus.REFUSED, reason=LOST)
        for r in open_results(snapshot)
        if r.status is ResultStatus.WANTED
    ]
    removed = [replace(e, removed=True) for e in state.executions.values() if not e.removed]
    kept = snapshot.settings.finish.keep_input
    sent = () if kept else state.sent.values()
    gone = [replace(row, status=SendStatus.REMOVED) for row in sent]
    # What a later run would need is no longer there.
    last = [replace(x, runs=x.run) for x in state.launches.values() if x.run < x.runs]
    return Changes(put=(session, *last_shown, *removed, *gone, *last))


def let_go(snapshot: Snapshot, names: tuple[str, ...]) -> list[Row]:
    """Return what a person lets go: executions by id, results by the end of their path on VIP.

    Only what cannot come: another one of that name may just be on its way.
    """
    unknown = [
        replace(e, gone=True, listed=True)
        for e in snapshot.state.executions.values()
        if e.id in names and _unknown(e, snapshot)
    ]
    results = [
        replace(r, status=ResultStatus.LET_GO)
        for r in snapshot.state.results.values()
        if any(r.vip == n or r.vip.endswith(f"/{n}") for n in names) and cannot_come(r, snapshot)
    ]
    return [*unknown, *results]
