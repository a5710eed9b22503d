"""Hold a session folder: its lock, the lease of this host on a network disk, its open ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from vipsync.disk.scan import network_file_system
from vipsync.folder.adoption import marked_id, take_script_session
from vipsync.folder.folder import HostLease, SessionFolder, new_id
from vipsync.record.ledger import Ledger
from vipsync.rows import Changes, SendStatus, Session


@dataclass(frozen=True)
class Hold:
    """A folder in which no other process works until `release`."""

    id: str
    ledger: Ledger
    lease: HostLease | None
    taken: ExitStack

    def renew(self) -> None:
        """Tell other hosts that this one is still at work in the folder."""
        if self.lease:
            self.lease.renew()

    def release(self) -> None:
        """Let the folder go; a second time does nothing."""
        self.taken.close()


def take(folder: SessionFolder, known_id: str, wall: Callable[[], float]) -> Hold:
    """Take a folder; give it an id where it has none. `known_id`: it must still have this one.

    Raise FolderCopied, FolderHeld, FolderAbsent or DiskError.
    """
    if known_id:
        folder.require(known_id)  # an empty mount point must never become a new session
    take_script_session(folder)
    folder.check_place()
    mine = folder.identity() or folder.claim(marked_id(folder) or new_id())
    with ExitStack() as stack:
        stack.enter_context(folder.held())
        lease = None
        if network := network_file_system(folder.hidden):
            lease = HostLease(folder.hidden, wall)
            stack.enter_context(lease.held())
        ledger = Ledger(folder.ledger, Session(mine.id), network_disk=network)
        stack.callback(ledger.close)
        _note_unanswered(ledger, wall())
        return Hold(mine.id, ledger, lease, stack.pop_all())


def _note_unanswered(ledger: Ledger, now: float) -> None:
    """Write down that transfers ended without an answer where the process ended before they did."""
    if any(row.status is SendStatus.TRYING for row in ledger.state.sent.values()):
        ledger.commit(Changes(put=(replace(ledger.state.session, unanswered_at=now),)))
