"""The page of all folders: what it shows, whom it lets in, and that it writes nothing but requests."""

from __future__ import annotations

import html
import http.client
import os
import re
import signal
import socket
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.lab.bench import Bench, files_below
from tests.lab.pages import ORIGIN, PORT, Paged, asked, case, open_pages, report, tell
from tests.lab.served import Caller, Served
from vipsync.errors import SettingsError
from vipsync.folder.folder import SessionFolder, new_request
from vipsync.model import RelPath
from vipsync.page.looking import WAITING, key_of
from vipsync.page.results import MOST
from vipsync.page.security import Access
from vipsync.page.server import parsed, running
from vipsync.plan.draft import Level, Notice
from vipsync.plan.standing import CaseState
from vipsync.report.progress import Batch, Transfer
from vipsync.report.transfer_files import TransferFiles
from vipsync.status.failures import Failure
from vipsync.status.publish import Publisher
from vipsync.status.status import ExecutionReport

FAILED = Failure(
    CaseState.FAILED,
    "no water peak found",
    ("b", "c"),
    (RelPath("T1/logs/job-2.stdout.txt"),),
    ("reading b.mrui", "no water peak found"),
    "Mend the inputs, and they run by themselves; `vipsync rerun DIR --failed` runs the same again.",
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a folder with a case that is done and two that failed."""
    root = tmp_path / "my study"
    cases = [case("a"), case("b", CaseState.FAILED), case("c", CaseState.FAILED)]
    return tell(root, report(root, cases, failures=(FAILED,), exit_code=3))


@pytest.fixture
def page(study: Path) -> Paged:
    return Paged(study)


def result(root: Path, name: str, content: bytes = b"text") -> Path:
    """Put a result into the folder of the only execution."""
    path = root / "outputs" / "T1" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# what it shows


def test_folders_that_need_a_person_come_first(tmp_path: Path, page: Paged, study: Path) -> None:
    """Then those that run, those that wait, and those at rest; each by its name."""
    states = {
        "z": CaseState.RUNNING,
        "y": CaseState.WAITING,
        "b": CaseState.DONE,
        "a": CaseState.DONE,
    }
    for name, state in states.items():
        root = tmp_path / name
        tell(root, report(root, [case("x", state)]))
    several = Paged(tmp_path)
    text = several.get("/").text
    assert re.findall(r'<h3><a id="[^"]+" href="[^"]+">(.+?)</a>', text) == [
        "my study",
        *("z", "y", "a", "b"),
    ]
    assert "1 needs you" in text


@pytest.mark.parametrize(
    ("tops", "shown"),
    [
        (["."], ["in mri", "in mri/old", "in spectra"]),
        (["mri", "spectra"], ["in mri", "in mri/old", "in spectra"]),
        (["mri/one", "spectra/one"], ["in {0}/mri", "in {0}/spectra"]),
        (["mri/one"], []),
    ],
)
def test_a_folder_is_shown_with_its_group(
    tmp_path: Path, tops: list[str], shown: list[str]
) -> None:
    """Where it lies below the folders that were named: studies of one name are told apart."""
    for name in ("mri/one", "mri/old/one", "spectra/one"):
        root = tmp_path / name
        root.mkdir(parents=True)
        tell(root, report(root))
        (root / "settings.toml").write_text("")
    text = Paged(*(tmp_path / top for top in tops)).get("/").text
    found = re.findall(r'<span class="quiet">(in .+?)</span>', text)
    assert found == [words.format(tmp_path) for words in shown]


def test_a_folder_shows_why_jobs_failed_and_what_to_do(page: Paged, study: Path) -> None:
    """The application's words, once for all cases, the log to open, a command that can be copied."""
    log = result(study, "logs/job-2.stdout.txt", b"reading b.mrui\nno water peak found\n")
    text = page.get(page.of(study)).text
    assert "<h3>no water peak found</h3>" in text
    assert "2 cases: b, c" in text
    assert "reading b.mrui\nno water peak found" in text
    assert f"<code>vipsync rerun &#39;{study}&#39; --failed</code>" in text
    (address,) = set(re.findall(r'href="(/folder/[^"]+/file/[^"]+job-2[^"]+)"', text))
    assert page.get(address).data == log.read_bytes()


def test_a_picture_is_called_by_its_case(page: Paged, study: Path) -> None:
    """And by its path, also for who cannot see it; by its file where nobody knows whose it is."""
    results = (RelPath("T1/a.mrui.tgz"),)
    tell(study, report(study, [case("été 1.mrui", results=results), case("b")]))
    result(study, "a.mrui.tgz/fit/s.svg")
    result(study, "alone.svg")
    for path in ("", "execution/workflow-1"):
        text = page.get(page.of(study, path) if path else page.of(study)).text
        assert "<strong>été 1.mrui</strong>" in text
        assert re.findall(r'<img [^>]*alt="([^"]+)"', text) == [
            "été 1.mrui: T1/a.mrui.tgz/fit/s.svg",
            "alone.svg: T1/alone.svg",
        ]


def test_a_folder_in_which_nothing_ever_ran_says_so(tmp_path: Path) -> None:
    """There is no status yet."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "settings.toml").touch()
    page = Paged(tmp_path / "new")
    page.enter()
    assert "vipsync has not run here yet" in page.get("/").text
    text = page.get(page.of(tmp_path / "new")).text
    assert f"<code>vipsync run {tmp_path / 'new'}</code> starts it" in text
    assert 'name="wish"' not in text
    assert page.ask(tmp_path / "new", "pause").status_code == 409
    assert files_below(tmp_path / "new") == {"settings.toml": b""}


def test_a_folder_that_is_made_later_is_found_and_one_that_went_is_gone(
    tmp_path: Path, page: Paged, study: Path
) -> None:
    """Its page then says that there is no such folder."""
    several = Paged(tmp_path)
    assert "later" not in several.get("/").text
    root = tmp_path / "later"
    tell(root, report(root))
    assert "later" in several.get("/").text
    root.rename(tmp_path.parent / f"{tmp_path.name}-away")
    assert several.get(several.of(root)).status_code == 404


def test_what_a_real_process_says_is_shown(bench: Bench) -> None:
    """Its own status.json is read, not the words in STATUS.txt."""
    publisher = Publisher()
    bench.publish = publisher.publish
    bench.runner.work = lambda _job: 50
    study = bench.study(a="1")
    bench.rest()
    page = Paged(study.root)
    text = page.get(page.of(study.root)).text
    assert "<h3>exit code 50</h3>" in text
    assert "job-1.stderr.txt" in text


def test_transfers_are_shown_while_they_are_on_their_way(page: Paged, study: Path) -> None:
    """As the process that works there tells once a second, and no longer than it does."""
    folder, now = SessionFolder(study), [100.0]
    slow = (Transfer("a.mrui", 3_000_000, 4_000_000), Transfer("<b>.mrui", 1, 2))
    moving = [Batch(True, 1, 3, 5_000_000, 10_000_000, 250_000.0, 12.0, slow)]
    files = TransferFiles(lambda _: moving, lambda: now[0])
    with folder.held():
        files.follow(folder, held=True)
        files.tell()
        text = page.get(page.of(study)).text
        assert "To VIP: 1 of 3 files, 5.0 MB of 10.0 MB, 250.0 kB/s" in text
        assert 'value="50.0"' in text
        assert "&lt;b&gt;.mrui: 1 byte of 2 bytes" in text
        moving[0] = Batch(True, 2, 3, 9_000_000, 10_000_000, 0.0, 13.0)
        files.tell()
        assert "To VIP: 1 of 3" in page.get(page.of(study)).text
        now[0] += 1.0
        files.tell()
        assert "To VIP: 2 of 3 files" in page.get(page.of(study)).text
    assert "To VIP" not in page.get(page.of(study)).text
    with folder.held():
        moving.clear()
        files.follow(folder, held=True)
        assert "To VIP" not in page.get(page.of(study)).text
        folder.progress.write_text("[[")
        assert page.get(page.of(study)).status_code == 200


def test_cases_are_sorted_filtered_and_shown_in_pages(tmp_path: Path) -> None:
    """By the address alone, so that it works without JavaScript."""
    root = tmp_path / "big"
    found = [
        case(f"sub-{n:03}", CaseState.FAILED if n % 50 == 7 else CaseState.DONE) for n in range(300)
    ]
    tell(root, report(root, found))
    page = Paged(root)

    def shown(query: str) -> list[str]:
        text = page.get(f"{page.of(root)}?{query}").text
        return re.findall(r'<tr><th scope="row">(sub-\d+)</th>', text)

    failed = [f"sub-{n:03}" for n in range(7, 300, 50)]
    assert shown("")[:7] == [*failed, "sub-000"]
    assert shown("sort=case&page=2")[0] == "sub-100"
    assert shown("sort=case&down=1")[0] == "sub-299"
    assert shown("state=failed") == failed
    assert shown("words=SUB-01&sort=case") == [f"sub-{n:03}" for n in range(10, 20)]
    assert len(shown("page=99999")) == 100
    assert shown("page=-1&sort=%22%3E&down=x")[0] == "sub-000"


def test_a_page_that_is_up_to_date_is_not_sent_again(page: Paged, study: Path) -> None:
    """One that is not comes at once, whatever has changed."""
    tag = page.get(page.of(study)).headers["ETag"]
    assert page.get(page.of(study), If_None_Match=tag).status_code == 304
    SessionFolder(study).ask(new_request("pause"))
    fresh = page.get(page.of(study), If_None_Match=tag)
    assert (fresh.status_code, "Asked: pause." in fresh.text) == (200, True)
    tell(study, report(study, sentence="All is well."))
    again = page.get(page.of(study), If_None_Match=fresh.headers["ETag"])
    assert "All is well." in again.text


def test_a_change_is_told_to_who_waits_for_it(study: Path) -> None:
    """The answer comes when there is something new, and long before the wait is over."""
    with running([study], "127.0.0.1:0") as access:
        connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=60)
        connection.request("GET", "/")
        tag = connection.getresponse()
        tag.read()
        headers = {"If-None-Match": tag.headers["ETag"], "Prefer": "wait=25"}
        connection.request("GET", "/", headers=headers)
        tell(study, report(study, sentence="All is well."))
        answer = connection.getresponse()
        assert (answer.status, b"All is well." in answer.read()) == (200, True)
        connection.close()


# what can be asked


@pytest.mark.parametrize(
    ("wish", "command", "options"),
    [
        ("rerun", "rerun", {"which": "failed"}),
        ("pause", "pause", {}),
        ("finish", "finish", {}),
    ],
)
def test_a_button_leaves_the_request_that_its_command_leaves(
    page: Paged, study: Path, wish: str, command: str, options: dict[str, str]
) -> None:
    """Once, however often it is pressed until it is carried out."""
    page.enter()
    for _ in range(2):
        answer = page.ask(study, wish)
        assert (answer.status_code, answer.headers["Location"]) == (303, page.of(study))
    (request,) = asked(study)
    assert (request.command, request.cases, dict(request.options)) == (command, (), options)
    text = page.get(page.of(study)).text
    assert f"<code>vipsync run &#39;{study}&#39;</code> does it" in text


def test_a_wish_that_is_not_offered_is_not_carried_out(page: Paged, study: Path) -> None:
    """Nothing waits for a launch here, and there is no such command."""
    page.enter()
    for wish in ("launch", "cancel", "../x", ""):
        assert page.ask(study, wish).status_code == 409
    assert asked(study) == []


def test_nothing_is_written_but_requests(page: Paged, study: Path) -> None:
    """Whatever was looked at, and asked."""
    result(study, "a.txt")
    before = files_below(study)
    page.enter()
    for path in ("", "execution/workflow-1", "file/T1/a.txt", "file/T1/none"):
        page.get(page.of(study, path) if path else page.of(study))
    assert page.ask(study, "pause").status_code == 303
    assert (
        page.browser.put(
            page.of(study, "file/T1/a.txt"), headers={"Host": f"127.0.0.1:{PORT}"}
        ).status_code
        == 405
    )
    after = files_below(study)
    (made,) = after.keys() - before.keys()
    assert made == f".vipsync/requests/{asked(study)[0].id}.json"
    assert {name: after[name] for name in before} == before


def test_a_folder_that_takes_no_request_is_said(page: Paged, study: Path) -> None:
    """The page stays up."""
    page.enter()
    SessionFolder(study).requests.rmdir()
    SessionFolder(study).requests.touch()
    answer = page.ask(study, "pause")
    assert (answer.status_code, "cannot be written" in answer.text) == (500, True)
    assert page.get(page.of(study)).status_code == 200


# who may


def test_without_the_link_a_page_of_this_machine_is_seen_but_asks_nothing(
    page: Paged, study: Path
) -> None:
    """There is no button, and none that is made up works."""
    text = page.get(page.of(study)).text
    assert 'name="wish"' not in text
    assert page.access.form_word not in text
    assert page.ask(study, "pause").status_code == 403
    assert asked(study) == []


def test_the_token_leaves_the_address_at_once_and_becomes_a_cookie(page: Paged) -> None:
    """A cookie that no script reads, and that no other site's page sends."""
    answer = page.enter()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{page.access.room}/")
    cookie = answer.headers["Set-Cookie"]
    assert f"Path={page.access.room}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert page.access.token not in page.get("/").text


def test_the_cookie_goes_to_no_other_port(page: Paged, study: Path) -> None:
    """Browsers give cookies to every port of a host: to this one's path alone, which nobody else knows."""
    page.enter()
    name, host = page.access.cookie, "127.0.0.1"
    assert page.browser.get_cookie(name, host, "/") is None
    assert page.browser.get_cookie(name, host, page.access.room)
    assert page.access.token not in page.access.room
    page.room = ""
    assert 'name="wish"' not in page.get(page.of(study)).text
    page.room = "/with/" + "0" * 32
    assert page.get("/").status_code == 404


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 5000])
def test_another_token_lets_nobody_in(page: Paged, study: Path, token: str) -> None:
    """Not even to look, so that it is noticed; what can be bookmarked is said."""
    refused = page.get(f"/?token={token}")
    assert refused.status_code == 403
    assert f"To look only, bookmark {ORIGIN}/" in refused.text
    assert page.ask(study, "pause").status_code == 403


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"word": ""}, {}),
        ({"word": "0" * 64}, {}),
        ({}, {"Origin": "http://evil.example"}),
        ({}, {"Origin": "null"}),
        ({}, {"Origin": f"http://127.0.0.1:{PORT + 1}"}),
        ({}, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"}),
    ],
    ids=["no-word", "another-word", "another-site", "no-site", "another-port", "cross-site"],
)
def test_another_sites_page_asks_nothing(
    page: Paged, study: Path, form: dict[str, str], headers: dict[str, str]
) -> None:
    """Even where the browser sends the cookie along."""
    page.enter()
    assert page.ask(study, "pause", form, **headers).status_code == 403
    assert asked(study) == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        f"127.0.0.1.evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:80",
        f"10.0.0.1:{PORT}",
        ":",
        f"localhost:{PORT}x",
    ],
)
def test_a_name_that_was_led_here_is_refused(page: Paged, host: str) -> None:
    """As another site's page does that lets its name stand for this machine (DNS rebinding)."""
    for path in ("/", f"/?token={page.access.token}", "/static/page.css"):
        assert page.get(path, host=host).status_code == 421


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_the_names_of_this_machine_are_taken(page: Paged, host: str) -> None:
    """However a person calls it."""
    assert page.get("/", host=host).status_code == 200


def test_beyond_this_machine_nothing_can_be_bookmarked(study: Path) -> None:
    """There an address without a link shows nothing, and is not advised."""
    page = Paged(study, host="0.0.0.0")
    assert "bookmark" not in page.get("/?token=old").text
    assert page.access.to_look == ""


def test_beyond_this_machine_nothing_is_seen_without_the_link(study: Path) -> None:
    """The same page, served on all addresses."""
    page = Paged(study, host="0.0.0.0")
    for path in ("/", page.of(study), page.of(study, "file/T1/a.txt")):
        answer = page.get(path, host=f"192.168.0.7:{PORT}")
        assert answer.status_code == 403
        assert "my study" not in answer.text
    host = f"{socket.gethostname().lower()}:{PORT}"
    answer = page.browser.get(f"/?token={page.access.token}", headers={"Host": host})
    assert answer.status_code == 303
    assert page.get("/", host=f"evil.example:{PORT}").status_code == 421


@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_another_sites_page_shows_nothing_of_it(page: Paged, study: Path, mode: str) -> None:
    """No picture in it, and no text; a link that leads here works."""
    result(study, "a.png", b"\x89PNG\r\n\x1a\n")
    address = page.of(study, "file/T1/a.png")
    foreign = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": mode}
    assert page.get(address, **foreign).status_code == 403
    assert page.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status_code == 200


# results


@pytest.mark.parametrize(
    "path",
    [
        "../settings.toml",
        "T1/../../settings.toml",
        "..%2fsettings.toml",
        "%2e%2e/settings.toml",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "T1/%00",
        "T1\\..\\..\\settings.toml",
        "T1",
        ".",
        "T1/out",
        "T1/folder/passwd",
        "T1/chain",
        "T1/pipe",
        "T1/loop",
    ],
)
def test_nothing_outside_the_results_is_given_out(page: Paged, study: Path, path: str) -> None:
    """By dots, by absolute paths, by links in the results, by what is no file."""
    (study / "settings.toml").write_text("secret = 1")
    here = result(study, "a.txt").parent
    (here / "out").symlink_to(study / "settings.toml")
    (here / "folder").symlink_to("/etc")
    (here / "chain").symlink_to("out")
    (here / "loop").symlink_to("loop")
    os.mkfifo(here / "pipe")
    answer = page.get(page.of(study, "file", path))
    assert answer.status_code in (400, 404, 308)
    assert b"secret" not in answer.data
    assert b"root:" not in answer.data


def test_a_link_inside_the_results_is_followed(page: Paged, study: Path) -> None:
    """Archives bring such links."""
    result(study, "a.txt", b"inside")
    (study / "outputs" / "T1" / "b.txt").symlink_to("a.txt")
    assert page.get(page.of(study, "file/T1/b.txt")).data == b"inside"


@pytest.mark.parametrize(
    ("name", "content", "kind", "kept"),
    [
        ("a.svg", b"<svg><script>alert(1)</script></svg>", "image/svg+xml", True),
        ("a.html", b"<script>alert(1)</script>", "application/octet-stream", True),
        ("a.png", b"\x89PNG\r\n\x1a\nx", "image/png", False),
        ("b.png", b"<script>alert(1)</script>", "application/octet-stream", True),
        ("a.pdf", b"%PDF-1.7", "application/pdf", False),
        ("b.pdf", b"<html>", "application/octet-stream", True),
        ("a.txt", b"<script>alert(1)</script>", "text/plain; charset=utf-8", False),
        ("a.nii.gz", b"\x1f\x8b", "application/octet-stream", True),
        ("a.xhtml", b"<x/>", "application/octet-stream", True),
        ("none", b"<!doctype html>", "application/octet-stream", True),
    ],
    ids=["svg", "html", "png", "no-png", "pdf", "no-pdf", "text", "nifti", "xhtml", "no-suffix"],
)
def test_a_result_is_what_does_no_harm_or_is_kept(
    page: Paged, study: Path, name: str, content: bytes, kind: str, kept: bool
) -> None:
    """By its name and its first bytes; the browser may not guess, and runs nothing of it."""
    result(study, name, content)
    answer = page.get(page.of(study, "file/T1", name))
    assert (answer.data, answer.headers["Content-Type"]) == (content, kind)
    assert answer.headers.get("Content-Disposition", "").startswith("attachment") is kept
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


HOSTILE = [
    '"><script>alert(1)</script>',
    "' onerror='alert(1)",
    "a&b<i>.svg",
    "{{ 7771*7 }}",
    "javascript:alert(1)",
    "\u202egnp.exe",
]


@pytest.mark.parametrize(
    "name", HOSTILE, ids=["markup", "attribute", "picture", "template", "address", "direction"]
)
def test_hostile_words_are_words(tmp_path: Path, name: str) -> None:
    """In names of folders, cases, results and executions, in sentences, notices and logs."""
    root = tmp_path / name.replace("/", "-")
    words = name.replace("/", "-")
    failure = Failure(CaseState.FAILED, name, (name,), (RelPath(name),), (name, name), name)
    notice = Notice(Level.PERSON, name, name, f"`{name}`")
    tell(
        root,
        report(
            root,
            [case(name, reason=name), case("b", CaseState.FAILED)],
            sentence=name,
            session=name,
            notices=(notice, Notice(Level.INFO, name, name)),
            failures=(failure,),
            unused=((name, name),),
            where=name,
        ),
    )
    result(root, words)
    page = Paged(root)
    page.enter()
    for path in ("/", page.of(root), page.of(root, "execution/workflow-1")):
        text = page.get(path).text
        assert "<script>alert" not in text
        assert "<i>" not in text
        assert "54397" not in text
        assert "\u202e" not in text
        assert not re.search(r"<[^>]+\son\w+=", text)
        assert not re.search(r'(?:href|src)="(?!/|#)', text)


def test_pages_hold_no_script_and_no_style_of_their_own(page: Paged, study: Path) -> None:
    """The policy forbids them, and everything that is loaded from elsewhere."""
    result(study, "a.svg", b"<svg/>")
    page.enter()
    for path in ("/", page.of(study), page.of(study, "execution/workflow-1"), "/none"):
        answer = page.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert (
            re.findall(r"<script(?! src=\"[/\w]*/static/page.js\" defer></script>)", answer.text)
            == []
        )
        assert " style=" not in answer.text
        assert "<style" not in answer.text
        assert "http:" not in answer.text.replace("http://www.w3.org", "")


def test_a_status_of_others_making_breaks_nothing(page: Paged, study: Path) -> None:
    """What cannot be read is as if nothing new was said; what is odd is shown as it can be."""
    for content in (b"", b"[]", b"{" * 100_000, b'{"folder": 1}', b"\xff" * 100):
        SessionFolder(study).report.write_bytes(content)
        assert page.get(page.of(study)).status_code == 200
    SessionFolder(study).report.unlink()
    for pipe in (
        SessionFolder(study).report,
        SessionFolder(study).progress,
        study / "settings.toml",
    ):
        os.mkfifo(pipe)
    assert page.get(page.of(study)).status_code == 200
    SessionFolder(study).report.unlink()
    lead = ExecutionReport("workflow-1", "Running", None, {"odd": 1}, "../inputs")
    (study / "inputs").mkdir()
    (study / "inputs" / "patient.svg").touch()
    tell(study, report(study, executions=(lead,)))
    for path in (page.of(study), page.of(study, "execution/workflow-1")):
        assert "patient" not in page.get(path).text
    odd = report(study, counts={"odd": 3}, phase="odd", executions=(), since=1e30, written=-1e30)
    tell(study, odd)
    assert page.get(page.of(study)).status_code == 200
    assert page.get("/").status_code == 200


def test_the_path_of_an_export_is_not_shown(tmp_path: Path) -> None:
    """Who sees the page need not know where patients' data lie."""
    export = tmp_path / "export of SMITH"
    export.mkdir()
    root = tmp_path / "study"
    sentence = f"Stopped: {export} is not there."
    tell(root, report(root, sentence=sentence, notices=(Notice(Level.ERROR, "x", sentence),)))
    (root / "settings.toml").write_text(f'[inputs]\ndirectory = "{export}"\n')
    page = Paged(root)
    for path in ("/", page.of(root)):
        text = page.get(path).text
        assert "SMITH" not in text
        assert "[the inputs folder] is not there." in text


def test_times_on_the_page_are_those_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their zone for people, in UTC for programs."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        noon = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
        root = tell(tmp_path / "study", report(tmp_path / "study", written=noon))
        page = Paged(root)
        text = page.get(page.of(root)).text
    finally:
        monkeypatch.undo()
        time.tzset()
    assert '<time datetime="2026-07-01T12:00:00+00:00">2026-07-01 14:00 CEST</time>' in text


# load


def test_a_hundred_thousand_results_are_not_all_looked_at(page: Paged, study: Path) -> None:
    """The page says that there are more; it is made of the first ones."""
    here = result(study, "0.txt").parent
    for number in range(MOST + 10):
        (here / f"{number}.svg").touch()
    text = page.get(page.of(study, "execution/workflow-1")).text
    assert "There are more files" in text
    assert text.count("<img") <= 60
    assert page.get(page.of(study)).text.count("<img") <= 24


def test_a_large_result_passes_without_being_held(study: Path) -> None:
    """Slow readers of it, more than there are threads, keep nobody else out."""
    big = result(study, "big.bin")
    with big.open("wb") as file:
        file.truncate(2**30)
    with running([study], "127.0.0.1:0") as access:
        path = f"/folder/{key_of(study)}/file/T1/big.bin"
        slow = open_pages(access, path, WAITING + 20)
        answers = [connection.getresponse() for connection in slow]
        assert {answer.headers["Content-Length"] for answer in answers} == {str(2**30)}
        assert all(answer.read(10) == bytes(10) for answer in answers)
        (other,) = open_pages(access, "/", 1)
        assert other.getresponse().status == 200
        for connection in (*slow, other):
            connection.close()


def test_two_hundred_open_pages_and_half_sent_requests_keep_nobody_out(study: Path) -> None:
    """Each that waits is answered or told to ask later; a change reaches those that wait."""
    with running([study], "127.0.0.1:0") as access:
        half = [socket.create_connection(("127.0.0.1", access.port)) for _ in range(100)]
        for connection in half:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        pages = open_pages(access, "/", 200)
        tags = set()
        for page in pages:
            answer = page.getresponse()
            answer.read()
            tags.add(answer.headers["ETag"])
        (tag,) = tags
        cookie = f"{access.cookie}={access.token}"
        for page in pages:
            headers = {"If-None-Match": tag, "Prefer": "wait=25", "Cookie": cookie}
            page.request("GET", "/", headers=headers)
        later = [page.getresponse() for page in pages[WAITING:]]
        assert {(a.status, a.headers["Retry-After"]) for a in later} <= {(304, "3"), (304, "0")}
        tell(study, report(study, sentence="All is well."))
        told = [page.getresponse() for page in pages[:WAITING]]
        assert sum(answer.status == 200 for answer in told) > WAITING // 2
        for page in pages:
            page.close()
        for connection in half:
            connection.close()


def test_what_is_too_long_is_refused(study: Path) -> None:
    """A request line, a header or a form that no browser of ours sends."""
    with running([study], "127.0.0.1:0") as access:
        for path, headers, body in (
            ("/" + "a" * 40_000, {}, None),
            ("/", {"X-Long": "a" * 40_000}, None),
            (f"/folder/{key_of(study)}/ask", {}, b"a" * 200_000),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=60)
            connection.request("POST" if body else "GET", path, body, headers)
            assert connection.getresponse().status in (400, 413, 431)
            connection.close()


# where


@pytest.mark.parametrize(
    "address", ["", "8484", "localhost:", "127.0.0.1:x", "127.0.0.1:99999", ":1"]
)
def test_an_address_is_host_and_port(address: str) -> None:
    """What is not is said before anything is served."""
    with pytest.raises(SettingsError, match=r"no address for a page"):
        parsed(address)


def test_a_port_that_is_taken_is_said(study: Path) -> None:
    """With what to do about it."""
    with (
        running([study], "127.0.0.1:0") as access,
        pytest.raises(SettingsError, match=r"--address"),
        running([study], f"127.0.0.1:{access.port}"),
    ):
        pass


def test_each_start_has_a_token_of_its_own() -> None:
    """An old link lets nobody in."""
    links = {Access("::1", 1).link for _ in range(10)}
    assert len(links) == 10
    assert all(link.startswith("http://[::1]:1/?token=") for link in links)
    assert Access("::1", 1).private
    assert ORIGIN.startswith("http://127.")
    assert Access("0.0.0.0", 1).link.startswith(f"http://{socket.gethostname()}:1/")


def test_the_command_prints_the_link_and_serves_until_it_is_interrupted(
    served: Served, study: Path
) -> None:
    """The link lets in who has it; the end is a quiet one."""
    with served.process("page", study, "--address", "127.0.0.1:0") as process:
        assert process.stdout is not None
        link = process.stdout.readline().removeprefix("The page: ").strip()
        with urllib.request.urlopen(link.partition("?")[0]) as answer:
            assert b"my study" in answer.read()
        said = [process.stdout.readline(), process.stdout.readline()]
        assert f"bookmark {link.partition('?')[0]}" in said[1]
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(link) as answer:
            assert answer.url.startswith(link.partition("?")[0] + "with/")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_the_command_says_what_is_not_right(call: Caller, study: Path, tmp_path: Path) -> None:
    """No folder, an address that is none, or an extra that is not installed."""
    assert "is no session folder" in call("page", tmp_path / "my study" / "outputs").err
    assert "is no address for a page" in call("page", study, "--address", "here").err
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "vipsync.page.server", None)
        said = call("page", study)
    assert (said.code, "pip install 'vipsync[page]'" in said.err) == (1, True)


def test_the_page_is_served_by_run_where_vipsync_toml_says_so(served: Served) -> None:
    """Without a terminal the link with its token goes nowhere: output is kept in logs."""
    study = served.study(a="one")
    port = free_port()
    machine = served.root / "machine.toml"
    machine.write_text(f'folders = ["{study}"]\n[page]\naddress = "127.0.0.1:{port}"\n')
    with served.process("--config", machine, "run") as process:
        assert process.stdout
        told = next(line for line in process.stdout if "The page" in line)
        assert f"127.0.0.1:{port}" in told
        assert "token" not in told
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"study" in answer.read()
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("printer", ["vipsync page", "vipsync run"])
def test_who_came_without_the_link_hears_what_printed_it(tmp_path: Path, printer: str) -> None:
    """The page is served by one command or another: the one that was called is looked at again."""
    root = tell(tmp_path / "study", report(tmp_path / "study"))
    page = Paged(root, printer=printer)
    assert f"the link that <code>{printer}</code> has" in page.get(f"/folder/{key_of(root)}").text
    assert f"link that `{printer}` printed" in html.unescape(page.ask(root, "pause").text)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
