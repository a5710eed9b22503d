"""`vipsync page`: serve a page of session folders to a browser."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync.commands.context import sessions_of
from vipsync.errors import VipsyncError
from vipsync.report.reporter import Reporter

if TYPE_CHECKING:
    from vipsync.page.security import Access


def page(reporter: Reporter, directories: Sequence[Path], address: str) -> int:
    """Serve a page of folders until it is interrupted."""
    try:
        from vipsync.page.server import serve
    except ModuleNotFoundError as error:
        raise VipsyncError(
            f"The page is not installed: {error.name} is missing.",
            "Install it with: pip install 'vipsync[page]'",
        ) from error
    sessions_of(directories)
    logging.getLogger("waitress").setLevel(logging.ERROR)

    def ready(access: Access) -> None:
        reporter.say(f"The page: {access.link}", "bold")
        reporter.say("Who has this link can start and finish what is in these folders.")
        if not access.private:
            reporter.warn(
                "It can be called from other machines, and what passes is not encrypted: "
                "use it in a network that you trust, or through an SSH tunnel."
            )
        reporter.say("Ctrl-C stops it; the folders go on.")

    serve(directories, address, ready)
    return 0
