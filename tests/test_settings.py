"""settings.toml → Settings, and the words for what is wrong with it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from vipsync.disk.ignoring import BUILT_IN_IGNORE
from vipsync.errors import NotASession, SettingsError
from vipsync.model import (
    PORTAL,
    ExecutionStatus,
    FileSetting,
    InputSetting,
    PackKind,
    PackSetting,
    PrivacySettings,
    Settings,
)
from vipsync.settings.reading import load, parse, places

WHOLE = """
pipeline_id  = "CQUEST/0.6"
session_name = "my-study"
portal       = "https://vip.creatis.insa-lyon.fr/rest/"
api_key      = "LAB_KEY"
[input_settings]
parameter_file = "parameters.txt"
data_file      = ["signals/001.mrui", "signals/002.mrui"]
named = { file = "{subject}/press.mrui", as = "{subject}.mrui" }
dicom = { zip = "{subject}/dicom/" }
count = 3
ratio = 0.5
flag  = true
[inputs]
directory = "data"
ignore    = ["*.log", "old/"]
upload    = "all"
settle    = "2m"
ready     = "{subject}/.done"
share     = "../other"
[launch]
when          = "manual"
nb_runs       = 2
max_jobs      = 1000
confirm_above = 9
[monitor]
refresh_time = "500ms"
stall_after  = 0
[outputs]
directory    = "results"
unzip        = false
keep_archive = true
get_status   = ["finished", "Killed"]
only         = ["*.csv"]
ignore       = ["*.tmp"]
[finish]
after       = "download"
running     = "kill"
grace       = "1.5h"
timeout     = 60
keep_input  = true
keep_output = true
[privacy]
accept = { PatientName = ["sub-*", "S[0-9]*"], PatientID = ["sub-*"] }
allow  = { InstitutionName = "ethics 2026-12" }
plain  = ["*.job0"]
strict = true
must_read = true
off    = "phantoms only"
"""


# How long an example takes says nothing here, on a machine that does other things too.
BUSY_MACHINE = examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(text: str) -> Settings:
    return parse(text.encode(), "my study")


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(text)
    return str(caught.value)


def session(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    return folder


def test_every_key_is_read() -> None:
    """A file that sets every key gives Settings in which none has its default."""
    settings = read(WHOLE)
    default = Settings(session_name="")
    for section in ("inputs", "launch", "monitor", "outputs", "finish", "privacy"):
        ours, theirs = getattr(settings, section), getattr(default, section)
        for name in ours.__struct_fields__:
            assert getattr(ours, name) != getattr(theirs, name), name
    assert (settings.session_name, settings.portal) == ("my-study", PORTAL)
    assert (settings.pipeline_id, settings.api_key) == ("CQUEST/0.6", "LAB_KEY")
    assert settings.outputs.get_status == (ExecutionStatus.FINISHED, ExecutionStatus.KILLED)
    assert isinstance(settings.outputs.get_status[0], ExecutionStatus)
    assert settings.inputs.ignore == ("*.log", "old/")
    assert (settings.inputs.settle, settings.monitor.refresh_time) == (120.0, 0.5)
    assert (settings.finish.grace, settings.finish.timeout) == (5400.0, 60.0)
    assert settings.privacy == PrivacySettings(
        accept=(("PatientID", ("sub-*",)), ("PatientName", ("sub-*", "S[0-9]*"))),
        allow=(("InstitutionName", "ethics 2026-12"),),
        plain=("*.job0",),
        strict=True,
        must_read=True,
        off="phantoms only",
    )


def test_input_settings_keep_their_types() -> None:
    """Values of parameters stay text, numbers and switches; tables and lists become our types."""
    assert read(WHOLE).input_settings == {
        "parameter_file": "parameters.txt",
        "data_file": ("signals/001.mrui", "signals/002.mrui"),
        "named": FileSetting("{subject}/press.mrui", "{subject}.mrui"),
        "dicom": PackSetting(PackKind.ZIP, "{subject}/dicom/"),
        "count": 3,
        "ratio": 0.5,
        "flag": True,
    }
    assert read(WHOLE).input_settings["flag"] is True


def test_an_empty_file_gives_the_defaults() -> None:
    """Without a word, everything has its default, and the name is made from the folder's."""
    assert read("") == Settings(session_name="my-study")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_editors_are_read(encoding: str) -> None:
    """UTF-8 with and without a mark, and UTF-16 with its mark, say the same."""
    text = 'pipeline_id = "Été/1"\n'
    assert parse(text.encode(encoding), "a").pipeline_id == "Été/1"
    big_endian = b"\xfe\xff" + text.encode("utf-16-be")
    assert parse(big_endian, "a").pipeline_id == "Été/1"


def test_a_wrong_encoding_names_the_line() -> None:
    """Latin-1 is refused with the line of its first letter that is not UTF-8."""
    with pytest.raises(SettingsError, match=r"settings\.toml, line 2: .*Save .* UTF-8"):
        parse('# one\nsession_name = "é"\n'.encode("latin-1"), "a")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{\\rtf1\\ansi\n{\\fonttbl}\npipeline_id = "a/1"\\\n}', "rich text (RTF)"),
        (b"PK\x03\x04\x14\x00\x06\x00word/document.xml", "a document of a word processor"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of a word processor"),
        (b"<!DOCTYPE html>\n<p>pipeline_id = a</p>", "a web page, or XML"),
        (b"\xef\xbb\xbf\r\n<html>", "a web page, or XML"),
        (b"%PDF-1.7\n", "a PDF"),
    ],
)
def test_what_is_not_plain_text_is_called_by_its_name(data: bytes, kind: str) -> None:
    """Hints about single letters help nobody whose editor saved another kind of file."""
    with pytest.raises(
        SettingsError, match=rf"settings\.toml: .* not plain text, but {re.escape(kind)}"
    ):
        parse(data, "a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\npipeline_id = “CQUEST/0.6”\n", ["line 2, column 15", "Curly quotes"]),
        ('pipeline_id = "CQUEST/0.6”\n', ["line 1", "Curly quotes"]),
        ('a = "l’étude" b\n', ["line 1", "not TOML: Expected newline"]),
        ('[inputs]\ndirectory = "C:\\Users\\me"\n', ["line 2", "backslash", "write /"]),
        ('[inputs]\ndirectory = "C:\\data\\"\n', ["line 2", "backslash"]),
        ('session_name = "half\n[inputs]\n', ["line 1", "not closed"]),
        ('session_name = "half', ["line 1", "half saved"]),
        ("session_name = 'half", ["line 1", "A quote is opened and not closed"]),
        ("[inputs]\nsettle = '5 s\n", ["line 2", "A quote is opened and not closed"]),
        ('session_name = """half"', ["line 1", "A quote is opened and not closed"]),
        ("[outputs]\nonly = [\n", ["line 2", "half saved"]),
        ("[inputs]\nsettle = 5 s\n", ["line 2", "straight quotes"]),
        ("[monitor]\nrefresh_time = 30s\n", ["line 2", "straight quotes"]),
        ('pipeline_id = "a/1" "b/2"\n', ["line 1", "straight quotes"]),
        ("[launch\n", ["line 1", "Expected ']'"]),
        ("pipeline_id = CQUEST/0.6\n", ["line 1", "straight quotes"]),
        ("[outputs]\nunzip = True\n", ["line 2", "true or false"]),
        ("pipeline_id\n", ["line 1", "name = value"]),
        ('session_name = "a"\nsession_name = "b"\n', ["line 2", "already used"]),
        ("session_name\u00a0= 1\n", ["line 1", "invisible"]),
        ("a = " + "[" * 100_000, ["too deep"]),
    ],
)
def test_syntax_errors_say_where_and_what_is_likely(text: str, words: list[str]) -> None:
    """What is not TOML is named with its line, and with what people usually did there."""
    said = refusal(text)
    assert all(word in said for word in ["settings.toml", *words]), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[inputs]\nsetle = 5", ["line 2: inputs.setle", 'Did you mean "settle"?']),
        ("[input]\nsettle = 5", ["line 1: input: unknown", 'Did you mean "inputs"?']),
        ('apikey = "x"', ["line 1: apikey: unknown", 'Did you mean "api_key"?']),
        ("nb_runs = 2", ["nb_runs belongs under [launch]"]),
        ("ignore = []", ["ignore belongs under [inputs] or [outputs]"]),
        ('[finish]\nportal = ""', ["portal belongs above the first [section]"]),
        ('data_file = "a.mrui"', ["parameters of the pipeline belong under [input_settings]"]),
        ('[inputs]\nupload = "al"', ["line 2: inputs.upload", 'Did you mean "all"?']),
        ('[inputs]\nupload = "zzz"', ["used, all"]),
        ('[finish]\nrunning = "Wait"', ['Did you mean "wait"?']),
        ("[launch]\nwhen = 3", ["launch.when: 3 is no choice"]),
        ('[outputs]\nget_status = ["Finishd"]', ['Did you mean "Finished"?']),
        ('[outputs]\nget_status = "Finished"', ["outputs.get_status", "must be a list"]),
        ('inputs = "data"', ["inputs: is a section"]),
        ('input_settings = "x"', ["input_settings: is a section"]),
        ('[outputs]\nunzip = "true"', ["outputs.unzip: must be true or false"]),
        ("[inputs]\nready = 3", ["inputs.ready: must be text"]),
        ("pipeline_id = 3", ["pipeline_id: 3 must be text in quotes"]),
        ('pipeline_id = "CQUEST"', ["NAME/VERSION"]),
        ('pipeline_id = "a/b/c"', ["NAME/VERSION"]),
        ('session_name = "ma étude"', ['Write "ma-etude"']),
        ('session_name = ""', ["session_name: cannot be made"]),
        ("session_name = 2026-01-31", ["write it in quotes"]),
        ('[launch]\nnb_runs = "2"', ["whole number of 1 or more"]),
        ("[launch]\nnb_runs = 0", ["whole number of 1 or more"]),
        ("[launch]\nnb_runs = 1.0", ["whole number"]),
        ("[launch]\nconfirm_above = 0", ["whole number"]),
        ("[launch]\nmax_jobs = 1001", ["from 1 to 1000"]),
        ("[launch]\nmax_jobs = true", ["from 1 to 1000"]),
        ('[inputs]\nsettle = "5 parsecs"', ["is not a duration", '"2m"']),
        ("[inputs]\nsettle = -1", ["is not a duration"]),
        ("[inputs]\nsettle = true", ["is not a duration"]),
        ("[inputs]\nsettle = inf", ["finite"]),
        ("[finish]\ngrace = nan", ["finite"]),
        ('[inputs]\ndirectory = "C:\\temp"', ["line 2", "control character", "write /"]),
        ('[inputs]\ndirectory = ""', ["is empty"]),
        ('[inputs]\nignore = "*.log"', ["must be a list"]),
        ('[inputs]\nignore = [""]', ["is empty"]),
        ('[inputs]\nignore = ["[z-a]"]', ["matches nothing"]),
        ('[inputs]\nignore = ["!"]', ["matches nothing"]),
        ('[outputs]\nonly = ["#x"]', ["matches nothing", "begins with #"]),
        ("[privacy]\noff = true", ["line 2: privacy.off: needs a reason", "STATUS.txt"]),
        ('[privacy]\noff = "x"', ["privacy.off: needs a reason"]),
        ("[privacy]\nallow = ['PatientName']", ["privacy.allow: must be a table of fields"]),
        ('[privacy]\nallow = { PatientName = "" }', ["allow: PatientName needs a reason"]),
        ('[privacy]\naccept = "sub-*"', ["privacy.accept: must be a table", '["sub-*"]']),
        ('[privacy]\naccept = { PatientName = "x" }', ["PatientName needs a list of patterns"]),
        ("[privacy]\naccept = { PatientName = [] }", ["PatientName needs a list of patterns"]),
        ("[privacy]\naccept = { PatientName = ['*'] }", ["every value", "the reason"]),
        ('[privacy]\nplain = "*.job0"', ["privacy.plain", "must be a list"]),
        ('[privacy]\nstrict = "yes"', ["privacy.strict: must be true or false"]),
        ("strict = true", ["strict belongs under [privacy]"]),
    ],
)
def test_wrong_keys_and_values_are_named(text: str, words: list[str]) -> None:
    """Each refusal names the key, and the nearest right word or form."""
    said = refusal(text)
    assert all(word in said for word in words), said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('""', "still empty"),
        ('["a", " "]', "still empty"),
        ("[]", "empty list"),
        ('[["a"]]', "list inside a list"),
        ("2026-01-31", "date or a time"),
        ("[12:00:00]", "date or a time"),
        ("nan", "finite"),
        ('{ file = "a" }', "{ file = "),
        ('{ file = "a", as = "b", zip = "c" }', "{ file = "),
        ('{ file = "a", as = 3 }', "must be text"),
        ('{ zip = "" }', "is empty"),
        ('{ rar = "a/" }', "tgz) are known"),
        ("{}", "tgz) are known"),
        ('"a\\tb"', "control character"),
    ],
)
def test_values_of_parameters_have_a_known_shape(value: str, words: str) -> None:
    """Shapes that cannot become a value are refused under the parameter's name."""
    said = refusal(f"[input_settings]\nx = {value}\n")
    assert said.startswith("settings.toml, line 2: input_settings.x: ")
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("kind", list(PackKind))
def test_tables_may_stand_in_lists(kind: PackKind) -> None:
    """A list may hold tables, each of its kind."""
    settings = read(f'[input_settings]\nx = [{{ {kind} = "a/" }}, {{ file = "b", as = "c" }}, 1]\n')
    expected: InputSetting = (PackSetting(kind, "a/"), FileSetting("b", "c"), 1)
    assert settings.input_settings["x"] == expected


def test_a_pattern_of_wildcards_alone_accepts_nobody() -> None:
    """It would let every value through without a reason."""
    assert "every value" in refusal("[privacy]\naccept = { PatientName = ['sub-*', '?*'] }")


def test_what_lets_every_value_through_needs_a_reason() -> None:
    """It stands in STATUS.txt and beside the results."""
    assert "needs a reason" in refusal('[privacy]\nallow = { PatientName = "…" }')


def test_all_errors_are_told_at_once() -> None:
    """One message has a line for each error, in the order of the file."""
    said = refusal('sesion = 1\n[launch]\nnb_runs = 0\n[inputs]\nupload = "x"\nsettle = "x"\n')
    lines = [line.split(": ")[:2] for line in said.split("\n")]
    assert lines == [
        ["settings.toml, line 1", "sesion"],
        ["settings.toml, line 3", "launch.nb_runs"],
        ["settings.toml, line 5", "inputs.upload"],
        ["settings.toml, line 6", "inputs.settle"],
    ]


@pytest.mark.parametrize(
    ("given_url", "kept"),
    [
        ("https://vip.example.org", "https://vip.example.org"),
        ("https://VIP.example.org:8443/rest/", "https://vip.example.org:8443"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:5000/rest", "http://127.0.0.1:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_portals_are_reduced_to_their_server(given_url: str, kept: str) -> None:
    """A trailing slash and /rest are dropped; plain http is fine on this machine."""
    assert read(f'portal = "{given_url}"').portal == kept


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://vip.example.org", "unencrypted"),
        ("http://127.0.0.1.example.org", "unencrypted"),
        ("http://10.0.0.1", "unencrypted"),
        ("vip.example.org", "web address"),
        ("ftp://vip.example.org", "web address"),
        ("https://", "web address"),
        ("https://a:b", "web address"),
        ("https://evil.org/@vip.example.org", "without a path"),
        ("https://vip.example.org/home.html", "without a path"),
        ("https://vip.example.org?x=1", "without a path"),
        ("https://me:secret@vip.example.org", "user"),
        ("", "web address"),
    ],
)
def test_other_portals_are_refused(url: str, words: str) -> None:
    """No key goes to what is not clearly one server over an encrypted line."""
    said = refusal(f'portal = "{url}"')
    assert words in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "key",
    [
        "0123456789abcdefghijklmnop",
        "k7q2v9s1m4n8b3c6d5f0g2h1j4",
        "A1B2C3D4E5F6A7B8C9D0E1F2",
    ],
)
@pytest.mark.parametrize("name", ["api_key", "apikey", "portal", "inputs.settle"])
def test_a_key_is_refused_and_never_repeated(key: str, name: str) -> None:
    """A key that was written into the file appears in no message, wherever it was put."""
    section, _, word = name.rpartition(".")
    heading = f"[{section}]\n" if section else "\n"
    said = refusal(f'{heading}{word} = "{key}"\n')
    assert key not in said
    assert f"line 2: {name}: " in said


@BUSY_MACHINE
@given(st.text(alphabet="0123456789abcdefghijklmnopqrstuv", min_size=20, max_size=40))
def test_no_key_of_vip_is_ever_accepted(key: str) -> None:
    """Whatever key VIP makes, api_key refuses it without its text."""
    assert key not in refusal(f'api_key = "{key}"')


@BUSY_MACHINE
@given(st.binary(max_size=200))
def test_any_bytes_give_settings_or_one_known_error(data: bytes) -> None:
    """No bytes in settings.toml raise anything but a SettingsError."""
    with contextlib.suppress(SettingsError):
        assert parse(data, "x").session_name


ODD_VALUES = st.recursive(
    st.text(max_size=9)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.datetimes()
    | st.sampled_from(["5s", "all", "Finished", "http://[", "~", "\\", "{", "a/1"]),
    lambda items: (
        st.lists(items, max_size=2)
        | st.dictionaries(st.sampled_from(["file", "as", "zip", "directory", "ignore"]), items)
    ),
    max_leaves=4,
)
WORDS = sorted(set(re.findall(r"^\[?(\w+)", WHOLE, re.MULTILINE)))


@BUSY_MACHINE
@given(
    st.dictionaries(
        st.sampled_from(WORDS),
        ODD_VALUES | st.dictionaries(st.sampled_from(WORDS), ODD_VALUES, max_size=3),
        max_size=4,
    )
)
def test_any_table_gives_settings_or_one_known_error(table: dict[str, object]) -> None:
    """Whatever stands under the known names, nothing but a SettingsError is raised."""
    with contextlib.suppress(SettingsError):
        assert parse(tomli_w.dumps(table).encode(), "x").session_name


@pytest.mark.parametrize(
    ("folder", "name"),
    [("my study (2)", "my-study-2"), ("Étude_1", "Etude_1"), ("--a", "a"), ("日本 x", "x")],
)
def test_session_names_come_from_the_folder(folder: str, name: str) -> None:
    """Accents are dropped, and what VIP cannot hold becomes a dash."""
    assert parse(b"", folder).session_name == name


def test_a_folder_without_a_usable_name_asks_for_one() -> None:
    """Where no name can be made, the message says to write one."""
    with pytest.raises(SettingsError, match=r'session_name: .* write one, as "my-study"'):
        parse(b"", "日本")


def test_options_win_over_the_file_and_the_environment(tmp_path: Path) -> None:
    """Option before settings.toml before environment before default."""
    environ = {"VIP_PORTAL_URL": "https://environ.org"}
    folder = session(tmp_path / "a")
    assert load(folder, environ={}).portal == PORTAL
    assert load(folder, {"portal": None}, environ).portal == "https://environ.org"
    session(folder, 'portal = "https://file.org"')
    assert load(folder, {}, environ).portal == "https://file.org"
    options = {"portal": "https://option.org", "inputs.upload": "all"}
    assert load(folder, options, environ).portal == "https://option.org"
    assert load(folder, options, environ).inputs.upload == "all"


def test_errors_name_the_option_or_variable_they_come_from(tmp_path: Path) -> None:
    """A wrong option or variable is not blamed on the file."""
    folder = session(tmp_path / "a")
    with pytest.raises(SettingsError, match=r"^option: inputs\.upload: "):
        load(folder, {"inputs.upload": "x"}, {})
    with pytest.raises(SettingsError, match=r"^VIP_PORTAL_URL: portal: "):
        load(folder, {}, {"VIP_PORTAL_URL": "x"})


def test_a_folder_without_settings_says_what_to_do(tmp_path: Path) -> None:
    """No settings.toml, a hidden ending, and no folder at all each have their own words."""
    with pytest.raises(NotASession, match="vipsync init"):
        load(tmp_path)
    with pytest.raises(NotASession, match="is not there"):
        load(tmp_path / "gone")
    (tmp_path / "settings.toml.txt").touch()
    with pytest.raises(NotASession, match="Windows hides the ending"):
        load(tmp_path)


def test_settings_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    """A settings.toml that is no file is a settings error with the system's reason."""
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read: it is a folder"):
        load(tmp_path)


def test_places_are_relative_to_the_folder_or_absolute(tmp_path: Path) -> None:
    """Directories are found from the folder, wherever they are, with links resolved."""
    folder = session(tmp_path / "a")
    (tmp_path / "scanner").mkdir()
    (folder / "linked").symlink_to(tmp_path / "scanner")
    directories = {"inputs.directory": "linked", "outputs.directory": str(tmp_path / "out")}
    settings = load(folder, directories, {})
    assert places(folder, settings) == (tmp_path / "scanner", tmp_path / "out")
    assert places(folder, load(folder, {}, {})) == (folder / "inputs", folder / "outputs")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ("inputs", "inputs/results"),
        ("outputs/in", "outputs"),
        ("data", "data"),
        ("data", "x/../data"),
        (".", "outputs"),
        ("..", "outputs"),
        ("inputs", "."),
        ("inputs", ".."),
        ("..", "../../out"),
        ("../../in", ".."),
        ("link", "real/outputs"),
        ("loop", "outputs"),
        ("inputs", "loop"),
        ("loop/below", "outputs"),
        (".vipsync", "outputs"),
        ("inputs", ".vipsync/out"),
    ],
)
def test_places_that_overlap_are_refused(tmp_path: Path, inputs: str, outputs: str) -> None:
    """Neither of inputs and outputs contains the other, the session folder, or its own records."""
    folder = session(tmp_path / "a")
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    (folder / "loop").symlink_to("loop")
    directories = {"inputs.directory": inputs, "outputs.directory": outputs}
    with pytest.raises(SettingsError, match=r"puts\.directory"):
        load(folder, directories, {})


@pytest.mark.parametrize("where", ["a/key", "a/inputs/key", "scanner/key", "way/key", "link"])
def test_a_key_file_inside_the_session_is_refused(tmp_path: Path, where: str) -> None:
    """A key in the folder, or among the inputs elsewhere, would be copied with them."""
    (tmp_path / "scanner").mkdir()
    folder = session(tmp_path / "a")
    (tmp_path / "way").symlink_to(folder)
    (tmp_path / "link").symlink_to(folder / "key")
    session(folder, f"api_key = '{tmp_path / where}'")
    with pytest.raises(SettingsError, match="copied with it"):
        load(folder, {"inputs.directory": str(tmp_path / "scanner")}, {})


def test_a_key_file_elsewhere_is_accepted(tmp_path: Path) -> None:
    """An absolute path outside the session is a fine place for a key."""
    folder = session(tmp_path / "a", f"api_key = '{tmp_path / 'key'}'")
    assert load(folder, {}, {}).api_key == str(tmp_path / "key")


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "~$report.docx",
        "a.tmp",
        "a.part",
        "a.partial",
        "a.filepart",
        "a.crdownload",
        "a.lock",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir/x",
        "#recycle/x",
        ".Trash-1000/x",
        ".smbdelete12",
        ".~lock.a#",
        "__MACOSX/x",
        ".nfs001",
    ],
)
def test_temporary_names_are_ignored_at_any_depth(name: str) -> None:
    """What systems and copy tools leave behind is never sent, in any folder."""
    spec = GitIgnoreSpec.from_lines(BUILT_IN_IGNORE)
    assert spec.match_file(name)
    assert spec.match_file(f"sub/{name}")


@pytest.mark.parametrize("name", ["a.mrui", "sub-01/T1.nii.gz", "part", "lock.txt", "recycle/x"])
def test_data_are_not_ignored(name: str) -> None:
    """Names that only resemble temporary ones are data."""
    assert not GitIgnoreSpec.from_lines(BUILT_IN_IGNORE).match_file(name)


@pytest.mark.parametrize("directory", ["outputs", "deep/results", "./outputs"])
def test_results_are_not_written_through_a_link(tmp_path: Path, directory: str) -> None:
    """Others may write in the session folder: where results lie is said by the setting alone."""
    (tmp_path / "elsewhere").mkdir()
    study = tmp_path / "study"
    (study / "deep").mkdir(parents=True)
    (study / directory).symlink_to(tmp_path / "elsewhere")
    settings = parse(f'[outputs]\ndirectory = "{directory}"\n'.encode(), "study")
    with pytest.raises(SettingsError, match="is a link to"):
        places(study, settings)
    direct = parse(f'[outputs]\ndirectory = "{tmp_path / "elsewhere"}"\n'.encode(), "study")
    assert places(study, direct)[1] == tmp_path / "elsewhere"


EXCESS = {
    "a dotted key": ".".join(["a"] * 20_000) + " = 1",
    "a dotted section": "[" + " . ".join(["a"] * 20_000) + "]",
    "a dotted key in quotes": ".".join(['"a b"'] * 20_000) + " = 1",
    "many dotted keys": "\n".join(".".join(["a"] * 30 + [f"k{i}"]) + " = 1" for i in range(9000)),
    "a dotted key inside": "a = { " + ".".join(["b"] * 20_000) + " = 1 }",
    "tables in tables": "a = " + "{a = " * 900 + "1" + "}" * 900,
    "lists in lists": "a = " + "[" * 300 + "]" * 300,
    "comments": "#\n" * 60_000,
    "a long text": f'session_name = "{"x" * 3 * 2**20}"',
}


@pytest.mark.parametrize("kind", EXCESS)
def test_what_no_person_writes_is_refused_before_it_is_read(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a name of 20,000 parts takes eight seconds, in which all folders would wait."""
    monkeypatch.setattr("tomllib.loads", lambda _text: pytest.fail("it was read"))
    with pytest.raises(SettingsError, match=r"parts|too deep|far longer"):
        parse(EXCESS[kind].encode(), "study")


def test_dots_in_texts_are_no_parts_of_a_name() -> None:
    """A DICOM identifier in a text, a list or a comment has more of them than any name."""
    uid = "1.2.840.10008.5.1.4.1.1.2.3.4.5.6.7"
    text = (
        f'[input_settings]\na = "{uid}"\nb = ["{uid}", \'{uid}\'] # {uid}\n"c d" = """\\\n{uid}"""'
    )
    assert parse(text.encode(), "study").input_settings["a"] == uid


def test_mistakes_without_number_are_told_in_part() -> None:
    """The first ones, and how many more there are; a name without end is cut."""
    text = "\n".join([f"{'k' * 5000}{number} = 1" for number in range(300)])
    with pytest.raises(SettingsError, match="250 more mistakes") as caught:
        parse(text.encode(), "study")
    assert len(str(caught.value)) < 40_000
