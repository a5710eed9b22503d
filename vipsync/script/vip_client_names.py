"""Names of vip-client's own insides that published scripts use. Nothing in vipsync uses them.

The fourth is the class attribute `_BACKUP_LOCATION`, which `SessionProperties` has under this name.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from vipsync import actions as do
from vipsync.errors import PropertyMissing
from vipsync.plan.draft import Draft, Plan
from vipsync.plan.snapshot import Snapshot
from vipsync.script import checks
from vipsync.script.steps import SessionSteps


class VipClientNames(SessionSteps):
    """What scripts reach for in a session of vip-client beside its public names."""

    @property
    def _vip_input_dir(self) -> PurePosixPath:
        """`vip_input_dir` as a path; setting it replaces what is set already."""
        return self._vip_path("vip_input_dir")

    @_vip_input_dir.setter
    def _vip_input_dir(self, value: object) -> None:
        del self.vip_input_dir
        self.vip_input_dir = checks.vip_dir(value)

    @_vip_input_dir.deleter
    def _vip_input_dir(self) -> None:
        del self.vip_input_dir

    @property
    def _vip_output_dir(self) -> PurePosixPath:
        """`vip_output_dir` as a path; setting it replaces what is set already."""
        return self._vip_path("vip_output_dir")

    @_vip_output_dir.setter
    def _vip_output_dir(self, value: object) -> None:
        del self.vip_output_dir
        self.vip_output_dir = checks.vip_dir(value)

    @_vip_output_dir.deleter
    def _vip_output_dir(self) -> None:
        del self.vip_output_dir

    def _vip_path(self, name: str) -> PurePosixPath:
        if (text := getattr(self, name)) is None:
            raise PropertyMissing(f"Session {self.session_name!r} has no `{name}`.")
        return PurePosixPath(text)

    def _update_workflows(
        self, get_exec_results: bool = False, timeout: float | None = None
    ) -> None:
        """Ask VIP once how each execution is that still runs; wait for none of them, and say nothing.

        Both arguments are accepted, and change nothing: download_outputs() lists the results.
        """
        if not self.workflows:
            return
        verbose, self.verbose = self.verbose, False
        try:
            with self._held() as step:
                step.run(_plan_asking, lambda _s: False)
                if error := step.first_error():
                    raise error
        finally:
            self.verbose = verbose


def _plan_asking(s: Snapshot) -> Plan:
    draft = Draft(s)
    for execution in s.state.executions.values():
        open_ended = not (execution.over or execution.removed)
        if open_ended and execution.id not in s.memory.polled_at:
            draft.add(do.Poll(execution.id))
    return draft.finished()
