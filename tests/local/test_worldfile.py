"""Users and groups from a file (facts 10.1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.conftest import Vip, code
from vipsync.local import Options, read_world
from vipsync.local.options import Level

GROUP = '[[group]]\nname = "MR"\npipelines = ["cquest/0.6"]\n'
ADA = """[[user]]
key = "ada-key"
name = "Ada"
folder = "ada"
level = "Advanced"
groups = ["MR"]
email = "ada@example.org"
password = "secret"
"""
BOB = ADA.replace("ada", "bob").replace("Advanced", "Beginner").replace('["MR"]', "[]")


def read(tmp_path: Path, text: str) -> Options:
    file = tmp_path / "world.toml"
    file.write_text(text, "utf-8")
    return read_world(file, Options.faithful())


def test_people_have_what_the_file_says(tmp_path: Path) -> None:
    """A beginner has the server's quota, others many places, and `limit` comes before both."""
    options = read(tmp_path, GROUP + ADA + BOB + ADA.replace("ada", "zoe") + "limit = 3\n")
    assert (options.groups, options.rights) == (("MR",), {"MR": ("cquest/0.6",)})
    ada, bob, zoe = (options.users[f"{name}-key"] for name in ("ada", "bob", "zoe"))
    assert (ada.level, ada.groups, ada.limit) == (Level.ADVANCED, ("MR",), 100)
    assert (bob.level, bob.groups, bob.limit) == (Level.BEGINNER, (), None)
    assert zoe.limit == 3
    assert options.quota_user == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no [[user]]"),
        (GROUP, "there is no [[user]]"),
        ("[[user]\n", "is not TOML"),
        ("[user]\nkey = 1\n", 'each user begins with "[[user]]"'),
        ("[[users]]\n" + ADA, '"users" means nothing here'),
        (ADA, 'user 1 is in "MR", and there is no such [[group]]'),
        (GROUP + GROUP + ADA, 'group 2 has the same "name" as one before it'),
        (GROUP + ADA + ADA, 'user 2 has the same "key" as one before it'),
        (GROUP + ADA + ADA.replace("ada-key", "other"), 'user 2 has the same "folder"'),
        (GROUP + ADA.replace('key = "ada-key"', "key = 7"), 'user 1 needs a text for "key"'),
        (GROUP + ADA.replace("password", "pasword"), 'user 1 has "pasword"; known are key,'),
        (GROUP + ADA.replace('"Advanced"', '"Expert"'), '"level" of user 1 is one of Beginner,'),
        (GROUP + ADA.replace('"ada"', '"../ada"'), '"folder" of user 1 takes letters'),
        (GROUP + ADA + "limit = 0\n", '"limit" of user 1 is no whole number above 0'),
        (GROUP.replace('["cquest/0.6"]', '"all"') + ADA, '"pipelines" of group 1 is no list'),
        (GROUP.replace("MR", "M/R") + ADA, '"M/R" cannot name a folder'),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    """It names the file, and what in it."""
    with pytest.raises(ValueError, match=r"world\.toml") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Also one that is a folder."""
    with pytest.raises(ValueError, match=r"nowhere\.toml cannot be read"):
        read_world(tmp_path / "nowhere.toml", Options())
    with pytest.raises(ValueError, match="cannot be read"):
        read_world(tmp_path, Options())


def test_each_has_a_quota_of_their_own(tmp_path: Path, make_vip: Callable[..., Vip]) -> None:
    """A beginner's one execution takes no place of another's."""
    options = read(tmp_path, GROUP + ADA + BOB.replace("[]", '["MR"]'))
    vip = make_vip(users=options.users, groups=options.groups, rights=options.rights, quota_user=1)
    vip.client.headers["apikey"] = "bob-key"
    vip.launch()
    assert code(vip.post()) == (400, 2001)
    vip.client.headers["apikey"] = "ada-key"
    vip.launch()
    vip.launch()
