"""`vipsync` as another account of this machine: `python -m tests.lab.somebody UID:GID UMASK …`."""

from __future__ import annotations

import encodings
import importlib
import os
import pkgutil
import sys
from contextlib import suppress

import watchdog.observers  # noqa: F401

import vipsync
from vipsync.cli import main


def become(account: str, umask: str) -> None:
    """Give up all rights but those of an account; Python itself may lie where it may not read."""
    for package in (vipsync, encodings):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                with suppress(ImportError):  # those of other systems
                    importlib.import_module(module.name)
    user, group = map(int, account.split(":"))
    os.umask(int(umask, 8))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


if __name__ == "__main__":
    become(*sys.argv[1:3])
    main(sys.argv[3:])
