"""What only this account of this machine may know: the secret of a station, and which study is whose.

It lies in the account's own data folder, 0600, outside the station: a station's folder can be shared.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from platformdirs import user_data_path

from vipsync.disk.files import write_private
from vipsync.errors import FolderAbsent, SettingsError

FOLDER = "VIPSYNC_DATA"


class Table(Struct):
    """The private table of one station: its secret, and what names stand for."""

    path: Path
    secret: bytes
    station: str = ""
    exports: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    places: dict[str, str] = {}
    people: dict[str, list[str]] = {}
    _written: str = ""

    def keep(self) -> None:
        """Write it down where it changed: whole, and for its owner alone."""
        text = json.dumps(
            {
                "secret": self.secret.hex(),
                "station": self.station,
                "exports": self.exports,
                "accept": self.accept,
                "places": self.places,
                "people": self.people,
            },
            indent=1,
        )
        if text != self._written:
            content = text.encode("utf-8", "surrogateescape")
            write_private(self.path, lambda file: file.write(content))
            self._written = text


def table_folder() -> Path:
    """Return where the tables of all stations of this account lie."""
    return Path(os.environ.get(FOLDER) or user_data_path("vipsync")) / "stations"


def read_table(station_id: str) -> Table | None:
    """Return the table of a station, None where this account has none."""
    path = table_folder() / f"{station_id}.json"
    try:
        return _table(path, json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_table(station_id: str, *, used: bool) -> Table:
    """Return the table of a station; make it for a new one, raise FolderAbsent where it was lost.

    With another secret each study would be taken for a new one, and run again.
    """
    path = table_folder() / f"{station_id}.json"
    try:
        return _table(path, json.loads(path.read_bytes()))
    except FileNotFoundError:
        if used:
            raise FolderAbsent(
                f"{path} is not there: without it nobody can tell which studies have run.",
                "Bring it back from a backup, or run the station as the account that has it.",
            ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderAbsent(f"{path} cannot be read.", "Bring it back from a backup.") from error
    return Table(path, secrets.token_bytes(32))


def _table(path: Path, found: Mapping[str, object]) -> Table:
    places, people = found["places"], found["people"]
    if not isinstance(places, dict) or not isinstance(people, dict):
        raise TypeError
    return Table(
        path,
        bytes.fromhex(str(found["secret"])),
        str(found["station"]),
        tuple(map(str, found["exports"])),  # type: ignore[call-overload]
        tuple(map(str, found["accept"])),  # type: ignore[call-overload]
        places,
        people,
    )


def refuse_rivals(table: Table, root: Path) -> None:
    """Raise SettingsError where another station of this account looks into the same export.

    Two may, where what each accepts parts them.
    """
    for other in _others(table):
        same = set(other.exports) & set(table.exports)
        there = Path(other.station)
        if not same or there == root or not (there / "station.toml").is_file():
            continue
        if not table.accept or not other.accept or set(table.accept) & set(other.accept):
            raise SettingsError(
                f"station.toml: station.exports: {there} is a station of {min(same)}, too.",
                "Let [station] accept say in both which studies are whose.",
            )


def _others(table: Table) -> Iterator[Table]:
    for path in sorted(table.path.parent.glob("*.json")):
        if path != table.path:
            with suppress(OSError, ValueError, KeyError, TypeError):
                yield _table(path, json.loads(path.read_bytes()))
