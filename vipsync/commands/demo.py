"""The main job from end to end, visibly, on an embedded VIP: no account, no network, under a minute."""

from __future__ import annotations

import csv
import logging
import math
import os
import secrets
import socket
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from vipsync.client.connecting import Connector
from vipsync.commands.foreground import Run
from vipsync.commands.init import create, describe
from vipsync.errors import FolderError, SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder, new_id
from vipsync.model import Settings
from vipsync.names import shell_word
from vipsync.plan.standing import CaseState
from vipsync.report.reporter import Reporter
from vipsync.results.gallery import PAGE
from vipsync.rows import Phase
from vipsync.run.timing import Timing
from vipsync.settings.keys import KEY_VARIABLE
from vipsync.station.completeness import SURE
from vipsync.station.folder import StationFolder
from vipsync.station.keeper import Keeper
from vipsync.station.model import Asked
from vipsync.station.private import table_folder
from vipsync.station.steps import StationStatus, StudyReport, StudyState

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient
    from vipsync.local import Options

PIPELINE = "mrs-spectrum/1.0"

_QUICK = """
[inputs]
settle = "1s"

[monitor]
refresh_time = "1s"

[finish]
grace = "1s"
"""
_TRANSFER_DELAY = 0.2
_ON_VIP = "/vip/Home/API"

_BLOCKS = " ▁▂▃▄▅▆▇█"
_COLUMNS, _LINES = 64, 6
_LEFT, _RIGHT = 4.2, 0.2  # ppm: beside it there is water


def missing_extra() -> VipsyncError | None:
    """Return what to do where the embedded VIP is not installed."""
    try:
        import vipsync.local  # noqa: F401
    except ModuleNotFoundError as error:
        return VipsyncError(
            f"The embedded VIP is not installed: {error.name} is missing.",
            "Install it with: pip install 'vipsync[local]'",
        )
    return None


def demo(reporter: Reporter, root: Path, *, opens: bool = False) -> int:
    """Show the life of a session and of a station in a new folder, which stays; `opens`: show the results."""
    if problem := missing_extra():
        raise problem
    from vipsync.local import Options, World, running

    root = root.absolute()
    if root.exists():
        raise FolderError(
            f"{root} is there already; nothing was changed.",
            "Name another folder: vipsync demo DIR",
        )
    logging.getLogger("waitress").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="vipsync-demo-") as vip:
        options, key = _private(Options(transfer_delay=_TRANSFER_DELAY), secrets.token_hex(16))
        with running(World(Path(vip), options)) as portal:
            connect = Connector({KEY_VARIABLE: key}, portal=portal)
            try:
                Demo(reporter, root, portal, connect).play()
            finally:
                connect.close()
    if opens:
        webbrowser.open((root / "my-study" / "outputs" / PAGE).as_uri())
    return 0


def serve(
    reporter: Reporter,
    root: Path,
    place: tuple[str, int],
    knobs: Mapping[str, Any],
    people: Path | None,
    *,
    faithful: bool,
) -> None:
    """Serve an embedded VIP from a folder until it is interrupted.

    `place` is host and port, `people` a file of users and groups.
    """
    if problem := missing_extra():
        raise problem
    from vipsync.local import Options, serve_forever

    def ready(url: str) -> None:
        (root / "port").write_text(url.rpartition(":")[2], "ascii")
        reporter.say(f"An embedded VIP serves {root.absolute()} on {url}", "bold")
        reporter.say("Use it from another terminal:")
        reporter.to_copy(f"  export VIP_PORTAL_URL={url}\n  export VIP_API_KEY={shell_word(key)}")
        reporter.say(
            f"For other terminals, and the background: `vipsync login --portal {url}`, with this key; then "
            f"`vipsync --portal {url} init …`."
        )
        reporter.say("Ctrl-C stops it; its data stay.")

    logging.getLogger("waitress").setLevel(logging.ERROR)
    options = replace(Options.faithful() if faithful else Options(), **knobs)
    key = f"a key of {people}"
    options = options if people is None else _peopled(options, people)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)  # it runs commands, and holds what others have no business with
        if people is None:
            options, key = _private(options, _lasting_key(root / "key"))
        host, port = place
        serve_forever(root, options, host, port or last_port(root / "port", host), ready=ready)
    except (OSError, ValueError) as error:
        raise SettingsError(f"It cannot serve on {place[0]}, port {place[1]}: {error}.") from error


def last_port(path: Path, host: str) -> int:
    """Return the port on which a folder was served last: settings name it. 0 where it is taken or not known."""
    with suppress(OSError, ValueError):
        port = int(path.read_text("ascii"))
        if not 0 < port < 2**16:
            return 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
        return port
    return 0


def _private(options: Options, key: str) -> tuple[Options, str]:
    """Let nobody in but who has this key: a word that everybody knows opens it to every program."""
    from vipsync.local import User

    return replace(options, users={key: User(password=secrets.token_hex(16))}), key


def _lasting_key(path: Path) -> str:
    """Return the key of a folder that is served again and again, made at random once."""
    path.touch(mode=0o600)
    if not path.stat().st_size:
        path.write_text(secrets.token_hex(16) + "\n", "ascii")
    return path.read_text("ascii").strip()


def _peopled(options: Options, people: Path) -> Options:
    from vipsync.local import read_world

    try:
        return read_world(people, options)
    except ValueError as error:
        raise SettingsError(str(error)) from error


class Demo:
    """The scenes of the demo; the loop that `vipsync run` uses plays all of them, without a word of its own."""

    def __init__(self, reporter: Reporter, root: Path, portal: str, connect: Connector) -> None:
        self._reporter, self._root = reporter, root
        self._folder, self._station = (
            SessionFolder(root / "my-study"),
            StationFolder(root / "scanner"),
        )
        self._export = root / "scanner-export"
        self._portal, self._connect, self._clock = portal, connect, _Clock()

    def play(self) -> None:
        """Play all scenes; raise VipsyncError where one does not end as it must."""
        self._open()
        self._keep(self._folder.root, self._scenes)
        self._expect_clean(self._folder, 3)
        self._tell(f"VIP is clean; {_below(self._folder.root)} has all inputs and results.")
        try:
            self._open_station()
            self._keep(self._station.root, self._station_scenes)
        finally:
            (table_folder() / f"{self._station.identity()}.json").unlink(missing_ok=True)
        self._expect_clean(self._station.session("S0001"), 1)
        self._close()

    def _keep(self, root: Path, scenes: Callable[[Run], Iterator[str]]) -> None:
        """Keep one place in step until its scenes are over."""
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            from rich.console import Console

            silent = Reporter(Console(file=nowhere))
            run = Run([root], self._connect, silent, timing=Timing(clock=self._clock))
            turns = scenes(run)
            run.until(lambda: next(turns, "over") == "over")

    # a session folder

    def _open(self) -> None:
        create(self._folder.root, describe(self._client(), PIPELINE), self._portal)
        text = self._folder.settings.read_text("utf-8")
        self._folder.settings.write_text(text[: text.index("[inputs]")] + _QUICK.lstrip(), "utf-8")
        self._head(f"1. {_below(self._folder.root)} is a session folder.")
        self._tell(
            f"settings.toml says: run {PIPELINE} on every file in inputs/.",
            "A VIP on this machine runs it; nothing leaves this machine.",
        )

    def _scenes(self, run: Run) -> Iterator[str]:
        """Yield while a scene goes on; the loop turns in between."""
        self._drop(self._folder.root / "inputs", 0, 1)
        self._head("2. Two signals are dropped into inputs/.")
        self._tell("They are sent, and one execution with two jobs starts …")
        yield from self._until_done(run, 2)
        self._tell("Their results are in outputs/, already unpacked.")
        self._drop(self._folder.root / "inputs", 2)
        self._head("3. One more signal is dropped.")
        self._tell("Only this one is sent, in an execution of its own …")
        yield from self._until_done(run, 3)
        self._tell("Its result is here, too.")
        self._head("4. ON_VIP.txt is deleted: the data are removed from VIP …")
        self._folder.marker.unlink()
        while self._phase(run) != Phase.CLOSED or not run.loop.at_rest():
            yield "finishing"

    def _until_done(self, run: Run, cases: int) -> Iterator[str]:
        while not self._has_done(run, cases):
            yield "working"

    def _has_done(self, run: Run, cases: int) -> bool:
        status = run.statuses.get(self._folder.root)
        if status is None:
            return False
        if status.exit_code:
            raise VipsyncError(f"The demo stopped: {status.sentence}", f"See {self._folder.log}.")
        done = status.counts.get(CaseState.DONE, 0)
        return done >= cases and run.loop.at_rest()

    def _phase(self, run: Run) -> str:
        status = run.statuses.get(self._folder.root)
        return status.phase if status else ""

    # a station

    def _open_station(self) -> None:
        self._export.mkdir()
        template = self._station.root / "template" / self._folder.settings.name
        template.parent.mkdir(parents=True)
        template.write_text(
            f'pipeline_id = "{PIPELINE}"\nportal = "{self._portal}"\n\n'
            f'[input_settings]\nsignal = "*.mrui"\n{_QUICK}',
            "utf-8",
        )
        exports = tomli_w.dumps({"station": {"exports": [str(self._export)]}})
        self._station.settings.write_text(exports, "utf-8")
        self._head("5. A station watches the folder into which a scanner exports.")
        self._tell(f"{_below(self._station.root)} makes one session of each study.")

    def _station_scenes(self, run: Run) -> Iterator[str]:
        while not self._studies(run):
            yield "beginning"
        self._drop(self._export / "exam-1", 3)
        self._tell("A study, exam-1, is exported.")
        while not (studies := self._reports(run)):
            yield "arriving"
        name = studies[0].name
        self._tell(
            "After 10 quiet minutes it would start by itself. The operator is quicker:",
            f"vipsync station complete {_below(self._station.root)} {name}",
            "It needs a minute of quiet even so, which the demo skips …",
        )
        self._station.ask(Asked(f"{time.time():.6f}-{new_id()}", "complete", name))
        while self._station.asked():
            yield "asked"
        self._clock.skip(SURE + 1)
        while not all(report.state is StudyState.DONE for report in self._reports(run)):
            yield "running"
        self._tell("Its result is in scanner/sessions/S0001/outputs/, and VIP is clean again.")

    def _studies(self, run: Run) -> StationStatus | None:
        """Return what the station says, None before it has looked at its export."""
        keeper = run.loop.keepers.get(self._station.root)
        if not isinstance(keeper, Keeper) or keeper.status is None:
            return None
        if keeper.status.exit_code:
            raise VipsyncError(f"The demo stopped: {keeper.status.sentence}")
        return keeper.status

    def _reports(self, run: Run) -> tuple[StudyReport, ...]:
        status = self._studies(run)
        return status.studies if status else ()

    # the end

    def _expect_clean(self, folder: SessionFolder, results: int) -> None:
        """Raise VipsyncError where results are missing, or something of a session is on VIP."""
        if self._client().list_folder(_ON_VIP) or len(_pictures(folder)) != results:
            raise VipsyncError("The demo did not end as it should.", f"See {folder.log}.")

    def _close(self) -> None:
        picture, page = _pictures(self._folder)[0], self._folder.root / "outputs" / PAGE
        if self._reporter.out.is_terminal and _has_blocks(sys.stdout.encoding):
            self._head(f"The first spectrum ({picture.parent.name}), 4.2 to 0.2 ppm:")
            self._tell(*_drawn(picture.with_suffix(".csv")))
        self._head("All pictures are on this page; open it in a browser:")
        self._reporter.say(str(page), "bold green")

    # words and files

    def _client(self) -> VipClient:
        return self._connect(Settings(session_name="", portal=self._portal), self._portal, "")[0]

    def _head(self, line: str) -> None:
        self._reporter.say(line, "bold")

    def _tell(self, *lines: str) -> None:
        for line in lines:
            self._reporter.say(f"   {line}")

    def _drop(self, folder: Path, *numbers: int) -> None:
        from vipsync.local.signals import SUBJECTS, as_mrui, signal_of

        folder.mkdir(exist_ok=True)
        for number in numbers:
            subject = SUBJECTS[number]
            (folder / f"{subject.name}.mrui").write_bytes(as_mrui(subject, signal_of(subject)))


class _Clock:
    """A clock of which seconds can be skipped."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._skipped

    def skip(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._skipped += seconds


def _below(root: Path) -> str:
    """Return how the reader's terminal names a folder."""
    return shell_word(root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root)


def _pictures(folder: SessionFolder) -> list[Path]:
    return sorted((folder.root / "outputs").glob("*/*/*.svg"))


def _has_blocks(encoding: str) -> bool:
    """Tell whether a terminal can show what a spectrum is drawn with."""
    try:
        _BLOCKS.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _drawn(table: Path) -> list[str]:
    """Draw a spectrum in lines of text."""
    heights = [0.0] * _COLUMNS
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            column = math.floor((_LEFT - float(row["ppm"])) / (_LEFT - _RIGHT) * _COLUMNS)
            if 0 <= column < _COLUMNS:
                heights[column] = max(heights[column], float(row["magnitude"]))
    unit = max(heights) / (_LINES * 8)
    return [
        "".join(_BLOCKS[min(max(round(h / unit) - 8 * line, 0), 8)] for h in heights)
        for line in reversed(range(_LINES))
    ]
