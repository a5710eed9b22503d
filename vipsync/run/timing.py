"""Clock and chance, which whoever runs a session hands in."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from msgspec import Struct


class Timing(Struct):
    """Clock and chance, handed in so that a run can be repeated exactly."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    spread: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep
