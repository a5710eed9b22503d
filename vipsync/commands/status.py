"""The commands that look and change nothing: check, plan, status, why."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vipsync import commands
from vipsync.commands.check import check, planned, worst
from vipsync.commands.context import (
    Context,
    folder_around,
    machine_folders,
    meant,
    session_around,
    sessions_of,
)
from vipsync.commands.machine import check_machine, runs_with_older
from vipsync.disk.files import read_small
from vipsync.disk.walk import nfc
from vipsync.errors import FolderAbsent, FolderCopied, NotASession, SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder, station_of
from vipsync.folder.holding import is_worked_in
from vipsync.folder.search import find_sessions, find_stations
from vipsync.model import replace
from vipsync.names import few, placed
from vipsync.observe.export import lies_outside
from vipsync.plan.snapshot import Limits
from vipsync.plan.transfer_limits import MACHINE, OUTDATED
from vipsync.report.text import printable
from vipsync.settings.reading import load, places
from vipsync.status.overview import name_below
from vipsync.status.preview import Preview, preview, status_now
from vipsync.status.publish import read_status, status_json, troubled
from vipsync.status.reserve import spoken
from vipsync.status.status import Finding, Status
from vipsync.status.summary import status_of
from vipsync.status.why import meant as meant_file
from vipsync.status.why import why, why_own, why_result
from vipsync.status.words import STALE, duration

_IDLE_SHOWN = 5


def check_folders(context: Context, directory: Path | None) -> int:
    """Say whether a folder is in order; without one, whether vipsync.toml is."""
    around = None if directory or context.config else folder_around(Path.cwd())
    place = directory or around
    if place is None:
        return check_machine(context)
    limits = _limits(context)
    codes = [commands.station.check(context, root) for root in find_stations(place)]
    for folder in _own_sessions(place, found=bool(codes)):
        findings = []
        context.reporter.say(str(folder.root), "bold")
        for finding in _checked(folder, context, limits):
            findings.append(finding)
            context.reporter.finding(finding)
        codes.append(worst(finding.exit_code for finding in findings))
    return worst(codes)


def _own_sessions(directory: Path, *, found: bool) -> list[SessionFolder]:
    """Return the sessions of a directory that no station looks after; there may be stations alone."""
    return find_sessions(directory, of_stations=False) if found else sessions_of([directory])


def _checked(folder: SessionFolder, context: Context, limits: Limits) -> Iterator[Finding]:
    """Check a folder; of a copy nothing more is said than that it is one."""
    try:
        folder.refuse_copy()
    except VipsyncError as error:
        yield Finding("folder", error.message, error.remedy, error.exit_code)
        return
    yield from check(folder, context.connect, context.overrides, _at_work(limits, folder))


def plan_folders(context: Context, directory: Path | None) -> int:
    """Say what the next cycle would do."""
    places, limits = meant(context, [directory] if directory else []), _limits(context)
    codes = [
        commands.station.check(context, root) for place in places for root in find_stations(place)
    ]
    for folder in [f for p in places for f in _own_sessions(p, found=bool(codes))]:
        folder.refuse_copy()
        settings = load(folder.root, context.overrides)
        client, trouble, mine = None, None, _at_work(limits, folder)
        try:
            client = context.connect(settings, settings.portal, "")[0]
            looked = preview(folder, client, context.overrides, judges=True, limits=mine)
        except VipsyncError as error:
            trouble = error
            looked = preview(folder, None, context.overrides, judges=True, limits=mine)
        context.reporter.say(str(folder.root), "bold")
        if trouble:
            found = Finding("VIP", trouble.message, trouble.remedy, trouble.exit_code)
            context.reporter.finding(found)
        for finding in planned(looked, folder):
            context.reporter.finding(finding)
        told = status_of(looked.snapshot, looked.plan, str(folder.root))
        codes += [told.exit_code, trouble.exit_code if trouble else 0]
    return worst(codes)


class Told(NamedTuple):
    """The state of a folder, and who says so; `idle`: no vipsync works there."""

    status: Status
    note: str = ""
    idle: bool = False


def status(context: Context, named: Sequence[Path], *, as_json: bool, in_full: bool) -> int:
    """Say how folders are; one that is not there is told among the others."""
    directories = meant(context, named)
    limits = _limits(context)
    every = [told for directory in directories for told in _statuses(directory, context, limits)]
    found = list({told.status.folder: told for told in every}.values())  # one may lie in another
    stations = [
        commands.station.status_of_station(context, root)
        for d in directories
        for root in find_stations(d)
    ]
    codes = [s.exit_code for s, _ in stations] + [told.status.exit_code for told in found]
    if as_json:
        told = [s for s, _ in stations] + [t.status for t in found]
        context.reporter.document(status_json(told))
        return worst(codes)
    for number, (about, words) in enumerate(stations):
        if number:
            context.reporter.say()
        commands.station.show_status(context, about, words)
    if stations and found:
        context.reporter.say()
    _show(context, directories, found, in_full=in_full)
    return worst(codes)


def _show(
    context: Context, directories: Sequence[Path], found: Sequence[Told], *, in_full: bool
) -> None:
    """Show each folder in full, or many as a table."""
    if in_full or len(found) < 2:
        for number, told in enumerate(found):
            if number:
                context.reporter.say()
            context.reporter.status(told.status, told.note)
        return
    context.reporter.named(SessionFolder(directory).root for directory in directories)
    context.reporter.overview([told.status for told in found])
    _say_outdated(context, [told.status for told in found])
    _say_idle(context, [told.status.folder for told in found if told.idle])


def _say_outdated(context: Context, found: Iterable[Status]) -> None:
    """Say once for many folders what each of them tells of vipsync.toml."""
    if any(notice.subject == MACHINE for told in found for notice in told.notices):
        context.reporter.say(OUTDATED)


def _say_idle(context: Context, idle: Sequence[str]) -> None:
    """Say of which folders nobody brings anything forward."""
    if idle:
        names = [name_below(folder, context.reporter.tops) for folder in idle]
        context.reporter.say(f"vipsync is not running in {few(names, _IDLE_SHOWN)}.", "dim")


def _statuses(directory: Path, context: Context, limits: Limits) -> list[Told]:
    try:
        found = _own_sessions(directory, found=bool(find_stations(directory)))
        return [_status(folder, context, limits) for folder in found]
    except NotASession as error:
        return [Told(troubled(SessionFolder(directory), error, time.time()))]


def _limits(context: Context) -> Limits:
    """Return what holds over all folders by the clock; nothing where vipsync.toml is not in order."""
    from vipsync.run.timing import Timing
    from vipsync.run.transfer_limits import TransferLimits

    try:
        return TransferLimits(context.transfers(), Timing()).by_the_clock()
    except SettingsError:
        return Limits()


def _at_work(limits: Limits, folder: SessionFolder) -> Limits:
    """Return limits, with what the process that works in a folder says of those that it goes by."""
    return replace(limits, outdated=runs_with_older(folder))


def _status(folder: SessionFolder, context: Context, limits: Limits) -> Told:
    """Return what the process that holds the folder says, else what the ledger and the files say."""
    told, now = read_status(folder), time.time()
    try:
        folder.refuse_copy()
    except (FolderAbsent, FolderCopied) as error:
        return Told(troubled(folder, error, now), _last_wrote(None))
    recent = told is not None and 0 <= now - told.written < STALE
    held = is_worked_in(folder)
    if told and (held or (recent and (spoken(folder) or not _can_look(folder)))):
        return Told(told, f"vipsync runs here; {duration(now - told.written)} ago")
    try:
        fresh = status_now(folder, told, context.overrides, limits)
    except VipsyncError as error:
        age = now - told.written if told else None
        return Told(troubled(folder, error, now, told), _last_wrote(age))
    station = station_of(folder.root)
    if station and not held and SessionFolder(station).is_held():
        return Told(fresh, f"vipsync runs in its station, {station.name}.")
    if held is None:
        return Told(fresh, "This account cannot see whether vipsync runs in this folder.")
    state = "is not running here" if folder.ledger.exists() else "has not run here yet"
    note = placed(f"vipsync {state}: `vipsync run DIR` starts it.", folder.root)
    return Told(fresh, note, idle=not held)


def _last_wrote(age: float | None) -> str:
    """Say when vipsync last wrote into a folder that nobody holds: it lets go of one in trouble."""
    if age is None or not 0 <= age < STALE:
        return "vipsync is not running in this folder."
    return f"vipsync last wrote here {duration(age)} ago."


def _can_look(folder: SessionFolder) -> bool:
    try:
        read_small(folder.settings)
    except PermissionError:
        return False
    except OSError:
        return True  # what is missing is what there is to tell
    return True


def why_path(context: Context, path: Path) -> int:
    """Say what is known of one file."""
    if any(commands.station.why(context, station, path) for station in _stations(context)):
        return 0
    folder = _session_above(path)
    settings = load(folder.root, context.overrides)
    inputs, outputs = places(folder.root, settings)
    looked = preview(folder, None, context.overrides)
    real = path.parent.resolve() / path.name
    if path.resolve() in (folder.root.resolve(), inputs, outputs):
        raise SettingsError(
            f"{path} is a whole folder; `why` tells of one file.",
            "Name a file inside inputs/ or outputs/.",
        )
    if own := why_own(_place(real, folder.root.resolve(), outputs)):
        known = own
    elif real.is_relative_to(inputs):
        known = why(looked, nfc(real.relative_to(inputs).as_posix()))
    elif real.is_relative_to(outputs):
        known = why_result(looked, nfc(real.relative_to(outputs).as_posix()))
    else:
        raise SettingsError(
            f"{path} lies neither in {_told(inputs, folder)} nor in {outputs}: it is not "
            "sent, and is no result.",
            _did_you_mean(folder, looked, real, path.name),
        )
    nothing = len(known.lines) < 2  # else the ledger tells of it, though it is gone
    hint = _did_you_mean(folder, looked, real, known.path) if nothing else ""
    context.reporter.say(printable(known.path), "bold")
    for line in (*known.lines, *([hint] if hint else [])):
        context.reporter.say(f"  {printable(placed(line, folder.root))}")
    told = read_status(folder)
    name = known.path.partition("/")[2] or known.path
    for notice in told.notices if told else ():
        if name in notice.subject or name in notice.text:
            context.reporter.notice(notice)
    return 0


def _did_you_mean(folder: SessionFolder, looked: Preview, real: Path, place: str) -> str:
    """Name the file that may be meant where nothing is; none of a study's, whose names may name a patient."""
    root, settings = folder.root, looked.snapshot.settings
    if os.path.lexists(real) or (
        station_of(root) and lies_outside(places(root, settings)[0], root)
    ):
        return ""
    near = meant_file(looked, place)
    return f"Did you mean {near}?" if near and near != place else ""


def _stations(context: Context) -> list[Path]:
    """Return the station around the current folder, else those of vipsync.toml."""
    around = commands.station.station_above(Path.cwd() / "here")
    if around:
        return [around.root]
    with suppress(VipsyncError):
        return [root for folder in machine_folders(context) for root in find_stations(folder)]
    return []


def _place(real: Path, root: Path, outputs: Path) -> str:
    """Return a path as it is called in a session folder, wherever its outputs lie."""
    if real.is_relative_to(outputs):
        return f"outputs/{real.relative_to(outputs).as_posix()}"
    return real.relative_to(root).as_posix() if real.is_relative_to(root) else ""


def _told(inputs: Path, folder: SessionFolder) -> str:
    """Return an inputs folder as it is called: that of a station's export may name a patient (S4)."""
    hidden = station_of(folder.root) and lies_outside(inputs, folder.root)
    return "its study in the export" if hidden else str(inputs)


def _session_above(path: Path) -> SessionFolder:
    """Return the session folder in which a path lies, else the one around the current folder."""
    for start in (path.absolute(), Path.cwd()):
        if around := session_around(start):
            return around
    raise NotASession(
        f"{path} lies in no session folder.",
        "Name a file in a session folder, or go into that folder first.",
    )
