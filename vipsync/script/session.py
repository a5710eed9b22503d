"""VipSession: a session as a Python object, with the methods of vip-client's class of that name.

A thin context: it turns properties and arguments into the values that the phases work on, and what
they leave behind into words. Nothing here talks to VIP by itself, but for single questions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Self

from vipsync.disk.walk import CYCLE
from vipsync.errors import (
    InputsMissing,
    InputsThere,
    LocalFileError,
    PropertyMissing,
    PropertyTypeError,
    PropertyValueError,
    ResultsMissing,
    VipError,
)
from vipsync.model import (
    ExecutionStatus,
    FinishSettings,
    Given,
    MonitorSettings,
    OutputsSettings,
)
from vipsync.names import few
from vipsync.plan import calls as plans
from vipsync.record.backup import REMOVED
from vipsync.results.gallery import PAGE
from vipsync.script import checks
from vipsync.script.account import Account
from vipsync.script.drive import Step, go_on
from vipsync.script.outcomes import how_they_ended
from vipsync.script.pictures import display, in_notebook, pictures
from vipsync.script.properties import BACKUP_LOCATIONS, SessionProperties
from vipsync.script.vip_client_names import VipClientNames
from vipsync.script.words import SessionReport, pipeline_list, pipeline_page
from vipsync.settings.keys import KEY_VARIABLE
from vipsync.status.status import count


class VipSession(VipClientNames):
    """Run a pipeline of VIP on a data set of this machine: upload, launch, monitor, download, finish.

    Every method returns the session, so that calls can be chained. The state is backed up after
    each step; `VipSession("my-session")` resumes it, in this process or in another.

    `session_name`: letters, digits, `-` and `_` (default: None, a name made of date, time and chance).
    `input_dir`: the folder of the data set on this machine (default: None, that of the backup).
    `pipeline_id`: the pipeline, as `name/version` (default: None, that of the backup).
    `input_settings`: a dictionary of all its parameters; a list starts a job for each of its items
    (default: None, those of the backup).
    `output_dir`: the folder of results and backup (default: None, `vip_outputs/<session_name>`).
    `verbose`: True says what each step does (default: None, as init() says).
    `privacy`: "refuse" raises InputsRefused where inputs name somebody, "tell" says so and goes on
    (default: None, that of the backup, else "tell").
    `account`: the Account under whose key the session runs (default: None, that of init()).
    `say`: is called with each text that is said (default: None, which prints it).
    `others`: `vip_input_dir`, `vip_output_dir`, `local_input_dir`, `local_output_dir`, `workflows`.
    """

    @classmethod
    def init(
        cls,
        api_key: object = KEY_VARIABLE,
        verbose: bool = True,
        backup_location: str | None = "local",
        *,
        vip_portal_url: str | None = None,
        **properties: object,
    ) -> Self:
        """Shake hands with VIP for all sessions that follow; return one with these properties.

        `api_key`: the key itself, the path of a file that holds it, or the name of an environment
        variable (default: "VIP_API_KEY"; where that is not set, the key that `vipsync login` keeps).
        `verbose`: whether sessions say what they do (default: True).
        `backup_location`: where sessions are backed up: "local", which is their output folder, "vip",
        or None for nowhere (default: "local").
        `vip_portal_url`: the address of the portal (default: None, that of the last init() of this
        process, else the one in VIP_PORTAL_URL, else VIP's own).
        `properties`: those of the session that is returned, as VipSession takes them.
        """
        api_key = Given(api_key)
        if backup_location not in BACKUP_LOCATIONS:
            raise PropertyValueError("invalid backup_location: it is 'local', 'vip' or None.")
        before = cls.account_of_all
        cls.account_of_all = Account(api_key, vip_portal_url or (before.portal if before else None))
        cls.verbose_by_default, cls._BACKUP_LOCATION = verbose, backup_location
        SessionReport(None, verbose=verbose).line("You are communicating with VIP.")
        return cls(**properties)  # type: ignore[arg-type]

    # the steps

    def upload_inputs(
        self, input_dir: str | os.PathLike[str] | None = None, update_files: bool = True
    ) -> Self:
        """Bring the data set to VIP; a file that has changed since is sent again.

        Links are followed; what cannot be read raises InputsUnreadable before anything is sent.

        `input_dir`: the folder of the data set (default: None, the session's own `input_dir`).
        `update_files`: False looks at nothing where there are inputs on VIP already (default: True).
        """
        self._report.heading("UPLOAD INPUTS")
        self.require_places()
        if input_dir:
            self.input_dir = input_dir
        local = self.data.local
        if local is None:
            raise PropertyTypeError(
                f"Session {self.session_name!r}: Please provide an input directory."
            )
        if not update_files and self._is_on_vip(self.data.vip):
            self._report.line("Skipped: there are already input data on VIP.")
            return self
        if not local.is_dir():
            raise InputsMissing(
                f"Session {self.session_name!r}: Input directory {self.input_dir!r} does not exist."
            )
        self.account.patiently(self.check_settings)
        if self._shares_inputs():
            self._report.line(f"Skipped: {self.data.vip} belongs to another session.")
            return self
        with self._held(inputs=True) as step:
            self._upload(step)
        return self

    def _upload(self, step: Step) -> None:
        go_on(step)
        snapshot = step.look()
        checks.check_names(snapshot.files.keys())
        checks.check_readable(step.seen, self.data, plans.unsent(snapshot))
        for path in checks.cycles(step.seen):
            self._report.line(f"(!) {path} is left out: {CYCLE}.")
        refuse = self.privacy == checks.REFUSE
        step.run(plans.plan_judging, lambda _s: False)
        self._judge_texts(step)
        self._say_naming(step, refuse=refuse)
        upload = partial(plans.plan_upload, target=step.target, refuse=refuse)
        step.run(upload, lambda _s: False)
        self._places = plans.places(step.snapshot)
        if left := plans.unsent(step.snapshot):
            raise step.first_error() or LocalFileError(
                f"These files could not be sent: {', '.join(left[:20])}."
            )
        self._report.line(f"Everything is on VIP: {len(step.snapshot.files)} files.")

    def launch_pipeline(
        self, pipeline_id: str | None = None, input_settings: object = None, nb_runs: int = 1
    ) -> Self:
        """Start the pipeline `nb_runs` times with the same settings, each run exactly once.

        `pipeline_id`: the pipeline, as `name/version` (default: None, the session's own).
        `input_settings`: a dictionary of all its parameters (default: None, the session's own).
        `nb_runs`: the number of executions, 0 starts none (default: 1).
        """
        self._report.heading("LAUNCH PIPELINE")
        if pipeline_id:
            self.pipeline_id = pipeline_id
        if input_settings:
            self.input_settings = input_settings
        if self.pipeline_id is None:
            raise PropertyTypeError(
                f"Please provide a pipeline identifier for Session: {self.session_name}"
            )
        if self.vip_output_dir is None:
            raise PropertyTypeError(
                f"Please provide an output directory for Session: {self.session_name}"
            )
        if self.given is None:
            raise PropertyMissing("Input settings have not been defined.")
        if not isinstance(nb_runs, int):
            raise PropertyTypeError("`nb_runs` should be a number.")
        self.account.patiently(self.check_settings)
        checks.check_given(self.given)
        checks.check_paths(self.given, self.descriptor(), self.data)
        if nb_runs > 0:
            local = self.data.local
            with self._held(inputs=local is not None and local.is_dir()) as step:
                self._launch(step, nb_runs)
        return self

    def _launch(self, step: Step, nb_runs: int) -> None:
        go_on(step)
        snapshot = step.look()
        self._judge_texts(step)
        self._places = {**self._places, **plans.places(snapshot)}
        step.session.take_over([self.account.as_given(self.pipeline_id or "")])
        launch = self._request(snapshot, nb_runs)
        launch = plans.interrupted(step.state, launch) or launch
        files = self._files(launch)
        step.run(
            partial(plans.plan_start, target=step.target, launch=launch, files=files),
            lambda s: plans.settled(s.state, launch.request) or bool(plans.absent(s, files)),
        )
        if missing := plans.absent(step.snapshot, files):
            raise InputsMissing(
                f"Missing file(s) for parameter(s): {', '.join(missing)}",
                _UPLOAD_FIRST if any(map(self.data.holds, missing)) else "",
            )
        started = plans.started(step.state, launch.request)
        self._report.line(f"Started workflows: {', '.join(started) or 'none'}")
        if len(started) < launch.runs:
            raise step.first_error() or VipError("VIP did not take every launch.", _SEE_WORKFLOWS)

    def monitor_workflows(self, refresh_time: float = 30) -> Self:
        """Wait until no execution runs any more; what VIP does not answer is asked again.

        `refresh_time`: seconds between two questions to VIP (default: 30).
        """
        self._report.heading("MONITOR WORKFLOWS")
        if self._nothing_launched():
            return self
        with self._held(monitor=MonitorSettings(refresh_time)) as step:
            if not plans.all_over(step.state):
                self._report.line(f"The portal shows them too: {self.account.portal}")
            step.run(plans.plan_monitor, lambda s: plans.all_over(s.state), patient=True)
            snapshot = step.snapshot
        for line in how_they_ended(snapshot.state, self.workflows):
            self._report.line(line)
        self._say_failed_jobs(snapshot)
        return self

    def download_outputs(
        self,
        unzip: bool = True,
        get_status: Sequence[str] = ("Finished",),
        init_timeout: float | None = None,
    ) -> Self:
        """Bring the results of the executions with these statuses here, and unpack archives.

        `unzip`: whether archives of the tar family become folders of their name (default: True).
        `get_status`: the statuses of the executions whose results are wanted (default:
        ("Finished",)); "Removed" raises PropertyValueError.
        `init_timeout`: accepted, and of no effect: there is no request that it could limit, as it
        does in vip-client, in seconds (default: None).
        """
        self._report.heading("DOWNLOAD OUTPUTS")
        if self._nothing_launched():
            return self
        statuses = _statuses(get_status)
        if not statuses:
            self._report.line("Nothing to download: VIP has no such status.")
            return self
        outputs = OutputsSettings(unzip=unzip, get_status=statuses)
        with self._held(outputs=outputs) as step:
            step.session.take_over(plans.asking_for(step.state, statuses))
            try:
                step.run(plans.plan_download, plans.downloaded)
            finally:
                missing = self._say_downloaded(step.snapshot)
                self._say_failed_jobs(step.snapshot)
            if missing:
                raise step.first_error() or ResultsMissing(_MISSING.format(few(missing, 20)))
        return self

    def run_session(
        self,
        update_files: bool = True,
        nb_runs: int = 1,
        refresh_time: float = 30,
        unzip: bool = True,
        get_status: Sequence[str] = ("Finished",),
    ) -> Self:
        """Upload, launch, monitor and download: everything but finish.

        `update_files`: as in upload_inputs() (default: True).
        `nb_runs`: the number of executions, as in launch_pipeline() (default: 1).
        `refresh_time`: seconds between two questions, as in monitor_workflows() (default: 30).
        `unzip`: as in download_outputs() (default: True).
        `get_status`: as in download_outputs() (default: ("Finished",)).
        """
        return (
            self.upload_inputs(update_files=update_files)
            .launch_pipeline(nb_runs=nb_runs)
            .monitor_workflows(refresh_time=refresh_time)
            .download_outputs(unzip=unzip, get_status=get_status)
        )

    def finish(
        self,
        timeout: float = 300,
        keep_input: bool = False,
        keep_output: bool = False,
        *,
        by_name: bool = False,
        discard_missing: bool = False,
    ) -> Self:
        """Remove the session's data from VIP, once nothing runs; what is on this machine stays.

        Results that are not here are named before they go; where download_outputs() was to bring
        them, nothing goes: raise ResultsMissing.

        `timeout`: seconds for which the removal is waited for, 0 only asks for it (default: 300).
        `keep_input`: True leaves the inputs on VIP (default: False).
        `keep_output`: True leaves the results on VIP (default: False).
        `by_name`: True removes the folder of this session's name on VIP, with all that is in it,
        where nothing here proves that it is this session's (default: False, raise NameTaken).
        `discard_missing`: True removes results too that did not come (default: False).
        """
        self._report.heading("FINISH")
        finish = FinishSettings(timeout=timeout, keep_input=keep_input, keep_output=keep_output)
        with self._held(finish=finish) as step:
            running = self._take_by_name(step) if by_name else []
            step.run(partial(plans.plan_before_removal, target=step.target), lambda _s: False)
            running += [e.id for e in step.state.executions.values() if not (e.over or e.removed)]
            if running or not plans.all_over(step.state):
                self._refuse_finish(running)
                return self
            if lent := plans.lent(step.snapshot):
                self._refuse_lent(lent)
                return self
            if not keep_output and not discard_missing:
                self._refuse_missed(step.snapshot)
            if not keep_output:
                self._name_missing(step.snapshot)
            self._remove(step, timeout, discard=discard_missing)
        return self

    # beside the steps

    def get_inputs(
        self, session: SessionProperties, get_pipeline: bool = False, get_settings: bool = False
    ) -> Self:
        """Use the inputs that another session has on VIP, instead of sending them again.

        Raise InputsThere where this session has inputs of its own there, InputsMissing where the
        other has none.

        `session`: the session whose inputs are used, here and on VIP.
        `get_pipeline`: True takes its pipeline too (default: False).
        `get_settings`: True takes its input_settings too (default: False).
        """
        if not isinstance(session, SessionProperties):
            raise PropertyMissing("`session` should be a VipSession: this has no inputs.")
        self.require_places()
        session.require_places()
        if session.vip_input_dir == self.vip_input_dir:
            self._report.line("These sessions already share the same inputs on VIP.")
            return self
        if self.vip_input_dir and self._is_on_vip(self.vip_input_dir):
            raise InputsThere(
                f"Session {self.session_name!r} has temporary data on VIP.",
                "Please finish this session or start another one.",
            )
        if not self._is_on_vip(session.data.vip):
            raise InputsMissing(
                f"Input data for session {session.session_name!r} do not exist on VIP."
            )
        self.share(session, pipeline=get_pipeline, settings=get_settings)
        self._report.line(
            f"<< Session {self.session_name!r} now shares its inputs with session "
            f"<{session.session_name}>"
        )
        self._save()
        return self

    def display(self) -> Self:
        """Show what this session is."""
        shown = self._backup().document()
        title = f'Session: "{shown.pop("session_name")}"'
        lines = [f"{name}: {json.dumps(value, indent=3)}" for name, value in shown.items()]
        rule = "-" * len(title)
        self._report.line("\n".join([rule, title, rule, *lines, rule]))
        return self

    def show(self) -> Self:
        """Show the pictures of the results: in a notebook as such, elsewhere say where they are."""
        if self._nothing_launched():
            return self
        with self._held() as step:
            found = list(pictures(step.look(), self.outputs, step.session.folder.previews))
            if found and in_notebook():
                display(found)
            number = count(len(found), "picture")
            self._report.line(f"{number} of the results: {self.output_dir}/{PAGE} shows all.")
        return self

    @classmethod
    def show_pipeline(cls, pipeline_id: str | None = None) -> None:
        """Show the pipelines whose identifier holds this text; where it is one alone, all about it.

        `pipeline_id`: a part of the identifier, in capitals or not (default: None, all pipelines).
        """
        account = cls.account_of_all
        if account is None:
            raise PropertyTypeError(
                "No pipeline found. Run VipSession.init() to access pipeline descriptions."
            )
        pattern = "" if pipeline_id is None else pipeline_id
        if not isinstance(pattern, str):
            raise PropertyMissing(
                "`pipeline_id` should be a string: this has no letters to look for."
            )
        found = sorted(p for p in account.pipelines if pattern.lower() in p.lower())
        report = SessionReport(None, verbose=cls.verbose_by_default)
        if not found:
            report.line(f"(!) No pipeline found for pattern {pattern!r}.")
            report.line("    You may need to register with the correct group.")
        elif len(found) == 1:
            report.line(pipeline_page(account.client.pipeline(found[0])))
        else:
            report.line(pipeline_list(found))


_UPLOAD_FIRST = "They are not on VIP: call upload_inputs() first."
_MISSING = "These results did not come: {}."
_SEE_WORKFLOWS = "`workflows` names those that have started; call launch_pipeline() for the others."


def _statuses(names: Sequence[str]) -> tuple[ExecutionStatus, ...]:
    """Return the statuses that are wanted; what is none of VIP's matches nothing."""
    if REMOVED in names:
        raise PropertyValueError(f"{REMOVED!r} in `get_status`: cannot download removed data.")
    known = {status.value for status in ExecutionStatus}
    return tuple(ExecutionStatus(name) for name in names if name in known)
