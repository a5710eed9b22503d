"""What a process that was killed left half done, on the disk of outputs/ where that is another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bench import Bench

PART = "0123456789abcdef01234567"
HALF_DONE = (
    f"{PART}-10.part",
    f"{PART}-10.came.part",
    f"{PART}-10.inside.part",
    "workflow-abc-1.stdout",
    "workflow-abc-12.stderr",
)
HALF_UNPACKED = (f"{PART}-10.tree", "unpack-0123456789abcdef")
OF_OTHERS = (
    "ledger.sqlite",
    "lock",
    "notes.part",
    "unpack-mine",
    f"{PART}.part",
    "x.stdout",
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def planted(place: Path) -> None:
    """Leave what a process leaves that is killed at any moment, and what others have there."""
    place.mkdir(parents=True)
    for name in (*HALF_DONE, *OF_OTHERS):
        (place / name).write_text(name)
    for name in HALF_UNPACKED:
        (place / name / "tree").mkdir(parents=True)
        (place / name / "tree" / "a.txt").write_text("a")


@pytest.mark.parametrize("directory", ["outputs", "../results", "../far/away"])
def test_half_done_results_on_another_disk_go(bench: Bench, directory: str) -> None:
    """The next start deletes what has our names; what has others stays."""
    study = bench.study(a="one")
    study.settings.write_text(f'{study.settings.read_text()}[outputs]\ndirectory = "{directory}"\n')
    place = (study.root / directory).resolve() / ".vipsync"
    planted(place)
    bench.rest()
    assert sorted(path.name for path in place.iterdir()) == sorted(OF_OTHERS)


def test_what_a_link_leads_to_stays(bench: Bench, tmp_path: Path) -> None:
    """Somebody who puts one there has nothing deleted elsewhere."""
    planted(tmp_path / "theirs" / ".vipsync")
    study = bench.study(a="one")
    (study.root / "outputs").mkdir()
    (study.root / "outputs" / ".vipsync").symlink_to(tmp_path / "theirs" / ".vipsync")
    bench.rest()
    left = {path.name for path in (tmp_path / "theirs" / ".vipsync").iterdir()}
    assert left == {*HALF_DONE, *HALF_UNPACKED, *OF_OTHERS}
