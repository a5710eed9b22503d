"""The commands about stations: make one, look at it, say something of a study."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import tomli_w

from vipsync.commands.check import key_of, some, worst
from vipsync.commands.context import Context
from vipsync.commands.init import Made, describe
from vipsync.disk.files import make_folder, write_atomic
from vipsync.errors import FolderError, KeyMissing, NotASession, SettingsError, VipsyncError
from vipsync.folder.folder import SETTINGS, is_station, new_id
from vipsync.model import Settings, replace
from vipsync.names import placed, shell_word
from vipsync.report.text import printable
from vipsync.settings.reading import parse
from vipsync.settings.template import settings_text
from vipsync.station.folder import StationFolder
from vipsync.station.ledger import read_station
from vipsync.station.making import session_settings
from vipsync.station.model import Asked, StationSettings
from vipsync.station.outlook import Outlook
from vipsync.station.private import read_table
from vipsync.station.publish import read_report, table_lines
from vipsync.station.settings import load
from vipsync.station.steps import ASKING, StationStatus, StudyReport, StudyState
from vipsync.status.status import Finding
from vipsync.status.words import STALE, duration

_TEXT = """\
# A station: each study that arrives in the export becomes a session of its own, in sessions/.
# Lines that begin with # are comments; to use one that is a setting, remove its #.
# Ask `vipsync check DIR` what would become of what lies in the export now.

[station]
{exports}
# by       = "StudyInstanceUID"   # for one folder with files of all studies: DICOM headers tell them apart
# study    = "{{exam}}/"            # which folders are studies; "{{patient}}/{{exam}}/" where they lie deeper
# accept   = ["*svs*"]            # only studies in which a file or series is called so; others are listed
# since    = "all"                # "now": what lies there at the first run is listed, not started; or a date
# name     = "S{{n:04}}"            # {{n}}: number of the study; {{subject_n}}: of the person
# take     = "copy"               # "point": a session looks into the export; "copy": it has files of its own
# prepare  = ["my-anonymiser", "{{study}}", "{{inputs}}"]   # your own tool fills an empty folder

[complete]
# quiet     = "10m"               # a study is whole when nothing has changed for so long
# require   = ["*svs*", "*T1* | *mprage*"]   # and these files or series are there
# ready     = ""                  # and a file of this name is there
# needs_you = "24h"               # after so long, an incomplete study asks for you

[late]
# series = "rerun"                # a study of which more comes after its start runs again; "hold": it waits for you

[keep]
# finish = "marker"               # VIP's data go once you delete a session's ON_VIP.txt; "download": once every result is here
"""


# making one


def init(context: Context, root: Path, export: Path, pipeline_id: str | None) -> int:
    """Make a station folder with its settings and the template of its sessions."""
    folder = StationFolder(root)
    if folder.settings.exists() or (folder.root / SETTINGS).exists():
        raise FolderError(f"{folder.root} has settings already; nothing was changed.", "Edit them.")
    if not export.is_dir():
        raise SettingsError(
            f"{export} is not a folder.", "Give the folder that the scanner writes to."
        )
    descriptor = describe(context.client(), pipeline_id) if pipeline_id else None
    template = folder.root / "template"
    make_folder(template)
    make_folder(folder.sessions)
    text = settings_text(descriptor, "station", context.portal_here)
    write_atomic(template / SETTINGS, _of_template(text).encode())
    exports = tomli_w.dumps({"exports": [str(export.absolute())]}).strip()
    write_atomic(folder.settings, _TEXT.format(exports=exports).encode())
    made = Made(
        f"{folder.root} is a station now.",
        (
            f"Fill in {template / SETTINGS}: every study gets these settings.",
            'The files of a study are its inputs; { zip = "./", as = "study.zip" } packs them all.',
            f"Look at {folder.settings}, and ask `vipsync check {shell_word(folder.root)}`.",
            f"Then start `vipsync run {shell_word(folder.root)}`. What lies in the export at its first "
            "run is listed, not started, unless `since` says otherwise.",
        ),
    )
    return made.tell(context.reporter)


def _of_template(text: str) -> str:
    """Return the settings of a session without what the station writes itself."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("session_name"))


# looking at one


def check(context: Context, root: Path) -> int:
    """Say what is in order, and what would become of each study; write nothing."""
    context.reporter.say(str(root), "bold")
    codes = []
    for found in _checked(context, root):
        context.reporter.finding(found)
        codes.append(found.exit_code)
    return worst(codes)


def _checked(context: Context, root: Path) -> Iterator[Finding]:
    try:
        outlook = Outlook(root)
        yield Finding("station.toml", f"{outlook.folder.settings} can be read.")
        settings = _of_sessions(context, outlook.folder, outlook.settings)
        yield Finding("template", "Its settings are valid.")
        yield from _on_vip(context, settings)
        plan = outlook.plan()
    except VipsyncError as error:
        yield Finding("station", error.message, error.remedy, error.exit_code)
        return
    new = outlook.new
    words = f"{len(new)} would become sessions" + (f": {', '.join(new[:20])}" if new else "")
    yield Finding("studies", f"{len(plan.reports)} known; {words}.", details=_lines(plan.reports))
    if outlook.survey.others:
        yield Finding(
            "others", f"{outlook.survey.others} files that are not DICOM are not looked at."
        )
    for report in plan.reports:
        if report.asks or report.state in ASKING:
            remedy = placed(report.remedy, outlook.folder.root)
            yield Finding(report.name, f"{report.state}: {report.reason}", remedy, 3)


def _of_sessions(context: Context, folder: StationFolder, settings: StationSettings) -> Settings:
    """Return the settings that each new session has."""
    text = session_settings(folder, settings, "S0001", None)
    return parse(text.encode(), "S0001", overrides=context.overrides, environ=context.environ)


def _on_vip(context: Context, settings: Settings) -> Iterator[Finding]:
    """Say whether VIP knows the key of new sessions, and their pipeline."""
    client, found = key_of(settings, context.connect)
    yield found
    if client and settings.pipeline_id:
        try:
            known = describe(client, settings.pipeline_id)
        except VipsyncError as error:
            yield Finding("pipeline", error.message, error.remedy, error.exit_code)
        else:
            yield Finding("pipeline", f"{known.pipeline_id} ({known.name} {known.version}).")


def _keyless(context: Context, folder: StationFolder) -> KeyMissing | None:
    """Return why new sessions have no key, None where they have one."""
    try:
        settings = _of_sessions(context, folder, load(folder.root))
        context.connect(settings, settings.portal, "")
    except KeyMissing as error:
        return error
    except VipsyncError:
        return None  # `check` says it
    return None


def _lines(reports: tuple[StudyReport, ...]) -> tuple[str, ...]:
    return some((f"{r.name}: {_would(r)}" for r in reports), 50)


def _would(report: StudyReport) -> str:
    if report.state is StudyState.QUEUED:
        return "would become a session, once it has been quiet for long enough"
    return f"{report.state} ({report.reason})" if report.reason else str(report.state)


def status_of_station(context: Context, root: Path) -> tuple[StationStatus, str]:
    """Return what the process that holds a station last said, and how old that is.

    That process may have a key of its own: only where there is none, one is looked for here.
    """
    folder = StationFolder(root)
    told, note = _last_told(folder.root, folder)
    error = None if folder.own.is_held() else _keyless(context, folder)
    if error:
        words = f"{error.message} {error.remedy}"
        told = replace(told, sentence=f"{words} {told.sentence}", exit_code=error.exit_code)
    return told, note


def _last_told(root: Path, folder: StationFolder) -> tuple[StationStatus, str]:
    told, now = read_report(folder), time.time()
    if told is None:
        told = StationStatus(str(root), root.name, "This station has not run yet.", written=now)
        return told, f"Ask `vipsync check {shell_word(root)}` what would become of its studies."
    if folder.own.is_held():
        return told, f"vipsync runs here; {duration(now - told.written)} ago"
    age = now - told.written
    note = f"vipsync last wrote here {duration(age)} ago" if 0 <= age < STALE else ""
    return told, note or f"vipsync is not running here: `vipsync run {shell_word(root)}` starts it."


def show_status(context: Context, told: StationStatus, note: str) -> None:
    """Print a station's sentence and the table of its studies."""
    context.reporter.say(f"{printable(told.station)}: {printable(told.sentence)}", "bold")
    if note:
        context.reporter.say(f"  {note}", "dim")
    for line in table_lines(told):
        context.reporter.say(f"  {printable(line)}")
    for report in told.studies:
        if words := _what_to_do(report):
            context.reporter.say(f"  {printable(f'{report.name}: {words}')}")


def _what_to_do(report: StudyReport) -> str:
    """Return what a person can do for a study, and at least why where it asks for one."""
    if report.remedy and report.state in (*ASKING, StudyState.INCOMPLETE):
        return report.remedy
    return f"{report.state}: {report.reason}" if report.asks or report.state in ASKING else ""


def why(context: Context, station: Path, path: Path) -> bool:
    """Say what is known of a path in the export of a station; False for a path elsewhere."""
    folder, real = StationFolder(station), path.parent.resolve() / path.name
    exports = (Path(export).resolve() for export in load(folder.root).exports)
    if not any(real.is_relative_to(export) for export in exports):
        return False
    report = _report_of(folder, real)
    if report is None:
        words = "no study" if os.path.lexists(real) else "nothing"
        ask = f"`vipsync check {shell_word(folder.root)}` says what would become of what is there."
        station_name = printable(folder.root.name)
        context.reporter.say(f"In the export of {station_name}, {words} is known there. {ask}")
        return True
    context.reporter.say(report.name, "bold")
    context.reporter.say(f"  {printable(_would(report))}")
    if report.remedy:
        context.reporter.say(f"  {printable(report.remedy)}")
    if report.session:
        session = shell_word(folder.root / report.session)
        context.reporter.say(f"  `vipsync status {session}` tells of its session.")
    return True


def _report_of(folder: StationFolder, real: Path) -> StudyReport | None:
    """Return how the study stands in whose folder a path of the export lies, as far as this account knows."""
    table, told = read_table(folder.identity()), read_report(folder)
    if table is None or told is None:
        return None
    state = read_station(folder.ledger)
    for name, place in table.places.items():
        row = state.places.get(name)
        if row and real.is_relative_to(Path(place).resolve()):
            study = state.studies.get(row.study)
            wanted = study.name if study else row.handle
            return next((r for r in told.studies if r.name == wanted), None)
    return None


def station_above(path: Path) -> StationFolder | None:
    """Return the station in whose folder a path lies."""
    found = next((above for above in path.parents if is_station(above)), None)
    return StationFolder(found) if found else None


# saying something of a study


def say(context: Context, directory: Path, word: str, name: str) -> int:
    """Leave what a person says of a study for the process that holds the station."""
    folder = the_station(directory)
    _require_known(folder, name)
    _refuse_late_skip(folder, word, name)
    _refuse_idle(folder, word, name)
    folder.ask(Asked(f"{time.time():.6f}-{new_id()}", word, name))
    held = folder.own.is_held()
    does = "vipsync does it in a moment." if held else "vipsync is not running here: "
    run = "" if held else f"`vipsync run {shell_word(folder.root)}` does it."
    context.reporter.say(f"Asked for {name}: {word}. {does}{run}")
    return 0


def _refuse_late_skip(folder: StationFolder, word: str, name: str) -> None:
    """Raise FolderError where a study is to be skipped that runs, or has run."""
    studies = read_station(folder.ledger).studies.values() if word == "skip" else ()
    if any(study.ran for study in studies if study.name == name):
        place = shell_word(folder.session(name).root)
        raise FolderError(f"{name} has started.", f"`vipsync cancel {place} --all` stops it.")


def _refuse_idle(folder: StationFolder, word: str, name: str) -> None:
    """Raise FolderError for a word that does nothing to a study as it stands now."""
    told = read_report(folder)
    report = next((r for r in told.studies if r.name == name), None) if told else None
    if report is None or word in (*report.can, *_always(report)):
        return
    place = shell_word(folder.root)
    helps = " or ".join(f"`vipsync station {other} {place} {name}`" for other in report.can)
    remedy = report.remedy or (f"What you can do: {helps}." if helps else "")
    raise FolderError(f"{name}: {_would(report)}; {word} changes nothing of that.", remedy)


def _always(report: StudyReport) -> tuple[str, ...]:
    """Return what can be said of a study whether it helps now or not: it counts once it is complete."""
    if not report.session:
        return ("complete", "skip", "first")
    return ("complete",) if report.state is StudyState.SKIPPED else ()


def who(context: Context, directory: Path, name: str | None) -> int:
    """Show whose studies are which, on a terminal and nowhere else."""
    folder = the_station(directory)
    if not sys.stdout.isatty():
        raise FolderError(
            "Names are shown on a terminal only, and not where they are written down.",
            "Call it at a terminal, without a pipe.",
        )
    table = read_table(folder.identity())
    if table is None:
        raise FolderError(
            "This account keeps no names for this station.",
            "Call it as the account that runs the station; before its first run there are none.",
        )
    state = read_station(folder.ledger)
    for place in state.places.values():
        study = state.studies.get(place.study)
        shown = study.name if study else place.handle
        if name in (None, shown, place.handle):
            person = ", ".join(table.people.get(place.study, ())) or "no name in its headers"
            context.reporter.say(printable(f"{shown}  {person}  {table.places.get(place.id, '')}"))
    return 0


def the_station(directory: Path) -> StationFolder:
    """Return the station that a directory is; raise NotASession."""
    folder = StationFolder(directory)
    if not is_station(folder.root):
        raise NotASession(
            f"{folder.root} is no station.",
            f"`vipsync init {shell_word(folder.root)} --station EXPORT` makes one; EXPORT is the "
            "folder into which the scanner exports.",
        )
    return folder


def _require_known(folder: StationFolder, name: str) -> None:
    state = read_station(folder.ledger) if folder.ledger.exists() else None
    places = state.places.values() if state else ()
    studies = state.studies.values() if state else ()
    known = [*(study.name for study in studies), *(place.handle for place in places)]
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = (
            f"Did you mean {near[0]}?"
            if near
            else f"`vipsync status {shell_word(folder.root)}` lists the studies."
        )
        raise SettingsError(f"There is no study {name}.", hint)
