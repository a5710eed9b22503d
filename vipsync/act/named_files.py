"""Look whether files are on VIP that settings name there, and what else they may mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vipsync import actions as do
from vipsync.errors import GenericVipError, PathForbidden
from vipsync.model import VipPath
from vipsync.names import parent

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient

_ROOT = VipPath("/vip")


def look_for_files(action: do.LookForFiles, vip: VipClient) -> do.FilesSeen:
    """List the folder, or else the deepest above it that is there: it may have the name that was meant."""
    folder = action.folder
    entries = _entries(folder, action, vip)
    while entries is None and folder != _ROOT:
        folder = parent(folder)
        entries = _entries(folder, action, vip)
    return do.FilesSeen(folder, entries or ())


def _entries(
    folder: VipPath, action: do.LookForFiles, vip: VipClient
) -> tuple[VipPath, ...] | None:
    """Return what lies in a folder; None where none is, or where this account may not look."""
    try:
        return tuple(entry.path for entry in vip.list_folder(folder))
    except PathForbidden:
        return None
    except GenericVipError:  # so it is for what is no folder, and for a name that VIP cannot list
        there = vip.properties(folder)
        if there is None or not there.is_folder:
            return None
        return tuple(path for path in action.paths if vip.exists(path))
