"""Unpack results that come from outside into one new folder: all that is sound, or nothing.

What is a trap keeps an archive packed. What is only odd, as a link to nowhere, is left out and named.
The archive alone decides which is which, never what else is on this machine.

For the editor of this file:
- Everything is written below a fresh folder in `staging`, renamed when all of it is on the disk.
- Names are checked against all names before them, and before anything is made.
- Links come last, when each regular file is there: nothing is ever written through a link.
"""

from __future__ import annotations

import ctypes
import errno
import os
import posixpath
import re
import secrets
import shutil
import tarfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from vipsync.disk.files import as_named, give_to_group, is_shared
from vipsync.disk.tarstream import TarReader, looks_like_tar, nothing, opened, read
from vipsync.errors import ArchiveRefused, DiskError, VipsyncError

__all__ = ["DEFAULT_LIMITS", "Limits", "Unpacked", "disk_errors", "looks_like_tar", "unpack"]

_BLOCK = 2**20
_CHAIN_MOST = 40  # links that follow each other, as the kernel counts them
_PART_MOST = 255  # bytes of one name on every usual disk
_LATEST = 4_102_444_800  # 2100-01-01, in seconds
_FEW = 32  # so many files and folders are flushed one by one
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_BAD_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BAD_ON_WINDOWS = re.compile(
    r'[<>:"\\|?*]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d) *(\.|$)', re.IGNORECASE
)
_NO_UTF_8 = re.compile(r"[\udc80-\udcff]")
_ODD_MOST = 1000  # members that may be left out
_STAYS = "It stays packed."
_TRY_AGAIN = "Work goes on when that is mended."


class Limits(Struct, frozen=True):
    """Say how much one archive may become.

    `entries` counts files, links and folders, also those that are only part of a name. `size` and
    `spared` are bytes. `ratio` is unpacked to packed size, looked at beyond `spared` bytes: the
    images of FSL and FreeSurfer stay below 10, bare masks of floats reach 300, a gzip bomb has 1000.
    """

    entries: int = 1_000_000
    size: int = 2**40
    ratio: int = 500
    spared: int = 100 * 2**20
    depth: int = 64

    def allowance(self, packed: int) -> int:
        """Return how many bytes an archive of `packed` bytes may become."""
        return min(self.size, max(self.spared, self.ratio * packed))


DEFAULT_LIMITS = Limits()


class Unpacked(Struct, frozen=True):
    """Count what was unpacked: files (links to files are some too), and the bytes that were written.

    `without` names each member that was left out, and says what it is.
    """

    files: int
    size: int
    without: tuple[tuple[str, str], ...] = ()


def unpack(
    archive: Path,
    target: Path,
    staging: Path,
    limits: Limits = DEFAULT_LIMITS,
    stop: Callable[[], None] = nothing,
) -> Unpacked:
    """Make `target` of a tar archive (plain, gzip, bzip2 or xz), complete and flushed, or nothing.

    `staging` is a folder on the disk of `target`. `stop` is called between blocks; what it raises
    ends the work. Files become 0644, programs and folders 0755, less the umask.
    Raise ArchiveRefused for content that is damaged or not to be trusted, DiskError where this
    machine is in the way, LocalFileError where the archive cannot be read, FileExistsError where
    `target` exists: nothing is ever replaced.
    """
    _refuse_replacing(target)
    with disk_errors(staging), _fresh_folder(staging) as fresh:
        tree = _Tree(
            fresh / "tree", limits, stop, shared=is_shared(staging)
        )  # one below, since `fresh` is private: 0700
        with opened(archive) as file:
            tree.fill(TarReader(file, stop))
        _flush_tree(tree)
        _require_whole(tree)
        _place(tree.root, target)
    return Unpacked(tree.files, tree.size, tuple(tree.without.items()))


@contextmanager
def _fresh_folder(staging: Path) -> Iterator[Path]:
    """Give a folder that goes with all that is in it; what cannot be deleted is a leftover.

    tempfile.TemporaryDirectory calls itself without end where deleting is not permitted.
    """
    fresh = staging / f"unpack-{secrets.token_hex(8)}"
    fresh.mkdir(0o700)  # nobody else puts a link among what is written there
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


class _Tree:
    """Write the members of one archive below a fresh folder."""

    def __init__(
        self, root: Path, limits: Limits, stop: Callable[[], None], *, shared: bool
    ) -> None:
        self.root = root
        self.files = self.size = 0
        self.without: dict[str, str] = {}
        self.names = _Names(limits.entries)
        self._limits = limits
        self._stop = stop
        self._allowance = 0
        self._shared = shared

    def fill(self, reader: TarReader) -> None:
        """Write everything; raise ArchiveRefused at the first thing that must not be."""
        self._allowance = self._limits.allowance(reader.packed_size)
        self.root.mkdir()
        self._shared = self._shared and give_to_group(self.root)
        empty = True
        for member in reader.members():
            empty = False
            with _named_clash(member.name):
                try:
                    self._add(member, reader)
                except _Odd as odd:
                    self._leave_out(member.name, odd, reader.pass_over())
        if empty:
            raise ArchiveRefused("The archive is empty.", _STAYS)
        for name, link in self.names.links.items():
            self._stop()
            with _named_clash(name):
                try:
                    self._add_link(name, link)
                except _Odd as odd:
                    self._leave_out(name, odd)
        if self.without and not self.files:
            raise ArchiveRefused("The archive has no file that can be unpacked.", _STAYS)

    def _leave_out(self, name: str, odd: _Odd, passed: int = 0) -> None:
        """Go on without a member; what it holds counts all the same."""
        self.without.setdefault(_plain(name), str(odd))
        self._count(name, passed)
        if len(self.without) > _ODD_MOST:
            raise _refused(name, f"is one more than {_ODD_MOST} that are odd")

    def _add(self, member: tarfile.TarInfo, reader: TarReader) -> None:
        name = _checked_name(member.name, self._limits.depth)
        link = _link_of(member, name)
        if link is None and not (member.isreg() or member.isdir()):
            raise _refused(member.name, _WHAT.get(member.type, "is of an unknown kind"))
        if _NO_UTF_8.search(name):
            raise _Odd("a name that is no UTF-8")
        if member.isdir():
            self._make_folders(self.names.add_folder(name))
        elif not name or member.name.endswith("/"):
            raise _refused(member.name, "is named like a folder, but is none")
        elif link is None:
            self._add_file(name, member, reader)
        elif not self.names.repeats(name, link):
            self._make_folders(self.names.add_link(name, link))

    def _add_file(self, name: str, member: tarfile.TarInfo, reader: TarReader) -> None:
        if member.sparse is not None:
            raise _Odd("a sparse file")
        self._make_folders(self.names.add_file(name))
        mode = 0o777 if member.mode & 0o100 else 0o666
        self._write(name, member.size, reader.body(member), mode, member.mtime)

    def _add_link(self, name: str, link: _Link) -> None:
        target = self.names.followed(name)
        if target in self.names.folders:
            if not _made_symlink(self._path(name), name, target):
                raise _Odd("a link to a folder, which this disk cannot hold")
        elif link.hard or not _made_symlink(self._path(name), name, target):
            self._copy(target, name)
        else:
            self.files += 1

    def _copy(self, original: str, name: str) -> None:
        with opened(Path(self._path(original))) as file:
            status = os.fstat(file.fileno())
            blocks = iter(lambda: memoryview(read(file, _BLOCK)), b"")
            self._write(name, status.st_size, blocks, status.st_mode & 0o777, status.st_mtime)

    def _write(
        self, name: str, size: int, blocks: Iterable[memoryview], mode: int, mtime: float
    ) -> None:
        self.files += 1
        self._count(name, size)
        path = self._path(name)
        descriptor = os.open(path, _CREATE, mode)
        try:
            for block in blocks:
                self._stop()
                _write_all(descriptor, block)
        finally:
            os.close(descriptor)
        if self._shared:
            give_to_group(Path(path))
        seconds = _sane_time(mtime)
        with suppress(OSError):  # some network disks keep no times, which is no reason to stop
            os.utime(path, (seconds, seconds))

    def _count(self, name: str, size: int) -> None:
        self.size += size
        if self.size > self._allowance:
            raise _refused(name, f"makes it more than {self._allowance} bytes, too many to trust")

    def _make_folders(self, names: list[str]) -> None:
        for name in names:
            os.mkdir(self._path(name))  # noqa: PTH102  # a Path costs more than the call
            if self._shared:
                give_to_group(Path(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


_WHAT = {
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a named pipe",
}


class _Odd(Exception):
    """A member that does no harm where it is left out: what it is."""


def _write_all(descriptor: int, block: memoryview) -> None:
    while block:
        block = block[os.write(descriptor, block) :]


def _made_symlink(path: str, name: str, target: str) -> bool:
    """Return whether a link relative to its own folder could be made on this disk."""
    relative = posixpath.relpath(f"/{target}", f"/{_parent(name)}")
    try:
        os.symlink(Path(relative), path)  # noqa: PTH211
    except (OSError, NotImplementedError):
        return False
    return True


def _sane_time(mtime: float) -> float:
    if mtime > _LATEST:
        return _LATEST
    return mtime if mtime > 0 else 0  # also for "not a number"


# Names


class _Link(Struct, frozen=True):
    target: str
    hard: bool

    def lead(self, name: str) -> str:
        """Return where the link of this name leads by its text alone; ".." stays where it leads out."""
        here = "" if self.hard else _parent(name)
        return posixpath.normpath(posixpath.join(here, self.target))


def _link_of(member: tarfile.TarInfo, name: str) -> _Link | None:
    """Return a member's link, None for what is none; raise ArchiveRefused for one that leads out."""
    if not (member.issym() or member.islnk()):
        return None
    link = _Link(member.linkname, member.islnk())
    lead = link.lead(name)
    if f"{lead}/".startswith("../") or (link.hard and lead.startswith("/")):
        raise _refused(member.name, "is a link that leads out of the folder")
    return link


class _Names:
    """Hold every name of an archive; refuse those that no disk could hold side by side."""

    def __init__(self, most: int) -> None:
        self.folders = {""}
        self.links: dict[str, _Link] = {}
        self._most = most
        self._spelled: dict[str, str] = {}  # folded name → name

    def __len__(self) -> int:
        return len(self._spelled)

    def add_folder(self, name: str) -> list[str]:
        """Return the folders that are new by this, the outermost first; a repeated one is none."""
        new: list[str] = []
        while name not in self.folders:
            self._claim(name)
            self.folders.add(name)
            new.insert(0, name)
            name = _parent(name)
        return new

    def add_file(self, name: str) -> list[str]:
        """Return the folders that are new by this file, the outermost first."""
        new = self.add_folder(_parent(name))
        self._claim(name)
        return new

    def add_link(self, name: str, link: _Link) -> list[str]:
        """Return the folders that are new by this link, the outermost first."""
        self.links[name] = link
        return self.add_file(name)

    def _claim(self, name: str) -> None:
        folded = _folded(name)
        other = self._spelled.get(folded)
        if other == name:
            raise _refused(name, "is there twice")
        if other is not None:
            raise _refused(name, f"differs from {_shown(other)} only in case or way of writing")
        if len(self) >= self._most:
            raise _refused(name, f"is above the limit of {self._most} files and folders")
        self._spelled[name if folded == name else folded] = name  # one string less to remember

    def repeats(self, name: str, link: _Link) -> bool:
        """Tell whether a link says again what is there: so GNU tar writes what was named twice."""
        itself = link.hard and link.lead(name) == name
        return self.links.get(name) == link or (itself and self._is_claimed(name))

    def is_file(self, name: str) -> bool:
        """Tell whether a regular file of the archive has this name."""
        return self._is_claimed(name) and name not in self.links

    def _is_claimed(self, name: str) -> bool:
        return name not in self.folders and self._spelled.get(_folded(name)) == name

    def followed(self, link: str) -> str:
        """Return the regular file, or the folder, that a link leads to in the end."""
        name, hard = link, False
        for _ in range(_CHAIN_MOST):
            hard = hard or self.links[name].hard
            name = self._pointed(name)
            if name not in self.links:
                break
        else:
            raise _Odd("a link that leads to no end")
        if (
            name in self.folders
            and not hard
            and not f"{link}/".startswith(f"{name}/" if name else "")
        ):
            return name
        if not self.is_file(name):
            raise _Odd("a link to nothing that is in the archive")
        return name

    def _pointed(self, name: str) -> str:
        # Each folder on the way must be a real one, also before "..", as the kernel would walk it.
        link = self.links[name]
        if link.target.startswith("/"):
            raise _Odd("a link to a place outside the archive")
        at = [] if link.hard or not _parent(name) else _parent(name).split("/")
        for part in link.target.split("/"):
            if "/".join(at) not in self.folders:
                raise _Odd("a link to nothing that is in the archive")
            if part == "..":
                at.pop()
            elif part not in ("", "."):
                at.append(part)
        return "/".join(at)


def _checked_name(raw: str, depth: int) -> str:
    """Return a member's name as a plain relative path, "" for the archive's own top."""
    if not raw or raw.startswith("/"):
        raise _refused(raw, "has an absolute name, or none")
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if len(parts) > depth:
        raise _refused(raw, f"lies more than {depth} folders deep")
    for part in parts:
        if part == "..":
            raise _refused(raw, "leads out of the folder")
        if disk_refuses(_NO_UTF_8.sub("?", part)):
            raise _refused(raw, "has a name that a disk cannot hold")
    return "/".join(parts)


def disk_refuses(part: str, *, windows: bool = os.name == "nt") -> bool:
    """Return whether one part of a name is impossible, or a trap, on the disks of this system."""
    return (
        _BAD_TEXT.search(part) is not None
        or len(part.encode()) > _PART_MOST
        or (windows and _BAD_ON_WINDOWS.search(part) is not None)
    )


def _folded(name: str) -> str:
    """Return what names have in common that some disk takes for the same."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _refused(name: str, reason: str) -> ArchiveRefused:
    return ArchiveRefused(f"Member {_shown(name)} {reason}.", _STAYS)


def _plain(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}")


# The disk


def _flush_tree(tree: _Tree) -> None:
    """Bring everything below the tree to the disk.

    A flush for each of 10,000 files takes longer than unpacking them, one for the whole disk does
    not; for a few files the latter could wait for what other programs have written.
    """
    if len(tree.names) > _FEW and _flushed_disk_of(tree.root):
        return
    for folder, _, files in os.walk(tree.root):
        for name in files:
            _flush(Path(folder, name))
        _flush(Path(folder))


def _require_whole(tree: _Tree) -> None:
    """Raise DiskError where what was written is no longer all there: somebody tidied up here."""
    found = sum(len(files) for _, _, files in os.walk(tree.root))
    if found != tree.files:
        raise DiskError(
            f"{tree.files - found} files went while an archive was unpacked in {tree.root}.",
            "It is unpacked again.",
        )


def _flushed_disk_of(folder: Path) -> bool:
    """Return whether the system could flush a whole file system (Linux), errors included."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return bool(syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    if path.is_symlink() or (os.name == "nt" and path.is_dir()):
        return  # Windows flushes no folders
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # some network disks flush no folders
            raise
    finally:
        os.close(descriptor)


def _refuse_replacing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Something is in the way", str(target))


def _place(root: Path, target: Path) -> None:
    """Rename a folder; what appears meanwhile at `target` stays, unless it is an empty folder."""
    _refuse_replacing(target)
    try:
        root.rename(target)
    except OSError as exc:
        if exc.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, "Something is in the way", str(target)) from exc
        raise
    _flush(target.parent)


@contextmanager
def _named_clash(name: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError as exc:
        raise _refused(name, "is the same as another one on this disk") from exc
    except OSError as exc:
        if exc.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
            raise _refused(name, "has a name that this disk cannot hold") from exc
        raise


_DISK_REASONS = {
    errno.ENOSPC: ("The disk is full", "Make room on it."),
    errno.EDQUOT: ("Your share of the disk is used up", "Make room in it."),
    errno.EROFS: ("The disk is read-only", "Make it writable."),
    errno.EACCES: ("Writing is not permitted", "Give this account the right to write there."),
    errno.EPERM: ("Writing is not permitted", "Give this account the right to write there."),
    errno.EFBIG: ("The disk cannot hold so large a file", "Use another disk, or lift the limit."),
}


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Translate what the system says about writing."""
    try:
        yield
    except (VipsyncError, FileExistsError):
        raise
    except OSError as exc:
        fallback = (f"Writing failed ({exc.strerror})", "Look after the disk.")
        reason, remedy = _DISK_REASONS.get(exc.errno or 0, fallback)
        raise DiskError(f"{reason}: {as_named(place)}.", f"{remedy} {_TRY_AGAIN}") from exc
