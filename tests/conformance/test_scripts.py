"""The same scripts with vip-client and with vipsync, on the same embedded VIP: they come to the same end.

Each tool has an account of its own, so that both use the same names. Compared are what a script
returns, what it raises, the backup, the outputs on this machine and what is left on VIP.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.conformance.sides import ONE, PIPELINE, SETTINGS, SWITCH, A, B, Side, left_by

# what every script of vip-client's page on VipSession does


def basic_steps(side: Side) -> Any:
    """Give properties step by step."""
    session = side.session(session_name="basic")
    session.upload_inputs(input_dir="data")
    session.launch_pipeline(pipeline_id=PIPELINE, input_settings=SETTINGS)
    session.monitor_workflows(refresh_time=1)
    session.download_outputs()
    kept = [w["status"] for w in session.workflows.values()]
    session.finish()
    return kept, [w["status"] for w in session.workflows.values()]


def shortcuts(side: Side) -> Any:
    """Give all properties at the start, and leave the data on VIP."""
    session = side.ready("shortcuts", output_dir="vip_outputs/mine")
    session.run_session(refresh_time=1)
    return session.input_settings, session.output_dir, session.input_dir, session.vip_output_dir


def cascade(side: Side) -> Any:
    """Hold everything in a single command."""
    session = side.init(
        session_name="cascade", input_dir="data", pipeline_id=PIPELINE, input_settings=SETTINGS
    )
    session.run_session(refresh_time=1).finish()
    return session.session_name


def parallel_runs(side: Side) -> Any:
    """Launch lists, several runs and several times."""
    session = side.ready("parallel").upload_inputs().launch_pipeline(nb_runs=2)
    session.launch_pipeline().monitor_workflows(refresh_time=1)
    found = [w["status"] for w in session.workflows.values()]
    session.finish()
    return found


def intermittent_run(side: Side) -> Any:
    """Take each step with a session of its own, without a variable."""
    side.session("intermittent").upload_inputs(input_dir="data")
    side.session("intermittent").launch_pipeline(pipeline_id=PIPELINE, input_settings=ONE)
    side.session(output_dir="vip_outputs/intermittent").monitor_workflows(refresh_time=1)
    side.init(session_name="intermittent").download_outputs()
    side.session("intermittent").finish()
    return side.session("intermittent").pipeline_id


def relaunch(side: Side) -> Any:
    """Run a finished session again, beside its old outputs."""
    side.ready("relaunch").run_session(refresh_time=1).finish()
    side.session("relaunch").monitor_workflows()
    session = side.session("relaunch").run_session(refresh_time=1).finish()
    return sorted(w["status"] for w in session.workflows.values())


def two_sessions(side: Side) -> Any:
    """Run two sessions on one data set."""
    first = side.ready("first").run_session(refresh_time=1)
    second = side.session("second", pipeline_id=PIPELINE, input_settings={"signal": B})
    second.get_inputs(first)
    second.run_session(update_files=False, refresh_time=1).finish()
    left = side.on_vip()
    first.finish()
    return left, second.input_dir, second.vip_input_dir, second.input_settings


def three_sessions(side: Side) -> Any:
    """Take the pipeline and the settings of another session too."""
    lender = side.session("lender").upload_inputs("data")
    second = side.session("taker-1").get_inputs(lender)
    second.launch_pipeline(PIPELINE, ONE).monitor_workflows(refresh_time=1).download_outputs()
    third = side.session("taker-2").get_inputs(second, get_pipeline=True, get_settings=True)
    third.run_session(update_files=False, refresh_time=1)
    found = third.pipeline_id, third.input_settings, third.vip_input_dir
    for session in (third, second, lender):
        session.finish()
    return found


def editing_a_property(side: Side) -> Any:
    """Delete an incorrect property before it is set again."""
    session = side.session("editing", input_dir="may/data")
    with pytest.raises(ValueError, match="'local_input_dir' is already set"):
        session.input_dir = "data"
    del session.input_dir
    session.input_dir = "data"
    return session.input_dir, session.local_input_dir


def keeping(side: Side) -> Any:
    """Keep the outputs, then the inputs, on VIP."""
    session = side.ready("keeping").run_session(refresh_time=1).finish(keep_output=True)
    first = side.on_vip(), [w["status"] for w in session.workflows.values()]
    session.finish()
    again = side.ready("keeping-2").run_session(refresh_time=1).finish(keep_input=True)
    second = side.on_vip(), [w["status"] for w in again.workflows.values()]
    again.finish()
    return first, second


def packed(side: Side) -> Any:
    """Leave archives as they are, and download twice."""
    session = side.ready("packed").upload_inputs().launch_pipeline()
    session.monitor_workflows(refresh_time=1).download_outputs(unzip=True).download_outputs()
    return sorted(p.name for p in Path("vip_outputs/packed").rglob("*.txt"))


def failed(side: Side) -> Any:
    """See a failed workflow, and download nothing of it."""
    side.runner.work, work = (lambda _job: 50), side.runner.work
    try:
        session = side.ready("failed").run_session(refresh_time=1)
    finally:
        side.runner.work = work
    found = [w["status"] for w in session.workflows.values()]
    session.finish()
    return found


def defaults(side: Side) -> Any:
    """Look at a session without properties."""
    session = side.session()
    name = session.session_name
    assert re.fullmatch(r"VipSession-\d{6}-\d{6}-[0-9a-f]{3}", name)
    values = (
        session.input_dir, session.local_input_dir, session.output_dir, session.local_output_dir,
        session.vip_input_dir, session.vip_output_dir, session.pipeline_id,
        session.input_settings, session.workflows,
    )  # fmt: skip
    return [v.replace(name, "NAME") if isinstance(v, str) else v for v in values]


def settings_of_all_kinds(side: Side) -> Any:
    """Give numbers, booleans, lists and paths of all kinds, before and after the data set is known."""
    given = {
        "text": "word", "number": 3, "ratio": 2.5, "yes": True, "several": [1, 2], "here": Path(A),
        "full": str(Path(B).absolute()), "both": [A, Path(B)], "there": "/vip/Home/x", "no": "data/no",
    }  # fmt: skip
    session = side.session("kinds", input_settings={k: v for k, v in given.items() if k != "here"})
    before = {k: v for k, v in session.input_settings.items() if k not in ("full", "both")}
    session.input_dir = "data"
    after = side.session("kinds-2", input_dir=Path("data"), input_settings=given).input_settings
    return before, session.input_settings, after


def nothing_to_do(side: Side) -> Any:
    """Take steps for which there is nothing, and use a session with no data."""
    session = side.session("nothing").monitor_workflows().download_outputs().finish()
    return session.workflows, session.display() is session


def insides(side: Side) -> Any:
    """Reach for what published scripts reach for: the paths on VIP, and the state of the workflows."""
    session = side.ready("insides").upload_inputs()
    paths = [session._vip_input_dir, session._vip_output_dir, session._vip_input_dir / "a.mrui"]
    session._update_workflows()
    session.launch_pipeline()
    for _ in range(100):
        session._update_workflows()
        if [w["status"] for w in session.workflows.values()] != ["Running"]:
            break
        time.sleep(0.1)
    session.download_outputs().finish()
    session._vip_output_dir = PurePosixPath("/vip/Home/API/insides/OTHER")
    del session._vip_input_dir
    with pytest.raises(AttributeError):
        session._vip_input_dir  # noqa: B018 (it is what raises)
    paths += [session.vip_output_dir, session.vip_input_dir]
    return paths, [w["status"] for w in session.workflows.values()]


def no_backup(side: Side) -> Any:
    """Keep no backup, from a moment on also for a session that was made before, then keep one again."""
    before = side.ready("nowhere")
    side.session._BACKUP_LOCATION = None
    try:
        before.upload_inputs()
        found = [side.session("nowhere").input_dir, side.session._BACKUP_LOCATION]
    finally:
        side.session._BACKUP_LOCATION = "local"
    one = side.ready("one")
    one._BACKUP_LOCATION = None
    one.upload_inputs()
    other = side.ready("other").upload_inputs()
    return found, one._BACKUP_LOCATION, other._BACKUP_LOCATION, side.session("other").input_dir


SCRIPTS = (
    basic_steps, shortcuts, cascade, parallel_runs, intermittent_run, relaunch, two_sessions,
    three_sessions, editing_a_property, keeping, packed, failed, defaults, settings_of_all_kinds,
    nothing_to_do, insides, no_backup,
)  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_comes_to_the_same_end(
    script: Callable[[Side], Any], sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns the same, and leaves the same backup, outputs and files on VIP."""
    theirs, ours = (left_by(script, side, monkeypatch) for side in sides)
    if script in SPREAD:
        theirs, ours = theirs[0], ours[0]
    assert ours == theirs


SPREAD = (parallel_runs,)
"""Where two workflows of vip-client share a results folder: ours never do."""


MISTAKES: dict[str, Callable[[Side], Any]] = {
    "a bad name": lambda s: s.session("a b/c"),
    "an accent in a name": lambda s: s.session("é"),
    "a name that is no text": lambda s: s.session(3),
    "an unknown property": lambda s: s.session("m", colour=3),
    "a data set that is no path": lambda s: s.session("m", input_dir=3),
    "a pipeline that is no text": lambda s: s.session("m", pipeline_id=3),
    "an unknown pipeline": lambda s: s.session("m", pipeline_id="nothing/1"),
    "a pipeline without a version": lambda s: s.session("m", pipeline_id="spectrum"),
    "settings that are none": lambda s: s.session("m", input_settings=3),
    "settings in a list": lambda s: s.session("m", input_settings=[3]),
    "an empty list": lambda s: s.session("m", input_settings={"signal": []}),
    "a list in a list": lambda s: s.session("m", input_settings={"signal": [[A]]}),
    "a bad character": lambda s: s.session("m", pipeline_id=PIPELINE, input_settings={"signal": "/vip/x#"}),
    "workflows that are none": lambda s: setattr(s.session("m"), "workflows", 3),
    "another name": lambda s: setattr(s.session("m"), "session_name", "n"),
    "another output folder": lambda s: setattr(s.session("m"), "output_dir", "n"),
    "another folder on VIP": lambda s: setattr(s.session("m"), "vip_input_dir", "/vip/Home/n"),
    "other settings": lambda s: setattr(s.ready("m"), "input_settings", {"signal": B}),
    "another data set": lambda s: s.session("m", input_dir="data").upload_inputs("elsewhere"),
    "no data set": lambda s: s.session("m").upload_inputs(),
    "a missing data set": lambda s: s.session("m").upload_inputs("nowhere"),
    "a missing input file": lambda s: s.ready("m", input_settings={"signal": "data/no"}).upload_inputs(),
    "no pipeline": lambda s: s.session("m").launch_pipeline(),
    "no settings": lambda s: s.session("m", pipeline_id=PIPELINE).launch_pipeline(),
    "a missing parameter": lambda s: s.ready("m", input_settings={"parameters": A})
    .upload_inputs().launch_pipeline(),
    "no upload": lambda s: s.ready("m-2").launch_pipeline(),
    "a path on VIP that leads nowhere": lambda s: s.ready(
        "m-3", input_settings={"signal": "/vip/Home/no"}
    ).launch_pipeline(),
    "a number for a file": lambda s: s.ready("m-4", input_settings={"signal": 3})
    .upload_inputs().launch_pipeline(),
    "None for a value": lambda s: s.ready("m-4", input_settings={"signal": None})
    .upload_inputs().launch_pipeline(),
    "a local path without a data set": lambda s: s.session(
        "m-5", pipeline_id=PIPELINE, input_settings=ONE
    ).launch_pipeline(),
    "removed results": lambda s: s.ready("m-9").launch_pipeline().download_outputs(
        get_status=["Finished", "Removed"]
    ),
    "workflows set to None": lambda s: setattr(s.session("m"), "workflows", None),
    "no inputs on VIP": lambda s: _without(s.ready("m-14"), "vip_input_dir").upload_inputs(),
    "no outputs on VIP": lambda s: _without(s.ready("m-9"), "vip_output_dir").launch_pipeline(),
    "no name": lambda s: _without(s.ready("m-14"), "session_name").finish(),
    "runs that are no number": lambda s: s.ready("m-6").upload_inputs().launch_pipeline(nb_runs="x"),
    "everything missing": lambda s: s.session("m-12").run_session(),
    "inputs of a session without": lambda s: s.session("m-11").get_inputs(s.session("m-7")),
    "inputs of no session": lambda s: s.session("m").get_inputs(3),
    "inputs beside its own": lambda s: s.ready("m-8").upload_inputs().get_inputs(
        s.ready("m-9").upload_inputs()
    ),
    "a backup of another name": lambda s: s.session("m-10", output_dir="vip_outputs/m-9"),
    "a bad place for the backup": lambda s: s.init(backup_location="moon"),
    "a refused key": lambda s: s.session.init(api_key="nonsense", vip_portal_url=s.url),
    "a key that is none": lambda s: s.session.init(api_key=None, vip_portal_url=s.url),
    "no server": lambda s: s.session.init(api_key=s.key, vip_portal_url="http://127.0.0.1:1"),
    "an empty value": lambda s: s.session("m", input_settings={"signal": ""}),
    "an empty value in a list": lambda s: s.session("m", input_settings={"signal": [A, ""]}),
    "a bad character without a pipeline": lambda s: s.session("m", input_settings={"x": "a#b"}),
    "a bad character in a list": lambda s: s.session("m", input_settings={"x": ["a", "b#c"]}),
    "a true value": lambda s: s.session(
        "m-13", pipeline_id=SWITCH, input_settings={"on": True}
    ).launch_pipeline(),
    "a true value as Python writes it": lambda s: s.session(
        "m-14", pipeline_id=SWITCH, input_settings={"on": "True"}
    ).launch_pipeline(),
    "no true value": lambda s: s.session(
        "m-15", pipeline_id=SWITCH, input_settings={"on": "yes"}
    ).launch_pipeline(),
    "a data set that is another's": lambda s: s.session("m-16").get_inputs(s.session("m-17")),
    "an empty text": lambda s: s.session("m", input_settings={"signal": A, "word": ""}),
    "an empty text in a list": lambda s: s.session("m", input_settings={"signal": [A, ""]}),
    "an accent without a pipeline": lambda s: s.session("m", input_settings={"word": "naïve"}),
    "a dictionary for a value": lambda s: s.session("m", input_settings={"signal": {"a": A}}),
    "bytes for a value": lambda s: s.session("m", input_settings={"signal": b"a"}),
    "a folder on VIP that is no path": lambda s: setattr(s.session("m"), "vip_output_dir", 3),
    "a folder on VIP that it could not have": lambda s: setattr(s.session("m"), "vip_input_dir", "/vip/Home/é"),
    "an output folder that is no path": lambda s: s.session("m", output_dir=3),
    "workflows of another session": lambda s: setattr(
        s.ready("m-9").launch_pipeline(), "workflows", {"w": {"status": "Running"}}
    ),
    "a backup that is no JSON": lambda s: _with_backup(s, "mine"),
    "a backup without a name": lambda s: _with_backup(s, '{"workflows": {}}'),
    "a pattern that is no text": lambda s: type(s.init(verbose=True)).show_pipeline(3),
}  # fmt: skip


def _without(session: Any, name: str) -> Any:
    setattr(session, name, None)
    return session


def _with_backup(side: Side, text: str) -> Any:
    folder = Path("vip_outputs/broken")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "session_data.json").write_text(text)
    return side.session("broken")


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_raises_the_same(
    mistake: str, sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a script catches with vip-client, it catches here, and nothing else catches it."""
    theirs, ours = (_raised(MISTAKES[mistake], side, monkeypatch) for side in sides)
    caught = next(c for c in type(theirs).__mro__ if c.__module__ == "builtins")
    assert isinstance(ours, caught), f"{caught.__name__}, not {type(ours).__mro__}: {ours}"
    also = {c for c in FAMILIES if isinstance(ours, c)} - {
        c for c in FAMILIES if isinstance(theirs, c)
    }
    assert not also, f"{caught.__name__} alone, not {type(ours).__mro__}: {ours}"


FAMILIES = (AttributeError, OSError, RuntimeError, TypeError, ValueError)
"""What scripts catch: an error of ours is of vip-client's family and of no other."""


def _raised(
    mistake: Callable[[Side], Any], side: Side, monkeypatch: pytest.MonkeyPatch
) -> BaseException:
    monkeypatch.chdir(side.root)
    side.init()
    with pytest.raises(Exception) as caught:
        pytest.fail(f"{side.session.__module__} raised nothing: {mistake(side)}")
    return caught.value


@pytest.mark.parametrize("pattern", ["spectrum/1", "MRS", "SPECTRUM", None, "zzz"], ids=str)
def test_pipelines_are_shown_with_the_same_content(
    pattern: str | None, sides: tuple[Side, Side], capsys: pytest.CaptureFixture[str]
) -> None:
    """The list, the case-insensitive part and the full description have the same words."""
    shown = []
    for side in sides:
        side.init(verbose=True)
        capsys.readouterr()
        side.session.show_pipeline(pattern)
        shown.append(capsys.readouterr().out.split())
    assert shown[0] == shown[1] != []


def test_nothing_is_printed_by_either_without_verbose(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole run says nothing."""
    for side in sides:
        monkeypatch.chdir(side.root)
        side.init(verbose=False)
        capsys.readouterr()
        side.ready("silent").run_session(refresh_time=1).display().finish()
        assert capsys.readouterr().out == ""


def test_a_place_in_another_session_stays_a_session_s_own_in_either_tool(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a script has chosen with one is still its own after the other has saved the session."""
    official, ours = sides
    root = official.root / "own"
    shutil.copytree(official.root / "data", root / "data")
    monkeypatch.chdir(root)
    official.init()
    ours.session.init(api_key=official.key, vip_portal_url=official.url, verbose=False)
    for tool, name in ((official, "theirs"), (ours, "ours")):
        session = tool.ready(f"own-{name}")
        del session.vip_input_dir
        session.vip_input_dir = "/vip/Home/API/pool"
        session.upload_inputs()
    assert official.session("own-ours").launch_pipeline().vip_input_dir == "/vip/Home/API/pool"
    Path("data/late.mrui").write_text("late")
    ours.session("own-ours").upload_inputs()
    assert "API/pool/late.mrui" in official.on_vip()
