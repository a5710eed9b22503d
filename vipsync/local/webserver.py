"""PURE: what the web server in front of VIP makes of an address, before VIP sees it (facts 2.1, 3.3)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
_REFUSED = re.compile(r"%(?:2F|5C|00)", re.IGNORECASE)
_SERVED = "/rest"


def page_instead(address: str) -> int | None:
    """Return the status of the web server's own page for what it lets nobody ask; None: VIP answers."""
    path, _, query = address.partition("?")
    if not (_PATH.fullmatch(path) and _QUERY.fullmatch(query)) or _REFUSED.search(path):
        return 400
    try:
        parts = _resolved(unquote_to_bytes(path).decode("utf-8"))
    except ValueError:
        return 400
    return None if f"/{'/'.join(parts)}/".startswith(f"{_SERVED}/") else 404


def _resolved(path: str) -> list[str]:
    """Return the parts of a path without dots; raises ValueError where they lead above the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise ValueError(path)
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return parts
