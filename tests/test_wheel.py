"""What is handed to others: sdist and wheel are whole, well described, and work in an empty environment."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MISSING = [
    name for name in ("build", "hatchling", "pip", "twine") if not importlib.util.find_spec(name)
]
UNREACHABLE = re.compile(
    r"NewConnectionError|ProxyError|ConnectTimeout|NameResolution|connection broken"
)

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def python(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests' own environment."""
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from it."""
    built = tmp_path_factory.mktemp("built")
    done = python("build", "--no-isolation", "--outdir", built, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


def wheel(built: Path) -> Path:
    """Return the one wheel."""
    (path,) = built.glob("*.whl")
    return path


def test_a_package_index_takes_both(built: Path) -> None:
    """Their descriptions are whole, and README.md can be shown."""
    both = sorted(built.iterdir())
    assert len(both) == 2
    done = python("twine", "--no-color", "check", "--strict", *both)
    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout + done.stderr


def test_the_wheel_has_every_file_of_the_package_and_no_other(built: Path) -> None:
    """What git keeps below vipsync/ goes along: code, templates, pipelines, and the licence."""
    names = set(zipfile.ZipFile(wheel(built)).namelist())
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vipsync").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == there
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_says_what_pyproject_says(built: Path) -> None:
    """Its Pythons are those that were tried, and its metadata has a version that older tools read."""
    archive = zipfile.ZipFile(wheel(built))
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    said = message_from_bytes(archive.read(name))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert said["Metadata-Version"] == "2.4"
    assert said["Requires-Python"] == project["requires-python"]
    assert said.get_all("Classifier") == project["classifiers"]


def test_the_demo_runs_from_the_wheel(built: Path, tmp_path: Path) -> None:
    """In an environment with nothing but the wheel and what it asks for, the demo ends well."""
    env = tmp_path / "env"
    assert python("venv", "--without-pip", env).returncode == 0
    place = env / ("Scripts" if os.name == "nt" else "bin")
    pip = (
        "pip",
        "--python",
        env,
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
    )
    done = python(*pip, f"{wheel(built)}[local]")
    if UNREACHABLE.search(done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    demo = subprocess.run(
        [place / "vipsync", "demo"],
        cwd=tmp_path,
        env={"PATH": f"{place}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (demo.returncode, demo.stderr) == (0, "")
    assert "VIP is clean" in demo.stdout
