"""What published scripts of vip-client lean on, side by side: both tools do the same with it."""

from __future__ import annotations

import copy
import inspect
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.conformance.sides import ONE, PIPELINE, SETTINGS, A, B, Side, left_by, official
from tests.lab.bench import SETTINGS as FOLDER
from tests.lab.bench import Bench
from tests.lab.scripts import Interrupting
from vipsync import Account, VipSession
from vipsync import actions as do
from vipsync.errors import VipsyncError
from vipsync.local import DEFAULT_KEY, FOR_EVER, Kind, running, sample_outputs
from vipsync.run.dispatch import Executor, Serial
from vipsync.run.timing import Timing
from vipsync.status.publish import Publisher

# properties


def none_frees_a_property(side: Side) -> Any:
    """Set properties to None, and then to something else."""
    session = side.ready("none")
    found = []
    for name, other in (
        ("input_settings", {"signal": B}),
        ("pipeline_id", "switch/1"),
        ("local_input_dir", "data/signals"),
        ("vip_input_dir", "/vip/Home/elsewhere"),
        ("vip_output_dir", "/vip/Home/there"),
    ):
        setattr(session, name, None)
        found.append((name, getattr(session, name)))
        if name != "pipeline_id":
            setattr(session, name, other)
    return found, session.input_dir, session.vip_input_dir, session.vip_output_dir


def copies(side: Side) -> Any:
    """Copy a session, and change the copy alone."""
    session = side.ready("copied").upload_inputs()
    other = copy.deepcopy(session)
    other.pipeline_id = None
    found = session.pipeline_id, other.pipeline_id, other.session_name, other.input_settings
    session.launch_pipeline().monitor_workflows(refresh_time=0.2).download_outputs().finish()
    return found, [len(s.workflows) for s in (session, other)]


def compatibility_names(side: Side) -> Any:
    """Use the names with an underscore that scripts of other people use."""
    session = side.ready("names").upload_inputs().launch_pipeline()
    time.sleep(0.1)
    session._update_workflows()
    found = [w["status"] for w in session.workflows.values()]
    session.finish()
    return found, str(session._vip_input_dir), str(session._vip_output_dir)


def compatibility_names_of_other_places(side: Side) -> Any:
    """Set places on VIP by their names with an underscore."""
    session = side.session("places", input_dir="data")
    session._vip_input_dir = PurePosixPath("/vip/Home/mine/in")
    session._vip_output_dir = PurePosixPath("/vip/Home/mine/out")
    return session.vip_input_dir, session.vip_output_dir


def no_backup(side: Side) -> Any:
    """Switch the backup off as published scripts do, and on again."""
    before = side.session._BACKUP_LOCATION
    side.session._BACKUP_LOCATION = None
    try:
        side.ready("unsaved").upload_inputs()
        found = list(Path().rglob("session_data.json"))
    finally:
        side.session._BACKUP_LOCATION = before
    side.ready("unsaved").finish()
    return before, found


def paths_in_settings(side: Side) -> Any:
    """Write paths relative to the data set, and with the type of another system."""
    found = []
    for number, path in enumerate((PurePosixPath("signals/a.mrui"), PurePosixPath(A), Path(B))):
        settings = {"signal": [path, PurePosixPath("signals/b.mrui")]}
        session = side.session(
            f"paths-{number}", input_dir="data", pipeline_id=PIPELINE, input_settings=settings
        )
        found.append(session.input_settings)
    return found


def a_path_in_the_data_set_is_launched(side: Side) -> Any:
    """Launch with a path that is relative to the data set."""
    given = {"signal": PurePosixPath("signals/a.mrui")}
    session = side.ready("relative", input_settings=given).run_session(refresh_time=0.2)
    return [w["status"] for w in session.finish().workflows.values()]


# the handshake


def a_second_handshake(side: Side) -> Any:
    """Shake hands again without a portal, by position, with the backup elsewhere."""
    side.session.init(side.key, False)
    side.ready("again").upload_inputs()
    side.session.init(side.key, False, "local")
    return side.ready("again").run_session(refresh_time=0.2).finish().session_name


# places and links


def own_place_below_api(side: Side) -> Any:
    """Choose a place below /vip/Home/API for the data set; it is filled, and stays."""
    session = side.session("own-place")
    del session.vip_input_dir
    session.vip_input_dir = "/vip/Home/API/shared-by-us/INPUTS"
    session.upload_inputs("data").launch_pipeline(PIPELINE, ONE)
    session.monitor_workflows(refresh_time=0.2).download_outputs().finish()
    return session.vip_input_dir, [p for p in side.on_vip() if "shared-by-us" in p]


def own_deep_place(side: Side) -> Any:
    """Choose a deeper place, from another session and another process."""
    session = side.session("own-deep-place")
    del session.vip_input_dir
    session.vip_input_dir = "/vip/Home/API/lab/2026/march"
    session.upload_inputs("data")
    again = side.session("own-deep-place").upload_inputs()
    return again.vip_input_dir, [p for p in side.on_vip() if "lab/2026" in p]


def links_that_lead_out(side: Side) -> Any:
    """Send files and folders by links that lead out of the data set; two of them meet in one file."""
    Path("scanner/monday").mkdir(parents=True)
    Path("scanner/monday/c.mrui").write_text("c")
    Path("scanner/d.mrui").write_text("d")
    Path("data/week").symlink_to(Path("scanner").absolute(), target_is_directory=True)
    Path("data/signals/c.mrui").symlink_to("../../scanner/monday/c.mrui")
    Path("data/signals/twice.mrui").symlink_to("c.mrui")
    session = side.ready("links")
    session.run_session(refresh_time=0.2)
    found = [p for p in side.on_vip() if "links/INPUTS" in p]
    session.finish()
    return found


# the end


def an_end_without_waiting(side: Side) -> Any:
    """Ask for the removal, and do not wait for it; look again later."""
    side.world.faults.arm(Kind.REMOVAL_LATE, "/vip/Home/API/no-wait/*", times=FOR_EVER, seconds=1)
    session = side.ready("no-wait").run_session(refresh_time=0.2)
    began = time.monotonic()
    session.finish(timeout=0)
    waited = time.monotonic() - began > 0.9
    time.sleep(1.5)
    left = [path for path in side.on_vip() if "no-wait" in path]
    side.world.faults.clear()
    session.finish()
    return waited, left, [w["status"] for w in session.workflows.values()]


SCRIPTS = (
    none_frees_a_property, copies, compatibility_names, compatibility_names_of_other_places,
    no_backup, paths_in_settings, a_path_in_the_data_set_is_launched, a_second_handshake,
    own_place_below_api, own_deep_place, links_that_lead_out, an_end_without_waiting,
)  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_comes_to_the_same_end(
    script: Callable[[Side], Any], sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns the same, and leaves the same backup, outputs and files on VIP."""
    theirs, ours = (left_by(script, side, monkeypatch) for side in sides)
    assert ours == theirs


# what only one of the tools is told or tells


@pytest.mark.parametrize("lost", [1, 2])
def test_a_launch_that_was_interrupted_is_not_carried_on_after_finish(
    lost: int, sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of three are interrupted, all is removed; the same call then starts three, not fewer."""
    theirs, ours = (_interrupted(side, lost, monkeypatch) for side in sides)
    assert ours == theirs
    assert ours == (["Removed"] * (3 - lost), ["Finished"] * 3 + ["Removed"] * (3 - lost))


def _interrupted(side: Side, lost: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    name = f"interrupted-{lost}"
    monkeypatch.chdir(side.root)
    side.init()
    side.ready(name).upload_inputs()
    with _stopped_before_run(4 - lost, side, monkeypatch) as executor:
        session = side.session(name, **_quick(side, executor))
        with pytest.raises(KeyboardInterrupt):
            session.launch_pipeline(nb_runs=3)
    session.monitor_workflows(refresh_time=0.2).download_outputs().finish()
    first = [w["status"] for w in session.workflows.values()]
    session = side.session(name).upload_inputs().launch_pipeline(nb_runs=3)
    session.monitor_workflows(refresh_time=0.2).download_outputs()
    second = sorted(str(w["status"]) for w in session.workflows.values())
    session.finish()
    return first, second


@contextmanager
def _stopped_before_run(
    number: int, side: Side, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Executor]:
    """Press Ctrl-C just before a run is posted: each tool where it posts it."""
    if side.session is VipSession:
        yield Interrupting(do.StartExecution, done=False, at=number)
        return
    from vip_client.utils import vip

    posted, post = iter(range(1, number)), vip.init_exec

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if next(posted, None) is None:
            raise KeyboardInterrupt
        return post(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(vip, "init_exec", interrupted)
        yield Serial()


@pytest.mark.parametrize("away", [3, 4])
def test_results_survive_a_server_that_fails_for_a_while(
    away: int, sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What 500s keep from coming comes in the same call, before finish() removes it."""
    _waits_pass_at_once(monkeypatch)
    ends = []
    for side in sides:
        monkeypatch.chdir(side.root)
        side.init()
        session = side.ready(f"away-{away}", **_quick(side)).upload_inputs().launch_pipeline()
        session.monitor_workflows(refresh_time=0.2)
        side.world.faults.arm(Kind.SERVER_ERROR, "GET /rest/path/*.tgz", times=away)
        session.download_outputs()
        assert side.world.faults.armed() == []
        session.finish()
        found = [p.name for p in Path(f"vip_outputs/away-{away}").rglob("*.txt")]
        left = [path for path in side.on_vip() if f"away-{away}" in path]
        ends.append((found, left, [w["status"] for w in session.workflows.values()]))
    assert ends == [(["a.txt"], [], ["Removed"])] * 2


def _waits_pass_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let vip-client's pauses of 16, 32 and 64 s between four tries pass without waiting."""
    from urllib3.util.retry import Retry

    monkeypatch.setattr(Retry, "sleep", lambda *_: None)


def _quick(side: Side, executor: Executor | None = None) -> dict[str, Any]:
    """Give vipsync a clock on which waiting takes no time."""
    if side.session is not VipSession:
        return {}
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        time.sleep(min(seconds, 0.02))

    timing = Timing(
        lambda: time.monotonic() + passed[0], lambda: time.time() + passed[0], sleep=sleep
    )
    return {"account": Account(side.key, side.url, timing=timing, executor=executor or Serial())}


@pytest.mark.parametrize("lost", ["the working folder", "the outputs", "the ledger and the backup"])
def test_a_session_of_which_only_the_name_is_left(
    lost: str, sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """vip-client removes it by its name; vipsync says that it may not be its own, and how to do that."""
    name = "-".join(("lost", *lost.split()))
    for side in sides:
        monkeypatch.chdir(side.root)
        side.init()
        side.ready(name).run_session(refresh_time=0.2)
        _lose(lost, name, side.root, monkeypatch)
        session = side.session(name)
        if side.session is VipSession:
            before = side.on_vip()
            with pytest.raises(VipsyncError, match="by_name=True"):
                session.finish()
            assert side.on_vip() == before
            session.finish(by_name=True)
        else:
            session.finish()
        assert [path for path in side.on_vip() if name in path] == []


def _lose(what: str, name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = root / "vip_outputs" / name
    match what:
        case "the working folder":
            (root / "elsewhere").mkdir(exist_ok=True)
            monkeypatch.chdir(root / "elsewhere")
        case "the outputs":
            shutil.rmtree(outputs)
        case _:
            shutil.rmtree(outputs / ".vipsync", ignore_errors=True)
            (outputs / "session_data.json").unlink()


METHODS = (
    "init", "upload_inputs", "launch_pipeline", "monitor_workflows", "download_outputs", "finish",
    "run_session", "get_inputs", "display", "show_pipeline",
)  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_arguments_are_the_same_and_all_are_described(name: str, sides: tuple[Side, Side]) -> None:
    """Their names, order and defaults are vip-client's, by position too; each is in the docstring."""
    theirs, ours = (getattr(side.session, name) for side in sides)
    wanted = _arguments(theirs)
    assert list(_arguments(ours).items())[: len(wanted)] == list(wanted.items())
    missing = [a for a in _arguments(ours) if f"`{a}`" not in (inspect.getdoc(ours) or "")]
    assert missing == []


def _arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments that can be given by position, with their defaults."""
    found = inspect.signature(method).parameters.values()
    named = {p.name: p.default for p in found if p.kind is p.POSITIONAL_OR_KEYWORD}
    named.pop("self", None)
    return {n: tuple(v) if isinstance(v, list) else v for n, v in named.items()}


def test_monitoring_says_where_to_look(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While something runs, the address of the portal is shown."""
    runner = sides[0].runner
    monkeypatch.setattr(runner, "seconds", 0.6)
    for side in sides:
        monkeypatch.chdir(side.root)
        side.init(verbose=True)
        session = side.ready("watched").upload_inputs().launch_pipeline()
        capsys.readouterr()
        session.monitor_workflows(refresh_time=0.2)
        assert side.url in capsys.readouterr().out
        session.download_outputs().finish()


@pytest.mark.parametrize("failing", [{"a.mrui"}, {"a.mrui", "b.mrui"}], ids=["one", "all"])
def test_a_finished_workflow_whose_jobs_failed_is_no_success(
    failing: set[str],
    sides: tuple[Side, Side],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both tools call the workflow what VIP calls it; vipsync says that jobs of it failed, and which."""
    name = f"failing-{len(failing)}"
    monkeypatch.setattr(
        sides[0].runner,
        "work",
        lambda job: 50 if job.invocation["signal"] in failing else sample_outputs(job),
    )
    found = []
    for side in sides:
        monkeypatch.chdir(side.root)
        side.init(verbose=True)
        session = side.ready(name, input_settings=SETTINGS).upload_inputs().launch_pipeline()
        capsys.readouterr()
        session.monitor_workflows(refresh_time=0.2)
        said = capsys.readouterr().out
        session.download_outputs()
        found.append(
            (
                [w["status"] for w in session.workflows.values()],
                sorted(p.name for p in Path(f"vip_outputs/{name}").rglob("?.txt")),
            )
        )
        session.finish()
    assert found[0] == found[1]
    assert "with success" not in said
    assert all(signal in said for signal in failing)
    assert f"{len(failing)} of 2" in said


# folders beside scripts


@pytest.fixture
def folder(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Bench, Callable[..., Any]]]:
    """Return session folders, and vip-client's class, on one VIP."""
    bench = make_bench(startup_delay=0.0)
    bench.job_seconds = lambda _job: 0.0
    monkeypatch.chdir(bench.root.parent)
    with running(bench.world) as url, official() as session:
        session.init(api_key=DEFAULT_KEY, vip_portal_url=url, verbose=False)
        yield bench, session


@pytest.mark.parametrize("kept", ["keep_output", "keep_input"])
def test_what_a_folder_keeps_on_vip_is_not_removed_for_vip_client(
    kept: str, folder: tuple[Bench, Callable[..., Any]]
) -> None:
    """A folder that keeps data says so, and vip-client reads it as its own finish() leaves it."""
    bench, session = folder
    study = bench.study("kept", f"{FOLDER}\n[finish]\n{kept} = true\n", a="one", b="two")
    bench.rest()
    study.marker.unlink()
    bench.rest()
    Publisher().publish(study.session)
    read = session(output_dir=str(study.root / "outputs"))
    assert {w["status"] for w in read.workflows.values()} == (
        {"Finished"} if kept == "keep_output" else {"Removed"}
    )
    assert bench.sessions_on_vip() == ["kept"]
    read.finish(timeout=10)
    assert bench.sessions_on_vip() == []


@pytest.mark.parametrize("runs", [1, 2])
def test_adopting_keeps_what_vip_client_wrote_of_removed_workflows(
    runs: int, folder: tuple[Bench, Callable[..., Any]]
) -> None:
    """Start, outputs and status of each stay as they were."""
    bench, session = folder
    study = bench.study("adopted", a="one")
    theirs = session(
        "adopted",
        input_dir=str(study.root / "inputs"),
        output_dir=str(study.root / "outputs"),
        pipeline_id=PIPELINE,
        input_settings={"signal": str(study.root / "inputs/a.mrui")},
    )
    theirs.upload_inputs().launch_pipeline(nb_runs=runs).monitor_workflows(refresh_time=0.2)
    theirs.download_outputs().finish()
    before = theirs.workflows
    bench.rest()
    Publisher().publish(study.session)
    after = session(output_dir=str(study.root / "outputs")).workflows
    assert {id_: after[id_] for id_ in before} == before
