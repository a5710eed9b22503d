"""Draw slices of a NIfTI volume, or its spectrum: `python -m vipsync.results.mosaic <VOLUME >PICTURE`.

A program of its own with limits, for files from outside; it fails where it can draw nothing.
Its libraries are the extra `preview`.
"""

from __future__ import annotations

import gzip
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from vipsync.results.spectrum import draw_spectrum, is_spectrum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Volume = NDArray[np.float32]

MEMORY = 4 * 1024**3
PICTURE = 16 * 1024**2
SECONDS = 30
TILE = 192
"""Pixels of the longer side of one slice."""

SIDE = 256
"""Voxels along an axis above which only some are read."""

_SECOND = (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""How a file of NIfTI's second version begins: with the 540 bytes of its header."""

_PLACES = (0.35, 0.45, 0.55, 0.65)


def limit(memory: int = MEMORY) -> None:
    """Let this process have no more than it needs, where the system can hold it to that."""
    with suppress(ImportError):
        import resource

        for kind, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, PICTURE),
            (resource.RLIMIT_CPU, SECONDS),
        ):
            with suppress(OSError, ValueError):  # the system may allow less already
                resource.setrlimit(kind, (most, most))


def draw(volume: BinaryIO, picture: BinaryIO) -> None:
    """Draw slices of a volume, or the spectrum of one voxel, into a PNG; raise whatever is wrong with it."""
    from PIL import Image

    image = _image(volume)
    if is_spectrum(image):
        draw_spectrum(image, picture)
        return
    read, zooms = _read(image)
    low, high = _window(read)
    tiles = [_tile(plane, step, low, high) for plane, step in _planes(read, zooms)]
    sheet = Image.new("L", (len(tiles) // 3 * TILE, 3 * TILE))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, len(tiles) // 3)
        middle = ((TILE - tile.width) // 2, (TILE - tile.height) // 2)
        sheet.paste(tile, (column * TILE + middle[0], row * TILE + middle[1]))
    sheet.save(picture, "PNG", optimize=True)


def _image(volume: BinaryIO) -> Any:
    """Return what NIfTI of either version holds, packed or not."""
    import nibabel

    nib: Any = nibabel
    packed = volume.read(2) == b"\x1f\x8b"
    volume.seek(0)
    file: Any = gzip.GzipFile(fileobj=volume) if packed else volume
    second = file.read(4) in _SECOND
    file.seek(0)
    return (nib.Nifti2Image if second else nib.Nifti1Image).from_stream(file)


def _read(image: Any) -> tuple[Volume, tuple[float, ...]]:
    """Return the first volume, coarse enough, seen from the right side, and the size of its voxels."""
    import nibabel
    import numpy as np

    nib: Any = nibabel  # half of it has types
    shape = image.shape
    if len(shape) < 3 or max(shape[:3]) < 4:
        raise ValueError("not a volume")
    steps = [max(1, -(-length // SIDE)) for length in shape[:3]]
    chosen = (*(slice(None, None, step) for step in steps), *(0 for _ in shape[3:]))
    data = np.asarray(image.dataobj[chosen])
    if data.dtype.fields:
        data = np.mean([data[name].astype(np.float32) for name in data.dtype.fields], axis=0)
    data = np.nan_to_num(np.abs(data) if np.iscomplexobj(data) else data).astype(np.float32)
    zooms = [z * step for z, step in zip(image.header.get_zooms()[:3], steps, strict=True)]
    axes = nib.orientations.io_orientation(image.affine)
    if np.isnan(axes).any():
        return data, tuple(zooms)
    order = [int(np.where(axes[:, 0] == axis)[0][0]) for axis in range(3)]
    return nib.orientations.apply_orientation(data, axes), tuple(zooms[i] for i in order)


def _window(data: Volume) -> tuple[float, float]:
    import numpy as np

    lit = data[data != 0]
    if not lit.size:
        raise ValueError("nothing but zeros")
    low, high = (float(np.percentile(lit, share)) for share in (1, 99))
    return min(low, 0.0), high


def _planes(data: Volume, zooms: tuple[float, ...]) -> Iterator[tuple[Volume, tuple[float, float]]]:
    """Yield axial, coronal and sagittal slices, upwards and forwards up, with the size of their pixels."""
    import numpy as np

    for axis, others in ((2, (0, 1)), (1, (0, 2)), (0, (1, 2))):
        for place in _PLACES:
            plane: Volume = np.take(data, int(place * data.shape[axis]), axis=axis)
            yield plane.T[::-1], (zooms[others[0]], zooms[others[1]])


def _tile(plane: Volume, step: tuple[float, float], low: float, high: float) -> Any:
    import numpy as np
    from PIL import Image

    scaled = np.clip((plane - low) / ((high - low) or 1.0), 0, 1) * 255
    width, height = plane.shape[1] * step[0], plane.shape[0] * step[1]
    scale = TILE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(scaled.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


if __name__ == "__main__":
    limit()
    warnings.simplefilter("ignore")
    draw(sys.stdin.buffer, sys.stdout.buffer)
