"""httpx without its own command line, which loads rich and pygments where they are installed.

That takes as long as httpx itself. Where the name of that module changes, only the time is lost.
"""

from __future__ import annotations

import sys

_COMMAND_LINE = "httpx._main"

_hidden = "httpx" not in sys.modules
if _hidden:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]  # "not to be found", says Python

import httpx as httpx  # noqa: E402

if _hidden:
    del sys.modules[_COMMAND_LINE]

BAD_ADDRESS = (httpx.InvalidURL, UnicodeError)
"""What httpx raises for an address that is none; the second when it is asked for the host."""


def read_address(text: str) -> httpx.URL:
    """Return an address, an empty one for what is none, or has a host that nobody can look up."""
    try:
        url = httpx.URL(text)
        url.host.encode("idna")
    except BAD_ADDRESS:
        return httpx.URL("")
    return url
