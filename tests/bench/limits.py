"""The rows about vipsync.toml: a ceiling over two folders, hours, and a disk that is nearly full."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tests.bench import contestants as who
from tests.bench.measured import Measure, keeping
from tests.bench.rows import NOTHING_YET, Row, many_files, place
from tests.bench.server import RESULTS, Conditions, Server
from tests.lab.mounts import small_disk
from vipsync.run.transfer_limits import disk_of

RATE = 5e6
SPAN = 30.0
BEGINNING = 3.0
NAMES = ("one", "two")


def ceilings(root: Path) -> list[Row]:
    """Rows: what two folders send, and fetch, over half a minute below a ceiling."""
    return [_sending(root), _fetching(root)]


def _sending(root: Path) -> Row:
    with place(root, "send", Conditions()) as (server, here):
        for name in NAMES:
            study = who.study(here / "many" / name, server, session=name)
            many_files(study / "inputs", 25, 4_000_000)
        return _paced(here, server, "upload", lambda: _bytes([server.home], ".bin"))


def _fetching(root: Path) -> Row:
    with place(root, "fetch", Conditions()) as (server, here):
        for name in NAMES:
            _with_results(here / "many" / name, server, 500)
        return _paced(here, server, "download", lambda: _bytes([here / "many"], ".bin", ".part"))


def _paced(here: Path, server: Server, direction: str, moved: Callable[[], int]) -> Row:
    """Measure how much moves in a time, once it has begun."""
    row = Row(f"{direction} of two folders at {RATE / 1e6:g} MB/s, {SPAN:.0f} s", "± 5 %")
    config = _config(here, f'{direction} = "{RATE / 1e6:g} MB/s"')
    with keeping(here / "many", server, "--config", str(config)) as process:
        _wait(moved)
        time.sleep(BEGINNING)
        began, before = time.monotonic(), moved()
        time.sleep(SPAN)
        seconds, came = time.monotonic() - began, moved() - before
        row.add("limit", Measure(came / RATE))
        row.add("vipsync", Measure(seconds, process.memory))
    row.note = f"{came / seconds / 1e6:.2f} MB/s"
    return row


def hours(root: Path) -> Row:
    """Row: outside the hours one folder's results come, and another one's files wait."""
    row = Row("100 results and 20 files outside the hours", "results come, nothing is sent")
    with place(root, "hours", Conditions()) as (server, here):
        _with_results(here / "many" / "one", server, 100)
        waits = who.study(here / "many" / "two", server, session="two")
        many_files(waits / "inputs", 20, 20_000)
        begin = (time.localtime().tm_hour + 3) % 24
        config = _config(here, f'hours = "{begin:02}:00-{begin:02}:59"')
        before = server.arrivals().keys()
        row.add("vipsync", who.vipsync_once(here / "many", server, "--config", str(config)))
        sent = [path for path in server.arrivals().keys() - before if path.endswith(".bin")]
        came = list(here.glob("many/one/outputs/*/*.bin"))
    row.note = f"{len(sent)} files sent, {len(came)} results came"
    return row


def full_disk(root: Path) -> Row:
    """Row: at 3 % free results wait; how long after there is room the first one comes (needs root)."""
    row = Row("room is made on a disk at 3 % free", "≤ 30 s")
    with place(root, "full", Conditions()) as (server, here):
        (disk := here / "many").mkdir()
        with small_disk(disk, "256m"):
            _with_results(disk / "one", server, 20)
            usage, filler = disk_of(disk), disk / "filler"
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, int(usage.free - 0.03 * usage.size))
            config = _config(here, 'free = "5%"')
            with keeping(disk, server, "--config", str(config)):
                _wait(lambda: "stay free" in _status(disk / "one"))
                time.sleep(BEGINNING)
                waiting = _bytes([disk], ".bin")
                filler.unlink()
                began = time.monotonic()
                _wait(lambda: _bytes([disk], ".bin"))
                row.add("limit", Measure(30.0))
                row.add("vipsync", Measure(time.monotonic() - began))
    row.note = f"{waiting} bytes came before"
    return row


def _with_results(root: Path, server: Server, count: int) -> None:
    """Make a session folder whose results of 200 kB are on VIP, and not here."""
    signals = ", ".join(f'"{number:03}"' for number in range(count))
    settings = (
        f'pipeline_id = "{RESULTS}"\n[input_settings]\nbasis = "basis.zip"\nsignal = [{signals}]\n'
        f"[launch]\nmax_jobs = {count}\nconfirm_above = {count}\n"
    )
    study = who.study(root, server, settings + NOTHING_YET, root.name)
    (study / "inputs" / "basis.zip").write_bytes(b"basis")
    who.vipsync_once(study, server)
    who.study(root, server, settings, root.name)


def _config(here: Path, line: str) -> Path:
    free = "" if line.startswith("free") else 'free = "0%"\n'
    config = here / "vipsync.toml"
    config.write_text(f'folders = ["{here / "many"}"]\n[transfers]\n{free}{line}\n')
    return config


def _bytes(roots: Iterable[Path], *ends: str) -> int:
    """Return the bytes of the files below that end so, as they are now."""
    found = 0
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                if name.endswith(ends) and f"{os.sep}inputs" not in folder:
                    with suppress(FileNotFoundError):
                        found += Path(folder, name).stat().st_size
    return found


def _status(study: Path) -> str:
    with suppress(FileNotFoundError):
        return (study / "STATUS.txt").read_text()
    return ""


def _wait(true: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("it never came")
        time.sleep(0.1)
