"""Simulated spectroscopy signals of the brain, as jMRUI files: the same call gives the same bytes."""

from __future__ import annotations

import cmath
import math
import random
import struct
from dataclasses import dataclass

POINTS = 1024
WATER_PPM = 4.7
COUPLING = 6.93  # Hz, between the two lines of lactate


@dataclass(frozen=True)
class Scanner:
    """A field strength: proton frequency in Hz, dwell time in seconds."""

    tesla: float
    frequency: float
    dwell: float


@dataclass(frozen=True)
class Subject:
    """A name, and how much of each metabolite there is."""

    name: str
    scanner: Scanner
    amounts: dict[str, float]


THREE_TESLA = Scanner(3.0, 127.74e6, 0.0005)
ONE_AND_A_HALF = Scanner(1.5, 63.87e6, 0.001)
SHIFTS = {"NAA": 2.01, "creatine": 3.03, "creatine CH2": 3.93, "choline": 3.22, "water": 4.68}
HEALTHY = {"NAA": 12.0, "creatine": 8.0, "creatine CH2": 5.0, "choline": 5.0, "water": 30.0}
SUBJECTS = (
    Subject("sub-01", THREE_TESLA, HEALTHY | {"lactate": 1.0}),
    Subject("sub-02", THREE_TESLA, HEALTHY | {"NAA": 6.0, "choline": 9.0, "lactate": 7.0}),
    Subject("sub-03", ONE_AND_A_HALF, HEALTHY | {"lactate": 1.0}),
    Subject("sub-04", ONE_AND_A_HALF, HEALTHY | {"NAA": 7.0, "lactate": 6.0}),
)


def lines_of(subject: Subject) -> list[tuple[float, float, float]]:
    """Return the resonances: Hz from the transmitter, amount, width in Hz."""
    frequency = subject.scanner.frequency * 1e-6
    lines = []
    for name, amount in subject.amounts.items():
        if name == "lactate":
            middle = (1.33 - WATER_PPM) * frequency
            lines += [(middle + half, amount / 2, 3.0) for half in (-COUPLING / 2, COUPLING / 2)]
        else:
            lines.append(((SHIFTS[name] - WATER_PPM) * frequency, amount, 4.0))
    return lines


def signal_of(subject: Subject, noise: float = 0.6) -> list[complex]:
    """Return the free induction decay: damped exponentials, and noise of a fixed seed."""
    chance = random.Random(subject.name)
    lines = lines_of(subject)
    points = []
    for index in range(POINTS):
        time = index * subject.scanner.dwell
        pure = sum(
            amount * cmath.exp(complex(-math.pi * width, 2 * math.pi * hertz) * time)
            for hertz, amount, width in lines
        )
        points.append(pure + complex(chance.gauss(0, noise), chance.gauss(0, noise)))
    return points


def as_mrui(subject: Subject, points: list[complex]) -> bytes:
    """Return a jMRUI file: 64 doubles of header, then the points, all big-endian."""
    header = [0.0] * 64
    header[1] = len(points)
    header[2] = subject.scanner.dwell * 1000
    header[5] = subject.scanner.frequency
    header[6] = subject.scanner.tesla
    header[9] = WATER_PPM
    header[13] = 1
    flat = [part for point in points for part in (point.real, point.imag)]
    return struct.pack(f">{64 + len(flat)}d", *header, *flat)
