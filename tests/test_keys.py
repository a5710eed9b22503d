"""Where the key comes from, and that it goes nowhere else."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from vipsync.client.refusals import Refusal
from vipsync.errors import KeyMissing
from vipsync.model import Secret, Settings
from vipsync.settings.keys import Keys, keep_api_key, kept_path, portals_kept

KEY = "0123456789abcdefghijklmnop"
OTHER = "ponmlkjihgfedcba9876543210"
DEFAULT = Settings(session_name="a")


def api_key(
    settings: Settings,
    environ: Mapping[str, str],
    config_dir: Path | None = None,
    key_file: Path | None = None,
) -> Secret:
    return Keys(environ, config_dir, None, key_file).find(settings)


def file_with(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    return path


def named(source: Path | str) -> Settings:
    return Settings(session_name="a", api_key=str(source))


def test_the_nearest_word_wins(tmp_path: Path) -> None:
    """Option file before settings before VIP_API_KEY before the kept key."""
    keep_api_key(Secret("kept"), DEFAULT.portal, tmp_path)
    environ = {"VIP_API_KEY": "default", "VIP_LAB_KEY": "lab"}
    option = file_with(tmp_path / "option", "option")
    in_file = file_with(tmp_path / "file", "file")
    found = [
        api_key(named(in_file), environ, tmp_path, option),
        api_key(named(in_file), environ, tmp_path),
        api_key(named("VIP_LAB_KEY"), environ, tmp_path),
        api_key(DEFAULT, environ, tmp_path),
        api_key(DEFAULT, {"VIP_API_KEY": ""}, tmp_path),
    ]
    values = [key.reveal() for key in found]
    assert values == ["option", "file", "lab", "default", "kept"]


def test_a_key_knows_where_it_came_from(tmp_path: Path) -> None:
    """From the environment, from a file, from `vipsync login`: a wrong one is then found."""
    key = file_with(tmp_path / "key", KEY)
    settings = Settings("study")
    variable = Keys({"VIP_API_KEY": KEY}, tmp_path).find(settings)
    assert variable.origin == "VIP_API_KEY in the environment"
    assert Keys({}, tmp_path, settings.portal, key).find(settings).origin == str(key)
    kept = keep_api_key(Secret(KEY), settings.portal, tmp_path)
    login = Keys({}, tmp_path).find(settings)
    assert login.origin == f"`vipsync login`, kept in {kept}"
    for secret in (variable, login):
        refused = Refusal("ask", settings.portal, 401, b"", key_from=secret.origin).error()
        assert f"does not accept the API key from {secret.origin}: " in refused.message
        assert ("`vipsync login` does not change" in refused.remedy) is (secret is variable)


def test_a_key_is_stripped_and_hidden(tmp_path: Path) -> None:
    """Line ends and an editor's mark are no part of a key, and its text form does not show it."""
    key = api_key(named(file_with(tmp_path / "key", f"\ufeff  {KEY}\r\n")), {})
    assert key.reveal() == KEY
    assert KEY not in f"{key} {key!r}"


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` in a path stands for the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file_with(tmp_path / "key", KEY)
    assert api_key(named("~/key"), {}).reveal() == KEY


def test_without_any_key_the_remedy_is_named(tmp_path: Path) -> None:
    """No key anywhere: run login, or set the variable."""
    with pytest.raises(KeyMissing, match=r"vipsync login.*VIP_API_KEY"):
        api_key(DEFAULT, {}, tmp_path)


def test_a_named_source_never_falls_back(tmp_path: Path) -> None:
    """A variable or file that is named and missing is an error: another key may be another account."""
    keep_api_key(Secret(KEY), DEFAULT.portal, tmp_path)
    for settings in (named("VIP_LAB_KEY"), named(tmp_path / "gone")):
        with pytest.raises(KeyMissing, match=r"VIP_LAB_KEY is not set|gone: No such file"):
            api_key(settings, {"VIP_API_KEY": KEY}, tmp_path)


def test_a_key_in_place_of_a_name_is_not_repeated() -> None:
    """What has not the looks of a variable's name stays out of the message."""
    with pytest.raises(KeyMissing) as caught:
        api_key(named("Abc_" + KEY), {})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("content", ["", " \n", "two keys", f"{KEY}\n{OTHER}", "clé", "a\x00b"])
def test_what_is_no_key_is_refused_without_its_text(tmp_path: Path, content: str) -> None:
    """A file or variable that does not hold exactly one key is named; its content is not."""
    with pytest.raises(KeyMissing) as caught:
        api_key(named(file_with(tmp_path / "file", content)), {})
    assert "is not one key" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_huge_file_is_no_key(tmp_path: Path) -> None:
    """A file named by mistake is not read whole."""
    with pytest.raises(KeyMissing):
        api_key(named(file_with(tmp_path / "image", "x" * 100_000)), {})


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_readable_key_file_is_reported(
    tmp_path: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One that was given on the command line is used, with a warning that mends it."""
    with caplog.at_level(logging.DEBUG):
        api_key(DEFAULT, {}, key_file=file_with(tmp_path / "key", KEY, mode))
    assert ("chmod 600" in caplog.text) is warned
    assert KEY not in caplog.text


def test_a_kept_key_is_private_and_belongs_to_its_portal(tmp_path: Path) -> None:
    """Each portal has its own file, readable by its owner alone, and its key goes nowhere else."""
    config = tmp_path / "new" / "vipsync"
    path = keep_api_key(Secret(f" {KEY}\n"), DEFAULT.portal, config)
    local = Settings(session_name="a", portal="http://127.0.0.1:8080")
    keep_api_key(Secret(OTHER), local.portal, config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert api_key(DEFAULT, {}, config).reveal() == KEY
    assert api_key(local, {}, config).reveal() == OTHER
    with pytest.raises(KeyMissing):
        api_key(Settings(session_name="a", portal="https://other.org"), {}, config)


def test_a_key_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Keeping a new key replaces the old one and leaves nothing beside it, whatever its mode was."""
    path = keep_api_key(Secret(OTHER), DEFAULT.portal, tmp_path)
    path.chmod(0o644)
    keep_api_key(Secret(KEY), DEFAULT.portal, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["api_key-vip.creatis.insa-lyon.fr"]
    assert path.read_text(encoding="ascii") == f"{KEY}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_replacement_leaves_no_copy(tmp_path: Path) -> None:
    """Where the key cannot be put in place, its temporary file is removed again."""
    kept_path(DEFAULT.portal, tmp_path).mkdir()
    with pytest.raises(OSError, match=r"[Dd]irectory"):
        keep_api_key(Secret(KEY), DEFAULT.portal, tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []


def test_what_is_no_key_is_not_kept(tmp_path: Path) -> None:
    """An empty answer to `vipsync login` changes nothing."""
    with pytest.raises(KeyMissing):
        keep_api_key(Secret(" "), DEFAULT.portal, tmp_path)
    assert list(tmp_path.iterdir()) == []


# a key belongs to one portal

ELSEWHERE = "https://elsewhere.org"


def elsewhere(api_key: str = "VIP_API_KEY") -> Settings:
    return Settings(session_name="a", portal=ELSEWHERE, api_key=api_key)


@pytest.mark.parametrize(
    "settings",
    [elsewhere(), elsewhere(api_key="VIP_LAB_KEY"), elsewhere(api_key="AWS_SECRET_ACCESS_KEY"),
     elsewhere(api_key="/etc/hostname")],
    ids=lambda settings: settings.api_key,
)  # fmt: skip
def test_no_key_goes_to_a_portal_that_only_the_settings_name(
    tmp_path: Path, settings: Settings
) -> None:
    """Whatever they say; how a person can say so is told, and no key is shown."""
    keep_api_key(Secret(KEY), DEFAULT.portal, tmp_path)
    environ = {"VIP_API_KEY": KEY, "VIP_LAB_KEY": OTHER, "AWS_SECRET_ACCESS_KEY": OTHER}
    with pytest.raises(
        KeyMissing, match=r"vipsync login --portal https://elsewhere\.org"
    ) as caught:
        api_key(settings, environ, tmp_path)
    assert KEY not in str(caught.value)
    assert OTHER not in str(caught.value)


def test_a_login_says_that_keys_may_go_to_its_portal(tmp_path: Path) -> None:
    """That of the login; VIP_API_KEY is for VIP, and does not go there."""
    keep_api_key(Secret(OTHER), ELSEWHERE, tmp_path)
    assert api_key(elsewhere(), {"VIP_API_KEY": KEY}, tmp_path).reveal() == OTHER
    lab = {"VIP_LAB_KEY": KEY}
    assert api_key(elsewhere(api_key="VIP_LAB_KEY"), lab, tmp_path).reveal() == KEY


@pytest.mark.parametrize(
    "named", [ELSEWHERE, f"{ELSEWHERE}/", f"{ELSEWHERE}/rest", "https://Elsewhere.org"]
)
def test_a_portal_that_a_person_names_gets_the_key(tmp_path: Path, named: str) -> None:
    """In the environment beside the key, or on the command line."""
    environ = {"VIP_API_KEY": KEY}
    found = Keys({**environ, "VIP_PORTAL_URL": named}, tmp_path).find(elsewhere())
    assert found.reveal() == KEY
    assert Keys(environ, tmp_path, named).find(elsewhere()).reveal() == KEY


@pytest.mark.parametrize("way", ["path", "link", "second name"])
def test_a_kept_key_goes_to_its_own_portal_only(tmp_path: Path, way: str) -> None:
    """Not to another one that has a login too: on loopback, anybody may answer there by now."""
    keep_api_key(Secret(OTHER), ELSEWHERE, tmp_path)
    kept = keep_api_key(Secret(KEY), DEFAULT.portal, tmp_path)
    path = tmp_path / "key" if way != "path" else kept
    if way == "link":
        path.symlink_to(kept)
    elif way == "second name":
        path.hardlink_to(kept)
    with pytest.raises(KeyMissing, match="of another portal"):
        api_key(elsewhere(str(path)), {}, tmp_path)
    assert api_key(named(path), {}, tmp_path).reveal() == KEY


@pytest.mark.parametrize("source", ["variable", "file"])
def test_an_address_with_a_password_is_no_key(tmp_path: Path, source: str) -> None:
    """Neither that of alerts, in a variable that begins like a key's, nor one that a tool keeps."""
    secret = f"mailtos://me:{OTHER}@example.org"
    name = str(file_with(tmp_path / "c", secret)) if source == "file" else "VIPSYNC_NOTIFY"
    with pytest.raises(KeyMissing, match="not one key") as caught:
        api_key(named(name), {"VIPSYNC_NOTIFY": secret})
    assert OTHER not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PATH", "my_secret"])
def test_a_variable_of_others_is_no_key(tmp_path: Path, name: str) -> None:
    """A settings.toml may be anybody's: it cannot have any secret sent, not even to VIP."""
    with pytest.raises(KeyMissing, match="begins with VIP") as caught:
        api_key(named(name), {name: OTHER}, tmp_path)
    assert OTHER not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_can_read_is_no_key_of_the_settings(tmp_path: Path, mode: int) -> None:
    """Its first line goes nowhere."""
    with pytest.raises(KeyMissing, match="chmod 600") as caught:
        api_key(named(file_with(tmp_path / "id_rsa", KEY, mode)), {})
    assert KEY not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="named pipes of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_no_key_and_holds_nothing_up(tmp_path: Path, kind: str) -> None:
    """Nobody waits for a pipe to be written to."""
    path = tmp_path / "key"
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "folder":
        path.mkdir(0o700)
    else:
        path = Path("/dev/zero")
    with pytest.raises(KeyMissing):
        api_key(named(path), {})


# files of kept keys

HOSTS = [
    "host:8080",
    "host_8080",
    "host%3a8080",
    "user@host",
    "user_host",
    "[::1]:80",
    "__1__80",
    "ho:st",
]


def test_each_portal_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Whatever signs a file name cannot have everywhere; nobody's key goes to another."""
    for number, host in enumerate(HOSTS):
        keep_api_key(Secret(f"key{number}"), f"https://{host}", tmp_path)
    keys = [
        api_key(Settings(session_name="a", portal=f"https://{host}"), {}, tmp_path).reveal()
        for host in HOSTS
    ]
    assert keys == [f"key{number}" for number in range(len(HOSTS))]
    names = [path.name.lower() for path in tmp_path.iterdir()]
    assert len(set(names)) == len(HOSTS)
    assert not [name for name in names if set(name) & set(':*?"<>|\\/')]


@pytest.mark.parametrize(
    "host", ["host:8080", "a_b:80", "a_b", "vip.example.org", "127.0.0.1:8080"]
)
def test_a_key_that_an_older_vipsync_has_kept_is_found(tmp_path: Path, host: str) -> None:
    """It called the file by the host, with `_` for every other sign."""
    file_with(tmp_path / f"api_key-{host.replace(':', '_')}", KEY)
    portal = Settings(session_name="a", portal=f"https://{host}")
    assert api_key(portal, {}, tmp_path).reveal() == KEY
    keep_api_key(Secret(OTHER), portal.portal, tmp_path)
    assert api_key(portal, {}, tmp_path).reveal() == OTHER


@pytest.mark.parametrize("host", ["host_8080", "user@host", "a_80"])
def test_an_older_file_is_no_key_of_another_portal(tmp_path: Path, host: str) -> None:
    """Its name is most likely that of a port: who is meant says so once more."""
    file_with(tmp_path / f"api_key-{host.replace('@', '_')}", KEY)
    with pytest.raises(KeyMissing):
        api_key(Settings(session_name="a", portal=f"https://{host}"), {}, tmp_path)


def test_the_portals_of_kept_keys_are_called_as_they_are(tmp_path: Path) -> None:
    """With their port, whatever the file is called."""
    file_with(tmp_path / "api_key-old_8080", KEY)
    keep_api_key(Secret(KEY), "https://new:8080", tmp_path)
    assert portals_kept(tmp_path) == ["new:8080", "old:8080"]
