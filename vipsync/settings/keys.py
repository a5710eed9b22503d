"""Where the API key comes from. It is read when it is needed, and shown, logged or copied nowhere."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_config_path

from vipsync.errors import KeyMissing
from vipsync.model import Secret, Settings
from vipsync.names import shell_word

KEY_VARIABLE = "VIP_API_KEY"
"""Environment variable that holds the key where settings.toml names no other."""

REMEDY = f"Run `vipsync login`, or set {KEY_VARIABLE} in the environment."

_VARIABLE = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
_LIKE_A_KEY = re.compile(r"[0-9a-v]{20,40}|(?=.*\d)[0-9A-Za-z+=.-]{20,}")
_ONE_KEY = re.compile(r"[!-~]{1,512}")
_LONGEST_FILE = 4096

_log = logging.getLogger(__name__)


def looks_like_key(text: str) -> bool:
    """Say whether this could be a key: VIP's are about 26 characters of [0-9a-v] (facts 1.1)."""
    return bool(_LIKE_A_KEY.fullmatch(text.strip()))


def key_source(value: object) -> str:
    """Accept the name of a variable or an absolute path; ValueError, never with the value in it."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be the name of an environment variable, or the path of a file")
    if looks_like_key(value):
        raise ValueError(
            "looks like a key itself. Run `vipsync login` and remove this line: a key in the "
            "folder is copied with it. If others may have seen it, make a new one on the portal"
        )
    if not _VARIABLE.fullmatch(value) and not _path(value).is_absolute():
        raise ValueError(
            "is neither the name of an environment variable nor a path that begins with / or ~"
        )
    return value


def key_path(settings: Settings) -> Path | None:
    """Return the file that the settings name, None where they name a variable."""
    return None if _VARIABLE.fullmatch(settings.api_key) else _path(settings.api_key)


def api_key(
    settings: Settings,
    environ: Mapping[str, str],
    config_dir: Path | None = None,
    key_file: Path | None = None,
) -> Secret:
    """Find the key: `key_file`, then what the settings name, then VIP_API_KEY, then the kept one.

    A file or a variable that is named and not there raises KeyMissing: another key could belong
    to another account. The kept key is only ever used for the portal that it was kept for.
    """
    if path := key_file or key_path(settings):
        return _read(path)
    if text := environ.get(settings.api_key):
        return _one_key(text, "The environment variable that holds the key")
    if settings.api_key != KEY_VARIABLE:
        raise _variable_missing(settings.api_key)
    kept = kept_path(settings.portal, config_dir)
    if not kept.exists():
        raise KeyMissing(f"No API key for {settings.portal}.", REMEDY)
    return _read(kept)


def kept_path(portal: str, config_dir: Path | None = None) -> Path:
    """Return the file in which `vipsync login` keeps the key of this portal."""
    host = re.sub(r"[^0-9a-z.-]", "_", urlsplit(portal).netloc.lower())
    return (config_dir or _own_folder()) / f"api_key-{host}"


def _own_folder() -> Path:
    """Return the folder of this account's settings: a key must not lie where one happens to be."""
    with suppress(RuntimeError):
        if (folder := user_config_path("vipsync")).is_absolute():
            return folder
    raise KeyMissing(
        "This account has no home folder where its API key could be kept.",
        f"Set {KEY_VARIABLE} in the environment, or HOME.",
    )


def keep_api_key(key: Secret, portal: str, config_dir: Path | None = None) -> Path:
    """Keep a key for this portal in a file that only its owner can read; return the file."""
    checked = _one_key(key.reveal(), "What was given")
    path = kept_path(portal, config_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".api_key-", dir=path.parent)  # 0600 from the start
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(checked.reveal() + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _path(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:  # no home folder is known
        return Path(value)


def _read(path: Path) -> Secret:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_LONGEST_FILE)
    except OSError as error:
        raise KeyMissing(f"No key in {path}: {error.strerror}.", REMEDY) from None
    if os.name == "posix" and mode & 0o077:
        _log.warning("Other people may read %s. Mend it with: chmod 600 %s", path, shell_word(path))
    return _one_key(data.decode("utf-8-sig", "replace"), str(path))


def _one_key(text: str, where: str) -> Secret:
    key = text.strip()
    if not _ONE_KEY.fullmatch(key):
        raise KeyMissing(f"{where} is not one key on one line.", REMEDY)
    return Secret(key)


def _variable_missing(name: str) -> KeyMissing:
    # Only what has the looks of a variable's name is repeated: it may be a key put there by mistake.
    shown = name if name.isupper() else "that api_key names"
    return KeyMissing(
        f"The environment variable {shown} is not set.",
        f"Set it, or remove api_key from {Settings.SOURCE} to use the key of `vipsync login`.",
    )
