"""Carry out what a station's plan says: make a session folder, fill its inputs, tell it to start.

Everything here may be done twice. The export is read, and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import tomli_w

from vipsync.disk.files import (
    as_named,
    clear,
    disk_error,
    entered,
    flush_folder,
    make_folder,
    open_own,
    opened_file,
    private_folder,
    write_atomic,
)
from vipsync.errors import DiskError, FolderError, VipsyncError
from vipsync.folder.folder import SETTINGS, SessionFolder, new_id
from vipsync.model import BLOCK, Command, Request
from vipsync.settings.reading import parse
from vipsync.settings.values import session_name_of
from vipsync.station.folder import StationFolder
from vipsync.station.gate import still_named
from vipsync.station.model import StationSettings, Study
from vipsync.station.reading import content_of
from vipsync.station.settings import template_of

Files = Sequence[tuple[str, Path]]
"""Files of a place, each with its path in it."""

_HEAD = (
    "# Made by a station for one study, from its template. Change the template for the next ones.\n"
)
_PREPARE_SECONDS = 6 * 3600
_AT_ONCE = 2**30
_STUDY = ".study.part"
"""The copy that a site's own tool is given: it still says whose it is, and goes whatever happens."""


def session_settings(
    folder: StationFolder, settings: StationSettings, name: str, study: Path | None
) -> str:
    """Return the settings.toml of a study's session; `study`: the folder of the export it looks into."""
    raw: dict[str, Any] = dict(template_of(folder.root, settings))
    raw["session_name"] = session_name_of(f"{folder.root.name}-{name}")
    outputs = raw.get("outputs")
    if isinstance(outputs, dict) and isinstance(outputs.get("directory"), str):
        raw["outputs"] = outputs | {"directory": outputs["directory"].replace("{name}", name)}
    raw["launch"] = raw.get("launch", {}) | {"when": "manual"}
    raw["finish"] = {"after": settings.keep.finish} | raw.get("finish", {})
    raw["privacy"] = {"must_read": True} | raw.get("privacy", {})
    if study:
        raw["inputs"] = raw.get("inputs", {}) | {"directory": str(study)}
    text = _HEAD + tomli_w.dumps(raw)
    parse(text.encode(), name)
    return text


def make_session(folder: StationFolder, study: Study, text: str) -> None:
    """Make the folder under another name and rename it: it is there whole, or not at all."""
    place = folder.session(study.name)
    if place.settings.exists():
        return
    try:
        with entered(folder.sessions, folder.root, make=True) as sessions:
            with private_folder(sessions / f".{study.name}.part") as fresh:
                for name in ("inputs", "outputs"):
                    (fresh / name).mkdir()
                write_atomic(fresh / SETTINGS, text.encode())
            fresh.rename(sessions / study.name)
            flush_folder(sessions)
    except DiskError:
        raise
    except OSError as error:
        raise disk_error(place.root, error) from error


def point(folder: StationFolder, study: Study, text: str) -> None:
    """Let a session look into the folder in which its study lies now."""
    session = folder.session(study.name)
    write_atomic(session.settings, text.encode(), folder.root)


def fill(
    folder: StationFolder,
    settings: StationSettings,
    study: Study,
    sources: Sequence[tuple[Path, Sequence[tuple[str, Path]]]],
    stop: Callable[[], None],
) -> None:
    """Put the files of a study into its session's inputs/, by the site's own tool where it has one.

    `sources` are its places, each with its files. They come together under another name first.
    """
    session = folder.session(study.name)
    try:
        with entered(session.root, folder.root) as root:
            inputs, old, gathered = (root / name for name in ("inputs", ".inputs.old", _STUDY))
            try:
                with private_folder(root / ".inputs.part") as fresh:
                    _bring(folder, settings, session, sources, fresh, gathered, stop)
                clear(old)
                with suppress(FileNotFoundError):
                    inputs.rename(old)
                fresh.rename(inputs)
                flush_folder(root)
            finally:
                for left in (root / ".inputs.part", old, gathered):
                    with suppress(OSError):
                        clear(left)
    except DiskError:
        raise
    except OSError as error:
        raise disk_error(session.root / "inputs", error) from error


def _bring(
    folder: StationFolder,
    settings: StationSettings,
    session: SessionFolder,
    sources: Sequence[tuple[Path, Files]],
    fresh: Path,
    gathered: Path,
    stop: Callable[[], None],
) -> None:
    """Bring the files of a study into a folder that nobody else can enter meanwhile."""
    apart = _each_content_once(sources) if len(sources) > 1 else sources
    for number, (whole, files) in enumerate(apart, 1):
        part = fresh if number == 1 else fresh / f"part-{number}"
        if settings.prepare:
            _prepare(settings.prepare, whole, files, part, gathered, session, stop)
            if problem := still_named(files, part):
                raise FolderError(f"What [station] prepare made is not sent: {problem}.")
        else:
            _copy(files, part, stop)
    shared = folder.root / settings.template / "inputs"
    if shared.is_dir():
        shutil.copytree(shared, fresh, dirs_exist_ok=True)
    _flush(fresh)


def _each_content_once(
    sources: Sequence[tuple[Path, Sequence[tuple[str, Path]]]],
) -> list[tuple[Path, list[tuple[str, Path]]]]:
    """Leave out of later places what earlier ones have: a study that was sent twice is one study."""
    seen = set[str]()
    found = []
    for whole, files in sources:
        contents = {name: content_of(path, name) for name, path in files}
        fresh = [(name, path) for name, path in files if contents[name] not in seen]
        seen.update(contents.values())
        if fresh:
            found.append((whole, fresh))
    return found


def _copy(files: Sequence[tuple[str, Path]], into: Path, stop: Callable[[], None]) -> None:
    """Copy files; the disk shares their blocks where it can, so that a copy costs nothing there."""
    for name, source in files:
        stop()
        target = into / name
        make_folder(target.parent)
        _copy_file(source, target)


def _copy_file(source: Path, target: Path) -> None:
    with opened_file(source) as read, target.open("xb") as written:
        try:
            while os.copy_file_range(read.fileno(), written.fileno(), _AT_ONCE):
                pass
        except (AttributeError, OSError):  # another system, or two disks that cannot
            written.seek(0)
            read.seek(0)
            shutil.copyfileobj(read, written, BLOCK)
            written.truncate()


def _prepare(
    command: Sequence[str],
    whole: Path,
    files: Sequence[tuple[str, Path]],
    into: Path,
    gathered: Path,
    session: SessionFolder,
    stop: Callable[[], None],
) -> None:
    """Run the site's own tool with a copy of a study and an empty folder; its words go to its log.

    Some tools write into, or beside, what they read: none is told where the export is.
    """
    make_folder(into)
    clear(gathered)
    gathered.mkdir(0o700)
    copied = gathered / "study"
    _copy(files, copied, stop)
    study = copied if whole.is_dir() else copied / files[0][0]
    named = {"{study}": str(as_named(study)), "{inputs}": str(as_named(into))}
    words = [re.sub(r"\{(study|inputs)\}", lambda found: named[found[0]], word) for word in command]
    try:
        with _log_of(session) as log:
            done = subprocess.run(  # noqa: S603
                words, cwd=as_named(into), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                timeout=_PREPARE_SECONDS, check=False,
            )  # fmt: skip
    except DiskError:
        raise
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FolderError(f"[station] prepare could not be run: {type(error).__name__}.") from error
    finally:
        clear(gathered)
    if done.returncode:
        raise FolderError(
            f"[station] prepare ended with {done.returncode}.",
            f"Its words are in {session.hidden / 'prepare.log'}.",
        )
    if not any(path.is_file() for path in into.rglob("*")):
        raise FolderError("[station] prepare made no file.")


@contextmanager
def _log_of(session: SessionFolder) -> Iterator[BinaryIO]:
    """Open what a tool says for writing: for this account alone, since it may say whose study it is."""
    with (
        entered(session.hidden, session.root, make=True) as hidden,
        open_own(hidden / "prepare.log", "wb") as log,
    ):
        if hasattr(os, "fchmod"):
            os.fchmod(log.fileno(), 0o600)
        yield log


def _flush(folder: Path) -> None:
    """Have all files of a folder on disk before it gets its name (house 6.7)."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    flush_folder(folder)


def tell(folder: StationFolder, study: Study, request: str, word: str) -> None:
    """Leave a request in a session, which carries out each one once."""
    session = folder.session(study.name)
    if session.identity() is None:
        session.claim(new_id())
    if not (session.requests / f"{request}.json").exists():
        options = {"which": "outdated"} if word == Command.RERUN else {}
        session.ask(Request(request, Command(word), options=options))


def words_of(error: Exception) -> str:
    """Return what is said of something that could not be done."""
    return str(error) if isinstance(error, VipsyncError) else type(error).__name__
