"""Names, places and listings (facts 3.1-3.4, 3.10)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from urllib.parse import quote

import pytest

from tests.local.conftest import Vip, code
from vipsync.local import User, stored_name
from vipsync.local.options import Level
from vipsync.local.refusals import Refusal

MakeVip = Callable[..., Vip]

NAMES = {
    "été 1.nii.gz": "ete_1.nii.gz",
    " a  b.txt ": "a__b.txt",
    "ßø.txt": ".txt",
    "日本.txt": ".txt",
    "ﬁle.txt": "file.txt",
    "x².txt": "x2.txt",
    "œuf.txt": "uf.txt",
    "a\u00a0b.txt": "a b.txt",
    "a#b;c.txt": "a#b;c.txt",
    "日本": "",
}


@pytest.mark.parametrize(("sent", "stored"), NAMES.items())
def test_names_are_cleaned_as_the_server_does(sent: str, stored: str) -> None:
    """Every example of facts 3.4."""
    assert stored_name(sent) == stored


def test_only_the_last_part_of_a_path_is_cleaned(vip: Vip) -> None:
    """The answer is 201 and does not tell the new name; a parent must be named as it is stored."""
    assert vip.client.put("/rest/path/vip/Home/été%201/").status_code == 201
    assert vip.client.put("/rest/path/vip/Home/été%201/x.txt", content=b"x").status_code == 400
    assert vip.client.put("/rest/path/vip/Home/ete_1/é.txt", content=b"x").status_code == 201
    assert vip.names("/vip/Home/ete_1") == ["e.txt"]


def test_a_name_that_becomes_empty_is_refused(vip: Vip) -> None:
    """Nothing of it is ASCII."""
    assert code(vip.put("/vip/Home/日本", b"x")) == (400, 8000)


@pytest.mark.parametrize(
    "path",
    ["/vip/Users/other", "/vip/Secret (group)/x", "/etc/passwd", "/vip/Home/../../x", "/vipx"],
)
def test_what_is_not_ones_own_is_forbidden(vip: Vip, path: str) -> None:
    """Reading and writing give 8013, also after dots are resolved."""
    for action in ("exists", "properties", "list", "content"):
        assert code(vip.path(path, action)) == (400, 8013)
    assert code(vip.put(path, b"x")) == (400, 8013)
    assert code(vip.client.delete(f"/rest/path{path}")) == (400, 8013)


@pytest.mark.parametrize("path", ["/vip", "/vip/Home", "/vip/Trash", "/vip/EGI (group)"])
def test_roots_can_be_read_but_not_changed(vip: Vip, path: str) -> None:
    """No direct child of /vip is written or deleted."""
    assert vip.path(path, "list").status_code == 200
    assert code(vip.put(path)) == (400, 8013)
    assert code(vip.client.delete(f"/rest/path{path}")) == (400, 8013)


def test_the_root_lists_home_trash_and_groups(vip: Vip) -> None:
    """Sizes of roots are unknown; with a trailing slash the root is not recognised."""
    listed = vip.path("/vip", "list").json()
    assert [entry["path"] for entry in listed] == ["/vip/Home", "/vip/Trash", "/vip/EGI (group)"]
    assert {entry["size"] for entry in listed} == {None}
    assert vip.path("/vip", "properties").json()["size"] == 3
    assert vip.path("/vip/", "exists").json() == {"exists": False}


def test_a_group_with_spaces_is_shared_by_its_members(make_vip: MakeVip) -> None:
    """Both see the file under the same virtual path."""
    users = {name: User(name, name, ("MR Lab",)) for name in ("ann", "bob")}
    vip = make_vip(users=users, groups=("MR Lab",))
    path = "/rest/path/vip/MR%20Lab%20(group)/x.txt"
    vip.client.put(path, content=b"x", headers={"apikey": "ann"})
    seen = vip.client.get(f"{path}?action=exists", headers={"apikey": "bob"})
    assert seen.json() == {"exists": True}
    assert (vip.world.root / "groups" / "MR_Lab" / "x.txt").is_file()


def test_properties_of_an_absent_path_are_null(vip: Vip) -> None:
    """The answer is 200 all the same."""
    found = vip.path("/vip/Home/absent", "properties").json()
    assert found.pop("path") == "/vip/Home/absent"
    assert found.pop("exists") is False
    assert set(found.values()) == {None}


def test_sizes_and_dates_are_those_of_the_server(vip: Vip) -> None:
    """A file has bytes and no date; a directory counts its entries here, 0 in a list."""
    vip.put("/vip/Home/folder")
    vip.put("/vip/Home/folder/x.txt", b"four")
    file = vip.path("/vip/Home/folder/x.txt", "properties").json()
    assert (file["size"], file["lastModificationDate"], file["isDirectory"]) == (4, None, False)
    folder = vip.path("/vip/Home/folder", "properties").json()
    assert (folder["size"], folder["mimeType"]) == (1, "text/directory")
    listed = {entry["path"]: entry for entry in vip.path("/vip/Home", "list").json()}
    assert listed["/vip/Home/folder"]["size"] == 0


def test_a_trailing_slash_shows_in_listed_paths(vip: Vip) -> None:
    """The asked path is put before the names as it is."""
    listed = vip.path("/vip/Home/", "list").json()
    assert listed[0]["path"] == "/vip/Home//a.mrui"


@pytest.mark.parametrize("path", ["/vip/Home/a.mrui", "/vip/Home/absent"])
def test_only_directories_are_listed(vip: Vip, path: str) -> None:
    """Anything else is 400/8000."""
    assert code(vip.path(path, "list")) == (400, 8000)


@pytest.mark.parametrize("path", ["/vip", "/vip/Home", "/vip/Home/absent"])
def test_only_files_have_content(vip: Vip, path: str) -> None:
    """Anything else is 400/8000; md5 never works."""
    assert code(vip.path(path, "content")) == (400, 8000)
    assert code(vip.path("/vip/Home/a.mrui", "md5")) == (400, 8000)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/vip/Home/folder/../a.mrui", True),
        ("/vip/Home//a.mrui", True),
        ("//vip/Home/a.mrui", True),
        ("/vip/Home/./a.mrui", True),
        ("/vip/Home/absent/../a.mrui", False),
        ("/vip/./Home/a.mrui", False),
        ("/vip//Home/a.mrui", False),
        ("/vip/Home/../Home/a.mrui", False),
        ("/vip/Home/../Trash", False),
        ("/vip/Home/..", True),
        ("/vip/Home/../../vip", False),
        ("/vip/.", False),
        ("/vip/Home/../../etc", None),
        ("/vip/Home/../local_user/a.mrui", None),
        ("/vip2", None),
        ("h", None),
    ],
)
def test_dots_are_judged_resolved_and_looked_up_as_they_are(
    vip: Vip, path: str, expected: bool | None
) -> None:
    """What is allowed (None: 8013) follows from the resolved path, what is found from it as it is."""
    vip.put("/vip/Home/folder")
    storage, user = vip.world.storage, vip.world.options.users["local"]
    with pytest.raises(Refusal) if expected is None else nullcontext():
        assert storage.exists(user, path) is expected


@pytest.mark.parametrize(
    ("name", "listed", "described"), [("a;b", 500, False), ("a##b", 400, False), ("a#b", 200, True)]
)
def test_marks_of_the_storage_service_in_a_name_break_what_is_told(
    vip: Vip, name: str, listed: int, described: bool
) -> None:
    """The list of its folder fails, and the name itself is cut at the mark."""
    path = f"/vip/Home/{quote(name)}"
    assert vip.put(path, b"x").status_code == 201
    assert vip.path("/vip/Home", "list").status_code == listed
    assert vip.path(path, "properties").json()["exists"] is described
    assert (vip.path(path, "content").status_code == 200) is described


@pytest.mark.parametrize(("level", "status"), [("Beginner", 400), ("Advanced", 201)])
def test_a_beginner_only_reads_what_is_a_groups(make_vip: MakeVip, level: str, status: int) -> None:
    """At home everybody writes."""
    vip = make_vip(users={"local": User(level=Level(level))})
    assert vip.put("/vip/EGI (group)/x").status_code == status
    assert vip.put("/vip/Home/x").status_code == 201
    assert vip.path("/vip/EGI (group)", "list").status_code == 200


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.nii.gz", "application/gzip"),
        ("a.tgz", "application/octet-stream"),
        ("A.TXT", "text/plain"),
        (".txt", "text/plain"),
        ("a.zip", "application/zip"),
        ("a.mrui", "application/octet-stream"),
        ("txt", "application/octet-stream"),
    ],
)
def test_a_type_is_told_by_the_end_of_the_name(vip: Vip, name: str, kind: str) -> None:
    """As Java knows them."""
    vip.put(f"/vip/Home/{name}", b"x")
    assert vip.path(f"/vip/Home/{name}", "properties").json()["mimeType"] == kind
