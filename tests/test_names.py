"""Names here, names on VIP."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipsync.errors import ForeignPath, NameRefused
from vipsync.model import RelPath, VipPath
from vipsync.names import (
    clashes,
    inputs_root,
    local_name,
    relpath,
    shell_word,
    version_path,
    vip_part,
    vip_relpath,
)

ROOT = VipPath("/vip/Home/API/study/INPUTS")


@pytest.mark.parametrize(
    "text", ["", "/", "/a", "a/", "a//b", "./a", "a/..", "../a", "a\0b", "a\nb", "a\rb", "a\\b"]
)
def test_a_path_that_leaves_the_folder_is_refused(text: str) -> None:
    """A path is taken in only where it stays inside the folder and has no control characters."""
    with pytest.raises(ForeignPath):
        relpath(text)


@pytest.mark.skipif(shutil.which("bash") is None, reason="asks bash what it reads")
@pytest.mark.parametrize(
    "text",
    [
        "plain/x-1",
        "",
        "my study",
        "it's",
        'a"b',
        "$HOME",
        "`ls`",
        "a\nb\t'c'\\d",
        "é",
        "caf\udce9 1",
    ],
)
def test_a_word_of_a_command_is_read_as_it_was_meant(text: str) -> None:
    """Whatever a folder is called, what is suggested can be copied."""
    read = subprocess.run(["bash", "-c", f"printf %s {shell_word(text)}"], capture_output=True)
    assert read.stdout == text.encode("utf-8", "surrogateescape")
    assert shell_word(text).isprintable()


def test_a_path_is_held_in_nfc() -> None:
    """Both ways to write an accent are one path."""
    assert relpath(unicodedata.normalize("NFD", "été/a b.txt")) == "été/a b.txt"


@pytest.mark.parametrize(
    ("name", "on_vip"),
    [
        ("001.mrui", "001.mrui"),
        ("été 1.nii.gz", "ete_1.nii.gz"),
        (" a  b.txt ", "a__b.txt"),
        ("ﬁle.txt", "file.txt"),
        ("x².txt", "x2.txt"),
        ("œuf.txt", "uf.txt"),
        ("a\u00a0b.txt", "a_b.txt"),
        ("a#b;c.txt", "a_b_c.txt"),
        ("Scan (1) [2].txt", "Scan__1___2_.txt"),
        ("a%20b~1.txt", "a_20b_1.txt"),
        ("℀.txt", "a_c.txt"),
        ("a@b.txt", "a@b.txt"),
        ("a@@b.txt", "a__b.txt"),
        ("a@@@b.txt", "a___b.txt"),
        ("a@", "a_"),
        (".done", ".done"),
        ("...", "..."),
        ("-,+=.x", "-,+=.x"),
    ],
)
def test_a_part_becomes_safe_on_vip(name: str, on_vip: str) -> None:
    """A name is cleaned as the server would clean it, then made harmless to what lies behind."""
    assert vip_part(name) == on_vip


@pytest.mark.parametrize(
    "name", ["日本.txt", "ßø.txt", "日本.tar.gz", "日本", "‥", "  ", "．", "\u0301"]
)
def test_a_name_of_which_nothing_is_left_is_refused(name: str) -> None:
    """A name that VIP would cut down to its extension, or to nothing, is refused by name."""
    with pytest.raises(NameRefused) as refusal:
        vip_part(name)
    assert repr(name) in str(refusal.value)


@given(st.text(min_size=1).filter(lambda text: "/" not in text))
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    """What vipsync sends is never renamed again, neither by the server nor by vipsync."""
    try:
        once = vip_part(name)
    except NameRefused:
        return
    assert vip_part(once) == once
    assert unicodedata.normalize("NFKD", once.strip().replace(" ", "_")) == once
    assert "@@" not in once


@pytest.mark.parametrize("path", ["vip/Home/x", "a/vip/Home", "a/vip/Homes/b"])
def test_a_path_that_repeats_the_root_is_refused(path: str) -> None:
    """VIP replaces every `/vip/Home` inside a path, so a second one would be mangled."""
    with pytest.raises(NameRefused, match="vip/Home"):
        vip_relpath(path)


def test_a_path_that_only_looks_like_the_root_is_kept() -> None:
    """Only the exact text of the root is replaced by VIP."""
    assert vip_relpath("vip/home/Avip/Home") == "vip/home/Avip/Home"


def test_a_folder_named_as_a_version_is_refused() -> None:
    """A first folder called `_v2` would mix with the second contents of other files."""
    with pytest.raises(NameRefused, match="_v2"):
        vip_relpath("_v2/a.txt")
    assert vip_relpath("a/_v2/a.txt") == "a/_v2/a.txt"


def test_each_part_of_a_path_is_cleaned() -> None:
    """Parents are made safe too: the server cleans the last part only."""
    assert vip_relpath("été 1/séance/a b.nii") == "ete_1/seance/a_b.nii"


def test_files_that_would_share_a_name_are_named_together() -> None:
    """A clash names every path that would end under the same name; refused ones do not count."""
    paths = [RelPath(p) for p in ["b.txt", "été.txt", "ete.txt", "日本.txt", "ßø.txt"]]
    assert clashes(paths) == {"ete.txt": ("ete.txt", "été.txt")}


def test_the_inputs_of_a_session_lie_below_its_name() -> None:
    """The folder of a session's inputs on VIP is the one that vip-client uses."""
    assert inputs_root("study") == ROOT


@pytest.mark.parametrize(
    ("version", "path"),
    [(1, f"{ROOT}/a_b/c.txt"), (2, f"{ROOT}/_v2/a_b/c.txt"), (12, f"{ROOT}/_v12/a_b/c.txt")],
)
def test_other_content_goes_to_another_folder(version: int, path: str) -> None:
    """The first content lies below INPUTS, each later one below a version's folder."""
    assert version_path(ROOT, version, vip_relpath("a b/c.txt")) == path


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("02-02-2023_09:21:23", "02-02-2023_09-21-23"),
        ('a<b>c"d?e*f g', "a-b-c-d-e-f-g"),
        ("..\\x", "..-x"),
        ("end..", "end--"),
        ("con.txt", "con-.txt"),
        ("LPT1", "LPT1-"),
        ("console.txt", "console.txt"),
    ],
)
def test_a_name_from_vip_fits_windows(part: str, name: str) -> None:
    """On Windows what its file systems refuse becomes a dash, as vip-client does."""
    assert local_name(part, windows=True) == name


def test_a_name_from_vip_stays_elsewhere() -> None:
    """Linux and macOS keep names from VIP as they are."""
    assert local_name("a:b c*", windows=False) == "a:b c*"
