"""Safety checks, taken out one by one: `python -m tests.guards` shows which test fails without each.

The checks are those of guards.toml. A check is taken out of the running code, not of a file: the one
place of its source is compiled anew without it, and put in the function's place for as long as the
test runs.
"""

from __future__ import annotations

import inspect
import json
import signal
import sys
import textwrap
import tomllib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from types import CodeType

import pytest


@dataclass(frozen=True)
class Guard:
    """A check: where it is, its source, what stands there without it, and the test that shows it."""

    name: str
    where: str
    check: str
    without: str
    test: str

    def take_out(self, patch: pytest.MonkeyPatch) -> None:
        """Let the function do without the check."""
        function = inspect.unwrap(resolve_name(self.where))
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.check) == 1, f"{self.name}: the check is not there once"
        module = compile(source.replace(self.check, self.without), self.name, "exec")
        codes = [code for code in module.co_consts if isinstance(code, CodeType)]
        (code,) = (code for code in codes if code.co_name == function.__name__)
        patch.setattr(function, "__code__", code)


LONGEST = 3.0
"""Seconds of work after which a test spins; all of them take less while their guard is there."""

TABLE = Path(__file__).with_name("guards.toml")
GUARDS = [Guard(name, **guard) for name, guard in tomllib.loads(TABLE.read_text()).items()]


class _Without:
    """Let each test run without the guard that it is there for, and keep what came of it."""

    def __init__(self, guards: Sequence[Guard]) -> None:
        self._guards = {guard.test: guard for guard in guards}
        self.ends: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        guard = self._guards[item.nodeid]
        self.ends[guard.name] = "passed"
        with pytest.MonkeyPatch.context() as patch:
            guard.take_out(patch)
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST, LONGEST)
            try:
                return (yield)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo and call.when != "teardown":
            self.ends[self._guards[item.nodeid].name] = call.excinfo.typename


def ends_without(guards: Sequence[Guard]) -> dict[str, str]:
    """Return, by the name of each guard, what became of its test: passed, or the error's name."""
    options = ["-q", "--no-header", "--tb=no", "-r", "N", "-p", "no:cacheprovider"]
    signal.signal(signal.SIGVTALRM, lambda *_: pytest.fail("it spins"))
    options += ["-o", "timeout=30"]  # what waits for ever without its guard shows it too
    options += ["--assert=plain"]  # where CI is set, pytest compares megabytes line by line
    without = _Without(guards)
    pytest.main([*options, *(guard.test for guard in guards)], plugins=[without])
    return without.ends


if __name__ == "__main__":
    chosen = [guard for guard in GUARDS if not sys.argv[2:] or guard.name in sys.argv[2:]]
    Path(sys.argv[1]).write_text(json.dumps(ends_without(chosen), indent=1))
