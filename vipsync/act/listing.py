"""List what an execution has left on VIP: to a bounded depth and number, odd entries and all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from vipsync import actions as do
from vipsync.errors import ForeignPath, GenericVipError
from vipsync.model import Odd, RemoteEntry, VipPath

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient

logger = logging.getLogger(__name__)

DEEPEST = 32
"""Folders of results in one another: a tree that is deeper has no end."""

MOST_FOLDERS = 10_000
"""Folders of one execution's results: each is one request."""

MOST_FILES = 1_000_000
"""Files and folders of one execution's results."""


def list_results(
    action: do.ListResults, vip: VipClient, stop: Callable[[], None]
) -> do.ResultsListed:
    """List the results folder to its depth, and the returned files that lie elsewhere.

    A folder that is not looked into is an odd entry itself.
    """
    execution = action.execution
    found: dict[VipPath, RemoteEntry] = {}
    if execution.results_folder:
        _walk(execution.results_folder, vip, stop, found)
    inside = f"{execution.results_folder}/"
    elsewhere = [path for path in execution.returned if not path.startswith(inside)]
    for path in elsewhere[:MOST_FOLDERS]:
        stop()
        entry = _returned(path, vip)
        if entry and not entry.is_folder:
            found[path] = entry
    for path in elsewhere[MOST_FOLDERS : MOST_FOLDERS + 1]:
        found[path] = RemoteEntry(path, is_folder=False, odd=Odd.MANY)
    return do.ResultsListed(tuple(found[path] for path in sorted(found)))


def list_tree(top: VipPath, vip: VipClient) -> list[RemoteEntry]:
    """List the files in a folder and below it; a folder that is not looked into is an odd entry."""
    found: dict[VipPath, RemoteEntry] = {}
    _walk(top, vip, lambda: None, found)
    return [found[path] for path in sorted(found)]


def _walk(
    top: VipPath, vip: VipClient, stop: Callable[[], None], found: dict[VipPath, RemoteEntry]
) -> None:
    pending, looked = [(top, 1)], 0
    while pending:
        stop()
        folder, depth = pending.pop()
        if looked >= MOST_FOLDERS or len(found) + len(pending) >= MOST_FILES:
            found[folder] = RemoteEntry(folder, is_folder=True, odd=Odd.MANY)
            return
        if depth > DEEPEST:
            found[folder] = RemoteEntry(folder, is_folder=True, odd=Odd.DEEP)
            continue
        looked += 1
        for entry in _entries(folder, vip):
            if entry.is_folder and not entry.odd:
                pending.append((entry.path, depth + 1))
            else:
                found[entry.path] = entry


def _entries(folder: VipPath, vip: VipClient) -> list[RemoteEntry]:
    """List a folder; nothing where it is not there: that is refused as anything else is (facts 3.10)."""
    try:
        return vip.everything_in(folder)
    except GenericVipError:
        if vip.exists(folder):
            raise
        return []


def _returned(path: VipPath, vip: VipClient) -> RemoteEntry | None:
    """Return what lies at a path that a job has returned; nothing can lie at one that is none."""
    try:
        return vip.described(path)
    except ForeignPath:
        logger.warning("a job has returned something that is no path on VIP")
        return None
