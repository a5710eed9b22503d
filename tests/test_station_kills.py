"""A station killed before or after any effect that lasts, and started again: the same end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.bench import Bench, files_below
from tests.lab.effects import Fatal
from tests.lab.stations import Station, station
from tests.test_kills import Play, Step, Story
from vipsync.station.ledger import read_station
from vipsync.station.steps import StudyState

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is a fork here")

STRIDE = 61
"""Every so many kill points one is tried in each run of the tests: a prime, so that kinds vary."""


@pytest.fixture(autouse=True)
def _private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPSYNC_DATA", str(tmp_path / "world" / "private"))


def come_to(made: Station, *states: StudyState) -> Callable[[], bool]:
    """Wait until studies stand so, and nothing can advance any more."""

    def reached() -> bool:
        made.bench.loop.turn()
        status = made.keeper.status
        return (
            status is not None
            and made.bench.loop.at_rest()
            and sorted(made.states().values()) == sorted(states)
        )

    return reached


def life(**settings: str) -> Callable[[Bench], list[Step]]:
    """Tell of two studies, of data that come late, of an export that is renamed and one that is repeated."""

    def tell(bench: Bench) -> list[Step]:
        made = station(bench, **settings)

        def arrive() -> None:
            made.write("SMITH", {"svs/1.rda": "one"})
            made.write("DOE", {"svs/1.rda": "two"})

        def late() -> None:
            made.write("SMITH", {"t1/1.ima": "late"})

        def again() -> None:
            made.rename("DOE", "DOE_JANE")
            made.ask("take-late", late_study(made))

        return [
            Step(arrive, come_to(made, StudyState.DONE, StudyState.DONE)),
            Step(late, come_to(made, StudyState.DONE, StudyState.HELD)),
            Step(again, come_to(made, StudyState.DONE, StudyState.DONE)),
        ]

    return tell


def late_study(made: Station) -> str:
    """Return the study of which more came, as its table tells."""
    lines = (made.root / "station.csv").read_text().splitlines()
    return next(line.split(",")[0] for line in lines if ",held," in line)


STORIES = (Story("point", life()), Story("copy", life(take='"copy"')))


class StationPlay(Play):
    """A story of a station."""

    def end(self) -> dict[str, object]:
        """Return what there is in the end, here and on VIP."""
        (study,) = self.bench.studies
        made = Station(self.bench, study.root, self.bench.root.parent / "export")
        rows = read_station(study.root / ".vipsync" / "station.sqlite")
        sessions = files_below(study.root / "sessions")
        return {
            "sessions on VIP": self.bench.sessions_on_vip(),
            "executions": made.started(),
            "studies": [
                (s.name, s.stage, s.asked, s.ran, s.content) for s in rows.studies.values()
            ],
            "sessions": sorted(n for n in sessions if "/inputs/" in n or n.endswith(".toml")),
            "results": len([n for n in sessions if n.endswith("/fit")]),
            "export": sorted(files_below(made.export)),
        }


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., tuple[Play, dict[str, object]]]:
    """Return a function that plays a story to its end, in a folder that is gone afterwards."""

    def played(story: Story, fatal: Fatal | None = None) -> tuple[Play, dict[str, object]]:
        root = tmp_path / "world"
        made = StationPlay(root / "here", story)
        try:
            made.play(fatal)
            return made, made.end()
        finally:
            made.bench.close()
            shutil.rmtree(root)

    return played


@pytest.mark.parametrize("story", STORIES[:1], ids=lambda story: story.name)
def test_a_station_killed_now_and_then_comes_to_the_same_end(
    play: Callable[..., tuple[Play, dict[str, object]]], story: Story
) -> None:
    """Before and after commits, renames, requests and answers: one session per study, each run once."""
    quiet, end = play(story)
    assert end["executions"] == ["S0001", "S0002", "S0001"]
    for number in range(story is STORIES[0], len(quiet.kinds), STRIDE):
        for before in (True, False):
            killed, same = play(story, Fatal(number, before=before))
            kind = f"{'before' if before else 'after'} effect {number}, a {killed.killed_at}"
            assert killed.killed_at, kind
            assert same == end, kind


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_station_killed_anywhere_comes_to_the_same_end(
    play: Callable[..., tuple[Play, dict[str, object]]], story: Story
) -> None:
    """Before and after each effect of a story."""
    quiet, end = play(story)
    for number in range(len(quiet.kinds)):
        for before in (True, False):
            killed, same = play(story, Fatal(number, before=before))
            assert same == end, (number, before, killed.killed_at)
