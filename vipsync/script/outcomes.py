"""What a script is told of its executions: how far they are, how they ended, which jobs failed.

PURE: no I/O, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from vipsync.model import ExecutionStatus, Job, JobState
from vipsync.names import last, names_in
from vipsync.rows import Followed, JobLog, Launch, State, log_key
from vipsync.status.status import count

_NAMED = 5


def jobs_so_far(executions: Iterable[Followed]) -> str:
    """Return how many jobs of the executions that run are in which state; empty where there are none."""
    running = [e for e in executions if not (e.over or e.removed)]
    states = Counter(str(job.state) for e in running for job in e.jobs)
    if not states:
        return ""
    counts = ", ".join(f"{states[state]} {state}" for state in JobState if states[state])
    return f"{count(sum(states.values()), 'job')}: {counts}"


def how_they_ended(state: State, workflows: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return how the executions of a session ended, each once."""
    ends: dict[str, list[str]] = {}
    for id_, workflow in workflows.items():
        words = _end(str(workflow.get("status")), state.executions.get(id_))
        ends.setdefault(words, []).append(f"\t{id_}, started on: {workflow.get('start')}")
    lines = []
    for words, found in ends.items():
        everyone = len(found) == len(workflows)
        lines.append(f"{'All executions' if everyone else 'Executions'} ({len(found)}) {words}.")
        lines += [] if everyone else found
    return lines


def failed_jobs(state: State, folders: Mapping[str, str]) -> list[str]:
    """Return which jobs failed, why, and where their logs are, or how to get them.

    `folders` says where the results of each execution lie, or would, on this machine.
    """
    return [
        line
        for execution in state.executions.values()
        if not execution.removed
        for line in _failed_jobs(execution, _launch_of(execution, state), folders, state.logs)
    ]


def _end(status: str, execution: Followed | None) -> str:
    """Say how an execution ended: VIP calls one finished of which a single job went well (facts 5.8)."""
    if status == ExecutionStatus.FINISHED and execution and _failed(execution):
        return "ended, but with failed jobs"
    return _ENDS.get(status, f"ended with status: {status}")


_ENDS = {
    "Finished": "ended with success",
    "Removed": "were removed from VIP",
    "Running": "are running on VIP",
    "Unknown": "have an unknown state",
}


def _failed(execution: Followed) -> list[Job]:
    return [j for j in execution.jobs if j.state in (JobState.FAILED, JobState.HELD)]


def _launch_of(execution: Followed, state: State) -> Launch | None:
    launches = state.launches.values()
    return next((x for x in launches if x.execution_id == execution.id), None)


def _failed_jobs(
    execution: Followed,
    launch: Launch | None,
    folders: Mapping[str, str],
    logs: Mapping[str, JobLog],
) -> Iterator[str]:
    failed = _failed(execution)
    if not failed:
        return
    yield f"(!) {execution.id}: {len(failed)} of {len(execution.jobs)} jobs failed:"
    for job in failed:
        why = f"exit code {job.exit_code}: {job.exit_message}" if job.exit_message else job.status
        said = logs.get(log_key(execution.id, job.number))
        why = said.reason if said and said.reason else why
        yield f"\tjob {job.number}{_inputs(job, execution, launch, why)}: {why}"
    folder = folders.get(execution.id)
    if folder and any(job.number in execution.logs for job in failed):
        yield f"\tTheir logs are in {folder}/logs."
    elif folder and any(job.left_logs for job in failed):
        call = f'download_outputs(get_status=["{execution.status}"])'
        yield f"\t{call} brings their logs to {folder}/logs."


def _inputs(job: Job, execution: Followed, launch: Launch | None, why: str) -> str:
    """Say which inputs a failed job had: lists that VIP pairs keep their order, others do not (facts 5.4).

    Of others, the ones that its words name, else those of which no result is here.
    """
    lists = [values for values in launch.values.values() if len(values) > 1] if launch else []
    jobs = len(execution.jobs)
    if len(lists) > 1 and all(len(values) == jobs for values in lists):
        return f" ({', '.join(last(values[job.number - 1]) for values in lists)})"
    if len(lists) != 1:
        return ""
    every = list(map(last, lists[0]))
    names = [n for n in every if n in names_in(why)] or _without_result(every, execution) or every
    more = ["…"][: len(names) - _NAMED] if len(names) > _NAMED else []
    return f" ({'one of ' if names[1:] else ''}{', '.join([*names[:_NAMED], *more])})"


def _without_result(names: list[str], execution: Followed) -> list[str]:
    """Return the inputs that no result is named after."""
    came = [f"{last(path)}." for path in execution.returned]
    return [n for n in names if not any(result.startswith(f"{n}.") for result in came)]
