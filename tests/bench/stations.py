"""The rows about stations: one pass over an export that is known, and a station at rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.bench.measured import ROOT, Measure, alone
from tests.bench.rows import Row
from tests.bench.server import RESULTS

STUDIES = 1_000

TEMPLATE = """\
portal = "{url}"
pipeline_id = "{pipeline}"
[input_settings]
signal = {{ zip = "./", as = "study.zip" }}
basis = "/vip/Home/basis"
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
