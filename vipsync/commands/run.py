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
    sharers,
    stand,
)
from vipsync.commands.check import worst
from vipsync.commands.context import Context, the_session
from vipsync.commands.foreground import Run
from vipsync.errors import NotASession
from vipsync.folder.folder import SessionFolder, find_sessions, new_request
from vipsync.model import Request
from vipsync.rows import Phase
from vipsync.status.preview import Preview, preview
from vipsync.status.status import count


def run(context: Context, directories: Sequence[Path], *, once: bool) -> int:
    """Keep folders in sync; one that is not there is told, and the others go on."""
    missing: dict[Path, NotASession] = {}
    found: list[SessionFolder] = []
    for directory in directories:
        try:
            found += find_sessions(directory)
        except NotASession as error:
            missing[directory] = error
            context.reporter.failed(error)
    if len(missing) == len(directories):
        return worst(error.exit_code for error in missing.values())
    # The loop raises where the first directory is not there; a later one it waits for.
    ordered = sorted(directories, key=lambda d: d in missing)
    work = Run(ordered, context.connect, context.reporter, context.overrides)
    if once:
        return worst([work.once(), *(error.exit_code for error in missing.values())])
    if not found:
        context.reporter.say(
            "There is no session folder yet; one that is made later is found.", "dim"
        )
    work.for_ever()
    return 0


def decide(context: Context, directory: Path, command: str, done: str) -> int:
    """Have a request answered that needs nothing of VIP."""
    folder = the_session(directory)
    Asker(folder, context.connect, context.reporter, context.overrides).decide(new_request(command))
    context.reporter.say(done)
    return 0


def finish(context: Context, directory: Path, without: Sequence[str], *, kill: bool) -> int:
    """Bring every result here, remove the data from VIP, and wait for it."""
    folder = the_session(directory)
    request = new_request("finish", without, {"kill": "yes"} if kill else {})
    code = Asker(folder, context.connect, context.reporter, context.overrides).finish(request)
    snapshot = preview(folder, None, context.overrides).snapshot
    phase, kept = snapshot.state.session.phase, snapshot.settings.finish
    if phase is Phase.CLOSED:
        context.reporter.say(
            "Nothing of this session is on VIP; inputs and outputs are still here."
        )
    elif phase is Phase.OPEN and (kept.keep_input or kept.keep_output):
        what = " and ".join(
            n for n, k in (("inputs", kept.keep_input), ("results", kept.keep_output)) if k
        )
        context.reporter.say(f"The {what} stay on VIP, as [finish] in settings.toml says.")
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


def act_on_cases(context: Context, directory: Path, chosen: Chosen, *, sure: bool) -> int:
    """Launch, run again or cancel cases, after saying how much that is."""
    folder = the_session(directory)
    looked = _with_pipeline(context, folder)
    cases = chosen_cases(looked, chosen.cases, chosen.which)
    if not cases:
        context.reporter.say("There is no such case; nothing to do.")
        return 0
    if chosen.command != "rerun" and not changed_by(chosen.command, looked, cases):
        context.reporter.say(f"There is nothing to {chosen.command}: {stand(looked, cases)}.")
        return 0
    if chosen.command == "rerun":
        jobs = jobs_of_cases(looked, cases)
        context.reporter.say(f"To run again: {count(len(cases), 'case')}, {count(jobs, 'job')}.")
    if chosen.command == "cancel":
        for execution, others in sharers(looked, cases).items():
            names = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
            context.reporter.say(f"{execution} also runs {names}: it is stopped as a whole.")
    if chosen.command != "launch" and not sure and not context.agree():
        context.reporter.say("Nothing was changed.")
        return 0
    asker = Asker(folder, context.connect, context.reporter, context.overrides)
    work = asker.cancel if chosen.command == "cancel" else asker.launch
    return work(chosen.request)


def _with_pipeline(context: Context, folder: SessionFolder) -> Preview:
    """Return what is there, with the pipeline read from VIP where the ledger has none: cases need it."""
    looked = preview(folder, None, context.overrides)
    settings = looked.snapshot.settings
    if looked.snapshot.descriptor or not settings.pipeline_id:
        return looked
    client, _ = context.connect(settings, settings.portal, "")
    return preview(folder, client, context.overrides)
