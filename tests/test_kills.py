"""Killed before or after any effect that lasts, and started again: the same end as if nothing had been."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.effects import Fatal
from tests.plays import Play, Story
from tests.stories import STORIES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is a fork here")

STRIDE = 149
"""Every so many kill points one is tried in each run of the tests: a prime, so that kinds vary."""

KINDS = {
    "commit",
    "flush",
    "rename",
    "removal",
    "folder",
    "ledger",
    "request",
    "answer",
    "block",
}

End = dict[str, object]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., tuple[Play, End]]:
    """Return a function that plays a story to its end, in a folder that is gone afterwards."""

    def play(story: Story, fatal: Fatal | None = None) -> tuple[Play, End]:
        root = tmp_path / "world"
        made = Play(root, story)
        try:
            made.play(fatal)
            return made, made.end()
        finally:
            shutil.rmtree(root)

    return play


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_now_and_then_it_comes_to_the_same_end(
    play: Callable[..., tuple[Play, End]], story: Story
) -> None:
    """An even sample of all kill points, the same in every run."""
    _try_all(play, story, STRIDE)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_anywhere_it_comes_to_the_same_end(
    play: Callable[..., tuple[Play, End]], story: Story
) -> None:
    """Before and after every single effect of every story."""
    _try_all(play, story, 1)


def _try_all(play: Callable[..., tuple[Play, End]], story: Story, stride: int) -> None:
    whole, wanted = play(story)
    first = STORIES.index(story) * 31 % stride  # not always the same moment of a story
    for point in range(first, 2 * len(whole.kinds), stride):
        fatal = Fatal(point // 2, before=point % 2 == 0)
        killed, end = play(story, fatal)
        assert killed.killed_at == whole.kinds[fatal.number], (
            "another effect than that of the whole"
        )
        assert end == wanted, f"killed {fatal}, a {killed.killed_at}"


def test_the_stories_have_effects_of_all_kinds(play: Callable[..., tuple[Play, End]]) -> None:
    """What is counted is there: else a seam that misses its functions would kill nobody."""
    few = [story for story in STORIES if story.name in ("one file", "written words")]
    kinds = Counter(kind for story in few for kind in play(story)[0].kinds)
    assert set(kinds) == KINDS
    assert kinds["request"] == kinds["answer"]


def test_a_killed_process_leaves_what_it_had_under_way(
    play: Callable[..., tuple[Play, End]], tmp_path: Path
) -> None:
    """No `finally` tidies up: the file that was to become the marker lies there half done."""
    (story,) = (story for story in STORIES if story.name == "one file")
    whole, _ = play(story)
    left = []
    for number in (n for n, kind in enumerate(whole.kinds) if kind == "rename"):
        made = Play(tmp_path / str(number), story)
        made.live(Fatal(number, before=True))
        left += [p.name.split(".")[1] for p in (tmp_path / str(number)).rglob(".*.tmp")]
    assert left == ["session", "ON_VIP"]
