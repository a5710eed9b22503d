"""`python -m tests.bench [--json] [ROW...]`: vipsync beside vip-client, curl and the limit."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.bench import folders, privacy, rows, stations
from tests.bench.rows import Row

WORKS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "upload": lambda root: [rows.upload(root, 200)],
    "upload-2000": lambda root: [rows.upload(root, 2000, client_rounds=0)],
    "big": rows.big_file,
    "download": lambda root: [rows.downloads(root)],
    "unpack": rows.unpacking,
    "scan": lambda root: [rows.scanning(root, n) for n in (1_000, 10_000, 100_000)],
    "cycle": lambda root: [folders.cycling(root, n) for n in (1_000, 10_000, 100_000)],
    "notice": lambda root: [folders.noticing(root, n) for n in (10, 100_000)],
    "rest": lambda root: [folders.resting(root)],
    "plan": lambda _root: [folders.planning(n) for n in (10_000, 100_000, 1_000_000)],
    "station": lambda root: [stations.passing(root, n) for n in (100_000, 1_000_000)],
    "inspect": lambda root: [privacy.headers(root, 10_000)],
    "search": lambda root: [privacy.searching(root)],
    "start": rows.starting,
}


def line(row: Row) -> str:
    """Return one line of the table."""
    cells = [row.work, row.aim]
    for name in ("limit", "vipsync", "vip-client"):
        found = row.measures.get(name)
        cells.append(f"{found.seconds:.2f} s" if found else "")
    ratio, memory = row.ratio("vipsync"), row.measures["vipsync"].memory
    cells += [f"{ratio:.2f}" if ratio else "", f"{memory / 1e6:.0f} MB" if memory else ""]
    requests = ", ".join(f"{n} {kind}" for kind, n in sorted(row.requests.items()))
    return "| " + " | ".join([*cells, row.note or requests]) + " |"


def main(arguments: list[str]) -> None:
    """Run the works that are named, or all, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of: {', '.join(WORKS)}")
    parser.add_argument("--json", action="store_true", help="print a document for programs")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.rows) - set(WORKS):
        parser.error(f"there is no {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="vipsync-bench-") as root:
        found = [row for name in asked.rows or WORKS for row in WORKS[name](Path(root))]
    if asked.json:
        print(json.dumps([row.document() for row in found], indent=2))
        return
    print("| work | aim | limit | vipsync | vip-client | × limit | peak memory | note |")
    print("|---|---|---|---|---|---|---|---|")
    for row in found:
        print(line(row))


if __name__ == "__main__":
    main(sys.argv[1:])
