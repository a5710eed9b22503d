"""The command line and what it shows. The modules of the commands are loaded when they are first used.

All of them together take longer to load than most commands take to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from vipsync.commands import (
        account,
        demo,
        log,
        machine,
        named,
        notify,
        page,
        privacy,
        run,
        service,
        sessions,
        station,
        status,
    )

__all__ = [
    "account",
    "demo",
    "log",
    "machine",
    "named",
    "notify",
    "page",
    "privacy",
    "run",
    "service",
    "sessions",
    "station",
    "status",
]


def __getattr__(name: str) -> ModuleType:
    """Load a module of commands (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'vipsync.commands' has no attribute {name!r}")
    from importlib import import_module

    return import_module(f"vipsync.commands.{name}")
