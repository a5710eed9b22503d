"""Bring results and logs of failed jobs to outputs/: whole and verified, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Literal, Protocol

from vipsync import actions as do
from vipsync.act.bandwidth import Ceiling
from vipsync.client.decoding import decoded
from vipsync.client.vip_client import LogStream, VipClient
from vipsync.disk.archive import unpack
from vipsync.disk.files import (
    LARGE,
    clear,
    open_own,
    opened_file,
    read_small,
    share,
    write_atomic,
)
from vipsync.disk.mirror import candidates, place, stamp
from vipsync.disk.tarstream import looks_like_tar
from vipsync.errors import ArchiveRefused, BadAnswer, DiskError, ForeignPath, TransferMismatch
from vipsync.model import BLOCK, RelPath, VipPath
from vipsync.names import ARCHIVE_NAMES, few
from vipsync.record.job_log import words_of

ARCHIVES = ".archives"
LEFT_OUT = "UNPACKED-WITHOUT.txt"
_LIST_HEAD = (
    "What could not be unpacked of the archives in this folder. They are kept as they came, each\n"
    f"under the same path below {ARCHIVES} in the folder of the results.\n"
)
_LISTING = Lock()  # transfers end at the same time, and share one list


class Bench(Protocol):
    """What fetching needs of the tools."""

    @property
    def outputs(self) -> Path:
        """The folder of the results."""

    @property
    def vip(self) -> VipClient:
        """The client."""

    @property
    def stop(self) -> Callable[[], None]:
        """Raise where the program is to end."""

    @property
    def moved(self) -> Callable[[do.Key, int, int], None]:
        """Take note of progress: key, bytes so far, bytes in all."""

    @property
    def down(self) -> Ceiling:
        """How fast bytes may come, over all transfers."""

    @property
    def below(self) -> Path:
        """The folder from which on no link is followed on the way to outputs/."""

    def staging(self) -> AbstractContextManager[Path]:
        """Open a folder on the disk of outputs/ for what is not complete yet."""


def fetch_result(action: do.FetchResult, bench: Bench) -> do.ResultHere:
    """Download a result, check its size, unpack it where it is a tar archive, put it in place."""
    with _nameable(action.local, bench), bench.staging() as staging:
        part = staging / part_name(action.vip, action.size)
        _drop_others(part)
        _download(action, part, bench)
        return _placed(action, part, bench)


@contextmanager
def _nameable(local: RelPath, bench: Bench) -> Iterator[None]:
    """Let a name that this disk cannot hold be the fault of that result alone, before it comes."""
    try:
        for part in local.split("/"):
            with suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(bench.outputs / part)
        yield
    except OSError as error:  # with `.vip` at its end, it may be too long too
        _refuse_name(local, error)
        raise


def _refuse_name(local: RelPath, error: OSError) -> None:
    cause = error.__cause__ if isinstance(error, DiskError) else error
    if isinstance(cause, OSError) and cause.errno in _NO_NAME:
        raise ForeignPath(
            f"The disk of outputs/ cannot hold a name like {local[-60:]!r}: {cause.strerror}.",
            "It stays on VIP until it is fetched on the portal, under another name.",
        ) from error


_NO_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})


def _placed(action: do.FetchResult, part: Path, bench: Bench) -> do.ResultHere:
    target = bench.outputs / action.local
    reason = ""
    if action.unpack and looks_like_tar(part):
        try:
            return _unpacked(action, part, target, bench)
        except ArchiveRefused as error:
            reason = str(error)
    elif action.unpack and action.vip.lower().endswith(ARCHIVE_NAMES):
        reason = "it is no archive that can be read, whatever its name says."
    return _here(place(part, target, bench.below), bench, unpacked=False, reason=reason)


def part_name(vip: VipPath, size: int) -> str:
    """Return how an unfinished download is called: one of another size is of another content."""
    return f"{hashlib.sha256(vip.encode()).hexdigest()[:24]}-{size}.part"


def _drop_others(part: Path) -> None:
    """Delete what is left of other attempts at the same file, and what is no file under its name."""
    for other in part.parent.glob(f"{part.name.partition('-')[0]}-*.part"):
        if other != part or not stat.S_ISREG(other.lstat().st_mode):
            clear(other)


def _download(action: do.FetchResult, part: Path, bench: Bench) -> None:
    """Make `part` the whole file; go on from where an earlier attempt was cut."""
    there = part.stat().st_size if part.exists() else 0
    if there > action.size:
        part.unlink()
        there = 0
    if there < action.size or not there:  # an empty file is asked for too: a list may be wrong
        _append(action, part, there, bench)
    size = part.stat().st_size
    if size != action.size:
        if size > action.size:
            part.unlink()
        raise _other_size(action, size)


def _other_size(action: do.FetchResult, came: int) -> TransferMismatch:
    return TransferMismatch(
        f"{action.vip}: {came:,} bytes come instead of {action.size:,}.", "It is asked for again."
    )


def _append(action: do.FetchResult, part: Path, offset: int, bench: Bench) -> None:
    key = do.key(action)

    def told(came: int) -> None:
        bench.moved(key, min(came, action.size), action.size)

    with (
        _begun_anew(part, offset),
        bench.vip.download(action.vip, offset, action.size) as download,
    ):
        if download.coding:
            came = part.with_suffix(".came.part")
            _save(_paced(download.blocks, bench), came, "wb", bench, told)
            _take_encoded(action, came, part, download.coding, bench)
        elif download.size != action.size:  # before any of it fills the disk
            raise _other_size(action, download.size)
        else:
            _save(_paced(download.blocks, bench), part, "ab", bench, told)


def _paced(blocks: Iterable[bytes], bench: Bench) -> Iterator[bytes]:
    """Take no more from the line than the ceiling lets through."""
    for block in blocks:
        bench.down(len(block), bench.stop)
        yield block


def _save(
    blocks: Iterable[bytes],
    path: Path,
    mode: Literal["wb", "ab"],
    bench: Bench,
    told: Callable[[int], None] = lambda _: None,
) -> None:
    with open_own(path, mode) as file:
        share(path)  # another account may go on with it
        for block in blocks:
            bench.stop()
            file.write(block)
            told(file.tell())
        file.flush()
        os.fsync(file.fileno())


def _take_encoded(
    action: do.FetchResult, came: Path, part: Path, coding: str, bench: Bench
) -> None:
    """Make `part` of what a proxy says that it encoded: what is in it, or itself, as the size tells."""
    inside, size = part.with_suffix(".inside.part"), came.stat().st_size
    try:
        with opened_file(came) as file:
            blocks = decoded(iter(lambda: file.read(BLOCK), b""), coding)
            _save(_hardly_more(blocks, action.size), inside, "wb", bench)
        if inside.stat().st_size == action.size:
            came = inside
    except BadAnswer:
        if size != action.size:
            raise
    if came.stat().st_size != action.size:
        raise _other_size(action, size)
    came.replace(part)
    _drop_others(part)


def _hardly_more(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield no more than it takes to see that there are more bytes than `size`."""
    for block in blocks:
        yield block
        size -= len(block)
        if size < 0:
            return


@contextmanager
def _begun_anew(part: Path, offset: int) -> Iterator[None]:
    """Let the next attempt begin at the beginning where the server cannot go on from here."""
    try:
        yield
    except TransferMismatch:
        if offset and part.stat().st_size == offset:
            part.unlink()
        raise


def _unpacked(action: do.FetchResult, part: Path, target: Path, bench: Bench) -> do.ResultHere:
    tree = part.with_suffix(".tree")
    clear(tree)  # left by a stop between unpacking and placing
    unpacked = unpack(part, tree, part.parent, stop=bench.stop)
    here = place(tree, target, bench.below)
    reason = _say_left_out(unpacked.without, here, action.local, bench) if unpacked.without else ""
    if action.keep_archive or reason:
        place(part, bench.outputs / ARCHIVES / action.local, bench.below)
    else:
        part.unlink()
    return _here(here, bench, unpacked=True, reason=reason)


def _say_left_out(
    without: Sequence[tuple[str, str]], here: Path, local: RelPath, bench: Bench
) -> str:
    """Name beside a result the members that it was unpacked without; return that in few words."""
    lines = ["", f"{here.name} was unpacked without:"]
    lines += [f"  {name}: {what}" for name, what in without]
    text = "\n".join([*lines, ""])
    with _LISTING:
        path, before = _list_beside(here)
        if text not in before:
            write_atomic(path, f"{before}{text}".encode(), bench.below)
    names = few([f"{name} ({what})" for name, what in without])
    return f"{names}; see {path.name} beside it. The archive is in outputs/{ARCHIVES}/{local}."


def _list_beside(here: Path) -> tuple[Path, str]:
    """Return the list of what was left out, and what it says; a file of others by its name stays."""
    head = _LIST_HEAD.encode()
    for path in candidates(here.with_name(LEFT_OUT)):
        if not os.path.lexists(path):
            return path, _LIST_HEAD
        content = b""
        with suppress(OSError):
            content = read_small(path, LARGE)
        if content.startswith(head):
            return path, content.decode(errors="replace")
    raise AssertionError("names never end")


def _here(path: Path, bench: Bench, *, unpacked: bool, reason: str = "") -> do.ResultHere:
    local = RelPath(path.relative_to(bench.outputs).as_posix())
    return do.ResultHere(local, unpacked, stamp(path) or "", reason)


def fetch_logs(action: do.FetchLogs, bench: Bench) -> do.LogsHere:
    """Write what VIP keeps of a failed job's words beside the results; return what it said last."""
    streams: tuple[LogStream, LogStream] = ("stdout", "stderr")
    texts = {s: bench.vip.job_log(action.execution_id, action.job, s) or "" for s in streams}
    words = words_of(texts["stdout"], texts["stderr"])
    telling_first = sorted(streams, key=lambda stream: stream != words.stream)
    files = tuple(_log_here(action, s, texts[s], bench) for s in telling_first if texts[s])
    return do.LogsHere(files, words.reason, words.said)


def _log_here(action: do.FetchLogs, stream: LogStream, text: str, bench: Bench) -> RelPath:
    local = RelPath(f"{action.folder}/job-{action.job}.{stream}.txt")
    with _nameable(local, bench), bench.staging() as staging:
        fresh = staging / f"{action.execution_id}-{action.job}.{stream}"
        write_atomic(fresh, text.encode())
        here = place(fresh, bench.outputs / local, bench.below)
    return RelPath(here.relative_to(bench.outputs).as_posix())
