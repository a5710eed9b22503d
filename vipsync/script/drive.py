"""Carry out one step of a script's session: the same cycle as for a folder, until the step is done.

The session's ledger, lock and transfers lie in `<output_dir>/.vipsync`, or in the session folder
whose outputs `output_dir` is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from vipsync.client.vip_client import VipClient
from vipsync.disk.files import make_folder
from vipsync.disk.scan import Scan
from vipsync.errors import (
    FolderError,
    FolderHeld,
    HeldElsewhere,
    NameTaken,
    NotASession,
    SettingsError,
    VipsyncError,
)
from vipsync.folder.claims import take_claim
from vipsync.folder.folder import SessionFolder, is_id
from vipsync.model import Settings, VipPath
from vipsync.observe.data_set import Local
from vipsync.plan.calls import plan_end
from vipsync.plan.draft import NAME_TAKEN, NOT_SEEN, Level, Plan
from vipsync.plan.remote_folder import Target
from vipsync.plan.snapshot import Snapshot
from vipsync.record import lifecycle
from vipsync.record.lifecycle import Event, can
from vipsync.rows import Phase, Stage, State
from vipsync.run.loop import Loop
from vipsync.run.reconciler import Reconciler
from vipsync.script.account import Account, out_of_order
from vipsync.script.words import SessionReport
from vipsync.settings.reading import load
from vipsync.settings.reading import places as places_of


def folder_of(outputs: Path) -> tuple[SessionFolder, bool]:
    """Return where the ledger of a session with these outputs lies; True: in a session folder."""
    above = SessionFolder(outputs.parent)
    if above.settings.is_file() and above.hidden.is_dir():
        try:
            theirs = places_of(above.root, load(above.root))[1]
        except (SettingsError, NotASession):
            theirs = above.root.resolve() / "outputs"
        if theirs == outputs.resolve():
            return above, True
    return SessionFolder(outputs), False


def recognise(folder: SessionFolder, account: Account, home: VipPath) -> None:
    """Give a folder whose ledger is not here the id that its session has on VIP, where it has one.

    Only for a session that a backup names: without a backup, an id there is somebody else's.
    """
    client = account.client
    if folder.hidden.exists() or not client.exists(home):
        return
    names = (e.path.rpartition("/")[2] for e in client.list_folder(home) if e.is_folder)
    ids = [name.removeprefix("vipsync-") for name in names if name.startswith("vipsync-")]
    if len(ids) == 1 and is_id(ids[0]):
        make_folder(folder.root)
        folder.claim(ids[0])
        take_claim(folder, ids[0])


# one step


class Step:
    """One step of a session while its folder is held."""

    target: Target

    def __init__(self, loop: Loop, session: Reconciler) -> None:
        self.session, self._loop = session, loop

    @property
    def state(self) -> State:
        """What the ledger holds."""
        return self.session.ledger.state

    @property
    def snapshot(self) -> Snapshot:
        """The moment of the last look, with what has become of it since."""
        if self.session.snapshot is None:
            raise AssertionError("nothing was looked at yet")
        return self.session.snapshot

    @property
    def seen(self) -> Scan:
        """What the last look found in the data set."""
        observer = self.session.observer
        if observer is None or observer.seen is None:
            raise AssertionError("nothing was looked at yet")
        return observer.seen

    def look(self) -> Snapshot:
        """Look, and do nothing."""
        self.session.plan_by(lambda _snapshot: Plan())
        self.session.look()
        if self.session.trouble:
            raise self.session.trouble
        return self.snapshot

    def run(
        self,
        planner: Callable[[Snapshot], Plan],
        done: Callable[[Snapshot], bool],
        *,
        patient: bool = False,
    ) -> None:
        """Turn the cycle until `done`, or until nothing can advance; `patient`: wait for VIP for ever.

        Raise what stops the whole session, and what kept the step from its end although it may pass.
        An interruption lets transfers end at their next block.
        """
        self.session.plan_by(planner)
        self._loop.run(lambda: self._is_over(done, patient=patient), for_good=False)
        if not done(self.snapshot):
            self._raise_lasting()
        self._raise_notices()

    def _raise_lasting(self) -> None:
        """Raise what was tried for as long as it is worth waiting: the step can be taken again."""
        for _, attempt in sorted(self.session.memory.attempts.items(), key=str):
            if attempt.outage:
                raise out_of_order(attempt.error) from attempt.error
            if attempt.lasts and attempt.error.transient:
                raise attempt.error

    def _raise_notices(self) -> None:
        """Raise what stops the session for good, as a name that is taken."""
        plan = self.session.plan
        for notice in plan.notices if plan else ():
            if notice.level is Level.ERROR or notice.subject in (NAME_TAKEN, NOT_SEEN):
                raise NameTaken(notice.text, notice.remedy)

    def first_error(self) -> VipsyncError | None:
        """Return what the first action failed with that did fail."""
        attempts = self.session.memory.attempts
        return attempts[min(attempts, key=str)].error if attempts else None

    def _is_over(self, done: Callable[[Snapshot], bool], *, patient: bool) -> bool:
        session = self.session
        if session.trouble:
            raise session.trouble
        self._check_trouble(patient=patient)
        if not self._loop.idle:
            return False
        waits = patient and session.plan is not None and session.plan.due is not None
        return done(self.snapshot) or (self._loop.at_rest() and not waits)

    def _check_trouble(self, *, patient: bool) -> None:
        trouble = self.session.memory.account.trouble
        if trouble is None or (patient and trouble.error.transient):
            return
        if not trouble.error.transient or trouble.lasts:
            raise trouble.error


_WAIT = "Wait until the other script or `vipsync run` has ended; then call this step again."


@contextmanager
def held(local: Local, account: Account, report: SessionReport) -> Iterator[Step]:
    """Hold the folder of a session for one step; raise FolderHeld where another process is in it."""
    folder, _ = folder_of(local.outputs)

    def connect(_settings: Settings, portal: str, session_id: str) -> tuple[VipClient, str]:
        if portal != account.portal:
            raise SettingsError(
                f"The data of this session are on {portal}, not on {account.portal}.",
                "Call VipSession.init with that vip_portal_url.",
            )
        return account.client, account.key_print(session_id)

    def tell(session: Reconciler) -> None:
        if session.plan and not session.trouble:
            report.tell(session, session.plan)

    timing = account.timing
    loop = Loop(
        (),
        connect,
        timing=timing,
        executor=account.executor,
        watch=False,
        publish=tell,
        moved=report.moved,
        pace=account.pace,
    )
    session = loop.add(folder, local)
    make_folder(folder.root)
    try:
        session.open()
    except FolderHeld as error:
        if isinstance(error, HeldElsewhere):
            raise
        raise FolderHeld(error.message, _WAIT) from error
    try:
        with report.live():
            yield Step(loop, session)
    finally:
        loop.close()


def go_on(step: Step) -> None:
    """Let a session go on that had begun to end; where VIP may be removing its data, once they have gone.

    Raise FolderError where a deleted marker ends it, or the data do not go.
    """
    session = step.state.session
    if session.stage is Stage.ASKED:
        step.run(partial(plan_end, target=step.target, discard=True), lambda _s: False)
    elif can(session, Event.MARKER_BACK) and not step.target.marked:
        step.session.take_over([lifecycle.step(session, Event.MARKER_BACK)])
    if step.state.session.phase in (Phase.FINISHING, Phase.REMOVING):
        raise FolderError(
            f"The session {session.session_name} is being finished: its data are to go from VIP.",
            "Wait until `vipsync run` has closed it, or call finish().",
        )
