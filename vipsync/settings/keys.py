"""Where the API key comes from. It is read when it is needed, and shown, logged or copied nowhere."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from platformdirs import user_config_path

from vipsync.disk.files import at_once, write_private
from vipsync.errors import KeyMissing
from vipsync.model import PORTAL, Secret, Settings

KEY_VARIABLE = "VIP_API_KEY"
"""Environment variable that holds the key where settings.toml names no other."""

PORTAL_VARIABLE = "VIP_PORTAL_URL"
"""Environment variable that names the portal where neither settings.toml nor an option does."""

REMEDY = f"Run `vipsync login`, or set {KEY_VARIABLE} in the environment."

_VARIABLE = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
_LIKE_A_KEY = re.compile(r"[0-9a-v]{20,40}|(?=.*\d)[0-9A-Za-z+=.-]{20,}")
_ONE_KEY = re.compile(r"(?!.*://)[!-~]{1,512}")  # an address may hold a password, and is no key
_LONGEST_FILE = 4096

_log = logging.getLogger(__name__)


def looks_like_key(text: str) -> bool:
    """Say whether this could be a key: VIP's are about 26 characters of [0-9a-v] (facts 1.1)."""
    return bool(_LIKE_A_KEY.fullmatch(text.strip()))


def is_variable(text: str) -> bool:
    """Tell whether this could be the name of an environment variable."""
    return bool(_VARIABLE.fullmatch(text))


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


class Keys(Struct, frozen=True):
    """Where keys may come from, and the portals that a person has named: those alone are sent one.

    A key belongs to one portal. settings.toml may be anybody's: it chooses among what is here, and
    makes no new pair of key and portal. `portal` and `key_file` were given on the command line, or by
    the call of a script.
    """

    environ: Mapping[str, str]
    config_dir: Path | None = None
    portal: str | None = None
    key_file: Path | None = None

    def __repr__(self) -> str:
        return f"Keys({self.portal!r})"

    def find(self, settings: Settings) -> Secret:
        """Return the key for the portal of these settings; raise KeyMissing where none may go there.

        That is `key_file`, then what the settings name, then VIP_API_KEY, then the key of
        `vipsync login`. What is named and cannot be used is not replaced by another: it could belong
        to another account.
        """
        kept = kept_path(settings.portal, self.config_dir)
        named = self.names(settings.portal)
        if not named and not kept.exists():
            raise _stranger(settings.portal)
        if self.key_file:
            return _or_kept(_read(self.key_file), kept, "Name no key file")
        if path := key_path(settings):
            _refuse_anothers(path, kept)
            return _or_kept(_read(path, private=True), kept, _WITHOUT_LINE)
        if settings.api_key != KEY_VARIABLE:
            return _or_kept(self._variable(settings.api_key), kept, _WITHOUT_LINE)
        if named and self.environ.get(KEY_VARIABLE):
            secret = _one_key(
                Secret(self.environ[KEY_VARIABLE]), f"{KEY_VARIABLE} in the environment"
            )
            return _or_kept(secret, kept, f"Unset {KEY_VARIABLE}")
        if not kept.exists():
            raise KeyMissing(f"No API key for {settings.portal}.", REMEDY)
        return Secret(_read(kept).reveal(), f"`vipsync login`, kept in {kept}")

    def names(self, portal: str) -> bool:
        """Tell whether this is VIP itself, or a person named this portal for this process.

        Then VIP_API_KEY goes there.
        """
        words = (PORTAL, self.environ.get(PORTAL_VARIABLE), self.portal)
        return any(_address(portal) == _address(word) for word in words if word)

    def _variable(self, name: str) -> Secret:
        # Only what has the looks of a variable's name is repeated: it may be a key put there by mistake.
        plain = name.isupper()
        if not name.upper().startswith("VIP"):
            raise KeyMissing(
                f"{name if plain else 'What api_key names'} is no key of VIP, and is sent nowhere.",
                "Put the key into a variable whose name begins with VIP, or use `vipsync login`.",
            )
        if self.environ.get(name):
            where = (
                f"{name} in the environment"
                if plain
                else "The environment variable that holds the key"
            )
            return _one_key(Secret(self.environ[name]), where)
        raise KeyMissing(
            f"The environment variable {name if plain else 'that api_key names'} is not set.",
            f"Set it, or remove api_key from {Settings.SOURCE} to use the key of `vipsync login`.",
        )


_WITHOUT_LINE = f"Remove api_key from {Settings.SOURCE}"


def _or_kept(found: Secret, kept: Path, way: str) -> Secret:
    """Return a key with the way to use that of `vipsync login` in its place, where there is one."""
    instead = f"{way} to use the key of `vipsync login`." if kept.exists() else ""
    return Secret(found.reveal(), found.origin, instead)


def _address(portal: str) -> str:
    return portal.strip().rstrip("/").removesuffix("/rest").lower()


def _stranger(portal: str) -> KeyMissing:
    return KeyMissing(
        f"No key was ever meant for {portal}: settings.toml alone does not say that one may go there.",
        f"If you trust it: `vipsync login --portal {portal}`.",
    )


def kept_path(portal: str, config_dir: Path | None = None) -> Path:
    """Return the file in which `vipsync login` keeps the key of this portal: of no other one."""
    host, folder = urlsplit(portal).netloc.lower(), config_dir or _own_folder()
    new = folder / f"api_key-{_file_name(host)}"
    old = folder / f"api_key-{re.sub(_ODD, '_', host)}"
    return old if not new.exists() and _was_named_so(host) and old.exists() else new


_ODD = r"[^0-9a-z.-]"


def _file_name(host: str) -> str:
    """Return a host as a file may be called anywhere, each by another name."""
    return re.sub(_ODD, lambda sign: "".join(f"%{byte:02X}" for byte in sign[0].encode()), host)


def _was_named_so(host: str) -> bool:
    """Tell whether a file of before is this portal's: `_` stood for `:` in it, and for all other signs."""
    return re.fullmatch(r"[0-9a-z._-]+?(:\d+)?", host) is not None and not re.search(r"_\d*$", host)


def portals_kept(config_dir: Path | None = None) -> list[str]:
    """Return the hosts of the portals for which `vipsync login` keeps a key."""
    folder = config_dir or _own_folder()
    names = (path.name.removeprefix("api_key-") for path in folder.glob("api_key-*"))
    return sorted({unquote(re.sub(r"_(\d+)$", r":\1", name)) for name in names})


def _own_folder() -> Path:
    """Return the folder of this account's settings: a key must not lie where one happens to be."""
    with suppress(RuntimeError):
        if (folder := user_config_path("vipsync")).is_absolute():
            return folder
    raise KeyMissing(
        "This account has no home folder where its API key could be kept.",
        f"Set {KEY_VARIABLE} in the environment, or HOME.",
    )


def _refuse_anothers(path: Path, kept: Path) -> None:
    """Raise KeyMissing for the key that a login has kept for another portal, by whatever name."""
    for other in kept.parent.glob("api_key-*"):
        with suppress(OSError):
            if other.name != kept.name and other.samefile(path):
                raise KeyMissing(f"{path} is the key of another portal, and stays with it.", REMEDY)


def keep_api_key(key: Secret, portal: str, config_dir: Path | None = None) -> Path:
    """Keep a key for this portal in a file that only its owner can read; return the file."""
    checked = _one_key(key, "What was given")
    path = kept_path(portal, config_dir)
    write_private(path, lambda file: file.write(f"{checked.reveal()}\n".encode("ascii")))
    return path


def _path(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:  # no home folder is known
        return Path(value)


def _read(path: Path, *, private: bool = False) -> Secret:
    """Read a key; `private`: only from a file of this account's own, that nobody else may read."""
    try:
        with open(path, "rb", opener=at_once) as file:  # Path.open takes none
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise KeyMissing(f"{path} is no file that holds a key.", REMEDY)
            found = Secret(file.read(_LONGEST_FILE).decode("utf-8-sig", "replace"))
    except OSError as error:
        raise KeyMissing(f"No key in {path}: {error.strerror}.", REMEDY) from None
    if os.name == "posix" and (info.st_mode & 0o077 or (private and info.st_uid != os.geteuid())):
        if private:
            raise KeyMissing(
                f"{path} is not yours alone, and is not used as a key.", f"chmod 600 '{path}'"
            )
        _log.warning("Other people may read %s. Mend it with: chmod 600 '%s'", path, path)
    return _one_key(found, str(path))


def _one_key(found: Secret, where: str) -> Secret:
    """Check a key; no text of it lies in a variable, which a traceback could show."""
    if not _ONE_KEY.fullmatch(found.reveal().strip()):
        raise KeyMissing(f"{where} is not one key on one line.", REMEDY)
    return Secret(found.reveal().strip(), where)
