"""`python -m tests.bench [--json] [ROW...]`: vipsync beside vip-client, curl and the limit.

`python -m tests.bench table`: what is promised, with date and machine, in less than ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.bench import folders, limits, privacy, rows, stations
from tests.bench.rows import Row

WORKS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "upload": lambda root: rows.upload(root, 200),
    "upload-200": lambda root: rows.upload(root, 200, client_rounds=0),
    "upload-2000": lambda root: rows.upload(root, 2000, client_rounds=0),
    "big": rows.big_file,
    "download": lambda root: [rows.downloads(root)],
    "unpack": rows.unpacking,
    "scan": lambda root: [rows.scanning(root, n) for n in (1_000, 10_000, 100_000)],
    "cycle": lambda root: [folders.cycling(root, n) for n in (1_000, 10_000, 100_000)],
    "notice": lambda root: [folders.noticing(root, n) for n in (10, 100_000)],
    "rest": lambda root: [folders.resting(root)],
    "plan": lambda _root: [folders.planning(n) for n in (10_000, 100_000, 1_000_000)],
    "station": lambda root: [stations.passing(root, n) for n in (100_000, 1_000_000)],
    "station-rest": lambda root: [stations.resting(root)],
    "inspect": lambda root: [privacy.headers(root, 10_000)],
    "search": lambda root: [privacy.searching(root)],
    "ceiling": limits.ceilings,
    "hours": lambda root: [limits.hours(root)],
    "full-disk": lambda root: [limits.full_disk(root)],
    "start": rows.starting,
    "cycle-100000": lambda root: [folders.cycling(root, 100_000)],
    "plan-1000000": lambda _root: [folders.planning(1_000_000)],
}

TABLE = ("start", "upload-200", "big", "cycle-100000", "plan-1000000", "rest", "search", "inspect")
"""The works with an aim; those that fill the memory of this process come last."""


def machine() -> str:
    """Say when and where this is measured, and what else the machine has to do."""
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, {platform.platform()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} before"
    )


def line(row: Row) -> str:
    """Return one line of the table."""
    cells = [row.work, row.aim]
    for name in ("limit", "vipsync", "vip-client"):
        found = row.measures.get(name)
        cells.append(f"{found.seconds:.2f} s" if found else "")
    ratio, memory = row.ratio("vipsync"), row.measures["vipsync"].memory
    mine, limit = row.measures["vipsync"].cpu, row.measures.get("limit")
    spent = f"{mine:.2f} s" if mine else ""
    if mine and limit and limit.cpu:
        spent += f" ({mine / limit.cpu:.1f} ×)"
    cells += [f"{ratio:.2f}" if ratio else "", spent, f"{memory / 1e6:.0f} MB" if memory else ""]
    requests = ", ".join(f"{n} {kind}" for kind, n in sorted(row.requests.items()))
    return "| " + " | ".join([*cells, row.note or requests]) + " |"


def main(arguments: list[str]) -> None:
    """Run the works that are named, or all, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of: {', '.join(WORKS)}")
    parser.add_argument("--json", action="store_true", help="print a document for programs")
    asked = parser.parse_args(arguments)
    works = TABLE if asked.rows == ["table"] else asked.rows or WORKS
    if unknown := set(works) - set(WORKS):
        parser.error(f"there is no {', '.join(unknown)}")
    heading = machine()
    with tempfile.TemporaryDirectory(prefix="vipsync-bench-") as root:
        found = [row for name in works for row in WORKS[name](Path(root))]
    if asked.json:
        print(json.dumps([row.document() for row in found], indent=2))
        return
    print(f"{heading}\n")
    print("| work | aim | limit | vipsync | vip-client | × limit | CPU | peak memory | note |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in found:
        print(line(row))


if __name__ == "__main__":
    main(sys.argv[1:])
