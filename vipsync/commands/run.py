"""The commands that work, or have the process that holds the folder work: run, launch, finish and more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vipsync.commands.cases import (
    Asker,
    changed_by,
    chosen_cases,
    jobs_of_cases,
    new_request,
    sharers,
    stand,
)
from vipsync.commands.check import worst
from vipsync.commands.context import Face, the_session
from vipsync.commands.foreground import Run
from vipsync.errors import NotASession
from vipsync.folder.folder import SessionFolder, find_sessions
from vipsync.model import Request
from vipsync.rows import Phase
from vipsync.status.preview import Preview, preview
from vipsync.status.status import count


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
    snapshot = preview(folder, None, face.overrides).snapshot
    phase, kept = snapshot.state.session.phase, snapshot.settings.finish
    if phase is Phase.CLOSED:
        face.reporter.say("Nothing of this session is on VIP; inputs and outputs are still here.")
    elif phase is Phase.OPEN and (kept.keep_input or kept.keep_output):
        what = " and ".join(
            n for n, k in (("inputs", kept.keep_input), ("results", kept.keep_output)) if k
        )
        face.reporter.say(f"The {what} stay on VIP, as [finish] in settings.toml says.")
    return code


class Chosen(Struct, frozen=True):
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
    looked = _with_pipeline(face, folder)
    cases = chosen_cases(looked, chosen.cases, chosen.which)
    if not cases:
        face.reporter.say("There is no such case; nothing to do.")
        return 0
    if chosen.command != "rerun" and not changed_by(chosen.command, looked, cases):
        face.reporter.say(f"There is nothing to {chosen.command}: {stand(looked, cases)}.")
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


def _with_pipeline(face: Face, folder: SessionFolder) -> Preview:
    """Return what is there, with the pipeline read from VIP where the ledger has none: cases need it."""
    looked = preview(folder, None, face.overrides)
    settings = looked.snapshot.settings
    if looked.snapshot.descriptor or not settings.pipeline_id:
        return looked
    client, _ = face.connect(settings, settings.portal, "")
    return preview(folder, client, face.overrides)
