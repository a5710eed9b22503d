"""Hold a session folder: its lock, the lease of this host on a network disk, its open ledger."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from vipsync.disk.files import read_document
from vipsync.disk.scan import network_file_system
from vipsync.errors import DiskError, FolderAbsent, HeldElsewhere
from vipsync.folder.adoption import marked_id, take_script_session
from vipsync.folder.claims import note_claim, refuse_claimed
from vipsync.folder.folder import Identity, SessionFolder, new_id
from vipsync.folder.guarding import Number, numbers, only_writer, refuse_replaced
from vipsync.model import replace
from vipsync.record.ledger import Ledger
from vipsync.rows import Changes, SendStatus, Session


class Hold(Struct, frozen=True):
    """A folder in which no other process works until `release`."""

    id: str
    ledger: Ledger
    lease: HostLease | None
    taken: ExitStack
    held: Mapping[Path, Number] = {}

    def renew(self) -> None:
        """Tell other hosts that this one is still at work; raise FolderAbsent where it is no longer alone."""
        refuse_replaced(self.held)
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
    mine = folder.identity() or _claimed(folder)
    note_claim(folder, mine.id)
    with ExitStack() as stack:
        stack.enter_context(folder.held())
        lease = None
        if network := network_file_system(folder.hidden):
            lease = HostLease(folder, wall)
            stack.enter_context(lease.held())
        else:
            stack.enter_context(only_writer(folder.ledger))
        ledger = Ledger(folder.ledger, Session(mine.id), network_disk=network)
        stack.callback(ledger.close)
        _note_unanswered(ledger, wall())
        held = numbers((folder.lock, folder.ledger))
        return Hold(mine.id, ledger, lease, stack.pop_all(), held)


def _claimed(folder: SessionFolder) -> Identity:
    """Give a folder the id that its marker bears, or a new one; raise FolderCopied for another's."""
    marked = marked_id(folder)
    if marked:
        refuse_claimed(folder, marked)
    return folder.claim(marked or new_id())


def _note_unanswered(ledger: Ledger, now: float) -> None:
    """Write down that transfers ended without an answer where the process ended before they did."""
    if any(row.status is SendStatus.TRYING for row in ledger.state.sent.values()):
        ledger.commit(Changes(put=(replace(ledger.state.session, unanswered_at=now),)))


class _AtWork(Struct, frozen=True):
    """What a host says in its lease; `at` in UTC seconds."""

    host: str
    at: float


class HostLease:
    """Keep other hosts out of a folder on a network disk, where locks cannot be relied on.

    Each host that works there writes its name and the time every minute; a name that is older
    than five minutes no longer counts.
    """

    EVERY = 60.0
    COUNTS_FOR = 300.0

    def __init__(self, folder: SessionFolder, wall: Callable[[], float]) -> None:
        self._folder, self._path, self._wall = folder, folder.hidden / "host.json", wall
        self._host, self._at = socket.gethostname(), 0.0
        self._written = (self._host, 0.0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lease; raise FolderHeld where another host has it."""
        if host := self.other():
            raise HeldElsewhere(
                f"vipsync on {host} already works in {self._folder.root}.",
                "Stop it there first; the folder is free then, or five minutes after a machine that went off.",
            )
        self.renew()
        try:
            yield
        finally:
            with suppress(DiskError):
                if self._is_mine():
                    self._folder.remove(self._path)

    def other(self) -> str:
        """Return the other host that has it, empty where none has."""
        host, at = self._read()
        counts = host != self._host and abs(self._wall() - at) < self.COUNTS_FOR
        return host if counts else ""

    def renew(self) -> None:
        """Write the time down, once a minute; raise FolderAbsent where another host has written since.

        It may have come while this machine slept, or in the same moment.
        """
        if abs(self._wall() - self._at) >= self.EVERY:
            if self._at and not self._is_mine():
                raise FolderAbsent(
                    f"vipsync on {self._read()[0]} has taken {self._folder.root} over.",
                    "Stop it there, or here: one machine at a time works in a folder.",
                )
            self._at = self._wall()
            self._written = (self._host, self._at)
            document = json.dumps({"host": self._host, "at": self._at})
            self._folder.write(self._path, document.encode())

    def _is_mine(self) -> bool:
        """Tell whether nobody else has written since; what cannot be read is nobody's."""
        return self._read() in (self._written, (self._host, 0.0))

    def _read(self) -> tuple[str, float]:
        with suppress(OSError, ValueError, RecursionError):
            told = read_document(self._path, _AtWork)
            return told.host, told.at
        return self._host, 0.0


def is_worked_in(folder: SessionFolder) -> bool | None:
    """Tell whether a process works in a folder, here or on another host; None where that is hidden."""
    try:
        return folder.is_held() or bool(HostLease(folder, time.time).other())
    except DiskError:
        return None
