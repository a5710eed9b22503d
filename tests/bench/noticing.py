"""Row 6: how long it takes from the `close()` of a new file to the start of its upload."""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.living import keeping
from tests.bench.measured import Measure
from tests.bench.rows import Row, place
from tests.bench.server import Conditions, Server

FILES = 15
SETTLE = 1.0
BETWEEN = 2.0
"""Seconds after an upload in which its job is started and ends."""

INOTIFY = 0.005
"""Seconds in which a program that only waits for events can begin."""

SETTINGS = """\
portal = "{url}"
pipeline_id = "mrs-spectrum/1.0"
session_name = "s{others}"
[input_settings]
signal = "new/*.mrui"
[inputs]
settle = "{settle}s"
[monitor]
refresh_time = "30s"
"""


def noticing(root: Path, others: int) -> Row:
    """Drop files one after another beside `others` that no setting uses."""
    work = f"notice a file beside {others:,} others"
    with place(root, f"notice{others}", Conditions()) as (server, here):
        study = here / "study"
        (study / "inputs" / "new").mkdir(parents=True)
        for number in range(others):
            folder = study / "inputs" / f"{number // 500:04}"
            if number % 500 == 0:
                folder.mkdir()
            (folder / f"{number}.dat").touch()
        settings = SETTINGS.format(url=server.url, others=others, settle=SETTLE)
        (study / "settings.toml").write_text(settings)
        with keeping(study) as process:
            _drop(server, study, "first")  # it also waits for the first full look
            taken = [_drop(server, study, f"{number:02}") for number in range(FILES)]
            memory = process.memory
    row = Row(work, "median ≤ 50 ms")
    row.add("limit", Measure(INOTIFY))
    for seconds in taken:
        row.add("vipsync", Measure(seconds, memory))
    row.note = f"{1000 * row.measures['vipsync'].seconds:.0f} ms, at most {1000 * max(taken):.0f}"
    return row


def _drop(server: Server, study: Path, name: str) -> float:
    """Write a file; return the seconds from its end to its upload, its quiet time taken off."""
    with (study / "inputs" / "new" / f"{name}.mrui").open("w") as file:
        file.write(f"signal {name}")
    closed = time.monotonic()
    while not (found := [at for path, at in server.arrivals().items() if f"/{name}.mrui" in path]):
        if time.monotonic() > closed + 120:
            raise RuntimeError(f"{name} was never sent")
        time.sleep(0.1)
    time.sleep(BETWEEN)
    return found[0] - closed - SETTLE
