"""What is to be followed on VIP and fetched from there: executions, results, logs of failed jobs.

outputs/ never loses anything: what a person changed is theirs, what is missing as a whole comes
back, what vanished from VIP stays here. PURE: no I/O, no clock.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec

from vipsync import actions as do
from vipsync.disk.globs import ignore_spec
from vipsync.errors import ForeignPath, VipsyncError
from vipsync.model import ExecutionStatus, JobState, RelPath, VipPath, replace
from vipsync.names import few, last, local_name, relpath, shell_word
from vipsync.plan.case_results import cases_of
from vipsync.plan.draft import Draft, Level
from vipsync.plan.memory import LIST_AGAIN
from vipsync.plan.snapshot import Snapshot
from vipsync.plan.transfer_limits import hours_or_minutes, with_room
from vipsync.rows import UNREADABLE, Followed, Phase, Result, ResultStatus, log_key

FIRST_LOOKS = 5.0
"""Seconds between polls until an execution has said where its results go."""

LATE_WRITERS = 120.0
"""Seconds for which a killed execution, or a transfer without an answer, may still write (facts 5.11, 3.5)."""


LOOK_FOR_LATE = 10.0
"""Seconds between lists of results while one is missing that its execution has returned."""


def plan_following(draft: Draft) -> None:
    """Add the polls that are due, the lists of ended executions, and the logs of failed jobs."""
    again = _listed_again(draft.s)
    for execution in draft.s.state.executions.values():
        if execution.removed:
            continue
        if execution.gone:
            _list_what_stayed(draft, execution)
            continue
        if not execution.status.ended:
            _poll(draft, execution)
            if execution.kill_wanted:
                kill(draft, execution)
        elif not execution.listed and wanted(execution, draft.s):
            _list_at_end(draft, execution)
        if draft.s.memory.returned.get(execution.id, 0) != len(execution.returned):
            draft.add(do.ListResults(execution))
        elif execution.listed and (again is None or execution.id in again):
            _list_again(draft, execution)
        _fetch_logs(draft, execution)


def _listed_again(snapshot: Snapshot) -> set[str] | None:
    """Return the executions that are listed anew for what VIP lists oddly; None for all, while open."""
    if snapshot.state.session.phase is Phase.OPEN:
        return None
    return {r.execution_id for r in snapshot.state.results.values() if r.odd}


def _list_what_stayed(draft: Draft, execution: Followed) -> None:
    """List the results once of an execution that VIP has forgotten: its files may be there (facts 5.12)."""
    if execution.results_folder and not execution.listed and wanted(execution, draft.s):
        draft.add(do.ListResults(execution))


def _list_again(draft: Draft, execution: Followed) -> None:
    """List the results of an execution once an hour: a file may have got another size."""
    memory = draft.s.memory
    due = memory.listed_at.get(execution.id, memory.home_at) + LIST_AGAIN
    if draft.s.now >= due:
        draft.add(do.ListResults(execution))
    else:
        draft.wait(due, lasting=True)


def kill(draft: Draft, execution: Followed) -> None:
    """Stop an execution that was seen running in this process: an ended one would change (facts 5.11)."""
    seen = execution.id in draft.s.memory.polled_at
    if seen and not execution.over and not execution.killed_by_us:
        draft.add(do.Kill(execution.id))


def _poll(draft: Draft, execution: Followed) -> None:
    """Poll every refresh_time, sooner while the results folder is not known."""
    refresh = draft.s.settings.monitor.refresh_time
    every = refresh if execution.results_folder else min(refresh, FIRST_LOOKS)
    last = draft.s.memory.polled_at.get(execution.id)
    stuck = _needs_person(draft, execution)
    if last is None or draft.s.now >= last + every:
        draft.add(do.Poll(execution.id))
    else:
        draft.wait(last + every, lasting=stuck)


def _list_at_end(draft: Draft, execution: Followed) -> None:
    """List the results folder once nothing can come any more.

    After a kill the status may flip and jobs may still write (facts 5.11): wait, look again.
    """
    if execution.status is ExecutionStatus.KILLED:
        condition = f"killed {execution.id}"
        if not draft.wait_for(condition, LATE_WRITERS):
            return
        settled_at = draft.s.memory.since[condition] + LATE_WRITERS
        if draft.s.memory.polled_at.get(execution.id, -1.0) < settled_at:
            draft.add(do.Poll(execution.id))
            return
    if execution.results_folder is None and execution.id not in draft.s.memory.polled_at:
        draft.add(do.Poll(execution.id))  # it was found in a list, which names no folder
        return
    memory, listed_at = draft.s.memory, draft.s.memory.listed_at.get(execution.id)
    lacking = memory.returned.get(execution.id) == len(execution.returned)
    if listed_at is not None and lacking and draft.s.now < listed_at + LOOK_FOR_LATE:
        draft.wait(listed_at + LOOK_FOR_LATE)  # the last list lacked what was returned
    else:
        draft.add(do.ListResults(execution))


def _needs_person(draft: Draft, execution: Followed) -> bool:
    """Say which executions will not go on by themselves (facts 5.5, 7.6)."""
    held = [j.number for j in execution.jobs if j.state is JobState.HELD]
    active = any(j.state in (JobState.QUEUED, JobState.RUNNING) for j in execution.jobs)
    after = draft.s.settings.monitor.stall_after
    quiet = draft.s.wall - execution.changed_at
    if held and not execution.killed_by_us:
        done = sum(j.state is JobState.DONE for j in execution.jobs)
        text = f"{done} jobs are done, {len(held)} held: VIP gave up on job {held[0]}."
    elif after and quiet >= after:
        text = f"Nothing has changed for {hours_or_minutes(quiet)}."
    else:
        return False
    draft.notice(
        Level.PERSON,
        execution.id,
        text,
        f"Ask VIP's support to release it, or stop it with {_cancel(draft, execution)}.",
    )
    return not (held and active)


def _cancel(draft: Draft, execution: Followed) -> str:
    """Return what stops an execution, with the name of its case where it has one alone."""
    launches = draft.s.state.launches.values()
    mine = [c.id for x in launches if x.execution_id == execution.id for c in x.cases]
    if len(mine) == 1:
        return f"`vipsync cancel DIR {shell_word(mine[0])}`"
    return "`vipsync cancel DIR CASE`; `vipsync status DIR` lists the cases"


def wanted(execution: Followed, snapshot: Snapshot) -> bool:
    """Tell whether the results of an execution are to be mirrored."""
    statuses = snapshot.settings.outputs.get_status
    return not statuses or execution.status in statuses


def is_mirrored(result: Result, execution: Followed, snapshot: Snapshot) -> bool:
    """Tell whether the settings want a result on this machine."""
    return wanted(execution, snapshot) and not left_out(result, snapshot)


def left_out(result: Result, snapshot: Snapshot) -> bool:
    """Tell whether `only` or `ignore` of [outputs] keep a result from being mirrored."""
    outputs, name = snapshot.settings.outputs, last(result.vip)
    if outputs.only and not _patterns(outputs.only).match_file(name):
        return True
    return bool(outputs.ignore) and _patterns(outputs.ignore).match_file(name)


@lru_cache(maxsize=64)
def _patterns(lines: tuple[str, ...]) -> GitIgnoreSpec:
    return ignore_spec(lines)


def results_name(execution: Followed, snapshot: Snapshot) -> str:
    """Return the folder below outputs/ for what belongs to an execution but to no result."""
    if execution.results_folder is None:
        return execution.id
    try:
        return local_path(execution.results_folder, execution, snapshot)
    except VipsyncError:
        return execution.id


def local_path(vip: VipPath, execution: Followed, snapshot: Snapshot) -> RelPath:
    """Return where a result lies below outputs/; raise ForeignPath where it has no place there.

    The session's output tree is mirrored; what lies elsewhere on VIP goes below the id of its
    execution.
    """
    root = snapshot.state.session.vip_output_dir.rstrip("/") + "/"
    elsewhere = f"{execution.id}/{PurePosixPath(vip).name}"
    path = relpath(vip.removeprefix(root) if vip.startswith(root) else elsewhere)
    return RelPath("/".join(local_name(p, windows=snapshot.windows) for p in path.split("/")))


def _fetch_logs(draft: Draft, execution: Followed) -> None:
    failed = (j.number for j in execution.jobs if j.left_logs)
    for job in failed:
        if job not in execution.logs or log_key(execution.id, job) not in draft.s.state.logs:
            folder = RelPath(f"{results_name(execution, draft.s)}/logs")
            draft.add(do.FetchLogs(execution.id, job, folder))


def plan_results(draft: Draft) -> None:
    """Add the results that are not here, the biggest first; say what was changed here and what cannot come."""
    s = draft.s
    fetches: list[do.FetchResult] = []
    unreadable: list[str] = []
    for result in s.state.results.values():
        execution = s.state.executions.get(result.execution_id)
        if result.status is ResultStatus.HERE:
            stamp = s.outputs.get(result.local)
            if result.reason:
                but = "without" if result.unpacked else "packed:"
                text = f"outputs/{result.local} is here, but {but} {result.reason}"
                draft.notice(Level.INFO, result.local, text, exit_code=0)
            if stamp == result.stamp:
                continue
            if stamp == UNREADABLE:
                unreadable.append(f"outputs/{result.local}")
                continue
            if stamp is not None and result.local in s.changing:
                draft.wait(s.changing[result.local])
                continue
            if stamp is not None:
                _say_changed(
                    draft, result, is_on_vip=execution is not None and not execution.removed
                )
                continue
        elif result.status is ResultStatus.REFUSED:
            _say_refused(draft, result)
            continue
        elif result.status is ResultStatus.LET_GO:
            continue
        if execution is None or execution.removed:
            continue
        if is_mirrored(result, execution, s):
            fetches += _fetch(draft, result, execution)
    for fetch in with_room(draft, sorted(fetches, key=lambda f: (-f.size, f.vip))):
        draft.add(fetch)
    if unreadable:
        text = f"This account cannot look at what lies here: {few(unreadable)}."
        draft.notice(Level.PERSON, "outputs", text, "Give it the right to, or move that away.")


def _say_changed(draft: Draft, result: Result, *, is_on_vip: bool) -> None:
    """Say that a result is no longer as it came, and how the rest of it comes back, which ends with VIP's data."""
    part = ", or a part of it deleted" if result.unpacked else ""
    text = f"outputs/{result.local} was changed on this machine{part}: it is left alone."
    again = "To have it again as it came, move all of it away; VIP still has it."
    if not is_on_vip:
        case = shell_word(min(cases_of(result, draft.s), default="CASE"))
        again = f"VIP no longer has it; to have it again as it came: `vipsync rerun DIR {case}`."
    draft.notice(Level.INFO, result.local, text, again, exit_code=0)


def _fetch(draft: Draft, result: Result, execution: Followed) -> list[do.FetchResult]:
    """Return what brings a result here; say why where nothing does."""
    outputs, limit = draft.s.settings.outputs, _largest(draft.s)
    if limit is not None and result.size > limit:
        _say_too_large(draft, result, limit)
        return []
    try:
        local = result.local or local_path(result.vip, execution, draft.s)
    except ForeignPath as error:
        _say_refused(draft, replace(result, reason=error.message))
        return []
    return [do.FetchResult(result.vip, result.size, local, outputs.unzip, outputs.keep_archive)]


def _largest(snapshot: Snapshot) -> int | None:
    """Return the bytes of the largest result that VIP lets through; None where that is not known."""
    home = snapshot.memory.home
    return home.platform.max_download if home else None


def cannot_come(result: Result, snapshot: Snapshot) -> bool:
    """Tell whether VIP, this machine or a limit stands in the way of a result."""
    if result.status is not ResultStatus.WANTED:
        return result.status is ResultStatus.REFUSED
    limit = _largest(snapshot)
    if limit is not None and result.size > limit:
        return True
    if do.Key(do.FetchResult, result.vip) in snapshot.memory.attempts:
        return True
    try:
        local_path(result.vip, snapshot.state.executions[result.execution_id], snapshot)
    except ForeignPath:
        return True
    return False


def _say_too_large(draft: Draft, result: Result, limit: int) -> None:
    draft.notice(
        Level.PERSON,
        result.vip,
        f"It has {result.size:,} bytes; VIP lets through {limit:,} at most.",
        "Ask VIP's support for it, or let it go with "
        f"`vipsync finish DIR --without {shell_word(_called(result))}`.",
    )


def _called(result: Result) -> str:
    """Return how a person tells a result from those of the same name: with the folder it is in."""
    path = PurePosixPath(result.vip)
    return f"{path.parent.name}/{path.name}"


def _say_refused(draft: Draft, result: Result) -> None:
    draft.notice(
        Level.PERSON,
        result.vip,
        f"It cannot come: {result.reason}",
        f"Let it go with `vipsync finish DIR --without {shell_word(_called(result))}`.",
    )


def open_results(snapshot: Snapshot) -> list[Result]:
    """Return the results on VIP that are wanted and not, or not as VIP shows them, on this machine."""
    executions = snapshot.state.executions
    return [
        r
        for r in snapshot.state.results.values()
        if r.status in (ResultStatus.WANTED, ResultStatus.REFUSED)
        and (e := executions.get(r.execution_id)) is not None
        and not e.removed
        and wanted(e, snapshot)
        and not left_out(r, snapshot)
    ]
