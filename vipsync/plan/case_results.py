"""Which results belong to which case, and under which names its files went. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from vipsync.errors import NameRefused
from vipsync.model import RelPath, VipPath
from vipsync.names import last, vip_relpath
from vipsync.plan.snapshot import Snapshot
from vipsync.rows import Followed, Launch, LaunchedCase, Result, ResultStatus


def results_of(
    mine: LaunchedCase,
    execution: Followed,
    results: Mapping[VipPath, Result],
    status: ResultStatus = ResultStatus.HERE,
) -> tuple[Result, ...]:
    """Return what is here of the results that a case was to write, or of what else became of them."""
    returned = _by_name(execution.returned)
    wanted = (returned.get(last(e.name)) for e in mine.expected if e.name is not None)
    found = (results.get(vip) for vip in wanted if vip is not None)
    return tuple(r for r in found if r and r.status is status)


def cases_of(result: Result, snapshot: Snapshot) -> frozenset[str]:
    """Return the cases that a result may be of, none where nothing is known of its launch."""
    state = snapshot.state
    execution = state.executions.get(result.execution_id)
    launches = state.launches.values()
    launch = next((x for x in launches if x.execution_id == result.execution_id), None)
    if launch is None or execution is None:
        return frozenset()
    mine = (c.id for c in launch.cases if result in results_of(c, execution, state.results))
    return frozenset(mine) or frozenset(c.id for c in launch.cases)


@lru_cache(maxsize=64)  # the same paths are asked for once for each case of an execution
def _by_name(paths: tuple[VipPath, ...]) -> Mapping[str, VipPath]:
    return MappingProxyType({last(path): path for path in paths})


def cleaned_names(mine: LaunchedCase, launch: Launch) -> tuple[tuple[RelPath, str], ...]:
    """Return the own files of a case that VIP could not hold under their names, each with the name it got."""
    return tuple(
        (path, sent)
        for path, _ in mine.own
        if (sent := _on_vip(path)) not in ("", path) and _was_sent(sent, mine, launch)
    )


def _on_vip(path: RelPath) -> str:
    """Return the name that a file gets on VIP; "" where only a person can give it one."""
    try:
        return vip_relpath(path)
    except NameRefused:
        return ""


def _was_sent(name: str, mine: LaunchedCase, launch: Launch) -> bool:
    values = (v for some in (*launch.values.values(), mine.values.values()) for v in some)
    return any(value.endswith(f"/{name}") for value in values)
