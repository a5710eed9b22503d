"""Live the story of one seed, and tell how it went."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.soak.ending import right_end
from tests.soak.life import Life
from tests.soak.story import invent

MEMORY = Path("/dev/shm")
"""Where Linux has a disk in memory: flushing costs nothing there."""


@dataclass(frozen=True)
class Told:
    """How a seed went: a hash of its trace, what was wrong, how much there was of what."""

    seed: int
    trace: str
    wrong: str
    figures: Counter[str]


def live_seed(seed: int, *, calm: bool = False) -> Told:
    """Live the story of a seed in a folder of its own; in calm, nothing goes wrong."""
    story = invent(seed)
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="vipsync-soak-", dir=memory) as root:
        life = Life(Path(root), story, calm=calm)
        try:
            wrong = life.live().difference(right_end(story))
        except Exception as error:  # one bad seed must not end the others
            wrong = f"{type(error).__name__}: {error}"
        finally:
            life.close()
        return Told(seed, life.trace.digest(), wrong, _figures(life))


def _figures(life: Life) -> Counter[str]:
    executions = sum(len(found) for found in life.started().values())
    return Counter(requests=len(life.bench.world.requests), jobs=executions, deaths=life.deaths)
