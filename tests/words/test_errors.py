from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import numpy as np
import pytest

import timesync_xr
from timesync_xr import errors
from timesync_xr.errors import (
    AccessError,
    CorruptAssetError,
    Kind,
    PlotListError,
    ProjectError,
    ReadError,
    ServiceError,
    TimesyncError,
)
from timesync_xr.interpret.exchange import HEADER
from timesync_xr.project.cubes import DamagedCubeError
from timesync_xr.project.ledger import COMPLETE, INCOMPLETE, NO_ITEMS
from timesync_xr.project.log import OUTCOMES
from timesync_xr.project.verify import KINDS

CONTROL = {"NeedMore", "ReadWarning", "LeftOutWarning"}
"""Warnings, and what is raised and caught within one room."""


def test_all_errors_that_reach_users_stand_in_one_tree() -> None:
    found = set()
    for info in walk_packages(timesync_xr.__path__, "timesync_xr."):
        if not info.name.endswith("__main__"):
            members = vars(import_module(info.name)).values()
            found |= {m for m in members if isinstance(m, type) and issubclass(m, Exception)}
    ours = {error for error in found if error.__module__.startswith("timesync_xr.")}
    outside = {error.__name__ for error in ours if not issubclass(error, TimesyncError)}
    assert {name for name in outside if not name.startswith("_")} == CONTROL
    assert len(ours) > 15


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""
    classes = [
        v
        for v in vars(errors).values()
        if isinstance(v, type) and issubclass(v, Exception) and not issubclass(v, Warning)
    ]
    assert [
        c.__name__ for c in classes if f" {c.__name__} " not in drawn.replace("\n", " \n ")
    ] == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AccessError("x"), Kind.ACCESS),
        (AccessError("x", kind=Kind.NO_ROOM), Kind.NO_ROOM),
        (ReadError("a", "b", "c", kind=Kind.DENIED), Kind.DENIED),
        (CorruptAssetError("a", "b", "c"), Kind.CORRUPT),
        (ServiceError("a", "b", "c", Kind.CREDENTIALS), Kind.CREDENTIALS),
        (ProjectError("x"), Kind.PROJECT),
        (PlotListError("x", ["y"]), Kind.INPUT),
        (DamagedCubeError("it is cut off"), Kind.CORRUPT),
    ],
)
def test_an_error_keeps_its_kind_on_its_way_from_a_worker(error: TimesyncError, kind: Kind) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert copy.kind is kind
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_the_error_of_a_service_becomes_that_of_one_asset() -> None:
    of_one = ServiceError("s3://b/k", "it is away", "Check it", Kind.UNREACHABLE).of_one
    assert str(of_one) == "s3://b/k: it is away. Check it, or leave the item out"
    assert (type(of_one), of_one.kind) == (ReadError, "unreachable")


VOCABULARY = {*OUTCOMES, *KINDS, COMPLETE, INCOMPLETE, NO_ITEMS, HEADER}
"""Words of tables and files that programs go by; some have a blank."""

READ_BY_WORDS = {
    "storage/failures.py",  # obstore has no class or number for what its text alone tells
}
"""Modules that have no other source."""

SEARCHES = {"startswith", "endswith", "removeprefix", "contains", "isin", "eq", "ne"}


def constants(tree: ast.Module) -> dict[str, object]:
    """Constants of a module by name; None for those that are not one literal."""
    found: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                literal = node.value.value if isinstance(node.value, ast.Constant) else None
                found |= {target.id: literal} if isinstance(target, ast.Name) else {}
    return found


def compared(tree: ast.Module) -> Iterator[ast.expr]:
    """What is compared with something, or searched for in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from node.args if node.func.attr in SEARCHES else []


@pytest.mark.deep
def test_no_control_flow_compares_sentences() -> None:
    root = Path(timesync_xr.__file__).parent
    trees = {f.relative_to(root).as_posix(): ast.parse(f.read_text()) for f in root.rglob("*.py")}
    assert set(trees) > READ_BY_WORDS
    everywhere = {name: value for tree in trees.values() for name, value in constants(tree).items()}
    found = []
    for module in sorted(set(trees) - READ_BY_WORDS):
        known = everywhere | constants(trees[module])
        for node in compared(trees[module]):
            value: object = node.value if isinstance(node, ast.Constant) else None
            value = known.get(node.id) if isinstance(node, ast.Name) else value
            if isinstance(value, str) and " " in value.strip() and value not in VOCABULARY:
                found.append(f"{module}:{node.lineno} {value}")
    assert found == []


def test_a_notebook_shows_the_line_of_the_cell_and_the_message() -> None:
    """In a cell nothing of the way through this package and its libraries is shown."""
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    made = shell.instance(colors="nocolor")
    shown: list[str] = []
    made._showtraceback = lambda kind, value, lines: shown.extend(lines)
    try:
        made.run_cell("import timesync_xr as tx\ntx.Products('pgn')")
        made.run_cell("1 / 0")
    finally:
        shell.clear_instance()
    assert shown[:2] == [
        "line 2 of the cell: tx.Products('pgn')",
        (
            "InputError: there is no product 'pgn' (did you mean 'png'?): "
            "choose from png, csv, spectra, zarr"
        ),
    ]
    assert "Traceback" in "".join(shown[2:])  # any other error is shown as ever


def test_one_of_a_thing_is_told_in_the_singular() -> None:
    told = [errors.counted(count, "plot") for count in (0, 1, 2, np.int64(1), 1.0)]
    assert told == ["0 plots", "1 plot", "2 plots", "1 plot", "1 plot"]
    assert errors.counted(1, "vertex", "vertices") == "1 vertex"
    assert errors.counted(3, "plot has", "plots have") == "3 plots have"


COUNTED = (
    "plots|observations|files|rows|packets|items|days|years|requests|pairs|columns|records|"
    "interpretations|vertices|overrides|tiles|others"
)
"""What messages count."""


def test_messages_count_by_one_function() -> None:
    package = Path(timesync_xr.__file__).parent
    by_hand = re.compile(rf"\{{[a-z][^{{}}!]*\}} (more )?({COUNTED})\b")
    text = {path: path.read_text() for path in sorted(package.rglob("*.py"))}
    assert [(path.name, found[0]) for path in text for found in by_hand.finditer(text[path])] == []
