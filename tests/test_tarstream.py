"""Tests of reading archives: whatever is cut short, damaged or appended to is noticed."""

import gzip
import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.lab.memory import traced
from tests.test_archive import FORMATS, GOOD, GOOD_TREE, Member, Place, packed
from vipsync.disk.tarstream import TarReader, looks_like_tar, opened
from vipsync.errors import ArchiveRefused, LocalFileError

FLIPS = int(os.environ.get("VIPSYNC_EXAMPLES", "60"))

NOISE = random.Random(1).randbytes(2**20 + 300)


def read_all(path: Path, content: bytes) -> dict[str, bytes]:
    """Return what is in an archive that is read to its end."""
    path.write_bytes(content)
    found = {}
    with opened(path) as file:
        reader = TarReader(file)
        for member in reader.members():
            size = member.size if member.isreg() else 0
            found[member.name] = b"".join(map(bytes, reader.body(member))) if size else b""
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "no-name-that-tells"


@pytest.mark.parametrize("form", FORMATS)
def test_larger_than_a_block(path: Path, form: str) -> None:
    """Contents that span blocks arrive unchanged."""
    members = [Member("a", NOISE), Member("b", NOISE[:513]), Member("c" * 300, NOISE[1:])]
    expected = {member.name: member.data for member in members}
    assert read_all(path, packed(members, form)) == expected


@pytest.mark.parametrize("form", FORMATS)
def test_cut_short(path: Path, form: str) -> None:
    """An archive that ends anywhere before its end is refused."""
    whole = packed(GOOD, form)
    end = len(whole)
    if form == "tar":  # the last header, which is that of an empty file, and one block of zeros
        end = -(-len(whole.rstrip(b"\0")) // 512) * 512 + 512
    for size in [*range(0, end, 1 if end < 1000 else 53), end - 1]:
        with pytest.raises(ArchiveRefused):
            read_all(path, whole[:size])
    assert len(read_all(path, whole[:end])) == len(GOOD)


@pytest.mark.parametrize("form", ["gz", "bz2", "xz"])
def test_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """A changed byte in a compressed archive is noticed, or was of no meaning."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    place = Place(tmp_path)
    whole = packed(GOOD, form)
    unnoticed = 0
    for position in range(0, len(whole), 2):
        content = bytearray(whole)
        content[position] ^= 0x55
        try:
            place.unpack(bytes(content))
        except ArchiveRefused:
            continue
        unnoticed += 1
        assert place.tree() == GOOD_TREE
        shutil.rmtree(place.target)
    assert unnoticed < 20  # the time and the name in the head of a gzip file, for example


@pytest.mark.parametrize("form", FORMATS)
def test_flipped_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Bits that flip anywhere give an archive that is refused, or one that is whole inside.

    A plain tar has no sum over its contents: there only names and structure can be judged.
    """
    monkeypatch.setattr(os, "fsync", lambda _: None)
    place, chance, refused = Place(tmp_path), random.Random(form), 0
    whole = packed(GOOD, form)
    for _ in range(FLIPS):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        try:
            place.unpack(bytes(content))
        except ArchiveRefused:
            refused += 1
            continue
        assert form == "tar" or place.tree() == GOOD_TREE
        shutil.rmtree(place.target)
    assert refused > FLIPS // 20


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("tail", [b"x", bytes(4096) + b"x", b"x" * 512])
def test_something_follows(path: Path, form: str, tail: bytes) -> None:
    """What follows an archive, unless it is zeros, would be lost: the archive is refused."""
    whole = packed(GOOD, form)
    assert read_all(path, whole + bytes(4096))
    with pytest.raises(ArchiveRefused):
        read_all(path, whole + tail)


def test_two_archives_in_one(path: Path) -> None:
    """Two archives in one file are refused, since only the first one would be seen."""
    with pytest.raises(ArchiveRefused, match="follows"):
        read_all(path, packed(GOOD) * 2)
    with pytest.raises(ArchiveRefused, match="follows"):
        read_all(path, packed(GOOD, "gz") * 2)


def test_endless_padding(path: Path) -> None:
    """Zeros after the end are not read for ever."""
    with pytest.raises(ArchiveRefused, match="follows"):
        read_all(path, gzip.compress(packed(GOOD) + bytes(2**25)))


def test_several_streams(path: Path) -> None:
    """A tar in several gzip streams, as parallel tools write them, is read as one."""
    whole = packed(GOOD)
    parts = [whole[at : at + 700] for at in range(0, len(whole), 700)]
    content = b"".join(gzip.compress(part) for part in [b"", *parts, b""])
    assert len(read_all(path, content)) == len(GOOD)


def test_damaged_header_is_not_the_end(path: Path) -> None:
    """A header with a wrong checksum refuses the archive, whatever came before it."""
    whole = bytearray(packed([Member("a"), Member("b"), Member("c")]))
    whole[512] ^= 1
    with pytest.raises(ArchiveRefused, match="damaged"):
        read_all(path, bytes(whole))


def header(name: str, kind: bytes, size: int) -> bytes:
    """Return one header, without what should follow it."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_enormous_header(path: Path, kind: bytes) -> None:
    """A header that claims gigabytes is refused before memory is taken."""
    content = gzip.compress(header("x", kind, 2**33) + bytes(2**26))
    with traced() as peak:
        with pytest.raises(ArchiveRefused, match="large a header"):
            read_all(path, content)
        assert peak() < 2**23


def test_endless_headers(path: Path) -> None:
    """Headers of headers of headers are refused."""
    chain = (header("x", tarfile.GNUTYPE_LONGNAME, 0)) * 100_000
    with pytest.raises(ArchiveRefused):
        read_all(path, gzip.compress(chain))


def test_header_without_member(path: Path) -> None:
    """A long name that no member follows is no end."""
    content = header("x", tarfile.GNUTYPE_LONGNAME, 0) + bytes(1024)
    with pytest.raises(ArchiveRefused, match="damaged"):
        read_all(path, packed([Member("a")]).rstrip(b"\0").ljust(512, b"\0") + content)


def test_negative_size(path: Path) -> None:
    """A size below zero is damage, not a way back."""
    with pytest.raises(ArchiveRefused):
        read_all(path, header("x", tarfile.REGTYPE, -512) + bytes(1024))


@pytest.mark.parametrize("form", FORMATS)
def test_memory_is_constant(path: Path, form: str) -> None:
    """A member of 64 MB is read with a few blocks of memory, whatever its name and neighbours."""
    path.write_bytes(packed([Member("zeros", bytes(2**26))], form))
    with traced() as peak, opened(path) as file:
        reader = TarReader(file)
        total = sum(len(block) for member in reader.members() for block in reader.body(member))
        assert total == 2**26
        assert peak() < 2**24


@pytest.mark.parametrize("form", FORMATS)
def test_looks_like_tar(path: Path, form: str) -> None:
    """The content says what is a tar archive."""
    path.write_bytes(packed([Member("a", NOISE)], form))
    assert looks_like_tar(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", bytes(512), bytes(33_280), NOISE, b"\x1f\x8b\x08", b"PK\3\4" + bytes(600)],
)
def test_does_not_look_like_tar(path: Path, content: bytes) -> None:
    """Other files, zeros and empty archives are none, compressed or not."""
    path.write_bytes(content)
    assert not looks_like_tar(path)
    path.write_bytes(gzip.compress(content))
    assert not looks_like_tar(path)


def test_cannot_be_read(path: Path) -> None:
    """A file that is not there, or a folder, is an error of that file."""
    with pytest.raises(LocalFileError, match="no-name-that-tells cannot be read"):
        looks_like_tar(path)
    path.mkdir()
    with pytest.raises(LocalFileError, match="cannot be read"):
        looks_like_tar(path)
