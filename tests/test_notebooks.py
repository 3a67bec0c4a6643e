"""Notebooks are kept without outputs, and what needs the internet is tagged."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))

ASK = ("chips_for_plot", "compare_sources", "extract", "plan", "repair", "search_items")
"""Functions that take an archive, and ask the real one unless they are given another."""


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
    """What reads pixels or searches, but not in ``archive``, the sample, asks the real archive."""
    for cell in code_cells(notebook):
        text = "".join(cell["source"])
        tagged = "skip-execution" in cell["metadata"].get("tags", [])
        assert tagged or not asks_the_real_archive(text), text


def asks_the_real_archive(text: str) -> bool:
    """Whether a call in the code of a cell may ask an archive other than the sample."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    asking = [call for call in calls if getattr(call.func, "attr", "") in ASK]
    given = [[*call.args, *(keyword.value for keyword in call.keywords)] for call in asking]
    return any("archive" not in map(ast.unparse, values) for values in given)


def test_a_call_without_the_sample_is_noticed() -> None:
    assert asks_the_real_archive("tx.extract(plots, project)")
    assert asks_the_real_archive("tx.plan(plots, usgs)  # archive")
    assert not asks_the_real_archive("tx.extract(plots, project, archive, workers=2)")


def test_there_are_seven() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == [f"0{number}" for number in range(1, 8)]
