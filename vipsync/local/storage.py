"""The disk behind `/vip`: who may touch what, and what there is (facts 3.1-3.4)."""

from __future__ import annotations

import mimetypes
import os
import posixpath
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vipsync.local.options import Level, User
from vipsync.local.refusals import UNAUTHORIZED_DATA_ACCESS, Refusal, refused

BLOCK = 1024 * 1024
ROOT = "/vip"
_GROUP = " (group)"
_ITEM, _FIELD = "##", ";"
"""What the storage service writes between the items of a message, and between the fields of an item."""


def stored_name(name: str) -> str:
    """Return the name under which VIP keeps an uploaded file or folder; may be empty (facts 3.4)."""
    trimmed = name.strip("".join(map(chr, range(0x21))))
    decomposed = unicodedata.normalize("NFKD", trimmed.replace(" ", "_"))
    return decomposed.encode("ascii", "ignore").decode("ascii")


def group_folder(group: str) -> str:
    """Return the folder that holds a group's files."""
    return group.replace(" ", "_")


@dataclass(frozen=True)
class Properties:
    """What the API tells of one path; None where it tells nothing (facts 3.1)."""

    path: str
    exists: bool
    is_directory: bool | None = None
    size: int | None = None
    modified: int | None = None
    mime_type: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the fields in the server's order."""
        return {
            "path": self.path,
            "lastModificationDate": self.modified,
            "isDirectory": self.is_directory,
            "exists": self.exists,
            "size": self.size,
            "executionId": None,
            "mimeType": self.mime_type,
        }


def _directory(path: str, size: int | None, modified: int | None = None) -> Properties:
    return Properties(path, True, True, size, modified, "text/directory")


def _file(path: str, stat: os.stat_result, dated: bool) -> Properties:
    modified = int(stat.st_mtime) if dated else None
    return Properties(path, True, False, stat.st_size, modified, _mime_type(path))


def _mime_type(path: str) -> str:
    """Return a file's type by the end of its name, as Java sees it: `.gz` is one of its own."""
    kind, coding = mimetypes.guess_type(f"x.{path.rstrip('/').rpartition('.')[2]}")
    if coding:
        kind = "application/gzip" if path.rstrip("/").endswith(".gz") else None
    return kind or "application/octet-stream"


class Storage:
    """The users' and groups' folders, on this machine's disk.

    Nothing here waits or locks: the caller serialises what changes the disk.
    """

    def __init__(self, root: Path, *, file_dates: bool = False) -> None:
        self.users = root / "users"
        self.groups = root / "groups"
        self._staging = root / "staging"
        self._nowhere = root / "nothing" / "here"
        self._file_dates = file_dates

    def prepare(self, users: list[User], groups: tuple[str, ...]) -> None:
        """Make the folders of accounts and groups; forget unfinished uploads."""
        shutil.rmtree(self._staging, ignore_errors=True)
        folders = [self._home(user) for user in users] + [self._trash(user) for user in users]
        folders += [self.groups / group_folder(group) for group in groups]
        for folder in [*folders, self._staging]:
            folder.mkdir(parents=True, exist_ok=True)

    def roots(self, user: User) -> dict[str, Path]:
        """Return the entries of `/vip` that user sees, with their folders."""
        roots = {"Home": self._home(user), "Trash": self._trash(user)}
        return roots | {f"{name}{_GROUP}": self.groups / group_folder(name) for name in user.groups}

    def find(self, user: User, path: str, *, write: bool = False) -> Path:
        """Return the file behind a virtual path that user may read, or write; raises 8013.

        What is allowed depends on the path without its dots, what is found on the path as it is: by
        another spelling of the root or of a folder in it nothing is found (facts 3.2).
        """
        if not self._is_allowed(user, posixpath.normpath(f"/{path.lstrip('/')}"), write):
            raise refused(UNAUTHORIZED_DATA_ACCESS, path)
        asked = f"/{path.lstrip('/')}"
        for name, folder in self.roots(user).items():
            below = asked.removeprefix(f"{ROOT}/{name}")
            if below != asked and below[:1] in {"", "/"}:
                return self._inside(folder / below.lstrip("/"))
        return self._nowhere

    def _inside(self, real: Path) -> Path:
        """Return a path, or one where nothing is for one that leads out of what is served."""
        resolved = Path(posixpath.normpath(real))
        served = any(map(resolved.is_relative_to, (self.users, self.groups)))
        return real if served and "\0" not in str(real) else self._nowhere

    def upload_target(self, user: User, path: str) -> Path:
        """Return where an upload to path lands: only its last part is cleaned (facts 3.4)."""
        self.find(user, path, write=True)
        parent, _, name = path.rstrip("/").rpartition("/")
        cleaned = stored_name(name)
        folder = self.find(user, parent)
        if cleaned in {"", ".", ".."} or "\n" in cleaned or not folder.is_dir():
            raise refused()
        return folder / cleaned

    def exists(self, user: User, path: str) -> bool:
        """Say whether there is something at a virtual path."""
        return is_present(self._asked(user, path, _ITEM)) or path == ROOT

    def properties(self, user: User, path: str) -> Properties:
        """Describe a virtual path; for a directory the size is its number of entries."""
        real = self._asked(user, path, _ITEM, _FIELD)
        if path == ROOT:
            return _directory(path, len(self.roots(user)))
        try:
            stat = real.stat()
            if real.is_dir():
                return _directory(path, len(self._names(real)), int(stat.st_mtime))
        except OSError:
            return Properties(path, exists=False)
        return _file(path, stat, self._file_dates)

    def entries(self, user: User, path: str) -> list[Properties]:
        """Describe what lies in a directory; raises 8000 for anything else."""
        real = self._asked(user, path, _ITEM, _FIELD)
        if path == ROOT:
            return [_directory(f"{ROOT}/{name}", None) for name in self.roots(user)]
        if not real.is_dir():
            raise refused()
        names = self._names(real)
        with os.scandir(real) as found:
            listed = {entry.name: self._entry(path, entry) for entry in found}
        return [listed[name] for name in names]

    def _is_allowed(self, user: User, normal: str, write: bool) -> bool:
        if normal == ROOT:
            return not write
        top = normal.removeprefix(f"{ROOT}/").partition("/")[0]
        if not normal.startswith(f"{ROOT}/") or top not in self.roots(user):
            return False
        beginner = user.level is Level.BEGINNER and top.endswith(_GROUP)
        return not write or (normal.count("/") > 2 and not beginner)

    def _asked(self, user: User, path: str, *marks: str) -> Path:
        """Return the file that the storage service looks at: its own marks cut a path short."""
        self.find(user, path)
        for mark in marks:
            path = path.partition(mark)[0]
        try:
            return self.find(user, path)
        except Refusal:
            return self._nowhere

    def _names(self, folder: Path) -> list[str]:
        """Return the names in a folder; raises 400 or 500 where one holds the service's own marks."""
        names = sorted(os.listdir(folder))  # noqa: PTH208
        for name in names:
            if _ITEM in name or _FIELD in name:
                raise refused(status=400 if _ITEM in name else 500)
        return names

    def _entry(self, path: str, entry: os.DirEntry[str]) -> Properties:
        below = f"{path}/{entry.name}"
        if entry.is_dir():
            return _directory(below, 0)
        return _file(below, entry.stat(follow_symlinks=False), self._file_dates)

    def readable_file(self, user: User, path: str) -> Path:
        """Return an existing file; raises 8000 for anything else."""
        real = self.find(user, path)
        seen = self._asked(user, path, _ITEM, _FIELD)
        if path.endswith("/") or not (real.is_file() and seen.is_file()):
            raise refused()
        return real

    def stage(self, body: BinaryIO) -> Path:
        """Keep a body in a private file on the same disk, copied in blocks."""
        handle, name = tempfile.mkstemp(dir=self._staging)
        with os.fdopen(handle, "wb") as staged:
            shutil.copyfileobj(body, staged, BLOCK)
        return Path(name)

    def keep(self, staged: Path, target: Path) -> None:
        """Give a staged file its name; never replaces anything, never makes parents."""
        if not target.parent.is_dir() or is_present(target):
            raise refused()
        try:
            staged.replace(target)
        except OSError as error:
            raise refused() from error

    def make_folder(self, target: Path) -> None:
        """Make a directory, or accept the one that is there; never makes parents."""
        if target.is_dir():
            return
        try:
            target.mkdir()
        except OSError as error:
            raise refused() from error

    def remove(self, target: Path) -> None:
        """Remove a file or a whole tree; what is gone already is fine."""
        with suppress(FileNotFoundError):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink()

    def _home(self, user: User) -> Path:
        return self.users / user.folder

    def _trash(self, user: User) -> Path:
        return self.users / f"{user.folder}_Trash"


def is_present(path: Path) -> bool:
    """Say whether there is something at a path, also a broken link; False for impossible names."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def blocks(source: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from start up to stop, a block at a time."""
    source.seek(start)
    while start < stop and (block := source.read(min(BLOCK, stop - start))):
        start += len(block)
        yield block
