"""A disk that is full, as the folder meets it: nothing is lost, and work goes on with space again."""

from __future__ import annotations

from tests.harness import Bench, Study


def test_a_ledger_that_cannot_grow_loses_nothing(bench: Bench) -> None:
    """Each time the ledger is full the folder is let go; in the end each case was launched once."""
    study = bench.study(**{f"s{number:03}": f"signal {number}" for number in range(120)})
    full = 0
    for _ in range(12):
        bench.run(6)
        if study.session.is_open:
            _fill_up(study)
        full += study.trouble is not None
    assert full, "the ledger was never full"
    bench.rest()
    started = sorted(name for names in bench.executions() for name in names)
    assert started == [f"s{number:03}.mrui" for number in range(120)]
    assert len(list((study.root / "outputs").glob("*/*.tgz"))) == 120


def _fill_up(study: Study) -> None:
    """Let this connection's database grow by one page at most: then SQLite says that it is full."""
    database = study.session.ledger._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 1}")
