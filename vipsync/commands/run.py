"""The commands that work, or have the process that holds the folder work: run, launch, finish and more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from msgspec import Struct

from vipsync import commands
from vipsync.alerts.folders import FolderAlerts
from vipsync.commands.cases import (
    Asker,
    changed_by,
    chosen_cases,
    jobs_of_cases,
    sharers,
    stand,
)
from vipsync.commands.check import worst
from vipsync.commands.context import Context, means_the_machine, meant
from vipsync.commands.foreground import Run, allow_open_files
from vipsync.commands.machine import Renaming, SinceStart
from vipsync.commands.named import Named, agreed, named_folders, refuse_many
from vipsync.commands.notify import alerts_of
from vipsync.errors import NotASession, VipsyncError
from vipsync.folder.folder import SessionFolder, new_request
from vipsync.folder.holding import is_worked_in
from vipsync.folder.search import find_sessions, find_stations
from vipsync.model import Request
from vipsync.names import placed
from vipsync.plan.gone import forgotten
from vipsync.report.text import printable
from vipsync.rows import Phase
from vipsync.status.preview import Preview, preview
from vipsync.status.status import count, jobs_to_come
from vipsync.status.summary import status_of
from vipsync.status.words import size


class Asked(Struct, frozen=True):
    """A request that is answered at once, and what is said when it was; `by_run`: where a run does the rest."""

    command: str
    done: str
    by_run: str = ""


def run(context: Context, named: Sequence[Path], *, once: bool) -> int:
    """Keep folders in sync; one that is not there is told, and the others go on."""
    alerts = alerts_of(context) if means_the_machine(context, named) else None
    with alerts or nullcontext():
        telling = FolderAlerts(alerts, context.reporter.name) if alerts else None
        return _run(context, named, telling, once=once)


def _run(
    context: Context, named: Sequence[Path], alerts: FolderAlerts | None, *, once: bool
) -> int:
    directories = meant(context, named)
    missing: dict[Path, NotASession] = {}
    found: list[SessionFolder] = []
    for directory in directories:
        try:
            found += find_sessions(directory)
        except NotASession as error:
            missing[directory] = error
            context.reporter.failed(error)
            if alerts:
                alerts.missing(directory, error)
    if len(missing) == len(directories):
        return worst(error.exit_code for error in missing.values())
    allow_open_files(len(found))
    # The loop raises where the first directory is not there; a later one it waits for.
    ordered = sorted(directories, key=lambda d: d in missing)
    of_machine = means_the_machine(context, named)
    changed = SinceStart(context, whole=of_machine)
    renamed = Renaming(context) if of_machine else lambda: None
    work = Run(
        ordered,
        context.connect,
        context.reporter,
        context.overrides,
        renamed,
        alerts,
        context.transfers(),
        is_outdated=changed,
    )
    if once:
        return worst(
            [work.once(verbose=context.verbose), *(error.exit_code for error in missing.values())]
        )
    if not found and not any(map(find_stations, directories)):
        context.reporter.say(
            "There is no session folder yet; one that you make later will be found.", "dim"
        )
    address = context.machine().page.address if of_machine else ""
    with commands.page.beside_run(context, directories, address) if address else nullcontext():
        work.for_ever()
    return 0


def decide(context: Context, directories: Sequence[Path], asked: Asked, *, sure: bool) -> int:
    """Have a request answered that needs nothing of VIP; one folder's fault stops no other."""
    named = named_folders(context, directories)
    if not agreed(context, named, sure=sure):
        return 0
    codes, done = [], defaultdict[str, list[SessionFolder]](list)
    for folder in named.folders:
        try:
            _asker(context, [folder]).decide(new_request(asked.command))
            done[(is_worked_in(folder) and asked.by_run) or asked.done].append(folder)
        except VipsyncError as error:
            if not named.several:
                raise
            context.reporter.failed(error)
            codes.append(error.exit_code)
    _say_of(context, named, done)
    return worst(codes)


def _say_of(context: Context, named: Named, told: Mapping[str, Sequence[SessionFolder]]) -> None:
    """Say each thing once, with how many folders it is true of."""
    for words, (first, *more) in told.items():
        if words and more:
            context.reporter.say(f"{count(len(more) + 1, 'folder')}: {words}")
        elif words:
            whose = f"{printable(first.root.name)}: " if named.several else ""
            context.reporter.say(f"{whose}{placed(words, first.root)}")


def _asker(context: Context, folders: Sequence[SessionFolder]) -> Asker:
    return Asker(
        folders,
        context.connect,
        context.reporter,
        context.overrides,
        transfers=context.transfers,
    )


def finish(
    context: Context,
    directories: Sequence[Path],
    without: Sequence[str],
    *,
    kill: bool,
    sure: bool,
) -> int:
    """Bring every result here, remove the data from VIP, and wait for it."""
    named = named_folders(context, directories)
    if not agreed(context, named, sure=sure, stake=lambda: _to_finish(context, named, kill=kill)):
        return 0
    request = new_request("finish", without, {"kill": "yes"} if kill else {})
    code = _asker(context, named.folders).finish(request)
    left = defaultdict[str, list[SessionFolder]](list)
    for folder in named.folders:
        left[_left_on_vip(context, folder)].append(folder)
    _say_of(context, named, left)
    return code


def _to_finish(context: Context, named: Named, *, kill: bool) -> str:
    """Say how many jobs still run in folders, and how much is removed from VIP."""
    jobs = files = held = 0
    for folder in named.folders:
        with suppress(VipsyncError):  # what is wrong with it is said when it is worked in
            looked = preview(folder, None, context.overrides)
            told = status_of(looked.snapshot, looked.plan, str(folder.root))
            jobs, files, held = jobs + jobs_to_come(told), files + told.files, held + told.held
    if not held:
        return "Nothing of them is on VIP."
    does = "is" if jobs == 1 else "are"
    run = f"{count(jobs, 'job')} {does} {'stopped' if kill else 'awaited'}, then " if jobs else ""
    goes = f"{run}{count(files, 'input')} and all results, {size(held)}, are removed from VIP."
    return f"{goes[:1].upper()}{goes[1:]}"


def _left_on_vip(context: Context, folder: SessionFolder) -> str:
    """Say what a folder that was finished has on VIP; empty where it is not finished."""
    snapshot = preview(folder, None, context.overrides).snapshot
    phase, kept = snapshot.state.session.phase, snapshot.settings.finish
    if phase is Phase.CLOSED:
        return "Nothing of this session is on VIP; inputs and outputs are still here."
    if phase is Phase.OPEN and (kept.keep_input or kept.keep_output):
        what = " and ".join(
            n for n, k in (("inputs", kept.keep_input), ("results", kept.keep_output)) if k
        )
        return f"The {what} stay on VIP, as [finish] in settings.toml says."
    return ""


def forget(context: Context, named: Named, *, sure: bool) -> int:
    """Take results for gone that are neither here nor on VIP; say how many."""
    if not agreed(context, named, sure=sure):
        return 0
    codes = []
    for folder in named.folders:
        lost = forgotten(preview(folder, None, context.overrides).snapshot, named.cases)
        if lost:
            _asker(context, [folder]).decide(new_request("forget", named.cases))
        done = (
            f"{count(len(lost), 'result')} forgotten." if lost else _nothing_to_forget(named.cases)
        )
        codes.append(1 if named.cases and not lost else 0)
        context.reporter.say(f"{printable(folder.root.name)}: {done}" if named.several else done)
    return worst(codes)


def _nothing_to_forget(names: Sequence[str]) -> str:
    what = f"of the name {', '.join(names)} " if names else ""
    return f"Nothing to forget: no result {what}was deleted here and is gone from VIP too."


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


def act_on_cases(context: Context, named: Named, chosen: Chosen, *, sure: bool) -> int:
    """Launch, run again or cancel cases, after saying how much that is."""
    refuse_many(context, named, sure=sure)
    folders = [f for f in named.folders if _has_work(context, f, chosen, several=named.several)]
    asks = chosen.command != "launch" or not named.outright
    if folders and asks and not sure and not context.agree():
        context.reporter.say("Nothing was changed.")
        return 0
    if not folders:
        return 0
    asker = _asker(context, folders)
    work = asker.cancel if chosen.command == "cancel" else asker.launch
    return work(chosen.request)


def _has_work(context: Context, folder: SessionFolder, chosen: Chosen, *, several: bool) -> bool:
    """Say what a command would do in a folder; tell whether that is anything."""

    def say(words: str) -> None:
        context.reporter.say(f"{printable(folder.root.name)}: {words}" if several else words)

    looked = _with_pipeline(context, folder)
    cases = chosen_cases(looked, folder.root, chosen.cases, chosen.which)
    if not cases:
        say("No case matches; nothing to do.")
        return False
    if chosen.command != "rerun" and not changed_by(chosen.command, looked, cases):
        say(f"There is nothing to {chosen.command}: {stand(looked, cases)}.")
        return False
    if chosen.command == "rerun":
        jobs = jobs_of_cases(looked, cases)
        say(f"Will run again: {count(len(cases), 'case')}, {count(jobs, 'job')}.")
    if chosen.command == "cancel":
        for execution, others in sharers(looked, cases).items():
            names = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
            say(f"{execution} also runs {names}: it is stopped as a whole.")
    return True


def _with_pipeline(context: Context, folder: SessionFolder) -> Preview:
    """Return what is there, with the pipeline read from VIP where the ledger has none: cases need it."""
    looked = preview(folder, None, context.overrides)
    settings = looked.snapshot.settings
    if looked.snapshot.descriptor or not settings.pipeline_id:
        return looked
    client, _ = context.connect(settings, settings.portal, "")
    return preview(folder, client, context.overrides)
