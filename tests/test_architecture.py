"""Folders import only from folders below them, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "timesync_xr"

FLOORS = (
    "errors", "landsat", "grid", "lists", "plots", "sample",
    "storage", "raster", "catalog", "cube", "spectral",
    "project", "run", "export", "interpret", "view", "cli",
)  # fmt: skip
"""Rooms from the ground up; each may import from those before it."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every module with the room that it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in ("__init__", "__main__"):
            yield parts[0], path


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a module imports from, anywhere in it."""
    here = path.relative_to(PACKAGE).parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            names = [*base, *(node.module or "").split(".")] if node.module else [*base]
            found |= {names[0]} if names else {alias.name for alias in node.names}
    return found


def test_every_room_has_its_floor() -> None:
    rooms = {room for room, _ in modules()}
    assert rooms == set(FLOORS)
    assert len({path.name for path in PACKAGE.iterdir()} - {"__pycache__"}) <= 20


@pytest.mark.parametrize(
    ("room", "path"), [*modules()], ids=lambda v: str(v).split("timesync_xr/")[-1]
)
def test_imports_run_downwards(room: str, path: Path) -> None:
    above = imported_rooms(path) - set(FLOORS[: FLOORS.index(room) + 1]) - {"__version__"}
    assert not above


def test_modules_do_not_import_in_circles() -> None:
    graph = {path: _imports(path) for _, path in modules()}
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, f"a circle: {[p.stem for p in (*trail, path)]}"
        if path in done:
            return
        for other in graph.get(path, ()):
            visit(other, (*trail, path))
        done.add(path)

    for path in graph:
        visit(path, ())


def _imports(path: Path) -> set[Path]:
    """Modules of the package that a module imports, but for types alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in for_types:
            base = path.parent
            for _ in range(node.level - 1):
                base = base.parent
            base = base.joinpath(*(node.module or "").split("."))
            for target in (base.with_suffix(".py"), *(base / f"{a.name}.py" for a in node.names)):
                found |= {target} if target.is_file() else set()
    return found - {path}
