"""Draw the spectrum of one voxel that a NIfTI-MRS file holds; a part of `mosaic`'s process.

The format is that of https://doi.org/10.1002/mrm.29418: complex points in time along the fourth
axis, what they mean in a header extension of JSON. Of further axes, repetitions are averaged; coils
and others are added without their phases.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

SIZE = (768, 480)
"""Pixels of the picture."""

EXTENSION = 44
"""The number that NIfTI has given to the extension of MRS."""

_POINTS = 1 << 18
_MOST = (32, 32, 4)
"""How much of each further axis is read."""

_WATER = 4.65
_PLACES = {"1H": _WATER, "2H": _WATER}
"""Where the spectrometer's frequency lies, in ppm; at 0 for other nuclei."""

_WINDOW = (0.2, 4.2)
"""What is looked at in a spectrum of 1H, in ppm: beside it there is water."""

_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_HERTZ = 1e5
"""Above it a frequency is in Hz, as spec2nii writes it for jMRUI, not in MHz, as it should be."""

_SUPPRESSED = 50.0
"""How much higher water may be than all else before it is what the spectrum is about."""


def is_spectrum(image: Any) -> bool:
    """Tell whether an image has one voxel, and is of NIfTI-MRS."""
    told = any(e.get_code() == EXTENSION for e in image.header.extensions)
    return told and len(image.shape) >= 4 and max(image.shape[:3]) == 1


def draw_spectrum(image: Any, picture: BinaryIO) -> None:
    """Draw the magnitude of a spectrum into a PNG; raise whatever is wrong with it."""
    told = next(e for e in image.header.extensions if e.get_code() == EXTENSION)
    about = json.loads(told.get_content())
    frequency, nucleus = float(about["SpectrometerFrequency"][0]), str(about["ResonantNucleus"][0])
    if not 0 < frequency < 1e12:
        raise ValueError("no frequency")
    megahertz = frequency / 1e6 if frequency > _HERTZ else frequency
    ppm, height = _lines(image, about, megahertz, _PLACES.get(nucleus, 0.0))
    low, high = (_WINDOW[0], 5.2) if nucleus == "1H" else (float(ppm[-1]), float(ppm[0]))
    seen = (ppm >= low) & (ppm <= high)
    _drawn(ppm[seen], height[seen], f"{nucleus[:8]}, {megahertz:.2f} MHz").save(
        picture, "PNG", optimize=True
    )


def _lines(
    image: Any, about: dict[str, Any], megahertz: float, place: float
) -> tuple[Values, Values]:
    """Return ppm, falling, and the height there."""
    import numpy as np

    if not 1 < image.shape[3] <= _POINTS or not np.iscomplexobj(np.empty(0, image.dataobj.dtype)):
        raise ValueError("no signal in time")
    axes = [slice(0, most) for most in _MOST[: len(image.shape) - 4]]
    signal = np.asarray(image.dataobj[(0, 0, 0, slice(None), *axes)]).astype(np.complex64)
    repeated = [n for n in range(1, signal.ndim) if about.get(f"dim_{n + 4}") == "DIM_DYN"]
    signal = signal.mean(axis=tuple(repeated)) if repeated else signal
    points = 2 * signal.shape[0]
    lines = np.abs(np.fft.fftshift(np.fft.fft(signal, points, axis=0), axes=0)) ** 2
    height = np.sqrt(lines.reshape(points, -1).sum(axis=1))
    dwell = float(image.header.get_zooms()[3]) * _UNITS.get(image.header.get_xyzt_units()[1], 1.0)
    hertz = np.fft.fftshift(np.fft.fftfreq(points, dwell))
    ppm = place - hertz / megahertz  # what turns forwards lies upfield (appendix A of the format)
    if not (np.isfinite(height).all() and np.isfinite(ppm).all() and height.max() > 0):
        raise ValueError("nothing that can be drawn")
    return ppm, height


def _drawn(ppm: Values, height: Values, title: str) -> Any:
    """Return the picture, drawn twice as large and made smaller, so that lines are smooth."""
    from PIL import Image, ImageDraw, ImageFont

    wide, tall = (2 * n for n in SIZE)
    left, right, top, bottom = 40, wide - 40, 90, tall - 110
    inside = height[(ppm >= _WINDOW[0]) & (ppm <= _WINDOW[1])]
    highest = float(height.max())
    if inside.size and highest <= _SUPPRESSED * float(inside.max()):
        highest = float(inside.max())
    high, low = float(ppm[0]), float(ppm[-1])

    def across(at: float) -> float:
        return left + (high - at) / (high - low) * (right - left)

    sheet = Image.new("RGB", (wide, tall), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(26)
    for at in _ticks(low, high):
        pen.line([(across(at), top), (across(at), bottom + 8)], "#e3e8ee", 2)
        pen.text((across(at), bottom + 14), f"{at:g}", "#3d4957", font, "ma")
    points = [
        (across(float(x)), bottom - min(float(y) / highest, 1.05) * 0.94 * (bottom - top))
        for x, y in zip(ppm, height, strict=True)
    ]
    pen.polygon([(left, bottom), *points, (right, bottom)], "#e4f2fb")
    pen.line(points, "#1f78b4", 3, "curve")
    pen.line([(left, bottom), (right, bottom)], "#3d4957", 2)
    pen.text((left, 30), title, "#17202c", font)
    pen.text(((left + right) / 2, bottom + 60), "ppm, magnitude", "#3d4957", font, "ma")
    return sheet.resize(SIZE, Image.Resampling.LANCZOS)


def _ticks(low: float, high: float) -> list[float]:
    """Return a dozen round values at most."""
    steps = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    step = next((s for s in steps if (high - low) / s <= 12), (high - low) / 4)
    first = int(low // step) + 1
    return [step * n for n in range(first, first + 13) if step * n <= high]
