"""What whole-system tests share: one world, and whether nothing of it is left open."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.lab.bench import Bench
from tests.lab.scripts import Scripts
from tests.lab.served import Caller, Served, serve

# The same examples in every run, so that a change is judged by itself; random ones are asked for.
settings.register_profile("repeatable", derandomize=True, deadline=None)
if "VIPSYNC_EXAMPLES" not in os.environ:
    settings.load_profile("repeatable")

# Each worker, and each process of a test, would compile all of it anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The processes of a test must hear an interrupt also where a shell runs all this in the background.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What this account keeps of its sessions is not the tests' to write.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="vipsync-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# Thousands of flushes cost minutes on a disk, and no test is about its speed.
_MEMORY = Path("/dev/shm")
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# What takes longest begins first: else one worker has it alone at the end.
_LONGEST = [
    "test_guards", "test_soak", "test_background", "test_kills", "test_properties",
    "test_handover", "test_page_browser", "test_cli", "test_station_system",
    "test_disk_system", "test_hostile_system", "test_gallery", "test_group_system",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    order = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Return a function that makes a world with other options."""
    with ExitStack() as made:
        yield lambda name="world", **options: made.enter_context(
            closing(Bench(tmp_path / name, **options))
        )


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """Return a world as most tests need it."""
    return make_bench()


@pytest.fixture
def make_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Scripts]]:
    """Return a function that makes a world with other options."""
    with ExitStack() as made:

        def make(**options: Any) -> Scripts:
            scripts = made.enter_context(closing(Scripts(tmp_path, **options)))
            monkeypatch.chdir(scripts.root)
            return scripts

        yield make


@pytest.fixture
def scripts(make_scripts: Callable[..., Scripts]) -> Scripts:
    """Return a world as most tests need it."""
    return make_scripts()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return an embedded VIP on a real port."""
    with serve(tmp_path) as found:
        yield found


@pytest.fixture
def call(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Caller:
    """Return the command line, called in this process."""
    return Caller(served, monkeypatch, capsys)
