"""Look whether a folder is in order, and say what would happen next; changes nothing, here or on VIP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vipsync import actions as do
from vipsync.act.pipeline import definition
from vipsync.cases.advice import PackingAdvice, line_for, starts_at_inputs, transfer_seconds
from vipsync.cases.descriptor import parse_descriptor
from vipsync.cases.sources import read_sources
from vipsync.disk.walk import printable
from vipsync.errors import FolderAbsent, SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import Case, Settings, VipPath, replace
from vipsync.names import folder_words, home_of, placed
from vipsync.plan.privacy import PRIVACY, Gate, Send
from vipsync.rows import Phase
from vipsync.settings.reading import Misread, load
from vipsync.status.preview import Preview, preview
from vipsync.status.privacy import privacy_lines
from vipsync.status.sentence import is_unread
from vipsync.status.status import Finding, Status, count
from vipsync.status.summary import status_of
from vipsync.status.words import MOVE, duration, misplaced, size

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient
    from vipsync.plan.draft import Notice
    from vipsync.plan.snapshot import Limits
    from vipsync.run.account import Connect

SHOWN = 20
"""Files, cases or sends that are named one by one."""


def worst(codes: Iterable[int]) -> int:
    """Return the code that tells most: no key, then no VIP, then settings, then a person."""
    found = set(codes)
    return next((code for code in (4, 5, 1, 3) if code in found), max(found, default=0))


def check(
    folder: SessionFolder,
    connect: Connect,
    overrides: Mapping[str, object],
    limits: Limits | None = None,
) -> Iterator[Finding]:
    """Look at settings, key, pipeline, files, cases and what would start, in this order."""
    try:
        settings = load(folder.root, overrides)
    except VipsyncError as error:
        yield _wrong("settings", error)
        if isinstance(error, Misread):
            yield from _wrong_besides(error, connect)
        return
    yield Finding("settings", f"{folder.settings} can be read.")
    client, found = key_of(settings, connect)
    yield found
    looked, problem = _preview(folder, client, overrides, limits)
    if problem:
        yield _wrong(_subject(problem, settings), problem)
    if looked is None:
        return
    told = _status(looked, folder)
    yield from _masked(looked, _looked_at(looked, client, told), folder)


def _wrong_besides(error: Misread, connect: Connect) -> Iterator[Finding]:
    """Say at once what the pipeline does not take either, where it can be asked for with these settings."""
    settings = error.settings
    if not settings.pipeline_id or error.keys & {"pipeline_id", "portal", "api_key"}:
        return
    client, found = key_of(settings, connect)
    if client is None:
        yield found
        return
    unread = {key.removeprefix(_PARAMETERS) for key in error.keys if key.startswith(_PARAMETERS)}
    try:
        raw = definition(client, settings.pipeline_id)
        read_sources(settings, parse_descriptor(raw, settings.pipeline_id), unread)
    except VipsyncError as more:
        yield _wrong("settings" if isinstance(more, SettingsError) else "pipeline", more)


_PARAMETERS = "input_settings."


def _status(looked: Preview, folder: SessionFolder) -> Status:
    """Return how a folder is, as `status` tells it: whatever is asked, the answers are the same."""
    return status_of(looked.snapshot, looked.plan, printable(str(folder.root)))


def _looked_at(looked: Preview, client: VipClient | None, told: Status) -> Iterator[Finding]:
    yield from _pipeline(looked, client)
    yield from _name(looked, client)
    unused = _none_used(looked, told)
    yield from _files(looked, unused)
    yield from _cases(looked)
    yield from _idle_rules(looked)
    yield from _privacy(looked)
    yield from _notices(looked, told, unused)


def _masked(
    looked: Preview, findings: Iterable[Finding], folder: SessionFolder
) -> Iterator[Finding]:
    """Yield findings in which no name of a file or a case names somebody, and advice names the folder."""
    masked = Gate(looked.snapshot).masked
    for found in findings:
        yield replace(
            found,
            subject=masked(found.subject),
            text=placed(masked(found.text), folder.root),
            remedy=placed(found.remedy, folder.root),
            details=tuple(map(masked, found.details)),
        )


def _privacy(looked: Preview) -> Iterator[Finding]:
    for line in privacy_lines(looked.snapshot):
        yield Finding(PRIVACY, line)


def _idle_rules(looked: Preview) -> Iterator[Finding]:
    """Name the ignore rules that leave nothing out: somebody may rely on them."""
    if idle := looked.idle_rules():
        yield Finding(
            "ignore",
            f"{'This rule leaves' if len(idle) == 1 else 'These rules leave'} nothing out.",
            "Paths start inside the inputs folder: write /patients.csv for inputs/patients.csv.",
            details=some(idle),
            note=True,
        )


def _subject(problem: VipsyncError, settings: Settings) -> str:
    """Say of what a look at the folder found something wrong."""
    if not isinstance(problem, FolderAbsent | SettingsError):
        return "pipeline"
    if settings.inputs.share:
        return "share"
    return "inputs" if isinstance(problem, FolderAbsent) else "settings"


def _wrong(subject: str, error: VipsyncError) -> Finding:
    return Finding(subject, error.message, error.remedy, error.exit_code)


def key_of(settings: Settings, connect: Connect) -> tuple[VipClient | None, Finding]:
    """Return a client whose key VIP knows, or why there is none."""
    try:
        client, _ = connect(settings, settings.portal, "")
        client.check_key()
    except VipsyncError as error:
        subject = "key" if error.exit_code == 4 else "portal"
        return None, _wrong(subject, error)
    return client, Finding("key", f"{settings.portal} knows it.")


def _preview(
    folder: SessionFolder,
    client: VipClient | None,
    overrides: Mapping[str, object],
    limits: Limits | None,
) -> tuple[Preview | None, VipsyncError | None]:
    """Return what can be seen, without VIP where that fails."""
    try:
        return preview(folder, client, overrides, judges=True, limits=limits), None
    except VipsyncError as error:
        if client is None:
            return None, error
        looked, _ = _preview(folder, None, overrides, limits)
        return looked, error


def _pipeline(looked: Preview, client: VipClient | None) -> Iterator[Finding]:
    snapshot = looked.snapshot
    if snapshot.settings_error:
        yield Finding("settings", snapshot.settings_error, exit_code=1)
    elif snapshot.descriptor:
        found = snapshot.descriptor
        names = ", ".join(p.name for p in found.parameters)
        text = f"{found.pipeline_id} ({found.name} {found.version}): {names}."
        before = "" if client else " This is what VIP said last time."
        yield Finding("pipeline", text + before, note=not client)
    elif snapshot.settings.pipeline_id is None:
        yield Finding("pipeline", "None: files are sent, and nothing is run.", note=True)


def _name(looked: Preview, client: VipClient | None) -> Iterator[Finding]:
    """Say whose the session's folder on VIP is, while nothing of this session is there."""
    session = looked.snapshot.state.session
    name = looked.snapshot.settings.session_name
    if client is None or session.phase is not Phase.CLOSED or session.named:
        return
    if Gate(looked.snapshot).names_somebody(name):
        return  # to ask for it would tell VIP
    home = home_of(name)
    try:
        taken = client.exists(home) and not is_ours(client, home, session.id)
    except VipsyncError as error:
        yield _wrong("session_name", error)
        return
    if taken:
        yield Finding(
            "session_name",
            f"{home} on VIP belongs to another session.",
            f'session_name = "{free_name(client, name)}" in settings.toml is free. `vipsync sessions` '
            "shows whose the other is.",
            exit_code=3,
        )


def free_name(client: VipClient, name: str) -> str:
    """Return a name that no session has on VIP: this one, or this one with a number.

    VIP is asked for all names, and not told this one: nobody knows yet whether it names somebody.
    """
    taken: set[str] = set()
    with suppress(VipsyncError):  # a new account has no folder of sessions
        above = VipPath(str(PurePosixPath(home_of(name)).parent))
        taken = {PurePosixPath(e.path).name for e in client.list_folder(above, whole=True)}
    tried = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(each for each in tried if each not in taken)


def is_ours(client: VipClient, home: str, session_id: str) -> bool:
    """Tell whether a session's folder on VIP, which must be there, carries this id."""
    names = {PurePosixPath(e.path).name for e in client.list_folder(home, whole=True)}
    return bool(session_id) and f"vipsync-{session_id}" in names


def _files(looked: Preview, none_used: Notice | None) -> Iterator[Finding]:
    snapshot = looked.snapshot
    unused = [(u.path, u.nearest) for u in snapshot.cases.unused]
    every = len(snapshot.files)
    if not every:
        yield Finding("files", "There are none in inputs/ yet.", "Put files there.", note=True)
        return
    if snapshot.settings_error or is_unread(snapshot):
        yield Finding("files", f"{every} in inputs/.")
        return
    text, remedy = f"{every} in inputs/, {_use_of(len(unused), every)}.", ""
    if unused:
        remedy = _use_them(looked)
    if none_used:
        text, remedy = none_used.text, none_used.remedy
    yield Finding(
        "files",
        text,
        remedy,
        exit_code=none_used.exit_code if none_used else 0,
        note=bool(unused),
        details=some(
            f"{path}: used by no setting{f'; the nearest pattern is {near}' if near else ''}"
            for path, near in unused
        ),
    )


def _none_used(looked: Preview, told: Status) -> Notice | None:
    """Return what is asked where there are files, and no setting uses any of them."""
    if len(looked.snapshot.cases.unused) < len(looked.snapshot.files):
        return None
    return next((n for n in told.notices if n.subject == "inputs" and n.asks), None)


def _use_of(unused: int, every: int) -> str:
    """Say how many of the files settings use: one that is used may yet be held back."""
    if not unused:
        return "used by a setting" if every == 1 else "each used by a setting"
    return "used by no setting" if every == 1 else f"{unused} of them used by no setting"


def _use_them(looked: Preview) -> str:
    """Say how files that no setting uses would be used."""
    s = looked.snapshot
    if wrong := starts_at_inputs(s.settings, s.files):
        return wrong
    line = Gate(s).masked(line_for([u.path for u in s.cases.unused], s.settings, s.cases.cases))
    if line:
        return f"This line of [input_settings] would use them: {line}"
    return "Compare their names with the patterns in settings.toml."


def _cases(looked: Preview) -> Iterator[Finding]:
    cases = looked.snapshot.cases.cases
    if not cases:
        if looked.sends or looked.unread:
            yield Finding("next", _once_resumed(looked, f"{sends_text(looked)}."))
        return
    complete = sum(case.complete for case in cases)
    waiting = [c for c in cases if not c.complete]
    yield Finding(
        "cases",
        f"{complete} of {len(cases)} complete.",
        details=(*some(map(_waits, waiting)), *_names(cases)),
    )
    if not (looked.executions or looked.sends or looked.unread):
        yield Finding("next", "Nothing would be sent or started.")
        return
    text = f"{count(looked.executions, 'execution')} with {count(looked.jobs, 'job')} would start"
    yield Finding("next", _once_resumed(looked, f"{text}; {sends_text(looked)}."))


def _once_resumed(looked: Preview, text: str) -> str:
    """Say of what would happen that it waits for a person, where the folder is paused."""
    paused = looked.snapshot.state.session.paused
    return f"Paused; after `vipsync resume DIR`: {text}" if paused else text


def _names(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return the first complete cases with what their names stand for."""
    named = [case for case in cases if case.complete and case.names]
    return some((f"{case.id}: {_bound(case)}" for case in named), 5)


def _bound(case: Case) -> str:
    return ", ".join(f"{name} = {text}" for name, text in case.names.items())


def _waits(case: Case) -> str:
    return f"{case.id}: {case.error or 'waits for ' + ', '.join(case.waits_for)}"


def sends_text(looked: Preview) -> str:
    """Say how much would be sent, and how much may be."""
    sure = f"{count(len(looked.sends), 'file')}, {size(looked.size)}, would be sent"
    unread = len(looked.unread)
    return f"{sure}; {unread:,} more if its content is new" if unread else sure


def some(lines: Iterable[str], most: int = SHOWN) -> tuple[str, ...]:
    """Return the first lines, and how many more there are."""
    every = list(lines)
    more = [f"… and {len(every) - most} more"] if len(every) > most else []
    return (*every[:most], *more)


def _notices(looked: Preview, told: Status, said: Notice | None = None) -> Iterator[Finding]:
    """Say what else is not in order; one thing may have been `said` already."""
    for warning in looked.snapshot.cases.warnings:
        yield Finding("note", warning, note=True)
    for line in misplaced(looked.snapshot.beside, looked.snapshot.among_results):
        yield Finding("note", line, MOVE, note=True)
    for notice in told.notices:
        if notice.text == looked.snapshot.settings_error or notice == said:
            continue
        code = notice.exit_code if notice.asks else 0
        yield Finding(notice.subject, notice.text, notice.remedy, code, note=True)
    same = any(notice.asks for notice in told.notices)
    starts = looked.executions or looked.sends or looked.unread  # "next" has said it
    # Who knows nothing more than that nothing was read sends people here.
    if not (same or starts or is_unread(looked.snapshot)):
        yield Finding("status", told.sentence, note=True)


# the plan


def planned(looked: Preview, folder: SessionFolder) -> Iterator[Finding]:
    """Say what would be sent, what would start, and what else the next cycle does."""
    yield from _masked(looked, _planned(looked, _status(looked, folder)), folder)


def _planned(looked: Preview, told: Status) -> Iterator[Finding]:
    sends = [f"{_source(s)} → {s.vip} ({size(s.state.size)})" for s in looked.sends]
    unread = [
        f"{path}: its time changed; it is sent if its content is new" for path in looked.unread
    ]
    nothing = not (sends or unread)
    text = "Nothing." if nothing else _once_resumed(looked, f"{sends_text(looked)}.")
    yield Finding("send", text, details=some([*sends, *unread]))
    yield from map(_packing, looked.advice)
    runs = looked.snapshot.settings.launch.nb_runs
    each = f", {runs} times each" if runs > 1 else ""
    groups = some(
        f"{count(group.jobs, 'job')}: {', '.join(some((c.id for c in group.cases), 5))}"
        for group in looked.groups
    )
    starts = f"{count(len(looked.groups), 'execution')}{each}, {count(looked.jobs, 'job')}."
    text = _once_resumed(looked, starts) if groups else "Nothing."
    yield Finding("start", text, details=groups)
    if named := _names(looked.cases):
        yield Finding("cases", f"{count(len(looked.cases), 'case')}.", details=named)
    others = [words for action in looked.plan.actions if (words := action_words(action))]
    if others:
        yield Finding("next cycle", "; ".join(dict.fromkeys(others)) + ".")
    yield from _notices(looked, told)


def _source(send: Send) -> str:
    return send.path if isinstance(send, do.SendFile) else folder_words(send.folder)


def _packing(advice: PackingAdvice) -> Finding:
    """Say how much packing would help; VIP needs its two seconds for each file, however small."""
    now, then = map(transfer_seconds, (advice.files, advice.archives))
    return Finding(
        "packing",
        f"{advice.parameter}: {advice.files:,} files take VIP about {duration(now)}; "
        f"packed they would be {count(advice.archives, 'archive')}, about {duration(then)}.",
        f"Write {advice.setting}",
    )


def action_words(action: do.Action) -> str:
    """Say what an action is for; empty for those that are told elsewhere."""
    match action:
        case do.FetchPipeline():
            return f"read the definition of {action.pipeline_id}"
        case do.LookAtHome():
            return f"look whose {action.home} is"
        case do.LookForFiles():
            return f"look into {action.folder} on VIP"
        case do.HashFile():
            return "read files whose content may have changed"
        case do.Inspect():
            return "look for identities in files that were not looked at"
        case do.Poll():
            return f"ask how {action.execution_id} is"
        case do.ListResults():
            return f"list the results of {action.execution.id}"
        case do.FetchResult():
            return f"fetch {action.local}"
        case do.FetchLogs():
            return f"fetch the logs of failed jobs of {action.execution_id}"
        case do.Kill():
            return f"stop {action.execution_id}"
        case do.RemoveTree() | do.CheckRemoved():
            return f"remove {action.path} from VIP"
        case do.Decide():
            return action.why
        case _:
            return ""
