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
