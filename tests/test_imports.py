"""Imports point one way, and what is pure imports nothing that is not (design 8)."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vipsync"

LAYERS = (
    "errors model",
    "names patterns values",
    # from files and settings to cases
    "descriptor jobs joining matching sources cases grouping template",
    # the ledger's rows, the plan and what is said of it
    "state actions snapshot",
    "draft sending",
    "launching mirroring record",
    "finishing status",
    "requests words results_table plan",
    # what touches the machine and VIP
    "toml_text keys setting_values refusals tarstream wire scan walk watch connection",
    "settings archive packing client ledger folder connecting backup",
    "mirror sharing",
    "fetching adoption observe",
    "act",
    "preview reconcile",
    "checking publish",
    "loop progress screen news creating",
    "report",
    "running",
    "asking",
    "session session_* account demo commands",
    "cli __init__ __main__",
)
"""Modules may import from their own line and from those above it, without going in a circle."""

PURE = [name for line in LAYERS[:8] for name in line.split() if name != "template"]
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
    ("results_table", "io", ""),  # a text in memory
}
ALLOWED_NAMES = {"PurePosixPath"}

MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
RANK = {
    name: rank
    for rank, line in enumerate(LAYERS)
    for pattern in line.split()
    for name in fnmatch.filter(MODULES, pattern)
}


def tree(name: str) -> ast.Module:
    """Return the parsed text of a module."""
    return ast.parse((PACKAGE / f"{name}.py").read_text("utf-8"))


def imports(name: str) -> Iterator[tuple[str, str]]:
    """Yield every (module, name) that a module imports, wherever it does so."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            yield from ((node.module or "", alias.name) for alias in node.names)


def siblings(name: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    found = set()
    for module, item in imports(name):
        if module == "vipsync" and item in MODULES:
            found.add(item)
        elif module.startswith("vipsync."):
            found.add(module.split(".")[1])
    return found - {"local"}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    """A module imports from its own layer and those above it only."""
    assert name in RANK, f"give vipsync/{name}.py its place in LAYERS"
    upwards = {other for other in siblings(name) if RANK[other] > RANK[name]}
    assert upwards == set()


def test_no_imports_go_in_a_circle() -> None:
    """Within a layer too, some module comes first."""
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


@pytest.mark.parametrize("name", [n for n in MODULES if n not in ("cli", "commands", "demo")])
def test_only_the_commands_know_the_embedded_vip(name: str) -> None:
    """Nothing that works for people's data rests on the test double."""
    assert not any(module.startswith("vipsync.local") for module, _ in imports(name))


def test_the_embedded_vip_imports_nothing_of_vipsync() -> None:
    """It is an independent oracle."""
    for path in sorted((PACKAGE / "local").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vipsync"):
                assert (node.module or "").startswith("vipsync.local"), path


@pytest.mark.parametrize("name", [n for n in MODULES if n != "report"])
def test_only_report_prints(name: str) -> None:
    """Everything else returns data or logs."""
    calls = [node for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
    assert "print" not in names


@pytest.mark.parametrize("name", [n for n in MODULES if n != "cli"])
def test_only_cli_exits(name: str) -> None:
    """Everything else returns or raises."""
    nodes = list(ast.walk(tree(name)))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    assert called.isdisjoint({"exit", "quit", "sys.exit", "SystemExit"})
