"""A session changes hands between vip-client and vipsync, over a socket: it comes to its end with either.

The one who takes over knows its name and the working folder, nothing else.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest

from tests.conformance.sides import (
    ONE,
    PIPELINE,
    SETTINGS,
    A,
    B,
    Side,
    backups,
    both_tools,
    outputs,
)

Step = tuple[str, Mapping[str, object]]

STEPS: tuple[Step, ...] = (
    ("upload_inputs", {"input_dir": "data"}),
    ("launch_pipeline", {"pipeline_id": PIPELINE, "input_settings": SETTINGS}),
    ("monitor_workflows", {"refresh_time": 0.2}),
    ("download_outputs", {}),
    ("download_outputs", {}),
    ("finish", {"timeout": 60}),
)
POINTS = {
    "upload": 1,
    "launch": 2,
    "monitor": 3,
    "download": 4,
    "second download": 5,
}
"""After how many steps the session changes hands."""

TOOLS = {"vip_client": 0, "vipsync": 1}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Give both tools on one account; jobs take a moment, so that a launch can be seen to run."""
    with both_tools(tmp_path_factory.mktemp("handover")) as (official, ours):
        official.runner.seconds = 0.4
        ours.key, ours.user = official.key, official.user
        yield official, ours


class Study:
    """A working folder in which both tools carry one session on."""

    def __init__(self, sides: tuple[Side, Side], name: str) -> None:
        self.sides, self.name = sides, name
        self.root = sides[0].root.parent / name
        shutil.copytree(sides[0].root / "data", self.root / "data")
        for side in sides:
            side.init()

    def here(self, tool: str, steps: Iterable[Step]) -> None:
        """Take these steps in this process, with a session of their own."""
        session = self.sides[TOOLS[tool]].session(self.name)
        for method, arguments in steps:
            session = getattr(session, method)(**arguments)

    def elsewhere(self, tool: str, steps: Iterable[Step]) -> None:
        """Take these steps in a process of their own, in one chain of calls."""
        calls = "".join(f".{method}(**{arguments!r})" for method, arguments in steps)
        self.interpret(f"from {tool} import VipSession", f"VipSession({self.name!r}){calls}")

    def interpret(self, start: str, line: str) -> None:
        """Run a line of a script in a process of its own, after the handshake."""
        side = self.sides[0]
        shake = f"VipSession.init({side.key!r}, vip_portal_url={side.url!r})"
        done = subprocess.run(
            [sys.executable, "-c", f"{start}\n{shake}\n{line}\n"],
            cwd=self.root,
            timeout=120,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def is_over(self, *signals: str) -> None:
        """Hold what is left against the one right end: all of it here, none of it on VIP."""
        assert len(outputs(self.root)) == len(signals)
        assert [path for path in self.sides[0].on_vip() if self.name in path] == []
        written = backups(self.root)[self.name]["workflows"]
        assert {w["status"] for w in written} == {"Removed"}
        for side in self.sides:
            read = side.session(self.name).workflows.values()
            assert {w["status"] for w in read} == {"Removed"}
        assert self.launched() == 1

    def launched(self) -> int:
        """Count the executions of this session."""
        executions = self.sides[0].world.executions.all()
        return sum(self.name in str(dict(e.submission.values)) for e in executions)


@pytest.fixture
def study(
    request: pytest.FixtureRequest, sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> Study:
    """Return a working folder for one session, named for the test."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    made = Study(sides, name.removeprefix("test-"))
    monkeypatch.chdir(made.root)
    return made


Take = Callable[[Study, str, Iterable[Step]], None]


@pytest.mark.parametrize("take", [Study.here, Study.elsewhere], ids=["here", "new-process"])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("first", "then"), [("vip_client", "vipsync"), ("vipsync", "vip_client")])
def test_one_tool_begins_and_the_other_ends(
    first: str, then: str, point: str, take: Take, study: Study
) -> None:
    """Wherever it changes hands, results are here, VIP is empty, and both read Removed."""
    study.here(first, STEPS[: POINTS[point]])
    take(study, then, STEPS[POINTS[point] :])
    study.is_over(A, B)


@pytest.mark.parametrize("turns", ["010001", "100000", "110111", "001000", "000010", "101010"])
def test_each_step_is_taken_by_either_tool(turns: str, study: Study) -> None:
    """Whichever takes which step (0: vip-client, 1: vipsync), the session comes to its end."""
    for turn, step in zip(turns, STEPS, strict=True):
        study.here(list(TOOLS)[int(turn)], [step])
    study.is_over(A, B)


@pytest.mark.parametrize(("first", "then"), [("vip_client", "vipsync"), ("vipsync", "vip_client")])
def test_what_one_keeps_on_vip_the_other_removes(first: str, then: str, study: Study) -> None:
    """The outputs that one tool's finish() kept are fetched again and removed by the other."""
    study.here(first, [*STEPS[:4], ("finish", {"timeout": 60, "keep_output": True})])
    study.elsewhere(then, STEPS[4:])
    study.is_over(A, B)


@pytest.mark.parametrize(("first", "then"), [("vip_client", "vipsync"), ("vipsync", "vip_client")])
def test_a_session_that_is_over_is_run_again_by_the_other(
    first: str, then: str, study: Study
) -> None:
    """A second upload and launch go as the first did, and old results stay."""
    study.here(first, STEPS)
    study.elsewhere(then, STEPS)
    statuses = [w["status"] for w in backups(study.root)[study.name]["workflows"]]
    assert statuses == ["Removed"] * 2
    assert len(list(study.root.rglob("vip_outputs/*/*/*/*.txt"))) == 4
    assert [path for path in study.sides[0].on_vip() if study.name in path] == []


@pytest.mark.parametrize("tool", TOOLS)
def test_a_session_goes_on_in_several_interpreters(tool: str, study: Study) -> None:
    """Nothing but the name and the working folder is carried from one to the next."""
    for steps in (STEPS[:2], STEPS[2:4], STEPS[4:]):
        study.elsewhere(tool, steps)
    study.is_over(A, B)


def test_either_tool_sees_what_the_other_has_launched(study: Study) -> None:
    """No workflow is dropped when both launch in one session, and none is followed twice."""
    official, ours = (side.session for side in study.sides)
    given = {"input_dir": "data", "pipeline_id": PIPELINE, "input_settings": ONE}
    official(study.name, **given).upload_inputs().launch_pipeline()
    ours(study.name).launch_pipeline()
    official(study.name).launch_pipeline()
    session = ours(study.name).monitor_workflows(refresh_time=0.2)
    assert len(session.workflows) == 3
    assert len(official(study.name).monitor_workflows(refresh_time=0.2).workflows) == 3
    ours(study.name).download_outputs().finish()
    statuses = [w["status"] for w in official(study.name).workflows.values()]
    assert statuses == ["Removed"] * 3
