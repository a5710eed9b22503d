"""mrs-spectrum: turn a jMRUI signal into a spectrum, a picture and its peaks.

A tool of its own: plain Python without any package, so that it runs wherever Python does.
A `.mrui` file is 64 big-endian doubles of header, of which [1] is the number of points, [2] the dwell
time in ms, [5] the transmitter frequency in Hz and [9] its place in ppm; then complex doubles.
"""

from __future__ import annotations

import argparse
import cmath
import csv
import gzip
import io
import math
import struct
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct(">64d")
WATER = 4.7
WINDOW = (0.0, 5.0)
MOST_POINTS = 2**17
_MIN_DISTANCE = 0.04
_WATER_WIDTH = 0.4
_METABOLITES = {
    "Lip": 0.90,
    "Lac": 1.33,
    "NAA": 2.01,
    "Glx": 2.35,
    "Cr": 3.03,
    "Cho": 3.22,
    "mI": 3.56,
    "Cr2": 3.93,
    "water": WATER,
}


class BadSignal(Exception):
    """The file is no signal that this tool can read."""


@dataclass(frozen=True)
class Signal:
    """A free induction decay: seconds between points, Hz, and ppm of the transmitter."""

    points: tuple[complex, ...]
    dwell: float
    frequency: float
    reference: float


@dataclass(frozen=True)
class Line:
    """One point of a spectrum."""

    ppm: float
    hertz: float
    value: complex

    @property
    def magnitude(self) -> float:
        """Return the height in a magnitude spectrum."""
        return abs(self.value)


@dataclass(frozen=True)
class Peak:
    """One maximum: place, height, full width at half height in Hz, what usually lies there."""

    ppm: float
    hertz: float
    height: float
    width: float
    name: str


def read_signal(data: bytes) -> Signal:
    """Read the first frame of a jMRUI file; raises BadSignal with what is wrong."""
    if len(data) < HEADER.size:
        raise BadSignal(f"only {len(data)} bytes; the header alone has {HEADER.size}")
    header = HEADER.unpack_from(data)
    count, dwell, frequency = header[1], header[2] / 1000, header[5]
    if not (2 <= count <= MOST_POINTS and count == int(count)):
        raise BadSignal(f"the header says {count:g} points; 2 to {MOST_POINTS} are possible")
    if not (0 < dwell < 1 and 0 < frequency < 1e10):
        raise BadSignal(f"dwell time {dwell:g} s or frequency {frequency:g} Hz make no sense")
    needed = HEADER.size + 16 * int(count)
    if len(data) < needed:
        raise BadSignal(f"cut off: {len(data)} bytes instead of {needed}")
    flat = struct.unpack_from(f">{2 * int(count)}d", data, HEADER.size)
    if not all(map(math.isfinite, flat)):
        raise BadSignal("some points are no finite numbers")
    points = tuple(map(complex, flat[::2], flat[1::2]))
    return Signal(points, dwell, frequency, header[9] or WATER)


def transform(points: Sequence[complex]) -> list[complex]:
    """Return the discrete Fourier transform; the number of points must be a power of two."""
    size = len(points)
    if size == 1:
        return list(points)
    even, odd = transform(points[::2]), transform(points[1::2])
    turned = [cmath.rect(1, -2 * math.pi * k / size) * odd[k] for k in range(size // 2)]
    lower = [a + b for a, b in zip(even, turned, strict=True)]
    upper = [a - b for a, b in zip(even, turned, strict=True)]
    return lower + upper


def spectrum(signal: Signal, zero_fill: int = 2, line_broadening: float = 0.0) -> list[Line]:
    """Return the spectrum, highest ppm first; line_broadening in Hz."""
    decay = -math.pi * line_broadening * signal.dwell
    weighted = [point * math.exp(decay * i) for i, point in enumerate(signal.points)]
    size = zero_fill << (len(weighted) - 1).bit_length()
    values = transform(weighted + [0j] * (size - len(weighted)))
    step = 1 / (size * signal.dwell)
    shifted = ((index - size if index >= size // 2 else index) for index in range(size))
    lines = [
        Line(signal.reference + index * step / signal.frequency * 1e6, index * step, values[index])
        for index in shifted
    ]
    return sorted(lines, key=lambda line: -line.ppm)


def find_peaks(lines: Sequence[Line], most: int) -> list[Peak]:
    """Return the highest maxima of what the picture shows, highest first."""
    low, high = shown_range(lines)
    inner = range(1, len(lines) - 1)
    tops = [i for i in inner if low <= lines[i].ppm <= high and _is_top(lines, i)]
    chosen: list[int] = []
    for i in sorted(tops, key=lambda i: -lines[i].magnitude):
        if len(chosen) < most and all(_apart(lines[i], lines[j]) for j in chosen):
            chosen.append(i)
    return [_peak(lines, i) for i in chosen]


def write_results(
    target: Path, name: str, lines: Sequence[Line], peaks: Sequence[Peak], dated: int = 0
) -> None:
    """Write the archive, whose files are of one date (UTC s); the same input gives the same bytes."""
    members = {
        "spectrum.csv": _table(
            ("ppm", "frequency_hz", "real", "imaginary", "magnitude"),
            ((li.ppm, li.hertz, li.value.real, li.value.imag, li.magnitude) for li in lines),
        ),
        "spectrum.svg": picture(name, lines, peaks),
        "peaks.csv": _table(
            ("ppm", "frequency_hz", "height", "width_hz", "usually"),
            ((p.ppm, p.hertz, p.height, p.width, p.name) for p in peaks),
        ),
    }
    with (
        target.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for member, text in members.items():
            data = text.encode()
            entry = tarfile.TarInfo(member)
            entry.size, entry.mtime = len(data), dated
            archive.addfile(entry, io.BytesIO(data))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        signal = read_signal(options.signal.read_bytes())
    except (BadSignal, OSError) as error:
        sys.stderr.write(f"{options.signal.name}: not a readable jMRUI signal: {error}\n")
        return 1
    lines = spectrum(signal, options.zero_fill, options.line_broadening)
    peaks = find_peaks(lines, options.peaks)
    dated = int(options.signal.stat().st_mtime)
    write_results(options.result, options.signal.name, lines, peaks, dated)
    found = ", ".join(f"{peak.ppm:.2f} ppm" for peak in peaks) or "none"
    sys.stdout.write(f"{options.signal.name}: {len(signal.points)} points; peaks: {found}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mrs_spectrum", description=__doc__)
    parser.add_argument("signal", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--zero-fill", type=int, default=2, choices=(1, 2, 4))
    parser.add_argument("--line-broadening", type=float, default=0.0)
    parser.add_argument("--peaks", type=int, default=5)
    return parser


def shown_range(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the ppm shown: the usual window, or everything when the highest line lies outside."""
    low, high = WINDOW
    if low <= max(lines, key=_height).ppm <= high:
        return max(low, lines[-1].ppm), min(high, lines[0].ppm)
    return lines[-1].ppm, lines[0].ppm


def _is_top(lines: Sequence[Line], i: int) -> bool:
    left, here, right = (line.magnitude for line in lines[i - 1 : i + 2])
    return left < here >= right


def _apart(one: Line, other: Line) -> bool:
    """Say whether two maxima are two peaks; water's foot holds none of its own."""
    near_water = abs(other.ppm - WATER) < _WATER_WIDTH / 2
    return abs(one.ppm - other.ppm) > (_WATER_WIDTH if near_water else _MIN_DISTANCE)


def _peak(lines: Sequence[Line], top: int) -> Peak:
    line = lines[top]
    half = line.magnitude / 2
    left = next((i for i in range(top, -1, -1) if lines[i].magnitude < half), 0)
    right = next((i for i in range(top, len(lines)) if lines[i].magnitude < half), len(lines) - 1)
    width = lines[left].hertz - lines[right].hertz
    name = min(_METABOLITES, key=lambda n: abs(_METABOLITES[n] - line.ppm))
    known = abs(_METABOLITES[name] - line.ppm) < 0.06
    return Peak(line.ppm, line.hertz, line.magnitude, width, name if known else "")


def _table(header: Sequence[str], rows: Iterable[Sequence[float | str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(
        [f"{cell:.7g}" if isinstance(cell, float) else cell for cell in row] for row in rows
    )
    return text.getvalue()


_WIDTH, _HEIGHT = 960, 540
_LEFT, _TOP, _RIGHT, _BOTTOM = 40, 72, 930, 470
_STYLE = """
text { font-family: system-ui, 'Helvetica Neue', Arial, sans-serif; fill: #334155; }
.title { font-size: 22px; font-weight: 600; fill: #0f172a; }
.note { font-size: 13px; fill: #64748b; }
.tick { font-size: 13px; text-anchor: middle; }
.peak { font-size: 12px; text-anchor: start; fill: #b45309; }
.grid { stroke: #e2e8f0; stroke-width: 1; }
.axis { stroke: #475569; stroke-width: 1.5; }
.curve { fill: none; stroke: #0369a1; stroke-width: 1.6; stroke-linejoin: round; }
.area { fill: #0ea5e9; fill-opacity: 0.10; }
.mark { stroke: #f59e0b; stroke-width: 1; stroke-dasharray: 3 3; }
"""


@dataclass(frozen=True)
class _Frame:
    """Where in the picture a line of the spectrum lies: ppm falls from left to right."""

    low: float
    high: float
    top: float

    def x(self, ppm: float) -> float:
        return _LEFT + (self.high - ppm) / (self.high - self.low) * (_RIGHT - _LEFT)

    def y(self, magnitude: float) -> float:
        return _BOTTOM - min(magnitude / self.top, 1.05) * (_BOTTOM - _TOP - 100)


def picture(name: str, lines: Sequence[Line], peaks: Sequence[Peak]) -> str:
    """Return the magnitude spectrum as SVG; water may leave at the top, the rest fits."""
    low, high = shown_range(lines)
    seen = [line for line in lines if low <= line.ppm <= high]
    scaled = [line for line in seen if abs(line.ppm - WATER) > _WATER_WIDTH] or seen
    top = max(line.magnitude for line in scaled) or 1.0
    frame = _Frame(seen[-1].ppm, seen[0].ppm, top)
    drawn = _thinned(seen, frame)
    path = " L".join(f"{frame.x(line.ppm):.1f} {frame.y(line.magnitude):.1f}" for line in drawn)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            f'<text class="title" x="{_LEFT}" y="38">{_escaped(name)}</text>',
            f'<text class="note" x="{_LEFT}" y="58">magnitude spectrum, arbitrary units</text>',
            *_axis(frame),
            f'<path class="area" d="M{path} L{_RIGHT} {_BOTTOM} L{_LEFT} {_BOTTOM} Z"/>',
            f'<path class="curve" d="M{path}"/>',
            *(part for peak in peaks for part in _label(frame, peak)),
            "</svg>\n",
        ]
    )


def _thinned(lines: Sequence[Line], frame: _Frame) -> list[Line]:
    """Keep the lowest and the highest line of each half pixel."""
    columns: dict[int, list[Line]] = {}
    for line in lines:
        columns.setdefault(round(frame.x(line.ppm) * 2), []).append(line)
    kept = []
    for column in columns.values():
        ends = {id(pick): pick for pick in (min(column, key=_height), max(column, key=_height))}
        kept += sorted(ends.values(), key=lambda line: -line.ppm)
    return kept


def _height(line: Line) -> float:
    return line.magnitude


def _axis(frame: _Frame) -> list[str]:
    step = next(s for s in (0.5, 1, 2, 5, 10, 50, 1e9) if (frame.high - frame.low) / s <= 14)
    first, last = math.ceil(frame.low / step), math.floor(frame.high / step)
    parts = []
    for ppm in (number * step for number in range(first, last + 1)):
        x = f"{frame.x(ppm):.1f}"
        parts.append(f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{_BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{_BOTTOM + 22}">{ppm:g}</text>')
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_RIGHT}" y2="{_BOTTOM}"/>')
    parts.append(f'<text class="tick" x="{middle}" y="{_BOTTOM + 48}">chemical shift (ppm)</text>')
    return parts


def _label(frame: _Frame, peak: Peak) -> list[str]:
    x, y = frame.x(peak.ppm), frame.y(peak.height)
    text = f"{peak.ppm:.2f} {peak.name}".strip()
    turn = f"rotate(-90 {x + 4:.1f} {y - 8:.1f})"
    return [
        f'<line class="mark" x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{_BOTTOM}"/>',
        f'<text class="peak" x="{x + 4:.1f}" y="{y - 8:.1f}" transform="{turn}">{text}</text>',
    ]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    sys.exit(main())
