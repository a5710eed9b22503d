"""`python -m tests.soak COUNT [FIRST] [--jobs N]`: live the stories of many seeds in bad weather.

A line tells of each seed that does not come to its right end; the last line has the figures.
`--calm` leaves the faults and deaths out. `--traces` prints a hash of everything that happened in
each seed, which is the same wherever and whenever it is lived.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.soak.life import live_seed


def main(arguments: list[str]) -> int:
    """Live seeds; return how many ended badly."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--calm", action="store_true")
    parser.add_argument("--traces", action="store_true")
    asked = parser.parse_args(arguments)
    bad, began, figures = 0, time.monotonic(), Counter[str]()
    with ProcessPoolExecutor(asked.jobs) as pool:
        seeds = range(asked.first, asked.first + asked.count)
        for told in pool.map(partial(live_seed, calm=asked.calm), seeds, chunksize=5):
            figures += told.figures
            bad += bool(told.wrong)
            if told.wrong or asked.traces:
                wrong = " ".join(told.wrong.split())[:300]
                print(f"seed {told.seed}: {told.trace} {wrong}".rstrip(), flush=True)
            if told.seed % 500 == 499:
                print(f"up to {told.seed}: {bad} bad", file=sys.stderr, flush=True)
    amounts = ", ".join(f"{number} {name}" for name, number in figures.items())
    print(f"{asked.count} seeds, {bad} bad, {time.monotonic() - began:.0f} s ({amounts})")
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
