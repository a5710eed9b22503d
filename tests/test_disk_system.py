"""A disk that is full, read-only or forbidden, as the folder meets it: nothing is lost, and work goes on."""

from __future__ import annotations

import csv
import errno
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.full_disk import Disk, refusing_disk
from tests.lab.mounts import small_disk
from vipsync.errors import DiskError, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.rows import Phase
from vipsync.run.folder_logs import FolderLogs
from vipsync.run.reconciler import Reconciler
from vipsync.status.publish import Publisher, read_status
from vipsync.status.reserve import spoken

ALL_KINDS = SETTINGS + 'parameters = { zip = "basis/" }\n'
SPACE_AFTER = 90.0
"""Seconds after which what was refused is possible again."""

WORDS = ("STATUS.txt", "status.json", "session_data.json", "results.csv", "vipsync.log")
REFUSALS = ("full", "read-only", "not permitted")

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks up paths in /proc/self/fd")


@dataclass(frozen=True)
class Usual:
    """The story on a disk that refuses nothing: where it writes, in order, and its end."""

    paths: Sequence[str]
    end: object

    @property
    def writes(self) -> int:
        """Return how many there are."""
        return len(self.paths)


def test_a_ledger_that_cannot_grow_loses_nothing(bench: Bench) -> None:
    """Each time the ledger is full the folder is let go; in the end each case was launched once."""
    study = bench.study(**{f"s{number:03}": f"signal {number}" for number in range(120)})
    troubles: list[VipsyncError | None] = []
    bench.publish = lambda session: troubles.append(session.trouble)
    for _ in range(24):
        bench.run(3)
        if study.session.is_open:
            _fill_up(study)
    assert sum(isinstance(trouble, DiskError) for trouble in troubles) > 3
    bench.until(lambda: study.trouble() is None and bench.loop.at_rest())
    started = sorted(name for names in bench.executions() for name in names)
    assert started == [f"s{number:03}.mrui" for number in range(120)]
    assert len(list((study.root / "outputs").glob("*/*.tgz"))) == 120


def _fill_up(study: Study) -> None:
    """Let this connection's database grow by one page at most: then SQLite says that it is full."""
    database = study.session.ledger._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 1}")


# every write of a whole story


@dataclass
class Story:
    """Two cases with a packed folder, a rerun and the end, with every file that people read."""

    bench: Bench
    study: Study = field(init=False)
    published: Publisher = field(default_factory=Publisher)
    logs: FolderLogs = field(default_factory=lambda: FolderLogs(lambda root: root.name))
    results: dict[str, bytes] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.study = self.bench.study(settings=ALL_KINDS, a="one", b="two")
        self.study.write({"basis/x.txt": "basis"})
        self.bench.publish = self._publish

    def _publish(self, session: Reconciler) -> None:
        self.published.publish(session)
        self.logs.follow(session)
        self.said += [str(session.trouble)] if session.trouble else []
        self.said += [n.text for n in session.plan.notices] if session.plan else []
        self.check_files()

    def tell(self) -> tuple[object, ...]:
        """Live it; return what there is in the end."""
        with self.logs.kept():
            self._until(lambda: len(self._here()) == 2)
            self._ask("rerun", "a.mrui")
            self._until(lambda: len(self._here()) == 3)
            on_vip = self.bench.vip_inputs()
            self._ask("finish")
            self._until(lambda: self.study.phase() is Phase.CLOSED)
            assert self.bench.sessions_on_vip() == []
            self.bench.restart()
            self._until(lambda: True)
        assert list((self.study.root / ".vipsync" / "transfers").iterdir()) == []
        return on_vip, self._here(), self.bench.executions()

    def _here(self) -> dict[str, bytes]:
        """Return the results; a disk that became read-only may have kept a temporary file."""
        return {n: c for n, c in self.study.outputs().items() if not n.startswith(".")}

    def _until(self, true: Callable[[], bool]) -> None:
        session = self.study.root
        self.bench.until(
            lambda: (
                self.bench.loop.sessions[session].is_open
                and not self.study.trouble()
                and self.bench.loop.at_rest()
                and true()
            )
        )

    def _ask(self, *words: str) -> None:
        """Leave a request, as a person who tries again does."""
        for _ in range(5):
            try:
                self.study.ask(*words)
            except VipsyncError as error:
                self.said.append(str(error))
                self.bench.clock.sleep(SPACE_AFTER)
            else:
                return

    def check_files(self) -> None:
        """See that every file that lies there is whole."""
        root, outputs = self.study.root, self.study.root / "outputs"
        for words in (root / "STATUS.txt", root / "ON_VIP.txt"):
            assert not words.exists() or words.read_text().endswith("\n")
        for document in (outputs / "session_data.json", root / ".vipsync" / "status.json"):
            assert not document.exists() or json.loads(document.read_text())
        if (table := outputs / "results.csv").exists():
            rows = list(csv.reader(table.read_text().splitlines()))
            assert len({len(row) for row in rows}) == 1
        for path in outputs.glob("*/*.tgz/*"):
            content = path.read_bytes()
            assert content == self.results.setdefault(path.name, content) != b""


@contextmanager
def disk_of(story: Story, number: int, code: int, *, once: bool) -> Iterator[Disk]:
    """Refuse the n-th write, and unless `once` all that follow, until there is space again."""
    clock, since = story.bench.clock, []

    def refuses(at: int) -> bool:
        if at == number:
            since.append(clock.now())
        return bool(since) and (at == number or not once) and clock.now() < since[0] + SPACE_AFTER

    with refusing_disk(story.study.root) as disk:
        disk.refuses, disk.errno = refuses, code
        yield disk


def told(bench: Bench, number: int, code: int, *, once: bool = False) -> object:
    """Live the story with a disk that refuses; what lasts must have been said.

    Where nothing but the words themselves was refused, at the very end, only the log can tell.
    """
    story = Story(bench)
    with disk_of(story, number, code, once=once) as disk:
        end = story.tell()
    assert not [words for words in story.said if "fault in vipsync" in words]
    heard = [
        words for words in story.said if re.search("cannot be written|not permitted|disk", words)
    ]
    assert once or heard or all(any(name in path for name in WORDS) for path in disk.refused)
    return end


@pytest.fixture(autouse=True)
def _quiet_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say nothing of a log that cannot be written, as the command does."""
    monkeypatch.setattr(logging, "raiseExceptions", False)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """Return the number of writes of the story, and its end."""
    story = Story(Bench(tmp_path_factory.mktemp("usual")))
    with disk_of(story, 0, errno.EROFS, once=True) as disk:
        end = story.tell()
    story.bench.close()
    assert len(disk.paths) > 300
    return Usual(disk.paths, end)


@needs_linux
@pytest.mark.parametrize(
    ("code", "parts"), [(errno.ENOSPC, 6), (errno.EROFS, 2), (errno.EACCES, 2)], ids=REFUSALS
)
def test_a_disk_that_refuses_a_while_changes_nothing_in_the_end(
    make_bench: Callable[..., Bench], usual: Usual, code: int, parts: int
) -> None:
    """From some write on nothing can be written; with space again the story ends as it would have."""
    for number in range(usual.writes // parts // 2, usual.writes, usual.writes // parts):
        assert told(make_bench(f"{number}"), number, code) == usual.end, f"at write {number}"


@needs_linux
@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("once", [False, True], ids=["lasting", "once"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES], ids=REFUSALS)
def test_a_disk_that_refuses_any_write_changes_nothing_in_the_end(
    make_bench: Callable[..., Bench], usual: Usual, code: int, *, once: bool
) -> None:
    """The same for each single write of the story, refused once or for a while."""
    for number in range(1, usual.writes + 1):
        bench = make_bench(f"{number}")
        assert told(bench, number, code, once=once) == usual.end, f"at write {number}"
        bench.close()


@needs_linux
@pytest.mark.parametrize("once", [False, True], ids=["lasting", "once"])
@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES], ids=REFUSALS[1:])
def test_a_request_whose_effect_or_end_is_refused_is_carried_out_once(
    make_bench: Callable[..., Bench], usual: Usual, code: int, *, once: bool
) -> None:
    """Neither forgotten nor repeated: a request that stays, a marker that cannot be deleted."""
    words = r"requests/\d.*json$|ON_VIP.txt$"
    numbers = [n for n, path in enumerate(usual.paths, 1) if re.search(words, path)]
    assert len(numbers) == 6  # left and taken away: a rerun, and the end; the marker, too
    for number in numbers:
        bench = make_bench(f"{number}")
        assert told(bench, number, code, once=once) == usual.end, f"at write {number}"


def test_a_real_disk_that_fills_up_again_and_again(
    make_bench: Callable[..., Bench], usual: Usual
) -> None:
    """Every third minute not a byte is free on the folder's disk: the end is the same.

    What a minute of quiet has shown of a folder is written down in the next one.
    """
    bench = make_bench("small")
    bench.root.mkdir(parents=True)
    with small_disk(bench.root):
        story = Story(bench)
        ballast, publish = bench.root / "ballast", bench.publish
        full = 0

        def fill(session: Reconciler) -> None:
            nonlocal full
            if int(bench.clock.now()) // 60 % 3 == 2:
                full += _filled(ballast)
            else:
                ballast.unlink(missing_ok=True)
            publish(session)

        bench.publish = fill
        assert story.tell() == usual.end
        assert full
        assert [words for words in story.said if "No space left" in words or "full" in words]
        bench.close()


def _filled(ballast: Path) -> bool:
    """Write until nothing more fits; tell whether anything did."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast.stat().st_size > 0


@needs_linux
def test_a_log_whose_last_line_does_not_fit_ends_all_the_same(bench: Bench) -> None:
    """Where the folder is let go on a full disk, its log ends without an error."""
    study = bench.study(a="one")
    bench.rest()
    logs = FolderLogs(lambda root: root.name)
    with refusing_disk(study.root) as disk, logs.kept():
        logs.follow(study.session)
        disk.refuses = lambda _number: True
        logging.getLogger("vipsync").warning("a line that does not fit")
        study.session.close()
        logs.follow(study.session)
    assert disk.refused


def test_words_that_have_no_place_do_not_end_the_run(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else is in the place of outputs/: the log says what, the rest is written, work goes on."""
    study = bench.study(a="one")
    bench.publish = Publisher().publish
    bench.rest()
    outputs, away = study.root / "outputs", study.root / "away"
    outputs.rename(away)
    outputs.write_text("in the way")
    study.drop(b="two")
    bench.run(60)
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    said = [text for text in caplog.messages if text.startswith("STATUS.txt could not be written")]
    assert said
    assert all(str(outputs) in text and "Error" not in text for text in said)
    outputs.unlink()
    away.rename(outputs)
    bench.run(600)
    assert len(study.outputs()) == 2


@needs_linux
@pytest.mark.parametrize("moment", ["at rest", "at work"])
def test_a_full_disk_is_said_by_status(bench: Bench, moment: str) -> None:
    """Where not a byte can be written, `status` says what `run` says; once there is room, what is true."""
    bench.root.mkdir(parents=True, exist_ok=True)
    with small_disk(bench.root):
        study, folder = bench.study(a="one"), SessionFolder(bench.root / "study")
        bench.publish = Publisher().publish
        if moment == "at rest":
            bench.rest()
        else:
            bench.until(bench.executions)
        assert spoken(folder) is None
        study.write({"b.mrui": ""})
        ballast = bench.root / "ballast"
        assert _filled(ballast)
        bench.run(60)
        said = read_status(folder)
        assert said
        assert "full" in said.sentence
        assert said.exit_code == 3
        assert said.written > bench.clock.now() - 10
        ballast.unlink()
        bench.run(60)
        said = read_status(folder)
        assert said
        assert "full" not in said.sentence
        assert spoken(folder) is None
        bench.close()
