"""The settings.toml of a new session."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vipsync.errors import SettingsError
from vipsync.model import PORTAL, Descriptor, Parameter, ParameterType, Scalar, Settings
from vipsync.settings.reading import parse
from vipsync.settings.template import WIDTH, settings_text, to_fill_in

FILE, TEXT = ParameterType.FILE, ParameterType.STRING
WHOLE, NUMBER = ParameterType.INTEGER, ParameterType.DOUBLE


def descriptor(*parameters: Parameter, dot: frozenset[str] = frozenset()) -> Descriptor:
    return Descriptor("Tool/1", "Tool", "1", parameters=parameters, dot=dot)


def text_for(*parameters: Parameter, dot: frozenset[str] = frozenset()) -> str:
    return settings_text(descriptor(*parameters, dot=dot), "study")


def paragraph(text: str, key: str) -> str:
    """Return the line of a key with the comments above it, joined."""
    found = next(p for p in text.split("\n\n") if re.search(rf"^(# )?{key} = ", p, re.MULTILINE))
    return found.replace("\n# ", " ")


def test_the_general_keys_are_filled_in() -> None:
    """Pipeline and name are written; the portal only where it is not the usual one."""
    text = settings_text(descriptor(), "study", "https://other.org")
    found = parse(text.encode(), "x")
    assert (found.pipeline_id, found.session_name) == ("Tool/1", "study")
    assert found.portal == "https://other.org"
    assert "portal" not in settings_text(descriptor(), "study", PORTAL)


def test_without_a_pipeline_the_folder_only_uploads() -> None:
    """A template without a descriptor parses, and its pipeline is a comment to fill in."""
    text = settings_text(None, "study")
    assert parse(text.encode(), "x") == Settings(session_name="study")
    assert '# pipeline_id = "' in text


def test_required_parameters_stand_empty_and_are_named() -> None:
    """What must be filled in is a live line, and reading the text says which ones are empty."""
    text = text_for(Parameter("signal", FILE), Parameter("basis", FILE), Parameter("n", WHOLE))
    assert tomllib.loads(text)["input_settings"] == {"signal": "", "basis": "", "n": ""}
    with pytest.raises(SettingsError) as caught:
        parse(text.encode(), "x")
    keys = re.findall(r"input_settings\.(\w+): is still empty", str(caught.value))
    assert keys == ["signal", "basis", "n"]


def test_a_single_file_is_each_file_of_inputs() -> None:
    """Where only one parameter needs files, each file in inputs/ is a case at once."""
    text = text_for(Parameter("signal", FILE), Parameter("mask", FILE, optional=True))
    assert parse(text.encode(), "x").input_settings == {"signal": "*"}


def test_optional_parameters_are_comments_with_their_default() -> None:
    """Removing the # of an optional parameter gives its default."""
    text = text_for(Parameter("words", TEXT, default='a "b" \\c'), Parameter("ratio", NUMBER, True))
    assert "input_settings" in tomllib.loads(text)
    assert tomllib.loads(text)["input_settings"] == {}
    live = re.sub(r"^# (words|ratio) =", r"\1 =", text, flags=re.MULTILINE)
    assert tomllib.loads(live)["input_settings"] == {"words": 'a "b" \\c', "ratio": ""}


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (Parameter("x", FILE, label="Signal", description="The FID."), "Signal: The FID."),
        (Parameter("x", FILE), "Needed: a file."),
        (Parameter("x", TEXT, optional=True), "Optional: text."),
        (Parameter("x", ParameterType.LIST, element=FILE), "Needed: a file."),
        (Parameter("x", WHOLE, minimum=1, maximum=9), "whole number, in place of the quotes, at least 1 and at most 9."),
        (Parameter("x", WHOLE, optional=True, default=2), "Optional: a whole number."),
        (Parameter("x", ParameterType.BOOLEAN, default=True), ": true or false."),
        (Parameter("x", NUMBER, minimum=0, exclusive_minimum=True), "above 0."),
        (Parameter("x", NUMBER, maximum=0.5, exclusive_maximum=True), "below 0.5."),
        (Parameter("x", TEXT, choices=("a", 2)), 'One of "a", 2.'),
        (Parameter("x", TEXT, description="&lt;b&gt;Bold&lt;/b&gt; a < 3"), "Bold a < 3"),
        (Parameter("x", TEXT, description='<a href="http://a.org">Here</a>.'), "Here (http://a.org)."),
        (Parameter("x", TEXT, description="one\r\nport = 1\u2028\x1b[2Jtwo"), "one port = 1 [2Jtwo"),
    ],
)  # fmt: skip
def test_comments_say_what_a_parameter_takes(parameter: Parameter, words: str) -> None:
    """The pipeline's own words, the type, the bounds and the choices stand above the line."""
    assert words in paragraph(text_for(parameter), "x")


def test_pairs_folders_and_iterators_are_noted() -> None:
    """What changes the number of jobs is said where the value is written."""
    names = ("t1", "t2", "jobs", "hidden")
    pipeline = Descriptor(
        "Tool/1",
        "Tool",
        "1",
        parameters=tuple(Parameter(name, FILE) for name in names),
        dot=frozenset({"t1", "t2"}),
        directory_patterns={"t1": ("*.nii", "*.tgz")},
        int_iterators=frozenset({"jobs"}),
        overridden={"hidden": "jobs"},
    )
    text = settings_text(pipeline, "study")
    assert "Paired by index with: t2. A folder stands for the files *.nii, *.tgz in it." in (
        paragraph(text, "t1")
    )
    assert "Paired by index with: t1." in paragraph(text, "t2")
    assert "The number N makes N jobs." in paragraph(text, "jobs")
    assert "hidden" not in text


def test_long_descriptions_wrap() -> None:
    """Comments from the pipeline fit on a terminal; an address stays whole."""
    address = "https://example.org/" + "a" * WIDTH
    pipeline = descriptor(Parameter("x", FILE, description="word " * 200 + address))
    text = settings_text(pipeline, "study")
    assert text.count("word") == 200
    assert f"# {address}\n" in text
    assert all(len(line) <= WIDTH for line in text.split("\n") if "word" in line)


def test_each_other_setting_can_be_used_by_removing_its_mark() -> None:
    """The commented keys are real keys with valid values, each under its own section."""
    general = text_for(Parameter("x", TEXT, default="y")).partition("\n[inputs]")
    live = general[1] + re.sub(r"^# ", "", general[2], flags=re.MULTILINE)
    found = parse(live.encode(), "study")
    assert found.inputs.ready == "{subject}/.done"
    assert found.finish.after == "download"
    assert not found.outputs.unzip
    assert found.launch.when == "manual"


WORDS = st.text(max_size=60)
SCALARS: st.SearchStrategy[Scalar] = WORDS | st.integers() | st.floats() | st.booleans()
PARAMETERS = st.builds(
    Parameter,
    name=st.text(max_size=12),
    type=st.sampled_from(ParameterType),
    optional=st.booleans(),
    default=st.none() | SCALARS,
    description=WORDS,
    label=WORDS,
    choices=st.lists(SCALARS, max_size=3).map(tuple),
    minimum=st.none() | st.floats(),
    maximum=st.none() | st.floats(),
)
DESCRIPTORS = st.builds(
    Descriptor,
    pipeline_id=st.just("Tool/1"),
    name=WORDS,
    version=WORDS,
    description=WORDS,
    parameters=st.lists(PARAMETERS, max_size=4).map(tuple),
    dot=st.frozensets(WORDS, max_size=2),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DESCRIPTORS)
def test_any_descriptor_gives_valid_settings(pipeline: Descriptor) -> None:
    """Whatever a descriptor says, the text is TOML, and complete once what is empty is filled in."""
    text = settings_text(pipeline, "study")
    empty = {p.name for p in to_fill_in(pipeline)}
    table = tomllib.loads(text)["input_settings"]
    assert {name for name, value in table.items() if value == ""} == empty
    filled = dict.fromkeys(table, "text")
    found = parse(text.encode(), "x", overrides={"input_settings": filled})
    assert found == Settings("study", "Tool/1", input_settings=filled)
    live = {p.name for p in pipeline.parameters if p.required}
    assert set(table) <= live
