"""The rows about stations: one pass over an export that is known, and a station at rest."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.bench.folders import WATCHED
from tests.bench.measured import ROOT, Measure, alone, keeping
from tests.bench.rows import Row, place
from tests.bench.server import RESULTS, Conditions

STUDIES = 1_000

TEMPLATE = """\
portal = "{url}"
pipeline_id = "{pipeline}"
[input_settings]
signal = "all"
basis = "0/000000.dat"
[inputs]
settle = "0s"
[privacy]
plain = ["*"]
[monitor]
refresh_time = "60s"
"""


def export(folder: Path, studies: int, files: int, first: int = 0) -> None:
    """Write studies of so many empty files, two series each."""
    for number in range(first, first + studies):
        for at in range(files):
            path = folder / f"EXAM{number:05}" / f"{at * 2 // files}" / f"{at:06}.dat"
            if at * 2 % files in (0, 1):
                path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def station(root: Path, source: Path, url: str = "", **more: str) -> None:
    """Make a station of an export."""
    (root / "template").mkdir(parents=True)
    text = TEMPLATE.format(url=url, pipeline=RESULTS)
    (root / "template" / "settings.toml").write_text(text)
    lines = {"exports": f'["{source}"]', **more}
    told = "\n".join(f"{key} = {value}" for key, value in lines.items())
    (root / "station.toml").write_text(f'[station]\n{told}\n[complete]\nquiet = "60s"\n')


def passing(root: Path, files: int) -> Row:
    """Row: look at all studies of an export and plan, where each is known, has run, and has not changed."""
    row = Row(f"one pass over {files:,} files of known studies", "≤ 3 × limit, ≤ 250 MB")
    here = root / "pass"
    export(here / "export", STUDIES, files // STUDIES)
    station(here / "station", here / "export")
    words, environ = alone("station", here), {**os.environ, "VIPSYNC_DATA": str(here / "private")}
    told = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, env=environ).stdout
    limit, taken, memory, rest = json.loads(told)
    row.add("limit", Measure(limit))
    row.add("vipsync", Measure(taken, memory))
    row.note = f"a turn without a look takes {1000 * rest:.0f} ms"
    shutil.rmtree(here)
    return row


KEPT, ACTIVE, FILES = 200, 50, 20
OLD = "2020-01-01"
"""What is older was there before."""


def resting(root: Path) -> Row:
    """Row: a process whose sessions have nearly all ended, beside some that run, and an export at rest."""
    work = f"a station of {STUDIES:,} studies, {KEPT} sessions done and {ACTIVE} running"
    row = Row(f"{work}, for {WATCHED:.0f} s", "≤ 1 % of a core, ≤ 250 MB, a new study in ≤ 2 s")
    with place(root, "station-rest", Conditions(jobs=KEPT)) as (server, here):
        export(here / "export", STUDIES, FILES)
        for number, path in enumerate(sorted((here / "export").glob("*/*/*"))):
            path.write_text(str(path))
            if number >= (KEPT + ACTIVE) * FILES:
                os.utime(path, (0, 0))
        station(here / "station", here / "export", server.url, since=f'"{OLD}"')
        private = str(here / "private")
        with keeping(here / "station", server, VIPSYNC_DATA=private) as process:
            wait_until(lambda: states(here / "station")["running"] == ACTIVE)
            time.sleep(WATCHED / 2)  # what the last one had done has ended
            server.count()
            before = process.cpu
            time.sleep(WATCHED)
            row.add("limit", Measure(WATCHED / 100))
            row.add("vipsync", Measure(process.cpu - before, process.memory))
            row.requests = server.count()
            known = _known_after(here)
    share = row.measures["vipsync"].seconds / WATCHED
    row.note = f"{share:.2%} of a core; a new study is known after {known:.2f} s"
    return row


def _known_after(here: Path) -> float:
    """Return the seconds from the first file of a new study to its place in the table."""
    export(here / "export", 1, 1, first=STUDIES)
    began = time.monotonic()
    wait_until(lambda: sum(states(here / "station").values()) > STUDIES, 0.02)
    return time.monotonic() - began


def states(root: Path) -> Counter[str]:
    """Count the states in a station's table."""
    with suppress(FileNotFoundError), (root / "station.csv").open(newline="") as table:
        return Counter(line["state"] for line in csv.DictReader(table))
    return Counter()


def wait_until(true: Callable[[], bool], pause: float = 1.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 1800
    while not true():
        if time.monotonic() > until:
            raise RuntimeError("it was never so")
        time.sleep(pause)
