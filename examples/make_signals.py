"""Simulate a few spectroscopy signals of the brain and write them as jMRUI files.

    python examples/make_signals.py [FOLDER]

The same call writes the same bytes. The files in examples/signals were made by it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vipsync.local.signals import SUBJECTS, as_mrui, signal_of


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "signals"
    folder.mkdir(parents=True, exist_ok=True)
    for subject in SUBJECTS:
        file = folder / f"{subject.name}.mrui"
        file.write_bytes(as_mrui(subject, signal_of(subject)))
        print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
