"""The ledger of a station: what was seen and decided, in SQLite, with one writer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from vipsync.record.tables import SharedMemory, Table, connect, disk_errors, make_file, reading
from vipsync.station.model import Row, State, Station

_TABLES: dict[type[Row], Table[Row]] = {kind: Table(kind) for kind in get_args(Row)}


class StationLedger:
    """`state` always equals what is on disk."""

    def __init__(self, path: Path, station_id: str, *, network_disk: bool = False) -> None:
        self.path = path
        make_file(path)
        with disk_errors(path):
            self._db = connect(path, network_disk=network_disk)
            with self._db:
                for table in _TABLES.values():
                    self._db.execute(table.create)
                    table.complete(self._db)
            self.state = _load(self._db, station_id)
        self._memory = SharedMemory(path)

    def commit(self, rows: Iterable[Row]) -> None:
        """Write rows, all or none, and let `state` follow."""
        written = tuple(rows)
        self._memory.mend()
        with disk_errors(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for kind, some in groupby(written, key=type):
                table = _TABLES[kind]
                self._db.executemany(table.put, map(table.values, some))
        self.state.put(written)

    def close(self) -> None:
        """Release the file."""
        self._memory.mend()
        self._db.close()
        self._memory.close()


def read_station(path: Path) -> State:
    """Read a ledger that another process may be writing; write nothing beside it."""
    with disk_errors(path), closing(reading(path)) as db:
        return _load(db, "")


def _load(db: Any, station_id: str) -> State:
    state = State(Station(station_id))
    for table in _TABLES.values():
        state.put([table.row(values, {}, {}) for values in db.execute(table.select(db))])
    return state
