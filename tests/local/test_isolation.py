"""The embedded VIP is an independent oracle: it shares no code with what it judges."""

from __future__ import annotations

import ast
from pathlib import Path

LOCAL = Path(__file__).parents[2] / "vipsync" / "local"


def imported(file: Path) -> set[str]:
    """Return every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_nothing_of_vipsync_is_imported_from_outside() -> None:
    """No module of the package but its own, and none by a relative name."""
    files = list(LOCAL.rglob("*.py"))
    assert len(files) > 10
    for file in files:
        own = {name for name in imported(file) if name.startswith(("vipsync", "."))}
        assert all(name.startswith("vipsync.local.") for name in own), file


def test_pure_modules_import_nothing_that_acts() -> None:
    """Values become jobs without clock, disk or chance."""
    for name in ("submission.py", "iteration.py"):
        acting = {"os", "time", "random", "logging", "shutil", "subprocess"}
        assert not imported(LOCAL / name) & acting
