"""Pictures of volumes: drawn in a process of their own, whatever a file from outside does to it."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

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
    target = tmp_path / "kept" / "t1.png"
    target.parent.mkdir(exist_ok=True)
    there = previews.mosaic(tmp_path / name, target)
    assert there is target.exists()
    assert [p.name for p in target.parent.iterdir()] == (["t1.png"] if there else [])
    return target.read_bytes() if there else None


@pytest.mark.parametrize("shape", [(60, 72, 40), (20, 20, 20, 30), (300, 30, 4), (8, 9, 10, 1, 3)])
def test_a_volume_becomes_a_picture(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Of one or of many, in the size of a thumbnail."""
    picture = drawn(tmp_path, volume(shape))
    assert picture is not None
    assert picture.startswith(PNG)
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (768, 576)


def test_left_is_left_however_the_volume_is_stored(tmp_path: Path) -> None:
    """The bright spot lies to the right in memory; the affine says which side that is."""
    import nibabel
    import numpy as np
    from PIL import Image

    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(volume()))
    flipped = nibabel.Nifti1Image(image.get_fdata(), np.diag([-2, 2, 3, 1]))  # type: ignore[no-untyped-call]
    sides = []
    for number, content in enumerate((image.to_bytes(), flipped.to_bytes())):
        path = tmp_path / f"{number}.nii"
        path.write_bytes(content)
        assert previews.mosaic(path, tmp_path / f"{number}.png")
        tile = np.asarray(Image.open(tmp_path / f"{number}.png"))[:192, 384:576]
        sides.append("right" if tile[:, 96:].sum() > tile[:, :96].sum() else "left")
    assert sides == ["right", "left"]


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
    assert not previews.mosaic(tmp_path / "t1.nii", tmp_path / "t1.png", seconds=0.5)


def test_it_is_ended_too_where_vipsync_is_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And knows neither the key nor anything else of the environment that it does not need."""
    monkeypatch.setenv("VIP_API_KEY", "7q3v1k9u2m5t8s4r6p0o1n2l3j")
    said = sleeping(tmp_path, monkeypatch)

    def stop() -> None:
        if said.exists():
            raise Stopped

    with pytest.raises(Stopped):
        previews.mosaic(tmp_path / "t1.nii", tmp_path / "t1.png", stop=stop)
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
