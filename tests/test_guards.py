"""Guards are tested as guards: without each of them, some test fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.guards import GUARDS, Guard
from tests.lab.served import ROOT

pytestmark = pytest.mark.timeout(1200)  # the first one waits for all of them

BROKEN = {"AttributeError", "NameError", "SyntaxError", "TypeError", "UnboundLocalError"}
"""What a check raises that was taken out wrongly: that shows nothing."""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Run each guard's test without the guard, all in one process of their own."""
    path = tmp_path_factory.mktemp("guards") / "ends.json"
    command = [sys.executable, "-m", "tests.guards", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert path.exists(), done.stdout + done.stderr
    found: dict[str, str] = json.loads(path.read_bytes())
    assert len(found) == len(GUARDS), done.stdout + done.stderr
    return found


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_test_fails_without(guard: Guard, ends: Mapping[str, str]) -> None:
    """What holds only because of a check is seen to break when the check is not there."""
    assert ends[guard.name] not in {"passed", *BROKEN}, f"{guard.test}: {ends[guard.name]}"


def test_each_guard_has_a_test_of_its_own() -> None:
    """A test that stands for two would be run with one of them only."""
    assert len({guard.test for guard in GUARDS}) == len(GUARDS)
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
