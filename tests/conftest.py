"""What whole-system tests share: one world, and whether nothing of it is left open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.harness import Bench

# The same examples in every run, so that a change is judged by itself; random ones are asked for.
settings.register_profile("repeatable", derandomize=True, deadline=None)
if "VIPSYNC_EXAMPLES" not in os.environ:
    settings.load_profile("repeatable")


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Return a function that makes a world with other options."""
    made: list[Bench] = []

    def make(name: str = "world", **options: Any) -> Bench:
        made.append(Bench(tmp_path / name, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """Return a world as most tests need it."""
    return make_bench()
