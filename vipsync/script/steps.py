"""What all steps of a script's session share: its folder, its place on VIP, its requests, its backup."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from vipsync.client.vip_client import LIST_LIMIT
from vipsync.disk.own_files import OwnFiles
from vipsync.errors import (
    InputsRefused,
    PropertyMissing,
    PropertyValueError,
    ResultsMissing,
    VipsyncError,
)
from vipsync.model import Lease, Settings, VipPath, replace
from vipsync.names import few, home_of
from vipsync.observe.data_set import Local
from vipsync.plan import calls as plans
from vipsync.plan.batches import execution_name
from vipsync.plan.privacy import Gate, fields_text
from vipsync.plan.remote_folder import Target, named
from vipsync.plan.results import results_name
from vipsync.plan.snapshot import Snapshot
from vipsync.record.backup import REMOVED, Backup, kept_in_workflows, workflows_of
from vipsync.rows import Launch, Phase, Stage, State
from vipsync.script import checks
from vipsync.script.backup import (
    OWN_INPUTS,
    PRIVACY,
    inventory,
    local_backup,
    news,
    owns_inputs,
    save_here,
    save_on_vip,
    taken_over,
    workflows_in,
)
from vipsync.script.drive import Step, folder_of, held, recognise
from vipsync.script.inputs import launched, takes_files
from vipsync.script.outcomes import failed_jobs
from vipsync.script.properties import SessionProperties
from vipsync.status.status import count

logger = logging.getLogger(__name__)


class SessionSteps(SessionProperties):
    """Hold the session's folder for a step, and back the session up after it."""

    @contextmanager
    def _held(self, *, inputs: bool = False, **sections: Any) -> Iterator[Step]:
        """Hold the session's folder for one step; afterwards, whatever happened, back it up."""
        self.require_places()
        named = Settings(self.session_name or "", self.pipeline_id, self.account.portal)
        settings = replace(named, **sections)
        dataset = self.data.local if inputs else None
        texts = tuple(t for some in self._texts().values() for t in some) if inputs else ()
        local = Local(self.outputs, dataset, settings, texts)
        if self._restored:
            folder, home = folder_of(self.outputs)[0], home_of(self.session_name or "")
            self.account.patiently(lambda: recognise(folder, self.account, home))
        with held(local, self.account, self._report) as step:
            self._catch_up(step)
            try:
                yield step
            finally:
                if step.session.is_open:  # else the folder went away, and nothing is written there
                    before = workflows_in(self.workflows)
                    after = kept_in_workflows(workflows_of(step.state), before)
                    self.values["workflows"] = inventory(after)
                    self._save(step.state)
                    if not isinstance(sys.exception(), KeyboardInterrupt):
                        self._make_page(step)

    def _make_page(self, step: Step) -> None:
        """Write the page of results and what belongs to it, where there are any."""
        with suppress(VipsyncError):
            step.look()
            own = OwnFiles(self.outputs, step.session.folder.own_files, step.session.folder.root)
            self._gallery.complete(step.session, own)

    def _catch_up(self, step: Step) -> None:
        """Take over what another program did with this session, and say where it is to be on VIP."""
        workflows, state = workflows_in(self.workflows), step.state
        backup = local_backup(self.outputs) if self._BACKUP_LOCATION == "local" else None
        if backup:
            workflows = {**workflows, **backup.workflows}
        fresh = state.session.phase is Phase.CLOSED and not (state.executions or state.sent)
        ours = fresh and (self._restored or backup is not None or bool(workflows))
        step.target = self._target(state)
        wall = self.account.timing.wall()
        rows = taken_over(state, workflows, self.pipeline_id or "", wall)
        if ours or news(state, workflows):
            over = bool(workflows) and all(w.status == REMOVED for w in workflows.values())
            if over and state.session.stage is Stage.CLOSED:
                rows.append(replace(state.session, named=True))
            else:
                rows.append(named(state.session, step.target, wall))
        step.session.take_over(rows)

    def _target(self, state: State) -> Target:
        """Return where the session is to be on VIP; while it is open, its name is pinned."""
        name, session = self.session_name or "", state.session
        if session.phase is not Phase.CLOSED and session.session_name != name:
            raise PropertyValueError(
                f"The data of {session.session_name!r} are on VIP: it cannot become {name!r} now.",
                "Call finish() under its old name first, or choose another output_dir.",
            )
        return Target(
            name,
            self.account.portal,
            self.data.vip,
            VipPath(self.vip_output_dir or ""),
            marked=folder_of(self.outputs)[1],
        )

    def _request(self, snapshot: Snapshot, nb_runs: int) -> Launch:
        """Return the intent of one call: its name says which call it was."""
        given, descriptor = self.given, self.descriptor()
        if given is None or descriptor is None:
            raise PropertyMissing("Input settings have not been defined.")
        request = f"session-{secrets.token_hex(8)}"
        pinned = replace(snapshot.state.session, session_name=self.session_name or "")
        name = execution_name(pinned, [], request)
        location = VipPath(self.vip_output_dir or "")
        if descriptor.results_suffix is not None:
            location = VipPath(f"{location}/{name.rsplit(' ', 1)[-1]}")
        return Launch(
            name=name,
            cases=(),
            pipeline_id=self.pipeline_id or "",
            values=launched(given, self.data, descriptor),
            results_location=location,
            jobs=checks.jobs(given, descriptor),
            request=request,
            runs=nb_runs,
            at=snapshot.wall,
        )

    def _texts(self) -> dict[str, tuple[str, ...]]:
        """Return the texts that VIP gets beside the files, by what a script calls them."""
        found: dict[str, tuple[str, ...]] = {
            "vip_input_dir": (self.vip_input_dir or "",),
            "vip_output_dir": (self.vip_output_dir or "",),
        }
        if self.given is not None:
            descriptor = self.account.patiently(self.descriptor)
            sent = launched(self.given, self.data, descriptor)
            found |= {f"input_settings[{name!r}]": values for name, values in sent.items()}
        home = home_of(self.session_name or "")  # it has the name of the session
        below = {name: tuple(v.removeprefix(home) for v in some) for name, some in found.items()}
        return {"session_name": (self.session_name or "",), **below}

    def _files(self, launch: Launch) -> tuple[VipPath, ...]:
        """Return the files on VIP that a launch needs."""
        descriptor = self.descriptor()
        return tuple(
            VipPath(value)
            for name, values in sorted(launch.values.items())
            if takes_files(name, descriptor)
            for value in values
            if value.startswith("/vip/")
        )

    def _is_on_vip(self, path: str) -> bool:
        return self.account.patiently(lambda: self.account.client.exists(path))

    def _shares_inputs(self) -> bool:
        """Tell whether the inputs on VIP are those of another session."""
        return not self._own_inputs

    def _nothing_launched(self) -> bool:
        """Tell whether there is no execution to ask about; say so."""
        folder, _ = folder_of(self.outputs)
        if self.workflows or folder.ledger.exists():
            return False
        self._report.line("This session has not launched any execution.")
        self._report.line("Run launch_pipeline() to launch workflows on VIP.")
        return True

    def _backup(self) -> Backup:
        backup = Backup(
            session_name=self.session_name or "",
            pipeline_id=self.pipeline_id,
            local_input_dir=self.local_input_dir,
            local_output_dir=self.local_output_dir,
            vip_input_dir=self.vip_input_dir,
            vip_output_dir=self.vip_output_dir,
            input_settings=self.input_settings,
            workflows=workflows_in(self.workflows),
        )
        others: dict[str, object] = {}
        if self._own_inputs and not owns_inputs(backup):
            others[OWN_INPUTS] = backup.vip_input_dir
        if "privacy" in self.values:  # else what an earlier script said stays said
            others[PRIVACY] = self.privacy
        return replace(backup, others=others)

    def _save(self, state: State | None = None) -> None:
        """Back the session up where `backup_location` says; on VIP only while data of it are there."""
        backup = self._backup()
        if self._BACKUP_LOCATION == "local":
            self._report.line(f">> Session was saved in: {save_here(self.outputs, backup)}")
        elif self._BACKUP_LOCATION == "vip" and state and state.session.phase is not Phase.CLOSED:
            client, timing = self.account.client, self.account.timing
            folder = self.vip_output_dir or ""
            where = self.account.patiently(lambda: save_on_vip(client, folder, backup, timing))
            self._report.line(f">> Session was saved in: {where}")

    # what is said of results and removals

    def _judge_texts(self, step: Step) -> None:
        """Look whether what is to go to VIP names somebody: files that were sent before are known."""
        texts = partial(plans.plan_judging_texts, every=self.privacy == checks.REFUSE)
        step.run(texts, lambda _s: False)
        self._say_texts(step)

    def _say_texts(self, step: Step) -> None:
        """Say which texts name somebody, each once; raise InputsRefused where they are not to go."""
        texts, s = self._texts(), step.snapshot
        found = plans.named_in(s, texts)
        gate, files = Gate(s), plans.naming_in(s, (t for some in texts.values() for t in some))
        who = f"{'; '.join(found)}, as in {few([gate.masked(path) for path in files])}"
        if found and self.privacy == checks.REFUSE:
            raise InputsRefused(
                f"What goes to VIP may name somebody: {who}. Nothing was sent.", _TAKE_OUT
            )
        if found and found != self._told:
            self._warn(
                f"What goes to VIP may name somebody: {who}. It is sent all the same. {_TERMS}"
            )
        self._told = found

    def _warn(self, text: str) -> None:
        """Say what a person should know, also where a script is to be silent."""
        say = self._report.line if self.verbose else logger.warning
        say(f"(!) {text}")

    def _say_naming(self, step: Step, *, refuse: bool) -> None:
        """Say which inputs name somebody; raise InputsRefused where they are not to go.

        Where they go, a run of the folder that they lie in judges anew what is on VIP.
        """
        s = step.snapshot
        found, gate = plans.naming(s), Gate(s)
        if not found:
            return
        text = fields_text(one.refused for one in found.values())
        names, one = [gate.masked(path) for path in found], len(found) == 1
        are = "It is" if one else "They are"
        files = f"{count(len(found), 'file')} may name somebody: {text}"
        if not refuse:
            go = "is" if one else "are"
            self._warn(f"{files}. {are} {few(names)}, and {go} sent all the same. {_TERMS}")
            step.session.take_over([replace(step.state.session, gate=None)])
            return
        raise InputsRefused(f"{files}. Nothing was sent. {are} {few(names, 20)}.", _TAKE_OUT)

    def _say_downloaded(self, s: Snapshot) -> list[VipPath]:
        """Say what came of a download; return what did not come."""
        chosen = plans.chosen(s)
        if running := [e for e in s.state.executions.values() if not (e.over or e.removed)]:
            self._report.line(
                f"(!) Not over yet: {count(len(running), 'execution')}. "
                "Call monitor_workflows(), then download_outputs() again."
            )
        if not chosen:
            self._report.line("Nothing to download for the current session.")
            return []
        missing = plans.not_here(s, chosen)
        for vip in missing:
            self._report.line(f"(!) not here: {vip}")
        if not missing:
            executions = count(len(chosen), "execution")
            self._report.line(f"All results of {executions} are in {self.output_dir}.")
        return missing

    def _say_failed_jobs(self, s: Snapshot) -> None:
        folders = {
            e.id: f"{self.output_dir}/{results_name(e, s)}" for e in s.state.executions.values()
        }
        for line in failed_jobs(s.state, folders):
            self._report.line(line)

    def _refuse_missed(self, s: Snapshot) -> None:
        """Raise ResultsMissing where results would go that a download was to bring and did not."""
        if missed := plans.missed(s):
            raise ResultsMissing(
                f"{count(len(missed), 'result')} on VIP, but not on this machine: {few(missed, 20)}.",
                "Call download_outputs() again, or finish(discard_missing=True) to remove them too.",
            )

    def _remove(self, step: Step, timeout: float, *, discard: bool) -> None:
        since = self.account.timing.clock()
        step.run(
            partial(plans.plan_end, target=step.target, discard=discard),
            lambda s: plans.waited_for(s, since, timeout),
        )
        left = plans.left(step.snapshot)
        if left:
            self._report.line(
                f"(!) There may still be temporary data on VIP: {', '.join(left)}. "
                f"VIP was asked to remove them. Please run finish() again, or look on the portal ({self.account.portal})."
            )
        else:
            self._report.line(f"Session {self.session_name!r} is now over.")
            self._name_left_outside(step.snapshot)
        if not self.data.vip.startswith(f"{home_of(self.session_name or '')}/"):
            self._report.line(
                f"(!) The input data are still on VIP: {self.data.vip}. "
                + (
                    "They belong to another session: run finish() there."
                    if self._shares_inputs()
                    else f"Remove them on the portal ({self.account.portal})."
                )
            )

    def _name_left_outside(self, s: Snapshot) -> None:
        """Say which results are not in the session's own folder on VIP: they are never removed."""
        kept = s.settings.finish.keep_output
        outside = [] if kept else sorted({e.results_folder or e.id for e in plans.on_vip(s)})
        if outside:
            self._report.line(
                f"(!) These results are still on VIP: {', '.join(outside)}. "
                f"Remove them on the portal ({self.account.portal})."
            )

    def _take_by_name(self, step: Step) -> list[str]:
        """Take the folder of this name on VIP as ours; return what runs there, whoever started it."""
        step.target = replace(step.target, by_name=True)
        wall = self.account.timing.wall()
        step.session.take_over([named(step.state.session, step.target, wall)])
        found = self.account.patiently(lambda: self.account.client.executions(LIST_LIMIT))
        mine = (e for e in found if e.name.split(" ")[0] == self.session_name)
        return [e.id for e in mine if not e.status.ended]

    def _refuse_finish(self, running: Iterable[str]) -> None:
        self._warn(
            "This session cannot be finished since the pipeline might still generate data: "
            f"{', '.join(running)}. Call monitor_workflows() and download_outputs(), then finish() again."
        )

    def _refuse_lent(self, leases: Iterable[Lease]) -> None:
        who = ", ".join(f"{lease.folder} (on {lease.host})" for lease in leases)
        self._report.line(
            "(!) This session cannot be finished since others run executions with its inputs: "
            f"{who}. Wait for them, or use keep_input=True."
        )

    def _name_missing(self, s: Snapshot) -> None:
        missing = plans.not_here(s, plans.on_vip(s))
        if missing:
            they = "result was never downloaded and is" if len(missing) == 1 else _NEVER
            self._warn(
                f"{len(missing):,} {they} removed from VIP now; to have such results, call "
                "download_outputs() before finish()."
            )
        for vip in missing:
            self._report.line(f"\t{vip}")


_NEVER = "results were never downloaded and are"
_TERMS = "VIP's terms ask for inputs that name nobody."
_TAKE_OUT = "Take the values out of them, or call the session without privacy='refuse'."
