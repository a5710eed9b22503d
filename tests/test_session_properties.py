"""The properties of a session: set once, checked at once, with the defaults of vip-client."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.scripts import PIPELINE, Scripts
from vipsync import VipSession
from vipsync.errors import InputsMissing, PropertyError
from vipsync.local import FOR_EVER, Kind


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """Return a world for scripts, and work in it."""
    made = Scripts(tmp_path)
    monkeypatch.chdir(made.root)
    yield made
    made.close()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VipSession:
    """Return a session before any handshake."""
    monkeypatch.chdir(tmp_path)
    return VipSession("study", verbose=False)


def test_a_session_has_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name holds date, time and chance; its places follow from the name."""
    monkeypatch.chdir(tmp_path)
    session = VipSession(verbose=False)
    assert re.fullmatch(r"VipSession-\d{6}-\d{6}-[0-9a-f]{3}", str(session.session_name))
    assert session.output_dir == f"vip_outputs/{session.session_name}"
    assert session.vip_input_dir == f"/vip/Home/API/{session.session_name}/INPUTS"
    assert session.vip_output_dir == f"/vip/Home/API/{session.session_name}/OUTPUTS"
    assert (session.input_dir, session.pipeline_id, session.input_settings) == (None, None, None)
    assert session.workflows == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("session_name", "study", "other"),
        ("input_dir", "data", "elsewhere"),
        ("local_input_dir", Path("data"), "elsewhere"),
        ("output_dir", "vip_outputs/study", "elsewhere"),
        ("local_output_dir", "vip_outputs/study", "elsewhere"),
        ("vip_input_dir", "/vip/Home/API/study/INPUTS", "/vip/Home/other"),
        ("vip_output_dir", "/vip/Home/API/study/OUTPUTS", "/vip/Home/other"),
        ("pipeline_id", "CQUEST/0.6", "CQUEST/0.7"),
        ("input_settings", {"a": "b"}, {"a": "c"}),
        ("workflows", {"w": {"status": "Running"}}, {"w": {"status": "Killed"}}),
    ],
)
def test_a_property_is_set_once_and_freed_by_del(
    offline: VipSession, name: str, value: object, other: object
) -> None:
    """The same value is no change, another one is an error, and after `del` it is the value."""
    setattr(offline, name, value)
    setattr(offline, name, value)
    with pytest.raises(ValueError, match=r"'\w+' is already set"):
        setattr(offline, name, other)
    delattr(offline, name)
    setattr(offline, name, other)
    shown = getattr(offline, name)
    assert shown == other or name == "workflows"


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("session_name", "study", "other"),
        ("input_dir", "data", "elsewhere"),
        ("local_input_dir", Path("data"), "elsewhere"),
        ("output_dir", "vip_outputs/study", "elsewhere"),
        ("local_output_dir", "vip_outputs/study", "elsewhere"),
        ("vip_input_dir", "/vip/Home/API/study/INPUTS", "/vip/Home/other"),
        ("vip_output_dir", "/vip/Home/API/study/OUTPUTS", "/vip/Home/other"),
        ("pipeline_id", "CQUEST/0.6", "CQUEST/0.7"),
        ("input_settings", {"a": "b"}, {"a": "c"}),
    ],
)
def test_none_frees_a_property(
    offline: VipSession, name: str, value: object, other: object
) -> None:
    """It is the same as `del`, also for one that is not set."""
    setattr(offline, name, value)
    for _ in range(2):
        setattr(offline, name, None)
        assert getattr(offline, name) is None
    setattr(offline, name, other)
    assert getattr(offline, name) == other


def test_workflows_are_never_none(offline: VipSession) -> None:
    """As with vip-client, this one is only freed by `del`."""
    with pytest.raises(TypeError):
        offline.workflows = None


def test_nothing_is_no_argument(scripts: Scripts) -> None:
    """What a method is not given, or given empty, is what the session has."""
    session = scripts.ready("study", "a.mrui").upload_inputs(None).upload_inputs("")
    session.launch_pipeline(None, None).launch_pipeline("", {})
    again = scripts.session("study", input_dir="", pipeline_id="", input_settings={}, workflows={})
    assert (again.input_dir, again.pipeline_id, len(again.workflows)) == ("data", PIPELINE, 2)
    assert (session.input_dir, session.pipeline_id, len(session.workflows)) == ("data", PIPELINE, 2)


@pytest.mark.parametrize("name", ["session_name", "vip_input_dir", "vip_output_dir"])
def test_no_step_is_taken_without_a_place(scripts: Scripts, name: str) -> None:
    """A session whose name or whose folders on VIP were freed touches nothing there."""
    session = scripts.ready("study", "a.mrui").upload_inputs()
    other = scripts.session("other")
    setattr(session, name, None)
    asked = len(scripts.world.requests)
    steps: tuple[Callable[[], object], ...] = (
        session.upload_inputs, session.monitor_workflows, session.download_outputs, session.finish,
        lambda: session.get_inputs(other), lambda: other.get_inputs(session),
    )  # fmt: skip
    for step in steps:
        with pytest.raises(AttributeError, match=name):
            step()
    with pytest.raises(TypeError if name == "vip_output_dir" else AttributeError):
        session.launch_pipeline()
    assert len(scripts.world.requests) == asked


def test_places_on_vip_can_be_given_at_the_start(scripts: Scripts) -> None:
    """They go before the defaults, and before what was saved."""
    for place in ("/vip/Home/one", "/vip/Home/two"):
        session = scripts.session(vip_input_dir=place, vip_output_dir=None)
        assert session.vip_input_dir == place
        assert session.vip_output_dir == "/vip/Home/API/study/OUTPUTS"
        session.upload_inputs("data").finish()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda s: copy.deepcopy([s, s])[1]])
def test_a_copy_is_a_session_of_its_own(
    scripts: Scripts, copied: Callable[[VipSession], VipSession]
) -> None:
    """Nothing that is set in one is set in the other; they share the account, and where they speak."""
    session = scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    other = copied(session)
    assert other.account is session.account
    assert (other.session_name, other.workflows) == ("study", session.workflows)
    del other.input_settings
    other.input_settings = {"signal": "data/b.mrui"}
    other.verbose = False
    assert session.verbose
    assert session.input_settings == {"signal": ["/vip/Home/API/study/INPUTS/a.mrui"]}
    other.verbose = True
    said = len(scripts.said)
    other.launch_pipeline()
    assert len(scripts.said) > said
    assert (len(session.workflows), len(other.workflows)) == (1, 2)


def test_verbose_may_change(offline: VipSession) -> None:
    """It says nothing about the data."""
    offline.verbose = True
    assert offline.verbose is True


def test_settings_are_a_copy(offline: VipSession) -> None:
    """Changing what was returned changes nothing."""
    offline.input_settings = {"a": ["b"]}
    found = offline.input_settings
    assert found == {"a": ["b"]}
    found["a"].append("c")  # type: ignore[attr-defined]
    assert offline.input_settings == {"a": ["b"]}


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"pipeline_id": "nothing/1"}, ValueError),
        ({"pipeline_id": PIPELINE, "input_settings": {"wrong": 1}}, AttributeError),
        ({"pipeline_id": PIPELINE, "input_settings": {"signal": "data/no"}, "input_dir": "data"}, FileNotFoundError),
        ({"pipeline_id": PIPELINE, "input_settings": {"signal": 3}}, RuntimeError),
        ({"pipeline_id": PIPELINE, "input_settings": {"signal": "data/a.mrui", "colour": "red"}}, ValueError),
        ({"input_settings": {"signal": ""}}, ValueError),
        ({"input_settings": {"signal": "a#b"}}, TypeError),
        ({"input_settings": "signal"}, TypeError),
        ({"input_dir": 3}, TypeError),
        ({"colour": "red"}, TypeError),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_are_found_at_the_start(
    scripts: Scripts, properties: dict[str, Any], error: type[Exception]
) -> None:
    """Before anything is sent, or even written, by the one error that scripts catch there."""
    with pytest.raises(error) as caught:
        scripts.session(**properties)
    kinds = (AttributeError, OSError, RuntimeError, TypeError, ValueError)
    assert [k for k in kinds if isinstance(caught.value, k)] == [
        k for k in kinds if issubclass(error, k)
    ]
    assert not Path("vip_outputs").exists()


def test_a_property_that_is_refused_is_not_set(scripts: Scripts) -> None:
    """The right value needs no `del` before it."""
    session = scripts.session(input_dir="data", pipeline_id=PIPELINE)
    with pytest.raises(InputsMissing):
        session.input_settings = {"signal": "data/no"}
    assert session.input_settings is None
    session.input_settings = {"signal": "data/a.mrui"}


def test_where_vip_cannot_be_asked_a_property_is_checked_later(scripts: Scripts) -> None:
    """A session can be made while the network is away."""
    scripts.account().client.check_key()
    account = scripts.account()
    scripts.world.faults.arm(Kind.REQUEST_LOST, "*", times=FOR_EVER)
    session = scripts.ready(account=account, pipeline_id="nothing/1")
    scripts.world.faults.clear()
    with pytest.raises(PropertyError):
        session.upload_inputs()


def test_a_saved_session_is_resumed_without_a_network(scripts: Scripts) -> None:
    """Looking at its workflows costs VIP nothing."""
    scripts.ready("study", "a.mrui").upload_inputs().launch_pipeline()
    account = scripts.account()
    before = len(scripts.world.requests)
    session = scripts.session(account=account)
    assert len(session.workflows) == 1
    assert session.pipeline_id == PIPELINE
    assert len(scripts.world.requests) == before


def test_what_is_given_goes_before_what_was_saved(scripts: Scripts) -> None:
    """The rest comes from the backup."""
    scripts.ready("study", "a.mrui").upload_inputs()
    session = scripts.session(input_settings={"signal": "data/b.mrui"})
    assert session.input_settings == {"signal": "/vip/Home/API/study/INPUTS/b.mrui"}
    assert session.pipeline_id == PIPELINE
