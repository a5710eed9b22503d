"""The examples of the Python class: the script, the notebook and the page about vip-client."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vipsync import VipSession
from vipsync.local import DEFAULT_KEY, FastRunner, Options, SystemClock, World, running

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Serve an embedded VIP, and work in a copy of the examples."""
    clock = SystemClock()
    made = World(tmp_path / "vip", Options(startup_delay=0.0), clock, runner=FastRunner(clock))
    shutil.copytree(EXAMPLES / "signals", tmp_path / "work" / "signals")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("VIP_API_KEY", DEFAULT_KEY)
    for name in ("account_of_all", "verbose_by_default", "_BACKUP_LOCATION"):
        monkeypatch.setattr(VipSession, name, getattr(VipSession, name))
    with running(made) as url:
        monkeypatch.setenv("VIP_PORTAL_URL", url)
        yield made


def left_on_vip(world: World) -> list[str]:
    """Return the sessions that are still on VIP."""
    world.settle()
    return [p.name for p in world.storage.users.glob("*/API/*")]


def test_several_sessions_share_one_upload(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three parameter sets run on four signals that went up once, and nothing is left on VIP."""
    script = runpy.run_path(str(EXAMPLES / "several_sessions.py"))
    script["main"](Path("signals"), refresh_time=0.2)
    uploads = [r for r in world.requests if r.method == "PUT" and r.path.endswith(".mrui")]
    assert len(uploads) == 4
    assert len(world.executions.all()) == 3
    assert capsys.readouterr().out.count("4 results in vip_outputs/signals-") == 3
    assert left_on_vip(world) == []


def test_the_script_of_the_readme_runs(world: World) -> None:
    """What a reader copies from README.md brings one unpacked result and leaves nothing on VIP."""
    readme = (EXAMPLES.parent / "README.md").read_text("utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```$", readme, re.M | re.S)
    exec(compile(script, "README.md", "exec"), {})
    assert len(list(Path("vip_outputs/spectra").glob("*/*.tgz/*.txt"))) == 1
    assert left_on_vip(world) == []


def test_the_notebook_runs_cell_by_cell(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Each code cell runs after the other in one process, and the results are unpacked."""
    notebook = json.loads((EXAMPLES / "vipsession.ipynb").read_text("utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert all(not c.get("outputs") for c in notebook["cells"])
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    assert len(list(Path("vip_outputs/my-spectra").glob("*/*.tgz/*.txt"))) == 4
    assert "sub-01.mrui.tgz -> ['sub-01.txt']" in capsys.readouterr().out
    assert left_on_vip(world) == []


def test_the_page_names_what_is_there() -> None:
    """Its code can be read, and what it says of arguments and errors is part of the class."""
    from vipsync import errors

    page = (EXAMPLES / "from-vip-client.md").read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        compile(block, "from-vip-client.md", "exec")
    for name in ("NameTaken", "FolderHeld", "KeyMissing"):
        assert name in page
        assert hasattr(errors, name)
    for method in re.findall(r"`([a-z_]+)\(\)`", page):
        assert hasattr(VipSession, method), method


def test_the_page_gives_vip_client_the_same_key_and_portal(world: World) -> None:
    """Its code reaches the same VIP with both."""
    page = (EXAMPLES / "from-vip-client.md").read_text("utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "utils" in b)
    code = f"{block}VipSession('study', verbose=False).upload_inputs('signals')\n"
    code += "print(vip.exists('/vip/Home/API/study/INPUTS/sub-01.mrui'))\n"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split()[-1] == "True"
    assert left_on_vip(world) == ["study"]


def test_importing_the_package_is_cheap() -> None:
    """Nothing heavy is loaded before the class is used, and the class is found by its name."""
    code = (
        "import sys, vipsync\n"
        "assert not {'httpx', 'msgspec', 'rich'} & sys.modules.keys()\n"
        "assert 'VipSession' in dir(vipsync)\n"
        "from vipsync import VipSession, Account\n"
        "assert 'httpx' in sys.modules and 'vipsync.report.reporter' not in sys.modules\n"
        "try: vipsync.nothing\n"
        "except AttributeError: pass\n"
        "else: raise SystemExit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
