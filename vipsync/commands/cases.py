"""Ask something of a session folder: by a request for the process that holds it, or by being that one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from vipsync.cases.batches import group_cases
from vipsync.commands.check import worst
from vipsync.commands.foreground import Run
from vipsync.disk.files import make_inside
from vipsync.errors import FolderHeld, SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import UNLIMITED, Case, Request, TransfersSettings
from vipsync.names import shell_word
from vipsync.plan.case_index import CaseIndex, index_cases, outdated
from vipsync.plan.standing import BAD_ENDS, case_reports
from vipsync.record.ledger import read_state
from vipsync.report.reporter import Reporter
from vipsync.rows import Phase, State, Verdict
from vipsync.run.account import Accounts, Connect
from vipsync.run.reconciler import Reconciler
from vipsync.run.timing import Timing
from vipsync.status.preview import Preview, status_now
from vipsync.status.publish import read_status, write_status

Reached = Callable[[State], bool]

_BY_ANOTHER = "`vipsync run` in another terminal is doing it; Ctrl-C only ends the waiting here."
_LOOK_EVERY = 0.3
_LOOKS_AT_LOCK = 10
_MOST_LOOKS = 20


class Asker:
    """Carry a request out in folders, or have it carried out by the processes that hold them."""

    def __init__(
        self,
        folders: Sequence[SessionFolder],
        connect: Connect,
        reporter: Reporter,
        overrides: Mapping[str, object] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transfers: Callable[[], TransfersSettings] = lambda: UNLIMITED,
    ) -> None:
        self._transfers = transfers
        self.folders = tuple(folders)
        self._connect, self._reporter, self._overrides = connect, reporter, overrides
        self._sleep = sleep

    def decide(self, request: Request) -> None:
        """Have a request answered that needs nothing of VIP."""
        for folder in self.folders:
            self._decide_in(folder, request)

    def _decide_in(self, folder: SessionFolder, request: Request) -> None:
        session = Reconciler(folder, Accounts(self._connect, Timing()), overrides=self._overrides)
        try:
            session.open()
        except FolderHeld:
            _leave(folder, request)
            done = partial(_is_answered, folder, request)
            if not self._wait(folder, done, shows=False):
                self._decide_in(folder, request)
            return
        try:
            _leave(folder, request)
            self._decide(session, request)
            self._say_how_it_is(folder)
        finally:
            session.close()

    def _say_how_it_is(self, folder: SessionFolder) -> None:
        """Let STATUS.txt say what was decided, where a run has written one."""
        told = read_status(folder)
        with suppress(VipsyncError):  # what is wrong with the folder is not this command's to say
            if told:
                write_status(folder, status_now(folder, told, self._overrides))

    def _decide(self, session: Reconciler, request: Request) -> None:
        for _ in range(_MOST_LOOKS):
            session.look()
            if session.trouble:
                session.folder.answered(request.id)
                raise session.trouble
            session.decide()
            if request.id in session.ledger.state.requests:
                return
        raise VipsyncError(
            f"`{request.command}` has not been carried out yet; the request is kept.",
            f"`vipsync run {shell_word(session.folder.root)}` carries it out.",
        )

    def launch(self, request: Request) -> int:
        """Have a request answered, and go on until the folders are at rest; return the exit code.

        Where another process holds a folder, that one goes on.
        """
        return self._ask(request, alone=_never, held=_at_once)

    def cancel(self, request: Request) -> int:
        """Have a request answered, and go on until what it stops has stopped; return the code."""
        return self._ask(request, alone=_stopped, held=_stopped)

    def finish(self, request: Request) -> int:
        """Have the data removed from VIP; return the exit code once they are, or cannot be."""
        return self._ask(request, alone=_closed, held=_ended)

    def _ask(self, request: Request, *, alone: Reached, held: Reached) -> int:
        for folder in self.folders:
            _leave(folder, request)
        return self._work(self.folders, request, alone=alone, held=held)

    def _work(
        self,
        folders: Sequence[SessionFolder],
        request: Request,
        *,
        alone: Reached,
        held: Reached,
    ) -> int:
        """Work until it is reached or all is at rest; wait for the processes that hold folders."""
        roots = [folder.root for folder in folders]
        run = Run(
            roots,
            self._connect,
            self._reporter,
            self._overrides,
            transfers=self._transfers(),
            shows_held=False,
        )
        run.until(lambda: run.loop.at_rest() or _is_done(run, request, alone))
        elsewhere = run.loop.held_elsewhere()
        codes = [s.exit_code for root, s in run.statuses.items() if root not in elsewhere]
        if not elsewhere:
            return worst(codes)
        self._reporter.say(_BY_ANOTHER, "dim")
        with self._reporter.live():  # one picture for all of them
            for folder in [folder for folder in folders if folder.root in elsewhere]:
                if self._wait(folder, partial(_is_over, folder, request, held)):
                    status = read_status(folder)
                    codes.append(status.exit_code if status else 0)
                else:
                    codes.append(self._work([folder], request, alone=alone, held=held))
        return worst(codes)

    def _wait(self, folder: SessionFolder, done: Callable[[], bool], *, shows: bool = True) -> bool:
        """Show what the other process does until `done`; False where it has let the folder go."""
        while True:
            for _ in range(_LOOKS_AT_LOCK):
                status = read_status(folder)
                if status and shows:
                    self._reporter.watch(folder.root, status)
                if done():
                    return True
                self._sleep(_LOOK_EVERY)
            if not folder.is_held():
                return False


def _leave(folder: SessionFolder, request: Request) -> None:
    make_inside(folder.requests, folder.root)
    folder.ask(request)


def _stands(folder: SessionFolder, request: Request) -> bool:
    return any(asked.id == request.id for asked in folder.asked())


def _is_answered(folder: SessionFolder, request: Request) -> bool:
    return not _stands(folder, request)


def _is_over(folder: SessionFolder, request: Request, held: Reached) -> bool:
    return not _stands(folder, request) and held(read_state(folder.ledger))


def _is_done(run: Run, request: Request, reached: Reached) -> bool:
    """Tell whether a request was answered, what it is for was reached, and this was shown."""
    for root, session in run.loop.sessions.items():
        if isinstance(session.trouble, FolderHeld):
            continue  # it is waited for afterwards
        if not session.is_open or root not in run.statuses:
            return False
        state, shown = session.ledger.state, run.statuses[root]
        if request.id not in state.requests or not reached(state):
            return False
        if shown.phase != state.session.phase:
            return False
    return bool(run.loop.sessions)


def _never(_state: State) -> bool:
    return False


def _at_once(_state: State) -> bool:
    return True


def _closed(state: State) -> bool:
    return state.session.phase is Phase.CLOSED


def _ended(state: State) -> bool:
    """Tell whether finishing is over: nothing is on VIP, or what was to be kept there."""
    return state.session.phase in (Phase.CLOSED, Phase.OPEN)


def _stopped(state: State) -> bool:
    return not any(e.kill_wanted and not e.over for e in state.executions.values())


# which cases


def chosen_cases(looked: Preview, folder: Path, names: Sequence[str], which: str = "") -> list[str]:
    """Return the cases that a person means; raise SettingsError for a name that no case has."""
    snapshot = looked.snapshot
    index = index_cases(snapshot)
    every = {case.id for case in snapshot.cases.cases}
    for name in names:
        if name not in every:
            raise _unknown(name, every, folder)
    match which:
        case "failed":
            return [r.id for r in case_reports(snapshot, index) if r.state in BAD_ENDS]
        case "outdated":
            return outdated(index)
        case _:
            return [c.id for c in snapshot.cases.cases if not names or c.id in names]


def _unknown(name: str, every: Iterable[str], folder: Path) -> SettingsError:
    near = get_close_matches(name, list(every), 1)
    lists = f"`vipsync status {shell_word(folder)}` lists the cases."
    hint = f"Did you mean {near[0]}?" if near else lists
    return SettingsError(f"There is no case {name}.", hint)


def changed_by(command: str, looked: Preview, cases: Sequence[str]) -> bool:
    """Tell whether a launch or a cancellation of these cases would start or stop anything."""
    index = index_cases(looked.snapshot)
    complete = [c for c in looked.snapshot.cases.cases if c.complete and c.id in cases]
    if command == "launch":
        return any(_can_start(case, index) for case in complete)
    return any(case in index.new or _can_stop(case, index) for case in complete)


def _can_start(case: Case, index: CaseIndex) -> bool:
    """Tell whether a case was not launched, or is set aside."""
    judged = index.judged(case)
    return index.content.get(case.id) not in index.launches or bool(
        judged and judged.verdict is Verdict.ASIDE
    )


def _can_stop(case: Case, index: CaseIndex) -> bool:
    """Tell whether a case is still to be launched, or runs."""
    launches = index.launches.get(index.content.get(case.id, ""), ())
    if not launches:
        judged = index.judged(case)
        return judged is None or judged.verdict not in (Verdict.DROPPED, Verdict.BEFORE)
    known = index.places.s.state.executions
    executions = [known.get(launch.execution_id) for launch in launches]
    to_come = any(launch.run < launch.runs for launch in launches)
    return to_come or not all(execution and execution.over for execution in executions)


def stand(looked: Preview, cases: Sequence[str]) -> str:
    """Say where cases stand, in a few words."""
    snapshot = looked.snapshot
    reports = case_reports(snapshot, index_cases(snapshot))
    states = Counter(report.state.value for report in reports if report.id in cases)
    return ", ".join(f"{number} {state}" for state, number in states.items())


def jobs_of_cases(looked: Preview, cases: Sequence[str]) -> int:
    """Return the number of jobs that these cases make, over all runs."""
    snapshot = looked.snapshot
    if snapshot.descriptor is None:
        return 0
    picked = [c for c in snapshot.cases.cases if c.id in cases and c.complete]
    groups = group_cases(picked, snapshot.descriptor, snapshot.settings.launch.max_jobs)
    return sum(group.jobs for group in groups) * snapshot.settings.launch.nb_runs


def sharers(looked: Preview, cases: Sequence[str]) -> dict[str, list[str]]:
    """Return, by running execution of these cases, the other cases that run in it."""
    state = looked.snapshot.state
    shared: dict[str, list[str]] = {}
    for launch in state.launches.values():
        execution = state.executions.get(launch.execution_id)
        mine = [c.id for c in launch.cases if c.id in cases]
        others = [c.id for c in launch.cases if c.id not in cases]
        if execution and not execution.over and mine and others:
            shared[execution.id] = others
    return shared
