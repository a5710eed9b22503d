"""Imports point one way, and what is pure imports nothing that is not (house 1)."""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vipsync"

ROOMS = (
    "errors model names rows actions",
    "disk.*",
    "privacy.*",
    "cases.* settings.* client.*",
    "record.*",
    "folder.*",
    "act.*",
    "plan.*",
    "observe.*",
    "run.*",
    "status.*",
    "station.*",
    "results.*",
    "alerts.*",
    "report.* service.*",
    "script.*",
    "page.*",
    "commands.*",
    "cli __init__ __main__",
)
"""Modules may import from their own room and from those above it, without going in a circle."""

PURE_ONES = """
    alerts.facts errors model names rows actions cases.* privacy.findings privacy.identifiers privacy.judging
    disk.globs privacy.meanings privacy.policy privacy.profile privacy.reading privacy.texts record.digests record.job_log record.lifecycle
    record.outcomes plan.* script.outcomes service.* status.failures status.privacy status.sentence status.status status.summary status.words page.views page.studies
    status.overview status.remembered status.results_table station.model station.completeness station.plan station.steps
    results.crate results.facts results.html results.invocations results.page results.tables
"""

IMPURE = {
    "httpx",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "socket",
    "sqlite3",
    "subprocess",
    "time",
}
ALLOWED = {
    ("model", "os", "stat_result"),  # a type
    ("status.results_table", "io", ""),  # a text in memory
    ("service.windows", "subprocess", "list2cmdline"),  # how Windows quotes
}
ALLOWED_NAMES = {"PurePosixPath"}

PACKAGES = sorted(p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists())
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.parent == PACKAGE or (path.name != "__init__.py" and path.parts[-2] in PACKAGES)
    if "local" not in path.parts
)


def chosen(patterns: str) -> list[str]:
    """Return the modules that one of these patterns names."""
    return [name for name in MODULES if any(fnmatch.filter([name], p) for p in patterns.split())]


RANK = {name: number for number, room in enumerate(ROOMS) for name in chosen(room)}
PURE = chosen(PURE_ONES)


@cache
def nodes(name: str) -> list[ast.AST]:
    """Return every node of the parsed text of a module."""
    return list(ast.walk(ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8"))))


@cache
def called(name: str) -> set[str]:
    """Return what a module calls, as it is written there."""
    return {ast.unparse(node.func) for node in nodes(name) if isinstance(node, ast.Call)}


@cache
def imports(name: str) -> list[tuple[str, str]]:
    """Return every (module, name) that a module imports, wherever it does so."""
    found: list[tuple[str, str]] = []
    for node in nodes(name):
        if isinstance(node, ast.Import):
            found += ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            found += ((node.module or "", alias.name) for alias in node.names)
    return found


@cache
def siblings(name: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    found = set()
    for module, item in imports(name):
        if module == "vipsync" or module.startswith("vipsync."):
            inside = module.removeprefix("vipsync").lstrip(".")
            found |= {m for m in (inside, f"{inside}.{item}".lstrip(".")) if m in MODULES}
    return found


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    """A module imports from its own room and those above it only."""
    assert name in RANK, f"give {name} its place in ROOMS"
    upwards = {other for other in siblings(name) if RANK[other] > RANK[name]}
    assert upwards == set()


def test_no_imports_go_in_a_circle() -> None:
    """Within a room too, some module comes first."""
    left = {name: siblings(name) for name in MODULES}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_import_nothing_that_is_not(name: str) -> None:
    """No I/O, no clock, no chance: neither directly nor by way of a module that has them."""
    outside = {
        (module, item)
        for module, item in imports(name)
        if module.split(".")[0] in IMPURE
        and item not in ALLOWED_NAMES
        and (name, module, item) not in ALLOWED
    }
    assert outside == set()
    assert siblings(name) <= set(PURE)


@pytest.mark.parametrize("name", [n for n in MODULES if n not in ("cli", "commands.demo")])
def test_only_the_commands_know_the_embedded_vip(name: str) -> None:
    """Nothing that works for people's data rests on the test double."""
    assert not any(module.startswith("vipsync.local") for module, _ in imports(name))


def test_the_embedded_vip_imports_nothing_of_vipsync() -> None:
    """It is an independent oracle."""
    for path in sorted((PACKAGE / "local").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vipsync"):
                assert (node.module or "").startswith("vipsync.local"), path


@pytest.mark.parametrize("name", [n for n in MODULES if n != "report.reporter"])
def test_only_report_prints(name: str) -> None:
    """Everything else returns data or logs."""
    assert "print" not in called(name)


PROGRAMS = ("cli", "alerts.sending")
"""Modules that are run as programs, and say by an exit code what came of it."""


@pytest.mark.parametrize("name", [n for n in MODULES if n not in PROGRAMS])
def test_only_cli_exits(name: str) -> None:
    """Everything that is no program of its own returns or raises."""
    assert called(name).isdisjoint({"exit", "quit", "sys.exit", "SystemExit"})


LOADED = """
import sys
from vipsync.cli import exit_code
code = exit_code(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        (("--help",), {"httpx", "msgspec", "rich", "sqlite3", "watchdog"}),
        (("status", "."), {"flask", "httpx", "rich", "watchdog"}),
        (("run", "--once", "."), {"apprise", "boutiques", "flask", "pygments", "rich"}),
    ],
)
def test_a_command_loads_no_more_than_it_needs(
    tmp_path: Path, command: tuple[str, ...], heavy: set[str]
) -> None:
    """What only other commands need stays unloaded: loading it takes longer than most work."""
    (tmp_path / "settings.toml").touch()
    (tmp_path / "inputs").mkdir()
    words = [sys.executable, "-c", LOADED, *command]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    code, *loaded = said.stderr.splitlines()[-1].split()
    assert code in {"0", "4"}  # `run` finds no key here
    assert "click" in loaded
    assert heavy.isdisjoint(loaded)
