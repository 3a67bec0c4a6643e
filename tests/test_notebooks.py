"""Notebooks are kept without outputs, and what needs the internet is tagged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(notebook: Path) -> None:
    for cell in code_cells(notebook):
        assert not cell["outputs"]
        assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_that_leave_the_machine_are_tagged(notebook: Path) -> None:
    """A cell that reads pixels or searches without naming the sample asks the real archive."""
    for cell in code_cells(notebook):
        text = "".join(cell["source"])
        asks = any(f"tx.{name}(" in text for name in ("search_items", "chips_for_plot", "extract"))
        tagged = "skip-execution" in cell["metadata"].get("tags", [])
        assert not asks or "**archive" in text or tagged, text


def test_there_are_five() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]
