"""`vipsync run` in a process of its own, while files come, change and go as they do in real life."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import SETTINGS, Served, serve, wait_until

SETTLE_SECONDS = SETTINGS.replace('settle = "100ms"', 'settle = "3s"')


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One VIP for all tests of this module; each has a session of its own."""
    with serve(tmp_path_factory.mktemp("vip")) as found:
        yield found


def test_a_slow_writer_a_burst_and_the_marker(served: Served) -> None:
    """A file that grows is sent once and whole, a burst is one execution, the end leaves VIP clean."""
    study = served.study("live", SETTLE_SECONDS)
    inputs, uploads = study / "inputs", _uploads(served)
    with served.process("run", study):
        wait_until(lambda: (study / ".vipsync" / "ledger.sqlite").exists())
        content = _write_slowly(inputs / "slow.mrui", pieces=16, pause=0.25)
        _wait_for_results(study, 1)
        assert _stored(served, "live", "slow.mrui") == content
        assert _uploads(served) == uploads + 1
        for number in range(200):
            (inputs / f"burst{number:03}.mrui").write_text(f"signal {number}")
        _wait_for_results(study, 201)
        assert served.launches() == 2
        _lose_and_edit(study)
        (study / "ON_VIP.txt").unlink()
        wait_until(lambda: "live" not in served.on_vip())
    assert len(_results(study)) == 201


def _lose_and_edit(study: Path) -> None:
    """Delete one result, which comes back; edit another, which is left alone and reported."""
    edited, lost = _results(study)[:2]
    shutil.rmtree(lost)
    (first,) = [p for p in edited.iterdir() if p.is_file()][:1]
    first.write_text("my own notes")
    wait_until(lambda: lost.is_dir() and any(lost.iterdir()))
    wait_until(lambda: f"{edited.name} was changed" in (study / "STATUS.txt").read_text())
    assert first.read_text() == "my own notes"


def test_a_folder_made_later_is_found(served: Served) -> None:
    """A process that keeps a directory takes in what appears in it."""
    first = served.study("many/first", a="one")
    (first / "settings.toml").write_text(SETTINGS.replace("{name}", "first"))
    with served.process("run", first.parent):
        _wait_for_results(first, 1)
        second = served.study("many/second", b="two")
        (second / "settings.toml").write_text(SETTINGS.replace("{name}", "second"))
        _wait_for_results(second, 1)


def test_killed_processes_leave_nothing_half(served: Served) -> None:
    """Killed without warning again and again, the work still ends as if nothing had happened."""
    before = served.launches()
    study = served.study("killed", **{f"s{number}": f"signal {number}" for number in range(20)})
    chance = random.Random(7)
    for _ in range(6):
        with served.process("run", study) as process:
            time.sleep(chance.uniform(0.3, 1.0))  # the moment of death is what is tried here
            process.kill()
    with served.process("run", study, module="tests.hasty"):
        _wait_for_results(study, 20)
        (study / "ON_VIP.txt").unlink()
        wait_until(lambda: "killed" not in served.on_vip())
    assert served.launches() == before + 1
    assert list((study / ".vipsync" / "transfers").iterdir()) == []


def _write_slowly(path: Path, pieces: int, pause: float) -> bytes:
    content = os.urandom(4000 * pieces)
    with path.open("wb", buffering=0) as file:
        for number in range(pieces):
            file.write(content[number * 4000 : (number + 1) * 4000])
            time.sleep(pause)  # a writer's own pace
    return content


def _results(study: Path) -> list[Path]:
    return sorted(p for p in (study / "outputs").glob("*/*.tgz") if p.is_dir())


def _wait_for_results(study: Path, count: int) -> None:
    wait_until(lambda: len(_results(study)) == count, seconds=60)


def _stored(served: Served, session: str, name: str) -> bytes:
    home = served.world.root / "users" / "local_user" / "API"
    return (home / session / "INPUTS" / name).read_bytes()


def _uploads(served: Served) -> int:
    return sum(r.method == "PUT" and r.path.endswith(".mrui") for r in list(served.world.requests))
