"""What lies where in a station's folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from vipsync.disk.files import make_folder, write_atomic
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
        make_folder(self.sessions)
        return mine.id

    # requests

    def ask(self, asked: Asked) -> None:
        """Leave a request for the process that holds the station."""
        make_folder(self.own.requests)
        document = json.dumps({"word": asked.word, "study": asked.study}).encode()
        write_atomic(self.own.requests / f"{asked.id}.json", document)

    def asked(self) -> tuple[Asked, ...]:
        """Return the requests, oldest first; what is none is left alone."""
        found = []
        for path in sorted(self.own.requests.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):
                document = json.loads(path.read_bytes())
                asked = Asked(path.stem, str(document["word"]), str(document["study"]))
                if asked.word in WORDS:
                    found.append(asked)
        return tuple(found)

    def session(self, name: str) -> SessionFolder:
        """Return the session folder of a study."""
        return SessionFolder(self.sessions / name)

    def names(self) -> frozenset[str]:
        """Return the names in sessions/ that are taken."""
        try:
            return frozenset(path.name for path in self.sessions.iterdir())
        except FileNotFoundError:
            return frozenset()
