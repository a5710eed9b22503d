"""The lock of a folder is taken away while vipsync works there: nobody else launches anything a second time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.bench import Bench
from vipsync.errors import DiskError, FolderAbsent, FolderHeld
from vipsync.folder.folder import SessionFolder
from vipsync.folder.holding import take

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def removed(lock: Path) -> None:
    lock.unlink()


def renamed(lock: Path) -> None:
    lock.rename(lock.with_name("old"))


def replaced(lock: Path) -> None:
    lock.with_name("new").touch()
    lock.with_name("new").replace(lock)


def copied(lock: Path) -> None:
    shutil.copy2(lock, lock.with_name("copy"))
    lock.with_name("copy").replace(lock)


ATTACKS = (removed, renamed, replaced, copied)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_second_process_is_kept_out_without_the_lock(
    tmp_path: Path, attack: Callable[[Path], None]
) -> None:
    """The ledger itself is held, and whoever asks is told that somebody works there."""
    folder = SessionFolder(tmp_path)
    hold = take(folder, "", lambda: 0.0)
    attack(folder.lock)
    assert SessionFolder(tmp_path).is_held()
    with pytest.raises(FolderHeld):
        take(SessionFolder(tmp_path), "", lambda: 0.0)
    with pytest.raises(FolderAbsent, match="removed or replaced"):
        hold.renew()
    hold.release()
    take(SessionFolder(tmp_path), "", lambda: 0.0).release()
    assert not SessionFolder(tmp_path).is_held()


@pytest.mark.parametrize("attack", ATTACKS)
def test_whoever_holds_the_folder_notices_and_goes_on(
    bench: Bench, attack: Callable[[Path], None]
) -> None:
    """It lets the folder go, takes it anew, and each case is launched once."""
    study = bench.study(a="one")
    bench.until(bench.executions)
    attack(study.session.folder.lock)
    bench.run(1)
    study.drop(b="two")
    bench.run(100)
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert not study.trouble()


def test_a_ledger_that_was_replaced_is_not_written_on(bench: Bench) -> None:
    """A copy of before in its place is another one: the folder is taken anew with what it says."""
    study = bench.study(a="one")
    bench.until(bench.executions)
    ledger = study.session.folder.ledger
    shutil.copy(ledger, ledger.with_name("copy"))
    held = study.session.ledger
    ledger.with_name("copy").replace(ledger)
    bench.run(20)
    assert study.session.ledger is not held
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]


def test_a_ledger_that_lies_elsewhere_too_is_not_opened(tmp_path: Path) -> None:
    """Its journal, which stays here, would be written into the file of somebody else."""
    folder = SessionFolder(tmp_path / "study")
    take(folder, "", lambda: 0.0).release()
    (tmp_path / "theirs").write_bytes(folder.ledger.read_bytes())
    folder.ledger.unlink()
    folder.ledger.hardlink_to(tmp_path / "theirs")
    with pytest.raises(DiskError, match="another name"):
        take(folder, "", lambda: 0.0)
