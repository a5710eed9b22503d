"""What others put into a session folder spoils their own session at most: nothing else, nowhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest
from _pytest.mark import ParameterSet

from tests.lab.bench import Bench, Study, files_below
from tests.lab.served import ROOT, serve
from vipsync.folder.folder import PLACES
from vipsync.run.reconciler import Reconciler
from vipsync.status.publish import Publisher

Odd = Callable[[Path, Path], None]
"""Put something odd at a place; the second path is a folder of somebody else."""


def link_to_file(place: Path, outside: Path) -> None:
    """Lead to a file of somebody else."""
    place.symlink_to(outside / "letter.txt")


def link_to_folder(place: Path, outside: Path) -> None:
    """Lead to a folder of somebody else."""
    place.symlink_to(outside)


def link_to_nothing(place: Path, outside: Path) -> None:
    """Lead to a name that is free, in a folder of somebody else."""
    place.symlink_to(outside / "new")


def second_name(place: Path, outside: Path) -> None:
    """Be the same file as one of somebody else."""
    place.hardlink_to(outside / "letter.txt")


def endless(place: Path, outside: Path) -> None:
    """Lead to a device that never ends."""
    place.symlink_to("/dev/zero")


def pipe(place: Path, outside: Path) -> None:
    """Keep whoever opens it waiting."""
    os.mkfifo(place)


def huge(place: Path, outside: Path) -> None:
    """Be larger than the memory."""
    with place.open("wb") as file:
        file.truncate(10 << 30)


def broken(place: Path, outside: Path) -> None:
    """Hold what no program has written."""
    place.write_bytes(b"\xff\x00{[\x1b]2;" * 1000)


def nested(place: Path, outside: Path) -> None:
    """Hold what is nested more deeply than a parser can follow."""
    place.write_text("[" * 200_000)


def folder(place: Path, outside: Path) -> None:
    """Be a folder with a file in it."""
    place.mkdir()
    (place / "letter.txt").write_text("theirs")


ODD = (
    link_to_file,
    link_to_folder,
    link_to_nothing,
    second_name,
    endless,
    pipe,
    huge,
    broken,
    nested,
    folder,
)

NAMES = {"*.json": "1.json", "*": "2026-01-01_000000"}
"""What a pattern is called where something is to be planted."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Two folders' worth of a process that also writes what people read."""
    bench = Bench(tmp_path)
    publishers: dict[Path, Publisher] = {}

    def publish(session: Reconciler) -> None:
        publishers.setdefault(session.folder.root, Publisher()).publish(session)

    bench.publish = publish
    yield bench
    bench.close()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder of somebody else."""
    place = tmp_path / "outside"
    (place / "study").mkdir(parents=True)
    (place / "letter.txt").write_text("theirs")
    (place / "study" / "a.txt").write_text("theirs")
    return place


def planted(study: Study, pattern: str, odd: Odd, outside: Path) -> Path:
    """Put something odd in the place of what belongs there."""
    *above, name = pattern.split("/")
    place = study.root.joinpath(*above, NAMES.get(name, name))
    if place.parent.is_symlink() or not place.parent.exists():
        place.parent.mkdir(parents=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    odd(place, outside)
    return place


def pairs(places: Sequence[str], kinds: Sequence[Odd], every: int) -> list[ParameterSet]:
    """Return each place with each kind: one in `every` in each run, in turn, and the others by night."""
    return [
        pytest.param(pattern, odd, marks=[] if (i + j) % every == 0 else pytest.mark.nightly)
        for i, pattern in enumerate(places)
        for j, odd in enumerate(kinds)
    ]


@pytest.mark.parametrize(("pattern", "odd"), pairs(tuple(PLACES), ODD, 16))
def test_what_is_planted_hurts_nobody_else(
    bench: Bench, outside: Path, pattern: str, odd: Odd
) -> None:
    """Nothing of others is changed or sent, other folders go on, and so does the process."""
    before = files_below(outside)
    study, other = bench.study("study", a="mine"), bench.study("other", b="theirs")
    bench.run(3.0)
    planted(study, pattern, odd, outside)
    bench.run(30.0)
    bench.restart()
    if not (study.root / "inputs").is_symlink() and (study.root / "inputs").is_dir():
        study.drop(c="more")
    bench.run(300.0)
    other.drop(d="later")
    bench.until(lambda: len(other.outputs()) == 2 and bench.loop.at_rest())
    assert files_below(outside) == before
    assert (outside / "letter.txt").stat().st_nlink <= 2
    assert b"theirs" not in bench.vip_inputs("study").values()


@pytest.mark.parametrize(
    ("pattern", "odd"),
    pairs(
        [p for p in PLACES if not p.startswith("inputs")],
        [link_to_file, link_to_folder, link_to_nothing, pipe, broken],
        9,
    ),
)
def test_what_is_planted_before_the_first_look(
    bench: Bench, outside: Path, pattern: str, odd: Odd
) -> None:
    """As for a folder that somebody passes on."""
    before = files_below(outside)
    study, other = bench.study("study", a="mine"), bench.study("other", b="theirs")
    planted(study, pattern, odd, outside)
    bench.until(lambda: len(other.outputs()) == 1 and bench.loop.at_rest())
    assert files_below(outside) == before


WATCH = """
import os, sys
def note(event, args):
    if event in {"open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.rmdir",
                 "sqlite3.connect", "os.truncate", "shutil.rmtree"}:
        for path in args[:2]:
            if isinstance(path, (str, bytes)):
                where = os.fsdecode(path)
                if where.startswith("/proc/self/fd/"):
                    number, _, rest = where[14:].partition("/")
                    try:
                        where = os.readlink("/proc/self/fd/" + number) + "/" + rest
                    except OSError:
                        continue
                found.append(where)
found = []
sys.addaudithook(note)
import atexit
@atexit.register
def tell():
    paths = list(found)
    with open(os.environ["NOTED"], "w") as file:
        file.write("\\n".join(paths))
"""


def test_the_list_of_places_is_whole(tmp_path: Path) -> None:
    """Whatever a real run opens, makes, renames or deletes in a session folder stands in the list."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    noted = tmp_path / "noted"
    with serve(tmp_path) as served:
        root = served.study(a="one")
        served.environ |= {"PYTHONPATH": f"{tmp_path}:{ROOT}", "NOTED": str(noted)}
        for command in (["pause", root], ["run", "--once", root]):
            with served.process(*command) as process:
                assert process.wait() in (0, 3)
    inside = {
        Path(line).relative_to(root).as_posix()
        for line in noted.read_text().splitlines()
        if line.rstrip("/").startswith(f"{root}/")
    }
    assert any(path.endswith("session.json") for path in inside)
    assert sorted(path for path in inside if not _listed(path)) == []


def _listed(path: str) -> bool:
    """Tell whether a path, or the final name of a file that is being written, is in the list."""
    parts = PurePosixPath(path)
    if parts.name.startswith(".") and parts.suffix == ".tmp":
        parts = parts.with_name(parts.name[1:].rsplit(".", 2)[0])
    if len(parts.parts) > 2 and parts.parts[0] in ("inputs", "outputs"):
        return True  # below a result, or a folder of inputs
    if parts.parts[:2] == (".vipsync", "transfers"):
        return True
    return any(
        parts.match(pattern) and len(parts.parts) == pattern.count("/") + 1 for pattern in PLACES
    )
