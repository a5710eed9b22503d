"""Which cases are to be launched, together with which others, and under which name.

A case is launched once for the content of its own files. PURE: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from vipsync import actions as do
from vipsync.cases.grouping import group_cases
from vipsync.model import Case, Descriptor, Group, Text, VipPath
from vipsync.plan.draft import Draft, Level
from vipsync.plan.sending import Placer
from vipsync.plan.snapshot import SLOT, Snapshot
from vipsync.state import Changes, Launch, LaunchedCase, LaunchStatus, Session, State, Verdict

DOUBT = 120.0
"""Seconds for which a launch whose answer was lost is looked for by its name."""

LEASE_RENEWAL = 600.0
"""Seconds after which a lease on another session's inputs is written anew."""

BETWEEN_LAUNCHES = 1.0
"""Seconds between two launches (users 2: VIP needs it)."""


def digest(value: object) -> str:
    """Return a short hash of a value made of lists, texts and numbers."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def case_content(case: Case, snapshot: Snapshot, placer: Placer) -> str | None:
    """Return what identifies a case: the content of its own files, its names and varying texts.

    None while a file's hash is not known. The text of its pattern does not count.
    """
    hashes = [placer.sha256(path) for path in case.own]
    if None in hashes:
        return None
    varying = snapshot.settings.input_settings
    texts = [
        [name, value.text]
        for name, value in sorted(case.values.items())
        if isinstance(value, Text) and isinstance(varying.get(name), tuple)
    ]
    return digest([list(zip(case.own, hashes, strict=True)), sorted(case.names.values()), texts])


def settings_digest(case: Case, snapshot: Snapshot, placer: Placer) -> str:
    """Return what else a case ran with: pipeline, shared files and the values of all cases."""
    fixed = [
        [name, value.text] for name, value in sorted(case.values.items()) if isinstance(value, Text)
    ]
    shared = [[path, placer.sha256(path)] for path in case.shared]
    return digest([snapshot.settings.pipeline_id, fixed, shared])


@dataclass(slots=True)
class Sorted:
    """The complete cases of a snapshot by what is to be done with them."""

    new: list[Case] = field(default_factory=list)
    unknown: list[Case] = field(default_factory=list)  # no hash yet: sent first, or read
    settling: list[Case] = field(default_factory=list)
    content: dict[str, str] = field(default_factory=dict)  # case id → content
    launches: dict[str, list[Launch]] = field(default_factory=dict)  # content → launches
    refused: dict[str, list[Launch]] = field(default_factory=dict)  # content → what VIP said no to

    def wanted(self, placer: Placer) -> list[Case]:
        """Return the cases that are to be launched, or may be once their files were read.

        Those whose files another session has yet to send are left out.
        """
        by_itself = placer.s.settings.launch.when == "new"
        cases = [*self.new, *self.unknown] if by_itself else self.new
        if placer.s.lender is None:
            return cases
        return [case for case in cases if not placer.blocked(case.values.values())]

    def request(self, case: Case, snapshot: Snapshot) -> str:
        """Return the request that asked for this launch, empty where it is the ordinary one."""
        judged = snapshot.state.judged.get(self.content.get(case.id, ""))
        asked = judged is not None and judged.verdict in (Verdict.GO, Verdict.AGAIN)
        return judged.request if judged and asked else ""


def sort_cases(snapshot: Snapshot, placer: Placer) -> Sorted:
    """Tell new cases from those that were launched or judged, and from those that still change."""
    launches = snapshot.state.launches.values()
    found = Sorted(
        launches=_by_content(launches, LaunchStatus.INTENDED, LaunchStatus.STARTED),
        refused=_by_content(launches, LaunchStatus.REFUSED),
    )
    for case in snapshot.cases.cases:
        if not case.complete:
            continue
        if snapshot.unsettled and any(p in snapshot.unsettled for p in (*case.own, *case.shared)):
            found.settling.append(case)
            continue
        content = case_content(case, snapshot, placer)
        if content is None:
            found.unknown.append(case)
            continue
        found.content[case.id] = content
        if _is_due(content, found, snapshot) and not _still_refused(case, found, placer):
            found.new.append(case)
    return found


def _still_refused(case: Case, found: Sorted, placer: Placer) -> bool:
    """Tell whether VIP refused this very case with these very settings, for the same request."""
    content = found.content[case.id]
    if content not in found.refused:
        return False
    now, request = settings_digest(case, placer.s, placer), found.request(case, placer.s)
    return any(
        c.content == content and c.settings == now
        for launch in found.refused[content]
        if launch.request == request
        for c in launch.cases
    )


def _by_content(launches: Iterable[Launch], *statuses: LaunchStatus) -> dict[str, list[Launch]]:
    found: defaultdict[str, list[Launch]] = defaultdict(list)
    for launch in sorted(launches, key=lambda launch: (launch.at, launch.run)):
        if launch.status in statuses:
            for case in launch.cases:
                found[case.content].append(launch)
    return dict(found)


def _is_due(content: str, found: Sorted, snapshot: Snapshot) -> bool:
    launches = found.launches.get(content, ())
    judged = snapshot.state.judged.get(content)
    match judged.verdict if judged else None:
        case Verdict.AGAIN:
            return judged is not None and all(x.request != judged.request for x in launches)
        case Verdict.GO:
            return not launches
        case None:
            return not launches and snapshot.settings.launch.when == "new"
        case _:
            return False


def to_learn(found: Sorted, placer: Placer) -> dict[str, do.Action]:
    """Return, by case, a hash without which nobody knows whether the case is new.

    A file that was never known is not read twice: it is hashed while it is sent.
    """
    known = placer.s.state.known
    return {
        case.id: do.HashFile(path, placer.s.files[path])
        for case in found.unknown
        for path in case.own
        if placer.sha256(path) is None and path in known
    }


def to_read(found: Sorted, placer: Placer) -> list[do.Action]:
    """Return every hash that is needed to know the content of all complete cases."""
    return [
        do.HashFile(path, placer.s.files[path])
        for case in found.unknown
        for path in case.own
        if placer.sha256(path) is None
    ]


def outdated(found: Sorted, placer: Placer) -> list[str]:
    """Return the cases whose last launch had other shared files or settings than there are now."""
    cases = {case.id: case for case in placer.s.cases.cases}
    old = []
    for case_id, content in sorted(found.content.items()):
        launches = found.launches.get(content)
        if not launches:
            continue
        then = next(c.settings for c in launches[-1].cases if c.content == content)
        if then != settings_digest(cases[case_id], placer.s, placer):
            old.append(case_id)
    return old


def plan_cases(
    draft: Draft, found: Sorted, placer: Placer, descriptor: Descriptor
) -> list[do.Action]:
    """Add the launch whose time has come; return what must be on VIP before others can start."""
    reading = to_learn(found, placer)
    todo = [*reading.values()]
    ready: list[Case] = []
    held_up: list[Case] = []
    for case in found.wanted(placer):
        if case.id in reading:
            continue
        missing = [a for value in case.values.values() for a in placer.place(value).todo]
        todo += missing
        if not missing and case.id in found.content:
            ready.append(case)
        elif not any(draft.failing(a) for a in missing):
            held_up.append(case)
    if _settle_launches(draft) or not ready:
        return todo
    if not _company_comes(draft, ready, held_up, found.settling):
        _start_first(draft, _launches(ready, found, placer, descriptor))
    return todo


def _company_comes(
    draft: Draft, ready: Sequence[Case], held_up: Sequence[Case], settling: Sequence[Case]
) -> bool:
    """Tell whether cases that arrived together with the ready ones are still on their way.

    Only those that came within the window after the first one count, so that a steady stream of
    new files cannot put a launch off for ever.
    """
    window = max(60.0, 10 * draft.s.settle)
    ages = {case.id: draft.since(f"case {case.id}") for case in (*ready, *held_up, *settling)}
    oldest = max(ages[case.id] for case in ready)
    if any(oldest - ages[case.id] <= window for case in held_up):
        return True  # what they need is in this plan, and its end wakes the next one
    changing = [draft.s.unsettled[p] for c in settling for p in c.own if p in draft.s.unsettled]
    if changing and oldest < window:
        draft.wait(min(changing))
        return True
    return False


def _launches(
    ready: Sequence[Case], found: Sorted, placer: Placer, descriptor: Descriptor
) -> list[Launch]:
    by_request: defaultdict[str, list[Case]] = defaultdict(list)
    for case in ready:
        by_request[found.request(case, placer.s)].append(case)
    return [
        _launch(group, found, placer, request)
        for request, cases in sorted(by_request.items())
        for group in group_cases(cases, descriptor, placer.s.settings.launch.max_jobs)
    ]


def _launch(group: Group, found: Sorted, placer: Placer, request: str) -> Launch:
    """Return the intent for a group of cases, as its first run."""
    s = placer.s
    lists = [name for name, values in group.values.items() if len(values) > 1]
    cases = tuple(
        LaunchedCase(
            id=case.id,
            content=found.content[case.id],
            own=tuple((path, placer.sha256(path) or "") for path in case.own),
            expected=group.expected.get(case.id, ()),
            settings=settings_digest(case, s, placer),
            job=job,
            values={name: placer.place(case.values[name]).vip or "" for name in lists},
        )
        for case, job in zip(group.cases, job_numbers(group, s.descriptor), strict=True)
    )
    contents = [case.content for case in cases]
    name = execution_name(s.state.session, contents, request)
    location = s.state.session.vip_output_dir
    if s.descriptor and s.descriptor.results_suffix is not None:
        # No timestamp of the engine's keeps two executions apart (facts 5.4): the name does.
        location = VipPath(f"{location}/{name.rsplit(' ', 1)[-1]}")
    return Launch(
        name=name,
        cases=cases,
        pipeline_id=s.settings.pipeline_id or "",
        values={
            parameter: tuple(placer.place(value).vip or "" for value in values)
            for parameter, values in group.values.items()
        },
        results_location=location,
        jobs=group.jobs,
        request=request,
        runs=s.settings.launch.nb_runs,
        at=s.wall,
        shared=tuple((path, placer.sha256(path) or "") for path in group.cases[0].shared),
    )


def job_numbers(group: Group, descriptor: Descriptor | None) -> tuple[int, ...]:
    """Return the number of each case's job: lists that VIP pairs keep their order, others do not."""
    lists = {name for name, values in group.values.items() if len(values) > 1}
    paired = descriptor is not None and lists <= descriptor.dot
    if not paired or group.jobs != len(group.cases):
        return (0,) * len(group.cases)
    return tuple(range(1, group.jobs + 1))


def execution_name(session: Session, contents: Sequence[str], request: str) -> str:
    """Return the name by which any process recognises this launch (facts 5.2: allowed signs)."""
    return f"{session.session_name[:40]} {mark(session)} {digest([sorted(contents), request])[:12]}"


def mark(session: Session) -> str:
    """Return the words that every execution of this session has in its name."""
    return f"vipsync-{session.id}"


def plan_lease(draft: Draft, found: Sorted, placer: Placer) -> None:
    """Keep the lease while executions run, give it back after; say which cases wait for the lender."""
    s = draft.s
    if s.lender is None:
        return
    waiting = len(found.new) + len(found.unknown) - len(found.wanted(placer))
    if waiting:
        text = f"{waiting} cases wait until their files of {s.lender.folder} are on VIP."
        draft.notice(Level.WAIT, "share", text)
        draft.wait(s.now + s.settings.monitor.refresh_time, lasting=True)
    running = any(not e.over for e in s.state.executions.values())
    intended = any(x.status is LaunchStatus.INTENDED for x in s.state.launches.values())
    if running or intended:
        if s.lender.leased_at is None or s.wall - s.lender.leased_at > LEASE_RENEWAL:
            draft.add(do.TakeLease(s.lender.folder, s.wall))
    elif s.lender.leased_at is not None and not found.wanted(placer):
        draft.add(do.ReturnLease(s.lender.folder))


def _start_first(draft: Draft, launches: Sequence[Launch]) -> None:
    """Add the launch that has waited longest; where there are many jobs, a person must agree first."""
    s, judged = draft.s, draft.s.state.judged
    agreed = {x.name for x in launches if all(case.content in judged for case in x.cases)}
    jobs = sum(x.jobs * x.runs for x in launches if x.name not in agreed)
    if jobs > s.settings.launch.confirm_above:
        launches = [x for x in launches if x.name in agreed]
        draft.notice(
            Level.PERSON,
            "launch",
            f"{jobs} jobs are ready to start, more than confirm_above = "
            f"{s.settings.launch.confirm_above}.",
            "Start them with `vipsync launch`, or raise confirm_above in settings.toml.",
        )
    if launches:
        age = {x.name: max(draft.since(f"case {c.id}") for c in x.cases) for x in launches}
        _start(draft, max(launches, key=lambda x: age[x.name]))


def _start(draft: Draft, launch: Launch) -> None:
    """Add one POST, when VIP has a slot and the last results folder is known."""
    memory, state = draft.s.memory, draft.s.state
    lender = draft.s.lender
    if lender and lender.leased_at is None:
        draft.add(do.TakeLease(lender.folder, draft.s.wall))
        return
    if memory.ours is None:
        draft.add(do.FindExecutions(mark(state.session)))
        return
    if _last_folder_unknown(draft):
        return
    if memory.started_at is not None and draft.s.now < memory.started_at + BETWEEN_LAUNCHES:
        draft.wait(memory.started_at + BETWEEN_LAUNCHES)
    elif _must_queue(draft) or draft.add(do.StartExecution(launch)):
        draft.since(SLOT)


def _must_queue(draft: Draft) -> bool:
    """Tell whether VIP has no slot, or another folder of this run has waited longer for one."""
    s, full_at = draft.s, draft.s.memory.slots_full_at
    if full_at is None and s.first_in_queue:
        return False
    if full_at is None:
        text = "Other folders of this run have waited longer: queued."
    else:
        text = "VIP runs as many executions as this account may have: queued."
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


def settle_doubts(draft: Draft, *, post: bool = False) -> bool:
    """Settle the first launch in doubt, if any; one that did not arrive is posted again, or withdrawn."""
    for launch in draft.s.state.launches.values():
        if launch.status is LaunchStatus.INTENDED:
            _settle(draft, launch, post=post)
            return True
    return False


def _settle_launches(draft: Draft) -> bool:
    """Settle launches that are in doubt, then those runs that are still to come; one at a time."""
    if settle_doubts(draft, post=True):
        return True
    for following in runs_to_come(draft.s.state):
        _start(draft, following)
        return True
    return False


def plan_launch(draft: Draft, launch: Launch) -> None:
    """Bring one request of a script to its end: settle what is in doubt, then start what is to come.

    What another request left in doubt, and did not arrive, is withdrawn.
    """
    state = draft.s.state
    for doubtful in state.launches.values():
        if doubtful.status is LaunchStatus.INTENDED:
            _settle(draft, doubtful, post=doubtful.request == launch.request)
            return
    there = state.launches.get(launch.name)
    if there is None or there.status is LaunchStatus.WITHDRAWN:
        _start(draft, launch)
        return
    for following in runs_to_come(state):
        if following.request == launch.request:
            _start(draft, following)
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


def _settle(draft: Draft, launch: Launch, *, post: bool) -> None:
    """Look for a launch in doubt by its name; post it again only when it surely did not arrive."""
    action = do.StartExecution(launch)
    if do.key(action) in draft.s.memory.under_way:
        return
    memory = draft.s.memory
    doubted = draft.since(f"doubt {launch.name} {memory.started_at}")
    looked = memory.found_at
    if doubted >= DOUBT and looked is not None and memory.found_whole and _fresh(draft, looked):
        withdrawn = Changes(put=(replace(launch, status=LaunchStatus.WITHDRAWN),))
        draft.add(action if post else do.Decide(f"withdraw {launch.name}", withdrawn))
        return
    text = "It is not known yet whether VIP took this launch."
    proves_nothing = doubted >= DOUBT and looked is not None and not memory.found_whole
    if proves_nothing:
        text += " VIP lists its newest 500 executions only, and it is not among them."
        remedy = "Delete old executions on the portal: then the list can tell."
        draft.notice(Level.PERSON, launch.name, text, remedy)
    else:
        draft.notice(Level.WAIT, launch.name, text)
    if looked is None or not _fresh(draft, looked) or draft.s.now >= looked + 10.0:
        draft.add(do.FindExecutions(mark(draft.s.state.session)))
    else:
        draft.wait(looked + 10.0, lasting=proves_nothing)


def _fresh(draft: Draft, looked: float) -> bool:
    """Tell whether a list is recent enough to prove that something is not in it."""
    return draft.s.now - looked <= 10.0
