"""What a script's session shows of its results: a page beside them, and pictures in a notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.archives import tgz
from tests.lab.findings import TABLE, volume
from tests.lab.scripts import Scripts
from vipsync.local import Job
from vipsync.results.crate import METADATA

SCRIPT = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">
<script>document.title = "acted"</script><circle cx="4" cy="4" r="3"/></svg>"""


def spectra(job: Job) -> dict[str, bytes]:
    """Return a result with a picture that would act if it could, a table and a volume."""
    members = {"s.svg": SCRIPT, "fit.table": TABLE.encode(), "t1.nii.gz": volume((9, 9, 9))}
    return {"fit": tgz({**members, "<b>.png": b"no picture"})}


@pytest.fixture
def world(scripts: Scripts) -> Scripts:
    """Return a world whose jobs make pictures."""
    scripts.runner.work = spectra
    return scripts


def page(world: Scripts) -> str:
    """Return the page of results."""
    return (world.root / "vip_outputs" / "study" / "index.html").read_text("utf-8")


def test_a_session_has_a_page_of_its_results_once_they_are_here(world: Scripts) -> None:
    """With each result under its own name, since a script knows no cases."""
    session = world.ready("study").upload_inputs().launch_pipeline()
    assert not (world.root / "vip_outputs" / "study" / "index.html").exists()
    session.monitor_workflows().download_outputs()
    text = page(world)
    for words in ("a.mrui.tgz", "b.mrui.tgz", "NAAG", "s.svg", ".vipsync/previews/", "provenance"):
        assert words in text
    session.finish()
    assert page(world).count("s.svg") == text.count("s.svg")


def test_each_results_folder_of_a_session_says_where_it_came_from(world: Scripts) -> None:
    """Its inputs by their hashes, a job for each value of a list."""
    world.ready("study").run_session()
    (path,) = (world.root / "vip_outputs" / "study").glob(f"*/{METADATA}")
    graph = json.loads(path.read_text("utf-8"))["@graph"]
    inputs = {e["identifier"] for e in graph if e["@id"].startswith("ni:")}
    assert inputs == {f"/vip/Home/API/study/INPUTS/{name}.mrui" for name in "ab"}
    assert len(list(path.parent.glob("invocations/*.json"))) == 2
    assert str(world.root) not in path.read_text("utf-8")


def test_elsewhere_than_in_a_notebook_one_line_says_where_the_pictures_are(world: Scripts) -> None:
    """In a script, nothing can be shown."""
    session = world.ready("study").run_session()
    world.said.clear()
    assert session.show() is session
    assert [line for line in world.said if "picture" in line] == [
        "6 pictures of the results: vip_outputs/study/index.html shows all."
    ]


def test_before_anything_was_launched_there_is_nothing_to_show(world: Scripts) -> None:
    """That is said, and no folder is made."""
    world.ready("study").show()
    assert world.says("has not launched any execution")
    assert not (world.root / "vip_outputs").exists()


@pytest.fixture
def notebook() -> Iterator[Any]:
    """Return the shell of a notebook."""
    shells = pytest.importorskip(
        "IPython.core.interactiveshell", reason="IPython is not installed: pip install ipython"
    )
    shell = shells.InteractiveShell.instance()
    shell.kernel = "a kernel, as a notebook has one"
    yield shell
    shells.InteractiveShell.clear_instance()


def test_a_notebook_shows_the_pictures(world: Scripts, notebook: Any) -> None:
    """An SVG as a picture, so that no script in it runs, and every name as text."""
    capture = pytest.importorskip("IPython.utils.capture")
    session = world.ready("study", "a.mrui").run_session()
    with capture.capture_output() as shown:
        session.show()
    (output,) = shown.outputs
    html = output.data["text/html"]
    assert html.count("<img ") == 3
    assert html.count("data:image/svg+xml;base64,") == 1
    assert "<script" not in html
    assert "<b>" not in html
