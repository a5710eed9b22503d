"""What the commands do, without their options: each takes a `Face` and returns its exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from vipsync.backup import Backup
from vipsync.client.connecting import Connector
from vipsync.client.connection import portal_address
from vipsync.client.vip_client import VipClient
from vipsync.errors import (
    DiskError,
    KeyMissing,
    NotASession,
    PipelineUnavailable,
    SettingsError,
    Unreachable,
    VipsyncError,
)
from vipsync.faces import creating
from vipsync.faces.asking import Asker, chosen_cases, jobs_of_cases, new_request, sharers
from vipsync.faces.checking import check, planned, worst
from vipsync.faces.running import Run
from vipsync.folder import SessionFolder, find_sessions
from vipsync.model import PORTAL, Descriptor, Settings
from vipsync.names import relpath
from vipsync.plan.snapshot import Request
from vipsync.preview import Finding, preview, why, why_result
from vipsync.report import screen
from vipsync.report.reporter import Reporter
from vipsync.settings.keys import KEY_VARIABLE, keep_api_key
from vipsync.settings.reading import PORTAL_VARIABLE, load, places
from vipsync.state import Phase
from vipsync.status.publish import read_status, status_json, troubled
from vipsync.status.status import Status, count, exit_code, status_of
from vipsync.status.words import STALE, duration


@dataclass(frozen=True)
class Face:
    """What all commands share: where to print, how to reach VIP, what options override."""

    reporter: Reporter
    environ: Mapping[str, str]
    portal: str | None = None
    key_file: Path | None = None
    agree: Callable[[], bool] = lambda: True
    connect: Connector = field(init=False)

    def __post_init__(self) -> None:
        """Make the connector."""
        object.__setattr__(self, "connect", Connector(self.environ, self.key_file))

    @property
    def overrides(self) -> Mapping[str, object]:
        """Return the options that go before settings.toml."""
        return {"portal": self.portal}

    @property
    def portal_here(self) -> str:
        """Return the portal where no settings.toml says another."""
        return portal_address(self.portal or self.environ.get(PORTAL_VARIABLE) or PORTAL)

    def client(self) -> VipClient:
        """Return a client for a command that belongs to no folder; raise KeyMissing."""
        portal = self.portal_here
        return self.connect(Settings(session_name="", portal=portal), portal, "")[0]


# making folders, the key


def init(face: Face, root: Path, pipeline_id: str | None, mode: str) -> int:
    """Make a session folder, or make one of what is there."""
    if mode == "fresh":
        made = creating.refresh(root)
    elif mode == "adopt":
        backup = creating.backup_to_adopt(SessionFolder(root))
        made = creating.adopt(root, _adopted_pipeline(face, pipeline_id, backup), face.portal_here)
    else:
        creating.refuse_settings(SessionFolder(root))
        descriptor = creating.describe(face.client(), pipeline_id) if pipeline_id else None
        made = creating.create(root, descriptor, face.portal_here)
    face.reporter.say(made.text, "bold")
    for step in made.next_steps:
        face.reporter.say(f"  {step}")
    return 0


def _adopted_pipeline(
    face: Face, pipeline_id: str | None, backup: Backup | None
) -> Descriptor | None:
    """Return the pipeline of an adopted session; only its name where VIP cannot be asked."""
    wanted = pipeline_id or (backup.pipeline_id if backup else None)
    if not wanted:
        return None
    try:
        return creating.describe(face.client(), wanted)
    except (KeyMissing, Unreachable, PipelineUnavailable) as error:
        face.reporter.warn(f"{error.message} Only the name of the pipeline is filled in.")
        return creating.bare_descriptor(wanted)


def login(face: Face, key: SecretStr) -> int:
    """Check a key, and keep it."""
    portal = face.portal_here
    with VipClient(portal, key) as client:
        client.check_key()
    kept = keep_api_key(key, portal)
    face.reporter.say(f"{portal} knows this key. It is kept in {kept}, which only you can read.")
    if face.environ.get(KEY_VARIABLE):
        face.reporter.warn(f"{KEY_VARIABLE} is set in the environment, and goes before it.")
    return 0


# looking


def check_folders(face: Face, directory: Path) -> int:
    """Say whether a folder is in order."""
    codes = []
    for folder in sessions_of([directory]):
        findings = []
        face.reporter.say(str(folder.root), "bold")
        for finding in check(folder, face.connect, face.overrides):
            findings.append(finding)
            face.reporter.show(screen.finding(finding))
        codes.append(worst(finding.exit_code for finding in findings))
    return worst(codes)


def plan_folders(face: Face, directory: Path) -> int:
    """Say what the next cycle would do."""
    codes = []
    for folder in sessions_of([directory]):
        settings = load(folder.root, face.overrides)
        client, trouble = None, None
        try:
            client = face.connect(settings, settings.portal, "")[0]
            looked = preview(folder, client, face.overrides)
        except VipsyncError as error:
            trouble = error
            looked = preview(folder, None, face.overrides)
        face.reporter.say(str(folder.root), "bold")
        if trouble:
            found = Finding("VIP", trouble.message, trouble.remedy, trouble.exit_code)
            face.reporter.show(screen.finding(found))
        for finding in planned(looked):
            face.reporter.show(screen.finding(finding))
        codes += [exit_code(looked.plan.notices), trouble.exit_code if trouble else 0]
    return worst(codes)


def status(face: Face, directories: Sequence[Path], *, as_json: bool) -> int:
    """Say how folders are; one that is not there is told among the others."""
    found = [answer for directory in directories for answer in _statuses(directory, face)]
    if as_json:
        face.reporter.document(status_json([s for s, _ in found]))
    else:
        for number, (told, note) in enumerate(found):
            if number:
                face.reporter.say()
            face.reporter.status(told, note)
    return worst(s.exit_code for s, _ in found)


def _statuses(directory: Path, face: Face) -> list[tuple[Status, str]]:
    try:
        return [_status(folder, face) for folder in sessions_of([directory])]
    except NotASession as error:
        return [(troubled(SessionFolder(directory), error, time.time()), "")]


def _status(folder: SessionFolder, face: Face) -> tuple[Status, str]:
    """Return what the process that holds the folder says, else what the ledger and the files say."""
    told, now = read_status(folder), time.time()
    recent = told is not None and 0 <= now - told.written < STALE
    if told and (_is_held(folder) or (recent and not _can_look(folder))):
        return told, f"vipsync runs here; {duration(now - told.written)} ago"
    try:
        looked = preview(folder, None, face.overrides)
    except VipsyncError as error:
        return troubled(folder, error, now), "vipsync is not running in this folder."
    confirmed = told.confirmed if told else None
    fresh = status_of(looked.snapshot, looked.plan, str(folder.root), confirmed)
    never = "" if folder.ledger.exists() else "has not run yet and "
    return fresh, f"vipsync {never}is not running in this folder."


def _is_held(folder: SessionFolder) -> bool:
    try:
        return folder.is_held()
    except DiskError:
        return False  # somebody else's folder, which this account may only read


def _can_look(folder: SessionFolder) -> bool:
    try:
        return folder.settings.read_bytes() is not None
    except OSError:
        return False


def why_path(face: Face, path: Path) -> int:
    """Say what is known of one file."""
    folder = _session_above(path)
    settings = load(folder.root, face.overrides)
    inputs, outputs = places(folder.root, settings)
    looked = preview(folder, None, face.overrides)
    real = path.parent.resolve() / path.name
    if real.is_relative_to(inputs):
        known = why(looked, relpath(real.relative_to(inputs).as_posix()))
    elif real.is_relative_to(outputs):
        known = why_result(looked, relpath(real.relative_to(outputs).as_posix()))
    else:
        raise SettingsError(
            f"{path} lies neither in {inputs} nor in {outputs}: vipsync does not look at it."
        )
    face.reporter.say(screen.printable(known.path), "bold")
    for line in known.lines:
        face.reporter.say(f"  {screen.printable(line)}")
    told = read_status(folder)
    name = known.path.partition("/")[2]
    for notice in told.notices if told else ():
        if name in notice.subject or name in notice.text:
            face.reporter.show(screen.notice_lines(notice))
    return 0


def _session_above(path: Path) -> SessionFolder:
    """Return the session folder in which a path lies, else the one around the current folder."""
    for start in (path.absolute(), Path.cwd() / "here"):
        for above in start.parents:
            if SessionFolder(above).is_session():
                return SessionFolder(above)
    raise NotASession(f"{path} lies in no session folder.", "Call it from inside the folder.")


def sessions_of(directories: Sequence[Path]) -> list[SessionFolder]:
    """Return the sessions that directories are or hold; raise NotASession where one has none."""
    found: dict[Path, SessionFolder] = {}
    for directory in directories:
        inside = find_sessions(directory)
        if not inside:
            raise NotASession(
                f"{directory} is no session folder, and has none in it.",
                f"`vipsync init {directory}` makes one.",
            )
        found.update({folder.root: folder for folder in inside})
    return list(found.values())


def the_session(directory: Path) -> SessionFolder:
    """Return the session that a directory is; raise NotASession where it is none."""
    folder = SessionFolder(directory)
    if not folder.is_session():
        raise NotASession(
            f"{folder.root} is no session folder.", "Name the folder with settings.toml."
        )
    return folder


# working


def run(face: Face, directories: Sequence[Path], *, once: bool) -> int:
    """Keep folders in sync; one that is not there is told, and the others go on."""
    missing: dict[Path, NotASession] = {}
    found: list[SessionFolder] = []
    for directory in directories:
        try:
            found += find_sessions(directory)
        except NotASession as error:
            missing[directory] = error
            face.reporter.failed(error)
    if len(missing) == len(directories):
        return worst(error.exit_code for error in missing.values())
    # The loop raises where the first directory is not there; a later one it waits for.
    ordered = sorted(directories, key=lambda d: d in missing)
    work = Run(ordered, face.connect, face.reporter, face.overrides)
    if once:
        return worst([work.once(), *(error.exit_code for error in missing.values())])
    if not found:
        face.reporter.say("There is no session folder yet; one that is made later is found.", "dim")
    work.for_ever()
    return 0


def decide(face: Face, directory: Path, command: str, done: str) -> int:
    """Have a request answered that needs nothing of VIP."""
    folder = the_session(directory)
    Asker(folder, face.connect, face.reporter, face.overrides).decide(new_request(command))
    face.reporter.say(done)
    return 0


def finish(face: Face, directory: Path, without: Sequence[str], *, kill: bool) -> int:
    """Bring every result here, remove the data from VIP, and wait for it."""
    folder = the_session(directory)
    request = new_request("finish", without, {"kill": "yes"} if kill else {})
    code = Asker(folder, face.connect, face.reporter, face.overrides).finish(request)
    if preview(folder, None, face.overrides).snapshot.state.session.phase is Phase.CLOSED:
        face.reporter.say("Nothing of this session is on VIP; inputs and outputs are still here.")
    return code


@dataclass(frozen=True)
class Chosen:
    """Cases that a command is about: named ones, all, or those of a kind."""

    command: str
    cases: tuple[str, ...] = ()
    which: str = ""

    @property
    def request(self) -> Request:
        """Return the request for the process that holds the folder."""
        options = {"which": self.which} if self.which in ("failed", "outdated") else {}
        return new_request(self.command, self.cases, options)


def act_on_cases(face: Face, directory: Path, chosen: Chosen, *, sure: bool) -> int:
    """Launch, run again or cancel cases, after saying how much that is."""
    folder = the_session(directory)
    looked = preview(folder, None, face.overrides)
    cases = chosen_cases(looked, chosen.cases, chosen.which)
    if not cases:
        face.reporter.say("There is no such case; nothing to do.")
        return 0
    if chosen.command == "rerun":
        jobs = jobs_of_cases(looked, cases)
        face.reporter.say(f"To run again: {count(len(cases), 'case')}, {count(jobs, 'job')}.")
    if chosen.command == "cancel":
        for execution, others in sharers(looked, cases).items():
            names = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
            face.reporter.say(f"{execution} also runs {names}: it is stopped as a whole.")
    if chosen.command != "launch" and not sure and not face.agree():
        face.reporter.say("Nothing was changed.")
        return 0
    asker = Asker(folder, face.connect, face.reporter, face.overrides)
    work = asker.cancel if chosen.command == "cancel" else asker.launch
    return work(chosen.request)


# pipelines


def pipelines(face: Face, pattern: str) -> int:
    """List the pipelines, or describe the one that matches."""
    client = face.client()
    every = client.pipelines()
    exact = [p for p in every if p.pipeline_id == pattern]
    part = pattern.lower()
    found = exact or [p for p in every if part in f"{p.pipeline_id} {p.name}".lower()]
    if not found:
        raise PipelineUnavailable(
            f"No pipeline of this account matches {pattern}.",
            "`vipsync pipelines` lists them; others need a group, which you join on the portal.",
        )
    if len(found) == 1:
        face.reporter.show(screen.pipeline(creating.describe(client, found[0].pipeline_id)))
    else:
        for pipeline in sorted(found, key=lambda p: p.pipeline_id):
            face.reporter.say(screen.printable(pipeline.pipeline_id))
    return 0
