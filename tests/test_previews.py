"""Pictures of volumes: drawn in a process of their own, whatever a file from outside does to it."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.findings import volume
from vipsync.act.perform import Stopped
from vipsync.results import mosaic as drawing
from vipsync.results import previews

pytest.importorskip("nibabel", reason="nibabel is not installed: pip install 'vipsync[preview]'")

PNG = b"\x89PNG\r\n\x1a\n"


def drawn(tmp_path: Path, content: bytes, name: str = "t1.nii.gz") -> bytes | None:
    """Return the picture of a volume, None where there is none."""
    (tmp_path / name).write_bytes(content)
    place, seen = tmp_path / "kept", list[Path]()
    place.mkdir(exist_ok=True)
    with (tmp_path / name).open("rb") as file:
        picture = previews.mosaic(file, place, stop=lambda: seen.extend(place.iterdir()))
    assert not seen
    return picture or None


@pytest.mark.parametrize("shape", [(60, 72, 40), (20, 20, 20, 30), (300, 30, 4), (8, 9, 10, 1, 3)])
def test_a_volume_becomes_a_picture(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Of one or of many, in the size of a thumbnail."""
    picture = drawn(tmp_path, volume(shape))
    assert picture is not None
    assert picture.startswith(PNG)
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (768, 576)


def test_a_spectrum_is_drawn_in_the_same_process_of_its_own(tmp_path: Path) -> None:
    """As a volume is."""
    picture = drawn(tmp_path, voxel(), "svs.nii.gz")
    assert picture is not None
    assert struct.unpack(">II", picture[16:24]) == (768, 480)


def test_left_is_left_however_the_volume_is_stored(tmp_path: Path) -> None:
    """The bright spot lies to the right in memory; the affine says which side that is."""
    import nibabel
    import numpy as np
    from PIL import Image

    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(volume()))
    flipped = nibabel.Nifti1Image(image.get_fdata(), np.diag([-2, 2, 3, 1]))  # type: ignore[no-untyped-call]
    sides = []
    for number, content in enumerate((image.to_bytes(), flipped.to_bytes())):
        picture = drawn(tmp_path, content, f"{number}.nii")
        assert picture is not None
        tile = np.asarray(Image.open(io.BytesIO(picture)))[:192, 384:576]
        sides.append("right" if tile[:, 96:].sum() > tile[:, :96].sum() else "left")
    assert sides == ["right", "left"]


def voxel(
    shape: tuple[int, ...] = (512,),
    about: bytes = b"",
    kind: str = "complex64",
    unit: str = "sec",
    **fields: Any,
) -> bytes:
    """Return NIfTI-MRS of one voxel with its only line at 2.01 ppm, each repetition with a phase of its own."""
    import nibabel
    import numpy as np

    dwell, megahertz = 0.0005, 123.25
    time = np.arange(shape[0]) * dwell
    signal = np.exp(2j * np.pi * (4.65 - 2.01) * megahertz * time - 10 * time)
    turned = np.exp(1j * np.arange(np.prod(shape[1:], dtype=int))).reshape(1, *shape[1:])
    data = signal.reshape(-1, *(1 for _ in shape[1:])) * turned
    data = data if kind == "complex64" else data.real
    image = nibabel.Nifti2Image(data[None, None, None].astype(kind), np.eye(4))  # type: ignore[no-untyped-call]
    scale = {"sec": 1, "msec": 1e3, "usec": 1e6}[unit]
    header: Any = image.header
    header.set_zooms((1, 1, 1, dwell * scale, *(1 for _ in shape[1:])))
    header.set_xyzt_units("mm", unit)
    told = {"SpectrometerFrequency": [megahertz], "ResonantNucleus": ["1H"], **fields}
    extension = nibabel.nifti1.Nifti1Extension(44, about or json.dumps(told).encode())
    image.header.extensions.append(extension)
    return gzip.compress(image.to_bytes())


def spectrum_of(content: bytes) -> io.BytesIO:
    """Draw in this process, which is faster; return the picture."""
    picture = io.BytesIO()
    drawing.draw(io.BytesIO(content), picture)
    return picture


@pytest.mark.parametrize(
    "content",
    [
        voxel((512, 4, 40, 2), dim_5="DIM_COIL"),
        voxel(unit="msec", SpectrometerFrequency=[123250000.0]),
    ],
    ids=["phases", "other units"],
)
def test_one_voxel_of_spectroscopy_becomes_a_spectrum(content: bytes) -> None:
    """Its line stands where its ppm says, which fall from left to right."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(spectrum_of(content)).convert("RGB")).astype(int)
    blue = (pixels[45:420, :, 0] < 120) & (pixels[45:420, :, 2] > 150)
    tops = np.where(blue.any(axis=0), blue.argmax(axis=0), 1000)
    assert abs(int(tops.argmin()) - (20 + (5.2 - 2.01) / 5.0 * 728)) < 3


def test_repetitions_are_averaged_with_their_phases() -> None:
    """Two that are opposed leave nothing to draw; as two coils they have a spectrum."""
    assert spectrum_of(opposed(voxel((512, 2)))).getvalue()
    with pytest.raises(ValueError, match="nothing that can be drawn"):
        spectrum_of(opposed(voxel((512, 2), dim_5="DIM_DYN")))


def opposed(content: bytes) -> bytes:
    """Return a file whose second signal is the first one turned around."""
    content, half = gzip.decompress(content), 512 * 8
    first = struct.unpack(f"<{half // 4}f", content[-2 * half : -half])
    second = struct.pack(f"<{half // 4}f", *(-value for value in first))
    return gzip.compress(content[:-half] + second)


@pytest.mark.parametrize(
    "content",
    [
        voxel(about=b"{"),
        voxel(about=b"[" * 100_000),
        voxel(about=b"{}"),
        voxel(SpectrometerFrequency=[0]),
        voxel(SpectrometerFrequency=["inf"]),
        voxel(kind="float32"),
        voxel((1,)),
    ],
    ids=[
        *("no-json", "deep-json", "no-frequency", "zero-frequency", "endless-frequency", "real"),
        "one-point",
    ],
)
def test_what_is_no_spectrum_is_not_drawn(content: bytes) -> None:
    """Whatever its extension says."""
    with pytest.raises((ValueError, KeyError, ArithmeticError, RecursionError)):
        spectrum_of(content)


def huge() -> bytes:
    """Return a header that promises 8 TB, packed to nothing."""
    raw = bytearray(gzip.decompress(volume((4, 4, 4))))
    raw[40:56] = struct.pack("<8h", 3, 32000, 32000, 32000, 1, 1, 1, 1)
    return gzip.compress(bytes(raw))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no volume",
        gzip.compress(b"\0" * 10_000_000),
        gzip.compress(gzip.decompress(volume((9, 9, 9)))[:600]),
        volume((1, 1, 1, 512)),
        huge(),
    ],
    ids=["empty", "text", "zeros", "cut", "one voxel", "huge"],
)
def test_what_cannot_be_drawn_gives_no_picture(tmp_path: Path, content: bytes) -> None:
    """And no error, and leaves nothing behind."""
    assert drawn(tmp_path, content) is None


def sleeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program that never ends in the place of the one that draws; return where it says so."""
    said = tmp_path / "said"
    script = f"#!/bin/sh\nenv > {said}.part; mv {said}.part {said}; exec sleep 600\n"
    (tmp_path / "python").write_text(script)
    (tmp_path / "python").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "t1.nii").write_bytes(b"x")
    return said


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that a picture may take."""
    sleeping(tmp_path, monkeypatch)
    with (tmp_path / "t1.nii").open("rb") as file:
        assert previews.mosaic(file, tmp_path, seconds=0.5) == b""


def test_it_is_ended_too_where_vipsync_is_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And knows neither the key nor anything else of the environment that it does not need."""
    monkeypatch.setenv("VIP_API_KEY", "7q3v1k9u2m5t8s4r6p0o1n2l3j")
    said = sleeping(tmp_path, monkeypatch)

    def stop() -> None:
        if said.exists():
            raise Stopped

    with (tmp_path / "t1.nii").open("rb") as file, pytest.raises(Stopped):
        previews.mosaic(file, tmp_path, stop=stop)
    names = {line.partition("=")[0] for line in said.read_text().splitlines()}
    assert "7q3v1k9u" not in said.read_text()
    assert not {name for name in names if name.startswith(("VIP", "HOME", "USER"))}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system sets no limits on a process")
@pytest.mark.parametrize("name", ["MEMORY", "PICTURE", "SECONDS"])
def test_the_process_holds_itself_to_limits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory, size of the picture, time of the processor: a child takes them upon itself."""
    import resource

    kinds = {
        "MEMORY": resource.RLIMIT_AS,
        "PICTURE": resource.RLIMIT_FSIZE,
        "SECONDS": resource.RLIMIT_CPU,
    }
    set_to: dict[int, tuple[int, int]] = {}
    keep: Callable[..., None] = set_to.__setitem__
    monkeypatch.setattr(resource, "setrlimit", keep)
    drawing.limit()
    most = getattr(drawing, name)
    assert set_to[kinds[name]] == (most, most)
