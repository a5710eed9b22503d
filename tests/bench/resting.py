"""Row 7: what it costs to keep many folders in which nothing happens."""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.cycling import known_session
from tests.bench.living import Living, keeping
from tests.bench.measured import Measure
from tests.bench.rows import Row, place
from tests.bench.server import Conditions, Server

FOLDERS = 200
FILES = 500
WATCHED = 60.0
"""Seconds over which it is measured."""

SETTINGS = """\
portal = "{url}"
[inputs]
settle = "0s"
"""


def resting(root: Path, folders: int = FOLDERS, files: int = FILES) -> Row:
    """Keep folders whose files are all known, were sent, and have not changed."""
    work = f"{folders} folders of {files} files at rest, for {WATCHED:.0f} s"
    row = Row(work, "≤ 1 % of a core, ≤ 200 MB, one request per refresh")
    with place(root, "rest", Conditions()) as (server, here):
        many = here / "many"
        for number in range(folders):
            settings = SETTINGS.format(url=server.url)
            known_session(many / f"study{number:03}", files, settings)
        with keeping(many) as process:
            _wait_for_rest(server, process)
            server.count()
            before = process.cpu
            time.sleep(WATCHED)
            row.add("limit", Measure(WATCHED / 100))
            row.add("vipsync", Measure(process.cpu - before, process.memory))
            row.requests = server.count()
    share = row.measures["vipsync"].seconds / WATCHED
    row.note = f"{share:.2%} of a core, {row.requests.total()} requests"
    return row


def _wait_for_rest(server: Server, process: Living) -> None:
    """Wait until nothing was asked, and hardly anything done, for a while."""
    quiet = 0
    while quiet < 5:
        before = process.cpu
        time.sleep(2)
        quiet = quiet + 1 if not server.count() and process.cpu - before < 0.1 else 0
