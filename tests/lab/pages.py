"""The page of session folders whose status is made up, called in process or on a real port."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from vipsync.folder.folder import SessionFolder
from vipsync.model import Request
from vipsync.page.app import create_app
from vipsync.page.looking import Folders, key_of
from vipsync.page.security import Access
from vipsync.plan.standing import CaseReport, CaseState
from vipsync.rows import Phase
from vipsync.station.folder import StationFolder
from vipsync.station.steps import StationStatus
from vipsync.status.status import ExecutionReport, Status

PORT = 8484
ORIGIN = f"http://127.0.0.1:{PORT}"


def report(root: Path, cases: Iterable[CaseReport] = (), **other: object) -> Status:
    """Return what a process would say of a folder with these cases."""
    found = tuple(cases)
    fields: dict[str, object] = {
        "folder": str(root),
        "session": root.name,
        "id": "s1",
        "phase": str(Phase.OPEN),
        "sentence": f"{len(found)} cases.",
        "cases": found,
        "counts": dict(Counter(str(case.state) for case in found)),
        "executions": (ExecutionReport("workflow-1", "Finished", 1.8e9, {"done": 1}, "T1"),),
        "written": 1.8e9,
        **other,
    }
    return Status(**fields)  # type: ignore[arg-type]


def case(name: str, state: CaseState = CaseState.DONE, **other: object) -> CaseReport:
    """Return a case of the only execution."""
    return CaseReport(name, state, execution="workflow-1", folder="T1", **other)  # type: ignore[arg-type]


def tell(root: Path, status: Status) -> Path:
    """Write down what is said of a folder, as the process that holds it does."""
    folder = SessionFolder(root)
    folder.requests.mkdir(parents=True, exist_ok=True)
    (root / "outputs").mkdir(exist_ok=True)
    folder.report.write_bytes(msgspec.json.encode(status))
    return root


def tell_station(root: Path, status: StationStatus) -> Path:
    """Write down what is said of a station, as the process that holds it does."""
    folder = StationFolder(root)
    folder.sessions.mkdir(parents=True, exist_ok=True)
    folder.own.hidden.mkdir(exist_ok=True)
    folder.settings.write_text(f'[station]\nexports = ["{root.parent}/export"]\n')
    folder.report.write_bytes(msgspec.json.encode(status))
    return root


class Paged:
    """The page of some folders, and a browser that came with the link or without."""

    def __init__(
        self,
        *roots: Path,
        host: str = "127.0.0.1",
        clock: float = 0.0,
        printer: str = "vipsync page",
    ) -> None:
        self.access = Access(host, PORT, printer)
        self.now = clock
        self.folders = Folders(roots, lambda: self.now)
        self.app = create_app(self.folders, self.access)
        self.browser: FlaskClient = self.app.test_client()
        self.room = ""

    def get(self, path: str, host: str = f"127.0.0.1:{PORT}", **headers: str) -> TestResponse:
        """Ask for a page a while later."""
        self.now += 10.0
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        path = path if path.startswith(f"{self.room}/") else f"{self.room}{path}"
        return self.browser.get(path, headers={"Host": host, **sent}, buffered=True)

    def enter(self) -> TestResponse:
        """Come with the link that was printed."""
        answer = self.get(f"/?token={self.access.token}")
        self.room = self.access.room
        return answer

    def ask(
        self,
        root: Path,
        wish: str,
        form: Mapping[str, str] | None = None,
        what: str = "folder",
        **headers: str,
    ) -> TestResponse:
        """Press a button, as a browser does; `form` and `headers` say what is not as it should be."""
        self.now += 10.0
        sent = {"Host": f"127.0.0.1:{PORT}", "Origin": ORIGIN}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = {"word": self.access.form_word, "wish": wish, **(form or {})}
        return self.browser.post(self.of(root, "ask", what=what), data=data, headers=sent)

    def of(self, root: Path, *parts: str, what: str = "folder") -> str:
        """Return the address of something of a folder or station."""
        return "/".join((self.room, what, key_of(root), *parts))


def asked(root: Path) -> list[Request]:
    """Return what was asked of a folder."""
    return list(SessionFolder(root).asked())


def open_pages(access: Access, path: str, number: int) -> list[http.client.HTTPConnection]:
    """Open a page on a real port so many times, each on a connection that stays."""
    found = []
    for _ in range(number):
        connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=60)
        connection.request("GET", path, headers={"Cookie": f"{access.cookie}={access.token}"})
        found.append(connection)
    return found
