"""More files at once than inotify can tell of, and fewer watches than folders: everything is found.

The session is watched in a process of its own, with real files, under real limits of the kernel.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab.served import SETTINGS, serve, wait_until

if sys.platform != "linux":
    pytest.skip("inotify is Linux's", allow_module_level=True)

SETTLE = 1.0
IN_TIME = 5.0
"""Seconds after the last file and its quiet time within which all must be known."""

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")

KEEP = """
import logging, sys, time
from pathlib import Path
from vipsync.errors import KeyMissing
from vipsync.run.loop import Loop

def no_key(*_):
    raise KeyMissing("Nothing is to be sent.")

def tell(session):
    seen = session.snapshot
    if seen:
        print(time.monotonic(), len(seen.files) - len(seen.unsettled), flush=True)

logging.basicConfig(level=logging.INFO)
Loop([Path(sys.argv[1])], no_key, publish=tell).run(lambda: False)
"""
"""Keep a session folder; tell at each look how many of its files are known and quiet."""

WRITE = """
import sys, time
from pathlib import Path

for number in range(int(sys.argv[2])):
    folder = Path(sys.argv[1], f"{number // 500:04}")
    if number % 500 == 0:
        folder.mkdir()
    (folder / f"{number}.dat").write_text("x")
print(time.monotonic())
"""


@contextmanager
def queue_of(events: int) -> Iterator[None]:
    """Give inotify instances that are opened meanwhile a queue of so many events."""
    before = QUEUE.read_text()
    try:
        QUEUE.write_text(str(events))
    except OSError as error:
        pytest.skip(f"{QUEUE} cannot be set: {error.strerror}")
    try:
        yield
    finally:
        QUEUE.write_text(before)


def _burst(study: Path, count: int) -> float:
    """Write `count` files in one go; return the seconds from the last until all were known and quiet."""
    (study / "inputs").mkdir(parents=True)
    (study / "settings.toml").write_text(f'[inputs]\nsettle = "{SETTLE}s"\n')
    words = [sys.executable, "-c", KEEP, str(study)]
    with (study / "log").open("w") as log, ExitStack() as queue:
        queue.enter_context(queue_of(64))
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True) as keeper:
            try:
                assert keeper.stdout
                keeper.stdout.readline()
                queue.close()
                write = [sys.executable, "-c", WRITE, str(study / "inputs"), str(count)]
                last = float(subprocess.run(write, stdout=subprocess.PIPE, check=True).stdout)
                for line in keeper.stdout:
                    at, quiet = line.split()
                    if int(quiet) == count:
                        return float(at) - last
            finally:
                keeper.kill()
    raise AssertionError((study / "log").read_text())


def test_a_burst(tmp_path: Path) -> None:
    """5,000 files at once through a queue of 64 events are all known soon after the last is quiet."""
    assert _burst(tmp_path / "study", 5_000) < SETTLE + IN_TIME


@pytest.mark.nightly
def test_a_large_burst(tmp_path: Path) -> None:
    """100,000 files at once are all known 5 s after the last is quiet, though events were lost."""
    assert _burst(tmp_path / "study", 100_000) < SETTLE + IN_TIME
    assert "more happened" in (tmp_path / "study" / "log").read_text().lower()


def test_too_few_watches(tmp_path: Path) -> None:
    """At the kernel's limit one line says how to mend it, and new files are found all the same."""
    with serve(tmp_path) as served:
        study = served.study(settings=SETTINGS.replace('"*.mrui"', '"{folder}/{file}.mrui"'))
        for number in range(20):
            (study / "inputs" / f"{number:02}").mkdir()
        with served.process("run", study, within=watches_of(8)) as process:
            wait_until(lambda: (study / "STATUS.txt").exists() or process.poll() is not None)
            if process.poll() is not None:
                pytest.skip(f"no namespace of its own: {process.communicate()[1]}")
            for numbers in (range(1), range(1, 20)):  # the first shows that the start is over
                for number in numbers:
                    (study / "inputs" / f"{number:02}" / f"s{number:02}.mrui").write_text("signal")
                results = numbers.stop
                wait_until(lambda: len(list((study / "outputs").glob("*/*.tgz"))) == results)  # noqa: B023
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    (line,) = [line for line in said.splitlines() if "inotify" in line]
    now = int(WATCHES.read_text())
    needed = now + 24 - 8
    assert f"at most {now} folders" in line
    assert f"{needed} are needed" in line
    mended = re.search(r"sudo sysctl -w fs\.inotify\.max_user_watches=(\d+)$", line)
    assert mended
    assert int(mended[1]) >= needed
    assert (study / ".vipsync" / "vipsync.log").read_text().count("inotify watches") == 1


def watches_of(count: int) -> list[str]:
    """Return the words before a command that leave it so many watches, and nobody else fewer."""
    limit = f"echo {count} > /proc/sys/user/max_inotify_watches"
    script = f'{limit} && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
