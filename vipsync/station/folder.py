"""What lies where in a station's folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vipsync.disk.files import entered, make_inside, names_in, read_document
from vipsync.errors import DiskError
from vipsync.folder.folder import SESSIONS, STATION_SETTINGS, SessionFolder, new_id
from vipsync.station.model import WORDS, Asked


class StationFolder:
    """A station's folder: its id, lock and requests are as those of a session."""

    def __init__(self, root: Path) -> None:
        self.own = SessionFolder(root)
        self.root = self.own.root
        self.settings = self.root / STATION_SETTINGS
        self.sessions = self.root / SESSIONS
        self.text = self.root / "STATION.txt"
        self.table = self.root / "station.csv"
        self.report = self.own.hidden / "station.json"
        self.ledger = self.own.hidden / "station.sqlite"

    def identity(self) -> str:
        """Return the id of the station, "" for one that never ran."""
        mine = self.own.identity()
        return mine.id if mine else ""

    def claim(self) -> str:
        """Return the id of the station; give it one where it has none. Raise FolderCopied."""
        self.own.check_place()
        mine = self.own.identity() or self.own.claim(new_id())
        make_inside(self.sessions, self.root)
        return mine.id

    # requests

    def ask(self, asked: Asked) -> None:
        """Leave a request for the process that holds the station."""
        make_inside(self.own.requests, self.root)
        document = json.dumps({"word": asked.word, "study": asked.study}).encode()
        self.own.write(self.own.requests / f"{asked.id}.json", document)

    def asked(self) -> tuple[Asked, ...]:
        """Return the requests, oldest first; what is none is left alone."""
        with suppress(OSError, DiskError), entered(self.own.requests, self.root) as place:
            names = names_in(place, ".json", _MOST_REQUESTS)
            return tuple(filter(None, (_asked(place / name) for name in names)))
        return ()

    def session(self, name: str) -> SessionFolder:
        """Return the session folder of a study."""
        return SessionFolder(self.sessions / name)

    def names(self) -> frozenset[str]:
        """Return the names in sessions/ that are taken."""
        try:
            return frozenset(path.name for path in self.sessions.iterdir())
        except FileNotFoundError:
            return frozenset()


class _Wish(Struct, frozen=True):
    """What a file of a request must hold: others can write one too."""

    word: str
    study: str


_MOST_REQUESTS = 1000


def _asked(path: Path) -> Asked | None:
    """Read a request, None for what is none: its name is its id, whatever it says of itself."""
    with suppress(OSError, ValueError):
        wish = read_document(path, _Wish)
        return Asked(path.stem, wish.word, wish.study) if wish.word in WORDS else None
    return None
