"""Carry out one action, after looking whether what the plan expected still holds; report what was found.

Every effect is either repeatable or was written into the ledger before. Nothing here decides what
to do, tries again or waits.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, assert_never

from msgspec import Struct

from vipsync import actions as do
from vipsync.act.bandwidth import Ceiling
from vipsync.act.listing import list_results
from vipsync.act.named_files import look_for_files
from vipsync.act.pipeline import definition
from vipsync.act.results import fetch_logs, fetch_result
from vipsync.client.vip_client import LIST_LIMIT, VipClient
from vipsync.disk.digest import Digest
from vipsync.disk.files import at_once, disk_error, entered, holder, make_folder, unnamed_file
from vipsync.disk.packing import PackMember, pack
from vipsync.disk.scan import Scan
from vipsync.errors import (
    BadAnswer,
    ExecutionGone,
    GenericVipError,
    LocalFileError,
    NameTaken,
    NeverSent,
    TransferMismatch,
    Unreachable,
    VipsyncError,
)
from vipsync.folder.folder import ID_LINE, SessionFolder
from vipsync.folder.sharing import return_lease, take_lease
from vipsync.model import BLOCK, Execution, FileState, RelPath, RemoteEntry, VipPath
from vipsync.names import inside, parent
from vipsync.record.digests import members_digest

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """The program is to end: leave what is under way as it is, the next start goes on from there."""


class Tools(Struct, frozen=True):
    """What actions are carried out with. `stop` raises Stopped once the program is to end.

    `pace` waits until the next launch may start. `executions` gives the newest ones of the account, and
    when VIP was asked for them: after the given time (monotonic s). `moved` is told how many bytes of a transfer
    have passed: key, bytes so far, bytes in all. `up` and `down` are the ceilings that all
    transfers share.
    """

    folder: SessionFolder
    inputs: Path
    outputs: Path
    client: VipClient | None
    seen: Scan | None
    key_print: str = ""
    executions: Callable[[float], tuple[float, Sequence[Execution]]] = lambda _since: (0.0, ())
    stop: Callable[[], None] = lambda: None
    pace: Callable[[], None] = lambda: None
    moved: Callable[[do.Key, int, int], None] = lambda _key, _now, _all: None
    up: Ceiling = Ceiling()
    down: Ceiling = Ceiling()

    @property
    def below(self) -> Path:
        """The folder from which on no link is followed on the way to outputs/."""
        return holder(self.outputs, self.folder.root)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Open a folder on the disk of outputs/ for what is not complete yet."""
        make_folder(self.below)
        with (
            entered(self.outputs, self.below, make=True) as outputs,
            self.folder.entered_transfers() as mine,
        ):
            if outputs.stat().st_dev == mine.stat().st_dev:
                yield mine
                return
        with entered(self.outputs / ".vipsync", self.below, make=True) as elsewhere:
            yield elsewhere

    @property
    def vip(self) -> VipClient:
        """The client; an action that needs it is only planned where there is one."""
        if self.client is None:
            raise AssertionError("an action for VIP was planned without a client")
        return self.client


def act(action: do.Action, tools: Tools) -> do.Outcome:
    """Carry out an action; what went wrong is an outcome too."""
    try:
        return _act(action, tools)
    except VipsyncError as error:
        return do.Failed(error)
    except OSError as error:
        return do.Failed(disk_error(Path(error.filename or tools.folder.root), error))


def _act(action: do.Action, tools: Tools) -> do.Outcome:
    match action:
        case do.Decide():
            return do.Done()
        case do.FetchPipeline():
            return do.PipelineFetched(json.dumps(definition(tools.vip, action.pipeline_id)))
        case do.LookAtHome():
            return _look_at_home(action, tools)
        case do.Open() | do.WriteMarker():
            return _write_marker(tools)
        case do.DeleteMarker():
            tools.folder.remove(tools.folder.marker)
            return do.Done()
        case do.TakeLease() | do.ReturnLease() | do.DropLease():
            return _lease(action, tools)
        case do.MakeFolder():
            tools.vip.make_folder(action.path)
            return do.Done()
        case do.ClaimHome():
            return _claim(action, tools)
        case do.HashFile():
            return _hash(action, tools)
        case do.Inspect():
            return _inspect(action, tools)
        case do.SendFile():
            return _send(action, tools)
        case do.SendPack():
            return _send_pack(action, tools)
        case do.LookAtFolder():
            return do.FolderSeen(_entries(tools, action.path))
        case do.LookForFiles():
            return look_for_files(action, tools.vip)
        case do.StartExecution():
            return _start(action, tools)
        case do.FindExecutions():
            at, found = tools.executions(action.since)
            ours = tuple(e for e in found if action.mark in e.name.split(" "))
            whole = len(found) < LIST_LIMIT and all(e.id for e in found)
            return do.ExecutionsSeen(ours, whole=whole, at=at)
        case do.Poll():
            return _poll(action, tools)
        case do.ListResults():
            return list_results(action, tools.vip, tools.stop)
        case do.FetchResult():
            return fetch_result(action, tools)
        case do.FetchLogs():
            return fetch_logs(action, tools)
        case do.Kill():
            return _kill(action, tools)
        case do.RemoveTree():
            return _remove(action, tools)
        case do.CheckRemoved():
            return do.RemovalSeen(gone=not tools.vip.exists(action.path))
        case _:
            assert_never(action)


# the session on VIP


def _look_at_home(action: do.LookAtHome, tools: Tools) -> do.HomeSeen:
    """See whose the session's folder is; a key that VIP does not know is refused here (facts 1.4)."""
    platform = action.platform or tools.vip.platform()
    above = parent(action.home)
    entries = _entries(tools, action.home, whole=True)
    if entries is None:
        there = (above,) if tools.vip.exists(above) else ()
        return do.HomeSeen(False, (), True, (parent(above), *there), platform, tools.key_print)
    ids, folders = _ids(entries), (parent(above), above, action.home)
    empty = len(ids) == len(entries)
    return do.HomeSeen(True, ids, empty, folders, platform, tools.key_print)


def _claim(action: do.ClaimHome, tools: Tools) -> do.Done:
    """Make the folder with our id: making one that is there is no error, so this looks first (facts 3.5)."""
    entries = tools.vip.list_folder(action.home, whole=True)
    others = [entry for entry in entries if entry.path != action.path]
    if _ids(tuple(others)) or (others and not action.named):
        raise NameTaken(
            f"{action.home} on VIP belongs to another session.",
            "`vipsync check DIR` says which session_name is free; `vipsync sessions` whose the other is.",
        )
    tools.vip.make_folder(action.path)
    return do.Done()


def _ids(entries: tuple[RemoteEntry, ...]) -> tuple[str, ...]:
    names = (PurePosixPath(e.path).name for e in entries if e.is_folder)
    return tuple(sorted(n.removeprefix("vipsync-") for n in names if n.startswith("vipsync-")))


def _entries(
    tools: Tools, folder: VipPath, *, whole: bool = False
) -> tuple[RemoteEntry, ...] | None:
    """List a folder, None where it is not there: that is refused as anything else is (facts 3.10)."""
    try:
        return tools.vip.list_folder(folder, whole=whole)
    except GenericVipError:
        if tools.vip.exists(folder):
            raise
        return None


def _remove(action: do.RemoveTree, tools: Tools) -> do.Outcome:
    """Ask for a removal, after the session's folder was seen to be what the plan takes it for."""
    if not tools.vip.exists(action.path):
        return do.RemovalSeen(gone=True)
    mine = PurePosixPath(action.id_folder).name.removeprefix("vipsync-")
    ids = _ids(tools.vip.list_folder(action.home, whole=True))
    if ids != ((mine,) if action.ids is None else action.ids):
        raise NameTaken(
            f"{action.home} on VIP does not carry the id of this session alone.",
            "Nothing was removed. Look at the folder on the portal.",
        )
    try:
        tools.vip.delete(action.path)
    except NeverSent:
        raise
    except (BadAnswer, GenericVipError, Unreachable):
        # It may have been taken all the same, and one that is asked for twice can happen so late
        # that it hits what was sent since: look, as after any other answer.
        logger.info("it is not known whether VIP took the removal")
        return do.Done(sure=False)
    return do.Done()


def _write_marker(tools: Tools) -> do.Done:
    identity = tools.folder.identity()
    text = MARKER_TEXT + (f"\n{ID_LINE}{identity.id}\n" if identity else "")
    tools.folder.write(tools.folder.marker, text.encode())
    return do.Done()


def _lease(action: do.TakeLease | do.ReturnLease | do.DropLease, tools: Tools) -> do.Done:
    mine = tools.folder.identity()
    if isinstance(action, do.DropLease):
        return_lease(tools.folder, action.session_id)
    elif mine and isinstance(action, do.TakeLease):
        take_lease(SessionFolder(Path(action.lender)), tools.folder, mine.id, action.wall)
    elif mine:
        return_lease(SessionFolder(Path(action.lender)), mine.id)
    return do.Done()


MARKER_TEXT = """\
Data of this folder are on VIP.

Delete this file when you no longer need them there: vipsync waits for jobs that still run, brings
every result here, then removes the data from VIP. Your inputs and outputs on this machine stay.
STATUS.txt says what is going on.
"""


# inputs


@contextmanager
def _opened(path: Path, state: FileState) -> Iterator[BinaryIO]:
    """Open a local file that is in `state`, and raise LocalFileError unless it still is afterwards."""
    try:
        with open(path, "rb", opener=at_once) as file:
            _same(path, file, state)
            yield file
            _same(path, file, state)
    except FileNotFoundError as error:
        raise LocalFileError(f"{path} is no longer there.") from error
    except PermissionError as error:
        raise LocalFileError(
            f"{path} cannot be read.", "Give this account the right to read it."
        ) from error


def _same(path: Path, file: BinaryIO, state: FileState) -> None:
    now, there = os.fstat(file.fileno()), path.stat()
    if FileState.of(now) != state or FileState.of(there) != state:
        raise LocalFileError(f"{path} changed while it was read.", "It is sent once it is quiet.")


def _local(tools: Tools, path: RelPath) -> Path:
    return tools.inputs / (tools.seen.disk_path(path) if tools.seen else path)


def _hash(action: do.HashFile, tools: Tools) -> do.FileHashed:
    digest = hashlib.sha256()
    with _opened(_local(tools, action.path), action.state) as file:
        while block := file.read(BLOCK):
            tools.stop()
            digest.update(block)
    return do.FileHashed(digest.hexdigest())


def _inspect(action: do.Inspect, tools: Tools) -> do.FileInspected:
    """Judge a file, and hash it in the same read where nobody has."""
    from vipsync.act.inspecting import (
        Beside,
        inspected,
    )  # readers of formats are loaded when needed

    digest = hashlib.sha256()

    def see(block: bytes) -> None:
        tools.stop()
        digest.update(block)

    files: Mapping[RelPath, FileState] = tools.seen.files if tools.seen else {}
    beside = Beside(files, partial(_local, tools))
    with _opened(_local(tools, action.path), action.state) as file:
        found = inspected(action, file, beside, None if action.sha256 else see)
    return do.FileInspected(action.sha256 or digest.hexdigest(), found)


def _send(action: do.SendFile, tools: Tools) -> do.FileSent:
    """Send a file and hash what left; a file that changed meanwhile was not sent.

    The last block of another content than was judged does not leave: VIP keeps nothing of it then.
    """
    key, size, gone = do.key(action), action.state.size, 0

    def on_block(block: bytes) -> None:
        nonlocal gone
        tools.stop()
        tools.up(len(block), tools.stop)
        digest.update(block)
        gone += len(block)
        if gone == size:
            _as_judged(action.path, digest.hexdigest(), action.sha256)
        tools.moved(key, gone, size)

    with Digest() as digest, _opened(_local(tools, action.path), action.state) as file:
        if size:
            tools.vip.upload(action.vip, file, size, on_block, tools.up.piece)
        else:
            tools.vip.upload_empty(action.vip)
    return do.FileSent(digest.hexdigest())


def _as_judged(path: RelPath, content: str, judged: str) -> None:
    """Raise LocalFileError for another content than the one that may go."""
    if judged and content != judged:
        raise LocalFileError(
            f"{path} is no longer what was looked at: it was not sent.", "It is looked at again."
        )


def _send_pack(action: do.SendPack, tools: Tools) -> do.PackSent:
    """Pack a folder beside the transfers, send the archive, look at its size; leave no copy here."""
    with tools.folder.entered_transfers() as transfers, unnamed_file(transfers) as archive:
        return _packed_and_sent(action, archive, tools)


def _packed_and_sent(action: do.SendPack, archive: BinaryIO, tools: Tools) -> do.PackSent:
    base = inside(action.folder)
    members = [PackMember(p.removeprefix(base), s, _local(tools, p)) for p, s in action.members]
    folder = _local(tools, action.folder)
    root = "" if action.bare else PurePosixPath(action.folder).name
    hashes = pack(folder, members, action.kind.value, archive, root=root, stop=tools.stop)
    for path, state in action.members:
        _unchanged(_local(tools, path), state)
    content = members_digest((RelPath(base + n), h) for n, h in hashes.items())
    _as_judged(action.folder, content, action.digest)
    size = archive.seek(0, os.SEEK_END)
    _deliver(action, archive, size, tools)
    return do.PackSent(size, tuple((RelPath(base + n), h) for n, h in sorted(hashes.items())))


def _deliver(action: do.SendPack, archive: BinaryIO, size: int, tools: Tools) -> None:
    """Send an archive, unless an earlier attempt brought it there after all."""
    there = tools.vip.properties(action.vip)
    if there is None:
        key, gone = do.key(action), 0

        def on_block(block: bytes) -> None:
            nonlocal gone
            tools.stop()
            tools.up(len(block), tools.stop)
            gone += len(block)
            tools.moved(key, gone, size)

        archive.seek(0)
        tools.vip.upload(action.vip, archive, size, on_block, tools.up.piece)
        there = tools.vip.properties(action.vip)
    if there is None or there.size != size:
        raise TransferMismatch(f"{action.vip} has another size on VIP than was sent.")


def _unchanged(path: Path, state: FileState) -> None:
    try:
        same = FileState.of(path.stat()) == state
    except OSError:
        same = False
    if not same:
        raise LocalFileError(f"{path} changed while it was packed.", "It is sent once it is quiet.")


# executions


def _start(action: do.StartExecution, tools: Tools) -> do.Started:
    tools.pace()
    launch = action.launch
    values = {
        name: values[0] if len(values) == 1 else list(values)
        for name, values in launch.values.items()
    }
    return do.Started(
        tools.vip.launch(launch.name, launch.pipeline_id, values, launch.results_location)
    )


def _poll(action: do.Poll | do.Kill, tools: Tools) -> do.Polled:
    try:
        return do.Polled(tools.vip.execution(action.execution_id))
    except ExecutionGone:
        return do.Polled(None)


def _kill(action: do.Kill, tools: Tools) -> do.Polled | do.Done:
    """Stop an execution that still runs: one that has ended would count as killed ever after (facts 5.11)."""
    seen = _poll(action, tools)
    if seen.execution is None or seen.execution.status.ended:
        return seen
    tools.vip.kill(action.execution_id)
    return do.Done()
