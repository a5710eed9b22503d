"""What may go wrong around a story and must not change its end: faults of VIP, sudden deaths."""

from __future__ import annotations

import random

from vipsync.local import Kind, World

METHODS = ("*", "GET *", "PUT *", "POST *", "DELETE *")
PLACES = (
    "GET */executions*",
    "GET */executions/*",
    "GET */path/*",
    "GET */pipelines*",
    "PUT */kill",
)
ON_ROUTES = (
    Kind.REFUSED, Kind.SERVER_ERROR, Kind.NOT_FOUND, Kind.UNAUTHORIZED, Kind.REQUEST_LOST,
    Kind.ANSWER_REFUSED, Kind.ANSWER_ERROR, Kind.ANSWER_LOST,
)  # fmt: skip
PATHS = ("*", "*/INPUTS/*", "*/OUTPUTS/*")
ON_PATHS = (
    Kind.UPLOAD_TIMES_OUT, Kind.UPLOAD_VANISHES, Kind.UPLOAD_WRONG_SIZE,
    Kind.DOWNLOAD_CUT, Kind.LISTING_WRONG_SIZE,
)  # fmt: skip


class Killed(BaseException):
    """The process was killed here."""


class Weather:
    """Arms faults at random, and kills the process with some odds at each point; not so in calm."""

    def __init__(self, seed: int, world: World, *, calm: bool) -> None:
        self.world, self.chance = world, random.Random(f"weather {seed}")
        self.odds = 0.0 if calm else self.chance.choice([0.0, 0.002, 0.01, 0.03])
        self._most = 1 if calm else 5

    def change(self) -> None:
        """Arm some more faults."""
        for _ in range(self.chance.randrange(self._most)):
            self._arm()

    def pass_point(self) -> None:
        """Let the process live on, or not."""
        if self.odds and self.chance.random() < self.odds:
            self.odds *= 0.8
            raise Killed

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self.odds = 0.0
        self.world.faults.clear()

    def _arm(self) -> None:
        chance, faults = self.chance, self.world.faults
        times = chance.choice([1, 1, 2, 3, 8])
        seconds = chance.choice([1.0, 20.0, 90.0])
        drawn = chance.random()
        if drawn < 0.55:
            kind, route = chance.choice(ON_ROUTES), chance.choice(METHODS + PLACES)
            # A removal that is refused costs ten minutes of looks.
            faults.arm(kind, route, times=1 if route == "DELETE *" else times)
        elif drawn < 0.85:
            kind, path = chance.choice(ON_PATHS), chance.choice(PATHS)
            faults.arm(kind, path, times=min(times, 3), seconds=seconds)
        elif drawn < 0.95:
            never = chance.random() < 0.1  # each costs ten minutes of looks
            faults.arm(Kind.REMOVAL_NEVER if never else Kind.REMOVAL_LATE, seconds=seconds)
        else:
            faults.arm(Kind.KILL_FLAPS)
