"""Carry out one step of a script's session: the same cycle as for a folder, until the step is done.

The session's ledger, lock and transfers lie in `<output_dir>/.vipsync`, or in the session folder
whose outputs `output_dir` is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from vipsync.client.vip_client import VipClient
from vipsync.disk.files import disk_error
from vipsync.disk.ignoring import IgnoreRules
from vipsync.disk.mirror import stamp
from vipsync.disk.scan import Hints, Scanner, Seen
from vipsync.errors import (
    FolderError,
    NameTaken,
    NotASession,
    SettingsError,
    VipsyncError,
)
from vipsync.folder.folder import SessionFolder
from vipsync.folder.sharing import leases
from vipsync.model import FileState, RelPath, Settings, VipPath
from vipsync.plan.draft import Level, Plan
from vipsync.plan.memory import Memory
from vipsync.plan.remote_folder import NAME_TAKEN, NOT_SEEN, Target
from vipsync.plan.snapshot import Snapshot
from vipsync.record import lifecycle
from vipsync.record.backup import BACKUP
from vipsync.record.lifecycle import Event, can
from vipsync.rows import Phase, ResultStatus, Stage, State
from vipsync.run.loop import Loop
from vipsync.run.reconciler import Reconciler
from vipsync.script.account import Account, out_of_order
from vipsync.script.planners import plan_end
from vipsync.script.words import SessionReport
from vipsync.settings.reading import load
from vipsync.settings.reading import places as places_of

NEVER_SENT = (".DS_Store", "Thumbs.db", ".vipsync/", "/vip_outputs/")
LOOK_AGAIN = 1.0
"""Seconds after which a data set is looked at again in which a file could not be sent."""


@dataclass(frozen=True, slots=True)
class Local:
    """What a step looks at on this machine. `inputs` is None where it needs no data set."""

    outputs: Path
    inputs: Path | None = None
    settings: Settings = field(default_factory=lambda: Settings(""))


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
    if len(ids) == 1 and ids[0].isalnum():
        make_folder(folder.root)
        folder.claim(ids[0])


class SessionObserver:
    """Look at the data set and the results of one session, as its properties say where they are."""

    def __init__(
        self,
        folder: SessionFolder,
        local: Local,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.folder = folder
        self.settings: Settings | None = local.settings
        self.settings_error = self.settings_text = ""
        self.inputs, self.outputs = local.inputs or local.outputs, local.outputs
        self.seen: Seen | None = None
        self._local, self._clock, self._wall = local, clock, wall
        self._scanner = self._new_scanner() if local.inputs else None
        self._scanned_at, self._next_scan = float("-inf"), float("inf")
        self._stamps: dict[RelPath, str] = {}

    def _new_scanner(self, others: Iterable[str] = ()) -> Scanner:
        """Leave out what systems leave behind and what is output, of this session or of `others`.

        Links are followed wherever they lead, as with vip-client.
        """
        rules = [*NEVER_SENT, *map(_anchored, others)]
        root, outputs = self.inputs.resolve(), self.outputs.resolve()
        if root in outputs.parents:
            rules.append(_anchored(outputs.relative_to(root).as_posix()))
        ignored = IgnoreRules(rules, (), "")
        return Scanner(self.inputs, ignored, quiet_times=(0.0,), clock=self._clock, anywhere=True)

    def look(
        self,
        state: State,
        memory: Memory,
        *,
        inputs: Hints = frozenset(),
        outputs: Hints = frozenset(),
        healthy: bool = False,
        check_place: bool = True,
    ) -> Snapshot:
        """Return what is there now."""
        self.folder.require(state.session.id)
        self.settings_text = state.last_settings
        self._scan(memory)
        return Snapshot(
            now=self._clock(),
            wall=self._wall(),
            settings=self._local.settings,
            state=state,
            memory=memory,
            files=self.seen.files if self.seen else NO_FILES,
            outputs=self._looks(state),
            marker=self.folder.marker.exists(),
            settle=0.0,
            leases=leases(self.folder),
        )

    @property
    def next_look(self) -> float:
        """Return the monotonic time of the next look at the data set, never where it is not needed."""
        return self._next_scan

    def look_everywhere(self) -> None:
        """Let the next look be a full one."""
        self._scanned_at = float("-inf")

    def overlooks(self, path: str) -> bool:
        """Tell whether a path below the data set makes no difference."""
        return self._scanner is not None and self._scanner.overlooks(path)

    def _scan(self, memory: Memory) -> None:
        """Look at the data set once, and again after a file of it could not be sent."""
        now = self._clock()
        failing = self._scanner is not None and bool(memory.attempts)
        again = failing and now >= self._scanned_at + LOOK_AGAIN
        self._next_scan = max(now, self._scanned_at) + LOOK_AGAIN if failing else float("inf")
        if self._scanner is None or not (self.seen is None or again):
            return
        seen = self._scanner.look(None)
        if others := _outputs_among(seen.files):
            self._scanner = self._new_scanner(others)
            seen = self._scanner.look(None)
        self.seen, self._scanned_at = seen, now

    def _looks(self, state: State) -> dict[RelPath, str]:
        """Return what the results look like; only those that were not there are looked at again."""
        for result in state.results.values():
            if result.status is ResultStatus.HERE and result.local not in self._stamps:
                found = stamp(self.outputs / result.local)
                if found is not None:
                    self._stamps[result.local] = found
        return dict(self._stamps)


NO_FILES: Mapping[RelPath, FileState] = MappingProxyType({})


def _outputs_among(files: Iterable[RelPath]) -> list[str]:
    """Return the folders that are outputs of some session: they hold its backup."""
    folders = (path.removesuffix(BACKUP) for path in files if path.endswith(f"/{BACKUP}"))
    return sorted(folder.rstrip("/") for folder in folders)


def _anchored(folder: str) -> str:
    """Return an ignore pattern for this very folder."""
    return "/" + "".join(f"\\{c}" if c in "\\*?[]!# " else c for c in folder) + "/"


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
    def seen(self) -> Seen:
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
        for _, attempt in sorted(self.session.memory.attempts.items()):
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
        return attempts[min(attempts)].error if attempts else None

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
        trouble = self.session.memory.trouble
        if trouble is None or (patient and trouble.error.transient):
            return
        if not trouble.error.transient or trouble.lasts:
            raise trouble.error


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
    session = loop.add(folder, lambda f: SessionObserver(f, local, timing.clock, timing.wall))
    make_folder(folder.root)
    session.open()
    try:
        with report.live():
            yield Step(loop, session)
    finally:
        loop.close()


def make_folder(root: Path) -> None:
    """Make a folder and those above it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(root, error) from error


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
