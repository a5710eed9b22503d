"""Results in outputs/: which there are, and one of them opened, by nothing that leads out of there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from msgspec import Struct

MOST = 2000
"""Files of one execution that are looked at."""

_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_TEXTS = (".txt", ".csv", ".tsv", ".log", ".json", ".toml", ".md", ".table", ".coord", ".out")
_PDF = "application/pdf"
_OTHER = "application/octet-stream"
_BEGINNINGS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    _PDF: (b"%PDF-",),
}


class Shown(Struct, frozen=True):
    """One file below outputs/; `kind` is its media type by its name. Size in bytes."""

    path: str
    name: str
    size: int
    kind: str

    @property
    def is_picture(self) -> bool:
        """True for what a page can show as a picture."""
        return self.kind.startswith("image/")


def kind_of(name: str) -> str:
    """Return the media type that a name promises; what a browser would run is none of them."""
    suffix = PurePosixPath(name.lower()).suffix
    if suffix in _TEXTS:
        return "text/plain"
    return _PDF if suffix == ".pdf" else _PICTURES.get(suffix, _OTHER)


def results_in(outputs: Path, folder: str) -> tuple[list[Shown], bool]:
    """Return the files of an execution, and whether there are more than are looked at."""
    found: list[Shown] = []
    root = inside(outputs, folder)
    for shown in _walk(root, outputs.resolve()) if root else ():
        if len(found) == MOST:
            return found, True
        found.append(shown)
    return sorted(found, key=lambda shown: shown.path), False


def _walk(folder: Path, outputs: Path) -> Iterator[Shown]:
    """Yield the files below a folder; links are not followed, and what is hidden is passed over."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.isprintable():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path), outputs)
                elif entry.is_file(follow_symlinks=False):
                    path = Path(entry.path).relative_to(outputs).as_posix()
                    size = entry.stat(follow_symlinks=False).st_size
                    yield Shown(path, entry.name, size, kind_of(entry.name))
    except OSError:
        return


def inside(outputs: Path, path: str) -> Path | None:
    """Return where a path below outputs/ lies, links resolved; None for what is not inside."""
    parts = PurePosixPath(path).parts
    if not parts or "\0" in path or "\\" in path or any(p in ("..", "/") for p in parts):
        return None
    try:
        root = outputs.resolve()
        found = root.joinpath(*parts).resolve()
    except (OSError, RuntimeError):
        return None
    return found if found != root and found.is_relative_to(root) else None


def opened(outputs: Path, path: str) -> tuple[BinaryIO, str, int] | None:
    """Open a regular file inside outputs/; return it with its type, on which name and content agree, and its size.

    Its path is resolved first, then walked without following any link, so that none can be put in
    the way meanwhile.
    """
    found = inside(outputs, path)
    if found is None:
        return None
    try:
        file = _open_without_links(outputs.resolve(), found)
    except OSError:
        return None
    try:
        return file, _kind(file, found.name), os.fstat(file.fileno()).st_size
    except OSError:
        file.close()
        return None


def _open_without_links(root: Path, found: Path) -> FileIO:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if os.open not in os.supports_dir_fd:
        return _regular(os.open(found, flags), found)
    *folders, name = found.relative_to(root).parts
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            before, at = at, os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(before)
        return _regular(os.open(name, flags, dir_fd=at), found)
    finally:
        os.close(at)


def _regular(handle: int, found: Path) -> FileIO:
    """Return an open file; raise OSError for a folder, a pipe or a device."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{found} is no file")
    return os.fdopen(handle, "rb", buffering=0)


def _kind(file: FileIO, name: str) -> str:
    """Return the media type of a file; one whose beginning is not of that type is just bytes."""
    kind = kind_of(name)
    beginnings = _BEGINNINGS.get(kind)
    head = file.read(8)
    file.seek(0)
    return kind if beginnings is None or head.startswith(beginnings) else _OTHER
