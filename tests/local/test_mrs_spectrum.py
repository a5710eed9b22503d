"""The shipped pipeline's tool, and the signals that examples/make_signals.py makes for it."""

from __future__ import annotations

import cmath
import csv
import io
import math
import runpy
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from vipsync.local.catalogue import SHIPPED
from vipsync.local.pipelines.mrs_spectrum import (
    BadSignal,
    Line,
    Signal,
    find_peaks,
    picture,
    read_signal,
    shown_range,
    spectrum,
    transform,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
POINTS = [complex(math.sin(3 * i), math.cos(5 * i) / (i + 1)) for i in range(64)]


def mrui(points: list[complex], dwell: float = 0.5, frequency: float = 127e6) -> bytes:
    header = [0.0] * 64
    header[1], header[2], header[5], header[9] = len(points), dwell, frequency, 4.7
    flat = [part for point in points for part in (point.real, point.imag)]
    return struct.pack(f">{64 + len(flat)}d", *header, *flat)


def naive(points: list[complex]) -> list[complex]:
    """Return the transform by its definition."""
    size = len(points)
    return [
        sum(p * cmath.exp(-2j * math.pi * k * n / size) for n, p in enumerate(points))
        for k in range(size)
    ]


def test_the_transform_is_the_definitions() -> None:
    """Every value, to rounding."""
    for got, expected in zip(transform(POINTS), naive(POINTS), strict=True):
        assert cmath.isclose(got, expected, abs_tol=1e-9)


def test_the_spectrum_puts_each_frequency_at_its_ppm() -> None:
    """Lines fall from high to low ppm, and each value is that of its own frequency."""
    lines = spectrum(Signal(tuple(POINTS), 0.001, 100e6, 4.7), zero_fill=1)
    assert [line.ppm for line in lines] == sorted((line.ppm for line in lines), reverse=True)
    for line in lines:
        assert line.ppm == pytest.approx(4.7 + line.hertz / 100)
        expected = sum(
            p * cmath.exp(-2j * math.pi * line.hertz * n * 0.001) for n, p in enumerate(POINTS)
        )
        assert cmath.isclose(line.value, expected, abs_tol=1e-9)


def test_zeros_refine_and_broadening_widens() -> None:
    """Four times the points; a wider, lower peak."""
    tone = [cmath.exp((2j * math.pi * -340 - 10) * i * 0.0005) for i in range(256)]
    signal = Signal(tuple(tone), 0.0005, 127e6, 4.7)
    narrow, wide = (find_peaks(spectrum(signal, 4, hz), 1)[0] for hz in (0.0, 20.0))
    assert len(spectrum(signal, 4)) == 1024
    assert narrow.ppm == pytest.approx(2.02, abs=0.02)
    assert narrow.name == "NAA"
    assert wide.width > narrow.width + 10
    assert wide.height < narrow.height


def test_the_examples_show_their_metabolites() -> None:
    """The three big peaks of a healthy brain lie where they belong; water is the highest."""
    signal = read_signal((EXAMPLES / "signals" / "sub-01.mrui").read_bytes())
    peaks = find_peaks(spectrum(signal), 5)
    assert {peak.name for peak in peaks} == {"water", "NAA", "Cr", "Cr2", "Cho"}
    assert peaks[0].name == "water"


def test_the_example_signals_are_made_by_the_example_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script writes the same bytes each time."""
    monkeypatch.setattr(sys, "argv", ["make_signals.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "make_signals.py"), run_name="__main__")
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    kept = {file.name: file.read_bytes() for file in (EXAMPLES / "signals").iterdir()}
    assert made == kept
    assert all(len(data) <= 40_000 for data in made.values())


def run(tmp_path: Path, data: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "s.mrui").write_bytes(data)
    command = [sys.executable, "-S", str(SHIPPED / "mrs_spectrum.py"), "s.mrui", "s.mrui.tgz"]
    return subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )


def unpacked(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as members:
        found = {name: members.extractfile(name) for name in members.getnames()}
        return {name: file.read().decode() for name, file in found.items() if file}


def test_the_tool_runs_without_any_package_and_writes_one_archive(tmp_path: Path) -> None:
    """CSV, picture and peaks; the same input gives the same texts, whatever the time is."""
    data = mrui(POINTS)
    assert run(tmp_path, data, "--peaks", "3").returncode == 0
    texts = unpacked(tmp_path / "s.mrui.tgz")
    assert set(texts) == {"spectrum.csv", "spectrum.svg", "peaks.csv"}
    rows = list(csv.DictReader(io.StringIO(texts["spectrum.csv"])))
    assert list(rows[0]) == ["ppm", "frequency_hz", "real", "imaginary", "magnitude"]
    assert len(rows) == 128
    assert ET.fromstring(texts["spectrum.svg"]).tag.endswith("svg")
    assert run(tmp_path, data, "--peaks", "3").returncode == 0
    assert unpacked(tmp_path / "s.mrui.tgz") == texts


def test_the_tool_says_what_is_wrong_with_a_signal(tmp_path: Path) -> None:
    """On stderr, with the file's name; nothing is written."""
    ended = run(tmp_path, b"short")
    assert ended.returncode == 1
    assert ended.stderr == (
        "s.mrui: not a readable jMRUI signal: only 5 bytes; the header alone has 512\n"
    )
    assert not (tmp_path / "s.mrui.tgz").exists()


BAD = {
    "short": (b"x" * 511, "511 bytes"),
    "no points": (mrui([]), "0 points"),
    "no dwell time": (mrui(POINTS, dwell=0), "dwell time"),
    "no frequency": (mrui(POINTS, frequency=-1), "frequency"),
    "cut": (mrui(POINTS)[:-1], "cut off"),
    "not finite": (mrui([*POINTS, complex("nan")]), "finite"),
    "header of nan": (mrui(POINTS, dwell=math.nan), "dwell time"),
}


@pytest.mark.parametrize(("data", "why"), BAD.values(), ids=BAD.keys())
def test_bad_signals_are_named(data: bytes, why: str) -> None:
    """Each with its reason."""
    with pytest.raises(BadSignal, match=why):
        read_signal(data)


def test_what_lies_outside_the_window_is_shown_all_the_same() -> None:
    """When the highest line is elsewhere, everything is shown; names are escaped."""
    lines = [Line(ppm, ppm, complex(1 + (ppm == 9))) for ppm in (9.0, 4.0, 3.0, 2.0, -3.0)]
    assert shown_range(lines) == (-3.0, 9.0)
    assert shown_range(lines[1:]) == (0.0, 4.0)
    drawn = picture("<a&b>", lines, [])
    assert "&lt;a&amp;b&gt;" in drawn
    assert ET.fromstring(drawn).tag.endswith("svg")
