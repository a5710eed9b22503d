"""What each call of a script has to do next, made of the same parts as the plan of a folder.

PURE: no I/O, no clock, no randomness; equal snapshots give equal plans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

from vipsync import actions as do
from vipsync.errors import NameRefused
from vipsync.model import ExecutionStatus, InputFile, Lease, RelPath, VipPath, replace
from vipsync.names import parent, vip_relpath
from vipsync.plan.draft import Draft, Level, Plan, decide
from vipsync.plan.launching import plan_launch, settle_doubts
from vipsync.plan.memory import Memory
from vipsync.plan.privacy import Gate, part_of
from vipsync.plan.remote_folder import Target, Whose, claimed, home_at, look_at, say_not_ours
from vipsync.plan.removing import closed, plan_removal, removal_asked, removal_targets
from vipsync.plan.results import plan_following, plan_results, wanted
from vipsync.plan.sending import InputPlaces, plan_sending
from vipsync.plan.snapshot import Snapshot
from vipsync.record.lifecycle import Event, step
from vipsync.rows import (
    Followed,
    Found,
    Launch,
    LaunchStatus,
    Phase,
    Result,
    ResultStatus,
    Row,
    SendStatus,
    Stage,
    State,
)

# upload


def plan_judging(s: Snapshot) -> Plan:
    """Plan to look for what names somebody in each file that is to go to VIP."""
    draft = Draft(s)
    for _, action in _to_go(s, do.Inspect):
        draft.add(action)
    return draft.finished()


def plan_judging_texts(s: Snapshot, *, every: bool) -> Plan:
    """Plan to look whether the texts that go to VIP name somebody whom a file names.

    `every`: also whom those files name in which nobody has looked yet, as they were sent by another tool.
    """
    draft, gate, state = Draft(s), Gate(s), s.state
    rows = ((path, state.checked.get(path)) for path in s.files)
    unknown = (path for path, row in rows if row is None or not gate.holds(path, row))
    for action in gate.unread((*filter(state.suspect.get, s.files), *(unknown if every else ()))):
        draft.add(action)
    return draft.finished()


def named_in(s: Snapshot, texts: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Say of which fields a part stands in these texts, by what the texts are called."""
    gate = Gate(s)
    fields = {where: filter(None, map(gate.names_somebody, some)) for where, some in texts.items()}
    return tuple(sorted({part_of(one, where) for where, some in fields.items() for one in some}))


def naming_in(s: Snapshot, texts: Iterable[str]) -> list[RelPath]:
    """Return the files that name somebody of whom a part stands in these texts."""
    gate, sent = Gate(s), {part.casefold() for text in texts for part in (text, *text.split("/"))}
    rows = ((path, row.found) for path, row in s.state.suspect.items() if gate.holds(path, row))
    return sorted(p for p, found in rows if any(n.casefold() in sent for n, _ in found.names))


def naming(s: Snapshot) -> dict[RelPath, Found]:
    """Return the files that are to go to VIP and name somebody, with what was found in them."""
    gate = Gate(s)
    gate.lets(*(path for path, _ in _to_go(s, do.SendFile)))
    return {path: gate.barred[path] for path in sorted(gate.barred)}


def _to_go(s: Snapshot, kind: type[do.Action]) -> Iterator[tuple[RelPath, do.Action]]:
    """Yield the files of the data set of which this is the next thing to do."""
    places = InputPlaces(s, tells=True)
    for path in s.files:
        with suppress(NameRefused):
            todo = places.place(InputFile(path)).todo
            yield from ((path, action) for action in todo if isinstance(action, kind))


def plan_upload(s: Snapshot, target: Target, *, refuse: bool = False) -> Plan:
    """Plan to bring every file of the data set to VIP in its content of now, as it was judged.

    `refuse`: not those that name somebody.
    """
    draft = Draft(s)
    if s.files and claimed(draft, target):
        places = InputPlaces(s, tells=not refuse)
        plan_sending(draft, [a for path in s.files for a in places.place(InputFile(path)).todo])
    return draft.finished()


def unsent(s: Snapshot) -> list[str]:
    """Name the files of the data set that are not on VIP in their content of now."""
    places = InputPlaces(s, tells=True)
    return [path for path in s.files if places.place(InputFile(path)).vip is None]


def places(s: Snapshot) -> dict[str, VipPath]:
    """Return where each file of the data set is on VIP, by its path below INPUTS.

    That is its content of now where that was sent, else what was sent last.
    """
    sent = sorted(s.state.sent.values(), key=lambda row: row.at)
    found = {vip_relpath(r.path): r.vip for r in sent if r.status in _THERE and r.path}
    places = InputPlaces(s)
    for path in s.files:
        with suppress(NameRefused):
            vip = places.place(InputFile(path)).vip
            if vip:
                found[vip_relpath(path)] = VipPath(vip)
    return found


_THERE = (SendStatus.SENT, SendStatus.ANSWERED)


# launch


def plan_start(s: Snapshot, target: Target, launch: Launch, files: Collection[VipPath]) -> Plan:
    """Plan to start the runs of one request once their files were seen on VIP; follow what runs."""
    draft = Draft(s)
    if _looked(draft, files) and not absent(s, files) and claimed(draft, target):
        _follow(draft, (e for e in _executions(s) if not e.over))
        plan_launch(draft, launch)
    return draft.finished()


def _follow(draft: Draft, executions: Iterable[Followed]) -> None:
    """Follow these executions: a launch waits for the results folder of the last, or for a free slot."""
    everything, draft.s = draft.s, only(draft.s, executions)
    plan_following(draft)
    draft.s = everything


def _looked(draft: Draft, files: Iterable[VipPath]) -> bool:
    """Tell whether the folders of all these files were listed; else list them."""
    memory = draft.s.memory
    unseen = sorted({parent(f) for f in files} - memory.listings.keys() - memory.missing)
    for folder in unseen:
        draft.add(do.LookAtFolder(folder))
    return not unseen


def absent(s: Snapshot, files: Iterable[VipPath]) -> list[VipPath]:
    """Name the files, and folders, that were looked for on VIP and are not there."""
    memory = s.memory
    return [
        f
        for f in files
        if f not in memory.folders
        and (parent(f) in memory.missing or parent(f) in memory.listings)
        and not (parent(f) in memory.listings and f in memory.listings[parent(f)].sizes)
    ]


def runs_of(state: State, request: str) -> list[Launch]:
    """Return the launches of one request."""
    return [x for x in state.launches.values() if x.request == request]


def started(state: State, request: str) -> list[str]:
    """Name the executions that a request has started."""
    return [x.execution_id for x in runs_of(state, request) if x.execution_id]


def settled(state: State, request: str) -> bool:
    """Tell whether every run of a request has started, or VIP refused it."""
    runs = runs_of(state, request)
    if any(x.status is LaunchStatus.REFUSED for x in runs):
        return True
    return any(x.run == x.runs and x.status is LaunchStatus.STARTED for x in runs)


def interrupted(state: State, like: Launch) -> Launch | None:
    """Return the first run of an equal request that a crash or an interruption left open.

    One whose results were removed meanwhile has ended with them.
    """
    removed = {e.id for e in state.executions.values() if e.removed}
    for launch in state.launches.values():
        same = (launch.pipeline_id, dict(launch.values), launch.runs)
        if (
            launch.run == 1
            and same == (like.pipeline_id, dict(like.values), like.runs)
            and launch.status in (LaunchStatus.INTENDED, LaunchStatus.STARTED)
            and not settled(state, launch.request)
            and removed.isdisjoint(started(state, launch.request))
        ):
            return launch
    return None


# monitor and download


def _executions(s: Snapshot) -> list[Followed]:
    return [e for e in s.state.executions.values() if not e.removed]


def only(s: Snapshot, executions: Iterable[Followed]) -> Snapshot:
    """Return the moment with these executions and no others."""
    return replace(s, state=replace(s.state, executions={e.id: e for e in executions}))


def plan_monitor(s: Snapshot) -> Plan:
    """Plan to follow every execution that runs, and to find those of which nobody knows."""
    draft = Draft(s)
    settle_doubts(draft)
    _follow(draft, (e for e in _executions(s) if not e.over))
    return draft.finished()


def all_over(state: State) -> bool:
    """Tell whether no execution runs, and none is in doubt."""
    doubtful = any(x.status is LaunchStatus.INTENDED for x in state.launches.values())
    return not doubtful and all(e.over or e.removed for e in state.executions.values())


def plan_download(s: Snapshot) -> Plan:
    """Plan to ask how the executions are, and to fetch every result of those that are wanted."""
    draft = Draft(s)
    to_ask = [e for e in _executions(s) if wanted(e, s) or _unasked(e, s.memory)]
    if s.memory.home is None and s.state.session.home and any(wanted(e, s) for e in to_ask):
        draft.add(do.LookAtHome(s.state.session.home))  # it tells how large a result can be
        return draft.finished()
    _follow(draft, to_ask)
    draft.s = only(s, (e for e in to_ask if wanted(e, s)))
    plan_results(draft)
    return draft.finished()


def _unasked(execution: Followed, memory: Memory) -> bool:
    return not execution.over and execution.id not in memory.polled_at


def downloaded(s: Snapshot) -> bool:
    """Tell whether everything that is wanted is here."""
    executions, memory = _executions(s), s.memory
    if memory.under_way or any(_unasked(e, memory) for e in executions):
        return False
    found = {e.id: e for e in chosen(s)}
    if any(_to_list(e, memory) for e in found.values()):
        return False
    results = (r for r in s.state.results.values() if r.execution_id in found)
    return not any(_to_come(r, s) for r in results)


def _to_list(execution: Followed, memory: Memory) -> bool:
    if execution.over:
        return not execution.listed
    return memory.returned.get(execution.id, 0) != len(execution.returned)


def _to_come(result: Result, s: Snapshot) -> bool:
    """Tell whether a result never came, or has gone from this machine as a whole."""
    gone = result.status is ResultStatus.HERE and result.local not in s.outputs
    return gone or result.status is ResultStatus.WANTED


def on_vip(s: Snapshot) -> list[Followed]:
    """Return the executions whose results are on VIP."""
    return [e for e in _executions(s) if not e.gone]


def chosen(s: Snapshot) -> list[Followed]:
    """Return the executions whose results are wanted."""
    return [e for e in on_vip(s) if wanted(e, s)]


def asking_for(state: State, statuses: Iterable[ExecutionStatus]) -> list[Row]:
    """Return the session with a note that the results of executions with these statuses are wanted."""
    before = (state.session.asked_for or "").split(",")
    asked = ",".join(sorted({*filter(None, before), *statuses}))
    return [replace(state.session, asked_for=asked)]


def missed(s: Snapshot) -> list[VipPath]:
    """Name the results on VIP that a script has asked for, in this process or before, and that did not come."""
    statuses = (s.state.session.asked_for or "").split(",")
    return not_here(s, [e for e in on_vip(s) if e.status in statuses])


def not_here(s: Snapshot, executions: Iterable[Followed]) -> list[VipPath]:
    """Name the results of these executions that are on VIP and not on this machine."""
    found = {e.id: e for e in executions}
    rows, here = s.state.results, (ResultStatus.HERE, ResultStatus.LET_GO)
    named = [r.vip for r in rows.values() if r.execution_id in found and r.status not in here]
    returned = [path for e in found.values() for path in e.returned if path not in rows]
    return sorted({*named, *returned})


# finish


def plan_before_removal(s: Snapshot, target: Target) -> Plan:
    """Plan to learn what still runs, what is in doubt and what the results are."""
    draft = Draft(s)
    if s.state.session.phase is Phase.CLOSED and not s.state.session.named:
        return draft.finished()
    settle_doubts(draft)
    for execution in _executions(s):
        if _unasked(execution, s.memory):
            draft.add(do.Poll(execution.id))
        elif execution.over and not execution.gone and not execution.listed:
            draft.add(do.ListResults(execution))
    return draft.finished()


def plan_end(s: Snapshot, target: Target, *, discard: bool) -> Plan:
    """Plan to bring a session to its end on VIP, of which nothing runs any more.

    `discard`: results that were asked for and did not come may go.
    """
    s = replace(_as_asked_for(s, discard=discard), by_name=target.by_name)
    draft, session = Draft(s), s.state.session
    seen = look_at(draft, home_at(session, target))
    if seen is None or (session.stage is Stage.OPEN and not left(s)):
        return draft.finished()
    if session.owned and not seen.exists and seen.key_print != session.key_print:
        say_not_ours(draft, Whose.UNSEEN, session.home)
    elif session.stage is Stage.CLOSED and seen.exists:
        _take_to_remove(draft, target, seen)
    elif not seen.exists and session.stage not in (Stage.REMOVING, Stage.ASKED):
        _write_down_gone(draft, known=session.named or session.owned)
    elif session.stage in (Stage.CLAIMING, Stage.OPEN):
        if not lent(s) and (target.by_name or claimed(draft, target)):
            _begin_to_end(draft)
    else:
        plan_removal(draft)
    return draft.finished()


_NOTHING = (ExecutionStatus.READY,)
"""A status that no execution has which is over."""


def _as_asked_for(s: Snapshot, *, discard: bool) -> Snapshot:
    """Return the moment with those results as wanted, and no others, that must be here before they go."""
    asked = () if discard else filter(None, (s.state.session.asked_for or "").split(","))
    outputs = replace(s.settings.outputs, get_status=tuple(map(ExecutionStatus, asked)) or _NOTHING)
    return replace(s, settings=replace(s.settings, outputs=outputs))


def _begin_to_end(draft: Draft) -> None:
    """Let a session leave: what a script has not launched by now, it does not launch in this one."""
    s, session = draft.s, draft.s.state.session
    if s.marker and not draft.add(do.DeleteMarker()):
        return
    if session.stage is Stage.CLAIMING:
        session = step(session, Event.PROVEN_OURS)
    decide(draft, "finish", step(step(session, Event.FINISH_ASKED), Event.SET_ASIDE))


def lent(s: Snapshot) -> tuple[Lease, ...]:
    """Return which other sessions run with inputs that are to go."""
    return () if s.settings.finish.keep_input else s.leases


def waited_for(s: Snapshot, since: float, timeout: float) -> bool:
    """Tell whether VIP had `timeout` seconds for each removal after it took it, and after `since`."""
    for target in left(s):
        asked = removal_asked(s, target)
        if asked is None or target in s.memory.removal_unsure:
            return False
        if s.now < max(asked, since) + timeout:
            return False
    return bool(left(s))


def _take_to_remove(draft: Draft, target: Target, seen: do.HomeSeen) -> None:
    """Make the folder ours that a backup names, or that has our id; leave any other alone."""
    session = draft.s.state.session
    if session.named or session.id in seen.ids:
        claimed(draft, target)
        return
    draft.notice(
        Level.ERROR,
        "session_name",
        f"{home_at(session, target)} is on VIP, and nothing here proves that it is this session's.",
        "Call finish() where its output_dir is; or remove it all the same, with all that is in "
        f'it: VipSession("{target.session_name}").finish(by_name=True).',
    )


def _write_down_gone(draft: Draft, *, known: bool) -> None:
    """Write down that nothing of this session is on VIP any more."""
    changes = closed(draft.s, Event.GONE_ELSEWHERE)
    if known and not all(map(draft.s.state.holds, changes.put)):
        draft.add(do.Decide("it has gone from VIP", changes))


def left(s: Snapshot) -> list[VipPath]:
    """Name what was to go from VIP and has not gone."""
    if s.state.session.stage is Stage.CLOSED:
        return []
    return [target for target in removal_targets(s) if target not in s.memory.removed]
