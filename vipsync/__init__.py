"""A folder that runs pipelines on VIP: drop files in, results appear.

`VipSession` is the same as a Python object, `Account` one key of several in a process. They are
loaded when they are first used: commands that need neither start faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipsync.script.account import Account
    from vipsync.script.session import VipSession

__all__ = ["Account", "VipSession"]

_HOMES = {"Account": "vipsync.script.account", "VipSession": "vipsync.script.session"}


def __getattr__(name: str) -> object:
    """Load a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vipsync' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names too."""
    return sorted({*globals(), *__all__})
