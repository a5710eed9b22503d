"""What would happen next in a folder: looks, and changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from vipsync import actions as do
from vipsync.act.named_files import look_for_files
from vipsync.act.pipeline import definition
from vipsync.cases.advice import PackingAdvice, packing_advice
from vipsync.cases.batches import group_cases, grouping_warnings
from vipsync.disk.walk import printable
from vipsync.errors import NameRefused, NotASession
from vipsync.folder.adoption import foreseen
from vipsync.folder.folder import SessionFolder
from vipsync.model import Case, CaseSet, Group, InputFile, RelPath, VipPath, replace
from vipsync.names import home_of, shell_word
from vipsync.observe.observer import Observer
from vipsync.plan.case_index import index_cases
from vipsync.plan.draft import Plan
from vipsync.plan.gone import put_back
from vipsync.plan.memory import Memory
from vipsync.plan.named_files import looks
from vipsync.plan.plan import plan
from vipsync.plan.privacy import Send, on_vip
from vipsync.plan.sending import InputPlaces, to_upload
from vipsync.plan.snapshot import Limits, Snapshot
from vipsync.plan.transfer_limits import HOURS, waits_for_the_hour
from vipsync.record.ledger import read_state
from vipsync.record.outcomes import record
from vipsync.rows import CachedPipeline, Phase, Session, State
from vipsync.status.remembered import remembered
from vipsync.status.status import Status
from vipsync.status.summary import status_of

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient


class Preview(Struct, frozen=True):
    """What the next cycles would do. `sends` are the files and archives that go up, biggest first.

    `unread` are files that are read before it is known whether they go up: only their content tells; `unjudged`
    those that the privacy gate has not looked at.
    `ignored_by` names the rule that leaves a path out, "" where none does; `idle_rules` those of a
    person that leave out none.
    """

    snapshot: Snapshot
    plan: Plan
    sends: tuple[Send, ...] = ()
    unread: tuple[RelPath, ...] = ()
    unjudged: tuple[RelPath, ...] = ()
    cases: tuple[Case, ...] = ()
    groups: tuple[Group, ...] = ()
    ignored_by: Callable[[str], str] = lambda path: ""
    idle_rules: Callable[[], list[str]] = list

    @property
    def jobs(self) -> int:
        """The number of jobs that would start, over all executions and runs."""
        return sum(g.jobs for g in self.groups) * self.snapshot.settings.launch.nb_runs

    @property
    def executions(self) -> int:
        """The number of executions that would start."""
        return len(self.groups) * self.snapshot.settings.launch.nb_runs

    @property
    def size(self) -> int:
        """Bytes that would be sent, before packing."""
        return sum(send.state.size for send in self.sends)

    @property
    def advice(self) -> tuple[PackingAdvice, ...]:
        """Where packing folders would save time."""
        snapshot = self.snapshot
        if snapshot.descriptor is None:
            return ()
        paths = {path for send in self.sends for path in sources(send)}
        return tuple(packing_advice(self.cases, paths, snapshot.settings, snapshot.descriptor))


def sources(send: Send) -> tuple[RelPath, ...]:
    """Return the files below inputs/ that a transfer brings to VIP."""
    if isinstance(send, do.SendFile):
        return (send.path,)
    return tuple(path for path, _ in send.members)


def preview(
    folder: SessionFolder,
    client: VipClient | None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    judges: bool = False,
    limits: Limits | None = None,
) -> Preview:
    """Look at a folder as the next cycle would, with every file taken as quiet.

    With a client, the pipeline's definition is read anew from VIP. `judges`: files that the privacy gate has
    not judged yet are read now; `limits` hold over all folders. Raise SettingsError for what is
    wrong with the settings.
    """
    state = known_state(folder)
    observer = Observer(folder, overrides, environ, clock=time.monotonic)
    observer.read_settings(state)
    if observer.settings and not folder.ledger.exists():
        state = foreseen(folder, observer.settings, observer.outputs, time.time())
    pipeline_id = observer.settings.pipeline_id if observer.settings else None
    if client and pipeline_id:
        raw = json.dumps(definition(client, pipeline_id))
        state.put([CachedPipeline(pipeline_id, raw)])
    looked = observer.look(state, Memory(), check_place=False)
    state.put(put_back(looked))
    found = _with_warnings(looked)
    snapshot = replace(looked, unsettled={}, cases=found, limits=limits or Limits())
    if judges and snapshot.gate:
        _judge(snapshot, folder, observer)
    if client:
        _look_on_vip(snapshot, client)
    made = Preview(
        snapshot, plan(snapshot), ignored_by=observer.ignored_by, idle_rules=observer.idle_rules
    )
    return _with_hours(_with_work(made))


def status_now(
    folder: SessionFolder,
    told: Status | None,
    overrides: Mapping[str, object] | None = None,
    limits: Limits | None = None,
) -> Status:
    """Return how a folder is in which nobody works, with what the last run has `told` of VIP."""
    looked = preview(folder, None, overrides, limits=limits)
    confirmed = told.confirmed if told else None
    before = remembered(told, looked.snapshot, looked.plan)
    root = printable(str(folder.root))
    return status_of(looked.snapshot, looked.plan, root, confirmed, before)


def _with_hours(looked: Preview) -> Preview:
    """Return it with the hour for which files wait: a plan without VIP's word sends nothing, and tells none."""
    planned, found = looked.plan, looked.snapshot
    waits = looked.sends or (found.files and found.descriptor is None)
    if not waits or any(notice.subject == HOURS for notice in planned.notices):
        return looked
    hour = tuple(waits_for_the_hour(found.limits))
    return replace(looked, plan=replace(planned, notices=(*planned.notices, *hour)))


def _judge(snapshot: Snapshot, folder: SessionFolder, observer: Observer) -> None:
    """Judge what would go to VIP and what is there; the verdicts are kept for this look alone."""
    from vipsync.act.perform import Tools, act  # most looks need neither

    tools = Tools(folder, observer.inputs, observer.outputs, None, observer.seen)
    opened = replace(snapshot, state=_as_if_open(snapshot))
    index = index_cases(opened)
    todo = _todo((*index.new, *index.unknown), index.places)
    there = index.places.gate.unread(on_vip(opened))
    for action in dict.fromkeys((*todo, *there)):
        if isinstance(action, do.Inspect):
            outcome = act(action, tools)
            snapshot.state.apply(record(action, outcome, snapshot.state, snapshot.wall))


def _look_on_vip(snapshot: Snapshot, client: VipClient) -> None:
    """Remember which of the files that settings name on VIP are there."""
    for look in looks(index_cases(snapshot)):
        snapshot.memory.note(look, look_for_files(look, client), snapshot.now, lambda: 0.0)


def _with_warnings(snapshot: Snapshot) -> CaseSet:
    """Return the cases, with what their output names cost or risk among the warnings."""
    found, descriptor = snapshot.cases, snapshot.descriptor
    if descriptor is None:
        return found
    complete = [case for case in found.cases if case.complete]
    return replace(found, warnings=(*found.warnings, *grouping_warnings(complete, descriptor)))


def known_state(folder: SessionFolder) -> State:
    """Return what the ledger says; an empty one for a folder that was never run."""
    if folder.ledger.exists():
        return read_state(folder.ledger)
    if not folder.settings.exists():
        raise NotASession(
            f"{folder.root} has no settings.toml.",
            f"`vipsync init {shell_word(folder.root)}` makes a session folder.",
        )
    return State(Session(""))


def _with_work(looked: Preview) -> Preview:
    """Return it with the executions that would start, and with what would go up."""
    snapshot = looked.snapshot
    if snapshot.settings_error or (snapshot.settings.pipeline_id and not snapshot.descriptor):
        return looked
    opened = replace(snapshot, state=_as_if_open(snapshot))
    if opened.state.session.adopting:
        return looked  # what is there at the first run counts as launched before
    index = index_cases(opened)
    due = (c for c in (*index.new, *index.unknown) if not index.places.absent(c))
    due = (case for case in due if not index.places.refused(case))
    cases = tuple(sorted(due, key=lambda case: case.id))
    most = snapshot.settings.launch.max_jobs
    todo = _todo(cases, index.places)
    sends = [action for action in todo if isinstance(action, do.SENDS)]
    return replace(
        looked,
        cases=cases,
        groups=group_cases(cases, snapshot.descriptor, most) if snapshot.descriptor else (),
        sends=tuple(sorted(sends, key=lambda a: (-a.state.size, a.vip))),
        unread=tuple(sorted(a.path for a in todo if isinstance(a, do.HashFile))),
        unjudged=tuple(sorted(a.path for a in todo if isinstance(a, do.Inspect))),
    )


def _todo(cases: Iterable[Case], places: InputPlaces) -> tuple[do.Action, ...]:
    """Return what brings to VIP what these cases need, and what goes up without a case."""
    found: dict[do.Action, None] = {}
    alone = (InputFile(path) for path in to_upload(places.s, places))
    for value in (*(v for case in cases for v in case.values.values()), *alone):
        with suppress(NameRefused):
            found.update(dict.fromkeys(places.place(value).todo))
    return tuple(found)


def _as_if_open(snapshot: Snapshot) -> State:
    state = snapshot.state
    if state.session.phase is not Phase.CLOSED:
        return state
    home = home_of(snapshot.settings.session_name)
    session = replace(
        state.session,
        home=home,
        vip_input_dir=VipPath(f"{home}/INPUTS"),
        vip_output_dir=VipPath(f"{home}/OUTPUTS"),
    )
    return replace(state, session=session)
