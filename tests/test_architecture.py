"""docs/architecture.md lists the modules as they are, and imports run one way: upwards in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "timesync_xr"
TABLE = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
"""Modules in the order of the table."""

DOWNWARDS = {"folder": {"remote"}}
"""`open_folder` chooses the kind of folder, when it is called."""


def files(module: str) -> list[Path]:
    """The file of a module, or the files of a package."""
    one = PACKAGE / f"{module}.py"
    return [one] if one.exists() else sorted((PACKAGE / module).glob("*.py"))


def imports(module: str) -> set[str]:
    """Modules of this package that a module imports, anywhere in it but for types alone."""
    level = 1 if (PACKAGE / f"{module}.py").exists() else 2
    found: set[str] = set()
    for tree in (ast.parse(file.read_text()) for file in files(module)):
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and node.level == level
                and id(node) not in for_types
            ):
                found.add((node.module or "").partition(".")[0])
    return found - {"", module}


def test_table_lists_every_module() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    found |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(TABLE) == found
    assert len(TABLE) == len(found)


@pytest.mark.parametrize("module", TABLE)
def test_imports_run_one_way(module: str) -> None:
    assert imports(module) - DOWNWARDS.get(module, set()) <= set(TABLE[: TABLE.index(module)])
