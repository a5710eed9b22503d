"""The main job from end to end, visibly, on an embedded VIP: no account, no network, under a minute."""

from __future__ import annotations

import logging
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipsync.client.connecting import Connector
from vipsync.commands.foreground import Run
from vipsync.commands.init import create, describe
from vipsync.errors import FolderError, SettingsError, VipsyncError
from vipsync.folder.folder import SessionFolder
from vipsync.model import Settings
from vipsync.names import shell_word
from vipsync.plan.standing import CaseState
from vipsync.report.reporter import Reporter
from vipsync.rows import Phase
from vipsync.settings.keys import KEY_VARIABLE

if TYPE_CHECKING:
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
_TRANSFER_DELAY = 0.5


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


def demo(reporter: Reporter, root: Path) -> int:
    """Show a folder's whole life in a new folder, and leave the folder to look at."""
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
        reporter.say(f"An embedded VIP serves {root.absolute()} on {url}", "bold")
        reporter.say("Use it from another terminal:")
        reporter.say(f"  export VIP_PORTAL_URL={url} VIP_API_KEY={shell_word(key)}")
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
        serve_forever(root, options, *place, ready=ready)
    except (OSError, ValueError) as error:
        raise SettingsError(f"It cannot serve on {place[0]}, port {place[1]}: {error}.") from error


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
    """The scenes of the demo; the loop that `vipsync run` uses plays all of them."""

    def __init__(self, reporter: Reporter, root: Path, portal: str, connect: Connector) -> None:
        self._reporter, self._folder = reporter, SessionFolder(root)
        self._portal, self._connect = portal, connect
        self._run = Run([root], connect, reporter)

    def play(self) -> None:
        """Play all scenes; raise VipsyncError where one does not end as it must."""
        self._open()
        scenes = self._scenes()
        self._run.until(lambda: next(scenes, "over") == "over")
        self._close()

    def _open(self) -> None:
        settings = Settings(session_name="", portal=self._portal)
        client, _ = self._connect(settings, self._portal, "")
        create(self._folder.root, describe(client, PIPELINE), self._portal)
        text = self._folder.settings.read_text("utf-8")
        self._folder.settings.write_text(text[: text.index("[inputs]")] + _QUICK.lstrip(), "utf-8")
        self._tell(
            f"1. An embedded VIP serves on {self._portal}, and a session folder was made:",
            f"   {self._folder.root}",
            f"   Its settings.toml says: run {PIPELINE} on every file in inputs/.",
        )

    def _scenes(self) -> Iterator[str]:
        """Yield while a scene goes on; the loop turns in between."""
        self._drop(0, 1)
        self._tell("2. Two signals are dropped into inputs/. They go up, and one execution starts.")
        yield from self._until_done(2)
        self._tell("   The results are here, unpacked:", *self._pictures())
        self._drop(2)
        self._tell(
            "3. One more signal is dropped. Only this one is sent, in an execution of its own."
        )
        yield from self._until_done(3)
        self._tell("4. ON_VIP.txt is deleted: when every result is here, VIP is cleaned.")
        self._folder.marker.unlink()
        while self._phase() != Phase.CLOSED or not self._run.loop.at_rest():
            yield "finishing"

    def _close(self) -> None:
        pictures = self._pictures()
        settings = Settings(session_name="", portal=self._portal)
        client, _ = self._connect(settings, self._portal, "")
        home = f"/vip/Home/API/{self._folder.root.name}"
        if client.exists(home) or not pictures:
            raise VipsyncError("The demo did not end as it should.", f"See {self._folder.log}.")
        self._tell(
            f"5. VIP is empty: {home} is gone. The inputs and {len(pictures)} results are still here.",
            f"   The folder is yours to look at: {self._folder.root}",
            "   One of the spectra:",
        )
        self._reporter.say(pictures[0].strip(), "bold green")

    def _tell(self, *lines: str) -> None:
        for number, line in enumerate(lines):
            self._reporter.say(line, "bold" if number == 0 else "")

    def _drop(self, *numbers: int) -> None:
        from vipsync.local.signals import SUBJECTS, as_mrui, signal_of

        for number in numbers:
            subject = SUBJECTS[number]
            path = self._folder.root / "inputs" / f"{subject.name}.mrui"
            path.write_bytes(as_mrui(subject, signal_of(subject)))

    def _until_done(self, cases: int) -> Iterator[str]:
        while not self._has_done(cases):
            yield "working"

    def _has_done(self, cases: int) -> bool:
        status = self._run.statuses.get(self._folder.root)
        if status is None:
            return False
        if status.exit_code:
            raise VipsyncError(f"The demo stopped: {status.sentence}", f"See {self._folder.log}.")
        done = status.counts.get(CaseState.DONE, 0)
        return done >= cases and self._run.loop.at_rest()

    def _phase(self) -> str:
        status = self._run.statuses.get(self._folder.root)
        return status.phase if status else ""

    def _pictures(self) -> list[str]:
        outputs = self._folder.root / "outputs"
        return [f"   {path}" for path in sorted(outputs.glob("*/*/*.svg"))]
