"""What may go wrong around a story and must not change its end: faults of VIP, sudden deaths."""

from __future__ import annotations

import random
from dataclasses import dataclass

from vipsync.local import Kind, World

ROUTES = (
    "*",
    "GET *",
    "PUT *",
    "POST *",
    "DELETE *",
    "GET */executions*",
    "GET */executions/*",
    "GET */path/*",
    "GET */pipelines*",
    "PUT */kill",
)
ON_ROUTES = (
    Kind.REFUSED,
    Kind.SERVER_ERROR,
    Kind.NOT_FOUND,
    Kind.UNAUTHORIZED,
    Kind.REQUEST_LOST,
    Kind.ANSWER_REFUSED,
    Kind.ANSWER_ERROR,
    Kind.ANSWER_LOST,
)
PATHS = ("*", "*/INPUTS/*", "*/OUTPUTS/*")
ON_PATHS = (
    Kind.UPLOAD_TIMES_OUT,
    Kind.UPLOAD_VANISHES,
    Kind.UPLOAD_WRONG_SIZE,
    Kind.DOWNLOAD_CUT,
    Kind.LISTING_WRONG_SIZE,
)


class Killed(BaseException):
    """The process was killed here."""


@dataclass
class Weather:
    """Arms faults at random, and kills the process with some odds at each point it passes."""

    world: World
    chance: random.Random
    odds: float

    @classmethod
    def of(cls, seed: int, world: World) -> Weather:
        """Return the weather of a seed."""
        chance = random.Random(f"weather {seed}")
        return cls(world, chance, chance.choice([0.0, 0.002, 0.01, 0.03]))

    def change(self) -> None:
        """Arm some more faults."""
        for _ in range(self.chance.randrange(5)):
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
            kind, route = chance.choice(ON_ROUTES), chance.choice(ROUTES)
            # A removal that is refused costs ten minutes of looks.
            faults.arm(kind, route, times=1 if route == "DELETE *" else times)
        elif drawn < 0.85:
            faults.arm(
                chance.choice(ON_PATHS), chance.choice(PATHS), times=min(times, 3), seconds=seconds
            )
        elif drawn < 0.95:
            never = chance.random() < 0.1  # each costs ten minutes of looks
            kind = Kind.REMOVAL_NEVER if never else Kind.REMOVAL_LATE
            faults.arm(kind, seconds=seconds)
        else:
            faults.arm(Kind.KILL_FLAPS)


@dataclass
class Calm(Weather):
    """Nothing goes wrong."""

    def change(self) -> None:
        """Arm nothing."""
