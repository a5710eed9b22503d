"""`vipsync page`: serve a page of session folders to a browser; `run` can serve it too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync.commands.context import Context, meant, sessions_of
from vipsync.errors import VipsyncError
from vipsync.folder.search import find_stations

if TYPE_CHECKING:
    from vipsync.page.security import Access

ADDRESS = "127.0.0.1:8484"

PRINTER = "vipsync page"
"""What prints a link by which people may ask."""


def page(context: Context, named: Sequence[Path], address: str | None) -> int:
    """Serve a page of folders until it is interrupted."""
    directories = meant(context, named)
    sessions_of([directory for directory in directories if not find_stations(directory)])
    with _served(directories, address or context.machine().page.address or ADDRESS) as access:
        context.reporter.say(f"The page: {access.link}", "bold")
        context.reporter.say("Whoever has this link can start and finish what is in these folders.")
        _say_how_long(context, access)
        _warn_of_others(context, access)
        context.reporter.say("Ctrl-C stops it; the folders go on.")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


@contextmanager
def beside_run(context: Context, directories: Sequence[Path], address: str) -> Iterator[None]:
    """Serve the page for as long as `run` works; the link that lets people ask goes to no log."""
    # Nobody reads a link where nobody can be asked: there another command makes one.
    printer = "vipsync run" if context.asks else PRINTER
    with _served(directories, address, printer) as access:
        if context.asks:
            context.reporter.say(f"The page: {access.link}", "bold")
            _say_how_long(context, access)
        else:
            context.reporter.say(
                f"The page: http://{address}; `vipsync page` makes a link to ask by."
            )
        _warn_of_others(context, access)
        yield


@contextmanager
def _served(directories: Sequence[Path], address: str, printer: str = PRINTER) -> Iterator[Access]:
    try:
        from vipsync.page.server import running
    except ModuleNotFoundError as error:
        raise VipsyncError(
            f"The page is not installed: {error.name} is missing.",
            "Install it with: pip install 'vipsync[page]'",
        ) from error
    logging.getLogger("waitress").setLevel(logging.ERROR)
    with running(directories, address, printer) as access:
        yield access


def _say_how_long(context: Context, access: Access) -> None:
    context.reporter.say(f"The link works until the page is stopped. {access.to_look}".rstrip())


def _warn_of_others(context: Context, access: Access) -> None:
    if not access.private:
        context.reporter.warn(
            "It can be called from other machines, and what passes is not encrypted: "
            "use it in a network that you trust, or through an SSH tunnel."
        )
