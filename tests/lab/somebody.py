"""`vipsync` as another account of this machine: a fork of a process that has loaded all of it.

Python itself may lie where that account may not read, so nothing can be loaded later.
"""

from __future__ import annotations

import encodings
import importlib
import os
import pkgutil
import resource  # noqa: F401
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import current_process, get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import watchdog.observers  # noqa: F401

import vipsync
from tests.lab.served import Answer, Served
from vipsync.cli import main

for _package in (vipsync, encodings):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        if not _module.name.endswith("__main__"):
            with suppress(ImportError):  # those of other systems
                importlib.import_module(_module.name)

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@contextmanager
def process(
    served: Served, who: str, umask: str, *arguments: object
) -> Iterator[ForkServerProcess]:
    """Run the command as the account UID:GID; it is killed at the end."""
    words = [str(argument) for argument in arguments]
    made = _FORKS.Process(target=_live, args=(served.environ, served.root, who, umask, words))
    made.start()
    try:
        yield made
    finally:
        made.kill()
        made.join()


def said(served: Served, who: str, umask: str, *arguments: object) -> Answer:
    """Return what a command says to an account."""
    with process(served, who, umask, *arguments) as made:
        made.join(60)
        code = made.exitcode
    assert code is not None, "it did not end"
    out, err = ((served.root / f"{made.name}-{number}").read_text() for number in (1, 2))
    return Answer(code, out, err)


def _live(environ: dict[str, str], root: Path, who: str, umask: str, words: list[str]) -> None:
    for number in (1, 2):
        path = root / f"{current_process().name}-{number}"
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.update(environ)
    user, group = map(int, who.split(":"))
    os.umask(int(umask, 8))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    main(words)
