"""From what settings.toml says to what Settings holds, one value at a time.

Each check takes a raw value and returns the valid one, or raises ValueError with words that follow
the key's name. `CHECKS` holds what a key needs beyond its type.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from pathspec import GitIgnoreSpec

from vipsync.model import (
    MAX_JOBS_ON_VIP,
    MOST_TRANSFERS,
    PORTAL,
    ExecutionStatus,
    FileSetting,
    InputSetting,
    NotifyEvent,
    PackKind,
    PackSetting,
    Scalar,
)
from vipsync.settings.keys import is_variable, key_source, looks_like_key


def session_name_of(folder_name: str) -> str:
    """Make a session's name of a folder's name: accents dropped, other characters become `-`."""
    letters = unicodedata.normalize("NFKD", folder_name)
    bare = "".join(c for c in letters if not unicodedata.combining(c))
    return re.sub(r"[^0-9A-Za-z_-]+", "-", bare).strip("-")


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h)", re.ASCII)
_LONGEST = 1e12


def seconds(value: object) -> float:
    """Return the seconds of a number, or of a text as "5s"; raise ValueError."""
    match value:
        case str() if found := _DURATION.fullmatch(value.strip()):
            return float(found[1]) * _UNITS[found[2]]
        case int() | float() if not isinstance(value, bool) and 0 <= value <= _LONGEST:
            return float(value)
        case _:
            raise ValueError(
                f'{shown(value)} is not a duration: write seconds, or "5s", "2m", "1h"'
            )


def _whole(value: object, least: int, most: float = math.inf) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        limit = f"from {least} to {most}" if most < math.inf else f"of {least} or more"
        raise ValueError(f"{shown(value)} must be a whole number {limit}, without quotes")
    return value


def _text(value: object) -> str:
    match value:
        case str() if value.strip():
            return value
        case str():
            raise ValueError("is empty: fill it in, or remove the line")
        case _:
            raise ValueError(f'{shown(value)} must be text in quotes, as "…"')


def _list(value: object) -> list[object]:
    match value:
        case list() | tuple():
            return [*value]
        case _:
            raise ValueError(f'{shown(value)} must be a list, as ["…", "…"]')


def _each(check: Callable[[object], str]) -> Callable[[object], list[str]]:
    return lambda value: [check(item) for item in _list(value)]


def _pipeline_id(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[^/\s][^/]*/[^/]*[^/\s]", text):
        raise ValueError(f'{shown(text)} must be NAME/VERSION, as "CQUEST/0.6"')
    return text


def _session_name(value: object) -> str:
    if value == "":
        raise ValueError('cannot be made from the name of the folder: write one, as "my-study"')
    text = _text(value)
    if not re.fullmatch(r"[0-9A-Za-z_-]+", text):
        better = session_name_of(text)
        advice = f'. Write "{better}"' if better else ""
        raise ValueError(f"{shown(text)} may only have letters, digits, - and _{advice}")
    return text


_HOST = re.compile(r"[0-9A-Za-z.-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_NO_ADDRESS = f'must be a web address with its https://, as "{PORTAL}"'


def _portal(value: object) -> str:
    try:
        url = urlsplit(_text(value).strip())
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    if url.scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        raise ValueError(_NO_ADDRESS)
    if "@" in url.netloc or url.query or url.fragment or url.path.rstrip("/") not in {"", "/rest"}:
        raise ValueError("must end after the name of the server, without a path, query or user")
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https://, or the key would travel unencrypted")
    name = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{name}{'' if port is None else f':{port}'}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, which nothing on the way can listen to."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _pattern(value: object) -> str:
    text = _text(value)
    try:
        patterns = GitIgnoreSpec.from_lines([text]).patterns
    except (ValueError, re.error):
        patterns = []
    if not any(pattern.include is not None for pattern in patterns):
        advice = r": write '\#…' for a name that begins with #" if text.startswith("#") else ""
        raise ValueError(f"{shown(text)} matches nothing as a gitignore pattern{advice}")
    return text


def _status(value: object) -> str:
    names = {status.value.lower(): status.value for status in ExecutionStatus}
    text = _text(value)
    if text.lower() not in names:
        raise ValueError(f"{shown(text)} is no status{meant(text, names.values())}")
    return names[text.lower()]


# [privacy]: no message repeats a value, since it may be a name


def _allowed(value: object) -> list[tuple[str, str]]:
    """Return fields that may go with any value, each with its reason, sorted."""
    table = _fields(value, 'InstitutionName = "ethics 2026-12"')
    return [(name, _reason(reason, f"{name} needs")) for name, reason in sorted(table.items())]


def _reason(value: object, key: str) -> str:
    """Return why a person lets something through; a word that says nothing is no reason."""
    text = value if isinstance(value, str) else ""
    if sum(c.isalnum() for c in text) < _SHORTEST_REASON:
        raise ValueError(f'{key} a reason in quotes, as "ethics 2026-12": it stands in STATUS.txt')
    return text.strip()


_SHORTEST_REASON = 3


def _accepted(value: object) -> list[tuple[str, list[str]]]:
    """Return fields with the patterns of values that are pseudonyms, sorted."""
    table = _fields(value, 'PatientName = ["sub-*"]')
    return [(name, _pseudonyms(name, patterns)) for name, patterns in sorted(table.items())]


def _pseudonyms(name: str, value: object) -> list[str]:
    patterns = [p for p in value if isinstance(p, str)] if isinstance(value, list) else []
    if not patterns or patterns != value or not all(map(str.strip, patterns)):
        raise ValueError(f'{name} needs a list of patterns, as ["sub-*", "S[0-9]*"]')
    if any(not re.search(r"[^*?\s]", pattern) for pattern in patterns):
        raise ValueError(
            f"{name}: a pattern of * and ? alone accepts every value; "
            f'where any may go, write allow = {{ {name} = "the reason" }}'
        )
    return patterns


def _fields(value: object, example: str) -> Mapping[str, object]:
    match value:
        case dict():
            return value
        case _:
            raise ValueError(f"must be a table of fields, as {{ {example} }}")


CHECKS: Mapping[str, Callable[[object], object]] = {
    "pipeline_id": _pipeline_id,
    "session_name": _session_name,
    "portal": _portal,
    "api_key": key_source,
    "inputs.directory": _text,
    "inputs.ignore": _each(_pattern),
    "inputs.settle": seconds,
    "launch.nb_runs": partial(_whole, least=1),
    "launch.max_jobs": partial(_whole, least=1, most=MAX_JOBS_ON_VIP),
    "launch.confirm_above": partial(_whole, least=1),
    "monitor.refresh_time": seconds,
    "monitor.stall_after": seconds,
    "outputs.directory": _text,
    "outputs.get_status": _each(_status),
    "outputs.only": _each(_pattern),
    "outputs.ignore": _each(_pattern),
    "finish.grace": seconds,
    "finish.timeout": seconds,
    "privacy.accept": _accepted,
    "privacy.allow": _allowed,
    "privacy.plain": _each(_text),
    "privacy.off": lambda value: "" if value == "" else _reason(value, "needs"),
}


# [input_settings]: names belong to the pipeline, so only the shape of the values is known here


def input_setting(value: object) -> InputSetting:
    """Accept a value, a table of a known shape, or a list of them."""
    if not isinstance(value, list | tuple):
        return _input_value(value)
    if not value:
        raise ValueError("is an empty list: write the values, or remove the line")
    return tuple(_input_value(item) for item in value)


def _input_value(value: object) -> Scalar | FileSetting | PackSetting:
    match value:
        case str() if not value.strip():
            raise ValueError("is still empty: write its value there")
        case str() | bool() | int() | float() | FileSetting() | PackSetting():
            return value
        case dict():
            return _input_table(value)
        case list() | tuple():
            raise ValueError("is a list inside a list: write one list")
        case _:
            raise ValueError(f'{shown(value)} must be text in quotes, as "…"')


def _input_table(value: Mapping[str, object]) -> FileSetting | PackSetting:
    match dict(value):
        case {"file": file, "as": as_name, **rest} if not rest:
            return FileSetting(_text(file), _text(as_name))
        case {"zip": folder, **rest} | {"tar": folder, **rest} | {"tgz": folder, **rest} if (
            rest.keys() <= {"as"}
        ):
            kind = next(kind for kind in PackKind if kind in value)
            return PackSetting(kind, _text(folder), _text(rest["as"]) if rest else "")
        case _:
            raise ValueError(
                'is a table, and only { file = "…", as = "…" } and { zip = "folder/" } (or tar, '
                "tgz) are known; a parameter with a dot in its name needs quotes around the name"
            )


# vipsync.toml


_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(k|M|G)B/s", re.ASCII)
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_PERCENT = re.compile(r"(\d{1,2}(?:\.\d)?)\s*%", re.ASCII)
_ADDRESS = re.compile(rf"({_HOST.pattern.partition('|')[0]}|\[[0-9a-f:.]+\]):(\d{{1,5}})", re.ASCII)
_POWERS = {"k": 1e3, "M": 1e6, "G": 1e9}

_SLOWEST = 10e3
"""Bytes per second: whoever waits for a transfer ends it when 4 kB/s do not come."""
_MOST_FREE = 50
_LAST_PORT = 65535


def _folder(value: object) -> str:
    text = _text(value)
    if not is_absolute(text):
        raise ValueError(f"{shown(text)} must be a whole path, from / or ~ on")
    return text


def is_absolute(text: str) -> bool:
    """Tell whether a path means the same wherever one is; `~` is this account's home."""
    return text.startswith("~") or Path(text).is_absolute()


def _rate(value: object) -> float:
    match value:
        case "":
            return 0.0
        case str() if (found := _RATE.fullmatch(value.strip())) and float(found[1]):
            rate = float(found[1]) * _POWERS[found[2]]
            if rate < _SLOWEST:
                raise ValueError(f'{shown(value)} is so slow that VIP gives up: at least "10 kB/s"')
            return rate
        case _:
            raise ValueError(f'{shown(value)} is no speed: write "500 kB/s", "20 MB/s", or ""')


def _hours(value: object) -> tuple[int, int] | None:
    found = _HOURS.fullmatch(value.strip()) if isinstance(value, str) else None
    if value == "":
        return None
    if not found:
        raise ValueError(f'{shown(value)} are no hours: write "19:00-07:00", or ""')
    begin, end = (int(found[n]) * 60 + int(found[n + 1]) for n in (1, 3))
    if begin == end:
        raise ValueError(f'{shown(value)} begin when they end: write "" for the whole day')
    return begin, end


def _share(value: object) -> float:
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or float(found[1]) > _MOST_FREE:
        raise ValueError(f'{shown(value)} must be a share up to {_MOST_FREE} %, as "5%"')
    return float(found[1]) / 100


def _urls(value: object) -> str:
    """Accept the name of a variable or an absolute path; ValueError, never with the value in it."""
    if not isinstance(value, str) or not (is_variable(value) or is_absolute(value)):
        raise ValueError(
            "must be the name of an environment variable, or the whole path of a file, that holds "
            "the addresses; an address itself can hold a password, and does not belong here"
        )
    return value


def _events(value: object) -> list[str]:
    known = get_args(NotifyEvent)
    wrong = next((item for item in _list(value) if item not in known), None)
    if wrong is not None:
        raise ValueError(f"{shown(wrong)} is no event{meant(wrong, known)}")
    return [str(item) for item in _list(value)]


def _address(value: object) -> str:
    found = _ADDRESS.fullmatch(value.strip()) if isinstance(value, str) else None
    if value == "":
        return ""
    if not found or not 0 < int(found[2]) <= _LAST_PORT:
        raise ValueError(f'{shown(value)} must be HOST:PORT, as "127.0.0.1:8484", or ""')
    return found[0]


MACHINE_CHECKS: Mapping[str, Callable[[object], object]] = {
    "folders": _each(_folder),
    "transfers.streams": partial(_whole, least=1, most=MOST_TRANSFERS),
    "transfers.upload": _rate,
    "transfers.download": _rate,
    "transfers.hours": _hours,
    "transfers.free": _share,
    "notify.urls": _urls,
    "notify.on": _events,
    "notify.quiet": seconds,
    "page.address": _address,
}


# words


def meant(word: object, words: Iterable[str]) -> str:
    """Return the nearest right word as the end of a sentence, or else all of them."""
    by_lower = {known.lower(): known for known in words}
    near = get_close_matches(str(word).lower(), by_lower, 1)
    if near:
        return f'. Did you mean "{by_lower[near[0]]}"?'
    return f": there are {', '.join(by_lower.values())}"


def shown(value: object) -> str:
    """Return a value as a message may show it: short, and never if it could be a key."""
    if isinstance(value, str) and looks_like_key(value):
        return "this value"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
