"""What is said of an error that nobody expected: what this machine refuses, or the line to report a fault with."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path

from platformdirs import user_log_path

from vipsync.disk.files import unreadable
from vipsync.errors import FolderAbsent, VipsyncError
from vipsync.settings import keys

_SHORTEST_SECRET = 12


def trouble_of(error: Exception) -> VipsyncError:
    """Return what to say of an error; a fault of ours has its traceback written to a file."""
    return _refused_here(error) or _fault(error)


def _refused_here(error: Exception) -> VipsyncError | None:
    """Say what this machine refuses in whatever it was asked; None for what is a fault of ours."""
    if isinstance(error, PermissionError):
        return unreadable(Path(error.filename or "."), error)
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return FolderAbsent("The folder that you are in is gone.", "Go to another one with `cd`.")
    return None


def _fault(error: Exception) -> VipsyncError:
    """Write the traceback to a file, and return the line to paste into a report."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
    text = _without_secrets("".join(traceback.format_exception(error)))
    log = _write_log(text)
    return VipsyncError(f"A fault in vipsync: {where}; log: {log}", "Please report this line.")


def _without_secrets(text: str) -> str:
    key = os.environ.get(keys.KEY_VARIABLE, "")
    plain = text.replace(key, "[key]") if len(key) >= _SHORTEST_SECRET else text
    return " ".join("[key]" if keys.looks_like_key(word) else word for word in plain.split(" "))


def _write_log(text: str) -> Path:
    name = f"fault-{time.strftime('%Y%m%d-%H%M%S')}.log"
    for find in (partial(user_log_path, "vipsync"), tempfile.gettempdir):
        try:  # there may be no home folder, none for what is temporary, and none where one is
            folder = Path(find())
            if folder.is_absolute():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, "utf-8", "replace")
                return folder / name
        except (OSError, RuntimeError):
            continue
    return Path(os.devnull)
