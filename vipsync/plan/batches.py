"""Which cases are to be launched, together with which others, and under which name.

A case is launched once for the content of its own files. PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from vipsync import actions as do
from vipsync.cases.batches import group_cases
from vipsync.model import Case, Descriptor, Group, InputValue, VipPath, replace
from vipsync.plan.case_index import CaseIndex, settings_digest, to_learn
from vipsync.plan.draft import NEVER, Draft, Level
from vipsync.plan.launching import mark, runs_due, runs_to_come, settle_doubts, start
from vipsync.plan.sending import InputPlaces, held_back
from vipsync.privacy.policy import let_through
from vipsync.record.digests import digest
from vipsync.rows import Launch, LaunchedCase, LaunchStatus, Session

LEASE_RENEWAL = 600.0
"""Seconds after which a lease on another session's inputs is written anew."""


def plan_cases(draft: Draft, index: CaseIndex, descriptor: Descriptor) -> list[do.Action]:
    """Add the launch whose time has come; return what must be on VIP before others can start."""
    reading = to_learn(index)
    todo = [*reading.values()]
    ready: list[Case] = []
    held_up: list[Case] = []
    for case in index.wanted():
        if case.id in reading:
            continue
        placed = [index.places.place(value) for value in case.values.values()]
        if any(place.blocked for place in placed):
            continue
        missing = [action for place in placed for action in place.todo]
        todo += missing
        unseen = index.places.unseen(case)
        if not missing and not unseen and case.id in index.content:
            ready.append(case)
        elif not any(held_back(draft, a) for a in missing):
            held_up.append(case)
    if settle_doubts(draft):
        return todo
    for following in runs_due(draft.s)[:1]:
        cases = _cases_of(following, index)
        values = [value for case in cases for value in case.values.values()]
        missing = [action for value in values for action in index.places.place(value).todo]
        if index.places.blocked(values):
            _start_as_before(draft, following)
        elif not missing:
            again = _launches(cases, index, descriptor)
            start(draft, _where_inputs_are(following, again))
        return [*todo, *missing]
    if ready and not _company_comes(draft, ready, held_up, index.settling):
        _start_first(draft, _launches(ready, index, descriptor))
    return todo


def _start_as_before(draft: Draft, following: Launch) -> None:
    """Start a further run with what the first one had, which nobody removes while the lease is there."""
    lender = draft.s.lender
    if lender and lender.leased_at is not None:
        start(draft, following)


def _cases_of(launch: Launch, index: CaseIndex) -> list[Case]:
    """Return the cases of a launch that are still here."""
    contents = {case.content for case in launch.cases}
    return [c for c in index.places.s.cases.cases if index.content.get(c.id) in contents]


def _where_inputs_are(following: Launch, again: Sequence[Launch]) -> Launch:
    """Return a further run with its inputs where they are now: they may have had to go up again."""
    first, settings = following.name.rpartition(" run ")[0], _settings(following)
    same = (x for x in again if x.name == first and _settings(x) == settings)
    now = next(same, following)
    return replace(following, values=now.values, cases=now.cases)


def _settings(launch: Launch) -> dict[str, str]:
    return {case.content: case.settings for case in launch.cases}


def _company_comes(
    draft: Draft, ready: Sequence[Case], held_up: Sequence[Case], settling: Sequence[Case]
) -> bool:
    """Tell whether cases that arrived together with the ready ones are still on their way.

    Only those that came within the window after the first one count, so that a steady stream of
    new files cannot put a launch off for ever.
    """
    window = max(45.0, 9 * draft.s.settle)
    ages = {case.id: draft.since(f"case {case.id}") for case in (*ready, *held_up, *settling)}
    oldest = max(ages[case.id] for case in ready)
    if any(oldest - ages[case.id] <= window for case in held_up):
        return True  # what they need is in this plan, and its end wakes the next one
    changing = [draft.s.unsettled[p] for c in settling for p in c.own if p in draft.s.unsettled]
    due = min(changing, default=NEVER)
    if due < NEVER and oldest < window:
        draft.wait(due)
        return True
    return False


def _launches(ready: Sequence[Case], index: CaseIndex, descriptor: Descriptor) -> list[Launch]:
    by_request: defaultdict[str, list[Case]] = defaultdict(list)
    for case in ready:
        by_request[index.request(case)].append(case)
    return [
        _launch(group, index, request)
        for request, cases in sorted(by_request.items())
        for group in group_cases(cases, descriptor, index.places.s.settings.launch.max_jobs)
    ]


def _launch(group: Group, index: CaseIndex, request: str) -> Launch:
    """Return the intent for a group of cases, as its first run."""
    s = index.places.s
    lists = [name for name, values in group.values.items() if len(values) > 1]
    cases = tuple(
        LaunchedCase(
            id=case.id,
            content=index.content[case.id],
            own=tuple((path, index.places.sha256(path) or "") for path in case.own),
            expected=group.expected.get(case.id, ()),
            settings=settings_digest(case, index.places),
            job=job,
            values={name: _place(case.values[name], index.places) for name in lists},
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
            parameter: tuple(_place(value, index.places) for value in values)
            for parameter, values in group.values.items()
        },
        results_location=location,
        jobs=group.jobs,
        request=request,
        runs=s.settings.launch.nb_runs,
        at=s.wall,
        shared=tuple((path, index.places.sha256(path) or "") for path in group.cases[0].shared),
        privacy=let_through(s.settings.privacy) if s.gate or s.settings.privacy.off else None,
    )


def _place(value: InputValue, places: InputPlaces) -> str:
    """Return where a value is on VIP, where all that a launch needs must be by now."""
    place = places.place(value).vip
    if place is None:
        raise AssertionError(f"{value} is not on VIP, and something is launched with it")
    return place


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


def plan_lease(draft: Draft, index: CaseIndex) -> None:
    """Keep the lease while executions run, give it back after; say which cases wait for the lender."""
    s = draft.s
    if s.lender is None:
        return
    waiting = len(index.new) + len(index.unknown) - len(index.wanted())
    if waiting:
        text = f"{waiting} cases wait until their files of {s.lender.folder} are on VIP."
        draft.notice(Level.WAIT, "share", text)
        draft.wait(s.now + s.settings.monitor.refresh_time, lasting=True)
    running = any(not e.over for e in s.state.executions.values())
    intended = any(x.status is LaunchStatus.INTENDED for x in s.state.launches.values())
    held = s.lender.leased_at is not None
    if running or intended or (held and runs_to_come(s.state)):
        if s.lender.leased_at is None or s.wall - s.lender.leased_at > LEASE_RENEWAL:
            draft.add(do.TakeLease(s.lender.folder, s.wall))
    elif s.lender.leased_at is not None and not index.wanted():
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
            "Start them with `vipsync launch DIR`, or raise confirm_above in settings.toml.",
        )
    if launches:
        age = {x.name: max(draft.since(f"case {c.id}") for c in x.cases) for x in launches}
        start(draft, max(launches, key=lambda x: age[x.name]))
