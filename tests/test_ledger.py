"""The ledger: what is committed is there after any end, and others can read it meanwhile."""

from __future__ import annotations

import math
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as sample
from hypothesis import strategies as st

from tests.lab.builders import CLOSED, ID, OPEN, checked, execution, known, launched, result, sent
from vipsync.errors import DiskError, FolderError
from vipsync.model import ExpectedOutput, FileState, Job, RelPath, replace
from vipsync.record.ledger import Ledger, read_state
from vipsync.record.tables import connect
from vipsync.rows import (
    CachedPipeline,
    Changes,
    DoneRequest,
    JobLog,
    Judged,
    LastSettings,
    LaunchedCase,
    Row,
    SendStatus,
    Sent,
    Session,
    Stage,
    State,
    Verdict,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path, CLOSED)
    yield made
    made.close()


def commit(ledger: Ledger, *rows: Row) -> None:
    """Commit some rows."""
    ledger.commit(Changes(put=rows))


def reopened(path: Path) -> State:
    """Return what another process finds at its start."""
    again = Ledger(path, Session("other"))
    again.close()
    return again.state


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SIZE = st.integers(0, 2**62)
STATE = st.builds(FileState, SIZE, SIZE, SIZE, SIZE)
st.register_type_strategy(str, TEXT)
st.register_type_strategy(int, st.integers(-(2**62), 2**62))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(FileState, STATE)
st.register_type_strategy(
    Mapping, lambda kind: st.dictionaries(*map(st.from_type, get_args(kind)), max_size=3)
)


def whole(kind: type[object]) -> st.SearchStrategy[Any]:
    """Return values of which each field is any value of its type."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: st.from_type(hint) for name, hint in hints.items()})


for part in (LaunchedCase, ExpectedOutput, Job):
    st.register_type_strategy(part, whole)
ROW = st.one_of([whole(kind) for kind in get_args(Row)])


@sample(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROW)
def test_every_row_comes_back_as_it_was(row: Row, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever its fields hold: other letters, line ends, zero bytes, big numbers, nothing."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    with closing(Ledger(path, CLOSED)) as ledger:
        commit(ledger, row)
        live = replace_version(ledger.state)
    assert replace_version(reopened(path)) == live


def replace_version(state: State) -> State:
    """Leave out how often a state has changed."""
    return replace(state, version=0)


def test_a_new_ledger_has_its_session(ledger: Ledger, path: Path) -> None:
    """Its first row is on disk at once."""
    assert ledger.state == State(CLOSED, version=ledger.state.version)
    assert reopened(path).session == CLOSED


def test_an_old_ledger_keeps_its_session(ledger: Ledger, path: Path) -> None:
    """The session that is handed in counts for a new file only."""
    commit(ledger, OPEN)
    assert reopened(path).session == OPEN


def test_a_row_is_replaced_by_its_key(ledger: Ledger, path: Path) -> None:
    """A place on VIP has one row."""
    commit(ledger, sent("a.dat", "one", SendStatus.TRYING))
    commit(ledger, sent("a.dat", "one"))
    assert list(reopened(path).sent.values()) == [sent("a.dat", "one")]


def test_rows_keep_their_order(ledger: Ledger, path: Path) -> None:
    """Another process sees them in the order of this one, whatever was updated or dropped since."""
    commit(ledger, *(known(f"{name}.dat", "one") for name in "cab"))
    commit(ledger, known("c.dat", "two"))
    ledger.commit(Changes(put=(known("a.dat", "new"),), drop=(known("a.dat", "one"),)))
    assert list(ledger.state.known) == ["c.dat", "b.dat", "a.dat"]
    assert list(reopened(path).known) == list(ledger.state.known)


def test_dropped_rows_are_gone(ledger: Ledger, path: Path) -> None:
    """Dropping and putting are one transaction, dropping first."""
    commit(ledger, known("a.dat", "one"), DoneRequest("r1"))
    ledger.commit(
        Changes(put=(known("b.dat", "one"),), drop=(known("a.dat", "one"), DoneRequest("r1")))
    )
    again = reopened(path)
    assert (list(again.known), again.requests) == (["b.dat"], set())


def test_a_commit_is_all_or_nothing(ledger: Ledger, path: Path) -> None:
    """A row that cannot be written takes the others with it, and the state stays as it was."""
    broken = replace(known("b.dat", "one"), sha256=object())  # type: ignore[arg-type]
    with pytest.raises(sqlite3.ProgrammingError):
        commit(ledger, known("a.dat", "one"), broken)
    assert ledger.state.known == {}
    assert reopened(path).known == {}
    commit(ledger, known("a.dat", "one"))
    assert list(reopened(path).known) == ["a.dat"]


def test_commits_together_are_one_transaction(ledger: Ledger, path: Path) -> None:
    """Nobody else sees the first before the last; what comes afterwards is a transaction of its own."""
    with ledger.together():
        commit(ledger, known("a.dat", "one"))
        commit(ledger, known("b.dat", "two"))
        assert list(ledger.state.known) == ["a.dat", "b.dat"]
        assert read_state(path).known == {}
    assert list(read_state(path).known) == ["a.dat", "b.dat"]
    commit(ledger, known("c.dat", "three"))
    assert list(reopened(path).known) == ["a.dat", "b.dat", "c.dat"]


def test_of_commits_together_none_stays_where_one_fails(ledger: Ledger, path: Path) -> None:
    """What was written before the fault is not half of what was meant."""
    broken = replace(known("b.dat", "one"), sha256=object())  # type: ignore[arg-type]
    with pytest.raises(sqlite3.ProgrammingError), ledger.together():
        commit(ledger, known("a.dat", "one"), broken)
    assert reopened(path).known == {}
    with ledger.together():
        pass
    commit(ledger, known("b.dat", "two"))
    assert list(reopened(path).known) == ["b.dat"]


def test_nothing_to_commit_touches_nothing(ledger: Ledger) -> None:
    """A plan at rest does not wear the disk."""
    ledger.close()
    ledger.commit(Changes())


def test_infinite_and_missing_times_come_back(ledger: Ledger, path: Path) -> None:
    """None stays None."""
    rows: list[Row] = [execution(ended_at=None, started=math.inf), replace(OPEN, opened_at=None)]
    commit(ledger, *rows)
    again = reopened(path)
    assert (again.executions["e1"], again.session) == tuple(rows)


def _write_for_ever(path: Path, ready: multiprocessing.synchronize.Event) -> None:
    ledger = Ledger(path, CLOSED)
    for number in range(10_000_000):
        commit(ledger, *(replace(known(f"{n}.dat", "one"), sha256=str(number)) for n in range(20)))
        if number == 3:
            ready.set()


def test_others_read_while_one_writes(path: Path) -> None:
    """A reader sees whole transactions only, and keeps nobody from writing."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=_write_for_ever, args=(path, ready), daemon=True)
    writer.start()
    try:
        assert ready.wait(10)
        numbers = [{row.sha256 for row in read_state(path).known.values()} for _ in range(20)]
    finally:
        writer.kill()
        writer.join()
    assert [len(seen) for seen in numbers] == [1] * 20
    assert len({min(seen) for seen in numbers}) > 1


def _let_go(ledger: Ledger, _path: Path) -> None:
    ledger.close()


def _copied_while_open(ledger: Ledger, path: Path) -> None:
    """Leave what a backup of the folder has, or a power cut: a WAL without its memory."""
    copies = {p: p.read_bytes() for p in path.parent.iterdir() if not p.name.endswith("-shm")}
    ledger.close()
    for copy, content in copies.items():
        copy.write_bytes(content)


def _cut_off(ledger: Ledger, path: Path) -> None:
    """Leave half a transaction of a network disk, with the journal that takes it back."""
    ledger.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = TRUNCATE")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("UPDATE Known SET sha256 = hex(zeroblob(9000))")
        half = {p: p.read_bytes() for p in path.parent.iterdir()}
        db.execute("ROLLBACK")
    for file, content in half.items():
        file.write_bytes(content)
    assert len(half[path.with_name(f"{path.name}-journal")]) > 0


def _files(folder: Path) -> dict[Path, object]:
    """Return all files; those that processes share as memory, by their names alone."""
    found = folder.iterdir()
    return {p: p.name.endswith("-shm") or (p.stat().st_mtime_ns, p.read_bytes()) for p in found}


def _goes_on(_ledger: Ledger, _path: Path) -> None:
    """Leave it open."""


@pytest.mark.parametrize("left", [_let_go, _copied_while_open, _cut_off, _goes_on])
def test_reading_writes_nothing(
    left: Callable[[Ledger, Path], None], ledger: Ledger, path: Path
) -> None:
    """What was committed is read, and all files are as they were; no other is made."""
    commit(ledger, known("a.dat", "one"), known("b.dat", "two"))
    left(ledger, path)
    before = _files(path.parent)
    known_now = read_state(path).known
    assert {row.path: row.sha256 for row in known_now.values()} == {
        row.path: row.sha256 for row in (known("a.dat", "one"), known("b.dat", "two"))
    }
    assert _files(path.parent) == before
    ledger.close()


def test_a_killed_writer_leaves_whole_transactions(path: Path) -> None:
    """Whenever the process dies, the next one finds a ledger that it can go on with."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=_write_for_ever, args=(path, ready), daemon=True)
    writer.start()
    assert ready.wait(10)
    writer.kill()
    writer.join()
    assert len({row.sha256 for row in reopened(path).known.values()}) == 1


def test_a_network_disk_gets_a_journal_that_it_can_hold(path: Path) -> None:
    """No WAL there, whose shared memory no network file system has; reading works all the same."""
    with closing(Ledger(path, CLOSED, network_disk=True)) as ledger:
        commit(ledger, known("a.dat", "one"))
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() != ("wal",)
        assert list(read_state(path).known) == ["a.dat"]
    assert not path.with_name(f"{path.name}-wal").exists()


def test_a_folder_that_moved_to_a_network_disk_leaves_wal(ledger: Ledger, path: Path) -> None:
    """The journal is chosen at every start."""
    commit(ledger, known("a.dat", "one"))
    ledger.close()
    with closing(Ledger(path, CLOSED, network_disk=True)) as again:
        assert list(again.state.known) == ["a.dat"]
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_local_disk_gets_wal_and_full_sync(ledger: Ledger, path: Path) -> None:
    """An intent that was committed survives a power cut (house 6.9)."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_damaged_ledger_says_what_to_do(path: Path) -> None:
    """It is neither repaired nor replaced in silence."""
    path.write_bytes(b"not a database, though long enough to be read as one" * 100)
    with pytest.raises(FolderError, match="damaged") as caught:
        Ledger(path, CLOSED)
    assert "backup" in caught.value.remedy
    assert path.read_bytes().startswith(b"not a database")


def test_a_ledger_of_a_newer_version_is_left_alone(ledger: Ledger, path: Path) -> None:
    """An older program must not guess what it does not know."""
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(FolderError, match="newer vipsync"):
        Ledger(path, CLOSED)


def test_a_ledger_of_an_earlier_version_is_read_and_gets_its_columns(
    ledger: Ledger, path: Path
) -> None:
    """What it did not know is not known; also another process reads it, before and after."""
    commit(ledger, replace(OPEN, unanswered_at=1.0))
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE Session DROP COLUMN unanswered_at")
    assert read_state(path).session == OPEN
    assert reopened(path).session == OPEN
    assert read_state(path).session == OPEN
    with closing(Ledger(path, CLOSED)) as again:
        commit(again, replace(OPEN, unanswered_at=2.0))
    assert reopened(path).session.unanswered_at == 2.0


@pytest.mark.parametrize(
    ("before", "stage"),
    [
        (("closed", 0, 0, None), Stage.CLOSED),
        (("open", 0, 0, None), Stage.CLAIMING),
        (("open", 1, 0, None), Stage.OPEN),
        (("finishing", 1, 0, None), Stage.ENDING),
        (("finishing", 1, 1, None), Stage.DRAINING),
        (("removing", 1, 1, None), Stage.REMOVING),
        (("removing", 1, 1, 5.0), Stage.ASKED),
    ],
)
def test_the_stage_of_an_earlier_version_is_made_of_what_it_wrote(
    ledger: Ledger, path: Path, before: tuple[object, ...], stage: Stage
) -> None:
    """By the process that holds the folder, and by one that only reads."""
    commit(ledger, OPEN)
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE Session DROP COLUMN stage")
        for column in ("phase", "owned", "set_aside"):
            db.execute(f"ALTER TABLE Session ADD COLUMN {column}")
        names = "phase = ?, owned = ?, set_aside = ?, removal_asked_at = ?"
        db.execute(f"UPDATE Session SET {names}", before)
        db.commit()
    assert read_state(path).session.stage is stage
    assert reopened(path).session.stage is stage
    assert read_state(path).session.stage is stage


def test_a_ledger_that_cannot_be_opened_is_a_disk_error(tmp_path: Path) -> None:
    """The message names the file, and the remedy what to make sure of."""
    with pytest.raises(DiskError, match=r"ledger\.sqlite"):
        Ledger(tmp_path / "missing" / "ledger.sqlite", CLOSED)
    with pytest.raises(DiskError):
        read_state(tmp_path / "missing" / "ledger.sqlite")


def test_every_kind_of_row_lives_together(ledger: Ledger, path: Path) -> None:
    """One commit with a row of each table."""
    rows: list[Row] = [
        OPEN,
        known("a.dat", "one"),
        checked("a.dat", "one", refused=(("PatientName", 2),), names=(("smith", "PatientName"),)),
        sent("a.dat", "one"),
        launched("a.dat", "one"),
        execution(),
        result(),
        Judged("c", "a.dat", Verdict.ASIDE),
        CachedPipeline("One/1", "{}"),
        LastSettings("text", "x = 1"),
        DoneRequest("r1"),
        JobLog("e1 2", (RelPath("T1/logs/job-2.stdout.txt"),), "no peak", ("reading", "no peak")),
    ]
    assert {type(row) for row in rows} == set(get_args(Row))
    commit(ledger, *rows)
    assert replace_version(reopened(path)) == replace_version(ledger.state)
    assert reopened(path).session.id == ID
    assert isinstance(next(iter(reopened(path).sent.values())), Sent)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
        "CREATE TRIGGER t AFTER INSERT ON Sent BEGIN DELETE FROM Launch; END",
        "CREATE TABLE extra (id PRIMARY KEY, big DEFAULT (randomblob(1000000000)))",
        "CREATE TABLE extra (id, len AS (length(zeroblob(id))), PRIMARY KEY (id))",
        "CREATE INDEX i ON Sent (abs(status))",
    ],
    ids=["view", "trigger", "default", "generated column", "index"],
)
def test_a_ledger_that_computes_by_itself_is_refused(path: Path, statement: str) -> None:
    """Others can write in the folder: SQLite would run what they put into it, perhaps for ever."""
    Ledger(path, CLOSED).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    with pytest.raises(FolderError, match="which no vipsync has made"):
        Ledger(path, CLOSED)
    with pytest.raises(FolderError, match="which no vipsync has made"):
        read_state(path)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("Session", "stage", "anywhere"),
        ("Session", "opened_at", "soon"),
        ("Session", "session_name", 7),
        ("Session", "paused", b"\x00"),
        ("Session", "waived", "{"),
        ("Session", "waived", "[" * 100_000),
    ],
)
def test_a_value_of_another_kind_is_a_damaged_ledger(
    path: Path, table: str, column: str, value: object
) -> None:
    """It is said, and stops this folder alone."""
    Ledger(path, CLOSED).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))
        db.commit()
    with pytest.raises(FolderError, match="damaged"):
        Ledger(path, CLOSED)


@pytest.mark.parametrize("elsewhere", ["foreign", "empty", "copy"])
def test_a_link_that_came_after_the_check_is_not_followed(tmp_path: Path, elsewhere: str) -> None:
    """SQLite would make tables of ours in whatever database lies behind it."""
    path, other = tmp_path / "ledger.sqlite", tmp_path / "elsewhere" / "other.sqlite"
    other.parent.mkdir()
    if elsewhere == "copy":
        Ledger(other, CLOSED).close()
    elif elsewhere == "foreign":
        with closing(sqlite3.connect(other)) as db:
            db.execute("CREATE TABLE secret (x)")
    else:
        other.touch()
    before = other.read_bytes()
    path.symlink_to(other)
    with pytest.raises(FolderError, match="replaced while it was opened"):
        connect(path, network_disk=False)
    assert other.read_bytes() == before
    assert list(other.parent.iterdir()) == [other]
