"""What is known of one file: the rule that chooses it, its cases, where it is, what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import assert_never

from msgspec import Struct

from vipsync.cases.patterns import compile_pattern
from vipsync.model import Case, InputFile, InputFolder, InputValue, PackedFolder, RelPath
from vipsync.names import few, last, shell_word
from vipsync.plan.case_index import CaseIndex, changed_since, index_cases
from vipsync.plan.case_results import results_of
from vipsync.plan.privacy import Gate, fields_text
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.standing import CaseReport, CaseState, case_reports
from vipsync.rows import Result, ResultStatus, SendStatus, Sent, was_here
from vipsync.status.preview import Preview, sources
from vipsync.status.words import when


class Known(Struct, frozen=True):
    """What is known of one file below inputs/ or outputs/."""

    path: str
    lines: tuple[str, ...]


_OWN = {
    "settings.toml": "The settings of this session: vipsync reads them whenever they are saved.",
    "ON_VIP.txt": "It says that data are on VIP; delete it, and they are removed once all results are here.",
    "STATUS.txt": "It says what goes on here: vipsync writes it, and does not read it.",
    ".vipsyncignore": "The names that are never sent, one a line: vipsync reads it whenever it is saved.",
    "inputs/.vipsyncignore": "Names below inputs/ that are never sent, one a line.",
    ".vipsyncignore.txt": "Read as .vipsyncignore, the names that are never sent.",
    ".vipsync": "What vipsync keeps of this session: what was sent, started and fetched. Leave it as it is.",
    "outputs/results.csv": "A table of the cases and their results: vipsync writes it.",
    "outputs/session_data.json": "What other programs can read of this session: vipsync writes it.",
    "outputs/index.html": "A page that shows the results in a browser: vipsync writes it.",
}


def why_own(path: str) -> Known | None:
    """Say what a file of the session folder is that vipsync itself reads or writes; None: none."""
    below = ".vipsync" if path.startswith(".vipsync/") else path
    return Known(path, (_OWN[below],)) if below in _OWN else None


def meant(found: Preview, place: str) -> str:
    """Return the input or result that may be meant by a path at which nothing is; "" for none."""
    snapshot = found.snapshot
    results = (r.local for r in snapshot.state.results.values() if was_here(r))
    known = [*(f"inputs/{p}" for p in snapshot.files), *(f"outputs/{local}" for local in results)]
    top = place.partition("/")[0]
    among = [path for path in known if path.startswith(f"{top}/")] or known
    beside = [path for path in among if _above(path) == _above(place)] or among
    named = {last(path): path for path in beside[:_COMPARED]}
    near = get_close_matches(last(place), named, 1)
    return named[near[0]] if near and not Gate(snapshot).names_somebody(near[0]) else ""


def _above(path: str) -> str:
    return path.rpartition("/")[0]


_COMPARED = 2000
"""Names that are compared with one that is not there; more would take seconds."""


def why(found: Preview, path: RelPath) -> Known:
    """Say which cases use an input, where it lies on VIP, and what comes next for it."""
    return Known(f"inputs/{path}", tuple(_lines(found, path)))


def _lines(found: Preview, path: RelPath) -> Iterator[str]:
    snapshot = found.snapshot
    inside = [state.size for p, state in snapshot.files.items() if p.startswith(f"{path}/")]
    yield (
        f"A folder with {len(inside):,} files, {sum(inside):,} bytes."
        if inside
        else _seen(found, path)
    )
    chosen = [(case, _chosen_by(case, path)) for case in snapshot.cases.cases]
    using = [(case, parameters) for case, parameters in chosen if parameters]
    index = index_cases(snapshot)
    reports = {report.id: report for report in case_reports(snapshot, index)}
    for case, parameters in using:
        report = reports[case.id]
        yield _case_line(case, path, parameters, report)
        yield from _results_of(report)
        if path in case.own:
            yield from _earlier(case, index)
    if not using and (inside or path in snapshot.files):
        yield _unused(snapshot, path)
    packs = {
        value.path
        for case, _ in using
        for value in case.values.values()
        if isinstance(value, PackedFolder) and path in value.members
    }
    for row in snapshot.state.sent.values():
        if row.path == path or row.path in packs:
            yield _sent_line(row)
    for send in found.sends:
        if path in sources(send):
            yield f"It would be sent next, to {send.vip}."
    yield from _judged(found, path)
    if path in found.unread:
        yield "It was touched: it is read next, and sent if its content is new."


def _judged(found: Preview, path: RelPath) -> Iterator[str]:
    """Say what the privacy gate found in a file."""
    gate = Gate(found.snapshot)
    if path in found.unjudged:
        yield "It is looked at next for what names somebody, and sent if nothing does."
    elif path in found.snapshot.files and gate.kept and not gate.lets(path) and path in gate.barred:
        yield f"It may not go to VIP: {fields_text([gate.barred[path].refused])}."


def _seen(found: Preview, path: RelPath) -> str:
    snapshot = found.snapshot
    state = snapshot.files.get(path)
    if state is not None:
        known = snapshot.state.known.get(path)
        content = f", sha256 {known.sha256}" if known and known.state == state else ""
        return f"{state.size:,} bytes{content}."
    if reason := snapshot.unreadable.get(path):
        return f"Not seen: {reason}."
    if rule := found.ignored_by(path) or found.ignored_by(f"{path}/"):
        return f"Left out by the ignore rule {rule}."
    return "It is not there."


def _chosen_by(case: Case, path: RelPath) -> list[str]:
    """Return the parameters of a case for which a file or folder is sent."""
    return [name for name, value in case.values.items() if _is_or_holds(value, path)]


def _is_or_holds(value: InputValue, path: RelPath) -> bool:
    match value:
        case InputFile(path=own):
            return own == path
        case InputFolder(path=own, members=members) | PackedFolder(path=own, members=members):
            return own == path or path in members
        case _:
            return False


def _case_line(case: Case, path: RelPath, parameters: Sequence[str], report: CaseReport) -> str:
    shared = ", shared with other cases" if path in case.shared else ""
    chosen = f"{' and '.join(parameters)}{shared}"
    execution = f" in {report.execution}" if report.execution else ""
    reason = f": {report.reason}" if report.reason else ""
    return f"Case {case.id} ({chosen}): {report.state}{execution}{reason}."


def _results_of(report: CaseReport) -> Iterator[str]:
    """Say where the results of a case are, and what makes it run again."""
    if not report.results:
        return
    yield f"Its results: {few([f'outputs/{path}' for path in report.results])}."
    if report.state is CaseState.DONE:
        again = f"`vipsync rerun DIR {shell_word(report.id)}`"
        yield f"Nothing is to do: it runs again where its content changes, or with {again}."


def _earlier(case: Case, index: CaseIndex) -> Iterator[str]:
    """Say that a case runs because its files changed, and where its older results are."""
    state = index.places.s.state
    for launch, before in changed_since([case.id], index).values():
        execution = state.executions.get(launch.execution_id)
        here = results_of(before, execution, state.results) if execution else ()
        places = few([f"outputs/{result.local}" for result in here])
        stay = f"; the older results stay: {places}" if places else ""
        yield f"It changed since it ran in {launch.execution_id}, and runs as a new case{stay}."


def _unused(snapshot: Snapshot, path: RelPath) -> str:
    settings = snapshot.settings
    if settings.inputs.ready and compile_pattern(settings.inputs.ready).readings(path):
        return "It says that a case is complete ([inputs] ready), and is never sent."
    if not settings.pipeline_id:
        return "There is no pipeline_id: every file is sent, and nothing is started."
    if not snapshot.descriptor:
        return "The pipeline's definition was not read yet: `vipsync run DIR` reads it."
    nearest = next((u.nearest for u in snapshot.cases.unused if u.path == path), "")
    hint = f"; the nearest pattern is {nearest}" if nearest else ""
    all_the_same = (
        "; it is sent all the same ([inputs] upload)" if settings.inputs.upload == "all" else ""
    )
    return f"No setting of settings.toml uses it{hint}{all_the_same}."


def _sent_line(row: Sent) -> str:
    at = f" {when(row.at)}" if row.at else ""
    match row.status:
        case SendStatus.TRYING:
            return f"Last tried{at}: whether it arrived at {row.vip} is not known yet."
        case SendStatus.ANSWERED:
            return f"Sent{at} to {row.vip}; whether all of it arrived is looked at next."
        case SendStatus.SENT:
            return f"Sent{at} to {row.vip}."
        case SendStatus.WRONG:
            return f"Sent{at} to {row.vip}, where another size lies: that place is not used again."
        case SendStatus.REMOVED:
            return f"Sent{at} to {row.vip}, and removed from there with the session's data."
        case other:
            assert_never(other)


def why_result(found: Preview, path: RelPath) -> Known:
    """Say where a file or folder below outputs/ came from, and whether it is still what came."""
    state = found.snapshot.state
    mine = [
        r
        for r in state.results.values()
        if r.local and (r.local == path or path.startswith(f"{r.local}/"))
    ]
    lines = [line for result in mine for line in _result_lines(result, found.snapshot)]
    return Known(f"outputs/{path}", tuple(lines) or ("vipsync did not bring it here.",))


def _result_lines(result: Result, snapshot: Snapshot) -> Iterator[str]:
    packed = ", unpacked here" if result.unpacked else ""
    yield f"A result of {result.execution_id}: {result.vip}, {result.size:,} bytes{packed}."
    if result.status is ResultStatus.HERE and result.local not in snapshot.outputs:
        execution = snapshot.state.executions.get(result.execution_id)
        kept = execution is not None and not execution.removed
        then = "VIP still has it" if kept else "VIP no longer has it"
        yield f"State: deleted here; it came {when(result.at)}, and {then}."
        return
    reason = f": {result.reason}" if result.reason else ""
    at = f" since {when(result.at)}" if result.at else ""
    yield f"State: {result.status}{at}{reason}."
    if result.status is ResultStatus.HERE and snapshot.outputs.get(result.local) != result.stamp:
        yield "It was changed here since it came, and is left alone."
