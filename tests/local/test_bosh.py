"""Jobs as real processes under bosh (facts 7)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vipsync.local import Job, JobHandle, JobResult, SystemClock
from vipsync.local.bosh import BoshRunner, job_environment, without_empty_lists
from vipsync.local.catalogue import Pipeline

TOOL: dict[str, Any] = {
    "name": "tool",
    "tool-version": "1",
    "description": "A tool",
    "schema-version": "0.5",
    "command-line": "sh [FILE] [COUNT]",
    "inputs": [
        {"id": "file", "name": "f", "type": "File", "value-key": "[FILE]", "list": False},
        {
            "id": "count",
            "name": "c",
            "type": "Number",
            "integer": True,
            "value-key": "[COUNT]",
            "maximum": 3,
            "value-choices": [],
            "optional": True,
        },
    ],
    "groups": [],
    "output-files": [
        {"id": "plain", "name": "p", "path-template": "sub/[FILE].out"},
        {"id": "first", "name": "g", "path-template": "many/*.txt"},
        {"id": "absent", "name": "a", "path-template": "absent.txt"},
    ],
}
GOOD = """
echo "from the tool $1"
mkdir sub many && cp "$0" "sub/$0.out" && touch many/a.txt
[ "$HOME" = "$PWD" ] && python3 -c 'import sys; print("python", sys.version_info >= (3, 11))'
sleep 0.2
"""


@pytest.fixture
def runner() -> Iterator[BoshRunner]:
    made = BoshRunner(SystemClock())
    yield made
    made.close()


def job(tmp_path: Path, script: str, number: int = 1, **invocation: int) -> Job:
    file = tmp_path / f"{number}.sh"
    file.write_text(script)
    told: dict[str, Any] = {"file": file.name, **invocation}
    folder = tmp_path / "jobs" / str(number)
    return Job(f"run/{number}", Pipeline(TOOL), told, {"file": file}, folder, time.time())


def ended(handle: JobHandle) -> JobResult:
    """Wait for a real process; there is no clock to hand it."""
    deadline = time.monotonic() + 30
    while (result := handle.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def test_jobs_run_side_by_side_and_say_what_they_made(tmp_path: Path, runner: BoshRunner) -> None:
    """Good outputs by id; failure, bad value and missing file each with VIP's exit code."""
    missing = job(tmp_path, "", number=4)
    (tmp_path / "4.sh").unlink()
    handles = [
        runner.submit(job(tmp_path, GOOD, count=2)),
        runner.submit(job(tmp_path, "echo broken; sleep 0.2; exit 7", number=2)),
        runner.submit(job(tmp_path, GOOD, number=3, count=9)),
        runner.submit(missing),
    ]
    good, failed, refused, absent = map(ended, handles)
    assert [r.exit_code for r in (good, failed, refused, absent)] == [0, 50, 50, 40]
    assert {(o.output_id, o.name) for o in good.outputs} == {
        ("plain", "sub/1.sh.out"),
        ("first", "a.txt"),
    }
    assert failed.outputs == refused.outputs == ()
    assert words(good) == (["from the tool 2", "python True"], [])
    assert words(failed) == (["broken"], ["EXECUTION_FAILED - execution was not successful"])


def words(result: JobResult) -> tuple[list[str], list[str]]:
    """Return the lines between the wrapper's and bosh's in one log, and the wrapper's in the other."""
    assert isinstance(result.stdout, Path)
    assert isinstance(result.stderr, Path)
    heading, *lines = result.stdout.read_text().splitlines()
    assert "Running bosh: " in heading
    errors = [line.partition(" ] ")[2] for line in result.stderr.read_text().splitlines()]
    return lines[: lines.index("Shell command")], errors


def test_a_killed_job_ends_at_once_with_its_children(tmp_path: Path) -> None:
    """Also one that still waits in the queue."""
    runner = BoshRunner(SystemClock(), slots=1)
    alive = tmp_path / "alive"
    script = f"touch {alive}; sleep 60"
    first, second = runner.submit(job(tmp_path, script)), runner.submit(job(tmp_path, GOOD, 2))
    deadline = time.monotonic() + 30
    while not alive.exists():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
    assert (first.started, second.started) == (True, False)
    second.kill()
    first.kill()
    assert (ended(first).exit_code, ended(second).exit_code) == (50, 50)
    runner.close()
    assert not [left for left in (tmp_path / "jobs").iterdir() if left.is_dir()]


def test_a_descriptor_loses_its_empty_lists_at_any_depth() -> None:
    """The schema wants at least one item."""
    stripped = json.dumps(without_empty_lists(TOOL))
    assert "[]" not in stripped
    assert without_empty_lists({"a": [{"b": [], "c": 0}]}) == {"a": [{"c": 0}]}


@pytest.mark.parametrize("name", ["VIP_API_KEY", "VIP_API_KEY_OF_ADA", "AWS_SECRET_ACCESS_KEY"])
def test_a_job_learns_no_secret_of_whoever_serves(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its environment holds what it needs, and nothing that somebody else put there."""
    monkeypatch.setenv(name, "a-secret-of-the-person")
    pipeline = SimpleNamespace(folder=None)
    job = SimpleNamespace(folder=tmp_path, pipeline=pipeline)
    told = job_environment(job)  # type: ignore[arg-type]
    assert "a-secret-of-the-person" not in told.values()
